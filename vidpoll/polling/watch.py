"""A wait for one job: when to poll next, and when to give up. The loop does the sending and the waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import (
    AnswerError,
    BadReference,
    ForeignAnswer,
    JobNotFound,
    Malformed,
    OutcomeUnknown,
    ProviderUnreachable,
    TransitionRefused,
    UnknownStatus,
    WaitNotSent,
    WaitRefused,
    WaitStopped,
    WaitTimeout,
)
from ..events import Event, GaveUp, Polled, PollFailed, Stalled
from ..faults import CONFIRMATIONS, GOOD_HINT, PAGE_PATIENCE, UNSEEN, Fault, Meaning
from ..job import Job
from ..job_state import Moment, Steps
from ..model import Problem, Request, Snapshot, State, check_job_id, is_number
from ..pacing.forecast import Forecast, Law, forecast
from ..pacing.limiter import LONG
from ..pacing.schedules import Adaptive, Schedule
from .account_state import AccountState
from .call import Call, build, optional, provider_error
from .next_step import advice, asked_at, proxy, remedy, resume_call, resume_line, wrong_address
from .task import HELD, ONE_SHOT_PATIENCE, Context, Step, Task

if TYPE_CHECKING:
    from .loop import Run


FOREIGN = 3
"""A wait ends after this many responses in a row that name the same other id."""


class Watch(Task):
    """Follows one job to its verdict, or through a single status request (`once`)."""

    __slots__ = (
        "_final", "_foreign", "_hint", "_offset", "_request", "_schedule", "_seen", "_still", "_wordless", "answer",
        "job", "once", "since", "timeout",
    )  # fmt: skip

    job: Job

    def __init__(
        self,
        job: Job,
        account: AccountState,
        schedule: Schedule,
        *,
        now: float,
        timeout: float | None = None,
        once: bool = False,
    ) -> None:
        super().__init__(account, None if timeout is None else now + timeout)
        self._request: Request | None = None
        self._hint = 0.0
        self.job = job
        self._final = job.final
        self.timeout = timeout
        self.since = now
        self.once = once
        self.answer: Snapshot | Fault | AnswerError | None = None
        """The last response: a Snapshot, or the fault or error that came instead."""
        self._schedule = schedule
        self._seen: tuple[object, ...] = ()
        self._still: float | None = None
        """The monotonic second since which nothing has changed; None once `Stalled` was reported."""
        self._wordless = False
        """Whether a response without a status word was reported."""
        self._foreign = ("", 0)
        """The other id that the last responses named, and how many of them did; "" if the last one named none."""
        self._offset: float | None = None
        """Unix seconds less monotonic seconds, for a wait that is made of steps."""
        if once:
            self.answer = Fault(HELD, 429, sent=False)
            self.deadline = now + min(ONE_SHOT_PATIENCE, ONE_SHOT_PATIENCE if timeout is None else timeout)

    def ask(self) -> Call[Snapshot]:
        status = self.account.provider.status
        if self._request is None:
            self._request = build(
                self.account.opened, status, self.job.id
            )  # builders are pure: the request is the same every time
        return Call(self.account.opened, status, self._request, self.job.id)

    def first(self, now: float) -> float:
        """Now, but not before the floor since the job's last poll is over."""
        return max(self.account.limiter.earliest_poll(self.job.id, now), self._next_step(now))

    def reserve_slot(self, now: float) -> float:
        at = self._next_step(now)
        return at if at > now else self.account.limiter.reserve_slot(self.job.id, now)

    @property
    def queues(self) -> bool:  # type: ignore[override]  # of a task that waits; a single poll does not queue
        return not self.once

    def begins(self, run: Run) -> None:
        self.job.recorded(run.recall, self.account.fetch)
        if not self.once:
            self.account.limiter.watch(self)
            run.join_list(self)

    def parks(self, run: Run) -> bool:
        polling = run.lists.get(self.account)
        return polling is not None and polling.park(self, run)

    def ended(self, run: Run) -> None:
        if self.account in run.lists:
            run.lists[self.account].forget(self.job.id)

    def gives_up_at(self, now: float) -> float:
        return now if self.once else super().gives_up_at(now)

    # -- steps --------------------------------------------------------------------------------------------------------

    def take_up(self, context: Context) -> None:
        """Continue from the previous step, which another process may have made."""
        self._set_back(context.clock.time())
        steps, now = self.job.known.steps, context.now()
        self._offset = offset = context.clock.time() - now
        if steps.since:
            self.since = min(now, steps.since - offset)
            self._foreign, self._wordless = steps.foreign, steps.wordless
            self._seen = self._moved_by(self.job.snapshot)
            self._still = None if steps.still_since is None else steps.still_since - offset
            self.streak.refusals, self.streak.missing = steps.refusals, steps.missing
            self.streak.in_a_row, self.streak.first_at = steps.in_a_row, steps.first_at - offset
            if now - self._next_step(now) > context.patience:  # a long time without polls is not an outage
                self.streak.in_a_row = 0
        if self.job.give_up_at is not None:
            self.deadline = self.job.give_up_at - offset
            self.timeout = round(max(0.0, self.deadline - self.since), 1)

    def _set_back(self, at: float) -> bool:
        """If the clock is behind the last poll, it was set back: count as if that poll were just now."""
        known = self.job.known
        ahead = known.steps.asked_at - at
        if ahead > 0:
            self.job.known = known._replace(steps=known.steps.earlier(ahead))
        return ahead > 0

    def leave_off(self, again_at: float | None) -> None:
        """Store in the job what the next step needs. The next step is at `again_at`; None if this was the last."""
        offset = self._offset
        if offset is None or self.answer is None or not self.begun:  # nothing was sent
            return
        asked_at = self.asked_at + offset
        if again_at is None:  # a later step begins anew
            steps = Steps(asked_at=asked_at, next_at=asked_at + self.account.provider.pacing.floor)
        else:
            streak = self.streak
            steps = Steps(
                self.since + offset, asked_at, again_at + offset, streak.in_a_row, streak.first_at + offset,
                streak.refusals, streak.missing, self._foreign, self._wordless,
                None if self._still is None else self._still + offset,
            )  # fmt: skip
        self.job.known = self.job.known._replace(steps=steps)

    def _next_step(self, now: float) -> float:
        """The earliest time for a poll by the previous steps."""
        return now if self._offset is None else self.job.known.steps.next_at - self._offset

    @property
    def ours(self) -> bool:
        """Whether this process polls the job."""
        return True

    def listed(self, row: Snapshot, asked_at: float, context: Context) -> Step:
        """Digest a row of a list that is not a verdict, as if it were the response to a poll."""
        self.asked_at, self._hint = asked_at, 0.0
        if self._overtaken:
            return Step([])
        try:
            changes = self.job.receive(row, context.clock.time())
        except AnswerError as error:
            return self._bad(error, context)
        return self._good(row, changes, context)

    def digest(self, value: object, context: Context) -> Step:
        at = context.clock.time()
        if self._overtaken and (isinstance(value, Snapshot) or not self.once):
            return self._late(value, at)
        self._hint = (self.call.hint if self.call is not None else None) or 0.0
        try:
            if isinstance(value, Fault) and value.meaning is Meaning.GONE:
                value = Snapshot(State.EXPIRED, problem=Problem(value.reason))
            if isinstance(value, Snapshot):
                return self._good(value, self.job.receive(value, at), context)
            if isinstance(value, UnknownStatus):
                return self._good(value, self.job.receive_unknown(value.word, at), context)
            if isinstance(value, Malformed) and value.wordless:
                return self._no_news(value, context)
        except AnswerError as error:
            value = error
        if not isinstance(value, (Fault, AnswerError)):
            value = Fault(f"the plugin's parser gave {type(value).__name__}, not a Snapshot")
        return self._bad(value, context)

    @property
    def _overtaken(self) -> bool:
        """Whether something else in this process has ended the job since this task was made."""
        return self.job.final and not self._final

    def ended_elsewhere(self) -> Event | None:
        return self.job.verdict(self.job.history[-1].at) if self._overtaken and not self.once else None

    def _late(self, value: object, at: float) -> Step:
        """Digest a response that was under way when the job ended elsewhere. It may have fresh URLs."""
        if isinstance(value, Snapshot):
            self.answer = value
            self.account.limiter.good()
            try:
                self.job.receive(value, at)
            except TransitionRefused:  # it is older than the verdict
                pass
            except AnswerError as error:
                self.answer = error
        return Step([])

    def _no_news(self, value: Malformed, context: Context) -> Step:
        """A response about this job without a status word: neither news nor a fault. Reported once."""
        self.job.receive_no_news()
        step = self._good(value, (), context)
        if self._wordless:
            return step
        self._wordless = True
        next_in = self._in(step.again_at, context.now())
        told = PollFailed(self.job.ref, context.clock.time(), str(value), None, next_in, 1)
        return Step([*step.events, told], step.again_at)

    def _good(self, value: Snapshot | UnknownStatus | Malformed, changes: tuple[Event, ...], context: Context) -> Step:
        self.answer = value
        self._foreign = ("", 0)
        self.streak.good()
        self.account.limiter.good()
        at = context.clock.time()
        snapshot = value if isinstance(value, Snapshot) else None
        if self.job.final:
            optional(lambda: self.account.learn(filter(None, [self.job.took])), None)
            return Step([Polled(self.job.ref, at, snapshot), *changes])
        expected = optional(lambda: self._forecast(self.account.law, at), None) or forecast(None, (), at)
        floor = self.asked_at + self.account.provider.pacing.floor
        due = None if self.once else optional(lambda: self._next(expected, context), floor)
        polled = Polled(self.job.ref, at, snapshot, self._in(due, context.now()), expected.eta, expected.late)
        return Step([polled, *changes, *self._stalled(snapshot, context)], due)

    def _stalled(self, snapshot: Snapshot | None, context: Context) -> tuple[Event, ...]:
        """A `Stalled` event if nothing has changed for the provider's `stalled_after`; once until something changes."""
        now = context.now()
        seen = self._moved_by(snapshot)
        if seen != self._seen:
            self._seen, self._still = seen, now
        if self._still is None or self.job.final or now - self._still < self.account.provider.pacing.stalled_after:
            return ()
        still, self._still = now - self._still, None
        return (Stalled(self.job.ref, context.clock.time(), still, self.job.stage, self.job.progress),)

    def _moved_by(self, snapshot: Snapshot | None) -> tuple[object, ...]:
        """The values whose change shows that the job makes progress."""
        told = () if snapshot is None else (snapshot.progress, snapshot.queue_position, snapshot.updated_at)
        return (self.job.state, self.job.stage, *told)

    def _history(self) -> Sequence[Moment]:
        """The job's history, with the moment of its creation first if that is known."""
        made = self.job.created_at
        return self.job.history if made is None else (Moment(made, None, None, None), *self.job.history)

    def _forecast(self, law: Law | None, at: float) -> Forecast:
        return forecast(law, self._history(), at, self.account.ranges)

    def _next(self, expected: Forecast, context: Context) -> float:
        """The time of the next poll: the schedule's gap, at least the floor, and after a hint of at most a minute."""
        floor = self.account.provider.pacing.floor
        if isinstance(self._schedule, Adaptive):
            own = self._schedule.law
            gap = self._schedule.gap(self._forecast(own, context.clock.time()) if own else expected)
        else:
            gap = self._schedule.next_gap(self._history(), context.clock.time(), context.random)
        gap = self.account.limiter.stretched(gap, context.now()) if is_number(gap) and gap > 0 else floor
        hinted = context.now() + min(self._hint, GOOD_HINT)
        earliest = max(self.asked_at + floor, hinted)
        return self._cut(max(self.asked_at + gap, earliest), earliest)

    def _cut(self, due: float, earliest: float) -> float:
        """As `Task._cut`, but a hint that ends long after the deadline is ignored there: it may be a mistake."""
        if self.deadline is not None and due - self.deadline >= LONG:
            earliest = self.asked_at + self.account.provider.pacing.floor
        return super()._cut(due, earliest)

    def _in(self, due: float | None, now: float) -> float | None:
        """Seconds until the next poll; None if there will be none."""
        over = self.deadline is not None and (now >= self.deadline or (due or 0.0) > self.deadline)
        return None if due is None or over else due - now

    def _bad(self, value: Fault | AnswerError, context: Context) -> Step:
        self.answer = value
        fault = value if isinstance(value, Fault) else Fault(str(value))
        now = context.now()
        limiter = self.account.limiter
        self.streak.bear(fault, now)
        named = value.named if isinstance(value, ForeignAnswer) else ""
        self._foreign = (named, self._foreign[1] + 1 if named == self._foreign[0] else 1)
        limiter.bear(self.job.id, fault, self.asked_at, now, context.random)
        error = self._hopeless(fault, now, context) or self.account_error(context)
        again = self._again_at(fault, context)
        due = None if self.once or error else again
        next_in = self._in(None if due is None else limiter.earliest(due), now)
        failed = PollFailed(
            self.job.ref, context.clock.time(), fault.reason, fault.status, next_in, self.streak.in_a_row
        )
        return Step([failed, *(self.expire(context, error) if error else [])], due)

    def _hopeless(self, fault: Fault, now: float, context: Context) -> OutcomeUnknown | None:
        """The error that ends the wait, if further polls make no sense; else None."""
        if self.once or fault.local:
            return None if self.once else self._not_sent(fault)
        if self.streak.refusals > 1 or (fault.page and self._refuses(fault, now, context)):
            return self._refused(fault)
        if self.streak.missing > CONFIRMATIONS and not self._unseen(context):
            return self._missing(fault)
        if self._foreign[0] and self._foreign[1] >= FOREIGN:
            return self._renamed(self._foreign[0])
        if self.streak.over(now, context.patience):
            return self._unreachable(fault, now - self.streak.first_at)
        return None

    def _refuses(self, fault: Fault, now: float, context: Context) -> bool:
        """Whether pages with status 401, 403 or 451 have lasted too long to be a bot check."""
        patience = min(PAGE_PATIENCE, context.patience)
        return fault.status in (401, 403, 451) and self.streak.over(now, patience)

    def _missing(self, fault: Fault) -> JobNotFound:
        job, name, times = self.job, self.account.provider.name, self.streak.missing
        said = f"{name} reported {times} times that it has no such job ({fault.reason})"
        look = f"Check the id, and that the account {job.account!r} submitted it; providers also delete old records"
        look = f"{look}. {asked_at(self.account.opened)}"
        if fault.page:
            said = f"{times} responses did not come from the API of {name} ({fault.reason})"
            look = f"{wrong_address(self.account.opened, self.path)}. If the base URL is right, check the id and the"
            look = f"{look} account {job.account!r}"
        return JobNotFound(f"{job.ref}: {said}. {look}. To look again: {self._resume}", job=job, resume=self._call)

    def _renamed(self, named: str) -> OutcomeUnknown | None:
        """The error of a wait whose responses all name another id."""
        job, account = self.job, self.account.opened
        try:
            check_job_id(named)
        except BadReference:
            return None
        ref = f"{job.account}:{named}"
        return JobNotFound(
            f"{job.ref}: {account.provider.name} responds with {named!r} to requests for {job.id!r}: "
            f"the server calls the job {named}. Wait for {ref} instead: {resume_line(account, ref)}",
            job=job,
            resume=resume_call(account, ref),
        )

    def account_error(self, context: Context) -> OutcomeUnknown | None:
        limiter = self.account.limiter
        if self.once or limiter.fault is None or not limiter.circuit_open:
            return None
        if limiter.refused(self.since):
            return self._refused(limiter.fault)
        lasted = limiter.over(self.since, context.patience)
        return None if lasted is None else self._unreachable(limiter.fault, lasted)

    def _not_sent(self, fault: Fault) -> WaitNotSent:
        return WaitNotSent(
            f"{self.job.ref}: this machine cannot send the request: {fault.reason}; the job continues at the provider. "
            f"Then resume: {self._resume}",
            job=self.job,
            resume=self._call,
        )

    def _refused(self, fault: Fault) -> WaitRefused:
        who = self.account.provider.name
        step = remedy(fault.status, self.account.opened)
        if fault.status == 407:
            who, step = "the proxy", f"{proxy(self.account.opened)}. "
        elif fault.page:
            who = f"a page (of {who}, or of something in between)"
            step = f"{step}{asked_at(self.account.opened)}. "
        return WaitRefused(
            f"{self.job.ref}: {who} refused the status request ({fault.reason}); the job continues at the provider. "
            f"{step}Then resume: {self._resume}",
            job=self.job,
            resume=self._call,
            status=fault.status,
            code=fault.code,
            request_id=fault.request_id,
            category=fault.category,
        )

    def _unreachable(self, fault: Fault, lasted: float) -> ProviderUnreachable:
        return ProviderUnreachable(
            f"{self.job.ref}: no usable response from {self.account.provider.name} for {lasted:.0f} s "
            f"(last: {fault.reason}); the job continues at the provider. {asked_at(self.account.opened)}. "
            f"Resume: {self._resume}",
            job=self.job,
            resume=self._call,
        )

    def _unseen(self, context: Context) -> bool:
        submitted = self.job.submitted_at
        return submitted is not None and not self.job.answers and context.clock.time() - submitted < UNSEEN

    def expire(self, context: Context, error: OutcomeUnknown | None = None) -> list[Event]:
        at = context.clock.time()
        if settled := self.job.settle(at):
            return list(settled)
        if self.once or self.job.final:
            return []
        error = error or WaitTimeout(
            f"{self.job.ref}: no verdict after {self.timeout or 0:g} s; {self._known()}. Resume: {self._resume}",
            job=self.job,
            resume=self._call,
        )
        self.job.give_up(error)
        return [GaveUp(self.job.ref, at, error)]

    def stopped(self, *, closed: bool = False) -> WaitStopped:
        """The error of a wait whose `stop` was set, or whose client was closed."""
        why = ", because its client was closed" if closed else ""
        return WaitStopped(
            f"{self.job.ref}: the wait was stopped{why}; {self._known()}. Resume: {self._resume}",
            job=self.job,
            resume=self._call,
        )

    def said(self) -> Snapshot:
        """The snapshot of a single status request. Raises the fault or error that came instead."""
        answer, job, account = self.answer, self.job, self.account.opened
        if isinstance(answer, Snapshot):
            return answer
        if isinstance(answer, AnswerError):
            answer.job = job
            raise answer
        assert isinstance(answer, Fault)
        untouched = f". The job itself is not affected{advice(answer, account, self.path)}"
        raise provider_error(job.ref, answer, job=job, advice=untouched)

    @property
    def path(self) -> str:
        """The path of the status request, below the base URL."""
        return "" if self._request is None else self._request.path

    @property
    def _call(self) -> str:
        return resume_call(self.account.opened, self.job.ref)

    @property
    def _resume(self) -> str:
        return resume_line(self.account.opened, self.job.ref)

    def _known(self) -> str:
        last = ""
        if isinstance(self.answer, Fault):
            last = f" (last response: {self.answer.reason})"
            if self.answer.status is None:
                last = f" (last request: {self.answer.reason.rstrip('.')}. {asked_at(self.account.opened)})"
        elif isinstance(self.answer, AnswerError):
            last = f" (last response: {self.answer})"
        elif self.account.limiter.circuit_open and self.account.limiter.fault is not None:
            last = f" (last fault of this account: {self.account.limiter.fault.reason})"
        if self.job.state is None and self.job.stage is None:
            return f"no status was received{last}; the job may still be running"
        progress = "" if self.job.progress is None else f" at {self.job.progress:.0f} %"
        return f"the job is {self.job.stage or self.job.state}{progress}{last} and continues at the provider"
