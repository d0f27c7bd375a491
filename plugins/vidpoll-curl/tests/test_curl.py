"""The rules of the network, each kept by an option of libcurl's: what goes out, what comes in, what a failure says."""

from __future__ import annotations

import gzip
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pycurl
import pytest
import vidpoll_curl
from raw_server import SELF_SIGNED, Chaos, answers, chaos, free_port, hangs, resets, says
from vidpoll_curl.engine import Engine
from vidpoll_curl.transport import CurlTransport

import vidpoll
from vidpoll.faults import Misconfigured, NoAnswer
from vidpoll.net.accounts import WireRequest
from vidpoll.net.explain import BodyCut, BodyTooLarge, Hopeless, UnsafeHop
from vidpoll.net.workers import Ticket

KEY = "key-0123456789-secret"
OK = answers({}, keep=True)
NOWHERE = f"{'a' * 64}.acme.example"
"""A host that is not found without a DNS request: a label has at most 63 characters."""


@pytest.fixture
def curl() -> Iterator[CurlTransport]:
    transport = CurlTransport()
    yield transport
    transport.close()


def wire(url: str, method: str = "GET", **fields: Any) -> WireRequest:
    fields = {"timeout": (1.0, 1.0), "secret": {"Authorization": f"Bearer {KEY}"}, **fields}
    return WireRequest(method, url, fields.pop("trusted", lambda there: there.startswith(url[:20])), **fields)


def outcome(transport: CurlTransport, request: WireRequest, start: Any = None) -> Any:
    """What comes back through the inbox."""
    inbox: queue.Queue[Any] = queue.Queue()
    ticket = transport.begin(request, inbox, start)
    assert inbox.get(timeout=10) is ticket
    if isinstance(ticket.outcome, NoAnswer):
        assert ticket.outcome.sent is ticket.sent
        assert "127.0.0.1" not in ticket.outcome.reason
        assert KEY not in ticket.outcome.reason
    return ticket.outcome


def head_of(server: Chaos, number: int = -1) -> list[str]:
    return server.heads[number].lower().split("\r\n")


# -- one thread -------------------------------------------------------------------------------------------------------


def test_one_thread_asks_for_all(curl: CurlTransport) -> None:
    """A hundred simultaneous requests need one more thread, and connections are reused."""
    inbox, before = queue.Queue[Any](), set(threading.enumerate())
    with chaos(OK) as server:
        tickets = [curl.begin(wire(f"{server.url}/{number}"), inbox) for number in range(100)]
        came = [inbox.get(timeout=10) for _ in tickets]
        assert set(came) == set(tickets)
        assert {(ticket.outcome.status, ticket.outcome.body) for ticket in came} == {(200, b"{}")}
        mine = [each.name for each in set(threading.enumerate()) - before if each.name.startswith("vidpoll")]
        outcome(curl, wire(f"{server.url}/again"))
        assert server.connections <= 100
    assert (mine, curl.spare) == (["vidpoll-curl"], 1024)


def test_connections_serve_again(curl: CurlTransport) -> None:
    """A wait of an hour does not make a connection for each question."""
    with chaos(OK) as server:
        for _ in range(5):
            assert outcome(curl, wire(f"{server.url}/x")).status == 200
        assert server.connections == 1


def test_an_aborted_request_is_shut_at_once(curl: CurlTransport) -> None:
    """Nothing comes back, and the server sees its connection end; another request is served meanwhile."""
    gone = threading.Event()

    def play(connection: Any, ended: threading.Event) -> None:
        connection.recv(1)
        gone.set()

    act = hangs()
    with chaos(type(act)(play)) as server, chaos(OK) as other:
        inbox = queue.Queue[Any]()
        ticket = curl.begin(wire(f"{server.url}/x", timeout=(60.0, 60.0)), inbox)
        assert outcome(curl, wire(f"{other.url}/x")).status == 200
        curl.abort(ticket)
        assert (ticket.aborted, curl.spare) == (True, 1024)
        assert gone.wait(10)
        assert inbox.empty()


def test_abort_after_the_end_changes_nothing(curl: CurlTransport) -> None:
    """The response is already on its way to the inbox, and stays there."""
    with chaos(OK) as server:
        inbox = queue.Queue[Any]()
        ticket = curl.begin(wire(f"{server.url}/x"), inbox)
        assert inbox.get(timeout=10) is ticket
        curl.abort(ticket)
        assert (ticket.aborted, ticket.outcome.status) == (False, 200)


