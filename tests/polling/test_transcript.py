"""The transcript: the last answers about a job, bounded, without secrets, on every error of a wait."""

from __future__ import annotations

import dataclasses
import json
import pickle
import sys
import threading

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, KEY, REF, UNAVAILABLE, talk

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.polling.transcript import LIMIT, SHOWN, Recorder

REQUEST = vidpoll.Request("GET", "/jobs/j1")
HIDDEN = "[redacted]"
UUID = "6c85c8cc-a77a-42b9-bc30-947815aa0558"


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
    [
        (b"<html>" + b"x " * 2500, True),
        (json.dumps({"message": ["b" * 400] * 20}).encode(), True),
        (b"y " * (SHOWN // 2 - 1) + b"yy", False),
    ],
    ids=["html", "json", "just fits"],
)
def test_a_body_is_shown_up_to_2_kib(body: bytes, cut: bool) -> None:
    """A long body is cut, and says so."""
    recorder = Recorder()
    recorder.note(REF, 0.0, REQUEST, vidpoll.Response(200, {}, body), ())
    (shown,) = recorder.of(REF)
    assert (len(shown.body), shown.cut) == (SHOWN, cut)


def test_all_transcripts_share_one_mebibyte() -> None:
    """The oldest answers are forgotten first, whosever they are; a huge body does not push the others out."""
    recorder = Recorder()
    for number in range(3000):
        recorder.note(f"acme:{number % 7}", float(number), REQUEST, vidpoll.Response(200, {}, b"z" * 1000), ())
    recorder.note("acme:huge", 3000.0, REQUEST, vidpoll.Response(200, {}, b"z" * 5_000_000), ())
    kept = sorted(exchange.at for number in (*range(7), "huge") for exchange in recorder.of(f"acme:{number}"))
    assert kept == [float(at) for at in range(3001 - len(kept), 3001)]
    assert 0.9 * LIMIT < len(kept) * 1500 <= LIMIT + 5000


def test_what_was_no_answer_has_a_reason() -> None:
    """Neither an exception of a library nor its text gets in."""
    recorder = Recorder()
    recorder.note(REF, 0.0, REQUEST, NoAnswer("the connection was reset"), ())
    recorder.note(REF, 1.0, REQUEST, RuntimeError(f"https://x.example/?key={KEY}"), ())
    assert [exchange.reason for exchange in recorder.of(REF)] == ["the connection was reset", "no answer"]


def test_a_completed_job_has_one_too() -> None:
    """A bug report may be about a job that is well: `job.transcript`."""
    assert [exchange.status for exchange in talk([DRAWING, DONE]).client.wait(REF).transcript] == [200, 200]


def body_shown(body: object) -> str:
    """What a transcript shows of a JSON body."""
    recorder = Recorder()
    recorder.note(REF, 0.0, REQUEST, vidpoll.Response(200, {}, json.dumps(body).encode()), ())
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
        {"session": "SECRET", "sid": "SECRET", "sessionId": "SECRET", "otp": "SECRET", "hmac": "SECRET"},
        {"message": "cdn.example.com/x.mp4?sig=SECRET&se=1"},
        {"message": "https%3A%2F%2Fcdn.example%2Fx.mp4%3FX-Amz-Signature%3DSECRET"},
        {"message": "sv=2024-11-04&sp=r&sig=SECRET&se=2026"},
    ],
    ids=str,
)
def test_a_secret_in_an_odd_place(body: object) -> None:
    """Under a name, in a name, in a list, in a URL without a host."""
    assert "SECRET" not in body_shown(body)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"pin": 1234, "otp": 77, "n": 5, "has_pin": True}, {"pin": HIDDEN, "otp": HIDDEN, "n": 5, "has_pin": True}),
        ({"total_tokens": 108900, "seed": 4294967295}, {"total_tokens": 108900, "seed": 4294967295}),
        ({"task_id": UUID, "status": "generating_video_and_sound"},) * 2,
        ({"error": {"message": f"no such task: {UUID}"}},) * 2,
        ({"video_url": f"https://cdn.example/{UUID}.mp4"},) * 2,
        ({"opaque": UUID}, {"opaque": "6c85c8cc…"}),
        ({"opaque": ["a few words", 7, UUID]}, {"opaque": ["a few words", 7, "6c85c8cc…"]}),
        ({"place": f"https://cdn.example/{UUID}/v.mp4"}, {"place": "https://cdn.example/6c85c8cc…/v.mp4"}),
        ({"log": f"began {UUID} at 7"}, {"log": "began 6c85c8cc… at 7"}),
    ],
    ids=str,
)
def test_only_known_fields_are_whole(body: object, shown: object) -> None:
    """A long word of any other field may sign something; numbers under a secret's name are hidden as texts are."""
    assert json.loads(body_shown(body)) == shown


def test_a_minted_token_is_not_in_it_later() -> None:
    """It is cleaned when somebody looks, with what was sent with that request."""
    count = iter(range(100))
    auth = vidpoll.Minted(("ACME_API_KEY",), lambda request, secrets: {"X-Token": f"{next(count)}-token"})
    provider = dataclasses.replace(ACME, auth=auth)
    t = talk([{**DRAWING, "message": f"{n}-token"} for n in range(80)], provider=provider)
    error = t.client.wait(REF, timeout=390, check=False).error
    assert error is not None
    assert "-token" not in str(error.transcript)
    assert len(error.transcript) > 64


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
    recorder.note(REF, 0.0, REQUEST, vidpoll.Response(503, headers, b""), ())
    try:
        half = b"x" * 1_000_000
        raise NoAnswer("the connection broke")
    except NoAnswer as error:
        recorder.note(REF, 1.0, REQUEST, error, ())
        del half
    assert len(pickle.dumps([raw for _, _, raw in recorder._kept])) < 3000


def test_threads_share_a_recorder() -> None:
    """A client may be shared, and so its transcripts: nothing raises, and the bound holds."""
    recorder, wrong = Recorder(3000), []

    def work(number: int) -> None:
        try:
            for at in range(2000):
                recorder.note(f"acme:{number % 2}", float(at), REQUEST, NoAnswer("x"), ())
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
