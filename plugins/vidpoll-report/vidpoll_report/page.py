"""The page: a run as one HTML file that needs only itself and the files that it links to.

The page contains no script, and its own policy forbids any; nothing is loaded over the network.
"""

from __future__ import annotations

import base64
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import vidpoll

from .batch import Batch, section
from .entry import GOING, UNKNOWN, Entry
from .html import Markup, raw, tag, web
from .timeline import Axis, bar, duration, word

SMALL = 150_000
"""The most bytes of a picture that is embedded in the page; a larger one is linked to."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: file: 'self'; media-src file: 'self'"

_PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"GIF8": "image/gif"}
_STATES = ("completed", "failed", "cancelled", "expired", UNKNOWN, GOING)


def page(entries: Sequence[Entry], title: str, folder: Path, written: float, batches: Iterable[Batch] = ()) -> str:
    """The whole file; `folder` is the folder of the page, from which the files are linked."""
    axis = Axis(entries)
    numbers = {entry.ref: f"job-{number}" for number, entry in enumerate(entries, 1)}
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", raw(_style())),
    )
    links = {entry.ref: _links(entry, folder) for entry in entries}
    nights = [section(batch, numbers, links) for batch in batches]
    body = tag(
        "body",
        tag("header", tag("h1", title), tag("p", _when(entries, written), class_="dim")),
        tag("main", nights, _sums(entries), _timeline(entries, axis, numbers), _gallery(entries, numbers, folder)),
        tag("footer", f"Written by vidpoll-report on {_moment(written)}.", class_="dim"),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


@lru_cache
def _style() -> str:
    return files(__package__).joinpath("page.css").read_text(encoding="utf-8")


def _when(entries: Sequence[Entry], written: float) -> str:
    starts = [entry.start for entry in entries if entry.start is not None]
    ends = [entry.end for entry in entries if entry.end is not None]
    if not starts or not ends:
        return f"No news of any job by {_moment(written)}."
    return f"{_moment(min(starts))} to {_moment(max(ends))}, {duration(max(ends) - min(starts))}"


def _moment(at: float) -> str:
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


# -- the sums ---------------------------------------------------------------------------------------------------------


def _sums(entries: Sequence[Entry]) -> Markup:
    states = Counter(entry.state for entry in entries)
    saved = [path for entry in entries for path in entry.files]
    took = sorted(entry.took for entry in entries if entry.state == "completed" and entry.took is not None)
    tiles = [_tile("jobs", len(entries))]
    tiles += [_tile(state, states[state], state.replace(" ", "-")) for state in _STATES if states[state]]
    tiles += [_tile("median of the completed", duration(took[len(took) // 2]))] if took else []
    tiles += [_tile("requests", sum(entry.requests for entry in entries))]
    faults = sum((entry.faults for entry in entries), Counter[str]())
    tiles += [_tile("faults survived", sum(faults.values()), "fault" if faults else None)]
    tiles += [_tile("files", len(saved)), _tile("in files", _bytes(sum(map(_size, saved))))] if saved else []
    for unit, cost in _money(entries).items():
        tiles.append(_tile(f"{unit} spent", f"{cost.net:,.12g}"))
        tiles += [_tile(f"{unit} refunded", f"{cost.refunded:,.12g} of {cost.charged:,.12g}")] if cost.refunded else []
    worst = [tag("li", f"{count} time{'s' * (count != 1)}: ", reason) for reason, count in faults.most_common(10)]
    told = None
    if worst and set(faults) != {"of any kind"}:
        more = len(faults) - len(worst)
        rest = tag("li", f"and {more} of other kinds") if more else None
        told = tag("details", tag("summary", "Faults survived"), tag("ul", worst, rest))
    return tag("section", tag("h2", "In all"), tag("dl", tiles, class_="tiles"), told)


def _tile(name: str, value: object, state: str | None = None) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value), class_=f"tile {state or ''}".strip())


def _money(entries: Iterable[Entry]) -> Mapping[str, vidpoll.Cost]:
    """The costs by unit; units are never mixed."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for entry in entries:
        if entry.cost is not None:
            sums[entry.cost.unit][0] += entry.cost.charged
            sums[entry.cost.unit][1] += entry.cost.refunded
    return {unit: vidpoll.Cost(charged, refunded, unit) for unit, (charged, refunded) in sums.items()}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


# -- the timeline -----------------------------------------------------------------------------------------------------


def _timeline(entries: Sequence[Entry], axis: Axis, numbers: Mapping[str, str]) -> Markup | None:
    drawn = [entry for entry in entries if entry.spans]
    if not drawn:
        return None
    rows = [
        tag(
            "li",
            tag("a", entry.name, href=f"#{numbers[entry.ref]}", class_="ref"),
            bar(entry, axis),
            tag("span", duration(entry.took or 0.0), class_="took"),
        )
        for entry in drawn
    ]
    shown = {span.name for entry in drawn for span in entry.spans}
    keys = [(name, f"c{colour}") for name, colour in axis.colours.items() if name in shown]
    keys += [("a fault", "fault")] if any(entry.faults_at for entry in drawn) else []
    legend = tag("ul", [tag("li", tag("i", class_=f"key {style}"), name) for name, style in keys], class_="legend")
    marks = [
        tag("span", duration(seconds) if seconds else "0", style=f"left:{percent:.2f}%")
        for seconds, percent in axis.marks()
    ]
    scale = tag("div", tag("span"), tag("div", marks, class_="marks"), tag("span"), class_="scale", aria_hidden="true")
    return tag("section", tag("h2", "When"), legend, tag("ol", rows, class_="timeline"), scale)


