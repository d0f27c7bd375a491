"""The names of a submit's fields: is a name that the provider does not list a mistake for a listed one?

The columns of a batch and the fields of a single submit follow the same rule. A field `fields.NAME` is the provider's
field NAME, whatever it looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import redact
from .errors import InvalidField, UsageError

EXACT = "fields."
"""The beginning of a name that is meant as it is."""

_NEAR, _VERY_NEAR = 0.6, 0.85
"""Similarity to a known name from which a name is called a mistake: for a closed, and for an open list of fields."""


class FieldNames:
    """The names that a kind of job lists. `place` names the kind: "kling/text2video"."""

    def __init__(self, place: str, known: Mapping[str, str]) -> None:
        self.place = place
        self.listed = [name for name in known if name != "..."]
        self.dotted = any("." in name for name in self.listed)
        self.open = self.dotted or "..." in known or not known
        """Whether the provider may accept other names."""

    def near(self, name: str, more: Iterable[str] = ()) -> str:
        """The listed name, or the one of `more`, that was probably meant; empty if none is similar."""
        return nearest(name, (*self.listed, *more), _VERY_NEAR if self.open else _NEAR)

    def unknown(self, name: str, near: str, note: str) -> str:
        """What is wrong with a name that is not listed; `note` is the way out if no other name is accepted."""
        shown = redact.text(name, limit=60)
        hint = f"did you mean {near!r}?" if near else f"it takes {self.all}"
        way = f"{EXACT}{shown} sends it anyway" if self.open else note
        return f"{self.place} lists no field {shown!r}; {hint} ({way})"

    @property
    def all(self) -> str:
        """The listed names, as text."""
        return redact.text(", ".join(self.listed), limit=200)

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a submit under the provider's names; a field that is None counts as not given.

        Raises InvalidField for a name that is probably a mistake. With an open list a name is not called a mistake for
        a similar one that is also given: `mode` and `model`.
        """
        found: dict[str, Any] = {}
        for name, value in given.items():
            plain = name.removeprefix(EXACT)
            if plain in found:
                raise UsageError(f"{self.place}: the field {plain!r} is given twice: as {plain} and as {EXACT}{plain}")
            if plain == name and name not in self.listed and value is not None:
                near = self.near(name)
                if near and not (self.open and given.get(near) is not None):
                    raise InvalidField(self.unknown(name, near, f"it takes {self.all}"))
            found[plain] = value
        return found


def nearest(name: str, names: Iterable[str], cutoff: float = _NEAR) -> str:
    """The most similar name, ignoring case; empty if none is similar."""
    from difflib import get_close_matches  # rarely needed, and slower to import than this module

    folded = {each.casefold(): each for each in names}
    close = get_close_matches(name.casefold(), list(folded), 1, cutoff)
    return folded[close[0]] if close else ""
