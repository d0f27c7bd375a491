"""Jobs over simulated time: stages, progress, the queue, failure.

This module is arithmetic: the current time is an argument (``now``, simulated seconds since the simulator started),
random numbers come from a seed. It may not read a clock, lock, or know a provider.

A job waits (queued), runs through its stages one after the other, and ends completed or failed. With the same seed,
the n-th job of a face always has the same id and the same stage lengths.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FAILS_AFTER = 0.5
"""The share of its running time after which a job that must fail does so."""


@dataclass(frozen=True)
class Stage:
    """One stage of a running job.

    ``seconds`` are the shortest and the longest length in simulated seconds; the seed picks one between them.
    ``progress`` is shown at the start and at the end of the stage, 0 to 100, and is interpolated in between.
    """

    name: str
    seconds: tuple[float, float]
    progress: tuple[float, float]


@dataclass(frozen=True)
class Timeline:
    """The life of a job: at least ``queued`` simulated seconds (shortest, longest) of waiting, then its stages."""

    queued: tuple[float, float]
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Moment:
    """The state of a job at one time; ``stage`` is the current or the last one, None while it is queued."""

    state: Literal["queued", "running", "completed", "failed"]
    stage: str | None
    progress: float

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.state in ("completed", "failed")


@dataclass(frozen=True)
class Fate:
    """The outcome of a job that must not complete.

    With ``failure`` it fails with that message when its progress reaches ``at`` percent (None: halfway through its
    running time). ``endless``: it runs for ever, and stays halfway.
    """

    failure: str | None = None
    at: float | None = None
    endless: bool = False


@dataclass
class Job:
    """One job; all times are simulated seconds. ``data`` belongs to the face that submitted it.

    ``stages`` have fixed lengths: the ``seconds`` of each has the same number twice.
    """

    id: str
    kind: str
    number: int
    submitted_at: float
    queued_for: float
    stages: tuple[Stage, ...]
    fate: Fate = Fate()
    data: dict[str, Any] = field(default_factory=dict)
    starts_at: float = 0.0

    @property
    def failure(self) -> str | None:
        """The message with which the job fails; None if it does not fail."""
        return self.fate.failure

    @property
    def ends_at(self) -> float:
        """When the job ends, completed or failed; infinity for one that never ends."""
        return math.inf if self.fate.endless else self.stands_at

    @property
    def stands_at(self) -> float:
        """The time after which the job no longer changes."""
        length = sum(stage.seconds[0] for stage in self.stages)
        if self.fate.failure is None and not self.fate.endless:
            return self.starts_at + length
        return self.starts_at + (length * FAILS_AFTER if self.fate.at is None else self._reaches(self.fate.at))

    def moment(self, now: float) -> Moment:
        """The state of the job at ``now``."""
        if now < self.starts_at:
            return Moment("queued", None, 0.0)
        if now >= self.ends_at and self.failure is None:
            return Moment("completed", self.stages[-1].name, 100.0)
        stage, progress = self._position(min(now, self.stands_at) - self.starts_at)
        return Moment("failed" if now >= self.ends_at else "running", stage, progress)

    def _reaches(self, progress: float) -> float:
        """Seconds of running after which the progress is reached; the whole running time if it never is."""
        elapsed = 0.0
        for stage in self.stages:
            first, last = stage.progress
            if last > first and progress <= last:
                return elapsed + stage.seconds[0] * max(0.0, progress - first) / (last - first)
            elapsed += stage.seconds[0]
        return elapsed

    def _position(self, elapsed: float) -> tuple[str, float]:
        for stage in self.stages:
            length = stage.seconds[0]
            if elapsed < length:
                first, last = stage.progress
                return stage.name, first + (last - first) * elapsed / length
            elapsed -= length
        return self.stages[-1].name, self.stages[-1].progress[1]


class Jobs:
    """The jobs of one face, in the order of submission: at most ``capacity`` of them run, the others are queued."""

    def __init__(self, *, seed: str, capacity: int, new_id: Callable[[random.Random], str]) -> None:
        self.submitted = 0
        self._seed = seed
        self._capacity = capacity
        self._new_id = new_id
        self._jobs: dict[str, Job] = {}
        self._slots: list[float] = []  # a heap of the times at which the busy slots become free

    def submit(
        self,
        kind: str,
        timeline: Timeline,
        *,
        at: float,
        data: Mapping[str, Any] | None = None,
        fate: Fate = Fate(),
    ) -> Job:
        """Accept a job that arrives at ``at``; ``fate`` sets its outcome."""
        self.submitted += 1
        dice = random.Random(f"{self._seed}:{self.submitted}")
        job = Job(
            id=self._new_id(dice),
            kind=kind,
            number=self.submitted,
            submitted_at=at,
            queued_for=dice.uniform(*timeline.queued),
            stages=tuple(_measured(stage, dice) for stage in timeline.stages),
            fate=fate,
            data=dict(data or {}),
        )
        self._jobs[job.id] = job
        self._seat(job)
        return job

    def get(self, job_id: str) -> Job | None:
        """The job of that id, or None."""
        return self._jobs.get(job_id)

    def remove(self, job_id: str, *, at: float) -> None:
        """Remove a job; if it was running, its slot is free from ``at`` on, and queued jobs move up."""
        job = self._jobs.pop(job_id)
        if job.ends_at > at:
            self._reseat(at)

    def waiting(self, now: float) -> int:
        """How many jobs have not started."""
        return sum(job.starts_at > now for job in self._jobs.values())

    def __iter__(self) -> Iterator[Job]:
        """All jobs, the oldest first."""
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def _seat(self, job: Job, *, not_before: float = -math.inf) -> None:
        free = heapq.heappop(self._slots) if len(self._slots) >= self._capacity else not_before
        job.starts_at = max(job.submitted_at + job.queued_for, free)
        heapq.heappush(self._slots, job.ends_at)

    def _reseat(self, now: float) -> None:
        started = [job for job in self._jobs.values() if job.starts_at <= now]
        self._slots = [job.ends_at for job in started if job.ends_at > now]
        heapq.heapify(self._slots)
        for job in self._jobs.values():
            if job.starts_at > now:
                self._seat(job, not_before=now)


def _measured(stage: Stage, dice: random.Random) -> Stage:
    seconds = dice.uniform(*stage.seconds)
    return Stage(stage.name, (seconds, seconds), stage.progress)
