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
from .output import iso
from .trusted import Trusted, stored_account

Owner = vidpoll.Submission | vidpoll.KeptJob
"""What has the key: an open submit, or the job that was adopted for it by mistake."""


def adopt(client: vidpoll.Client, ref: str, args: Arguments, context: Context, trusted: Trusted) -> bool:
    """Record the job as that of an open submit. Returns False, after printing why, if the provider does not show it.

    The submit is the one with `--key`; without `--key`, the oldest of the account that has no key. If the key belongs
    to a job that was adopted earlier, it moves. Raises UsageError if there is no such submit.
    """
    job = vidpoll.Job(ref)
    owner = _owner(client, job, args)
    if owner is None:
        context.out.error(f"{job.ref} is kept as the job of that submit already")
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
    """What the job takes over; None if it has done so. Raises UsageError if there is nothing."""
    key = args.key or ""
    lost = [each for each in client.store.unknown_submits() if each.account == job.account]
    mine = next((each for each in lost if each.key == key), None)
    if mine is not None:
        return mine
    kept = client.store.get(job)
    if kept is not None and kept.operation is not None and kept.key == key:
        return None
    has = [each for each in client.store.jobs() if key and each.key == key and each.origin.account == job.account]
    if has and has[0].submitted_at is None:
        return has[0]
    raise vidpoll.UsageError(f"--adopt {job.ref}: {_nothing(job, lost, has, args)}")


def _nothing(
    job: vidpoll.Job, lost: list[vidpoll.Submission], has: list[vidpoll.KeptJob], args: Arguments
) -> str:
    """Why there is no submit to adopt a job for, and the way out."""
    if has:
        return f"the key {args.key!r} belongs to {has[0].ref}, which the response to its submit named"
    if lost and not args.key:
        line = again(args, "resume", adopt=job.ref, key=lost[0].key)
        return f"each open submit of {job.account} has a key; name the one that this job is of: {line}"
    of = f" with the key {args.key!r}" if args.key else ""
    return (
        f"no submit of unknown outcome is on record for {job.account}{of}; "
        f"`{again(args, 'wait', job.ref)}` waits for any job and keeps it"
    )


def _problem(job: vidpoll.Job, account: vidpoll.Account, args: Arguments, context: Context) -> str:
    """Why a job cannot be adopted now; empty if its provider shows it."""
    line = again(args, "resume", adopt=job.ref, key=job.key or None)
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
            f"--dismiss {option}: not yet, the submit is only {max(0.0, age):.0f} s old and the provider's list may be "
            f"late. Look for its job first (`{again(args, 'resume')}`); dismissing works from "
            f"{iso(math.ceil(lost.at + LATE))} on"
        )
