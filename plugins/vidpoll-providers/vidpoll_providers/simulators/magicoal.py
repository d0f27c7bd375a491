"""A simulator of MagiCoal: two generators, status, the video list, the quota, and permanent files.

Written from the public pages (coals.ai/docs/magicoal and its errors and rate-limits pages). If they are silent, the
simulator follows what the other pages suggest, and a comment marks it "inferred". This module may import only the
standard library and the simulator's core, never the plugin.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from vidpoll.testing.simulator import (
    Clock,
    Face,
    Job,
    Reply,
    Request,
    Route,
    Stage,
    Timeline,
    Window,
    image,
    json_reply,
    serve,
    video,
)

PRICES = {"i2v": 50.0, "t2v": 52.0}
FRAMES_PER_SECOND = 16
DEFAULT_FRAMES = 81
GENERATE, READ = "magicoal:generate", "magicoal:read"

_WAIT = (6.0, 7.0)
TIMELINES = {
    "t2v": Timeline(
        _WAIT,
        (
            Stage("generating_image", (6.0, 7.0), (5, 20)),
            Stage("uploading_image", (6.0, 7.0), (20, 25)),
            Stage("generating_video", (9.0, 14.0), (25, 90)),
            Stage("saving", (6.0, 7.0), (90, 100)),
        ),
    ),
    "i2v": Timeline(
        _WAIT,
        (
            Stage("generating_video", (18.0, 24.0), (25, 90)),
            Stage("saving", (6.0, 7.0), (90, 100)),
        ),
    ),
}
"""Faster than the 60 to 180 s of the service, but each stage lasts two polling intervals of 3 s."""


class MagicoalFace(Face):
    """MagiCoal on one origin: API below ``/api/v1/magicoal``, files below ``/storage``."""

    base_path = "/api/v1/magicoal"
    timelines = TIMELINES
    floor = 3.0

    def __init__(
        self,
        *,
        key: str = "sim-magicoal-key",
        scopes: Sequence[str] = (GENERATE, READ),
        credits: float = 1000.0,
        videos_limit: int | None = None,
        rate_limit: int = 1000,
        rate_window: float = 3600.0,
        flat_errors: bool = False,
        capacity: int = 4,
        timelines: Mapping[str, Timeline] | None = None,
    ) -> None:
        """``credits`` is the balance at the start; ``videos_limit`` selects the free plan with so many videos a month.

        ``rate_limit`` requests a key are allowed in ``rate_window`` simulated seconds (the window is not documented).
        ``flat_errors`` returns errors as the older services do: a text instead of code and message.
        """
        super().__init__(key=key, capacity=capacity, timelines=timelines)
        self.scopes = frozenset(scopes)
        self.credits = credits
        self.videos_limit = videos_limit
        self.flat_errors = flat_errors
        self.rate = (rate_limit, rate_window)

    def attach(self, clock: Clock, seed: str, urls: Mapping[str, str]) -> None:
        super().attach(clock, seed, urls)
        self._window = Window(*self.rate)
        self._charged = 0.0
        self._refundable: list[Job] = []

    def routes(self) -> Sequence[Route]:
        api = re.escape(self.base_path)
        return (
            Route("POST", f"{api}/generate/(i2v|t2v)", self._generate),
            Route("GET", f"{api}/status/([^/]+)", self._status),
            Route("GET", f"{api}/videos", self._videos),
            Route("GET", f"{api}/quota", self._quota),
            Route("GET HEAD", r"/storage/videos/([^/]+)\.mp4", self._video),
            Route("GET HEAD", r"/storage/thumbnails/([^/]+)\.jpg", self._thumbnail),
        )

    def defaults(self, kind: str) -> dict[str, Any]:
        return {"prompt": "a lighthouse at dusk", "num_frames": DEFAULT_FRAMES}

    # Before any route

    def refuse(self, request: Request) -> Reply | None:
        """The rate limit, then the key, then its scope. A request with a wrong key also counts (inferred)."""
        if not request.path.startswith(self.base_path):
            return None
        self._allowance = self._window.take(request.headers.get("authorization", ""), request.at)
        if not self._allowance.allowed:
            return self._slow_down(self.real_seconds(self._allowance.resets_at - request.at))
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self._error(401, "UNAUTHORIZED", "API key missing, invalid or revoked.")
        scope = GENERATE if request.method == "POST" else READ
        if scope not in self.scopes:
            return self._error(403, "FORBIDDEN", f"API key lacks scope {scope}.")
        return None

    def dress(self, request: Request, reply: Reply) -> Reply:
        """Every response of the API counts the window down; the reset is a Unix time."""
        if not request.path.startswith(self.base_path):
            return reply
        counted = (
            ("X-RateLimit-Limit", str(self._allowance.limit)),
            ("X-RateLimit-Remaining", str(self._allowance.remaining)),
            ("X-RateLimit-Reset", str(int(self.clock.wall(self._allowance.resets_at)) + 1)),
        )
        return Reply(reply.status, reply.headers + counted, reply.body)

    def not_found(self, request: Request) -> Reply:
        return self._error(404, "NOT_FOUND", "The requested resource does not exist.")

    def not_allowed(self, request: Request) -> Reply:
        return self._error(405, "METHOD_NOT_ALLOWED", f"{request.method} is not supported here.")

    def too_large(self, request: Request) -> Reply:
        return self._error(413, "PAYLOAD_TOO_LARGE", "Uploaded file exceeds the size limit.")

    # Routes

    def _generate(self, request: Request, kind: str) -> Reply:
        try:
            fields = request.json()
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return self._error(400, "BAD_REQUEST", "The request body must be a JSON object.")
        details = _faults(kind, fields)
        if details:
            return self._error(422, "VALIDATION_ERROR", "The request failed validation.", details)
        if not self._affordable(kind, request.at):
            return self._error(402, "INSUFFICIENT_CREDITS", "Not enough credits for this job.")
        data = {"prompt": fields.get("prompt") or "", "num_frames": fields.get("num_frames", DEFAULT_FRAMES)}
        job = self.submit(kind, request, {**data, "credits": PRICES[kind]})
        self._charged += PRICES[kind]
        if job.failure is not None:
            self._refundable.append(job)
        body = {"uuid": job.id, "type": kind, "status": "queued", "credits_charged": PRICES[kind]}
        return json_reply(202, {"success": True, "data": body})

    def _status(self, request: Request, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return self._error(404, "NOT_FOUND", "Job not found.")
        wait = self.too_soon(job, request.at)
        if wait:
            return self._slow_down(wait)
        return json_reply(200, {"success": True, "data": self._job(job, request.at)})

    def _videos(self, request: Request) -> Reply:
        """Completed jobs only; the newest comes first (inferred)."""
        page = _whole(request.query.get("page", "1"), 1, None)
        per_page = _whole(request.query.get("per_page", "15"), 1, 100)
        if page is None or per_page is None:
            field, rule = ("page", "at least 1") if page is None else ("per_page", "between 1 and 100")
            details = {field: [f"{field} must be an integer {rule}."]}
            return self._error(422, "VALIDATION_ERROR", "The request failed validation.", details)
        done = [job for job in self.jobs if job.moment(request.at).state == "completed"][::-1]
        last_page = max(1, -(-len(done) // per_page))
        rows = [self._row(job) for job in done[(page - 1) * per_page : page * per_page]]
        meta = {
            "current_page": page,
            "per_page": per_page,
            "total": len(done),
            "last_page": last_page,
            "has_more": page < last_page,
        }
        return json_reply(200, {"success": True, "data": rows, "meta": meta})

    def _quota(self, request: Request) -> Reply:
        used = self._videos_used(request.at)
        limit = self.videos_limit
        body = {
            "plan": "pro" if limit is None else "free",
            "videos_limit": limit,
            "videos_used": used,
            "videos_remaining": None if limit is None else max(0, limit - used),
            "reset_at": self._next_month(request.at),
            "credit_balance": self._balance(request.at),
            "unlimited": limit is None,
        }
        return json_reply(200, {"success": True, "data": body})

    def _video(self, request: Request, job_id: str) -> Reply:
        job = self._finished(job_id, request.at)
        return serve(request, video(job.id, self.clock.wall(job.ends_at))) if job else self.not_found(request)

    def _thumbnail(self, request: Request, job_id: str) -> Reply:
        job = self._finished(job_id, request.at)
        return serve(request, image(job.id, self.clock.wall(job.ends_at))) if job else self.not_found(request)

    # Bodies

    def _job(self, job: Job, now: float) -> dict[str, Any]:
        """The status of a job. The form of a failure is inferred: the pages only name the word."""
        moment = job.moment(now)
        done = moment.state == "completed"
        word = moment.stage if moment.state == "running" else moment.state
        body = {
            "uuid": job.id,
            "type": job.kind,
            "status": word,
            "stage": word,
            "progress": int(moment.progress),
            "done": moment.final,
            "video_url": self._url(job, "videos", "mp4") if done else None,
            "thumbnail_url": self._url(job, "thumbnails", "jpg") if done else None,
            "credits_charged": job.data.get("credits", 0.0),
            "created_at": self._iso(job.submitted_at),
        }
        if done:
            body["duration_seconds"] = job.data["num_frames"] / FRAMES_PER_SECOND
            body["completed_at"] = self._iso(job.ends_at)
        elif moment.state == "failed":
            body["error"] = {"code": "GENERATION_FAILED", "message": job.failure}
        return body

    def _row(self, job: Job) -> dict[str, Any]:
        return {
            "uuid": job.id,
            "type": job.kind,
            "prompt": job.data["prompt"],
            "status": "completed",
            "video_url": self._url(job, "videos", "mp4"),
            "thumbnail_url": self._url(job, "thumbnails", "jpg"),
            "duration_seconds": job.data["num_frames"] / FRAMES_PER_SECOND,
            "credits_charged": job.data.get("credits", 0.0),
            "created_at": self._iso(job.submitted_at),
        }

    def full(self, request: Request) -> Reply:
        return self._error(429, "CONCURRENCY_LIMIT", "Too many jobs are running.")

    def _error(self, status: int, code: str, message: str, details: Mapping[str, list[str]] | None = None) -> Reply:
        error: dict[str, Any] = {"code": code, "message": message}
        if details:
            error["details"] = dict(details)
        return json_reply(status, {"success": False, "error": message if self.flat_errors else error})

    def _slow_down(self, seconds: int) -> Reply:
        reply = self._error(429, "RATE_LIMIT_EXCEEDED", f"Rate limit exceeded. Retry after {seconds} seconds.")
        return Reply(reply.status, (*reply.headers, ("Retry-After", str(seconds))), reply.body)

    # Facts about the account and its jobs

    def _balance(self, now: float) -> float:
        """Credits are charged with the submit and refunded when the job fails."""
        refunded = sum(PRICES[job.kind] for job in self._refundable if job.moment(now).final)
        return self.credits - self._charged + refunded

    def _affordable(self, kind: str, now: float) -> bool:
        """Whether the credits, and on the free plan the videos of the month (402 is inferred), suffice."""
        videos_left = self.videos_limit is None or self._videos_used(now) < self.videos_limit
        return videos_left and self._balance(now) >= PRICES[kind]

    def _videos_used(self, now: float) -> int:
        return sum(job.moment(now).state == "completed" for job in self.jobs)

    def _finished(self, job_id: str, now: float) -> Job | None:
        job = self.jobs.get(job_id)
        return job if job and job.moment(now).state == "completed" else None

    def _url(self, job: Job, folder: str, suffix: str) -> str:
        return f"{self.urls['api']}/storage/{folder}/{job.id}.{suffix}"

    def _iso(self, at: float) -> str:
        return datetime.fromtimestamp(self.clock.wall(at), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _next_month(self, at: float) -> str:
        now = datetime.fromtimestamp(self.clock.wall(at), timezone.utc)
        year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
        return f"{year:04}-{month:02}-01T00:00:00Z"


# The documented limits of the two generators


def _faults(kind: str, fields: Mapping[str, Any]) -> dict[str, list[str]]:
    """The faults of a submit's fields, each field with its sentences; empty if there are none."""
    rules: dict[str, Callable[[Any], str | None]] = {
        "prompt": _prompt_fault,
        "num_frames": _frames_fault,
        "guidance_scale": _guidance_fault,
        "seed": _seed_fault,
    }
    if kind == "i2v":
        rules["image"] = _image_fault
    required = "image" if kind == "i2v" else "prompt"
    faults = {required: [f"{required} is required."]} if not fields.get(required) else {}
    for field, rule in rules.items():
        fault = rule(fields[field]) if fields.get(field) is not None and field not in faults else None
        if fault:
            faults[field] = [f"{field} {fault}"]
    return faults


def _prompt_fault(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be a string."
    return "may not exceed 2000 characters." if len(value) > 2000 else None


def _frames_fault(value: object) -> str | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 17 <= value <= 161 and value % 2 == 1
    return None if good else "must be an odd number between 17 and 161."


def _guidance_fault(value: object) -> str | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 1.0 <= value <= 10.0
    return None if good else "must be a number between 1.0 and 10.0."


def _seed_fault(value: object) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) else "must be an integer."


def _image_fault(value: object) -> str | None:
    """An https URL, or base64 of a JPEG, PNG or WebP with or without its data-URI prefix."""
    rule = "must be an https URL or a base64-encoded JPEG, PNG or WebP image."
    if not isinstance(value, str):
        return rule
    if "://" in value:
        url = urlsplit(value)
        return None if url.scheme == "https" and url.hostname else rule
    encoded = re.sub(r"^data:image/[a-z]+;base64,", "", value)
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return rule
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return None if webp or data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) else rule


def _whole(text: str, least: int, most: int | None) -> int | None:
    """``text`` as a number, or None if it is not a number or out of range."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        return None
    return int(text) if least <= int(text) and (most is None or int(text) <= most) else None
