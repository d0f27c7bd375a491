"""Jobs that are served: polled because their shard is ours, and reported like the jobs of a wait.

`ServedJobs` is the teller of such a run: a keeper whose verdicts wait while the store fails. A `ServedWatch` polls only
while our shards are certainly ours. Only its deadline, or a provider that denies the job, ends it without a verdict.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import AnswerError, JobNotFound, OutcomeUnknown, UsageError, VidpollError
from ..events import Completed, Event, Failed, GaveUp
from ..faults import Fault
from ..job import Job
from ..model import Snapshot
from ..plugins import guard
from ..polling.call import Call
from ..polling.task import Context, Step
from . import records
from .keeper import Claim, Keeper
from .kept_watch import KeptWatch
from .records import KeptJob, Saved

if TYPE_CHECKING:
    from ..polling.loop import Run

log = logging.getLogger("vidpoll")

GIVES_UP, GAVE_UP = "give_up_at", "gave_up_at"
"""Fields of the facts: the Unix second at which the job is given up, and the second at which that was reported."""

SOON = 1.0
"""Seconds until the next check whether our shards are ours."""


def given_up(kept: KeptJob, now: float) -> bool:
    """Whether the job was given up; not at a moment later than `now`, when the clock was ahead."""
    at = kept.facts.get(GAVE_UP)
    return isinstance(at, (int, float)) and at <= now


class Desk(Protocol):
    """The owner of the shards in this process."""

    def trusted(self) -> bool:
        """Whether the shards are certainly still ours."""
        ...

    def has(self, watch: ServedWatch) -> bool:
        """Whether the job is still ours to poll."""
        ...

    def ended(self, watch: ServedWatch) -> None:
        """Called when a watch has ended."""
        ...

    def asks(self, late: float) -> None:
        """Called when a poll is sent, `late` seconds after its time."""
        ...


class ServedWatch(KeptWatch):
    """A `Watch` of a job in a shard of ours. It gives up at its deadline, or if the provider denies the job."""

    __slots__ = ("_desk", "_due", "_earliest", "added_at")

    alone = True

    def __init__(self, desk: Desk, kept: KeptJob, earliest: float, deadline: float, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.added_at = kept.added_at
        self.deadline = deadline
        self._desk = desk
        self._due = self._earliest = earliest

    def ask(self) -> Call[Snapshot]:
        try:
            return super().ask()
        except VidpollError:
            raise
        except Exception as error:
            raise UsageError(f"the request cannot be built ({type(error).__name__})") from error

    def first(self, now: float) -> float:
        self._due = max(super().first(now), self._earliest)
        return self._due

    def begins(self, run: Run) -> None:
        guard(f"{self.job.ref}: its provider", super().begins, run)

    def ended(self, run: Run) -> None:
        super().ended(run)
        self._desk.ended(self)

    def leased_by_other(self, context: Context) -> Step | None:
        if not self._desk.trusted():
            return Step([], context.now() + SOON)
        return super().leased_by_other(context)

    def reserve_slot(self, now: float) -> float:
        slot = super().reserve_slot(now) if self._desk.trusted() else now + SOON
        if slot <= now:
            self._desk.asks(now - self._due)
        return slot

    def digest(self, value: object, context: Context) -> Step:
        if isinstance(value, VidpollError) and not isinstance(value, AnswerError):
            value = Fault(value.message, sent=False)  # only this job's request fails; others of the account may work
        return self._kept(super().digest(value, context), context)

    def listed(self, row: Snapshot, asked_at: float, context: Context) -> Step:
        return self._kept(super().listed(row, asked_at, context), context)

    def _kept(self, step: Step, context: Context) -> Step:
        if step.again_at is None or self._desk.has(self):
            self._due = step.again_at or 0.0
            return step
        return Step([])  # another owner has the job by now

    def _hopeless(self, fault: Fault, now: float, context: Context) -> OutcomeUnknown | None:
        error = super()._hopeless(fault, now, context)
        return error if isinstance(error, JobNotFound) else None

    def account_error(self, context: Context) -> OutcomeUnknown | None:
        return None


class ServedJobs:
    """The teller of a run that serves. `heard` is called for verdicts, and jobs that were given up, after the hooks."""

    gather = Keeper.gather

    def __init__(self, keeper: Keeper, heard: Callable[[Event], None]) -> None:
        self.keeper = keeper
        self.told = 0
        """How many verdicts were reported to the hooks."""
        self.reachable = True
        """Whether the last call of the store succeeded."""
        self._heard = heard
        self._waiting: list[tuple[Job, Event]] = []  # verdicts that wait until the store works

    def enter(self, kept: Sequence[KeptJob], timeout: float) -> list[float]:
        """Serve these jobs; return, for each, the Unix second at which it is given up. Raises StoreError.

        A job without one is given up `timeout` seconds after it was submitted (or added); this is stored.
        """
        keeper, ends, fresh = self.keeper, [], []
        for each in kept:
            known = each.facts.get(GIVES_UP)
            end = known if isinstance(known, (int, float)) else (each.submitted_at or each.added_at) + timeout
            ends.append(end)
            if end != known:
                fresh.append(Saved(each.ref, {**each.facts, GIVES_UP: end}))
        if fresh:
            keeper.store.save(fresh)
        keeper.serve([each.ref for each in kept])
        return ends

    # -- telling ------------------------------------------------------------------------------------------------------

    def tell(self, job: Job, event: Event) -> None:
        """Call the hooks. A job that was given up is not served again."""
        if isinstance(event, (Completed, Failed)):
            self.verdicts([(job, event)])
            return
        self.keeper.tell(job, event)
        if isinstance(event, GaveUp):
            row = Saved(job.ref, {**records.facts(job), GAVE_UP: self.keeper.store.now()})
            self.keeper.settle(lambda: self.keeper.store.save([row]))

    def answers(self) -> None:
        """Called when the store works: store and report the verdicts that have waited for it."""
        if not self.reachable:
            self.reachable = True
            self.verdicts(())

    def verdicts(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Store verdicts, and report those that are ours; while the store fails, they wait."""
        self._waiting += told
        if self.reachable:
            told, self._waiting = self._waiting, []
            self._tell(told, self.keeper.end)

    def deliver(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Report stored verdicts that were not reported yet."""
        self._tell(told, self.keeper.claim)

    def save_due(self, now: float) -> float:
        """Like `Keeper.save_due`."""
        return self.keeper.save_due(now)

    def _tell(self, told: Sequence[tuple[Job, Event]], claim: Callable[[Sequence[Job]], Claim]) -> None:
        if not told:
            return

        def counted(jobs: Sequence[Job]) -> Claim:
            claimed = claim(jobs)

            def call() -> Mapping[str, bool | None]:
                ours = claimed()
                self.told += sum(ours.get(job.ref) is not False for job in jobs)
                return ours

            return call

        self.keeper.report(told, counted)
        for _, event in told:
            self._heard(event)
