"""The head of an answer before http.client reads it, and sockets that another thread shuts."""

from __future__ import annotations

import contextlib
import http.client
import io
import queue
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from raw_server import SELF_SIGNED
from urllib3.util.ssltransport import SSLTransport

from vidpoll.faults import NoAnswer
from vidpoll.net.sockets import MAX_FIELDS, MAX_LINE, Guarded, Sockets, read_head
from vidpoll.net.workers import Ticket

OK = b"HTTP/1.1 200 OK\r\n"


def head(raw: bytes) -> bytes:
    """What http.client is given of a head."""
    return b"".join(reversed(read_head(io.BytesIO(raw).readline)))


@pytest.mark.parametrize(
    ("raw", "given"),
    [
        (OK + b"X-A: b\r\n\r\n{}", OK + b"X-A: b\r\n\r\n"),
        (b"HTTP/1.0 200\nX-A: b\n\n", b"HTTP/1.0 200\r\nX-A: b\r\n\n"),
        (OK + b"X-A: b\r\n c\r\n\t d\r\n\r\n", OK + b"X-A: b c d\r\n\r\n"),
        (OK + b" X-A: b\r\nX-C: d\r\n\r\n", OK + b"X-C: d\r\n\r\n"),
        (OK + b"none\r\n X-A: b\r\nX-C: d\r\n\r\n", OK + b"X-C: d\r\n\r\n"),
        (OK + b"X A: b\r\nX-C: d\r\n\r\n", OK + b"X-C: d\r\n\r\n"),
        (OK + b": b\r\nX-C: d\r\n\r\n", OK + b"X-C: d\r\n\r\n"),
        (OK + b"X-A: b\rc\r\n\r\n", OK + b"X-A: b c\r\n\r\n"),
        (OK + b"X-A: b\r\n \r\nX-C: d\r\n\r\n", OK + b"X-A: b \r\nX-C: d\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: x\r\n\r\n" + OK + b"\r\n", OK + b"\r\n"),
        (b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n", b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n"),
        (OK + b"X: y\r\n" * MAX_FIELDS + b"\r\n", OK + b"X: y\r\n" * MAX_FIELDS + b"\r\n"),
    ],
)
def test_a_head_is_put_in_order(raw: bytes, given: bytes) -> None:
    """What announces a head is passed over, what is folded is one line, what is no field is left out."""
    assert head(raw) == given


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200",
        OK,
        OK + b"X: y",
        OK + b"X: y\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        OK + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n",
        OK + b"none\r\n" * (MAX_FIELDS + 1) + b"\r\n",
        OK + b"X: " + b"y" * MAX_LINE + b"\r\n\r\n",
    ],
    ids=lambda raw: str(raw)[:40],
)
def test_a_head_that_is_not_whole_is_none(raw: bytes) -> None:
    """Cut before its empty line, or longer than a head may be."""
    with pytest.raises(http.client.RemoteDisconnected):
        head(raw)


@pytest.mark.parametrize(
    "said", [b"", b"\x1f103", b" +103", b" 1_03", b"\xa0103", b" 103x", b" 1\xb23", b" 99", b" 2000"]
)
def test_a_head_without_a_status_is_none(said: bytes) -> None:
    """http.client reads some of them as 103: an answer of its own, and the answer after it that of the next request."""
    with pytest.raises(http.client.BadStatusLine):
        head(b"HTTP/1.1" + said + b" X\r\n\r\n" + OK + b"\r\n")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(2)
        yield ours, theirs


def test_the_body_is_handed_on_as_it_is(pair: tuple[socket.socket, socket.socket]) -> None:
    """A line of it need be no field; but the size of a chunk is not negative."""
    pair[1].sendall(OK + b"\r\nnone\n-5\r\n \t-5\r\n")
    with Guarded(pair[0], Sockets()).makefile("rb") as answer:
        assert [answer.readline() for _ in range(3)] == [OK, b"\r\n", b"none\n"]
        for _ in range(2):
            with pytest.raises(http.client.HTTPException, match="of negative size"):
                answer.readline()


@pytest.mark.parametrize("start", [b"", b"5;", b"0\r\nX:"], ids=["size", "extension", "trailer"])
def test_a_line_of_the_framing_has_a_bound(pair: tuple[socket.socket, socket.socket], start: bytes) -> None:
    """urllib3 before 2.8 reads the size of a chunk, and a trailer, to the end of the line, wherever that is."""
    sender = threading.Thread(target=pair[1].sendall, args=(OK + b"\r\n" + start + b"0" * (MAX_LINE + 1),))
    sender.start()
    with Guarded(pair[0], Sockets()).makefile("rb") as answer:
        lines = iter(answer.readline, b"")
        with pytest.raises(http.client.HTTPException, match="more than 64 KiB"):
            list(lines)
    sender.join()


@pytest.mark.parametrize("wrapped", [False, True], ids=["a TLS socket", "TLS in TLS, as an HTTPS proxy needs it"])
def test_a_tls_connection_that_is_shut_stays_encrypted(
    pair: tuple[socket.socket, socket.socket], wrapped: bool
) -> None:
    """A thread that sends just then gets an error; nothing goes out in the clear."""
    here, there = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    here.check_hostname, here.verify_mode = False, ssl.CERT_NONE
    there.load_cert_chain(SELF_SIGNED)
    server = threading.Thread(target=lambda: there.wrap_socket(pair[1], server_side=True).close())
    server.start()
    tls = SSLTransport(pair[0], here) if wrapped else here.wrap_socket(pair[0])
    server.join()
    sockets = Sockets()
    with contextlib.closing(tls):
        sockets.add(tls)
        sockets.shut()
        assert tls.version() is not None
        with pytest.raises((BrokenPipeError, ssl.SSLError)):
            tls.sendall(b"Authorization: Bearer sk")


def test_a_thread_is_ended_by_its_ticket(pair: tuple[socket.socket, socket.socket]) -> None:
    """Its sockets are shut: those that stand, and the one that stands only after the end."""
    sockets, ticket = Sockets(), Ticket(lambda ticket: None, queue.Queue())
    sockets.begin(ticket)
    sockets.add(pair[0])
    assert ticket.shut is not None
    ticket.shut()
    assert pair[0].recv(1) == b""
    late, other = socket.socketpair()
    with late, other:
        late.settimeout(2)
        sockets.add(late)
        assert late.recv(1) == b""


def test_an_aborted_ticket_is_not_begun() -> None:
    """It is certain that nothing was sent."""
    ticket = Ticket(lambda ticket: None, queue.Queue())
    ticket.aborted = True
    with pytest.raises(NoAnswer, match="aborted") as caught:
        Sockets().begin(ticket)
    assert caught.value.sent is False


def test_a_socket_that_is_gone_is_forgotten(pair: tuple[socket.socket, socket.socket]) -> None:
    """A thread that connects a thousand times holds no thousand sockets."""
    sockets = Sockets()
    for _ in range(3):
        for gone in socket.socketpair():
            sockets.add(gone)
            gone.close()
            del gone
    sockets.add(pair[0])
    assert [each() for each in sockets._open] == [pair[0]]
