"""The rows of batches in a PostgreSQL store: begun attempts, their costs, and the room for more. Only SQL is here.

An attempt of a row is one submit, and the submit's key links the two. The outcome of an attempt is read from the
submits and the jobs, and needs no commit of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from vidpoll.storage import table_rows
from vidpoll.storage.protocol import KeptRow, Ledger, NoRoom, Order

from .transaction import Row, Transaction

Gone = Callable[[str, float], bool]
"""Whether an owner that began something at a Unix second is gone."""

_ROWS = """
    SELECT r.*, s.number, s.reason, s.owner, s.at, coalesce(j.ref, k.ref) AS job,
        coalesce(j.ended_at, k.ended_at, o.ended_at) AS job_ended_at,
        CASE WHEN j.ended_at IS NOT NULL THEN j.facts WHEN k.ended_at IS NOT NULL THEN k.facts
            WHEN o.ended_at IS NOT NULL THEN o.facts END AS job_facts FROM vidpoll.batch_rows AS r
    LEFT JOIN vidpoll.submits AS s ON s.account = r.account AND s.key = r.key
    LEFT JOIN vidpoll.jobs AS j ON j.account = r.account AND j.key = r.key
    LEFT JOIN vidpoll.keys AS k ON k.account = r.account AND k.key = r.key
    LEFT JOIN vidpoll.jobs AS o ON o.ref = k.ref WHERE r.batch = %s"""

_SUBMIT = "SELECT 1 FROM vidpoll.submits AS s WHERE s.account = r.account AND s.key = r.key"
_JOB = "SELECT 1 FROM vidpoll.jobs AS j WHERE j.account = r.account AND j.key = r.key"
_KEY = "SELECT 1 FROM vidpoll.keys AS k WHERE k.account = r.account AND k.key = r.key"

_CLOSE = 1e-9
"""The share by which a sum of prices may exceed a budget, because floats are not exact."""


_SAME = ("row", "attempt", "digest", "account", "operation", "price", "unit", "charged")


def rows(db: Transaction, batch: str, gone: Gone) -> dict[str, KeptRow]:
    """The newest attempt of each row."""
    return {row["row"]: _kept(row, gone) for row in db.rows(f"{_ROWS} ORDER BY r.attempt", batch)}


def lock(db: Transaction, order: Order, account: str) -> None:
    """Until the end of the transaction no other process takes room of this batch, or at this account."""
    for what in (f"vidpoll batch {order.batch}", f"vidpoll slots {account}"):
        db.run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", what)


def check(db: Transaction, order: Order, gone: Gone, *, known: bool) -> None:
    """Raise NoRoom if another attempt of the row prevents this one: it is bought, or another process works on it.

    `known`: the key of this attempt is already in use, so nothing will be sent.
    """
    newest = db.one(f'{_ROWS} AND r."row" = %s ORDER BY r.attempt DESC LIMIT 1', order.batch, order.row)
    if newest is None:
        return
    kept = _kept(newest, gone)
    changed = kept.state == "completed" and kept.digest != order.digest
    if order.attempt == kept.attempt:
        free = known or (kept.state == "waiting" and kept.ref is None)
    else:
        free = order.attempt == kept.attempt + 1 and (kept.state in ("waiting", "failed") or changed)
    if not free:
        raise NoRoom("elsewhere")


def enter(db: Transaction, order: Order, account: str, operation: str) -> None:
    """Reserve the room of an order, in the transaction of its submit. Raises NoRoom: then nothing is written."""
    if order.limit is not None and _bought(db, order.batch) >= order.limit:
        raise NoRoom("limit")
    if order.budget is not None:
        taken = sum(ledger(db, order.batch, lambda owner, at: True).get(order.unit, Ledger()))
        if taken + order.price > order.budget * (1 + _CLOSE):
            raise NoRoom("budget")
    if order.slots is not None and in_flight(db, account) >= order.slots:
        raise NoRoom("slots")
    place = (order.batch, order.row, order.attempt)
    db.run('DELETE FROM vidpoll.batch_rows WHERE batch = %s AND "row" = %s AND attempt = %s', *place)
    db.run(
        'INSERT INTO vidpoll.batch_rows (batch, "row", attempt, digest, account, operation, key, price, unit) '
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        *(*place, order.digest, account, operation, order.key, order.price, order.unit),
    )


def settle(
    db: Transaction, place: tuple[str, str, int], said: tuple[str, float, str, str, tuple[str, ...]]
) -> bool:  # fmt: skip
    """Store the end of an attempt (batch, row, number): state, charged, category, problem, paths. True if stored.

    It is not stored while the outcome of its submit is unknown, or its job has no verdict: it may still be charged.
    """
    *words, paths = said
    sql = (
        "UPDATE vidpoll.batch_rows AS r SET state = %s, charged = %s, category = %s, problem = %s, paths = %s, "
        f"ref = coalesce(({_JOB.replace('1', 'ref', 1)}), ({_KEY.replace('1', 'ref', 1)}), r.ref), "
        "ended_at = coalesce(r.ended_at, %s) "
        f'WHERE batch = %s AND "row" = %s AND attempt = %s AND NOT EXISTS ({_SUBMIT}) '
        f"AND NOT EXISTS ({_JOB} AND j.ended_at IS NULL) AND NOT EXISTS ({_KEY} AND k.ended_at IS NULL "
        "AND EXISTS (SELECT 1 FROM vidpoll.jobs AS o WHERE o.ref = k.ref AND o.ended_at IS NULL))"
    )
    return bool(db.run(sql, *words, table_rows.to_json(paths), db.now, *place))


def dropped(db: Transaction, ref: str) -> None:
    """The job is about to be dropped: its unsettled attempts count as failed, so that none is bought again."""
    db.run(
        "UPDATE vidpoll.batch_rows SET state = 'failed', charged = price, category = '', paths = '[]', ref = %s, "
        "ended_at = %s, problem = 'its job was dropped from the store' WHERE state IS NULL AND (account, key) IN "
        "(SELECT account, key FROM vidpoll.jobs WHERE ref = %s AND key IS NOT NULL "
        "UNION ALL SELECT account, key FROM vidpoll.keys WHERE ref = %s AND ended_at IS NULL)",
        *(ref, db.now, ref, ref),
    )


def ledger(db: Transaction, batch: str, gone: Gone) -> dict[str, Ledger]:
    """What a batch has cost, and what it may still cost, by unit."""
    found: dict[str, list[float]] = {}
    settled = "SELECT unit, coalesce(sum(charged), 0) AS charged FROM vidpoll.batch_rows "
    for row in db.rows(f"{settled} WHERE batch = %s AND state IS NOT NULL GROUP BY unit", batch):
        found[row["unit"]] = [row["charged"], 0.0, 0.0]
    for row in db.rows(f"{_ROWS} AND r.state IS NULL", batch):
        kept = _kept(row, gone)
        if kept.state != "waiting":
            held = max(kept.price, table_rows.cost(row["job_facts"], kept.unit))
            found.setdefault(kept.unit, [0.0, 0.0, 0.0])[2 if kept.state == "unknown" else 1] += held
    return {unit: Ledger(*sums) for unit, sums in found.items()}


def in_flight(db: Transaction, account: str) -> int:
    """The number of an account's jobs without a verdict, and of its submits in progress or of unknown outcome."""
    row = db.one(
        "SELECT (SELECT count(*) FROM vidpoll.jobs WHERE account = %s AND ended_at IS NULL) + "
        "(SELECT count(*) FROM vidpoll.submits WHERE account = %s) AS number",
        *(account, account),
    )
    return int(row["number"]) if row else 0


