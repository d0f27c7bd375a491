"""A token bucket for the requests of one account: its rate is declared, told by headers, or learnt from 429.

Arithmetic with the time passed in (monotonic seconds). Nobody waits here. The limiter that owns a `RateLimit` locks it.
"""

from __future__ import annotations

LONGEST = 60.0
"""Seconds: gaps are not stretched further than that, whatever the rate."""

_CUT = 0.7
"""After a 429 the account is asked so many times as often as before."""

_GROWTH = 0.05 / 60.0
"""By such a share a learnt rate grows in each second without another 429."""

_USED = 0.9
"""The share of what headers say is left that is used: others may hold the same key."""


class RateLimit:
    """The requests of one account in time. `limit` is what the plugin declares: so many in so many seconds."""

    def __init__(self, limit: tuple[int, float] | None) -> None:
        burst = 1.0 if limit is None else max(1.0, limit[0] // 10)
        self._declared = None if limit is None else max(limit[0] - burst, 0.5) / limit[1]
        self._burst = burst  # so many may go at once: with them no stretch of `seconds` has more than the limit
        self._told: tuple[float, float] | None = None  # requests a second, and until when
        self._learnt: tuple[float, float] | None = None  # requests a second, and since when
        self._next = 0.0  # when the next one would go, if there were no burst
        self._gap = 0.0  # what the schedules of the account's jobs want, in the mean
        self._since, self._sent, self._before = 0.0, 0, 0.0  # what was really sent lately
        self._good = False  # whether a good answer came since the last cut
        self._free = limit is None  # nothing limits it, and nothing ever did

    def per_second(self, now: float) -> float | None:
        """How many requests may go in a second; None where nothing limits them."""
        if self._free:
            return None
        told = self._told[0] if self._told is not None and now < self._told[1] else None
        learnt = None if self._learnt is None else self._learnt[0] * (1.0 + _GROWTH * (now - self._learnt[1]))
        return min((rate for rate in (self._declared, told, learnt) if rate is not None), default=None)

    def turn(self, now: float) -> float:
        """When the next request may go: `now` or later."""
        rate = self.per_second(now)
        return now if rate is None else max(now, self._next - (self._burst - 1.0) / rate)

    def spend(self, now: float) -> None:
        """A request is sent."""
        if now - self._since >= 10.0:
            lasted = now - self._since
            self._since, self._sent, self._before = now, 0, self._sent / lasted
        self._sent += 1
        rate = self.per_second(now)
        self._next = 0.0 if rate is None else max(self._next, now) + 1.0 / rate

    def told(self, left: float, seconds: float, now: float) -> None:
        """Headers say how many requests are left for how many seconds."""
        self._free = False
        self._told = (max(left * _USED, 1.0) / seconds, now + seconds)

    def good(self) -> None:
        """A good answer came."""
        self._good = True

    def refused(self, jobs: int, now: float) -> None:
        """A 429 came: what was sent is too much. Several of them with no good answer between are one.

        Nothing is learnt that would give an account's `jobs` less than one request in LONGEST seconds each.
        """
        if not self._good:
            return
        self._good = False
        self._free = False
        lately = max(self._before, self._sent / max(now - self._since, 1.0))
        known = self.per_second(now)
        self._learnt = (max(_CUT * (lately if known is None else min(lately, known)), jobs / LONGEST), now)

    def stretched(self, gap: float, jobs: int, now: float) -> float:
        """The gap of a job, stretched by the factor by which all the account's jobs together ask for too much."""
        self._gap += (gap - self._gap) / min(max(jobs, 1), 50) if self._gap else gap
        rate = self.per_second(now)
        if rate is None or gap >= LONGEST:
            return gap
        return min(gap * max(1.0, jobs / (self._gap * rate)), LONGEST)
