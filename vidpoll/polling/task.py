"""What the loop works on: a `Task` makes requests and plans its next one; a `WaitQueue` holds tasks that must wait.

A task decides by the rules of `faults`, `pacing` and `job`. The loop does the sending and the waiting.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ..blame import NOT_BOUGHT
from ..clock import Clock
from ..errors import AnswerError, OutcomeUnknown, UnknownStatus, VidpollError
from ..events import Event
from ..faults import JOB_CAP, FailureStreak, Fault, Meaning
from ..job import Job
from ..pacing.limiter import AccountLimiter
from .account_state import AccountState
from .call import Call

if TYPE_CHECKING:
    from .loop import Run

log = logging.getLogger("vidpoll.again")
"""Logs every retry of an operation that is not a wait; a wait reports `PollFailed` instead."""

T = TypeVar("T")

ONE_SHOT_PATIENCE = 60.0
"""Seconds for which an operation that may be repeated (list, quota, cancel, delete) is retried."""

JITTER = 0.1
"""A hint is extended by up to this share of it, at most one floor, so that not all clients return at the same time."""

HELD = "it was not sent: the provider wants this account to wait"
"""The reason of an operation that was never sent."""


class Context:
    """What a task may use of the loop: the clock, a random source, and the patience (seconds of nothing but faults)."""

    __slots__ = ("clock", "patience", "random")

    def __init__(self, clock: Clock, random: Random, patience: float) -> None:
        self.clock = clock
        self.random = random
        self.patience = patience

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()


class Step(NamedTuple):
    """What follows from a response: events, and the monotonic second of the next request (None: the task is done)."""

    events: list[Event]
    again_at: float | None = None


class Planned(NamedTuple):
    """One entry of the loop's plan, sorted by time. If `ask` is False, the task gives up at that time."""

    at: float
    number: int
    task: Task
    ask: bool


