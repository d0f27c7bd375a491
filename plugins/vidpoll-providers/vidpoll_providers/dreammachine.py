"""Luma's Dream Machine (Ray 2) for vidpoll. Facts: https://docs.lumalabs.ai (docs/video-generation, docs/errors,
docs/callbacks); lumaai 1.21.0. Luma's Agents API, with a key of its own, is the module luma.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import vidpoll
from vidpoll import State, declare, parsing

OTHER = "if the job is at Luma's Agents API, use luma:ID with LUMA_AGENTS_API_KEY"


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal; an unknown key or job may belong to Luma's other API."""
    said = parsing.problem(response)
    return replace(said, message=f"{said.message} ({OTHER})") if response.status in (401, 404) else said


JOB = declare.Reader(
    {"queued": State.QUEUED, "dreaming": State.RUNNING, "completed": State.COMPLETED, "failed": State.FAILED},
    status="state",
    files={"video": "assets.video", "image": "assets.image"},
    reason="failure_reason",
    code="",
    progress="",
    updated_at="",
    finished_at="",
    duration="",
    problem=declare.problems(
        texts={
            "blacklisted words|prompt moderation": "moderated_input",
            "moderation failed": "moderated_output",  # of frames; the page does not say whose frames
            "user input frames": "input",
        }
    ),
    refine=lambda said, data, job_id: replace(said, assets_due=data.get("generation_type") != "image"),
)
PLACE = declare.object()
NUMBER = declare.whole()
CALLBACK = {"callback_url": declare.matching("an http or https URL", r"(?i:https?)://[^/\s]\S*")}
COMMON = {"prompt": declare.text(), "model": declare.text(), **CALLBACK}
VIDEO = {
    **COMMON,
    "aspect_ratio": declare.text(),
    "duration": declare.text(),
    "resolution": declare.text(),
    "loop": declare.flag(),
    "keyframes": declare.object(),
    "concepts": declare.list(declare.object()),
}
SOURCE = {**COMMON, "media": PLACE, "first_frame": PLACE}
REFRAME = {
    **SOURCE,
    "aspect_ratio": declare.text(),
    **dict.fromkeys(("grid_position_x", "grid_position_y", "resized_width", "resized_height"), NUMBER),
    **dict.fromkeys(("x_start", "x_end", "y_start", "y_end"), NUMBER),
}
OF_A_VIDEO = {"generation": declare.Rule("the id of a generation", lambda v: isinstance(v, str) and v)}


def submit(
    line: str, kind: str, rules: Mapping[str, declare.Rule], *needed: str
) -> vidpoll.Operation[vidpoll.Submitted]:
    """The body contains its `generation_type`, as the specification requires."""
    return declare.submit(
        line,
        JOB,
        rules,
        needed,
        kind=kind,
        others=declare.anything(),
        convert=lambda given: {**given, "generation_type": kind},
    )


LIST = {"limit": declare.whole(1)}


def list_request(fields: Mapping[str, object], token: str | None) -> vidpoll.Request:
    """The list continues at an offset."""
    given = {"limit": 100, **declare.take("the list of generations", fields, LIST)}
    return vidpoll.Request("GET", "/generations", (("limit", str(given["limit"])), ("offset", token or "0")))


def parse_list(response: vidpoll.Response, token: str) -> vidpoll.Page:
    """`has_more` may be missing: then the list ends with the first empty page."""
    body = parsing.json_object(response)
    found = body.get("generations")
    rows = parsing.rows(found, JOB.read)
    goes_on = bool(found) and body.get("has_more") is not False
    return vidpoll.Page(rows, str((parsing.count(token) or 0) + len(found or ())) if goes_on else None)


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "dreammachine",
        base_url="https://api.lumalabs.ai/dream-machine/v1",
        auth=vidpoll.Bearer("LUMAAI_API_KEY"),
        pacing=vidpoll.Pacing(floor=3.0, typical=(30.0, 120.0)),
        slots=vidpoll.Slots("refuses"),
        status=declare.status("GET /generations/{id}", JOB),
        submit={
            "video": submit("POST /generations/video", "video", VIDEO, "model"),
            "modify_video": submit(
                "POST /generations/video/modify",
                "modify_video",
                {**SOURCE, "mode": declare.text()},
                *("model", "media", "mode"),
            ),
            "reframe_video": submit(
                "POST /generations/video/reframe", "reframe_video", REFRAME, "model", "media", "aspect_ratio"
            ),
            "upscale_video": submit(
                "POST /generations/{generation}/upscale",
                "upscale_video",
                {**OF_A_VIDEO, "resolution": declare.text(), **CALLBACK},
                "generation",
            ),
            "add_audio": submit(
                "POST /generations/{generation}/audio",
                "add_audio",
                {**OF_A_VIDEO, "prompt": declare.text(), "negative_prompt": declare.text(), **CALLBACK},
                "generation",
            ),
        },
        list=vidpoll.Operation(list_request, parse_list, fields=declare.described(LIST)),
        list_polling=vidpoll.ListPollingSpec(rows=100),
        quota=declare.quota("GET /credits", balance="credit_balance", unit="US cents"),
        delete=declare.delete("DELETE /generations/{id}", JOB),
        error=declare.refusals(texts={"insufficient credit": "money"}, read=read_error),
        webhook=declare.Webhook(),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"dreammachine": "vidpoll_providers:samples/dreammachine/index.json"}
