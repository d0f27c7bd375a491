"""The submits of unknown outcome: `resume` shows each one, and which jobs of the provider's list it may have become.

The list of an account is read once for all its open submits. `candidates` decides what is shown; it is a pure function.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
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
"""How deep in a row of the list the fields of a submit are looked for."""

MEASURED, UNMEASURED = 2.0, 5.0
"""Seconds by which a job may seem older than its submit: if the clocks were compared, and if they were not."""

SHOWN = 10
"""Jobs that a submit may have become, printed at most; --json has all."""

PARTIAL = "the provider's list may leave out jobs that still run"
"""Printed unless the plugin says that the list has all jobs."""

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


def by_address(lost: Submits, trusted: Trusted) -> list[list[vidpoll.Submission]]:
    """The submits by account and address. Those whose address only the store names are printed, and left out."""
    ordered = sorted(lost, key=lambda each: (*_place(each), each.at))
    groups = [list(group) for _, group in groupby(ordered, key=_place)]
    return [group for group in groups if trusted.address(_names(group), group[0].provider, group[0].base_url)]


def _place(lost: vidpoll.Submission) -> tuple[str, str, str]:
    return lost.account, lost.provider, lost.base_url


def _names(group: Submits) -> str:
    names = ", ".join(map(submit_name, group))
    return f"the submit {names}" if len(group) == 1 else f"each of {len(group)} submits, {names},"


def show(groups: Sequence[Submits], args: Arguments, context: Context, deadline: Deadline) -> list[int]:
    """Print the submits first, then what each may have become. Return the exit codes."""
    lost = [each for group in groups for each in group]
    if not args.json:
        for each in lost:
            context.out.error(_head(each))
    for group in groups:
        listing = _listing(group[0], args, context, deadline)
        for each in group:
            found = candidates(each, listing.jobs, listing.skew)
            if args.json:
                context.out.json(_object(each, found, listing, context.clock.time()))
                continue
            if len(lost) > 1:
                context.out.error(f"{submit_name(each)}:")
            for line in _lines(each, found, listing, args, context.clock.time() - each.at):
                context.out.error(f"  {line}")
    return [UNKNOWN] * len(lost)


# -- the provider's list ----------------------------------------------------------------------------------------------


@dataclass
class Listing:
    """The jobs of the provider's list that are not kept here, and why jobs may be missing.

    `skew` is by how many seconds the provider's clock is ahead of this machine's; None if that is not known. `running`
    is True if the list also has jobs that still run; None if the plugin does not say.
    """

    jobs: list[vidpoll.Job] = field(default_factory=list)
    skew: float | None = None
    running: bool | None = None
    problem: str = ""


def _listing(lost: vidpoll.Submission, args: Arguments, context: Context, deadline: Deadline) -> Listing:
    """Read the list of a submit's account, at its address."""
    account = stored_account(lost.account, lost.provider, lost.base_url)
    times = [each for each in (args.patience or PATIENCE, deadline.left) if each is not None]
    found = Listing()
    with context.client((), args, given={lost.account: account}, within=min(times)) as client:
        try:
            polling = client.provider(account.provider).list_polling
            found.running = True if polling is not None and polling.batch is None else None
            ours = {each.ref for each in client.store.jobs()}
            for number, job in enumerate(islice(client.jobs(lost.account), LISTED)):
                if job.ref not in ours:
                    found.jobs.append(job)
                if deadline.over and deadline.timeout:
                    found.problem = f"Only {number + 1} rows of the provider's list could be searched in time"
                    break
            found.skew = None if deadline.over else _skew(client, lost.account, found.jobs)
        except vidpoll.Unsupported as error:
            why = advised(error, args)
            found.problem = f"The provider's list cannot be requested here ({why}): look in its dashboard or log"
        except vidpoll.VidpollError as error:
            found.problem = f"The provider's list was not read: {advised(error, args)}"
    return found


def _skew(client: vidpoll.Client, account: str, jobs: Sequence[vidpoll.Job]) -> float | None:
    """The difference of the clocks. The server is asked for its time only if the list has times."""
    if all(_created(job) is None for job in jobs):
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
    time. `shown` has the prompt and the submit's fields as the list has them. `same` names the fields that are as they
    were sent, `other` those that are not.
    """

    job: vidpoll.Job
    after: float | None
    shown: Mapping[str, Any]
    same: tuple[str, ...]
    other: tuple[str, ...]


class Candidates(NamedTuple):
    """The jobs that a submit may have become, the nearest first; and by how many seconds each other job is older."""

    jobs: tuple[Candidate, ...]
    older: tuple[float, ...]


def candidates(lost: vidpoll.Submission, jobs: Sequence[vidpoll.Job], skew: float | None) -> Candidates:
    """Which jobs of a list a submit may have become: not those that were created before it."""
    early = UNMEASURED if skew is None else MEASURED
    found, older = [], []
    for job in jobs:
        created = _created(job)
        after = None if created is None else created - (skew or 0.0) - lost.at
        if after is not None and after < -early:
            older.append(-after)
        else:
            found.append(Candidate(job, after, *_compared(lost.sent, job)))
    return Candidates(tuple(sorted(found, key=_nearness)), tuple(sorted(older)))


def _nearness(each: Candidate) -> tuple[bool, bool, float]:
    return bool(each.other), each.after is None, abs(each.after or 0.0)


def _compared(sent: Mapping[str, Any], job: vidpoll.Job) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """The prompt and the sent fields in the list's row; which of them are as they were sent, and which are not."""
    row = dict(_fields(None if job.snapshot is None else job.snapshot.raw))
    both = [name for name in row if name in sent and _comparable(sent[name])]
    same = tuple(name for name in both if str(row[name]).rstrip("…") == _start(sent[name]) or row[name] == sent[name])
    other = tuple(name for name in both if name not in same)
    return {name: row[name] for name in row if name in both or name == "prompt"}, same, other


