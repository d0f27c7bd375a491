"""The state of each row of a batch: the mutable one while it runs, and the frozen values that users see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..job import Job
from ..model import Cost
from ..model import amount as plain
from ..price import Price
from .options import Money, unit_of
from .rows import Row

if TYPE_CHECKING:
    from ..polling.task import Task
    from .lanes import Lane

UNDER_WAY = ("submitting", "running", "fetching", "elsewhere")
"""The states that a row will leave by itself."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """One row at one moment. `state`: "waiting" (with `why`), "running", "unknown", "completed" or "failed".

    `cost` is the cost of its last job, None if unknown; `paths` are its files; `problem` says what went wrong, and
    `category` is the class of that failure. `attempts` counts its submits in all runs, except
    those that were refused and sent again.
    """

    key: str
    state: str
    row: Row
    job: Job | None = None
    cost: Cost | None = None
    paths: tuple[Path, ...] = ()
    problem: str = ""
    category: str = ""
    why: str = ""
    attempts: int = 0

    @property
    def ok(self) -> bool:
        """Whether its files are saved."""
        return self.state == "completed"


@dataclass(slots=True, eq=False)
class RowRun:
    """One row while the batch runs. `attempt` is the number of its current or next submit, from 1."""

    row: Row
    price: Price | None
    attempt: int = 1
    state: str = "waiting"
    why: str = "slots"
    job: Job | None = None
    cost: Cost | None = None
    paths: tuple[Path, ...] = ()
    problem: str = ""
    category: str = ""
    retried: Counter[str] = field(default_factory=Counter)
    admitted: bool = False
    """Whether the plugins have admitted it."""
    vetoed: bool = False
    changed: bool = False
    """Whether the row differs from its job or from the plan: then this run does not buy it."""
    lane: Lane = field(init=False, repr=False)
    open: ExitStack | None = None
    """What must be closed once its job has ended: the hooks' wait, and the lease."""
    task: Task | None = field(default=None, repr=False)
    """The watch of its job."""

    @property
    def key(self) -> str:
        return self.row.key

    def close(self) -> None:
        """Close what is open, because the job has ended or is no longer followed."""
        opened, self.open, self.task = self.open, None, None
        if opened is not None:
            opened.close()

    def lighten(self) -> None:
        """Once its files are saved, drop the body of the job's last response, which may be large."""
        job = self.job
        if job is not None and job.snapshot is not None:
            self.job = Job(job.ref, key=job.key)
            self.job.known = job.known._replace(snapshot=replace(job.snapshot, raw={}))
            self.job.told = job.told
            self.job.saved(self.paths)

    @property
    def result(self) -> RowResult:
        """The row as users see it."""
        state = "running" if self.state in UNDER_WAY else self.state
        made = self.attempt if self.job is not None or self.state != "waiting" else self.attempt - 1
        return RowResult(
            self.key,
            state,
            self.row,
            self.job,
            self.cost,
            self.paths,
            self.problem,
            self.category,
            self.why if state == "waiting" else "",
            made,
        )


class Rows(Mapping[str, RowResult]):
    """All rows by key, in the order of the input; each is current when it is read."""

    def __init__(self, rows: Mapping[str, RowRun], read: Callable[[RowRun], RowResult]) -> None:
        self._rows, self._read = rows, read

    def __getitem__(self, key: str) -> RowResult:
        return self._read(self._rows[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


_UNITS = ((3600.0, "h", 0.5), (60.0, "min", 1.0), (1.0, "s", 10.0))
"""Units in seconds, with the steps to which times are rounded: a forecast is no more precise."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An account in a batch: its rows by state, the jobs it may have at once (`slots`), and those it has (`in_flight`).

    `stopped` is why it sends nothing more, empty if it sends. `paused_until` is a Unix second, None if not paused.
    """

    account: str
    states: Mapping[str, int]
    slots: int
    in_flight: int
    stopped: str = ""
    paused_until: float | None = None


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch at one moment: rows by state and by why they wait, each account, and the amount spent of the budget.

    `spent` and `reserved` are amounts by unit. `finish` is the earliest and the latest Unix second at which the batch
    may end, None if unknown; `at` is the Unix second of this status.
    """

    name: str
    total: int
    states: Mapping[str, int]
    waiting: Mapping[str, int]
    accounts: tuple[AccountStatus, ...]
    spent: Mapping[str, float]
    reserved: Mapping[str, float]
    budget: Money | None = None
    finish: tuple[float, float] | None = None
    at: float = 0.0

    @property
    def done(self) -> int:
        """The number of rows whose files are saved."""
        return self.states.get("completed", 0)

    def __str__(self) -> str:
        return ", ".join([f"{self.done:,} of {self.total:,} done", *self.money()])

    def left(self, now: float) -> str:
        """The time from a Unix second to the end, like "20 to 35 min"; empty if that is unknown or past."""
        if self.finish is None or self.finish[1] - now < 1:
            return ""
        low, high = (max(0.0, end - now) for end in self.finish)
        unit, word, step = next((each for each in _UNITS if high >= 1.5 * each[0]), _UNITS[-1])
        shown = [f"{round(seconds / unit / step) * step:g}" for seconds in (low, max(high, step))]
        return f"{' to '.join(dict.fromkeys(shown))} {word}"

    def money(self) -> Iterator[str]:
        """The amount spent of the budget, then the amounts in other units, as texts."""
        budget = self.budget
        if budget is not None:
            spent = sum(amount for unit, amount in self.spent.items() if unit_of(unit) == budget.unit)
            yield f"{plain(round(spent, 6))} of {budget}"
        for unit, amount in self.spent.items():
            if amount and unit and (budget is None or unit_of(unit) != budget.unit):
                yield f"{plain(round(amount, 6))} {unit}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why an account sends nothing more in this run, and how to continue.

    `reason` is one word: a category ("money", say), "limit", "budget", "until" or the like. `said` is the message
    of the last refusal or error, empty without one. `go_on` is the command that continues the batch.
    """

    account: str
    reason: str
    said: str
    go_on: str

    @property
    def place(self) -> str:
        """The reason and the account; only the reason for a limit of the batch itself."""
        return self.reason if self.reason in ("limit", "budget", "until") else f"{self.reason} at {self.account}"
