"""When to poll again: pure arithmetic on a job's history, without a clock or a random source of its own.

`Adaptive` polls when news is likely; `Fixed` and `Exponential` do what their names say. The loop keeps the provider's
floor, hints, rate and the deadline, whatever a schedule says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from ..errors import UsageError
from ..job_state import Moment
from ..model import is_number
from ..number_check import check_number
from .forecast import Forecast, Law, forecast

_DAY = 86400.0
_GAP = "a number of seconds between two polls, above 0 and at most 86400 (a day)"

_PRICE = 0.2
"""Seconds of delay that are worth saving one request. docs/performance.md shows the effect of other values."""

_UNFORESEEN, _FORESEEN = 5.0, 20.0
"""The default's longest gap in seconds: if the next stage may begin at any time, and if its begin is predicted."""


class Schedule(Protocol):
    """Decides how long to wait before the next poll. The loop keeps the provider's floor, hints and the deadline.

    Any object with a `next_gap` method is a Schedule.
    """

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        """Return the seconds from the last poll to the next.

        `history` and `now` are in Unix seconds. If the job's creation time is known, the history begins with a Moment
        at that time, whose other fields are None.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same gap every time: `seconds`, above 0 and at most a day. Raises UsageError."""

    seconds: float = 5.0

    def __post_init__(self) -> None:
        check_number("Fixed seconds", _GAP, self.seconds, _is_gap)

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Exponential:
    """Gaps that grow with the age of the job: the first is `start` seconds, each is `factor` times the one before.

    No gap is longer than `max_gap` seconds. The age of the job counts, so a resumed wait continues with the same gaps.
    `start` and `max_gap` are above 0 and at most a day, `factor` is from 1 to 100. Raises UsageError.
    """

    start: float = 2.0
    factor: float = 1.5
    max_gap: float = 60.0

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("max_gap", self.max_gap)):
            check_number(f"Exponential {name}", _GAP, value, _is_gap)
        check_number("Exponential factor", "a number from 1 to 100", self.factor, _is_factor)

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        age = max(now - history[0].at, 0.0) if history else 0.0
        return min(self.start + (self.factor - 1.0) * age, self.max_gap)  # equal to a geometric series of gaps


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Polls when news is likely, at least every `max_gap` seconds. This is the default schedule.

    The expected duration of a job comes from `law`, or else from the plugin's declaration and the account's earlier
    jobs, and from the job's own progress if that grows evenly. The gap is the one whose expected delay is worth one
    request.

    If the provider declares the progress that each stage covers, and the job's progress predicts the next stage, a poll
    is aimed at that stage. Then `max_gap="auto"` means 20 s; otherwise it means 5 s, because a short stage would be
    missed. A number, like `max_gap=15`, holds in both cases: it saves the most requests, but misses short stages that
    cannot be predicted. `max_gap` is above 0 and at most a day. Raises UsageError.
    """

    max_gap: float | Literal["auto"] = "auto"
    law: Law | None = None

    def __post_init__(self) -> None:
        if self.max_gap != "auto":
            check_number("Adaptive max_gap", f'{_GAP}, or "auto"', self.max_gap, _is_gap)
        if not (self.law is None or isinstance(self.law, Law)):
            raise UsageError(f"Adaptive law must be a vidpoll.Law, or None to derive it, got {self.law!r:.80}")

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        return self.gap(forecast(self.law, history, now))

    def gap(self, expected: Forecast) -> float:
        """The gap for a forecast: the longest whose expected delay is worth at most one request.

        It is shorter if the next stage might be missed.
        """
        ahead = expected.ahead
        automatic = _UNFORESEEN if ahead is None else _FORESEEN
        most = automatic if self.max_gap == "auto" else self.max_gap
        gap = _worth(expected, most)
        return gap if ahead is None else min(ahead.aimed(gap), most)


def _worth(expected: Forecast, most: float) -> float:
    """The longest gap, at most `most` seconds, whose expected delay is worth at most one request."""
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


def _is_factor(value: object) -> bool:
    return is_number(value) and 1 <= value <= 100  # type: ignore[operator]  # it is a number
