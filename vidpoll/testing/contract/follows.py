"""The rules about second answers, those that a parser asks for with a Follow. Each function is one rule.

The first answer's rules are in the rooms next door; a second answer decides less, so it has fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...model import Response, Snapshot
from ...provider import Follow
from . import mutations
from .samples import Sample
from .subject import Outcome, Subject, bad_error, broken
from .verdicts import EMPTY, JSON, OUTAGES


def shown(subject: Subject) -> None:
    """A Follow has a sample of its second answer, and its parser is shown that answer."""
    for sample in subject.statuses:
        if not sample.then and _asks(subject, sample):
            broken(
                "a second answer has a sample",
                seen=f"{sample.file}, with one value left out, makes the parser ask for a second answer, and no "
                'status sample has "then"',
                why="what is in no sample is not tested: a bug in that parser would cost a job that is paid for",
                do='add a sample of such an answer, with "then": ["result.json"], and the second answer with the '
                'operation "follow"',
            )
        for follow, answer in subject.follows(sample):
            if not (200 <= answer.status < 300 or answer.status in follow.verdicts):
                broken(
                    "the parser of a second answer is shown it",
                    seen=f"{answer.file} has HTTP {answer.status}, and the Follow of {sample.file} lists the verdicts "
                    f"{follow.verdicts}",
                    why="vidpoll takes such an answer for a fault: what it says of the job is never read",
                    do=f"return vidpoll.Follow(request, parse, verdicts=({answer.status},), fallback=…)",
                )


def _asks(subject: Subject, sample: Sample) -> bool:
    """Whether a value left out of a sample makes its parser ask for a second answer that no sample shows."""
    if any(each.then for each in subject.statuses):
        return False
    bodies = [mutations.replaced(sample.data, path, mutations.GONE) for path, _ in mutations.scalars(sample.data)]
    answers = [sample.response(), *(sample.response(mutations.encode(body)) for body in bodies)]
    return any(isinstance(subject.parse("status", each, sample.job_id).value, Follow) for each in answers)


def junk(subject: Subject) -> None:
    """Whatever a second answer is, its parser raises AnswerError or Refused, and nothing else."""
    for sample, follow, answer in _all(subject):
        for seen, outcome in _damaged(subject, sample, follow, answer):
            if not outcome.allowed:
                bad_error(f"{answer.file}, the second answer of {sample.file}, {seen}: {outcome}")


def nothing(subject: Subject) -> None:
    """An empty second answer, HTML or an outage ends no job."""
    for sample, follow, answer in _all(subject):
        certain = follow.fallback.state if isinstance(follow.fallback, Snapshot) else None
        # A 4xx that a Follow lists is the provider's word by itself; a 5xx may be an outage.
        outages = [status for status in follow.verdicts if status >= 500]
        tries = [(status, body) for status in (200, 202, 204, *outages) for body in EMPTY]
        tries += [(status, body) for status in outages for body in OUTAGES]
        for status, body in tries:
            outcome = subject.second(follow, Response(status, JSON, body), sample.job_id)
            if outcome.state is not None and outcome.state.final and outcome.state is not certain:
                broken(
                    "a second answer that says nothing ends no job",
                    seen=f"{answer.file}, the second answer of {sample.file}, as HTTP {status} with the body "
                    f"{body.decode('latin-1')!r}: {outcome}",
                    why="a proxy's error page or an outage would end a paid job",
                    do="raise vidpoll.Malformed where the second answer says nothing: the fallback counts then",
                )


def foreign(subject: Subject) -> None:
    """The files of a second answer that names another job are not taken."""
    for sample, follow, answer in _all(subject):
        named = [path for path, value in mutations.scalars(answer.data) if value == sample.job_id]
        data = answer.data
        for path in named:
            data = mutations.replaced(data, path, mutations.NOBODY)
        good = subject.second(follow, answer.response(), sample.job_id).value
        value = subject.second(follow, answer.response(mutations.encode(data)), sample.job_id).value
        taken = isinstance(value, Snapshot) and isinstance(good, Snapshot) and value.assets == good.assets != ()
        if named and taken and value.job_id != mutations.NOBODY:
            broken(
                "an answer about another job is told apart, the second one too",
                seen=f"{answer.file}, the second answer of {sample.file}, with the id {mutations.NOBODY!r}: its files "
                "are taken",
                why="the user would get the video of somebody else's job",
                do="raise vidpoll.ForeignAnswer where the second answer names another job",
            )


def _all(subject: Subject) -> Iterator[tuple[Sample, Follow[Any], Sample]]:
    for sample in subject.index.of("status"):
        for follow, answer in subject.follows(sample):
            yield sample, follow, answer


def _damaged(subject: Subject, sample: Sample, follow: Follow[Any], answer: Sample) -> Iterator[tuple[str, Outcome]]:
    """A second answer with each part of it replaced, and what says nothing in its place."""
    for body in EMPTY:
        outcome = subject.second(follow, Response(answer.status, JSON, body), sample.job_id)
        yield f"with the body {body.decode('latin-1')!r}", outcome
    for path, _ in mutations.nodes(answer.data):
        for new in mutations.VALUES:
            body = mutations.encode(mutations.replaced(answer.data, path, new))
            yield (
                f"with {mutations.dotted(path)} {mutations.shown(new)}",
                subject.second(follow, answer.response(body), sample.job_id),
            )
