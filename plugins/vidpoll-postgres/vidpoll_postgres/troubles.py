"""What PostgreSQL and libpq say when a store does not work, in words that tell the way out. Pure."""

from __future__ import annotations

import psycopg
from psycopg import errors

from .address import Address

BAD_ROW = (ValueError, OverflowError, TypeError, psycopg.DataError, psycopg.IntegrityError)
"""What is raised because of what stands in a row, or is to stand there; the database itself is well."""

AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)
"""The transaction was undone, because of another one: it may be made again at once."""

_PASSING = ("starting up", "shutting down", "recovery", "too many", "remaining connection slots", "not yet accepting")
"""In a refusal of the server: it will not refuse for ever."""

_RIGHT = (
    "does not let its role do what is needed ({said}): let the database's owner run "
    "CREATE SCHEMA IF NOT EXISTS vidpoll AUTHORIZATION {role}"
)

_WAYS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.ReadOnlySqlTransaction, "cannot be written to, it is a replica: name the primary"),
    (errors.FeatureNotSupported, "cannot be used ({said}): where that is a replica, name the primary"),
    (errors.InsufficientPrivilege, _RIGHT),
    (errors.UndefinedTable, "has lost its tables ({said}): they are made when a store is opened, so start again"),
    (errors.InvalidSchemaName, "has lost its schema ({said}): it is made when a store is opened, so start again"),
    (errors.UndefinedColumn, "has other tables ({said}): let vidpoll have the schema vidpoll for itself"),
    (errors.UndefinedFunction, "lacks a function ({said}): it must be PostgreSQL 13 or newer"),
    (errors.QueryCanceled, "took too long ({said}): look for what holds its tables in pg_stat_activity"),
    (errors.LockNotAvailable, "is locked by another program ({said}): look for it in pg_locks"),
    (errors.DiskFull, "cannot grow, there is no room left: free some on its disk; what it holds is whole"),
    (errors.OutOfMemory, "has no memory left ({said}): try again later"),
    (errors.TooManyConnections, "takes no more connections ({said}): raise max_connections, or use pgbouncer"),
)

_REFUSALS = (
    ("password authentication failed", "check user and password in its URL, or PGPASSWORD"),
    ("no password supplied", "put the password into its URL, or into PGPASSWORD or ~/.pgpass"),
    ("pg_hba.conf", "have the server's pg_hba.conf let this host in, with sslmode as it asks for"),
    ("permission denied for database", "have its owner run GRANT CONNECT ON DATABASE … TO the role"),
    ("does not exist", "check its URL; a database is made with createdb, a role with createuser"),
    ("too many", "raise max_connections, or use pgbouncer"),
    ("remaining connection slots", "raise max_connections, or use pgbouncer"),
    ("starting up", "try again in a while"),
    ("resolve host", "check the host in its URL"),
    ("SSL", "check sslmode in its URL"),
    ("refused", "check host and port in its URL, and that PostgreSQL runs there"),
)


def refused_for_good(error: psycopg.Error) -> bool:
    """Whether the server has answered that it does not let us in, and will not do so later."""
    said = str(error)
    return "FATAL" in said and not any(word in said for word in _PASSING)


def way_out(error: Exception, address: Address) -> str:
    """What is wrong with a database, as the end of a sentence that begins with its URL, and what to do about it."""
    if isinstance(error, UnicodeError):
        return "can keep no text that is not Unicode, like a file name of another encoding: choose another one"
    said = address.clean(str(error))
    for kind, way in _WAYS:
        if isinstance(error, kind):
            return way.format(said=said, role=address.role)
    if isinstance(error, BAD_ROW):
        return f"does not take a row, or has one that is damaged ({type(error).__name__}: {said}): drop that job"
    for words, way in _REFUSALS:
        if words in said:
            return f"cannot be reached ({said}): {way}"
    return f"cannot be used ({type(error).__name__}: {said}): check that PostgreSQL runs and its URL leads there"
