"""Token360 (token360.ai) for vidpoll: what to send, and how to read what comes back. Tables and pure functions only.

No network, no loop, no clock, and no import but vidpoll and the standard library; the simulator's face is next door.
Facts: https://www.token360.ai/en-US/docs (api-reference, models/webhook, models/native-params-passthrough). A comment
says what was decided where these pages are silent or disagree, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import parsing

STAGES = (
    vidpoll.Stage("queued", vidpoll.State.QUEUED),
    vidpoll.Stage("in_progress", vidpoll.State.RUNNING),
    vidpoll.Stage("completed", vidpoll.State.COMPLETED),
    vidpoll.Stage("failed", vidpoll.State.FAILED),
)

# What fields must be, and the test for it. The pages give the ends of the range of resolutions and the beginning of the
# list of ratios, so the shape of both is checked, and no list that may lack one. frame_images and input_references are
# named, not described; request_id is named by the webhook page only.
_TEXT = ("text, not empty", lambda v: isinstance(v, str) and v.strip())
_SECONDS = ("a whole number of seconds from 1", lambda v: type(v) is int and v >= 1)
_FLAG = ("True or False", lambda v: isinstance(v, bool))
_IMAGES = ("a list that is not empty", lambda v: isinstance(v, list) and v)
_VIDEO_ID = ("the id of a video", lambda v: isinstance(v, str) and v)

_SUBMIT: parsing.Rules = {
    "model": _TEXT,
    "prompt": _TEXT,
    "duration": _SECONDS,
    "resolution": ("a size like 720p or 4K", lambda v: _is(v, r"[1-9]\d{0,4}(p|K)")),
    "aspect_ratio": ("adaptive, or a ratio like 16:9", lambda v: _is(v, r"adaptive|[1-9]\d{0,3}:[1-9]\d{0,3}")),
    "generate_audio": _FLAG,
    "seed": ("a whole number; leave it out for a random one", lambda v: type(v) is int),
    "watermark": _FLAG,
    "return_last_frame": _FLAG,
    "execution_expires_after": _SECONDS,
    "safety_identifier": _TEXT,
    "callback_url": ("an https URL", lambda v: _is(v, r"(?i:https)://[^/\s]\S*")),
    "metadata": ("a dict of names and values", lambda v: isinstance(v, dict)),
    "frame_images": _IMAGES,
    "input_references": _IMAGES,
    "request_id": _TEXT,
    "native": ("True, and all other fields are the supplier's own; or left out", lambda v: v is False),
}
_LIST: parsing.Rules = {
    "limit": ("a whole number from 1 to 100", lambda v: type(v) is int and 1 <= v <= 100),
    "after": _VIDEO_ID,
    "before": _VIDEO_ID,
    "order": ("'asc' or 'desc', by created_at", lambda v: v in ("asc", "desc")),
}
_SIGNED = re.compile(r"[?&]X-Amz-Date=(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z&X-Amz-Expires=(\d{1,7})\b")


def _is(value: object, pattern: str) -> bool:
    """Whether a value is text, and all of it is as `pattern` says."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def submit_request(fields: Mapping[str, object]) -> vidpoll.Request:
    native = fields.get("native") is True
    given = dict(fields) if native else parsing.checked("submit video", fields, _SUBMIT)
    for name in ("model",) if native else ("model", "prompt"):
        if not given.get(name):
            raise vidpoll.InvalidField(f"submit video needs {name!r}, and it is missing or empty")
    given.pop("native", None)
    headers = {"Token360-Native-Params": "true"} if native else {}
    return vidpoll.Request("POST", "/videos", headers=headers, json=given)


