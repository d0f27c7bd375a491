"""The conversation with providers: one job or ten thousand, one loop. It runs in the calling thread.

The calling thread holds the schedule, the state of every job and the hooks; HTTP runs in worker threads that hand back
whole answers. A `Task` is one thing to ask about: a `Watch` follows a job to its verdict, an `Errand` is one operation.
What an answer means is decided here by the pure rules of `faults`, `pacing` and `machine`; nothing here knows a
provider, reads a clock by itself or imports a network library.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from queue import SimpleQueue
from random import Random
from typing import Any, Generic, TypeVar

from . import redact
from .accounts import Endpoint, Wire
from .clock import Clock
from .errors import (
    KINDS,
    AnswerError,
    JobNotFound,
    OutcomeUnknown,
    PluginError,
    ProviderError,
    ProviderUnreachable,
    Refused,
    UnknownStatus,
    UsageError,
    VidpollError,
    WaitRefused,
    WaitStopped,
    WaitTimeout,
)
from .faults import CONFIRMATIONS, UNSEEN, Fault, Meaning, NoAnswer, Patience, exhausted, hint, status_of
from .machine import Event, GaveUp, Job, Polled, PollFailed
from .model import Problem, Request, Response, Snapshot, State, is_number
from .pacing import Schedule
from .provider import Follow, Operation
from .workers import Ticket, Workers

log = logging.getLogger("vidpoll")

T = TypeVar("T")

MAX_FOLLOWS = 2
GOOD_HINT = 60.0
"""Seconds: a hint on a good answer is not followed for longer."""

ERRAND_PATIENCE = 60.0
"""Seconds for which an operation that may be repeated (list, quota, cancel, delete) is tried again."""


class Question(Generic[T]):
    """One question to a provider: a request, and the second and third one that its parser may ask for."""

    def __init__(self, endpoint: Endpoint, operation: Operation[T], request: Request, job_id: str = "") -> None:
        self.endpoint = endpoint
        self.job_id = job_id
        self.request = request
        self.hint: float | None = None
        """Seconds for which the last answer asks to leave this job alone."""
        self.hold: float | None = None
        """Seconds for which it asks to leave the whole account alone."""
        self.refused = False
        """Whether the parser raised Refused: the provider's own word, whatever the HTTP status was."""
        self._max_body = operation.max_body
        self._parse: Callable[[Response, str], T | Follow[T]] = operation.parse
        self._verdicts = operation.verdicts
        self._fallback: T | None = None
        self.depth = 0
        """How many further answers were asked for."""
        self.pending = False

    def wire(self, timeout: tuple[float, float]) -> Wire:
        """The request that is to be sent now."""
        return self.endpoint.wire(self.request, timeout=timeout, max_body=self._max_body)

    def take(self, outcome: Response | BaseException, now: float) -> T | Fault | None:
        """What the answer says; with `pending` set, a further request (`self.request`) has to be sent first.

        Raises AnswerError for an answer that cannot be read. `now` is Unix seconds.
        """
        self.pending = False
        try:
            value = self._read(outcome, now)
        except AnswerError:
            if self._fallback is None:
                raise
            return self._fallback
        if isinstance(value, Fault) and self._fallback is not None:
            return self._fallback
        if not isinstance(value, Follow):
            return value
        self._fallback = value.fallback if value.fallback is not None else self._fallback
        if self.depth == MAX_FOLLOWS:
            fault = Fault(f"the plugin asks for more than {MAX_FOLLOWS} further answers")
            return fault if self._fallback is None else self._fallback
        self.depth += 1
        self.pending = True
        self.request, self._parse, self._verdicts = value.request, value.parse, value.verdicts
        return None

    def _read(self, outcome: Response | BaseException, now: float) -> T | Follow[T] | Fault:
        if isinstance(outcome, BaseException):
            lost = outcome if isinstance(outcome, NoAnswer) else NoAnswer(f"{type(outcome).__name__} in a worker")
            return Fault(lost.reason, sent=lost.sent or self.depth > 0)  # the first request was sent, and answered
        response = self.endpoint.scrub(outcome)
        self.hint, self.hold = hint(response, now), exhausted(response, now)
        if not (200 <= response.status < 300 or response.status in self._verdicts):
            return self._fault(response)
        try:
            return self._parse(response, self.job_id)
        except Refused as refused:
            self.refused = True
            reason = redact.text(refused.message) or refused.kind
            return Fault(reason, status_of(refused), refused.code, self.hint)
        except Exception as error:
            if response.status in self._verdicts:  # the body was no verdict, so the status is what it says
                return self._fault(response)
            if isinstance(error, AnswerError):
                raise
            if not isinstance(error, VidpollError):
                log.error("%s: the parser raised %s", self.endpoint.provider.name, redact.trace(error))
            return Fault(f"the plugin's parser raised {redact.text(repr(error), limit=120)}")

    def _fault(self, response: Response) -> Fault:
        try:
            problem = self.endpoint.provider.error(response)
            reason, code, details = str(problem), problem.code, problem.details
        except Exception as error:  # noqa: BLE001 - reading an error must not make a worse one
            reason, code, details = f"unreadable error ({type(error).__name__})", None, {}
        # A 404 or 410 for a further request says nothing about the job: the first answer knew it.
        status = 502 if self.depth and response.status in (404, 410) else response.status
        shown = reason if f"HTTP {response.status}" in reason else f"HTTP {response.status}: {reason}"
        request_id = next(filter(None, (response.header(h) for h in ("x-request-id", "request-id", "trace-id"))), None)
        return Fault(shown, status, code, self.hint, True, details, request_id and redact.text(request_id, limit=80))


