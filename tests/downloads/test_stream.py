"""A file at a provider as a stream: what `io` promises, window by window, over scripted and over real HTTP."""

from __future__ import annotations

import gc
import io
import os
import random
import re
import shutil
import tempfile
import threading
import warnings
import wave
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, KEY, MP4, REF, Plugin, Talk, parse_content, talk

import vidpoll
from vidpoll.downloads.kinds import START
from vidpoll.downloads.stream import BOUND, FIRST_WINDOW, LARGEST_WINDOW
from vidpoll.faults import NoAnswer
from vidpoll.testing import FakeTransport

both = pytest.mark.usefixtures("transport")

FILE = MP4 + random.Random(7).randbytes(3_000_000)
LARGE = MP4 + random.Random(8).randbytes(20_000_000)
SIGNED = {"status": "done", "video": "https://cdn.example/v.mp4?sig=s3cr3t"}


class Server(FakeTransport):
    """Serves `data` as the best of servers do. `faults` are played before each next answer; None is a good answer."""

    def __init__(self, data: bytes = FILE, *, status: Any = DONE, faults: Any = (), **how: Any) -> None:
        super().__init__({"/jobs/": [status] if isinstance(status, dict) else status})
        self.data = data
        self.faults = list(faults)
        self.etag: str | None = how.get("etag", '"v1"')
        self.ranges: bool = how.get("ranges", True)
        self.length: bool = how.get("length", True)
        self.spans: list[str] = []
        """What was asked for, in order: a range, or "all"."""

    def _next(self, url: str) -> Any:
        return super()._next(url) if "/jobs/" in url and "/content" not in url else self._file()

    def _file(self) -> Any:
        wanted = self.sent[-1].headers.get("Range", "")
        self.spans.append(wanted.removeprefix("bytes=") or "all")
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            return fault(self) if callable(fault) else fault
        headers = {"etag": self.etag} if self.etag else {}
        if not wanted or not self.ranges:
            length = {"content-length": str(len(self.data))} if self.length else {}
            return vidpoll.Response(200, {**headers, **length}, self.data)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if int(first) >= len(self.data):
            return vidpoll.Response(416, {"content-range": f"bytes */{len(self.data)}"})
        end = min(int(last) + 1, len(self.data))
        headers["content-range"] = f"bytes {first}-{end - 1}/{len(self.data)}"
        return vidpoll.Response(206, headers, self.data[int(first) : end])


def serving(*args: Any, **how: Any) -> Talk:
    return talk((), transport=Server(*args, **how), accounts={"acme": vidpoll.Account("acme", key=KEY)})


def reading(*args: Any, **how: Any) -> Any:
    """The open stream, and the server behind it."""
    t = serving(*args, **how)
    return t.client.open(REF), t.wire


# -- what io promises -------------------------------------------------------------------------------------------------


def test_it_is_a_buffered_binary_stream() -> None:
    """Readable, seekable, and nothing else; it knows its size."""
    stream, _ = reading()
    with stream:
        assert isinstance(stream, io.BufferedReader)
        assert (stream.readable(), stream.seekable(), stream.writable()) == (True, True, False)
        assert (stream.tell(), stream.raw.size) == (0, len(FILE))
        with pytest.raises(io.UnsupportedOperation):
            stream.write(b"x")
    assert stream.closed
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


def test_it_reads_as_a_file_does() -> None:
    """A thousand random seeks and reads against the same bytes in memory."""
    stream, _ = reading()
    twin, dice = io.BytesIO(FILE), random.Random(1)
    with stream:
        for _ in range(1000):
            match dice.randrange(6):
                case 0:
                    offset = dice.randrange(len(FILE) + 100)
                    assert stream.seek(offset) == twin.seek(offset)
                case 1:
                    offset = max(dice.randrange(-70_000, 70_000), -twin.tell())
                    assert stream.seek(offset, os.SEEK_CUR) == twin.seek(offset, os.SEEK_CUR)
                case 2:
                    offset = -dice.randrange(len(FILE))
                    assert stream.seek(offset, os.SEEK_END) == twin.seek(offset, os.SEEK_END)
                case 3:
                    one, two = bytearray(dice.randrange(5000)), bytearray()
                    two = bytearray(len(one))
                    assert (stream.readinto(one), one) == (twin.readinto(two), two)
                case _:
                    size = dice.randrange(100_000)
                    assert stream.read(size) == twin.read(size)
            assert stream.tell() == twin.tell()


