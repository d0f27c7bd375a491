"""Writes a file so that it is whole at every moment; knows not what is in it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def whole(path: Path, text: str) -> None:
    """Write a file so that under its name there is the old one or the new one, never a part. Raises OSError."""
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe: to put a file in its place would destroy it
        path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(path))  # noqa: PTH101 - a name, not yet a Path
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise


def _mode(path: Path) -> int:
    """Of the file that is there; a new one may be read by whoever may read what this process writes."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
