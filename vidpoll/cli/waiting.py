"""The command `wait`, and the waiting that `submit --wait` and `resume` share.

The client does the work, and the results go to `output`. This module neither sleeps nor sends requests.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import vidpoll

from ..folder_check import check_folder
from . import transcripts
from .again import advised, again, fetching
from .bar import Bar
from .context import Arguments, Command, Context, as_json, count, references, seconds, store, store_of
from .costs import costs, money
from .deadline import Deadline
from .heartbeat import Heart
from .job_keys import key_words, keys_of
from .output import (
    COMPLETED,
    INTERRUPTED,
    NOT_COMPLETED,
    UNKNOWN,
    Output,
    code_of,
    first_that_applies,
    iso,
    job_object,
    size,
    status_line,
)

VIDEO = ("video",)
"""The kinds of files that are saved, unless a job makes none of these or `--kinds` says otherwise."""

PARALLEL = 4
"""Number of jobs whose files are downloaded at once."""


def kinds(text: str) -> tuple[str, ...]:
    """For --kinds: words with commas."""
    found = tuple(filter(None, map(str.strip, text.split(","))))
    if not found:
        raise argparse.ArgumentTypeError("name at least one, like video,thumbnail")
    return found


def kinds_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kinds",
        type=kinds,
        metavar="KIND,KIND",
        help="kinds of files to save: video,thumbnail,last_frame,audio … (default: the video; if a job makes none, "
        "all its files)",
    )


def made(job: vidpoll.Job) -> tuple[str, ...]:
    """The kinds saved by default: the video, or all kinds of a completed job that makes no video."""
    there = tuple(dict.fromkeys(asset.kind for asset in job.assets))
    due = job.snapshot is None or job.snapshot.assets_due
    return VIDEO if due or "video" in there or not there else there


def waiting_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=3600.0,
        metavar="S",
        help="stop after S seconds in all, downloads included (3600); 'none' waits until everything is done; 0 polls "
        "once, and saves the files that are ready",
    )
    parser.add_argument("--download", metavar="DIR", help="save the files of each completed job in DIR")
    kinds_option(parser)
    parser.add_argument(
        "--parallel",
        type=count,
        metavar="N",
        help=f"download the files of N jobs at once ({PARALLEL}); the other jobs are polled meanwhile",
    )
    parser.add_argument("--quiet", action="store_true", help="print only the outcome of each job")
    parser.add_argument(
        "--transcript", metavar="FILE", help="write the last responses to FILE, without secrets, for a bug report"
    )


def _wait_arguments(parser: argparse.ArgumentParser) -> None:
    references(parser)
    waiting_options(parser)
    store(parser)
    as_json(parser)


def _wait(args: Arguments, context: Context) -> int:
    deadline = Deadline(context.clock, args.timeout)
    heart = prepared(args, context)
    awaited = context.jobs(args.refs)
    with context.client([job.account for job in awaited], args, heart) as client:
        return Wait(args, context, client, deadline, heart).run(awaited)


def prepared(args: Arguments, context: Context) -> Heart | None:
    """Check the options; return a heartbeat if the output is a terminal. Raises UsageError, before anything costs."""
    for option, what in (("kinds", "what --download saves"), ("parallel", "how many jobs --download saves at once")):
        if getattr(args, option) is not None and args.download is None:
            raise vidpoll.UsageError(f"--{option} says {what}: add --download DIR")
    if args.download is not None:
        check_folder(args.download, "--download")
    if args.transcript is not None:
        transcripts.check(args.transcript)
    return Heart(context.clock, context.out) if shown(args) and context.out.terminal else None


def shown(args: Arguments) -> bool:
    return not (args.quiet or args.json)


def keep_transcript(args: Arguments, awaited: Sequence[vidpoll.Job], out: Output) -> None:
    """Write the transcript; if that fails, print an error, and leave the exit code to the jobs."""
    if args.transcript is not None:
        try:
            transcripts.write(args.transcript, awaited)
        except vidpoll.VidpollError as error:
            out.error(error.message)


class Stop(Protocol):
    """Ends a wait from outside, like a threading.Event."""

    def is_set(self) -> bool: ...


class Wait:
    """One wait for some jobs, with its output."""

    def __init__(
        self,
        args: Arguments,
        context: Context,
        client: vidpoll.Client,
        deadline: Deadline,
        heart: Heart | None = None,
        *,
        command: str = "wait",
        stop: Stop | None = None,
        transcribes: bool = True,
        polled: Collection[str] = (),
    ) -> None:
        self.args = args
        self.out = context.out
        self.clock = context.clock
        self.client = client
        self.deadline = deadline
        self.heart = heart
        self.command = command
        """The command that continues the wait after Ctrl-C."""
        self.stop = stop or context.out.gone
        self.transcribes = transcribes
        self.polled = polled
        """The references of jobs that this command has just polled."""
        self.displayed = heart is not None and heart.displayed
        self.start = context.clock.time()
        self.stages: dict[str, vidpoll.StageChanged] = {}
        self.crowd: Sequence[vidpoll.Job] = ()
        """All jobs if they are too many for a line at each progress step, else empty."""
        self.summed = self.start
        self.bar = Bar(self.out, self.clock, self._say)
        self.wanted: dict[str, list[vidpoll.WantedFiles]] = {}
        self.jobs: dict[str, vidpoll.Job] = {}
        self.told: set[str] = set()
        """The references of jobs whose completion was printed."""
        self.kept: dict[str, float] = {}
        """By reference: when a verdict was kept that needs no poll, in Unix seconds."""

    def run(self, awaited: Sequence[vidpoll.Job], wanted: Sequence[vidpoll.WantedFiles] = ()) -> int:
        """Wait for all jobs, save the files requested now or earlier (`wanted`), and return the exit code."""
        self.wanted = self._wanted(awaited, wanted)
        self.jobs = {job.ref: job for job in awaited}
        self.crowd = awaited if len(awaited) > CROWD else ()
        self._note_kept(awaited)
        left = {job.ref: job for job in awaited}
        codes = []
        following = self.client.as_completed(
            awaited,
            timeout=self.deadline.left,
            stop=self.stop,  # type: ignore[arg-type]  # an event, or several in one
            on_event=None if self.args.json else self._hear,
            download=[each for wanted_of_job in self.wanted.values() for each in wanted_of_job],
            kinds=self.args.kinds,
            parallel=self.args.parallel or PARALLEL,
        )
        try:
            for job in following:
                codes.append(self._ended(job))
                del left[job.ref]
        except KeyboardInterrupt:
            self._interrupted(list(left.values()))
            return INTERRUPTED
        finally:
            if self.transcribes:
                keep_transcript(self.args, awaited, self.out)
        if len(awaited) > 1:
            self._sum(awaited, codes)
        return first_that_applies(codes)

    def _note_kept(self, awaited: Sequence[vidpoll.Job]) -> None:
        if store_of(self.args) is None:
            return
        with contextlib.suppress(vidpoll.StoreError, vidpoll.UsageError):  # a warning was printed, or there is no store
            for job in awaited:
                row = None if job.ref in self.polled else self.client.store.get(job)
                if row is not None and row.ended_at is not None:
                    self.kept[job.ref] = row.ended_at

    def _sum(self, awaited: Sequence[vidpoll.Job], codes: Sequence[int]) -> None:
        """Print the last line: the outcomes of all jobs, and the cost in each unit."""
        spent = costs(awaited)
        if self.args.json:
            counted = {word.replace(" ", "_"): codes.count(code) for code, word in OUTCOMES.items()}
            self.out.json({"jobs": len(awaited), **counted, "costs": spent})
        elif shown(self.args):
            unsaved = sum(job.ok for job in awaited) - codes.count(COMPLETED)
            found = {code: codes.count(code) for code in OUTCOMES}
            found[COMPLETED] += unsaved
            found[NOT_COMPLETED] = max(0, found[NOT_COMPLETED] - unsaved)
            said = [f"{number} {OUTCOMES[code]}" for code, number in found.items() if number]
            said += [f"files of {unsaved} not saved"] if unsaved > 0 else []
            self.out.line(f"{self._stamp()}{len(awaited)} jobs: {', '.join(said)}{money(spent)}")

    def _wanted(
        self, awaited: Sequence[vidpoll.Job], earlier: Sequence[vidpoll.WantedFiles]
    ) -> dict[str, list[vidpoll.WantedFiles]]:
        """The files to save of each job: those requested now, then those of `earlier`."""
        found: dict[str, list[vidpoll.WantedFiles]] = {job.ref: [] for job in awaited}
        here = None
        if self.args.download is not None:
            target = os.path.join(os.path.expanduser(self.args.download), "")  # noqa: PTH111, PTH118 - a folder
            here = Path(target).absolute()
            for ref, files in found.items():
                files.append(vidpoll.WantedFiles(ref, target, self.args.kinds or VIDEO))
        for each in earlier:
            if each.ref in found and Path(each.target) != here:
                found[each.ref].append(each)
        return found

    def _hear(self, event: vidpoll.Event) -> None:
        """Print a job's completion before its files are downloaded, and progress unless a display shows it."""
        if isinstance(event, vidpoll.Completed):
            self._tell_completed(self.jobs[event.ref])
        elif shown(self.args) and not self.displayed:
            self._show(event)

    def _tell_completed(self, job: vidpoll.Job) -> None:
        """Print a job's completion, once."""
        if job.ref not in self.told:
            self.told.add(job.ref)
            stamp = "" if self.args.quiet else self._stamp()
            self.out.line(f"{stamp}{status_line(job, self.clock.time())}{self._as_kept(job)}")

    def _show(self, event: vidpoll.Event) -> None:
        """Print a line for an event; `_ended` prints the verdicts. A stage's first progress is part of its own line.

        For many jobs, one line now and then sums up the progress of all.
        """
        if isinstance(event, vidpoll.DownloadProgress):
            self.bar(event)
            return
        if self.crowd and event.at - self.summed >= SUMMED:
            self.summed = event.at
            self.out.line(f"{self._stamp(event.at)}{_summary(self.crowd)}")
        if self.crowd and isinstance(event, vidpoll.ProgressChanged):
            return
        if self.heart is not None:
            self.heart.said()
        if isinstance(event, vidpoll.StageChanged):
            self.stages[event.ref] = event
            progress = "" if event.progress is None else f" {event.progress:.0f} %"
            self.out.line(f"{self._stamp(event.at)}{str(event).removesuffix(progress)}{progress}")
        elif isinstance(event, vidpoll.ProgressChanged):
            stage = self.stages.get(event.ref)
            if stage is None or (stage.at, stage.progress) != (event.at, event.progress):
                self.out.line(f"{self._stamp(event.at)}{event}")
        elif not isinstance(event, (vidpoll.Failed, vidpoll.GaveUp, vidpoll.Downloaded)):
            self.out.line(f"{self._stamp(event.at)}{event}")

    def _ended(self, job: vidpoll.Job) -> int:
        """Print the outcome of a job and of its files; return its exit code."""
        error = job.error
        said = "" if error is None else advised(error, self.args, self._line([job.ref]))
        self.bar.over(job.ref)
        if job.ok and not self.args.json:
            self._tell_completed(job)
        if job.download_error is not None:
            error = job.download_error
            said = fetching(error, self.args, self._fetch_line(job, error))
        if self.args.json:
            self.out.json(job_object(job, error=error, files=job.paths))
        else:
            for path in job.paths:
                self.out.line(f"{'' if self.args.quiet else self._stamp()}{size(path)}")
        if error is None:
            return COMPLETED
        forget = self.command == "resume" and isinstance(error, (vidpoll.JobNotFound, vidpoll.NotFound))
        self.out.error(f"{said}{self._as_kept(job)}{self._leaving_out(job) if forget else ''}")
        return UNKNOWN if code_of(error) == UNKNOWN else NOT_COMPLETED

    def _leaving_out(self, job: vidpoll.Job) -> str:
        """How to forget a job that the provider does not know, and what that does to its keys."""
        line, keys = again(self.args, "jobs --local", forget=job.ref), keys_of(self.client, job)
        if not keys:
            return f". To leave this job out from now on: {line}"
        other = again(self.args, "resume", adopt=f"{job.account}:ID", key=job.key or keys[0])
        return (
            f". If the wrong job was adopted, adopt the right one: {other}. To leave this job out from now on, which "
            f"frees its {key_words(keys)} to buy again: {line}"
        )

    def _as_kept(self, job: vidpoll.Job) -> str:
        """The note on a kept verdict."""
        at = self.kept.get(job.ref)
        if at is None or not job.final:
            return ""
        return f" (as kept on {iso(at)}; to poll again: {again(self.args, 'status', job.ref)})"

    def _fetch_line(self, job: vidpoll.Job, error: vidpoll.VidpollError) -> str:
        """The command that saves the files later: the wanted ones, or if those are missing, the existing ones."""
        wanted = self._left(job)
        there = ",".join(dict.fromkeys(asset.kind for asset in job.assets))
        missing = isinstance(error, vidpoll.ResultMissing)
        named = there if missing else ",".join(wanted.kinds) if wanted.kinds != VIDEO else None
        return again(self.args, "download", job.ref, to=wanted.target, kinds=named)

    def _left(self, job: vidpoll.Job) -> vidpoll.WantedFiles:
        """The files of a job that were not saved; if several were wanted, the store says which."""
        wanted = self.wanted[job.ref]
        if len(wanted) > 1:
            left = {(Path(each.target), each.kinds) for each in self.client.store.wanted() if each.ref == job.ref}
            wanted = [each for each in wanted if (Path(each.target).absolute(), each.kinds) in left] or wanted
        return wanted[0]

    def _say(self, text: str) -> None:
        self.out.line(f"{self._stamp()}{text}")

    def _interrupted(self, left: Sequence[vidpoll.Job]) -> None:
        unsaved = [job.ref for job in left if job.ok and self.wanted[job.ref]]
        going = [job.ref for job in left if job.ref not in unsaved]
        said = [f"continuing at the provider: {', '.join(going)}"] if going else []
        said += [f"completed but not saved yet: {', '.join(unsaved)}"] if unsaved else []
        self.out.error(f"interrupted; {'; '.join(said)}")
        self.out.error(f"resume: {self._line([job.ref for job in left])}")

    def _line(self, left: Sequence[str]) -> str:
        """The command that continues to wait for these jobs."""
        chosen = None if self.args.kinds is None else ",".join(self.args.kinds)
        refs = left if self.command == "wait" else ()
        return again(self.args, self.command, *refs, download=self.args.download, kinds=chosen)

    def _stamp(self, at: float | None = None) -> str:
        return f"{max(0.0, (self.clock.time() if at is None else at) - self.start):7.1f} s  "


