"""The lowest lines of a terminal, redrawn while other text scrolls above them. Only this module writes.

A thread of its own draws, so that a slow or stopped terminal (Ctrl-S) delays no wait for a job; the thread lives from
`start` to `stop`. Meanwhile other output to standard output and standard error goes above the lines. The cursor stays
visible: whatever ends the process, the terminal is as it was.
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
"""The least seconds between two frames; the pause is also at least twenty times as long as drawing the last frame."""

LEAVE = 2.0
"""The most seconds by which a terminal that accepts no output delays the end of a wait."""

_STREAMS = ("stdout", "stderr")

Fit = Callable[[Console], bool]
"""Whether lines can be redrawn on a terminal; this may change when a window becomes narrow."""

Paint = Callable[[Console], "list[Text]"]
"""The lines to show now."""


class Screen:
    """Shows the lines of `paint` at the foot of a `console`, if `fit` says so, and the lines of `say` above them."""

    def __init__(self, console: Console, fit: Fit, paint: Paint) -> None:
        self.console = console
        self.fit = fit
        self.paint = paint
        self._waiting: deque[Text] = deque(maxlen=10_000)
        self._wake = threading.Event()
        self._lock = threading.RLock()  # only its holder writes
        self._frame: list[str] = []  # the lines on the screen
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
        """Start drawing."""
        if self._thread is not None:
            return
        self._done = threading.Event()
        self._size = None
        taken = any(isinstance(getattr(sys, name), _Above) for name in _STREAMS)  # by another client of this process
        self._live = not taken and self.fit(self.console)
        colours: Any = self.console.color_system if self._live else None  # one of Console's own words
        self._painter = Console(file=io.StringIO(), force_terminal=True, color_system=colours, legacy_windows=False)
        if self._live:
            self._stand_before()
        self._thread = threading.Thread(target=self._work, args=(self._done,), name="vidpoll-rich", daemon=True)
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Remove the lines, keep the text of `say`, and restore the streams. Returns within `LEAVE` seconds."""
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
        """Show a line that stays. This never waits for the terminal."""
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
        if resized and not said and not last:  # while a window is resized, each frame would leave a copy behind
            return
        shows = self._live and not last and self.fit(self.console)
        frame = self._rendered(self.paint(self.console) if shows else [])
        if said or frame != self._frame:
            with self._lock:
                self._write(self._erased() + "".join(f"{line}\n" for line in self._rendered(said)) + self._drawn(frame))

    def _rendered(self, lines: list[Text]) -> list[str]:
        """The lines with the terminal's colours, by a console without a stream: rich exits when a pipe breaks."""
        with self._painter.capture() as capture:
            for line in lines:
                self._painter.print(line, soft_wrap=True, highlight=False)
        return capture.get().split("\n")[:-1] if lines else []

    def _erased(self) -> str:
        """The codes that remove the lines on the screen; the cursor is at the end of the last one.

        At Ctrl-C a terminal drops pending output: the end of a frame, and the code that switches wrapping on again.
        """
        if not self._frame:
            return ""
        up = f"\x1b[{len(self._frame) - 1}A" if len(self._frame) > 1 else ""
        self._frame = []
        return f"\x1b[0m\x1b[?7h\r{up}\x1b[J"

    def _drawn(self, frame: list[str]) -> str:
        """The lines, without a line feed after the last one; none is wrapped, whatever width the terminal assumes."""
        self._frame = frame
        return "\x1b[?7l" + "\n".join(frame) + "\x1b[?7h" if frame else ""

    def _write(self, text: str) -> None:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.stream.write(text.encode(encoding, "replace").decode(encoding))
        self.stream.flush()

    def above(self, stream: TextIO, text: str) -> None:
        """Write whole lines of another writer above the frame."""
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
    """Replaces a stream: written text goes above the lines, a line at a time. All other methods are the stream's."""

    def __init__(self, screen: Screen, stream: TextIO) -> None:
        self.screen = screen
        self.stream = stream
        self._begun = ""
        self._left = False

    def write(self, text: str) -> int:
        if self._left:  # another object has kept this one, for example a logging handler
            return self.stream.write(text)
        with self.screen._lock:
            whole, end, self._begun = (self._begun + text).rpartition("\n")
            if end:
                self.screen.above(self.stream, whole + end)
        return len(text)

    def flush(self) -> None:
        """Flush only after the display has ended: an incomplete line waits for its end."""
        if self._left:
            self.stream.flush()

    def leave(self) -> None:
        """Write the incomplete line, and from now on pass everything to the stream."""
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
