"""Request lines: `GET /v1/videos/{id}?format=url`. Each value is encoded once, and a typo is reported at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from .. import parsing
from ..errors import BadReference, InvalidField, PluginError
from ..model import Request
from .ids import Ids

_LINE = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD) (?:https://([^/\s?#]+))?(/[^\s?#]*)(?:\?([^\s#]*))?")
_PLAIN = Ids()
_HOLE = re.compile(r"\{([A-Za-z_][\w.]*)(:path)?\}")


@dataclass(frozen=True)
class Line:
    """A method, a path and a query with holes: `{id}` is one segment, `{id:path}` an id that is itself a path.

    Another host of the vendor may precede the path: `GET https://rest.acme.example/list`. `json` is a body; its texts
    may have holes, and so may the values of `headers`. Raises PluginError for an invalid line.

    >>> Line("GET /jobs/{id}?full={full}").request({"id": "a b/c", "full": "1"}).path
    '/jobs/a%20b%2Fc'
    """

    text: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not _LINE.fullmatch(self.text):
            raise PluginError(f"{self.text!r} is not a request line: write it like 'GET /v1/jobs/{{id}}?full=true'")
        for text in (self.text, *_texts(self.json), *self.headers.values()):
            if re.search(r"[{}]", _HOLE.sub("", text)):
                raise PluginError(f"{self.text!r}: a hole must be '{{name}}' or '{{name:path}}', got {text!r}")
        try:
            self.request(dict.fromkeys(self.names, "a"))
        except BadReference:
            raise PluginError(f"{self.text!r}: the path may not have an empty, '.' or '..' part") from None

    @property
    def names(self) -> frozenset[str]:
        """The names of all holes."""
        return self.firm | _holes(_match(self.text)[4] or "", *self.headers.values())

    @property
    def firm(self) -> frozenset[str]:
        """The names of the holes that must be filled: those of the host, the path and the body."""
        return _holes(_match(self.text)[2] or "", _match(self.text)[3], *_texts(self.json))

    def allow(self, place: str, known: Collection[str], needed: Collection[str] = ()) -> None:
        """Raise PluginError for a hole that is not in `known`, or if one of `needed` is missing."""
        strange, lacking = sorted(self.names - set(known)), sorted(set(needed) - self.names)
        if strange:
            known_names = ", ".join(sorted(known)) or "none"
            raise PluginError(f"{place} {self.text!r}: nothing fills {{{strange[0]}}}; known here: {known_names}")
        if lacking:
            raise PluginError(f"{place} {self.text!r}: {{{lacking[0]}}} is missing, so it would name no job")

    @property
    def query(self) -> dict[str, str]:
        """The query, with its holes unfilled."""
        pairs = (pair.partition("=") for pair in (_match(self.text)[4] or "").split("&") if pair)
        return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}

    def request(
        self,
        values: Mapping[str, str | None],
        query: Mapping[str, str] | None = None,
        json: Any = None,
        **more: Any,
    ) -> Request:
        """The request. `query` adds to the line's query and overrides it by name; `more` goes to the Request.

        A query parameter or a header is left out if one of its holes is None. Raises BadReference.
        """
        method, host, path, _ = _match(self.text).groups()
        slash = path.endswith("/")  # taken from the line: a hole cannot add one
        path = _HOLE.sub(lambda hole: parsing.segment(values[hole[1]] or "", safe="/:" if hole[2] else ""), path)
        own = _present(self.query, values)
        headers = {name: _checked(name, value) for name, value in _present(self.headers, values).items()}
        body = _filled(self.json, values) if json is None else json
        host = _filled(host, values) or ""
        pairs = tuple({**own, **(query or {})}.items())
        return Request(method, path, pairs, headers, body, slash=slash, host=host, **more)


def request(
    line: str, ids: Ids = _PLAIN, *, json: Any = None, headers: Mapping[str, str] | None = None
) -> Callable[[str], Request]:
    """A builder for an operation on one job. `{id}` in the line and in the texts of `json` stands for its id.

    Raises PluginError for a line without the job's id, or with a hole that `ids` does not fill.

    >>> request("GET /v1/videos/{id}/content?format=url")("a/b")
    Request(method='GET', path='/v1/videos/a%2Fb/content', query=(('format', 'url'),), headers={}, json=None)
    >>> request("POST /video/status", json={"requestId": "{id}"})("a/b").json
    {'requestId': 'a/b'}
    """
    made = Line(line, json, headers or {})
    made.allow("request", ids.names, ids.names)
    return lambda job_id: made.request(ids.split(job_id))


def _match(line: str) -> re.Match[str]:
    found = _LINE.fullmatch(line)
    assert found is not None  # checked when the line was made
    return found


def _holes(*texts: str) -> frozenset[str]:
    return frozenset(hole[1] for text in texts for hole in _HOLE.finditer(text))


def _present(pairs: Mapping[str, str], values: Mapping[str, str | None]) -> dict[str, str]:
    """The pairs with their holes filled, without the pairs that have a hole that is None."""
    return {
        name: _filled(text, values)
        for name, text in pairs.items()
        if all(values[hole] is not None for hole in _holes(text))
    }


def _checked(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable() and value.strip()):
        raise InvalidField(
            f"the header {name} cannot be sent: its value must be ASCII text without line ends, not empty"
        )
    return value


def _texts(json: Any) -> list[str]:
    """All texts of a body."""
    if isinstance(json, Mapping):
        return [text for value in json.values() for text in _texts(value)]
    if isinstance(json, (list, tuple)):
        return [text for value in json for text in _texts(value)]
    return [json] if isinstance(json, str) else []


def _filled(json: Any, values: Mapping[str, str | None]) -> Any:
    """A copy of a body, or a text, with its holes filled."""
    if isinstance(json, Mapping):
        return {name: _filled(value, values) for name, value in json.items()}
    if isinstance(json, (list, tuple)):
        return [_filled(value, values) for value in json]
    return _HOLE.sub(lambda hole: values[hole[1]] or "", json) if isinstance(json, str) else json
