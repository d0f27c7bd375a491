"""A lock that a forked child creates anew: the thread that held it in the parent cannot release it in the child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any


class ForkLock:
    """A lock for one process. `make` creates the lock itself (a Lock, RLock or Condition); `with` returns it.

    The guarded data may also need a reset in a child: `forked` is True there until the lock is taken.
    """

    __slots__ = ("_lock", "_make", "_pid")

    def __init__(self, make: Callable[[], Any] = threading.Lock) -> None:
        self._make = make
        self._pid, self._lock = os.getpid(), make()

    @property
    def forked(self) -> bool:
        """Whether the lock is still that of a parent process."""
        return self._pid != os.getpid()

    def __enter__(self) -> Any:
        if self.forked:
            self._pid, self._lock = os.getpid(), self._make()
        self._lock.__enter__()
        return self._lock

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__(*error)
