"""The job as a state machine: snapshots in, events out. Every rule about what a job may become stands here."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll import (
    Asset,
    BadReference,
    Completed,
    Cost,
    Downloaded,
    DownloadProgress,
    Event,
    Failed,
    ForeignAnswer,
    GaveUp,
    Job,
    JobCancelled,
    JobExpired,
    JobFailed,
    Polled,
    PollFailed,
    Problem,
    ProgressChanged,
    ResultMissing,
    Snapshot,
    StageChanged,
    Stalled,
    State,
    TransitionRefused,
    UsageError,
    WaitTimeout,
    events,
)
from vidpoll.job_state import GRACE, TABLE, Kind, Moment, Phase
from vidpoll.storage import records

few = settings(max_examples=40, deadline=None)  # enough to find what is wrong, few enough to run always

REF = "acme:1"
VIDEO = Asset("https://a.example/1.mp4")
THUMB = Asset("https://a.example/1.jpg", "thumbnail")
Q, R, C, F, X, E = State
FINAL = {F: JobFailed, X: JobCancelled, E: JobExpired}


def snap(state: State, stage: str | None = None, progress: float | None = None, **more: Any) -> Snapshot:
    """A snapshot; a completed one has its video unless told otherwise."""
    return Snapshot(state, stage, progress, **{"assets": (VIDEO,) if state is C else (), **more})


def feed(job: Job, *answers: Snapshot | str, at: float = 0.0) -> list[Event]:
    """The events of some answers, one second apart; a text is an unknown word."""
    events: list[Event] = []
    for turn, answer in enumerate(answers):
        now = at + turn
        events += job.receive_unknown(answer, now) if isinstance(answer, str) else job.receive(answer, now)
    return events


def look(job: Job) -> dict[str, Any]:
    """Everything that a job is, to compare before and after."""
    return {**{name: getattr(job, name) for name in Job.__slots__}, **job.known._asdict()}


def stages(events: Iterable[Event]) -> list[tuple[State | None, str | None]]:
    return [(event.state, event.stage) for event in events if isinstance(event, StageChanged)]


# -- the table --------------------------------------------------------------------------------------------------------


def reach(state: State | None) -> Job:
    job = Job(REF)
    if state is not None:
        job.receive(snap(state, "word"), 1.0)
    return job


@pytest.mark.parametrize("after", State)
@pytest.mark.parametrize("before", [None, *State])
def test_every_pair_of_states(before: State | None, after: State) -> None:
    """Queued and running go anywhere, a final state nowhere; a refusal changes nothing and names both states."""
    job = reach(before)
    if before is None or not before.final:
        job.receive(snap(after, "next"), 2.0)
        assert (job.state, job.stage, job.final) == (after, "next", after.final)
        return
    assert job.final
    if after is before:
        assert job.receive(snap(after, "next"), 2.0) == ()
        assert (job.state, job.stage) == (before, "word")
        return
    seen = look(job)
    with pytest.raises(TransitionRefused, match=f"{REF} is {before} and cannot become {after}") as caught:
        job.receive(snap(after, "next", problem=Problem("late"), cost=Cost(1)), 2.0)
    assert (look(job), caught.value.job) == (seen, job)


Step = tuple[str, Any]
"""What comes, and with what: `step` has the words."""

SEA, SKY, FAR = snap(R, "sea"), snap(R, "sky"), snap(R, "far")
LATE, DONE, BROKEN = snap(C, "done", assets=()), snap(C, "done"), snap(F, "failed")

REACHED: dict[Phase, list[Step]] = {
    Phase.NEW: [],
    Phase.OPEN: [("receive", SEA), ("receive", SKY)],
    Phase.RETURNING: [("receive", SEA), ("receive", FAR), ("receive", SKY), ("receive", SEA)],
    Phase.FILES_LATE: [("receive", SEA), ("receive", LATE)],
    Phase.LATE_RETURNING: [("receive", FAR), ("receive", SEA), ("receive", LATE), ("receive", SEA)],
    Phase.UNCONFIRMED: [("receive", SEA), ("listed", DONE)],
    Phase.ENDED: [("receive", SEA), ("receive", DONE)],
}
"""A conversation that leads to each phase."""

NEXT: dict[Kind, Step] = {
    Kind.MOVES: ("receive", snap(R, "elsewhere")),
    Kind.RETURNS: ("receive", SEA),
    Kind.FILES_LATE: ("receive", LATE),
    Kind.VERDICT: ("receive", BROKEN),
    Kind.ROW: ("listed", BROKEN),
    Kind.SETTLES: ("settle", None),
    Kind.REPEATS: ("receive", DONE),
    Kind.WORD: ("unknown", "odd"),
}
"""An answer of each kind, for most phases."""

OWN: dict[tuple[Phase, Kind], Step] = {
    (Phase.OPEN, Kind.STAYS): ("receive", SKY),
    (Phase.RETURNING, Kind.STAYS): ("receive", SKY),
    (Phase.RETURNING, Kind.AGAIN): ("receive", SEA),
    (Phase.RETURNING, Kind.RETURNS): ("receive", FAR),
    (Phase.FILES_LATE, Kind.STAYS): ("receive", snap(R, "done")),
    (Phase.LATE_RETURNING, Kind.STAYS): ("receive", snap(R, "done")),
    (Phase.LATE_RETURNING, Kind.AGAIN): ("receive", SEA),
    (Phase.LATE_RETURNING, Kind.RETURNS): ("receive", FAR),
}
"""Where another answer is of that kind."""

# which phase follows: . is none, because such an answer cannot come then
AFTER = """
                        new          open         returning    files late   files late,  unconfirmed  ended
                                                                            returning
