"""Luma's Agents API (Ray 3.2) for vidpoll. Facts: https://docs.agents.lumalabs.ai (api, guides/error-handling,
guides/rate-limits); luma-agents 0.5.0. Dream Machine, with a key of its own, is the module dreammachine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

OTHER = "if the job is at Luma's Dream Machine, use dreammachine:ID with LUMAAI_API_KEY"


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal; an unknown key or job may belong to Luma's other API."""
    said = parsing.problem(response)
    return replace(said, message=f"{said.message} ({OTHER})") if response.status in (401, 404) else said


def files(output: Any) -> tuple[vidpoll.Asset, ...]:
    """The output files. A file's kind is its type if that is video or image, else it follows its URL's extension."""
    found: list[vidpoll.Asset] = []
    for item in output if isinstance(output, list) else []:
        told = parsing.at(item, "type")
        media = parsing.media(parsing.at(item, "url"))
        found += [replace(each, kind=told) for each in media] if told in ("video", "image") else media
    return tuple(found)


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the output, only for a completed job; an image job has no video."""
    found = files(data.get("output")) if said.state is State.COMPLETED else ()
    return replace(said, assets=found, assets_due=not found or any(each.kind == "video" for each in found))


JOB = declare.Reader(
    {"queued": State.QUEUED, "processing": State.RUNNING, "completed": State.COMPLETED, "failed": State.FAILED},
    status="state",
    files={},
    reason="failure_reason",
    code="failure_code",
    progress="",
    updated_at="",
    finished_at="",
    duration="",
    problem=declare.problems(
        {
            "content_moderated": "moderated_output",  # the word does not say whether of the input or the output
            "budget_exhausted": "money",
            "rate_limited": "rate",
            **dict.fromkeys(("generation_failed", "output_not_found"), "internal"),
            **dict.fromkeys(("image_too_large", "unsupported_format", "corrupt_input", "invalid_request"), "input"),
        }
    ),
    refine=refine,
)
MEDIA = declare.Rule(
    "a mapping with one of url, data (base64), generation_id and file_id; for a file, `vidpoll upload luma FILE` or "
    "client.upload returns it",
    lambda value: isinstance(value, dict),
)
FIELDS = {
    "prompt": declare.text(),
    "model": declare.text(),
    "aspect_ratio": declare.text(),
    "video": declare.object(),
    "source": MEDIA,
    "image_ref": declare.list(MEDIA),
    "user_id": declare.text(),
}


def submit(kind: str, *needed: str) -> vidpoll.Operation[vidpoll.Submitted]:
    """All kinds go to one path and name their type. New fields are frequent, so unknown fields are sent unchanged."""
    return declare.submit(
        "POST /generations",
        JOB,
        FIELDS,
        ("prompt", *needed),
        kind=kind,
        others=declare.anything(),
        convert=lambda given: {**given, "type": kind},
    )


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "luma",
        base_url="https://agents.lumalabs.ai/v1",
        auth=vidpoll.Bearer("LUMA_AGENTS_API_KEY"),
        pacing=vidpoll.Pacing(floor=2.0, typical=(30.0, 120.0)),
        slots=vidpoll.Slots("refuses"),  # 429 "Too many concurrent jobs"
        status=declare.status("GET /generations/{id}", JOB),
        submit={
            "video": submit("video"),
            "video_edit": submit("video_edit", "source"),
            "video_reframe": submit("video_reframe", "source"),
        },
        upload={
            "file": declare.upload(
                "POST /files",
                (".png", ".jpg", ".jpeg", ".webp", ".mp4", ".mov", ".webm"),
                value="id",
                convert=lambda file_id: {"file_id": file_id},
            )
        },
        error=declare.refusals(texts={"concurrent jobs": "capacity"}, read=read_error),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"luma": "vidpoll_providers:samples/luma/index.json"}
