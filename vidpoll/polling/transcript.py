"""What providers answered last, for errors and bug reports: bounded, and without secrets. Nothing is sent here.

A `Recorder` keeps the last answers of all jobs of a client in one mebibyte; an `Exchange` is one of them, made safe to
show. The answers are kept as they came and cleaned only when somebody looks: that is rare, and polls are many.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import redact
from ..errors import Malformed
from ..faults import NoAnswer
from ..fork_lock import ForkLock
from ..model import Exchange, Request, Response

LIMIT = 1024 * 1024
"""Bytes that all transcripts of a client share."""

SHOWN = 2048
"""Characters of a body that are shown."""

_WHOLE = 16 * 1024  # a longer body is kept, and shown, in part only
_HEADERS = (
    "content-type", "retry-after", "retry-after-ms", "openai-poll-after-ms", "x-ratelimit-limit",
    "x-ratelimit-remaining", "x-ratelimit-reset", "x-request-id", "request-id", "trace-id", "location",
    "age", "x-cache",
)  # fmt: skip
_NAMES = {"key", "auth", "sig", "jwt", "pwd", "cookie", "set-cookie"}
_RELATIVE = re.compile(r"(?<![\w:])(/[^\s\"'<>?]*)\?[^\s\"'<>…][^\s\"'<>]*")


class _Raw(NamedTuple):
    """What is kept: no more of an answer than can ever be shown, and of an exception its words alone."""

    at: float
    request: Request
    response: Response | None
    reason: str | None
    hide: Callable[[str], str]
    cut: bool


def _size(response: Response | None) -> int:
    """About how many bytes are kept with an answer."""
    return 500 if response is None else 500 + len(response.body) + sum(map(len, response.headers.values()))


class Recorder:
    """The last answers of all jobs of a client, the oldest forgotten first. Threads may share it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._kept: deque[tuple[str, int, _Raw]] = deque()  # reference, size, answer; the oldest first
        self._size = 0
        self._lock = ForkLock()

    def note(
        self,
        ref: str,
        at: float,
        request: Request,
        outcome: Response | BaseException,
        hide: Callable[[str], str],
    ) -> None:
        """Keep one answer about the job `ref`; `hide` takes the account's secrets out of a text."""
        raw = _raw(at, request, outcome, hide)
        size = _size(raw.response)
        with self._lock:
            self._kept.append((ref, size, raw))
            self._size += size
            while self._size > self.limit:
                self._size -= self._kept.popleft()[1]

    def of(self, ref: str) -> tuple[Exchange, ...]:
        """What is kept about the job `ref`, oldest first, safe to show."""
        with self._lock:
            kept = [raw for about, _, raw in self._kept if about == ref]
        return tuple(map(_clean, kept))


def exchange(at: float, request: Request, outcome: Response | BaseException, hide: Callable[[str], str]) -> Exchange:
    """One question and its answer, safe to show."""
    return _clean(_raw(at, request, outcome, hide))


def _raw(at: float, request: Request, outcome: Response | BaseException, hide: Callable[[str], str]) -> _Raw:
    if not isinstance(outcome, Response):
        return _Raw(at, request, None, outcome.reason if isinstance(outcome, NoAnswer) else "no answer", hide, False)
    if len(outcome.body) <= _WHOLE:
        return _Raw(at, request, outcome, None, hide, False)
    start = hide(Response(outcome.status, outcome.headers, outcome.body[:_WHOLE]).text())  # half a key is a key
    return _Raw(at, request, Response(outcome.status, outcome.headers, start[:SHOWN].encode()), None, hide, True)


def _clean(raw: _Raw) -> Exchange:
    path = _shown(raw.hide(raw.request.place))
    if raw.response is None:
        return Exchange(raw.at, raw.request.method, path, reason=raw.reason)
    told = raw.response.headers
    headers = {name: _shown(raw.hide(told[name])[:500]) for name in _HEADERS if name in told}
    body = _body(raw.response, raw.hide)
    cut = raw.cut or len(body) > SHOWN
    return Exchange(raw.at, raw.request.method, path, raw.response.status, headers, body[:SHOWN], cut)


def _body(response: Response, hide: Callable[[str], str]) -> str:
    """The text of a body; JSON stays JSON, so that it can be parsed again, with each string in it made safe."""
    try:
        return json.dumps(_safe(response.json(), hide), ensure_ascii=False)
    except (Malformed, RecursionError):
        return _shown(hide(response.text()), limit=SHOWN + 1)


def _safe(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return _shown(hide(value))
    if isinstance(value, list):
        return [_safe(item, hide) for item in value]
    if isinstance(value, dict):
        pairs = ((name, redact.HIDDEN if _secret(name, item) else _safe(item, hide)) for name, item in value.items())
        return {_shown(hide(name)): item for name, item in pairs}
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return redact.HIDDEN if number and hide(str(value)) != str(value) else value


def _shown(text: str, limit: int = redact.MAX_TEXT) -> str:
    """Safe to show; a URL without a host has no query either."""
    return _RELATIVE.sub(r"\1?…", redact.text(text, limit=limit))


def _secret(name: str, item: object) -> bool:
    """Whether the name alone says that what stands under it is a key ("api_key", "token" …)."""
    told = name.lower() in _NAMES or redact.text(f"{name}=x").endswith(redact.HIDDEN)
    return told and isinstance(item, (str, list, dict)) and bool(item)
