"""A file that is there counts as a job's where it is known to be; its name proves nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, KEY, MP4, REF, Talk, parse_content, talk

import vidpoll
from vidpoll.downloads import identity
from vidpoll.downloads.identity import TAIL
from vidpoll.job import Job

ONE = MP4 + bytes(number * 7 & 255 for number in range(5000))
TWO = ONE[:-3] + b"two"
LONGER = ONE + b"x"
LARGE = MP4 + os.urandom(2 * TAIL)
TAKEN = "exists and is not known to be a file of acme:j1: overwrite=True (vidpoll download --overwrite) replaces it, "


class Files(vidpoll.testing.FakeTransport):
    """Serves a file with ranges (or without), and one record for every job."""

    def __init__(self, data: bytes, *, ranged: bool = True) -> None:
        super().__init__({"/jobs": [{"status": "done", "video": "/v.mp4"}], "": []})
        self.data, self.ranged = data, ranged

    def fetch(self, wire: Any, ticket: Any, start: Any) -> vidpoll.Response:
        span = wire.headers.get("Range") if self.ranged else None
        answer = vidpoll.Response(200, {"content-length": str(len(self.data)), "etag": '"a"'}, self.data)
        if span is not None:
            first, last = (int(each or len(self.data) - 1) for each in span[6:].split("-"))
            last = min(last, len(self.data) - 1)
            told = {"content-range": f"bytes {first}-{last}/{len(self.data)}", "etag": '"a"'}
            answer = vidpoll.Response(206, told, self.data[first : last + 1])
            if first >= len(self.data):
                answer = vidpoll.Response(416, {"content-range": f"bytes */{len(self.data)}"})
        self._scripts[""] = [answer]
        return super().fetch(wire, ticket, start)


def serving(data: bytes, **how: Any) -> Talk:
    return talk((), transport=Files(data, **how))


def asked(t: Talk) -> list[str | None]:
    """The Range of each request for the file."""
    return [wire.headers.get("Range") for wire in t.wire.sent if "v.mp4" in wire.url]


@pytest.fixture(params=[True, False], ids=["marks", "no marks"])
def marks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """File systems that keep marks on files, and those that do not (and macOS, and Windows)."""
    if not request.param or sys.platform != "linux":
        monkeypatch.setattr(identity.sys, "platform", "darwin")
    return bool(request.param) and sys.platform == "linux"


@pytest.mark.parametrize("name", ["", "clip.mp4"])
def test_a_file_that_was_saved_is_kept(tmp_path: Path, marks: bool, name: str) -> None:
    """In a further process too: with a mark on it that costs no request, else one for its end."""
    (path,) = serving(ONE).client.download(REF, tmp_path / name)
    t = serving(ONE)
    assert t.client.download(REF, tmp_path / name) == [path]
    assert asked(t) == ([] if marks else [f"bytes=0-{len(ONE) - 1}"])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.usefixtures("marks")
@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize("theirs", [TWO, LONGER, ONE[:-1], MP4, b"mine"])
def test_a_file_of_another_job_is_told_of(tmp_path: Path, theirs: bytes, ranged: bool) -> None:
    """Under a name that the user gave: nothing is written over. Both ways out that are named help."""
    (tmp_path / "clip.mp4").write_bytes(theirs)
    t = serving(ONE, ranged=ranged)
    with pytest.raises(vidpoll.DownloadError) as caught:
        t.client.download(REF, tmp_path / "clip.mp4")
    assert str(caught.value) == f"{REF}: {tmp_path / 'clip.mp4'} {TAKEN}another name keeps both"
    assert (tmp_path / "clip.mp4").read_bytes() == theirs
    assert t.client.download(REF, tmp_path / "other.mp4")[0].read_bytes() == ONE
    assert t.client.download(REF, tmp_path / "clip.mp4", overwrite=True)[0].read_bytes() == ONE
    assert sorted(each.name for each in tmp_path.iterdir()) == ["clip.mp4", "other.mp4"]


@pytest.mark.usefixtures("marks")
def test_a_file_that_was_changed_since_is_not_the_jobs(tmp_path: Path) -> None:
    """It bears the mark still, and does not look as it did."""
    serving(ONE).client.download(REF, tmp_path / "clip.mp4")
    (tmp_path / "clip.mp4").write_bytes(b"edited")
    with pytest.raises(vidpoll.DownloadError, match="is not known to be a file of acme:j1"):
        serving(ONE).client.download(REF, tmp_path / "clip.mp4")


@pytest.mark.skipif(sys.platform != "linux", reason="there are no marks here")
def test_a_mark_of_another_user_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shared folder anybody may put a file with a mark: its bytes are compared."""
    serving(ONE).client.download(REF, tmp_path / "clip.mp4")
    monkeypatch.setattr(identity, "is_ours", lambda found: False)
    t = serving(TWO)
    with pytest.raises(vidpoll.DownloadError, match="is not known to be a file of acme:j1"):
        t.client.download(REF, tmp_path / "clip.mp4")
    assert asked(t) == [f"bytes=0-{len(ONE) - 1}"]