def build(endpoint: Endpoint, operation: Operation[Any], *args: object) -> Request:
    """What the plugin's builder makes. Raises its UsageError, and PluginError for whatever else goes wrong in it."""
    try:
        request = operation.request(*args)
    except VidpollError:
        raise
    except Exception as error:
        said = redact.text(f"{type(error).__name__}: {error}", limit=120)
        raise PluginError(f"{endpoint.provider.name}: the plugin cannot make the request ({said})") from error
    if not isinstance(request, Request):
        raise PluginError(f"{endpoint.provider.name}: the plugin made {type(request).__name__}, not a vidpoll.Request")
    return request


def provider_error(who: str, fault: Fault, *, job: Job | None = None, advice: str = "") -> ProviderError:
    """The typed error of a refusal."""
    kind = KINDS[fault.kind]
    details = fault.details if isinstance(fault.details, dict) else None
    request_id = f" [request {fault.request_id}]" if fault.request_id else ""
    return kind(
        f"{who}: {fault.reason}{request_id}{advice}",
        job=job,
        status=fault.status,
        code=fault.code,
        details=details,
        request_id=fault.request_id,
    )


class Task:
    """One thing to ask about. The loop sends its question, and `digest` says when to ask again (None: it is done)."""

    def __init__(self, endpoint: Endpoint, make: Callable[[], Question[Any]], deadline: float | None) -> None:
        self.endpoint = endpoint
        self.deadline = deadline
        self.asked_at = 0.0
        self.begun = False
        """Whether anything was sent."""
        self.patience = Patience()
        self.ask = make
        """Makes a fresh question. Raises what the builder raises."""
        self.question: Question[Any]

    def first(self, now: float) -> float:
        """When to ask first, as a monotonic second."""
        return now

    def digest(self, value: object, loop: Loop) -> tuple[list[Event], float | None]:
        """Take in a value, a Fault or an AnswerError: the events, and the monotonic second of the next question."""
        raise NotImplementedError

    def expire(self, loop: Loop, error: OutcomeUnknown | None = None) -> list[Event]:
        """The deadline is over, or `error` ended the wait."""
        raise NotImplementedError

    def lapse(self, now: float) -> float:
        """When to give up, where the next question would come after the deadline; asked only where there is one."""
        return now if self.deadline is None else self.deadline

    def _after(self, fault: Fault, loop: Loop) -> float:
        """When to ask again after a fault; a 429 holds the whole account."""
        now, floor = loop.now(), self.endpoint.provider.pacing.floor
        earliest = max(self.asked_at + floor, now + (fault.hint or 0.0))
        due = self._cut(max(now + self.patience.gap(floor, loop.random), earliest), earliest)
        if fault.status == 429:
            self.endpoint.not_before = max(self.endpoint.not_before, due)
        return due

    def _cut(self, due: float, earliest: float) -> float:
        """The last gap is cut so that one question falls on the deadline, unless floor or hint forbid it."""
        return due if self.deadline is None else min(due, max(self.deadline, earliest))


