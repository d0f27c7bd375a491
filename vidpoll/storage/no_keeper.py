"""The replacement of a `Keeper` in a client without a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..errors import UsageError
from ..events import Event
from ..job import Job
from ..net.accounts import OpenAccount
from ..polling.watch import Watch
from ..pricing import Charge
from .intent import Intent
from .job_store import JobStore
from .records import WantedFiles


class NoKeeper:
    """The replacement of a `Keeper` in a client without a store: it stores nothing and knows nothing."""

    watch = Watch
    gather = 0.0

    def __init__(self, tell: Callable[[Job, Event], bool]) -> None:
        self._tell = tell

    def tell(self, job: Job, event: Event) -> None:
        """Call the hooks. A verdict for which one of them returns LATER counts as reported: nothing keeps it."""
        if self._tell(job, event):
            job.told = job.final

    def hear(self, ref: str) -> None:
        """Do nothing: the verdict already counts as reported."""

    def verdicts(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Call the hooks; store nothing."""
        for job, event in told:
            self.tell(job, event)

    def save_due(self, now: float) -> float:
        """Never: nothing is stored."""
        return math.inf

    def job_store(self, opened: Callable[[str], OpenAccount]) -> JobStore:
        """Raises UsageError: there is no store."""
        raise UsageError("this client has no store; make it with Client(store='jobs.sqlite3')")

    def close(self) -> None:
        """Do nothing: no file is open."""

    def durations(self, account: str) -> Sequence[float]:
        """Nothing is known of former jobs."""
        return ()

    def charges(self, account: str) -> Sequence[Charge]:
        """Nothing is known of former jobs."""
        return ()

    def enter(self, jobs: Sequence[Job], accounts: Sequence[OpenAccount]) -> None:
        """Do nothing: jobs are not kept."""

    def catch_up(self, job: Job, seen: int) -> tuple[list[Event], int]:
        """Nothing is known of other processes."""
        return [], seen

    def asking(self, job: Job, account: OpenAccount) -> AbstractContextManager[None]:
        """Do nothing: the job is not kept."""
        return nullcontext()

    def deliver(self, job: Job) -> None:
        """Do nothing: the verdict was reported when it arrived."""

    def follow(self, job: Job, *args: Any, **options: Any) -> Watch | None:
        """A `Watch` of a job; None if the job has a verdict."""
        return None if job.final else Watch(job, *args, **options)

    def want(self, files: Sequence[WantedFiles]) -> None:
        """Do nothing: wanted files are not kept."""

    def unwant(self, files: WantedFiles) -> None:
        """Do nothing: wanted files are not kept."""

    def waiting(self, jobs: Sequence[Job]) -> AbstractContextManager[None]:
        """Do nothing: there are no leases."""
        return nullcontext()

    def submitting(self, *submit: object, **more: object) -> AbstractContextManager[Intent | None]:
        """Do nothing: submits are not kept."""
        return nullcontext()
