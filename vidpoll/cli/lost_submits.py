"""The submits of unknown outcome: `resume` shows each one, and which jobs of the provider's list it may have become.

The list of an account is read once for all its open submits. `candidates` decides what is shown; it is a pure function.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import vidpoll
from vidpoll import redact, shell

from .again import advised, again
from .context import Arguments, Context
from .deadline import Deadline
from .output import UNKNOWN, counted, iso, job_object, status_line
from .trusted import Trusted, stored_account

LISTED = 200
"""Rows of a provider's list in which lost submits are looked for."""

PATIENCE = 10.0
"""Seconds of nothing but faults after which reading the list ends, without `--patience`."""

LATE = 60.0
"""Seconds by which a provider's list may be late. Before, no line that dismisses a submit is printed."""

DEEP = 3
"""How deep in a row of the list the prompt is looked for."""

MEASURED, UNMEASURED = 2.0, 86_400.0
"""Seconds by which a job may seem older than its submit: if the clocks were compared, and if they were not."""

SHOWN = 10
"""Jobs that a submit may have become, printed at most; --json has all."""

PARTIAL = "the provider's list may leave out jobs that still run"
"""Printed unless the plugin says that the list has all jobs."""

NONE: Mapping[str, float] = {}

Submits = Sequence[vidpoll.Submission]


def shows_running(provider: vidpoll.Provider) -> bool:
    """Whether the provider's list is known to have jobs that still run: the plugin polls jobs by it."""
    return provider.list_polling is not None and provider.list_polling.batch is None


def submit_name(lost: vidpoll.Submission) -> str:
    """A submit of unknown outcome, in a sentence.

    >>> submit_name(vidpoll.Submission(1, "magicoal", "t2v", {}, 1_800_000_000.0, "no answer", key="k1"))
    'magicoal t2v of 2027-01-15T08:00:00Z (key k1)'
    """
    key = f" (key {lost.key})" if lost.key else ""
    return f"{lost.account} {lost.operation} of {iso(lost.at)}{key}"


def by_address(lost: Submits, args: Arguments, context: Context, trusted: Trusted) -> list[list[vidpoll.Submission]]:
    """The submits by account and address. Those whose address only the store names are printed, and left out."""
    ordered = sorted(lost, key=lambda each: (*_place(each), each.at))
    groups, keys = [list(group) for _, group in groupby(ordered, key=_place)], Counter(each.key for each in lost)
    found = []
    for group in groups:
        if trusted.address(_names(group), group[0].provider, group[0].base_url):
            found.append(group)
            continue
        for each in group:
            age = context.clock.time() - each.at
            case = Case(each, Candidates((), ()), Listing(), age, alone=keys[each.key] == 1)
            context.out.error(_if_wrong(case, args))
    return found


def _if_wrong(case: Case, args: Arguments) -> str:
    """The way out for a submit whose base URL is wrong."""
    wrong = f"If that base URL is wrong, and {submit_name(case.lost)} never arrived"
    if case.age < LATE:
        return f"{wrong}, it can be dismissed in a minute: {again(args, 'resume')}"
    then = "dismiss it, and its key may buy again" if case.lost.key else "dismiss it"
    return f"{wrong}, {then}: {case.dismissing(args)}"


def _place(lost: vidpoll.Submission) -> tuple[str, str, str]:
    return lost.account, lost.provider, lost.base_url


def _names(group: Submits) -> str:
    names = ", ".join(map(submit_name, group))
    return f"the submit {names}" if len(group) == 1 else f"each of {len(group)} submits, {names},"


def show(groups: Sequence[Submits], args: Arguments, context: Context, deadline: Deadline) -> list[int]:
    """Print the submits first, then what each may have become. Return the exit codes."""
    lost = [each for group in groups for each in group]
    keys = Counter(each.key for each in lost)
    if not args.json:
        for each in lost:
            context.out.error(_head(each))
    for group in groups:
        listing = _listing(group[0], args, context, deadline)
        all_found = divided([candidates(each, listing.jobs, listing.skew, listing.kept) for each in group])
        for each, found in zip(group, all_found, strict=True):
            case = Case(each, found, listing, context.clock.time() - each.at, alone=keys[each.key] == 1)
            if args.json:
                context.out.json(_object(case))
                continue
            if len(lost) > 1:
                context.out.error(f"{submit_name(each)}:")
            for line in _lines(case, args):
                context.out.error(f"  {line}")
    return [UNKNOWN] * len(lost)


