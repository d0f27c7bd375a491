"""Values that people write as text, on a command line or in a sheet: what is JSON, what is text. Pure.

Nobody but the plugin knows whether `2024` is a prompt or a number, so its own refusal decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from .errors import InvalidField

T = TypeVar("T")


def literal(text: str) -> object:
    """JSON where the text is some (42, true, null, [..], {..}, "text") or Python's True or False, else the text."""
    if text in ("True", "False"):  # as the words of the rules say it
        return text == "True"
    try:
        return _decoded(text)
    except (ValueError, RecursionError):
        return text


def fitted(call: Callable[[dict[str, Any]], T], given: dict[str, Any], texts: Mapping[str, str]) -> T:
    """Call with the fields `given`; a value that is refused is tried as the text that it is, and replaced in `given`.

    `texts` has those fields that may be meant as text. So `prompt=2024` is a text and `num_frames=81` a number. An
    InvalidField is raised before anything is sent; where the text is refused, too, the first refusal counts.
    """
    first: dict[str, InvalidField] = {}
    while True:
        try:
            return call(given)
        except InvalidField as refused:
            name = blamed(refused, texts)
            if name in first:
                raise first[name] from None
            if not name:
                raise
            given[name], first[name] = texts[name], refused


def blamed(refused: InvalidField, names: Iterable[str]) -> str:
    """The field that a refusal begins with, which may hold a dot (`6.text`); empty where it is about none of these."""
    return max((name for name in names if _is_about(refused, name)), key=len, default="")


def _is_about(refused: InvalidField, name: str) -> bool:
    return refused.message.startswith(name) and _ENDS.match(refused.message, len(name)) is not None


_ENDS = re.compile(r"(?![\w.]*\w)")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is text")


_decoded = json.JSONDecoder(parse_constant=_no_number).decode
