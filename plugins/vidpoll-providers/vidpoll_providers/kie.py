"""kie.ai for vidpoll: the jobs of its market, and its separate APIs of Veo, Runway, Aleph and Luma.

Facts: https://docs.kie.ai (market/quickstart, market/common/get-task-detail, veo3-api, runway-api, luma-api,
common-api/get-account-credits, common-api/webhook-verification). No live call was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import Asset, Stage, State, declare, parsing

CODES = {
    "401": "auth",
    "402": "money",
    "404": "not found",
    "429": "rate",
    "455": "internal",  # maintenance
    "500": "internal",
    "501": "internal",  # "generation failed", without a status word of a job
    "505": "permission",  # the feature is switched off
}
SUBMIT_GATE = declare.Envelope("data", code="code", ok=(200,), message="msg", kinds={**CODES, "422": "input"})
# For a status request 422 is "recordInfo is null": only the id can be wrong.
STATUS_GATE = replace(SUBMIT_GATE, kinds={**CODES, "422": "not found"})
FLAGGED_TEXT = {"flagged|content polic": "moderated_input", "": "input"}
FAILED = declare.problems({"400": FLAGGED_TEXT, "422": FLAGGED_TEXT, "500": "internal", "501": "internal"})
GONE = vidpoll.Problem("the video is no longer available: it was kept for 14 days")


def opened(value: object) -> Any:
    """The value of a JSON text, or `value` itself if it is not text; None for text that is not JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the files of a market job, which may make images, sound or text. They are in a JSON text inside the JSON."""
    if said.state is not State.COMPLETED:
        return said
    result = opened(data.get("resultJson"))
    files = parsing.media(parsing.at(result, "resultUrls"))
    frames: tuple[Asset, ...] = ()
    for kind, name in (("first_frame", "firstFrameUrl"), ("last_frame", "lastFrameUrl")):
        frames += tuple(replace(each, kind=kind) for each in parsing.media(parsing.at(result, name)))
    told = bool(files) or parsing.at(result, "resultObject") is not None
    return replace(said, assets=files + frames, assets_due=not told or any(each.kind == "video" for each in files))


MARKET = declare.Reader(
    {
        "waiting": State.QUEUED,
        "queuing": State.QUEUED,
        "generating": State.RUNNING,
        "processing": State.RUNNING,
        "success": State.COMPLETED,
        "fail": State.FAILED,
    },
    status="state",
    id="taskId",
    files={},
    reason="failMsg",
    code="failCode",
    created_at="createTime",
    updated_at="updateTime",
    finished_at="completeTime",
    duration="",
    cost="creditsConsumed",
    envelope=STATUS_GATE,
    problem=FAILED,
    refine=refine,
)
# Veo, Aleph and Luma's "modify": numbers instead of words, and results that are not a JSON text.
FLAGGED = declare.Reader(
    {
        0: Stage("generating", State.RUNNING),
        1: Stage("success", State.COMPLETED),
        2: Stage("create_task_failed", State.FAILED),
        3: Stage("generate_failed", State.FAILED),
        4: Stage("callback_failed", State.COMPLETED),  # the video exists
    },
    status="successFlag",
    id="taskId",
    files={"video": ("response.resultUrls", "response.resultVideoUrl"), "thumbnail": "response.resultImageUrl"},
    reason="errorMessage",
    code="errorCode",
    progress="",
    created_at="createTime",
    updated_at="",
    finished_at="completeTime",
    duration="",
    cost="creditsConsumed",
    envelope=STATUS_GATE,
    problem=FAILED,
    ids=declare.Ids("kind/id", ("veo", "aleph", "modify")),
)


def outlived(state: State | None, data: Mapping[str, Any]) -> State | None:
    """Runway's video is gone after 14 days: a flag reports it, and the status word stays the same."""
    return State.EXPIRED if state is State.COMPLETED and parsing.text(data.get("expireFlag")) == "1" else None