stays                   .            open         open         late         late         .            .
moves                   open         open         open         late         late         open         .
returns                 .            returning    returning    late-ret     late-ret     open         .
returns again           .            .            open         .            late         .            .
completed, files late   late         late         late         late         late         late         .
verdict                 ended        ended        ended        ended        ended        ended        .
verdict of a row        unconfirmed  unconfirmed  unconfirmed  late         late         unconfirmed  .
unknown word            .            .            .            .            .            unconfirmed  ended
wait ends               .            .            .            ended        ended        .            .
repeats                 .            .            .            .            .            .            ended
"""
SHORT = {"late": Phase.FILES_LATE, "late-ret": Phase.LATE_RETURNING, **{phase.value: phase for phase in Phase}}
PAIRS = {
    (phase, Kind(row[:24].strip())): SHORT.get(word)
    for row in AFTER.strip("\n").splitlines()[2:]
    for phase, word in zip(Phase, row[24:].split(), strict=True)
}


def test_the_table_of_phases() -> None:
    """Every phase times every kind of answer, as it is written above; what cannot be is in no row."""
    assert set(PAIRS) == {(phase, kind) for phase in Phase for kind in Kind}
    assert {(phase, kind): TABLE[phase].get(kind) for phase, kind in PAIRS} == PAIRS


@pytest.mark.parametrize(("phase", "kind"), PAIRS, ids=lambda value: value.value)
def test_every_pair_of_phase_and_answer(phase: Phase, kind: Kind) -> None:
    """A conversation leads to the phase, an answer of the kind leads on; one that cannot be is refused, and said so."""
    job, after = Job(REF), PAIRS[phase, kind]
    for turn, (what, value) in enumerate(REACHED[phase]):
        step(job, what, value, float(turn))
    assert job.known.phase is phase
    if after is None:
        with pytest.raises(TransitionRefused, match=f"^{REF} is .+ and cannot become some word$"):
            job.known.after(kind, "some word")
        return
    step(job, *OWN.get((phase, kind)) or NEXT[kind], 9.0)
    assert job.known.phase is after


KINDS = [
    (Phase.NEW, Kind.MOVES, ("unknown", "odd")),
    (Phase.OPEN, Kind.STAYS, ("unknown", "sky")),
    (Phase.OPEN, Kind.RETURNS, ("unknown", "sea")),
    (Phase.RETURNING, Kind.AGAIN, ("unknown", "sea")),
    (Phase.FILES_LATE, Kind.MOVES, ("unknown", "odd")),
    (Phase.OPEN, Kind.MOVES, ("listed", FAR)),
    (Phase.OPEN, Kind.RETURNS, ("listed", SEA)),
    (Phase.OPEN, Kind.ROW, ("listed", LATE)),
    (Phase.UNCONFIRMED, Kind.MOVES, ("listed", FAR)),
    (Phase.UNCONFIRMED, Kind.VERDICT, ("receive", DONE)),
    (Phase.ENDED, Kind.REPEATS, ("listed", DONE)),
    (Phase.ENDED, Kind.REPEATS, ("receive", LATE)),
]


@pytest.mark.parametrize(("phase", "kind", "answer"), KINDS)
def test_a_word_and_a_row_are_answers_too(phase: Phase, kind: Kind, answer: Step) -> None:
    """A word that no plugin lists is a place; a row of a list counts like an answer, but for its verdict."""
    job = Job(REF)
    for turn, (what, value) in enumerate(REACHED[phase]):
        step(job, what, value, float(turn))
    step(job, *answer, 9.0)
    assert job.known.phase is PAIRS[phase, kind]


def test_an_answer_in_hand_outweighs_a_row() -> None:
    """Completed, files late: a row that says otherwise is not shown, and the wait ends as completed."""
    job = Job(REF)
    feed(job, B, LATE)
    job.listed(snap(F, "failed"), 2.0)
    assert (job.state, job.stage, job.final) == (R, "done", False)
    assert job.settle(9.0) == (Completed(REF, 9.0),)


def test_settling_adds_no_old_files() -> None:
    """What came with the completed answer is not taken again when the wait ends: fresher files may have come."""
    job, fresh = Job(REF), Asset("https://a.example/1.jpg?fresh", "thumbnail")
    feed(job, snap(C, "done", assets=(THUMB,)), snap(R, "publishing", assets=(fresh,)))
    assert job.settle(9.0) == (Completed(REF, 9.0, (fresh,)),)


def test_a_conversation() -> None:
    """Conversations are data: answers in, events out, equality between."""
    job = Job(REF)
    answers = [
        snap(Q, "queued"),
        snap(Q, "queued"),
        snap(R, "generating", 0),
        snap(R, "generating", 40),
        snap(R, "generating", 40),
        snap(R, "saving", 90),
        snap(C, "completed", 100, cost=Cost(52)),
    ]
    assert feed(job, *answers) == [
        StageChanged(REF, 0.0, Q, "queued"),
        StageChanged(REF, 2.0, R, "generating", 0.0, "queued"),
        ProgressChanged(REF, 2.0, 0.0, "generating"),
        ProgressChanged(REF, 3.0, 40.0, "generating"),
        StageChanged(REF, 5.0, R, "saving", 90.0, "generating"),
        ProgressChanged(REF, 5.0, 90.0, "saving"),
        Completed(REF, 6.0, (VIDEO,), Cost(52)),
    ]
    assert job.history == (
        Moment(0.0, Q, "queued", None),
        Moment(2.0, R, "generating", 0.0),
        Moment(3.0, R, "generating", 40.0),
        Moment(5.0, R, "saving", 90.0),
        Moment(6.0, C, "completed", 100.0),
    )
    assert (job.ok, job.final, job.answers, job.check(), job.video) == (True, True, 7, job, VIDEO)


@pytest.mark.parametrize("state", FINAL)
def test_a_verdict_is_one_event(state: State) -> None:
    """Failed, cancelled and expired are one kind of event with the state in it; repeating it tells nothing."""
    job = Job(REF)
    answer = snap(state, "word", problem=Problem("no"), cost=Cost(50, 50))
    assert feed(job, answer, answer) == [Failed(REF, 0.0, state, Problem("no"), Cost(50, 50))]
    assert job.verdict(9.0) == Failed(REF, 9.0, state, Problem("no"), Cost(50, 50))


def test_no_verdict_while_there_is_none() -> None:
    """A running job has no verdict event and no error."""
    job = reach(R)
    assert (job.verdict(1.0), job.error, job.final, job.ok) == (None, None, False, False)


# -- flicker ----------------------------------------------------------------------------------------------------------

A, B = snap(R, "image"), snap(R, "video")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([A, B, A, B, B], "image video"),
        ([A, B, A, B, A, B], "image video"),
        ([A, B, A, A], "image video image"),
        ([A, B, A, A, B, A], "image video image"),
        ([A, B, A, A, B, B], "image video image video"),
        ([A, B, snap(R, "sound"), A, B, A, B], "image video sound"),
        ([A, B, A, snap(R, "sound"), A, snap(R, "sound"), A], "image video sound"),
        ([snap(Q, "queued"), A, snap(Q, "queued"), snap(Q, "queued")], "queued image queued"),
    ],
)
def test_a_stage_that_was_left_needs_two_answers_in_a_row(answers: Sequence[Snapshot], told: str) -> None:
    """A lagging replica fires no hook twice; a job that really goes back is believed with the second answer."""
    assert [stage for _, stage in stages(feed(Job(REF), *answers))] == told.split()


def test_a_stale_answer_changes_nothing_that_is_shown() -> None:
    """The progress of a lagging replica is not adopted either."""
    job = Job(REF)
    feed(job, snap(R, "image", 90), snap(R, "video", 10), snap(R, "image", 95))
    assert (job.stage, job.progress, job.answers) == ("video", 10.0, 3)


def test_a_verdict_is_believed_at_once() -> None:
    """The flicker rule is about stages: a final answer needs no second one."""
    assert feed(Job(REF), A, B, A, snap(F, "failed"))[-1] == Failed(REF, 3.0, F)


# -- unknown words ----------------------------------------------------------------------------------------------------


def test_an_unknown_word_is_told_once() -> None:
    """The word becomes the stage, the state stays, and the hook hears of each word once."""
    job = Job(REF)
    events = feed(job, snap(R, "video", 50), "polishing", "polishing", snap(R, "sound"), "polishing", "polishing")
    assert events[2:] == [
        StageChanged(REF, 1.0, R, "polishing", None, "video", known=False),
        StageChanged(REF, 3.0, R, "sound", None, "polishing"),
    ]
    assert (job.state, job.stage, job.answers) == (R, "polishing", 6)


def test_a_word_that_was_told_hides_what_follows_it() -> None:
    """Back from a word that is not told again, the listener is where it was: nothing is told twice in a row."""
    job = Job(REF)
    events = feed(job, B, "polishing", B, B, "polishing", "polishing", B, B)
    assert [stage for _, stage in stages(events)] == ["video", "polishing", "video"]


def test_an_unknown_word_first() -> None:
    """A job of which only an unknown word was heard has a stage and no state."""
    job = Job(REF)
    assert [str(event) for event in feed(job, "warming")] == [f"{REF} unknown status 'warming'"]
    assert (job.state, job.stage, repr(job)) == (None, "warming", f"<Job {REF} not polled yet warming>")
    assert stages(feed(job, B)) == [(R, "video")]


def test_an_unknown_word_is_made_safe() -> None:
    """A plugin may hand on what came as it came: the stage is one line all the same."""
    job = Job(REF)
    feed(job, "\x1b[31mwarm\ning" + "x" * 200)
    assert job.stage == "warm ing" + "x" * 91 + "…"


def test_an_unknown_word_after_the_verdict() -> None:
    """What is final stays so, whatever words come later."""
    job = reach(C)
    seen = look(job)
    assert (job.receive_unknown("archived", 2.0), look(job)) == ((), seen)


# -- progress ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ([10, 5, 20], [10, 10, 20]),
        ([10, None, 20], [10, 10, 20]),
        ([None, 10, None], [None, 10, 10]),
        ([-5, 0], [0, 0]),
        ([99, 150, 100], [99, 100, 100]),
        ([100, 100], [100, 100]),
    ],
)
def test_progress_within_a_stage(came: list[float | None], shown: list[float | None]) -> None:
    """Clamped to 0..100, never down within a stage, and an answer without it keeps what was shown."""
    job, seen = Job(REF), []
    for turn, value in enumerate(came):
        job.receive(snap(R, "video", value), float(turn))
        seen.append(job.progress)
        assert job.snapshot is not None
        assert job.snapshot.progress == value
    assert seen == shown


def test_progress_starts_anew_with_a_stage() -> None:
    """Each stage counts for itself, as the provider does."""
    job = Job(REF)
    feed(job, snap(R, "image", 100), snap(R, "video", 5))
    assert job.progress == 5.0
    feed(job, snap(R, "sound"))
    assert job.progress is None


def test_100_percent_is_not_done() -> None:
    """Progress never decides anything: a job at 100 % is running until the provider says otherwise."""
    job = Job(REF)
    feed(job, snap(R, "video", 100))
    assert (job.final, job.state) == (False, R)
    feed(job, snap(F, "failed", 100))
    assert job.state is F


@pytest.mark.parametrize(("last", "stopped"), [(0, 60.0), (None, 60.0), (70, 70.0)])
def test_a_failure_keeps_where_it_stopped(last: float | None, stopped: float) -> None:
    """MoneyPrinterTurbo up to 1.2 falls back to 0 when it fails; what is shown is where the job stopped."""
    job = Job(REF)
    feed(job, snap(R, "video", 60), snap(F, "failed", last))
    assert job.progress == stopped


# -- grace ------------------------------------------------------------------------------------------------------------

BARE = snap(C, "done", 100, assets=())


def test_a_completed_answer_without_its_video_is_asked_again() -> None:
    """Providers publish late: the video that comes with the second answer is the job's."""
    job = Job(REF)
    assert stages(feed(job, B, BARE)) == [(R, "video"), (R, "done")]
    assert (job.final, job.snapshot) == (False, BARE)
    assert feed(job, snap(C, "done", 100), at=5.0) == [Completed(REF, 5.0, (VIDEO,))]


