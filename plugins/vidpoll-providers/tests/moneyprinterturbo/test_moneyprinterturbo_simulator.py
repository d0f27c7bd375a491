"""MoneyPrinterTurbo's face answers as the servers 1.3.3 and 1.2.6 were seen to answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from plain_http import Answer, call
from vidpoll_providers.simulators.moneyprinterturbo import MoneyPrinterTurboFace

from vidpoll.testing.simulator import Simulator

NAME = "moneyprinterturbo"
REQUEST_ID = {"x-task-id": "5d4c2b1a-0000-4000-8000-000000000001"}
NULLS = dict.fromkeys(
    (
        "videos",
        "combined_videos",
        "failed_stage",
        "error",
        "cross_post_state",
        "cross_post_results",
        "cross_post_error",
    )
)


@dataclass
class Api:
    simulator: Simulator

    def __call__(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        return call(method, self.simulator.base_urls[NAME] + path, body, headers)

    def submit(self, kind: str = "videos", **fields: object) -> str:
        subject = "video_subject" if kind == "videos" else "video_script"
        return str(self("POST", f"/api/v1/{kind}", {subject: "s", **fields}).json["data"]["task_id"])

    def task(self, task_id: str) -> Any:
        return self("GET", f"/api/v1/tasks/{task_id}").json["data"]

    def watch(self, task_id: str, gap: float = 5.0) -> list[int]:
        """The distinct values of progress, in order, until the task ends."""
        seen: list[int] = []
        for _ in range(20):
            task = self.task(task_id)
            seen.append(task["progress"])
            if task["state"] != 4:
                break
            self.simulator.advance(gap)
        return list(dict.fromkeys(seen))


def served(face: MoneyPrinterTurboFace) -> Simulator:
    return Simulator({NAME: face}, seed=7)


@pytest.fixture
def api() -> Iterator[Api]:
    with served(MoneyPrinterTurboFace()) as simulator:
        yield Api(simulator)


@pytest.fixture
def old() -> Iterator[Api]:
    """Version 1.2."""
    with served(MoneyPrinterTurboFace(version="1.2")) as simulator:
        yield Api(simulator)


@pytest.mark.parametrize(
    ("kind", "count", "steps"),
    [
        ("videos", 1, [5, 10, 20, 40, 50, 75, 100]),
        ("videos", 2, [5, 10, 20, 40, 50, 62, 75, 87, 100]),
        ("audio", 1, [5, 10, 20, 100]),
        ("subtitle", 1, [5, 10, 20, 30, 100]),
    ],
)
def test_progress_moves_in_the_servers_steps(api: Api, kind: str, count: int, steps: list[int]) -> None:
    """Polled every 5 s each step is seen; a second video halves the steps of rendering."""
    assert api.watch(api.submit(kind, video_count=count)) == steps


def test_one_video_takes_about_40_seconds(api: Api) -> None:
    """A default task ends between 30 and 45 s."""
    task_id = api.submit()
    api.simulator.advance(30.0)
    assert api.task(task_id)["state"] == 4
    api.simulator.advance(15.0)
    assert api.task(task_id)["state"] == 1


def test_submit_answers_200_with_the_id_only(api: Api) -> None:
    """200 and not 202, whatever is made, and the server's headers."""
    answer = api("POST", "/api/v1/videos", {"video_subject": "s"})
    assert (answer.status, list(answer.json), list(answer.json["data"])) == (
        200,
        ["status", "message", "data"],
        ["task_id"],
    )
    assert (answer.headers["Server"], answer.headers["Vary"]) == ("uvicorn", "Origin")


