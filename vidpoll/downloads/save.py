"""Assets to files. A file appears under its final name only when it is whole and of the promised kind.

Which assets, under which names, and what is checked at the end: that is here. How their bytes are had is `pull`'s,
what lies on the disk is `files`'. A download never changes a job.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
from collections.abc import Sequence
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
from ..net.transport import Sink
from .fetcher import NOWHERE, DownloadContext, Fetcher, RangeMismatch, Wanted
from .part_file import PartFile, unfit
from .ranges import Body
from .stream import RemoteFile

_EXTENSIONS = {
    "video": ".mp4",
    "combined": ".mp4",
    "thumbnail": ".jpg",
    "last_frame": ".png",
    "audio": ".mp3",
    "subtitle": ".srt",
}
_KNOWN = {".mp4", ".webm", ".mkv", ".mov", ".gif", ".jpg", ".jpeg", ".png", ".webp", ".mp3", ".wav", ".srt", ".vtt"}


def fetch(
    context: DownloadContext, target: str | Path, kinds: Sequence[str], *, overwrite: bool, max_bytes: int | None
) -> list[Path]:
    """Save the files of these kinds in the folder `target`, or as the file `target`; see `Client.download`."""
    files = choose(context.job, kinds, content=context.account.provider.content is not None)
    places = list(zip(files, paths(context.job, files, target), strict=True))
    return [save(context, wanted, path, overwrite=overwrite, max_bytes=max_bytes) for wanted, path in places]


def stream(context: DownloadContext, asset: Asset | None) -> io.BufferedReader:
    """An asset, or else the video, as a seekable stream; see `Client.open`."""
    if asset is None:
        wanted = choose(context.job, ("video",), content=context.account.provider.content is not None)[0]
    else:
        same = [other for other in context.job.assets if other.kind == asset.kind]
        wanted = Wanted(asset.kind, same.index(asset) + 1 if asset in same else NOWHERE, asset)
    return io.BufferedReader(RemoteFile(Fetcher(context, wanted)), 64 * 1024)


def choose(job: Job, kinds: Sequence[str], *, content: bool) -> list[Wanted]:
    """The job's files of these kinds, in the job's order. Raises ResultMissing for a kind of which there is none.

    `content` tells whether the provider's content operation may bring a video that is due and that no URL names.
    """
    if isinstance(kinds, str) or not kinds:
        raise UsageError(f"kinds={kinds!r}: give a sequence of kinds, like kinds=('video', 'thumbnail')")
    found = [
        Wanted(asset.kind, sum(other.kind == asset.kind for other in job.assets[:place]) + 1, asset)
        for place, asset in enumerate(job.assets)
    ]
    due = job.snapshot is None or job.snapshot.assets_due
    if content and due and not any(wanted.kind == "video" for wanted in found):
        found.append(Wanted("video", 1, None))
    there = {wanted.kind for wanted in found}
    missing = [kind for kind in kinds if kind not in there]
    if missing:
        had = ", ".join(sorted(there)) or "no files at all"
        raise ResultMissing(f"{job.ref} has no {' and no '.join(missing)}; it has: {had}", job=job)
    return [wanted for wanted in found if wanted.kind in kinds]


def paths(job: Job, files: Sequence[Wanted], target: str | Path) -> list[Path]:
    """Where each file goes: `target` itself where it names a file, else a name from the reference inside it.

    `target` names a file when it has a suffix and is no folder; it then takes a single one.
    """
    given = Path(target)
    try:
        sound = b"\0" not in os.fsencode(given)
    except UnicodeError:
        sound = False
    if not sound:
        raise UsageError(f"target={str(target)!r}: no path of this system can be called so")
    if given.suffix and not _is_folder(given) and not str(target).endswith(("/", "\\")):
        if len(files) > 1:
            raise UsageError(f"{str(target)!r} names one file, and {len(files)} are to be fetched; name a folder")
        return [given]
    return [given / _name(job, wanted) for wanted in files]


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
    url = "" if wanted.asset is None else wanted.asset.url or ""
    suffix = Path(re.sub(r"[?#].*", "", url)).suffix.lower()
    extension = suffix if suffix in _KNOWN else _EXTENSIONS.get(wanted.kind, ".bin")
    number = str(wanted.number) if wanted.number > 1 else ""
    return "-".join(filter(None, (account, safe, digest, kind, number))) + extension


def save(context: DownloadContext, wanted: Wanted, path: Path, *, overwrite: bool, max_bytes: int | None) -> Path:
    """Fetch one file to `path`; one that is there, and not empty, is kept unless `overwrite`.

    Raises DownloadError, ResultMissing.

    Whatever happens, nothing but the whole file lies under `path`; what can be gone on with stays beside it.
    """
    part = PartFile(path, max_bytes=max_bytes)
    job = context.job
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if not overwrite and _is_there(path):
            part.tidy()
            return path
        with part:
            if not overwrite and _is_there(path):  # another process was faster
                part.forget()
                return path
            pull = Fetcher(context, wanted)
            try:
                _fill(pull, part)
                _check(pull, part)
            except DownloadTooLarge as error:
                part.forget()
                raise pull.error(DownloadTooLarge, error.message, "download it with a larger max_bytes") from None
            except (NotAVideo, DownloadChanged):
                part.forget()
                raise
            part.commit()
    except BlockingIOError:
        raise DownloadError(
            f"{job.ref}: {path} is being fetched by another process or thread; wait for that, or name another folder",
            job=job,
        ) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DownloadError(
            f"{job.ref}: cannot write {path}: {why}; the job is unchanged, download it again when that is mended, "
            "or to another folder",
            job=job,
        ) from None
    context.tell(Downloaded(job.ref, context.loop.clock.time(), wanted.kind, path, part.offset))
    return path


def _is_there(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


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
    wrong = unfit(pull.wanted.kind, part.start())
    if wrong is not None:
        raise pull.error(NotAVideo, f"the {pull.wanted.kind} {wrong}")
    checksum = None if pull.asset is None else pull.asset.checksum
    if checksum is not None and not part.has(checksum):
        raise pull.error(DownloadChanged, f"its bytes are not those of the checksum {checksum}")
