"""Which owner is gone: known at once if its process can be checked, else after a while without a sign of life."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from servers import Postgres
from vidpoll_postgres.presence import SILENT
from vidpoll_postgres.shards import FORGOTTEN
from vidpoll_postgres.store import PostgresStore

from vidpoll import Origin
from vidpoll.storage.protocol import AWAY, Saved

NOW = 1_800_000_000.0
REF = "acme:j1"
OTHER = "elsewhere|1@1|x"
"""An owner on another host."""


@pytest.fixture
def store(made: psycopg.Connection, cluster: Postgres) -> Iterator[PostgresStore]:
    """An owner with one job."""
    store = PostgresStore(cluster.url("made"), lambda: NOW)
    store.enter([(REF, Origin("acme"), {})])
    yield store
    store.close()


def seen(db: psycopg.Connection, owner: str, at: float) -> None:
    """The last heartbeat of an owner."""
    sql = "INSERT INTO vidpoll.owners VALUES (%s, %s) ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen"
    db.execute(sql, (owner, at))


def test_a_process_of_this_host_that_was_killed_holds_no_shard(made: psycopg.Connection, store: PostgresStore) -> None:
    """However fresh its heartbeat is."""
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    gone = f"{store.owner.split('|', maxsplit=1)[0]}|{child.pid}@0|x"
    store.give(store.take({"acme": 1}, 1))
    made.execute("UPDATE vidpoll.shards SET owner = %s", (gone,))
    seen(made, gone, NOW)
    assert len(store.take({"acme": 1}, 1)) == 1


@pytest.mark.parametrize(
    ("heard", "since", "ours"),
    [
        (NOW - SILENT - 1, NOW - SILENT - 1, True),
        (NOW - SILENT + 1, NOW - SILENT - 1, False),
        (NOW - SILENT - 1, NOW - 1, False),  # it tells without serving, by now
        (None, NOW - SILENT - 1, False),
        (None, NOW - AWAY - 1, True),
    ],
)
def test_whoever_served_elsewhere_is_not_waited_for_long(
    made: psycopg.Connection, store: PostgresStore, heard: float | None, since: float, ours: bool
) -> None:
    """A verdict that it was reporting is reported by another after SILENT; one that never served has `AWAY`."""
    store.end([Saved(REF, {})])
    made.execute("UPDATE vidpoll.jobs SET teller = %s, teller_since = %s", (OTHER, since))
    if heard is not None:
        seen(made, OTHER, heard)
    assert store.claim([REF]) == ({REF} if ours else set())


def test_who_was_killed_is_forgotten_after_a_day(made: psycopg.Connection, store: PostgresStore) -> None:
    """When anybody leaves."""
    seen(made, "old", NOW - FORGOTTEN - 1)
    seen(made, "young", NOW - FORGOTTEN + 1)
    store.beat()
    store.close()
    assert made.execute("SELECT owner FROM vidpoll.owners").fetchall() == [("young",)]
