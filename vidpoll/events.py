"""What happened to a job: frozen values for hooks, `on_event` and `watch`. Each prints as one short line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import OutcomeUnknown
from .model import NO_REASON, Asset, Cost, Problem, Snapshot, State, span


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the job `ref`, at Unix second `at`. Prints as one short line."""

    ref: str
    at: float


@dataclass(frozen=True, slots=True)
class StageChanged(Event):
    """The state or the stage of the job changed.

    `previous` is the stage before, `progress` is 0 to 100 or None. `known` is False for a status word that the plugin
    does not list.
    """

    state: State | None
    stage: str | None
    progress: float | None = None
    previous: str | None = None
    known: bool = True

    def __str__(self) -> str:
        words = [str(self.state)] if self.state else []
        if self.stage is not None and self.stage != self.state:
            words.append(self.stage if self.known else f"unknown status {self.stage!r}")
        return f"{self.ref} {' '.join(words)}"


@dataclass(frozen=True, slots=True)
class ProgressChanged(Event):
    """The shown progress (0 to 100) changed."""

    progress: float
    stage: str | None = None

    def __str__(self) -> str:
        return f"{self.ref} {self.stage or 'progress'}{percent(self.progress)}"


@dataclass(frozen=True, slots=True)
class Completed(Event):
    """The provider says that the job is completed."""

    assets: tuple[Asset, ...] = ()
    cost: Cost | None = None

    def __str__(self) -> str:
        kinds = ", ".join(asset.kind for asset in self.assets) or "no files"
        return f"{self.ref} completed: {kinds}{money(self.cost)}"


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The provider ended the job without a result; `state` is failed, cancelled or expired."""

    state: State
    problem: Problem | None = None
    cost: Cost | None = None

    def __str__(self) -> str:
        return f"{self.ref} {self.state}: {self.problem or NO_REASON}{money(self.cost, self.problem)}"


@dataclass(frozen=True, slots=True)
class PollFailed(Event):
    """A response said nothing about the job, or none came: the `in_a_row`-th fault in a row, because of `reason`.

    `status` is the HTTP status, or None. vidpoll polls again in `retry_in` seconds; None: it does not poll again.
    """

    reason: str
    status: int | None = None
    retry_in: float | None = None
    in_a_row: int = 1

    def __str__(self) -> str:
        again = "" if self.retry_in is None else f"; polling again in {self.retry_in:.0f} s"
        return f"{self.ref} no news: {self.reason}{again}"


@dataclass(frozen=True, slots=True)
class Stalled(Event):
    """The job has not changed for `seconds`, although responses come. Never an error: some jobs take long."""

    seconds: float
    stage: str | None = None
    progress: float | None = None

    def __str__(self) -> str:
        return f"{self.ref} stalled: {self.stage or 'no change'}{percent(self.progress)} for {span(self.seconds)}"


@dataclass(frozen=True, slots=True)
class GaveUp(Event):
    """vidpoll stopped polling. The outcome is unknown, and the job continues at the provider. `error` says why."""

    error: OutcomeUnknown

    def __str__(self) -> str:
        return str(self.error)


@dataclass(frozen=True, slots=True)
class Polled(Event):
    """A response was understood; vidpoll polls again in `next_in` seconds (None after a verdict). For displays.

    `snapshot` is what the response said; None for a status word that the plugin does not list. `eta` is (from, to) in
    seconds from now: eight of ten jobs like this one end between the two. It is None after a verdict, and if nothing is
    known: no progress, and no durations declared by the plugin or learned. `late`: the job takes longer than 95 % of
    the account's jobs.
    """

    snapshot: Snapshot | None
    next_in: float | None = None
    eta: tuple[float, float] | None = None
    late: bool = False

    def __str__(self) -> str:
        said = "nothing known" if self.snapshot is None else str(self.snapshot.stage or self.snapshot.state)
        return f"{self.ref} answered: {said}"


@dataclass(frozen=True, slots=True)
class DownloadProgress(Event):
    """`received` of `total` bytes of an asset of `kind` have arrived; `total` is None if the server does not say.

    `fault` is why no bytes arrive at the moment, and `next_in` the seconds until the next try. Both are None while
    bytes arrive.
    """

    kind: str
    received: int
    total: int | None = None
    fault: str | None = None
    next_in: float | None = None

    def __str__(self) -> str:
        share = f" of {self.total:,}" if self.total is not None else ""
        again = "" if self.next_in is None else f"; again in {self.next_in:.{0 if self.next_in >= 1 else 1}f} s"
        fault = f", no news: {self.fault}{again}" if self.fault is not None else ""
        return f"{self.ref} {self.kind}: {self.received:,}{share} bytes{fault}"


@dataclass(frozen=True, slots=True)
class Downloaded(Event):
    """An asset of `kind` was saved as `path`, `size` bytes. There is no event for a file that already existed."""

    kind: str
    path: Path
    size: int

    def __str__(self) -> str:
        return f"{self.ref} {self.kind} saved: {self.path} ({self.size:,} bytes)"


def percent(progress: float | None) -> str:
    """A progress as text, with a leading space; empty for None."""
    return "" if progress is None else f" {progress:.0f} %"


def money(cost: Cost | None, problem: Problem | None = None) -> str:
    """A cost in brackets, with a leading space; without a cost, whether the problem is charged; empty if unknown."""
    if cost is not None:
        return f" ({cost})"
    charged = None if problem is None else problem.charged
    return "" if charged is None else " (charged)" if charged else " (not charged)"
