"""A sender becomes a transport by threads; a client takes a transport, a sender or a name."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from acme_provider import ACME, DONE, MP4, REF, Plugin, talk

import vidpoll
from vidpoll.net.accounts import WireRequest
from vidpoll.net.threaded import Threaded
from vidpoll.net.workers import Ticket
from vidpoll.testing import FakeClock, FakeTransport

WIRE = WireRequest("GET", "https://a.example/x", lambda url: True)


def outcome(inbox: queue.Queue[Any], ticket: Ticket) -> Any:
    assert inbox.get(timeout=5) is ticket
    return ticket.outcome


def test_a_request_runs_in_a_thread_of_its_own() -> None:
    """`begin` returns at once; the ticket comes back with the answer, or with what the sender raised."""
    threads: list[str] = []

    class Sender(FakeTransport):
        def send(self, wire: WireRequest, ticket: Ticket) -> vidpoll.Response:
            threads.append(threading.current_thread().name)
            return super().send(wire, ticket)

    transport, inbox = Threaded(Sender([b"1", KeyError("x")])), queue.Queue[Any]()
    assert outcome(inbox, transport.begin(WIRE, inbox)).body == b"1"
    assert isinstance(outcome(inbox, transport.begin(WIRE, inbox)), KeyError)
    assert threads == ["vidpoll-worker"] * 2
    transport.close()
    with pytest.raises(RuntimeError, match="closed"):
        transport.begin(WIRE, inbox)
    with pytest.raises(KeyError):  # and not that: a picture may be wanted after the client is closed
        transport.send(WIRE, Ticket(lambda ticket: None, inbox))


def test_a_file_goes_to_its_sink() -> None:
    """With `start` the body goes where that says, and the answer has none."""
    transport, inbox, body = Threaded(FakeTransport([b"1234"])), queue.Queue[Any](), bytearray()
    ticket = transport.begin(WIRE, inbox, lambda head: body.extend)
    assert (outcome(inbox, ticket).body, bytes(body)) == (b"", b"1234")
    transport.close()


class Immediate:
    """A transport without a thread: the answer is there before `begin` returns."""

    spare = 1

    def __init__(self) -> None:
        self.sender = FakeTransport({"/files/": [(200, {"content-type": "video/mp4"}, MP4)], "": [DONE]})
        self.send = self.sender.send
        self.closed = 0

    def begin(self, wire: WireRequest, inbox: queue.Queue[Any], start: Any = None) -> Ticket:
        ticket = Ticket(lambda ticket: None, inbox)
        ticket.outcome = self.send(wire, ticket) if start is None else self.sender.fetch(wire, ticket, start)
        ticket.end()
        inbox.put(ticket)
        return ticket

    def abort(self, ticket: Ticket) -> None:
        ticket.aborted = ticket.end()

    def close(self) -> None:
        self.closed += 1


class Bringing:
    """A plugin with transports."""

    def __init__(self, makers: Mapping[str, Any]) -> None:
        self.makers = makers

    @vidpoll.hookimpl
    def vidpoll_transports(self) -> Mapping[str, Any]:
        return self.makers


def client(transport: Any, **makers: Any) -> vidpoll.Client:
    accounts = {"acme": vidpoll.Account("acme", key="key-0123456789")}
    plugins = [Plugin(ACME), Bringing(makers)]
    return vidpoll.Client(plugins=plugins, discover=False, clock=FakeClock(), accounts=accounts, transport=transport)


def test_a_whole_transport_serves_the_loop_and_is_closed() -> None:
    """What begins requests by itself gets no threads; a wait and a file go through it, and the client closes it."""
    transport, threads = Immediate(), set(threading.enumerate())
    with client(transport) as user:
        assert user.wait(REF).ok
        assert set(threading.enumerate()) <= threads
    assert transport.closed == 1


@pytest.mark.parametrize("make", [Immediate, lambda: FakeTransport([DONE])], ids=["transport", "sender"])
@pytest.mark.parametrize("named", ["argument", "variable"])
def test_a_plugin_brings_a_transport_by_name(monkeypatch: pytest.MonkeyPatch, make: Any, named: str) -> None:
    """By the argument or by the environment; it is made once for each client."""
    made: list[Any] = []
    monkeypatch.setenv("VIDPOLL_TRANSPORT", "pigeon" if named == "variable" else "nothing known")
    with client("pigeon" if named == "argument" else None, pigeon=lambda: made.append(make()) or made[-1]) as user:
        assert user.wait(REF).ok
    assert len(made) == 1


def test_what_is_passed_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a test's fake stays the fake; an empty variable says nothing, and `requests` is always there."""
    monkeypatch.setenv("VIDPOLL_TRANSPORT", "pigeon")
    assert talk([DONE]).client.wait(REF).ok
    client("requests").close()
    monkeypatch.setenv("VIDPOLL_TRANSPORT", "")
    client(None).close()


@pytest.mark.parametrize(
    ("transport", "said"),
    [
        ("pidgeon", r"no transport 'pidgeon': did you mean 'pigeon'\? known: .*pigeon, requests"),
        ("", r"no transport '': known: .*pigeon, requests"),
        (5, r"transport=5: must be a name, like 'requests' or 'curl', or an object with a send"),
    ],
)
def test_an_unknown_transport(transport: Any, said: str) -> None:
    """A UsageError that names the known ones and the one that may have been meant."""
    with pytest.raises(vidpoll.UsageError, match=said):
        client(transport, pigeon=Immediate)
