"""A transport made of threads: each request of a `Sender` runs in its own worker thread."""

from __future__ import annotations

from functools import partial
from queue import Queue
from typing import Any

from .accounts import WireRequest
from .protocol import Sender, Start
from .workers import Ticket, Workers


class Threaded:
    """The transport of a sender, with a bounded set of worker threads."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.send = sender.send
        self.workers = Workers()
        self.abort = self.workers.abort
        self.close = self.workers.close

    @property
    def spare(self) -> int:
        return self.workers.spare

    def begin(self, wire: WireRequest, inbox: Queue[Any], start: Start | None = None) -> Ticket:
        work = partial(self.send, wire) if start is None else lambda ticket: self.sender.fetch(wire, ticket, start)
        return self.workers.send(work, inbox)
