"""The commands about what is kept: `resume`, and what `jobs --local` shows. They need a store, and say so.

The store names the base URL at which each job was asked about, so that `resume` finds it there again.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import vidpoll

from .context import Arguments, Command, Context, as_json, own_account, same_options, store, store_of
from .output import COMPLETED, UNKNOWN, first_that_applies, iso, job_object, status_line
from .waiting import Wait, prepared, waiting_options

LISTED = 200
"""Rows of a provider's list in which a lost submit is looked for."""

EARLY = 120.0
"""Seconds by which a provider's clock may be behind ours."""


@contextlib.contextmanager
def _stored(args: Arguments, context: Context) -> Iterator[vidpoll.Client]:
    """A client that only reads and writes the store. Raises UsageError without one, StoreError for one that fails."""
    path = store_of(args)
    if path is None:
        raise vidpoll.UsageError("nothing is kept without a store; name one with --store FILE")
    with context.client_factory(store=path, clock=context.clock, discover=False) as client:  # it asks nobody
        yield client


# -- resume -----------------------------------------------------------------------------------------------------------


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    waiting_options(parser)
    parser.add_argument(
        "--adopt",
        action="append",
        default=[],
        metavar="REF",
        help="this job is what became of a submit without an answer: keep it, and wait for it",
    )
    store(parser)
    as_json(parser)


def _resume(args: Arguments, context: Context) -> int:
    heart = prepared(args, context)
    with _stored(args, context) as client:
        for ref in args.adopt:
            _adopt(client, ref)
        unfinished = client.store.jobs(unfinished=True)
        wanted = client.store.wanted()
        refs = {each.ref for each in unfinished}
        late = {each.ref for each in wanted} - refs
        unfinished += [each for each in client.store.jobs() if each.ref in late] if late else []
        lost = client.store.unknown_submits()
    accounts, known, codes = _accounts(unfinished, [*lost], context)
    with context.client((), args, heart, given=accounts) as client:
        jobs = [job for job in known if _can(client, job, context, codes)]
        codes += [_candidates(client, submission, args, context) for submission in lost]
        if jobs:
            wait = Wait(args, context, client, heart)
            wait.again = "resume"
            codes.append(wait.run(jobs, wanted))
        elif not codes and not args.json:
            context.out.line("nothing is left to wait for")
    return first_that_applies(codes)


def _adopt(client: vidpoll.Client, ref: str) -> None:
    """The oldest lost submit of the job's account is the one that it was. Raises UsageError where there is none."""
    job = vidpoll.Job(ref)
    for submission in client.store.unknown_submits():
        if submission.account == job.account:
            client.store.adopt(job, submission)
            return
    raise vidpoll.UsageError(
        f"--adopt {ref}: no submit without an answer is on record for {job.account}; `vidpoll wait {shlex.quote(ref)}` "
        "waits for any job, and keeps it"
    )


def _accounts(
    unfinished: Sequence[vidpoll.KeptJob], lost: Sequence[vidpoll.Submission], context: Context
) -> tuple[dict[str, vidpoll.Account], list[vidpoll.Job], list[int]]:
    """The accounts, at the addresses that the store names; a job that was asked about elsewhere is left."""
    origins = {each.account: (each.provider, each.base_url) for each in lost}
    for each in unfinished:
        origins[each.origin.account] = (each.origin.provider, each.origin.base_url)
    jobs, codes = [], []
    for each in unfinished:
        if origins[each.origin.account][1] == each.origin.base_url:
            jobs.append(each.job)
            continue
        again = shlex.join(["vidpoll", "wait", each.ref, "--base-url", each.origin.base_url])
        context.out.error(f"{each.ref} was asked about at another address than the others; go on with: {again}")
        codes.append(UNKNOWN)
    accounts = {name: own_account(name, provider or name, url or None) for name, (provider, url) in origins.items()}
    return accounts, jobs, codes


def _can(client: vidpoll.Client, job: vidpoll.Job, context: Context, codes: list[int]) -> bool:
    """Whether a job can be waited for; a key that is missing for one account does not hold up the others."""
    try:
        client.watch(job)
    except vidpoll.UsageError as error:
        context.out.error(f"{job.ref} is left: {error.message.partition(', or pass Client(')[0]}")
        codes.append(UNKNOWN)
        return False
    return True


