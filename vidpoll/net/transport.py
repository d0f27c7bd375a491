"""HTTP through requests: the default way to the network.

One `send` is one request with its redirects, read to the end. It runs in a worker thread, holds no state of any job,
and either returns a whole Response or raises NoAnswer in words that hold no URL and no key.

Of the libraries below only public names are used: the hooks of `HTTPAdapter`, `PoolManager.pool_classes_by_scheme`, a
pool's `ConnectionCls`, a connection's `connect` and `sock`, a socket's `makefile` and `getpeername`, a response's
`read1` and `read_chunked`. A test holds that no name beginning with `_` of another library stands here.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - looked up by the first connection, when no file can be opened perhaps
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
    """Carries what `start` or a sink raised past the translation of network errors."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class RequestsTransport:
    """A `Sender` through requests' adapter: one adapter per thread and process, no session, no cookies, no `.netrc`."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._way = lru_cache(64)(way)  # by origin: hosts may be named anew for each file
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
        except Exception as error:  # noqa: BLE001 - the table knows them all
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
        """Whether there are too many open files, and those of idle connections could be closed."""
        if blame.of(error)[0] is not blame.FULL or adapter.sockets.ended:
            return False
        with self._lock:
            others = [each for each in self._adapters if each is not adapter]
        closed = [each.close_idle() for each in others]
        return any(closed)

    def _make_ready(self, adapter: _Adapter, wire: WireRequest, ticket: Ticket) -> None:
        """Begin a new request. A POST gets a fresh connection: a stale one looks like a lost answer."""
        if wire.method not in ("GET", "HEAD"):
            adapter.close()
        adapter.sockets.begin(ticket)

    def _adapter(self) -> _Adapter:
        local = self._local
        if getattr(local, "adapter", None) is None or local.pid != os.getpid():
            local.adapter = _Adapter(pool_connections=4, pool_maxsize=1, max_retries=0)
            local.pid = os.getpid()
            with self._lock:
                self._adapters.add(local.adapter)
        adapter: _Adapter = local.adapter
        _current.sockets = adapter.sockets
        return adapter


_current = threading.local()
"""`sockets`: those of this thread's request."""


class _Noted:
    """A connection that is noted among its thread's sockets when it stands, and notes when something is sent.

    Who is at its other end is looked at as soon as there is a socket, before TLS and before a proxy is told a host,
    and again for each request that it serves: the next one may be another account's.
    """

    _line: Any = None
    _ends: tuple[str, str] | None = None
    """The addresses of the peer and of this machine."""

    @property
    def sock(self) -> Any:
        """The socket below, or what stands for it."""
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
        """The request line, with the target as it was written: urllib3 writes escapes anew."""
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
    """A class of pools like `pool`, whose connections are noted."""
    if issubclass(pool.ConnectionCls, _Noted):
        return pool
    connection = type(f"Noted{pool.ConnectionCls.__name__}", (_Noted, pool.ConnectionCls), {})
    return type(f"Noting{pool.__name__}", (pool,), {"ConnectionCls": connection})


def _note(manager: Any) -> Any:
    """Have a pool manager make pools whose connections are noted."""
    classes = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _noting(pool) for scheme, pool in classes.items()}
    return manager


