"""Record `vidpoll demo` at a terminal of its own, as an SVG that plays: `pip install pyte`, then run this file.

The picture lands beside it, as demo.svg. Its frames are what the terminal showed, one a step of the animation.
"""

from __future__ import annotations

import os
import pty
import select
import sys
import tempfile
import time
from html import escape
from pathlib import Path

import pyte

COMMAND = ["vidpoll", "demo", "fal", "kling", "openai", "replicate", "runway"]
COLUMNS, ROWS = 112, 20
EVERY, HOLD = 0.7, 4.0
CELL, LINE = 8.4, 18
COLOURS = {"default": "#d0d7de", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "yellow": "#e3b341",
           "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea"}  # fmt: skip


def record() -> list[tuple[float, list[str]]]:
    """What the terminal showed, with the second from which it did; each screen is a list of SVG lines."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tempfile.mkdtemp())
        os.environ.update(COLUMNS=str(COLUMNS), LINES=str(ROWS), TERM="xterm-256color")
        os.execvp(COMMAND[0], COMMAND)
    begun: float | None = None
    frames: list[tuple[float, list[str]]] = []
    while True:
        if select.select([terminal], [], [], EVERY)[0]:
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:  # the other side is gone
                break
        shown, now = lines(screen), time.monotonic()
        begun = now if begun is None and any(shown) else begun
        if begun is not None and (not frames or (now - begun - frames[-1][0] >= EVERY and shown != frames[-1][1])):
            frames.append((now - begun, shown))
    os.waitpid(child, 0)
    return [*frames, (frames[-1][0] + EVERY, lines(screen))]


def lines(screen: pyte.Screen) -> list[str]:
    """The screen as SVG text, a line each, with a span for each colour."""
    found = []
    for row in range(ROWS):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        spans, column = [], 0
        while column < COLUMNS:
            look = (cells[column].fg, cells[column].bold)
            end = column
            while end < COLUMNS and (cells[end].fg, cells[end].bold) == look:
                end += 1
            text = "".join(cell.data for cell in cells[column:end])
            if text.strip():
                weight = ' font-weight="bold"' if look[1] else ""
                fill = COLOURS.get(look[0], f"#{look[0]}" if len(look[0]) == 6 else COLOURS["default"])
                spans.append(f'<tspan x="{column * CELL:.1f}" fill="{fill}"{weight}>{escape(text.rstrip())}</tspan>')
            column = end
        found.append(f'<text y="{(row + 1) * LINE}">{"".join(spans)}</text>' if spans else "")
    return found


def picture(frames: list[tuple[float, list[str]]]) -> str:
    """An SVG that shows each frame for as long as the terminal did. It begins with the last one, held longer."""
    whole = frames[-1][0] + HOLD
    ends = [at for at, _ in frames[1:]] + [whole]
    shown, rules = [], []
    for number, ((at, text), end) in enumerate(zip(frames, ends, strict=True)):
        shown.append(f'<g class="f" id="f{number}">{"".join(text)}</g>')
        start, stop = 100 * at / whole, 100 * end / whole
        rules.append(
            f"@keyframes k{number}{{0%{{opacity:{int(start == 0)}}}{start:.2f}%{{opacity:1}}{stop:.2f}%{{opacity:0}}}}"
            f"#f{number}{{animation:k{number} {whole:.1f}s step-end {HOLD - whole:.1f}s infinite}}"
        )
    last = f"#f{len(frames) - 1}{{opacity:1}}"  # where nothing moves
    width, height = COLUMNS * CELL + 32, ROWS * LINE + 32
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="14" role="img" aria-label="vidpoll demo">'
        f"<style>.f{{opacity:0}}{last}@media (prefers-reduced-motion:no-preference){{{''.join(rules)}}}"
        "text{white-space:pre}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/><g transform="translate(16 12)">{"".join(shown)}</g>'
        "</svg>\n"
    )


if __name__ == "__main__":
    path = Path(__file__).with_name("demo.svg")
    path.write_text(picture(record()), encoding="utf-8")
    sys.stdout.write(f"written: {path}, {path.stat().st_size} bytes\n")
