"""Slots that are learnt, beside slots that are known: a simulation of jobs, over seeds. Nothing waits."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from vidpoll.batch.slots import SlotLimit

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
