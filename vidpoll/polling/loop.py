"""The conversation with providers: one job or ten thousand, one loop. It runs in the calling thread.

The calling thread holds the schedule, the state of every job and the hooks; HTTP runs in worker threads that hand back
whole answers. What to ask and what an answer means is the work of `tasks` and `question`; nothing here knows a
provider, reads a clock by itself or imports a network library.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from queue import Queue
from random import Random

from ..clock import Clock
from ..errors import AnswerError, OutcomeUnknown, UsageError
from ..events import Event
from ..faults import Fault, NoAnswer
from ..job import Job
from ..model import Response
from ..net.accounts import WireRequest
from ..net.workers import Ticket, Workers
from ..pacing.limiter import ROOM
from .account_state import AccountState
from .list_polling import WORTH, ListPolling, PageTask
from .task import GOOD_HINT, Context, Task, WaitQueue
from .transcript import Recorder
from .watch import Watch

log = logging.getLogger("vidpoll")

_SPREAD = 0.005
"""Seconds between the first questions of an account's jobs, where it has more of them than may go at once."""

_BATCH = 16
"""So many answers are digested before the loop looks again at what is due."""


class Loop:
    """Sends questions when they are due and hands answers to their tasks. One per client; `run` may be re-entered."""

    def __init__(
        self,
        *,
        clock: Clock,
        workers: Workers,
        send: Callable[[WireRequest, Ticket], Response],
        tell: Callable[[Job, Event], None],
        http_timeout: tuple[float, float],
        patience: float,
        random: Random,
    ) -> None:
        self.workers = workers
        self.send = send
        self.tell = tell
        self.http_timeout = http_timeout
        self.context = Context(clock, random, patience)
        self.now = self.context.now
        """Monotonic seconds."""
        self.recorder = Recorder()
        self.closed = False
        """Set when the client is closed: nothing is sent any more."""

    @property
    def clock(self) -> Clock:
        """The one clock of everything that waits."""
        return self.context.clock

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
        self.under_way: dict[Ticket, tuple[Task, float]] = {}  # and when each is given up, the first one first
        self.hurried: dict[Ticket, float] = {}  # those of them that are given up sooner, as they were sent late
        self.order = count()
        self.left = len(tasks)
        self.list_pollings: dict[AccountState, ListPolling] = {}
        self.tasks = tasks
        self.lines: dict[AccountState, WaitQueue] = {}
        self.heap: list[tuple[float, int, Task, bool]] = []  # due, tie-break, task, ask (or else give up)
        self._begin_all()

    @property
    def open(self) -> bool:
        return self.left > 0

    def _begin_all(self) -> None:
        """Plan the first questions: a few at once, the others of an account spread over at most one floor."""
        now, recall = self.loop.now(), self.loop.recorder.of
        crowds = Counter(task.account for task in self.tasks)
        numbers: Counter[AccountState] = Counter()
        for task in self.tasks:
            account = task.account
            beyond, late = crowds[account] - ROOM, 0.0
            if account.provider.list_polling is not None and isinstance(task, Watch) and not task.once:
                polling = self.list_pollings.setdefault(account, ListPolling(account))
                polling.watches[task.job.id] = task
            if numbers[account] >= ROOM and not (account in self.list_pollings and crowds[account] >= WORTH):
                late = min(_SPREAD, account.limiter.floor / beyond) * (numbers[account] + 1 - ROOM)
            numbers[account] += 1
            if task.deadline is not None:
                late = min(late, max(0.0, task.deadline - now))
            if isinstance(task, Watch):
                task.job.recorded(recall)
                if not task.once:
                    account.limiter.watch(task)
            self._push(task, max(task.first(now), now + late), ask=True)

    def _push(self, task: Task, due: float, *, ask: bool) -> None:
        task.planned = next(self.order)
        heapq.heappush(self.heap, (due, task.planned, task, ask))

    def _plan(self, task: Task, due: float) -> None:
        """Ask at `due`; where the deadline comes before it, give up there."""
        if task.deadline is not None and due > task.deadline:
            self._push(task, task.gives_up_at(self.loop.now()), ask=False)
        else:
            self._push(task, due, ask=True)

    def act(self) -> Iterator[tuple[Task, Event]]:
        """Send every question whose time has come, as the gates let them; end every task whose time is over."""
        context, now = self.loop.context, self.loop.now()
        while self.heap and self.heap[0][0] <= now:
            _, number, task, ask = heapq.heappop(self.heap)
            if number != task.planned:  # a row of a list came before it
                continue
            task.planned = -1
            limiter = task.account.limiter
            if not ask:
                yield from self._end(task)
            elif (leased_by_other := task.leased_by_other(context)) is not None:
                yield from self._followed(task, *leased_by_other)
            elif not task.single:
                self._join(task, now)
            elif max(limiter.not_before, limiter.rate.turn(now)) > now:  # the account was told to slow down
                self._plan(task, max(limiter.not_before, limiter.rate.turn(now)))
            else:
                limiter.spend(now)
                yield from self._begin(task)
        yield from self._through(context)

    def _through(self, context: Context) -> Iterator[tuple[Task, Event]]:
        """Send what the gates let through; end those who stand in line in vain."""
        turns = deque(line for line in self.lines.values() if line)
        while turns:  # the accounts take turns, so that none takes all workers
            line = turns.popleft()
            if (next_task := line.step(self.loop.now(), self.loop.workers.spare)) is not None:
                yield from self._begin(next_task)
                turns.append(line)
        for line in self.lines.values():
            for task, why in line.take_expired(context, self.bound):
                yield from self._end(task, why)

    def _followed(self, task: Task, events: list[Event], due: float | None) -> Iterator[tuple[Task, Event]]:
        """Somebody else asks about a job; look again later."""
        if due is None:
            task.account.limiter.leave(task, ended=True)
            self._over(task)
        else:
            self._plan(task, due)
        yield from self._told(task, events)

    def _join(self, task: Task, now: float) -> None:
        """Have a task stand in line, or wait for a walk through the list where that is cheaper."""
        polling = self.list_pollings.get(task.account)
        if polling is not None and isinstance(task, Watch) and polling.serves(task.job.id, now):
            polling.parked[task.job.id] = task
            if task.deadline is not None:  # a walk may take longer than one request
                self._push(task, max(task.deadline, now) + self.bound, ask=False)
            if polling.walk is None:
                polling.begin()
                self._go_on(polling)
        else:
            self._line(task).join(task, now)

    def _go_on(self, polling: ListPolling) -> None:
        """Have the pages that are to be asked for stand in line, and those that no longer are leave it."""
        walk = polling.walk
        assert walk is not None
        for page_task in walk.further():
            self._line(page_task).join(page_task, self.loop.now())
        if walk.done:
            for _ in self.lines[polling.account].withdraw(
                lambda task: isinstance(task, PageTask) and task.walk is walk
            ):
                walk.withdraw()

    def _line(self, task: Task) -> WaitQueue:
        return self.lines.setdefault(task.account, WaitQueue(task.account.limiter))

    def _swept(self, polling: ListPolling) -> Iterator[tuple[Task, Event]]:
        """A walk through a list is over: its rows move their jobs, and the others are asked about one by one."""
        now, walk = self.loop.now(), polling.walk
        assert walk is not None
        parked = set(polling.parked)
        for missing in polling.end(now):
            missing.planned = -1
            self._line(missing).join(missing, now)
        for job_id, (row, asked_at) in walk.rows.items():
            watch = polling.watches.get(job_id)
            if watch is None or (watch.planned < 0 and job_id not in parked):  # ended, or being asked about
                continue
            if row.state.final:  # counts once a status request confirms it
                polling.ended.add(job_id)
                self._push(watch, now, ask=True)
            elif watch.ours:
                watch.planned = -1
                yield from self._digested(watch, *watch.listed(row, asked_at, self.loop.context))

    def _begin(self, task: Task) -> Iterator[tuple[Task, Event]]:
        now = self.loop.now()
        due = task.claim(now)
        if due > now:  # another thread has just asked about the same job
            task.account.limiter.leave(task)
            self._plan(task, due)
            return
        unsent = self._try(task, fresh=True)
        if unsent is not None:
            yield from self._conclude(task, Fault(unsent.reason, sent=False))

    def _try(self, task: Task, *, fresh: bool = False) -> NoAnswer | None:
        """Send the task's request. Raises what a builder or an account raises, for the first request only."""
        if self.loop.closed:
            raise UsageError("this client is closed; make a new one")
        try:
            if fresh:
                task.call = task.ask()
            self._send(task)
        except Exception as error:
            if not task.begun:
                raise
            log.error("%s: a request cannot be made (%s)", task.account.name, type(error).__name__)
            return NoAnswer(f"the request could not be made ({type(error).__name__})", sent=False)
        task.begun = True
        return None

    def _send(self, task: Task) -> None:
        loop = self.loop
        assert task.call is not None  # it has just been made, or has a further request
        wire = task.call.wire(loop.http_timeout)
        now = task.asked_at = loop.now()
        ticket = loop.workers.send(lambda ticket: loop.send(wire, ticket), self.inbox)
        start = now if task.deadline is None else min(now, task.deadline)  # a late one has no time of its own
        self.under_way[ticket] = (task, start + self.bound)
        if start < now:
            self.hurried[ticket] = start + self.bound

    def receive(self) -> Iterator[tuple[Task, Event]]:
        """Wait until something came or is due, and digest what came."""
        if not self.open:
            return
        bounds = [entry[0] for entry in self.heap[:1]]
        bounds += [min(self._given_up(), *self.hurried.values())] if self.hurried else [self._given_up()]
        now = self.loop.now()
        bounds += [line.wake(now, self.loop.workers.spare) for line in self.lines.values() if line]
        ticket = self.loop.clock.get(self.inbox, min(bounds) - now, busy=bool(self.under_way))
        for _ in range(_BATCH):
            if ticket is None:
                break
            yield from self._digest(self._taken(ticket), ticket.outcome)
            ticket = None if self.inbox.empty() else self.inbox.get()
        else:
            if ticket is not None:
                self.inbox.put(ticket)
        yield from self._overdue(self.loop.now())

    def _given_up(self) -> float:
        """When the first of the requests under way is given up."""
        return next((bound for _, bound in self.under_way.values()), math.inf)

    def _taken(self, ticket: Ticket) -> Task:
        """The task of a ticket that is no longer under way."""
        self.hurried.pop(ticket, None)
        return self.under_way.pop(ticket)[0]

    def _overdue(self, now: float) -> Iterator[tuple[Task, Event]]:
        """Let go of the requests whose time is over."""
        over = [ticket for ticket, bound in self.hurried.items() if bound <= now]
        if self._given_up() <= now:
            over += [ticket for ticket, (_, bound) in self.under_way.items() if bound <= now and ticket not in over]
        for overdue in over:
            self.loop.workers.abort(overdue)
            if overdue.aborted:  # else it has just finished: its answer is on its way to the inbox
                yield from self._digest(self._taken(overdue), NoAnswer(f"no whole answer within {self.bound:g} s"))

    def _digest(self, task: Task, outcome: Response | BaseException) -> Iterator[tuple[Task, Event]]:
        loop, call = self.loop, task.call
        assert call is not None  # it was sent
        if isinstance(task, Watch):
            loop.recorder.note(task.job.ref, loop.clock.time(), call.request, outcome, task.account.opened.scrub)
        value: object
        try:
            value = call.take(outcome, loop.clock.time())
        except AnswerError as error:
            value = error
        if value is None and call.pending:
            task.account.limiter.spend(loop.now())
            unsent = self._try(task)
            if unsent is not None:
                yield from self._digest(task, unsent)
            return
        yield from self._conclude(task, value)

    def _conclude(self, task: Task, value: object) -> Iterator[tuple[Task, Event]]:
        """Hand the task what its question brought, and plan the next one."""
        loop = self.loop
        limiter, call = task.account.limiter, task.call
        if call is not None and call.hold is not None:
            limiter.hold(loop.now() + min(call.hold, GOOD_HINT))
        if call is not None and call.left is not None:
            limiter.rate.told(*call.left, loop.now())
        yield from self._digested(task, *task.digest(value, loop.context))
        if isinstance(task, PageTask):
            polling = self.list_pollings[task.account]
            self._go_on(polling)
            if task.walk.over:
                yield from self._swept(polling)
        elif task.planned >= 0:
            task.call = None  # ten thousand of them wait

    def _digested(self, task: Task, events: list[Event], due: float | None) -> Iterator[tuple[Task, Event]]:
        """Plan the next question, or end the task; then tell what happened."""
        if due is not None and task.deadline is not None and self.loop.now() >= task.deadline:
            events += task.expire(self.loop.context)
            due = None
        task.account.limiter.leave(task, ended=due is None)
        if due is None:
            self._over(task)
        else:
            self._plan(task, due)
        yield from self._told(task, events)

    def _over(self, task: Task) -> None:
        """A task is done."""
        if not isinstance(task, PageTask):
            self.left -= 1
        if isinstance(task, Watch) and task.account in self.list_pollings:
            self.list_pollings[task.account].forget(task.job.id)

    def _end(self, task: Task, why: OutcomeUnknown | None = None) -> Iterator[tuple[Task, Event]]:
        """A task's time is over."""
        task.account.limiter.leave(task, ended=True)
        self._over(task)
        yield from self._told(task, task.expire(self.loop.context, why))

    def _told(self, task: Task, events: Sequence[Event]) -> Iterator[tuple[Task, Event]]:
        for event in events:
            if isinstance(task, Watch):
                self.loop.tell(task.job, event)
            yield task, event

    def stop(self) -> Iterator[tuple[Task, Event]]:
        """End every task that is still open, because `stop` was set. An answer in hand still counts."""
        while not self.inbox.empty():
            ticket = self.inbox.get()
            yield from self._digest(self._taken(ticket), ticket.outcome)
        tasks = [task for _, number, task, _ in self.heap if number == task.planned]
        tasks += [
            watch for polling in self.list_pollings.values() for watch in polling.parked.values() if watch.planned < 0
        ]
        tasks += [task for line in self.lines.values() for task in line.tasks]
        tasks += [task for task, _ in self.under_way.values()]
        self.heap.clear()
        self.abandon()
        for task in tasks:
            error = task.stopped() if isinstance(task, Watch) else None
            yield from self._told(task, task.expire(self.loop.context, error))

    def abandon(self) -> None:
        """Let go of what is under way."""
        for ticket in self.under_way:
            self.loop.workers.abort(ticket)
        self.under_way.clear()
        self.hurried.clear()
        self.lines.clear()
        for task in self.tasks:
            task.account.limiter.leave(task, ended=True)
