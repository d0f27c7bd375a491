"""Files of MoneyPrinterTurbo, over the simulator of both versions: videos, streams, speech, subtitles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import moneyprinterturbo as plugin

import vidpoll
from vidpoll.testing import FakeClock, FakeTransport, simulate
from vidpoll.testing.simulated import Simulation

NAME = "moneyprinterturbo"


@pytest.fixture(params=["1.3", "1.2"])
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    """Both versions."""
    with simulate(NAME, speed=100.0, moneyprinterturbo={"version": request.param}) as simulation:
        yield simulation


@pytest.fixture
def newer() -> Iterator[Simulation]:
    with simulate(NAME, speed=100.0) as simulation:
        yield simulation


def finished(simulator: Simulation, kind: str = "video", **data: Any) -> str:
    return f"{NAME}:{simulator.seed_job(NAME, kind, age=1000.0, **data)}"


def paths(simulator: Simulation) -> list[tuple[str, int]]:
    """The requests for files."""
    return [(each.path, each.status) for each in simulator.requests(NAME) if "/api/v1/tasks" not in each.path]


def test_static_files(simulator: Simulation, tmp_path: Path) -> None:
    """Relative URLs of 1.3 and absolute ones of 1.2 lead to the same files; each of two videos has its name."""
    ref = finished(simulator, video_count=2)
    found = simulator.client().download(ref, tmp_path, kinds=("video", "combined"))
    assert len({path.read_bytes() for path in found}) == len(set(found)) == 4
    names = ["final-1.mp4", "final-2.mp4", "combined-1.mp4", "combined-2.mp4"]
    assert [path.read_bytes()[-len(name) :].decode() for path, name in zip(found, names, strict=True)] == names
    task = ref.partition(":")[2]
    assert paths(simulator) == [(f"/tasks/{task}/{name}", 200) for name in names]


@pytest.mark.parametrize("kind", ["audio", "subtitle"])
def test_tasks_without_a_video(newer: Simulation, tmp_path: Path, kind: str) -> None:
    """Their server path becomes a download; a video is not looked for, and the message says what there is."""
    client = newer.client()
    ref = finished(newer, kind)
    with pytest.raises(vidpoll.ResultMissing, match=f"has no video; it has: {kind}"):
        client.download(ref, tmp_path, kinds=("video",))
    assert paths(newer) == []
    (path,) = client.download(ref, tmp_path)
    suffix, start = {"audio": (".mp3", (b"ID3", b"\xff")), "subtitle": (".srt", (b"1",))}[kind]
    assert path.suffix == suffix
    assert path.read_bytes().startswith(start)
    name = {"audio": "audio.mp3", "subtitle": "subtitle.srt"}[kind]
    assert paths(newer) == [(f"/api/v1/download/{ref.partition(':')[2]}/{name}", 200)]


def test_speech_and_subtitles_of_a_video(simulator: Simulation, tmp_path: Path) -> None:
    """All kinds of a task in one call."""
    found = simulator.client().download(finished(simulator), tmp_path, kinds=("video", "audio", "subtitle"))
    assert sorted(path.suffix for path in found) == [".mp3", ".mp4", ".srt"]


@pytest.mark.parametrize("build", [plugin.stream, lambda task: plugin.download(task, "final-1.mp4")])
def test_a_stream_of_a_task(simulator: Simulation, tmp_path: Path, build: Any) -> None:
    """`/stream` (206 to everything, without an ETag) and `/download`: read in ranges, equal to the file."""
    client = simulator.client()
    ref = finished(simulator)
    (path,) = client.download(ref, tmp_path)
    with client.open(ref, asset=build(ref.partition(":")[2])) as stream:
        stream.seek(-11, 2)
        assert stream.read() == b"final-1.mp4"
        stream.seek(0)
        assert stream.read() == path.read_bytes()
    assert {status for _, status in paths(simulator)[1:]} == {206}


@pytest.mark.slow
def test_a_file_that_is_not_there(simulator: Simulation) -> None:
    """404 in 1.3, a bare 500 in 1.2: reported in one line with the task's reference."""
    ref = finished(simulator)
    client = simulator.client(patience=1.0)
    with pytest.raises((vidpoll.DownloadError, vidpoll.ResultMissing), match=rf"{ref}: .*HTTP (404|500)"):
        client.open(ref, asset=plugin.stream(ref.partition(":")[2], "final-9.mp4"))


