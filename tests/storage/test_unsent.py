"""A submit of which no byte was sent leaves nothing on record, whatever ends it; one that was perhaps sent stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, REF, Talk, parse_submit, talk
from batch_runs import Server, night
from kept_jobs import RESET, SUBMITTED, sql

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.storage.sqlite import SqliteStore
from vidpoll.testing import FakeClock

REFUSED = ConnectionRefusedError()


def in_pauses(t: Any, act: Callable[[], object]) -> None:
    """Let `act` happen in each pause, while no request is under way."""
    get = t.clock.get

    def paused(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if not busy:
            act()
        return get(inbox, timeout, busy=busy)

    t.clock.get = paused  # type: ignore[method-assign]


def raises(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def submit(t: Talk, key: str = "") -> vidpoll.Job:
    if key:
        return t.client.submit_once("acme", "clip", key, prompt="x")
    return t.client.submit("acme", "clip", prompt="x")


def on_record(path: Path) -> list[Any]:
    return sql(path, "SELECT reason FROM submits")


@pytest.mark.parametrize("key", ["", "order-42"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError, MemoryError])
def test_nothing_stays_on_record_if_a_pause_is_interrupted(path: Path, error: type[BaseException], key: str) -> None:
    """The connection was refused. The same key then buys."""
    t = talk([REFUSED, SUBMITTED], store=path)
    in_pauses(t, raises(error()))
    with pytest.raises(error):
        submit(t, key)
    assert on_record(path) == []
    u = talk([SUBMITTED], store=path)
    assert submit(u, key).ref == REF


@pytest.mark.parametrize("key", ["", "order-42"])
def test_nothing_is_on_record_in_the_pause(path: Path, key: str) -> None:
    """So that a process may also be killed there; each try is on record while it is under way."""
    t, seen = talk([REFUSED, REFUSED, SUBMITTED], store=path), []
    in_pauses(t, lambda: seen.append(len(on_record(path))))
    send = t.wire.send
    t.client._loop.transport.send = lambda wire, ticket: (seen.append(len(on_record(path))), send(wire, ticket))[1]
    assert submit(t, key).ref == REF
    assert seen == [1, 0, 1, 0, 1]


def test_ctrl_c_says_that_nothing_was_sent(path: Path) -> None:
    """Only if it is certain, with a store or without one."""
    for script, act, said in (([REFUSED], True, "nothing was sent and nothing was bought"), ([SUBMITTED], False, "")):
        for store in (path, None):
            t = talk(script, store=store)
            if act:
                in_pauses(t, raises(KeyboardInterrupt()))
            else:
                t.clock.get = lambda *_, **__: raises(KeyboardInterrupt())()  # type: ignore[method-assign]
            with pytest.raises(KeyboardInterrupt) as caught:
                submit(t)
            assert str(caught.value) == said


@pytest.mark.parametrize("key", ["", "order-42"])
def test_a_client_that_is_closed_in_the_pause_leaves_nothing(path: Path, key: str) -> None:
    """Another thread or a signal handler closes it."""
    t = talk([REFUSED, SUBMITTED], store=path)
    in_pauses(t, t.client.close)
    with pytest.raises(vidpoll.UsageError, match="this client is closed"):
        submit(t, key)
    assert (on_record(path), len(t.requests)) == ([], 1)
    assert t.client._keeper.store.closed  # type: ignore[union-attr]


def test_a_client_that_is_closed_during_a_submit_stores_its_job(path: Path) -> None:
    """The store closes when the id is on disk."""
    t = talk([SUBMITTED], store=path)
    send = t.wire.send
    t.client._loop.transport.send = lambda wire, ticket: (t.client.close(), send(wire, ticket))[1]
    assert submit(t).ref == REF
    assert sql(path, "SELECT ref FROM jobs") == [(REF,)]
    assert t.client._keeper.store.closed  # type: ignore[union-attr]


def test_another_process_may_use_the_key_in_the_pause(path: Path) -> None:
    """It is the same job then: one submit."""
    t, u = talk([REFUSED, SUBMITTED], store=path), talk([SUBMITTED], store=path)
    in_pauses(t, lambda: submit(u, "order-42"))
    assert (submit(t, "order-42").ref, len(t.requests), len(u.requests)) == (REF, 1, 1)


def test_a_store_that_fails_after_the_pause_ends_the_submit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent that is not on record."""
    t = talk([REFUSED, SUBMITTED], store=path)
    fails = raises(vidpoll.StoreError("disk full"))
    in_pauses(t, lambda: monkeypatch.setattr(SqliteStore, "begin", lambda *_, **__: fails()))
    with pytest.raises(vidpoll.StoreError, match="nothing was sent, because it could not be stored"):
        submit(t)
    assert len(t.requests) == 1


@pytest.mark.parametrize(("sent", "stays"), [(True, 1), (False, 0)])
def test_ctrl_c_while_a_request_is_under_way(path: Path, sent: bool, stays: int) -> None:
    """A transport that can shut its connection says whether a byte was sent; without such a word it may have been."""
    t = talk([SUBMITTED], store=path)
    begin = t.client._loop.transport.begin

    def connecting(*args: Any) -> Any:
        ticket = begin(lambda: None, *args[1:])
        ticket.shut, ticket.sent = (lambda: None), sent
        return ticket

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    t.client._loop.transport.begin = connecting
    t.client._loop.transport.send = lambda *_: None
    t.clock.get = interrupt  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        submit(t)
    assert len(on_record(path)) == stays


