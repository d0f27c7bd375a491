"""Assets to files. A file appears under its final name only when it is whole and of the promised kind.

Which assets, under which names, and what is checked at the end: that is here. How their bytes are had is `fetcher`'s,
what lies on the disk is `part_file`'s, whose file one is that is there `identity`'s. A download never changes a job.
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
"""So many files of other jobs may lie under the names of one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file goes: under a name that the user gave, or that is `made`. Such a name gets its suffix at the end."""

    path: Path
    made: bool = False

    def tries(self) -> Iterator[Path]:
        """The names to try; a made one has further ones, for when a file of another job lies there."""
        yield self.path
        if self.made:
            yield from (self.path.with_name(f"{self.path.name}~{number}") for number in range(2, MANY + 1))

    def there(self, base: Path) -> list[Path]:
        """What lies under a name, with whatever suffix: also a link, wherever it leads. An empty file is nothing."""
        return [path for path in self._finals(base) if os.path.lexists(path) and not is_empty(path)]

    def reserved(self, base: Path) -> list[Path]:
        """The names that somebody reserved with an empty file."""
        return list(filter(is_empty, self._finals(base)))

    def _finals(self, base: Path) -> list[Path]:
        return [base.with_name(base.name + suffix) for suffix in kinds.SUFFIXES] if self.made else [base]


@dataclass(frozen=True, slots=True)
class Stem:
    """A target that is the name of the files, without the suffix that they get by what they are."""

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
    """An asset, or else the video, as a seekable stream; see `Client.open`."""
    if asset is None:
        wanted = choose(context.job, ("video",), content=context.account.provider.content is not None)[0]
    else:
        same = [other for other in context.job.assets if other.kind == asset.kind]
        wanted = Wanted(asset.kind, same.index(asset) + 1 if asset in same else NOWHERE, asset)
    return io.BufferedReader(RemoteFile(Fetcher(context, wanted)), 64 * 1024)


def choose(job: Job, kinds: Sequence[str] | None, *, content: bool) -> list[Wanted]:
    """The job's files of these kinds, in the job's order. Raises ResultMissing for a kind of which there is none.

    `kinds=None` chooses the videos, and of a job that makes none all that it makes. `content` tells whether the
    provider's content operation may bring a video that must be there and that no URL names.
    """
    if isinstance(kinds, str) or (kinds is not None and not kinds):
        raise UsageError(f"kinds={kinds!r}: give a sequence of kinds, like kinds=('video', 'thumbnail')")
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
    """Where each file goes: `target` itself where it names a file, else a name from the reference inside it.

    `target` names a file when it has a suffix and is no folder; it then takes a single one. A "~" at its start is the
    user's home.
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
        raise UsageError(f"target={str(target)!r}: {error}; write the folder out") from None
    if not sound:
        raise UsageError(f"target={str(target)!r}: no path of this system can be called so")
    if given.suffix and not _is_folder(given) and not str(target).endswith(("/", "\\")):
        if len(files) > 1:
            raise UsageError(f"{str(target)!r} names one file, and {len(files)} are to be fetched; name a folder")
        return [Place(given)]
    return [Place(given / _name(job, wanted), made=True) for wanted in files]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long, say: writing to it tells
        return False


def _name(job: Job, wanted: Wanted) -> str:
    """A name that is safe on Linux, macOS and Windows, from the reference alone, with a hash against collisions."""
    account, safe = (re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:48] for text in (job.account, job.id))
    digest = hashlib.sha256(job.ref.encode()).hexdigest()[:8]
    kind = re.sub(r"[^a-z0-9_]+", "-", wanted.kind.lower())[:24]
    number = str(wanted.number) if wanted.number > 1 else ""
    return "-".join(filter(None, (account, safe, digest, kind, number)))


def save(context: DownloadContext, wanted: Wanted, place: Place, *, overwrite: bool, max_bytes: int | None) -> Path:
    """Fetch one file to its place; one that is there and is known to be this job's is kept, unless `overwrite`.

    Raises DownloadError, ResultMissing. Whatever happens, nothing but the whole file lies under its name; what can be
    gone on with stays beside it.
    """
    job = context.job
    pull = Fetcher(context, wanted)
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
            said = f"{job.ref}: {base.parent} is a file, and no folder: name a folder, or a file in one"
            raise DownloadError(said, job=job) from None
        if part.whole:
            raise _appeared(job, part) from None
        raise _taken(job, base) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DownloadError(
            f"{job.ref}: cannot write {base}: {why}; the job is unchanged, download it again when that is mended, "
            "or to another folder",
            job=job,
        ) from None


def _tries(context: DownloadContext, place: Place) -> Iterator[Path]:
    """The names to try, but for those of other jobs whose files are fetched at once."""
    ref = context.job.ref
    return (base for base in place.tries() if not place.made or context.names.setdefault(base, ref) == ref)


def _kept(pull: Fetcher, there: Sequence[Path], source: str) -> Path | None:
    """Of the files that are there the one that is this job's; a pipe, or a link to nothing, is none."""
    for path in there:
        try:
            if (path.is_file() or path.is_dir()) and is_own(Fetcher(pull.context, pull.wanted), path, source):
                return path
        except (DownloadError, ResultMissing) as error:
            told = f"{error.message}. {path} is there, and nothing tells whether it is this file"
            raise type(error)(told, job=pull.context.job) from None
    return None


def _taken(job: Job, path: Path) -> DownloadError:
    return DownloadError(
        f"{job.ref}: {path} is there and is not known to be of {job.ref}: overwrite=True "
        "(vidpoll download --overwrite) replaces it, another name keeps both",
        job=job,
    )


def _appeared(job: Job, part: PartFile) -> DownloadError:
    return DownloadError(
        f"{job.ref}: something else came to the name of the file while it was fetched, and stays; the file is whole, "
        f"as {part.path}: rename that, or replace what came with overwrite=True (vidpoll download --overwrite)",
        job=job,
    )


def _saved(pull: Fetcher, part: PartFile, place: Place, source: str, *, overwrite: bool) -> Path | None:
    """The file, fetched; None where one that is not this job's has come there meanwhile."""
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
    """The name with the suffix that its bytes, and what the server said of them, give it."""
    head, asset = pull.head, pull.asset
    told = (
        kinds.of_type((head and head.header("content-type")) or (asset and asset.media_type) or None),
        kinds.of_disposition(head.header("content-disposition") if head else None),
        kinds.of_url(asset.url if asset else None),
    )
    ending = kinds.suffix(pull.wanted.kind, part.start(), *told)
    return part.target.with_name(part.target.name + ending)


def _fill(pull: Fetcher, part: PartFile) -> None:
    """Have all the bytes in the part."""

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
                raise pull.error(DownloadError, "the server answers with ranges that were not asked for") from None
            part.forget()
            pull.misfit()
            continue
        if body is not None and _whole(pull, part, body):
            return


def _whole(pull: Fetcher, part: PartFile, body: Body) -> bool:
    """Whether no bytes are missing after an answer was taken in; False where it is to be gone on with."""
    if part.offset == body.total:
        return True
    if body.end is None:
        if body.framed or _ends(pull, part):
            return True
        raise pull.error(DownloadTruncated, "the server does not say how long it is, and it may have been cut")
    if not part.at(pull.source):
        raise pull.error(DownloadTruncated, "it comes in pieces, without the ETag that tells that they fit together")
    return False


def _ends(pull: Fetcher, part: PartFile) -> bool:
    """Whether a body without a length is whole all the same, as the provider told, or the file itself tells."""
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
        raise pull.error(DownloadChanged, f"its bytes are not those of the checksum {checksum}")
