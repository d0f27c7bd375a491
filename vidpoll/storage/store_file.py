"""The file of a store on its disk: made for its owner alone, refused where others can write it, known again.

A store names the addresses to which a key goes and the files that are saved, so it is trusted as ssh trusts its own.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ..errors import StoreError

BESIDE = ("", "-wal", "-journal", "-shm")
"""What SQLite reads with a store: another user's file of such a name would be played into it."""


class StoreMoved(StoreError):
    """The path of an open store leads to another file by now, or to none."""


Identity = tuple[int, int]
"""Device and number of a file: its name may come to belong to another one."""


def make(path: Path) -> None:
    """Make the file and its folders where there are none, for their owner alone. Raises StoreError for a folder."""
    _check_place(path)
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _check_place(path: Path) -> None:
    """Raise StoreError where the path is not a file's: SQLite would only say that it cannot be opened."""
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder: name a file in it, like {path / 'jobs.sqlite3'}")
    if path.exists() and not path.is_file():
        raise StoreError(f"the store {path} is neither a file nor a folder: name a file, like jobs.sqlite3")
    above = next((folder for folder in path.parents if folder.is_file()), None)
    if above is not None:
        raise StoreError(f"the store {path} cannot be made: {above} is a file, not a folder; name another place")


def check(path: Path) -> None:
    """Raise StoreError where the file, or one beside it, is of another user, or can be written by others."""
    if os.name != "posix":
        return
    for end in BESIDE:
        each = Path(f"{path}{end}")
        with contextlib.suppress(FileNotFoundError):
            _check(each, each.stat())


def _check(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.getuid(), 0):
        raise StoreError(
            f"the store {path} belongs to another user: it says where your key goes and what is saved, so name one of "
            "your own"
        )
    if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(
            f"the store {path} can be written by others, and says where your key goes and what is saved: where nobody "
            f"else has changed it, `chmod go-w {path}`; a disk that keeps no permissions is no place for it"
        )


def identity(path: Path) -> Identity | None:
    """Which file is at the path now; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
