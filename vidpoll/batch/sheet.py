"""A table as a spreadsheet saves it: bytes to text, text to rows. Excel's habits are known here. Pure.

Rows are counted as a spreadsheet counts them: the names of the columns are row 1, and a blank row counts, too.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .. import redact
from ..errors import UsageError
from .rows import RowProblem

_DELIMITERS = ",;\t"
_NONE = "\x1f"  # of a table of one column: no cell holds it
_PEEK = 1000
"""Bytes that tell a text from other files."""

_TRIED = 200
"""Rows that are looked at to tell the delimiter."""

_SAVE = "save it as 'CSV UTF-8 (comma delimited)'"
_SEP = re.compile(r"\s*\"?sep=(.)\"?[,;\t]*(\r\n|\r|\n|$)", re.IGNORECASE)


def decoded(name: str, data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark. Raises UsageError that names the row."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if not wide and b"\0" in data[:_PEEK]:
            raise UsageError(f"{name}: it is no text, or UTF-16 without its mark; {_SAVE}") from None
        odd = error.object[error.start : error.start + 1]
        said = f"the byte 0x{odd.hex().upper()} is no {'UTF-16' if wide else 'UTF-8'}"
        if not wide:
            like = odd.decode("cp1252", "replace")
            said = f"row {_row(error.object[: error.start])}, {said} (in Windows-1252 it is {like!r})"
        raise UsageError(f"{name}: {said}; {_SAVE}") from None
    if "\0" in text:
        row = _row(text[: text.index("\0")].encode())
        raise UsageError(f"{name}: row {row} holds a NUL: the file is damaged, or UTF-16 without its mark; {_SAVE}")
    return text


def _row(before: bytes) -> int:
    """The row in which the text after `before` stands: a line end in quotation marks ends none."""
    text = before.decode("utf-8-sig", "replace").replace("\0", "")
    return 1 + re.sub(r'"[^"]*("|$)', "", text).replace("\r\n", "\n").replace("\r", "\n").count("\n")


def parse(name: str, text: str) -> tuple[str, list[tuple[str, dict[str, str]]], list[RowProblem]]:
    """The place of the names of the columns, each row with its place, and what is wrong with some.

    Raises UsageError where the table cannot be read.
    """
    told = _SEP.match(text)
    text = text[told.end() :] if told else text
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=told[1] if told else delimiter(text), **_STRICT)
    rows = _counted(name, reader)
    header, first = next(((place, cells) for place, cells in rows if any(map(str.strip, cells))), ("row 1", []))
    names = [each.strip() for each in first]
    while names and not names[-1]:
        names.pop()
    problems = _wrong_names(header, names)
    if problems:
        return header, [], problems
    records = []
    for place, cells in rows:
        if any(each.strip() for each in cells[len(names) :]):
            problems.append(RowProblem(place, "", _too_many(len(cells), len(names))))
        elif any(map(str.strip, cells)):
            records.append((place, dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=False))))
    return header, records, problems


_STRICT: dict[str, Any] = {"strict": True, "skipinitialspace": True}


def _too_many(cells: int, names: int) -> str:
    way = "a text that holds the delimiter or a line end stands in quotation marks"
    return f"it has {cells} cells, and there are {names} columns; {way}"


def _wrong_names(header: str, names: list[str]) -> list[RowProblem]:
    twice = [name for name, times in Counter(names).items() if times > 1 and name]
    wrong = [RowProblem(header, name, "this column stands twice; rename or remove one") for name in twice]
    if "" in names:
        wrong.append(RowProblem(header, "", f"column {names.index('') + 1} has no name; give it one, or remove it"))
    return wrong


def _counted(name: str, reader: Any) -> Iterator[tuple[str, list[str]]]:
    """Each row with its place, which names the line, too, where that is another one."""
    number, line = 0, 1
    while True:
        number += 1
        place = f"row {number}" if number == line else f"row {number} (line {line})"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UsageError(f"{name}: {place}: {_said(error)}") from None
        if cells is None:
            return
        yield place, cells
        line = reader.line_num + 1


def _said(error: csv.Error) -> str:
    text = redact.text(str(error), limit=100)
    if "unexpected end" in text:
        return "a quotation mark is opened and never closed"
    if "expected after" in text:
        return 'text stands after a closing quotation mark; in a quoted cell, " is written ""'
    return text


def delimiter(text: str) -> str:
    """What parts the cells: of comma, semicolon and tab the one that parts most names; of equals the one that fits.

    A single name is a table of one column, whose cells may hold any of them.
    """
    best, most = _NONE, (1, 0)
    for each in _DELIMITERS:
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=each, skipinitialspace=True)
            rows = [row for row in islice(reader, _TRIED) if any(map(str.strip, row))]
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        fit = (width, -sum(len(row) != width for row in rows))
        if width > 1 and fit > most:
            best, most = each, fit
    return best
