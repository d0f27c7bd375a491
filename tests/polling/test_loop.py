"""The loop: scripts of answers in; events, waits and requests out. Time is fake, nothing sleeps."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import count
from queue import Queue
from typing import Any

import pytest
from acme_provider import (
    ACME,
    BROKEN,
    DONE,
    DRAWING,
    FLOOR,
    HTML,
    QUEUED,
    REF,
    SAVING,
    SLOW_DOWN,
    UNAVAILABLE,
    brief,
    parse_status,
    talk,
    with_floor,
)

import vidpoll
import vidpoll.client_base
from vidpoll.faults import NoAnswer

RESET = ConnectionResetError()
TEAPOT = {"status": "steeping"}
NOT_FOUND = (404, {"error": "no such job"})
DENIED = (401, {"error": {"message": "bad key", "code": "E1"}})


# -- faults are borne -------------------------------------------------------------------------------------------------


def test_a_wait_survives_everything_at_once() -> None:
    """A 503, a reset, a body that is not JSON, a 429, an unknown word and a flickering stage: all in one wait."""
    script = [
        QUEUED,
        UNAVAILABLE,
        DRAWING,
        RESET,
        HTML,
        SLOW_DOWN,
        TEAPOT,
        SAVING,
        DRAWING,  # a lagging replica
        SAVING,
        DONE,
    ]
    t = talk(script)
    job = t.client.wait(REF)
    assert (job.ok, job.video.url) == (True, DONE["video"])
    assert t.ears.told == [
        "stage queued",
        "fault 503",
        "stage drawing",
        "progress 10",
        "fault the connection failed (ConnectionResetError)",
        "fault HTTP 200 with a body that is not JSON (JSONDecodeError): '<html>try later</html>'",
        "fault 429",
        "stage steeping",
        "stage saving",
        "progress 90",
        "completed",
    ]
    assert t.clock.waits == [5.0, 5.0, 5.0, 5.0, 5.0, 20.0, 5.0, 5.0, 5.0, 5.0]
    assert t.requests == ["GET /v1/jobs/j1"] * len(script)


@pytest.mark.parametrize(
    "fault",
    [
        *[(status, {}, b"") for status in (408, 409, 425, 429, 500, 502, 503, 504, 529, 418, 302)],
        RESET,
        NoAnswer("nothing came for 30 s"),
        RuntimeError("in a worker"),
        HTML,
        b"",
        b"null",
        b"[]",
        b"5",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"status": ' + b"9" * 5000 + b"}",
        {"status": None},
        {"status": True},
        {"status": ["done"]},
        {"status": "done", "id": "someone-elses"},
    ],
)
def test_a_blip_says_nothing_about_the_job(fault: Any) -> None:
    """Whatever comes, the wait goes on, the state stays, and poll_failed is the only hook that hears of it."""
    t = talk([DRAWING, fault, DONE])
    assert t.client.wait(REF).ok
    assert t.ears.hooks == ["polled", "stage_changed", "progress", "poll_failed", "polled", "completed"]
    assert t.clock.waits == [5.0, 5.0]


def test_an_unknown_word_is_told_once() -> None:
    """An unknown word becomes the stage, keeps the state, and is told once; each such answer counts as one."""
    t = talk([DRAWING, TEAPOT, TEAPOT, DONE])
    events: list[vidpoll.Event] = []
    assert t.client.wait(REF, on_event=events.append).history[1][1:] == ("running", "steeping", None)
    assert [brief(event) for event in events] == ["stage drawing", "progress 10", "stage steeping", "completed"]
    assert isinstance(events[2], vidpoll.StageChanged)
    assert not events[2].known


def test_gaps_after_faults_grow_and_a_good_answer_resets_them() -> None:
    """Full jitter up to the floor doubled with each fault, at most 15 s, never below the floor."""

    class Wild(vidpoll.client_base.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    t = talk([*[UNAVAILABLE] * 6, DRAWING, UNAVAILABLE, DONE])
    t.client._loop.context.random = Wild()
    t.client.wait(REF)
    assert t.clock.waits == [5.0, 10.0, 15.0, 15.0, 15.0, 15.0, 5.0, 5.0]


def test_poll_failed_counts_and_tells_when() -> None:
    """PollFailed names the reason, the status, the count in a row and the seconds to the next try."""
    t = talk([UNAVAILABLE, SLOW_DOWN, DONE])
    events: list[Any] = []
    t.client.wait(REF, on_event=events.append)
    assert [(e.status, e.in_a_row, e.retry_in) for e in events[:2]] == [(503, 1, 5.0), (429, 2, 20.0)]
    assert str(events[1]) == "acme:j1 no news: HTTP 429 without JSON (no content type); polling again in 20 s"


# -- the deadline -----------------------------------------------------------------------------------------------------


def test_a_finished_job_costs_one_request_and_no_sleep() -> None:
    """The first question is asked at once."""
    t = talk([DONE])
    assert t.client.wait(REF).ok
    assert (t.requests, t.clock.waits) == (["GET /v1/jobs/j1"], [])


def test_the_deadline_ends_a_wait_with_the_way_back() -> None:
    """WaitTimeout carries the job, its last state and the line that resumes it; no failure hook fires."""
    t = talk([DRAWING])
    with pytest.raises(vidpoll.WaitTimeout) as caught:
        t.client.wait(REF, timeout=12)
    error = caught.value
    assert (error.job.ref, error.job.state, error.resume) == (REF, "running", 'vidpoll.wait("acme:j1")')
    assert str(error) == (
        "acme:j1: no verdict after 12 s; the job is drawing at 10 % and continues at the provider. "
        "Resume: vidpoll wait acme:j1"
    )
    assert isinstance(error, TimeoutError)
    assert error.job.error is error
    assert t.ears.hooks[-1] == "gave_up"
    assert "failed" not in t.ears.hooks


def test_the_last_gap_is_cut_so_that_one_question_falls_on_the_deadline() -> None:
    """Unless the floor forbids it, a job that ends before the deadline is seen to have ended."""
    t = talk([DRAWING, DRAWING, DONE])
    assert t.client.wait(REF, timeout=36, pacing=vidpoll.Fixed(30)).ok
    assert t.clock.waits == [30.0, 6.0]


@pytest.mark.parametrize(
    ("script", "waits"),
    [
        ([DRAWING], [30.0, 2.0]),  # the floor: 30 + 5 is after the deadline
        ([(200, {"retry-after": "10"}, b'{"status": "drawing"}')], [30.0, 2.0]),  # a hint
        ([UNAVAILABLE], [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 2.0]),
    ],
)
def test_floor_and_hint_outrank_the_question_on_the_deadline(script: list[Any], waits: list[float]) -> None:
    """Where floor or hint forbid a question on the deadline, the wait still ends there, and not before."""
    t = talk(script)
    with pytest.raises(vidpoll.WaitTimeout):
        t.client.wait(REF, timeout=32, pacing=vidpoll.Fixed(30))
    assert t.clock.waits == waits
    assert len(t.requests) == len(waits)


def test_a_429_without_a_hint_does_not_cost_the_question_on_the_deadline() -> None:
    """Jitter is no hint: what it adds is cut at the deadline too."""

    class Wild(vidpoll.client_base.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    t = talk([(429, {}, b""), (429, {}, b""), (429, {}, b""), DONE])
    t.client._loop.context.random = Wild()
    assert t.client.wait(REF, timeout=25).ok
    assert t.clock.waits == [5.0, 10.0, 10.0]


@pytest.mark.parametrize("first", [DRAWING, UNAVAILABLE, RESET])
def test_timeout_0_looks_once(first: Any) -> None:
    """One question, no sleep, and nothing is announced that will not happen."""
    t = talk([first])
    with pytest.raises(vidpoll.WaitTimeout):
        t.client.wait(REF, timeout=0)
    assert (len(t.requests), t.clock.waits) == (1, [])
    announced = [getattr(e, "next_in", None) or getattr(e, "retry_in", None) for _, _, e in t.ears.heard]
    assert set(announced) == {None}


def test_nothing_heard_is_said_so() -> None:
    """The message of a timeout tells what was known: here nothing, and why."""
    t = talk([UNAVAILABLE])
    said = r"no status was received \(last response: HTTP 503.*the job may still be running"
    with pytest.raises(vidpoll.WaitTimeout, match=said):
        t.client.wait(REF, timeout=0)


def test_an_answer_in_hand_beats_the_clock() -> None:
    """A verdict that comes when the deadline is over is a verdict."""

    class Late(vidpoll.testing.FakeTransport):
        def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
            t.clock.now += 100
            return super().send(wire, ticket)

    t = talk([])
    late = Late([DONE])
    t.client._loop.transport.send = late.send
    assert t.client.wait(REF, timeout=10).ok


def test_a_completed_answer_without_its_files_counts_at_the_deadline() -> None:
    """During the grace for late files the job is not lost to the clock."""
    t = talk([{"status": "done"}])
    job = t.client.wait(REF, timeout=7)
    assert (job.ok, job.assets, t.clock.waits) == (True, (), [5.0, 2.0])
    with pytest.raises(vidpoll.ResultMissing):
        _ = job.video


def test_late_files_are_asked_for_three_times() -> None:
    """A completed answer whose video is due and absent is asked again, for a short grace."""
    t = talk([{"status": "done"}])
    assert t.client.wait(REF).ok
    assert len(t.requests) == 4


def test_no_timeout_waits_for_as_long_as_it_takes() -> None:
    """`timeout=None` is the only endless wait, and it has to be written."""
    t = talk([*[DRAWING] * 1000, DONE])
    assert t.client.wait(REF, timeout=None).ok
    assert sum(t.clock.waits) == 5000.0


def test_the_default_deadline_is_an_hour() -> None:
    """Nothing waits for ever."""
    t = talk([DRAWING])
    with pytest.raises(vidpoll.WaitTimeout, match="after 3600 s"):
        t.client.wait(REF, pacing=vidpoll.Fixed(600))
    assert sum(t.clock.waits) == 3600.0


def test_a_request_that_never_answers_is_left_at_its_bound() -> None:
    """A request's total bound is connect + read; then the caller moves on, and the connection is shut."""
    shut = threading.Event()
    begun = threading.Event()

    class Hanging(vidpoll.testing.FakeTransport):
        def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
            if not begun.is_set():
                ticket.shut = shut.set
                begun.set()
                shut.wait(10)
            return super().send(wire, ticket)

    class Clock(vidpoll.testing.FakeClock):
        def get(self, inbox: Any, timeout: float, *, busy: bool) -> Any:
            begun.wait(10)
            if busy and not shut.is_set():  # nothing will come
                self.waits.append(timeout)
                self.now += timeout
                return None
            return super().get(inbox, timeout, busy=busy)

    clock, wire = Clock(), Hanging([DONE])
    t = talk([])
    t.client._loop.context.clock = t.client._clock = clock
    t.client._loop.transport.send = wire.send
    events: list[vidpoll.Event] = []
    assert t.client.wait(REF, on_event=events.append).ok
    assert [brief(event) for event in events] == ["fault no complete response within 40 s", "completed"]
    assert shut.is_set()
    assert clock.waits == [40.0, 5.0]


