"""What there is to ask about: a `Watch` follows a job to its verdict, an `Errand` is one operation.

A task decides when to ask again and when to give up, by the rules of `faults`, `pacing` and `machine`. Nothing is sent
here and nobody waits: the loop does both.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Generic, TypeVar

from .accounts import Endpoint
from .clock import Clock
from .errors import (
    AnswerError,
    JobNotFound,
    OutcomeUnknown,
    ProviderUnreachable,
    UnknownStatus,
    WaitRefused,
    WaitStopped,
    WaitTimeout,
)
from .faults import CONFIRMATIONS, UNSEEN, Fault, Meaning, Patience
from .forecast import Forecast, forecast
from .machine import Event, GaveUp, Job, Moment, Polled, PollFailed, Stalled
from .model import Problem, Request, Snapshot, State, is_number
from .pacing import Adaptive, Schedule
from .question import Question, build

T = TypeVar("T")

GOOD_HINT = 60.0
"""Seconds: a hint on a good answer is not followed for longer."""

ERRAND_PATIENCE = 60.0
"""Seconds for which an operation that may be repeated (list, quota, cancel, delete) is tried again."""


class Setting:
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

    __slots__ = ("asked_at", "begun", "deadline", "endpoint", "patience", "planned", "question", "queued_at", "single")

    def __init__(self, endpoint: Endpoint, deadline: float | None) -> None:
        self.endpoint = endpoint
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
        self.patience = Patience()
        self.question: Question[Any] | None = None
        """The one that was asked last; a task that waits has none."""

    def ask(self) -> Question[Any]:
        """A fresh question. Raises what the builder raises."""
        raise NotImplementedError

    def first(self, now: float) -> float:
        """When to ask first, as a monotonic second."""
        return now

    def elsewhere(self, setting: Setting) -> tuple[list[Event], float | None] | None:
        """None: ask. Else somebody else asks: what is known from there, and when to look again (None: it is done)."""
        return None

    def claim(self, now: float) -> float:
        """From when on it may be asked; where that is `now`, it is being asked."""
        return now

    def digest(self, value: object, setting: Setting) -> tuple[list[Event], float | None]:
        """Take in a value, a Fault or an AnswerError: the events, and the monotonic second of the next question."""
        raise NotImplementedError

    def expire(self, setting: Setting, error: OutcomeUnknown | None = None) -> list[Event]:
        """The deadline is over, or `error` ended the wait."""
        raise NotImplementedError

    def account_error(self, setting: Setting) -> OutcomeUnknown | None:
        """The error that ends the wait, asked or not, once it makes no sense to ask the account again."""
        return None

    def gives_up_at(self, now: float) -> float:
        """When to give up, where the next question would come after the deadline; asked only where there is one."""
        return now if self.deadline is None else self.deadline

    def _after(self, fault: Fault, setting: Setting) -> float:
        """When to ask again after a fault; a 429 holds the whole account."""
        now, floor = setting.now(), self.endpoint.provider.pacing.floor
        earliest = max(self.asked_at + floor, now + (fault.hint or 0.0))
        due = self._cut(max(now + self.patience.gap(floor, setting.random), earliest), earliest)
        if fault.status == 429:
            self.endpoint.gate.hold(due)
        return due

    def _cut(self, due: float, earliest: float) -> float:
        """The last gap is cut so that one question falls on the deadline, unless floor or hint forbid it."""
        return due if self.deadline is None else min(due, max(self.deadline, earliest))


class Watch(Task):
    """Follows one job to its verdict, or through a single question (`once`)."""

    __slots__ = ("_hint", "_request", "_schedule", "_seen", "_still", "answer", "job", "once", "since", "timeout")

    def __init__(
        self,
        job: Job,
        endpoint: Endpoint,
        schedule: Schedule,
        *,
        now: float,
        timeout: float | None = None,
        once: bool = False,
    ) -> None:
        super().__init__(endpoint, None if timeout is None else now + timeout)
        self._request: Request | None = None
        self._hint = 0.0
        self.job = job
        self.timeout = timeout
        self.since = now
        self.once = self.single = once
        self.answer: Snapshot | Fault | AnswerError | None = None
        """The last answer, good or not."""
        self._schedule = schedule
        self._seen: tuple[object, ...] = ()
        self._still: float | None = None
        """Since when nothing has changed, as a monotonic second; None once that was told."""
        if once:
            self.answer = Fault(_HELD, 429, sent=False)
            self.deadline = now + ERRAND_PATIENCE

    def ask(self) -> Question[Snapshot]:
        status = self.endpoint.provider.status
        if self._request is None:
            self._request = build(self.endpoint, status, self.job.id)  # builders are pure: it is the same every time
        return Question(self.endpoint, status, self._request, self.job.id)

    def first(self, now: float) -> float:
        """At once, but not below the floor since the job was last asked about."""
        return self.endpoint.gate.free(self.job.id, now)

    def claim(self, now: float) -> float:
        return self.endpoint.gate.claim(self.job.id, now)

    def gives_up_at(self, now: float) -> float:
        return now if self.once else super().gives_up_at(now)

    @property
    def ours(self) -> bool:
        """Whether it is this program that asks about the job."""
        return True

    def listed(self, row: Snapshot, asked_at: float, setting: Setting) -> tuple[list[Event], float | None]:
        """Take in a row of a list that is no verdict, as if it had been asked for alone."""
        self.asked_at, self._hint = asked_at, 0.0
        return self._good(row, self.job.receive(row, setting.clock.time()), setting)

    def digest(self, value: object, setting: Setting) -> tuple[list[Event], float | None]:
        at = setting.clock.time()
        self._hint = (self.question.hint if self.question is not None else None) or 0.0
        try:
            if isinstance(value, Fault) and value.meaning is Meaning.GONE:
                value = Snapshot(State.EXPIRED, problem=Problem(value.reason))
            if isinstance(value, Snapshot):
                return self._good(value, self.job.receive(value, at), setting)
            if isinstance(value, UnknownStatus):
                return self._good(value, self.job.receive_unknown(value.word, at), setting)
        except AnswerError as error:
            value = error
        if not isinstance(value, (Fault, AnswerError)):
            value = Fault(f"the plugin's parser gave {type(value).__name__}, not a Snapshot")
        return self._bad(value, setting)

    def _good(
        self, value: Snapshot | UnknownStatus, changes: tuple[Event, ...], setting: Setting
    ) -> tuple[list[Event], float | None]:
        self.answer = value
        self.patience.good()
        self.endpoint.gate.good()
        at = setting.clock.time()
        snapshot = value if isinstance(value, Snapshot) else None
        if self.job.final:
            self.endpoint.learn(filter(None, [self.job.took]))
            return [Polled(self.job.ref, at, snapshot), *changes], None
        expected = forecast(self.endpoint.law, self._history(), at)
        due = None if self.once else self._next(expected, setting)
        polled = Polled(self.job.ref, at, snapshot, self._in(due, setting.now()), expected.eta, expected.late)
        return [polled, *changes, *self._stalled(snapshot, setting)], due

    def _stalled(self, snapshot: Snapshot | None, setting: Setting) -> tuple[Event, ...]:
        """An event where nothing has changed for as long as the provider's window; told once, until something moves."""
        told = () if snapshot is None else (snapshot.progress, snapshot.queue_position, snapshot.updated_at)
        now = setting.now()
        seen = (self.job.state, self.job.stage, *told)
        if seen != self._seen:
            self._seen, self._still = seen, now
        if self._still is None or self.job.final or now - self._still < self.endpoint.provider.pacing.stalled_after:
            return ()
        still, self._still = now - self._still, None
        return (Stalled(self.job.ref, setting.clock.time(), still, self.job.stage, self.job.progress),)

    def _history(self) -> Sequence[Moment]:
        """What was seen, from the second on at which the job was made, where that is known."""
        made = self.job.created_at
        return self.job.history if made is None else (Moment(made, None, None, None), *self.job.history)

    def _next(self, expected: Forecast, setting: Setting) -> float:
        """The gap of the schedule, not below the floor; a hint of the provider is followed for a minute at most."""
        floor = self.endpoint.provider.pacing.floor
        if isinstance(self._schedule, Adaptive) and self._schedule.law is None:
            gap = self._schedule.gap(expected)
        else:
            gap = self._schedule.next_gap(self._history(), setting.clock.time(), setting.random)
        gap = self.endpoint.gate.stretched(gap, setting.now()) if is_number(gap) and gap > 0 else floor
        hinted = setting.now() + min(self._hint, GOOD_HINT)
        earliest = max(self.asked_at + floor, hinted)
        return self._cut(max(self.asked_at + gap, earliest), earliest)

    def _in(self, due: float | None, now: float) -> float | None:
        """Seconds until the next question; None where none will be asked."""
        over = self.deadline is not None and (now >= self.deadline or (due or 0.0) > self.deadline)
        return None if due is None or over else due - now

    def _bad(self, value: Fault | AnswerError, setting: Setting) -> tuple[list[Event], float | None]:
        self.answer = value
        fault = value if isinstance(value, Fault) else Fault(str(value))
        now = setting.now()
        gate = self.endpoint.gate
        self.patience.bear(fault, now)
        gate.bear(self.job.id, fault, self.asked_at, now, setting.random)
        error = self._hopeless(fault, now, setting) or self.account_error(setting)
        again = self._after(fault, setting)
        due = None if self.once or error else again
        next_in = self._in(None if due is None else gate.earliest(due), now)
        failed = PollFailed(
            self.job.ref, setting.clock.time(), fault.reason, fault.status, next_in, self.patience.in_a_row
        )
        return [failed, *(self.expire(setting, error) if error else [])], due

    def _hopeless(self, fault: Fault, now: float, setting: Setting) -> OutcomeUnknown | None:
        """The error that ends the wait, once it makes no sense to ask again."""
        if self.once:
            return None
        job, name = self.job, self.endpoint.provider.name
        if self.patience.refusals > 1:
            return self._refused(fault)
        if self.patience.missing > CONFIRMATIONS and not self._unseen(setting):
            return JobNotFound(
                f"{job.ref}: {name} says {self.patience.missing} times that it has no such job. Check the id, and that "
                f"the account {job.account!r} is the one that submitted it; records are also deleted after a while. "
                f"To look again: {self._resume}",
                job=job,
                resume=self._call,
            )
        if self.patience.over(now, setting.patience):
            return self._unreachable(fault, now - self.patience.first_at)
        return None

    def account_error(self, setting: Setting) -> OutcomeUnknown | None:
        gate = self.endpoint.gate
        if self.once or gate.fault is None or not gate.trouble:
            return None
        if gate.refused(self.since):
            return self._refused(gate.fault)
        lasted = gate.over(self.since, setting.patience)
        return None if lasted is None else self._unreachable(gate.fault, lasted)

    def _refused(self, fault: Fault) -> WaitRefused:
        return WaitRefused(
            f"{self.job.ref}: {self.endpoint.provider.name} refuses to tell ({fault.reason}); the job itself goes on. "
            f"{_REMEDY.get(fault.status or 0, '')}Then resume: {self._resume}",
            job=self.job,
            resume=self._call,
            kind=fault.kind,
            status=fault.status,
            code=fault.code,
            request_id=fault.request_id,
        )

    def _unreachable(self, fault: Fault, lasted: float) -> ProviderUnreachable:
        return ProviderUnreachable(
            f"{self.job.ref}: no good answer from {self.endpoint.provider.name} for {lasted:.0f} s "
            f"(last: {fault.reason}); the job itself goes on. Resume: {self._resume}",
            job=self.job,
            resume=self._call,
        )

    def _unseen(self, setting: Setting) -> bool:
        submitted = self.job.submitted_at
        return submitted is not None and not self.job.answers and setting.clock.time() - submitted < UNSEEN

    def expire(self, setting: Setting, error: OutcomeUnknown | None = None) -> list[Event]:
        at = setting.clock.time()
        if settled := self.job.settle(at):
            return list(settled)
        if self.once:
            return []
        error = error or WaitTimeout(
            f"{self.job.ref}: no verdict after {self.timeout or 0:g} s; {self._known()}. Resume: {self._resume}",
            job=self.job,
            resume=self._call,
        )
        self.job.give_up(error)
        return [GaveUp(self.job.ref, at, error)]

    def stopped(self) -> WaitStopped:
        """The error of a wait whose `stop` was set."""
        return WaitStopped(
            f"{self.job.ref}: the wait was stopped; {self._known()}. Resume: {self._resume}",
            job=self.job,
            resume=self._call,
        )

    @property
    def _call(self) -> str:
        """The line of Python that goes on; an account that only this client knows needs this client."""
        return self.job.resume("vidpoll" if self.endpoint.standard else "client")

    @property
    def _resume(self) -> str:
        """The command that goes on, or else the line of Python."""
        return f"vidpoll wait {shlex.quote(self.job.ref)}" if self.endpoint.standard else self._call

    def _known(self) -> str:
        last = ""
        if isinstance(self.answer, Fault):
            last = f" (last answer: {self.answer.reason})"
        elif isinstance(self.answer, AnswerError):
            last = f" (last answer: {self.answer})"
        elif self.endpoint.gate.trouble and self.endpoint.gate.fault is not None:
            last = f" (last answer to the account: {self.endpoint.gate.fault.reason})"
        if self.job.state is None and self.job.stage is None:
            return f"nothing was heard of it{last}, and it may well go on"
        progress = "" if self.job.progress is None else f" at {self.job.progress:.0f} %"
        return f"it is {self.job.stage or self.job.state}{progress}{last} and goes on at the provider"


