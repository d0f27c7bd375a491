"""Which process polls the jobs of a PostgreSQL store: leases of single jobs, and shards of whole accounts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from vidpoll.storage import table_rows
from vidpoll.storage.protocol import NOTHING, TRUSTED, TTL, Block, Gauges, KeptJob, Leases, Shard, Slowed, spent

from . import shards
from .presence import Presence
from .transaction import Row, Transaction

_RATE = "SELECT state FROM vidpoll.rates WHERE account = %s FOR UPDATE"

_LEASES = "SELECT ref, owner, owned_until FROM vidpoll.jobs WHERE ref = ANY(%s)"

_LEASE = """
    UPDATE vidpoll.jobs AS kept SET owner = %s, owned_until = %s
    FROM unnest(%s::text[], %s::text[], %s::float8[]) AS seen (ref, owner, until)
    WHERE kept.ref = seen.ref AND kept.owner IS NOT DISTINCT FROM seen.owner
        AND kept.owned_until IS NOT DISTINCT FROM seen.until
    RETURNING kept.ref"""
"""Writes a lease only if it is still as it was read: the faster process gets it. Only written rows are locked."""


class Leasing(Presence):
    """The part of a store that decides which process polls."""

    def lease(self, refs: Iterable[str], seconds: float) -> Leases:
        """Take the right to poll these jobs, for so many seconds from now, unless another process has it."""
        wanted = list(dict.fromkeys(refs))
        return self._ask(lambda db: self._lease(db, wanted, seconds), who=table_rows.who(wanted))

    def _lease(self, db: Transaction, refs: Sequence[str], seconds: float) -> Leases:
        rows = {row["ref"]: row for row in db.rows(_LEASES, refs)}
        owned = shards.owned(db, self.owner, {ref.partition(":")[0] for ref in rows}, self._dead(db))
        how = {ref: self._how(db, row, shards.owner_of(ref, owned)) for ref, row in rows.items()}
        got = self._write(db, [rows[ref] for ref in sorted(how) if how[ref] in ("lease", "taken")], db.now + seconds)
        mine = frozenset(ref for ref in refs if how.get(ref, "mine") == "mine" or ref in got)
        return Leases(mine, frozenset(refs) - mine, frozenset(ref for ref in got if how[ref] == "taken"))

    def _write(self, db: Transaction, seen: Sequence[Row], until: float) -> set[str]:
        """Overwrite the leases that were read; return the jobs for which no other process was faster."""
        columns = [[row[name] for row in seen] for name in ("ref", "owner", "owned_until")]
        return {row["ref"] for row in db.rows(_LEASE, self.owner, until, *columns)} if seen else set()

    def _how(self, db: Transaction, row: Row, owner: str | None) -> str:
        """The action for the lease of a job whose shard has this owner.

        "mine": none; "lease": write it; "taken": write it over a lease that still lasts; "elsewhere": none.
        """
        lasts = (row["owned_until"] or 0.0) > db.now
        ours = row["owner"] == self.owner and lasts
        if self._holds(db, row["owner"], row["owned_until"]) or (owner not in (None, self.owner) and not ours):
            return "elsewhere"
        if owner == self.owner and row["owner"] in (None, self.owner):
            return "mine"
        return "taken" if lasts and row["owner"] not in (None, self.owner) else "lease"

    def release(self, refs: Iterable[str]) -> None:
        """Other processes may poll these jobs from now on."""
        sql = "UPDATE vidpoll.jobs SET owner = NULL, owned_until = NULL WHERE ref = ANY(%s) AND owner = %s"
        refs = sorted(refs)
        self._ask(lambda db: db.run(sql, refs, self.owner), who=table_rows.who(refs))

    def leased(self, ref: str) -> bool:
        """Whether another process polls a job."""

        def leased(db: Transaction) -> bool:
            row = db.one(_LEASES, [ref])
            if row is None or (row["owner"] == self.owner and row["owned_until"] > db.now):
                return False
            owned = shards.owned(db, self.owner, {ref.partition(":")[0]}, self._dead(db))
            holds = self._holds(db, row["owner"], row["owned_until"])
            return holds or shards.owner_of(ref, owned) not in (None, self.owner)

        return self._ask(leased, who=ref)

    # -- shards -------------------------------------------------------------------------------------------------------

    def beat(self) -> float:
        """Write a heartbeat; return the monotonic second until which this store certainly owns its shards."""
        until = time.monotonic() + TRUSTED * TTL
        self._ask(lambda db: shards.beat(db, self.owner))
        return until

    def accounts(self) -> set[str]:
        """The accounts of unfinished jobs."""
        return self._ask(shards.accounts)

    def take(self, accounts: Mapping[str, int], most: int) -> list[Shard]:
        """Become the owner of at most `most` free shards, drawn at random."""
        self.beat()  # a transaction of its own, so that the heartbeat's thread need not wait for this one
        return self._ask(lambda db: shards.take(db, self.owner, accounts, most, self._dead(db)))

    def held(self) -> set[Shard]:
        """The shards that this store still owns."""
        sql = "SELECT account, part, parts, fence FROM vidpoll.shards WHERE owner = %s"
        return {Shard(**row) for row in self._ask(lambda db: db.rows(sql, self.owner))}

    def give(self, given: Iterable[Shard]) -> None:
        """Release shards, if this store still owns them."""
        given = sorted(given)
        if given:
            self._ask(lambda db: shards.give(db, self.owner, given))

    def news(self, shards_: Sequence[Shard], mark: float) -> tuple[list[KeptJob], float]:
        """The jobs that are new in shards since a mark, and the current mark."""
        if not shards_:
            return [], mark
        rows, now = self._ask(lambda db: shards.news(db, shards_, mark))
        return [kept for kept in table_rows.readable(rows) if not kept.newer], now

    def spend(self, account: str, wanted: int, rate: float | None = None, told: Slowed = NOTHING) -> Block:
        """A block of an account's rate, which all processes share."""

        def spend(db: Transaction) -> Block:
            row = db.one(_RATE, account)
            if row is None:
                db.run("INSERT INTO vidpoll.rates VALUES (%s, '{}') ON CONFLICT (account) DO NOTHING", account)
                row = db.one(_RATE, account)
            assert row is not None
            state, block = spent(table_rows.facts_of(row["state"]), self.owner, wanted, rate, told=told, now=db.now)
            db.run("UPDATE vidpoll.rates SET state = %s WHERE account = %s", table_rows.to_json(state), account)
            return block

        return self._ask(spend)

    def gauges(self) -> Gauges:
        """The store's figures for an operator."""
        return self._ask(lambda db: shards.gauges(db, self._dead(db)))
