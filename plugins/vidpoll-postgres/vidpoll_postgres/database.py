"""The connections to a database: each call of a store is one transaction, which is repeated if its connection is lost.

pgbouncer may be in front of the server in transaction mode: there are no prepared statements, and no settings that
outlive a transaction. psycopg's pool is not used: it hides why a connection failed, waits ever longer between two
attempts, and its threads do not survive a fork.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from vidpoll import StoreError
from vidpoll.fork_lock import ForkLock
from vidpoll.storage import owners
from vidpoll.storage.protocol import BadRow

from . import schema
from .address import Address
from .transaction import Connection, Transaction
from .troubles import AGAIN, BAD_ROW, refused_for_good, way_out

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds of an outage for which a call is repeated; in a longer one each call is tried once."""

PAUSE = (0.02, 0.3)
"""Seconds between two attempts, drawn at random."""

IDLE = 4
"""The most idle connections that are kept; there are as many open connections as simultaneous calls."""

_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = '60s'; "
    "SET LOCAL lock_timeout = '10s'; "
    "SET LOCAL idle_in_transaction_session_timeout = '5s'; "  # a stopped process (SIGSTOP) keeps no lock
)
_NOW = "SELECT extract(epoch FROM now())::float8 AS now"
_LAZY = "SET LOCAL synchronous_commit = off; "
_DURABLE = "SET LOCAL synchronous_commit = on; "
"""Used if the server's own setting is off; any other setting of the server stays, because it may be even safer."""


