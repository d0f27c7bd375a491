"""The job as a state machine: one frozen value and one table. Pure: no clock, no network, no hook is called here.

    queued ⇄ running ──► completed | failed | cancelled | expired      (a final state is never left)

A *state* is what the provider says; a *phase* is how vidpoll judges the next response. `TABLE` gives the next phase for
each phase and each kind of response. Only a provider's response moves a job. All times are Unix seconds, passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from .errors import TransitionRefused
from .events import Completed, Event, Failed, ProgressChanged, StageChanged
from .model import Asset, Cost, Problem, Snapshot, State, as_stage

GRACE = 3
"""How many completed responses without the video are followed by another poll (providers publish late)."""


class Phase(Enum):
    """How the next response is judged."""

    NEW = "new"
    """No response has come yet."""
    OPEN = "open"
    """Queued or running."""
    RETURNING = "returning"
    """The last response named a place that the job had left. If the next one names it again, it is believed."""
    FILES_LATE = "files late"
    """Completed, but the video is missing: vidpoll polls again; when the wait ends, the job counts as completed."""
    LATE_RETURNING = "files late, returning"
    """Like RETURNING, after a completed response whose video is late."""
    UNCONFIRMED = "unconfirmed"
    """A list row has a verdict, which counts once a status response confirms it."""
    ENDED = "ended"
    """The provider has given its verdict."""


class Kind(Enum):
    """What a response means for a job. A place is a state and a stage; an unlisted status word is also a stage."""

    STAYS = "stays"
    """Queued or running, at the shown place."""
    MOVES = "moves"
    """Queued or running, at a new place."""
    RETURNS = "returns"
    """Queued or running, at a place that the job has left."""
    AGAIN = "returns again"
    """The same returning place, for the second time in a row."""
    FILES_LATE = "completed, files late"
    """Completed without its video, for the first `GRACE` times."""
    VERDICT = "verdict"
    """Completed, failed, cancelled or expired."""
    ROW = "verdict of a row"
    """A verdict that only a list row gives."""
    WORD = "unknown word"
    """An unlisted status word, while a verdict is shown."""
    SETTLES = "wait ends"
    """The wait ends after a completed response whose video is late."""
    REPEATS = "repeats"
    """The known verdict again."""


TABLE: Mapping[Phase, Mapping[Kind, Phase]] = {
    Phase.NEW: {
        Kind.MOVES: Phase.OPEN,
        Kind.FILES_LATE: Phase.FILES_LATE,
        Kind.VERDICT: Phase.ENDED,
        Kind.ROW: Phase.UNCONFIRMED,
    },
    Phase.OPEN: {
        Kind.STAYS: Phase.OPEN,
        Kind.MOVES: Phase.OPEN,
        Kind.RETURNS: Phase.RETURNING,
        Kind.FILES_LATE: Phase.FILES_LATE,
        Kind.VERDICT: Phase.ENDED,
        Kind.ROW: Phase.UNCONFIRMED,
    },
    Phase.RETURNING: {
        Kind.STAYS: Phase.OPEN,
        Kind.MOVES: Phase.OPEN,
        Kind.RETURNS: Phase.RETURNING,
        Kind.AGAIN: Phase.OPEN,
        Kind.FILES_LATE: Phase.FILES_LATE,
        Kind.VERDICT: Phase.ENDED,
        Kind.ROW: Phase.UNCONFIRMED,
    },
    Phase.FILES_LATE: {
        Kind.STAYS: Phase.FILES_LATE,
        Kind.MOVES: Phase.FILES_LATE,
        Kind.RETURNS: Phase.LATE_RETURNING,
        Kind.FILES_LATE: Phase.FILES_LATE,
        Kind.VERDICT: Phase.ENDED,
        Kind.ROW: Phase.FILES_LATE,  # the completed status response outweighs the row
        Kind.SETTLES: Phase.ENDED,
    },
    Phase.LATE_RETURNING: {
        Kind.STAYS: Phase.FILES_LATE,
        Kind.MOVES: Phase.FILES_LATE,
        Kind.RETURNS: Phase.LATE_RETURNING,
        Kind.AGAIN: Phase.FILES_LATE,
        Kind.FILES_LATE: Phase.FILES_LATE,
        Kind.VERDICT: Phase.ENDED,
        Kind.ROW: Phase.FILES_LATE,
        Kind.SETTLES: Phase.ENDED,
    },
    Phase.UNCONFIRMED: {
        Kind.MOVES: Phase.OPEN,
        Kind.RETURNS: Phase.OPEN,  # at once: a status response outweighs a row
        Kind.FILES_LATE: Phase.FILES_LATE,
        Kind.VERDICT: Phase.ENDED,
        Kind.ROW: Phase.UNCONFIRMED,
        Kind.WORD: Phase.UNCONFIRMED,
    },
    Phase.ENDED: {Kind.REPEATS: Phase.ENDED, Kind.WORD: Phase.ENDED},
}
"""The next phase for each phase and kind of response. A missing pair is impossible, and is refused."""

_DOUBTFUL = (Phase.RETURNING, Phase.LATE_RETURNING)

Place = tuple[State | None, str | None]
"""A state and a stage: where a job is."""

WORDLESS: frozenset[str] = frozenset()
"""Shared: an empty set takes 216 bytes, and ten thousand jobs may wait."""


class Moment(NamedTuple):
    """What was known of a job from Unix second `at` on; a job's history is a tuple of these."""

    at: float
    state: State | None
    stage: str | None
    progress: float | None


