"""A handle of libcurl: the options of every request, and those of one hop."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import pycurl
import requests

from vidpoll.net.environment import way
from vidpoll.net.hops import Sent
from vidpoll.net.urls import root, written

if TYPE_CHECKING:
    from .exchange import Exchange

LARGE = 512 * 1024
"""A body of more bytes is sent in blocks, so that each block has its own timeout."""

_SUPPRESS_CONNECT_HEADERS, _DISALLOW_USERNAME_IN_URL, _QUICK_EXIT = 265, 278, 322  # pycurl has no names for them
_LOWER_ESCAPE = re.compile(r"%(?:[a-f][0-9A-Fa-f]|[0-9A-F][a-f])")
_UNSENDABLE = re.compile(r"[\r\n\0]")

_FIXED: tuple[tuple[int, Any], ...] = (
    (pycurl.NOSIGNAL, 1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.FOLLOWLOCATION, 0),
    (pycurl.HTTP09_ALLOWED, 0),
    (pycurl.NETRC, pycurl.NETRC_IGNORED),
    (pycurl.HTTP_CONTENT_DECODING, 0),
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
    (pycurl.SSL_VERIFYPEER, 1),
    (pycurl.SSL_VERIFYHOST, 2),
    (pycurl.PATH_AS_IS, 1),
    (pycurl.HEADEROPT, pycurl.HEADER_SEPARATE),  # sends no key to a proxy
    (pycurl.NOPROGRESS, 1),
    (_SUPPRESS_CONNECT_HEADERS, 1),
    (_DISALLOW_USERNAME_IN_URL, 1),
    (_QUICK_EXIT, 1),  # a DNS lookup that hangs does not delay the end
)


class Way(NamedTuple):
    """How to reach an origin, by the environment: the options, the proxy's URL and its host (empty without one)."""

    options: tuple[tuple[int, Any], ...]
    proxy: str
    host: str


def way_to(origin: str) -> Way:
    """How to reach an origin. Raises Misconfigured."""
    settings, host = way(origin)
    proxy = requests.utils.select_proxy(origin, settings["proxies"]) or ""
    options: list[tuple[int, Any]] = [
        (pycurl.PROXY, proxy),
        (pycurl.NOPROXY, "" if proxy else "*"),  # keeps libcurl from reading the environment itself
        (pycurl.PIPEWAIT, int(origin.lower().startswith("https"))),
    ]
    verify = settings["verify"]
    bundle = verify if isinstance(verify, str) else requests.utils.DEFAULT_CA_BUNDLE_PATH
    folder = Path(bundle).is_dir()
    options += [(option, bundle if folder else None) for option in (pycurl.CAPATH, pycurl.PROXY_CAPATH)]
    options += [(option, None if folder else bundle) for option in (pycurl.CAINFO, pycurl.PROXY_CAINFO)]
    return Way(tuple(options), proxy, host)


