"""What the MoneyPrinterTurbo plugin makes of every sample and every recorded conversation; equalities on data.

Samples are bodies with invented values, `samples/index.json` tells their request, status and origin; `recorded/` holds
what servers of versions 1.2.6 and 1.3.3 really sent. Nothing here uses the network, the clock or the simulator.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import vidpoll_moneyprinterturbo as plugin
from hypothesis import given, settings
from hypothesis import strategies as st

import vidpoll

SAMPLES = Path(__file__).parent / "samples"
RECORDED = Path(__file__).parent / "recorded"
INDEX = {sample["file"]: sample for sample in json.loads((SAMPLES / "index.json").read_text())["samples"]}
(PROVIDER,) = plugin.vidpoll_providers()

TASK = "0b9d6a52-2f0e-4c3b-8f3e-6f1f2a9b7c10"
REQUEST = "5d4c2b1a-0000-4000-8000-000000000001"
QUEUED, RUNNING, COMPLETED, FAILED = (
    vidpoll.State.QUEUED,
    vidpoll.State.RUNNING,
    vidpoll.State.COMPLETED,
    vidpoll.State.FAILED,
)


def respond(body: object, status: int = 200) -> vidpoll.Response:
    return vidpoll.Response(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def task(**data: object) -> vidpoll.Response:
    return respond({"status": 200, "message": "success", "data": {"task_id": TASK, **data}})


def sample(file: str) -> vidpoll.Response:
    about = INDEX[file]
    return vidpoll.Response(about["status"], about["headers"], (SAMPLES / file).read_bytes())


def read(request: str, response: vidpoll.Response, job_id: str) -> Any:
    """What the core would do: a refusal goes to `error`, all else to the parser of the operation that was sent."""
    if response.status != 200:
        return PROVIDER.error(response)
    method, path = request.split(" ")[:2]
    if method == "POST":
        operation: vidpoll.Operation[Any] | None = PROVIDER.submit["video"]
    elif method == "DELETE":
        operation = PROVIDER.delete
    else:
        operation = PROVIDER.status if path.startswith("/api/v1/tasks/") else PROVIDER.list
    assert operation is not None
    return operation.parse(response, job_id)


def running(progress: float, job_id: str = TASK) -> vidpoll.Snapshot:
    return vidpoll.Snapshot(RUNNING, stage="processing", progress=progress, job_id=job_id)


def completed(*assets: vidpoll.Asset, job_id: str | None = TASK, assets_due: bool = True) -> vidpoll.Snapshot:
    return vidpoll.Snapshot(
        COMPLETED, stage="complete", progress=100, assets=assets, job_id=job_id, assets_due=assets_due
    )


def failed(progress: float, problem: vidpoll.Problem, job_id: str = TASK) -> vidpoll.Snapshot:
    return vidpoll.Snapshot(FAILED, stage="failed", progress=progress, problem=problem, job_id=job_id)


def files(*names: str, root: str = "") -> tuple[vidpoll.Asset, ...]:
    kinds = {"final": "video", "combi": "combined"}
    return tuple(vidpoll.Asset(f"{root}/tasks/{TASK}/{name}", kinds[name[:5]]) for name in names)


def refusal(message: str, **details: object) -> vidpoll.Problem:
    return vidpoll.Problem(message, details={**details, "request_id": REQUEST})


AUDIO = vidpoll.Asset(f"./api/v1/download/{TASK}/audio.mp3", "audio")
SUBTITLE = vidpoll.Asset(f"./api/v1/download/{TASK}/subtitle.srt", "subtitle")
PAIRS = ("final-1.mp4", "final-2.mp4", "combined-1.mp4", "combined-2.mp4")
NO_REASON = vidpoll.Problem("MoneyPrinterTurbo gives no reason (1.2 and older never do): look in the log of the server")

EXPECTED: dict[str, object] = {
    "submit-200.json": vidpoll.Submitted(TASK),
    "v1.3-processing-0.json": running(0),
    "v1.3-processing-50.json": running(50),
    "next-queued.json": vidpoll.Snapshot(QUEUED, stage="queued", progress=0, job_id=TASK),
    "v1.3-complete-relative-url.json": completed(*files(*PAIRS), AUDIO, SUBTITLE),
    "v1.3-complete-endpoint-url.json": completed(
        *files("final-1.mp4", "combined-1.mp4", root="https://mpt.example.test"), AUDIO, SUBTITLE
    ),
    "v1.3-complete-warnings.json": completed(*files(*PAIRS), AUDIO, SUBTITLE),
    "v1.3-complete-cross-post-pending.json": completed(*files(*PAIRS), AUDIO, SUBTITLE),
    "v1.3-complete-audio-only.json": completed(AUDIO, assets_due=False),
    "v1.3-complete-subtitle-only.json": completed(SUBTITLE, assets_due=False),
    "v1.3-failed.json": failed(30, vidpoll.Problem("TTS request timed out", "audio")),
    "v1.2-processing.json": running(20),
    "v1.2-failed-no-reason.json": failed(0, NO_REASON),
    "docs-complete-no-task_id.json": completed(
        *files("final-1.mp4", "combined-1.mp4", root="http://localhost:8080"), job_id=None
    ),
    "list-page-1.json": vidpoll.Page((completed(), running(40, "7e1f0000-1111-4222-8333-444455556666")), "2"),
    "list-empty.json": vidpoll.Page(()),
    "delete-200.json": None,
    "error-404.json": refusal("task not found"),
    "error-409-busy.json": refusal("task is still running"),
    "error-429-queue-full.json": refusal("task queue is full, please try again later"),
    "error-400-validation.json": vidpoll.Problem(
        "body.video_subject: Field required",
        details={
            "details": [{"type": "missing", "loc": ["body", "video_subject"], "msg": "Field required", "input": {}}]
        },
    ),
    "error-403-path.json": refusal("invalid file path"),
    "error-416-range.json": refusal("requested range is not satisfiable"),
    "error-401-token.json": vidpoll.Problem("invalid token: http://localhost:8080/api/v1/tasks, python-requests/2.32"),
    "next-error-409-idempotency.json": vidpoll.Problem(
        "idempotency_conflict: same idempotency_key submitted with different parameters", details={"request_id": TASK}
    ),
    "error-404-route.json": vidpoll.Problem("Not Found", details={"details": "Not Found"}),
}


class TestSamples:
    def test_each_sample_has_an_index_entry_and_an_expected_value(self) -> None:
        """No body lies about that nothing reads."""
        assert {path.name for path in SAMPLES.iterdir()} - {"index.json"} == set(INDEX) == set(EXPECTED)

    def test_each_sample_tells_where_it_comes_from(self) -> None:
        """A guess is never taken for a fact."""
        assert {about["origin"] for about in INDEX.values()} <= {"documented", "recorded", "inferred"}
        assert all(about["note"] and about["version"] for about in INDEX.values())

    @pytest.mark.parametrize("file", EXPECTED)
    def test_sample(self, file: str) -> None:
        """Every documented body is read as exactly this value."""
        assert read(INDEX[file]["request"], sample(file), TASK) == EXPECTED[file]

    @pytest.mark.parametrize("file", [file for file in INDEX if file.startswith(("v1", "next-q", "docs"))])
    def test_raw_keeps_every_field(self, file: str) -> None:
        """What vidpoll has no name for (script, warnings, cross_post_state …) is not lost."""
        response = sample(file)
        assert plugin.parse_status(response, TASK).raw == response.json()["data"]

    def test_rows_keep_their_fields(self) -> None:
        """A row of the list is raw too, server paths and all."""
        response = sample("list-page-1.json")
        assert [item.raw for item in plugin.parse_list(response, "").items] == response.json()["data"]["tasks"]


def conversation(file: str) -> tuple[dict[str, Any], list[Any]]:
    """The body that began a recorded conversation, and what the plugin makes of each of its answers."""
    exchanges = json.loads((RECORDED / file).read_text())["exchanges"]
    job_id, answers = "", []
    for exchange in exchanges:
        request, response = exchange["request"], exchange["response"]
        if job_id:
            assert plugin.status_request(job_id) == vidpoll.Request(request["method"], request["path"])
        answer = vidpoll.Response(response["status"], response["headers"], response["body"].encode())
        answers.append(read(f"{request['method']} {request['path']}", answer, job_id))
        job_id = job_id or answers[0].job_id
    return json.loads(exchanges[0]["request"]["body"]), answers


class TestRecorded:
    def test_every_recording_is_replayed(self) -> None:
        """No recorded exchange lies about that nothing reads."""
        assert {path.name for path in RECORDED.iterdir()} == {
            "1.2.6-06-video-success.json",
            "1.2.6-10-fail-script.json",
            "1.3.3-02-audio-only.json",
            "1.3.3-04-video-success.json",
            "1.3.3-13-fail-material-missing.json",
            "1.3.3-31-queue-timeline.json",
        }

    def test_video_of_1_2(self) -> None:
        """1.2: whole URLs made from the Host header; an audio file from outside the task's folder is not an asset."""
        sent, answers = conversation("1.2.6-06-video-success.json")
        job_id = "514861f3-3667-4844-81b2-c7ea27e13354"
        folder = f"http://127.0.0.1:18081/tasks/{job_id}"
        assert PROVIDER.submit["video"].request(sent) == vidpoll.Request("POST", "/api/v1/videos", json=sent)
        assert answers == [
            vidpoll.Submitted(job_id),
            *(running(progress, job_id) for progress in (20, 40, 50, 75)),
            completed(
                vidpoll.Asset(f"{folder}/final-1.mp4"),
                vidpoll.Asset(f"{folder}/combined-1.mp4", "combined"),
                job_id=job_id,
            ),
        ]

    def test_failure_of_1_2(self) -> None:
        """1.2: a failure without a reason is a failure, and says where to look."""
        sent, answers = conversation("1.2.6-10-fail-script.json")
        job_id = "31258feb-a078-4f48-b3e9-b9bda7b9051b"
        assert sent == {"video_subject": "spring"}
        assert answers == [vidpoll.Submitted(job_id), failed(0, NO_REASON, job_id)]

    def test_audio_of_1_3(self) -> None:
        """An audio task is completed without a video, and its file can be fetched."""
        sent, answers = conversation("1.3.3-02-audio-only.json")
        job_id = "fead8ebb-1624-45f9-8f23-75e94036d230"
        assert PROVIDER.submit["audio"].request(sent) == vidpoll.Request("POST", "/api/v1/audio", json=sent)
        assert answers == [
            vidpoll.Submitted(job_id),
            running(10, job_id),
            running(20, job_id),
            completed(vidpoll.Asset(f"./api/v1/download/{job_id}/audio.mp3", "audio"), job_id=job_id, assets_due=False),
        ]

    def test_video_of_1_3(self) -> None:
        """1.3: paths below the server's root, kept relative; the audio file of the task's folder is an asset."""
        sent, answers = conversation("1.3.3-04-video-success.json")
        job_id = "2d55602f-cfad-47d5-97ca-be44acacbb67"
        assert PROVIDER.submit["video"].request(sent) == vidpoll.Request("POST", "/api/v1/videos", json=sent)
        assert answers == [
            vidpoll.Submitted(job_id),
            *(running(progress, job_id) for progress in (20, 40, 50, 75)),
            completed(
                vidpoll.Asset(f"/tasks/{job_id}/final-1.mp4"),
                vidpoll.Asset(f"/tasks/{job_id}/combined-1.mp4", "combined"),
                vidpoll.Asset(f"./api/v1/download/{job_id}/audio.mp3", "audio"),
                job_id=job_id,
            ),
        ]

    def test_failure_of_1_3(self) -> None:
        """1.3: a failed task answers 200 "success"; its stage, reason and progress are kept."""
        _, answers = conversation("1.3.3-13-fail-material-missing.json")
        job_id = "77a47edf-7936-4fcf-8843-bf765244e1eb"
        problem = vidpoll.Problem("no valid local video materials were found", "materials")
        assert answers == [vidpoll.Submitted(job_id), running(20, job_id), failed(40, problem, job_id)]

    def test_queue_timeline(self) -> None:
        """A task is done when its state says so, not when its files can be read; a waiting one runs at 0 %."""
        timeline = json.loads((RECORDED / "1.3.3-31-queue-timeline.json").read_text())["timeline"]
        first_id, second_id = "2c3c5e3c-8525-4480-9390-7c819697b279", "11111111-2222-4333-8444-555555555555"

        def replay(key: str, job_id: str) -> list[vidpoll.Snapshot]:
            bodies = [{"data": {"task_id": job_id, **step[key]}} for step in timeline]
            return [plugin.parse_status(respond(body), job_id) for body in bodies]

        videos = [vidpoll.Asset(f"/tasks/{first_id}/final-{number}.mp4") for number in (1, 2)]
        assert replay("first_task", first_id) == [
            *(running(progress, first_id) for progress in (20, 40, 50, 50, 62, 62, 75, 75, 87, 87)),
            *[completed(*videos, job_id=first_id)] * 4,
        ]
        readable = [step["static_files"]["final-1.mp4"]["status"] == 200 for step in timeline]
        assert readable.index(True) < 10  # long before the answer that names it

        assert replay("queued_task", second_id) == [
            *[running(0, second_id)] * 10,
            *(running(progress, second_id) for progress in (40, 50, 75)),
            completed(job_id=second_id),  # the recording left the videos out: they are due, and asked for again
        ]


