"""How long a job will take: the law, what progress adds to it, and the range that is told."""

from __future__ import annotations

import math
import statistics
from random import Random
from statistics import NormalDist

import pytest
from acme_provider import ACME, talk, with_pacing
from hypothesis import given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll import Law, State, UsageError
from vidpoll.events import Polled
from vidpoll.job_state import Moment
from vidpoll.net.accounts import Account, OpenAccount
from vidpoll.pacing.forecast import Forecast, forecast
from vidpoll.polling.account_state import AccountState

few = settings(max_examples=40, deadline=None)
LAWS = st.builds(Law, st.floats(1e-3, 1e6), st.floats(0.01, 10))


def seen(*progress: tuple[float, float | None]) -> list[Moment]:
    """A history that begins at 0, with the progress at each second."""
    return [Moment(0.0, None, None, None), *(Moment(at, State.RUNNING, "drawing", shown) for at, shown in progress)]


def test_a_declared_range_is_from_the_5_to_the_95_percent() -> None:
    """`typical=(60, 180)`: one job in twenty is done before 60 s, one in twenty after 180 s."""
    law = Law.of((60, 180))
    logs = NormalDist(math.log(law.median), law.sigma)
    assert logs.inv_cdf(0.05) == pytest.approx(math.log(60))
    assert logs.inv_cdf(0.95) == pytest.approx(math.log(180))


def test_nothing_declared_is_a_median_of_90_s_and_a_wide_spread() -> None:
    """What is assumed where nobody says anything."""
    assert Law.of(None) == Law() == Law(90.0, 0.8)


def test_a_law_is_learnt_from_what_jobs_took() -> None:
    """Ten jobs outweigh the declared law; a hundred leave nothing of it."""
    random = Random(4)
    took = [random.lognormvariate(math.log(300), 0.3) for _ in range(100)]
    ten, hundred = Law().learnt(took[:10]), Law().learnt(took)
    assert 200 < ten.median < 350
    assert ten.sigma < 0.8
    assert hundred.median == pytest.approx(math.exp(statistics.fmean(map(math.log, took))), rel=0.05)
    assert hundred.sigma == pytest.approx(0.3, abs=0.08)


def test_equal_durations_still_leave_a_spread() -> None:
    """A law of no spread at all would divide by nothing; and durations that cannot be are no durations."""
    assert Law().learnt([50.0] * 64).sigma >= 0.01
    assert Law().learnt([0.0, -1.0]) == Law()


@pytest.mark.parametrize("median", [0, -1, math.inf, math.nan, True, "90", None])
def test_a_median_that_makes_no_sense_is_refused(median: object) -> None:
    """Checked when it is built, with a word on what is due."""
    with pytest.raises(UsageError, match="seconds, above 0"):
        Law(median)  # type: ignore[arg-type]


@pytest.mark.parametrize("sigma", [0, -1, 11, math.nan, True, "1", None])
def test_a_spread_that_makes_no_sense_is_refused(sigma: object) -> None:
    """Checked when it is built, with a word on what is due."""
    with pytest.raises(UsageError, match="sigma"):
        Law(90, sigma)  # type: ignore[arg-type]


@few
@given(law=LAWS, elapsed=st.floats(0, 1e9), share=st.floats(0.01, 0.99))
def test_within_is_the_quantile_of_what_is_left(law: Law, elapsed: float, share: float) -> None:
    """Checked against the standard library's normal law wherever that can still tell the tail from nothing."""
    ahead = Forecast(elapsed, law).within(share)
    assert ahead > 0
    z = (math.log(max(elapsed, 1e-3)) - math.log(law.median)) / law.sigma
    if z < 5 and math.log1p(ahead / max(elapsed, 1e-3)) < 29.9:  # beyond, it is the largest range that is told
        further = (math.log(max(elapsed, 1e-3) + ahead) - math.log(law.median)) / law.sigma
        assert NormalDist().cdf(-further) == pytest.approx((1 - share) * NormalDist().cdf(-z), rel=0.02)


