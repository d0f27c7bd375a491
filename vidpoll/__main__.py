"""`vidpoll` and `python -m vidpoll`: the process that is the command line's own, and the signals that end it.

SIGTERM (`docker stop`, systemd, `timeout`) and SIGHUP end it as Ctrl-C does: what is left and how to go on is said. As
process 1 of a container it has to ask for that: the system would pass it no signal.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

ENDING = ("SIGTERM", "SIGHUP")

INTERRUPTED = 130


def run() -> int:
    """Run the command line; the exit code. Ctrl-C while it is being loaded ends it without a word."""
    got: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        got.append(number)
        raise KeyboardInterrupt

    try:
        for name in ENDING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
                signal.signal(number, end)
        from .cli import main

        code = main()
    except KeyboardInterrupt:
        code = INTERRUPTED
    return 128 + got[-1] if got and code == INTERRUPTED else code


if __name__ == "__main__":
    sys.exit(run())
