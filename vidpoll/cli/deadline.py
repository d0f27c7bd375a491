"""The time of a whole command: what it submits, asks, waits for and saves shares one `--timeout`."""

from __future__ import annotations

from vidpoll.clock import Clock


class Deadline:
    """`timeout` in seconds from now on; None: there is no end."""

    def __init__(self, clock: Clock, timeout: float | None) -> None:
        self.clock = clock
        self.timeout = timeout
        self.start = clock.monotonic()

    @property
    def left(self) -> float | None:
        """Seconds that are left, 0 or more; the whole timeout for the first second, so that messages name that."""
        passed = self.clock.monotonic() - self.start
        if self.timeout is None or passed < 1.0:
            return self.timeout
        return max(0.0, round(self.timeout - passed, 1))

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.timeout is not None and self.clock.monotonic() - self.start >= self.timeout
