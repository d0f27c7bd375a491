"""A server of raw sockets on loopback that plays a script of byte-level behaviours: what HTTP libraries hide.

Each request takes the next act of the script; the last act repeats. An act is bytes to send, or a function of the
connection; after both the connection is closed, unless the act says `keep`. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SELF_SIGNED = Path(__file__).with_name("self-signed.pem")
"""A certificate that nobody trusts, with its key; made for these tests."""


@dataclass(frozen=True)
class Act:
    """What is done with one request. `play` gets the connection and an event that is set when the server ends."""

    play: Callable[[socket.socket, threading.Event], None]
    keep: bool = False


def says(*pieces: bytes, keep: bool = False) -> Act:
    """Sends these bytes."""

    def play(connection: socket.socket, ended: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return Act(play, keep)


def answers(body: Any, *, status: int = 200, keep: bool = False, head: str = "") -> Act:
    """A whole answer: JSON, or bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return says(
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{head}Content-Length: {len(raw)}\r\n\r\n".encode(),
        raw,
        keep=keep,
    )


def resets(*pieces: bytes) -> Act:
    """Sends these bytes and resets the connection (RST)."""

    def play(connection: socket.socket, ended: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)
        ended.wait(0.02)  # what was sent has arrived
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return Act(play)


def drips(head: bytes, drop: bytes = b" ", every: float = 0.02) -> Act:
    """Sends `head`, and then a drop for ever."""

    def play(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(head)
        while not ended.wait(every):
            connection.sendall(drop)

    return Act(play)


def floods(head: bytes, piece: bytes, times: int = 1 << 40) -> Act:
    """Sends `head`, and then as much as the other side takes."""

    def play(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(head)
        for _ in range(times):
            if ended.is_set():
                return
            connection.sendall(piece)

    return Act(play)


def hangs(*pieces: bytes) -> Act:
    """Sends these bytes, then nothing, and the connection stays open."""

    def play(connection: socket.socket, ended: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)
        while not ended.is_set() and connection.recv(65536):
            pass

    return Act(play)


class Chaos:
    """Plays `script` on `port` of 127.0.0.1 (0: any). `heads` are the request heads that came, in order.

    `tls`: whether it speaks TLS, or the certificate with which it does.
    """

    def __init__(self, script: Sequence[Act], *, port: int = 0, tls: bool | Path = False) -> None:
        self.script = list(script)
        self.heads: list[str] = []
        self.connections = 0
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._context = _context(SELF_SIGNED if tls is True else tls) if tls else None
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """End every connection and every thread."""
        self.ended.set()
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._talk, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _talk(self, raw: socket.socket) -> None:
        connection = raw
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(raw.close)
            connection.settimeout(10)
            if self._context is not None:
                raw.getpeername()  # raises if it is reset already: wrap_socket would raise and never close its socket
                connection = self._context.wrap_socket(raw, server_side=True)
            stack.callback(connection.close)
            self._open.add(connection)
            stack.callback(self._open.discard, connection)
            while head := _head(connection):
                act = self._next(head)
                act.play(connection, self.ended)
                if not act.keep:
                    break

    def _next(self, head: str) -> Act:
        with self._lock:
            self.heads.append(head)
            return self.script[0] if len(self.script) == 1 else self.script.pop(0)


def _head(connection: socket.socket) -> str:
    """One request, its body read too; the head as text."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return ""
        received += piece
        if not received[:1].isupper():  # no HTTP: a TLS handshake
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return ""
    head, _, body = received.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    length = next((line.split(":")[1] for line in text.split("\r\n") if line.lower().startswith("content-length")), "0")
    while len(body) < int(length):
        body += connection.recv(65536)
    return text


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextlib.contextmanager
def chaos(*script: Act, tls: bool | Path = False) -> Iterator[Chaos]:
    """A server for the length of a block."""
    server = Chaos(script, tls=tls)
    try:
        yield server
    finally:
        server.close()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
