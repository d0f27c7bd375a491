"""The lines for a screen of a given size. Pure: a view in, rich's Text out.

A provider's text is never read as markup, and its unprintable characters are replaced.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from vidpoll import BatchStatus

from .board import File, Row, View

MB = 1_000_000
NARROW = 60
"""The least columns for a legible row."""

NO_NEWS = "not known"
"""The state of a job without a response so far: not polled yet, or without success."""

_ORDER = {"running": 0, "queued": 1}
_STYLES = {"running": "cyan", "queued": "yellow"}
_ENDED = {"completed": "green", "failed": "red", "cancelled": "red", "expired": "red", "unknown": "yellow"}


@dataclass(frozen=True)
class Size:
    """Columns and rows; `ascii` if the terminal supports no other characters."""

    columns: int
    rows: int
    ascii: bool = False


@dataclass(frozen=True)
class _Columns:
    ref: int
    what: int
    bar: int


def lines(view: View, now: float, size: Size) -> list[Text]:
    """A row for each job and file, then their sum; never more than fit above the last row of the screen."""
    wide = size.columns - 1
    foot = [line for batch in view.batches for line in _batch(batch, now, wide)]
    many = not foot and len(view.rows) + sum(view.ended.values()) > 1
    room = max(size.rows - 1 - len(foot) - many, 1)
    files = view.files[:room]
    rows = view.rows
    if len(rows) + len(files) > room:  # then running jobs come first
        rows = tuple(sorted(rows, key=lambda row: _ORDER.get(row.state or "", 2)))[: room - len(files)]
    columns = _columns(rows, files, wide)
    found = [_row(row, now, columns, size) for row in rows] + [_file(file, columns, size) for file in files]
    hidden = len(view.rows) - len(rows)
    if many:
        found.append(_sum(view, hidden, now))
    if foot:
        found += foot
        _listed(foot[-1], _going(view, hidden), "; ")
    for line in found:
        line.truncate(wide, overflow="crop" if size.ascii else "ellipsis")
    return found


def _columns(rows: Iterable[Row], files: Iterable[File], wide: int) -> _Columns:
    """The widths of the columns: as wide as their content, within their share."""
    refs = [row.row or row.ref for row in rows] + [file.row or file.ref for file in files]
    whats = [_what(row) for row in rows] + [file.kind for file in files]
    ref = min(max(map(cell_len, refs), default=0), int(wide * 0.27))
    what = min(max([cell_len(_plain(word)) for word in whats] + [8]), int(wide * 0.21))
    bar = max(6, min(30, wide // 5 - 9))
    return _Columns(ref, what, bar)


def _row(row: Row, now: float, columns: _Columns, size: Size) -> Text:
    line = Text(no_wrap=True)
    line.append(_cell(row.row or row.ref, columns.ref, size), "bold")
    line.append("  ")
    line.append(_cell(_what(row), columns.what, size), _STYLES.get(row.state or "", "dim"))
    line.append("  ")
    _bar(line, row.progress, columns.bar, size)
    line.append(f"{_clock(now - row.began):>8}  ")
    _listed(line, _notes(row, now), "")
    return line


def _what(row: Row) -> str:
    """The provider's own word, if there is one, else the state."""
    if row.state is None and row.stage is None:
        return NO_NEWS
    return row.stage or str(row.state)


def _notes(row: Row, now: float) -> Iterable[tuple[str, str]]:
    """The notes, the most important first: the end of the line may be cut."""
    if row.fault is not None:
        again = "" if row.again is None else f"again in {max(0.0, row.again - now):.0f} s: "
        yield f"{again}{row.fault}", "yellow"
    if row.stalled is not None:
        yield f"stalled {_clock(now - row.stalled)}", "yellow"
    if row.late:
        yield "longer than usual", "yellow"
    if row.queue is not None and row.state == "queued":
        yield f"queue {row.queue:g}", "dim"
    if row.ends is not None and row.ends[1] > now:
        low, high = (_clock(max(0.0, end - now)) for end in row.ends)
        yield (f"{low}-{high} left" if low != high else f"{low} left"), "dim"


def _file(file: File, columns: _Columns, size: Size) -> Text:
    line = Text(no_wrap=True)
    line.append(_cell(file.row or file.ref, columns.ref, size), "bold")
    line.append("  ")
    line.append(_cell(file.kind, columns.what, size), "magenta")
    line.append("  ")
    share = 100 * file.received / file.total if file.total else None
    _bar(line, share, columns.bar, size)
    took = file.at - file.began
    rate = (file.received - file.start) / took if took > 0 else 0.0
    total = f"/{file.total / MB:.1f}" if file.total else ""
    line.append(f"  {file.received / MB:.1f}{total} MB")
    if rate > 0:
        line.append(f"  {rate / MB:.1f} MB/s", "dim")
        if file.total:
            line.append(f"  {_clock((file.total - file.received) / rate)} left", "dim")
    return line


