"""The check of an argument that must be a number, and what the message says about a text that holds one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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


_GROUPED = re.compile(r"-?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?", re.ASCII)
_DECIMAL = re.compile(r"-?([0-9]+|[1-9][0-9]{0,2}(\.[0-9]{3})+),[0-9]+", re.ASCII)


def without_comma(text: str) -> list[str]:
    """The numbers that a number with a comma may mean, as Python writes them; empty for any other text.

    >>> without_comma("3,5"), without_comma("1,000"), without_comma("1,000,000"), without_comma("16,9,1")
    (['3.5'], ['1000', '1.0'], ['1000000'], [])
    """
    found = [text.replace(",", "")] if _GROUPED.fullmatch(text) else []
    if _DECIMAL.fullmatch(text):
        whole, _, part = text.replace(".", "").partition(",")
        found.append(f"{whole}.{part.rstrip('0') or '0'}")
    return found


def comma_hint(ways: Sequence[str]) -> str:
    """What a message adds about a number with a comma that may be written in these ways; empty without a way."""
    if len(ways) > 1:
        return f"; a comma may mean two numbers: write {' or '.join(ways)}"
    return "".join(f"; write {'a decimal point' if '.' in way else 'no comma'}: {way}" for way in ways)


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
