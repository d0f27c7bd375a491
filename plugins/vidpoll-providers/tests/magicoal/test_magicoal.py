"""MagiCoal's plugin: every sample means exactly what is written here, every documented limit is kept before sending.

No network and no clock: builders and parsers are functions on values. What the samples stand on is in
samples/index.json.
"""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
import vidpoll_providers
from vidpoll_providers import magicoal

import vidpoll
from vidpoll import Asset, Cost, Page, Problem, Quota, Request, Response, Snapshot, State, Submitted

PROVIDER = next(iter(magicoal.vidpoll_providers()))
OPERATIONS: dict[str, Any] = {**PROVIDER.operations()}
SAMPLES = Path(vidpoll_providers.__file__).parent / "samples" / Path(__file__).parent.name
INDEX = {row["file"]: row for row in json.loads((SAMPLES / "index.json").read_text(encoding="utf-8"))["samples"]}

I2V, T2V, THIRD = (
    "a1e0c7d2-5b34-4f6e-9c18-70d2be4f9a11",
    "b72f41c9-0e8d-4a55-8b3f-19c6d0e7a222",
    "c3d9e0aa-6f11-4b0c-a9d4-5e2f7c8b3333",
)
CREATED = 1793610847.0  # 2026-11-02T09:14:07Z
NO_REASON = Problem("failed, and MagiCoal gave no reason")


def sample(name: str) -> Response:
    return Response(INDEX[name]["status"], INDEX[name]["headers"], (SAMPLES / name).read_bytes())


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def status(**fields: object) -> Snapshot:
    """What a status answer with these fields means; a running i2v job where they say nothing else."""
    data = {"uuid": I2V, "status": "generating_video", "stage": "generating_video", "done": False, **fields}
    parsed = OPERATIONS["status"].parse(answer({"success": True, "data": data}), I2V)
    assert isinstance(parsed, Snapshot)
    return parsed


def media(job_id: str) -> tuple[Asset, Asset]:
    return (
        Asset(f"https://coals.ai/storage/videos/{job_id}.mp4"),
        Asset(f"https://coals.ai/storage/thumbnails/{job_id}.jpg", "thumbnail"),
    )


def seen(state: State, stage: str, progress: float | None, job_id: str, **fields: Any) -> Snapshot:
    cost = Cost(50.0 if job_id in (I2V, THIRD) else 52.0)
    return Snapshot(
        state, stage=stage, progress=progress, job_id=job_id, **{"created_at": CREATED, "cost": cost, **fields}
    )


def failed(stage: str, problem: Problem) -> Snapshot:
    return seen(State.FAILED, stage, 61.0, I2V, problem=problem, cost=Cost(50.0, 50.0))


def listed(job_id: str) -> Snapshot:
    return seen(State.COMPLETED, "completed", None, job_id, assets=media(job_id), duration=5.0625)