def _bought(db: Transaction, batch: str) -> int:
    """The number of jobs of a batch that were bought, or may have been, without refused ones and free failures.

    A failed job without a price counts as bought: nothing says that it was free.
    """
    row = db.one(
        "SELECT (SELECT count(*) FROM vidpoll.batch_rows WHERE batch = %s AND state IS NOT NULL AND ref IS NOT NULL "
        "AND (state <> 'waiting' OR charged > 0 OR unit = '')) + "
        "(SELECT count(*) FROM vidpoll.batch_rows AS r WHERE batch = %s "
        f"AND state IS NULL AND (EXISTS ({_SUBMIT}) OR EXISTS ({_JOB}) OR EXISTS ({_KEY}))) AS number",
        *(batch, batch),
    )
    return int(row["number"]) if row else 0


def _kept(row: Row, gone: Gone) -> KeptRow:
    return KeptRow(
        **{name: row[name] for name in _SAME},
        state=_state(row, gone),
        ref=row["job"] or row["ref"],
        category=row["category"] or "",
        problem=row["problem"] or "",
        paths=tuple(json.loads(row["paths"] or "[]")),
        ended_at=row["ended_at"] or row["job_ended_at"],
    )


def _state(row: Row, gone: Gone) -> str:
    if row["number"] is not None:
        return "submitting" if row["reason"] is None and not gone(row["owner"], row["at"]) else "unknown"
    if row["state"] is not None:
        return str(row["state"])
    if row["job"] is None:  # refused, or dismissed
        return "waiting"
    return "running" if row["job_ended_at"] is None else "ended"
