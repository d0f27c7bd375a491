"""Assets to files: whole under the final name, or not there at all."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, KEY, MP4, REF, Plugin, Talk, parse_content, talk

import vidpoll
from vidpoll.downloads import part_file
from vidpoll.downloads.fetcher import Wanted
from vidpoll.downloads.save import places
from vidpoll.faults import NoAnswer
from vidpoll.job import Job

both = pytest.mark.usefixtures("transport")

JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 50
HTML = (200, {"content-type": "text/html"}, b"<!doctype html><p>expired")
ACCOUNTS = {"acme": vidpoll.Account("acme", key=KEY)}


def done(**assets: str) -> dict[str, Any]:
    return {"status": "done", **assets}


def fetched(script: Any, status: Any = DONE, **options: Any) -> Talk:
    """A client whose job is `status` and whose files are answered by `script`."""
    return talk({"/jobs": [status], "": script}, **options)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- good -------------------------------------------------------------------------------------------------------------


def test_a_video_is_saved_under_a_name_from_its_reference(tmp_path: Path) -> None:
    """One status question, one GET; the folder is made, and nothing else lies in it."""
    t = fetched([MP4])
    (path,) = t.client.download(REF, tmp_path / "new" / "clips")
    assert re.fullmatch(r"acme-j1-[0-9a-f]{8}-video\.mp4", path.name)
    assert path.read_bytes() == MP4
    assert left(path.parent) == [path.name]
    assert t.requests == ["GET /v1/jobs/j1", "GET /files/j1.mp4"]


def test_a_finished_job_is_not_asked_about_again(tmp_path: Path) -> None:
    """What `wait` returned is enough."""
    t = fetched([MP4])
    job = t.client.wait(REF)
    t.client.download(job, tmp_path)
    assert t.requests == ["GET /v1/jobs/j1", "GET /files/j1.mp4"]


def test_several_kinds(tmp_path: Path) -> None:
    """The job's order; the suffix is what the bytes are."""
    status = done(video="https://api.acme.example/files/a.webm", cover="https://api.acme.example/files/cover?x=.exe")
    t = talk({"/jobs": [status], "/files/a": [MP4], "/files/cover": [JPEG]})
    found = t.client.download(REF, tmp_path, kinds=("thumbnail", "video"))
    assert [(path.suffix, path.read_bytes()) for path in found] == [(".mp4", MP4), (".jpg", JPEG)]


def test_a_target_with_a_suffix_is_a_file(tmp_path: Path) -> None:
    """A folder is a folder, whatever its name; a file takes a single asset."""
    folder = tmp_path / "v1.0"
    folder.mkdir()
    t = fetched([MP4])
    assert t.client.download(REF, tmp_path / "my.mp4") == [tmp_path / "my.mp4"]
    assert t.client.download(REF, folder)[0].parent == folder
    assert t.client.download(REF, str(tmp_path / "v2.0") + os.sep)[0].parent == tmp_path / "v2.0"
    both = done(video="/a.mp4", cover="/b.jpg")
    with pytest.raises(vidpoll.UsageError, match="names one file, but the job has 2 to fetch"):
        fetched([MP4], both).client.download(REF, tmp_path / "my2.mp4", kinds=("video", "thumbnail"))


def test_a_file_that_was_kept_is_not_told_of(tmp_path: Path) -> None:
    """`vidpoll_downloaded` is for a file that has come: once for each, with its path and size, when it is whole."""
    both = done(video="/v.mp4", cover="/c.jpg")
    t = talk({"/jobs": [both], "/v.mp4": [MP4], "/c.jpg": [JPEG]})
    seen = []

    class Listener:
        @vidpoll.hookimpl
        def vidpoll_downloaded(self, job: Job, event: vidpoll.Downloaded) -> None:
            seen.append((job.ref, event.ref, event.kind, event.path, event.size, event.path.stat().st_size))

    t = talk({"/jobs": [both], "/v.mp4": [MP4], "/c.jpg": [JPEG]}, plugins=(Listener(),))
    job = t.client.wait(REF)
    video, cover = t.client.download(job, tmp_path, kinds=("video", "thumbnail"))
    told = [(REF, REF, "video", video, len(MP4), len(MP4)), (REF, REF, "thumbnail", cover, len(JPEG), len(JPEG))]
    assert seen == told
    t.client.download(job, tmp_path, kinds=("video", "thumbnail"))
    assert seen == told
    t.client.download(job, tmp_path, overwrite=True)
    assert seen == [*told, told[0]]
    assert str(t.ears.heard[-1][2]) == f"acme:j1 video saved: {video} ({len(MP4):,} bytes)"


