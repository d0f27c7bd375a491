"""The time limit of a whole command: submits, polls, waits and downloads share one `--timeout`."""

from __future__ import annotations

from vidpoll.clock import Clock


class Deadline:
    """Ends `timeout` seconds from now; None means never."""

    def __init__(self, clock: Clock, timeout: float | None) -> None:
        self.clock = clock
        self.timeout = timeout
        self.start = clock.monotonic()

    @property
    def left(self) -> float | None:
        """Seconds left, 0 or more; for the first second the whole timeout, so that messages show a round number."""
        passed = self.clock.monotonic() - self.start
        if self.timeout is None or passed < 1.0:
            return self.timeout
        return max(0.0, round(self.timeout - passed, 1))

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return self.timeout is not None and self.clock.monotonic() - self.start >= self.timeout
