"""Files that are whole or not there: the part beside the target, its lock, its note, and what whole means.

The bytes go to `NAME.part`. `NAME.part.json` is locked for as long as one process is at it, and says of which file the
part is, so that another run may go on. Neither is ever somebody else's file under another name: a link in their place
is removed, and what another user put there is not gone on with. Nothing here knows a job, a URL's server or a network.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import shutil
import stat
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

from ..errors import DownloadTooLarge
from .ranges import Body, Validator, is_sendable

log = logging.getLogger("vidpoll")

_FAR = 1 << 30
"""Where the lock lies on Windows, which forbids others to read what is locked."""

_PIECE = 1024 * 1024

ENDLESS = 0.9
"""The part of the disk's room that a body may take whose length nobody tells."""

_OPTIONAL = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY)
"""What a mounted bucket says of a call that it does not have, like fsync."""


class PartFile:
    """The bytes of `target` that are there so far. A context manager; holds the lock from entering to leaving.

    `target` may lack the suffix that its final name gets. Entering raises BlockingIOError where somebody else holds
    the lock; all methods raise OSError as the disk does. `begin` and `write` may be called from another thread than the
    rest. A part that can be gone on with is kept, and so is a whole one that could not be put in its place. A body
    whose length nobody tells may take `max_bytes`, or else most of the room on the disk. What looks at the bytes comes
    when they are all there: `begin` and `write` follow each other.
    """

    def __init__(self, target: Path, *, max_bytes: int | None = None) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        self.max_bytes = max_bytes
        self.known: Validator | None = None
        """Of which file the part is; None where that is not known."""
        self.source = ""
        """Its URL without the query."""
        self.offset = 0
        """How many bytes are there."""
        self.whole = False
        """Whether these are all, on disk for good, and only their name is missing."""
        self._most = math.inf if max_bytes is None else max_bytes
        self._lock = threading.Lock()
        self._held: BinaryIO | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> PartFile:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._held = _locked(self.note)
        try:
            self._file = _own(self.path)
            if not is_ours(os.fstat(self._file.fileno())):  # whoever made it may write to it still
                self._close()
                self.path.unlink()
                self._file = _own(self.path)
            self.offset = self._file.seek(0, os.SEEK_END)
            if is_ours(os.fstat(self._held.fileno())):
                self._recall()
        except BaseException:
            self._leave(keep=self.path.is_file())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        resumable = self.known is not None and self.known.condition is not None
        self._leave(keep=self.whole or (self.offset > 0 and resumable))

    def at(self, source: str) -> int:
        """From which offset on to go on with the file at `source`; 0: from its start."""
        if self.known is None or self.known.condition is None or self.source != source:
            return 0
        return self.offset if self.known.length is None or self.offset <= self.known.length else 0

    def begin(self, body: Body, source: str) -> None:
        """Get ready for the bytes of an answer. Raises OSError where the disk has no room, DownloadTooLarge."""
        with self._lock:
            file = self._open()
            if self.max_bytes is not None and (body.end or 0) > self.max_bytes:
                raise DownloadTooLarge(f"more than {self.max_bytes:,} bytes: {body.total or body.end:,}")
            if body.first == 0:
                file.seek(0)
                file.truncate()
                self.offset = 0
                self._remember(source, body.validator)
            file.seek(body.first)
            room = free(self.path.parent)
            if self.max_bytes is None:
                self._most = math.inf if body.end is not None else room * ENDLESS
            due = (body.end or 0) - body.first
            if due > room:
                raise OSError(errno.ENOSPC, f"{due:,} bytes are to come, and the disk has room for {room:,}")

    def write(self, piece: memoryview) -> None:
        """Append. Raises OSError, DownloadTooLarge."""
        with self._lock:
            file = self._open()
            if self.offset + len(piece) > self._most:
                why = "" if self.max_bytes is not None else ", nobody tells how long it is, and it would fill the disk"
                raise DownloadTooLarge(f"more than {self._most:,.0f} bytes{why}")
            while piece:
                written = file.write(piece) or 0
                self.offset += written
                piece = piece[written:]

    def start(self, size: int = 512) -> bytes:
        """The first bytes."""
        file = self._open()  # not the path: what lies there may be another one by now
        file.seek(0)
        return file.read(size)

    def has(self, checksum: str) -> bool:
        """Whether the bytes are those of a checksum, "sha256:hex" or "md5:hex"."""
        file = self._open()
        file.seek(0)
        return _digest(file, checksum) == checksum.lower()

    def boxed(self) -> bool:
        """Whether it is an MP4 that ends where its last box does (ISO 14496-12, 4.2: a box begins with its length).

        One in fragments may be cut between two of them, so it is not taken for whole.
        """
        at, kinds, file = 0, set(), self._open()
        while at < self.offset:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if size < 8:  # 0 is to the end of the file, wherever that is
                return False
            at += size
            kinds.add(head[4:8])
        return at == self.offset and kinds >= {b"moov", b"mdat"} and b"moof" not in kinds

    def commit(self, target: Path, *, overwrite: bool, reserved: Collection[Path] = ()) -> None:
        """Put the part in the place of `target`, on disk for good.

        Raises FileExistsError where anything is there, unless `overwrite`, or an empty file whose name is `reserved`.
        """
        with self._lock:
            file = self._open()
            assert self._held is not None
            if not (_same(file, self.path) and _same(self._held, self.note)):
                raise OSError(errno.ESTALE, f"{self.path.name} was moved or replaced meanwhile")
            _synced(file.fileno())
            self._close()
        self.whole = True
        _place(self.path, target, over=overwrite or (target in reserved and is_empty(target)))
        self.forget()
        if os.name != "nt":
            with contextlib.suppress(OSError):  # some file systems have no folders to be synced
                folder = os.open(target.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def forget(self) -> None:
        """The part is of no use: it is begun anew, or goes when it is left."""
        self.whole, self.known = False, None

    def tidy(self) -> None:
        """Remove what a process that was killed left beside a target that is whole, unless somebody is at it."""
        if self.note.exists():
            with contextlib.suppress(OSError), self:
                self.forget()

    def _open(self) -> BinaryIO:
        if self._file is None:
            raise OSError(errno.EBADF, "it was left in the meantime")
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _leave(self, *, keep: bool) -> None:
        with self._lock:
            self._close()
        if self._held is None:
            return
        keep = keep or not _same(self._held, self.note)  # others have the names now
        if not keep:
            for path in (self.path, self.note):
                with contextlib.suppress(OSError):  # Windows removes nothing that is open
                    path.unlink()
        _unlock(self._held)  # a forked child may have it open still
        self._held.close()
        if not keep and os.name == "nt":
            with contextlib.suppress(OSError):
                self.note.unlink()
        self._held = None

    def _recall(self) -> None:
        assert self._held is not None
        self._held.seek(0)
        try:
            said = json.loads(self._held.read(_PIECE))
            etag, modified, length, source = (said[name] for name in ("etag", "modified", "length", "source"))
        except (ValueError, TypeError, KeyError, RecursionError):  # new, or cut by a kill
            return
        texts = isinstance(source, str) and all(text is None or is_sendable(text) for text in (etag, modified))
        if texts and (length is None or isinstance(length, int)):
            self.known, self.source = Validator(etag, modified, length), source

    def _remember(self, source: str, known: Validator) -> None:
        assert self._held is not None
        self.known, self.source = known, source
        said = {"source": source, "etag": known.etag, "modified": known.modified, "length": known.length}
        self._held.seek(0)
        self._held.truncate()
        self._held.write(json.dumps(said).encode())
        self._held.flush()


def digest(path: Path, like: str) -> str:
    """The checksum of a file, of the sort of another one: "sha256:hex" or "md5:hex"."""
    with path.open("rb") as file:
        return _digest(file, like)


def _digest(file: BinaryIO, like: str) -> str:
    name = like.partition(":")[0].lower()
    made = hashlib.new(name, usedforsecurity=False)
    while piece := file.read(_PIECE):
        made.update(piece)
    return f"{name}:{made.hexdigest()}"


def is_ours(found: os.stat_result) -> bool:
    """Whether this user, or root, made a file. Where the system knows no such thing, every file is ours."""
    return os.name != "posix" or found.st_uid in (os.geteuid(), 0)


def is_empty(path: Path) -> bool:
    """Whether a file without a byte is there, and neither a link nor a pipe."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and not found.st_size


def _own(path: Path) -> BinaryIO:
    """The file, made where there is none, for reading and writing. A link or a pipe in its place is removed."""
    while True:
        with contextlib.suppress(FileExistsError):
            return _opened(path, os.O_CREAT | os.O_EXCL)
        try:
            file = _opened(path)
        except FileNotFoundError:  # it went meanwhile
            continue
        except OSError:
            if not path.is_symlink():
                raise
        else:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
                return file
            file.close()
        path.unlink(missing_ok=True)


def _opened(path: Path, flags: int = 0) -> BinaryIO:
    flags |= os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return cast(BinaryIO, os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0))


def free(folder: Path) -> float:
    """Bytes that the disk has room for; endless where the file system does not tell."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return math.inf
    return usage.free if usage.total else math.inf


def _synced(descriptor: int) -> None:
    """Have the bytes on disk, where the file system knows such a thing."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _OPTIONAL:
            raise


def _place(path: Path, target: Path, *, over: bool) -> None:
    """Rename. Raises FileExistsError where anything has that name, unless `over`; a link there is never followed."""
    if not over:
        try:
            os.link(path, target)  # unlike a rename it fails where something is there
            return
        except FileExistsError:
            raise
        except OSError:  # no hard links here
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    path.replace(target)


def _locked(path: Path) -> BinaryIO:
    """The file, open and locked. Raises BlockingIOError where another process, or this one, has it already."""
    while True:
        file = _own(path)
        try:
            _lock(file, path)
            if _same(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # whoever held it has removed it


def _same(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        if sys.platform == "win32":
            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            raise BlockingIOError(errno.EWOULDBLOCK, "another process is fetching it") from None
        log.warning("%s cannot be locked here: %s", path, error.strerror)  # a network file system without locks


def _unlock(file: BinaryIO) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_UN)
