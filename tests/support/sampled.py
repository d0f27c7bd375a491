"""Two providers without a simulator of their own, and the samples that play them: ids with a kind, a second answer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import vidpoll
from vidpoll import State, parsing

Samples = list[tuple[str, object, dict[str, Any]]]

# -- reels: the kind stands before the id (Kling), auth is minted of two secrets, a refusal is a 200 -------------------

REEL_WORDS = {
    "submitted": State.QUEUED,
    "processing": State.RUNNING,
    "succeed": State.COMPLETED,
    "failed": State.FAILED,
    "stopped": State.CANCELLED,
}
REFUSALS = {1001: "auth", 1200: "not found"}
KINDS = ("text2video", "image2video")
REEL = "https://cdn.reels.example/831775/clip.mp4?sig=a%2Fb"


def sign(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
    mac = hmac.new(secrets["REELS_SECRET_KEY"].encode(), secrets["REELS_ACCESS_KEY"].encode(), hashlib.sha256)
    return {"Authorization": f"Bearer {mac.hexdigest()}"}


def reel_path(job_id: str) -> str:
    kind, _, number = job_id.partition("/")
    if kind not in KINDS or not number:
        raise vidpoll.BadReference(f"{job_id!r}: write KIND/ID; KIND is one of {', '.join(KINDS)}")
    return f"/v1/videos/{kind}/{parsing.segment(number)}"


def reel_data(response: vidpoll.Response) -> dict[str, Any]:
    body = parsing.json_object(response)
    if isinstance(body.get("code"), int) and body["code"] in REFUSALS and "data" not in body:
        raise vidpoll.Refused(REFUSALS[body["code"]], parsing.text(body.get("message")) or "refused")
    return parsing.json_object(response, "data")


def reel(data: Mapping[str, Any], kind: str) -> vidpoll.Snapshot:
    state = parsing.lookup(REEL_WORDS, data.get("task_status"))
    number = parsing.text(data.get("task_id"))
    reason = parsing.text(data.get("task_status_msg")) or "failed, and Reels gave no reason"
    return vidpoll.Snapshot(
        state,
        stage=parsing.text(data.get("task_status")),
        progress=parsing.progress(data.get("percent")),
        assets=parsing.assets(parsing.first_of(data, "task_result.url")) if state is State.COMPLETED else (),
        problem=vidpoll.Problem(reason) if state is State.FAILED else None,
        job_id=f"{kind}/{number}" if number else None,
    )


def reel_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    return reel(reel_data(response), job_id.partition("/")[0])


def reel_submitted(kind: str, response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
    data = reel_data(response)
    number = parsing.text(data.get("task_id"))
    return parsing.submitted(f"{kind}/{number}" if number else None, lambda: reel(data, kind))


def reel_request(kind: str, fields: Mapping[str, object]) -> vidpoll.Request:
    rules: parsing.Rules = {
        "prompt": ("text", lambda value: isinstance(value, str) and value),
        "image": ("a URL", lambda value: isinstance(value, str) and value),
    }
    given = parsing.checked(f"submit {kind}", fields, rules)
    if kind == "image2video" and "image" not in given:
        raise vidpoll.InvalidField("image is missing: give a URL")
    return vidpoll.Request("POST", f"/v1/videos/{kind}", json=given)


class Reels:
    """A plugin that brings one provider, and no face."""

    name = "reels"

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
        yield vidpoll.Provider(
            "reels",
            base_url="https://api.reels.example/open",
            auth=vidpoll.Minted(("REELS_ACCESS_KEY", "REELS_SECRET_KEY"), sign),
            pacing=vidpoll.Pacing(floor=5.0),
            status=vidpoll.Operation(lambda job_id: vidpoll.Request("GET", reel_path(job_id)), reel_status),
            submit={
                kind: vidpoll.Operation(partial(reel_request, kind), partial(reel_submitted, kind)) for kind in KINDS
            },
            cancel=vidpoll.Operation(
                lambda job_id: vidpoll.Request("POST", f"{reel_path(job_id)}/stop"),
                lambda response, job_id: parsing.json_object(response).clear(),
            ),
        )


def reel_body(word: str, percent: str | None = None, **more: Any) -> dict[str, Any]:
    data = {"task_id": 831775, "task_status": word, "percent": percent, **more}
    return {"code": 0, "message": "ok", "data": data}


def status(state: str, stage: str | None, progress: float | None = None, **expect: Any) -> dict[str, Any]:
    return {
        "operation": "status",
        "expect": {"state": state, "stage": stage, "progress": progress, "assets": [], **expect},
    }


REEL_SAMPLES: Samples = [
    (
        "taken-text.json",
        reel_body("submitted"),
        {"operation": "submit text2video", "expect": {"job_id": "text2video/831775"}, "fields": {"prompt": "a sea"}},
    ),
    (
        "taken-image.json",
        reel_body("submitted"),
        {
            "operation": "submit image2video",
            "expect": {"job_id": "image2video/831775"},
            "fields": {"image": "https://pictures.example/sea.png"},
        },
    ),
    ("submitted.json", reel_body("submitted"), status("queued", "submitted")),
    ("processing.json", reel_body("processing", "40%"), status("running", "processing", 40)),
    (
        "succeed.json",
        reel_body("succeed", "100%", task_result={"url": REEL}),
        status("completed", "succeed", 100, assets=[{"kind": "video", "url": REEL}]),
    ),
    (
        "failed.json",
        reel_body("failed", "40%", task_status_msg="The picture was refused."),
        status("failed", "failed", 40, problem="The picture was refused."),
    ),
    ("stopped.json", reel_body("stopped", "40%"), status("cancelled", "stopped", 40)),
    ("stop.json", {"code": 0, "message": "ok"}, {"operation": "cancel"}),
    (
        "no-key.json",
        {"code": 1001, "message": "who are you?"},
        {"operation": "status", "expect": {"raises": "Refused", "kind": "auth"}},
    ),
    (
        "no-task.json",
        {"code": 1200, "message": "no such task"},
        {"operation": "status", "expect": {"raises": "Refused", "kind": "not found"}},
    ),
]
REEL_HEAD = {"id": "text2video/831775", "words": {word: str(state) for word, state in REEL_WORDS.items()}}
REEL_SUBMITS = {"text2video": {"prompt": "a sea"}, "image2video": {"image": "https://pictures.example/sea.png"}}

# -- hailstone: the status names a file, a second answer its URL (MiniMax) ---------------------------------------------

HAIL_WORDS = {"Queueing": State.QUEUED, "Processing": State.RUNNING, "Success": State.COMPLETED, "Fail": State.FAILED}
HAIL = "https://cdn.hailstone.example/out/205258526306433.mp4"


def hail_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | vidpoll.Follow[vidpoll.Snapshot]:
    body = parsing.json_object(response)
    state = parsing.lookup(HAIL_WORDS, body.get("status"))
    problem = vidpoll.Problem(parsing.text(body.get("reason")) or "failed, and Hailstone gave no reason")
    said = vidpoll.Snapshot(
        state,
        stage=parsing.text(body.get("status")),
        problem=problem if state is State.FAILED else None,
        job_id=parsing.text(body.get("task_id")),
    )
    file = parsing.text(body.get("file_id"))
    if state is not State.COMPLETED or file is None:
        return said

    def parse(answer: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return replace(said, assets=parsing.assets(parsing.json_object(answer, "file").get("download_url")))

    return vidpoll.Follow(vidpoll.Request("GET", "/v1/files/retrieve", (("file_id", file),)), parse, fallback=said)


def hail_submitted(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
    return parsing.submitted(parsing.json_object(response).get("task_id"))


def hail_request(fields: Mapping[str, object]) -> vidpoll.Request:
    rules: parsing.Rules = {"prompt": ("text", lambda value: isinstance(value, str) and value)}
    return vidpoll.Request("POST", "/v1/video_generation", json=parsing.checked("submit video", fields, rules))


class Hailstone:
    """A plugin that brings one provider, and no face."""

    name = "hailstone"

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
        yield vidpoll.Provider(
            "hailstone",
            base_url="https://api.hailstone.example",
            auth=vidpoll.Bearer("HAILSTONE_API_KEY"),
            pacing=vidpoll.Pacing(floor=10.0),
            status=vidpoll.Operation(
                lambda job_id: vidpoll.Request("GET", "/v1/query/video_generation", (("task_id", job_id),)), hail_status
            ),
            submit={"video": vidpoll.Operation(hail_request, hail_submitted)},
        )


def hail_body(word: str, **more: Any) -> dict[str, Any]:
    return {"task_id": "176843862716480", "status": word, "file_id": "", **more}


HAIL_SAMPLES: Samples = [
    (
        "taken.json",
        {"task_id": "176843862716480"},
        {"operation": "submit video", "expect": {"job_id": "176843862716480"}},
    ),
    ("queueing.json", hail_body("Queueing"), status("queued", "Queueing")),
    ("processing.json", hail_body("Processing"), status("running", "Processing")),
    (
        "success.json",
        hail_body("Success", file_id="205258526306433"),
        {**status("completed", "Success", assets=[{"kind": "video", "url": HAIL}]), "then": ["file.json"]},
    ),
    (
        "file.json",
        {"file": {"file_id": 205258526306433, "bytes": 0, "download_url": HAIL}},
        {"operation": "follow"},
    ),
    ("fail.json", hail_body("Fail"), status("failed", "Fail")),
    (
        "no-key.json",
        {"error": {"message": "login fail", "code": "1004"}},
        {"operation": "error", "status": 401, "expect": {"message": "login fail", "code": "1004"}},
    ),
    (
        "no-task.json",
        {"error": {"message": "no such task", "code": "2013"}},
        {"operation": "error", "status": 404, "expect": {"message": "no such task", "code": "2013"}},
    ),
]
HAIL_HEAD = {"id": "176843862716480", "words": {word: str(state) for word, state in HAIL_WORDS.items()}}