def test_a_closed_transport_begins_nothing(curl: CurlTransport) -> None:
    """But a small file may still be fetched, in the calling thread."""
    curl.close()
    with chaos(OK) as server:
        with pytest.raises(RuntimeError, match="closed"):
            curl.begin(wire(f"{server.url}/x"), queue.Queue())
        assert curl.send(wire(f"{server.url}/x"), Ticket(lambda ticket: None, queue.Queue())).status == 200
    curl.close()


def test_a_fault_of_its_own_ends_those_under_way(curl: CurlTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fail with the reason, and the thread continues with the next ones."""
    real, wrong = Engine.turn, threading.Event()

    def turn(engine: Engine, most: float) -> None:
        real(engine, most)
        if wrong.is_set():
            wrong.clear()
            raise KeyError(KEY)

    monkeypatch.setattr(Engine, "turn", turn)
    with chaos(hangs()) as server, chaos(OK) as other:
        inbox = queue.Queue[Any]()
        ticket = curl.begin(wire(f"{server.url}/x"), inbox)
        wrong.set()
        assert outcome(curl, wire(f"{other.url}/x"))  # it wakes the thread, and may be hit as well
        assert inbox.get(timeout=5) is ticket
        assert ticket.outcome.reason == "the request failed (KeyError)"
        assert outcome(curl, wire(f"{other.url}/x")).status == 200


SCRIPT = """
import os, queue, sys, time
sys.path[:0] = {path!r}
from raw_server import Chaos, answers, chaos, hangs
from vidpoll.net.accounts import WireRequest
from vidpoll_curl.transport import CurlTransport

def begin(server):
    inbox = queue.Queue()
    curl.begin(WireRequest("GET", server.url + "/x", lambda url: True, timeout=(9.0, 9.0)), inbox)
    return inbox

curl = CurlTransport()
"""

FORKS = """
with chaos(answers({}, keep=True)) as server:
    assert begin(server).get(timeout=9).outcome.status == 200
    child = os.fork()
    if child == 0:
        os._exit(7 if begin(server).get(timeout=9).outcome.status == 200 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert begin(server).get(timeout=9).outcome.status == 200
    assert server.connections == 2, server.connections
print("done")
"""

LEAVES = """
server = Chaos([hangs()])
inbox = begin(server)
while not server.heads:
    time.sleep(0.01)
print("done")
"""


@pytest.mark.parametrize("rest", [FORKS, LEAVES], ids=["a fork", "an exit with a request under way"])
def test_a_process(rest: str) -> None:
    """A forked child makes its own connections, its parent's continue; a process that ends waits for no response."""
    script = SCRIPT.format(path=[str(SELF_SIGNED.parent)]) + rest
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "done", "")
    assert time.monotonic() - begun < 8


# -- what goes out ----------------------------------------------------------------------------------------------------


def test_what_is_sent(curl: CurlTransport) -> None:
    """Only vidpoll's headers: no name of libcurl, no coding, no cookie that a response set."""
    with chaos(answers({}, head="Set-Cookie: a=b\r\n", keep=True)) as server:
        for _ in range(2):
            outcome(curl, wire(f"{server.url}/x", headers={"X-Empty": ""}))
        host = server.url.removeprefix("http://")
        assert sorted(head_of(server)) == sorted(
            [
                "get /x http/1.1",
                f"host: {host}",
                f"user-agent: vidpoll/{vidpoll.__version__}",
                "accept-encoding: identity",
                "accept: application/json",
                "cache-control: no-cache",
                "x-empty:",
                f"authorization: bearer {KEY.lower()}",
            ]
        )


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize("body", [None, b'{"a": 1}', b"x" * 700_000], ids=["none", "small", "large"])
def test_a_body(curl: CurlTransport, method: str, body: bytes | None) -> None:
    """Its length is sent, there is no wait for 100-continue, and no content type is invented."""
    with chaos(OK) as server:
        assert outcome(curl, wire(f"{server.url}/x", method, body=body)).status == 200
        told = [line for line in head_of(server) if line.startswith(("content-", "expect", "transfer-"))]
        assert (head_of(server)[0], told) == (f"{method.lower()} /x http/1.1", [f"content-length: {len(body or b'')}"])


@pytest.mark.parametrize("target", ["/a%2fb/%7e?x=[1]&y=%7b%7D&z='()*", "/../a/./b", "/?", "/a?b/../c"])
def test_a_url_goes_out_byte_for_byte(curl: CurlTransport, target: str) -> None:
    """A signature may cover each byte; only `..` is resolved, as by the other transport."""
    with chaos(OK) as server:
        outcome(curl, wire(server.url + target))
        sent = server.heads[0].split(" ")[1]
    assert sent == {"/../a/./b": "/a/b"}.get(target, target)


def test_netrc_is_not_read(curl: CurlTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program's password is not vidpoll's."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with chaos(OK) as server:
        outcome(curl, wire(f"{server.url}/x", secret={}))
        assert not any(line.startswith("authorization") for line in head_of(server))


def test_a_header_with_a_line_end_is_not_sent(curl: CurlTransport) -> None:
    """It would be another header, or another request."""
    with chaos(OK) as server:
        lost = outcome(curl, wire(f"{server.url}/x", headers={"X-A": "b\r\nX-C: d"}))
        assert (type(lost), server.heads) == (Misconfigured, [])
    assert lost.reason == "a header cannot be sent: check the key for line ends"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"])
def test_http_and_https_only(curl: CurlTransport, url: str) -> None:
    """libcurl speaks a dozen protocols more."""
    assert isinstance(outcome(curl, wire(url)), NoAnswer)


# -- redirects --------------------------------------------------------------------------------------------------------


def moved(url: str, status: int = 302) -> Any:
    return answers(b"elsewhere", status=status, head=f"Location: {url}\r\n")


def test_the_key_goes_to_its_own_origin_alone(curl: CurlTransport) -> None:
    """Within the origin it goes along; to another one neither it nor what a plugin has put beside it."""
    with chaos(OK) as stranger, chaos(moved("/y"), moved(f"{stranger.url}/z")) as server:
        request = wire(f"{server.url}/x", trusted=lambda url: url.startswith(server.url), headers={"X-Id": "7"})
        assert outcome(curl, request).status == 200
        assert [head.split(" ")[1] for head in server.heads] == ["/x", "/y"]
        assert all(f"Authorization: Bearer {KEY}" in head and "X-Id: 7" in head for head in server.heads)
        assert KEY not in stranger.heads[0]
        assert "X-Id" not in stranger.heads[0]


@pytest.mark.parametrize(
    ("target", "kind", "said"),
    [
        ("file:///etc/passwd", UnsafeHop, "not a plain http or https URL"),
        ("http://user:pw@127.0.0.1/", UnsafeHop, "not a plain http or https URL"),
        ("", Hopeless, "without a Location"),
        ("/again", Hopeless, "more than 5 redirects"),
    ],
)
def test_redirects_that_are_not_followed(curl: CurlTransport, target: str, kind: type, said: str) -> None:
    """libcurl follows none by itself."""
    with chaos(moved(target)) as server:
        lost = outcome(curl, wire(f"{server.url}/x"))
    assert isinstance(lost, kind)
    assert said in lost.reason


def test_a_submit_follows_no_redirect(curl: CurlTransport) -> None:
    """The redirect is its response, which means that nothing was bought."""
    with chaos(moved("/y")) as server:
        answer = outcome(curl, wire(f"{server.url}/x", "POST", body=b"{}"))
        assert (answer.status, answer.body, len(server.heads)) == (302, b"elsewhere", 1)


def test_nobody_waits_for_what_a_redirect_says(curl: CurlTransport) -> None:
    """It leads on as soon as its head is whole."""
    with chaos(hangs(b"HTTP/1.1 302 X\r\nLocation: /y\r\nContent-Length: 9\r\n\r\n"), OK) as server:
        assert outcome(curl, wire(f"{server.url}/x")).status == 200


# -- what comes in ----------------------------------------------------------------------------------------------------


def test_http_0_9_is_no_answer(curl: CurlTransport) -> None:
    """Bytes without a head are not a body."""
    with chaos(says(b'{"status": "completed"}')) as server:
        assert outcome(curl, wire(f"{server.url}/x")).reason == "the response is not HTTP (BadStatusLine)"


def test_compression_that_was_not_asked_for_is_borne(curl: CurlTransport) -> None:
    """It is inflated here, within the same bound, and not by libcurl."""
    head = "Content-Encoding: gzip\r\n"
    with chaos(answers(gzip.compress(b"{}"), head=head), answers(gzip.compress(b" " * 9_000), head=head)) as server:
        answer = outcome(curl, wire(f"{server.url}/x", max_body=1000))
        assert (answer.body, answer.headers["content-encoding"]) == (b"{}", "gzip")
        assert isinstance(outcome(curl, wire(f"{server.url}/x", max_body=1000)), BodyTooLarge)


def test_a_body_has_a_bound(curl: CurlTransport) -> None:
    """To the byte, with or without a Content-Length."""
    with chaos(answers(b"1234"), answers(b"12345"), says(b"HTTP/1.1 200 X\r\n\r\n12345")) as server:
        assert outcome(curl, wire(f"{server.url}/x", max_body=4)).body == b"1234"
        for _ in range(2):
            lost = outcome(curl, wire(f"{server.url}/x", max_body=4))
            assert (type(lost), lost.reason) == (BodyTooLarge, "a body of more than 4 bytes")


def test_an_announcement_is_no_answer(curl: CurlTransport) -> None:
    """100 and 103 come before it, a trailer behind; of a field that comes twice the last one counts."""
    pieces = (
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-B: 3\r\n\r\n",
    )
    with chaos(says(*pieces)) as server:
        answer = outcome(curl, wire(f"{server.url}/x"))
    assert (answer.body, answer.headers) == (b"{}", {"x-a": "2", "transfer-encoding": "chunked"})


# -- failures, and what was sent --------------------------------------------------------------------------------------


def test_a_connection_that_is_refused(curl: CurlTransport) -> None:
    """Nothing was sent."""
    lost = outcome(curl, wire(f"http://127.0.0.1:{free_port()}/x", "POST", body=b"{}"))
    assert (lost.reason, lost.sent) == ("the connection was refused", False)


def test_a_name_that_nobody_knows(curl: CurlTransport) -> None:
    """Nothing was sent."""
    lost = outcome(curl, wire(f"http://{NOWHERE}/x", "POST", body=b"{}"))
    assert (lost.reason, lost.sent) == ("the host name could not be looked up", False)


def test_tls_is_verified(curl: CurlTransport) -> None:
    """Nothing was sent to an untrusted server, and the message names the way out."""
    with chaos(OK, tls=True) as server:
        lost = outcome(curl, wire(f"{server.url}/x", "POST", body=b"{}"))
        assert server.heads == []
    assert lost.reason.startswith(
        "the TLS connection failed: the certificate is not signed by a trusted authority (self-signed certificate): "
    )
    assert lost.sent is False


def test_a_ca_bundle_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that the environment names is what counts, and nothing that libcurl was built with."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(SELF_SIGNED))
    curl = CurlTransport()
    with chaos(OK, tls=True) as server:
        answer = outcome(curl, wire(f"{server.url}/x"))
    curl.close()
    assert answer.status == 200


def test_a_port_that_speaks_no_tls(curl: CurlTransport) -> None:
    """The message names the way out."""
    with chaos(OK) as server:
        lost = outcome(curl, wire(server.url.replace("http:", "https:") + "/x"))
    assert "the server does not speak TLS" in lost.reason
    assert lost.sent is False


@pytest.mark.parametrize(
    ("act", "said", "kind"),
    [
        (resets(), "the connection was reset", NoAnswer),
        (says(), "the connection was reset", NoAnswer),
        (says(b"HTTP/1.1 200 OK\r\nConte"), "the connection was reset", NoAnswer),
        (hangs(), "nothing came for 0.2 s", NoAnswer),
        (hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"), "nothing came for 0.2 s", NoAnswer),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"), "broke in the middle of the response", BodyCut),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "broke in the middle", BodyCut),
    ],
)
def test_what_is_lost_once_it_was_sent(curl: CurlTransport, act: Any, said: str, kind: type) -> None:
    """A submit may have been received; it is never sent again by libcurl, on an old connection or a new one."""
    with chaos(OK, act) as server:
        outcome(curl, wire(f"{server.url}/x"))
        lost = outcome(curl, wire(f"{server.url}/x", "POST", body=b"{}", timeout=(1.0, 0.2)))
        assert (type(lost), lost.sent, len(server.heads), server.connections) == (kind, True, 2, 2)
    assert said in lost.reason


