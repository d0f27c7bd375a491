"""Which bytes of which file a response contains (RFC 9110, sections 8.8, 13.1.5 and 14). Pure: heads in, values out.

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
    """What shows whether a file at a server is still the same: a strong ETag, a strong Last-Modified date, a length.

    A date is strong if it is at least a second before the Date of the response (RFC 9110, 8.8.2.2).
    """

    etag: str | None = None
    modified: str | None = None
    length: int | None = None

    @classmethod
    def of(cls, head: Response, length: int | None) -> Validator:
        """The validator in the head of a response."""
        etag = head.header("etag") or ""
        return cls(etag if _STRONG.fullmatch(etag) else None, _strong_date(head), length)

    @property
    def condition(self) -> str | None:
        """The value of If-Range; None if the file cannot be resumed."""
        return self.etag or self.modified

    def proves(self, other: Validator) -> bool:
        """Whether `other` is certainly of the same file: it has the same ETag, or else date, and no other length.

        This is checked because some servers ignore If-Range. If this validator has neither ETag nor date, an equal
        length is enough.
        """
        if self.length is not None and other.length is not None and self.length != other.length:
            return False
        if self.etag is not None:
            return other.etag == self.etag
        return other.modified == self.modified if self.modified is not None else self.length is not None


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes in a response: from offset `first` to `end` of a file of `total` bytes (None: unknown).

    `framed`: a cut would be noticed, because there is a length or chunks.
    """

    first: int
    end: int | None
    total: int | None
    framed: bool
    validator: Validator


def is_sendable(text: object) -> bool:
    """Whether a header may contain the text: printable ASCII, without leading, trailing or double spaces."""
    return isinstance(text, str) and _SENDABLE.fullmatch(text) is not None


def read(head: Response, offset: int, known: Validator | None) -> Body | None:
    """The body of a successful response (2xx) to a request for the bytes of the file `known`, from `offset`.

    A whole file starts at 0, whatever was requested. None for a range that was not requested, or of another file.
    """
    if head.status != 206:
        chunked = "chunked" in (head.header("transfer-encoding") or "").lower()
        length = None if chunked else _length(head)  # chunks override a length (RFC 9112, 6.3)
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
    """The length of the file `known` by a 416 response; None if there is none, or it may be that of another file."""
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
