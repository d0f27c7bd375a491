"""Assets to files. A file appears under its final name only when it is whole and of the promised kind.

The bytes go to `NAME.part` beside the target and are renamed at the end. The key goes to the account's own origin
(and the plugin's `media_hosts`) alone; that rule lives in `accounts`. A download never changes a job.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Queue
from typing import Any, BinaryIO

from . import redact
from .accounts import Endpoint, Wire
from .errors import (
    DownloadError,
    DownloadTooLarge,
    DownloadTruncated,
    NotAVideo,
    ResultMissing,
    UnsafeURL,
    UsageError,
    VidpollError,
)
from .faults import NoAnswer
from .loop import Loop
from .machine import Downloaded, DownloadProgress, Event, Job
from .model import Asset, Response
from .question import build
from .transport import BodyCut, BodyTooLarge, Transport, UnsafeHop

log = logging.getLogger("vidpoll")

_EXTENSIONS = {
    "video": ".mp4",
    "combined": ".mp4",
    "thumbnail": ".jpg",
    "last_frame": ".png",
    "audio": ".mp3",
    "subtitle": ".srt",
}
_KNOWN = {".mp4", ".webm", ".mkv", ".mov", ".gif", ".jpg", ".jpeg", ".png", ".webp", ".mp3", ".wav", ".srt", ".vtt"}
_PROGRESS_EVERY = 512 * 1024
_UNBOUNDED = 1 << 62


def choose(job: Job, kinds: Sequence[str]) -> list[Asset]:
    """The job's assets of these kinds, in the job's order. Raises ResultMissing for a kind of which there is none."""
    if isinstance(kinds, str) or not kinds:
        raise UsageError(f"kinds={kinds!r}: give a sequence of kinds, like kinds=('video', 'thumbnail')")
    there = {asset.kind for asset in job.assets}
    missing = [kind for kind in kinds if kind not in there]
    if missing:
        had = ", ".join(sorted(there)) or "no files at all"
        raise ResultMissing(f"{job.ref} has no {' and no '.join(missing)}; it has: {had}", job=job)
    return [asset for asset in job.assets if asset.kind in kinds]


def paths(job: Job, assets: Sequence[Asset], target: str | Path) -> list[Path]:
    """Where each asset goes: `target` itself where it names a file, else a name from the reference inside it.

    `target` names a file when it has a suffix and is no folder; it then takes a single asset.
    """
    given = Path(target)
    if given.suffix and not given.is_dir() and not str(target).endswith(("/", "\\")):
        if len(assets) > 1:
            raise UsageError(f"{str(target)!r} names one file, and {len(assets)} are to be fetched; name a folder")
        return [given]
    found: list[Path] = []
    for asset in assets:
        number = sum(other.kind == asset.kind for other in assets[: len(found)]) + 1
        found.append(given / _name(job, asset, number))
    return found


def _name(job: Job, asset: Asset, number: int) -> str:
    """A name that is safe on Linux, macOS and Windows, from the reference alone, with a hash against collisions."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", job.id).strip("-")[:48]
    digest = hashlib.sha256(job.ref.encode()).hexdigest()[:8]
    kind = re.sub(r"[^a-z0-9_]+", "-", asset.kind.lower())[:24]
    suffix = Path(re.sub(r"[?#].*", "", asset.url or "")).suffix.lower()
    extension = suffix if suffix in _KNOWN else _EXTENSIONS.get(asset.kind, ".bin")
    return "-".join(filter(None, (job.account, safe, digest, kind, str(number) if number > 1 else ""))) + extension