def test_an_answer_that_comes_as_its_bound_passes_counts() -> None:
    """Between the look into the inbox and the bound an answer may come: it is taken, not lost and not fatal."""
    t = talk([DONE])
    get = t.clock.get

    def late(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if busy and timeout > 0:
            while inbox.empty():
                pass
            t.clock.now += timeout
            return None  # as if it had come only now
        return get(inbox, timeout, busy=busy)

    t.clock.get = late  # type: ignore[method-assign]
    assert t.client.wait(REF).ok
    assert t.ears.told == ["completed"]


# -- politeness -------------------------------------------------------------------------------------------------------


def test_the_floor_holds_over_pacing() -> None:
    """No job is asked sooner than its provider allows, whatever the pacing says."""
    t = talk([DRAWING, DRAWING, DONE])
    t.client.wait(REF, pacing=vidpoll.Fixed(0.1))
    assert t.clock.waits == [FLOOR, FLOOR]


def test_the_pacing_is_the_clients_or_the_calls() -> None:
    """`Adaptive()` by default, the client's instead, the call's before both."""
    t = talk([DRAWING, DONE], pacing=vidpoll.Fixed(9))
    t.client.wait(REF)
    assert t.clock.waits == [9.0]
    t = talk([DRAWING, DONE], pacing=vidpoll.Fixed(9), provider=ACME)
    t.client.wait(REF, pacing=vidpoll.Fixed(8))
    assert t.clock.waits == [8.0]


@pytest.mark.parametrize("gap", [float("nan"), float("inf"), -5.0, None, "soon"])
def test_a_pacing_that_talks_nonsense_is_asked_at_the_floor(gap: Any) -> None:
    """A schedule cannot make a wait endless."""

    class Odd:
        def next_gap(self, history: Any, now: float, random: Any) -> float:
            return gap

    t = talk([DRAWING, DONE])
    t.client.wait(REF, pacing=Odd())
    assert t.clock.waits == [FLOOR]


def test_the_floor_holds_over_repeated_calls() -> None:
    """Polls and waits in a row about one job are still not below the floor."""
    t = talk([DRAWING, DRAWING, DRAWING, DONE])
    t.client.poll(REF)
    t.client.poll(REF)
    with pytest.raises(vidpoll.WaitTimeout):
        t.client.wait(REF, timeout=0)
    t.client.wait(REF)
    assert t.clock.waits == [FLOOR] * 3


def test_the_floor_is_each_jobs_own() -> None:
    """Another job of the account does not wait for it."""
    t = talk([DRAWING])
    t.client.poll("acme:a")
    t.client.poll("acme:b")
    assert t.clock.waits == []


def test_a_hint_on_a_good_answer_is_followed_for_a_minute_at_most() -> None:
    """A server that says "come back tomorrow" with a good answer is asked after 60 s."""
    t = talk([(200, {"Retry-After": "86400"}, b'{"status": "drawing"}'), DONE])
    t.client.wait(REF)
    assert t.clock.waits == [60.0]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "17"}, 17.0),
        ({"retry-after-ms": "9500"}, 9.5),
        ({"openai-poll-after-ms": "7000"}, 7.0),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry-after": "2027-01-15T08:00:30Z"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "40"}, 40.0),
        ({"retry-after": "1"}, FLOOR),
        ({"retry-after": "soon"}, FLOOR),
        ({"retry-after": "-3"}, FLOOR),
        ({"retry-after": "1e400"}, FLOOR),
        ({"retry-after": "9" * 400}, FLOOR),
    ],
)
def test_hints_are_followed_on_good_answers(headers: dict[str, str], wait: float) -> None:
    """Every spelling of a hint that can be read; the rest is dropped."""
    t = talk([(200, headers, b'{"status": "drawing"}'), DONE])
    t.client.wait(REF)
    assert sum(t.clock.waits) == wait


