"""How a batch is shown: the hook that tells of its counts, and the words for them. Nothing sleeps."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from batch_runs import Server, night

import vidpoll
from vidpoll.batch.options import Money
from vidpoll.cli.batch import SUMMED, _Pulse, status_text
from vidpoll.cli.output import Output
from vidpoll.testing import FakeClock

NOW = 1_800_000_000.0
STATUS = vidpoll.BatchStatus(
    "night",
    100,
    {"completed": 61, "running": 3, "failed": 2, "waiting": 34},
    {"slots": 32, "budget": 2},
    (vidpoll.AccountStatus("kling", {}, 3, 3), vidpoll.AccountStatus("luma", {}, 3, 0, "money")),
    {"USD": 24.1},
    {},
    Money(40.0, "USD"),
    (NOW + 1200, NOW + 2100),
)


class Looker:
    """Notes each change: when it was told, how many rows were done, and the state of the first row."""

    name = "looker"

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.heard: list[tuple[float, int, str]] = []

    @vidpoll.hookimpl
    def vidpoll_batch_changed(self, batch: vidpoll.BatchStatus, rows: Mapping[str, vidpoll.RowResult]) -> None:
        assert (batch.at, len(rows)) == (self.clock.time(), batch.total)
        self.heard.append((self.clock.now, batch.done, rows["r1"].state))

    @vidpoll.hookimpl
    def vidpoll_batch_ended(self, batch: vidpoll.BatchStatus) -> None:
        self.heard.append((self.clock.now, batch.done, "ended"))


def test_changes_are_told_from_the_beginning_to_the_end(tmp_path: Path) -> None:
    """At most once a second, but for the last time; never where nothing has changed."""
    server = Server(FakeClock(), slots=2)
    looker = Looker(server.clock)
    n = night(tmp_path, server=server, plugins=[looker])
    began = server.clock.now
    assert len(list(n.batch(5))) == 5
    *heard, last, ended = looker.heard
    assert heard[0] == (began, 0, "waiting")
    assert (last[1:], ended[1:]) == ((5, "completed"), (5, "ended"))
    gaps = [after[0] - before[0] for before, after in pairwise(heard)]
    assert min(gaps) >= 1.0
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)
    assert len(heard) <= 2 + 3 * 5


def test_a_batch_that_is_there_already_is_told_as_it_stands(tmp_path: Path) -> None:
    """At its beginning the rows of an earlier run count as done."""
    n = night(tmp_path)
    list(n.batch(3))
    looker = Looker(n.clock)
    again = night(tmp_path, server=n.server, plugins=[looker])
    assert list(again.batch(3)) == []
    assert [heard[1:] for heard in looker.heard] == [(3, "completed")] * 2 + [(3, "ended")]


def test_the_row_of_an_earlier_run_has_the_cost_that_was_reported(tmp_path: Path) -> None:
    n = night(tmp_path, server=Server(FakeClock(), fail=lambda prompt, time: {"error": "bad", "cost": 0.2}))
    list(n.batch(1, price={"shop/clip": "0.5USD"}))
    again = night(tmp_path, server=n.server).batch(1, price={"shop/clip": "0.5USD"})
    assert list(again) == []
    assert again.rows["r1"].cost == vidpoll.Cost(0.2, 0.0, "USD", "reported")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.0, 0.5, ""),
        (0.0, 4.0, "0 to 10 s"),
        (1.0, 67.0, "0 to 70 s"),
        (1200.0, 2100.0, "20 to 35 min"),
        (2090.0, 2100.0, "35 min"),
        (3000.0, 30_000.0, "1 to 8.5 h"),
    ],
)
def test_the_time_that_is_left(low: float, high: float, said: str) -> None:
    assert replace(STATUS, finish=(NOW + low, NOW + high)).left(NOW) == said


def test_how_a_batch_stands_on_a_line() -> None:
    """What matters most first: a terminal may cut it. One without a forecast says none."""
    assert status_text(STATUS, NOW) == (
        "61 of 100 done, 24.1 of 40 USD, 20 to 35 min left, luma stopped: money, 2 failed, 3 running, "
        "34 waiting (budget 2, slots 32)"
    )
    assert status_text(vidpoll.BatchStatus("night", 2, {"completed": 2}, {}, (), {}, {}), NOW) == "2 of 2 done"


class Terminal(io.StringIO):
    """Standard output of 80 columns, in front of somebody or not."""

    def __init__(self, looked_at: bool) -> None:
        super().__init__()
        self.looked_at = looked_at

    def isatty(self) -> bool:
        return self.looked_at


def said(monkeypatch: pytest.MonkeyPatch, seconds: int, *, terminal: bool) -> list[str]:
    """What is written in so many seconds of waiting, half of them after a change."""
    stream = Terminal(terminal)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", "80")
    clock = FakeClock()
    pulse = _Pulse(clock, Output())
    inbox: Queue[Any] = Queue()
    for _ in range(2):
        pulse.vidpoll_batch_changed(replace(STATUS, finish=None))
        end = clock.now + seconds / 2
        while clock.now < end:
            pulse.get(inbox, end - clock.now, busy=False)
    return stream.getvalue().replace("\r", "\n").splitlines()


def test_a_passing_line_a_second_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never wraps."""
    lines = [line for line in said(monkeypatch, 10, terminal=True) if line.strip()]
    assert set(lines) == {status_text(replace(STATUS, finish=None), NOW)[:79]}
    assert len(lines) == 9


def test_a_line_now_and_then_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where something has changed: a log of a quiet night stays short."""
    lines = said(monkeypatch, int(SUMMED * 10), terminal=False)
    text = status_text(replace(STATUS, finish=None), NOW)
    assert lines == [f"{at * SUMMED:7.1f} s  {text}" for at in (1, 5)]
