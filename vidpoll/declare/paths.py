"""Where values are in a response: dotted paths, one or several, checked when a table is made."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from .. import parsing
from ..errors import PluginError

T = TypeVar("T")

Where = str | tuple[str, ...]
"""A path as in `parsing.at`, or a tuple of paths: the first at which there is a value counts. "" means none."""

_NAME = r"[^.\[\]{}=\s]+"
_CHOICE = rf"\[(?:\d{{1,4}}|{_NAME}={_NAME})?\]"
_PATH = re.compile(rf"(?:{_NAME}(?:{_CHOICE})?|{_CHOICE})(?:\.{_NAME}(?:{_CHOICE})?)*")


def alternatives(where: Where) -> tuple[str, ...]:
    """The paths of `where`, in order."""
    return where if isinstance(where, tuple) else (where,) if where else ()


def check_where(place: str, where: object) -> None:
    """Raise PluginError, naming the place in the table, unless `where` is a path or a tuple of paths."""
    for path in where if isinstance(where, tuple) else (where,):
        if not isinstance(path, str):
            raise PluginError(f"{place}: a path must be text like 'data.url', got {type(path).__name__}")
        if path and not _PATH.fullmatch(path):
            raise PluginError(f"{place}: {path!r} is not a path; write 'data.url', 'videos[].url' or 'outputs[0].url'")


def find(data: object, where: Where, read: Callable[[Any], T | None]) -> T | None:
    """The result of `read` for the first path whose value it does not turn into None."""
    for path in alternatives(where):
        found = parsing.at(data, path)
        value = None if found is None else read(found)
        if value is not None:
            return value
    return None


def standing(data: object, where: Where) -> Any:
    """The first value at one of the paths that is neither None nor empty text."""
    return find(data, where, lambda value: None if value == "" else value)
