"""Jobs in a PostgreSQL store: facts, verdicts, who tells them, and the files that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vidpoll.storage import table_rows
from vidpoll.storage.protocol import KeptJob, Origin, Saved, WantedFiles, bucket, merged, newer

from . import ledger
from .presence import LATER, Presence
from .transaction import Row, Transaction

CHANGE = "pg_current_xact_id()::text::bigint"
"""What makes a row news of its shard: the number of the transaction that wrote it."""

_INSERT = f"""
    WITH new AS MATERIALIZED (
        SELECT nextval('vidpoll.job_numbers'), given.* FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::int[]) AS given (ref)
    )
    INSERT INTO vidpoll.jobs AS kept (number, ref, account, provider, base_url, variables, operation, sent, facts,
        submitted_at, key, bucket, added_at, change)
    SELECT new.*, %s, {CHANGE} FROM new ORDER BY new.ref
    ON CONFLICT (ref) DO UPDATE SET base_url = excluded.base_url, key = coalesce(kept.key, excluded.key),
        sent = CASE WHEN kept.operation IS NULL THEN excluded.sent ELSE kept.sent END,
        operation = coalesce(kept.operation, excluded.operation)
    WHERE (kept.base_url, kept.key, kept.operation) IS DISTINCT FROM
        (excluded.base_url, coalesce(kept.key, excluded.key), coalesce(kept.operation, excluded.operation))"""
"""New rows, numbered as they come and written in the order of `_LOCKED`; of a job that is kept already, only what was
not known of its submit."""

_LOCKED = """
    SELECT ref, facts, ended_at, told_at, teller, teller_since FROM vidpoll.jobs WHERE ref = ANY(%s)
    ORDER BY ref FOR NO KEY UPDATE"""
"""In one order everywhere: two stores that write the same jobs wait for each other, and not in a circle."""

_WRITE = """
    UPDATE vidpoll.jobs AS kept SET facts = new.facts, requests = kept.requests + new.requests,
        transient_errors = kept.transient_errors + new.transient_errors, version = version + 1
    FROM unnest(%s::text[], %s::text[], %s::int[], %s::int[]) AS new (ref, facts, requests, transient_errors)
    WHERE kept.ref = new.ref"""

_OPEN = "(account, key) IN (SELECT account, key FROM vidpoll.batch_rows WHERE state IS NULL)"


class Jobs(Presence):
    """The part of a store that keeps jobs."""

    def enter(self, jobs: Iterable[tuple[str, Origin, Mapping[str, Any]]]) -> dict[str, KeptJob]:
        """Keep jobs (reference, origin, facts) that are not kept yet; all as they are kept, but for damaged rows."""
        wanted = {ref: KeptJob(ref, origin, facts=facts) for ref, origin, facts in reversed(list(jobs))}
        new = list(wanted.values())[::-1]

        def enter(db: Transaction) -> list[Row]:
            insert(db, new)
            return db.rows(f"SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE ref = ANY(%s)", list(wanted))

        found = self._ask(enter, who=table_rows.who(wanted))
        return {kept.ref: kept for kept in table_rows.readable(found)}

    def get(self, ref: str) -> KeptJob | None:
        """A job as it is kept; None where it is not."""
        sql = f"SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE ref = %s"
        return self._ask(lambda db: _kept(db.one(sql, ref)), who=ref)

    def jobs(self, *, unfinished: bool = False, last: int = -1) -> list[KeptJob]:
        """All jobs, or the `last` ones, the oldest first."""
        where = "WHERE told_at IS NULL" if unfinished else ""
        sql = f"SELECT {table_rows.JOB} FROM vidpoll.jobs {where} ORDER BY number DESC LIMIT %s"
        found = self._ask(lambda db: [table_rows.kept(row) for row in db.rows(sql, None if last < 0 else last)])
        return [job for job in reversed(found) if not (unfinished and job.newer)]

    def latest(self, account: str, number: int) -> list[KeptJob]:
        """The jobs of an account that ended last, the latest first."""
        where = "account = %s AND ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT %s"
        sql = f"SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE {where}"
        return self._ask(lambda db: [table_rows.kept(row) for row in db.rows(sql, account, number)])

    def save(self, rows: Iterable[Saved]) -> None:
        """Keep what is known of jobs now; a verdict that is kept already is not written over."""
        rows = list(rows)

        def save(db: Transaction) -> None:
            kept = _locked(db, rows)
            for turn in _turns(rows):
                _write(db, [row for row in turn if row.ref in kept and kept[row.ref]["ended_at"] is None], kept)

        self._ask(save, who=table_rows.who(row.ref for row in rows))

    def end(self, rows: Iterable[Saved]) -> Mapping[str, bool | None]:
        """Keep verdicts, the first one of each job; whether telling them is up to us, None where one is not kept."""
        first = list({row.ref: row for row in reversed(list(rows))}.values())
        return self._ask(lambda db: self._end(db, first), who=table_rows.who(row.ref for row in first), durable=True)

    def _end(self, db: Transaction, rows: Sequence[Saved]) -> dict[str, bool | None]:
        kept = _locked(db, rows)
        open_ = [row for row in rows if row.ref in kept and kept[row.ref]["ended_at"] is None]
        ended = _write(db, open_, kept)
        said: dict[str, bool | None] = {row.ref: row.ref in ended if row.ref in kept else None for row in rows}
        db.run(
            "UPDATE vidpoll.jobs SET ended_at = %s, teller = %s, teller_since = %s, owner = NULL, owned_until = NULL, "
            f"change = {CHANGE} WHERE ref = ANY(%s)",
            *(db.now, self.owner, db.now, list(ended)),
        )
        known = [row for row in kept.values() if row["ended_at"] is not None]
        return said | dict.fromkeys(self._claim(db, known), True)

    def claim(self, refs: Iterable[str]) -> set[str]:
        """The jobs whose verdict is kept and was not told, and is ours to tell from now on."""
        refs = list(refs)
        untold = "SELECT ref FROM vidpoll.jobs WHERE ref = ANY(%s) AND ended_at IS NOT NULL AND told_at IS NULL"
        found = [row["ref"] for row in self._ask(lambda db: db.rows(untold, refs))]
        if not found:  # most were told: no need to write
            return set()
        who = table_rows.who(found)
        return self._ask(lambda db: self._claim(db, db.rows(_LOCKED, found)), who=who, durable=True)

    def _claim(self, db: Transaction, rows: Iterable[Row]) -> set[str]:
        """Of verdicts that are kept, those that nobody has told and nobody is telling: we do, from now on."""
        free = {
            row["ref"]
            for row in rows
            if row["told_at"] is None and self._gone(db, row["teller"], row["teller_since"])
        }  # fmt: skip
        sql = "UPDATE vidpoll.jobs SET teller = %s, teller_since = %s WHERE ref = ANY(%s)"
        if free:
            db.run(sql, self.owner, db.now, list(free))
        return free

    def told(self, refs: Iterable[str]) -> None:
        """The hooks have heard these verdicts."""
        refs = sorted(refs)
        sql = "UPDATE vidpoll.jobs SET told_at = %s, teller = NULL WHERE ref = ANY(%s) AND ended_at IS NOT NULL"
        self._ask(lambda db: db.run(sql, db.now, refs), who=table_rows.who(refs), durable=True)

    def untold(self, refs: Iterable[str]) -> None:
        """The hooks did not hear these: they are anybody's to claim."""
        refs = sorted(refs)
        sql = "UPDATE vidpoll.jobs SET teller = NULL WHERE ref = ANY(%s) AND teller = %s"
        self._ask(lambda db: db.run(sql, refs, self.owner), who=table_rows.who(refs))

    def later(self, refs: Iterable[str]) -> None:
        """The hooks will say when they have heard these (`told`); until then they are there to claim, AGAIN s later."""
        refs = sorted(refs)
        sql = "UPDATE vidpoll.jobs SET teller = %s, teller_since = %s WHERE ref = ANY(%s) AND told_at IS NULL"
        self._ask(lambda db: db.run(sql, LATER, db.now, refs), who=table_rows.who(refs))

    def drop(self, ref: str, *, strange: bool = False) -> None:
        """Forget a job and its files; `strange`: only where this store did not submit it."""
        self._ask(lambda db: drop(db, ref, "(%s OR operation IS NULL)", not strange), who=ref)

    def _prune(self, db: Transaction, before: float, lost: Sequence[int]) -> int:
        """Drop the jobs whose verdict was kept before a moment and told, and these submits."""
        old = "told_at IS NOT NULL AND ended_at < %s AND (key IS NULL OR NOT " + _OPEN + ")"
        gone = db.run(f"DELETE FROM vidpoll.jobs WHERE {old}", before)
        gone += db.run("DELETE FROM vidpoll.submits WHERE number = ANY(%s)", list(lost))
        db.run("DELETE FROM vidpoll.files AS f WHERE NOT EXISTS (SELECT 1 FROM vidpoll.jobs AS j WHERE j.ref = f.ref)")
        return gone

    # -- files --------------------------------------------------------------------------------------------------------

    def want(self, wanted: WantedFiles) -> None:
        """Keep that files were asked for."""
        sql = (
            "INSERT INTO vidpoll.files (ref, target, kinds, at) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (ref, target, kinds) DO NOTHING"
        )
        row = (wanted.ref, wanted.target, ",".join(wanted.kinds))
        self._ask(lambda db: db.run(sql, *row, db.now), who=wanted.ref)

    def unwant(self, wanted: WantedFiles) -> None:
        """They are there, or will never be."""
        sql = r"DELETE FROM vidpoll.files WHERE ref = %s AND rtrim(target, '/\') = %s AND kinds = %s"
        row = (wanted.ref, wanted.target.rstrip("/\\"), ",".join(wanted.kinds))
        self._ask(lambda db: db.run(sql, *row), who=wanted.ref)

    def wanted(self) -> list[WantedFiles]:
        """The files that were asked for and are not all there yet, the oldest first."""
        rows = self._ask(lambda db: db.rows("SELECT ref, target, kinds FROM vidpoll.files ORDER BY at, number"))
        return [WantedFiles(row["ref"], row["target"], tuple(row["kinds"].split(","))) for row in rows]


