"""The command `wait`, and what waiting is wherever a command does it (`submit --wait`, `resume`).

The client does the work, what came of it goes to `output`. Nothing waits or talks to a provider here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import vidpoll

from . import transcripts
from .again import advised, again, fetching
from .bar import Bar
from .context import Arguments, Command, Context, as_json, count, references, seconds, store, store_of
from .costs import costs, money
from .deadline import Deadline
from .heartbeat import Heart
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
"""What is saved of a job, unless it makes none, or `--kinds` says otherwise."""

PARALLEL = 4
"""Of so many jobs the files come at once."""


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
        help="what to save: video,thumbnail,last_frame,audio … (default: the video, or what a job makes instead)",
    )


def made(job: vidpoll.Job) -> tuple[str, ...]:
    """What is saved where nobody said it: the video, or all that a completed job has that makes none."""
    there = tuple(dict.fromkeys(asset.kind for asset in job.assets))
    due = job.snapshot is None or job.snapshot.assets_due
    return VIDEO if due or "video" in there or not there else there


def waiting_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=3600.0,
        metavar="S",
        help="stop after S seconds, for asking and for files together (3600; none: when all is done; 0 looks once, "
        "and saves what is there)",
    )
    parser.add_argument("--download", metavar="DIR", help="save what each job that is completed has made in DIR")
    kinds_option(parser)
    parser.add_argument(
        "--parallel",
        type=count,
        metavar="N",
        help=f"save the files of N jobs at once ({PARALLEL}); the other jobs are asked about meanwhile",
    )
    parser.add_argument("--quiet", action="store_true", help="only say what became of each job")
    parser.add_argument(
        "--transcript", metavar="FILE", help="write the last answers there, without secrets, for a bug report"
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
    """A heartbeat where somebody looks. Raises UsageError for what would be in vain, before it costs."""
    for option, what in (("kinds", "what --download saves"), ("parallel", "of how many jobs --download saves at once")):
        if getattr(args, option) is not None and args.download is None:
            raise vidpoll.UsageError(f"--{option} says {what}: add --download DIR")
    if args.download is not None:
        check_folder(args.download)
    if args.transcript is not None:
        transcripts.check(args.transcript)
    return Heart(context.clock, context.out) if shown(args) and context.out.terminal else None


def check_folder(target: str, option: str = "--download") -> None:
    """Raise UsageError where nothing can be saved in a folder; it may have to be made, and is not made here."""
    try:
        folder = Path(target).expanduser().absolute()
        while not _is_there(folder):
            folder = folder.parent
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, ValueError, RuntimeError) as error:  # no such user, or no path of this system
        why = getattr(error, "strerror", None) or error
        raise vidpoll.UsageError(f"{option}: nothing can be saved in {target!r}: {why}; name another folder") from None


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def shown(args: Arguments) -> bool:
    return not (args.quiet or args.json)


def keep_transcript(args: Arguments, awaited: Sequence[vidpoll.Job], out: Output) -> None:
    """Write the transcript; that it cannot be written changes nothing of what became of the jobs."""
    if args.transcript is not None:
        try:
            transcripts.write(args.transcript, awaited)
        except vidpoll.VidpollError as error:
            out.error(error.message)


class Stop(Protocol):
    """What ends a wait from outside, like a threading.Event."""

    def is_set(self) -> bool: ...


class Wait:
    """One wait for some jobs, shown as it goes."""

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
    ) -> None:
        self.args = args
        self.out = context.out
        self.clock = context.clock
        self.client = client
        self.deadline = deadline
        self.heart = heart
        self.command = command
        """The command that goes on after Ctrl-C."""
        self.stop = stop or context.out.gone
        self.transcribes = transcribes
        self.displayed = heart is not None and heart.displayed
        self.start = context.clock.time()
        self.stages: dict[str, vidpoll.StageChanged] = {}
        self.crowd: Sequence[vidpoll.Job] = ()
        """All jobs, where they are too many for a line at each step of each."""
        self.summed = self.start
        self.bar = Bar(self.out, self.clock, self._say)
        self.wanted: dict[str, list[vidpoll.WantedFiles]] = {}
        self.jobs: dict[str, vidpoll.Job] = {}
        self.told: set[str] = set()
        """The completed jobs of which that was said."""
        self.kept: dict[str, float] = {}
        """When the verdicts were kept that are known without a question, by reference."""

    def run(self, awaited: Sequence[vidpoll.Job], wanted: Sequence[vidpoll.WantedFiles] = ()) -> int:
        """Wait for all, and save the files that were asked for, `wanted` earlier or now; the exit code."""
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
        with contextlib.suppress(vidpoll.StoreError, vidpoll.UsageError):  # warned of; or there is no store
            for job in awaited:
                row = self.client.store.get(job)
                if row is not None and row.ended_at is not None:
                    self.kept[job.ref] = row.ended_at

    def _sum(self, awaited: Sequence[vidpoll.Job], codes: Sequence[int]) -> None:
        """The last line: what became of all of them, and the money, which is never summed over two units."""
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
        """What is to be saved of each job: what was wanted `earlier`, after what is now."""
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
        """Tell that a job is completed before its files come, and what passes where nothing else shows that."""
        if isinstance(event, vidpoll.Completed):
            self._tell_completed(self.jobs[event.ref])
        elif shown(self.args) and not self.displayed:
            self._show(event)

    def _tell_completed(self, job: vidpoll.Job) -> None:
        """Once."""
        if job.ref not in self.told:
            self.told.add(job.ref)
            stamp = "" if self.args.quiet else self._stamp()
            self.out.line(f"{stamp}{status_line(job, self.clock.time())}{self._as_kept(job)}")

    def _show(self, event: vidpoll.Event) -> None:
        """A line for an event; the verdicts are told by `_ended`. A stage's first progress stands in its own line.

        Of many jobs the progress is told in one line for all, now and then.
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
        """Say what became of a job and of its files; the exit code of this job."""
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
        line = again(self.args, "jobs --local", forget=job.ref)
        self.out.error(f"{said}{self._as_kept(job)}{f'. To leave it out from now on: {line}' if forget else ''}")
        return UNKNOWN if code_of(error) == UNKNOWN else NOT_COMPLETED

    def _as_kept(self, job: vidpoll.Job) -> str:
        """What is added to a verdict that is not today's."""
        at = self.kept.get(job.ref)
        if at is None or not job.final:
            return ""
        return f" (as kept on {iso(at)}; to ask again: {again(self.args, 'status', job.ref)})"

    def _fetch_line(self, job: vidpoll.Job, error: vidpoll.VidpollError) -> str:
        """The command that saves the files after all: those that were wanted, or those that there are."""
        wanted = self._left(job)
        there = ",".join(dict.fromkeys(asset.kind for asset in job.assets))
        missing = isinstance(error, vidpoll.ResultMissing)
        named = there if missing else ",".join(wanted.kinds) if wanted.kinds != VIDEO else None
        return again(self.args, "download", job.ref, to=wanted.target, kinds=named)

    def _left(self, job: vidpoll.Job) -> vidpoll.WantedFiles:
        """Those of a job that were not saved; the store tells, where there are several."""
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
        said = [f"left, and going on at the provider: {', '.join(going)}"] if going else []
        said += [f"completed, and not saved yet: {', '.join(unsaved)}"] if unsaved else []
        self.out.error(f"interrupted; {'; '.join(said)}")
        self.out.error(f"resume: {self._line([job.ref for job in left])}")

    def _line(self, left: Sequence[str]) -> str:
        """The command that goes on with these jobs."""
        chosen = None if self.args.kinds is None else ",".join(self.args.kinds)
        refs = left if self.command == "wait" else ()
        return again(self.args, self.command, *refs, download=self.args.download, kinds=chosen)

    def _stamp(self, at: float | None = None) -> str:
        return f"{max(0.0, (self.clock.time() if at is None else at) - self.start):7.1f} s  "


