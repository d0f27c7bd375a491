"""What is odd about MoneyPrinterTurbo: states are numbers, files are server paths, what it sends differs by version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import moneyprinterturbo as plugin

import vidpoll
from vidpoll import Asset, Page, Problem, Request, Response, Snapshot, State

(PROVIDER,) = plugin.vidpoll_providers()
OPERATIONS: dict[str, Any] = {**PROVIDER.operations()}
TASK = "0b9d6a52-2f0e-4c3b-8f3e-6f1f2a9b7c10"
REQUEST = "5d4c2b1a-0000-4000-8000-000000000001"


def respond(body: object, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def read(**data: object) -> Snapshot:
    """What the record of a task with these fields means."""
    body = {"status": 200, "message": "success", "data": {"task_id": TASK, **data}}
    said: Snapshot = OPERATIONS["status"].parse(respond(body), TASK)
    return said


@pytest.mark.parametrize("envelope", [{"status": -1, "message": "failed"}, {"status": 4}, {"state": -1}])
def test_the_envelope_speaks_of_the_request(envelope: dict[str, object]) -> None:
    """Not of the task: only `data.state` counts, and a 200 without the task's record says nothing."""
    body = {**envelope, "data": {"task_id": TASK, "state": 1, "videos": ["/tasks/a/b.mp4"]}}
    assert OPERATIONS["status"].parse(respond(body), TASK).state is State.COMPLETED
    with pytest.raises(vidpoll.Malformed):
        OPERATIONS["status"].parse(respond({**envelope, "data": None}), TASK)


def test_configuration_in_the_error() -> None:
    """1.3.3 without a key for the source of clips sends its whole configuration: cut, one line, without keys."""
    keys = {"openai_api_key": "s3cr3t-openai", "ernie_secret_key": "s3cr3t-ernie", "redis_password": "s3cr3t-redis"}
    config = {**keys, "pexels_api_keys": ["s3cr3t-p1"], **{f"setting_{number}": "x" * 40 for number in range(60)}}
    error = f"\n\n##### pexels_api_keys is not set #####\n\nPlease set it:\n\n{json.dumps(config, indent=4)}"
    problem = read(state=-1, progress=40, failed_stage="materials", error=error).problem
    assert problem is not None
    assert (problem.code, len(error) > 3000, len(problem.message) <= 500) == ("materials", True, True)
    assert problem.message.startswith("##### pexels_api_keys is not set ##### Please set it:")
    assert not any(told in str(problem) + repr(problem) for told in ("s3cr3t", "\n"))


@pytest.mark.parametrize("error", [None, "", [], {}, True, ["a"], {"a": 1}, 1.5])
def test_a_failure_without_a_reason(error: object) -> None:
    """It names the log; its stage is kept. Beside another state an error text is no verdict."""
    assert read(state=-1, failed_stage="audio", error=error).problem == Problem(plugin.NO_REASON, "audio")
    assert read(state=4, failed_stage="audio", error="a warning").problem is None


WINDOWS = f"C:\\mpt\\storage\\tasks\\{TASK}\\"
NO_URLS = [
    f"/srv/mpt/storage/tasks/{TASK}/final-1.mp4", f"{WINDOWS}final-1.mp4", f"tasks/{TASK}/final-1.mp4",
    f"//evil.example/tasks/{TASK}/final-1.mp4", "file:///etc/passwd", "javascript:alert(1)", "", None, 7, True,
    ["/tasks/a/final-1.mp4"], "/tasks/a\nb", "/tasks/\ud800.mp4",
]  # fmt: skip
ELSEWHERE = [
    "/srv/material/cust.mp3", "cust.mp3", "/cust.mp3",
    *(f"/srv/tasks/{TASK}{rest}" for rest in ("/", "/.", "/..", "/../../config.toml", "/..\\config.toml")),
    *(f"/srv/tasks/{TASK}{rest}" for rest in ("/sub/audio.mp3", "x/audio.mp3", "/\ud800.mp3")),
]  # fmt: skip