class TestState:
    @pytest.mark.parametrize(
        ("number", "state", "stage"),
        [(0, QUEUED, "queued"), (4, RUNNING, "processing"), (1, COMPLETED, "complete"), (-1, FAILED, "failed")],
    )
    @pytest.mark.parametrize("written", [int, float, str])
    def test_numbers(self, written: type, number: int, state: vidpoll.State, stage: str) -> None:
        """Four numbers are known, as text too, and each shows as the word of the server's own constant."""
        snapshot = plugin.parse_status(task(state=written(number)), TASK)
        assert (snapshot.state, snapshot.stage) == (state, stage)

    def test_stages_are_declared(self) -> None:
        """The provider lists the words that its parser can give."""
        assert [(stage.word, stage.state) for stage in PROVIDER.stages] == [
            ("queued", QUEUED),
            ("processing", RUNNING),
            ("complete", COMPLETED),
            ("failed", FAILED),
        ]

    @pytest.mark.parametrize("number", [2, 3, 5, -2, 100, "5", "complete"])
    def test_unknown(self, number: object) -> None:
        """A state that is not listed is never guessed at: it raises, quoting the word."""
        with pytest.raises(vidpoll.UnknownStatus, match="unknown status") as caught:
            plugin.parse_status(task(state=number, progress=100), TASK)
        assert caught.value.word == str(number)

    @pytest.mark.parametrize("word", [True, False, None, 1.5, [1], {"state": 1}])
    def test_no_number(self, word: object) -> None:
        """`true` is not 1, though Python thinks so; nor is anything else that is no whole number."""
        with pytest.raises(vidpoll.Malformed):
            plugin.parse_status(task(state=word), TASK)

    @pytest.mark.parametrize("envelope", [{"status": -1, "message": "failed"}, {"status": 4}, {"state": -1}])
    def test_envelope(self, envelope: dict[str, object]) -> None:
        """The envelope speaks of the request, not of the task."""
        response = respond({**envelope, "data": {"task_id": TASK, "state": 1, "videos": [f"/tasks/{TASK}/a.mp4"]}})
        assert plugin.parse_status(response, TASK).state is COMPLETED

    @pytest.mark.parametrize("body", [{}, [], None, "success", {"data": None}, {"data": []}, {"status": 200}])
    def test_without_data(self, body: object) -> None:
        """A 200 without the task's record says nothing about the task."""
        with pytest.raises(vidpoll.Malformed):
            plugin.parse_status(respond(body), TASK)

    @pytest.mark.parametrize(("number", "state"), [(4, RUNNING), (0, QUEUED), (-1, FAILED)])
    @pytest.mark.parametrize("progress", [0, 100, 1000, -5, "100%", True, None, 10**400])
    def test_progress_decides_nothing(self, number: int, state: vidpoll.State, progress: object) -> None:
        """100 % is not done, and 0 % is not waiting."""
        assert plugin.parse_status(task(state=number, progress=progress), TASK).state is state

    def test_answer_names_its_task(self) -> None:
        """The id of the answer is told as it came, so that an answer about another task can be refused."""
        body = {"data": {"task_id": "another", "state": 1}}
        assert plugin.parse_status(respond(body), TASK).job_id == "another"


