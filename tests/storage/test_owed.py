"""What a store did not take is owed to it; a store that was moved away; a store that others can write."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from acme_provider import DONE, DRAWING, REF, Talk, talk
from kept_jobs import NOW, RESET, SUBMITTED, kept, sql

import vidpoll
from vidpoll.storage import owners
from vidpoll.storage.owed import Owed
from vidpoll.storage.protocol import BadRow
from vidpoll.storage.sqlite import SqliteStore


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidpoll.storage.database.BUSY", 0.01)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program (a backup) holds the store."""
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.close()


def submitted_while_locked(path: Path, script: list[Any]) -> Talk:
    """A client whose store was locked just when the id of its submit came."""
    t = talk(script, store=path)
    send, held = t.wire.send, locked(path)
    t.client._loop.transport.send = lambda wire, ticket: (held.__enter__(), send(wire, ticket))[1]
    with pytest.warns(RuntimeWarning, match="write the reference down"):
        t.client.submit("acme", "clip", prompt="a lighthouse")
    held.__exit__(None, None, None)
    t.client._loop.transport.send = send
    assert sql(path, "SELECT count(*) FROM jobs") == [(0,)]
    return t


# -- what was not kept ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["wait", "look", "close"])
def test_the_id_of_a_submit_is_kept_by_the_next_transaction_that_works(path: Path, moment: str) -> None:
    """With what was sent; the intent is closed, and nobody is invited to send it again."""
    t = submitted_while_locked(path, [SUBMITTED, DONE])
    if moment == "wait":
        assert t.client.wait(REF).ok
    if moment == "look":
        assert [job.ref for job in t.client.store.unfinished()] == [REF]
    t.client.close()
    after = talk([], store=path)
    assert after.client.store.unknown_submits() == []
    assert kept(after).sent == {"prompt": "a lighthouse"}
    assert kept(after).job.ok == (moment == "wait")


def test_a_submit_that_was_refused_while_the_store_was_locked_is_not_unknown(path: Path) -> None:
    """Whatever ends it."""
    t = talk([(402, {}, b"")], store=path)
    send, held = t.wire.send, locked(path)
    t.client._loop.transport.send = lambda wire, ticket: (held.__enter__(), send(wire, ticket))[1]
    with pytest.warns(RuntimeWarning, match="is locked"), pytest.raises(vidpoll.ProviderError):
        t.client.submit("acme", "clip", prompt="x")
    held.__exit__(None, None, None)
    t.client.close()
    assert sql(path, "SELECT count(*) FROM submits") == [(0,)]


def test_a_verdict_that_was_not_kept_is_kept_later_and_told_once(path: Path) -> None:
    """Its hook was called when it came: neither this process nor the next one calls it again."""
    t = talk([DRAWING, DONE], store=path)
    job = vidpoll.Job(REF)
    t.client.wait(job, timeout=0, check=False)
    with locked(path), pytest.warns(RuntimeWarning, match="is locked"):
        t.client.wait_all([job, t.client.wait(job)])
    assert t.ears.told.count("completed") == 1
    t.client.close()
    [row] = sql(path, "SELECT ended_at IS NOT NULL, told_at IS NOT NULL FROM jobs")
    assert row == (1, 1)
    after = talk([], store=path)
    assert after.client.wait(REF).ok
    assert after.ears.told == []


def test_a_wait_that_began_while_the_store_was_locked_is_kept(path: Path) -> None:
    """From its first line to its verdict."""
    t = talk([DONE], store=path)
    with locked(path), pytest.warns(RuntimeWarning, match="is locked"):
        t.client.wait(REF)
    t.client.close()
    assert kept(talk([], store=path)).job.ok


def test_what_is_never_taken_keeps_back_nothing_else() -> None:
    """It would be refused for ever, and with it all that comes after: no job could be submitted any more."""
    done: list[str] = []

    def fails() -> None:
        raise BadRow("damaged")

    owed = Owed()
    for call in (lambda: done.append("a"), fails, lambda: done.append("b")):
        owed.add(call)
    owed.pay()
    assert (done, bool(owed)) == (["a", "b"], False)


