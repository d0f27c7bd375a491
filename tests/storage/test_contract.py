"""What every store promises, kept by the SQLite store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kept_jobs import dead, sql

from vidpoll.storage.protocol import Store
from vidpoll.storage.sqlite import SqliteStore
from vidpoll.testing import StoreContract


class TestSqlite(StoreContract):
    """Two clients at one file, which are processes of this host."""

    gone_after = 0.0

    @pytest.fixture(autouse=True)
    def _file(self, path: Path) -> None:
        self.path = path

    def make_store(self, now: Callable[[], float]) -> SqliteStore:
        return SqliteStore(self.path, now)

    def kill(self, store: Store) -> None:
        """Its process is one that has ended."""
        assert isinstance(store, SqliteStore)
        gone = dead(store)
        for table, column in (("jobs", "owner"), ("jobs", "teller"), ("submits", "owner"), ("shards", "owner")):
            sql(self.path, f"UPDATE {table} SET {column} = ? WHERE {column} = ?", gone, store.owner)
        sql(self.path, "UPDATE owners SET owner = ? WHERE owner = ?", gone, store.owner)