# -- the provider's list ----------------------------------------------------------------------------------------------


@dataclass
class Listing:
    """The jobs that no submit made here: those of the provider's list, and kept ones; and why jobs may be missing.

    `kept` has the references of the jobs that `wait` brought into the store, and since when they are there.
    `times` has for each row that was searched when its job was created, in the list's order; None if the list has no
    time. `skew` is by how many seconds the provider's clock is ahead of this machine's; None if that is not known.
    `running` is True if the list also has jobs that still run; None if the plugin does not say.
    """

    jobs: list[vidpoll.Job] = field(default_factory=list)
    kept: dict[str, float] = field(default_factory=dict)
    times: list[float | None] = field(default_factory=list)
    skew: float | None = None
    running: bool | None = None
    problem: str = ""

    def reaches(self, at: float) -> bool:
        """Whether no row that was left out can be a job since `at`.

        So it is if the searched rows are sorted, newest first, and the last one is older.
        """
        if not (self.problem and self.times):
            return True
        known = [each for each in self.times if each is not None]
        newest_first = known == sorted(known, reverse=True) and len(known) == len(self.times)
        return newest_first and known[-1] - (self.skew or 0.0) < at - _early(self.skew)


def _listing(lost: vidpoll.Submission, args: Arguments, context: Context, deadline: Deadline) -> Listing:
    """Read the list of a submit's account, at its address."""
    account = stored_account(lost.account, lost.provider, lost.base_url)
    times = [each for each in (args.patience or PATIENCE, deadline.left) if each is not None]
    found = Listing()
    with context.client((), args, given={lost.account: account}, within=min(times)) as client:
        try:
            here = [each for each in client.store.jobs() if each.origin.account == lost.account]
            waited = [each for each in here if each.operation is None and each.origin.base_url == lost.base_url]
            found.jobs, found.kept = [each.job for each in waited], {each.ref: each.added_at for each in waited}
            found.running = shows_running(client.provider(account.provider)) or None
            _search(found, client.jobs(lost.account), {each.ref for each in here} - found.kept.keys(), deadline)
            found.skew = None if deadline.over else _skew(client, lost.account, found.times)
        except vidpoll.Unsupported as error:
            why = advised(error, args)
            found.problem = f"The provider's list cannot be requested here ({why}): look in its dashboard or log"
        except vidpoll.VidpollError as error:
            read = f"Only {counted(len(found.times), 'row')} of the provider's list could be read"
            unread = "The provider's list was not read"
            found.problem = f"{read if found.times else unread}: {advised(error, args)}"
    return found


def _search(found: Listing, rows: Iterable[vidpoll.Job], ours: set[str], deadline: Deadline) -> None:
    """Add the rows of a list, the first LISTED ones at most."""
    for job in rows:
        if len(found.times) == LISTED:
            found.problem = f"Only the first {LISTED} rows of the provider's list were searched"
            return
        found.times.append(_created(job))
        if job.ref in found.kept:  # the list knows its prompt
            found.jobs = [each for each in found.jobs if each.ref != job.ref]
        if job.ref not in ours:
            found.jobs.append(job)
        if deadline.over and deadline.timeout:
            found.problem = f"Only {counted(len(found.times), 'row')} of the provider's list could be searched in time"
            return


def _skew(client: vidpoll.Client, account: str, times: Sequence[float | None]) -> float | None:
    """The difference of the clocks. The server is asked for its time only if the list has times."""
    if all(each is None for each in times):
        return None
    try:
        return client.reach(account).skew
    except vidpoll.VidpollError:
        return None


def _created(job: vidpoll.Job) -> float | None:
    return None if job.snapshot is None else job.snapshot.created_at


# -- what a submit may have become ------------------------------------------------------------------------------------


class Candidate(NamedTuple):
    """A job that a submit may have become.

    `after` is by how many seconds it was created after the submit, on this machine's clock; None if the list has no
    time. `prompt` is that of the list, and `told` how it compares with the prompt that was sent; each may be empty.
    `kept`: the job is kept here already, because `wait` was called for it.
    """

    job: vidpoll.Job
    after: float | None
    prompt: str
    told: str
    kept: bool = False


class Candidates(NamedTuple):
    """The jobs that a submit may have become, the nearest first; and by how many seconds each other job is older."""

    jobs: tuple[Candidate, ...]
    older: tuple[float, ...]