def test_grace_is_three_further_answers() -> None:
    """Then the job is completed without assets, and `video` says what is missing."""
    job = Job(REF)
    assert not any(isinstance(event, Completed) for event in feed(job, *[BARE] * GRACE))
    assert feed(job, BARE, at=9.0) == [Completed(REF, 9.0)]
    assert (GRACE, job.ok) == (3, True)
    with pytest.raises(ResultMissing, match=f"{REF} has no video: it is completed, with no files at all"):
        _ = job.video


def test_grace_is_not_counted_anew() -> None:
    """A provider that goes to and fro between running and done cannot keep a job open."""
    answers = [BARE, snap(R, "done", 100), BARE, snap(R, "done", 100), BARE, BARE]
    assert feed(Job(REF), *answers)[-1] == Completed(REF, 5.0)


def test_no_grace_where_no_video_is_due() -> None:
    """An audio-only task is completed with its first completed answer."""
    sound = Asset("/a.mp3", "audio")
    job = Job(REF)
    assert feed(job, snap(C, "done", assets=(sound,), assets_due=False)) == [Completed(REF, 0.0, (sound,))]
    with pytest.raises(ResultMissing, match="it is completed, with audio"):
        _ = job.video


def test_a_thumbnail_is_no_video() -> None:
    """Files that are there do not stand for the one that is due."""
    job = Job(REF)
    feed(job, snap(C, "done", assets=(THUMB,)))
    assert (job.final, job.assets) == (False, (THUMB,))


