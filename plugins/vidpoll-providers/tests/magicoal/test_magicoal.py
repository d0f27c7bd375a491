"""What is odd about MagiCoal: `done` beside the word, credits that come back, refusals in a 200, bounds of fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import magicoal

import vidpoll
from vidpoll import Asset, Cost, Problem, Response, Snapshot, State, Submitted

(PROVIDER,) = magicoal.vidpoll_providers()
OPERATIONS: dict[str, Any] = {**PROVIDER.operations()}
ID = "a1e0c7d2-5b34-4f6e-9c18-70d2be4f9a11"
VIDEO = "https://coals.ai/a.mp4"


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def status(**fields: object) -> Snapshot:
    """What a status answer with these fields means; a running i2v job where they say nothing else."""
    data = {"uuid": ID, "status": "generating_video", "stage": "generating_video", "done": False, **fields}
    said: Snapshot = OPERATIONS["status"].parse(answer({"success": True, "data": data}), ID)
    return said


@pytest.mark.parametrize("word", ["queued", "generating", "saving"])
def test_done_with_a_video_is_the_documented_end(word: str) -> None:
    """done: true with a video's URL is how the vendor describes the end: a lagging word does not lose the video."""
    said = status(status=word, stage=word, done=True, video_url=VIDEO)
    assert (said.state, said.stage, said.assets) == (State.COMPLETED, word, (Asset(VIDEO),))


@pytest.mark.parametrize(
    "fields",
    [{"done": True}, {"done": True, "video_url": ""}, {"video_url": VIDEO}]
    + [{"done": done, "video_url": VIDEO} for done in ("true", 1, "yes")],
)
def test_half_of_the_end_is_no_end(fields: dict[str, object]) -> None:
    """Done without a video, a video without done, or a done that is not true, leaves a job running."""
    assert (status(**fields).state, status(**fields).assets) == (State.RUNNING, ())


@pytest.mark.parametrize("done", [True, False, None, "yes"])
def test_done_undoes_no_verdict(done: object) -> None:
    """No page says what `done` is on a failed job; completed needs no `done`."""
    assert status(status="failed", done=done, video_url=VIDEO).state is State.FAILED
    assert status(status="completed", done=done).state is State.COMPLETED


def test_the_stage_is_only_shown() -> None:
    """`status` decides; an unknown, missing or contradicting stage ends nothing and raises nothing."""
    assert [status(stage=stage).stage for stage in ("polishing", None)] == ["polishing", "generating_video"]
    assert {status(stage=stage).state for stage in ("completed", "failed")} == {State.RUNNING}


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        ("no memory", Problem("no memory", charged=False)),
        ({"message": "nsfw", "code": "BLOCKED"}, Problem("nsfw", "BLOCKED", charged=False)),
    ],
)
def test_a_reason_is_an_object_or_text(error: object, problem: Problem) -> None:
    """No page shows one; beside a running word it fails nothing."""
    assert status(status="failed", error=error).problem == problem
    assert status(error=error).problem is None


def test_credits_come_back_only_on_failure() -> None:
    """Charged at submission, refunded in full when the job failed; unknown if the response has no cost."""
    costs = [status(status=word, credits_charged=52).cost for word in ("saving", "completed", "failed")]
    assert costs == [Cost(52.0, 0.0), Cost(52.0, 0.0), Cost(52.0, 52.0)]
    assert status(status="failed").cost is None


@pytest.mark.parametrize("role", OPERATIONS)
@pytest.mark.parametrize(
    ("code", "kind"), [*magicoal.ENVELOPE.kinds.items(), ("SOMETHING", "unknown"), (None, "unknown")]
)
def test_success_false_is_a_refusal(role: str, code: str | None, kind: str) -> None:
    """A 200 that says success: false is read as the refusal that it is, in both envelopes."""
    error = "no" if code is None else {"code": code, "message": "no"}
    with pytest.raises(vidpoll.Refused) as caught:
        OPERATIONS[role].parse(answer({"success": False, "error": error}), ID)
    assert (caught.value.kind, caught.value.message, caught.value.code) == (kind, "no", code)


def test_a_jobs_own_word_beats_the_envelope() -> None:
    """success: false around a job's object is about the job: its word is a verdict, and its id is never lost."""
    body = {"success": False, "data": {"uuid": ID, "status": "failed"}}
    assert OPERATIONS["status"].parse(answer(body), ID).state is State.FAILED
    assert OPERATIONS["submit i2v"].parse(answer(body), "").job_id == ID


