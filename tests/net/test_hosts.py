"""How near a host is: by its name or number, and by the address that was connected to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll.net.hosts import LINK_LOCAL, LOOPBACK, PRIVATE, PUBLIC, Peer, is_private, nearness, peer

AT_HOME = [
    "localhost", "127.0.0.1", "127.9.9.9", "::1", "10.0.0.7", "172.16.0.1", "192.168.1.2", "169.254.1.1", "fe80::1",
    "fd00::1", "gpu2", "gpu2.local", "box.lan", "api.internal", "nas.home.arpa", "app.localhost", "localhost.",
    "::ffff:10.0.0.7",
]  # fmt: skip
OUTSIDE = [
    "api.acme.example", "8.8.8.8", "172.32.0.1", "2001:4860:4860::8888", "10.0.0.7.evil.example",
    "localhost.evil.example", "134744072", "0x08080808", "::ffff:8.8.8.8", "evil-lan.example", "8.8.8.8.",
]  # fmt: skip


@pytest.mark.parametrize(("host", "private"), [*((h, True) for h in AT_HOME), *((h, False) for h in OUTSIDE)])
def test_private_hosts(host: str, private: bool) -> None:
    """By name or number, and nothing is looked up; an unusual way to write a public number is public."""
    assert is_private(host) is private


@pytest.mark.parametrize(
    ("host", "private"),
    [("100.64.0.1", True), ("100.127.255.254", True), ("100.128.0.1", False), ("gpu.tail1234.ts.net", True),
     ("ts.net.example", False), ("evil-ts.net", False)],
)  # fmt: skip
def test_tailscale_is_private(host: str, private: bool) -> None:
    """Its numbers (RFC 6598) and its names."""
    assert is_private(host) is private


@pytest.mark.parametrize(
    ("host", "near"),
    [
        *[(host, LOOPBACK) for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1", "2130706433")],
        *[(host, LOOPBACK) for host in ("0x7f000001", "0177.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1")],
        *[(host, LINK_LOCAL) for host in ("169.254.169.254", "fe80::1", "2852039166")],
        *[
            (host, PRIVATE)
            for host in ("10.0.0.5", "192.168.1.1", "172.16.0.1", "fc00::1", "gpu", "gpu.lan", "167772165")
        ],
        *[(host, PUBLIC) for host in ("8.8.8.8", "134744072", "cdn.example", "1e100.net", "2001:4860:4860::8888")],
    ],
)
def test_how_near_a_host_is(host: str, near: int) -> None:
    """By its name or number in every way to write it; nothing is looked up."""
    assert nearness(host) == near


V4, V6 = "192.168.1.20", "2001:db8:0:1::20"
"""Addresses of this machine."""


@pytest.mark.parametrize(
    ("address", "own", "near"),
    [
        ("127.0.0.1", "127.0.0.1", LOOPBACK),
        ("127.8.8.8", "127.0.0.1", LOOPBACK),
        ("::1", "::1", LOOPBACK),
        ("93.184.216.34", "93.184.216.34", LOOPBACK),
        ("169.254.169.254", V4, LINK_LOCAL),
        ("fe80::1%eth0", "fe80::2%eth0", LINK_LOCAL),
        ("192.168.1.1", V4, PRIVATE),
        ("10.0.0.5", V4, PRIVATE),
        ("100.100.100.200", V4, PRIVATE),
        ("fd00::1", V6, PRIVATE),
        ("fec0::1", V6, PRIVATE),
        ("::ffff:10.0.0.5", V6, PRIVATE),
        ("64:ff9b::a00:5", V6, PRIVATE),
        ("64:ff9b:1::a00:5", V6, PRIVATE),
        ("2002:a00:5::1", V6, PRIVATE),
        ("2a01:4f8:1:2::1", "2a01:4f8:1:2:9::7", PRIVATE),
        ("2a01:4f8:1:3::1", "2a01:4f8:1:2:9::7", PUBLIC),
        ("2606:4700::1111", V6, PUBLIC),
        ("64:ff9b::808:808", V6, PUBLIC),
        ("64:ff9b:1::808:808", V6, PUBLIC),
        ("::ffff:8.8.8.8", V6, PUBLIC),
        ("93.184.216.34", V4, PUBLIC),
        ("198.18.3.4", V4, PUBLIC),
        ("fc00::1:2", V6, PUBLIC),
    ],
)
def test_who_is_at_the_other_end(address: str, own: str, near: int) -> None:
    """This machine by its own address, an address within an address, a neighbour; a tunnel's stand-in is public."""
    assert peer(address, own).nearness == near


def test_a_proxy_is_one() -> None:
    """It is said of it."""
    assert peer("10.0.0.5", V4, True) == Peer("10.0.0.5", PRIVATE, is_proxy=True)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.ip_addresses(), st.text(max_size=20)))
def test_what_a_number_says_by_itself_it_says_when_connected_to(host: object) -> None:
    """Any text is near or far and raises nothing; a number that is near by itself is near at the other end, too."""
    near = nearness(str(host))
    assert LOOPBACK <= near <= PUBLIC
    if not isinstance(host, str):
        there = peer(str(host), "93.184.216.1").nearness
        assert there == near or (there == PUBLIC and near == PRIVATE)
