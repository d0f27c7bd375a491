"""Tencent Cloud VOD's AIGC video tasks for vidpoll: Hailuo, Kling, Vidu, PixVerse and others behind one signed API.

Facts: https://cloud.tencent.com/document/api/266/126239 (CreateAigcVideoTask) and /266/33431 (DescribeTaskDetail),
https://www.tencentcloud.com/document/api/266/76684, tencentcloud-sdk-python-vod 3.1.194, and recorded responses.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import reduce
from typing import Any
from urllib.parse import urlsplit

import vidpoll
from vidpoll import State, declare, parsing

ALGORITHM, SERVICE, SIGNED = "TC3-HMAC-SHA256", "vod", "content-type;host"
VARIABLES = ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY")


def sign(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of TC3-HMAC-SHA256: a signature over method, path, query, content type, host and body."""
    url, stamp = urlsplit(request.url), str(int(request.at))
    date = datetime.fromtimestamp(int(request.at), timezone.utc).strftime("%Y-%m-%d")
    host = url.netloc.lower().removesuffix(":443" if url.scheme == "https" else ":80")
    content_type = request.headers.get("Content-Type", "application/json")
    payload = hashlib.sha256(request.body).hexdigest()
    canonical = f"{request.method}\n{url.path or '/'}\n{url.query}\ncontent-type:{content_type}\nhost:{host}\n"
    digest = hashlib.sha256(f"{canonical}\n{SIGNED}\n{payload}".encode()).hexdigest()
    scope = f"{date}/{SERVICE}/tc3_request"
    identity, secret = (secrets[name] for name in VARIABLES)
    steps = (date, SERVICE, "tc3_request", f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}")
    signature = reduce(lambda key, step: hmac.digest(key, step.encode(), "sha256"), steps, f"TC3{secret}".encode())
    told = f"{ALGORITHM} Credential={identity}/{scope}, SignedHeaders={SIGNED}, Signature={signature.hex()}"
    return {"Authorization": told, "X-TC-Timestamp": stamp}


def decide(state: State | None, data: Mapping[str, Any]) -> State | None:
    """A failed task is also FINISH: its ErrCode decides."""
    code = parsing.number(parsing.at(data, "AigcVideoTask.ErrCode"))
    return State.FAILED if state is State.COMPLETED and code else None


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the end of each file: files end at different times."""
    found = parsing.at(data, "AigcVideoTask.Output.FileInfos")
    infos = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    ends = {each.get("FileUrl"): parsing.timestamp(each.get("ExpireTime")) for each in infos if _is_text(each)}
    return replace(said, assets=tuple(replace(each, expires_at=ends.get(each.url)) for each in said.assets))


def _is_text(info: Mapping[str, Any]) -> bool:
    return isinstance(info.get("FileUrl"), str)


# https://cloud.tencent.com/document/api/266/31773; for a code not in this table the part before its first dot decides.
KINDS = {
    "AuthFailure": "auth",
    "AuthFailure.UnauthorizedOperation": "permission",
    "UnauthorizedOperation": "permission",
    "OperationDenied": "permission",
    "InvalidParameter": "input",
    "InvalidParameterValue": "input",
    "MissingParameter": "input",
    "UnknownParameter": "input",
    "InvalidAction": "input",
    "InvalidRequest": "input",
    "UnsupportedOperation": "input",
    "FailedOperation.TaskDuplicate": "conflict",
    "ResourceNotFound": "not found",
    "RequestLimitExceeded": "rate",
    "LimitExceeded": "quota",
}
FAILED = declare.problems(  # the code of the model's vendor, if it has one
    {
        "InternalError": {"invalid param": "input", "": "internal"},
        "InputTextSensitiveContentDetected": "moderated_input",
        "OutputVideoSensitiveContentDetected": "moderated_output",
        "ContentModerationFailed": "moderated_output",  # the word does not say whether of the input or the output
    }
)
JOB = declare.Reader(
    {
        "WAITING": State.QUEUED,
        "WAIT": State.QUEUED,  # a reseller's page has WAIT, RUN, FINISH and FAIL
        "PROCESSING": State.RUNNING,
        "RUN": State.RUNNING,
        "FINISH": State.COMPLETED,
        "FAIL": State.FAILED,
        "ABORTED": State.CANCELLED,
    },
    status=("Status", "AigcVideoTask.Status"),
    id=("TaskId", "AigcVideoTask.TaskId"),
    files={"video": "AigcVideoTask.Output.FileInfos[].FileUrl"},
    reason="AigcVideoTask.Message",
    code=("AigcVideoTask.ErrCodeExt", "AigcVideoTask.ErrCode"),
    progress="AigcVideoTask.Progress",
    created_at="CreateTime",
    finished_at="FinishTime",
    duration="AigcVideoTask.Output.FileInfos[0].MetaData.Duration",
    envelope=declare.Envelope("Response", code="Response.Error.Code", message="Response.Error.Message", kinds=KINDS),
    problem=FAILED,
    decide=decide,
    refine=refine,
)
# Fields differ by model and version, and the vendor adds fields often: any other field is sent unchanged.
FIELDS = {
    "SubAppId": declare.whole(1, note="the VOD application"),
    "ModelName": declare.text(),
    "ModelVersion": declare.text(),
    "Prompt": declare.text(),
    "NegativePrompt": declare.text(),
    "FileInfos": declare.list(declare.object()),
    "SubjectInfos": declare.list(declare.object()),
    "LastFrameUrl": declare.text(),
    "LastFrameFileId": declare.text(),
    "OutputConfig": declare.object(),
    "Seed": declare.whole(),
    "SessionId": declare.text(50),
    "SessionContext": declare.text(1000),
    "TasksPriority": declare.whole(-10, 10),
}


def about(action: str, job_id: str, **more: str) -> vidpoll.Request:
    """A request about a task. Its id begins with the application, which the API also requires. Raises BadReference."""
    app = re.match(r"([0-9]{1,18})-.", job_id)
    if app is None:
        raise vidpoll.BadReference(
            f"the id of a job must be APPLICATION-AigcVideoTask-…, as the submit returned it, got {job_id[:80]!r}"
        )
    known = {"TaskId": job_id, "SubAppId": int(app[1])}
    return vidpoll.Request("POST", "/", headers={"X-TC-Action": action}, json={**known, **more})


def status_request(job_id: str) -> vidpoll.Request:
    return about("DescribeTaskDetail", job_id)


def cancel_request(job_id: str) -> vidpoll.Request:
    return about("ManageTask", job_id, OperationType="Abort")


CANCEL = declare.cancel("POST /", JOB, json={"TaskId": "{id}"})


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "tencentvod",
        base_url="https://vod.tencentcloudapi.com",
        auth=vidpoll.Minted(VARIABLES, sign),
        headers={"X-TC-Version": "2018-07-17"},
        pacing=vidpoll.Pacing(floor=5.0, typical=(45.0, 185.0)),  # recorded: 45 to 185 s; no interval is documented
        status=vidpoll.Operation(status_request, JOB.parse),
        submit={
            "video": declare.submit(
                "POST /",
                JOB,
                FIELDS,
                ("SubAppId", "ModelName", "ModelVersion"),
                kind="video",
                others=declare.anything(),
                headers={"X-TC-Action": "CreateAigcVideoTask"},
            )
        },
        cancel=replace(CANCEL, request=cancel_request),
        error=declare.refusals(KINDS),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"tencentvod": "vidpoll_providers:samples/tencentvod/index.json"}
