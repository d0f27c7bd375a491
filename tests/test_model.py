"""The values that cross a boundary: frozen, checked when built, and shown without secrets."""

from __future__ import annotations

import copy
import json
import math
import pickle
from contextlib import suppress
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll import (
    Asset,
    BadReference,
    Cost,
    Malformed,
    Page,
    PluginError,
    Problem,
    Quota,
    Request,
    Response,
    Snapshot,
    State,
    Submitted,
    UsageError,
)
from vidpoll.model import check_account_name, check_job_id, is_number, origin, parse_reference

few = settings(max_examples=30, deadline=None)  # enough to find what is wrong, few enough to run always

SIGNED = "https://media.example/a.mp4?X-Signature=abcdef123456"
VALUES = [
    Request("POST", "/v1/jobs", (("page", "1"),), {"x-trace": "1"}, json={"prompt": "a"}),
    Response(200, {"Content-Type": "application/json"}, b"{}"),
    Asset(SIGNED),
    Asset(data=b"\0\0\0 ftyp"),
    Problem("no", "E1", {"why": "because"}),
    Cost(50, 25, "credits"),
    Snapshot(State.RUNNING, "saving", 54.0, (Asset("/a.mp4"),), Problem("slow"), "1", 1.0, 2.0, 3.0, 5.0, 1, Cost(1)),
    Submitted("1", Snapshot(State.QUEUED)),
    Page((Snapshot(State.QUEUED, job_id="1"),), "2"),
    Quota("free", 10, 2, 8, 1.0, 99.5, False, {"t2v": 52}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen_and_survive_pickling(value: Any) -> None:
    """A value cannot be changed behind a reader's back, and is the same in another process."""
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)
    assert pickle.loads(pickle.dumps(value)) == value == copy.deepcopy(value)


@pytest.mark.parametrize(
    ("state", "final"),
    [
        ("queued", False),
        ("running", False),
        ("completed", True),
        ("failed", True),
        ("cancelled", True),
        ("expired", True),
    ],
)
def test_states(state: str, final: bool) -> None:
    """The set is closed; a state is its word, and four of the six are final."""
    assert (State(state).final, str(State(state)), f"{State(state)}", State(state) == state) == (
        final,
        state,
        state,
        True,
    )
    assert len(State) == 6


@pytest.mark.parametrize(
    ("reference", "account", "job_id"),
    [
        ("magicoal:3f8a2d1b-4c9e", "magicoal", "3f8a2d1b-4c9e"),
        ("fal:fal-ai/kling/requests/UUID", "fal", "fal-ai/kling/requests/UUID"),
        ("a:b:c:d", "a", "b:c:d"),
        ("gpu-2.lan:é世界", "gpu-2.lan", "é世界"),
        ("x:a b", "x", "a b"),
        ("x:...", "x", "..."),
        ("x:" + "a" * 2048, "x", "a" * 2048),
    ],
)
def test_a_reference_is_split_at_its_first_colon(reference: str, account: str, job_id: str) -> None:
    """The id is opaque: colons, slashes, spaces and any letters belong to it."""
    assert parse_reference(reference) == (account, job_id)


BAD_REFERENCES = [
    "", ":", "magicoal", "magicoal:", ":1", "magicoal: ", "magicoal:.", "magicoal:..", "magicoal:a/../b",
    "magicoal:a/.", "magicoal: 1", "magicoal:1\n", "magicoal:\x1b[2J", "magicoal:\ud800", "-a:1", "a b:1", "a/b:1",
    "é:1", "x:" + "a" * 2049, "a" * 65 + ":1", None, 7, b"magicoal:1", ["magicoal:1"],
]  # fmt: skip


@pytest.mark.parametrize("reference", BAD_REFERENCES, ids=lambda value: repr(value)[:20])
def test_a_bad_reference_is_refused_in_one_safe_line(reference: Any) -> None:
    """What cannot be a reference is an error of the call before any request; the message cannot hurt a terminal."""
    with pytest.raises(BadReference) as caught:
        parse_reference(reference)
    assert caught.value.message.isprintable()
    assert 20 < len(caught.value.message) < 250


@few
@given(st.text())
def test_parse_reference_raises_nothing_else(reference: str) -> None:
    """Any text is a reference or a BadReference, and a reference is its parts joined again."""
    try:
        account, job_id = parse_reference(reference)
    except BadReference:
        return
    assert f"{account}:{job_id}" == reference


@pytest.mark.parametrize("value", [None, 7, b"1", "", " "])
def test_ids_and_names_that_are_no_text(value: Any) -> None:
    """Ids and account names are text that is not empty."""
    with pytest.raises(BadReference):
        check_job_id(value)
    with pytest.raises(BadReference):
        check_account_name(value)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("get", "/a"), PluginError),
        (("BREW", "/a"), PluginError),
        (("GET", "a"), PluginError),
        (("GET", "https://evil.example/"), PluginError),
        (("GET", "/a?b=1"), PluginError),
        (("GET", "/a#b"), PluginError),
        (("GET", "/a b"), PluginError),
        (("GET", "/a\r\nX-Evil: 1"), PluginError),
        (("GET", "//evil.example/a"), BadReference),
        (("GET", "/a//b"), BadReference),
        (("GET", "/a/../b"), BadReference),
        (("GET", "/a/%2e%2E/b"), BadReference),
        (("GET", "/a/."), BadReference),
        (("GET", "/a/"), BadReference),
        (("GET", "/a//", (), {}, None, None, True), BadReference),
        (("GET", "//", (), {}, None, None, True), BadReference),
        (("GET", "/./", (), {}, None, None, True), BadReference),
        (("POST", "/a", (), {}, {"x": 1}, b"x"), PluginError),
    ],
)
def test_a_request_that_no_plugin_may_make(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    """A path cannot leave its place, break a header or be built of an empty id; the mistake is named."""
    with pytest.raises(error):
        Request(*arguments)


def test_a_slash_at_the_end_is_asked_for() -> None:
    """A path that ends in one is no accident of an empty id."""
    assert [Request("GET", path, slash=True).path for path in ("/a/", "/a/b/", "/a", "/")] == [
        "/a/",
        "/a/b/",
        "/a",
        "/",
    ]


def test_bodies_stay_out_of_repr() -> None:
    """Raw bodies, headers of answers, details and file bytes are not in any repr."""
    secret = "do-not-show"
    shown = [
        Request("POST", "/a", body=secret.encode()),
        Response(200, {"set-cookie": secret}, secret.encode()),
        Asset(data=secret.encode()),
        Problem("no", details={"config": secret}),
        Snapshot(State.QUEUED, problem=Problem("no", details={"x": secret}), raw={"x": secret}),
    ]
    assert secret not in repr(shown)


def test_a_signed_url_is_shown_without_its_query() -> None:
    """Rule 6: what signs a URL is a secret, inside other values too."""
    assert repr(Asset(SIGNED)) == "Asset(video https://media.example/a.mp4?…)"
    assert "abcdef" not in repr(Snapshot(State.COMPLETED, assets=(Asset(SIGNED),)))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"null", None),
        (b"[NaN, Infinity, -Infinity]", [None, None, None]),
        (b'"\\ud800"', "\ud800"),
        (b'{"a": ' + b"9" * 5000 + b', "b": 7}', {"a": None, "b": 7}),
        (b'{"a": "x\n\ty"}', {"a": "x\n\ty"}),
        (b'{"a": "\xe7\x81", "b": 7}', {"a": "\ufffd", "b": 7}),
        (b"1e400", math.inf),
    ],
)
def test_json_as_it_comes(body: bytes, value: object) -> None:
    """A byte order mark is borne, NaN and Infinity are read as null."""
    assert Response(200, {}, body).json() == value


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"<html>", b"{", b'{"a": 1', b"\xff\xfe{", b"\x00", b"[" * 200_000, b'{"a": 1} trailing'],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    """A cut, empty, binary, nested-to-death or oversized body raises Malformed in one line, never anything else."""
    with pytest.raises(Malformed, match="HTTP 502 with") as caught:
        Response(502, {}, body).json()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@few
