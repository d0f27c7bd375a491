"""Errors of PostgreSQL and libpq as messages with the way out. Pure."""

from __future__ import annotations

import psycopg
from psycopg import errors

from .address import Address

BAD_ROW = (ValueError, OverflowError, TypeError, psycopg.DataError, psycopg.IntegrityError)
"""Errors caused by the content of a row, stored or new; the database itself works."""

AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)
"""The transaction was undone because of another one: it can be repeated at once."""

_PASSING = ("starting up", "shutting down", "recovery", "too many", "remaining connection slots", "not yet accepting")
"""Words in a refusal of the server that is temporary."""

_RIGHT = (
    "does not give its role the needed rights ({said}): let the database's owner run "
    "CREATE SCHEMA IF NOT EXISTS vidpoll AUTHORIZATION {role}"
)

_WAYS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.ReadOnlySqlTransaction, "cannot be written to, because it is a replica: name the primary"),
    (errors.FeatureNotSupported, "cannot be used ({said}): if it is a replica, name the primary"),
    (errors.InsufficientPrivilege, _RIGHT),
    (errors.UndefinedTable, "has lost its tables ({said}): restart the program, which makes them again"),
    (errors.InvalidSchemaName, "has lost its schema ({said}): restart the program, which makes it again"),
    (errors.UndefinedColumn, "has other tables ({said}): reserve the schema vidpoll for vidpoll"),
    (errors.UndefinedFunction, "lacks a function ({said}): it must be PostgreSQL 13 or newer"),
    (errors.QueryCanceled, "took too long ({said}): find the session that blocks its tables in pg_stat_activity"),
    (errors.LockNotAvailable, "is locked by another program ({said}): find the program in pg_locks"),
    (errors.DiskFull, "cannot grow, because its disk is full: free some space; what it holds is whole"),
    (errors.OutOfMemory, "has no memory left ({said}): try again later"),
    (errors.TooManyConnections, "accepts no more connections ({said}): raise max_connections, or use pgbouncer"),
)

_REFUSALS = (
    ("password authentication failed", "check user and password in its URL, or PGPASSWORD"),
    ("no password supplied", "put the password into its URL, or into PGPASSWORD or ~/.pgpass"),
    ("pg_hba.conf", "allow this host in the server's pg_hba.conf, and set sslmode as that file requires"),
    ("permission denied for database", "let its owner run GRANT CONNECT ON DATABASE … TO the role"),
    ("does not exist", "check its URL; a database is made with createdb, a role with createuser"),
    ("too many", "raise max_connections, or use pgbouncer"),
    ("remaining connection slots", "raise max_connections, or use pgbouncer"),
    ("starting up", "try again in a while"),
    ("resolve host", "check the host in its URL"),
    ("SSL", "check sslmode in its URL"),
    ("refused", "check host and port in its URL, and that PostgreSQL is running there"),
)


def refused_for_good(error: psycopg.Error) -> bool:
    """Whether the server has refused the connection permanently."""
    said = str(error)
    return "FATAL" in said and not any(word in said for word in _PASSING)


def way_out(error: Exception, address: Address) -> str:
    """The fault of a database and the way out, as the end of a sentence that begins with the database's URL."""
    if isinstance(error, UnicodeError):
        return "cannot keep text that is not Unicode, like a file name in another encoding: choose another name"
    said = address.clean(str(error))
    for kind, way in _WAYS:
        if isinstance(error, kind):
            return way.format(said=said, role=address.role)
    if isinstance(error, BAD_ROW):
        return f"refused a row, or has a damaged one ({type(error).__name__}: {said}): drop that job"
    for words, way in _REFUSALS:
        if words in said:
            return f"cannot be reached ({said}): {way}"
    return f"cannot be used ({type(error).__name__}: {said}): check that PostgreSQL is running and the URL is right"
