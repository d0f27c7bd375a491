"""What providers answered last, for errors and bug reports: bounded, and without secrets. Nothing is sent here.

A `Recorder` keeps the last answers of all jobs of a client in one mebibyte; an `Exchange` is one of them, made safe to
show. The answers are kept as they came and cleaned only when somebody looks: that is rare, and polls are many.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import redact
from .faults import NoAnswer
from .model import Request, Response

LIMIT = 1024 * 1024
"""Bytes that all transcripts of a client share."""

SHOWN = 2048
"""Characters of a body that are shown."""

_WHOLE = 16 * 1024  # a longer body is kept, and shown, in part only
_HEADERS = (
    "content-type", "retry-after", "retry-after-ms", "openai-poll-after-ms", "x-ratelimit-limit",
    "x-ratelimit-remaining", "x-ratelimit-reset", "x-request-id", "request-id", "trace-id", "location",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer. `at` is Unix seconds; `status` is None where no answer came, and `reason` says why.

    `body` is at most 2,048 characters, without keys and without the queries of URLs; `cut` says that it was longer.
    """

    at: float
    method: str
    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = field(default="", repr=False)
    cut: bool = False
    reason: str | None = None


class _Raw(NamedTuple):
    at: float
    request: Request
    outcome: Response | BaseException
    scrub: Callable[[Response], Response]
    cut: bool

    @property
    def size(self) -> int:
        return 500 + (len(self.outcome.body) if isinstance(self.outcome, Response) else 0)


class Recorder:
    """The last answers of all jobs of a client, the oldest forgotten first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._kept: dict[str, deque[_Raw]] = {}
        self._order: deque[str] = deque()
        self._size = 0

    def note(
        self, ref: str, at: float, request: Request, outcome: Response | BaseException, scrub: Callable[[Response], Any]
    ) -> None:
        """Keep one answer about the job `ref`; `scrub` takes the account's secrets out of a response."""
        cut = isinstance(outcome, Response) and len(outcome.body) > _WHOLE
        if isinstance(outcome, Response) and cut:
            outcome = Response(outcome.status, outcome.headers, outcome.body[:SHOWN])
        raw = _Raw(at, request, outcome, scrub, cut)
        self._kept.setdefault(ref, deque()).append(raw)
        self._order.append(ref)
        self._size += raw.size
        while self._size > self.limit:
            oldest = self._order.popleft()
            self._size -= self._kept[oldest].popleft().size
            if not self._kept[oldest]:
                del self._kept[oldest]

    def of(self, ref: str) -> tuple[Exchange, ...]:
        """What is kept about the job `ref`, oldest first, safe to show."""
        return tuple(map(_clean, self._kept.get(ref, ())))


def _clean(raw: _Raw) -> Exchange:
    path = redact.text(raw.request.path)
    if not isinstance(raw.outcome, Response):
        known = isinstance(raw.outcome, NoAnswer)
        return Exchange(raw.at, raw.request.method, path, reason=str(raw.outcome) if known else "no answer")
    response = raw.scrub(raw.outcome)
    headers = {name: redact.text(value) for name in _HEADERS if (value := response.header(name)) is not None}
    body = _body(response.body)
    return Exchange(
        raw.at, raw.request.method, path, response.status, headers, body[:SHOWN], raw.cut or len(body) > SHOWN
    )


def _body(body: bytes) -> str:
    """The text of a body; JSON stays JSON, so that it can be parsed again, with each string in it made safe."""
    text = body.decode("utf-8", "replace")
    try:
        return json.dumps(_safe(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return redact.text(text, limit=SHOWN + 1)


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return redact.text(value)
    if isinstance(value, list):
        return [_safe(item) for item in value]
    if isinstance(value, dict):
        return {name: redact.HIDDEN if _secret(name, item) else _safe(item) for name, item in value.items()}
    return value


def _secret(name: str, item: object) -> bool:
    """Whether the name alone says that a text is a key ("api_key", "token" …)."""
    return isinstance(item, str) and redact.text(f"{name}=x").endswith(redact.HIDDEN)
