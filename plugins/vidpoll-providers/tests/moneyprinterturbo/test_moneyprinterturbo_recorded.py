"""Recorded conversations: what servers of versions 1.2.6 and 1.3.3 really sent, and what the tables make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vidpoll_providers import moneyprinterturbo as plugin

import vidpoll

RECORDED = Path(__file__).parents[1] / "recorded/moneyprinterturbo"
(PROVIDER,) = plugin.vidpoll_providers()
STATUS = PROVIDER.status
RUNNING, COMPLETED, FAILED = vidpoll.State.RUNNING, vidpoll.State.COMPLETED, vidpoll.State.FAILED
NO_REASON = vidpoll.Problem(plugin.NO_REASON)


def respond(body: object) -> vidpoll.Response:
    return vidpoll.Response(200, {"Content-Type": "application/json"}, json.dumps(body).encode())


def running(progress: float, job_id: str) -> vidpoll.Snapshot:
    return vidpoll.Snapshot(RUNNING, stage="processing", progress=progress, job_id=job_id)


def completed(*assets: vidpoll.Asset, job_id: str, assets_due: bool = True) -> vidpoll.Snapshot:
    return vidpoll.Snapshot(
        COMPLETED, stage="complete", progress=100, assets=assets, job_id=job_id, assets_due=assets_due
    )


def failed(progress: float, problem: vidpoll.Problem, job_id: str) -> vidpoll.Snapshot:
    return vidpoll.Snapshot(FAILED, stage="failed", progress=progress, problem=problem, job_id=job_id)


def conversation(file: str) -> tuple[dict[str, Any], list[Any]]:
    """The body that began a recorded conversation, and what the plugin makes of each of its answers."""
    exchanges = json.loads((RECORDED / file).read_text())["exchanges"]
    job_id, answers = "", []
    for exchange in exchanges:
        request, response = exchange["request"], exchange["response"]
        if job_id:
            assert STATUS.request(job_id) == vidpoll.Request(request["method"], request["path"])
        answer = vidpoll.Response(response["status"], response["headers"], response["body"].encode())
        answers.append((STATUS if job_id else PROVIDER.submit["video"]).parse(answer, job_id))
        job_id = job_id or answers[0].job_id
    return json.loads(exchanges[0]["request"]["body"]), answers


class TestRecorded:
    def test_every_recording_is_replayed(self) -> None:
        """No recorded exchange lies about that nothing reads."""
        assert {path.name for path in RECORDED.iterdir()} - {"expected.json"} == {
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
            return [STATUS.parse(respond(body), job_id) for body in bodies]

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