def insert(db: Transaction, jobs: Sequence[KeptJob]) -> None:
    """New rows; of a job that is kept already, only what was not known of its submit."""
    columns = zip(*map(_columns, jobs), strict=True)
    if jobs:
        db.run(_INSERT, *map(list, columns), db.now)


def _columns(job: KeptJob) -> tuple[object, ...]:
    return (
        *(job.ref, *table_rows.where(job.origin), job.operation, table_rows.to_json(job.sent)),
        *(table_rows.to_json(job.facts), job.facts.get("submitted_at"), job.key or None, bucket(job.ref)),
    )


def drop(db: Transaction, ref: str, where: str, value: object) -> None:
    """Forget a job of which something holds, and its files; what a batch had of it has failed."""
    if db.one(f"SELECT 1 FROM vidpoll.jobs WHERE ref = %s AND {where} FOR UPDATE", ref, value) is not None:
        ledger.dropped(db, ref)
        db.run("DELETE FROM vidpoll.jobs WHERE ref = %s", ref)
        db.run("DELETE FROM vidpoll.files WHERE ref = %s", ref)


def _kept(row: Row | None) -> KeptJob | None:
    return None if row is None else table_rows.kept(row)


def _locked(db: Transaction, rows: Iterable[Saved]) -> dict[str, Row]:
    return {row["ref"]: row for row in db.rows(_LOCKED, [row.ref for row in rows])}


def _turns(rows: Iterable[Saved]) -> Iterable[Sequence[Saved]]:
    """Rows in such groups, in their order, that no job is twice in one."""
    turns: list[dict[str, Saved]] = [{}]
    for row in rows:
        if row.ref in turns[-1]:
            turns.append({})
        turns[-1][row.ref] = row
    return [list(turn.values()) for turn in turns]


def _write(db: Transaction, rows: Iterable[Saved], kept: Mapping[str, Row]) -> set[str]:
    """Write facts over those that are kept, but not over a newer vidpoll's; the jobs where that was done."""
    written = []
    for row in rows:
        before = table_rows.facts_of(kept[row.ref]["facts"])
        if not newer(before):
            facts = table_rows.to_json(merged(before, row.facts))
            kept[row.ref]["facts"] = facts
            written.append((row.ref, facts, row.requests, row.transient_errors))
    if written:
        db.run(_WRITE, *map(list, zip(*written, strict=True)))
    return {ref for ref, *_ in written}