def test_a_429_slows_every_job_of_its_account_and_no_other() -> None:
    """The account is held as long as the hint says; other accounts go on."""
    accounts = {name: vidpoll.Account("acme", key="k-0123456789") for name in ("one", "two")}
    script = {"/jobs/a": [SLOW_DOWN, DONE], "/jobs/b": [DRAWING, DONE], "/jobs/c": [DRAWING, DONE]}
    t = talk(script, accounts=accounts)
    start = t.clock.now
    at: dict[str, float] = {}
    for job in t.client.as_completed(["one:a", "one:b", "two:c"]):
        at[job.ref] = t.clock.now - start
    assert at == {"two:c": 5.0, "one:a": 20.0, "one:b": 20.0}


def test_a_429_that_ends_soon_after_the_deadline_ends_the_wait_there() -> None:
    """A hint that is kept does not make the wait longer, nor the error come early."""
    t = talk([(429, {"retry-after": "150"}, b""), DONE])
    with pytest.raises(vidpoll.WaitTimeout):
        t.client.wait(REF, timeout=100)
    assert (t.clock.waits, len(t.requests)) == ([100.0], 1)


@pytest.mark.parametrize("status", [429, 503])
def test_a_hint_that_ends_long_after_the_deadline_does_not_forbid_the_question_on_it(status: int) -> None:
    """It may be a mistake, and the job may be done: one request costs nobody anything."""
    t = talk([(status, {"retry-after": "3000"}, b""), DONE])
    assert t.client.wait(REF, timeout=100).ok
    assert (t.clock.waits, len(t.requests)) == ([100.0], 2)