def test_a_question_on_a_connection_that_was_closed_goes_out_again(curl: CurlTransport) -> None:
    """The server closed it between two requests; the caller does not notice."""
    with chaos(OK, says(), OK) as server:
        outcome(curl, wire(f"{server.url}/x"))
        assert outcome(curl, wire(f"{server.url}/x")).status == 200
        assert (len(server.heads), server.connections) == (3, 2)


# -- who may hear it --------------------------------------------------------------------------------------------------


def test_who_strays_is_not_even_connected_to(curl: CurlTransport) -> None:
    """An address of this network that a server on the public net has named."""
    with chaos(OK) as server:
        lost = outcome(curl, wire(f"{server.url}/x", strays=lambda url, peer: f"at {peer.nearness}"))
        assert (type(lost), lost.reason, lost.sent) == (UnsafeHop, "at 0", False)
        assert server.connections == 0


def test_a_connection_that_stands_is_looked_at_again(curl: CurlTransport) -> None:
    """Another account's question may not go where this one's went; a question without a key may."""
    with chaos(OK) as server:
        outcome(curl, wire(f"{server.url}/x"))
        exposes: Callable[[str, Any], str] = lambda url, peer: "in the clear"  # noqa: E731
        lost = outcome(curl, wire(f"{server.url}/x", exposes=exposes))
        assert (type(lost), lost.reason) == (Misconfigured, "in the clear")
        assert outcome(curl, wire(f"{server.url}/x", exposes=exposes, secret={})).status == 200
        assert len(server.heads) == 2


