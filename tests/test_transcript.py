"""The transcript: the last answers about a job, bounded, without secrets, on every error of a wait."""

from __future__ import annotations

import json
import pickle

import pytest
from acme import BROKEN, DONE, DRAWING, KEY, REF, UNAVAILABLE, talk

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.transcript import LIMIT, SHOWN, Recorder

REQUEST = vidpoll.Request("GET", "/jobs/j1")


def plain(response: vidpoll.Response) -> vidpoll.Response:
    return response


def test_every_error_of_a_wait_carries_the_last_answers() -> None:
    """What a plugin author needs stands on the error: status, hints and body of each answer, oldest first."""
    t = talk([(429, {"Retry-After": "7", "Server": "x"}, b"{}"), DRAWING, ConnectionResetError()])
    with pytest.raises(vidpoll.WaitTimeout) as caught:
        t.client.wait(REF, timeout=20)
    first, second, third, *_ = caught.value.transcript
    start = t.clock.now - sum(t.clock.waits)
    assert (first.at, first.method, first.path, first.status) == (start, "GET", "/jobs/j1", 429)
    assert (first.headers, first.body, first.cut) == ({"retry-after": "7"}, "{}", False)
    assert json.loads(second.body) == DRAWING
    assert (third.status, third.reason) == (None, "the connection failed (ConnectionResetError)")


def test_a_verdict_carries_them_too() -> None:
    """JobFailed is an error of a wait; so is what `as_completed` gives."""
    t = talk([UNAVAILABLE, BROKEN])
    assert [exchange.status for exchange in t.client.wait(REF, check=False).error.transcript] == [503, 200]
    assert vidpoll.Job(REF).transcript == ()
    assert vidpoll.UsageError("no job").transcript == ()


def test_no_secret_is_in_it() -> None:
    """The key, what is named like a key, and what signs a URL are gone; the JSON is still JSON."""
    signed = "https://cdn.example/v.mp4?X-Sig=abc"
    body = {**DRAWING, "note": f"you sent {KEY}", "api_key": "abcdef", "video": signed, "list": [signed, 7, None]}
    t = talk([body])
    error = t.client.wait(REF, timeout=0, check=False).error
    assert error is not None
    shown = error.transcript[0].body
    assert json.loads(shown) == {
        **DRAWING,
        "note": "you sent [redacted]",
        "api_key": "[redacted]",
        "video": "https://cdn.example/v.mp4?…",
        "list": ["https://cdn.example/v.mp4?…", 7, None],
    }
    assert KEY.encode() not in pickle.dumps(error)


def test_a_pickled_error_keeps_its_transcript() -> None:
    """It travels to another process as what it was."""
    error = talk([BROKEN]).client.wait(REF, check=False).error
    assert error is not None
    assert pickle.loads(pickle.dumps(error)).transcript == error.transcript != ()


@pytest.mark.parametrize(
    ("body", "cut"),
    [(b"<html>" + b"x" * 5000, True), (json.dumps({"a": ["b" * 400] * 20}).encode(), True), (b"y" * SHOWN, False)],
    ids=["html", "json", "just fits"],
)
def test_a_body_is_shown_up_to_2_kib(body: bytes, cut: bool) -> None:
    """A long body is cut, and says so."""
    recorder = Recorder()
    recorder.note(REF, 0.0, REQUEST, vidpoll.Response(200, {}, body), plain)
    (shown,) = recorder.of(REF)
    assert (len(shown.body), shown.cut) == (SHOWN, cut)


def test_all_transcripts_share_one_mebibyte() -> None:
    """The oldest answers are forgotten first, whosever they are; a huge body does not push the others out."""
    recorder = Recorder()
    for number in range(3000):
        recorder.note(f"acme:{number % 7}", float(number), REQUEST, vidpoll.Response(200, {}, b"z" * 1000), plain)
    recorder.note("acme:huge", 3000.0, REQUEST, vidpoll.Response(200, {}, b"z" * 5_000_000), plain)
    kept = sorted(exchange.at for number in (*range(7), "huge") for exchange in recorder.of(f"acme:{number}"))
    assert kept == [float(at) for at in range(3001 - len(kept), 3001)]
    assert 0.9 * LIMIT < len(kept) * 1500 <= LIMIT + 5000


def test_what_was_no_answer_has_a_reason() -> None:
    """Neither an exception of a library nor its text gets in."""
    recorder = Recorder()
    recorder.note(REF, 0.0, REQUEST, NoAnswer("the connection was reset"), plain)
    recorder.note(REF, 1.0, REQUEST, RuntimeError(f"https://x.example/?key={KEY}"), plain)
    assert [exchange.reason for exchange in recorder.of(REF)] == ["the connection was reset", "no answer"]


def test_a_completed_job_has_one_too() -> None:
    """A bug report may be about a job that is well: `job.transcript`."""
    assert [exchange.status for exchange in talk([DRAWING, DONE]).client.wait(REF).transcript] == [200, 200]