EXPECTED: dict[str, tuple[str, object]] = {
    "submit-i2v-202.json": (
        "submit i2v", Submitted(I2V, seen(State.QUEUED, "queued", None, I2V, created_at=None)),
    ),
    "submit-t2v-202.json": (
        "submit t2v", Submitted(T2V, seen(State.QUEUED, "queued", None, T2V, created_at=None)),
    ),
    "status-queued.json": ("status", seen(State.QUEUED, "queued", 0.0, T2V)),
    "status-generating.json": ("status", seen(State.RUNNING, "generating_video", 31.0, I2V)),
    "status-t2v-generating_image.json": ("status", seen(State.RUNNING, "generating_image", 12.0, T2V)),
    "status-t2v-uploading_image.json": ("status", seen(State.RUNNING, "uploading_image", 22.0, T2V)),
    "status-t2v-generating_video.json": ("status", seen(State.RUNNING, "generating_video", 57.0, T2V)),
    "status-t2v-saving.json": ("status", seen(State.RUNNING, "saving", 94.0, T2V)),
    "status-i2v-generating_video.json": ("status", seen(State.RUNNING, "generating_video", 25.0, I2V)),
    "status-i2v-completed.json": (
        "status",
        seen(
            State.COMPLETED, "completed", 100.0, I2V,
            assets=media(I2V), duration=5.0625, finished_at=1793610991.0,
        ),
    ),
    "status-t2v-completed.json": (
        "status",
        seen(
            State.COMPLETED, "completed", 100.0, T2V,
            assets=media(T2V), duration=10.0625, finished_at=1793611082.0,
        ),
    ),
    "status-failed-done-false.json": ("status", failed("generating_video", NO_REASON)),
    "status-failed-done-true.json": ("status", failed("failed", NO_REASON)),
    "status-failed-with-error.json": (
        "status", failed("failed", Problem("Generation failed; credits were refunded.", "GENERATION_FAILED")),
    ),
    "videos-page-1.json": ("list", Page((listed(I2V), listed(T2V)), "2")),
    "videos-page-2.json": ("list", Page((listed(THIRD),))),
    "videos-empty.json": ("list", Page(())),
    "quota-free.json": (
        "quota", Quota("free", 5, 5, 0, reset_at=1796083200.0, balance=48.0, prices={"i2v": 50, "t2v": 52}),
    ),
    "quota-unlimited.json": (
        "quota",
        Quota("pro", None, 61, None, 1796083200.0, balance=1914.5, unlimited=True, prices={"i2v": 50, "t2v": 52}),
    ),
    "error-400.json": ("error", Problem("The request was malformed.", "BAD_REQUEST")),
    "error-401.json": ("error", Problem("API key missing, invalid or revoked.", "UNAUTHORIZED")),
    "error-402.json": ("error", Problem("Not enough credits for this job.", "INSUFFICIENT_CREDITS")),
    "error-403.json": ("error", Problem("API key lacks scope magicoal:generate.", "FORBIDDEN")),
    "error-404.json": ("error", Problem("Job not found.", "NOT_FOUND")),
    "error-413.json": ("error", Problem("Uploaded file exceeds the size limit.", "PAYLOAD_TOO_LARGE")),
    "error-422.json": (
        "error",
        Problem(
            "The request failed validation.",
            "VALIDATION_ERROR",
            {
                "num_frames": ["num_frames must be an odd number between 17 and 161."],
                "prompt": ["prompt may not exceed 2000 characters."],
            },
        ),
    ),
    "error-429.json": ("error", Problem("Rate limit exceeded. Retry after 42 seconds.", "RATE_LIMIT_EXCEEDED")),
    "error-500.json": ("error", Problem("Unexpected error.", "INTERNAL_ERROR")),
    "error-flat-string.json": ("error", Problem("Job not found")),
}  # fmt: skip


class TestSamples:
    def test_every_sample_is_replayed(self) -> None:
        """No body lies in the folder, or stands in the index, that no test reads."""
        assert {path.name for path in SAMPLES.glob("*.json")} == {*INDEX, "index.json"}
        assert set(EXPECTED) == set(INDEX)

    @pytest.mark.parametrize("name", EXPECTED)
    def test_a_sample_means_exactly_this(self, name: str) -> None:
        """Every documented answer is read in full: state, stage, files, money, times, reasons."""
        role, expected = EXPECTED[name]
        response = sample(name)
        if role == "error":
            assert PROVIDER.error(response) == expected
        else:
            assert OPERATIONS[role].parse(response, I2V) == expected

    @pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("status-")])
    def test_the_whole_object_is_kept(self, name: str) -> None:
        """`raw` is what the provider said of the job, with the fields that nobody foresaw."""
        body = json.loads(sample(name).body)
        body["data"]["new_field"] = {"a": [1]}
        assert OPERATIONS["status"].parse(answer(body), I2V).raw == body["data"]


