"""A multi handle of libcurl and the sockets that it waits for: as many exchanges as there are, in one thread.

The thread calls `turn` again and again; nothing else of an engine but `wake` may be called in another one.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
from time import monotonic
from typing import Any

import pycurl

from .easy import Easy
from .exchange import Exchange

HOST_CONNECTIONS = 512
"""Connections to one host at most; HTTP/2 needs one or two."""

IDLE = 256
"""Handles that are kept for further requests."""

_EVENTS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


class Engine:
    """Exchanges under way, each with a handle. `turn` waits until something happens and takes it in."""

    def __init__(self) -> None:
        self.busy: dict[Any, Easy] = {}
        """By the Curl object."""
        self._idle: list[Easy] = []
        self._timer_at = self._silent_at = math.inf
        self._selector = selectors.DefaultSelector()
        self._ear, self._bell = socket.socketpair()
        self._rung = False
        for end in (self._ear, self._bell):
            end.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ)
        self.multi = multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS)
        multi.setopt(pycurl.M_MAXCONNECTS, HOST_CONNECTIONS)
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._time)

    def begin(self, exchange: Exchange) -> None:
        """Ask; `exchange.done` is called when there is an outcome, perhaps at once."""
        easy = self._idle.pop() if self._idle and exchange.can_be_again else Easy()
        if not exchange.begin(easy):
            exchange.done(exchange)
            return
        self.busy[easy.curl] = easy
        self._silent_at = min(self._silent_at, exchange.silent_at)
        self.multi.add_handle(easy.curl)

    def drop(self, exchange: Exchange) -> None:
        """Forget an exchange; its connection is closed where it was in the middle of something."""
        for curl, easy in list(self.busy.items()):
            if easy.exchange is exchange:
                del self.busy[curl]
                self.multi.remove_handle(curl)

    def turn(self, most: float) -> None:
        """Wait until something happens, at most so many seconds, and take it in."""
        wait = min(most, self._timer_at - monotonic(), self._silent_at - monotonic())
        for key, mask in self._selector.select(max(0.0, wait)):
            if key.fileobj is self._ear:
                self._hear()
                continue
            ready = pycurl.CSELECT_IN if mask & selectors.EVENT_READ else 0
            ready |= pycurl.CSELECT_OUT if mask & selectors.EVENT_WRITE else 0
            self.multi.socket_action(key.fd, ready)
        now = monotonic()
        if self._timer_at <= now:
            self._timer_at = math.inf
            self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._finish()
        if self._silent_at <= now:
            self._give_up(now)

    def wake(self) -> None:
        """Have `turn` return. For any thread."""
        if not self._rung:
            self._rung = True
            with contextlib.suppress(OSError):  # it is full, or closed
                self._bell.send(b"\0")

    def close(self) -> None:
        """Close all connections. What is under way is forgotten."""
        for curl in self.busy:
            self.multi.remove_handle(curl)
        self.busy.clear()
        self._idle.clear()
        self.multi.close()
        self._selector.close()
        self._ear.close()
        self._bell.close()

    def _hear(self) -> None:
        with contextlib.suppress(OSError):
            self._ear.recv(64)
        self._rung = False

    def _watch(self, event: int, fd: int, multi: Any, data: Any) -> None:
        """libcurl tells which socket it waits for."""
        del multi, data
        known = fd in self._selector.get_map()
        if event == pycurl.POLL_REMOVE:
            if known:
                self._selector.unregister(fd)
        elif known:
            self._selector.modify(fd, _EVENTS[event])
        else:
            self._selector.register(fd, _EVENTS[event])

    def _time(self, milliseconds: int) -> None:
        self._timer_at = math.inf if milliseconds < 0 else monotonic() + milliseconds / 1000

    def _finish(self) -> None:
        more = 1
        while more:
            more, good, bad = self.multi.info_read()
            for curl in good:
                self._over(curl, 0, "")
            for curl, code, said in bad:
                self._over(curl, code, said)

    def _over(self, curl: Any, code: int, said: str) -> None:
        easy = self.busy.pop(curl)
        self.multi.remove_handle(curl)
        exchange = easy.exchange
        again = exchange.over(easy, code, said)
        del easy.exchange
        if len(self._idle) < IDLE and exchange.can_be_again:
            self._idle.append(easy)
        if again:
            self.begin(exchange)
        else:
            exchange.done(exchange)

    def _give_up(self, now: float) -> None:
        """End the exchanges of which nothing is heard."""
        for curl, easy in list(self.busy.items()):
            if easy.exchange.silent_at <= now:
                self._over(curl, pycurl.E_OPERATION_TIMEDOUT, "")
        self._silent_at = min((easy.exchange.silent_at for easy in self.busy.values()), default=math.inf)
