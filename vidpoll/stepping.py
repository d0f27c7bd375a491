"""One step of a wait, for an engine that has its own clock: at most one poll, and no sleep.

The job holds what a wait keeps in memory between two polls (`job_state.Steps`); its dump, or a store, carries it to the
next step. The rules are those of a wait, because the same `Watch` does the polling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .errors import UsageError
from .events import Event, Polled
from .job import Job
from .pacing.schedules import Schedule
from .polling.account_state import AccountState
from .polling.loop import Loop, Run, Told
from .polling.task import Step as TaskStep
from .polling.task import Task
from .polling.watch import Watch
from .storage.keeper import Keeper
from .storage.no_keeper import NoKeeper


@dataclass(frozen=True, slots=True)
class Step:
    """The result of `Client.step`: the events (a verdict is the last one), and the seconds until the next step.

    `next_in` is None if no further step is needed: `job.final` is True, or `job.error` says why the outcome is unknown.
    """

    events: tuple[Event, ...]
    next_in: float | None


def of_step(keeper: Keeper | NoKeeper, job: Job | str) -> Job:
    """The job of a step. Raises UsageError for a reference if the client has no store."""
    if isinstance(job, Job):
        return job
    if isinstance(keeper, NoKeeper):
        raise UsageError(
            f"step({job!r}): without a store, step needs the Job of the step before, which holds its counts: pass "
            "vidpoll.load(data) of vidpoll.dump(job), or make the client with Client(store=…)"
        )
    return Job(job)


def step(loop: Loop, keeper: Keeper | NoKeeper, job: Job, account: AccountState, schedule: Schedule) -> Step:
    """Poll a job if it is time. Hooks are called, and facts stored, as in a wait."""
    elsewhere, _ = keeper.catch_up(job, -1) if job.history else ([], -1)  # a new Job of a reference has no history
    keeper.enter([job], [account.opened])
    with keeper.waiting([job]):
        watch = keeper.follow(job, account, schedule, now=loop.now())
        verdict = job.verdict(loop.clock.time())
        if watch is None:
            return Step(() if verdict is None else (verdict,), None)
        watch.take_up(loop.context)
        taken = _Turn(loop, watch).take(watch)
    return replace(taken, events=(*elsewhere, *taken.events))


class _Turn(Run):
    """A run of one poll. It records the time of the next poll instead of waiting for it."""

    def __init__(self, loop: Loop, watch: Watch) -> None:
        self._at: float | None = None
        super().__init__(loop, [watch])

    def take(self, watch: Watch) -> Step:
        """Poll if it is time, and return the result."""
        told: list[tuple[Job, Event]] = []
        try:
            while self.heap or self.under_way:
                told += self.act()
                if self.under_way:
                    told += self.receive()
            next_in = self._next_in(watch) if self.left else None
        finally:
            self.abandon()
            told += self.tell_verdicts()  # a received response counts
        return Step(tuple(event for _, event in told if not isinstance(event, Polled)), next_in)

    def _next_in(self, watch: Watch) -> float:
        now = self.loop.now()
        at = watch.account.limiter.opens(now, self.loop.transport.spare) if self._at is None else self._at
        return max(0.0, min(at, math.inf if watch.deadline is None else watch.deadline) - now)

    def join_list(self, watch: Watch) -> None:
        """Do nothing: one step never reads a list for a single job."""

    def plan(self, task: Task, at: float) -> None:
        self._push(task, at, ask=True)

    def _push(self, task: Task, at: float, *, ask: bool) -> None:
        now = self.loop.now()
        late = task.deadline is not None and task.deadline <= now
        if at <= now or late:
            super()._push(task, now, ask=ask and at <= now)
        else:
            self._at = at

    def settle(self, task: Task, step: TaskStep) -> Told:
        if isinstance(task, Watch):
            task.leave_off(step.again_at)  # before the hooks are called: the facts are stored then
        yield from super().settle(task, step)
