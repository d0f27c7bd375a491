"""Values that people type, on a command line or in a sheet: is a value JSON or text? Pure.

Only the plugin knows whether `2024` is a prompt or a number, so the plugin's own refusal decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from .errors import InvalidField
from .field_names import EXACT
from .number_check import comma_hint, without_comma

T = TypeVar("T")


def literal(text: str) -> object:
    """The value of a text that is JSON (42, true, null, [..], {..}, "text"), True or False; else the text."""
    if text in ("True", "False"):  # as the messages of the rules spell them
        return text == "True"
    try:
        return _decoded(text)
    except (ValueError, RecursionError):
        return text


def fitted(call: Callable[[dict[str, Any]], T], given: dict[str, Any], texts: Mapping[str, str]) -> T:
    """Call with the fields `given`. A refused value is tried again as plain text, and replaced in `given`.

    `texts` has the original text of each field that may be meant as text. So `prompt=2024` is a text and
    `num_frames=81` a number. InvalidField is raised before anything is sent; if the text is also refused, the first
    refusal is raised.
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
                raise _about_comma(refused, given) from None
            given[name], first[name] = texts[name], refused


def _about_comma(refused: InvalidField, given: Mapping[str, Any]) -> InvalidField:
    """The refusal; if it asks for a number and the text is one with a comma, it says how to write that number."""
    value, _, must = given.get(blamed(refused, given)), *refused.message.partition("must be")[1:]
    ways = without_comma(value) if isinstance(value, str) and "number" in must else []
    hint = comma_hint([way for way in ways if "." not in way or "whole number" not in must])
    return InvalidField(refused.message + hint, job=refused.job) if hint else refused


def blamed(refused: InvalidField, names: Iterable[str]) -> str:
    """The field that a refusal's message begins with (it may hold a dot, `6.text`); empty if it is none of `names`."""
    return max((name for name in names if _is_about(refused, name.removeprefix(EXACT))), key=len, default="")


def _is_about(refused: InvalidField, name: str) -> bool:
    return refused.message.startswith(name) and _ENDS.match(refused.message, len(name)) is not None


_ENDS = re.compile(r"(?![\w.]*\w)")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is text")


_decoded = json.JSONDecoder(parse_constant=_no_number).decode
