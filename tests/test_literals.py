"""Written values: JSON or text."""

from __future__ import annotations

from typing import Any

import pytest

import vidpoll
from vidpoll import parsing
from vidpoll.declare import number, one_of, whole
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


RULES = {"scale": number(1.0, 2000.0), "frames": whole(1, 2000), "ratio": one_of("16:9", "1:1")}


def sized(fields: dict[str, Any]) -> dict[str, Any]:
    return parsing.checked("submit", fields, {name: (rule.must, rule.holds) for name, rule in RULES.items()})


@pytest.mark.parametrize(
    ("field", "text", "hint"),
    [
        ("scale", "3,5", "; write a decimal point: 3.5"),
        ("scale", "3,50", "; write a decimal point: 3.5"),
        ("scale", "-3,5", "; write a decimal point: -3.5"),
        ("scale", "0,125", "; write a decimal point: 0.125"),
        ("scale", "1,000", "; a comma may mean two numbers: write 1000 or 1.0"),
        ("scale", "1,000,000", "; write no comma: 1000000"),
        ("scale", "1.000,5", "; write a decimal point: 1000.5"),
        ("frames", "1,000", "; write no comma: 1000"),
        ("frames", "3,5", ""),
        ("ratio", "3,5", ""),
        ("scale", "3,5,7", ""),
        ("scale", "a,5", ""),
        ("scale", ",5", ""),
        ("scale", "3, 5", ""),
        ("scale", "\u0663,\u0665", ""),
    ],
)
def test_a_number_with_a_comma_is_told_how_to_write_it(field: str, text: str, hint: str) -> None:
    """Only if the field takes a number and the text is one; of two possible numbers none is chosen."""
    with pytest.raises(vidpoll.InvalidField) as caught:
        fitted(sized, {field: literal(text)}, {})
    assert caught.value.message == f"{field}={text!r}: it must be {RULES[field].must}{hint}"


def test_blamed() -> None:
    """The longest name that a refusal begins with; a name inside another one is not meant."""
    names = ["6", "6.text", "seed"]
    assert blamed(vidpoll.InvalidField("6.text=7: it must be text"), names) == "6.text"
    assert blamed(vidpoll.InvalidField("6: no such node"), names) == "6"
    assert blamed(vidpoll.InvalidField("seeds=7: it must be text"), names) == ""
    assert blamed(vidpoll.InvalidField("seed=x: it must be a number"), ["fields.seed"]) == "fields.seed"
    assert blamed(vidpoll.InvalidField("submit needs 'seed'"), names) == ""
