"""Signals that end a long command: the first one gently, the second one at once, like Ctrl-C elsewhere."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .output import INTERRUPTED, Output

TERMINATED = 143


@contextmanager
def gently(stop: threading.Event, out: Output, said: str) -> Iterator[list[int]]:
    """The first signal sets `stop` and prints `said`; the second raises KeyboardInterrupt. Yields their exit codes."""
    codes: list[int] = []

    def ask(number: int, frame: object) -> None:
        del frame
        if stop.is_set():
            raise KeyboardInterrupt
        codes.append(INTERRUPTED if number == signal.SIGINT else TERMINATED)
        stop.set()
        out.error(said)

    if threading.current_thread() is not threading.main_thread():
        yield codes
        return
    names = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    before = {number: signal.getsignal(number) for number in names}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, ask)
        yield codes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
