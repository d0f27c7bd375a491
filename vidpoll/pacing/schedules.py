"""When to ask again: pure arithmetic on what was seen. No clock and no random source of its own lives here.

`Adaptive` asks when an answer is likely; `Fixed` and `Exponential` do what their names say. The loop keeps the
provider's floor, hints, rate and the deadline, whatever a schedule says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from ..errors import UsageError
from ..job_state import Moment
from ..model import is_number
from ..number_errors import number_error
from .forecast import Forecast, Law, forecast

_DAY = 86400.0
_GAP = "a number of seconds between two polls, above 0 and at most 86400 (a day)"

_PRICE = 0.2
"""Seconds of delay that are borne to save one request. docs/performance.md shows what other prices bring."""

_UNFORESEEN, _FORESEEN = 5.0, 20.0
"""The default's longest gap in seconds: while the next stage may begin at any time, and where it is foreseen."""


class Schedule(Protocol):
    """Decides how long to wait before the next question. The loop keeps the provider's floor, hints and deadline."""

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        """Seconds from the last question to the next.

        `history` and `now` are in Unix seconds. Where it is known when the job was made, the history begins with a
        Moment at that second, of which all else is None.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same gap every time, in seconds, above 0."""

    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not _is_gap(self.seconds):
            raise number_error("Fixed seconds", _GAP, self.seconds)

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Exponential:
    """Gaps that grow with the age of the job: the first is `start` seconds, each is `factor` times the one before.

    None is longer than `max_gap` seconds. It is the age that counts, so a wait that is resumed goes on where it was.
    """

    start: float = 2.0
    factor: float = 1.5
    max_gap: float = 60.0

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("max_gap", self.max_gap)):
            if not _is_gap(value):
                raise number_error(f"Exponential {name}", _GAP, value)
        if not (is_number(self.factor) and 1 <= self.factor <= 100):
            raise number_error("Exponential factor", "a number from 1 to 100 (how each gap grows)", self.factor)

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        age = max(now - history[0].at, 0.0) if history else 0.0
        return min(self.start + (self.factor - 1.0) * age, self.max_gap)  # the sum of such gaps grows in just this way


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Asks when an answer is likely, at least every `max_gap` seconds; the default.

    How long a job will take comes from `law`, or else from what the provider's plugin declares and the account's jobs
    have taken; and from the job's progress, as far as that has been like time. The gap is the one at which the delay to
    be expected is worth one request.

    Where the provider declares which progress each of its stages covers, and the job's progress tells when the next one
    begins, a question is aimed at that stage. So `max_gap="auto"` is 20 s there, and 5 s where a short stage would be
    missed otherwise. `max_gap=15` is 15 s in either case: it saves most requests, and misses what nobody foresees.
    """

    max_gap: float | Literal["auto"] = "auto"
    law: Law | None = None

    def __post_init__(self) -> None:
        if not (self.max_gap == "auto" or _is_gap(self.max_gap)):
            raise number_error("Adaptive max_gap", f'{_GAP}, or "auto"', self.max_gap)
        if not (self.law is None or isinstance(self.law, Law)):
            raise UsageError(
                f"Adaptive law must be a vidpoll.Law, or None (what is declared and learnt), got {self.law!r:.80}"
            )

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        return self.gap(forecast(self.law, history, now))

    def gap(self, expected: Forecast) -> float:
        """The gap for a forecast: the longest in which the expected delay is worth at most one request.

        Shorter where the next stage might be missed.
        """
        ahead = expected.ahead
        automatic = _UNFORESEEN if ahead is None else _FORESEEN
        most = automatic if self.max_gap == "auto" else self.max_gap
        gap = _worth(expected, most)
        return gap if ahead is None else min(ahead.aimed(gap), most)


def _worth(expected: Forecast, most: float) -> float:
    """The longest gap, of `most` seconds or less, in which the expected delay is worth at most one request."""
    worth = 2.0 * _PRICE
    if expected.lost(most) <= worth:
        return most
    low, high = 0.0, most
    while high - low > 0.01 * high and high > 0.05:
        middle = (low + high) / 2.0
        low, high = (low, middle) if expected.lost(middle) > worth else (middle, high)
    return high


def _is_gap(value: object) -> bool:
    return is_number(value) and 0 < value <= _DAY  # type: ignore[operator]  # it is a number
