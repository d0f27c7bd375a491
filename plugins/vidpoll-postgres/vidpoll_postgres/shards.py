"""Shards of accounts in a PostgreSQL store: their owners, the living owners, their news. Only SQL is here.

Each account has one division in use, recorded in `divisions`. Taking a shard locks the account's row there in share
mode; changing the division locks the row exclusively.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vidpoll.storage import table_rows
from vidpoll.storage.protocol import AGAIN, PARTS, TTL, Gauges, Shard, bucket

from .transaction import Row, Transaction

Owned = Mapping[str, Mapping[tuple[int, int], str]]
"""By account, and by (part, parts): the owner of each shard that has a living owner."""

FORGOTTEN = 86400.0
"""Seconds after which the last heartbeat of an owner is deleted."""

_ALIVE = "EXISTS (SELECT 1 FROM vidpoll.owners AS o WHERE o.owner = s.owner AND o.seen >= %s AND o.owner <> ALL(%s))"

_TAKE = f"""
    UPDATE vidpoll.shards AS taken SET owner = %s, fence = taken.fence + 1
    FROM (
        SELECT s.account, s.part, s.parts FROM unnest(%s::text[], %s::int[]) AS wanted (account, parts)
        JOIN vidpoll.divisions AS d USING (account, parts) JOIN vidpoll.shards AS s USING (account, parts)
        WHERE s.owner IS NULL OR NOT {_ALIVE}
        ORDER BY random() LIMIT %s FOR NO KEY UPDATE OF s SKIP LOCKED FOR KEY SHARE OF d SKIP LOCKED
    ) AS free
    WHERE (taken.account, taken.part, taken.parts) = (free.account, free.part, free.parts)
    RETURNING taken.account, taken.part, taken.parts, taken.fence"""

_SNAPSHOT = """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::float8 AS least,
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS most,
        (floor(extract(epoch FROM pg_postmaster_start_time()) * 1000)::bigint %% 1024) / 1024.0::float8 AS server"""
"""A transaction's number is far below 2^43, so a float represents it, and its 1,024th parts, exactly."""

_ACCOUNTS = """
    WITH RECURSIVE each (account) AS (
        SELECT min(account) FROM vidpoll.jobs WHERE told_at IS NULL
        UNION ALL
        SELECT (SELECT min(account) FROM vidpoll.jobs WHERE told_at IS NULL AND account > each.account)
        FROM each WHERE account IS NOT NULL
    ) SELECT account FROM each WHERE account IS NOT NULL"""
"""One step per account, not one per job."""

_UNTOLD = "ended_at IS NOT NULL AND told_at IS NULL AND teller IS DISTINCT FROM 'later'"
"""Verdicts to be heard later have an index of their own: only overdue ones are read."""

_NEW = f"""
    SELECT {table_rows.JOB}, bucket FROM vidpoll.jobs WHERE account = ANY(%s) AND change >= %s AND change < %s
    UNION
    SELECT {table_rows.JOB}, bucket FROM vidpoll.jobs
    WHERE account = ANY(%s) AND {_UNTOLD}
    UNION
    SELECT {table_rows.JOB}, bucket FROM vidpoll.jobs
    WHERE account = ANY(%s) AND teller = 'later' AND (teller_since <= %s OR teller_since > %s)"""

_WHOLE = f"SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE account = ANY(%s) AND told_at IS NULL"
_PART = f"SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE account = %s AND bucket = ANY(%s) AND told_at IS NULL"


def beat(db: Transaction, owner: str) -> None:
    """Write the heartbeat of an owner."""
    db.run(
        "INSERT INTO vidpoll.owners (owner, seen) VALUES (%s, %s) "
        "ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen",
        *(owner, db.now),
    )


def leave(db: Transaction, owner: str) -> None:
    """Remove an owner, and those whose last heartbeat is more than a day old."""
    db.run("UPDATE vidpoll.shards SET owner = NULL WHERE owner = %s", owner)
    db.run("DELETE FROM vidpoll.owners WHERE owner = %s OR seen < %s", owner, db.now - FORGOTTEN)


def owned(db: Transaction, us: str, accounts: Collection[str], dead: Collection[str]) -> Owned:
    """The shards of accounts that have a living owner; this store counts as alive."""
    where = f"account = ANY(%s) AND (owner = %s OR {_ALIVE})"
    sql = f"SELECT account, part, parts, owner FROM vidpoll.shards AS s WHERE {where}"
    found: dict[str, dict[tuple[int, int], str]] = {}
    for row in db.rows(sql, list(accounts), us, db.now - TTL, list(dead)):
        found.setdefault(row["account"], {})[row["part"], row["parts"]] = row["owner"]
    return found


def owner_of(ref: str, owned: Owned) -> str | None:
    """The owner of the shard that contains a job; None without one."""
    shards = owned.get(ref.partition(":")[0], {})
    parts = next(iter(shards), (0, 1))[1]  # all living owners use the same division of an account
    return shards.get((bucket(ref) % parts, parts))


def take(db: Transaction, owner: str, accounts: Mapping[str, int], most: int, dead: Collection[str]) -> list[Shard]:
    """Make an owner take free shards. Shards that another owner is just taking are skipped."""
    divisions = db.rows("SELECT account, parts FROM vidpoll.divisions WHERE account = ANY(%s)", list(accounts))
    known = {row["account"]: row["parts"] for row in divisions}
    other = {account: accounts[account] for account in sorted(accounts) if known.get(account) != accounts[account]}
    if other:
        _divide(db, other, dead)
    names, parts = list(accounts), list(accounts.values())
    return [Shard(**row) for row in db.rows(_TAKE, owner, names, parts, db.now - TTL, list(dead), most)]


