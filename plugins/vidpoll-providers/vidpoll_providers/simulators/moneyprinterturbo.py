"""A simulator of MoneyPrinterTurbo: tasks, their files, and two versions with different responses.

Written from the API page (mintlify.wiki/harry0703/MoneyPrinterTurbo/api/tasks), the server's source, and traffic
recorded from 1.3.3 and 1.2.6. This module may import only the standard library and the simulator's core, never the
plugin.

Version 1.3: relative URLs, every key in every state (null when unset), a reason for a failure. Version 1.2: absolute
URLs, keys absent until they have a value, a bare failure whose progress falls to 0, deletes that always succeed, audio
and subtitle tasks that stop at 5 % for ever.
"""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from vidpoll.testing.simulator import (
    Asset,
    Clock,
    Face,
    Job,
    RangeMalformed,
    RangeNotSatisfiable,
    Reply,
    Request,
    Route,
    Stage,
    Timeline,
    audio,
    json_reply,
    parse_range,
    serve,
    subtitles,
    text_reply,
    video,
)

Version = Literal["1.2", "1.3"]

PROCESSING, COMPLETE, FAILED = 4, 1, -1
STORAGE = "/srv/mpt/storage"
_STUCK = 1e12
_STUB = 48  # bytes of a video file that has only just been opened
_STEP = (6.0, 7.0)

_NO_WAIT = (0.0, 0.0)
_SCRIPT, _TERMS = Stage("script", _STEP, (5, 5)), Stage("terms", _STEP, (10, 10))
_AUDIO, _MATERIALS = Stage("audio", _STEP, (20, 20)), Stage("materials", _STEP, (40, 40))

TIMELINES = {
    "video": Timeline(_NO_WAIT, (_SCRIPT, _TERMS, _AUDIO, _MATERIALS)),
    "audio": Timeline(_NO_WAIT, (_SCRIPT, _TERMS, _AUDIO)),
    "subtitle": Timeline(_NO_WAIT, (_SCRIPT, _TERMS, _AUDIO, Stage("audio", _STEP, (30, 30)))),
}
"""Progress moves in steps. A video task has two more stages for each video: combining it and making it final."""

_KINDS = {"videos": "video", "audio": "audio", "subtitle": "subtitle"}
_REQUIRED = {"video": "video_subject", "audio": "video_script", "subtitle": "video_script"}
_NULLS = dict.fromkeys(
    (
        "videos",
        "combined_videos",
        "failed_stage",
        "error",
        "cross_post_state",
        "cross_post_results",
        "cross_post_error",
    )
)


