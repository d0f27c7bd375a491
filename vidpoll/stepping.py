"""One step of a wait, for an engine that has its own clock: at most one question, and nobody sleeps.

What a wait keeps in memory between two questions stands in the job here (`job_state.Steps`): its dump, or a store,
takes it to the next step. The rules are those of a wait, as it is the same `Watch` that asks.
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
    """What `Client.step` brought: the events, a verdict the last one, and in how many seconds to call it again.

    `next_in` is None where no further step is needed: `job.final`, or `job.error` says why the outcome is unknown.
    """

    events: tuple[Event, ...]
    next_in: float | None


def of_step(keeper: Keeper | NoKeeper, job: Job | str) -> Job:
    """The job of a step. Raises UsageError for a reference alone where nothing is kept."""
    if isinstance(job, Job):
        return job
    if isinstance(keeper, NoKeeper):
        raise UsageError(
            f"step({job!r}): a client without a store needs the Job, since the next step goes on with what this one "
            "leaves in it: vidpoll.load(data) of vidpoll.dump(job), or Client(store=…)"
        )
    return Job(job)


def step(loop: Loop, keeper: Keeper | NoKeeper, job: Job, account: AccountState, schedule: Schedule) -> Step:
    """Ask about a job where its time has come. Hooks are told, and facts kept, as in a wait."""
    elsewhere, _ = keeper.catch_up(job, -1) if job.history else ([], -1)  # whoever steps by reference knew nothing
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
    """A run of one question. What a run would wait for is noted instead."""

    def __init__(self, loop: Loop, watch: Watch) -> None:
        self._at: float | None = None
        super().__init__(loop, [watch])

    def take(self, watch: Watch) -> Step:
        """Ask, or not; what came of it."""
        told: list[tuple[Job, Event]] = []
        try:
            while self.heap or self.under_way:
                told += self.act()
                if self.under_way:
                    told += self.receive()
            next_in = self._next_in(watch) if self.left else None
        finally:
            self.abandon()
            told += self.tell_verdicts()  # an answer in hand counts
        return Step(tuple(event for _, event in told if not isinstance(event, Polled)), next_in)

    def _next_in(self, watch: Watch) -> float:
        now = self.loop.now()
        at = watch.account.limiter.opens(now, self.loop.transport.spare) if self._at is None else self._at
        return max(0.0, min(at, math.inf if watch.deadline is None else watch.deadline) - now)

    def join_list(self, watch: Watch) -> None:
        """No page of a list is read for one job."""

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
            task.leave_off(step.again_at)  # before it is told: facts are kept then
        yield from super().settle(task, step)
