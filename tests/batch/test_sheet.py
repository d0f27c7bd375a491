"""Tables as spreadsheets save them, and as people write them."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll.batch.rows import RowProblem
from vidpoll.batch.sheet import decoded, delimiter, parse

TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\x1f"), max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5),
    st.sampled_from(",;\t"),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_spreadsheet_writes_is_read(cells: list[tuple[str, str]], sep: str, end: str, encoding: str) -> None:
    """Any text in quotation marks comes back as it was: delimiters, line ends and quotation marks too."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=sep, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("key", "prompt", "note"), *((f"k{n}", *each) for n, each in enumerate(cells))])
    header, records, problems, separator = parse("a.csv", decoded("a.csv", out.getvalue().encode(encoding)))
    assert (header, problems, separator) == ("row 1", [], sep)
    assert [values for _, values in records] == [
        {"key": f"k{n}", "prompt": prompt, "note": note} for n, (prompt, note) in enumerate(cells)
    ]


@pytest.mark.parametrize(
    ("text", "sep"),
    [
        ("key,prompt\n1,a; b; c\n", ","),
        ("prompt;seed\n\"a, b, c\";1\nd, e, f;2\n", ";"),
        ("key\tprompt\n1\ta, b; c\n", "\t"),
        ("\n\nkey;prompt\n1;a, b\n", ";"),
        ('"prompt, english";"seed"\nx;1\ny;2\n', ";"),
        ("a,b;c\nx,y;z\n", ","),
        ("prompt\na cat, running; fast\n", "\x1f"),
        ("", "\x1f"),
    ],
)  # fmt: skip
def test_the_delimiter(text: str, sep: str) -> None:
    """The names of the columns tell it, for prompts are full of commas; a single name is a table of one column."""
    assert delimiter(text) == sep


def test_excels_habits() -> None:
    """`sep=;` is no row; blank rows count and are none; empty columns at the end are none; short rows are filled."""
    text = 'sep=;\r\nkey;prompt;;\r\n\r\n;;;\r\na;"two\r\nlines";;\r\nb\r\n'
    assert parse("a.csv", text) == (
        "row 1",
        [("row 4", {"key": "a", "prompt": "two\r\nlines"}), ("row 5 (line 6)", {"key": "b", "prompt": ""})],
        [],
        ";",
    )


def test_a_table_of_one_column() -> None:
    """Its cells hold what they like; in quotation marks they hold line ends too."""
    text = 'prompt\na cat, running; "fast"\n"b, ""c"""\n'
    assert [each["prompt"] for _, each in parse("a.csv", text)[1]] == ['a cat, running; "fast"', 'b, "c"']


def test_rows_that_do_not_fit() -> None:
    """A row with more cells than columns is told with its likely reason, and the others are read."""
    _, records, problems, _ = parse("a.csv", 'key,prompt\n1,a cat, running\n2,"a dog, sitting",\n')
    way = "put a text that holds the delimiter or a line break in quotation marks"
    assert problems == [RowProblem("row 2", "", f"it has 3 cells, but there are 2 columns; {way}")]
    assert records == [("row 3", {"key": "2", "prompt": "a dog, sitting"})]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("key,prompt,prompt", [("prompt", "this column occurs twice; rename or remove one")]),
        ("key,,prompt", [("", "column 2 has no name; give it one, or remove it")]),
        ("a,a,b,b", [("a", "this column occurs twice; rename or remove one"),
                     ("b", "this column occurs twice; rename or remove one")]),
    ],
)  # fmt: skip
def test_names_of_columns_that_are_none(names: str, told: list[tuple[str, str]]) -> None:
    """Each name stands once; of rows under others nothing is taken."""
    assert parse("a.csv", f"{names}\n1,2,3\n")[:3] == ("row 1", [], [RowProblem("row 1", *each) for each in told])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('key,prompt\n1,a\n2,"open\n3,x\n', "a.csv: row 3: a quotation mark is opened and never closed"),
        (
            'key,prompt\n1,"a" b\n',
            'a.csv: row 2: there is text after a closing quotation mark; in a quoted cell, write " as ""',
        ),
    ],
)
def test_quotation_marks_that_swallow_rows(text: str, said: str) -> None:
    """A mark that is never closed would make one cell of all rows below it."""
    with pytest.raises(vidpoll.UsageError) as caught:
        parse("a.csv", text)
    assert caught.value.message == said


SAVE = "save it as 'CSV UTF-8 (comma delimited)'"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b'key,prompt\n1,"two\nlines"\n2,caf\xe9\n',
            "row 3, the byte 0xE9 is not valid UTF-8 (in Windows-1252 it is 'é')",
        ),
        (
            "key,prompt\r\n1,“”\r\n".encode("cp1252"),
            "row 2, the byte 0x93 is not valid UTF-8 (in Windows-1252 it is '“')",
        ),
        (b"key,prompt\n1,a\0b\n", "row 2 holds a NUL: the file is damaged, or UTF-16 without a byte order mark"),
        ("key".encode("utf-16-le"), "row 1 holds a NUL: the file is damaged, or UTF-16 without a byte order mark"),
        (b"\xff\xfek\0e", "the byte 0x65 is not valid UTF-16"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, said: str) -> None:
    """The error names the row as a spreadsheet counts, and the way out."""
    with pytest.raises(vidpoll.UsageError) as caught:
        decoded("a.csv", data)
    assert caught.value.message == f"a.csv: {said}; {SAVE}"
