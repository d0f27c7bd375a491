"""Quotes words for the user's shell, so that it reads the same words again. Pure; knows no command."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

_PLAIN = re.compile(r"[\w@%+=:,./\\-]+", re.ASCII)
"""Words that cmd.exe and PowerShell take unquoted."""


def quote(word: str) -> str:
    """Quote one word; on Windows with double quotes if needed: cmd.exe does not treat single ones as quotes."""
    if os.name != "nt":
        return shlex.quote(word)
    if _PLAIN.fullmatch(word):
        return word
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    ending = len(escaped) - len(escaped.rstrip("\\"))  # these come before the closing quote, and would escape it
    return f'"{escaped}{escaped[len(escaped) - ending :]}"'


def join(words: Iterable[str]) -> str:
    """Quote several words as one line."""
    return " ".join(map(quote, words))
