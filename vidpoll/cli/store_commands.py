"""The commands about kept jobs: `resume` and `jobs --local`. Both need a store, and raise UsageError without one.

The store holds the base URL at which each job was polled, so that `resume` polls it there again.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import vidpoll

from .adopting import adopt, check_age
from .again import advised, again
from .context import (
    Arguments,
    Command,
    Context,
    as_json,
    base_url,
    is_there,
    reaching,
    shown,
    store,
    store_of,
    unusable,
)
from .deadline import Deadline
from .job_keys import key_words, keys_of
from .lost_submits import by_address, show, submit_name
from .named_accounts import check_named
from .output import COMPLETED, INTERRUPTED, UNKNOWN, counted, first_that_applies, iso, job_object, status_line
from .trusted import Trusted, stored_account
from .waiting import Wait, keep_transcript, prepared, waiting_options

Group = tuple[dict[str, vidpoll.Account], list[vidpoll.Job]]
"""The jobs that one client can poll, and the accounts that it needs for that."""


@contextlib.contextmanager
def _stored(args: Arguments, context: Context) -> Iterator[vidpoll.Client]:
    """A client that only reads and writes the store. Raises StoreError, or UsageError if the user named the store."""
    try:
        opened = context.client_factory(store=_path(args), clock=context.clock, discover=False)  # sends nothing
    except vidpoll.StoreError as error:
        raise unusable(error, args) from None
    args.opened = True
    with opened as client:
        yield client


def _path(args: Arguments) -> Path | str:
    """The store's file, or its URL. Raises UsageError if there is none."""
    path = store_of(args)
    if path is None:
        raise vidpoll.UsageError("this command needs a store: name one with --store FILE")
    return path


# -- resume -----------------------------------------------------------------------------------------------------------


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    waiting_options(parser)
    parser.add_argument(
        "--adopt",
        action="append",
        default=[],
        metavar="REF",
        help="REF is the job of a submit of unknown outcome: poll it, keep it, and wait for it",
    )
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="with --adopt: the key of that submit; if the wrong job was adopted for KEY, REF replaces it",
    )
    parser.add_argument(
        "--number", type=int, metavar="N", help="with --adopt: the number of that submit, as `vidpoll resume` shows it"
    )
    parser.add_argument(
        "--dismiss",
        action="append",
        default=[],
        metavar="KEY",
        help="the submit with this key never arrived: forget it, so that the key may buy again; a minute after the "
        "submit at the earliest",
    )
    parser.add_argument(
        "--dismiss-number",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="the submit with this number never arrived: forget it, and no other one",
    )
    parser.add_argument(
        "--base-url",
        type=base_url,
        action="append",
        default=[],
        dest="addresses",
        metavar="URL",
        help="allow your key to go to URL, which the store names and which is neither the provider's own address nor "
        "in <NAME>_BASE_URL",
    )
    reaching(parser)
    store(parser)
    as_json(parser)


def _resume(args: Arguments, context: Context) -> int:
    began, deadline = context.clock.time(), Deadline(context.clock, args.timeout)
    prepared(args, context)
    _check(args)
    trusted = Trusted(args, context)
    with _stored(args, context) as client:
        _check_headers(client, args, context)
        if not _ends_submits(client, args, context, trusted):
            return UNKNOWN
        unfinished = client.store.jobs(unfinished=True)
        wanted = trusted.targets(client.store.wanted())
        refs = {each.ref for each in unfinished}
        late = {*args.adopt, *(each.ref for each in wanted)} - refs
        unfinished += [each for each in client.store.jobs() if each.ref in late] if late else []
        lost, keys = client.store.unknown_submits(), _keys_by_ref(client)
    codes = show(by_address(lost, args, context, trusted), args, context, deadline)
    asked = [each for each in unfinished if trusted.address(each.ref, each.origin.provider, each.origin.base_url)]
    codes += [UNKNOWN] * bool(trusted.left)
    if len(asked) < len(unfinished):
        context.out.error(_forgetting([each.ref for each in unfinished if each not in asked], keys, args))
    groups = _groups(asked)
    if groups:
        polled = {each.ref for each in asked if each.ref in args.adopt and (each.ended_at or 0.0) >= began}
        waits = _Waits(args, context, deadline, wanted, polled)
        codes += waits.run(groups)
        for job in waits.unsaved(args.adopt):
            context.out.error(f"no file of {job.ref} was saved; to save it: {again(args, 'download', job.ref)}")
    elif not codes and not args.json:
        context.out.line("nothing is left to wait for")
    return first_that_applies(codes)


