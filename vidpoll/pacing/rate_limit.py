"""Token buckets for the requests of one account: their rate is declared, stated by headers, or learned from 429.

A declared or stated rate holds for every request. A learned rate holds for all but submits, because providers count
submits apart from polls. A learned rate follows TCP CUBIC (RFC 9438, section 4.2), as in the adaptive mode of AWS SDKs:
a 429 cuts it, and within seconds it is back at its old value and soon beyond.

If an account has several `sharers`, each in its own process, a `Block` says how many requests may go now: the declared
and stated rates are for all of them together, and a 429 of one slows all. Without blocks each has its fair share.

Arithmetic with the time passed in (monotonic seconds). Nothing here waits. The limiter that owns a `RateLimit` locks
it.
"""

from __future__ import annotations

import math

from .shared import Block, Slowed

LONGEST = 60.0
"""Seconds: no gap is stretched beyond this, whatever the rate."""

LEAST = 0.5
"""Requests per second: no learned rate is lower, nor lower than one request in LONGEST seconds for each job."""

FORGOTTEN = 120.0
"""Seconds without a 429 after which a learned rate is forgotten."""

SHARE = 1.0
"""Seconds for which the fair share is used if no block is available; then the store is asked again."""

_SOON = 0.001  # seconds until the next check for a block

_AHEAD = 3  # ask for this many requests per waiting one, because a block is spread over its whole time

_CUT = 0.7
"""A 429 cuts the rate to this share."""

_CUBIC = 0.4
"""A learned rate differs from its old value by this factor times the cube of the seconds until it is back there."""

_USED = 0.9
"""The used share of the requests that headers say are left: other programs may use the same key."""


class _Bucket:
    """Lets `burst` requests go at once, and then one whenever the rate allows it."""

    def __init__(self, burst: float = 1.0) -> None:
        self.burst = burst
        self._next = 0.0  # when the next request would go without a burst, by the rate of the last one
        self._at, self._owing = 0.0, 0.0  # when the last one went, and how many requests had to be waited for then

    def turn(self, rate: float | None, now: float, before: int) -> float:
        return now if rate is None else max(now, self._due(rate) - (self.burst - 1.0 - before) / rate)

    def spend(self, rate: float | None, now: float) -> None:
        self._owing = 0.0 if rate is None else max(self._due(rate) - now, 0.0) * rate + 1.0
        self._at, self._next = now, 0.0 if rate is None else now + self._owing / rate

    def _due(self, rate: float) -> float:
        """When the next request would go without a burst; sooner if the rate has risen."""
        return min(self._next, self._at + self._owing / rate)


