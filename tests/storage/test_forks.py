"""A fork while stores are open: what the child stores is on record, whatever the parent does with its own."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from acme_provider import DRAWING, REF, talk
from forking import in_a_child

import vidpoll
from vidpoll.storage import forks, presence
from vidpoll.storage.records import KeptJob
from vidpoll.storage.sqlite import SqliteStore
from vidpoll.storage.store_file import StoreMoved

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")

NOW = 1000.0
ORIGIN = vidpoll.Origin("acme")


def a_store(path: Path) -> SqliteStore:
    return SqliteStore(path, lambda: NOW)


def buy(store: SqliteStore, key: str) -> None:
    number = store.begin(ORIGIN, "clip", {}, key=key)
    assert isinstance(number, int)
    store.submitted(number, KeptJob(f"acme:{key}", ORIGIN, "clip", key=key))


@contextmanager
def in_a_transaction(store: SqliteStore, over: threading.Event) -> Iterator[None]:
    """Another thread is in the middle of a transaction, which it commits when this is over."""
    inside = threading.Event()

    def work() -> None:
        with store._transaction() as db:
            db.execute("UPDATE changes SET number = 7")
            inside.set()
            over.wait(60.0)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(60.0)
    try:
        yield
    finally:
        over.set()
        thread.join()


def keys(path: Path) -> list[str]:
    store = a_store(path)
    found = [job.key for job in store.jobs()]
    store.close()
    return found


@pytest.mark.parametrize("own", [True, False], ids=["a store of its own", "the store of its parent"])
def test_what_a_child_buys_is_on_record(path: Path, own: bool) -> None:
    """The parent closes its store, and so does the child: without the locks, one would delete the other's log."""
    store = a_store(path)
    buy(store, "parent")

    def work() -> None:
        mine = a_store(path) if own else store
        buy(mine, "child")
        mine.close()

    assert in_a_child(work, store.close)
    assert keys(path) == ["parent", "child"]


def test_both_go_on_after_a_fork(path: Path) -> None:
    """Each in a connection of its own, which its next call opens; closing the one does not close the other."""
    store = a_store(path)
    buy(store, "before")

    def work() -> None:
        buy(store, "child")
        store.close()

    assert in_a_child(work, lambda: buy(store, "meanwhile"))
    buy(store, "after")
    store.close()
    assert keys(path) == ["before", "meanwhile", "child", "after"]


def test_a_closed_store_stays_closed_in_a_child(path: Path) -> None:
    store = a_store(path)
    store.close()

    def work() -> None:
        with pytest.raises(vidpoll.StoreError, match="is closed"):
            store.jobs()

    assert in_a_child(work)


def test_a_fork_waits_for_a_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another thread: it is committed, then the store is closed."""
    store, over, hold = a_store(path), threading.Event(), forks._hold

    def held(lock: object, end: float) -> bool:
        over.set()
        return hold(lock, end)

    monkeypatch.setattr(forks, "_hold", held)
    with in_a_transaction(store, over):
        assert in_a_child(lambda: buy(store, "child"), lambda: buy(store, "parent"))
    store.close()
    assert keys(path) == ["parent", "child"]


def refused(store: SqliteStore, path: Path) -> Callable[[], None]:
    """Check that neither this store nor another one of the file can be used; other files can."""

    def check() -> None:
        for use in (lambda: buy(store, "child"), lambda: a_store(path), lambda: a_store(path)):
            with pytest.raises(vidpoll.StoreError, match="was in use when this process was forked"):
                use()
        store.close()
        del store._link
        gc.collect()
        with pytest.raises(vidpoll.StoreError, match="was in use when this process was forked"):
            a_store(path)
        buy(a_store(path.with_name("other.sqlite3")), "child")

    return check


def test_a_fork_that_cannot_wait_longer_leaves_the_store_to_the_parent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child gets an error before anything is sent, rather than a store that forgets."""
    monkeypatch.setattr(forks, "PATIENCE", 0.0)
    store, over = a_store(path), threading.Event()
    with in_a_transaction(store, over):
        assert in_a_child(refused(store, path))
    buy(store, "parent")
    assert store._read(lambda row: row["number"], "SELECT number FROM changes") == [8]
    store.close()
    assert keys(path) == ["parent"]


def test_a_fork_within_a_transaction_does_not_break_it(path: Path) -> None:
    """A signal handler forks in the middle of a call: the call goes on in the parent."""
    store = a_store(path)
    with store._transaction() as db:
        db.execute("UPDATE changes SET number = 7")
        assert in_a_child(refused(store, path))
    assert store._read(lambda row: row["number"], "SELECT number FROM changes") == [7]
    assert in_a_child(lambda: buy(store, "child"))
    store.close()
    assert keys(path) == ["child"]


def test_a_store_leaves_the_list(path: Path) -> None:
    """When it is closed, when it is garbage, and when it could not be opened."""
    before = set(forks._links)
    store = a_store(path)
    assert len(set(forks._links) - before) == 1
    store.close()
    store.close()
    assert set(forks._links) <= before
    a_store(path)
    gc.collect()
    assert set(forks._links) <= before
    with pytest.raises(vidpoll.StoreError):
        a_store(path.parent)
    gc.collect()
    assert set(forks._links) <= before


def test_both_owners_are_present(path: Path) -> None:
    """The byte of the parent stays locked over the fork; the child locks its own."""
    store = a_store(path)
    parent = store.owner

    def work() -> None:
        store.jobs()
        assert store.owner != parent
        assert store.owner.endswith("+")
        assert not presence.gone(path, parent)
        assert presence.gone(path, f"{parent}-nobody")

    assert in_a_child(work, store.jobs)
    assert store.owner == parent
    store.close()


def test_a_store_that_is_moved_after_a_fork(path: Path) -> None:
    """Its rows cannot be copied to a new file any more: so it makes none, and works on when it is put back."""
    store, away = a_store(path), path.with_name("away")
    buy(store, "order-42")
    assert in_a_child(lambda: None)
    path.rename(away)
    for use in (store.jobs, lambda: store.reopen([])):
        with pytest.raises(StoreMoved):
            use()
    assert not path.exists()
    away.rename(path)
    store.reopen([])
    assert [job.key for job in store.jobs()] == ["order-42"]
    store.close()


def test_a_child_does_not_hold_its_parents_leases(path: Path) -> None:
    """It follows while the parent polls; a lock that another thread of the parent holds does not stop it."""
    client = talk([DRAWING], store=path).client
    keeper, job = client._keeper, vidpoll.Job(REF)
    keeper.enter([job], [client._state("acme").opened])
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        with keeper._alone:
            taken.set()
            over.wait(60.0)

    with keeper.waiting([job]):
        assert keeper.lease(job, 10.0) == (True, False)
        thread = threading.Thread(target=hold)
        thread.start()
        taken.wait(60.0)

        def work() -> None:
            assert keeper.lease(job, 10.0) == (False, False)
            assert not keeper.holds(REF)
            with keeper.waiting([job]):
                assert keeper._waits == {REF: 1}
            assert not keeper._waits

        try:
            assert in_a_child(work)
        finally:
            over.set()
            thread.join()
        assert keeper.holds(REF)
    client.close()
