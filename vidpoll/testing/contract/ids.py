"""The rule about ids in requests: whatever an id contains, the request is about this job and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, unquote_plus

from ...errors import UsageError
from ...model import Request
from . import mutations
from .subject import BY_ID, Outcome, Subject, broken, said

_RULE = "the id must reach the request whole, and change nothing else in it"
_DO = (
    "percent-encode it: f'/jobs/{parsing.segment(job_id)}'; for an id that is itself a path write "
    "parsing.segment(job_id, safe='/'), and add a sample whose id is such a path"
)
_ODD = ("a/b", "a:b", "a b", "a?b", "a#b", "100%", "%41", "a%2Fb", "é", "日本", "a+b=", "a&b=c", "...", "a\\b", "~a",
        "A-b_C.9", "0", "a" * 300)  # fmt: skip
_NONE = ("", ".", "..")


def ids(subject: Subject) -> None:
    for name in [name for name in BY_ID if name in subject.operations]:
        if _looks_first(subject, name):
            _check_nobody(name, _try(subject, name, ""))
            continue
        for prefix, plain in _forms(subject):
            like = _try(subject, name, prefix + plain)
            for odd in (*_ODD, *_NONE):
                _check(f"{name} with the id ", _try(subject, name, prefix + odd), like, (prefix, plain, odd))


def _looks_first(subject: Subject, name: str) -> bool:
    """Whether an operation first requests all jobs (a queue), and names the job only in its Follow."""
    samples = [sample for sample in subject.index.of(name) if sample.then]
    asked = [_try(subject, name, sample.job_id).value for sample in samples]
    if not asked or not all(isinstance(each, Request) and each.method == "GET" for each in asked):
        return False
    if any(sample.job_id in _whole(each) for sample, each in zip(samples, asked, strict=True)):
        return False
    follows = ([_whole(follow.request) for follow, _ in subject.follows(sample)] for sample in samples)
    return all(sample.job_id in "".join(each) for sample, each in zip(samples, follows, strict=True))


def _whole(request: Request) -> str:
    return f"{unquote(request.path)}{request.query}{request.json}{request.body!r}"


def _check_nobody(name: str, outcome: Outcome) -> None:
    """Fail unless the empty id is refused: the Follow could be about any job."""
    if not isinstance(outcome.error, UsageError):
        broken(
            "a builder must refuse an empty id",
            seen=f"{name} with the id '': {_said(outcome)}",
            why="a request that changes something could reach any job, or all of them",
            do="call parsing.segment(job_id) in the builder: it raises vidpoll.BadReference",
        )


def _forms(subject: Subject) -> Iterator[tuple[str, str]]:
    """The ids of the samples, each as its prefix and a new last part of the same form.

    If the status builder refuses the new last part, the original one is used.
    """
    seen = set()
    for sample in subject.index.samples:
        head, sign, tail = re.fullmatch(r"(.*?)([/:]?)([^/:]*)", sample.job_id, re.DOTALL).groups()  # type: ignore[union-attr]
        prefix = head + sign
        if prefix not in seen:
            seen.add(prefix)
            plain = f"{tail}8317701" if tail.isdigit() else f"{tail}x7q"
            taken = isinstance(_try(subject, "status", prefix + plain).value, Request)
            yield prefix, plain if taken else tail
    if not seen:
        yield "", "ab"


def _check(who: str, outcome: Outcome, like: Outcome, made: tuple[str, str, str]) -> None:
    """Compare the request for an odd id with that for a plain one; `made` is (common prefix, plain id, odd id)."""
    prefix, plain, odd = made
    seen = f"{who}{(prefix + odd)[:80]!r}: {_said(outcome)}"
    if isinstance(outcome.error, UsageError):
        return
    if outcome.error is not None:
        broken(
            _RULE,
            seen=seen,
            why="the user would read of a bug in the plugin, when only the id is wrong",
            do="raise vidpoll.BadReference for an id that cannot exist; " + _DO,
        )
    request, due = outcome.value, like.value
    if odd in _NONE:
        return  # no reference has such an id; in a query, the provider says that there is no such job
    # If the slashes of an id are part of the path, each slash makes the path one segment longer.
    safe = "/" in prefix and isinstance(due, Request) and prefix in due.path
    deeper = isinstance(due, Request) and request.path.count("/") - due.path.count("/") not in (
        (0, odd.count("/")) if safe else (0,)
    )
    if deeper or not request.path.isascii() or not isinstance(due, Request) or not _same(request, due, plain, odd):
        broken(
            _RULE,
            seen=f"{seen}; with the id {prefix + plain!r}: {_said(like)}",
            why="an odd id would reach another endpoint or another job: a DELETE would delete the wrong job",
            do=_DO,
        )


def _same(request: Request, due: Request, plain: str, odd: str) -> bool:
    """Whether a request equals the other one, apart from the id: decoded once, it is where the plain one was."""
    if plain and plain not in _whole(due):
        return False  # the request does not contain the id
    path = unquote(request.path) == unquote(due.path).replace(plain, odd)
    query = request.query == tuple((key, value.replace(plain, odd)) for key, value in due.query)
    body = due.body is None or odd in unquote_plus((request.body or b"").decode("utf-8", "replace"))
    headers = dict(request.headers) == {key: value.replace(plain, odd) for key, value in due.headers.items()}
    return path and query and body and headers and request.json == _put(due.json, plain, odd)


def _put(value: Any, plain: str, odd: str) -> Any:
    for path, each in list(mutations.nodes(value)):
        if isinstance(each, str) and plain in each:
            value = mutations.replaced(value, path, each.replace(plain, odd))
        elif mutations.same(str(each), plain) and odd.isdigit():  # an id that is sent as a number
            value = mutations.replaced(value, path, int(odd))
    return value


def _try(subject: Subject, name: str, job_id: str) -> Outcome:
    try:
        return Outcome(subject.operations[name].request(job_id))
    except Exception as error:  # noqa: BLE001 - the check examines whatever is raised
        return Outcome(error=error)


def _said(outcome: Outcome) -> str:
    request = outcome.value
    if isinstance(request, Request):
        return f"{request.method} {request.path[:120]} {request.query or ''}{request.json or ''}"
    return said(outcome.error) if outcome.error is not None else str(outcome)
