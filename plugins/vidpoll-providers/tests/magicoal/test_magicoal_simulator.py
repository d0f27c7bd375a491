"""MagiCoal's face keeps to its pages: envelopes, stages, credits, limits, files."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from plain_http import Answer, call
from vidpoll_providers.simulators.magicoal import GENERATE, READ, MagicoalFace

from vidpoll.testing.simulator import Simulator

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()


@dataclass
class Api:
    simulator: Simulator
    key: str = "sim-magicoal-key"

    def __call__(self, method: str, path: str, body: object = None) -> Answer:
        url = self.simulator.base_urls["magicoal"] + path
        return call(method, url, body, {"Authorization": f"Bearer {self.key}"})

    def submit(self, kind: str = "t2v", **fields: object) -> str:
        needed = {"image": PNG} if kind == "i2v" else {"prompt": "a harbour"}
        return str(self("POST", f"/generate/{kind}", {**needed, **fields}).json["data"]["uuid"])

    def status(self, job_id: str) -> Any:
        return self("GET", f"/status/{job_id}").json["data"]


def served(face: MagicoalFace) -> Simulator:
    return Simulator({"magicoal": face}, seed=7)


@pytest.fixture
def api() -> Iterator[Api]:
    with served(MagicoalFace()) as simulator:
        yield Api(simulator)


@pytest.mark.parametrize(
    ("kind", "stages"),
    [
        ("t2v", ["queued", "generating_image", "uploading_image", "generating_video", "saving", "completed"]),
        ("i2v", ["queued", "generating_video", "saving", "completed"]),
    ],
)
@pytest.mark.parametrize("gap", [3.0, 5.0])
def test_every_stage_is_seen_at_the_floor_and_at_the_default_gap(
    api: Api, kind: str, stages: list[str], gap: float
) -> None:
    """A job takes 25 to 45 s; at 3 s and at 5 s between polls each stage is seen, its progress in its range."""
    ranges = {
        "queued": (0, 0),
        "generating_image": (5, 20),
        "uploading_image": (20, 25),
        "generating_video": (25, 90),
        "saving": (90, 100),
        "completed": (100, 100),
    }
    job_id, seen = api.submit(kind), []
    for _ in range(20):
        data = api.status(job_id)
        seen.append(data["stage"])
        low, high = ranges[data["stage"]]
        assert low <= data["progress"] <= high
        assert data["status"] == data["stage"]
        if data["done"]:
            break
        api.simulator.advance(gap)
    assert list(dict.fromkeys(seen)) == stages
    assert 25.0 <= api.simulator.now <= 48.0


def test_submit_answers_202_as_documented(api: Api) -> None:
    """The submit answer is 202 with uuid, type, queued and the price."""
    answer = api("POST", "/generate/i2v", {"image": f"data:image/png;base64,{PNG}"})
    data = answer.json["data"]
    assert (answer.status, answer.json["success"]) == (202, True)
    assert list(data) == ["uuid", "type", "status", "credits_charged"]
    assert (data["type"], data["status"], data["credits_charged"]) == ("i2v", "queued", 50.0)


def test_running_and_completed_bodies_have_the_documented_keys(api: Api) -> None:
    """URLs are null until done; a completed job adds duration and completion time; 81 frames are 5.0625 s."""
    job_id = api.submit()
    running = api.status(job_id)
    assert list(running) == [
        "uuid",
        "type",
        "status",
        "stage",
        "progress",
        "done",
        "video_url",
        "thumbnail_url",
        "credits_charged",
        "created_at",
    ]
    assert (running["video_url"], running["thumbnail_url"], running["done"]) == (None, None, False)
    api.simulator.advance(60.0)
    done = api.status(job_id)
    assert (done["uuid"], done["done"]) == (job_id, True)
    assert (done["duration_seconds"], done["credits_charged"]) == (5.0625, 52.0)
    assert done["created_at"] < done["completed_at"]
    assert done["created_at"].endswith("Z")


def test_files_are_served_without_a_key(api: Api) -> None:
    """The absolute URLs of a completed job give a video and a picture to anyone, in parts too, and to HEAD."""
    done = api.status(api.simulator.seed_job("magicoal", "t2v", age=100.0))
    movie, picture = call("GET", done["video_url"]), call("GET", done["thumbnail_url"])
    assert (movie.status, movie.headers["Content-Type"], movie.body[4:8]) == (200, "video/mp4", b"ftyp")
    assert (picture.status, picture.headers["Content-Type"], picture.body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    assert call("HEAD", done["video_url"]).headers["Content-Length"] == str(len(movie.body))
    assert call("GET", done["video_url"], headers={"Range": "bytes=4-7"}).body == b"ftyp"
    assert "X-RateLimit-Limit" not in movie.headers


def test_there_is_no_file_before_the_end(api: Api) -> None:
    """The file of a running, a failed or an unknown job is 404."""
    running = api.submit()
    failed = api.simulator.seed_job("magicoal", "t2v", age=100.0, failure="boom")
    origin = api.simulator.base_urls["magicoal"].removesuffix("/api/v1/magicoal")
    answers = [call("GET", f"{origin}/storage/videos/{job_id}.mp4").status for job_id in (running, failed, "nope")]
    assert answers == [404, 404, 404]


def test_a_failure_refunds_the_credits(api: Api) -> None:
    """Credits go with the submit and come back when the job fails, not before."""
    api.simulator.fail_next("magicoal", message="The worker ran out of memory.")
    job_id = api.submit()
    assert api("GET", "/quota").json["data"]["credit_balance"] == 948.0
    api.simulator.advance(60.0)
    data = api.status(job_id)
    assert (data["status"], data["done"], data["video_url"], data["credits_charged"]) == ("failed", True, None, 52.0)
    assert data["error"]["message"] == "The worker ran out of memory."
    assert 0 < data["progress"] < 100
    assert api("GET", "/quota").json["data"]["credit_balance"] == 1000.0


def test_402_when_the_credits_run_out_and_nothing_is_charged() -> None:
    """A job that the balance does not bear is 402, makes no job and costs nothing; a cheaper one still goes."""
    with served(MagicoalFace(credits=103.0)) as simulator:
        api = Api(simulator)
        api.submit("t2v")
        refused = api("POST", "/generate/t2v", {"prompt": "p"})
        assert (refused.status, refused.json["error"]["code"]) == (402, "INSUFFICIENT_CREDITS")
        assert api("POST", "/generate/i2v", {"image": PNG}).status == 202
        assert simulator.submissions("magicoal") == 2
        assert api("GET", "/quota").json["data"]["credit_balance"] == 1.0


def test_quota_of_the_free_plan() -> None:
    """The free plan counts the videos of the month down; the paid one is unlimited and has nulls."""
    with served(MagicoalFace(videos_limit=2)) as simulator:
        api = Api(simulator)
        for _ in range(2):
            simulator.seed_job("magicoal", "i2v", age=100.0)
        data = api("GET", "/quota").json["data"]
        assert (data["plan"], data["videos_limit"], data["videos_used"], data["videos_remaining"]) == ("free", 2, 2, 0)
        assert data["unlimited"] is False
        assert data["reset_at"].endswith("-01T00:00:00Z")
        assert api("POST", "/generate/t2v", {"prompt": "p"}).status == 402


def test_quota_of_the_paid_plan(api: Api) -> None:
    """On a paid plan the limit and what remains are null."""
    data = api("GET", "/quota").json["data"]
    assert list(data) == [
        "plan",
        "videos_limit",
        "videos_used",
        "videos_remaining",
        "reset_at",
        "credit_balance",
        "unlimited",
    ]
    assert (data["videos_limit"], data["videos_remaining"], data["unlimited"]) == (None, None, True)


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        ("t2v", {}, "prompt"),
        ("t2v", {"prompt": "x" * 2001}, "prompt"),
        ("t2v", {"prompt": 5}, "prompt"),
        ("t2v", {"prompt": "p", "num_frames": 82}, "num_frames"),
        ("t2v", {"prompt": "p", "num_frames": 15}, "num_frames"),
        ("t2v", {"prompt": "p", "num_frames": 163}, "num_frames"),
        ("t2v", {"prompt": "p", "num_frames": True}, "num_frames"),
        ("t2v", {"prompt": "p", "guidance_scale": 0.9}, "guidance_scale"),
        ("t2v", {"prompt": "p", "guidance_scale": 10.1}, "guidance_scale"),
        ("t2v", {"prompt": "p", "seed": "7"}, "seed"),
        ("i2v", {"prompt": "no image"}, "image"),
        ("i2v", {"image": "http://example.test/a.png"}, "image"),
        ("i2v", {"image": "not base64!"}, "image"),
        ("i2v", {"image": base64.b64encode(b"GIF89a").decode()}, "image"),
    ],
)
def test_documented_limits_are_checked(api: Api, kind: str, fields: dict[str, object], field: str) -> None:
    """A field outside its limits is 422 VALIDATION_ERROR, named in details; nothing is charged."""
    answer = api("POST", f"/generate/{kind}", fields)
    error = answer.json["error"]
    assert (answer.status, answer.json["success"], error["code"]) == (422, False, "VALIDATION_ERROR")
    assert list(error["details"]) == [field]
    assert all(isinstance(sentence, str) for sentence in error["details"][field])
    assert api.simulator.submissions("magicoal") == 0


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("t2v", {"prompt": "x" * 2000, "num_frames": 17, "guidance_scale": 1, "seed": 0}),
        ("t2v", {"prompt": "p", "num_frames": 161, "guidance_scale": 10.0, "seed": None}),
        ("i2v", {"image": "https://example.test/a.png"}),
        ("i2v", {"image": PNG, "prompt": ""}),
    ],
)
def test_fields_at_their_limits_pass(api: Api, kind: str, fields: dict[str, object]) -> None:
    """The bounds themselves are allowed, and so are both forms of an image."""
    assert api("POST", f"/generate/{kind}", fields).status == 202


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff"])
def test_a_body_that_is_no_object_is_400(api: Api, body: bytes) -> None:
    """Malformed JSON and JSON of another shape are refused in the same envelope."""
    answer = api("POST", "/generate/t2v", body)
    assert (answer.status, answer.json["error"]["code"]) == (400, "BAD_REQUEST")


def test_an_upload_beyond_the_bound_is_413() -> None:
    """A body that is too large is 413 in the envelope."""
    small = MagicoalFace()
    small.max_body = 100
    with served(small) as simulator:
        answer = Api(simulator)("POST", "/generate/i2v", {"image": PNG * 20})
    assert (answer.status, answer.json["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_videos_lists_completed_jobs_page_by_page(api: Api) -> None:
    """Only completed jobs, newest first, exact meta; the page after the last one is empty."""
    ids = [api.simulator.seed_job("magicoal", "t2v", age=200.0 - number) for number in range(5)]
    api.simulator.seed_job("magicoal", "t2v", age=100.0, failure="boom")
    api.submit()
    pages = [api("GET", f"/videos?per_page=2&page={page}").json for page in (1, 2, 3, 4)]
    assert [row["uuid"] for page in pages for row in page["data"]] == ids[::-1]
    assert pages[0]["meta"] == {"current_page": 1, "per_page": 2, "total": 5, "last_page": 3, "has_more": True}
    assert [page["meta"]["has_more"] for page in pages] == [True, True, False, False]
    assert list(pages[0]["data"][0]) == [
        "uuid",
        "type",
        "prompt",
        "status",
        "video_url",
        "thumbnail_url",
        "duration_seconds",
        "credits_charged",
        "created_at",
    ]


def test_videos_defaults_and_bounds(api: Api) -> None:
    """15 a page by default, 100 at most; an account without videos has one empty page."""
    assert api("GET", "/videos").json == {
        "success": True,
        "data": [],
        "meta": {"current_page": 1, "per_page": 15, "total": 0, "last_page": 1, "has_more": False},
    }
    assert api("GET", "/videos?per_page=100").status == 200
    assert [api("GET", f"/videos?{query}").status for query in ("per_page=101", "per_page=0", "page=x")] == [422] * 3


def test_keys_and_scopes() -> None:
    """A wrong key is 401; each scope opens its own half of the API, the other is 403."""
    with served(MagicoalFace(scopes=(READ,))) as simulator:
        assert Api(simulator, key="wrong")("GET", "/quota").json["error"]["code"] == "UNAUTHORIZED"
        assert Api(simulator)("GET", "/quota").status == 200
        assert Api(simulator)("POST", "/generate/t2v", {}).status == 403
    with served(MagicoalFace(scopes=(GENERATE,))) as simulator:
        answer = Api(simulator)("GET", "/quota")
        assert (answer.status, answer.json["error"]["message"]) == (403, "API key lacks scope magicoal:read.")


def test_unknown_jobs_and_routes(api: Api) -> None:
    """Unknown ids and paths are 404, another method 405, all in the envelope and all counted by the limit."""
    answers = [api("GET", "/status/nope"), api("GET", "/nope"), api("DELETE", "/quota")]
    assert [answer.status for answer in answers] == [404, 404, 405]
    assert all(answer.json["success"] is False and "X-RateLimit-Limit" in answer.headers for answer in answers)


def test_errors_can_be_flat() -> None:
    """Older services put a text where the others put code and message."""
    with served(MagicoalFace(flat_errors=True)) as simulator:
        assert Api(simulator)("GET", "/status/nope").json == {"success": False, "error": "Job not found."}


def test_a_job_asked_again_within_3_seconds_is_429(api: Api) -> None:
    """The documented floor of 3 s holds for each job by itself and says how long to wait."""
    first, second = api.submit(), api.submit()
    assert [api("GET", f"/status/{job_id}").status for job_id in (first, second)] == [200, 200]
    refused = api("GET", f"/status/{first}")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "3")
    assert refused.json["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    api.simulator.advance(3.0)
    assert api("GET", f"/status/{first}").status == 200


def test_the_rate_limit_counts_down_and_resets() -> None:
    """Every answer counts down; at 0 comes 429 with Retry-After and reset until the window is over."""
    with served(MagicoalFace(rate_limit=3, rate_window=60.0)) as simulator:
        api = Api(simulator)
        answers = [api("GET", "/quota") for _ in range(4)]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[3].headers["X-RateLimit-Limit"] == "3"
        assert 0 < int(answers[3].headers["Retry-After"]) <= 60
        assert int(answers[3].headers["X-RateLimit-Reset"]) > 1_700_000_000
        simulator.advance(60.0)
        assert api("GET", "/quota").headers["X-RateLimit-Remaining"] == "2"


def test_jobs_beyond_the_capacity_stay_queued() -> None:
    """A job that waits for a slot says queued."""
    with served(MagicoalFace(capacity=1)) as simulator:
        api = Api(simulator)
        first, second = api.submit("i2v"), api.submit("i2v")
        simulator.advance(20.0)
        assert [api.status(first)["status"], api.status(second)["status"]] == ["generating_video", "queued"]
