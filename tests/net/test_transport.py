"""The wire: redirects and who gets the key, bounds, the words of errors, and real sockets for what libraries hide."""

from __future__ import annotations

import contextlib
import gc
import gzip
import queue
import socket
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
import urllib3
from acme_provider import ACME, KEY
from raw_server import Chaos, chaos
from raw_server import answers as replies
from requests.adapters import HTTPAdapter
from senders import sender

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.net.accounts import Account, OpenAccount, WireRequest
from vidpoll.net.explain import BodyCut, BodyTooLarge, UnsafeHop
from vidpoll.net.transport import RequestsTransport
from vidpoll.net.workers import Ticket, Workers

both = pytest.mark.usefixtures("transport")

URL = "https://api.acme.example/v1/jobs/j1"


def wire(
    method: str = "GET", *, auth: Any = None, headers: dict[str, str] | None = None, base: str = "", **fields: Any
) -> WireRequest:
    """A request of Acme's, with its key."""
    provider = vidpoll.Provider("acme", ACME.base_url, auth or ACME.auth, ACME.pacing, ACME.status)
    account = OpenAccount("acme", Account("acme", base_url=base or None, key=KEY), provider, {})
    request = vidpoll.Request(method, "/jobs/j1", headers=headers or {}, body=fields.pop("body", None))
    return account.wire(request, timeout=fields.pop("timeout", (0.2, 0.2)), **fields)


def ticket() -> Ticket:
    return Ticket(lambda ticket: None, queue.Queue())


def send(wire: WireRequest) -> vidpoll.Response:
    transport = sender()
    try:
        return transport.send(wire, ticket())
    finally:
        transport.close()


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


