"""What many vendors need beside the plain case: ids that carry a field, forms, verdicts by HTTP status, many ids."""

from __future__ import annotations

import json
from dataclasses import replace
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path
from typing import Any

import pytest
from answers import answer

from vidpoll import (
    Asset,
    BadReference,
    Cost,
    Follow,
    InvalidField,
    Malformed,
    PluginError,
    Problem,
    Refused,
    Request,
    Response,
    Snapshot,
    State,
    declare,
)
from vidpoll.declare import Ids, Reader, Second, Verdict
from vidpoll.declare.forms import read_form

WORDS = {"run": State.RUNNING, "ok": State.COMPLETED}
PROMPT = {"prompt": declare.text()}

# -- ids that carry a field -------------------------------------------------------------------------------------------

APP = Ids("app/id", part=lambda app: "/".join(app.split("/")[:2]))
FAL = Reader(WORDS, id="request_id", ids=APP)
START = declare.submit("POST /{app:path}", FAL, {"app": declare.text(), **PROMPT}, ("app",))


def test_an_id_carries_a_field_of_the_submit() -> None:
    """[fal] The status stands at owner/app, whatever the path behind it: the answer names the request alone."""
    request = START.request({"app": "fal-ai/veo3/fast", "prompt": "a sea"})
    assert request == Request("POST", "/fal-ai/veo3/fast", json={"prompt": "a sea"}, about="fal-ai/veo3")
    made = START.parse(answer({"request_id": "7f-3", "status": "run"}), request.about)
    assert not isinstance(made, Follow)
    assert made.job_id == "fal-ai/veo3/7f-3"
    asked = declare.status("GET /{app:path}/requests/{id}/status", FAL)
    assert asked.request("fal-ai/veo3/7f-3").path == "/fal-ai/veo3/requests/7f-3/status"
    said = asked.parse(answer({"request_id": "7f-3", "status": "run"}), "fal-ai/veo3/7f-3")
    assert said == Snapshot(State.RUNNING, "run", job_id="fal-ai/veo3/7f-3")


def test_the_field_may_be_in_the_body() -> None:
    """[Jimeng] Both questions send it; the status question has it out of the id."""
    job = Reader(WORDS, ids=Ids("req_key/id"))
    start = declare.submit("POST /submit", job, {"req_key": declare.text(), **PROMPT}, ("req_key",))
    request = start.request({"req_key": "t2v_v30", "prompt": "a sea"})
    assert (request.json, request.about) == ({"req_key": "t2v_v30", "prompt": "a sea"}, "t2v_v30")
    asked = declare.status("POST /result", job, json={"req_key": "{req_key}", "task_id": "{id}"})
    assert asked.request("t2v_v30/77").json == {"req_key": "t2v_v30", "task_id": "77"}


def test_an_id_with_the_whole_path_is_told_how_it_is_written() -> None:
    """[fal] The page of the app names it with the path behind it."""
    with pytest.raises(BadReference, match="write the id as APP/ID; APP is owner/app"):
        FAL.ids.split("owner/app/more/7")
    with pytest.raises(BadReference, match=r"write the id as APP/ID; APP is the field app of its submit$"):
        FAL.ids.split("7")


