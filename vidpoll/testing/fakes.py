"""Fakes of time and network: a clock that only moves when the loop waits, and a transport that plays a script.

    clock = FakeClock()
    wire = FakeTransport([(503, {}, b""), ConnectionResetError(), {"status": "completed", "url": "https://…"}])
    with vidpoll.Client(clock=clock, transport=wire, plugins=[my_provider], discover=False) as client: ...

Standard library only. `ScaledClock` is faster real time, for waits against a simulator of the same speed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from queue import Empty, Queue
from typing import Any, TypeVar

from ..clock import SystemClock
from ..faults import NoAnswer
from ..model import Response
from ..net.accounts import WireRequest
from ..net.explain import BodyTooLarge
from ..net.protocol import Start
from ..net.workers import Ticket

T = TypeVar("T")

Reply = Response | BaseException | tuple[int, Mapping[str, str], bytes] | tuple[int, object] | dict[str, Any] | bytes


class FakeClock:
    """A clock that stands still while a request is under way, and otherwise jumps to the end of each wait.

    `now` is both Unix and monotonic time, in seconds. `waits` has the length of each wait, in order. If a request is
    under way and its fake response does not arrive within `PATIENCE` (10) real seconds, AssertionError is raised.
    """

    PATIENCE = 10.0
    """Real seconds after which a missing fake response is an error."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        try:
            return inbox.get(timeout=self.PATIENCE if busy else 0.0)
        except Empty:
            if busy:
                raise AssertionError("a request is under way, and its fake response did not arrive") from None
            self.waits.append(max(timeout, 0.0))
            self.now += max(timeout, 0.0)
            return None


class ScaledClock:
    """Real time, `speed` times as fast: a wait of 5 seconds takes 5/speed real seconds. Requests take real time."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start = time.monotonic()
        self._unix = time.time()
        self._clock = SystemClock()

    def monotonic(self) -> float:
        return (time.monotonic() - self._start) * self.speed

    def time(self) -> float:
        return self._unix + self.monotonic()

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        return self._clock.get(inbox, timeout / self.speed, busy=busy)


class FakeTransport:
    """Responses from a script: a list for all requests, or a mapping of URL parts to lists. The last response repeats.

    A response is a `Response`, `(status, headers, body)`, `(status, json)`, a dict (200 with that JSON), bytes (200) or
    an exception (`NoAnswer` and `OSError`: no response arrived; `ConnectionRefusedError`: nothing was sent). `sent` has
    every WireRequest, in the order sent.
    """

    def __init__(self, script: Iterable[Reply] | Mapping[str, Iterable[Reply]]) -> None:
        scripts = script if isinstance(script, Mapping) else {"": script}
        self._scripts = {part: list(replies) for part, replies in scripts.items()}
        self._lock = threading.Lock()
        self.sent: list[WireRequest] = []

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        del ticket
        with self._lock:
            self.sent.append(wire)
            reply = self._next(wire.url)
        if isinstance(reply, OSError):
            sent = not isinstance(reply, ConnectionRefusedError)
            raise NoAnswer(f"the connection failed ({type(reply).__name__})", sent=sent)
        if isinstance(reply, BaseException):
            raise reply
        response = _response(reply)
        if len(response.body) > wire.max_body:
            raise BodyTooLarge(f"a body of more than {wire.max_body:,} bytes")
        return response

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> Response:
        response = self.send(wire, ticket)
        sink = start(response) if 200 <= response.status < 300 else None
        if sink is None:
            return response
        sink(memoryview(response.body))
        return Response(response.status, response.headers)

    def close(self) -> None:
        """Does nothing: nothing is open."""

    def _next(self, url: str) -> Any:
        for part, replies in self._scripts.items():
            if part in url and replies:
                return replies[0] if len(replies) == 1 else replies.pop(0)
        raise NoAnswer(f"the script has no response for {url}")


def _response(reply: Any) -> Response:
    if isinstance(reply, Response):
        return reply
    if isinstance(reply, bytes):
        return Response(200, {"content-length": str(len(reply))}, reply)
    if isinstance(reply, tuple) and len(reply) == 3:
        status, headers, body = reply
        return Response(status, {"content-length": str(len(body)), **headers}, body)
    status, value = reply if isinstance(reply, tuple) else (200, reply)
    return Response(int(status), {"content-type": "application/json"}, json.dumps(value).encode())
