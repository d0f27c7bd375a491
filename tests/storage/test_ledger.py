"""Rows of batches in a store: once only, never over a budget, a limit or an account's slots, whoever begins them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from kept_jobs import NOW, sql

import vidpoll
from vidpoll.storage import records
from vidpoll.storage.records import KeptJob, Ledger, NoRoom, Order, Saved
from vidpoll.storage.sqlite import SqliteStore

ACME = vidpoll.Origin("acme")
FIRST = Order("night", "a", 1, "d", 2.0, "USD")


@pytest.fixture
def store(path: Path) -> SqliteStore:
    return SqliteStore(path, lambda: NOW)


def begin(store: SqliteStore, order: Order = FIRST, account: str = "acme") -> Any:
    return store.begin(vidpoll.Origin(account), "clip", {"prompt": order.row}, order=order)


def bought(store: SqliteStore, number: int, ref: str, key: str = FIRST.key) -> None:
    """The submit has become a job."""
    store.submitted(number, KeptJob(ref, vidpoll.Origin(ref.partition(":")[0]), "clip", key=key))


def end(store: SqliteStore, ref: str) -> None:
    """The job has its verdict."""
    job = vidpoll.Job(ref)
    job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets_due=False), NOW)
    store.end([Saved(ref, records.facts(job))])


def settle(
    store: SqliteStore, order: Order = FIRST, state: str = "completed", charged: float = 2.0, **said: Any
) -> bool:
    return store.settle(order.batch, order.row, order.attempt, state=state, charged=charged, **said)


def why(store: SqliteStore, order: Order, account: str = "acme") -> str:
    """Why there is no room for an order; then nothing is written."""
    before = sql(store.path, "SELECT count(*) FROM submits"), store.batch_rows(order.batch)
    with pytest.raises(NoRoom) as caught:
        begin(store, order, account)
    assert (sql(store.path, "SELECT count(*) FROM submits"), store.batch_rows(order.batch)) == before
    return caught.value.why


def test_the_reservation_is_on_the_disk_with_the_intent(store: SqliteStore) -> None:
    """One transaction: what the file holds has both or none."""
    begin(store)
    assert sql(store.path, "SELECT key FROM submits") == sql(store.path, "SELECT key FROM batch_rows")
    store.refused(sql(store.path, "SELECT number FROM submits")[0][0])
    assert why(store, replace(FIRST, row="b", budget=1.0)) == "budget"
    assert sql(store.path, "SELECT row FROM batch_rows") == [("a",)]


def test_what_is_once_only_goes_along_into_another_file(store: SqliteStore, path: Path) -> None:
    """A store that was moved away takes no knowledge with it of what was bought."""
    for name in "abc":
        order = replace(FIRST, row=name)
        number = begin(store, order)
        if name == "a":
            bought(store, number, "acme:j1", order.key)
        elif name == "b":
            store.lost(number, "reset")
        else:
            store.refused(number)
    bought(store, store.begin(ACME, "clip", {}, key="order-42"), "acme:j2", "order-42")
    before = store.batch_rows("night")
    for end_ in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{end_}").rename(path.with_name(f"away{end_}"))
    store.reopen([])
    assert {name: row.state for name, row in store.batch_rows("night").items()} == {
        "a": "running",
        "b": "unknown",
        "c": "waiting",
    }
    assert store.batch_rows("night") == before
    assert [job.key for job in store.jobs() if job.ref == "acme:j2"] == ["order-42"]


@pytest.mark.parametrize(
    ("one", "two"), [(("a/b", "c"), ("a", "b/c")), (("a%2Fb", "c"), ("a/b", "c")), (("a", "b/1"), ("a/b", "1"))]
)
def test_no_two_rows_have_one_key(one: tuple[str, str], two: tuple[str, str]) -> None:
    """Whatever stands in their names."""
    assert Order(*one, 1, "").key != Order(*two, 1, "").key


SLOTS, BUDGET, PRICE = 2, 5.0, 2.0


class Night(RuleBasedStateMachine):
    """Two processes at one batch; what is bought, at what cost, by a model that counts what the provider got."""

    path: Path

    def __init__(self) -> None:
        super().__init__()
        self.path.unlink(missing_ok=True)
        self.stores = [SqliteStore(self.path, lambda: NOW) for _ in range(2)]
        self.open: dict[int, tuple[SqliteStore, Order]] = {}  # POSTs under way, by number
        self.running: dict[str, Order] = {}
        self.done: dict[str, set[int]] = {}  # completed attempts of each row
        self.spent = 0.0
        self.jobs = 0

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    @rule(which=st.integers(0, 1), row=st.sampled_from("abc"), more=st.integers(0, 1))
    def submit(self, which: int, row: str, more: int) -> None:
        store = self.stores[which]
        kept = store.batch_rows("night").get(row)
        attempt = 1 if kept is None else kept.attempt + more
        order = Order("night", row, attempt, "d", PRICE, "USD", BUDGET, None, SLOTS)
        try:
            begun = begin(store, order)
        except NoRoom:
            return
        if isinstance(begun, int):
            at_work = [each.row for _, each in self.open.values()] + [each.row for each in self.running.values()]
            assert row not in at_work  # else it would be bought twice
            assert row not in self.done
            self.open[begun] = (store, order)

    @rule(data=st.data(), outcome=st.sampled_from(["bought", "refused", "lost", "adopted"]))
    def answer(self, data: st.DataObject, outcome: str) -> None:
        if not self.open:
            return
        number = data.draw(st.sampled_from(list(self.open)))  # in their order: the numbers are random
        store, order = self.open[number]
        if outcome == "lost":
            store.lost(number, "reset")
            return
        del self.open[number]
        if outcome == "refused":
            store.refused(number)
            return
        self.jobs += 1
        ref = f"acme:j{self.jobs}"
        self.running[ref] = order
        if outcome == "bought":
            bought(store, number, ref, order.key)
        else:
            store.adopt(number, ref, {})

    @rule(data=st.data(), which=st.integers(0, 1), outcome=st.sampled_from(["completed", "waiting", "failed"]))
    def verdict(self, data: st.DataObject, which: int, outcome: str) -> None:
        if not self.running:
            return
        ref = data.draw(st.sampled_from(sorted(self.running)))
        order = self.running.pop(ref)
        end(self.stores[which], ref)
        charged = PRICE if outcome == "completed" else 0.0
        self.spent += charged
        if outcome == "completed":
            self.done.setdefault(order.row, set()).add(order.attempt)
        assert settle(self.stores[1 - which], order, outcome, charged)

    @invariant()
    def kept_to(self) -> None:
        held = len(self.open) + len(self.running)
        assert held <= SLOTS
        assert self.spent + held * PRICE <= BUDGET
        told = self.stores[0].ledger("night").get("USD", Ledger())
        assert (told.settled, told.reserved + told.unknown) == (self.spent, held * PRICE)
        assert self.stores[1].in_flight("acme") == held


def test_no_order_of_events_buys_twice_or_too_much(path: Path) -> None:
    """Two processes, answers that are lost, adopted and refused, verdicts that any of them settles."""
    machine = type("OfPath", (Night,), {"path": path})
    checks = settings(
        max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(machine, settings=checks)  # type: ignore[no-untyped-call]