class MoneyPrinterTurboFace(Face):
    """A MoneyPrinterTurbo server with its state in memory and without a key, the default installation."""

    timelines = TIMELINES

    def __init__(
        self,
        *,
        version: Version = "1.3",
        capacity: int = 5,
        max_queued: int = 100,
        timelines: Mapping[str, Timeline] | None = None,
    ) -> None:
        """``capacity`` tasks run at once and ``max_queued`` are queued; version 1.2 queues any number."""
        if version not in ("1.2", "1.3"):
            raise ValueError(f"version must be '1.2' or '1.3', not {version!r}")
        super().__init__(key=None, capacity=capacity, timelines=timelines)
        self.legacy = version == "1.2"
        self.max_queued = max_queued

    def attach(self, clock: Clock, seed: str, urls: Mapping[str, str]) -> None:
        super().attach(clock, seed, urls)
        self._request_ids = random.Random(f"{seed}:requests")
        self._hidden: set[str] = set()

    def routes(self) -> Sequence[Route]:
        return (
            Route("POST", "/api/v1/(videos|audio|subtitle)", self._submit),
            Route("GET", "/api/v1/tasks", self._list),
            Route("GET", "/api/v1/tasks/([^/]+)", self._task),
            Route("DELETE", "/api/v1/tasks/([^/]+)", self._delete),
            Route("GET", "/api/v1/stream/(.+)", self._stream),
            Route("GET", "/api/v1/download/(.+)", self._download),
            Route("GET HEAD", "/tasks/([^/]+)/([^/]+)", self._static),
        )

    def defaults(self, kind: str) -> dict[str, Any]:
        return {_REQUIRED[kind]: "A lighthouse at dusk."}

    def timeline(self, kind: str, data: Mapping[str, Any]) -> Timeline:
        """Each of ``video_count`` videos adds two stages of equal progress to a video task."""
        base = self.timelines[kind]
        if kind != "video":
            stuck = Stage("script", (_STUCK, _STUCK), (5, 5))
            return Timeline(base.queued, (stuck,)) if self.legacy else base
        steps = 2 * _count(data)
        rendering = (Stage("video", _STEP, (50 + 50 * step // steps,) * 2) for step in range(steps))
        return Timeline(base.queued, (*base.stages, *rendering))

    # Around every route

    def dress(self, request: Request, reply: Reply) -> Reply:
        """The headers of every response."""
        extra = (("Server", "uvicorn"),) if self.legacy else (("Server", "uvicorn"), ("Vary", "Origin"))
        return Reply(reply.status, reply.headers + extra, reply.body)

    def not_found(self, request: Request) -> Reply:
        return json_reply(404, {"detail": "Not Found"})

    def not_allowed(self, request: Request) -> Reply:
        """HEAD falls through to the static files, which have no such file."""
        if request.method == "HEAD":
            return self.not_found(request)
        return json_reply(405, {"detail": "Method Not Allowed"})

    # Tasks

    def _submit(self, request: Request, path: str) -> Reply:
        kind = _KINDS[path]
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return text_reply(500, "Internal Server Error")
        try:
            fields = request.json()
        except json.JSONDecodeError as error:
            fault = {"type": "json_invalid", "loc": ["body", error.pos], "msg": "JSON decode error", "input": {}}
            return _invalid([{**fault, "ctx": {"error": error.msg}}])
        except ValueError:
            return text_reply(500, "Internal Server Error")
        faults = _faults(kind, fields)
        if faults:
            return _invalid(faults)
        if not self.legacy and self.jobs.waiting(request.at) >= self.max_queued:
            return self.full(request)
        return _success({"task_id": self.submit(kind, request, fields).id})

    def _list(self, request: Request) -> Reply:
        """Oldest first; rows hold paths of the server's own disk."""
        faults: list[dict[str, Any]] = []
        page = _whole(request, "page", 1, faults)
        page_size = _whole(request, "page_size", 10, faults)
        if faults:
            return _invalid(faults)
        jobs = [job for job in self.jobs if self._visible(job, request.at)]
        rows = [self._record(job, request.at, STORAGE) for job in jobs[(page - 1) * page_size : page * page_size]]
        return _success({"tasks": rows, "total": len(jobs), "page": page, "page_size": page_size})

    def _task(self, request: Request, task_id: str) -> Reply:
        job = self._find(task_id, request.at)
        if job is None:
            return self._refusal(request, 404, "task not found")
        host = f"http://{request.headers.get('host', '')}" if self.legacy else ""
        return _success(self._record(job, request.at, host))

    def _delete(self, request: Request, task_id: str) -> Reply:
        job = self._find(task_id, request.at)
        if job is None:
            return self._refusal(request, 404, "task not found")
        moment = job.moment(request.at)
        if self.legacy and moment.state == "queued":
            self._hidden.add(job.id)  # until its turn comes: then it runs anyway
            return _success(None)
        if not (self.legacy or moment.final):
            return self._refusal(request, 409, "task is still running")
        self.jobs.remove(job.id, at=request.at)
        return _success(None)

    def _find(self, task_id: str, now: float) -> Job | None:
        job = self.jobs.get(task_id)
        return job if job and self._visible(job, now) else None

    def _visible(self, job: Job, now: float) -> bool:
        return not (job.id in self._hidden and job.moment(now).state == "queued")

    # Files

    def _static(self, request: Request, task_id: str, name: str) -> Reply:
        asset = self._file(task_id, name, request.at)
        return serve(request, asset) if asset else self.not_found(request)

    def _stream(self, request: Request, path: str) -> Reply:
        """206 in any case, with or without a Range."""
        if _escapes(path):
            return self._refusal(request, 403, "invalid file path")
        asset = self._file(*_split(path), request.at)
        if asset is None:
            return self._missing_file(request)
        size = len(asset.data)
        try:
            start, end = parse_range(request.headers.get("range", "bytes=0-"), size)
        except (RangeMalformed, RangeNotSatisfiable):
            if self.legacy:
                return text_reply(500, "Internal Server Error")
            return self._refusal(request, 416, "requested range is not satisfiable")
        headers = (
            ("Content-Type", asset.media_type),
            ("Accept-Ranges", "bytes"),
            ("Content-Range", f"bytes {start}-{end}/{size}"),
        )
        return Reply(206, headers, asset.data[start : end + 1])

    def _download(self, request: Request, path: str) -> Reply:
        if _escapes(path):
            return self._refusal(request, 403, "invalid file path")
        task_id, name = _split(path)
        asset = self._file(task_id, name, request.at)
        if asset is None:
            return self._missing_file(request)
        try:
            parse_range(request.headers.get("range", "bytes=0-"), len(asset.data))
        except RangeMalformed:
            return text_reply(400, "Malformed range header.")
        except RangeNotSatisfiable:
            pass  # serve() reports it
        return serve(request, asset, headers=(("Content-Disposition", f'attachment; filename="{name}"'),))

    def _missing_file(self, request: Request) -> Reply:
        if self.legacy:
            return text_reply(500, "Internal Server Error")
        return self._refusal(request, 404, "file not found")

    def _file(self, task_id: str, name: str, now: float) -> Asset | None:
        """A file of a task in its current form: files appear, and can be read, before they are complete."""
        job = self.jobs.get(task_id)
        if job is None:
            return None
        modified = self.clock.wall(min(now, job.ends_at))
        match = re.fullmatch(r"(combined|final)-([0-9]{1,4})\.mp4", name)
        if match:
            whole = video(f"{job.id}/{name}", modified)
            written = _written(job, match.group(1) == "final", int(match.group(2)), now, len(whole.data))
            return None if written is None else Asset(whole.data[:written], whole.media_type, modified)
        texts = {"audio.mp3": audio, "subtitle.srt": subtitles}
        past_audio = job.moment(now).progress > 20
        return texts[name](modified) if name in texts and past_audio else None

    # Bodies

    def _record(self, job: Job, now: float, root: str) -> dict[str, Any]:
        """The record of a task, with video paths below ``root``."""
        moment = job.moment(now)
        state = {"completed": COMPLETE, "failed": FAILED}.get(moment.state, PROCESSING)
        progress = 0 if self.legacy and state == FAILED else int(moment.progress)
        record = {"task_id": job.id, "state": state, "progress": progress, **({} if self.legacy else _NULLS)}
        if state == FAILED and not self.legacy:
            record |= {"failed_stage": moment.stage, "error": job.failure}
        elif state == COMPLETE:
            record |= self._result(job, root)
        return record

    def _result(self, job: Job, root: str) -> dict[str, Any]:
        folder = f"{STORAGE}/tasks/{job.id}"
        if job.kind == "audio":
            return {"audio_file": f"{folder}/audio.mp3"}
        if job.kind == "subtitle":
            return {"subtitle_path": f"{folder}/subtitle.srt"}
        numbers = range(1, _count(job.data) + 1)
        result = {
            "videos": [f"{root}/tasks/{job.id}/final-{number}.mp4" for number in numbers],
            "combined_videos": [f"{root}/tasks/{job.id}/combined-{number}.mp4" for number in numbers],
            "script": job.data.get("video_script") or "One short line.",
            "terms": ["sea", "wind"],
            "audio_file": f"{folder}/audio.mp3",
            "audio_duration": 1,
            "subtitle_path": f"{folder}/subtitle.srt",
            "materials": [f"{STORAGE}/cache_videos/vid-1.mp4"],
        }
        return result if self.legacy else {**result, "warnings": None}

    def full(self, request: Request) -> Reply:
        return self._refusal(request, 429, "task queue is full, please try again later")

    def _refusal(self, request: Request, status: int, message: str) -> Reply:
        """The server's own error; the id in it is the request's, not the task's."""
        fresh = str(uuid.UUID(int=self._request_ids.getrandbits(128), version=4))
        request_id = request.headers.get("x-task-id") or fresh
        return json_reply(status, {"status": status, "message": f"{request_id}: {message}"})


def _written(job: Job, final: bool, number: int, now: float, size: int) -> int | None:
    """The bytes of a video file that are on disk; None while it does not exist.

    The stages of rendering are combine 1, finish 1, combine 2, finish 2 …; a combined file appears empty in the
    second half of its stage, a final one as a stub, and each is complete when its stage ends.
    """
    if job.kind != "video" or not 1 <= number <= _count(job.data):
        return None
    stage = len(job.stages) - 2 * _count(job.data) + 2 * (number - 1) + final
    begins = job.starts_at + sum(each.seconds[0] for each in job.stages[:stage])
    done = (min(now, job.stands_at) - begins) / job.stages[stage].seconds[0]
    if done >= 1.0 - 1e-9:
        return size
    if final:
        return min(_STUB, size) if done >= 0.0 else None
    return 0 if done >= 0.5 else None


def _count(data: Mapping[str, Any]) -> int:
    """The number of videos that a task makes; more than 20 are not simulated."""
    return min(max(1, int(data.get("video_count") or 1)), 20)


def _escapes(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")


def _split(path: str) -> tuple[str, str]:
    task_id, _, name = path.partition("/")
    return task_id, name


def _success(data: object) -> Reply:
    return json_reply(200, {"status": 200, "message": "success", "data": data})


# Validation: 400 and not 422, with one message for everything


def _invalid(faults: Sequence[Mapping[str, Any]]) -> Reply:
    return json_reply(400, {"status": 400, "data": list(faults), "message": "field required"})


def _faults(kind: str, fields: object) -> list[dict[str, Any]]:
    if not isinstance(fields, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        return [{"type": "model_attributes_type", "loc": ["body"], "msg": message, "input": fields}]
    required, count = _REQUIRED[kind], fields.get("video_count")
    if required not in fields:
        return [{"type": "missing", "loc": ["body", required], "msg": "Field required", "input": fields}]
    if not isinstance(fields[required], str):
        message = "Input should be a valid string"
        return [{"type": "string_type", "loc": ["body", required], "msg": message, "input": fields[required]}]
    if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
        message = "Input should be a valid integer"
        return [{"type": "int_type", "loc": ["body", "video_count"], "msg": message, "input": count}]
    return []


def _whole(request: Request, name: str, default: int, faults: list[dict[str, Any]]) -> int:
    """A number of the query, at least 1; any other value adds an entry to ``faults``.

    ``1.0`` and `` 1`` are numbers; ``1.5`` and the empty text are not.
    """
    text = request.query.get(name, str(default))
    loc = ["query", name]
    if not re.fullmatch(r"\s*[+-]?[0-9]{1,4000}(\.0*)?\s*", text, re.ASCII):
        message = "Input should be a valid integer, unable to parse string as an integer"
        faults.append({"type": "int_parsing", "loc": loc, "msg": message, "input": text})
        return default
    number = int(text.strip().partition(".")[0])
    if number < 1:
        message = "Input should be greater than or equal to 1"
        faults.append({"type": "greater_than_equal", "loc": loc, "msg": message, "input": text, "ctx": {"ge": 1}})
    return number
