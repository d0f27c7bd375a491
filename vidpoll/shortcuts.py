"""`vidpoll.wait`, `watch` and `download`: for scripts that need no client of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .client import Client, Download
from .events import DownloadProgress, Event
from .following import OnEvent
from .job import Job
from .pacing.schedules import Schedule


def wait(
    job: Job | str,
    *,
    timeout: float | None = 3600.0,
    pacing: Schedule | None = None,
    stop: threading.Event | None = None,
    on_event: OnEvent | None = None,
    check: bool = True,
    download: Download | None = None,
    kinds: Sequence[str] | None = None,
) -> Job:
    """Wait until the provider ends the job, and return it: `vidpoll.wait("magicoal:3f8a…", timeout=900)`.

    A client of its own is made and closed; the key comes from the environment variable that the provider names.
    `timeout` is in seconds; 0 looks once, None waits for as long as it takes. `pacing` is a Schedule, by default
    `Adaptive()`. `stop` ends the wait within a second once it is set: call it from another thread, or pass it with
    `asyncio.to_thread(vidpoll.wait, ref, stop=stop)`. `on_event` gets every event as it happens. With `check=False`
    nothing is raised for what became of the job: look at `job.ok` and `job.error`. `download="clips/"` saves its files
    (of these `kinds`), too: `job.paths`, or `job.download_error`, which is raised as well.

    Raises JobFailed, JobCancelled or JobExpired when the provider says so; WaitTimeout, ProviderUnreachable,
    JobNotFound, WaitStopped or WaitRefused when the outcome is unknown: the job goes on, and the error's `resume` is
    the line that waits again. Raises UsageError (UnknownProvider, MissingKey, BadReference) before anything is sent.
    """
    with Client() as client:
        return client.wait(
            job,
            timeout=timeout,
            pacing=pacing,
            stop=stop,
            on_event=on_event,
            check=check,
            download=download,
            kinds=kinds,
        )


def watch(
    job: Job | str,
    *,
    timeout: float | None = 3600.0,
    pacing: Schedule | None = None,
    stop: threading.Event | None = None,
    on_event: OnEvent | None = None,
    check: bool = True,
) -> Iterator[Event]:
    """Wait like `vidpoll.wait`, yielding each event: `for event in vidpoll.watch("magicoal:3f8a…"): print(event)`.

    A client of its own is made, and closed when the iterator ends or is closed. A verdict, good or bad, is the last
    event (Completed or Failed), and nothing is raised for it. Where the outcome is unknown, GaveUp is the last event
    and its error is raised: WaitTimeout, ProviderUnreachable, JobNotFound, WaitStopped or WaitRefused (not with
    `check=False`). The keywords are those of `vidpoll.wait`. Raises UsageError at the call, before anything is sent.
    """
    client = Client()
    events = client.watch(job, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event, check=check)

    def until_closed() -> Iterator[Event]:
        with client:
            yield from events

    return until_closed()


def download(
    job: Job | str,
    target: str | Path,
    *,
    kinds: Sequence[str] | None = None,
    overwrite: bool = False,
    timeout: float | None = 3600.0,
    max_bytes: int | None = None,
    on_progress: Callable[[DownloadProgress], object] | None = None,
) -> list[Path]:
    """Save the assets of a completed job in the folder `target` (or as the file `target`), and return the paths.

    A client of its own is made and closed: the key and the base URL come from the environment. A job that is not known
    to be completed is asked about once. `kinds` chooses the assets; names are made from the reference; `~` is the
    user's home. `timeout` is in seconds for all files (None: as long as it takes), `max_bytes` bounds each of them.
    `on_progress` gets DownloadProgress about ten times a second. Nothing but a whole file is ever under its name, and
    a download that was cut goes on where it stopped, in another process too.

    Raises DownloadError for a file that cannot be had, ResultMissing where there is none of a kind, JobFailed,
    JobCancelled or JobExpired for a job that has no files, and UsageError for one that is not completed yet or a call
    that is wrong.
    """
    with Client() as client:
        return client.download(
            job, target, kinds=kinds, overwrite=overwrite, timeout=timeout, max_bytes=max_bytes, on_progress=on_progress
        )
