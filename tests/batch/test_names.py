"""Names of files: safe on Linux, macOS and Windows, below the target, and never half a character."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll.batch.names import LONGEST, folded, name_of
from vidpoll.batch.rows import Row

DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)")


def row(key: str = "shot", *, file: str = "", cells: dict[str, str] | None = None, **fields: object) -> Row:
    return Row(key, "kling", "t2v", fields, "", "row 2", file, cells or {})


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{key}", "shot#2"),
        ("{account}-{kind}-{model}-{seed}", "kling-t2v-v3-7"),
        ("{date}/{key}", "2026-11-29/shot#2"),
        ("{prompt:5}_{n}", "a sea_2"),
        ("{scene}{empty}", "3-4"),
        ("{image}", "in-a.png"),
        ("{key}.mp4", "shot#2"),
        ("{{{key}}}", "{shot#2}"),
        ("  {key}  ", "shot#2"),
    ],
)
def test_holes(template: str, name: str) -> None:
    """What fills them is the row's own, the call's and any column; a `/` of a cell is no folder."""
    made = row("shot#2", cells={"scene": "3/4", "image:file": "in/a.png"}, prompt="a sea at dusk", model="v3", seed=7)
    assert name_of(made, template, date="2026-11-29", columns=["scene", "empty"]) == name
    assert name_of(row("shot#2", file=template, cells={**made.cells}, **made.fields), "x", date="2026-11-29",
                   columns=["scene", "empty"]) == name  # fmt: skip


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{kee}", "{kee} is not a placeholder of a file name; did you mean {key}?"),
        (
            "{}",
            "'{}': {} is not a placeholder; write a placeholder as {key} or {prompt:30}, a literal brace as {{ or }}",
        ),
        (
            "{key:x}",
            (
                "'{key:x}': {key:x} is not a placeholder; "
                "write a placeholder as {key} or {prompt:30}, a literal brace as {{ or }}"
            ),
        ),
        (
            "{key!r}",
            (
                "'{key!r}': {key!r} is not a placeholder; "
                "write a placeholder as {key} or {prompt:30}, a literal brace as {{ or }}"
            ),
        ),
        (
            "{key",
            (
                "'{key': expected '}' before end of string; "
                "write a placeholder as {key} or {prompt:30}, a literal brace as {{ or }}"
            ),
        ),
        ("{seed}", "'{seed}' gives an empty name for this row"),
    ],
)
def test_templates_with_odd_holes(template: str, said: str) -> None:
    """An unknown hole has its near name; a name that would be empty is none."""
    with pytest.raises(vidpoll.UsageError) as caught:
        name_of(row(), template)
    assert caught.value.message == said


@pytest.mark.parametrize(
    "template", ["../{key}", "/{key}", "a//{key}", "{key}/", "a/./b", "..", "", "a\\{key}", ". ./x"]
)
def test_no_name_above_the_target(template: str) -> None:
    """A template has folders below the target only."""
    with pytest.raises(vidpoll.UsageError) as caught:
        name_of(row(), template)
    assert "must be names separated by '/', none of them empty, '.' or '..'" in caught.value.message


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("../../etc/passwd", "-..-etc-passwd"),
        (".bashrc", "bashrc"),
        ("con", "_con"),
        ("NUL.mp4", "_NUL.mp4"),
        ("com¹", "_com¹"),
        ("console", "console"),
        ("a. . ", "a"),
        ('a<b>c:d"e|f?g*h\\i', "a-b-c-d-e-f-g-h-i"),
        ("e\u0301", "\u00e9"),
        ("two\nlines\ttab", "two lines tab"),
        ("\u202egpj.exe", "gpj.exe"),
        ("{key}", "{key}"),
    ],
)
def test_what_fills_a_hole_is_made_safe(key: str, name: str) -> None:
    """No separators, no device names, nothing hidden, nothing that turns the direction, one spelling."""
    assert name_of(row(key)) == name


def test_long_names_are_cut() -> None:
    """The longest of what fills the holes is cut, so that the key stays; a letter keeps its marks."""
    name = name_of(row("k" * 50, prompt="é" * 500), "{prompt}-{key}")
    assert name == "é" * 74 + "-" + "k" * 50
    assert name_of(row("x" * 300)) == "x" * LONGEST
    assert name_of(row(), "y" * 300) == "y" * LONGEST
    assert name_of(row("x" * 199 + "q\u0323\u0307")) == "x" * 199
    assert name_of(row("ab"), "z" * 199 + "{key}") == "z" * 199 + "a"


def test_folded() -> None:
    """Two names that are one file on macOS or Windows are one here."""
    assert folded("É") == folded("e\u0301")
    assert folded("STRASSE") == folded("straße")
    assert folded("a") != folded("b")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from(["{key}", "{p}/{key}", "{p:9}-{key}", "{p}{p}"]))
def test_every_name_is_one(key: str, text: str, template: str) -> None:
    """Whatever stands in the cells, each part is a name that every system takes."""
    try:
        name = name_of(row(key, p=text), template)
    except vidpoll.UsageError:  # nothing is left of a cell
        assert not all(re.sub(r"[\W_]", "", each) for each in (key, text))
        return
    assert name.count("/") == template.count("/")
    for part in name.split("/"):
        assert 0 < len(part.encode()) <= LONGEST + 1
        assert part.strip(" .") == part
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', part)
        assert not DEVICE.match(part)
        assert unicodedata.is_normalized("NFC", part)
