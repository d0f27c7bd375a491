"""Verdicts on their way to the broker: in order, never delaying the loop, and dropped if no broker takes them."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from vidpoll_celery import carrier as carrier_module
from vidpoll_celery.carrier import ENOUGH, Carrier, Hooks

import vidpoll

DONE = vidpoll.Snapshot(vidpoll.State.COMPLETED, "done", assets_due=False)


def job(at: float) -> tuple[vidpoll.Job, Any]:
    """A completed one, and its event."""
    made = vidpoll.Job("acme:j1", key="order-42")
    made.receive(DONE, at)
    return made, made.verdict(at)


def test_in_order_and_by_another_thread() -> None:
    """The loop does not wait for the broker."""
    gate, sent = threading.Event(), []

    def send(data: Any) -> None:
        gate.wait(5.0)
        sent.append((data["n"], threading.current_thread() is threading.main_thread()))

    carrier = Carrier(send, lambda: 0)
    for number in range(3):
        carrier.hand_over({"n": number}, again=False)
    assert sent == []
    gate.set()
    carrier.flush(5.0)
    assert sent == [(0, False), (1, False), (2, False)]
    carrier.hand_over({"n": 3}, again=False)
    carrier.flush(5.0)
    assert sent[3:] == [(3, False)]


@pytest.mark.parametrize(("waiting", "sent"), [(ENOUGH - 1, ["first", "again"]), (ENOUGH, ["first"])])
def test_none_is_sent_again_into_a_long_queue(waiting: int, sent: list[str]) -> None:
    """It holds the verdicts already; each minute would add them all."""
    got: list[str] = []
    carrier = Carrier(lambda data: got.append(data["n"]), lambda: waiting)
    carrier.hand_over({"n": "first"}, again=False)
    carrier.hand_over({"n": "again"}, again=True)
    carrier.flush(5.0)
    assert got == sent


@pytest.mark.parametrize(("waits", "sent"), [(5.0, ["a", "b"]), (0.0, ["b"])])
def test_a_broker_that_is_gone(
    waits: float, sent: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again, until the store reports the verdict again; the log contains no address."""
    monkeypatch.setattr(carrier_module, "PAUSE", 0.0)
    monkeypatch.setattr(carrier_module, "AGAIN", waits)
    tries, got = [], []

    def send(data: Any) -> None:
        tries.append(data["ref"])
        if len(tries) <= 1:
            raise OSError("redis://:secret@redis/0 refused")
        got.append(data["ref"])

    carrier = Carrier(send, lambda: 0)
    with caplog.at_level(logging.WARNING, "vidpoll"):
        for ref in ("a", "b"):
            carrier.hand_over({"ref": ref}, again=False)
        carrier.flush(5.0)
    assert got == sent
    lost = ["a: the verdict did not reach the broker (OSError); it will be sent again"]
    assert caplog.messages == ([] if "a" in sent else lost)


class Noted:
    """Takes what is handed over, or refuses it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.got: list[tuple[Any, bool]] = []
        self.error = error

    def hand_over(self, data: Any, *, again: bool) -> None:
        if self.error:
            raise self.error
        self.got.append((data, again))


@pytest.mark.parametrize(("age", "again"), [(1.0, False), (60.0, True)])
def test_a_verdict_is_handed_over(age: float, again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, for later; a verdict that is a minute old counts as repeated."""
    monkeypatch.setattr("vidpoll_celery.carrier.time.time", lambda: 1000.0 + age)
    noted = Noted()
    made, event = job(1000.0)
    assert Hooks(noted).vidpoll_completed(made, event) is vidpoll.LATER  # type: ignore[arg-type]
    assert noted.got == [(vidpoll.dump(made), again)]


def test_a_verdict_that_cannot_be_handed_over_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """A hook that raises would count as notified."""
    made, event = job(1000.0)
    hooks = Hooks(Noted(RuntimeError("no thread")))  # type: ignore[arg-type]
    assert hooks.vidpoll_failed(made, event) is vidpoll.LATER
    assert caplog.messages == ["acme:j1: the verdict was not handed over: RuntimeError"]
