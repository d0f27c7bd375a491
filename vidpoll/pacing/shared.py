"""Shares the rate of one account among several owners, each in its own process, perhaps on another host.

Each owner asks for a *block*: a number of requests for the next second, which it spreads over that second. The current
blocks together never exceed the rate, so the rate holds for all owners. If they want more than the rate, each gets the
same share, and the others use what one leaves. Each call also carries news of the account: a 429 of one owner slows all
of them.

Pure: it turns a state into a new state, which is JSON. A store keeps the state and gives the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

LONGEST = 60.0
"""Seconds: a hold that another owner reports lasts at most this long from when it is received."""

REMEMBERED = 1.0
"""Seconds after the end of a block for which its owner still counts as one that wants requests."""


class Slowed(NamedTuple):
    """What responses have said about an account, in seconds from now.

    `held` and `submits_held`: for how long no request, or no submit, may be sent. `refusals` counts the 429 that taught
    a rate. `learnt` is the rate, in requests per second, of the process that got the latest 429, `ago` seconds ago.
    """

    held: float = 0.0
    submits_held: float = 0.0
    refusals: int = 0
    learnt: float = 0.0
    ago: float = 0.0


NOTHING = Slowed()


class Block(NamedTuple):
    """`number` requests may go within the next `seconds`; if `number` is 0, ask again after them.

    `most`: how many this owner could have got. `slowed`: the news of all owners.
    """

    number: int
    seconds: float
    most: int
    slowed: Slowed = NOTHING


def spent(
    state: Mapping[str, Any], owner: str, wanted: int, rate: float | None, *, told: Slowed, now: float
) -> tuple[dict[str, Any], Block]:
    """A block for an owner, and the new state to store. `rate`: requests per second of all owners; None for no limit.

    `told` is the owner's news since its last call; its `refusals` are only the new ones. `now` is in Unix seconds.

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
    last = max(ends, now + LONGEST)  # a later end was stored before the clock went back
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
    """How many of the `whole` an owner gets that wants `wanted`, given what the others want; at least one.

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
    """The rate as (requests, seconds), with about one second; longer if the rate is below one request per second."""
    number = max(1, math.floor(rate))
    return number, number / rate


def _told(state: Mapping[str, Any], told: Slowed, now: float) -> dict[str, Any]:
    """The known facts about an account plus the news of one owner; times are in Unix seconds."""
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
