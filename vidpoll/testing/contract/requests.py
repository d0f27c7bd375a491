"""The rules about requests. Each function is one rule; it returns, or fails the test through `broken`."""

from __future__ import annotations

import copy
import json
import re
from functools import partial
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from ...errors import UsageError
from ...model import Page, Request, origin
from ...net.accounts import is_private
from ...provider import NoAuth
from . import mutations
from .subject import Outcome, Subject, broken, skip

_KEY = "kit0secret0marker"
_ODD = ("a/b", "a:b", "a b", "a?b", "a#b", "100%", "%41", "a%2Fb", "é", "日本", "a+b=", "a&b=c", "...", "a\\b", "~a")
_NONE = ("", ".", "..")
_BY_ID = ("status", "cancel", "delete", "content")


def pure(subject: Subject) -> None:
    _fields_given(subject)
    for name, builder in subject.requests():
        fields = copy.deepcopy(builder.args)
        first, second = subject.build(name, builder), subject.build(name, builder)
        if first != second:
            broken(
                "the same call builds the same request",
                seen=f"{name}: {first.method} {first.path} {first.query}, then {second.path} {second.query}",
                why="a request that differs each time cannot be sent again after a fault, or replayed from a report",
                do="no clock, counter or random in a builder; what must be new each time is auth: vidpoll.Minted",
            )
        if fields != builder.args:
            broken(
                "a builder leaves the caller's fields as they were",
                seen=f"{name}: {fields} became {builder.args}",
                why="a user who submits the same fields twice would send something else the second time",
                do="work on a copy: given = dict(fields)",
            )


def _fields_given(subject: Subject) -> None:
    kinds = {name.removeprefix("submit ") for name in subject.operations if name.startswith("submit ")}
    missing = sorted(kinds - set(subject.submits))
    if missing:
        broken(
            "every submit operation is tried",
            seen=f"`submits` of the contract class lacks {', '.join(missing)}",
            why="an operation that spends money would be published untested",
            do=f'add fields that are good: submits = {{"{missing[0]}": {{"prompt": "a lighthouse at dusk"}}}}',
        )


def safe(subject: Subject) -> None:
    for name, builder in subject.requests():
        request = subject.build(name, builder)
        if name in ("status", "list", "quota") and request.method not in ("GET", "POST", "HEAD"):
            broken(
                "a question changes nothing",
                seen=f"{name}: {request.method} {request.path}",
                why="vidpoll asks again and again; each question would delete or change the user's job",
                do="use the method of the vendor's page: GET, or POST where its questions have a body",
            )


def documented(subject: Subject) -> None:
    builders = dict(subject.requests())
    base = urlsplit(subject.provider.base_url).path.rstrip("/")
    for sample in subject.index.samples:
        method, _, target = sample.request.partition(" ")
        if sample.operation not in builders or not target.startswith("/"):
            continue
        builder = builders[sample.operation]
        if sample.operation in _BY_ID:
            builder = partial(subject.operations[sample.operation].request, sample.job_id)
        request = subject.build(sample.operation, builder)
        parts = re.split(r"(\{[^}]*\})", target.partition("?")[0])
        pattern = "".join(".+" if part.startswith("{") else re.escape(part) for part in parts)
        fits = any(re.fullmatch(pattern, path) for path in (request.path, base + request.path))
        # A list and a submit are asked for with other fields than the sample's; of a job there is one way to ask.
        named = parse_qsl(target.partition("?")[2], keep_blank_values=True) if sample.operation in _BY_ID else []
        lacking = [name for name, value in named if not _carries(request, name, value)]
        if request.method != method or not fits or lacking:
            broken(
                "a request is the documented one",
                seen=f"{sample.file}: {sample.operation} sends {request.method} {base}{request.path}"
                f"{'?' if request.query else ''}{urlencode(request.query)}, and the index says {sample.request}",
                why="the provider answers 404 or 405, and nothing works",
                do='correct the builder, or "request" in index.json; {name} in it stands for anything',
            )


def _carries(request: Request, name: str, value: str) -> bool:
    """Whether the query has this parameter; `{name}` stands for any value."""
    return any(mine == name and (value.startswith("{") or said == value) for mine, said in request.query)


def ids(subject: Subject) -> None:
    rule = "the id reaches the request, whole and nothing else"
    paths = any("/" in sample.job_id for sample in subject.index.samples)
    for name in _BY_ID:
        if name not in subject.operations:
            continue
        plain = _try(subject, name, "ab")
        for job_id in (*_ODD, *_NONE):
            outcome = _try(subject, name, job_id)
            seen = f"{name} with the id {job_id!r}: {_said(outcome)}"
            if isinstance(outcome.error, UsageError):
                continue
            if outcome.error is not None:
                broken(
                    rule,
                    seen=seen,
                    why="the user would read of a bug in the plugin, where the id is simply none of this provider's",
                    do="percent-encode it: f'/jobs/{parsing.segment(job_id)}'; raise vidpoll.BadReference for an id "
                    "that cannot be one",
                )
            request = outcome.value
            depth = plain.value.path.count("/") if isinstance(plain.value, Request) else request.path.count("/")
            deeper = request.path.count("/") != depth and not paths
            if deeper or not request.path.isascii() or not _holds(request, job_id):
                broken(
                    rule,
                    seen=seen,
                    why="an odd id would reach another endpoint or another job: with DELETE, the wrong one is gone",
                    do="percent-encode it: f'/jobs/{parsing.segment(job_id)}'; for an id that is itself a path "
                    "parsing.segment(job_id, safe='/'), and a sample whose id is such a path",
                )