def test_what_was_perhaps_sent_stays_on_record_when_the_client_is_closed(path: Path) -> None:
    """The provider knows its key, so it is sent again; the first try may have been received."""
    request = lambda fields: vidpoll.Request("POST", "/jobs", json=dict(fields))  # noqa: E731
    operation = replace(ACME.submit["clip"], request=request, key="own_id", honours_key=True)
    provider = replace(ACME, submit={"clip": operation})
    account = vidpoll.Account("acme", key="k" * 20)
    t = talk([RESET, SUBMITTED], store=path, provider=provider, accounts={"acme": account})
    in_pauses(t, t.client.close)
    with pytest.raises(vidpoll.SubmitUnknown, match="may have been received"):
        submit(t, "order-42")
    [(reason,)] = on_record(path)
    assert "this client is closed" in reason


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(("named", "honours"), [(True, False), (False, False), (False, True)])
def test_a_client_that_is_closed_between_two_requests_of_a_submit(
    path: Path, named: bool, honours: bool, kept: bool
) -> None:
    """The first one was accepted: if its response names the job, that is the job; else the outcome is unknown."""

    def first(response: vidpoll.Response, about: str) -> Any:
        known = vidpoll.Submitted(response.json()["id"]) if named else None
        t.client.close()
        return vidpoll.Follow(vidpoll.Request("GET", "/tickets/1"), parse_submit, fallback=known)

    request = lambda fields: vidpoll.Request("POST", "/jobs", json=dict(fields))  # noqa: E731
    operation = vidpoll.Operation(request, first, key="own_id", honours_key=honours)
    account = vidpoll.Account("acme", key="k" * 20)
    script, accounts = [SUBMITTED, SUBMITTED], {"acme": account}
    provider = replace(ACME, submit={"clip": operation})
    t = talk(script, provider=provider, accounts=accounts, store=path if kept else None)
    if named:
        assert submit(t, "order-42" if kept else "").ref == REF
    else:
        with pytest.raises(vidpoll.SubmitUnknown, match="closed") as caught:
            submit(t, "order-42" if kept else "")
        assert caught.value.ids == ("j1",)
    assert t.requests == ["POST /v1/jobs"]
    if kept:
        found = [bool(reason) for (reason,) in on_record(path)], sql(path, "SELECT ref FROM jobs")
        assert found == (([], [(REF,)]) if named else ([True], []))


def interrupt_next_commit(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Ctrl-C right after the next commit, and after `act`."""
    transaction = SqliteStore._transaction

    class Interrupted:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.inner = transaction(*args, **options)

        def __enter__(self) -> Any:
            return self.inner.__enter__()

        def __exit__(self, *error: Any) -> None:
            self.inner.__exit__(*error)
            monkeypatch.setattr(SqliteStore, "_transaction", transaction)
            act()
            raise KeyboardInterrupt

    monkeypatch.setattr(SqliteStore, "_transaction", lambda *args, **options: Interrupted(*args, **options))  # noqa: PLW0108 - a method


def test_ctrl_c_right_after_the_commit_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of the submit is not known to anybody, and nothing was sent."""
    t, submits = talk([SUBMITTED], store=path), []
    interrupt_next_commit(monkeypatch, lambda: submits.append(len(on_record(path))))
    with pytest.raises(KeyboardInterrupt, match="nothing was sent"):
        submit(t, "order-42")
    assert (submits, on_record(path)) == ([1], [])


def test_ctrl_c_before_a_submit_is_repeated_leaves_its_outcome_unknown(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after the commit. The reason is that of the first try, and the same client may repeat it at once."""
    request = lambda fields: vidpoll.Request("POST", "/jobs", json=dict(fields))  # noqa: E731
    operation = replace(ACME.submit["clip"], request=request, key="own_id", honours_key=True)
    provider, account = replace(ACME, submit={"clip": operation}), vidpoll.Account("acme", key="k" * 20)
    t = talk([RESET, SUBMITTED], store=path, provider=provider, accounts={"acme": account})
    t.client._loop.context.patience = 1.0
    with pytest.raises(vidpoll.SubmitUnknown):
        submit(t, "order-42")
    [lost], seen = t.client.store.unknown_submits(), []
    interrupt_next_commit(monkeypatch, lambda: seen.append(on_record(path)))
    with pytest.raises(KeyboardInterrupt):
        submit(t, "order-42")
    assert (seen, t.client.store.unknown_submits()) == ([[(None,)]], [lost])
    assert submit(t, "order-42").ref == REF


def test_a_batch_that_is_interrupted_in_the_pause(tmp_path: Path) -> None:
    """Nothing is on record, and the next run buys the row."""

    def fail(*_: Any) -> Any:
        raise NoAnswer("the connection was refused", sent=False)

    n = night(tmp_path)
    n.client._loop.transport.send = fail
    in_pauses(n, raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        list(n.batch(1))
    assert on_record(tmp_path / "jobs.sqlite3") == []
    clock = FakeClock(n.clock.now)
    again = night(tmp_path, server=Server(clock))
    assert [row.state for row in again.batch(1)] == ["completed"]


def test_a_client_is_closed_while_its_own_thread_holds_the_lock_of_its_waits(tmp_path: Path) -> None:
    """A signal handler may do that; it would wait for itself for ever."""
    keeper = talk([], store=tmp_path / "s.sqlite3").client._keeper
    lock = keeper._alone
    with lock:
        assert lock.acquire(blocking=False), "the thread would wait for itself"
        lock.release()
        keeper.close()