def test_a_job_that_an_account_on_hold_has_not_asked_for_is_asked_for_on_its_deadline() -> None:
    """The 429 came to another job; of three jobs or more none is asked against the provider's word."""
    for number, asked in ((2, 1), (3, 0)):
        script: Any = {
            "/jobs/a": [(429, {"retry-after": "3000"}, b"")],
            "/jobs/b": [DRAWING, DONE],
            "/jobs/c": [DRAWING],
        }
        t = talk(script)
        jobs = t.client.wait_all([f"acme:{name}" for name in "abc"[:number]], timeout=100)
        assert [job.ok for job in jobs][1] is (number == 2)
        assert len([url for url in t.requests if url.endswith("/b")]) == 1 + asked


def test_a_429_is_waited_for_as_long_as_its_hint() -> None:
    """With a tenth of jitter, a floor at most; not for the pause that so many faults would bring."""

    class Wild(vidpoll.client_base.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    t = talk([*[(429, {"retry-after": "7"}, b"")] * 4, (429, {"retry-after": "300"}, b""), DONE])
    t.client._loop.context.random = Wild()
    t.client.wait(REF)
    assert t.clock.waits == pytest.approx([7.7, 7.7, 7.7, 7.7, 305.0])


def test_a_429_of_a_submit_holds_submits_alone() -> None:
    """A full queue says nothing about questions: a job of 6 s is seen done after 6 s, and the next submit waits."""
    t = talk({"/jobs/": [DRAWING, DRAWING, DONE], "/jobs": [SLOW_DOWN, {"id": "new"}]}, provider=with_floor(3.0))
    begun = t.clock.now

    def submit(event: vidpoll.Event) -> None:
        if isinstance(event, vidpoll.StageChanged):
            with pytest.raises(vidpoll.RateLimited):
                t.client.submit("acme", "clip", prompt="x")

    t.client.wait(REF, on_event=submit, pacing=vidpoll.Fixed(3.0))
    assert t.clock.now - begun == 6.0
    t.client.submit("acme", "clip", prompt="x")
    assert t.clock.now - begun == 20.0


def test_what_a_submit_says_is_left_holds_no_question() -> None:
    """`X-RateLimit-Remaining` in its answer is the allowance of submits."""
    left = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}
    t = talk({"/jobs/": [DONE], "/jobs": [(200, left, b'{"id": "new"}')]})
    begun = t.clock.now
    t.client.wait(t.client.submit("acme", "clip", prompt="x"))
    assert t.clock.now == begun
    t.client.submit("acme", "clip", prompt="x")
    assert t.clock.now - begun == 30.0


