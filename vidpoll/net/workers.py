"""A bounded set of daemon threads that only do HTTP: no pacing, no state of jobs, no waiting on a clock.

The caller hands in a ticket and gets the ticket back through its inbox, with the outcome. A ticket can be aborted: its
socket is shut, its thread ends, and another thread may replace that thread.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import Queue, SimpleQueue
from typing import Any

from ..faults import Misconfigured
from ..fork_lock import ForkLock

NO_THREAD = (
    "this machine cannot start more threads: raise the limit (ulimit -u, or pids_limit of the container), or end "
    "other programs"
)


class Ticket:
    """One request of a worker. `outcome` is the return value of `work`, or the exception that it raised."""

    __slots__ = ("_ending", "_start", "aborted", "done", "inbox", "outcome", "sent", "shut", "work")

    def __init__(self, work: Callable[[Ticket], Any], inbox: Queue[Any]) -> None:
        self.work = work
        self.inbox = inbox
        self.outcome: Any = None
        self.done = self.aborted = False
        self.sent = False
        """Set by `work`: whether any byte of the request may have left this machine."""
        self.shut: Callable[[], None] | None = None
        """Set by `work`: shuts the connection in use."""
        self._start, self._ending = [True], [True]  # tokens: the thread that takes one begins, or ends, the ticket

    def begin(self) -> bool:
        """Whether the caller is the first to begin the ticket. An aborted ticket does not begin."""
        return _taken(self._start)

    def end(self) -> bool:
        """Whether the caller is the first to end the ticket."""
        return _taken(self._ending)


def _taken(token: list[bool]) -> bool:
    """Take a token, unless another thread has it. `pop` is atomic, so no thread ever waits for another one."""
    try:
        return token.pop()
    except IndexError:
        return False


class Workers:
    """Daemon threads, started when needed, at most `size` at work at once.

    The lock protects only the number of threads. Tickets pass without a lock: a thread that is interrupted while it
    holds one makes all others wait, and with many threads that happens every time.
    """

    def __init__(self, size: int = 256) -> None:
        self.size = size
        self._closed = False
        self._reset()

    def _reset(self) -> None:
        self._tickets: SimpleQueue[Ticket | None] = SimpleQueue()
        self._lock = ForkLock()
        self._most = self.size  # tickets at once: fewer if no more threads can be started
        self._threads = 0  # threads that are alive and not held up by an aborted ticket
        self._open: set[Ticket] = set()  # tickets that are neither done nor aborted
        self._finalizer = weakref.finalize(self, _end, self._tickets, self.size)
        self._finalizer.atexit = False

    @property
    def spare(self) -> int:
        """How many more tickets would begin without waiting."""
        return self._most - len(self._open)

    def send(self, work: Callable[[Ticket], Any], inbox: Queue[Any]) -> Ticket:
        """Run `work(ticket)` in a worker; the ticket comes back through `inbox`, unless it was aborted.

        Raises Misconfigured if there is no thread and none can be started.
        """
        if self._closed:
            raise RuntimeError("these workers are closed")
        if self._lock.forked:  # a forked child lacks its parent's threads
            self._reset()
        ticket = Ticket(work, inbox)
        self._open.add(ticket)
        if self._threads < self.size and self._threads < len(self._open):
            with self._lock.current:
                self._staff()
        if not self._threads:
            self._open.discard(ticket)
            raise Misconfigured(NO_THREAD)
        self._tickets.put(ticket)
        return ticket

    def _staff(self) -> None:
        """Start a thread if there is work for one more. If none can be started, the others continue."""
        if self._threads >= min(self.size, len(self._open)):
            return
        thread = threading.Thread(
            target=_work, args=(self._tickets, weakref.ref(self)), name="vidpoll-worker", daemon=True
        )
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            self._most = self._threads + 1  # one more ticket than threads, which tries again
        else:
            self._threads += 1
            self._most = max(self._most, min(self.size, self._threads + 1))

    def abort(self, ticket: Ticket) -> None:
        """Drop a ticket: nothing comes back, its connection is shut, and another thread replaces its thread."""
        if self._lock.forked:  # the thread and the connection belong to the parent, which may send it
            ticket.aborted = ticket.sent = True
            return
        if not ticket.end():
            return
        ticket.aborted = True
        self._open.discard(ticket)
        if not ticket.begin():  # a thread works on it, and ends with it
            with self._lock.current:
                self._threads -= 1
                if not self._closed:
                    self._staff()  # for the tickets in the queue
        if ticket.shut is not None:
            ticket.shut()

    def _finished(self, ticket: Ticket, outcome: Any) -> bool:
        """Record the outcome. Returns False if the ticket was aborted, and then the thread must end."""
        ticket.outcome = outcome
        if not ticket.end():
            return False
        ticket.done = True
        self._open.discard(ticket)
        ticket.inbox.put(ticket)
        return True

    def close(self) -> None:
        """Let the threads end once they are done. Nothing can be sent afterwards."""
        self._closed = True
        self._finalizer()


def _end(tickets: SimpleQueue[Ticket | None], size: int) -> None:
    for _ in range(size):
        tickets.put(None)


def _work(tickets: SimpleQueue[Ticket | None], owner: weakref.ref[Workers]) -> None:
    while (ticket := tickets.get()) is not None and _serve(ticket, owner):
        del ticket


def _serve(ticket: Ticket, owner: weakref.ref[Workers]) -> bool:
    """Run one ticket. Returns False if the thread must end. Threads do not keep their pool alive."""
    workers = owner()
    if workers is None or not ticket.begin():
        return workers is not None
    del workers
    try:
        outcome = ticket.work(ticket)
    except BaseException as error:  # noqa: BLE001 - the caller judges it
        outcome = error
    workers = owner()
    return workers is not None and workers._finished(ticket, outcome)
