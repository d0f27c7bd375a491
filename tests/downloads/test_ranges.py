"""What the head of an answer says about its bytes: equality on data, no network."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vidpoll
from vidpoll.downloads.ranges import Body, Validator, read, unsatisfied

DAY = "Sat, 21 Nov 2026 10:00:0{} GMT"
NOTHING = Validator()


def head(status: int = 200, **headers: Any) -> vidpoll.Response:
    return vidpoll.Response(status, {name.replace("_", "-"): str(value) for name, value in headers.items()})


def partial(content_range: str, **headers: Any) -> vidpoll.Response:
    return head(206, content_range=content_range, **headers)


# -- validators -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("etag", "strong"),
    [
        ('"abc"', '"abc"'),
        ('""', '""'),
        ('"a-1;b/c"', '"a-1;b/c"'),
        ('W/"abc"', None),
        ('w/"abc"', None),
        ("abc", None),
        ('"abc', None),
        ('"a b"', None),
        ('"a", "b"', None),
        ('"a\nb"', None),
        ('"a\x1fb"', None),
        ('"é"', None),
        ('"\u2028"', None),
        ("", None),
    ],
)
def test_only_a_strong_etag_counts(etag: str, strong: str | None) -> None:
    """A weak one promises the same meaning, not the same bytes; what is no ETag is none."""
    assert Validator.of(head(etag=etag), None) == Validator(strong)


@pytest.mark.parametrize(
    ("modified", "date", "counts"),
    [
        (DAY.format(0), DAY.format(1), True),
        (DAY.format(0), DAY.format(9), True),
        (DAY.format(1), DAY.format(1), False),
        (DAY.format(2), DAY.format(1), False),
        (DAY.format(0), "", False),
        ("", DAY.format(1), False),
        ("yesterday", DAY.format(1), False),
        (DAY.format(0), "Sat, 99 Nov 99999 10:00:00 GMT", False),
        (DAY.format(0), "Sat, 21 Nov 2026 10:00:01 -0000", False),
        (DAY.format(0) + "\r", DAY.format(1), False),
        (DAY.format(0).replace(" ", "\t"), DAY.format(1), False),
        (DAY.format(0) + " (mañana)", DAY.format(1), False),
    ],
)
def test_a_date_counts_when_it_is_a_second_old(modified: str, date: str, counts: bool) -> None:
    """RFC 9110, 8.8.2.2: within the second in which it was changed a file may have been changed again."""
    given = {name: value for name, value in (("last_modified", modified), ("date", date)) if value}
    assert Validator.of(head(**given), 5) == Validator(None, modified if counts else None, 5)


@given(st.text(), st.text())
def test_what_a_server_names_can_be_sent_back(etag: str, modified: str) -> None:
    """Whatever came: an If-Range is printable ASCII without a space around it, or there is none."""
    quoted = Validator.of(head(etag=f'"{etag}"', last_modified=f"{DAY.format(0)}{modified}", date=DAY.format(9)), None)
    assert re.fullmatch(r"[!-~]([ -~]*[!-~])?", quoted.condition or "-")


def test_the_condition_is_the_etag_and_else_the_date() -> None:
    """Nothing may be resumed without one."""
    assert Validator('"a"', DAY.format(0), 5).condition == '"a"'
    assert Validator(None, DAY.format(0), 5).condition == DAY.format(0)
    assert Validator(None, None, 5).condition is None


@pytest.mark.parametrize(
    ("known", "other", "proves"),
    [
        (Validator('"a"', "x", 5), Validator('"a"', "x", 5), True),
        (Validator('"a"', "x", 5), Validator('"a"', None, None), True),
        (Validator('"a"', None, None), Validator('"a"', "x", 5), True),
        (Validator('"a"', "x", 5), Validator('"a"', "y", 5), True),
        (Validator('"a"', "x", 5), Validator('"b"', "x", 5), False),
        (Validator('"a"', "x", 5), Validator('"a"', "x", 6), False),
        (Validator('"a"', "x", 5), Validator(None, "x", 5), False),
        (Validator(None, "x", 5), Validator(None, "x", 5), True),
        (Validator(None, "x", 5), Validator('"a"', "x", None), True),
        (Validator(None, "x", 5), Validator(None, "y", 5), False),
        (Validator(None, "x", 5), Validator(None, "x", 6), False),
        (Validator(None, "x", 5), Validator('"a"', None, 5), False),
        (Validator(length=5), Validator('"a"', "x", 5), True),
        (Validator(length=5), NOTHING, True),
        (Validator(length=5), Validator(length=6), False),
        (NOTHING, NOTHING, False),
        (NOTHING, Validator('"a"', "x", 5), False),
    ],
)
def test_the_same_file_names_what_it_is_known_by(known: Validator, other: Validator, proves: bool) -> None:
    """The ETag, else the date, else the length alone; a date counts for nothing where there is an ETag."""
    assert known.proves(other) is proves


# -- whole files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "end", "framed"),
    [
        ({"content_length": "100"}, 100, True),
        ({"content_length": " 100 "}, 100, True),
        ({"content_length": "0"}, 0, True),
        ({"content_length": "-1"}, None, False),
        ({"content_length": "1e3"}, None, False),
        ({"content_length": "\u0663"}, None, False),
        ({"content_length": "9" * 19}, None, False),
        ({"content_length": "100, 100"}, 100, True),
        ({"content_length": "100, 200"}, None, False),
        ({"transfer_encoding": "chunked"}, None, True),
        ({"transfer_encoding": "gzip, Chunked"}, None, True),
        ({"transfer_encoding": "chunked", "content_length": "7"}, None, True),
        ({}, None, False),
    ],
)
def test_a_whole_file(headers: dict[str, str], end: int | None, framed: bool) -> None:
    """Its end is its length. Chunks show a cut, too, and outrank a length (RFC 9112, 6.3); else a cut does not show."""
    assert read(head(**headers), 0, None) == Body(0, end, end, framed, Validator(length=end))


def test_a_whole_file_starts_at_0_whatever_was_asked_for() -> None:
    """200 to a Range means: all of it, and maybe another one; who begins anew need not compare."""
    known = Validator('"old"', None, 70)
    answer = read(head(content_length=50, etag='"new"'), 30, known)
    assert answer == Body(0, 50, 50, True, Validator('"new"', None, 50))


# -- ranges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_range", "offset", "span"),
    [
        ("bytes 30-99/100", 30, (30, 100, 100)),
        ("bytes  30-99/100 ", 30, (30, 100, 100)),
        ("bytes 30-49/100", 30, (30, 50, 100)),
        ("bytes 30-30/100", 30, (30, 31, 100)),
        ("bytes 30-99/*", 30, (30, 100, None)),
        ("bytes 0-99/100", 0, (0, 100, 100)),
    ],
)
def test_a_range(content_range: str, offset: int, span: tuple[int, int, int | None]) -> None:
    """It may be shorter than what was asked for, and its total may be unknown."""
    first, end, total = span
    assert read(partial(content_range), offset, None) == Body(first, end, total, True, Validator(length=total))


@pytest.mark.parametrize(
    "content_range",
    [
        "",
        "bytes",
        "bytes 29-99/100",
        "bytes 31-99/100",
        "bytes 0-99/100",
        "bytes 30-29/100",
        "bytes 30-100/100",
        "bytes 30-99/50",
        "bytes 30-99",
        "bytes 30-/100",
        "bytes -99/100",
        "bytes */100",
        "bytes=30-99/100",
        "items 30-99/100",
        "bytes 30-99/100, bytes 100-120/200",
        "bytes 30-99/100x",
        "bytes \u0663\u0660-99/100",
        "bytes 30-" + "9" * 400 + "/*",
    ],
)
def test_what_is_not_the_range_that_was_asked_for(content_range: str) -> None:
    """Another first byte, none at all, or one that contradicts itself: such bytes are not taken."""
    assert read(partial(content_range), 30, None) is None


def test_several_ranges_in_one_answer_are_none() -> None:
    """They come with a Content-Type of their own, and without a Content-Range."""
    assert read(head(206, content_type="multipart/byteranges; boundary=x", content_length=80), 30, None) is None


@pytest.mark.parametrize(
    ("headers", "total", "taken"),
    [
        ({"etag": '"a"'}, 100, True),
        ({"etag": '"a"'}, "*", True),
        ({}, 100, False),
        ({"etag": 'W/"a"'}, 100, False),
        ({"last_modified": DAY.format(0), "date": DAY.format(5)}, 100, False),
        ({"etag": '"b"'}, 100, False),
        ({"etag": '"a"'}, 101, False),
        ({}, 101, False),
    ],
)
def test_a_range_of_another_file(headers: dict[str, str], total: object, taken: bool) -> None:
    """A 206 that does not name the strong ETag, or has another total, is not taken, whatever If-Range was sent."""
    known = Validator('"a"', DAY.format(0), 100)
    assert (read(partial(f"bytes 30-99/{total}", **headers), 30, known) is not None) is taken


def test_a_range_of_a_file_with_another_date() -> None:
    """Where a date is all that is known, another one is another file."""
    known = Validator(None, DAY.format(0), 100)
    same = {"last_modified": DAY.format(0), "date": DAY.format(5)}
    other = {"last_modified": DAY.format(1), "date": DAY.format(5)}
    assert read(partial("bytes 30-99/100", **same), 30, known) is not None
    assert read(partial("bytes 30-99/100", **other), 30, known) is None
    assert read(partial("bytes 30-99/100"), 30, known) is None


@pytest.mark.parametrize(
    ("content_range", "length"),
    [
        ("bytes */100", 100),
        ("bytes  */0", 0),
        (" bytes */7 ", 7),
        ("bytes */*", None),
        ("bytes 0-9/100", None),
        ("bytes */-1", None),
        ("*/100", None),
        ("", None),
    ],
)
def test_a_416_tells_the_length(content_range: str, length: int | None) -> None:
    """RFC 9110, 15.5.17; some servers do not."""
    assert unsatisfied(head(416, content_range=content_range), None) == length


def test_a_416_is_about_the_same_file() -> None:
    """Or it says nothing: another one may happen to be as long as what has come of this one."""
    known = Validator('"a"', None, None)
    assert unsatisfied(head(416, content_range="bytes */100", etag='"a"'), known) == 100
    assert unsatisfied(head(416, content_range="bytes */100"), known) is None
    assert unsatisfied(head(416, content_range="bytes */100", etag='"b"'), known) is None
