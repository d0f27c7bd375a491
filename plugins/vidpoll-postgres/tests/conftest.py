"""A PostgreSQL for the session, and an empty database for each test that asks for its URL."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from servers import PgBouncer, Postgres
from vidpoll_postgres.store import PostgresStore

TABLES = ("jobs", "owners", "divisions", "shards", "submits", "keys", "files", "batch_rows", "rates")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    """A server that no test stops; a test that stops one makes its own."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def bouncer(cluster: Postgres) -> Iterator[PgBouncer]:
    """A pgbouncer in transaction mode before it."""
    with PgBouncer(cluster) as server:
        yield server


@pytest.fixture(scope="session")
def _made(cluster: Postgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        db.execute("CREATE DATABASE made")
    PostgresStore(cluster.url("made")).close()
    with psycopg.connect(cluster.url("made"), autocommit=True) as db:
        yield db


@pytest.fixture
def made(_made: psycopg.Connection) -> psycopg.Connection:
    """A database with the tables of a store, which are empty; its URL is `cluster.url("made")`."""
    for table in TABLES:
        _made.execute(f"DELETE FROM vidpoll.{table}".encode())
    return _made


@pytest.fixture
def url(cluster: Postgres) -> str:
    """Of a database without a store."""
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        db.execute("DROP SCHEMA IF EXISTS vidpoll CASCADE")
    return cluster.url()
