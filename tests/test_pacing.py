"""When to ask again: arithmetic on what was seen."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll import Fixed, State, UsageError
from vidpoll.machine import Moment

few = settings(max_examples=20, deadline=None)  # enough to find what is wrong, few enough to run always

HISTORIES = st.lists(
    st.builds(Moment, st.floats(0, 2e9), st.sampled_from(State), st.none() | st.text(), st.none() | st.floats(0, 100))
)


def test_five_seconds_unless_said_otherwise() -> None:
    """The default gap is 5 s."""
    assert Fixed().next_gap((), 0.0, Random(1)) == 5.0


@few
@given(seconds=st.floats(1e-3, 86400), history=HISTORIES, now=st.floats(0, 2e9), seed=st.integers())
def test_fixed_is_the_same_whatever_was_seen(seconds: float, history: list[Moment], now: float, seed: int) -> None:
    """A schedule is a pure function: no history, time or random number moves a fixed gap."""
    assert Fixed(seconds).next_gap(history, now, Random(seed)) == seconds


@pytest.mark.parametrize("seconds", [0, 0.0, -1, 86401, math.nan, math.inf, -math.inf, True, "5", None, 10**400])
def test_a_gap_that_makes_no_sense_is_refused_when_it_is_made(seconds: object) -> None:
    """A bad gap is an error of the call, not a loop that spins or never asks again."""
    with pytest.raises(UsageError, match="seconds between two questions"):
        Fixed(seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0.001, 1, 86400])
def test_from_a_moment_to_a_day(seconds: float) -> None:
    """The ends of the range belong to it."""
    assert Fixed(seconds).seconds == seconds
