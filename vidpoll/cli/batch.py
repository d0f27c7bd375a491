"""The command `batch`: a file of prompts in, one video a row out, each bought once, within a budget.

The library does the work. The first Ctrl-C (or SIGTERM) stops sending rows and waits for the response to each submit
under way; the second one leaves at once.
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

from ..model import amount
from .again import again, pasted
from .context import Arguments, Command, Context, as_json, count, store, where
from .ending import gently
from .fields import read_fields
from .heartbeat import Heart
from .output import COMPLETED, INTERRUPTED, USAGE, Output, iso
from .waiting import shown

T = TypeVar("T")

ENDING = "ending: no further row is sent; running jobs continue at their providers (signal again to leave at once)"

FAILED = (
    "only --retry-failed buys again what failed for good; "
    "without it, the same command downloads files that could not be saved"
)

EVERY = 1.0
"""Seconds between two updates of the status line on a terminal."""

SUMMED = 60.0
"""Seconds between two status lines elsewhere; none is printed if nothing has changed."""


PROBLEM = 200
"""Characters of a row's problem that its line shows; --json and --report have the whole text."""


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
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="FILE",
        help="a CSV, JSON or JSONL file, or a folder of .txt files or pictures; - reads standard input",
    )
    parser.add_argument(
        "words",
        nargs="*",
        default=(),
        metavar="ACCOUNT KIND NAME=VALUE",
        help="the default account, kind and fields, for rows that do not set their own",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check every row, show the plan and its cost, buy nothing"
    )
    parser.add_argument("--into", metavar="DIR", help="the folder for the files (default: named after the batch)")
    parser.add_argument("--name", help="the batch's name in the store (default: FILE's name without its suffix)")
    parser.add_argument(
        "--file",
        metavar="TEMPLATE",
        help="how to name the files, like {key} or {n}-{prompt:30} (default: {key})",
    )
    parser.add_argument("--picture", metavar="FIELD", help="the field that takes the pictures of a folder")
    parser.add_argument(
        "--budget", metavar="AMOUNT", help="the most this batch may spend, with the unit: '40 USD', '4000 credits'"
    )
    parser.add_argument("--limit", type=count, metavar="N", help="buy no more than N videos; use 1 for a trial run")
    parser.add_argument(
        "--price",
        type=_pairs("ACCOUNT/KIND=AMOUNT, like kling/text2video=0.35USD", str),
        action="append",
        metavar="ACCOUNT/KIND=AMOUNT",
        help="the price of one video of this kind; it overrides every other source",
    )
    parser.add_argument(
        "--slots",
        type=_pairs("ACCOUNT=N, like kling=5", count),
        action="append",
        metavar="ACCOUNT=N",
        help="at most N unfinished jobs at once (default: the provider's limit, or learnt from its refusals)",
    )
    parser.add_argument(
        "--until", metavar="TIME", help="submit nothing after TIME, like 07:00 or 2027-03-01T07:00 (local time)"
    )
    parser.add_argument(
        "--retries",
        type=_whole,
        metavar="N",
        help="buy a row again up to N times after a failure that was not charged, and after a fault of the provider "
        "(internal, expired) whose charge is unknown: that row may be paid twice (1)",
    )
    parser.add_argument(
        "--retries-paid",
        type=_whole,
        metavar="N",
        help="buy a row again up to N times after a failure that was charged: a moderated video (also if its charge is "
        "unknown), a video that a plugin refuses, and, up to --retries times, a fault of the provider (0)",
    )
    parser.add_argument("--only", action="append", metavar="KEY", help="only the row with this key (may be repeated)")
    parser.add_argument("--retry-failed", action="store_true", help="buy the rows again that failed for good")
    parser.add_argument(
        "--changed",
        choices=("keep", "again"),
        help="if FILE has changed the fields of a row since it was bought: keep the video, or buy it again",
    )
    parser.add_argument("--report", metavar="FILE", help="write the outcome of each row to FILE (.csv or .jsonl)")
    parser.add_argument("--quiet", action="store_true", help="print only the outcome of each row")
    where(parser)
    store(parser)
    as_json(parser)


def _batch(args: Arguments, context: Context) -> int:
    try:
        return _opened(args, context)
    except vidpoll.BatchInvalid as error:
        if args.json:
            context.out.json({"problems": [_in_options(str(each)) for each in error.problems]})
        for line in error.message.splitlines():
            context.out.error(_in_options(line))
        return USAGE


