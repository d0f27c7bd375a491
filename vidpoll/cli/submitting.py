"""The commands `submit`, `price` and `upload`."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import vidpoll

from .again import advised, again
from .context import Arguments, Command, Context, as_json, bounded, count, store, store_named, store_of, where
from .costs import check_balance
from .deadline import Deadline
from .fields import fields, provider_of, with_fields
from .output import COMPLETED, INTERRUPTED, NOT_COMPLETED, code_of, first_that_applies, job_object
from .waiting import Wait, prepared, waiting_options

T = TypeVar("T")


def _submit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="ACCOUNT", help="the provider's name, or that of an --account")
    parser.add_argument(
        "kind", nargs="?", metavar="KIND", help="the kind of job, like t2v; leave it out to list the kinds"
    )
    fields(parser, "the provider's own fields; `vidpoll submit ACCOUNT KIND --help` lists them")
    parser.add_argument("--count", type=count, default=1, metavar="N", help="start N jobs with these fields (1)")
    parser.add_argument(
        "--once",
        metavar="KEY",
        help="start this job only once: the same KEY again gives the same job, even after a crash; with --count the "
        "keys are KEY#1, KEY#2 …",
    )
    parser.add_argument(
        "--force", action="store_true", help="with --count: start the jobs even if the balance does not pay for all"
    )
    parser.add_argument("--wait", action="store_true", help="then wait for the job, like `vidpoll wait`")
    waiting_options(parser)
    where(parser)
    store(parser)
    as_json(parser)


def _submit(args: Arguments, context: Context) -> int:
    if args.once is not None and store_of(args) is None:
        raise vidpoll.UsageError("--once KEY needs a store to buy only once: name one with --store FILE")
    if args.transcript is not None and not (args.wait or args.download is not None):
        raise vidpoll.UsageError("--transcript writes the responses of a wait: add --wait")
    deadline = Deadline(context.clock, args.timeout)
    heart = prepared(args, context)
    with _client(args, context, deadline) as client:
        _check_kind(client, args)
        new = _new(args, client)
        if new > 1 and not args.force:
            price = partial(_with_fields, client, args, partial(client.price, args.name, args.kind))
            check_balance(client, args.name, args.kind, new, price)
        jobs, code = _submitted(args, context, client)
    if jobs and code != INTERRUPTED and (args.wait or args.download is not None):
        with context.client([args.name], args, heart) as client:
            code = first_that_applies([code, Wait(args, context, client, deadline, heart).run(jobs)])
    return code


def _client(args: Arguments, context: Context, deadline: Deadline) -> vidpoll.Client:
    """A client that submits. Raises UsageError if a key needs a store that cannot be used."""
    once = args.once is not None
    try:
        return context.client([args.name], args, within=deadline.left, must_keep=once)
    except vidpoll.StoreError as error:
        need = "--once KEY needs a store to keep KEY in: name one with --store FILE. Nothing was sent"
        raise vidpoll.UsageError(f"{error.message}. {need}") from error


def _check_kind(client: vidpoll.Client, args: Arguments, command: str = "submit") -> None:
    """Raise UsageError if no kind is named; the message lists the kinds."""
    if args.kind is not None and "=" not in args.kind:
        return
    provider = provider_of(client, args)
    known = ", ".join(provider.submit) or "nothing: this plugin only waits"
    more = f"; vidpoll {command} {args.name} KIND --help lists its fields" if provider.submit else ""
    raise vidpoll.UsageError(f"{command} {args.name}: name a KIND; {args.name} has: {known}{more}")


def _submit_details(args: Arguments, context: Context) -> str:
    """The fields of the named kind with the rule of each; without a kind, those of all kinds."""
    with context.client() as client:
        provider = provider_of(client, args)
    kinds = [args.kind] if args.kind in provider.submit else list(provider.submit)
    told = [_kind_details(kind, provider.submit[kind].fields) for kind in kinds]
    return "\n\n".join(told) or f"{provider.name} has no submit: this plugin only waits"


def _kind_details(kind: str, fields: Mapping[str, str]) -> str:
    wide = max(map(len, fields), default=0)
    rows = [f"  {name:<{wide}}  {must}" for name, must in fields.items()] or ["  (its plugin does not list them)"]
    return "\n".join([f"fields of {kind}:", *rows])


def _submitted(args: Arguments, context: Context, client: vidpoll.Client) -> tuple[list[vidpoll.Job], int]:
    """Submit all jobs and print each reference at once. After an error, the jobs submitted so far are returned."""
    jobs: list[vidpoll.Job] = []
    try:
        for number in range(1, args.count + 1):
            job = _one(args, context, client, number)
            jobs.append(job)
            written = context.out.json(job_object(job)) if args.json else context.out.line(job.ref)
            if not written:
                context.out.error(f"submitted: {job.ref}")
    except KeyboardInterrupt as interrupted:
        if interrupted.args:  # that nothing was sent
            context.out.error(f"interrupted; {interrupted}")
            return jobs, INTERRUPTED
        look = f"look {_where(args, client)}"
        if store_of(args) is not None:
            line = again(args, "resume")
            look = f"it is on record, and `{line}` continues it or shows which job it may be: run that"
        context.out.error(f"interrupted; the submit may have been received: {look} before you submit again")
        return jobs, INTERRUPTED
    except vidpoll.VidpollError as error:
        kept = isinstance(error, vidpoll.SubmitUnknown) and store_of(args) is not None
        if not (jobs or kept):
            raise
        were = "was" if len(jobs) == 1 else "were"
        before = f" ({len(jobs)} of {args.count} {were} submitted before that)" if jobs else ""
        context.out.error(f"{advised(error, args)}{before}")
        return jobs, code_of(error)
    return jobs, COMPLETED


def _where(args: Arguments, client: vidpoll.Client) -> str:
    """Where to look for an interrupted submit: in the provider's list, if this account can request it."""
    try:
        client.jobs(args.name)
    except vidpoll.VidpollError:
        return "into the provider's dashboard, or its log"
    return f"at `{again(args, 'jobs', args.name)}` or the provider's dashboard"


