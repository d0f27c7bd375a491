"""Shards of accounts in a store: their owners, which owners are alive, what is new in them. This module is only SQL.

All functions take the connection of a transaction, or of a read.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence

from .protocol import AGAIN
from .records import Gauges, Shard, bucket

Alive = Callable[[str, "float | None"], bool]
"""Whether an owner, whose last heartbeat was at that Unix second, is alive."""

FORGOTTEN = 86400.0
"""Seconds after which the last heartbeat of an owner is deleted."""

_UNTOLD = "ended_at IS NOT NULL AND told_at IS NULL AND teller IS NOT 'later'"
_LATER = "teller = 'later' AND (teller_since <= ? OR teller_since > ?)"
"""Two conditions, each with its own index. Of the verdicts with LATER, only those whose time is over are read."""

_OWNED = "SELECT s.*, o.seen FROM shards AS s LEFT JOIN owners AS o ON o.owner = s.owner WHERE s.owner IS NOT NULL"


def beat(db: sqlite3.Connection, owner: str, now: float) -> None:
    """Store a heartbeat of an owner."""
    db.execute(
        "INSERT INTO owners (owner, seen) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen",
        (owner, now),
    )


def leave(db: sqlite3.Connection, owner: str, now: float) -> None:
    """Release an owner's shards, and delete it and all owners without a heartbeat for `FORGOTTEN` seconds."""
    db.execute("UPDATE shards SET owner = NULL WHERE owner = ?", (owner,))
    db.execute("DELETE FROM owners WHERE owner = ? OR seen < ?", (owner, now - FORGOTTEN))


def owned(db: sqlite3.Connection, alive: Alive) -> dict[str, dict[tuple[int, int], str]]:
    """By account, and by (part, parts): the owner of each shard that has a living one."""
    found: dict[str, dict[tuple[int, int], str]] = {}
    for row in db.execute(_OWNED):
        if alive(row["owner"], row["seen"]):
            found.setdefault(row["account"], {})[row["part"], row["parts"]] = row["owner"]
    return found


def owner_of(ref: str, held: Mapping[str, Mapping[tuple[int, int], str]]) -> str | None:
    """The owner of a job's shard."""
    shards = held.get(ref.partition(":")[0], {})
    parts = next(iter(shards), (0, 1))[1]  # all living owners divide an account alike
    return shards.get((bucket(ref) % parts, parts))


def take(db: sqlite3.Connection, owner: str, accounts: Mapping[str, int], most: int, alive: Alive) -> list[Shard]:
    """Let an owner take free shards."""
    now_held = owned(db, alive)
    free = [
        (account, part, parts)
        for account, parts in accounts.items()
        if all(other == parts for _, other in now_held.get(account, ()))
        for part in range(parts)
        if (part, parts) not in now_held.get(account, ())
    ]
    taking = (
        "INSERT INTO shards (account, part, parts, owner, fence) VALUES (?, ?, ?, ?, 1) "
        "ON CONFLICT (account, part, parts) DO UPDATE SET owner = excluded.owner, fence = fence + 1"
    )
    drawn = set(random.sample(free, min(most, len(free))))
    for account in {account for account, _, _ in drawn}:  # the owner of another division is gone, but may return
        db.execute("UPDATE shards SET owner = NULL WHERE account = ? AND parts <> ?", (account, accounts[account]))
    db.executemany(taking, [(*each, owner) for each in drawn])
    return [shard for shard in held(db, owner) if shard[:3] in drawn]


def held(db: sqlite3.Connection, owner: str) -> set[Shard]:
    """The shards of an owner."""
    return {
        Shard(*row) for row in db.execute("SELECT account, part, parts, fence FROM shards WHERE owner = ?", (owner,))
    }


def give(db: sqlite3.Connection, owner: str, shards: Collection[Shard]) -> None:
    """Let an owner release shards."""
    letting = "UPDATE shards SET owner = NULL WHERE account = ? AND part = ? AND parts = ? AND fence = ? AND owner = ?"
    db.executemany(letting, [(*shard, owner) for shard in shards])


def news(
    db: sqlite3.Connection, columns: str, shards: Sequence[Shard], mark: int, at: float
) -> tuple[list[sqlite3.Row], int]:
    """The rows of jobs that are new in shards since a mark, and the current mark. `at`: the Unix second of now."""
    now = int(db.execute("SELECT number FROM changes").fetchone()[0])  # before the rows: none may be missed
    found: dict[str, sqlite3.Row] = {}
    asked: list[tuple[str, tuple[object, ...]]]
    if mark:
        asked = [("change > ?", (mark,)), (_UNTOLD, ()), (_LATER, (at - AGAIN, at))]
    else:
        part = "told_at IS NULL AND account = ? AND bucket % ? = ?"
        asked = [(part, (shard.account, shard.parts, shard.part)) for shard in shards]
    wanted = {(shard.account, shard.parts, shard.part) for shard in shards}
    divided = {shard.account: shard.parts for shard in shards}
    for where, values in asked:
        for row in db.execute(f"SELECT {columns}, bucket FROM jobs WHERE {where}", values):
            parts = divided.get(row["account"], 1)
            if (row["account"], parts, row["bucket"] % parts) in wanted:
                found[row["ref"]] = row
    return list(found.values()), now


def gauges(db: sqlite3.Connection, now: float, alive: Alive) -> Gauges:
    """The figures for an operator."""
    open_ = db.execute("SELECT count(*) FROM jobs WHERE ended_at IS NULL").fetchone()[0]
    untold, later = (
        db.execute(f"SELECT count(*) FROM jobs WHERE {where}").fetchone()[0] for where in (_UNTOLD, "teller = 'later'")
    )
    held = owned(db, alive)
    unclaimed = [name for name in accounts(db) if not _whole(held.get(name, ()))]
    seen = [row["seen"] for row in db.execute("SELECT owner, seen FROM owners") if alive(row["owner"], row["seen"])]
    return Gauges(
        open_, untold + later, tuple(sorted(unclaimed)), len(seen), max((now - each for each in seen), default=0.0)
    )


def accounts(db: sqlite3.Connection) -> set[str]:
    """The accounts of unfinished jobs."""
    return {row[0] for row in db.execute("SELECT DISTINCT account FROM jobs WHERE told_at IS NULL")}


def _whole(shards: Collection[tuple[int, int]]) -> bool:
    """Whether the shards are all parts of their account."""
    return any(len(shards) == parts for _, parts in shards)
