"""Jimeng (Volcengine's visual gateway) for vidpoll. The newer way to the same maker's models is `ark`.

Facts: https://www.volcengine.com/docs/85621 as clients in public repositories read it (the pages themselves were not
read), and volcengine 1.0.229 from PyPI: the signature, the actions, the variables.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial, reduce
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import vidpoll
from vidpoll import State, declare, parsing

ALGORITHM, REGION, SERVICE = "HMAC-SHA256", "cn-north-1", "cv"


def sign(access: str, secret: str, request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of Volcengine's signature V4; `access` and `secret` are the names of the two secrets."""
    url, stamp = urlsplit(request.url), datetime.fromtimestamp(int(request.at), timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    pairs = sorted(parse_qsl(url.query, keep_blank_values=True))
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
    payload = hashlib.sha256(request.body).hexdigest()
    headers = {
        "content-type": request.headers.get("Content-Type", "application/json"),
        "host": url.netloc.lower().removesuffix(":443" if url.scheme == "https" else ":80"),
        "x-content-sha256": payload,
        "x-date": stamp,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{request.method}\n{url.path or '/'}\n{query}\n{lines}\n{names}\n{payload}"
    scope = (stamp[:8], REGION, SERVICE, "request")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    steps = (*scope, f"{ALGORITHM}\n{stamp}\n{'/'.join(scope)}\n{digest}")
    signature = reduce(lambda key, step: hmac.digest(key, step.encode(), "sha256"), steps, secrets[secret].encode())
    credential = "/".join((secrets[access], *scope))
    told = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature.hex()}"
    return {"Authorization": told, "X-Date": stamp, "X-Content-Sha256": payload}


def signed(access: str, secret: str) -> vidpoll.Minted:
    return vidpoll.Minted((access, secret), partial(sign, access, secret))


def decide(state: State | None, body: Mapping[str, Any]) -> State | None:
    """A task may be `done` although its result was refused: the code next to the word decides."""
    code = parsing.text(body.get("code"))
    return State.FAILED if state is State.COMPLETED and code not in (None, "10000") else None


def refine(said: vidpoll.Snapshot, body: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """The code and message of a successful response ("Success") are not a reason."""
    return replace(said, problem=None) if said.problem and said.problem.code == "10000" else said


KINDS = {
    **dict.fromkeys(("50411", "50412", "50413"), "moderated_input"),  # the image, and the text
    **dict.fromkeys(("50511", "50512"), "moderated_output"),
    "50429": "rate",
    "50430": "capacity",  # too many tasks at once
    "50500": "internal",
    "50501": "internal",
    "SignatureDoesNotMatch": "auth",
}
MODERATED = r'"code"\s*:\s*"?50(411|412|413|511|512)\b'
JOB = declare.Reader(
    {
        "in_queue": State.QUEUED,
        "generating": State.RUNNING,
        "done": State.COMPLETED,
        "expired": State.EXPIRED,
    },
    status="data.status",
    id="data.task_id",
    ids=declare.Ids("req_key/id"),
    files={"video": "data.video_url"},
    reason="message",
    code="code",
    progress="",
    created_at="",
    finished_at="",
    duration="",
    envelope=declare.Envelope(
        code=("code", "ResponseMetadata.Error.Code"),
        ok=(10000,),
        message=("message", "ResponseMetadata.Error.Message"),
        kinds=KINDS,
    ),
    # Moderation of a task is reported instead of its status, with HTTP 200 or 400: readers of the page disagree.
    verdicts=tuple(declare.Verdict(status, MODERATED, State.FAILED) for status in (200, 400)),
    problem=declare.problems(KINDS),
    decide=decide,
    refine=refine,
)
# A model's fields differ by req_key: any other field is sent unchanged.
FIELDS = {
    "req_key": declare.matching("a req_key without a slash, like jimeng_t2v_v30", r"[^/\s]+"),
    "prompt": declare.text(),
    "image_urls": declare.list(declare.text()),
    "binary_data_base64": declare.list(declare.text()),
    "seed": declare.whole(),
    "frames": declare.whole(1, note="24 for each second, plus 1: 121 or 241"),
    "aspect_ratio": declare.text(),
}
ASK = declare.status(
    "POST /?Action=CVSync2AsyncGetResult&Version=2022-08-31", JOB, json={"req_key": "{req_key}", "task_id": "{id}"}
)


def parse_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | vidpoll.Follow[vidpoll.Snapshot]:
    """`not_found` is not a state of a task: the gateway never had the task, or dropped it after 12 hours."""
    if parsing.at(parsing.json_object(response), "data.status") == "not_found":
        raise vidpoll.Refused("not found", "the gateway has no such task for this req_key; it keeps tasks for 12 hours")
    return JOB.parse(response, job_id)


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal of the model's service, or of the gateway in front of it."""
    problem = parsing.problem(response)
    try:
        error = parsing.at(parsing.json_object(response), "ResponseMetadata.Error")
    except vidpoll.Malformed:
        return problem
    if not isinstance(error, dict):
        return problem
    return vidpoll.Problem(parsing.text(error.get("Message")) or problem.message, parsing.text(error.get("Code")))


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "jimeng",
        base_url="https://visual.volcengineapi.com",
        auth=vidpoll.AnyOf(
            signed("VOLC_ACCESSKEY", "VOLC_SECRETKEY"),
            signed("VOLCENGINE_ACCESS_KEY", "VOLCENGINE_SECRET_KEY"),
            signed("VOLC_ACCESS_KEY_ID", "VOLC_SECRET_ACCESS_KEY"),
        ),
        pacing=vidpoll.Pacing(floor=5.0),  # clients poll every 3 to 10 s; no interval is documented
        slots=vidpoll.Slots("refuses"),  # 50430
        status=vidpoll.Operation(ASK.request, parse_status, ASK.verdicts),
        submit={
            "video": declare.submit(
                "POST /?Action=CVSync2AsyncSubmitTask&Version=2022-08-31",
                JOB,
                FIELDS,
                ("req_key",),
                kind="video",
                others=declare.anything(),
            )
        },
        error=declare.refusals(KINDS, read=read_error),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"jimeng": "vidpoll_providers:samples/jimeng/index.json"}
