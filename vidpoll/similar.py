"""Which of the known names a wrong one was probably meant for: the hint of a message."""

from __future__ import annotations

from collections.abc import Iterable


def similar(name: str, names: Iterable[str], most: int = 1) -> list[str]:
    """At most `most` of the names, the nearest first; none if no name is close: a wrong hint is worse than none.

    >>> similar("acne", ["acme", "openai"]), similar("nope", ["acme", "openai"])
    (['acme'], [])
    """
    from difflib import get_close_matches  # rarely needed, and slower to import than this module

    return get_close_matches(name, list(names), most, 0.75)
