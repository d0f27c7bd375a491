"""Downloads over raw sockets: whatever network, server, disk or user do, a file is whole or not there.

A `Source` serves versions of a file and plays one trick with each request. Its clock is real, that of the client runs
faster where there are only pauses to be waited for. Processes are killed for real.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, KEY, REF, Plugin
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_server import SELF_SIGNED, Act, Chaos, answers, chaos, says

import vidpoll
from vidpoll.testing.fakes import ScaledClock

pytestmark = pytest.mark.usefixtures("transport")

DATE = "Sun, 22 Nov 2026 10:00:00 GMT"
LOCAL = "http://127.0.0.1:9"
"""An account on this machine: one on the public net may name no file here."""


def mp4(size: int, seed: int) -> bytes:
    """A seeded random file of `size` bytes whose boxes say where it ends."""
    data = random.Random(seed).randbytes(size - 40)
    head = struct.pack(">I4s8x", 16, b"ftyp") + struct.pack(">I4s8x", 16, b"moov")
    return head + struct.pack(">I4s", 8 + len(data), b"mdat") + data


@dataclass(frozen=True)
class Trick:
    """What is done with one request. `cut`: how much of the body is sent, as a share of what was announced."""

    cut: float | None = None
    how: str = "close"
    """How it is cut: "close" or "reset"."""
    frame: str = "length"
    """How its end is told: "length", "chunks", "none"."""
    announced: int = 0
    """Bytes by which Content-Length lies. One that is too small shows at a 206 only, whose range tells more."""
    tag: str = "strong"
    """Which validator comes along: "strong", "weak", "date", "none"."""
    ranges: str = "yes"
    """What becomes of Range: "yes", "ignored", "shifted", "total", "unsaid", "forced" (whatever If-Range says)."""
    status: int = 200
    changes: bool = False
    """Whether the file becomes its next version just before."""
    drips: bool = False


GOOD = Trick()


class Source(Chaos):
    """Serves `versions` of a file, one trick for each request, the last one for ever."""

    def __init__(self, versions: Sequence[bytes], tricks: Sequence[Trick] = (GOOD,), pause: float = 0.0) -> None:
        self.versions = list(versions)
        self.at = 0
        self.tricks = list(tricks)
        self.pause = pause
        self.special: list[Act] = []
        """Played before the tricks."""
        self.answer: Callable[[str], Act] | None = None
        """What else makes an act of a head."""
        super().__init__([])

    @property
    def ranges(self) -> list[str | None]:
        """What was asked for, in order."""
        return [header(head, "range") for head in self.heads]

    def _next(self, head: str) -> Act:
        with self._lock:
            self.heads.append(head)
            if self.special:
                return self.special.pop(0)
            if self.answer is not None:
                return self.answer(head)
            trick = self.tricks[0] if len(self.tricks) == 1 else self.tricks.pop(0)
            self.at += trick.changes
            number = self.at % len(self.versions)
            return Act(lambda connection, ended: self._play(trick, number, head, connection, ended))

    def _play(self, trick: Trick, number: int, head: str, connection: socket.socket, ended: threading.Event) -> None:
        data, etag = self.versions[number], f'"v{number}"'
        date = f"Sat, 21 Nov 2026 10:00:{number:02} GMT"
        lines = {"strong": [f"ETag: {etag}"], "weak": [f"ETag: W/{etag}"], "date": [f"Last-Modified: {date}"]}
        lines = [f"Date: {DATE}", "Connection: close", *lines.get(trick.tag, [])]
        status, first, body = trick.status, 0, data
        wanted = re.fullmatch(r"bytes=(\d+)-", header(head, "range") or "")
        condition = header(head, "if-range") in (None, etag, date) or trick.ranges == "forced"
        if status != 200:
            body = b"<html>no</html>"
        elif wanted and condition and trick.ranges != "ignored":
            first = int(wanted[1]) + (trick.ranges == "shifted")
            body, total = data[first:], len(data) + (trick.ranges == "total")
            status = 206 if body else 416
            span = f"{first}-{len(data) - 1}" if body else "*"
            lines += [f"Content-Range: bytes {span}/{total}"] * (trick.ranges != "unsaid")
        if trick.frame == "length":
            lie = trick.announced if status == 206 else max(0, trick.announced)
            lines.append(f"Content-Length: {max(0, len(body) + lie)}")
        elif trick.frame == "chunks":
            lines.append("Transfer-Encoding: chunked")
            pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)] + [b""]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        connection.sendall("\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode())
        sent = body if trick.cut is None else body[: int(len(body) * trick.cut)]
        step = max(1, len(sent) // 20) if trick.drips else 16_384
        for at in range(0, len(sent), step):
            connection.sendall(sent[at : at + step])
            if (self.pause or trick.drips) and ended.wait(self.pause or 0.001):
                return
        if trick.how == "reset":
            ended.wait(0.002)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def header(head: str, name: str) -> str | None:
    found = re.search(rf"(?im)^{name}: *(.*?)\r?$", head)
    return found[1] if found else None


@contextlib.contextmanager
def source(*args: Any, **how: Any) -> Iterator[Source]:
    server = Source(*args, **how)
    try:
        yield server
    finally:
        server.close()


def client(**options: Any) -> vidpoll.Client:
    options.setdefault("http_timeout", (0.4, 0.4))
    accounts = {"acme": vidpoll.Account("acme", base_url=options.pop("base_url", LOCAL), key=KEY)}
    return vidpoll.Client(plugins=[Plugin(ACME)], accounts=accounts, discover=False, **options)


def quick(speed: float = 500.0, **options: Any) -> vidpoll.Client:
    """A client for which a pause of a minute is over in a tenth of a second; requests take what they take."""
    return client(clock=ScaledClock(speed), http_timeout=(5.0, 5.0), **options)


def job(url: str, ref: str = REF, **asset: Any) -> vidpoll.Job:
    """A completed job with a video at `url`."""
    found = vidpoll.Job(ref)
    found.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset(url, **asset),)), 0.0)
    return found


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and the chaos server's certificate counts."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(SELF_SIGNED))


# -- whatever the server does -----------------------------------------------------------------------------------------

VERSIONS = [mp4(size, seed) for seed, size in enumerate((300_001, 300_001, 299_000, 4_000))]

tricks = st.builds(
    Trick,
    cut=st.none() | st.floats(0, 1),
    how=st.sampled_from(["close", "reset"]),
    frame=st.sampled_from(["length", "length", "chunks", "none"]),
    announced=st.sampled_from([0, 0, 0, 1, -1, 1000, -1000]),
    tag=st.sampled_from(["strong", "strong", "weak", "date", "none"]),
    ranges=st.sampled_from(["yes", "yes", "yes", "ignored", "shifted", "total", "unsaid", "forced"]),
    status=st.sampled_from([200, 200, 200, 200, 200, 500, 503, 429, 408]),
    changes=st.sampled_from([False, False, False, True]),
    drips=st.sampled_from([False, False, False, True]),
)


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=st.lists(tricks, max_size=8), ends=st.sampled_from([GOOD, GOOD, Trick(status=503), None]))
def test_a_file_is_a_version_of_its_source_or_not_there(script: list[Trick], ends: Trick | None) -> None:
    """Cut, reset, dripped, mislabelled, changed, in chunks, without a length, with lies about ranges: in the end the
    target is byte for byte one version of the source, or does not exist. A second run, at a server that is well, gets
    it in any case, with what the first one left.
    """
    script = script if ends is None else [*script, ends]
    with tempfile.TemporaryDirectory() as name, source(VERSIONS, script or [GOOD]) as server:
        folder, target = Path(name), Path(name, "v.mp4")
        url = f"{server.url}/v.mp4"
        with quick(patience=60.0) as user:
            with contextlib.suppress(vidpoll.DownloadError):
                user.download(job(url), target, timeout=600.0)
                assert target.exists()
            if target.exists():
                assert target.read_bytes() in VERSIONS
                assert left(folder) == ["v.mp4"]
                target.unlink()
            assert set(left(folder)) <= {"v.mp4.part", "v.mp4.part.json"}
            server.tricks = [GOOD]
            assert user.download(job(url), target) == [target]
            assert target.read_bytes() in VERSIONS
            assert left(folder) == ["v.mp4"]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_cuts_are_gone_on_with(tmp_path: Path, how: str) -> None:
    """However the connection breaks: no byte is fetched twice but those that a reset took along (256 KiB a cut)."""
    data = mp4(4_000_000, 5)
    cuts = [Trick(cut=share, how=how) for share in (0.3, 0.5, 0.4)]
    with source([data], [*cuts, GOOD]) as server, quick() as user:
        (path,) = user.download(job(f"{server.url}/v.mp4"), tmp_path)
    assert path.read_bytes() == data
    assert [server.ranges[0], len(server.ranges)] == [None, 4]
    offsets = [int((span or "bytes=0-")[6:-1]) for span in server.ranges]
    expected = [0, 1_200_000, 2_600_000, 3_160_000]
    assert offsets == expected if how == "close" else offsets == sorted(offsets)
    assert how == "close" or offsets[-1] > 2_000_000


@pytest.mark.parametrize("how", ["close", "reset", "silence"])
def test_a_line_that_breaks_all_the_time(tmp_path: Path, how: str) -> None:
    """Every 60,000 bytes, which is less than what is read at once: what has arrived counts, so it gets there."""
    data = mp4(300_000, 16)

    def breaking(span: str) -> Act:
        first = int(span[6:-1])
        head = f"HTTP/1.1 206 X\r\nContent-Range: bytes {first}-{len(data) - 1}/{len(data)}\r\n" if first else ""
        head = (head or "HTTP/1.1 200 X\r\n") + f'ETag: "v0"\r\nContent-Length: {len(data) - first}\r\n\r\n'

        def play(connection: socket.socket, ended: threading.Event) -> None:
            connection.sendall(head.encode() + data[first : first + 60_000])
            ended.wait(0.05)
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how == "silence" and first + 60_000 < len(data):
                ended.wait(1.0)

        return Act(play)

    with source([data]) as server, quick() as user:
        server.answer = lambda head: breaking(header(head, "range") or "bytes=0-")
        user._loop.http_timeout = (0.3, 0.3)
        (path,) = user.download(job(f"{server.url}/v.mp4"), tmp_path, timeout=5000)
        assert server.ranges == [None, *(f"bytes={first}-" for first in range(60_000, 300_000, 60_000))]
    assert path.read_bytes() == data


def test_a_silence_in_the_middle(tmp_path: Path) -> None:
    """Is over after the read timeout; the download goes on where it stopped."""
    data = mp4(1_000_000, 6)
    head = f'HTTP/1.1 200 X\r\nContent-Length: {len(data)}\r\nETag: "v0"\r\n\r\n'.encode()

    def silent(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(head + data[:600_000])
        ended.wait(5)

    with source([data]) as server:
        server.special = [Act(silent)]
        began = time.monotonic()
        with client() as user:
            (path,) = user.download(job(f"{server.url}/v.mp4"), tmp_path)
        assert time.monotonic() - began < 3
    assert path.read_bytes() == data
    assert [span is None for span in server.ranges] == [True, False]


FLOOD = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"


def endless(head: bytes, piece: bytes, pause: float) -> Act:
    """Sends `head`, and pieces until the other side goes away."""

    def play(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(head)
        while not ended.wait(pause):
            connection.sendall(piece)

    return Act(play)


def test_a_body_that_never_ends(tmp_path: Path) -> None:
    """Ends at `max_bytes`, and nothing of it is kept."""
    piece = b"4000\r\n" + mp4(16_384, 7) + b"\r\n"
    with chaos(endless(FLOOD, piece, 0)) as server, client() as user:
        with pytest.raises(vidpoll.DownloadTooLarge, match="more than 3,000,000 bytes"):
            user.download(job(f"{server.url}/v.mp4"), tmp_path, max_bytes=3_000_000)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "act",
    [
        endless(FLOOD, b"4\r\n\x00\x00\x00\x18\r\n", 0.01),
        endless(b"HTTP/1.1 200 X\r\nContent-Length: 99999999\r\n\r\n", b"x", 0.01),
        endless(b"HTTP/1.1 200 X\r\nX-Filler: ", b"y", 0.01),
        endless(b"HTTP/1.1 503 X\r\nContent-Length: 999999\r\n\r\n", b"x", 0.01),
    ],
    ids=["chunks", "length", "head", "refusal"],
)
def test_a_drip_ends_at_the_deadline(tmp_path: Path, act: Act) -> None:
    """Whatever trickles in, for ever: the caller is free at its deadline."""
    with chaos(act) as server, client() as user:
        began = time.monotonic()
        with pytest.raises(vidpoll.DownloadError, match="not done in time"):
            user.download(job(f"{server.url}/v.mp4"), tmp_path, timeout=0.6)
        assert 0.5 < time.monotonic() - began < 10
    assert left(tmp_path) == []


def test_a_file_in_a_content_coding(tmp_path: Path) -> None:
    """It was not asked for, and its length is not that of the file: told at once, not guessed at."""
    zipped = answers(b"\x1f\x8b\x08\x00" + bytes(100), head="Content-Encoding: gzip\r\n")
    with chaos(zipped) as server, client() as user:
        with pytest.raises(vidpoll.DownloadError, match="in the content coding gzip, which was not requested; the job"):
            user.download(job(f"{server.url}/v.mp4"), tmp_path)
        assert len(server.heads) == 1
        assert header(server.heads[0], "accept-encoding") == "identity"
    assert left(tmp_path) == []


# -- redirects --------------------------------------------------------------------------------------------------------


def to(target: str) -> Act:
    return says(f"HTTP/1.1 302 Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())


def test_a_redirect_takes_the_range_along_and_not_the_key(tmp_path: Path) -> None:
    """The account's own origin sends to a host for files: first with the key, then without, both with the Range."""
    data = mp4(100_000, 8)
    with source([data], [Trick(cut=0.5), GOOD]) as files, chaos(to(f"{files.url}/signed?sig=s3cr3t")) as own:
        with quick(base_url=own.url) as user:
            (path,) = user.download(job("/v.mp4"), tmp_path)
        assert path.read_bytes() == data
        assert [KEY in head for head in own.heads] == [True, True]
        assert [KEY in head for head in files.heads] == [False, False]
        assert files.ranges[1] == header(own.heads[1], "range") == "bytes=50000-"
        assert header(files.heads[1], "if-range") == '"v0"'