@given(st.binary(max_size=200))
def test_json_raises_only_malformed(body: bytes) -> None:
    """Rule 7: no body can break the loop."""
    with suppress(Malformed):
        Response(200, {}, body).json()


def test_headers_have_no_case() -> None:
    """Servers spell header names as they like."""
    response = Response(200, {"RETRY-after": 5})  # type: ignore[dict-item]
    assert (response.header("Retry-After"), response.header("x"), dict(response.headers)) == (
        "5",
        None,
        {"retry-after": "5"},
    )


@pytest.mark.parametrize("arguments", [{}, {"url": ""}, {"url": "a\nb"}, {"url": "/a", "data": b""}, {"url": 7}])
def test_an_asset_is_a_url_or_bytes(arguments: dict[str, Any]) -> None:
    """One of the two, and a URL is text without control characters."""
    with pytest.raises(PluginError):
        Asset(**arguments)


def test_a_problem_is_made_safe_when_it_is_built() -> None:
    """Provider text is untrusted wherever it goes: one line, 500 characters, no keys."""
    problem = Problem("\x1b[31mbad\nkey sk-abcdefghijklmnop " + "x" * 600, "E\n1")
    assert problem.message.startswith("bad key [redacted] xxx")
    assert (len(problem.message), problem.code) == (500, "E 1")


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        (Problem(), "the provider gives no reason"),
        (Problem(" ", "E1"), "the provider gives no reason (E1)"),
        (Problem("no"), "no"),
        (Problem("no", "E1"), "no (E1)"),
        (Problem("E1: no", "E1"), "E1: no"),
    ],
)
def test_a_problem_prints_its_code_once(problem: Problem, shown: str) -> None:
    """The code follows the message unless the message has it."""
    assert str(problem) == shown