def parse_submit(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
    task = parsing.json_object(response)
    return parsing.submitted(task.get("id"), lambda: _snapshot(task))


def status_request(job_id: str) -> vidpoll.Request:
    return vidpoll.Request("GET", f"/videos/{parsing.segment(job_id)}")


def parse_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | vidpoll.Follow[vidpoll.Snapshot]:
    """A polled task, or the body of a webhook. A completed one that names no video gets it from content."""
    task = parsing.json_object(response)
    # The webhook page says "envelope", not with which keys: what holds no status word of its own, but data, is one.
    if "status" not in task and isinstance(task.get("data"), dict):
        task = task["data"]
    said = _snapshot(task)
    if said.state is not vidpoll.State.COMPLETED or any(asset.kind == "video" for asset in said.assets):
        return said

    def parse(second: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return replace(said, assets=(parse_content(second, job_id), *said.assets))

    # Not ready (400), gone (404), or nothing that can be read: completed all the same, by the fallback.
    return vidpoll.Follow(content_request(job_id, "url"), parse, fallback=said)


def _snapshot(task: Mapping[str, Any]) -> vidpoll.Snapshot:
    """What a task object says. `url` and `video_url` name one video, so the first that is there counts."""
    state = parsing.lookup({stage.word: stage.state for stage in STAGES}, task.get("status"))
    completed = state is vidpoll.State.COMPLETED
    failed = state is vidpoll.State.FAILED
    video = (_assets(task.get("url")) + _assets(task.get("video_url")))[:1]
    last_frame = _assets(parsing.first_of(task, "content.last_frame_url"), "last_frame")
    reason = parsing.text(parsing.first_of(task, "error.message", "error"))
    code = parsing.text(parsing.first_of(task, "error.code"))
    return vidpoll.Snapshot(
        state,
        stage=parsing.text(task.get("status")),
        progress=parsing.progress(task.get("progress")),  # in the page's example, not in its table
        assets=video + last_frame if completed else (),
        problem=vidpoll.Problem(reason or "failed, and Token360 gave no reason", code) if failed else None,
        job_id=parsing.text(task.get("id")),
        created_at=parsing.timestamp(task.get("created_at")),
        updated_at=parsing.timestamp(task.get("updated_at")),
        duration=parsing.number(task.get("duration")),
        raw=task,
    )


def _assets(url: object, kind: str = "video") -> tuple[vidpoll.Asset, ...]:
    """The asset with its end of life, where the query of a presigned URL tells it (AWS Signature Version 4)."""
    told = _SIGNED.search(url) if isinstance(url, str) else None
    signed = parsing.timestamp("{}-{}-{}T{}:{}:{}Z".format(*told.groups())) if told else None
    return parsing.assets(url, kind, expires_at=signed + int(told[7]) if told and signed else None)


def list_request(fields: Mapping[str, object], next: str | None) -> vidpoll.Request:
    given = {"limit": 100, **parsing.checked("the list of videos", fields, _LIST)}
    if "after" in given and "before" in given:
        raise vidpoll.InvalidField("after and before lead in opposite directions: give one of them")
    if next:
        last, _, first = next.partition("\n")
        given.update({"before": first} if "before" in given else {"after": last})
    return vidpoll.Request("GET", "/videos", tuple((name, str(value)) for name, value in given.items()))


def parse_list(response: vidpoll.Response, job_id: str) -> vidpoll.Page:
    """One page. The answer does not say in which direction it was asked, so `next` names both of its ends."""
    body = parsing.json_object(response)
    items = parsing.rows(body.get("data"), _snapshot)
    ends = [parsing.text(body.get("last_id")) or "", parsing.text(body.get("first_id")) or ""]
    more = body.get("has_more") is True and all(end and end.isprintable() for end in ends)
    return vidpoll.Page(items, "\n".join(ends) if more else None)


def delete_request(job_id: str) -> vidpoll.Request:
    return vidpoll.Request("DELETE", f"/videos/{parsing.segment(job_id)}")


def parse_delete(response: vidpoll.Response, job_id: str) -> bool:
    if parsing.json_object(response).get("deleted") is not True:
        raise vidpoll.Malformed(f"the answer does not say that the video is deleted: {parsing.problem(response)}")
    return True


def content_request(job_id: str, format: str = "redirect") -> vidpoll.Request:
    """`redirect` leads to the video's bytes, `url` answers with JSON that names a signed URL."""
    return vidpoll.Request("GET", f"/videos/{parsing.segment(job_id)}/content", (("format", format),))


def binary(job_id: str) -> vidpoll.Asset:
    """The video through the API's own host, for whom no other is allowed: `client.open(job, asset=binary(job.id))`."""
    return vidpoll.Asset(f".{content_request(job_id).path}?format=binary")


def parse_content(response: vidpoll.Response, job_id: str) -> vidpoll.Asset:
    """The video's signed URL. Raises Malformed while it is not ready."""
    answer = parsing.json_object(response)
    if parsing.text(answer.get("video_id")) not in (None, job_id):
        raise vidpoll.ForeignAnswer("the answer is about another video than the one that was asked for")
    for asset in _assets(answer.get("url")):
        return asset
    raise vidpoll.Malformed(f"no video yet: {parsing.problem(response).message}")


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "token360",
        base_url="https://api.token360.ai/v1",
        auth=vidpoll.Bearer("TOKEN360_API_KEY"),
        pacing=vidpoll.Pacing(floor=5.0),  # no rate is documented
        status=vidpoll.Operation(status_request, parse_status),
        submit={"video": vidpoll.Operation(submit_request, parse_submit)},
        list=vidpoll.Operation(list_request, parse_list),
        list_polling=vidpoll.ListPollingSpec(rows=100, fields={"order": "desc"}),  # the newest first: they run
        delete=vidpoll.Operation(delete_request, parse_delete),
        content=vidpoll.Operation(content_request, parse_content, verdicts=(400,)),
        stages=STAGES,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"token360": "vidpoll_token360.simulator:Token360Face"}