def _try(subject: Subject, name: str, job_id: str) -> Outcome:
    try:
        return Outcome(subject.operations[name].request(job_id))
    except Exception as error:  # noqa: BLE001 - what a builder raises is what is looked at
        return Outcome(error=error)


def _said(outcome: Outcome) -> str:
    request = outcome.value
    return f"{request.method} {request.path} {request.query}" if isinstance(request, Request) else str(outcome)


def _holds(request: Request, job_id: str) -> bool:
    """Whether every part of the id stands in the request."""
    body = b"" if request.body is None else request.body
    said = [unquote(request.path), *(value for _, value in request.query), body.decode("utf-8", "replace")]
    said += [str(value) for _, value in mutations.nodes(request.json) if not isinstance(value, (dict, list))]
    return all(any(part in text for text in said) for part in re.split("[/:]", job_id))


def key(subject: Subject) -> None:
    provider = subject.provider
    scheme, host, _ = origin(provider.base_url)
    if scheme == "http" and not isinstance(provider.auth, NoAuth) and not is_private(host):
        broken(
            "the key travels encrypted",
            seen=f"base_url {provider.base_url}",
            why="everybody on the way could read the user's key; vidpoll refuses to send it",
            do="use https in base_url",
        )
    for variable in provider.auth.variables:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", variable):
            broken(
                "the key is in an environment variable",
                seen=f"auth names {variable!r}",
                why="no shell can set it",
                do=f"name it like {provider.name.upper().replace('-', '_')}_API_KEY",
            )
    with subject.keys(_KEY):
        endpoint = subject.endpoint()
        for name, builder in subject.requests():
            request = subject.build(name, builder)
            wire = endpoint.wire(request, timeout=(10.0, 30.0))
            said = {
                "its URL": wire.url,
                "its body": (wire.body or b"").decode("utf-8", "replace"),
                "the builder's headers": json.dumps(dict(wire.headers)),
                "its repr": f"{request!r}{wire!r}",
            }
            where = [place for place, text in said.items() if _KEY in unquote(text)]
            if where:
                broken(
                    "the key is in a header of the auth, and nowhere else",
                    seen=f"{name}: the value of {', '.join(provider.auth.variables)} is in {' and '.join(where)}",
                    why="URLs and bodies end up in logs, proxies and error messages, and the user's key with them",
                    do="leave the key to Provider(auth=…): vidpoll.Bearer, KeyHeader, Basic or Minted; a builder reads "
                    "no environment",
                )
            strange = [each for each in wire.secret.items() if not all(isinstance(part, str) for part in each)]
            if strange or not all(value.isprintable() for value in wire.secret.values()):
                broken(
                    "auth makes headers of text",
                    seen=f"{name}: the headers {sorted(map(str, wire.secret))}",
                    why="no request can be sent",
                    do="return a mapping of header names to text from the auth function",
                )


def submits(subject: Subject) -> None:
    _fields_given(subject)
    for name, operation in subject.operations.items():
        if not name.startswith("submit "):
            continue
        good = dict(subject.submits[name.removeprefix("submit ")])
        strange: list[dict[str, object]] = [{}, {"no_such_field_of_anybody": 1}]
        strange += [{**good, field: value} for field in good for value in (None, "", 10**400, object(), [], {"a": 1})]
        for fields in strange:
            try:
                operation.request(fields)
            except UsageError:
                continue
            except Exception as error:  # noqa: BLE001 - what a builder raises is what is looked at
                broken(
                    "a submit with strange fields is refused in words",
                    seen=f"{name} with {fields}: {Outcome(error=error)}",
                    why="the user reads of a bug in the plugin, instead of which field is wrong",
                    do="check fields with parsing.checked(what, fields, rules), or raise vidpoll.InvalidField",
                )


def next_page(subject: Subject) -> None:
    if "list" not in subject.operations:
        skip("the provider has no list")
    for sample in subject.index.of("list"):
        page = subject.read(sample).value
        if not isinstance(page, Page) or page.next is None:
            continue
        builder = subject.operations["list"].request
        asked = [subject.build("list", partial(builder, {}, None))]
        for token in (page.next, *page.further):
            request = subject.build("list", partial(builder, {}, token))
            if request in asked:
                broken(
                    "the token of a page leads on",
                    seen=f"{sample.file}: the request for the page {token!r} is one that was there before",
                    why="the list would never end: the user sees the same jobs again and again",
                    do="put the second argument of the list's builder into the request; Page.further has no doubles",
                )
            asked.append(request)