def _candidates(client: vidpoll.Client, lost: vidpoll.Submission, args: Arguments, context: Context) -> int:
    """Show what a submit without an answer may have become: jobs of the provider's list that nobody here knows."""
    fields = " ".join(f"{name}={shlex.quote(str(value)[:60])}" for name, value in lost.sent.items())
    found: list[vidpoll.Job] = []
    why = None
    try:
        ours = {each.ref for each in client.store.jobs()}
        rows = islice(client.jobs(lost.account), LISTED)
        found = [job for job in rows if job.ref not in ours and _not_before(job, lost.at)]
    except vidpoll.VidpollError as error:
        why = error.message
    if args.json:
        said: dict[str, Any] = {"account": lost.account, "operation": lost.operation, "at": iso(lost.at)}
        said |= {"sent": dict(lost.sent), "reason": lost.reason}
        context.out.json({"submit": said, "candidates": [job_object(job) for job in found]})
        return UNKNOWN
    context.out.error(
        f"a submit without an answer, on {iso(lost.at)}: {lost.account} {lost.operation} {fields} ({lost.reason})"
    )
    for job in found:
        created = None if job.snapshot is None else iso(job.snapshot.created_at)
        again = shlex.join(["vidpoll", "resume", "--adopt", job.ref, *same_options(args, "store")])
        context.out.error(f"  may be {status_line(job, 0.0)}{f', created {created}' if created else ''}: {again}")
    stored = "".join(f" {word}" for word in map(shlex.quote, same_options(args, "store")))
    line = f"vidpoll jobs --local --forget-before {iso(lost.at + 1.0)}{stored}"
    forget = f"here it never arrived, forget it, and what ended before: {line}"
    if found:
        context.out.error(f"  W{forget}")
    else:
        told = f"{why}. " if why else "its list shows no job that may be it. "
        context.out.error(f"  {told}Where you find it: vidpoll resume --adopt {lost.account}:ID{stored}; w{forget}")
    return UNKNOWN


def _not_before(job: vidpoll.Job, at: float) -> bool:
    created = None if job.snapshot is None else job.snapshot.created_at
    return created is None or created >= at - EARLY


# -- jobs --local -----------------------------------------------------------------------------------------------------


def local_arguments(parser: argparse.ArgumentParser) -> None:
    """What `jobs` takes for `--local`."""
    parser.add_argument("--local", action="store_true", help="the jobs that are kept here; nothing is asked")
    parser.add_argument(
        "--forget-before", type=moment, metavar="DATE", help="with --local: first forget what ended before 2026-11-30"
    )
    parser.add_argument("--forget", action="append", default=[], metavar="REF", help="with --local: forget this job")
    store(parser)


def moment(text: str) -> float:
    """For --forget-before: a day or a time of day, in local time where it names no other."""
    try:
        return datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)).timestamp()  # Python 3.10 knows no Z
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2026-11-30 or 2026-11-30T12:00") from None


def local_jobs(args: Arguments, context: Context) -> int:
    """Show what is kept, the latest last."""
    with _stored(args, context) as client:
        if args.forget_before is not None:
            gone = client.store.prune(args.forget_before)
            context.out.error(f"forgot {gone}: jobs that ended before, and submits without an answer")
        for ref in args.forget:
            client.store.drop(ref)
        kept = client.store.jobs(last=args.limit + 1) if args.name is None else client.store.jobs()
        kept = [each for each in kept if args.name in (None, each.origin.account)]
        for each in kept[-args.limit :]:
            context.out.json(_kept_object(each)) if args.json else context.out.line(_kept_line(each))
        if len(kept) > args.limit:
            context.out.error(f"there are more than {args.limit}; --limit {args.limit * 4} shows more")
        lost = client.store.unknown_submits()
    if lost:
        again = shlex.join(["vidpoll", "resume", *same_options(args, "store")])
        context.out.error(f"{len(lost)} submits have no answer yet: {again}")
    return COMPLETED


def _kept_line(each: vidpoll.KeptJob) -> str:
    untold = "" if each.told_at is not None or each.ended_at is None else " (not told yet)"
    return f"{iso(each.submitted_at or each.added_at)}  {status_line(each.job, 0.0)}{untold}"


def _kept_object(each: vidpoll.KeptJob) -> dict[str, Any]:
    times: Iterable[tuple[str, float | None]] = (
        ("submitted_at", each.submitted_at),
        ("ended_at", each.ended_at),
        ("told_at", each.told_at),
    )
    return {
        **job_object(each.job),
        **{name: iso(at) for name, at in times},
        "provider": each.origin.provider,
        "base_url": each.origin.base_url,
        "operation": each.operation,
        "sent": dict(each.sent),
        "requests": each.requests,
        "transient_errors": each.transient_errors,
        "history": [
            {"at": iso(moment.at), "state": moment.state, "stage": moment.stage, "progress": moment.progress}
            for moment in each.job.history
        ],
    }


RESUME = Command(
    "resume",
    "wait for all jobs that have no verdict yet, and save what was asked for",
    _resume_arguments,
    _resume,
    "vidpoll resume --download clips",
    "`wait` and `submit` keep their jobs on disk: after a crash, a reboot or Ctrl-C this goes on with all, and tells\n"
    "the hooks what they have not heard. Files that an earlier --download asked for are saved where it said.\n"
    "Submits without an answer are shown with what they may have become; none is adopted without --adopt.",
)
