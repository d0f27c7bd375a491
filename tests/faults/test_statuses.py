"""Answers with a status that is no success: what is borne, what is believed, what is told, and when it is asked again.

By data: the clock and the network are fake, and each row runs against every provider.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import formatdate
from random import Random
from typing import Any

import pytest
from provider_cases import CASES, KEY, Case, Told, client_of, each_provider, raw, waiting

import vidpoll
from vidpoll.testing import FakeClock

NOW = FakeClock().now
BLIPS = (408, 409, 425, 429, 500, 502, 503, 504)
ODD = (100, 101, 300, 302, 304, 307, 405, 406, 411, 414, 418, 431, 499, 505, 507, 520, 524, 529, 530, 599, 600, 999)


def unknown(told: Told, kind: type[vidpoll.OutcomeUnknown]) -> vidpoll.OutcomeUnknown:
    """The error of a wait whose outcome is unknown: it carries the job and the way back, and fired no failure hook."""
    assert type(told.error) is kind
    assert isinstance(told.error, vidpoll.OutcomeUnknown)
    assert told.error.job is told.job
    assert told.error.resume == f'vidpoll.wait("{told.job.ref}")'
    assert f"vidpoll wait {told.job.ref}" in str(told.error)
    assert "again" not in str(told.error).replace("look again", "")  # "try again" would pay twice
    assert told.words[-1] == "gave_up"
    assert "failed" not in told.words
    assert not told.job.final
    return told.error


# -- what is borne ----------------------------------------------------------------------------------------------------


@each_provider
@pytest.mark.parametrize("times", [1, 3, 10, 30])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_burst_is_borne(status: int, times: int, case: Case) -> None:
    """However many, within `patience`: the state stays, each is told, and the next good answer counts."""
    told = waiting(case, [case.running, *[raw(b"", status=status)] * times, case.completed])
    assert told.error is None
    assert told.job.ok
    assert [(blip.status, blip.in_a_row) for blip in told.transient_errors] == [(status, n + 1) for n in range(times)]
    assert told.words == ["stage_changed", "progress", *["poll_failed"] * times, "completed"]
    assert {moment.state for moment in told.job.history} == {"running", "completed"}


@each_provider
@pytest.mark.parametrize("status", [*BLIPS, *ODD])
def test_a_status_that_says_nothing_about_the_job_is_a_blip(status: int, case: Case) -> None:
    """With an empty body, a page or JSON: asked again."""
    bodies: tuple[Any, ...] = (
        b"",
        b"<html>\xff</html>",
        {"error": {"message": "no", "code": 7}},
        [],
        "x",
        case.completed,
        case.failed,
    )
    told = waiting(case, [case.running, *[raw(body, status=status) for body in bodies], case.completed])
    assert told.job.ok
    assert [blip.status for blip in told.transient_errors] == [status] * len(bodies)
    assert told.words.count("completed") == 1
    assert "failed" not in told.words


@each_provider
def test_an_outage_shorter_than_patience_is_borne_with_growing_gaps(case: Case) -> None:
    """Nine minutes of 503, jitter and all: some sixty questions, none closer than the floor, none 15 s apart."""
    floor = case.provider.pacing.floor

    told = client_of(case, [raw(b"", status=503)])
    told.client._loop.context.random = Random(3)
    answer = told.wire.send

    def send(wire: Any, ticket: Any) -> vidpoll.Response:
        said = answer(wire, ticket)
        return said if told.clock.now < NOW + 540 else raw(case.completed)

    told.client._loop.transport.send = send
    with told.client as client:
        assert client.wait(told.job, on_event=told.events.append).ok
    assert min(told.waited) >= floor
    assert max(told.waited) <= max(15, 2 * floor)
    assert len(told.transient_errors) < 90


@each_provider
def test_an_outage_longer_than_patience_is_an_unknown_outcome(case: Case) -> None:
    """ProviderUnreachable says for how long and what came last; the job keeps its state."""
    told = waiting(case, [case.running, raw(b"", status=503)], timeout=7200)
    error = unknown(told, vidpoll.ProviderUnreachable)
    assert "no usable response" in str(error)
    assert "HTTP 503" in str(error)
    assert told.job.state == "running"
    assert 600 <= sum(told.waited) < 670


@each_provider
def test_three_faults_are_needed_to_lose_patience(case: Case) -> None:
    """Two answers that come very late are no outage."""
    told = waiting(case, [*[raw(b"", status=503, headers={"retry-after": "900"})] * 2, case.completed])
    assert told.job.ok
    assert told.waited == [900.0, 900.0]


# -- hints ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hint:
    """A header that says when to come back, and the seconds that are owed (None: it is dropped)."""

    name: str
    header: str
    value: str
    seconds: float | None

    def __str__(self) -> str:
        return self.name


def iso(seconds: float, **fields: Any) -> str:
    return datetime.fromtimestamp(NOW + seconds, timezone.utc).isoformat(**fields)


HINTS = [
    Hint("seconds", "Retry-After", "20", 20),
    Hint("fractions of seconds", "Retry-After", "20.5", 20.5),
    Hint("seconds with spaces", "Retry-After", "  20 ", 20),
    Hint("an HTTP date", "Retry-After", formatdate(NOW + 20, usegmt=True), 20),
    Hint("an HTTP date with an offset", "Retry-After", formatdate(NOW + 20), 20),
    Hint("an ISO date", "Retry-After", iso(20), 20),
    Hint("an ISO date in Z", "Retry-After", iso(20).replace("+00:00", "Z"), 20),
    Hint("milliseconds", "retry-after-ms", "20000", 20),
    Hint("OpenAI's milliseconds", "openai-poll-after-ms", "20000", 20),
    Hint("a date that is past", "Retry-After", formatdate(NOW - 500, usegmt=True), 0),
    Hint("zero", "Retry-After", "0", 0),
    Hint("an hour and more", "Retry-After", "999999", 3600),
    Hint("the year 9999", "Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    Hint("1e9", "Retry-After", "1e9", None),
    Hint("1e400", "Retry-After", "1e400", None),
    Hint("negative", "Retry-After", "-5", None),
    Hint("'soon'", "Retry-After", "soon", None),
    Hint("nothing", "Retry-After", "", None),
    Hint("NaN", "Retry-After", "NaN", None),
    Hint("infinity", "Retry-After", "inf", None),
    Hint("400 digits", "Retry-After", "9" * 400, None),
    Hint("5,000 digits", "Retry-After", "9" * 5000, None),
    Hint("400 digits of milliseconds", "retry-after-ms", "9" * 400, None),
    Hint("a date of 400 digits", "Retry-After", f"Fri, 31 Dec {'9' * 400} 23:59:59 GMT", None),
    Hint("a date of 5,000 digits", "Retry-After", f"Fri, {'9' * 5000} Dec 2026 23:59:59 GMT", None),
    Hint("a date that is none", "Retry-After", "Fri, 99 Dec 2026 99:99:99 GMT", None),
    Hint("an ISO date without a zone", "Retry-After", iso(20)[:19], None),
    Hint("two values", "Retry-After", "20, 30", 30.0),
    Hint("digits that are not ASCII", "Retry-After", "²", None),
    Hint("escape sequences", "Retry-After", "\x1b[31m20", None),
]
each_hint = pytest.mark.parametrize("hint", HINTS, ids=str)


@each_provider
@each_hint
@pytest.mark.parametrize("status", [429, 503, 404, 401])
def test_a_hint_on_a_fault_is_kept_or_dropped(hint: Hint, status: int, case: Case) -> None:
    """Not asked sooner, nor much later; never longer than an hour; what cannot be read is no hint."""
    told = waiting(case, [raw(b"", status=status, headers={hint.header: hint.value}), case.completed], timeout=7200)
    assert told.job.ok
    assert told.waited == [max(case.provider.pacing.floor, hint.seconds or 0.0)]


@each_provider
@each_hint
def test_a_hint_on_a_good_answer_is_kept_for_a_minute_at_most(hint: Hint, case: Case) -> None:
    """A server that wants to be left alone is left alone; one that says "in an hour" is asked after a minute."""
    told = waiting(case, [raw(case.running, headers={hint.header: hint.value}), case.completed])
    assert told.job.ok
    assert told.waited == [max(5.0, min(hint.seconds or 0.0, 60.0))]


@each_provider
@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("20", 20.0),
        (str(int(NOW) + 20), 20.0),
        (str((int(NOW) + 20) * 1000), 20.0),
        (str(int(NOW) - 20), 0.0),
        ("300", 300.0),
        ("1e9", 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
        ("9" * 400, 0.0),
    ],
)
def test_no_requests_left_until(reset: str, seconds: float, case: Case) -> None:
    """On a 429 X-RateLimit-Reset is kept like Retry-After; on a good answer for a minute at most."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    told = waiting(case, [raw(b"", status=429, headers=headers), raw(case.running, headers=headers), case.completed])
    assert told.job.ok
    first, *rest = told.waited
    assert first == max(case.provider.pacing.floor, seconds)
    if seconds == 300.0 or not reset.startswith(str(int(NOW) + 20)[:6]):  # a moment that has passed by then
        assert sum(rest) == max(5.0, min(seconds, 60.0))


