"""What follows from a refusal or a failed job, by its class and by who pays. Pure.

Classes are those of `errors.CATEGORIES`. What nobody knows the outcome of comes nowhere near here: it is never tried
again. `Health` is what the answers to an account's submits say of the account itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

NEVER_AGAIN = ("input", "moderated_input", "moderated_output")
"""Classes of a refusal that are about the row itself: no later run sends it as it is."""

CAPACITY = 5
"""How often a row goes back into line because its job failed for want of room."""

UNKNOWN = 3
"""Submits of unknown outcome, one after another, that stop an account."""

PAUSE = 60.0
"""Seconds for which the first of them holds the account's submits; the next one holds them twice as long."""

ALIKE = 3
"""Rows that are refused alike, before any was accepted, stop an account."""


class Follows(Enum):
    """What to do with a row whose submit was refused or whose job failed."""

    FULL = "full"  # wait for a slot
    PAUSE = "pause"  # the account may send no more for a while
    SLEEP = "sleep"  # the account has used up its quota
    STOP = "stop"  # the account is no use before a human acts
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
    """How often a row is tried again: what was free of charge, or broke at the provider, and what is paid for anew."""

    free: int = 1
    paid: int = 0


def after_refusal(category: str, before: int, retries: Retries) -> Follows:
    """What follows where a submit was refused, and nothing bought; the row was tried again `before` times for it."""
    follows = _OF_REFUSALS.get(category, Follows.FAIL)
    return Follows.FAIL if follows is Follows.AGAIN and before >= retries.free else follows


def after_failure(category: str, charged: bool | None, before: Mapping[str, int], retries: Retries) -> Follows:
    """What follows where a job failed; `before` counts the row's retries by class, `charged` is None: not known.

    A job that failed for no known reason is tried again only where it certainly was free.
    """
    times = before.get(category, 0)
    if category in ("capacity", "rate"):
        return Follows.AGAIN if times < CAPACITY else Follows.FAIL
    if category in ("quota", "money", "auth"):
        return _OF_REFUSALS[category]
    if category in ("internal", "expired") or (category in ("", "moderated_output") and charged is False):
        return Follows.AGAIN if times < retries.free else Follows.FAIL
    if category == "moderated_output":
        return Follows.AGAIN if times < retries.paid else Follows.FAIL
    return Follows.FAIL


def after_take(before: Mapping[str, int], retries: Retries) -> Follows:
    """What follows where a plugin does not accept the files of a job that was paid for."""
    return Follows.AGAIN if before.get(REJECTED, 0) < retries.paid else Follows.FAIL


REJECTED = "rejected"
"""The class of a job whose files a plugin did not accept (`vidpoll_accept`)."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the answers to its submits say of an account. `stopped` says why nothing more is sent; empty: go on."""

    accepted_any: bool = False
    unknown: int = 0
    alike: int = 0
    said: tuple[str, str] = field(default=("", ""))
    held_until: float = -math.inf
    stopped: str = ""

    def submits(self, most: int) -> int:
        """How many submits may be under way: fewer where the next answers may stop the account."""
        if self.unknown:
            return 1
        return most if self.accepted_any else max(1, min(most, ALIKE - self.alike))

    def accepted(self) -> Health:
        """A job was accepted."""
        return replace(self, accepted_any=True, unknown=0, alike=0)

    def answered(self) -> Health:
        """The account answers, whatever it says."""
        return replace(self, unknown=0)

    def refused(self, category: str, said: str) -> Health:
        """A row was refused for good; the first ones, all alike, are a mistake in all of them."""
        same = (category, said) == self.said
        alike = self.alike + 1 if same else 1
        stopped = "refused alike" if alike >= ALIKE and not self.accepted_any else self.stopped
        return replace(self, unknown=0, alike=alike, said=(category, said), stopped=stopped)

    def lost(self, now: float) -> Health:
        """Nobody knows whether a submit was received: the account's submits pause, and soon they stop."""
        unknown = self.unknown + 1
        stopped = "unknown" if unknown >= UNKNOWN else self.stopped
        return replace(self, unknown=unknown, held_until=now + PAUSE * 2 ** (unknown - 1), stopped=stopped)
