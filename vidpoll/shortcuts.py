"""`vidpoll.wait`, `watch` and `download`: for scripts that do not need a client of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
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
    """Wait until the provider ends the job, and return the job: `vidpoll.wait("magicoal:3f8a…", timeout=900)`.

    `job` is a reference (`account:id`) or a Job. The call makes and closes its own client. The key comes from the
    environment variable that the provider names, the base URL from `<NAME>_BASE_URL` if set.

    `timeout`: seconds for the job and its files together, by default 3600. 0 polls once; None waits without limit.
    `pacing`: a Schedule, by default `Adaptive()`; the provider's floor always holds.
    `stop`: a threading.Event. When another thread sets it, the wait ends within a second. From asyncio, use
    `asyncio.to_thread(vidpoll.wait, ref, stop=stop)`.
    `on_event`: a function that is called with every event as it happens.
    `check`: with False the outcome raises nothing; read `job.ok`, `job.error` and `job.download_error`.
    `download`: a folder ("clips/") or a file to save the job's files to; `job.paths` are the saved files.
    `kinds`: which files to save, like ["video", "thumbnail"]; by default the videos, or all files of a job that makes
    no video.

    Raises JobFailed, JobCancelled or JobExpired when the provider says so. Raises WaitTimeout, ProviderUnreachable,
    JobNotFound, WaitStopped, WaitRefused or WaitNotSent when the outcome is unknown: the job continues at the provider,
    and `resume` of the error is the line of Python that waits again. Raises DownloadError or ResultMissing if a file
    cannot be saved. Raises UsageError (UnknownProvider, MissingKey, BadReference …) before anything is sent.
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
) -> Generator[Event, None, None]:
    """Wait as `vidpoll.wait` does, and yield each event: `for event in vidpoll.watch("magicoal:3f8a…"): print(event)`.

    The keywords are those of `vidpoll.wait`: `timeout` is in seconds, by default 3600; 0 polls once, None waits without
    limit. The call makes its own client and closes it when the generator ends or is closed (`contextlib.closing`).

    A verdict, good or bad, is the last event (Completed or Failed) and raises nothing. If the outcome is unknown,
    GaveUp is the last event, and then its error is raised (not with `check=False`): WaitTimeout, ProviderUnreachable,
    JobNotFound, WaitStopped, WaitRefused or WaitNotSent. Raises UsageError at the call, before anything is sent.
    """
    client = Client()
    events = client.watch(job, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event, check=check)

    def until_closed() -> Generator[Event, None, None]:
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

    `job` is a reference (`account:id`) or a Job. The call makes and closes its own client; the key and the base URL
    come from the environment. A job that is not known to be completed is polled first. Only complete files get their
    final names, and an interrupted download resumes where it stopped, also in another process.

    `target`: `~` is the user's home. In a folder, file names are made from the reference.
    `kinds`: which files to save, like ["video", "thumbnail"]; by default the videos, or all files of a job that makes
    no video.
    `overwrite`: replace an existing file that is not this job's; otherwise DownloadError, or another name in a folder.
    `timeout`: seconds for polling and all files together, by default 3600; None for no limit.
    `max_bytes`: the largest size of one file, in bytes; None for no limit.
    `on_progress`: a function that is called with a DownloadProgress about ten times a second.

    Raises DownloadError if a file cannot be saved, ResultMissing if the job has no file of a kind, JobFailed,
    JobCancelled or JobExpired for a job that has no files, and UsageError for a job that is not completed yet or for a
    wrong call. Raises ProviderError or AnswerError if the job must be polled and no usable response comes.
    """
    with Client() as client:
        return client.download(
            job, target, kinds=kinds, overwrite=overwrite, timeout=timeout, max_bytes=max_bytes, on_progress=on_progress
        )
