"""The last responses of providers, for errors and bug reports: bounded, and without secrets. Nothing is sent here.

A `Recorder` keeps the last responses for all jobs of a client in one mebibyte; an `Exchange` is one of them, safe to
show. Responses are stored unchanged and redacted only when they are read: reads are rare, and polls are many.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any, NamedTuple

from .. import redact
from ..errors import Malformed
from ..faults import NoAnswer
from ..fork_lock import ForkLock
from ..model import Exchange, Request, Response

LIMIT = 1024 * 1024
"""Bytes for all transcripts of a client together."""

SHOWN = 2048
"""Characters of a body that are shown."""

_WHOLE = 16 * 1024  # a longer body is kept, and shown, in part only
_HEADERS = (
    "content-type", "retry-after", "retry-after-ms", "openai-poll-after-ms", "x-ratelimit-limit",
    "x-ratelimit-remaining", "x-ratelimit-reset", "x-request-id", "request-id", "trace-id", "location",
    "age", "x-cache",
)  # fmt: skip
_LONG = re.compile(r"[^\s\"'<>{}\[\],;]{20,}")
_URL = re.compile(r"(?i)(?:https?:)?//|\.?/")
_SEGMENT = re.compile(r"[^/?#.]{20,}")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_TOLD = {
    "at", "audio", "code", "completed", "cover", "created", "date", "description", "detail", "details", "error",
    "errors", "expires", "file", "files", "finished", "href", "id", "ids", "image", "job", "kind", "link", "message",
    "mode", "model", "msg", "name", "object", "path", "phase", "progress", "prompt", "reason", "ref", "reference",
    "request", "stage", "started", "state", "status", "step", "task", "text", "thumbnail", "time", "title", "trace",
    "type", "updated", "uri", "url", "urls", "uuid", "video", "word",
}  # fmt: skip
"""A field whose name ends with one of these words is shown whole. In other fields a long word may be a signature."""


class _Raw(NamedTuple):
    """A stored response, no longer than what can be shown; of an exception only the message."""

    at: float
    request: Request
    response: Response | None
    reason: str | None
    secrets: tuple[str, ...]
    cut: bool


def _size(response: Response | None) -> int:
    """The approximate size in bytes of a stored response."""
    return 500 if response is None else 500 + len(response.body) + sum(map(len, response.headers.values()))


class Recorder:
    """The last responses for all jobs of a client; the oldest are dropped first. Threads may share it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._kept: deque[tuple[str, int, _Raw]] = deque()  # reference, size, response; the oldest first
        self._size = 0
        self._lock = ForkLock()

    def note(
        self,
        ref: str,
        at: float,
        request: Request,
        outcome: Response | BaseException,
        secrets: tuple[str, ...],
    ) -> None:
        """Keep one response about the job `ref`. `secrets` are hidden when it is shown."""
        raw = _raw(at, request, outcome, secrets)
        size = _size(raw.response) + sum(map(len, secrets))
        with self._lock.current:
            self._kept.append((ref, size, raw))
            self._size += size
            while self._size > self.limit:
                self._size -= self._kept.popleft()[1]

    def of(self, ref: str) -> tuple[Exchange, ...]:
        """The kept responses about the job `ref`, oldest first, safe to show."""
        with self._lock.current:
            kept = [raw for about, _, raw in self._kept if about == ref]
        return tuple(map(_clean, kept))


def exchange(at: float, request: Request, outcome: Response | BaseException, secrets: tuple[str, ...]) -> Exchange:
    """One request and its response, safe to show."""
    return _clean(_raw(at, request, outcome, secrets))


def _raw(at: float, request: Request, outcome: Response | BaseException, secrets: tuple[str, ...]) -> _Raw:
    if not isinstance(outcome, Response):
        reason = outcome.reason if isinstance(outcome, NoAnswer) else "no answer"
        return _Raw(at, request, None, reason, secrets, False)
    if len(outcome.body) <= _WHOLE:
        return _Raw(at, request, outcome, None, secrets, False)
    start = Response(outcome.status, outcome.headers, outcome.body[:_WHOLE]).text()
    start = redact.hide(start, secrets)  # before the text is cut: half a key would not be recognized
    return _Raw(at, request, Response(outcome.status, outcome.headers, start[:SHOWN].encode()), None, secrets, True)


def _clean(raw: _Raw) -> Exchange:
    with redact.hiding(raw.secrets):
        path = redact.text(raw.request.place)
        if raw.response is None:
            return Exchange(raw.at, raw.request.method, path, reason=raw.reason)
        told = raw.response.headers
        headers = {name: redact.text(told[name]) for name in _HEADERS if name in told}
        body = _body(raw.response)
    cut = raw.cut or len(body) > SHOWN
    return Exchange(raw.at, raw.request.method, path, raw.response.status, headers, body[:SHOWN], cut)


def _body(response: Response) -> str:
    """The text of a body, safe to show. JSON stays JSON that can be parsed again."""
    try:
        return json.dumps(_safe(response.json()), ensure_ascii=False)
    except (Malformed, RecursionError):
        return _shortened(redact.text(response.text(), limit=SHOWN + 1))


def _safe(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        shown = redact.text(value)
        return shown if _is_told(name) else _shortened(shown)
    if isinstance(value, list):
        return [_safe(item, name) for item in value]
    if isinstance(value, dict):
        return {redact.text(name): _under(name, item) for name, item in value.items()}
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return redact.HIDDEN if number and redact.text(value) != str(value) else value


def _under(name: str, item: Any) -> Any:
    """A field's value, hidden if the field's name says that it is a secret ("api_key", "token" …)."""
    told = isinstance(item, bool) or not item or not redact.is_secret_name(name)
    return _safe(item, name) if told else redact.HIDDEN


def _is_told(name: str) -> bool:
    words = _WORDS.findall(name)
    return bool(words) and words[-1].lower() in _TOLD


def _shortened(shown: str) -> str:
    """The text with each long word cut to its beginning; in a URL, each segment of the path counts as a word."""
    return _LONG.sub(lambda word: _SEGMENT.sub(_start, word[0]) if _URL.match(word[0]) else _start(word), shown)


def _start(word: re.Match[str]) -> str:
    return word[0] if word[0].isdecimal() else f"{word[0][:8]}…"
