"""A face that plays recorded traffic: the responses of a real server, in their order.

    RecordedFace("recorded/success.json", base_path="/v1")

A recording is JSON: {"exchanges": [{"request": {"line": "GET /v1/jobs/7 HTTP/1.1", "headers": {}, "body": null},
"response": {"status": 200, "headers": {}, "body": "…"}}, …]}; "method" and "path" may replace "line", and pairs may
replace a mapping of headers. The body of a file may be given by `body_len` and `first64` (its first bytes, latin-1):
it is filled with zeros, and served with Range if the recorded response has the header "accept-ranges".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .assets import Asset, serve
from .face import Clock, Face, Route
from .wire import Reply, Request, json_reply

_OWN = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})
"""Headers that the server of the replay writes itself."""


@dataclass(frozen=True)
class _Exchange:
    """One recorded request with its response; a JSON body is parsed."""

    method: str
    path: str
    query: str
    body: object
    status: int
    headers: Mapping[str, str]
    data: bytes
    is_file: bool


class RecordedFace(Face):
    """Responds to each request with the first matching response that was recorded after the one played last.

    If none is left, the last matching response is repeated. A request matches by method and path; of several, one with
    the same query and body is preferred. A request that is not in the recording gets a 404. `origin` is the address of
    the recorded server, if bodies name it: the address of the replay replaces it.
    """

    def __init__(self, recording: Path | str, *, base_path: str = "", key: str | None = None, origin: str = "") -> None:
        """Raises OSError or ValueError for an unreadable recording, KeyError for an incomplete exchange."""
        super().__init__(key=key, capacity=1)
        self.base_path = base_path
        self._origin = origin
        said = json.loads(Path(recording).read_text(encoding="utf-8"))
        found = [_exchange(each["request"], each["response"]) for each in said["exchanges"] if each.get("response")]
        self._exchanges = [each for each in found if each is not None]

    def attach(self, clock: Clock, seed: str, urls: Mapping[str, str]) -> None:
        super().attach(clock, seed, urls)
        self._played = -1

    def routes(self) -> Sequence[Route]:
        return (Route("GET HEAD POST PUT PATCH DELETE", "(?s:.*)", self._play),)

    def _play(self, request: Request) -> Reply:
        known = [
            (number, each)
            for number, each in enumerate(self._exchanges)
            if (each.method, each.path) == (request.method, request.path)
        ]
        if not known:
            message = f"not in the recording: {request.method} {request.path}"
            return json_reply(404, {"error": {"message": message}})
        body = _body((request.body or b"").decode("utf-8", "replace"))
        same: tuple[Callable[[_Exchange], bool], ...]
        same = (lambda each: each.body == body, lambda each: each.query == request.raw_query)
        for test in same:
            known = [pair for pair in known if test(pair[1])] or known
        number, exchange = next((pair for pair in known if pair[0] > self._played), known[-1])
        self._played = max(self._played, number)
        return self._reply(exchange, request)

    def _reply(self, exchange: _Exchange, request: Request) -> Reply:
        headers = tuple((name, value) for name, value in exchange.headers.items() if name not in _OWN)
        if exchange.is_file and "accept-ranges" in exchange.headers:
            return serve(request, Asset(exchange.data, exchange.headers.get("content-type", ""), 0.0))
        data = (
            exchange.data.replace(self._origin.encode(), self.urls["api"].encode()) if self._origin else exchange.data
        )
        return Reply(exchange.status, headers, data)


def _exchange(request: Mapping[str, Any], response: Mapping[str, Any]) -> _Exchange | None:
    """One exchange; None for a request with a Range, which is served from the whole file."""
    if "range" in _headers(request.get("headers")):
        return None
    method, target = request["line"].split()[:2] if "line" in request else (request["method"], request["path"])
    path, size = urlsplit(target), response.get("body_len")
    data = (response.get("body") or "").encode()
    if size is not None:
        data = str(response.get("first64", "")).encode("latin-1")[:size].ljust(size, b"\0")
    headers, sent = _headers(response.get("headers")), _body(request.get("body") or "")
    return _Exchange(method, unquote(path.path), path.query, sent, response["status"], headers, data, size is not None)


def _headers(given: object) -> dict[str, str]:
    """Names in lower case."""
    pairs = given.items() if isinstance(given, Mapping) else given if isinstance(given, list) else ()
    return {str(name).lower(): str(value) for name, value in pairs}


def _body(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else text  # a form is recorded as its length and digest
    except ValueError:
        return text
