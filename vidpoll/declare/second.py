"""A second answer: the files of a completed job stand at another address, which the first answer leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from .. import parsing
from ..errors import ForeignAnswer
from ..model import Response, Snapshot, State
from ..provider import Follow
from .envelope import Envelope
from .files import Files, check_files, read_files
from .lines import Line
from .paths import Where, check_where, find


@dataclass(frozen=True)
class Second:
    """Where to ask for the files of a completed job that names no video, and where they stand in that answer.

    A hole in `line` is `{id}`, `{kind}`, or a path in the first answer: `GET /files?file_id={file_id}`. Where nothing
    stands there, nothing is asked. `id` is where the second answer names its job, if it does. What the first answer
    said counts if the second cannot be had, unless `fails` holds HTTP statuses of it that mean the job has failed:
    then the second answer alone is the verdict. Raises PluginError for a table that cannot be right.

    >>> Second("GET /files/retrieve?file_id={file_id}", {"video": "file.download_url"}).names
    frozenset({'file_id'})
    """

    line: str
    files: Files
    id: Where = ""
    fails: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_where("Second id", self.id)
        check_files("Second files", self.files, ("id", "kind"))
        for name in self.names:
            check_where(f"Second line {self.line!r}", name)

    @cached_property
    def made(self) -> Line:
        """The line."""
        return Line(self.line)

    @property
    def names(self) -> frozenset[str]:
        """The holes of the line."""
        return self.made.names

    def follow(
        self, said: Snapshot, data: Mapping[str, Any], own: Mapping[str, str], envelope: Envelope
    ) -> Snapshot | Follow[Snapshot]:
        """The question for the second answer, or `said` where the first answer does not lead to one."""
        values = {name: own.get(name) or find(data, name, parsing.text) or "" for name in self.names}
        if not all(values.values()):
            return said

        def parse(response: Response, job_id: str) -> Snapshot:
            if response.status in self.fails:
                return replace(said, state=State.FAILED, assets=(), problem=parsing.problem(response))
            envelope.check(response)
            body = parsing.json_object(response)
            if find(body, self.id, parsing.text) not in (None, own["id"]):
                raise ForeignAnswer("the second answer is about another job than the one that was asked for")
            return replace(said, assets=(*read_files(body, self.files, own), *said.assets))

        fallback = None if self.fails else said
        return Follow(self.made.request(values), parse, verdicts=self.fails, fallback=fallback)
