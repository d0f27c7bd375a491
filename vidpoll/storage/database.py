"""The connection to the file of a store: shared by threads, left alone by a forked child, one transaction at a time.

What it says when it does not work becomes a StoreError with the way out. What is kept is not known here.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ..clock import SystemClock
from ..errors import StoreError
from ..fork_lock import ForkLock
from . import owners, presence, schema, store_file
from .protocol import BadRow
from .sqlite_errors import way_out

T = TypeVar("T")

BUSY = 3.0
"""Real seconds for which a write waits for another process."""

_BAD_ROW = (ValueError, OverflowError, sqlite3.DataError, sqlite3.IntegrityError)
"""What is raised because of what stands in a row, or is to stand there; the file itself is well."""


class Database:
    """The file at `path`, made where there is none. Raises StoreError where it cannot be used."""

    def __init__(
        self, path: str | Path, now: Callable[[], float], monotonic: Callable[[], float] = SystemClock.monotonic
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self.now = now
        self._monotonic = monotonic
        self._token = uuid.uuid4().hex[:12]
        self._present = ""  # what our name ends with, where the kernel tells whether we are there
        self._here = owners.here()
        self._lock = ForkLock(threading.RLock)
        self._inherited: list[sqlite3.Connection] = []  # of the parent of a fork: never touched, never closed here
        self._open_for: set[int] = set()  # the process whose connection is open
        self._full = False
        self._identity: store_file.Identity | None = None
        with self._understood():
            self._connection = self._open()

    def close(self) -> None:
        """Let go of the file."""
        with self._alone, contextlib.suppress(sqlite3.Error):
            _closed_by(os.getpid(), *self._closing)

    @property
    def closed(self) -> bool:
        """Whether nothing can be kept any more, because the client was closed or is gone."""
        return os.getpid() not in self._open_for

    @property
    def owner(self) -> str:
        """Who we are: this host, this process, this client."""
        return f"{self._here}|{owners.me()}|{self._token}{self._present}"

    def _dead(self, owner: str) -> bool:
        """Whether the process of an owner is known not to be there any more."""
        if owners.dead(owner, self._here):
            return True
        beside = owner.endswith(owners.PRESENT) and owners.beside(owner, self._here)
        return beside and presence.gone(self.path, owner)

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
            schema.make(db, self.path)
            with contextlib.suppress(sqlite3.OperationalError):  # another process opens it, too, and sees to that
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            self._full = False
            self._identity = identity
        except BaseException:
            db.close()
            raise
        self._open_for = {os.getpid()}
        self._present = owners.PRESENT
        self._present = owners.PRESENT if presence.enter(self.path, self.owner) else ""
        where = self.path if self._present else None
        weakref.finalize(self, _closed_by, os.getpid(), db, self._open_for, where)  # where nobody closes the client
        self._closing = (db, self._open_for, where)
        return db

    @property
    def moved(self) -> bool:
        """Whether the path leads to another file by now, or to none: what is written goes where nobody will look."""
        with contextlib.suppress(OSError):
            return store_file.identity(self.path) != self._identity
        return False

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
            who, kind = f"{ref}: " if ref else "", BadRow if isinstance(error, _BAD_ROW) else StoreError
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

    def _asked(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        with self._understood(), self._alone:
            self._check_open()
            return ask(self._connection)

    def _read(self, make: Callable[[sqlite3.Row], T], sql: str, *values: object) -> list[T]:
        return self._asked(lambda db: [make(row) for row in db.execute(sql, values)])


def _closed_by(pid: int, db: sqlite3.Connection, open_for: set[int], present: Path | None) -> None:
    """Close a connection, in the process that has opened it; its owner is not `present` at the path any more."""
    if present is not None and pid in open_for:
        presence.leave(present, pid)
    open_for.discard(pid)
    if os.getpid() == pid:
        db.close()
