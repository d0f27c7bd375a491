"""The samples of a plugin: bodies in a folder, and `index.json`, which says where each comes from and what it means.

    {"id": "job_7f3a",
     "words": {"queued": "queued", "rendering": "running", "done": "completed", "error": "failed"},
     "decides": [],
     "samples": [{"file": "status-rendering.json", "operation": "status", "origin": "documented",
                  "source": "https://docs.acme.example/status",
                  "expect": {"state": "running", "stage": "rendering", "progress": 40, "assets": []}}]}

Reading only: what is wrong with an index is collected as lines, so that one look shows all of it. No provider is
called here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ... import errors
from ...model import Quota, Response, Snapshot, State

ORIGINS = ("documented", "recorded", "inferred")
"""On what a sample stands: the vendor's page or code, an answer that was really received, or a guess of ours."""

_SNAPSHOT = {each.name for each in fields(Snapshot)} - {"raw"}
_ALLOWED: Mapping[str, set[str]] = {
    "status": _SNAPSHOT,
    "submit": {"job_id", "state", "stage", "progress"},
    "list": {"rows", "next"},
    "quota": {each.name for each in fields(Quota)},
    "error": {"message", "code"},
    "content": {"assets"},
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "status": ("state", "stage", "progress", "assets"),
    "submit": ("job_id",),
    "list": ("rows", "next"),
    "error": ("message",),
    "content": ("assets",),
}