def _key(args: Arguments, number: int) -> str:
    """The key of job number 1, 2 … of this call."""
    return str(args.once) if args.count == 1 else f"{args.once}#{number}"


def _new(args: Arguments, client: vidpoll.Client) -> int:
    """How many of the jobs are not submitted yet."""
    if args.once is None or args.count == 1 or store_of(args) is None:
        return int(args.count)
    known = client.store.keys()
    return sum((args.name, _key(args, number)) not in known for number in range(1, args.count + 1))


def _one(args: Arguments, context: Context, client: vidpoll.Client, number: int) -> vidpoll.Job:
    """Submit one job; if the store cannot keep the intent, nothing was sent yet, and the job is submitted without it.

    With a key, or with a store that the user named, StoreError is raised instead: without a store, the key could not
    prevent a second purchase.
    """
    key = None if args.once is None else _key(args, number)
    try:
        return _submit_with(client, args, key)
    except vidpoll.StoreError as error:
        if key is not None or store_named(args):
            raise
        context.out.error(f"warning: {error.message}. Submitting without a store: nothing is kept")
    args.no_store = True
    with context.client([args.name], args) as other:
        return _submit_with(other, args, None)


def _submit_with(client: vidpoll.Client, args: Arguments, key: str | None) -> vidpoll.Job:
    submit = partial(client.submit, args.name, args.kind)
    if key is not None:
        submit = partial(client.submit_once, args.name, args.kind, key)
    return _with_fields(client, args, submit)


def _with_fields(client: vidpoll.Client, args: Arguments, call: Callable[..., T]) -> T:
    return with_fields(call, args.fields, provider_of(client, args).submit.get(args.kind))


def _price_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="ACCOUNT", help="the provider's name, or that of an --account")
    parser.add_argument("kind", nargs="?", metavar="KIND", help="the kind of job, like t2v")
    fields(parser, "the provider's own fields, as `vidpoll submit` takes them")
    bounded(parser)
    where(parser)
    store(parser)
    as_json(parser)