class TestProblem:
    def test_configuration_in_the_error(self) -> None:
        """1.3.3 without a key for the source of clips sends its whole configuration: cut, one line, without keys."""
        config = {
            "openai_api_key": "s3cr3t-openai",
            "ernie_secret_key": "s3cr3t-ernie",
            "pexels_api_keys": ["s3cr3t-p1", "s3cr3t-p2"],
            "redis_password": "s3cr3t-redis",
            **{f"setting_{number}": "x" * 40 for number in range(60)},
        }
        error = f"\n\n##### pexels_api_keys is not set #####\n\nPlease set it:\n\n{json.dumps(config, indent=4)}"
        problem = plugin.parse_status(task(state=-1, progress=40, failed_stage="materials", error=error), TASK).problem
        assert problem is not None
        assert len(error) > 3000
        assert problem.code == "materials"
        assert problem.message.startswith("##### pexels_api_keys is not set ##### Please set it:")
        assert "s3cr3t" not in str(problem) + repr(problem)
        assert "\n" not in problem.message
        assert len(problem.message) <= 500

    @pytest.mark.parametrize("error", [None, "", [], {}, True, ["a"], {"a": 1}, 1.5])
    def test_no_reason(self, error: object) -> None:
        """A failure without a text says so, and names the log; its stage is kept."""
        snapshot = plugin.parse_status(task(state=-1, failed_stage="audio", error=error), TASK)
        assert snapshot.problem == vidpoll.Problem(NO_REASON.message, "audio")

    def test_only_failures_have_one(self) -> None:
        """An error text beside another state is no verdict."""
        assert plugin.parse_status(task(state=4, error="a warning", failed_stage="audio"), TASK).problem is None