@pytest.mark.parametrize("resumed", [False, True])
def test_https_never_falls_to_http(tmp_path: Path, resumed: bool) -> None:
    """Neither at first nor when a download is gone on with."""
    cut = says(b'HTTP/1.1 200 X\r\nContent-Length: 99\r\nETag: "v0"\r\nConnection: close\r\n\r\n', mp4(50, 1))
    with source([mp4(99, 1)]) as plain, chaos(cut, tls=True) as secure, quick() as user:
        secure.script = [cut, to(f"{plain.url}/v.mp4")] if resumed else [to(f"{plain.url}/v.mp4")]
        with pytest.raises(vidpoll.UnsafeURL, match="from https to http, which is not followed; the job is unchanged"):
            user.download(job(f"{secure.url}/v.mp4?sig=s3cr3t"), tmp_path / "clips")
        assert plain.heads == []
        assert len(secure.heads) == 1 + resumed


def test_a_circle_of_redirects(tmp_path: Path) -> None:
    """Ends after five, at once."""
    with chaos(to("/v.mp4")) as server, client() as user:
        with pytest.raises(vidpoll.DownloadError, match="more than 5 redirects"):
            user.download(job(f"{server.url}/v.mp4"), tmp_path)
        assert len(server.heads) == 6


# -- processes --------------------------------------------------------------------------------------------------------