def test_the_raw_stream_reads_as_a_raw_one_does() -> None:
    """At most what is in the window, nothing at the end or behind it, nothing into nothing."""
    stream, server = reading()
    with stream:
        raw = stream.raw
        buffer = bytearray(START + 100)
        assert raw.readinto(buffer) == START
        assert raw.readinto(bytearray(0)) == 0
        assert raw.seek(-3, os.SEEK_END) == len(FILE) - 3
        assert (raw.read(10), raw.read(10)) == (FILE[-3:], b"")
        raw.seek(len(FILE) + 10)
        assert (raw.read(1), raw.tell()) == (b"", len(FILE) + 10)
        assert raw.readinto(memoryview(bytearray(4)).cast("I")) == 0
        assert len(server.spans) == 2


@pytest.mark.parametrize(("offset", "whence"), [(-1, 0), (-1, 1), (-len(FILE) - 1, 2), (0, 3), (0, -1)])
def test_a_seek_to_nowhere(offset: int, whence: int) -> None:
    """Is a ValueError, as with a file, and moves nothing."""
    stream, _ = reading()
    with stream:
        with pytest.raises(ValueError, match=r"offset|whence"):
            stream.raw.seek(offset, whence)
        assert stream.raw.tell() == 0


def test_a_whole_read() -> None:
    """`read()` and `copyfileobj` give the file."""
    stream, _ = reading()
    with stream, io.BytesIO() as copy:
        assert stream.read() == FILE
        stream.seek(0)
        shutil.copyfileobj(stream, copy)
        assert copy.getvalue() == FILE


def test_real_readers() -> None:
    """A zip archive and a sound, by the standard library's own readers, which seek to and fro."""
    packed, sound = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "hello")
        archive.writestr("b.bin", FILE[:500_000])
    with wave.open(sound, "wb") as tones:
        tones.setnchannels(1)
        tones.setsampwidth(2)
        tones.setframerate(8000)
        tones.writeframes(bytes(range(250)) * 1000)
    mesh = vidpoll.Asset("/mesh.zip", "mesh")
    with serving(packed.getvalue()).client as client, client.open(REF, asset=mesh) as stream:
        archive = zipfile.ZipFile(stream)
        assert archive.testzip() is None
        assert archive.read("a.txt") == b"hello"
    speech = vidpoll.Asset("/a.wav", "audio")
    with serving(sound.getvalue()).client as client, client.open(REF, asset=speech) as stream:
        with wave.open(stream) as tones:
            assert (tones.getnframes(), tones.readframes(125)) == (125_000, bytes(range(250)))


# -- windows ----------------------------------------------------------------------------------------------------------


def test_windows_grow_while_it_is_read_in_order() -> None:
    """Few requests for a whole file, small ones for a peek; each byte is fetched once."""
    stream, server = reading(LARGE)
    with stream:
        assert stream.read() == LARGE
    sizes = [int(last) + 1 - int(first) for first, last in (span.split("-") for span in server.spans)]
    assert sizes[:6] == [START, *(FIRST_WINDOW << n for n in range(5))]
    assert sizes[5:-1] == [LARGEST_WINDOW] * (len(sizes) - 6)
    assert sum(sizes) == len(LARGE)


def test_a_seek_costs_one_small_window() -> None:
    """And nothing at all within the window, or where nothing is read."""
    stream, server = reading(LARGE)
    with stream:
        raw = stream.raw
        raw.seek(10_000_000)
        raw.seek(5_000_000)
        assert raw.read(5) == LARGE[5_000_000:5_000_005]
        raw.seek(5_000_000 + 100_000)
        assert raw.read(5) == LARGE[5_100_000:5_100_005]
        raw.seek(5_000_000)
        assert raw.read(1) == LARGE[5_000_000:5_000_001]
        assert server.spans == [f"0-{START - 1}", f"5000000-{5_000_000 + FIRST_WINDOW - 1}"]
        raw.seek(4_999_999)
        raw.read(1)
        assert server.spans[2] == f"4999999-{4_999_999 + FIRST_WINDOW - 1}"


def test_the_last_window_ends_where_the_file_does() -> None:
    """No byte behind the end is asked for."""
    stream, server = reading()
    with stream:
        stream.seek(-10, os.SEEK_END)
        assert stream.read() == FILE[-10:]
    assert server.spans[1:] == [f"{len(FILE) - 10}-{len(FILE) - 1}"]


