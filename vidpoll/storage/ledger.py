"""The rows of batches in a store: what was begun, what it costs, whether there is room. This module is only SQL.

An attempt of a row is one submit, and both have the same key: the outcome of an attempt is read from the submits and
the jobs, so that it costs no commit. All functions take the connection of a transaction, or of a read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from . import table_rows
from .records import KeptRow, Ledger, NoRoom, Order

Gone = Callable[[str, float], bool]
"""Whether an owner that began something at that Unix second is gone."""

_ROWS = (
    "SELECT r.*, s.number, s.reason, s.owner, s.at, coalesce(j.ref, k.ref) AS job, "
    "coalesce(j.ended_at, k.ended_at, o.ended_at) AS job_ended_at, CASE WHEN j.ended_at IS NOT NULL THEN j.facts "
    "WHEN k.ended_at IS NOT NULL THEN k.facts WHEN o.ended_at IS NOT NULL THEN o.facts END AS job_facts "
    "FROM batch_rows AS r LEFT JOIN submits AS s ON s.account = r.account AND s.key = r.key "
    "LEFT JOIN jobs AS j ON j.account = r.account AND j.key = r.key "
    "LEFT JOIN keys AS k ON k.account = r.account AND k.key = r.key "
    "LEFT JOIN jobs AS o ON o.ref = k.ref WHERE r.batch = ?"
)

_HELD = (
    "(EXISTS (SELECT 1 FROM submits AS s WHERE s.account = r.account AND s.key = r.key) "
    "OR EXISTS (SELECT 1 FROM jobs AS j WHERE j.account = r.account AND j.key = r.key) "
    "OR EXISTS (SELECT 1 FROM keys AS k WHERE k.account = r.account AND k.key = r.key))"
)
"""An attempt that is not settled reserves its price if it has a submit or a job."""

_CLOSE = 1e-9
"""A sum of prices may exceed a budget by this share of it, because floats are not exact."""


def rows(db: sqlite3.Connection, batch: str, gone: Gone) -> dict[str, KeptRow]:
    """The newest attempt of each row."""
    return {row["row"]: _kept(row, gone) for row in db.execute(f"{_ROWS} ORDER BY r.attempt", (batch,))}


def check(db: sqlite3.Connection, order: Order, gone: Gone, *, known: bool) -> None:
    """Raise NoRoom if another attempt of the row is in the way: it is bought, or another process works on it.

    `known`: the key of this attempt is in use, so nothing will be sent.
    """
    newest = db.execute(f"{_ROWS} AND r.row = ? ORDER BY r.attempt DESC LIMIT 1", (order.batch, order.row)).fetchone()
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


def enter(db: sqlite3.Connection, order: Order, account: str, operation: str) -> None:
    """Reserve what an order needs, in the transaction of its submit. Raises NoRoom: then nothing is written."""
    if order.limit is not None and _bought(db, order.batch) >= order.limit:
        raise NoRoom("limit")
    if order.budget is not None:
        taken = sum(ledger(db, order.batch, lambda owner, at: True).get(order.unit, Ledger()))
        if taken + order.price > order.budget * (1 + _CLOSE):
            raise NoRoom("budget")
    if order.slots is not None and in_flight(db, account) >= order.slots:
        raise NoRoom("slots")
    db.execute(
        "INSERT OR REPLACE INTO batch_rows (batch, row, attempt, digest, account, operation, key, price, unit) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(order.batch, order.row, order.attempt, order.digest, account, operation, order.key),
            *(order.price, order.unit),
        ),
    )


def settle(
    db: sqlite3.Connection,
    place: tuple[str, str, int],
    said: tuple[str, float, str, str, tuple[str, ...]],
    now: float,
) -> bool:
    """Record how an attempt (batch, row, number) ended: state, charged, category, problem, paths. False if it is not.

    Nothing is recorded while the outcome of its submit is unknown, or its job has no verdict: it may still cost money.
    """
    *words, paths = said
    return bool(
        db.execute(
            "UPDATE batch_rows AS r SET state = ?, charged = ?, category = ?, problem = ?, paths = ?, "
            "ref = coalesce((SELECT ref FROM jobs AS j WHERE j.account = r.account AND j.key = r.key), "
            "(SELECT ref FROM keys AS k WHERE k.account = r.account AND k.key = r.key), ref), "
            "ended_at = coalesce(ended_at, ?) WHERE batch = ? AND row = ? AND attempt = ? "
            "AND NOT EXISTS (SELECT 1 FROM submits AS s WHERE s.account = r.account AND s.key = r.key) AND NOT EXISTS "
            "(SELECT 1 FROM jobs AS j WHERE j.account = r.account AND j.key = r.key AND j.ended_at IS NULL) "
            "AND NOT EXISTS (SELECT 1 FROM keys AS k JOIN jobs AS j ON j.ref = k.ref WHERE k.account = r.account "
            "AND k.key = r.key AND k.ended_at IS NULL AND j.ended_at IS NULL)",
            (*words, table_rows.to_json(paths), now, *place),
        ).rowcount
    )


def dropped(db: sqlite3.Connection, ref: str, now: float) -> None:
    """Settle the attempts of a job that is about to be dropped as failed, so that none is bought again."""
    db.execute(
        "UPDATE batch_rows SET state = 'failed', charged = price, category = '', paths = '[]', ref = ?, ended_at = ?, "
        "problem = 'its job was dropped from the store' WHERE state IS NULL AND (account, key) IN "
        "(SELECT account, key FROM jobs WHERE ref = ? AND key IS NOT NULL "
        "UNION ALL SELECT account, key FROM keys WHERE ref = ? AND ended_at IS NULL)",
        (ref, now, ref, ref),
    )


def ledger(db: sqlite3.Connection, batch: str, gone: Gone) -> dict[str, Ledger]:
    """What a batch has cost, and what it may still cost, by unit."""
    found: dict[str, list[float]] = {}
    settled = "SELECT unit, total(charged) FROM batch_rows WHERE batch = ? AND state IS NOT NULL GROUP BY unit"
    for unit, charged in db.execute(settled, (batch,)):
        found[unit] = [charged, 0.0, 0.0]
    for row in db.execute(f"{_ROWS} AND r.state IS NULL", (batch,)):
        kept = _kept(row, gone)
        if kept.state != "waiting":
            held = max(kept.price, table_rows.cost(row["job_facts"], kept.unit))
            found.setdefault(kept.unit, [0.0, 0.0, 0.0])[2 if kept.state == "unknown" else 1] += held
    return {unit: Ledger(*sums) for unit, sums in found.items()}


def in_flight(db: sqlite3.Connection, account: str) -> int:
    """How many jobs of an account have no verdict, plus its submits under way or of unknown outcome."""
    count = (
        "SELECT (SELECT count(*) FROM jobs WHERE account = ? AND ended_at IS NULL) + "
        "(SELECT count(*) FROM submits WHERE account = ?)"
    )
    return int(db.execute(count, (account, account)).fetchone()[0])


def _bought(db: sqlite3.Connection, batch: str) -> int:
    """How many jobs of a batch were bought, or may have been; without those refused, or failed free of charge.

    A job without a known price counts as bought.
    """
    count = (
        "SELECT (SELECT count(*) FROM batch_rows WHERE batch = ? AND state IS NOT NULL AND ref IS NOT NULL "
        "AND (state <> 'waiting' OR charged > 0 OR unit = '')) + "
        f"(SELECT count(*) FROM batch_rows AS r WHERE batch = ? AND state IS NULL AND {_HELD})"
    )
    return int(db.execute(count, (batch, batch)).fetchone()[0])


def _kept(row: sqlite3.Row, gone: Gone) -> KeptRow:
    return KeptRow(
        row=row["row"],
        attempt=row["attempt"],
        digest=row["digest"],
        account=row["account"],
        operation=row["operation"],
        price=row["price"],
        unit=row["unit"],
        state=_state(row, gone),
        ref=row["job"] or row["ref"],
        charged=row["charged"],
        category=row["category"] or "",
        problem=row["problem"] or "",
        paths=tuple(json.loads(row["paths"] or "[]")),
        ended_at=row["ended_at"] or row["job_ended_at"],
    )


def _state(row: sqlite3.Row, gone: Gone) -> str:
    if row["number"] is not None:
        return "submitting" if row["reason"] is None and not gone(row["owner"], row["at"]) else "unknown"
    if row["state"] is not None:
        return str(row["state"])
    if row["job"] is None:  # refused, or dismissed
        return "waiting"
    return "running" if row["job_ended_at"] is None else "ended"
