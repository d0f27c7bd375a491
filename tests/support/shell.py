"""The command line in process: scripted answers in, lines and exit codes out. No network and no sleep."""

from __future__ import annotations

import io
from collections.abc import Callable

from acme_provider import (
    MP4,
)

import vidpoll

Shell = Callable[..., tuple[int, list[str], list[str]]]

MEDIA = {"/files/": [MP4]}


class Interrupting:
    """Ctrl-C, as it comes in the middle of a wait."""

    @vidpoll.hookimpl
    def vidpoll_completed(self) -> None:
        raise KeyboardInterrupt


class Pipe(io.StringIO):
    """Standard output whose reader is gone, or whose disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        return True