def test_1_3_has_every_key_in_every_state(api: Api) -> None:
    """Unset keys are null while running; a completed task has relative URLs and server paths."""
    task_id = api.submit(video_count=2)
    assert api.task(task_id) == {"task_id": task_id, "state": 4, "progress": 5, **NULLS}
    api.simulator.advance(100.0)
    folder = f"/srv/mpt/storage/tasks/{task_id}"
    assert api.task(task_id) == {
        **NULLS,
        "task_id": task_id,
        "state": 1,
        "progress": 100,
        "videos": [f"/tasks/{task_id}/final-1.mp4", f"/tasks/{task_id}/final-2.mp4"],
        "combined_videos": [f"/tasks/{task_id}/combined-1.mp4", f"/tasks/{task_id}/combined-2.mp4"],
        "script": "One short line.",
        "terms": ["sea", "wind"],
        "audio_file": f"{folder}/audio.mp3",
        "audio_duration": 1,
        "subtitle_path": f"{folder}/subtitle.srt",
        "materials": ["/srv/mpt/storage/cache_videos/vid-1.mp4"],
        "warnings": None,
    }


def test_1_2_has_absolute_urls_and_no_key_before_its_time(old: Api) -> None:
    """Three keys while running; URLs on the host that the client named; no warnings, no cross_post keys."""
    task_id = old.submit()
    assert old.task(task_id) == {"task_id": task_id, "state": 4, "progress": 5}
    old.simulator.advance(60.0)
    task = old.task(task_id)
    assert task["videos"] == [f"{old.simulator.base_urls[NAME]}/tasks/{task_id}/final-1.mp4"]
    assert not {"warnings", "error", "failed_stage", "cross_post_state"} & set(task)
    assert call("GET", task["videos"][0]).body[4:8] == b"ftyp"


def test_1_3_says_why_a_task_failed(api: Api) -> None:
    """HTTP 200 and success around state -1; progress stays, stage and reason are told."""
    api.simulator.fail_next(NAME, message="TTS request timed out")
    task_id = api.submit()
    api.simulator.advance(60.0)
    answer = api("GET", f"/api/v1/tasks/{task_id}")
    assert (answer.status, answer.json["message"]) == (200, "success")
    data = answer.json["data"]
    assert (data["state"], data["error"], data["videos"]) == (-1, "TTS request timed out", None)
    assert (data["progress"], data["failed_stage"]) in [(20, "audio"), (40, "materials")]


def test_1_2_says_nothing_and_falls_to_0(old: Api) -> None:
    """A failed task is state -1 with progress 0 and no reason."""
    old.simulator.fail_next(NAME, message="nobody hears this")
    task_id = old.submit()
    old.simulator.advance(10.0)
    assert old.task(task_id)["progress"] == 10
    old.simulator.advance(60.0)
    assert old.task(task_id) == {"task_id": task_id, "state": -1, "progress": 0}


@pytest.mark.parametrize(("kind", "key"), [("audio", "audio_file"), ("subtitle", "subtitle_path")])
def test_audio_and_subtitle_tasks_succeed_without_a_video(api: Api, kind: str, key: str) -> None:
    """State 1 with videos null and one server path; the file behind it is served below /tasks."""
    task_id = api.submit(kind)
    api.simulator.advance(60.0)
    task = api.task(task_id)
    assert {name: value for name, value in task.items() if value is not None} == {
        "task_id": task_id,
        "state": 1,
        "progress": 100,
        key: task[key],
    }
    assert task[key].startswith(f"/srv/mpt/storage/tasks/{task_id}/")
    assert api("GET", task[key].removeprefix("/srv/mpt/storage")).status == 200


def test_1_2_audio_tasks_never_end(old: Api) -> None:
    """The old version's audio task stops at 5 for ever."""
    task_id = old.submit("audio")
    old.simulator.advance(1e6)
    assert old.task(task_id) == {"task_id": task_id, "state": 4, "progress": 5}


def test_a_waiting_task_is_processing_at_0() -> None:
    """A queued task looks like a running one, but for its progress."""
    with served(MoneyPrinterTurboFace(capacity=1)) as simulator:
        api = Api(simulator)
        api.submit()
        waiting = api.submit()
        assert (api.task(waiting)["state"], api.task(waiting)["progress"]) == (4, 0)


