"""Jobs that outlive their process: what is on disk when, who asks, who tells, and what a broken store costs."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import (
    ACME,
    BROKEN,
    DONE,
    DRAWING,
    FLOOR,
    HTML,
    KEY,
    MP4,
    QUEUED,
    REF,
    SAVING,
    UNAVAILABLE,
    Talk,
    brief,
    talk,
)

import vidpoll
from vidpoll.storage import records
from vidpoll.storage.keeper import LOOK, TROUBLE
from vidpoll.storage.sqlite import APPLICATION, MIGRATIONS, Store

NOW = 1_800_000_000.0
RESET = ConnectionResetError()
SUBMITTED = {"id": "j1", "status": "queued"}
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of b"abc", from FIPS 180-2."""
GONE = "nowhere|4194305|0"
"""An owner on another host."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite3"


def dead(store: Store) -> str:
    """An owner on this host whose process is gone."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return f"{store.owner.split('|')[0]}|{child.pid}|0"


def sql(path: Path, statement: str, *values: object) -> list[Any]:
    with sqlite3.connect(path) as db:
        rows = db.execute(statement, values).fetchall()
    db.close()
    return rows


def kept(t: Talk, ref: str = REF) -> vidpoll.KeptJob:
    return next(each for each in t.client.store.jobs() if each.ref == ref)


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_a_job_is_kept_from_its_submit_to_its_verdict(path: Path) -> None:
    """Reference, where, the name of the key's variable, fields, state, stages with their times, counts."""
    t = talk([SUBMITTED, QUEUED, UNAVAILABLE, DRAWING, SAVING, DONE], store=path)
    t.client.wait(t.client.submit("acme", "clip", prompt="a lighthouse"))
    job = kept(t)
    assert job.origin == vidpoll.Origin("acme", "acme", "https://api.acme.example/v1", ("ACME_API_KEY",))
    assert (job.operation, job.sent) == ("clip", {"prompt": "a lighthouse"})
    assert (job.requests, job.transient_errors) == (5, 1)
    assert (job.submitted_at, job.added_at, job.ended_at, job.told_at) == (NOW, NOW, NOW + 20, NOW + 20)
    assert [(moment.at - NOW, moment.stage) for moment in job.job.history] == [
        (0, "queued"),
        (10, "drawing"),
        (15, "saving"),
        (20, "done"),
    ]
    assert (job.job.state, job.job.ok, job.job.video.url) == (vidpoll.State.COMPLETED, True, DONE["video"])


def test_a_job_that_is_only_waited_for_is_kept_too(path: Path) -> None:
    """`wait` needs no submit of ours."""
    t = talk([DRAWING, BROKEN], store=path)
    with pytest.raises(vidpoll.JobFailed):
        t.client.wait(REF)
    job = kept(t)
    assert (job.operation, job.submitted_at, job.job.state) == (None, None, vidpoll.State.FAILED)
    assert str(job.job.problem) == "out of paint"


def test_no_key_no_query_no_picture_is_ever_kept(path: Path) -> None:
    """The bytes of the file are searched, its journal too."""
    signed = {"status": "done", "video": "https://cdn.example/j1.mp4?sig=SIGNATURE0123456789"}
    t = talk([{**SUBMITTED, "note": KEY}, signed], store=path)
    picture = b"\x89PNG PIXELS" * 400
    long = "lighthouse " * 200
    job = t.client.submit("acme", "clip", prompt=f"{long}{KEY}", image=picture)
    t.client.wait(job)
    assert job.video.url == signed["video"]
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in (KEY.encode(), b"SIGNATURE", b"PIXELS"):
        assert secret not in written
    sent = kept(t).sent
    assert len(sent["prompt"]) == 500
    assert sent["image"].startswith("sha256:")
    assert kept(t).job.video.url == "https://cdn.example/j1.mp4"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, 7),
        (None, None),
        (True, True),
        ("a\x1b[31m b", "a b"),
        ("x" * 501, "x" * 499 + "…"),
        ([1, {"deep": b"abc"}], [1, {"deep": f"sha256:{ABC} (3 bytes)"}]),
        ("data:image/png;base64,AAAA", "sha256:"),
        (Path("not there.png"), "not there.png"),
        ({"api_key": "abc"}, {"api_key": "[redacted]"}),
        (object, "<class 'object'>"),
    ],
)  # fmt: skip
def test_fields_are_made_safe_before_they_are_kept(value: Any, shown: Any) -> None:
    """Texts are cut to 500 characters, files and bytes become a hash, what is named like a key is hidden."""
    found = records.sent({"field": value})["field"]
    assert found.startswith(shown) if shown == "sha256:" else found == shown
    json.dumps(found)


