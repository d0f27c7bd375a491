"""Words as a line that the user's shell reads as the same words again. Pure; knows no command."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

_PLAIN = re.compile(r"[\w@%+=:,./\\-]+", re.ASCII)
"""What cmd.exe and PowerShell take as it stands."""


def quote(word: str) -> str:
    """One word; on Windows in double quotes where it needs some: cmd.exe takes single ones for letters."""
    if os.name != "nt":
        return shlex.quote(word)
    if _PLAIN.fullmatch(word):
        return word
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    ending = len(escaped) - len(escaped.rstrip("\\"))  # these stand before the last quote, and would escape it
    return f'"{escaped}{escaped[len(escaped) - ending :]}"'


def join(words: Iterable[str]) -> str:
    """A whole line."""
    return " ".join(map(quote, words))