def _divide(db: Transaction, wanted: Mapping[str, int], dead: Collection[str]) -> None:
    """Divide accounts, except those with a living owner of a shard of another division."""
    names = list(wanted)
    new = "INSERT INTO vidpoll.divisions (account, parts) SELECT unnest(%s::text[]), 0 ON CONFLICT (account) DO NOTHING"
    db.run(new, names)
    db.run("SELECT 1 FROM vidpoll.divisions WHERE account = ANY(%s) ORDER BY account FOR UPDATE", names)
    in_use = db.rows(
        "SELECT DISTINCT s.account FROM vidpoll.shards AS s "
        "JOIN unnest(%s::text[], %s::int[]) AS wanted (account, parts) "
        f"ON s.account = wanted.account AND s.parts <> wanted.parts WHERE s.owner IS NOT NULL AND {_ALIVE}",
        *(names, list(wanted.values()), db.now - TTL, list(dead)),
    )
    free = {account: wanted[account] for account in wanted.keys() - {row["account"] for row in in_use}}
    given = (list(free), list(free.values()))
    db.run(
        "UPDATE vidpoll.divisions AS d SET parts = free.parts FROM unnest(%s::text[], %s::int[]) "
        "AS free (account, parts) WHERE d.account = free.account",
        *given,
    )
    db.run(  # shards of owners that are gone: such an owner may come back
        "UPDATE vidpoll.shards AS s SET owner = NULL FROM unnest(%s::text[], %s::int[]) AS free (account, parts) "
        "WHERE s.account = free.account AND s.parts <> free.parts AND s.owner IS NOT NULL",
        *given,
    )
    db.run(
        "INSERT INTO vidpoll.shards (account, part, parts) SELECT free.account, part, free.parts "
        "FROM unnest(%s::text[], %s::int[]) AS free (account, parts), generate_series(0, free.parts - 1) AS part "
        "ON CONFLICT (account, part, parts) DO NOTHING",
        *given,
    )


def give(db: Transaction, owner: str, shards: Sequence[Shard]) -> None:
    """Make an owner release shards."""
    db.run(
        "UPDATE vidpoll.shards AS s SET owner = NULL FROM unnest(%s::text[], %s::int[], %s::int[], %s::int[]) "
        "AS given (account, part, parts, fence) WHERE (s.account, s.part, s.parts, s.fence) = "
        "(given.account, given.part, given.parts, given.fence) AND s.owner = %s",
        *map(list, zip(*shards, strict=True)),
        owner,
    )


def news(db: Transaction, shards: Sequence[Shard], mark: float) -> tuple[list[Row], float]:
    """The rows of jobs that are new in shards since a mark, and the current mark.

    A mark is the number of the oldest transaction that was not finished when the mark was made: every later commit has
    that number or a higher one. The fraction of a mark identifies the start of the server. After another start all rows
    are new, because the server may be a replica without the last transactions, or a dump's copy that counts anew.
    """
    snapshot = db.one(_SNAPSHOT)  # before the rows, so that none is missed; one may appear twice
    assert snapshot is not None
    now = snapshot["least"] + snapshot["server"]
    if mark % 1 != snapshot["server"] or not mark:
        return _all(db, shards), now
    accounts = sorted({shard.account for shard in shards})
    rows = db.rows(_NEW, accounts, int(mark), snapshot["most"], accounts, accounts, db.now - AGAIN, db.now)
    ours = {(shard.account, shard.part, shard.parts) for shard in shards}
    divided = {shard.account: shard.parts for shard in shards}
    parts = [(row, divided[row["account"]]) for row in rows]
    return [row for row, of in parts if (row["account"], row["bucket"] % of, of) in ours], now


def _all(db: Transaction, shards: Sequence[Shard]) -> list[Row]:
    """The rows of all unfinished jobs of shards."""
    whole = [shard.account for shard in shards if shard.parts == 1]
    rows = db.rows(_WHOLE, whole) if whole else []
    for shard in shards:
        if shard.parts > 1:
            rows += db.rows(_PART, shard.account, list(range(shard.part, PARTS, shard.parts)))
    return rows


def gauges(db: Transaction, dead: Collection[str]) -> Gauges:
    """The store's figures for an operator."""
    alive = (db.now - TTL, list(dead))
    whole = (
        f"SELECT account FROM vidpoll.shards AS s WHERE owner IS NOT NULL AND {_ALIVE} "
        "GROUP BY account, parts HAVING count(*) = parts"
    )
    counts = db.one(
        "SELECT (SELECT count(*) FROM vidpoll.jobs WHERE ended_at IS NULL) AS open, "
        f"(SELECT count(*) FROM vidpoll.jobs WHERE {_UNTOLD}) + "
        "(SELECT count(*) FROM vidpoll.jobs WHERE teller = 'later') AS untold, "
        "count(*) AS owners, min(seen) AS seen FROM vidpoll.owners WHERE seen >= %s AND owner <> ALL(%s)",
        *alive,
    )
    assert counts is not None
    unclaimed = accounts(db) - {row["account"] for row in db.rows(whole, *alive)}
    silent = 0.0 if counts["seen"] is None else db.now - counts["seen"]
    return Gauges(counts["open"], counts["untold"], tuple(sorted(unclaimed)), counts["owners"], silent)


def accounts(db: Transaction) -> set[str]:
    """The accounts of unfinished jobs."""
    return {row["account"] for row in db.rows(_ACCOUNTS)}