def test_a_cost_is_what_stayed_with_the_provider() -> None:
    """Charged less refunded, in its own unit."""
    assert (Cost(50, 50).net, str(Cost(50)), str(Cost(2.5, 1, "USD"))) == (
        0, "50 credits charged", "2.5 USD charged, 1 refunded",
    )  # fmt: skip
    assert (Cost(5, 20).net, Cost(50, how="estimated") == Cost(50)) == (0, False)


@pytest.mark.parametrize("charged", ["50", None, True, math.nan])
def test_a_cost_is_a_number(charged: Any) -> None:
    """A plugin that hands on text where a number is due hears of it in its parser, not in a user's print."""
    with pytest.raises(PluginError, match="Cost"):
        Cost(charged)


@pytest.mark.parametrize(
    "arguments",
    [
        {"state": "done"},
        {"state": None},
        {"state": State.RUNNING, "progress": math.nan},
        {"state": State.RUNNING, "progress": math.inf},
        {"state": State.RUNNING, "progress": True},
        {"state": State.RUNNING, "progress": "54%"},
        {"state": State.RUNNING, "progress": 10**400},
        {"state": State.RUNNING, "created_at": "2026-11-21"},
        {"state": State.RUNNING, "queue_position": True},
        {"state": State.RUNNING, "duration": math.inf},
        {"state": State.RUNNING, "assets": ("https://a.example/a.mp4",)},
        {"state": State.RUNNING, "assets": (None,)},
        {"state": State.RUNNING, "problem": "no"},
        {"state": State.RUNNING, "cost": 50},
        {"state": State.RUNNING, "job_id": 7},
    ],
    ids=lambda arguments: str(arguments)[:50],
)
def test_a_snapshot_of_the_wrong_shape_fails_in_the_parser(arguments: dict[str, Any]) -> None:
    """Rule 7: what a plugin gets wrong is told where it is built, and never reaches the machine."""
    with pytest.raises(PluginError, match="Snapshot"):
        Snapshot(**arguments)


def test_a_snapshot_takes_words_and_lists() -> None:
    """A state may be its word, assets any sequence, and a stage is cleaned and cut to 100 characters."""
    snapshot = Snapshot("running", "\x1b[1msaving\n" + "x" * 200, assets=[Asset("/a")])  # type: ignore[arg-type]
    assert (snapshot.state, snapshot.assets) == (State.RUNNING, (Asset("/a"),))
    assert snapshot.stage == "saving " + "x" * 92 + "…"