@pytest.mark.parametrize("column", ["facts", "sent", "variables"])
def test_a_damaged_row_keeps_back_no_other_job(path: Path, column: str) -> None:
    """Neither a verdict that is waited for with it, nor the next submit."""
    talk([DONE], store=path).client.store.want(REF, "x.mp4")
    sql(path, f"UPDATE jobs SET {column} = 'not JSON'")
    t = talk([DONE, DONE, {"id": "j3", "status": "queued"}], store=path)
    t.client.wait_all([REF, "acme:j2"])
    t.client.submit("acme", "clip", prompt="a lighthouse")
    rows = sql(path, "SELECT ref, ended_at IS NOT NULL FROM jobs ORDER BY ref")
    assert rows == [(REF, 1), ("acme:j2", 1), ("acme:j3", 0)]


def test_ctrl_c_does_not_lose_the_id_of_a_submit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come while the store waits for another program, with the answer in hand."""
    t = talk([SUBMITTED], store=path)
    store, submitted = t.client._keeper.store, t.client._keeper.store.submitted  # type: ignore[union-attr]

    def interrupted(*_: object) -> None:
        monkeypatch.setattr(store, "submitted", submitted)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "submitted", interrupted)
    with (
        pytest.warns(RuntimeWarning, match="write the reference down. KeyboardInterrupt"),
        pytest.raises(KeyboardInterrupt),
    ):
        t.client.submit("acme", "clip", prompt="a lighthouse")
    assert (kept(t).sent, t.client.store.unknown_submits()) == ({"prompt": "a lighthouse"}, [])


def test_nothing_is_written_past_what_is_owed(path: Path) -> None:
    """What is owed comes first, or nothing does: a job that is entered anew would be without what was sent."""
    done: list[str] = []

    def fails() -> None:
        raise vidpoll.StoreError("locked")

    owed, calls = Owed(), [fails, lambda: done.append("a"), lambda: done.append("b")]
    for call in calls:
        owed.add(lambda call=call: call())  # type: ignore[misc]
    with pytest.raises(vidpoll.StoreError):
        owed.pay()
    assert done == []
    owed._calls.popleft()
    owed.pay()
    owed.pay()
    assert done == ["a", "b"]


# -- a store that was moved away --------------------------------------------------------------------------------------


def removed(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def replaced(path: Path) -> None:
    backup = path.with_name("backup.sqlite3")
    SqliteStore(backup, lambda: NOW).close()
    removed(path)
    backup.replace(path)


@pytest.mark.parametrize("how", [removed, replaced])
def test_a_submit_into_a_store_that_was_moved_away_is_not_sent(path: Path, how: Callable[[Path], None]) -> None:
    """It would be kept where nobody looks; a new client keeps it."""
    t = talk([SUBMITTED], store=path)
    how(path)
    with pytest.warns(RuntimeWarning, match="was moved away"):
        t.client._state("acme")
    with pytest.raises(vidpoll.StoreError, match=r"nothing was sent.*was moved away or replaced while it was open"):
        t.client.submit("acme", "clip", prompt="x")
    assert t.requests == []
    with pytest.raises(vidpoll.StoreError, match="was moved away"):
        t.client.store.jobs()


@pytest.mark.parametrize("how", [removed, replaced])
def test_a_wait_goes_on_in_the_file_that_is_there_now(path: Path, how: Callable[[Path], None]) -> None:
    """With all that was known of its jobs, their wanted files, and what was sent."""
    t = talk([SUBMITTED, DRAWING, DONE], store=path)
    job = t.client.submit("acme", "clip", prompt="a lighthouse")
    t.client.store.want(job, "clips")
    events = t.client.watch(job)
    next(events)
    how(path)
    with pytest.warns(RuntimeWarning, match="jobs are now kept in the file at this path"):
        for _ in events:
            pass
    t.client.close()
    after = talk([], store=path)
    assert (kept(after).sent, kept(after).job.ok) == ({"prompt": "a lighthouse"}, True)
    assert [each.ref for each in after.client.store.wanted()] == [REF]
    assert sql(path, "SELECT told_at IS NOT NULL FROM jobs") == [(1,)]


@pytest.mark.parametrize("how", [removed, replaced])
def test_a_client_whose_store_was_moved_during_a_wait_sends_no_submit(path: Path, how: Callable[[Path], None]) -> None:
    """Its job would be bought again once the file is put back. The job of a key that is known is returned."""
    t = talk([SUBMITTED, DRAWING, DONE], store=path)
    job = t.client.submit_once("acme", "clip", "order", prompt="a lighthouse")
    events = t.client.watch(job)
    next(events)
    how(path)
    with pytest.warns(RuntimeWarning, match="jobs are now kept in the file at this path"):
        list(events)
    asked = len(t.requests)
    with pytest.raises(vidpoll.StoreError, match=r"nothing was sent.*was moved away or replaced.*make a new client"):
        t.client.submit_once("acme", "clip", "other", prompt="a lake")
    with pytest.raises(vidpoll.StoreError, match="nothing was sent"):
        t.client.submit("acme", "clip", prompt="a lake")
    assert t.client.submit_once("acme", "clip", "order", prompt="a lighthouse").ref == REF
    assert (len(t.requests), t.client.store.unknown_submits()) == (asked, [])


@pytest.mark.filterwarnings("ignore:.*jobs are now kept in the file at this path")
def test_a_store_that_is_put_back_during_a_wait_takes_submits_again(path: Path) -> None:
    """It is the file that was opened first."""
    t = talk([SUBMITTED, DRAWING, DONE, {"id": "j2", "status": "queued"}], store=path)
    job = t.client.submit("acme", "clip", prompt="a lighthouse")
    away, keeper = path.with_name("away"), t.client._keeper
    away.mkdir()
    with keeper.waiting([job]):
        for here, there in ((path.parent, away), (away, path.parent)):
            for file in list(here.glob(f"{path.name}*")):
                file.replace(there / file.name)
            keeper.attempt(lambda: keeper.store.get(REF))
    assert t.client.wait(job).ok
    assert t.client.submit("acme", "clip", prompt="a lake").ref == "acme:j2"


def test_a_submit_whose_store_is_moved_while_its_answer_comes_is_kept(path: Path) -> None:
    """In the file that is there then, with what was sent."""
    t = talk([SUBMITTED], store=path)
    send = t.wire.send
    t.client._loop.transport.send = lambda wire, ticket: (removed(path), send(wire, ticket))[1]
    with pytest.warns(RuntimeWarning, match="jobs are now kept in the file at this path"):
        t.client.submit("acme", "clip", prompt="a lighthouse")
    assert kept(t).sent == {"prompt": "a lighthouse"}
    assert sql(path, "SELECT count(*) FROM submits") == [(0,)]


def test_a_job_that_is_asked_about_once_is_taken_along(path: Path) -> None:
    """With what was sent, as that of a wait is."""
    t = talk([SUBMITTED, DONE], store=path)
    job = t.client.submit("acme", "clip", prompt="a lighthouse")
    send = t.wire.send
    t.client._loop.transport.send = lambda wire, ticket: (removed(path), send(wire, ticket))[1]
    with pytest.warns(RuntimeWarning, match="jobs are now kept in the file at this path"):
        t.client.poll(job)
    assert (kept(t).sent, kept(t).job.ok) == ({"prompt": "a lighthouse"}, True)


def test_what_is_owed_to_a_store_that_is_moved_away_is_kept(path: Path) -> None:
    """First it was locked, then it was gone: the id is there all the same."""
    t = submitted_while_locked(path, [SUBMITTED])
    removed(path)
    with pytest.warns(RuntimeWarning, match="jobs are now kept in the file at this path"):
        t.client.close()
    assert kept(talk([], store=path)).sent == {"prompt": "a lighthouse"}


def test_a_store_that_is_put_back_is_used_again(path: Path) -> None:
    """It is the same file."""
    t = talk([SUBMITTED], store=path)
    t.client._state("acme")
    away = path.with_name("away")
    path.rename(away)
    with pytest.raises(vidpoll.StoreError):
        t.client.submit("acme", "clip", prompt="x")
    away.rename(path)
    assert t.client.submit("acme", "clip", prompt="x").ref == REF


# -- a store of others ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="needs permissions as POSIX has them")
@pytest.mark.parametrize("end", ["", "-wal", "-journal"])
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_store_that_others_can_write_is_refused(path: Path, end: str, mode: int) -> None:
    """It says where a key goes; SQLite plays what lies beside it into it."""
    SqliteStore(path, lambda: NOW).close()
    beside = Path(f"{path}{end}")
    beside.touch()
    beside.chmod(mode)
    with pytest.raises(vidpoll.StoreError, match=rf"can be written by others.*chmod go-w {beside}"):
        talk([], store=path)


@pytest.mark.skipif(os.name != "posix", reason="needs permissions as POSIX has them")
def test_a_store_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's is not: who is root may do all of that anyway."""
    SqliteStore(path, lambda: NOW).close()
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    if owner == 0:
        talk([], store=path)
        os.chown(path, owner + 2, -1)
    with pytest.raises(vidpoll.StoreError, match="belongs to another user"):
        talk([], store=path)