class Steps(NamedTuple):
    """The counts of a wait that is made of steps, for the next step in any process. Times are Unix seconds."""

    since: float = 0.0
    """The time of the first step; 0.0 before it, and after a step that gave up."""
    asked_at: float = 0.0
    """The time of the last poll; 0.0 before the first one."""
    next_at: float = 0.0
    """The earliest time of the next poll."""
    in_a_row: int = 0
    """Faults since the last good response."""
    first_at: float = 0.0
    """The time of the first of these faults."""
    refusals: int = 0
    missing: int = 0
    """404 responses in a row."""
    foreign: tuple[str, int] = ("", 0)
    """The wrong id that the last responses named, and how many of them named it."""
    wordless: bool = False
    """Whether a response without a status word was reported."""
    still_since: float | None = None
    """Since when nothing has changed; None once that was reported."""

    def earlier(self, seconds: float) -> Steps:
        """The same counts, with all their times so many seconds earlier."""
        return self._replace(
            since=self.since and self.since - seconds,
            asked_at=self.asked_at - seconds,
            next_at=self.next_at - seconds,
            first_at=self.first_at - seconds,
            still_since=None if self.still_since is None else self.still_since - seconds,
        )


NO_STEPS = Steps()


class JobState(NamedTuple):
    """All known facts of the job `ref`: what a `Job` holds, and what a store saves and restores.

    Each response gives a new value and the events of the difference. It is a tuple, because ten thousand of them may be
    replaced every few seconds.
    """

    ref: str
    phase: Phase = Phase.NEW
    state: State | None = None
    stage: str | None = None
    progress: float | None = None
    assets: tuple[Asset, ...] = ()
    problem: Problem | None = None
    cost: Cost | None = None
    snapshot: Snapshot | None = None
    history: tuple[Moment, ...] = ()
    submitted_at: float | None = None
    created_at: float | None = None
    answers: int = 0
    """Status responses that were understood."""
    stale: bool = False
    """Whether its assets come from a store, which cut the queries of their URLs; the next response has fresh URLs."""
    grace: int = 0
    """Completed responses without the video."""
    late: tuple[str | None, float | None] | None = None
    """Stage and progress of the completed response, while the files are late."""
    returning: Place | None = None
    """The place that a second response in a row must confirm."""
    left: tuple[Place, ...] = ()
    """The places that the job has left, each once."""
    told: Place | None = None
    """The place of the last StageChanged event."""
    words: frozenset[str] = WORDLESS
    """The unknown words that had an event."""
    steps: Steps = NO_STEPS
    """The counts of `Client.step`."""
    give_up_at: float | None = None
    """When steps give up, in Unix seconds; None: never."""

    # -- responses ----------------------------------------------------------------------------------------------------

    def receive(self, snapshot: Snapshot, at: float) -> Change:
        """Process a status response. Raises TransitionRefused."""
        kind = self._kind(snapshot)
        phase = self.after(kind, snapshot.state)
        if kind is Kind.REPEATS:
            return self._adopt(snapshot), ()
        known = self._replace(phase=phase, answers=self.answers + 1)
        if kind is Kind.VERDICT:
            return known._conclude(snapshot.state, snapshot.stage, snapshot.progress, at)._adopt(snapshot)._ended(at)
        if kind is Kind.FILES_LATE:
            return known._wait_for_files(snapshot, at)
        return known._move(kind, snapshot, at)

    def receive_unknown(self, word: str, at: float) -> Change:
        """Process an unlisted status word: it becomes the stage, and the state stays. One event per word."""
        place = (self.state, as_stage(word))
        kind = Kind.WORD if self.phase in (Phase.UNCONFIRMED, Phase.ENDED) else self._kind_of_place(place)
        known = self._replace(phase=self.after(kind, word))
        if known.phase is Phase.ENDED:
            return known, ()
        known = known._replace(answers=self.answers + 1, returning=None)
        if known.phase in _DOUBTFUL:
            return known._replace(returning=place), ()
        if place == (self.state, self.stage):
            return known, ()
        stage = place[1]
        known = known._enter(self.state, stage, None, at)._replace(words=self.words | {stage})
        return (known, ()) if stage in self.words else known._tell(at, self.stage, known=False)

    def listed(self, snapshot: Snapshot, at: float) -> Change:
        """Process a row of a list. A verdict in it is shown, but a status response must confirm it.

        Raises TransitionRefused.
        """
        kind = self._kind(snapshot)
        if kind in (Kind.VERDICT, Kind.FILES_LATE):
            kind = Kind.ROW
        known = self._replace(phase=self.after(kind, snapshot.state))
        if kind not in (Kind.ROW, Kind.REPEATS):
            return known._move(kind, snapshot, at)
        place = (snapshot.state, snapshot.stage)
        if known.phase is Phase.UNCONFIRMED and place != (self.state, self.stage):
            known = known._enter(*place, _clamp(snapshot.progress), at)
        return known._adopt(snapshot), ()

    def settle(self, at: float) -> Change:
        """The wait ends: a received completed response counts, even without its files."""
        if self.late is None:
            return self, ()
        known = self._replace(phase=self.after(Kind.SETTLES, State.COMPLETED))
        return known._conclude(State.COMPLETED, *self.late, at)._ended(at)

    def after(self, kind: Kind, said: object) -> Phase:
        """The phase after a response of this kind; `said` is its state or word. Raises TransitionRefused."""
        phase = TABLE[self.phase].get(kind)
        if phase is None:
            here = self.state if self.phase is Phase.ENDED else self.phase.value
            raise TransitionRefused(f"{self.ref} is {here} and cannot become {said}")
        return phase

    def verdict(self, at: float) -> Event | None:
        """The event of the verdict; None before the verdict."""
        if self.phase is not Phase.ENDED or self.state is None:
            return None
        if self.state is State.COMPLETED:
            return Completed(self.ref, at, self.assets, self.cost)
        return Failed(self.ref, at, self.state, self.problem, self.cost)

    # -- what kind a response is --------------------------------------------------------------------------------------

    def _kind(self, snapshot: Snapshot) -> Kind:
        if self.phase is Phase.ENDED and snapshot.state is self.state:
            return Kind.REPEATS
        if snapshot.state.final:
            return Kind.FILES_LATE if snapshot.files_late and self.grace < GRACE else Kind.VERDICT
        return self._kind_of_place((snapshot.state, snapshot.stage))

    def _kind_of_place(self, place: Place) -> Kind:
        if place == (self.state, self.stage):
            return Kind.STAYS
        if place == self.returning:
            return Kind.AGAIN
        return Kind.RETURNS if place in self.left else Kind.MOVES

    # -- what a response changes --------------------------------------------------------------------------------------

    def _move(self, kind: Kind, snapshot: Snapshot, at: float) -> Change:
        """Show where a queued or running job is. A doubtful place changes nothing, not even the progress."""
        if self.phase in _DOUBTFUL:
            return self._replace(returning=(snapshot.state, snapshot.stage)), ()
        shown = _clamp(snapshot.progress)
        events: tuple[Event, ...] = ()
        if kind is Kind.STAYS:
            shown = self.progress if shown is None else max(shown, self.progress or 0.0)
            known = self
            if shown != self.progress:
                moment = Moment(at, self.state, self.stage, shown)
                known = self._replace(progress=shown, history=(*self.history, moment))
        else:
            known, events = self._enter(snapshot.state, snapshot.stage, shown, at)._tell(at, self.stage)
        if shown is not None and shown != self.progress:
            events += (ProgressChanged(self.ref, at, shown, known.stage),)
        return known._adopt(snapshot), events

    def _wait_for_files(self, snapshot: Snapshot, at: float) -> Change:
        """Completed, files late: show the job as running until the files come."""
        running = replace(snapshot, state=State.RUNNING)
        stays = (running.state, running.stage) == (self.state, self.stage)
        known = self._replace(grace=self.grace + 1, late=(snapshot.stage, snapshot.progress))
        known, events = known._move(Kind.STAYS if stays else Kind.MOVES, running, at)
        return known._replace(snapshot=snapshot), events

    def _enter(self, state: State | None, stage: str | None, progress: float | None, at: float) -> JobState:
        here = (self.state, self.stage)
        left = self.left if not self.history or here in self.left else (*self.left, here)
        history = (*self.history, Moment(at, state, stage, progress))
        return self._replace(state=state, stage=stage, progress=progress, history=history, left=left)

    def _tell(self, at: float, previous: str | None, *, known: bool = True) -> Change:
        """The event of the place, unless the last event named the same place."""
        place = (self.state, self.stage)
        if place == self.told:
            return self, ()
        event = StageChanged(self.ref, at, self.state, self.stage, self.progress, previous, known)
        return self._replace(told=place), (event,)

    def _conclude(self, state: State, stage: str | None, progress: float | None, at: float) -> JobState:
        shown = _clamp(progress)
        here = (state, stage) == (self.state, self.stage)  # a list row has already shown this place
        if here or state is not State.COMPLETED:  # keep the last progress; MoneyPrinterTurbo 1.2 falls back to 0
            shown = max((p for p in (shown, self.progress) if p is not None), default=None)
        return self._enter(state, stage, shown, at)._replace(late=None, returning=None)

    def _ended(self, at: float) -> Change:
        event = self.verdict(at)
        assert event is not None
        return self, (event,)

    def _adopt(self, snapshot: Snapshot) -> JobState:
        return self._replace(
            returning=None,
            snapshot=snapshot,
            created_at=self.created_at or snapshot.created_at,
            assets=_merge(self.assets, snapshot.assets),
            stale=False,
            problem=snapshot.problem or self.problem,
            cost=snapshot.cost or self.cost,
        )


Change = tuple[JobState, tuple[Event, ...]]
"""The state after a response, and the events of what changed."""


def _merge(old: tuple[Asset, ...], new: tuple[Asset, ...]) -> tuple[Asset, ...]:
    """Fresh assets replace old ones of the same kind and position. None is removed (URLs expire, records empty)."""
    if not old:
        return new
    merged = list(new)
    for kind in dict.fromkeys(asset.kind for asset in old):
        kept = [asset for asset in old if asset.kind == kind]
        merged += kept[sum(asset.kind == kind for asset in new) :]
    return tuple(merged)


def _clamp(progress: float | None) -> float | None:
    return None if progress is None else min(100.0, max(0.0, float(progress)))
