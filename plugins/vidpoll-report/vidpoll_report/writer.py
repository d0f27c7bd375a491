"""Writes a file again and again in a thread of its own, whole each time; knows not what is in it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

REST = 0.5
"""Seconds between two writes at least, and ten times as long as the last one took."""


class Writer:
    """Keeps the file at `path` up to date: `soon` asks for it, `flush` waits for it. `make` gives the whole text."""

    def __init__(self, path: Path, make: Callable[[], str]) -> None:
        self.path = path
        self._make = make
        self._changed = threading.Condition()
        self._due = self._busy = self._hurry = False
        self._wrong: Exception | None = None

    def soon(self) -> None:
        """Have the file written; returns at once."""
        with self._changed:
            self._due = True
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._work, name="vidpoll-report", daemon=True).start()

    def flush(self, seconds: float) -> None:
        """Wait until the file is up to date, so many seconds at most. Raises what went wrong with it."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._busy, seconds)
            wrong, self._wrong = self._wrong, None
        if wrong is not None:
            raise wrong
        if not done:
            raise TimeoutError(f"{self.path} is not written after {seconds:g} s")

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._due:
                    self._busy = self._hurry = False
                    self._changed.notify_all()
                    return
                self._due = False
            began = time.monotonic()
            try:
                whole(self.path, self._make())
                self._wrong = None
            except Exception as error:  # noqa: BLE001 - whatever it is, whoever flushes hears of it
                self._wrong = error
            with self._changed:
                rest = max(REST, 10 * (time.monotonic() - began))
                self._changed.wait_for(lambda: self._hurry, rest)


def whole(path: Path, text: str) -> None:
    """Write a file so that under its name there is the old one or the new one, never a part. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(path))  # noqa: PTH101 - a name, not yet a Path
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise


def _mode(path: Path) -> int:
    """Of the file that is there; a new one may be read by whoever may read what this process writes."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
