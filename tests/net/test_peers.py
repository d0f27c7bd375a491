"""Who is connected to, at the wire: no file in this network for a server on the public net, no key for a stranger.

Every name ends at 127.0.0.1 here, as a name server of somebody else's may say. What is refused gets no byte.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from acme_provider import ACME, KEY, MP4, REF, Plugin
from raw_server import Act, Chaos, answers, chaos, free_port, hangs, resets, says
from senders import everybody_is_at, everybody_is_here, sender

import vidpoll
from vidpoll.faults import Misconfigured, NoAnswer
from vidpoll.net import environment
from vidpoll.net import transport as by_requests
from vidpoll.net.accounts import Account, OpenAccount, WireRequest
from vidpoll.net.explain import UnsafeHop
from vidpoll.net.transport import RequestsTransport
from vidpoll.net.workers import Ticket

TIMES = (2.0, 2.0)
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
OUTSIDE, HERE = "93.184.216.34", "192.168.1.20"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and a name server that says 127.0.0.1."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: look_up("127.0.0.1", *a, **k))
    everybody_is_here(monkeypatch)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is connected to is on the public net."""
    everybody_is_at(OUTSIDE, HERE, monkeypatch)


@pytest.fixture
def wires(transport: str) -> Iterator[Any]:
    wires = sender()
    yield wires
    wires.close()


def opened(url: str, provider: vidpoll.Provider = ACME, **fields: Any) -> OpenAccount:
    return OpenAccount("acme", Account("acme", base_url=url, **{"key": KEY, **fields}), provider, {})


def file_of(account: OpenAccount, url: str) -> WireRequest:
    return account.media(url, {}, timeout=TIMES)


def question_of(account: OpenAccount) -> WireRequest:
    return account.wire(vidpoll.Request("GET", "/jobs/j1"), timeout=TIMES)


def fetched(wires: Any, wire: WireRequest) -> bytes:
    return wires.send(wire, Ticket(lambda ticket: None, Queue())).body


def refused(wires: Any, wire: WireRequest, kind: type[NoAnswer]) -> NoAnswer:
    with pytest.raises(kind) as caught:
        fetched(wires, wire)
    assert caught.value.sent is False
    return caught.value


def at(name: str, server: Chaos) -> str:
    return server.url.replace("127.0.0.1", name)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_a_public_servers_file_that_is_found_in_this_network(wires: Any, tls: bool, transport: str) -> None:
    """Nothing is sent, not even a handshake; the words name the host, the address and the way out.

    libcurl tells where it will connect to before it does.
    """
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{'https' if tls else 'http'}://cdn.example:{listener.getsockname()[1]}/v.mp4"
        error = refused(wires, file_of(opened("https://api.acme.example"), url), UnsafeHop)
        listener.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            connection, _ = listener.accept()
            with connection:
                came.append(connection.recv(100))
    assert came == {"requests": [b""], "curl": []}[transport]
    assert error.reason == (
        "cdn.example is at 127.0.0.1, an address of this network, but api.acme.example is on the public net. To allow "
        "it: --private-media, in Python vidpoll.Account('acme', …, private_media=True)"
    )


def test_a_redirect_to_what_is_found_in_this_network(wires: Any) -> None:
    """Each hop is looked at. The account's own origin is asked wherever it is."""
    with chaos(answers(MP4)) as inside, chaos(answers(b"", status=302)) as server:
        server.script = [answers(b"", status=302, head=f"Location: {at('cdn.example', inside)}/v.mp4\r\n")]
        api = opened(at("api.acme.example", server), key=None)
        with pytest.raises(UnsafeHop, match=r"cdn\.example is at 127\.0\.0\.1"):
            fetched(wires, file_of(api, "/v.mp4"))
        with pytest.raises(UnsafeHop, match=r"cdn\.example is at 127\.0\.0\.1"):
            fetched(wires, question_of(api))
        assert (len(server.heads), inside.heads) == (2, [])
        allowed = opened(at("api.acme.example", server), key=None, private_media=True)
        assert fetched(wires, file_of(allowed, "/v.mp4")) == MP4


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9", "http://10.0.0.7", "http://gpu2", "https://box.lan"])
def test_a_server_in_this_network_names_files_in_it(wires: Any, base_url: str) -> None:
    """By whatever name."""
    with chaos(answers(MP4)) as server:
        assert fetched(wires, file_of(opened(base_url), f"{at('cdn.example', server)}/v.mp4")) == MP4


def test_a_connection_that_serves_again_is_looked_at_again(wires: Any) -> None:
    """The next request may be another account's."""
    with chaos(answers(MP4, keep=True)) as server:
        url = f"{at('cdn.example', server)}/v.mp4"
        for _ in range(2):
            assert fetched(wires, file_of(opened("https://api.acme.example", private_media=True), url)) == MP4
        refused(wires, file_of(opened("https://api.acme.example"), url), UnsafeHop)
        assert (server.connections, len(server.heads)) == (1, 2)


