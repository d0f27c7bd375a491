"""What the loop works on: a `Task` makes requests and says when to ask again; a `WaitQueue` holds those that must wait.

A task decides by the rules of `faults`, `pacing` and `job`. Nothing is sent here and nobody waits: the loop does both.
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
from ..errors import AnswerError, OutcomeUnknown, UnknownStatus
from ..events import Event
from ..faults import JOB_CAP, FailureStreak, Fault, Meaning
from ..job import Job
from ..pacing.limiter import AccountLimiter
from .account_state import AccountState
from .call import Call

if TYPE_CHECKING:
    from .loop import Run

log = logging.getLogger("vidpoll.again")
"""Hears of every operation that is not a wait when it is tried again; a wait tells `PollFailed`."""

T = TypeVar("T")

ONE_SHOT_PATIENCE = 60.0
"""Seconds for which an operation that may be repeated (list, quota, cancel, delete) is tried again."""

JITTER = 0.1
"""Up to such a share of a hint is waited longer, a floor at most, so that not all who heard it come back at once."""

HELD = "it was not sent: the provider wants this account to wait"
"""Why an operation was not sent at all."""


class Context:
    """What a task may know of the loop: the clock, a random source, and for how many seconds faults are borne."""

    __slots__ = ("clock", "patience", "random")

    def __init__(self, clock: Clock, random: Random, patience: float) -> None:
        self.clock = clock
        self.random = random
        self.patience = patience

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()


class Step(NamedTuple):
    """What a task makes of an answer: the events, and the monotonic second of its next request (None: it is done)."""

    events: list[Event]
    again_at: float | None = None


class Planned(NamedTuple):
    """One entry of the loop's plan, sorted by time. `ask` is False where the task gives up at that time."""

    at: float
    number: int
    task: Task
    ask: bool


class Task:
    """One thing to ask about. The loop sends its request, and `digest` says when to ask again.

    The loop knows no kinds of tasks. It calls `begins` when it takes a task up, `parks` when its time has come, `after`
    when an answer was digested, and `ended` when it is done.
    """

    __slots__ = ("account", "asked_at", "begun", "call", "deadline", "planned", "queued_at", "streak")

    job: Job | None = None
    """The job that its events are about; None for a task that gives none."""

    queues = False
    """Whether it waits in the account's queue. If not, it is sent at once, and only a 429 delays it."""

    submits = False
    """Whether it makes a job: what the provider says about such requests holds no others."""

    counts = True
    """Whether the loop goes on for its sake."""

    alone = False
    """Whether what its first request raises ends it alone: it digests the error. Else it ends the run."""

    def __init__(self, account: AccountState, deadline: float | None) -> None:
        self.account = account
        self.deadline = deadline
        self.asked_at = 0.0
        self.planned: Planned | None = None
        """Its entry in the loop's plan; None while it queues, is parked, or its request is under way."""
        self.begun = False
        """Whether anything was sent."""
        self.queued_at = 0.0
        """When it last joined the queue."""
        self.streak = FailureStreak()
        self.call: Call[Any] | None = None
        """The last request; None while the task waits for its time."""

    def ask(self) -> Call[Any]:
        """A fresh call. Raises what the builder raises."""
        raise NotImplementedError

    def first(self, now: float) -> float:
        """When to ask first, as a monotonic second."""
        return now

    def begins(self, run: Run) -> None:
        """The loop takes the task up."""

    def leased_by_other(self, context: Context) -> Step | None:
        """Return None if this process should poll.

        If another process holds the lease, return the events read from the store and when to look again (None: the job
        has ended).
        """
        return None

    def parks(self, run: Run) -> bool:
        """Whether the task waits for the answer to another task's request instead of sending its own."""
        return False

    def reserve_slot(self, now: float) -> float:
        """The earliest time at which the job may be polled. Returning `now` reserves the slot."""
        return now

    def digest(self, value: object, context: Context) -> Step:
        """Take in a value, a Fault or an AnswerError."""
        raise NotImplementedError

    def after(self, run: Run) -> Iterator[tuple[Job, Event]]:
        """What else follows from an answer of this task."""
        return iter(())

    def ended(self, run: Run) -> None:
        """The task is done."""

    def expire(self, context: Context, error: OutcomeUnknown | None = None) -> list[Event]:
        """The deadline is over, or `error` ended the wait. Return the events of that."""
        return []

    def stopped(self) -> OutcomeUnknown | None:
        """The error of a task whose `stop` was set."""
        return None

    def account_error(self, context: Context) -> OutcomeUnknown | None:
        """The error that ends the wait, asked or not, once it makes no sense to ask the account again."""
        return None

    def gives_up_at(self, now: float) -> float:
        """When to give up if the next request would come after the deadline; asked only where there is a deadline."""
        return now if self.deadline is None else self.deadline

    def _again_at(self, fault: Fault, context: Context) -> float:
        """When to ask again after a fault: after the hint, or else the pause.

        A 429 holds all questions, or all submits. Without a hint a crowd is slowed by what it teaches, not held.
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
        """Cut the last gap so that one request falls on the deadline, unless floor or hint forbid it."""
        return due if self.deadline is None else min(due, max(self.deadline, earliest))


class OneShot(Task, Generic[T]):
    """One operation that does not ask for a job's status: submit, list, quota, cancel, delete.

    `result` is the parsed value, a Fault, or an AnswerError; `lost` tells whether an earlier try may have done the work
    although no good answer came. `repeat` tells whether it may be sent again after such a try; what certainly was not
    sent is always sent again, for a minute at most.
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
        self.result: T | Fault | AnswerError = Fault(HELD, 429, sent=False)

    def ask(self) -> Call[T]:
        return self.make()

    def gives_up_at(self, now: float) -> float:
        return now

    def digest(self, value: object, context: Context) -> Step:
        self.result = value  # type: ignore[assignment]  # the parser's word is taken for its type
        fault = Fault(str(value)) if isinstance(value, AnswerError) else value
        if not isinstance(fault, Fault):
            return Step([])
        self.streak.bear(fault, context.now())
        again_at = self._again_at(fault, context)
        if fault.sent and self.submits:
            assert self.call is not None  # it was sent
            self.refused = self.call.refused
            if self.call.depth:  # the first answer was good: what a further one says cannot undo it
                self.refused, self.result = False, fault._replace(status=None)
            if not self.repeat or self.refused or (fault.status in NOT_BOUGHT and not self.call.depth):
                return Step([])
        if fault.meaning is not Meaning.TRANSIENT or fault.status in _FINAL or isinstance(value, UnknownStatus):
            return Step([])
        self.lost = self.lost or (fault.sent and fault.status != 429)
        now, ends = context.now(), again_at if self.deadline is None else self.deadline
        if again_at <= ends:
            said = "%s: no news: %s; again in %.0f s, for %.0f s at most"
            log.warning(said, self.account.name, fault.reason, again_at - now, ends - now)
        return Step([], again_at)


