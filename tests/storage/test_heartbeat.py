"""The heartbeat of who serves."""

from __future__ import annotations

import time
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

import vidpoll
from vidpoll.storage import heartbeat
from vidpoll.storage.heartbeat import Heartbeat


def test_a_slow_hook_keeps_its_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from a thread of its own, whatever the one that serves is at."""
    monkeypatch.setattr(heartbeat, "EVERY", 0.001)
    beats = SimpleQueue[float]()

    def beat() -> float:
        beats.put(time.monotonic())
        return time.monotonic() + 7.0

    store: Any = SimpleNamespace(beat=beat)
    with Heartbeat(store) as heart:
        heart.beat()
        for _ in range(4):  # a hook that does not return before three more were sent
            beats.get(timeout=10)
        heart.sure(heart.lapses)
        assert heart.trusted(time.monotonic())


def test_what_came_late_is_doubted_until_it_was_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat after the former one had run out; one that was overtaken by another takes nothing back."""
    beats = iter([7.0, 9.0, 8.0, 30.0])
    store: Any = SimpleNamespace(beat=lambda: next(beats))
    heart = Heartbeat(store)
    assert not heart.trusted(0.0)
    for _ in range(3):
        heart.beat()
    heart.sure(heart.lapses)
    assert (heart.trusted(8.9), heart.trusted(9.0)) == (True, False)
    heart.beat()
    assert not heart.trusted(25.0)
    heart.sure(heart.lapses)
    assert heart.trusted(25.0)


def test_the_thread_goes_on_whatever_the_store_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all shards were lost with it."""
    monkeypatch.setattr(heartbeat, "EVERY", 0.001)
    errors, over = [ValueError("odd"), vidpoll.StoreError("away")], SimpleQueue[bool]()

    def beat() -> float:
        if errors:
            raise errors.pop()
        over.put(True)
        return 7.0

    store: Any = SimpleNamespace(beat=beat)
    with Heartbeat(store):
        assert over.get(timeout=10)
