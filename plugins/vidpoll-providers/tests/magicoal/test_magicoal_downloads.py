"""Files of MagiCoal, over the simulator: permanent URLs on the provider's own origin."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import vidpoll
from vidpoll.testing import simulate
from vidpoll.testing.simulated import Simulation

NAME = "magicoal"


@pytest.fixture
def simulator() -> Iterator[Simulation]:
    with simulate(NAME, speed=100.0) as simulation:
        yield simulation


def finished(simulator: Simulation, kind: str = "t2v") -> str:
    return f"{NAME}:{simulator.seed_job(NAME, kind, age=1000.0)}"


def files(simulator: Simulation) -> list[tuple[str, int, str | None]]:
    """The requests for files: path, status, range."""
    asked = [each for each in simulator.requests(NAME) if each.path.startswith("/storage/")]
    return [(each.path, each.status, each.headers.get("range")) for each in asked]


def test_video_and_thumbnail(simulator: Simulation, tmp_path: Path) -> None:
    """Both are there under names of their own, and are those of the job."""
    ref = finished(simulator)
    video, thumbnail = simulator.client().download(ref, tmp_path, kinds=("video", "thumbnail"))
    job_id = ref.partition(":")[2].encode()
    assert (video.suffix, thumbnail.suffix) == (".mp4", ".jpg")
    assert video.read_bytes().endswith(job_id)
    assert job_id in thumbnail.read_bytes()
    assert [status for _, status, _ in files(simulator)] == [200, 200]


def test_a_permanent_url_stays_good(simulator: Simulation, tmp_path: Path) -> None:
    """Weeks later the completed job still suffices: it is not polled again."""
    client = simulator.client()
    job = client.wait(finished(simulator))
    simulator.advance(30 * 86_400.0)
    before = len(simulator.requests(NAME))
    client.download(job, tmp_path)
    assert len(simulator.requests(NAME)) == before + 1


def test_the_files_get_the_key(simulator: Simulation, tmp_path: Path) -> None:
    """They are on the account's own origin."""
    simulator.client().download(finished(simulator), tmp_path)
    assert simulator.requests(NAME)[-1].headers["authorization"] == f"Bearer {simulator.keys[NAME]}"


def test_an_interrupted_download_goes_on(simulator: Simulation, tmp_path: Path) -> None:
    """By Range, with the file's own ETag, in another client."""
    ref = finished(simulator)

    def interrupt(event: vidpoll.DownloadProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulator.client().download(ref, tmp_path / "v.mp4", on_progress=interrupt)
    part = tmp_path / "v.mp4.part"
    whole = part.read_bytes()
    part.write_bytes(whole[:1000])
    (path,) = simulator.client().download(ref, tmp_path / "v.mp4")
    assert path.read_bytes() == whole
    assert [(status, span) for _, status, span in files(simulator)] == [(200, None), (206, "bytes=1000-")]
    assert list(tmp_path.iterdir()) == [path]


def test_a_video_as_a_stream(simulator: Simulation, tmp_path: Path) -> None:
    """Equal to the file, fetched by ranges; its end is reached without what is before it."""
    ref = finished(simulator)
    client = simulator.client()
    (path,) = client.download(ref, tmp_path)
    with client.open(ref) as stream, (tmp_path / "copy").open("wb") as copy:
        stream.seek(-36, 2)
        assert stream.read() == ref.partition(":")[2].encode()
        stream.seek(0)
        shutil.copyfileobj(stream, copy)
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    assert {status for _, status, _ in files(simulator)[1:]} == {206}


def test_a_job_that_failed_has_no_files(simulator: Simulation, tmp_path: Path) -> None:
    """Its own error is raised, and no file is requested."""
    ref = f"{NAME}:{simulator.seed_job(NAME, 't2v', age=1000.0, failure='out of paint')}"
    with pytest.raises(vidpoll.JobFailed, match="out of paint"):
        simulator.client().download(ref, tmp_path)
    assert files(simulator) == []
