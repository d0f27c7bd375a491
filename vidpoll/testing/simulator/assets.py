"""The files of finished jobs: a real MP4, JPEG, MP3 and SRT, served with Range, ETag and Last-Modified.

A video or image contains a mark (the id of its job) in a place that players skip, so that the files of two jobs differ
in bytes and in ETag. This module may not know a provider or open a socket: it turns a file and a request into a reply.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import re
import struct
from dataclasses import dataclass
from email.utils import formatdate

from .wire import Reply, Request


@dataclass(frozen=True)
class Asset:
    """One file; ``modified`` is unix seconds."""

    data: bytes
    media_type: str
    modified: float

    @property
    def etag(self) -> str:
        """A strong validator: equal bytes, equal tag."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'

    @property
    def suffix(self) -> str:
        """The end of a file name, like ".mp4"."""
        return {"video": ".mp4", "image": ".jpg", "audio": ".mp3"}.get(self.media_type.partition("/")[0], ".srt")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of every response about the file."""
        return (
            ("Content-Type", self.media_type),
            ("Accept-Ranges", "bytes"),
            ("ETag", self.etag),
            ("Last-Modified", formatdate(self.modified, usegmt=True)),
        )


@functools.cache
def _file(name: str) -> bytes:
    return (importlib.resources.files("vidpoll.testing") / "media" / name).read_bytes()


def video(mark: str, modified: float) -> Asset:
    """A playable MP4 with ``mark`` in a `free` box at its end (ISO 14496-12, 8.1.2: its content is skipped)."""
    free = mark.encode()
    return Asset(_file("clip.mp4") + struct.pack(">I4s", 8 + len(free), b"free") + free, "video/mp4", modified)


def image(mark: str, modified: float) -> Asset:
    """A JPEG with ``mark`` in a comment segment (ITU-T T.81, B.2.4.5) right after its start."""
    data, comment = _file("thumbnail.jpg"), mark.encode()
    return Asset(data[:2] + struct.pack(">HH", 0xFFFE, 2 + len(comment)) + comment + data[2:], "image/jpeg", modified)


def audio(modified: float) -> Asset:
    """One second of an MP3."""
    return Asset(_file("audio.mp3"), "audio/mpeg", modified)


def subtitles(modified: float) -> Asset:
    """A subtitle file of one line."""
    return Asset(_file("subtitle.srt"), "application/x-subrip", modified)


class RangeMalformed(ValueError):
    """A Range header that is not one range of bytes."""


class RangeNotSatisfiable(ValueError):
    """A Range that has no byte of the file in it."""


def parse_range(header: str, size: int) -> tuple[int, int]:
    """The first and the last offset of ``size`` bytes that ``header`` requests; an end beyond the file is cut.

    RFC 9110, 14.1.2: ``bytes=5-9``, ``bytes=5-`` and ``bytes=-5``. Raises :class:`RangeMalformed` for anything else
    (including several ranges), :class:`RangeNotSatisfiable` if no byte is left.
    """
    match = re.fullmatch(r"bytes=(\d{0,999})-(\d{0,999})", header.strip(), re.ASCII)
    if not match or match.group(1) == match.group(2) == "":
        raise RangeMalformed(header)
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            raise RangeMalformed(header)
    if start >= size:
        raise RangeNotSatisfiable(header)
    return start, end


def serve(request: Request, asset: Asset, *, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """The reply to GET or HEAD of a file: 200, 206 for one range, or 416.

    A Range that is malformed, or whose If-Range is neither the file's ETag nor its date, is ignored (RFC 9110, 14.2).
    """
    wanted = request.headers.get("range")
    condition = request.headers.get("if-range")
    stale = condition is not None and condition not in (asset.etag, formatdate(asset.modified, usegmt=True))
    if request.method != "GET" or wanted is None or stale:
        return Reply(200, asset.headers + headers, asset.data)
    size = len(asset.data)
    try:
        start, end = parse_range(wanted, size)
    except RangeMalformed:
        return Reply(200, asset.headers + headers, asset.data)
    except RangeNotSatisfiable:
        return Reply(416, (("Content-Range", f"bytes */{size}"),))
    span = ("Content-Range", f"bytes {start}-{end}/{size}")
    return Reply(206, (*asset.headers, span, *headers), asset.data[start : end + 1])