class _Adapter(HTTPAdapter):
    """requests' adapter, with connections that can be shut from another thread."""

    def __init__(self, **options: Any) -> None:
        self.sockets = Sockets()
        self.busy = threading.Lock()
        """Held by its thread for the length of a request; another thread may close what is idle."""
        super().__init__(**options)

    _alike: object = None
    _request: requests.PreparedRequest
    _url = _target = ""
    _origin = ("", "")
    """That of the last URL that went as it is written, as it was given and as it is sent."""

    _pool: tuple[str, Any] | None = None
    _verified: object = None

    def prepared(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> requests.PreparedRequest:
        """The request, prepared. Polls differ in their path at most, so the last one is kept and given another."""
        if self._alike != (method, headers, body):
            large = body is not None and len(body) > FILE_CHUNK  # a file: sent in blocks, so that each has its own time
            data = io.BytesIO(body or b"") if large else body
            self._request = requests.Request(method, url, headers=headers, data=data).prepare()
            self._alike, self._url, self._origin = None if large else (method, headers, body), "", ("", "")
        if url != self._url:
            self._point(url, written(url))
            self._url = url
        return self._request

    def _point(self, url: str, parts: Written | None) -> None:
        """Have the request ask for another URL: byte for byte where it is valid, else as the libraries write it."""
        if parts is None or parts.root != self._origin[0]:
            self._request.prepare_url(url, None)
            self._origin = ("", "") if parts is None else (parts.root, root(str(self._request.url)))
        if parts is None:
            self._target = super().request_url(self._request, {})
        else:
            self._request.url, self._target = self._origin[1] + parts.target, parts.target

    def went_stale(self, method: str, error: Exception) -> bool:
        """Whether a question met a used connection that was closed before a byte of an answer came; it is closed here.

        It then goes out again. Nothing else does: a POST never, and no question that was given up.
        """
        sockets = self.sockets
        if sockets.fresh or sockets.heard or sockets.ended or method not in ("GET", "HEAD"):
            return False
        if blame.of(error)[0].reason not in _CLOSED:
            return False
        self.close()
        return True

    def close_idle(self) -> bool:
        """Close the connections unless a request is under way; whether there were any. For any thread."""
        if self._pool is None or not self.busy.acquire(blocking=False):
            return False
        try:
            self.close()
        finally:
            self.busy.release()
        return True

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        """The pool for a request; that of the last one where it goes to the same origin."""
        origin = root(str(request.url))
        if self._pool is None or self._pool[0] != origin:
            self._pool = (origin, super().get_connection_with_tls_context(request, *args, **options))
        return self._pool[1]

    def cert_verify(self, conn: Any, *args: Any) -> None:
        """Set up the certificates of a pool, once: they are the same for all requests to an origin."""
        if conn is not self._verified:
            super().cert_verify(conn, *args)  # type: ignore[no-untyped-call]
            self._verified = conn

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """What the request line names; there is nothing to look up where no proxy is."""
        self.sockets.target = super().request_url(request, proxies) if proxies else self._target
        return self.sockets.target

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """What the transport reads of an answer, and no more: no cookies, no guess at an encoding."""
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
    """The answer, read to its end; a good one goes to the sink that `start` gives."""
    headers = {name.lower(): value.strip(_SPACE) for name, value in answer.headers.items()}
    if start is not None and 200 <= answer.status_code < 300:
        head = Response(answer.status_code, headers)
        sink = _own(start, head)
        if sink is not None:
            _pour(answer, partial(_own, sink), FILE_CHUNK)
            return head
    return Response(answer.status_code, headers, _body(answer, headers, wire.max_body))


def _pour(answer: requests.Response, sink: Sink, most: int) -> None:
    """The body to the sink, as it comes. urllib3 raises where it is shorter than announced."""
    raw, status = answer.raw, answer.status_code
    coding = answer.headers.get("transfer-encoding", "")
    if coding and set(re.split(r"[,\s]+", coding.lower())) - _FRAMINGS:
        raise NoAnswer("a transfer coding that was not asked for")
    if status < 200 or (raw.chunked and status in (204, 304)):
        return  # what follows is no body, whatever the head says
    once = partial(raw.read1, most, decode_content=False)
    for piece in raw.read_chunked(most, decode_content=False) if raw.chunked else iter(once, b""):
        sink(memoryview(piece))
        del piece  # its memory takes the next one
        if raw.length_remaining == 0:
            raw.release_conn()
            return


def _own(call: Callable[[A], B], argument: A) -> B:
    """Call what the caller brought along. What it raises (a full disk) must not pass for the network's."""
    try:
        return call(argument)
    except Exception as error:  # noqa: BLE001
        raise _SinkFailed(error) from None


def _body(answer: requests.Response, headers: Mapping[str, str], max_body: int) -> bytes:
    received = bytearray()  # not a list: a body in chunks of two bytes would take forty times its size

    def collect(piece: memoryview) -> None:
        received.extend(piece)
        if len(received) > max_body:
            raise BodyTooLarge(f"a body of more than {max_body:,} bytes")

    _pour(answer, collect, BODY_CHUNK)
    coding = headers.get("content-encoding", "").strip().lower()
    return decoded(bytes(received), coding, max_body) if coding else bytes(received)
