"""The rules about second answers, those that a parser asks for with a Follow. Each function is one rule.

The first answer's rules are in the rooms next door; a second answer decides less, so it has fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...model import Response, Snapshot
from ...provider import Follow
from . import mutations
from .pinned import compare, line, paste
from .samples import Sample
from .subject import Outcome, Subject, bad_error, broken, is_shown
from .verdicts import EMPTY, JSON, OUTAGES, check_statuses


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
            read = subject.read(sample)
            # A refused second answer is shown to nobody: the fallback counts, or the refusal.
            if not is_shown(answer.response(), follow.verdicts) and not (read.error or read.state is sample.state):
                broken(
                    "the parser of a second answer is shown it",
                    seen=f"{answer.file} has HTTP {answer.status}, the Follow of {sample.file} lists the verdicts "
                    f"{follow.verdicts}, and {sample.state} is expected",
                    why="vidpoll takes such an answer for a fault: what it says of the job is never read",
                    do=f"return vidpoll.Follow(request, parse, verdicts=({answer.status},), fallback=…)",
                )


def documented(subject: Subject) -> None:
    """Each further request is the one that its sample names."""
    pairs = list(_all(subject))
    pinned = [each for each in pairs if each[2].request]
    if pairs and not pinned:
        sample, follow, answer = pairs[0]
        told = paste(subject, follow.request, named=True)
        broken(
            "every operation has a sample that says what is sent",
            seen=f'no sample of a second answer has "request"; {sample.file} leads to {line(subject, follow.request)}',
            why="a path that was copied wrongly would be found by the first user, when the job is paid for",
            do=f"compare it with the vendor's page, and write it to {answer.file}: {told}",
        )
    for _, follow, answer in pinned:
        compare(subject, answer, follow.request)


def statuses(subject: Subject) -> None:
    """What is in `verdicts` of a Follow has a sample."""
    shown = {sample.status for sample in subject.index.of("follow")}
    for sample, follow, _ in _all(subject):
        check_statuses(f"the Follow of {sample.file}", follow.verdicts, shown, leads=sample.refused)


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
        named = subject.id_paths(replace(answer, job_id=sample.job_id))
        data = answer.data
        for path in named:
            data = mutations.replaced(data, path, mutations.NOBODY)
        good = subject.second(follow, answer.response(), sample.job_id).value
        value = subject.second(follow, answer.response(mutations.encode(data)), sample.job_id).value
        taken = isinstance(value, Snapshot) and isinstance(good, Snapshot) and value.assets == good.assets != ()
        if named and taken and not (value.job_id or "").endswith(mutations.NOBODY):
            broken(
                "an answer about another job is told apart, the second one too",
                seen=f"{answer.file}, the second answer of {sample.file}, with the id {mutations.NOBODY!r}: its files "
                "are taken",
                why="the user would get the video of somebody else's job",
                do="raise vidpoll.ForeignAnswer where the second answer names another job",
            )


def refused(subject: Subject) -> None:
    """A refusal as second answer changes nothing about the job: what the first one said counts."""
    for sample, follow, answer in _all(subject):
        certain = follow.fallback.state if isinstance(follow.fallback, Snapshot) else None
        told = {each.status for each in subject.index.of("follow") if each.status >= 400}
        for error in subject.index.of("error"):
            for status in {200, error.status} & {200, *follow.verdicts} - told:
                outcome = subject.second(follow, Response(status, JSON, error.body), sample.job_id)
                if outcome.state is not None and outcome.state.final and outcome.state is not certain:
                    broken(
                        "a refusal as second answer keeps what the first one said",
                        seen=f"{error.file} as HTTP {status} in the place of {answer.file}: {outcome}, and the first "
                        f"answer says {certain}",
                        why="a file that cannot be had at the moment would end a paid job, or complete it without one",
                        do="raise vidpoll.Malformed in that parser, or vidpoll.Refused; give the Follow a fallback",
                    )


def circles(subject: Subject) -> None:
    """A second answer leads to no request that was sent already."""
    for sample, follow, answer in _all(subject):
        sent = [follow.request, subject.build("status", subject.builder("status", sample))]
        for seen, outcome in _damaged(subject, sample, follow, answer):
            if isinstance(outcome.value, Follow) and outcome.value.request in sent:
                broken(
                    "a second answer leads to another request",
                    seen=f"{answer.file}, the second answer of {sample.file}, {seen}: the parser asks for "
                    f"{line(subject, outcome.value.request)} again",
                    why="vidpoll would ask again at once, without the pause that the provider wants, and then give up",
                    do="raise vidpoll.Malformed where the second answer is not ready: vidpoll asks again, in time",
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