def _check(args: Arguments) -> None:
    """Raise UsageError for options without effect, and if there is no store."""
    for option in ("key", "number"):
        if getattr(args, option) is not None and not args.adopt:
            raise vidpoll.UsageError(f"--{option} names the submit that --adopt REF is about: add --adopt REF")
    if not is_there(_path(args)):
        raise vidpoll.UsageError(f"there is no store at {shown(_path(args))}, so there is nothing to resume")


def _check_headers(client: vidpoll.Client, args: Arguments, context: Context) -> None:
    """Raise UsageError for a --header of an account that neither the store nor a plugin has."""
    if any(header.account is not None for header in args.header or ()):
        stored = [each.origin.account for each in client.store.jobs()]
        with context.client() as other:  # that of the store knows no plugins
            check_named(other, args, [*stored, *(lost.account for lost in client.store.unknown_submits())])


def _ends_submits(client: vidpoll.Client, args: Arguments, context: Context, trusted: Trusted) -> bool:
    """Do what --adopt and --dismiss say. Returns False, with the rest undone, if a job cannot be adopted."""
    if not all(adopt(client, ref, args, context, trusted) for ref in args.adopt):
        return False
    for key in args.dismiss:
        _dismiss(client, key, args, context)
    for number in args.dismiss_number:
        _dismiss_number(client, number, args, context)
    return True


def _forgetting(skipped: Sequence[str], keys_by_ref: Mapping[str, Sequence[str]], args: Arguments) -> str:
    """How to forget jobs that are skipped, for example those of a simulator that has ended; what that frees."""
    keys = ", ".join(key for ref in skipped for key in keys_by_ref.get(ref, []))
    frees = f"; this frees the keys {keys}, which may then buy again" if keys else ""
    line = again(args, "jobs --local", forget=list(skipped))
    return f"to forget {counted(len(skipped), 'skipped job')} (nothing changes at the provider{frees}): {line}"


def _dismiss(client: vidpoll.Client, key: str, args: Arguments, context: Context) -> None:
    """Record that the submit with a key never arrived. Raises UsageError if there is none, or one in each account."""
    found = [each for each in client.store.unknown_submits() if key and each.key == key]
    if not found:
        raise vidpoll.UsageError(f"--dismiss {key}: no submit of unknown outcome is on record with that key")
    if len(found) > 1:
        lines = (f"`{again(args, 'resume', dismiss_number=str(each.number))}` ({each.account})" for each in found)
        raise vidpoll.UsageError(f"--dismiss {key}: several accounts have that key: choose one, {' or '.join(lines)}")
    check_age(found[0], f"--dismiss {key}", args, context)
    client.store.dismiss(found[0])
    context.out.error(f"the submit {submit_name(found[0])} is dismissed: its key may buy again")


def _dismiss_number(client: vidpoll.Client, number: int, args: Arguments, context: Context) -> None:
    """Record that the submit with a number never arrived. Raises UsageError if there is none."""
    found = next((each for each in client.store.unknown_submits() if each.number == number), None)
    if found is None:
        raise vidpoll.UsageError(
            f"--dismiss-number {number}: no submit of unknown outcome is on record with that number"
        )
    check_age(found, f"--dismiss-number {number}", args, context)
    client.store.dismiss(found)
    context.out.error(f"the submit {submit_name(found)} is dismissed{': its key may buy again' if found.key else ''}")


