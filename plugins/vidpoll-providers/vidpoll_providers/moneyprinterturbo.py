"""MoneyPrinterTurbo for vidpoll. Known: versions 1.2 and 1.3 of https://github.com/harry0703/MoneyPrinterTurbo, and the
queued state of a later commit. A response is `{"status": 200, "message": "success", "data": …}` even for a failed task:
only `data.state` decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll import State, declare, parsing

# The states are numbers. The stage is the word of the server's own constant (TASK_STATE_PROCESSING …). In 1.2 and 1.3 a
# queued task also has state 4; here it is running, because progress decides nothing.
STATES = {
    0: vidpoll.Stage("queued", State.QUEUED),
    4: vidpoll.Stage("processing", State.RUNNING),
    1: vidpoll.Stage("complete", State.COMPLETED),
    -1: vidpoll.Stage("failed", State.FAILED),
}
NO_REASON = "MoneyPrinterTurbo gives no reason (1.2 and older never do): read the server's log"


def refine(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Some tasks make no video, and old versions give no reason."""
    due = bool(data.get("videos")) or not parsing.first_of(data, "audio_file", "subtitle_path")
    if said.problem is not None and not parsing.text(data.get("error")):
        said = replace(said, problem=replace(said.problem, message=NO_REASON))
    return replace(said, assets_due=due)


def with_files(said: vidpoll.Snapshot, data: Mapping[str, Any], job_id: str) -> vidpoll.Snapshot:
    """Add the files. Speech and subtitles are server paths; a video that is not a URL is left out."""
    named = tuple(each for each in said.assets if re.match("/tasks/|https?://", each.url or ""))
    urls = tuple(file for each in named for file in placed(each, job_id))
    own = own_file(data.get("audio_file"), job_id, "audio") + own_file(data.get("subtitle_path"), job_id, "subtitle")
    return replace(refine(said, data, job_id), assets=urls + own if said.state is State.COMPLETED else ())


def placed(video: vidpoll.Asset, job_id: str) -> tuple[vidpoll.Asset, ...]:
    """A video at its URL, or its download if that is not a proper URL: some setups double the address."""
    odd = re.match(r"\w+://.*(://|\\)", video.url or "")
    return (odd and own_file(video.url, job_id, video.kind)) or (video,)


def own_file(path: object, job_id: str, kind: str) -> tuple[vidpoll.Asset, ...]:
    """The download of a file named by a server path; empty if the file is outside the task's own folder."""
    folder, name = ["", *str(path).replace("\\", "/").split("/")][-2:]
    try:
        return (download(job_id, name, kind),) if folder == job_id else ()
    except vidpoll.UsageError:  # not the name of a file
        return ()


def download(job_id: str, name: str, kind: str = "video") -> vidpoll.Asset:
    """A file of a task, as an attachment. Before state 1 the server returns a file as far as it is written."""
    return vidpoll.Asset(f"./api/v1/download/{parsing.segment(job_id)}/{file_name(name)}", kind)


def stream(job_id: str, name: str = "final-1.mp4") -> vidpoll.Asset:
    """A video of a task, streamed: `client.open(job, asset=moneyprinterturbo.stream(job.id))`."""
    return vidpoll.Asset(f"./api/v1/stream/{parsing.segment(job_id)}/{file_name(name)}")


def file_name(name: str) -> str:
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\\" in name:
        raise vidpoll.InvalidField(f"name must be a file in the task's folder, like 'final-1.mp4', got {name!r}")
    return parsing.segment(name)


TASK = declare.Reader(
    STATES,
    status="state",
    id="task_id",
    files={"video": "videos", "combined": "combined_videos"},
    reason="error",
    code="failed_stage",
    duration="",  # audio_duration is the length of the speech, not of the video
    envelope=declare.Envelope("data"),
    refine=with_files,
)
# A row names server paths, which look like URLs in some setups: its files come from the status response.
ROW = replace(TASK, files={}, refine=refine)