DOWNLOAD = """
import sys
sys.path.insert(0, sys.argv[3])
import vidpoll
from acme_provider import ACME, KEY, REF, Plugin
job = vidpoll.Job(REF)
job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset(sys.argv[1]),)), 0.0)
accounts = {"acme": vidpoll.Account("acme", base_url="http://127.0.0.1:9", key=KEY)}
with vidpoll.Client(plugins=[Plugin(ACME)], accounts=accounts, discover=False, http_timeout=(5.0, 5.0)) as user:
    print("begins", flush=True)
    try:
        print("done", user.download(job, sys.argv[2])[0].stat().st_size, flush=True)
    except vidpoll.DownloadError as error:
        print(error, flush=True)
"""


def running(url: str, target: Path) -> subprocess.Popen[str]:
    """A process that downloads."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", DOWNLOAD, url, str(target), str(Path(__file__).parents[1] / "support")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Any, seconds: float = 15.0) -> None:
    """Wait for something to come true."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.005)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.slow
def test_kill_9_again_and_again(tmp_path: Path) -> None:
    """At random moments: the next run goes on, the last one has the file, and nothing else lies in the folder."""
    data, dice = mp4(6_000_000, 9), random.Random()
    target = tmp_path / "v.mp4"
    part = tmp_path / "v.mp4.part"
    with source([data], pause=0.004) as server:
        for _ in range(4):
            before, more = size(part), dice.randrange(1, 1_200_000)
            process = running(f"{server.url}/v.mp4", target)
            with process:
                until(lambda due=before + more: size(part) >= due)
                time.sleep(dice.random() * 0.05)
                assert process.poll() is None, process.communicate()
                process.kill()
            assert not target.exists()
            assert size(part) > before
        server.pause = 0.0
        before = size(part)
        with running(f"{server.url}/v.mp4", target) as process:
            out, complaints = process.communicate(timeout=20)
        assert (out, complaints) == (f"begins\ndone {len(data)}\n", "")
        assert target.read_bytes() == data
        assert server.ranges == [None, *server.ranges[1:4], f"bytes={before}-"]
        assert None not in server.ranges[1:]
    assert left(tmp_path) == ["v.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a process like this on POSIX only")
