"""HTTP through requests: the default way to the network.

One `send` is one request with its redirects, read to the end. It runs in a worker thread and holds no state of any job.
It returns a complete Response or raises NoAnswer, whose message holds no URL and no key.

It uses only public names of the libraries: the hooks of `HTTPAdapter`, `PoolManager.pool_classes_by_scheme`, a pool's
`ConnectionCls`, a connection's `connect` and `sock`, a socket's `makefile` and `getpeername`, a response's `read1` and
`read_chunked`. A test checks that this module uses no name of another library that begins with `_`.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - the first connection needs it; later no file may be free
import io
import os
import re
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

from .. import blame
from ..faults import NoAnswer
from ..fork_lock import ForkLock
from ..model import Response
from .accounts import WireRequest
from .codings import decoded
from .environment import way
from .explain import BodyTooLarge, Hopeless, lost
from .hops import MAX_REDIRECTS, following, gate, redirects, sent
from .protocol import Sink, Start
from .sockets import Guarded, Sockets, ends
from .urls import Written, root, written
from .workers import Ticket

FILE_CHUNK = 512 * 1024
BODY_CHUNK = 8 * 1024

_SPACE = " \t\r\n"
_CLOSED = (blame.RESET.reason, "the connection was closed", "the TLS connection was closed")
_FRAMINGS = {"", "identity", "chunked"}

A = TypeVar("A")
B = TypeVar("B")


class _SinkFailed(Exception):
    """Carries an exception of `start` or a sink past the translation of network errors."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class RequestsTransport:
    """A `Sender` through requests' adapter: one adapter per thread and process, no session, no cookies, no `.netrc`."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._way = lru_cache(64)(way)  # by origin: each file may have another host
        self._lock = ForkLock()
        self._adapters: weakref.WeakSet[_Adapter] = weakref.WeakSet()

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        return self._send(wire, ticket, None)

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> Response:
        try:
            return self._send(wire, ticket, start)
        except _SinkFailed as failed:
            raise failed.error from None

    def _send(self, wire: WireRequest, ticket: Ticket, start: Start | None) -> Response:
        adapter, answer = self._adapter(), None
        adapter.busy.acquire()
        try:
            self._make_ready(adapter, wire, ticket)
            answer = self._follow(wire, adapter, start)
            return _read(answer, wire, start)
        except NoAnswer as error:
            error.sent = ticket.sent
            raise
        except _SinkFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the table of `blame` lists them all
            url = adapter.sockets.url or wire.url
            raise lost(error, url, wire.timeout, sent=ticket.sent, in_body=answer is not None) from None
        finally:
            if answer is not None:
                answer.close()
            adapter.sockets.end()
            adapter.busy.release()

    def close(self) -> None:
        """Close the connections of this thread."""
        adapter = getattr(self._local, "adapter", None)
        if adapter is not None:
            adapter.close()
            self._local.adapter = None

    def _follow(self, wire: WireRequest, adapter: _Adapter, start: Start | None) -> requests.Response:
        url = wire.url
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._once(wire, url, adapter, file=start is not None)
            if not redirects(wire, answer.status_code):
                return answer
            target = answer.headers.get("location", "")
            answer.close()
            url = following(wire, url, target)
        raise Hopeless(f"more than {MAX_REDIRECTS} redirects")

    def _once(self, wire: WireRequest, url: str, adapter: _Adapter, *, file: bool) -> requests.Response:
        headers, body, secret = sent(wire, url, file=file)
        adapter.sockets.url = url
        settings, proxy = self._way(root(url))
        adapter.sockets.admit = gate(wire, url, proxy, secret=secret)
        prepared = adapter.prepared(wire.method, url, headers, body)
        adapter.sockets.attempt()
        try:
            return adapter.send(prepared, stream=True, timeout=wire.timeout, **settings)
        except Exception as error:
            if not (adapter.went_stale(wire.method, error) or self._made_room(adapter, error)):
                raise
        adapter.sockets.attempt()
        return adapter.send(prepared, stream=True, timeout=wire.timeout, **settings)

    def _made_room(self, adapter: _Adapter, error: Exception) -> bool:
        """Whether there were too many open files and this closed idle connections."""
        if blame.of(error)[0] is not blame.FULL or adapter.sockets.ended:
            return False
        with self._lock.current:
            others = [each for each in self._adapters if each is not adapter]
        closed = [each.close_idle() for each in others]
        return any(closed)

    def _make_ready(self, adapter: _Adapter, wire: WireRequest, ticket: Ticket) -> None:
        """Begin a new request. A POST gets a fresh connection, because a stale one looks like a lost response."""
        if wire.method not in ("GET", "HEAD"):
            adapter.close()
        adapter.sockets.begin(ticket)

    def _adapter(self) -> _Adapter:
        local = self._local
        if getattr(local, "adapter", None) is None or local.pid != os.getpid():
            local.adapter = _Adapter(pool_connections=4, pool_maxsize=1, max_retries=0)
            local.pid = os.getpid()
            with self._lock.current:
                self._adapters.add(local.adapter)
        adapter: _Adapter = local.adapter
        _current.sockets = adapter.sockets
        return adapter


_current = threading.local()
"""`sockets`: the sockets of this thread's request."""


