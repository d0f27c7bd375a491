"""The passing line of downloads: one file, several at once, one of which no news come."""

from __future__ import annotations

from typing import Any

import pytest

import vidpoll
from vidpoll.cli.bar import Bar
from vidpoll.testing import FakeClock

MB = 1_000_000


class Screen:
    """What is written over, and what stays."""

    def __init__(self, *, terminal: bool = True) -> None:
        self.terminal = terminal
        self.passed: list[str] = []

    def passing(self, text: str) -> None:
        self.passed.append(text)


def progress(ref: str, received: int, total: int | None = 40, fault: str | None = None) -> vidpoll.DownloadProgress:
    return vidpoll.DownloadProgress(ref, 0.0, "video", received * MB, total and total * MB, fault)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_one_file(screen: Screen) -> None:
    """How much of it is there, how fast it comes, how long it takes; from a server that tells no length, the bytes."""
    clock = FakeClock()
    bar = Bar(screen, clock, print)  # type: ignore[arg-type]
    bar(progress("acme:a", 0))
    clock.now += 2
    bar(progress("acme:a", 10))
    bar(progress("acme:a", 10, fault="reset"))
    bar.over("acme:a")
    bar(progress("acme:b", 5, None))
    assert screen.passed == [
        "acme:a video: 0 % of 40.0 MB",
        "acme:a video: 25 % of 40.0 MB, 5.0 MB/s, 6 s left",
        "acme:a video: 10.0 MB, stalled: reset",
        "acme:b video: 5.0 MB",
    ]


def test_several_files_at_once(screen: Screen) -> None:
    """Together: the sum of their bytes, and of how fast they come."""
    clock = FakeClock()
    bar = Bar(screen, clock, print)  # type: ignore[arg-type]
    bar(progress("acme:a", 0))
    bar(progress("acme:b", 20))
    clock.now += 2
    bar(progress("acme:a", 10))
    bar(progress("acme:b", 30))
    bar(progress("acme:b", 30, fault="reset"))
    bar.over("acme:a")
    bar(progress("acme:b", 40))
    assert screen.passed[1:] == [
        "2 files: 25 % of 80.0 MB",
        "2 files: 37 % of 80.0 MB, 5.0 MB/s, 10 s left",
        "2 files: 50 % of 80.0 MB, 10.0 MB/s, 4 s left",
        "2 files: 50 % of 80.0 MB, 5.0 MB/s, 8 s left, 1 stalled",
        "acme:b video: 100 % of 40.0 MB, 10.0 MB/s, 0 s left",
    ]


def test_elsewhere_faults_are_lines() -> None:
    said: list[Any] = []
    bar = Bar(Screen(terminal=False), FakeClock(), said.append)  # type: ignore[arg-type]
    bar(progress("acme:a", 10))
    bar(progress("acme:a", 10, fault="reset"))
    assert said == ["acme:a video: 10,000,000 of 40,000,000 bytes, no news: reset"]
