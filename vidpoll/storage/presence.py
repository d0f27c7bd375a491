"""Which owners are alive, by file locks: each owner locks a byte of a file beside the store; the lock ends with it.

This works for processes that cannot be looked up by their number: those of another container of this host, and those of
a container before its restart. They all share the kernel and its locks, on which SQLite relies as well.
"""

from __future__ import annotations

import contextlib
import os
import threading
import zlib
from pathlib import Path

from ..fork_lock import ForkLock

try:
    import fcntl
except ImportError:  # Windows: time decides
    fcntl = None  # type: ignore[assignment]

_guard = ForkLock(threading.RLock)  # reentrant: the garbage collector may call `leave` in the middle of a call
_files: dict[tuple[int, str], list[int]] = {}  # by process and path: the descriptor, and how many owners use it
"""One per path: closing any descriptor of a file releases all locks that the process has on the file."""


def enter(path: Path, owner: str) -> bool:
    """Lock the byte of an owner of this process, until it leaves or the process ends. False if that is impossible."""
    with _guard.current, contextlib.suppress(OSError):
        if fcntl is None:
            return False
        beside, key = Path(f"{path}-owners"), (os.getpid(), str(path))
        file = _files.get(key)
        if file is None:
            flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
            file = _files[key] = [os.open(beside, flags, 0o600), 0]
        file[1] += 1
        try:
            if os.path.samestat(os.fstat(file[0]), beside.stat()):  # else it was moved away with its store
                fcntl.lockf(file[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(owner))
                return True
        except OSError:
            pass
        leave(path, os.getpid())
    return False


def leave(path: Path, pid: int) -> None:
    """Release one owner that has entered in process `pid`."""
    with _guard.current:
        file = _files.get((pid, str(path)))
        if file is None or pid != os.getpid():
            return
        file[1] -= 1
        if file[1] <= 0:
            os.close(_files.pop((pid, str(path)))[0])


def gone(path: Path, owner: str) -> bool:
    """Whether an owner of another process, which had entered, is gone."""
    with _guard.current, contextlib.suppress(OSError):
        file = _files.get((os.getpid(), str(path)))
        if file is not None and fcntl is not None:
            fcntl.lockf(file[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(owner))
            fcntl.lockf(file[0], fcntl.LOCK_UN, 1, _byte(owner))
            return True
    return False


def _byte(owner: str) -> int:
    return zlib.crc32(owner.encode("utf-8", "surrogateescape"))
