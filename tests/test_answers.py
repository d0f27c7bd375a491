"""What came, for the errors of an answer: whose words it is, what it says against itself, what looks like an id."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll import Response, answers
from vidpoll.model import check_job_id

few = settings(max_examples=50, deadline=None)


def said(body: Any, status: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@pytest.mark.parametrize(
    ("answer", "page"),
    [
        (said(b"<html><title>Hi</title>", server="nginx"), "a page «Hi» from nginx"),
        (said(b"<html>", via="1.1 varnish"), "a page from 1.1 varnish"),
        (said(b"<html>"), "a page"),
        (said(b"error code: 1020", server="cloudflare"), "a page «error code: 1020» from cloudflare"),
        (said(b"", cf_mitigated="challenge"), "a page"),
        (said(b"upstream gone", server="gunicorn"), None),
        (said({"title": "<html>"}, server="cloudflare"), None),
        (said(b"<Error><Code>A</Code></Error>", server="AmazonS3"), None),
        (said(b"", server="cloudflare"), None),
    ],
)
def test_whose_page_it_is(answer: Response, page: str | None) -> None:
    """JSON and a file store's XML are the word of whom was asked."""
    assert answers.page(answer) == page


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "no"}, "no"),
        ({"success": False, "msg": "no"}, "no"),
        ({"ok": False}, "HTTP 200"),
        ({"code": 401, "message": "no"}, "no"),
        ({"code": "E1", "message": "no"}, "no"),
        ({"code": "success", "message": "", "data": {}}, None),
        ({"code": 0, "message": "queued"}, None),
        ({"status": 200, "message": "success"}, None),
        ({"error": None, "id": "7"}, None),
        ({"error": {}, "id": "7"}, None),
        (["error"], None),
        (b"<html>", None),
    ],
)
def test_what_an_answer_says_against_itself(body: Any, message: str | None) -> None:
    """A good code, or an error that is empty, is none."""
    problem = answers.refusal(said(body))
    assert (problem and problem.message) == message


@pytest.mark.parametrize(
    ("body", "status", "ids"),
    [
        ({"id": "a", "task_id": "b", "id2": "c"}, 200, ("a", "b")),
        ({"request_id": "r", "data": [{"uuid": "u"}, {"uuid": "u"}]}, 200, ("u", "r")),
        ({"requestId": "r", "error": "no"}, 200, ()),
        ({"request_id": "r", "job_id": "j"}, 500, ("j",)),
        ({"paid": "x", "valid": "y", "user_id": "u", "traceId": "t", "modelId": "m"}, 200, ()),
        ({"id": True, "task_id": None, "job_id": 1.5, "uuid": ""}, 200, ()),
        ({"id": "https://x.example/1", "task_id": "two words", "job_id": "a/../b"}, 200, ()),
        ({"id": 77, "name": "operations/77", "data": "x1", "task": "done"}, 200, ("77", "operations/77", "x1")),
        ([[[[[[[[{"id": "deep"}]]]]]]]], 200, ()),
        (b"id: 7", 200, ()),
    ],
)
def test_what_looks_like_an_id(body: Any, status: int, ids: tuple[str, ...]) -> None:
    """By its name, and only what can be an id."""
    assert answers.ids(said(body, status)) == ids


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "error", "code", "data", "message"]), inner),
    max_leaves=10,
)


@few
@given(JSON.map(lambda body: json.dumps(body).encode()) | st.binary(), st.sampled_from([200, 404, 500]))
def test_no_answer_makes_them_raise(body: bytes, status: int) -> None:
    """What is shown holds no control characters, and what is called an id can be one."""
    answer = said(body, status, server="cloudflare")
    texts = [answers.page(answer) or "", answers.what_came(answer)]
    assert re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(texts)) is None
    assert answers.is_bare_404(answer) in (True, False)
    answers.refusal(answer)
    for each in answers.ids(answer):
        check_job_id(each)
        assert answers.names(answer, each)
