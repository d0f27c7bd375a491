"""Jobs that are served: asked about because their shard is ours, and told like those of a wait.

`ServedJobs` is the teller of such a run: a keeper whose verdicts wait while the store does not answer. A `ServedWatch`
asks only while our shards are ours without a doubt, and nothing that is wrong with one job ends it but its deadline.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
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
from .keeper import RENEWED, SPARE, Claim, Keeper
from .kept_watch import KeptWatch
from .records import KeptJob, Saved

if TYPE_CHECKING:
    from ..polling.loop import Run

log = logging.getLogger("vidpoll")

GIVES_UP, GAVE_UP = "give_up_at", "gave_up_at"
"""Fields of the facts: the Unix second at which nobody serves the job any more, and at which that was told."""

SOON = 1.0
"""Seconds until it is looked again whether our shards are ours."""


class Desk(Protocol):
    """Who has the shards."""

    def trusted(self) -> bool:
        """Whether they are ours without a doubt."""
        ...

    def has(self, watch: ServedWatch) -> bool:
        """Whether the job is still ours to ask about."""
        ...

    def ended(self, watch: ServedWatch) -> None:
        """A watch is over."""
        ...

    def asks(self, late: float) -> None:
        """A question is sent, so many seconds after its time."""
        ...


class ServedWatch(KeptWatch):
    """A `Watch` of a job in a shard of ours. It is given up at its deadline, and where the provider denies the job."""

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
            raise UsageError(f"the request cannot be made ({type(error).__name__})") from error

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
            value = Fault(value.message, sent=False)  # of its request: others of the account may well be made
        return self._kept(super().digest(value, context), context)

    def listed(self, row: Snapshot, asked_at: float, context: Context) -> Step:
        return self._kept(super().listed(row, asked_at, context), context)

    def _kept(self, step: Step, context: Context) -> Step:
        if step.again_at is None or self._desk.has(self):
            self._due = step.again_at or 0.0
            return step
        return Step([])  # it is another's by now

    def _hopeless(self, fault: Fault, now: float, context: Context) -> OutcomeUnknown | None:
        error = super()._hopeless(fault, now, context)
        return error if isinstance(error, JobNotFound) else None

    def account_error(self, context: Context) -> OutcomeUnknown | None:
        return None


class ServedJobs:
    """The teller of a run that serves. `heard` is told of verdicts and giving up once the hooks were."""

    gather = Keeper.gather

    def __init__(self, keeper: Keeper, heard: Callable[[Event], None]) -> None:
        self.keeper = keeper
        self.told = 0
        """Verdicts that the hooks were told of."""
        self.reachable = True
        """Whether the store has just answered."""
        self._heard = heard
        self._waiting: list[tuple[Job, Event]] = []  # verdicts, for a store that answers

    # -- jobs that come and go ----------------------------------------------------------------------------------------

    def enter(self, kept: Sequence[KeptJob], timeout: float) -> list[float]:
        """Serve these jobs; for each the Unix second at which it is given up. Raises StoreError.

        What has none is given up `timeout` seconds after it was submitted; that is kept.
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
        refs = [each.ref for each in kept]
        leases = keeper.store.lease(refs, keeper.bound + SPARE + RENEWED) if refs else records.Leases()
        with keeper._lock:
            keeper._waits.update(refs)
            keeper._held.update(dict.fromkeys(leases.mine, math.inf))
        return ends

    def follow(self, ref: str) -> None:
        """Another process has kept the verdict: the job comes to where the store has it before it is asked about."""
        self.keeper._held.pop(ref, None)

    def leave(self, jobs: Collection[Job], *, lost: bool = False) -> None:
        """Serve these no more. What changed is kept, unless the jobs were lost to another process."""
        keeper = self.keeper
        with keeper._lock:
            keeper._waits.subtract(job.ref for job in jobs)
            done = [job for job in jobs if keeper._waits[job.ref] <= 0]
            for job in done:
                del keeper._waits[job.ref]
        if not lost:
            news = {*keeper._counts, *keeper._changed}
            keeper._save([job for job in done if job.ref in news and keeper.holds(job.ref)])
        for job in done:
            for kept in (keeper._counts, keeper._changed, keeper._held):
                kept.pop(job.ref, None)

    # -- telling ------------------------------------------------------------------------------------------------------

    def tell(self, job: Job, event: Event) -> None:
        """Tell the hooks; a job that was given up is not served again."""
        if isinstance(event, (Completed, Failed)):
            self.verdicts([(job, event)])
            return
        self.keeper.tell(job, event)
        if isinstance(event, GaveUp):
            row = Saved(job.ref, {**records.facts(job), GAVE_UP: self.keeper.store.now()})
            self.keeper.settle(lambda: self.keeper.store.save([row]))

    def answers(self) -> None:
        """The store answers: verdicts that have waited for that are kept and told."""
        if not self.reachable:
            self.reachable = True
            self.verdicts(())

    def verdicts(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Keep verdicts and tell the hooks of ours; they wait for a store that does not answer."""
        self._waiting += told
        if self.reachable:
            told, self._waiting = self._waiting, []
            self._tell(told, self.keeper._end)

    def deliver(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Tell verdicts that are kept and that no hook has heard."""
        self._tell(told, self.keeper._claim)

    def save_due(self, now: float) -> float:
        """As the keeper."""
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

        self.keeper._told(told, counted)
        for _, event in told:
            self._heard(event)
