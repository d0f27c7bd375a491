"""What the next process finds after a crash; a verdict is on disk before its hook, and told once."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, FLOOR, MP4, REF, SAVING, talk
from kept_jobs import GONE, NOW, SUBMITTED, crash, dead, kept, sql

import vidpoll
from vidpoll.storage.records import Saved
from vidpoll.storage.sqlite import SqliteStore


def test_unfinished_jobs_are_where_they_were(path: Path) -> None:
    """State, stage, progress and history; what was told is not told again when the wait goes on."""
    t = talk([DRAWING, SAVING, DRAWING], store=path)
    t.client.wait(REF, timeout=5, check=False)
    u = talk([SAVING, DONE], store=path)
    [job] = u.client.store.unfinished()
    assert (job.ref, job.stage, job.progress, len(job.history)) == (REF, "saving", 90, 2)
    u.client.wait(job)
    assert u.ears.told == ["completed"]
    assert u.client.store.unfinished() == []


def test_how_long_jobs_take_is_learnt_over_processes(path: Path) -> None:
    """What former jobs of the account took refines the law of the next client."""
    t = talk([DRAWING] * 8 + [DONE], store=path, pacing=vidpoll.Fixed(5))
    assert t.client.wait(REF).took == 40.0
    u = talk([DRAWING], store=path)
    assert u.client._state("acme").law == vidpoll.Law().learnt([40.0])
    assert talk([DRAWING]).client._state("acme").law is None


def test_a_stage_that_flickers_is_not_told_again_by_the_next_process(path: Path) -> None:
    """What was told last is known from the store, words that no plugin lists included."""
    odd = {"status": "polishing"}
    t = talk([DRAWING, odd, DRAWING, DRAWING], store=path)
    t.client.wait(REF, timeout=15, check=False)
    assert t.ears.told.count("stage polishing") == 1
    u = talk([odd, odd, DRAWING, DRAWING, DONE], store=path)
    u.client.wait(REF)
    assert [told for told in u.ears.told if told.startswith("stage")] == []


def test_a_lease_of_a_dead_process_is_taken_over_after_one_floor(path: Path) -> None:
    """It may have asked just now, and the provider's floor holds across processes."""
    t = talk([DRAWING], store=path)
    events = t.client.watch(REF)
    next(events)
    crash(t)
    u = talk([DONE], store=path)
    u.client.wait(REF)
    assert u.clock.now == NOW + FLOOR
    events.close()


def test_a_verdict_is_on_disk_before_its_hook_and_told_after_it(path: Path) -> None:
    """The hook looks at the disk."""
    seen: list[Any] = []

    class Look:
        @vidpoll.hookimpl
        def vidpoll_completed(self) -> None:
            seen.extend(sql(path, "SELECT ended_at, told_at FROM jobs"))

    t = talk([DONE], store=path, plugins=(Look(),))
    t.client.wait(REF)
    assert seen == [(NOW, None)]
    assert sql(path, "SELECT ended_at, told_at FROM jobs") == [(NOW, NOW)]


def test_a_verdict_that_no_hook_heard_is_told_without_a_request(path: Path) -> None:
    """The process died between the disk and the hook's end; once told, it is not told again."""

    class Dies:
        @vidpoll.hookimpl(tryfirst=True)
        def vidpoll_completed(self) -> None:
            raise SystemExit(1)

    t = talk([DRAWING, DONE], store=path, plugins=(Dies(),))
    with pytest.raises(SystemExit):
        t.client.wait(REF)
    u = talk([BROKEN], store=path)
    [job] = u.client.store.unfinished()
    assert u.client.wait(job).ok
    assert (u.ears.told, u.requests, u.client.store.unfinished()) == (["completed"], [], [])
    v = talk([BROKEN], store=path)
    assert v.client.wait(REF).ok
    assert (v.ears.told, v.requests) == ([], [])


def test_a_verdict_that_is_being_told_by_a_living_process_is_left_to_it(path: Path) -> None:
    """And taken over when that process is gone, when it is of another host and too long silent, or when its number
    must have been given to another one."""
    t = talk([DONE], store=path)
    t.client.wait(REF)
    u = talk([BROKEN], store=path)
    other = SqliteStore(path, u.clock.time)
    tellers = [(other.owner, 8e4, 0), (GONE, 0.0, 0), (GONE, 601.0, 1), (other.owner, 9e4, 2), (dead(other), 0.0, 3)]
    for teller, after, told in tellers:
        sql(path, "UPDATE jobs SET told_at = NULL, teller = ?, teller_since = ?", teller, u.clock.now)
        u.clock.now += after
        assert u.client.wait(REF).ok
        assert (u.ears.told, u.requests) == (["completed"] * told, [])


