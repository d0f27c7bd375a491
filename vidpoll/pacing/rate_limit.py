"""Token buckets for the requests of one account: their rate is declared, told by headers, or learnt from 429.

What is declared or told holds for every request. What is learnt holds for all but submits: a provider counts the jobs
that it makes apart from the questions about them. A learnt rate goes the way of TCP CUBIC (RFC 9438, section 4.2), as
in the adaptive mode of AWS SDKs: cut at a 429, back at its old value within seconds, soon beyond it.

Where an account has several `sharers`, each in a process of its own, a `Block` says how many requests may go now: the
declared and told rates are those of all of them, and a 429 of one slows all. Without a block each has its fair share.

Arithmetic with the time passed in (monotonic seconds). Nobody waits here. The limiter that owns a `RateLimit` locks it.
"""

from __future__ import annotations

import math

from .shared import Block, Slowed

LONGEST = 60.0
"""Seconds: gaps are not stretched further than that, whatever the rate."""

LEAST = 0.5
"""Requests a second: no learnt rate is lower, nor lower than one request in LONGEST seconds for each job."""

FORGOTTEN = 120.0
"""Seconds without a 429 after which a learnt rate is forgotten."""

SHARE = 1.0
"""Seconds for which a fair share is used where no block is to be had; then one is asked for again."""

_SOON = 0.001  # seconds until a block is there

_AHEAD = 3  # so many times as many requests as wait are asked for: those of a block are spread over all of it

_CUT = 0.7
"""After a 429 the account is asked so many times as often as before."""

_CUBIC = 0.4
"""A learnt rate is off its old value by so much times the cube of the seconds to the moment at which it is back."""

_USED = 0.9
"""The share of what headers say is left that is used: others may hold the same key."""


class _Bucket:
    """`burst` requests may go at once, and then one whenever the rate allows it."""

    def __init__(self, burst: float = 1.0) -> None:
        self.burst = burst
        self._next = 0.0  # when the next one would go, if there were no burst, by the rate of the last one
        self._at, self._owing = 0.0, 0.0  # when that one went, and how many it left to be waited for

    def turn(self, rate: float | None, now: float, before: int) -> float:
        return now if rate is None else max(now, self._due(rate) - (self.burst - 1.0 - before) / rate)

    def spend(self, rate: float | None, now: float) -> None:
        self._owing = 0.0 if rate is None else max(self._due(rate) - now, 0.0) * rate + 1.0
        self._at, self._next = now, 0.0 if rate is None else now + self._owing / rate

    def _due(self, rate: float) -> float:
        """When the next one would go, if there were no burst: sooner where the rate is higher by now."""
        return min(self._next, self._at + self._owing / rate)