def test_settle() -> None:
    """An answer in hand beats the clock: at the deadline a completed answer counts without its files."""
    job = Job(REF)
    feed(job, B, BARE)
    assert job.settle(9.0) == (Completed(REF, 9.0),)
    assert (job.ok, job.settle(10.0), job.snapshot) == (True, (), BARE)


@pytest.mark.parametrize("answers", [[], [B], [snap(F)], [snap(C)]])
def test_nothing_to_settle(answers: list[Snapshot]) -> None:
    """Without a completed answer in hand a deadline changes nothing."""
    job = Job(REF)
    feed(job, *answers)
    seen = look(job)
    assert (job.settle(9.0), look(job)) == ((), seen)


def test_a_failure_ends_the_grace() -> None:
    """A provider that says completed and then failed has failed."""
    job = Job(REF)
    assert feed(job, BARE, snap(F, "failed"))[-1] == Failed(REF, 1.0, F)
    assert job.settle(9.0) == ()


# -- assets -----------------------------------------------------------------------------------------------------------

V2, OTHER = Asset("https://a.example/1.mp4?fresh"), Asset("https://a.example/2.mp4")


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ((), (VIDEO,), (VIDEO,)),
        ((VIDEO,), (), (VIDEO,)),
        ((VIDEO,), (V2,), (V2,)),
        ((VIDEO, THUMB), (V2,), (V2, THUMB)),
        ((THUMB, VIDEO), (VIDEO,), (VIDEO, THUMB)),
        ((VIDEO, OTHER), (V2,), (V2, OTHER)),
        ((VIDEO,), (V2, OTHER), (V2, OTHER)),
        ((THUMB,), (VIDEO,), (VIDEO, THUMB)),
    ],
)
def test_assets_are_merged(old: tuple[Asset, ...], new: tuple[Asset, ...], merged: tuple[Asset, ...]) -> None:
    """Fresh URLs replace old ones of their kind and place; nothing is removed when a record is emptied."""
    job = Job(REF)
    feed(job, snap(C, assets=old, assets_due=False), snap(C, assets=new, assets_due=False))
    assert job.assets == merged


