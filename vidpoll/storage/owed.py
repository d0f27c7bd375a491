"""Writes that a store has refused: they stay in memory, and are repeated before anything else is written."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable

from ..fork_lock import ForkLock
from .protocol import BadRow

log = logging.getLogger("vidpoll")


class Owed:
    """Calls of a store, in order; each call may be made twice. A forked child owes nothing: its parent does."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._lock = ForkLock()
        self._pid = os.getpid()

    def __bool__(self) -> bool:
        return bool(self._calls) and self._pid == os.getpid()

    def add(self, call: Callable[[], object]) -> None:
        """Add a call to make later."""
        if self._pid != os.getpid():
            self._pid, self._calls = os.getpid(), deque()
        self._calls.append(call)

    def pay(self) -> None:
        """Make the waiting calls, the oldest first. Raises StoreError if one still fails; the rest then stays.

        A call with a BadRow is logged and dropped: it will never succeed, and would block all calls after it.
        """
        if not self:
            return
        with self._lock.current:
            while self._calls:
                try:
                    self._calls[0]()
                except BadRow as error:
                    log.error("not stored: %s", error)
                self._calls.popleft()
