"""A file at a provider as a stream: seekable, read-only, fetched window by window over HTTP Range.

A window is one small GET, so that a pause of the reader holds no connection, and a fault costs one window. If the
server does not support ranges, the file is fetched once, into a temporary file. `fetcher` fetches the bytes.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import IO, Any

from ..errors import DownloadChanged, DownloadError, DownloadTruncated, NotAVideo, UsageError
from ..net.protocol import Sink
from . import kinds
from .body_reader import RangeMismatch
from .fetcher import Fetcher
from .part_file import ENDLESS, free
from .ranges import Body, Validator

FIRST_WINDOW = 256 * 1024
LARGEST_WINDOW = 4 * 1024 * 1024
"""Bytes of a window: the first one after a seek, and the limit; the size doubles while windows are read in order."""
BOUND = 3600.0
"""Seconds that a window may take, or the whole file if the server does not support ranges."""


class RemoteFile(io.RawIOBase):
    """A video at a provider as a raw binary stream, for one thread at a time. Reading may raise DownloadError.

    `size` is its length in bytes. Faults are tolerated for the client's `patience`; an expired URL is replaced by a
    fresh one.
    """

    def __init__(self, pull: Fetcher) -> None:
        super().__init__()
        self._pull = pull
        self._known: Validator | None = None
        self._at = 0
        self._window = b""
        self._window_at = 0
        self._span = FIRST_WINDOW
        self._spool: IO[bytes] | None = None
        self._spooled = False
        """Whether the whole file lies in the spool."""
        self.size = 0
        try:
            self._probe()
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        self._open()
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset, which may be beyond the end. Nothing is fetched before the next read."""
        self._open()
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}.get(whence)
        if start is None:
            raise ValueError(f"whence must be 0, 1 or 2, got {whence!r}")
        if start + offset < 0:
            raise ValueError(f"the resulting offset must be 0 or more, got {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read bytes into the buffer; return their number, 0 at the end."""
        self._open()
        view = memoryview(buffer).cast("B")
        if self._at >= self.size or not len(view):
            return 0
        if not self._spooled and not self._window_at <= self._at < self._window_at + len(self._window):
            self._load()
        if self._spool is not None and self._spooled:
            self._spool.seek(self._at)
            piece = self._spool.read(len(view))
        else:
            start = self._at - self._window_at
            piece = self._window[start : start + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        """Discard what was fetched."""
        if self._spool is not None:
            self._spool.close()
        self._window = b""
        super().close()

    def _open(self) -> None:
        if self.closed:
            raise ValueError("the stream is closed")
        if self._pull.context.loop.closed:
            raise UsageError("the client of this stream is closed; read it within the client's block")

    def _probe(self) -> None:
        """Request the first bytes: the response shows the length, the kind, and whether ranges are supported."""
        body, first = self._get(0, kinds.START)
        if self._spool is not None and self._spooled:
            self._spool.seek(0)
            first = self._spool.read(kinds.START)
        elif body.total is None:
            raise self._pull.error(DownloadError, "the server does not say how long the file is", "download it")
        else:
            self.size = body.total
        wrong = kinds.unfit(self._pull.wanted.kind, first)
        if wrong is not None:
            raise self._pull.error(NotAVideo, f"the {self._pull.wanted.kind} {wrong}", "and nothing was read")
        self._known = body.validator
        self._window = first

    def _load(self) -> None:
        """Fetch the window that begins here."""
        in_order = self._at == self._window_at + len(self._window)
        self._span = min(self._span * 2, LARGEST_WINDOW) if in_order and self._window_at else FIRST_WINDOW
        _, self._window = self._get(self._at, min(self._at + self._span, self.size))
        self._window_at = self._at

    def _get(self, start: int, end: int) -> tuple[Body, bytes]:
        """The bytes from `start`, at most to before `end`; empty if the whole file went to the spool."""
        pull, window = self._pull, bytearray()
        pull.deadline = pull.context.loop.now() + BOUND
        begin = partial(self._begin, window, start, end)
        try:
            while (body := pull.ask(start, end, self._known, begin)) is None:
                pass
        except RangeMismatch:
            if self._known is None:
                why = "the server sent a range that was not requested"
                raise pull.error(DownloadError, why, "download it") from None
            raise pull.error(DownloadChanged, "the file changed while it was read", "open it again") from None
        except OSError as error:
            why = f"no room for it in {tempfile.gettempdir()}: {error.strerror}"
            raise pull.error(DownloadError, why, "open it again when that is fixed") from None
        if self._spool is not None and self._spooled:
            if not body.framed:
                raise pull.error(DownloadTruncated, "the server does not say how long the file is", "download it")
            self.size = self._spool.seek(0, os.SEEK_END)
        return body, bytes(window)

    def _begin(self, window: bytearray, start: int, end: int, body: Body, source: str) -> Sink:
        """The sink of a response: memory for a window, the spool for a whole file, which was not requested."""
        window.clear()
        self._spooled = False
        if self._known is not None and not self._known.proves(body.validator):
            raise RangeMismatch
        if body.end is not None and body.first == start and body.end <= end:
            return window.extend
        if body.first != 0 or body.end != body.total:
            raise RangeMismatch
        self._spooled = True
        self._spool = self._spool or tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the stream
        self._spool.seek(0)
        self._spool.truncate()
        return partial(_spool, self._spool, free(Path(tempfile.gettempdir())) * ENDLESS)


def _spool(file: IO[bytes], most: float, piece: memoryview) -> None:
    """Append to a temporary file, but do not fill its disk (which may be memory)."""
    if file.tell() + len(piece) > most:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    file.write(piece)
