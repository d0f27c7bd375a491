"""What parsers are made of: strict about status words, forgiving about the rest, and never surprised by any JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vidpoll import (
    Asset,
    BadReference,
    InvalidField,
    Malformed,
    Problem,
    Response,
    Snapshot,
    State,
    Submitted,
    UnknownStatus,
    parsing,
)
from vidpoll.errors import Refused
from vidpoll.parsing import first_of, json_object, lookup, problem, progress, segment, submitted, timestamp

few = settings(max_examples=30, deadline=None)  # enough to find what is wrong, few enough to run always

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def answer(value: object, status: int = 200, kind: str = "application/json") -> Response:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Response(status, {"content-type": kind}, body)


# -- json_object ------------------------------------------------------------------------------------------------------


def test_the_object_under_a_path() -> None:
    """Envelopes are opened by naming the keys on the way."""
    response = answer({"data": {"task": {"id": 1}}})
    assert json_object(response, "data", "task") == {"id": 1}
    assert json_object(response) == {"data": {"task": {"id": 1}}}


@pytest.mark.parametrize(
    ("value", "path", "said"),
    [
        ([], (), "the body is not a JSON object but list"),
        (None, (), "the body is not a JSON object but NoneType"),
        ({"data": None}, ("data",), "data is not a JSON object but NoneType"),
        ({}, ("data", "task"), "data is not a JSON object but NoneType"),
        ({"data": {"task": "x"}}, ("data", "task"), "data.task is not a JSON object but str"),
    ],
)
def test_where_an_object_is_missing_is_said(value: object, path: tuple[str, ...], said: str) -> None:
    """A wrong shape is Malformed, and names the place."""
    with pytest.raises(Malformed, match=f"HTTP 200: {said}"):
        json_object(answer(value), *path)


# -- lookup -----------------------------------------------------------------------------------------------------------

WORDS = {"queued": State.QUEUED, "Generating": State.RUNNING, "done": State.COMPLETED}
NUMBERS = {-1: State.FAILED, 1: State.COMPLETED, 4: State.RUNNING}


@pytest.mark.parametrize(
    ("table", "word", "state"),
    [
        (WORDS, "queued", State.QUEUED),
        (WORDS, "QUEUED", State.QUEUED),
        (WORDS, " generating\n", State.RUNNING),
        (NUMBERS, 1, State.COMPLETED),
        (NUMBERS, -1, State.FAILED),
        (NUMBERS, "1", State.COMPLETED),
        (NUMBERS, " -1 ", State.FAILED),
        (NUMBERS, 1.0, State.COMPLETED),
        (NUMBERS, "4.0", State.RUNNING),
        ({"": State.QUEUED}, "", State.QUEUED),
    ],
)
def test_a_listed_word(table: dict[Any, State], word: object, state: State) -> None:
    """Case and outer spaces do not matter; numbers are words, too."""
    assert lookup(table, word) is state


@pytest.mark.parametrize("table", [WORDS, NUMBERS])
@pytest.mark.parametrize(
    "word", [None, True, False, [], {}, 2.0, 0.5, math.inf, math.nan, "", "  ", b"queued", "do\ufffd"]
)
def test_no_word_at_all(table: dict[Any, State], word: object) -> None:
    """`True == 1` in Python, and never here; an answer without a word says nothing about the job."""
    with pytest.raises(Malformed, match=r"no status word|a status word that cannot be read") as caught:
        lookup(table, word)
    assert caught.value.wordless


@pytest.mark.parametrize("word", ["complete", "done!", "queue", "1", "doné", 0, 2, 10**30])
def test_a_word_that_is_not_listed(word: object) -> None:
    """Nothing is guessed: the word is quoted, and the known ones are named."""
    with pytest.raises(UnknownStatus, match=r"unknown status '.+'; known: queued, Generating, done") as caught:
        lookup(WORDS, word)
    assert caught.value.word == str(word)


def test_an_unknown_word_is_cleaned() -> None:
    """The word becomes a stage that is printed: no escape sequence, at most 60 characters."""
    with pytest.raises(UnknownStatus) as caught:
        lookup(WORDS, "\x1b[31mred\n" + "x" * 100)
    assert caught.value.word == "red " + "x" * 55 + "…"


@few
@given(JSON)
def test_lookup_raises_nothing_else(word: object) -> None:
    """Any JSON is a listed word, Malformed or UnknownStatus."""
    with suppress(Malformed, UnknownStatus):
        assert lookup(WORDS, word) in WORDS.values()


# -- numbers and times ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "full", "percent"),
    [
        (54, 100, 54.0),
        (0, 100, 0.0),
        (0.54, 1, 54.0),
        ("54%", 100, 54.0),
        (" 7.5 % ", 100, 7.5),
        ("100", 100, 100.0),
        (130, 100, 130.0),
        (-3, 100, -3.0),
        (True, 100, None),
        (None, 100, None),
        (math.nan, 100, None),
        (math.inf, 100, None),
        (1e308, 1, None),
        (10**400, 100, None),
        ("half", 100, None),
        ("1e9", 100, None),
        ("", 100, None),
        ([54], 100, None),
    ],
)
def test_progress(value: object, full: float, percent: float | None) -> None:
    """A number or a text like "54%", and None for the rest; it comes as it is, the job clamps it."""
    assert progress(value, full=full) == (percent if percent is None else pytest.approx(percent))


NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (NOON, NOON),
        (int(NOON), NOON),
        (NOON * 1000, NOON),
        ("2026-11-21T12:00:00Z", NOON),
        ("2026-11-21T12:00:00z", NOON),
        ("2026-11-21 12:00:00+00:00", NOON),
        (" 2026-11-21T20:00:00+08:00 ", NOON),
        ("2026-11-21T12:00:00.5Z", NOON + 0.5),
        ("2026-11-21T12:00:00.123456789Z", NOON + 0.123456),
        ("2026-11-21T12:00:00", None),
        ("2026-11-21", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        (0, None),
        (-5, None),
        (True, None),
        (1e300, None),
        (NOON * 1e9, None),
        (math.nan, None),
        (None, None),
        ("soon", None),
        ("9" * 400, None),
        ({}, None),
    ],
)
def test_timestamp(value: object, seconds: float | None) -> None:
    """Unix seconds; None for a text without a zone, for "no time" as Go and others write it, and for nonsense."""
    assert timestamp(value) == (seconds if seconds is None else pytest.approx(seconds, abs=1e-5))


@few
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9990, 1, 1), timezones=st.integers(-14, 14).map(
        lambda hours: timezone(timedelta(hours=hours))))
)  # fmt: skip
def test_timestamp_agrees_with_the_standard_library(moment: datetime) -> None:
    """A second opinion: what `isoformat` writes is read as the same second."""
    assert timestamp(moment.isoformat()) == pytest.approx(moment.timestamp(), abs=1e-4)


TOLERANT: list[Callable[[Any], object]] = [
    progress, timestamp, parsing.number, parsing.count, parsing.text, parsing.assets, parsing.expiry,
]  # fmt: skip


@few
@given(
    value=st.text(
        st.sampled_from("0123456789.+-%_TZ:\t\n\x0b\x0c\x1c\x1d\x1e\x1f \x85\xa0\u2007\u2028\xb2\u0663"), max_size=16
    )
)
def test_no_two_readers_disagree_about_a_space_or_a_digit(value: str) -> None:
    """What is no number is None, or no word; what is one is the same without the spaces around it."""
    for read in (parsing.number, parsing.count, progress, timestamp):
        assert read(value) == read(value.strip())
    with suppress(Malformed, UnknownStatus):
        lookup({5: State.QUEUED}, value)


@pytest.mark.parametrize("space", ["\x1c", "\x1f", "\x85", "\xa0", "\u2028", "\n", " "])
def test_a_number_has_any_spaces_around_it(space: str) -> None:
    """\\s of a pattern, strip, float and int each know other ones."""
    assert (parsing.number(f"{space}5"), parsing.count(f"5{space}")) == (5.0, 5)
    assert (progress(f"{space}5{space}%"), timestamp(f"1700000000{space}")) == (5.0, 1.7e9)
    assert lookup({5: State.QUEUED}, f"{space}5{space}") is State.QUEUED
    assert parsing.at([1, 2], "[\xb2]") == []


@pytest.mark.parametrize("read", TOLERANT, ids=lambda read: read.__name__)
@few
@given(value=JSON)
def test_what_decides_nothing_never_raises(read: Callable[[Any], object], value: object) -> None:
    """A time, a number, a text or a URL that makes no sense is None or nothing, for any JSON."""
    found = read(value)
    if found is not None and read in (progress, timestamp, parsing.number):
        assert isinstance(found, float)
        assert math.isfinite(found)


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (parsing.number, "5.041", 5.041),
        (parsing.number, " -3 ", -3.0),
        (parsing.number, "+1", 1.0),
        (parsing.number, "5s", None),
        (parsing.number, "", None),
        (parsing.number, "1e9", None),
        (parsing.number, "nan", None),
        (parsing.number, "9" * 21, None),
        (parsing.number, "٣", None),
        (parsing.number, True, None),
        (parsing.count, 5, 5),
        (parsing.count, "-5", -5),
        (parsing.count, "5.0", 5),
        (parsing.count, 5.0, 5),
        (parsing.count, "5.5", None),
        (parsing.count, 5.5, None),
        (parsing.count, float("inf"), None),
        (parsing.count, True, None),
        (parsing.count, 2**63, None),
        (parsing.count, "9" * 19, None),
        (timestamp, "1795001000", 1795001000.0),
        (timestamp, "1795001000123", 1795001000.123),
        (timestamp, "20261128", None),
        (timestamp, "20261128120000", None),
    ],
)
def test_a_number_as_text_means_the_same(read: Callable[[Any], object], value: object, found: object) -> None:
    """Many providers quote their numbers; what is no plain decimal number is none."""
    assert read(value) == found


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("X-Amz-Date=20261128T120000Z&X-Amz-Expires=3600", 1795870800.0),
        ("a=1&X-Tos-Expires=86400&b=2&X-Tos-Date=20261128T120000Z&c=3", 1795953600.0),
        ("Expires=1795870800&OSSAccessKeyId=a&Signature=b", 1795870800.0),
        ("Signature=b&Key-Pair-Id=c&Expires=1795870800", 1795870800.0),
        ("Expires=1795870800&Signature=", None),
        ("Expires=3600&Signature=b", None),
        ("X-Amz-Expires=3600&X-Amz-Signature=abc", None),
        ("X-Amz-Date=20261328T120000Z&X-Amz-Expires=3600", None),
        ("Y=X-Amz-Date=20261128T120000Z&X-Amz-Expires=3600", None),
    ],
)
def test_the_end_of_a_presigned_url(query: str, ends: float | None) -> None:
    """The query tells when it was signed and for how long, in any order."""
    assert parsing.expiry(f"https://media.example/a.mp4?{query}") == ends


# -- picking ----------------------------------------------------------------------------------------------------------

BODY = {
    "a": {"b": "", "list": [{"u": 1}, {"v": 2}, {"u": None}, {"u": 3}, "x"]},
    "out": [{"type": "image", "url": "i"}, {"type": "video", "url": "v"}],
    "steps": [{"out": [{"u": 1}, {"u": 2}]}, {"out": None}, {"k": "b", "out": [{"k": "c", "u": 3}]}],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", BODY),
        ("a.b", ""),
        ("a.c", None),
        ("a.b.c", None),
        ("a.list[].u", [1, 3]),
        ("a.list[3].u", 3),
        ("a.list[9].u", None),
        ("a.list.u", None),
        ("a[].u", []),
        ("a[0]", None),
        ("out[type=video].url", ["v"]),
        ("out[type=video]", [{"type": "video", "url": "v"}]),
        ("out[type=audio].url", []),
        ("steps[].out[].u", [1, 2, 3]),
        ("steps[k=b].out[k=c].u", [3]),
        ("steps[].out[0].u", [1, 3]),
        ("steps[].out[].u.v", []),
    ],
)
def test_what_stands_at_a_path(path: str, found: object) -> None:
    """The value comes as it stands: nothing that is empty is skipped, and what is no list has no items."""
    assert parsing.at(BODY, path) == found


def test_a_list_at_the_root() -> None:
    """A step without a name chooses from the value itself."""
    assert (parsing.at([{"id": 1}], "[0].id"), parsing.at([{"id": 1}], "[].id")) == (1, [1])


@few
@given(value=JSON, path=st.sampled_from(["a", "a.b", "a[].b", "a[].b[].c", "[]", "[0].a", "a[b=c].d"]))
def test_a_path_into_any_json(value: object, path: str) -> None:
    """Whatever a server sends, looking for a path raises nothing."""
    assert parsing.at({"x": value}, f"x.{path}") == parsing.at(value, path)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"error": {"message": "a"}, "message": "b"}, "a"),
        ({"error": {"message": ""}, "message": "b"}, "b"),
        ({"error": "text", "message": "b"}, "b"),
        ({"error": [], "message": {}}, None),
        ({"message": 0}, 0),
        ({"message": False}, False),
        ({}, None),
    ],
)
def test_first_of(data: dict[str, Any], found: object) -> None:
    """The first path that leads to something; 0 and false are something, empty text, list and object are not."""
    assert first_of(data, "error.message", "message") == found


@few
@given(data=JSON, path=st.text())
def test_first_of_never_raises(data: Any, path: str) -> None:
    """Whatever came and whatever is asked, the answer is a value or None."""
    first_of(data, path, "a.b.c")


@pytest.mark.parametrize(
    ("value", "found"), [("a", "a"), (7, "7"), ("", None), (True, None), (1.5, None), (None, None), (10**50, None)]
)
def test_text(value: object, found: str | None) -> None:
    """Some providers number their jobs; a boolean is no number."""
    assert parsing.text(value) == found


def test_assets_out_of_what_came() -> None:
    """A URL or a list of URLs; what is no URL costs nothing."""
    assert parsing.assets("/a.mp4") == (Asset("/a.mp4"),)
    assert parsing.assets(["/a.mp4", "", None, 7, "b\0"], "audio", size=3) == (Asset("/a.mp4", "audio", size=3),)
    assert parsing.assets(" /a.mp4\r\n") == (Asset("/a.mp4"),)


# -- submit and paths -------------------------------------------------------------------------------------------------


def test_the_id_of_a_submit_comes_first() -> None:
    """What the answer says beyond the id is read when it can be."""
    assert submitted(7, lambda: Snapshot(State.QUEUED)) == Submitted("7", Snapshot(State.QUEUED))
    assert submitted("a") == Submitted("a")


def failing(error: Exception) -> Callable[[], Snapshot]:
    def read() -> Snapshot:
        raise error

    return read


@pytest.mark.parametrize(
    "error",
    [Malformed("x"), UnknownStatus("x"), Refused("money"), KeyError("status"), TypeError("x"), RecursionError()],
)
def test_nothing_else_in_a_submit_answer_can_raise(error: Exception) -> None:
    """Rule 3: the job is paid for, and its id is in hand; a KeyError behind it must not lose it."""
    assert submitted("a", failing(error)) == Submitted("a")


@few
@given(JSON)
def test_a_submit_answer_has_an_id_or_is_malformed(value: object) -> None:
    """No id means that nobody knows whether a job was made."""
    with suppress(Malformed):
        assert submitted(value).job_id.strip()


@pytest.mark.parametrize(
    ("job_id", "safe", "path"),
    [
        ("3f8a", "", "3f8a"),
        ("a/b c?d#e", "", "a%2Fb%20c%3Fd%23e"),
        ("fal-ai/kling/requests/1:2", "/:", "fal-ai/kling/requests/1:2"),
        ("é", "", "%C3%A9"),
        ("...", "", "..."),
    ],
)
def test_segment(job_id: str, safe: str, path: str) -> None:
    """An id is one segment unless the plugin says that it is a path."""
    assert segment(job_id, safe=safe) == path


@pytest.mark.parametrize(
    ("job_id", "safe"), [("", ""), (".", ""), ("..", ""), ("a/../b", "/"), ("a//b", "/"), ("/a", "/"), ("\ud800", "")]
)
def test_an_id_cannot_climb(job_id: str, safe: str) -> None:
    """No id leads to another place of the API than its own."""
    with pytest.raises(BadReference):
        segment(job_id, safe=safe)


# -- problem ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"error": {"message": "no", "code": "E1", "details": {"a": 1}}}, Problem("no", "E1", {"a": 1})),
        ({"error": {"message": "no", "type": "invalid"}}, Problem("no", "invalid")),
        ({"error": "no"}, Problem("no")),
        ({"message": "no", "code": 402}, Problem("no", "402")),
        ({"detail": "no"}, Problem("no", None, {"details": "no"})),
        ({"status": 404, "message": "not found", "data": None}, Problem("not found")),
        ({"error": {"code": "conflict"}}, Problem("HTTP 500", "conflict")),
        ({"message": "  "}, Problem("HTTP 500")),
        ({}, Problem("HTTP 500")),
        ([], Problem("HTTP 500")),
        (None, Problem("HTTP 500")),
        ("no", Problem("no")),
        ("", Problem("HTTP 500")),
        (b"", Problem("HTTP 500 without JSON (application/json)")),
    ],
)
def test_the_usual_envelopes(value: object, expected: Problem) -> None:
    """Message, code and details of an error answer, wherever most providers put them."""
    assert problem(answer(value, 500)) == expected


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("text/plain; charset=utf-8", b"upstream gone", "upstream gone"),
        ("text/html", b"<html><body>Bad gateway", "HTTP 502: a page"),
        ("", b"\xff\xfe", "HTTP 502 without JSON (no content type)"),
    ],
)
def test_what_is_no_json(kind: str, body: bytes, message: str) -> None:
    """Plain text is quoted; a page of HTML is not."""
    assert problem(answer(body, 502, kind)) == Problem(message)


@few
@given(JSON | st.text().map(lambda said: {"message": said}))
@example({"message": "\u00e9\n\x1b[31m\u202e"})
def test_problem_never_raises(value: object) -> None:
    """Reading an error must not make a worse one, and what it says is one safe line."""
    message = problem(answer(value, 500)).message
    assert message.replace("\u200d", "").isprintable()  # a joiner within an emoji stays
    assert len(message) <= 500


@few
@given(st.binary(), st.sampled_from(["text/plain", "text/html", "application/json", ";;", "\udcff"]))
def test_problem_never_raises_on_bytes(body: bytes, kind: str) -> None:
    """Whatever a proxy puts in the way."""
    assert len(problem(Response(502, {"content-type": kind}, body)).message) <= 500


RULES: parsing.Rules = {"prompt": ("some text", lambda v: isinstance(v, str)), "seed": ("a number", parsing.number)}


def test_checked_fields() -> None:
    """What was given, None left out; a builder may trust it."""
    assert parsing.checked("submit", {"prompt": "x", "seed": None}, RULES) == {"prompt": "x"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"promt": "x"}, "submit takes no field 'promt'; it takes prompt, seed"),
        ({"prompt": 7}, "prompt=7: it must be some text"),
        ({"seed": "x" * 99}, f"seed='{'x' * 38}…: it must be a number"),
    ],
)
def test_checked_fields_that_are_wrong(fields: dict[str, object], said: str) -> None:
    """The message names the field, what it must be, and the fields that there are."""
    with pytest.raises(InvalidField) as caught:
        parsing.checked("submit", fields, RULES)
    assert str(caught.value) == said


def test_a_checked_field_that_cannot_be_shown() -> None:
    """A value that is too deep for `repr` is refused like any other."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidField, match=r"^seed=list, nested too deep to show: it must be a number$"):
        parsing.checked("submit", {"seed": deep}, RULES)


