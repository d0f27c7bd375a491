"""Messages that survive a crash: one small SQLite file for each process, in a folder that processes share.

SQLite provides what a spool needs: a commit is on disk, and a file is locked while its process lives, on every system.
A file that is not locked was left behind. While no message is unsent, there is no file. This module does not know
services.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import time
import weakref
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import vidpoll

from .message import Message

log = logging.getLogger("vidpoll.apprise")

MAX_AGE = 7 * 86400.0
"""Seconds after which an unsent message is dropped."""


class Spool:
    """The messages of this process that some service has not received yet. Threads may share it.

    Raises UsageError if the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).absolute()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise vidpoll.UsageError(f"the spool folder {self._folder} cannot be made: {error.strerror}") from None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._file: sqlite3.Connection | None = None
        self._parents: object = None

    def add(self, message: Message, *, at: float | None = None) -> None:
        """Put a message, of Unix second `at` (default: now), on disk. Raises sqlite3.Error if that fails."""
        body = json.dumps({"said": message.said, "tally": message.tally})
        with self._lock:
            row = self._own().execute(
                "INSERT INTO messages (at, body, told) VALUES (?, ?, ?)",
                (time.time() if at is None else at, body, json.dumps(sorted(message.told))),
            )
            message.key = row.lastrowid

    def told(self, message: Message, *, done: bool) -> None:
        """Record the services that have a message; `done` removes it, because all have it."""
        with self._lock:
            if message.key is None or self._pid != os.getpid():
                return
            if not done:
                told = json.dumps(sorted(message.told))
                self._own().execute("UPDATE messages SET told = ? WHERE key = ?", (told, message.key))
                return
            self._own().execute("DELETE FROM messages WHERE key = ?", (message.key,))
            message.key = None  # a slower service need not record anything
            if self._own().execute("SELECT key FROM messages LIMIT 1").fetchone() is None:
                self._remove()

    def adopt(self) -> list[Message]:
        """Move the messages that other processes left behind into this process's file; oldest first."""
        found: list[tuple[float, Message]] = []
        for path in sorted(self._folder.glob("*.sqlite3")):
            try:
                with closing(_connect(path, "rw")) as file:
                    file.execute("BEGIN EXCLUSIVE")  # fails while its process lives
                    file.execute(_TABLE)
                    for at, body, told in file.execute("SELECT at, body, told FROM messages ORDER BY key").fetchall():
                        found += self._adopted(at, _read(body, told))
                    file.execute("DELETE FROM messages")
                    file.execute("COMMIT")
                path.unlink(missing_ok=True)
            except sqlite3.OperationalError as error:
                log.info("%s is not taken over: %s", path, error)
            except (sqlite3.Error, OSError, ValueError, TypeError, KeyError) as error:
                log.warning("%s cannot be read (%s): delete it", path, type(error).__name__)
        return [message for _, message in sorted(found, key=lambda each: each[0])]

    def _adopted(self, at: float, message: Message) -> list[tuple[float, Message]]:
        if time.time() - at > MAX_AGE:
            log.warning("too old to be sent: %s", message.said["text"])
            return []
        self.add(message, at=at)
        return [(at, message)]

    def _own(self) -> sqlite3.Connection:
        """The file of this process, made for the first message."""
        if self._pid != os.getpid():  # SQLite forbids a forked child to use a connection of its parent
            self._parents, self._file, self._pid = self._file, None, os.getpid()
        if self._file is None:
            self._path = self._folder / f"{uuid4().hex}.sqlite3"
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # its WAL gets the same mode
            self._file = _connect(self._path, "rw")
            self._close = weakref.finalize(self, self._file.close)
            self._close.atexit = False  # messages sent at the end of the process must also be recorded
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")  # the lock stays until the process ends
            self._file.execute("PRAGMA journal_mode = WAL")  # only one sync per commit, because a hook waits for it
            self._file.execute("PRAGMA synchronous = FULL")
            self._file.execute(_TABLE)
        return self._file

    def _remove(self) -> None:
        self._close()
        self._file = None
        with contextlib.suppress(OSError):  # another process is reading the file, and will remove it
            self._path.unlink()


_TABLE = "CREATE TABLE IF NOT EXISTS messages (key INTEGER PRIMARY KEY, at REAL, body TEXT, told TEXT)"


def _read(body: str, told: str) -> Message:
    kept = json.loads(body)
    return Message(kept["said"], kept["tally"], told=frozenset(json.loads(told)))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