CROWD = 8
"""With more jobs than this, no line is printed for each step of their progress."""

OUTCOMES = {COMPLETED: "completed", NOT_COMPLETED: "not completed", UNKNOWN: "unknown"}

SUMMED = 15.0
"""Seconds between two lines that sum up many jobs."""


def _summary(jobs: Sequence[vidpoll.Job]) -> str:
    """The number of jobs in each stage, largest first: "40 jobs: 20 drawing 35 to 80 %, 12 done, 8 queued"."""
    places: dict[str, list[vidpoll.Job]] = {}
    for job in jobs:
        places.setdefault(str(job.stage or job.state or "not polled yet"), []).append(job)
    said = []
    for place, here in sorted(places.items(), key=lambda each: -len(each[1])):
        shown = [job.progress for job in here if job.progress is not None and not job.final]
        span = f" {min(shown):.0f} to {max(shown):.0f} %" if shown else ""
        said.append(f"{len(here)} {place}{span}")
    return f"{len(jobs)} jobs: {', '.join(said)}"


REF = "magicoal:3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d"

WAIT = Command(
    "wait",
    "wait until jobs end, show their progress, and save their files with --download",
    _wait_arguments,
    _wait,
    f"vidpoll wait {REF} token360:vt_5f2c0e9b7a41 --timeout 900 --download clips",
    "Waits for all jobs at once. Ctrl-C stops the waiting, not the jobs: they are kept, and `vidpoll resume` waits\n"
    "for all of them again. If another process already polls a job, this one follows it and sends no requests.\n"
    "If a job's final state is already kept here, that is shown without polling; `vidpoll status` polls again.",
)
