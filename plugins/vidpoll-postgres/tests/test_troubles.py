"""What a store on PostgreSQL says when it does not work: the way out, and never a password."""

from __future__ import annotations

import time

import psycopg
import pytest
import vidpoll_postgres
from raw_server import free_port
from servers import Postgres
from vidpoll_postgres import schema
from vidpoll_postgres.store import PostgresStore

from vidpoll import Origin, StoreError
from vidpoll.storage.protocol import BadRow

SECRET = "tr0ub4dor"


def said(url: str) -> str:
    """What the store at a URL says, which is no store."""
    with pytest.raises(StoreError) as caught:
        vidpoll_postgres.open_store(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


@pytest.fixture
def admin(cluster: Postgres) -> psycopg.Connection:
    """The owner of everything."""
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        yield db


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}/x@127.0.0.1:1/db",
        f"postgresql://u:x@{SECRET}@127.0.0.1:1/db",
        f"postgresql://u:100%{SECRET}@127.0.0.1:1/db",
        f"postgresql://u@127.0.0.1:{SECRET}/db",
        f"postgresql://u@127.0.0.1:70000/db?password={SECRET}",
        f"postgresql://u:{SECRET}@[127.0.0.1/db",
        f"postgresql://u@127.0.0.1:1/db?pass={SECRET}",
    ],
)
def test_a_url_that_cannot_be_read(url: str) -> None:
    """Nothing of it is quoted: any part may be one of a password."""
    assert said(url).startswith("the store's URL must be like postgresql://user:password@host:5432/")


def test_a_server_that_is_down() -> None:
    """At once, without waiting for the seconds of a tolerated outage."""
    port = free_port()
    text = said(f"postgresql://u:{SECRET}@127.0.0.1:{port}/shop?application_name=x")
    assert text.startswith(f"the store postgresql://u@127.0.0.1:{port}/shop cannot be reached (")
    assert text.endswith(": check host and port in its URL, and that PostgreSQL is running there")


def test_what_is_not_there(cluster: Postgres, admin: psycopg.Connection) -> None:
    """A host, a database, a role, a password."""
    admin.execute("DROP ROLE IF EXISTS clerk")
    admin.execute("CREATE ROLE clerk LOGIN PASSWORD 'right'")
    assert 'database "nope" does not exist' in said(cluster.url("nope"))
    assert said(cluster.url("nope")).endswith("a database is made with createdb, a role with createuser")
    for user in ("nobody", "clerk"):  # a server does not tell the one from the other
        assert said(cluster.url("postgres", f"{user}:{SECRET}")).endswith("password in its URL, or PGPASSWORD")
    assert said(cluster.url("postgres", "clerk")).endswith("or into PGPASSWORD or ~/.pgpass")
    assert said(f"postgresql://u:{SECRET}@nowhere.invalid/db").endswith("check the host in its URL")


def test_a_right_that_is_missing(cluster: Postgres, url: str, admin: psycopg.Connection) -> None:
    """To make the tables; with what the message says it works."""
    admin.execute("DROP ROLE IF EXISTS guest")
    admin.execute(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'")
    its = cluster.url("postgres", f"guest:{SECRET}")
    text = said(its)
    assert "permission denied for database postgres" in text
    admin.execute(text[text.index("CREATE SCHEMA") :].encode())
    PostgresStore(its).close()


def test_a_right_that_was_taken_away(cluster: Postgres, url: str, admin: psycopg.Connection) -> None:
    """Before a submit is sent."""
    PostgresStore(url).close()
    admin.execute("DROP ROLE IF EXISTS reader")
    admin.execute("CREATE ROLE reader LOGIN PASSWORD 'x'")
    admin.execute("GRANT USAGE ON SCHEMA vidpoll TO reader")
    admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA vidpoll TO reader")
    store = PostgresStore(cluster.url("postgres", "reader:x"))
    try:
        assert store.jobs() == []
        with pytest.raises(StoreError, match="permission denied for table submits"):
            store.begin(Origin("acme"), "clip", {})
    finally:
        store.close()
        admin.execute("DROP OWNED BY reader")


def test_a_version_that_is_too_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made there."""
    monkeypatch.setattr(schema, "LEAST", 990_000)
    assert "must be PostgreSQL 13 or newer" in said(url)


def test_tables_that_are_gone(url: str, admin: psycopg.Connection) -> None:
    """Somebody has dropped the schema."""
    store = PostgresStore(url)
    admin.execute("DROP SCHEMA vidpoll CASCADE")
    with pytest.raises(StoreError, match=r"has lost its tables .* restart the program"):
        store.jobs()
    store.close()


def test_what_cannot_be_a_row(url: str) -> None:
    """Another attempt would not help; the store continues to work."""
    store = PostgresStore(url)
    for ref in ("acme:\udcff", "acme:\0"):
        with pytest.raises(BadRow):
            store.enter([(ref, Origin("acme"), {})])
    assert store.jobs() == []
    store.close()


def test_its_hook_takes_its_urls_alone(url: str) -> None:
    """Both spellings; what is another's is left to that one."""
    for mine in (url, url.replace("postgresql:", "postgres:")):
        store = vidpoll_postgres.vidpoll_stores(url=mine)
        assert isinstance(store, PostgresStore)
        store.close()
    assert vidpoll_postgres.vidpoll_stores(url="mysql://127.0.0.1/db") is None


def test_a_host_whose_clock_is_wrong(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no shards of others, and its own stay: all times are the database's."""
    one, right = PostgresStore(url), time.time()
    [shard] = one.take({"acme": 1}, 1)
    monkeypatch.setattr(time, "time", lambda: right + 3600.0)
    two = PostgresStore(url)
    assert (two.take({"acme": 1}, 1), one.held()) == ([], {shard})
    assert two.now() == pytest.approx(right, abs=60.0)
    one.close()
    assert len(two.take({"acme": 1}, 1)) == 1
    two.close()


def test_the_way_to_a_right_is_sql_as_it_stands(cluster: Postgres, admin: psycopg.Connection) -> None:
    """Also for a role whose name must be quoted."""
    admin.execute("DROP SCHEMA IF EXISTS vidpoll CASCADE")
    admin.execute('DROP ROLE IF EXISTS "video-clerk"')
    admin.execute(f"CREATE ROLE \"video-clerk\" LOGIN PASSWORD '{SECRET}'")
    url = cluster.url("postgres", f"video-clerk:{SECRET}")
    admin.execute(said(url).rpartition(" run ")[2].encode())
    PostgresStore(url).close()
    admin.execute("DROP SCHEMA vidpoll CASCADE")
    admin.execute('DROP ROLE "video-clerk"')
