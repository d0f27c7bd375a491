"""The rule that a sample means what its index expects, field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...model import Asset, Page, Problem, Quota, Snapshot, State, Submitted
from ...provider import Follow
from .samples import Sample
from .subject import Outcome, Subject, broken

_TYPES: Mapping[str, type] = {
    "status": Snapshot, "submit": Submitted, "list": Page, "quota": Quota, "content": Asset,
}  # fmt: skip


_RULE = "a sample means what index.json expects"
_WHY = "users are shown this state, stage and progress, and get these files"
_FIX = "correct the parser; or, where the vendor's page bears it out, the expectation"


def meaning(subject: Subject, sample: Sample) -> None:
    if sample.operation == "follow":  # read where a sample names it in "then"
        return
    if sample.operation == "error":
        _compare(sample, subject.provider.error(sample.response()))
        return
    _shown(subject, sample)
    outcome = subject.read(sample)
    if "raises" in sample.expect:
        _raises(sample, outcome)
        return
    if outcome.error is not None:
        broken(_RULE, seen=f"{sample.file}: {outcome}", why=_WHY, do=_FIX)
    if isinstance(outcome.value, Follow):
        broken(
            _RULE,
            seen=f"{sample.file}: the parser asks for a second answer, and the sample brings none",
            why="without it nobody knows what the job becomes",
            do='name the sample of the second answer: "then": ["result.json"]; its own operation is "follow"',
        )
    due_type = _TYPES.get(sample.operation.partition(" ")[0])
    if due_type is not None and not isinstance(outcome.value, due_type):
        broken(
            _RULE,
            seen=f"{sample.file}: the parser returns {type(outcome.value).__name__}",
            why="vidpoll cannot use it",
            do=f"return vidpoll.{due_type.__name__}(…)",
        )
    _compare(sample, outcome.value)


def _shown(subject: Subject, sample: Sample) -> None:
    """Fail unless there is a parser that is shown such an answer."""
    if sample.operation not in subject.operations:
        broken(
            _RULE,
            seen=f"{sample.file}: the provider has no operation {sample.operation!r}, "
            f"it has {', '.join(subject.operations)}",
            why=_WHY,
            do='give the provider that operation, or correct "operation"',
        )
    verdicts = subject.operations[sample.operation].verdicts
    if not (200 <= sample.status < 300 or sample.status in verdicts):
        broken(
            _RULE,
            seen=f"{sample.file} has HTTP {sample.status}, which no parser is shown",
            why="vidpoll takes it for a fault or a refusal, and the body for its reason",
            do=f'let it be of the operation "error"; where this body is the job, write Operation(…, '
            f"verdicts=({sample.status},))",
        )


def _compare(sample: Sample, value: Any) -> None:
    for name, wanted in sample.expect.items():
        due: Any = wanted
        found = _field(value, name)
        if not _fits(found, due):
            plain, place = _plain(found), ""
            if isinstance(plain, list) and isinstance(due, list) and len(plain) == len(due):
                at = next(number for number, each in enumerate(due) if not _fits(found[number], each))
                plain, due, place = plain[at], due[at], f"[{at}]"
            seen = f"{sample.file}: {name}{place} is {plain!r}, and {due!r} is expected"
            broken(_RULE, seen=seen, why=_WHY, do=_FIX)


def _raises(sample: Sample, outcome: Outcome) -> None:
    due = sample.expect["raises"]
    names = [cls.__name__ for cls in type(outcome.error).__mro__] if outcome.error is not None else []
    kind = getattr(outcome.error, "kind", None)
    if due not in names or ("kind" in sample.expect and kind != sample.expect["kind"]):
        of_kind = f" of the kind {sample.expect['kind']!r}" if "kind" in sample.expect else ""
        broken(
            _RULE,
            seen=f"{sample.file}: {outcome}, and {due}{of_kind} is due",
            why="this answer is no word about the job, and must not become one",
            do=f"raise vidpoll.{due} in the parser",
        )


def _field(value: Any, name: str) -> Any:
    """What is to be compared with an expectation of that name."""
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
    if isinstance(found, State):
        return str(found)
    if isinstance(found, Problem):
        return {"message": found.message, "code": found.code}
    if isinstance(found, Asset):
        return {"kind": found.kind, "url": found.url}
    if isinstance(found, Snapshot):
        return {"job_id": found.job_id, "state": str(found.state), "stage": found.stage}
    if isinstance(found, tuple):
        return [_plain(each) for each in found]
    return dict(found) if isinstance(found, Mapping) else found