def _groups(unfinished: Sequence[vidpoll.KeptJob]) -> list[Group]:
    """The jobs by client: in one client, each account has one base URL. Most stores need only one client."""
    groups: list[tuple[dict[str, vidpoll.Account], dict[str, str], list[vidpoll.Job]]] = []
    for each in unfinished:
        name, url = each.origin.account, each.origin.base_url
        group = next((group for group in groups if group[1].get(name, url) == url), None)
        if group is None:
            group = ({}, {}, [])
            groups.append(group)
        group[0][name] = stored_account(name, each.origin.provider, url)
        group[1][name] = url
        group[2].append(each.job)
    return [(accounts, jobs) for accounts, _, jobs in groups]


class _Waits:
    """The waits of `resume`: one for each group of jobs, all at once. The first runs in the calling thread."""

    def __init__(
        self,
        args: Arguments,
        context: Context,
        deadline: Deadline,
        wanted: Sequence[vidpoll.WantedFiles],
        polled: Collection[str],
    ) -> None:
        self.args = args
        self.context = context
        self.deadline = deadline
        self.wanted = wanted
        self.polled = polled
        self.codes: list[int] = []
        self._alone = True
        self._jobs: list[vidpoll.Job] = []
        self._stopped = threading.Event()

    def is_set(self) -> bool:
        """Whether all waits must end: after Ctrl-C in the first one, or when standard output is closed."""
        return self._stopped.is_set() or self.context.out.gone.is_set()

    def unsaved(self, refs: Sequence[str]) -> list[vidpoll.Job]:
        """The completed jobs among `refs` of which no file was requested."""
        saved = {each.ref for each in self.wanted}
        wanted = [job for job in self._jobs if job.ref in refs and job.ref not in saved]
        return [job for job in wanted if job.ok and self.args.download is None]

    def run(self, groups: Sequence[Group]) -> list[int]:
        """Wait for all groups; return their exit codes."""
        self._alone = len(groups) == 1
        others, later = self._started(groups[1:])
        try:
            self._wait(*groups[0])
            for group in later:
                self._guarded(*group)
            if INTERRUPTED in self.codes:
                raise KeyboardInterrupt
            for thread in others:
                thread.join()
        except KeyboardInterrupt:
            self._stopped.set()
            for thread in others:
                thread.join(5.0)
            self.codes.append(INTERRUPTED)
        keep_transcript(self.args, self._jobs, self.context.out)  # one file for all of them
        return self.codes

    def _started(self, groups: Sequence[Group]) -> tuple[list[threading.Thread], list[Group]]:
        """The threads, one for each group, and the groups that got none: those are waited for one after another."""
        started, later = [], []
        for group in groups:
            thread = threading.Thread(target=self._guarded, args=group, daemon=True)
            try:
                thread.start()
                started.append(thread)
            except (RuntimeError, MemoryError):
                later.append(group)
        return started, later

    def _guarded(self, accounts: dict[str, vidpoll.Account], jobs: list[vidpoll.Job]) -> None:
        try:
            self._wait(accounts, jobs)
        except vidpoll.VidpollError as error:
            self.context.out.error(advised(error, self.args))
            self.codes.append(UNKNOWN)

    def _wait(self, accounts: dict[str, vidpoll.Account], known: list[vidpoll.Job]) -> None:
        heart = prepared(self.args, self.context) if self._alone else None  # one terminal has room for one display
        with self.context.client((), self.args, heart, given=accounts) as client:
            jobs = [job for job in known if _can(client, job, self.args, self.context, self.codes)]
            self._jobs += jobs
            if jobs:
                options: Any = {"command": "resume", "stop": self, "transcribes": False, "polled": self.polled}
                wait = Wait(self.args, self.context, client, self.deadline, heart, **options)
                self.codes.append(wait.run(jobs, self.wanted))


def _can(client: vidpoll.Client, job: vidpoll.Job, args: Arguments, context: Context, codes: list[int]) -> bool:
    """Whether a job can be polled; a key missing for one account must not hold up the others."""
    try:
        client.watch(job)
    except vidpoll.UsageError as error:
        context.out.error(f"{job.ref} is skipped: {advised(error, args)}")
        codes.append(UNKNOWN)
        return False
    return True


# -- jobs --local -----------------------------------------------------------------------------------------------------


