"""The only place that talks to the network, and the only one that imports requests.

One `send` is one request with its redirects, read to the end. It runs in a worker thread, holds no state of any job,
and either returns a whole Response or raises NoAnswer in words that hold no URL and no key.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from ..__version__ import __version__
from ..errors import UnsafeURL
from ..faults import NoAnswer
from ..model import Response
from .accounts import WireRequest, check_url
from .workers import Ticket

MAX_REDIRECTS = 5
FILE_CHUNK = 256 * 1024
SLOW = 8 * 1024
"""Bytes: a line of which less comes at once is slow, and what comes is handed on at once."""

MAX_FIELDS = 100
MAX_LINE = 64 * 1024
"""Bytes of a line in the head of an answer."""

_REDIRECTS = (301, 302, 303, 307, 308)
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
_SPACE = " \t\r\n"
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_ROOT = re.compile(r"(?i)https?://[^/?#]*")
_PLAIN = re.compile(r"(https?://[A-Za-z0-9.:-]+)((?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+)")  # what no library rewrites
_ANYWHERE = ("accept", "range", "if-range")
_BROKEN = "the connection broke in the middle of the answer"

A = TypeVar("A")
B = TypeVar("B")
Sink = Callable[[memoryview], object]
"""Takes a piece of a body; what it is handed is only good until it returns."""

Start = Callable[[Response], Sink | None]
"""Takes the head of an answer and gives the sink of its body, or None."""


class BodyTooLarge(NoAnswer):
    """More bytes than `max_body`."""


class BodyCut(NoAnswer):
    """The body broke off before its end."""


class Hopeless(NoAnswer):
    """It would be the same if it were asked again."""


class UnsafeHop(Hopeless):
    """A redirect that is not followed."""


class _SinkFailed(Exception):
    """Carries what `start` or a sink raised past the translation of network errors."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Transport(Protocol):
    """What the loop needs of the network; called in worker threads, several at once."""

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        """Send, follow redirects of GET and HEAD, read to the end. Raises NoAnswer."""
        ...

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> Response:
        """Like `send`, but a 2xx body goes piece by piece to what `start(head)` returns; None reads it as `send` does.

        A body that goes to a sink is bounded by the sink alone. Raises NoAnswer, and what `start` or the sink raise.
        """
        ...

    def close(self) -> None:
        """Close the connections of this thread."""
        ...


class RequestsTransport:
    """HTTP through requests' adapter: one adapter per thread and process, no session, no cookies, no `.netrc`."""

    def __init__(self) -> None:
        self._always = {"User-Agent": f"vidpoll/{__version__}", "Accept-Encoding": "identity"}
        self._local = threading.local()
        self._environment: dict[str, dict[str, Any]] = {}

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        return self._send(wire, ticket, None)

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> Response:
        try:
            return self._send(wire, ticket, start)
        except _SinkFailed as failed:
            raise failed.error from None

    def _send(self, wire: WireRequest, ticket: Ticket, start: Start | None) -> Response:
        adapter = self._ready(wire, ticket)
        try:
            with _worded(wire), contextlib.closing(self._follow(wire, adapter)) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                if start is not None and 200 <= answer.status_code < 300:
                    head = Response(answer.status_code, headers)
                    sink = _own(start, head)
                    if sink is not None:
                        _pour(answer, partial(_own, sink), FILE_CHUNK)
                        return head
                return Response(answer.status_code, headers, _body(answer, headers, wire.max_body))
        except NoAnswer as lost:  # nothing is sent before a connection stands
            lost.sent = {"connect": False, "send": True}.get(adapter.reached, lost.sent)
            raise

    def close(self) -> None:
        adapter = getattr(self._local, "adapter", None)
        if adapter is not None:
            adapter.close()
            self._local.adapter = None

    def _follow(self, wire: WireRequest, adapter: _Adapter) -> requests.Response:
        url = wire.url
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._once(wire, url, adapter)
            if answer.status_code not in _REDIRECTS or wire.method not in ("GET", "HEAD"):
                return answer
            target = answer.headers.get("location", "")
            answer.close()
            url = _next_hop(url, target)
            if not wire.may_name(url):
                raise UnsafeHop("a redirect to an address of this network")
        raise Hopeless(f"more than {MAX_REDIRECTS} redirects")

    def _once(self, wire: WireRequest, url: str, adapter: _Adapter) -> requests.Response:
        if wire.trusted(url):
            headers, body = {**self._always, **wire.headers, **wire.secret}, wire.body
        else:  # whatever else a plugin puts into headers and body is meant for its own origin
            anywhere = {name: value for name, value in wire.headers.items() if name.lower() in _ANYWHERE}
            headers, body = {**self._always, **anywhere}, None
        prepared = adapter.prepared(wire.method, url, headers, body)
        return adapter.send(prepared, stream=True, timeout=wire.timeout, **self._settings(url))

    def _ready(self, wire: WireRequest, ticket: Ticket) -> _Adapter:
        """The adapter, for a new request. A POST gets a fresh connection: a stale one looks like a lost answer."""
        adapter = self._adapter()
        adapter.ticket, adapter.reached, adapter.silence = ticket, "", wire.timeout[1]
        if wire.method not in ("GET", "HEAD"):
            adapter.close()
        return adapter

    def _adapter(self) -> _Adapter:
        local = self._local
        if getattr(local, "adapter", None) is None or local.pid != os.getpid():
            local.adapter = _Adapter(pool_connections=4, pool_maxsize=1, max_retries=0)
            local.pid = os.getpid()
        adapter: _Adapter = local.adapter
        return adapter

    def _settings(self, url: str) -> dict[str, Any]:
        """Proxies and CA bundle from the environment, looked up once per origin."""
        key = _root(url)
        if key not in self._environment:
            with requests.Session() as session:
                found = session.merge_environment_settings(url, {}, None, None, None)
            self._environment[key] = {name: found[name] for name in ("proxies", "verify", "cert")}
            if _LOOPBACK.fullmatch(urlsplit(url).hostname or ""):  # a proxy cannot reach this machine's own servers
                self._environment[key]["proxies"] = {}
        return self._environment[key]