def test_a_hook_that_raises_costs_no_file(tmp_path: Path) -> None:
    """The file lies whole under its name before the hook hears of it."""

    class Broken:
        @vidpoll.hookimpl
        def vidpoll_downloaded(self, job: Job, event: vidpoll.Downloaded) -> None:
            raise ValueError("no")

        @vidpoll.hookimpl
        def vidpoll_download_progress(self, job: Job, event: vidpoll.DownloadProgress) -> None:
            raise ValueError("no")

    t = talk({"/jobs": [DONE], "": [MP4]}, plugins=(Broken(),))
    with pytest.warns(RuntimeWarning, match="ValueError"):
        (path,) = t.client.download(REF, tmp_path)
    assert path.read_bytes() == MP4


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    """A name that somebody reserved: it is fetched, although nobody says `overwrite`."""
    (tmp_path / "v.mp4").touch()
    (path,) = fetched([MP4]).client.download(REF, tmp_path / "v.mp4")
    assert path.read_bytes() == MP4


def test_what_a_kill_left_beside_a_whole_file_goes(tmp_path: Path) -> None:
    """Killed between the rename and the end: the next run has nothing to fetch, and tidies up."""
    for name in ("v.mp4", "v.mp4.part", "v.mp4.part.json"):
        (tmp_path / name).write_bytes(MP4)
    assert fetched([MP4]).client.download(REF, tmp_path / "v.mp4") == [tmp_path / "v.mp4"]
    assert left(tmp_path) == ["v.mp4"]


def test_a_second_download_of_the_same_file(tmp_path: Path) -> None:
    """While the first one is at it: told at once, who has it and what to do, and the first one is not disturbed."""
    t = fetched([MP4])
    job = t.client.wait(REF)
    seen: list[str] = []

    def again(event: vidpoll.DownloadProgress) -> None:
        with pytest.raises(vidpoll.DownloadError) as caught:
            t.client.download(job, tmp_path / "v.mp4")
        seen.append(str(caught.value))

    t.client.download(job, tmp_path / "v.mp4", on_progress=again)
    busy = "is being fetched by another process or thread; wait for that, or name another folder"
    assert seen == [f"acme:j1: {tmp_path / 'v.mp4'} {busy}"]
    assert ((tmp_path / "v.mp4").read_bytes(), left(tmp_path)) == (MP4, ["v.mp4"])


@pytest.mark.parametrize("theirs", [MP4, b"theirs"])
def test_a_file_that_another_process_was_faster_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: bytes
) -> None:
    """It appears between the first look and the lock: kept where it is the job's, else told of."""
    enter = part_file.PartFile.__enter__

    def late(part: part_file.PartFile) -> part_file.PartFile:
        part.target.write_bytes(theirs)
        return enter(part)

    monkeypatch.setattr(part_file.PartFile, "__enter__", late)
    t = fetched([MP4])
    if theirs == MP4:
        assert t.client.download(REF, tmp_path / "v.mp4") == [tmp_path / "v.mp4"]
    else:
        with pytest.raises(vidpoll.DownloadError, match="exists and is not known to be a file of acme:j1"):
            t.client.download(REF, tmp_path / "v.mp4")
    assert (left(tmp_path), (tmp_path / "v.mp4").read_bytes()) == (["v.mp4"], theirs)
    assert len(t.requests) == 2


