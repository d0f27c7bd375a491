"""Transcripts in files: `wait --transcript FILE` writes one, and the command `replay` plays one back without a network.

A file holds one JSON object a line, one response each: ref, at, method, path, status, headers, body, cut, reason. Keys
and the queries of URLs are removed before it is written, so that it can go into a bug report.
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
    """Write the kept last responses about these jobs. Raises VidpollError if the file cannot be written."""
    lines = [json.dumps({"ref": job.ref, **asdict(exchange)}) + "\n" for job in jobs for exchange in job.transcript]
    try:
        Path(file).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise vidpoll.VidpollError(f"cannot write {file}: {error.strerror or type(error).__name__}") from None


def check(file: str) -> None:
    """Raise UsageError if the file cannot be written: better now than after an hour."""
    try:
        Path(file).open("a").close()
    except OSError as error:
        raise vidpoll.UsageError(
            f"--transcript: cannot write {file}: {error.strerror or type(error).__name__}"
        ) from None


def _read(file: str) -> dict[str, list[dict[str, Any]]]:
    """The responses by reference. Raises UsageError if the file is not a transcript."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not a text file"
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
                f"{file}, line {number}: not a line of a transcript; `vidpoll wait --transcript` writes one"
            ) from None
    if not found:
        raise vidpoll.UsageError(f"{file} holds no responses; `vidpoll wait --transcript` writes a transcript")
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
    parser.add_argument("file", metavar="FILE", help="a file that `vidpoll wait REF --transcript FILE` wrote")


def _replay(args: Arguments, context: Context) -> int:
    from .replaying import play  # no other command needs the fakes

    waits = _read(args.file).items()
    return first_that_applies([play(ref, entries, list(map(as_reply, entries)), context) for ref, entries in waits])


COMMAND = Command(
    "replay",
    "replay a transcript of a wait through the provider's plugin, without a network",
    _arguments,
    _replay,
    "vidpoll replay night.jsonl",
    "For plugin authors and bug reports: shows how the plugin parses the recorded responses. Nothing is sent, and no\n"
    "key is needed.",
)