class Site:
    """A server that answers each question by what it was told last."""

    def __init__(self, server: Chaos) -> None:
        self.server, self.url = server, server.url

    def says(self, body: bytes = b"", *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self.server.script[:] = [replies(body, status=status, head=head)]


@pytest.fixture
def site(transport: str) -> Iterator[Site]:
    with chaos(replies({})) as server:
        yield Site(server)


def hop(net: responses.RequestsMock, url: str, location: str | None, status: int = 302) -> None:
    net.get(url, status=status, headers={} if location is None else {"Location": location})


def held(net: responses.RequestsMock, header: str = "Authorization") -> list[tuple[str, bool]]:
    """Each URL that was asked, and whether the key went there."""
    return [(str(call.request.url), header in call.request.headers) for call in net.calls]


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_an_answer_is_read_whole(net: responses.RequestsMock) -> None:
    """Status, headers in lower case, the body; asked with our name and without compression."""
    net.get(URL, body=b'{"status": "queued"}', headers={"X-Thing": "1"})
    answer = send(wire())
    assert (answer.status, answer.body, answer.header("x-thing")) == (200, b'{"status": "queued"}', "1")
    sent = net.calls[0].request.headers
    assert sent["User-Agent"] == f"vidpoll/{vidpoll.__version__}"
    assert sent["Accept-Encoding"] == "identity"
    assert sent["Authorization"] == f"Bearer {KEY}"
    assert "Cookie" not in sent


def test_what_is_asked_for_is_said(net: responses.RequestsMock) -> None:
    """JSON, and not out of a cache, of an API; anything of a file's host. A plugin's own word goes before."""
    net.get(URL, body=b"{}")
    net.post(URL, body=b"{}")
    transport = RequestsTransport()
    transport.send(wire(), ticket())
    transport.send(wire()._replace(method="POST", body=b"{}"), ticket())
    transport.fetch(wire(), ticket(), lambda head: None)
    transport.send(wire()._replace(headers={"accept": "text/plain", "cache-control": "max-age=1"}), ticket())
    said = [[call.request.headers.get(name) for name in ("Accept", "Cache-Control")] for call in net.calls]
    json = "application/json"
    assert said == [[json, "no-cache"], [json, None], ["*/*", None], ["text/plain", "max-age=1"]]


TARGETS = ["/v/a%2fb%7Ec.mp4?sig=x%2by%3d&n=%41", "/a?", "/a?x=[1]&y=%7b%7D"]


@both
@pytest.mark.parametrize("target", TARGETS)
def test_a_url_goes_out_byte_for_byte(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is signed, to the request line; through a proxy, and after a redirect, too."""
    with chaos(replies({})) as server:
        there = replies({}, status=302, head=f"Location: {server.url}{target}\r\n")
        server.script[:] = [replies({}), there, replies({})]
        for path in (target, "/go"):
            send(WireRequest("GET", server.url + path, lambda url: True, timeout=(1, 1)))
        assert [head.split(" ")[1] for head in server.heads] == [target, "/go", target]
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        far = f"http://api.acme.example{target}"
        send(WireRequest("GET", far, lambda url: True, timeout=(1, 1)))
        assert server.heads[-1].split(" ")[1].rstrip("?") == far.rstrip("?")


@pytest.mark.parametrize("coding", ["utf-8", "aws-chunked", "base64", "gzip", "br", "deflate", "none, UTF-8", "x" * 99])
def test_a_label_that_does_not_fit_hides_no_body(site: Site, coding: str) -> None:
    """The bytes decide; what is compressed is inflated under any label."""
    plain = b'{"status": "queued"}'
    for body in (plain, *([] if coding == "deflate" else [gzip.compress(plain)])):
        site.says(body=body, headers={"Content-Encoding": coding})
        assert send(wire(base=site.url)).body == plain


def test_deflate_with_and_without_its_header(site: Site) -> None:
    """Some servers send the one, and some the other (RFC 9110, 8.4.1.2)."""
    plain = b'{"status": "queued"}'
    bare = zlib.compressobj(wbits=-15)
    for body in (zlib.compress(plain), bare.compress(plain) + bare.flush()):
        site.says(body=body, headers={"Content-Encoding": "deflate"})
        assert send(wire(base=site.url)).body == plain


def test_a_refusal_is_an_answer(site: Site) -> None:
    """What a status means is not decided here."""
    site.says(status=503, body=b"later")
    assert (send(wire(base=site.url)).status, send(wire(base=site.url)).body) == (503, b"later")


def test_netrc_is_never_used(net: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password for the host in `~/.netrc` is not vidpoll's to send."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.acme.example login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(URL) == ("me", "hunter2")
    net.get(URL)
    send(WireRequest("GET", URL, lambda url: True))
    assert "Authorization" not in net.calls[0].request.headers


def test_no_cookie_is_kept(net: responses.RequestsMock) -> None:
    """One answer leaves no trace in the next request."""
    net.get(URL, headers={"Set-Cookie": "session=1"})
    transport = RequestsTransport()
    transport.send(wire(), ticket())
    transport.send(wire(), ticket())
    assert "Cookie" not in net.calls[1].request.headers


# -- redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target", ["/v2/jobs/j1", "https://API.acme.example:443/v2/jobs/j1", "//api.acme.example/v2/jobs/j1"]
)
def test_a_redirect_within_the_origin_keeps_the_key(net: responses.RequestsMock, status: int, target: str) -> None:
    """Same scheme, host and port, however they are written."""
    hop(net, URL, target, status)
    for place in ("https://api.acme.example", "https://api.acme.example:443", "https://API.acme.example:443"):
        net.get(f"{place}/v2/jobs/j1", body=b"{}")
    assert send(wire()).status == 200
    assert [key for _, key in held(net)] == [True, True]


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "https://api.acme.example.evil.example/",
        "https://api.acme.example:8443/",
        "https://sub.api.acme.example/",
    ],
)
@pytest.mark.parametrize("auth", [vidpoll.Bearer("K"), vidpoll.KeyHeader("X-Api-Key", "K")])
def test_the_key_goes_to_its_own_origin_alone(net: responses.RequestsMock, target: str, auth: Any) -> None:
    """Also a key in a header of another name, and whatever else the plugin puts into headers."""
    hop(net, URL, target)
    net.get(target)
    send(wire(auth=auth, headers={"X-Session": "s-1", "Accept": "video/mp4"}))
    first, second = (call.request.headers for call in net.calls)
    name = "Authorization" if "Authorization" in first else "X-Api-Key"
    assert KEY in first[name]
    assert KEY not in str(second)
    assert ("X-Session" in first, "X-Session" in second, second["Accept"]) == (True, False, "video/mp4")


def test_a_key_does_not_come_back_from_abroad_to_a_stranger(net: responses.RequestsMock) -> None:
    """Each hop is judged for itself: away without it, home with it."""
    hop(net, URL, "https://cdn.example/a")
    hop(net, "https://cdn.example/a", "https://api.acme.example/v1/b")
    net.get("https://api.acme.example/v1/b")
    send(wire())
    assert [key for _, key in held(net)] == [True, False, True]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://api.acme.example/v1/jobs/j1", "from https to http"),
        ("ftp://api.acme.example/x", "not a plain http or https URL"),
        ("file:///etc/passwd", "not a plain http or https URL"),
        ("https://user:pw@api.acme.example/", "not a plain http or https URL"),
    ],
)
def test_redirects_that_are_not_followed(net: responses.RequestsMock, target: str, says: str) -> None:
    """Never from https to http, never to another scheme, never with user data."""
    hop(net, URL, target)
    with pytest.raises(UnsafeHop, match=says):
        send(wire())
    assert len(net.calls) == 1


@pytest.mark.parametrize("target", [None, "", "https://[broken"])
def test_a_redirect_to_nowhere(net: responses.RequestsMock, target: str | None) -> None:
    """Is no answer."""
    hop(net, URL, target)
    with pytest.raises(NoAnswer):
        send(wire())


def test_a_redirect_loop_ends(net: responses.RequestsMock) -> None:
    """After five."""
    hop(net, URL, URL)
    with pytest.raises(NoAnswer, match="more than 5 redirects") as caught:
        send(wire())
    assert len(net.calls) == 6
    assert not isinstance(caught.value, BodyTooLarge)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_only_a_question_follows_a_redirect(net: responses.RequestsMock, status: int, method: str) -> None:
    """A POST is never sent a second time; the redirect is the answer."""
    net.add(method, URL, status=status, headers={"Location": "/elsewhere"})
    assert send(wire(method, body=b"x")).status == status
    assert len(net.calls) == 1


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_a_body_has_a_bound(site: Site) -> None:
    """It is read up to `max_body`, and not one byte more counts as an answer."""
    site.says(body=b"x" * 1001)
    with pytest.raises(BodyTooLarge, match="more than 1,000 bytes"):
        send(wire(base=site.url, max_body=1000))
    assert len(send(wire(base=site.url, max_body=1001)).body) == 1001


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", gzip.compress(b"{}")), ("x-gzip", gzip.compress(b"{}")), ("deflate", zlib.compress(b"{}"))],
)
def test_compression_that_was_not_asked_for_is_borne(site: Site, coding: str, packed: bytes) -> None:
    """Some servers compress whatever is asked."""
    site.says(body=packed, headers={"Content-Encoding": coding})
    assert send(wire(base=site.url)).json() == {}


def test_a_bomb_is_bounded_too(site: Site) -> None:
    """Before and after inflating."""
    site.says(body=gzip.compress(b"0" * 10_000_000), headers={"Content-Encoding": "gzip"})
    with pytest.raises(BodyTooLarge):
        send(wire(base=site.url, max_body=100_000))


@pytest.mark.parametrize(
    ("coding", "body", "says"),
    [
        ("gzip", gzip.compress(b"{}" * 100)[:-9], "was cut"),
        ("gzip", b"\x1f\x8b{}", "cannot be read"),
        ("deflate", b"\x78\x9c\x00\x01", "cut|cannot be read"),
        ("deflate", b"\xff\x00\xff", "cannot be read"),
    ],
)
def test_a_compressed_body_that_is_none(site: Site, coding: str, body: bytes, says: str) -> None:
    """Is no answer."""
    site.says(body=body, headers={"Content-Encoding": coding})
    with pytest.raises(NoAnswer, match=says):
        send(wire(base=site.url))


@pytest.mark.parametrize("coding", ["gzip", "aws-chunked", "utf-8"])
def test_a_file_goes_to_its_sink_as_it_came(site: Site, coding: str) -> None:
    """Whatever its label says: the bytes tell what it is, and they are the reader's to judge."""
    packed = gzip.compress(b"1\n00:00")
    site.says(body=packed, headers={"Content-Encoding": coding})
    pieces: list[bytes] = []
    sender().fetch(wire(base=site.url), ticket(), lambda head: lambda piece: pieces.append(bytes(piece)))
    assert b"".join(pieces) == packed


def test_a_refusal_does_not_go_into_the_file(site: Site) -> None:
    """Only a 2xx body is the file; anything else is read as an answer."""
    site.says(status=404, body=b"no such file")
    assert sender().fetch(wire(base=site.url), ticket(), lambda head: pytest.fail("asked")).body == b"no such file"


# -- the words of errors ----------------------------------------------------------------------------------------------

SIGNED = "https://api.acme.example/v1/jobs/j1?signature=s3cr3t"


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (requests.ConnectTimeout(SIGNED), "no connection within 0.2 s"),
        (requests.ReadTimeout(SIGNED), "nothing came for 0.2 s"),
        (requests.exceptions.SSLError(SIGNED), "the TLS connection failed"),
        (requests.exceptions.ChunkedEncodingError(SIGNED), "broke in the middle"),
        (requests.exceptions.InvalidURL(SIGNED), "the address cannot be used (InvalidURL): check the base URL"),
        (requests.ConnectionError(SIGNED), "the connection was reset"),
        (ConnectionResetError(SIGNED), "the connection was reset"),
        (OSError(SIGNED), "the connection failed (OSError)"),
        (urllib3.exceptions.ReadTimeoutError(None, SIGNED, "x"), "nothing came for 0.2 s"),  # type: ignore[arg-type]
        (ValueError(SIGNED), "the request failed (ValueError)"),
        (RecursionError(SIGNED), "the request failed (RecursionError)"),
    ],
)
def test_an_error_holds_no_url_and_no_key(net: responses.RequestsMock, raised: Exception, says: str) -> None:
    """The libraries' words hold URLs; ours do not, and neither does the chain of causes."""
    net.get(URL, body=raised)
    with pytest.raises(NoAnswer) as caught:
        send(wire())
    assert says in caught.value.reason
    assert caught.value.sent is False  # no connection stood
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert "signature" not in shown.replace('SIGNED = "https', "")
    assert KEY not in shown
    assert caught.value.__suppress_context__