@pytest.mark.parametrize("theirs", [b"theirs", b""], ids=["a file", "one that is being written"])
@pytest.mark.parametrize("name", ["v.mp4", ""], ids=["a name", "a folder"])
def test_a_file_that_appears_during_a_download_stays(tmp_path: Path, theirs: bytes, name: str) -> None:
    """The error says where the bytes are, and both ways out that it names help."""
    t = fetched([MP4])
    (final,) = t.client.download(REF, tmp_path / name)
    final.unlink()
    with pytest.raises(vidpoll.DownloadError) as caught:
        t.client.download(REF, tmp_path / name, on_progress=lambda event: final.write_bytes(theirs))
    (part,) = tmp_path.glob("*.part")
    assert str(caught.value) == (
        f"{REF}: another file appeared under the name during the download, and was kept; the download is complete, as "
        f"{part}: rename that, or replace the other file with overwrite=True (vidpoll download --overwrite)"
    )
    assert (final.read_bytes(), part.read_bytes()) == (theirs, MP4)
    assert fetched([MP4]).client.download(REF, tmp_path / name, overwrite=True) == [final]
    assert (final.read_bytes(), left(tmp_path)) == (MP4, [final.name])


@pytest.mark.skipif(os.name != "posix", reason="Windows lets nobody remove what is open")
def test_a_part_that_became_a_pipe_meanwhile_holds_nobody(tmp_path: Path) -> None:
    """In a shared folder anybody may swap it: what was written is what is looked at, and it is not saved."""
    t = fetched([MP4])

    def swap(event: vidpoll.DownloadProgress) -> None:
        (tmp_path / "v.mp4.part").unlink()
        os.mkfifo(tmp_path / "v.mp4.part")

    with pytest.raises(vidpoll.DownloadError, match=r"v\.mp4\.part was moved or replaced meanwhile"):
        t.client.download(REF, tmp_path / "v.mp4", on_progress=swap)
    assert not (tmp_path / "v.mp4").exists()


@pytest.mark.skipif(os.name != "posix", reason="to make a link is a right of its own on Windows")
@pytest.mark.parametrize("kind", ["a link to nothing", "a link to an empty file", "a link to a file", "a pipe"])
def test_what_is_no_file_is_kept_like_one(tmp_path: Path, kind: str) -> None:
    """A name that the user gave is told as taken, nobody reads from a pipe; a made name gets a further one."""
    other = tmp_path / "other"
    if kind != "a link to nothing":
        other.write_bytes(b"" if "empty" in kind else b"theirs")
    (made,) = fetched([MP4]).client.download(REF, tmp_path / "clips")
    made.unlink()
    for path in (made, tmp_path / "v.mp4"):
        os.mkfifo(path) if kind == "a pipe" else path.symlink_to(other)
    with pytest.raises(vidpoll.DownloadError, match=r"v\.mp4 exists and is not known to be a file of acme:j1"):
        fetched([MP4]).client.download(REF, tmp_path / "v.mp4")
    (path,) = fetched([MP4]).client.download(REF, tmp_path / "clips")
    assert (path.name, path.read_bytes()) == (f"{made.stem}~2.mp4", MP4)
    assert fetched([MP4]).client.download(REF, tmp_path / "v.mp4", overwrite=True)[0].read_bytes() == MP4
    assert not (tmp_path / "v.mp4").is_symlink()
    assert not other.exists() or other.read_bytes() in (b"", b"theirs")


@pytest.mark.parametrize(
    "job_id",
    ["..\\..\\evil", "a/b/c", "arn:aws:bedrock/x", "x" * 300, "CON", "?*<>|", "日本", "video_bGl0/Y3+1=", "A", "a"],
)
def test_names_are_safe_on_all_systems(job_id: str) -> None:
    """Letters, digits, `-` and `_`, bounded, from the reference and never from the server; a hash keeps them apart."""
    job = Job(f"acme:{job_id}")
    asset = vidpoll.Asset("https://x.example/../../etc/passwd.sh", kind="../Video")
    (place,) = places(job, [Wanted(asset.kind, 1, asset)], "clips")
    path = place.path
    assert path.parent == Path("clips")
    assert re.fullmatch(r"acme(-[A-Za-z0-9_-]+)?-[0-9a-f]{8}-[a-z0-9_-]+", path.name)
    assert len(path.name) < 130
    assert not path.name.startswith(("-", "."))


def test_names_differ_where_references_do() -> None:
    """Also where only what was replaced, or the case, tells them apart; and for several files of one kind."""
    asset = vidpoll.Asset("https://x.example/a.mp4")
    one, two = Wanted("video", 1, asset), Wanted("video", 2, asset)
    refs = ("acme:a/b", "acme:a:b", "acme:A:b", "acme:a-b")
    assert len({places(Job(ref), [one], "x")[0].path.name.lower() for ref in refs}) == 4
    first, second = places(Job("acme:a"), [one, two], "x")
    assert second.path.name == first.path.name + "-2"