def test_a_429_of_any_question_holds_the_account() -> None:
    """Where it answered a poll or a quota question; submits wait as well."""
    t = talk({"/quota": [SLOW_DOWN, {"credits": 1}], "": [DONE]})
    t.client.quota("acme")
    assert t.clock.waits == [20.0]
    t = talk([SLOW_DOWN, DONE])
    with pytest.raises(vidpoll.RateLimited):
        t.client.poll(REF)
    t.client.wait("acme:other")
    assert sum(t.clock.waits) == 20.0


def test_a_held_account_does_not_hold_a_poll_for_an_hour() -> None:
    """A single question is not worth more than a minute's wait: it is refused at once, and nothing is sent."""
    t = talk([(429, {"retry-after": "3000"}, b""), DONE])
    for _ in range(2):
        with pytest.raises(vidpoll.RateLimited):
            t.client.poll(REF)
    with pytest.raises(vidpoll.RateLimited, match="wants this account to wait"):
        t.client.quota("acme")
    with pytest.raises(vidpoll.RateLimited, match="Nothing was sent and nothing was bought"):
        t.client.submit("acme", "clip", prompt="x")
    assert len(t.requests) == 1
    assert sum(t.clock.waits) <= FLOOR


# -- the outcome stays unknown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 402, 403, 451])
def test_a_refusal_is_asked_once_more_and_then_told(status: int) -> None:
    """WaitRefused says that the job goes on, and is a ProviderError too; the job's state is untouched."""
    t = talk([DRAWING, (status, {"error": {"message": "bad key", "code": "E1"}})])
    said = f"refused the status request.*HTTP {status}.*the job continues at the provider"
    with pytest.raises(vidpoll.WaitRefused, match=said) as caught:
        t.client.wait(REF)
    assert isinstance(caught.value, vidpoll.ProviderError)
    assert (caught.value.status, caught.value.code, caught.value.job.state) == (status, "E1", "running")
    assert len(t.requests) == 3
    assert t.ears.told[-3:] == [f"fault {status}", f"fault {status}", "WaitRefused"]
    assert "failed" not in t.ears.hooks


def test_a_refusal_that_goes_away_is_no_refusal() -> None:
    """A gateway's odd 401 between good answers is borne."""
    t = talk([DENIED, DRAWING, DENIED, UNAVAILABLE, DENIED, DONE])
    assert t.client.wait(REF).ok


def test_404_is_believed_after_three_confirmations() -> None:
    """JobNotFound is an unknown outcome: the record may be gone, the job may not."""
    t = talk([NOT_FOUND])
    with pytest.raises(vidpoll.JobNotFound, match="reported 4 times that it has no such job") as caught:
        t.client.wait(REF)
    assert (len(t.requests), caught.value.job.state, t.ears.hooks[-1]) == (4, None, "gave_up")


def test_404_for_a_known_job_is_borne_for_a_while() -> None:
    """A replica that lags costs nothing."""
    t = talk([DRAWING, NOT_FOUND, NOT_FOUND, NOT_FOUND, DONE])
    assert t.client.wait(REF).ok


def test_404_is_borne_for_30_s_after_a_submit() -> None:
    """What was just submitted may not be visible yet, also where the submit answer itself told of the job."""
    for answer in ({"id": "j1"}, {"id": "j1", "status": "queued"}):
        t = talk({"/jobs/j1": [*[NOT_FOUND] * 6, DONE], "/jobs": [(202, answer)]}, provider=ACME)
        assert t.client.wait(t.client.submit("acme", "clip", prompt="x")).ok
        assert sum(t.clock.waits) == 30.0


