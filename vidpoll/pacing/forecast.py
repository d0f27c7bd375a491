"""How long a job will take: the law of its account's jobs, and what its own progress adds. Pure arithmetic, no clock.

A duration is taken for lognormal. A `Law` comes from what a plugin declares and from jobs that are done; a `Forecast`
is what the law and one job's history say at one moment. All times are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..job_state import Moment
from ..model import is_number
from ..number_errors import number_error
from .foresight import Ahead, Spans, foresee, rising

_Z95 = 1.6448536269514722
"""Standard deviations from the middle to the 95 % of a normal law."""

_PRIOR = 1.0
"""How many jobs the declared law weighs as much as."""

_RECENT = 8
"""How many of the last changes of the progress count."""

_LIKENESS = 0.3
"""The error of an end that progress foretells, as a share of what is left by it."""

_FINEST = 0.01
"""No forecast is taken for better than this share of the duration."""

_DOUBTFUL, _UNSURE = 3.0, 30.0
"""A job that is so many times older than its progress says, and so many seconds, is not."""

_SOON, _LEAST, _FAR, _TAIL = 1e-3, 1e-6, 30.0, 20.0  # seconds, per cent, a logarithm, standard deviations
_ROOT = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Law:
    """How long jobs take: half of them at most `median` seconds; `sigma` is the spread of the logarithm (0.8: wide).

    Lognormal: 90 % of the jobs take between `median / exp(1.645 sigma)` and `median * exp(1.645 sigma)`.
    """

    median: float = 90.0
    sigma: float = 0.8

    def __post_init__(self) -> None:
        if not (is_number(self.median) and 0 < self.median < math.inf):
            raise number_error("Law median", "a number of seconds, above 0", self.median)
        if not (is_number(self.sigma) and 0 < self.sigma <= 10):
            raise number_error("Law sigma", "a number above 0, at most 10", self.sigma)

    @classmethod
    def of(cls, typical: tuple[float, float] | None) -> Law:
        """The law of which `typical` is the range from the 5 % that are done first to the 95 % that are done by then.

        Without one: a median of 90 s and a wide spread.
        """
        if typical is None:
            return cls()
        low, high = (math.log(seconds) for seconds in typical)
        return cls(math.exp((low + high) / 2), max((high - low) / (2 * _Z95), _FINEST))

    def learnt(self, durations: Iterable[float]) -> Law:
        """This law refined by how long jobs really took, in seconds; it weighs as much as one of them itself."""
        logs = [math.log(seconds) for seconds in durations if seconds > 0]
        if not logs:
            return self
        count, middle, mu = len(logs), math.fsum(logs) / len(logs), math.log(self.median)
        spread = math.fsum((value - middle) ** 2 for value in logs)
        spread += _PRIOR * count / (_PRIOR + count) * (middle - mu) ** 2
        sigma = math.sqrt((_PRIOR * self.sigma**2 + spread) / (_PRIOR + count))
        return Law(math.exp((_PRIOR * mu + count * middle) / (_PRIOR + count)), min(max(sigma, _FINEST), 10.0))


class Forecast(NamedTuple):
    """What is expected of a job that has run for `elapsed` seconds: the `law` of its own whole duration."""

    elapsed: float
    law: Law
    late: bool = False
    """Whether it takes longer than 95 % of the jobs do."""
    informed: bool = True
    """Whether anything stands behind it: a declared or learnt law, or progress."""
    doubt: float = 0.0
    """How far the end that progress foretells has moved (as a logarithm) since half of the time."""
    ahead: Ahead | None = None
    """The next stage, or the end after the last one, where the progress and the declared ranges tell."""

    def within(self, share: float) -> float:
        """Seconds from now in which a job that still runs ends with probability `share`, above 0 and below 1."""
        elapsed, sigma = max(self.elapsed, _SOON), math.hypot(self.law.sigma, self.doubt)
        z = math.log(elapsed / self.law.median) / sigma
        return elapsed * math.expm1(min(sigma * (_further(z, 1.0 - share) - z), _FAR))

    def lost(self, gap: float) -> float:
        """Seconds of delay that are to be expected (twice) of asking `gap` seconds from now, and not all the time.

        That is the gap times the risk that the job ends in it: -ln of the chance that it still runs then.
        """
        now, then = self._z(0.0), self._z(gap)
        if then > _TAIL:  # what a float cannot hold, by the tail's shape
            return gap * (then * then - now * now) / 2.0
        return gap * math.log(_tail(now) / _tail(then))

    def _z(self, ahead: float) -> float:
        return (math.log(max(self.elapsed, _SOON) + ahead) - math.log(self.law.median)) / self.law.sigma

    @property
    def eta(self) -> tuple[float, float] | None:
        """Seconds from now: a job like this ends between them in eight cases of ten. None where nothing is known."""
        return (self.within(0.1), self.within(0.9)) if self.informed else None


def forecast(law: Law | None, history: Sequence[Moment], now: float, ranges: Spans | None = None) -> Forecast:
    """What a law (None: nothing is known of such jobs) and a job's history say at Unix second `now`.

    `ranges` are those of the progress that the provider declares for its stages.
    """
    ahead = foresee(ranges or {}, history, now)
    start = _start(history) if history else now
    elapsed = max(now - start, 0.0)
    late = law is not None and elapsed > law.median * math.exp(_Z95 * law.sigma)
    told = _foretold(history, start, now)
    base = law or Law()
    if told is None:
        return Forecast(elapsed, base, late, law is not None, ahead=ahead)
    middle, variance, doubt = told
    weight, own = 1.0 / variance, 1.0 / base.sigma**2
    mu = (weight * middle + own * math.log(base.median)) / (weight + own)
    return Forecast(elapsed, Law(math.exp(mu), math.sqrt(1.0 / (weight + own))), late, True, doubt, ahead)


def _start(history: Sequence[Moment]) -> float:
    """When the job began: when it was made, where that is told and can be believed; else when it was first seen.

    It was not made after it was seen. And where the progress is told, it is not older by much than the progress that
    was seen to rise would have taken to where it was: a time of another zone, or one of a record that is used again.
    """
    made = history[0]
    if len(history) == 1 or (made.state, made.stage, made.progress) != (None, None, None):
        return made.at
    seen = history[1].at
    moments = rising(history)
    if len(moments) < 2:
        return min(made.at, seen)
    (first, shown), (last, reached) = moments[0], moments[-1]
    by_progress = shown * (last - first) / (reached - shown)
    return seen if first - made.at > _DOUBTFUL * by_progress + _UNSURE else min(made.at, seen)


def _foretold(history: Sequence[Moment], start: float, now: float) -> tuple[float, float, float] | None:
    """The logarithm of the duration by the progress alone, its variance and doubt; None before the progress has risen.

    Progress that has been like time foretells the end; how much the end has moved lately tells how well it does.
    """
    moments = rising(history)
    if len(moments) < 2:
        return None
    first, shown = moments[0]

    def end(at: float, progress: float) -> tuple[float, float]:
        left = (100.0 - progress) * max(at - first, _SOON) / max(progress - shown, _LEAST)
        return math.log(max(at - start + left, _SOON)), left

    moved, before = 0.0, None
    for at, progress in moments[max(1, len(moments) - _RECENT) :]:
        told, left = end(now if progress == moments[-1][1] else at, progress)
        moved = 0.0 if before is None else moved / 2.0 + (told - before) ** 2
        before = told
    half = next((moment for moment in reversed(moments[1:]) if moment[0] <= (first + now) / 2.0), moments[1])
    share = _LIKENESS * left / max(now - start + left, _SOON)
    return told, share**2 + moved + _FINEST**2, abs(told - end(*half)[0])


def _further(z: float, share: float) -> float:
    """Where the upper tail of the normal law is `share` of what it is at `z`: Newton's way, in steps of 1 at most."""
    if z > _TAIL:
        return math.sqrt(z * z - 2.0 * math.log(share))
    aim, at = math.log(_tail(z)) + math.log(share), max(z, -2.0)
    for _ in range(40):
        tail = _tail(at)
        step = min((math.log(tail) - aim) * tail * _ROOT / math.exp(-at * at / 2.0), 1.0)
        at += step
        if abs(step) < 1e-3:
            break
    return at


def _tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2.0))
