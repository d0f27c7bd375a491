"""The file of a store: made, refused, damaged, locked, full, and what is dropped from it."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from acme_provider import DONE, DRAWING, REF, talk
from kept_jobs import NOW, RESET, SUBMITTED, kept, sql

import vidpoll
from vidpoll.storage import schema
from vidpoll.storage.keeper import TROUBLE
from vidpoll.storage.schema import VERSION
from vidpoll.storage.sqlite import SqliteStore


def test_many_processes_may_make_a_store_at_once(path: Path) -> None:
    """One of them makes it, and the others find it so."""
    code = (
        "import vidpoll; from vidpoll.storage.sqlite import SqliteStore; "
        f"store = SqliteStore({str(path)!r}, lambda: 0.0); store.enter([('acme:j1', vidpoll.Origin('acme'), {{}})]); "
        "print(len(store.jobs()))"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [child.communicate(timeout=60) for child in children] == [("1\n", "")] * 4
    assert sql(path, "PRAGMA user_version") == [(VERSION,)]


def test_a_store_that_another_process_makes_meanwhile_is_no_foreign_file(path: Path) -> None:
    """Whether a file is a store is read in one snapshot: the other process cannot commit its tables in the middle."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    ours = sqlite3.connect(path, isolation_level=None)

    def meanwhile(statement: str) -> None:
        if "sqlite_master" in statement:
            ours.set_trace_callback(None)
            with contextlib.suppress(sqlite3.OperationalError):  # it has to wait for our look to end
                schema.make(other, path)

    with contextlib.closing(other), contextlib.closing(ours):
        ours.set_trace_callback(meanwhile)
        schema.make(ours, path)
        assert schema.made(ours, path)


def test_a_store_of_a_newer_version_is_left_alone(path: Path) -> None:
    """It says who made it; nothing is written."""
    SqliteStore(path, lambda: NOW).close()
    sql(path, "PRAGMA user_version = 99")
    with pytest.raises(vidpoll.StoreError, match="made by a newer vidpoll"):
        talk([], store=path)


def test_the_file_of_another_program_is_left_alone(path: Path) -> None:
    """An SQLite file with tables of its own is no store."""
    sql(path, "CREATE TABLE accounts (name TEXT)")
    with pytest.raises(vidpoll.StoreError, match="not a store of vidpoll"):
        talk([], store=path)
    assert sql(path, "SELECT name FROM sqlite_master") == [("accounts",)]


@pytest.mark.parametrize(
    "content", [b"not a database, but a text of some length\n" * 20, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_file_says_so(path: Path, content: bytes) -> None:
    """One line with the way out, at once. A file of another kind may be needed: nobody is told to move it away."""
    path.write_bytes(content)
    with pytest.raises(vidpoll.StoreError, match="is not an SQLite file: name another one") as caught:
        talk([], store=path)
    assert "move it away" not in caught.value.message
    assert path.read_bytes() == content


def test_a_damaged_row_says_so(path: Path) -> None:
    """What stands in the file was written by something else."""
    t = talk([DONE], store=path)
    t.client.wait(REF)
    sql(path, "UPDATE jobs SET facts = 'not JSON'")
    with pytest.raises(vidpoll.StoreError, match="is damaged"):
        t.client.store.jobs()


def test_what_is_no_file_is_no_store(tmp_path: Path) -> None:
    """The message says what is at the path, and what to name."""
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "clips").mkdir()
    said = {
        "clips": f"clips is a folder: name a file in it, like {tmp_path / 'clips' / 'jobs.sqlite3'}",
        "notes.txt/jobs.sqlite3": f"jobs.sqlite3 cannot be made: {tmp_path / 'notes.txt'} is a file, not a folder",
    }
    for name, message in said.items():
        with pytest.raises(vidpoll.StoreError, match=re.escape(message)):
            talk([], store=tmp_path / name)
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(vidpoll.StoreError, match="pipe is neither a file nor a folder"):
            talk([], store=tmp_path / "pipe")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "pipe") == ["clips", "notes.txt"]


UNPRIVILEGED = """
import os, sys, vidpoll
from vidpoll.storage.sqlite import SqliteStore
SqliteStore("warm", lambda: 0.0).close()  # whatever Python still has to load
if os.getuid() == 0:  # root may write everywhere
    os.setgid(65534); os.setuid(65534)
try:
    SqliteStore(sys.argv[1], lambda: 0.0)
except vidpoll.StoreError as error:
    print(error)
"""


