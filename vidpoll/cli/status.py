"""The command `status`: the state that the provider reports now, else the kept one."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import vidpoll

from .again import advised, again
from .context import Arguments, Command, Context, as_json, bounded, reads, references, store, store_of
from .deadline import Deadline
from .job_keys import key_words, keys_of
from .output import COMPLETED, NOT_COMPLETED, UNKNOWN, first_that_applies, iso, job_object, status_line
from .waiting import REF

LOOK = 60.0
"""Seconds for which `status` polls all its jobs together, and `download` each of its jobs."""


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    references(parser)
    parser.add_argument(
        "--kept", action="store_true", help="if a job's final state is kept here, show that without polling"
    )
    bounded(parser, LOOK)
    store(parser)
    as_json(parser)


def _status(args: Arguments, context: Context) -> int:
    asked = context.jobs(args.refs)
    keep = reads(args)
    kept = _kept(asked, args, context) if keep else {}
    names = [job.account for job in asked]
    with contextlib.ExitStack() as clients:
        client = clients.enter_context(context.client(names, args, keep=keep))
        fresh = clients.enter_context(context.client(names, args, keep=False)) if kept else client
        status = _Status(args, context, Deadline(context.clock, args.timeout), client, fresh)
        return first_that_applies([status.tell(job, kept.get(job.ref)) for job in asked])


def _kept(asked: list[vidpoll.Job], args: Arguments, context: Context) -> dict[str, vidpoll.KeptJob]:
    """The kept records of jobs that have ended; none if the store cannot be read."""
    path = store_of(args)
    found: dict[str, vidpoll.KeptJob] = {}
    if path is not None:
        with (
            contextlib.suppress(vidpoll.StoreError),  # the command's own client warns about that
            context.client_factory(store=path, clock=context.clock, discover=False) as client,
        ):
            rows = [row for job in asked if (row := client.store.get(job)) is not None and row.ended_at is not None]
            found = {row.ref: row for row in rows}
    return found


@dataclass(frozen=True)
class _Status:
    """The clients of `status`: `client` uses the store; `fresh` has none, and so also polls jobs that have ended."""

    args: Arguments
    context: Context
    deadline: Deadline
    client: vidpoll.Client
    fresh: vidpoll.Client

    def tell(self, job: vidpoll.Job, kept: vidpoll.KeptJob | None) -> int:
        """Print the state of one job; return its exit code."""
        note = ""
        if kept is None:
            unknown = look(self.client, job, self.deadline.left or 0.0, self._no_news)
            note = "the plugin does not know this status" if job.state is None and job.stage else ""
        elif self.args.kept:
            job, unknown, note = kept.job, None, f"as kept on {iso(kept.ended_at)}; not polled"
        else:
            unknown = look(self.fresh, job, self.deadline.left or 0.0, self._no_news)
            if not job.final:
                job, unknown, note = kept.job, None, _not_there(kept, unknown)
            elif job.state is not kept.job.state:
                self._other_verdict(job, kept)
        unknown = None if job.final else unknown  # any verdict will do
        self._show(job, unknown, note)
        if note.startswith(DELETED):
            return NOT_COMPLETED
        return COMPLETED if job.ok else NOT_COMPLETED if job.final else UNKNOWN

    @property
    def _no_news(self) -> Callable[[str], object] | None:
        return None if self.args.json else self.context.out.error

    def _show(self, job: vidpoll.Job, unknown: vidpoll.VidpollError | None, note: str) -> None:
        out = self.context.out
        if self.args.json:
            out.json(job_object(job, error=unknown))
            if note:
                out.error(f"{job.ref}: {note}")
        elif unknown is None:
            out.line(f"{status_line(job, self.context.clock.time())}{f' ({note})' if note else ''}")
        if unknown is not None:
            out.error(advised(unknown, self.args))

    def _other_verdict(self, job: vidpoll.Job, kept: vidpoll.KeptJob) -> None:
        forget, wait = again(self.args, "jobs --local", forget=job.ref), again(self.args, "wait", job.ref)
        was = f"the store has it as {kept.job.state}, since {iso(kept.ended_at)}"
        keys = key_words(keys_of(self.client, kept))
        frees = f" (the first frees its {keys}, which may then buy again)" if keys else ""
        self.context.out.error(f"{job.ref}: {was}. To keep the new state instead: {forget}, then {wait}{frees}")


DELETED = "deleted at the provider"


def _not_there(kept: vidpoll.KeptJob, unknown: vidpoll.VidpollError | None) -> str:
    """The note on a kept verdict if the provider reports none now."""
    day = f"as kept on {iso(kept.ended_at)}"
    if isinstance(unknown, vidpoll.JobNotFound):
        return f"{DELETED}; {day}"
    if unknown is None:
        return f"{day}; the provider reports that the job runs again"
    return f"{day}; polling the provider failed: {unknown.message.partition('. ')[0]}"


class _Enough(Exception):
    """A response arrived."""


class _Answered:
    """Ends a look with the first response, because a response that changes nothing causes no event."""

    def __init__(self, job: vidpoll.Job) -> None:
        self.job = job
        self.before: int | None = None

    def is_set(self) -> bool:
        if self.before is not None and self.job.answers > self.before and (self.job.state or self.job.stage):
            raise _Enough
        return False


def look(
    client: vidpoll.Client, job: vidpoll.Job, timeout: float, no_news: Callable[[str], object] | None
) -> vidpoll.VidpollError | None:
    """Poll until a response gives a state (a `wait` a second ago can cause a 429); return why there is no verdict.

    `no_news` is called once for each different reason why a poll brought no news, because many seconds may follow.
    """
    answered: Any = _Answered(job)
    told: set[str] = set()
    events = client.watch(job, timeout=timeout, check=False, stop=answered)
    answered.before = job.answers
    with contextlib.suppress(_Enough):
        for event in events:
            if isinstance(event, vidpoll.PollFailed) and no_news is not None and event.reason not in told:
                told.add(event.reason)
                no_news(str(event))
            answered.is_set()
    return job.error


STATUS = Command(
    "status",
    "show the current state of jobs",
    _status_arguments,
    _status,
    f"vidpoll status {REF} --json",
    "Polls each job until a response gives its state, for at most a minute in all (--timeout). Jobs that have ended\n"
    "are also polled: the provider may have deleted one or run it again. --kept shows a kept final state instead.\n"
    "Exits with 0 if all jobs are completed, 1 if one ended otherwise, 3 if one has no final state yet.",
)
