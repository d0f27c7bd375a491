"""A record of every event for vidpoll: one line each, in a file that is rotated, for a night's run.

    with vidpoll.Client(plugins=[LogFile("night.log")]) as client: ...      # or VIDPOLL_LOG=night.log vidpoll wait …

A line is written where the event happens, in the thread that waits, so that it stands in the file whatever becomes of
the process. Nothing that signs a URL and no control character gets into it.
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
    """Writes every event to the file `path`, or to standard error where it is "-".

    Lines are JSON objects where `json` is True, or is None and the file is named like night.jsonl; else they are
    key=value pairs. A file that has reached `max_bytes` is renamed to night.log.1 and so on, of which `keep` are kept;
    0: it grows without bound. Raises UsageError where the file cannot be written to.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, json: bool | None = None, max_bytes: int = 10_000_000, keep: int = 5
    ) -> None:
        self.path = os.fspath(path)
        self._line = _json_line if _wants_json(self.path, json) else _pairs
        if type(max_bytes) is not int or max_bytes < 0 or type(keep) is not int or keep < 1:  # True is an int, too
            raise vidpoll.UsageError(
                f"{self.path}: max_bytes={max_bytes!r}, keep={keep!r}: whole numbers are due, from 0 and from 1"
            )
        self._handler = _open(self.path, max_bytes, keep)
        weakref.finalize(self, _leave, self._handler)

    def hear(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
        """Write the event's line. Raises OSError where that fails: vidpoll says so, and the wait goes on."""
        self.hear_batch(notify.plain(event))

    def hear_batch(self, said: Mapping[str, Any]) -> None:
        """Write a line."""
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
            raise vidpoll.UsageError(f"VIDPOLL_LOG_MAX_BYTES={size!r}: a whole number of bytes, 0 for no bound")
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
        why = "it is a folder" if Path(path).is_dir() else "is its folder there, and yours?"
        raise vidpoll.UsageError(f"the log {path} cannot be written to: {why}")
    return _File(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8", errors="backslashreplace", delay=True)


def _leave(handler: logging.Handler) -> None:
    """Close at the end of the process: a disk that is full was told of when the line was written."""
    with contextlib.suppress(OSError):
        handler.close()


class _File(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """A full disk is vidpoll's to report: logging would print a traceback for each line."""
        raise  # noqa: PLE0704 - called by logging while it handles the error


class _Stderr(logging.Handler):
    """Standard error as it is when a line is written: tests and terminals replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr, flush=True)  # noqa: T201 - this is what was asked for


def _json_line(said: Mapping[str, Any]) -> str:
    return _json.dumps(_ordered(said), ensure_ascii=False)


def _pairs(said: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={_value(value)}" for key, value in _flat(_ordered(said)) if value not in (None, [], ""))


def _ordered(said: Mapping[str, Any]) -> dict[str, Any]:
    """Time, name and job first; the line in words last."""
    first = {key: said[key] for key in ("at", "event", "ref")}
    return {**first, **{key: value for key, value in said.items() if key != "text"}, "text": said["text"]}


def _flat(said: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in said.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _value(value: object) -> str:
    """As logfmt has it: bare where nothing in it misleads a reader of the line, else quoted as JSON quotes it."""
    text = value if isinstance(value, str) else _json.dumps(value, ensure_ascii=False)
    bare = text.isprintable() and not any(char in text for char in ' "=\\')
    return text if bare else _json.dumps(text, ensure_ascii=False)