def test_a_refresh_keeps_what_it_does_not_tell() -> None:
    """Problem and cost stay when a later answer has none."""
    job = Job(REF)
    feed(job, snap(F, problem=Problem("no"), cost=Cost(50)), snap(F))
    assert (job.problem, job.cost) == (Problem("no"), Cost(50))


# -- other jobs, lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("take", [Job.receive, Job.listed])
@pytest.mark.parametrize("state", State)
def test_an_answer_about_another_job(take: Any, state: State) -> None:
    """LiteLLM may answer with another id: it is never adopted."""
    job = reach(R)
    seen = look(job)
    with pytest.raises(ForeignAnswer) as caught:
        take(job, snap(state, job_id="2", progress=99), 2.0)
    assert (look(job), caught.value.job) == (seen, job)
    take(job, snap(state, job_id="1"), 2.0)


def test_a_listed_verdict_is_confirmed_by_an_answer() -> None:
    """A row shows its state, but counts only when a status answer says the same: rows lack URLs."""
    job = Job(REF)
    job.listed(snap(C, "done", assets=()), 1.0)
    assert (job.state, job.final, job.ok, job.error, job.verdict(1.0)) == (C, False, False, None, None)
    with pytest.raises(UsageError, match="no verdict yet"):
        job.check()
    assert job.receive(snap(C, "done"), 2.0) == (Completed(REF, 2.0, (VIDEO,)),)
    assert (job.final, job.video) == (True, VIDEO)


@pytest.mark.parametrize("row", [snap(C, "done"), snap(F, "failed")])
def test_a_listed_verdict_that_is_not_confirmed(row: Snapshot) -> None:
    """A status answer outweighs a row, at once, also where it leads back to a stage that was left."""
    job = Job(REF)
    feed(job, B)
    job.listed(row, 1.0)
    job.receive(B, 2.0)
    assert (job.state, job.stage, job.final) == (R, "video", False)
    assert job.receive(snap(X, "gone"), 3.0) == (Failed(REF, 3.0, X),)


def test_a_row_moves_a_job() -> None:
    """State, stage and progress of a row are shown; within a stage they do not go down."""
    job = Job(REF)
    job.listed(snap(R, "video", 40), 1.0)
    job.listed(snap(R, "video", 30), 2.0)
    assert (job.state, job.stage, job.progress, job.answers) == (R, "video", 40.0, 0)


def test_a_row_cannot_undo_a_verdict() -> None:
    """A confirmed verdict stays confirmed: a row refreshes it, or is refused."""
    job = reach(C)
    job.listed(snap(C, assets=(V2,)), 2.0)
    assert (job.final, job.video) == (True, V2)
    for state in (R, F):
        seen = look(job)
        with pytest.raises(TransitionRefused):
            job.listed(snap(state), 3.0)
        assert look(job) == seen


# -- what a user asks of a job ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "error"), FINAL.items())
def test_the_error_of_a_verdict(state: State, error: type[Exception]) -> None:
    """`error` is what `check` raises: the provider's reason, what it cost, and that a retry is a new job."""
    job = Job(REF)
    feed(job, snap(state, problem=Problem("no credits", "E1"), cost=Cost(50, 50)))
    for ask in (job.check, lambda: job.video):
        with pytest.raises(
            error, match=rf"{REF} {state}: no credits \(E1\) \(50 credits charged, 50 refunded\)"
        ) as caught:
            ask()
        assert caught.value.job is job  # type: ignore[attr-defined]
    assert (job.ok, job.final) == (False, True)