def test_a_relative_url_is_joined_to_the_accounts_origin(tmp_path: Path) -> None:
    """And gets the key, since it is the account's own."""
    t = fetched([MP4], done(video="/files/j1.mp4"))
    t.client.download(REF, tmp_path)
    assert t.wire.sent[-1].url == "https://api.acme.example:443/files/j1.mp4"
    assert t.wire.sent[-1].secret == {"Authorization": f"Bearer {KEY}"}


def test_the_key_does_not_go_to_another_host(tmp_path: Path) -> None:
    """A signed URL at a CDN needs none; a host that the plugin names may get it."""
    status = done(video="https://cdn.example/v.mp4?sig=1")
    t = fetched([MP4], status)
    t.client.download(REF, tmp_path)
    assert (t.wire.sent[-1].url, dict(t.wire.sent[-1].secret)) == (status["video"], {})
    t = fetched([MP4], status, provider=replace(ACME, media_hosts=("cdn.example",)), accounts=ACCOUNTS)
    t.client.download(REF, tmp_path, overwrite=True)
    assert t.wire.sent[-1].secret == {"Authorization": f"Bearer {KEY}"}


# -- content ----------------------------------------------------------------------------------------------------------

WITH_CONTENT = replace(
    ACME,
    content=vidpoll.Operation(
        lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}/content"), parse_content, verdicts=(400,)
    ),
)


@pytest.mark.parametrize("content", [MP4, {"url": "https://cdn.example/v.mp4"}])
def test_a_video_may_come_from_the_content_operation(tmp_path: Path, content: Any) -> None:
    """As bytes, or as JSON that names a URL; also for a job of which nothing else is known."""
    script = {"/content": [content], "/jobs": [done()], "cdn.example": [MP4]}
    t = talk(script, provider=WITH_CONTENT, accounts=ACCOUNTS)
    (path,) = t.client.download(REF, tmp_path)
    assert path.read_bytes() == MP4
    assert t.requests[:2] == ["GET /v1/jobs/j1", "GET /v1/jobs/j1/content"]
    assert t.ears.hooks.count("completed") == 1
    t = talk(script, provider=WITH_CONTENT, accounts=ACCOUNTS)
    job = t.client.wait(REF)
    assert t.client.download(job, tmp_path / "again")[0].read_bytes() == MP4


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ((404, {"error": "not yet"}), "HTTP 404: not yet"),
        ((400, {"error": "not yet"}), "no video in the content"),
        ((200, {"content-type": "text/html"}, b"<html>"), "no video in the content"),
        (b"<html>", "no video in the content"),
        ({}, "no video in the content"),
        (NoAnswer("nothing came for 30 s"), "nothing came for 30 s"),
    ],
)
def test_a_content_operation_that_fails(tmp_path: Path, content: Any, says: str) -> None:
    """Is a DownloadError that carries the job; the job stays completed."""
    t = talk({"/content": [content], "/jobs": [done()]}, provider=WITH_CONTENT, accounts=ACCOUNTS)
    with pytest.raises(vidpoll.DownloadError, match=says) as caught:
        t.client.download(REF, tmp_path)
    assert caught.value.job.ok
    assert left(tmp_path) == []


