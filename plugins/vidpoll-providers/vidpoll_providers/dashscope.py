"""Alibaba DashScope (Model Studio) for vidpoll: Wan, and the video models of other makers that it hosts.

Facts: alibabacloud.com/help/en/model-studio (manage-asynchronous-tasks, text-to-video-api-reference, error-code), the
vendor's SDK, dashscope 2.0.2, and responses recorded in cnblogs/dashscope-sdk@7afccbd1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

KINDS: dict[str, str | dict[str, str]] = {
    "Arrearage": "money",
    "AllocationQuota.FreeTierOnly": "money",
    "UnsupportedOperation": "conflict",  # a cancel of a running or finished task: HTTP 400
    **dict.fromkeys(("InvalidParameter", "InvalidURL"), "input"),
    "DataInspectionFailed": {"output": "moderated_output", "": "moderated_input"},
    **dict.fromkeys(("AccessDenied", "Model.AccessDenied"), "permission"),
    "Throttling": "rate",
    "InternalError": "internal",
}
JOB = declare.Reader(
    {
        "PENDING": State.QUEUED,
        "SUSPENDED": State.QUEUED,  # in the SDK only
        "RUNNING": State.RUNNING,
        "SUCCEEDED": State.COMPLETED,
        "FAILED": State.FAILED,
        "CANCELED": State.CANCELLED,
    },
    status="output.task_status",
    id="output.task_id",
    files={"video": ("output.video_url", "output.results.video_url")},
    reason=("output.message", "message"),
    code=("output.code", "code"),
    progress="",
    created_at="",  # the times of this response have no zone
    updated_at="",
    finished_at="",
    duration=("usage.output_video_duration", "usage.video_duration", "usage.duration"),
    cost=("usage.duration", "usage.video_duration"),
    unit="seconds",
    problem=declare.problems(KINDS),
)


def parse_status(response: vidpoll.Response, job_id: str) -> Any:
    """UNKNOWN is not a state of a task: no task has that id, whatever the HTTP status."""
    word = parsing.at(parsing.json_object(response), "output.task_status")
    if isinstance(word, str) and word.strip().upper() == "UNKNOWN":
        raise vidpoll.Refused(
            "not found", "no task of this account has that id, or the task ended more than 24 hours ago", "UNKNOWN"
        )
    return JOB.parse(response, job_id)


def films(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """The list has the account's tasks of all types; rows that are not videos lose their id, and are left out."""
    made_by = data.get("user_api_unique_key")
    film = not isinstance(made_by, str) or "video-synthesis" in made_by
    return said if film else replace(said, job_id=None)


ROW = replace(
    JOB, status="status", id="task_id", files={}, created_at="gmt_create", finished_at="end_time", refine=films
)
INPUT = {
    "prompt": declare.text(),
    "negative_prompt": declare.text(),
    "img_url": declare.image(),
    "first_frame_url": declare.image(),
    "last_frame_url": declare.image(),
    "audio_url": declare.text(),
    "reference_url": declare.text(),
    "reference_urls": declare.list(declare.text()),
    "reference_video_urls": declare.list(declare.text()),
    "media": declare.list(declare.object()),
    "template": declare.text(),
}
PARAMETERS = {
    "size": declare.matching("a size like 1280*720", r"[1-9]\d{1,4}\*[1-9]\d{1,4}"),
    "resolution": declare.matching("a resolution like 720P", r"(?i:[1-9]\d{0,4}[PK])"),
    "ratio": declare.matching("a ratio like 16:9", r"[1-9]\d?:[1-9]\d?"),
    "duration": declare.whole(1, note="seconds"),
    "prompt_extend": declare.flag(),
    "watermark": declare.flag(),
    "seed": declare.whole(),
    "shot_type": declare.text(),
    "audio_setting": declare.text(),
    "enable_thinking": declare.flag(),
}
FIELDS = {
    "model": declare.text(),
    **INPUT,
    **PARAMETERS,
    "input": declare.Rule("a mapping of further fields of the input, unchecked", lambda v: isinstance(v, dict)),
    "parameters": declare.Rule("a mapping of further parameters, unchecked", lambda v: isinstance(v, dict)),
}


def nested(given: dict[str, Any]) -> dict[str, Any]:
    """Each field in its part of the body; `parameters` only if there are any."""
    parts = {
        part: {**{name: given[name] for name in names if name in given}, **given.get(part, {})}
        for part, names in (("input", INPUT), ("parameters", PARAMETERS))
    }
    return {"model": given["model"], **{part: fields for part, fields in parts.items() if fields}}


def submit(task: str) -> vidpoll.Operation[vidpoll.Submitted]:
    return declare.submit(
        f"POST /services/aigc/{task}/video-synthesis",
        JOB,
        FIELDS,
        ("model", ("prompt", "img_url", "first_frame_url", "media", "input")),
        kind="video" if task == "video-generation" else task,
        convert=nested,
        headers={"X-DashScope-Async": "enable"},
    )


MOMENT = declare.matching("a time like 20260402235959", r"\d{14}")
LIST = declare.numbered_pages(
    "GET /tasks",
    ROW,
    page="page_no",
    size="page_size",
    current="page_no",
    last="total_page",
    fields={
        "start_time": MOMENT,
        "end_time": MOMENT,
        "model_name": declare.text(),
        "status": declare.one_of("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"),
        "region": declare.text(),
        "api_key_id": declare.text(),
    },
)
REGION = "key, model and host must be of one region: set DASHSCOPE_BASE_URL to the URL of the key's region"


def list_request(fields: Mapping[str, Any], next: str | None) -> vidpoll.Request:
    """Ten rows a page, the vendor's default: it documents no maximum."""
    return LIST.request({"page_size": 10, **fields}, next)


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    said = parsing.problem(response)
    return replace(said, message=f"{said.message} ({REGION})") if said.code == "InvalidApiKey" else said


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "dashscope",
        base_url="https://dashscope.aliyuncs.com/api/v1",
        auth=vidpoll.Bearer("DASHSCOPE_API_KEY"),
        pacing=vidpoll.Pacing(floor=15.0, typical=(60.0, 480.0), rate=(20, 1.0)),
        status=replace(declare.status("GET /tasks/{id}", JOB), parse=parse_status),
        submit={"video": submit("video-generation"), "image2video": submit("image2video")},
        list=replace(LIST, request=list_request),
        cancel=declare.cancel("POST /tasks/{id}/cancel", JOB),
        error=declare.refusals(KINDS, read=read_error),
        drops=("caller_uid", "caller_parent_id", "api_key_id"),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"dashscope": "vidpoll_providers:samples/dashscope/index.json"}