@dataclass(frozen=True)
class Sample:
    """One answer: its body, what it answers, and what it means. `then` answers the further requests of a Follow.

    `fields` are good fields of a submit, for a simulated one; without them what it `sends` is tried.
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
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def response(self, body: bytes | None = None) -> Response:
        """The answer, or the same one with another body."""
        headers = {"content-type": "application/json", **self.headers}
        return Response(self.status, headers, self.body if body is None else body)

    @property
    def data(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def state(self) -> State | None:
        """The state that is expected; None where something is raised instead."""
        said = self.expect.get("state")
        return State(said) if said in list(State) else None


@dataclass(frozen=True)
class Index:
    """What `index.json` says. `wrong` are the lines of what is wrong with it."""

    folder: Path
    samples: tuple[Sample, ...] = ()
    words: tuple[tuple[object, State], ...] | None = None
    decides: tuple[tuple[str, ...], ...] = ()
    wrong: tuple[str, ...] = ()

    def of(self, operation: str) -> tuple[Sample, ...]:
        """The samples of an operation; "submit" stands for all kinds of it."""
        return tuple(each for each in self.samples if _kind(each.operation) == operation or each.operation == operation)

    def named(self, file: str) -> Sample | None:
        return next((each for each in self.samples if each.file == file), None)

    def means(self, word: object) -> State | None:
        """The state that a word is listed with; text in any case, booleans are no numbers."""
        for known, state in self.words or ():
            if isinstance(word, str) and isinstance(known, str) and known.casefold() == word.casefold():
                return state
            if type(known) is type(word) and known == word:
                return state
        return None

    def is_decider(self, path: tuple[str | int, ...]) -> bool:
        """Whether the index says that the field at `path` decides; `*` in it stands for any name or number."""
        shown = tuple(map(str, path))
        return any(
            len(each) == len(shown) and all(mine in ("*", part) for mine, part in zip(each, shown, strict=True))
            for each in self.decides
        )


def read(folder: Path) -> Index:
    """The index of a folder. Never raises: what cannot be read is a line in `wrong`."""
    path = folder / "index.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return Index(folder, wrong=(f"there is no {path}",))
    except ValueError as error:
        return Index(folder, wrong=(f"{path} is not JSON: {error}",))
    if not isinstance(said, dict) or not isinstance(said.get("samples"), list):
        return Index(folder, wrong=(f'{path} is not an object with a list "samples"',))
    wrong: list[str] = []
    rows = [row if isinstance(row, dict) else {} for row in said["samples"]]
    samples = tuple(_sample(folder, row, said.get("id"), wrong) for row in rows)
    names = [sample.file for sample in samples]
    wrong += [f"{name} is listed twice" for name in sorted({name for name in names if names.count(name) > 1})]
    there = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()} - {"index.json"}
    wrong += [f"{name} lies in the folder and is not in index.json" for name in sorted(there - set(names))]
    for sample in samples:
        wrong += [
            f'{sample.file}: "then" names {name}, which is no sample' for name in sample.then if name not in names
        ]
    words = _words(said.get("words"), wrong)
    decides = said.get("decides", [])
    if not isinstance(decides, list) or not all(isinstance(each, str) and each for each in decides):
        wrong.append('"decides" is not a list of dotted paths like "data.done"')
        decides = []
    return Index(folder, samples, words, tuple(tuple(each.split(".")) for each in decides), tuple(wrong))


def _sample(folder: Path, row: Mapping[str, Any], default_id: object, wrong: list[str]) -> Sample:
    file = row.get("file") if isinstance(row.get("file"), str) else ""
    who = file or "a sample without a file"
    body = b""
    try:
        body = (folder / str(file)).read_bytes() if file else b""
    except OSError:
        wrong.append(f"{who} is in index.json and not in the folder")
    if not file:
        wrong.append('a sample has no "file"')
    job_id = row.get("id", default_id)
    if not isinstance(job_id, str) or not job_id:
        wrong.append(f'{who}: which job was asked about? Add "id" to it, or to the whole index')
        job_id = "j1"
    if row.get("origin") not in ORIGINS:
        wrong.append(f'{who}: "origin" is {row.get("origin")!r}: one of {", ".join(ORIGINS)}')
    operation = row.get("operation")
    if not isinstance(operation, str):
        wrong.append(f'{who}: "operation" is missing: status, submit KIND, list, quota, cancel, delete, content, error')
        operation = ""
    expect = row.get("expect", {})
    if not isinstance(expect, dict):
        wrong.append(f'{who}: "expect" is no object')
        expect = {}
    wrong += [f"{who}: {line}" for line in _expectation(operation, expect)]
    then = row.get("then", [])
    return Sample(
        file=str(file),
        operation=operation,
        job_id=job_id,
        body=body,
        origin=str(row.get("origin")),
        status=row["status"] if isinstance(row.get("status"), int) else 200,
        headers=row["headers"] if isinstance(row.get("headers"), dict) else {},
        expect=expect,
        then=tuple(map(str, then)) if isinstance(then, list) else (),
        request=row["request"] if isinstance(row.get("request"), str) else "",
        fields=next((row[name] for name in ("fields", "sends") if isinstance(row.get(name), dict)), {}),
    )


def _kind(operation: str) -> str:
    return operation.partition(" ")[0]


def _expectation(operation: str, expect: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an "expect"."""
    if "raises" in expect:
        named = getattr(errors, str(expect["raises"]), None)
        fits = isinstance(named, type) and issubclass(named, (errors.AnswerError, errors.Refused))
        if not fits:
            yield f'"raises" is {expect["raises"]!r}: Malformed, UnknownStatus, ForeignAnswer or Refused'
        yield from _unknown(expect, {"raises", "kind"} if named is errors.Refused else {"raises"})
        return
    kind = _kind(operation)
    for name in _REQUIRED.get(kind, ()):
        if name not in expect:
            empty = "[]" if name in ("assets", "rows") else "null"
            yield f'"expect" lacks "{name}" ({empty} where there is none)'
    if "state" in expect and expect["state"] not in list(State):
        yield f'"state" is {expect["state"]!r}: one of {", ".join(State)}'
    if kind in _ALLOWED:
        yield from _unknown(expect, _ALLOWED[kind])


def _unknown(expect: Mapping[str, Any], allowed: Iterable[str]) -> Iterator[str]:
    for name in expect:
        if name not in allowed:
            yield f'"expect" holds "{name}"; it may hold {", ".join(sorted(allowed))}'


def _words(said: object, wrong: list[str]) -> tuple[tuple[object, State], ...] | None:
    """Words as a mapping, or as pairs where they are numbers: [[1, "completed"], [4, "running"]]."""
    if said is None:
        wrong.append('"words" is missing: each status word of the vendor\'s page and its state; {} where there is none')
        return None
    try:
        pairs = list(said.items()) if isinstance(said, dict) else [(word, state) for word, state in said]  # type: ignore[attr-defined]
        return tuple((word, State(state)) for word, state in pairs)
    except (TypeError, ValueError):
        wrong.append(f'"words" maps each status word to one of {", ".join(State)} (pairs where the words are numbers)')
        return None
