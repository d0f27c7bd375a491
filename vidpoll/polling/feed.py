"""What may come to a run from outside while it goes on: tasks of a feed, and a nudge of another thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from ..events import Event
from ..job import Job

if TYPE_CHECKING:
    from .loop import Run
    from .task import Task


class Feed(Protocol):
    """Who adds tasks to a run that goes on: a batch whose next row has a slot, files that have come."""

    @property
    def open(self) -> bool:
        """Whether the run goes on although none of its tasks is left."""
        ...

    @property
    def busy(self) -> bool:
        """Whether another thread is at work for it, so that a nudge may come at any time."""
        ...

    def take(self, run: Run) -> Sequence[Task]:
        """The tasks that are new. Asked at every turn of the loop: it must be cheap where there is none."""
        ...

    def news(self) -> Iterable[tuple[Job, Event]]:
        """What the run is to yield; the hooks do not hear of it. Asked after each `take`."""
        ...

    def wake(self) -> float:
        """The monotonic second of the next look, whatever answers come until then; `math.inf` for none."""
        ...


class Nudge:
    """Comes through a run's inbox in the place of an answer: another thread has something for the run's feed."""


NUDGE = Nudge()
