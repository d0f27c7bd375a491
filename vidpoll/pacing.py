"""When to ask again: pure arithmetic on what was seen. No clock and no random source of its own lives here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from .errors import UsageError
from .machine import Moment


class Schedule(Protocol):
    """Decides how long to wait before the next question. The loop keeps the provider's floor, hints and deadline."""

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        """Seconds from the last question to the next. `history` and `now` are in Unix seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same gap every time, in seconds, above 0."""

    seconds: float = 5.0

    def __post_init__(self) -> None:
        number = isinstance(self.seconds, (int, float)) and not isinstance(self.seconds, bool)
        if not number or not 0 < self.seconds <= 86400:
            raise UsageError(f"Fixed({self.seconds!r}): seconds between two questions, above 0 and at most a day")

    def next_gap(self, history: Sequence[Moment], now: float, random: Random) -> float:
        return self.seconds
