"""`vidpoll.wait`, `watch` and `download`: for scripts that need no client of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .client import Client, OnEvent
from .events import DownloadProgress, Event
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
) -> Job:
    """Wait for one job with a client of its own: `vidpoll.wait("magicoal:3f8a…", timeout=900)`. See `Client.wait`."""
    with Client() as client:
        return client.wait(job, timeout=timeout, pacing=pacing, stop=stop, on_event=on_event, check=check)


def watch(
    job: Job | str,
    *,
    timeout: float | None = 3600.0,
    pacing: Schedule | None = None,
    stop: threading.Event | None = None,
    on_event: OnEvent | None = None,
    check: bool = True,
) -> Iterator[Event]:
    """The events of one job with a client of its own. See `Client.watch`."""
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
    """Save the assets of a completed job with a client of its own. See `Client.download`."""
    with Client() as client:
        return client.download(
            job, target, kinds=kinds, overwrite=overwrite, timeout=timeout, max_bytes=max_bytes, on_progress=on_progress
        )
