"""The only place that knows what time it is and that waits. Nothing else of vidpoll imports `time`.

All waiting of the loop goes through `Clock.get`, so that a fake clock can drive everything.
"""

from __future__ import annotations

import time
from queue import Empty, Queue
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """What the loop needs of time. All values are seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back: deadlines and gaps are measured with it."""
        ...

    def time(self) -> float:
        """Unix seconds: what events and histories show."""
        ...

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        """The next thing from `inbox`, or None after at most `timeout` seconds, or sooner: the caller looks again.

        The inbox is a `Queue` and no `SimpleQueue`: up to Python 3.10 the latter blocks for ever where the timeout is
        over before it begins to wait. `busy` tells whether a request is under way, so that something can come.
        """
        ...


class SystemClock:
    """Real time. No single wait is longer than half a second, so that Ctrl-C and `stop` are heard everywhere."""

    SLICE = 0.5

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        try:
            return inbox.get(timeout=min(max(timeout, 0.0), self.SLICE))
        except Empty:
            return None
