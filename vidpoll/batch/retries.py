"""What follows from a refusal or a failed job, by its class and by who pays. Pure.

Classes are those of `errors.CATEGORIES`. A submit of unknown outcome is never tried again, so it is not handled here.
`Health` is what the responses to an account's submits say about the account itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

NEVER_AGAIN = ("input", "moderated_input", "moderated_output")
"""Classes of a refusal that concern the row itself: no later run sends the row unchanged."""

CAPACITY = 5
"""How often a row is queued again because its job failed for lack of capacity."""

UNKNOWN = 3
"""Number of consecutive submits of unknown outcome that stops an account."""

PAUSE = 60.0
"""Seconds for which the first of them pauses the account's submits; each further one doubles the pause."""

ALIKE = 3
"""Number of rows refused alike, before any was accepted, that stops an account."""


class Follows(Enum):
    """What to do with a row whose submit was refused or whose job failed."""

    FULL = "full"  # wait for a slot
    PAUSE = "pause"  # the account may send no more for a while
    SLEEP = "sleep"  # the account has used up its quota
    STOP = "stop"  # the account cannot be used until a person acts
    AGAIN = "again"  # it counts as one of the row's retries
    FAIL = "fail"


_OF_REFUSALS: Mapping[str, Follows] = {
    "capacity": Follows.FULL,
    "rate": Follows.PAUSE,
    "quota": Follows.SLEEP,
    "money": Follows.STOP,
    "auth": Follows.STOP,
    "internal": Follows.AGAIN,
    "expired": Follows.AGAIN,
}


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a row is tried again: `free` if the failure cost nothing or was the provider's, `paid` if it was
    charged.
    """

    free: int = 1
    paid: int = 0


def after_refusal(category: str, before: int, retries: Retries) -> Follows:
    """What follows if a submit was refused and nothing was bought; `before` counts the retries for this class."""
    follows = _OF_REFUSALS.get(category, Follows.FAIL)
    return Follows.FAIL if follows is Follows.AGAIN and before >= retries.free else follows


def after_failure(category: str, charged: bool | None, before: Mapping[str, int], retries: Retries) -> Follows:
    """What follows if a job failed; `before` counts the row's retries by class; `charged` is None if unknown.

    A job that failed for an unknown reason is tried again only if it certainly was free. A job that certainly was
    charged is tried again at most `retries.paid` times.
    """
    if category in ("quota", "money", "auth"):
        return _OF_REFUSALS[category]
    if category in ("capacity", "rate"):
        most = CAPACITY
    elif category in ("internal", "expired") or (category in ("", "moderated_output") and charged is False):
        most = retries.free
    else:
        most = retries.paid if category == "moderated_output" else 0
    most = min(most, retries.paid) if charged else most
    return Follows.AGAIN if before.get(category, 0) < most else Follows.FAIL


def after_take(before: Mapping[str, int], retries: Retries) -> Follows:
    """What follows if a plugin does not accept the files of a job that was paid for."""
    return Follows.AGAIN if before.get(REJECTED, 0) < retries.paid else Follows.FAIL


REJECTED = "rejected"
"""The class of a job whose files a plugin did not accept (`vidpoll_accept`)."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the responses to its submits say about an account. `stopped` is why it sends nothing more, else empty."""

    accepted_any: bool = False
    unknown: int = 0
    alike: int = 0
    said: tuple[str, str] = field(default=("", ""))
    held_until: float = -math.inf
    stopped: str = ""

    def submits(self, most: int) -> int:
        """How many submits may be under way: fewer if the next responses may stop the account."""
        if self.unknown:
            return 1
        return most if self.accepted_any else max(1, min(most, ALIKE - self.alike))

    def accepted(self) -> Health:
        """A job was accepted."""
        return replace(self, accepted_any=True, unknown=0, alike=0)

    def answered(self) -> Health:
        """The account responded, with whatever content."""
        return replace(self, unknown=0)

    def refused(self, category: str, said: str) -> Health:
        """A row was refused for good; if the first rows are all refused alike, all of them share a mistake."""
        same = (category, said) == self.said
        alike = self.alike + 1 if same else 1
        stopped = "refused alike" if alike >= ALIKE and not self.accepted_any else self.stopped
        return replace(self, unknown=0, alike=alike, said=(category, said), stopped=stopped)

    def lost(self, now: float) -> Health:
        """It is unknown whether a submit was received: the account's submits pause, and after UNKNOWN of them stop."""
        unknown = self.unknown + 1
        stopped = "unknown" if unknown >= UNKNOWN else self.stopped
        return replace(self, unknown=unknown, held_until=now + PAUSE * 2 ** (unknown - 1), stopped=stopped)