def _sum(view: View, hidden: int, now: float) -> Text:
    ended = sum(view.ended.values())
    line = Text(f"{ended} of {ended + len(view.rows)} jobs ended", "bold", no_wrap=True)
    _listed(line, [(f"{view.ended[word]} {word}", style) for word, style in _ENDED.items() if view.ended[word]], ": ")
    states = [(row.state or NO_NEWS) for row in view.rows]
    going = [(f"{states.count(state)} {state}", style) for state, style in _STYLES.items() if state in states]
    going += [(f"{count} {NO_NEWS}", "dim")] if (count := states.count(NO_NEWS)) else []
    _listed(line, [*going, *_going(view, hidden)], "; ")
    line.append(f"; {_clock(now - view.began)}")
    ends = [row.ends for row in view.rows]
    if ends and all(end is not None and end[1] > now for end in ends):
        low, high = (max(end[side] for end in ends if end is not None) for side in (0, 1))
        line.append(f", the last in {_clock(max(0.0, low - now))}-{_clock(high - now)}", "dim")
    return line


def _going(view: View, hidden: int) -> Iterable[tuple[str, str]]:
    """The counts over all rows that are not states."""
    retrying = sum(row.fault is not None for row in view.rows)
    stalled = sum(row.stalled is not None for row in view.rows)
    counts = ((retrying, "retrying", "yellow"), (stalled, "stalled", "yellow"), (view.saving, "saving", "magenta"))
    return [(f"{count} {word}", style) for count, word, style in (*counts, (hidden, "not shown", "dim")) if count]


def _listed(line: Text, words: Iterable[tuple[str, str]], before: str) -> None:
    for word, style in words:
        line.append(before)
        line.append(_plain(word), style)
        before = ", "


def _batch(batch: BatchStatus, now: float, wide: int) -> list[Text]:
    """The state of a batch: its rows, then its money and its time; on one line if that fits."""
    rows, rest = Text(no_wrap=True), Text(no_wrap=True)
    rows.append(f"{_plain(batch.name)[:24]}: {batch.done:,} of {batch.total:,} done", "bold")
    counts = [(batch.states.get(state, 0), state) for state in ("running", "failed", "unknown")]
    words = [(f"{number:,} {state}", _STYLES.get(state) or _ENDED[state]) for number, state in counts if number]
    if batch.waiting:
        whys = ", ".join(f"{why} {number:,}" for why, number in sorted(batch.waiting.items()))
        words.append((f"{sum(batch.waiting.values()):,} waiting ({whys})", "dim"))
    _listed(rows, words, ", ")
    said = [(text, "bold") for text in batch.money()]
    said += [(text, "dim") for text in _reserved(batch)]
    said += [(f"{each.account} stopped: {each.stopped}", "red") for each in batch.accounts if each.stopped]
    said += [
        (f"{each.account} again at {_time(each.paused_until)}", "yellow")
        for each in batch.accounts
        if not each.stopped and each.paused_until is not None and each.paused_until > now
    ]
    left = batch.left(now)
    if left and batch.finish is not None:
        clocks = dict.fromkeys(_time(max(end, now)) for end in batch.finish)
        said.append((f"done {' to '.join(clocks)}, in {left}", "dim"))
    _listed(rest, said, "")
    if not said:
        return [rows]
    return [rows.append("; ").append(rest)] if rows.cell_len + rest.cell_len + 2 <= wide else [rows, rest]


def _reserved(batch: BatchStatus) -> Iterable[str]:
    """The reserved amounts; with the unit if it is not the only one shown."""
    units = {unit for unit, amount in {**batch.spent, **batch.reserved}.items() if unit and amount}
    for unit, amount in batch.reserved.items():
        if unit and amount:
            yield f"{amount:,.12g}{f' {unit}' if len(units) > 1 or not any(batch.money()) else ''} reserved"


def _time(at: float) -> str:
    return time.strftime("%H:%M", time.localtime(at))


def _bar(line: Text, progress: float | None, wide: int, size: Size) -> None:
    """A bar and a number; blank if the progress is unknown."""
    if progress is None:
        line.append(" " * (wide + 6))
        return
    full, rest = ("#", "-") if size.ascii else ("━", "─")
    done = int(wide * min(max(progress, 0.0), 100.0) / 100)
    line.append(full * done, "green")
    line.append(rest * (wide - done), "bright_black")
    line.append(f"{progress:4.0f} %")


def _cell(text: str, wide: int, size: Size) -> str:
    """The text, cut or padded to exactly `wide` columns."""
    shown = _plain(text)
    if cell_len(shown) > wide:
        shown = set_cell_size(shown, max(wide - 1, 0)) + ("~" if size.ascii else "…")
    return set_cell_size(shown, wide)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _clock(seconds: float) -> str:
    """0:42, 12:03, 1:02:03."""
    whole = max(int(seconds), 0)
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
