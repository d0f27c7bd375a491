"""What is kept of a job, and what never is: keys, queries of URLs, pictures."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, KEY, QUEUED, REF, SAVING, UNAVAILABLE, talk
from kept_jobs import NOW, SUBMITTED, kept

import vidpoll
from vidpoll.job_state import JobState
from vidpoll.storage import records
from vidpoll.storage.sqlite import SqliteStore

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of b"abc", from FIPS 180-2."""


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
    whole = hashlib.sha256(f"{long}[redacted]".encode()).hexdigest()
    assert sent["prompt"] == f"{long[:499]}… sha256:{whole} ({len(long) + 10} bytes)"
    assert sent["image"].startswith("sha256:")
    assert kept(t).job.video.url == "https://cdn.example/j1.mp4"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, 7),
        (None, None),
        (True, True),
        ("a\x1b[31m b", "a b"),
        ("x" * 500, "x" * 500),
        ("x" * 501, f"{'x' * 499}… sha256:{hashlib.sha256(b'x' * 501).hexdigest()} (501 bytes)"),
        ([1, {"deep": b"abc"}], [1, {"deep": f"sha256:{ABC} (3 bytes)"}]),
        ("data:image/png;base64,AAAA", "sha256:"),
        (Path("not there.png"), "not there.png"),
        ({"api_key": "abc"}, {"api_key": "[redacted]"}),
        (object, "<class 'object'>"),
    ],
)  # fmt: skip
def test_fields_are_made_safe_before_they_are_kept(value: Any, shown: Any) -> None:
    """Texts are cut to 500 characters, and have a hash then, as files and bytes do; what is a key's is hidden."""
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
    with pytest.raises(vidpoll.StoreError, match="cannot keep text that is not Unicode"):
        t.client.store.want(REF, os.fsdecode(b"clips\xff"))


def test_a_file_is_kept_as_its_name_and_hash(tmp_path: Path) -> None:
    """Enough to know which picture it was."""
    (tmp_path / "photo.jpg").write_bytes(b"abc")
    assert records.sent({"image": tmp_path / "photo.jpg"})["image"].startswith("photo.jpg sha256:ba7816bf")


def failed(**told: Any) -> JobState:
    job = vidpoll.Job(REF)
    job.receive(vidpoll.Snapshot(vidpoll.State.FAILED, problem=vidpoll.Problem("no", "E7", **told)), NOW)
    return job.known


def test_the_class_of_failure_is_kept() -> None:
    """Whether a retry helps, and who paid, is known in the morning too."""
    known = failed(kind="moderated_output", charged=True)
    kept = json.loads(json.dumps(records.facts(known_job(known))))
    assert kept["problem"] == ["no", "E7", "moderated_output", True]
    assert records.read(REF, kept) == known


@pytest.mark.parametrize("problem", [["no", "E7"], ["no", "E7", None, None], ["no", "E7", "bribed", "yes", 5]])
def test_a_record_of_another_version_has_no_class_of_failure(problem: list[Any]) -> None:
    """An older record lacks it, and a later one may have a word that is not known here."""
    kept = {**records.facts(known_job(failed())), "problem": problem}
    assert records.read(REF, kept) == failed()


def known_job(known: JobState) -> vidpoll.Job:
    job = vidpoll.Job(REF)
    job.restore(known)
    return job


@pytest.mark.parametrize(
    "odd",
    [
        {"state": "dancing"},
        {"phase": "dancing"},
        {"phase": None},
        {"phase": "ended"},
        {"state": 7},
        {"history": 5},
        {"history": [["x"]]},
        {"assets": [None]},
        {"assets": [{}]},
        {"cost": ["a", "b", 3]},
        {"problem": 7},
        {"said": {}},
        {"left": [7]},
        {"v": 2},
        {"v": "one"},
        {"late": [None, None]},
        {"stage": {"a": 1}},
        {"progress": "50"},
        {"progress": float("nan")},
        {"created_at": "yesterday"},
        {"grace": None},
        {"answers": 1e400},
        {"told": [None, 5]},
        {"history": [[float("inf"), "running", "drawing", None]]},
        {
            "assets": [
                {
                    "url": "/a",
                    "whole": True,
                    "kind": "video",
                    "media_type": None,
                    "expires_at": None,
                    "size": "7",
                    "checksum": None,
                }
            ]
        },
    ],
)
def test_odd_facts_leave_the_job_unknown(odd: dict[str, Any]) -> None:
    """What something else wrote may be unreadable: the job is then asked about like a new one."""
    job = vidpoll.Job(REF)
    job.receive(vidpoll.Snapshot(vidpoll.State.RUNNING, "drawing"), NOW)
    facts = records.facts(job)
    assert records.read(REF, facts).stage == "drawing"
    assert records.read(REF, {**facts, **odd}) == records.read(REF, {}) == JobState(REF)


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    """Prompts are nobody else's business."""
    SqliteStore(path, lambda: NOW).close()
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