def candidates(
    lost: vidpoll.Submission, jobs: Sequence[vidpoll.Job], skew: float | None, kept: Mapping[str, float] = NONE
) -> Candidates:
    """Which jobs of a list a submit may have become: not those that were created, or kept here, before it."""
    found, older = [], []
    for job in jobs:
        if kept.get(job.ref, math.inf) <= lost.at:
            continue
        created = _created(job)
        after = None if created is None else created - (skew or 0.0) - lost.at
        if after is not None and after < -_early(skew):
            older.append(-after)
        else:
            prompt = _prompt(None if job.snapshot is None else job.snapshot.raw)
            found.append(Candidate(job, after, prompt, _compared(lost.sent.get("prompt"), prompt), job.ref in kept))
    return Candidates(tuple(sorted(found, key=_nearness)), tuple(sorted(older)))


def divided(found: Sequence[Candidates]) -> list[Candidates]:
    """What the open submits of an account may have become, each job with the prompt of one submit only there."""
    taken = {each.job.ref for one in found for each in one.jobs if each.told == SAME}
    return [
        one._replace(jobs=tuple(each for each in one.jobs if each.told != OTHER or each.job.ref not in taken))
        for one in found
    ]


def _early(skew: float | None) -> float:
    return UNMEASURED if skew is None else MEASURED


def _nearness(each: Candidate) -> tuple[bool, bool, float]:
    return each.told == OTHER, each.after is None, abs(each.after or 0.0)


SAME, BEGINS, OTHER = "as sent", "begins as sent", "not as sent"


def _prompt(row: object, deep: int = 0) -> str:
    """The prompt in a row of the list, or in an object in it; safe to show. Empty if there is none."""
    if not isinstance(row, Mapping) or deep == DEEP:
        return ""
    if isinstance(row.get("prompt"), str):
        return redact.text(row["prompt"])
    return next(filter(None, (_prompt(value, deep + 1) for value in row.values())), "")


def _compared(sent: object, listed: str) -> str:
    """How a prompt of the list compares with the one that was sent; empty if that cannot be known.

    Both may be cut: the store keeps the beginning of a long text, and a provider may list one. URLs may be replaced.

    >>> [_compared("a sea at dusk", listed) for listed in ("a sea  at dusk\\n", "a sea at…", "a dog", "a sea")]
    ['as sent', 'begins as sent', 'not as sent', '']
    """
    kept, cut, _ = str(sent if isinstance(sent, str) else "").partition("… sha256:")
    ours, theirs = " ".join(kept.split()), " ".join(listed.split())
    marked = theirs.endswith(("…", "..."))
    start = theirs.rstrip(".… ") if marked else theirs
    if not (ours and start) or "sha256:" in ours or "://" in ours or redact.HIDDEN in ours:
        return ""
    if theirs == ours or (cut and theirs.startswith(ours)):
        return SAME
    if marked and ours.startswith(start):
        return BEGINS
    return "" if ours.startswith(theirs) or theirs.startswith(ours) else OTHER


