"""Which job has a key, also if a server answers two submits with one id. This module is only SQL.

A job's row has the key of its submit; the table `keys` has all other keys of jobs, with the columns of a job. Such a
row without `ended_at` is a further key of the job that is kept under its `ref`, if both have equal fields. If not, the
server has given the id to another job, and what became of the row's job is unknown. With `ended_at` it is a whole job:
it ended, and then the server gave its id to another job.
"""

from __future__ import annotations

import sqlite3

from . import ledger, table_rows
from .records import KeptJob

_OPEN = "(account, key) IN (SELECT account, key FROM batch_rows WHERE state IS NULL)"

_INSERT = f"INSERT INTO keys ({table_rows.COLUMNS})"

_VERDICT = ("facts", "ended_at", "told_at")

_SHARED = "EXISTS (SELECT 1 FROM keys WHERE keys.ref = jobs.ref AND keys.ended_at IS NULL"


def job_of(db: sqlite3.Connection, account: str, key: str) -> KeptJob | None:
    """The job that has the key; None if none has it."""
    job = db.execute(f"SELECT {table_rows.JOB} FROM jobs WHERE account = ? AND key = ?", (account, key)).fetchone()
    if job is not None:
        return table_rows.kept(job)
    own = db.execute("SELECT * FROM keys WHERE account = ? AND key = ?", (account, key)).fetchone()
    if own is None or own["ended_at"] is not None:
        return None if own is None else table_rows.kept(own)
    job = db.execute(f"SELECT {table_rows.JOB} FROM jobs WHERE ref = ?", (own["ref"],)).fetchone()
    return table_rows.shared(own, job)


def has(db: sqlite3.Connection, ref: str, key: str) -> bool:
    """Whether a job with this reference has the key, or had it when it ended."""
    both = "SELECT 1 FROM jobs WHERE ref = ? AND key = ? UNION ALL SELECT 1 FROM keys WHERE ref = ? AND key = ?"
    return db.execute(both, (ref, key, ref, key)).fetchone() is not None


def early(db: sqlite3.Connection, number: int, job: KeptJob) -> bool:
    """Whether the job was kept while its submit was under way: its webhook was faster than the response.

    Then the row gets the facts that only the response has; its verdict and files stay.
    """
    since = "(SELECT at FROM submits WHERE number = ?)"
    sql = f"SELECT facts FROM jobs WHERE ref = ? AND operation IS NULL AND key IS NULL AND added_at >= {since}"
    row = db.execute(sql, (job.ref, number)).fetchone()
    if row is not None:
        said = (table_rows.completed(row, job), job.facts.get("submitted_at"), job.ref)
        db.execute("UPDATE jobs SET facts = ?, submitted_at = ? WHERE ref = ?", said)
    return row is not None


def of(db: sqlite3.Connection, ref: str | None) -> dict[tuple[str, str], str]:
    """The keys of a job, or of all jobs, as (account, key), with the job's reference; "" for a former job."""
    of_jobs = "SELECT account, key, ref FROM jobs WHERE key IS NOT NULL"
    others = "SELECT account, key, CASE WHEN ended_at IS NULL THEN ref ELSE '' END AS ref FROM keys"
    if ref is None:
        rows = db.execute(f"{of_jobs} UNION ALL {others}")
    else:
        rows = db.execute(f"{of_jobs} AND ref = ? UNION ALL {others} WHERE ref = ? AND ended_at IS NULL", (ref, ref))
    return {(row["account"], row["key"]): row["ref"] for row in rows}


def give_way(db: sqlite3.Connection, job: KeptJob, before: float, now: float) -> None:
    """Drop another job that was kept under this reference up to `before`, but none of its keys.

    It is the same job if the provider has merged the submits: it has no verdict, and both have a key and equal fields.
    """
    row = db.execute("SELECT * FROM jobs WHERE ref = ? AND added_at <= ?", (job.ref, before)).fetchone()
    if row is None or table_rows.same_submit(row, job):
        return
    if row["ended_at"] is None:
        ledger.dropped(db, job.ref, now)
    else:
        for own in db.execute("SELECT * FROM keys WHERE ref = ? AND ended_at IS NULL", (job.ref,)).fetchall():
            if table_rows.equal(row, own):
                sql = "UPDATE keys SET facts = ?, ended_at = ?, told_at = ? WHERE account = ? AND key = ?"
                db.execute(sql, (*(row[name] for name in _VERDICT), own["account"], own["key"]))
    db.execute(f"{_INSERT} SELECT {table_rows.COLUMNS} FROM jobs WHERE ref = ? AND key IS NOT NULL", (job.ref,))
    for table in ("jobs", "files"):
        db.execute(f"DELETE FROM {table} WHERE ref = ?", (job.ref,))


def adoptable(db: sqlite3.Connection, ref: str, submit: sqlite3.Row) -> bool:
    """Whether a submit may be adopted as this job: no submit with another key and other fields made the job."""
    row = db.execute("SELECT * FROM jobs WHERE ref = ? AND key <> ?", (ref, submit["key"])).fetchone()
    return row is None or table_rows.equal(row, submit)


def bind(db: sqlite3.Connection, job: KeptJob) -> None:
    """Give the job that is kept under this reference a further key, if it has another one."""
    if job.key:
        db.execute(
            f"{_INSERT} SELECT ref, account, provider, base_url, variables, ?, ?, '{{}}', submitted_at, added_at, "
            "NULL, NULL, 0, 0, 0, ? FROM jobs WHERE ref = ? AND key <> ?",
            (job.operation, table_rows.to_json(job.sent), job.key, job.ref, job.key),
        )


def drop(db: sqlite3.Connection, ref: str, now: float, *, strange: bool) -> None:
    """Drop a job with its keys, but not the keys of a former job with its id. `strange`: only if no submit made it."""
    known = f"SELECT 1 FROM jobs WHERE ref = ? AND (? OR (operation IS NULL AND NOT {_SHARED})))"
    if db.execute(known, (ref, not strange)).fetchone():
        ledger.dropped(db, ref, now)
        for where in ("jobs WHERE ref = ?", "files WHERE ref = ?", "keys WHERE ref = ? AND ended_at IS NULL"):
            db.execute(f"DELETE FROM {where}", (ref,))


def prune(db: sqlite3.Connection, before: float) -> int:
    """Drop jobs that ended before `before` and were reported, with their keys, except rows of batches not settled."""
    old = "DELETE FROM jobs WHERE told_at IS NOT NULL AND ended_at < ?"
    free = f"(key IS NULL OR NOT {_OPEN}) AND NOT {_SHARED} AND {_OPEN})"
    gone = db.execute(f"{old} AND {free}", (before,)).rowcount
    left = "(ended_at < ? OR (ended_at IS NULL AND ref NOT IN (SELECT ref FROM jobs)))"
    db.execute(f"DELETE FROM keys WHERE {left} AND NOT {_OPEN}", (before,))
    db.execute("DELETE FROM files WHERE ref NOT IN (SELECT ref FROM jobs)")
    return gone