def test_a_failure_without_a_reason() -> None:
    """A provider that says nothing is quoted as saying nothing."""
    with pytest.raises(JobFailed, match="the provider gives no reason"):
        reach(F).check()


def test_an_unknown_outcome_is_noted_and_forgotten() -> None:
    """Giving up changes no state; `check` raises the reason until a good answer comes."""
    job = reach(R)
    error = WaitTimeout("no verdict after 9 s", job=job)
    job.give_up(error)
    assert (job.state, job.final, job.error) == (R, False, error)
    with pytest.raises(WaitTimeout):
        job.check()
    job.receive(B, 2.0)
    assert job.error is None


def test_giving_up_cannot_undo_a_verdict() -> None:
    """Rule 1: what the provider said stands."""
    job = reach(C)
    job.give_up(WaitTimeout("late", job=job))
    assert (job.error, job.check()) == (None, job)


def test_a_job_that_nobody_waited_for() -> None:
    """Asking too early says what to do."""
    job = Job(REF)
    with pytest.raises(UsageError, match=r"vidpoll\.wait\('acme:1'\)"):
        job.check()
    with pytest.raises(ResultMissing, match="not completed yet; wait for it first"):
        _ = job.video


def test_the_first_video() -> None:
    """Other files do not count, and a failed job's video is still its video."""
    job = Job(REF)
    feed(job, snap(F, assets=(THUMB, VIDEO, OTHER)))
    assert job.video is VIDEO


@pytest.mark.parametrize("reference", ["acme", "acme:", ":1", 7, None])
def test_a_job_needs_a_reference(reference: Any) -> None:
    """What is no reference is refused before anything is asked."""
    with pytest.raises(BadReference):
        Job(reference)


def test_a_job_from_a_reference() -> None:
    """The id is everything behind the first colon."""
    job = Job("fal:a/b:c", submitted_at=1.0)
    assert (job.account, job.id, job.ref, job.submitted_at) == ("fal", "a/b:c", "fal:a/b:c", 1.0)


@pytest.mark.parametrize("how", [lambda job: pickle.loads(pickle.dumps(job)), copy.deepcopy])
def test_a_job_survives_pickling(how: Any) -> None:
    """A job crosses a process with its rules: grace, flicker and told words go on where they were."""
    job = Job(REF)
    feed(job, snap(R, "image", 5), B, "odd", snap(R, "image"), BARE, BARE)
    job.give_up(WaitTimeout("x"))
    other = how(job)
    assert {**look(other), "_unknown": None} == {**look(job), "_unknown": None}
    rest = [snap(R, "image"), "odd", "odd", BARE, BARE]
    assert feed(other, *rest, at=9.0) == feed(job, *rest, at=9.0)
    assert other.ok


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        ([], "<Job acme:1 not polled yet>"),
        ([snap(Q, "queued")], "<Job acme:1 queued>"),
        ([snap(R, "video", 54.4)], "<Job acme:1 running video 54 %>"),
        ([snap(C, "completed", 100)], "<Job acme:1 completed 100 %>"),
    ],
)
def test_repr(answers: list[Snapshot], shown: str) -> None:
    """A job prints as what is known of it, and no URL."""
    job = Job(REF)
    feed(job, *answers)
    assert repr(job) == shown


@pytest.mark.parametrize(
    ("seen", "took"),
    [
        ([(0.0, snap(R)), (30.0, snap(C, assets=(VIDEO,)))], 30.0),
        ([(0.0, snap(R)), (30.0, snap(C, assets=(VIDEO,), created_at=100.0, finished_at=117.0))], 17.0),
        ([(0.0, snap(R)), (30.0, snap(C, assets=(VIDEO,), created_at=117.0, finished_at=100.0))], None),
        ([(0.0, snap(R, created_at=-20.0)), (30.0, snap(C, assets=(VIDEO,)))], 50.0),
        ([(30.0, snap(C, assets=(VIDEO,)))], None),
        ([(0.0, snap(R)), (30.0, snap(F))], None),
        ([(0.0, snap(R))], None),
    ],
)
def test_how_long_a_job_took(seen: list[tuple[float, Snapshot]], took: float | None) -> None:
    """By the provider's own times, or else from when it was made or first seen; of a completed job alone."""
    job = Job(REF)
    for at, snapshot in seen:
        job.receive(snapshot, at)
    assert job.took == took