def test_ctrl_c_leaves_a_part_that_is_gone_on_with(tmp_path: Path) -> None:
    """The process ends at once, with KeyboardInterrupt and without other noise."""
    data, target = mp4(3_000_000, 10), tmp_path / "v.mp4"
    part = tmp_path / "v.mp4.part"
    with source([data], pause=0.01) as server:
        with running(f"{server.url}/v.mp4", target) as process:
            until(lambda: size(part) > 0)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, complaints = process.communicate(timeout=10)
            assert time.monotonic() - began < 5
        assert (out, complaints.rstrip().splitlines()[-1]) == ("begins\n", "KeyboardInterrupt")
        assert not target.exists()
        server.pause, there = 0.0, size(part)
        with quick() as user:
            user.download(job(f"{server.url}/v.mp4"), target)
        assert (target.read_bytes(), server.ranges[-1]) == (data, f"bytes={there}-")


@pytest.mark.slow
def test_two_processes_at_one_target(tmp_path: Path) -> None:
    """One gets it; the other is told, at once, who has it and what to do; the file is right."""
    data, target = mp4(2_000_000, 11), tmp_path / "v.mp4"
    with source([data], pause=0.02) as server:
        with running(f"{server.url}/v.mp4", target) as first:
            until(lambda: size(tmp_path / "v.mp4.part") > 0)
            with running(f"{server.url}/v.mp4", target) as second:
                said, complaints = second.communicate(timeout=20)
            server.pause = 0.0
            out, _ = first.communicate(timeout=20)
        assert out == f"begins\ndone {len(data)}\n"
        busy = f"{REF}: {target} is being fetched by another process or thread; wait for that, or name another folder"
        assert (said, complaints) == (f"begins\n{busy}\n", "")
        assert len(server.heads) == 1
    assert (target.read_bytes(), left(tmp_path)) == (data, ["v.mp4"])


