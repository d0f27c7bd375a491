"""The file of a store on its disk: readable by its user alone, refused if others can write it, identified by its inode.

A store names the addresses to which a key is sent and the files that are saved, so it gets the checks that ssh makes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ..errors import StoreError

BESIDE = ("", "-wal", "-journal", "-shm")
"""The suffixes of the files that SQLite reads with a store: it would apply another user's file with such a name."""


class StoreMoved(StoreError):
    """The path of an open store now leads to another file, or to none."""


Identity = tuple[int, int]
"""Device and inode number of a file; its name may pass to another file."""


def make(path: Path) -> None:
    """Make the file and its folders if they are missing, for this user alone. Raises StoreError for a folder."""
    _check_place(path)
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _check_place(path: Path) -> None:
    """Raise StoreError if the path is not that of a file: SQLite says only that it cannot be opened."""
    if path.is_dir():
        raise StoreError(f"the store {path} is a folder: name a file in it, like {path / 'jobs.sqlite3'}")
    if path.exists() and not path.is_file():
        raise StoreError(f"the store {path} is neither a file nor a folder: name a file, like jobs.sqlite3")
    above = next((folder for folder in path.parents if folder.is_file()), None)
    if above is not None:
        raise StoreError(f"the store {path} cannot be made: {above} is a file, not a folder; name another place")


def check(path: Path) -> None:
    """Raise StoreError if the file, or one that SQLite reads with it, is another user's or can be written by others."""
    if os.name != "posix":
        return
    for end in BESIDE:
        each = Path(f"{path}{end}")
        with contextlib.suppress(FileNotFoundError):
            _check(each, each.stat())


def _check(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.getuid(), 0):
        raise StoreError(
            f"the store {path} belongs to another user, but a store decides where your key is sent and which files are "
            "saved: name a store of your own"
        )
    if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(
            f"the store {path} can be written by others, but a store decides where your key is sent and which files "
            f"are saved: if nobody else has changed it, run `chmod go-w {path}`; a disk without permissions is not "
            "safe for it"
        )


def identity(path: Path) -> Identity | None:
    """The identity of the file at the path; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