class TestRequests:
    def test_every_request_is_the_documented_one(self) -> None:
        """Method, path and query are those of the vendor's pages."""
        assert OPERATIONS["status"].request(I2V) == Request("GET", f"/status/{I2V}")
        assert OPERATIONS["quota"].request() == Request("GET", "/quota")
        assert OPERATIONS["list"].request({}, None) == Request("GET", "/videos", (("per_page", "100"), ("page", "1")))
        assert OPERATIONS["submit t2v"].request({"prompt": "a lighthouse"}) == Request(
            "POST", "/generate/t2v", json={"prompt": "a lighthouse"}
        )
        assert OPERATIONS["submit i2v"].request({"image": "https://example.com/photo.jpg"}) == Request(
            "POST", "/generate/i2v", json={"image": "https://example.com/photo.jpg"}
        )

    def test_only_the_documented_operations_are_there(self) -> None:
        """MagiCoal has no cancel, no delete and no content: asking for one is an error before any request."""
        assert set(OPERATIONS) == {"status", "list", "quota", "submit t2v", "submit i2v"}

    def test_the_provider_is_the_documented_one(self) -> None:
        """Base URL, key variable and pace: never more often than every 3 s, typically 60 to 180 s."""
        assert PROVIDER.base_url == "https://coals.ai/api/v1/magicoal"
        assert PROVIDER.auth(Request("GET", "/quota"), {"MAGICOAL_API_KEY": "k"}) == {"Authorization": "Bearer k"}
        assert PROVIDER.pacing == vidpoll.Pacing(floor=3.0, typical=(60, 180))

    @pytest.mark.parametrize(
        ("job_id", "path"),
        [("a/b", "a%2Fb"), ("a b?c#d%", "a%20b%3Fc%23d%25"), ("é", "%C3%A9"), ("...", "..."), ("a:b", "a%3Ab")],
    )
    def test_an_odd_id_stays_one_segment(self, job_id: str, path: str) -> None:
        """Whatever an id holds, it cannot reach another endpoint."""
        assert OPERATIONS["status"].request(job_id).path == f"/status/{path}"

    @pytest.mark.parametrize("job_id", ["", ".", "..", "\ud800"])
    def test_an_id_that_is_none_is_refused(self, job_id: str) -> None:
        """An empty or dot id is an error, never a request for something else."""
        with pytest.raises(vidpoll.BadReference):
            OPERATIONS["status"].request(job_id)

    def test_the_stages_are_the_documented_ones(self) -> None:
        """Each stage covers the progress of the vendor's table; the words outside that table cover none."""
        assert {stage.word: stage.progress for stage in PROVIDER.stages} == {
            "queued": None,
            "generating": None,
            "generating_image": (5, 20),
            "uploading_image": (20, 25),
            "generating_video": (25, 90),
            "saving": (90, 100),
            "completed": (100, 100),
            "failed": None,
        }


