"""Which bytes of which file an answer holds (RFC 9110, sections 8.8, 13.1.5 and 14). Pure: heads in, values out.

Offsets and lengths are bytes; an end is the offset after the last byte. Nothing is sent and nothing is written here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from ..model import Response

_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_UNSATISFIED = re.compile(r"bytes\s+\*/(\d{1,18})", re.ASCII)
_STRONG = re.compile(r'"[!#-~]*"')
_SENDABLE = re.compile(r"[!-~]+(?: [!-~]+)*")
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Validator:
    """What tells whether a file at a server is still the same: a strong ETag, a date that is as good as one, a length.

    A date is one where the server's clock was at least a second further when it answered (RFC 9110, 8.8.2.2).
    """

    etag: str | None = None
    modified: str | None = None
    length: int | None = None

    @classmethod
    def of(cls, head: Response, length: int | None) -> Validator:
        """What the head of an answer gives."""
        etag = head.header("etag") or ""
        return cls(etag if _STRONG.fullmatch(etag) else None, _strong_date(head), length)

    @property
    def condition(self) -> str | None:
        """The value of If-Range; None where nothing may be resumed."""
        return self.etag or self.modified

    def proves(self, other: Validator) -> bool:
        """Whether `other` is sure to be of the same file: it names what this one is known by, and no other length.

        Some servers ignore If-Range, and a weak ETag, or none, says nothing. Where there is no condition, the length
        alone has to do.
        """
        if self.length is not None and other.length is not None and self.length != other.length:
            return False
        if self.etag is not None:
            return other.etag == self.etag
        return other.modified == self.modified if self.modified is not None else self.length is not None


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes that an answer holds: from offset `first` to `end` of a file of `total` bytes (None: not told).

    `framed` tells whether a cut would show: there is a length, or chunks.
    """

    first: int
    end: int | None
    total: int | None
    framed: bool
    validator: Validator


def is_sendable(text: object) -> bool:
    """Whether a header may hold it: printable ASCII, with single spaces in it at most."""
    return isinstance(text, str) and _SENDABLE.fullmatch(text) is not None


def read(head: Response, offset: int, known: Validator | None) -> Body | None:
    """What a good answer (2xx) brings, when the bytes from `offset` on of the file `known` were asked for.

    A whole file starts at 0, whatever was asked for. None for a range that was not asked for, or of another file.
    """
    if head.status != 206:
        chunked = "chunked" in (head.header("transfer-encoding") or "").lower()
        length = None if chunked else _length(head)  # of the two, chunks count (RFC 9112, 6.3)
        return Body(0, length, length, chunked or length is not None, Validator.of(head, length))
    match = _CONTENT_RANGE.fullmatch((head.header("content-range") or "").strip())
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    validator = Validator.of(head, total)
    if first != offset or last < first or (total is not None and last >= total):
        return None
    if known is not None and not known.proves(validator):
        return None
    return Body(first, last + 1, total, True, validator)


def unsatisfied(head: Response, known: Validator | None) -> int | None:
    """The length that a 416 tells of the file `known`; None where it tells none, or maybe that of another file."""
    match = _UNSATISFIED.fullmatch((head.header("content-range") or "").strip())
    if match is None:
        return None
    length = int(match[1])
    return length if known is None or known.proves(Validator.of(head, length)) else None


def _length(head: Response) -> int | None:
    said = {each.strip() for each in (head.header("content-length") or "").split(",")}  # "5, 5" is 5
    return int(one) if len(said) == 1 and _LENGTH.fullmatch(one := said.pop()) else None


def _strong_date(head: Response) -> str | None:
    modified, sent = head.header("last-modified"), head.header("date")
    try:
        sure = (parsedate_to_datetime(sent or "") - parsedate_to_datetime(modified or "")).total_seconds() >= 1
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return modified if sure and is_sendable(modified) else None
