"""The transcript: the last answers about a job, bounded, without secrets, on every error of a wait."""

from __future__ import annotations

import json
import pickle
import sys
import threading

import pytest
from acme_provider import BROKEN, DONE, DRAWING, KEY, REF, UNAVAILABLE, talk

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.polling.transcript import LIMIT, SHOWN, Recorder

REQUEST = vidpoll.Request("GET", "/jobs/j1")


def plain(text: str) -> str:
    return text


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


def body_shown(body: object) -> str:
    """What a transcript shows of a JSON body."""
    recorder = Recorder()
    recorder.note(REF, 0.0, REQUEST, vidpoll.Response(200, {}, json.dumps(body).encode()), plain)
    return recorder.of(REF)[0].body


@pytest.mark.parametrize(
    "body",
    [
        {"pexels_api_keys": ["Zq8mSECRET"]},
        {"credentials": {"value": "Zq8mSECRET"}},
        {"https://u.example/x?sig=SECRET": 1},
        {"Bearer SECRET12345": 1},
        {"video": "/files/x.mp4?sig=SECRET"},
        {"video": "//cdn.example/x.mp4?sig=SECRET"},
        {"sig": "SECRET", "cookie": "SECRET", "Auth": "SECRET"},
    ],
    ids=str,
)
def test_a_secret_in_an_odd_place(body: object) -> None:
    """Under a name, in a name, in a list, in a URL without a host."""
    assert "SECRET" not in body_shown(body)


def test_a_key_is_not_cut_in_half() -> None:
    """A long body is cleaned before it is cut: half a key is a key."""
    t = talk([b"x" * (SHOWN - 10) + KEY.encode() + b"y" * 20_000])
    error = t.client.wait(REF, timeout=0, check=False).error
    assert error is not None
    assert KEY[:8] not in error.transcript[0].body


def test_a_name_that_no_line_can_hold() -> None:
    """Surrogates and line separators in names are gone, so that a transcript can be written and read again."""
    assert body_shown({"\ud800a": 1, "\u2028b": 2}).isprintable()


def test_the_bound_holds_for_headers_and_exceptions() -> None:
    """No header that is never shown is kept, and of an exception its words alone, not its frames."""
    recorder = Recorder()
    headers = {f"x-{number}": "h" * 60_000 for number in range(80)} | {"retry-after": "7" * 60_000}
    recorder.note(REF, 0.0, REQUEST, vidpoll.Response(503, headers, b""), plain)
    try:
        half = b"x" * 1_000_000
        raise NoAnswer("the connection broke")
    except NoAnswer as error:
        recorder.note(REF, 1.0, REQUEST, error, plain)
        del half
    assert len(pickle.dumps([raw._replace(hide=None) for _, _, raw in recorder._kept])) < 3000


def test_threads_share_a_recorder() -> None:
    """A client may be shared, and so its transcripts: nothing raises, and the bound holds."""
    recorder, wrong = Recorder(3000), []

    def work(number: int) -> None:
        try:
            for at in range(2000):
                recorder.note(f"acme:{number % 2}", float(at), REQUEST, NoAnswer("x"), plain)
                recorder.of("acme:0")
        except Exception as error:  # noqa: BLE001 - any is one too many
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert recorder._size <= 3000
