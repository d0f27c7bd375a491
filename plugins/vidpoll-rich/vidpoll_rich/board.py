"""The facts about the jobs in a wait, and about the files in a download. This module uses no terminal and no rich.

The threads that wait put events in; the thread that draws reads `view`. Rows are values, so that a view holds the lock
only while it copies a list.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import vidpoll


@dataclass(frozen=True)
class Row:
    """A job without a verdict. Times are Unix seconds."""

    ref: str
    began: float
    state: str | None = None
    stage: str | None = None
    progress: float | None = None
    queue: int | None = None
    ends: tuple[float, float] | None = None
    late: bool = False
    stalled: float | None = None  # the time of the last change
    fault: str | None = None
    again: float | None = None
    row: str = ""
    """The key of its row in a batch."""


@dataclass(frozen=True)
class File:
    """A file in a download: bytes received, bytes in total, the time now and at the start, bytes at the start."""

    ref: str
    kind: str
    received: int
    total: int | None
    at: float
    began: float
    start: int
    row: str = ""


@dataclass(frozen=True)
class View:
    """Everything at one moment."""

    rows: tuple[Row, ...]
    files: tuple[File, ...]
    ended: Counter[str]
    began: float
    saving: int = 0
    """Downloads that have begun, or are queued."""
    batches: tuple[vidpoll.BatchStatus, ...] = ()


class Board:
    """Collects events. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()  # the number of waits by reference: two threads may wait for one job
        self._rows: dict[str, Row] = {}
        self._files: dict[tuple[str, str], File] = {}
        self._ended: Counter[str] = Counter()
        self._began = 0.0
        self._under_way = 0
        self._saving = 0
        self._batches: dict[str, vidpoll.BatchStatus] = {}

    def batch(self, status: vidpoll.BatchStatus, now: float) -> None:
        """A batch begins, or has changed."""
        with self._lock:
            if status.name not in self._batches:
                self._enter(now)
            self._batches[status.name] = status

    def batch_ended(self, name: str) -> bool:
        """A batch has ended; return whether nothing is left to show."""
        with self._lock:
            self._under_way -= self._batches.pop(name, None) is not None
            return self._under_way <= 0

    def _enter(self, now: float) -> None:
        if not self._under_way:
            self._began, self._ended = now, Counter()
        self._under_way += 1

    def began(self, jobs: Sequence[vidpoll.Job], now: float, *, waits: bool) -> None:
        """A wait or a download begins."""
        with self._lock:
            self._enter(now)
            self._saving += not waits
            for job in jobs if waits else ():
                self._open[job.ref] += 1
                if not job.final:
                    self._rows.setdefault(job.ref, _said(Row(job.ref, _start(job, now), row=job.row), job))

    def ended(self, jobs: Sequence[vidpoll.Job], *, waits: bool) -> bool:
        """A wait or a download has ended; return whether nothing is left to show."""
        with self._lock:
            self._under_way -= 1
            self._saving -= not waits
            for job in jobs:
                if waits:
                    self._open[job.ref] -= 1
                    if self._open[job.ref] <= 0:
                        del self._open[job.ref]
                        self._rows.pop(job.ref, None)
                else:
                    for key in [key for key in self._files if key[0] == job.ref]:
                        del self._files[key]
            return self._under_way <= 0

    def hear(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
        """Record an event."""
        with self._lock:
            row = self._rows.get(event.ref)
            if isinstance(event, vidpoll.DownloadProgress):
                self._file(job, event)
            elif isinstance(event, vidpoll.Downloaded):
                self._files.pop((event.ref, event.kind), None)
            elif isinstance(event, (vidpoll.Completed, vidpoll.Failed, vidpoll.GaveUp)):
                if self._rows.pop(event.ref, None) is not None:
                    self._ended[_word(event)] += 1
            elif row is None:
                return
            elif isinstance(event, vidpoll.PollFailed):
                again = None if event.retry_in is None else event.at + event.retry_in
                self._rows[event.ref] = replace(row, fault=event.reason, again=again)
            elif isinstance(event, vidpoll.Stalled):
                self._rows[event.ref] = replace(row, stalled=event.at - event.seconds)
            elif isinstance(event, (vidpoll.StageChanged, vidpoll.ProgressChanged)):
                self._rows[event.ref] = replace(_said(row, job), stalled=None)
            elif isinstance(event, vidpoll.Polled):
                self._rows[event.ref] = _answered(row, job, event)

    def _file(self, job: vidpoll.Job, event: vidpoll.DownloadProgress) -> None:
        key = (event.ref, event.kind)
        known = self._files.get(key)
        if known is None or event.received < known.received:  # the download started again
            began, start = event.at, event.received
        else:
            began, start = known.began, known.start
        self._files[key] = File(event.ref, event.kind, event.received, event.total, event.at, began, start, job.row)

    def view(self) -> View:
        """A copy of the current state."""
        with self._lock:
            rows, files = tuple(self._rows.values()), tuple(self._files.values())
            return View(rows, files, Counter(self._ended), self._began, self._saving, (*self._batches.values(),))


def _word(event: vidpoll.Event) -> str:
    if isinstance(event, vidpoll.Failed):
        return str(event.state)
    return "completed" if isinstance(event, vidpoll.Completed) else "unknown"


def _start(job: vidpoll.Job, now: float) -> float:
    """When a job was made, or `now` if that is unknown."""
    return now if job.created_at is None else min(job.created_at, now)


def _said(row: Row, job: vidpoll.Job) -> Row:
    state = None if job.state is None else str(job.state)
    return replace(row, state=state, stage=job.stage, progress=job.progress)


def _answered(row: Row, job: vidpoll.Job, event: vidpoll.Polled) -> Row:
    """The row after a usable response, which clears the fault."""
    ends = None if event.eta is None else (event.at + event.eta[0], event.at + event.eta[1])
    queue = None if event.snapshot is None else event.snapshot.queue_position
    return replace(
        _said(row, job), began=_start(job, row.began), queue=queue, ends=ends, late=event.late, fault=None, again=None
    )
