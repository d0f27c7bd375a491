"""A simulator of Token360: the video API on one origin, presigned media on another.

Written from the public pages (www.token360.ai/en-US/docs/api-reference). The media origin behaves as S3 does with a
presigned URL: the signature is checked, it expires, and a second way to authenticate is refused. Behaviour that the
pages leave open is marked "inferred". Webhooks are not simulated. This module may import only the standard library and
the simulator's core, never the plugin.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from vidpoll.testing.simulator import (
    Asset,
    Clock,
    Face,
    Job,
    Reply,
    Request,
    Route,
    Stage,
    Timeline,
    image,
    json_reply,
    serve,
    video,
)

URL_LIFE = 3600
"""Simulated seconds for which a signed URL is valid."""

TIMELINES = {"video": Timeline((6.0, 8.0), (Stage("in_progress", (26.0, 34.0), (0, 100)),))}

_TYPES: Mapping[str, type] = {
    "model": str,
    "prompt": str,
    "duration": int,
    "resolution": str,
    "aspect_ratio": str,
    "generate_audio": bool,
    "seed": int,
    "watermark": bool,
    "return_last_frame": bool,
    "execution_expires_after": int,
    "safety_identifier": str,
    "callback_url": str,
    "metadata": dict,
    "frame_images": list,
    "input_references": list,
}
_TYPE_NAMES = {str: "a string", int: "an integer", bool: "a boolean", dict: "an object", list: "an array"}


class Token360Face(Face):
    """Token360: the API below ``/v1``, videos and last frames on the origin "media"."""

    base_path = "/v1"
    origins = ("api", "media")
    timelines = TIMELINES

    def __init__(
        self,
        *,
        key: str = "sim-token360-key",
        models: Sequence[str] = ("seedance-2.0",),
        affordable_jobs: int | None = None,
        omit_urls: bool = False,
        capacity: int = 4,
        timelines: Mapping[str, Timeline] | None = None,
    ) -> None:
        """``affordable_jobs`` is the number of submits that the balance pays for, None for any number.

        ``omit_urls`` leaves ``url`` and ``video_url`` out of a completed job: only ``/content`` leads to its video.
        """
        super().__init__(key=key, capacity=capacity, timelines=timelines)
        self.models = tuple(models)
        self.affordable_jobs = affordable_jobs
        self.omit_urls = omit_urls

    def attach(self, clock: Clock, seed: str, urls: Mapping[str, str]) -> None:
        super().attach(clock, seed, urls)
        self._signing_key = f"{seed}:media".encode()

    def routes(self) -> Sequence[Route]:
        return (
            Route("POST", "/v1/videos", self._submit),
            Route("GET", "/v1/videos", self._list),
            Route("GET", "/v1/videos/([^/]+)", self._poll),
            Route("DELETE", "/v1/videos/([^/]+)", self._delete),
            Route("GET", "/v1/videos/([^/]+)/content", self._content),
            Route("GET HEAD", r"/v/([^/]+?)(-last\.jpg|\.mp4)", self._media, origin="media"),
        )

    def new_id(self, dice: random.Random) -> str:
        return f"vt_{dice.getrandbits(48):012x}"

    def defaults(self, kind: str) -> dict[str, Any]:
        return {"model": self.models[0], "prompt": "a lighthouse at dusk"}

    # Before any route

    def refuse(self, request: Request) -> Reply | None:
        if request.origin != "api" or request.headers.get("authorization") == f"Bearer {self.key}":
            return None
        body = {"message": "Invalid API key or token provided", "type": "invalid_api_key", "code": "401"}
        return json_reply(401, {"error": body})

    def not_found(self, request: Request) -> Reply:
        if request.origin == "media":
            return _media_error(404, "NoSuchKey", "The specified key does not exist.")
        return _error(404, "not_found_error", f"Unknown request URL: {request.method} {request.path}")

    def not_allowed(self, request: Request) -> Reply:
        if request.origin == "media":
            return _media_error(405, "MethodNotAllowed", "The specified method is not allowed.")
        return _error(405, "invalid_request_error", f"Method {request.method} is not allowed")

    def too_large(self, request: Request) -> Reply:
        return _error(400, "invalid_request_error", "The request body is too large")

    def full(self, request: Request) -> Reply:
        return _error(429, "rate_limit_error", "Too many concurrent requests")

    # The API

    def _submit(self, request: Request) -> Reply:
        try:
            fields = request.json()
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return _error(400, "invalid_request_error", "The request body must be a JSON object")
        fault = _fault(fields)
        if fault:
            param, rule = fault
            return _error(400, "invalid_request_error", f"{param} {rule}", param)
        if fields["model"] not in self.models:
            return _error(404, "model_not_found", "The requested model does not exist", "model")
        if self.affordable_jobs is not None and self.jobs.submitted >= self.affordable_jobs:
            return _error(402, "insufficient_balance", "Insufficient account balance")
        job = self.submit("video", request, fields)
        task = self._task(job, request.at)
        del task["progress"]
        return json_reply(200, task)

    def _poll(self, request: Request, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        return json_reply(200, self._task(job, request.at)) if job else _no_video()

    def _delete(self, request: Request, job_id: str) -> Reply:
        """Delete in any state; a running job ends with it (inferred)."""
        if self.jobs.get(job_id) is None:
            return _no_video()
        self.jobs.remove(job_id, at=request.at)
        return json_reply(200, {"id": job_id, "object": "video", "deleted": True})

    def _list(self, request: Request) -> Reply:
        query = request.query
        limit = query.get("limit", "20")
        if not (re.fullmatch("[0-9]{1,3}", limit) and 1 <= int(limit) <= 100):
            return _error(400, "invalid_request_error", "limit must be an integer between 1 and 100", "limit")
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            return _error(400, "invalid_request_error", "order must be asc or desc", "order")
        jobs = sorted(self.jobs, key=lambda job: (job.submitted_at, job.number), reverse=order == "desc")
        for cursor in ("after", "before"):
            if cursor in query and self.jobs.get(query[cursor]) is None:
                return _error(400, "invalid_request_error", f"{cursor} is not a video of this account", cursor)
        page, more = _page(jobs, int(limit), query.get("after"), query.get("before"))
        body = {
            "object": "list",
            "data": [self._row(job, request.at) for job in page],
            "has_more": more,
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
        return json_reply(200, body)

    def _content(self, request: Request, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return _no_video()
        wanted = request.query.get("format", "redirect")
        if wanted not in ("redirect", "url", "binary"):
            return _error(400, "invalid_request_error", "format must be redirect, url or binary", "format")
        status = _word(job, request.at)
        if status != "completed":
            message = f"Video is not ready yet. Current status: {status}"
            return json_reply(400, {"error": {"message": message, "type": "invalid_request_error"}})
        if wanted == "binary":
            attachment = ("Content-Disposition", f'attachment; filename="{job.id}.mp4"')
            return serve(request, self._file(job, ".mp4"), headers=(attachment,))
        url = self._signed(job, ".mp4", request.at)
        if wanted == "url":
            return json_reply(200, {"url": url, "video_id": job.id, "expires_in": URL_LIFE})
        return Reply(302, (("Location", url),))

    # The media origin

    def _media(self, request: Request, job_id: str, suffix: str) -> Reply:
        """S3's responses in S3's order; the signature is for GET, so HEAD is refused."""
        if "authorization" in request.headers:
            return _media_error(400, "InvalidArgument", "Only one auth mechanism allowed.")
        query = request.query
        issued, signature = query.get("X-Sim-Issued-At", ""), query.get("X-Amz-Signature", "")
        if not signature:
            return _media_error(403, "AccessDenied", "Access Denied")
        expected = self._signature(request.method, request.path, issued)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return _media_error(403, "SignatureDoesNotMatch", "The request signature does not match.")
        if request.at > float(issued) + URL_LIFE:
            return _media_error(403, "AccessDenied", "Request has expired")
        job = self.jobs.get(job_id)
        return serve(request, self._file(job, suffix)) if job else self.not_found(request)

    def _signed(self, job: Job, suffix: str, at: float) -> str:
        path, issued = f"/v/{job.id}{suffix}", f"{at:.3f}"
        signature = self._signature("GET", path, issued)
        query = {"X-Amz-Expires": str(URL_LIFE), "X-Sim-Issued-At": issued, "X-Amz-Signature": signature}
        return f"{self.urls['media']}{path}?{urlencode(query)}"

    def _signature(self, method: str, path: str, issued: str) -> str:
        return hmac.new(self._signing_key, f"{method} {path} {issued}".encode(), hashlib.sha256).hexdigest()

    def _file(self, job: Job, suffix: str) -> Asset:
        make = video if suffix == ".mp4" else image
        return make(job.id, self.clock.wall(job.ends_at))

    # Bodies

    def _row(self, job: Job, now: float) -> dict[str, Any]:
        return {
            "id": job.id,
            "object": "video",
            "status": _word(job, now),
            "model": job.data["model"],
            "prompt": job.data["prompt"],
            "created_at": int(self.clock.wall(job.submitted_at)),
        }

    def _task(self, job: Job, now: float) -> dict[str, Any]:
        moment = job.moment(now)
        changed = {"queued": job.submitted_at, "running": now}.get(moment.state, job.ends_at)
        task = {
            **self._row(job, now),
            "updated_at": int(self.clock.wall(changed)),
            "progress": 0 if moment.state == "failed" else int(moment.progress),
        }
        if moment.state == "failed":
            return {**task, "error": {"code": "upstream_error", "message": job.failure}}
        task["parameters"] = _parameters(job)
        return {**task, **self._result(job, now)} if moment.state == "completed" else task

    def _result(self, job: Job, now: float) -> dict[str, Any]:
        """The fields that only a completed task has, including the provider's extra fields."""
        parameters = _parameters(job)
        mode = "i2v_first_frame" if job.data.get("frame_images") else "t2v"
        result: dict[str, Any] = {
            "duration": parameters["duration"],
            "resolution": parameters["resolution"],
            "parameters": {**parameters, "video_mode": mode},
            "fileformat": "mp4",
            "frames": parameters["duration"] * 24 + 1,
            "generate_audio": parameters["audio"],
        }
        if not self.omit_urls:
            url = self._signed(job, ".mp4", now)
            result |= {"url": url, "video_url": url}
        if job.data.get("return_last_frame"):
            result["content"] = {"last_frame_url": self._signed(job, "-last.jpg", now)}
        return result