def test_where_nobody_can_tell_who_lives_time_does(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows: a verdict whose teller was killed is told, and a submit of a killed process is unknown, later."""
    t = talk([DONE], store=path)
    t.client.wait(REF)
    store = t.client._keeper.store
    store.begin(vidpoll.Origin("acme"), "clip", {})
    monkeypatch.setattr("vidpoll.storage.owners.alive", lambda *_: None)
    sql(path, "UPDATE jobs SET told_at = NULL, teller = ?, teller_since = ?", dead(store), t.clock.now)
    sql(path, "UPDATE submits SET owner = ?", dead(store))
    for after, told, lost in [(599.0, 1, 0), (2.0, 2, 1)]:
        t.clock.now += after
        t.client.wait(REF)
        assert (len(t.ears.told), len(t.client.store.unknown_submits())) == (told, lost)


@pytest.mark.parametrize("word", ["end", "told"])
def test_ctrl_c_around_the_hooks_tells_a_verdict_once(path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """Between the disk and the hook it is told by the next wait, in this process too; after the hook it was told."""
    t, genuine = talk([DONE], store=path), getattr(SqliteStore, word)

    def interrupted(*args: Any) -> Any:
        monkeypatch.setattr(SqliteStore, word, genuine)
        if word == "end":  # it is on disk; that it was told is not
            genuine(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(SqliteStore, word, interrupted)
    with pytest.raises(KeyboardInterrupt):
        t.client.wait(REF)
    u = talk([BROKEN], store=path)
    assert (u.client.wait(REF).ok, u.requests) == (True, [])
    assert t.ears.told + u.ears.told == ["completed"]


@pytest.mark.parametrize("ask", [vidpoll.Client.poll, lambda client, ref: client.open(ref)])
def test_a_verdict_is_told_once_whoever_asks(path: Path, ask: Any) -> None:
    """A single question about a job that was not kept keeps its verdict; what is no verdict is not kept."""
    clip = {"/files/": [MP4], "": [DRAWING, DONE]}
    t = talk(clip, store=path)
    with contextlib.suppress(vidpoll.UsageError):
        ask(t.client, REF)
    assert t.client.store.jobs() == []
    t.clock.now += FLOOR
    ask(t.client, REF)
    assert (kept(t).job.ok, kept(t).told_at) == (True, t.clock.now)
    u = talk({"/files/": [MP4], "": [DONE]}, store=path)
    ask(u.client, REF)
    assert (t.ears.told.count("completed"), u.ears.told) == (1, [])


def test_a_verdict_that_is_kept_is_never_written_over(path: Path) -> None:
    """The first one counts; what a slower process still has to say about the job comes too late."""
    store = SqliteStore(path, lambda: NOW)
    store.enter([(REF, vidpoll.Origin("acme"), {})])
    assert store.end([Saved(REF, {"state": "completed"})]) == {REF: True}
    other = SqliteStore(path, lambda: NOW + 1)
    other.save([Saved(REF, {"state": "running"})])
    late = [Saved(REF, {"state": "failed"}), Saved("acme:unknown", {"state": "failed"})]
    assert other.end(late) == {REF: False, "acme:unknown": None}
    kept_now = store.get(REF)
    assert kept_now is not None
    assert (kept_now.facts, kept_now.ended_at) == ({"state": "completed"}, NOW)


def test_a_failed_job_is_told_from_the_store_like_a_fresh_one(path: Path) -> None:
    """The error of a later process names the provider's reason."""
    talk([BROKEN], store=path).client.wait(REF, check=False)
    u = talk([DONE], store=path)
    with pytest.raises(vidpoll.JobFailed, match="out of paint"):
        u.client.wait(REF)
    assert u.requests == []


def test_a_job_that_the_program_knew_before_the_store_is_not_told_again(path: Path) -> None:
    """A Job that has its verdict keeps it: `vidpoll_completed` is once per job."""
    job = talk([DONE]).client.wait(REF)
    u = talk([BROKEN], store=path)
    assert u.client.wait(job).ok
    assert (u.ears.told, u.requests, u.client.store.unfinished()) == ([], [], [])


def test_files_of_a_kept_job_are_fetched_with_fresh_urls(path: Path, tmp_path: Path) -> None:
    """The query that signs a URL is not kept, so the job is asked once more before its file is fetched."""
    mp4 = b"\x00\x00\x00\x18ftypisom" + b"\x00" * 100
    signed = {"status": "done", "video": "https://api.acme.example/files/j1.mp4?sig=1"}
    talk([signed], store=path).client.wait(REF)
    u = talk({"/files/": [mp4], "": [{**signed, "video": signed["video"] + "2"}]}, store=path)
    job = u.client.wait(REF)
    assert (job.stale, u.requests) == (True, [])
    [file] = u.client.download(job, tmp_path / "clips")
    assert file.read_bytes() == mp4
    assert u.requests == ["GET /v1/jobs/j1", "GET /files/j1.mp4?sig=12"]
    u.client.download(job, tmp_path / "clips", overwrite=True)
    assert u.requests[2:] == ["GET /files/j1.mp4?sig=12"]
    assert "completed" not in u.ears.told


def test_a_404_is_borne_for_a_job_that_this_store_submitted(path: Path) -> None:
    """The grace after a submit outlives the process that submitted."""
    t = talk([SUBMITTED], store=path)
    t.client.submit("acme", "clip", prompt="x")
    u = talk([(404, {"error": "no such job"})] * 5 + [DONE], store=path)
    assert u.client.wait(u.client.store.unfinished()[0]).ok
