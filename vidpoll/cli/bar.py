"""The progress of downloads. On a terminal, one line that is overwritten until another line is printed; elsewhere (a
pipe, cron, a log), a line only when a download stalls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import vidpoll
from vidpoll.clock import Clock
from vidpoll.model import span

from .output import Output

MB = 1_000_000


class _File(NamedTuple):
    """A file that is being downloaded: the second and the byte at which this began, and its latest progress."""

    began: float
    already: int
    last: vidpoll.DownloadProgress

    def rate(self, now: float) -> float:
        """Bytes a second; 0 while none arrive."""
        if now <= self.began or self.last.fault is not None:
            return 0.0
        return (self.last.received - self.already) / (now - self.began)


class Bar:
    """Takes DownloadProgress events. The rate is the average since the download began. `say` prints a lasting line."""

    def __init__(self, out: Output, clock: Clock, say: Callable[[str], object]) -> None:
        self.out = out
        self.say = say
        self.clock = clock
        self._files: dict[str, _File] = {}  # a job's files are downloaded one after another

    def __call__(self, event: vidpoll.DownloadProgress) -> None:
        if not self.out.terminal:
            if event.fault is not None:
                self.say(str(event))
            return
        now = self.clock.monotonic()
        known = self._files.get(event.ref)
        if known is None or known.last.kind != event.kind or event.received < known.already:  # or started again
            known = _File(now, event.received, event)
        self._files[event.ref] = known._replace(last=event)
        if len(self._files) == 1:
            self.out.passing(f"{event.ref} {event.kind}: {_far(self._files[event.ref], now)}")
        else:
            self.out.passing(f"{len(self._files)} files: {_far_together(list(self._files.values()), now)}")

    def over(self, ref: str) -> None:
        """The downloads of this job have ended."""
        self._files.pop(ref, None)


def _far(file: _File, now: float) -> str:
    event = file.last
    if event.fault is not None:
        return f"{event.received / MB:.1f} MB, stalled: {event.fault}"
    return _share(event.received, event.total, file.rate(now))


def _far_together(files: list[_File], now: float) -> str:
    totals = [file.last.total for file in files]
    total = sum(filter(None, totals)) if all(totals) else None
    waiting = sum(file.last.fault is not None for file in files)
    said = _share(sum(file.last.received for file in files), total, sum(file.rate(now) for file in files))
    return f"{said}, {waiting} stalled" if waiting else said


def _share(received: int, total: int | None, rate: float) -> str:
    speed = f", {rate / MB:.1f} MB/s" if rate else ""
    if not total:
        return f"{received / MB:.1f} MB{speed}"
    left = f", {span((total - received) / rate)} left" if rate else ""
    return f"{100 * received // total} % of {total / MB:.1f} MB{speed}{left}"
