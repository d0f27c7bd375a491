"""The store: all of its parts, and how it is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from vidpoll import StoreError
from vidpoll.job import OF_BATCHES
from vidpoll.storage.protocol import Store

from . import shards
from .jobs import Jobs
from .leasing import Leasing
from .submits import Submits
from .transaction import Transaction


class PostgresStore(Jobs, Leasing, Submits, Store):
    """The database at a URL like `postgresql://user@host/database`. Raises StoreError where it cannot be used."""

    def close(self) -> None:
        """Let go of our leases and shards, and of the database."""

        def leave(db: Transaction) -> None:
            db.run("UPDATE vidpoll.jobs SET owner = NULL, owned_until = NULL WHERE owner = %s", self.owner)
            shards.leave(db, self.owner)

        with contextlib.suppress(StoreError):
            self._ask(leave)
        super().close()

    def reopen(self, refs: Iterable[str]) -> None:
        """Nothing is to be done: a database never moves away."""

    def prune(self, before: float) -> int:
        """Drop the jobs whose verdict was told, and the lost submits that were begun, before a moment; how many."""
        lost = [each for each in self.submits() if each.at < before and not each.key.startswith(OF_BATCHES)]
        return self._ask(lambda db: self._prune(db, before, [each.number for each in lost]))
