"""Files that come while the wait for other jobs goes on. Time is fake, the network is a script, nothing sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, KEY, MP4, Plugin, Talk, brief, talk

import vidpoll
from vidpoll.downloads import background, part_file, save
from vidpoll.faults import NoAnswer
from vidpoll.net.accounts import WireRequest
from vidpoll.net.transport import Start
from vidpoll.net.workers import Ticket
from vidpoll.testing import FakeClock, FakeTransport

both = pytest.mark.usefixtures("transport")

UNAVAILABLE: Any = (503, {}, b"")
EXPIRED: Any = (403, {}, b"")


def done(name: str) -> dict[str, Any]:
    return {"status": "done", "video": f"https://api.acme.example/files/{name}.mp4"}


def sent(t: Talk, since: float) -> list[tuple[str, float]]:
    """What was asked for, and at which second."""
    return [(path.rpartition("/")[2], at - since) for path, at in zip(t.requests, t.wire.at, strict=True)]  # type: ignore[attr-defined]


class Timed(FakeTransport):
    """Notes when each request was sent. A file of `held`, by a part of its URL, comes when the test lets it go, or is
    aborted; the second job is answered when that one was asked for.
    """

    def __init__(self, script: Any, **held: threading.Event) -> None:
        super().__init__(script)
        self.at: list[float] = []
        self.held = held
        self.asked = threading.Event()
        self.most = self.now = 0
        self.clock: FakeClock

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> vidpoll.Response:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            for part, let in self.held.items():
                if part in wire.url:
                    ticket.shut = let.set
                    self.asked.set()
                    assert let.wait(10)
                    if ticket.aborted:
                        raise NoAnswer("the socket was shut", sent=True)
            return super().fetch(wire, ticket, start)
        finally:
            with self._lock:
                self.now -= 1

    def send(self, wire: WireRequest, ticket: Ticket) -> vidpoll.Response:
        if self.held and "/jobs/b" in wire.url:
            assert self.asked.wait(10)
        with self._lock:
            self.at.append(self.clock.now)
        return super().send(wire, ticket)


def timed(script: Any, held: dict[str, threading.Event] | None = None, **options: Any) -> Talk:
    t = talk(script, transport=Timed(script, **(held or {})), **options)
    t.wire.clock = t.clock  # type: ignore[attr-defined]
    return t


# -- good -------------------------------------------------------------------------------------------------------------


def test_a_job_is_handed_out_with_its_files(tmp_path: Path) -> None:
    """The hooks hear of the verdict, then of the file; the job has its paths. One that failed has none."""
    t = talk({"/jobs/a": [done("a")], "/jobs/b": [BROKEN], "/files/": [MP4]})
    found = {job.id: job for job in t.client.as_completed(["acme:a", "acme:b"], download=tmp_path)}
    (path,) = found["a"].paths
    assert path.read_bytes() == MP4
    assert (found["a"].download_error, found["b"].paths, found["b"].ok) == (None, (), False)
    assert [brief(event) for _, job, event in t.ears.heard if job.id == "a"][-3:] == [
        "completed", "downloadprogress", "downloaded",
    ]  # fmt: skip


def test_the_others_are_asked_about_on_time(tmp_path: Path) -> None:
    """A file that pauses after a fault, or for whose URL is asked again, holds nobody up."""
    script = {"/jobs/a": [done("a")], "/jobs/b": [*[DRAWING] * 4, done("b")], "/files/": [UNAVAILABLE] * 3 + [MP4]}
    t = timed(script)
    start = t.clock.now
    order = [job.id for job in t.client.as_completed(["acme:a", "acme:b"], pacing=vidpoll.Fixed(5), download=tmp_path)]
    assert order == ["a", "b"]
    assert [at for what, at in sent(t, start) if what == "b"] == [0.0, 5.0, 10.0, 15.0, 20.0]
    faults = [event for _, _, event in t.ears.heard if isinstance(event, vidpoll.DownloadProgress) and event.fault]
    assert len(faults) == 3


def test_files_and_questions_are_under_way_at_once(tmp_path: Path) -> None:
    """The file of the first job comes once the second one has its verdict."""
    let = threading.Event()

    class Lets:
        @vidpoll.hookimpl
        def vidpoll_failed(self) -> None:
            let.set()

    t = timed({"/jobs/a": [done("a")], "/jobs/b": [BROKEN], "/files/": [MP4]}, {"a.mp4": let}, plugins=(Lets(),))
    assert [job.id for job in t.client.as_completed(["acme:a", "acme:b"], download=tmp_path)] == ["b", "a"]


@pytest.mark.parametrize("parallel", [1, 3])
def test_so_many_jobs_files_come_at_once(parallel: int, tmp_path: Path) -> None:
    """And no more; all come."""
    refs = [f"acme:{name}" for name in "abcdefgh"]
    t = timed({"/jobs/": [{"status": "done", "video": "/files/v.mp4"}], "/files/": [MP4]})
    jobs = t.client.wait_all(refs, download=tmp_path, parallel=parallel)
    assert [job.ref for job in jobs] == refs
    assert len({path for job in jobs for path in job.paths}) == len(refs)
    assert t.wire.most <= parallel  # type: ignore[attr-defined]


def test_a_single_job_goes_to_a_file(tmp_path: Path) -> None:
    t = talk({"/jobs/": [DRAWING, DONE], "/files/": [MP4]})
    assert t.client.wait("acme:j1", download=tmp_path / "my.mp4").paths == (tmp_path / "my.mp4",)


def test_all_kinds_of_a_job(tmp_path: Path) -> None:
    both = {**done("a"), "cover": "/files/c.jpg"}
    t = talk({"/jobs/": [both], "a.mp4": [MP4], "c.jpg": [b"\xff\xd8\xff\xe0" + bytes(50)]})
    job = t.client.wait("acme:a", download=tmp_path, kinds=("video", "thumbnail"))
    assert [path.suffix for path in job.paths] == [".mp4", ".jpg"]


def test_on_event_hears_of_the_files_in_the_thread_of_the_caller(tmp_path: Path) -> None:
    heard: list[tuple[str, bool]] = []
    here = threading.current_thread()
    t = talk({"/jobs/": [done("a")], "/files/": [MP4]})
    t.client.wait(
        "acme:a",
        download=tmp_path,
        on_event=lambda event: heard.append((brief(event), threading.current_thread() is here)),
    )
    assert heard[-3:] == [("completed", True), ("downloadprogress", True), ("downloaded", True)]


def test_a_job_that_is_completed_already(tmp_path: Path) -> None:
    """It is not asked about, and its files come all the same."""
    t = talk({"/jobs/": [done("a")], "/files/": [MP4]})
    job = t.client.wait("acme:a")
    assert t.client.wait_all([job], download=tmp_path)[0].paths[0].read_bytes() == MP4
    assert t.requests == ["GET /v1/jobs/a", "GET /files/a.mp4"]


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    t = talk({"/jobs/": [done("a")], "/files/": [MP4]})
    first = t.client.wait("acme:a", download=tmp_path).paths
    assert t.client.wait("acme:a", download=tmp_path).paths == first
    assert t.ears.hooks.count("downloaded") == 1


def test_a_display_is_told_that_a_download_begins_and_ends(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    class Display:
        @vidpoll.hookimpl
        def vidpoll_began(self, jobs: tuple[vidpoll.Job, ...], action: str) -> None:
            told.append(("began", action))

        @vidpoll.hookimpl
        def vidpoll_ended(self, jobs: tuple[vidpoll.Job, ...], action: str) -> None:
            told.append(("ended", action))

    t = talk({"/jobs/": [done("a")], "/files/": [MP4]}, plugins=(Display(),))
    t.client.wait("acme:a", download=tmp_path)
    assert told == [("began", "wait"), ("began", "download"), ("ended", "download"), ("ended", "wait")]


# -- what is wrong with the call --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parallel": 0}, "parallel must be a whole number .* got 0$"),
        ({"parallel": True}, "got True$"),
        ({"parallel": "4"}, r"got '4' \(text\): parallel=4$"),
        ({"parallel": 1.0}, r"got 1\.0$"),
        ({"download": ""}, "download=''"),
        ({"download": 7}, "download=7"),
        ({"download": ["clips"]}, "must be the folder to save to"),
        ({"download": "my.mp4"}, "names one file, but there are 2 jobs"),
        ({"download": "clips", "kinds": "video"}, "kinds='video'"),
        ({"download": "clips", "kinds": ()}, r"kinds=\(\)"),
        ({"kinds": ["video"]}, "add download="),
    ],
)
def test_a_call_that_is_wrong(options: dict[str, Any], said: str) -> None:
    """Nothing is sent."""
    t = talk([DONE])
    for call in (t.client.as_completed, t.client.wait_all):
        with pytest.raises(vidpoll.UsageError, match=said):
            call(["acme:a", "acme:b"], **options)
    assert t.requests == []


# -- faults -----------------------------------------------------------------------------------------------------------


def test_a_url_that_has_expired_is_asked_for_again(tmp_path: Path) -> None:
    """By the run of the wait, not below the floor; the hooks hear of the answer in the caller's thread."""
    script = {
        "/jobs/a": [done("old"), done("new")], "/jobs/b": [DRAWING, DRAWING, BROKEN],
        "/files/old": [EXPIRED], "/files/new": [MP4],
    }  # fmt: skip
    t = timed(script)
    start = t.clock.now
    a, _ = t.client.wait_all(["acme:a", "acme:b"], pacing=vidpoll.Fixed(5), download=tmp_path)
    assert a.paths[0].read_bytes() == MP4
    assert [(what, at) for what, at in sent(t, start) if what != "b"] == [
        ("a", 0.0), ("old.mp4", 0.0), ("a", 5.0), ("new.mp4", 5.0),
    ]  # fmt: skip
    assert [at for what, at in sent(t, start) if what == "b"] == [0.0, 5.0, 10.0]