def explain(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    return replace(said, problem=GONE) if said.state is State.EXPIRED else said


RUNWAY = replace(
    MARKET,
    words={
        "wait": State.QUEUED,
        "queueing": State.QUEUED,
        "generating": State.RUNNING,
        "success": State.COMPLETED,
        "fail": State.FAILED,
    },
    files={"video": "videoInfo.videoUrl", "thumbnail": "videoInfo.imageUrl"},
    progress="",
    created_at="",
    updated_at="",
    finished_at="",
    ids=declare.Ids("kind/id", ("runway",)),
    decide=outlived,
    refine=explain,
)
URL = declare.matching("an http or https URL", r"(?i:https?)://[^/\s]\S*")
CALLBACK = {"callBackUrl": URL}
PROMPT = {"prompt": declare.text(), **CALLBACK}
MODEL = {"model": declare.text(), "input": declare.object(), **CALLBACK}
RATIO = declare.text()
VEO = {
    **PROMPT,
    "model": declare.text(),
    "imageUrls": declare.list(URL),
    "aspect_ratio": RATIO,
    "generationType": declare.text(),
}
RUNWAY_FIELDS = {
    **PROMPT,
    "duration": declare.whole(1, note="seconds"),
    "quality": declare.matching("a quality like 720p", r"\d{3,4}p"),
    "aspectRatio": RATIO,
    "imageUrl": URL,
    "waterMark": declare.text(empty=True),
}
EXTEND = {"taskId": declare.text(), **RUNWAY_FIELDS}
CHANGED = {"videoUrl": URL, **PROMPT}


def market_body(given: dict[str, Any]) -> dict[str, Any]:
    """Put the fields of the model into `input`."""
    outer = {name: given.pop(name) for name in ("model", *CALLBACK) if name in given}
    return {**outer, "input": {**given.pop("input", {}), **given}}


def start(
    line: str, reader: declare.Reader, fields: Mapping[str, declare.Rule], *needed: str, **more: Any
) -> vidpoll.Operation[vidpoll.Submitted]:
    """Models add fields, so unknown fields are sent unchanged; 422 for a submit means bad input."""
    asked = replace(reader, envelope=SUBMIT_GATE)
    return declare.submit(f"POST /api/v1/{line}", asked, fields, needed, others=declare.anything(), **more)


TASKS = ("data.taskId", "data.task_id")
CHECKS = [
    declare.hmac_sha256(
        f"{{body:{where}}}.{{x-webhook-timestamp}}",
        signature="x-webhook-signature",
        timestamp="x-webhook-timestamp",
        encoding="base64",
    )
    for where in TASKS
]


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
    """The market writes `taskId`, other APIs `task_id`; only that id and the time are signed."""
    said = [check(headers, body, secret, now) for check in CHECKS]
    return "" if "" in said else said[-1] if "is missing" in said[0] else said[0]


def pushed(body: dict[str, Any]) -> Mapping[str, Any]:
    """Pushes of the separate APIs have flat keys and no status word: the code gives the outcome."""
    data = body.get("data")
    if not isinstance(data, dict) or "state" in data or "successFlag" in data:
        return body
    good, reason = body.get("code") == 200, parsing.text(body.get("msg"))
    info = data.get("info") if isinstance(data.get("info"), dict) else data
    urls = opened(parsing.at(info, "resultUrls")) or data.get("video_url") or data.get("result_video_url")
    image = data.get("image_url") or data.get("result_image_url")
    said = {
        "taskId": data.get("taskId") or data.get("task_id"),
        "state": "success" if good else "fail",
        "successFlag": 1 if good else 3,
        "failMsg": reason,
        "errorMessage": reason,
        "videoInfo": {"videoUrl": urls, "imageUrl": image},
        "response": {"resultUrls": urls, "resultImageUrl": image},
    }
    return {**body, "data": {**data, **said}}


def bare(job_id: str) -> vidpoll.Request:
    """The status request of a market job. Raises BadReference for an id with an API before it that is unknown."""
    if "/" in job_id:
        apis = "veo, aleph, modify or runway"
        raise vidpoll.BadReference(
            f"the id of a job must be ID (of the market) or API/ID, where API is {apis}, got {job_id[:80]!r}"
        )
    return MARKET_STATUS.request(job_id)


MARKET_STATUS = declare.status("GET /api/v1/jobs/recordInfo?taskId={id}", MARKET)
FLAGGED_STATUS = declare.status("GET /api/v1/{kind}/record-info?taskId={id}", FLAGGED)
RUNWAY_STATUS = declare.status("GET /api/v1/{kind}/record-detail?taskId={id}", RUNWAY)


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "kie",
        base_url="https://api.kie.ai",
        auth=vidpoll.AnyOf(vidpoll.Bearer("KIE_API_KEY"), vidpoll.Bearer("KIE_AI_API_KEY")),
        pacing=vidpoll.Pacing(floor=3.0, rate=(10, 1.0)),
        status=declare.by_kind(
            {
                **dict.fromkeys(FLAGGED.ids.kinds, FLAGGED_STATUS),
                "runway": RUNWAY_STATUS,
                "": replace(MARKET_STATUS, request=bare),
            }
        ),
        submit={
            "market": start("jobs/createTask", MARKET, MODEL, "model", convert=market_body),
            "veo": start("{kind}/generate", FLAGGED, VEO, "prompt", kind="veo"),
            "runway": start("{kind}/generate", RUNWAY, RUNWAY_FIELDS, "prompt", kind="runway"),
            "runway-extend": start("{kind}/extend", RUNWAY, EXTEND, "taskId", "prompt", kind="runway"),
            "aleph": start("{kind}/generate", FLAGGED, CHANGED, "prompt", "videoUrl", kind="aleph"),
            "modify": start("{kind}/generate", FLAGGED, CHANGED, "prompt", "videoUrl", kind="modify"),
        },
        quota=declare.quota("GET /api/v1/chat/credit", replace(SUBMIT_GATE, under=""), balance="data"),
        error=declare.refusals(CODES, texts={"recordInfo is null": "not found"}),
        stages=tuple({stage.word: stage for reader in (MARKET, RUNWAY, FLAGGED) for stage in reader.stages}.values()),
        webhook=declare.Webhook(verify, pushed),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"kie": "vidpoll_providers:samples/kie/index.json"}