# The fields that every version takes as text. All other fields are sent unchecked: they differ by version and by fork,
# and the server checks the fields that it knows before it makes a task.
TEXTS = (
    "video_subject", "video_script", "video_aspect", "video_concat_mode", "video_transition_mode", "video_source",
    "video_language", "voice_name", "bgm_type", "bgm_file", "subtitle_position", "font_name", "text_fore_color",
    "stroke_color", "custom_audio_file", "idempotency_key",
)  # fmt: skip
FIELDS = {**dict.fromkeys(TEXTS, declare.text(empty=True)), "video_count": declare.whole(1)}


def with_subject(given: dict[str, Any]) -> dict[str, Any]:
    """Add an empty `video_subject`: without it 1.2 and 1.3 answer 400, even with a script."""
    return {"video_subject": "", **given}


def submit(kind: str, path: str, *texts: str, **more: Any) -> vidpoll.Operation[vidpoll.Submitted]:
    # Versions that know this key make it the task's id. Others ignore it, so a submit is not safe to send again.
    more |= {"key": "idempotency_key", "find": "GET /api/v1/tasks/{key}"}
    return declare.submit(f"POST {path}", TASK, FIELDS, (texts,), kind=kind, others=declare.anything(), **more)


def parse_error(response: vidpoll.Response) -> vidpoll.Problem:
    """A refusal without the request id before its text. A 400 always says "field required"; its data has the faults."""
    problem = parsing.problem(response)
    request_id, _, message = problem.message.partition(": ")
    if re.fullmatch(r"[0-9a-fA-F-]{36}", request_id):
        return vidpoll.Problem(message, problem.code, {**problem.details, "request_id": request_id})
    try:
        faults = [f"{'.'.join(map(str, row['loc']))}: {row['msg']}" for row in problem.details["details"]]
        return vidpoll.Problem("; ".join(faults), problem.code, problem.details)
    except (KeyError, TypeError):  # not a list of faulty fields
        return problem


def local_material(file: str) -> dict[str, Any]:
    """An item of `video_materials` for a file on the server, to be used with `video_source="local"`."""
    return {"provider": "local", "url": file, "duration": 0}


MATERIALS = (".mp4", ".mov", ".avi", ".flv", ".mkv", ".jpg", ".jpeg", ".png")
UPLOADS = {
    "material": declare.upload("POST /api/v1/video_materials", MATERIALS, value="data.file", convert=local_material),
    "music": declare.upload("POST /api/v1/musics", (".mp3",), value="data.file"),  # a value for bgm_file
}


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "moneyprinterturbo",
        base_url="http://localhost:8080",
        # By default the server checks no key. No floor is documented: the docs poll every 5 s, a response takes 2 ms.
        auth=vidpoll.KeyHeader("x-api-key", "MONEYPRINTERTURBO_API_KEY", required=False),
        pacing=vidpoll.Pacing(floor=2.0),
        slots=vidpoll.Slots("refuses"),  # 429 "task queue is full"
        status=declare.status("GET /api/v1/tasks/{id}", TASK),
        submit={
            "video": submit("video", "/api/v1/videos", "video_script", "video_subject", convert=with_subject),
            "audio": submit("audio", "/api/v1/audio", "video_script"),
            "subtitle": submit("subtitle", "/api/v1/subtitle", "video_script"),
        },
        list=declare.numbered_pages(  # the server puts no bound on page_size
            "GET /api/v1/tasks",
            ROW,
            rows="data.tasks",
            size="page_size",
            current="data.page",
            total="data.total",
            per_page="data.page_size",
            fields={"page_size": declare.whole(1)},
        ),
        list_polling=vidpoll.ListPollingSpec(rows=100),
        # 1.3 refuses (409) while a task is queued, running or being published; 1.2 removes it at once.
        delete=declare.delete("DELETE /api/v1/tasks/{id}", TASK),
        content=declare.content("GET /api/v1/download/{id}/final-1.mp4", TASK),  # if the record names no video
        error=declare.refusals(texts={"queue is full": "capacity"}, read=parse_error),
        stages=TASK.stages,
        upload=UPLOADS,
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"moneyprinterturbo": "vidpoll_providers.simulators.moneyprinterturbo:MoneyPrinterTurboFace"}
