"""The open stores of this process. None stays open across a fork: a fork closes them, their next use opens them.

SQLite keeps a table of the locks that its process holds. A fork copies the table, but not the locks. So SQLite in the
child would write without locks, also through a connection of its own, and another process would delete what it wrote.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..clock import SystemClock
from ..errors import StoreError
from ..fork_lock import ForkLock
from . import presence
from .store_file import Identity

PATIENCE = 10.0
"""The most seconds for which a fork waits until no other thread uses a store."""


class Link:
    """The connection of one store to its file. Threads share it, one at a time; each process opens its own."""

    def __init__(self) -> None:
        self.identity: Identity | None = None  # of the file that was opened last
        self.present: tuple[Path, int] | None = None  # where an owner has entered, and in which process
        self.closed = False
        self._connection: sqlite3.Connection | None = None
        self._pid = 0  # the process that has the file open
        self._used = False
        self._lock = ForkLock(threading.RLock)  # reentrant: a signal handler may close the client
        with _adding.current:
            _links[self] = None

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Use the connection; other threads, and their forks, wait."""
        with self._lock.current:
            before = self._used
            try:
                self._used = True
                yield
            finally:
                self._used = before

    @property
    def connection(self) -> sqlite3.Connection | None:
        """The open connection of this process."""
        return None if self.inherited else self._connection

    @property
    def inherited(self) -> bool:
        """Whether it was still open when this process was forked: then it is never used, and never closed here."""
        return self._pid not in (0, os.getpid())

    def opens(self, path: Path, identity: Identity | None) -> None:
        """Record that this process opens a file. Raises StoreError if a fork has left the file open."""
        if any(link.inherited and link.identity in (None, identity) for link in _links.copy()):
            raise StoreError(
                f"the store {path} was in use when this process was forked, so this process cannot use it: fork while "
                'no thread uses a store, or start the process by "spawn"'
            )
        self._pid = os.getpid()

    def opened(self, connection: sqlite3.Connection, identity: Identity | None) -> None:
        """Record the connection that was made."""
        self._connection, self.identity = connection, identity

    def shut(self) -> None:
        """Close the connection until the next use. Raises sqlite3.Error."""
        if not self.inherited:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._pid = None, 0

    def leave(self) -> None:
        """End the presence of the owner."""
        if self.present is not None:
            presence.leave(*self.present)
        self.present = None

    def close(self) -> None:
        """Close it for good."""
        with self.using(), contextlib.suppress(sqlite3.Error):
            self.closed = True
            self.leave()
            self.shut()
        if not self.inherited:  # an inherited connection must outlive its store: Python would close it
            _links.pop(self, None)

    def before_fork(self, end: float) -> None:
        """Close the connection, and hold the lock until the fork is over; wait until the monotonic second `end`."""
        if _hold(self._lock.current, end) and not self._used:  # used: a signal handler forks in the middle of a call
            with contextlib.suppress(sqlite3.Error):
                self.shut()


_links: dict[Link, None] = {}  # in the order in which they were made
_adding = ForkLock(threading.RLock)
_held = threading.local()
"""`locks`: those that this thread holds during its fork."""


def _hold(lock: Any, end: float) -> bool:
    _held.locks.append(lock)  # first: Ctrl-C may come after each call
    return bool(lock.acquire(timeout=max(0.0, end - SystemClock.monotonic())))


def _before_fork() -> None:
    end, _held.locks = SystemClock.monotonic() + PATIENCE, []
    _hold(_adding.current, end)
    for link in _links.copy():
        link.before_fork(end)


def _after_fork() -> None:
    try:
        while _held.locks:
            lock = _held.locks[-1]
            try:
                lock.release()
            except RuntimeError:  # it was not acquired in time
                pass
            finally:
                _held.locks.pop()
    finally:  # Ctrl-C
        if _held.locks:
            _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)  # a child makes locks of its own
