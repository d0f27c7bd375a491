"""The output of the command line: lines, JSON objects and exit codes. Only this module writes to a stream.

Each line is flushed at once, control characters never reach a terminal, and a reader that goes away (`| head`) is noted
but is not an error. This module knows no command and no client.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

import vidpoll
from vidpoll import redact

COMPLETED, NOT_COMPLETED, USAGE, UNKNOWN, INTERRUPTED = 0, 1, 2, 3, 130


def first_that_applies(codes: Iterable[int]) -> int:
    """The exit code of several jobs."""
    found = set(codes)
    return next((code for code in (INTERRUPTED, UNKNOWN, USAGE, NOT_COMPLETED) if code in found), COMPLETED)


def code_of(error: vidpoll.VidpollError) -> int:
    """The exit code of an error."""
    if isinstance(error, (vidpoll.OutcomeUnknown, vidpoll.SubmitUnknown)):
        return UNKNOWN
    return USAGE if isinstance(error, (vidpoll.UsageError, vidpoll.PluginError)) else NOT_COMPLETED


class Output:
    """Writes results to standard output, and errors and notes to standard error."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        """Set when standard output no longer has a reader."""
        self._failed = False
        self._passing = 0  # characters of the status line that the next line overwrites

    @property
    def terminal(self) -> bool:
        """Whether standard output is a terminal."""
        return sys.stdout is not None and sys.stdout.isatty()

    def line(self, text: str) -> bool:
        """Write one line; False if it was not written."""
        return self.text(_plain(text))

    def text(self, text: str) -> bool:
        """Write lines of vidpoll's own text."""
        if self.gone.is_set() or sys.stdout is None:  # None: `>&-`, pythonw; the wait continues without output
            return False
        try:
            _write(sys.stdout, self._over() + text)
        except BrokenPipeError:
            self._leave()
        except (OSError, ValueError) as error:  # a full disk; or a stream that is closed
            self._failed = True
            self._leave()
            why = getattr(error, "strerror", None) or type(error).__name__
            self.error(f"cannot write to standard output: {why}")
        return not self.gone.is_set()

    def passing(self, text: str) -> None:
        """Write a line that the next one overwrites; only on a terminal."""
        if self.terminal and not self.gone.is_set():
            shown = _plain(text)[: max(shutil.get_terminal_size().columns - 1, 1)]
            with contextlib.suppress(OSError, ValueError):  # the next lasting line reports it
                _write(sys.stdout, self._over() + shown, end="")
                self._passing = len(shown)

    def _over(self) -> str:
        """The characters that remove the passing line."""
        gone, self._passing = self._passing, 0
        return f"\r{' ' * gone}\r" if gone else ""

    def json(self, value: object) -> bool:
        """One object on one line."""
        return self.line(json.dumps(value))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write rows in columns as wide as their longest cell."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def error(self, text: str) -> None:
        """Write one line to standard error, `vidpoll: …`."""
        with contextlib.suppress(OSError, ValueError):  # standard error is closed, too
            if self._passing:
                _write(sys.stdout, self._over(), end="")
            _write(sys.stderr, _plain(f"vidpoll: {text}"))

    def finish(self, code: int) -> int:
        """Flush, and return the exit code; at least NOT_COMPLETED if a line could not be written."""
        try:
            if sys.stdout is not None:
                sys.stdout.write(self._over())
                sys.stdout.flush()
        except (OSError, ValueError):
            self._leave()
        return max(code, NOT_COMPLETED) if self._failed else code

    def _leave(self) -> None:
        self.gone.set()
        with contextlib.suppress(OSError, ValueError):  # so that the interpreter's last flush raises nothing
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(stream: TextIO | None, text: str, end: str = "\n") -> None:
    if stream is None:
        return
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + end)
    stream.flush()


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "job"), counted(2, "job")
    ('1 job', '2 jobs')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size(path: Path) -> str:
    """A file and its size."""
    return f"{path} ({path.stat().st_size:,} bytes)"


def iso(at: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC; None if there is no such time."""
    try:
        return None if at is None else datetime.fromtimestamp(int(at), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return None


def status_line(job: vidpoll.Job, at: float) -> str:
    """The known state of a job on one line. A verdict that only a list reported is shown with its reason."""
    verdict = job.verdict(at)
    if verdict is not None:
        return str(verdict)
    said = dict.fromkeys(str(word) for word in (job.state, job.stage) if word)  # an unknown word has no state
    words = [job.ref, *(said or ["not polled yet"])]
    if job.progress is not None:
        words.append(f"{job.progress:.0f} %")
    return f"{' '.join(words)}{f': {job.problem}' if job.problem is not None else ''}"


def job_object(
    job: vidpoll.Job, *, error: vidpoll.VidpollError | None = None, files: Sequence[Path] = ()
) -> dict[str, Any]:
    """A job for machines: always these keys. It holds no secret, and signed URLs have no query.

    `confirmed` is False for a verdict that only a row of a list reported: `ok` is False then, whatever `state` says.
    """
    error = error or job.error
    said = job.snapshot
    return {
        "ref": job.ref,
        "key": job.key or None,
        "state": None if job.state is None else str(job.state),
        "stage": job.stage,
        "progress": job.progress,
        "ok": job.ok,
        "confirmed": job.final or job.state is None or not job.state.final,
        "assets": [_asset_object(asset, cut=job.stale) for asset in job.assets],
        "problem": _problem_object(job.problem),
        "cost": None
        if job.cost is None
        else {"charged": job.cost.charged, "refunded": job.cost.refunded, "unit": job.cost.unit},
        "duration": said.duration if said else None,
        "created_at": iso(said.created_at) if said else None,
        "finished_at": iso(said.finished_at) if said else None,
        "files": [str(path) for path in files],
        "error": error_object(error),
    }


def _problem_object(problem: vidpoll.Problem | None) -> dict[str, Any] | None:
    names = ("message", "code", "category", "charged")
    return None if problem is None else {name: getattr(problem, name) for name in names}


def error_object(error: vidpoll.VidpollError | None) -> dict[str, Any] | None:
    """An error for machines, a refusal with its class of failure; None if there is no error."""
    if error is None:
        return None
    told = {"type": type(error).__name__, "message": error.message}
    names = ("status", "code", "category", "charged")
    return told | ({name: getattr(error, name) for name in names} if isinstance(error, vidpoll.ProviderError) else {})


def _asset_object(asset: vidpoll.Asset, *, cut: bool) -> dict[str, Any]:
    """An asset for machines. `cut`: the URL may have lost its query earlier, in a store."""
    shown = None if asset.url is None else redact.url(asset.url)
    if shown is not None and shown.endswith("?…"):
        shown, cut = shown[:-2], True
    return {
        "kind": asset.kind,
        "url": shown,
        "signed": cut,
        "media_type": asset.media_type,
        "size": asset.size,
        "expires_at": iso(asset.expires_at),
    }
