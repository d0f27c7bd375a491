"""Operations out of lines and tables: what is sent, what is read, and what is refused when they are made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from answers import JSON, answer, few
from hypothesis import given

import vidpoll
from vidpoll import (
    AnswerError,
    Asset,
    BadReference,
    ForeignAnswer,
    InvalidField,
    Malformed,
    PluginError,
    Price,
    Quota,
    Refused,
    Request,
    Response,
    Snapshot,
    State,
    declare,
)
from vidpoll.declare import Envelope, Ids, Reader
from vidpoll.testing import FakeClock, FakeTransport

WORDS = {"run": State.RUNNING, "ok": State.COMPLETED}
JOB = Reader(WORDS, envelope=Envelope(code="code"))
KINDS = Reader(WORDS, ids=Ids("kind/id", ("t2v", "i2v")))
PROMPT = {"prompt": declare.text()}


# -- status -----------------------------------------------------------------------------------------------------------


def test_a_status_is_a_line_and_a_reader() -> None:
    """It asks with the id, and reads what comes; a status of HTTP may be a verdict."""
    asked = declare.status("POST /status", JOB, json={"requestId": "{id}"}, verdicts=(500,))
    assert asked.request("a/b") == Request("POST", "/status", json={"requestId": "a/b"})
    assert asked.parse(answer({"status": "run"}), "a/b") == Snapshot(State.RUNNING, "run")
    assert asked.verdicts == (500,)
    with pytest.raises(BadReference, match="KIND/ID"):
        declare.status("GET /{kind}/{id}", KINDS).request("7")


# -- submit -----------------------------------------------------------------------------------------------------------


def test_a_submit_sends_the_checked_fields() -> None:
    """As JSON; a field that the path names is in the path, and not in the body."""
    start = declare.submit(
        "POST /{kind}/{model:path}?v=1",
        KINDS,
        {"model": declare.text(), **PROMPT},
        ("model",),
        kind="t2v",
        headers={"X-Async": "enable"},
    )
    assert start.request({"model": "fal-ai/kling v2", "prompt": "a"}) == Request(
        "POST", "/t2v/fal-ai/kling%20v2", (("v", "1"),), {"X-Async": "enable"}, {"prompt": "a"}
    )
    assert start.parse(answer({"id": "7"}), "").job_id == "t2v/7"
    with pytest.raises(InvalidField, match="needs 'model'"):
        start.request({"prompt": "a"})


def test_a_body_that_is_not_just_the_fields() -> None:
    """`convert` makes it, out of what was checked."""
    start = declare.submit("POST /x", JOB, PROMPT, convert=lambda given: {"input": given, "parameters": {}})
    assert start.request({"prompt": "a"}).json == {"input": {"prompt": "a"}, "parameters": {}}
    assert declare.submit("POST /x", JOB, PROMPT).request({}).json == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: declare.submit("POST /x", JOB, PROMPT, ("model",)), "the needed field 'model' has no rule"),
        (lambda: declare.submit("POST /x", JOB, PROMPT, (("prompt", "text"),)), "the needed field 'text' has no rule"),
        (
            lambda: declare.submit("POST /x", JOB, PROMPT, "prompt"),
            "needed must be a tuple of names like ('prompt',), got str",
        ),
        (
            lambda: declare.submit("POST /x", JOB, {"prompt": ("text", len)}),
            "the rule of 'prompt' must be one like declare.text(), got tuple",
        ),
        (lambda: declare.submit("POST /x", JOB, ["prompt"]), "fields must be a mapping of names to rules, got list"),
        (
            lambda: declare.submit("POST /x", JOB, PROMPT, others=True),
            "the rule of 'others' must be one like declare.text(), got bool",
        ),
        (lambda: declare.submit("POST /{prompt}", JOB, PROMPT), "{prompt} is in the path: add it to needed"),
        (lambda: declare.submit("POST /{kind}", JOB, PROMPT), "nothing fills {kind}"),
        (lambda: declare.submit("POST /x", KINDS, PROMPT), "kind must be one of t2v, i2v, got ''"),
        (lambda: declare.submit("POST /x", KINDS, PROMPT, kind="v2v"), "kind must be one of t2v, i2v, got 'v2v'"),
        (lambda: declare.status("GET /x/{job}", JOB), "nothing fills {job}; known here: id"),
        (lambda: declare.delete("DELETE /x", JOB), "{id} is missing"),
        (lambda: declare.delete("DELETE /x/{id}", JOB, done="a b"), "'DELETE /x/{id}' done: 'a b' is not a path"),
        (lambda: declare.content("GET /x/{id}", JOB, url="{url}"), "url: '{url}' is not a path"),
        (lambda: declare.quota("GET /x/{id}", balance="a"), "nothing fills {id}"),
        (lambda: declare.quota("GET /x", credits="a"), "'credits' is not a field of Quota; the fields are plan, limit"),
        (lambda: declare.quota("GET /x", balance="a[.b"), "quota 'GET /x' balance: 'a[.b' is not a path"),
        (lambda: declare.cursor_pages("GET /x", JOB, next="a b"), "cursor_pages 'GET /x' next: 'a b' is not a path"),
        (lambda: declare.numbered_pages("GET /x", JOB, last=7), "numbered_pages 'GET /x' last: a path must be text"),
        (lambda: declare.cursor_pages("GET /x", KINDS), "a row lacks the first part of its id"),
        (
            lambda: declare.cursor_pages("GET /x", JOB, fields={"a": 1}),
            "the rule of 'a' must be one like declare.text(), got int",
        ),
    ],
)  # fmt: skip
def test_an_operation_that_cannot_be_right(make: Any, said: str) -> None:
    """It is refused when it is made, with the line."""
    with pytest.raises(PluginError) as caught:
        make()
    assert said in caught.value.message


def test_a_submit_with_the_callers_own_id() -> None:
    """Its field, what that means, and the line that finds the job by it."""
    fields = {**PROMPT, "own_id": declare.text()}
    start = declare.submit("POST /v1/{kind}", KINDS, fields, kind="t2v", key="own_id", find="GET /v1/{kind}?own={key}")
    assert (start.key, start.honours_key) == ("own_id", False)
    assert start.find is not None
    assert start.find.request("a b") == Request("GET", "/v1/t2v", (("own", "a b"),))
    assert start.find.parse(Response(200, {}, b'{"id": "7", "status": "run"}'), "a b").job_id == "t2v/7"
    assert declare.submit("POST /v1", JOB, fields, key="own_id", honours_key=True).honours_key


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"key": "other"}, "must be one of its fields"),
        ({"find": "GET /v1/{key}"}, "name the field"),
        ({"find": "GET /v1"}, "key"),
    ],
)
def test_a_wrong_key_of_a_submit(wrong: dict[str, str], says: str) -> None:
    """It is heard of when the plugin is loaded."""
    with pytest.raises(PluginError, match=says):
        declare.submit("POST /v1", JOB, PROMPT, **wrong)  # type: ignore[arg-type]


# -- delete, cancel, content ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "done", "error"),
    [
        (answer({"deleted": True}), "deleted", None),
        (answer({"data": {"ok": True}}), ("deleted", "data.ok"), None),
        (answer({}), "", None),
        (Response(204), "deleted", None),
        (answer({"deleted": "true"}), "deleted", Malformed),
        (answer({}), "deleted", Malformed),
        (answer([]), "", Malformed),
        (Response(200), "", Malformed),
        (answer({"code": 5, "message": "no"}), "", Refused),
    ],
)
def test_an_answer_to_a_delete(response: Response, done: Any, error: type[Exception] | None) -> None:
    """It must say what was done; an empty 200 may be half an answer."""
    for make in (declare.delete, declare.cancel):
        operation = make("DELETE /x/{id}", JOB, done=done)
        if error is None:
            assert operation.parse(response, "7") is None
        else:
            with pytest.raises(error):
                operation.parse(response, "7")


def test_content_that_is_an_address() -> None:
    """JSON names a URL, of the job that was asked for, or there is no video."""
    fetch = declare.content("GET /x/{id}/content?format=url", JOB, url="data.url", id="video_id", verdicts=(400,))
    assert fetch.request("7") == Request("GET", "/x/7/content", (("format", "url"),))
    assert fetch.parse(answer({"data": {"url": "/a.mp4"}, "video_id": 7}), "7") == Asset("/a.mp4")
    with pytest.raises(ForeignAnswer):
        fetch.parse(answer({"data": {"url": "/a.mp4"}, "video_id": "8"}), "7")
    with pytest.raises(Malformed, match="no video: not ready"):
        fetch.parse(answer({"detail": "not ready"}, 400), "7")
    with pytest.raises(Malformed):
        declare.content("GET /x/{id}", JOB).parse(answer({"url": "/a.mp4"}), "7")


# -- quota ------------------------------------------------------------------------------------------------------------


def test_a_quota_by_paths() -> None:
    """Numbers may come as text; what is not told is None, and an answer that tells nothing fills nothing."""
    ask = declare.quota(
        "GET /user", Envelope("data", code="code"), plan="plan", limit="max", balance=("gift", "money"),
        unlimited="all", reset_at="at", prices={"t2v": 5},
    )  # fmt: skip
    assert ask.request() == Request("GET", "/user")
    data = {"plan": "pro", "max": "9", "gift": None, "money": "88.50", "all": True, "at": 1795001000}
    assert ask.parse(answer({"data": data}), "") == Quota(
        plan="pro", limit=9, balance=88.5, unlimited=True, reset_at=1795001000.0, prices={"t2v": 5}
    )
    for body in ({"data": {}}, {"data": {"max": "many", "all": 1}}, {"error": {"code": 401}}):
        with pytest.raises(Malformed):
            ask.parse(answer(body), "")
    with pytest.raises(Refused):
        ask.parse(answer({"code": 1, "data": data}), "")


@pytest.mark.parametrize(("named", "unit"), [({"unit": "CNY"}, "CNY"), ({}, "points"), ({"unit": None}, "points")])
def test_the_unit_that_the_response_names_is_taken(named: dict[str, Any], unit: str) -> None:
    """Of a balance and of an estimate; a response without it leaves the table's own unit."""
    balance = declare.quota("GET /user", balance="left", unit="points", currency="unit")
    assert balance.parse(answer({"left": 7, **named}), "") == Quota(balance=7.0, unit=unit)
    cost = declare.estimate("POST /price", dict, amount="cost", unit="points", currency="unit")
    assert cost.parse(answer({"cost": 0.5, **named}), "") == Price(0.5, 0.5, unit, "estimate")