def _opened(args: Arguments, context: Context) -> int:
    if args.no_store:
        raise vidpoll.UsageError("batch: a batch needs its store, so that nothing is bought twice: omit --no-store")
    account, kind, texts = _split(args.words)
    pulse = _Pulse(context.clock, context.out) if shown(args) and not args.dry_run else None
    stop = threading.Event()
    with _client(args, context, account, pulse) as client:
        options = {"fields": read_fields(texts)[0], "name": args.name, "stop": stop}
        try:
            batch = client.batch(args.source, account=account, kind=kind, **options, **_given(args))
        except vidpoll.BatchInvalid:
            raise
        except vidpoll.UsageError as error:
            raise vidpoll.UsageError(_OPTION.sub(_as_option, _in_options(error.message))) from error
        batch.go_on = _line(args)
        if args.dry_run:
            return _planned(args, context.out, batch)
        return _run(args, context, batch, stop)


def _client(args: Arguments, context: Context, account: str | None, heart: Heart | None) -> vidpoll.Client:
    """A client with a store. --base-url applies to the account on the command line, not to accounts in rows."""
    accounts = dict.fromkeys([*([account] if account else []), *dict(args.account or ())])
    if args.base_url and not accounts:
        way = "name that account after FILE, or give --account NAME=PROVIDER@URL for each account"
        raise vidpoll.UsageError(f"--base-url applies to one account: {way}")
    try:
        return context.client(accounts, args, heart, must_keep=True)
    except vidpoll.StoreError as error:
        raise vidpoll.UsageError(
            f"{error.message}. A batch needs a store, so nothing was sent; name another one with --store FILE"
        ) from error


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
            out.error(f"interrupted; continue with: {batch.go_on}")
            return ended_by[-1] if ended_by else INTERRUPTED
    shown_by.end()
    return ended_by[-1] if ended_by and batch.exit_code == INTERRUPTED else batch.exit_code


_OPTION = re.compile(r"^(until|budget|report|only|limit|changed|into|name|price(?= ')|price of)\b=?")
"""How the library's words for an option begin."""


def _as_option(found: re.Match[str]) -> str:
    return f"--{found[1].removesuffix(' of')}{' ' if found[0].endswith('=') else ''}"


_BOTH = re.compile(r"\b(?:price=\{[^}]*\}|(?:changed|picture|name)='[^']*') \((--[^)]*)\)")
"""An argument in Python, with the option for it."""


def _in_options(said: str) -> str:
    """The library's text, with options alone in place of arguments in Python."""
    return _BOTH.sub(r"\1", said)


def _split(words: Sequence[str]) -> tuple[str | None, str | None, Sequence[str]]:
    """ACCOUNT and KIND (None if not given), and the fields."""
    names = [word for word in words if "=" not in word]
    if len(names) > 2:
        raise vidpoll.UsageError(f"{names[2]!r} is not a field: write fields as NAME=VALUE after ACCOUNT and KIND")
    account, kind = (*names, None, None)[:2]
    return account, kind, [word for word in words if "=" in word]


def _given(args: Arguments) -> dict[str, Any]:
    """The options that were given, as `Client.batch` takes them."""
    names = ("into", "file", "picture", "budget", "limit", "until", "retries", "retries_paid", "changed", "report")
    found = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    found |= {name: dict(getattr(args, name)) for name in ("price", "slots") if getattr(args, name)}
    return {**found, "only": args.only, "retry_failed": args.retry_failed}


def _line(args: Arguments) -> str:
    """The command that continues the batch: the same one again."""
    given = _given(args)
    given.pop("limit", None) if args.limit == 1 else None
    given.pop("until", None) if args.until and "-" in args.until else None  # that day may have passed by then
    own: dict[str, Any] = {name: value for name, value in given.items() if not isinstance(value, Mapping)}
    pairs = [
        f"--{name} {shell.quote(f'{key}={value}')}"
        for name in ("price", "slots")
        for key, value in dict(getattr(args, name) or ()).items()
    ]
    own["name"] = args.name
    line = again(args, "batch", args.source, *args.words, **own)
    rows = "  # with the same rows on standard input" if args.source == "-" else ""
    return " ".join([line, *pairs]) + rows