def test_far_beyond_the_law_nothing_breaks() -> None:
    """A job a thousand times as old as any other: the range is still a range, the gap still a gap."""
    for elapsed in (1e3, 1e5, 1e9, 1e15):
        low, high = Forecast(elapsed, Law(10, 0.05)).eta or (0.0, 0.0)
        assert 0 < low < high < math.inf
        assert 0 < vidpoll.Adaptive(60.0, Law(10, 0.05)).next_gap(seen((1.0, None)), elapsed, Random(1)) <= 60.0


def test_progress_like_time_foretells_the_end() -> None:
    """At 60 % after 60 s a job of a law of 400 s is expected to end in about 40 s."""
    history = seen((10.0, 10.0), (30.0, 30.0), (60.0, 60.0))
    low, high = forecast(Law(400, 0.5), history, 60.0).eta or (0.0, 0.0)
    assert 25 < low < 40 < high < 70


def test_progress_that_stands_still_moves_the_end_away() -> None:
    """It counts how long ago the progress rose."""
    history = seen((10.0, 10.0), (30.0, 30.0))
    ends = [now + forecast(Law(), history, now).within(0.5) for now in (30.0, 60.0, 120.0)]
    assert ends == sorted(ends)
    assert ends[-1] > ends[0] * 1.5


def test_progress_that_fell_counts_anew() -> None:
    """A job that was queued again is forecast by its new run alone."""
    again = seen((10.0, 50.0), (20.0, 90.0), (30.0, 0.0), (60.0, 30.0))
    assert 60 + forecast(Law(120, 0.5), again, 60.0).within(0.5) > 100


def test_a_first_progress_says_nothing() -> None:
    """It takes two to tell how fast it goes."""
    assert forecast(Law(), seen((10.0, 95.0)), 10.0).law == Law()


MONTHS = 90 * 86400.0


def made(at: float, *progress: tuple[float, float | None]) -> list[Moment]:
    """A job that its provider says to be made at `at`, and what was seen of it."""
    return [Moment(at, None, None, None), *(Moment(when, State.RUNNING, "x", shown) for when, shown in progress)]


@pytest.mark.parametrize("at", [-MONTHS, -8 * 3600.0, 8 * 3600.0])
def test_a_creation_time_that_the_progress_contradicts_is_dropped(at: float) -> None:
    """Another zone, or a record that is used again: the job is as old as it was seen to be."""
    progress = [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]
    law = Law(90.0, 0.8)
    assert forecast(law, made(at, *progress), 20.0) == forecast(law, made(0.0, *progress), 20.0)
    assert vidpoll.Adaptive().gap(forecast(law, made(at, *progress, (86.0, 96.0)), 86.0)) < 5.0


def test_a_creation_time_that_the_progress_bears_out_counts() -> None:
    """A wait that is resumed at 50 % knows that the job is half a minute old, queue and all."""
    progress = [(0.0, 50.0), (6.0, 60.0)]
    assert forecast(None, made(-30.0, *progress), 6.0).elapsed == 36.0
    assert forecast(None, made(-100.0, *progress), 6.0).elapsed == 106.0
    assert forecast(None, made(-300.0, *progress), 6.0).elapsed == 6.0


def test_no_job_was_made_after_it_was_seen() -> None:
    """Nor is one in the future; without progress an old one may be old."""
    assert forecast(None, made(3600.0, (0.0, None), (50.0, None)), 60.0).elapsed == 60.0
    assert forecast(None, made(-MONTHS, (0.0, None), (50.0, 10.0)), 60.0).elapsed == MONTHS + 60.0


def test_an_end_that_moved_is_told_with_a_wider_range() -> None:
    """Progress that is quick at first and then slow: the range says what the progress does not."""
    steady = forecast(Law(), seen((0.0, 0.0), (20.0, 20.0), (40.0, 40.0)), 40.0)
    slowing = forecast(Law(), seen((0.0, 0.0), (20.0, 35.0), (40.0, 40.0)), 40.0)
    assert slowing.doubt > steady.doubt
    (low, high), (at, to) = slowing.eta or (0.0, 0.0), steady.eta or (0.0, 0.0)
    assert high / low > 2 * to / at


