"""A second answer: the files of a completed job stand at another address, which the first answer leads to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from .. import parsing
from ..errors import ForeignAnswer, Malformed
from ..model import Response, Snapshot, State, same_id
from ..provider import Follow
from .envelope import Envelope
from .files import Files, check_files, read_files
from .lines import Line
from .paths import Where, check_where, find
from .verdicts import Verdict, verdict_of


@dataclass(frozen=True)
class Second:
    """Where to ask for the files of a completed job that names no video, and where they stand in that answer.

    A hole in `line` is `{id}`, `{kind}`, or a path in the first answer: `GET /files?file_id={file_id}`. Where nothing
    stands there, nothing is asked. `id` is where the second answer names its job, if it does. What the first answer
    said counts if the second cannot be had, unless `verdicts` says that the second answer alone is one (fal: a
    completed job may have failed, or its result is "still in progress"). `fails` are HTTP statuses that mean, whatever
    the body, that the job has failed. Raises PluginError for a table that cannot be right.

    >>> Second("GET /files/retrieve?file_id={file_id}", {"video": "file.download_url"}).names
    frozenset({'file_id'})
    """

    line: str
    files: Files
    id: Where = ""
    fails: tuple[int, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    def __post_init__(self) -> None:
        check_where("Second id", self.id)
        check_files("Second files", self.files, {"id", "kind", *self.names})
        for name in self.names:
            check_where(f"Second line {self.line!r}", name)

    @cached_property
    def made(self) -> Line:
        """The line."""
        return Line(self.line)

    @cached_property
    def all_verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts, those of `fails` last."""
        return (*self.verdicts, *(Verdict(status, "", State.FAILED) for status in self.fails))

    @property
    def names(self) -> frozenset[str]:
        """The holes of the line."""
        return self.made.names

    def follow(
        self,
        said: Snapshot,
        data: Mapping[str, Any],
        own: Mapping[str, str],
        envelope: Envelope,
        classed: Callable[[Snapshot], Snapshot],
    ) -> Snapshot | Follow[Snapshot]:
        """The question for the second answer, or `said` where the first answer does not lead to one.

        `classed` gives the problem of a snapshot its class of failure.
        """
        values = {name: own.get(name) or find(data, name, parsing.text) or "" for name in self.names}
        if not all(values.values()):
            return said

        def parse(response: Response, job_id: str) -> Snapshot:
            verdict = verdict_of(self.all_verdicts, response)
            if verdict is not None:
                return classed(replace(said, state=verdict.state, assets=(), problem=verdict.problem(response)))
            envelope.check(response)
            body = parsing.json_object(response)
            named = find(body, self.id, parsing.text)
            if named is not None and not same_id(named, own["id"]):
                raise ForeignAnswer("the second answer is about another job than the one that was asked for")
            found = read_files(body, self.files, own)
            if self.all_verdicts and not found:  # nothing is certain without it
                raise Malformed(f"the second answer names no file: {parsing.problem(response)}")
            return replace(said, assets=(*found, *said.assets))

        seen = tuple(dict.fromkeys(each.status for each in self.all_verdicts if each.status >= 300))
        return Follow(self.made.request(values), parse, verdicts=seen, fallback=None if self.all_verdicts else said)
