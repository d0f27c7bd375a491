"""Runway's API for vidpoll. Facts: https://docs.dev.runwayml.com (api, errors, errors/task-failures, usage/tiers,
assets/outputs); its OpenAPI document 2024-11-06; runwayml/sdk-python 5.24.0.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

_JWT = re.compile(r"[?&]_jwt=[\w-]{1,500}\.([\w-]{1,2000})\.")


def end_of(url: str | None) -> float | None:
    """The end of an output's URL, in Unix seconds: `exp` (RFC 7519) of the token in its query; None if it has none."""
    token = _JWT.search(url or "")
    try:
        told = json.loads(urlsafe_b64decode(f"{token[1]}{'=' * (-len(token[1]) % 4)}")) if token else None
    except ValueError:
        told = None
    return parsing.timestamp(told.get("exp")) if isinstance(told, dict) else None


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the files and the code. The output is a list of URLs; a workflow has one list and one code for each node."""
    found = parsing.media(data.get("output")) if said.state is State.COMPLETED else ()
    files = tuple(replace(each, expires_at=each.expires_at or end_of(each.url)) for each in found)
    nodes = data.get("nodeErrors")
    codes = (
        [parsing.text(parsing.at(node, "failureCode")) for node in nodes.values()] if isinstance(nodes, dict) else []
    )
    code = next(filter(None, codes), None)
    problem = said.problem if said.problem is None or said.problem.code else replace(said.problem, code=code)
    due = not files or any(each.kind == "video" for each in files)
    return replace(said, assets=files, assets_due=due, problem=problem)


TASK = declare.Reader(
    {
        "PENDING": State.QUEUED,
        "THROTTLED": State.QUEUED,  # over the organization's own concurrency: queued, not refused
        "RUNNING": State.RUNNING,
        "SUCCEEDED": State.COMPLETED,
        "FAILED": State.FAILED,
        "CANCELLED": State.CANCELLED,
    },
    files={},
    reason="failure",
    code="failureCode",
    full=1.0,
    created_at="createdAt",
    updated_at="",
    finished_at="",
    duration="",
    cost="cost.credits",
    problem=declare.problems(
        {
            "SAFETY.INPUT": "moderated_input",
            "SAFETY.OUTPUT": "moderated_output",
            "INPUT_PREPROCESSING.SAFETY": "moderated_input",
            "ASSET": "input",
            **dict.fromkeys(("INTERNAL", "INPUT_PREPROCESSING.INTERNAL", "THIRD_PARTY"), "internal"),
        },
        charged={"SAFETY.INPUT": True},
    ),
    refine=refine,
)
INVOCATION = replace(TASK, ids=declare.Ids("kind/id", ("workflow_invocations",)))
STATUS = declare.status("GET /v1/tasks/{id}", TASK)

# -- the fields of a submit -------------------------------------------------------------------------------------------

MOST = 5 * 1024 * 1024
"""The most characters that the data URI of a field may have."""
TYPES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".mp4": "video/mp4",
    ".mov": "video/quicktime", ".webm": "video/webm", ".mkv": "video/x-matroska", ".mp3": "audio/mp3",
    ".wav": "audio/wav",
}  # fmt: skip
WAYS = "an https or runway:// URL, a data URI (5 MB), or a file: pathlib.Path('a.png'), on the command line NAME=@a.png"


def media_sent(name: str, value: Any) -> Any:
    """A file as a data URI; any other value unchanged. Raises InvalidField."""
    if not isinstance(value, Path):
        return value
    try:
        data = b64encode(value.read_bytes()).decode("ascii")
    except OSError as error:
        raise vidpoll.InvalidField(f"{name} cannot be read: {error}") from None
    kind = TYPES.get(value.suffix.lower())
    if kind is None or len(data) > MOST:
        why = "is larger than 5 MB as a data URI" if kind else f"does not end in one of {', '.join(TYPES)}"
        raise vidpoll.InvalidField(f"{name}: {value.name} {why}: give {WAYS}")
    return f"data:{kind};base64,{data}"


def is_media(value: Any) -> bool:
    return isinstance(value, Path) or (
        isinstance(value, str) and re.match(r"(https|runway)://\S|data:", value) is not None
    )


MEDIA = declare.Rule(WAYS, is_media, media_sent)
IMAGES = declare.list(declare.object())
IMAGE = declare.Rule(
    f"{WAYS}; or a list of mappings with `uri` and `position` (first, last)",
    lambda value: is_media(value) or IMAGES.holds(value),
    media_sent,
)
TEXT, FLAG, OBJECT = declare.text(), declare.flag(), declare.object()
FIELDS = {
    "model": TEXT,
    "promptText": TEXT,
    "ratio": TEXT,
    "seed": declare.whole(),
    "audio": FLAG,
    "outputFormat": TEXT,
    "contentModeration": OBJECT,
}
VIDEO = {
    **FIELDS,
    "duration": declare.Rule("seconds, at least 1, or 'auto'", lambda v: v == "auto" or declare.number(1).holds(v)),
}
ACTING = {
    **FIELDS,
    "character": OBJECT,
    "reference": OBJECT,
    "bodyControl": FLAG,
    "expressionIntensity": declare.whole(1, 5),
}
RECIPE = {"recipe": TEXT, "version": TEXT, "ratio": TEXT, "audio": FLAG, "duration": declare.whole(1)}
FILE = {"model": TEXT, "videoUri": MEDIA}


def submit(
    kind: str,
    rules: Mapping[str, declare.Rule],
    *needed: str,
    path: str = "",
    reader: declare.Reader = TASK,
    price: vidpoll.PriceList | None = None,
) -> vidpoll.Operation[vidpoll.Submitted]:
    """Fields differ by model, and new models are frequent: fields in no table are sent unchanged."""
    return declare.submit(
        f"POST /v1/{path or kind}", reader, rules, needed, kind=kind, others=declare.anything(), price=price
    )


RATES = declare.prices(
    "credits",
    "2026-09",
    "https://docs.dev.runwayml.com/guides/pricing/",
    by=("model", "audio"),
    per_second={
        "gen4.5": 12,
        "gen4_turbo": 5,
        ("veo3.1", True): 40,
        ("veo3.1", False): 20,
        ("veo3.1_fast", True): 15,
        ("veo3.1_fast", False): 10,
    },
)
PRICES = replace(RATES, of=lambda fields: None if "outputFormat" in fields else RATES.of(fields))  # some cost more

SUBMIT = {
    "image_to_video": submit("image_to_video", {**VIDEO, "promptImage": IMAGE}, "model", "promptImage", price=PRICES),
    "text_to_video": submit("text_to_video", VIDEO, "model", price=PRICES),
    "video_to_video": submit("video_to_video", {**VIDEO, "videoUri": MEDIA, "promptVideo": MEDIA}, "model"),
    "character_performance": submit("character_performance", ACTING, "model", "character", "reference"),
    "avatar_videos": submit(
        "avatar_videos", {"model": TEXT, "avatar": OBJECT, "speech": OBJECT}, "model", "avatar", "speech"
    ),
    "video_upscale": submit("video_upscale", FILE, "model", "videoUri"),
    "video_to_hdr": submit("video_to_hdr", {**FILE, "outputFormat": TEXT}, "model", "videoUri"),
    "router": submit("router", {"configId": TEXT, "input": OBJECT}, "configId", "input", path="generate/video"),
    "recipe": submit("recipe", RECIPE, "recipe", "version", path="recipes/{recipe}"),
    "workflow": submit(
        "workflow_invocations",
        {"workflow": TEXT, "nodeOutputs": OBJECT},
        "workflow",
        path="workflows/{workflow}",
        reader=INVOCATION,
    ),
}

# -- cancel and delete ------------------------------------------------------------------------------------------------


def of_tasks(task: vidpoll.Operation[Any], verb: str) -> vidpoll.Operation[Any]:
    """An operation that only tasks have."""

    def refused(job_id: str) -> vidpoll.Request:
        raise vidpoll.Unsupported(f"runway: an invocation of a workflow cannot be {verb}: Runway has no request for it")

    return declare.by_kind({"workflow_invocations": replace(task, request=refused), "": task})


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal, with the fields that it names as wrong."""
    said = parsing.problem(response)
    try:
        body = response.json()
    except vidpoll.Malformed:
        return said
    issues = body.get("issues") if isinstance(body, dict) else None
    told = [_issue(each) for each in issues if isinstance(each, dict)] if isinstance(issues, list) else []
    return replace(said, message="; ".join(filter(None, (said.message, *told))))


