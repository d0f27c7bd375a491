"""Request lines and ids: each value is encoded once, and comes out of the request as it went in."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlencode

import pytest
from answers import few
from hypothesis import given
from hypothesis import strategies as st

from vidpoll import BadReference, PluginError, Request
from vidpoll.declare import Ids, request
from vidpoll.declare.lines import Line

KINDS = ("text2video", "image2video")


@pytest.mark.parametrize(
    ("line", "job_id", "sent"),
    [
        ("GET /jobs/{id}", "a b/c?d#e%2F", Request("GET", "/jobs/a%20b%2Fc%3Fd%23e%252F")),
        ("GET /{id:path}/status", "fal-ai/kling/requests/7 8", Request("GET", "/fal-ai/kling/requests/7%208/status")),
        ("GET /query?task_id={id}", "a&b=c", Request("GET", "/query", (("task_id", "a&b=c"),))),
        ("GET /x/{id}.json?a=b%20c&d=", "7", Request("GET", "/x/7.json", (("a", "b c"), ("d", "")))),
        ("DELETE /jobs/{id}", "7", Request("DELETE", "/jobs/7")),
        ("GET /jobs/{id}/", "7", Request("GET", "/jobs/7/", slash=True)),
    ],
)
def test_a_line_is_a_request(line: str, job_id: str, sent: Request) -> None:
    """Segments of the path and values of the query, each encoded once."""
    assert request(line)(job_id) == sent


def test_the_holes_of_a_body() -> None:
    """A question that is a POST names its job in the body; headers go along."""
    body = {"query": {"ids": ["{id}", "x"], "full": True}}
    made = request("POST /status", json=body, headers={"X-Version": "1"})("a/b")
    assert made == Request(
        "POST", "/status", headers={"X-Version": "1"}, json={"query": {"ids": ["a/b", "x"], "full": True}}
    )


@few
@given(st.text(min_size=1, max_size=20))
def test_any_id_comes_back_out_of_the_request(job_id: str) -> None:
    """Decoded once, the path and the query hold the id, or the id is none."""
    try:
        made = request("GET /jobs/{id}?again={id}")(job_id)
    except BadReference:
        assert job_id in (".", "..") or not job_id.strip() or any("\ud800" <= char <= "\udfff" for char in job_id)
        return
    assert unquote(made.path.removeprefix("/jobs/")) == job_id
    assert made.path.count("/") == 2
    assert urlencode(made.query) == urlencode({"again": job_id})


@pytest.mark.parametrize(
    ("line", "json", "said"),
    [
        ("GET jobs/{id}", None, "is not a request line: write it like"),
        ("FETCH /jobs/{id}", None, "is not a request line"),
        ("/jobs/{id}", None, "is not a request line"),
        ("GET /jobs/{id} now", None, "is not a request line"),
        (7, None, "7 is not a request line"),
        ("GET /jobs//{id}", None, "the path may not have an empty, '.' or '..' part"),
        ("GET /jobs/{id}//", None, "the path may not have an empty"),
        ("GET /jobs/{id", None, "a hole must be"),
        ("GET /jobs/{id}}", None, "a hole must be"),
        ("GET /jobs/{}", None, "a hole must be"),
        ("GET /jobs/{id:paht}", None, "a hole must be"),
        ("GET /jobs/{idd}", None, "nothing fills {idd}; known here: id"),
        ("GET /jobs/{kind}/{id}", None, "nothing fills {kind}"),
        ("GET /jobs", None, "{id} is missing, so it would name no job"),
        ("POST /jobs", {"id": "{id"}, "a hole must be"),
        ("POST /jobs", {"id": ["{di}"]}, "nothing fills {di}"),
    ],
)
def test_a_line_that_cannot_be_right(line: Any, json: Any, said: str) -> None:
    """It is refused when it is made, with the line and what is wrong."""
    with pytest.raises(PluginError) as caught:
        request(line, json=json)
    assert said in caught.value.message


@pytest.mark.parametrize("line", ["GET /jobs/{id}", "GET /jobs/{id}/", "GET /jobs/{id:path}", "GET /jobs/{id:path}/"])
@pytest.mark.parametrize("job_id", ["", ".", ".."])
def test_a_slash_at_the_end_opens_no_way_for_an_empty_id(line: str, job_id: str) -> None:
    """The slash is the line's own; an id that is none is refused as ever."""
    with pytest.raises(BadReference):
        request(line)(job_id)


def test_what_a_call_gives_takes_the_place_of_the_line() -> None:
    """A fixed parameter is a default."""
    made = Line("GET /jobs?order=desc&limit=9").request({}, {"order": "asc", "after": "7"})
    assert made.query == (("order", "asc"), ("limit", "9"), ("after", "7"))


# -- ids --------------------------------------------------------------------------------------------------------------


def test_a_kind_stands_before_the_id() -> None:
    """The path repeats the kind, so the reference holds it; the rest may hold slashes."""
    ids = Ids("kind/id", KINDS)
    assert request("GET /v1/{kind}/{id}", ids)("image2video/a/b") == Request("GET", "/v1/image2video/a%2Fb")
    assert [ids.join("text2video", told) for told in ("7", "", None)] == ["text2video/7", "", None]
    assert [Ids().join("", told) for told in ("7", None)] == ["7", None]


@pytest.mark.parametrize("job_id", ["867", "video/867", "text2video", "text2video/", "/867", ""])
def test_an_id_without_its_kind_says_how_to_write_it(job_id: str) -> None:
    """The way out names all kinds."""
    with pytest.raises(BadReference, match="write the id as KIND/ID; KIND is text2video or image2video"):
        Ids("kind/id", KINDS).split(job_id)


@few
@given(st.sampled_from(KINDS), st.text(min_size=1))
def test_split_undoes_join(kind: str, told: str) -> None:
    """What a submit answers is the reference that a status splits."""
    ids = Ids("kind/id", KINDS)
    assert ids.split(ids.join(kind, told) or "") == {"kind": kind, "id": told}


@pytest.mark.parametrize("made", [("ids",), ("id", KINDS), ("kind/id",), ("kind/id", "ab"), ("kind/id", ("a/b",))])
def test_a_form_of_ids_that_is_none(made: Any) -> None:
    """A form without kinds, kinds without their form, a text where a tuple belongs."""
    with pytest.raises(PluginError, match="Ids"):
        Ids(*made)