def test_404_after_those_30_s_is_believed() -> None:
    """The id may be wrong after all."""
    t = talk({"/jobs/j1": [NOT_FOUND], "/jobs": [(202, {"id": "j1"})]})
    with pytest.raises(vidpoll.JobNotFound):
        t.client.wait(t.client.submit("acme", "clip", prompt="x"))
    assert sum(t.clock.waits) == 30.0


def test_404_for_a_submitted_job_that_was_seen_is_a_404() -> None:
    """Once it has been seen, the 30 s are of no use."""
    t = talk({"/jobs/j1": [DRAWING, NOT_FOUND], "/jobs": [(202, {"id": "j1"})]})
    with pytest.raises(vidpoll.JobNotFound):
        t.client.wait(t.client.submit("acme", "clip", prompt="x"))
    assert len(t.requests) == 1 + 1 + 4


def test_410_is_the_providers_word() -> None:
    """Gone is a verdict: the job has expired, and the failure hook hears it."""
    t = talk([DRAWING, (410, {"error": "deleted after 7 days"})])
    with pytest.raises(vidpoll.JobExpired, match="deleted after 7 days"):
        t.client.wait(REF)
    assert t.ears.told[-1] == "expired"


def test_patience_ends_a_dead_provider() -> None:
    """Faults are bounded by time: 10 min from the first of at least three in a row."""
    t = talk([DRAWING, UNAVAILABLE])
    with pytest.raises(vidpoll.ProviderUnreachable, match="no usable response from acme for 600 s"):
        t.client.wait(REF)
    assert sum(t.clock.waits) == 605.0
    assert t.ears.told[-1] == "ProviderUnreachable"


def test_patience_is_an_argument_and_needs_three_faults() -> None:
    """Two faults are no dead provider, however far apart they are."""
    t = talk([(503, {"retry-after": "500"}, b""), (503, {"retry-after": "500"}, b""), DONE], patience=30)
    assert t.client.wait(REF).ok
    t = talk([UNAVAILABLE], patience=30)
    with pytest.raises(vidpoll.ProviderUnreachable):
        t.client.wait(REF)
    assert sum(t.clock.waits) == 30.0


def test_waiting_again_after_an_unknown_outcome() -> None:
    """The same Job goes on where it was; the old error is gone with the first good answer."""
    t = talk([DRAWING, DRAWING, DONE])
    with pytest.raises(vidpoll.WaitTimeout) as caught:
        t.client.wait(REF, timeout=0)
    job = t.client.wait(caught.value.job)
    assert (job is caught.value.job, job.ok, job.error) == (True, True, None)


# -- the provider ends it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "error"),
    [("broken", vidpoll.JobFailed), ("stopped", vidpoll.JobCancelled), ("gone", vidpoll.JobExpired)],
)
def test_a_verdict_raises_its_own_error(word: str, error: type[vidpoll.JobError]) -> None:
    """Failed, cancelled and expired are the provider's words, and the failure hook hears them."""
    t = talk([DRAWING, {"status": word, "error": "out of paint"}])
    with pytest.raises(error, match="out of paint"):
        t.client.wait(REF)
    assert t.ears.hooks[-1] == "failed"


def test_a_final_job_is_not_asked_again() -> None:
    """A verdict stands: no request, no hook a second time."""
    t = talk([DONE])
    job = t.client.wait(REF)
    heard = list(t.ears.heard)
    assert t.client.wait(job) is job
    assert [type(event) for event in t.client.watch(job)] == [vidpoll.Completed]
    assert list(t.client.as_completed([job])) == [job]
    assert (len(t.requests), t.ears.heard) == (1, heard)


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_stop_ends_a_wait() -> None:
    """WaitStopped is an unknown outcome with the way back."""
    stop = threading.Event()
    t = talk([DRAWING])
    with pytest.raises(vidpoll.WaitStopped, match="Resume: vidpoll wait acme:j1") as caught:
        t.client.wait(REF, stop=stop, on_event=lambda event: stop.set())
    assert (caught.value.job.stage, len(t.requests), t.ears.told[-1]) == ("drawing", 1, "WaitStopped")


def test_stop_set_before_sends_nothing() -> None:
    """A wait that is stopped before it began asks nothing."""
    stop = threading.Event()
    stop.set()
    t = talk([DRAWING])
    with pytest.raises(vidpoll.WaitStopped, match="no status was received"):
        t.client.wait(REF, stop=stop)
    assert t.requests == []