class _Noted:
    """A connection that registers its socket with its thread's `Sockets`, and reports when it sends bytes.

    The peer is checked as soon as there is a socket, before TLS and before a proxy learns a host. It is checked again
    for each request of the connection, because the next request may be another account's.
    """

    _line: Any = None
    _ends: tuple[str, str] | None = None
    """The addresses of the peer and of this machine."""

    @property
    def sock(self) -> Any:
        """The socket, or the object that wraps it."""
        return self._line

    @sock.setter
    def sock(self, sock: Any) -> None:
        self._line = sock
        if sock is None:
            self._ends = None
        elif self._ends is None:
            self._ends = ends(sock)
            _current.sockets.admit(*self._ends)

    def connect(self) -> None:
        sockets: Sockets = _current.sockets
        sockets.connecting = sockets.fresh = True
        super().connect()  # type: ignore[misc]  # a plain, a TLS or a SOCKS connection of urllib3
        sockets.add(self.sock)
        self.sock = Guarded(self.sock, sockets)
        sockets.connecting = False

    def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:
        """Send the request line with the target as it was written; urllib3 would rewrite its escapes."""
        if self._ends is not None:
            _current.sockets.admit(*self._ends)
        super().putrequest(method, _current.sockets.target or url, *args, **options)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _current.sockets.sending()
        super().send(data)  # type: ignore[misc]


@cache
def _noting(pool: Any) -> Any:
    """A class of pools like `pool`, whose connections are `_Noted`."""
    if issubclass(pool.ConnectionCls, _Noted):
        return pool
    connection = type(f"Noted{pool.ConnectionCls.__name__}", (_Noted, pool.ConnectionCls), {})
    return type(f"Noting{pool.__name__}", (pool,), {"ConnectionCls": connection})


def _note(manager: Any) -> Any:
    """Make a pool manager use pools whose connections are `_Noted`."""
    classes = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _noting(pool) for scheme, pool in classes.items()}
    return manager