EVENTS = [
    (StageChanged(REF, 0.0, R, "saving", 5.0, "video"), "acme:1 running saving"),
    (StageChanged(REF, 0.0, Q, "queued"), "acme:1 queued"),
    (StageChanged(REF, 0.0, R, None), "acme:1 running"),
    (StageChanged(REF, 0.0, R, "odd", known=False), "acme:1 running unknown status 'odd'"),
    (ProgressChanged(REF, 0.0, 54.4, "video"), "acme:1 video 54 %"),
    (ProgressChanged(REF, 0.0, 54.6), "acme:1 progress 55 %"),
    (Completed(REF, 0.0, (VIDEO, THUMB), Cost(52)), "acme:1 completed: video, thumbnail (52 credits charged)"),
    (Completed(REF, 0.0), "acme:1 completed: no files"),
    (Failed(REF, 0.0, F, Problem("bad\nprompt", "E1")), "acme:1 failed: bad prompt (E1)"),
    (Failed(REF, 0.0, F, Problem("flagged", charged=False)), "acme:1 failed: flagged (not charged)"),
    (Failed(REF, 0.0, F, Problem("flagged", charged=True), Cost(5, 0)), "acme:1 failed: flagged (5 credits charged)"),
    (Failed(REF, 0.0, E), "acme:1 expired: the provider gives no reason"),
    (PollFailed(REF, 0.0, "HTTP 503", 503, 4.6, 2), "acme:1 no news: HTTP 503; polling again in 5 s"),
    (PollFailed(REF, 0.0, "HTTP 401", 401), "acme:1 no news: HTTP 401"),
    (Stalled(REF, 0.0, 620.0, "video", 54.4), "acme:1 stalled: video 54 % for 10 min 20 s"),
    (GaveUp(REF, 0.0, WaitTimeout("acme:1: no verdict after 9 s")), "acme:1: no verdict after 9 s"),
    (Polled(REF, 0.0, snap(R, "video"), 5.0), "acme:1 answered: video"),
    (Polled(REF, 0.0, snap(R)), "acme:1 answered: running"),
    (Polled(REF, 0.0, None), "acme:1 answered: nothing known"),
    (DownloadProgress(REF, 0.0, "video", 65536, 1048576), "acme:1 video: 65,536 of 1,048,576 bytes"),
    (DownloadProgress(REF, 0.0, "video", 5), "acme:1 video: 5 bytes"),
    (DownloadProgress(REF, 0.0, "video", 5, 9, "HTTP 503"), "acme:1 video: 5 of 9 bytes, no news: HTTP 503"),
    (Downloaded(REF, 0.0, "video", Path("a.mp4"), 65536), "acme:1 video saved: a.mp4 (65,536 bytes)"),
]


@pytest.mark.parametrize(("event", "line"), EVENTS, ids=lambda value: value if isinstance(value, str) else "")
def test_an_event_prints_as_one_short_line(event: Event, line: str) -> None:
    """`on_event=print` is a display."""
    assert str(event) == line
    assert f"{event}".isprintable()


def test_every_event_is_shown_above() -> None:
    """A new event comes with its line."""
    every = {value for value in vars(events).values() if isinstance(value, type) and issubclass(value, Event)}
    assert {type(event) for event, _ in EVENTS} == every - {Event}


@pytest.mark.parametrize("event", [event for event, _ in EVENTS], ids=lambda event: type(event).__name__)
def test_an_event_survives_pickling(event: Event) -> None:
    """A notifier may queue events to another process."""
    assert str(pickle.loads(pickle.dumps(event))) == str(event)


# -- what holds for every conversation --------------------------------------------------------------------------------

SNAPSHOTS = st.builds(
    Snapshot,
    state=st.sampled_from([Q, R, R, R, C, F, X, E]),
    stage=st.none() | st.sampled_from(["a", "b", "odd"]),
    progress=st.none() | st.floats(-50, 150) | st.integers(-(10**20), 10**20),
    assets=st.lists(st.sampled_from([VIDEO, V2, OTHER, THUMB]), max_size=3).map(tuple),
    problem=st.none() | st.just(Problem("no")),
    job_id=st.sampled_from([None, None, "1", "2"]),
    assets_due=st.booleans(),
)
STEPS = st.lists(
    st.tuples(st.just("receive"), SNAPSHOTS)
    | st.tuples(st.just("listed"), SNAPSHOTS)
    | st.tuples(st.just("unknown"), st.sampled_from(["odd", "odder", "a"]))
    | st.tuples(st.just("settle"), st.none())
    | st.tuples(st.just("give up"), st.none()),
    max_size=25,
)


def step(job: Job, what: str, value: Any, at: float) -> tuple[Event, ...]:
    """One step of a conversation; what is refused tells nothing."""
    if what == "settle":
        return job.settle(at)
    if what == "unknown":
        return job.receive_unknown(value, at)
    if what == "give up":
        job.give_up(WaitTimeout("x"))
        return ()
    seen = look(job)
    try:
        return (job.listed if what == "listed" else job.receive)(value, at) or ()
    except (ForeignAnswer, TransitionRefused):
        assert look(job) == seen
        return ()


def counts(job: Job) -> dict[str, int]:
    return {kind: sum(asset.kind == kind for asset in job.assets) for kind in ("video", "thumbnail")}


