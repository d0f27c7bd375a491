"""A store outlives its connections: they are made anew where a call may be repeated, and in a forked child."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from forking import in_a_child
from servers import PgBouncer, Postgres
from vidpoll_postgres import database
from vidpoll_postgres.store import PostgresStore
from vidpoll_postgres.transaction import Transaction

from vidpoll import Origin, StoreError
from vidpoll.storage.protocol import Saved

ACME = Origin("acme")
JOB = [("acme:j1", ACME, {})]


@pytest.fixture
def store(made: object, cluster: Postgres) -> Iterator[PostgresStore]:
    """One owner, and a job."""
    opened = PostgresStore(cluster.url("made"))
    opened.enter(JOB)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def _free() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def free(_free: Postgres) -> Postgres:
    """A server that may be stopped; its store is empty."""
    if _free.process is None:
        _free.start()
    with psycopg.connect(_free.url(), autocommit=True) as db:
        db.execute("DROP SCHEMA IF EXISTS vidpoll CASCADE")
    return _free


def cut(db: psycopg.Connection) -> None:
    """End all connections to this database, but the one that does it."""
    db.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


class Cuts:
    """Cuts the connection of a store right before, or right after, its next commit; or the one `after` others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, kept: bool, after: int = 0) -> None:
        self.kept, self.left = kept, after
        self._real = psycopg.Connection.execute
        monkeypatch.setattr(psycopg.Connection, "execute", lambda *args: self.execute(*args))  # noqa: PLW0108 - a method

    def execute(self, connection: psycopg.Connection, query: Any, *values: Any) -> Any:
        self.left -= query == b"COMMIT"
        if query != b"COMMIT" or self.left != -1:
            return self._real(connection, query, *values)
        if self.kept:
            self._real(connection, query)
        connection.close()
        return self._real(connection, query)


def test_a_connection_that_was_cut_while_it_was_idle(store: PostgresStore, made: psycopg.Connection) -> None:
    """Nobody hears of it."""
    cut(made)
    assert store.end([Saved("acme:j1", {})]) == {"acme:j1": True}


def test_a_connection_that_is_cut_in_a_transaction(store: PostgresStore, made: psycopg.Connection) -> None:
    """What it did is undone, and done again."""
    calls = []

    def work(db: Transaction) -> int:
        calls.append(db.run("UPDATE vidpoll.jobs SET requests = requests + 1"))
        if len(calls) == 1:
            cut(made)
        return len(db.rows("SELECT 1"))

    assert store._ask(work) == 1
    kept = store.get("acme:j1")
    assert kept is not None
    assert (calls, kept.requests) == ([1, 1], 1)


