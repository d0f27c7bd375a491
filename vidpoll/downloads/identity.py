"""Whether an existing file is the wanted one. Its name proves nothing: ids are reused, and targets are shared.

A saved file gets a mark (an extended attribute, on Linux): the job, the source, and the size and time of the file.
Without a mark, the provider's checksum decides, or one request: a file of the same length with the same last bytes is
the same file. No extra file lies beside the user's videos.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO

from ..job import Job
from ..net.protocol import Sink
from .body_reader import RangeMismatch
from .fetcher import Fetcher
from .part_file import digest, is_ours
from .ranges import Body

MARK = "user.vidpoll"

TAIL = 1024 * 1024
"""Bytes at the end of a file that are compared. A server without ranges sends the whole file."""


class _OtherBytes(Exception):
    """The file at the provider is another one."""


def mark(path: Path, job: Job, source: str) -> None:
    """Mark a whole file with its job and its source."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a file system without extended attributes
            os.setxattr(path, MARK, json.dumps([job.ref, source, *_looks(path)]).encode())


def is_own(pull: Fetcher, path: Path, source: str) -> bool:
    """Whether the file is the one that `pull` would fetch, by a request if needed. Raises what `Fetcher.ask` raises."""
    job, asset = pull.context.job, pull.asset
    if _marked(path, job, source):
        return True
    if asset is not None and asset.data is not None:
        return path.read_bytes() == asset.data
    if asset is not None and asset.checksum is not None:
        return digest(path, asset.checksum) == asset.checksum.lower()
    same = _compared(pull, path)
    if same:
        mark(path, job, source)
    return same


def _marked(path: Path, job: Job, source: str) -> bool:
    """Whether the file has the mark of this job and source, and has not changed since.

    A mark that is older than the job, or on another user's file, does not count.
    """
    if sys.platform != "linux":
        return False
    found = path.stat()
    try:
        said = json.loads(os.getxattr(path, MARK))
    except (OSError, ValueError, RecursionError):
        return False
    older = job.created_at is not None and found.st_mtime < job.created_at
    return said == [job.ref, source, *_looks(path)] and is_ours(found) and not older


def _looks(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _compared(pull: Fetcher, path: Path) -> bool:
    """Whether the file at the provider has the same length and the same last bytes."""
    size = path.stat().st_size
    start = max(0, size - TAIL)
    with path.open("rb") as file:

        def begin(body: Body, source: str) -> Sink:
            if body.total not in (None, size) or (body.total is None and body.first):
                raise _OtherBytes
            file.seek(body.first)
            return lambda piece: _compare(file, piece)

        try:
            while (body := pull.ask(start, size, None, begin)) is None:
                pass
        except (_OtherBytes, RangeMismatch):
            return False
        return (body.total or file.tell()) == size


def _compare(file: BinaryIO, piece: memoryview) -> None:
    if file.read(len(piece)) != piece:
        raise _OtherBytes
