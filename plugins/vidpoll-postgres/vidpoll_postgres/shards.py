"""Shards of accounts in a PostgreSQL store: who has them, who is alive, what is new in them. Only SQL lives here.

Of each account one division is in use, and `divisions` says which: whoever takes a shard shares the row of its account,
and whoever changes the division locks it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vidpoll.storage import table_rows
from vidpoll.storage.protocol import AGAIN, PARTS, TTL, Gauges, Shard, bucket

from .transaction import Row, Transaction

Owned = Mapping[str, Mapping[tuple[int, int], str]]
"""By account, and by part and parts: the owner of each shard that has one which is alive."""

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
"""A transaction's number is far below 2^43, so that a float keeps it, and 1,024th parts of one, exactly."""

_ACCOUNTS = """
    WITH RECURSIVE each (account) AS (
        SELECT min(account) FROM vidpoll.jobs WHERE told_at IS NULL
        UNION ALL
        SELECT (SELECT min(account) FROM vidpoll.jobs WHERE told_at IS NULL AND account > each.account)
        FROM each WHERE account IS NOT NULL
    ) SELECT account FROM each WHERE account IS NOT NULL"""
"""One step an account, and not one a job."""

_UNTOLD = "ended_at IS NOT NULL AND told_at IS NULL AND teller IS DISTINCT FROM 'later'"
"""What is to be heard later has an index of its own: only that is looked at whose time is over."""

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
    """An owner is alive."""
    db.run(
        "INSERT INTO vidpoll.owners (owner, seen) VALUES (%s, %s) "
        "ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen",
        *(owner, db.now),
    )


def leave(db: Transaction, owner: str) -> None:
    """An owner goes, and those of whom nothing was heard for a day are forgotten."""
    db.run("UPDATE vidpoll.shards SET owner = NULL WHERE owner = %s", owner)
    db.run("DELETE FROM vidpoll.owners WHERE owner = %s OR seen < %s", owner, db.now - FORGOTTEN)


def owned(db: Transaction, us: str, accounts: Collection[str], dead: Collection[str]) -> Owned:
    """The shards of accounts that have an owner which is alive; we are, or could not ask."""
    where = f"account = ANY(%s) AND (owner = %s OR {_ALIVE})"
    sql = f"SELECT account, part, parts, owner FROM vidpoll.shards AS s WHERE {where}"
    found: dict[str, dict[tuple[int, int], str]] = {}
    for row in db.rows(sql, list(accounts), us, db.now - TTL, list(dead)):
        found.setdefault(row["account"], {})[row["part"], row["parts"]] = row["owner"]
    return found


def owner_of(ref: str, owned: Owned) -> str | None:
    """Who has the shard in which a job lies."""
    shards = owned.get(ref.partition(":")[0], {})
    parts = next(iter(shards), (0, 1))[1]  # all who live divide an account alike
    return shards.get((bucket(ref) % parts, parts))


def take(db: Transaction, owner: str, accounts: Mapping[str, int], most: int, dead: Collection[str]) -> list[Shard]:
    """Have an owner take shards that are free. What another one is just taking is passed over."""
    divisions = db.rows("SELECT account, parts FROM vidpoll.divisions WHERE account = ANY(%s)", list(accounts))
    known = {row["account"]: row["parts"] for row in divisions}
    other = {account: accounts[account] for account in sorted(accounts) if known.get(account) != accounts[account]}
    if other:
        _divide(db, other, dead)
    names, parts = list(accounts), list(accounts.values())
    return [Shard(**row) for row in db.rows(_TAKE, owner, names, parts, db.now - TTL, list(dead), most)]


def _divide(db: Transaction, wanted: Mapping[str, int], dead: Collection[str]) -> None:
    """Divide accounts, but for those of which one that is alive has a shard of another division."""
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
    db.run(  # of those who are gone: one may be back
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
    """Have an owner let go of shards."""
    db.run(
        "UPDATE vidpoll.shards AS s SET owner = NULL FROM unnest(%s::text[], %s::int[], %s::int[], %s::int[]) "
        "AS given (account, part, parts, fence) WHERE (s.account, s.part, s.parts, s.fence) = "
        "(given.account, given.part, given.parts, given.fence) AND s.owner = %s",
        *map(list, zip(*shards, strict=True)),
        owner,
    )


def news(db: Transaction, shards: Sequence[Shard], mark: float) -> tuple[list[Row], float]:
    """The rows of jobs that are new in shards since a mark, and the mark of now.

    A mark is the oldest transaction that was not done when it was made: what commits later has that number or a higher
    one, however late it commits. What stands behind its point tells the start of the server: after another one all is
    new, for the server may be a replica that lacks the last transactions, or a dump's copy that counts anew.
    """
    snapshot = db.one(_SNAPSHOT)  # before the rows: one may come twice
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
    """The rows of all jobs of shards that are unfinished."""
    whole = [shard.account for shard in shards if shard.parts == 1]
    rows = db.rows(_WHOLE, whole) if whole else []
    for shard in shards:
        if shard.parts > 1:
            rows += db.rows(_PART, shard.account, list(range(shard.part, PARTS, shard.parts)))
    return rows


def gauges(db: Transaction, dead: Collection[str]) -> Gauges:
    """What an operator wants to see."""
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