class TestAssets:
    @pytest.mark.parametrize(
        "path",
        [
            f"/srv/mpt/storage/tasks/{TASK}/final-1.mp4",
            f"C:\\mpt\\storage\\tasks\\{TASK}\\final-1.mp4",
            f"tasks/{TASK}/final-1.mp4",
            f"//evil.example/tasks/{TASK}/final-1.mp4",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "",
            None,
            7,
            True,
            ["/tasks/a/final-1.mp4"],
            "/tasks/a\nb",
            "/tasks/\ud800.mp4",
        ],
    )
    def test_what_is_no_url(self, path: object) -> None:
        """A server path is never taken for a URL; what was promised and is not there stays due."""
        snapshot = plugin.parse_status(task(state=1, videos=[path], combined_videos=[path]), TASK)
        assert snapshot == vidpoll.Snapshot(COMPLETED, stage="complete", job_id=TASK)

    def test_good_ones_are_kept(self) -> None:
        """One strange entry does not cost the others."""
        snapshot = plugin.parse_status(task(state=1, videos=[None, "/tasks/a/final-1.mp4", "/srv/b.mp4"]), TASK)
        assert snapshot.assets == (vidpoll.Asset("/tasks/a/final-1.mp4"),)

    @pytest.mark.parametrize("number", [4, 0, -1])
    def test_none_before_the_end(self, number: int) -> None:
        """Files of a task that is not completed are not whole, whatever the answer names."""
        data = {"videos": [f"/tasks/{TASK}/final-1.mp4"], "audio_file": f"/srv/tasks/{TASK}/audio.mp3"}
        assert plugin.parse_status(task(state=number, **data), TASK).assets == ()

    @pytest.mark.parametrize(
        ("name", "encoded"),
        [("audio.mp3", "audio.mp3"), ("my voice #1?.mp3", "my%20voice%20%231%3F.mp3"), ("音.srt", "%E9%9F%B3.srt")],
    )
    @pytest.mark.parametrize("folder", ["/srv/mpt/storage/tasks/", "C:\\mpt\\storage\\tasks\\", ""])
    def test_own_files(self, folder: str, name: str, encoded: str) -> None:
        """A file in the task's own folder is fetched by its name, percent-encoded."""
        separator = "\\" if "\\" in folder else "/"
        snapshot = plugin.parse_status(task(state=1, audio_file=f"{folder}{TASK}{separator}{name}"), TASK)
        assert snapshot.assets == (vidpoll.Asset(f"./api/v1/download/{TASK}/{encoded}", "audio"),)

    @pytest.mark.parametrize(
        "path",
        [
            "/srv/material/cust.mp3",
            "cust.mp3",
            "/cust.mp3",
            f"/srv/tasks/{TASK}/",
            f"/srv/tasks/{TASK}/.",
            f"/srv/tasks/{TASK}/..",
            f"/srv/tasks/{TASK}/../../config.toml",
            f"/srv/tasks/{TASK}/..\\config.toml",
            f"/srv/tasks/{TASK}/sub/audio.mp3",
            f"/srv/tasks/{TASK}x/audio.mp3",
            f"/srv/tasks/{TASK}/\ud800.mp3",
        ],
    )
    def test_files_elsewhere(self, path: str) -> None:
        """A server path outside the task's folder (custom_audio_file) is no URL; the task is still done."""
        snapshot = plugin.parse_status(task(state=1, audio_file=path), TASK)
        assert (snapshot.assets, snapshot.assets_due) == ((), False)

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
    def test_due(self, data: dict[str, object], due: bool) -> None:
        """No video is due where speech came and no video did; with neither, the answer is asked for again."""
        assert plugin.parse_status(task(state=1, **data), TASK).assets_due is due

    def test_no_duration(self) -> None:
        """The length of the speech is not passed off as that of the video."""
        snapshot = plugin.parse_status(task(state=1, videos=["/tasks/a/b.mp4"], audio_duration=3), TASK)
        assert snapshot.duration is None
        assert snapshot.raw["audio_duration"] == 3


