"""Reads the rows of a batch from a file, standard input, a folder, or an iterable of mappings: columns and values.

This module does not know what a column means. An unreadable file raises UsageError with the way out; problems of single
rows are collected.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from .. import redact
from ..errors import UsageError
from . import sheet
from .rows import RowProblem

PICTURE = "<picture>:file"
"""The column of a folder's pictures; the field that takes them depends on the provider."""

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_TABLE = re.compile(r"(?i)(^|[,;\t])\s*\"?prompt\"?\s*($|[,;\t])|\t")


class Record(NamedTuple):
    """One row of the input, unchanged: its place ("row 7"), and the values of its columns."""

    place: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """The input that was read. Paths in it are relative to `folder`; `header` is the place of its column names.

    `typed`: values have their own types (JSON, Python); else they are text as a person typed it. `delimiter` is that of
    a table; a comma if there is none, or an unusual one.
    """

    name: str
    folder: Path
    records: tuple[Record, ...]
    typed: bool = False
    header: str = ""
    problems: tuple[RowProblem, ...] = ()
    delimiter: str = ","


def read(source: object, stdin: bytes | str = "") -> Source:
    """The rows of `source`: the path of a file or a folder, "-" for the content of `stdin`, or an iterable of mappings.

    Raises UsageError if the source cannot be read, or holds no row.
    """
    if source == "-":
        found = _parsed("stdin", Path("stdin"), stdin)
    elif isinstance(source, (str, os.PathLike)):
        found = _from_path(Path(os.path.expanduser(source)))  # noqa: PTH111 - it never raises
    elif isinstance(source, Iterable) and not isinstance(source, (bytes, Mapping)):
        found = _from_values(source)
    else:
        raise UsageError(
            f"the source of a batch must be a file, a folder, '-' or a list of dicts, got {type(source).__name__}"
        )
    if not (found.records or found.problems):
        what = redact.text(str(source), limit=120) if isinstance(source, (str, os.PathLike)) else "the batch"
        raise UsageError(f"{'standard input' if source == '-' else what} holds no rows")
    return found


def _from_path(path: Path) -> Source:
    shown = redact.text(str(path), limit=120)
    try:
        if path.is_dir():
            return _from_folder(path)
        if path.exists() and not path.is_file():
            raise UsageError(f"{shown} is neither a file nor a folder; to read another program's output, pass '-'")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {shown}: {getattr(error, 'strerror', None) or 'no such name'}") from None
    return _parsed(path.stem, path, data)


def _parsed(name: str, path: Path, data: bytes | str) -> Source:
    """Parse a file by its suffix; if the suffix is unknown, by its first character."""
    text = data.removeprefix("\ufeff") if isinstance(data, str) else sheet.decoded(path.name, data)
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson"):
        suffix = {"[": ".json", "{": ".jsonl"}.get(text.lstrip()[:1], ".csv")
    if suffix == ".json":
        return _from_json(name, path, text)
    if suffix in (".jsonl", ".ndjson"):
        return _from_lines(name, path, text)
    if suffix == ".txt" and not _TABLE.search(text.lstrip().partition("\n")[0]):
        return Source(name, path.parent, tuple(_prompts(text)))
    header, found, problems, separator = sheet.parse(path.name, text)
    usual = separator if separator in sheet.DELIMITERS else ","
    records = tuple(Record(*each) for each in found)
    return Source(name, path.parent, records, header=header, problems=tuple(problems), delimiter=usual)