@pytest.mark.parametrize("job_id", ["7", "/7", "app/", "", "owner/app/more/7"])
def test_an_id_that_lacks_a_part_is_never_sent(job_id: str) -> None:
    """[ComfyUI] An empty id would stop whatever runs."""
    for ids in (APP, Ids()) if not job_id else (APP,):
        with pytest.raises(BadReference):
            declare.request("POST /stop", ids, json=dict.fromkeys(ids.names, "x") | {n: f"{{{n}}}" for n in ids.names})(
                job_id
            )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Ids("a b/id"), "must be 'id', 'kind/id'"),
        (lambda: Ids("app/job"), "must be 'id', 'kind/id'"),
        (lambda: declare.submit("POST /x", FAL, PROMPT), "carries the field 'app': add it to needed"),
        (lambda: declare.cursor_pages("GET /x", FAL), "a row lacks the first part of its id"),
        (lambda: declare.by_kind({}), "a mapping of the first parts of ids"),
        (lambda: declare.batch("POST /x", FAL, name="ids"), "it must be a GET, and name"),
        (lambda: Verdict(500, "", State.FAILED), "match must be a pattern"),
        (lambda: Verdict(400, "[", State.FAILED), "is not a regular expression"),
        (lambda: Verdict(4000, "x", State.FAILED), "an HTTP status"),
        (lambda: Reader(WORDS, verdicts=(400,)), "a tuple of declare.Verdict"),  # type: ignore[arg-type]
        (lambda: Reader(WORDS, lasts=0), "seconds, above 0"),
        (lambda: Reader(WORDS, files={"video": "base64:a b"}), "'a b' is not a path"),
        (lambda: declare.refusals(code="a b"), "refusals code: 'a b' is not a path"),
        (lambda: declare.refusals(message="a b"), "refusals message: 'a b' is not a path"),
        (lambda: declare.refusals({"7": "bill"}), "refusals: 'bill' is not a kind; the kinds are capacity, rate"),
        (lambda: declare.refusals(statuses={403: "bill"}), "refusals: 'bill'"),
        (lambda: declare.problems({"7": "bill"}), "problems: 'bill' is not a kind; the kinds are capacity, rate"),
        (
            lambda: declare.problems(charged={"7": "yes"}),
            "problems charged '7' must be True or False (no row if unknown), got 'yes'",
        ),  # type: ignore[dict-item]
        (lambda: Reader(WORDS, problem={"7": "money"}), "Reader problem must be a function, got dict"),  # type: ignore[arg-type]
        (lambda: declare.refusals(texts={"[": "money"}), "is not a regular expression"),
        (lambda: Problem("x", kind="bill"), "Problem kind 'bill'"),
        (lambda: Problem("x", charged="no"), "Problem charged 'no'"),  # type: ignore[arg-type]
    ],
)
def test_a_table_that_cannot_be_right(make: Any, said: str) -> None:
    """It is refused when it is made."""
    with pytest.raises(PluginError) as caught:
        make()
    assert said in caught.value.message


def test_a_vendor_with_several_interfaces() -> None:
    """[Kling, MiniMax, kie] The form of the id tells which one is asked, and which table reads."""
    old = declare.status("GET /v1/{kind}/{id}", Reader({"succeed": State.COMPLETED}, ids=Ids("kind/id", ("t2v",))))
    new = declare.status("GET /tasks/{id}", Reader({"succeeded": State.COMPLETED}), verdicts=(400,))
    both = declare.by_kind({"t2v": old, "": new})
    assert [both.request(each).path for each in ("t2v/7", "7")] == ["/v1/t2v/7", "/tasks/7"]
    assert both.verdicts == (400,)
    assert both.parse(answer({"status": "succeed"}), "t2v/7") == Snapshot(State.COMPLETED, "succeed")
    assert both.parse(answer({"status": "succeeded"}), "7") == Snapshot(State.COMPLETED, "succeeded")
    with pytest.raises(BadReference, match=r"write the id as KIND/ID; KIND is t2v$"):
        declare.by_kind({"t2v": old}).request("i2v/7")


# -- why a job failed -------------------------------------------------------------------------------------------------

RUNWAY = declare.problems(
    {
        "SAFETY": "moderated_output",
        "SAFETY.INPUT": "moderated_input",
        "INTERNAL": "internal",
        "3": {"Support codes": "moderated_input", "": "input"},
    },
    texts={"moderat": "moderated_output"},
    charged={"SAFETY.INPUT": True, "moderated_output": False},
)


@pytest.mark.parametrize(
    ("problem", "category", "charged"),
    [
        (Problem("x", "SAFETY.INPUT.TEXT"), "moderated_input", True),
        (Problem("x", "SAFETY.OUTPUT.VIDEO"), "moderated_output", False),
        (Problem("x", "INTERNAL.BAD_OUTPUT.CODE01"), "internal", None),
        (Problem("no (support codes: 7)", "3"), "moderated_input", None),
        (Problem("no such field", "3"), "input", None),
        (Problem("failed the Moderation"), "moderated_output", False),
        (Problem("moderated", "INTERNAL"), "internal", None),
        (Problem("x", "ASSET.INVALID"), None, None),
        (Problem("moderated", "SAFETY", kind="capacity", charged=True), "capacity", True),
        (Problem("x", "." * 5000), None, None),
    ],
)
def test_why_a_job_failed(problem: Problem, category: str | None, charged: bool | None) -> None:
    """[Runway, Google] The longest beginning of a code wins, then the text; nothing is guessed."""
    said = RUNWAY(problem)
    assert (said.category, said.charged) == (category, charged)
    assert (said.message, said.code) == (problem.message, problem.code)


def test_a_vendor_that_charges_for_no_failure() -> None:
    """[Vidu, xAI] One row says it for all, and others for one class or code."""
    said = declare.problems({"E1": "input", "E2": "input"}, charged={"": False, "input": True, "E2": False})
    told = [said(Problem("x", code)).charged for code in (None, "E0", "E1", "E2")]
    assert told == [False, False, True, False]


