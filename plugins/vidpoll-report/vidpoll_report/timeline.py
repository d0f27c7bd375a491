"""Stages as bars: one SVG per job, all on one axis. The SVGs scale with the page, and contain no text except titles."""

from __future__ import annotations

from collections.abc import Sequence

from .entry import Entry
from .html import Markup, tag

WIDE, HIGH = 1000, 20
COLOURS = 8
"""Classes c0 to c7 of the style sheet; c0 is the time before the first response."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)


class Axis:
    """The time from the first start to the last end, and a colour for each stage."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        starts = [entry.start for entry in entries if entry.start is not None]
        ends = [entry.end for entry in entries if entry.end is not None]
        self.begin = min(starts, default=0.0)
        self.end = max([*ends, self.begin + 1.0])
        names = dict.fromkeys(span.name for entry in entries for span in entry.spans if span.name != "waiting")
        self.colours = {"waiting": 0, **{name: index % (COLOURS - 1) + 1 for index, name in enumerate(names)}}

    def at(self, moment: float) -> float:
        """The position of a moment, from 0 to WIDE."""
        return round(WIDE * min(max((moment - self.begin) / (self.end - self.begin), 0.0), 1.0), 2)

    def marks(self) -> list[tuple[float, float]]:
        """Some round moments: seconds from the start, and their position in percent."""
        long = self.end - self.begin
        step = next((step for step in _STEPS if long / step <= 6), max(86400, int(long / 6)))
        return [(step * n, 100 * step * n / long) for n in range(int(long / step) + 1)]


def bar(entry: Entry, axis: Axis) -> Markup:
    """The stages of a job, and a line for each fault."""
    parts = []
    for span in entry.spans:
        left, right = axis.at(span.begin), axis.at(span.end)
        title = tag("title", f"{span.name}: {duration(span.end - span.begin)}")
        wide = max(round(right - left, 2), 1.0)
        parts.append(tag("rect", title, x=left, y=2, width=wide, height=16, class_=f"c{axis.colours[span.name]}"))
    parts += [tag("rect", x=axis.at(at), y=0, width=1.5, height=HIGH, class_="fault") for at in entry.faults_at]
    if entry.end is not None:
        parts.append(
            tag("rect", x=max(axis.at(entry.end) - 3, 0), y=0, width=3, height=HIGH, class_=f"end {word(entry)}")
        )
    label = f"{entry.ref}: " + ", ".join(f"{span.name} {duration(span.end - span.begin)}" for span in entry.spans)
    box = f"0 0 {WIDE} {HIGH}"
    return tag(
        "svg", parts, xmlns="http://www.w3.org/2000/svg", viewBox=box, preserveAspectRatio="none", role="img",
        aria_label=label,
    )  # fmt: skip


def word(entry: Entry) -> str:
    """The state as the name of a CSS class."""
    return entry.state.replace(" ", "-")


def duration(seconds: float) -> str:
    """Seconds as a readable text: 4.2 s, 3 min 5 s, 1 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
