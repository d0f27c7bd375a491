"""Submits and batches in a PostgreSQL store: each submit is stored before it is sent, and a key is one job."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

from vidpoll.storage import table_rows
from vidpoll.storage.interrupted import undone_if_interrupted
from vidpoll.storage.protocol import KeptJob, KeptRow, Ledger, NoRoom, Order, Origin, Submission

from . import keys, ledger
from .jobs import insert
from .presence import Presence
from .transaction import Row, Transaction

_SUBMIT = "SELECT * FROM vidpoll.submits WHERE number = %s FOR UPDATE"

_ADOPTED = f"""
    SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE ref = %s AND operation IS NOT NULL AND submitted_at IS NULL
    FOR UPDATE"""

_BEGIN = """
    INSERT INTO vidpoll.submits (number, account, provider, base_url, variables, operation, sent, at, owner, key)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""


class Submits(Presence):
    """The part of a store that keeps submits and the rows of batches."""

    def begin(
        self, origin: Origin, operation: str, sent: Mapping[str, Any], *, key: str = "", order: Order | None = None
    ) -> int | KeptJob | Submission:
        """Store that a submit is about to be sent; return its number, or what already has its key. Raises NoRoom."""
        number = int.from_bytes(os.urandom(6), "big")  # random, so that a forgotten or restored number is not reused
        key = key if order is None else order.key
        row = (number, *table_rows.where(origin), operation, table_rows.to_json(sent))

        def begin(db: Transaction) -> int | KeptJob | Submission:
            if db.one(_SUBMIT, number) is not None:  # this transaction was committed before, but its reply was lost
                return number
            if order is not None:
                ledger.lock(db, order, origin.account)
            found = self._lock_key(db, origin.account, key) if key else None
            if order is not None:
                self._order(db, order, origin.account, operation, found)
            if found is None:
                db.run(_BEGIN, *row, db.now, self.owner, key or None)
            return number if found is None else found

        with undone_if_interrupted(lambda: self.refused(number)):
            return self._ask(begin, durable=True)

    def begin_again(self, earlier: Submission) -> int | Submission:
        """Store that a submit of unknown outcome is about to be sent again; its number, or `earlier` if that fails."""

        def begin_again(db: Transaction) -> int | Submission:
            row = db.one(_SUBMIT, earlier.number)
            if row is None or not self._lost(db, row):
                return earlier
            sql = "UPDATE vidpoll.submits SET owner = %s, reason = NULL WHERE number = %s"
            db.run(sql, self.owner, earlier.number)
            return earlier.number

        with undone_if_interrupted(lambda: self._unbegun(earlier)):
            return self._ask(begin_again, durable=True, again=False)

    def _unbegun(self, earlier: Submission) -> None:
        """Restore the reason of a submit that this store has begun again, but not sent."""
        sql = "UPDATE vidpoll.submits SET reason = %s WHERE number = %s AND owner = %s AND reason IS NULL"
        self._ask(lambda db: db.run(sql, earlier.reason, earlier.number, self.owner), durable=True)

    def keyed(self, account: str, key: str) -> KeptJob | Submission | None:
        """What has the key: a job, or a submit (`reason` is empty while it is in progress); None if the key is free."""
        return self._ask(lambda db: self._keyed(db, account, key))

    def keys(self, ref: str | None = None) -> dict[tuple[str, str], str]:
        """All keys of jobs, as (account, key), with the job's reference ("" for a former job); or those of one job."""
        return self._ask(lambda db: keys.of(db, ref))

    def _lock_key(self, db: Transaction, account: str, key: str) -> KeptJob | Submission | None:
        """What has a key; no other process can take the key until the end of the transaction."""
        db.run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", f"{account} {key}")
        return self._keyed(db, account, key)

    def _keyed(self, db: Transaction, account: str, key: str) -> KeptJob | Submission | None:
        # The submit first: it may become a job between the two reads, and in the other order neither would be seen.
        submit = db.one("SELECT * FROM vidpoll.submits WHERE account = %s AND key = %s", account, key)
        if submit is not None:
            return table_rows.submission(submit, under_way=not self._lost(db, submit))
        return keys.job_of(db, account, key)

    def _order(
        self, db: Transaction, order: Order, account: str, operation: str, found: KeptJob | Submission | None
    ) -> None:
        """Reserve the room of an order, unless its submit is already known. Raises NoRoom."""
        ledger.check(db, order, self._left_by(db), known=found is not None)
        if found is None:
            ledger.enter(db, order, account, operation)
        elif isinstance(found, Submission) and not found.reason:
            row = db.one("SELECT owner FROM vidpoll.submits WHERE number = %s", found.number)
            if row is None or row["owner"] != self.owner:
                raise NoRoom("elsewhere")

    def _lost(self, db: Transaction, row: Row) -> bool:
        """Whether the outcome of a submit is unknown; otherwise it is in progress."""
        return row["reason"] is not None or self._left(db, row["owner"], row["at"])

    def _left_by(self, db: Transaction) -> ledger.Gone:
        return lambda owner, since: self._left(db, owner, since)

    def refused(self, number: int) -> None:
        """Nothing was bought."""
        self._ask(lambda db: db.run("DELETE FROM vidpoll.submits WHERE number = %s", number))

    def lost(self, number: int, reason: str) -> None:
        """It is unknown whether the submit was received."""
        sql = "UPDATE vidpoll.submits SET reason = %s WHERE number = %s"
        self._ask(lambda db: db.run(sql, reason, number), durable=True)

    def submitted(self, number: int, job: KeptJob, before: float = math.inf) -> None:
        """A submit has become a job. A job stored under its id `before` may be another, or the same: see `keys`.

        A job that was stored since the submit began, by no submit, is the same.
        """

        def submitted(db: Transaction) -> None:
            if not keys.has(db, job.ref, job.key):
                if not keys.early(db, number, job):
                    keys.give_way(db, job, before)
                insert(db, [job])
                keys.bind(db, job)
            db.run("DELETE FROM vidpoll.submits WHERE number = %s", number)

        self._ask(submitted, who=job.ref, durable=True)

    def adopt(self, number: int, ref: str, facts: Mapping[str, Any]) -> bool:
        """Declare that a submit of unknown outcome is this job, which takes its key; False if that is impossible."""

        def adopt(db: Transaction) -> bool:
            row = db.one(_SUBMIT, number)
            if row is None or not keys.adoptable(db, ref, row):
                return False
            sent, key = table_rows.sent_of(row), row["key"] or ""
            job = KeptJob(ref, table_rows.origin_of(row), row["operation"], sent, facts, key=key)
            insert(db, [job])
            keys.bind(db, job)
            db.run("DELETE FROM vidpoll.submits WHERE number = %s", number)
            return True

        return self._ask(adopt, who=ref, durable=True, again=False)

    def move_submit(self, wrong: str, ref: str, facts: Mapping[str, Any]) -> bool:
        """Declare that `wrong` was adopted by mistake: its submit is the job `ref`; False if that is impossible."""

        def move(db: Transaction) -> bool:
            row = db.one(_ADOPTED, wrong)
            if row is None or db.one("SELECT 1 FROM vidpoll.jobs WHERE ref = %s AND operation IS NOT NULL", ref):
                return False
            moved = dataclasses.replace(table_rows.kept(row), ref=ref, facts=facts)
            db.run("UPDATE vidpoll.jobs SET operation = NULL, sent = '{}', key = NULL WHERE ref = %s", wrong)
            insert(db, [moved])
            return True

        return self._ask(move, who=ref, durable=True, again=False)

    def submits(self) -> list[Submission]:
        """The submits whose outcome is unknown, the oldest first; not those in progress."""

        def submits(db: Transaction) -> list[Submission]:
            rows = db.rows("SELECT * FROM vidpoll.submits ORDER BY at, number")
            return [table_rows.submission(row) for row in rows if self._lost(db, row)]

        return self._ask(submits)

    # -- batches ------------------------------------------------------------------------------------------------------

    def batch_rows(self, batch: str) -> dict[str, KeptRow]:
        """The newest attempt of each begun row of a batch."""
        return self._ask(lambda db: ledger.rows(db, batch, self._left_by(db)))

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
        """Store how an attempt ended, and its cost. False while its submit or its job has no outcome."""
        said = (state, charged, category, problem, tuple(map(str, paths)))
        return self._ask(lambda db: ledger.settle(db, (batch, row, attempt), said))

    def ledger(self, batch: str) -> dict[str, Ledger]:
        """What a batch has cost, and what it may still cost, by unit."""
        return self._ask(lambda db: ledger.ledger(db, batch, self._left_by(db)))

    def in_flight(self, account: str) -> int:
        """The number of an account's jobs without a verdict, and of its submits in progress or of unknown outcome."""
        return self._ask(lambda db: ledger.in_flight(db, account))