class Easy:
    """A handle, used again for further requests. Its callbacks call the exchange that it serves."""

    def __init__(self) -> None:
        self.curl = curl = pycurl.Curl()
        self.exchange: Exchange
        self._way: Way | None = None
        self._headers: dict[str, str] | None = None
        self._connect = 0.0
        self._method, self._target = "GET", ""
        for option, value in _FIXED:
            curl.setopt(option, value)
        curl.setopt(pycurl.HEADERFUNCTION, self._head)
        curl.setopt(pycurl.WRITEFUNCTION, self._piece)
        curl.setopt(pycurl.PREREQFUNCTION, self._ready)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)

    # -- options ------------------------------------------------------------------------------------------------------

    def point(self, url: str, way: Way, connect: float) -> None:
        """Set the URL, byte for byte as it is written if it is valid, and the timeout for connecting in seconds."""
        curl = self.curl
        if way is not self._way:
            for option, value in way.options:
                curl.unsetopt(option) if value is None else curl.setopt(option, value)
            self._way = way
        if connect != self._connect:
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(connect * 1000)))
            self._connect = connect
        url = _as_sent(url)
        curl.setopt(pycurl.URL, url.encode("ascii", "strict"))
        self._aim(url, way.proxy)

    def _aim(self, url: str, proxy: str) -> None:
        """Set the target of the request line separately if libcurl would rewrite the URL's escapes."""
        target = ""
        if _LOWER_ESCAPE.search(url):
            start = root(url)
            through = proxy.startswith("http") and start.lower().startswith("http:")
            target = url if through else url[len(start) :]
            target = target if through or target.startswith("/") else f"/{target}"
        if target != self._target:
            self.curl.setopt(pycurl.REQUEST_TARGET, target) if target else self.curl.unsetopt(pycurl.REQUEST_TARGET)
            self._target = target

    def carry(self, method: str, sent: Sent) -> None:
        """Set the headers and the body. Raises InvalidHeader for a header that cannot be sent."""
        curl = self.curl
        if sent.headers != self._headers:
            curl.setopt(pycurl.HTTPHEADER, _lines(method, sent))
            self._headers = sent.headers
        if method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        elif not is_question(method, sent.body):
            body = sent.body or b""
            curl.setopt(pycurl.FRESH_CONNECT, 1)  # on a stale connection libcurl would send the submit a second time
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.CUSTOMREQUEST, method)
            if len(body) > LARGE:
                curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
                curl.setopt(pycurl.READFUNCTION, self._reader(io.BytesIO(body)))
            else:
                curl.setopt(pycurl.POSTFIELDS, body)

    def _reader(self, body: io.BytesIO) -> Callable[[int], bytes]:
        def read(most: int) -> bytes:
            self.exchange.heard_at = monotonic()
            return body.read(most)

        return read

    # -- callbacks ----------------------------------------------------------------------------------------------------

    def _head(self, line: bytes) -> int | None:
        return self.exchange.take_line(line)

    def _piece(self, piece: bytes) -> int | None:
        return self.exchange.take(piece)

    def _ready(self, address: str, own: str, port: int, own_port: int) -> int:
        """A connection, new or old, is established, and the request is about to be sent."""
        del port, own_port
        return 0 if self.exchange.may_go(address, own) else 1

    def _open(self, purpose: int, address: Any) -> Any:
        """A new socket for a peer; SOCKET_BAD for a peer that may not be sent anything, so that none is connected."""
        del purpose
        try:
            if self.exchange.may_open(address.addr[0], _own(address)):
                return _Socket(address.family, address.socktype, address.protocol)
        except OSError as error:
            self.exchange.failed = error
        return pycurl.SOCKET_BAD


class _Socket(socket.socket):
    """A socket of which libcurl takes a copy."""

    def __del__(self) -> None:
        self.close()


def is_question(method: str, body: bytes | None) -> bool:
    """Whether the request is a GET without a body, after which its handle may be used again."""
    return method == "GET" and body is None


def _own(address: Any) -> str:
    """This machine's address on the way to a peer; nothing is sent."""
    with socket.socket(address.family, socket.SOCK_DGRAM) as probe:
        probe.connect(address.addr)
        return str(probe.getsockname()[0])


def _lines(method: str, sent: Sent) -> list[bytes]:
    """The headers in libcurl's form, without those that libcurl would add by itself."""
    lines = []
    for name, value in sent.headers.items():
        if _UNSENDABLE.search(name) or _UNSENDABLE.search(value):
            raise requests.exceptions.InvalidHeader
        lines.append((f"{name}: {value}" if value else f"{name};").encode("latin-1"))
    if not is_question(method, sent.body):
        lines.append(b"Expect:")
        if not any(name.lower() == "content-type" for name in sent.headers):
            lines.append(b"Content-Type:")
    return lines


def _as_sent(url: str) -> str:
    """The URL without its fragment: unchanged if it is valid, else as requests writes it."""
    parts = written(url)
    if parts is not None:
        return parts.root + parts.target
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    return str(prepared.url).partition("#")[0]