class _Adapter(HTTPAdapter):
    """The adapter of requests, with connections that another thread can shut."""

    def __init__(self, **options: Any) -> None:
        self.sockets = Sockets()
        self.busy = threading.Lock()
        """Held by its thread during a request; another thread may close idle connections."""
        super().__init__(**options)

    _alike: object = None
    _request: requests.PreparedRequest
    _url = _target = ""
    _origin = ("", "")
    """The origin of the last URL that was sent as written: as given, and as sent."""

    _pool: tuple[str, Any] | None = None
    _verified: object = None

    def prepared(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> requests.PreparedRequest:
        """The prepared request. Polls differ only in their paths, so the last request is kept and gets a new path."""
        if self._alike != (method, headers, body):
            large = body is not None and len(body) > FILE_CHUNK  # a file: sent in blocks, each with its own timeout
            data = io.BytesIO(body or b"") if large else body
            self._request = requests.Request(method, url, headers=headers, data=data).prepare()
            self._alike, self._url, self._origin = None if large else (method, headers, body), "", ("", "")
        if url != self._url:
            self._point(url, written(url))
            self._url = url
        return self._request

    def _point(self, url: str, parts: Written | None) -> None:
        """Give the request another URL: byte for byte if it is valid, else as the libraries encode it."""
        if parts is None or parts.root != self._origin[0]:
            self._request.prepare_url(url, None)
            self._origin = ("", "") if parts is None else (parts.root, root(str(self._request.url)))
        if parts is None:
            self._target = super().request_url(self._request, {})
        else:
            self._request.url, self._target = self._origin[1] + parts.target, parts.target

    def went_stale(self, method: str, error: Exception) -> bool:
        """Whether a GET or HEAD failed on a reused connection that closed before the first byte of a response.

        The connection is then closed here, and the request is sent again. Nothing else is sent again: never a POST, and
        no aborted request.
        """
        sockets = self.sockets
        if sockets.fresh or sockets.heard or sockets.ended or method not in ("GET", "HEAD"):
            return False
        *_, innermost = blame.chain(error)  # urllib3 puts a ProxyError around what an HTTP proxy's connection met
        if blame.of(innermost)[0].reason not in _CLOSED:
            return False
        self.close()
        return True

    def close_idle(self) -> bool:
        """Close the connections unless a request is running. Returns whether there were any. For any thread."""
        if self._pool is None or not self.busy.acquire(blocking=False):
            return False
        try:
            self.close()
        finally:
            self.busy.release()
        return True

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        """The pool for a request; the last one's pool if it goes to the same origin."""
        origin = root(str(request.url))
        if self._pool is None or self._pool[0] != origin:
            self._pool = (origin, super().get_connection_with_tls_context(request, *args, **options))
        return self._pool[1]

    def cert_verify(self, conn: Any, *args: Any) -> None:
        """Set up the certificates of a pool once: they are the same for all requests to an origin."""
        if conn is not self._verified:
            super().cert_verify(conn, *args)  # type: ignore[no-untyped-call]
            self._verified = conn

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """The target of the request line; without a proxy it is already known."""
        self.sockets.target = super().request_url(request, proxies) if proxies else self._target
        return self.sockets.target

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Set only what the transport reads of a response: no cookies, no guess at an encoding."""
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        response.request, response.url = req, str(req.url)
        return response

    def close(self) -> None:
        self._pool = self._verified = None
        super().close()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _note(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return _note(super().proxy_manager_for(*args, **options))


def _read(answer: requests.Response, wire: WireRequest, start: Start | None) -> Response:
    """The response, read to its end; a 2xx body goes to the sink of `start`."""
    headers = {name.lower(): value.strip(_SPACE) for name, value in answer.headers.items()}
    if start is not None and 200 <= answer.status_code < 300:
        head = Response(answer.status_code, headers)
        sink = _own(start, head)
        if sink is not None:
            _pour(answer, partial(_own, sink), FILE_CHUNK)
            return head
    return Response(answer.status_code, headers, _body(answer, headers, wire.max_body))


def _pour(answer: requests.Response, sink: Sink, most: int) -> None:
    """Pass the body to the sink as it comes. urllib3 raises if the body is shorter than announced."""
    raw, status = answer.raw, answer.status_code
    coding = answer.headers.get("transfer-encoding", "")
    if coding and set(re.split(r"[,\s]+", coding.lower())) - _FRAMINGS:
        raise NoAnswer("a transfer coding that was not requested")
    if status < 200 or (raw.chunked and status in (204, 304)):
        return  # no body follows, whatever the head says
    once = partial(raw.read1, most, decode_content=False)
    for piece in raw.read_chunked(most, decode_content=False) if raw.chunked else iter(once, b""):
        sink(memoryview(piece))
        del piece  # its memory takes the next one
        if raw.length_remaining == 0:
            raw.release_conn()
            return


def _own(call: Callable[[A], B], argument: A) -> B:
    """Call a function of the caller. Its exceptions (a full disk) must not look like the network's."""
    try:
        return call(argument)
    except Exception as error:  # noqa: BLE001
        raise _SinkFailed(error) from None


def _body(answer: requests.Response, headers: Mapping[str, str], max_body: int) -> bytes:
    received = bytearray()  # not a list: a body in chunks of two bytes would need forty times its size

    def collect(piece: memoryview) -> None:
        received.extend(piece)
        if len(received) > max_body:
            raise BodyTooLarge(f"a body of more than {max_body:,} bytes")

    _pour(answer, collect, BODY_CHUNK)
    coding = headers.get("content-encoding", "").strip().lower()
    return decoded(bytes(received), coding, max_body) if coding else bytes(received)
