"""What must hold when many owners do the same at the same moment: one of them does it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
import pytest
from servers import Postgres
from vidpoll_postgres.store import PostgresStore

from vidpoll import KeptJob, Origin
from vidpoll.storage.protocol import NoRoom, Order, Saved, Store

T = TypeVar("T")

ACME = Origin("acme")
OWNERS = 6


@pytest.fixture
def stores(made: object, cluster: Postgres) -> Iterator[Sequence[PostgresStore]]:
    """Several owners at one database."""
    opened = [PostgresStore(cluster.url("made")) for _ in range(OWNERS)]
    yield opened
    for store in opened:
        store.close()


def together(stores: Sequence[Store], work: Callable[[Store], T]) -> list[T]:
    """What each says when all do the same at once."""
    line = threading.Barrier(len(stores))

    def one(store: Store) -> T:
        line.wait()
        return work(store)

    with ThreadPoolExecutor(len(stores)) as threads:
        return list(threads.map(one, stores))


def test_a_key_is_begun_once(stores: Sequence[PostgresStore]) -> None:
    """Nothing is bought twice."""
    for turn in range(10):
        begun = together(stores, lambda store, turn=turn: store.begin(ACME, "clip", {}, key=str(turn)))
        assert sum(isinstance(each, int) for each in begun) == 1


def test_a_key_whose_submit_becomes_a_job_is_never_free(stores: Sequence[PostgresStore]) -> None:
    """Not even at the moment at which the one goes and the other comes."""
    first = stores[0]
    for turn in range(10):
        key, ref = str(turn), f"acme:{turn}"
        number = first.begin(ACME, "clip", {}, key=key)
        assert isinstance(number, int)

        def work(store: Store, number: int = number, key: str = key, ref: str = ref) -> bool:
            if store is first:
                store.submitted(number, KeptJob(ref, ACME, "clip", key=key))
                return False
            return any(isinstance(store.begin(ACME, "clip", {}, key=key), int) for _ in range(5))

        assert together(stores, work) == [False] * len(stores)
    assert len(first.jobs()) == 10


def test_a_budget_and_slots_hold(stores: Sequence[PostgresStore]) -> None:
    """Who asks at the same moment does not look past the others."""
    order = Order("night", "", 1, "d", 1.0, "USD", budget=3.0)

    def begin(store: Store, **more: object) -> bool:
        row = str(stores.index(store))  # type: ignore[arg-type]
        try:
            return isinstance(store.begin(ACME, "clip", {}, order=replace(order, row=row, **more)), int)
        except NoRoom:
            return False

    assert sum(together(stores, begin)) == 3
    assert sum(together(stores, lambda store: begin(store, batch="day", budget=None, slots=5))) == 2


def test_a_shard_is_taken_by_one(stores: Sequence[PostgresStore]) -> None:
    """And all are taken."""
    accounts = {f"a{number}": 2 for number in range(30)}
    taken = [shard for shards in together(stores, lambda store: store.take(accounts, 10)) for shard in shards]
    taken += [shard for store in stores for shard in store.take(accounts, 10)]
    assert len({shard[:3] for shard in taken}) == len(taken) == 60


def test_an_account_is_divided_one_way(stores: Sequence[PostgresStore]) -> None:
    """Even if no process had it before."""
    parts = {id(store): 1 + number % 3 for number, store in enumerate(stores)}
    for turn in range(10):
        accounts = together(stores, lambda store, turn=turn: store.take({f"a{turn}": parts[id(store)]}, 9))
        assert len({shard.parts for shards in accounts for shard in shards}) == 1


def test_a_lease_has_one_owner(stores: Sequence[PostgresStore]) -> None:
    """In whatever order the jobs are named."""
    refs = [f"acme:{number}" for number in range(40)]
    stores[0].enter([(ref, ACME, {}) for ref in refs])
    order = {id(store): refs[:: (-1) ** number] for number, store in enumerate(stores)}
    mine = [each.mine for each in together(stores, lambda store: store.lease(order[id(store)], 60.0))]
    assert sorted(ref for each in mine for ref in each) == sorted(refs)


def test_a_verdict_is_told_by_one(stores: Sequence[PostgresStore]) -> None:
    """The first one, with its facts; there is no deadlock."""
    refs = [f"acme:{number}" for number in range(40)]
    stores[0].enter([(ref, ACME, {}) for ref in refs])
    order = {id(store): refs[:: (-1) ** number] for number, store in enumerate(stores)}

    def end(store: Store) -> set[str]:
        ended = store.end([Saved(ref, {"by": id(store)}) for ref in order[id(store)]])
        return {ref for ref, ours in ended.items() if ours}

    by = dict(zip(map(id, stores), together(stores, end), strict=True))
    assert sorted(ref for each in by.values() for ref in each) == sorted(refs)
    assert all(kept.ref in by[kept.facts["by"]] for kept in stores[0].jobs())


def test_jobs_that_several_enter_in_any_order(stores: Sequence[PostgresStore]) -> None:
    """Nobody waits in a circle."""
    refs = [f"acme:{number}" for number in range(200)]
    order = {id(store): refs[:: (-1) ** number] for number, store in enumerate(stores)}
    found = together(stores, lambda store: store.enter([(ref, ACME, {}) for ref in order[id(store)]]))
    assert [len(each) for each in found] == [200] * len(stores)
    assert len(stores[0].jobs()) == 200


def test_news_that_is_committed_late(cluster: Postgres, stores: Sequence[PostgresStore]) -> None:
    """However many looks are between: a transaction that takes long hides nothing."""
    one = stores[0]
    shards = one.take({"acme": 1}, 1)
    one.enter([("acme:j1", ACME, {})])
    mark = one.news(shards, 0.0)[1]
    with psycopg.connect(cluster.url("made")) as slow:
        slow.execute(
            "INSERT INTO vidpoll.jobs (ref, account, provider, base_url, variables, sent, facts, added_at, bucket, "
            "change) VALUES ('acme:late', 'acme', '', '', '[]', '{}', '{}', 0, 0, pg_current_xact_id()::text::bigint)"
        )
        for number in range(3):
            one.enter([(f"acme:{number}", ACME, {})])
            found, mark = one.news(shards, mark)
            assert f"acme:{number}" in {kept.ref for kept in found}
        slow.commit()
    assert "acme:late" in {kept.ref for kept in one.news(shards, mark)[0]}
    mark = one.news(shards, mark)[1]
    assert one.news(shards, mark)[0] == []


def test_what_another_is_just_taking_is_passed_over(made: psycopg.Connection, stores: Sequence[PostgresStore]) -> None:
    """A shard, and an account that is divided again: no process waits for one that was stopped with a lock."""
    one, two = stores[:2]
    one.give(one.take({"acme": 1}, 1))
    for locked in ("UPDATE vidpoll.shards SET fence = fence + 1", "SELECT 1 FROM vidpoll.divisions FOR UPDATE"):
        with made.transaction():
            made.execute(locked.encode())
            assert two.take({"acme": 1}, 1) == []
    assert len(two.take({"acme": 1}, 1)) == 1


def test_a_lease_that_was_just_renewed_is_not_taken(
    stores: Sequence[PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner has come back between the look and the write."""
    one, two = stores[:2]
    one.enter([("acme:j1", ACME, {})])
    one.lease(["acme:j1"], -5.0)
    monkeypatch.setattr("vidpoll.storage.owners.busy", lambda *args: False)
    write = two._write

    def late(*args: Any) -> set[str]:
        one.lease(["acme:j1"], 60.0)
        return write(*args)

    monkeypatch.setattr(two, "_write", late)
    assert two.lease(["acme:j1"], 60.0).elsewhere == {"acme:j1"}
    assert one.lease(["acme:j1"], 60.0).mine == {"acme:j1"}
