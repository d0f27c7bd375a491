"""Replicate (replicate.com) for vidpoll. Facts: https://replicate.com/docs/reference/http, /docs/topics/predictions and
/docs/topics/webhooks; replicate/replicate-python@0110c2c5, whose cassettes are recorded responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import vidpoll
from vidpoll import State, declare, parsing

KEPT = 3600.0
"""Seconds for which Replicate keeps the output of a prediction made by API, from the prediction's end."""
GONE = vidpoll.Problem("Replicate has removed the output: it keeps the output of a prediction by API for an hour")

_BAR = re.compile(r"\s*(\d{1,3})%\s*\|")
_CODE = re.compile(r"\((?:(E\d{3,5})|code: (\w{1,20}))\)")


def progress(logs: object) -> float | None:
    """Percent by the last progress bar (tqdm's) in the logs; None if there is none."""
    lines = logs.splitlines() if isinstance(logs, str) else []
    return next((float(bar[1]) for bar in map(_BAR.match, reversed(lines)) if bar), None)


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the output of any shape with its end, the progress from the logs, and the code from the error."""
    done, removed, ended = said.state is State.COMPLETED, data.get("data_removed") is True, said.finished_at
    end = ended + KEPT if ended and data.get("source") != "web" else None
    files = parsing.media(data.get("output"), expires_at=end) if done and not removed else ()
    problem = GONE if done and removed else said.problem
    code = _CODE.search(problem.message) if problem else None
    return replace(
        said,
        progress=progress(data.get("logs")),
        assets=files,
        assets_due=not removed and (not files or any(each.kind == "video" for each in files)),
        problem=replace(problem, code=code[1] or code[2]) if problem and code else problem,
        cost=None if data.get("version") == "hidden" else said.cost,  # official models are priced by their output
    )


JOB = declare.Reader(
    {
        "starting": State.QUEUED,
        "processing": State.RUNNING,
        "succeeded": State.COMPLETED,
        "failed": State.FAILED,
        "canceled": State.CANCELLED,
        "aborted": State.CANCELLED,  # the deadline passed before the start
    },
    files={},
    reason=("error.message", "error.detail", "error"),
    progress="",
    updated_at="",
    duration="metrics.video_output_duration_seconds",
    cost="metrics.predict_time",
    unit="seconds",
    problem=declare.problems(
        {
            "E005": "moderated_output",  # the text does not say whether of the input or the output
            **dict.fromkeys(("E1000", "E1001", "PA"), "internal"),  # unknown, out of memory, interrupted
            "E4875": "input",
        },
        texts={"flagged|sensitive|nsfw": "moderated_output"},
    ),
    refine=refine,
)
EVENTS = declare.list(declare.one_of("start", "output", "logs", "completed"))
FIELDS = {
    "input": declare.object(),
    "webhook": declare.matching("an https URL", r"(?i:https)://[^/\s]\S*"),
    "webhook_events_filter": EVENTS,
    "cancel_after": declare.matching("a time like 30s, 5m or 1h30m", r"(\d{1,6}[smh]?){1,3}"),
}
OTHERS = declare.Rule(
    "an input of the model: text, a finite number, True or False, or a list or mapping of these; for a file its URL, "
    "which `vidpoll upload replicate FILE` or client.upload returns",
    declare.anything().holds,
)
NAMED = declare.matching("OWNER/NAME", r"[\w.-]+/[\w.-]+")
VERSION = declare.matching(
    "OWNER/NAME, OWNER/NAME:VERSION or the version, 64 hexadecimal digits",
    r"[\w.-]+/[\w.-]+(:[0-9a-f]{64})?|[0-9a-f]{64}",
)
OWN = ("webhook", "webhook_events_filter")


def inputs(own: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Every field outside `own` becomes an input of the model, like the fields in `input`."""
    kept = {name: value for name, value in given.items() if name in own}
    rest = {name: value for name, value in given.items() if name not in (*own, "input")}
    return {**kept, "input": {**given.get("input", {}), **rest}}


def submit(kind: str, line: str, name: str, rule: declare.Rule) -> vidpoll.Operation[vidpoll.Submitted]:
    headers = {"Cancel-After": "{cancel_after}"}
    rules = {name: rule, **FIELDS}
    return declare.submit(
        line, JOB, rules, (name,), kind=kind, others=OTHERS, convert=partial(inputs, (name, *OWN)), headers=headers
    )


LIST = {
    "created_after": declare.text(),
    "created_before": declare.text(),
    "source": declare.one_of("web"),
}


def list_request(fields: Mapping[str, object], token: str | None) -> vidpoll.Request:
    """The next page is named by a URL. Only its query is used, at the account's own base URL, never another host."""
    given = declare.take("the list of predictions", fields, LIST)
    return vidpoll.Request("GET", "/v1/predictions", tuple({**given, **dict(parse_qsl(token or ""))}.items()))


def parse_list(response: vidpoll.Response, token: str) -> vidpoll.Page:
    body = parsing.json_object(response)
    next = parsing.text(body.get("next")) or ""
    try:
        query = urlsplit(next).query
    except ValueError:
        query = ""
    return vidpoll.Page(parsing.rows(body.get("results"), JOB.read), query if parse_qsl(query) else None)


MEDIA = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4", ".mov", ".webm", ".mkv", ".mp3", ".wav", ".m4a", ".ogg", ".flac",
    ".srt", ".txt", ".json", ".zip",
)  # fmt: skip


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "replicate",
        base_url="https://api.replicate.com",
        auth=vidpoll.Bearer("REPLICATE_API_TOKEN"),
        pacing=vidpoll.Pacing(floor=3.0, typical=(30.0, 300.0), rate=(3000, 60.0)),
        status=declare.status("GET /v1/predictions/{id}", JOB),
        submit={
            "prediction": submit("prediction", "POST /v1/predictions", "version", VERSION),
            "model": submit("model", "POST /v1/models/{model:path}/predictions", "model", NAMED),
            "deployment": submit(
                "deployment", "POST /v1/deployments/{deployment:path}/predictions", "deployment", NAMED
            ),
        },
        list=vidpoll.Operation(list_request, parse_list, fields=declare.described(LIST)),
        cancel=vidpoll.Operation(declare.request("POST /v1/predictions/{id}/cancel"), JOB.parse),
        upload={"file": declare.upload("POST /v1/files", MEDIA, value="urls.get", field="content")},
        media_hosts=("replicate.delivery", "pbxt.replicate.delivery"),
        webhook=declare.Webhook(declare.standard_webhooks()),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"replicate": "vidpoll_providers:samples/replicate/index.json"}
