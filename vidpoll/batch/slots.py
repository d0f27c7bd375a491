"""How many jobs an account may have at once: what is told of it, and what its refusals teach. Pure.

A `SlotLimit` is a frozen value: `room` says whether one more may be sent, `accepted` and `refused` give the next one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..provider import Provider

START = 3
"""Jobs at once, where nobody tells how many."""

MOST = 64
"""Jobs at once that are never exceeded where the number is learnt."""

PATIENCE = 30
"""Jobs that are accepted, at least twice the limit, before one more is tried again that was refused before."""

PAUSES = (8.0, 16.0, 32.0, 60.0)
"""Seconds between two tries where a job is refused although none of ours will make room."""


@dataclass(frozen=True, slots=True)
class SlotLimit:
    """The jobs that may be in flight at once. `good` were accepted or told, `most` is never exceeded.

    `trying`: one more than `good` is tried, once no other submit is under way. `since` counts what was accepted since
    the last refusal, `wait` is how many it must be before one more is tried again.
    """

    good: int = START
    most: int = MOST
    trying: bool = True
    since: int = 0
    wait: int = 0
    cuts: int = 0
    pauses: int = 0
    closed_until: float = -math.inf

    @property
    def limit(self) -> int:
        """Jobs in flight at most, one that is tried included."""
        return min(self.good + self.trying, self.most)

    def room(self, now: float, in_flight: int, under_way: int) -> bool:
        """Whether a submit may be sent: `in_flight` jobs hold slots, beside `under_way` submits without an answer."""
        if now < self.closed_until:
            return False
        if self.cuts and under_way:  # the limit has become smaller: one at a time until it is found
            return False
        if in_flight + under_way < min(self.good, self.most):
            return True
        return under_way == 0 and in_flight < self.limit

    def accepted(self, in_flight: int) -> SlotLimit:
        """A job was accepted, with which `in_flight` jobs hold slots."""
        grown = in_flight > self.good
        since = self.since + 1
        return replace(
            self,
            good=max(self.good, in_flight),
            trying=self.trying or self.cuts > 1 or since >= self.wait,
            since=since,
            wait=0 if grown else self.wait,
            cuts=0,
            pauses=0,
        )

    def refused(self, now: float, in_flight: int, ending: int) -> SlotLimit:
        """A job was refused while `in_flight` held slots, of which `ending` will make room by themselves.

        Where the limit has become smaller than was known, ever larger steps find it; they may go too far, so that one
        more is tried at once after the first one that is accepted then.
        """
        less = in_flight < self.good
        good = max(in_flight - 2**self.cuts + 1, in_flight // 2) if less else self.good
        closed = ending == 0
        pause = PAUSES[min(self.pauses, len(PAUSES) - 1)]
        return replace(
            self,
            good=good,
            trying=closed,
            since=0,
            wait=max(PATIENCE, 2 * good) if self.wait else max(1, good),
            cuts=self.cuts + less,
            pauses=self.pauses + closed,
            closed_until=now + pause if closed else self.closed_until,
        )


def slot_limit(provider: Provider, given: int | None, told: int | None) -> SlotLimit:
    """The limit to begin with: the user's number, else what the account's quota tells, else the declared one."""
    slots = provider.slots
    known = given or told or slots.limit
    if known is not None:
        return SlotLimit(known, known, trying=False)
    return SlotLimit(START, START, trying=False) if slots.over == "queues" else SlotLimit()


def lane_of(provider: Provider, kind: str, fields: Mapping[str, object]) -> str:
    """Which jobs of an account share its slots: all of them, "", or those of one model."""
    return str(fields.get("model") or kind) if provider.slots.by == "model" else ""
