"""Transcripts in files: `wait --transcript FILE` writes one, and the command `replay` plays one back without a network.

A file holds one JSON object a line, an answer each: ref, at, method, path, status, headers, body, cut, reason. It is
made safe before it is written (no key, no query of a URL), so that it can go into a bug report.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.model import is_number

from .context import Arguments, Command, Context
from .output import first_that_applies


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
            as_reply(entry)
            found.setdefault(entry["ref"], []).append(entry)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise vidpoll.UsageError(
                f"{file}, line {number}: no answer of a transcript (`vidpoll wait --transcript`)"
            ) from None
    if not found:
        raise vidpoll.UsageError(f"{file} holds no answers")
    return found


def as_reply(entry: dict[str, Any]) -> vidpoll.Response | NoAnswer:
    at, status, headers, body = entry["at"], entry["status"], entry["headers"], entry["body"]
    texts = isinstance(headers, dict) and all(isinstance(text, str) for text in (body, *headers.values()))
    if not (is_number(at) and 0 <= at < 1e11 and texts):
        raise ValueError
    if status is None:
        return NoAnswer(str(entry["reason"]))
    if type(status) is not int or not 100 <= status <= 599:
        raise ValueError
    return vidpoll.Response(status, headers, body.encode())


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="what `vidpoll wait --transcript FILE` has written")


def _replay(args: Arguments, context: Context) -> int:
    from .replaying import play  # no other command needs the fakes

    waits = _read(args.file).items()
    return first_that_applies([play(ref, entries, list(map(as_reply, entries)), context) for ref, entries in waits])


COMMAND = Command(
    "replay",
    "run a transcript through the plugin again, without a network",
    _arguments,
    _replay,
    "vidpoll replay night.jsonl",
    "For plugin authors: a wait's transcript shows what their parser makes of it. Nothing is sent, no key is needed.",
)
