"""A PostgreSQL for the session, and an empty database for each test that asks for its URL."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from servers import PgBouncer, Postgres


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    """A server that nobody stops: who needs that makes one."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def bouncer(cluster: Postgres) -> Iterator[PgBouncer]:
    """A pgbouncer in transaction mode before it."""
    server = PgBouncer(cluster)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def url(cluster: Postgres) -> str:
    """Of a database without a store."""
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        db.execute("DROP SCHEMA IF EXISTS vidpoll CASCADE")
    return cluster.url()
