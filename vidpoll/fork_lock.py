"""A lock that a forked child creates anew: the thread that held it in the parent cannot release it in the child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any


class ForkLock:
    """A lock for one process, which `make` creates (a Lock or an RLock). Hold it by `with lock.current:`.

    This `with` is on the native lock: Ctrl-C cannot arrive between acquiring it and entering the block. An `__enter__`
    in Python, also that of a Condition, may be interrupted there, and then the lock is held for ever.
    The guarded data may also need a reset in a child: `forked` is True there until `current` is read.
    """

    __slots__ = ("_locks", "_make")

    def __init__(self, make: Callable[[], Any] = threading.Lock) -> None:
        self._make = make
        self._locks = {os.getpid(): make()}

    @property
    def forked(self) -> bool:
        """Whether the lock is still that of a parent process."""
        return os.getpid() not in self._locks

    @property
    def current(self) -> Any:
        """The lock of this process."""
        pid = os.getpid()
        lock = self._locks.get(pid)
        return self._locks.setdefault(pid, self._make()) if lock is None else lock