# -- lists ------------------------------------------------------------------------------------------------------------

ROWS = [{"id": 1, "status": "run"}, {"id": 2, "status": "zxqv"}, None, {"status": "ok"}, {"id": "3", "status": "ok"}]
READ = (Snapshot(State.RUNNING, "run", job_id="1"), Snapshot(State.COMPLETED, "ok", job_id="3"))


@pytest.mark.parametrize(
    ("call", "token", "query"),
    [
        ({}, None, {"order": "desc", "limit": "50"}),
        ({}, "v9", {"order": "desc", "limit": "50", "after": "v9"}),
        ({"limit": 2, "order": "asc", "after": "v1", "full": True}, None,
         {"order": "asc", "limit": "2", "after": "v1", "full": "true"}),
        ({"after": "v1"}, "v2", {"order": "desc", "limit": "50", "after": "v2"}),
    ],
)  # fmt: skip
def test_a_page_by_token(call: dict[str, Any], token: str | None, query: dict[str, str]) -> None:
    """What the call says takes the place of what the line says, and the token that of both."""
    fields = {"order": declare.one_of("asc", "desc"), "full": declare.flag()}
    walk = declare.cursor_pages("GET /videos?order=desc", JOB, most=50, fields=fields)
    made = walk.request(call, token)
    assert (made.method, made.path, dict(made.query)) == ("GET", "/videos", query)
    with pytest.raises(InvalidField, match="limit=51: it must be a whole number from 1 to 50"):
        walk.request({"limit": 51}, None)