def _price(args: Arguments, context: Context) -> int:
    with context.client([args.name], args, within=args.timeout) as client:
        _check_kind(client, args, "price")
        try:
            price = _with_fields(client, args, partial(client.price, args.name, args.kind))
        except vidpoll.InvalidField as error:  # it speaks of the submit that would be bought
            said = re.sub(r"^submit \S+", f"price {args.name} {args.kind}", error.message)
            raise vidpoll.InvalidField(said) from error
        listed = provider_of(client, args).submit[args.kind].price
    read = (
        "" if listed is None or price is None or price.source != "documented" else f" ({listed.source}, {listed.dated})"
    )
    if args.json:
        told = None if price is None else {"low": price.low, "high": price.high, "unit": price.unit}
        context.out.json(
            {"account": args.name, "operation": args.kind, "price": told, "source": price and price.source}
        )
    elif price is None:
        context.out.error(f"{args.name} {args.kind}: the price of this job is unknown")
    else:
        context.out.line(f"{price}, {_SAYS[price.source]}{read}")
    return NOT_COMPLETED if price is None else COMPLETED


_SAYS = {
    "estimate": "as the provider estimates",
    "quota": "from the account's quota",
    "documented": "from the vendor's page",
    "history": "from the cost of former jobs",
}


def _upload_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="ACCOUNT", help="the provider's name, or that of an --account")
    parser.add_argument("file", metavar="FILE", help="the file to send")
    parser.add_argument("--kind", help="the provider's word for this type of file, if FILE's suffix does not tell")
    bounded(parser)
    where(parser)
    as_json(parser)


def _upload(args: Arguments, context: Context) -> int:
    with context.client([args.name], args, within=args.timeout) as client:
        value = client.upload(args.name, args.file, kind=args.kind)
    if args.json:
        context.out.json({"account": args.name, "file": args.file, "value": value})
    else:
        context.out.line(value if isinstance(value, str) else json.dumps(value))
    return COMPLETED


SUBMIT = Command(
    "submit",
    "start a job and print its reference",
    _submit_arguments,
    _submit,
    "vidpoll submit magicoal i2v image=@photo.jpg prompt='the sea begins to move' seed=7 --download clips",
    "A VALUE for a text field is text. Any other VALUE is read as JSON if possible (7, true, [1, 2]), and NAME=@FILE\n"
    "is a file. To choose, write NAME:text=…, NAME:json=… or NAME:file=FILE; prompt:file=prompt.txt reads a prompt.\n"
    "fields.NAME=VALUE sends a field that is not listed, although its name is similar to a listed one.\n"
    "The submit is sent only once. If no response arrives, the exit code is 3, nothing is sent again, and `vidpoll\n"
    "resume` shows which job it may be. With --once KEY, a shell, cron or a queue may run the same line again: it\n"
    "prints the same reference and buys nothing. --count N first checks with `vidpoll quota` and `vidpoll price`\n"
    "that the account can pay for all jobs. --download also waits.",
    _submit_details,
)

PRICE = Command(
    "price",
    "show what a job would cost, and where the price comes from; buys nothing",
    _price_arguments,
    _price,
    "vidpoll price magicoal t2v prompt='a lighthouse at dusk'",
    "Uses the first source that has a price: the provider's estimate, the account's quota, the vendor's page (as the\n"
    "plugin has it, with its date), former jobs in the store. Exits with 1 if the price is unknown.",
    _submit_details,
)

UPLOAD = Command(
    "upload",
    "upload an input file for a job, and print the value for the submit's field",
    _upload_arguments,
    _upload,
    "vidpoll upload moneyprinterturbo clip.mp4",
    "Buys nothing. To submit a job only if the upload worked:\n"
    "clip=$(vidpoll upload moneyprinterturbo clip.mp4) && vidpoll submit moneyprinterturbo video video_source=local\n"
    "video_materials=\"[$clip]\" video_subject='the sea'",
)
