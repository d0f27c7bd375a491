"""The command `download`: saves the files of completed jobs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import vidpoll

from .again import advised, again, fetching
from .bar import Bar
from .context import Arguments, Command, Context, as_json, count, reads, references, seconds, store
from .deadline import Deadline
from .output import (
    COMPLETED,
    INTERRUPTED,
    NOT_COMPLETED,
    UNKNOWN,
    code_of,
    first_that_applies,
    job_object,
    size,
    status_line,
)
from .status import LOOK, look
from .waiting import REF, kinds_option, made, shown


def _download_arguments(parser: argparse.ArgumentParser) -> None:
    references(parser)
    parser.add_argument("--to", default=".", metavar="DIR", help="the folder, or the name of one file (default: .)")
    kinds_option(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--max-bytes", type=count, metavar="N", help="save no file of more than N bytes")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=3600.0,
        metavar="S",
        help="stop after S seconds for all files together (3600); 'none' takes as long as needed",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    store(parser)
    as_json(parser)


def _download(args: Arguments, context: Context) -> int:
    deadline = Deadline(context.clock, args.timeout)
    wanted = context.jobs(args.refs)
    to = Path(os.path.expanduser(args.to))  # noqa: PTH111 - it never raises
    if len(wanted) > 1 and to.suffix and not to.is_dir() and not args.to.endswith(("/", os.sep)):
        raise vidpoll.UsageError(f"--to {args.to!r} names one file, but there are {len(wanted)} jobs: name a folder")
    with context.client([job.account for job in wanted], args, keep=reads(args)) as client:
        displayed = shown(args) and context.out.terminal and client.add_display()
        bar = Bar(context.out, context.clock, context.out.error) if shown(args) and not displayed else None
        try:
            return first_that_applies([_fetch(client, job, deadline, args, context, bar=bar) for job in wanted])
        except KeyboardInterrupt:
            line = _line(args, [job.ref for job in wanted])
            context.out.error(f"interrupted; to continue where it stopped: {line}")
            return INTERRUPTED


def _line(args: Arguments, refs: list[str], **changes: str) -> str:
    """The command that downloads the same files."""
    chosen = None if args.kinds is None else ",".join(args.kinds)
    most = None if args.max_bytes is None else str(args.max_bytes)
    own: dict[str, str | bool | None] = {"to": args.to, "kinds": chosen, "overwrite": args.overwrite, "max_bytes": most}
    return again(args, "download", *refs, **{**own, **changes})


def _fetch(
    client: vidpoll.Client, job: vidpoll.Job, deadline: Deadline, args: Arguments, context: Context, *, bar: Bar | None
) -> int:
    files: list[Path] = []
    left = deadline.left
    no_news = context.out.error if shown(args) else None
    error = look(client, job, LOOK if left is None else min(LOOK, left), no_news)
    code = COMPLETED if error is None else code_of(error)
    said = "" if error is None else advised(error, args)
    said_completed = job.snapshot is not None and job.snapshot.state is vidpoll.State.COMPLETED  # its files may be late
    if error is None and not (job.final or said_completed):
        code = UNKNOWN
        error = vidpoll.DownloadError(f"{status_line(job, 0.0)}: not completed yet", job=job)
        chosen = None if args.kinds is None else ",".join(args.kinds)
        said = f"{error.message}; wait for it: {again(args, 'wait', job.ref, download=args.to, kinds=chosen)}"
    elif error is None:
        try:
            files = client.download(
                job,
                args.to,
                kinds=args.kinds or made(job),
                overwrite=args.overwrite,
                timeout=deadline.left,
                max_bytes=args.max_bytes,
                on_progress=bar,
            )
        except vidpoll.UsageError:
            raise
        except vidpoll.VidpollError as failed:
            there = ",".join(dict.fromkeys(asset.kind for asset in job.assets))
            changes = {"kinds": there} if isinstance(failed, vidpoll.ResultMissing) else {}
            error, code = failed, NOT_COMPLETED
            said = fetching(failed, args, _line(args, [job.ref], **changes))
    if bar is not None:
        bar.over(job.ref)
    if args.json:
        context.out.json(job_object(job, error=error, files=files))
    else:
        for path in files:
            context.out.line(size(path))
    if error is not None:
        context.out.error(said)
    return code


DOWNLOAD = Command(
    "download",
    "save the files of completed jobs",
    _download_arguments,
    _download,
    f"vidpoll download {REF} --to clips --kinds video,thumbnail",
    "Each file is named after its job's reference; an existing file is kept. If a download is cut, stopped or killed,\n"
    "run the same command again to continue where it stopped. An incomplete file is called NAME.part.",
)