class TestList:
    @staticmethod
    def page(rows: object, **data: object) -> vidpoll.Page:
        return plugin.parse_list(respond({"data": {"tasks": rows, **data}}), "")

    ROW = {"task_id": TASK, "state": 4, "progress": 5}  # noqa: RUF012  # nobody changes it

    @pytest.mark.parametrize(
        ("fields", "next", "query"),
        [
            ({}, None, (("page", "1"), ("page_size", "100"))),
            ({"page_size": 2}, "3", (("page", "3"), ("page_size", "2"))),
            ({"page": 7, "page_size": None}, None, (("page", "7"), ("page_size", "100"))),
            ({"page": 7}, "8", (("page", "8"), ("page_size", "100"))),
        ],
    )
    def test_request(self, fields: dict[str, object], next: str | None, query: tuple[tuple[str, str], ...]) -> None:
        """A page is a number from 1; the token of the next page goes before the page to begin with."""
        assert plugin.list_request(fields, next) == vidpoll.Request("GET", "/api/v1/tasks", query)

    @pytest.mark.parametrize("name", ["page", "page_size"])
    @pytest.mark.parametrize("value", [0, -1, 1.5, "2", True, []])
    def test_bounds(self, name: str, value: object) -> None:
        """The server answers 400 to what is no whole number from 1; it is refused before anything is sent."""
        with pytest.raises(vidpoll.InvalidField, match=f"^{name} is .*: give a whole number from 1$"):
            plugin.list_request({name: value}, None)

    def test_unknown_field(self) -> None:
        """The list takes two fields, and an error names them."""
        with pytest.raises(vidpoll.InvalidField, match=r"status is no field .* give page or page_size"):
            plugin.list_request({"status": 4}, None)

    @pytest.mark.parametrize(
        ("total", "page", "size", "next"),
        [
            (3, 1, 2, "2"),
            (3, 2, 2, None),
            (4, 2, 2, None),
            (100, 1, 100, None),
            (101, 1, 100, "2"),
            (None, 4, 2, "5"),
            ("many", 4, 2, "5"),
            (3, 1, None, "2"),
            (3, None, 2, None),
            (3, 0, 2, None),
            (3, -1, 2, None),
            (True, 1, 2, "2"),
            (1, 10**400, 2, None),
            (1, 1e308, 1e308, None),
        ],
    )
    def test_next(self, total: object, page: object, size: object, next: str | None) -> None:
        """The total ends the list; without one the pages go on."""
        assert self.page([self.ROW], total=total, page=page, page_size=size).next == next

    @pytest.mark.parametrize(
        ("total", "page", "size", "further"),
        [
            (3, 1, 2, ()),
            (5, 1, 2, ("3",)),
            (1000, 1, 100, tuple(map(str, range(3, 11)))),
            (1000, 9, 100, ()),
            (None, 1, 100, ()),
            (1000, 1, None, ()),
            (1e308, 1, 1, tuple(map(str, range(3, 102)))),
            (1e308, 1e307, 1, ()),
            (9, 1, 0.5, ()),
        ],
    )
    def test_further_pages(self, total: object, page: object, size: object, further: tuple[str, ...]) -> None:
        """With a total and a size the pages after the next one are known, a hundred at most."""
        assert self.page([self.ROW], total=total, page=page, page_size=size).further == further

    @pytest.mark.parametrize("total", [0, 3, 999, None])
    def test_an_empty_page_ends_it(self, total: object) -> None:
        """Pages beyond the end are empty and 200: nothing is asked after one, whatever the total says."""
        assert self.page([], total=total, page=5, page_size=2) == vidpoll.Page(())

    def test_unreadable_rows(self) -> None:
        """A row that cannot be read, or names no task, does not hide the others."""
        rows: list[object] = [None, 7, [], {}, {"state": 4}, {"task_id": "x"}, {"task_id": "x", "state": 9}, self.ROW]
        assert self.page(rows).items == (running(5),)

    def test_failed_row(self) -> None:
        """A failed row says why."""
        row = {"task_id": TASK, "state": -1, "progress": 20, "failed_stage": "audio", "error": "no voice"}
        assert self.page([row]).items == (failed(20, vidpoll.Problem("no voice", "audio")),)

    def test_rows_have_no_assets(self) -> None:
        """A row names server paths, in some setups of a form that looks like a URL: its files come from the status."""
        row = {"task_id": TASK, "state": 1, "videos": [f"/tasks/{TASK}/final-1.mp4"], "audio_file": f"/x/{TASK}/a.mp3"}
        assert self.page([row]).items[0].assets == ()

    @pytest.mark.parametrize("body", [{"data": {}}, {"data": {"tasks": None}}, {"data": {"tasks": {}}}, {"data": []}])
    def test_no_list(self, body: object) -> None:
        """A body without rows is no empty list."""
        with pytest.raises(vidpoll.Malformed):
            plugin.parse_list(respond(body), "")