def test_each_window_is_of_the_same_file() -> None:
    """If-Range goes along, and the key exactly where it belongs."""
    stream, server = reading()
    with stream:
        stream.read(100_000)
    one, two = [wire for wire in server.sent if "/jobs/" not in wire.url]
    assert (dict(one.headers), dict(two.headers)["If-Range"]) == ({"Range": f"bytes=0-{START - 1}"}, '"v1"')
    assert one.secret == two.secret == {"Authorization": f"Bearer {KEY}"}
    stream, server = reading(status=SIGNED)
    with stream:
        stream.read(100_000)
    assert [dict(wire.secret) for wire in server.sent if "cdn" in wire.url] == [{}, {}]


def test_a_small_file_is_one_request() -> None:
    """What the first question brought is all there is."""
    stream, server = reading(MP4)
    with stream:
        assert (stream.read(), stream.raw.size) == (MP4, len(MP4))
    assert server.spans == [f"0-{START - 1}"]


# -- servers without ranges -------------------------------------------------------------------------------------------


def test_without_ranges_it_is_fetched_once() -> None:
    """Into a temporary file; seeking then costs nothing."""
    stream, server = reading(ranges=False, etag=None)
    with stream:
        stream.seek(-5, os.SEEK_END)
        assert stream.read() == FILE[-5:]
        stream.seek(0)
        assert (stream.read(), stream.raw.size) == (FILE, len(FILE))
    assert len(server.spans) == 1


def test_chunks_are_as_good_as_a_length() -> None:
    """For a server without ranges."""
    chunked = vidpoll.Response(200, {"transfer-encoding": "chunked"}, FILE)
    stream, _ = reading(faults=[chunked])
    with stream:
        assert stream.read() == FILE


def test_without_ranges_and_length_it_cannot_be_read() -> None:
    """It might have been cut; `download` may find out whether it was."""
    with pytest.raises(vidpoll.DownloadTruncated, match=r"how long the file is; the job is unchanged, download it$"):
        reading(ranges=False, length=False)


def test_a_cut_of_the_whole_file_is_no_file() -> None:
    """It is fetched again, from its start."""

    def cut(server: Server) -> Any:
        return vidpoll.Response(200, {"content-length": str(len(FILE))}, FILE[:1_000_000])

    stream, server = reading(ranges=False, faults=[cut, cut])
    with stream:
        assert stream.read() == FILE
    assert len(server.spans) == 3


def test_a_server_that_loses_its_ranges() -> None:
    """In the middle: the whole file is fetched; where that was cut and ranges are back, windows go on."""

    def whole(server: Server, sent: int = len(FILE)) -> Any:
        return vidpoll.Response(200, {"content-length": str(len(FILE)), "etag": '"v1"'}, FILE[:sent])

    stream, server = reading(faults=[None, whole])
    with stream:
        assert stream.read() == FILE
        assert len(server.spans) == 2
    stream, server = reading(faults=[None, lambda server: whole(server, 1000)])
    with stream:
        assert stream.read() == FILE
        assert stream.raw.size == len(FILE)


@pytest.mark.parametrize(
    "span",
    ["bytes 0-100/{size}", "bytes 0-{last}/*", "bytes 512-{last}/{size}", "bytes 512-{beyond}/*", "bytes */{size}"],
)
def test_other_ranges_than_asked_for(span: str) -> None:
    """Are never read as what was asked for: no other start, no more than the window, no part of the whole."""

    def wrong(server: Server) -> Any:
        said = span.format(size=len(FILE), last=len(FILE) - 1, beyond=len(FILE) * 2)
        return vidpoll.Response(206, {"content-range": said, "etag": '"v1"'}, FILE[512:])

    stream, _ = reading(faults=[None, wrong])
    with stream, pytest.raises(vidpoll.DownloadChanged):
        stream.read(5000)
    with pytest.raises(vidpoll.DownloadError, match="a range that was not requested; the job is unchanged, download"):
        reading(faults=[lambda server: vidpoll.Response(206, {"content-range": "bytes 7-9/99"}, b"abc")])


def test_206_with_the_whole_file() -> None:
    """A server that answers 206 to everything, with everything."""
    everything = {"content-range": f"bytes 0-{len(FILE) - 1}/{len(FILE)}"}
    stream, _ = reading(faults=[vidpoll.Response(206, everything, FILE)])
    with stream:
        assert stream.read() == FILE


def test_a_range_without_a_total() -> None:
    """How long the file is cannot be told: not readable as a stream."""
    with pytest.raises(vidpoll.DownloadError, match="how long the file is"):
        reading(faults=[vidpoll.Response(206, {"content-range": "bytes 0-511/*"}, FILE[:512])])


