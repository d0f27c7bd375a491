"""The rules that the parser's result equals the "expect" of the index, field by field, and that none is left out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from ...errors import CATEGORIES
from ...model import Asset, Cost, Page, Problem, Quota, Snapshot, State, Submitted
from ...provider import Follow
from .samples import Sample
from .subject import TYPES, Outcome, Subject, broken, is_shown, said

_RULE = "the parser's result must equal what index.json expects"
_WHY = "users see this state, stage and progress, and get these files"
_FIX = 'correct the parser; or, if the vendor\'s page says otherwise, correct "expect" in index.json'


def meaning(subject: Subject, sample: Sample) -> None:
    if sample.operation == "follow":  # it is read with the sample that names it in "then"
        return
    if sample.operation == "error":
        problem = _problem(subject, sample)
        _compare(sample, problem, category=subject.fault(problem, sample.status).category)
        return
    _shown(subject, sample)
    outcome = subject.read(sample)
    if sample.refused:
        _raises(sample, outcome)
        return
    if outcome.error is not None:
        broken(_RULE, seen=f"{sample.file}: {outcome}{_at(outcome)}", why=_WHY, do=_FIX)
    if isinstance(outcome.value, Follow):
        broken(
            _RULE,
            seen=f"{sample.file}: the parser returns a Follow, and the sample names no second response",
            why="without the second response the state of the job is unknown",
            do='name the sample of the second response, "then": ["result.json"]; its operation must be "follow"',
        )
    due_type = TYPES.get(sample.operation.partition(" ")[0])
    if due_type is not None and not isinstance(outcome.value, due_type):
        broken(
            _RULE,
            seen=f"{sample.file}: the parser returns {type(outcome.value).__name__}",
            why="vidpoll cannot use it",
            do=f"return vidpoll.{due_type.__name__}(…)",
        )
    _compare(sample, outcome.value)


def _problem(subject: Subject, sample: Sample) -> Problem:
    """What `Provider(error=…)` returns for a sample. Fails the test if it raises."""
    problem = subject.problem_of(sample.response())
    if not isinstance(problem, Problem):
        what = said(problem) if isinstance(problem, Exception) else type(problem).__name__
        broken(
            _RULE,
            seen=f"{sample.file}: Provider(error=…) gives {what}",
            why='the user would read "unreadable error" instead of the provider\'s reason',
            do="return vidpoll.Problem(…) and never raise; parsing.problem(response) reads most envelopes",
        )
    return problem


def _at(outcome: Outcome) -> str:
    """The line of the parser's bug, for an error that a parser may not raise."""
    return (
        "" if outcome.allowed or outcome.error is None else f": {said(outcome.error).rpartition(' (')[2].rstrip(')')}"
    )


def _shown(subject: Subject, sample: Sample) -> None:
    """Fail unless the response reaches a parser."""
    if sample.operation not in subject.operations:
        broken(
            _RULE,
            seen=f"{sample.file}: the provider has no operation {sample.operation!r}, only "
            f"{', '.join(subject.operations)}",
            why=_WHY,
            do='add that operation to the provider, or correct "operation" in index.json',
        )
    if not is_shown(sample.response(), subject.operations[sample.operation].verdicts) and not sample.refused:
        broken(
            _RULE,
            seen=f"{sample.file} has HTTP {sample.status}, which does not reach a parser",
            why="vidpoll treats this response as a fault or a refusal, and reads only the reason from its body",
            do='write "expect": {"raises": "Refused"}, or "operation": "error"; if this body is the job, write '
            f"Operation(…, verdicts=({sample.status},))",
        )


def _compare(sample: Sample, value: Any, **known: Any) -> None:
    """Fail unless a value is as expected; `known` has values that are not fields of it."""
    for name, wanted in sample.expect.items():
        due: Any = wanted
        found = known[name] if name in known else _field(value, name)
        if not _fits(found, due):
            plain, place = _plain(found), ""
            if isinstance(plain, list) and isinstance(due, list) and len(plain) == len(due):
                at = next(number for number, each in enumerate(due) if not _fits(found[number], each))
                plain, due, place = plain[at], due[at], f"[{at}]"
            seen = f"{sample.file}: {name}{place} is {plain!r}, index.json expects {due!r}"
            broken(_RULE, seen=seen, why=_WHY, do=_FIX)


def _raises(sample: Sample, outcome: Outcome) -> None:
    due = sample.expect["raises"]
    names = [cls.__name__ for cls in type(outcome.error).__mro__] if outcome.error is not None else []
    kind = getattr(outcome.error, "kind", None)
    told = {"kind": kind, "category": kind if kind in CATEGORIES else None}
    if due not in names or any(told[name] != sample.expect[name] for name in told if name in sample.expect):
        of_kind = f" of the kind {sample.expect['kind']!r}" if "kind" in sample.expect else ""
        broken(
            _RULE,
            seen=f"{sample.file}: the parser gives {outcome}, index.json expects {due}{of_kind}",
            why="this response says nothing about the job's state, and must not be read as one that does",
            do=f"raise vidpoll.{due} in the parser",
        )