def _planned(args: Arguments, out: Output, batch: vidpoll.Batch) -> int:
    plan = batch.plan
    if args.json:
        out.json(plan_object(plan))
    else:
        out.text(_in_options(str(plan)))
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
        "problems": [_in_options(str(each)) for each in plan.problems],
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
        "cost": None if cost is None else asdict(cost),
        "category": result.category or None,
        "problem": result.problem or None,
        "attempts": result.attempts,
    }


class _Pulse(Heart):
    """Shows the status of a batch: on a terminal as a line that is overwritten, elsewhere as a line now and then."""

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
        """Keep the latest status."""
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
    """What a batch prints: a line for each row, and the summary at its end."""

    def __init__(self, args: Arguments, context: Context, batch: vidpoll.Batch) -> None:
        self.args, self.out, self.clock, self.batch = args, context.out, context.clock, batch
        self.start = context.clock.time()

    def row(self, result: vidpoll.RowResult) -> None:
        """A row has ended."""
        if self.args.json:
            self.out.json(row_object(result))
            return
        stamp = "" if self.args.quiet else f"{max(0.0, self.clock.time() - self.start):7.1f} s  "
        cost = f" ({result.cost})" if result.cost else ""
        ref = "" if result.job is None else f" {result.job.ref}"
        if result.ok:
            files = ", ".join(map(str, result.paths)) or "no file"
            self.out.line(f"{stamp}{result.key}: {files}{cost}")
        else:
            problem = _shortened(_ours(result.problem, self.args), whole=result.state == "unknown")
            self.out.error(f"{stamp}{result.key}{ref} {result.state}{cost}: {problem}")

    def end(self) -> None:
        """The last line: the outcome of all rows, and how to continue if some still wait."""
        if self.args.json:
            self.out.json(summary_object(self.batch))
            return
        for stop in self.batch.stopped:
            if stop.said:
                self.out.error(f"{stop.account} stopped ({stop.reason}): {_ours(stop.said, self.args)}")
        states = self.batch.status().states
        if states.get("unknown"):
            line = again(self.args, "resume")
            ledger = self.batch.ledger.items()
            held = ", ".join(f"{amount(each.unknown)} {unit}" for unit, each in ledger if each.unknown and unit)
            cost = f" ({held} stay reserved)" if held else ""
            self.out.error(f"a row of unknown outcome is never sent again{cost}: `{line}` shows which job it may be")
        if states.get("failed") and not self.args.retry_failed:
            self.out.error(FAILED)
        self.out.line(self.batch.summary())


def _shortened(problem: str, *, whole: bool) -> str:
    """A row's problem for its line, cut between two words; `whole`: the way out at its end must be read.

    >>> _shortened("no  room", whole=False), len(_shortened("a word " * 99, whole=True))
    ('no room', 692)
    """
    if whole:
        return redact.text(problem, limit=len(problem))
    shown = redact.text(problem, limit=PROBLEM)
    return f"{shown.rpartition(' ')[0]} …" if shown.endswith("…") else shown


def _ours(said: str, args: Arguments) -> str:
    """A message of the library, for the command line, which reads keys from the environment only."""
    return pasted(said.partition(", or pass Client(")[0], args)


def status_text(status: vidpoll.BatchStatus, now: float) -> str:
    """The status of a batch on one line, most important first, because a narrow terminal cuts it."""
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
    """The end of a batch, for machines."""
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
    "make one video for each row of a file or folder, each bought once, within a budget",
    _arguments,
    _batch,
    "vidpoll batch shots.csv magicoal t2v --into clips --budget '400 credits' --until 07:00 --report done.csv",
    "A row is a video. Its columns are the provider's fields, and optionally key, account, kind, count and file; a\n"
    "column image:file holds the path of a picture in FILE's folder. --dry-run shows the plan and its cost.\n"
    "After a stop or a crash, run the same command again: it continues, and buys nothing twice.\n"
    "Exit codes: 0 all videos are there; 1 some rows failed for good; 2 the call or FILE is wrong, nothing was sent;\n"
    "3 some rows have an unknown outcome; 4 some rows still wait (limit, budget, money, --until …): nothing is lost,\n"
    "and the same command continues; 130 interrupted.",
)
