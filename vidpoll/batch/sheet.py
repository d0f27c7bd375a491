"""Parses a table as a spreadsheet saves it: bytes to text, text to rows, with Excel's habits in mind. Pure.

Rows are counted as in a spreadsheet: the names of the columns are row 1, and blank rows count.
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

DELIMITERS = ",;\t"
_NONE = "\x1f"  # the delimiter of a table of one column: no cell holds it
_PEEK = 1000
"""Bytes that are checked to recognise a file that is not text."""

_TRIED = 200
"""Rows that are read to find the delimiter."""

_SAVE = "save it as 'CSV UTF-8 (comma delimited)'"
_SEP = re.compile(r"\s*\"?sep=(.)\"?[,;\t]*(\r\n|\r|\n|$)", re.IGNORECASE)


def decoded(name: str, data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark. Raises UsageError, which names the row."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if not wide and b"\0" in data[:_PEEK]:
            raise UsageError(f"{name}: not a text file, or UTF-16 without a byte order mark; {_SAVE}") from None
        odd = error.object[error.start : error.start + 1]
        said = f"the byte 0x{odd.hex().upper()} is not valid {'UTF-16' if wide else 'UTF-8'}"
        if not wide:
            like = odd.decode("cp1252", "replace")
            said = f"row {_row(error.object[: error.start])}, {said} (in Windows-1252 it is {like!r})"
        raise UsageError(f"{name}: {said}; {_SAVE}") from None
    if "\0" in text:
        row = _row(text[: text.index("\0")].encode())
        why = "the file is damaged, or UTF-16 without a byte order mark"
        raise UsageError(f"{name}: row {row} holds a NUL: {why}; {_SAVE}")
    return text


def _row(before: bytes) -> int:
    """The number of the row that follows the text `before`; line breaks in quotation marks do not count."""
    text = before.decode("utf-8-sig", "replace").replace("\0", "")
    return 1 + re.sub(r'"[^"]*("|$)', "", text).replace("\r\n", "\n").replace("\r", "\n").count("\n")


def parse(name: str, text: str) -> tuple[str, list[tuple[str, dict[str, str]]], list[RowProblem], str]:
    """The place of the header, each row with its place, the problems of single rows, and the delimiter.

    Raises UsageError if the table cannot be read.
    """
    told = _SEP.match(text)
    text = text[told.end() :] if told else text
    separator = told[1] if told else delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, **_STRICT)
    rows = _counted(name, reader)
    header, first = next(((place, cells) for place, cells in rows if any(map(str.strip, cells))), ("row 1", []))
    names = [each.strip() for each in first]
    while names and not names[-1]:
        names.pop()
    problems = _wrong_names(header, names)
    if problems:
        return header, [], problems, separator
    records = []
    for place, cells in rows:
        if any(each.strip() for each in cells[len(names) :]):
            problems.append(RowProblem(place, "", _too_many(len(cells), len(names))))
        elif any(map(str.strip, cells)):
            records.append((place, dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=False))))
    return header, records, problems, separator


_STRICT: dict[str, Any] = {"strict": True, "skipinitialspace": True}


def _too_many(cells: int, names: int) -> str:
    way = "put a text that holds the delimiter or a line break in quotation marks"
    return f"it has {cells} cells, but there are {names} columns; {way}"


def _wrong_names(header: str, names: list[str]) -> list[RowProblem]:
    twice = [name for name, times in Counter(names).items() if times > 1 and name]
    wrong = [RowProblem(header, name, "this column occurs twice; rename or remove one") for name in twice]
    if "" in names:
        wrong.append(RowProblem(header, "", f"column {names.index('') + 1} has no name; give it one, or remove it"))
    return wrong


def _counted(name: str, reader: Any) -> Iterator[tuple[str, list[str]]]:
    """Each row with its place, which also names the line if its number differs."""
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
        return 'there is text after a closing quotation mark; in a quoted cell, write " as ""'
    return text


def delimiter(text: str) -> str:
    """The delimiter: the one of comma, semicolon and tab that separates most names, and then fits most rows.

    A single name is a table of one column, whose cells may hold any of them.
    """
    best, most = _NONE, (1, 0)
    for each in DELIMITERS:
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