class TestSubmit:
    @pytest.mark.parametrize(("kind", "path"), [("video", "videos"), ("audio", "audio"), ("subtitle", "subtitle")])
    def test_paths(self, kind: str, path: str) -> None:
        """Three kinds, three endpoints; what the plugin does not know is sent as it is."""
        fields = {"video_subject": "", "video_script": "One line.", "rounded_subtitle_background": True, "n_threads": 2}
        assert PROVIDER.submit[kind].request(fields) == vidpoll.Request("POST", f"/api/v1/{path}", json=fields)

    def test_none_is_left_out(self) -> None:
        """`"video_transition_mode": null` stops a task of 1.2 for ever."""
        request = plugin.submit_request("video", {"video_subject": "sea", "video_transition_mode": None})
        assert request.json == {"video_subject": "sea"}

    def test_script_alone(self) -> None:
        """The server wants the name video_subject, and is content with an empty one beside a script."""
        request = plugin.submit_request("video", {"video_script": "One line."})
        assert request.json == {"video_script": "One line.", "video_subject": ""}

    @pytest.mark.parametrize("fields", [{}, {"video_subject": " "}, {"video_subject": "", "video_script": "\n"}])
    def test_video_needs_text(self, fields: dict[str, object]) -> None:
        """Neither subject nor script: nothing to make a video of, and nothing is sent."""
        with pytest.raises(vidpoll.InvalidField, match="video_script or video_subject is missing: give some text"):
            plugin.submit_request("video", fields)

    @pytest.mark.parametrize("kind", ["audio", "subtitle"])
    @pytest.mark.parametrize("fields", [{}, {"video_subject": "sea"}, {"video_script": ""}])
    def test_speech_needs_a_script(self, kind: str, fields: dict[str, object]) -> None:
        """Audio and subtitle tasks write no script of their own."""
        with pytest.raises(vidpoll.InvalidField, match=r"^video_script is missing"):
            plugin.submit_request(kind, fields)

    @pytest.mark.parametrize("name", sorted(plugin.TEXT_FIELDS))
    @pytest.mark.parametrize("value", [1, True, ["a"], {"a": "b"}, b"a"])
    def test_text(self, name: str, value: object) -> None:
        """What every version takes as text is text; the error names the field."""
        with pytest.raises(vidpoll.InvalidField, match=f"^{name} is {type(value).__name__}: give text$"):
            plugin.submit_request("video", {"video_subject": "sea", name: value})

    @pytest.mark.parametrize("value", [0, -1, 1.0, "2", True])
    def test_video_count(self, value: object) -> None:
        """At least one video, and a whole number of them."""
        with pytest.raises(vidpoll.InvalidField, match=r"^video_count is .*: give a whole number from 1$"):
            plugin.submit_request("video", {"video_subject": "sea", "video_count": value})

    @pytest.mark.parametrize("value", [b"bytes", {1, 2}, float("nan"), [object()], {"a": Path("a.mp4")}])
    def test_json(self, value: object) -> None:
        """What JSON cannot hold is refused before anything is sent; the error names the field."""
        with pytest.raises(vidpoll.InvalidField, match=r"^video_materials is no JSON"):
            plugin.submit_request("video", {"video_subject": "sea", "video_materials": value})

    def test_endless_json(self) -> None:
        """A list that holds itself, or is too deep to write, is refused too."""
        endless: list[object] = []
        endless.append(endless)
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        for value in (endless, deep):
            with pytest.raises(vidpoll.InvalidField, match=r"^video_terms is no JSON"):
                plugin.submit_request("video", {"video_subject": "sea", "video_terms": value})

    @pytest.mark.parametrize("extra", [{"params": 7}, {"state": "?"}, {"request_id": None}])
    def test_id_first(self, extra: dict[str, object]) -> None:
        """Nothing beside the id can cost the id."""
        assert plugin.parse_submit(task(**extra), "") == vidpoll.Submitted(TASK)

    @pytest.mark.parametrize("job_id", [None, "", True, {}, [], "a\nb", "..", " "])
    def test_no_id(self, job_id: object) -> None:
        """Without a usable id the answer is no answer."""
        with pytest.raises(vidpoll.Malformed):
            plugin.parse_submit(task(task_id=job_id), "")