@pytest.mark.usefixtures("marks")
def test_two_jobs_with_one_target(tmp_path: Path) -> None:
    """The second is not answered with the first one's video."""
    serving(ONE).client.download("acme:j1", tmp_path / "out-v1.0")
    with pytest.raises(vidpoll.DownloadError, match="is not known to be a file of acme:j2"):
        serving(TWO).client.download("acme:j2", tmp_path / "out-v1.0")
    assert (tmp_path / "out-v1.0").read_bytes() == ONE


@pytest.mark.usefixtures("marks")
def test_an_id_that_is_given_anew(tmp_path: Path) -> None:
    """A new job of an old id is a new file beside the old one, which stays; each further call finds its own."""
    (old,) = serving(ONE).client.download(REF, tmp_path)
    job = Job(REF, submitted_at=old.stat().st_mtime + 1)
    (new,) = serving(TWO).client.download(job, tmp_path)
    assert (old.read_bytes(), new.read_bytes(), new.name) == (ONE, TWO, f"{old.stem}~2.mp4")
    assert serving(TWO).client.download(job, tmp_path) == [new]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([old.name, new.name])


def test_of_a_large_file_the_end_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One mebibyte."""
    monkeypatch.setattr(identity.sys, "platform", "darwin")
    serving(LARGE).client.download(REF, tmp_path)
    t = serving(LARGE)
    t.client.download(REF, tmp_path)
    assert asked(t) == [f"bytes={len(LARGE) - TAIL}-{len(LARGE) - 1}"]


def test_a_checksum_tells_without_a_request(tmp_path: Path) -> None:
    """The provider's own."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        told = f"sha256:{hashlib.sha256(ONE).hexdigest().upper()}"
        return vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset("/v.mp4", checksum=told),))

    provider = replace(ACME, status=replace(ACME.status, parse=parse))
    for theirs, known in ((ONE, True), (TWO, False)):
        (tmp_path / "clip.mp4").write_bytes(theirs)
        t = talk((), provider=provider, transport=Files(ONE), accounts={"acme": vidpoll.Account("acme", key=KEY)})
        if known:
            assert t.client.download(REF, tmp_path / "clip.mp4") == [tmp_path / "clip.mp4"]
        else:
            with pytest.raises(vidpoll.DownloadError, match="is not known to be"):
                t.client.download(REF, tmp_path / "clip.mp4")
        assert asked(t) == []


def test_where_nothing_tells_the_error_says_so(tmp_path: Path) -> None:
    """The file is gone at the provider: the one that is there is named, and stays."""
    (tmp_path / "clip.mp4").write_bytes(ONE)
    t = talk({"/jobs": [{"status": "done", "video": "/v.mp4"}], "": [(410, {}, b"")]})
    with pytest.raises(
        vidpoll.DownloadError, match=r"410.*clip\.mp4 exists, but it could not be checked whether it is this file$"
    ):
        t.client.download(REF, tmp_path / "clip.mp4")
    assert (tmp_path / "clip.mp4").read_bytes() == ONE


def test_a_file_of_the_content_operation(tmp_path: Path) -> None:
    """Is compared like one of a URL."""
    operation = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}/content/v.mp4"), parse_content)
    provider = replace(ACME, content=operation)
    options = {"provider": provider, "accounts": {"acme": vidpoll.Account("acme", key=KEY)}}

    class Content(Files):
        def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
            self._scripts = {"/content": self._scripts[""], "/jobs": [{"status": "done"}], "": self._scripts[""]}
            return super().send(wire, ticket)

    for data, same in ((ONE, True), (ONE, True), (TWO, False)):
        t = talk((), transport=Content(data), **options)
        if same:
            assert t.client.download(REF, tmp_path / "clip.mp4")[0].read_bytes() == ONE
        else:
            (tmp_path / "clip.mp4").touch()  # not the look of the mark any more
            with pytest.raises(vidpoll.DownloadError, match="is not known to be"):
                t.client.download(REF, tmp_path / "clip.mp4")


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell has it; in the store too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (path,) = serving(ONE).client.download(REF, "~/clips")
    assert path.parent == tmp_path / "clips"
    with pytest.raises(vidpoll.UsageError, match="Write the path without ~"):
        serving(ONE).client.download(REF, "~nobody-of-that-name/clips")


LATE = """
import sys
sys.path.insert(0, sys.argv[2])
import vidpoll
from acme_provider import DONE, DRAWING, MP4, REF, talk
t = talk({"/jobs": [DRAWING, DONE], "": [MP4]})
job = t.client.wait(REF)
known = set(sys.modules)
t.client.download(job, sys.argv[1])
print(sorted(set(sys.modules) - known))
"""


def test_after_a_wait_a_download_loads_no_module(tmp_path: Path) -> None:
    """After an hour there may be no descriptor left to read one with, or another version lies in its place."""
    support = str(Path(__file__).parents[1] / "support")
    ran = subprocess.run(
        [sys.executable, "-c", LATE, str(tmp_path), support], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
