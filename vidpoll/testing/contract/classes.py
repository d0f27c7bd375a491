"""The rule that a refusal or failure with a code has a category, so that a program knows what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Refused
from ...model import Problem, Snapshot, State, Submitted
from .samples import Sample
from .subject import Subject, broken, is_shown

_UNCLEAR = (400, 403, 422, 429)
"""HTTP statuses that mean money at one vendor, and a limit, a wrong field or moderation at another."""


def classes(subject: Subject) -> None:
    """Each sample of a refusal or of a failed job that has a code also has a category."""
    lines = [
        f"\n        {sample.file}: {code!r}{where}" for sample in subject.index.samples if not _said_none(sample)
        for code, where in _unclassed(subject, sample)
    ]  # fmt: skip
    if lines:
        broken(
            "a refusal or a failed job that has a code must also have a category",
            seen=f"{len(lines)} codes have no category:{''.join(lines)}",
            why="a program that makes many videos must know whether to wait, to top up, to change the prompt or to try "
            "again; the same HTTP status means money at one vendor and a full queue at another",
            do='map the code: Provider(error=declare.refusals({"1113": "money"})), Envelope(kinds={…}), '
            'Reader(problem=declare.problems({"SAFETY": "moderated_input"})); if the page does not explain the code, '
            'write "category": null into the "expect" of the sample, or into its "problem"',
        )


def _said_none(sample: Sample) -> bool:
    problem = sample.expect.get("problem")
    return "category" in sample.expect or (isinstance(problem, dict) and "category" in problem)


def _unclassed(subject: Subject, sample: Sample) -> Iterator[tuple[str, str]]:
    """The code of a sample that no table names, and where it occurs."""
    if sample.operation == "error" or (sample.refused and not _is_read(subject, sample)):
        problem, status = subject.problem_of(sample.response()), sample.status
        fault = subject.fault(problem, status)
        unclear = fault.declared is None and (status in _UNCLEAR or fault.kind == "unknown")
        if fault.code and fault.code != str(status) and unclear:
            yield fault.code, f" with HTTP {status}"
        return
    if sample.operation not in subject.operations:
        return
    outcome = subject.read(sample)
    if isinstance(outcome.error, Refused) and outcome.error.code and outcome.error.kind == "unknown":
        yield outcome.error.code, f" with HTTP {sample.status}"
    problem = _problem_of(outcome.value)
    if problem is not None and problem.code and problem.category is None:
        yield problem.code, " of a failed job"


def _is_read(subject: Subject, sample: Sample) -> bool:
    """Whether the response reaches a parser."""
    operation = subject.operations.get(sample.operation)
    return operation is not None and is_shown(sample.response(), operation.verdicts)


def _problem_of(value: object) -> Problem | None:
    said = value.snapshot if isinstance(value, Submitted) else value
    return said.problem if isinstance(said, Snapshot) and said.state is State.FAILED else None