def test_a_failed_job_has_its_class_wherever_it_is_read() -> None:
    """In a status, after `refine`, by an HTTP status, and in a second answer."""
    fails = Verdict(400, "moderat", State.FAILED)
    second = Second("GET /r/{id}", {"video": "url"}, fails=(422,))
    reader = Reader(
        {"run": State.RUNNING, "ok": State.COMPLETED, "bad": State.FAILED},
        problem=RUNWAY,
        verdicts=(fails,),
        second=second,
        refine=lambda said, data, job_id: replace(said, problem=said.problem and replace(said.problem, code="SAFETY")),
    )
    moderated = answer({"error": {"message": "moderated"}}, 400)
    follow = reader.parse(answer({"id": "7", "status": "ok"}), "7")
    assert isinstance(follow, Follow)
    found = [
        reader.parse(answer({"status": "bad", "error": "why"}), "7"),
        reader.parse(moderated, "7"),
        follow.parse(answer({"error": {"message": "no", "code": "INTERNAL.X"}}, 422), "7"),
    ]
    told = [each.problem.category for each in found if isinstance(each, Snapshot) and each.problem is not None]
    assert told == ["moderated_output", "moderated_output", "internal"]


# -- what a submit sends ----------------------------------------------------------------------------------------------

OPEN = declare.submit(
    "POST /{app:path}?webhook={webhook}&v=1",
    Reader(WORDS),
    {"app": declare.text(), "webhook": declare.text(), "priority": declare.text(), **PROMPT},
    ("app",),
    headers={"X-Async": "enable", "X-Priority": "{priority}"},
)


def test_fields_that_are_headers_or_a_query() -> None:
    """[fal, DashScope] A field that is given goes where the line says, and not into the body; else nothing goes."""
    assert OPEN.request(
        {"app": "a", "prompt": "p", "webhook": "https://me.example/?a=b", "priority": "low"}
    ) == Request(
        "POST",
        "/a",
        (("webhook", "https://me.example/?a=b"), ("v", "1")),
        {"X-Async": "enable", "X-Priority": "low"},
        {"prompt": "p"},
    )
    assert OPEN.request({"app": "a"}) == Request("POST", "/a", (("v", "1"),), {"X-Async": "enable"}, {})
    with pytest.raises(InvalidField, match="the header X-Priority cannot be sent"):
        OPEN.request({"app": "a", "priority": "low\nX-Evil: 1"})


def test_a_line_at_another_host() -> None:
    """[fal, Vertex] The host may come out of the id; what is no host's name is no id."""
    asked = declare.request("GET https://{region}-api.acme.example/v1/{id}", Ids("region/id"))
    assert asked("eu/7") == Request("GET", "/v1/7", host="eu-api.acme.example")
    assert asked("eu/7").place == "https://eu-api.acme.example/v1/7"
    for odd in ("EU", "e u", "me@evil", "evil.example?", "evil.example#", "evil:1"):
        with pytest.raises(BadReference):
            asked(f"{odd}/7")


def test_a_submit_that_is_a_form(tmp_path: Path) -> None:
    """[vLLM-Omni] Fields and files are parts of a form that others can read; the same fields are the same request."""
    (tmp_path / "a.PNG").write_bytes(b"\x89PNG\r\n--x")
    fields = {**PROMPT, "seed": declare.whole(), "loop": declare.flag(), "image": declare.file(".png")}
    start = declare.submit("POST /videos", Reader(WORDS), fields, ("prompt",), form=True, headers={"X-A": "1"})
    given = {"prompt": "é \r\n--", "seed": 7, "loop": True, "image": tmp_path / "a.PNG"}
    request = start.request(given)
    assert start.request(given) == request
    kind = request.headers["Content-Type"]
    form = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + (request.body or b""), policy=HTTP)
    parts = [
        (part.get_param("name", header="content-disposition"), part.get_filename(), part.get_payload(decode=True))
        for part in form.iter_parts()
    ]
    assert parts == [
        ("prompt", None, "é \r\n--".encode()),
        ("seed", None, b"7"),
        ("loop", None, b"true"),
        ("image", "a.png", b"\x89PNG\r\n--x"),
    ]
    assert request.headers["X-A"] == "1"
    told = read_form(kind, request.body or b"")
    assert told == {"prompt": "é \r\n--", "seed": "7", "loop": "true", "image": "@a.png"}
    with pytest.raises(InvalidField, match=r"it must be a file as pathlib\.Path that ends in \.png"):
        start.request({**given, "image": tmp_path / "a.mp4"})


