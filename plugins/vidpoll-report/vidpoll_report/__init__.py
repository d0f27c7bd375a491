"""A page about a run of vidpoll: a gallery of the results, a timeline, durations, faults, money; one HTML file.

    with vidpoll.Client(plugins=[Report("night.html")]) as client: ...    # or VIDPOLL_REPORT=night.html vidpoll wait …
    vidpoll report jobs.sqlite3 -o night.html                             # afterwards, from a store

This module has the plugin and the command; `entry` has the facts of a job, `page` and `timeline` show them.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll import notify

from .batch import Batch
from .entry import GOING, UNKNOWN, Entry, kept
from .page import page
from .writer import whole

__all__ = ["Report"]

TITLE = "vidpoll report"

EVERY = 0.5
"""The least seconds between two pages; the pause is also at least ten times as long as writing the last page."""

FLUSH = 10.0
"""The most seconds by which a page that is slow to write delays the end of a wait."""


class Report:
    """Writes the page at `path` while a client waits: after each verdict and saved file, and when a wait ends.
    For a batch the page lists the rows, with their prompts and costs.

    A thread of its own writes the page, at most twice a second, and a last time when the wait ends. Under its name
    there is always a complete page. `describe` gives the prompt of a job, if no response of the provider contains it.
    Raises UsageError if the page cannot be written there.
    """

    name = "report"

    def __init__(self, path: str | os.PathLike[str], *, title: str = TITLE) -> None:
        self.path = _checked(Path(path))
        self.title = title
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._batches: dict[str, Batch] = {}
        self._open = 0
        self._outbox = notify.Outbox(self._write, name="report", size=1 << 30, every=EVERY, at_exit=FLUSH)

    def describe(self, job: vidpoll.Job | str, prompt: str) -> None:
        """Set the prompt of a job: `report.describe(job, "a lighthouse at dusk")`."""
        with self._lock:
            self._entry(job if isinstance(job, str) else job.ref).prompt = prompt

    def html(self) -> str:
        """The current page."""
        with self._lock:
            entries = [copy(entry) for entry in self._entries.values()]
            for entry in entries:
                entry.faults, entry.faults_at = entry.faults.copy(), list(entry.faults_at)
                entry.files = dict(entry.files)
            batches = list(self._batches.values())
        return page(entries, self.title, self.path.parent, time.time(), batches)

    def _write(self, wishes: Sequence[None]) -> None:
        """Write one page for any number of requests."""
        del wishes
        began = time.monotonic()
        whole(self.path, self.html())
        self._outbox.pause(10 * (time.monotonic() - began))

    def _soon(self) -> None:
        self._outbox.put(None, keep=True)

    def _entry(self, ref: str) -> Entry:
        return self._entries.setdefault(ref, Entry(ref))

    def _note(self, job: vidpoll.Job, event: vidpoll.Event) -> Entry:
        entry = self._entry(job.ref)
        entry.began = event.at if entry.began is None else entry.began
        entry.last = event.at
        entry.take(job)
        return entry

    @vidpoll.hookimpl
    def vidpoll_began(self, jobs: Sequence[vidpoll.Job], action: str) -> None:
        with self._lock:
            self._open += 1
            for job in jobs:
                entry = self._entry(job.ref)
                if action == "wait":
                    entry.state, entry.why = GOING, None
                entry.take(job)
        self._soon()

    @vidpoll.hookimpl
    def vidpoll_ended(self) -> None:
        self._over()

    @vidpoll.hookimpl
    def vidpoll_batch_changed(self, batch: vidpoll.BatchStatus, rows: Mapping[str, vidpoll.RowResult]) -> None:
        with self._lock:
            known = self._batches.get(batch.name)
            going = known is not None and not known.ended
            self._open += not going
            self._batches[batch.name] = Batch(batch, tuple(rows.values()), known.stops if known and going else {})
            for result in self._batches[batch.name].rows:
                self._take_row(result)
        self._soon()

    def _take_row(self, result: vidpoll.RowResult) -> None:
        if result.job is not None:
            known = result.job.ref in self._entries
            entry = self._entry(result.job.ref)
            entry.take_row(result)
            if not known:
                entry.take(result.job)

    @vidpoll.hookimpl
    def vidpoll_batch_stopped(self, batch: vidpoll.BatchStatus, stop: vidpoll.Stopped, text: str) -> None:
        said = f"{stop.account}: {stop.said}; {text}" if stop.said else text
        with self._lock:
            known = self._batches.get(batch.name)
            if known is not None:
                self._batches[batch.name] = replace(known, stops={**known.stops, stop.account: said})
        self._soon()

    @vidpoll.hookimpl
    def vidpoll_batch_ended(self, batch: vidpoll.BatchStatus) -> None:
        with self._lock:
            known = self._batches.get(batch.name)
            if known is None:
                return
            self._batches[batch.name] = replace(known, ended=True)
        self._over()

    def _over(self) -> None:
        """A wait, a download or a batch has ended; after the last one, wait until the page is written."""
        with self._lock:
            self._open -= 1
            over = not self._open
        self._soon()
        if over and not self._outbox.flush(FLUSH):
            raise TimeoutError(f"{self.path} was not written within {FLUSH:g} s")

    @vidpoll.hookimpl
    def vidpoll_polled(self, job: vidpoll.Job, event: vidpoll.Polled) -> None:
        with self._lock:
            self._note(job, event).requests += 1

    @vidpoll.hookimpl
    def vidpoll_poll_failed(self, job: vidpoll.Job, event: vidpoll.PollFailed) -> None:
        with self._lock:
            entry = self._note(job, event)
            entry.requests += 1
            entry.fault(event.reason, event.at)

    @vidpoll.hookimpl
    def vidpoll_stalled(self, job: vidpoll.Job, event: vidpoll.Stalled) -> None:
        with self._lock:
            self._note(job, event).stalled = event.seconds

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job, event: vidpoll.Completed) -> None:
        self._ended(job, event)

    @vidpoll.hookimpl
    def vidpoll_failed(self, job: vidpoll.Job, event: vidpoll.Failed) -> None:
        self._ended(job, event)

    @vidpoll.hookimpl
    def vidpoll_gave_up(self, job: vidpoll.Job, event: vidpoll.GaveUp) -> None:
        with self._lock:
            entry = self._note(job, event)
            entry.state, entry.why = UNKNOWN, str(event.error)
        self._soon()

    @vidpoll.hookimpl
    def vidpoll_downloaded(self, job: vidpoll.Job, event: vidpoll.Downloaded) -> None:
        with self._lock:
            self._entry(job.ref).files[event.path.absolute()] = event.kind
        self._soon()

    def _ended(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
        with self._lock:
            self._note(job, event)
        self._soon()


@vidpoll.hookimpl
def vidpoll_notifiers(environ: Mapping[str, str]) -> Iterable[Report]:
    """The page of `VIDPOLL_REPORT`, one for all clients of a process."""
    if environ.get("VIDPOLL_REPORT"):
        yield _shared(_checked(Path(environ["VIDPOLL_REPORT"])))


@cache
def _shared(path: Path) -> Report:
    return Report(path)


@vidpoll.hookimpl
def vidpoll_commands(register: Callable[..., None]) -> None:
    """`vidpoll report`."""
    register("report", "write a page about the jobs of a store", _arguments, _run)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  vidpoll report jobs.sqlite3 -o night.html --files clips"
    parser.add_argument("store", metavar="STORE", help="the store's file, as for Client(store=…) or --store")
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE", help="the page (report.html)")
    parser.add_argument("--title", default=TITLE, help="the page's title")
    parser.add_argument(
        "--files",
        action="append",
        default=[],
        metavar="DIR",
        help="the folder of the saved files, which the page links to and shows (may be given several times)",
    )


def _run(args: Any) -> int:
    store, output = Path(args.store), _checked(Path(args.output))
    if not store.is_file():
        raise vidpoll.UsageError(f"report: STORE must be the store's file, got {args.store!r}, which does not exist")
    folders = [Path(name).absolute() for name in args.files]
    for name, folder in zip(args.files, folders, strict=True):
        if not folder.is_dir():
            raise vidpoll.UsageError(f"--files must be an existing folder, got {name!r}")
    with vidpoll.Client(store=store, discover=False) as client:
        entries = [kept(each, folders) for each in client.store.jobs()]
    try:
        whole(output, page(entries, args.title, output.parent, time.time()))
    except OSError as error:
        raise vidpoll.UsageError(f"the page {args.output!r} cannot be written: {error.strerror}") from None
    print(f"{args.output}: {len(entries)} job{'s' * (len(entries) != 1)}")  # noqa: T201 - a command says what it has done
    return 0


def _checked(path: Path) -> Path:
    """The absolute path of a page. Raises UsageError if no page can be written there."""
    found = path.absolute()
    if found.is_dir() or not found.parent.is_dir():
        why = "it is a folder" if found.is_dir() else "its folder does not exist"
        raise vidpoll.UsageError(f"the page {str(path)!r} cannot be written: {why}")
    return found
