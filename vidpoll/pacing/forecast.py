"""How long a job will take, by the law of its account's jobs and by its own progress. Pure arithmetic, no clock.

Durations are assumed to be lognormal. A `Law` comes from the plugin's declaration and from finished jobs; a `Forecast`
combines the law with one job's history at one moment. All times are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..job_state import Moment
from ..model import is_number
from ..number_check import check_number
from .foresight import Ahead, Spans, foresee, rising

_Z95 = 1.6448536269514722
"""Standard deviations from the middle of a normal law to its 95th percentile."""

_PRIOR = 1.0
"""The weight of the declared law, as a number of jobs."""

_RECENT = 8
"""How many of the latest changes of the progress count."""

_LIKENESS = 0.3
"""The error of an end predicted from progress, as a share of the predicted time left."""

_FINEST = 0.01
"""The smallest error that a forecast may have, as a share of the duration."""

_DOUBTFUL, _UNSURE = 3.0, 30.0
"""A creation time is not believed if the job is older than its progress says by this factor plus these seconds."""

_SOON, _LEAST, _FAR, _TAIL = 1e-3, 1e-6, 30.0, 20.0  # seconds, per cent, a logarithm, standard deviations
_ROOT = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Law:
    """How long jobs take, as a lognormal law: half of the jobs take at most `median` seconds (above 0).

    `sigma` is the spread of the logarithm, above 0 and at most 10 (0.8 is wide): 90 % of the jobs take between
    `median / exp(1.645 sigma)` and `median * exp(1.645 sigma)` seconds. Raises UsageError.
    """

    median: float = 90.0
    sigma: float = 0.8

    def __post_init__(self) -> None:
        check_number("Law median", "a number of seconds, above 0", self.median, lambda v: is_number(v) and v > 0)
        check_number("Law sigma", "a number above 0, at most 10", self.sigma, lambda v: is_number(v) and 0 < v <= 10)

    @classmethod
    def of(cls, typical: tuple[float, float] | None) -> Law:
        """The law whose 5th and 95th percentiles are `typical`, in seconds.

        For None: a median of 90 s and a wide spread.
        """
        if typical is None:
            return cls()
        low, high = (math.log(seconds) for seconds in typical)
        return cls(math.exp((low + high) / 2), max((high - low) / (2 * _Z95), _FINEST))

    def learnt(self, durations: Iterable[float]) -> Law:
        """This law refined by the real durations of jobs, in seconds. The law weighs as much as one job."""
        logs = [math.log(seconds) for seconds in durations if seconds > 0]
        if not logs:
            return self
        count, middle, mu = len(logs), math.fsum(logs) / len(logs), math.log(self.median)
        spread = math.fsum((value - middle) ** 2 for value in logs)
        spread += _PRIOR * count / (_PRIOR + count) * (middle - mu) ** 2
        sigma = math.sqrt((_PRIOR * self.sigma**2 + spread) / (_PRIOR + count))
        return Law(math.exp((_PRIOR * mu + count * middle) / (_PRIOR + count)), min(max(sigma, _FINEST), 10.0))


class Forecast(NamedTuple):
    """The forecast for a job that has run for `elapsed` seconds: the `law` of its whole duration."""

    elapsed: float
    law: Law
    late: bool = False
    """Whether the job takes longer than 95 % of the jobs."""
    informed: bool = True
    """Whether the forecast has a basis: a declared or learned law, or progress."""
    doubt: float = 0.0
    """How far the predicted end has moved (as a logarithm) since half of the time."""
    ahead: Ahead | None = None
    """The next stage, or the end after the last one, if progress and declared ranges show it."""

    def within(self, share: float) -> float:
        """Seconds from now within which a running job ends with probability `share`, above 0 and below 1."""
        elapsed, sigma = max(self.elapsed, _SOON), math.hypot(self.law.sigma, self.doubt)
        z = math.log(elapsed / self.law.median) / sigma
        return elapsed * math.expm1(min(sigma * (_further(z, 1.0 - share) - z), _FAR))

    def lost(self, gap: float) -> float:
        """Twice the expected delay, in seconds, of polling `gap` seconds from now instead of continuously.

        This is the gap times the risk that the job ends in it: -ln of the chance that it still runs then.
        """
        now, then = self._z(0.0), self._z(gap)
        if then > _TAIL:  # too small for a float: use the shape of the tail
            return gap * (then * then - now * now) / 2.0
        return gap * math.log(_tail(now) / _tail(then))

    def _z(self, ahead: float) -> float:
        return (math.log(max(self.elapsed, _SOON) + ahead) - math.log(self.law.median)) / self.law.sigma

    @property
    def eta(self) -> tuple[float, float] | None:
        """(from, to) in seconds from now: eight of ten such jobs end between the two. None if nothing is known."""
        return (self.within(0.1), self.within(0.9)) if self.informed else None


def forecast(law: Law | None, history: Sequence[Moment], now: float, ranges: Spans | None = None) -> Forecast:
    """The forecast from a law (None: unknown) and a job's history, at Unix second `now`.

    `ranges` are the ranges of progress that the provider declares for its stages.
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
    """When the job began: the time of its creation if known and believable, else the time when it was first seen.

    A job was not created after it was seen. If it has progress, it also cannot be much older than that progress took at
    the observed pace. Otherwise the creation time is of another time zone, or of a reused record.
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
    """The logarithm of the duration by progress alone, its variance and doubt; None before the progress has risen.

    Progress that grows evenly predicts the end. The recent moves of the predicted end show how good the prediction is.
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
    """Where the upper tail of the normal law is `share` of its value at `z`. Newton's method, in steps of at most 1."""
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