_FINAL = (405, 409, 413, 422)
"""Statuses that end a one-shot operation: sent again it would be answered the same."""


class WaitQueue:
    """The tasks of one account whose time has come, and whose limiter does not let them through yet; oldest first.

    A task leaves when it is let through, when its deadline is over, or when its account is hopeless.
    """

    def __init__(self, limiter: AccountLimiter) -> None:
        self.limiter = limiter
        self.tasks: deque[Task] = deque()
        self._rounds = 0  # of the limiter, when the queue was last looked through
        self._until = math.inf  # until when nobody's time is over
        self._deadline = math.inf  # no task here has an earlier one

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
        """The next task, if the limiter lets it through. The time it queued counts for the account's streak alone."""
        if not self.tasks:
            return None
        task = self.tasks[0] if self.limiter.admit(self.tasks[0], now, spare) else self._last(now)
        if task is None:
            return None
        self.tasks.remove(task)
        task.streak.first_at += now - task.queued_at
        return task

    def _last(self, now: float) -> Task | None:
        """A task whose deadline has come, if its account is held until long after it."""
        if now < self._deadline:
            return None
        due = (task for task in self.tasks if task.deadline is not None and task.deadline <= now)
        return next((task for task in due if self.limiter.admit_last(task, task.deadline or now, now)), None)

    def withdraw(self, unwanted: Callable[[Task], bool]) -> list[Task]:
        """Take out the tasks that need not be sent any more."""
        out = [task for task in self.tasks if unwanted(task)]
        for task in out:
            self.tasks.remove(task)
            self.limiter.leave(task, ended=True)
        return out

    def wake(self, now: float, spare: int) -> float:
        """When to look again."""
        return min(self._until, self.limiter.opens(now, spare))

    def take_expired(self, context: Context, bound: float) -> list[tuple[Task, OutcomeUnknown | None]]:
        """Take out those who wait in vain, with the error that ends their wait (None: the deadline).

        At an account that is well, the request on the deadline is still owed: it may be sent late, within the `bound`
        seconds of a request. Where the account is held or its circuit is open, it is not.
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
