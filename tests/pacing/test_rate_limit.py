"""How many requests an account may send: declared, told by headers, learnt from 429."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from acme_provider import DONE, DRAWING, talk, with_pacing
from hypothesis import given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll.pacing.limiter import AccountLimiter
from vidpoll.pacing.rate_limit import FORGOTTEN, LEAST, LONGEST, RateLimit

few = settings(max_examples=30, deadline=None)


def sent(rate: RateLimit, seconds: float, step: float = 0.05) -> list[float]:
    """When an account goes that asks whenever it may."""
    found, now = [], 1000.0
    while now < 1000.0 + seconds:
        if rate.turn(now) <= now:
            rate.spend(now)
            found.append(now)
        else:
            now = max(rate.turn(now), now + 1e-6)
            continue
        now += step
    return found


def busiest(times: list[float], seconds: float) -> int:
    return max(bisect_right(times, at + seconds - 1e-9) - index for index, at in enumerate(times))


@few
@given(requests=st.integers(1, 200), seconds=st.sampled_from([1.0, 10.0, 60.0]))
def test_no_stretch_of_time_has_more_than_is_declared(requests: int, seconds: float) -> None:
    """Not at the start, not after a rest, not across the border of a window; and what is allowed is nearly used."""
    times = sent(RateLimit((requests, seconds)), 5 * seconds, step=0.0)
    assert busiest(times, seconds) <= requests
    assert len(times) >= 5 * requests * 0.45


def test_nothing_declared_nothing_told_is_no_limit() -> None:
    """An account of which nothing is known is asked when its jobs are due."""
    rate = RateLimit(None)
    assert rate.per_second(5.0) is None
    assert rate.turn(5.0) == 5.0
    rate.jobs = 10_000
    assert rate.stretched(5.0, 5.0) == 5.0


def test_headers_say_what_is_left() -> None:
    """A hundred requests for fifty seconds: some less than two a second, until they are over."""
    rate = RateLimit(None)
    rate.told(100, 50, now=1000.0)
    assert rate.per_second(1001.0) == pytest.approx(1.8)
    assert rate.per_second(1051.0) is None


def test_a_rate_that_was_told_holds_only_until_another_is() -> None:
    """The last of an hour's hundred was spent, and then the window is a new one: nobody waits for an hour."""
    rate = RateLimit(None)
    for left, seconds, now in ((1, 3600.0, 1000.0), (100, 50.0, 1010.0)):
        rate.told(left, seconds, now)
        rate.spend(now)
    assert rate.turn(1010.0) - 1010.0 < 2.0
    assert rate.turn(1010.0, submit=True) - 1010.0 < 2.0


def test_one_that_is_left_for_an_hour_is_no_hour_of_silence() -> None:
    """Where none is left, the next question goes after a minute: no longer where one is."""
    rate = RateLimit(None)
    rate.told(1, 3600.0, now=1000.0)
    rate.spend(1000.0)
    assert rate.turn(1000.0) == 1000.0 + LONGEST


def test_a_429_teaches_once_until_a_good_answer() -> None:
    """Ten refusals of one burst are one lesson."""
    rate = RateLimit(None)
    rate.good()
    for second in range(1000, 1030):
        for _ in range(10):
            rate.spend(float(second))
    for _ in range(10):
        rate.refused(1029.0, 1030.0)
    assert rate.per_second(1030.0) == pytest.approx(7.0, rel=0.15)
    learnt = rate.per_second(1030.0) or 0.0
    rate.good()
    rate.refused(1029.5, 1030.5)
    assert rate.per_second(1030.0) == learnt
    rate.refused(1030.2, 1030.5)
    assert rate.per_second(1030.5) < learnt  # type: ignore[operator]


def cut(sent: int, *, jobs: int = 3) -> RateLimit:
    """The rate of an account that got a 429 in the second 1,000, right after so many requests in a second."""
    rate = RateLimit(None)
    rate.jobs = jobs
    rate.good()
    for _ in range(sent):
        rate.spend(999.5)
    rate.refused(999.5, 1000.0)
    return rate


@few
@given(sent=st.integers(1, 500), first=st.integers(3, 5000), then=st.integers(0, 5000), after=st.floats(0.0, 5.0))
def test_no_learnt_rate_starves_the_jobs_of_now(sent: int, first: int, then: int, after: float) -> None:
    """However little was sent when the 429 came, and however many jobs have come since: a question a minute each."""
    rate = cut(sent, jobs=first)
    rate.jobs = then
    learnt = rate.per_second(1000.0 + after)
    assert learnt is not None
    assert learnt >= max(LEAST, then / LONGEST)


@few
@given(sent=st.integers(1, 500), held=st.floats(0.0, 60.0))
def test_a_learnt_rate_is_back_within_seconds(sent: int, held: float) -> None:
    """From the hold's end: 0.7 of the old rate, all of it after (0.75 rate)^(1/3) s, ten times as much within 30 s."""
    rate = cut(sent)
    rate.held(1000.0 + held, 1000.0)
    back = 1000.0 + held + (0.75 * sent) ** (1 / 3)
    assert rate.per_second(1000.0 + held) == pytest.approx(max(0.7 * sent, LEAST))
    assert rate.per_second(back) == pytest.approx(sent)
    assert back - 1000.0 - held < 8.0
    assert rate.per_second(1030.0 + held) >= 10 * sent  # type: ignore[operator]