def _issue(issue: Mapping[str, Any]) -> str:
    where = issue.get("path")
    path = ".".join(map(str, where)) if isinstance(where, list) else ""
    return ": ".join(filter(None, (path, parsing.text(issue.get("message")))))


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "runway",
        base_url="https://api.dev.runwayml.com",
        auth=vidpoll.Bearer("RUNWAYML_API_SECRET"),
        pacing=vidpoll.Pacing(floor=5.0, typical=(20.0, 180.0)),
        slots=vidpoll.Slots("queues", by="model"),  # THROTTLED
        headers={"X-Runway-Version": "2024-11-06"},
        status=declare.by_kind({"workflow_invocations": declare.status("GET /v1/{kind}/{id}", INVOCATION), "": STATUS}),
        submit=SUBMIT,
        quota=declare.quota("GET /v1/organization", balance="creditBalance"),
        cancel=of_tasks(declare.cancel("DELETE /v1/tasks/{id}", TASK, first=STATUS, ends=True), "cancelled"),
        delete=of_tasks(declare.delete("DELETE /v1/tasks/{id}", TASK), "deleted"),
        error=declare.refusals(
            {"no_eligible_model": "input"},
            texts={r"\bcredits\b": "money"},  # HTTP 400; there is no 402
            statuses={429: "quota"},  # of a rolling day
            read=read_error,
        ),
        stages=TASK.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"runway": "vidpoll_providers:samples/runway/index.json"}