def test_a_file_that_cannot_be_had(tmp_path: Path) -> None:
    """The verdict stays, the error lies beside it; other files come; `check` raises it."""
    script = {"/jobs/a": [done("a")], "/jobs/b": [done("b")], "/files/a": [(200, {}, b"<html>no")], "/files/b": [MP4]}
    t = talk(script)
    a, b = t.client.wait_all(["acme:a", "acme:b"], download=tmp_path)
    assert (a.ok, a.error, a.paths, type(a.download_error)) == (True, None, (), vidpoll.NotAVideo)
    assert len(b.paths) == 1
    with pytest.raises(vidpoll.NotAVideo):
        t.client.wait("acme:a", download=tmp_path)
    with pytest.raises(vidpoll.NotAVideo):
        list(t.client.as_completed([a], download=tmp_path, check=True))
    assert t.client.wait(a, download=tmp_path, check=False).ok


@pytest.mark.parametrize(
    ("target", "where"), [("taken", "taken"), ("taken/clips", "taken/clips"), ("taken/a.mp4", "taken")]
)
def test_a_folder_that_nothing_can_be_saved_in(tmp_path: Path, target: str, where: str) -> None:
    """It is refused before anything is polled, and not after the job was paid for."""
    (tmp_path / "taken").touch()
    t = talk({"/jobs/": [done("a")]})
    with pytest.raises(vidpoll.UsageError) as caught:
        t.client.wait("acme:a", download=tmp_path / target)
    assert f"download: cannot save files in {str(tmp_path / where)!r}: " in caught.value.message
    assert t.wire.sent == []


