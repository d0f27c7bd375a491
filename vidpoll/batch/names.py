"""The name of a row's file: a template with placeholders, made into a name valid on Linux, macOS and Windows. Pure.

The placeholders are `{key}`, `{account}`, `{kind}`, `{model}`, `{seed}`, `{n}` (the take: 2 of `shot#2`), `{date}`, and
any column of the input; `{prompt:30}` is at most its first 30 characters. A `/` in the template makes a folder below
the target; a `/` in a value never does. The suffix is not part of the template: it follows from the file's bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import lru_cache
from string import Formatter
from typing import Any

from .. import redact
from ..errors import UsageError
from ..field_names import nearest
from .cells import base
from .rows import Row

DEFAULT = "{key}"
LONGEST = 200
"""Most bytes of one part of a name in UTF-8; file systems allow 255, and suffixes are added to it."""

_HOLES = ("key", "account", "kind", "model", "seed", "n", "date")
_MODELS = ("model", "model_name")
_TAKE = re.compile(r"#([0-9]{1,6})$")
_UNSAFE = re.compile(r"[<>:\"/\\|?*]")
_VIDEO = re.compile(r"(?i)\.(mp4|mov|webm|mkv|gif)$")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)")


def name_of(row: Row, template: str = DEFAULT, *, date: str = "", columns: Collection[str] = ()) -> str:
    """The name of a row's file without its suffix, relative to the target, with `/` between folders.

    The row's own template takes precedence over `template`. `date` fills `{date}`; `columns` are those of the whole
    input: a column that is empty in this row gives an empty text. Raises UsageError for an invalid template.
    """
    said = row.file or template
    values = _values(row, date)
    parts = [_part(part, values, columns) for part in _parts(said)]
    if not all(parts):
        raise UsageError(f"{redact.text(said, limit=80)!r} gives an empty name for this row")
    return "/".join(parts)


def folded(name: str) -> str:
    """A form that is equal for two names if they are the same file on macOS or Windows."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


Piece = tuple[str, str, int]
"""Literal text, the placeholder after it, and the most characters of its value (0: all)."""


@lru_cache(maxsize=1024)
def _parts(template: str) -> tuple[tuple[Piece, ...], ...]:
    """The pieces of each part between slashes. Raises UsageError."""
    shown = redact.text(template, limit=80)
    parts = _VIDEO.sub("", template.strip()).split("/")
    if "\\" in template or "" in parts or any(part.strip(". ") == "" for part in parts):
        raise UsageError(f"{shown!r} must be names separated by '/', none of them empty, '.' or '..', without '\\'")
    try:
        return tuple(tuple(_piece(*each) for each in Formatter().parse(part)) for part in parts)
    except ValueError as error:
        raise UsageError(
            f"{shown!r}: {error}; write a placeholder as {{key}} or {{prompt:30}}, a literal brace as {{{{ or }}}}"
        ) from None


def _piece(text: str, hole: str | None, spec: str | None, conversion: str | None) -> Piece:
    if hole is not None and (not hole or conversion or not re.fullmatch(r"([1-9][0-9]{0,3})?", spec or "")):
        option = f"!{conversion}" if conversion else f":{spec}" if spec else ""
        raise ValueError(f"{{{hole}{option}}} is not a placeholder")
    return text, hole or "", int(spec or 0)


def _values(row: Row, date: str) -> Mapping[str, Any]:
    """The values of the placeholders."""
    take = _TAKE.search(row.key)
    model = next((row.fields[name] for name in _MODELS if row.fields.get(name)), "")
    own = {"key": row.key, "account": row.account, "kind": row.kind, "n": take[1] if take else "1", "date": date}
    columns = {base(name): text for name, text in row.cells.items()}
    return {"model": model, "seed": "", **columns, **row.fields, **own}


def _part(pieces: tuple[Piece, ...], values: Mapping[str, Any], columns: Collection[str]) -> str:
    """One part of the name; if it is too long, the longest value in it is cut."""
    texts = [each for text, hole, most in pieces for each in (_tidy(text), _filled(hole, most, values, columns))]
    while (over := sum(map(_size, texts)) - LONGEST) > 0:
        longest = max(range(len(texts)), key=lambda each: (each % 2, _size(texts[each])) if texts[each] else (-1, 0))
        texts[longest] = _cut(texts[longest], max(_size(texts[longest]) - over, 0))
    name = unicodedata.normalize("NFC", "".join(texts)).strip(
        " ."
    )  # Windows drops these at the end; a leading dot hides a file
    return f"_{name}" if _DEVICES.match(name) else name


def _filled(hole: str, most: int, values: Mapping[str, Any], columns: Collection[str]) -> str:
    if not hole:
        return ""
    if hole not in values and hole not in columns:
        near = nearest(hole, [*values, *columns])
        hint = f"did you mean {{{near}}}?" if near else f"use one of {', '.join([*_HOLES, *columns])}"
        raise UsageError(
            f"{{{redact.text(hole, limit=40)}}} is not a placeholder of a file name; {redact.text(hint, limit=200)}"
        )
    text = _tidy(str(values.get(hole, "")))
    return text[:most].strip() if most else text


def _tidy(text: str) -> str:
    """A text on one line, in one spelling (NFC), without characters that a file system refuses."""
    shown = " ".join(redact.printable(text).split(" "))
    return unicodedata.normalize("NFC", _UNSAFE.sub("-", shown))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _cut(text: str, size: int) -> str:
    """The start of a text, at most `size` bytes, without separating a combining mark from its letter."""
    cut = text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
    if cut != text and unicodedata.combining(text[len(cut)]):
        cut = cut.rstrip("".join(filter(unicodedata.combining, cut)))[:-1]
    return cut.strip()