@few
@given(sent=st.integers(1, 500), later=st.lists(st.floats(0.0, FORGOTTEN - 1), max_size=3))
def test_a_learnt_rate_is_forgotten_two_minutes_after_the_last_429(sent: int, later: list[float]) -> None:
    """Then nothing limits the account, as at the beginning."""
    rate, now = cut(sent), 1000.0
    for gap in later:
        now += gap
        rate.good()
        rate.refused(now, now)
        assert rate.per_second(now) is not None
    assert rate.per_second(now + FORGOTTEN + 0.1) is None
    assert rate.turn(now + FORGOTTEN + 0.1) == now + FORGOTTEN + 0.1


@few
@given(sent=st.integers(1, 500), submits=st.integers(1, 50))
def test_submits_are_counted_apart_from_what_429s_have_taught(sent: int, submits: int) -> None:
    """They wait for no learnt rate, and delay no question by it."""
    rate = cut(sent)
    rate.spend(1000.0)
    due = rate.turn(1000.0)
    assert due > 1000.0
    for _ in range(submits):
        assert rate.turn(1000.0, submit=True) == 1000.0
        rate.spend(1000.0, submit=True)
    assert rate.turn(1000.0) == due


@pytest.mark.parametrize("singles", [1, 5])
@pytest.mark.parametrize("polls_first", [True, False])
@pytest.mark.parametrize("submit", [True, False])
def test_requests_that_queue_and_single_ones_take_turns(*, singles: int, polls_first: bool, submit: bool) -> None:
    """Whoever looks first at each moment: with a declared rate each side gets half of it."""
    limiter = AccountLimiter(5.0, (60, 60.0))
    sent: list[str] = []

    def poll(now: float) -> None:
        limiter.queue("poll")
        if limiter.admit("poll", now, 256):
            limiter.leave("poll")
            limiter.queue("poll")
            sent.append("poll")

    def single(now: float) -> None:
        sent.extend("single" for number in range(singles) if limiter.admit_single(number, now, submit=submit) <= now)

    for tick in range(600):
        for side in (poll, single) if polls_first else (single, poll):
            side(1000.0 + tick / 10)
    assert 40 <= len(sent) <= 60
    assert abs(sent.count("poll") - sent.count("single")) <= 7  # one burst


def test_gaps_are_stretched_by_one_factor() -> None:
    """Sixty jobs that want a question each 5 s, at an account that takes four a second: three times as long."""
    rate = RateLimit((44, 10.0))
    rate.jobs = 60
    for _ in range(100):
        gap = rate.stretched(5.0, 1000.0)
    assert gap == pytest.approx(15.0)
    assert rate.stretched(2.5, 1000.0) == pytest.approx(7.5, rel=0.05)
    assert rate.stretched(300.0, 1000.0) == 300.0
    rate.jobs = 60_000
    assert rate.stretched(5.0, 1000.0) == LONGEST


@pytest.mark.parametrize("rate", [(0, 10), (5, 0), (5,), 5, "55", (True, 10), (5, float("nan"))])
def test_a_rate_that_makes_no_sense_is_refused(rate: object) -> None:
    """A plugin's mistake is named when the value is built."""
    with pytest.raises(vidpoll.PluginError, match="Pacing rate"):
        vidpoll.Pacing(rate=rate)  # type: ignore[arg-type]


# -- in a wait --------------------------------------------------------------------------------------------------------


def test_an_account_keeps_to_its_declared_rate() -> None:
    """Thirty jobs and ten requests in ten seconds: each gets its verdict, and no ten seconds have more."""
    jobs = [f"acme:j{number}" for number in range(30)]
    t = talk([DRAWING] * 60 + [DONE], provider=with_pacing(rate=(10, 10.0)))
    times: list[float] = []
    send = t.wire.send

    def noted(wire: object, ticket: object) -> object:
        times.append(t.clock.now)
        return send(wire, ticket)  # type: ignore[arg-type]

    t.client._loop.transport.send = noted  # type: ignore[assignment]
    ended = t.client.wait_all(jobs)
    assert all(job.ok for job in ended)
    assert busiest(times, 10.0) <= 10


def test_single_calls_count_as_well() -> None:
    """A poll of its own waits for its turn, too."""
    t = talk([DRAWING], provider=with_pacing(rate=(2, 10.0)))
    for number in range(4):
        t.client.poll(f"acme:j{number}")
    assert sum(t.clock.waits) >= 15.0


def test_what_headers_leave_is_shared_by_all_jobs() -> None:
    """Five requests left for a minute: six jobs are not asked thirty times."""
    left = (200, {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "60"}, b'{"status": "drawing"}')
    t = talk([left])
    t.client.wait_all([f"acme:j{number}" for number in range(6)], timeout=60)
    assert len(t.wire.sent) <= 6 + 6 + 6  # at once, in a minute, on the deadline
