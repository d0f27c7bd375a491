"""The rules about second responses, those that a parser requests with a Follow. Each function is one rule.

The other modules have the rules about the first response; a second response decides less, so it has fewer rules.
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
    """A Follow has a sample of its second response, and that response reaches its parser."""
    for sample in subject.statuses:
        if not sample.then and _asks(subject, sample):
            broken(
                "a second response must have a sample",
                seen=f"{sample.file}, with one value left out, makes the parser return a Follow, and no status sample "
                'has "then"',
                why="a response without a sample is not tested: a bug in that parser would cost a job that is paid for",
                do='add a sample of the first response with "then": ["result.json"], and a sample of the second '
                'response, result.json, with the operation "follow"',
            )
        for follow, answer in subject.follows(sample):
            read = subject.read(sample)
            # A refused second response does not reach the parser: the fallback counts, or the refusal.
            if not is_shown(answer.response(), follow.verdicts) and not (read.error or read.state is sample.state):
                broken(
                    "a second response must reach its parser",
                    seen=f"{answer.file} has HTTP {answer.status}, the Follow of {sample.file} has verdicts="
                    f"{follow.verdicts}, and index.json expects {sample.state}",
                    why="vidpoll treats this response as a fault: what it says about the job is never read",
                    do=f"return vidpoll.Follow(request, parse, verdicts=({answer.status},), fallback=…)",
                )


def documented(subject: Subject) -> None:
    """Each second request is the one that its sample names."""
    pairs = list(_all(subject, "status", "cancel", "delete"))
    pinned = [each for each in pairs if each[2].request]
    if pairs and not pinned:
        sample, follow, answer = pairs[0]
        told = paste(subject, follow.request, named=True)
        broken(
            "every operation must have a sample that says what is sent",
            seen=f'no sample of a second response has "request"; {sample.file} leads to '
            f"{line(subject, follow.request)}",
            why="the first user would find a wrongly copied path, after the job is paid for",
            do=f"compare it with the vendor's page, and add it to the sample {answer.file} in index.json: {told}",
        )
    for _, follow, answer in pinned:
        compare(subject, answer, follow.request)


def statuses(subject: Subject) -> None:
    """Each HTTP status in `verdicts` of a Follow has a sample."""
    shown = {sample.status for sample in subject.index.of("follow")}
    for sample, follow, _ in _all(subject):
        check_statuses(f"the Follow of {sample.file}", follow.verdicts, shown, leads=sample.refused)


def _asks(subject: Subject, sample: Sample) -> bool:
    """Whether a value left out of a sample makes its parser return a Follow that no sample shows."""
    if any(each.then for each in subject.statuses):
        return False
    bodies = [mutations.replaced(sample.data, path, mutations.GONE) for path, _ in mutations.scalars(sample.data)]
    answers = [sample.response(), *(sample.response(mutations.encode(body)) for body in bodies)]
    return any(isinstance(subject.parse("status", each, sample.job_id).value, Follow) for each in answers)


def junk(subject: Subject) -> None:
    """Whatever the second response is, its parser raises AnswerError or Refused, and nothing else."""
    for sample, follow, answer in _all(subject):
        for seen, outcome in _damaged(subject, sample, follow, answer):
            if not outcome.allowed:
                bad_error(f"{answer.file}, the second response of {sample.file}, {seen}: {outcome}")


def nothing(subject: Subject) -> None:
    """An empty second response, HTML or an outage ends no job."""
    for sample, follow, answer in _all(subject):
        certain = follow.fallback.state if isinstance(follow.fallback, Snapshot) else None
        # A 4xx that a Follow lists is a verdict by itself; a 5xx may be an outage.
        outages = [status for status in follow.verdicts if status >= 500]
        tries = [(status, body) for status in (200, 202, 204, *outages) for body in EMPTY]
        tries += [(status, body) for status in outages for body in OUTAGES]
        for status, body in tries:
            outcome = subject.second(follow, Response(status, JSON, body), sample.job_id)
            if outcome.state is not None and outcome.state.final and outcome.state is not certain:
                broken(
                    "a second response that says nothing about the job must not end it",
                    seen=f"{answer.file}, the second response of {sample.file}, as HTTP {status} with the body "
                    f"{body.decode('latin-1')!r}: {outcome}",
                    why="a proxy's error page or an outage would end a paid job",
                    do="raise vidpoll.Malformed if the second response says nothing: vidpoll then uses the fallback",
                )


def foreign(subject: Subject) -> None:
    """Files of a second response that names another job are ignored."""
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
                "a second response about another job must be recognised",
                seen=f"{answer.file}, the second response of {sample.file}, with the id {mutations.NOBODY!r}: the "
                "parser returns its files",
                why="the user would get the video of another user's job",
                do="raise vidpoll.ForeignAnswer if the second response names another job",
            )


def refused(subject: Subject) -> None:
    """If the second request is refused, the result of the first response stays."""
    for sample, follow, answer in _all(subject):
        certain = follow.fallback.state if isinstance(follow.fallback, Snapshot) else None
        told = {each.status for each in subject.index.of("follow") if each.status >= 400}
        for error in subject.index.of("error"):
            for status in {200, error.status} & {200, *follow.verdicts} - told:
                outcome = subject.second(follow, Response(status, JSON, error.body), sample.job_id)
                if outcome.state is not None and outcome.state.final and outcome.state is not certain:
                    broken(
                        "a refused second request must not change the result of the first response",
                        seen=f"{error.file} as HTTP {status} in place of {answer.file}: {outcome}; the first response "
                        f"gives {certain}",
                        why="a file that is not ready yet would end a paid job, or complete it without a file",
                        do="raise vidpoll.Malformed or vidpoll.Refused in that parser, and give the Follow a fallback",
                    )


def circles(subject: Subject) -> None:
    """No second response leads to a request that was already sent."""
    for sample, follow, answer in _all(subject):
        sent = [follow.request, subject.build("status", subject.builder("status", sample))]
        for seen, outcome in _damaged(subject, sample, follow, answer):
            if isinstance(outcome.value, Follow) and outcome.value.request in sent:
                broken(
                    "a second response must not lead to the same request again",
                    seen=f"{answer.file}, the second response of {sample.file}, {seen}: the parser requests "
                    f"{line(subject, outcome.value.request)} again",
                    why="vidpoll would send it again at once, without the pause that the provider needs, and give up",
                    do="raise vidpoll.Malformed if the second response is not ready: vidpoll polls again later",
                )


def _all(subject: Subject, *operations: str) -> Iterator[tuple[Sample, Follow[Any], Sample]]:
    for name in operations or ("status",):
        for sample in subject.index.of(name):
            for follow, answer in subject.follows(sample):
                yield sample, follow, answer


def _damaged(subject: Subject, sample: Sample, follow: Follow[Any], answer: Sample) -> Iterator[tuple[str, Outcome]]:
    """The results of a second response with each of its parts replaced, and of empty bodies in its place."""
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
