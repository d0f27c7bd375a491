"""The rule that every response is parsed quickly: very long texts, and texts that make a regex backtrack."""

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
"""Seconds of processor time that parsing one response may take; good parsers take a thousandth of it."""

_SHORT = (12, 18, 22, 24, 26, 28, 32, 36, 40, 46, 52, 60)  # each takes a bad expression many times longer
_STRIDES = (12, 24, 40, 60)
_QUICK = 0.001
"""Seconds. An expression that backtracks badly at 40 characters takes longer than this at 24; one at 60, at 40."""
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
    seen = set()  # each field of each kind of response is tried once
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
    """Try longer and longer texts; after a quick result the next text is a stride longer."""
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
    """Seconds of processor time that the response took."""
    body = mutations.encode(data)
    begun = time.process_time()
    error = ask(sample, sample.response(body))
    took = time.process_time() - begun
    where = f"{sample.file} with {mutations.dotted(path)} {mutations.shown(text)}"
    if error is not None:
        bad_error(f"{where}: {type(error).__name__}: {error}")
    if took > LIMIT:
        broken(
            "every response must be parsed quickly",
            seen=f"{where}: parsing took {took:.1f} s, the limit is {LIMIT} s",
            why="one odd response would delay the wait for its job, and for all other jobs",
            do="write regular expressions without a repeat inside a repeat, like `(a+)+`, and with a bound, like "
            "`{1,80}`; cut long text before you search in it",
        )
    return took


def _ways(subject: Subject) -> Ways:
    """For each second response its Follow, and the id of its job."""
    found: Ways = {}
    for first in subject.statuses:
        for follow, answer in subject.follows(first):
            found.setdefault(id(answer), (follow, first.job_id))
    return found


def _ask(subject: Subject, ways: Ways, sample: Sample, response: Response) -> Exception | None:
    """Parse a response. Returns the error if it is one that a parser may not raise."""
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