class Task:
    """One operation or wait. The loop sends its request; `digest` says when to send the next one.

    The loop does not distinguish kinds of tasks. It calls `begins` when it takes up a task, `parks` when the task's
    time has come, `after` when a response was digested, and `ended` when the task is done.
    """

    __slots__ = ("account", "asked_at", "begun", "call", "deadline", "planned", "queued_at", "streak")

    job: Job | None = None
    """The job of the task's events; None for a task without events."""

    queues = False
    """Whether it waits in the account's queue. If not, it is sent at once, and only a 429 delays it."""

    submits = False
    """Whether it is a submit: rate limits for submits then delay submits only."""

    counts = True
    """Whether the loop runs as long as this task is open."""

    alone = False
    """Whether an error in building its first request ends only this task, which digests it; else the run ends."""

    def __init__(self, account: AccountState, deadline: float | None) -> None:
        self.account = account
        self.deadline = deadline
        self.asked_at = 0.0
        self.planned: Planned | None = None
        """Its entry in the loop's plan; None while the task queues, is parked, or has a request under way."""
        self.begun = False
        """Whether a request was handed to the transport, so that a byte of it may have been sent."""
        self.queued_at = 0.0
        """When it last joined the queue."""
        self.streak = FailureStreak()
        self.call: Call[Any] | None = None
        """The last request; None while the task waits for its time."""

    def ask(self) -> Call[Any]:
        """A new call. Raises what the builder raises."""
        raise NotImplementedError

    def first(self, now: float) -> float:
        """The monotonic second of the first request."""
        return now

    def begins(self, run: Run) -> None:
        """Called when the loop takes up the task."""

    def leased_by_other(self, context: Context) -> Step | None:
        """Return None if this process should poll.

        If another process holds the lease, return the events read from the store and when to look again (None: the job
        has ended).
        """
        return None

    def parks(self, run: Run) -> bool:
        """Whether the task waits for the response to another task's request instead of sending its own."""
        return False

    def reserve_slot(self, now: float) -> float:
        """The earliest time at which the job may be polled. Returning `now` reserves the slot."""
        return now

    def digest(self, value: object, context: Context) -> Step:
        """Take in a value, a Fault or an AnswerError."""
        raise NotImplementedError

    def after(self, run: Run) -> Iterator[tuple[Job, Event]]:
        """Events of other jobs that follow from a response to this task."""
        return iter(())

    def ended_elsewhere(self) -> Event | None:
        """The verdict, if something else in this process has ended the job meanwhile: the hooks have it already."""
        return None

    def unsent(self) -> None:
        """Called when it is certain that no byte of its last request was sent."""

    def ended(self, run: Run) -> None:
        """Called when the task is done."""

    def expire(self, context: Context, error: OutcomeUnknown | None = None) -> list[Event]:
        """End the task at its deadline, or by `error`. Return the events."""
        return []

    def stopped(self, *, closed: bool = False) -> OutcomeUnknown | None:
        """The error of a task whose `stop` was set, or whose client was closed."""
        return None

    def account_error(self, context: Context) -> OutcomeUnknown | None:
        """The error that ends the wait because the account has failed for too long; None while it has not."""
        return None

    def gives_up_at(self, now: float) -> float:
        """When to give up if the next request would be after the deadline. Called only if there is a deadline."""
        return now if self.deadline is None else self.deadline

    def _again_at(self, fault: Fault, context: Context) -> float:
        """The monotonic second of the next request after a fault: after the hint, or else after the growing pause.

        A 429 holds all polls of the account, or all submits. Without a hint, many jobs are not held: the limiter has
        learnt a lower rate.
        """
        now, floor = context.now(), self.account.provider.pacing.floor
        hint, limiter = fault.hint or 0.0, self.account.limiter
        pause = hint + (context.random.uniform(0.0, min(hint * JITTER, floor)) if limiter.few else 0.0)
        if not hint:
            pause = self.streak.gap(floor, context.random, max(JOB_CAP, 2.0 * floor))
        earliest = max(self.asked_at + floor, now + hint)
        due = max(now + pause, earliest)
        if fault.status == 429 and (hint or limiter.few or self.submits):
            limiter.retry_after(Task._cut(self, now + pause, now + hint), now, submit=self.submits)
        return self._cut(due, earliest)

    def _cut(self, due: float, earliest: float) -> float:
        """Shorten the last gap so that one request falls on the deadline, unless floor or hint forbid that."""
        return due if self.deadline is None else min(due, max(self.deadline, earliest))


class OneShot(Task, Generic[T]):
    """One operation that is not a status request: submit, list, quota, cancel, delete.

    `result` is the parsed value, a Fault, or an error. `lost`: an earlier try may have done the work although no
    usable response came. `repeat`: the operation may be sent again after such a try. A request that certainly was not
    sent is always tried again, for a minute at most.
    """

    def __init__(
        self,
        account: AccountState,
        make: Callable[[], Call[T]],
        *,
        repeat: bool,
        now: float,
        patience: float = ONE_SHOT_PATIENCE,
    ) -> None:
        super().__init__(account, now + min(patience, ONE_SHOT_PATIENCE))
        self.make = make
        self.repeat = repeat
        self.submits = not repeat  # most submits are sent once
        self.lost = False
        self.refused = False
        """Whether the parser raised Refused."""
        self.result: T | Fault | VidpollError = Fault(HELD, 429, sent=False)

    def ask(self) -> Call[T]:
        return self.make()

    def gives_up_at(self, now: float) -> float:
        return now

    def digest(self, value: object, context: Context) -> Step:
        self.result = value  # type: ignore[assignment]  # the parser's word is taken for its type
        fault = Fault(str(value)) if isinstance(value, AnswerError) else value
        if not isinstance(fault, Fault):
            return Step([])
        if not fault.sent:
            self.unsent()
        self.streak.bear(fault, context.now())
        again_at = self._again_at(fault, context)
        if fault.sent and self.submits:
            assert self.call is not None  # it was sent
            self.refused = self.call.refused
            if self.call.depth:  # the first response was a success: a further one cannot undo it
                self.refused, self.result = False, fault._replace(status=None)
            if not self.repeat or self.refused or (fault.status in NOT_BOUGHT and not self.call.depth):
                return Step([])
        if fault.meaning is not Meaning.TRANSIENT or fault.status in _FINAL or isinstance(value, UnknownStatus):
            return Step([])
        self.lost = self.lost or (fault.sent and fault.status != 429)
        now, ends = context.now(), again_at if self.deadline is None else self.deadline
        if again_at <= ends:
            said = "%s: no usable response: %s; trying again in %.0f s, last try within %.0f s"
            log.warning(said, self.account.name, fault.reason, again_at - now, ends - now)
        return Step([], again_at)