def test_a_full_queue_is_429_without_a_hint() -> None:
    """The refused task has no id, and no header says when to come back; version 1.2 has no such bound."""
    with served(MoneyPrinterTurboFace(capacity=1, max_queued=1)) as simulator:
        api = Api(simulator)
        for _ in range(2):
            api.submit()
        refused = api("POST", "/api/v1/videos", {"video_subject": "s"}, REQUEST_ID)
    assert refused.status == 429
    assert refused.json == {
        "status": 429,
        "message": f"{REQUEST_ID['x-task-id']}: task queue is full, please try again later",
    }
    assert "Retry-After" not in refused.headers
    with served(MoneyPrinterTurboFace(version="1.2", capacity=1, max_queued=1)) as simulator:
        assert len({Api(simulator).submit() for _ in range(5)}) == 5


def test_list_is_oldest_first_with_server_paths(api: Api) -> None:
    """Pages in order of submission, the exact total, and paths of the server's disk in place of URLs."""
    ids = [api.simulator.seed_job(NAME, "video", age=200.0 - number) for number in range(3)]
    data = api("GET", "/api/v1/tasks?page=1&page_size=2").json["data"]
    assert [row["task_id"] for row in data["tasks"]] == ids[:2]
    assert (data["total"], data["page"], data["page_size"]) == (3, 1, 2)
    assert data["tasks"][0]["videos"] == [f"/srv/mpt/storage/tasks/{ids[0]}/final-1.mp4"]
    assert [row["task_id"] for row in api("GET", "/api/v1/tasks?page=2&page_size=2").json["data"]["tasks"]] == ids[2:]
    assert api("GET", "/api/v1/tasks?page=99").json["data"]["tasks"] == []
    assert api("GET", "/api/v1/tasks").json["data"]["page_size"] == 10


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("page=0", "greater_than_equal"),
        ("page_size=-1", "greater_than_equal"),
        ("page=", "int_parsing"),
        ("page=abc", "int_parsing"),
        ("page_size=1.5", "int_parsing"),
    ],
)
def test_a_bad_page_is_400_in_the_validation_shape(api: Api, query: str, fault: str) -> None:
    """400 and not 422, `data` a list of faults, always the same message."""
    answer = api("GET", f"/api/v1/tasks?{query}")
    assert (answer.status, list(answer.json), answer.json["message"]) == (
        400,
        ["status", "data", "message"],
        "field required",
    )
    found = answer.json["data"][0]
    assert (found["type"], found["loc"]) == (fault, ["query", query.partition("=")[0]])


@pytest.mark.parametrize("query", ["page=1.0", "page=%201", "page=0&page=1", f"page_size={10**26}"])
def test_what_the_server_takes_for_a_page(api: Api, query: str) -> None:
    """Whole floats, blanks, repeated keys (the last wins) and huge sizes pass."""
    assert api("GET", f"/api/v1/tasks?{query}").status == 200


@pytest.mark.parametrize(
    ("kind", "body", "fault", "loc"),
    [
        ("videos", {}, "missing", ["body", "video_subject"]),
        ("audio", {}, "missing", ["body", "video_script"]),
        ("subtitle", {}, "missing", ["body", "video_script"]),
        ("videos", {"video_subject": 5}, "string_type", ["body", "video_subject"]),
        ("videos", {"video_subject": "s", "video_count": "2"}, "int_type", ["body", "video_count"]),
        ("videos", [], "model_attributes_type", ["body"]),
        ("videos", b"{", "json_invalid", ["body", 1]),
    ],
)
def test_submit_checks_its_fields(api: Api, kind: str, body: object, fault: str, loc: list[object]) -> None:
    """A missing or mistyped field is 400 in the validation shape, and no task."""
    answer = api("POST", f"/api/v1/{kind}", body, {"Content-Type": "application/json"})
    found = answer.json["data"][0]
    assert (answer.status, found["type"], found["loc"]) == (400, fault, loc)
    assert api.simulator.submissions(NAME) == 0


