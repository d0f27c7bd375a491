"""The rate of one account among several owners, each in a process of its own, maybe on another host.

Each asks for a *block*: so many requests within the next second, which it spreads over it. What blocks that last have
is never more than the rate, so the rate holds over all owners; where they want more than there is, each one gets as
much as the others, and what one leaves is the others'. What is told along is what answers have said of the account: a
429 that one owner gets slows all of them.

Pure: a state to a new state. A store keeps it, and has the time; it may be anything that JSON can say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

LONGEST = 60.0
"""Seconds: what others have told holds an account no longer than that from when it is heard."""

REMEMBERED = 1.0
"""Seconds beyond the end of a block for which it counts that its owner wanted one."""


class Slowed(NamedTuple):
    """What answers have said of an account, in seconds from now.

    `held` and `submits_held`: for how long nothing, or no submit, is to be sent. `refusals` counts the 429 that have
    taught a rate: `learnt` requests a second is what the process sent that had the latest of them, `ago` seconds ago.
    """

    held: float = 0.0
    submits_held: float = 0.0
    refusals: int = 0
    learnt: float = 0.0
    ago: float = 0.0


NOTHING = Slowed()


class Block(NamedTuple):
    """`number` requests may go within `seconds` from the call on; with 0, ask again after them.

    `most`: how many there would have been, had we wanted as many as we could get. `slowed`: what all have told.
    """

    number: int
    seconds: float
    most: int
    slowed: Slowed = NOTHING


def spent(
    state: Mapping[str, Any], owner: str, wanted: int, rate: float | None, *, told: Slowed, now: float
) -> tuple[dict[str, Any], Block]:
    """A block for an owner, and the state that is to be kept. `rate`: requests a second of all; None for no limit.

    `told` is what the owner has heard since it told last, its `refusals` those that are new. `now` is in Unix seconds.

    >>> state, block = spent({}, "us", 100, 10.0, told=NOTHING, now=0.0)
    >>> block.number, block.seconds
    (10, 1.0)
    >>> spent(state, "they", 100, 10.0, told=NOTHING, now=0.5)[1].number
    0
    """
    slow = _told(state, told, now)
    if rate is None:
        return {**state, **slow}, Block(wanted, 1.0, wanted, _heard(slow, now))
    whole, seconds = _whole(rate)
    ends = now + seconds + REMEMBERED
    last = max(ends, now + LONGEST)  # what ends later was kept before the clock went back
    blocks = [(n, until) for n, until in _pairs(state.get("blocks")) if now < until <= last]
    wants = {who: (n, until) for who, n, until in _wants(state) if who != owner and now < until <= last}
    left = whole - sum(n for n, _ in blocks)
    others = [n for n, _ in wants.values()]
    most = min(fair(whole, whole, others), max(left, 0))
    number = min(fair(whole, wanted, others), max(left, 0))
    if number:
        blocks.append((number, now + seconds))
    if wanted:
        wants[owner] = (wanted, ends)
    if wanted and not number:
        seconds = min((until - now for _, until in blocks), default=seconds)
    return {"blocks": blocks, "wants": wants, **slow}, Block(number, seconds, most, _heard(slow, now))


def fair(whole: int, wanted: int, others: Iterable[int]) -> int:
    """How many of the `whole` one gets who wants so many, beside others; at least one.

    >>> fair(45, 100, [100, 100]), fair(45, 100, [5, 100]), fair(45, 3, [100]), fair(1, 5, [9, 9])
    (15, 20, 3, 1)
    """
    left, many = float(whole), 1 + len(others := sorted(others))
    for each in others:
        if each > left / many:
            break
        left, many = left - each, many - 1
    return min(wanted, max(1, int(left / many)))


def _whole(rate: float) -> tuple[int, float]:
    """The rate as so many requests in so many seconds, about one; longer where that is less than a request."""
    number = max(1, math.floor(rate))
    return number, number / rate


def _told(state: Mapping[str, Any], told: Slowed, now: float) -> dict[str, Any]:
    """What is known of an account, with what one owner tells; moments in Unix seconds."""
    known = {name: _number(state.get(name)) for name in ("held", "submits_held", "refusals", "learnt", "at")}
    for name, seconds in (("held", told.held), ("submits_held", told.submits_held)):
        if seconds > 0.0:
            known[name] = max(known[name], now + seconds)
    if told.refusals:
        known |= {"refusals": known["refusals"] + told.refusals, "learnt": told.learnt, "at": now - told.ago}
    return known


def _heard(known: Mapping[str, float], now: float) -> Slowed:
    held, submits_held = (min(max(known[name] - now, 0.0), LONGEST) for name in ("held", "submits_held"))
    return Slowed(held, submits_held, int(known["refusals"]), known["learnt"], max(0.0, now - known["at"]))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _pairs(rows: Any) -> Iterable[tuple[int, float]]:
    return [(int(number), float(until)) for number, until in rows or ()]


def _wants(state: Mapping[str, Any]) -> Iterable[tuple[str, int, float]]:
    return [(who, int(number), float(until)) for who, (number, until) in (state.get("wants") or {}).items()]
