"""Slots that are learnt, beside slots that are known: a simulation of jobs, over seeds. Nothing waits."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from acme_provider import ACME

import vidpoll
from vidpoll.batch.slots import PAUSES, SlotLimit, lane_of, slot_limit

SEEDS = range(8)


@dataclass
class Night:
    """What came of so many jobs: the seconds that they took, and the submits that were refused."""

    seconds: float
    refused: int


def night(slots: SlotLimit, limit_at: Callable[[int], int], jobs: int, seed: int) -> Night:
    """Jobs of about a minute at an account that takes `limit_at(done)` at once; a submit takes a second."""
    random, now, done, refused = Random(seed), 0.0, 0, 0
    ends: list[float] = []
    while done < jobs:
        while done + len(ends) < jobs and slots.room(now, len(ends), 0):
            now += 1.0
            if len(ends) < limit_at(done):
                heapq.heappush(ends, now + random.uniform(40.0, 80.0))
                slots = slots.accepted(len(ends))
            else:
                refused += 1
                slots = slots.refused(now, len(ends), len(ends))
            while ends and ends[0] <= now:
                heapq.heappop(ends)
                done += 1
        now = max(now, heapq.heappop(ends)) if ends else slots.closed_until
        done += 1
    return Night(now, refused)


def known(limit_at: Callable[[int], int], jobs: int, seed: int) -> float:
    """The seconds of one who always knows the limit."""

    random, now, done = Random(seed), 0.0, 0
    ends: list[float] = []
    while done < jobs:
        while done + len(ends) < jobs and len(ends) < limit_at(done):
            now += 1.0
            heapq.heappush(ends, now + random.uniform(40.0, 80.0))
            while ends and ends[0] <= now:
                heapq.heappop(ends)
                done += 1
        now = max(now, heapq.heappop(ends))
        done += 1
    return now


def fixed(limit: int) -> Callable[[int], int]:
    return lambda done: limit


def cut_at(turn: int, before: int, after: int) -> Callable[[int], int]:
    return lambda done: before if done < turn else after


@pytest.mark.parametrize(
    ("limit_at", "jobs"),
    [
        pytest.param(fixed(3), 200, id="3"),
        pytest.param(fixed(20), 200, id="20"),
        pytest.param(fixed(1), 200, id="1"),
        pytest.param(cut_at(300, 20, 3), 600, id="20 to 3"),
        pytest.param(cut_at(600, 3, 20), 1200, id="3 to 20"),
    ],
)
def test_learnt_slots_are_as_good_as_known_ones(limit_at: Callable[[int], int], jobs: int) -> None:
    """At least 90 % of the throughput of knowing the limit, and at most 1 submit of 20 in vain."""
    for seed in SEEDS:
        learnt = night(SlotLimit(), limit_at, jobs, seed)
        assert known(limit_at, jobs, seed) / learnt.seconds >= 0.9
        assert learnt.refused / (jobs + learnt.refused) <= 1 / 20


def test_what_is_told_of_an_account_is_where_it_begins() -> None:
    """The user's number before what the quota tells, that before what is declared; else it is learnt from 3 on."""
    declared, queues = replace(ACME, slots=vidpoll.Slots(limit=5)), replace(ACME, slots=vidpoll.Slots("queues"))
    told = [slot_limit(declared, 2, 4), slot_limit(declared, None, 4), slot_limit(declared, None, None)]
    assert [(each.limit, each.trying) for each in told] == [(2, False), (4, False), (5, False)]
    assert [slot_limit(each, None, None).limit for each in (ACME, queues)] == [4, 3]
    assert not slot_limit(queues, None, None).trying
    by_model = replace(ACME, slots=vidpoll.Slots(by="model"))
    assert [lane_of(each, "t2v", {"model": "a"}) for each in (ACME, by_model)] == ["", "a"]
    assert lane_of(by_model, "t2v", {}) == "t2v"


def test_a_told_limit_is_not_exceeded() -> None:
    slots = slot_limit(replace(ACME, slots=vidpoll.Slots(limit=2)), None, None)
    for _ in range(100):
        slots = slots.accepted(2)
    assert (slots.limit, slots.room(0.0, 2, 0), slots.room(0.0, 1, 0), slots.room(0.0, 1, 1)) == (2, False, True, False)


def test_one_beyond_what_is_known_is_tried_alone() -> None:
    """Where three are known to be taken, the fourth is sent once nothing else is under way."""
    slots = SlotLimit()
    assert [slots.room(0.0, 3, under_way) for under_way in (0, 1)] == [True, False]
    assert [slots.room(0.0, 0, under_way) for under_way in (2, 3)] == [True, False]


def test_refused_although_nothing_of_ours_runs() -> None:
    """Others use the key: it is tried at 8, 16, 32, 60, 60 s, until one is taken."""
    slots, now = SlotLimit(), 0.0
    for pause in (*PAUSES, PAUSES[-1]):
        slots = slots.refused(now, 0, 0)
        assert [slots.room(now + pause - 1.0, 0, 0), slots.room(now + pause, 0, 0)] == [False, True]
        now += pause
    slots = slots.accepted(1).refused(now, 0, 0)
    assert slots.closed_until == now + PAUSES[0]


def test_a_limit_that_became_smaller_is_looked_for_one_by_one() -> None:
    """Submits under way beside one that was refused below what was known say nothing new: no other joins them."""
    slots = SlotLimit(20, trying=False).refused(0.0, 15, 15)
    assert [slots.room(0.0, 10, under_way) for under_way in (0, 1)] == [True, False]
    slots = slots.accepted(11)
    assert [slots.room(0.0, 10, under_way) for under_way in (0, 1)] == [True, True]


def test_a_larger_limit_is_tried_at_once_only_where_the_search_may_have_gone_too_far() -> None:
    """The first refusal below what was known says how many there are; a second one steps below what it says."""
    once = SlotLimit(20, trying=False, wait=40).refused(0.0, 15, 15)
    twice = once.refused(0.0, 12, 12)
    assert [(each.good, each.accepted(each.good).trying) for each in (once, twice)] == [(15, False), (11, True)]


@pytest.mark.parametrize("limit", [0, True, "2", 1.0])
def test_a_declared_limit_is_a_whole_number(limit: Any) -> None:
    """A boolean is an int of Python's, and no number of jobs."""
    with pytest.raises(vidpoll.PluginError, match=f"Slots limit {limit!r}: must be a whole number of jobs, 1 or more"):
        vidpoll.Slots(limit=limit)
