"""What a caller reads who gives something else than the number that an argument must be."""

from __future__ import annotations

from typing import TypeGuard

from .errors import UsageError


def number_error(name: str, must: str, value: object) -> UsageError:
    """NAME must be …, got VALUE; a number in a text is shown as it must be written. `name` may have a place before it.

    >>> print(number_error("timeout", "a number of seconds", "900"))
    timeout must be a number of seconds, got '900' (text): timeout=900
    """
    number = _unquoted(value)
    way = f" (text): {name.rpartition(' ')[2]}={number}" if number else ""
    return UsageError(f"{name} must be {must}, got {value!r:.80}{way}")


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Whether it is an int, and no bool, of at least so much."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _unquoted(value: object) -> str:
    """A number in a text, or a tuple or list with such texts, without quotes; "" for all else."""
    if isinstance(value, (tuple, list)) and any(map(_unquoted, value)):
        return f"({', '.join(_unquoted(each) or repr(each) for each in value)})"
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return value.strip() if len(value) < 40 and any(map(str.isdigit, value)) else ""
