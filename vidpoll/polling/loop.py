"""The main loop: one job or ten thousand, one loop. It runs in the calling thread.

The calling thread holds the plan and the state of every job, and calls the hooks. A transport takes requests and
returns complete responses. `task`, `watch` and `call` decide what to send and what a response means: this module knows
no provider and no kind of task, does not read a clock directly, and does not import a network library.

    act        send every request whose time has come and that its account's limiter lets through
    receive    wait until a response arrives or something is planned, and hand the response to its task
    settle     plan the task's next request, or end the task; report its events
"""

from __future__ import annotations

import copy
import heapq
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from queue import Queue
from random import Random
from typing import Any

from .. import redact
from ..clock import Clock
from ..errors import AnswerError, OutcomeUnknown, UsageError, VidpollError
from ..events import Completed, Event, Failed, GaveUp
from ..faults import GOOD_HINT, Fault, Misconfigured, NoAnswer
from ..job import Job
from ..model import Request, Response
from ..net.protocol import Transport
from ..net.workers import Ticket
from ..pacing.limiter import ROOM
from .account_state import AccountState
from .call import Call, cleared, optional
from .feed import Feed, Nudge, Stop
from .list_polling import WORTH, ListPolling
from .task import Context, Planned, Step, Task, WaitQueue
from .teller import Teller
from .transcript import Recorder
from .watch import Watch

log = logging.getLogger("vidpoll")

SPREAD = 0.005
"""Seconds between the first requests of an account's jobs, if they are more than may be sent at once."""

BATCH = 16
"""At most this many responses are digested before the loop looks at the plan again."""

Told = Generator[tuple[Job, Event], None, None]


class Loop:
    """Sends requests when their time has come, hands responses to their tasks. One per client; `run` may be nested."""

    def __init__(
        self,
        *,
        clock: Clock,
        transport: Transport,
        teller: Teller,
        http_timeout: tuple[float, float],
        patience: float,
        random: Random,
    ) -> None:
        self.transport, self.teller = transport, teller
        self.http_timeout = http_timeout
        self.context = Context(clock, random, patience)
        self.now = self.context.now
        """Monotonic seconds."""
        self.recorder = Recorder()
        self.closed = False
        """True once the client is closed: then nothing is sent."""

    @property
    def clock(self) -> Clock:
        """The clock by which everything waits."""
        return self.context.clock

    def beside(self, clock: Clock) -> Loop:
        """A copy of this loop with another clock, for a thread that works beside the run. The copy runs nothing."""
        other = copy.copy(self)
        other.context = Context(clock, self.context.random, self.context.patience)
        other.now = other.context.now
        return other

    def told_by(self, teller: Teller) -> Loop:
        """A copy of this loop with another teller, for a separate run."""
        other = copy.copy(self)
        other.teller = teller
        return other

    def run(self, tasks: Sequence[Task], stop: Stop | None = None, feed: Feed | None = None) -> Told:
        """Run until every task is done. Yields each event after the hooks; the caller may leave the generator early.

        `feed` adds tasks during the run. Raises what a builder or an account raises (UsageError) before anything is
        sent for that task, unless the task is `alone`: then only the task ends.
        """
        with closing(self.turns(tasks, stop, feed)) as turns:
            for told in turns:
                if told is not None:
                    yield told

    def turns(
        self, tasks: Sequence[Task], stop: Stop | None = None, feed: Feed | None = None
    ) -> Generator[tuple[Job, Event] | None, None, None]:
        """Like `run`, but yields None after each turn, so that the caller can look at its feed between turns."""
        run = Run(self, tasks, feed)
        try:
            while run.open:
                if stop is not None and stop.is_set():
                    yield from run.stop()
                    break
                yield from run.feed_on()
                yield from run.act()
                yield from run.receive()
                yield None
            yield from run.tell_verdicts()
        finally:
            run.abandon()
            run.tell_verdicts()  # a response that was received counts, whatever ended the wait


