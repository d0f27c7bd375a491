"""Rate limits: how many requests a key may send, and how soon a job may be polled again.

Pure arithmetic over simulated seconds; this module may not read a clock, lock, or know HTTP. A limit says how long to
wait; the face turns that into its provider's status code and headers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """The decision of a window about one request; ``resets_at`` is in simulated seconds."""

    allowed: bool
    limit: int
    remaining: int
    resets_at: float


class Window:
    """At most ``limit`` requests per key in each window of ``seconds``; a window opens with its first request."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._open: dict[str, tuple[float, int]] = {}  # key -> end of its window, requests in it

    def take(self, key: str, now: float) -> Allowance:
        """Count one request of ``key``; a refused request is not counted."""
        resets_at, taken = self._open.get(key, (0.0, 0))
        if taken == 0 or now >= resets_at:
            resets_at, taken = now + self._seconds, 0
        allowed = taken < self._limit
        taken += allowed
        self._open[key] = (resets_at, taken)
        return Allowance(allowed, self._limit, self._limit - taken, resets_at)


class Floor:
    """A job may be polled once in ``seconds``; a gap that is shorter by at most ``tolerance`` is accepted.

    A refused poll does not count: the gap is measured from the last accepted one.
    """

    def __init__(self, seconds: float, tolerance: float) -> None:
        self._gap = seconds
        self._tolerance = tolerance
        self._answered: dict[str, float] = {}

    def wait(self, job_id: str, now: float) -> float:
        """The simulated seconds by which this poll is too early; 0.0 accepts it and starts the next gap."""
        missing = self._answered.get(job_id, float("-inf")) + self._gap - now
        if missing > self._tolerance:
            return missing
        self._answered[job_id] = now
        return 0.0
