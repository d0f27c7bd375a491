"""Writes that a store has refused: each is kept in memory, and done before anything else is written."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable

from ..fork_lock import ForkLock
from .protocol import BadRow

log = logging.getLogger("vidpoll")


class Owed:
    """Calls of a store, in order; each can be made twice. A forked child owes nothing: its parent does."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._lock = ForkLock()
        self._pid = os.getpid()

    def __bool__(self) -> bool:
        return bool(self._calls) and self._pid == os.getpid()

    def add(self, call: Callable[[], object]) -> None:
        """Do this later."""
        if self._pid != os.getpid():
            self._pid, self._calls = os.getpid(), deque()
        self._calls.append(call)

    def pay(self) -> None:
        """Do what waits, the oldest first. Raises StoreError where that fails still: the rest waits on.

        What a store that works will never take is left out: it would keep back all that comes after it.
        """
        if not self:
            return
        with self._lock:
            while self._calls:
                try:
                    self._calls[0]()
                except BadRow as error:
                    log.error("left out: %s", error)
                self._calls.popleft()