_REMEDY = {
    400: "Check the id. ",
    401: "Check the key. ",
    402: "Check the balance. ",
    403: "Check what the key may do. ",
    451: "Ask the provider for its reason. ",
}


class Errand(Task, Generic[T]):
    """One operation that is not a status question: submit, list, quota, cancel, delete.

    `result` is the parsed value, a Fault, or an AnswerError; `lost` tells whether an earlier try may have done the work
    although no good answer came. `repeat` tells whether it may be sent again after such a try; what certainly was not
    sent is always sent again, for a minute at most.
    """

    def __init__(self, endpoint: Endpoint, make: Callable[[], Question[T]], *, repeat: bool, now: float) -> None:
        super().__init__(endpoint, now + ERRAND_PATIENCE)
        self.ask = make  # type: ignore[method-assign]  # as it is asked for
        self.repeat = repeat
        self.lost = False
        self.refused = False
        """Whether the parser raised Refused."""
        self.result: T | Fault | AnswerError = Fault(_HELD, 429, sent=False)

    def gives_up_at(self, now: float) -> float:
        return now

    def digest(self, value: object, setting: Setting) -> tuple[list[Event], float | None]:
        self.result = value  # type: ignore[assignment]  # the parser's word is taken for its type
        fault = Fault(str(value)) if isinstance(value, AnswerError) else value
        if not isinstance(fault, Fault):
            return [], None
        self.patience.bear(fault, setting.now())
        due = self._after(fault, setting)
        if fault.sent and not self.repeat:
            assert self.question is not None  # it was sent
            self.refused = self.question.refused
            if self.question.depth:  # the first answer was good: what a further one says cannot undo it
                self.refused, self.result = False, fault._replace(status=None)
            return [], None
        if fault.meaning is not Meaning.BLIP or fault.status in _FINAL or isinstance(value, UnknownStatus):
            return [], None
        self.lost = self.lost or (fault.sent and fault.status != 429)
        return [], due

    def expire(self, setting: Setting, error: OutcomeUnknown | None = None) -> list[Event]:
        return []


_FINAL = (405, 409, 413, 422)
"""Statuses that end an errand: sent again it would be answered the same."""

_HELD = "it was not sent: the provider wants this account to wait"