def test_files_of_a_task_that_runs_are_not_taken(tmp_path: Path) -> None:
    """The server hands out what is written so far. Only state 1 makes it a result: until then no file is asked for."""
    with simulate(NAME) as simulator:
        task = simulator.seed_job(NAME, "video", age=33.0)  # the final video is being written
        assert simulator.client().poll(f"{NAME}:{task}").state is vidpoll.State.RUNNING
        with pytest.raises(vidpoll.UsageError, match="not completed yet"):
            simulator.client().download(f"{NAME}:{task}", tmp_path)
        with pytest.raises(vidpoll.UsageError, match="not completed yet"):
            simulator.client().open(f"{NAME}:{task}", asset=plugin.stream(task))
        assert paths(simulator) == []
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_was_restarted(newer: Simulation, tmp_path: Path) -> None:
    """Its tasks are 404, their files are still served: a job that was waited for can be downloaded."""
    client = newer.client()
    job = client.wait(finished(newer))
    url = job.video.url
    assert url is not None
    face = newer.faces[NAME]
    find, face._find = face._find, lambda task, now: None  # type: ignore[attr-defined]
    try:
        assert client.download(job, tmp_path)[0].exists()
    finally:
        face._find = find  # type: ignore[attr-defined]


# -- answers that were recorded from 1.2.6 and 1.3.3, and that the simulator does not play -----------------------------

TASK = "0b9d6a52-2f0e-4c3b-8f3e-6f1f2a9b7c10"
FILE = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00" + bytes(number % 251 for number in range(3000))
DONE = {"data": {"task_id": TASK, "state": 1, "progress": 100, "videos": [f"/tasks/{TASK}/final-1.mp4"]}}


def scripted(answers: Sequence[Any]) -> vidpoll.Client:
    wire = FakeTransport({"/api/v1/tasks": [DONE], "": answers})
    return vidpoll.Client(clock=FakeClock(), transport=wire, patience=1e-9)


def span(first: int, last: int, body: bytes, total: int = len(FILE)) -> vidpoll.Response:
    headers = {"content-range": f"bytes {first}-{last}/{total}", "content-length": str(last + 1 - first)}
    return vidpoll.Response(206, headers, body)


def test_a_stream_that_announces_more_than_it_sends() -> None:
    """1.2: an end behind the file's makes a Content-Length that never comes. vidpoll asks for no end behind it."""
    short = span(0, 511, FILE[:512]), span(512, len(FILE) - 1, FILE[512:])
    with scripted(short) as client, client.open(f"{NAME}:{TASK}", asset=plugin.stream(TASK)) as stream:
        assert stream.read() == FILE
        assert stream.read() == b""


@pytest.mark.parametrize("first", [0, len(FILE)])
def test_a_reversed_range_is_none(first: int, tmp_path: Path) -> None:
    """1.2: `bytes=<size>-` is answered by 206, a length of 0 and a range that ends before it begins."""
    reversed_span = vidpoll.Response(206, {"content-range": f"bytes {first}-{first - 1}/{first}"}, b"")
    with scripted([reversed_span]) as client:
        with pytest.raises(vidpoll.DownloadError, match="a range that was not requested"):
            client.open(f"{NAME}:{TASK}", asset=plugin.stream(TASK))


def test_a_416_without_a_content_range() -> None:
    """1.3: as JSON. Nothing can be learnt from it, so nothing is."""
    refused = vidpoll.Response(416, {"content-type": "application/json"}, b'{"status": 416}')
    with scripted([span(0, 511, FILE[:512]), refused]) as client:
        with client.open(f"{NAME}:{TASK}", asset=plugin.stream(TASK)) as stream:
            with pytest.raises(vidpoll.DownloadError, match=f"^{NAME}:{TASK}: "):
                stream.read()


def test_a_video_that_was_only_just_begun(tmp_path: Path) -> None:
    """An empty file is served with 200 and a length of 0 before it is written: it is no video, and is not kept."""
    with scripted([vidpoll.Response(200, {"content-length": "0"}, b"")]) as client:
        with pytest.raises(vidpoll.NotAVideo, match="the video is empty"):
            client.download(f"{NAME}:{TASK}", tmp_path)
    assert list(tmp_path.iterdir()) == []
