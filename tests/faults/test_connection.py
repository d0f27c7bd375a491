"""Connections that refuse, break, hang or drip: time is lost, never the job, and the deadline holds.

Real sockets, real (short) time. What a wait loses is one try; what a submit and a delete make of it is told as well.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from acme_provider import Plugin
from provider_cases import CASES, Case, each_provider, quick, real_client
from raw_server import SELF_SIGNED, Act, Chaos, answers, chaos, drips, floods, free_port, hangs, resets, says

import vidpoll

pytestmark = pytest.mark.usefixtures("transport")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOUND = 0.2
"""Seconds that one request may take (connect + read) where a fault has to run into it."""

SLACK = 10.0
"""Seconds for threads to be scheduled on a busy machine: what is bounded here would take longer, or for ever."""

ROOM = (10.0, 10.0)
"""Seconds to connect and to read, of a request that is answered."""


@dataclass(frozen=True)
class Fault:
    """A way for a connection to go wrong: its name, what is served, the reason that is owed to `poll_failed`."""

    name: str
    serves: Callable[[bytes], Act]
    reason: str
    slow: bool = False

    def __str__(self) -> str:
        return self.name


def whole(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunk(body: bytes) -> bytes:
    return b"%x\r\n" % len(body) + body + b"\r\n"


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LOST, BROKE = "the connection was reset", "broke in the middle of the response"
WITHIN = r"no complete response within 0\.2 s"
NO_HTTP = "the response is not HTTP"
NOTHING = r"nothing came for 0\.1 s"

CUT = [
    Fault("closed before the head", lambda body: says(), LOST),
    Fault("reset before the head", lambda body: resets(), LOST),
    Fault("head cut right after 'HTTP/1.1 200'", lambda body: says(b"HTTP/1.1 200"), LOST),
    Fault("head cut after the status line", lambda body: says(b"HTTP/1.1 200 OK\r\n"), LOST),
    Fault("head cut in the middle of a header", lambda body: says(HEAD + b"Content-Le"), LOST),
    Fault("head cut between two headers", lambda body: says(HEAD + b"Content-Length: 0\r\n"), LOST),
    Fault(
        "head cut after '100 Continue'", lambda body: says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), LOST
    ),
    Fault("reset in the head", lambda body: resets(HEAD), LOST),
    Fault("body cut, length told", lambda body: says(HEAD + b"Content-Length: 99999\r\n\r\n" + body), BROKE),
    Fault("body cut, length not told", lambda body: says(HEAD + b"\r\n" + body[: len(body) // 2]), "not JSON"),
    Fault("body cut to nothing, length not told", lambda body: says(HEAD + b"\r\n"), "empty body"),
    Fault("reset in the body", lambda body: resets(HEAD + b"Content-Length: 99999\r\n\r\n" + body), BROKE),
    Fault("cut in a chunk", lambda body: says(CHUNKED + chunk(body)[:-9]), BROKE),
    Fault("cut between chunks", lambda body: says(CHUNKED + chunk(body)), BROKE),
    Fault("cut in the size of a chunk", lambda body: says(CHUNKED + chunk(body) + b"1"), BROKE),
    Fault("compressed body cut", lambda body: says(gzipped(body)), "compressed body was cut"),
]
STRANGE = [
    Fault("another protocol", lambda body: says(b"SSH-2.0-OpenSSH_9.6\r\n"), NO_HTTP),
    Fault("bytes that are no protocol", lambda body: says(b"\x00\xff\x16\x03" * 64), NO_HTTP),
    Fault("a header of a megabyte", lambda body: says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000), LOST),
    Fault("headers without end", lambda body: floods(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), LOST),
    Fault(
        "two lengths that contradict each other",
        lambda body: says(HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n" + body),
        "the request failed",
    ),
    Fault("a chunk size that is no number", lambda body: says(CHUNKED + b"zz\r\n" + body), BROKE),
    Fault("a chunk that says it is a terabyte", lambda body: says(CHUNKED + b"ffffffffff\r\n" + body), BROKE),
    Fault(
        "a coding that was not asked for",
        lambda body: says(HEAD + b"Content-Encoding: br\r\n\r\n\x0b\x80" + body[::-1]),
        "not JSON",
    ),
]
SLOW = [
    Fault("a hang before the head", lambda body: hangs(), NOTHING, slow=True),
    Fault("a hang in the head", lambda body: hangs(b"HTTP/1.1 200 OK\r\nContent-"), NOTHING, slow=True),
    Fault(
        "a hang in the body", lambda body: hangs(HEAD + b"Content-Length: 999\r\n\r\n" + body[:9]), NOTHING, slow=True
    ),
    Fault("a status line that drips for ever", lambda body: drips(b"HTTP/1.1 200 O", b"K"), WITHIN, slow=True),
    Fault("headers that drip for ever", lambda body: drips(b"HTTP/1.1 200 OK\r\nX: ", b"y"), WITHIN, slow=True),
    Fault("'100 Continue' for ever", lambda body: drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), WITHIN, slow=True),
    Fault("a body that drips for ever", lambda body: drips(HEAD + b"\r\n"), WITHIN, slow=True),
    Fault("chunks that drip for ever", lambda body: drips(CHUNKED, b"1\r\n \r\n"), WITHIN, slow=True),
    Fault(
        "trailers that drip for ever",
        lambda body: drips(CHUNKED + chunk(body) + b"0\r\n", b"X: y\r\n"),
        WITHIN,
        slow=True,
    ),
]
FAULTS = [*CUT, *STRANGE, *SLOW]
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=str)


def gzipped(body: bytes) -> bytes:
    packed = gzip.compress(body)[:-9]
    return HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed


def good(case: Case) -> bytes:
    return json.dumps(case.completed).encode()


@contextmanager
def first_bounded(fault: Fault, case: Case, url: str, **options: Any) -> Iterator[vidpoll.Client]:
    """A client whose first request runs into the bound of the fault; those after it have room, on a busy machine too.

    For silence only the bound to read is small, for a drip almost all of the whole one: so it is clear which is met.
    """
    with real_client(case, url, **options) as client:
        loop = client._loop
        begin = loop.transport.begin

        def send(wire: Any, inbox: Any) -> Any:
            loop.http_timeout = ROOM
            return begin(wire, inbox)

        loop.http_timeout = (
            ROOM if not fault.slow else (ROOM[0], 0.1) if fault.reason == NOTHING else (0.05, BOUND - 0.05)
        )
        loop.transport.begin = send  # type: ignore[method-assign]
        yield client


def transient_errors(events: list[vidpoll.Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, vidpoll.PollFailed)]


# -- a wait -----------------------------------------------------------------------------------------------------------


@each_provider
@each_fault
def test_a_wait_loses_one_try_and_never_the_job(fault: Fault, case: Case) -> None:
    """The fault is told once as `PollFailed`, and the next answer completes the job."""
    events: list[vidpoll.Event] = []
    with chaos(fault.serves(good(case)), answers(case.completed)) as server:
        with first_bounded(fault, case, server.url) as client:
            job = client.wait(case.ref, timeout=20, on_event=events.append)
    assert job.ok
    assert [type(event).__name__ for event in events] == ["PollFailed", "Completed"]
    assert re.search(fault.reason, transient_errors(events)[0]), transient_errors(events)


@each_fault
def test_the_deadline_holds(fault: Fault) -> None:
    """Whatever the server does, wait(timeout=t) ends by t + connect + read: unknown, with the way back."""
    case = CASES[0]
    with chaos(fault.serves(good(case))) as server:
        with real_client(case, server.url, bound=BOUND) as client:
            begun = time.monotonic()
            with pytest.raises(vidpoll.WaitTimeout, match="vidpoll wait") as caught:
                client.wait(case.ref, timeout=0.05)
            took = time.monotonic() - begun
    assert took < 0.05 + BOUND + SLACK
    assert caught.value.job.state is None


@pytest.mark.parametrize("fault", [*CUT, *SLOW[::4]], ids=str)
def test_timeout_0_looks_once(fault: Fault) -> None:
    """One request, bounded by connect + read."""
    case = CASES[2]
    with chaos(fault.serves(good(case))) as server:
        with real_client(case, server.url, bound=BOUND) as client:
            begun = time.monotonic()
            with pytest.raises(vidpoll.WaitTimeout):
                client.wait(case.ref, timeout=0)
            took = time.monotonic() - begun
    assert took < BOUND + SLACK
    assert len(server.heads) == 1


@pytest.mark.parametrize("fault", SLOW[::4], ids=str)
def test_stop_ends_a_wait_at_once(fault: Fault) -> None:
    """However long the request might still take."""
    case, stop = CASES[1], threading.Event()
    with chaos(fault.serves(good(case))) as server:
        with real_client(case, server.url, bound=60.0) as client:
            threading.Timer(0.1, stop.set).start()
            begun = time.monotonic()
            with pytest.raises(vidpoll.WaitStopped):
                client.wait(case.ref, timeout=60, stop=stop)
    assert time.monotonic() - begun < 0.1 + SLACK


def test_a_further_question_shares_the_bound_of_the_deadline() -> None:
    """A completed answer whose second answer drips: t + connect + read holds, and the verdict in hand counts."""
    case = CASES[1]
    bare = {name: value for name, value in case.completed.items() if name != "url"}

    def slowly(connection: socket.socket, ended: threading.Event) -> None:
        for piece in (HEAD, b"\r\n", json.dumps(bare).encode()):
            ended.wait(0.4)
            connection.sendall(piece)

    with chaos(Act(slowly), drips(HEAD + b"\r\n")) as server:
        with real_client(case, server.url, bound=2.0) as client:
            begun = time.monotonic()
            job = client.wait(case.ref, timeout=0.1)
            took = time.monotonic() - begun
    assert job.ok
    assert took < 1.2 + 2.0  # the first answer, and a bound of its own for the second


# -- nobody there -----------------------------------------------------------------------------------------------------


@each_provider
def test_a_server_that_restarts_is_waited_for(case: Case) -> None:
    """Connections are refused for a while; the wait goes on and sees the end."""
    port, events, started = free_port(), [], []  # type: ignore[var-annotated]
    timer = threading.Timer(0.3, lambda: started.append(Chaos([answers(case.completed)], port=port)))
    timer.start()
    try:
        with real_client(case, f"http://127.0.0.1:{port}", bound=2.0) as client:
            assert client.wait(case.ref, timeout=20, on_event=events.append).ok
    finally:
        timer.join()
        for server in started:
            server.close()
    assert set(transient_errors(events)) == {"the connection was refused"}
    assert len(transient_errors(events)) >= 2


@pytest.mark.parametrize("transport", ["requests"], indirect=True)  # libcurl does not ask Python for names
@each_provider
def test_a_name_server_that_hangs_does_not_hold_the_caller(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """getaddrinfo has no timeout; it hangs in a worker, the caller moves on at the bound."""
    release = threading.Event()

    def blocks(*args: Any, **kwargs: Any) -> Any:
        release.wait(60)
        raise socket.gaierror("given up")

    monkeypatch.setattr(socket, "getaddrinfo", blocks)
    try:
        with real_client(case, "http://localhost:9", bound=BOUND) as client:
            begun = time.monotonic()
            with pytest.raises(vidpoll.WaitTimeout, match=WITHIN):
                client.wait(case.ref, timeout=0.15)
            assert time.monotonic() - begun < 0.15 + BOUND + SLACK
    finally:
        release.set()


@pytest.mark.parametrize("transport", ["requests"], indirect=True)  # the same
@each_provider
def test_a_name_that_is_not_found_for_a_while(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that fails and recovers costs time."""
    look_up, failures, events = socket.getaddrinfo, [1, 2], []  # type: ignore[var-annotated]

    def fails(*args: Any, **kwargs: Any) -> Any:
        if failures:
            failures.pop()
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(*args, **kwargs)

    with chaos(answers(case.completed)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", fails)
        with real_client(case, server.url, bound=2.0) as client:
            assert client.wait(case.ref, timeout=20, on_event=events.append).ok
    assert transient_errors(events) == ["the host name could not be looked up"] * 2


@each_provider
def test_a_connection_that_went_stale_between_two_questions(case: Case) -> None:
    """A kept connection that is closed before the first byte of an answer: the poll goes out again at once, untold."""
    for closed in (says(), resets()):
        events: list[vidpoll.Event] = []
        with chaos(answers(case.running, keep=True), closed, answers(case.completed)) as server:
            with real_client(case, server.url, bound=2.0) as client:
                assert client.wait(case.ref, timeout=20, on_event=events.append).ok
        assert (transient_errors(events), len(server.heads), server.connections) == ([], 3, 2)


STALE = [
    ("a byte has come", [says(b"H")]),
    ("the fresh connection is closed too", [says(), says()]),
    ("a reset in the head", [resets(HEAD)]),
]


@pytest.mark.parametrize("acts", [acts for _, acts in STALE], ids=[name for name, _ in STALE])
def test_what_is_no_stale_connection_costs_a_try(acts: list[Act], transport: str) -> None:
    """It is told, as ever. libcurl counts whole lines: a question whose answer has none yet goes out again, untold."""
    case, events = CASES[0], list[vidpoll.Event]()
    with chaos(answers(case.running, keep=True), *acts, answers(case.completed)) as server:
        with real_client(case, server.url, bound=2.0) as client:
            assert client.wait(case.ref, timeout=20, on_event=events.append).ok
    untold = transport == "curl" and acts is STALE[0][1]
    assert (transient_errors(events), len(server.heads)) == ([] if untold else [LOST], 2 + len(acts))


# -- TLS --------------------------------------------------------------------------------------------------------------


@each_provider
@pytest.mark.parametrize("tls", [True, False], ids=["a certificate that nobody trusts", "a server that speaks no TLS"])
def test_tls_that_fails_is_an_unknown_outcome(case: Case, tls: bool) -> None:
    """No key is sent, nothing is taken for an answer, and the deadline holds."""
    with chaos(answers(case.completed), tls=tls) as server:
        url = server.url.replace("http:", "https:")
        with real_client(case, url, bound=2.0) as client:
            with pytest.raises(vidpoll.WaitTimeout, match="the TLS connection failed"):
                client.wait(case.ref, timeout=0.3)
    assert server.heads == []


UNTRUSTED = {  # in parentheses OpenSSL's words, of which newer versions have more
    "expired": r"the certificate has expired \(certificate has expired\): check the clock",
    "not-yet": (
        r"the certificate is not valid yet \(certificate is not yet valid( or the system clock is incorrect)?\): "
        "check the clock"
    ),
    "other-host": (
        r"another host \(IP address mismatch, certificate is not valid for '127\.0\.0\.1'\.\): check the address"
    ),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_a_certificate_that_is_not_accepted_is_told_with_its_reason(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has signed it is trusted here; no key is sent all the same."""
    case, certificate = CASES[0], SELF_SIGNED.with_name(f"{name}.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with chaos(answers(case.completed), tls=certificate) as server:
        with real_client(case, server.url, bound=2.0) as client:
            with pytest.raises(vidpoll.WaitTimeout, match=UNTRUSTED[name]):
                client.wait(case.ref, timeout=0)
    assert server.heads == []


def test_a_tls_handshake_that_hangs(transport: str) -> None:
    """Bounded like every other connection. For libcurl it is a part of connecting."""
    late = {
        "requests": r"nothing came for 0\.1 s|no complete response within 0\.2 s",
        "curl": r"no connection within 0\.1 s",
    }
    case = CASES[0]
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        with real_client(case, f"https://127.0.0.1:{listener.getsockname()[1]}", bound=BOUND) as client:
            begun = time.monotonic()
            with pytest.raises(vidpoll.WaitTimeout, match=late[transport]):
                client.wait(case.ref, timeout=0.15)
        assert time.monotonic() - begun < 0.15 + BOUND + SLACK
    finally:
        listener.close()


# -- money ------------------------------------------------------------------------------------------------------------


@each_provider
@pytest.mark.parametrize("fault", [*CUT, *STRANGE, *SLOW[::4]], ids=str)
def test_a_submit_that_may_have_been_received_is_sent_once(fault: Fault, case: Case) -> None:
    """SubmitUnknown with what was sent; never a second POST."""
    kind, fields = case.submit
    with chaos(fault.serves(json.dumps(case.accepted).encode())) as server:
        with first_bounded(fault, case, server.url) as client:
            with pytest.raises(vidpoll.SubmitUnknown, match="not sent again") as caught:
                client.submit(case.name, kind, **fields)
    assert len(server.heads) == 1
    assert caught.value.sent == fields


@each_provider
def test_a_submit_that_nobody_received_is_sent_again(case: Case) -> None:
    """A refused connection is certain: nothing was sent."""
    port, started = free_port(), []
    kind, fields = case.submit
    timer = threading.Timer(0.2, lambda: started.append(Chaos([answers(case.accepted)], port=port)))
    timer.start()
    try:
        with real_client(case, f"http://127.0.0.1:{port}", bound=2.0) as client:
            assert client.submit(case.name, kind, **fields).ref == case.ref
    finally:
        timer.join()
        for server in started:
            server.close()
    assert len(started[0].heads) == 1


@pytest.mark.parametrize("tls", [True, False], ids=["a certificate that nobody trusts", "a server that speaks no TLS"])
def test_a_submit_over_tls_that_fails_bought_nothing(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake comes before the first byte of the request, so the error says that nothing was sent."""
    monkeypatch.setattr("vidpoll.polling.task.ONE_SHOT_PATIENCE", 0.2)
    case = CASES[0]
    kind, fields = case.submit
    with chaos(answers(case.accepted), tls=tls) as server:
        with real_client(case, server.url.replace("http:", "https:"), bound=2.0) as client:
            with pytest.raises(vidpoll.ProviderError, match="Nothing was sent and nothing was bought"):
                client.submit(case.name, kind, **fields)
    assert server.heads == []


@each_provider
def test_a_submit_does_not_go_over_a_connection_that_may_be_stale(case: Case) -> None:
    """A kept connection may be dead, and its reset would look like a lost submit: a POST opens its own."""
    kind, fields = case.submit
    with chaos(answers(case.running, keep=True), answers(case.accepted)) as server:
        with real_client(case, server.url, bound=2.0) as client:
            client.poll(case.ref)
            assert client.submit(case.name, kind, **fields).ref == case.ref
    assert server.connections == 2


@pytest.mark.parametrize("case", [case for case in CASES if case.deletes], ids=lambda case: case.name)
@pytest.mark.parametrize("fault", [*CUT[:8], *STRANGE[:4], *SLOW[:4]], ids=str)
def test_a_delete_without_a_whole_head_is_no_success(fault: Fault, case: Case) -> None:
    """Parsers that ignore the body must not take a cut head for a 200: the delete is sent again."""
    with chaos(fault.serves(b"{}"), answers({"status": 200, "deleted": True, "id": case.job_id})) as server:
        assert case.provider.delete is not None
        careless = vidpoll.Operation(case.provider.delete.request, lambda response, job_id: None)
        provider = replace(quick(case.provider), delete=careless)
        with first_bounded(fault, case, server.url, plugins=[Plugin(provider)]) as client:
            client.delete(case.ref)
    assert [head.split(" ")[0] for head in server.heads] == ["DELETE", "DELETE"]
