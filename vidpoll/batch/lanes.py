"""Which row may be sent next: the lanes of a batch, one for each account, or for each model if the account counts
slots by model.

A full lane never holds up another. This module neither sends nor waits: the runner does both.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field

from ..polling.account_state import AccountState
from .progress import RowRun
from .retries import Health
from .slots import SlotLimit

AT_ONCE = 3
"""Most submits of an account under way at once: if the account goes down, at most so many have an unknown outcome."""


@dataclass(slots=True, eq=False)
class Desk:
    """An account as a whole: its health, and how long and why it sends nothing."""

    account: AccountState
    health: Health = field(default_factory=Health)
    paused_until: float = -math.inf
    why: str = ""
    stopped: str = ""
    said: str = ""
    reset_at: float | None = None
    """The Unix second at which its quota resets, if the account reports it."""

    def pause(self, until: float, why: str) -> None:
        """Send nothing before a monotonic second."""
        if until > self.paused_until:
            self.paused_until, self.why = until, why

    def stop(self, reason: str, said: str) -> None:
        """Send nothing more in this run."""
        if not self.stopped:
            self.stopped, self.said = reason, said

    def open_at(self) -> float:
        """The monotonic second from which the account may send."""
        return max(self.paused_until, self.health.held_until)


@dataclass(slots=True, eq=False)
class Lane:
    """The rows that share slots, and the slot limit. `counts` are rows by state, `queue` the waiting rows."""

    desk: Desk
    slots: SlotLimit
    queue: deque[RowRun] = field(default_factory=deque)
    counts: Counter[str] = field(default_factory=Counter)
    moves: int = 0
    """How often one of its rows changed its state."""
    look_at: float = -math.inf
    """The monotonic second before which the store is not asked again, because it reported that all slots are taken."""

    def enter(self, row: RowRun) -> None:
        """Add a new row."""
        row.lane = self
        self.counts[row.state] += 1
        if row.state == "waiting":
            self.queue.append(row)

    def move(self, row: RowRun, state: str) -> None:
        """Change the state of a row; a row that waits again goes to the end of the queue."""
        self.counts[row.state] -= 1
        self.counts[state] += 1
        self.moves += 1
        row.state = state
        if state == "waiting":
            self.queue.append(row)

    @property
    def in_flight(self) -> int:
        """Jobs that hold slots, those of unknown outcome included, submits under way excluded."""
        return self.counts["running"] + self.counts["unknown"]

    def room(self, now: float) -> bool:
        """Whether one more may be sent now."""
        desk, under_way = self.desk, self.counts["submitting"]
        most = desk.health.submits(AT_ONCE)
        if desk.stopped or now < max(desk.open_at(), self.look_at) or under_way >= most:
            return False
        return self.slots.room(now, self.in_flight, under_way)

    def wake(self, now: float) -> float:
        """The monotonic second of the next try; `math.inf` if only a response can make it possible."""
        at = max(self.desk.open_at(), self.look_at, self.slots.closed_until)
        return at if at > now and self.queue and not self.desk.stopped else math.inf
