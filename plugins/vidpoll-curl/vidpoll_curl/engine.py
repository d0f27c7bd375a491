"""A multi handle of libcurl and the sockets that it waits for: any number of exchanges in one thread.

The thread calls `turn` again and again. Other threads may call only `do` and `wake`.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pycurl

from vidpoll.faults import NoAnswer

from .easy import Easy
from .exchange import Exchange
from .poller import poller

HOST_CONNECTIONS = 512
"""The most connections to one host; HTTP/2 needs one or two."""

CROWD, GATHER, HOLD = 16, 0.002, 0.2
"""With more than CROWD exchanges in progress, the engine gathers events for GATHER seconds and handles them together.
It waits until the earlier responses are read, for at most HOLD seconds.

The thread of the loop and this thread share the interpreter's lock. Each callback of libcurl takes the lock again, and
waits five milliseconds for it while the other thread works: ten thousand jobs would be late by seconds. The two threads
therefore work in turns.
"""

IDLE = 256
"""The most handles that are kept for further requests."""


class Engine:
    """Exchanges in progress, each with a handle. `turn` waits until something happens, and handles it."""

    def __init__(self) -> None:
        self._closed = True
        self.busy: dict[Any, Easy] = {}
        """Handles in use, by Curl object."""
        self._idle: list[Easy] = []
        self._ended: list[Exchange] = []
        self._wanted: deque[Callable[[], object]] = deque()
        self._told: set[Any] = set()
        """The inboxes with responses that may not be read yet."""
        self._silent_at = math.inf
        self._stirred: dict[int, float] = {}
        """By socket, the time of its last activity: libcurl reports a head only by whole lines."""
        self._poller = poller()
        self._ear, self._bell = socket.socketpair()
        self._rung = False
        for end in (self._ear, self._bell):
            end.setblocking(False)
        self._ear_fd = self._ear.fileno()
        self._poller.watch(self._ear_fd, pycurl.POLL_IN)
        self.multi = multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS)
        multi.setopt(pycurl.M_MAXCONNECTS, HOST_CONNECTIONS)
        multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, _most())
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._poller.told)

        self._closed = False

    def begin(self, exchange: Exchange) -> None:
        """Send a request; a later `turn` calls `exchange.done`, when there is an outcome."""
        easy = self._idle.pop() if self._idle and exchange.can_be_again else Easy()
        if not exchange.begin(easy):
            self._ended.append(exchange)
            return
        self.busy[easy.curl] = easy
        self._silent_at = min(self._silent_at, exchange.looked_at)
        self.multi.add_handle(easy.curl)

    def drop(self, exchange: Exchange) -> None:
        """Forget an exchange; its connection is closed if a transfer was in progress on it."""
        for curl, easy in list(self.busy.items()):
            if easy.exchange is exchange:
                del self.busy[curl]
                self.multi.remove_handle(curl)

    def turn(self, most: float) -> None:
        """Wait until something happens, at most `most` seconds, and handle it."""
        for fd, ready in self._wait(most):
            self._stirred[fd] = monotonic()
            self.multi.socket_action(fd, ready)
        if self.multi.timeout() == 0:  # no timer callback: each callback costs a turn of the interpreter's lock
            self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._finish()
        if self._silent_at <= (now := monotonic()):
            self._give_up(now)
        ended, self._ended = self._ended, []
        for exchange in ended:
            exchange.done(exchange)
            if len(self.busy) > CROWD:
                self._told.add(exchange.ticket.inbox)

    def _wait(self, most: float) -> list[tuple[int, int]]:
        """Wait, run the calls from other threads, and return libcurl's sockets that are ready."""
        timer = self.multi.timeout()
        wait = min(most, self._silent_at - monotonic(), math.inf if timer < 0 else timer / 1000)
        found = self._poller.wait(0.0 if self._ended else max(0.0, wait))
        if len(self.busy) > CROWD:
            self._gather(len(found))
            found = self._poller.wait(0.0)
        if any(fd == self._ear_fd for fd, _ in found):
            self._hear()
            found = [each for each in found if each[0] != self._ear_fd]
        while self._wanted:  # after the bell was reset: a later call from another thread rings it again
            self._wanted.popleft()()
        return found

    def _gather(self, ready: int) -> None:
        """Let more events arrive if few sockets are `ready`, and let the other threads read their responses.

        A thread that works meanwhile would only wait for this one.
        """
        until, wanted = monotonic() + HOLD, len(self._wanted) if ready > CROWD else -1
        while monotonic() < until and (wanted != len(self._wanted) or self._unread()):
            wanted = len(self._wanted)
            sleep(GATHER)
        self._told.clear()  # their readers may be gone

    def _unread(self) -> bool:
        self._told = {inbox for inbox in self._told if not inbox.empty()}
        return bool(self._told)

    @property
    def idle(self) -> bool:
        """Whether no exchange is in progress, and no call is queued."""
        return not self.busy and not self._wanted and not self._ended

    def do(self, what: Callable[[], object]) -> None:
        """Make the engine's thread call `what`. Any thread may call this."""
        self._wanted.append(what)
        self.wake()

    def wake(self) -> None:
        """Make `turn` return. Any thread may call this."""
        if not self._rung:
            self._rung = True
            with contextlib.suppress(OSError):  # the socket is full, or closed
                self._bell.send(b"\0")

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, and forget the exchanges in progress."""
        if self._closed:
            return
        self._closed = True
        for curl in self.busy:
            self.multi.remove_handle(curl)
        self.busy.clear()
        self._idle.clear()
        self.multi.close()
        self._poller.close()
        self._ear.close()
        self._bell.close()

    def fail(self, why: NoAnswer) -> None:
        """End all exchanges in progress."""
        for curl, easy in list(self.busy.items()):
            easy.exchange.failed = why
            self._over(curl, 0, "")

    def _hear(self) -> None:
        with contextlib.suppress(OSError):
            self._ear.recv(64)
        self._rung = False

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
            self._ended.append(exchange)

    def _drips(self, curl: Any, exchange: Exchange, now: float) -> bool:
        """Whether a part of a line of the response's head has arrived meanwhile."""
        if exchange.connected and exchange.head is None:
            stirred = self._stirred.get(curl.getinfo(pycurl.ACTIVESOCKET), 0.0)
            exchange.heard_at = max(exchange.heard_at, stirred)
        return exchange.silent_at > now

    def _give_up(self, now: float) -> None:
        """End the exchanges that have been silent for too long."""
        for curl, easy in list(self.busy.items()):
            if easy.exchange.silent_at <= now and not self._drips(curl, easy.exchange, now):
                self._over(curl, pycurl.E_OPERATION_TIMEDOUT, "")
        self._silent_at = min((_look(easy.exchange, now) for easy in self.busy.values()), default=math.inf)


def _look(exchange: Exchange, now: float) -> float:
    """The time of the next check whether an exchange must be given up."""
    return exchange.looked_at if exchange.looked_at > now else exchange.silent_at


def _most() -> int:
    """The most connections at once: three quarters of the files that this process may open, from 32 to 4096."""
    try:
        import resource
    except ImportError:  # Windows
        return 4096
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft == resource.RLIM_INFINITY else max(32, min(4096, soft * 3 // 4))
