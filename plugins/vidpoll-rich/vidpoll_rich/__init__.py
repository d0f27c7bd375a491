"""Live progress for vidpoll: a row for each job in a wait, a bar for each file, drawn with rich.

    with vidpoll.Client(plugins=[RichProgress()]) as client: ...        # the command line uses it when it is installed

Hooks only record events; a thread draws (`screen`). Importing this module draws nothing, and does not import rich.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

import vidpoll

from .board import Board

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from .screen import Screen

__all__ = ["RichProgress"]

SUMMED = 60.0
"""Seconds between two status lines of a batch, when there are no rows."""


class RichProgress:
    """Shows the state of jobs and downloads on `file` (default: standard error) while a client waits.

    On a suitable terminal each job has a row, and a verdict is a line that stays. Elsewhere (a file, Jupyter, NO_COLOR,
    TERM=dumb, fewer than 60 columns, even later) each change is a plain line. The state of a batch is below the rows.
    `now` returns the Unix second; pass the client's clock if it has one of its own. `verdicts=False` leaves verdicts
    and saved files to the caller.
    """

    name = "rich-progress"

    def __init__(
        self, file: TextIO | None = None, *, now: Callable[[], float] = time.time, verdicts: bool = True
    ) -> None:
        self.file = file
        self.now = now
        self.verdicts = verdicts
        self._board = Board()
        self._screen: Screen | None = None
        self._live = False
        self._summed = -math.inf

    @vidpoll.hookimpl
    def vidpoll_began(self, jobs: Sequence[vidpoll.Job], action: str) -> None:
        self._board.began(jobs, self.now(), waits=action == "wait")
        self._begin()

    @vidpoll.hookimpl
    def vidpoll_ended(self, jobs: Sequence[vidpoll.Job], action: str) -> None:
        if self._board.ended(jobs, waits=action == "wait"):
            self._end()

    @vidpoll.hookimpl
    def vidpoll_batch_changed(self, batch: vidpoll.BatchStatus) -> None:
        self._board.batch(batch, self.now())
        self._begin()
        if not self._live and batch.at - self._summed >= SUMMED:
            self._summed = batch.at
            self._say(str(batch), "", batch.at)

    @vidpoll.hookimpl
    def vidpoll_batch_stopped(self, batch: vidpoll.BatchStatus, text: str) -> None:
        if self.verdicts:
            self._say(text, "yellow", batch.at)

    @vidpoll.hookimpl
    def vidpoll_batch_ended(self, batch: vidpoll.BatchStatus, text: str) -> None:
        if self.verdicts:
            self._say(text, "bold", batch.at)
        if self._board.batch_ended(batch.name):
            self._end()

    def _begin(self) -> None:
        if self._screen is None:
            self._live = False
            from .screen import Screen

            self._screen = Screen(_console(sys.stderr if self.file is None else self.file), self._fits, self._paint)
        self._screen.start()

    def _end(self) -> None:
        if self._screen is not None:
            self._screen.stop()
            self._screen = None  # standard error may be a different stream in the next wait

    @vidpoll.hookimpl
    def vidpoll_polled(self, job: vidpoll.Job, event: vidpoll.Polled) -> None:
        self._board.hear(job, event)

    @vidpoll.hookimpl
    def vidpoll_download_progress(self, job: vidpoll.Job, event: vidpoll.DownloadProgress) -> None:
        self._board.hear(job, event)

    @vidpoll.hookimpl
    def vidpoll_stage_changed(self, job: vidpoll.Job, event: vidpoll.StageChanged) -> None:
        self._passing(job, event)

    @vidpoll.hookimpl
    def vidpoll_progress(self, job: vidpoll.Job, event: vidpoll.ProgressChanged) -> None:
        self._passing(job, event)

    @vidpoll.hookimpl
    def vidpoll_poll_failed(self, job: vidpoll.Job, event: vidpoll.PollFailed) -> None:
        self._passing(job, event)

    @vidpoll.hookimpl
    def vidpoll_stalled(self, job: vidpoll.Job, event: vidpoll.Stalled) -> None:
        self._passing(job, event)

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job, event: vidpoll.Completed) -> None:
        self._lasting(job, event, "green")

    @vidpoll.hookimpl
    def vidpoll_failed(self, job: vidpoll.Job, event: vidpoll.Failed) -> None:
        self._lasting(job, event, "red")

    @vidpoll.hookimpl
    def vidpoll_gave_up(self, job: vidpoll.Job, event: vidpoll.GaveUp) -> None:
        self._lasting(job, event, "yellow")

    @vidpoll.hookimpl
    def vidpoll_downloaded(self, job: vidpoll.Job, event: vidpoll.Downloaded) -> None:
        self._lasting(job, event, "green")

    def _passing(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
        """An event that a row shows; without rows it is a line."""
        self._board.hear(job, event)
        if not self._live:
            self._say(event, "", event.at)

    def _lasting(self, job: vidpoll.Job, event: vidpoll.Event, style: str) -> None:
        self._board.hear(job, event)
        if self.verdicts:
            self._say(event, style, event.at)

    def _say(self, said: object, style: str, at: float) -> None:
        if self._screen is not None:
            from rich.text import Text

            stamp = time.strftime("%H:%M:%S", time.localtime(at))
            text = "".join(char if char.isprintable() else " " for char in str(said))
            self._screen.say(Text.assemble((stamp, "dim"), "  ", (text, style)))

    def _fits(self, console: Console) -> bool:
        """Whether rows can be drawn now; otherwise there are lines."""
        self._live = _fit(console)
        return self._live

    def _paint(self, console: Console) -> list[Text]:
        from .paint import Size, lines

        size = Size(console.width, console.height, not console.encoding.lower().startswith("utf"))
        return lines(self._board.view(), self.now(), size)


@vidpoll.hookimpl
def vidpoll_display(now: Callable[[], float]) -> RichProgress | None:
    """The display of the command line; the command itself prints the verdicts."""
    if sys.stdout is None or not _fit(_console(sys.stdout)):
        return None
    return RichProgress(sys.stdout, now=now, verdicts=False)


def _console(file: TextIO) -> Console:
    from rich.console import Console

    return Console(file=file, highlight=False, markup=False, emoji=False)


def _fit(console: Console) -> bool:
    """Whether rows can be drawn. rich itself would also agree for a file, if FORCE_COLOR is set."""
    from .paint import NARROW

    return (
        bool(getattr(console.file, "isatty", bool)())
        and not os.environ.get("NO_COLOR")
        and not (console.is_dumb_terminal or console.is_jupyter or console.legacy_windows)
        and console.width >= NARROW
    )