_FINAL = (405, 409, 413, 422)
"""Statuses that end a one-shot operation: the same request would get the same response."""


class WaitQueue:
    """The tasks of one account whose time has come but that the limiter does not let through yet; oldest first.

    A task leaves when the limiter lets it through, when its deadline is over, or when its account has failed too long.
    """

    def __init__(self, limiter: AccountLimiter) -> None:
        self.limiter = limiter
        self.tasks: deque[Task] = deque()
        self._rounds = 0  # of the limiter, when the queue was last looked through
        self._until = math.inf  # no task's time is over before this
        self._deadline = math.inf  # no task has an earlier deadline

    def __len__(self) -> int:
        return len(self.tasks)

    def join(self, task: Task, now: float) -> None:
        """Add a task whose time has come."""
        self.limiter.queue(task)
        task.planned = None
        task.queued_at = now
        deadline = math.inf if task.deadline is None else task.deadline
        self._deadline = min(self._deadline if self.tasks else math.inf, deadline)
        self.tasks.append(task)
        self._until = min(self._until, deadline)

    def step(self, now: float, spare: int) -> Task | None:
        """The next task, if the limiter lets it through. Its time in the queue does not count for its own streak."""
        if not self.tasks:
            return None
        task = self.tasks[0] if self.limiter.admit(self.tasks[0], now, spare) else self._last(now)
        if task is None:
            return None
        self.tasks.remove(task)
        task.streak.first_at += now - task.queued_at
        return task

    def _last(self, now: float) -> Task | None:
        """A task whose deadline has come, if its account is held until long after that deadline."""
        if now < self._deadline:
            return None
        due = (task for task in self.tasks if task.deadline is not None and task.deadline <= now)
        return next((task for task in due if self.limiter.admit_last(task, task.deadline or now, now)), None)

    def withdraw(self, unwanted: Callable[[Task], bool]) -> list[Task]:
        """Remove and return the tasks that are `unwanted`."""
        out = [task for task in self.tasks if unwanted(task)]
        for task in out:
            self.tasks.remove(task)
            self.limiter.leave(task, ended=True)
        return out

    def wake(self, now: float, spare: int) -> float:
        """The monotonic second at which to look at the queue again."""
        return min(self._until, self.limiter.opens(now, spare))

    def take_expired(self, context: Context, bound: float) -> list[tuple[Task, OutcomeUnknown | None]]:
        """Remove the tasks that wait in vain; return each with the error that ends its wait (None: the deadline).

        If the account is well, a task still gets its request on the deadline, up to `bound` seconds late. If the
        account is held or its circuit is open, it does not.
        """
        now = context.now()
        if not self.tasks or (now < self._until and self._rounds == self.limiter.rounds):
            return []
        grace = bound if self.limiter.well(now) else 0.0
        kept: deque[Task] = deque()
        over: list[tuple[Task, OutcomeUnknown | None]] = []
        until = math.inf
        for task in self.tasks:
            error = task.account_error(context)
            deadline = math.inf if task.deadline is None else task.deadline
            last = deadline if now < deadline else deadline + grace
            if error or last <= now:
                self.limiter.leave(task)
                over.append((task, error))
            else:
                kept.append(task)
                until = min(until, last)
        self.tasks, self._until, self._rounds = kept, until, self.limiter.rounds
        return over