@each_provider
@pytest.mark.parametrize(("seconds", "asked"), [("140", 2), ("3000", 3)])
def test_a_hint_beyond_the_deadline_ends_at_the_deadline(case: Case, seconds: str, asked: int) -> None:
    """The caller does not wait longer than he said; a hint that ends long after that does not cost the last poll."""
    told = waiting(case, [case.running, raw(b"", status=429, headers={"retry-after": seconds})], timeout=100)
    unknown(told, vidpoll.WaitTimeout)
    assert told.clock.now == NOW + 100
    assert len(told.wire.sent) == asked


# -- refusals ---------------------------------------------------------------------------------------------------------

REMEDIES = {
    400: "Check the id",
    401: r"Check the key \(accounts=\{'\w+': vidpoll\.Account\('\w+', key=…\)\}\)\. Then",
    402: "Check the balance",
    403: "what the key may do",
    451: "Ask",
}
CATEGORIES = {400: "input", 401: "auth", 402: "money", 403: "auth", 451: None}


@each_provider
@pytest.mark.parametrize("status", REMEDIES)
def test_a_refusal_midway_is_asked_once_more_and_then_told(status: int, case: Case) -> None:
    """A key that expires does not fail the job: unknown, with the next step in words, after one more request."""
    refusal = raw({"error": {"message": "not for you", "code": "E1"}}, status=status)
    told = waiting(case, [case.running, refusal])
    error = unknown(told, vidpoll.WaitRefused)
    assert isinstance(error, vidpoll.ProviderError)
    assert (error.status, error.category) == (status, CATEGORIES[status])
    assert "not for you" in str(error)
    assert "the job continues at the provider" in str(error)
    assert re.search(REMEDIES[status], str(error))
    assert told.job.state == "running"
    assert len(told.wire.sent) == 3