class RateLimit:
    """The requests of one account in time. `limit` is what the plugin declares: so many in so many seconds.

    `sharers`: how many processes keep to it together, by blocks.
    """

    def __init__(self, limit: tuple[int, float] | None, sharers: int = 1) -> None:
        burst = 1.0 if limit is None else max(1.0, limit[0] // 10)
        self.sharers = sharers
        self._declared = None if limit is None else max(limit[0] - max(burst, sharers), 0.5) / limit[1]
        self._all = _Bucket(burst if sharers == 1 else 1.0)  # with it no stretch of `seconds` has more than the limit
        self._reads = _Bucket()
        self.jobs = 0
        """How many of the account's jobs are waited for now."""
        self._told: tuple[float, float] | None = None  # requests a second, and until when
        self._learnt: tuple[float, float] | None = None  # the rate at which a 429 came, and since when it recovers
        self._gap = 0.0  # what the schedules of the account's jobs want, in the mean
        self._since, self._sent, self._before = 0.0, 0, 0.0  # what was really sent lately
        self._good = False  # whether a good answer came since the last cut
        self._block, self._until = 0.0, -math.inf  # requests a second of ours, until when
        self._most: float | None = None  # what could be ours, a second
        self.refusals = 0
        """Of those that have taught a rate: how many no sharer was told of."""
        self._known = 0  # how many refusals all sharers together have told of

    def stated(self, now: float) -> float | None:
        """How many requests may go in a second, by the provider's word, of all sharers; None where it gave none."""
        told = self._told[0] if self._told is not None and now < self._told[1] else None
        return told if self._declared is None else min(self._declared, told or self._declared)

    def learnt(self, now: float) -> float | None:
        """How many requests other than submits may go in a second, by what 429s have taught; None where nothing is."""
        if self._learnt is None or now - self._learnt[1] > FORGOTTEN:
            return None
        old, since = self._learnt
        back = ((1.0 - _CUT) * old / _CUBIC) ** (1.0 / 3.0)  # seconds until the old rate is reached
        cubed: float = (max(now - since, 0.0) - back) ** 3
        return max(old + _CUBIC * cubed, LEAST, self.jobs / LONGEST)

    def per_second(self, now: float) -> float | None:
        """How many requests other than submits may go in a second; None where nothing limits them."""
        stated = self.stated(now)
        if stated is not None and self.sharers > 1:
            stated = min(stated, self._most or stated / self.sharers)
        return min((rate for rate in (stated, self.learnt(now)) if rate is not None), default=None)

    def turn(self, now: float, *, submit: bool = False, before: int = 0) -> float:
        """When the next request may go, with so many of others `before` it: `now` or later."""
        stated = self.stated(now)
        at = self._all.turn(stated, now, before) if self.sharers == 1 else self._of_block(stated, now, before)
        return at if submit else max(at, self._reads.turn(self.learnt(now), now, before))

    def spend(self, now: float, *, submit: bool = False) -> None:
        """A request is sent."""
        stated = self.stated(now)
        self._all.spend(stated if self.sharers == 1 or stated is None else self._block or stated / self.sharers, now)
        if submit:
            return
        if now - self._since >= 3.0:
            self._look_anew(self._sent / (now - self._since), now)
        self._sent += 1
        self._reads.spend(self.learnt(now), now)

    def told(self, left: float, seconds: float, now: float) -> None:
        """Headers say how many requests are left for how many seconds; one in LONGEST goes, as where none is left."""
        self._told = (max(left * _USED / seconds, 1.0 / min(seconds, LONGEST)), now + seconds)

    def good(self) -> None:
        """A good answer came."""
        self._good = True

    def refused(self, asked_at: float, now: float) -> None:
        """A request brought a 429: what was sent is too much. Those that were under way together teach once.

        So do several with no good answer between; and where none came yet, it says nothing about a rate.
        """
        if not self._good or (self._learnt is not None and asked_at < self._learnt[1]):
            return
        self._good = False
        lately, known = self._lately(now), self.per_second(now)
        self._learnt = (lately if known is None else min(lately, known), now)
        self.refusals += self.sharers > 1

    def held(self, until: float, now: float) -> None:
        """Nothing is sent before `until`: what is not tried neither recovers nor counts as little that was sent."""
        if self._learnt is not None:
            self._learnt = (self._learnt[0], max(self._learnt[1], until))
        self._look_anew(self._lately(now), until)

    # -- sharers ------------------------------------------------------------------------------------------------------

    def blocked(self, now: float) -> bool:
        """Whether nothing goes before there is another block."""
        return now >= self._until

    def wanted(self, waiting: int, now: float) -> int:
        """How many requests to ask for, where so many wait."""
        return _AHEAD * waiting + math.ceil(self._lately(now))

    def tells(self, held: float, submits_held: float, now: float) -> Slowed:
        """What the other sharers are to be told: for how many seconds they are held, and what we have learnt."""
        learnt, at = self._learnt or (0.0, now)
        return Slowed(held, submits_held, self.refusals, learnt, max(0.0, now - at))

    def take(self, block: Block | None, now: float) -> None:
        """A block that was asked for at `now`; None: nobody has blocks now."""
        if block is None:
            self._block = self._most = (self.stated(now) or 0.0) / self.sharers
            self._until = now + SHARE
        else:
            self._block, self._most = block.number / block.seconds, block.most / block.seconds
            self._until = now + block.seconds

    def heard(self, slowed: Slowed, told: int, now: float) -> None:
        """What all sharers have told, after we have told of so many refusals: what we send is as much too much."""
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
        """The gap of a job, stretched by the factor by which all the account's jobs together ask for too much.

        What counts is the rate at the time at which the job is to be asked again.
        """
        self._gap += (gap - self._gap) / min(max(self.jobs, 1), 50) if self._gap else gap
        rate = self.per_second(now + gap)
        if rate is None or gap >= LONGEST:
            return gap
        return min(gap * max(1.0, self.jobs / (self._gap * rate)), LONGEST)
