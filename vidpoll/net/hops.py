"""The hops of one request: where each may lead, what it sends, and to which peer. The same for every transport."""

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
_POST = {**_ALWAYS, "Accept": "application/json"}  # without it some frameworks send an error as a page
_QUESTION = {**_POST, "Cache-Control": "no-cache"}

Admit = Callable[[str, str], None]
"""(address of the peer, own address): raises NoAnswer if nothing may be sent to the peer."""


class Sent(NamedTuple):
    """The headers and body that a hop sends. `secret`: whether a key is among the headers."""

    headers: dict[str, str]
    body: bytes | None
    secret: bool


def sent(wire: WireRequest, url: str, *, file: bool) -> Sent:
    """What a request sends to a URL; `file` says that its response goes to a sink."""
    always = _FILE if file else _QUESTION if wire.method == "GET" else _POST
    if not wire.trusted(url):  # all other headers and the body are meant for the plugin's own origin
        anywhere = {name: value for name, value in wire.headers.items() if name.lower() in _ANYWHERE}
        return Sent({**always, **anywhere}, None, False)
    secret = {**wire.secret, **wire.own(url)}
    return Sent({**always, **wire.headers, **secret}, wire.body, bool(secret))


def redirects(wire: WireRequest, status: int) -> bool:
    """Whether a response is a redirect that is followed."""
    return status in _REDIRECTS and wire.method in ("GET", "HEAD")


def following(wire: WireRequest, url: str, target: str) -> str:
    """The URL of a redirect; `target` is its Location. Raises Hopeless, UnsafeHop."""
    url = _next_hop(url, target)
    if not wire.may_name(url):
        raise UnsafeHop(
            f"a redirect to an address of this network ({urlsplit(url).hostname}). To allow it: "
            "--private-media, in Python vidpoll.Account(…, private_media=True)"
        )
    return url


def _next_hop(url: str, target: str) -> str:
    if not target:
        raise Hopeless("a redirect without a Location")
    try:
        following = redirected(url, target)
        check_url(following)
    except (UnsafeURL, ValueError):
        raise UnsafeHop("a redirect to something that is not a plain http or https URL") from None
    if urlsplit(url).scheme == "https" and urlsplit(following).scheme == "http":
        raise UnsafeHop("a redirect from https to http, which is not followed")
    return following


def gate(wire: WireRequest, url: str, proxy: str, *, secret: bool) -> Admit:
    """A check of the peers of a request, which raises NoAnswer. The proxy's name is checked at once."""

    def admit(there: Peer) -> None:
        if secret and (why := wire.exposes(url, there)):
            raise Misconfigured(why)
        if why := wire.strays(url, there):
            raise UnsafeHop(why)

    if proxy:
        admit(Peer(proxy, nearness(proxy), is_proxy=True))
    return lambda address, own: admit(peer(address, own, bool(proxy)))