# -- the gallery ------------------------------------------------------------------------------------------------------


def _gallery(entries: Sequence[Entry], numbers: Mapping[str, str], folder: Path) -> Markup:
    cards = [_card(entry, numbers[entry.ref], folder) for entry in entries]
    return tag("section", tag("h2", "Results"), tag("div", cards, class_="gallery"))


def _card(entry: Entry, number: str, folder: Path) -> Markup:
    return tag(
        "article",
        tag("div", _media(entry, folder), class_="media"),
        tag("p", tag("b", entry.state, class_=f"chip {word(entry)}"), " ", tag("span", entry.name, class_="ref")),
        tag("p", entry.prompt, class_="prompt") if entry.prompt else None,
        tag("p", entry.problem, class_="problem") if entry.problem is not None else None,
        tag("p", entry.why, class_="problem") if entry.why else None,
        tag("dl", [(tag("dt", name), tag("dd", value)) for name, value in _facts(entry, folder)], class_="facts"),
        id=number,
    )


def _facts(entry: Entry, folder: Path) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [("job", entry.ref)] if entry.row else []
    if entry.took is not None and entry.start is not None:
        found.append(("took", f"{duration(entry.took)}, from {_moment(entry.start)}"))
    spans = [f"{span.name} {duration(span.end - span.begin)}" for span in entry.spans]
    found += [("stages", ", ".join(spans))] if spans else []
    found += [("stage", entry.stage)] if entry.stage and not spans else []
    found += [("video", duration(entry.length))] if entry.length is not None else []
    faults = sum(entry.faults.values())
    borne = f", {faults} {'fault' if faults == 1 else 'faults'} survived" if faults else ""
    found += [("requests", f"{entry.requests}{borne}")] if entry.requests or faults else []
    found += [("stalled", duration(entry.stalled))] if entry.stalled is not None else []
    found += [("cost", entry.cost)] if entry.cost is not None else []
    found += [("operation", entry.operation)] if entry.operation else []
    fields = {name: value for name, value in entry.fields.items() if value != entry.prompt}
    found += [("fields", ", ".join(f"{name}={value}" for name, value in fields.items()))] if fields else []
    links = _links(entry, folder)
    return [*found, ("files", links)] if links else found


def _links(entry: Entry, folder: Path) -> Sequence[object]:
    links: list[object] = [_file(path, kind, folder) for path, kind in entry.files.items()]
    links += [] if entry.files else [_remote(kind, url) for kind, url in entry.links]
    return [(" · " if index else "", link) for index, link in enumerate(links)]


def _file(path: Path, kind: str, folder: Path) -> Markup:
    return tag("a", f"{kind}, {_bytes(_size(path))}", href=_where(path, folder))


def _remote(kind: str, url: str) -> Markup:
    """A file that was not saved: a link if its URL may be shown; a signed URL would be useless after its end."""
    href = web(url)
    return tag("a", kind, href=href, rel="noreferrer") if href else tag("span", f"{kind} (not saved)")


def _where(path: Path, folder: Path) -> str:
    """The link from the page to a file: relative, so that both can be moved together."""
    try:
        found = os.path.relpath(path, folder).replace(os.sep, "/")
    except ValueError:  # another drive
        return path.absolute().as_uri()
    return f"./{quote(found)}"


def _media(entry: Entry, folder: Path) -> Markup:
    kinds = {kind: path for path, kind in reversed(entry.files.items())}
    video = kinds.get("video") or kinds.get("combined")
    for kind in ("thumbnail", "last_frame"):
        picture = None if kind not in kinds else _picture(kinds[kind], folder)
        if picture is not None:
            shown = tag("img", src=picture, alt=f"{kind} of {entry.ref}", loading="lazy")
            return tag("a", shown, href=_where(video, folder), class_="play") if video is not None else shown
    if video is not None:
        return tag("video", controls=True, preload="metadata", src=_where(video, folder))
    return tag("span", entry.stage or entry.state, class_="none")


def _picture(path: Path, folder: Path) -> str | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return _where(path, folder) if stat.st_size > SMALL else _embedded(path, stat.st_mtime, stat.st_size)


@lru_cache(maxsize=4096)
def _embedded(path: Path, changed: float, size: int) -> str | None:
    """A picture as a data URL; None if the file is not a picture. It is read once for all versions of the page."""
    del changed, size
    try:
        data = path.read_bytes()
    except OSError:
        return None
    kind = next((kind for magic, kind in _PICTURES.items() if data.startswith(magic)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    return None if kind is None else f"data:{kind};base64,{base64.b64encode(data).decode()}"
