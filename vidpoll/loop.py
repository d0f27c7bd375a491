"""The conversation with providers: one job or ten thousand, one loop. It runs in the calling thread.

The calling thread holds the schedule, the state of every job and the hooks; HTTP runs in worker threads that hand back
whole answers. What to ask and what an answer means is the work of `tasks` and `question`; nothing here knows a
provider, reads a clock by itself or imports a network library.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from queue import Queue
from random import Random

from .accounts import Endpoint, Wire
from .clock import Clock
from .errors import AnswerError, UsageError
from .faults import Fault, NoAnswer
from .line import Line
from .machine import Event, Job
from .model import Response
from .tasks import GOOD_HINT, Setting, Task, Watch
from .transcript import Recorder
from .workers import Ticket, Workers

log = logging.getLogger("vidpoll")


class Loop:
    """Sends questions when they are due and hands answers to their tasks. One per client; `run` may be re-entered."""

    def __init__(
        self,
        *,
        clock: Clock,
        workers: Workers,
        send: Callable[[Wire, Ticket], Response],
        tell: Callable[[Job, Event], None],
        http_timeout: tuple[float, float],
        patience: float,
        random: Random,
    ) -> None:
        self.workers = workers
        self.send = send
        self.tell = tell
        self.http_timeout = http_timeout
        self.setting = Setting(clock, random, patience)
        self.recorder = Recorder()
        self.closed = False
        """Set when the client is closed: nothing is sent any more."""

    @property
    def clock(self) -> Clock:
        """The one clock of everything that waits."""
        return self.setting.clock

    def now(self) -> float:
        """Monotonic seconds."""
        return self.setting.now()

    def run(self, tasks: Sequence[Task], stop: threading.Event | None = None) -> Iterator[tuple[Task, Event]]:
        """Ask until every task is done. Yields what happened, hooks already told; leaving it early is fine.

        Raises what a builder or an account raises (UsageError), before anything of that task is sent.
        """
        run = _Run(self, tasks)
        try:
            while run.open:
                if stop is not None and stop.is_set():
                    yield from run.stop()
                    return
                yield from run.act()
                yield from run.receive()
        finally:
            run.abandon()


class _Run:
    """One use of the loop: the heap of what is due, and what is under way."""

    def __init__(self, loop: Loop, tasks: Sequence[Task]) -> None:
        self.loop = loop
        self.bound = sum(loop.http_timeout)
        """Seconds that one request may take."""
        self.inbox: Queue[Ticket] = Queue()
        self.under_way: dict[Ticket, tuple[Task, float]] = {}  # and when each is given up
        self.order = count()
        self.tasks = tasks
        self.lines: dict[Endpoint, Line] = {}
        self.heap: list[tuple[float, int, Task, bool]] = []  # due, tie-break, task, ask (or else give up)
        for task in tasks:
            if isinstance(task, Watch):
                task.job.recorded(partial(loop.recorder.of, task.job.ref))
            self._push(task, task.first(loop.now()), ask=True)

    @property
    def open(self) -> bool:
        return bool(self.heap or self.under_way or any(self.lines.values()))

    def _push(self, task: Task, due: float, *, ask: bool) -> None:
        heapq.heappush(self.heap, (due, next(self.order), task, ask))

    def _plan(self, task: Task, due: float) -> None:
        """Ask at `due`; where the deadline comes before it, give up there."""
        if task.deadline is not None and due > task.deadline:
            self._push(task, task.gives_up_at(self.loop.now()), ask=False)
        else:
            self._push(task, due, ask=True)

    def act(self) -> Iterator[tuple[Task, Event]]:
        """Send every question whose time has come, as the gates let them; end every task whose time is over."""
        setting, now = self.loop.setting, self.loop.now()
        while self.heap and self.heap[0][0] <= now:
            _, _, task, ask = heapq.heappop(self.heap)
            gate = task.endpoint.gate
            if not ask:
                yield from self._told(task, task.expire(setting))
            elif (elsewhere := task.elsewhere(setting)) is not None:
                events, due = elsewhere
                if due is not None:
                    self._plan(task, due)
                yield from self._told(task, events)
            elif not task.single:
                self.lines.setdefault(task.endpoint, Line(gate)).join(task, now)
            elif gate.not_before > now:  # the account was told to slow down
                self._plan(task, gate.not_before)
            else:
                yield from self._begin(task)
        for line in self.lines.values():
            while (next_task := line.step(self.loop.now())) is not None:
                yield from self._begin(next_task)
            for task, why in line.take_expired(setting, self.bound):
                yield from self._told(task, task.expire(setting, why))

    def _begin(self, task: Task) -> Iterator[tuple[Task, Event]]:
        now = self.loop.now()
        due = task.claim(now)
        if due > now:  # another thread has just asked about the same job
            task.endpoint.gate.leave(task)
            self._plan(task, due)
            return
        unsent = self._try(task, fresh=True)
        if unsent is not None:
            yield from self._conclude(task, Fault(unsent.reason, sent=False))

    def _try(self, task: Task, *, fresh: bool = False) -> NoAnswer | None:
        """Send the task's question. Raises what a builder or an account raises; after the first one that is a blip."""
        if self.loop.closed:
            raise UsageError("this client is closed; make a new one")
        try:
            if fresh:
                task.question = task.ask()
            self._send(task)
        except Exception as error:
            if not task.begun:
                raise
            log.error("%s: a request cannot be made (%s)", task.endpoint.name, type(error).__name__)
            return NoAnswer(f"the request could not be made ({type(error).__name__})", sent=False)
        task.begun = True
        return None

    def _send(self, task: Task) -> None:
        loop = self.loop
        wire = task.question.wire(loop.http_timeout)
        now = task.asked_at = loop.now()
        ticket = loop.workers.send(lambda ticket: loop.send(wire, ticket), self.inbox)
        start = now if task.deadline is None else min(now, task.deadline)  # a late one has no time of its own
        self.under_way[ticket] = (task, start + self.bound)

    def receive(self) -> Iterator[tuple[Task, Event]]:
        """Wait until something came or is due, and digest what came."""
        if not self.open:
            return
        bounds = [bound for _, bound in self.under_way.values()] + [entry[0] for entry in self.heap[:1]]
        now = self.loop.now()
        bounds += [line.wake(now) for line in self.lines.values() if line]
        ticket = self.loop.clock.get(self.inbox, min(bounds) - now, busy=bool(self.under_way))
        while ticket is not None:
            task, _ = self.under_way.pop(ticket)
            yield from self._digest(task, ticket.outcome)
            ticket = None if self.inbox.empty() else self.inbox.get()
        now = self.loop.now()
        for overdue in [ticket for ticket, (_, bound) in self.under_way.items() if bound <= now]:
            self.loop.workers.abort(overdue)
            if not overdue.aborted:  # it has just finished: its answer is on its way to the inbox
                continue
            task, _ = self.under_way.pop(overdue)
            yield from self._digest(task, NoAnswer(f"no whole answer within {self.bound:g} s"))

    def _digest(self, task: Task, outcome: Response | BaseException) -> Iterator[tuple[Task, Event]]:
        loop = self.loop
        if isinstance(task, Watch):
            loop.recorder.note(task.job.ref, loop.clock.time(), task.question.request, outcome, task.endpoint.scrub)
        value: object
        try:
            value = task.question.take(outcome, loop.clock.time())
        except AnswerError as error:
            value = error
        if value is None and task.question.pending:
            unsent = self._try(task)
            if unsent is not None:
                yield from self._digest(task, unsent)
            return
        yield from self._conclude(task, value)

    def _conclude(self, task: Task, value: object) -> Iterator[tuple[Task, Event]]:
        """Hand the task what its question brought, and plan the next one."""
        loop = self.loop
        task.endpoint.gate.leave(task)
        if task.question.hold is not None:
            task.endpoint.gate.hold(loop.now() + min(task.question.hold, GOOD_HINT))
        events, due = task.digest(value, loop.setting)
        if due is not None and task.deadline is not None and loop.now() >= task.deadline:
            events += task.expire(loop.setting)
        elif due is not None:
            self._plan(task, due)
        yield from self._told(task, events)

    def _told(self, task: Task, events: Sequence[Event]) -> Iterator[tuple[Task, Event]]:
        for event in events:
            if isinstance(task, Watch):
                self.loop.tell(task.job, event)
            yield task, event

    def stop(self) -> Iterator[tuple[Task, Event]]:
        """End every task that is still open, because `stop` was set. An answer in hand still counts."""
        while not self.inbox.empty():
            ticket = self.inbox.get()
            task, _ = self.under_way.pop(ticket)
            yield from self._digest(task, ticket.outcome)
        tasks = [entry[2] for entry in self.heap] + [task for line in self.lines.values() for task in line.tasks]
        tasks += [task for task, _ in self.under_way.values()]
        self.heap.clear()
        self.abandon()
        for task in tasks:
            error = task.stopped() if isinstance(task, Watch) else None
            yield from self._told(task, task.expire(self.loop.setting, error))

    def abandon(self) -> None:
        """Let go of what is under way."""
        for ticket in self.under_way:
            self.loop.workers.abort(ticket)
        self.under_way.clear()
        self.lines.clear()
        for task in self.tasks:
            task.endpoint.gate.leave(task)
