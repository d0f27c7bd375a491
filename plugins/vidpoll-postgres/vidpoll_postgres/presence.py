"""Presence: whether the owner of a lease, of a verdict's report or of a submit is gone.

A process of this host is checked directly. For a process of another host the clock decides, and its heartbeat if it
has one. A serving process has one, so that others need not wait `AWAY` for a killed server.
"""

from __future__ import annotations

from vidpoll.storage import owners
from vidpoll.storage.protocol import AGAIN, TTL

from .database import Database
from .transaction import Transaction

LATER = "later"
"""The teller of a verdict that a hook will report as heard later."""

SILENT = 3 * TTL
"""Seconds after its last heartbeat for which an owner on another host is presumed to work on what it began."""


class Presence(Database):
    """The part of a store that decides which owners are gone."""

    def _gone(self, db: Transaction, owner: str | None, since: float | None) -> bool:
        """Whether the owner that began something at a Unix second is gone; also true for this store itself."""
        if owner is None or owner == self.owner:
            return True
        if owner == LATER:
            return not 0.0 <= db.now - (since or 0.0) < AGAIN
        if owner.rsplit("|", 2)[0] != self._here:
            row = db.one("SELECT seen FROM vidpoll.owners WHERE owner = %s", owner)
            if row is not None and db.now - max(row["seen"], since or 0.0) > SILENT:
                return True
        return owners.gone(owner, self._here, db.now - (since or 0.0))

    def _left(self, db: Transaction, owner: str, since: float) -> bool:
        """Whether another owner began the submit, and is gone."""
        return owner != self.owner and self._gone(db, owner, since)

    def _holds(self, db: Transaction, owner: str | None, until: float | None) -> bool:
        """Whether another owner holds a lease that lasts until a Unix second."""
        if owner is None or owner == self.owner:
            return False
        late = db.now - (until or 0.0)
        return owners.busy(owner, self._here, late) if late >= 0 else not owners.gone(owner, self._here, 0.0)

    def _dead(self, db: Transaction) -> list[str]:
        """The owners with a fresh heartbeat whose process on this host has ended."""
        seen = db.rows("SELECT owner FROM vidpoll.owners WHERE seen >= %s", db.now - TTL)
        return [row["owner"] for row in seen if owners.dead(row["owner"], self._here)]
