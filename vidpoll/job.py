"""The job as a state machine. Pure: no clock, no network, no hook is called here.

    queued ⇄ running ──► completed | failed | cancelled | expired      (a final state is never left)

`TRANSITIONS` is the table, and only a provider's answer moves a job along it. All times are Unix seconds, passed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from . import redact
from .errors import (
    ForeignAnswer,
    JobCancelled,
    JobError,
    JobExpired,
    JobFailed,
    OutcomeUnknown,
    ResultMissing,
    TransitionRefused,
    UsageError,
    VidpollError,
)
from .events import Completed, Event, Failed, ProgressChanged, StageChanged, money, percent
from .model import NO_REASON, Asset, Cost, Exchange, Problem, Snapshot, State, as_stage, parse_reference, same_id

_ALL = frozenset(State)
_NONE: frozenset[State] = frozenset()

TRANSITIONS: Mapping[State | None, frozenset[State]] = {
    None: _ALL,  # nothing heard yet
    State.QUEUED: _ALL,
    State.RUNNING: _ALL,  # providers do re-queue
    State.COMPLETED: _NONE,
    State.FAILED: _NONE,
    State.CANCELLED: _NONE,
    State.EXPIRED: _NONE,
}
"""Which states may follow which. A final state's row is empty; an answer that repeats it is no transition."""

GRACE = 3
"""How often a completed answer without the video that is due is asked again (providers publish late)."""


_Place = tuple[State | None, str | None]
"""A state and a stage: where a job is."""

_NOWHERE: frozenset[_Place] = frozenset()  # shared: an empty set takes 216 bytes, and ten thousand jobs may wait
_WORDLESS: frozenset[str] = frozenset()


class Moment(NamedTuple):
    """What was known from Unix second `at` on; a job's history is a list of these."""

    at: float
    state: State | None
    stage: str | None
    progress: float | None


