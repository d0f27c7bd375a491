"""What is wrong with an `index.json`: each mistake is a line, so that one look shows all of them. Pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ... import errors
from ...model import Quota, Snapshot, State, is_number

ORIGINS = ("documented", "recorded", "inferred")
"""On what a sample stands: the vendor's page or code, an answer that was really received, or a guess of ours."""

OPERATIONS = "status, submit KIND, estimate KIND, list, batch, quota, cancel, delete, content, error, follow"

_HEAD = {"about", "base_url", "auth", "floor", "id", "words", "decides", "samples"}
_ROW = {"file", "operation", "id", "origin", "source", "version", "note", "status", "headers", "request", "sends",
        "fields", "price", "token", "then", "expect"}  # fmt: skip
_LINE = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD) (https://[^/\s]+)?/\S*")
_FIRST = {name for name in (each.name for each in fields(Snapshot)) if name != "raw"}
_ALLOWED: Mapping[str, set[str]] = {
    "status": _FIRST,
    "submit": _FIRST,
    "list": {"rows", "next", "further"},
    "batch": {"rows", "next"},
    "quota": {each.name for each in fields(Quota)},
    "estimate": {"low", "high", "unit"},
    "error": {"message", "code", "details", "kind", "category", "charged"},
    "content": {"assets"},
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "status": ("state", "stage", "progress", "assets"),
    "submit": ("job_id",),
    "list": ("rows", "next"),
    "batch": ("rows", "next"),
    "estimate": ("low", "high", "unit"),
    "error": ("message",),
    "content": ("assets",),
}


def wrong(folder: Path, said: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of what is wrong with an index and its rows."""
    yield from _head(said)
    names = [str(row.get("file")) for row in rows if row.get("file")]
    keys = ("file", "operation", "request", "token", "then")
    twice = Counter(tuple(str(row.get(key, "")) for key in keys) for row in rows)
    yield from (f"{key[0]} is listed twice for {key[1]}" for key, times in twice.items() if times > 1 and key[0])
    there = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()} - {"index.json"}
    yield from (f"{name} lies in the folder and is not in index.json" for name in sorted(there - set(names)))
    for row in rows:
        yield from _row(folder, row, said.get("id"))
    follows = {row.get("file") for row in rows if row.get("operation") == "follow"}
    named = [(row.get("file"), name) for row in rows for name in _list(row.get("then"))]
    for file, name in named:
        if name not in names:
            yield f'{file}: "then" names {name}, which is no sample'
        elif name not in follows:
            yield f'{file}: "then" names {name}, whose operation is not "follow"'
    unread = follows - {name for _, name in named}
    yield from (f'{name} is a second answer that no sample names: add "then": ["{name}"] to one' for name in unread)


def _head(said: Mapping[str, Any]) -> Iterator[str]:
    yield from (f'"{name}" is no key of an index: {", ".join(sorted(_HEAD))}' for name in said if name not in _HEAD)
    if words(said.get("words")) is None:
        if said.get("words") is None:
            yield '"words" is missing: each status word of the vendor\'s page and its state; {} where there is none'
        else:
            yield f'"words" maps each status word to one of {", ".join(State)} (pairs where the words are numbers)'
    if not are_texts(said.get("decides", [])):
        yield '"decides" is not a list of dotted paths like "data.done"'
    if not isinstance(said.get("base_url"), str):
        yield '"base_url" is missing: the base URL of the vendor\'s page, "https://api.acme.example/v1"'
    if not isinstance(said.get("auth"), str) and not are_texts(said.get("auth"), empty=True):
        yield (
            '"auth" is missing: the header line that the page asks for, "Authorization: Bearer {ACME_API_KEY}"; a list '
            'where there are several ways; "" where no key is asked for'
        )
    if not is_number(said.get("floor")):
        yield '"floor" is missing: the shortest pause between two questions about one job, in seconds'


def _row(folder: Path, row: Mapping[str, Any], default_id: object) -> Iterator[str]:
    """What is wrong with one sample."""
    file = row.get("file")
    who = file if isinstance(file, str) and file else "a sample without a file"
    if not isinstance(file, str) or not file:
        yield 'a sample has no "file"'
    elif not (folder / file).is_file():
        yield f"{who} is in index.json and not in the folder"
    yield from (f'{who}: "{name}" is no key of a sample: {", ".join(sorted(_ROW))}' for name in row if name not in _ROW)
    job_id = row.get("id", default_id)
    if not isinstance(job_id, str) or not job_id:
        yield f'{who}: which job was asked about? Add "id" to it, or to the whole index'
    if row.get("origin") not in ORIGINS:
        yield f'{who}: "origin" is {row.get("origin")!r}: one of {", ".join(ORIGINS)}'
    operation = row.get("operation")
    if not isinstance(operation, str):
        yield f'{who}: "operation" is missing: {OPERATIONS}'
    kind = str(operation).partition(" ")[0]
    yield from (f"{who}: {line}" for line in _answer(row))
    yield from (f"{who}: {line}" for line in _asked(row, kind))
    expect = row.get("expect", {})
    if not isinstance(expect, dict):
        yield f'{who}: "expect" is no object'
    else:
        yield from (f"{who}: {line}" for line in _expectation(kind, expect))


def _answer(row: Mapping[str, Any]) -> Iterator[str]:
    status, headers = row.get("status", 200), row.get("headers", {})
    if not is_number(status) or not 100 <= status <= 599:
        yield f'"status" is {status!r}: the HTTP status of the answer, like 200'
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        yield '"headers" is an object of header names and texts'
    if not are_texts(row.get("then", [])):
        yield '"then" is a list of files'


def _asked(row: Mapping[str, Any], kind: str) -> Iterator[str]:
    """What is wrong with what was sent."""
    request = row.get("request")
    if request is not None and not (isinstance(request, str) and _LINE.fullmatch(request)):
        yield f'"request" is {request!r}: METHOD and path with the base path, like "GET /v1/jobs/{{id}}"'
    if "sends" in row and request is None:
        yield '"sends" is the JSON body of a "request", and there is none'
    if "fields" in row and (kind not in ("submit", "estimate", "list") or not isinstance(row["fields"], dict)):
        yield '"fields" is an object, the fields of a submit or list call, or of an estimate'
    if "price" in row and not (kind == "submit" and _is_price(row["price"])):
        yield '"price" is what a submit with these "fields" costs by the page: {"low": 0.8, "high": 0.8, "unit": "USD"}'
    if "token" in row and (kind != "list" or not isinstance(row["token"], str)):
        yield '"token" is text, the token of a page of a list'


def _is_price(price: object) -> bool:
    whole = isinstance(price, dict) and set(price) == {"low", "high", "unit"} and isinstance(price["unit"], str)
    return whole and is_number(price["low"]) and is_number(price["high"])  # type: ignore[index]  # it is a dict


def _expectation(kind: str, expect: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an "expect"."""
    if expect.get("category") not in (None, *errors.CATEGORIES):
        yield f'"category" is {expect["category"]!r}: null, or one of {", ".join(errors.CATEGORIES)}'
    if "raises" in expect:
        named = getattr(errors, str(expect["raises"]), None)
        fits = isinstance(named, type) and issubclass(named, (errors.AnswerError, errors.Refused))
        if not fits:
            yield f'"raises" is {expect["raises"]!r}: Malformed, UnknownStatus, ForeignAnswer or Refused'
        if expect.get("kind", "unknown") not in errors.KINDS:
            yield f'"kind" is {expect["kind"]!r}: one of {", ".join(errors.KINDS)}'
        yield from _unknown(expect, {"raises", "kind", "category"} if named is errors.Refused else {"raises"})
        return
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


def words(said: object) -> tuple[tuple[object, State], ...] | None:
    """Words as a mapping, or as pairs where they are numbers: [[1, "completed"], [4, "running"]]. None: neither."""
    try:
        pairs = list(said.items()) if isinstance(said, dict) else [(word, state) for word, state in said]  # type: ignore[attr-defined]
        return tuple((word, State(state)) for word, state in pairs)
    except (TypeError, ValueError):
        return None


def are_texts(value: object, *, empty: bool = False) -> bool:
    """Whether it is a list of texts; of texts that are not empty, unless `empty`."""
    return isinstance(value, list) and all(isinstance(each, str) and (each or empty) for each in value)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
