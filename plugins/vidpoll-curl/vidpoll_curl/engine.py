"""A multi handle of libcurl and the sockets that it waits for: as many exchanges as there are, in one thread.

The thread calls `turn` again and again; nothing else of an engine but `do` and `wake` may be called in another one.
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
"""Connections to one host at most; HTTP/2 needs one or two."""

CROWD, GATHER, HOLD = 16, 0.002, 0.2
"""With more than so many exchanges under way, what happens within GATHER seconds is taken in at once, and not before
the answers so far are read, for at most HOLD seconds.

The thread of the loop and this one share an interpreter. Each callback of libcurl takes it anew, and waits for five
milliseconds each time if the other one works: ten thousand jobs would be late by seconds. So they work in turns.
"""

IDLE = 256
"""Handles that are kept for further requests."""


class Engine:
    """Exchanges under way, each with a handle. `turn` waits until something happens and takes it in."""

    def __init__(self) -> None:
        self._closed = True
        self.busy: dict[Any, Easy] = {}
        """By the Curl object."""
        self._idle: list[Easy] = []
        self._ended: list[Exchange] = []
        self._wanted: deque[Callable[[], object]] = deque()
        self._told: set[Any] = set()
        """The inboxes into which answers went and may not be read yet."""
        self._silent_at = math.inf
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
        """Ask; `exchange.done` is called by a `turn`, when there is an outcome."""
        easy = self._idle.pop() if self._idle and exchange.can_be_again else Easy()
        if not exchange.begin(easy):
            self._ended.append(exchange)
            return
        self.busy[easy.curl] = easy
        self._silent_at = min(self._silent_at, exchange.looked_at)
        self.multi.add_handle(easy.curl)

    def drop(self, exchange: Exchange) -> None:
        """Forget an exchange; its connection is closed where it was in the middle of something."""
        for curl, easy in list(self.busy.items()):
            if easy.exchange is exchange:
                del self.busy[curl]
                self.multi.remove_handle(curl)

    def turn(self, most: float) -> None:
        """Wait until something happens, at most so many seconds, and take it in."""
        for fd, ready in self._wait(most):
            self.multi.socket_action(fd, ready)
        if self.multi.timeout() == 0:  # asked, and not told: each callback costs a turn of the interpreter's lock
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
        """Wait, do what other threads want, and return the sockets of libcurl's that are ready."""
        timer = self.multi.timeout()
        wait = min(most, self._silent_at - monotonic(), math.inf if timer < 0 else timer / 1000)
        found = self._poller.wait(0.0 if self._ended else max(0.0, wait))
        if len(self.busy) > CROWD:
            self._gather(len(found))
            found = self._poller.wait(0.0)
        if any(fd == self._ear_fd for fd, _ in found):
            self._hear()
            found = [each for each in found if each[0] != self._ear_fd]
        while self._wanted:  # once the bell is silent: who wants something from now on rings it again
            self._wanted.popleft()()
        return found

    def _gather(self, ready: int) -> None:
        """Let more happen, where few sockets are `ready`, and let those who were answered read it.

        Who works meanwhile would only wait for this thread.
        """
        until, wanted = monotonic() + HOLD, len(self._wanted) if ready > CROWD else -1
        while monotonic() < until and (wanted != len(self._wanted) or self._unread()):
            wanted = len(self._wanted)
            sleep(GATHER)
        self._told.clear()  # nobody may read them any more

    def _unread(self) -> bool:
        self._told = {inbox for inbox in self._told if not inbox.empty()}
        return bool(self._told)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, or wanted."""
        return not self.busy and not self._wanted and not self._ended

    def do(self, what: Callable[[], object]) -> None:
        """Have the thread call `what`. For any thread."""
        self._wanted.append(what)
        self.wake()

    def wake(self) -> None:
        """Have `turn` return. For any thread."""
        if not self._rung:
            self._rung = True
            with contextlib.suppress(OSError):  # it is full, or closed
                self._bell.send(b"\0")

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. What is under way is forgotten."""
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
        """End all that is under way."""
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

    def _give_up(self, now: float) -> None:
        """End the exchanges of which nothing is heard."""
        for curl, easy in list(self.busy.items()):
            if easy.exchange.silent_at <= now:
                self._over(curl, pycurl.E_OPERATION_TIMEDOUT, "")
        self._silent_at = min((_look(easy.exchange, now) for easy in self.busy.values()), default=math.inf)


def _look(exchange: Exchange, now: float) -> float:
    """When to look whether an exchange has to be given up."""
    return exchange.looked_at if exchange.looked_at > now else exchange.silent_at


def _most() -> int:
    """Connections at once, at most: three quarters of the files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return 4096
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft == resource.RLIM_INFINITY else max(32, min(4096, soft * 3 // 4))
