"""What there is to ask about: a `Watch` follows a job to its verdict, an `OneShot` is one operation.

A task decides when to ask again and when to give up, by the rules of `faults`, `pacing` and `machine`. Nothing is sent
here and nobody waits: the loop does both.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Generic, TypeVar

from ..clock import Clock
from ..errors import (
    AnswerError,
    OutcomeUnknown,
    UnknownStatus,
)
from ..events import Event
from ..faults import FailureStreak, Fault, Meaning
from ..pacing.limiter import AccountLimiter
from .account_state import AccountState
from .call import Call

T = TypeVar("T")

GOOD_HINT = 60.0
"""Seconds: a hint on a good answer is not followed for longer."""

ERRAND_PATIENCE = 60.0
"""Seconds for which an operation that may be repeated (list, quota, cancel, delete) is tried again."""


class Context:
    """What a task may know of the loop: the clock, a random source, and the seconds of faults that are borne."""

    __slots__ = ("clock", "patience", "random")

    def __init__(self, clock: Clock, random: Random, patience: float) -> None:
        self.clock = clock
        self.random = random
        self.patience = patience

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()


class Task:
    """One thing to ask about. The loop sends its question, and `digest` says when to ask again (None: it is done)."""

    __slots__ = ("account", "asked_at", "begun", "call", "deadline", "patience", "planned", "queued_at", "single")

    def __init__(self, account: AccountState, deadline: float | None) -> None:
        self.account = account
        self.deadline = deadline
        self.asked_at = 0.0
        self.planned = -1
        """The number of its entry in the loop's plan; -1 where it has none."""
        self.begun = False
        """Whether anything was sent."""
        self.single = True
        """One call, one question: it does not stand in line at the account's gate, and is held by a 429 alone."""
        self.queued_at = 0.0
        """When it last joined the line."""
        self.patience = FailureStreak()
        self.call: Call[Any] | None = None
        """The one that was asked last; a task that waits has none."""

    def ask(self) -> Call[Any]:
        """A fresh question. Raises what the builder raises."""
        raise NotImplementedError

    def first(self, now: float) -> float:
        """When to ask first, as a monotonic second."""
        return now

    def leased_by_other(self, context: Context) -> tuple[list[Event], float | None] | None:
        """None: ask. Else somebody else asks: what is known from there, and when to look again (None: it is done)."""
        return None

    def claim(self, now: float) -> float:
        """From when on it may be asked; where that is `now`, it is being asked."""
        return now

    def digest(self, value: object, context: Context) -> tuple[list[Event], float | None]:
        """Take in a value, a Fault or an AnswerError: the events, and the monotonic second of the next question."""
        raise NotImplementedError

    def expire(self, context: Context, error: OutcomeUnknown | None = None) -> list[Event]:
        """The deadline is over, or `error` ended the wait."""
        raise NotImplementedError

    def account_error(self, context: Context) -> OutcomeUnknown | None:
        """The error that ends the wait, asked or not, once it makes no sense to ask the account again."""
        return None

    def gives_up_at(self, now: float) -> float:
        """When to give up, where the next question would come after the deadline; asked only where there is one."""
        return now if self.deadline is None else self.deadline

    def _after(self, fault: Fault, context: Context) -> float:
        """When to ask again after a fault; a 429 holds the whole account."""
        now, floor = context.now(), self.account.provider.pacing.floor
        earliest = max(self.asked_at + floor, now + (fault.hint or 0.0))
        due = self._cut(max(now + self.patience.gap(floor, context.random), earliest), earliest)
        if fault.status == 429:
            self.account.limiter.hold(due)
        return due

    def _cut(self, due: float, earliest: float) -> float:
        """The last gap is cut so that one question falls on the deadline, unless floor or hint forbid it."""
        return due if self.deadline is None else min(due, max(self.deadline, earliest))


class OneShot(Task, Generic[T]):
    """One operation that is not a status question: submit, list, quota, cancel, delete.

    `result` is the parsed value, a Fault, or an AnswerError; `lost` tells whether an earlier try may have done the work
    although no good answer came. `repeat` tells whether it may be sent again after such a try; what certainly was not
    sent is always sent again, for a minute at most.
    """

    def __init__(self, account: AccountState, make: Callable[[], Call[T]], *, repeat: bool, now: float) -> None:
        super().__init__(account, now + ERRAND_PATIENCE)
        self.ask = make  # type: ignore[method-assign]  # as it is asked for
        self.repeat = repeat
        self.lost = False
        self.refused = False
        """Whether the parser raised Refused."""
        self.result: T | Fault | AnswerError = Fault(HELD, 429, sent=False)

    def gives_up_at(self, now: float) -> float:
        return now

    def digest(self, value: object, context: Context) -> tuple[list[Event], float | None]:
        self.result = value  # type: ignore[assignment]  # the parser's word is taken for its type
        fault = Fault(str(value)) if isinstance(value, AnswerError) else value
        if not isinstance(fault, Fault):
            return [], None
        self.patience.bear(fault, context.now())
        due = self._after(fault, context)
        if fault.sent and not self.repeat:
            assert self.call is not None  # it was sent
            self.refused = self.call.refused
            if self.call.depth:  # the first answer was good: what a further one says cannot undo it
                self.refused, self.result = False, fault._replace(status=None)
            return [], None
        if fault.meaning is not Meaning.TRANSIENT or fault.status in _FINAL or isinstance(value, UnknownStatus):
            return [], None
        self.lost = self.lost or (fault.sent and fault.status != 429)
        return [], due

    def expire(self, context: Context, error: OutcomeUnknown | None = None) -> list[Event]:
        return []


class WaitQueue:
    """Tasks of one account, oldest first."""

    def __init__(self, limiter: AccountLimiter) -> None:
        self.limiter = limiter
        self.tasks: deque[Task] = deque()
        self._rounds = 0  # of the gate, when the line was last looked through
        self._until = math.inf  # until when nobody's time is over

    def __len__(self) -> int:
        return len(self.tasks)

    def join(self, task: Task, now: float) -> None:
        """A task whose time has come."""
        self.limiter.queue(task)
        task.queued_at = now
        self.tasks.append(task)
        self._until = min(self._until, math.inf if task.deadline is None else task.deadline)

    def step(self, now: float, spare: int) -> Task | None:
        """The next one, if the gate lets it through. What it stood here is the account's patience, not its own."""
        if not (self.tasks and self.limiter.admit(self.tasks[0], now, spare)):
            return None
        task = self.tasks.popleft()
        task.patience.first_at += now - task.queued_at
        return task

    def withdraw(self, unwanted: Callable[[Task], bool]) -> list[Task]:
        """Take out those who need not be asked about any more."""
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

        In a line at an account that is well, the question on the deadline is still owed: it may be sent late, within
        the `bound` seconds of a request. Where the account is held or in trouble, it is not.
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


_FINAL = (405, 409, 413, 422)
"""Statuses that end an errand: sent again it would be answered the same."""

HELD = "it was not sent: the provider wants this account to wait"
