"""A second response: the files of a completed job are at another address, which the first response leads to."""

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
    """The second request, for the files of a completed job without a video, and where the files are in its response.

    A hole in `line` is `{id}`, `{kind}`, or a path in the first response: `GET /files?file_id={file_id}`. If that path
    has no value, no second request is sent. `id` is the path of the job's id in the second response, if it has one. If
    the second request fails, the first response counts; with `verdicts` or `fails`, only the second response gives the
    verdict (fal: a completed job may have failed, or its result is "still in progress"). `fails` are HTTP statuses that
    mean, whatever the body is, that the job has failed. Raises PluginError for an invalid table.

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
    def _made(self) -> Line:
        """The line."""
        return Line(self.line)

    @cached_property
    def _all_verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts; those of `fails` come last."""
        return (*self.verdicts, *(Verdict(status, "", State.FAILED) for status in self.fails))

    @property
    def names(self) -> frozenset[str]:
        """The holes of the line."""
        return self._made.names

    def follow(
        self,
        said: Snapshot,
        data: Mapping[str, Any],
        own: Mapping[str, str],
        envelope: Envelope,
        classed: Callable[[Snapshot], Snapshot],
    ) -> Snapshot | Follow[Snapshot]:
        """The request for the second response, or `said` if the first response does not lead to one.

        `classed` gives the problem of a snapshot its category.
        """
        values = {name: own.get(name) or find(data, name, parsing.text) or "" for name in self.names}
        if not all(values.values()):
            return said

        def parse(response: Response, job_id: str) -> Snapshot:
            verdict = verdict_of(self._all_verdicts, response)
            if verdict is not None:
                return classed(replace(said, state=verdict.state, assets=(), problem=verdict.problem(response)))
            envelope.check(response)
            body = parsing.json_object(response)
            named = find(body, self.id, parsing.text)
            if named is not None and not same_id(named, own["id"]):
                raise ForeignAnswer("the second response is about another job than the polled one")
            found = read_files(body, self.files, own)
            if self._all_verdicts and not found:  # without the files nothing is certain
                raise Malformed(f"the second response names no file: {parsing.problem(response)}")
            return replace(said, assets=(*found, *said.assets))

        seen = tuple(dict.fromkeys(each.status for each in self._all_verdicts if each.status >= 300))
        return Follow(self._made.request(values), parse, verdicts=seen, fallback=None if self._all_verdicts else said)
