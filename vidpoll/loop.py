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

from .accounts import Endpoint, Wire
from .clock import Clock
from .errors import AnswerError, OutcomeUnknown, UsageError
from .faults import Fault, NoAnswer
from .gate import ROOM
from .line import Line
from .listing import WORTH, Listing, Sweep
from .machine import Event, Job
from .model import Response
from .tasks import GOOD_HINT, Setting, Task, Watch
from .transcript import Recorder
from .workers import Ticket, Workers

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
        self.now = self.setting.now
        """Monotonic seconds."""
        self.recorder = Recorder()
        self.closed = False
        """Set when the client is closed: nothing is sent any more."""

    @property
    def clock(self) -> Clock:
        """The one clock of everything that waits."""
        return self.setting.clock

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
        self.sweeps: dict[Endpoint, Sweep] = {}
        self.tasks = tasks
        self.lines: dict[Endpoint, Line] = {}
        self.heap: list[tuple[float, int, Task, bool]] = []  # due, tie-break, task, ask (or else give up)
        self._begin_all()

    @property
    def open(self) -> bool:
        return self.left > 0

    def _begin_all(self) -> None:
        """Plan the first questions: a few at once, the others of an account spread over at most one floor."""
        now, recall = self.loop.now(), self.loop.recorder.of
        crowds = Counter(task.endpoint for task in self.tasks)
        numbers: Counter[Endpoint] = Counter()
        for task in self.tasks:
            endpoint = task.endpoint
            beyond, late = crowds[endpoint] - ROOM, 0.0
            if endpoint.provider.list_polling is not None and isinstance(task, Watch) and not task.once:
                sweep = self.sweeps.setdefault(endpoint, Sweep(endpoint))
                sweep.watches[task.job.id] = task
            if numbers[endpoint] >= ROOM and not (endpoint in self.sweeps and crowds[endpoint] >= WORTH):
                late = min(_SPREAD, endpoint.gate.floor / beyond) * (numbers[endpoint] + 1 - ROOM)
            numbers[endpoint] += 1
            if task.deadline is not None:
                late = min(late, max(0.0, task.deadline - now))
            if isinstance(task, Watch):
                task.job.recorded(recall)
                if not task.once:
                    endpoint.gate.watch(task)
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
        setting, now = self.loop.setting, self.loop.now()
        while self.heap and self.heap[0][0] <= now:
            _, number, task, ask = heapq.heappop(self.heap)
            if number != task.planned:  # a row of a list came before it
                continue
            task.planned = -1
            gate = task.endpoint.gate
            if not ask:
                yield from self._end(task)
            elif (elsewhere := task.elsewhere(setting)) is not None:
                yield from self._followed(task, *elsewhere)
            elif not task.single:
                self._join(task, now)
            elif max(gate.not_before, gate.rate.turn(now)) > now:  # the account was told to slow down
                self._plan(task, max(gate.not_before, gate.rate.turn(now)))
            else:
                gate.spend(now)
                yield from self._begin(task)
        yield from self._through(setting)

    def _through(self, setting: Setting) -> Iterator[tuple[Task, Event]]:
        """Send what the gates let through; end those who stand in line in vain."""
        turns = deque(line for line in self.lines.values() if line)
        while turns:  # the accounts take turns, so that none takes all workers
            line = turns.popleft()
            if (next_task := line.step(self.loop.now(), self.loop.workers.spare)) is not None:
                yield from self._begin(next_task)
                turns.append(line)
        for line in self.lines.values():
            for task, why in line.take_expired(setting, self.bound):
                yield from self._end(task, why)

    def _followed(self, task: Task, events: list[Event], due: float | None) -> Iterator[tuple[Task, Event]]:
        """Somebody else asks about a job; look again later."""
        if due is None:
            task.endpoint.gate.leave(task, ended=True)
            self._over(task)
        else:
            self._plan(task, due)
        yield from self._told(task, events)

    def _join(self, task: Task, now: float) -> None:
        """Have a task stand in line, or wait for a walk through the list where that is cheaper."""
        sweep = self.sweeps.get(task.endpoint)
        if sweep is not None and isinstance(task, Watch) and sweep.serves(task.job.id, now):
            sweep.parked[task.job.id] = task
            if task.deadline is not None:  # a walk may take longer than one request
                self._push(task, max(task.deadline, now) + self.bound, ask=False)
            if sweep.walk is None:
                sweep.begin()
                self._go_on(sweep)
        else:
            self._line(task).join(task, now)

    def _go_on(self, sweep: Sweep) -> None:
        """Have the pages that are to be asked for stand in line, and those that no longer are leave it."""
        walk = sweep.walk
        assert walk is not None
        for listing in walk.further():
            self._line(listing).join(listing, self.loop.now())
        if walk.done:
            for _ in self.lines[sweep.endpoint].withdraw(lambda task: isinstance(task, Listing) and task.walk is walk):
                walk.withdraw()

    def _line(self, task: Task) -> Line:
        return self.lines.setdefault(task.endpoint, Line(task.endpoint.gate))

    def _swept(self, sweep: Sweep) -> Iterator[tuple[Task, Event]]:
        """A walk through a list is over: its rows move their jobs, and the others are asked about one by one."""
        now, walk = self.loop.now(), sweep.walk
        assert walk is not None
        parked = set(sweep.parked)
        for missing in sweep.end(now):
            missing.planned = -1
            self._line(missing).join(missing, now)
        for job_id, (row, asked_at) in walk.rows.items():
            watch = sweep.watches.get(job_id)
            if watch is None or (watch.planned < 0 and job_id not in parked):  # ended, or being asked about
                continue
            if row.state.final:  # counts once a status request confirms it
                sweep.ended.add(job_id)
                self._push(watch, now, ask=True)
            elif watch.ours:
                watch.planned = -1
                yield from self._digested(watch, *watch.listed(row, asked_at, self.loop.setting))

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
        assert task.question is not None  # it has just been made, or has a further request
        wire = task.question.wire(loop.http_timeout)
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
        loop, question = self.loop, task.question
        assert question is not None  # it was sent
        if isinstance(task, Watch):
            loop.recorder.note(task.job.ref, loop.clock.time(), question.request, outcome, task.endpoint.scrub)
        value: object
        try:
            value = question.take(outcome, loop.clock.time())
        except AnswerError as error:
            value = error
        if value is None and question.pending:
            task.endpoint.gate.spend(loop.now())
            unsent = self._try(task)
            if unsent is not None:
                yield from self._digest(task, unsent)
            return
        yield from self._conclude(task, value)

    def _conclude(self, task: Task, value: object) -> Iterator[tuple[Task, Event]]:
        """Hand the task what its question brought, and plan the next one."""
        loop = self.loop
        gate, question = task.endpoint.gate, task.question
        if question is not None and question.hold is not None:
            gate.hold(loop.now() + min(question.hold, GOOD_HINT))
        if question is not None and question.left is not None:
            gate.rate.told(*question.left, loop.now())
        yield from self._digested(task, *task.digest(value, loop.setting))
        if isinstance(task, Listing):
            sweep = self.sweeps[task.endpoint]
            self._go_on(sweep)
            if task.walk.over:
                yield from self._swept(sweep)
        elif task.planned >= 0:
            task.question = None  # ten thousand of them wait

    def _digested(self, task: Task, events: list[Event], due: float | None) -> Iterator[tuple[Task, Event]]:
        """Plan the next question, or end the task; then tell what happened."""
        if due is not None and task.deadline is not None and self.loop.now() >= task.deadline:
            events += task.expire(self.loop.setting)
            due = None
        task.endpoint.gate.leave(task, ended=due is None)
        if due is None:
            self._over(task)
        else:
            self._plan(task, due)
        yield from self._told(task, events)

    def _over(self, task: Task) -> None:
        """A task is done."""
        if not isinstance(task, Listing):
            self.left -= 1
        if isinstance(task, Watch) and task.endpoint in self.sweeps:
            self.sweeps[task.endpoint].forget(task.job.id)

    def _end(self, task: Task, why: OutcomeUnknown | None = None) -> Iterator[tuple[Task, Event]]:
        """A task's time is over."""
        task.endpoint.gate.leave(task, ended=True)
        self._over(task)
        yield from self._told(task, task.expire(self.loop.setting, why))

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
        tasks += [watch for sweep in self.sweeps.values() for watch in sweep.parked.values() if watch.planned < 0]
        tasks += [task for line in self.lines.values() for task in line.tasks]
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
        self.hurried.clear()
        self.lines.clear()
        for task in self.tasks:
            task.endpoint.gate.leave(task, ended=True)
