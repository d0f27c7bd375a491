"""The samples of a plugin: bodies in a folder, and `index.json`, which says where each comes from and what it means.

    {"base_url": "https://api.acme.example/v1", "auth": "Authorization: Bearer {ACME_API_KEY}", "floor": 5,
     "id": "job_7f3a",
     "words": {"queued": "queued", "rendering": "running", "done": "completed", "error": "failed"},
     "decides": [],
     "samples": [{"file": "status-rendering.json", "operation": "status", "request": "GET /v1/jobs/{id}",
                  "origin": "documented", "source": "https://docs.acme.example/status",
                  "expect": {"state": "running", "stage": "rendering", "progress": 40, "assets": []}}]}

This module only has the values and reads them; `checks` finds mistakes in an index. No provider is called here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...model import Response, State
from . import checks


@dataclass(frozen=True)
class Sample:
    """One response: its body, its operation, and what it means.

    `request` and `sends` are the documented request for the call's `fields` and the list page's `token`. `then` names
    the second responses of a Follow. `price` is the documented price of a submit with these `fields`.
    """

    file: str
    operation: str
    job_id: str
    body: bytes = field(default=b"", repr=False)
    origin: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    expect: Mapping[str, Any] = field(default_factory=dict, repr=False)
    then: tuple[str, ...] = ()
    request: str = ""
    sends: Any = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    price: Mapping[str, Any] = field(default_factory=dict, repr=False)
    token: str | None = None

    def response(self, body: bytes | None = None) -> Response:
        """The response, or the same one with another body."""
        headers = {"content-type": "application/json", **self.headers}
        return Response(self.status, headers, self.body if body is None else body)

    @property
    def data(self) -> Any:
        """The body as JSON; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def about(self) -> str:
        """The parser's second argument: the job's id, or the page's token for a list."""
        return (self.token or "") if self.operation == "list" else self.job_id

    @property
    def state(self) -> State | None:
        """The expected state; None if an exception is expected instead."""
        said = self.expect.get("state")
        return State(said) if said in list(State) else None

    @property
    def refused(self) -> bool:
        """Whether the parser must raise: the response is a refusal, or says nothing about the job."""
        return "raises" in self.expect


@dataclass(frozen=True)
class Index:
    """The content of `index.json`. `wrong` has one line for each mistake in it."""

    folder: Path
    samples: tuple[Sample, ...] = ()
    words: tuple[tuple[object, State], ...] | None = None
    decides: tuple[tuple[str, ...], ...] = ()
    wrong: tuple[str, ...] = ()
    base_url: str | None = None
    auth: tuple[str, ...] | None = None
    floor: float | None = None

    def of(self, operation: str) -> tuple[Sample, ...]:
        """The samples of an operation; "submit" stands for all kinds of submit."""
        return tuple(each for each in self.samples if operation in (each.operation, each.operation.partition(" ")[0]))

    def named(self, file: str) -> Sample | None:
        """The sample with this file, preferably one of a second response."""
        found = [each for each in self.samples if each.file == file]
        return next((each for each in found if each.operation == "follow"), found[0] if found else None)

    def means(self, word: object) -> State | None:
        """The state listed for a word. Text matches in upper and lower case; a boolean is not a number."""
        for known, state in self.words or ():
            if isinstance(word, str) and isinstance(known, str) and known.casefold() == word.casefold():
                return state
            if type(known) is type(word) and known == word:
                return state
        return None

    def decides_at(self, path: tuple[str | int, ...]) -> bool:
        """Whether "decides" of the index names the field at `path`, or a field that contains it.

        `*` stands for any name or number. Inside the row of a list, the end of the path is enough, because a row has
        no envelope.
        """
        shown = tuple(map(str, path))
        row = next((shown[at + 1 :] for at, key in enumerate(path) if isinstance(key, int)), ())
        return any(_begins(shown, each) or _ends(row, each) for each in self.decides)

    def decides_in(self, path: tuple[str | int, ...]) -> bool:
        """Whether the value at `path` contains a field that decides."""
        shown = tuple(map(str, path))
        return any(len(each) > len(shown) and _begins(shown, each[: len(shown)]) for each in self.decides)


def _begins(path: tuple[str, ...], decider: tuple[str, ...]) -> bool:
    fits = all(mine in ("*", part) for mine, part in zip(decider, path, strict=False))
    return len(decider) <= len(path) and fits


def _ends(row: tuple[str, ...], decider: tuple[str, ...]) -> bool:
    return any(_begins(row, decider[at:]) for at in range(len(decider))) if row else False


def read(folder: Path) -> Index:
    """Read the index of a folder. Never raises: each part that cannot be read is a line in `wrong`."""
    path = folder / "index.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return Index(folder, wrong=(f"there is no file {path}",))
    except ValueError as error:
        return Index(folder, wrong=(f"{path} is not JSON: {error}",))
    if not isinstance(said, dict) or not isinstance(said.get("samples"), list):
        return Index(folder, wrong=(f'{path} must be an object with a list "samples"',))
    rows = [row if isinstance(row, dict) else {} for row in said["samples"]]
    words = said.get("words")
    auth = said.get("auth")
    floor = said.get("floor")
    decides = said.get("decides", [])
    return Index(
        folder,
        tuple(_sample(folder, row, said.get("id")) for row in rows),
        checks.words(words),
        tuple(tuple(each.split(".")) for each in decides) if checks.are_texts(decides) else (),
        tuple(checks.wrong(folder, said, rows)),
        base_url=said["base_url"] if isinstance(said.get("base_url"), str) else None,
        auth=(auth,) if isinstance(auth, str) else tuple(auth or ()) if checks.are_texts(auth, empty=True) else None,
        floor=floor if isinstance(floor, (int, float)) and not isinstance(floor, bool) else None,
    )


def _sample(folder: Path, row: Mapping[str, Any], default_id: object) -> Sample:
    """A row, as far as it is valid; `checks` reports the rest."""

    def given(name: str, kind: type, default: Any) -> Any:
        value = row.get(name, default)
        return value if isinstance(value, kind) and not (kind is int and isinstance(value, bool)) else default

    file = given("file", str, "")
    job_id = row.get("id", default_id)
    return Sample(
        file=file,
        operation=given("operation", str, ""),
        job_id=job_id if isinstance(job_id, str) and job_id else "j1",
        body=_body(folder / file) if file else b"",
        origin=str(row.get("origin")),
        status=given("status", int, 200),
        headers=given("headers", dict, {}),
        expect=given("expect", dict, {}),
        then=tuple(map(str, given("then", list, []))),
        request=given("request", str, ""),
        sends=row.get("sends"),
        fields=given("fields", dict, {}),
        price=given("price", dict, {}),
        token=given("token", str, None),
    )


def _body(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