class _Adapter(HTTPAdapter):
    """An adapter whose connections can be shut from another thread: each tells the ticket that it serves."""

    ticket: Ticket | None = None
    reached = ""
    """How far the current request came: "connect" while nothing of it was sent, then "send"."""
    silence = 0.0
    """Seconds for which its answer may say nothing."""

    _last: tuple[object, str, str, requests.PreparedRequest] | None = None

    def prepared(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> requests.PreparedRequest:
        """The request, prepared. Polls are alike, and preparing is a fifth of one: the last one is kept.

        Where only a path that needs no quoting is another one, it is put into the last one's place.
        """
        plain = _PLAIN.fullmatch(url)
        self._path = plain[2] if plain else ""
        wanted = (method, plain is None, plain[1] if plain else url, headers, body)
        if self._last is not None and self._last[0] == wanted:
            _, before, origin, request = self._last
            if plain and url != before:
                request.url = origin + plain[2]
                self._last = (wanted, url, origin, request)
            return request
        request = requests.Request(method, url, headers=headers, data=body).prepare()
        self._last = (wanted, url, _root(str(request.url)), request)
        return request

    _path = ""
    """Of a request whose URL no library rewrites."""

    _pool: tuple[str, Any] | None = None
    _verified: object = None

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The pool for a request; that of the last one where it goes to the same origin."""
        root = _root(str(request.url))
        if self._pool is None or self._pool[0] != root:
            pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
            pool.adapter = weakref.proxy(self)
            self._pool = (root, pool)
        return self._pool[1]

    def close(self) -> None:
        self._pool = self._verified = None
        super().close()

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """What the request line names: without a proxy what follows the origin, which for a plain URL is known."""
        return self._path if self._path and not proxies else super().request_url(request, proxies)

    def cert_verify(self, conn: Any, *args: Any) -> None:
        """Set up the certificates of a pool; once, for they are the same for all requests to an origin."""
        if conn is not self._verified:
            super().cert_verify(conn, *args)  # type: ignore[no-untyped-call]
            self._verified = conn

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """What the transport reads of an answer, and no more: no cookies, no guess at an encoding."""
        bare = getattr(resp, "_original_response", None)
        if isinstance(bare, _Answer):  # urllib3 1.26 wraps it by itself
            bare._pool, bare._connection = resp._pool, resp._connection
            resp._fp = resp._connection = None  # or the wrapping closes both when it goes
            resp = bare
        resp.decode_content = False  # where it is one of urllib3's, as `responses` makes them
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        response.request, response.url = req, str(req.url)
        return response

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _root(url: str) -> str:
    """An http or https URL up to its path, as it is written."""
    found = _ROOT.match(url)
    return url if found is None else found.group()


class _Answer(http.client.HTTPResponse):
    """An answer whose head ends with an empty line. http.client takes one that is cut for whole: a 200 without body.

    It is handed on as it is: what urllib3 puts around it costs as much again as reading it.
    """

    fp: Any
    _method: str
    _read_status: Callable[[], tuple[str, int, str]]
    _check_close: Callable[[], bool]

    version_string = "HTTP/1.1"  # for urllib3's log
    retries = None
    _pool: Any = None
    _connection: Any = None

    def begin(self) -> None:
        """Read the head, past those that announce one (RFC 9110, 15.2), and how the body is framed (RFC 9112, 6.3)."""
        protocol, status, reason = self._read_status()
        while 100 <= status < 200 and status != http.client.SWITCHING_PROTOCOLS:
            _head(self.fp)
            protocol, status, reason = self._read_status()
        self.code, self.status, self.reason = status, status, reason.strip()
        if not protocol.startswith("HTTP/1.") and protocol != "HTTP/0.9":
            raise http.client.UnknownProtocol(protocol)
        self.version = 10 if protocol in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = headers = _head(self.fp)
        codings, lengths = _listed(headers, "transfer-encoding") - {"identity"}, _listed(headers, "content-length")
        if codings - {"chunked"} or (len(lengths) > 1 and not codings):
            raise urllib3.exceptions.InvalidHeader("a transfer coding that was not asked for, or several lengths")
        bodiless = self._method == "HEAD" or status < 200 or status in (204, 304)
        self.chunked, self.chunk_left = bool(codings) and not bodiless, None
        length = "".join(lengths)
        self.length = 0 if bodiless else int(length) if _DIGITS.fullmatch(length) and not codings else None
        endless = self.length is None and not self.chunked
        self.will_close = self._check_close() or endless or status < 200 or (bodiless and bool(codings))
        if not self.chunked:
            self.fp = _AsItComes(self.fp)

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]  # http.client takes -5 for a number
        if size < 0:
            raise ValueError("a chunk of less than no bytes")
        return size

    @property
    def length_remaining(self) -> int | None:
        """Bytes that are still to come, where it is known."""
        return self.length

    def release_conn(self) -> None:
        """The body is read; the connection may serve again. It keeps its last answer, which must not hold the pool."""
        pool, connection = self._pool, self._connection
        self._pool = self._connection = None
        if connection is not None:
            pool._put_conn(connection)

    def close(self) -> None:
        super().close()
        connection = self._connection
        self._pool = self._connection = None
        if connection is not None:  # the rest of a body is in it
            connection.close()


class _Telling:
    """A connection that tells its adapter how far it came, and its ticket how to shut it.

    There is one kind of it for all threads: what the interpreter has learnt about a class serves them all. It does not
    keep the adapter alive: urllib3 holds a pool's connections until the pool is gone, which is when the adapter goes.
    """

    adapter: _Adapter
    response_class: Any = _Answer

    def connect(self) -> None:
        self.adapter.reached = self.adapter.reached or "connect"
        super().connect()  # type: ignore[misc]  # a plain or a TLS connection of urllib3

    def request(self: Any, method: str, url: str, body: Any = None, headers: Any = None, **_: Any) -> None:
        ticket = self.adapter.ticket
        if ticket is not None:
            ticket.shut = lambda: _shut(self.sock)
            if ticket.aborted:
                raise OSError("aborted before it was sent")
        if self.sock is None:
            self.connect()
        self.adapter.reached = "send"  # what is said to a proxy before is no request
        http.client.HTTPConnection.request(self, method, url, body, headers or {})

    def getresponse(self: Any) -> Any:
        sock, adapter = self.sock, self.adapter  # once the head is read, a connection that will close lets go of it
        if sock.gettimeout() != adapter.silence:  # to set it is a call of the system
            sock.settimeout(adapter.silence)
        if adapter.ticket is not None:
            adapter.ticket.shut = lambda: _shut(sock)
        return http.client.HTTPConnection.getresponse(self)


class _PlainConnection(_Telling, urllib3.connection.HTTPConnection):
    pass


class _SecureConnection(_Telling, urllib3.connection.HTTPSConnection):
    pass


class _Introducing:
    """A pool whose connections know the adapter."""

    adapter: Any = None

    def _new_conn(self) -> Any:
        connection = super()._new_conn()  # type: ignore[misc]  # a pool of urllib3
        connection.adapter = self.adapter
        return connection


class _PlainPool(_Introducing, urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(_Introducing, urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _PlainPool, "https": _SecurePool}


def _head(stream: Any) -> http.client.HTTPMessage:
    """The header fields up to the empty line, and of each its words alone: the parser of mails costs five times that.

    A line that is no field is passed over.
    """
    fields: list[tuple[str, str]] = []
    name = ""
    for _ in range(MAX_FIELDS + 1):
        line = stream.readline(MAX_LINE + 1).decode("latin-1")
        if line in ("\r\n", "\n"):
            break
        if len(line) > MAX_LINE:
            raise http.client.LineTooLong("header line")
        if not line.endswith("\n"):
            raise http.client.RemoteDisconnected("the head of the answer was cut")
        if line[0] in " \t":  # it goes on with the line before
            if name:
                fields[-1] = (name, f"{fields[-1][1]} {line.strip(_SPACE)}")
            continue
        name, colon, value = line.partition(":")
        name = name.strip(_SPACE) if colon else ""
        if name:
            fields.append((name, value.strip(_SPACE)))
    else:
        raise http.client.HTTPException(f"more than {MAX_FIELDS} header lines")
    message = http.client.HTTPMessage()
    for name, value in fields:
        message[name] = value
    return message


def _listed(headers: http.client.HTTPMessage, name: str) -> set[str]:
    """What the fields of a name list, in lower case; what is there twice once."""
    lines: list[str] = headers.get_all(name, [])
    return {each.strip(_SPACE).lower() for line in lines for each in line.split(",")} - {""}


def _shut(sock: socket.socket | None) -> None:
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _next_hop(url: str, target: str) -> str:
    if not target:
        raise Hopeless("a redirect that names no place")
    try:
        following = urljoin(url, target)
        check_url(following)
    except (UnsafeURL, ValueError):
        raise UnsafeHop("a redirect to something that is no plain http or https URL") from None
    if urlsplit(url).scheme == "https" and urlsplit(following).scheme == "http":
        raise UnsafeHop("a redirect from https to http, which is not followed")
    return following


def _pour(answer: requests.Response, sink: Sink, room: int) -> None:
    """The body to the sink, through one buffer: new memory for each piece costs as much as to read and to write it."""
    buffer, filled = memoryview(bytearray(room)), 0
    try:
        while received := answer.raw.readinto(buffer[filled:]):
            filled += received
            if filled == room or received < SLOW:
                piece, filled = buffer[:filled], 0
                sink(piece)
    except (http.client.HTTPException, ConnectionError):
        raise BodyCut(_BROKEN) from None
    finally:
        if filled:  # the end; or a fault, which costs nothing of what has come
            sink(buffer[:filled])
    if answer.raw.length_remaining:
        raise BodyCut(_BROKEN)
    answer.raw.release_conn()


class _AsItComes:
    """A stream that hands on what has arrived before it waits for more, so that a fault costs none of it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.readinto = stream.readinto1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _own(call: Callable[[A], B], argument: A) -> B:
    """Call what the caller brought along. What it raises (a full disk) must not pass for the network's."""
    try:
        return call(argument)
    except Exception as error:  # noqa: BLE001
        raise _SinkFailed(error) from None


def _coding(headers: Mapping[str, str]) -> str:
    """The body's content coding; empty for a plain one."""
    coding = headers.get("content-encoding", "").strip().lower()
    return "" if coding == "identity" else coding


def _body(answer: requests.Response, headers: Mapping[str, str], max_body: int) -> bytes:
    received = bytearray()  # not a list: a body in chunks of two bytes would take forty times its size

    def collect(piece: memoryview) -> None:
        received.extend(piece)
        if len(received) > max_body:
            raise BodyTooLarge(f"a body of more than {max_body:,} bytes")

    _pour(answer, collect, SLOW)
    raw = bytes(received)
    coding = _coding(headers)
    if not coding or not raw:
        return raw
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise NoAnswer("a body in a content coding that was not asked for")
    try:
        inflater = zlib.decompressobj(47 if coding != "deflate" else 15)
        inflated = inflater.decompress(raw, max_body + 1)
    except zlib.error:
        raise NoAnswer("a compressed body that cannot be read") from None
    if len(inflated) > max_body:
        raise BodyTooLarge(f"a body of more than {max_body:,} bytes")
    if not inflater.eof:
        raise BodyCut("a compressed body that was cut")
    return inflated


@contextlib.contextmanager
def _worded(wire: WireRequest) -> Iterator[None]:
    """Exceptions of the libraries below as NoAnswer, in words of our own: theirs hold URLs."""
    connect, read = wire.timeout
    try:
        yield
    except requests.exceptions.ConnectTimeout:
        raise NoAnswer(f"no connection within {connect:g} s", sent=False) from None
    except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError):
        raise NoAnswer(f"nothing came for {read:g} s") from None
    except requests.exceptions.SSLError:
        raise NoAnswer("the TLS connection failed") from None
    except requests.exceptions.ConnectionError as error:
        raise _connection_error(error) from None
    except (urllib3.exceptions.ProtocolError, requests.exceptions.ChunkedEncodingError):
        raise BodyCut(_BROKEN) from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise NoAnswer(f"the request failed ({type(error).__name__})") from None
    except OSError as error:
        raise NoAnswer(f"the connection failed ({type(error).__name__})") from None


def _connection_error(error: requests.exceptions.ConnectionError) -> NoAnswer:
    cause: Any = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, urllib3.exceptions.ProxyError):
        return NoAnswer("the proxy did not let it through")
    if isinstance(getattr(reason, "__context__", None), socket.gaierror):
        return NoAnswer("the host name could not be looked up", sent=False)
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return NoAnswer("the connection was refused", sent=False)
    return NoAnswer("the connection was reset")
