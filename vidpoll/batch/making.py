"""Makes the rows of a batch from its records: the plugin builds each row once, and all problems are reported at once.

Nothing is sent. The access to the providers' plugins is passed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from .. import literals, redact
from ..errors import InvalidField, UnknownProvider, UsageError, VidpollError
from ..provider import Operation
from . import cells, keys, names
from .cells import Kind, is_given
from .files import Files
from .rows import Row, RowProblem, invalid
from .source import PICTURE, Record, Source

MOST_TAKES = 1000
"""The largest `count` of a row."""

MOST_ROWS = 100_000
"""The largest number of videos in one batch."""


class Builder(NamedTuple):
    """Two functions of the plugins that send no request.

    `operation(account, kind)` returns the submit of that kind, and raises UsageError if there is none.
    `build(account, kind, fields)` has the plugin make the request, and raises an error for wrong fields.
    """

    operation: Callable[[str, str], Operation[Any]]
    build: Callable[[str, str, Mapping[str, Any]], object]


class Defaults(NamedTuple):
    """The values for rows that set none. `fields` are named like columns; their values are taken literally.

    `picture` is the field that takes the pictures of a folder, `file` the template of the names, `date` its `{date}`.
    """

    account: str = ""
    kind: str = ""
    fields: Mapping[str, Any] = {}
    picture: str = ""
    file: str = names.DEFAULT
    date: str = ""


def make_rows(source: Source, builder: Builder, defaults: Defaults = Defaults()) -> list[Row]:  # noqa: B008 - frozen
    """All rows, each with its own key. Raises BatchInvalid with all problems."""
    with Files(source.folder) as files:
        making = _Making(source, builder, defaults, files)
        for record in source.records:
            making.add(record)
    rows = making.finished()
    problems = [*source.problems, *_without_names(source, making.problems)]
    if problems:
        raise invalid(source.name, sorted(problems, key=lambda each: _number(each.place)))
    return rows


def _without_names(source: Source, problems: list[RowProblem]) -> list[RowProblem]:
    """The problems; if a table has no known column, its header is probably missing, and one problem says that."""
    names = {name for record in source.records for name in record.values}
    unknown = [each for each in problems if source.header and each.place == source.header]
    if (
        not names
        or {each.column for each in unknown} != names
        or any("did you mean" in each.message for each in unknown)
    ):
        return problems
    shown = redact.text(", ".join(sorted(names)), limit=80)
    said = f"no known column: {shown}; the first row must hold the names of the columns, like key and prompt"
    return [RowProblem(source.header, "", said), *(each for each in problems if each not in unknown)]


def _number(place: str) -> int:
    found = re.search(r"[0-9]+", place) if place.startswith(("row ", "line ", "item ")) else None
    return int(found[0]) if found else 0


class _Drawn(NamedTuple):
    """A row without its final key: the key that it names (or empty), and its number of takes (None if not given)."""

    row: Row
    key: str
    takes: int | None


@dataclass
class _Call:
    """The fields of one row while they are read: values by path; `common` are those that all rows share.

    `columns` gives the place and the column of each field; `texts` are values that may be meant as text; `short` means
    that a wrong field was left out.
    """

    place: str
    kind: Kind
    common: cells.Values = field(default_factory=dict)
    own: cells.Values = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    columns: dict[str, tuple[str, str]] = field(default_factory=dict)
    short: bool = False


class _Making:
    """The state shared while the rows of one batch are made."""

    def __init__(self, source: Source, builder: Builder, defaults: Defaults, files: Files) -> None:
        self.problems: list[RowProblem] = []
        self._source, self._builder, self._defaults = source, builder, defaults
        self._files = files
        self._passed: set[tuple[str, str, str, Path]] = set()
        self._kinds: dict[tuple[str, str], Kind | UsageError] = {}
        self._told: set[tuple[str, str]] = set()
        self._drawn: list[_Drawn] = []
        self._columns = {cells.base(name) for record in source.records for name in record.values}

    def _wrong(self, place: str, column: str, message: str) -> None:
        """Note a problem; a problem without a place concerns all rows, and is noted once."""
        said = redact.text(message.removeprefix(f"{column}: ") if column else message)
        if place:
            self.problems.append(RowProblem(place, column, said))
        else:
            self._once("", column, said)

    def _once(self, place: str, column: str, message: str) -> None:
        """Note a problem that many rows share only at the first of them."""
        if (column, message) not in self._told:
            self._told.add((column, message))
            self.problems.append(RowProblem(place, column, message))

    # -- one row ------------------------------------------------------------------------------------------------------

    def add(self, record: Record) -> None:
        """Add one record; its problems are noted."""
        values = _spread(record.values)
        own = {name: self._own(record.place, name, values) for name in cells.OWN}
        takes = self._takes(record.place, own["count"])
        key = self._checked(record.place, "key", own["key"], keys.check_key)
        kind = self._kind(record.place, own)
        if kind is None:
            return
        call = _Call(record.place, kind)
        self._read(call, call.common, "", self._defaults.fields, typed=True)
        self._read(call, call.own, record.place, values, typed=self._source.typed)
        fields = self._built(call)
        digest, inputs = self._digested(call, fields)
        shown = self._shown(record.values)
        row = Row("", kind.account, kind.name, fields, digest, record.place, own["file"], shown, inputs)
        self._drawn.append(_Drawn(row, key, takes))

    def _own(self, place: str, name: str, values: Mapping[str, Any]) -> str:
        value = values.get(name)
        if not is_given(value):
            return ""
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            kind = type(value).__name__
            self._wrong(place, name, f"must be text, not {kind} (a provider's field of this name is fields.{name})")
            return ""
        return str(value).strip()

    def _checked(self, place: str, column: str, text: str, check: Callable[[str], str]) -> str:
        try:
            return check(text) if text else ""
        except UsageError as error:
            self._wrong(place, column, error.message)
            return ""

    def _takes(self, place: str, text: str) -> int | None:
        if not text:
            return None
        if re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) and 1 <= int(text) <= MOST_TAKES:
            return int(text)
        got = redact.text(text, limit=40)
        self._wrong(place, "count", f"must be a whole number from 1 to {MOST_TAKES}, got {got!r}")
        return 1

    def _kind(self, place: str, own: Mapping[str, str]) -> Kind | None:
        account, kind = (own[each] or getattr(self._defaults, each) for each in ("account", "kind"))
        for column, value in (("account", account), ("kind", kind)):
            if not value:
                way = f"add a column {column!r}, or set it for all rows: {column}=… (vidpoll batch FILE ACCOUNT KIND)"
                self._once(place, "", f"no {column}; {way}")
        if not (account and kind):
            return None
        found = self._kinds.get((account, kind))
        if found is None:
            try:
                found = Kind(account, kind, self._builder.operation(account, kind), self._defaults.picture)
            except UsageError as error:
                found = error
            self._kinds[account, kind] = found
        if isinstance(found, UsageError):
            self._once(place, "account" if isinstance(found, UnknownProvider) else "kind", found.message)
            return None
        return found

    # -- its fields ---------------------------------------------------------------------------------------------------

    def _read(self, call: _Call, values: cells.Values, place: str, given: Mapping[str, Any], *, typed: bool) -> None:
        """Read the columns; a wrong column is reported at the first row that uses it."""
        beside = {**self._defaults.fields, **given}
        for name, cell in given.items():
            column = call.kind.column(name, beside)
            if not (column.path or column.wrong) or not is_given(cell):
                continue
            if column.wrong:
                shown = "" if name == PICTURE else name
                self._once(place and (self._source.header or place), shown, column.wrong)
                call.short = call.short or not column.path
            if column.path in values:
                self._wrong(place, name, f"another column already sets {'.'.join(column.path)}")
            elif column.path:
                self._take(call, values, place, column, cell, typed=typed)

    def _take(
        self, call: _Call, values: cells.Values, place: str, column: cells.Column, cell: Any, *, typed: bool
    ) -> None:
        try:
            value, unsure = cells.value_of(column, cell, self._files, typed=typed)
        except UsageError as error:
            self._wrong(place, column.name, error.message)
            call.short = True
            return
        values[column.path] = value
        call.columns[column.path[0]] = place, column.name
        if unsure and len(column.path) == 1:
            call.texts[column.path[0]] = cell

    def _built(self, call: _Call) -> dict[str, Any]:
        """The fields as the plugin takes them. A refused field is noted and left out, to find the other problems."""
        try:
            fields = cells.nested(call.common, call.own)
        except UsageError as error:
            self._wrong(call.place, "", error.message)
            return {}
        kind = call.kind
        while True:
            try:
                literals.fitted(partial(self._build, kind), fields, call.texts)
                return fields
            except InvalidField as error:
                name, said = literals.blamed(error, fields), error.message
            except VidpollError as error:
                name, said = "", error.message
            if name:
                place, column = call.columns[name]
                self._wrong(place, column, said + kind.hint(column))
                del fields[name]
                call.texts.pop(name, None)
                call.short = True
                continue
            if not call.short:  # else the error may be about a field that was left out
                self._wrong(call.place, "", said + kind.missed(said))
            return fields

    def _build(self, kind: Kind, fields: dict[str, Any]) -> None:
        """Have the plugin make the request. Raises an error for wrong fields.

        A request holds whole files. For a file that passed in another row the first bytes are enough, unless the plugin
        refuses them: a picture in ten thousand rows is read once.
        """
        paths = {name: value for name, value in fields.items() if isinstance(value, Path)}
        seen = {(kind.account, kind.name, name, path) for name, path in paths.items()}
        if seen and seen <= self._passed:
            with suppress(VidpollError, OSError):
                heads = {name: self._files.head(path) for name, path in paths.items()}
                self._builder.build(kind.account, kind.name, {**fields, **heads})
                return
        self._builder.build(kind.account, kind.name, fields)
        self._passed |= seen

    def _digested(self, call: _Call, fields: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        try:
            return keys.digest(call.kind.account, call.kind.name, fields, self._files)
        except UsageError as error:
            self._wrong(call.place, "", error.message)
            return "", {}

    def _shown(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        if not self._source.typed:
            return values
        return {name: _as_text(value) for name, value in values.items()}

    # -- all rows -----------------------------------------------------------------------------------------------------

    def finished(self) -> list[Row]:
        """The rows with their keys, one row for each take; duplicate keys and file names are noted."""
        if sum(each.takes or 1 for each in self._drawn) > MOST_ROWS:
            self._wrong("", "", f"more than {MOST_ROWS:,} videos; split them into several batches")
            return []
        unnamed = [each.row for each in self._drawn if not each.key]
        made = iter(keys.made_keys([(row.digest, row.file) for row in unnamed]))
        keyed = [(each, each.key or next(made)) for each in self._drawn]
        rows = [
            replace(drawn.row, key=key if drawn.takes is None else f"{key}#{take}")
            for drawn, key in keyed
            for take in range(1, (drawn.takes or 1) + 1)
        ]
        self._check_double(rows)
        self._check_names(rows)
        return rows

    def _check_double(self, rows: list[Row]) -> None:
        first: dict[str, Row] = {}
        for row in rows:
            other = first.setdefault(row.key, row)
            if other is not row:
                self._wrong(row.place, "key", f"{row.key!r} is also the key of {other.place}; each row needs its own")

    def _check_names(self, rows: list[Row]) -> None:
        first: dict[str, Row] = {}
        for row in rows:
            try:
                name = names.name_of(row, self._defaults.file, date=self._defaults.date, columns=self._columns)
            except UsageError as error:
                self._once(row.place, "file", error.message)
                continue
            other = first.setdefault(names.folded(name), row)
            if other is row or other.key == row.key:
                continue
            if other.place == row.place:
                self._once(
                    row.place, "file", f"all takes would get the name {name!r}; add {{n}} or {{key}} to the template"
                )
            else:
                whose = f"{name!r} would also be the file name of {other.place}"
                if "{key}" in (row.file or self._defaults.file):
                    self._wrong(row.place, "key", f"{whose} (at least on macOS and Windows); rename one of the keys")
                else:
                    self._wrong(row.place, "file", f"{whose}; add {{key}} to the template")


def _spread(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of a row, with the content of its object `fields` (in JSON) as single fields."""
    inner = values.get("fields")
    if not isinstance(inner, Mapping):
        return values
    outer = {name: value for name, value in values.items() if name != "fields"}
    return {**outer, **{f"fields.{name}": value for name, value in inner.items()}}


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (bytes, Path)):
        return "" if value is None else _brief(value)
    return json.dumps(value, default=_brief)


def _brief(value: object) -> str:
    return f"{len(value)} bytes" if isinstance(value, (bytes, bytearray)) else str(value)
