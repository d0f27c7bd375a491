"""The report of a batch: the input's columns, followed by the outcome of each row. It is always written whole."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import redact
from ..errors import UsageError
from ..folder_check import check_folder
from .progress import RowResult
from .sidecar import replace_with

EVERY = 1.0
"""Least seconds between two writes, for each thousand rows or part of it."""

COLUMNS = ("state", "why", "ref", "file", "cost", "unit", "attempts", "problem")
"""The columns added to those of the input; a column of the input with the same name is written as `input.NAME`."""

_FORMULA = re.compile(r"^(?=[=+\-@\t\r])|(?<=[,;\t\r\n])(?=\"*[=+\-@])")
"""Where a formula may begin: in the cell, or after a character that another program may take for the cell's end."""


class Report:
    """The file at `path`, `.csv` or `.jsonl`. Raises UsageError if it cannot be written, or is the input."""

    def __init__(self, path: str | Path, source: object = None, delimiter: str = ",") -> None:
        self._delimiter = delimiter
        self.path = Path(os.path.expanduser(path))  # noqa: PTH111 - it never raises
        self._due = -math.inf
        shown = redact.text(str(path), limit=120)
        if self.path.suffix.lower() not in (".csv", ".jsonl"):
            raise UsageError(f"report must end in .csv or .jsonl, got {shown!r}")
        if isinstance(source, (str, os.PathLike)) and _same(self.path, Path(os.path.expanduser(source))):  # noqa: PTH111
            raise UsageError(f"report {shown!r} must not be the input, which is never written: name another file")
        if self.path.is_dir():
            raise UsageError(f"report {shown!r} is a folder: name another file")
        check_folder(str(self.path.parent), "report")

    def due(self, now: float) -> bool:
        """Whether the report should be written again at this monotonic second."""
        return now >= self._due

    def write(self, results: Iterable[RowResult], now: float) -> None:
        """Write all rows. Raises OSError."""
        results = list(results)
        self._due = now + EVERY * math.ceil(len(results) / 1000)
        rows = [_row(each) for each in results]
        text = _csv(rows, self._delimiter) if self.path.suffix.lower() == ".csv" else _jsonl(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_with(self.path, text.encode("utf-8", "replace"))


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
    return False


def _row(result: RowResult) -> dict[str, Any]:
    """The input's cells, with the row's key in the place of its own or else first, and the outcome."""
    cells = {"key": "", **result.row.cells} if "key" not in result.row.cells else result.row.cells
    own = {f"input.{name}" if name in COLUMNS else name: text for name, text in cells.items()}
    own["key"] = result.key
    cost = result.cost
    said = {
        "state": result.state,
        "why": result.why,
        "ref": result.job.ref if result.job is not None else "",
        "file": [str(path) for path in result.paths],
        "cost": None if cost is None else cost.net,
        "unit": "" if cost is None else cost.unit,
        "attempts": result.attempts,
        "problem": result.problem,
    }
    return {**own, **said}


def _jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows)


def _csv(rows: Sequence[Mapping[str, Any]], delimiter: str) -> str:
    """CSV with a byte order mark, so that Excel reads it as UTF-8."""
    names = [*dict.fromkeys(name for each in rows for name in each if name not in COLUMNS), *COLUMNS]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(map(_safe, names))
    writer.writerows(_cells(names, each) for each in rows)
    return "\ufeff" + text.getvalue()


def _cells(names: list[str], row: Mapping[str, Any]) -> Iterator[str]:
    for name in names:
        value = row.get(name)
        if isinstance(value, list):
            value = "; ".join(value)
        yield _safe(value) if isinstance(value, str) else "" if value is None else f"{value:.12g}"


def _safe(text: str) -> str:
    """A cell that no spreadsheet reads as a formula, whatever delimiter it expects."""
    return _FORMULA.sub("'", text)
