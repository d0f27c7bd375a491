"""The check that files can be saved in a folder, before anything is sent."""

from __future__ import annotations

from pathlib import Path

from .errors import UsageError


def check_folder(target: str, what: str) -> None:
    """Raise UsageError if nothing can be saved in a folder. The folder need not exist yet; it is not created here."""
    import tempfile  # only a call that saves files needs it

    try:
        folder = Path(target).expanduser().absolute()
        while not _is_there(folder):
            folder = folder.parent
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, ValueError, RuntimeError) as error:  # no such user, or not a path on this system
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{what}: cannot save files in {target!r}: {why}; name another folder") from None


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
