"""How a run reports its events: a `Teller` calls the hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..events import Event
from ..job import Job


class Teller(Protocol):
    """Calls the hooks, after it has stored what must be on disk before they run."""

    gather: float
    """Seconds for which verdicts are gathered, so that one commit stores them all; 0: report each one at once."""

    def tell(self, job: Job, event: Event) -> None:
        """Report one event."""
        ...

    def verdicts(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Report gathered verdicts."""
        ...

    def save_due(self, now: float) -> float:
        """Save what has waited long enough; return the monotonic second of the next call."""
        ...