# -- real sockets -----------------------------------------------------------------------------------------------------

Handler = Callable[[socket.socket], None]


@pytest.fixture
def server() -> Iterator[Callable[[Handler], str]]:
    """Serves each connection with a function of the raw socket; returns the base URL."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(handler: Handler) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(2)
                    try:
                        while b"\r\n\r\n" not in connection.recv(65536):
                            pass
                        handler(connection)
                    except OSError:
                        pass

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    yield serve
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(3)


def answers(*pieces: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return handler


def ask(url: str, **fields: Any) -> vidpoll.Response:
    return send(WireRequest("GET", f"{url}/jobs/j1", lambda url: True, timeout=(0.2, 0.2), **fields))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@both
@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (HEAD + b'Content-Length: 100\r\n\r\n{"status": "completed"}', BodyCut),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n17\r\n{"status": "completed"}\r\n', BodyCut),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n17\r\n{"sta', BodyCut),
        (b"", NoAnswer),
        (b"HTTP/1.1 ", NoAnswer),
        (b"SSH-2.0-OpenSSH_9.6\r\n", NoAnswer),
    ],
)
def test_a_cut_answer_is_no_answer(server: Any, raw: bytes, error: type[NoAnswer]) -> None:
    """A body that is cut must not be parsed, even where what came of it is good JSON."""
    with pytest.raises(error):
        ask(server(answers(raw)))


OK = b"HTTP/1.1 200 OK\r\n"
STRICT = {
    OK + b"no field\r\nX-A: b\r\n: c\r\n\r\n{}": "the response is not HTTP",
    OK + b"X-A: b\r\nno field\r\n c\r\n\r\n{}": "the response is not HTTP",
    OK + b"Content-Length: -5\r\n\r\n{}": "the request failed",
    OK + b"Content-Length: many\r\n\r\n{}": "the request failed",
}
"""What libcurl takes for no answer, and the words."""


@both
@pytest.mark.parametrize(
    ("raw", "status", "headers", "body"),
    [
        (OK + b"X-A:  b \r\nContent-Length: 2\r\n\r\n{}", 200, {"x-a": "b", "content-length": "2"}, b"{}"),
        (OK + b"x-a: b\n" + b"content-length: 2\n\n{}", 200, {"x-a": "b", "content-length": "2"}, b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\n{}", 200, {}, b"{}"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"X: y\r\n\r\n{}", 200, {"x": "y"}, b"{}"),
        (OK + b"X-A: b\r\n  c\r\n\td\r\n\r\n{}", 200, {"x-a": "b c d"}, b"{}"),
        (OK + b"no field\r\nX-A: b\r\n: c\r\n\r\n{}", 200, {"x-a": "b"}, b"{}"),
        (OK + b"X-A: b\r\nX-A: c\r\n\r\n{}", 200, {"x-a": "c"}, b"{}"),
        (OK + b"X-A: \xe4\r\n\r\n{}", 200, {"x-a": "ä"}, b"{}"),
        (OK + b"Content-Length: -5\r\n\r\n{}", 200, {"content-length": "-5"}, b"{}"),
        (OK + b"Content-Length: 2, 2\r\n\r\n{}", 200, {"content-length": "2"}, b"{}"),
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 200, {"content-length": "2"}, b"{}"),
        (OK + b"Content-Length: many\r\n\r\n{}", 200, {"content-length": "many"}, b"{}"),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}", 200, {"content-length": "9" * 5000}, b"{}"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", 200, {}, b"{}"),
        (b"HTTP/1.1 200\r\n\r\n{}", 200, {}, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n{}", 204, {}, b""),
        (
            b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            204,
            {"transfer-encoding": "chunked"},
            b"",
        ),
        (OK + b" Content-Length: 1\r\nX-A: b\r\n\r\n{}", 200, {"x-a": "b"}, b"{}"),
        (OK + b"X-A: b\r\nno field\r\n c\r\n\r\n{}", 200, {"x-a": "b"}, b"{}"),
        *(
            (
                OK + b"Transfer-Encoding: " + coding + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                200,
                {"transfer-encoding": coding.decode().rpartition(": ")[2]},
                b"{}",
            )
            for coding in (b"chunked, chunked", b"identity, CHUNKED", b"chunked\r\nTransfer-Encoding: chunked")
        ),
        (
            OK + b"Transfer-Encoding: Chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nX-T: z\r\n\r\n",
            200,
            {"transfer-encoding": "Chunked"},
            b"{}",
        ),
    ],
    ids=lambda each: str(each)[:40],
)
def test_whatever_a_head_looks_like(
    server: Any, raw: bytes, status: int, headers: dict[str, str], body: bytes, *, transport: str
) -> None:
    """Announcing heads are passed over, lines that are folded are one, those that are no field are nothing."""
    if transport == "curl" and raw in STRICT:
        with pytest.raises(NoAnswer, match=STRICT[raw]):
            ask(server(answers(raw)))
        return
    assert ask(server(answers(raw))) == vidpoll.Response(status, headers, body)


@both
@pytest.mark.parametrize(
    "raw",
    [
        OK + b"X: y\r\n" * 101 + b"\r\n{}",
        OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n{}",
        OK + b"X: y",
        OK + b"X: y\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 9 OK\r\n\r\n{}",
        OK + b"Content-Length: 2\r\nContent-Length: 1\r\n\r\n{}",
        OK + b"Content-Length: 2, 1\r\n\r\n{}",
        OK + b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-9000\r\n" * 9,
        b"HTTP/2 200\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_head_has_bounds_and_an_end(server: Any, raw: bytes) -> None:
    """More than a hundred lines, a line without an end, a head that is cut, two lengths, another coding: no answer."""
    with pytest.raises(NoAnswer):
        ask(server(answers(raw)))


def fetch(url: str, sink: Callable[[memoryview], object]) -> vidpoll.Response:
    at = WireRequest("GET", url, lambda url: True, timeout=(0.5, 0.5))
    return sender().fetch(at, ticket(), lambda head: sink)


@both
def test_what_a_sink_raises_is_its_own(server: Any) -> None:
    """A full disk must not pass for a broken connection."""

    def full(piece: memoryview) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fetch(server(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789")), full)


@both
@pytest.mark.parametrize(
    ("raw", "whole"),
    [
        (b"Content-Length: 9\r\n\r\n123456789", True),
        (b"Content-Length: 10\r\n\r\n123456789", False),
        (b"Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n", True),
        (b"Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n", False),
        (b"Transfer-Encoding: chunked\r\n\r\nA\r\n123456789", False),
        (b"Connection: close\r\n\r\n123456789", True),
    ],
)
def test_a_cut_file_is_told(server: Any, raw: bytes, whole: bool) -> None:
    """By its length or its chunks; what came before goes to the sink all the same."""
    received = bytearray()
    url = server(answers(b"HTTP/1.1 200 OK\r\n" + raw))
    if whole:
        fetch(url, received.extend)
    else:
        with pytest.raises(BodyCut):
            fetch(url, received.extend)
    assert b"123456789".startswith(received)
    assert received or not whole


@both
def test_gzip_on_the_wire_though_identity_was_asked(server: Any) -> None:
    """Read, bounded, inflated, bounded again."""
    packed = gzip.compress(b'{"status": "queued"}')
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    assert ask(server(answers(head, packed))).json() == {"status": "queued"}


@both
def test_nobody_listens() -> None:
    """A refused connection is the one fault of which it is certain that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoAnswer, match="the connection was refused") as caught:
        ask(f"http://127.0.0.1:{port}")
    assert caught.value.sent is False


