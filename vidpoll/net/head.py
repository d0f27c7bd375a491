"""The head of an answer, put in order before http.client reads it.

http.client takes a head that is cut for a whole one: a 200 without a body. urllib3 logs a line that is no field, and a
server may echo the key there. So a connection's socket is `Guarded`: its answers hand on their head once it is whole,
and only the lines that can be read.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
from collections.abc import Callable
from typing import Any

MAX_FIELDS = 100
MAX_LINE = 64 * 1024
"""Bytes of a line in the head of an answer."""

_FIELD = re.compile(rb"[!-9;-~]+:")
_ANNOUNCES = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d\b")


class Guarded:
    """A connected socket whose answers are read through an `Answer`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, *_: Any, **__: Any) -> Answer:
        """The bytes of the next answer."""
        return Answer(self._sock.makefile("rb", buffering=0))


class Answer(io.BufferedReader):
    """The bytes of one answer, the head in order."""

    _head: list[bytes] | None = None
    """The lines of the head that were not handed on yet, the last one first."""

    def readline(self, size: int | None = -1) -> bytes:
        """A line. Raises RemoteDisconnected for a head that is cut, and HTTPException for a chunk of negative size."""
        if self._head is None:
            self._head = read_head(super().readline)
        if self._head:
            return self._head.pop()
        line = super().readline(size)
        if line.startswith(b"-"):  # http.client and urllib3 take -5 for the size of a chunk
            raise http.client.HTTPException("a chunk of less than no bytes")
        return line


def read_head(readline: Callable[[int], bytes]) -> list[bytes]:
    """The lines of a head, past those that only announce one (RFC 9110, 15.2), the last one first."""
    while True:
        lines = _lines(readline)
        if not _ANNOUNCES.match(lines[0]):
            return lines[::-1]


def _lines(readline: Callable[[int], bytes]) -> list[bytes]:
    """The lines of one head. One that is no field is left out, with those that go on with it."""
    lines, field = [], False
    for number in range(MAX_FIELDS + 2):
        line = readline(MAX_LINE)
        if line in (b"\r\n", b"\n"):
            return [*lines, line]
        if not line.endswith(b"\n"):
            break
        field = _FIELD.match(line) is not None or (field and line[:1] in b" \t")
        if (field or number == 0) and (text := line.rstrip()):
            lines.append(text.replace(b"\r", b" ") + b"\r\n")  # what follows a lone CR would be a line of its own
    raise http.client.RemoteDisconnected("the head of the answer was cut, or has no end")