def test_what_came_is_no_part_of_equality() -> None:
    """Two answers that say the same are equal, whatever else their bodies held."""
    assert Snapshot(State.QUEUED, raw={"a": 1}) == Snapshot(State.QUEUED, raw={"b": 2})


@pytest.mark.parametrize("job_id", ["", " ", ".", "a\n", None, 7])
def test_a_submit_answer_without_an_id_is_malformed(job_id: Any) -> None:
    """Without an id nobody can wait: the submit's outcome is unknown, and says so."""
    with pytest.raises(Malformed, match="no usable id"):
        Submitted(job_id)


@pytest.mark.parametrize("snapshot", [{"state": "queued"}, "queued", 7])
def test_an_id_in_hand_counts_whatever_else_is_wrong(snapshot: Any) -> None:
    """Rule 3: a job that is paid for is not lost because its plugin hands on something that is no snapshot."""
    assert Submitted("1", snapshot) == Submitted("1")


def test_a_page_names_its_jobs() -> None:
    """A row without an id is no row."""
    assert Page([Snapshot("queued", job_id="1")]).items == (Snapshot("queued", job_id="1"),)  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="job_id"):
        Page((Snapshot(State.QUEUED),))


PRICES = {"i2v": 50, "t2v": 52}


@pytest.mark.parametrize(
    ("quota", "jobs", "affords"),
    [
        (Quota(balance=102, remaining=2, prices=PRICES), {"i2v": 1, "t2v": 1}, True),
        (Quota(balance=101, remaining=2, prices=PRICES), {"i2v": 1, "t2v": 1}, False),
        (Quota(balance=999, remaining=1, prices=PRICES), {"i2v": 1, "t2v": 1}, False),
        (Quota(balance=999, remaining=0, unlimited=True, prices=PRICES), {"i2v": 9}, True),
        (Quota(balance=99, unlimited=True, prices=PRICES), {"i2v": 2}, False),
        (Quota(remaining=1, prices=PRICES), {"i2v": 1}, True),
        (Quota(balance=50, prices=PRICES), {"i2v": 1}, True),
        (Quota(prices=PRICES), {"i2v": 1000}, True),
        (Quota(balance=0, remaining=0, prices=PRICES), {"i2v": 0}, True),
        (Quota(balance=0, remaining=0), {}, True),
    ],
)
def test_affords(quota: Quota, jobs: dict[str, int], affords: bool) -> None:
    """Needs the credits and, unless the plan is unlimited, the videos left; what is not told is no obstacle."""
    assert quota.affords(**jobs) is affords


@pytest.mark.parametrize("jobs", [{"v2v": 1}, {"i2v": -1}, {"i2v": 1.5}, {"i2v": True}, {"i2v": "1"}])
def test_affords_takes_known_operations_and_counts(jobs: dict[str, Any]) -> None:
    """A question that cannot be answered is an error, not a guess."""
    with pytest.raises(UsageError):
        Quota(balance=999, prices=PRICES).affords(**jobs)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://API.Example/v1?x=1", ("https", "api.example", 443)),
        ("http://api.example", ("http", "api.example", 80)),
        ("https://api.example:8443/", ("https", "api.example", 8443)),
        ("http://[::1]:8080/", ("http", "::1", 8080)),
        ("http://api.example:0/", ("http", "api.example", 0)),
    ],
)
def test_origin(url: str, where: tuple[str, str, int]) -> None:
    """An origin is scheme, host and port; the default port is written out, no other port is."""
    assert origin(url) == where


@pytest.mark.parametrize(
    "url",
    ["", "/a", "ftp://a.example:21/", "https://", "https://a:b/", "https://[::1", "https://u@a.example/", "https://:p@a.example",
     "https://evil.example\\@api.example/", "https://a.example:99999/", "javascript:alert(1)"],
)  # fmt: skip
def test_what_has_no_origin(url: str) -> None:
    """User data, a backslash or another scheme make a URL on whose host two libraries may disagree."""
    with pytest.raises(ValueError, match=r".+"):
        origin(url)


@few
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3))
def test_is_number(value: object) -> None:
    """Numbers are finite ints and floats; True is no 1."""
    expected = type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    assert is_number(value) is expected
    assert is_number(json.loads("1e400")) is is_number(10**400) is False
