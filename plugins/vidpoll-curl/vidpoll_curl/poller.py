"""Waits for sockets: by epoll if the system has it, else by `selectors`. Masks are those of libcurl."""

from __future__ import annotations

import select
import selectors
from typing import Any

import pycurl

_BOTH = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


class Selector:
    """Sockets by their number, each with the awaited event (POLL_IN, POLL_OUT, POLL_INOUT)."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._known: set[int] = set()

    def watch(self, fd: int, event: int) -> None:
        """Add a socket, or change its awaited event."""
        if fd in self._known:
            self._selector.modify(fd, _BOTH[event])
        else:
            self._known.add(fd)
            self._selector.register(fd, _BOTH[event])

    def forget(self, fd: int) -> None:
        if fd in self._known:
            self._known.discard(fd)
            self._selector.unregister(fd)

    def told(self, event: int, fd: int, multi: Any, data: Any) -> None:
        """libcurl's callback: it begins or ends waiting for a socket."""
        del multi, data
        if event == pycurl.POLL_REMOVE:
            self.forget(fd)
        else:
            self.watch(fd, event)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """The sockets that are ready within `seconds`, each with CSELECT_IN and CSELECT_OUT."""
        return [
            (key.fd, (pycurl.CSELECT_IN if mask & 1 else 0) | (pycurl.CSELECT_OUT if mask & 2 else 0))
            for key, mask in self._selector.select(seconds)
        ]

    def close(self) -> None:
        self._selector.close()


class Epoll(Selector):
    """The same by Linux's own call, with a third of the work."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._epoll: Any = select.epoll()
        read, write = select.EPOLLIN, select.EPOLLOUT
        self._masks = {pycurl.POLL_IN: read, pycurl.POLL_OUT: write, pycurl.POLL_INOUT: read | write}
        self._ready = {read: pycurl.CSELECT_IN, write: pycurl.CSELECT_OUT}

    def watch(self, fd: int, event: int) -> None:
        if fd in self._known:
            self._epoll.modify(fd, self._masks[event])
        else:
            self._known.add(fd)
            self._epoll.register(fd, self._masks[event])

    def forget(self, fd: int) -> None:
        if fd in self._known:
            self._known.discard(fd)
            self._epoll.unregister(fd)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        found = self._epoll.poll(seconds, 1024)
        for number, (fd, mask) in enumerate(found):
            ready = self._ready.get(mask)
            if ready is None:  # both, an error, or a closed connection: libcurl finds out by reading
                ready = pycurl.CSELECT_IN | (pycurl.CSELECT_OUT if mask & select.EPOLLOUT else 0)
            found[number] = (fd, ready)
        return list(found)

    def close(self) -> None:
        self._epoll.close()


def poller() -> Selector:
    """The poller for this system."""
    return Epoll() if hasattr(select, "epoll") else Selector()
