"""What happened to a job: frozen values that hooks, `on_event` and `watch` get. Each prints as one short line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import OutcomeUnknown
from .model import NO_REASON, Asset, Cost, Problem, Snapshot, State


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the job `ref`, at Unix second `at`. Prints as one short line."""

    ref: str
    at: float


@dataclass(frozen=True, slots=True)
class StageChanged(Event):
    """The state or the stage is another. `known` is False for a status word that the plugin does not list."""

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
    """The shown progress (0 to 100) is another."""

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
    """One answer that says nothing about the job, the `in_a_row`-th; asked again in `retry_in` seconds (None: not)."""

    reason: str
    status: int | None = None
    retry_in: float | None = None
    in_a_row: int = 1

    def __str__(self) -> str:
        again = "" if self.retry_in is None else f"; asking again in {self.retry_in:.0f} s"
        return f"{self.ref} no news: {self.reason}{again}"


@dataclass(frozen=True, slots=True)
class Stalled(Event):
    """Nothing about the job has changed for `seconds`, although answers come. Never an error: some jobs take long."""

    seconds: float
    stage: str | None = None
    progress: float | None = None

    def __str__(self) -> str:
        return (
            f"{self.ref} stalled: {self.stage or 'no change'}{percent(self.progress)} for {self.seconds / 60:.0f} min"
        )


@dataclass(frozen=True, slots=True)
class GaveUp(Event):
    """vidpoll stopped asking; the outcome is unknown and the job goes on at the provider."""

    error: OutcomeUnknown

    def __str__(self) -> str:
        return str(self.error)


@dataclass(frozen=True, slots=True)
class Polled(Event):
    """An answer was understood; asked again in `next_in` seconds (None after a verdict). For displays.

    `eta`: seconds from now, from and to; eight of ten jobs like this one end between the two. None after a verdict, and
    where nothing is known: no progress, no durations declared by the plugin or learnt. `late`: it takes longer than
    95 % of the account's jobs.
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
    """`received` of `total` bytes (None where the server does not tell) of an asset of `kind` have arrived.

    `fault` is why no more come at the moment; None while they come. `next_in` is then how many seconds it takes until
    they are asked for again.
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
    """An asset of `kind` lies whole under `path`, `size` bytes. Not told of a file that was there already."""

    kind: str
    path: Path
    size: int

    def __str__(self) -> str:
        return f"{self.ref} {self.kind} saved: {self.path} ({self.size:,} bytes)"


def percent(progress: float | None) -> str:
    """A progress as text, with a space before it; empty where there is none."""
    return "" if progress is None else f" {progress:.0f} %"


def money(cost: Cost | None, problem: Problem | None = None) -> str:
    """A cost in brackets, with a space before it; without one whether a problem is charged; empty where none knows."""
    if cost is not None:
        return f" ({cost})"
    charged = None if problem is None else problem.charged
    return "" if charged is None else " (charged)" if charged else " (not charged)"
