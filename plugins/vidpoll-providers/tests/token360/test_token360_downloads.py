"""Files of Token360, over the simulator: presigned URLs on another origin, which expire, and `content`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import token360 as plugin

import vidpoll
from vidpoll.testing import simulate
from vidpoll.testing.simulated import Simulation

NAME = "token360"


@pytest.fixture
def simulator() -> Iterator[Simulation]:
    with simulate(NAME, speed=100.0) as simulation:
        yield simulation


@pytest.fixture
def sparing() -> Iterator[Simulation]:
    """Its completed tasks name no URL: only `content` leads to the video."""
    with simulate(NAME, speed=100.0, token360={"omit_urls": True}) as simulation:
        yield simulation


def finished(simulator: Simulation, **data: Any) -> str:
    return f"{NAME}:{simulator.seed_job(NAME, 'video', age=1000.0, **data)}"


def asked(simulator: Simulation) -> list[tuple[str, str, int]]:
    """What was asked: the origin, the kind of path, the status."""
    kinds = {"content": "content", "mp4": "file", "jpg": "file"}
    return [
        (each.origin, kinds.get(each.path.rpartition("/")[2].rpartition(".")[2], "task"), each.status)
        for each in simulator.requests(NAME)
    ]


def test_a_presigned_url_gets_no_key(simulator: Simulation, tmp_path: Path) -> None:
    """The media host refuses a second way to authenticate, so the file tells that none was sent."""
    ref = finished(simulator, return_last_frame=True)
    video, frame = simulator.client().download(ref, tmp_path, kinds=("video", "last_frame"))
    assert (video.read_bytes()[4:8], frame.read_bytes()[:2]) == (b"ftyp", b"\xff\xd8")
    media = [each for each in simulator.requests(NAME) if each.origin == "media"]
    assert [(each.status, "authorization" in each.headers) for each in media] == [(200, False), (200, False)]


def test_an_expired_url_is_replaced_by_one_poll(simulator: Simulation, tmp_path: Path) -> None:
    """Two hours after the wait: 403, one question, a fresh URL; the job and its hooks notice nothing."""
    client = simulator.client()
    job = client.wait(finished(simulator))
    simulator.advance(7200.0)
    before = len(asked(simulator))
    (path,) = client.download(job, tmp_path)
    assert asked(simulator)[before:] == [("media", "file", 403), ("api", "task", 200), ("media", "file", 200)]
    assert path.read_bytes().endswith(job.id.encode())
    assert job.ok


def test_a_part_goes_on_with_a_fresh_signature(simulator: Simulation, tmp_path: Path) -> None:
    """Another query is the same file: what is there is kept."""
    ref = finished(simulator)

    def interrupt(event: vidpoll.DownloadProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulator.client().download(ref, tmp_path / "v.mp4", on_progress=interrupt)
    part = tmp_path / "v.mp4.part"
    whole = part.read_bytes()
    part.write_bytes(whole[:1000])
    assert "Signature" not in (tmp_path / "v.mp4.part.json").read_text()
    simulator.advance(7200.0)
    (path,) = simulator.client().download(ref, tmp_path / "v.mp4")
    assert path.read_bytes() == whole
    last = simulator.requests(NAME)[-1]
    assert (last.status, last.headers["range"]) == (206, "bytes=1000-")


def test_a_stream_outlives_its_url(simulator: Simulation) -> None:
    """It expires between two windows; the reader sees nothing of it."""
    ref = finished(simulator)
    with simulator.client().open(ref) as stream:
        start = stream.read(100)
        simulator.advance(7200.0)
        stream.seek(0)
        rest = stream.read()
    assert rest.startswith(start)
    assert rest.endswith(ref.partition(":")[2].encode())
    assert ("media", "file", 403) in asked(simulator)


@pytest.mark.slow
def test_a_deleted_job_is_missing(simulator: Simulation, tmp_path: Path) -> None:
    """Its file is gone, and its record with it: ResultMissing, and the job that was paid for stays completed."""
    client = simulator.client()
    job = client.wait(finished(simulator))
    client.delete(job)
    with pytest.raises(vidpoll.ResultMissing, match=rf"{job.ref}: the video is gone \(HTTP 404") as caught:
        client.download(job, tmp_path)
    assert "Signature" not in str(caught.value)
    assert job.ok


def test_without_a_url_the_content_is_asked(sparing: Simulation, tmp_path: Path) -> None:
    """The task names none, its `content` does: waited for or not, the file is there."""
    ref = finished(sparing)
    client = sparing.client()
    job = client.wait(ref)
    (path,) = client.download(job, tmp_path)
    assert path.read_bytes().endswith(job.id.encode())
    assert ("api", "content", 200) in asked(sparing)
    assert asked(sparing)[-1] == ("media", "file", 200)
    with client.open(ref) as stream:
        assert stream.read() == path.read_bytes()


def test_without_a_url_an_expired_one_is_named_anew(sparing: Simulation, tmp_path: Path) -> None:
    """The poll for a fresh URL leads through `content` again."""
    client = sparing.client()
    job = client.wait(finished(sparing))
    sparing.advance(7200.0)
    client.download(job, tmp_path)
    statuses = [status for origin, kind, status in asked(sparing) if kind == "file"]
    assert statuses == [403, 200]


def test_the_content_redirects_to_the_file(simulator: Simulation, tmp_path: Path) -> None:
    """As the operation is declared: with the key to the API, by a redirect, and without it to the media host."""
    ref = finished(simulator)
    redirect = vidpoll.Asset(f"./videos/{ref.partition(':')[2]}/content?format=redirect")
    client = simulator.client()
    with client.open(ref, asset=redirect) as stream:
        assert stream.read().endswith(ref.partition(":")[2].encode())
    assert ("api", "content", 302) in asked(simulator)
    assert all("authorization" not in each.headers for each in simulator.requests(NAME) if each.origin == "media")


def test_binary(simulator: Simulation, tmp_path: Path) -> None:
    """Through the API's own host alone, as a stream, with the key."""
    ref = finished(simulator)
    client = simulator.client()
    (path,) = client.download(ref, tmp_path)
    before = len(asked(simulator))
    with client.open(ref, asset=plugin.binary(ref.partition(":")[2])) as stream:
        assert stream.read() == path.read_bytes()
    assert {each[:2] for each in asked(simulator)[before:]} == {("api", "task"), ("api", "content")}


def test_the_file_of_a_job_that_runs(simulator: Simulation, tmp_path: Path) -> None:
    """Is not looked for: the way to wait for the job is named."""
    client = simulator.client()
    job = client.submit(NAME, "video", model="seedance-2.0", prompt="a kite")
    with pytest.raises(vidpoll.UsageError, match="not completed yet; wait for it first"):
        client.download(job, tmp_path)
    assert ("api", "content", 400) not in asked(simulator)
