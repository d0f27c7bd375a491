"""The sockets below the HTTP libraries: another thread can shut them, and a response has a complete head or none.

http.client accepts a cut head as complete: a 200 without a body. urllib3 logs a line that is not a header field, and a
server may echo the key there. So each connection reads through `Guarded`: it passes a head on once it is complete, with
only the readable lines.
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
"""Bytes of a line in the head of a response."""

_FIELD = re.compile(rb"[!-9;-~]+:")
_HTTP = b"HTTP/"
_STATUS = re.compile(rb"HTTP/1\.[0-9][ \t]+([0-9]{3})(?![^ \t\r\n])")


def _anybody(address: str, own: str) -> None:
    del address, own


class Sockets:
    """The sockets of one worker thread: the state of its request, and how another thread ends it."""

    def __init__(self) -> None:
        self.connecting = False
        """Whether a connection is being made, so that no byte of the request is sent yet."""
        self.fresh = self.heard = self.ended = False
        """Whether the last try made a connection, whether a byte of a response came, and whether it was ended."""
        self.target = ""
        """The target of the request line, byte for byte."""
        self.url = ""
        """The URL of the current hop."""
        self.admit: Callable[[str, str], object] = _anybody
        """(address of the peer, own address): raises NoAnswer if nothing may be sent to the peer."""
        self._ticket: Ticket | None = None
        self._open: tuple[weakref.ref[socket.socket], ...] = ()

    def begin(self, ticket: Ticket) -> None:
        """Serve another request. Raises NoAnswer if it is already aborted."""
        self.connecting = self.ended = False
        self._ticket = ticket
        ticket.shut = self.shut
        if ticket.aborted:
            raise NoAnswer("aborted before it was sent", sent=False)

    def end(self) -> None:
        """Forget the request, which is over."""
        self.url, self.admit = "", _anybody

    def attempt(self) -> None:
        """Begin a try of a hop."""
        self.fresh = self.heard = self.connecting = False

    def sending(self) -> None:
        """Bytes are about to be sent. Those that set up a connection are not part of the request."""
        if not self.connecting and self._ticket is not None:
            self._ticket.sent = True

    def add(self, sock: Any) -> None:
        """Note a connected socket, or an object that wraps one, as urllib3 does for TLS to an HTTPS proxy."""
        while not isinstance(sock, socket.socket) and hasattr(sock, "socket"):
            sock = sock.socket
        self._open = (*(each for each in self._open if each() is not None), weakref.ref(sock))
        if self.ended:
            self.shut()

    def shut(self) -> None:
        """Shut all sockets, so that their thread stops reading."""
        self.ended = True
        for sock in filter(None, (each() for each in self._open)):
            with contextlib.suppress(OSError):  # SSLSocket.shutdown ends TLS first: its thread would go on in the clear
                _plain(sock).shutdown(sock, socket.SHUT_RDWR)


def ends(sock: Any) -> tuple[str, str]:
    """(address of the peer, own address) of a socket. For a proxy, PySocks itself would give the address behind it."""
    kind = _plain(sock)
    return kind.getpeername(sock)[0], kind.getsockname(sock)[0]


def _plain(sock: Any) -> Any:
    """The class whose methods reach the socket itself, and not what PySocks or TLS puts above it."""
    return socket.socket if isinstance(sock, socket.socket) else type(sock)


class Guarded:
    """A connected socket whose responses are read through an `Answer`."""

    def __init__(self, sock: socket.socket, sockets: Sockets) -> None:
        self._sock = sock
        self._sockets = sockets
        self.settimeout, self.sendall, self.fileno = (
            sock.settimeout,
            sock.sendall,
            sock.fileno,
        )  # used all the time

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, *_: Any, **__: Any) -> Answer:
        """The bytes of the next response."""
        answer = Answer(self._sock.makefile("rb", buffering=0))
        answer.sockets = self._sockets
        return answer


class Answer(io.BufferedReader):
    """The bytes of one response, with a checked head."""

    sockets = Sockets()
    """The sockets of the reading thread."""

    _head: list[bytes] | None = None
    """The lines of the head that are not passed on yet, the last one first."""

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line. Raises RemoteDisconnected for a cut head, and HTTPException for a chunk of negative size."""
        if self._head is None:
            if not self.peek(1):
                raise http.client.RemoteDisconnected("closed without a byte")
            self.sockets.heard = True
            self._head = read_head(super().readline)
        if self._head:
            return self._head.pop()
        line = super().readline(MAX_LINE + 1 if size is None or size < 0 else size)
        if len(line) > MAX_LINE:  # urllib3 before 2.8 reads the size of a chunk, and a trailer, without a bound
            raise http.client.HTTPException("a line of more than 64 KiB in the framing of the body")
        if line.lstrip().startswith(b"-"):  # http.client and urllib3 accept -5 as the size of a chunk
            raise http.client.HTTPException("a chunk of negative size")
        return line


def read_head(readline: Callable[[int], bytes]) -> list[bytes]:
    """The lines of the final head, the last one first. Interim heads (RFC 9110, 15.2) are skipped.

    Raises BadStatusLine if a head does not begin with a status.
    """
    while True:
        lines = _lines(readline)
        status = _STATUS.match(lines[0])
        if status is None:  # http.client reads "\x1f103" and "+103" as 103, and the next head as another response
            raise http.client.BadStatusLine("no status line")
        if status[1] == b"101" or not status[1].startswith(b"1"):
            break
    told = [line[15:].split(b",") for line in lines if line[:15].lower() == b"content-length:"]
    lengths = {length.strip() for each in told for length in each}
    if len(lengths) > 1:  # urllib3 would leave the response open
        raise ValueError("several lengths that contradict each other")
    if sum(map(len, told)) > 1:  # "n, n", or two lines with n (RFC 9110, 8.6)
        lines = [line for line in lines if line[:15].lower() != b"content-length:"]
        lines.insert(1, b"Content-Length: %s\r\n" % lengths.pop())
    return lines[::-1]


def _lines(readline: Callable[[int], bytes]) -> list[bytes]:
    """The lines of one head, with folded lines joined. Lines that are not fields are left out."""
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
        text = line.strip().replace(b"\r", b" ") + b"\r\n"  # text after a lone CR would become a line of its own
        if field and line[:1] in b" \t":
            lines[-1] = lines[-1].rstrip() + b" " + text
            continue
        field = number > 0 and _FIELD.match(line) is not None
        if field or number == 0:
            lines.append(text)
    raise http.client.RemoteDisconnected("the head of the response was cut, or has no end")
