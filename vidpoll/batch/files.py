"""Files that are fetched in threads of their own while the loop goes on. The loop takes what came when it is nudged."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from .progress import RowRun

PARALLEL = 4
"""Rows whose files are fetched at once."""


class Came(NamedTuple):
    """The files of a row, or why they are not there."""

    row: RowRun
    paths: tuple[Path, ...] = ()
    error: Exception | None = None


class Background:
    """Fetches the files of rows, so many rows at once. `nudge` wakes the loop, whatever thread calls it."""

    def __init__(self, nudge: Callable[[], None], parallel: int = PARALLEL) -> None:
        self._nudge = nudge
        self._spare = parallel
        self._waiting: deque[tuple[RowRun, Callable[[], list[Path]]]] = deque()
        self._came: SimpleQueue[Came] = SimpleQueue()
        self._open = 0

    @property
    def busy(self) -> bool:
        """Whether a thread is at work, or has brought something."""
        return self._open > 0

    def fetch(self, row: RowRun, work: Callable[[], list[Path]]) -> None:
        """Have `work` bring the files of a row, in its turn."""
        self._open += 1
        self._waiting.append((row, work))
        self._start()

    def take(self) -> list[Came]:
        """What came since; called by the loop's thread, as `fetch` is."""
        came = []
        while not self._came.empty():
            came.append(self._came.get())
        self._open -= len(came)
        self._spare += len(came)
        self._start()
        return came

    def _start(self) -> None:
        while self._spare > 0 and self._waiting:
            self._spare -= 1
            row, work = self._waiting.popleft()
            threading.Thread(target=self._run, args=(row, work), name="vidpoll-files", daemon=True).start()

    def _run(self, row: RowRun, work: Callable[[], list[Path]]) -> None:
        try:
            came = Came(row, tuple(work()))
        except Exception as error:  # noqa: BLE001 - the loop's thread judges it
            came = Came(row, error=error)
        self._came.put(came)
        self._nudge()