def _fields(row: object, deep: int = 0) -> Iterator[tuple[str, Any]]:
    """The plain values of the objects in a row, then those of the row itself; safe to show."""
    if isinstance(row, Mapping) and deep < DEEP:
        for value in row.values():
            yield from _fields(value, deep + 1)
        for name, value in row.items():
            if isinstance(value, (str, int, float)):
                yield str(name), redact.text(value) if isinstance(value, str) else value


def _comparable(value: object) -> bool:
    """Whether a provider may show a field as it was sent. It replaces URLs; of a file the store has only a hash."""
    start = _start(value)
    text = "sha256:" not in start and "://" not in start and value != redact.HIDDEN
    return isinstance(value, (str, int, float)) and text


def _start(value: object) -> str:
    """A value as text; of a long text the beginning, as the store keeps it."""
    return str(value).partition("… sha256:")[0].rstrip("…")


# -- how it is shown --------------------------------------------------------------------------------------------------


def _head(lost: vidpoll.Submission) -> str:
    fields = "".join(f" {name}={_value(value)}" for name, value in lost.sent.items())
    key = f", key {lost.key}" if lost.key else ""
    what = f"{lost.account} {lost.operation}{fields}{key} ({lost.reason})"
    return f"a submit of unknown outcome, on {iso(lost.at)}: {what}"


def _value(value: object) -> str:
    return shell.quote(str(value)[:60])


def _lines(lost: vidpoll.Submission, found: Candidates, listing: Listing, args: Arguments, age: float) -> Iterator[str]:
    for each in found.jobs[:SHOWN]:
        line = again(args, "resume", adopt=each.job.ref, key=lost.key or None)
        yield f"it may be {status_line(each.job, 0.0)}{_told(each)}: {line}"
    if len(found.jobs) > SHOWN:
        further = counted(len(found.jobs) - SHOWN, "further job")
        yield f"{further} of the list, less near: {again(args, 'resume', json=True)}"
    if found.older:
        yield _older(found.older, listing.skew)
    if not found.jobs:
        line = again(args, "resume", adopt=f"{lost.account}:ID", key=lost.key or None)
        why = listing.problem or "The provider's list shows no job that it may be"
        yield f"{why}. If you find its job: {line}"
    elif listing.problem:
        yield listing.problem
    yield _end(lost, found, listing, args, age)


def _told(each: Candidate) -> str:
    """When a candidate was created, with its prompt and the fields that differ."""
    created = iso(_created(each.job))
    said = f", created {created}, {_apart(each.after)} the submit" if each.after is not None and created else ""
    for name, value in each.shown.items():
        if name == "prompt" or name in each.other:
            how = " (as sent)" if name in each.same else " (not as sent)" if name in each.other else ""
            said += f", {name}={_value(value)}{how}"
    return said


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


def _end(lost: vidpoll.Submission, found: Candidates, listing: Listing, args: Arguments, age: float) -> str:
    """The line that dismisses a submit; while the provider's list may be late, the one that looks again."""
    partial = not (listing.running or listing.problem)
    if age < LATE:
        why = f"The submit is only {_span(max(0.0, age))} old{f', and {PARTIAL}' if partial else ''}"
        wait = "some minutes" if partial else "a minute"
        return f"{why}: look again in {wait}, before you dismiss it: {again(args, 'resume')}"
    given = f"{'it is none of these, and ' if found.jobs else ''}it never arrived{f' ({PARTIAL})' if partial else ''}"
    if lost.key:
        return f"If {given}, dismiss it, and its key may buy again: {again(args, 'resume', dismiss=lost.key)}"
    line = again(args, "jobs --local", forget_before=iso(lost.at + 1.0))
    return f"If {given}, forget it, and all jobs that ended before it: {line}"


def _object(lost: vidpoll.Submission, found: Candidates, listing: Listing, now: float) -> dict[str, Any]:
    """The same for machines."""
    said = {
        "account": lost.account,
        "operation": lost.operation,
        "at": iso(lost.at),
        "key": lost.key or None,
        "sent": dict(lost.sent),
        "reason": lost.reason,
        "age": round(now - lost.at, 3),
        "dismiss_from": iso(lost.at + LATE),
    }
    return {
        "submit": said,
        "candidates": [
            {**job_object(each.job), "seconds_after": _rounded(each.after), "same": each.same, "other": each.other}
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
