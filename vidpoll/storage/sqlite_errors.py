"""What SQLite and the disk say when a store does not work, in words that tell the way out."""

from __future__ import annotations

_DAMAGED = "is damaged: move it away, and a new one is made; jobs go on at their providers"


def way_out(error: Exception) -> str:
    """What is wrong with the file, as the end of a sentence that begins with its path, and what to do about it."""
    if isinstance(error, UnicodeError):
        return "can keep no text that is not Unicode, like a file name of another encoding: choose another one"
    if isinstance(error, ValueError):
        return _DAMAGED
    said = str(error).lower()
    known = {
        "locked": "is locked by another program: close what has it open (a backup, an SQLite shell) and try again",
        "readonly": "cannot be written to: check its permissions and those of its folder, or name another store",
        "full": "cannot grow, there is no room left: free some on its disk; what it holds is whole",
        "malformed": _DAMAGED,
        "not a database": "is no SQLite file: name another one; if it was a store, rename it, and a new one is made",
        "disk i/o": "cannot be read or written, the disk reports an error: check the disk and the room on it",
        "unable to open": "cannot be opened: check that its folder is there and may be written to",
    }
    for words, way in known.items():
        if words in said:
            return way
    why = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    return f"cannot be used ({why}): check its path and its permissions, or name another store"
