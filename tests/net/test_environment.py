"""Proxies and certificates of the environment: what cannot work is told before anything is sent, by its variable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vidpoll.faults import Misconfigured
from vidpoll.net import environment

API = "https://api.acme.example/v1"
PEM = "-----BEGIN CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing."""
    for name in (*environment.BUNDLES, *(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL", "NO"))):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("http://me:p#ss@proxy:8080", "percent-encode"),
        ("http://me:12#34@proxy:8080", "percent-encode"),
        ("http://me:p/ss@proxy:8080", "percent-encode"),
        ("http://me:p?ss@proxy:8080", "percent-encode"),
        ("http://", "is not a URL"),
        ("http://proxy:port", "is not a URL"),
        ("gopher://proxy:70", "use one of http, https"),
        ("socks5h://proxy:1080", r"pip install 'requests\[socks\]'"),
        ("SOCKS4://proxy:1080", r"pip install 'requests\[socks\]'"),
    ],
)
def test_a_proxy_that_cannot_be_used(variable: str, proxy: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable and the way out, and not the password."""
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(Misconfigured, match=says) as caught:
        environment.settings(API)
    assert variable in caught.value.reason
    assert "ss@" not in caught.value.reason
    assert caught.value.sent is False


@pytest.mark.parametrize(
    "proxy",
    ["proxy:8080", "http://proxy:8080", "http://me:p%23ss@proxy:8080", "https://[::1]:8080/", "me:pass@proxy:1"],
)
def test_a_proxy_that_can_be_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As requests reads it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert environment.settings(API)["proxies"]["https"] == proxy


@pytest.mark.parametrize(
    ("proxy", "host"),
    [
        ("proxy:8080", "proxy"),
        ("http://me:p%23ss@Proxy.example:8080/", "proxy.example"),
        ("https://[::1]:8080", "::1"),
        ("me:pass@10.0.0.1", "10.0.0.1"),
    ],
)
def test_the_host_of_a_proxy(proxy: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By which it is judged whether a key may go there in the clear; empty where none is on the way."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert environment.way("https://api.acme.example").proxy == host
    assert environment.way("http://api.acme.example").proxy == ""
    monkeypatch.setenv("NO_PROXY", "acme.example")
    assert environment.way("https://api.acme.example").proxy == ""


def test_a_socks_proxy_with_pysocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a proxy like any other."""
    monkeypatch.setattr(environment, "find_spec", lambda name: object())
    monkeypatch.setenv("ALL_PROXY", "socks5h://proxy:1080")
    assert environment.settings(API)["proxies"]["all"] == "socks5h://proxy:1080"


def test_a_proxy_that_is_not_for_this_url_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY, another scheme, and this machine's own servers."""
    monkeypatch.setenv("ALL_PROXY", "gopher://x")
    monkeypatch.setenv("NO_PROXY", "acme.example")
    environment.settings(API)
    monkeypatch.delenv("NO_PROXY")
    for host in ("127.0.0.1", "127.1", "localhost", "app.localhost", "[::1]", "[::ffff:127.0.0.1]"):
        environment.settings(f"http://{host}:8080/v1")
    monkeypatch.delenv("ALL_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "gopher://x")
    environment.settings(API)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_bundle_that_cannot_be_used(
    variable: str, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not there, or none: the variable is named. Over plain HTTP nobody needs it."""
    bundle = tmp_path / "corporate.pem"
    if content is not None:
        bundle.write_bytes(content)
    monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(Misconfigured, match=f"{variable} names cannot be used"):
        environment.settings(API)
    environment.settings("http://api.acme.example/v1")
    bundle.write_text(PEM)
    assert environment.settings(API)["verify"] == str(bundle)
    assert variable in environment.bundle_step()


def test_ssl_cert_file_is_read_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like OpenSSL does: what is not there is passed over. The variables of requests go before it."""
    bundle, other = tmp_path / "a.pem", tmp_path / "b.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert environment.settings(API)["verify"] is True
    bundle.write_text(PEM)
    other.write_text(PEM)
    assert environment.settings(API)["verify"] == str(bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    assert environment.settings(API)["verify"] == str(other)
