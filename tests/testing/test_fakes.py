"""The stand-ins for time and network, which users' tests rely on too."""

from __future__ import annotations

import time
from queue import Queue
from typing import Any

import pytest
from acme_provider import DONE, DRAWING, REF, talk

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.net.accounts import WireRequest
from vidpoll.net.workers import Ticket
from vidpoll.testing import FakeClock, FakeTransport, ScaledClock


def send(transport: FakeTransport, url: str = "https://a.example/x", **fields: Any) -> vidpoll.Response:
    return transport.send(WireRequest("GET", url, lambda url: True, **fields), Ticket(lambda t: None, Queue()))


def test_every_kind_of_answer() -> None:
    """A Response, a status with headers and bytes, a status with JSON, a dict, bytes."""
    fake = FakeTransport([vidpoll.Response(418), (503, {"Retry-After": "1"}, b"x"), (404, {"e": 1}), {"a": 1}, b"raw"])
    got = [send(fake) for _ in range(5)]
    assert [(r.status, r.body) for r in got] == [
        (418, b""),
        (503, b"x"),
        (404, b'{"e": 1}'),
        (200, b'{"a": 1}'),
        (200, b"raw"),
    ]
    assert got[1].header("retry-after") == "1"
    assert len(fake.sent) == 5


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        (ConnectionResetError(), True),
        (ConnectionRefusedError(), False),
        (TimeoutError(), True),
        (NoAnswer("x", sent=False), False),
    ],
)
def test_no_answer(reply: BaseException, sent: bool) -> None:
    """An OSError is a lost answer; only a refused connection means that nothing was sent."""
    with pytest.raises(NoAnswer) as caught:
        send(FakeTransport([reply]))
    assert caught.value.sent is sent


def test_the_last_answer_repeats_and_scripts_may_be_by_url() -> None:
    """So that a script ends where the story does."""
    fake = FakeTransport({"/a": [b"1", b"2"], "": [b"other"]})
    assert [send(fake, f"https://x.example{path}").body for path in ("/a", "/b", "/a", "/a")] == [
        b"1",
        b"other",
        b"2",
        b"2",
    ]


def test_a_request_without_an_answer_is_named() -> None:
    """A test whose script is too short says which request it lacks."""
    t = talk({"/other": [DONE]})
    with pytest.raises(vidpoll.ServerError, match="the script has no response for https://"):
        t.client.poll(REF)


def test_bounds_hold_in_the_fake_too() -> None:
    """What the real transport refuses, the fake refuses."""
    with pytest.raises(NoAnswer, match="more than 3 bytes"):
        send(FakeTransport([b"1234"]), max_body=3)


def test_the_fake_clock_jumps_and_keeps_count() -> None:
    """Waits take no time, and are written down."""
    begun = time.monotonic()
    t = talk([*[DRAWING] * 10, DONE])
    t.client.wait(REF)
    assert t.clock.waits == [5.0] * 10
    assert t.clock.time() == t.clock.monotonic() == 1_800_000_050.0
    assert time.monotonic() - begun < 1


def test_a_fake_answer_that_never_comes_is_an_error() -> None:
    """Not an endless test."""
    clock = FakeClock()
    clock.PATIENCE = 0.01
    with pytest.raises(AssertionError, match="fake response did not arrive"):
        clock.get(Queue(), 5.0, busy=True)


def test_the_scaled_clock_is_real_time_made_faster() -> None:
    """A wait of 20 s takes 20 ms at a speed of 1000; both its times agree."""
    clock = ScaledClock(1000.0)
    real, begun, unix, late = time.monotonic(), clock.monotonic(), clock.time(), clock.monotonic()
    assert clock.get(Queue(), 20.0, busy=False) is None
    assert 0.015 < time.monotonic() - real < 10
    least, took, most = clock.monotonic() - late, clock.time() - unix, clock.monotonic() - begun
    assert least >= 15
    assert least - 0.1 < took < most + 0.1
    inbox: Queue[str] = Queue()
    inbox.put("here")
    assert clock.get(inbox, 20.0, busy=True) == "here"