CROWD = 8
"""Of more jobs than that no line is written for each step of their progress."""

OUTCOMES = {COMPLETED: "completed", NOT_COMPLETED: "not completed", UNKNOWN: "unknown"}

SUMMED = 15.0
"""Seconds between two lines that say how all of them are."""


def _summary(jobs: Sequence[vidpoll.Job]) -> str:
    """How many jobs are where, the most frequent word first: "40 jobs: 20 drawing 35 to 80 %, 12 done, 8 queued"."""
    places: dict[str, list[vidpoll.Job]] = {}
    for job in jobs:
        places.setdefault(str(job.stage or job.state or "not asked yet"), []).append(job)
    said = []
    for place, here in sorted(places.items(), key=lambda each: -len(each[1])):
        shown = [job.progress for job in here if job.progress is not None and not job.final]
        span = f" {min(shown):.0f} to {max(shown):.0f} %" if shown else ""
        said.append(f"{len(here)} {place}{span}")
    return f"{len(jobs)} jobs: {', '.join(said)}"


REF = "magicoal:3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d"

WAIT = Command(
    "wait",
    "wait until jobs end, and show what happens",
    _wait_arguments,
    _wait,
    f"vidpoll wait {REF} token360:vt_5f2c0e9b7a41 --timeout 900 --download clips",
    "All jobs are waited for at once. Ctrl-C stops the waiting, not the jobs: they are kept, and `vidpoll resume`\n"
    "goes on with all of them. Where another process waits for the same job already, nothing is asked twice.\n"
    "A verdict that is kept is told as kept; `vidpoll status` asks again.",
)