class RateLimit:
    """The rate limit of one account. `limit` is declared by the plugin: (requests, seconds), or None.

    `sharers`: how many processes share it, by blocks.
    """

    def __init__(self, limit: tuple[int, float] | None, sharers: int = 1) -> None:
        burst = 1.0 if limit is None else max(1.0, limit[0] // 10)
        self.sharers = sharers
        self._declared = None if limit is None else max(limit[0] - max(burst, sharers), 0.5) / limit[1]
        self._all = _Bucket(burst if sharers == 1 else 1.0)  # no stretch of `seconds` then has more than the limit
        self._reads = _Bucket()
        self.jobs = 0
        """How many of the account's jobs are waited for now."""
        self._told: tuple[float, float] | None = None  # requests per second, and until when
        self._learnt: tuple[float, float] | None = None  # the rate at which a 429 came, and since when it recovers
        self._gap = 0.0  # the mean gap of the schedules of the account's jobs
        self._since, self._sent, self._before = 0.0, 0, 0.0  # recently sent requests
        self._good = False  # whether a good response came since the last cut
        self._block, self._until = 0.0, -math.inf  # our requests per second, and until when
        self._most: float | None = None  # the most that we could have, per second
        self.refusals = 0
        """429 that taught a rate and that the other sharers do not know yet."""
        self._known = 0  # 429 that all sharers together have reported

    def stated(self, now: float) -> float | None:
        """Requests per second of all sharers, as the provider declares or states; None if it does neither."""
        told = self._told[0] if self._told is not None and now < self._told[1] else None
        return told if self._declared is None else min(self._declared, told or self._declared)

    def learnt(self, now: float) -> float | None:
        """Requests per second, except submits, as learned from 429; None if nothing is learned."""
        if self._learnt is None or now - self._learnt[1] > FORGOTTEN:
            return None
        old, since = self._learnt
        back = ((1.0 - _CUT) * old / _CUBIC) ** (1.0 / 3.0)  # seconds until the old rate is reached
        cubed: float = (max(now - since, 0.0) - back) ** 3
        return max(old + _CUBIC * cubed, LEAST, self.jobs / LONGEST)

    def per_second(self, now: float) -> float | None:
        """Requests per second, except submits; None if nothing limits them."""
        stated = self.stated(now)
        if stated is not None and self.sharers > 1:
            stated = min(stated, self._most or stated / self.sharers)
        return min((rate for rate in (stated, self.learnt(now)) if rate is not None), default=None)

    def turn(self, now: float, *, submit: bool = False, before: int = 0) -> float:
        """When the next request may go, after `before` other ones: `now` or later."""
        stated = self.stated(now)
        at = self._all.turn(stated, now, before) if self.sharers == 1 else self._of_block(stated, now, before)
        return at if submit else max(at, self._reads.turn(self.learnt(now), now, before))

    def spend(self, now: float, *, submit: bool = False) -> None:
        """Count a request that is sent now."""
        stated = self.stated(now)
        self._all.spend(stated if self.sharers == 1 or stated is None else self._block or stated / self.sharers, now)
        if submit:
            return
        if now - self._since >= 3.0:
            self._look_anew(self._sent / (now - self._since), now)
        self._sent += 1
        self._reads.spend(self.learnt(now), now)

    def told(self, left: float, seconds: float, now: float) -> None:
        """Take what headers say: `left` requests for `seconds`. At least one goes in LONGEST seconds."""
        self._told = (max(left * _USED / seconds, 1.0 / min(seconds, LONGEST)), now + seconds)

    def good(self) -> None:
        """A good response came."""
        self._good = True

    def refused(self, asked_at: float, now: float) -> None:
        """A request brought a 429: learn that the present rate is too high.

        Requests that ran together count once; so do several 429 without a good response between them. Before the first
        good response a 429 teaches nothing.
        """
        if not self._good or (self._learnt is not None and asked_at < self._learnt[1]):
            return
        self._good = False
        lately, known = self._lately(now), self.per_second(now)
        self._learnt = (lately if known is None else min(lately, known), now)
        self.refusals += self.sharers > 1

    def held(self, until: float, now: float) -> None:
        """No request goes before `until`: this time neither lets the rate recover nor lowers the measured rate."""
        if self._learnt is not None:
            self._learnt = (self._learnt[0], max(self._learnt[1], until))
        self._look_anew(self._lately(now), until)

    # -- sharers ------------------------------------------------------------------------------------------------------

    def blocked(self, now: float) -> bool:
        """Whether no request may go before the next block."""
        return now >= self._until

    def wanted(self, waiting: int, now: float) -> int:
        """How many requests to ask for when `waiting` requests wait."""
        return _AHEAD * waiting + math.ceil(self._lately(now))

    def tells(self, held: float, submits_held: float, now: float) -> Slowed:
        """The news for the other sharers: for how many seconds they are held, and the learned rate."""
        learnt, at = self._learnt or (0.0, now)
        return Slowed(held, submits_held, self.refusals, learnt, max(0.0, now - at))

    def take(self, block: Block | None, now: float) -> None:
        """Take the block of `now`; None: the store gives no blocks now."""
        if block is None:
            self._block = self._most = (self.stated(now) or 0.0) / self.sharers
            self._until = now + SHARE
        else:
            self._block, self._most = block.number / block.seconds, block.most / block.seconds
            self._until = now + block.seconds

    def heard(self, slowed: Slowed, told: int, now: float) -> None:
        """Take the news of all sharers, after we reported `told` refusals. A new 429 of another one slows us too."""
        self.refusals -= told
        known, self._known = self._known, slowed.refusals
        at = now - slowed.ago
        if slowed.refusals > known + told and (self._learnt is None or at > self._learnt[1]):
            lately = self._lately(now)
            self._learnt, self._good = (lately if lately >= LEAST else slowed.learnt, at), False

    def _of_block(self, stated: float | None, now: float, before: int) -> float:
        """When a request may go, by the block."""
        if stated is None:
            return now
        if now >= self._until:
            return now + _SOON
        return min(self._until, self._all.turn(self._block, now, before)) if self._block else self._until

    def _lately(self, now: float) -> float:
        return max(self._before, self._sent / max(now - self._since, 1.0))

    def _look_anew(self, before: float, since: float) -> None:
        self._before, self._since, self._sent = before, since, 0

    def stretched(self, gap: float, now: float) -> float:
        """The gap of a job, stretched by the factor by which the account's jobs together exceed the rate.

        The rate that counts is that at the time of the job's next poll.
        """
        self._gap += (gap - self._gap) / min(max(self.jobs, 1), 50) if self._gap else gap
        rate = self.per_second(now + gap)
        if rate is None or gap >= LONGEST:
            return gap
        return min(gap * max(1.0, self.jobs / (self._gap * rate)), LONGEST)
