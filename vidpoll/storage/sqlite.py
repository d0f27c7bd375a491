"""One SQLite file that keeps jobs over a crash: what was submitted, what is known, who asks, what is still to be told.

Several processes may use it at once, and a client's threads share it. A *lease* says who polls a job, a *teller* says
who tells its verdict to the hooks; both end when their process is gone. Calls take rows of many jobs, and each call is
one transaction. Only SQL lives here: what is kept is said in `records`, and when, in `keeper`. Times are Unix seconds
of the client's clock.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import StoreError
from ..fork_lock import ForkLock
from . import owners, records, store_file, table_rows
from .records import KeptJob, Leases, Origin, Saved, Submission, WantedFiles
from .sqlite_errors import way_out

T = TypeVar("T")

APPLICATION = 0x76696470
"""What tells a store from any other SQLite file ("vidp")."""

BUSY = 3.0
"""Real seconds for which a write waits for another process."""

VERSION = 3
"""What `PRAGMA user_version` of a store says."""

SCHEMA = """
CREATE TABLE jobs (
    ref TEXT PRIMARY KEY, account TEXT NOT NULL, provider TEXT NOT NULL, base_url TEXT NOT NULL,
    variables TEXT NOT NULL, operation TEXT, sent TEXT NOT NULL, facts TEXT NOT NULL, submitted_at REAL,
    added_at REAL NOT NULL, ended_at REAL, told_at REAL, requests INTEGER NOT NULL DEFAULT 0,
    transient_errors INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 0, owner TEXT, owned_until REAL,
    teller TEXT, teller_since REAL);
CREATE INDEX jobs_unfinished ON jobs (added_at) WHERE told_at IS NULL;
CREATE TABLE submits (
    number INTEGER PRIMARY KEY, account TEXT NOT NULL, provider TEXT NOT NULL, base_url TEXT NOT NULL,
    variables TEXT NOT NULL, operation TEXT NOT NULL, sent TEXT NOT NULL, at REAL NOT NULL, owner TEXT NOT NULL,
    reason TEXT);
CREATE TABLE files (
    ref TEXT NOT NULL, target TEXT NOT NULL, kinds TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (ref, target, kinds));
