"""Files that are whole or not there: the part beside the target, its lock, its note, and the test for wholeness.

The bytes go to `NAME.part`. `NAME.part.json` is locked while a process writes the part, and records which file the part
belongs to, so that a later run may resume it. A link under either name is removed, and a part that another user made
is not resumed, so that no other file is ever written to. Nothing here knows a job, a server or a network.
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
"""The offset of the locked byte on Windows, where others cannot read a locked range."""

_PIECE = 1024 * 1024

ENDLESS = 0.9
"""The share of the disk's free space that a body of unknown length may take."""

_OPTIONAL = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY)
"""The errors of a file system without a call like fsync, such as a mounted bucket."""


class PartFile:
    """The bytes of `target` that are there so far. A context manager; holds the lock from entering to leaving.

    `target` may lack the suffix that its final name gets. Entering raises BlockingIOError if another process or thread
    holds the lock; all methods raise the OSErrors of the disk. `begin` and `write` may be called from another thread
    than the rest. On leaving, a part that can be resumed is kept, and so is a whole one that could not be renamed. A
    body of unknown length may take `max_bytes`, or else most of the free space on the disk. The methods that read the
    bytes must be called after the last `write`.
    """

    def __init__(self, target: Path, *, max_bytes: int | None = None) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        self.max_bytes = max_bytes
        self.known: Validator | None = None
        """The validator of the file that the part belongs to; None if unknown."""
        self.source = ""
        """The URL of that file, without the query."""
        self.offset = 0
        """How many bytes are there."""
        self.whole = False
        """Whether all bytes are synced to the disk, and only the rename is missing."""
        self._most = math.inf if max_bytes is None else max_bytes
        self._lock = threading.Lock()
        self._held: BinaryIO | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> PartFile:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._held = _locked(self.note)
        try:
            self._file = _own(self.path)
            if not is_ours(os.fstat(self._file.fileno())):  # the other user may still write to it
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
        """The offset at which to resume the file at `source`; 0: from its start."""
        if self.known is None or self.known.condition is None or self.source != source:
            return 0
        return self.offset if self.known.length is None or self.offset <= self.known.length else 0

    def begin(self, body: Body, source: str) -> None:
        """Prepare for the bytes of a response. Raises OSError if the disk has no room, and DownloadTooLarge."""
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
                raise OSError(errno.ENOSPC, f"{due:,} bytes are needed, and the disk has room for {room:,}")

    def write(self, piece: memoryview) -> None:
        """Append. Raises OSError, DownloadTooLarge."""
        with self._lock:
            file = self._open()
            if self.offset + len(piece) > self._most:
                why = "" if self.max_bytes is not None else ", its length is unknown, and it would fill the disk"
                raise DownloadTooLarge(f"more than {self._most:,.0f} bytes{why}")
            while piece:
                written = file.write(piece) or 0
                self.offset += written
                piece = piece[written:]

    def start(self, size: int = 512) -> bytes:
        """The first bytes."""
        file = self._open()  # not by its path: another file may be there by now
        file.seek(0)
        return file.read(size)

    def has(self, checksum: str) -> bool:
        """Whether the bytes match a checksum, "sha256:hex" or "md5:hex"."""
        file = self._open()
        file.seek(0)
        return _digest(file, checksum) == checksum.lower()

    def boxed(self) -> bool:
        """Whether it is an MP4 that ends where its last box does (ISO 14496-12, 4.2: a box begins with its length).

        A fragmented MP4 may be cut between two fragments, so it does not count as whole.
        """
        at, kinds, file = 0, set(), self._open()
        while at < self.offset:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if size < 8:  # 0 means: to the end of the file, wherever that is
                return False
            at += size
            kinds.add(head[4:8])
        return at == self.offset and kinds >= {b"moov", b"mdat"} and b"moof" not in kinds

    def commit(self, target: Path, *, overwrite: bool, reserved: Collection[Path] = ()) -> None:
        """Sync the part to the disk and rename it to `target`.

        Raises FileExistsError if `target` exists, unless `overwrite`, or it is an empty file whose name is `reserved`.
        """
        with self._lock:
            file = self._open()
            assert self._held is not None
            if not (_same(file, self.path) and _same(self._held, self.note)):
                raise OSError(errno.ESTALE, f"{self.path.name} was moved or replaced meanwhile")
            if os.fstat(file.fileno()).st_size != self.offset:
                raise OSError(errno.ESTALE, f"another program has changed {self.path.name}")
            _synced(file.fileno())
            self._close()
        self.whole = True
        _place(self.path, target, over=overwrite or (target in reserved and is_empty(target)))
        self.forget()
        if os.name != "nt":
            with contextlib.suppress(OSError):  # some file systems cannot sync folders
                folder = os.open(target.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def forget(self) -> None:
        """Mark the part as useless: it is begun anew, or removed on leaving."""
        self.whole, self.known = False, None

    def tidy(self) -> None:
        """Remove what a killed process left beside a whole target, unless another process holds the lock."""
        if self.note.exists():
            with contextlib.suppress(OSError), self:
                self.forget()

    def _open(self) -> BinaryIO:
        if self._file is None:
            raise OSError(errno.EBADF, "the part was closed in the meantime")
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
        keep = keep or not _same(self._held, self.note)  # the names belong to another process now
        if not keep:
            for path in (self.path, self.note):
                with contextlib.suppress(OSError):  # Windows does not remove an open file
                    path.unlink()
        _unlock(self._held)  # a forked child may still have it open
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
    """The checksum of a file, by the algorithm of `like`: "sha256:hex" or "md5:hex"."""
    with path.open("rb") as file:
        return _digest(file, like)


def _digest(file: BinaryIO, like: str) -> str:
    name = like.partition(":")[0].lower()
    made = hashlib.new(name, usedforsecurity=False)
    while piece := file.read(_PIECE):
        made.update(piece)
    return f"{name}:{made.hexdigest()}"


def is_ours(found: os.stat_result) -> bool:
    """Whether a file belongs to this user or to root. On systems without owners, every file does."""
    return os.name != "posix" or found.st_uid in (os.geteuid(), 0)


def is_empty(path: Path) -> bool:
    """Whether the path is a regular file, not a link or a pipe, without a byte."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and not found.st_size


def _own(path: Path) -> BinaryIO:
    """Open the file for reading and writing, and make it if missing. A link or a pipe in its place is removed."""
    while True:
        with contextlib.suppress(FileExistsError):
            return _opened(path, os.O_CREAT | os.O_EXCL)
        try:
            file = _opened(path)
        except FileNotFoundError:  # it was removed meanwhile
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
    """The free bytes on the disk; infinity if the file system does not report them."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return math.inf
    return usage.free if usage.total else math.inf


def _synced(descriptor: int) -> None:
    """Sync a file to the disk, if the file system can do that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _OPTIONAL:
            raise


def _place(path: Path, target: Path, *, over: bool) -> None:
    """Rename. Raises FileExistsError if the name exists, unless `over`. A link under that name is never followed."""
    if not over:
        try:
            os.link(path, target)  # unlike a rename, it fails if the name exists
            return
        except FileExistsError:
            raise
        except OSError:  # no hard links here
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    path.replace(target)


def _locked(path: Path) -> BinaryIO:
    """Open and lock the file. Raises BlockingIOError if another process, or this one, has locked it already."""
    while True:
        file = _own(path)
        try:
            _lock(file, path)
            if _same(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the process that held the lock has removed the file


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