@pytest.mark.parametrize("path", NO_URLS)
def test_a_server_path_is_no_url(path: object) -> None:
    """What was promised and is not there stays due; one strange entry does not cost the others."""
    assert read(state=1, videos=[path], combined_videos=[path]) == Snapshot(
        State.COMPLETED, stage="complete", job_id=TASK
    )
    assert read(state=1, videos=[path, "/tasks/a/final-1.mp4"]).assets == (Asset("/tasks/a/final-1.mp4"),)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [("audio.mp3", "audio.mp3"), ("my voice #1?.mp3", "my%20voice%20%231%3F.mp3"), ("音.srt", "%E9%9F%B3.srt")],
)
@pytest.mark.parametrize("folder", [f"/srv/mpt/storage/tasks/{TASK}/", WINDOWS, f"{TASK}/"])
def test_own_files(folder: str, name: str, encoded: str) -> None:
    """A file in the task's own folder is fetched by its name, percent-encoded, when the task is completed."""
    assert read(state=1, audio_file=folder + name).assets == (Asset(f"./api/v1/download/{TASK}/{encoded}", "audio"),)
    assert [read(state=state, audio_file=folder + name).assets for state in (4, 0, -1)] == [(), (), ()]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_files_elsewhere(path: str) -> None:
    """A server path outside the task's folder (custom_audio_file) is no URL; the task is still done."""
    assert (read(state=1, audio_file=path).assets, read(state=1, audio_file=path).assets_due) == ((), False)


@pytest.mark.parametrize(
    ("data", "due"),
    [
        ({}, True),
        ({"videos": None, "audio_file": "", "subtitle_path": ""}, True),
        ({"videos": [], "audio_file": "/a/b.mp3"}, False),
        ({"videos": None, "subtitle_path": "/a/b.srt"}, False),
        ({"videos": ["/srv/a.mp4"], "audio_file": "/a/b.mp3"}, True),
        ({"videos": "soon", "audio_file": "/a/b.mp3"}, True),
    ],
)
def test_a_video_is_due_unless_only_speech_came(data: dict[str, object], due: bool) -> None:
    """With neither, vidpoll polls again."""
    assert read(state=1, **data).assets_due is due


def test_no_duration() -> None:
    """The length of the speech is not passed off as that of the video; it is in `raw`."""
    said = read(state=1, videos=["/tasks/a/b.mp4"], audio_duration=3)
    assert (said.duration, said.raw["audio_duration"]) == (None, 3)


def test_rows_have_no_files() -> None:
    """A row names server paths, in some setups of a form that looks like a URL: its files come from the status."""
    row = {"task_id": TASK, "state": 1, "videos": [f"/tasks/{TASK}/final-1.mp4"], "audio_file": f"/x/{TASK}/a.mp3"}
    failed = {"task_id": TASK, "state": -1, "failed_stage": "audio", "error": "no voice"}
    rows = OPERATIONS["list"].parse(respond({"data": {"tasks": [row, failed]}}), "").items
    assert [(each.assets, each.problem) for each in rows] == [((), None), ((), Problem("no voice", "audio"))]
    assert [each.raw for each in rows] == [row, failed]


@pytest.mark.parametrize(
    ("total", "page", "size", "next", "further"),
    [
        (3, 1, 2, "2", ()),
        (3, 2, 2, None, ()),
        (1000, 1, 100, "2", tuple(map(str, range(3, 11)))),
        (None, 4, 2, "5", ()),
        (3, 1, None, "2", ()),
        (3, None, 2, None, ()),
        (10**18, 1, 1, "2", tuple(map(str, range(3, 102)))),
    ],
)
def test_the_total_ends_the_list(total: object, page: object, size: object, next: str | None, further: Any) -> None:
    """Without one the pages go on; pages beyond the end are empty and 200, and nothing is asked after one."""
    rows = [{"task_id": TASK, "state": 4}]
    data = {"total": total, "page": page, "page_size": size}
    pages = [OPERATIONS["list"].parse(respond({"data": {"tasks": tasks, **data}}), "") for tasks in (rows, [])]
    assert (pages[0].next, pages[0].further, pages[1]) == (next, further, Page(()))


@pytest.mark.parametrize("fields", [{"page": 0}, {"page_size": 1.5}, {"page_size": "2"}, {"page": True}, {"status": 4}])
def test_the_list_takes_two_numbers(fields: dict[str, object]) -> None:
    """The server answers 400 to what is no whole number from 1; it puts no bound on page_size."""
    with pytest.raises(vidpoll.InvalidField, match=next(iter(fields))):
        OPERATIONS["list"].request(fields, None)
    query = (("page_size", "5000"), ("page", "8"))
    assert OPERATIONS["list"].request({"page_size": 5000, "page": 7}, "8").query == query