@pytest.mark.parametrize(
    ("rest", "next"),
    [
        ({"last_id": "v9", "has_more": True}, "v9"),
        ({"last_id": "v9", "has_more": False}, None),
        ({"last_id": "v9", "has_more": "yes"}, None),
        ({"last_id": "v9", "has_more": None}, "v9"),
        ({"last_id": "v9"}, "v9"),
        ({"last_id": None, "has_more": True}, None),
        ({"last_id": "v\n9", "has_more": True}, None),
        ({"last_id": 9, "has_more": True}, "9"),
    ],
)
def test_the_next_page_by_token(rest: dict[str, Any], next: str | None) -> None:
    """Only a flag that is true, and a token that can be sent."""
    page = declare.cursor_pages("GET /videos", JOB, more="has_more").parse(answer({"data": ROWS, **rest}), "")
    assert (page.items, page.next, page.further) == (READ, next, ())


@pytest.mark.parametrize(
    ("meta", "next", "further"),
    [
        ({"page": 1, "last": 4}, "2", ("3", "4")),
        ({"page": "1", "last": "2"}, "2", ()),
        ({"page": 2, "last": 2}, None, ()),
        ({"page": 1, "last": 9, "more": False}, None, ()),
        ({"page": 1, "last": 1, "more": True}, "2", ()),
        ({"page": 1}, "2", ()),
        ({"page": 1, "total": 5, "size": 2}, "2", ("3",)),
        ({"page": 3, "total": 5, "size": 2}, None, ()),
        ({"page": 1, "total": 0, "size": 2}, "2", ()),
        ({"page": 1, "total": 10**9, "size": 1}, "2", tuple(map(str, range(3, 102)))),
        ({}, None, ()),
        ({"page": 0, "last": 9}, None, ()),
        ({"page": True, "last": 9}, None, ()),
    ],
)
def test_the_next_page_by_number(meta: dict[str, Any], next: str | None, further: tuple[str, ...]) -> None:
    """A flag, the last page or the total tells the end; else the first empty page does."""
    walk = declare.numbered_pages(
        "GET /videos", JOB, current="page", last="last", more="more", total="total", per_page="size"
    )
    page = walk.parse(answer({"data": ROWS, **meta}), "")
    assert (page.items, page.next, page.further) == (READ, next, further)
    assert walk.parse(answer({"data": [], **meta}), "").next is None
    assert dict(walk.request({"page": 7}, None).query) == {"per_page": "100", "page": "7"}
    assert dict(walk.request({"page": 7}, "8").query) == {"per_page": "100", "page": "8"}


