"""The life of a batch's rows after they are bought: the wait, the files, the cost, and what follows.

`Rows` knows the rows, the store and the hooks; `runner` decides which row is sent next. A verdict is settled in the
store before the row ends here; the next run resumes rows that are not settled.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import OutcomeUnknown, VidpollError, WaitStopped
from ..events import Completed, Event, Failed, GaveUp
from ..job import Job
from ..model import Cost
from ..pacing.schedules import Schedule
from ..polling.account_state import AccountState
from ..polling.call import build, optional
from ..polling.loop import Loop
from ..polling.task import Task
from ..storage.keeper import Keeper
from ..storage.records import KeptJob, KeptRow, Order
from . import refusal
from .lanes import Desk, Lane
from .options import Money, unit_of
from .progress import RowResult, RowRun
from .retries import REJECTED, Follows, Retries, after_failure, after_take

if TYPE_CHECKING:
    from ..downloads.background import Outcome

PARALLEL = 4
"""Rows whose files are fetched at once."""

LOOK = 5.0
"""Seconds between two reads of the store for the progress of other processes."""

FETCHED_ELSEWHERE = "is being fetched by another process"
"""What `downloads.save` reports for a file that another process is downloading."""

UNSAVED = 3
"""Consecutive rows whose files could not be saved, after which nothing more is bought: the disk may be full."""

RATE = 30.0
"""Seconds for which an account sends nothing after it reported too many requests or could not be reached."""

LONGEST = 3600.0
"""Seconds from the submit for which the batch waits for a job, or longer by LATE."""

LATE = 10.0
"""The wait lasts this many times the longest typical duration of the provider's jobs, if that is more than LONGEST."""

LAST_LOOK = 60.0
"""Seconds for which the batch waits for a job whose waiting time is over already."""

FETCHING = 600.0
"""Seconds for which the batch leases a job to download its files after another process had the lease."""


class Hooks(Protocol):
    """The hooks by which plugins decide about rows and are notified of the batch."""

    def during(self, jobs: Sequence[Job], action: str) -> Any: ...

    def admit(self, row: object) -> str: ...

    def accept(self, row: object, paths: Sequence[Path]) -> str: ...

    def batch_changed(self, batch: object, rows: object) -> None: ...

    def batch_stopped(self, batch: object, stop: object, text: str) -> None: ...

    def batch_ended(self, batch: object, text: str) -> None: ...


@dataclass(frozen=True)
class Host:
    """What a batch uses of its client."""

    loop: Loop
    keeper: Keeper
    hooks: Hooks
    schedule: Schedule
    state: Callable[[str], AccountState]


@dataclass(frozen=True)
class Terms:
    """What a batch may do: its name in the store, the money, the time, and how often a row is tried again.

    `until` is a Unix second after which nothing is submitted. `target` returns the path of a row's file, without a
    suffix; `arrived` is called with each row whose files are saved.
    """

    name: str
    retries: Retries = field(default_factory=Retries)
    budget: Money | None = None
    limit: int | None = None
    until: float | None = None
    target: Callable[[RowRun], Path] | None = None
    arrived: Callable[[RowRun], None] = lambda row: None