def test_a_list_in_a_form_is_several_parts() -> None:
    """A mapping is JSON."""
    kind, body = declare.form({"tag": ["a", "b"], "extra": {"n": 1}})
    assert read_form(kind, body) == {"tag": ["a", "b"], "extra": '{"n": 1}'}


# -- verdicts by HTTP status ------------------------------------------------------------------------------------------

XAI = Reader(
    WORDS,
    cost="usage.cost",
    verdicts=(Verdict(400, r"content.?moderat", State.FAILED), Verdict(400, "not ready", State.RUNNING)),
)


def test_a_400_that_is_a_verdict() -> None:
    """[xAI, Ark] Its text tells it, or that the job goes on; any other 400 is what its status says."""
    asked = declare.status("GET /videos/{id}", XAI)
    assert asked.verdicts == (400,)
    body = {"error": "Rejected by content moderation.", "usage": {"cost": 25}}
    assert asked.parse(answer(body, 400), "7") == Snapshot(
        State.FAILED, problem=Problem("Rejected by content moderation."), cost=Cost(25)
    )
    assert asked.parse(answer({"error": "video not ready"}, 400), "7") == Snapshot(State.RUNNING)
    with pytest.raises(Malformed, match="no status word"):
        asked.parse(answer({"error": "no such video"}, 400), "7")


SECOND = Second(
    "GET /{id}",
    {"video": "video.url"},
    verdicts=(Verdict(400, "still in progress", State.RUNNING), Verdict(422, "", State.FAILED)),
)


@pytest.mark.parametrize(
    ("status", "body", "state", "said"),
    [
        (200, {"video": {"url": "/a.mp4"}}, State.COMPLETED, None),
        (422, {"detail": [{"msg": "flagged", "type": "content_policy"}]}, State.FAILED, "flagged"),
        (400, {"detail": "Request is still in progress"}, State.RUNNING, None),
    ],
)
def test_the_second_answer_is_the_verdict(status: int, body: object, state: State, said: str | None) -> None:
    """[fal] COMPLETED is none: only the result tells what came of the job."""
    first = Reader(WORDS, second=SECOND).parse(answer({"status": "ok"}), "7")
    assert isinstance(first, Follow)
    assert (first.fallback, first.verdicts) == (None, (400, 422))
    told = first.parse(answer(body, status), "7")
    assert isinstance(told, Snapshot)
    assert (told.state, told.problem and told.problem.message) == (state, said)
    assert len(told.assets) == (state is State.COMPLETED)
    with pytest.raises(Malformed, match="names no file"):
        first.parse(answer({"error": "later"}), "7")


def test_refusals_by_code_text_and_status() -> None:
    """[Zhipu, xAI, Higgsfield] A 429 may be money, a 400 no such job; what no table names stays what it is."""
    told = declare.refusals(
        {"1113": "money", "AccountOverdue": "money"},
        texts={"record is null": "not found"},
        statuses={403: "money"},
    )

    def kind(status: int, body: object) -> str | None:
        return told(answer(body, status)).kind

    assert kind(429, {"error": {"code": "1113", "message": "x"}}) == "money"
    assert kind(403, {"error": {"code": "AccountOverdue.Credit", "message": "x"}}) == "money"
    assert kind(400, {"message": "Record is NULL"}) == "not found"
    assert kind(403, {}) == "money"
    assert kind(429, {"error": {"code": "1302", "message": "x"}}) is None
    assert kind(502, {"message": "Record is NULL"}) is None  # a submit may have been received
    assert kind(502, {"error": {"code": "1113", "message": "x"}}) == "money"


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_in_the_answer_itself() -> None:
    """[Vertex] Base64 is bytes; what is none is no file, and a bucket's address is told by the download."""
    job = Reader(WORDS, files={"video": ("base64:videos[].bytes", "videos[].gcsUri")})
    assert job.read({"status": "ok", "videos": [{"bytes": "AAEC"}]}).assets == (Asset(data=b"\0\1\2"),)
    assert job.read({"status": "ok", "videos": [{"bytes": "data:video/mp4;base64,AAEC"}]}).assets[0].data == b"\0\1\2"
    for none in ("no base64!", "kéin base64"):
        assert job.read({"status": "ok", "videos": [{"bytes": none}]}).assets == ()
    assert job.read({"status": "ok", "videos": [{"gcsUri": "gs://b/a.mp4"}]}).assets == (Asset("gs://b/a.mp4"),)