@pytest.mark.skipif(os.name != "posix", reason="needs permissions as POSIX has them")
def test_a_folder_that_is_made_is_its_owners(path: Path) -> None:
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        SqliteStore(path.parent / "a" / "b" / "s.sqlite3", lambda: NOW).close()
    finally:
        os.umask(before)
    modes = [(path.parent / each).stat().st_mode & 0o777 for each in ("a", "a/b", "a/b/s.sqlite3")]
    assert modes == [0o700, 0o700, 0o600]


def test_what_cannot_be_read_in_a_store_is_a_store_error(path: Path) -> None:
    """Its file may have come from anywhere."""
    t = talk([DONE], store=path)
    t.client.wait(REF)
    for text in ("[]", "7", "[" * 100_000, "null"):
        sql(path, "UPDATE jobs SET facts = ?", text)
        with pytest.raises(vidpoll.StoreError, match="is damaged"):
            t.client.store.jobs()


# -- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not owners._stat(os.getpid())[1], reason="needs /proc")
def test_a_process_that_lives_outranks_the_clock() -> None:
    """However far a clock is ahead; a process that got its number later does not."""
    here, pid = owners.here(), os.getppid()
    start = owners._stat(pid)[1]
    alive, reborn = f"{here}|{pid}@{start}|x", f"{here}|{pid}@{int(start) - 1}|x"
    assert [owners.gone(each, here, 1e9) for each in (alive, reborn)] == [False, True]
    assert [owners.gone(each, here, 0.0) for each in (alive, reborn)] == [False, True]
    assert [owners.busy(alive, here, late) for late in (0.0, 720.0, 1e9)] == [True, True, False]
    assert not owners.busy(f"elsewhere|{pid}@{start}|x", here, 0.0)
    assert not owners.busy(f"{here}|{owners.me()}|x", here, 0.0)


def test_a_lost_submit_is_not_taken_for_another_one(path: Path) -> None:
    """The number of one that was dismissed is never given again."""
    t = talk([RESET, RESET], store=path)
    for _ in range(2):
        with pytest.raises(vidpoll.SubmitUnknown):
            t.client.submit("acme", "clip", prompt="x")
        [submission] = t.client.store.unknown_submits()
        t.client.store.dismiss(submission)
        with pytest.raises(vidpoll.UsageError, match="no longer on record"):
            t.client.store.adopt(REF, submission)
