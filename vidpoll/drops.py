"""Fields of other users' jobs, which vidpoll neither stores nor shows: by name, or by position in a list of a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

_DROP = re.compile(r"(?=[^\[]*[^*\[])([^\[\]]+?)(?:(\[\])?\[(\d{1,3}):\])?")


def is_drop(text: object) -> bool:
    """Whether a text has the form of a drop: `extra_data`, `api_key_*`, `prompt[3:]` or `queue_*[][2:]`."""
    return isinstance(text, str) and bool(text.strip("*")) and _DROP.fullmatch(text) is not None


def may_stand_in(text: str, drops: tuple[str, ...]) -> bool:
    """Whether a text contains one of the names, so that it must be parsed and cleaned."""
    return any(_parts(drop)[0].strip("*") in text for drop in drops)


def without(value: Any, drops: tuple[str, ...]) -> Any:
    """JSON without the dropped fields, at any depth.

    >>> without({"queue_running": [[7, "j1", {"1": {}}]], "extra_data": {}}, ("extra_data", "queue_*[][2:]"))
    {'queue_running': [[7, 'j1']]}
    """
    if isinstance(value, list):
        return [without(each, drops) for each in value]
    if not isinstance(value, Mapping):
        return value
    kept = {name: each for name, each in value.items() if not any(_goes(name, drop) for drop in drops)}
    return {name: without(_cut(name, each, drops), drops) for name, each in kept.items()}


@lru_cache(maxsize=64)
def _parts(drop: str) -> tuple[str, bool, int | None]:
    """(name, whether the drop applies to the lists inside the list of that name, first dropped index or None)."""
    found = _DROP.fullmatch(drop)
    assert found is not None  # checked when the provider was made
    return found[1], found[2] is not None, None if found[3] is None else int(found[3])


def _goes(name: str, drop: str) -> bool:
    pattern, _, first = _parts(drop)
    return first is None and fnmatchcase(name, pattern)


def _cut(name: str, value: Any, drops: tuple[str, ...]) -> Any:
    """A list without the items that are dropped by position."""
    for pattern, inner, first in map(_parts, drops):
        if first is not None and isinstance(value, list) and fnmatchcase(name, pattern):
            value = [row[:first] if isinstance(row, list) else row for row in value] if inner else value[:first]
    return value
