"""Files that rows name: only those in the batch's folder and below it, so that a foreign sheet can read no other file.

A cell cannot lead outside: not by an absolute path, not through `..`, not through a link. It cannot name a hidden file
either, like `.ssh/id` if the batch is in a home folder. Each file is hashed once.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import redact
from ..errors import UsageError

_ROOTED = re.compile(r"[/\\]|[A-Za-z]:")
_PIECE = 1024 * 1024

_HEAD = 64 * 1024
"""Bytes of a file that stand for the whole file once the plugin has accepted it in another row."""


class Files:
    """The files of one batch; their paths are relative to `folder`. Closing it deletes temporary copies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._found: dict[str, Path | UsageError] = {}
        self._hashes: dict[tuple[Path, int, int], str] = {}
        self._heads: dict[Path, Path] = {}
        self._copies: TemporaryDirectory[str] | None = None

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *error: object) -> None:
        if self._copies is not None:
            self._copies.cleanup()

    def head(self, path: Path) -> Path:
        """A file of the same name with the first bytes of this one; a small file is returned itself. Raises OSError."""
        if path not in self._heads:
            self._heads[path] = path if path.stat().st_size <= _HEAD else self._copied(path)
        return self._heads[path]

    def _copied(self, path: Path) -> Path:
        self._copies = self._copies or TemporaryDirectory(prefix="vidpoll-")
        copy = Path(self._copies.name, str(len(self._heads)), path.name)
        copy.parent.mkdir()
        with path.open("rb") as file:
            copy.write_bytes(file.read(_HEAD))
        return copy

    def find(self, text: str) -> Path:
        """The file that a cell names, as an absolute path. Raises UsageError if it is missing or may not be read."""
        if text not in self._found:
            try:
                self._found[text] = self._inside(text.strip())
            except UsageError as error:
                self._found[text] = error
        found = self._found[text]
        if isinstance(found, UsageError):
            raise UsageError(found.message)
        return found

    def _inside(self, text: str) -> Path:
        shown = redact.text(text, limit=80)
        if _ROOTED.match(text):
            raise UsageError(f"{shown!r} is not a path below the batch's own folder; copy the file there")
        try:
            path = (self._folder / text).resolve()
            if not path.exists() and "\\" in text:  # as Windows writes it
                path = (self._folder / text.replace("\\", "/")).resolve()
            inside, there = path.is_relative_to(self._folder), path.is_file()
        except (OSError, ValueError, RuntimeError):  # too long, a NUL, a link to itself
            raise UsageError(f"{shown!r} is not a valid file name") from None
        if not inside:
            raise UsageError(f"{shown!r} leads out of the batch's own folder; copy the file there")
        if not there:
            raise UsageError(f"there is no file {shown!r} in the batch's own folder")
        if any(part.startswith(".") for part in path.relative_to(self._folder).parts):  # the folder may be a home
            raise UsageError(f"{shown!r} is hidden and may hold a key; copy the file to a name without a leading dot")
        return path

    def sha256(self, path: Path) -> str:
        """The sha256 of a file's bytes, in hexadecimal. Raises UsageError if the file cannot be read."""
        try:
            found = path.stat()
            key = (path, found.st_size, found.st_mtime_ns)
            if key not in self._hashes:
                self._hashes[key] = _hashed(path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no such name"
            raise UsageError(f"cannot read {redact.text(str(path), limit=80)!r}: {why}") from None
        return self._hashes[key]


def _hashed(path: Path) -> str:
    made = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            made.update(piece)
    return made.hexdigest()
