"""MoneyPrinterTurbo for vidpoll: its states, and a builder and a parser for every task endpoint; pure functions only.

No loop, no sleep and no network code lives here; the simulator's face is in `simulator.py`, imported only on demand.
Known: versions 1.2 and 1.3 of https://github.com/harry0703/MoneyPrinterTurbo, and the queued state of a later commit.
A good answer is `{"status": 200, "message": "success", "data": …}` for a failed task too: only `data.state` counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import partial

import vidpoll
from vidpoll import parsing

# The API's states are numbers. The stage is the word of the server's own constant (TASK_STATE_PROCESSING …): "4" tells
# a reader nothing. In 1.2 and 1.3 a task in the queue has state 4, too; it is running here: progress decides nothing.
STATES = {
    0: vidpoll.Stage("queued", vidpoll.State.QUEUED),
    4: vidpoll.Stage("processing", vidpoll.State.RUNNING),
    1: vidpoll.Stage("complete", vidpoll.State.COMPLETED),
    -1: vidpoll.Stage("failed", vidpoll.State.FAILED),
}
NO_REASON = "MoneyPrinterTurbo gives no reason (1.2 and older never do): look in the log of the server"
FURTHER = 100
"""So many pages of the list are told beforehand at most."""

SUBMIT_PATHS = {"video": "/api/v1/videos", "audio": "/api/v1/audio", "subtitle": "/api/v1/subtitle"}

# What every version takes as text. All else is passed on unseen: the fields differ by version and by fork, and the
# server checks those that it knows before it makes a task.
TEXT_FIELDS = {
    "video_subject", "video_script", "video_aspect", "video_concat_mode", "video_transition_mode", "video_source",
    "video_language", "voice_name", "bgm_type", "bgm_file", "subtitle_position", "font_name", "text_fore_color",
    "stroke_color", "custom_audio_file", "idempotency_key"}  # fmt: skip


def status_request(job_id: str) -> vidpoll.Request:
    return vidpoll.Request("GET", f"/api/v1/tasks/{parsing.segment(job_id)}")


def parse_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    data = parsing.json_object(response, "data")
    videos = _urls(data.get("videos"), "video") + _urls(data.get("combined_videos"), "combined")
    speech = _own_file(data.get("audio_file"), job_id, "audio")
    return _read_task(data, videos + speech + _own_file(data.get("subtitle_path"), job_id, "subtitle"))


def _read_task(data: Mapping[str, object], files: tuple[vidpoll.Asset, ...] = ()) -> vidpoll.Snapshot:
    """A task's record. Files count from state 1 on: before it they are not whole. Some tasks make no video."""
    stage = parsing.lookup(STATES, data.get("state"))
    problem = None
    if stage.state is vidpoll.State.FAILED:
        problem = vidpoll.Problem(parsing.text(data.get("error")) or NO_REASON, parsing.text(data.get("failed_stage")))
    return vidpoll.Snapshot(
        stage.state,
        stage=stage.word,
        progress=parsing.progress(data.get("progress")),
        assets=files if stage.state is vidpoll.State.COMPLETED else (),
        problem=problem,
        job_id=parsing.text(data.get("task_id")),
        assets_due=bool(data.get("videos")) or not parsing.first_of(data, "audio_file", "subtitle_path"),
        raw=data,  # with audio_duration, which is the length of the speech and not of the video
    )


def _urls(value: object, kind: str) -> tuple[vidpoll.Asset, ...]:
    """The URLs of a list: `/tasks/…` in 1.3, http(s) in 1.2 and with a configured endpoint. A server path is none."""
    found = value if isinstance(value, list) else []
    urls = [url for url in found if isinstance(url, str) and re.match("/tasks/|https?://", url)]
    return parsing.assets(urls, kind)


def _own_file(path: object, job_id: str, kind: str) -> tuple[vidpoll.Asset, ...]:
    """The download of a file named by a server path; none where it lies outside the task's own folder."""
    folder, name = ["", *str(path).replace("\\", "/").split("/")][-2:]
    if folder != job_id:
        return ()
    try:
        return (download(job_id, name, kind),)
    except vidpoll.UsageError:  # no name of a file
        return ()


def download(job_id: str, name: str, kind: str = "video") -> vidpoll.Asset:
    """A file of a task, as an attachment. Before state 1 the server hands out what is written so far."""
    return vidpoll.Asset(f".{_file_path('download', job_id, name)}", kind)


def stream(job_id: str, name: str = "final-1.mp4") -> vidpoll.Asset:
    """A video of a task, streamed: `client.open(job, asset=vidpoll_moneyprinterturbo.stream(job.id))`."""
    return vidpoll.Asset(f".{_file_path('stream', job_id, name)}")


def _file_path(route: str, job_id: str, name: str) -> str:
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\\" in name:
        raise vidpoll.InvalidField(f"name {name!r}: give the name of one file in the task's folder, like 'final-1.mp4'")
    return vidpoll.Request("GET", f"/api/v1/{route}/{parsing.segment(job_id)}/{parsing.segment(name)}").path


def content_request(job_id: str) -> vidpoll.Request:
    """The first video of a task, where its record names none."""
    return vidpoll.Request("GET", _file_path("download", job_id, "final-1.mp4"))