@both
def test_a_host_that_cannot_be_looked_up() -> None:
    """Nothing was sent either. (`.invalid` exists nowhere: RFC 6761.)"""
    with pytest.raises(NoAnswer, match="could not be looked up") as caught:
        ask("http://nowhere.invalid")
    assert caught.value.sent is False


@both
def test_a_server_that_hangs(server: Any) -> None:
    """The read timeout is the number of seconds without a byte."""
    release = threading.Event()
    url = server(lambda connection: release.wait(2))
    with pytest.raises(NoAnswer, match=r"nothing came for 0\.2 s") as caught:
        ask(url)
    release.set()
    assert caught.value.sent is True


def drip(release: threading.Event, head: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        connection.sendall(head)
        while not release.wait(0.02):
            connection.sendall(b" ")

    return handler


@both
@pytest.mark.parametrize("head", [HEAD + b"\r\n", HEAD + b"Content-Length: 9999\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_aborting_ends_a_drip(server: Any, head: bytes) -> None:
    """A server that sends a byte now and then holds neither the caller nor, once it is aborted, the worker."""
    release, ended = threading.Event(), threading.Event()
    url = server(drip(release, head))
    transport, workers, inbox = sender(), Workers(), queue.Queue[Ticket]()
    request = WireRequest("GET", f"{url}/x", lambda url: True, timeout=(0.2, 5.0))

    def one_shot(ticket: Ticket) -> None:
        try:
            transport.send(request, ticket)
        except NoAnswer:
            pass
        finally:
            ended.set()

    sent = workers.send(one_shot, inbox)
    assert not ended.wait(0.1)
    workers.abort(sent)
    assert ended.wait(10), "the worker is still reading"
    assert inbox.empty()
    release.set()
    workers.close()


@both
def test_a_wait_moves_on_from_a_server_that_drips(server: Any) -> None:
    """The total bound of a request is connect + read, whatever trickles in meanwhile."""
    release = threading.Event()
    begun = time.monotonic()
    account = Account("acme", base_url=server(drip(release, HEAD + b"\r\n")), key=None)

    class Brings:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> list[vidpoll.Provider]:
            return [ACME]

    with vidpoll.Client(
        accounts={"acme": account}, plugins=[Brings()], discover=False, http_timeout=(0.15, 0.15)
    ) as client:
        with pytest.raises(vidpoll.WaitTimeout, match=r"no complete response within 0\.3 s"):
            client.wait("acme:j1", timeout=0.1)
    release.set()
    assert time.monotonic() - begun < 10


@both
def test_connections_are_used_again(server: Any) -> None:
    """Keep-alive: a wait of an hour does not make a connection for each question. Closing the transport closes it."""
    seen: list[int] = []
    closed = threading.Event()

    def handler(connection: socket.socket) -> None:
        while True:
            seen.append(connection.fileno())
            connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
            if not connection.recv(65536):
                closed.set()
                return

    url = server(handler)
    transport = sender()
    for _ in range(3):
        transport.send(WireRequest("GET", f"{url}/x", lambda url: True, timeout=(0.2, 0.2)), ticket())
    transport.close()
    assert closed.wait(10)
    assert len(seen) == 3
    assert len(set(seen)) == 1


@both
@pytest.mark.parametrize(
    ("raw", "error", "again"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\n{}", None, True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", None, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None, True),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", None, False),
        (HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", None, False),
        (HEAD + b"Content-Length: 30000\r\n\r\n" + b" " * 30_000, BodyTooLarge, False),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://x\r\nContent-Length: 9\r\n\r\n123", NoAnswer, False),
    ],
)
def test_a_connection_serves_again_once_its_body_is_read(
    server: Any, raw: bytes, error: type[Exception] | None, again: bool
) -> None:
    """What is left of a body on a connection would be read as the next answer."""
    connections: list[int] = []

    def handler(connection: socket.socket) -> None:
        connections.append(len(connections))
        connection.sendall(raw if len(connections) == 1 else HEAD + b'Content-Length: 7\r\n\r\n{"a":1}')
        if connection.recv(65536):
            connection.sendall(HEAD + b'Content-Length: 7\r\n\r\n{"a":1}')

    transport = sender()
    wire = WireRequest("GET", f"{server(handler)}/x", lambda url: True, max_body=20_000, timeout=(0.5, 0.5))
    with contextlib.nullcontext() if error is None else pytest.raises(error):
        transport.send(wire, ticket())
    assert transport.send(wire, ticket()).json() == {"a": 1}
    transport.close()
    assert len(connections) == (1 if again else 2)


@both
def test_what_a_proxy_is_told_is_no_request(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses to connect has not passed on the submit: nothing was sent, and so nothing was bought."""
    refuses = server(answers(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", refuses.removesuffix("/v1"))
    with pytest.raises(NoAnswer, match="proxy") as caught:
        send(WireRequest("POST", "https://api.acme.example/v1/jobs", lambda url: True, body=b"{}", timeout=(0.5, 0.5)))
    assert caught.value.sent is False


def test_a_pool_of_another_kind_stays_one() -> None:
    """A SOCKS proxy is reached through pools of its own: theirs are noted as well, and not put aside."""

    class Pool(urllib3.HTTPConnectionPool):
        pass

    adapter, manager = RequestsTransport()._adapter(), urllib3.PoolManager()
    manager.pool_classes_by_scheme = {"http": Pool}
    adapter.proxy_manager["socks5://127.0.0.1:9"] = manager
    for _ in range(2):
        made = adapter.proxy_manager_for("socks5://127.0.0.1:9").pool_classes_by_scheme["http"]
        assert [each.__name__ for each in made.__mro__][:2] == ["NotingPool", "Pool"]
        assert made.ConnectionCls.__name__ == "NotedHTTPConnection"


@both
def test_a_thread_that_ends_leaves_no_connection(server: Any) -> None:
    """A script that waits a thousand times has a thousand clients, one after the other, and not their sockets."""
    closed = threading.Event()

    def handler(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        if not connection.recv(65536):
            closed.set()

    transport, url = sender(), server(handler)
    wire = WireRequest("GET", f"{url}/x", lambda url: True, timeout=(0.5, 0.5))
    thread = threading.Thread(target=lambda: transport.send(wire, ticket()))
    gc.disable()
    try:
        thread.start()
        thread.join()
        assert closed.wait(10)
    finally:
        gc.enable()


@both
def test_silence_is_bounded_on_a_connection_that_serves_again(server: Any) -> None:
    """The bound is that of the request that waits, not of the one before it."""

    def handler(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")
        connection.recv(65536)
        connection.recv(65536)  # until the caller is gone

    transport, url = sender(), f"{server(handler)}/x"
    transport.send(WireRequest("GET", url, lambda url: True, timeout=(5.0, 5.0)), ticket())
    with pytest.raises(NoAnswer, match=r"nothing came for 0\.2 s"):
        transport.send(WireRequest("GET", url, lambda url: True, timeout=(5.0, 0.2)), ticket())
    transport.close()


LIKE_EACH_OTHER = [
    "http://127.0.0.1:1/jobs/1", "http://127.0.0.1:1/jobs/2", "http://127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1?x=/y",
    "http://127.0.0.1:1/jobs/2?x=/y", "http://127.0.0.1:1/a/./b/../c", "http://127.0.0.1:1//jobs", "http://127.0.0.1:1/jobs/",
    "http://127.0.0.1:1/a%2fb", "http://127.0.0.1:1/ä", "http://127.0.0.1:1/jobs/2#part", "http://127.0.0.1:2/jobs/2",
    "http://127.0.0.1:12/jobs/2", "http://LocalHost:1/jobs/2", "http://localhost:1/jobs/3", "http://[::1]:1/jobs/2",
    "https://127.0.0.1:1/jobs/2", "HTTPS://127.0.0.1:1/jobs/3", "http://host/jobs/2", "http://host:80/jobs/2", "http://host./jobs/2",
]  # fmt: skip


@pytest.mark.slow
def test_a_kept_request_is_the_one_that_would_be_made() -> None:
    """One request is kept and given another path: after any other one it is what requests makes, to its origin."""
    for before in LIKE_EACH_OTHER:
        for url in LIKE_EACH_OTHER:
            adapter = RequestsTransport()._adapter()
            for each in (before, url, before, url):
                headers = {"User-Agent": "x", "X-Way": "there" if each == before else "back"}
                for told in (headers, {"User-Agent": "x"}):
                    made = adapter.prepared("GET", each, told, None)
                    due = requests.Request("GET", each, headers=told).prepare()
                    due.url = str(due.url).replace("%2Fb", "%2fb").partition("#")[0]  # as it was written
                    assert (made.url, made.headers, made.body, made.method) == (due.url, due.headers, None, "GET")
                    proxy = {"http": "http://127.0.0.1:9"}
                    for proxies in ({}, proxy):
                        # Up to 2.32.4 requests takes a slash out of "//jobs"; it goes out as it is written.
                        target = HTTPAdapter().request_url(due, proxies) if proxies else due.path_url
                        assert adapter.request_url(made, proxies) == target
                    pool = adapter.get_connection_with_tls_context(made, True, proxies={}, cert=None)
                    other = RequestsTransport()._adapter().get_connection_with_tls_context(due, True, proxies={})
                    assert (pool.scheme, pool.host, pool.port) == (other.scheme, other.host, other.port)
