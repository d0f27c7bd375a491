"""HTTP on loopback: bytes become a :class:`Request`, a :class:`Reply` becomes bytes.

This is the only file of the simulator that uses sockets. It keeps connections alive (HTTP/1.1), gives each one a
daemon thread, and on closing ends every connection and waits for its thread. It may not know a provider, a job or a
clock. If a client disconnects, nothing is printed.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

Headers = tuple[tuple[str, str], ...]

_log = logging.getLogger("vidpoll.testing.simulator")


@dataclass(frozen=True)
class Request:
    """One request; header names are lower case, ``at`` is simulated seconds.

    ``path`` is decoded, ``raw_path`` is as sent; of a repeated query key the last value counts. ``body`` is None if it
    was longer than the face's limit.
    """

    origin: str
    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes | None
    at: float

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return unquote(self.raw_path)

    @property
    def target(self) -> str:
        """The path and the query, as sent."""
        return self.raw_path + (f"?{self.raw_query}" if self.raw_query else "")

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is not JSON."""
        return json.loads(self.body or b"")


@dataclass(frozen=True)
class Reply:
    """One response; Content-Length and Date are added when it is sent, the body is left out for HEAD."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)


def json_reply(status: int, value: object, headers: Headers = ()) -> Reply:
    """A response whose body is ``value`` as JSON."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    return Reply(status, (("Content-Type", "application/json"), *headers), body)


def text_reply(status: int, text: str, headers: Headers = ()) -> Reply:
    """A response in plain text."""
    return Reply(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), text.encode())


class Server(http.server.HTTPServer):
    """One origin. ``answer(method, target, headers, body)`` makes the replies; it is called from many threads.

    ``max_body`` is in bytes; a longer request body is not read, and ``body`` is None.
    """

    request_queue_size = 128

    def __init__(
        self,
        host: str,
        port: int,
        answer: Callable[[str, str, Mapping[str, str], bytes | None], Reply],
        *,
        max_body: int,
    ) -> None:
        self.answer = answer
        self.max_body = max_body
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._closing = threading.Event()
        super().__init__((host, port), _Handler)
        self._accepting = threading.Thread(target=self._accept, name=f"simulator {self.origin}", daemon=True)

    @property
    def origin(self) -> str:
        """``http://host:port``."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Bind, without the DNS lookup of our own name that the parent makes."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._accepting.start()

    def close(self) -> None:
        """Stop listening, end every connection, wait for its thread."""
        if self._accepting.is_alive():
            self._closing.set()
            with contextlib.suppress(OSError):  # wake the thread that waits for a connection
                socket.create_connection((self.server_name, self.server_port), timeout=1.0).close()
            self._accepting.join()
        self.server_close()
        for connection in self._connections.values():
            _hang_up(connection)
        for thread in self._connections:
            thread.join(timeout=5.0)

    def _accept(self) -> None:
        while not self._closing.is_set():
            self.handle_request()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give an accepted connection its thread."""
        thread = threading.Thread(target=self._converse, args=(request, client_address), daemon=True)
        thread.start()
        alive = {each: connection for each, connection in self._connections.items() if each.is_alive()}
        self._connections = {**alive, thread: request}

    def _converse(self, connection: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(connection, client_address)
        except OSError:
            pass  # the client went away
        finally:
            self.shutdown_request(connection)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is already closed
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body
    server: Server

    def _exchange(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            self._send(text_reply(411, "Length Required"), close=True)
            return
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch("[0-9]{1,18}", length):
            self._send(text_reply(400, "Bad Request"), close=True)
            return
        fits = int(length) <= self.server.max_body
        body = self.rfile.read(int(length)) if fits else None
        if body is not None and len(body) < int(length):
            self.close_connection = True  # the body was cut off: this is not a request
            return
        self._send(self._answer(body), close=not fits)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _exchange  # noqa: N815

    def _answer(self, body: bytes | None) -> Reply:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            return self.server.answer(self.command, self.path, headers, body)
        except Exception:  # noqa: BLE001  a bug in a face is a 500 and a log line, not a dead server
            _log.exception("the face failed on %s %s", self.command, self.path)
            return text_reply(500, "Internal Server Error")

    def _send(self, reply: Reply, *, close: bool) -> None:
        self.send_response_only(reply.status, _phrase(reply.status))
        self.send_header("Date", self.date_time_string())
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
