"""How far a download is. On a terminal it is one line that is written over until something else is said; elsewhere (a
pipe, cron, a log) a line is said where no bytes come.
"""

from __future__ import annotations

from collections.abc import Callable

import vidpoll
from vidpoll.clock import Clock

from .heartbeat import span
from .output import Output

MB = 1_000_000


class Bar:
    """Takes DownloadProgress events. The rate is that of the bytes that came by now. `say` says a line that stays."""

    def __init__(self, out: Output, clock: Clock, say: Callable[[str], object]) -> None:
        self.out = out
        self.say = say
        self.clock = clock
        self._file: tuple[str, str] | None = None
        self._start = (0.0, 0)

    def __call__(self, event: vidpoll.DownloadProgress) -> None:
        if not self.out.terminal:
            if event.fault is not None:
                self.say(str(event))
            return
        now = self.clock.monotonic()
        if self._file != (event.ref, event.kind) or event.received < self._start[1]:  # another file, or begun anew
            self._file, self._start = (event.ref, event.kind), (now, event.received)
        self.out.passing(f"{event.ref} {event.kind}: {self._far(event, now)}")

    def _far(self, event: vidpoll.DownloadProgress, now: float) -> str:
        if event.fault is not None:
            return f"{event.received / MB:.1f} MB, no news: {event.fault}"
        began, already = self._start
        rate = (event.received - already) / (now - began) if now > began else 0.0
        speed = f", {rate / MB:.1f} MB/s" if rate else ""
        if not event.total:
            return f"{event.received / MB:.1f} MB{speed}"
        left = f", {span((event.total - event.received) / rate)} left" if rate else ""
        share = 100 * event.received // event.total
        return f"{share} % of {event.total / MB:.1f} MB{speed}{left}"