def test_no_room_for_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder that is full, and the job."""

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(vidpoll.DownloadError, match=r"acme:j1: .*no room for it in .*: No space left on device"):
        reading(ranges=False)


# -- files that are none, or change -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [True, False])
def test_the_whole_file_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch, length: bool) -> None:
    """Nor the memory, where the folder for temporary files is some: nine tenths of the room are the most."""
    usage = type("Usage", (), {"free": len(FILE), "total": len(FILE) * 2})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(vidpoll.DownloadError, match=r"acme:j1: .*no room for it in .*: No space left on device"):
        serving(ranges=False, length=length).client.open(REF)
    usage.free = len(FILE) * 10 // 9 + 1
    if length:
        assert reading(ranges=False)[0].read() == FILE


@pytest.mark.parametrize("data", [b"", b"<html>expired</html>", b'{"error": 1}', b"MZ" * 500])
@pytest.mark.parametrize("ranges", [True, False])
def test_what_is_no_video_is_not_opened(data: bytes, ranges: bool) -> None:
    """An empty file, a page, another kind of file."""
    with pytest.raises(vidpoll.NotAVideo, match=r"acme:j1: .*the video is "):
        reading(data, ranges=ranges)


@pytest.mark.parametrize("etag", ['"v2"', None])
def test_a_file_that_changed(etag: str | None) -> None:
    """Its parts would not fit together: DownloadChanged, by ETag or by length, and for as long as it is read."""
    stream, server = reading(etag='"v1"' if etag else None)
    with stream:
        assert stream.read(100) == FILE[:100]
        server.data, server.etag = FILE + b"more", etag
        for _ in range(2):
            with pytest.raises(vidpoll.DownloadChanged, match=r"changed while it was read; .* open it again"):
                stream.read(100_000)


def test_a_file_that_changed_at_a_server_that_says_so() -> None:
    """If-Range did not hold: 200 and another file. It is not mixed with the first one."""
    stream, server = reading()
    with stream:
        stream.read(100)
        server.data, server.etag, server.ranges = MP4 + FILE, '"v2"', False
        stream.seek(1000)
        with pytest.raises(vidpoll.DownloadChanged):
            stream.read(10)


# -- faults and fresh URLs --------------------------------------------------------------------------------------------


def test_blips_cost_one_window() -> None:
    """And are borne, in each window anew."""
    bad = [(503, {}, b""), NoAnswer("lost"), (429, {"retry-after": "7"}, b"")]
    cut = [
        lambda server: vidpoll.Response(
            206, {"etag": '"v1"', "content-range": f"bytes 512-1999/{len(FILE)}"}, FILE[512:1000]
        )
    ]
    t = serving(faults=[*bad, None, *cut, *bad])
    with t.client.open(REF) as stream:
        assert stream.read() == FILE
    assert t.clock.waits == [0.5, 0.5, 7.0, 0.5, 0.5, 0.5, 7.0]


def test_faults_are_bounded_by_patience() -> None:
    """Then a DownloadError; the stream can be read on when the provider is back."""
    t = serving(faults=[None] + [(503, {}, b"")] * 2000)
    with t.client.open(REF) as stream:
        with pytest.raises(vidpoll.DownloadError, match=r"HTTP 503.* again and again for 6\d\d s"):
            stream.read(5000)
        t.wire.faults = []  # type: ignore[attr-defined]
        assert stream.raw.read(10) == FILE[512:522]


def test_a_hint_does_not_hold_a_reader_for_ever() -> None:
    """A window has an hour."""
    t = serving(faults=[None, (503, {"retry-after": "3000"}, b""), (503, {"retry-after": "3000"}, b"")])
    with t.client.open(REF) as stream:
        with pytest.raises(vidpoll.DownloadError, match="not done in time"):
            stream.read(5000)
    assert sum(t.clock.waits) == BOUND


def test_faults_long_ago_do_not_count() -> None:
    """A window that came is a good answer, also one before the furthest that was read."""
    lost = NoAnswer("lost")
    t = serving(LARGE, faults=[step for _ in range(6) for step in (None, lost)])
    with t.client.open(REF) as stream:
        for number in range(5, 0, -1):
            t.clock.now += 400.0
            stream.seek(number * 1_000_000)
            assert stream.read(5) == LARGE[number * 1_000_000 :][:5]


def test_an_expired_url_in_the_middle() -> None:
    """Is replaced by one poll, and the reader sees nothing of it."""
    fresh = {"status": "done", "video": "https://cdn.example/v.mp4?sig=fresh"}
    t = serving(status=[SIGNED, fresh], faults=[None, (403, {}, b"<Error/>")])
    with t.client.open(REF) as stream:
        assert stream.read() == FILE
    assert {wire.url for wire in t.wire.sent[3:]} == {"https://api.acme.example/v1/jobs/j1", fresh["video"]}


def test_a_url_that_is_gone() -> None:
    """ResultMissing, with the reason, without the query."""
    t = serving(status=[SIGNED, {"status": "done"}], faults=[None] + [(404, {}, b"")] * 9)
    with t.client.open(REF) as stream, pytest.raises(vidpoll.ResultMissing, match="acme:j1: the video is gone") as told:
        stream.read()
    assert "s3cr3t" not in str(told.value)


def test_the_content_operation_as_a_stream() -> None:
    """Where the record names no video."""
    content = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}/content"), parse_content)
    t = talk(
        (),
        transport=Server(status={"status": "done"}),
        provider=replace(ACME, content=content),
        accounts={"acme": vidpoll.Account("acme", key=KEY)},
    )
    with t.client.open(REF) as stream:
        assert stream.read() == FILE


def test_bytes_that_the_answer_brought() -> None:
    """`Asset.data` needs no network."""
    t = serving()
    job = t.client.wait(REF)
    for data in (MP4, FILE):
        with t.client.open(job, asset=vidpoll.Asset(data=data)) as stream:
            stream.seek(50)
            assert stream.read() == data[50:]
    assert len(t.wire.sent) == 1


# -- life and death ---------------------------------------------------------------------------------------------------


def test_a_closed_client() -> None:
    """Is told as such, also by what is in the window; closing the stream goes on working."""
    t = serving()
    stream = t.client.open(REF)
    t.client.close()
    for use in (lambda: stream.read(5), lambda: stream.raw.seek(0), stream.raw.tell):
        with pytest.raises(vidpoll.UsageError, match="the client of this stream is closed"):
            use()
    stream.close()


def test_a_job_is_not_changed_by_reading() -> None:
    """Nor do hooks hear of it."""
    t = serving()
    job = t.client.wait(REF)
    told = list(t.ears.told)
    with t.client.open(job) as stream:
        stream.read()
    assert (job.ok, t.ears.told) == (True, told)


@pytest.mark.parametrize("how", [{}, {"ranges": False}, {"ranges": False, "length": False}, {"data": b"<html>"}])
def test_nothing_is_left_open(how: dict[str, Any]) -> None:
    """Neither by a stream that nobody closed, nor by one that could not be opened: no ResourceWarning."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            stream, _ = reading(**how)
            stream.read(10)
            del stream
        except vidpoll.DownloadError:
            pass
        gc.collect()
    assert [str(each.message) for each in heard] == []


