"""The errors of SQLite and the disk, in words that name the way out."""

from __future__ import annotations

_DAMAGED = "is damaged: move it away, and vidpoll makes a new one; jobs continue at their providers"


def way_out(error: Exception) -> str:
    """What is wrong with the file, and what to do, as the end of a sentence that begins with the file's path."""
    if isinstance(error, UnicodeError):
        return "cannot keep text that is not Unicode, like a file name in another encoding: choose another name"
    if isinstance(error, ValueError):
        return _DAMAGED
    said = str(error).lower()
    known = {
        "locked": "is locked by another program: close that program (a backup, an SQLite shell) and try again",
        "readonly": "cannot be written to: check its permissions and those of its folder, or name another store",
        "full": "cannot grow, because its disk is full: free some space; what it holds is whole",
        "malformed": _DAMAGED,
        "not a database": (
            "is not an SQLite file: name another one; if it was a store, rename it, and vidpoll makes a new one"
        ),
        "disk i/o": "cannot be read or written, the disk reports an error: check the disk and its free space",
        "unable to open": "cannot be opened: check that its folder exists and can be written to",
    }
    for words, way in known.items():
        if words in said:
            return way
    why = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    return f"cannot be used ({why}): check its path and permissions, or name another store"
