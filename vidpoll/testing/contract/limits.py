"""The rule that no answer can hold a parser up: texts at which regular expressions choke, and very long ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ...model import Response
from ...provider import Follow
from . import mutations
from .samples import Sample
from .subject import Subject, bad_error, broken

LIMIT = 0.5
"""Seconds of processor time that one answer may take; sound parsers take a thousandth of it."""

_SHORT = (12, 18, 22, 24, 26, 28, 32, 36, 40, 46, 52, 60)  # a choking expression takes many times as long for each
_STRIDES = (12, 24, 40, 60)
_QUICK = 0.001
"""Seconds: an expression that chokes at 40 characters has taken longer than this at 24, and at 60 longer at 40."""
_LONG = (2_000, 20_000, 200_000)
_MAKES: tuple[Callable[[int], str], ...] = (
    lambda n: "a" * n + "!",
    lambda n: "0" * n + "!",
    lambda n: " " * n + "!",
    lambda n: "a/" * (n // 2) + "!",
)

Ways = dict[int, tuple[Follow[Any], str]]
Ask = Callable[[Sample, Response], Exception | None]


def limits(subject: Subject) -> None:
    ask = partial(_ask, subject, _ways(subject))
    seen = set()  # one field of one kind of answer is tried once
    for sample in subject.index.samples:
        if sample.operation not in (*subject.operations, "error", "follow") or sample.refused:
            continue
        texts = [path for path, value in mutations.scalars(sample.data) if isinstance(value, str)]
        kinds = {path: (sample.operation, sample.status, sample.state, path) for path in texts}
        fresh = [path for path in texts if kinds[path] not in seen]
        seen |= set(kinds.values())
        for path in fresh:
            _try(partial(_check_text, ask, sample, path))
        _check(ask, sample, _all(sample, texts), ("every text",), "a" * _LONG[-1])


def _try(check: Callable[[str], float]) -> None:
    """Longer and longer texts; after a quick answer the next one is a stride longer."""
    for make in _MAKES:
        took = 0.0
        for length in _SHORT:
            if took > _QUICK or length in _STRIDES:
                took = check(make(length))
    for text in (*(make(length) for make in _MAKES[:2] for length in _LONG[:2]), "9" * 5000):
        check(text)


def _check_text(ask: Ask, sample: Sample, path: mutations.Path, text: str) -> float:
    return _check(ask, sample, mutations.replaced(sample.data, path, text), path, text)


def _all(sample: Sample, texts: list[mutations.Path]) -> object:
    data = sample.data
    for path in texts:
        data = mutations.replaced(data, path, "a" * _LONG[-1])
    return data


def _check(ask: Ask, sample: Sample, data: object, path: mutations.Path, text: str) -> float:
    """Seconds of processor time that the answer took."""
    body = mutations.encode(data)
    begun = time.process_time()
    error = ask(sample, sample.response(body))
    took = time.process_time() - begun
    where = f"{sample.file} with {mutations.dotted(path)} {mutations.shown(text)}"
    if error is not None:
        bad_error(f"{where}: {type(error).__name__}: {error}")
    if took > LIMIT:
        broken(
            "no answer holds a parser up",
            seen=f"{where}: it took {took:.1f} s",
            why="one strange answer would hold up the wait for it, and for all other jobs",
            do="write regular expressions without a repeat inside a repeat, `(a+)+`, and with a bound, `{1,80}`; cut "
            "long text before you look at it",
        )
    return took


def _ways(subject: Subject) -> Ways:
    """The question that each second answer is the answer to, and the job that it is about."""
    found: Ways = {}
    for first in subject.statuses:
        for follow, answer in subject.follows(first):
            found.setdefault(id(answer), (follow, first.job_id))
    return found


def _ask(subject: Subject, ways: Ways, sample: Sample, response: Response) -> Exception | None:
    """Show it to its parser; the error that no parser may raise."""
    if sample.operation == "error":
        problem = subject.problem_of(response)
        return problem if isinstance(problem, Exception) else None
    if sample.operation == "follow":
        if id(sample) not in ways:
            return None
        follow, job_id = ways[id(sample)]
        outcome = subject.second(follow, response, job_id)
        return None if outcome.allowed else outcome.error
    outcome = subject.parse(sample.operation, response, subject.about(sample))
    return None if outcome.allowed else outcome.error
