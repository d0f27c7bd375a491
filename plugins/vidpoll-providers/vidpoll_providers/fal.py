"""The queue of fal (fal.ai) for vidpoll: any app path. Facts: docs.fal.ai/model-apis (model-endpoints/queue, webhooks,
errors), fal.ai/docs/inference-api/queue, the OpenAPI document of api.fal.ai/v1, fal-ai/fal@c6f0afaa (fal_client),
fal-ai/fal-js@381105e1. Comments give the decisions where these are silent or disagree.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

API = "api.fal.ai"
PART = r"[A-Za-z0-9_.~-]+"
APP = rf"(?:(?:workflows|comfy)/)?{PART}/{PART}"
PATH = rf"{APP}(?:/{PART})*"
SEEN = (400, 422, 499, 500, 503, 504)  # statuses of a result; any other is about the request


def app_of(path: str) -> str:
    """The part of an app's path that the URLs of its requests contain: owner/alias, and a namespace before it.

    >>> app_of("fal-ai/veo3.1/image-to-video"), app_of("workflows/me/mine/sub"), app_of("veo3.1")
    ('fal-ai/veo3.1', 'workflows/me/mine', '')
    """
    found = re.match(APP, path)
    return found[0] if found else ""


JOB = declare.Reader(
    {"IN_QUEUE": State.QUEUED, "IN_PROGRESS": State.RUNNING, "COMPLETED": State.COMPLETED},
    id="request_id",
    ids=declare.Ids("app/id", part=app_of),
    files={},
    reason="",
    code="",
    progress="",  # models print bars into their logs, several one after another: no percentage of the job
    duration="",
    queue_position="queue_position",
    # the last line of the model's log shows the job's current work
    refine=lambda said, data, job_id: (
        replace(said, stage=log_line(data) or said.stage) if not said.state.final else said
    ),
)


def log_line(data: Mapping[str, Any]) -> str | None:
    """The last line of the model's log, if the logs were requested and one was written."""
    found = [parsing.text(each) or "" for each in parsing.at(data, "logs[].message")]
    lines = [line.strip() for text in found[-20:] for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else None


# -- refusals and reasons --------------------------------------------------------------------------------------------

INPUTS = (
    "missing", "value_error", "file_download_error", "image_load_error", "image_too_large", "face_detection_error",
    "file_too_large", "video_duration_too_long", "unsupported_video_format", "greater_than", "less_than_equal",
    "one_of",
)  # fmt: skip
FREE = (  # HTTP 5xx, which costs nothing
    "internal_server_error", "generation_timeout", "downstream_service_unavailable", "request_timeout",
    "startup_timeout", "runner_scheduling_failure", "runner_connection_timeout", "runner_disconnected",
    "runner_connection_refused",
)  # fmt: skip
REFUSED = {**dict.fromkeys(INPUTS, "input"), "content_policy_violation": "moderated_input"}  # its `loc` names the input
FAILED = declare.problems(
    {**REFUSED, **dict.fromkeys((*FREE, "downstream_service_error"), "internal")}, charged=dict.fromkeys(FREE, False)
)


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    """The reason. `detail` is a list of objects, an object, or text; a refused cancel is one word.

    The `input` of a detail is left out: it repeats the submitted fields, including images as data URIs.
    """
    said = parsing.problem(response)
    body = _body(response)
    detail, word = _detail(body), parsing.text(body.get("status"))
    if word and "detail" not in body and said.code is None:
        return vidpoll.Problem(word.replace("_", " ").lower(), word)
    where = ".".join(str(each) for each in parsing.at(detail, "loc[]") if each != "body")
    message = parsing.text(parsing.first_of(detail, "msg", "message")) or said.message
    kept: dict[str, Any] = {name: detail[name] for name in ("loc", "ctx", "categories", "url") if name in detail}
    again = response.header("x-fal-retryable") or response.header("x-fal-needs-retry")  # an older page has the second
    if again:
        kept["retryable"] = again.lower() == "true"
    return vidpoll.Problem(f"{where}: {message}" if where else message, own_type(response) or said.code, kept)


def own_type(response: vidpoll.Response) -> str | None:
    """fal's own type of an error; an outage in front of fal has none."""
    body = _body(response)
    told = parsing.text(_detail(body).get("type")) or parsing.text(body.get("error_type"))
    return told or response.header("x-fal-error-type")


def _body(response: vidpoll.Response) -> dict[str, Any]:
    try:
        return parsing.json_object(response)
    except vidpoll.Malformed:
        return {}


def _detail(body: Mapping[str, Any]) -> dict[str, Any]:
    found = body.get("detail")
    first = found[0] if isinstance(found, list) and found else found
    return first if isinstance(first, dict) else {}


# -- the result, which decides the final state -----------------------------------------------------------------------


def parse_result(said: vidpoll.Snapshot, response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    """The unchanged output of the model, or its error; vidpoll requests any other result again."""
    body = parsing.json_object(response)
    if "still in progress" in (parsing.text(body.get("detail")) or "").lower():  # a 400; a test of vercel/ai has a 500
        return replace(said, state=State.RUNNING)
    units = parsing.number(response.header("x-fal-billable-units"))
    told = replace(
        said, cost=None if units is None else vidpoll.Cost(units, unit="units")
    )  # the app's, without a price
    if response.status >= 300:
        return replace(told, state=_ended(response, body), problem=FAILED(read_error(response)))
    found = tuple(files(body))
    if not body or body.get("detail") or not (found or not (body.get("error") or body.get("status"))):
        raise vidpoll.Malformed("HTTP 200, but the response contains no output of the model")
    return replace(told, assets=found, raw={**said.raw, "payload": body})


def _ended(response: vidpoll.Response, body: Mapping[str, Any]) -> State:
    """The state after an error of the model or its runner; the queue has retried it already. Raises for an outage."""
    told = own_type(response)
    if not (told or (response.status < 500 and "detail" in body)):
        raise vidpoll.Malformed(f"HTTP {response.status}, but no result: {parsing.problem(response)}")
    return ended_as(told) if response.status != 499 else State.CANCELLED


def ended_as(error_type: str | None) -> State:
    return State.CANCELLED if error_type == "client_cancelled" else State.FAILED


def files(value: Any, name: str = "", depth: int = 8) -> Iterator[vidpoll.Asset]:
    """All files of an output, at any depth: objects with a `url`, and URLs of media (`video_url`)."""
    if isinstance(value, list) and depth:
        for each in value:
            yield from files(each, name, depth - 1)
    elif isinstance(value, dict) and depth:
        yield from _file(value.get("url"), kind_of(name, value) or "file")
        for key, each in value.items():
            yield from files(each, "" if key == "url" else str(key), depth - 1)
    elif name.endswith("url"):
        yield from _file(value, kind_of(name, {"url": value}))


def _file(url: Any, kind: str) -> tuple[vidpoll.Asset, ...]:
    good = kind and isinstance(url, str) and "://" in url
    return parsing.assets(url, kind, expires_at=parsing.expiry(url)) if good else ()


def kind_of(name: str, told: Mapping[str, Any]) -> str:
    """The kind by content type, else by the extension of the file or its URL, else by the name of the field.

    >>> kind_of("output", {"url": "https://v3.fal.media/a/1.mp4"}), kind_of("video_url", {}), kind_of("docs_url", {})
    ('video', 'video', '')
    """
    ways = (parsing.text(told.get("content_type")), _type(told.get("file_name")), _type(told.get("url")), name)
    return next((kind for way in ways for kind in ("video", "image", "audio") if kind in (way or "").lower()), "")


def _type(path: Any) -> str | None:
    return guess_type(path.partition("?")[0])[0] if isinstance(path, str) else None


def status(line: str, result: str) -> vidpoll.Operation[vidpoll.Snapshot]:
    """COMPLETED is not a final state: vidpoll requests the result, which decides. An error beside the word is final."""
    ask, fetch = declare.request(line, JOB.ids), declare.request(result, JOB.ids)

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | vidpoll.Follow[vidpoll.Snapshot]:
        data = JOB.open(response)
        said = JOB.read(data, job_id)
        if said.state is not State.COMPLETED:
            return said
        why, code = parsing.text(data.get("error")), parsing.text(data.get("error_type"))
        sure = replace(said, state=ended_as(code), problem=FAILED(vidpoll.Problem(why, code))) if why else None
        return vidpoll.Follow(fetch(job_id), partial(parse_result, said), SEEN, sure)

    return vidpoll.Operation(ask, parse)


# -- submit, cancel, delete ------------------------------------------------------------------------------------------


def _as_uri(name: str, value: Any) -> Any:
    if not isinstance(value, Path):
        return value
    try:
        packed = b64encode(value.read_bytes()).decode("ascii")
    except OSError as error:
        raise vidpoll.InvalidField(f"{name} cannot be read: {error}") from None
    return f"data:{guess_type(value.name)[0] or 'application/octet-stream'};base64,{packed}"


ANY = declare.anything()
INPUT = declare.Rule(
    f"{ANY.must}; a pathlib.Path is sent as a data URI", lambda v: isinstance(v, Path) or ANY.holds(v), _as_uri
)
SECONDS = declare.whole(1, note="seconds")
EXPIRES = replace(SECONDS, sent=lambda name, value: json.dumps({"expiration_duration_seconds": value}))
FIELDS = {
    "app": declare.matching("the path of an app, like fal-ai/veo3.1/image-to-video", PATH),
    "fal_webhook": declare.matching("an http or https URL", r"(?i:https?)://[^/\s]\S*"),
    "fal_priority": declare.one_of("normal", "low"),
    "fal_runner_hint": declare.text(),
    "fal_start_timeout": declare.number(1, note="the job must start within this many seconds"),
    "fal_no_retry": declare.Rule("True, or left out", lambda v: v is True, lambda name, value: "1"),
    "fal_store_io": declare.Rule(
        "False (fal stores no payload), or left out", lambda v: v is False, lambda n, value: "0"
    ),
    "fal_expires_after": EXPIRES,
}
HEADERS = {
    "X-Fal-Queue-Priority": "{fal_priority}",
    "X-Fal-Runner-Hint": "{fal_runner_hint}",
    "X-Fal-Request-Timeout": "{fal_start_timeout}",
    "x-fal-no-retry": "{fal_no_retry}",
    "X-Fal-Store-IO": "{fal_store_io}",
    "X-Fal-Object-Lifecycle-Preference": "{fal_expires_after}",
}


def parse_submitted(response: vidpoll.Response, app: str) -> vidpoll.Submitted:
    """The app comes from the URLs in the response: the vendor wants requests to be polled by them."""
    url = parsing.text(parsing.at(response.json(), "status_url")) or ""
    found = re.match(rf"https?://[^/]+/({APP})/requests/", url)
    return JOB.submitted(response, found[1] if found else app)


def parse_cancelled(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot | None:
    """200 OK removed the job from the queue (only on the newer page); 202 is a signal to a running job."""
    word = parsing.text(parsing.json_object(response).get("status"))
    return vidpoll.Snapshot(State.CANCELLED) if word == "OK" else None


def delete_request(job_id: str) -> vidpoll.Request:
    own = parsing.segment(JOB.ids.split(job_id)["id"])
    return vidpoll.Request("DELETE", f"/v1/models/requests/{own}/payloads", host=API)


def parse_deleted(response: vidpoll.Response, job_id: str) -> None:
    """The payloads are deleted; a file that is not deleted gives the reason. Raises Refused."""
    kept = [each for each in parsing.at(parsing.json_object(response), "cdn_delete_results[].exception") if each]
    if kept:
        were = "was" if len(kept) == 1 else "were"
        raise vidpoll.Refused("internal", f"{len(kept)} of the job's files {were} not deleted: {kept[0]}")


# -- lists, at the platform's host -----------------------------------------------------------------------------------


def row_state(state: State | None, data: Mapping[str, Any]) -> State | None:
    """The state by the HTTP status of the outcome. A row with neither status nor end is running (none was seen)."""
    code = parsing.count(data.get("status_code"))
    if code is None:
        return State.RUNNING if data.get("ended_at") is None and data.get("status_code") is None else None
    return State.COMPLETED if 200 <= code < 300 else State.FAILED if 400 <= code < 600 else None


def row_told(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    app, own = parsing.text(data.get("endpoint_id")), parsing.text(data.get("request_id"))
    found = tuple(files(data.get("json_output"))) if said.state is State.COMPLETED else ()
    stage = "COMPLETED" if said.state.final else "IN_PROGRESS"
    return replace(said, job_id=f"{app_of(app)}/{own}" if app and own else None, assets=found, stage=stage)


ROW = declare.Reader(
    {},
    status="",
    id="request_id",
    ids=JOB.ids,
    files={},
    reason=("json_output.detail[0].msg", "json_output.detail.message", "json_output.detail"),
    code=("json_output.detail[0].type", "json_output.detail.type", "json_output.error_type", "status_code"),
    progress="",
    created_at="sent_at",
    finished_at="ended_at",
    duration="",  # the duration of the work, not of a video
    decide=row_state,
    refine=row_told,
)
LIST = {
    "endpoint_id": declare.matching("the path of an app; with it all other fields may be given", PATH),
    "limit": declare.whole(1, 100),
    "cursor": declare.text(),
    "start": declare.text(),
    "end": declare.text(),
    "status": declare.one_of("success", "error", "user_error"),
    "request_id": declare.text(),
    "expand": declare.one_of("payloads"),
    "sort_by": declare.one_of("ended_at", "duration"),
}


def list_request(fields: Mapping[str, Any], next: str | None) -> vidpoll.Request:
    """All requests of the account, or those of the app in `endpoint_id` (of 24 hours, if no time is given)."""
    given = {"limit": 100, **declare.take("the list of requests", fields, LIST), **({"cursor": next} if next else {})}
    other = [name for name in given if name not in ("endpoint_id", "limit", "cursor")]
    if other and "endpoint_id" not in given:
        raise vidpoll.InvalidField(f"{other[0]} needs endpoint_id: also give the path of the app")
    one = "endpoint_id" in given
    query = {**({} if one else {"only_api_requests": "true"}), **{name: str(value) for name, value in given.items()}}
    path = "/v1/models/requests/by-endpoint" if one else "/v1/models/requests/search"
    return vidpoll.Request("GET", path, tuple(query.items()), host=API)


def parse_list(response: vidpoll.Response, token: str) -> vidpoll.Page:
    body = parsing.json_object(response)
    told = parsing.text(body.get("next_cursor"))
    goes_on = told is not None and told.isprintable() and body.get("has_more") is not False
    return vidpoll.Page(parsing.rows(body.get("items", body.get("results")), ROW.read), told if goes_on else None)


# -- the provider ----------------------------------------------------------------------------------------------------


def joined(request: vidpoll.PreparedRequest, secrets: Mapping[str, str]) -> Mapping[str, str]:
    return {"Authorization": f"Key {secrets['FAL_KEY_ID']}:{secrets['FAL_KEY_SECRET']}"}


def pushed(body: dict[str, Any]) -> Mapping[str, Any]:
    """A push says that the request has ended; the result gives the outcome."""
    return {**body, "status": "COMPLETED" if body.get("status") in ("OK", "ERROR") else body.get("status")}


SIGNED = declare.ed25519(
    "{x-fal-webhook-request-id}\n{x-fal-webhook-user-id}\n{x-fal-webhook-timestamp}\n{sha256}",
    signature="x-fal-webhook-signature",
    timestamp="x-fal-webhook-timestamp",
)


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    start = declare.submit(
        "POST /{app:path}?fal_webhook={fal_webhook}", JOB, FIELDS, ("app",), kind="video", others=INPUT, headers=HEADERS
    )
    yield vidpoll.Provider(
        "fal",
        base_url="https://queue.fal.run",
        auth=vidpoll.AnyOf(
            vidpoll.KeyHeader("Authorization", "FAL_KEY", "Key "),
            vidpoll.Minted(("FAL_KEY_ID", "FAL_KEY_SECRET"), joined),
        ),
        pacing=vidpoll.Pacing(floor=5.0, typical=(30.0, 300.0)),  # no interval documented; the SDKs poll every 0.1 s
        slots=vidpoll.Slots("queues"),  # IN_QUEUE, never rejected
        status=status("GET /{app:path}/requests/{id}/status?logs=1", "GET /{app:path}/requests/{id}"),
        submit={"video": replace(start, parse=parse_submitted)},
        list=vidpoll.Operation(list_request, parse_list, fields=declare.described(LIST)),
        quota=declare.quota(
            f"GET https://{API}/v1/account/billing?expand=credits",
            balance="credits.current_balance",
            currency="credits.currency",
            unit="USD",
        ),
        estimate={
            "video": declare.estimate(
                f"POST https://{API}/v1/models/pricing/estimate",
                lambda given: {
                    "estimate_type": "historical_api_price",  # the average of earlier calls, whatever their fields
                    "endpoints": {given["app"]: {"call_quantity": 1}},
                },
                amount="total_cost",
                currency="currency",
            )
        },
        cancel=vidpoll.Operation(declare.request("PUT /{app:path}/requests/{id}/cancel", JOB.ids), parse_cancelled),
        delete=vidpoll.Operation(delete_request, parse_deleted),
        error=declare.refusals(
            {"ALREADY_COMPLETED": "conflict", **REFUSED},
            texts={r"exhausted balance|top.?up": "money"},
            read=read_error,
        ),
        hosts=(API,),
        webhook=declare.Webhook(SIGNED, pushed),
        stages=JOB.stages,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"fal": "vidpoll_providers:samples/fal/index.json"}
