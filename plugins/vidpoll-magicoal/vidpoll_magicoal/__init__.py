"""MagiCoal (coals.ai) for vidpoll: what to send, and how to read what comes back. Tables and pure functions only.

No network, no loop, no clock, and no import but vidpoll and the standard library; the simulator's face is next door.
The one thing read from outside is an image given as a `pathlib.Path`. Facts: https://coals.ai/docs/magicoal and its
sub-pages, https://coals.ai/docs/errors; where they are silent or disagree, a comment says what was decided, and why.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll import parsing

STAGES = (
    vidpoll.Stage("queued", vidpoll.State.QUEUED),
    vidpoll.Stage("generating", vidpoll.State.RUNNING),  # the submit pages' one word for the next four
    vidpoll.Stage("generating_image", vidpoll.State.RUNNING, (5, 20)),  # t2v only
    vidpoll.Stage("uploading_image", vidpoll.State.RUNNING, (20, 25)),  # t2v only
    vidpoll.Stage("generating_video", vidpoll.State.RUNNING, (25, 90)),
    vidpoll.Stage("saving", vidpoll.State.RUNNING, (90, 100)),
    vidpoll.Stage("completed", vidpoll.State.COMPLETED, (100, 100)),
    vidpoll.Stage("failed", vidpoll.State.FAILED),
)

# Codes of a refusal in a 2xx: the documented ones, then the usual words in the same spelling. Any other code is taken
# for a fault of the server's, which is no verdict about a job.
_REFUSALS = {
    "VALIDATION_ERROR": "invalid request",
    "RATE_LIMIT_EXCEEDED": "rate limit",
    "UNAUTHORIZED": "authentication",
    "FORBIDDEN": "permission",
    "NOT_FOUND": "not found",
    "INSUFFICIENT_CREDITS": "payment",
}

# The fields of the submits, the required one first; what each must be, with the way out, and the test for it.
_COMMON: parsing.Rules = {
    "prompt": ("text of at most 2000 characters", lambda v: isinstance(v, str) and len(v) <= 2000),
    "num_frames": (
        "an odd number from 17 to 161; 81 is five seconds",
        lambda v: _count(v) in range(17, 162, 2),
    ),
    "guidance_scale": (
        "a number from 1.0 to 10.0; 3.5 is the default",
        lambda v: type(v) in (int, float) and 1 <= v <= 10,
    ),
    "seed": ("a whole number; leave it out for a random one", lambda v: _count(v) is not None),
}
_FIELDS: Mapping[str, parsing.Rules] = {
    "t2v": _COMMON,
    "i2v": {"image": ("an image", lambda v: True), **_COMMON},  # `_image` looks at it
}
_LIST: parsing.Rules = {
    "per_page": ("a whole number from 1 to 100", lambda v: 1 <= (_count(v) or 0) <= 100),
    "page": ("a whole number from 1", lambda v: (_count(v) or 0) >= 1),
}
_IMAGE = re.compile(rb"(?P<jpeg>\xff\xd8\xff)|(?P<png>\x89PNG\r\n\x1a\n)|(?P<webp>RIFF.{4}WEBP)", re.DOTALL)


def status_request(job_id: str) -> vidpoll.Request:
    return vidpoll.Request("GET", f"/status/{parsing.segment(job_id)}")


def parse_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    _accepted(response)
    return _snapshot(parsing.json_object(response, "data"))


def _accepted(response: vidpoll.Response) -> dict[str, Any]:
    """The body. Raises Refused for `success: false`, unless the answer is about a job: then the job's word counts."""
    body = parsing.json_object(response)
    if body.get("success") is False and parsing.first_of(body, "data.uuid", "data.status") is None:
        problem = parsing.problem(response)
        raise vidpoll.Refused(_REFUSALS.get(problem.code or "", "server"), problem.message, problem.code)
    return body


def _snapshot(data: Mapping[str, Any]) -> vidpoll.Snapshot:
    """What the object of one job says. `status` decides; `stage` is only the word that is shown."""
    state = parsing.lookup({stage.word: stage.state for stage in STAGES}, data.get("status"))
    video = parsing.assets(data.get("video_url"))
    # `done` is described as the end of polling, with the video's URL, and for completed jobs only. So it never fails a
    # job, and "completed" and "failed" stand without it. But done with a video, beside a word that lags (generating,
    # saving), is the documented end: to wait on would lose a finished video. Done without a video says nothing yet.
    if not state.final and data.get("done") is True and video:
        state = vidpoll.State.COMPLETED
    completed = state is vidpoll.State.COMPLETED
    failed = state is vidpoll.State.FAILED
    credits = parsing.number(data.get("credits_charged"))
    reason = parsing.text(parsing.first_of(data, "error.message", "error"))  # not documented: as in a refusal
    code = parsing.text(parsing.first_of(data, "error.code"))
    return vidpoll.Snapshot(
        state,
        stage=parsing.text(data.get("stage")) or parsing.text(data.get("status")),
        progress=parsing.progress(data.get("progress")),
        assets=video + parsing.assets(data.get("thumbnail_url"), "thumbnail") if completed else (),
        problem=vidpoll.Problem(reason or "failed, and MagiCoal gave no reason", code) if failed else None,
        job_id=parsing.text(data.get("uuid")),
        created_at=parsing.timestamp(data.get("created_at")),
        finished_at=parsing.timestamp(data.get("completed_at")),
        duration=parsing.number(data.get("duration_seconds")),
        cost=None if credits is None else vidpoll.Cost(credits, refunded=credits if failed else 0.0),
        raw=data,
    )