def test_what_a_job_makes_is_what_is_saved(tmp_path: Path) -> None:
    """An audio-only job is not asked for a video: by default all that it makes is saved, and `kinds` are kept to."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        made = (vidpoll.Asset("/files/a.mp3", "audio"), vidpoll.Asset("/files/a.srt", "subtitle"))
        return vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=made, assets_due=False)

    provider = replace(WITH_CONTENT, status=replace(ACME.status, parse=parse))
    script = {"/jobs": [{}], "a.mp3": [b"ID3\x04" + bytes(99)], "a.srt": [b"1\n00:00:00,000 --> 00:00:01,000\nHi"]}
    t = talk(script, provider=provider, accounts=ACCOUNTS)
    assert [path.suffix for path in t.client.download(REF, tmp_path)] == [".mp3", ".srt"]
    with pytest.raises(vidpoll.ResultMissing, match="has no video; it has: audio, subtitle"):
        t.client.download(REF, tmp_path, kinds=("video",))
    assert t.requests == ["GET /v1/jobs/j1", "GET :443/files/a.mp3", "GET :443/files/a.srt", "GET /v1/jobs/j1"]


# -- nothing under the final name -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (HTML, vidpoll.NotAVideo, "a page or an error message"),
        (b'{"error": "expired"}', vidpoll.NotAVideo, "a page or an error message"),
        (b"", vidpoll.NotAVideo, "the video is empty"),
        (b"MZ\x90\x00" * 50, vidpoll.NotAVideo, "not a video or image file"),
        ((404, {"error": "expired"}), vidpoll.DownloadError, "HTTP 404: expired"),
        ((503, {}, b""), vidpoll.DownloadError, "HTTP 503"),
        (NoAnswer("nothing came for 30 s"), vidpoll.DownloadError, "nothing came for 30 s"),
        (ConnectionResetError(), vidpoll.DownloadError, "the connection failed"),
    ],
)
def test_what_is_no_video_is_not_saved(tmp_path: Path, answer: Any, error: type[Exception], says: str) -> None:
    """Nothing lies in the folder, the job is unchanged, and the query of a signed URL is not shown."""
    t = fetched([answer], done(video="https://cdn.example/v.mp4?sig=s3cr3t"))
    with pytest.raises(error, match=says) as caught:
        t.client.download(REF, tmp_path)
    assert left(tmp_path) == []
    assert caught.value.job.ok  # type: ignore[attr-defined]
    assert str(caught.value).startswith("acme:j1: ")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("kind", ["thumbnail", "video"])
def test_a_file_that_was_there_survives_a_failure(tmp_path: Path, kind: str) -> None:
    """`overwrite` replaces a good file by a good file, never by nothing."""
    (tmp_path / "v.mp4").write_bytes(b"old")
    t = fetched([HTML], done(video="/v.mp4", cover="/c.jpg"))
    with pytest.raises(vidpoll.NotAVideo):
        t.client.download(REF, tmp_path / "v.mp4", kinds=(kind,), overwrite=True)
    assert (left(tmp_path), (tmp_path / "v.mp4").read_bytes()) == (["v.mp4"], b"old")


def test_max_bytes(tmp_path: Path) -> None:
    """Bounds each file; one that is larger is not kept."""
    with pytest.raises(vidpoll.DownloadTooLarge, match=r"more than 100 bytes: .*, download it with a larger max_bytes"):
        fetched([MP4]).client.download(REF, tmp_path, max_bytes=100)
    assert left(tmp_path) == []
    assert fetched([MP4]).client.download(REF, tmp_path, max_bytes=len(MP4))


@pytest.mark.parametrize(
    "url", ["ftp://cdn.example/v.mp4", "file:///etc/passwd", "https://me:pw@cdn.example/v", "http://[x"]
)
def test_an_unsafe_url_is_not_fetched(tmp_path: Path, url: str) -> None:
    """http and https alone, and no user data; the error carries the job."""
    t = fetched([MP4], done(video=url))
    with pytest.raises(vidpoll.UnsafeURL, match=r"^acme:j1: ") as caught:
        t.client.download(REF, tmp_path)
    assert (len(t.requests), caught.value.job.ref, "pw" in str(caught.value)) == (1, REF, False)
    assert left(tmp_path) == []


def test_a_file_over_plain_http_is_warned_of_once(tmp_path: Path) -> None:
    """It is fetched all the same: it is paid for, and some providers name it so. Without its query, which signs it."""
    t = fetched([MP4], done(video="http://cdn.example/v.mp4?sig=s3cr3t"))
    with pytest.warns(RuntimeWarning, match=r"acme: its file at cdn\.example comes over plain http") as told:
        assert all(t.client.download(REF, tmp_path, overwrite=True) for _ in range(2))
    assert ["s3cr3t" in str(each.message) for each in told] == [False]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """One line that names the path and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(vidpoll.DownloadError, match=r"acme:j1: cannot write .*file.*: (Not a directory|File exists)"):
        fetched([MP4]).client.download(REF, tmp_path / "file" / "clips")


