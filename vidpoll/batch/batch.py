"""The batch as users hold it: its plan, its rows as they end, and how it stands.

Nothing is sent before it is iterated. Leaving the iteration is safe: jobs go on at their providers, and the next run of
the same batch takes them up.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from .. import redact
from ..errors import UsageError
from ..events import Event, Polled
from ..plugins import guard
from ..price import Price
from ..storage.records import KeptRow, Ledger
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

SPREAD = 1.2816
"""Standard deviations from the middle to the 10 % and the 90 % of a normal law."""

TELL_EVERY = 1.0
"""Seconds between two times that the hooks hear that counts have changed."""

ENDED = {130: "stopped", 3: "unknown", 4: "waiting", 1: "failed"}


@dataclass(frozen=True)
class Opened:
    """A batch that was read and planned: what `Batch` runs."""

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
    """Jobs at once by account, as its quota tells."""
    resets: Mapping[str, float] = field(default_factory=dict)
    """The Unix second at which an account's quota begins anew."""
    report: Report | None = None
    columns: frozenset[str] = frozenset()


class Batch:
    """A batch of `Client.batch`. Iterate it once: it gives each row as a RowResult, as it ends.

    `plan` says what it is about to do. `go_on` is the line that goes on with it, for messages and notifiers.
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
        """Have the runner know the rows as the store has them; nothing is followed yet."""
        buy = {row.key for row in self.plan.buy}
        for row in self._opened.rows:
            run = RowRun(row, self._opened.prices.get(row.key))
            self._runner.enter(run, self._lane(row), self._opened.kept.get(row.key), buy=row.key in buy)

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
            raise UsageError(f"the batch {self.name} was run already; call client.batch again to go on with it")
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
                except GeneratorExit:  # left early: a submit that is under way has its answer awaited
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
        """Tell the hooks of each account that stopped, once; at the end also of what no row had room for."""
        for stop in self.stopped if at_end else self._stops():
            if stop.account not in self._told:
                self._told.add(stop.account)
                text = f"stopped: {stop.reason} at {stop.account}; {self.status()}; go on with: {self.go_on}"
                self._host.hooks.batch_stopped(self.status(), stop, text)

    def _look_for_change(self) -> None:
        """Tell the hooks that counts have changed, or have the loop turn again once that may be told."""
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
        """Write the sidecar of each file; where that fails, the file is there all the same."""
        assert run.job is not None
        secrets = tuple(run.lane.desk.account.opened.secrets().values())
        cost = {} if run.cost is None else run.cost._asdict()
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

    # -- how it stands ------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> Mapping[str, RowResult]:
        """Every row as it stands when it is read, by its key, in the order of the input."""
        return Rows(self._runner.rows, self._result)

    def _result(self, run: RowRun) -> RowResult:
        run.why = self._why(run)
        return run.result

    def _why(self, run: RowRun) -> str:
        """Why a row waits, as it is now."""
        if run.state != "waiting":
            return run.why
        clock, desk = self._host.loop.clock, run.lane.desk
        if desk.stopped:
            return desk.stopped
        if run.vetoed:
            return run.why
        if self._opened.until is not None and clock.time() >= self._opened.until:
            return "until"
        return "stopped" if self._runner.stop.is_set() else run.why

    @property
    def waiting(self) -> tuple[RowResult, ...]:
        """The rows that were not bought yet; each says `why`."""
        return tuple(each for each in self.rows.values() if each.state == "waiting")

    @property
    def stopped(self) -> tuple[Stopped, ...]:
        """The accounts that send nothing more in this run, and why."""
        found = {stop.account: stop for stop in self._stops()}
        if not self._runner.open:
            for row in self.waiting:
                name = row.row.account
                found.setdefault(name, Stopped(name, row.why, row.problem, self.go_on))
        return tuple(found.values())

    def _stops(self) -> list[Stopped]:
        desks = self._runner.desks.items()
        return [Stopped(name, desk.stopped, desk.said, self.go_on) for name, desk in desks if desk.stopped]

    @property
    def ledger(self) -> Mapping[str, Ledger]:
        """What was spent, what is reserved, and what is held for submits of unknown outcome, by unit."""
        return self._runner.store.ledger(self.name)

    @property
    def exit_code(self) -> int:
        """0 all there; 1 some failed for good; 3 some unknown; 4 some wait, and nothing is lost; 130 it was stopped."""
        states = Counter(run.state for run in self._runner.rows.values())
        if self._runner.stop.is_set() and (states["waiting"] or any(states[each] for each in UNDER_WAY)):
            return 130
        return 3 if states["unknown"] else 4 if states["waiting"] else 1 if states["failed"] else 0

    def status(self) -> BatchStatus:
        """The batch at this moment."""
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
        """The earliest and the latest Unix second at which all is done that may be done in this run."""
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
        """How it ended, in a line."""
        status = self.status()
        states = [f"{number:,} {state}" for state, number in status.states.items() if number and state != "completed"]
        stopped = [f"{stop.reason} at {stop.account}" for stop in self.stopped]
        parts = [f"{redact.text(self.name, limit=80)}: {status}", *states]
        parts += [f"stopped: {', '.join(stopped)}; go on with: {self.go_on}"] if stopped else []
        return "; ".join(parts)


def _counted(lanes: Iterable[Lane]) -> Mapping[str, int]:
    """The rows of some lanes by state, as users see it."""
    states: Counter[str] = Counter()
    for lane in lanes:
        for state, number in lane.counts.items():
            states["running" if state in UNDER_WAY else state] += number
    return +states