@pytest.mark.parametrize(
    ("token", "meta", "next", "further"),
    [
        ("", {}, "2", ()),
        ("2", {}, "3", ()),
        ("2", {"last": 2}, None, ()),
        ("2", {"last": 5}, "3", ("4", "5")),
        ("2", {"total": 5, "size": 2}, "3", ()),
        ("3", {"total": 5, "size": 2}, None, ()),
        ("2", {"more": False}, None, ()),
        ("2", {"page": 7}, "3", ()),
    ],
)
def test_a_list_that_does_not_number_its_answers(
    token: str, meta: dict[str, Any], next: str | None, further: tuple[str, ...]
) -> None:
    """The token that it was asked with is the number of the page."""
    walk = declare.numbered_pages("GET /videos", JOB, last="last", more="more", total="total", per_page="size")
    page = walk.parse(answer({"data": ROWS, **meta}), token)
    assert (page.items, page.next, page.further) == (READ, next, further)
    assert walk.parse(answer({"data": [], **meta}), token).next is None
    with pytest.raises(InvalidField, match="takes no field 'page'"):
        walk.request({"page": 7}, None)


def test_such_a_list_is_walked_to_its_end() -> None:
    """By a client, from the first page to the first empty one."""

    @vidpoll.hookimpl
    def vidpoll_providers() -> list[vidpoll.Provider]:
        walk, status = declare.numbered_pages("GET /jobs", JOB), declare.status("GET /jobs/{id}", JOB)
        made = {"base_url": "https://api.acme.example", "auth": vidpoll.NoAuth(), "pacing": vidpoll.Pacing()}
        return [vidpoll.Provider("acme", status=status, list=walk, **made)]  # type: ignore[arg-type]

    rows = ([{"id": "a", "status": "ok"}], [{"id": "b", "status": "run"}], [])
    transport = FakeTransport([answer({"data": page}) for page in rows])
    plugin = SimpleNamespace(name="acme", vidpoll_providers=vidpoll_providers)
    client = vidpoll.Client(plugins=[plugin], discover=False, clock=FakeClock(), transport=transport)
    assert [job.ref for job in client.jobs("acme")] == ["acme:a", "acme:b"]
    assert [request.url.rpartition("?")[2] for request in transport.sent] == [
        "per_page=100&page=1",
        "per_page=100&page=2",
        "per_page=100&page=3",
    ]


def test_a_list_that_is_none() -> None:
    """A refusal, and a body without rows."""
    for walk in (declare.cursor_pages("GET /x", JOB), declare.numbered_pages("GET /x", JOB)):
        with pytest.raises(Refused):
            walk.parse(answer({"code": 7, "data": ROWS}), "")
        with pytest.raises(Malformed):
            walk.parse(answer({"data": {}}), "")


@few
@given(JSON, JSON)
def test_any_json_ends_as_a_value_or_an_answer_error(one: Any, other: Any) -> None:
    """Whatever a server sends to any of them."""
    body = answer({"data": one, "last_id": other, "page": other, "url": one, "deleted": other, "code": 0})
    for operation in (
        declare.cursor_pages("GET /x", JOB),
        declare.numbered_pages("GET /x", JOB, current="page", last="last_id"),
        declare.quota("GET /x", balance="data", plan="url", reset_at="page"),
        declare.content("GET /x/{id}", JOB, url=("url", "data[].a")),
        declare.delete("DELETE /x/{id}", JOB, done="deleted"),
    ):
        for response in (body, answer(one)):
            try:
                operation.parse(response, "7")
            except (AnswerError, Refused):
                continue


def test_a_list_without_a_name_for_the_number_of_rows() -> None:
    """`size=""`: the query has no row count at all."""
    ask = declare.cursor_pages("GET /tasks", declare.Reader({"ok": State.COMPLETED}), size="")
    assert ask.request({}, None).query == ()
    assert ask.request({}, "t2").query == (("after", "t2"),)
