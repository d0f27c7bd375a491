"""Comfy Cloud, by the Comfy API v2, which comfy-api-proxy and Comfy's deployments also speak.

Facts: https://docs.comfy.org/api-reference/v2, comfy-sdk 0.5.0 (its bindings of /api/v2) and comfy-api-proxy 0.1.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll import Asset, Request, Response, Snapshot, State, declare, parsing

from .comfyui import FIELDS as LOCAL
from .comfyui import WORKFLOW, kind_of, only, taken, told_of

WORDS = {
    "queued": State.QUEUED,
    "running": State.RUNNING,
    "canceling": State.RUNNING,  # a request, not an end: the next response may say running, or succeeded
    "succeeded": State.COMPLETED,
    "canceled": State.CANCELLED,
    "failed": State.FAILED,
    "expired": State.EXPIRED,
}


def refine(said: Snapshot, data: Mapping[str, Any], job_id: str) -> Snapshot:
    """Add the files, and the node that failed. `expires_at` ends the record, `url_expires_at` a URL."""
    files = assets(data.get("outputs")) if said.state is State.COMPLETED else ()
    node = {name: parsing.text(parsing.at(data, f"error.{name}")) for name in ("node_id", "class_type")}
    if said.problem is not None and node["node_id"]:
        where = f"{node['class_type'] or 'node'} (node {node['node_id']})"
        said = replace(said, problem=vidpoll.Problem(f"{where}: {said.problem.message}", said.problem.code, node))
    due = any(each.kind == "video" for each in files) or said.state is not State.COMPLETED
    return replace(said, assets=files, assets_due=due)


def assets(outputs: object) -> tuple[Asset, ...]:
    """Videos first. The kind follows the content type, then the name: the proxy calls an mp4 an image of size 0."""
    found: list[Asset] = []
    for output in only(outputs, dict):
        ends = parsing.timestamp(output.get("url_expires_at"))
        found += parsing.assets(output.get("url"), kind_of_output(output), expires_at=ends)
    return tuple(sorted(found, key=lambda each: each.kind != "video"))


def kind_of_output(output: Mapping[str, Any]) -> str:
    kind, _, form = (parsing.text(output.get("content_type")) or "").partition("/")
    if kind in ("video", "audio") or form == "gif":
        return "audio" if kind == "audio" else "video"
    by_name = kind_of(parsing.text(output.get("name")) or "")
    return kind if by_name == "file" and kind == "image" else by_name


JOB = declare.Reader(
    WORDS,
    files={},
    reason="error.message",
    progress="progress.value",
    full=1.0,
    updated_at="",
    duration="",
    queue_position="queue_position",
    refine=refine,
)
ROW = replace(JOB, refine=None)
REFUSED = {
    **dict.fromkeys(("invalid_workflow", "workflow_format_ui", "missing_asset", "invalid_request"), "input"),
    "queue_full": "capacity",
    "insufficient_credits": "money",
}
RULES = {
    "workflow": WORKFLOW,
    "extra_data": LOCAL["extra_data"],
    "metadata": declare.object(),
    "idempotency_key": declare.text(),
}
SEND = declare.submit(
    "POST /api/v2/jobs",
    JOB,
    {**RULES, "workflow": declare.object()},
    ("workflow",),
    kind="workflow",
    headers={"Idempotency-Key": "{idempotency_key}"},
    key="idempotency_key",
)


def submit_request(fields: Mapping[str, Any]) -> Request:
    return SEND.request(taken("submit workflow", fields, RULES))


def upload_request(path: Path) -> Request:
    """Upload a file as an asset, with its name and content type as further fields of the form."""
    kind = TYPES.get(path.suffix.lower())
    if kind is None:
        raise vidpoll.InvalidField(f"{path.name}: the file name must end in {', '.join(TYPES)}")
    sent, body = declare.form({"content_type": kind, "file_path": path.name, "file": path})
    return Request("POST", "/api/v2/assets", headers={"Content-Type": sent}, body=body)


def parse_uploaded(response: Response, about: str) -> dict[str, Any]:
    """The object that takes the place of a file name in a workflow."""
    told = parsing.text(parsing.json_object(response).get("id"))
    if told is None:
        raise vidpoll.Malformed(f"the response does not name the file: {parsing.problem(response)}")
    return {"__type": "core/ASSET", "info": {"id": told}}


TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
}


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "comfycloud",
        base_url="https://cloud.comfy.org",
        auth=vidpoll.Bearer("COMFY_API_KEY"),
        pacing=vidpoll.Pacing(floor=2.0),  # none is documented; the vendor's SDK polls every 0.5 to 5 s
        status=declare.status("GET /api/v2/jobs/{id}", JOB),
        submit={"workflow": replace(SEND, request=submit_request, fields=told_of(RULES))},
        list=declare.cursor_pages("GET /api/v2/jobs", ROW, rows="jobs", token="cursor", next="next_cursor"),
        cancel=vidpoll.Operation(declare.request("POST /api/v2/jobs/{id}/cancel"), JOB.parse),
        upload={"file": vidpoll.Operation(upload_request, parse_uploaded)},
        stages=JOB.stages,
        error=declare.refusals(REFUSED),
        drops=("extra_data", "api_key_*", "auth_token_*"),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"comfycloud": "vidpoll_providers:samples/comfycloud/index.json"}