# -- proxies ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the variables of the way; a transport looks at them when it first asks an origin."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.mark.parametrize("target", ["/x", "/%2f"])
def test_a_proxy_is_told_the_whole_url(curl: CurlTransport, proxied: Callable[..., None], target: str) -> None:
    """Plain http goes through it as it is; the user and the password are the proxy's own."""
    with chaos(OK) as proxy:
        proxied(http_proxy=proxy.url.replace("//", "//me:pw@"))
        assert outcome(curl, wire(f"http://api.acme.example{target}")).status == 200
        assert proxy.heads[0].startswith(f"GET http://api.acme.example{target} HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic bWU6cHc=" in proxy.heads[0]


@pytest.mark.parametrize("variables", [{}, {"NO_PROXY": "acme.example"}, {"NO_PROXY": "*"}])
def test_no_proxy(curl: CurlTransport, proxied: Callable[..., None], variables: dict[str, str]) -> None:
    """It is vidpoll that reads the environment: this machine's own servers are reached without, and what is named."""
    with chaos(OK) as proxy, chaos(OK) as server:
        proxied(http_proxy=proxy.url, **variables)
        assert outcome(curl, wire(f"{server.url}/x")).status == 200
        assert (len(server.heads), proxy.heads) == (1, [])
        if variables:
            lost = outcome(curl, wire(f"http://{NOWHERE}/x"))
            assert (lost.reason, proxy.heads) == ("the host name could not be looked up", [])


def test_what_a_proxy_is_told_holds_no_key(curl: CurlTransport, proxied: Callable[..., None]) -> None:
    """CONNECT is sent without the headers of the request; if the proxy refuses, nothing was sent."""
    with chaos(answers(b"", status=407)) as proxy:
        proxied(https_proxy=proxy.url)
        lost = outcome(curl, wire("https://api.acme.example/x", "POST", body=b"{}"))
        assert proxy.heads[0].startswith("CONNECT api.acme.example:443 HTTP/1.1\r\n")
        assert KEY not in proxy.heads[0]
    assert lost.reason == (
        "the proxy did not let the request through (it requires a user and a password): write them in "
        "https_proxy, like http://USER:PASSWORD@HOST:PORT"
    )
    assert lost.sent is False


def test_a_proxy_that_is_not_there(curl: CurlTransport, proxied: Callable[..., None]) -> None:
    """The message names the variable."""
    proxied(http_proxy=f"http://127.0.0.1:{free_port()}")
    lost = outcome(curl, wire("http://api.acme.example/x"))
    assert (
        lost.reason
        == "the proxy did not let the request through (the connection was refused): http_proxy names the proxy"
    )
    assert lost.sent is False


def test_a_proxy_that_is_no_url(curl: CurlTransport, proxied: Callable[..., None]) -> None:
    """Told before anything is sent."""
    proxied(http_proxy="carrier-pigeon://127.0.0.1:9")
    lost = outcome(curl, wire("http://api.acme.example/x"))
    assert isinstance(lost, Misconfigured)
    assert "has an unknown scheme" in lost.reason


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_goes_to_its_sink(curl: CurlTransport) -> None:
    """Piece by piece; Range is sent, `start` sees the head, the response has no body."""
    body, heads = bytearray(), []

    def start(head: vidpoll.Response) -> Any:
        heads.append((head.status, head.headers["content-range"]))
        return body.extend

    told = "Content-Range: bytes 2-9/10\r\n"
    with chaos(answers(b"23456789", status=206, head=told)) as server:
        answer = outcome(curl, wire(f"{server.url}/v.mp4", headers={"Range": "bytes=2-"}), start)
        assert "range: bytes=2-" in head_of(server)
        assert "accept: */*" in head_of(server)
    assert (answer.status, answer.body, bytes(body), heads) == (206, b"", b"23456789", [(206, "bytes 2-9/10")])


@pytest.mark.parametrize("where", ["start", "sink"])
def test_what_a_sink_raises_is_its_own(curl: CurlTransport, where: str) -> None:
    """A full disk must not pass for the network's."""

    def fails(*given: object) -> Any:
        raise OSError(28, "full")

    with chaos(answers(b"1234")) as server:
        failed = outcome(curl, wire(f"{server.url}/v.mp4"), fails if where == "start" else lambda head: fails)
    assert (type(failed), failed.errno) == (OSError, 28)


def test_a_slow_sink_holds_nobody_else(curl: CurlTransport) -> None:
    """It has a thread of its own, and libcurl reads no further until it is ready."""
    go, inbox = threading.Event(), queue.Queue[Any]()
    with chaos(answers(b"x" * 5_000_000)) as files, chaos(OK) as server:
        ticket = curl.begin(wire(f"{files.url}/v.mp4"), inbox, lambda head: lambda piece: go.wait(5))
        for _ in range(3):
            assert outcome(curl, wire(f"{server.url}/x")).status == 200
        assert inbox.empty()
        go.set()
        assert inbox.get(timeout=10) is ticket
    assert ticket.outcome.status == 200


def test_a_file_is_given_up(curl: CurlTransport) -> None:
    """Aborted from another thread, it ends, whatever the server does."""
    inbox, begun = queue.Queue[Any](), threading.Event()
    with chaos(hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1")) as server:
        ticket = curl.begin(
            wire(f"{server.url}/v.mp4", timeout=(9.0, 9.0)), inbox, lambda head: lambda piece: begun.set()
        )
        assert begun.wait(5)
        curl.abort(ticket)
    assert (ticket.aborted, inbox.empty()) == (True, True)


# -- the plugin -------------------------------------------------------------------------------------------------------


def test_a_client_takes_it_by_name() -> None:
    """With or without discovery of plugins, it is loaded for a client that names it."""
    with vidpoll.Client(transport="curl", discover=False) as client:
        assert isinstance(client._transport, CurlTransport)
        assert [report.name for report in client.plugins] == ["curl"]


def test_without_pycurl(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what to install."""
    monkeypatch.setitem(sys.modules, "pycurl", None)
    with pytest.raises(vidpoll.ConfigurationError) as raised:
        vidpoll.Client(transport="curl", discover=False)
    assert str(raised.value) == (
        "the transport curl needs pycurl, which cannot be imported (ModuleNotFoundError): pip install pycurl"
    )


@pytest.mark.parametrize(
    ("bits", "lacking"),
    [
        (0, "TLS and HTTP/2 and lookups that do not block"),
        (~pycurl.VERSION_HTTP2, "HTTP/2"),
        (~pycurl.VERSION_SSL, "TLS"),
    ],
)
def test_a_libcurl_without(monkeypatch: pytest.MonkeyPatch, bits: int, lacking: str) -> None:
    """One line that says what to install."""
    known = pycurl.version_info()
    monkeypatch.setattr(pycurl, "version_info", lambda: (*known[:4], known[4] & bits, *known[5:]))
    with pytest.raises(vidpoll.ConfigurationError, match=f"^the transport curl needs {lacking}, .* pip install"):
        vidpoll_curl.curl_transport()
