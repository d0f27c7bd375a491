"""The heartbeat of a wait on a terminal: after a while without output, a line says which jobs are still unfinished.

A `Heart` is a clock, because all waiting goes through the clock, and a plugin, because it must see every response.
"""

from __future__ import annotations

import threading
from queue import Queue
from typing import TypeVar

import vidpoll
from vidpoll.clock import Clock
from vidpoll.model import span

from .output import Output

T = TypeVar("T")


class Heart:
    """Prints "still …" on `out` after half a minute without output; the time comes from `clock`."""

    EVERY = 30.0
    name = "heartbeat"

    def __init__(self, clock: Clock, out: Output) -> None:
        self.clock = clock
        self.out = out
        self.thread = threading.current_thread()
        """The thread that waits and prints."""
        self.start = self.spoken = clock.monotonic()
        self.answered: float | None = None
        self.jobs: dict[str, vidpoll.Job] = {}
        self.polled: dict[str, vidpoll.Polled] = {}
        self.displayed = False
        """Whether a plugin displays the jobs; then nothing is printed here."""

    def monotonic(self) -> float:
        return self.clock.monotonic()

    def time(self) -> float:
        return self.clock.time()

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        if threading.current_thread() is not self.thread:  # a thread that downloads a file
            return self.clock.get(inbox, timeout, busy=busy)
        self._beat()
        return self.clock.get(inbox, min(timeout, self.EVERY) if self.jobs else timeout, busy=busy)

    @vidpoll.hookimpl
    def vidpoll_polled(self, job: vidpoll.Job, event: vidpoll.Polled) -> None:
        self.answered = self.clock.monotonic()
        before, self.polled[job.ref] = self.polled.get(job.ref), event
        self.jobs[job.ref] = job
        if event.late and not (before and before.late) and not self.displayed:
            self.said()
            self.out.line(f"{job.ref} is taking longer than usual")

    def said(self) -> None:
        """A line was printed: the next heartbeat comes half a minute later."""
        self.spoken = self.clock.monotonic()

    def _beat(self) -> None:
        now = self.clock.monotonic()
        going = [job for job in self.jobs.values() if not job.final and job.error is None]
        if self.displayed or now - self.spoken < self.EVERY or not going or self.answered is None:
            return
        self.spoken = now
        what = f"{len(going)} jobs" if len(going) > 1 else _doing(going[0])
        left = _left([self.polled[job.ref] for job in going], self.time())
        self.out.line(f"still {what}, {span(now - self.start)}{left}, last response {span(now - self.answered)} ago")


def _doing(job: vidpoll.Job) -> str:
    progress = "" if job.progress is None else f" {job.progress:.0f} %"
    return f"{job.stage or job.state}{progress}"


def _left(polled: list[vidpoll.Polled], now: float) -> str:
    """When the last of the jobs is expected to end; empty if that is unknown for one of them."""
    expected = [(event.at + event.eta[0] - now, event.at + event.eta[1] - now) for event in polled if event.eta]
    if len(expected) < len(polled):
        return ""
    low, high = (max(0.0, *ends) for ends in zip(*expected, strict=True))
    return f", {_rough(low)} to {_rough(high)} left" if high >= 1 else ""


def _rough(seconds: float) -> str:
    """Seconds as `span` writes them, rounded to the precision of a forecast."""
    step = 1 if seconds < 20 else 10 if seconds < 300 else 60
    return span(round(seconds / step) * step)