def test_the_check_of_a_folder_makes_nothing(tmp_path: Path) -> None:
    """Not the folder of a job that fails; an existing file may be a target."""
    t = talk({"/jobs/a": [BROKEN], "/jobs/b": [done("b")], "/files/": [MP4]})
    t.client.wait("acme:a", download=tmp_path / "new" / "clips", check=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "b.mp4").touch()
    assert t.client.wait("acme:b", download=tmp_path / "b.mp4").paths == (tmp_path / "b.mp4",)


def test_a_download_clears_the_error(tmp_path: Path) -> None:
    t = talk({"/jobs/a": [done("a")], "/files/a": [(200, {}, b"<html>no")] * 4 + [MP4]})
    job = t.client.wait("acme:a", download=tmp_path, check=False)
    assert isinstance(job.download_error, vidpoll.NotAVideo)
    assert job.paths == ()
    assert tuple(t.client.download(job, tmp_path)) == job.paths != ()
    assert job.download_error is None


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other job's verdict comes; nothing lies under the name."""
    monkeypatch.setattr(part_file, "free", lambda folder: 10.0)
    t = talk({"/jobs/a": [done("a")], "/jobs/b": [DRAWING, BROKEN], "/files/": [MP4]})
    a, b = t.client.wait_all(["acme:a", "acme:b"], download=tmp_path)
    assert "the disk has room for 10" in str(a.download_error)
    assert (a.ok, b.state) == (True, vidpoll.State.FAILED)
    assert list(tmp_path.iterdir()) == []


