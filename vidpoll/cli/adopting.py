"""`resume --adopt` and `--dismiss`: what ends a submit of unknown outcome. Both are checked first, because of its key.

A job is polled once before it gets the key of a submit: a key that is bound to a job that does not exist would have to
be freed by hand, and could then buy again. A submit of the last minute is not dismissed, because lists are late.
"""

from __future__ import annotations

import math

import vidpoll

from .again import advised, again
from .context import Arguments, Context
from .lost_submits import LATE, PATIENCE, submit_name
from .output import counted, iso
from .trusted import Trusted, stored_account

Owner = vidpoll.Submission | vidpoll.KeptJob
"""What has the key: an open submit, or the job that was adopted for it by mistake."""


def adopt(client: vidpoll.Client, ref: str, args: Arguments, context: Context, trusted: Trusted) -> bool:
    """Record the job as that of an open submit. Returns False, after printing why, if the provider does not show it.

    The submit is the one with `--key` or `--number`; without them, the only one of the account if it has no key. If the
    key belongs to a job that was adopted earlier, it moves. Raises UsageError if there is no such submit.
    """
    job = vidpoll.Job(ref)
    owner = _owner(client, job, args)
    if owner is None:
        context.out.error(f"{job.ref} is kept as the job of its submit already")
        return True
    if isinstance(owner, vidpoll.KeptJob):
        name, more = f"with the key {owner.key}", f", no longer {owner.ref}, which stays here without a key"
        provider, url = owner.origin.provider, owner.origin.base_url
    else:
        name, more, provider, url = submit_name(owner), "", owner.provider, owner.base_url
    if not trusted.address(f"the submit {name}", provider, url):
        return False
    kept = client.store.get(job)
    if kept is None or not kept.job.answers:  # else the provider has shown it before
        job.key = owner.key  # so that a hook for its verdict sees the key
        problem = _problem(job, stored_account(job.account, provider, url), args, context)
        if problem:
            context.out.error(f"{job.ref} is not adopted: {problem}")
            return False
    client.store.adopt(job, owner)
    context.out.error(f"the submit {name} is now {job.ref}{more}")
    return True


def _owner(client: vidpoll.Client, job: vidpoll.Job, args: Arguments) -> Owner | None:
    """What the job takes over; None if it has done so. Raises UsageError if there is nothing, or a choice."""
    lost = [each for each in client.store.unknown_submits() if each.account == job.account]
    named = [each for each in lost if args.key in (None, each.key) and args.number in (None, each.number)]
    if len(named) == 1 and (args.key or args.number is not None or not named[0].key):
        return named[0]
    kept = client.store.get(job)
    done = (job.account, args.key) in client.store.keys(job) if args.key else kept is not None and not kept.key
    if done and kept is not None and kept.operation is not None:
        return None
    has = [each for each in client.store.jobs() if args.key and _has(each, job.account, args.key)]
    if has and has[0].submitted_at is None:
        return has[0]
    raise vidpoll.UsageError(f"--adopt {job.ref}: {_nothing(job, named, has, args)}")


def _has(kept: vidpoll.KeptJob, account: str, key: str) -> bool:
    return kept.key == key and kept.origin.account == account


def _nothing(job: vidpoll.Job, lost: list[vidpoll.Submission], has: list[vidpoll.KeptJob], args: Arguments) -> str:
    """Why the job takes over no submit, and the way out."""
    if has:
        return f"the key {args.key!r} belongs to {has[0].ref}, which the response to its submit named"
    if lost:
        have = "has" if len(lost) == 1 else "have"
        return (
            f"{counted(len(lost), 'submit')} of {job.account} {have} an unknown outcome: say which one it is with "
            f"--key KEY or --number N (`{again(args, 'resume')}` shows them)"
        )
    of = f" with the key {args.key!r}" if args.key else ""
    of += "" if args.number is None else f" with the number {args.number}"
    return (
        f"no submit of unknown outcome is on record for {job.account}{of}; "
        f"`{again(args, 'wait', job.ref)}` waits for any job and keeps it"
    )


def _problem(job: vidpoll.Job, account: vidpoll.Account, args: Arguments, context: Context) -> str:
    """Why a job cannot be adopted now; empty if its provider shows it."""
    number = None if args.number is None else str(args.number)
    line = again(args, "resume", adopt=job.ref, key=args.key, number=number)
    with context.client((), args, given={job.account: account}, within=args.patience or PATIENCE) as asking:
        try:
            asking.poll(job)
        except vidpoll.NotFound as error:
            why = error.message.partition(". ")[0].removeprefix(f"{job.ref}: ")
            return (
                f"{account.provider} does not know this job ({why}). Check the id; `{again(args, 'resume')}` shows "
                f"which jobs the submit may have become. If the job is new, repeat in a minute: {line}"
            )
        except vidpoll.UnknownStatus:  # it is there, in a state that the plugin does not know
            return ""
        except vidpoll.VidpollError as error:
            return f"it could not be polled: {advised(error, args)}. Then repeat: {line}"
    return ""


def check_age(lost: vidpoll.Submission, option: str, args: Arguments, context: Context) -> None:
    """Raise UsageError for a submit that is too young to be dismissed."""
    age = context.clock.time() - lost.at
    if age < LATE:
        raise vidpoll.UsageError(
            f"{option}: not yet, the submit is only {max(0.0, age):.0f} s old and the provider's list may be "
            f"late. Look for its job first (`{again(args, 'resume')}`); dismissing works from "
            f"{iso(math.ceil(lost.at + LATE))} on"
        )