class Watch(Task):
    """Follows one job to its verdict, or through a single question (`once`)."""

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
        status = endpoint.provider.status
        super().__init__(
            endpoint,
            lambda: Question(endpoint, status, build(endpoint, status, job.id), job.id),
            None if timeout is None else now + timeout,
        )
        self.job = job
        self.timeout = timeout
        self.once = once
        self.answer: Snapshot | Fault | AnswerError | None = None
        """The last answer, good or not."""
        self._schedule = schedule
        if once:
            self.answer = Fault(_HELD, 429, sent=False)
            self.deadline = now + ERRAND_PATIENCE

    def first(self, now: float) -> float:
        """At once, but not below the floor since the job was last asked about."""
        last = self.endpoint.asked.get(self.job.id)
        return now if last is None else max(now, last + self.endpoint.provider.pacing.floor)

    def lapse(self, now: float) -> float:
        return now if self.once else super().lapse(now)

    def digest(self, value: object, loop: Loop) -> tuple[list[Event], float | None]:
        at = loop.clock.time()
        try:
            if isinstance(value, Fault) and value.meaning is Meaning.GONE:
                value = Snapshot(State.EXPIRED, problem=Problem(value.reason))
            if isinstance(value, Snapshot):
                return self._good(value, self.job.receive(value, at), loop)
            if isinstance(value, UnknownStatus):
                return self._good(value, self.job.receive_unknown(value.word, at), loop)
        except AnswerError as error:
            value = error
        if not isinstance(value, (Fault, AnswerError)):
            value = Fault(f"the plugin's parser gave {type(value).__name__}, not a Snapshot")
        return self._bad(value, loop)

    def _good(
        self, value: Snapshot | UnknownStatus, changes: tuple[Event, ...], loop: Loop
    ) -> tuple[list[Event], float | None]:
        self.answer = value
        self.patience.good()
        due = None if self.job.final or self.once else self._next(loop)
        snapshot = value if isinstance(value, Snapshot) else None
        polled = Polled(self.job.ref, loop.clock.time(), snapshot, self._in(due, loop.now()))
        return [polled, *changes], due

    def _next(self, loop: Loop) -> float:
        """The gap of the schedule, not below the floor; a hint of the provider is followed for a minute at most."""
        floor = self.endpoint.provider.pacing.floor
        gap = self._schedule.next_gap(self.job.history, loop.clock.time(), loop.random)
        hinted = loop.now() + min(self.question.hint or 0.0, GOOD_HINT)
        earliest = max(self.asked_at + floor, hinted)
        return self._cut(max(self.asked_at + (gap if is_number(gap) else floor), earliest), earliest)

    def _in(self, due: float | None, now: float) -> float | None:
        """Seconds until the next question; None where none will be asked."""
        over = self.deadline is not None and (now >= self.deadline or (due or 0.0) > self.deadline)
        return None if due is None or over else due - now

    def _bad(self, value: Fault | AnswerError, loop: Loop) -> tuple[list[Event], float | None]:
        self.answer = value
        fault = value if isinstance(value, Fault) else Fault(str(value))
        now = loop.now()
        self.patience.bear(fault, now)
        error = None if self.once else self._hopeless(fault, now, loop)
        again = self._after(fault, loop)
        due = None if self.once or error else again
        failed = PollFailed(
            self.job.ref, loop.clock.time(), fault.reason, fault.status, self._in(due, now), self.patience.in_a_row
        )
        return [failed, *(self.expire(loop, error) if error else [])], due

    def _hopeless(self, fault: Fault, now: float, loop: Loop) -> OutcomeUnknown | None:
        """The error that ends the wait, once it makes no sense to ask again."""
        job, name = self.job, self.endpoint.provider.name
        if self.patience.refusals > 1:
            return WaitRefused(
                f"{job.ref}: {name} refuses to tell ({fault.reason}); the job itself goes on. "
                f"{_REMEDY.get(fault.status or 0, '')}Then resume: vidpoll wait {job.ref}",
                job=job,
                kind=fault.kind,
                status=fault.status,
                code=fault.code,
                request_id=fault.request_id,
            )
        if self.patience.missing > CONFIRMATIONS and not self._unseen(loop):
            return JobNotFound(
                f"{job.ref}: {name} says {self.patience.missing} times that it has no such job. Check the id, and that "
                f"the account {job.account!r} is the one that submitted it; records are also deleted after a while. "
                f"To look again: vidpoll wait {job.ref}",
                job=job,
            )
        if self.patience.over(now, loop.patience):
            return ProviderUnreachable(
                f"{job.ref}: no good answer from {name} for {now - self.patience.first_at:.0f} s "
                f"(last: {fault.reason}); the job itself goes on. Resume: vidpoll wait {job.ref}",
                job=job,
            )
        return None

    def _unseen(self, loop: Loop) -> bool:
        submitted = self.job.submitted_at
        return submitted is not None and not self.job.answers and loop.clock.time() - submitted < UNSEEN

    def expire(self, loop: Loop, error: OutcomeUnknown | None = None) -> list[Event]:
        at = loop.clock.time()
        if settled := self.job.settle(at):
            return list(settled)
        if self.once:
            return []
        error = error or WaitTimeout(
            f"{self.job.ref}: no verdict after {self.timeout or 0:g} s; {self._known()}. "
            f"Resume: vidpoll wait {self.job.ref}",
            job=self.job,
        )
        self.job.give_up(error)
        return [GaveUp(self.job.ref, at, error)]

    def stopped(self) -> WaitStopped:
        """The error of a wait whose `stop` was set."""
        return WaitStopped(
            f"{self.job.ref}: the wait was stopped; {self._known()}. Resume: vidpoll wait {self.job.ref}", job=self.job
        )

    def _known(self) -> str:
        last = ""
        if isinstance(self.answer, Fault):
            last = f" (last answer: {self.answer.reason})"
        elif isinstance(self.answer, AnswerError):
            last = f" (last answer: {self.answer})"
        if self.job.state is None and self.job.stage is None:
            return f"nothing was heard of it{last}, and it may well go on"
        progress = "" if self.job.progress is None else f" at {self.job.progress:.0f} %"
        return f"it is {self.job.stage or self.job.state}{progress}{last} and goes on at the provider"


