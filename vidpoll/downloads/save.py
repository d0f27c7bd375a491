"""Saves assets as files. A file gets its final name only when it is whole and of the promised kind.

This module chooses the assets and their names, and checks the result. `fetcher` fetches the bytes, `part_file` handles
the file on the disk, `identity` decides whether an existing file is the wanted one. A download never changes a job.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import (
    DownloadChanged,
    DownloadError,
    DownloadTooLarge,
    DownloadTruncated,
    NotAVideo,
    ResultMissing,
    UsageError,
)
from ..events import Downloaded
from ..job import Job
from ..model import Asset
from ..net.protocol import Sink
from . import kinds
from .body_reader import RangeMismatch
from .fetcher import NOWHERE, DownloadContext, Fetcher, Wanted
from .identity import is_own, mark
from .part_file import PartFile, is_empty
from .ranges import Body
from .stream import RemoteFile

MANY = 99
"""The highest number that is tried in a name, if the names before it belong to other jobs."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file goes. `made`: vidpoll chose the name, and adds the suffix at the end; else the user chose it."""

    path: Path
    made: bool = False

    def tries(self) -> Iterator[Path]:
        """The names to try. A made name has further ones, in case a file of another job has the first."""
        yield self.path
        if self.made:
            yield from (self.path.with_name(f"{self.path.name}~{number}") for number in range(2, MANY + 1))

    def there(self, base: Path) -> list[Path]:
        """The existing paths of a name, with any suffix, including links to anything. Empty files do not count."""
        return [path for path in self._finals(base) if os.path.lexists(path) and not is_empty(path)]

    def reserved(self, base: Path) -> list[Path]:
        """The names that are reserved by an empty file."""
        return list(filter(is_empty, self._finals(base)))

    def _finals(self, base: Path) -> list[Path]:
        return [base.with_name(base.name + suffix) for suffix in kinds.SUFFIXES] if self.made else [base]


@dataclass(frozen=True, slots=True)
class Stem:
    """A target that is the name of the files without a suffix; each file gets the suffix of its content."""

    path: Path


def fetch(
    context: DownloadContext,
    target: str | Path | Stem,
    kinds: Sequence[str] | None,
    *,
    overwrite: bool,
    max_bytes: int | None,
) -> list[Path]:
    """Save the files of these kinds in the folder `target`, as the file `target`, or as a `Stem`; see `download`."""
    files = choose(context.job, kinds, content=context.account.provider.content is not None)
    found = list(zip(files, places(context.job, files, target), strict=True))
    return [save(context, wanted, place, overwrite=overwrite, max_bytes=max_bytes) for wanted, place in found]


def stream(context: DownloadContext, asset: Asset | None) -> io.BufferedReader:
    """An asset as a seekable stream, or the video if `asset` is None; see `Client.open`."""
    if asset is None:
        wanted = choose(context.job, ("video",), content=context.account.provider.content is not None)[0]
    else:
        same = [other for other in context.job.assets if other.kind == asset.kind]
        wanted = Wanted(asset.kind, same.index(asset) + 1 if asset in same else NOWHERE, asset)
    return io.BufferedReader(RemoteFile(Fetcher(context, wanted)), 64 * 1024)


def choose(job: Job, kinds: Sequence[str] | None, *, content: bool) -> list[Wanted]:
    """The job's files of these kinds, in the job's order. Raises ResultMissing for a kind without files.

    `kinds=None` chooses the videos, or all files of a job that makes no videos. `content`: the provider has a content
    operation, which may fetch a video that must exist but has no URL.
    """
    if isinstance(kinds, str) or (kinds is not None and not kinds):
        raise UsageError(f"kinds must be a sequence of kinds, like kinds=('video', 'thumbnail'), got {kinds!r}")
    found = [
        Wanted(asset.kind, sum(other.kind == asset.kind for other in job.assets[:place]) + 1, asset)
        for place, asset in enumerate(job.assets)
    ]
    due = job.snapshot is None or job.snapshot.assets_due
    if content and due and not any(wanted.kind == "video" for wanted in found):
        found.append(Wanted("video", 1, None))
    there = {wanted.kind for wanted in found}
    if kinds is None:
        kinds = ("video",) if due or "video" in there or not there else tuple(there)
    missing = [kind for kind in kinds if kind not in there]
    if missing:
        had = ", ".join(sorted(there)) or "no files at all"
        why = f" ({job.problem})" if job.problem else ""
        raise ResultMissing(f"{job.ref} has no {' and no '.join(missing)}{why}; it has: {had}", job=job)
    return [wanted for wanted in found if wanted.kind in kinds]


