"""The tables of a store, in the schema `vidpoll` of a database, and their migrations to this version.

Only SQL is here. A migration is never changed after its release: the next one is added behind it. Programs of the
previous version may run during a migration, and after it.
"""

from __future__ import annotations

from vidpoll import StoreError

from .transaction import Transaction

LOCK = 0x76696470
"""The advisory lock for making the tables ("vidp")."""

LEAST = 130_000
"""The oldest usable PostgreSQL: it has transaction numbers that never wrap (xid8)."""

MIGRATIONS = (
    """
    CREATE SEQUENCE vidpoll.job_numbers;
    CREATE TABLE vidpoll.jobs (
        number BIGINT PRIMARY KEY DEFAULT nextval('vidpoll.job_numbers'), ref TEXT NOT NULL UNIQUE,
        account TEXT NOT NULL, provider TEXT NOT NULL, base_url TEXT NOT NULL, variables TEXT NOT NULL, operation TEXT,
        sent TEXT NOT NULL, facts TEXT NOT NULL, submitted_at FLOAT8, added_at FLOAT8 NOT NULL, ended_at FLOAT8,
        told_at FLOAT8, requests INTEGER NOT NULL DEFAULT 0, transient_errors INTEGER NOT NULL DEFAULT 0,
        version INTEGER NOT NULL DEFAULT 0, owner TEXT, owned_until FLOAT8, teller TEXT, teller_since FLOAT8, key TEXT,
        bucket INTEGER NOT NULL, change BIGINT NOT NULL) WITH (fillfactor = 80);
    CREATE UNIQUE INDEX jobs_keys ON vidpoll.jobs (account, key) WHERE key IS NOT NULL;
    CREATE INDEX jobs_unfinished ON vidpoll.jobs (account, bucket) WHERE told_at IS NULL;
    CREATE INDEX jobs_in_flight ON vidpoll.jobs (account) WHERE ended_at IS NULL;
    CREATE INDEX jobs_untold ON vidpoll.jobs (account)
        WHERE ended_at IS NOT NULL AND told_at IS NULL AND teller IS DISTINCT FROM 'later';
    CREATE INDEX jobs_later ON vidpoll.jobs (teller_since) WHERE teller = 'later';
    CREATE INDEX jobs_ended ON vidpoll.jobs (account, ended_at) WHERE ended_at IS NOT NULL;
    CREATE INDEX jobs_changed ON vidpoll.jobs (account, change);
    CREATE INDEX jobs_owned ON vidpoll.jobs (owner) WHERE owner IS NOT NULL;
    CREATE TABLE vidpoll.owners (owner TEXT PRIMARY KEY, seen FLOAT8 NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE vidpoll.divisions (account TEXT PRIMARY KEY, parts INTEGER NOT NULL);
    CREATE TABLE vidpoll.shards (
        account TEXT NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, owner TEXT,
        fence INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (account, part, parts)) WITH (fillfactor = 50);
    CREATE INDEX shards_owned ON vidpoll.shards (owner) WHERE owner IS NOT NULL;
    CREATE TABLE vidpoll.rates (account TEXT PRIMARY KEY, state TEXT NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE vidpoll.submits (
        number BIGINT PRIMARY KEY, account TEXT NOT NULL, provider TEXT NOT NULL, base_url TEXT NOT NULL,
        variables TEXT NOT NULL, operation TEXT NOT NULL, sent TEXT NOT NULL, at FLOAT8 NOT NULL, owner TEXT NOT NULL,
        reason TEXT, key TEXT, UNIQUE (account, key));
    CREATE TABLE vidpoll.files (
        number BIGINT GENERATED ALWAYS AS IDENTITY, ref TEXT NOT NULL, target TEXT NOT NULL, kinds TEXT NOT NULL,
        at FLOAT8 NOT NULL, PRIMARY KEY (ref, target, kinds));
    CREATE TABLE vidpoll.batch_rows (
        batch TEXT NOT NULL, "row" TEXT NOT NULL, attempt INTEGER NOT NULL, digest TEXT NOT NULL,
        account TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, price FLOAT8 NOT NULL, unit TEXT NOT NULL,
        state TEXT, charged FLOAT8, category TEXT, problem TEXT, paths TEXT, ref TEXT,
        ended_at FLOAT8, PRIMARY KEY (batch, "row", attempt));
    CREATE INDEX batch_rows_open ON vidpoll.batch_rows (batch, unit) WHERE state IS NULL;
    CREATE INDEX batch_rows_open_keys ON vidpoll.batch_rows (account, key) WHERE state IS NULL;
    CREATE TABLE vidpoll.keys (
        ref TEXT NOT NULL, account TEXT NOT NULL, provider TEXT NOT NULL, base_url TEXT NOT NULL,
        variables TEXT NOT NULL, operation TEXT, sent TEXT NOT NULL, facts TEXT NOT NULL, submitted_at FLOAT8,
        added_at FLOAT8 NOT NULL, ended_at FLOAT8, told_at FLOAT8, requests INTEGER NOT NULL,
        transient_errors INTEGER NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (account, key));
    CREATE INDEX keys_of_jobs ON vidpoll.keys (ref);
    """,
)


def make(db: Transaction, place: object) -> None:
    """Make the tables, or migrate them to this version; current tables are not written. Raises StoreError."""
    if version(db) == len(MIGRATIONS):
        return
    db.run("SELECT pg_advisory_xact_lock(%s)", LOCK)
    there = version(db)  # another process may have been faster
    if there > len(MIGRATIONS):
        raise StoreError(
            f"the store {place} was made by a newer vidpoll-postgres (version {there}, known: {len(MIGRATIONS)}); "
            "update vidpoll-postgres"
        )
    if there == 0:
        if db.one("SELECT 1 FROM pg_namespace WHERE nspname = 'vidpoll'") is None:  # the role may lack CREATE
            db.script("CREATE SCHEMA vidpoll")
        db.script("CREATE TABLE vidpoll.version (number INTEGER NOT NULL); INSERT INTO vidpoll.version VALUES (0)")
    for migration in MIGRATIONS[there:]:
        db.script(migration)
    db.run("UPDATE vidpoll.version SET number = %s", len(MIGRATIONS))


def version(db: Transaction) -> int:
    """The number of migrations that were made; 0 without tables."""
    tables = "SELECT 1 FROM pg_class WHERE relname = 'version' AND relnamespace = "  # to_regclass may be stale
    if db.one(f"{tables} (SELECT oid FROM pg_namespace WHERE nspname = 'vidpoll')") is None:
        return 0
    row = db.one("SELECT number FROM vidpoll.version")
    return int(row["number"]) if row else 0
