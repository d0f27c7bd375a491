"""What a client without a store has in the place of a `Keeper`."""

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
    """What a client without a store has instead of a `Keeper`: nothing is kept, and nothing is asked for."""

    watch = Watch
    gather = 0.0

    def __init__(self, tell: Callable[[Job, Event], bool]) -> None:
        self._tell = tell

    def tell(self, job: Job, event: Event) -> None:
        """Tell the hooks. A verdict that one of them wants to hear LATER counts as told: nobody keeps it."""
        if self._tell(job, event):
            job.told = job.final

    def hear(self, ref: str) -> None:
        """It counted as told."""

    def verdicts(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Tell the hooks; nothing is kept."""
        for job, event in told:
            self.tell(job, event)

    def save_due(self, now: float) -> float:
        """Nothing is ever due."""
        return math.inf

    def job_store(self, opened: Callable[[str], OpenAccount]) -> JobStore:
        """Raises UsageError: there is none."""
        raise UsageError("this client keeps no jobs; make it with Client(store='jobs.sqlite3')")

    def close(self) -> None:
        """Nothing is open."""

    def durations(self, account: str) -> Sequence[float]:
        """Nothing is known of former jobs."""
        return ()

    def charges(self, account: str) -> Sequence[Charge]:
        """Nothing is known of former jobs."""
        return ()

    def enter(self, jobs: Sequence[Job], accounts: Sequence[OpenAccount]) -> None:
        """They are not kept."""

    def catch_up(self, job: Job, seen: int) -> tuple[list[Event], int]:
        """Nothing is known of other processes."""
        return [], seen

    def asking(self, job: Job, account: OpenAccount) -> AbstractContextManager[None]:
        """It is not kept."""
        return nullcontext()

    def deliver(self, job: Job) -> None:
        """It was told when it came."""

    def follow(self, job: Job, *args: Any, **options: Any) -> Watch | None:
        """A `Watch` of a job; None for one that has its verdict."""
        return None if job.final else Watch(job, *args, **options)

    def want(self, files: Sequence[WantedFiles]) -> None:
        """Nobody notes that they are asked for."""

    def unwant(self, files: WantedFiles) -> None:
        """Nobody noted that they were asked for."""

    def waiting(self, jobs: Sequence[Job]) -> AbstractContextManager[None]:
        """Nobody else can know."""
        return nullcontext()

    def submitting(self, *submit: object, **more: object) -> AbstractContextManager[Intent | None]:
        """Nothing is kept of it."""
        return nullcontext()