@few
@given(STEPS)
def test_what_holds_for_every_conversation(steps: list[tuple[str, Any]]) -> None:
    """One verdict at most, final for ever; assets never shrink; progress never falls within a stage; history grows."""
    job, events = Job(REF), []
    for turn, (what, value) in enumerate(steps):
        before, was, had = look(job), job.final, counts(job)
        told = step(job, what, value, float(turn))
        events += told
        if was:
            assert (job.final, job.state, job.stage, told) == (True, before["state"], before["stage"], ())
        assert all(had[kind] <= number for kind, number in counts(job).items())
        assert job.progress is None or 0 <= job.progress <= 100
        if (job.state, job.stage) == (before["state"], before["stage"]) and before["progress"] is not None:
            assert job.progress is not None
            assert job.progress >= before["progress"]
        assert job.history[: len(before["history"])] == before["history"]
        if job.history:
            assert job.history[-1][1:] == (job.state, job.stage, job.progress)
        assert (job.verdict(0.0) is not None) == job.final
    verdicts = [event for event in events if isinstance(event, (Completed, Failed))]
    assert len(verdicts) == job.final
    assert events[-1:] == verdicts or not verdicts


def unsigned(event: Event) -> Event:
    """An event without the queries of URLs, which a store never keeps."""
    if not isinstance(event, Completed):
        return event
    return replace(event, assets=tuple(replace(asset, url=records.bare(asset.url or "")) for asset in event.assets))


def resumed(job: Job) -> Job:
    """The job of another process, as a store has kept it."""
    other = Job(REF)
    other.restore(records.read(REF, json.loads(json.dumps(records.facts(job)))))
    return other


def assert_same(job: Job, other: Job, steps: Iterable[Step], at: int) -> None:
    """The same steps bring the same events, and in the end the same is known."""
    for turn, (what, value) in enumerate(steps, at):
        told = [unsigned(event) for event in step(job, what, value, float(turn))]
        assert [unsigned(event) for event in step(other, what, value, float(turn))] == told
    facts, kept = records.facts(job), records.facts(other)
    for each in (*facts["assets"], *kept["assets"]):
        del each["whole"]
    assert kept == facts


@few
@given(STEPS, st.data())
def test_a_job_that_is_saved_and_restored_goes_on_as_if_it_had_not_been(steps: list[Step], data: Any) -> None:
    """At any point of any conversation: the events that follow are the same, and so is all that is known."""
    cut = data.draw(st.integers(0, len(steps)))
    job = Job(REF, submitted_at=1.0)
    for turn, (what, value) in enumerate(steps[:cut]):
        step(job, what, value, float(turn))
    assert_same(job, resumed(job), steps[cut:], cut)


FOLLOWING: list[Step] = [
    ("receive", SEA),
    ("receive", SKY),
    ("receive", FAR),
    ("receive", LATE),
    ("listed", BROKEN),
    ("unknown", "odd"),
    ("settle", None),
]


@pytest.mark.parametrize("before", [*REACHED.values(), [("receive", LATE)] * 3, [("unknown", "odd"), ("receive", SKY)]])
def test_each_phase_goes_on_after_a_restart(before: list[Step]) -> None:
    """Whatever the next three answers are."""
    for rest in product(FOLLOWING, repeat=3):
        job = Job(REF)
        for turn, (what, value) in enumerate(before):
            step(job, what, value, float(turn))
        assert_same(job, resumed(job), rest, len(before))


ANSWERS = st.lists(SNAPSHOTS | st.sampled_from(["odd", "odder", "a"]), max_size=15)


def heard(answers: Sequence[Snapshot | str]) -> list[Event]:
    job = Job(REF)
    return [
        event
        for turn, answer in enumerate(answers)
        for event in step(job, "unknown" if isinstance(answer, str) else "receive", answer, float(turn))
    ]


@few
@given(ANSWERS)
def test_no_place_is_told_twice_in_a_row(answers: list[Snapshot | str]) -> None:
    """A hook on stage changes never fires for where it already is, and for an unknown word once."""
    events = [event for event in heard(answers) if isinstance(event, StageChanged)]
    assert all(one != two for one, two in zip(stages(events), stages(events)[1:], strict=False))
    unknown = [event.stage for event in events if not event.known]
    assert len(unknown) == len(set(unknown))


@few
@given(ANSWERS)
def test_the_same_answers_give_the_same_events(answers: list[Snapshot | str]) -> None:
    """Pure: no clock, no chance. Every event is one line."""
    events = heard(answers)
    assert events == heard(answers)
    assert all(str(event).isprintable() for event in events)


@few
@given(ANSWERS)
def test_repeating_an_answer_tells_nothing_new(answers: list[Snapshot | str]) -> None:
    """An answer that says again what is known is no event: polling faster fires no hook more often."""
    job = Job(REF)
    for turn, answer in enumerate(answers):
        what = "unknown" if isinstance(answer, str) else "receive"
        step(job, what, answer, float(turn))
        again = [step(job, what, answer, float(turn)) for _ in range(GRACE + 2)]
        assert again[-1] == ()
