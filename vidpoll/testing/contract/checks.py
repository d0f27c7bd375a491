"""What is wrong with an `index.json`: one line for each mistake, so that one run shows all of them. Pure functions."""

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
"""Where a sample comes from: the vendor's page or code, a response that was received, or a guess of the author's."""

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
    """One line for each mistake in an index and its rows."""
    yield from _head(said)
    names = [str(row.get("file")) for row in rows if row.get("file")]
    keys = ("file", "operation", "request", "token", "then")
    twice = Counter(tuple(str(row.get(key, "")) for key in keys) for row in rows)
    yield from (f"{key[0]} is listed twice for {key[1]}" for key, times in twice.items() if times > 1 and key[0])
    there = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()} - {"index.json"}
    yield from (f"{name} is in the folder but not in index.json" for name in sorted(there - set(names)))
    for row in rows:
        yield from _row(folder, row, said.get("id"))
    yield from _id(folder, said.get("id"), rows)
    follows = {row.get("file") for row in rows if row.get("operation") == "follow"}
    named = [(row.get("file"), name) for row in rows for name in _list(row.get("then"))]
    for file, name in named:
        if name not in names:
            yield f'{file}: "then" names {name}, which is not a sample'
        elif name not in follows:
            yield f'{file}: "then" names {name}, whose operation is not "follow"'
    unread = follows - {name for _, name in named}
    yield from (f'no sample names the second response {name}: add "then": ["{name}"] to one' for name in unread)


def _head(said: Mapping[str, Any]) -> Iterator[str]:
    strange = [name for name in said if name not in _HEAD]
    yield from (f'"{name}" is not a key of an index; the keys are {", ".join(sorted(_HEAD))}' for name in strange)
    if words(said.get("words")) is None:
        if said.get("words") is None:
            yield '"words" is missing: write each status word of the vendor\'s page with its state, {} if there is none'
        else:
            yield f'"words" must map each status word to one of {", ".join(State)} (use pairs if the words are numbers)'
    if not are_texts(said.get("decides", [])):
        yield '"decides" must be a list of dotted paths like "data.done"'
    if not isinstance(said.get("base_url"), str):
        yield '"base_url" is missing: write the base URL of the vendor\'s page, like "https://api.acme.example/v1"'
    if not isinstance(said.get("auth"), str) and not are_texts(said.get("auth"), empty=True):
        yield (
            '"auth" is missing: write the header line of the page, like "Authorization: Bearer {ACME_API_KEY}"; '
            'a list if there are several ways, "" if no key is needed'
        )
    if not is_number(said.get("floor")):
        yield '"floor" is missing: write the shortest pause between two polls of one job, in seconds'