def places(job: Job, files: Sequence[Wanted], target: str | Path | Stem) -> list[Place]:
    """Where each file goes: `target` itself if it names a file, else a name in the folder `target`.

    `target` names a file if it has a suffix and is not a folder; then only one file may be saved. A name in a folder is
    made from the reference. A "~" at the start of `target` is the user's home.
    """
    if isinstance(target, Stem):
        numbers = ["" if number == 1 else f"-{number}" for number in range(1, len(files) + 1)]
        return [Place(target.path.with_name(target.path.name + number), made=True) for number in numbers]
    try:
        given = Path(target).expanduser()
        sound = b"\0" not in os.fsencode(given)
    except UnicodeError:
        sound = False
    except RuntimeError as error:
        raise UsageError(f"target={str(target)!r}: {error} Write the path without ~") from None
    if not sound:
        raise UsageError(f"target must be a path that this system can have, got {str(target)!r}")
    if given.suffix and not _is_folder(given) and not str(target).endswith(("/", "\\")):
        if len(files) > 1:
            raise UsageError(f"{str(target)!r} names one file, but the job has {len(files)} to fetch; name a folder")
        return [Place(given)]
    return [Place(given / _name(job, wanted), made=True) for wanted in files]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # for example too long: writing to it will raise the error
        return False


def _name(job: Job, wanted: Wanted) -> str:
    """A name that is safe on Linux, macOS and Windows, from the reference alone, with a hash against collisions."""
    account, safe = (re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:48] for text in (job.account, job.id))
    digest = hashlib.sha256(job.ref.encode()).hexdigest()[:8]
    kind = re.sub(r"[^a-z0-9_]+", "-", wanted.kind.lower())[:24]
    number = str(wanted.number) if wanted.number > 1 else ""
    return "-".join(filter(None, (account, safe, digest, kind, number)))


def save(context: DownloadContext, wanted: Wanted, place: Place, *, overwrite: bool, max_bytes: int | None) -> Path:
    """Fetch one file to its place; keep an existing one that is known to be this job's, unless `overwrite`.

    Raises DownloadError, ResultMissing. Whatever happens, only a whole file gets the name; a part that can be resumed
    stays beside it.
    """
    job = context.job
    pull = Fetcher(context, wanted, place.path.parent if place.made else place.path)
    source = pull.source
    base = place.path
    try:
        for base in _tries(context, place):
            part = PartFile(base, max_bytes=max_bytes)
            there = [] if overwrite else place.there(base)
            if (kept := _kept(pull, there, source)) is not None:
                part.tidy()
                return kept
            if not there and (path := _saved(pull, part, place, source, overwrite=overwrite)) is not None:
                return path
            if not place.made:
                raise _taken(job, base)
        raise _taken(job, base)
    except BlockingIOError:
        raise DownloadError(
            f"{job.ref}: {base} is being fetched by another process or thread; wait for that, or name another folder",
            job=job,
        ) from None
    except FileExistsError:
        if base.parent.exists() and not base.parent.is_dir():
            said = f"{job.ref}: {base.parent} is a file, not a folder: name a folder, or a file in one"
            raise DownloadError(said, job=job) from None
        if part.whole:
            raise _appeared(job, part) from None
        raise _taken(job, base) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DownloadError(
            f"{job.ref}: cannot write {base}: {why}; the job is unchanged. When that is fixed, or to another folder, "
            f"{pull.again}",
            job=job,
        ) from None


def _tries(context: DownloadContext, place: Place) -> Iterator[Path]:
    """The names to try, without those of other jobs whose files are fetched at the same time."""
    ref = context.job.ref
    return (base for base in place.tries() if not place.made or context.names.setdefault(base, ref) == ref)


def _kept(pull: Fetcher, there: Sequence[Path], source: str) -> Path | None:
    """The existing file that is this job's, if any. A pipe, or a link to nothing, is not."""
    for path in there:
        try:
            if (path.is_file() or path.is_dir()) and is_own(Fetcher(pull.context, pull.wanted), path, source):
                return path
        except (DownloadError, ResultMissing) as error:
            told = f"{error.message}. {path} exists, but it could not be checked whether it is this file"
            raise type(error)(told, job=pull.context.job) from None
    return None