class TestStatus:
    @pytest.mark.parametrize("done", [True, False, None, "yes"])
    def test_failed_is_failed_whatever_done_says(self, done: object) -> None:
        """No page says what `done` is on a failed job, so it is not asked."""
        assert status(status="failed", done=done, video_url="https://coals.ai/a.mp4").state is State.FAILED

    @pytest.mark.parametrize("done", [False, None, "yes"])
    def test_completed_is_completed_without_done(self, done: object) -> None:
        """The status word ends a job; `done` beside it is not needed."""
        assert status(status="completed", done=done).state is State.COMPLETED

    @pytest.mark.parametrize("word", ["queued", "generating", "saving"])
    def test_done_with_a_video_is_the_documented_end(self, word: str) -> None:
        """done: true with a video's URL is how the vendor describes the end: a lagging word does not lose the video."""
        said = status(status=word, stage=word, done=True, video_url="https://coals.ai/a.mp4")
        assert (said.state, said.stage, said.assets) == (State.COMPLETED, word, (Asset("https://coals.ai/a.mp4"),))

    @pytest.mark.parametrize("fields", [{"done": True}, {"done": True, "video_url": ""}, {"video_url": "https://a/b"}])
    def test_half_of_the_end_is_no_end(self, fields: dict[str, object]) -> None:
        """Done without a video, or a video without done, leaves a job running: only the provider ends it."""
        said = status(**fields)
        assert (said.state, said.assets) == (State.RUNNING, ())

    @pytest.mark.parametrize("done", ["true", 1, "yes"])
    def test_only_true_is_done(self, done: object) -> None:
        """A text or a number under `done` ends nothing."""
        assert status(done=done, video_url="https://coals.ai/a.mp4").state is State.RUNNING

    def test_the_stage_is_only_shown(self) -> None:
        """`status` decides; an unknown, missing or contradicting stage ends nothing and raises nothing."""
        assert status(stage="polishing").stage == "polishing"
        assert status(stage=None).stage == "generating_video"
        assert status(stage="completed").state is State.RUNNING
        assert status(stage="failed").state is State.RUNNING

    @pytest.mark.parametrize("word", ["succeeded", "done", "cancelled", "generating_audio", 1, 100])
    def test_an_unknown_word_raises(self, word: object) -> None:
        """A word that the pages do not name is never taken for anything."""
        with pytest.raises(vidpoll.UnknownStatus):
            status(status=word)

    @pytest.mark.parametrize("word", [None, "", True, False, 1.5, [], {}, ["completed"]])
    def test_a_status_that_is_no_word_raises(self, word: object) -> None:
        """Booleans, lists and nothing are no status words."""
        with pytest.raises(vidpoll.Malformed):
            status(status=word)

    def test_a_foreign_id_is_reported(self) -> None:
        """An answer about another job says so in its snapshot, so that the job can refuse it; none means none."""
        assert status(uuid=T2V).job_id == T2V
        assert status(uuid=None).job_id is None

    @pytest.mark.parametrize(
        ("error", "problem"),
        [
            ("out of memory", Problem("out of memory")),
            ({"message": "nsfw", "code": "BLOCKED"}, Problem("nsfw", "BLOCKED")),
            ({"code": "BLOCKED"}, Problem("failed, and MagiCoal gave no reason", "BLOCKED")),
            (["what"], NO_REASON),
            (None, NO_REASON),
        ],
    )
    def test_a_reason_is_read_in_any_shape(self, error: object, problem: Problem) -> None:
        """A failed job's `error` may be an object or text; where there is none, that is said in words."""
        assert status(status="failed", error=error).problem == problem

    def test_an_error_text_fails_nothing(self) -> None:
        """A running job with something under `error` goes on."""
        said = status(error="worker restarted")
        assert (said.state, said.problem) == (State.RUNNING, None)

    def test_credits_come_back_only_on_failure(self) -> None:
        """Charged at submission, refunded in full when the job failed; unknown where the answer does not tell."""
        assert status(credits_charged=52).cost == Cost(52.0, 0.0)
        assert status(status="completed", credits_charged=52).cost == Cost(52.0, 0.0)
        assert status(status="failed", credits_charged=52).cost == Cost(52.0, 52.0)
        assert status(status="failed").cost is None


class TestRefusals:
    @pytest.mark.parametrize("role", OPERATIONS)
    @pytest.mark.parametrize(
        ("error", "kind", "code"),
        [
            ({"code": "UNAUTHORIZED", "message": "no"}, "authentication", "UNAUTHORIZED"),
            ({"code": "FORBIDDEN", "message": "no"}, "permission", "FORBIDDEN"),
            ({"code": "INSUFFICIENT_CREDITS", "message": "no"}, "payment", "INSUFFICIENT_CREDITS"),
            ({"code": "NOT_FOUND", "message": "no"}, "not found", "NOT_FOUND"),
            ({"code": "VALIDATION_ERROR", "message": "no"}, "invalid request", "VALIDATION_ERROR"),
            ({"code": "RATE_LIMIT_EXCEEDED", "message": "no"}, "rate limit", "RATE_LIMIT_EXCEEDED"),
            ({"code": "SOMETHING", "message": "no"}, "server", "SOMETHING"),
            ("no", "server", None),
        ],
    )
    def test_success_false_is_a_refusal(self, role: str, error: object, kind: str, code: str | None) -> None:
        """A 200 that says success: false is read as the refusal that it is, in both envelopes."""
        with pytest.raises(vidpoll.Refused) as caught:
            OPERATIONS[role].parse(answer({"success": False, "error": error}), I2V)
        assert (caught.value.kind, caught.value.message, caught.value.code) == (kind, "no", code)

    def test_a_jobs_own_word_beats_the_envelope(self) -> None:
        """success: false around a job's object is about the job: its word is a verdict, and its id is never lost."""
        body = {"success": False, "data": {"uuid": I2V, "status": "failed"}}
        assert OPERATIONS["status"].parse(answer(body), I2V).state is State.FAILED
        assert OPERATIONS["submit i2v"].parse(answer(body), "").job_id == I2V