@pytest.mark.parametrize("asset", ["/v.mp4", 1, vidpoll.Job(REF)])
def test_what_is_no_asset(asset: Any) -> None:
    """The message says what is due."""
    with pytest.raises(vidpoll.UsageError, match=r"must be one of job\.assets"):
        serving().client.open(REF, asset=asset)


def test_a_job_that_is_not_completed() -> None:
    """Is not opened: the way to wait for it is named."""
    t = serving(status={"status": "drawing"})
    with pytest.raises(vidpoll.UsageError, match=r"not completed yet; wait for it first"):
        t.client.open(REF)


# -- over real HTTP ---------------------------------------------------------------------------------------------------


@pytest.fixture
def origin() -> Iterator[str]:
    """A real server of FILE, with ranges."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (int(span[1]), int(span[2] or len(FILE) - 1)) if span else (0, len(FILE) - 1)
            body = FILE[first : last + 1]
            self.send_response(206 if span else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"v1"')
            if span:
                self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(FILE)}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v.mp4"
        server.shutdown()


@both
def test_copyfileobj_over_http(origin: str, tmp_path: Path) -> None:
    """The real transport, and connections that are kept between windows."""
    job = vidpoll.Job(REF)
    job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset(origin),)), 0.0)
    accounts = {"acme": vidpoll.Account("acme", base_url="http://127.0.0.1:9", key=KEY)}
    with vidpoll.Client(plugins=[Plugin(ACME)], accounts=accounts, discover=False) as client:
        with client.open(job) as stream, (tmp_path / "copy.mp4").open("wb") as copy:
            shutil.copyfileobj(stream, copy)
    assert (tmp_path / "copy.mp4").read_bytes() == FILE
