"""The tables of a store, and the check whether a file has them. This module is only SQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..errors import StoreError

APPLICATION = 0x76696470
"""The `PRAGMA application_id` of a store, which other SQLite files do not have ("vidp")."""

VERSION = 1
"""The `PRAGMA user_version` of a store."""

SCHEMA = """
CREATE TABLE jobs (
    ref TEXT PRIMARY KEY, account TEXT NOT NULL, provider TEXT NOT NULL, base_url TEXT NOT NULL,
    variables TEXT NOT NULL, operation TEXT, sent TEXT NOT NULL, facts TEXT NOT NULL, submitted_at REAL,
    added_at REAL NOT NULL, ended_at REAL, told_at REAL, requests INTEGER NOT NULL DEFAULT 0,
    transient_errors INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 0, owner TEXT, owned_until REAL,
    teller TEXT, teller_since REAL, key TEXT, bucket INTEGER NOT NULL, change INTEGER NOT NULL, UNIQUE (account, key));
CREATE INDEX jobs_unfinished ON jobs (added_at) WHERE told_at IS NULL;
CREATE INDEX jobs_in_flight ON jobs (account) WHERE ended_at IS NULL;
CREATE INDEX jobs_of_accounts ON jobs (account) WHERE told_at IS NULL;
CREATE INDEX jobs_untold ON jobs (account) WHERE ended_at IS NOT NULL AND told_at IS NULL AND teller IS NOT 'later';
CREATE INDEX jobs_later ON jobs (teller_since) WHERE teller = 'later';
CREATE INDEX jobs_changed ON jobs (change);
CREATE TABLE changes (number INTEGER NOT NULL);
INSERT INTO changes VALUES (0);
CREATE TABLE owners (owner TEXT PRIMARY KEY, seen REAL NOT NULL);
CREATE TABLE shards (
    account TEXT NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, owner TEXT, fence INTEGER NOT NULL,
    PRIMARY KEY (account, part, parts));
CREATE TABLE rates (account TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE submits (
    number INTEGER PRIMARY KEY, account TEXT NOT NULL, provider TEXT NOT NULL, base_url TEXT NOT NULL,
    variables TEXT NOT NULL, operation TEXT NOT NULL, sent TEXT NOT NULL, at REAL NOT NULL, owner TEXT NOT NULL,
    reason TEXT, key TEXT, UNIQUE (account, key));
CREATE TABLE keys (
    ref TEXT NOT NULL, account TEXT NOT NULL, provider TEXT NOT NULL, base_url TEXT NOT NULL, variables TEXT NOT NULL,
    operation TEXT, sent TEXT NOT NULL, facts TEXT NOT NULL, submitted_at REAL, added_at REAL NOT NULL, ended_at REAL,
    told_at REAL, requests INTEGER NOT NULL, transient_errors INTEGER NOT NULL, version INTEGER NOT NULL,
    key TEXT NOT NULL, PRIMARY KEY (account, key));
CREATE INDEX keys_of_jobs ON keys (ref);
CREATE TABLE files (
    ref TEXT NOT NULL, target TEXT NOT NULL, kinds TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (ref, target, kinds));
CREATE TABLE batch_rows (
    batch TEXT NOT NULL, row TEXT NOT NULL, attempt INTEGER NOT NULL, digest TEXT NOT NULL, account TEXT NOT NULL,
    operation TEXT NOT NULL, key TEXT NOT NULL, price REAL NOT NULL, unit TEXT NOT NULL, state TEXT,
    charged REAL, category TEXT, problem TEXT, paths TEXT, ref TEXT, ended_at REAL,
    PRIMARY KEY (batch, row, attempt));
CREATE INDEX batch_rows_open ON batch_rows (batch, unit) WHERE state IS NULL;
CREATE INDEX batch_rows_open_keys ON batch_rows (account, key) WHERE state IS NULL;
CREATE INDEX batch_rows_settled ON batch_rows (batch, unit, charged, state, ref) WHERE state IS NOT NULL;
"""


def made(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is a store of this version; False for an empty file. Raises StoreError for any other file."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
    if not ours and (version or db.execute("SELECT 1 FROM sqlite_master").fetchone()):
        raise StoreError(f"{path} is not a store of vidpoll but another SQLite file; name another file")
    if version > VERSION:
        raise StoreError(
            f"the store {path} was made by a newer vidpoll (version {version}, known: {VERSION}); "
            "update vidpoll, or name another store"
        )
    return version == VERSION


def make(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables, unless the file has them already; then nothing is written."""
    db.execute("BEGIN")  # one snapshot of the file: another process may be making its tables
    there = made(db, path)
    db.execute("COMMIT")
    if not there:
        db.execute("PRAGMA synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")  # so that a read-only store is noticed now, not after the submit
    try:
        if not there and not made(db, path):  # another process may have been faster
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