def test_a_read_only_store_says_so(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Before anything is sent, and not after."""
    if os.name != "posix":
        pytest.skip("needs permissions as POSIX has them")
    SqliteStore(path, lambda: NOW).close()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    for parent in list(path.parents)[1:-2]:
        parent.chmod(parent.stat().st_mode | 0o111)
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path_factory.mktemp("warm"),
        )
    finally:
        path.parent.chmod(0o755)
    assert "cannot be written to: check its permissions" in done.stdout, done.stderr


@pytest.fixture
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program holds the store, for longer than anybody waits."""
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    yield holder
    holder.close()


def test_a_locked_store_costs_a_warning_and_no_job(
    path: Path, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait goes on to its verdict and its hook; a submit is not sent, and says so."""
    monkeypatch.setattr("vidpoll.storage.database.BUSY", 0.05)
    t = talk([DRAWING, DONE], store=path)
    locked.execute("BEGIN IMMEDIATE")
    with pytest.warns(RuntimeWarning, match="is locked by another program") as said:
        assert t.client.wait(REF).ok
    assert t.ears.told == ["stage drawing", "progress 10", "completed"]
    assert 1 <= len(said) <= 3
    with pytest.raises(vidpoll.StoreError, match="acme clip: nothing was sent"):
        t.client.submit("acme", "clip", prompt="x")
    assert "POST /v1/jobs" not in t.requests


def test_a_store_that_fails_after_the_post_loses_no_job(
    path: Path, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id is in hand: the job comes back, with a warning that names it."""
    monkeypatch.setattr("vidpoll.storage.database.BUSY", 0.05)
    t = talk([SUBMITTED], store=path)
    send = t.wire.send
    t.client._loop.transport.send = lambda wire, ticket: (locked.execute("BEGIN IMMEDIATE"), send(wire, ticket))[1]
    with pytest.warns(RuntimeWarning, match="acme:j1 was submitted, but is not in the store: write the reference down"):
        assert t.client.submit("acme", "clip", prompt="x").ref == REF


FULL = """
import resource, signal, sys, vidpoll
from pathlib import Path
from vidpoll.storage.records import Saved
from vidpoll.storage.sqlite import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStore(sys.argv[1], lambda: 0.0)
store.enter([("acme:j1", vidpoll.Origin("acme"), {})])
size = max(file.stat().st_size for file in Path(sys.argv[1]).parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    for number in range(100):
        store.save([Saved("acme:j1", {"stage": "x" * 5000})])
except vidpoll.StoreError as error:
    print(error)
print(store.get("acme:j1").ref)
"""


def test_a_full_disk_says_so_and_spoils_nothing(path: Path) -> None:
    """What was kept before is still there."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs RLIMIT_FSIZE as Linux has it")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    said, ref = done.stdout.splitlines()
    assert said.startswith("acme:j1: the store ")
    assert "its disk is full" in said or "check the disk and its free space" in said
    assert ref == "acme:j1"
    assert [job.ref for job in SqliteStore(path, lambda: NOW).jobs()] == ["acme:j1"]


def test_a_clock_that_is_set_back_does_not_silence_the_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that failed is left alone for a minute that passes, not until a time of day."""
    t = talk([DRAWING], store=path)
    with pytest.warns(RuntimeWarning, match="it failed"):
        t.client._keeper.failed("it failed")  # type: ignore[union-attr]
    monkeypatch.setattr(t.clock, "time", lambda: NOW - 7200.0)
    t.clock.now += TROUBLE + 1.0
    t.client.wait(REF, timeout=0, check=False)
    assert kept(t).job.stage == "drawing"


def test_forget(path: Path) -> None:
    """Only what ended and was told goes, and only what is old enough."""
    t = talk({"j1": [DONE], "j2": [DONE], "j3": [DRAWING], "POST": [RESET]}, store=path)
    t.client.store.want("acme:j1", "clips")
    t.client.wait("acme:j1")
    t.client.wait("acme:j3", timeout=0, check=False)
    t.clock.now += 100
    t.client.wait("acme:j2")
    assert t.client.store.prune(NOW + 100) == 1
    assert [job.ref for job in t.client.store.jobs()] == ["acme:j3", "acme:j2"]
    assert t.client.store.wanted() == []
    with pytest.raises(vidpoll.UsageError):
        t.client.store.prune("yesterday")  # type: ignore[arg-type]


def test_wanted_files_stay_until_they_are_there(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target is kept as it is from any folder; a folder stays one."""
    monkeypatch.chdir(tmp_path)
    mp4 = b"\x00\x00\x00\x18ftypisom" + b"\x00" * 100
    t = talk({"/files/": [*[b"<html>not yet</html>"] * 4, mp4], "": [DONE]}, store=path)
    t.client.store.want(REF, "clips/")
    t.client.store.want(REF, "clips/")
    [wanted] = t.client.store.wanted()
    assert (wanted.ref, wanted.target, wanted.kinds) == (REF, f"{tmp_path / 'clips'}{os.sep}", ("video",))
    job = t.client.wait(REF)
    with pytest.raises(vidpoll.NotAVideo):
        t.client.download(job, "clips/")
    assert t.client.store.wanted() == [wanted]
    t.client.download(job, Path("clips"))
    assert t.client.store.wanted() == []
    t.client.store.want(REF, "other")
    t.client.store.unwant(t.client.store.wanted()[0])
    assert t.client.store.wanted() == []
