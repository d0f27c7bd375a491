"""The command `batch`: a file of prompts in, videos out, once, within a budget. What a row does is the library's.

The first Ctrl-C (or SIGTERM) sends no further row and lets what is being sent have its answer; the second one leaves.
"""

from __future__ import annotations

import argparse
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from queue import Queue
from typing import Any, TypeVar

import vidpoll
from vidpoll import redact, shell
from vidpoll.clock import Clock

from .again import again
from .context import Arguments, Command, Context, as_json, count, store, where
from .ending import gently
from .fields import read_fields
from .heartbeat import Heart
from .output import COMPLETED, INTERRUPTED, USAGE, Output, iso
from .waiting import check_folder, shown

T = TypeVar("T")

ENDING = "ending: no further row is sent; what is under way goes on at its provider (again: leave at once)"

FAILED = (
    "what failed for good is bought again with --retry-failed alone; "
    "the same line fetches files that could not be saved"
)

EVERY = 1.0
"""Seconds between two passing lines that say how the batch stands, on a terminal."""

SUMMED = 60.0
"""Seconds between two lines that say so elsewhere, where anything has changed."""


PROBLEM = 200
"""Characters of a row's problem on its line; --json and --report have it whole."""


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
    try:
        return _opened(args, context)
    except vidpoll.BatchInvalid as error:
        if args.json:
            context.out.json({"problems": [str(each) for each in error.problems]})
        for line in error.message.splitlines():
            context.out.error(line)
        return USAGE


def _opened(args: Arguments, context: Context) -> int:
    if args.no_store:
        raise vidpoll.UsageError("batch: a batch is kept in a store, so that nothing is bought twice: no --no-store")
    account, kind, texts = _split(args.words)
    if args.into is not None:
        check_folder(args.into, "--into")
    pulse = _Pulse(context.clock, context.out) if shown(args) and not args.dry_run else None
    stop = threading.Event()
    with _client(args, context, account, pulse) as client:
        options = {"fields": read_fields(texts)[0], "name": args.name, "stop": stop}
        try:
            batch = client.batch(args.source, account=account, kind=kind, **options, **_given(args))
        except vidpoll.BatchInvalid:
            raise
        except vidpoll.UsageError as error:
            raise vidpoll.UsageError(_OPTION.sub(_as_option, error.message)) from error
        batch.go_on = _line(args)
        if args.dry_run:
            return _planned(args, context.out, batch)
        return _run(args, context, batch, stop)


def _client(args: Arguments, context: Context, account: str | None, heart: Heart | None) -> vidpoll.Client:
    """A client with a store, for the account that is named; those of the rows are where they always are."""
    accounts = dict.fromkeys([*([account] if account else []), *dict(args.account or ())])
    if args.base_url and not accounts:
        way = "name it after FILE, or say --account NAME=PROVIDER@URL for each"
        raise vidpoll.UsageError(f"--base-url is for one account: {way}")
    try:
        return context.client(accounts, args, heart, must_keep=True)
    except vidpoll.StoreError as error:
        raise vidpoll.UsageError(f"{error.message}. A batch needs a store: nothing was sent (--store FILE)") from error


def _run(args: Arguments, context: Context, batch: vidpoll.Batch, stop: threading.Event) -> int:
    """Run the batch, and return its exit code, or that of the signal that ended it."""
    shown_by, out = _Shown(args, context, batch), context.out
    if shown(args):
        out.error(batch.plan.one_line())
    with gently(stop, out, ENDING) as ended_by:
        try:
            for result in batch:
                shown_by.row(result)
        except KeyboardInterrupt:
            out.error(f"interrupted; go on with: {batch.go_on}")
            return ended_by[-1] if ended_by else INTERRUPTED
    shown_by.end()
    return ended_by[-1] if ended_by and batch.exit_code == INTERRUPTED else batch.exit_code


_OPTION = re.compile(r"^(until|budget|report|only|limit|changed|price(?= ')|price of)\b=?")
"""How the library's words for an option begin."""


