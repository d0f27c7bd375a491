"""The commands about single jobs: wait, status, submit, download.

Each is thin: the client does the work, what came of it goes to `output`. Nothing waits or talks to a provider here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import vidpoll
from vidpoll.clock import Clock

from . import transcripts
from .bar import Bar
from .context import (
    Arguments,
    Command,
    Context,
    as_json,
    count,
    fields,
    references,
    same_options,
    seconds,
    store,
    store_of,
    where,
    with_fields,
)
from .costs import check_balance, costs, money
from .heartbeat import Heart
from .output import (
    COMPLETED,
    INTERRUPTED,
    NOT_COMPLETED,
    UNKNOWN,
    Output,
    code_of,
    first_that_applies,
    job_object,
    size,
    status_line,
)


def waiting_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=3600.0,
        metavar="S",
        help="stop asking after S seconds (3600; 0 looks once; none waits for as long as it takes)",
    )
    parser.add_argument("--download", metavar="DIR", help="save the video of each job that is completed in DIR")
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
    awaited = context.jobs(args.refs)
    heart = prepared(args, context)
    with context.client([job.account for job in awaited], args, heart) as client:
        return Wait(args, context, client, heart).run(awaited)


def prepared(args: Arguments, context: Context) -> Heart | None:
    """A heartbeat where somebody looks. Raises UsageError for a transcript that cannot be written, before it costs."""
    if args.transcript is not None:
        transcripts.check(args.transcript)
    return Heart(context.clock, context.out) if _shown(args) and context.out.terminal else None


def _shown(args: Arguments) -> bool:
    return not (args.quiet or args.json)


class Wait:
    """One wait for some jobs, shown as it goes."""

    def __init__(self, args: Arguments, context: Context, client: vidpoll.Client, heart: Heart | None = None) -> None:
        self.args = args
        self.out = context.out
        self.clock = context.clock
        self.client = client
        self.heart = heart
        self.displayed = heart is not None and heart.displayed
        self.start = context.clock.time()
        self.stages: dict[str, vidpoll.StageChanged] = {}
        self.crowd: Sequence[vidpoll.Job] = ()
        """All jobs, where they are too many for a line at each step of each."""
        self.summed = self.start
        self.again = "wait"
        """The command that goes on after Ctrl-C."""

    def run(self, awaited: Sequence[vidpoll.Job], wanted: Sequence[vidpoll.WantedFiles] = ()) -> int:
        """Wait for all, and save the files that were asked for, `wanted` earlier or now; the exit code."""
        self.wanted = {job.ref: [each for each in wanted if each.ref == job.ref] for job in awaited}
        if self.args.download is not None:
            for job in awaited:
                self._want(job)
        self.crowd = awaited if len(awaited) > CROWD else ()
        left = {job.ref: job for job in awaited}
        codes = []
        show = self._show if _shown(self.args) and not self.displayed else None
        following = self.client.as_completed(awaited, timeout=self.args.timeout, stop=self.out.gone, on_event=show)
        try:
            for job in following:
                codes.append(self._ended(job))
                del left[job.ref]
        except KeyboardInterrupt:
            self._interrupted(list(left))
            return INTERRUPTED
        finally:
            self._keep(awaited)
        if len(awaited) > 1:
            self._sum(awaited, codes)
        return first_that_applies(codes)

    def _sum(self, awaited: Sequence[vidpoll.Job], codes: Sequence[int]) -> None:
        """The last line: what became of all of them, and the money, which is never summed over two units."""
        spent = costs(awaited)
        if self.args.json:
            counted = {word.replace(" ", "_"): codes.count(code) for code, word in _OUTCOMES.items()}
            self.out.json({"jobs": len(awaited), **counted, "costs": spent})
        elif _shown(self.args):
            said = [f"{codes.count(code)} {word}" for code, word in _OUTCOMES.items() if code in codes]
            self.out.line(f"{self._stamp()}{len(awaited)} jobs: {', '.join(said)}{money(spent)}")

    def _want(self, job: vidpoll.Job) -> None:
        """Note on disk that the video is wanted: `vidpoll resume` fetches it, whatever happens to this process."""
        target = os.path.join(self.args.download, "")  # noqa: PTH118 - a folder
        if store_of(self.args) is not None:
            with contextlib.suppress(vidpoll.StoreError, vidpoll.UsageError):  # warned of; or there is no store
                self.client.store.want(job, target)
        here = str(Path(target).absolute())
        others = [each for each in self.wanted[job.ref] if str(Path(each.target)) != here]
        self.wanted[job.ref] = [vidpoll.WantedFiles(job.ref, target, ("video",)), *others]

    def _keep(self, awaited: Sequence[vidpoll.Job]) -> None:
        """Write the transcript; that it cannot be written changes nothing of what became of the jobs."""
        if self.args.transcript is not None:
            try:
                transcripts.write(self.args.transcript, awaited)
            except vidpoll.VidpollError as error:
                self.out.error(error.message)

    def _show(self, event: vidpoll.Event) -> None:
        """A line for an event; the verdicts are told by `_ended`. A stage's first progress stands in its own line.

        Of many jobs the progress is told in one line for all, now and then.
        """
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
        elif not isinstance(event, (vidpoll.Completed, vidpoll.Failed, vidpoll.GaveUp)):
            self.out.line(f"{self._stamp(event.at)}{event}")

    def _ended(self, job: vidpoll.Job) -> int:
        """Say what became of a job, save its video; the exit code of this job."""
        error, files = job.error, list[Path]()
        if job.ok and not self.args.json:
            stamp = "" if self.args.quiet else self._stamp()
            self.out.line(f"{stamp}{status_line(job, self.clock.time())}")
        for wanted in self.wanted[job.ref]:
            try:
                if job.ok:
                    bar = None if self.displayed else _bar(self.args, self.out, self.clock)
                    files += self.client.download(job, wanted.target, kinds=wanted.kinds, on_progress=bar)
                elif job.final:
                    self._unwant(wanted)
            except vidpoll.ResultMissing as failed:
                self._unwant(wanted)
                error = failed
            except vidpoll.VidpollError as failed:
                error = failed
        if self.args.json:
            self.out.json(job_object(job, error=error, files=files))
        else:
            for path in files:
                self.out.line(f"{'' if self.args.quiet else self._stamp()}{size(path)}")
        if error is None:
            return COMPLETED
        self.out.error(self._advice(job, error))
        return UNKNOWN if code_of(error) == UNKNOWN else NOT_COMPLETED

    def _advice(self, job: vidpoll.Job, error: vidpoll.VidpollError) -> str:
        """The message, with a way out that works here: the options belong to the line that goes on."""
        said = error.message
        if isinstance(error, vidpoll.OutcomeUnknown):
            command = rf"{re.escape(f'vidpoll wait {shlex.quote(job.ref)}')}(?: --base-url \S+)?"
            line = self._line([job.ref])
            said = re.sub(rf"(?:{command}|{re.escape(str(error.resume))})$", lambda _: line, said)
        if self.again == "resume" and isinstance(error, (vidpoll.JobNotFound, vidpoll.NotFound)):
            words = ["vidpoll", "jobs", "--local", "--forget", job.ref, *same_options(self.args, "store")]
            said += f". To leave it out from now on: {shlex.join(words)}"
        return said

    def _unwant(self, wanted: vidpoll.WantedFiles) -> None:
        """They will never be there."""
        if store_of(self.args) is not None:
            with contextlib.suppress(vidpoll.StoreError, vidpoll.UsageError):
                self.client.store.unwant(wanted)

    def _interrupted(self, left: Sequence[str]) -> None:
        self.out.error(f"interrupted; left, and going on at the provider: {', '.join(left)}")
        self.out.error(f"resume: {self._line(left)}")

    def _line(self, left: Sequence[str]) -> str:
        """The command that goes on with these jobs."""
        words = ["vidpoll", "wait", *left, *same_options(self.args, "download", "base_url", "account")]
        if self.again == "resume":
            words = ["vidpoll", "resume", *same_options(self.args, "download")]
        return shlex.join([*words, *same_options(self.args, "store", "no_store")])

    def _stamp(self, at: float | None = None) -> str:
        return f"{max(0.0, (self.clock.time() if at is None else at) - self.start):7.1f} s  "


CROWD = 8
"""Of more jobs than that no line is written for each step of their progress."""

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


LOOK = 60.0
"""Seconds for which `status` asks for answers about all its jobs, and `download` for one about each."""

_OUTCOMES = {COMPLETED: "completed", NOT_COMPLETED: "not completed", UNKNOWN: "unknown"}


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    references(parser)
    store(parser)
    as_json(parser)


def _status(args: Arguments, context: Context) -> int:
    asked = context.jobs(args.refs)
    codes = []
    end = context.clock.monotonic() + LOOK
    with context.client([job.account for job in asked], args) as client:
        for job in asked:
            unknown = _look(client, job, max(0.0, end - context.clock.monotonic()))
            if job.final:
                unknown = None  # a verdict, of whatever kind
            if args.json:
                context.out.json(job_object(job, error=unknown))
            elif unknown is None:
                context.out.line(status_line(job, context.clock.time()))
            if unknown is not None:
                context.out.error(unknown.message)
            codes.append(COMPLETED if job.ok else NOT_COMPLETED if job.final else UNKNOWN)
    return first_that_applies(codes)


def _submit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="ACCOUNT", help="the provider's name, or that of an --account")
    parser.add_argument("kind", metavar="KIND", help="its submit operation, like t2v (`vidpoll providers` lists them)")
    fields(parser, "the provider's own fields")
    parser.add_argument("--count", type=count, default=1, metavar="N", help="start N such jobs (1)")
    parser.add_argument("--force", action="store_true", help="start them although the balance does not pay for all")
    parser.add_argument("--wait", action="store_true", help="then wait for the job, like `vidpoll wait`")
    waiting_options(parser)
    where(parser)
    store(parser)
    as_json(parser)


def _submit(args: Arguments, context: Context) -> int:
    heart = prepared(args, context)
    with context.client([args.name], args, heart) as client:
        if args.count > 1 and not args.force:
            check_balance(client, args.name, args.kind, args.count)
        jobs, code = _submitted(args, context, client)
        if jobs and code != INTERRUPTED and (args.wait or args.download is not None):
            code = first_that_applies([code, Wait(args, context, client, heart).run(jobs)])
        return code


def _submitted(args: Arguments, context: Context, client: vidpoll.Client) -> tuple[list[vidpoll.Job], int]:
    """Submit all, and print each reference as it comes. What ends the batch leaves those that were submitted."""
    jobs: list[vidpoll.Job] = []
    try:
        for _ in range(args.count):
            job = _one(args, context, client)
            jobs.append(job)
            written = context.out.json(job_object(job)) if args.json else context.out.line(job.ref)
            if not written:
                context.out.error(f"submitted: {job.ref}")
    except KeyboardInterrupt:
        look = f"look at `vidpoll jobs {args.name}` or the provider's dashboard"
        if store_of(args) is not None:
            look = f"it is on record, `{_resume(args)}` goes on with it or shows what it may have become: look there"
        context.out.error(f"interrupted; the submit may have been received: {look} before you submit again")
        return jobs, INTERRUPTED
    except vidpoll.VidpollError as error:
        kept = isinstance(error, vidpoll.SubmitUnknown) and store_of(args) is not None
        if not (jobs or kept):
            raise
        record = f". It is on record: `{_resume(args)}` shows what it may have become" if kept else ""
        before = f" ({len(jobs)} of {args.count} were submitted before that)" if jobs else ""
        context.out.error(f"{error.message}{record}{before}")
        return jobs, code_of(error)
    return jobs, COMPLETED


def _resume(args: Arguments) -> str:
    return shlex.join(["vidpoll", "resume", *same_options(args, "store")])


def _one(args: Arguments, context: Context, client: vidpoll.Client) -> vidpoll.Job:
    """Submit once; where the intent cannot be kept nothing was sent, and it is submitted without a store."""
    try:
        return with_fields(partial(client.submit, args.name, args.kind), args.fields)
    except vidpoll.StoreError as error:
        context.out.error(f"warning: {error.message}. Submitting all the same, and nothing is kept")
    args.no_store = True
    with context.client([args.name], args) as other:
        return with_fields(partial(other.submit, args.name, args.kind), args.fields)


def _download_arguments(parser: argparse.ArgumentParser) -> None:
    references(parser)
    parser.add_argument("--to", default=".", metavar="DIR", help="the folder; for one file also its name (default: .)")
    parser.add_argument(
        "--kinds", default="video", help="what to save, with commas: video,thumbnail,last_frame … (default: video)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    parser.add_argument("--max-bytes", type=count, metavar="N", help="save no file of more than N bytes")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=3600.0,
        metavar="S",
        help="stop after S seconds for the files of a job (3600; none for as long as it takes)",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    store(parser)
    as_json(parser)


def _download(args: Arguments, context: Context) -> int:
    wanted = context.jobs(args.refs)
    kinds = [kind.strip() for kind in args.kinds.split(",") if kind.strip()]
    if not kinds:
        raise vidpoll.UsageError("--kinds: name at least one, like --kinds video,thumbnail")
    if len(wanted) > 1 and Path(args.to).suffix and not Path(args.to).is_dir() and not args.to.endswith(("/", os.sep)):
        raise vidpoll.UsageError(f"--to {args.to!r} names one file, and there are {len(wanted)} jobs; name a folder")
    with context.client([job.account for job in wanted], args) as client:
        displayed = _shown(args) and context.out.terminal and client.add_display()
        bar = None if displayed else _bar(args, context.out, context.clock)
        try:
            return first_that_applies([_fetch(client, job, kinds, args, context, bar=bar) for job in wanted])
        except KeyboardInterrupt:
            context.out.error("interrupted; the same command goes on where it stopped")
            return INTERRUPTED


def _fetch(
    client: vidpoll.Client, job: vidpoll.Job, kinds: list[str], args: Arguments, context: Context, *, bar: Bar | None
) -> int:
    files: list[Path] = []
    error = _look(client, job)
    code = COMPLETED if error is None else code_of(error)
    said_completed = job.snapshot is not None and job.snapshot.state is vidpoll.State.COMPLETED  # its files may be late
    if error is None and not (job.final or said_completed):
        code = UNKNOWN
        resume = f"vidpoll wait {shlex.quote(job.ref)} --download {shlex.quote(args.to)}"
        error = vidpoll.DownloadError(f"{status_line(job, 0.0)}: not completed yet; wait for it: {resume}", job=job)
    elif error is None:
        try:
            files = client.download(
                job,
                args.to,
                kinds=kinds,
                overwrite=args.overwrite,
                timeout=args.timeout,
                max_bytes=args.max_bytes,
                on_progress=bar,
            )
        except vidpoll.UsageError:
            raise
        except vidpoll.VidpollError as failed:
            error, code = failed, NOT_COMPLETED
    if args.json:
        context.out.json(job_object(job, error=error, files=files))
    else:
        for path in files:
            context.out.line(size(path))
    if error is not None:
        context.out.error(error.message)
    return code


def _bar(args: Arguments, out: Output, clock: Clock) -> Bar | None:
    return Bar(out, clock) if _shown(args) else None


def _look(client: vidpoll.Client, job: vidpoll.Job, timeout: float = LOOK) -> vidpoll.VidpollError | None:
    """Ask until one answer says something (`wait` a second ago makes the next one a 429); why there is no verdict."""
    for _ in client.watch(job, timeout=timeout, check=False):
        if job.state is not None:
            break
    return job.error


_REF = "magicoal:3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d"

COMMANDS = (
    Command(
        "wait",
        "wait until jobs end, and show what happens",
        _wait_arguments,
        _wait,
        f"vidpoll wait {_REF} token360:vt_5f2c0e9b7a41 --timeout 900 --download clips",
        "All jobs are waited for at once. Ctrl-C stops the waiting, not the jobs: they are kept, and `vidpoll resume`\n"
        "goes on with all of them. Where another process waits for the same job already, nothing is asked twice.",
    ),
    Command(
        "status",
        "ask how jobs are",
        _status_arguments,
        _status,
        f"vidpoll status {_REF} --json",
        "Asks until an answer says something, for at most a minute. Exits with 0 where all are completed, 1 where one\n"
        "is not, 3 where one has no verdict yet.",
    ),
    Command(
        "submit",
        "start a job and print its reference",
        _submit_arguments,
        _submit,
        "vidpoll submit magicoal i2v image=@photo.jpg prompt='the sea begins to move' seed=7 --download clips",
        "A value is JSON where it is some (7, true, [1, 2]) and the provider's plugin takes it as that, else text; in\n"
        "double quotes it is text always: prompt='\"2024\"'. NAME=@FILE takes a text or an image from a file.\n"
        "It is sent once: where no answer comes, the exit code is 3, and nothing is sent again; `vidpoll resume` then\n"
        "shows what it may have become. --count starts several, if `vidpoll quota` says that they can be paid.\n"
        "--download waits, too.",
    ),
    Command(
        "download",
        "save the files of completed jobs",
        _download_arguments,
        _download,
        f"vidpoll download {_REF} --to clips --kinds video,thumbnail",
        "Names are made from the references; a file that is there already is kept. A download that was cut, stopped\n"
        "or killed goes on where it was when it is asked for again; until it is whole it is called NAME.part.",
    ),
)
