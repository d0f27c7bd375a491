"""The transport: one thread with an engine for all requests, and worker threads with an engine each for files.

A file's bytes go to a sink that may be slow. A file therefore has a thread of its own, and delays no other request.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from functools import lru_cache, partial
from queue import Queue
from typing import Any

from vidpoll import Response, redact
from vidpoll.faults import Misconfigured, NoAnswer
from vidpoll.fork_lock import ForkLock
from vidpoll.net.accounts import WireRequest
from vidpoll.net.explain import lost
from vidpoll.net.protocol import Start
from vidpoll.net.workers import NO_THREAD, Ticket, Workers

from .easy import way_to
from .engine import Engine
from .exchange import Exchange

log = logging.getLogger("vidpoll")

SIZE = 1024
"""The most requests in progress at once."""

_inherited: list[object] = []
"""Engines of a parent process. They are never closed here: that would send on the parent's connections."""


class CurlTransport:
    """A transport on libcurl. Threads may share it."""

    def __init__(self) -> None:
        self._closed = False
        self._files = Workers(64)
        self._local = threading.local()
        self._way = lru_cache(64)(way_to)  # by origin; bounded, because each file may have a new host
        self._reset()

    def _reset(self) -> None:
        self._lock = ForkLock()
        self._open: set[Ticket] = set()
        self._done = partial(_finished, self._open)
        self._hub: _Hub | None = None

    @property
    def spare(self) -> int:
        return SIZE - len(self._open)

    def begin(self, wire: WireRequest, inbox: Queue[Any], start: Start | None = None) -> Ticket:
        if self._closed:
            raise RuntimeError("this transport is closed")
        if start is not None:
            return self._files.send(lambda ticket: self.fetch(wire, ticket, start), inbox)
        if self._lock.forked:
            _inherited.append(self._hub)
            self._reset()
        if self._hub is None:
            with self._lock.current:
                self._start()
        hub = self._hub
        assert hub is not None
        ticket = Ticket(hub.drop, inbox)
        self._open.add(ticket)
        hub.engine.do(partial(hub.engine.begin, Exchange(wire, ticket, None, self._way, self._done)))
        return ticket

    def _start(self) -> None:
        if self._hub is not None:
            return
        hub = _Hub(_engine())
        try:
            threading.Thread(target=hub.run, name="vidpoll-curl", daemon=True).start()
        except (RuntimeError, MemoryError):
            hub.engine.close()
            raise Misconfigured(NO_THREAD) from None
        self._hub = hub
        weakref.finalize(self, hub.stop)  # when the transport is collected, and when the process ends

    def abort(self, ticket: Ticket) -> None:
        if ticket not in self._open:
            self._files.abort(ticket)
            return
        if ticket.end():
            ticket.aborted = True
            self._open.discard(ticket)
            if self._lock.forked:  # the parent may send it
                ticket.sent = True
            else:
                ticket.work(ticket)

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        return self._ask(wire, ticket, None)

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> Response:
        """Like `send`; a 2xx body goes to the sink that `start(head)` returns, in the calling thread."""
        return self._ask(wire, ticket, start)

    def close(self) -> None:
        self._closed = True
        self._files.close()
        engine: Engine | None = self._local.__dict__.pop("engine", None)
        if engine is not None and self._local.__dict__.pop("pid") == os.getpid():
            engine.close()  # the engine of this thread
        if self._hub is not None:
            self._hub.stop()

    def _ask(self, wire: WireRequest, ticket: Ticket, start: Start | None) -> Response:
        """Send the request in the calling thread, with that thread's own engine."""
        engine = self._own_engine()
        ticket.shut = engine.wake
        exchange = Exchange(wire, ticket, start, self._way, lambda exchange: None)
        if not ticket.aborted:
            engine.begin(exchange)
        while exchange.outcome is None and not ticket.aborted:
            engine.turn(60.0)
        engine.drop(exchange)
        if exchange.outcome is None:
            raise NoAnswer("aborted", sent=ticket.sent)
        if isinstance(exchange.outcome, BaseException):
            raise exchange.outcome
        return exchange.outcome

    def _own_engine(self) -> Engine:
        local = self._local
        if getattr(local, "pid", None) != os.getpid():
            _inherited.append(getattr(local, "engine", None))
            local.engine, local.pid = _engine(), os.getpid()
        engine: Engine = local.engine
        return engine


def _engine() -> Engine:
    """A new engine. Raises NoAnswer if the process has too many open files."""
    try:
        return Engine()
    except OSError as error:
        raise lost(error, "", (0.0, 0.0), sent=False) from None


def _finished(open_tickets: set[Ticket], exchange: Exchange) -> None:
    ticket = exchange.ticket
    ticket.outcome = exchange.outcome
    if ticket.end():
        ticket.done = True
        open_tickets.discard(ticket)
        ticket.inbox.put(ticket)


class _Hub:
    """The thread that sends all requests, and its engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._stopped = False

    def drop(self, ticket: Ticket) -> None:
        """Make the thread forget the exchange of a ticket."""
        self.engine.do(partial(self._drop, ticket))

    def _drop(self, ticket: Ticket) -> None:
        for easy in list(self.engine.busy.values()):
            if easy.exchange.ticket is ticket:
                self.engine.drop(easy.exchange)

    def stop(self) -> None:
        """Make the thread end, once no request is in progress."""
        self._stopped = True
        self.engine.wake()

    def run(self) -> None:
        engine = self.engine
        while not (self._stopped and engine.idle):
            try:
                engine.turn(60.0)
            except Exception as error:  # noqa: BLE001 - requests in progress fail; the thread continues for later ones
                log.error("the transport curl: %s", redact.trace(error))
                engine.fail(NoAnswer(f"the request failed ({type(error).__name__})"))
        engine.close()
