"""Vidu's API for vidpoll. Facts: platform.vidu.com/docs (text-to-video and its kin, get-generation, tasks-list,
cancel-generation, get-account-info, error-code, callback-signature), the same pages of platform.vidu.cn. Comments give
the decisions where these are silent or disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing


def decide(state: State | None, data: Mapping[str, Any]) -> State | None:
    """A cancelled job has the word of a failed one: its code decides."""
    return State.CANCELLED if state is State.FAILED and data.get("err_code") == "UserCancelled" else None


JOB = declare.Reader(
    {
        "created": State.QUEUED,
        "queueing": State.QUEUED,
        "processing": State.RUNNING,
        "success": State.COMPLETED,
        "failed": State.FAILED,
        "cancelled": State.CANCELLED,  # in one chart of states, at second hand
    },
    status="state",
    id=("task_id", "id"),
    files={  # a list; the page of the list of tasks calls it an object
        "video": ("creations[].url", "creations.url"),
        "thumbnail": ("creations[].cover_url", "creations.cover_url"),
        "watermarked": ("creations[].watermarked_url", "creations.watermarked_url"),
    },
    reason="",
    code="err_code",
    progress="",
    updated_at="",
    finished_at="",
    cost="credits",
    refunds=True,
    problem=declare.problems(
        {
            "CreationPolicyViolation": "moderated_output",
            **dict.fromkeys(("TaskPromptPolicyViolation", "AuditSubmitIllegal"), "moderated_input"),
            "ImageDownloadFailure": "input",
            "ModelUnavailable": "internal",
        },
        charged={"": False},  # according to the page of prices
    ),
    decide=decide,
)

# -- the fields of a submit -------------------------------------------------------------------------------------------

PICTURE = declare.image()
IMAGE = declare.Rule(
    "an image: a URL, a data URI, bytes, or a file as pathlib.Path",
    lambda v: isinstance(v, (bytes, Path)) or (isinstance(v, str) and v.strip() != ""),
    lambda name, value: value if isinstance(value, str) else PICTURE.sent(name, value),  # type: ignore[misc]
)


def images_of(most: int) -> declare.Rule:
    """A list of images, or one image: the command line can pass only one file."""
    many = declare.list(IMAGE, most=most)

    def listed(value: Any) -> Any:
        return value if isinstance(value, list) else [value]

    return declare.Rule(
        f"{many.must}; or one such image",
        lambda v: many.holds(listed(v)),
        lambda name, value: [IMAGE.sent(name, each) for each in listed(value)],  # type: ignore[misc]
    )


TEXT, FLAG = declare.text(), declare.flag()
FIELDS = {
    "model": TEXT,
    "prompt": TEXT,
    "duration": declare.whole(1, note="seconds"),
    "resolution": TEXT,
    "aspect_ratio": TEXT,
    "seed": declare.whole(),
    "audio": FLAG,
    "bgm": FLAG,
    "movement_amplitude": TEXT,
    "off_peak": FLAG,
    "watermark": FLAG,
    "payload": declare.text(1048576, empty=True),
    "callback_url": declare.matching("an http or https URL", r"(?i:https?)://[^/\s]\S*"),
}


def submit(kind: str, most: int | None = None, *needed: str | tuple[str, ...]) -> vidpoll.Operation[vidpoll.Submitted]:
    """Fields differ by model, and new models are frequent: fields in no table are sent unchanged."""
    images = {} if most is None else {"images": images_of(most)}
    subjects = {"subjects": declare.list()} if kind == "reference2video" else {}
    rules = {**FIELDS, **images, **subjects}
    return declare.submit("POST /{kind}", JOB, rules, needed, kind=kind, others=declare.anything())


SUBMIT = {
    "text2video": submit("text2video", None, "model", "prompt"),
    "img2video": submit("img2video", 1, "model", "images"),
    "start-end2video": submit("start-end2video", 2, "model", "images"),
    "reference2video": submit("reference2video", 7, "model", ("images", "subjects")),
    "multiframe": submit("multiframe"),
    "extend": submit("extend"),
    "upscale-new": submit("upscale-new"),
}
LIST = {
    "created_at.from": TEXT,
    "created_at.to": TEXT,
    "states": declare.one_of("created", "queueing", "processing", "success", "failed"),
}

# -- cancel, account, refusals ----------------------------------------------------------------------------------------

CANCEL = declare.cancel("POST /tasks/{id}/cancel", JOB, json={"id": "{id}"})


def parse_cancelled(response: vidpoll.Response, job_id: str) -> None:
    """The page says that the response is null, and shows {}: both are accepted."""
    if response.body.strip() != b"null":
        CANCEL.parse(response, job_id)


def parse_quota(response: vidpoll.Response, job_id: str) -> vidpoll.Quota:
    """The sum of the credits of each type of package, and the largest number of jobs at once of a type.

    Vidu queues what is too many. The packages list the same credits a second time.
    """
    body = parsing.json_object(response)
    for name in ("remains", "remaining_credits"):  # the page's example, and its table
        told = [parsing.number(each) for each in parsing.at(body, f"{name}[].credit_remain") or ()]
        found = [each for each in told if each is not None]
        if found:
            at_once = [parsing.count(each) or 0 for each in parsing.at(body, f"{name}[].concurrency_limit")]
            return vidpoll.Quota(balance=sum(found), concurrency=max(at_once, default=0) or None)
    raise vidpoll.Malformed("the response contains no credits")


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal: its `code` is only the HTTP status, so `reason` becomes the code."""
    said = parsing.problem(response)
    try:
        reason = parsing.text(parsing.json_object(response).get("reason"))
    except vidpoll.Malformed:
        reason = None
    return replace(said, code=reason or said.code)


