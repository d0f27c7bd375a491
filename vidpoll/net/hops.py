"""The hops of one request: where each may lead, what it sends, and who may hear it. The same for every transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from ..__version__ import __version__
from ..errors import UnsafeURL
from ..faults import Misconfigured
from .accounts import WireRequest, check_url
from .explain import Hopeless, UnsafeHop
from .hosts import Peer, nearness, peer
from .urls import redirected

MAX_REDIRECTS = 5

_REDIRECTS = (301, 302, 303, 307, 308)
_ANYWHERE = ("accept", "range", "if-range")
_ALWAYS = {"User-Agent": f"vidpoll/{__version__}", "Accept-Encoding": "identity"}
_FILE = {**_ALWAYS, "Accept": "*/*"}
_POST = {**_ALWAYS, "Accept": "application/json"}  # without it some frameworks answer an error with a page
_QUESTION = {**_POST, "Cache-Control": "no-cache"}

Admit = Callable[[str, str], None]
"""Raises NoAnswer where nothing may be sent to a peer, given by its address and this machine's own."""


class Sent(NamedTuple):
    """What a hop sends. `secret`: whether a key is among its headers."""

    headers: dict[str, str]
    body: bytes | None
    secret: bool


def sent(wire: WireRequest, url: str, *, file: bool) -> Sent:
    """What goes to a URL of a request; `file` says that its answer goes to a sink."""
    always = _FILE if file else _QUESTION if wire.method == "GET" else _POST
    if not wire.trusted(url):  # whatever else a plugin puts into headers and body is meant for its own origin
        anywhere = {name: value for name, value in wire.headers.items() if name.lower() in _ANYWHERE}
        return Sent({**always, **anywhere}, None, False)
    secret = {**wire.secret, **wire.own(url)}
    return Sent({**always, **wire.headers, **secret}, wire.body, bool(secret))


def redirects(wire: WireRequest, status: int) -> bool:
    """Whether an answer leads to another URL that is asked."""
    return status in _REDIRECTS and wire.method in ("GET", "HEAD")


def following(wire: WireRequest, url: str, target: str) -> str:
    """Where a redirect leads; `target` is its Location. Raises Hopeless, UnsafeHop."""
    url = _next_hop(url, target)
    if not wire.may_name(url):
        raise UnsafeHop(
            f"a redirect to an address of this network ({urlsplit(url).hostname}). To allow it: "
            "--private-media, in Python vidpoll.Account(…, private_media=True)"
        )
    return url


def _next_hop(url: str, target: str) -> str:
    if not target:
        raise Hopeless("a redirect that names no place")
    try:
        following = redirected(url, target)
        check_url(following)
    except (UnsafeURL, ValueError):
        raise UnsafeHop("a redirect to something that is no plain http or https URL") from None
    if urlsplit(url).scheme == "https" and urlsplit(following).scheme == "http":
        raise UnsafeHop("a redirect from https to http, which is not followed")
    return following


def gate(wire: WireRequest, url: str, proxy: str, *, secret: bool) -> Admit:
    """What raises NoAnswer where nothing of a request may go to a peer; the proxy's name is looked at right away."""

    def admit(there: Peer) -> None:
        if secret and (why := wire.exposes(url, there)):
            raise Misconfigured(why)
        if why := wire.strays(url, there):
            raise UnsafeHop(why)

    if proxy:
        admit(Peer(proxy, nearness(proxy), is_proxy=True))
    return lambda address, own: admit(peer(address, own, bool(proxy)))