def test_what_a_plugin_puts_in_a_wrong_place_breaks_no_wait(path: Path) -> None:
    """It stands in the store as its text."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        said = ACME.status.parse(response, job_id)
        assert isinstance(said, vidpoll.Snapshot)
        return replace(said, cost=vidpoll.Cost(1.0, 0.0, b"coins"))  # type: ignore[arg-type]

    odd = replace(ACME, status=vidpoll.Operation(ACME.status.request, parse))
    t = talk([DRAWING, DONE], provider=odd, store=path)
    t.client.wait(REF)
    assert (t.ears.told[-1], kept(t).facts["cost"]) == ("completed", [1.0, 0.0, "b'coins'"])


@pytest.mark.skipif(os.name != "posix", reason="names of files are Unicode")
def test_a_name_that_is_no_text_does_not_damage_the_store(path: Path) -> None:
    """The message must not send anybody to move a good store away."""
    t = talk([], store=path)
    with pytest.raises(vidpoll.StoreError, match="can keep no text that is not Unicode"):
        t.client.store.want(REF, os.fsdecode(b"clips\xff"))


def test_a_file_is_kept_as_its_name_and_hash(tmp_path: Path) -> None:
    """Enough to know which picture it was."""
    (tmp_path / "photo.jpg").write_bytes(b"abc")
    assert records.sent({"image": tmp_path / "photo.jpg"})["image"].startswith("photo.jpg sha256:ba7816bf")


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"state": "dancing"},
        {"state": 7, "history": 5},
        {"state": "running", "history": [["x"]]},
        {"assets": [None], "state": "completed"},
        {"cost": ["a", "b", 3], "state": "running"},
    ],
)
def test_odd_facts_leave_the_job_unknown(facts: dict[str, Any]) -> None:
    """What another version wrote may be unreadable: the job is then asked about like a new one."""
    job = vidpoll.Job(REF)
    records.restore(job, facts)
    assert (job.state, job.history, job.final) == (None, (), False)


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    """Prompts are nobody else's business."""
    Store(path, lambda: NOW).close()
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_client_without_a_store_says_so() -> None:
    """Everything that needs one names the way out."""
    t = talk([DONE])
    calls: list[Any] = [lambda: t.client.store]
    for call in [*calls, lambda: t.client.store.want(REF, "clips"), lambda: t.client.store.prune(NOW)]:
        with pytest.raises(vidpoll.UsageError, match=r"Client\(store='jobs.sqlite3'\)"):
            call()


@pytest.mark.parametrize("store", [7, "", b"jobs"])
def test_a_store_is_a_path(store: Any) -> None:
    """A wrong type is told at once."""
    with pytest.raises(vidpoll.UsageError, match="the path of a file"):
        talk([], store=store)


def test_importing_vidpoll_does_not_load_sqlite() -> None:
    """Who keeps nothing pays nothing."""
    code = "import vidpoll, sys; vidpoll.Client(discover=False).close(); print('sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


# -- submit -----------------------------------------------------------------------------------------------------------


def test_the_intent_is_on_disk_before_the_post_and_the_id_before_anything_else(path: Path) -> None:
    """What the disk holds is looked at when the request goes out, and when the first hook hears of the job."""
    seen: list[tuple[int, int]] = []

    def look(*_: Any) -> None:
        seen.append((sql(path, "SELECT count(*) FROM submits")[0][0], sql(path, "SELECT count(*) FROM jobs")[0][0]))

    class Early:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> None:
            look()

    t = talk([SUBMITTED], store=path, plugins=(Early(),))
    send = t.wire.send
    t.client._loop.send = lambda wire, ticket: (look(), send(wire, ticket))[1]
    t.client.submit("acme", "clip", prompt="x")
    assert seen == [(1, 0), (0, 1)]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 422, 429])
def test_a_refusal_leaves_nothing_behind(path: Path, status: int) -> None:
    """Nothing was bought, so there is nothing to look for."""
    t = talk([(status, {"error": "no"})], store=path)
    with pytest.raises(vidpoll.ProviderError):
        t.client.submit("acme", "clip", prompt="x")
    assert (t.client.store.unknown_submits(), t.client.store.jobs()) == ([], [])


