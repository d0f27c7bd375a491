"""Which job has a key, also if a server answers two submits with one id. Only SQL is here.

A job's row has the key of its submit; the table `keys` has all other keys of jobs, with the columns of a job. Such a
row without `ended_at` is a further key of the job that is stored under its `ref`, if both have equal fields. If not,
the server has given the id to another job, and what became of the row's job is unknown. With `ended_at` it is a whole
job: it ended, and then the server gave its id to another job.
"""

from __future__ import annotations

from vidpoll.storage import table_rows
from vidpoll.storage.protocol import KeptJob

from . import ledger
from .transaction import Row, Transaction

_OPEN = "(account, key) IN (SELECT account, key FROM vidpoll.batch_rows WHERE state IS NULL)"

_INSERT = f"INSERT INTO vidpoll.keys ({table_rows.COLUMNS})"

_SHARED = "EXISTS (SELECT 1 FROM vidpoll.keys WHERE keys.ref = jobs.ref AND keys.ended_at IS NULL"


def job_of(db: Transaction, account: str, key: str) -> KeptJob | None:
    """The job that has the key; None if none has it."""
    # The jobs first: another process may move the key from them to `keys` between the two reads.
    job = db.one(f"SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE account = %s AND key = %s", account, key)
    if job is not None:
        return table_rows.kept(job)
    own = db.one("SELECT * FROM vidpoll.keys WHERE account = %s AND key = %s", account, key)
    if own is None or own["ended_at"] is not None:
        return None if own is None else table_rows.kept(own)
    return table_rows.shared(own, db.one(f"SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE ref = %s", own["ref"]))


def has(db: Transaction, ref: str, key: str) -> bool:
    """Whether a job with this reference has the key, or had it when it ended."""
    both = "SELECT 1 FROM vidpoll.jobs WHERE ref = %s AND key = %s UNION ALL SELECT 1 FROM vidpoll.keys WHERE ref = %s"
    return db.one(f"{both} AND key = %s", ref, key, ref, key) is not None


def early(db: Transaction, number: int, job: KeptJob) -> bool:
    """Whether the job was stored while its submit was in progress: its webhook was faster than the response.

    Then the row gets the facts that only the response has; its verdict and files stay.
    """
    since = "(SELECT at FROM vidpoll.submits WHERE number = %s)"
    where = f"ref = %s AND operation IS NULL AND key IS NULL AND added_at >= {since} FOR UPDATE"
    row = db.one(f"SELECT facts FROM vidpoll.jobs WHERE {where}", job.ref, number)
    if row is not None:
        said = (table_rows.completed(row, job), job.facts.get("submitted_at"), job.ref)
        db.run("UPDATE vidpoll.jobs SET facts = %s, submitted_at = %s WHERE ref = %s", *said)
    return row is not None


def of(db: Transaction, ref: str | None) -> dict[tuple[str, str], str]:
    """The keys of a job, or of all jobs, as (account, key), with the job's reference; "" for a former job."""
    of_jobs = "SELECT account, key, ref FROM vidpoll.jobs WHERE key IS NOT NULL"
    others = "SELECT account, key, CASE WHEN ended_at IS NULL THEN ref ELSE '' END AS ref FROM vidpoll.keys"
    if ref is None:
        rows = db.rows(f"{of_jobs} UNION ALL {others}")
    else:
        rows = db.rows(f"{of_jobs} AND ref = %s UNION ALL {others} WHERE ref = %s AND ended_at IS NULL", ref, ref)
    return {(row["account"], row["key"]): row["ref"] for row in rows}


def give_way(db: Transaction, job: KeptJob, before: float) -> None:
    """Drop another job that was stored under this reference up to `before`, but none of its keys.

    It is the same job if the provider has merged the submits: it has no verdict, and both have a key and equal fields.
    """
    row = db.one("SELECT * FROM vidpoll.jobs WHERE ref = %s AND added_at <= %s FOR UPDATE", job.ref, before)
    if row is None or table_rows.same_submit(row, job):
        return
    if row["ended_at"] is None:
        ledger.dropped(db, job.ref)
    else:
        for own in db.rows("SELECT * FROM vidpoll.keys WHERE ref = %s AND ended_at IS NULL", job.ref):
            if table_rows.equal(row, own):
                sql = "UPDATE vidpoll.keys SET facts = %s, ended_at = %s, told_at = %s WHERE account = %s AND key = %s"
                db.run(sql, row["facts"], row["ended_at"], row["told_at"], own["account"], own["key"])
    db.run(f"{_INSERT} SELECT {table_rows.COLUMNS} FROM vidpoll.jobs WHERE ref = %s AND key IS NOT NULL", job.ref)
    for table in ("jobs", "files"):
        db.run(f"DELETE FROM vidpoll.{table} WHERE ref = %s", job.ref)


def adoptable(db: Transaction, ref: str, submit: Row) -> bool:
    """Whether a submit may be adopted as this job: no submit with another key and other fields made the job."""
    row = db.one("SELECT * FROM vidpoll.jobs WHERE ref = %s AND key <> %s FOR UPDATE", ref, submit["key"])
    return row is None or table_rows.equal(row, submit)


def bind(db: Transaction, job: KeptJob) -> None:
    """Give the job that is stored under this reference a further key, if it has another one."""
    if job.key:
        db.run(
            f"{_INSERT} SELECT ref, account, provider, base_url, variables, %s, %s, '{{}}', submitted_at, added_at, "
            "NULL, NULL, 0, 0, 0, %s FROM vidpoll.jobs WHERE ref = %s AND key <> %s",
            *(job.operation, table_rows.to_json(job.sent), job.key, job.ref, job.key),
        )


def drop(db: Transaction, ref: str, *, strange: bool) -> None:
    """Drop a job with its keys, but not the keys of a former job with its id. `strange`: only if no submit made it."""
    known = f"ref = %s AND (%s OR (operation IS NULL AND NOT {_SHARED})))"
    if db.one(f"SELECT 1 FROM vidpoll.jobs WHERE {known} FOR UPDATE", ref, not strange) is not None:
        ledger.dropped(db, ref)
        for where in ("jobs WHERE ref = %s", "files WHERE ref = %s", "keys WHERE ref = %s AND ended_at IS NULL"):
            db.run(f"DELETE FROM vidpoll.{where}", ref)


def prune(db: Transaction, before: float) -> int:
    """Drop jobs that ended before `before` and were reported, with their keys, except rows of batches not settled."""
    free = f"(key IS NULL OR NOT {_OPEN}) AND NOT {_SHARED} AND {_OPEN})"
    gone = db.run(f"DELETE FROM vidpoll.jobs WHERE told_at IS NOT NULL AND ended_at < %s AND {free}", before)
    alone = "ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM vidpoll.jobs WHERE jobs.ref = keys.ref)"
    db.run(f"DELETE FROM vidpoll.keys WHERE (ended_at < %s OR ({alone})) AND NOT {_OPEN}", before)
    db.run("DELETE FROM vidpoll.files AS f WHERE NOT EXISTS (SELECT 1 FROM vidpoll.jobs AS j WHERE j.ref = f.ref)")
    return gone
