"""What every store promises, kept by the store on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import psycopg
import pytest
from servers import Postgres, program
from vidpoll_postgres.store import PostgresStore

from vidpoll.storage.protocol import AWAY, Store
from vidpoll.testing import StoreContract

OWNED = {"jobs": ("owner", "teller"), "submits": ("owner",), "shards": ("owner",), "owners": ("owner",)}


@pytest.fixture(scope="module")
def ended() -> str:
    """A process of this host that has ended, as an owner names it."""
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return f"{child.pid}@0"


class OnPostgres(StoreContract):
    """Several clients at one database, which are processes of one host."""

    gone_after = 0.0

    @pytest.fixture(autouse=True)
    def _empty(self, made: psycopg.Connection, cluster: Postgres, ended: str) -> None:
        self.database, self.ended, self.url = made, ended, cluster.url("made")

    def make_store(self, now: Callable[[], float]) -> PostgresStore:
        return PostgresStore(self.url, now)

    def gone(self, owner: str) -> str:
        """What an owner is called once it is gone: its process is one that has ended."""
        return f"{owner.split('|', maxsplit=1)[0]}|{self.ended}|0"

    def kill(self, store: Store) -> None:
        assert isinstance(store, PostgresStore)
        for table, columns in OWNED.items():
            for column in columns:
                sql = f"UPDATE vidpoll.{table} SET {column} = %s WHERE {column} = %s"
                self.database.execute(sql.encode(), (self.gone(store.owner), store.owner))


class TestOneHost(OnPostgres):
    """An owner that is gone is known by its process."""


@pytest.mark.slow
class TestOtherHosts(OnPostgres):
    """An owner that is gone is one of another host, of which nothing is heard any more.

    Where there is a pgbouncer, all goes through it, in transaction mode and over two connections.
    """

    gone_after = AWAY + 1.0

    @pytest.fixture(autouse=True)
    def _behind(self, _empty: None, request: pytest.FixtureRequest) -> None:
        if program("pgbouncer") or "CI" in os.environ:
            self.url = request.getfixturevalue("bouncer").url("made")

    def gone(self, owner: str) -> str:
        return f"elsewhere|{self.ended}|0"