class Job:
    """A job at a provider, known by its reference `account:id`. Made by `Client.submit`, or from a reference.

    `state` is None until the first answer. `stage` is the provider's own word, `progress` 0 to 100 or None.
    `created_at` is the Unix second at which it was made: submitted here, else as the provider says, else None. Values
    are read by anyone and changed by `receive` alone. Raises BadReference for a text that is no reference.
    """

    __slots__ = (
        "_grace", "_held", "_left", "_recall", "_returning", "_told", "_unknown", "_words", "account", "answers",
        "assets", "confirmed", "cost", "created_at", "history", "id", "problem", "progress", "ref", "snapshot",
        "stage", "stale", "state", "submitted_at",
    )  # fmt: skip

    def __init__(self, ref: str, *, submitted_at: float | None = None) -> None:
        self.account, self.id = parse_reference(ref)
        self.ref = ref
        self.submitted_at = self.created_at = submitted_at
        self.state: State | None = None
        self.stage: str | None = None
        self.progress: float | None = None
        self.assets: tuple[Asset, ...] = ()
        self.problem: Problem | None = None
        self.cost: Cost | None = None
        self.snapshot: Snapshot | None = None
        self.history: tuple[Moment, ...] = ()
        self.answers = 0
        self.confirmed = True
        self.stale = False
        """Whether its assets are those of a store, with their URLs cut: the next answer brings fresh ones."""
        self._grace = 0
        self._held: Snapshot | None = None
        self._left: frozenset[_Place] = _NOWHERE
        self._returning: _Place | None = None
        self._told: _Place | None = None
        self._words: frozenset[str] = _WORDLESS
        self._unknown: OutcomeUnknown | None = None
        self._recall: Callable[[str], tuple[Exchange, ...]] | tuple[Exchange, ...] = ()

    def __getstate__(self) -> dict[str, object]:
        return {**{name: getattr(self, name) for name in self.__slots__}, "_recall": self.transcript}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        stage = f" {self.stage}" if self.stage and self.stage != self.state else ""
        return f"<Job {self.ref} {self.state or 'not asked yet'}{stage}{percent(self.progress)}>"

    @property
    def final(self) -> bool:
        """True when the provider has given its verdict (a list row's verdict counts once it is confirmed)."""
        return self.state is not None and self.state.final and self.confirmed

    @property
    def ok(self) -> bool:
        """True when the job is completed."""
        return self.final and self.state is State.COMPLETED

    @property
    def transcript(self) -> tuple[Exchange, ...]:
        """The last answers about this job, oldest first, safe to show; empty before it was waited for."""
        return self._recall(self.ref) if callable(self._recall) else self._recall

    def recorded(self, recall: Callable[[str], tuple[Exchange, ...]]) -> None:
        """Say where the transcript of this job is kept."""
        self._recall = recall

    def resume(self, where: str = "vidpoll") -> str:
        """The line of Python that goes on waiting for this job; `where` is what has the `wait`."""
        return f"{where}.wait({json.dumps(self.ref, ensure_ascii=False)})"

    @property
    def error(self) -> VidpollError | None:
        """What `check` raises: the provider's verdict, or why the outcome is unknown; else None."""
        if not self.final:
            return self._unknown
        assert self.state is not None
        kind = _ERRORS.get(self.state)
        return None if kind is None else kind(self._verdict(), job=self)

    def check(self) -> Job:
        """Return the job if it is completed, else raise what `wait` would have raised.

        Raises JobFailed, JobCancelled, JobExpired, an OutcomeUnknown, or UsageError for a job nobody waited for.
        """
        if self.error is not None:
            raise self.error
        if not self.ok:
            raise UsageError(f"{self.ref} has no verdict yet; wait for it: vidpoll.wait({self.ref!r})", job=self)
        return self

    @property
    def video(self) -> Asset:
        """The first video asset. Raises the job's own error, or ResultMissing where there is no video."""
        for asset in self.assets:
            if asset.kind == "video":
                return asset
        if self.error is not None:
            raise self.error
        kinds = ", ".join(sorted({asset.kind for asset in self.assets})) or "no files at all"
        why = f"it is completed, with {kinds}" if self.ok else "it is not completed yet; wait for it first"
        raise ResultMissing(f"{self.ref} has no video: {why}", job=self)

    @property
    def took(self) -> float | None:
        """Seconds that a completed job took: as its provider says, or else as it was seen. None where neither tells."""
        said = self.snapshot
        if self.state is not State.COMPLETED or said is None:
            return None
        if said.created_at is not None and said.finished_at is not None:
            took = said.finished_at - said.created_at
        elif self.answers > 1:
            took = self.history[-1].at - (self.history[0].at if self.created_at is None else self.created_at)
        else:  # it was done when it was first looked at
            return None
        return took if took > 0 else None

    def receive(self, snapshot: Snapshot, at: float) -> tuple[Event, ...]:
        """Take in one answer of the provider and say what changed.

        Raises ForeignAnswer and TransitionRefused; the job is then unchanged.
        """
        self._own(snapshot)
        if snapshot.state not in TRANSITIONS[self.state if self.confirmed else None]:
            return self._refresh(snapshot)
        self.answers += 1
        self._unknown = None
        due = snapshot.assets_due and not any(asset.kind == "video" for asset in snapshot.assets)
        if snapshot.state is State.COMPLETED and due and self._grace < GRACE:
            self._grace += 1
            self._held = snapshot
            events = self._move(replace(snapshot, state=State.RUNNING), at)
            self.snapshot = snapshot
            return events
        if snapshot.state.final:
            return (self._conclude(snapshot, at),)
        return self._move(snapshot, at)

    def receive_unknown(self, word: str, at: float) -> tuple[Event, ...]:
        """Take in a status word that is not listed: it becomes the stage, the state stays; told once per word."""
        if self.final:
            return ()
        self.answers += 1
        self._unknown = None
        stage = as_stage(word)
        if not self._arrive((self.state, stage)):
            return ()
        told = stage in self._words
        self._words |= {stage}
        previous = self._enter(self.state, stage, None, at)
        return () if told else self._tell(at, previous, known=False)

    def listed(self, snapshot: Snapshot, at: float) -> None:
        """Take in a row of a list. A verdict in it is shown, and counts only after a status answer confirms it.

        Raises ForeignAnswer and TransitionRefused; the job is then unchanged.
        """
        self._own(snapshot)
        if self.final:
            self._refresh(snapshot)
        elif snapshot.state.final:
            if (snapshot.state, snapshot.stage) != (self.state, self.stage):
                self._enter(snapshot.state, snapshot.stage, _clamp(snapshot.progress), at)
            self._adopt(snapshot)
            self.confirmed = False
        else:
            self._move(snapshot, at)

    def settle(self, at: float) -> tuple[Event, ...]:
        """At the end of a wait: a completed answer in hand counts, even without the files that were due."""
        return () if self._held is None or self.final else (self._conclude(self._held, at),)

    def restore(self, known: Job, history: Iterable[Moment]) -> None:
        """Take over what a store has kept of this job; nothing is told, and what was told before is not told again."""
        for name in (
            "state",
            "stage",
            "progress",
            "assets",
            "problem",
            "cost",
            "snapshot",
            "confirmed",
            "stale",
            "created_at",
        ):
            setattr(self, name, getattr(known, name))
        self.submitted_at = self.submitted_at or known.submitted_at
        self.answers = max(self.answers, known.answers)
        self.history = tuple(history)
        here = (self.state, self.stage)
        self._left = frozenset((moment.state, moment.stage) for moment in self.history) - {here}
        self._words = frozenset(moment.stage for moment in self.history if moment.stage is not None)
        self._told = here
        self._held = self._returning = self._unknown = None

    def give_up(self, error: OutcomeUnknown) -> None:
        """Note why the outcome is unknown. The state is not touched: only the provider ends a job."""
        self._unknown = error

    def verdict(self, at: float) -> Event | None:
        """The event of the verdict, None while there is none."""
        if not self.final or self.state is None:
            return None
        if self.state is State.COMPLETED:
            return Completed(self.ref, at, self.assets, self.cost)
        return Failed(self.ref, at, self.state, self.problem, self.cost)

    def _own(self, snapshot: Snapshot) -> None:
        named = snapshot.job_id
        if named is not None and not same_id(named, self.id):
            said = f"the answer is about another job: it names {redact.text(named, limit=80)!r}, and not {self.id!r}"
            raise ForeignAnswer(said, job=self, named=named)

    def _move(self, snapshot: Snapshot, at: float) -> tuple[Event, ...]:
        place = (snapshot.state, snapshot.stage)
        same = place == (self.state, self.stage)
        if not self._arrive(place) and not same:
            return ()
        shown = _clamp(snapshot.progress)
        if same:
            shown = self.progress if shown is None else max(shown, self.progress or 0.0)
        events: tuple[Event, ...] = ()
        before = self.progress
        if not same:
            previous = self._enter(snapshot.state, snapshot.stage, shown, at)
            events = self._tell(at, previous)
        elif shown != before:
            self.progress = shown
            self.history += (Moment(at, self.state, self.stage, shown),)
        self.confirmed = True
        if shown is not None and shown != before:
            events += (ProgressChanged(self.ref, at, shown, self.stage),)
        self._adopt(snapshot)
        return events

    def _arrive(self, place: _Place) -> bool:
        """Whether to go to `place`: a place that was left must be named by two answers in a row.

        One is enough where only a list row says that the job has come further.
        """
        if place == (self.state, self.stage):
            self._returning = None
            return False
        if place in self._left and place != self._returning and self.confirmed:
            self._returning = place
            return False
        self._returning = None
        return True

    def _enter(self, state: State | None, stage: str | None, progress: float | None, at: float) -> str | None:
        """Go to a place; returns the stage that is left."""
        previous = self.stage
        if self.history:
            self._left |= {(self.state, self.stage)}
        self.state, self.stage, self.progress = state, stage, progress
        self.history += (Moment(at, state, stage, progress),)
        return previous

    def _tell(self, at: float, previous: str | None, *, known: bool = True) -> tuple[StageChanged, ...]:
        """The event of the place, unless it was the last one told: a word that is told once hides what follows it."""
        place = (self.state, self.stage)
        if place == self._told:
            return ()
        self._told = place
        return (StageChanged(self.ref, at, self.state, self.stage, self.progress, previous, known),)

    def _conclude(self, snapshot: Snapshot, at: float) -> Event:
        shown = _clamp(snapshot.progress)
        here = (snapshot.state, snapshot.stage) == (self.state, self.stage)  # a list row was here before
        if here or snapshot.state is not State.COMPLETED:  # where it stopped; MoneyPrinterTurbo 1.2 falls back to 0
            shown = max((p for p in (shown, self.progress) if p is not None), default=None)
        self.confirmed = True
        self._held = None
        self._enter(snapshot.state, snapshot.stage, shown, at)
        self._adopt(snapshot)
        event = self.verdict(at)
        assert event is not None
        return event

    def _refresh(self, snapshot: Snapshot) -> tuple[Event, ...]:
        if snapshot.state is not self.state:
            raise TransitionRefused(f"{self.ref} is {self.state} and cannot become {snapshot.state}", job=self)
        self._adopt(snapshot)
        return ()

    def _adopt(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.created_at = self.created_at or snapshot.created_at
        self.assets = _merge(self.assets, snapshot.assets)
        self.stale = False
        self.problem = snapshot.problem or self.problem
        self.cost = snapshot.cost or self.cost

    def _verdict(self) -> str:
        said = f"{self.ref} {self.state}: {self.problem or NO_REASON}"
        return f"{said}{money(self.cost)}. Submitting it again is a new job."


_ERRORS: Mapping[State, type[JobError]] = {
    State.FAILED: JobFailed,
    State.CANCELLED: JobCancelled,
    State.EXPIRED: JobExpired,
}


def _merge(old: tuple[Asset, ...], new: tuple[Asset, ...]) -> tuple[Asset, ...]:
    """Fresh assets replace old ones of the same kind and place; nothing is removed (URLs expire, records empty)."""
    if not old:
        return new
    merged = list(new)
    for kind in dict.fromkeys(asset.kind for asset in old):
        kept = [asset for asset in old if asset.kind == kind]
        merged += kept[sum(asset.kind == kind for asset in new) :]
    return tuple(merged)


def _clamp(progress: float | None) -> float | None:
    return None if progress is None else min(100.0, max(0.0, float(progress)))
