"""One step at a time: what a wait does, with nobody asleep, and with each step in another process where that is so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acme_provider import (
    BROKEN,
    DONE,
    DRAWING,
    FLOOR,
    QUEUED,
    REF,
    SAVING,
    SLOW_DOWN,
    STALLED,
    UNAVAILABLE,
    Talk,
    brief,
    talk,
    with_pacing,
)
from kept_jobs import NOW, sql

import vidpoll
from vidpoll.faults import CONFIRMATIONS
from vidpoll.testing import FakeClock

Move = Callable[[vidpoll.Job], vidpoll.Job]

HINTED = (200, {"retry-after": "9"}, json.dumps(DRAWING).encode())
MISSING = (404, {"error": "no such job"})
NO_WORD = {"id": "j1", "video": None}
FOREIGN = {"id": "j2", "status": "drawing"}


def same(job: vidpoll.Job) -> vidpoll.Job:
    return job


def carried(job: vidpoll.Job) -> vidpoll.Job:
    """The job in another process."""
    return vidpoll.load(json.loads(json.dumps(vidpoll.dump(job))))


def steps(t: Talk, job: vidpoll.Job, move: Move = same) -> tuple[vidpoll.Job, list[Any]]:
    """Step on whenever it says until it is over: the job, and the second of each event, with the event in brief."""
    seen: list[Any] = []
    while True:
        sent = len(t.wire.sent)
        step = t.client.step(job, pacing=vidpoll.Fixed(FLOOR))
        seen += [(t.clock.now - NOW, brief(event)) for event in step.events]
        assert len(t.wire.sent) - sent <= 1
        assert t.clock.waits == []
        if step.next_in is None:
            return job, seen
        assert step.next_in > 0
        t.clock.now += step.next_in
        job = move(job)


def waited(t: Talk, job: vidpoll.Job, timeout: float | None = None) -> list[Any]:
    """What a wait tells, in the same way."""
    watching = t.client.watch(job, timeout=timeout, pacing=vidpoll.Fixed(FLOOR), check=False)
    return [(t.clock.now - NOW, brief(event)) for event in watching]


SCRIPTS = {
    "completed": [QUEUED, DRAWING, SAVING, DONE],
    "failed": [DRAWING, BROKEN],
    "files late": [DRAWING, *[{"status": "done"}] * 4],
    "flicker": [DRAWING, SAVING, DRAWING, SAVING, DONE],
    "unknown word": [DRAWING, {"status": "dreaming"}, {"status": "dreaming"}, DONE],
    "no word": [DRAWING, NO_WORD, NO_WORD, DONE],
    "stalled": [DRAWING] * 12 + [DONE],
    "faults": [DRAWING, UNAVAILABLE, ConnectionResetError(), UNAVAILABLE, DONE],
    "slow down": [DRAWING, SLOW_DOWN, DONE],
    "patience": [DRAWING, UNAVAILABLE],
    "missing": [MISSING],
    "missing, and there again": [DRAWING, *[MISSING] * CONFIRMATIONS, DRAWING, *[MISSING] * CONFIRMATIONS, DONE],
    "refused": [DRAWING, (402, {}), (402, {})],
    "foreign": [DRAWING, FOREIGN],
    "gone": [DRAWING, (410, {})],
}


@pytest.mark.parametrize("move", [same, carried], ids=["one process", "many"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_steps_are_a_wait(name: str, move: Any) -> None:
    """The same events at the same seconds, the same requests, the same end, the same hooks."""
    t, u = talk(SCRIPTS[name], patience=60.0), talk(SCRIPTS[name], patience=60.0)
    wanted = vidpoll.Job(REF)
    job, seen = steps(t, vidpoll.Job(REF), move)
    assert seen == waited(u, wanted)
    assert t.requests == u.requests
    assert t.ears.told == u.ears.told
    assert (job.state, job.final, type(job.error)) == (wanted.state, wanted.final, type(wanted.error))
    assert str(job.error) == str(wanted.error)


@pytest.mark.parametrize("move", [same, carried], ids=["one process", "many"])
def test_steps_give_up_where_the_job_says(move: Any) -> None:
    """`give_up_at` is the deadline of a wait: the last question falls on it."""
    t, u = talk([DRAWING]), talk([DRAWING])
    job = vidpoll.Job(REF)
    job.give_up_at = NOW + 12
    job, seen = steps(t, job, move)
    assert seen == waited(u, vidpoll.Job(REF), timeout=12)
    assert (t.requests, t.clock.now) == (u.requests, NOW + 12)
    assert isinstance(job.error, vidpoll.WaitTimeout)
    assert "no verdict after 12 s" in str(job.error)


def test_a_hint_that_goes_beyond_the_deadline_forbids_the_last_question() -> None:
    """It is over on the deadline, and nothing was sent for it."""
    t = talk([SLOW_DOWN])
    job = vidpoll.Job(REF)
    job.give_up_at = NOW + 12
    assert steps(t, job)[1] == [(0, "fault 429"), (12, "WaitTimeout")]
    assert len(t.wire.sent) == 1


@pytest.mark.parametrize("at", [float("nan"), "soon", True])
def test_a_deadline_is_a_moment(at: Any) -> None:
    """Anything else is refused, and nothing changes."""
    job = vidpoll.Job(REF)
    with pytest.raises(vidpoll.UsageError, match="give_up_at"):
        job.give_up_at = at
    assert job.give_up_at is None


# -- too early --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", [same, carried], ids=["one process", "many"])
@pytest.mark.parametrize(("first", "gap"), [(DRAWING, 5.0), (SLOW_DOWN, 20.0), (HINTED, 9.0)])
def test_nothing_is_sent_within_floor_and_hint(first: Any, gap: float, move: Any) -> None:
    """Whoever comes too early hears when to come, as often as it comes, in a process that knows nothing else, too."""
    t = talk([first, DONE])
    job = vidpoll.Job(REF)
    assert t.client.step(job, pacing=vidpoll.Fixed(1.0)).next_in == gap
    t.clock.now += gap - 1.0
    u = t if move is same else talk([DONE])
    u.clock.now = t.clock.now
    job = move(job)
    for _ in range(3):
        assert u.client.step(job) == vidpoll.Step((), 1.0)
    u.clock.now += 1.0
    assert u.client.step(job).next_in is None
    assert job.ok


def test_nothing_is_sent_while_the_account_is_held() -> None:
    """A 429 about one job holds the others of its account in this process."""
    t = talk({"/jobs/j1": [SLOW_DOWN], "/jobs/j2": [DONE]})
    t.client.step(vidpoll.Job(REF))
    other = vidpoll.Job("acme:j2")
    assert t.client.step(other) == vidpoll.Step((), 20.0)
    t.clock.now += 20.0
    assert t.client.step(other).next_in is None


def test_nothing_is_sent_above_the_rate() -> None:
    """Six a minute: the seventh hears when the bucket has room."""
    t = talk([DRAWING], provider=with_pacing(rate=(6, 60.0)))
    jobs = [vidpoll.Job(f"acme:j{number}") for number in range(7)]
    waits = [t.client.step(job) for job in jobs]
    assert len(t.wire.sent) == 1
    assert [step.events for step in waits[1:]] == [()] * 6
    assert {step.next_in for step in waits[1:]} == {60.0 / 5}
    t.clock.now += 12.0
    assert t.client.step(jobs[1]).events != ()


def test_a_long_pause_is_no_outage() -> None:
    """An engine that was down for longer than patience: one more fault does not end the wait."""
    t = talk([UNAVAILABLE], patience=60.0)
    job = vidpoll.Job(REF)
    for _ in range(3):
        t.clock.now += t.client.step(job).next_in or 0.0
    t.clock.now += 3600.0
    step = t.client.step(job)
    assert [brief(event) for event in step.events] == ["fault 503"]
    assert step.next_in == FLOOR


def test_a_clock_that_is_behind_costs_one_gap() -> None:
    """The last step was in a process whose clock is an hour ahead: the floor holds, and no hour is waited."""
    t, u = talk([DRAWING]), talk([DONE])
    t.clock.now += 3600.0
    job = vidpoll.Job(REF)
    t.client.step(job, pacing=vidpoll.Fixed(FLOOR))
    assert u.client.step(carried(job)) == vidpoll.Step((), FLOOR)


def test_after_giving_up_a_step_begins_anew() -> None:
    """As a second wait does: at once but for the floor, and what was borne before does not count."""
    t = talk([MISSING, *[MISSING] * CONFIRMATIONS, MISSING, DONE])
    job, _ = steps(t, vidpoll.Job(REF))
    assert isinstance(job.error, vidpoll.JobNotFound)
    assert t.client.step(job) == vidpoll.Step((), FLOOR)
    t.clock.now += FLOOR
    job, seen = steps(t, carried(job))
    assert [told for _, told in seen] == ["fault 404", "completed"]
    assert job.ok


# -- what ended -------------------------------------------------------------------------------------------------------


def test_a_step_of_a_job_with_a_verdict_says_it_again() -> None:
    """An activity that is repeated gets the same end; no request, and no hook."""
    t = talk([DONE])
    job = vidpoll.Job(REF)
    (end,) = [event for event in t.client.step(job).events if isinstance(event, vidpoll.Completed)]
    t.clock.now += 1.0
    (again,) = t.client.step(carried(job)).events
    assert isinstance(again, vidpoll.Completed)
    assert again.assets == end.assets
    assert (len(t.wire.sent), t.ears.told.count("completed")) == (1, 1)


def test_why_nobody_knows_is_carried_along() -> None:
    """The task that goes on after a trigger raises what the steps gave up with."""
    t = talk([(402, {"error": "no credits"})])
    job, _ = steps(t, vidpoll.Job(REF))
    there = carried(job)
    with pytest.raises(vidpoll.WaitRefused) as caught:
        there.check()
    error = job.error
    assert isinstance(error, vidpoll.WaitRefused)
    assert (str(caught.value), caught.value.status, caught.value.category) == (str(error), 402, "money")
    assert (caught.value.resume, caught.value.job) == (error.resume, there)


# -- what is wrong ----------------------------------------------------------------------------------------------------


def test_a_reference_alone_needs_a_store(path: Path) -> None:
    """What one step learns would be gone for the next one."""
    with pytest.raises(vidpoll.UsageError, match=r"needs the Job.*Client\(store="):
        talk([DONE]).client.step(REF)
    assert talk([DONE], store=path).client.step(REF).next_in is None


def test_a_missing_key_is_told_before_anything_is_sent(path: Path) -> None:
    """And nothing is kept of it."""
    t = talk([DONE], store=path, accounts={"acme": vidpoll.Account("acme", key="")})
    with pytest.raises(vidpoll.UsageError):
        t.client.step(REF)
    assert (t.wire.sent, t.client.store.jobs()) == ([], [])


# -- with a store -----------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite3"


@pytest.mark.parametrize("name", SCRIPTS)
def test_steps_by_reference_in_many_processes_are_a_wait(name: str, path: Path) -> None:
    """Each is a client of its own, and all that goes from one to the next is the store."""
    u = talk(SCRIPTS[name], patience=60.0)
    script, seen, told, now = list(SCRIPTS[name]), [], [], NOW
    while True:
        t = talk(script, patience=60.0, store=path)
        t.clock.now = now
        step = t.client.step(REF, pacing=vidpoll.Fixed(FLOOR))
        script = script[len(t.wire.sent) :] or script[-1:]
        seen += [(now - NOW, brief(event)) for event in step.events]
        told += t.ears.told
        kept = t.client.store.get(REF)
        t.client.close()
        assert t.clock.waits == []
        if step.next_in is None:
            break
        now += step.next_in
    assert seen == waited(u, vidpoll.Job(REF))
    assert told == u.ears.told
    assert kept is None or (kept.told_at is not None) == kept.job.final
    assert sql(path, "SELECT count(*) FROM jobs WHERE owner IS NOT NULL") == [(0,)]


def test_a_step_asks_nothing_while_another_process_waits(path: Path) -> None:
    """It holds the lease; the step hears what that one keeps, and its hooks are called there alone."""
    t, u = talk([DONE], store=path), talk([DRAWING, SAVING, DONE], store=path)
    job, seen = vidpoll.Job(REF), []

    def look(event: vidpoll.Event) -> None:
        t.clock.now = u.clock.now
        step = t.client.step(job)
        seen.append(([brief(each) for each in step.events], step.next_in))

    u.client.wait(REF, on_event=look, pacing=vidpoll.Fixed(FLOOR))
    assert (t.wire.sent, t.ears.told) == ([], [])
    assert ([], 2.0) in seen
    assert (["stage saving", "progress 90"], 2.0) in seen
    assert seen[-1] == (["completed"], None)


def test_a_verdict_that_another_process_has_kept_is_told_by_a_step_if_nobody_was(path: Path) -> None:
    """Its process died before the hook: the step tells it, without a request."""
    t = talk([DONE], store=path)
    t.client.wait(REF)
    sql(path, "UPDATE jobs SET told_at = NULL")
    u = talk([], store=path)
    assert [brief(event) for event in u.client.step(REF).events] == ["completed"]
    assert (u.ears.told, u.wire.sent) == (["completed"], [])


def test_a_deadline_is_kept(path: Path) -> None:
    """The job of the store has it, for the steps of another process."""
    t = talk([DRAWING], store=path)
    job = vidpoll.Job(REF)
    job.give_up_at = NOW + STALLED
    t.client.step(job)
    kept = t.client.store.get(REF)
    assert kept is not None
    assert kept.job.give_up_at == NOW + STALLED


@pytest.mark.parametrize("how", ["same job", "dump", "store"])
def test_a_clock_that_is_set_back_costs_one_gap(path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor holds from the first step by the new time, and then the polls go on as before."""
    back, kept = 0.0, path if how == "store" else None
    monkeypatch.setattr(FakeClock, "time", lambda clock: clock.now - back)
    t, job, seen = talk([QUEUED, UNAVAILABLE, DRAWING, DONE], store=kept), vidpoll.Job(REF), []
    next_in: float | None = 0.0
    while next_in is not None and len(seen) < 10:
        t.clock.now += next_in
        next_in = t.client.step(REF if kept else job, pacing=vidpoll.Fixed(FLOOR)).next_in
        seen.append((len(t.wire.sent), next_in))
        back = 7200.0
        job = carried(job) if how == "dump" else job
    assert seen == [(1, FLOOR), (1, FLOOR), (2, FLOOR), (3, FLOOR), (4, None)]