@pytest.mark.parametrize("name", ["x" * 300 + ".mp4", "x" * 250 + ".mp4", "x" * 300])
def test_a_name_that_is_too_long(tmp_path: Path, name: str) -> None:
    """An error about the file, not one of the system's own."""
    t = fetched([MP4])
    with pytest.raises(vidpoll.DownloadError, match=r"acme:j1: cannot write .*: File name too long; the job is unchan"):
        t.client.download(REF, tmp_path / name)
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["a\0.mp4", "\ud800.mp4"])
def test_a_target_that_is_no_path(tmp_path: Path, name: str) -> None:
    """A zero byte, half a character: the call is wrong, and nothing is fetched."""
    t = fetched([MP4])
    with pytest.raises(vidpoll.UsageError, match="must be a path that this system can have"):
        t.client.download(REF, f"{tmp_path}/{name}")
    assert len(t.requests) == 1


def test_a_folder_with_the_name_of_the_file(tmp_path: Path) -> None:
    """Nothing is put in its place, and nothing is left beside it."""
    t = fetched([MP4])
    (path,) = t.client.download(REF, tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(vidpoll.DownloadError, match=r"cannot write .*video: Is a directory"):
        t.client.download(REF, tmp_path)
    assert left(tmp_path) == [path.name]
    assert [request for request in t.requests if "files" in request] == ["GET /files/j1.mp4"]


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="who may do everything may write everywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    """Told with its path and the way out."""
    tmp_path.chmod(0o500)
    with pytest.raises(vidpoll.DownloadError, match=r"cannot write .*: Permission denied; .* or to another folder"):
        fetched([MP4]).client.download(REF, tmp_path)
    tmp_path.chmod(0o700)


def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file raises in the worker is not the network's fault."""

    class Full(vidpoll.testing.FakeTransport):
        def fetch(self, wire: Any, ticket: Any, start: Any) -> vidpoll.Response:
            raise OSError(28, "No space left on device")

    t = fetched([MP4])
    monkeypatch.setattr(t.client._transport, "sender", Full([]))
    with pytest.raises(
        vidpoll.DownloadError, match=r"cannot write .*video: No space left on device; .* again: vidpoll d"
    ):
        t.client.download(REF, tmp_path)
    assert left(tmp_path) == []


def test_a_download_has_a_deadline(tmp_path: Path) -> None:
    """`timeout=0` fetches nothing; the job is unchanged."""
    t = fetched([MP4])
    with pytest.raises(vidpoll.DownloadError, match="not done in time"):
        t.client.download(REF, tmp_path, timeout=0)
    assert left(tmp_path) == []


# -- jobs without the file --------------------------------------------------------------------------------------------


def test_a_kind_that_is_missing(tmp_path: Path) -> None:
    """ResultMissing names what there is; nothing is fetched."""
    t = fetched([MP4])
    with pytest.raises(vidpoll.ResultMissing, match="acme:j1 has no thumbnail; it has: video"):
        t.client.download(REF, tmp_path, kinds=("video", "thumbnail"))
    assert len(t.requests) == 1
    with pytest.raises(vidpoll.ResultMissing, match="it has: no files at all"):
        fetched([MP4], done()).client.download(REF, tmp_path)


@pytest.mark.parametrize("kinds", ["video", (), []])
def test_kinds_are_a_sequence(tmp_path: Path, kinds: Any) -> None:
    """A plain text would be taken letter by letter."""
    with pytest.raises(vidpoll.UsageError, match="kinds="):
        fetched([MP4]).client.download(REF, tmp_path, kinds=kinds)


def test_a_job_that_is_not_completed(tmp_path: Path) -> None:
    """Its own error where it failed; else the way to wait for it."""
    with pytest.raises(vidpoll.UsageError, match=r"not completed yet; wait for it first: vidpoll.wait\('acme:j1'\)"):
        fetched([MP4], DRAWING).client.download(REF, tmp_path)
    with pytest.raises(vidpoll.JobFailed, match="out of paint"):
        fetched([MP4], BROKEN).client.download(REF, tmp_path)
    assert left(tmp_path) == []


def test_what_a_hook_raises_does_not_end_a_download(tmp_path: Path) -> None:
    """Progress is for displays."""

    def broken(event: vidpoll.DownloadProgress) -> None:
        raise ValueError("no display")

    t = fetched([(200, {"content-length": str(len(MP4))}, MP4)])
    with pytest.warns(RuntimeWarning, match="on_progress raised ValueError"):
        assert t.client.download(REF, tmp_path, on_progress=broken)


# -- over a real socket -----------------------------------------------------------------------------------------------


@pytest.fixture
def cdn() -> Iterator[Callable[..., str]]:
    """Serves one file with the headers given, cut after `sent` bytes; returns its URL."""
    servers: list[ThreadingHTTPServer] = []

    def serve(body: bytes, *, length: int | None = None, location: str | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(302 if location else 200)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                self.close_connection = True
                with contextlib.suppress(OSError):  # the other side has enough
                    for half in (body[: len(body) // 2], body[len(body) // 2 :]):
                        self.wfile.write(half)
                        if len(body) > 1_000_000:  # time to tell how far it is
                            threading.Event().wait(0.2)

            def log_message(self, *args: object) -> None:
                """Silent."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}/v.mp4"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def real(url: str, tmp_path: Path, **options: Any) -> list[Path]:
    """Download `url` with the real transport."""
    job = Job(REF)
    job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset(url),)), 0.0)
    brief: dict[str, Any] = {"http_timeout": (0.5, 0.5), "patience": 0.01}
    accounts = {"acme": vidpoll.Account("acme", base_url="http://127.0.0.1:9", key=KEY)}
    with vidpoll.Client(plugins=[Plugin(ACME)], accounts=accounts, discover=False, **brief) as client:
        return client.download(job, tmp_path, **options)


@both
def test_a_large_file_over_http(cdn: Any, tmp_path: Path) -> None:
    """Whole, with its progress told while it comes."""
    body = MP4 + os.urandom(2_000_000)
    heard: list[Any] = []
    (path,) = real(cdn(body), tmp_path, on_progress=heard.append)
    assert path.read_bytes() == body
    assert len(heard) >= 2
    assert (heard[-1].received, heard[-1].total) == (len(body), len(body))


@both
def test_a_cut_is_not_a_file(cdn: Any, tmp_path: Path) -> None:
    """Fewer bytes than announced: DownloadTruncated, and nothing in the folder."""
    with pytest.raises(vidpoll.DownloadTruncated, match="broke in the middle"):
        real(cdn(MP4 * 100, length=len(MP4) * 200), tmp_path)
    assert left(tmp_path) == []


@both
def test_too_large_over_http(cdn: Any, tmp_path: Path) -> None:
    """The bound holds while it comes, not after."""
    with pytest.raises(vidpoll.DownloadTooLarge):
        real(cdn(MP4 * 10_000), tmp_path, max_bytes=1000)
    assert left(tmp_path) == []


@both
def test_a_redirect_to_a_file_elsewhere(cdn: Any, tmp_path: Path) -> None:
    """Is followed; a loop of them is a DownloadError, one to another scheme an UnsafeURL."""
    (path,) = real(cdn(b"", location=cdn(MP4)), tmp_path)
    assert path.read_bytes() == MP4
    with pytest.raises(vidpoll.DownloadError, match="more than 5 redirects") as caught:
        real(cdn(b"", location="/v.mp4"), tmp_path / "b")
    assert type(caught.value) is vidpoll.DownloadError
    with pytest.raises(vidpoll.UnsafeURL):
        real(cdn(b"", location="ftp://cdn.example/v.mp4"), tmp_path / "c")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    """It is named as what it is, and no other name in it is advised."""
    (tmp_path / "clips").write_text("mine", encoding="utf-8")
    with pytest.raises(vidpoll.DownloadError, match=r"clips is a file, not a folder: name a folder"):
        talk({"/files/": [MP4], "": [DONE]}).client.download(REF, tmp_path / "clips/")


@pytest.mark.parametrize("kinds", [5, "video", [7]])
def test_kinds_that_are_none(kinds: Any, tmp_path: Path) -> None:
    """Told before anything is asked."""
    t = talk([DONE])
    with pytest.raises(vidpoll.UsageError, match="must be a list of kinds"):
        t.client.download(REF, tmp_path, kinds=kinds)
    assert t.requests == []
