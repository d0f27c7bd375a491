"""Jobs in a PostgreSQL store: facts, verdicts, which process reports them, and the wanted files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vidpoll.storage import table_rows
from vidpoll.storage.protocol import KeptJob, Origin, Saved, WantedFiles, bucket, merged, newer

from . import keys
from .presence import LATER, Presence
from .transaction import Row, Transaction

CHANGE = "pg_current_xact_id()::text::bigint"
"""The number of the transaction that wrote a row: it makes the row news of its shard."""

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
"""New rows, numbered in the given order and written in the order of `_LOCKED`. For a job that is already stored, only
unknown facts of its submit are added."""

_LOCKED = """
    SELECT ref, facts, ended_at, told_at, teller, teller_since FROM vidpoll.jobs WHERE ref = ANY(%s)
    ORDER BY ref FOR NO KEY UPDATE"""
"""The same order everywhere: two stores that write the same jobs wait for each other without a deadlock."""

_WRITE = """
    UPDATE vidpoll.jobs AS kept SET facts = new.facts, requests = kept.requests + new.requests,
        transient_errors = kept.transient_errors + new.transient_errors, version = version + 1
    FROM unnest(%s::text[], %s::text[], %s::int[], %s::int[]) AS new (ref, facts, requests, transient_errors)
    WHERE kept.ref = new.ref"""


class Jobs(Presence):
    """The part of a store that keeps jobs."""

    def enter(self, jobs: Iterable[tuple[str, Origin, Mapping[str, Any]]]) -> dict[str, KeptJob]:
        """Store jobs (reference, origin, facts) that are not stored yet; return all as stored, without damaged rows."""
        wanted = {ref: KeptJob(ref, origin, facts=facts) for ref, origin, facts in reversed(list(jobs))}
        new = list(wanted.values())[::-1]

        def enter(db: Transaction) -> list[Row]:
            insert(db, new)
            return db.rows(f"SELECT {table_rows.JOB} FROM vidpoll.jobs WHERE ref = ANY(%s)", list(wanted))

        found = self._ask(enter, who=table_rows.who(wanted))
        return {kept.ref: kept for kept in table_rows.readable(found)}

    def get(self, ref: str) -> KeptJob | None:
        """A job as it is stored; None if it is not."""
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
        """Store the current facts of jobs; a stored verdict is not overwritten."""
        rows = list(rows)

        def save(db: Transaction) -> None:
            kept = _locked(db, rows)
            for turn in _turns(rows):
                _write(db, [row for row in turn if row.ref in kept and kept[row.ref]["ended_at"] is None], kept)

        self._ask(save, who=table_rows.who(row.ref for row in rows))

    def end(self, rows: Iterable[Saved]) -> Mapping[str, bool | None]:
        """Store verdicts, the first of each job. For each: whether this store must report it; None if not stored."""
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
        """The jobs whose stored verdict was not reported, and which this store must report from now on."""
        refs = list(refs)
        untold = "SELECT ref FROM vidpoll.jobs WHERE ref = ANY(%s) AND ended_at IS NOT NULL AND told_at IS NULL"
        found = [row["ref"] for row in self._ask(lambda db: db.rows(untold, refs))]
        if not found:  # most were reported: no need to write
            return set()
        who = table_rows.who(found)
        return self._ask(lambda db: self._claim(db, db.rows(_LOCKED, found)), who=who, durable=True)

    def _claim(self, db: Transaction, rows: Iterable[Row]) -> set[str]:
        """Claim the stored verdicts that were not reported, and that no living process is reporting."""
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
        """The hooks were notified of these verdicts."""
        refs = sorted(refs)
        sql = "UPDATE vidpoll.jobs SET told_at = %s, teller = NULL WHERE ref = ANY(%s) AND ended_at IS NOT NULL"
        self._ask(lambda db: db.run(sql, db.now, refs), who=table_rows.who(refs), durable=True)

    def untold(self, refs: Iterable[str]) -> None:
        """The hooks were not notified of these verdicts: any process may claim them."""
        refs = sorted(refs)
        sql = "UPDATE vidpoll.jobs SET teller = NULL WHERE ref = ANY(%s) AND teller = %s"
        self._ask(lambda db: db.run(sql, refs, self.owner), who=table_rows.who(refs))

    def later(self, refs: Iterable[str]) -> None:
        """The hooks will report later that they heard these (`told`); until then they can be claimed AGAIN s later."""
        refs = sorted(refs)
        sql = "UPDATE vidpoll.jobs SET teller = %s, teller_since = %s WHERE ref = ANY(%s) AND told_at IS NULL"
        self._ask(lambda db: db.run(sql, LATER, db.now, refs), who=table_rows.who(refs))

    def drop(self, ref: str, *, strange: bool = False) -> None:
        """Forget a job and its files; with `strange` only a job that this store did not submit."""
        self._ask(lambda db: keys.drop(db, ref, strange=strange), who=ref)

    # -- files --------------------------------------------------------------------------------------------------------

    def want(self, wanted: WantedFiles) -> None:
        """Store a wish for files."""
        sql = (
            "INSERT INTO vidpoll.files (ref, target, kinds, at) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (ref, target, kinds) DO NOTHING"
        )
        row = (wanted.ref, wanted.target, ",".join(wanted.kinds))
        self._ask(lambda db: db.run(sql, *row, db.now), who=wanted.ref)

    def unwant(self, wanted: WantedFiles) -> None:
        """Drop a wish: its files are there, or will never be."""
        sql = r"DELETE FROM vidpoll.files WHERE ref = %s AND rtrim(target, '/\') = %s AND kinds = %s"
        row = (wanted.ref, wanted.target.rstrip("/\\"), ",".join(wanted.kinds))
        self._ask(lambda db: db.run(sql, *row), who=wanted.ref)

    def wanted(self) -> list[WantedFiles]:
        """The wishes whose files are not all there yet, the oldest first."""
        rows = self._ask(lambda db: db.rows("SELECT ref, target, kinds FROM vidpoll.files ORDER BY at, number"))
        return [WantedFiles(row["ref"], row["target"], tuple(row["kinds"].split(","))) for row in rows]


def insert(db: Transaction, jobs: Sequence[KeptJob]) -> None:
    """Insert jobs; for a job that is already stored, add only unknown facts of its submit."""
    columns = zip(*map(_columns, jobs), strict=True)
    if jobs:
        db.run(_INSERT, *map(list, columns), db.now)


def _columns(job: KeptJob) -> tuple[object, ...]:
    return (
        *(job.ref, *table_rows.where(job.origin), job.operation, table_rows.to_json(job.sent)),
        *(table_rows.to_json(job.facts), job.facts.get("submitted_at"), job.key or None, bucket(job.ref)),
    )


def _kept(row: Row | None) -> KeptJob | None:
    return None if row is None else table_rows.kept(row)


def _locked(db: Transaction, rows: Iterable[Saved]) -> dict[str, Row]:
    return {row["ref"]: row for row in db.rows(_LOCKED, [row.ref for row in rows])}


def _turns(rows: Iterable[Saved]) -> Iterable[Sequence[Saved]]:
    """Rows in groups, in order, such that no job is in a group twice."""
    turns: list[dict[str, Saved]] = [{}]
    for row in rows:
        if row.ref in turns[-1]:
            turns.append({})
        turns[-1][row.ref] = row
    return [list(turn.values()) for turn in turns]


def _write(db: Transaction, rows: Iterable[Saved], kept: Mapping[str, Row]) -> set[str]:
    """Overwrite stored facts, except those of a newer vidpoll; return the jobs that were written."""
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
