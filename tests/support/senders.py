"""The network as a test takes it in hand: with the library that its fixture `transport` names."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import pytest

from vidpoll.net import transport as by_requests
from vidpoll.net.transport import RequestsTransport

try:
    import pycurl
    from vidpoll_curl.easy import Easy
    from vidpoll_curl.exchange import Exchange
    from vidpoll_curl.transport import CurlTransport
except ImportError:  # the fixture says so
    pycurl = None


def sender() -> Any:
    """A sender of that library."""
    return CurlTransport() if os.environ.get("VIDPOLL_TRANSPORT") == "curl" else RequestsTransport()


def everybody_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that says 127.0.0.1 to libcurl, whatever host and proxy it asks for."""
    if pycurl is None:
        return
    real = Easy.point

    def point(easy: Any, url: str, way: Any, connect: float) -> None:
        real(easy, url, way, connect)
        ports = {urlsplit(each).port or {"https": 443}.get(urlsplit(each).scheme, 80) for each in (url, way.proxy)}
        easy.curl.setopt(pycurl.RESOLVE, [f"*:{port}:127.0.0.1" for port in sorted(ports)])

    monkeypatch.setattr(Easy, "point", point)


def everybody_is_at(address: str, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is connected to is at that address, and this machine at `own`."""
    monkeypatch.setattr(by_requests, "ends", lambda sock: (address, own))
    if pycurl is not None:
        real = Exchange._allowed
        monkeypatch.setattr(Exchange, "_allowed", lambda exchange, there, here: real(exchange, address, own))