class Fetcher:
    """Fetches the assets of one job, one after the other, until `deadline` (monotonic seconds, None for none)."""

    def __init__(
        self,
        loop: Loop,
        transport: Transport,
        endpoint: Endpoint,
        job: Job,
        *,
        deadline: float | None,
        max_bytes: int | None,
        tell: Callable[[Event], None],
    ) -> None:
        self.loop = loop
        self.transport = transport
        self.endpoint = endpoint
        self.job = job
        self.deadline = deadline
        self.max_bytes = _UNBOUNDED if max_bytes is None else max_bytes
        self.tell = tell

    def save(self, asset: Asset, path: Path) -> Path:
        """Fetch one asset to `path`. Raises DownloadError; nothing lies under `path` then."""
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                self._write(asset, file)
            _check(self.job, asset, part)
            size = part.stat().st_size
            part.replace(path)
            self.tell(Downloaded(self.job.ref, self.loop.clock.time(), asset.kind, path, size))
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise DownloadError(f"{self.job.ref}: cannot write {path}: {why}", job=self.job) from None
        finally:
            with contextlib.suppress(OSError):  # where it could not be made, it cannot be removed
                part.unlink(missing_ok=True)
        return path

    def content(self) -> Asset | None:
        """The video by the provider's content operation, as an asset; None where it has none."""
        operation = self.endpoint.provider.content
        if operation is None:
            return None
        request = build(self.endpoint, operation, self.job.id)
        bound = min(self.max_bytes, operation.max_body)
        wire = self.endpoint.wire(request, timeout=self.loop.http_timeout, max_body=bound)
        response = self._run(wire, "video", lambda head: None, operation.verdicts)
        try:
            asset = operation.parse(self.endpoint.scrub(response), self.job.id)
        except Exception as error:
            if not isinstance(error, VidpollError):
                log.error("%s: the parser raised %s", self.endpoint.provider.name, redact.trace(error))
            said = redact.text(str(error) if isinstance(error, VidpollError) else repr(error), limit=200)
            raise DownloadError(f"{self.job.ref}: no video in the content: {said}; {_AGAIN}", job=self.job) from error
        return asset if isinstance(asset, Asset) else None

    def _write(self, asset: Asset, file: BinaryIO) -> None:
        if asset.data is not None:
            file.write(asset.data)
            return
        assert asset.url is not None
        try:
            wire = self.endpoint.media(asset.url, timeout=self.loop.http_timeout, max_body=self.max_bytes)
        except UnsafeURL as error:
            raise UnsafeURL(f"{self.job.ref}: {error}", job=self.job) from None
        self._run(wire, asset.kind, lambda head: file)

    def _run(
        self, wire: Wire, kind: str, target: Callable[[Response], BinaryIO | None], verdicts: Sequence[int] = ()
    ) -> Response:
        """Have a worker fetch it; the calling thread keeps the deadline and tells the progress."""
        inbox: Queue[Any] = Queue()

        def start(head: Response) -> Callable[[bytes], None] | None:
            file = target(head)
            return None if file is None else _sink(file, head, inbox)

        ticket = self.loop.workers.send(lambda ticket: self.transport.fetch(wire, ticket, start), inbox)
        try:
            while True:
                left = 60.0 if self.deadline is None else self.deadline - self.loop.now()
                if left <= 0:
                    raise DownloadError(f"{self.job.ref}: the download was not done in time; {_AGAIN}", job=self.job)
                item = self.loop.clock.get(inbox, left, busy=True)
                if item is ticket:
                    return self._outcome(ticket.outcome, wire, verdicts)
                if item is not None:
                    received, total = item
                    self._tell(kind, received, total)
        finally:
            self.loop.workers.abort(ticket)

    def _tell(self, kind: str, received: int, total: int | None) -> None:
        self.tell(DownloadProgress(self.job.ref, self.loop.clock.time(), kind, received, total))

    def _outcome(self, outcome: Response | BaseException, wire: Wire, verdicts: Sequence[int]) -> Response:
        where = redact.url(wire.url)
        if isinstance(outcome, NoAnswer):
            kind = _KINDS.get(type(outcome), DownloadError)
            raise kind(f"{self.job.ref}: {where}: {outcome.reason}; {_AGAIN}", job=self.job)
        if isinstance(outcome, BaseException):
            raise outcome
        if not (200 <= outcome.status < 300 or outcome.status in verdicts):
            problem = self.endpoint.provider.error(self.endpoint.scrub(outcome))
            raise DownloadError(f"{self.job.ref}: {where}: HTTP {outcome.status}: {problem}; {_AGAIN}", job=self.job)
        return outcome


_KINDS = {BodyTooLarge: DownloadTooLarge, BodyCut: DownloadTruncated, UnsafeHop: UnsafeURL}
_AGAIN = "the job is unchanged, download it again"


def _sink(file: BinaryIO, head: Response, inbox: Queue[Any]) -> Callable[[bytes], None]:
    length = head.header("content-length") or ""
    total = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
    received = told = 0

    def write(piece: bytes) -> None:
        nonlocal received, told
        file.write(piece)
        received += len(piece)
        if received - told >= _PROGRESS_EVERY or received == total:
            told = received
            inbox.put((received, total))

    return write


def _check(job: Job, asset: Asset, part: Path) -> None:
    """Raise NotAVideo unless the first bytes can be those of the kind of file that was promised."""
    with part.open("rb") as file:
        start = file.read(512)
    looks = start.lstrip()[:1]
    if not start:
        raise NotAVideo(f"{job.ref}: the {asset.kind} is empty; {_AGAIN}", job=job)
    if looks == b"<" or (looks in (b"{", b"[") and asset.kind != "subtitle"):
        raise NotAVideo(f"{job.ref}: the {asset.kind} is a page or an error message, not a file; {_AGAIN}", job=job)
    if asset.kind in ("video", "combined", "thumbnail", "last_frame") and not _is_media(start):
        raise NotAVideo(f"{job.ref}: the {asset.kind} is no video or image file; {_AGAIN}", job=job)


def _is_media(start: bytes) -> bool:
    """ISO-BMFF (MP4, MOV), Matroska (WebM), GIF, JPEG, PNG or WebP, by their first bytes."""
    return (
        start[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp")
        or start.startswith((b"\x1a\x45\xdf\xa3", b"GIF87a", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        or (start.startswith(b"RIFF") and start[8:12] == b"WEBP")
    )