# -- how it is shown --------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A submit, the jobs that it may have become, and its age in seconds.

    `alone`: no other submit that is shown has its key; each account has keys of its own.
    """

    lost: vidpoll.Submission
    found: Candidates
    listing: Listing
    age: float
    alone: bool

    def adopting(self, args: Arguments, ref: str) -> str:
        """The command that adopts a job for exactly this submit."""
        key, number = self._named
        return again(args, "resume", adopt=ref, key=key, number=number)

    def dismissing(self, args: Arguments) -> str:
        """The command that dismisses exactly this submit."""
        key, number = self._named
        return again(args, "resume", dismiss=key, dismiss_number=number)

    @property
    def _named(self) -> tuple[str | None, str | None]:
        """Its key if that names no other submit; else its number."""
        lost = self.lost
        return (lost.key, None) if lost.key and self.alone else (None, str(lost.number))


def _head(lost: vidpoll.Submission) -> str:
    fields = "".join(f" {name}={_value(value)}" for name, value in lost.sent.items())
    name = f"key {lost.key}" if lost.key else f"number {lost.number}"
    what = f"{lost.account} {lost.operation}{fields}, {name} ({lost.reason})"
    return f"a submit of unknown outcome, on {iso(lost.at)}: {what}"


def _value(value: object) -> str:
    return shell.quote(str(value)[:60])


def _lines(case: Case, args: Arguments) -> Iterator[str]:
    lost, found, listing, *_ = case
    for each in found.jobs[:SHOWN]:
        said = f"{status_line(each.job, 0.0)}{_told(each, listing.skew)}"
        other = each.told == OTHER
        yield f"less likely: {said}" if other else f"it may be {said}: {case.adopting(args, each.job.ref)}"
    if len(found.jobs) > SHOWN:
        further = counted(len(found.jobs) - SHOWN, "further job")
        yield f"{further} of the list, less near: {again(args, 'resume', json=True)}"
    if found.older:
        yield _older(found.older, listing.skew)
    if all(each.told == OTHER for each in found.jobs):
        none = "None of these has the prompt that was sent" if found.jobs else _NONE
        why = listing.problem or none
        yield f"{why}. If you find its job: {case.adopting(args, f'{lost.account}:ID')}"
    elif listing.problem:
        yield listing.problem
    yield _end(case, args)


_NONE = "The provider's list shows no job that it may be"


def _told(each: Candidate, skew: float | None) -> str:
    """When a candidate was created, and its prompt."""
    created = iso(_created(each.job))
    said = ", kept here already" if each.kept else ""
    if each.after is not None and created:
        when = f", created {created}, {_apart(each.after)} the submit"
        if skew is None and each.after < -MEASURED:
            when = (
                f", seems older (created {created}, {_apart(each.after)} the submit), but the clocks were not compared"
            )
        said += when
    how = f" ({each.told})" if each.told else ""
    return f"{said}, prompt={_value(each.prompt)}{how}" if each.prompt else said


def _apart(after: float) -> str:
    return "at the time of" if abs(after) < 1.0 else f"{_span(abs(after))} {'before' if after < 0 else 'after'}"


def _span(seconds: float) -> str:
    """
    >>> _span(28.4), _span(300.0), _span(7200.0), _span(200_000.0)
    ('28 s', '5 min', '2 h', '2 days')
    """
    for most, unit, name in ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172_800.0, 3600.0, "h")):
        if seconds < most:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400.0:.0f} days"


def _older(older: Sequence[float], skew: float | None) -> str:
    are, by = "is" if len(older) == 1 else "are", _span(older[0])
    how = f"created {by} before the submit" if len(older) == 1 else f"created before the submit, the last one by {by}"
    clock = ""
    if skew is not None and abs(skew) > MEASURED:
        clock = f"; the provider's clock is {_span(abs(skew))} {'ahead' if skew > 0 else 'behind'}, which is counted in"
    return f"{counted(len(older), 'older job')} of the list {are} not it: {how}{clock}"


def _end(case: Case, args: Arguments) -> str:
    """The line that dismisses a submit; or what must be done before, because the list may not show its job yet."""
    lost, found, listing, age, _ = case
    unread = listing.problem and not listing.times
    partial = not (listing.running or unread)
    if age < LATE:
        why = f"The submit is only {_span(max(0.0, age))} old{f', and {PARTIAL}' if partial else ''}"
        wait = "some minutes" if partial else "a minute"
        return f"{why}: look again in {wait}, before you dismiss it: {again(args, 'resume')}"
    if not listing.reaches(lost.at):
        return (
            "A row that was not searched may be its job: look in the provider's dashboard or log before you dismiss it"
        )
    doubt = ""
    if listing.skew is None and any(each.after is not None for each in found.jobs):
        doubt = "The clocks were not compared, so a job that seems older may be it. "
    given = f"{'it is none of these, and ' if found.jobs else ''}it never arrived{f' ({PARTIAL})' if partial else ''}"
    then = "dismiss it, and its key may buy again" if lost.key else "dismiss it"
    return f"{doubt}If {given}, {then}: {case.dismissing(args)}"


def _object(case: Case) -> dict[str, Any]:
    """The same for machines."""
    lost, found, listing, age, _ = case
    said = {
        "account": lost.account,
        "operation": lost.operation,
        "at": iso(lost.at),
        "number": lost.number,
        "key": lost.key or None,
        "sent": dict(lost.sent),
        "reason": lost.reason,
        "age": round(age, 3),
        "dismiss_from": iso(lost.at + LATE) if listing.reaches(lost.at) else None,
    }
    return {
        "submit": said,
        "candidates": [
            {
                **job_object(each.job),
                "seconds_after": _rounded(each.after),
                "same": ["prompt"] if each.told in (SAME, BEGINS) else [],
                "other": ["prompt"] if each.told == OTHER else [],
                "kept": each.kept,
            }
            for each in found.jobs
        ],
        "older": len(found.older),
        "older_by": _rounded(found.older[0]) if found.older else None,
        "clock_ahead": _rounded(listing.skew),
        "list_shows_running": listing.running,
        "list_problem": listing.problem or None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
