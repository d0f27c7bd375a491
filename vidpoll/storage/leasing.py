"""Which process polls the jobs of an SQLite store: leases of jobs, shards of accounts, and which owners are gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from . import owners, sharding, table_rows
from .database import Database
from .protocol import AGAIN, NOTHING, TRUSTED, TTL, Block, Slowed, spent
from .records import Gauges, KeptJob, Leases, Shard

LATER = "later"
"""The teller of a verdict for which a hook returned LATER."""

_MINE = ("mine", "taken")


class Leasing(Database):
    """The part of an `SqliteStore` that decides which process polls."""

    def lease(self, refs: Iterable[str], seconds: float) -> Leases:
        """Take the leases of these jobs for `seconds` from now, as far as no other owner has them."""
        refs = list(refs)
        with self._transaction(table_rows.who(refs)) as db:
            owned = sharding.owned(db, self._alive)
            held = {ref: self._lease(db, ref, seconds, sharding.owner_of(ref, owned)) for ref in refs}
        mine, taken = (frozenset(ref for ref, how in held.items() if how in hows) for hows in (_MINE, ("taken",)))
        return Leases(mine, frozenset(held) - mine, taken)

    def _lease(self, db: sqlite3.Connection, ref: str, seconds: float, owner: str | None) -> str:
        """Take a job's lease if possible; return "mine", "taken" or "elsewhere". `owner` has the job's shard."""
        row = db.execute("SELECT owner, owned_until FROM jobs WHERE ref = ?", (ref,)).fetchone()
        if row is None:
            return "mine"
        if self._held(row):
            return "elsewhere"
        now = self.now()
        ours = row["owner"] == self.owner and (row["owned_until"] or 0.0) > now
        if owner not in (None, self.owner) and not ours:
            return "elsewhere"
        if owner == self.owner and row["owner"] in (None, self.owner):
            return "mine"
        live = row["owner"] not in (None, self.owner) and (row["owned_until"] or 0.0) > now
        db.execute("UPDATE jobs SET owner = ?, owned_until = ? WHERE ref = ?", (self.owner, now + seconds, ref))
        return "taken" if live else "mine"

    def _held(self, row: sqlite3.Row) -> bool:
        """Whether another owner holds the lease in a row."""
        owner, late = row["owner"], self.now() - (row["owned_until"] or 0.0)
        if owner is None or owner == self.owner:
            return False
        return owners.busy(owner, self._here, late) if late >= 0 else not self._gone(owner, self.now())

    def release(self, refs: Iterable[str]) -> None:
        """Others may ask about these jobs from now on."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE jobs SET owner = NULL, owned_until = NULL WHERE ref = ? AND owner = ?",
                [(ref, self.owner) for ref in refs],
            )

    def leased(self, ref: str) -> bool:
        """Whether another owner polls a job."""
        row = self._asked(lambda db: db.execute("SELECT owner, owned_until FROM jobs WHERE ref = ?", (ref,)).fetchone())
        if row is None or (row["owner"] == self.owner and row["owned_until"] > self.now()):
            return False
        owner = sharding.owner_of(ref, self._asked(lambda db: sharding.owned(db, self._alive)))
        return self._held(row) or owner not in (None, self.owner)

    def beat(self) -> float:
        """Record that this owner is alive; return the monotonic second until which its shards are certainly its own."""
        until = self._monotonic() + TRUSTED * TTL
        with self._transaction() as db:
            sharding.beat(db, self.owner, self.now())
        return until

    def accounts(self) -> set[str]:
        """The accounts of unfinished jobs."""
        return self._asked(sharding.accounts)

    def take(self, accounts: Mapping[str, int], most: int) -> list[Shard]:
        """Take at most `most` free shards, drawn at random."""
        with self._transaction() as db:
            sharding.beat(db, self.owner, self.now())
            return sharding.take(db, self.owner, accounts, most, self._alive)

    def held(self) -> set[Shard]:
        """The shards that are still ours."""
        return self._asked(lambda db: sharding.held(db, self.owner))

    def give(self, shards: Iterable[Shard]) -> None:
        """Release shards that are still ours."""
        with self._transaction() as db:
            sharding.give(db, self.owner, list(shards))

    def news(self, shards: Sequence[Shard], mark: float) -> tuple[list[KeptJob], float]:
        """The new jobs of shards since `mark`, a number of changes; and the current mark."""
        rows, now = self._asked(lambda db: sharding.news(db, table_rows.JOB, shards, int(mark), self.now()))
        return [kept for kept in table_rows.readable(rows) if not kept.newer], now

    def spend(self, account: str, wanted: int, rate: float | None = None, told: Slowed = NOTHING) -> Block:
        """A block of an account's rate, which all processes share."""
        with self._transaction() as db:
            row = db.execute("SELECT state FROM rates WHERE account = ?", (account,)).fetchone()
            known = table_rows.facts_of(row["state"]) if row else {}
            state, block = spent(known, self.owner, wanted, rate, told=told, now=self.now())
            db.execute("INSERT OR REPLACE INTO rates VALUES (?, ?)", (account, table_rows.to_json(state)))
        return block

    def gauges(self) -> Gauges:
        """The figures for an operator."""
        return self._asked(lambda db: sharding.gauges(db, self.now(), self._alive))

    def _alive(self, owner: str, seen: float | None) -> bool:
        """Whether an owner keeps its shards: its heartbeat is within TTL, or its process runs on this host."""
        if owner == self.owner:
            return True
        late = self.now() - (seen or 0.0)
        if self._dead(owner):
            return False
        return abs(late) <= TTL or owners.busy(owner, self._here, max(late, 0.0))

    def _gone(self, owner: str | None, since: float | None) -> bool:
        """Whether an owner, last active at Unix second `since`, is gone. True also for this owner itself."""
        if owner == LATER:
            return not 0.0 <= self.now() - (since or 0.0) < AGAIN
        if owner is None or owner == self.owner or self._dead(owner):
            return True
        return owners.gone(owner, self._here, self.now() - (since or 0.0))
