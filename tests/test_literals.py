"""Written values: JSON or text."""

from __future__ import annotations

from typing import Any

import pytest

import vidpoll
from vidpoll import parsing
from vidpoll.literals import blamed, fitted, literal


@pytest.mark.parametrize(
    ("text", "meant"),
    [("7", 7), ("true", True), ("True", True), ("TRUE", "TRUE"), ("[1]", [1]), ('"7"', "7"), ("null", None),
     ("NaN", "NaN"), ("{", "{"), ("", ""), ("[" * 100_000, "[" * 100_000)],
)  # fmt: skip
def test_literal(text: str, meant: object) -> None:
    """JSON where it is some, Python's words for truth, else the text."""
    assert literal(text) == meant
    assert type(literal(text)) is type(meant)


def call(fields: dict[str, Any]) -> dict[str, Any]:
    is_text = ("text", lambda value: isinstance(value, str))
    return parsing.checked("submit", fields, {"a": is_text, "b": ("odd", lambda value: value in (81, "x"))})


def test_fitted() -> None:
    """What is refused is tried as its text, and stays so."""
    given: dict[str, Any] = {"a": 2024, "b": 81}
    assert fitted(call, given, {"a": "2024", "b": "81"}) == given == {"a": "2024", "b": 81}


@pytest.mark.parametrize("texts", [{"a": "1", "b": "80"}, {"a": "1"}])
def test_what_fits_neither_way(texts: dict[str, str]) -> None:
    """What is told is what is wrong with the value as it was read first."""
    with pytest.raises(vidpoll.InvalidField) as caught:
        fitted(call, {"a": 1, "b": 80}, texts)
    assert caught.value.message == "b=80: it must be odd"


def test_blamed() -> None:
    """The longest name that a refusal begins with; a name inside another one is not meant."""
    names = ["6", "6.text", "seed"]
    assert blamed(vidpoll.InvalidField("6.text=7: it must be text"), names) == "6.text"
    assert blamed(vidpoll.InvalidField("6: no such node"), names) == "6"
    assert blamed(vidpoll.InvalidField("seeds=7: it must be text"), names) == ""
    assert blamed(vidpoll.InvalidField("submit needs 'seed'"), names) == ""