"""

_JOB = (
    "ref, account, provider, base_url, variables, operation, sent, facts, submitted_at, added_at, ended_at, told_at, "
    "requests, transient_errors, version"
)

_BAD_ROW = (ValueError, OverflowError, sqlite3.DataError, sqlite3.IntegrityError)
"""What is raised because of what stands in a row, or is to stand there; the file itself is well."""

_TELLER = "SELECT facts, ended_at, told_at, teller, teller_since FROM jobs WHERE ref = ?"

_MINE = ("mine", "taken")

_OURS = "SELECT * FROM submits WHERE owner = ?"


class Store:
    """The file at `path`, made where there is none. Raises StoreError where it cannot be used."""

    def __init__(self, path: str | Path, now: Callable[[], float]) -> None:
        self.path = Path(path).expanduser().absolute()
        self.now = now
        self._token = uuid.uuid4().hex[:12]
        self._here = owners.here()
        self._lock = ForkLock(threading.RLock)
        self._inherited: list[sqlite3.Connection] = []  # of the parent of a fork: never touched, never closed here
        self._open_for: set[int] = set()  # the process whose connection is open
        self._full = False
        self._identity: store_file.Identity | None = None
        with self._understood():
            self._connection = self._open()

    # -- the file -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the leases and the file."""
        with contextlib.suppress(StoreError), self._transaction() as db:
            db.execute("UPDATE jobs SET owner = NULL, owned_until = NULL WHERE owner = ?", (self.owner,))
        with self._alone, contextlib.suppress(sqlite3.Error):
            _closed_by(os.getpid(), self._connection, self._open_for)

    @property
    def closed(self) -> bool:
        """Whether nothing can be kept any more, because the client was closed or is gone."""
        return os.getpid() not in self._open_for

    @property
    def owner(self) -> str:
        """Who we are: this host, this process, this client."""
        return f"{self._here}|{owners.me()}|{self._token}"

    @property
    def _alone(self) -> ForkLock:
        if self._lock.forked:  # SQLite allows no connection to cross a fork
            self._lock = ForkLock(threading.RLock)
            self._inherited.append(self._connection)
            with self._understood():
                self._connection = self._open()
        return self._lock

    def _open(self) -> sqlite3.Connection:
        store_file.make(self.path)
        store_file.check(self.path)
        identity = store_file.identity(self.path)  # before it is opened: what is put in its place then is noticed
        db = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            self._make(db)
            db.execute("PRAGMA synchronous = NORMAL")
            self._full = False
            self._identity = identity
        except BaseException:
            db.close()
            raise
        self._open_for = {os.getpid()}
        weakref.finalize(self, _closed_by, os.getpid(), db, self._open_for)  # where nobody closes the client
        return db

    def _make(self, db: sqlite3.Connection) -> None:
        """Make the tables where there are none; where they are, nothing is written."""
        made = self._made(db)
        if not made:
            db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")  # a store that cannot be written to is known now, and not after the submit
        try:
            if not made and not self._made(db):  # another process may have been faster
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
                db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        with contextlib.suppress(sqlite3.OperationalError):  # another process opens it, too, and sees to that
            db.execute("PRAGMA journal_mode = WAL")

    def _made(self, db: sqlite3.Connection) -> bool:
        """Whether the file is a store of this version; False for an empty one. Raises StoreError for any other."""
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        if not ours and (version or db.execute("SELECT 1 FROM sqlite_master").fetchone()):
            raise StoreError(f"{self.path} is not a store of vidpoll, but another SQLite file; name another one")
        if version > VERSION:
            raise StoreError(
                f"the store {self.path} was made by a newer vidpoll (version {version}, known: {VERSION}); "
                "update vidpoll, or name another store"
            )
        if 0 < version < VERSION:
            raise StoreError(
                f"the store {self.path} was made by an unreleased vidpoll (version {version}, known: {VERSION}); "
                "move it away, and a new one is made; jobs go on at their providers"
            )
        return version == VERSION

    @property
    def moved(self) -> bool:
        """Whether the path leads to another file by now, or to none: what is written goes where nobody will look."""
        with contextlib.suppress(OSError):
            return store_file.identity(self.path) != self._identity
        return False

    def reopen(self, refs: Iterable[str]) -> None:
        """Open what is at the path now, and take along these jobs, with their files, and the submits under way."""
        with self._understood(), self._alone:
            old, along = self._connection, []
            with contextlib.suppress(sqlite3.Error):
                along = [("submits", tuple(row)) for row in old.execute(_OURS, (self.owner,))]
                for table in ("jobs", "files"):
                    for ref in refs:
                        found = old.execute(f"SELECT * FROM {table} WHERE ref = ?", (ref,))
                        along += [(table, tuple(row)) for row in found]
            self._connection = self._open()
            with contextlib.suppress(sqlite3.Error):
                old.close()  # SQLite leaves alone what is at the path of a file that was moved
            with self._transaction(full=True) as db:
                for table, row in along:
                    marks = ", ".join("?" * len(row))
                    db.execute(f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO NOTHING", row)

    def _check_open(self) -> None:
        if self.closed:
            raise StoreError(f"the store {self.path} is closed")
        if self.moved:
            raise store_file.StoreMoved(
                f"the store {self.path} was moved away or replaced while it was open, and keeps nothing here any more: "
                "put it back, or make a new client"
            )

    @contextlib.contextmanager
    def _understood(self, ref: str = "") -> Iterator[None]:
        """Whatever SQLite or the disk says becomes a StoreError with the way out."""
        try:
            yield
        except (sqlite3.Error, OSError, *_BAD_ROW) as error:
            who, kind = f"{ref}: " if ref else "", store_file.BadRow if isinstance(error, _BAD_ROW) else StoreError
            raise kind(f"{who}the store {self.path} {way_out(error)}") from None

    @contextlib.contextmanager
    def _transaction(self, ref: str = "", *, full: bool = False) -> Iterator[sqlite3.Connection]:
        """One at a time, all or nothing. `full`: it is on the disk, and not only on its way, when this returns."""
        with self._understood(ref), self._alone:
            self._check_open()
            db = self._connection
            if full != self._full:
                db.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
                self._full = full
            try:
                db.execute("BEGIN IMMEDIATE")  # Ctrl-C may come while it waits for another process
                yield db
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    def _read(self, make: Callable[[sqlite3.Row], T], sql: str, *values: object) -> list[T]:
        with self._understood(), self._alone:
            self._check_open()
            return [make(row) for row in self._connection.execute(sql, values)]

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def enter(self, jobs: Iterable[tuple[str, Origin, Mapping[str, Any]]]) -> dict[str, KeptJob]:
        """Keep jobs (reference, origin, facts) that are not kept yet; all as they are kept, but for damaged rows."""
        found: dict[str, KeptJob] = {}
        with self._transaction() as db:
            for ref, origin, facts in jobs:
                self._insert(db, KeptJob(ref, origin, facts=facts))
                row = db.execute(f"SELECT {_JOB} FROM jobs WHERE ref = ?", (ref,)).fetchone()
                with contextlib.suppress(ValueError):  # fresh facts mend it, and the others are to be kept
                    found[ref] = table_rows.kept(row)
        return found

    def _insert(self, db: sqlite3.Connection, job: KeptJob) -> None:
        """A new row; of a job that is kept already, only what was not known of its submit."""
        db.execute(
            "INSERT INTO jobs (ref, account, provider, base_url, variables, operation, sent, facts, submitted_at, "
            "added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ref) DO UPDATE SET "
            "sent = CASE WHEN jobs.operation IS NULL THEN excluded.sent ELSE jobs.sent END, "
            "operation = coalesce(jobs.operation, excluded.operation), base_url = excluded.base_url",
            (
                job.ref,
                *table_rows.where(job.origin),
                job.operation,
                table_rows.to_json(job.sent),
                table_rows.to_json(job.facts),
                job.facts.get("submitted_at"),
                self.now(),
            ),
        )

    def get(self, ref: str) -> KeptJob | None:
        """A job as it is kept; None where it is not."""
        found = self._read(table_rows.kept, f"SELECT {_JOB} FROM jobs WHERE ref = ?", ref)
        return found[0] if found else None

    def jobs(self, *, unfinished: bool = False, last: int = -1) -> list[KeptJob]:
        """All jobs, or the `last` ones, the oldest first.

        `unfinished`: without a verdict, or with one not told; what a newer vidpoll keeps is left to it.
        """
        where = "WHERE told_at IS NULL" if unfinished else ""
        order = "ORDER BY added_at DESC, rowid DESC LIMIT ?"
        found = self._read(table_rows.kept, f"SELECT {_JOB} FROM jobs {where} {order}", last)[::-1]
        return [job for job in found if not (unfinished and job.newer)]

    def latest(self, account: str, number: int) -> list[KeptJob]:
        """The jobs of an account that ended last, the latest first."""
        sql = f"SELECT {_JOB} FROM jobs WHERE account = ? AND ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT ?"
        return self._read(table_rows.kept, sql, account, number)

    def save(self, rows: Iterable[Saved]) -> None:
        """Keep what is known of jobs now, in one transaction; a verdict that is kept already is not written over."""
        rows = list(rows)
        with self._transaction(table_rows.who(row.ref for row in rows)) as db:
            for row in rows:
                kept = db.execute("SELECT facts, ended_at FROM jobs WHERE ref = ?", (row.ref,)).fetchone()
                if kept is not None and kept["ended_at"] is None:
                    self._write(db, row, kept)

    def end(self, rows: Iterable[Saved]) -> Mapping[str, bool | None]:
        """Keep verdicts, the first one of each job, in one transaction that is on disk when this returns.

        For each reference: whether telling the verdict is up to us; None where the job is not kept.
        """
        rows = list(rows)
        with self._transaction(table_rows.who(row.ref for row in rows), full=True) as db:
            return {row.ref: self._end(db, row) for row in rows}

    def _end(self, db: sqlite3.Connection, row: Saved) -> bool | None:
        kept = db.execute(_TELLER, (row.ref,)).fetchone()
        if kept is None:
            return None
        if kept["ended_at"] is not None:
            return self._claim(db, row.ref, kept)
        if not self._write(db, row, kept):  # a newer vidpoll keeps it, and will have the verdict as well
            return False
        db.execute(
            "UPDATE jobs SET ended_at = ?, teller = ?, teller_since = ?, owner = NULL, owned_until = NULL "
            "WHERE ref = ?",
            (self.now(), self.owner, self.now(), row.ref),
        )
        return True

    def _write(self, db: sqlite3.Connection, row: Saved, kept: sqlite3.Row) -> bool:
        """Write facts over those that are kept; those of a newer vidpoll are left alone, its fields are kept."""
        before = table_rows.facts_of(kept["facts"])
        if records.newer(before):
            return False
        db.execute(
            "UPDATE jobs SET facts = ?, requests = requests + ?, transient_errors = transient_errors + ?, "
            "version = version + 1 WHERE ref = ?",
            (table_rows.to_json(records.merged(before, row.facts)), row.requests, row.transient_errors, row.ref),
        )
        return True

    def claim(self, refs: Iterable[str]) -> set[str]:
        """The jobs whose verdict is kept and was not told, and is ours to tell from now on."""
        untold = "SELECT ref FROM jobs WHERE ref = ? AND ended_at IS NOT NULL AND told_at IS NULL"
        found = [ref for ref in refs if self._read(lambda row: row, untold, ref)]
        if not found:  # most were told: no need to write
            return set()
        with self._transaction(table_rows.who(found), full=True) as db:
            rows = {ref: db.execute(_TELLER, (ref,)).fetchone() for ref in found}
            return {ref for ref, row in rows.items() if row is not None and self._claim(db, ref, row)}

    def _claim(self, db: sqlite3.Connection, ref: str, row: sqlite3.Row) -> bool:
        """A teller that lives may still be at it."""
        if row["told_at"] is not None or not self._gone(row["teller"], row["teller_since"]):
            return False
        db.execute("UPDATE jobs SET teller = ?, teller_since = ? WHERE ref = ?", (self.owner, self.now(), ref))
        return True

    def told(self, refs: Iterable[str]) -> None:
        """The hooks have heard these verdicts; on disk when this returns."""
        rows = [(self.now(), ref) for ref in refs]
        with self._transaction(table_rows.who(ref for _, ref in rows), full=True) as db:
            db.executemany("UPDATE jobs SET told_at = ?, teller = NULL WHERE ref = ? AND ended_at IS NOT NULL", rows)

    def untold(self, refs: Iterable[str]) -> None:
        """The hooks did not hear these: Ctrl-C came between. They are told when somebody waits for the job again."""
        rows = [(ref, self.owner) for ref in refs]
        with self._transaction(table_rows.who(ref for ref, _ in rows)) as db:
            db.executemany("UPDATE jobs SET teller = NULL WHERE ref = ? AND teller = ?", rows)

    def forget(self, before: float) -> int:
        """Forget the jobs whose verdict was told, and the lost submits that were begun, before a moment; how many."""
        lost = [(submission.number,) for submission in self.submits() if submission.at < before]
        with self._transaction() as db:
            gone = db.execute("DELETE FROM jobs WHERE told_at IS NOT NULL AND ended_at < ?", (before,)).rowcount
            gone += db.executemany("DELETE FROM submits WHERE number = ?", lost).rowcount if lost else 0
            db.execute("DELETE FROM files WHERE ref NOT IN (SELECT ref FROM jobs)")
        return gone

    def drop(self, ref: str, *, strange: bool = False) -> None:
        """Forget a job; `strange`: only where this store did not submit it."""
        with self._transaction(ref) as db:
            if db.execute("DELETE FROM jobs WHERE ref = ? AND (? OR operation IS NULL)", (ref, not strange)).rowcount:
                db.execute("DELETE FROM files WHERE ref = ?", (ref,))

    # -- who asks -----------------------------------------------------------------------------------------------------

    def lease(self, refs: Iterable[str], seconds: float) -> Leases:
        """Become the one who polls these jobs, for so many seconds from now, where nobody else is."""
        refs = list(refs)
        with self._transaction(table_rows.who(refs)) as db:
            held = {ref: self._lease(db, ref, seconds) for ref in refs}
        mine, taken = (frozenset(ref for ref, how in held.items() if how in hows) for hows in (_MINE, ("taken",)))
        return Leases(mine, frozenset(held) - mine, taken)

    def _lease(self, db: sqlite3.Connection, ref: str, seconds: float) -> str:
        row = db.execute("SELECT owner, owned_until FROM jobs WHERE ref = ?", (ref,)).fetchone()
        if row is None:
            return "mine"
        if self._held(row):
            return "elsewhere"
        now = self.now()
        live = row["owner"] not in (None, self.owner) and (row["owned_until"] or 0.0) > now
        db.execute("UPDATE jobs SET owner = ?, owned_until = ? WHERE ref = ?", (self.owner, now + seconds, ref))
        return "taken" if live else "mine"

    def _held(self, row: sqlite3.Row) -> bool:
        """Whether another one holds the lease in a row."""
        owner, late = row["owner"], self.now() - (row["owned_until"] or 0.0)
        if owner is None or owner == self.owner:
            return False
        return owners.busy(owner, self._here, late) if late >= 0 else not self._gone(owner, self.now())

    def release(self, refs: Iterable[str]) -> None:
        """Others may ask about these jobs from now on."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE jobs SET owner = NULL, owned_until = NULL WHERE ref = ? AND owner = ?",
                [(ref, self.owner) for ref in refs],
            )

    def leased(self, ref: str) -> bool:
        """Whether another one asks about a job."""
        return any(self._read(self._held, "SELECT owner, owned_until FROM jobs WHERE ref = ?", ref))

    def _gone(self, owner: str | None, since: float | None) -> bool:
        """Whether an owner is not there any more, who did something last at Unix second `since`; also: it is us."""
        return owner is None or owner == self.owner or owners.gone(owner, self._here, self.now() - (since or 0.0))

    # -- submits ------------------------------------------------------------------------------------------------------

    def begin(self, origin: Origin, operation: str, sent: Mapping[str, Any]) -> int:
        """Keep that a submit is about to be sent; its number."""
        number = int.from_bytes(os.urandom(6), "big")  # one that was forgotten, or is in a backup, is no other's
        with self._transaction(full=True) as db:
            db.execute(
                "INSERT INTO submits (number, account, provider, base_url, variables, operation, sent, at, owner) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, *table_rows.where(origin), operation, table_rows.to_json(sent), self.now(), self.owner),
            )
        return number

    def refused(self, number: int) -> None:
        """Nothing was bought."""
        with self._transaction() as db:
            db.execute("DELETE FROM submits WHERE number = ?", (number,))

    def lost(self, number: int, reason: str) -> None:
        """Nobody knows whether it was received."""
        with self._transaction(full=True) as db:
            db.execute("UPDATE submits SET reason = ? WHERE number = ?", (reason, number))

    def submitted(self, number: int, job: KeptJob, before: float = math.inf) -> None:
        """A submit has become a job. What was kept under its id `before` was another job's: some servers count anew."""
        with self._transaction(job.ref, full=True) as db:
            if db.execute("DELETE FROM jobs WHERE ref = ? AND added_at <= ?", (job.ref, before)).rowcount:
                db.execute("DELETE FROM files WHERE ref = ?", (job.ref,))
            self._insert(db, job)
            db.execute("DELETE FROM submits WHERE number = ?", (number,))

    def adopt(self, number: int, ref: str, facts: Mapping[str, Any]) -> bool:
        """A submit of unknown outcome is this job. False: there is no such submit on record, and nothing is kept."""
        with self._transaction(ref, full=True) as db:
            row = db.execute("SELECT * FROM submits WHERE number = ?", (number,)).fetchone()
            if row is not None:
                sent = table_rows.sent_of(row)
                self._insert(db, KeptJob(ref, table_rows.origin_of(row), row["operation"], sent, facts))
                db.execute("DELETE FROM submits WHERE number = ?", (number,))
            return row is not None

    def submits(self) -> list[Submission]:
        """The submits whose outcome is unknown, the oldest first; not those that are under way."""
        rows = self._read(lambda row: (row, table_rows.submission(row)), "SELECT * FROM submits ORDER BY at, number")
        return [
            submission
            for row, submission in rows
            if row["reason"] is not None or (row["owner"] != self.owner and self._gone(row["owner"], row["at"]))
        ]

    # -- files --------------------------------------------------------------------------------------------------------

    def want(self, wanted: WantedFiles) -> None:
        """Keep that files were asked for."""
        with self._transaction(wanted.ref) as db:
            db.execute(
                "INSERT INTO files (ref, target, kinds, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (wanted.ref, wanted.target, ",".join(wanted.kinds), self.now()),
            )

    def unwant(self, wanted: WantedFiles) -> None:
        """They are there, or will never be."""
        with self._transaction(wanted.ref) as db:
            db.execute(
                "DELETE FROM files WHERE ref = ? AND rtrim(target, '/\\') = ? AND kinds = ?",
                (wanted.ref, wanted.target.rstrip("/\\"), ",".join(wanted.kinds)),
            )

    def wanted(self) -> list[WantedFiles]:
        """The files that were asked for and are not all there yet, the oldest first."""
        return self._read(
            lambda row: WantedFiles(row["ref"], row["target"], tuple(row["kinds"].split(","))),
            "SELECT ref, target, kinds FROM files ORDER BY at, rowid",
        )


def _closed_by(pid: int, db: sqlite3.Connection, open_for: set[int]) -> None:
    """Close a connection, in the process that has opened it."""
    open_for.discard(pid)
    if os.getpid() == pid:
        db.close()
