"""The command `batch`: a file of prompts in, videos out, once, within a budget. What a row does is the library's.

The first Ctrl-C (or SIGTERM) sends no further row and lets what is being sent have its answer; the second one leaves.
"""

from __future__ import annotations

import argparse
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import vidpoll

from .again import again
from .context import Arguments, Command, Context, as_json, count, store, where
from .ending import gently
from .fields import read_fields
from .heartbeat import Heart
from .output import COMPLETED, INTERRUPTED, Output, iso
from .waiting import check_folder, shown

T = TypeVar("T")

ENDING = "ending: no further row is sent; what is under way goes on at its provider (again: leave at once)"

EVERY = 1.0
"""Seconds between two looks at how the batch stands, on a terminal."""


def _pairs(form: str, read: Callable[[str], T]) -> Callable[[str], tuple[str, T]]:
    """For options like NAME=VALUE that may be given several times."""

    def pair(text: str) -> tuple[str, T]:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return name, read(value)

    return pair


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="FILE",
        help="CSV, JSON or JSONL; a folder of .txt files or pictures; - reads standard input",
    )
    parser.add_argument(
        "words",
        nargs="*",
        default=(),
        metavar="ACCOUNT KIND NAME=VALUE",
        help="the account and the kind of rows that name none, and fields for rows without such a column",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan, check every row, and send nothing")
    parser.add_argument("--into", metavar="DIR", help="save the files there (default: a folder of the batch's name)")
    parser.add_argument("--name", help="the batch's name in the store (default: the file's, without its ending)")
    parser.add_argument("--file", metavar="TEMPLATE", help="names of the files, like {key} or {n}-{prompt:30} ({key})")
    parser.add_argument("--picture", metavar="FIELD", help="the field that takes the pictures of a folder")
    parser.add_argument("--budget", metavar="AMOUNT", help="spend no more than that: '40 USD', '4000 credits'")
    parser.add_argument("--limit", type=count, metavar="N", help="buy no more than N videos; 1 is a pilot")
    parser.add_argument(
        "--price",
        type=_pairs("ACCOUNT/KIND=AMOUNT, like kling/t2v=0.35USD", str),
        action="append",
        metavar="ACCOUNT/KIND=AMOUNT",
        help="what one costs, where nobody else knows it",
    )
    parser.add_argument(
        "--slots",
        type=_pairs("ACCOUNT=N, like kling=5", count),
        action="append",
        metavar="ACCOUNT=N",
        help="so many unfinished jobs at once (default: what the provider says, or what its refusals teach)",
    )
    parser.add_argument("--until", metavar="TIME", help="submit nothing after 07:00, or 2027-03-01T07:00")
    parser.add_argument("--retries", type=_whole, metavar="N", help="try a row again N times after a fault (1)")
    parser.add_argument(
        "--retries-paid", type=_whole, metavar="N", help="the same where the failed try is charged, too (0)"
    )
    parser.add_argument("--only", action="append", metavar="KEY", help="only the rows of these keys")
    parser.add_argument("--retry-failed", action="store_true", help="buy the rows again that failed for good")
    parser.add_argument(
        "--changed",
        choices=("keep", "again"),
        help="a bought row that the file has with other fields by now: keep it, or buy it again",
    )
    parser.add_argument("--report", metavar="FILE", help="write what became of each row there, as .csv or .jsonl")
    parser.add_argument("--quiet", action="store_true", help="only say what became of each row")
    where(parser)
    store(parser)
    as_json(parser)


def _batch(args: Arguments, context: Context) -> int:
    if args.no_store:
        raise vidpoll.UsageError("batch: a batch is kept in a store, so that nothing is bought twice: no --no-store")
    account, kind, texts = _split(args.words)
    if args.into is not None:
        check_folder(args.into, "--into")
    heart = Heart(context.clock, context.out) if shown(args) and context.out.terminal and not args.dry_run else None
    stop = threading.Event()
    with context.client(dict(args.account or ()), args, heart) as client:
        shown_by = _Shown(args, context, displayed=heart is not None and heart.displayed)
        batch = client.batch(
            args.source,
            account=account,
            kind=kind,
            fields=read_fields(texts)[0],
            name=args.name,
            stop=stop,
            on_event=shown_by.event,
            **_given(args),
        )
        batch.go_on = _line(args)
        shown_by.batch = batch
        if args.dry_run:
            return _planned(args, context.out, batch)
        context.out.error(batch.plan.one_line()) if shown(args) else None
        with gently(stop, context.out, ENDING) as ended_by:
            for result in batch:
                shown_by.row(result)
        shown_by.end()
        return ended_by[-1] if ended_by and batch.exit_code == INTERRUPTED else batch.exit_code


def _split(words: Sequence[str]) -> tuple[str | None, str | None, Sequence[str]]:
    """ACCOUNT and KIND, as far as they are given, and the fields."""
    names = [word for word in words if "=" not in word]
    if len(names) > 2:
        raise vidpoll.UsageError(f"{names[2]!r} is no field: after ACCOUNT and KIND come fields, NAME=VALUE")
    account, kind = (*names, None, None)[:2]
    return account, kind, [word for word in words if "=" in word]


def _given(args: Arguments) -> dict[str, Any]:
    """The options that were given, as `Client.batch` takes them."""
    names = ("into", "file", "picture", "budget", "limit", "until", "retries", "retries_paid", "changed", "report")
    found = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    found |= {name: dict(getattr(args, name)) for name in ("price", "slots") if getattr(args, name)}
    return {**found, "only": args.only, "retry_failed": args.retry_failed}


def _line(args: Arguments) -> str:
    """The command that goes on with the batch: the same one again."""
    given = _given(args)
    given.pop("limit", None) if args.limit == 1 else None
    own: dict[str, Any] = {name: value for name, value in given.items() if not isinstance(value, Mapping)}
    pairs = [
        f"--{name} {shlex.quote(f'{key}={value}')}"
        for name in ("price", "slots")
        for key, value in dict(getattr(args, name) or ()).items()
    ]
    own["name"] = args.name
    line = again(args, "batch", args.source, *args.words, **own)
    return " ".join([line, *pairs])


def _planned(args: Arguments, out: Output, batch: vidpoll.Batch) -> int:
    plan = batch.plan
    if args.json:
        out.json(plan_object(plan))
    else:
        out.text(str(plan))
    return 2 if plan.problems else COMPLETED


def plan_object(plan: Any) -> dict[str, Any]:
    """A plan for machines."""
    return {
        "batch": plan.name,
        "rows": sum(plan.counts.values()),
        **plan.counts,
        "to_buy": len(plan.buy),
        "allowed": len(plan.allowed),
        "prices": [
            {
                "account": share.account,
                "rows": share.rows,
                "low": share.low if share.unit else None,
                "high": share.high if share.unit else None,
                "unit": share.unit or None,
                "sources": list(share.sources),
            }
            for share in plan.shares
        ],
        "budget": None if plan.budget is None else {"amount": plan.budget.amount, "unit": plan.budget.unit},
        "spent": plan.spent,
        "finish": None if plan.finish is None else [iso(at) for at in plan.finish],
        "changed": [each.key for each in plan.changed],
        "gone": list(plan.gone),
        "problems": [str(each) for each in plan.problems],
    }


def row_object(result: vidpoll.RowResult) -> dict[str, Any]:
    """A row for machines: always these keys."""
    cost = result.cost
    return {
        "key": result.key,
        "state": result.state,
        "why": result.why or None,
        "ref": None if result.job is None else result.job.ref,
        "files": [str(path) for path in result.paths],
        "cost": None if cost is None else cost._asdict(),
        "category": result.category or None,
        "problem": result.problem or None,
        "attempts": result.attempts,
    }


class _Shown:
    """What a batch says as it goes: a line a row, and on a terminal one that is written over."""

    def __init__(self, args: Arguments, context: Context, *, displayed: bool) -> None:
        self.args, self.out, self.clock = args, context.out, context.clock
        self.displayed = displayed
        self.start = self.at = context.clock.time()
        self.batch: vidpoll.Batch | None = None

    def event(self, event: vidpoll.Event) -> None:
        """Something happened: now and then the passing line says how all of them are."""
        del event
        now = self.clock.time()
        if self.displayed or not shown(self.args) or not self.out.terminal or now - self.at < EVERY:
            return
        self.at = now
        assert self.batch is not None
        self.out.passing(status_text(self.batch.status(), now))

    def row(self, result: vidpoll.RowResult) -> None:
        """A row has ended."""
        if self.args.json:
            self.out.json(row_object(result))
            return
        stamp = "" if self.args.quiet else f"{max(0.0, self.clock.time() - self.start):7.1f} s  "
        cost = f" ({vidpoll.Cost(result.cost.charged, result.cost.refunded, result.cost.unit)})" if result.cost else ""
        ref = "" if result.job is None else f" {result.job.ref}"
        if result.ok:
            files = ", ".join(map(str, result.paths)) or "no file"
            self.out.line(f"{stamp}{result.key}: {files}{cost}")
        else:
            self.out.error(f"{stamp}{result.key}{ref} {result.state}{cost}: {result.problem}")

    def end(self) -> None:
        """The last line: what became of all rows, and how to go on where some wait."""
        assert self.batch is not None
        if self.args.json:
            self.out.json(summary_object(self.batch))
            return
        for stop in self.batch.stopped:
            said = f": {stop.said}" if stop.said else ""
            self.out.error(f"{stop.account} stopped ({stop.reason}){said}")
        self.out.line(self.batch.summary())


def status_text(status: vidpoll.BatchStatus, now: float) -> str:
    """How a batch stands, on one line: rows by state, why rows wait, the money, and when it may be over."""
    running = status.states.get("running", 0)
    parts = [str(status), f"{running} running"]
    failed = {state: status.states.get(state, 0) for state in ("failed", "unknown")}
    parts += [f"{number} {state}" for state, number in failed.items() if number]
    if status.waiting:
        whys = ", ".join(f"{why} {number}" for why, number in sorted(status.waiting.items()))
        parts.append(f"{sum(status.waiting.values())} waiting ({whys})")
    if status.finish is not None:
        low, high = (max(0.0, at - now) for at in status.finish)
        parts.append(f"{_minutes(low)} to {_minutes(high)} left")
    return ", ".join(parts)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def summary_object(batch: vidpoll.Batch) -> dict[str, Any]:
    """How a batch ended, for machines."""
    status = batch.status()
    return {
        "batch": status.name,
        "rows": status.total,
        "states": {state: number for state, number in status.states.items() if number},
        "waiting": dict(status.waiting),
        "spent": dict(status.spent),
        "reserved": dict(status.reserved),
        "stopped": [stop.__dict__ if hasattr(stop, "__dict__") else _stopped(stop) for stop in batch.stopped],
        "exit_code": batch.exit_code,
    }


def _stopped(stop: Any) -> dict[str, str]:
    return {"account": stop.account, "reason": stop.reason, "said": stop.said, "go_on": stop.go_on}


COMMAND = Command(
    "batch",
    "make the videos of a file of prompts, each once, within a budget",
    _arguments,
    _batch,
    "vidpoll batch shots.csv kling t2v --into clips --budget '40 USD' --until 07:00 --report done.csv",
    "A row is a video: its columns are the provider's fields, and key, account, kind, count and file.\n"
    "The same line again goes on: what was bought is not bought again, whatever ended it. --dry-run shows the\n"
    "plan and what it costs. A column image:file names a picture beside the file.\n"
    "Exit codes: 0 all there, 1 some failed for good, 3 some unknown, 4 stopped by limit, budget, money or clock,\n"
    "and nothing is lost: the same line goes on.",
)