def _taken(job: Job, path: Path) -> DownloadError:
    return DownloadError(
        f"{job.ref}: {path} exists and is not known to be a file of {job.ref}: overwrite=True "
        "(vidpoll download --overwrite) replaces it, another name keeps both",
        job=job,
    )


def _appeared(job: Job, part: PartFile) -> DownloadError:
    return DownloadError(
        f"{job.ref}: another file appeared under the name during the download, and was kept; the download is complete, "
        f"as {part.path}: rename that, or replace the other file with overwrite=True (vidpoll download --overwrite)",
        job=job,
    )


def _saved(pull: Fetcher, part: PartFile, place: Place, source: str, *, overwrite: bool) -> Path | None:
    """Fetch the file; None if a file that is not this job's has appeared there meanwhile."""
    context, wanted, reserved = pull.context, pull.wanted, place.reserved(part.target)
    with part:
        if not overwrite and (there := place.there(part.target)):  # another process was faster
            kept = _kept(pull, there, source)
            if kept is not None:
                part.forget()
            return kept
        try:
            _fill(pull, part)
            _check(pull, part)
        except DownloadTooLarge as error:
            part.forget()
            raise pull.error(DownloadTooLarge, error.message, "download it with a larger max_bytes") from None
        except (NotAVideo, DownloadChanged):
            part.forget()
            raise
        path = _final(pull, part) if place.made else part.target
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{path.name} is a directory")
        mark(part.path, context.job, source)
        part.commit(path, overwrite=overwrite, reserved=reserved)
    context.tell(Downloaded(context.job.ref, context.loop.clock.time(), wanted.kind, path, part.offset))
    return path


def _final(pull: Fetcher, part: PartFile) -> Path:
    """The name with its suffix, by the file's bytes and by what the server said about them."""
    head, asset = pull.head, pull.asset
    told = (
        kinds.of_type((head and head.header("content-type")) or (asset and asset.media_type) or None),
        kinds.of_disposition(head.header("content-disposition") if head else None),
        kinds.of_url(asset.url if asset else None),
    )
    ending = kinds.suffix(pull.wanted.kind, part.start(), *told)
    return part.target.with_name(part.target.name + ending)


def _fill(pull: Fetcher, part: PartFile) -> None:
    """Fetch all bytes into the part."""

    def begin(body: Body, source: str) -> Sink:
        part.begin(body, source)
        return part.write

    while True:
        offset = part.at(pull.source)
        known = part.known if offset else None
        if known is not None and known.length == offset:
            return
        try:
            body = pull.ask(offset, None, known, begin)
        except RangeMismatch:
            if not offset:
                raise pull.error(DownloadError, "the server sent a range that was not requested") from None
            part.forget()
            pull.misfit()
            continue
        if body is not None and _whole(pull, part, body):
            return


def _whole(pull: Fetcher, part: PartFile, body: Body) -> bool:
    """Whether no bytes are missing after a response was received; False if a further request is needed."""
    if part.offset == body.total:
        return True
    if body.end is None:
        if body.framed or _ends(pull, part):
            return True
        raise pull.error(DownloadTruncated, "the server does not say how long the file is; it may be cut")
    if not part.at(pull.source):
        raise pull.error(DownloadTruncated, "the file comes in pieces, and no ETag shows that they belong together")
    return False


def _ends(pull: Fetcher, part: PartFile) -> bool:
    """Whether a body without a length is whole nevertheless, by the provider's data or by the file itself."""
    asset = pull.asset
    told = asset is not None and (asset.checksum is not None or asset.size == part.offset)
    return told or part.boxed()


def _check(pull: Fetcher, part: PartFile) -> None:
    """Raise NotAVideo or DownloadChanged unless the file is what was promised."""
    wrong = kinds.unfit(pull.wanted.kind, part.start())
    if wrong is not None:
        raise pull.error(NotAVideo, f"the {pull.wanted.kind} {wrong}", "and nothing of it was kept")
    checksum = None if pull.asset is None else pull.asset.checksum
    if checksum is not None and not part.has(checksum):
        raise pull.error(DownloadChanged, f"its bytes do not match the checksum {checksum}")