class TestSubmitAnswers:
    @pytest.mark.parametrize("word", ["submitted", None, True, 7])
    def test_the_id_is_never_lost(self, word: object) -> None:
        """Once the answer names an id, nothing else in it can raise: the job is paid for."""
        body = {"success": True, "data": {"uuid": I2V, "status": word, "credits_charged": "many"}}
        assert OPERATIONS["submit t2v"].parse(answer(body, 202), "") == Submitted(I2V)

    @pytest.mark.parametrize("data", [{}, {"uuid": None}, {"uuid": ""}, {"uuid": True}, {"uuid": ".."}, [], None, "x"])
    def test_no_id_is_malformed(self, data: object) -> None:
        """An accepted submit without a usable id is no job."""
        with pytest.raises(vidpoll.Malformed):
            OPERATIONS["submit t2v"].parse(answer({"success": True, "data": data}, 202), "")


PIXELS = {
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(20),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(20),
}


class TestSubmitFields:
    @pytest.mark.parametrize(
        "fields",
        [
            {"prompt": "x" * 2000},
            {"prompt": "a", "num_frames": 17},
            {"prompt": "a", "num_frames": 161},
            {"prompt": "a", "guidance_scale": 1},
            {"prompt": "a", "guidance_scale": 10.0},
            {"prompt": "a", "seed": 0},
            {"prompt": "a", "seed": -1},
            {"prompt": "a", "num_frames": 81, "guidance_scale": 3.5, "seed": 42},
        ],
    )
    def test_what_is_documented_is_sent_as_it_is(self, fields: dict[str, object]) -> None:
        """Every value within the limits goes out unchanged, in both submits."""
        assert OPERATIONS["submit t2v"].request(fields).json == fields
        with_image = {"image": "https://a.example/b.png", **fields}
        assert OPERATIONS["submit i2v"].request(with_image).json == with_image

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({}, "needs 'prompt'"),
            ({"prompt": ""}, "needs 'prompt'"),
            ({"prompt": " \n"}, "needs 'prompt'"),
            ({"prompt": None}, "needs 'prompt'"),
            ({"prompt": 7}, "prompt=7: it must be text of at most 2000"),
            ({"prompt": "x" * 2001}, "it must be text of at most 2000 characters"),
            ({"prompt": "a", "num_frames": 80}, "num_frames=80: it must be an odd number from 17 to 161; 81"),
            ({"prompt": "a", "num_frames": 15}, "num_frames=15"),
            ({"prompt": "a", "num_frames": 163}, "num_frames=163"),
            ({"prompt": "a", "num_frames": 81.0}, "num_frames=81.0"),
            ({"prompt": "a", "num_frames": "81"}, "num_frames='81'"),
            ({"prompt": "a", "num_frames": True}, "num_frames=True"),
            ({"prompt": "a", "guidance_scale": 0.9}, "guidance_scale=0.9: it must be a number from 1.0 to 10.0"),
            ({"prompt": "a", "guidance_scale": 10.1}, "guidance_scale=10.1"),
            ({"prompt": "a", "guidance_scale": True}, "guidance_scale=True"),
            ({"prompt": "a", "guidance_scale": float("nan")}, "guidance_scale=nan"),
            ({"prompt": "a", "guidance_scale": "3.5"}, "guidance_scale='3.5'"),
            ({"prompt": "a", "seed": 1.5}, "seed=1.5: it must be a whole number"),
            ({"prompt": "a", "seed": False}, "seed=False"),
            ({"prompt": "a", "frames": 81}, "no field 'frames'; it takes prompt, num_frames, guidance_scale, seed"),
            ({"prompt": "a", "image": "https://a.example/b.png"}, "submit t2v takes no field 'image'"),
        ],
    )
    def test_what_is_not_documented_is_not_sent(self, fields: dict[str, object], text: str) -> None:
        """A field outside the limits is refused before anything is sent, with the field, the limit and the way out."""
        with pytest.raises(vidpoll.InvalidField) as caught:
            OPERATIONS["submit t2v"].request(fields)
        assert text in str(caught.value)

    def test_a_prompt_that_is_no_text_is_not_said_to_be_long(self) -> None:
        """Both things that can be wrong with a prompt get a message that is true of both."""
        for prompt in (7, "x" * 2001):
            with pytest.raises(vidpoll.InvalidField, match=r"it must be text of at most 2000 characters$"):
                OPERATIONS["submit t2v"].request({"prompt": prompt})

    def test_none_is_left_out(self) -> None:
        """A field that is None counts as not given."""
        fields = {"prompt": "a", "seed": None, "num_frames": None}
        assert OPERATIONS["submit t2v"].request(fields).json == {"prompt": "a"}

    def test_i2v_needs_no_prompt(self) -> None:
        """The image is what i2v needs; the same limits hold for the rest."""
        with pytest.raises(vidpoll.InvalidField, match="submit i2v needs 'image'"):
            OPERATIONS["submit i2v"].request({"prompt": "a"})
        with pytest.raises(vidpoll.InvalidField, match="at most 2000"):
            OPERATIONS["submit i2v"].request({"image": "https://a.example/b.png", "prompt": "x" * 2001})

    @pytest.mark.parametrize("kind", PIXELS)
    def test_an_image_may_be_bytes_a_file_or_base64(self, kind: str, tmp_path: Path) -> None:
        """JPEG, PNG and WebP are taken as bytes, as a path, and as base64 with or without a data URI's head."""
        packed = b64encode(PIXELS[kind]).decode()
        uri = f"data:image/{kind};base64,{packed}"
        path = tmp_path / "picture.bin"
        path.write_bytes(PIXELS[kind])
        sent = {PIXELS[kind]: uri, path: uri, packed: packed, uri: uri, f"{packed[:8]}\n{packed[8:]}\n": packed}
        for image, expected in sent.items():
            assert OPERATIONS["submit i2v"].request({"image": image}).json == {"image": expected}

    @pytest.mark.parametrize(
        "image",
        [
            "http://a.example/b.png",
            "https://",
            "https:///b.png",
            "ftp://a.example/b.png",
            "photo.jpg",
            "data:image/png;base64,",
            "data:image/png,abcd",
            "data:text/html;base64," + b64encode(PIXELS["png"]).decode(),
            b64encode(b"GIF89a" + bytes(20)).decode(),
            b64encode(PIXELS["png"]).decode()[:-1],
            b64encode(PIXELS["png"]).decode() + "!!",
            "é",
            b"GIF89a" + bytes(20),
            b"RIFF\x24\x00\x00\x00WAVE",
            Path("no such file.png"),
            Path(),
            7,
            True,
            ["https://a.example/b.png"],
        ],
    )
    def test_what_is_no_image_is_refused(self, image: object) -> None:
        """Anything that MagiCoal does not take is refused before 50 credits hang on it, naming what it takes."""
        with pytest.raises(vidpoll.InvalidField, match=r"image: .*give an https URL, base64, bytes, or a file"):
            OPERATIONS["submit i2v"].request({"image": image})

    @pytest.mark.parametrize(
        ("image", "why"),
        [
            ("http://a.example/b.png", "only https URLs are taken"),
            ("ftp://a.example/b.png", "only https URLs are taken"),
            ("https://", "only https URLs are taken"),
            ("<svg/>", "it is no JPEG, PNG or WebP"),
            ("photo.jpg", "it is no JPEG, PNG or WebP"),
            (b64encode(b"GIF89a" + bytes(20)).decode(), "it is no JPEG, PNG or WebP"),
            (b64encode(PIXELS["png"]).decode()[:-1], "it is no JPEG, PNG or WebP"),
            (b"GIF89a", "it is no JPEG, PNG or WebP"),
            (7, "it is no JPEG, PNG or WebP"),
        ],
    )
    def test_what_is_wrong_with_an_image_is_said_in_its_words(self, image: object, why: str) -> None:
        """No word about padding: a URL is told from a picture, and how a file is given is told for both ways."""
        with pytest.raises(vidpoll.InvalidField) as caught:
            OPERATIONS["submit i2v"].request({"image": image})
        assert str(caught.value).startswith(f"image: {why}; give an https URL")
        assert str(caught.value).endswith("pathlib.Path('a.jpg'), on the command line image=@a.jpg")

    def test_a_file_that_is_not_there_is_named(self) -> None:
        """What the disk says is passed on."""
        with pytest.raises(vidpoll.InvalidField, match=r"image: it cannot be read: .*no such file\.png"):
            OPERATIONS["submit i2v"].request({"image": Path("no such file.png")})

    @pytest.mark.parametrize("image", ["", b"", None])
    def test_an_empty_image_is_refused(self, image: object) -> None:
        """Empty is not an image."""
        with pytest.raises(vidpoll.InvalidField, match="image"):
            OPERATIONS["submit i2v"].request({"image": image})