def _as_option(found: re.Match[str]) -> str:
    return f"--{found[1].removesuffix(' of')}{' ' if found[0].endswith('=') else ''}"


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
    given.pop("until", None) if args.until and "-" in args.until else None  # a day that may be over by then
    own: dict[str, Any] = {name: value for name, value in given.items() if not isinstance(value, Mapping)}
    pairs = [
        f"--{name} {shell.quote(f'{key}={value}')}"
        for name in ("price", "slots")
        for key, value in dict(getattr(args, name) or ()).items()
    ]
    own["name"] = args.name
    line = again(args, "batch", args.source, *args.words, **own)
    rows = "  # and the same rows on standard input" if args.source == "-" else ""
    return " ".join([line, *pairs]) + rows


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
                "low": round(share.low, 6) if share.unit else None,
                "high": round(share.high, 6) if share.unit else None,
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


class _Pulse(Heart):
    """Says how a batch stands: on a terminal in a line that is written over, elsewhere in a line now and then."""

    def __init__(self, clock: Clock, out: Output) -> None:
        super().__init__(clock, out)
        self.status: vidpoll.BatchStatus | None = None
        self.every = EVERY if out.terminal else SUMMED

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        if threading.current_thread() is not self.thread or self.displayed:
            return self.clock.get(inbox, timeout, busy=busy)
        self._beat()
        return self.clock.get(inbox, min(timeout, self.every), busy=busy)

    @vidpoll.hookimpl
    def vidpoll_batch_changed(self, batch: vidpoll.BatchStatus) -> None:
        """How it stands by now."""
        self.status = batch

    def _beat(self) -> None:
        now = self.clock.monotonic()
        if self.status is None or now - self.spoken < self.every:
            return
        self.spoken = now
        text = status_text(self.status, self.time())
        if self.out.terminal:
            self.out.passing(text)
        else:
            self.out.line(f"{now - self.start:7.1f} s  {text}")
            self.status = None


class _Shown:
    """What a batch says of its rows, and at its end."""

    def __init__(self, args: Arguments, context: Context, batch: vidpoll.Batch) -> None:
        self.args, self.out, self.clock, self.batch = args, context.out, context.clock, batch
        self.start = context.clock.time()

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
            problem = redact.text(_ours(result.problem), limit=PROBLEM)
            self.out.error(f"{stamp}{result.key}{ref} {result.state}{cost}: {problem}")

    def end(self) -> None:
        """The last line: what became of all rows, and how to go on where some wait."""
        if self.args.json:
            self.out.json(summary_object(self.batch))
            return
        for stop in self.batch.stopped:
            if stop.said:
                self.out.error(f"{stop.account} stopped ({stop.reason}): {_ours(stop.said)}")
        states = self.batch.status().states
        if states.get("unknown"):
            self.out.error("what is unknown is never sent again: vidpoll resume shows what it may have become")
        if states.get("failed") and not self.args.retry_failed:
            self.out.error(FAILED)
        self.out.line(self.batch.summary())


def _ours(said: str) -> str:
    """What the library said, for a command line: here a key comes from the environment alone."""
    return said.partition(", or pass Client(")[0]


def status_text(status: vidpoll.BatchStatus, now: float) -> str:
    """How a batch stands, on one line: what matters most first, for a terminal may cut it."""
    left = status.left(now)
    parts = [str(status), *([f"{left} left"] if left else [])]
    parts += [f"{account.account} stopped: {account.stopped}" for account in status.accounts if account.stopped]
    counts = {state: status.states.get(state, 0) for state in ("failed", "unknown", "running")}
    parts += [f"{number} {state}" for state, number in counts.items() if number]
    if status.waiting:
        whys = ", ".join(f"{why} {number}" for why, number in sorted(status.waiting.items()))
        parts.append(f"{sum(status.waiting.values())} waiting ({whys})")
    return ", ".join(parts)


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
        "stopped": [asdict(stop) for stop in batch.stopped],
        "exit_code": batch.exit_code,
        "go_on": batch.go_on,
    }


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
