"""The store, made of its parts; closing and pruning it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from vidpoll import StoreError
from vidpoll.storage import table_rows
from vidpoll.storage.protocol import Store

from . import keys, shards
from .jobs import Jobs
from .leasing import Leasing
from .submits import Submits
from .transaction import Transaction

_LEFT = "UPDATE vidpoll.submits SET reason = %s WHERE owner = %s AND reason IS NULL"


class PostgresStore(Jobs, Leasing, Submits, Store):
    """The database at a URL like `postgresql://user@host/database`. Raises StoreError if it cannot be used."""

    def close(self) -> None:
        """Release this store's leases and shards, and close its connections. Submits in progress become unknown."""

        def leave(db: Transaction) -> None:
            db.run("UPDATE vidpoll.jobs SET owner = NULL, owned_until = NULL WHERE owner = %s", self.owner)
            db.run(_LEFT, table_rows.CLOSED, self.owner)
            shards.leave(db, self.owner)

        with contextlib.suppress(StoreError):
            self._ask(leave)
        super().close()

    def reopen(self, refs: Iterable[str]) -> None:
        """Do nothing: unlike a file, a database is never moved or replaced."""

    def prune(self, before: float) -> int:
        """Drop the jobs that were reported, and whose verdict was stored before a Unix second; return how many."""
        return self._ask(lambda db: keys.prune(db, before))
