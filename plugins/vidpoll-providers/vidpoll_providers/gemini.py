"""Video by the Gemini API (Google AI Studio's keys) for vidpoll: interactions, and the operations that Veo used there.

Facts: ai.google.dev/gemini-api/docs (interactions, video, files, deprecations, troubleshooting, rate-limits),
googleapis/python-genai (google-genai 3.6.1, _gaos), vercel/ai@ed857f50 packages/google. Veo ended here on 2026-10-22.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

BODY = 128 * 1024 * 1024
ENDED = (
    "Veo ended on the Gemini API on 2026-10-22: submit the kind video with a model like gemini-omni-1.1-flash, or use "
    "the provider vertex; the kind veo is for gateways: set GEMINI_BASE_URL"
)
WORDS = {
    "queued": State.QUEUED,
    "in_progress": State.RUNNING,
    "completed": State.COMPLETED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "requires_action": State.FAILED,  # the caller would have to act, and cannot for a video
    "incomplete": State.FAILED,
    "budget_exceeded": State.FAILED,
}
FILTER = r"support codes|responsible ai|violat"
FAULTS: dict[str, str | dict[str, str]] = {
    "3": {FILTER: "moderated_input", "": "input"},  # INVALID_ARGUMENT
    "8": "capacity",
    **dict.fromkeys(("13", "14"), "internal"),
}
"""Google's numbers for the reason of a failure."""
SAFETY = {"output": "moderated_output", "input|prompt": "moderated_input"}
CONTENT = "steps[type=model_output].content[type={}]"


# -- interactions -----------------------------------------------------------------------------------------------------


def words_of(data: Mapping[str, Any]) -> str:
    """The text that the model wrote."""
    found = parsing.at(data, f"{CONTENT.format('text')}.text")
    return " ".join(each for each in found if isinstance(each, str))


def decide(state: State | None, data: Mapping[str, Any]) -> State | None:
    """An interaction that completes with words and without a video is a refusal."""
    shown = parsing.at(data, CONTENT.format("video")) or data.get("output_video")
    return State.FAILED if state is State.COMPLETED and not shown and words_of(data) else None


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """The reason of a failure is in a step, beside the steps, or in the model's text; else only the word is known."""
    if said.state is not State.FAILED:
        return said
    faults = [each for path in ("steps[].error", "errors[]") for each in parsing.at(data, path)]
    fault = next((each for each in faults if isinstance(each, dict) and parsing.text(each.get("message"))), {})
    code = parsing.text(fault.get("code")) or (said.stage if said.stage not in ("failed", "completed") else None)
    return replace(said, problem=vidpoll.Problem(parsing.text(fault.get("message")) or words_of(data), code))


JOB = declare.Reader(
    WORDS,
    files={
        "video": (
            f"{CONTENT.format('video')}.uri",
            f"base64:{CONTENT.format('video')}.data",
            "output_video.uri",
            "base64:output_video.data",
        )
    },
    reason="",
    code="",
    created_at="created",
    updated_at="updated",
    cost="usage.total_tokens",
    unit="tokens",
    problem=declare.problems({**FAULTS, "https://generativelanguage.googleapis.com/errors/safety": SAFETY}),
    decide=decide,
    refine=refine,
)


def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | vidpoll.Follow[vidpoll.Snapshot]:
    """A video in Google's file store is available once its file is active, so vidpoll polls the file."""
    said = JOB.parse(response, job_id)
    if isinstance(said, vidpoll.Follow):
        return said
    names = [re.search(r"/files/([a-z0-9-]{1,40})(:download)?(\?|$)", each.url or "") for each in said.assets]
    if len(names) != 1 or names[0] is None:
        return said
    return vidpoll.Follow(vidpoll.Request("GET", f"/files/{names[0][1]}"), partial(parse_file, said), fallback=said)


