"""One SQLite file that keeps jobs over a crash: what was submitted, what is known, who polls, what must be reported.

Several processes may use it at once, and a client's threads share it. A *lease* is the right to poll a job, a *teller*
is the owner that reports its verdict to the hooks; both end when their process is gone. Calls take rows of many jobs,
and each call is one transaction. This module is only SQL: `records` defines what is kept, and `keeper` when. Times are
Unix seconds of the client's clock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import StoreError
from . import keys, ledger, records, sharding, table_rows
from .interrupted import undone_if_interrupted
from .leasing import LATER, Leasing
from .protocol import Store
from .records import (
    KeptJob,
    KeptRow,
    Ledger,
    NoRoom,
    Order,
    Origin,
    Saved,
    Submission,
    WantedFiles,
)

_TELLER = "SELECT facts, ended_at, told_at, teller, teller_since FROM jobs WHERE ref = ?"

_ADOPTED = f"SELECT {table_rows.JOB} FROM jobs WHERE ref = ? AND operation IS NOT NULL AND submitted_at IS NULL"

_SUBMITTED = "SELECT 1 FROM jobs WHERE ref = ? AND operation IS NOT NULL"

_CHANGE = "(SELECT number FROM changes)"

_ALONG = (
    ("batch_rows", "SELECT * FROM batch_rows"),
    ("jobs", "SELECT * FROM jobs WHERE key IS NOT NULL OR ref IN (SELECT ref FROM keys)"),
    ("keys", "SELECT * FROM keys"),
    ("submits", "SELECT * FROM submits WHERE key IS NOT NULL"),
)
"""Rows that are always copied when the store is reopened: nothing with a key may be bought again in the new file."""

_OURS = "SELECT * FROM submits WHERE owner = ?"

_LEFT = "UPDATE submits SET reason = ? WHERE owner = ? AND reason IS NULL"


class SqliteStore(Leasing, Store):
    """The file at `path`; it is made if missing. Raises StoreError if it cannot be used."""

    def close(self) -> None:
        """Release the leases and shards, and close the file. Submits under way become unknown."""
        with contextlib.suppress(StoreError), self._transaction() as db:
            db.execute("UPDATE jobs SET owner = NULL, owned_until = NULL WHERE owner = ?", (self.owner,))
            db.execute(_LEFT, (table_rows.CLOSED, self.owner))
            sharding.leave(db, self.owner, self.now())
        super().close()

    def reopen(self, refs: Iterable[str]) -> None:
        """Open the file that is at the path now; copy these jobs, their files, our submits, and all rows with a key.

        Unless it is the file that was opened first, no submit begins any more.
        """
        with self._understood(), self._link.using():
            old, along = self._link.connection, []
            if old is None:  # closed by a fork: its rows cannot be copied
                self._check_open()
                return
            with contextlib.suppress(sqlite3.Error):
                along = [("submits", tuple(row)) for row in old.execute(_OURS, (self.owner,))]
                for table in ("jobs", "files"):
                    for ref in refs:
                        found = old.execute(f"SELECT * FROM {table} WHERE ref = ?", (ref,))
                        along += [(table, tuple(row)) for row in found]
                for table, sql in _ALONG:
                    along += [(table, tuple(row)) for row in old.execute(sql)]
            self._open()
            with contextlib.suppress(sqlite3.Error):
                old.close()  # SQLite does not touch the new file at the path of a moved one
            with self._transaction(full=True) as db:
                for table, row in along:
                    marks = ", ".join("?" * len(row))
                    db.execute(f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO NOTHING", row)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def enter(self, jobs: Iterable[tuple[str, Origin, Mapping[str, Any]]]) -> dict[str, KeptJob]:
        """Keep the jobs (reference, origin, facts) that are not kept yet; return all as kept, without damaged rows."""
        found: dict[str, KeptJob] = {}
        with self._transaction() as db:
            for ref, origin, facts in jobs:
                self._insert(db, KeptJob(ref, origin, facts=facts))
                row = db.execute(f"SELECT {table_rows.JOB} FROM jobs WHERE ref = ?", (ref,)).fetchone()
                with contextlib.suppress(ValueError):  # fresh facts will repair this row; the others must be kept
                    found[ref] = table_rows.kept(row)
        return found

    def _insert(self, db: sqlite3.Connection, job: KeptJob) -> None:
        """Insert a job. If it is kept already, only add what was not known of its submit."""
        self._count_change(db)
        db.execute(
            "INSERT INTO jobs (ref, account, provider, base_url, variables, operation, sent, facts, submitted_at, "
            f"added_at, key, bucket, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {_CHANGE}) "
            "ON CONFLICT (ref) DO UPDATE SET "
            "sent = CASE WHEN jobs.operation IS NULL THEN excluded.sent ELSE jobs.sent END, "
            "operation = coalesce(jobs.operation, excluded.operation), base_url = excluded.base_url, "
            "key = coalesce(jobs.key, excluded.key)",
            (
                job.ref,
                *table_rows.where(job.origin),
                job.operation,
                table_rows.to_json(job.sent),
                table_rows.to_json(job.facts),
                job.facts.get("submitted_at"),
                self.now(),
                job.key or None,
                records.bucket(job.ref),
            ),
        )

    @staticmethod
    def _count_change(db: sqlite3.Connection) -> None:
        """Raise the number of changes; a row that becomes news of its shard gets that number."""
        db.execute("UPDATE changes SET number = number + 1")

    def get(self, ref: str) -> KeptJob | None:
        """A kept job; None if it is not kept."""
        found = self._read(table_rows.kept, f"SELECT {table_rows.JOB} FROM jobs WHERE ref = ?", ref)
        return found[0] if found else None

    def jobs(self, *, unfinished: bool = False, last: int = -1) -> list[KeptJob]:
        """All jobs, or the `last` ones, the oldest first.

        `unfinished`: only jobs without a verdict, or whose verdict was not reported; not those of a newer vidpoll.
        """
        where = "WHERE told_at IS NULL" if unfinished else ""
        order = "ORDER BY added_at DESC, rowid DESC LIMIT ?"
        found = self._read(table_rows.kept, f"SELECT {table_rows.JOB} FROM jobs {where} {order}", last)[::-1]
        return [job for job in found if not (unfinished and job.newer)]

    def latest(self, account: str, number: int) -> list[KeptJob]:
        """The jobs of an account that ended last, the latest first."""
        where = "account = ? AND ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT ?"
        sql = f"SELECT {table_rows.JOB} FROM jobs WHERE {where}"
        return self._read(table_rows.kept, sql, account, number)

    def save(self, rows: Iterable[Saved]) -> None:
        """Store the facts of jobs, in one transaction. A job that has a stored verdict is not changed."""
        rows = list(rows)
        with self._transaction(table_rows.who(row.ref for row in rows)) as db:
            for row in rows:
                kept = db.execute("SELECT facts, ended_at FROM jobs WHERE ref = ?", (row.ref,)).fetchone()
                if kept is not None and kept["ended_at"] is None:
                    self._write(db, row, kept)

    def end(self, rows: Iterable[Saved]) -> Mapping[str, bool | None]:
        """Store verdicts, the first one of each job, in one transaction that is on disk when this returns.

        Returns for each reference whether we must report the verdict; None if the job is not kept.
        """
        rows = list(rows)
        with self._transaction(table_rows.who(row.ref for row in rows), full=True) as db:
            return {row.ref: self._end(db, row) for row in rows}

    def _end(self, db: sqlite3.Connection, row: Saved) -> bool | None:
        kept = db.execute(_TELLER, (row.ref,)).fetchone()
        if kept is None:
            return None
        if kept["ended_at"] is not None:
            return self._claim(db, row.ref, kept)
        if not self._write(db, row, kept):  # a newer vidpoll keeps the job, and will get the verdict itself
            return False
        self._count_change(db)
        db.execute(
            "UPDATE jobs SET ended_at = ?, teller = ?, teller_since = ?, owner = NULL, owned_until = NULL, "
            f"change = {_CHANGE} WHERE ref = ?",
            (self.now(), self.owner, self.now(), row.ref),
        )
        return True

    def _write(self, db: sqlite3.Connection, row: Saved, kept: sqlite3.Row) -> bool:
        """Update the stored facts, but keep unknown fields. Facts of a newer vidpoll are left alone: return False."""
        before = table_rows.facts_of(kept["facts"])
        if records.newer(before):
            return False
        db.execute(
            "UPDATE jobs SET facts = ?, requests = requests + ?, transient_errors = transient_errors + ?, "
            "version = version + 1 WHERE ref = ?",
            (table_rows.to_json(records.merged(before, row.facts)), row.requests, row.transient_errors, row.ref),
        )
        return True

    def claim(self, refs: Iterable[str]) -> set[str]:
        """The jobs whose stored verdict was not reported, and which we must report from now on."""
        untold = "SELECT ref FROM jobs WHERE ref = ? AND ended_at IS NOT NULL AND told_at IS NULL"
        found = [ref for ref in refs if self._read(lambda row: row, untold, ref)]
        if not found:  # most were reported: no need to write
            return set()
        with self._transaction(table_rows.who(found), full=True) as db:
            rows = {ref: db.execute(_TELLER, (ref,)).fetchone() for ref in found}
            return {ref for ref, row in rows.items() if row is not None and self._claim(db, ref, row)}

    def _claim(self, db: sqlite3.Connection, ref: str, row: sqlite3.Row) -> bool:
        """Become the teller of a job, unless a living teller may still report the verdict."""
        if row["told_at"] is not None or not self._gone(row["teller"], row["teller_since"]):
            return False
        db.execute("UPDATE jobs SET teller = ?, teller_since = ? WHERE ref = ?", (self.owner, self.now(), ref))
        return True

    def told(self, refs: Iterable[str]) -> None:
        """Record that the hooks have heard these verdicts; on disk when this returns."""
        rows = [(self.now(), ref) for ref in refs]
        with self._transaction(table_rows.who(ref for _, ref in rows), full=True) as db:
            db.executemany("UPDATE jobs SET told_at = ?, teller = NULL WHERE ref = ? AND ended_at IS NOT NULL", rows)

    def untold(self, refs: Iterable[str]) -> None:
        """Record that the hooks did not hear these verdicts (Ctrl-C): the next wait for the job reports them."""
        rows = [(ref, self.owner) for ref in refs]
        with self._transaction(table_rows.who(ref for ref, _ in rows)) as db:
            db.executemany("UPDATE jobs SET teller = NULL WHERE ref = ? AND teller = ?", rows)

    def later(self, refs: Iterable[str]) -> None:
        """Record that hooks returned LATER for these: `told` will follow, and AGAIN s later they may be claimed."""
        rows = [(LATER, self.now(), ref) for ref in refs]
        with self._transaction(table_rows.who(ref for *_, ref in rows)) as db:
            db.executemany("UPDATE jobs SET teller = ?, teller_since = ? WHERE ref = ? AND told_at IS NULL", rows)

    def prune(self, before: float) -> int:
        """Drop jobs that ended before `before` and were reported; return how many.

        What a batch has not settled stays, and so does each submit without a job.
        """
        with self._transaction() as db:
            return keys.prune(db, before)

    def drop(self, ref: str, *, strange: bool = False) -> None:
        """Drop a job. `strange`: only if no submit of this store made it."""
        with self._transaction(ref) as db:
            keys.drop(db, ref, self.now(), strange=strange)

    # -- submits ------------------------------------------------------------------------------------------------------

    def begin(
        self, origin: Origin, operation: str, sent: Mapping[str, Any], *, key: str = "", order: Order | None = None
    ) -> int | KeptJob | Submission:
        """Record that a submit is about to be sent; return its number. It is on disk when this returns.

        If the key is in use, nothing is written: returns the job with the key, or the submit, whose `reason` is empty
        while it is under way. An `order` gives the key. Raises NoRoom.
        """
        number = int.from_bytes(os.urandom(6), "big")  # random: not that of a dropped one or a backup
        account, key = origin.account, key if order is None else order.key
        with undone_if_interrupted(lambda: self.refused(number)), self._transaction(full=True) as db:
            found = self._keyed(db, account, key) if key else None
            if found is None:
                self._check_home()
            if order is not None:
                self._order(db, order, account, operation, found)
            if found is not None:
                return found
            db.execute(
                "INSERT INTO submits (number, account, provider, base_url, variables, operation, sent, at, owner, key) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(number, *table_rows.where(origin), operation, table_rows.to_json(sent)),
                    *(self.now(), self.owner, key or None),
                ),
            )
        return number

    def begin_again(self, earlier: Submission) -> int | Submission:
        """Record that a submit of unknown outcome is about to be sent again; return its number.

        Returns `earlier` if it must not be sent: another process sends it by now, or it was adopted or dismissed.
        """
        with undone_if_interrupted(lambda: self._unbegun(earlier)), self._transaction(full=True) as db:
            row = db.execute("SELECT * FROM submits WHERE number = ?", (earlier.number,)).fetchone()
            if row is None or not self._lost(row):
                return earlier
            self._check_home()
            db.execute("UPDATE submits SET owner = ?, reason = NULL WHERE number = ?", (self.owner, earlier.number))
        return earlier.number

    def _unbegun(self, earlier: Submission) -> None:
        """Restore the reason of a submit that we have begun again, but not sent."""
        with self._transaction(full=True) as db:
            ours = "number = ? AND owner = ? AND reason IS NULL"
            db.execute(f"UPDATE submits SET reason = ? WHERE {ours}", (earlier.reason, earlier.number, self.owner))

    def keyed(self, account: str, key: str) -> KeptJob | Submission | None:
        """The job or the submit that has the key; None if the key is free. A submit under way has an empty `reason`."""
        return self._asked(lambda db: self._keyed(db, account, key))

    def keys(self, ref: str | None = None) -> dict[tuple[str, str], str]:
        """All keys of jobs, as (account, key), with the job's reference ("" for a former job); or those of one job."""
        return self._asked(lambda db: keys.of(db, ref))

    def _keyed(self, db: sqlite3.Connection, account: str, key: str) -> KeptJob | Submission | None:
        job = keys.job_of(db, account, key)
        if job is not None:
            return job
        row = db.execute("SELECT * FROM submits WHERE account = ? AND key = ?", (account, key)).fetchone()
        return None if row is None else table_rows.submission(row, under_way=not self._lost(row))

    def _order(
        self, db: sqlite3.Connection, order: Order, account: str, operation: str, found: KeptJob | Submission | None
    ) -> None:
        """Reserve what an order needs, unless its submit is known already. Raises NoRoom."""
        ledger.check(db, order, self._left, known=found is not None)
        if found is None:
            ledger.enter(db, order, account, operation)
        elif isinstance(found, Submission) and not found.reason and not self._ours(db, found.number):
            raise NoRoom("elsewhere")

    def _ours(self, db: sqlite3.Connection, number: int) -> bool:
        row = db.execute("SELECT owner FROM submits WHERE number = ?", (number,)).fetchone()
        return row is not None and row["owner"] == self.owner

    def _lost(self, row: sqlite3.Row) -> bool:
        """Whether the outcome of a submit is unknown; if not, the submit is under way."""
        return row["reason"] is not None or self._left(row["owner"], row["at"])

    def _left(self, owner: str, since: float) -> bool:
        """Whether another owner began a submit, and is gone."""
        return owner != self.owner and self._gone(owner, since)

    def refused(self, number: int) -> None:
        """Record that nothing was bought: the submit is dropped."""
        with self._transaction() as db:
            db.execute("DELETE FROM submits WHERE number = ?", (number,))

    def lost(self, number: int, reason: str) -> None:
        """Record that it is unknown whether the submit was received."""
        with self._transaction(full=True) as db:
            db.execute("UPDATE submits SET reason = ? WHERE number = ?", (reason, number))

    def submitted(self, number: int, job: KeptJob, before: float = math.inf) -> None:
        """Record that a submit has become a job. A job kept under its id up to `before` may be another, or the same.

        May be called twice if the submit has a key. No key is freed: see `keys`. A job that was kept since the submit
        began, by no submit, is the same.
        """
        with self._transaction(job.ref, full=True) as db:
            if not keys.has(db, job.ref, job.key):
                if not keys.early(db, number, job):
                    keys.give_way(db, job, before, self.now())
                self._insert(db, job)
                keys.bind(db, job)
            db.execute("DELETE FROM submits WHERE number = ?", (number,))

    def adopt(self, number: int, ref: str, facts: Mapping[str, Any]) -> bool:
        """Record that a submit of unknown outcome is this job; the job gets the submit's key.

        Returns False, and stores nothing, if no such submit is on record, or the job has another key and other fields.
        """
        with self._transaction(ref, full=True) as db:
            row = db.execute("SELECT * FROM submits WHERE number = ?", (number,)).fetchone()
            if row is None or not keys.adoptable(db, ref, row):
                return False
            sent, key = table_rows.sent_of(row), row["key"] or ""
            job = KeptJob(ref, table_rows.origin_of(row), row["operation"], sent, facts, key=key)
            self._insert(db, job)
            keys.bind(db, job)
            db.execute("DELETE FROM submits WHERE number = ?", (number,))
            return True

    def move_submit(self, wrong: str, ref: str, facts: Mapping[str, Any]) -> bool:
        """Record that `wrong` was adopted by mistake: its submit, with the key, has become the job `ref`.

        Returns False, and stores nothing, if `wrong` was not adopted, or `ref` is the job of a submit.
        """
        with self._transaction(ref, full=True) as db:
            row = db.execute(_ADOPTED, (wrong,)).fetchone()
            if row is None or db.execute(_SUBMITTED, (ref,)).fetchone():
                return False
            moved = dataclasses.replace(table_rows.kept(row), ref=ref, facts=facts)
            db.execute("UPDATE jobs SET operation = NULL, sent = '{}', key = NULL WHERE ref = ?", (wrong,))
            self._insert(db, moved)
            return True

    def submits(self) -> list[Submission]:
        """The submits of unknown outcome, the oldest first; not those under way."""
        rows = self._read(lambda row: (row, table_rows.submission(row)), "SELECT * FROM submits ORDER BY at, number")
        return [submission for row, submission in rows if self._lost(row)]

    # -- batches ------------------------------------------------------------------------------------------------------

    def batch_rows(self, batch: str) -> dict[str, KeptRow]:
        """The newest attempt of each begun row of a batch."""
        return self._asked(lambda db: ledger.rows(db, batch, self._left))

    def settle(
        self,
        batch: str,
        row: str,
        attempt: int,
        *,
        state: str,
        charged: float,
        category: str = "",
        problem: str = "",
        paths: Iterable[str] = (),
    ) -> bool:
        """Record how an attempt ended: "completed", "failed" or "waiting" (to be tried again), and what it has cost.

        May be called twice. Returns False, and stores nothing, if its submit has no outcome yet, or its job no verdict.
        """
        said = (state, charged, category, problem, tuple(map(str, paths)))
        with self._transaction() as db:
            return ledger.settle(db, (batch, row, attempt), said, self.now())

    def ledger(self, batch: str) -> dict[str, Ledger]:
        """What a batch has cost, and what it may still cost, by unit."""
        return self._asked(lambda db: ledger.ledger(db, batch, self._left))

    def in_flight(self, account: str) -> int:
        """How many jobs of an account have no verdict, plus its submits under way or of unknown outcome."""
        return self._asked(lambda db: ledger.in_flight(db, account))

    # -- files --------------------------------------------------------------------------------------------------------

    def want(self, wanted: WantedFiles) -> None:
        """Record that files are wanted."""
        with self._transaction(wanted.ref) as db:
            db.execute(
                "INSERT INTO files (ref, target, kinds, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (wanted.ref, wanted.target, ",".join(wanted.kinds), self.now()),
            )

    def unwant(self, wanted: WantedFiles) -> None:
        """Remove wanted files: they are saved, or never will be."""
        with self._transaction(wanted.ref) as db:
            db.execute(
                "DELETE FROM files WHERE ref = ? AND rtrim(target, '/\\') = ? AND kinds = ?",
                (wanted.ref, wanted.target.rstrip("/\\"), ",".join(wanted.kinds)),
            )

    def wanted(self) -> list[WantedFiles]:
        """The wanted files that are not all saved yet, the oldest first."""
        return self._read(
            lambda row: WantedFiles(row["ref"], row["target"], tuple(row["kinds"].split(","))),
            "SELECT ref, target, kinds FROM files ORDER BY at, rowid",
        )