_REMEDY = {
    400: "Check the id. ",
    401: "Check the key. ",
    402: "Check the balance. ",
    403: "Check what the key may do. ",
}


class Errand(Task, Generic[T]):
    """One operation that is not a status question: submit, list, quota, cancel, delete.

    `result` is the parsed value, a Fault, or an AnswerError; `lost` tells whether an earlier try may have done the work
    although no good answer came. `repeat` tells whether it may be sent again after such a try; what certainly was not
    sent is always sent again, for a minute at most.
    """

    def __init__(self, endpoint: Endpoint, make: Callable[[], Question[T]], *, repeat: bool, now: float) -> None:
        super().__init__(endpoint, make, now + ERRAND_PATIENCE)
        self.repeat = repeat
        self.lost = False
        self.refused = False
        """Whether the parser raised Refused."""
        self.result: T | Fault | AnswerError = Fault(_HELD, 429, sent=False)

    def lapse(self, now: float) -> float:
        return now

    def digest(self, value: object, loop: Loop) -> tuple[list[Event], float | None]:
        self.result = value  # type: ignore[assignment]  # the parser's word is taken for its type
        fault = Fault(str(value)) if isinstance(value, AnswerError) else value
        if not isinstance(fault, Fault):
            return [], None
        self.patience.bear(fault, loop.now())
        due = self._after(fault, loop)
        if fault.sent and not self.repeat:
            self.refused = self.question.refused
            if self.question.depth:  # the first answer was good: what a further one says cannot undo it
                self.refused, self.result = False, replace(fault, status=None)
            return [], None
        if fault.meaning is not Meaning.BLIP or fault.status in _FINAL or isinstance(value, UnknownStatus):
            return [], None
        self.lost = self.lost or (fault.sent and fault.status != 429)
        return [], due

    def expire(self, loop: Loop, error: OutcomeUnknown | None = None) -> list[Event]:
        return []


