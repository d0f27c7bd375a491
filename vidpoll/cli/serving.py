"""`vidpoll serve`: waits for all jobs of whole accounts until a signal ends it. systemd is enough to run it."""

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
        "accounts",
        nargs="*",
        metavar="NAME",
        help="an account to serve (default: every account with jobs in the store)",
    )
    parser.add_argument(
        "--capacity",
        type=count,
        default=20_000,
        metavar="N",
        help="take no further shard once this process has N jobs (20000)",
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=DAY,
        metavar="S",
        help=f"give up a job S seconds after its submit ({DAY:g}), unless a deadline is already kept for it",
    )
    parser.add_argument("--seconds", type=positive, metavar="S", help="end after S seconds (default: never)")
    parser.add_argument(
        "--metrics", metavar="FILE", help="write metrics to FILE once a minute, in Prometheus' text format"
    )
    parser.add_argument("--quiet", action="store_true", help="print only one status line a minute")
    where(parser)
    store(parser)


def _serve(args: Arguments, context: Context) -> int:
    if store_of(args) is None:
        raise vidpoll.UsageError("serve: the jobs are read from a store: name one with --store FILE, omit --no-store")
    stop = threading.Event()
    report = _Report(args, context)
    ends = math.inf if args.seconds is None else context.clock.monotonic() + args.seconds
    ending = "ending: saving what is not kept yet, then others take over (signal again to leave at once)"
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
    """Reports the metrics: a line a minute, and a file."""

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
                    f"--metrics {self._path} cannot be written: {error.strerror or error}; check its folder"
                )

    def event(self, event: vidpoll.Event) -> None:
        """Print a verdict, or a job that was given up."""
        if isinstance(event, (vidpoll.Completed, vidpoll.Failed, vidpoll.GaveUp)):
            self._out.line(str(event))

    def stands_by(self, client: vidpoll.Client, ends: float) -> None:
        """No shard was free: try again in a second."""
        if self._clock.monotonic() >= self._next:
            with contextlib.suppress(vidpoll.StoreError):
                self(Metrics(store=client.store.gauges()))
        if not self._stood_by:
            self._stood_by = True
            self._out.error("standing by: no account has unfinished jobs, or other processes serve all of them")
        until = min(ends, self._clock.monotonic() + LOOK)
        self._clock.get(Queue[None](), until - self._clock.monotonic(), busy=False)


def line(metrics: Metrics) -> str:
    """The metrics in one line.

    >>> *ours, store = line(Metrics(2, 30, 400, 3, 12, 0.7, vidpoll.Gauges(50, 1, ("kling",), 2, 0.4))).split("; ")
    >>> ours
    ['2 shards, 30 jobs', '400 polls (3 faults), 12 verdicts delivered, p99 0.7 s late']
    >>> store
    'store: 50 open jobs, 1 undelivered, 2 processes, no process serves kling'
    """
    store = metrics.store
    unserved = f", no process serves {redact.text(', '.join(store.unclaimed), limit=200)}" if store.unclaimed else ""
    return (
        f"{counted(metrics.shards, 'shard')}, {counted(metrics.jobs, 'job')}; "
        f"{counted(metrics.polls, 'poll')} ({counted(metrics.faults, 'fault')}), "
        f"{counted(metrics.told, 'verdict')} delivered, p99 {metrics.late:.1f} s late; "
        f"store: {counted(store.open, 'open job')}, {store.untold} undelivered, "
        f"{store.owners} process{'es' * (store.owners != 1)}{unserved}"
    )


def exposition(metrics: Metrics) -> str:
    """The metrics in Prometheus' text format."""
    store = metrics.store
    rows = [
        ("shards", "gauge", "Shards that this process serves.", metrics.shards),
        ("jobs", "gauge", "Jobs that this process waits for.", metrics.jobs),
        ("polls_total", "counter", "Polls since serving began, faults included.", metrics.polls),
        ("faults_total", "counter", "Polls that ended in a fault.", metrics.faults),
        ("verdicts_told_total", "counter", "Verdicts delivered to hooks.", metrics.told),
        ("late_p99_seconds", "gauge", "99th percentile of how late the latest polls were, in seconds.", metrics.late),
        ("store_open_jobs", "gauge", "Jobs in the store without a verdict.", store.open),
        ("store_untold_verdicts", "gauge", "Verdicts in the store not yet delivered to hooks.", store.untold),
        ("store_processes", "gauge", "Processes with a recent heartbeat in the store.", store.owners),
        ("store_silent_seconds", "gauge", "Seconds since the oldest of those heartbeats.", store.silent),
        ("store_unclaimed_accounts", "gauge", "Accounts with jobs that no process serves.", len(store.unclaimed)),
    ]
    lines = []
    for name, kind, told, value in rows:
        lines += [f"# HELP vidpoll_{name} {told}", f"# TYPE vidpoll_{name} {kind}", f"vidpoll_{name} {value}"]
    return "\n".join([*lines, ""])


def _write(path: Path, text: str) -> None:
    """Replace the file atomically: a reader sees the whole old text or the whole new one."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.close(number)
        Path(name).write_text(text, encoding="utf-8")
        Path(name).chmod(0o644)  # the collector runs as another user
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


COMMAND = Command(
    "serve",
    "keep waiting for all jobs of whole accounts, new ones included, until stopped",
    _arguments,
    _serve,
    "vidpoll serve --store jobs.sqlite3 --metrics /var/lib/node_exporter/vidpoll.prom",
    "Jobs are read from the store: a process that submits with the same store needs no wait of its own. Any number\n"
    "of `vidpoll serve` can share a store: one of them serves each account (or part of a large one). If one is\n"
    "killed, the others take over its jobs within seconds. SIGTERM and Ctrl-C end it: it saves its state, and the\n"
    "others take over at once.",
)