@few
@given(
    law=st.none() | LAWS,
    moments=st.lists(st.tuples(st.floats(0, 1e6), st.none() | st.floats(0, 100)), max_size=20),
    now=st.floats(-1e6, 1e7),
)
def test_whatever_was_seen_a_forecast_is_finite(
    law: Law | None, moments: list[tuple[float, float]], now: float
) -> None:
    """Clocks that disagree, progress that jumps: numbers come out, and the gap is within its bounds."""
    expected = forecast(law, seen(*moments), now)
    low, high = expected.within(0.1), expected.within(0.9)
    assert 0 <= low <= high < math.inf
    assert 0 < vidpoll.Adaptive().gap(expected) <= 5.0


@pytest.mark.parametrize(("median", "sigma"), [(30, 0.2), (200, 0.6)])
def test_eight_of_ten_jobs_end_in_the_range(median: float, sigma: float) -> None:
    """The range is honest where the law is right: checked on jobs drawn from it, at a random age."""
    random, hits = Random(9), 0
    for _ in range(1000):
        took = random.lognormvariate(math.log(median), sigma)
        age = took * random.random()
        low, high = Forecast(age, Law(median, sigma)).eta or (0.0, 0.0)
        hits += low <= took - age <= high
    assert 700 < hits < 900


# -- in a wait --------------------------------------------------------------------------------------------------------


def polled(t: object) -> list[Polled]:
    return [event for _, _, event in t.ears.heard if isinstance(event, Polled)]  # type: ignore[attr-defined]


def test_a_wait_tells_when_the_end_is_expected() -> None:
    """From the range that the plugin declares; nothing after the verdict."""
    t = talk([{"status": "drawing"}] * 3 + [{"status": "done"}] * 4, provider=with_pacing(typical=(60, 180)))
    t.client.wait("acme:j1")
    first, *_, last = polled(t)
    assert first.eta is not None
    assert 40 < first.eta[0] < 80 < first.eta[1] < 200
    assert (last.eta, last.next_in) == (None, None)


def test_nothing_is_told_where_nothing_is_known() -> None:
    """No range declared, no job finished, no progress: to name a range would be a guess."""
    t = talk([{"status": "drawing"}] * 3 + [{"status": "done", "video": "/a.mp4"}])
    t.client.wait("acme:j1")
    assert {event.eta for event in polled(t)} == {None}
    assert not any(event.late for event in polled(t))


def test_late_is_beyond_95_percent_of_the_law() -> None:
    """A job that takes longer than usual says so, from then on."""
    t = talk(
        [{"status": "drawing"}] * 40 + [{"status": "done", "video": "/a.mp4"}], provider=with_pacing(typical=(20, 100))
    )
    t.client.wait("acme:j1")
    late = [event.at - 1_800_000_000 for event in polled(t) if event.late]
    assert late
    assert min(late) == pytest.approx(105.0)


def test_an_account_learns_from_its_jobs() -> None:
    """The second job of a client is forecast by what the first one took, from the second on at which it was made."""
    running, done = {"status": "drawing"}, {"status": "done", "video": "/a.mp4"}
    t = talk({"/jobs/a": [running] * 10 + [done], "/jobs/b": [running, done]})
    t.client.wait("acme:a")
    assert t.client._state("acme").law == Law().learnt([50.0])
    t.client.wait("acme:b")
    assert polled(t)[-2].eta is not None


def test_a_job_that_was_over_at_once_teaches_nothing() -> None:
    """Nobody knows when it began."""
    t = talk([{"status": "done", "video": "/a.mp4"}])
    t.client.wait("acme:a")
    assert t.client._state("acme").law is None


def test_a_failed_job_teaches_nothing() -> None:
    """Jobs fail in a second or after an hour; neither says how long a video takes."""
    t = talk([{"status": "drawing"}, {"status": "broken", "error": "no"}])
    t.client.wait("acme:a", check=False)
    assert t.client._state("acme").law is None


def test_times_that_make_no_sense_teach_nothing() -> None:
    """A duration that no float holds, from an answer or a store, would break each forecast of the account after it."""
    account = AccountState(OpenAccount("acme", Account("acme", key=None), ACME, {}), talk([]).wire.send)
    account.learn([math.inf, 1e300, -1.0, 0.0])
    assert account.law is None
    account.learn([60.0])
    assert account.law == Law().learnt([60.0])
