"""Bodies that are almost right: one value replaced, a field of another body, junk. Pure functions on plain data."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

Path = tuple[str | int, ...]

NOBODY = "zxqv-nobody-sends-this"
"""A status word, an id and a text that no provider sends."""

GONE: Final = object()
"""Stands for a missing key."""

_INFINITE = "\x00infinite"

VALUES: tuple[Any, ...] = (
    NOBODY, "", 0, 1, -1, 100, 0.5, 10**400, _INFINITE, None, True, False, [], {}, [None], {"a": 1}, GONE,
)  # fmt: skip
"""The replacements for every scalar. 10**400 is valid JSON but not a float; 1e999 is valid JSON, read as infinity."""

_MOST = 300  # the number of scalars of one body that are tried


def encode(value: object) -> bytes:
    """Plain data as the body of a response."""
    return json.dumps(value).replace(json.dumps(_INFINITE), "1e999").encode()


def shown(value: object) -> str:
    """A replacement for a message, short and written as JSON: "set to 100", or "left out"."""
    if value is GONE:
        return "left out"
    text = "1e999" if value == _INFINITE else json.dumps(value)
    return f"set to {text}" if len(text) <= 60 else f"set to {text[:40]}… ({len(text)} characters)"


def dotted(path: Path) -> str:
    return ".".join(map(str, path)) or "the body"


def nodes(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every value of a body with its path, the body itself included."""
    yield path, value
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from nodes(inner, (*path, key))


def scalars(value: object) -> list[tuple[Path, Any]]:
    """Every value that is neither an object nor a list, with its path."""
    found = [(path, each) for path, each in nodes(value) if path and not isinstance(each, (dict, list))]
    return found[:_MOST]


def get(value: Any, path: Path) -> Any:
    """The value at a path; GONE if there is none."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return GONE
    return value


def replaced(value: Any, path: Path, new: object) -> Any:
    """A copy with another value at `path`; the parts outside the path are shared."""
    if not path:
        return None if new is GONE else new
    result, key, rest = copy.copy(value), path[0], path[1:]
    if rest:
        result[key] = replaced(result[key], rest, new)
    elif new is GONE and isinstance(result, dict):
        del result[key]
    else:
        result[key] = None if new is GONE else new
    return result


def same(one: object, other: object) -> bool:
    """Equal and of the same type: True is not 1 here."""
    return type(one) is type(other) and one == other


def start(path: Path, of: Path) -> bool:
    """Whether `path` is `of`, or leads to it."""
    return of[: len(path)] == path


def try_junk(check: Callable[[object], None], examples: int, seed: str) -> None:
    """Call `check` with nested junk, made by hypothesis if it is installed, else by a seeded generator.

    The junk is the same in every run, so that a green plugin stays green. It is made once per process; if a check
    fails, hypothesis searches for the smallest junk that fails.
    """
    try:
        made = _made(examples)
    except ImportError:
        dice = random.Random(seed)
        for _ in range(examples):
            check(_junk(dice, 4))
        return
    try:
        for value in made:
            check(value)
    except BaseException:  # pytest's own failure is not an Exception
        _with_hypothesis(check, examples)
        raise


@cache
def _made(examples: int) -> list[object]:
    values: list[object] = []
    _with_hypothesis(values.append, examples)
    return values


def _with_hypothesis(check: Callable[[object], None], examples: int) -> None:
    """Raises ImportError if hypothesis is not installed, and whatever `check` raises."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    keys = st.sampled_from(_KEYS) | st.text(max_size=6)
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    junk = st.recursive(
        plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=12
    )
    quiet = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )

    def one(value: object) -> None:
        check(value)

    quiet(given(junk)(one))()


_KEYS = (
    "id", "status", "state", "data", "error", "message", "progress", "url", "video_url", "output", "code", "task",
)  # fmt: skip
_PLAIN = (None, True, False, 0, -1, 100, 10**30, 0.5, -1.5, "", "done", "\u2028", "\ud800", NOBODY, "http://[", "1e9")


def _junk(dice: random.Random, depth: int) -> Any:
    choice = dice.random()
    if depth == 0 or choice < 0.4:
        return dice.choice(_PLAIN)
    if choice < 0.6:
        return [_junk(dice, depth - 1) for _ in range(dice.randrange(4))]
    return {dice.choice(_KEYS): _junk(dice, depth - 1) for _ in range(dice.randrange(6))}