# -- threads ----------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of a download in another thread."""

    paths: list[Path] = field(default_factory=list)
    error: Exception | None = None


def beside(user: vidpoll.Client, *args: Any, **options: Any) -> tuple[threading.Thread, Outcome]:
    outcome = Outcome()

    def run() -> None:
        try:
            outcome.paths = user.download(*args, **options)
        except Exception as error:  # noqa: BLE001
            outcome.error = error

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_two_threads_of_one_client(tmp_path: Path) -> None:
    """Each gets its own file; at the same target one gets it, and the other is told."""
    one, two = mp4(800_000, 12), mp4(700_000, 13)
    with source([one], pause=0.005) as first, source([two], pause=0.005) as second, client() as user:
        other, outcome = beside(user, job(f"{second.url}/v.mp4", "acme:j2"), tmp_path)
        third, told = beside(user, job(f"{first.url}/v.mp4"), tmp_path / "same.mp4")
        until(lambda: size(tmp_path / "same.mp4.part") > 0)
        with pytest.raises(vidpoll.DownloadError, match="is being fetched by another process or thread"):
            user.download(job(f"{first.url}/v.mp4"), tmp_path / "same.mp4")
        other.join(20)
        third.join(20)
    assert (outcome.error, told.error) == (None, None)
    assert (outcome.paths[0].read_bytes(), told.paths[0].read_bytes()) == (two, one)
    assert len(left(tmp_path)) == 2