@pytest.mark.parametrize("call", [{"kind": "opera"}, {"kind": "clip", "colour": 1}])
def test_a_wrong_call_leaves_nothing_behind(path: Path, call: dict[str, Any]) -> None:
    """Nothing was sent."""
    t = talk([SUBMITTED], store=path)
    with pytest.raises(vidpoll.UsageError):
        t.client.submit("acme", call.pop("kind"), **call)
    assert (t.client.store.unknown_submits(), t.requests) == ([], [])


@pytest.mark.parametrize("answer", [RESET, UNAVAILABLE, HTML, {"no": "id"}])
def test_a_submit_whose_outcome_is_unknown_stays_on_record(path: Path, answer: Any) -> None:
    """With what was sent, when, and why nothing is known; no second POST."""
    t = talk([answer], store=path)
    with pytest.raises(vidpoll.SubmitUnknown) as caught:
        t.client.submit("acme", "clip", prompt="a lighthouse")
    [submission] = t.client.store.unknown_submits()
    assert (submission.account, submission.operation, submission.at) == ("acme", "clip", NOW)
    assert submission.sent == {"prompt": "a lighthouse"}
    assert submission.reason == caught.value.reason != ""
    assert t.requests == ["POST /v1/jobs"]


def test_a_submit_that_was_sent_again_safely_is_one_intent(path: Path) -> None:
    """A connection that was refused sent nothing: the same intent stands for the next try."""
    t = talk([ConnectionRefusedError(), SUBMITTED], store=path)
    assert t.client.submit("acme", "clip", prompt="x").ref == REF
    assert (t.client.store.unknown_submits(), len(t.client.store.jobs())) == ([], 1)


def test_a_submit_that_was_interrupted_is_unknown(path: Path) -> None:
    """Ctrl-C while the answer is due."""
    t = talk([SUBMITTED], store=path)

    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    t.clock.get = interrupt  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        t.client.submit("acme", "clip", prompt="x")
    assert [submission.reason for submission in t.client.store.unknown_submits()] == ["interrupted (KeyboardInterrupt)"]


def test_a_submit_of_a_process_that_died_is_unknown(path: Path) -> None:
    """One that is under way somewhere is not."""
    t = talk([], store=path)
    store = t.client._keeper.store
    origin = vidpoll.Origin("acme")
    store.begin(origin, "clip", {"prompt": "ours"})
    other = Store(path, t.clock.time)
    other.begin(origin, "clip", {"prompt": "theirs"})
    assert t.client.store.unknown_submits() == []
    sql(path, "UPDATE submits SET owner = ? WHERE number = 2", dead(store))
    assert [submission.sent for submission in t.client.store.unknown_submits()] == [{"prompt": "theirs"}]


def test_an_unknown_submit_is_adopted_once(path: Path) -> None:
    """It becomes a job that is waited for like any other, and is no longer unknown."""
    t = talk([RESET, DONE], store=path)
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="a lighthouse")
    [submission] = t.client.store.unknown_submits()
    with pytest.raises(vidpoll.UsageError, match="of another account"):
        t.client.store.adopt("magicoal:j1", submission)
    t.client.store.adopt(REF, submission)
    assert t.client.store.unknown_submits() == []
    assert kept(t).sent == {"prompt": "a lighthouse"}
    assert [job.ref for job in t.client.store.unfinished()] == [REF]


def test_what_is_no_longer_on_record_is_not_adopted(path: Path) -> None:
    """Else it would be said to be kept, and would not."""
    t = talk([RESET], store=path)
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="x")
    [submission] = t.client.store.unknown_submits()
    t.client.store.dismiss(submission)
    with pytest.raises(vidpoll.UsageError, match="acme:j1: that submit is no longer on record"):
        t.client.store.adopt(REF, submission)
    assert t.client.store.jobs() == []


@pytest.mark.parametrize("statement", ["SELECT 1", "DELETE FROM submits"])
def test_forgetting_in_the_middle_of_a_submit_loses_no_job(
    path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """A submit that is under way is not forgotten; and where its record is gone all the same, its job is kept."""

    def forgotten(store: Store, *args: Any) -> bool:
        with vidpoll.Client(store=path, discover=False) as other:
            assert other.store.prune(NOW + 1e6) == 0
        sql(path, statement)
        return received(store, *args)

    received = Store.received
    monkeypatch.setattr(Store, "received", forgotten)
    t = talk([SUBMITTED], store=path)
    assert t.client.submit("acme", "clip", prompt="x").ref == REF
    assert [job.ref for job in t.client.store.unfinished()] == [REF]


def test_adopting_a_job_that_is_kept_already_adds_what_was_sent(path: Path) -> None:
    """Somebody may have waited for it before he knew where it came from."""
    t = talk([RESET, DONE], store=path)
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="a lighthouse")
    t.client.wait(REF)
    t.client.store.adopt(REF, t.client.store.unknown_submits()[0])
    assert (kept(t).sent, kept(t).job.ok) == ({"prompt": "a lighthouse"}, True)


