"""The first process makes the tables of a store, and migrates them to the next version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from vidpoll_postgres import schema
from vidpoll_postgres.store import PostgresStore

from vidpoll import Origin, StoreError

NEXT = "ALTER TABLE vidpoll.jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'"


def all_at_once(url: str) -> None:
    """Eight stores are opened at the same moment."""
    with ThreadPoolExecutor(8) as threads:
        for store in threads.map(lambda _: PostgresStore(url), range(8)):
            store.close()


def test_many_make_the_tables_once(url: str) -> None:
    """Whoever comes later finds them."""
    all_at_once(url)
    with psycopg.connect(url) as db:
        assert db.execute("SELECT number FROM vidpoll.version").fetchall() == [(len(schema.MIGRATIONS),)]


def test_tables_are_brought_to_the_next_version(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, with what they hold, while a program of the version before is at work."""
    older = PostgresStore(url)
    older.enter([("acme:j1", Origin("acme"), {})])
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))
    all_at_once(url)
    older.enter([("acme:j2", Origin("acme"), {})])
    older.close()
    with psycopg.connect(url) as db:
        assert db.execute("SELECT ref, colour FROM vidpoll.jobs ORDER BY ref").fetchall() == [
            ("acme:j1", "blue"),
            ("acme:j2", "blue"),
        ]


def test_a_migration_that_fails_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is one transaction."""
    PostgresStore(url).close()
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, f"{NEXT}; SELECT 1 / 0"))
        with pytest.raises(StoreError):
            PostgresStore(url)
    with psycopg.connect(url) as db:
        assert db.execute("SELECT number FROM vidpoll.version").fetchall() == [(len(schema.MIGRATIONS),)]
        assert db.execute("SELECT * FROM vidpoll.jobs").description is not None
    PostgresStore(url).close()


def test_tables_of_a_newer_version_are_left_alone(url: str) -> None:
    """Which way out there is, is said."""
    PostgresStore(url).close()
    with psycopg.connect(url) as db:
        db.execute("UPDATE vidpoll.version SET number = 99")
    with pytest.raises(StoreError, match=r"newer vidpoll-postgres \(version 99, known: 3\); update vidpoll-postgres"):
        PostgresStore(url)
