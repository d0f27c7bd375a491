"""`vidpoll` and `python -m vidpoll`: the process of the command line, and the signals that end it.

SIGTERM (`docker stop`, systemd, `timeout`) and SIGHUP end the process as Ctrl-C does: it prints which jobs are left and
how to resume. It installs handlers for both because process 1 of a container receives no signal without a handler.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

ENDING = ("SIGTERM", "SIGHUP")

INTERRUPTED = 130


def run() -> int:
    """Run the command line and return the exit code. Ctrl-C while it is being loaded prints nothing."""
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
