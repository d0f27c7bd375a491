"""What the page tells of one job, gathered from hooks or read out of a store. No HTML here."""

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
"""Fields in which providers take what the video is to show."""

FAULTS = 200
"""Faults of a job that are drawn; all are counted."""

GOING, UNKNOWN = "going on", "unknown"


@dataclass(frozen=True)
class Span:
    """A stage of a job from `begin` to `end`, Unix seconds."""

    name: str
    begin: float
    end: float


@dataclass
class Entry:
    """One job. Times are Unix seconds, `length` is that of the video in seconds."""

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
    """Seconds that the job took as `job.took` has it: the provider's own where it is told."""
    length: float | None = None
    links: tuple[tuple[str, str], ...] = ()
    files: dict[Path, str] = field(default_factory=dict)
    """Path to kind."""
    why: str | None = None
    """Why nobody knows the outcome."""
    row: str = ""
    """The key of its row in a batch."""

    @property
    def name(self) -> str:
        """What it is called: by its row, or by its reference."""
        return self.row or self.ref

    @property
    def start(self) -> float | None:
        """When it was made, or first heard of."""
        known = [at for at in (self.created, self.began, *(moment.at for moment in self.moments[:1])) if at is not None]
        return min(known, default=None)

    @property
    def end(self) -> float | None:
        """When it ended; of a job that goes on, when it was last heard of."""
        known = [at for at in (self.last, *(moment.at for moment in self.moments[-1:])) if at is not None]
        return self.ended if self.ended is not None else max(known, default=None)

    @property
    def took(self) -> float | None:
        """Seconds that it took, the same as `job.took`; of others than completed jobs from what was seen."""
        if self.told is not None:
            return self.told
        return None if self.start is None or self.end is None else max(0.0, self.end - self.start)

    @property
    def spans(self) -> list[Span]:
        """Its stages in order; the time before the first answer is one, too."""
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
        """Note what is known of the job now."""
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
        """Note what the row of a batch knows of its job: the prompt, and the files, also those of an earlier run."""
        self.row = result.key
        self.prompt = self.prompt or prompt_of(result.row.fields)
        for path in result.paths:
            kind = (guess_type(path.name)[0] or "file").partition("/")[0]
            self.files.setdefault(path.absolute(), "thumbnail" if kind == "image" else kind)

    def fault(self, reason: str, at: float) -> None:
        """Note a fault that was borne."""
        self.faults[reason] += 1
        if len(self.faults_at) < FAULTS:
            self.faults_at.append(at)


def kept(each: vidpoll.KeptJob, folders: Iterable[Path]) -> Entry:
    """A job as a store has it; its files where they lie in one of the folders."""
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
    """The prompt in a provider's answer or in the fields of a submit, also one level down."""
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