@each_provider
@pytest.mark.parametrize("status", REMEDIES)
def test_a_refusal_that_does_not_last_is_borne(status: int, case: Case) -> None:
    """A gateway's hiccup: one refusal, then a good answer."""
    told = waiting(case, [case.running, raw(b"", status=status), case.completed])
    assert told.job.ok


@each_provider
def test_a_key_that_expires_and_is_renewed(case: Case) -> None:
    """A key may be a function: the second question carries the new one."""
    keys = [f"{KEY}-old", f"{KEY}-new"]
    made: list[Told] = []
    told = client_of(case, [raw(b"", status=401), case.completed], key=lambda: keys[bool(made and made[0].wire.sent)])
    made.append(told)
    told.client.wait(told.job)
    assert told.job.ok
    sent = [" ".join(wire.secret.values()) for wire in told.wire.sent]
    assert keys[0] in sent[0]
    assert keys[1] in sent[1]


# -- 404 and 410 ------------------------------------------------------------------------------------------------------


@each_provider
def test_404_just_after_a_submit_means_not_visible_yet(case: Case) -> None:
    """For half a minute; then the job is there."""
    floor = case.provider.pacing.floor
    times = int(28 / floor)
    told = waiting(case, [*[raw(b"", status=404)] * times, case.running, case.completed], submitted=True)
    assert told.job.ok
    assert len(told.transient_errors) == times