class Rows:
    """The rows of a batch. `results` are the rows that ended since they were last taken."""

    def __init__(self, host: Host, terms: Terms) -> None:
        from ..downloads.background import Background  # it imports requests, which reading a verdict does not need
        from ..downloads.save import Stem

        self.host = host
        self.terms = terms
        self._stem = Stem
        self.store = host.keeper.store
        self.rows: dict[str, RowRun] = {}
        self.results: deque[RowResult] = deque()
        self.full: dict[str, float] = {}
        """By unit: the least price for which the budget has no room."""
        self.limited = False
        """Whether the limit of jobs is reached."""
        self.files = Background(host.loop, host.state, host.keeper.tell, parallel=PARALLEL, deadline=None)
        self._fresh: list[Task] = []
        self._replaced: list[Task] = []
        """Watches of rows whose id now belongs to another row."""
        self._jobs: dict[str, RowRun] = {}
        self._elsewhere: set[RowRun] = set()
        self._unsaved = 0
        """Consecutive rows whose files could not be saved."""
        self._strangers: dict[str, ExitStack] = {}
        self._given_up: set[str] = set()
        """Jobs of unknown outcome, by reference: they hold their slots."""
        self._entered: list[tuple[RowRun, KeptRow]] = []
        self._look_at = math.inf
        self._changed = True
        """Whether something happened that may make room for a row."""

    def heard(self, job: Job, event: Event) -> None:
        """Handle an event of a job from the loop."""
        row = self._jobs.get(job.ref)
        if isinstance(event, GaveUp) and not isinstance(event.error, WaitStopped):
            self._given_up.add(job.ref)
        if job.ref in self._strangers and isinstance(event, (Completed, Failed, GaveUp)):
            self._strangers[job.ref].close()
            self._changed = True
        if row is None or row.job is not job or row.state != "running":  # another watch of it, for its slot
            return
        if isinstance(event, (Completed, Failed)):
            self._verdict(row)
        elif isinstance(event, GaveUp):
            self._gave_up(row, event.error)

    def _look_up(self, row: RowRun) -> None:
        """Look up the job of a row whose submit has an unknown outcome."""
        raise NotImplementedError

    def _too_late(self, at: float) -> bool:
        clock = self.host.loop.clock
        return self.terms.until is not None and clock.time() + (at - clock.monotonic()) >= self.terms.until

    def _back(self, row: RowRun, why: str) -> None:
        """Put a row back at the head of its queue."""
        row.lane.move(row, "waiting")
        row.lane.queue.rotate(1)
        row.why = why

    def _sleep(self, desk: Desk, told: refusal.Told, now: float) -> None:
        """Pause the account until its quota resets; stop it if that time is unknown or too late."""
        clock = self.host.loop.clock
        left = told.hint or (desk.reset_at or 0.0) - clock.time()
        if left <= 0 or self._too_late(now + left):
            desk.stop("quota", told.said)
        else:
            desk.pause(now + left, "quota")

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _follow(self, row: RowRun, job: Job, events: Sequence[Event] = (), *, fresh: bool = False) -> None:
        """Wait for the row's job. A fresh one is already kept; `events` come from the response to its submit."""
        host, account = self.host, row.lane.desk.account
        row.job, row.problem, row.category = job, "", ""
        self._elsewhere.discard(row)
        if self._in_use(job, row):
            self._leave_to_other(row)
            return
        self._jobs[job.ref] = row
        if not fresh:
            host.keeper.enter([job], [account.opened])
        if not self._may_ask(row, job):
            return
        row.open = ExitStack()
        row.open.enter_context(host.hooks.during([job], "wait"))
        row.open.enter_context(host.keeper.waiting([job]))
        row.lane.move(row, "running")
        for event in events:
            optional(partial(host.keeper.tell, job, event), None)
        task = host.keeper.follow(job, account, host.schedule, now=host.loop.now(), timeout=self._timeout(job, account))
        if task is None:
            self._verdict(row)
        else:
            row.task = task
            self._fresh.append(task)

    def _in_use(self, job: Job, row: RowRun) -> bool:
        """Whether another row follows a job with this id, so that this row must wait until that one has ended.

        A provider may merge the submits of equal rows. A running job of an unequal row is lost: its server counts anew.
        """
        other = self._jobs.get(job.ref, row)
        if other is row or other.state not in ("running", "fetching"):
            return False
        if other.state == "fetching" or other.row.digest == row.row.digest:
            return True
        other.cost = self._cost(other, paid=True)
        other.problem = f"the server has given the id of its job, {job.ref}, to the row {row.key}"
        self._replaced += [other.task] if other.task else []
        other.close()
        self._end(other, "failed")
        return False

    def _may_ask(self, row: RowRun, job: Job) -> bool:
        """Whether the job can be polled; else its account stops, and the job continues without being polled."""
        opened = row.lane.desk.account.opened
        try:
            if not job.final:
                build(opened, opened.provider.status, job.id)
                opened.check()
        except VidpollError as error:
            row.problem = error.message
            row.lane.desk.stop("auth", error.message)
            self._end(row, "unknown")
            return False
        return True

    def _unfinished(self, desk: Desk) -> list[Job]:
        """The account's jobs in the store that hold its slots."""
        kept = self.store.jobs(unfinished=True)
        return [each.job for each in kept if each.origin.account == desk.account.name and each.ended_at is None]

    def _watch_strangers(self, desk: Desk, unfinished: Sequence[Job]) -> None:
        """Also wait for the account's other jobs in the store: they hold its slots, and perhaps nothing polls them."""
        host, account = self.host, desk.account
        for job in unfinished:
            if job.final or job.ref in self._jobs or job.ref in self._strangers:
                continue
            host.keeper.enter([job], [account.opened])
            self._strangers[job.ref] = ExitStack()
            self._strangers[job.ref].enter_context(host.keeper.waiting([job]))
            timeout = self._timeout(job, account)
            task = host.keeper.follow(job, account, host.schedule, now=host.loop.now(), timeout=timeout)
            self._fresh += [task] if task is not None else []

    def _timeout(self, job: Job, account: AccountState) -> float:
        """Seconds left to wait for a job; the waiting time counts from its submit."""
        typical = account.provider.pacing.typical
        whole = max(LONGEST, LATE * typical[1] if typical else 0.0)
        made = job.created_at
        passed = 0.0 if made is None else self.host.loop.clock.time() - made
        return max(LAST_LOOK, whole - max(0.0, passed))

    def _gave_up(self, row: RowRun, error: OutcomeUnknown) -> None:
        """The outcome is unknown: the job keeps its slot and its reservation, and the next run polls it again."""
        row.close()
        if isinstance(error, WaitStopped):
            return
        row.problem = error.message
        if getattr(error, "status", None) in (401, 403):
            row.lane.desk.stop("auth", error.message)
        self._end(row, "unknown")

    def _verdict(self, row: RowRun) -> None:
        """The job has ended. The process that holds its lease downloads its files and settles the row."""
        job = row.job
        assert job is not None
        self._changed = True
        if not (self.host.keeper.holds(job.ref) or self.host.keeper.lease(job, FETCHING)[0]):
            row.close()
            self._leave_to_other(row)
        elif job.ok:
            row.lane.move(row, "fetching")
            target = self.terms.target(row) if self.terms.target else Path(row.key)
            self.files.fetch(job, self._stem(target))
        else:
            self._job_failed(row, job)

    def _job_failed(self, row: RowRun, job: Job) -> None:
        told = refusal.of_job(job)
        row.cost = self._cost(row, paid=told.charged)
        row.problem, row.category = told.said, told.category
        charged = None if told.charged is None else told.charged
        follows = after_failure(told.category, charged, row.retried, self.terms.retries)
        desk, now = row.lane.desk, self.host.loop.now()
        if follows is Follows.STOP:
            desk.stop(told.category, told.said)
        elif follows is Follows.SLEEP:
            self._sleep(desk, told, now)
        elif follows is Follows.AGAIN and told.category in ("capacity", "rate"):
            desk.pause(now + RATE, told.category)
        self._settle(row, "failed" if follows is Follows.FAIL else "waiting")

    # -- files --------------------------------------------------------------------------------------------------------

    def _files_over(self, row: RowRun, came: Outcome) -> None:
        """The download of a row's files has ended, with or without the files."""
        self._changed = True
        row.cost = self._cost(row, paid=True)
        if isinstance(came, VidpollError) and FETCHED_ELSEWHERE in came.message:
            row.close()
            self._leave_to_other(row)
            return
        if isinstance(came, VidpollError):  # the row is not settled: the next run downloads them
            row.problem, row.category = came.message, "files"
            row.close()
            self._end(row, "failed")
            self._unsaved += 1
            if self._unsaved == UNSAVED:
                for lane in {run.lane.desk: run.lane for run in self.rows.values()}.values():
                    lane.desk.stop("files", came.message)
            return
        self._unsaved = 0
        row.paths = came
        reason = self.host.hooks.accept(row.row, row.paths)
        if not reason:
            self.terms.arrived(row)
            self._settle(row, "completed")
            return
        row.problem, row.category = f"not accepted: {reason}", REJECTED
        again = after_take(row.retried, self.terms.retries) is Follows.AGAIN
        self._settle(row, "waiting" if again else "failed")

    def _cost(self, row: RowRun, *, paid: bool | None) -> Cost | None:
        """The cost of the row's job: the one that the provider reports, else its price, or 0 if it was not charged."""
        assert row.job is not None
        told, price = row.job.cost, row.price
        if told is not None:
            return replace(told, unit=unit_of(told.unit))
        if price is None:
            return None
        return Cost(0.0 if paid is False else price.high, 0.0, price.unit, "estimated")

    # -- settling -----------------------------------------------------------------------------------------------------

    def _settle(self, row: RowRun, state: str) -> None:
        """Keep the end of the attempt; then the row has ended, or waits to be tried again."""
        self._keep(row, state)
        row.close()
        if state != "completed":
            self._has_room(row)
        elif row.price is not None:
            self.full.pop(row.price.unit, None)
        if state == "waiting":
            row.retried[row.category] += 1
            row.attempt += 1
            self._back(row, row.category)
        else:
            self._end(row, state)

    def _has_room(self, row: RowRun) -> None:
        """A row bought nothing, so that its share of the limit and the budget is free for another."""
        self.limited = False
        if row.price is not None:
            self.full.pop(row.price.unit, None)

    def _keep(self, row: RowRun, state: str) -> None:
        """Replace the reservation in the store by the actual cost, in the unit of the price."""
        price, cost = row.price, row.cost
        charged = 0.0 if price is None else price.high
        if cost is not None and (price is None or cost.unit == price.unit):
            charged = cost.net
        paths = [str(path) for path in row.paths] if state == "completed" else []
        write = partial(
            self.store.settle, self.terms.name, row.key, row.attempt,
            state=state, charged=charged, category=row.category, problem=row.problem, paths=paths,
        )  # fmt: skip
        self.host.keeper.settle(write)

    def _end(self, row: RowRun, state: str) -> None:
        """End the row for this run."""
        self._elsewhere.discard(row)
        row.lane.move(row, state)
        self._changed = True
        self.results.append(row.result)
        if state == "completed":
            row.lighten()

    # -- other processes, and earlier runs ----------------------------------------------------------------------------

    def enter(self, row: RowRun, lane: Lane, kept: KeptRow | None, *, buy: bool) -> None:
        """Add a row as the store has it; `buy` means to buy it even if it has failed or changed."""
        self.rows[row.key] = row
        if kept is not None and buy:
            self._anew(row, kept)
        elif kept is not None:
            row.state = "elsewhere"
            self._entered.append((row, kept))
        lane.enter(row)

    def resume(self) -> None:
        """Resume the rows that an earlier run or another process began."""
        entered, self._entered = self._entered, []
        for row, kept in entered:
            self._resume(row, kept, told=False)

    def _resume(self, row: RowRun, kept: KeptRow, *, told: bool = True) -> None:
        """Resume a row. `told`: if it has ended, yield it as a result of this run."""
        row.attempt = kept.attempt
        row.problem, row.category = kept.problem, kept.category
        if kept.ref is not None and row.job is None:
            found = self.store.keyed(kept.account, Order(self.terms.name, row.key, kept.attempt, "").key)
            row.job = found.job if isinstance(found, KeptJob) else None
        if kept.state in ("running", "ended") and row.job is not None:
            self._follow(row, row.job)
        elif kept.state == "submitting":
            self._leave_to_other(row)
        elif kept.state == "unknown":
            self._elsewhere.discard(row)
            self._look_up(row)
        elif kept.state == "waiting":
            self._anew(row, kept)
            self._elsewhere.discard(row)
            row.lane.move(row, "waiting")
        else:
            self._known(row, kept, told=told)

    @staticmethod
    def _anew(row: RowRun, kept: KeptRow) -> None:
        """Set the next attempt of a row; the same attempt if it bought nothing."""
        row.attempt, row.why = kept.attempt, "slots"
        if kept.ref is not None or kept.state != "waiting":
            row.attempt += 1
            row.job = None
            row.retried[kept.category] = kept.attempt if kept.state == "waiting" else 0

    def _known(self, row: RowRun, kept: KeptRow, *, told: bool) -> None:
        """Set the end of a row that another process or an earlier run settled."""
        row.paths = tuple(map(Path, kept.paths))
        cost = None if row.job is None else row.job.cost
        if cost is not None:
            row.cost = cost
        elif kept.charged is not None and kept.unit:
            row.cost = Cost(kept.charged, 0.0, kept.unit, "estimated")
        if told:
            self._end(row, kept.state)
        else:
            row.lane.move(row, kept.state)

    def _leave_to_other(self, row: RowRun) -> None:
        row.lane.move(row, "elsewhere")
        self._elsewhere.add(row)
        self._look_at = min(self._look_at, self.host.loop.now() + LOOK)

    def _look_around(self) -> None:
        """Update the rows that other processes hold."""
        rows = list(self._elsewhere)
        self._look_at = math.inf
        kept = self.store.batch_rows(self.terms.name) if rows else {}
        for row in rows:
            if row.key in kept:
                self._resume(row, kept[row.key])
            else:
                self._elsewhere.discard(row)
                self._back(row, "slots")
        self._changed = True