class TestRequests:
    @pytest.mark.parametrize(
        ("job_id", "segment"),
        [
            (TASK, TASK),
            ("a b", "a%20b"),
            ("../../config.toml", "..%2F..%2Fconfig.toml"),
            ("a?b#c", "a%3Fb%23c"),
            ("%00", "%2500"),
            ("ü:1", "%C3%BC%3A1"),
        ],
    )
    def test_ids(self, job_id: str, segment: str) -> None:
        """An id is one segment of the path, whatever it holds."""
        assert plugin.status_request(job_id) == vidpoll.Request("GET", f"/api/v1/tasks/{segment}")
        assert plugin.delete_request(job_id) == vidpoll.Request("DELETE", f"/api/v1/tasks/{segment}")
        assert plugin.download(job_id, "a.mp4") == vidpoll.Asset(f"./api/v1/download/{segment}/a.mp4")

    @pytest.mark.parametrize("job_id", ["", ".", "..", "\ud800"])
    def test_no_ids(self, job_id: str) -> None:
        """An id that would change the path, or cannot be sent, is refused before anything is sent."""
        for build in (plugin.status_request, plugin.delete_request, PROVIDER.status.request):
            with pytest.raises(vidpoll.BadReference):
                build(job_id)
        with pytest.raises(vidpoll.BadReference):
            plugin.stream(job_id)

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\\b", "/", None, 7])
    def test_names(self, name: Any) -> None:
        """1.2 serves any file of its machine to a name that climbs: no such name is sent."""
        for build in (plugin.download, plugin.stream):
            with pytest.raises(vidpoll.InvalidField, match=r"^name .*final-1\.mp4"):
                build(TASK, name)

    def test_stream(self) -> None:
        """A file as it is streamed stands below the base URL, and is the first video unless it is named."""
        assert plugin.stream(TASK) == vidpoll.Asset(f"./api/v1/stream/{TASK}/final-1.mp4")
        assert plugin.stream(TASK, "final 2.mp4") == vidpoll.Asset(f"./api/v1/stream/{TASK}/final%202.mp4")


class TestContent:
    def test_request(self) -> None:
        """The content of a task is its first video."""
        assert PROVIDER.content is not None
        assert PROVIDER.content.request(TASK) == vidpoll.Request("GET", f"/api/v1/download/{TASK}/final-1.mp4")

    @pytest.mark.parametrize(
        ("media_type", "body", "says"),
        [("text/html", b"<html>", "HTTP 200"), ("application/json", b'{"message": "not found"}', "not found")],
    )
    def test_no_video(self, media_type: str, body: bytes, says: str) -> None:
        """A page, or JSON, is not passed off as the video."""
        with pytest.raises(vidpoll.Malformed, match=f"no video: .*{says}"):
            plugin.parse_content(vidpoll.Response(200, {"content-type": media_type}, body), TASK)


