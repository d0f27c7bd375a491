"""The worker's main process tells its children that it ends: `stop` of a task that serves."""

from __future__ import annotations

import mmap
import threading


class Stopping(threading.Event):
    """An event that forked children see: one byte of memory that they share with the process that made it."""

    def __init__(self) -> None:
        super().__init__()
        self._page = mmap.mmap(-1, 1)

    def is_set(self) -> bool:
        """Whether it was set, here or in the process that forked this one."""
        return self._page[0] != 0

    def set(self) -> None:
        """Set it, also for the children."""
        self._page[0] = 1
        super().set()
