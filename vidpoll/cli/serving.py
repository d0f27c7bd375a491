"""`vidpoll serve`: waits for all jobs of whole accounts, until it is told to end. systemd is enough to run it."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import tempfile
import threading
from pathlib import Path
from queue import Queue

import vidpoll
from vidpoll import redact
from vidpoll.serving import LOOK, MINUTE, Metrics

from .context import Arguments, Command, Context, count, positive, store, store_of, unusable, where
from .ending import gently
from .output import COMPLETED, counted

DAY = 86_400.0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "accounts", nargs="*", metavar="NAME", help="an account to serve (default: all that the store has jobs of)"
    )
    parser.add_argument(
        "--capacity", type=count, default=20_000, metavar="N", help="take no further shard from N jobs on (20000)"
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=DAY,
        metavar="S",
        help=f"give a job up S seconds after its submit ({DAY:g}); what is kept for it already counts",
    )
    parser.add_argument("--seconds", type=positive, metavar="S", help="end after S seconds (default: never)")
    parser.add_argument(
        "--metrics", metavar="FILE", help="write how it goes there once a minute, as Prometheus' text format"
    )
    parser.add_argument("--quiet", action="store_true", help="only say once a minute how it goes")
    where(parser)
    store(parser)


def _serve(args: Arguments, context: Context) -> int:
    if store_of(args) is None:
        raise vidpoll.UsageError("serve: the jobs come from a store: name one with --store FILE, and no --no-store")
    stop = threading.Event()
    report = _Report(args, context)
    ends = math.inf if args.seconds is None else context.clock.monotonic() + args.seconds
    ending = "ending: what is not kept yet is kept, others take over (again: leave at once)"
    with gently(stop, context.out, ending), _client(args, context) as client:
        while not stop.is_set() and (left := ends - context.clock.monotonic()) > 0:
            client.serve(
                args.accounts or None,
                capacity=args.capacity,
                seconds=None if math.isinf(left) else left,
                stop=stop,
                on_event=None if args.quiet else report.event,
                on_metrics=report,
                timeout=args.timeout,
            )
            if not stop.is_set() and context.clock.monotonic() < ends:
                report.stands_by(client, ends)
    return COMPLETED


def _client(args: Arguments, context: Context) -> vidpoll.Client:
    """A client with the store. Raises StoreError, or UsageError for a store that was named."""
    try:
        return context.client(args.accounts, args, must_keep=True)
    except vidpoll.StoreError as error:
        raise unusable(error, args) from None


class _Report:
    """Says how it goes: a line a minute, and a file."""

    def __init__(self, args: Arguments, context: Context) -> None:
        self._out, self._clock = context.out, context.clock
        self._path = None if args.metrics is None else Path(os.path.expanduser(args.metrics))  # noqa: PTH111 - it never raises
        self._next = -math.inf  # when the last line is a minute old
        self._stood_by = False

    def __call__(self, metrics: Metrics) -> None:
        self._next = self._clock.monotonic() + MINUTE
        self._out.error(line(metrics))
        if self._path is not None:
            try:
                _write(self._path, exposition(metrics))
            except OSError as error:
                self._out.error(
                    f"--metrics {self._path} cannot be written: {error.strerror or error}; look at its folder"
                )

    def event(self, event: vidpoll.Event) -> None:
        """A verdict, or a job that was given up."""
        if isinstance(event, (vidpoll.Completed, vidpoll.Failed, vidpoll.GaveUp)):
            self._out.line(str(event))

    def stands_by(self, client: vidpoll.Client, ends: float) -> None:
        """Nothing was free: look again in a second."""
        if self._clock.monotonic() >= self._next:
            with contextlib.suppress(vidpoll.StoreError):
                self(Metrics(store=client.store.gauges()))
        if not self._stood_by:
            self._stood_by = True
            self._out.error("standing by: every account with unfinished jobs is served, or there is none")
        until = min(ends, self._clock.monotonic() + LOOK)
        self._clock.get(Queue[None](), until - self._clock.monotonic(), busy=False)


def line(metrics: Metrics) -> str:
    """How it goes, in one line.

    >>> *ours, store = line(Metrics(2, 30, 400, 3, 12, 0.7, vidpoll.Gauges(50, 1, ("kling",), 2, 0.4))).split("; ")
    >>> ours
    ['2 shards, 30 jobs', '400 questions (3 without news), 12 told, p99 0.7 s late']
    >>> store
    'store: 50 open, 1 not told, 2 processes, nobody serves kling'
    """
    store = metrics.store
    unserved = f", nobody serves {redact.text(', '.join(store.unclaimed), limit=200)}" if store.unclaimed else ""
    return (
        f"{counted(metrics.shards, 'shard')}, {counted(metrics.jobs, 'job')}; "
        f"{counted(metrics.polls, 'question')} ({metrics.faults} without news), "
        f"{metrics.told} told, p99 {metrics.late:.1f} s late; store: {store.open} open, {store.untold} not told, "
        f"{store.owners} process{'es' * (store.owners != 1)}{unserved}"
    )


def exposition(metrics: Metrics) -> str:
    """How it goes, in Prometheus' text format."""
    store = metrics.store
    rows = [
        ("shards", "gauge", "Shards that this process serves.", metrics.shards),
        ("jobs", "gauge", "Jobs that this process waits for.", metrics.jobs),
        ("questions_total", "counter", "Answers and faults of status questions since serving began.", metrics.polls),
        ("faults_total", "counter", "Those of them that brought no news.", metrics.faults),
        ("verdicts_told_total", "counter", "Verdicts that hooks were told of.", metrics.told),
        ("late_p99_seconds", "gauge", "By how much the latest questions were late, 99 of 100 of them.", metrics.late),
        ("store_open_jobs", "gauge", "Jobs in the store without a verdict.", store.open),
        ("store_untold_verdicts", "gauge", "Verdicts in the store that no hook has heard.", store.untold),
        ("store_processes", "gauge", "Processes that were heard of lately.", store.owners),
        ("store_silent_seconds", "gauge", "Since when the quietest of them was not heard of.", store.silent),
        ("store_unclaimed_accounts", "gauge", "Accounts with jobs that nobody serves.", len(store.unclaimed)),
    ]
    lines = []
    for name, kind, told, value in rows:
        lines += [f"# HELP vidpoll_{name} {told}", f"# TYPE vidpoll_{name} {kind}", f"vidpoll_{name} {value}"]
    return "\n".join([*lines, ""])


def _write(path: Path, text: str) -> None:
    """Whoever reads the file sees the old text or the new one, whole."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.close(number)
        Path(name).write_text(text, encoding="utf-8")
        Path(name).chmod(0o644)  # who collects it is another user
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


COMMAND = Command(
    "serve",
    "wait for all jobs of whole accounts, and for those that come",
    _arguments,
    _serve,
    "vidpoll serve --store jobs.sqlite3 --metrics /var/lib/node_exporter/vidpoll.prom",
    "Any number of these share a store: each account (or part of a large one) is served by one of them, and what a\n"
    "process leaves that is killed is taken over within seconds. Who submits needs no wait of its own.\n"
    "SIGTERM and Ctrl-C end it: what is not kept yet is kept, and the others take over at once.",
)