class Run:
    """One use of the loop: the heap of planned entries, the queues, and the requests under way."""

    def __init__(self, loop: Loop, tasks: Sequence[Task], feed: Feed | None = None) -> None:
        self.loop, self.feed, self.recall = loop, feed, loop.recorder.of
        self.bound = sum(loop.http_timeout)
        """Seconds that one request may take."""
        self.inbox: Queue[Ticket | Nudge] = Queue()
        self.under_way: dict[Ticket, tuple[Task, float]] = {}  # with the time at which each is given up, earliest first
        self.hurried: dict[Ticket, float] = {}  # those that are given up sooner, because they were sent late
        self.left = 0
        self.tasks: dict[Task, None] = {}  # the tasks that have not ended
        self.lists: dict[AccountState, ListPolling] = {}
        self.queues: dict[AccountState, WaitQueue] = {}
        self.heap: list[Planned] = []
        self.verdicts: list[tuple[Job, Event]] = []  # gathered, and not reported yet
        self.tell_at = math.inf
        self._number = count()
        self._begin_all(tasks)

    @property
    def open(self) -> bool:
        """Whether a task that counts is left, or the feed may add one."""
        return self.left > 0 or (self.feed is not None and self.feed.open)

    def feed_on(self) -> Told:
        """Begin the new tasks of the feed, and yield its events for the caller."""
        if self.feed is not None:
            if tasks := self.feed.take(self):
                self._begin_all(tasks)
            yield from self.feed.news()

    # -- planning -----------------------------------------------------------------------------------------------------

    def _begin_all(self, tasks: Sequence[Task]) -> None:
        """Plan the first requests: a few at once, the account's other ones spread over at most one floor."""
        now = self.loop.now()
        crowds = Counter(task.account for task in tasks)
        numbers: Counter[AccountState] = Counter()
        for task in tasks:
            self.tasks[task] = None
            self.left += task.counts
            task.begins(self)
            account = task.account
            beyond, late = crowds[account] - ROOM, 0.0
            if numbers[account] >= ROOM and not (account in self.lists and crowds[account] >= WORTH):
                late = min(SPREAD, account.limiter.floor / beyond) * (numbers[account] + 1 - ROOM)
            numbers[account] += 1
            if task.deadline is not None:
                late = min(late, max(0.0, task.deadline - now))
            self._push(task, max(task.first(now), now + late), ask=True)

    def join_list(self, watch: Watch) -> None:
        """Let the provider's list also poll the job, if the provider has one that may contain it."""
        polling = watch.account.provider.list_polling
        if polling is not None and (polling.takes is None or polling.takes(watch.job.id)):
            self.lists.setdefault(watch.account, ListPolling(watch.account)).watches[watch.job.id] = watch

    def _push(self, task: Task, at: float, *, ask: bool) -> None:
        task.planned = Planned(at, next(self._number), task, ask)
        heapq.heappush(self.heap, task.planned)
        if len(self.heap) > ROOM + 2 * len(self.tasks):  # most entries are of tasks that were planned anew
            self.heap = [entry for entry in self.heap if entry.task.planned is entry]
            heapq.heapify(self.heap)

    def plan(self, task: Task, at: float) -> None:
        """Plan the next request at `at`; if the deadline is earlier, plan to give up then."""
        if task.deadline is not None and at > task.deadline:
            self.plan_end(task, task.gives_up_at(self.loop.now()))
        else:
            self._push(task, at, ask=True)

    def plan_end(self, task: Task, at: float) -> None:
        """Plan to end a task at `at`, whatever was received by then."""
        self._push(task, at, ask=False)

    def queue_of(self, account: AccountState) -> WaitQueue:
        """The tasks of an account that wait for its limiter."""
        return self.queues.setdefault(account, WaitQueue(account.limiter))

    def enqueue(self, task: Task) -> None:
        """Queue a task whose time has come for its account's limiter."""
        self.queue_of(task.account).join(task, self.loop.now())

    # -- sending ------------------------------------------------------------------------------------------------------

    def act(self) -> Told:
        """Send every request whose time has come, as far as the limiters allow; end every task whose time is over."""
        context, now = self.loop.context, self.loop.now()
        while self.heap and self.heap[0].at <= now:
            entry = heapq.heappop(self.heap)
            task = entry.task
            if task.planned is not entry:  # a list's row has replaced it
                continue
            task.planned = None
            if not entry.ask:
                yield from self._expire(task)
            elif (elsewhere := task.leased_by_other(context)) is not None:
                yield from self.settle(task, elsewhere)
            elif task.parks(self):
                continue
            elif task.queues:
                self.enqueue(task)
            else:
                yield from self._send_single(task, now)
        yield from self._through(context)

    def _send_single(self, task: Task, now: float) -> Told:
        """Send a request that does not queue, unless the provider has told the account to slow down."""
        task.account.share(True)
        earliest = task.account.limiter.admit_single(task, now, submit=task.submits)
        if earliest > now:
            self.plan(task, earliest)
        else:
            yield from self._begin(task)

    def _through(self, context: Context) -> Told:
        """Send what the limiters let through; end the tasks that queue in vain."""
        for account in [account for account, queue in self.queues.items() if queue]:
            account.share(True)
        turns = deque(queue for queue in self.queues.values() if queue)
        while turns:  # the accounts take turns, so that none takes all workers
            queue = turns.popleft()
            if (task := queue.step(self.loop.now(), self.loop.transport.spare)) is not None:
                yield from self._begin(task)
                turns.append(queue)
        for queue in self.queues.values():
            for expired, why in queue.take_expired(context, self.bound):
                yield from self._expire(expired, why)

    def _begin(self, task: Task) -> Told:
        if task.ended_elsewhere() is not None:
            yield from self.settle(task, Step([]))
            return
        now = self.loop.now()
        earliest = task.reserve_slot(now)
        if earliest > now:  # another thread has just polled the same job
            task.account.limiter.leave(task)
            self.plan(task, earliest)
            return
        try:
            unsent = self._try(task, fresh=True)
        except VidpollError as error:
            if not task.alone:
                raise
            yield from self.settle(task, task.digest(error, self.loop.context))
            return
        if unsent is not None:
            yield from self._conclude(task, Fault(unsent.reason, sent=False, local=isinstance(unsent, Misconfigured)))

    def _try(self, task: Task, *, fresh: bool = False) -> NoAnswer | None:
        """Send the task's request. Raises what a builder or an account raises, but only for the first request."""
        if self.loop.closed and task.submits and not fresh:  # the responses so far may name the job
            return Misconfigured("this client was closed before a further request", sent=True)
        if self.loop.closed:
            raise UsageError("this client is closed; make a new one")
        begun = task.begun
        try:
            if fresh:
                task.call = task.ask()
            self._send(task)
        except Misconfigured as error:  # no thread: for a task that has begun, this is a passing fault
            task.begun = begun
            return NoAnswer(error.reason, sent=False) if begun else error
        except Exception as error:
            if not begun:
                raise
            log.error("%s: a request could not be built (%s)", task.account.name, type(error).__name__)
            return NoAnswer(f"the request could not be built ({type(error).__name__})", sent=False)
        return None

    def _send(self, task: Task) -> None:
        loop = self.loop
        assert task.call is not None  # it was just made, or has a further request
        wire = task.call.wire(loop.http_timeout)
        now = task.asked_at = loop.now()
        task.begun = True  # set first: Ctrl-C may follow at once
        ticket = loop.transport.begin(wire, self.inbox)
        start = now if task.deadline is None else min(now, task.deadline)  # a late request gets no extra time
        self.under_way[ticket] = (task, start + sum(wire.timeout))
        if start < now:
            self.hurried[ticket] = start + sum(wire.timeout)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def receive(self) -> Told:
        """Wait until a response arrives or something is planned, and digest what arrived."""
        if not self.open:
            return
        now = self.loop.now()
        timeout = min(self._wake_times(now)) - now
        busy = bool(self.under_way) or (self.feed is not None and self.feed.busy)
        came = self.loop.clock.get(self.inbox, timeout, busy=busy)
        for _ in range(BATCH):
            if came is None:
                break
            if not isinstance(came, Nudge):
                yield from self._digest(self._taken(came), came.outcome)
            came = None if self.inbox.empty() else self.inbox.get()
        else:
            if came is not None:
                self.inbox.put(came)
        now = self.loop.now()
        yield from self._overdue(now)
        if self.tell_at <= now:
            yield from self.tell_verdicts()

    def _wake_times(self, now: float) -> Iterator[float]:
        """The monotonic seconds at which the loop has something to do even if no response arrives."""
        yield self._given_up()
        yield from self.hurried.values()
        yield from (self.tell_at, self.loop.teller.save_due(now))
        if self.feed is not None:
            yield self.feed.wake()
        if self.heap:
            yield self.heap[0].at
        yield from (queue.wake(now, self.loop.transport.spare) for queue in self.queues.values() if queue)

    def _given_up(self) -> float:
        """The monotonic second at which the first of the requests under way is given up."""
        return next((bound for _, bound in self.under_way.values()), math.inf)

    def _taken(self, ticket: Ticket) -> Task:
        """Remove a ticket from the requests under way, and return its task."""
        self.hurried.pop(ticket, None)
        return self.under_way.pop(ticket)[0]

    def _overdue(self, now: float) -> Told:
        """Give up the requests whose time is over."""
        over = [ticket for ticket, bound in self.hurried.items() if bound <= now]
        if self._given_up() <= now:
            over += [ticket for ticket, (_, bound) in self.under_way.items() if bound <= now and ticket not in over]
        for overdue in over:
            self.loop.transport.abort(overdue)
            if overdue.aborted:  # else it has just finished, and its response is about to enter the inbox
                lost = NoAnswer(f"no complete response within {self.bound:g} s", sent=overdue.sent)
                yield from self._digest(self._taken(overdue), lost)

    def _digest(self, task: Task, outcome: Response | BaseException) -> Told:
        call = task.call
        assert call is not None  # it was sent
        received = outcome
        outcome = optional(lambda: cleared(task.account.opened, received), received)
        asked = call.request
        value: object
        try:
            value = call.take(outcome, self.loop.clock.time())
        except AnswerError as error:
            value = error
        optional(lambda: self._note(task, asked, outcome, call.secrets), None)
        if value is None and call.pending:
            task.account.limiter.spend(self.loop.now(), submit=task.submits)
            unsent = self._try(task)
            if unsent is not None:
                yield from self._digest(task, unsent)
            return
        yield from self._conclude(task, value)

    def _note(self, task: Task, asked: Request, outcome: Response | BaseException, secrets: tuple[str, ...]) -> None:
        """Record a response in the job's transcript."""
        if task.job is not None:
            self.loop.recorder.note(task.job.ref, self.loop.clock.time(), asked, outcome, secrets)

    def _conclude(self, task: Task, value: object) -> Told:
        """Hand the result of a call to its task, and plan the task's next request."""
        call, context = task.call, self.loop.context
        if call is not None:
            optional(partial(self._heed, task, call), None)
        yield from self.settle(task, self.guarded(task, lambda: task.digest(value, context)))
        task.account.share(False)
        yield from task.after(self)
        if task.planned is not None:
            task.call = None  # to save memory: ten thousand tasks may wait

    def _heed(self, task: Task, call: Call[Any]) -> None:
        """Pass what the headers of a response say to the account's limiter."""
        limiter, now = task.account.limiter, self.loop.now()
        if call.retry_after is not None:
            limiter.retry_after(now + min(call.retry_after, GOOD_HINT), now, submit=task.submits)
        if call.left is not None and not task.submits:
            limiter.rate.told(*call.left, now)

    def guarded(self, task: Task, step: Callable[[], Step]) -> Step:
        """Run a step of a task. An exception becomes a fault of this request, so that the run continues."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - the other jobs must not be affected
            log.error("%s: a response cannot be processed: %s", task.account.name, redact.trace(error))
            return task.digest(Fault(f"the response cannot be processed ({type(error).__name__})"), self.loop.context)

    # -- settling -----------------------------------------------------------------------------------------------------

    def settle(self, task: Task, step: Step) -> Told:
        """Plan the next request, or end the task; then report the events."""
        events, again_at = step
        if again_at is not None and task.deadline is not None and self.loop.now() >= task.deadline:
            events, again_at = [*events, *task.expire(self.loop.context)], None
        task.account.limiter.leave(task, ended=again_at is None)
        if again_at is None:
            self._over(task)
        else:
            self.plan(task, again_at)
        yield from self._tell(task, events)

    def _over(self, task: Task) -> None:
        self.left -= task.counts
        self.tasks.pop(task, None)
        task.ended(self)

    def _end(self, task: Task) -> None:
        """End a task that has no request under way, unless it has ended."""
        if task in self.tasks:
            task.planned = None
            task.account.limiter.leave(task, ended=True)
            self._over(task)

    def _expire(self, task: Task, why: OutcomeUnknown | None = None) -> Told:
        """End a task whose time is over."""
        task.account.limiter.leave(task, ended=True)
        self._over(task)
        yield from self._tell(task, task.expire(self.loop.context, why))

    def _tell(self, task: Task, events: Sequence[Event]) -> Told:
        """Report events to the hooks, then to the caller. Verdicts may be gathered first.

        If a hook or the caller ends the job meanwhile, the rest is outdated: the hooks have the verdict already.
        """
        teller, job, rest, last = self.loop.teller, task.job, deque(events), False
        if job is None:
            return
        final = job.final
        try:
            while rest and job.final == final:
                event = rest.popleft()
                if teller.gather and isinstance(event, (Completed, Failed)):
                    self.tell_at = min(self.tell_at, self.loop.now() + teller.gather)
                    self.verdicts.append((job, event))
                    last = True
                    continue
                teller.tell(job, event)
                if isinstance(event, GaveUp) and job.final:
                    break
                last = last or isinstance(event, (Completed, Failed, GaveUp))
                yield job, event
        finally:  # if the caller left, or Ctrl-C interrupted a hook, the remaining verdicts still count
            self.verdicts += [(job, event) for event in rest if isinstance(event, (Completed, Failed))]
        if not last and (verdict := task.ended_elsewhere()) is not None:
            self._end(task)
            yield job, verdict

    def tell_verdicts(self) -> list[tuple[Job, Event]]:
        """Report the gathered verdicts, and return them."""
        verdicts, self.verdicts, self.tell_at = self.verdicts, [], math.inf
        if verdicts:
            self.loop.teller.verdicts(verdicts)
        return verdicts

    # -- leaving ------------------------------------------------------------------------------------------------------

    def stop(self) -> Told:
        """End every open task, because `stop` is set. Responses in the inbox still count."""
        while not self.inbox.empty():
            if not isinstance(came := self.inbox.get(), Nudge):
                yield from self._digest(self._taken(came), came.outcome)
        self.heap.clear()
        self.abandon()
        for task in list(self.tasks):
            yield from self._tell(task, task.expire(self.loop.context, task.stopped(closed=self.loop.closed)))

    def let_go(self, tasks: Sequence[Task]) -> None:
        """End these tasks without events. A task whose request is under way ends with its response."""
        gone = self.tasks.keys() & set(tasks) - {task for task, _ in self.under_way.values()}
        for queue in self.queues.values():
            queue.withdraw(lambda task: task in gone)
        for task in gone:
            self._end(task)
        for polling in self.lists.values():
            if not polling.watches:
                polling.stop(self)

    def abandon(self) -> None:
        """Abort the requests under way, and release every slot."""
        for task in [task for task, _ in self.under_way.values()] + [t for q in self.queues.values() for t in q.tasks]:
            task.account.limiter.leave(task, ended=True)
        for ticket, (task, _) in self.under_way.items():
            self.loop.transport.abort(ticket)
            if ticket.aborted and ticket.shut is not None and not ticket.sent:  # its transport says what it sends
                task.unsent()
        self.under_way.clear()
        self.hurried.clear()
        self.queues.clear()
        for task in self.tasks:
            task.account.limiter.leave(task, ended=True)
