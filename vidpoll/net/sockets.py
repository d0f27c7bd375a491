"""The sockets below the HTTP libraries: another thread can shut them, and an answer has a whole head or none.

http.client takes a head that is cut for a whole one: a 200 without a body. urllib3 logs a line that is no field, and a
server may echo the key there. So what a connection reads from is `Guarded`: it hands on a head once it is whole, and of
it only the lines that can be read.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import socket
import weakref
from collections.abc import Callable
from typing import Any

from ..faults import NoAnswer
from .workers import Ticket

MAX_FIELDS = 100
MAX_LINE = 64 * 1024
"""Bytes of a line in the head of an answer."""

_FIELD = re.compile(rb"[!-9;-~]+:")
_HTTP = b"HTTP/"
_STATUS = re.compile(rb"HTTP/1\.[0-9][ \t]+([0-9]{3})(?![^ \t\r\n])")


def _anybody(address: str, own: str) -> None:
    del address, own


class Sockets:
    """The sockets of one worker thread: how far its request came, and how to end it from another thread."""

    def __init__(self) -> None:
        self.connecting = False
        """Whether a connection is being made, and nothing of the request is sent."""
        self.fresh = self.heard = self.ended = False
        """Whether the last try made a connection, whether a byte of an answer came, and whether it was ended."""
        self.target = ""
        """What the request line is to name, byte for byte."""
        self.url = ""
        """The URL of the hop that is asked."""
        self.admit: Callable[[str, str], object] = _anybody
        """Raises NoAnswer where nothing may be sent to a peer, given by its address and this machine's own."""
        self._ticket: Ticket | None = None
        self._open: tuple[weakref.ref[socket.socket], ...] = ()

    def begin(self, ticket: Ticket) -> None:
        """Serve another request. Raises NoAnswer where it is aborted already."""
        self.connecting = self.ended = False
        self._ticket = ticket
        ticket.shut = self.shut
        if ticket.aborted:
            raise NoAnswer("aborted before it was sent", sent=False)

    def end(self) -> None:
        """The request is over: nothing of it is kept."""
        self.url, self.admit = "", _anybody

    def attempt(self) -> None:
        """A hop is tried, for the first time or again."""
        self.fresh = self.heard = self.connecting = False

    def sending(self) -> None:
        """Bytes are about to be sent; those that a connection needs before it stands are none of the request."""
        if not self.connecting and self._ticket is not None:
            self._ticket.sent = True

    def add(self, sock: socket.socket) -> None:
        self._open = (*(each for each in self._open if each() is not None), weakref.ref(sock))
        if self.ended:
            self.shut()

    def shut(self) -> None:
        """Shut them all: the thread that they serve reads no further."""
        self.ended = True
        for sock in filter(None, (each() for each in self._open)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def ends(sock: Any) -> tuple[str, str]:
    """The addresses of a socket's peer and of this machine. Of a proxy's, PySocks would give the address behind it."""
    kind = socket.socket if isinstance(sock, socket.socket) else type(sock)
    return kind.getpeername(sock)[0], kind.getsockname(sock)[0]


class Guarded:
    """A connected socket whose answers are read through an `Answer`."""

    def __init__(self, sock: socket.socket, sockets: Sockets) -> None:
        self._sock = sock
        self._sockets = sockets
        self.settimeout, self.sendall, self.fileno = (
            sock.settimeout,
            sock.sendall,
            sock.fileno,
        )  # asked for all the time

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, *_: Any, **__: Any) -> Answer:
        """The bytes of the next answer."""
        answer = Answer(self._sock.makefile("rb", buffering=0))
        answer.sockets = self._sockets
        return answer


class Answer(io.BufferedReader):
    """The bytes of one answer, the head in order."""

    sockets = Sockets()
    """Those of the thread that reads it."""

    _head: list[bytes] | None = None
    """The lines of the head that were not handed on yet, the last one first."""

    def readline(self, size: int | None = -1) -> bytes:
        """A line. Raises RemoteDisconnected for a head that is cut, and HTTPException for a chunk of negative size."""
        if self._head is None:
            if not self.peek(1):
                raise http.client.RemoteDisconnected("closed without a byte")
            self.sockets.heard = True
            self._head = read_head(super().readline)
        if self._head:
            return self._head.pop()
        line = super().readline(size)
        if line.lstrip().startswith(b"-"):  # http.client and urllib3 take -5 for the size of a chunk
            raise http.client.HTTPException("a chunk of less than no bytes")
        return line


def read_head(readline: Callable[[int], bytes]) -> list[bytes]:
    """The lines of a head, past those that only announce one (RFC 9110, 15.2), the last one first.

    Raises BadStatusLine where it does not begin with a status.
    """
    while True:
        lines = _lines(readline)
        status = _STATUS.match(lines[0])
        if status is None:  # http.client takes "\x1f103" and "+103" for 103, and the next head for another answer's
            raise http.client.BadStatusLine("no status line")
        if status[1] == b"101" or not status[1].startswith(b"1"):
            break
    told = [line[15:].split(b",") for line in lines if line[:15].lower() == b"content-length:"]
    lengths = {length.strip() for each in told for length in each}
    if len(lengths) > 1:  # urllib3 would leave the answer open
        raise ValueError("several lengths that contradict each other")
    if sum(map(len, told)) > 1:  # "n, n", or two lines with n (RFC 9110, 8.6)
        lines = [line for line in lines if line[:15].lower() != b"content-length:"]
        lines.insert(1, b"Content-Length: %s\r\n" % lengths.pop())
    return lines[::-1]


def _lines(readline: Callable[[int], bytes]) -> list[bytes]:
    """The lines of one head, a folded one as one. One that is no field is left out, with those that go on with it."""
    lines: list[bytes] = []
    field = False
    for number in range(MAX_FIELDS + 2):
        line = readline(MAX_LINE)
        if number == 0 and not line.startswith(_HTTP[: len(line)]):
            raise http.client.BadStatusLine("another protocol")
        if line in (b"\r\n", b"\n"):
            return [*lines, line]
        if not line.endswith(b"\n"):
            break
        text = line.strip().replace(b"\r", b" ") + b"\r\n"  # what follows a lone CR would be a line of its own
        if field and line[:1] in b" \t":
            lines[-1] = lines[-1].rstrip() + b" " + text
            continue
        field = number > 0 and _FIELD.match(line) is not None
        if field or number == 0:
            lines.append(text)
    raise http.client.RemoteDisconnected("the head of the answer was cut, or has no end")
