"""The transactions of a store's file: one at a time, in a connection that threads share and each process opens.

Errors of SQLite and the disk become a StoreError with the way out. This module does not know what is stored.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ..clock import SystemClock
from ..errors import StoreError
from . import owners, presence, schema, store_file
from .forks import Link
from .protocol import BadRow
from .sqlite_errors import way_out

T = TypeVar("T")

BUSY = 3.0
"""Real seconds for which a write waits for another process."""

_BAD_ROW = (ValueError, OverflowError, sqlite3.DataError, sqlite3.IntegrityError)
"""The errors caused by the content of a row, old or new; the file itself is sound."""


class Database:
    """The file at `path`; it is made if missing. Raises StoreError if it cannot be used."""

    def __init__(
        self, path: str | Path, now: Callable[[], float], monotonic: Callable[[], float] = SystemClock.monotonic
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self.now = now
        self._monotonic = monotonic
        self._token = uuid.uuid4().hex[:12]
        self._present = ""  # the end of our owner name, if a lock shows that we are alive
        self._here = owners.here()
        self._full = False
        self._home: store_file.Identity | None = None  # the file that was opened first
        self._link = Link()
        weakref.finalize(self, self._link.close)  # in case the client is never closed
        with self._understood(), self._link.using():
            self._open()

    def close(self) -> None:
        """Close the file."""
        self._link.close()

    @property
    def closed(self) -> bool:
        """Whether nothing can be stored any more, because the client was closed."""
        return self._link.closed

    @property
    def owner(self) -> str:
        """The name of this owner: this host, this process, this client."""
        return f"{self._here}|{owners.me()}|{self._token}{self._present}"

    def _dead(self, owner: str) -> bool:
        """Whether the process of an owner is known to be gone."""
        if owners.dead(owner, self._here):
            return True
        beside = owner.endswith(owners.PRESENT) and owners.beside(owner, self._here)
        return beside and presence.gone(self.path, owner)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        with self._link.using():
            self._check_open()
            yield self._link.connection or self._open()

    def _open(self) -> sqlite3.Connection:
        store_file.make(self.path)
        store_file.check(self.path)
        identity = store_file.identity(self.path)  # before it is opened, so that a later replacement is noticed
        same = (identity, (self.path, os.getpid())) == (self._link.identity, self._link.present)
        self._link.opens(self.path, identity)
        db = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            schema.make(db, self.path)
            with contextlib.suppress(sqlite3.OperationalError):  # another process opens the file as well, and sets this
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            db.close()
            raise
        self._link.opened(db, identity)
        self._home = self._home or identity
        self._full = False
        if not same:
            self._enter()
        return db

    def _enter(self) -> None:
        """Show other processes that the owner is alive."""
        self._link.leave()
        self._present = owners.PRESENT
        self._present = owners.PRESENT if presence.enter(self.path, self.owner) else ""
        self._link.present = (self.path, os.getpid()) if self._present else None

    @property
    def moved(self) -> bool:
        """Whether the path leads to another file by now, or to none: then everything written would be lost."""
        with contextlib.suppress(OSError):
            return store_file.identity(self.path) != self._link.identity
        return False

    def _check_open(self) -> None:
        if self.closed:
            raise StoreError(f"the store {self.path} is closed")
        if self.moved:
            raise store_file.StoreMoved(
                f"the store {self.path} was moved away or replaced while it was open: nothing can be stored in it; put "
                "it back, or make a new client"
            )

    def _check_home(self) -> None:
        """Raise StoreError if the store was reopened as another file: what is bought now would be bought again.

        The file of before may be put back, and would know nothing of it.
        """
        if self._link.identity != self._home:
            raise StoreError(
                f"the store {self.path} was moved away or replaced while it was open, and another file is open now, "
                "only for jobs that were already submitted; put the store back, or make a new client"
            )

    @contextlib.contextmanager
    def _understood(self, ref: str = "") -> Iterator[None]:
        """Turn errors of SQLite and the disk into a StoreError with the way out."""
        try:
            yield
        except (sqlite3.Error, OSError, *_BAD_ROW) as error:
            who, kind = f"{ref}: " if ref else "", BadRow if isinstance(error, _BAD_ROW) else StoreError
            raise kind(f"{who}the store {self.path} {way_out(error)}") from None

    @contextlib.contextmanager
    def _transaction(self, ref: str = "", *, full: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction at a time, all or nothing. `full`: the data is synced to the disk when this returns."""
        with self._understood(ref), self._alone() as db:
            if full != self._full:
                db.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
                self._full = full
            try:
                db.execute("BEGIN IMMEDIATE")  # Ctrl-C may interrupt its wait for another process
                yield db
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    def _asked(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        with self._understood(), self._alone() as db:
            return ask(db)

    def _read(self, make: Callable[[sqlite3.Row], T], sql: str, *values: object) -> list[T]:
        return self._asked(lambda db: [make(row) for row in db.execute(sql, values)])
