"""Writes a file so that it is complete at every moment, whatever its content."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from uuid import uuid4


def whole(path: Path, text: str) -> None:
    """Write a file so that under its name there is the old or the new file, never a part. Raises OSError."""
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe: replacing it by a file would destroy it
        path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
        return
    mode, part = _mode(path), path.with_name(f".{path.name[:40]}-{uuid4().hex[:8]}.tmp")
    try:
        with part.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
            if mode is not None:
                part.chmod(mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _mode(path: Path) -> int | None:
    """The mode of the existing file; None for a new one, which gets the system's default."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return None
