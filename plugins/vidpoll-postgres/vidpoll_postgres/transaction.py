"""One transaction: statements in, rows out. The modules with SQL do not use psycopg directly."""

from __future__ import annotations

from typing import Any

import psycopg

Row = dict[str, Any]
Connection = psycopg.Connection[Row]


class Transaction:
    """An open transaction, and the database's time at its beginning, in Unix seconds."""

    def __init__(self, connection: Connection, now: float) -> None:
        self.now = now
        self._connection = connection

    @property
    def server_version(self) -> int:
        """The version of the server, as 150003 for 15.3."""
        return self._connection.info.server_version

    def rows(self, sql: str, *values: object) -> list[Row]:
        """The rows that a statement returns. Placeholders are `%s`; write a percent sign as `%%`."""
        return self._connection.execute(sql.encode(), values).fetchall()

    def one(self, sql: str, *values: object) -> Row | None:
        """The first row."""
        return self._connection.execute(sql.encode(), values).fetchone()

    def run(self, sql: str, *values: object) -> int:
        """The number of rows that a statement changed."""
        return self._connection.execute(sql.encode(), values).rowcount

    def script(self, sql: str) -> None:
        """Run several statements, without values."""
        self._connection.execute(sql.encode())
