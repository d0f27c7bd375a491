"""Runs the rows of a batch on the client's loop: the submit, the wait, the files, and what follows from the outcome.

A `Runner` is the loop's feed. Each decision is written to the store before it is carried out, in the transaction of the
submit's intent or when a row is settled, so that another process or the next run can continue from there.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from ..errors import SubmitUnknown, UsageError, VidpollError
from ..events import Event
from ..job import Job
from ..model import Cost
from ..polling.call import Call, build, optional
from ..polling.loop import Run
from ..polling.submit import Intent, Record, SubmitTask, key_line, outcome
from ..polling.task import OneShot, Task
from ..provider import Operation
from ..storage.intent import place
from ..storage.once import Submit, adopted, question
from ..storage.records import KeptJob, NoRoom, Order, Submission, Taken
from . import keys, refusal
from .files import Files
from .lanes import Desk, Lane
from .progress import UNDER_WAY, RowRun
from .retries import NEVER_AGAIN, Follows, after_refusal
from .settling import LOOK, RATE, Host, Rows, Terms


class RowSubmit(SubmitTask):
    """The submit of a row. It is sent once, and its errors concern only this row."""

    alone = True

    def __init__(self, runner: Runner, row: RowRun, wanted: Submit, intent: Intent, **options: Any):
        account, kind, fields, _ = wanted
        super().__init__(account, kind, fields, intent, repeat=wanted.operation.honours_key, **options)
        self.runner, self.row, self.wanted, self.intent = runner, row, wanted, intent

    def ended(self, run: Run) -> None:
        self.runner.submit_over(self)


class RowFind(OneShot[Any]):
    """Looks up the job of a submit of unknown outcome, by the id that was sent with the submit."""

    alone = True

    def __init__(
        self, runner: Runner, row: RowRun, wanted: Submit, submission: Submission, asked: tuple[Operation[Any], Any]
    ) -> None:
        find, value = asked
        opened, now = wanted.account.opened, runner.host.loop.now()
        call = lambda: Call(opened, find, build(opened, find, value), str(value))  # noqa: E731
        super().__init__(wanted.account, call, repeat=True, now=now)
        self.runner, self.row, self.wanted, self.submission = runner, row, wanted, submission

    def ended(self, run: Run) -> None:
        self.runner.find_over(self)


class Runner(Rows):
    """The feed of a batch."""

    def __init__(self, host: Host, terms: Terms, stop: threading.Event | None = None) -> None:
        super().__init__(host, terms)
        self.stop = stop or threading.Event()
        self.leave = threading.Event()
        """Set after `stop` was set and no submit is under way any more, because a submit must not be interrupted."""
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.desks: dict[str, Desk] = {}
        self._submits: dict[RowSubmit, ExitStack] = {}
        self._read = Files(Path())
        self._wake_at = math.inf
        self.tell_at = -math.inf
        """The monotonic second before which the hook for changed counts is not called again."""
        self.to_tell = False
        """Whether that hook must be called then."""

    # -- the feed -----------------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether the batch has work left in this run."""
        if any(lane.counts[state] for lane in self.lanes.values() for state in UNDER_WAY):
            return True
        return not self.stop.is_set() and any(map(self._hopeful, self.lanes.values()))

    @property
    def moves(self) -> int:
        """How often a row changed its state."""
        return sum(lane.moves for lane in self.lanes.values())

    @property
    def busy(self) -> bool:
        """Whether files are being downloaded."""
        return self.files.busy

    def wake(self) -> float:
        """The monotonic second at which to run again, even if nothing happens until then."""
        tell_at = self.tell_at if self.to_tell else math.inf
        return self.host.loop.now() if self._changed else min(self._wake_at, self._look_at, self.files.wake(), tell_at)

    def news(self) -> Iterable[tuple[Job, Event]]:
        """Nothing: the batch reads `results` at each turn of the loop."""
        return ()

    def take(self, run: Run) -> Sequence[Task]:
        """The new tasks: submits that have a slot, and watches of submitted jobs."""
        now = self.host.loop.now()
        self._fresh += self.files.take(run)
        for files, came in self.files.done():
            self._files_over(self._jobs[files.job.ref], came)
        if self._look_at <= now:
            self._look_around()
        if self.stop.is_set():
            if not self._submits:
                self.leave.set()
        elif self._changed or self._wake_at <= now:
            for lane in self.lanes.values():
                self._fill(lane, now)
            self._wake_at = min((lane.wake(now) for lane in self.lanes.values()), default=math.inf)
        self._changed = False
        fresh, self._fresh = self._fresh, []
        return self._without_replaced(run, fresh) if self._replaced else fresh

    def _without_replaced(self, run: Run, fresh: Sequence[Task]) -> Sequence[Task]:
        """End the watches of replaced rows; one whose request is under way ends after the response. Returns the rest.

        They end before the new watches begin, so that a list that polls the id polls it for the new watch.
        """
        run.let_go(self._replaced)
        fresh = [task for task in fresh if task not in self._replaced]
        self._replaced = [task for task in self._replaced if task in run.tasks]
        return fresh

    def _hopeful(self, lane: Lane) -> bool:
        """Whether a row of the lane may still be sent in this run."""
        now = self.host.loop.now()
        at = now if lane.room(now) else lane.wake(now)
        if not lane.queue or at == math.inf or self._too_late(at):
            return False
        return any(self.barred(row) == "" for row in lane.queue)

    def barred(self, row: RowRun) -> str:
        """Why a row cannot be sent, at least until another one has ended; empty if it can."""
        if row.changed:
            return "changed"
        if self.limited:
            return "limit"
        price, budget = row.price, self.terms.budget
        if budget is not None and (price is None or price.unit != budget.unit):  # an earlier run began it
            return "no price"
        return "budget" if price is not None and price.high >= self.full.get(price.unit, math.inf) else ""

    # -- submitting ---------------------------------------------------------------------------------------------------

    def _fill(self, lane: Lane, now: float) -> None:
        """Send as many rows of a lane as there is room for."""
        if self._too_late(now):
            for row in lane.queue:
                row.why = "until"
            return
        for _ in range(len(lane.queue)):
            if not lane.room(now):
                return
            row = lane.queue.popleft()
            row.why = self.barred(row)
            if row.why:
                lane.queue.append(row)
            elif self._as_read(row) and self._admitted(row):
                self._submit(row, now)

    def _as_read(self, row: RowRun) -> bool:
        """Whether the files of a row are unchanged since the plan; else the row waits for the next run."""
        if row.row.inputs:
            try:
                said = (
                    ""
                    if self._digest(row) == row.row.digest
                    else "one of its files has changed since the plan was made"
                )
            except UsageError as error:
                said = error.message
            row.changed, row.problem = bool(said), said
        return not row.changed

    def _digest(self, row: RowRun) -> str:
        return keys.digest(row.row.account, row.row.kind, row.row.fields, self._read)[0]

    def _admitted(self, row: RowRun) -> bool:
        """Whether the plugins admit a row; they are asked once in a run."""
        if not row.admitted:
            veto = self.host.hooks.admit(row.row)
            if veto:
                row.why, row.problem, row.vetoed = "not admitted", veto, True
                return False
            row.admitted = True
        return True

    def _submit(self, row: RowRun, now: float) -> None:
        lane, account, stack = row.lane, row.lane.desk.account, ExitStack()
        order = self._order(row)
        wanted = Submit(account, row.row.kind, row.row.fields, order.key).with_own_id
        submitting = self.host.keeper.submitting(account.opened, wanted.kind, wanted.fields, order=order)
        intent = stack.enter_context(submitting)
        task = RowSubmit(self, row, wanted, intent, now=now, patience=self.host.loop.context.patience)
        self._submits[task] = stack
        lane.move(row, "submitting")
        self._fresh.append(task)

    def _order(self, row: RowRun) -> Order:
        price, terms, desk = row.price, self.terms, row.lane.desk
        slots = sum(lane.slots.limit for lane in self.lanes.values() if lane.desk is desk)
        return Order(
            terms.name,
            row.key,
            row.attempt,
            row.row.digest,
            price.high if price else 0.0,
            price.unit if price else "",
            terms.budget[0] if terms.budget else None,
            terms.limit,
            slots,
        )

    def submit_over(self, task: RowSubmit) -> None:
        """A submit has ended, with or without a response."""
        row, wanted, stack = task.row, task.wanted, self._submits.pop(task)
        self._changed = True
        at = self.host.loop.clock.time()
        try:
            with stack:
                account, kind, fields, _ = wanted
                job, events = outcome(account, kind, fields, task, intent=task.intent, at=at)
        except NoRoom as error:
            self._no_room(row, error.why)
        except Taken as error:
            self._taken(row, error.found)
        except SubmitUnknown as error:
            self._lost(row, error)
        except VidpollError as error:
            self._refused(row, error, task)
        else:
            row.lane.desk.health = row.lane.desk.health.accepted()
            row.lane.slots = row.lane.slots.accepted(row.lane.in_flight + 1)
            self._follow(row, job, events, fresh=True)

    def _no_room(self, row: RowRun, why: str) -> None:
        now = self.host.loop.now()
        if why == "elsewhere":
            self._leave_to_other(row)
            return
        if why == "budget" and row.price is not None:
            self.full[row.price.unit] = min(self.full.get(row.price.unit, math.inf), row.price.high)
        elif why == "limit":
            self.limited = True
        else:
            row.lane.look_at = now + LOOK
            unfinished = self._unfinished(row.lane.desk)
            self._watch_strangers(row.lane.desk, unfinished)
            self._all_unknown(row.lane.desk, unfinished)
        self._back(row, why)

    def _all_unknown(self, desk: Desk, unfinished: Sequence[Job]) -> None:
        """Stop an account if submits and jobs of unknown outcome hold all its slots: nothing here will free them."""
        name = desk.account.name
        lost = sum(each.account == name for each in self.store.submits())
        given_up = [job.ref for job in unfinished if job.ref in self._given_up]
        if not (lost or given_up) or self.store.in_flight(name) > lost + len(given_up):
            return
        said = [f"{lost} submits of unknown outcome hold slots of {name}: adopt or dismiss them"] if lost else []
        if lost == 1:
            said = [f"1 submit of unknown outcome holds a slot of {name}: adopt or dismiss it"]
        if given_up:
            way = f"forget those that have ended (`vidpoll jobs --local --forget {given_up[0]}`)"
            jobs, hold = ("1 job", "holds a slot") if len(given_up) == 1 else (f"{len(given_up)} jobs", "hold slots")
            said.append(f"{jobs} of unknown outcome {hold} of {name}: {way}")
        desk.stop("unknown", "; ".join(said))

    def _taken(self, row: RowRun, found: object) -> None:
        """The row's submit was made before, by an earlier run or by another process."""
        if isinstance(found, KeptJob):
            self._follow(row, found.job)
        else:
            self._leave_to_other(row)

    def _lost(self, row: RowRun, error: SubmitUnknown) -> None:
        desk = row.lane.desk
        desk.health = desk.health.lost(self.host.loop.now())
        if desk.health.stopped:
            desk.stop("unknown", error.message)
        row.problem = error.message
        self._look_up(row)

    def _look_up(self, row: RowRun) -> None:
        """Look up the job of a submit of unknown outcome if the provider allows that; else the row is unknown."""
        desk, order = row.lane.desk, self._order(row)
        wanted = Submit(desk.account, row.row.kind, row.row.fields, order.key)
        lost = self.store.keyed(desk.account.name, order.key)
        if isinstance(lost, Submission) and not row.problem:  # lost by an earlier run
            record = Record(order.key, str(lost.number), place(self.store))
            row.problem = f"its submit may have been received ({lost.reason}). {key_line(record)}"
        asked = question(wanted, lost) if isinstance(lost, Submission) else None
        if asked is None or not isinstance(lost, Submission):
            self._end(row, "unknown")
            return
        row.lane.move(row, "submitting")
        self._fresh.append(RowFind(self, row, wanted, lost, asked))

    def find_over(self, task: RowFind) -> None:
        """The lookup of a lost submit's job has ended: adopt the job, or leave the row unknown."""
        job = optional(lambda: adopted(self.host.keeper, task.wanted, task.submission, task.result), None)
        if job is None:
            self._end(task.row, "unknown")
        else:
            self._follow(task.row, job)

    def _refused(self, row: RowRun, error: VidpollError, task: RowSubmit) -> None:
        """A submit was refused, and nothing was bought. The class of the refusal decides what follows."""
        told = refusal.read(error, task.result)
        desk, lane, now = row.lane.desk, row.lane, self.host.loop.now()
        desk.health = desk.health.answered()
        self._has_room(row)
        follows = after_refusal(told.category, row.retried[told.category], self.terms.retries)
        if told.follows is not None:
            follows = told.follows
        row.problem, row.category = told.said, told.category
        if follows is Follows.FULL:
            held = self.store.in_flight(desk.account.name)
            mine = lane.counts["submitting"] - 1
            lane.slots = lane.slots.refused(now, max(0, held - mine), lane.counts["running"])
            self._back(row, "slots")
        elif follows is Follows.PAUSE:
            desk.pause(now + max(RATE, told.hint), told.category or "unreachable")
            self._back(row, told.category or "unreachable")
        elif follows is Follows.SLEEP:
            self._sleep(desk, told, now)
            self._back(row, "quota")
        elif follows is Follows.STOP:
            desk.stop(told.category, told.said)
            self._back(row, told.category)
        elif follows is Follows.AGAIN:
            row.retried[told.category] += 1
            desk.pause(now + RATE, told.category)
            self._back(row, told.category)
        else:
            desk.health = desk.health.refused(told.category, told.said)
            if desk.health.stopped:
                desk.stop(desk.health.stopped, told.said)
            if told.category in NEVER_AGAIN:
                row.cost = Cost(0.0, 0.0, row.price.unit, "estimated") if row.price else None
                self._keep(row, "failed")
            self._end(row, "failed")

    # -- leaving ------------------------------------------------------------------------------------------------------

    @property
    def submitting(self) -> bool:
        """Whether a submit is under way."""
        return bool(self._submits)

    def abandon(self) -> None:
        """Release everything; jobs continue at their providers, and a submit that was sent has an unknown outcome."""
        for task, stack in self._submits.items():
            if not task.begun:
                task.unsent()
            with suppress(_Left), stack:
                raise _Left
        self._submits.clear()
        for stack in self._strangers.values():
            stack.close()
        for row in self.rows.values():
            row.close()
        self.files.close()


class _Left(BaseException):
    """The batch was left."""
