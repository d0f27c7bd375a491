"""Files over raw sockets as real servers give them: odd labels, refused ranges, URLs with spaces, hosts of their own.

What is decided by data alone is tested in tests/downloads; here the bytes go over the wire.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest
from acme_provider import ACME, DONE, KEY, REF, Plugin, parse_content
from raw_server import Act, Chaos, answers, chaos, says

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.net.workers import Ticket
from vidpoll.testing.fakes import ScaledClock

pytestmark = pytest.mark.usefixtures("transport")

FILM = struct.pack(">I4s8x", 16, b"ftyp") + struct.pack(">I4s8x", 16, b"moov") + struct.pack(">I4s", 8, b"mdat")
FREE = b"\x00\x00\x00\x08free"


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def quick(server: Chaos, *, content: bool = False) -> vidpoll.Client:
    """A client of an account at the server, for which a pause of a minute is over in a tenth of a second."""
    operation = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}/content"), parse_content)
    provider = replace(ACME, content=operation if content else None)
    account = vidpoll.Account("acme", base_url=server.url, key=KEY)
    return vidpoll.Client(
        plugins=[Plugin(provider)], accounts={"acme": account}, discover=False, clock=ScaledClock(500.0)
    )


def file(body: bytes, head: str = "", status: int = 200) -> Act:
    return says(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}Connection: close\r\n\r\n".encode(), body)


def named(url: str) -> Act:
    return answers({**DONE, "video": url})


def lines(server: Chaos) -> list[str]:
    """What the request lines name."""
    return [head.split()[1] for head in server.heads]


@pytest.mark.parametrize("coding", ["aws-chunked", "utf-8", "base64", "aws-chunked,utf-8", "gzip"])
def test_a_coding_that_the_bytes_are_not_in_costs_nothing(tmp_path: Path, coding: str) -> None:
    """The first bytes are those of a video, so it is one."""
    with chaos(named("/v.mp4"), file(FILM, f"Content-Encoding: {coding}\r\n")) as server, quick(server) as user:
        assert user.download(REF, tmp_path)[0].read_bytes() == FILM


def test_a_large_video_of_the_content_operation_as_text(tmp_path: Path) -> None:
    """A store that knows no MP4 calls it text: it is streamed, past the bound of documents."""
    film = FILM + FREE * 700_000
    script = (answers({"status": "done"}), file(film, "Content-Type: text/plain\r\n"))
    with chaos(*script) as server, quick(server, content=True) as user:
        assert user.download(REF, tmp_path)[0].stat().st_size == len(film)
        assert lines(server).count("/jobs/j1/content") == 1


def test_a_document_of_the_content_operation_without_end(tmp_path: Path) -> None:
    """Is told at its bound, once."""
    page = file(b"<html>" + b"x" * 5_000_000, "Content-Type: video/mp4\r\n")
    with chaos(answers({"status": "done"}), page) as server, quick(server, content=True) as user:
        with pytest.raises(vidpoll.DownloadError, match=r"more than 4,194,304 bytes; the job is unchanged$"):
            user.download(REF, tmp_path)
        assert lines(server).count("/jobs/j1/content") == 1


def test_a_host_that_refuses_every_range(tmp_path: Path) -> None:
    """A cut, 403 to the Range, 403 after a fresh URL: then the whole file, in one call."""
    no = file(b"<Error><Code>AccessDenied</Code></Error>", "Content-Type: application/xml\r\n", 403)
    head = f'HTTP/1.1 200 X\r\nETag: "a"\r\nContent-Length: {len(FILM) + 800}\r\nConnection: close\r\n\r\n'.encode()
    script = (named("/v.mp4"), says(head, FILM), no, named("/v.mp4"), no, file(FILM + FREE * 100))
    with chaos(*script) as server, quick(server) as user:
        assert user.download(REF, tmp_path)[0].read_bytes() == FILM + FREE * 100
        ranged = [f"range: bytes={len(FILM)}-" in head.lower() for head in server.heads]
    assert ranged == [False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("/out/my video 1.mp4", "/out/my%20video%201.mp4"),
        ("/视频.mp4\n", "/%E8%A7%86%E9%A2%91.mp4"),
        ("/a|b{1}", "/a%7Cb%7B1%7D"),
    ],
)
def test_a_url_as_the_web_has_it(tmp_path: Path, written: str, line: str) -> None:
    """Is asked as a browser asks it."""
    with chaos(named(written), file(FILM)) as server, quick(server) as user:
        assert user.download(REF, tmp_path)[0].read_bytes() == FILM
        assert lines(server) == ["/jobs/j1", line]


def test_a_redirect_to_a_nearer_host_is_not_followed(tmp_path: Path) -> None:
    """A server that is not on this machine sends to it: nothing is connected to."""
    with chaos(file(FILM)) as inner, chaos(file(b"", f"Location: {inner.url}/admin\r\n", 302)) as outer:
        with quick(outer) as user:
            context = user._state("acme").opened
            context.origin = ("http", "10.0.0.5", 80)  # where it says that it is
            transport, wire = user._transport, context.media("http://10.0.0.5/v.mp4", {}, timeout=(1.0, 1.0))
            with pytest.raises(
                NoAnswer, match=r"a redirect to an address of this network \(127\.0\.0\.1\).*private_media=True"
            ):
                transport.send(wire._replace(url=f"{outer.url}/v.mp4"), Ticket(lambda ticket: None, Queue()))
        assert inner.heads == []