def test_the_deadline_is_for_asking_and_files_together(tmp_path: Path) -> None:
    """The file has what the verdict has left."""
    t = timed({"/jobs/": [DRAWING, DRAWING, done("a")], "/files/": [UNAVAILABLE]})
    start = t.clock.now
    job = t.client.wait("acme:a", timeout=20, pacing=vidpoll.Fixed(5), download=tmp_path, check=False)
    assert job.ok
    assert "not done in time" in str(job.download_error)
    assert t.clock.now - start == pytest.approx(20.0)


def test_a_look_saves_what_it_finds(tmp_path: Path) -> None:
    t = talk({"/jobs/a": [done("a")], "/jobs/b": [DRAWING], "/files/": [UNAVAILABLE, MP4]})
    a, b = t.client.wait_all(["acme:a", "acme:b"], timeout=0, download=tmp_path)
    assert len(a.paths) == 1
    assert isinstance(b.error, vidpoll.WaitTimeout)


class When:
    """Does something when the second job makes progress."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    @vidpoll.hookimpl
    def vidpoll_progress(self) -> None:
        self.act()


def held(act: Callable[[], None], second: Any = DRAWING) -> tuple[Talk, threading.Event]:
    """A file that does not come until its request is aborted, and a job that is answered then; `act` is called."""
    let = threading.Event()
    script = {"/jobs/a": [done("a")], "/jobs/b": [second], "/files/": [MP4]}
    return timed(script, {"a.mp4": let}, plugins=(When(act),)), let


def test_stop_hands_out_what_is_under_way(tmp_path: Path) -> None:
    """The request of the file is aborted, the verdict stands, and the error says how it goes on."""
    stop = threading.Event()
    t, let = held(stop.set)
    a, b = t.client.wait_all(["acme:a", "acme:b"], stop=stop, download=tmp_path)
    assert (a.ok, let.is_set()) == (True, True)
    assert "stopped before the files were saved" in str(a.download_error)
    assert isinstance(b.error, vidpoll.WaitStopped)
    assert t.client.download(a, tmp_path)[0].read_bytes() == MP4  # nobody holds its lock


def test_a_file_that_has_come_counts(tmp_path: Path) -> None:
    """Also where the wait is stopped, or interrupted, at that very moment."""
    stop = threading.Event()
    t = talk({"/jobs/": [done("a")], "/files/": [MP4]})

    def act(event: vidpoll.Event) -> None:
        if isinstance(event, vidpoll.Downloaded):
            stop.set()
            if event.ref == "acme:b":
                raise KeyboardInterrupt

    assert len(t.client.wait("acme:a", stop=stop, download=tmp_path, on_event=act).paths) == 1
    job = vidpoll.Job("acme:b")
    with pytest.raises(KeyboardInterrupt):
        t.client.wait(job, download=tmp_path, on_event=act)
    assert (len(job.paths), job.download_error) == (1, None)


def test_ctrl_c_ends_the_files_too(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    t, let = held(interrupt)
    with pytest.raises(KeyboardInterrupt):
        t.client.wait_all(["acme:a", "acme:b"], download=tmp_path)
    assert let.is_set()
    assert t.client.download("acme:a", tmp_path)[0].read_bytes() == MP4


def test_who_leaves_the_loop_leaves_the_files(tmp_path: Path) -> None:
    t, let = held(lambda: None, BROKEN)
    (job,) = islice(t.client.as_completed(["acme:a", "acme:b"], download=tmp_path), 1)
    assert (job.id, let.is_set()) == ("b", True)


class Halves(BaseHTTPRequestHandler):
    """Half a file, and then nothing; the rest to whoever asks for it with a Range."""

    ranges: list[str | None]
    whole = MP4 + bytes(200_000)

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.ranges.append(wanted)
        start = 0 if wanted is None else int(wanted.removeprefix("bytes=").rstrip("-"))
        rest = self.whole[start:]
        self.send_response(200 if wanted is None else 206)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(rest)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.whole) - 1}/{len(self.whole)}")
        self.end_headers()
        if start:
            self.wfile.write(rest)
        else:
            self.wfile.write(rest[: len(rest) // 2])
            self.connection.recv(1)  # until the other side shuts it

    def log_message(self, *args: object) -> None:
        """Quiet."""


@both
def test_a_part_is_gone_on_with(tmp_path: Path) -> None:
    """Over HTTP: with Ctrl-C the socket of the request that is under way is shut, and the bytes that came stay."""

    def interrupt(event: vidpoll.Event) -> None:
        if isinstance(event, vidpoll.DownloadProgress) and event.received:
            raise KeyboardInterrupt

    job = vidpoll.Job("acme:a")
    job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset("/v.mp4"),)), 0.0)
    accounts = {"acme": vidpoll.Account("acme", key=KEY)}
    Halves.ranges = []
    with (
        serving(Halves) as url,
        vidpoll.Client(plugins=[Plugin(replace(ACME, base_url=url))], discover=False, accounts=accounts) as client,
    ):
        with pytest.raises(KeyboardInterrupt):
            client.wait(job, download=tmp_path, on_event=interrupt)
        (part,) = tmp_path.glob("*.part")
        had = part.stat().st_size
        assert 0 < had < len(Halves.whole)
        assert client.wait(job, download=tmp_path).paths[0].read_bytes() == Halves.whole
    assert Halves.ranges == [None, f"bytes={had}-"]


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_hook_that_raises_costs_no_file(tmp_path: Path) -> None:
    class Broken:
        @vidpoll.hookimpl
        def vidpoll_downloaded(self) -> None:
            raise ValueError("no")

        @vidpoll.hookimpl
        def vidpoll_download_progress(self) -> None:
            raise ValueError("no")

    t = talk({"/jobs/": [done("a")], "/files/": [MP4]}, plugins=(Broken(),))
    with pytest.warns(RuntimeWarning, match="ValueError"):
        assert len(t.client.wait("acme:a", download=tmp_path).paths) == 1


def test_what_nobody_foresaw_is_one_files_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> list[Path]:
        raise ZeroDivisionError

    monkeypatch.setattr(save, "fetch", broken)
    t = talk({"/jobs/a": [done("a")], "/jobs/b": [DRAWING, BROKEN]})
    a, b = t.client.wait_all(["acme:a", "acme:b"], download=tmp_path)
    assert "not saved (ZeroDivisionError)" in str(a.download_error)
    assert b.state is vidpoll.State.FAILED


def test_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline holds: the job is handed out, and its thread is left to the disk."""
    let = threading.Event()

    def hanging(*args: Any, **options: Any) -> list[Path]:
        let.wait(10)
        return []

    monkeypatch.setattr(save, "fetch", hanging)
    monkeypatch.setattr(background, "OVERDUE", 0.0)
    monkeypatch.setattr(background, "LEAVING", 0.01)
    job = vidpoll.Job("acme:a")
    job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset("/v.mp4"),)), 0.0)
    with vidpoll.Client(plugins=[Plugin(ACME)], discover=False, transport=FakeTransport([])) as client:
        client.wait(job, timeout=0.01, download=tmp_path, check=False)
    let.set()
    assert "the disk does not respond" in str(job.download_error)


