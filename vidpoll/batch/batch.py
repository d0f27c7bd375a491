"""The batch as users see it: its plan, its rows as they end, and its status.

Nothing is sent before the batch is iterated. Leaving the iteration is safe: jobs continue at their providers, and the
next run of the same batch resumes them.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from .. import redact
from ..errors import UsageError
from ..events import Event, Polled
from ..plugins import guard
from ..price import Price
from ..storage.records import KeptRow, Ledger, Order
from . import names, sidecar
from .lanes import Desk, Lane
from .options import Money
from .plan import Plan
from .progress import UNDER_WAY, AccountStatus, BatchStatus, RowResult, RowRun, Rows, Stopped
from .report import Report
from .retries import Retries
from .rows import Row, invalid
from .runner import Runner
from .settling import Host, Terms
from .slots import lane_of, slot_limit

log = logging.getLogger("vidpoll")

INTERRUPTED = 130

SPREAD = 1.2816
"""Standard deviations from the median to the 10th and the 90th percentile of a normal distribution."""

TELL_EVERY = 1.0
"""Least seconds between two calls of the hook for changed counts."""

ENDS = ("waiting", "completed", "failed")
"""The store's words for the end of a row's attempt."""

_LARGER = {"limit": "a larger limit or none", "budget": "a larger budget"}
"""What the next run needs after a limit of the batch itself was reached."""


@dataclass(frozen=True)
class Opened:
    """A batch that has been read and planned, for `Batch` to run."""

    name: str
    rows: tuple[Row, ...]
    kept: Mapping[str, KeptRow]
    prices: Mapping[str, Price | None]
    plan: Plan
    folder: Path
    template: str = names.DEFAULT
    retries: Retries = field(default_factory=Retries)
    budget: Money | None = None
    limit: int | None = None
    until: float | None = None
    slots: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[str, int] = field(default_factory=dict)
    """Jobs at once by account, from its quota."""
    resets: Mapping[str, float] = field(default_factory=dict)
    """By account: the Unix second at which its quota resets."""
    report: Report | None = None
    columns: frozenset[str] = frozenset()


class Batch:
    """A batch of `Client.batch`. Iterate it once: it yields a RowResult for each row when the row ends.

    `plan` (a Plan) says what the batch will do. `go_on` is the command that continues it, for messages and notifiers.
    """

    def __init__(
        self,
        host: Host,
        opened: Opened,
        stop: threading.Event | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        self.plan = opened.plan
        self.name = opened.name
        self.go_on = "run the same batch again"
        self._host, self._opened, self._on_event = host, opened, on_event
        self._begun = False
        self._told: set[str] = set()
        self._moves = 0
        self._runner = Runner(host, self._terms(), stop)
        self._enter()

    def _terms(self) -> Terms:
        opened = self._opened
        return Terms(
            opened.name,
            opened.retries,
            opened.budget,
            opened.limit,
            opened.until,
            target=self._target,
            arrived=self._arrived,
        )

    def _enter(self) -> None:
        """Give the runner the rows as the store has them; nothing is polled yet."""
        buy = {row.key for row in self.plan.buy}
        for row in self._opened.rows:
            kept = self._opened.kept.get(row.key)
            run = RowRun(row, self._opened.prices.get(row.key))
            if kept is not None and row.key not in buy and kept.digest != row.digest and kept.state not in ENDS:
                run.row, run.changed = self._as_bought(row, kept), True
            self._runner.enter(run, self._lane(run.row), kept, buy=row.key in buy)

    def _as_bought(self, row: Row, kept: KeptRow) -> Row:
        """A row that has changed since it was bought, as it was then: its running job belongs to that account."""
        found = self._runner.store.keyed(kept.account, Order(self.name, row.key, kept.attempt, "").key)
        sent = {} if found is None else dict(found.sent)
        return replace(row, account=kept.account, kind=kept.operation, fields=sent, inputs={})

    def _lane(self, row: Row) -> Lane:
        runner, opened = self._runner, self._opened
        if row.account not in runner.desks:
            runner.desks[row.account] = Desk(self._host.state(row.account), reset_at=opened.resets.get(row.account))
        desk = runner.desks[row.account]
        provider = desk.account.provider
        place = row.account, lane_of(provider, row.kind, row.fields)
        if place not in runner.lanes:
            limit = slot_limit(provider, opened.slots.get(row.account), opened.told.get(row.account))
            runner.lanes[place] = Lane(desk, limit)
        return runner.lanes[place]

    # -- running ------------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[RowResult]:
        if self.plan.problems:
            raise invalid(self.name, self.plan.problems)
        if self._begun:
            raise UsageError(f"the batch {self.name} has already been run; call client.batch again to continue it")
        self._begun = True
        return self._running()

    def _running(self) -> Generator[RowResult, None, None]:
        runner = self._runner
        try:
            with closing(self._host.loop.turns([], runner.leave, runner)) as turns:
                try:
                    runner.resume()
                    self._tell_changed()
                    yield from self._results()
                    for told in turns:
                        if told is not None:
                            self._heard(*told)
                        yield from self._results()
                except GeneratorExit:  # left early: wait for the response to a submit under way
                    runner.stop.set()
                    for told in turns:
                        if told is not None:
                            runner.heard(*told)
                    raise
            yield from self._results()
        finally:
            runner.abandon()
            self._tell_stops(at_end=True)
            self._write(at_end=True)
            self._tell_changed()
            self._host.hooks.batch_ended(self.status(), self.summary())

    def _heard(self, job: object, event: Event) -> None:
        self._runner.heard(job, event)  # type: ignore[arg-type]
        if self._on_event is not None and not isinstance(event, Polled):
            guard("on_event", self._on_event, event)

    def _results(self) -> Iterator[RowResult]:
        self._tell_stops()
        self._look_for_change()
        results = self._runner.results
        if results:
            self._write()
        while results:
            yield results.popleft()

    def _tell_stops(self, *, at_end: bool = False) -> None:
        """Call the hook once for each account that stopped; at the end also for other reasons why rows still wait."""
        for stop in self.stopped if at_end else self._stops():
            if stop.place not in self._told:
                self._told.add(stop.place)
                text = f"stopped: {stop.place}; {self.status()}; {self._way([stop])}"
                self._host.hooks.batch_stopped(self.status(), stop, text)

    def _look_for_change(self) -> None:
        """Call the hook if counts have changed; if it was called too recently, wake the loop when it may be called."""
        runner = self._runner
        if runner.moves != self._moves:
            if self._host.loop.now() >= runner.tell_at:
                self._tell_changed()
            else:
                runner.to_tell = True

    def _tell_changed(self) -> None:
        runner = self._runner
        self._moves, runner.to_tell = runner.moves, False
        runner.tell_at = self._host.loop.now() + TELL_EVERY
        self._host.hooks.batch_changed(self.status(), self.rows)

    # -- files --------------------------------------------------------------------------------------------------------

    def _target(self, run: RowRun) -> Path:
        opened = self._opened
        day = datetime.fromtimestamp(self._host.loop.clock.time()).date().isoformat()
        return opened.folder / names.name_of(run.row, opened.template, date=day, columns=opened.columns)

    def _arrived(self, run: RowRun) -> None:
        """Write the sidecar of each file; if that fails, warn, and keep the file."""
        assert run.job is not None
        secrets = tuple(run.lane.desk.account.opened.secrets().values())
        cost = {} if run.cost is None else asdict(run.cost)
        for path in run.paths:
            try:
                told = sidecar.contents(run.row, run.job, attempt=run.attempt, path=path, cost=cost, secrets=secrets)
                sidecar.write(path, told)
            except OSError as error:
                self._host.keeper.warn(f"{path}: its sidecar cannot be written: {error.strerror or error}")

    def _write(self, *, at_end: bool = False) -> None:
        report, now = self._opened.report, self._host.loop.now()
        if report is None or not (at_end or report.due(now)):
            return
        try:
            report.write(self.rows.values(), now)
        except OSError as error:
            self._host.keeper.warn(f"the report {report.path} cannot be written: {error.strerror or error}")

    # -- status -------------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> Mapping[str, RowResult]:
        """Every row by its key, in the order of the input; each is current when it is read."""
        return Rows(self._runner.rows, self._result)

    def _result(self, run: RowRun) -> RowResult:
        run.why = self._why(run)
        return run.result

    def _why(self, run: RowRun) -> str:
        """Why a row waits at this moment."""
        if run.state != "waiting":
            return run.why
        clock, desk = self._host.loop.clock, run.lane.desk
        if desk.stopped:
            return desk.stopped
        if run.vetoed:
            return run.why
        if self._opened.until is not None and clock.time() >= self._opened.until:
            return "until"
        return "stopped" if self._runner.stop.is_set() else self._runner.barred(run) or run.why

    @property
    def waiting(self) -> tuple[RowResult, ...]:
        """The rows that are not bought yet; `why` of each says the reason."""
        return tuple(each for each in self.rows.values() if each.state == "waiting")

    @property
    def stopped(self) -> tuple[Stopped, ...]:
        """The accounts that send nothing more in this run, with the reasons."""
        found = {stop.account: stop for stop in self._stops()}
        if not self._runner.open:
            for row in self.waiting:
                name = row.row.account
                if row.why == "stopped":  # by the caller
                    continue
                found.setdefault(name, Stopped(name, row.why, row.problem, self.go_on))
        return tuple(found.values())

    def _stops(self) -> list[Stopped]:
        desks = self._runner.desks.items()
        return [Stopped(name, desk.stopped, desk.said, self.go_on) for name, desk in desks if desk.stopped]

    @property
    def ledger(self) -> Mapping[str, Ledger]:
        """By unit: the amounts spent, reserved, and held for submits of unknown outcome."""
        return self._runner.store.ledger(self.name)

    @property
    def exit_code(self) -> int:
        """0: all videos are there; 1: some rows failed for good; 3: some are of unknown outcome; 4: some still wait,
        and nothing is lost; 130: the batch was stopped.
        """
        states = Counter(run.state for run in self._runner.rows.values())
        if self._runner.stop.is_set() and (states["waiting"] or any(states[each] for each in UNDER_WAY)):
            return INTERRUPTED
        return 3 if states["unknown"] else 4 if states["waiting"] else 1 if states["failed"] else 0

    def status(self) -> BatchStatus:
        """The status of the batch at this moment."""
        runner, opened = self._runner, self._opened
        rows = runner.rows.values()
        ledger = self.ledger
        return BatchStatus(
            self.name,
            len(rows),
            _counted(runner.lanes.values()),
            Counter(self._why(run) for run in rows if run.state == "waiting"),
            tuple(self._account(name, desk) for name, desk in runner.desks.items()),
            {unit: each.settled for unit, each in ledger.items()},
            {unit: each.reserved + each.unknown for unit, each in ledger.items()},
            opened.budget,
            self._finish(),
            self._host.loop.clock.time(),
        )

    def _lanes(self, desk: Desk) -> list[Lane]:
        return [lane for lane in self._runner.lanes.values() if lane.desk is desk]

    def _account(self, name: str, desk: Desk) -> AccountStatus:
        lanes, clock = self._lanes(desk), self._host.loop.clock
        left = desk.open_at() - clock.monotonic()
        return AccountStatus(
            name,
            _counted(lanes),
            sum(lane.slots.limit for lane in lanes),
            sum(lane.in_flight + lane.counts["submitting"] for lane in lanes),
            desk.stopped,
            clock.time() + left if 0 < left < math.inf else None,
        )

    def _finish(self) -> tuple[float, float] | None:
        """The earliest and the latest Unix second at which this run may have done all that it can; None: unknown."""
        now, ends = self._host.loop.clock.time(), [(0.0, 0.0)]
        for lane in self._runner.lanes.values():
            left = lane.counts["running"] + lane.counts["submitting"]
            if not lane.desk.stopped:
                left += sum(row.why not in ("budget", "limit") for row in lane.queue)
            if not left:
                continue
            law = lane.desk.account.law
            if law is None:
                return None
            rounds = math.ceil(left / max(1, lane.slots.limit))
            low, high = (law.median * math.exp(sign * SPREAD * law.sigma) for sign in (-1.0, 1.0))
            ends.append((rounds * low, rounds * high))
        return now + max(low for low, _ in ends), now + max(high for _, high in ends)

    def summary(self) -> str:
        """The end of the batch, in one line."""
        status = self.status()
        states = [f"{number:,} {state}" for state, number in status.states.items() if number and state != "completed"]
        stopped = dict.fromkeys(stop.place for stop in self.stopped)
        parts = [f"{redact.text(self.name, limit=80)}: {status}", *states]
        parts += [f"stopped: {', '.join(stopped)}"] if stopped else []
        left = status.states.get("waiting") or self.exit_code == INTERRUPTED
        return "; ".join([*parts, *([self._way(self.stopped)] if left else [])])

    def _way(self, stopped: Iterable[Stopped]) -> str:
        """How to continue: with a larger limit or budget, if that was reached."""
        larger = " and ".join(dict.fromkeys(_LARGER[stop.reason] for stop in stopped if stop.reason in _LARGER))
        return f"continue with {larger}: {self.go_on}" if larger else f"continue with: {self.go_on}"


def _counted(lanes: Iterable[Lane]) -> Mapping[str, int]:
    """The number of rows of some lanes in each state that users see."""
    states: Counter[str] = Counter()
    for lane in lanes:
        for state, number in lane.counts.items():
            states["running" if state in UNDER_WAY else state] += number
    return +states
