"""The rules that requests are those of the vendor's page: method, path, query and body of each operation.

Each function is one rule; it returns, or fails the test through `broken`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ...declare.forms import read_form
from ...errors import UsageError
from ...model import Request
from . import mutations
from .samples import Sample
from .subject import BY_ID, Subject, broken, said

_RULE = "a request must be the documented one"
_WHY = "the provider would answer 404, 405 or 400, and nothing would work"
_HOLE = re.compile(r"\{[^{}]*\}")
_ODD = 'é 日本 "q" <b>&amp; \\ %41 + end'


def documented(subject: Subject) -> None:
    """Every operation has a sample with `request`, and each `request` equals what the builder sends."""
    missing = []
    for name in subject.operations:
        pinned = [sample for sample in subject.index.samples if sample.operation == name and sample.request]
        kind = name.removeprefix("submit ")
        if name.startswith("submit ") and kind not in subject.submits:
            continue  # `given` reports it
        if name.startswith("upload "):
            continue  # no sample has a file
        for sample in pinned:
            compare(subject, sample, subject.build(name, subject.builder(name, sample)))
        if not pinned:
            told = paste(subject, subject.build(name, subject.builder(name)), named=name in BY_ID)
            missing.append(f"\n        {name}: {told}")
    if missing and subject.index.samples:
        broken(
            "every operation must have a sample that says what is sent",
            seen=f'no sample of these operations has "request"; the builders send:{"".join(missing)}',
            why="the first user would find a wrongly copied path",
            do="compare each line with the vendor's page, and add it to a sample of the operation (the body of the "
            "sample may be an empty file)",
        )


def given(subject: Subject) -> None:
    """Each submit kind has valid fields, in the class or in a sample."""
    kinds = {name.removeprefix("submit ") for name in subject.operations if name.startswith("submit ")}
    missing, strange = sorted(kinds - set(subject.submits)), sorted(set(subject.given) - kinds)
    if missing or strange:
        wrong = [f"`submits` of the contract class lacks {', '.join(missing)}"] if missing else []
        wrong += [f"`submits` names {', '.join(strange)}; the provider has {', '.join(kinds)}"] if strange else []
        broken(
            "every submit operation must be tried",
            seen="; ".join(wrong),
            why="an operation that spends money would be published untested",
            do=f'add valid fields to the class: submits = {{"{(missing or sorted(kinds) or ["video"])[0]}": '
            f'{{"prompt": "a lighthouse at dusk"}}}}, or "fields" to its sample',
        )


def compare(subject: Subject, sample: Sample, request: Request) -> None:
    """Fail unless a request is the one that a sample documents."""
    method, _, target = sample.request.partition(" ")
    path, _, query = target.partition("?")
    above = "" if request.host else _base(subject)
    hole = ".+" if "/" in sample.job_id else "[^/]+"
    parts = re.split(r"(\{[^}]*\})", path)
    pattern = "".join(hole if part.startswith("{") else re.escape(part) for part in parts)
    due = sorted(parse_qsl(query, keep_blank_values=True))
    wrong = request.method != method or not re.fullmatch(pattern, above + request.place)
    if wrong or not _like(sorted(request.query), due):
        broken(
            _RULE,
            seen=f"{sample.file}: {sample.operation} sends {line(subject, request)}, index.json says {sample.request}",
            why=_WHY,
            do='correct the builder, or "request" in index.json: base path, path and the whole query; {name} in it '
            "stands for any value",
        )
    body = sent(request)
    if not _like(body, sample.sends):
        broken(
            "a request must have the documented body",
            seen=f"{sample.file}: {sample.operation} sends {_shown(body)}, index.json says {_shown(sample.sends)}",
            why="the provider would refuse it, or make another video than the user ordered",
            do=f'correct the builder; or, if the vendor\'s page says so, write "sends": {_shown(body)}; "{{name}}" in '
            'it stands for any value; leave "sends" out for a request without a body',
        )


def sent(request: Request) -> Any:
    """The body of a request as plain data; None if there is none."""
    if request.body is None:
        return None if request.json is None else _plain(request.json)
    kind = next((value for name, value in request.headers.items() if name.lower() == "content-type"), "")
    if kind.startswith("multipart/form-data"):
        return read_form(kind, request.body)
    try:
        return json.loads(request.body)
    except ValueError:
        return request.body.decode("utf-8", "replace")


def _plain(value: object) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return f"not JSON: {value!r}"


def _like(found: Any, due: Any) -> bool:
    """Equal and of the same types; "{name}" stands for any value."""
    if isinstance(due, str) and _HOLE.fullmatch(due):
        return found not in (None, "")
    if isinstance(due, (list, tuple)) and isinstance(found, (list, tuple)) and len(due) == len(found):
        return all(map(_like, found, due))
    if isinstance(due, dict) and isinstance(found, dict):
        return due.keys() == found.keys() and all(_like(found[name], due[name]) for name in due)
    return type(found) is type(due) and bool(found == due)


def line(subject: Subject, request: Request) -> str:
    """A request as index.json writes it."""
    query = f"?{urlencode(request.query)}" if request.query else ""
    return f"{request.method} {'' if request.host else _base(subject)}{request.place}{query}"


def paste(subject: Subject, request: Request, *, named: bool = False) -> str:
    """A request as the keys of a sample. If `named`, the job's id in it becomes "{id}"."""
    body, asked = sent(request), line(subject, request)
    job_id = subject.index.samples[0].job_id if named and subject.index.samples else ""
    for form in (quote(job_id, safe=""), quote(job_id)) if job_id else ():
        asked = asked.replace(form, "{id}")
    return f'"request": {json.dumps(asked)}' + ("" if body is None else f', "sends": {_shown(body)}')


