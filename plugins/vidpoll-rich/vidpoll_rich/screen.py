"""The lowest lines of a terminal, drawn anew while above them other text scrolls by. The only file that writes.

A thread of its own draws, so that a terminal that is slow or stopped (Ctrl-S) holds nobody who waits for a job; it
lives from `start` to `stop`. Meanwhile what others write to standard output and standard error goes above the lines.
The cursor stays visible: whatever ends the process, the terminal is as it was.
"""

from __future__ import annotations

import atexit
import io
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

log = logging.getLogger("vidpoll")

EVERY = 0.25
"""Seconds between two frames at least, and twenty times as long as the last one took."""

LEAVE = 2.0
"""Seconds that the end of a wait is held for a terminal that does not take what is written to it."""

_STREAMS = ("stdout", "stderr")

Fit = Callable[[Console], bool]
"""Whether a terminal is fit for lines that are drawn anew; it may cease to be, when a window becomes narrow."""

Paint = Callable[[Console], "list[Text]"]
"""The lines to show now."""


class Screen:
    """Shows what `paint` gives at the foot of a `console` that is `fit`, and what `say` is given above it."""

    def __init__(self, console: Console, fit: Fit, paint: Paint) -> None:
        self.console = console
        self.fit = fit
        self.paint = paint
        self._waiting: deque[Text] = deque(maxlen=10_000)
        self._wake = threading.Event()
        self._lock = threading.RLock()  # who holds it writes
        self._frame: list[str] = []  # what stands there
        self._size: tuple[int, int] | None = None
        self._live = False
        self._painter: Console
        self._thread: threading.Thread | None = None
        self._done = threading.Event()
        self._proxies: dict[str, _Above] = {}

    @property
    def stream(self) -> TextIO:
        return self.console.file  # type: ignore[return-value]  # IO[str]

    def start(self) -> None:
        """Begin to draw."""
        if self._thread is not None:
            return
        self._done = threading.Event()
        self._size = None
        taken = any(isinstance(getattr(sys, name), _Above) for name in _STREAMS)  # by another client of this process
        self._live = not taken and self.fit(self.console)
        colours: Any = self.console.color_system if self._live else None  # one of the words that Console takes
        self._painter = Console(file=io.StringIO(), force_terminal=True, color_system=colours, legacy_windows=False)
        if self._live:
            self._stand_before()
        self._thread = threading.Thread(target=self._work, args=(self._done,), name="vidpoll-rich", daemon=True)
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Remove the lines, leave what was said, and give the streams back. Returns within `LEAVE` seconds."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        atexit.unregister(self.stop)
        self._done.set()
        self._wake.set()
        try:
            thread.join(LEAVE)
        finally:
            self._step_aside()

    def say(self, line: Text) -> None:
        """A line that stays. Never waits for the terminal."""
        self._waiting.append(line)
        self._wake.set()

    def _work(self, done: threading.Event) -> None:
        try:
            while not done.is_set():
                began = time.monotonic()
                self._step()
                self._wake.wait(max(EVERY, 20 * (time.monotonic() - began)) if self._live else None)
                self._wake.clear()
            self._step(last=True)
        except (OSError, ValueError):  # the terminal is gone: nothing is left to draw on
            self._frame = []
        except Exception:
            log.exception("vidpoll-rich cannot draw")
            self._frame = []

    def _step(self, *, last: bool = False) -> None:
        size = (self.console.width, self.console.height)
        resized, self._size = self._size not in (None, size), size
        said = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if resized and not said and not last:  # while a window is dragged, a frame each time would be left over
            return
        shows = self._live and not last and self.fit(self.console)
        frame = self._rendered(self.paint(self.console) if shows else [])
        if said or frame != self._frame:
            with self._lock:
                self._write(self._erased() + "".join(f"{line}\n" for line in self._rendered(said)) + self._drawn(frame))

    def _rendered(self, lines: list[Text]) -> list[str]:
        """With the terminal's own colours, by a console that owns no stream: rich ends a program whose pipe breaks."""
        with self._painter.capture() as capture:
            for line in lines:
                self._painter.print(line, soft_wrap=True, highlight=False)
        return capture.get().split("\n")[:-1] if lines else []

    def _erased(self) -> str:
        """What removes the lines that stand there, the cursor at the end of the last one.

        With Ctrl-C a terminal drops what it has not shown yet: the end of a frame, and what switched wrapping on again.
        """
        if not self._frame:
            return ""
        up = f"\x1b[{len(self._frame) - 1}A" if len(self._frame) > 1 else ""
        self._frame = []
        return f"\x1b[0m\x1b[?7h\r{up}\x1b[J"

    def _drawn(self, frame: list[str]) -> str:
        """Lines without a line's end after the last one; none is wrapped, whatever a terminal takes for its width."""
        self._frame = frame
        return "\x1b[?7l" + "\n".join(frame) + "\x1b[?7h" if frame else ""

    def _write(self, text: str) -> None:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.stream.write(text.encode(encoding, "replace").decode(encoding))
        self.stream.flush()

    def above(self, stream: TextIO, text: str) -> None:
        """Whole lines of somebody else."""
        with self._lock:
            frame = self._frame
            if frame:
                self._write(self._erased())
            stream.write(text)
            stream.flush()
            if frame and not self._done.is_set():
                self._write(self._drawn(frame))

    def _stand_before(self) -> None:
        for name in _STREAMS:
            stream = getattr(sys, name)
            if stream is not None and stream.isatty():
                self._proxies[name] = _Above(self, stream)
                setattr(sys, name, self._proxies[name])

    def _step_aside(self) -> None:
        while self._proxies:
            name, proxy = self._proxies.popitem()
            if getattr(sys, name) is proxy:
                setattr(sys, name, proxy.stream)
            proxy.leave()


class _Above:
    """Stands before a stream: what is written goes above the lines, a line at a time. All else is the stream's."""

    def __init__(self, screen: Screen, stream: TextIO) -> None:
        self.screen = screen
        self.stream = stream
        self._begun = ""
        self._left = False

    def write(self, text: str) -> int:
        if self._left:  # somebody has kept it: a logging handler, say
            return self.stream.write(text)
        with self.screen._lock:
            whole, end, self._begun = (self._begun + text).rpartition("\n")
            if end:
                self.screen.above(self.stream, whole + end)
        return len(text)

    def flush(self) -> None:
        """A line that has only begun waits for its end; a question to the user would be lost below the lines."""
        if self._left:
            self.stream.flush()

    def leave(self) -> None:
        """Write what has begun, and pass everything on from now."""
        self._left = True
        begun, self._begun = self._begun, ""
        if begun:
            self.stream.write(begun)
            self.stream.flush()

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