class TestList:
    @pytest.mark.parametrize(
        ("fields", "token", "query"),
        [
            ({}, None, (("per_page", "100"), ("page", "1"))),
            ({"per_page": 2, "page": 5}, None, (("per_page", "2"), ("page", "5"))),
            ({"per_page": 2, "page": 5}, "6", (("per_page", "2"), ("page", "6"))),
            ({"per_page": None}, None, (("per_page", "100"), ("page", "1"))),
        ],
    )
    def test_pages_follow_one_another(
        self, fields: dict[str, object], token: str | None, query: tuple[tuple[str, str], ...]
    ) -> None:
        """A page's token is the number of the next page; the size of the pages stays as it was asked for."""
        assert OPERATIONS["list"].request(fields, token).query == query

    @pytest.mark.parametrize(
        "fields",
        [
            {"per_page": 0},
            {"per_page": 101},
            {"per_page": "5"},
            {"per_page": True},
            {"page": 0},
            {"page": 1.0},
            {"q": 1},
        ],
    )
    def test_wrong_list_fields_are_refused(self, fields: dict[str, object]) -> None:
        """1 to 100 rows a page, pages from 1, and nothing that is not documented."""
        with pytest.raises(vidpoll.InvalidField, match=next(iter(fields))):
            OPERATIONS["list"].request(fields, None)

    @pytest.mark.parametrize(
        ("meta", "token"),
        [
            ({"current_page": 1, "last_page": 3, "has_more": True}, "2"),
            ({"current_page": 1, "has_more": True}, "2"),
            ({"current_page": 1, "last_page": 3}, "2"),
            ({"current_page": 3, "last_page": 3}, None),
            ({"current_page": 1, "last_page": 3, "has_more": False}, None),
            ({"last_page": 3, "has_more": True}, None),
            ({"current_page": "1", "has_more": True}, None),
            ({"current_page": True, "has_more": True}, None),
            ({"current_page": 10**400, "has_more": True}, None),
            ({}, None),
            ([], None),
            (None, None),
            ("more", None),
        ],
    )
    def test_the_next_page_is_told_by_meta(self, meta: object, token: str | None) -> None:
        """has_more decides, last_page where it is missing; without a page number there is no next page."""
        body = {"success": True, "data": [{"uuid": I2V, "status": "completed"}], "meta": meta}
        assert OPERATIONS["list"].parse(answer(body), "").next == token

    def test_an_empty_page_is_the_last(self) -> None:
        """A page without rows ends the list, whatever it says of more."""
        body = {"success": True, "data": [], "meta": {"current_page": 1, "has_more": True}}
        assert OPERATIONS["list"].parse(answer(body), "") == Page(())

    def test_one_bad_row_does_not_cost_the_others(self) -> None:
        """Rows that cannot be read are left out."""
        rows = [7, {"uuid": T2V, "status": "archived"}, {"status": "completed"}, {"uuid": I2V, "status": "completed"}]
        page = OPERATIONS["list"].parse(answer({"data": rows}), "")
        assert page == Page((Snapshot(State.COMPLETED, "completed", job_id=I2V),))

    @pytest.mark.parametrize("data", [None, {}, "x", 7])
    def test_a_list_that_is_none_is_malformed(self, data: object) -> None:
        """An answer without rows is not an empty list."""
        with pytest.raises(vidpoll.Malformed):
            OPERATIONS["list"].parse(answer({"success": True, "data": data}), "")


