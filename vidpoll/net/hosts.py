"""How near a host is to this machine: by its name or number, or by the address of its connection. All pure.

A name points wherever its owner wants: only the address of the connection shows where a request goes.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from typing import NamedTuple

LOOPBACK, LINK_LOCAL, PRIVATE, PUBLIC = range(4)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SUFFIXES = (".localhost", ".local", ".lan", ".internal", ".home.arpa", ".ts.net")
_SHARED = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598; Tailscale gives its machines these numbers
_NAT64 = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/96")))  # RFC 6052, RFC 8215
_STAND_INS = tuple(map(ipaddress.ip_network, ("198.18.0.0/15", "fc00::/18")))
"""The addresses that the resolver of a tunnel (Clash, sing-box) returns instead of public ones."""


class Peer(NamedTuple):
    """The other end of a connection: an address or the name of a proxy, and how near it is."""

    address: str
    nearness: int
    is_proxy: bool = False


@lru_cache(1024)
def nearness(host: str) -> int:
    """How near a host is by its name or number, from LOOPBACK (this machine) to PUBLIC; nothing is looked up."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return LOOPBACK
    number = name[:1].isdigit()
    try:
        return _nearness(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:  # 2130706433, 0x7f.1 and 127.1 are ways to write 127.0.0.1
        return _nearness(ipaddress.ip_address(socket.inet_aton(name))) if number else _by_name(name)
    except (OSError, ValueError):
        return _by_name(name)


def is_private(host: str) -> bool:
    """Whether a host is loopback, private or link-local by its name or number; nothing is looked up."""
    return nearness(host) != PUBLIC


@lru_cache(1024)
def peer(address: str, own: str, is_proxy: bool = False) -> Peer:
    """The other end of a connection from this machine's address `own`.

    The same address is this machine itself. An IPv6 address with the same first 64 bits is on the same network: at home
    every device has a global IPv6 address.
    """
    there, here = (ipaddress.ip_address(each.partition("%")[0]) for each in (address, own))
    near = _nearness(there)
    if there == here:
        near = LOOPBACK
    elif any(there in network for network in _STAND_INS):
        near = PUBLIC
    elif near == PUBLIC and there.version == here.version == 6 and int(there) >> 64 == int(here) >> 64:
        near = PRIVATE
    return Peer(str(there), near, is_proxy)


def _by_name(name: str) -> int:
    return PRIVATE if name.endswith(_SUFFIXES) or ("." not in name and not name[:1].isdigit()) else PUBLIC


def _nearness(address: _Address) -> int:
    address = _inner(address)
    if address.is_loopback or address.is_unspecified:
        return LOOPBACK
    if address.is_link_local:
        return LINK_LOCAL
    site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return PRIVATE if address.is_private or site or address in _SHARED else PUBLIC


def _inner(address: _Address) -> _Address:
    """The IPv4 address inside an IPv6 address, if there is one; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
