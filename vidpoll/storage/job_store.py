"""What a user asks of a store, `client.store`: the kept jobs, the submits of unknown outcome, the files wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError, UsageError
from ..job import Job
from ..model import is_number
from ..net.accounts import OpenAccount
from ..number_errors import is_whole, number_error
from . import records
from .records import Gauges, KeptJob, Submission, WantedFiles

if TYPE_CHECKING:
    from .keeper import Keeper
    from .protocol import Store


class JobStore:
    """The store of a client. Every method raises StoreError where the store cannot be read or written."""

    def __init__(self, keeper: Keeper, opened: Callable[[str], OpenAccount]) -> None:
        self._keeper = keeper
        self._opened = opened

    @property
    def _store(self) -> Store:
        """For reading: the store, with what it did not take before where it takes that now."""
        with contextlib.suppress(StoreError):
            self._keeper.ready()
        return self._keeper.store

    def unfinished(self) -> list[Job]:
        """The jobs without a verdict, and those whose verdict no hook has heard; the oldest first.

        They are where they were, with stage, history and cost: `client.as_completed(client.store.unfinished())` goes
        on. A verdict that was only not told is told then, without a request.
        """
        return [kept.job for kept in self.jobs(unfinished=True)]

    def jobs(self, *, unfinished: bool = False, last: int | None = None) -> list[KeptJob]:
        """The jobs with all that is kept of them, the oldest first.

        `unfinished`: those of `unfinished()` alone. `last`: no more than so many, the latest.
        """
        if last is not None and not is_whole(last, 0):
            raise number_error("last", "a whole number, 0 or more", last)
        return self._store.jobs(unfinished=unfinished, last=-1 if last is None else last)

    def get(self, job: Job | str) -> KeptJob | None:
        """A job with all that is kept of it; None where it is not kept."""
        return self._store.get(_ref(job))

    def hearing(self, job: Job | str) -> bool:
        """Say that a verdict, told LATER, is being heard: nobody is told again for the next 60 s, on the store's clock.

        False: that needs nobody, as it was heard, or is not kept. Called again and again, it covers whatever takes
        longer; `Client.heard` ends it.
        """
        store = self._keeper.ready()
        kept = store.get(_ref(job))
        if kept is None or kept.ended_at is None or kept.told_at is not None:
            return False
        store.later([kept.ref])
        return True

    def gauges(self) -> Gauges:
        """How many jobs are open, what was not told, and which accounts nobody serves."""
        return self._store.gauges()

    def prune(self, before: float) -> int:
        """Drop what ended before Unix second `before`, and what was submitted in vain; return how many.

        A job without a verdict, or with one that was not told, stays, and so does one that a batch has not settled.
        The keys of what is dropped are free: the same `submit_once` buys again. Rows of batches stay.
        """
        if not is_number(before):
            raise number_error("before", "Unix seconds", before)
        return self._keeper.ready().prune(before)

    def drop(self, job: Job | str) -> None:
        """Drop one job from the store, whatever became of it; at its provider it is as it was, and its key is free.

        A batch's row that was not settled has failed by that, so that its next run does not buy it again.
        """
        self._keeper.ready().drop(_ref(job))

    def unknown_submits(self) -> list[Submission]:
        """The submits of which nobody knows whether they were received; look for them in `client.jobs(account)`."""
        return self._store.submits()

    def adopt(self, job: Job | str, submission: Submission) -> Job:
        """Say that a submit whose outcome was unknown has become this job; it is kept.

        It has the submission's key from then on. Raises UsageError for another account, a job that has another key, or
        a submission that is no longer on record.
        """
        job = Job(job) if isinstance(job, str) else job
        if job.account != submission.account:
            raise UsageError(f"{job.ref} cannot be the submit at {submission.account}: it is of another account")
        kept = self._keeper.ready().get(job.ref)
        if kept is not None and kept.key and submission.key and kept.key != submission.key:
            raise UsageError(f"{job.ref} has the key {kept.key!r}, so it is not the submit of {submission.key!r}")
        if not self._keeper.ready().adopt(submission.number, job.ref, records.facts(job)):
            raise UsageError(f"{job.ref}: that submit is no longer on record: it was adopted, dismissed or pruned")
        job.key = submission.key or job.key
        return job

    def dismiss(self, submission: Submission) -> None:
        """Say that a submit whose outcome was unknown was never received; it is forgotten, and its key is free."""
        self._keeper.ready().refused(submission.number)

    def want(self, job: Job | str, target: str | Path, *, kinds: Sequence[str] = ("video",)) -> None:
        """Keep that the files of a job are to be saved once it is completed: `wanted` lists them until they are.

        Nothing is fetched here; a `client.download` with the same target and kinds ends it.
        """
        job = Job(job) if isinstance(job, str) else job
        self._keeper.ready().enter([(job.ref, records.origin(self._opened(job.account)), records.facts(job))])
        self._keeper.ready().want(records.wanted(job.ref, target, kinds))

    def unwant(self, wanted: WantedFiles) -> None:
        """The files are there by other means, or will never be."""
        self._keeper.ready().unwant(records.wanted(wanted.ref, wanted.target, wanted.kinds))

    def wanted(self) -> list[WantedFiles]:
        """The files that were asked for and are not all saved yet, the oldest first."""
        return self._store.wanted()


def _ref(job: Job | str) -> str:
    return Job(job).ref if isinstance(job, str) else job.ref
