"""The only module that reads the time: outside `testing`, no other one imports `time`.

All waiting of the loop goes through `Clock.get`, so that a fake clock can drive everything.
"""

from __future__ import annotations

import time
from queue import Empty, Queue
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """The clock that the loop uses. All values are seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back, for deadlines and gaps."""
        ...

    def time(self) -> float:
        """Unix seconds, for events and histories."""
        ...

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        """The next item from `inbox`, or None after at most `timeout` seconds. None may come sooner: callers try again.

        The inbox is a `Queue`, not a `SimpleQueue`: up to Python 3.10 a `SimpleQueue` blocks for ever if the timeout is
        over before the wait begins. `busy` is whether a request is running, so that an item can arrive.
        """
        ...


class SystemClock:
    """Real time. No single wait is longer than half a second, so that Ctrl-C and `stop` take effect everywhere."""

    SLICE = 0.5

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        try:
            return inbox.get(timeout=min(max(timeout, 0.0), self.SLICE))
        except Empty:
            return None