def list_request(fields: Mapping[str, object], next: str | None) -> vidpoll.Request:
    """Completed jobs only: this list cannot tell a running job from a failed one."""
    given = parsing.checked("the list of videos", fields, _LIST)
    query = ("per_page", str(given.get("per_page", 100))), ("page", next or str(given.get("page", 1)))
    return vidpoll.Request("GET", "/videos", query)


def parse_list(response: vidpoll.Response, job_id: str) -> vidpoll.Page:
    body = _accepted(response)
    items = parsing.rows(body.get("data"), _snapshot)
    page, last = (_count(parsing.first_of(body, f"meta.{name}")) for name in ("current_page", "last_page"))
    told = parsing.first_of(body, "meta.has_more")
    more = told if isinstance(told, bool) else (page or 0) < (last or 0)
    return vidpoll.Page(items, str(page + 1) if body["data"] and more and page else None)


def parse_quota(response: vidpoll.Response, job_id: str) -> vidpoll.Quota:
    _accepted(response)
    data = parsing.json_object(response, "data")
    return vidpoll.Quota(
        plan=parsing.text(data.get("plan")),
        limit=_count(data.get("videos_limit")),
        used=_count(data.get("videos_used")),
        remaining=_count(data.get("videos_remaining")),
        reset_at=parsing.timestamp(data.get("reset_at")),
        balance=parsing.number(data.get("credit_balance")),
        unlimited=data.get("unlimited") is True,
        prices={"i2v": 50, "t2v": 52},
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _image(value: object) -> str:
    """What is sent for an image: an https URL or base64 as it is, bytes and files as base64. Raises InvalidField."""
    if isinstance(value, str) and "://" in value:
        if re.match(r"(?i)https://[^/\s]", value):
            return value
        raise _no_image("only https URLs are taken")
    packed, data = "", b""
    try:
        if isinstance(value, str):
            packed = "".join(value.split())
            data = b64decode(re.sub(r"(?i)^data:image/[\w.+-]+;base64,", "", packed), validate=True)
        elif isinstance(value, Path):
            data = value.read_bytes()
        elif isinstance(value, bytes):
            data = value
    except OSError as error:
        raise _no_image(f"it cannot be read: {error}") from None
    except ValueError:  # no base64
        pass
    kind = _IMAGE.match(data)
    if kind is None:
        raise _no_image("it is no JPEG, PNG or WebP")
    return packed or f"data:image/{kind.lastgroup};base64,{b64encode(data).decode('ascii')}"


def _no_image(why: str) -> vidpoll.InvalidField:
    ways = "an https URL, base64, bytes, or a file: pathlib.Path('a.jpg'), on the command line image=@a.jpg"
    return vidpoll.InvalidField(f"image: {why}; give {ways}")


def submit_request(kind: str, fields: Mapping[str, object]) -> vidpoll.Request:
    given = parsing.checked(f"submit {kind}", fields, _FIELDS[kind])
    required = next(iter(_FIELDS[kind]))
    if "image" in given:
        given["image"] = _image(given["image"])
    if not str(given.get(required, "")).strip():
        raise vidpoll.InvalidField(f"submit {kind} needs {required!r}, and it is missing or empty")
    return vidpoll.Request("POST", f"/generate/{kind}", json=given)


def parse_submit(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
    uuid = parsing.first_of(_accepted(response), "data.uuid")
    return parsing.submitted(uuid, lambda: _snapshot(parsing.json_object(response, "data")))


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "magicoal",
        base_url="https://coals.ai/api/v1/magicoal",
        auth=vidpoll.Bearer("MAGICOAL_API_KEY"),
        pacing=vidpoll.Pacing(floor=3.0, typical=(60, 180)),
        status=vidpoll.Operation(status_request, parse_status),
        submit={kind: vidpoll.Operation(partial(submit_request, kind), parse_submit) for kind in _FIELDS},
        list=vidpoll.Operation(list_request, parse_list),  # completed videos only, so it is no list_polling
        quota=vidpoll.Operation(lambda: vidpoll.Request("GET", "/quota"), parse_quota),
        stages=STAGES,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"magicoal": "vidpoll_magicoal.simulator:MagicoalFace"}