def parse_content(response: vidpoll.Response, job_id: str) -> vidpoll.Asset:
    """Comes to see what is no file."""
    raise vidpoll.Malformed(f"no video: {parsing.problem(response)}")


def list_request(fields: Mapping[str, object], next: str | None) -> vidpoll.Request:
    """One page, in memory state oldest first. `page` is where to begin; the server puts no bound on `page_size`."""
    for name in fields.keys() - {"page", "page_size"}:
        raise vidpoll.InvalidField(f"{name} is no field of the task list: give page or page_size")
    page = _count(fields, "page", 1)
    page_size = _count(fields, "page_size", 100)
    query = (("page", next or str(page)), ("page_size", str(page_size)))
    return vidpoll.Request("GET", "/api/v1/tasks", query)


def parse_list(response: vidpoll.Response, job_id: str) -> vidpoll.Page:
    """The rows that can be read. The total ends the list; where it is not told, the first empty page does.

    With a total the pages after the next one are known too, and may be asked for at the same time.
    """
    data = parsing.json_object(response, "data")
    items = parsing.rows(data.get("tasks"), _read_task)
    page = parsing.number(data.get("page")) or 0
    size = parsing.number(data.get("page_size")) or 0
    total = parsing.number(data.get("total")) or 0
    more = data["tasks"] and page >= 1 and not 0 < total <= page * size
    if not more:
        return vidpoll.Page(items)
    last = min(math.ceil(total / size) if size >= 1 else 0, page + FURTHER)
    return vidpoll.Page(items, str(int(page) + 1), tuple(map(str, range(int(page) + 2, int(last) + 1))))


def delete_request(job_id: str) -> vidpoll.Request:
    """Removes the task and its files. 1.3 refuses (409) while it waits, runs or is published; 1.2 removes at once."""
    return vidpoll.Request("DELETE", f"/api/v1/tasks/{parsing.segment(job_id)}")


def parse_delete(response: vidpoll.Response, job_id: str) -> None:
    """Nothing is in it; what is no JSON object did not come from the server."""
    parsing.json_object(response)


def submit_request(kind: str, fields: Mapping[str, object]) -> vidpoll.Request:
    """None is left out: 1.2 stops for ever on `"video_transition_mode": null`."""
    body = {name: value for name, value in fields.items() if value is not None}
    for name, value in body.items():
        if name in TEXT_FIELDS and not isinstance(value, str):
            raise vidpoll.InvalidField(f"{name} is {type(value).__name__}: give text")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise vidpoll.InvalidField(f"{name} is no JSON: give text, finite numbers, lists or mappings") from None
    _count(body, "video_count", 1)
    if kind == "video":
        body.setdefault("video_subject", "")  # without the name 1.2 and 1.3 answer 400, even beside a script
    texts = ("video_script", "video_subject") if kind == "video" else ("video_script",)
    if not any(str(body.get(name, "")).strip() for name in texts):
        raise vidpoll.InvalidField(f"{' or '.join(texts)} is missing: give some text")
    return vidpoll.Request("POST", SUBMIT_PATHS[kind], json=body)


def _count(fields: Mapping[str, object], name: str, default: int) -> int:
    value = default if fields.get(name) is None else fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise vidpoll.InvalidField(f"{name} is {value!r}: give a whole number from 1")
    return value


def parse_submit(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
    return parsing.submitted(parsing.json_object(response, "data").get("task_id"))


def parse_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal, the request id taken from before its text. A 400 always says "field required": its data says more."""
    problem = parsing.problem(response)
    request_id, _, message = problem.message.partition(": ")
    if re.fullmatch(r"[0-9a-fA-F-]{36}", request_id):
        return vidpoll.Problem(message, problem.code, {**problem.details, "request_id": request_id})
    try:
        faults = [f"{'.'.join(map(str, row['loc']))}: {row['msg']}" for row in problem.details["details"]]
        return vidpoll.Problem("; ".join(faults), problem.code, problem.details)
    except (KeyError, TypeError):  # no list of faulty fields
        return problem


@vidpoll.hookimpl
def vidpoll_providers() -> Iterable[vidpoll.Provider]:
    yield vidpoll.Provider(
        "moneyprinterturbo",
        base_url="http://localhost:8080",
        # As it comes, no key is checked. No floor is documented: the docs poll every 5 s, an answer takes 2 ms.
        auth=vidpoll.KeyHeader("x-api-key", "MONEYPRINTERTURBO_API_KEY", required=False),
        pacing=vidpoll.Pacing(floor=2.0),
        status=vidpoll.Operation(status_request, parse_status),
        submit={kind: vidpoll.Operation(partial(submit_request, kind), parse_submit) for kind in SUBMIT_PATHS},
        list=vidpoll.Operation(list_request, parse_list),
        list_polling=vidpoll.ListPollingSpec(rows=100),
        delete=vidpoll.Operation(delete_request, parse_delete),
        content=vidpoll.Operation(content_request, parse_content),
        error=parse_error,
        stages=tuple(STATES.values()),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"moneyprinterturbo": "vidpoll_moneyprinterturbo.simulator:MoneyPrinterTurboFace"}