class _Cut(Exception):
    """A connection was lost, or could not be made. `sure`: the transaction was certainly not committed."""

    def __init__(self, error: psycopg.Error, *, sure: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.sure = sure


class Database:
    """The database at a URL; missing tables are made. Raises StoreError if it cannot be used.

    `now` replaces the database's time, for tests.
    """

    def __init__(self, url: str, now: Callable[[], float] | None = None) -> None:
        self.address = Address(url)
        self._given_now = now
        self._token = uuid.uuid4().hex[:12]
        self._here = owners.here()
        self._inherited: list[list[Connection]] = []  # of the parent process: never used, never closed here
        self._failing_since: float | None = None
        self._anchor = (0.0, 0.0)
        self._durable = ""
        self._closed = False
        self._reset()
        self._open()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Connection] = []
        weakref.finalize(self, _close_all, self._pid, self._idle)
        self._lock = ForkLock()

    def _open(self) -> None:
        self._failing_since = float("-inf")  # one attempt: the user may have just written a wrong URL
        with self._understood():
            self._do(self._prepare, durable=True)

    def _prepare(self, db: Transaction) -> None:
        if db.server_version < schema.LEAST:
            said = f"{db.server_version // 10000}.{db.server_version % 10000}"
            raise StoreError(f"the store {self.address} must be PostgreSQL 13 or newer, got {said}: update the server")
        schema.make(db, self.address)
        if db.one("SELECT 1 WHERE current_setting('synchronous_commit') = 'off'"):
            self._durable = _DURABLE

    def close(self) -> None:
        """Close all connections."""
        with self._own:
            self._closed = True
            _close_all(self._pid, self._idle)

    @property
    def closed(self) -> bool:
        """Whether `close` was called: nothing can be stored any more."""
        return self._closed

    @property
    def owner(self) -> str:
        """The owner's name of this client: host, process, client."""
        return f"{self._here}|{owners.me()}|{self._token}"

    def now(self) -> float:
        """The database's time, in Unix seconds, extrapolated from the last transaction."""
        if self._given_now is not None:
            return self._given_now()
        then, at = self._anchor
        return then + time.monotonic() - at

    # -- transactions -------------------------------------------------------------------------------------------------

    def _ask(self, work: Callable[[Transaction], T], *, who: str = "", durable: bool = False, again: bool = True) -> T:
        """The result of `work`, in one transaction. Raises StoreError; `who` names the jobs that it is about.

        `durable`: the transaction is on disk when this returns. It is repeated if it was undone, or its connection was
        lost. If it is unknown whether it was committed, it is repeated only with `again`.
        """
        with self._understood(who):
            return self._do(work, durable=durable, again=again)

    def _do(self, work: Callable[[Transaction], T], *, durable: bool, again: bool = True) -> T:
        begun = time.monotonic()
        while True:
            if self._closed:
                raise StoreError(f"the store {self.address} is closed")
            try:
                value = self._once(work, durable)
                self._failing_since = None
                return value
            except AGAIN:
                if time.monotonic() - begun > PATIENCE:
                    raise
            except _Cut as cut:
                self._failing_since = time.monotonic() if self._failing_since is None else self._failing_since
                late = time.monotonic() - self._failing_since > PATIENCE
                if late or not (cut.sure or again):
                    raise cut.error from None
            time.sleep(random.uniform(*PAUSE))

    def _once(self, work: Callable[[Transaction], T], durable: bool) -> T:
        with self._connection() as connection:
            value = work(self._begin(connection, durable))
            try:
                connection.execute(b"COMMIT")
            except psycopg.OperationalError as error:
                raise _Cut(error, sure=False) from None
            return value

    def _begin(self, connection: Connection, durable: bool) -> Transaction:
        level = self._durable if durable else _LAZY
        cursor, at = connection.execute(f"{_BEGIN}{level}{_NOW}".encode()), time.monotonic()
        while cursor.nextset():
            pass
        row = cursor.fetchone()
        assert row is not None
        self._anchor = (row["now"], at)
        return Transaction(connection, row["now"] if self._given_now is None else self._given_now())

    # -- connections --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection without a transaction. It is kept for later use, unless it is broken."""
        connection = self._kept() or self._connect()
        try:
            yield connection
        except BaseException as error:
            if not isinstance(error, Exception) or not _rolled_back(connection):  # Ctrl-C may come at any byte
                connection.close()
                self._forget()
            else:
                self._keep(connection)
            if isinstance(error, psycopg.Error) and connection.closed:
                raise _Cut(error, sure=True) from None
            raise
        self._keep(connection)

    def _connect(self) -> Connection:
        try:
            return psycopg.Connection.connect(
                self.address.conninfo, autocommit=True, prepare_threshold=None, row_factory=dict_row
            )
        except psycopg.Error as error:
            if refused_for_good(error):
                raise
            raise _Cut(error, sure=True) from None

    def _kept(self) -> Connection | None:
        with self._own:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: Connection) -> None:
        with self._own:
            if len(self._idle) < IDLE and not self._closed and not connection.closed:
                self._idle.append(connection)
                return
        connection.close()

    def _forget(self) -> None:
        """Close the idle connections: after the loss of one, the others are probably lost."""
        with self._own:
            _close_all(self._pid, self._idle)

    @property
    def _own(self) -> Any:
        """The lock of the connections of this process: a forked child makes its own connections."""
        if self._lock.forked:
            self._inherited.append(self._idle)
            self._reset()
        return self._lock.current

    @contextlib.contextmanager
    def _understood(self, who: str = "") -> Iterator[None]:
        """Turn any error into a StoreError with the way out."""
        try:
            yield
        except (psycopg.Error, OSError, *BAD_ROW) as error:
            about, kind = f"{who}: " if who else "", BadRow if isinstance(error, BAD_ROW) else StoreError
            raise kind(f"{about}the store {self.address} {way_out(error, self.address)}") from None


def _rolled_back(connection: Connection) -> bool:
    """Whether the connection works, and its transaction is rolled back."""
    with contextlib.suppress(psycopg.Error):
        connection.execute(b"ROLLBACK")
        return True
    return False


def _close_all(pid: int, connections: list[Connection]) -> None:
    """Close connections, if this is the process that opened them."""
    while connections and os.getpid() == pid:
        connections.pop().close()
