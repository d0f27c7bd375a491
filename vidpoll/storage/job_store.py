"""The user's view of a store, `client.store`: kept jobs, submits of unknown outcome, wanted files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import redact
from ..errors import StoreError, UsageError
from ..job import Job
from ..model import is_number
from ..net.accounts import OpenAccount
from ..number_check import check_number, is_whole
from . import records
from .records import Gauges, KeptJob, Submission, WantedFiles

if TYPE_CHECKING:
    from .keeper import Keeper
    from .protocol import Store


class JobStore:
    """The store of a client. Every method raises StoreError if the store cannot be read or written."""

    def __init__(self, keeper: Keeper, opened: Callable[[str], OpenAccount]) -> None:
        self._keeper = keeper
        self._opened = opened

    @property
    def _store(self) -> Store:
        """The store for reading, after an attempt to write what it did not accept before."""
        with contextlib.suppress(StoreError):
            self._keeper.ready()
        return self._keeper.store

    def unfinished(self) -> list[Job]:
        """The jobs without a verdict, and those whose verdict was not yet reported to the hooks; the oldest first.

        They have their stored stage, history and cost: `client.as_completed(client.store.unfinished())` resumes the
        wait. If only the report of a verdict is missing, the hooks are called then, without a request.
        """
        return [kept.job for kept in self.jobs(unfinished=True)]

    def jobs(self, *, unfinished: bool = False, last: int | None = None) -> list[KeptJob]:
        """The kept jobs with all their data, the oldest first.

        `unfinished`: only the jobs of `unfinished()`. `last`: only this many, the latest ones.
        """
        if last is not None:
            check_number("last", "a whole number, 0 or more, or None", last, lambda value: is_whole(value, 0))
        return self._store.jobs(unfinished=unfinished, last=-1 if last is None else last)

    def get(self, job: Job | str) -> KeptJob | None:
        """A kept job with all its data; None if it is not kept."""
        return self._store.get(_ref(job))

    def keys(self, job: Job | str | None = None) -> dict[tuple[str, str], str]:
        """The keys of all jobs, or those of one job, as (account, key), with the reference of each key's job.

        A job has several keys if its provider has merged equal submits. The keys of one job are those that `drop`
        frees. The reference is "" for the key of a former job whose id the server has given to another job.
        """
        return self._store.keys(None if job is None else _ref(job))

    def hearing(self, job: Job | str) -> bool:
        """Note that a verdict for which a hook returned LATER is being processed.

        For the next 60 s, by the store's clock, no process calls the hooks for it again. Call this repeatedly for work
        that takes longer; `Client.heard` ends it. Returns False if there is nothing to process: the verdict was heard
        already, or is not kept.
        """
        store = self._keeper.ready()
        kept = store.get(_ref(job))
        if kept is None or kept.ended_at is None or kept.told_at is not None:
            return False
        store.later([kept.ref])
        return True

    def gauges(self) -> Gauges:
        """How many jobs are open, how many verdicts were not reported, and which accounts no process serves."""
        return self._store.gauges()

    def prune(self, before: float) -> int:
        """Drop jobs that ended before Unix second `before`; return how many.

        A job stays if it has no verdict, if its verdict was not reported, or if a batch has not settled it. The keys of
        dropped jobs are free: the same `submit_once` buys again. Submits of unknown outcome stay, with their keys,
        until `adopt` or `dismiss`; rows of batches stay.
        """
        check_number("before", "Unix seconds", before, is_number)
        return self._keeper.ready().prune(before)

    def drop(self, job: Job | str) -> None:
        """Drop one job from the store, whatever its state. The job at the provider does not change; its keys are free.

        If a batch's row with this job is not settled, the row counts as failed, so that the next run does not buy it
        again.
        """
        self._keeper.ready().drop(_ref(job))

    def unknown_submits(self) -> list[Submission]:
        """The submits that may or may not have been received; look for them in `client.jobs`, or a dashboard."""
        return self._store.submits()

    def adopt(self, job: Job | str, submission: Submission | KeptJob) -> Job:
        """Say that a submit of unknown outcome has become this job, and keep the job.

        The job gets the submission's key. Nothing is sent: `client.poll` the job first, to be sure that it exists. If
        the wrong job was adopted, pass its `KeptJob` (`client.store.get`) as `submission`: the submit, with its key,
        moves to `job`. A job of another submit with a key and the same operation and fields gets the second key as
        well: the provider has merged the two. Raises UsageError for another account, any other job of another submit,
        or a submission that is no longer on record.
        """
        if not isinstance(submission, (Submission, KeptJob)):
            raise _not_a_submission("adopt", submission)
        job = Job(job) if isinstance(job, str) else job
        account = submission.account if isinstance(submission, Submission) else submission.origin.account
        if job.account != account:
            raise UsageError(f"job must be of the submission's account, {account!r}, got {job.ref!r}")
        if isinstance(submission, KeptJob):
            return self._moved(job, submission)
        kept = self._keeper.ready().get(job.ref)
        if kept is not None and kept.operation is not None and not _merged(kept, submission):
            if kept.key and submission.key:
                has = f"{job.ref} has the key {kept.key!r} and other fields"
                raise UsageError(f"{has}, so it is not the submit of {submission.key!r}")
            raise UsageError(f"{job.ref} is the job of another submit already: check the id")
        if not self._keeper.ready().adopt(submission.number, job.ref, records.facts(job)):
            raise UsageError(f"{job.ref}: that submit is no longer on record: it was adopted or dismissed")
        job.key = submission.key or job.key
        return job

    def _moved(self, job: Job, wrong: KeptJob) -> Job:
        """The job that gets the submit of a job that was adopted by mistake."""
        if not self._keeper.ready().move_submit(wrong.ref, job.ref, records.facts(job)):
            raise UsageError(
                f"{job.ref} does not get the submit of {wrong.ref}: {wrong.ref} was not adopted (the response to its "
                f"submit named it), or {job.ref} has a submit of its own"
            )
        job.key = wrong.key or job.key
        return job

    def dismiss(self, submission: Submission) -> None:
        """Say that a submit of unknown outcome was never received. It is dropped, and its key is free.

        Look in the provider's list first, a minute after the submit at the earliest: the list may be late.
        """
        if not isinstance(submission, Submission):
            raise _not_a_submission("dismiss", submission)
        self._keeper.ready().refused(submission.number)

    def want(self, job: Job | str, target: str | Path, *, kinds: Sequence[str] = ("video",)) -> None:
        """Note that the files of a job must be saved once it is completed: `wanted` lists them until then.

        Nothing is fetched here. A `client.download` with the same target and kinds removes them from the list.
        """
        job = Job(job) if isinstance(job, str) else job
        self._keeper.ready().enter([(job.ref, records.origin(self._opened(job.account)), records.facts(job))])
        self._keeper.ready().want(records.wanted(job.ref, target, kinds))

    def unwant(self, wanted: WantedFiles) -> None:
        """Remove files from the list: they are saved by other means, or will never be saved."""
        self._keeper.ready().unwant(records.wanted(wanted.ref, wanted.target, wanted.kinds))

    def wanted(self) -> list[WantedFiles]:
        """The wanted files that are not all saved yet, the oldest first."""
        return self._store.wanted()


def _merged(kept: KeptJob, lost: Submission) -> bool:
    """Whether a provider may have merged two submits with keys into this job: their fields are equal."""
    both = bool(kept.key and lost.key)
    return both and (kept.operation, kept.sent) == (lost.operation, lost.sent)


def _not_a_submission(method: str, got: object) -> UsageError:
    """The error for a key or a reference in place of a submission; it shows the call."""
    shown = redact.text(repr(got), limit=80)
    job = '"ACCOUNT:ID", ' if method == "adopt" else ""
    which = f" if each.key == {shown}" if isinstance(got, str) else ""
    return UsageError(
        f"submission must be one of client.store.unknown_submits(), got {shown}: [each] = [each for each in "
        f"client.store.unknown_submits(){which}]; client.store.{method}({job}each)"
    )


def _ref(job: Job | str) -> str:
    return Job(job).ref if isinstance(job, str) else job.ref