class TestQuota:
    def test_what_can_be_paid(self) -> None:
        """50 credits for i2v and 52 for t2v, and the videos left unless the plan is unlimited."""
        rich, poor = (OPERATIONS["quota"].parse(sample(f"quota-{name}.json"), "") for name in ("unlimited", "free"))
        assert rich.affords(i2v=38)
        assert not rich.affords(i2v=39)
        assert rich.affords(i2v=34, t2v=4)
        assert not rich.affords(i2v=34, t2v=5)
        assert not poor.affords(i2v=1)
        assert poor.affords(i2v=0)


SCALARS: list[object] = [
    None, True, False, 0, 1, -1, 100, 1e308, 10**400, 10**4000, "", " ", "nobody sends this", "\ud800", "\x1b[31m\n",
    "9" * 70, [], [None], ["a"], {}, {"message": {}}, {"code": [], "message": True},
]  # fmt: skip


def paths(value: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of a body are, the body itself included."""
    yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from paths(child, (*at, key))


def replaced(body: object, at: tuple[Any, ...], value: object) -> object:
    if not at:
        return value
    body = copy.deepcopy(body)
    place: Any = body
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    return body


ANSWERS = {name: role for name, (role, _) in EXPECTED.items() if role != "error"}


class TestAnything:
    @pytest.mark.parametrize(("name", "role"), ANSWERS.items())
    def test_a_wrong_value_anywhere_raises_only_our_errors(self, name: str, role: str) -> None:
        """Whatever stands in any one field: a value or an error of vidpoll's, and no job changes its state by it."""
        original = sample(name)
        before = OPERATIONS[role].parse(original, I2V)
        for at in paths(json.loads(original.body)):
            for value in SCALARS:
                body = answer(replaced(json.loads(original.body), at, value), original.status)
                try:
                    after = OPERATIONS[role].parse(body, I2V)
                except (vidpoll.VidpollError, vidpoll.Refused):
                    continue
                if role == "status":
                    assert (after.state, at[-1:] == ("status",)) == (before.state, False)


@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=40) | st.sampled_from([b"", b"null", b"[]", b"NaN", b'{"data":' * 500, b"<html>"]))
def test_any_bytes_raise_only_our_errors(body: bytes) -> None:
    """A body that is not the documented JSON is an error of vidpoll's, for every operation."""
    for operation in OPERATIONS.values():
        with pytest.raises(vidpoll.VidpollError):
            operation.parse(Response(200, {}, body), I2V)


def test_the_simulators_face_is_named() -> None:
    """The simulator finds this provider's face by name; nothing is imported before it is asked for."""
    assert magicoal.vidpoll_simulators() == {"magicoal": "vidpoll_providers.simulators.magicoal:MagicoalFace"}