def test_an_answer_in_hand_beats_stop() -> None:
    """What has already come counts: a completed job is not lost to a stop."""
    stop = threading.Event()
    t = talk({"/jobs/a": [DRAWING], "/jobs/b": [DONE]})

    def both_came(event: vidpoll.Event) -> None:
        while t.client._transport.workers._open:
            """The other answer is on its way."""
        stop.set()

    jobs = list(t.client.as_completed(["acme:b", "acme:a"], stop=stop, on_event=both_came))
    assert {job.ref: type(job.error) for job in jobs} == {"acme:b": type(None), "acme:a": vidpoll.WaitStopped}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_a_hook_passes(error: type[BaseException]) -> None:
    """KeyboardInterrupt and SystemExit are not swallowed, and nothing is left under way."""

    class Impatient:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> None:
            raise error

    script = {"/jobs/a": [DRAWING], "/jobs/b": [DRAWING]}
    t = talk(script, plugins=(Impatient(),))
    with pytest.raises(error):
        list(t.client.as_completed(["acme:a", "acme:b"]))
    sent = len(t.requests)
    assert not t.client._transport.workers._open
    assert len(t.requests) == sent


def test_a_watch_that_is_abandoned_leaves_nothing_under_way() -> None:
    """Leaving the loop early is fine: the connection is shut, and no further request is sent."""
    shut = threading.Event()

    class Hanging(vidpoll.testing.FakeTransport):
        def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
            if wire.url.endswith("/b"):
                ticket.shut = shut.set
                shut.wait(10)
            return super().send(wire, ticket)

    t = talk([])
    wire = Hanging([DRAWING])
    t.client._loop.transport.send = wire.send
    events = t.client.watch("acme:a")
    assert brief(next(events)) == "stage drawing"
    events.close()  # type: ignore[attr-defined]
    assert (len(t.client._transport.workers._open), len(wire.sent)) == (0, 1)

    def leave(event: vidpoll.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(t.client.as_completed(["acme:b", "acme:c"], on_event=leave))
    assert shut.wait(10)
    assert not t.client._transport.workers._open


# -- builders and keys that fail midway -------------------------------------------------------------------------------


def test_a_key_that_cannot_be_had_midway_is_a_blip() -> None:
    """A callable that fails after the first question costs time, never the job, and its words are not shown."""
    vault = ["open", "open", "sealed"]  # before the wait, and for each request

    def key() -> str:
        if vault and vault.pop(0) == "sealed":
            raise OSError("vault sk-012345678901234567")
        return "acme-secret-0123456789"

    t = talk([DRAWING, DONE], accounts={"acme": vidpoll.Account("acme", key=key)})
    assert t.client.wait(REF).ok
    assert t.ears.told == [
        "stage drawing",
        "progress 10",
        "fault the request could not be built (OSError)",
        "completed",
    ]


def test_a_builder_that_fails_names_its_plugin() -> None:
    """Before anything is sent, and as one typed error, not as a stray KeyError."""
    broken = replace(ACME, status=vidpoll.Operation(lambda job_id: {}[job_id], ACME.status.parse))
    t = talk([DONE], provider=broken, accounts={"acme": vidpoll.Account("acme", key=None)})
    with pytest.raises(vidpoll.PluginError, match="acme: the plugin cannot build the request"):
        t.client.wait(REF)
    with pytest.raises(vidpoll.PluginError, match="acme: the plugin cannot build the request"):
        t.client.submit("acme", "clip")
    assert t.requests == []


@pytest.mark.parametrize("parse", [lambda r, i: None, lambda r, i: "done", lambda r, i: 1 / 0])
def test_a_parser_that_breaks_its_contract_is_a_blip(parse: Any) -> None:
    """A plugin's mistake costs no job either: it is named in the fault, and the deadline bounds it."""
    t = talk([DONE], provider=replace(ACME, status=vidpoll.Operation(ACME.status.request, parse)))
    with pytest.raises(vidpoll.WaitTimeout, match="the plugin's parser"):
        t.client.wait(REF, timeout=0)


def test_an_error_reader_that_fails_makes_no_worse_error() -> None:
    """Reading a refusal is the plugin's too: where it raises, the status still says what it is."""

    def error(response: vidpoll.Response) -> vidpoll.Problem:
        raise KeyError("message")

    t = talk([UNAVAILABLE, DONE], provider=replace(ACME, error=error))
    assert t.client.wait(REF).ok
    assert t.ears.told == ["fault 503", "completed"]


# -- many -------------------------------------------------------------------------------------------------------------


def test_one_jobs_end_never_touches_another() -> None:
    """A failure, a 404, a refusal and a dead account beside two good jobs."""
    other = replace(with_floor(2.0), name="other", base_url="https://api.other.example")
    script = {
        "/jobs/good": [DRAWING, DONE],
        "/jobs/bad": [BROKEN],
        "/jobs/lost": [NOT_FOUND],
        "/jobs/denied": [DENIED],
        "/jobs/dead": [UNAVAILABLE],
        "other.example/jobs/fine": [QUEUED, DRAWING, DONE],
    }

    class Both:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> list[vidpoll.Provider]:
            return [other]

    t = talk(
        script,
        plugins=(Both(),),
        accounts={name: vidpoll.Account(name, key="k-0123456789") for name in ("acme", "other")},
    )
    refs = ["acme:good", "acme:bad", "acme:lost", "acme:denied", "acme:dead", "other:fine"]
    ends = {job.ref: type(job.error).__name__ for job in t.client.as_completed(refs)}
    assert ends == {
        "acme:bad": "JobFailed",
        "other:fine": "NoneType",
        "acme:good": "NoneType",
        "acme:denied": "WaitRefused",
        "acme:lost": "JobNotFound",
        "acme:dead": "ProviderUnreachable",
    }
    assert list(ends)[:3] == ["acme:bad", "acme:good", "other:fine"]
    assert list(ends)[-1] == "acme:dead"


def test_two_hundred_jobs_share_one_loop() -> None:
    """Each is asked, each ends, each is told once."""
    t = talk([DONE])
    jobs = list(t.client.as_completed([f"acme:{n}" for n in range(200)]))
    assert (len(jobs), len(t.requests), t.ears.hooks.count("completed")) == (200, 200, 200)


def test_a_job_that_does_not_move_is_called_stalled_once() -> None:
    """After the provider's window, until something moves; it is an event and no error."""
    moved = {**DRAWING, "progress": 11}
    t = talk([DRAWING] * 6 + [moved] * 6 + [DONE])
    assert t.client.wait(REF).ok
    stalls = [(event.seconds, event.progress) for _, _, event in t.ears.heard if isinstance(event, vidpoll.Stalled)]
    assert stalls == [(20.0, 10.0), (20.0, 11.0)]


def test_a_job_whose_update_time_moves_is_not_stalled() -> None:
    """Some providers show no progress, but say that they are at it."""
    times = count()

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return replace(parse_status(response, job_id), updated_at=float(next(times)))

    provider = replace(ACME, status=replace(ACME.status, parse=parse))
    t = talk([DRAWING] * 9 + [DONE], provider=provider)
    assert t.client.wait(REF).ok
    assert "stalled" not in t.ears.hooks


def test_the_inbox_is_a_queue_whose_timeouts_hold() -> None:
    """Up to Python 3.10 a SimpleQueue may block for ever on a timeout that is over before it begins to wait."""
    seen: set[type] = set()

    class Clock(vidpoll.testing.FakeClock):
        def get(self, inbox: Any, timeout: float, *, busy: bool) -> Any:
            seen.add(type(inbox))
            return super().get(inbox, timeout, busy=busy)

    t = talk([DRAWING, DONE])
    t.client._loop.context.clock = Clock()
    assert t.client.wait(REF).ok
    assert seen == {Queue}


# -- many -------------------------------------------------------------------------------------------------------------


def test_first_questions_of_many_jobs_are_spread() -> None:
    """Some go at once, the others within one floor; no second has all of them."""
    t = talk([DRAWING])
    times = asked_at(t)
    t.client.wait_all([f"acme:{number}" for number in range(400)], timeout=4)
    first = [at - times[0] for at in times[:400]]
    assert len([at for at in first if at == 0]) == 32
    assert 1.8 < first[-1] <= 4
    crowd = max(sum(begin < at <= begin + 0.5 for at in first) for begin in first)
    assert crowd <= 101


def test_first_questions_of_few_jobs_go_at_once() -> None:
    """Who waits for twenty jobs has twenty answers at once."""
    t = talk([DONE])
    t.client.wait_all([f"acme:{number}" for number in range(20)])
    assert t.clock.waits == []


def asked_at(t: Any) -> list[float]:
    """When each question is sent, as it is sent."""
    times: list[float] = []
    send = t.client._loop.transport.send

    def noted(wire: Any, ticket: Any) -> Any:
        times.append(t.clock.now)
        return send(wire, ticket)

    t.client._loop.transport.send = noted
    return times