def test_a_client_that_is_closed_by_another_thread(tmp_path: Path) -> None:
    """Its downloads end at once with a clear error, and their parts stay."""
    with source([mp4(3_000_000, 14)], pause=0.02) as server:
        user = client()
        thread, outcome = beside(user, job(f"{server.url}/v.mp4"), tmp_path / "v.mp4")
        until(lambda: size(tmp_path / "v.mp4.part") > 0)
        user.close()
        thread.join(5)
        assert not thread.is_alive()
    assert isinstance(outcome.error, vidpoll.UsageError)
    assert str(outcome.error) == "this client is closed; make a new one"
    assert left(tmp_path) == ["v.mp4.part", "v.mp4.part.json"]


def test_a_job_is_asked_and_fetched_over_real_sockets(tmp_path: Path) -> None:
    """The URL expires in the middle, one poll brings a fresh one, and the rest comes from there."""
    data = mp4(400_000, 15)
    with source([data], [Trick(cut=0.5), Trick(status=403), GOOD]) as files:
        record = {**DONE, "video": f"{files.url}/v.mp4?sig=1"}
        fresh = {**DONE, "video": f"{files.url}/v.mp4?sig=2"}
        with chaos(answers(record), answers(fresh)) as own:
            with quick(speed=20.0, base_url=own.url) as user:
                (path,) = user.download(REF, tmp_path)
            assert len(own.heads) == 2
    assert path.read_bytes() == data
    assert [head.split()[1] for head in files.heads] == ["/v.mp4?sig=1", "/v.mp4?sig=1", "/v.mp4?sig=2"]
    assert files.ranges == [None, "bytes=200000-", "bytes=200000-"]