def _id(folder: Path, job_id: object, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """With a sample of a submit, the id of the index must be in a sample; of an id that is a path, the last part."""
    if not isinstance(job_id, str) or not any(str(row.get("operation")).startswith("submit") for row in rows):
        return
    files = [folder / row["file"] for row in rows if isinstance(row.get("file"), str) and row["file"]]
    bodies = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
    last = job_id.rpartition("/")[2] or job_id
    if not any(last in text for text in (*bodies, *(str(row.get("request")) for row in rows))):
        yield f'"id" is {job_id!r}, which no sample and no "request" shows: write the id of the job in the samples'


def _row(folder: Path, row: Mapping[str, Any], default_id: object) -> Iterator[str]:
    """What is wrong with one sample."""
    file = row.get("file")
    who = file if isinstance(file, str) and file else "a sample without a file"
    if not isinstance(file, str) or not file:
        yield 'a sample has no "file"'
    elif not (folder / file).is_file():
        yield f"{who} is in index.json but not in the folder"
    strange = [name for name in row if name not in _ROW]
    yield from (f'{who}: "{name}" is not a key of a sample; the keys are {", ".join(sorted(_ROW))}' for name in strange)
    job_id = row.get("id", default_id)
    if not isinstance(job_id, str) or not job_id:
        yield f'{who}: "id" is missing, the id of the job that was polled: add it to this sample, or to the whole index'
    if row.get("origin") not in ORIGINS:
        yield f'{who}: "origin" must be one of {", ".join(ORIGINS)}, got {row.get("origin")!r}'
    operation = row.get("operation")
    if not isinstance(operation, str):
        yield f'{who}: "operation" is missing: write one of {OPERATIONS}'
    kind = str(operation).partition(" ")[0]
    yield from (f"{who}: {line}" for line in _answer(row))
    yield from (f"{who}: {line}" for line in _asked(row, kind))
    expect = row.get("expect", {})
    if not isinstance(expect, dict):
        yield f'{who}: "expect" must be an object'
    else:
        yield from (f"{who}: {line}" for line in _expectation(kind, expect))


def _answer(row: Mapping[str, Any]) -> Iterator[str]:
    status, headers = row.get("status", 200), row.get("headers", {})
    if not is_number(status) or not 100 <= status <= 599:
        yield f'"status" must be the HTTP status of the response, like 200, got {status!r}'
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        yield '"headers" must be an object of header names and texts'
    if not are_texts(row.get("then", [])):
        yield '"then" must be a list of file names'


def _asked(row: Mapping[str, Any], kind: str) -> Iterator[str]:
    """What is wrong with the keys about the request."""
    request = row.get("request")
    if request is not None and not (isinstance(request, str) and _LINE.fullmatch(request)):
        yield f'"request" must be METHOD and path with the base path, like "GET /v1/jobs/{{id}}", got {request!r}'
    if "sends" in row and request is None:
        yield '"sends" is the JSON body of a "request": add "request"'
    if "fields" in row and (kind not in ("submit", "estimate", "list") or not isinstance(row["fields"], dict)):
        yield '"fields" must be an object with the fields of a submit, list or estimate call, and only these have it'
    if "price" in row and not (kind == "submit" and _is_price(row["price"])):
        yield '"price" must be the price of a submit with these "fields": {"low": 0.8, "high": 0.8, "unit": "USD"}'
    if "token" in row and (kind != "list" or not isinstance(row["token"], str)):
        yield '"token" must be the token of a page, as text, and only list samples have it'


def _is_price(price: object) -> bool:
    whole = isinstance(price, dict) and set(price) == {"low", "high", "unit"} and isinstance(price["unit"], str)
    return whole and is_number(price["low"]) and is_number(price["high"])  # type: ignore[index]  # it is a dict


def _expectation(kind: str, expect: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an "expect"."""
    if expect.get("category") not in (None, *errors.CATEGORIES):
        yield f'"category" must be null or one of {", ".join(errors.CATEGORIES)}, got {expect["category"]!r}'
    if "raises" in expect:
        named = getattr(errors, str(expect["raises"]), None)
        fits = isinstance(named, type) and issubclass(named, (errors.AnswerError, errors.Refused))
        if not fits:
            yield f'"raises" must be Malformed, UnknownStatus, ForeignAnswer or Refused, got {expect["raises"]!r}'
        if expect.get("kind", "unknown") not in errors.KINDS:
            yield f'"kind" must be one of {", ".join(errors.KINDS)}, got {expect["kind"]!r}'
        yield from _unknown(expect, {"raises", "kind", "category"} if named is errors.Refused else {"raises"})
        return
    for name in _REQUIRED.get(kind, ()):
        if name not in expect:
            empty = "[]" if name in ("assets", "rows") else "null"
            yield f'"expect" lacks "{name}" (write {empty} if there is none)'
    if "state" in expect and expect["state"] not in list(State):
        yield f'"state" must be one of {", ".join(State)}, got {expect["state"]!r}'
    if kind in _ALLOWED:
        yield from _unknown(expect, _ALLOWED[kind])


def _unknown(expect: Mapping[str, Any], allowed: Iterable[str]) -> Iterator[str]:
    for name in expect:
        if name not in allowed:
            yield f'"expect" may not contain "{name}", only {", ".join(sorted(allowed))}'


def words(said: object) -> tuple[tuple[object, State], ...] | None:
    """The status words with their states; None if they are not valid.

    Words are a mapping, or pairs if they are numbers: [[1, "completed"], [4, "running"]].
    """
    try:
        pairs = list(said.items()) if isinstance(said, dict) else [(word, state) for word, state in said]  # type: ignore[attr-defined]
        return tuple((word, State(state)) for word, state in pairs)
    except (TypeError, ValueError):
        return None


def are_texts(value: object, *, empty: bool = False) -> bool:
    """Whether `value` is a list of texts. Empty texts are allowed only if `empty` is True."""
    return isinstance(value, list) and all(isinstance(each, str) and (each or empty) for each in value)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