@pytest.mark.parametrize("kept", [False, True])
def test_a_commit_whose_answer_is_lost(
    store: PostgresStore, made: object, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was kept or not: a submit is begun once, a verdict is ours, a job is there."""
    Cuts(monkeypatch, kept=kept)
    number = store.begin(ACME, "clip", {}, key="k")
    assert isinstance(number, int)
    Cuts(monkeypatch, kept=kept)
    assert store.end([Saved("acme:j1", {})]) == {"acme:j1": True}
    Cuts(monkeypatch, kept=kept, after=1)  # the first is that of the heartbeat
    assert len(store.take({"acme": 1}, 1)) == (0 if kept else 1)
    assert len(store.held()) == 1
    assert store.in_flight("acme") == 1


@pytest.mark.parametrize("kept", [False, True])
def test_what_must_not_be_repeated_says_so(store: PostgresStore, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was kept is seen by looking."""
    number = store.begin(ACME, "clip", {}, key="k")
    assert isinstance(number, int)
    store.lost(number, "reset")
    [lost] = store.submits()
    Cuts(monkeypatch, kept=kept)
    with pytest.raises(StoreError):
        store.begin_again(lost)
    assert store.submits() == ([] if kept else [lost])


def interrupt_next_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C right after the next commit."""
    real = psycopg.Connection.execute

    def execute(connection: psycopg.Connection, query: Any, *values: Any) -> Any:
        done = real(connection, query, *values)
        if query == b"COMMIT":
            monkeypatch.setattr(psycopg.Connection, "execute", real)
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(psycopg.Connection, "execute", execute)


def test_ctrl_c_right_after_the_commit_of_a_submit(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent: the first try is dropped, and a repeated one has an unknown outcome, as before."""
    interrupt_next_commit(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        store.begin(ACME, "clip", {}, key="k")
    number = store.begin(ACME, "clip", {}, key="k")
    assert isinstance(number, int)
    store.lost(number, "reset")
    [lost] = store.submits()
    interrupt_next_commit(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        store.begin_again(lost)
    assert store.submits() == [lost]
    assert store.begin_again(lost) == number


def test_a_short_outage_is_waited_for(free: Postgres) -> None:
    """A server that was stopped at once and comes again has lost nothing that was durable."""
    store = PostgresStore(free.url())
    store.enter(JOB)
    assert store.end([Saved("acme:j1", {})]) == {"acme:j1": True}
    free.stop(signal.SIGQUIT)
    again = threading.Timer(0.3, free.start)
    again.start()
    try:
        assert store.claim(["acme:j1"]) == {"acme:j1"}
        store.told(["acme:j1"])
    finally:
        again.join()
    assert [kept.told_at is not None for kept in store.jobs()] == [True]
    store.close()


def test_a_long_outage_holds_nobody(free: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while each call is one try; the first one after the outage works."""
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    store = PostgresStore(free.url())
    free.stop()
    with pytest.raises(StoreError, match="cannot be reached"):
        store.beat()
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(StoreError, match="cannot be reached"):
            store.beat()
    assert time.monotonic() - begun < 20 * database.PATIENCE
    free.start()
    store.beat()
    assert store._failing_since is None
    store.close()


def test_after_a_restart_all_is_new(free: Postgres) -> None:
    """The server may be a replica that lacks the last transactions: no mark of before is believed."""
    store = PostgresStore(free.url())
    store.enter(JOB)
    shards = store.take({"acme": 1}, 1)
    mark = store.news(shards, 0.0)[1]
    mark = store.news(shards, mark)[1]
    assert store.news(shards, mark)[0] == []
    free.stop()
    free.start()
    assert [kept.ref for kept in store.news(shards, mark)[0]] == ["acme:j1"]
    store.close()


def test_a_forked_child_has_connections_of_its_own(store: PostgresStore) -> None:
    """And is another owner; the parent's go on."""
    store.lease(["acme:j1"], 60.0)
    assert in_a_child(lambda: store.lease(["acme:j1"], 60.0).elsewhere == {"acme:j1"} and store.jobs() != [])
    assert store.lease(["acme:j1"], 60.0).mine == {"acme:j1"}
    assert len(store._idle) == 1


def test_nothing_of_a_call_stays_behind(store: PostgresStore) -> None:
    """No setting outlives a transaction, no transaction outlives a call, also one that failed; nothing is prepared."""
    for _ in range(10):
        store.jobs()
    with pytest.raises(ZeroDivisionError):
        store._ask(lambda db: db.run("SELECT 1") / 0)
    [connection] = store._idle
    assert connection.info.transaction_status.name == "IDLE"
    names = ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    assert [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names] == [
        {"synchronous_commit": "on"},
        {"statement_timeout": "0"},
        {"lock_timeout": "0"},
        {"idle_in_transaction_session_timeout": "0"},
    ]
    assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == {"count": 0}


@pytest.mark.parametrize(("setting", "durable", "lazy"), [("off", "on", "off"), ("local", "local", "off")])
def test_what_is_durable(made: psycopg.Connection, cluster: Postgres, setting: str, durable: str, lazy: str) -> None:
    """Whatever the server's own setting is: verdicts are on the disk, and a stricter one counts."""
    made.execute(f"ALTER DATABASE made SET synchronous_commit = {setting}".encode())
    try:
        store = PostgresStore(cluster.url("made"))
        shown = "SELECT current_setting('synchronous_commit') AS it"
        assert [store._ask(lambda db: db.one(shown), durable=how) for how in (True, False)] == [
            {"it": durable},
            {"it": lazy},
        ]
        store.close()
    finally:
        made.execute("ALTER DATABASE made RESET synchronous_commit")


def test_many_threads_share_a_store(store: PostgresStore, bouncer: PgBouncer) -> None:
    """Each call has a connection of its own; few are kept. Behind pgbouncer two do for all."""
    for shared in (store, PostgresStore(bouncer.url("made"))):
        with ThreadPoolExecutor(8) as threads:
            assert len([*threads.map(PostgresStore.beat, [shared] * 40)]) == 40
        assert 1 <= len(shared._idle) <= database.IDLE
        shared.close()
        assert shared._idle == []


def test_a_stopped_process_holds_no_lock(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs in the middle of a transaction is ended by the server, and made again."""
    monkeypatch.setattr(database, "_BEGIN", database._BEGIN.replace("'5s'", "'100ms'"))
    turns = []

    def work(db: Transaction) -> int:
        turns.append(db.one("SELECT 1 FROM vidpoll.jobs FOR UPDATE"))
        if len(turns) == 1:
            time.sleep(0.3)
        return db.run("UPDATE vidpoll.jobs SET requests = 7")

    assert store._ask(work) == 1
    assert len(turns) == 2


def test_a_store_that_nobody_closes(made: object, cluster: Postgres) -> None:
    """Its connections are closed all the same: warnings are errors here."""
    store = PostgresStore(cluster.url("made"))
    [connection] = store._idle
    del store
    assert connection.closed