_FINAL = (405, 409, 413, 422)
"""Statuses that end an errand: sent again it would be answered the same."""

_HELD = "it was not sent: the provider wants this account to wait"


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
        self.clock = clock
        self.workers = workers
        self.send = send
        self.tell = tell
        self.http_timeout = http_timeout
        self.patience = patience
        self.random = random
        self.closed = False
        """Set when the client is closed: nothing is sent any more."""

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

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
        self.inbox: SimpleQueue[Ticket] = SimpleQueue()
        self.under_way: dict[Ticket, tuple[Task, float]] = {}  # oldest first, so soonest bound first
        self.order = count()
        self.heap: list[tuple[float, int, Task, bool]] = []  # due, tie-break, task, ask (or else give up)
        for task in tasks:
            self._push(task, task.first(loop.now()), ask=True)

    @property
    def open(self) -> bool:
        return bool(self.heap or self.under_way)

    def _push(self, task: Task, due: float, *, ask: bool) -> None:
        heapq.heappush(self.heap, (due, next(self.order), task, ask))

    def _plan(self, task: Task, due: float) -> None:
        """Ask at `due`; where the deadline comes before it, give up there."""
        if task.deadline is not None and due > task.deadline:
            self._push(task, task.lapse(self.loop.now()), ask=False)
        else:
            self._push(task, due, ask=True)

    def act(self) -> Iterator[tuple[Task, Event]]:
        """Send every question whose time has come; end every task whose time is over."""
        now = self.loop.now()
        while self.heap and self.heap[0][0] <= now:
            _, _, task, ask = heapq.heappop(self.heap)
            if not ask:
                yield from self._told(task, task.expire(self.loop))
            elif task.endpoint.not_before > now:  # the account was told to slow down
                self._plan(task, task.endpoint.not_before)
            else:
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
        if isinstance(task, Watch):
            task.endpoint.note(task.job.id, now)
        ticket = loop.workers.send(lambda ticket: loop.send(wire, ticket), self.inbox)
        self.under_way[ticket] = (task, now + sum(loop.http_timeout))

    def receive(self) -> Iterator[tuple[Task, Event]]:
        """Wait until something came or is due, and digest what came."""
        if not self.open:
            return
        bounds = [bound for _, bound in islice(self.under_way.values(), 1)] + [entry[0] for entry in self.heap[:1]]
        ticket = self.loop.clock.get(self.inbox, min(bounds) - self.loop.now(), busy=bool(self.under_way))
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
            yield from self._digest(task, NoAnswer(f"no whole answer within {sum(self.loop.http_timeout):g} s"))

    def _digest(self, task: Task, outcome: Response | BaseException) -> Iterator[tuple[Task, Event]]:
        loop = self.loop
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
        if task.question.hold is not None:
            task.endpoint.not_before = max(task.endpoint.not_before, loop.now() + min(task.question.hold, GOOD_HINT))
        events, due = task.digest(value, loop)
        if due is not None and task.deadline is not None and loop.now() >= task.deadline:
            events += task.expire(loop)
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
        tasks = [entry[2] for entry in self.heap] + [task for task, _ in self.under_way.values()]
        self.heap.clear()
        self.abandon()
        for task in tasks:
            error = task.stopped() if isinstance(task, Watch) else None
            yield from self._told(task, task.expire(self.loop, error))

    def abandon(self) -> None:
        """Let go of what is under way."""
        for ticket in self.under_way:
            self.loop.workers.abort(ticket)
        self.under_way.clear()
