"""The check of an argument that must be a number, and the message that its caller reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from .errors import UsageError


def check_number(name: str, must: str, value: object, accepts: Callable[[Any], bool]) -> None:
    """Raise UsageError unless `accepts(value)`: NAME must be …, got VALUE. `name` may have a place before it.

    If a text holds a number that would be accepted, the message ends with that number.

    >>> check_number("timeout", "a number of seconds", "900", lambda value: isinstance(value, int))
    Traceback (most recent call last):
    vidpoll.errors.UsageError: timeout must be a number of seconds, got '900' (text): timeout=900
    """
    if accepts(value):
        return
    meant = _read(value)
    way = f" (text): {name.rpartition(' ')[2]}={meant!r}" if accepts(meant) else ""
    raise UsageError(f"{name} must be {must}, got {value!r:.80}{way}")


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Whether it is an int, and no bool, of at least so much."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _read(value: object) -> object:
    """The number in a text, or a tuple with the numbers in its texts; any other value unchanged."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_read, value))
    if isinstance(value, str) and len(value) < 40:
        for number in (int, float):
            try:
                return number(value)
            except ValueError:
                continue
    return value
