"""A record of every event for vidpoll: one line each, in a rotated file, for a night's run.

    with vidpoll.Client(plugins=[LogFile("night.log")]) as client: ...      # or VIDPOLL_LOG=night.log vidpoll wait …

The thread that waits writes each line as the event happens, so the line is in the file even if the process then dies.
A line contains no signature of a URL and no control character.
"""

from __future__ import annotations

import contextlib
import json as _json
import logging
import os
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll import notify

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")


class LogFile(notify.Listener):
    """Writes every event to the file `path`, or to standard error if it is "-".

    Lines are JSON objects if `json` is True, or None with a file named like night.jsonl; otherwise they are key=value
    pairs. A file that has reached `max_bytes` is renamed to night.log.1 and so on, and `keep` of these are kept; with
    `max_bytes=0` the file grows without limit. Raises UsageError if the file cannot be written to.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, json: bool | None = None, max_bytes: int = 10_000_000, keep: int = 5
    ) -> None:
        self.path = os.fspath(path)
        self._line = _json_line if _wants_json(self.path, json) else _pairs
        if type(max_bytes) is not int or max_bytes < 0 or type(keep) is not int or keep < 1:  # True is an int, too
            raise vidpoll.UsageError(
                f"{self.path}: max_bytes must be a whole number from 0 and keep one from 1, "
                f"got max_bytes={max_bytes!r}, keep={keep!r}"
            )
        self._handler = _open(self.path, max_bytes, keep)
        weakref.finalize(self, _leave, self._handler)

    def hear(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
        """Write the event's line. Raises OSError if that fails: vidpoll warns, and the wait continues."""
        self.hear_batch(notify.plain(event))

    def hear_batch(self, said: Mapping[str, Any]) -> None:
        """Write the line of a batch's stop or end. Raises OSError."""
        record = logging.LogRecord("vidpoll", logging.INFO, "", 0, self._line(said), None, None)
        self._handler.handle(record)

    def close(self) -> None:
        """Close the file; a further event opens it again."""
        self._handler.close()


@vidpoll.hookimpl
def vidpoll_notifiers(environ: Mapping[str, str]) -> Iterable[LogFile]:
    """The file of `VIDPOLL_LOG`, one for all clients of a process."""
    path = environ.get("VIDPOLL_LOG")
    if path:
        size = environ.get("VIDPOLL_LOG_MAX_BYTES", "10000000")
        if not (size.isascii() and size.isdigit()):
            raise vidpoll.UsageError(
                f"VIDPOLL_LOG_MAX_BYTES must be a whole number of bytes, or 0 for no limit, got {size!r}"
            )
        yield _shared(path if path == "-" else os.path.abspath(path), int(size))  # noqa: PTH100 - resolves no links


@cache
def _shared(path: str, max_bytes: int) -> LogFile:
    return LogFile(path, max_bytes=max_bytes)


def _wants_json(path: str, json: bool | None) -> bool:
    return path.lower().endswith(JSON_SUFFIXES) if json is None else json


def _open(path: str, max_bytes: int, keep: int) -> logging.Handler:
    if path == "-":
        return _Stderr()
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(path if Path(path).exists() else folder, os.W_OK):
        why = "it is a folder" if Path(path).is_dir() else "check that its folder exists and that you may write there"
        raise vidpoll.UsageError(f"the log {path} cannot be written to: {why}")
    return _File(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8", errors="backslashreplace", delay=True)


def _leave(handler: logging.Handler) -> None:
    """Close at the end of the process; a full disk was already reported when the line was written."""
    with contextlib.suppress(OSError):
        handler.close()


class _File(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Let vidpoll report a full disk: logging would print a traceback for each line."""
        raise  # noqa: PLE0704 - called by logging while it handles the error


class _Stderr(logging.Handler):
    """The current standard error at each line, because tests and terminals replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr, flush=True)  # noqa: T201 - this is what was asked for


def _json_line(said: Mapping[str, Any]) -> str:
    return _json.dumps(_ordered(said), ensure_ascii=False)


def _pairs(said: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={_value(value)}" for key, value in _flat(_ordered(said)) if value not in (None, [], ""))


def _ordered(said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in order: time, name and job first, the text last."""
    first = {key: said[key] for key in ("at", "event", "ref")}
    return {**first, **{key: value for key, value in said.items() if key != "text"}, "text": said["text"]}


def _flat(said: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in said.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _value(value: object) -> str:
    """A logfmt value: bare if that is unambiguous, else quoted as in JSON."""
    text = value if isinstance(value, str) else _json.dumps(value, ensure_ascii=False)
    bare = text.isprintable() and not any(char in text for char in ' "=\\')
    return text if bare else _json.dumps(text, ensure_ascii=False)