def _word(job: Job, now: float) -> str:
    state = job.moment(now).state
    return "in_progress" if state == "running" else state


def _parameters(job: Job) -> dict[str, Any]:
    return {
        "duration": job.data.get("duration", 4),
        "resolution": job.data.get("resolution", "720p"),
        "aspect_ratio": job.data.get("aspect_ratio", "16:9"),
        "seed": job.data.get("seed", job.number),
        "audio": job.data.get("generate_audio", False),
        "watermark": job.data.get("watermark", False),
    }


def _fault(fields: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first field that is missing or of a wrong type, and its fault. Unknown fields pass."""
    for name in ("model", "prompt"):
        if not fields.get(name):
            return name, "is required"
    for name, kind in _TYPES.items():
        value = fields.get(name)
        wrong_bool = isinstance(value, bool) and kind is not bool
        if value is not None and (wrong_bool or not isinstance(value, kind)):
            return name, f"must be {_TYPE_NAMES[kind]}"
    duration = fields.get("duration")
    return ("duration", "must be at least 1") if duration is not None and duration < 1 else None


def _page(jobs: list[Job], limit: int, after: str | None, before: str | None) -> tuple[list[Job], bool]:
    """The jobs that follow ``after``, or directly precede ``before``, and whether there are more in that direction."""
    ids = [job.id for job in jobs]
    start = ids.index(after) + 1 if after else 0
    stop = ids.index(before) if before else len(jobs)
    window = jobs[start:stop]
    page = window[-limit:] if before and not after else window[:limit]
    return page, len(window) > limit


def _error(status: int, kind: str, message: str, param: str | None = None) -> Reply:
    return json_reply(status, {"error": {"message": message, "type": kind, "param": param, "code": str(status)}})


def _no_video() -> Reply:
    return _error(404, "not_found_error", "Video not found")


def _media_error(status: int, code: str, message: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status, (("Content-Type", "application/xml"),), body.encode())
