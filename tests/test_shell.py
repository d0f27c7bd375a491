"""Lines that a shell reads as they were meant, on POSIX and on Windows."""

from __future__ import annotations

import os
import shlex
from types import SimpleNamespace

import pytest

from vidpoll import shell

WINDOWS = {
    "magicoal:3f8a": "magicoal:3f8a",
    r"C:\Users\me\jobs.sqlite3": r"C:\Users\me\jobs.sqlite3",
    "": '""',
    "C:\\my clips\\": '"C:\\my clips\\\\"',
    "https://x.example/v1?a=1&b=2": '"https://x.example/v1?a=1&b=2"',
    'say "hi"': r'"say \"hi\""',
    'a\\"b': r'"a\\\"b"',
    "it's": '"it\'s"',
}


@pytest.mark.parametrize(("word", "quoted"), WINDOWS.items())
def test_windows_knows_double_quotes_only(word: str, quoted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backslashes are part of a path; those before a quote are doubled, as programs read them."""
    monkeypatch.setattr(shell, "os", SimpleNamespace(name="nt"))
    assert shell.join(["vidpoll", word]) == f"vidpoll {quoted}"


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize("word", WINDOWS)
def test_elsewhere_the_line_is_read_back(word: str) -> None:
    """What `shlex` splits is what was joined."""
    assert shlex.split(shell.join(["vidpoll", word])) == ["vidpoll", word]