@pytest.mark.parametrize("word", ["submitted", None, True, 7])
def test_the_id_is_never_lost(word: object) -> None:
    """Once the response names an id, nothing else in it can raise: the job is paid for."""
    body = {"success": True, "data": {"uuid": ID, "status": word, "credits_charged": "many"}}
    assert OPERATIONS["submit t2v"].parse(answer(body, 202), "") == Submitted(ID)


GOOD: list[dict[str, object]] = [
    {"prompt": "x" * 2000}, {"num_frames": 17}, {"num_frames": 161}, {"guidance_scale": 1}, {"guidance_scale": 10.0},
    {"seed": 0}, {"seed": -1},
]  # fmt: skip
BAD: list[tuple[dict[str, object], str]] = [
    ({"prompt": " \n"}, "needs 'prompt'"),
    ({"prompt": "x" * 2001}, "at most 2000 characters"),
    *(({"num_frames": n}, f"num_frames={n!r}: it must be a whole") for n in (80, 15, 163, 81.0, "81", True)),
    *(({"guidance_scale": n}, "it must be a number from 1.0 to 10.0") for n in (0.9, 10.1, True, float("nan"), "3.5")),
    *(({"seed": n}, "it must be a whole number") for n in (1.5, False)),
    ({"frames": 81}, "no field 'frames'; it takes prompt, num_frames, guidance_scale, seed"),
    ({"image": "https://a.example/b.png"}, "t2v takes no field 'image'"),
]


@pytest.mark.parametrize("fields", GOOD)
def test_what_is_documented_is_sent_as_it_is(fields: dict[str, object]) -> None:
    """Every value within the limits goes out unchanged, in both submits; i2v needs no prompt."""
    given = {"prompt": "a", **fields}
    assert OPERATIONS["submit t2v"].request(given).json == given
    with_image = {"image": "https://a.example/b.png", **fields}
    assert OPERATIONS["submit i2v"].request(with_image).json == with_image


@pytest.mark.parametrize(("fields", "text"), BAD)
def test_what_is_not_documented_is_not_sent(fields: dict[str, object], text: str) -> None:
    """A field outside the limits is refused before anything is sent, with the field, the limit and the way out."""
    with pytest.raises(vidpoll.InvalidField) as caught:
        OPERATIONS["submit t2v"].request({"prompt": "a", **fields})
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "image", [None, "", b"", "http://a.example/b.png", "photo.jpg", b"GIF89a", Path("no such.png")]
)
def test_what_is_no_image_is_refused(image: object) -> None:
    """Before 50 credits hang on it, naming what MagiCoal takes, and how a file is given."""
    with pytest.raises(vidpoll.InvalidField, match=r"image.*an https URL, base64, bytes, or a file.*pathlib\.Path"):
        OPERATIONS["submit i2v"].request({"image": image})


@pytest.mark.parametrize(
    ("meta", "token"),
    [
        ({"current_page": 1, "last_page": 3, "has_more": True}, "2"),
        ({"current_page": 1, "last_page": 3}, "2"),
        ({"current_page": 3, "last_page": 3}, None),
        ({"current_page": 1, "last_page": 3, "has_more": False}, None),
        ({"last_page": 3, "has_more": True}, None),
        (None, None),
    ],
)
def test_the_next_page_is_told_by_meta(meta: object, token: str | None) -> None:
    """has_more decides, last_page where it is missing; without a page number there is no next page."""
    body = {"success": True, "data": [{"uuid": ID, "status": "completed"}], "meta": meta}
    assert OPERATIONS["list"].parse(answer(body), "").next == token


@pytest.mark.parametrize("fields", [{"per_page": 0}, {"per_page": 101}, {"page": 0}, {"page": 1.0}, {"q": 1}])
def test_wrong_list_fields_are_refused(fields: dict[str, object]) -> None:
    """1 to 100 rows a page, pages from 1, and nothing that is not documented."""
    with pytest.raises(vidpoll.InvalidField, match=next(iter(fields))):
        OPERATIONS["list"].request(fields, None)


def test_the_declared_values() -> None:
    """Never more often than every 3 s, typically 60 to 180 s; each stage covers the progress of the vendor's table."""
    assert PROVIDER.pacing == vidpoll.Pacing(floor=3.0, typical=(60, 180))
    assert OPERATIONS["list"].request({"per_page": 2, "page": 5}, "6").query == (("per_page", "2"), ("page", "6"))
    shown = [stage.progress for stage in PROVIDER.stages]
    assert shown == [None, None, (5, 20), (20, 25), (25, 90), (90, 100), (100, 100), None]
