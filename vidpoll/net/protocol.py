"""What vidpoll needs from the network: a `Transport`, or a `Sender`, which threads turn into a Transport. Types only.

The loop hands a request to the transport and gets the complete response through its inbox. The transport is free to use
threads or one multiplexer.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from typing import Any, Protocol

from ..model import Response
from .accounts import WireRequest
from .workers import Ticket

Sink = Callable[[memoryview], object]
"""Takes a piece of a body. The piece is valid only until the sink returns."""

Start = Callable[[Response], Sink | None]
"""Takes the head of a response and returns the sink for its body, or None."""


class Transport(Protocol):
    """What the loop needs from the network. Threads may share it."""

    @property
    def spare(self) -> int:
        """How many more requests would begin without waiting."""
        ...

    def begin(self, wire: WireRequest, inbox: Queue[Any], start: Start | None = None) -> Ticket:
        """Begin a request and return its ticket. `inbox` gets the ticket, with a Response or an exception.

        With `start` the request is a `fetch`, which may run and block in any thread except the caller's. Raises
        Misconfigured if this machine cannot begin a request, RuntimeError after `close`.
        """
        ...

    def abort(self, ticket: Ticket) -> None:
        """Drop a request: nothing comes back, its connection is shut. `ticket.aborted` stays False if it was over."""
        ...

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        """Send as `Sender.send` does, in the calling thread; allowed after `close`."""
        ...

    def close(self) -> None:
        """Begin no more requests."""
        ...


class Sender(Protocol):
    """One request in the calling thread; several threads call it at once."""

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        """Send, follow redirects of GET and HEAD, and read the response to its end. Raises NoAnswer."""
        ...

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> Response:
        """Like `send`, but a 2xx body goes piece by piece to the sink of `start(head)`.

        If `start` returns None, the body is read as by `send`. Only the sink bounds the body that it gets. Raises
        NoAnswer, and what `start` or the sink raises.
        """
        ...