def test_where_a_proxy_looks_up_nobody_here_knows_the_address(wires: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file comes through it; what is near by its name is refused all the same."""
    with chaos(answers(MP4)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        account = opened("https://api.acme.example")
        assert fetched(wires, file_of(account, "http://cdn.example/v.mp4")) == MP4
        assert proxy.heads[0].startswith("GET http://cdn.example/v.mp4 ")
        with pytest.raises(vidpoll.UnsafeURL, match="private_media=True"):
            file_of(account, "http://169.254.169.254/latest/meta-data")


@pytest.mark.usefixtures("transport")
@pytest.mark.filterwarnings("ignore:acme. its file at:RuntimeWarning")
def test_a_download_says_the_way_out(tmp_path: Path) -> None:
    """UnsafeURL at once, and the job is unchanged; `private_media` fetches it."""
    with chaos(answers(MP4)) as files, chaos(answers({})) as api:
        api.script = [answers({"status": "done", "video": f"{at('cdn.example', files)}/v.mp4"})]
        provider = replace(ACME, auth=vidpoll.NoAuth(), pacing=vidpoll.Pacing(floor=0.01))
        account = Account("acme", base_url=at("api.acme.example", api))
        for allowed in (False, True):
            accounts = {"acme": replace(account, private_media=allowed)}
            with vidpoll.Client(accounts=accounts, plugins=[Plugin(provider)], discover=False) as client:
                refusal = pytest.raises(vidpoll.UnsafeURL, match=r"cdn\.example is at 127\.0\.0\.1.*private_media=True")
                with contextlib.nullcontext() if allowed else refusal:
                    assert client.download(REF, tmp_path)[0].read_bytes() == MP4
        assert len(files.heads) == 1


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("outside")
def test_a_home_name_that_is_found_on_the_public_net_gets_no_key(wires: Any) -> None:
    """As with name servers that answer for every name. Without a key, or where it is allowed, it is asked."""
    with chaos(answers(b"{}")) as server:
        url = at("nas", server)
        error = refused(wires, question_of(opened(url)), Misconfigured)
        assert error.reason == (
            f"the key would travel unencrypted to nas, which is at {OUTSIDE}, on the public net. Use https in its base "
            "URL, or allow it: --insecure, in Python vidpoll.Account('acme', …, insecure=True)"
        )
        front = opened(url, key=None, headers={"X-Front": "front-door-secret"})
        assert "unencrypted" in refused(wires, question_of(front), Misconfigured).reason
        assert server.heads == []
        assert fetched(wires, question_of(opened(url, key=None))) == b"{}"
        assert fetched(wires, question_of(opened(url, insecure=True))) == b"{}"


def test_a_home_name_in_this_network_gets_its_key(wires: Any) -> None:
    """Over plain http."""
    with chaos(answers(b"{}")) as server:
        assert fetched(wires, question_of(opened(at("nas", server)))) == b"{}"
    assert f"Authorization: Bearer {KEY}" in server.heads[0]


def test_a_key_in_the_clear_goes_through_no_far_proxy(wires: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy's name counts before anything is looked up. A question without a key, and an allowed one, go out."""
    with chaos(answers(b"{}")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", at("proxy.far.example", proxy))
        error = refused(wires, question_of(opened("http://10.9.8.7/v1")), Misconfigured)
        assert error.reason == (
            "the key would travel unencrypted to 10.9.8.7 through the proxy proxy.far.example, on the public net. "
            "Use https in its base URL, put 10.9.8.7 into NO_PROXY, or allow it: --insecure, in Python "
            "vidpoll.Account('acme', …, insecure=True)"
        )
        assert proxy.connections == 0
        assert fetched(wires, question_of(opened("http://10.9.8.7/v1", key=None))) == b"{}"
        assert fetched(wires, question_of(opened("http://10.9.8.7/v1", insecure=True))) == b"{}"


def test_a_key_in_the_clear_goes_through_a_proxy_nearby(wires: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name and by where it is found."""
    with chaos(answers(b"{}")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", at("proxy.lan", proxy))
        assert fetched(wires, question_of(opened("http://10.9.8.7/v1"))) == b"{}"
        everybody_is_at(OUTSIDE, HERE, monkeypatch)
        with contextlib.closing(sender()) as others:
            assert OUTSIDE in refused(others, question_of(opened("http://10.9.8.7/v1")), Misconfigured).reason
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("closed", [says(), resets()], ids=["closed", "reset"])
def test_a_kept_connection_to_a_proxy_that_went_stale(wires: Any, monkeypatch: pytest.MonkeyPatch, closed: Act) -> None:
    """The question goes out again at once over a new connection, as it does without a proxy."""
    with chaos(answers(b"{}", keep=True), closed, answers(b"[]")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", at("proxy.lan", proxy))
        assert fetched(wires, question_of(opened("http://10.9.8.7/v1"))) == b"{}"
        assert fetched(wires, question_of(opened("http://10.9.8.7/v1"))) == b"[]"
    assert (len(proxy.heads), proxy.connections) == (3, 2)


def test_an_encrypted_key_goes_through_any_proxy(wires: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees a CONNECT, and no key."""
    with chaos(answers(b"", status=403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", at("proxy.far.example", proxy))
        error = refused(wires, question_of(opened("https://api.acme.example")), NoAnswer)
    assert not isinstance(error, Misconfigured)
    assert proxy.heads[0].startswith("CONNECT api.acme.example:443 ")
    assert KEY not in "".join(proxy.heads)


NOTHING = b"Content-Length: 0\r\n\r\n"
PROXY = "the proxy did not let the request through"
AT_PROXY = [
    ("https", None, f"{PROXY} (the connection was refused): HTTPS_PROXY names the proxy"),
    ("http", None, f"{PROXY} (the connection was refused): HTTP_PROXY names the proxy"),
    (
        "https",
        says(b"HTTP/1.1 407 Proxy Authentication Required\r\n" + NOTHING),
        (
            f"{PROXY} (it requires a user and a password): write them in HTTPS_PROXY, like http://USER:PASSWORD@HOST:PORT"
        ),
    ),
    (
        "https",
        says(b"HTTP/1.1 502 Bad Gateway\r\n" + NOTHING),
        f"{PROXY} (502 Bad Gateway): HTTPS_PROXY names the proxy",
    ),
    (
        "https",
        says(b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\n" + NOTHING),
        f"{PROXY} (302 Found): HTTPS_PROXY names the proxy",
    ),
    ("https", says(), "the connection was reset"),
    ("https", resets(), "the connection was reset"),
    ("https", says(b"SSH-2.0\r\n"), "the response is not HTTP (BadStatusLine)"),
    ("http", says(), f"{PROXY} (the connection was reset): HTTP_PROXY names the proxy"),
    ("http", resets(), f"{PROXY} (the connection was reset): HTTP_PROXY names the proxy"),
    ("http", says(b"SSH-2.0\r\n"), "the response is not HTTP (BadStatusLine)"),
    ("http", hangs(), "nothing came for 0.2 s"),
]


@pytest.mark.parametrize(("scheme", "act", "words"), AT_PROXY)
def test_what_goes_wrong_at_a_proxy(
    wires: Any, scheme: str, act: Act | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submit that asks for a tunnel was not sent; through a proxy that reads it, it may have been."""
    with chaos(act or says()) as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url if act else f"http://127.0.0.1:{free_port()}")
        account = opened(f"{scheme}://api.acme.example", key=None)
        submit = account.wire(vidpoll.Request("POST", "/jobs", json={}), timeout=(2.0, 0.2))
        with pytest.raises(NoAnswer) as caught:
            fetched(wires, submit)
    assert (caught.value.reason, caught.value.sent) == (words, scheme == "http" and act is not None)


@pytest.mark.parametrize("kind", ["http", "https"])
def test_a_proxy_that_speaks_no_tls(wires: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out is told, whatever is asked for through it."""
    with chaos(answers(b"{}")) as proxy:
        monkeypatch.setenv(f"{kind.upper()}_PROXY", proxy.url.replace("http:", "https:"))
        error = refused(wires, question_of(opened(f"{kind}://api.acme.example", key=None)), NoAnswer)
    assert error.reason == (
        f"{PROXY} (it does not speak TLS: write http:// before its host): {kind.upper()}_PROXY names the proxy"
    )


# -- SOCKS ------------------------------------------------------------------------------------------------------------


class Socks:
    """A SOCKS5 proxy (RFC 1928) without a login that leads every connection to one port; `asked` are the hosts."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self) -> None:
        """Nobody listens any more; a thread that waits for a connection ends."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                threading.Thread(target=self.lead, args=(near,), daemon=True).start()

    def lead(self, near: socket.socket) -> None:
        with near, near.makefile("rb") as stream, contextlib.suppress(OSError):
            stream.read(stream.read(2)[1])
            near.sendall(b"\x05\x00")
            named = stream.read(4)[3] == 3
            host = stream.read(stream.read(1)[0]).decode() if named else socket.inet_ntoa(stream.read(4))
            self.asked.append(f"{host}:{struct.unpack('!H', stream.read(2))[0]}")
            with socket.create_connection(("127.0.0.1", self.port)) as far:
                near.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
                threading.Thread(target=pump, args=(far, near), daemon=True).start()
                pump(near, far)


def pump(here: socket.socket, there: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := here.recv(65536):
            there.sendall(piece)
        there.shutdown(socket.SHUT_WR)


@pytest.fixture
def socks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Chaos, str], Socks]]:
    """Puts a SOCKS proxy of a kind into the environment; it leads to a server."""
    pytest.importorskip("socks", reason="PySocks is not installed")
    made: list[Socks] = []

    def put(server: Chaos, kind: str) -> Socks:
        made.append(Socks(server.port))
        monkeypatch.setenv("ALL_PROXY", f"{kind}://127.0.0.1:{made[-1].listener.getsockname()[1]}")
        return made[-1]

    yield put
    for proxy in made:
        proxy.close()


@pytest.mark.parametrize(("kind", "host"), [("socks5h", "video.internal"), ("socks5", "127.0.0.1")])
def test_a_socks_proxy_leads_to_the_server(wires: Any, socks: Any, kind: str, host: str) -> None:
    """Two questions and a submit, over connections that are noted as ever; the last letter says who looks up."""
    with chaos(answers(b"{}", keep=True)) as server:
        proxy = socks(server, kind)
        account = opened("http://video.internal/v1")
        assert [fetched(wires, question_of(account)) for _ in range(2)] == [b"{}", b"{}"]
        ticket = Ticket(lambda ticket: None, Queue())
        submit = account.wire(vidpoll.Request("POST", "/jobs", json={}), timeout=TIMES)
        assert (wires.send(submit, ticket).body, ticket.sent) == (b"{}", True)
    assert proxy.asked == [f"{host}:80"] * 2  # a submit has a connection of its own
    assert [head.split(" HTTP")[0] for head in server.heads] == ["GET /v1/jobs/j1", "GET /v1/jobs/j1", "POST /v1/jobs"]
    assert all(f"Authorization: Bearer {KEY}" in head for head in server.heads)


def test_a_file_through_a_socks_proxy(wires: Any, socks: Any) -> None:
    """It knows where the host is, and nobody here does."""
    with chaos(answers(MP4)) as server:
        proxy = socks(server, "socks5h")
        assert fetched(wires, file_of(opened("https://api.acme.example"), "http://cdn.example/v.mp4")) == MP4
    assert proxy.asked == ["cdn.example:80"]


@pytest.mark.usefixtures("outside")
def test_a_key_in_the_clear_goes_through_no_far_socks_proxy(wires: Any, socks: Any) -> None:
    """It is the proxy that is connected to, and not what lies behind it."""
    with chaos(answers(b"{}")) as server:
        socks(server, "socks5h")
        error = refused(wires, question_of(opened("http://video.internal/v1")), Misconfigured)
    assert f"through the proxy {OUTSIDE}" in error.reason
    assert server.heads == []


def test_a_socks_proxy_that_is_not_there_was_sent_nothing(wires: Any, socks: Any) -> None:
    """So a submit may be sent again."""
    with chaos(answers(b"{}")) as server:
        socks(server, "socks5h").close()
        refused(wires, question_of(opened("http://video.internal/v1")), NoAnswer)


# -- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["requests"], indirect=True)
@pytest.mark.parametrize("name", ["prepared", "close"])
def test_what_fails_before_a_byte_is_sent_was_not_sent(wires: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised there, a fault of our own too."""

    def broken(*args: object) -> None:
        raise TypeError("broken")

    monkeypatch.setattr(wires._adapter(), name, broken)
    submit = opened("http://127.0.0.1:9").wire(vidpoll.Request("POST", "/jobs", json={}), timeout=TIMES)
    refused(wires, submit, NoAnswer)
    monkeypatch.undo()


def test_an_error_names_the_proxy_of_the_hop_that_failed(wires: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect from http to https is another proxy's."""
    away = answers(b"", status=302, head="Location: https://cdn.example/v.mp4\r\n")
    with chaos(away) as first, chaos(answers(b"", status=403)) as second:
        monkeypatch.setenv("HTTP_PROXY", first.url)
        monkeypatch.setenv("HTTPS_PROXY", second.url)
        with pytest.raises(NoAnswer, match="HTTPS_PROXY names the proxy"):
            fetched(wires, file_of(opened("http://api.acme.example", key=None), "/v.mp4"))


def test_what_the_environment_says_is_kept_for_some_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that are named anew for each file do not pile up."""
    asked: list[str] = []
    monkeypatch.setattr(by_requests, "way", lambda url: asked.append(url) or environment.Way({}, ""))
    wires = RequestsTransport()
    for number in [*range(100), 0, 99]:
        wires._way(f"https://{number}.example")
    assert (len(asked), wires._way.cache_info().currsize) == (101, 64)
