"""What a table reads out of an answer: equality on snapshots, and nothing that a server sends surprises it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from answers import JSON, answer, few
from hypothesis import given

from vidpoll import (
    AnswerError,
    Asset,
    Cost,
    Follow,
    ForeignAnswer,
    Malformed,
    PluginError,
    Problem,
    Refused,
    Request,
    Response,
    Snapshot,
    Stage,
    State,
    Submitted,
    UnknownStatus,
)
from vidpoll.declare import Envelope, Ids, Reader, Second

WORDS = {"run": State.RUNNING, "ok": State.COMPLETED, "bad": State.FAILED, "stop": State.CANCELLED}
URL = "https://cdn.example/a.mp4"


def read(data: Mapping[str, Any], words: Any = WORDS, **table: Any) -> Snapshot:
    return Reader(words, **table).read(data)


def test_a_whole_job() -> None:
    """Every fact stands where the table says, also as text, in milliseconds, in a column, or under another name."""
    table: dict[str, Any] = {
        "status": "job.state",
        "stage": ("job.step", "job.state"),
        "id": ("job_id", "job.id"),
        "files": {"video": "job.out[type=video].url", "thumbnail": ("cover", "job.out[0].url")},
        "progress": "job.done",
        "full": 1.0,
        "created_at": "at.made",
        "finished_at": "at.end",
        "duration": "job.out[1].seconds",
        "queue_position": "job.place",
        "cost": "price",
        "unit": "USD",
    }
    out = [{"type": "image", "url": "/a.jpg"}, {"type": "video", "url": URL, "seconds": "5.1"}]
    job = {"state": "OK", "step": "", "id": 7, "out": out, "done": 0.5, "place": "3"}
    data = {"job": job, "at": {"made": 1795001000123, "end": "2026-11-28T12:00:00Z"}, "price": "0.25"}
    assert read(data, **table) == Snapshot(
        State.COMPLETED,
        stage="OK",
        progress=50.0,
        assets=(Asset(URL), Asset("/a.jpg", "thumbnail")),
        job_id="7",
        created_at=1795001000.123,
        finished_at=1795867200.0,
        duration=5.1,
        queue_position=3,
        cost=Cost(0.25, unit="USD"),
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"status": "run", "url": URL, "error": "slow"}, Snapshot(State.RUNNING, "run")),
        ({"status": "run", "completed_at": 1795001000}, Snapshot(State.RUNNING, "run")),
        ({"status": "ok"}, Snapshot(State.COMPLETED, "ok")),
        ({"status": "bad", "url": URL}, Snapshot(State.FAILED, "bad", problem=Problem())),
        ({"status": "bad", "error": "no"}, Snapshot(State.FAILED, "bad", problem=Problem("no"))),
        (
            {"status": "bad", "error": {"message": "no", "code": 7}, "completed_at": 1795001000},
            Snapshot(State.FAILED, "bad", problem=Problem("no", "7"), finished_at=1795001000.0),
        ),
        ({"status": "bad", "error": {"message": {}}}, Snapshot(State.FAILED, "bad", problem=Problem())),
        ({"status": "stop"}, Snapshot(State.CANCELLED, "stop")),
        ({"status": " RUN"}, Snapshot(State.RUNNING, "RUN")),
        ({"status": "stop", "error": "you"}, Snapshot(State.CANCELLED, "stop", problem=Problem("you"))),
    ],
)
def test_the_word_decides_and_nothing_else(data: dict[str, Any], said: Snapshot) -> None:
    """Files are those of a completed job, a reason that of one that ended badly, and the core says where none is."""
    assert read(data) == said


def test_an_empty_word_is_none() -> None:
    """Of several places the first with a word counts."""
    assert read({"state": "", "status": "run"}, status=("state", "status")).state is State.RUNNING


def test_words_that_are_numbers_have_a_word_to_show() -> None:
    """A Stage names it; without one the number is the word. `True == 1` in Python, and never here."""
    words = {5: State.RUNNING, 1: Stage("ready", State.COMPLETED)}
    assert [read({"status": n}, words).stage for n in (5, 1)] == ["5", "ready"]
    assert Reader(words).stages == (Stage("5", State.RUNNING), Stage("ready", State.COMPLETED))
    with pytest.raises(Malformed):
        read({"status": True}, words)


def test_stages_are_words() -> None:
    """A tuple of Stage, as a Provider takes it, is a table as well."""
    stages = (Stage("run", State.RUNNING, (0, 90)), Stage("ok", State.COMPLETED))
    assert (read({"status": "ok"}, stages).state, Reader(stages).stages) == (State.COMPLETED, stages)


def test_a_word_nobody_documented_raises() -> None:
    """It ends nothing: the loop shows it and asks on, whatever `decide` would say."""
    with pytest.raises(UnknownStatus, match="'zxqv'"):
        read({"status": "zxqv"}, decide=lambda state, data: State.COMPLETED)


@pytest.mark.parametrize(
    ("data", "state"),
    [({"status": "run", "done": True}, "completed"), ({"done": True}, "completed"), ({"status": "run"}, "running")],
)
def test_a_second_field_that_the_page_names(data: dict[str, Any], state: str) -> None:
    """`decide` hears None where there is no word, and None from it leaves things as they are."""
    assert read(data, decide=lambda state, data: State.COMPLETED if data.get("done") else None).state == state
    with pytest.raises(Malformed):
        read({}, decide=lambda state, data: None)


def test_what_no_path_can_say() -> None:
    """`refine` gets the snapshot, the data and the id, and its answer counts."""
    reader = Reader(WORDS, refine=lambda said, data, job_id: replace(said, duration=data["ms"] / 1000, stage=job_id))
    assert reader.read({"status": "run", "ms": 500, "id": "9"}, "asked") == Snapshot(
        State.RUNNING, "asked", job_id="9", duration=0.5
    )
    assert reader.read({"status": "run", "ms": 500, "id": "9"}).stage == "9"


def test_a_failed_job_that_costs_nothing() -> None:
    """`refunds`: what was charged is given back where the job failed, and only there."""
    costs = [read({"status": word, "paid": 5}, cost="paid", refunds=True).cost for word in ("bad", "ok")]
    assert costs == [Cost(5, 5), Cost(5)]
    assert read({"status": "bad", "paid": 5}, cost="paid").cost == Cost(5)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "urls"),
    [
        ({"url": URL, "urls": ["/b.mp4"]}, [URL]),
        ({"url": "", "urls": ["/b.mp4", None, "", "/c.mp4"]}, ["/b.mp4", "/c.mp4"]),
        ({"url": 7, "urls": [None, ["/b.mp4"]]}, ["./videos/a%2Fb/content?format=x"]),
    ],
)
def test_the_first_place_that_has_files(data: dict[str, Any], urls: list[str]) -> None:
    """Places name one video; one below the base URL comes last, because it is always there."""
    files = {"video": ("url", "urls", "./videos/{id}/content?format=x")}
    assert [a.url for a in read({"status": "ok", "id": "a/b", **data}, files=files).assets] == urls


@pytest.mark.parametrize("data", [{}, {"id": ".."}, {"id": ""}])
def test_no_place_without_an_id(data: dict[str, Any]) -> None:
    """An id that can be none of a path leads nowhere, and costs the row nothing else."""
    assert read({"status": "ok", **data}, files={"video": "./videos/{id}"}).assets == ()


def test_a_presigned_url_has_its_end() -> None:
    """So a download knows when to ask for a fresh one."""
    signed = f"{URL}?X-Amz-Date=20261128T120000Z&X-Amz-Expires=3600"
    assert read({"status": "ok", "url": signed}).assets == (Asset(signed, expires_at=1795870800.0),)


# -- the answer around the job ----------------------------------------------------------------------------------------

GATE = Envelope("data", code="code", message="why", kinds={"1004": "auth"})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"code": 0, "data": {"status": "run"}}, "running"),
        ({"code": "0", "data": {"status": "run"}}, "running"),
        ({"data": {"status": "run"}}, "running"),
        ({"code": True, "data": {"status": "run"}}, "running"),
        ({"code": 1004, "why": "expired", "data": None}, "auth expired 1004"),
        ({"code": "1004", "message": "no"}, "auth no 1004"),
        ({"code": 7, "data": {}}, "unknown HTTP 200 7"),
        ({"code": 7, "error": {"code": "E7", "message": "no"}}, "unknown no 7"),
        ({"code": 1004, "data": {"status": "bad"}}, "failed"),
        ({"code": 1004, "data": {"id": "7", "status": ""}}, "Malformed"),
        ({"code": 0, "data": None}, "Malformed"),
        ({"code": 0, "data": [{"status": "run"}]}, "Malformed"),
        ([], "Malformed"),
    ],
)
def test_a_200_that_is_a_refusal(body: Any, said: str) -> None:
    """Its code tells, unless the body names a job: then it is about the job."""
    try:
        snapshot = Reader(WORDS, envelope=GATE).parse(answer(body), "7")
        assert isinstance(snapshot, Snapshot)
        outcome = str(snapshot.state)
    except Refused as refused:
        outcome = f"{refused.kind} {refused.message} {refused.code}"
    except Malformed:
        outcome = "Malformed"
    assert outcome == said


def test_the_good_values_of_a_code() -> None:
    """`ok` says what they are: 0 is no good one where 200 is."""
    gate = Envelope("data", code="code", ok=(200, "fine"))
    assert [gate.open(answer({"code": code, "data": {"a": 1}})) for code in (200, "200", "fine")] == [{"a": 1}] * 3
    with pytest.raises(Refused):
        gate.open(answer({"code": 0, "data": {"a": 1}}))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Auth.Signature", "auth"),
        ("Auth.Denied", "permission"),
        ("Auth", "auth"),
        (".Auth", "unknown"),
    ],
)
def test_the_beginning_of_a_code_will_do(code: str, kind: str) -> None:
    """Codes with dots are many; the whole one counts first."""
    gate = Envelope(code="code", kinds={"Auth": "auth", "Auth.Denied": "permission"})
    with pytest.raises(Refused) as caught:
        gate.open(answer({"code": code}))
    assert (caught.value.kind, caught.value.code) == (kind, code)


def test_a_flag_that_tells_a_refusal() -> None:
    """Only a flag is read as one; the code is the one beside it."""
    gate = Envelope("data", code="success", ok=(True,), kinds={"LIMIT": "rate"})
    with pytest.raises(Refused) as caught:
        Reader(WORDS, envelope=gate).parse(
            answer({"success": False, "error": {"code": "LIMIT", "message": "slow"}}), ""
        )
    assert (caught.value.kind, caught.value.message, caught.value.code) == ("rate", "slow", "LIMIT")
    assert gate.open(answer({"success": "zxqv", "data": {"a": 1}})) == {"a": 1}


def test_a_webhook_sends_the_job_alone() -> None:
    """Of several places the one that names a job counts."""
    reader = Reader(WORDS, envelope=Envelope(("data", "")))
    for body in ({"status": "run", "data": {"id": "7"}}, {"data": {"status": "run"}, "id": "evt"}):
        said = reader.parse(answer(body), "")
        assert isinstance(said, Snapshot)
        assert said.state is State.RUNNING


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Response(202), Snapshot(State.RUNNING)),
        (answer({}, 202), Snapshot(State.RUNNING)),
        (answer({"status": "ok"}, 202), Snapshot(State.COMPLETED, "ok")),
    ],
)
def test_a_status_that_says_without_a_word_that_the_job_runs(response: Response, said: Snapshot) -> None:
    """202 with an empty body, or without a word; a word counts before it."""
    reader = Reader(WORDS, pending=202)
    assert reader.parse(response, "7") == said
    with pytest.raises(Malformed):
        reader.parse(Response(200), "7")


# -- ids --------------------------------------------------------------------------------------------------------------


def test_the_kind_of_an_id_comes_back() -> None:
    """The answer names a bare id; it is compared, and kept, as users write it."""
    reader = Reader(WORDS, ids=Ids("kind/id", ("t2v", "i2v")))
    assert reader.read({"status": "run", "id": "7"}, "i2v/8").job_id == "i2v/7"
    assert reader.submitted(answer({"id": "7", "status": "run"}), "t2v") == Submitted(
        "t2v/7", Snapshot(State.RUNNING, "run", job_id="t2v/7")
    )


@pytest.mark.parametrize("rest", [{}, {"status": "zxqv"}, {"status": {}}, {"code": 1004}, {"status": "run"}])
def test_the_id_of_a_paid_job_is_taken_first(rest: dict[str, Any]) -> None:
    """Nothing else in the answer can raise, not even a code that refuses."""
    reader = Reader(WORDS, envelope=Envelope(code="code"))
    assert reader.submitted(answer({"id": 7, **rest})).job_id == "7"


def test_a_submit_that_is_refused() -> None:
    """Without an id the code counts; without both the answer is Malformed."""
    reader = Reader(WORDS, envelope=GATE)
    with pytest.raises(Refused, match="no money"):
        reader.submitted(answer({"code": 1008, "why": "no money", "data": {"id": ""}}))
    with pytest.raises(Malformed, match="no usable id"):
        reader.submitted(answer({"code": 0, "data": {}}))
    with pytest.raises(Malformed):
        reader.submitted(answer({"code": 0, "data": []}))


# -- a second answer --------------------------------------------------------------------------------------------------

FILES = Second("GET /files?file_id={file.id}&job={id}", {"video": "file.url"}, id="job")
DONE = {"status": "ok", "id": "7", "file": {"id": 42}}


def follow(second: Second, body: dict[str, Any], **table: Any) -> Any:
    return Reader(WORDS, second=second, **table).parse(answer(body), "7")


def test_the_files_stand_in_a_second_answer() -> None:
    """The first one leads to it, and what it said is the fallback."""
    asked = follow(FILES, DONE)
    said = Snapshot(State.COMPLETED, "ok", job_id="7")
    assert (asked.request, asked.fallback) == (Request("GET", "/files", (("file_id", "42"), ("job", "7"))), said)
    assert asked.parse(answer({"file": {"url": URL}, "job": "7"}), "7") == replace(said, assets=(Asset(URL),))
    assert asked.parse(answer({"file": {}}), "7") == said
    with pytest.raises(ForeignAnswer):
        asked.parse(answer({"file": {"url": URL}, "job": "8"}), "7")


def test_a_second_answer_may_write_the_id_in_capitals() -> None:
    """As the first one may: it is the same UUID."""
    uuid = "3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d"
    asked = Reader(WORDS, second=FILES).parse(answer({**DONE, "id": uuid}), uuid)
    assert isinstance(asked, Follow)
    said = asked.parse(answer({"file": {"url": URL}, "job": uuid.upper()}), uuid)
    assert isinstance(said, Snapshot)
    assert said.assets == (Asset(URL),)


@pytest.mark.parametrize("body", [{**DONE, "url": URL}, {**DONE, "file": {}}, {**DONE, "status": "run"}])
def test_nothing_more_is_asked(body: dict[str, Any]) -> None:
    """Where the video is there, where nothing leads to it, and while the job runs."""
    assert isinstance(follow(FILES, body), Snapshot)


def test_a_refused_second_answer_gives_nothing() -> None:
    """The envelope holds for it, too; the loop then keeps to the fallback."""
    asked = follow(FILES, DONE, envelope=Envelope(code="code"))
    with pytest.raises(Refused):
        asked.parse(answer({"code": 7, "file": {"url": URL}}), "7")


def test_a_second_answer_that_is_the_verdict() -> None:
    """Where its refusal means that the job has failed, the first answer is no verdict, and no fallback."""
    asked = follow(Second("GET /jobs/{id}/response", {"video": "video.url"}, fails=(422,)), DONE)
    assert (asked.verdicts, asked.fallback) == ((422,), None)
    failed = asked.parse(answer({"detail": "unsafe"}, 422), "7")
    assert failed == Snapshot(State.FAILED, "ok", job_id="7", problem=Problem("unsafe", details={"details": "unsafe"}))
    assert asked.parse(answer({"video": {"url": URL}}), "7").assets == (Asset(URL),)


# -- whatever comes ---------------------------------------------------------------------------------------------------


@few
@given(JSON, JSON)
def test_any_json_is_a_snapshot_or_an_answer_error(data: Any, more: Any) -> None:
    """A parser raises AnswerError or Refused, whatever a server sends."""
    reader = Reader(
        WORDS,
        files={"video": ("url", "out[].url", "./v/{id}")},
        cost="paid",
        queue_position="place",
        envelope=Envelope(("data", ""), code="code"),
        second=FILES,
    )
    word = {"status": "ok", "url": more, "out": [data, more], "error": more, "paid": more, "place": data, "id": data}
    for body in (data, {"data": data, "code": more}, {"data": {**word, "progress": data, "created_at": more}}):
        with suppress(AnswerError, Refused):
            assert isinstance(reader.parse(answer(body), "7"), (Snapshot, Follow))
        with suppress(AnswerError, Refused):
            assert isinstance(reader.submitted(answer(body)), Submitted)


# -- tables that cannot be right --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Reader({}), "Reader words must not be empty"),
        (lambda: Reader({"run": None}), "Reader words: 'run' must have a state like vidpoll.State.RUNNING, got None"),
        (lambda: Reader({"run": "running"}), "'run' must have a state"),
        (lambda: Reader({"": State.RUNNING}), "a word must be text or a whole number, got ''"),
        (lambda: Reader({True: State.RUNNING}), "a word must be text or a whole number, got True"),
        (lambda: Reader(("run",)), "'run' has no state; write vidpoll.Stage('run', State"),
        (lambda: Reader(WORDS, status="job..state"), "Reader status: 'job..state' is not a path"),
        (lambda: Reader(WORDS, status="{status}"), "Reader status: '{status}' is not a path"),
        (lambda: Reader(WORDS, id=("id", 7)), "Reader id: a path must be text like 'data.url', got int"),
        (lambda: Reader(WORDS, id=None), "Reader id: a path must be text"),
        (lambda: Reader(WORDS, files={"video": "out[.url"}), "Reader files 'video': 'out[.url' is not a path"),
        (lambda: Reader(WORDS, files="url"), "Reader files must be a mapping like {'video': 'url'}, got str"),
        (lambda: Reader(WORDS, files={"video": "./v/{idd}"}), "files 'video' 'GET /v/{idd}': nothing fills {idd}"),
        (lambda: Reader(WORDS, full=0), "Reader full must be the number that means 100 %, above 0, got 0"),
        (lambda: Reader(WORDS, decide="done"), "Reader decide must be a function, got str"),
        (lambda: Envelope("data."), "Envelope under: 'data.' is not a path"),
        (lambda: Envelope(code="c", kinds={"7": "bill"}), "Envelope kinds has '7': 'bill'; a code must be text, a"),
        (lambda: Envelope(code="c", kinds={7: "money"}), "Envelope kinds has 7: 'money'"),
        (lambda: Envelope(code="c", ok=0), "Envelope ok must be a tuple of the codes of a success, like (0,), got 0"),
        (lambda: Second("GET /f/{id", {"video": "url"}), "a hole must be"),
        (lambda: Second("GET /f/{a..b}", {"video": "url"}), "'a..b' is not a path"),
        (lambda: Second("GET /f/{id}", {"video": "u rl"}), "Second files 'video': 'u rl' is not a path"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_right(make: Any, said: str) -> None:
    """It is refused when it is made, with the place."""
    with pytest.raises(PluginError) as caught:
        make()
    assert said in caught.value.message