def test_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine starts no more threads, the job says so."""
    start = threading.Thread.start

    def none_for_files(thread: threading.Thread) -> None:
        if fetching:
            raise RuntimeError("can't start new thread")
        start(thread)

    fetching: list[bool] = []
    monkeypatch.setattr(threading.Thread, "start", none_for_files)
    t = talk({"/jobs/": [done("a")], "/files/": [MP4]})
    job = t.client.wait("acme:a")
    fetching.append(True)
    assert isinstance(t.client.wait(job, download=tmp_path, check=False).download_error, vidpoll.ConfigurationError)


def test_two_jobs_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at once: the second one gets a name of its own."""
    monkeypatch.setattr(save, "_name", lambda job, wanted: "same")
    first, second = MP4, MP4 + b"\x00"
    t = talk({"/jobs/a": [done("a")], "/jobs/b": [done("b")], "/files/a": [first], "/files/b": [second]})
    a, b = t.client.wait_all(["acme:a", "acme:b"], download=tmp_path)
    assert [a.download_error, b.download_error] == [None, None]
    assert {path.name for job in (a, b) for path in job.paths} == {"same.mp4", "same~2.mp4"}
    assert [a.paths[0].read_bytes(), b.paths[0].read_bytes()] == [first, second]


def test_a_name_that_is_taken_while_the_other_file_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of the first part is no error of the second job."""
    monkeypatch.setattr(save, "_name", lambda job, wanted: "same")
    let = threading.Event()

    class Lets:
        @vidpoll.hookimpl
        def vidpoll_downloaded(self) -> None:
            let.set()

    script = {"/jobs/a": [done("a")], "/jobs/b": [done("b")], "/files/": [MP4]}
    t = timed(script, {"a.mp4": let}, plugins=(Lets(),))
    a, b = t.client.wait_all(["acme:a", "acme:b"], download=tmp_path)
    assert [a.paths[0].name, b.paths[0].name] == ["same.mp4", "same~2.mp4"]


# -- with a store -----------------------------------------------------------------------------------------------------


def test_files_are_wanted_until_they_are_there(tmp_path: Path) -> None:
    """What a crash or a fault leaves is saved by the next run; a job that failed has nothing to be saved."""
    script = {
        "/jobs/a": [done("a")], "/jobs/b": [BROKEN], "/jobs/c": [done("c")],
        "/files/a": [MP4], "/files/c": [(200, {}, b"<html>no")] * 4 + [MP4],
    }  # fmt: skip
    t = talk(script, store=tmp_path / "jobs.sqlite3")
    jobs = t.client.wait_all(["acme:a", "acme:b", "acme:c"], download=tmp_path / "clips")
    assert [len(job.paths) for job in jobs] == [1, 0, 0]
    (left,) = t.client.store.wanted()
    assert (left.ref, left.target, left.kinds) == ("acme:c", str(tmp_path / "clips"), ("video",))
    (job,) = t.client.wait_all(["acme:c"], download=t.client.store.wanted())
    assert job.paths[0].parent == tmp_path / "clips"
    assert t.client.store.wanted() == []


def test_a_kept_verdict_has_lost_its_url(tmp_path: Path) -> None:
    """A store cuts what signs a URL: one question brings a fresh one."""
    signed = {"status": "done", "video": "https://cdn.example/files/a.mp4?sig=1"}
    for _ in range(2):
        t = talk({"/jobs/": [signed], "/files/": [MP4]}, store=tmp_path / "jobs.sqlite3")
        with t.client:
            assert t.client.wait("acme:a", download=tmp_path / "clips").paths[0].read_bytes() == MP4
    assert t.requests[0] == "GET /v1/jobs/a"
