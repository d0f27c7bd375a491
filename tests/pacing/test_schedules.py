"""When to ask again: arithmetic on what was seen."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from acme_provider import ACME, parse_status, talk, with_pacing
from hypothesis import given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll import Adaptive, Exponential, Fixed, Law, State, UsageError
from vidpoll.job_state import Moment

few = settings(max_examples=20, deadline=None)  # enough to find what is wrong, few enough to run always

HISTORIES = st.lists(
    st.builds(Moment, st.floats(0, 2e9), st.sampled_from(State), st.none() | st.text(), st.none() | st.floats(0, 100))
)


def test_five_seconds_unless_said_otherwise() -> None:
    """Without a number a fixed gap is 5 s."""
    assert Fixed().next_gap((), 0.0, Random(1)) == 5.0


@few
@given(seconds=st.floats(1e-3, 86400), history=HISTORIES, now=st.floats(0, 2e9), seed=st.integers())
def test_fixed_is_the_same_whatever_was_seen(seconds: float, history: list[Moment], now: float, seed: int) -> None:
    """A schedule is a pure function: no history, time or random number moves a fixed gap."""
    assert Fixed(seconds).next_gap(history, now, Random(seed)) == seconds


@pytest.mark.parametrize("seconds", [0, 0.0, -1, 86401, math.nan, math.inf, -math.inf, True, "5", None, 10**400])
def test_a_gap_that_makes_no_sense_is_refused_when_it_is_made(seconds: object) -> None:
    """A bad gap is an error of the call, not a loop that spins or never asks again."""
    with pytest.raises(UsageError, match="seconds must be a number of seconds between two polls"):
        Fixed(seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0.001, 1, 86400])
def test_from_a_moment_to_a_day(seconds: float) -> None:
    """The ends of the range belong to it."""
    assert Fixed(seconds).seconds == seconds


# -- exponential ------------------------------------------------------------------------------------------------------


def test_exponential_gaps_grow_by_their_factor() -> None:
    """Asked by it alone, the gaps are start, start·factor, start·factor² … and then max_gap."""
    schedule, now, gaps = Exponential(2.0, 1.5, 20.0), 0.0, []
    for _ in range(8):
        gaps.append(schedule.next_gap([Moment(0.0, None, None, None)], now, Random(1)))
        now += gaps[-1]
    assert gaps == pytest.approx([2.0, 3.0, 4.5, 6.75, 10.125, 15.1875, 20.0, 20.0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": 0}, {"start": True}, {"start": math.nan}, {"factor": 0.9}, {"factor": 101}, {"factor": "2"},
        {"max_gap": 0}, {"max_gap": 86401},
    ],
    ids=str,
)  # fmt: skip
def test_an_exponential_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """Each field is checked when it is built, and named."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Exponential(**wrong)


# -- adaptive ---------------------------------------------------------------------------------------------------------

LAW = Law.of((60, 180))


def test_adaptive_waits_long_where_no_end_is_near_and_asks_often_where_it_is() -> None:
    """At first the longest gap, at the usual end a short one, long after it a longer one again."""
    gaps = [
        Adaptive(15.0, LAW).next_gap([Moment(0.0, None, None, None)], at, Random(1))
        for at in (0.0, 10.0, 110.0, 5000.0)
    ]
    assert gaps[0] == gaps[1] == 15.0
    assert gaps[2] < 6.0
    assert gaps[3] > gaps[2]


def test_adaptive_trusts_progress_that_is_like_time() -> None:
    """Half-way it waits as long as it may, at the end it looks at once."""
    history = [Moment(at, State.RUNNING, "drawing", at / 2) for at in range(0, 100, 5)]
    assert Adaptive(15.0, LAW).next_gap(history, 100.0, Random(1)) == 15.0
    history += [Moment(at, State.RUNNING, "drawing", at / 2) for at in range(100, 200, 5)]
    assert Adaptive(15.0, LAW).next_gap(history, 199.0, Random(1)) < 2.5


@few
@given(history=HISTORIES, now=st.floats(0, 2e9), max_gap=st.floats(0.1, 3600), seed=st.integers())
def test_adaptive_is_pure_and_within_its_bounds(history: list[Moment], now: float, max_gap: float, seed: int) -> None:
    """The same history gives the same gap, above 0 and at most `max_gap`, whatever was seen."""
    schedule = Adaptive(max_gap)
    gap = schedule.next_gap(history, now, Random(seed))
    assert 0 < gap <= max_gap
    assert gap == schedule.next_gap(history, now, Random(seed + 1))


@pytest.mark.parametrize(
    "wrong", [{"max_gap": 0}, {"max_gap": True}, {"max_gap": None}, {"max_gap": "fast"}, {"law": (60, 180)}], ids=str
)
def test_an_adaptive_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """Each field is checked when it is built, and named."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Adaptive(**wrong)


def test_the_default_asks_every_five_seconds_at_least() -> None:
    """Requests are cheap unless somebody says otherwise: a stage that nobody foresees is not missed."""
    assert Adaptive() == Adaptive(max_gap="auto", law=None)
    history = [Moment(0.0, None, None, None), *(Moment(at, State.RUNNING, "drawing", at) for at in (0.0, 5.0))]
    assert Adaptive(law=Law(10_000, 0.1)).next_gap(history, 5.0, Random(1)) == 5.0


def job_of(seconds: float) -> list[dict[str, object]]:
    return [{"status": "drawing"}] * int(seconds / 2) + [{"status": "done", "video": "/a.mp4"}]


def test_a_wait_asks_more_often_when_the_end_is_near() -> None:
    """The law that the plugin declares reaches the schedule: the gaps shrink towards the usual end."""
    t = talk(job_of(90), provider=with_pacing(floor=1.0, typical=(60, 80)))
    t.client.wait("acme:a")
    assert t.clock.waits[0] == 5.0
    assert min(t.clock.waits) < 3.0


def test_the_callers_law_goes_before_what_is_declared() -> None:
    """`Adaptive(law=…)`: whoever knows better says so."""
    t = talk(job_of(90), provider=with_pacing(floor=1.0, typical=(60, 80)))
    t.client.wait("acme:a", pacing=Adaptive(law=Law(100_000, 0.1)))
    assert set(t.clock.waits) == {5.0}


def test_time_counts_from_when_the_job_was_made() -> None:
    """A wait that is resumed late knows how old the job is, where the provider tells."""
    made = replace(ACME, pacing=vidpoll.Pacing(floor=1.0, typical=(60, 80)), status=replace(ACME.status, parse=old))
    t = talk(job_of(10), provider=made)
    t.client.wait("acme:a")
    assert t.clock.waits[0] < 3.0
    assert t.ears.heard[-1][1].created_at == t.clock.now - sum(t.clock.waits) - 65


def old(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    """A job that was 65 s old when the wait began."""
    return replace(parse_status(response, job_id), created_at=1_800_000_000.0 - 65)
