"""Transcripts in files: `wait --transcript FILE` writes one, and the command `replay` plays one back without a network.

A file holds one JSON object a line, an answer each: ref, at, method, path, status, headers, body, cut, reason. It is
made safe before it is written (no key, no query of a URL), so that it can go into a bug report.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.model import is_number
from vidpoll.testing import FakeClock, FakeTransport

from .context import Arguments, Command, Context
from .output import COMPLETED, NOT_COMPLETED, UNKNOWN, first_that_applies, status_line


def write(file: str, jobs: Iterable[vidpoll.Job]) -> None:
    """Write what is kept of the last answers about these jobs. Raises VidpollError where the file cannot be written."""
    lines = [json.dumps({"ref": job.ref, **asdict(exchange)}) + "\n" for job in jobs for exchange in job.transcript]
    try:
        Path(file).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise vidpoll.VidpollError(f"cannot write {file}: {error.strerror or type(error).__name__}") from None


def check(file: str) -> None:
    """Raise UsageError where the file cannot be written: better now than after an hour."""
    try:
        Path(file).open("a").close()
    except OSError as error:
        raise vidpoll.UsageError(
            f"--transcript: cannot write {file}: {error.strerror or type(error).__name__}"
        ) from None


def _read(file: str) -> dict[str, list[dict[str, Any]]]:
    """The answers by reference. Raises UsageError for a file that is no transcript."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise vidpoll.UsageError(f"cannot read {file}: {why}") from None
    found: dict[str, list[dict[str, Any]]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            _reply(entry)
            found.setdefault(entry["ref"], []).append(entry)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise vidpoll.UsageError(
                f"{file}, line {number}: no answer of a transcript (`vidpoll wait --transcript`)"
            ) from None
    if not found:
        raise vidpoll.UsageError(f"{file} holds no answers")
    return found


def _reply(entry: dict[str, Any]) -> vidpoll.Response | NoAnswer:
    at, status, headers, body = entry["at"], entry["status"], entry["headers"], entry["body"]
    texts = isinstance(headers, dict) and all(isinstance(text, str) for text in (body, *headers.values()))
    if not (is_number(at) and 0 <= at < 1e11 and texts):
        raise ValueError
    if status is None:
        return NoAnswer(str(entry["reason"]))
    if type(status) is not int or not 100 <= status <= 599:
        raise ValueError
    return vidpoll.Response(status, headers, body.encode())


_END = "the transcript ends here"


class _Recorded(FakeTransport):
    """Plays the answers of one job; whoever asks for one more gets none, and `ended` is set."""

    def __init__(self, entries: list[dict[str, Any]], ended: threading.Event) -> None:
        super().__init__([_reply(entry) for entry in entries])
        self._left = len(entries)
        self._ended = ended

    def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
        self._left -= 1
        if self._left < 0:
            self._ended.set()
            raise NoAnswer(_END)
        return super().send(wire, ticket)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="what `vidpoll wait --transcript FILE` has written")


def _replay(args: Arguments, context: Context) -> int:
    return first_that_applies([_play(ref, entries, context) for ref, entries in _read(args.file).items()])


def _play(ref: str, entries: list[dict[str, Any]], context: Context) -> int:
    """Run the answers through the plugin's parser and the job's machine, as a wait would; nothing is sent."""
    job, ended, out = vidpoll.Job(ref), threading.Event(), context.out
    accounts = {job.account: vidpoll.Account(job.account, key=None)}
    clock, wire = FakeClock(float(entries[0]["at"])), _Recorded(entries, ended)
    with context.client_factory(accounts=accounts, clock=clock, transport=wire) as client:
        for event in client.watch(job, timeout=None, stop=ended, check=False):
            if not ended.is_set():
                out.line(str(event))
    cut = sum(bool(entry.get("cut")) for entry in entries)
    partly = f", {cut} of them cut" if cut else ""
    played = min(len(wire.sent), len(entries))
    if played < len(entries):
        out.line(f"the wait ends after {played} of them")
    out.line(f"{len(entries)} answers{partly}; at the end: {status_line(job, clock.time())}")
    return COMPLETED if job.ok else NOT_COMPLETED if job.final else UNKNOWN


COMMAND = Command(
    "replay",
    "run a transcript through the plugin again, without a network",
    _arguments,
    _replay,
    "vidpoll replay night.jsonl",
    "For plugin authors: a wait's transcript shows what their parser makes of it. Nothing is sent, no key is needed.",
)