def _base(subject: Subject) -> str:
    return urlsplit(subject.provider.base_url).path.rstrip("/")


def _shown(body: Any) -> str:
    return "no body" if body is None else json.dumps(body, ensure_ascii=False)


# -- values -----------------------------------------------------------------------------------------------------------


def values(subject: Subject) -> None:
    """Each field's value is sent as it was given, including 0 and False; a field that is None is not sent."""
    for name, fields in _submitted(subject):
        plain = sent(subject.build(name, partial(subject.operations[name].request, dict(fields))))
        for field, value in fields.items():
            places = [path for path, each in mutations.nodes(plain) if path and mutations.same(each, value)]
            if not places:
                continue  # the builder converts the value; `sends` says to what
            for new in _others(value):
                body = _try(subject, name, {**fields, field: new})
                if body is not None and not any(mutations.same(mutations.get(body, path), new) for path in places):
                    _lost(name, field, new, body)
            body = _try(subject, name, {**fields, field: None})
            nulls = [path for path, each in mutations.nodes(body) if path and each is None]
            if body is not None and nulls:
                broken(
                    "a field that is None must not be sent",
                    seen=f"{name} with {field}=None: {mutations.dotted(nulls[0])} is null",
                    why="None means that the user gave no value; many providers refuse null, or read it as a value",
                    do="leave such fields out, as parsing.checked(…) does",
                )


def _submitted(subject: Subject) -> Iterator[tuple[str, dict[str, object]]]:
    for name in subject.operations:
        kind = name.removeprefix("submit ")
        if name.startswith("submit ") and kind in subject.submits:
            tried = [dict(subject.submits[kind])]
            tried += [dict(each.fields) for each in subject.index.of(name) if each.fields]
            yield from ((name, fields) for at, fields in enumerate(tried) if fields not in tried[:at])


def _try(subject: Subject, name: str, fields: Mapping[str, object]) -> Any:
    """The body for these fields; None if the builder refuses them."""
    try:
        return sent(subject.operations[name].request(dict(fields)))
    except UsageError:
        return None
    except Exception as error:  # noqa: BLE001 - the message shows whatever is raised
        broken(
            "a submit must refuse invalid fields with a UsageError",
            seen=f"{name} with {fields}: {said(error)}",
            why="the user would read of a bug in the plugin, instead of which field is wrong",
            do="check fields with parsing.checked(what, fields, rules), or raise vidpoll.InvalidField",
        )


def _others(value: object) -> tuple[object, ...]:
    """Other values of the same type, including those that are false in Python."""
    if isinstance(value, bool):
        return (True, False)
    if isinstance(value, int):
        return (0, 1, value + 1, value + 2)
    if isinstance(value, float):
        return (0.0, value + 0.5)
    return (_ODD, f"{value} ", f" {value}", str(value).upper()) if isinstance(value, str) else ()


def _lost(name: str, field: str, new: object, body: Any) -> None:
    broken(
        "the value of a field must be sent as it was given",
        seen=f"{name} with {field}={new!r} sends {_shown(body)}",
        why="the user would pay for another video than the one ordered; 0 and False are values, too",
        do="send the value unchanged; test `value is not None`, not `if value`",
    )