def test_a_form_is_a_500(api: Api) -> None:
    """A form-encoded body makes the server fall over, in plain text."""
    answer = api("POST", "/api/v1/videos", b"video_subject=s", {"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status, answer.body) == (500, b"Internal Server Error")


def test_the_two_404_envelopes(api: Api) -> None:
    """An unknown task has status and message and no data; an unknown route, file or HEAD has detail."""
    unknown = api("GET", "/api/v1/tasks/nope", headers=REQUEST_ID)
    assert (unknown.status, unknown.json) == (
        404,
        {"status": 404, "message": f"{REQUEST_ID['x-task-id']}: task not found"},
    )
    assert api("GET", "/api/v1/tasks/nope").json["message"].endswith(": task not found")
    for path in ("/nope", "/api/v1/tasks/nope/", "/api/v1/tasks/..%2f..%2fx", "/tasks/nope/final-1.mp4"):
        assert (api("GET", path).status, api("GET", path).json) == (404, {"detail": "Not Found"})
    assert api("HEAD", f"/api/v1/tasks/{api.submit()}").status == 404
    assert api("PUT", "/api/v1/tasks").json == {"detail": "Method Not Allowed"}


def test_1_3_deletes_finished_tasks_only(api: Api) -> None:
    """409 while running or queued; then 200 with null, the record and the files gone, then 404."""
    task_id = api.submit()
    busy = api("DELETE", f"/api/v1/tasks/{task_id}")
    assert (busy.status, busy.json["message"].partition(": ")[2]) == (409, "task is still running")
    api.simulator.advance(60.0)
    video = f"/tasks/{task_id}/final-1.mp4"
    assert api("GET", video).status == 200
    assert api("DELETE", f"/api/v1/tasks/{task_id}").json == {"status": 200, "message": "success", "data": None}
    assert [api("GET", video).status, api("DELETE", f"/api/v1/tasks/{task_id}").status] == [404, 404]


def test_1_2_deletes_at_once_and_a_queued_task_comes_back() -> None:
    """A running task is gone for good; a queued one is gone until its turn comes."""
    with served(MoneyPrinterTurboFace(version="1.2", capacity=1)) as simulator:
        api = Api(simulator)
        running, queued = api.submit(), api.submit()
        assert api("DELETE", f"/api/v1/tasks/{queued}").status == 200
        assert api("GET", f"/api/v1/tasks/{queued}").status == 404
        assert api("GET", "/api/v1/tasks").json["data"]["total"] == 1
        assert api("DELETE", f"/api/v1/tasks/{running}").status == 200
        assert api("GET", f"/api/v1/tasks/{running}").status == 404
        simulator.advance(1.0)
        assert api.task(queued)["state"] == 4


def test_files_are_readable_before_they_are_whole(api: Api) -> None:
    """A combined file is empty and a final one a stub while it is written; `videos` stays null until all is done."""
    task_id = api.submit()
    sizes: dict[str, list[int]] = {"combined-1.mp4": [], "final-1.mp4": []}
    while api.task(task_id)["state"] == 4:
        assert api.task(task_id)["videos"] is None
        for name, seen in sizes.items():
            answer = api("GET", f"/tasks/{task_id}/{name}")
            seen.append(len(answer.body) if answer.status == 200 else -1)
        api.simulator.advance(1.0)
    whole = len(api("GET", f"/tasks/{task_id}/final-1.mp4").body)
    assert list(dict.fromkeys(sizes["final-1.mp4"])) == [-1, 48]
    assert list(dict.fromkeys(sizes["combined-1.mp4"]))[:2] == [-1, 0]
    assert sizes["combined-1.mp4"][-1] > 48
    assert whole > 5000


def test_a_failed_task_leaves_no_whole_video(api: Api) -> None:
    """What was not written when the task failed never appears."""
    task_id = api.simulator.seed_job(NAME, "video", age=100.0, failure="boom")
    assert api("GET", f"/tasks/{task_id}/final-1.mp4").status == 404


def test_static_files_take_ranges_and_head(api: Api) -> None:
    """Static files have ETag, Range and HEAD."""
    path = f"/tasks/{api.simulator.seed_job(NAME, 'video', age=100.0)}/final-1.mp4"
    whole, head = api("GET", path), api("HEAD", path)
    assert (head.headers["Content-Length"], head.headers["ETag"]) == (str(len(whole.body)), whole.headers["ETag"])
    part = api("GET", path, headers={"Range": "bytes=4-7", "If-Range": whole.headers["ETag"]})
    assert (part.status, part.body) == (206, b"ftyp")


def test_stream_is_always_206(api: Api) -> None:
    """206 with Content-Range even without Range; an end beyond the file is cut; HEAD is 404."""
    path = f"/api/v1/stream/{api.simulator.seed_job(NAME, 'video', age=100.0)}/final-1.mp4"
    whole = api("GET", path)
    size = len(whole.body)
    assert (whole.status, whole.headers["Content-Range"]) == (206, f"bytes 0-{size - 1}/{size}")
    tail = api("GET", path, headers={"Range": f"bytes={size - 4}-{size + 100}"})
    assert (tail.status, tail.body) == (206, whole.body[-4:])
    assert api("HEAD", path).status == 404
    assert "ETag" not in whole.headers


@pytest.mark.parametrize("wanted", ["bytes=abc", "bytes=-", "bytes=0-1,3-4", "bytes=9-5", "bytes=999999-"])
def test_stream_refuses_a_bad_range(api: Api, old: Api, wanted: str) -> None:
    """416 in JSON without Content-Range; the old version falls over."""
    for each, status in ((api, 416), (old, 500)):
        path = f"/api/v1/stream/{each.simulator.seed_job(NAME, 'video', age=100.0)}/final-1.mp4"
        answer = each("GET", path, headers={"Range": wanted})
        assert answer.status == status
        assert "Content-Range" not in answer.headers


def test_download_is_an_attachment(api: Api) -> None:
    """200 with a file name, an ETag and ranges; `bytes=abc` is 400 in text, beyond the end is 416."""
    path = f"/api/v1/download/{api.simulator.seed_job(NAME, 'video', age=100.0)}/final-1.mp4"
    whole = api("GET", path)
    assert (whole.status, whole.headers["Content-Disposition"]) == (200, 'attachment; filename="final-1.mp4"')
    assert "ETag" in whole.headers
    ranges = [api("GET", path, headers={"Range": each}).status for each in ("bytes=0-3", "bytes=abc", "bytes=999999-")]
    assert ranges == [206, 400, 416]
    assert api("HEAD", path).status == 404


@pytest.mark.parametrize("door", ["stream", "download"])
def test_paths_stay_inside_and_missing_files_are_told(api: Api, old: Api, door: str) -> None:
    """Leaving the folder is 403; a missing file is 404, and 500 in version 1.2."""
    for path in ("..%2f..%2fconfig.toml", "../x", "/etc/passwd", "a/../../x"):
        answer = api("GET", f"/api/v1/{door}/{path}", headers=REQUEST_ID)
        assert (answer.status, answer.json["message"]) == (403, f"{REQUEST_ID['x-task-id']}: invalid file path")
    assert [each("GET", f"/api/v1/{door}/nope/final-1.mp4").status for each in (api, old)] == [404, 500]


def test_there_is_no_key(api: Api) -> None:
    """The server asks for none and ignores what comes."""
    assert api.simulator.keys == {NAME: None}
    assert api("GET", "/api/v1/tasks", headers={"Authorization": "Bearer x", "x-api-key": "y"}).status == 200


def test_an_unknown_version_is_refused() -> None:
    """Only the two versions that were looked at are played."""
    with pytest.raises(ValueError, match=r"version must be '1\.2' or '1\.3'"):
        MoneyPrinterTurboFace(version="2.0")  # type: ignore[arg-type]
