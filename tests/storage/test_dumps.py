"""A dump is plain data that is loaded as it was; anything else is a UsageError, whatever it is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from acme_provider import DRAWING, REF, talk
from answers import JSON
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_jobs import NOW

import vidpoll
from vidpoll.job_state import Steps
from vidpoll.storage import records

DRAWN = vidpoll.Snapshot(vidpoll.State.RUNNING, "drawing", 3.0)

quick = settings(max_examples=20, deadline=None)

TEXT = st.text(max_size=9)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 99)
STATES = st.sampled_from(vidpoll.State)
PROBLEMS = st.builds(
    vidpoll.Problem, TEXT.filter(bool), st.none() | TEXT, kind=st.sampled_from([None, "money", "input"])
)
URLS = st.sampled_from(["https://cdn.example/a.mp4", "https://cdn.example/b.png"])
SNAPSHOTS = st.builds(
    vidpoll.Snapshot,
    STATES,
    st.none() | TEXT,
    st.none() | st.floats(0, 100),
    assets=st.lists(st.builds(vidpoll.Asset, URLS, st.sampled_from(["video", "cover"])), max_size=2).map(tuple),
    problem=st.none() | PROBLEMS,
    updated_at=st.none() | st.floats(1e9, 2e9),
    queue_position=st.none() | COUNTS,
    cost=st.none() | st.builds(vidpoll.Cost, st.floats(0, 9), st.floats(0, 9), st.just("USD")),
    assets_due=st.booleans(),
)
STEPS = st.builds(
    Steps, NUMBERS, NUMBERS, NUMBERS, COUNTS, NUMBERS, COUNTS, COUNTS, st.tuples(TEXT, COUNTS), st.booleans(),
    st.none() | NUMBERS,
)  # fmt: skip


@st.composite
def jobs(draw: Any) -> vidpoll.Job:
    """A job that was told some answers, good and bad."""
    job = vidpoll.Job(REF, submitted_at=draw(st.none() | st.floats(1e9, 2e9)), key=draw(TEXT))
    for turn, said in enumerate(draw(st.lists(SNAPSHOTS | TEXT.filter(bool), max_size=6))):
        try:
            if isinstance(said, str):
                job.receive_unknown(said, NOW + turn)
            else:
                job.receive(said, NOW + turn)
        except vidpoll.AnswerError:
            pass
    job.known = job.known._replace(steps=draw(STEPS))
    job.give_up_at = draw(st.none() | NUMBERS)
    return job


def through(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


@quick
@given(jobs())
def test_a_dump_is_loaded_as_it_was(job: vidpoll.Job) -> None:
    """All that a step needs; of the last answer only what is shown and what tells that a job moves."""
    dumped = vidpoll.dump(job)
    there = vidpoll.load(through(dumped))
    assert through(dumped) == dumped
    assert there.known._replace(snapshot=None) == job.known._replace(snapshot=None)
    assert (there.ref, there.key, there.final, there.ok) == (job.ref, job.key, job.final, job.ok)
    assert vidpoll.dump(there) == dumped


def test_the_history_of_a_dump_has_its_last_moments() -> None:
    """A job that moves for days does not make a queue's message too long."""
    job = vidpoll.Job(REF)
    for turn in range(records.MOMENTS + 7):
        job.receive(vidpoll.Snapshot(vidpoll.State.RUNNING, f"part {turn}"), NOW + turn)
    assert vidpoll.load(vidpoll.dump(job)).history == job.history[7:]


def test_a_dump_is_the_record_of_a_store() -> None:
    """One format: what `records.facts` has, and which job it is."""
    job = vidpoll.Job(REF, key="order-42")
    job.receive(vidpoll.Snapshot(vidpoll.State.RUNNING, "drawing"), NOW)
    dumped = vidpoll.dump(job)
    assert {name: dumped[name] for name in ("ref", "key", "unknown")} == {
        "ref": REF,
        "key": "order-42",
        "unknown": None,
    }
    assert records.read(REF, dumped) == job.known
    assert {*dumped} - {"ref", "key", "unknown"} == {*records.facts(job)}


