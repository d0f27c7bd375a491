"""The heartbeat of who serves."""

from __future__ import annotations

import time
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

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
