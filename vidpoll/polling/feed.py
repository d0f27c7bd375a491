"""What may reach a run from outside while it runs: the tasks of a feed, a nudge from another thread, a stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from ..events import Event
from ..job import Job

if TYPE_CHECKING:
    from .loop import Run
    from .task import Task


class Feed(Protocol):
    """Adds tasks to a run while it runs: a batch whose next row has a slot, files that have arrived."""

    @property
    def open(self) -> bool:
        """Whether the run continues when no task is left."""
        ...

    @property
    def busy(self) -> bool:
        """Whether another thread is working for the feed, so that a nudge may arrive at any time."""
        ...

    def take(self, run: Run) -> Sequence[Task]:
        """The new tasks. Called at every turn of the loop: it must be cheap if there are none."""
        ...

    def news(self) -> Iterable[tuple[Job, Event]]:
        """Events for the run to yield, without calling hooks. Called after each `take`."""
        ...

    def wake(self) -> float:
        """The monotonic second at which to call `take` even if nothing arrives before; `math.inf` for none."""
        ...


class Stop(Protocol):
    """Ends a run from outside: a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether the run must end. Called at every turn of the loop."""
        ...


class Nudge:
    """Arrives in a run's inbox instead of a response: another thread has something for the run's feed."""


NUDGE = Nudge()
