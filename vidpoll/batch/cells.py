"""What a column means for a kind of job, and how its cells are read: as a field, a nested field, a file, text or JSON.

`prompt` is a field; `a.b.0` is a field in an object and a list; `image:file` is a file in the batch's folder;
`prompt:text` is text, whatever it looks like; `settings:json` is JSON; `fields.count` is the provider's field, not the
batch's own column; `#notes` is for people only. Cells are literal: an `@` is an `@`. An empty cell sets no field.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from .. import literals, redact
from ..errors import UsageError
from ..field_names import EXACT, FieldNames
from ..provider import Operation
from .files import Files
from .source import PICTURE

OWN = ("key", "account", "kind", "count", "file")
"""The columns of the batch itself."""

_HOW = ("file", "text", "json")


class Column(NamedTuple):
    """A column for one kind: the `path` of its value, and `how` its cells are read ("", "file", "text", "json").

    `wrong` says why the column is not valid; `path` is then the one that was probably meant, or empty. `near` is the
    similar known name.
    """

    name: str
    path: tuple[str, ...] = ()
    how: str = ""
    wrong: str = ""
    near: str | None = None


class Kind:
    """The fields of one kind of one account, from its operation; the field `picture` takes the pictures of a folder."""

    def __init__(self, account: str, kind: str, operation: Operation[Any], picture: str = "") -> None:
        self.account, self.name = account, kind
        self._known = known = operation.fields
        self._texts = operation.texts
        self._picture = picture
        self._fields = FieldNames(f"{account}/{kind}", known)
        self._names = self._fields.listed
        self._columns: dict[str, Column] = {}

    def column(self, name: str, beside: Container[str] = ()) -> Column:
        """The column for a name. A name is not called a mistake for a similar one in `beside`: `mode` and `model`."""
        if name not in self._columns:
            self._columns[name] = self._column(name)
        found = self._columns[name]
        if found.near in beside and self._fields.open:
            return self.column(f"{EXACT}{name.strip().removeprefix(EXACT)}")._replace(name=name)
        return found

    def _column(self, name: str) -> Column:
        plain = name.strip()
        if plain.startswith("#") or plain in OWN:
            return Column(name)
        if plain == PICTURE:
            return self._for_pictures
        head, colon, how = plain.rpartition(":")
        plain, how = (head, how) if colon and how in _HOW else (plain, "")
        exact = plain.startswith(EXACT)
        path = self._path(plain.removeprefix(EXACT))
        how = how or ("text" if len(path) == 1 and path[0] in self._texts else "")
        if "" in path:
            return Column(name, (), how, "a part of the field's name is empty")
        if exact or path[0] in self._names:
            return Column(name, path, how)
        near = self._fields.near(path[0], OWN)
        if self._fields.open and not near:
            return Column(name, path, how)
        meant = (near, *path[1:]) if near in self._names else ()
        note = f"#{redact.text(path[0], limit=60)} makes it a column for notes"
        return Column(name, meant, how, self._fields.unknown(path[0], near, note), near or None)

    def _path(self, name: str) -> tuple[str, ...]:
        """Split a name at its dots, unless the field itself has dots (`6.text` of a workflow)."""
        whole = name in self._names or (self._fields.dotted and name.partition(".")[0] not in self._names)
        return (name,) if whole else tuple(name.split("."))

    @cached_property
    def _for_pictures(self) -> Column:
        """The field of a folder's pictures: the given one, the only one that takes pictures, or the only required."""
        take = {name: words for name, words in self._known.items() if "image" in words and "pathlib.Path" in words}
        needed = [name for name, words in take.items() if words.endswith("required")]
        field = self._picture or next((only[0] for only in (list(take), needed) if len(only) == 1), "")
        if field:
            return Column(field, tuple(field.split(".")), "file")
        if not take and not self._fields.open:
            return Column(
                "", (), "file", f"{self.account}/{self.name} has no field that takes a picture; use another kind"
            )
        among = f" ({', '.join(take)})" if take else ""
        likely = next(iter(take), "image")
        way = f"set picture={likely!r} (--picture {likely})"
        wrong = f"which field of {self.account}/{self.name} takes the picture{among}? {way}"
        return Column("", (), "file", wrong)

    def hint(self, name: str) -> str:
        """A hint for a refused value of a column: perhaps it should be a file."""
        column = self.column(name)
        return self._of_file(column.path[0]) if column.path and not column.how else ""

    def missed(self, said: str) -> str:
        """A hint for a missing field: how to name the column of a file."""
        return next((self._of_file(name) for name in self._names if f"needs {name!r}" in said), "")

    def _of_file(self, name: str) -> str:
        return f"; to give a file, name the column {name}:file" if "pathlib.Path" in self._known.get(name, "") else ""


def base(name: str) -> str:
    """The name of a column without the suffix that says how it is read."""
    return name.strip().partition(":")[0]


def is_given(value: object) -> bool:
    """Whether a cell is not empty."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def value_of(column: Column, cell: Any, files: Files, *, typed: bool) -> tuple[Any, bool]:
    """The value of a cell, and whether its text may be the value instead. Raises UsageError."""
    if column.how == "json":
        return (_json(cell) if isinstance(cell, str) else cell), False
    if column.how and not isinstance(cell, str):
        raise UsageError(f"must be text, not {type(cell).__name__}")
    if column.how == "file":
        return files.find(cell), False
    if typed or column.how == "text":
        return cell, False
    return _read(cell)


def _read(cell: str) -> tuple[Any, bool]:
    """The cell as JSON unless that is text or null, or TRUE and FALSE as spreadsheets write them; else as text."""
    found = cell.strip() == "TRUE" if cell.strip() in ("TRUE", "FALSE") else literals.literal(cell)
    return (cell, False) if found is None or isinstance(found, str) else (found, True)


def _json(cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {redact.text(str(error), limit=100)}") from None


class _Made(dict[str, Any]):
    """An object made from columns; with the names 0, 1 … it becomes a list."""


Values = dict[tuple[str, ...], Any]
"""Values by their paths."""


def nested(common: Values, own: Values) -> dict[str, Any]:
    """The fields of a call from the common values of all rows and a row's own values, which take precedence.

    Raises UsageError if two values contradict each other.
    """
    kept = {path: value for path, value in common.items() if not any(_hides(each, path, value) for each in own)}
    values = {**kept, **own}
    top = _Made()
    for path in sorted(values, key=len):
        _put(top, path, values[path])
    return {name: _listed(name, value) for name, value in top.items()}


def _hides(own: tuple[str, ...], path: tuple[str, ...], value: Any) -> bool:
    """Whether a row's own value replaces a common one; it is merged into a common object."""
    return path[: len(own)] == own or (own[: len(path)] == path and not isinstance(value, Mapping))


def _put(top: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    inner = top
    for depth, name in enumerate(path[:-1], 1):
        found = inner.get(name, _Made())
        if not isinstance(found, Mapping):
            raise UsageError(f"{'.'.join(path)} cannot be set, because {'.'.join(path[:depth])} is not an object")
        inner[name] = found if isinstance(found, _Made) else dict(found)  # a copy: the caller's object stays unchanged
        inner = inner[name]
    inner[path[-1]] = value


def _listed(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    made = {each: _listed(f"{name}.{each}", inner) for each, inner in value.items()}
    if not (isinstance(value, _Made) and all(each.isdecimal() for each in made)):
        return made
    places = sorted(made, key=int)
    if [int(each) for each in places] != list(range(len(places))):
        raise UsageError(f"{name}: the items of a list must begin with {name}.0 and have no gap")
    return [made[each] for each in places]