# -- nothing is left out ----------------------------------------------------------------------------------------------


def complete(subject: Subject) -> None:
    """The "expect" of a sample holds everything that the parser returns."""
    lines = []
    for sample in subject.index.samples:
        value = _read(subject, sample)
        rest = {} if value is None or sample.refused else left_out(sample, value)
        if rest:
            whole = json.dumps({**sample.expect, **rest}, ensure_ascii=False)
            lines.append(f'\n        {sample.file} lacks {", ".join(rest)}; paste "expect": {whole}')
    if lines:
        broken(
            'the "expect" of a sample must hold everything that the parser returns',
            seen=f"{len(lines)} samples expect less than the parser returns:{''.join(lines)}",
            why="the next change could lose a value that no sample expects, and no test would fail",
            do="compare each value with the vendor's page, and paste the line; or let the parser return less",
        )


def _read(subject: Subject, sample: Sample) -> Any:
    if sample.operation == "error":
        problem = subject.problem_of(sample.response())
        return problem if isinstance(problem, Problem) else None
    return subject.read(sample).value if sample.operation in subject.operations else None


def left_out(sample: Sample, value: Any) -> dict[str, Any]:
    """The fields that the parser returns and the index does not expect, as index.json writes them."""
    if isinstance(value, Page):
        rows = sample.expect.get("rows")
        known = rows if isinstance(rows, list) and len(rows) == len(value.items) else [{}] * len(value.items)
        whole = [{**was, **_told(each, was)} for was, each in zip(known, value.items, strict=True)]
        found = {"rows": whole} if whole != known else {}
        return found | ({"further": list(value.further)} if value.further and "further" not in sample.expect else {})
    if isinstance(value, Submitted):
        return {} if value.snapshot is None else _told(value.snapshot, {"job_id": "", **sample.expect})
    if isinstance(value, Snapshot):
        return _told(value, {"job_id": "", **sample.expect})
    if isinstance(value, Problem):
        return _told(value, {"details": {}, **sample.expect})
    return _told(value, sample.expect) if isinstance(value, Quota) else {}


def _told(value: Any, expected: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for each in fields(value):
        told = getattr(value, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        short = expected.get(each.name)
        cut = isinstance(told, Problem) and short is not None and _is_cut(told, short)
        if each.name != "raw" and (cut or (each.name not in expected and told != default)):
            plain = _plain(told)
            found[each.name] = plain["message"] if isinstance(told, Problem) and len(plain) == 1 else plain
    return found


def _is_cut(problem: Problem, short: object) -> bool:
    """Whether the expected problem leaves out the code, the category or `charged`; a problem given as text does."""
    return bool(_plain(problem).keys() - (short.keys() if isinstance(short, Mapping) else {"message"}))


# -- comparing --------------------------------------------------------------------------------------------------------


def _field(value: Any, name: str) -> Any:
    """The value to compare with an expectation of that name."""
    if isinstance(value, Submitted) and name != "job_id":
        return getattr(value.snapshot, name, None)
    if isinstance(value, Page) and name == "rows":
        return value.items
    if isinstance(value, Asset) and name == "assets":
        return (value,)
    return getattr(value, name, None)


def _fits(found: Any, due: Any) -> bool:
    plain = _plain(found)
    if isinstance(due, list) and isinstance(plain, list) and len(due) == len(plain):
        return all(_fits(one, other) for one, other in zip(found, due, strict=True))
    if isinstance(due, dict) and not isinstance(found, (dict, Mapping)):
        return all(_fits(getattr(found, name, None), value) for name, value in due.items())
    if isinstance(found, Problem) and isinstance(due, str):
        return found.message == due
    if isinstance(due, float) and isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return math.isclose(due, plain, abs_tol=1e-6)
    return bool(plain == due) and isinstance(plain, bool) == isinstance(due, bool)


def _plain(found: Any) -> Any:
    """A value as index.json writes it."""
    if isinstance(found, tuple):
        return [_plain(each) for each in found]
    if isinstance(found, (Problem, Asset, Snapshot)):
        names: Mapping[type, tuple[str, ...]] = {
            Problem: ("message", "code", "category", "charged"),
            Asset: ("kind", "url"),
            Snapshot: ("job_id", "state", "stage"),
        }
        told = {name: _plain(getattr(found, name)) for name in names[type(found)]}
        return {name: each for name, each in told.items() if each is not None or not isinstance(found, Problem)}
    if isinstance(found, Cost):
        unit = {} if found.unit == "credits" else {"unit": found.unit}
        return {"charged": _plain(found.charged), "refunded": _plain(found.refunded), **unit}
    if isinstance(found, float) and found.is_integer():
        return int(found)
    if isinstance(found, State):
        return str(found)
    return dict(found) if isinstance(found, Mapping) else found
