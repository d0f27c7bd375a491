"""How many jobs an account may have at once: a known limit, or one learnt from its refusals. Pure.

A `SlotLimit` is a frozen value: `room` says whether one more job may be sent; `accepted` and `refused` return the next
value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..provider import Provider

START = 3
"""Jobs at once to begin with, if the limit is unknown."""

MOST = 64
"""Most jobs at once if the limit is learnt."""

PATIENCE = 30
"""Jobs that must be accepted (and at least twice the limit) before one more than the limit is tried again."""

PAUSES = (8.0, 16.0, 32.0, 60.0)
"""Seconds between two tries if a job is refused although no running job of ours will make room."""


@dataclass(frozen=True, slots=True)
class SlotLimit:
    """The jobs that may be in flight at once: `good` is known to be accepted, `most` is never exceeded.

    `trying`: one more than `good` may be tried when no other submit is under way. `since` counts the jobs accepted
    since the last refusal; `wait` is the count at which one more is tried again.
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
        """Most jobs in flight, the one being tried included."""
        return min(self.good + self.trying, self.most)

    def room(self, now: float, in_flight: int, under_way: int) -> bool:
        """Whether a submit may be sent while `in_flight` jobs hold slots and `under_way` submits have no response."""
        if now < self.closed_until:
            return False
        if self.cuts and under_way:  # the limit has shrunk: one at a time until it is found
            return False
        if in_flight + under_way < min(self.good, self.most):
            return True
        return under_way == 0 and in_flight < self.limit

    def accepted(self, in_flight: int) -> SlotLimit:
        """A job was accepted; `in_flight` jobs hold slots, this one included."""
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
        """A job was refused while `in_flight` jobs held slots; `ending` of them will free their slots by themselves.

        If the limit has shrunk, ever larger steps down find the new one. The steps may go too far, so one more job is
        tried as soon as the next one is accepted.
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
    """The limit to begin with: the user's number, else that of the account's quota, else the declared one."""
    slots = provider.slots
    known = given or told or slots.limit
    if known is not None:
        return SlotLimit(known, known, trying=False)
    return SlotLimit(START, START, trying=False) if slots.over == "queues" else SlotLimit()


def lane_of(provider: Provider, kind: str, fields: Mapping[str, object]) -> str:
    """The group of jobs that share slots: "" for all jobs of the account, or the model."""
    return str(fields.get("model") or kind) if provider.slots.by == "model" else ""
