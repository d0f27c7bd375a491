"""What vidpoll needs of the network: a `Transport`, or a `Sender`, which threads make one of. Types only.

The loop hands a request to the transport and gets a whole answer back through its inbox. Whether threads or one
multiplexer bring it is the transport's own business.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from typing import Any, Protocol

from ..model import Response
from .accounts import WireRequest
from .workers import Ticket

Sink = Callable[[memoryview], object]
"""Takes a piece of a body; what it is handed is only good until it returns."""

Start = Callable[[Response], Sink | None]
"""Takes the head of an answer and gives the sink of its body, or None."""


class Transport(Protocol):
    """What the loop needs of the network. Threads may share it."""

    @property
    def spare(self) -> int:
        """How many more requests would be begun at once."""
        ...

    def begin(self, wire: WireRequest, inbox: Queue[Any], start: Start | None = None) -> Ticket:
        """Begin a request; its ticket comes back through `inbox`, with a Response or what a `Sender` raises.

        With `start` it is a `fetch`, which may run in any thread but the caller's, and block there. Raises
        Misconfigured where this machine begins no request, RuntimeError after `close`.
        """
        ...

    def abort(self, ticket: Ticket) -> None:
        """Forget a request: nothing comes back, its connection is shut. `ticket.aborted` is False where it was over."""
        ...

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        """As that of a `Sender`, in the calling thread; after `close` too."""
        ...

    def close(self) -> None:
        """Begin no more requests."""
        ...


class Sender(Protocol):
    """One request in the calling thread; several threads call it at once."""

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        """Send, follow redirects of GET and HEAD, read to the end. Raises NoAnswer."""
        ...

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> Response:
        """Like `send`, but a 2xx body goes piece by piece to what `start(head)` returns; None reads it as `send` does.

        A body that goes to a sink is bounded by the sink alone. Raises NoAnswer, and what `start` or the sink raise.
        """
        ...
