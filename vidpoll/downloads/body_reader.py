"""One response on its way to a sink: its kind by its first bytes, its progress, or the document that came instead.

`start` and `take` run in a worker thread; everything else runs in the calling thread when the response is over.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from typing import Any

from ..clock import Clock
from ..model import Response
from ..net.explain import BodyCut, BodyTooLarge, Hopeless
from ..net.protocol import Sink
from . import kinds, ranges
from .ranges import Body, Validator

Begin = Callable[[Body, str], Sink]
"""Called with the body that is about to arrive, and its URL; returns the sink. Both may run in a worker thread."""

NOT_YET = (202,)
"""Successful statuses without a file."""

TOLD = 0.1
"""Seconds between two reports of progress."""

_CODINGS = ("gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd")
_DOCUMENTS = ("json", "html", "xml", "text/")


class RangeMismatch(Exception):
    """The response has another range than requested, or is of another file than before."""


class BodyReader:
    """Reads the response to a request for the bytes of the file `known`, from `offset`.

    A body that is not a video by its first bytes, and is a page or document by its first bytes or its media type, is
    read as a document of at most `most` bytes. `lenient`: the media type alone does not make it a document.
    """

    def __init__(
        self, clock: Clock, offset: int, known: Validator | None, begin: Begin, source: str, *, most: int, lenient: bool
    ) -> None:
        self.inbox: Queue[Any] = Queue()
        self.body: Body | None = None
        """The body that is being read; None if no file came."""
        self.head: Response | None = None
        self.position = 0
        """The offset in the file up to which bytes have arrived."""
        self.told = -1
        """The position that was reported last."""
        self._clock = clock
        self._offset, self._known = offset, known
        self._begin, self._source = begin, source
        self._most, self._lenient = most, lenient
        self._coming: Body | None = None
        self._first: bytearray | None = None
        """The first bytes, until they show what the body is."""
        self._document: bytearray | None = None
        self._sink: Sink
        self._told_at = 0.0

    def start(self, head: Response) -> Sink | None:
        """The sink of a response; None if the transport must read the response as a document."""
        if head.status in NOT_YET or (_coding(head) and not self._lenient and _is_document(head)):
            return None
        self.head = head
        self._coming = ranges.read(head, self._offset, self._known)
        if self._coming is None:
            raise RangeMismatch
        if self._coming.first:
            self._accept()
        else:
            self._first = bytearray()
        return self.take

    def take(self, piece: memoryview) -> None:
        """Take the next piece of the body."""
        if self._first is not None:
            self._first += piece
            if len(self._first) >= kinds.START:
                self._decide()
        elif self._document is not None:
            self._collect(piece)
        else:
            self._pass(piece)

    def finish(self) -> None:
        """The body is over, whole or cut. Raises what `begin` and its sink raise."""
        if self._first is not None:
            self._decide()

    @property
    def document(self) -> Response | None:
        """The response with its body, if the body is a document."""
        if self._document is None or self.head is None:
            return None
        return Response(self.head.status, self.head.headers, bytes(self._document))

    @property
    def empty(self) -> bool:
        """Whether a whole file was announced, and no byte arrived."""
        body = self.body
        return body is not None and body.first == 0 == self.position and not body.end

    def _decide(self) -> None:
        assert self._first is not None
        assert self.head is not None
        first, self._first = self._first, None
        start = bytes(first[: kinds.START])
        coding, known = _coding(self.head), kinds.is_known(start)
        if coding and start and not known:
            raise Hopeless(f"a file in the content coding {coding}, which was not requested")
        if start and not known and (kinds.is_page(start) or (not self._lenient and _is_document(self.head))):
            self._document = bytearray()
            self._collect(memoryview(first))
            return
        self._accept()
        if first:
            self._pass(memoryview(first))

    def _accept(self) -> None:
        assert self._coming is not None
        self._sink = self._begin(self._coming, self._source)
        self.position = self._coming.first
        self.body = self._coming

    def _collect(self, piece: memoryview) -> None:
        assert self._document is not None
        self._document += piece
        if len(self._document) > self._most:
            raise BodyTooLarge(f"a document of more than {self._most:,} bytes")

    def _pass(self, piece: memoryview) -> None:
        assert self.body is not None
        if self.body.end is not None and self.position + len(piece) > self.body.end:
            raise BodyCut("more bytes than announced")
        self._sink(piece)
        self.position += len(piece)
        now = self._clock.monotonic()
        if now - self._told_at >= TOLD:
            self._told_at = now
            self.inbox.put(True)


def _coding(head: Response) -> str:
    """The content codings of a body. Labels like aws-chunked, utf-8 or base64 do not count: the bytes are plain."""
    told = (each.strip().lower() for each in (head.header("content-encoding") or "").split(","))
    return ", ".join(each for each in told if each in _CODINGS)


def _is_document(head: Response) -> bool:
    media_type = (head.header("content-type") or "").lower()
    return any(word in media_type for word in _DOCUMENTS)