class TestErrors:
    def test_plain_text(self) -> None:
        """An uncaught fault of the server (Redis is down, say) is plain text."""
        response = vidpoll.Response(500, {"content-type": "text/plain; charset=utf-8"}, b"Internal Server Error")
        assert PROVIDER.error(response) == vidpoll.Problem("Internal Server Error")

    @pytest.mark.parametrize(
        "message", ["field required", "task: not found", "a-b: c", f"{REQUEST}:", f"{REQUEST[:-1]}: x", ": x"]
    )
    def test_only_a_request_id_is_taken_off(self, message: str) -> None:
        """Text that only looks a little like a request id stays."""
        assert PROVIDER.error(respond({"status": 404, "message": message}, 404)) == vidpoll.Problem(message.strip())

    def test_several_faults(self) -> None:
        """All faulty fields are told."""
        rows = [
            {"loc": ["query", "page"], "msg": "Input should be greater than or equal to 1"},
            {"loc": ["body", "video_materials", 0, "url"], "msg": "Field required"},
        ]
        problem = PROVIDER.error(respond({"status": 400, "data": rows, "message": "field required"}, 400))
        assert problem.message == (
            "query.page: Input should be greater than or equal to 1; body.video_materials.0.url: Field required"
        )
        assert problem.details == {"details": rows}

    @pytest.mark.parametrize("rows", [None, [], {}, "x", 7, [7], [None], [{}], [{"loc": 7, "msg": "x"}], [{"loc": []}]])
    def test_strange_faults(self, rows: object) -> None:
        """A refusal can be told whatever it holds."""
        assert PROVIDER.error(respond({"data": rows, "message": "field required"}, 400)).message == "field required"


class TestProvider:
    def test_declaration(self) -> None:
        """Where it is, how it is paced, and that it needs no key."""
        assert (PROVIDER.name, PROVIDER.base_url) == ("moneyprinterturbo", "http://localhost:8080")
        assert PROVIDER.auth == vidpoll.KeyHeader("x-api-key", "MONEYPRINTERTURBO_API_KEY", required=False)
        assert PROVIDER.pacing == vidpoll.Pacing(floor=2.0)
        assert set(PROVIDER.operations()) == {
            *("status", "list", "delete", "content", "submit video", "submit audio", "submit subtitle"),
        }

    def test_simulator(self) -> None:
        """The simulator's face is named, and not imported."""
        assert plugin.vidpoll_simulators() == {
            "moneyprinterturbo": "vidpoll_moneyprinterturbo.simulator:MoneyPrinterTurboFace"
        }

    def test_size(self) -> None:
        """All operations of a provider fit into less than 200 lines, the empty ones not counted."""
        assert len([line for line in Path(plugin.__file__).read_text().splitlines() if line]) < 200


SCALARS = st.sampled_from([None, True, False, 0, 1, -1, 4, 100, 1.5, 10**400, "", "x", "..", "\ud800", "/tasks/a"])
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["loc", "msg", "a"]), inner, max_size=2)
    ),
    max_leaves=5,
)
KEYS = (
    *("task_id", "state", "progress", "videos", "combined_videos", "failed_stage", "error", "audio_file"),
    *("subtitle_path", "tasks", "total", "page", "page_size", "audio_duration"),
)


class TestAnything:
    @settings(max_examples=50, deadline=None)
    @given(
        st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6),
        st.sampled_from([-1, 0, 1, 4]) | JSON,
        st.lists(JSON, max_size=3),
    )
    def test_parsers_raise_nothing_else(self, data: dict[str, object], state: object, rows: list[object]) -> None:
        """Whatever the server sends, a parser returns a value or raises an error that a wait bears."""
        response = respond({"data": {**data, "state": state, "tasks": [{**data, "state": state}, *rows]}})
        for parse in (plugin.parse_status, plugin.parse_list, plugin.parse_submit, plugin.parse_content):
            try:
                parse(response, TASK)
            except vidpoll.AnswerError:
                continue

    @settings(max_examples=50, deadline=None)
    @given(st.dictionaries(st.sampled_from(["status", "message", "data", "detail", "error"]), JSON) | JSON)
    def test_refusals_raise_nothing(self, body: object) -> None:
        """A refusal can always be told."""
        assert isinstance(PROVIDER.error(respond(body, 400)), vidpoll.Problem)

    @settings(max_examples=50, deadline=None)
    @given(
        st.sampled_from(["v1.3-complete-relative-url.json", "v1.3-failed.json", "v1.3-processing-50.json"]), st.data()
    )
    def test_only_the_state_decides(self, file: str, data: st.DataObject) -> None:
        """Replace any other field by any scalar: the state stays."""
        body = json.loads((SAMPLES / file).read_text())
        expected = plugin.parse_status(respond(body), TASK).state
        body["data"][data.draw(st.sampled_from(sorted(set(body["data"]) - {"state"})))] = data.draw(SCALARS)
        body["status"] = data.draw(SCALARS)
        assert plugin.parse_status(respond(body), TASK).state is expected