def _prompts(text: str) -> Iterator[Record]:
    """The records of a plain text: each line is a prompt."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.strip():
            yield Record(f"line {number}", {"prompt:text": line.strip()})


# -- JSON -------------------------------------------------------------------------------------------------------------


def _from_json(name: str, path: Path, text: str) -> Source:
    try:
        found = _decoder(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{"):
            way = f"if it holds one object a line, name it {name}.jsonl"
            raise UsageError(f"{path.name}: {_why(error)}; {way}") from None
        raise UsageError(f"{path.name}: {_why(error)}") from None
    if not isinstance(found, list):
        raise UsageError(f"{path.name}: a JSON batch must be an array of objects, [{{…}}, {{…}}], not {_kind(found)}")
    return _typed(name, path.parent, ((f"item {n}", each) for n, each in enumerate(found, 1)))


def _from_lines(name: str, path: Path, text: str) -> Source:
    lines = ((f"line {n}", line) for n, line in enumerate(text.split("\n"), 1) if line.strip())
    return _typed(name, path.parent, ((place, _line(line)) for place, line in lines))


def _line(line: str) -> object:
    try:
        return _decoder(line)
    except (ValueError, RecursionError) as error:
        return error


def _from_values(values: Iterable[object]) -> Source:
    placed = ((f"item {n}", each) for n, each in enumerate(values, 1))
    return _typed("batch", Path.cwd(), placed)


def _typed(name: str, folder: Path, placed: Iterable[tuple[str, Any]]) -> Source:
    records: list[Record] = []
    problems: list[RowProblem] = []
    for place, value in placed:
        if said := _not_a_row(value):
            problems.append(RowProblem(place, "", said))
        else:
            records.append(Record(place, value))
    return Source(name, folder, tuple(records), typed=True, problems=tuple(problems))


def _not_a_row(value: Any) -> str:
    """Why a value is not a row; empty if it is one."""
    if isinstance(value, Exception):
        return _why(value)
    if not isinstance(value, Mapping):
        return f"must be an object of fields, not {_kind(value)}"
    wrong = [name for name in value if not isinstance(name, str)]
    return f"the name of a field must be text, got {redact.text(repr(wrong[0]), limit=60)}" if wrong else ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{redact.text(twice, limit=60)!r} occurs twice in one object")
    return made


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant).decode


def _why(error: BaseException) -> str:
    """Why a text is not JSON, in one line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return f"not JSON: {redact.text(str(error), limit=120)}"


def _kind(value: object) -> str:
    return {list: "an array", dict: "an object", str: "a text", type(None): "null"}.get(type(value), repr(value)[:40])


# -- a folder ---------------------------------------------------------------------------------------------------------


def _from_folder(folder: Path) -> Source:
    """One row for each name, from its .txt (the prompt) and its picture: `a.jpg` and `a.txt` make one row."""
    found: dict[str, dict[str, Any]] = {}
    problems: list[RowProblem] = []
    for path in _seen(folder):
        row = found.setdefault(path.stem, {"key": path.stem})
        column = "prompt:text" if path.suffix.lower() == ".txt" else PICTURE
        if column in row:
            problems.append(RowProblem(path.name, "", f"there is another picture {path.stem!r}; rename one of them"))
        row[column] = path.name if column is PICTURE else _prompt(folder, path, problems)
    if not found:
        raise UsageError(f"{redact.text(str(folder), limit=120)} holds no file ending in .txt, {', '.join(_PICTURES)}")
    records = tuple(Record(name, row) for name, row in found.items() if row.get("prompt:text") != "")
    return Source(folder.resolve().name or "batch", folder, records, problems=tuple(problems))


def _seen(folder: Path) -> Iterator[Path]:
    wanted = (".txt", *_PICTURES)
    return (each for each in sorted(folder.iterdir()) if each.suffix.lower() in wanted and each.name[0] != ".")


def _prompt(folder: Path, path: Path, problems: list[RowProblem]) -> str:
    try:
        inside = path.resolve(strict=True).is_relative_to(folder.resolve()) and path.is_file()
        text = sheet.decoded(path.name, path.read_bytes()).strip() if inside else ""
        said = "" if text else "it holds no prompt" if inside else "it leads out of the folder"
    except (OSError, RuntimeError, UsageError) as error:
        text, said = "", str(getattr(error, "strerror", None) or error)
    if said:
        problems.append(RowProblem(path.name, "", said))
    return text