def test_no_secret_is_in_a_dump() -> None:
    """The query of a signed URL is cut, and the job is asked again before its files are fetched."""
    job = vidpoll.Job(REF)
    signed = vidpoll.Asset("https://cdn.example/a.mp4?sig=SIGNATURE0123456789")
    job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(signed,)), NOW)
    dumped = vidpoll.dump(job)
    assert "SIGNATURE" not in json.dumps(dumped)
    there = vidpoll.load(dumped)
    assert (there.video.url, there.stale) == ("https://cdn.example/a.mp4", True)


@quick
@given(JSON)
def test_load_of_any_json(data: Any) -> None:
    """Nothing but a dump is a job."""
    with pytest.raises(vidpoll.UsageError, match=r"^load"):
        vidpoll.load(data)


drawn = vidpoll.Job(REF)
drawn.receive(DRAWN, NOW)

WHOLE: dict[str, Any] = {
    **vidpoll.dump(vidpoll.Job(REF, key="order-42")),
    "phase": "files late",
    "state": "running",
    "history": [[NOW, "running", "drawing", 3.0]],
    "assets": [
        {
            "url": "https://cdn.example/a.mp4",
            "whole": True,
            "kind": "video",
            "media_type": None,
            "expires_at": None,
            "size": 3,
            "checksum": None,
        }
    ],
    "problem": ["no", "E7", "money", True],
    "cost": [1.0, 0.0, "USD"],
    "unknown": {"error": "WaitRefused", "message": "no", "resume": "again", "status": 402},
    "steps": Steps(NOW, NOW, NOW + 5, 3, NOW)._asdict(),
    "said": vidpoll.dump(drawn)["said"],
    "left": [["queued", "queued"], [None, None]],
    "words": ["dreaming"],
    "late": ["done", 100.0],
    "returning": ["running", "drawing"],
    "told": ["running", "drawing"],
}


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all that stands in a dump."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(place for name, each in inner for place in places(each, (*above, name)))]


@pytest.fixture(scope="module")
def client() -> Iterator[vidpoll.Client]:
    with talk([DRAWING]).client as client:
        yield client


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(places(through(WHOLE))[1:]), JSON)
def test_load_of_a_dump_with_something_else_in_it(client: vidpoll.Client, place: tuple[Any, ...], value: Any) -> None:
    """It is refused, or is a job like any other, which a step can go on with."""
    data = inner = json.loads(json.dumps(WHOLE))
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    try:
        job = vidpoll.load(data)
    except vidpoll.UsageError:
        return
    dumped = vidpoll.dump(job)
    assert through(vidpoll.dump(vidpoll.load(dumped))) == dumped
    assert repr(job)
    with contextlib.suppress(vidpoll.UsageError):  # another account
        client.step(job)


def test_a_whole_dump_is_loaded() -> None:
    """Else the test above would show nothing."""
    assert vidpoll.dump(vidpoll.load(WHOLE)) == through(WHOLE)


@pytest.mark.parametrize("v", [2, 1.5, "1", None])
def test_a_dump_of_a_newer_vidpoll_is_left_to_it(v: Any) -> None:
    """The message names both versions, and the way out."""
    with pytest.raises(vidpoll.UsageError, match=r"a newer vidpoll dumped it \(format .*, known: 1\); update"):
        vidpoll.load({**WHOLE, "v": v})


def test_unknown_fields_are_kept() -> None:
    """A later vidpoll may have added them; they go through an older one."""
    job = vidpoll.load({**WHOLE, "mood": {"good": True}})
    assert vidpoll.dump(job) == {**through(WHOLE), "mood": {"good": True}}


def test_a_field_that_was_added_may_be_missing() -> None:
    """What an older vidpoll kept has neither steps nor a deadline."""
    older = {name: value for name, value in WHOLE.items() if name not in ("steps", "give_up_at", "key", "unknown")}
    job = vidpoll.load(older)
    assert (job.known.steps, job.give_up_at, job.key, job.error) == (Steps(), None, "", None)
