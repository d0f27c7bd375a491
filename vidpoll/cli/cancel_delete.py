"""The commands `cancel` and `delete`, which end something at the provider. Both ask the user first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import vidpoll

from .again import advised, again
from .context import Arguments, Command, Context, as_json, bounded, is_there, references, store, store_of
from .job_keys import key_words, keys_of
from .output import COMPLETED, NOT_COMPLETED, error_object, first_that_applies

_DONE = {"cancel": "cancelled", "delete": "deleted"}
_ASKED = {
    "cancel": "Cancel at the provider (what was paid may be lost): {}? [y/N] ",
    "delete": "Delete at the provider, with all files and for good: {}? [y/N] ",
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    references(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    bounded(parser)
    as_json(parser)
    store(parser)  # a cancelled job is kept as cancelled, a deleted one is forgotten


def _end(role: str, args: Arguments, context: Context) -> int:
    doomed = context.jobs(args.refs)
    codes = []
    with context.client([job.account for job in doomed], args, within=args.timeout) as client:
        call = getattr(client, role)
        for job in doomed:
            own = job.account in dict(args.account or ())
            if not own and getattr(client.provider(job.account), role) is None:
                call(job)  # raises the right error, before anything is sent and before the user is asked
        if not args.yes and not _agreed(role, doomed):
            context.out.error(f"nothing was {_DONE[role]}")
            return NOT_COMPLETED
        for job in doomed:
            error: vidpoll.VidpollError | None = None
            try:
                call(job)
            except (vidpoll.ProviderError, vidpoll.AnswerError) as failed:
                error = failed
            over = role == "cancel" and job.final and job.state is not vidpoll.State.CANCELLED
            done = error is None and not over
            if args.json:
                context.out.json({"ref": job.ref, _DONE[role]: done, "error": error_object(error)})
            elif error is None:
                context.out.line(f"{job.ref} {_came(role, job, again(args, 'wait', job.ref))}")
            if error is not None:
                context.out.error(advised(error, args))
            elif role == "delete":
                _let_go(client, job, args, context)
            codes.append(COMPLETED if done else NOT_COMPLETED)
    return first_that_applies(codes)


def _let_go(client: vidpoll.Client, job: vidpoll.Job, args: Arguments, context: Context) -> None:
    """Forget a deleted job without a kept verdict: none will arrive, and `vidpoll resume` would poll for ever.

    Its keys are free then, which is printed.
    """
    path = store_of(args)
    if path is None or not is_there(path):
        return
    with suppress(vidpoll.StoreError):  # the job is deleted anyway
        kept = client.store.get(job)
        if kept is not None and not kept.job.final:
            keys = key_words(keys_of(client, kept))
            client.store.drop(job)
            if keys:
                context.out.error(f"the job had no final state here, so its {keys} may buy again")


def _came(role: str, job: vidpoll.Job, line: str) -> str:
    """The outcome in words."""
    if role == "delete":
        return "deleted"
    return f"is {job.state}" if job.final else f"was asked to end; to see the outcome: {line}"


def _agreed(role: str, doomed: Sequence[vidpoll.Job]) -> bool:
    if sys.stdin is None or sys.stderr is None or not sys.stdin.isatty():
        raise vidpoll.UsageError(f"{role}: standard input is not a terminal, so you cannot be asked; add --yes")
    sys.stderr.write(_ASKED[role].format(", ".join(job.ref for job in doomed)))
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


COMMANDS = (
    Command(
        "cancel",
        "ask the provider to cancel jobs",
        _arguments,
        partial(_end, "cancel"),
        "vidpoll cancel acme:8f2c --yes",
        "Asks you first, unless --yes. Few providers can cancel (`vidpoll providers NAME` lists the operations).\n"
        "The job is cancelled only when its provider reports it.",
    ),
    Command(
        "delete",
        "ask the provider to delete jobs and their files",
        _arguments,
        partial(_end, "delete"),
        "vidpoll delete token360:vt_5f2c0e9b7a41 --yes",
        "Asks you first, unless --yes. A deleted job without a final state is also forgotten here, so that\n"
        "`vidpoll resume` does not wait for it.",
    ),
)