# -- after a crash ----------------------------------------------------------------------------------------------------


def crash(t: Talk) -> None:
    """End a client as kill -9 would: nothing is released, and its process is gone."""
    store = t.client._keeper.store
    sql(store.path, "UPDATE jobs SET owner = ? WHERE owner IS NOT NULL", dead(store))
    sql(store.path, "UPDATE jobs SET teller = ? WHERE teller IS NOT NULL", dead(store))


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
    other = Store(path, u.clock.time)
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
    monkeypatch.setattr("vidpoll.storage.sqlite._alive", lambda pid: None)
    sql(path, "UPDATE jobs SET told_at = NULL, teller = ?, teller_since = ?", dead(store), t.clock.now)
    sql(path, "UPDATE submits SET owner = ?", dead(store))
    for after, told, lost in [(599.0, 1, 0), (2.0, 2, 1)]:
        t.clock.now += after
        t.client.wait(REF)
        assert (len(t.ears.told), len(t.client.store.unknown_submits())) == (told, lost)


@pytest.mark.parametrize("word", ["end", "told"])
def test_ctrl_c_around_the_hooks_tells_a_verdict_once(path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """Between the disk and the hook it is told by the next wait, in this process too; after the hook it was told."""
    t, genuine = talk([DONE], store=path), getattr(Store, word)

    def interrupted(*args: Any) -> Any:
        monkeypatch.setattr(Store, word, genuine)
        if word == "end":  # it is on disk; that it was told is not
            genuine(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, word, interrupted)
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
    store = Store(path, lambda: NOW)
    store.enter([(REF, vidpoll.Origin("acme"), {})])
    assert store.end(REF, {"state": "completed"})
    other = Store(path, lambda: NOW + 1)
    other.save(REF, {"state": "running"})
    assert other.end(REF, {"state": "failed"}) is False
    assert other.end("acme:unknown", {"state": "failed"}) is None
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


# -- two processes ----------------------------------------------------------------------------------------------------


def test_a_second_wait_follows_the_store_and_sends_nothing(path: Path) -> None:
    """It hears what the first one learns, and its verdict, whose hook the first one has told."""
    t = talk([DRAWING, SAVING, DONE], store=path)
    u = talk([BROKEN], store=path)
    first, second = t.client.watch(REF), u.client.watch(REF)
    told = [brief(next(first)), brief(next(second)), brief(next(second))]
    assert told == ["stage drawing", "stage drawing", "progress 10"]
    for _ in first:
        pass
    assert [brief(event) for event in second] == ["completed"]
    assert (u.requests, u.ears.told) == ([], [])
    assert u.clock.waits[0] == LOOK
    assert t.ears.told == ["stage drawing", "progress 10", "stage saving", "progress 90", "completed"]


def test_a_follower_keeps_its_own_deadline(path: Path) -> None:
    """Its time is over when it is over; the job stays with the one who asks."""
    t = talk([DRAWING], store=path)
    first = t.client.watch(REF)
    next(first)
    u = talk([DONE], store=path)
    with pytest.raises(vidpoll.WaitTimeout, match="it is drawing at 10 %"):
        u.client.wait(REF, timeout=7)
    assert (u.requests, u.clock.now) == ([], NOW + 7)
    first.close()
    u.client.wait(REF)
    assert u.requests == ["GET /v1/jobs/j1"]


def test_a_lease_that_ran_out_is_taken_over(path: Path) -> None:
    """A process that hangs, or a host that is gone, holds a job for some minutes and no longer."""
    t = talk([DRAWING], store=path)
    first = t.client.watch(REF)
    next(first)
    sql(path, "UPDATE jobs SET owner = ?", GONE)
    u = talk([DONE], store=path)
    assert u.client.wait(REF).ok
    waited = u.clock.now - NOW
    assert 60 < waited < 300
    first.close()


@pytest.mark.parametrize("floor", [5.0, 900.0])
def test_a_lease_lasts_until_after_the_next_question(path: Path, floor: float) -> None:
    """Whatever the gap: at no moment of a wait may another process take the job over."""
    slow = replace(ACME, pacing=vidpoll.Pacing(floor=floor))
    other = Store(path, lambda: NOW)
    taken = []

    t = talk([DRAWING] * 30 + [DONE], store=path, provider=slow, accounts={"acme": vidpoll.Account("acme", key=KEY)})
    get = t.clock.get

    def look(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if not busy:
            other.now = lambda: t.clock.now + timeout + 40  # a request may take that long
            taken.append(other.lease(REF, 0.0))
        return get(inbox, timeout, busy=busy)

    t.clock.get = look  # type: ignore[assignment]
    t.client.wait(REF, timeout=None)
    assert len(taken) == 30
    assert set(taken) == {(False, False)}


def test_one_who_lost_the_lease_stops_asking(path: Path) -> None:
    """A laptop that slept for an hour does not ask about what another process asks about by now."""
    t = talk([DRAWING, SAVING], store=path)
    first = t.client.watch(REF, timeout=None)
    next(first), next(first)
    assert len(t.wire.sent) == 1
    t.clock.now += 3600
    facts = {**kept(t).facts, "state": "failed", "history": [[NOW + 3000, "failed", "broken", None]]}
    other = Store(path, t.clock.time)
    assert other.lease(REF, t.clock.now + 60) == (True, False)
    assert other.end(REF, facts)
    assert [brief(event) for event in first] == ["failed"]
    assert len(t.wire.sent) == 1
    assert "failed" not in t.ears.told


def test_one_who_stood_in_line_for_longer_than_its_lease_looks_again(path: Path) -> None:
    """A 429 holds the account for an hour: by then another process may have asked, and may have the verdict."""
    held = (429, {"retry-after": "3000"}, b"")
    t = talk({"/jobs/a": [DRAWING, held, DONE], "/jobs/b": [DRAWING]}, store=path)
    other = Store(path, t.clock.time)
    get = t.clock.get

    def end(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if t.clock.now > NOW + 1000 and not busy:
            assert other.lease("acme:b", t.clock.now + 60)[0]
            other.end("acme:b", {"state": "failed", "history": [[NOW + 900, "failed", "broken", None]]})
        return get(inbox, timeout, busy=busy)

    t.clock.get = end  # type: ignore[assignment]
    ended = {job.ref: job.state for job in t.client.as_completed(["acme:a", "acme:b"], timeout=None)}
    assert ended == {"acme:a": vidpoll.State.COMPLETED, "acme:b": vidpoll.State.FAILED}
    assert t.requests.count("GET /v1/jobs/b") == 2
    assert "failed" not in t.ears.told


def test_two_waits_of_one_client_share_a_lease(path: Path) -> None:
    """The end of one does not open the job to other processes while the other goes on."""
    t = talk([DRAWING], store=path)
    one, two = t.client.watch(REF), t.client.watch(REF)
    next(one), next(two)
    one.close()
    other = Store(path, t.clock.time)
    assert other.lease(REF, t.clock.now + 60) == (False, False)
    two.close()
    assert other.lease(REF, t.clock.now + 60) == (True, False)


def test_a_fork_has_a_connection_of_its_own(path: Path) -> None:
    """SQLite allows no connection to cross a fork; the child is another owner."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    store = Store(path, lambda: NOW)
    store.enter([(REF, vidpoll.Origin("acme"), {})])
    assert store.lease(REF, NOW + 60) == (True, False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if store.lease(REF, NOW + 60) == (False, False) and store.get(REF) is not None else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get(REF) is not None


def test_threads_share_a_store(path: Path) -> None:
    """One connection, one at a time."""
    store = Store(path, lambda: NOW)
    refs = [f"acme:j{number}" for number in range(200)]
    store.enter([(ref, vidpoll.Origin("acme"), {}) for ref in refs])

    def work(part: list[str]) -> None:
        for ref in part:
            store.lease(ref, NOW + 60)
            store.save(ref, {"state": "running"}, 1, 0)

    threads = [threading.Thread(target=work, args=(refs[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.requests for job in store.jobs()] == [1] * 200


# -- the file ---------------------------------------------------------------------------------------------------------


def first_draft(path: Path) -> None:
    """A store as version 1 made it, with a job that runs and one that ended."""
    with sqlite3.connect(path) as db:
        db.executescript(MIGRATIONS[0])
        db.execute("PRAGMA user_version = 1")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        row = "INSERT INTO jobs (ref, account, provider, base_url, variables, sent, facts, added_at, ended_at, told_at)"
        facts = {"state": "running", "stage": "drawing", "history": [[1.0, "running", "drawing", None]]}
        db.execute(f"{row} VALUES (?, 'acme', 'acme', '', '[]', '{{}}', ?, 1, NULL, NULL)", (REF, json.dumps(facts)))
        db.execute(f"{row} VALUES ('acme:j2', 'acme', 'acme', '', '[]', '{{}}', '{{}}', 2, 2, 2)")
    db.close()


def test_a_store_of_the_version_before_opens(path: Path) -> None:
    """Nothing is lost, and it works like a new one."""
    first_draft(path)
    t = talk([SAVING, DONE], store=path)
    [job] = t.client.store.unfinished()
    assert (job.ref, job.stage) == (REF, "drawing")
    assert t.client.wait(job).ok
    assert sql(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert len(t.client.store.jobs()) == 2


def test_many_processes_may_open_an_old_store_at_once(path: Path) -> None:
    """One of them brings it up to date, and the others find it so."""
    first_draft(path)
    code = f"from vidpoll.storage.sqlite import Store; print(len(Store({str(path)!r}, lambda: 0.0).jobs()))"
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [child.communicate(timeout=60) for child in children] == [("2\n", "")] * 4


def test_a_store_of_a_newer_version_is_left_alone(path: Path) -> None:
    """It says who made it; nothing is written."""
    Store(path, lambda: NOW).close()
    sql(path, "PRAGMA user_version = 99")
    with pytest.raises(vidpoll.StoreError, match="made by a newer vidpoll"):
        talk([], store=path)


def test_the_file_of_another_program_is_left_alone(path: Path) -> None:
    """An SQLite file with tables of its own is no store."""
    sql(path, "CREATE TABLE accounts (name TEXT)")
    with pytest.raises(vidpoll.StoreError, match="no store of vidpoll"):
        talk([], store=path)
    assert sql(path, "SELECT name FROM sqlite_master") == [("accounts",)]


@pytest.mark.parametrize(
    "content", [b"not a database, but a text of some length\n" * 20, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_file_says_so(path: Path, content: bytes) -> None:
    """One line with the way out, at once."""
    path.write_bytes(content)
    with pytest.raises(vidpoll.StoreError, match="is damaged, or no SQLite file: move it away"):
        talk([], store=path)


def test_a_damaged_row_says_so(path: Path) -> None:
    """What stands in the file was written by something else."""
    t = talk([DONE], store=path)
    t.client.wait(REF)
    sql(path, "UPDATE jobs SET facts = 'not JSON'")
    with pytest.raises(vidpoll.StoreError, match="is damaged"):
        t.client.store.jobs()


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(vidpoll.StoreError, match="cannot be opened"):
        talk([], store=tmp_path)


UNPRIVILEGED = """
import os, sys, vidpoll
from vidpoll.storage.sqlite import Store
Store("warm", lambda: 0.0).close()  # whatever Python still has to load
if os.getuid() == 0:  # root may write everywhere
    os.setgid(65534); os.setuid(65534)
try:
    Store(sys.argv[1], lambda: 0.0)
except vidpoll.StoreError as error:
    print(error)
"""


def test_a_read_only_store_says_so(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Before anything is sent, and not after."""
    if os.name != "posix":
        pytest.skip("needs permissions as POSIX has them")
    Store(path, lambda: NOW).close()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    for parent in list(path.parents)[1:-2]:
        parent.chmod(parent.stat().st_mode | 0o111)
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path_factory.mktemp("warm"),
        )
    finally:
        path.parent.chmod(0o755)
    assert "cannot be written to: check its permissions" in done.stdout, done.stderr


@pytest.fixture
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program holds the store, for longer than anybody waits."""
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    yield holder
    holder.close()


def test_a_locked_store_costs_a_warning_and_no_job(
    path: Path, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait goes on to its verdict and its hook; a submit is not sent, and says so."""
    monkeypatch.setattr("vidpoll.storage.sqlite.BUSY", 0.05)
    t = talk([DRAWING, DONE], store=path)
    locked.execute("BEGIN IMMEDIATE")
    with pytest.warns(RuntimeWarning, match="is locked by another program") as said:
        assert t.client.wait(REF).ok
    assert t.ears.told == ["stage drawing", "progress 10", "completed"]
    assert 1 <= len(said) <= 3
    with pytest.raises(vidpoll.StoreError, match="acme clip: nothing was sent"):
        t.client.submit("acme", "clip", prompt="x")
    assert "POST /v1/jobs" not in t.requests


def test_a_store_that_fails_after_the_post_loses_no_job(
    path: Path, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id is in hand: the job comes back, with a warning that names it."""
    monkeypatch.setattr("vidpoll.storage.sqlite.BUSY", 0.05)
    t = talk([SUBMITTED], store=path)
    send = t.wire.send
    t.client._loop.send = lambda wire, ticket: (locked.execute("BEGIN IMMEDIATE"), send(wire, ticket))[1]
    with pytest.warns(RuntimeWarning, match="acme:j1 is submitted, and not in the store: write it down"):
        assert t.client.submit("acme", "clip", prompt="x").ref == REF


FULL = """
import resource, signal, sys, vidpoll
from pathlib import Path
from vidpoll.storage.sqlite import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(sys.argv[1], lambda: 0.0)
store.enter([("acme:j1", vidpoll.Origin("acme"), {})])
size = max(file.stat().st_size for file in Path(sys.argv[1]).parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    for number in range(100):
        store.save("acme:j1", {"stage": "x" * 5000})
except vidpoll.StoreError as error:
    print(error)
print(store.get("acme:j1").ref)
"""


def test_a_full_disk_says_so_and_spoils_nothing(path: Path) -> None:
    """What was kept before is still there."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs RLIMIT_FSIZE as Linux has it")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    said, ref = done.stdout.splitlines()
    assert said.startswith("acme:j1: the store ")
    assert "no room" in said or "room on it" in said
    assert ref == "acme:j1"
    assert [job.ref for job in Store(path, lambda: NOW).jobs()] == ["acme:j1"]


def test_a_clock_that_is_set_back_does_not_silence_the_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that failed is left alone for a minute that passes, not until a time of day."""
    t = talk([DRAWING], store=path)
    with pytest.warns(RuntimeWarning, match="it failed"):
        t.client._keeper.failed("it failed")  # type: ignore[union-attr]
    monkeypatch.setattr(t.clock, "time", lambda: NOW - 7200.0)
    t.clock.now += TROUBLE + 1.0
    t.client.wait(REF, timeout=0, check=False)
    assert kept(t).job.stage == "drawing"


def test_forget(path: Path) -> None:
    """Only what ended and was told goes, and only what is old enough."""
    t = talk({"j1": [DONE], "j2": [DONE], "j3": [DRAWING], "POST": [RESET]}, store=path)
    t.client.store.want("acme:j1", "clips")
    t.client.wait("acme:j1")
    t.client.wait("acme:j3", timeout=0, check=False)
    t.clock.now += 100
    t.client.wait("acme:j2")
    assert t.client.store.prune(NOW + 100) == 1
    assert [job.ref for job in t.client.store.jobs()] == ["acme:j3", "acme:j2"]
    assert t.client.store.wanted() == []
    with pytest.raises(vidpoll.UsageError):
        t.client.store.prune("yesterday")  # type: ignore[arg-type]


def test_wanted_files_stay_until_they_are_there(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target is kept as it is from any folder; a folder stays one."""
    monkeypatch.chdir(tmp_path)
    mp4 = b"\x00\x00\x00\x18ftypisom" + b"\x00" * 100
    t = talk({"/files/": [*[b"<html>not yet</html>"] * 4, mp4], "": [DONE]}, store=path)
    t.client.store.want(REF, "clips/")
    t.client.store.want(REF, "clips/")
    [wanted] = t.client.store.wanted()
    assert (wanted.ref, wanted.target, wanted.kinds) == (REF, f"{tmp_path / 'clips'}{os.sep}", ("video",))
    job = t.client.wait(REF)
    with pytest.raises(vidpoll.NotAVideo):
        t.client.download(job, "clips/")
    assert t.client.store.wanted() == [wanted]
    t.client.download(job, Path("clips"))
    assert t.client.store.wanted() == []
    t.client.store.want(REF, "other")
    t.client.store.unwant(t.client.store.wanted()[0])
    assert t.client.store.wanted() == []


# -- what a provider pushes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [DRAWING, json.dumps(DRAWING), json.dumps(DRAWING).encode()])
def test_a_pushed_body_moves_the_job_like_an_answer(body: Any) -> None:
    """Bytes, text or a dict; the same hooks; nothing is sent."""
    t = talk([DONE])
    job = t.client.feed(REF, body)
    assert (job.stage, job.progress) == ("drawing", 10)
    assert (t.ears.told, t.requests) == (["stage drawing", "progress 10"], [])


def test_the_same_body_twice_changes_nothing() -> None:
    """A provider may deliver it three times."""
    t = talk([DONE])
    job = t.client.feed(REF, SAVING)
    for _ in range(3):
        t.client.feed(job, SAVING)
    assert t.ears.told == ["stage saving", "progress 90"]


def test_a_pushed_verdict_counts_once_a_status_request_has_confirmed_it() -> None:
    """Anybody can push; the hook is told once, and a verdict in hand costs no more requests."""
    t = talk([DONE])
    job = t.client.feed(REF, BROKEN)
    assert job.ok
    for body in (BROKEN, DONE, DRAWING):
        t.client.feed(job, body)
    assert (t.ears.told, t.requests) == (["completed"], ["GET /v1/jobs/j1"])


def test_a_verdict_that_is_not_confirmed_moves_nothing() -> None:
    """Where the provider cannot be asked, the caller hears of it, and the job is as it was."""
    t = talk([UNAVAILABLE])
    job = vidpoll.Job(REF)
    with pytest.raises(vidpoll.ServerError, match="The job itself is not touched"):
        t.client.feed(job, DONE)
    assert (job.state, job.final) == (None, False)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>", vidpoll.Malformed),
        (b"", vidpoll.Malformed),
        (b"\xff", vidpoll.Malformed),
        ("[1]", vidpoll.Malformed),
        ({"status": ["drawing"]}, vidpoll.AnswerError),
        ({**DRAWING, "id": "j2"}, vidpoll.ForeignAnswer),
        ({**DONE, "id": "j2"}, vidpoll.ForeignAnswer),
        ({**DRAWING, "note": "x" * 5_000_000}, vidpoll.Malformed),
        (7, vidpoll.UsageError),
    ],
)
def test_a_pushed_body_that_is_not_about_the_job_is_refused(body: Any, error: type[Exception], path: Path) -> None:
    """A typed error for the caller's answer to the provider; nothing moves, nothing is sent, nothing is kept."""
    t = talk([DONE], store=path)
    job = vidpoll.Job(REF)
    with pytest.raises(error):
        t.client.feed(job, body)
    assert (job.state, t.requests, t.client.store.jobs()) == (None, [], [])


def test_an_unknown_word_in_a_pushed_body_becomes_the_stage() -> None:
    """As in a wait; told once per word."""
    t = talk([DONE])
    job = t.client.feed(t.client.feed(REF, {"status": "polishing"}), {"status": "polishing"})
    assert (job.state, job.stage, t.ears.told) == (None, "polishing", ["stage polishing"])


def test_a_body_that_was_overtaken_is_ignored() -> None:
    """Pushed bodies may arrive late: what is about a time before what is known moves nothing."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return vidpoll.Snapshot(vidpoll.State.RUNNING, response.json()["stage"], updated_at=response.json()["at"])

    t = talk([DONE], provider=replace(ACME, status=vidpoll.Operation(ACME.status.request, parse)))
    job = t.client.feed(REF, {"stage": "saving", "at": 20})
    for stage, at in (("drawing", 10), ("drawing", 11), ("done soon", 21)):
        t.client.feed(job, {"stage": stage, "at": at})
    assert t.ears.told == ["stage saving", "stage done soon"]


def test_a_parser_that_asks_for_more_gets_a_status_request() -> None:
    """A Follow in a pushed body cannot be sent as it is: a poll of the job tells all."""

    def parse(response: vidpoll.Response, job_id: str) -> Any:
        done = ACME.status.parse(response, job_id)
        return vidpoll.Follow(vidpoll.Request("GET", "/more"), lambda *_: done) if done.state.final else done

    t = talk([DONE], provider=replace(ACME, status=vidpoll.Operation(ACME.status.request, parse)))
    assert t.client.feed(REF, DONE).ok
    assert t.requests == ["GET /v1/jobs/j1", "GET /v1/more"]


def test_what_is_pushed_is_kept_and_told_once_across_processes(path: Path) -> None:
    """The web process and the one that waits: whoever hears the verdict first tells it, and the other one knows."""
    t = talk([DRAWING, DONE], store=path)
    waiting = t.client.watch(REF)
    next(waiting), next(waiting)
    web = talk([DONE], store=path)
    assert web.client.feed(REF, DONE).ok
    assert web.client.feed(REF, DONE).ok
    assert [brief(event) for event in waiting] == ["completed"]
    assert (web.ears.told, t.ears.told) == (["completed"], ["stage drawing", "progress 10"])
    assert len(web.requests) == 1