def local_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jobs --local`."""
    parser.add_argument("--local", action="store_true", help="list the jobs kept here; no request is sent")
    parser.add_argument(
        "--forget-before",
        type=moment,
        metavar="DATE",
        help="with --local: first forget jobs that ended before DATE, like 2026-11-30, and whose hooks were called; "
        "their keys may buy again. Submits of unknown outcome stay (`vidpoll resume` dismisses one)",
    )
    parser.add_argument("--forget", action="append", default=[], metavar="REF", help="with --local: forget this job")
    store(parser)


def moment(text: str) -> float:
    """For --forget-before: a date, or a date and time; local time unless it names a zone."""
    try:
        return datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)).timestamp()  # Python 3.10 knows no Z
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2026-11-30 or 2026-11-30T12:00") from None


def local_jobs(args: Arguments, context: Context) -> int:
    """Show the kept jobs, the latest last."""
    if not is_there(_path(args)):
        context.out.error(f"no job is kept in {shown(_path(args))}: there is no such file")
        return COMPLETED
    with _stored(args, context) as client:
        if args.forget_before is not None:
            keys = client.store.keys()
            gone = counted(client.store.prune(args.forget_before), "job")
            freed = len(keys.keys() - client.store.keys().keys())
            more = f"; {counted(freed, 'key')} may buy again" if freed else ""
            context.out.error(f"forgot {gone} that ended before{more}")
        for ref in args.forget:
            there = client.store.get(ref)
            freed_keys = key_words(keys_of(client, there)) if there else ""
            client.store.drop(ref)
            more = f", and its {freed_keys} may buy again" if freed_keys else ""
            said = f"forgot {ref}{more}" if there else f"{ref} is not kept here: there was nothing to forget"
            context.out.error(said)
        kept = client.store.jobs(last=args.limit + 1) if args.name is None else client.store.jobs()
        kept = [each for each in kept if args.name in (None, each.origin.account)]
        by_ref = _keys_by_ref(client)
        for each in kept[-args.limit :]:
            own = by_ref.get(each.ref, [])
            context.out.json(_kept_object(each, own)) if args.json else context.out.line(_kept_line(each, own))
        if len(kept) > args.limit:
            context.out.error(f"there are more than {args.limit}; --limit {args.limit * 4} shows more")
        lost = client.store.unknown_submits()
    if lost:
        have = "has" if len(lost) == 1 else "have"
        context.out.error(f"{counted(len(lost), 'submit')} {have} an unknown outcome: {again(args, 'resume')}")
    elif not kept:
        of = "" if args.name is None else f" of {args.name}"
        context.out.error(f"no job{of} is kept in {shown(_path(args))}")
    return COMPLETED


def _keys_by_ref(client: vidpoll.Client) -> dict[str, list[str]]:
    """The keys of each kept job, sorted."""
    found: dict[str, list[str]] = {}
    for (_, key), ref in sorted(client.store.keys().items()):
        found.setdefault(ref, []).append(key)
    return found


def _kept_line(each: vidpoll.KeptJob, keys: Sequence[str]) -> str:
    untold = "" if each.told_at is not None or each.ended_at is None else " (hooks not called yet)"
    key = f", key{'s' if len(keys) > 1 else ''} {', '.join(keys)}" if keys else ""
    return f"{iso(each.submitted_at or each.added_at)}  {status_line(each.job, 0.0)}{key}{untold}"


def _kept_object(each: vidpoll.KeptJob, keys: Sequence[str]) -> dict[str, Any]:
    times: Iterable[tuple[str, float | None]] = (
        ("submitted_at", each.submitted_at),
        ("ended_at", each.ended_at),
        ("told_at", each.told_at),
    )
    return {
        **job_object(each.job),
        "keys": keys,
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
    "wait for all kept jobs that have not ended, and save their files (after a crash or Ctrl-C)",
    _resume_arguments,
    _resume,
    "vidpoll resume --download clips",
    "`wait` and `submit` keep their jobs on disk. After a crash, a reboot or Ctrl-C, this command waits for all of\n"
    "them, calls hooks for the events that they missed, and saves the files that an earlier --download did not.\n"
    "For a submit of unknown outcome, it lists the jobs that the submit may have started; only --adopt adopts one.",
)