def test_submits() -> None:
    """What the tables do not know is sent as it is; None is not, because `"video_transition_mode": null` stops a task
    of 1.2 for ever; and the server wants the name video_subject, even beside a script."""
    fields = {"video_script": "One line.", "rounded_subtitle_background": True, "video_transition_mode": None}
    sent = {"video_script": "One line.", "rounded_subtitle_background": True}
    for kind, path in (("video", "videos"), ("audio", "audio"), ("subtitle", "subtitle")):
        body = {"video_subject": "", **sent} if kind == "video" else sent
        assert OPERATIONS[f"submit {kind}"].request(fields) == Request("POST", f"/api/v1/{path}", json=body)


SCRIPT, SEA = "video_script", {"video_subject": "sea"}


@pytest.mark.parametrize(
    ("kind", "fields", "name"),
    [("video", fields, SCRIPT) for fields in ({}, {"video_subject": " "}, {"video_subject": "", SCRIPT: "\n"})]
    + [(kind, fields, SCRIPT) for kind in ("audio", "subtitle") for fields in (SEA, {SCRIPT: ""})]
    + [("video", {**SEA, name: value}, name) for name in sorted(plugin.TEXTS) for value in (1, ["a"], b"a")]
    + [("video", {**SEA, "video_count": value}, "video_count") for value in (0, -1, 1.0, "2", True)]
    + [("video", {**SEA, "video_terms": value}, "video_terms") for value in (b"x", {1}, float("nan"), [Path()])],
)
def test_what_cannot_be_sent(kind: str, fields: dict[str, object], name: str) -> None:
    """Something to speak of, texts that are texts, a whole number of videos, and what JSON can hold; each is named."""
    with pytest.raises(vidpoll.InvalidField, match=name):
        OPERATIONS[f"submit {kind}"].request(fields)


def test_endless_json() -> None:
    """A list that contains itself, or is too deep to write, is also refused."""
    endless: list[object] = []
    endless.append(endless)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(vidpoll.InvalidField, match="video_terms"):
            OPERATIONS["submit video"].request({"video_subject": "sea", "video_terms": value})


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\\b", "/", None, 7])
def test_names_of_files(name: Any) -> None:
    """1.2 serves any file of its machine to a name that climbs: no such name is sent."""
    for build in (plugin.download, plugin.stream):
        with pytest.raises(vidpoll.InvalidField, match=r"^name .*final-1\.mp4"):
            build(TASK, name)
        with pytest.raises(vidpoll.BadReference):
            build("..", "a.mp4")
    assert plugin.stream("a/b", "final 2.mp4") == Asset("./api/v1/stream/a%2Fb/final%202.mp4")
    assert plugin.stream(TASK) == Asset(f"./api/v1/stream/{TASK}/final-1.mp4")


FAULTS = "query.page: no; body.a.0: n"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"status": 404, "message": f"{REQUEST}: gone"}, Problem("gone", details={"request_id": REQUEST})),
        *(({"message": text}, Problem(text)) for text in ("task: not found", f"{REQUEST}:", f"{REQUEST[:-1]}: x")),
        *(({"data": rows, "message": "m"}, "m") for rows in (None, [], {}, "x", [7], [{"loc": 7, "msg": "x"}])),
        ({"data": [{"loc": ["query", "page"], "msg": "no"}, {"loc": ["body", "a", 0], "msg": "n"}]}, FAULTS),
    ],
)
def test_refusals(body: object, problem: Problem | str) -> None:
    """Only a request id is removed from the text; all faulty fields are named, and any body is tolerated."""
    said = PROVIDER.error(respond(body, 400))
    assert (said.message if isinstance(problem, str) else said) == problem


def test_plain_text() -> None:
    """An uncaught fault of the server (Redis is down, say) is plain text; a page is not passed off as the video."""
    plain = Response(500, {"content-type": "text/plain; charset=utf-8"}, b"Internal Server Error")
    assert PROVIDER.error(plain) == Problem("Internal Server Error")
    with pytest.raises(vidpoll.Malformed, match="HTTP 200 with a body that is not JSON"):
        OPERATIONS["content"].parse(Response(200, {"content-type": "text/html"}, b"<html>"), TASK)
    assert (PROVIDER.auth.required, PROVIDER.pacing) == (False, vidpoll.Pacing(floor=2.0))