def test_when_the_files_end() -> None:
    """[Higgsfield, Replicate] As the job says, or so long after its end; a URL that tells its own end is right."""
    signed = "https://a.example/1.mp4?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60"
    for table, end in (({"expires_at": "gone_at"}, 1_800_000_000.0), ({"lasts": 3600.0}, 1_795_003_600.0)):
        job = Reader(WORDS, files={"video": "urls"}, **table)  # type: ignore[arg-type]
        data = {"status": "ok", "urls": ["/a.mp4", signed], "gone_at": 1_800_000_000, "completed_at": 1_795_000_000}
        assert [each.expires_at for each in job.read(data).assets] == [end, 1_767_225_660.0]
    bare = Reader(WORDS, files={"video": "urls"}, lasts=3600.0)
    assert bare.read({"status": "ok", "urls": ["/a.mp4"]}).assets[0].expires_at is None


# -- many, and the end ------------------------------------------------------------------------------------------------


def test_many_jobs_in_one_question() -> None:
    """[HeyGen, Ark] The ids are joined, or each has a query of its own; a row is read as ever."""
    joined = declare.batch("GET /statuses?full=1", Reader(WORDS), name="ids", rows="items")
    assert joined.request(("a", "b")) == Request("GET", "/statuses", (("full", "1"), ("ids", "a,b")))
    each = declare.batch("GET /tasks", Reader(WORDS), name="filter.task_ids", join=None)
    assert each.request(("a", "b")).query == (("filter.task_ids", "a"), ("filter.task_ids", "b"))
    page = joined.parse(answer({"items": [{"id": "a", "status": "run"}, {"id": "b", "status": "odd"}]}), "")
    assert not isinstance(page, Follow)
    assert page.items == (Snapshot(State.RUNNING, "run", job_id="a"),)


def test_a_list_that_is_asked_by_post() -> None:
    """[WaveSpeed, Kling] What a GET has in its query is in the body, numbers as numbers."""
    pages = declare.numbered_pages("POST /predictions", Reader(WORDS), size="page_size")
    assert pages.request({}, None) == Request("POST", "/predictions", json={"page_size": 100, "page": 1})
    assert pages.request({}, "2").json == {"page_size": 100, "page": 2}
    cursors = declare.cursor_pages("POST /tasks", Reader(WORDS), token="cursor")
    assert cursors.request({"limit": 5}, "c7").json == {"limit": 5, "cursor": "c7"}


TASK = Reader(WORDS)
STOP = declare.cancel("DELETE /tasks/{id}", TASK, ends=True, first=declare.status("GET /tasks/{id}", TASK))


def test_a_cancel_that_would_delete_what_is_over() -> None:
    """[Runway, Ark] The job is looked at first; the good answer of the second question is that it is cancelled."""
    assert STOP.request("7") == Request("GET", "/tasks/7")
    step = STOP.parse(answer({"status": "run"}), "7")
    assert isinstance(step, Follow)
    assert step.request == Request("DELETE", "/tasks/7")
    assert step.parse(Response(204), "7") == Snapshot(State.CANCELLED)
    with pytest.raises(Refused, match="the job has ended"):
        STOP.parse(answer({"status": "ok"}), "7")


@pytest.mark.parametrize("made", [declare.delete, declare.cancel])
def test_an_empty_answer_to_a_cancel(made: Any) -> None:
    """[ComfyUI, Higgsfield] It is good where the table says so."""
    for status in (200, 202):
        assert made("POST /x/{id}", TASK, empty_ok=True).parse(Response(status), "7") is None
        with pytest.raises(Malformed, match="empty body"):
            made("POST /x/{id}", TASK).parse(Response(status), "7")


def test_json_of_a_form_is_what_was_given() -> None:
    """Text stays text: no quotes are put around it."""
    kind, body = declare.form({"a": "x", "b": json.dumps({"c": 1})})
    assert read_form(kind, body) == {"a": "x", "b": '{"c": 1}'}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"fault": {"nr": 7, "text": "top up first"}}', ("money", "7", "top up first")),
        (b'{"error": {"code": "7", "message": "no"}}', ("money", "7", "no")),
        (b'{"fault": {"nr": null}, "message": "no"}', ("input", None, "no")),
        (b"no JSON", ("input", None, "HTTP 400 without JSON (no content type)")),
    ],
)
def test_a_refusal_at_a_path_of_its_own(body: bytes, said: tuple[str, str | None, str]) -> None:
    """The paths come first; what is not there is read as everywhere else."""
    told = declare.refusals({"7": "money"}, statuses={400: "input"}, code="fault.nr", message="fault.text")
    problem = told(Response(400, {}, body))
    assert (problem.category, problem.code, problem.message) == said