@each_provider
def test_404_for_good_after_a_submit(case: Case) -> None:
    """Believed after half a minute, and still an unknown outcome: the job is paid for."""
    told = waiting(case, [raw({"message": "no such task"}, status=404)], submitted=True)
    unknown(told, vidpoll.JobNotFound)
    assert told.clock.now - NOW >= 30


@each_provider
@pytest.mark.parametrize("times", [1, 2, 3])
def test_404_for_a_known_job_is_borne_three_times(times: int, case: Case) -> None:
    """A replica that does not know the job yet says nothing about it."""
    told = waiting(case, [case.running, *[raw(b"", status=404)] * times, case.completed])
    assert told.job.ok


@each_provider
def test_404_for_good_is_an_unknown_outcome(case: Case) -> None:
    """After three confirmations: what to check, in words; the job keeps its state."""
    told = waiting(case, [case.running, raw(b"", status=404)])
    error = unknown(told, vidpoll.JobNotFound)
    assert "Check the id" in str(error)
    assert f"account {case.name!r}" in str(error)
    assert told.job.state == "running"
    assert len(told.wire.sent) == 5


@each_provider
def test_410_is_the_providers_word_that_the_job_has_expired(case: Case) -> None:
    """The one status that ends a job."""
    told = waiting(case, [case.running, raw({"message": "records are kept for a week"}, status=410)])
    assert type(told.error) is vidpoll.JobExpired
    assert "records are kept for a week" in str(told.error)
    assert told.job.state == "expired"
    assert told.words[-1] == "failed"


def test_a_further_answer_of_404_or_410_says_nothing_about_the_job() -> None:
    """Token360: completed, its content not found: completed all the same."""
    case = CASES[1]
    bare = {name: value for name, value in case.completed.items() if name != "url"}
    for status in (401, 403, 404, 410, 500):
        told = waiting(case, {"/content": [raw(b"", status=status)], "": [raw(bare)]})
        assert told.job.ok


# -- money ------------------------------------------------------------------------------------------------------------


@each_provider
@pytest.mark.parametrize(
    "status",
    [301, 302, 303, 400, 401, 402, 403, 404, 405, 406, 411, 413, 414, 415, 421, 422, 426, 428, 429, 431, 501, 505],
)
def test_a_refused_submit_bought_nothing(status: int, case: Case) -> None:
    """A typed error, once: RFC 9110 and 6585 say of each of these that the request was not done."""
    told = client_of(case, [raw({"message": "no"}, status=status)])
    kind, fields = case.submit
    with pytest.raises(vidpoll.ProviderError, match="Nothing was bought") as caught:
        told.client.submit(case.name, kind, **fields)
    assert caught.value.status == status
    assert len(told.wire.sent) == 1


@each_provider
@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504])
def test_a_submit_that_may_have_been_received_is_unknown(status: int, case: Case) -> None:
    """Never sent twice; the error carries what was sent and where to look."""
    told = client_of(case, [raw(b"", status=status)])
    kind, fields = case.submit
    with pytest.raises(vidpoll.SubmitUnknown, match="before you submit again") as caught:
        told.client.submit(case.name, kind, **fields)
    assert caught.value.sent == fields
    assert len(told.wire.sent) == 1


@each_provider
@pytest.mark.parametrize(
    "body", [b"", b"<html>ok</html>", b"null", b"[]", b"{}", b'{"data": {}}', b'{"id": null}', b"\xff"], ids=repr
)
def test_a_submit_answer_without_an_id_is_unknown(body: bytes, case: Case) -> None:
    """A 200 that names no job may have bought one."""
    told = client_of(case, [raw(body)])
    kind, fields = case.submit
    with pytest.raises(vidpoll.SubmitUnknown):
        told.client.submit(case.name, kind, **fields)
    assert len(told.wire.sent) == 1