REFUSALS: dict[str, str | dict[str, str]] = {
    "CreditInsufficient": "money",  # HTTP 400, like the next two
    "OperationInProcess": "rate",
    "AuditSubmitIllegal": "moderated_input",
    "BadRequest": {"can ?not cancel": "conflict", "": "input"},
    **dict.fromkeys(("FieldLacking", "FieldInvalid", "ImageFormatInvalid"), "input"),
    "QuotaExceeded": "capacity",  # too many jobs at once: HTTP 429, like the next two
    "TooManyRequests": "rate",
    "SystemThrottling": "capacity",
}


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "vidu",
        base_url="https://api.vidu.com/ent/v2",  # in China api.vidu.cn
        auth=vidpoll.KeyHeader("Authorization", "VIDU_API_KEY", "Token "),
        pacing=vidpoll.Pacing(floor=5.0, typical=(30.0, 200.0)),  # no rate is documented
        slots=vidpoll.Slots("queues", limit=5),  # 5 run at once, the others are queued
        status=declare.status("GET /tasks/{id}/creations", JOB),
        submit=SUBMIT,
        list=declare.cursor_pages(
            "GET /tasks",
            JOB,
            rows="tasks",
            token="pager.page_token",
            next="next_page_token",
            size="pager.pagesz",
            fields=LIST,
        ),
        # a page has 10 rows by default, and the docs write the name of the size in two ways
        list_polling=vidpoll.ListPollingSpec(
            rows=10,
            batch=declare.batch("GET /tasks", JOB, name="task_ids", rows="tasks", join=None),
            takes=str.isdecimal,
        ),
        quota=vidpoll.Operation(lambda: vidpoll.Request("GET", "/credits", (("show_detail", "false"),)), parse_quota),
        cancel=replace(CANCEL, parse=parse_cancelled),
        error=declare.refusals(REFUSALS, read=read_error),
        webhook=declare.Webhook(None),  # Vidu signs the address and the time, but not the body
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"vidu": "vidpoll_providers:samples/vidu/index.json"}
