"""The signal of a worker's main process to its children that the worker ends: `stop` of a task that serves."""

from __future__ import annotations

import mmap
import os
import threading


class Stopping(threading.Event):
    """An event that forked children see: one byte of memory that they share with the process that made it.

    For a child whose worker's main process is gone it also counts as set: that process can no longer set it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._main = 0
        self._page = mmap.mmap(-1, 1)

    def is_set(self) -> bool:
        """Whether it was set, here or in the process that forked this one, or that process is gone."""
        return self._page[0] != 0 or self._main not in (0, os.getpid(), os.getppid())

    def begin(self) -> None:
        """A worker starts, with this process as its main process."""
        self._main = os.getpid()
        self._page[0] = 0
        self.clear()

    def set(self) -> None:
        """Set it for this process and its children."""
        self._page[0] = 1
        super().set()
