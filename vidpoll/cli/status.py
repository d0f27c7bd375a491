"""The command `status`: what the provider says now, and what is kept where it says nothing else."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import dataclass
from typing import Any

import vidpoll

from .again import advised, again
from .context import Arguments, Command, Context, as_json, bounded, reads, references, store, store_of
from .deadline import Deadline
from .output import COMPLETED, NOT_COMPLETED, UNKNOWN, first_that_applies, iso, job_object, status_line
from .waiting import REF

LOOK = 60.0
"""Seconds for which `status` asks for answers about all its jobs, and `download` for one about each."""


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    references(parser)
    parser.add_argument("--kept", action="store_true", help="tell a verdict that is kept here, and ask nobody about it")
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
    """What is kept of jobs that have ended; nothing where the store cannot be read."""
    path = store_of(args)
    found: dict[str, vidpoll.KeptJob] = {}
    if path is not None:
        with (
            contextlib.suppress(vidpoll.StoreError),  # the client of the command warns of it
            context.client_factory(store=path, clock=context.clock, discover=False) as client,
        ):
            rows = [row for job in asked if (row := client.store.get(job)) is not None and row.ended_at is not None]
            found = {row.ref: row for row in rows}
    return found


@dataclass(frozen=True)
class _Status:
    """What `status` asks with: `client` keeps what it hears; `fresh` knows nothing, and asks about what has ended."""

    args: Arguments
    context: Context
    deadline: Deadline
    client: vidpoll.Client
    fresh: vidpoll.Client

    def tell(self, job: vidpoll.Job, kept: vidpoll.KeptJob | None) -> int:
        """Say how one job is; its exit code."""
        note = ""
        if kept is None:
            unknown = look(self.client, job, self.deadline.left or 0.0)
            note = "a word that this plugin does not know" if job.state is None and job.stage else ""
        elif self.args.kept:
            job, unknown, note = kept.job, None, f"as kept on {iso(kept.ended_at)}; nobody was asked"
        else:
            unknown = look(self.fresh, job, self.deadline.left or 0.0)
            if not job.final:
                job, unknown, note = kept.job, None, _not_there(kept, unknown)
            elif job.state is not kept.job.state:
                self._other_verdict(job, kept)
        unknown = None if job.final else unknown  # a verdict, of whatever kind
        self._show(job, unknown, note)
        if note.startswith(DELETED):
            return NOT_COMPLETED
        return COMPLETED if job.ok else NOT_COMPLETED if job.final else UNKNOWN

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
        was = f"{kept.job.state} is kept of it, on {iso(kept.ended_at)}"
        self.context.out.error(f"{job.ref}: {was}. To keep what came of it since: {forget}, then {wait}")


DELETED = "deleted at the provider"


def _not_there(kept: vidpoll.KeptJob, unknown: vidpoll.VidpollError | None) -> str:
    """What is added to a kept verdict where the provider gives none now."""
    day = f"as kept on {iso(kept.ended_at)}"
    if isinstance(unknown, vidpoll.JobNotFound):
        return f"{DELETED}; {day}"
    if unknown is None:
        return f"{day}; the provider says that it goes on again"
    return f"{day}; the provider could not be asked: {unknown.message.partition('. ')[0]}"


class _Enough(Exception):
    """An answer came."""


class _Answered:
    """Ends a look with the first answer: one that changes nothing of what is kept is no event."""

    def __init__(self, job: vidpoll.Job) -> None:
        self.job = job
        self.before: int | None = None

    def is_set(self) -> bool:
        if self.before is not None and self.job.answers > self.before and (self.job.state or self.job.stage):
            raise _Enough
        return False


def look(client: vidpoll.Client, job: vidpoll.Job, timeout: float = LOOK) -> vidpoll.VidpollError | None:
    """Ask until one answer says something (`wait` a second ago makes the next one a 429); why there is no verdict."""
    answered: Any = _Answered(job)
    events = client.watch(job, timeout=timeout, check=False, stop=answered)
    answered.before = job.answers
    with contextlib.suppress(_Enough):
        for _ in events:
            answered.is_set()
    return job.error


STATUS = Command(
    "status",
    "ask how jobs are",
    _status_arguments,
    _status,
    f"vidpoll status {REF} --json",
    "Asks until an answer says something, for at most a minute. Exits with 0 where all are completed, 1 where one\n"
    "is not, 3 where one has no verdict yet. Of a job that has ended the provider is asked, too: it may be deleted\n"
    "there, or have been run again. --kept asks nobody about it.",
)
