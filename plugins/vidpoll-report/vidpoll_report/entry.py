"""The page's facts about one job, collected from hooks or read from a store. This module has no HTML."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import vidpoll

PROMPTS = ("prompt", "video_subject", "text", "subject")
"""Fields in which providers take the prompt."""

FAULTS = 200
"""The most faults of a job that are drawn; all are counted."""

GOING, UNKNOWN = "going on", "unknown"


@dataclass(frozen=True)
class Span:
    """A stage of a job from `begin` to `end`, Unix seconds."""

    name: str
    begin: float
    end: float


@dataclass
class Entry:
    """One job. Times are Unix seconds; `length` is the length of the video in seconds."""

    ref: str
    state: str = GOING
    stage: str | None = None
    operation: str | None = None
    prompt: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    created: float | None = None
    began: float | None = None
    ended: float | None = None
    last: float | None = None
    moments: tuple[vidpoll.Moment, ...] = ()
    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    faults_at: list[float] = field(default_factory=list)
    stalled: float | None = None
    cost: vidpoll.Cost | None = None
    problem: vidpoll.Problem | None = None
    told: float | None = None
    """Seconds that the job took (`job.took`): the provider's own figure if it is reported."""
    length: float | None = None
    links: tuple[tuple[str, str], ...] = ()
    files: dict[Path, str] = field(default_factory=dict)
    """Path to kind."""
    why: str | None = None
    """Why the outcome is unknown."""
    row: str = ""
    """The key of its row in a batch."""

    @property
    def name(self) -> str:
        """The displayed name: the key of its row, or its reference."""
        return self.row or self.ref

    @property
    def start(self) -> float | None:
        """When it was made, or first seen."""
        known = [at for at in (self.created, self.began, *(moment.at for moment in self.moments[:1])) if at is not None]
        return min(known, default=None)

    @property
    def end(self) -> float | None:
        """When it ended; for an unfinished job, the time of its last news."""
        known = [at for at in (self.last, *(moment.at for moment in self.moments[-1:])) if at is not None]
        return self.ended if self.ended is not None else max(known, default=None)

    @property
    def took(self) -> float | None:
        """Seconds that it took: `job.took`; for a job that is not completed, from the observed times."""
        if self.told is not None:
            return self.told
        return None if self.start is None or self.end is None else max(0.0, self.end - self.start)

    @property
    def spans(self) -> list[Span]:
        """Its stages in order; the time before the first response also counts as one."""
        if self.start is None or self.end is None:
            return []
        steps = [(self.start, "waiting")]
        for moment in self.moments:
            steps.append((max(moment.at, steps[-1][0]), moment.stage or str(moment.state)))
        end = max(self.end, steps[-1][0])
        ends = [at for at, _ in steps[1:]] + [end]
        found: list[Span] = []
        for (at, name), to in zip(steps, ends, strict=True):
            if found and found[-1].name == name:
                found[-1] = Span(name, found[-1].begin, to)
            elif to > at:
                found.append(Span(name, at, to))
        return found

    def take(self, job: vidpoll.Job) -> None:
        """Note the current facts of the job."""
        self.stage, self.moments, self.cost, self.problem = job.stage, job.history, job.cost, job.problem
        self.created, self.told, self.row = job.created_at, job.took, job.row or self.row
        if job.final:
            self.state, self.why = str(job.state), None
            self.ended = job.history[-1].at if job.history else self.last
        self.links = tuple((asset.kind, asset.url) for asset in job.assets if asset.url is not None)
        if job.snapshot is not None:
            self.length = job.snapshot.duration if job.snapshot.duration is not None else self.length
            self.prompt = self.prompt or prompt_of(job.snapshot.raw)

    def take_row(self, result: vidpoll.RowResult) -> None:
        """Note the prompt and the files from the job's row in a batch, including files of an earlier run."""
        self.row = result.key
        self.prompt = self.prompt or prompt_of(result.row.fields)
        for path in result.paths:
            kind = (guess_type(path.name)[0] or "file").partition("/")[0]
            self.files.setdefault(path.absolute(), "thumbnail" if kind == "image" else kind)

    def fault(self, reason: str, at: float) -> None:
        """Note a fault that the wait survived."""
        self.faults[reason] += 1
        if len(self.faults_at) < FAULTS:
            self.faults_at.append(at)


def kept(each: vidpoll.KeptJob, folders: Iterable[Path]) -> Entry:
    """A job from a store, with its files in the folders."""
    entry = Entry(each.ref, operation=each.operation, fields=each.sent)
    entry.take(each.job)
    entry.prompt = prompt_of(each.sent) or entry.prompt
    entry.began = each.submitted_at if each.submitted_at is not None else each.added_at
    if entry.state != GOING and each.ended_at is not None and not entry.moments:
        entry.ended = each.ended_at
    entry.requests = each.requests
    if each.transient_errors:
        entry.faults["of any kind"] = each.transient_errors
    digest = hashlib.sha256(each.ref.encode()).hexdigest()[:8]
    for folder in folders:
        for path in sorted(folder.glob(f"*-{digest}-*")):
            if path.suffix not in (".part", ".json") and path.is_file():
                entry.files[path] = path.stem.partition(f"-{digest}-")[2].rstrip("-0123456789")
    return entry


def prompt_of(said: object) -> str | None:
    """The prompt in a provider's response or in the fields of a submit, also one level down."""
    if not isinstance(said, Mapping):
        return None
    for name in PROMPTS:
        if isinstance(said.get(name), str) and said[name].strip():
            return str(said[name])
    for inner in said.values():
        if isinstance(inner, Mapping):
            found = [inner[name] for name in PROMPTS[:2] if isinstance(inner.get(name), str) and inner[name].strip()]
            if found:
                return str(found[0])
    return None