def test_rows_of_a_list() -> None:
    """One strange row costs neither the others nor the list; what is no list is malformed."""

    def read(row: dict[str, object]) -> Snapshot:
        return Snapshot(parsing.lookup({"ok": State.COMPLETED}, row.get("status")), job_id=parsing.text(row.get("id")))

    rows = [{"id": "1", "status": "ok"}, {"id": "2", "status": "odd"}, None, 7, {"status": "ok"}]
    assert parsing.rows(rows, read) == (Snapshot(State.COMPLETED, job_id="1"),)
    with pytest.raises(Malformed, match="expected a list of jobs, got dict"):
        parsing.rows({}, read)


@given(JSON, st.text(max_size=6))
@few
def test_a_column_of_a_list(value: object, path: str) -> None:
    """The values of one field, in order; a strange item, or something that is no list, costs nothing."""
    assert parsing.column([{"a": {"b": 1}}, 7, {"a": None}, {"a": {"b": "x"}}], "a.b") == [1, "x"]
    assert parsing.column({"a": 1}, "a") == []
    assert isinstance(parsing.column(value, path), list)


# -- media ------------------------------------------------------------------------------------------------------------


def kinds_of(found: object) -> list[tuple[str | bytes | None, str]]:
    return [(asset.data or asset.url, asset.kind) for asset in parsing.media(found)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("https://a.example/x/1.mp4?sig=a.png", [("https://a.example/x/1.mp4?sig=a.png", "video")]),
        (["https://a.example/2.PNG", "seed 7"], [("https://a.example/2.PNG", "image")]),
        ({"thumbnail": "https://a.example/1.jpg"}, [("https://a.example/1.jpg", "thumbnail")]),
        ({"thumbnail": "https://a.example/1.mp4"}, [("https://a.example/1.mp4", "video")]),
        ({"audio": "https://a.example/1"}, [("https://a.example/1", "audio")]),
        ({"out": "https://a.example"}, [("https://a.example", "video")]),
        ({"out": "https://a.example/frames.zip"}, [("https://a.example/frames.zip", "file")]),
        ({"b": [{"u": "http://a.example/1.mp3"}], "a": "https://a.example/2.webm"}, [
            ("http://a.example/1.mp3", "audio"), ("https://a.example/2.webm", "video")]),
        ("data:video/mp4;base64,AAAA", [(b"\0\0\0", "video")]),
        ("data:application/zip;base64,AAAA", [(b"\0\0\0", "file")]),
        ("data:video/mp4;base64,A", []),
        ("https://[a/1.mp4", []),
        ("https://a.example/a b.mp4", []),
        ("ftp://a.example/1.mp4", []),
        (None, []),
        (7, []),
    ],
)  # fmt: skip
def test_media(found: object, expected: list[tuple[str | bytes, str]]) -> None:
    """Each URL, in the order in which they stand, is what its path's end says, else what it is called."""
    assert kinds_of(found) == expected


def test_media_as_deep_as_json_goes() -> None:
    """No depth is too deep."""
    nested: object = "https://a.example/1.mp4"
    for _ in range(50_000):
        nested = [nested]
    assert kinds_of(nested) == [("https://a.example/1.mp4", "video")]


def test_media_end_with_their_urls() -> None:
    """A URL's own end goes before the one that is given."""
    signed = "https://a.example/1.mp4?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60"
    found = parsing.media([signed, "https://a.example/2.mp4"], expires_at=5.0)
    assert [asset.expires_at for asset in found] == [1767225660.0, 5.0]