def parse_file(said: vidpoll.Snapshot, response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    """`said` with the state of its video file: not yet there, failed, or available until a given time."""
    body = parsing.json_object(response)
    if body.get("state") == "PROCESSING":
        return replace(said, assets=())  # not yet there
    if body.get("state") == "FAILED":
        reason = parsing.text(parsing.at(body, "error.message")) or "Google could not process the file of the video"
        problem = vidpoll.Problem(reason, parsing.text(parsing.at(body, "error.code")))
        return replace(said, state=State.FAILED, assets=(), problem=declare.problems(FAULTS)(problem))
    end, size = parsing.timestamp(body.get("expirationTime")), parsing.count(body.get("sizeBytes"))
    return replace(said, assets=tuple(replace(each, expires_at=end, size=size) for each in said.assets))


FIELDS = {
    "model": declare.text(),
    "input": declare.Rule("text, or a list of contents, each with a type", lambda v: isinstance(v, (str, list)) and v),
    "response_format": declare.object(),
    "response_modalities": declare.list(declare.text()),
    "previous_interaction_id": declare.text(),
    "webhook_config": declare.object(),
    "store": declare.Rule("True, or left out: a job that is not stored cannot be polled", lambda v: v is True),
    "background": declare.Rule("True, or left out: otherwise the response takes minutes", lambda v: v is True),
    "stream": declare.Rule("False, or left out: vidpoll polls the job", lambda v: v is False),
}


def convert(given: dict[str, Any]) -> dict[str, Any]:
    return {"response_modalities": ["video"], **given, "background": True}


# -- operations: Veo, until 2026-10-22 --------------------------------------------------------------------------------

SAMPLES = tuple(
    f"response.{path}" for path in ("generateVideoResponse.generatedSamples", "generatedSamples", "generatedVideos")
)
FILTERED = tuple(
    f"response.{layer}raiMediaFiltered{what}"
    for layer in ("generateVideoResponse.", "")
    for what in ("Reasons", "Count")
)


def decide_operation(state: State | None, data: Mapping[str, Any]) -> State | None:
    """`done` is absent while a job is running. Done without samples, with a count or reasons of the filter: failed."""
    done = data.get("done")
    if done is not True:
        return State.RUNNING if (done is None or done is False) and parsing.text(data.get("name")) else None
    shown = any(parsing.at(data, path) for path in SAMPLES)
    refused = not shown and any(parsing.at(data, path) for path in FILTERED)
    return State.FAILED if data.get("error") or refused else State.COMPLETED


def filtered(said: vidpoll.Snapshot, data: Mapping[str, Any]) -> vidpoll.Snapshot:
    """A failure without an error of Google's means that the filter held the video back, which costs nothing."""
    if said.state is not State.FAILED or said.problem is None or data.get("error"):
        return said
    return replace(said, problem=replace(said.problem, kind="moderated_output", charged=False))


OPERATION = declare.Reader(
    {},
    status="",
    id="name",
    files={
        "video": tuple(f"{path}[].video.uri" for path in SAMPLES)
        + tuple(f"base64:{path}[].video.encodedVideo" for path in SAMPLES)
    },
    reason=("error.message", *(f"{path}[0]" for path in FILTERED if path.endswith("Reasons"))),
    progress="metadata.progressPercent",
    problem=declare.problems(FAULTS),
    decide=decide_operation,
    refine=lambda said, data, job_id: filtered(said, data),
)
INSTANCE = ("prompt", "image", "lastFrame", "referenceImages", "video")
VEO = {"model": declare.text(), "prompt": declare.text(), **{name: declare.object() for name in INSTANCE[1:]}}
VEO["referenceImages"] = declare.list(declare.object())


def convert_operation(given: dict[str, Any]) -> dict[str, Any]:
    instance = {name: given.pop(name) for name in INSTANCE if name in given}
    return {"instances": [instance], **({"parameters": given} if given else {})}


# -- the provider -----------------------------------------------------------------------------------------------------


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """The code is the reason in the details, else Google's status word. For an ended model the way out is added."""
    problem = parsing.problem(response)
    try:
        body = response.json()
    except vidpoll.Malformed:
        return problem
    reasons = parsing.at(body, "error.details[].reason")
    code = next((each for each in reasons if isinstance(each, str)), None)
    code = code or parsing.text(parsing.at(body, "error.status")) or problem.code
    daily = re.search(r'"quotaId"\s*:\s*"[^"]*PerDay', response.text())  # otherwise a rate: waiting seconds helps
    problem = replace(problem, kind="quota") if daily and response.status == 429 else problem
    gone = re.search(r"veo\S* is no longer available", problem.message)
    return replace(problem, code=code, message=f"{problem.message} ({ENDED})" if gone else problem.message)


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        auth=vidpoll.AnyOf(
            vidpoll.KeyHeader("x-goog-api-key", "GOOGLE_API_KEY"),  # the SDK also prefers this one
            vidpoll.KeyHeader("x-goog-api-key", "GEMINI_API_KEY"),
        ),
        pacing=vidpoll.Pacing(floor=5.0, typical=(30.0, 180.0)),
        status=declare.by_kind(
            {
                "": replace(declare.status("GET /interactions/{id}", JOB, max_body=BODY), parse=parse),
                "models": declare.status("GET /{id:path}", OPERATION, max_body=BODY),
            }
        ),
        submit={
            "video": declare.submit(
                "POST /interactions",
                JOB,
                FIELDS,
                ("model", "input"),
                kind="video",
                others=declare.anything(),
                convert=convert,
            ),
            "veo": declare.submit(
                "POST /models/{model}:predictLongRunning",
                OPERATION,
                VEO,
                ("model", ("prompt", "image", "video")),
                kind="veo",
                others=declare.anything(),
                convert=convert_operation,
            ),
        },
        cancel=vidpoll.Operation(declare.request("POST /interactions/{id}/cancel"), JOB.parse, max_body=BODY),
        delete=declare.delete("DELETE /interactions/{id}", JOB),
        error=declare.refusals(
            {
                "API_KEY_INVALID": "auth",
                "INVALID_ARGUMENT": {FILTER: "moderated_input", "": "input"},
                "RESOURCE_EXHAUSTED": {"prepayment credits": "money", "": "rate"},
            },
            read=read_error,
        ),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"gemini": "vidpoll_providers:samples/gemini/index.json"}
