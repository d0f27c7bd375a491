"""The simulator's engine: time, jobs, limits, files, HTTP. Faces have their tests beside them in the plugins.

A toy face stands for a provider here; raw http.client talks to it. Time is advanced, never slept away.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

import pytest

from vidpoll.testing.simulator import (
    Face,
    Fate,
    Floor,
    Jobs,
    RangeMalformed,
    RangeNotSatisfiable,
    Reply,
    Request,
    Route,
    Simulator,
    Stage,
    Timeline,
    Window,
    audio,
    image,
    json_reply,
    parse_range,
    serve,
    subtitles,
    text_reply,
    video,
)

LIFE = Timeline((2.0, 2.0), (Stage("draw", (10.0, 10.0), (0, 50)), Stage("save", (10.0, 10.0), (50, 100))))


class ToyFace(Face):
    """A provider with one job kind, a key, a floor of 3 s and files on a second origin."""

    base_path = "/toy"
    origins = ("api", "files")
    timelines = MappingProxyType({"clip": LIFE})
    floor = 3.0
    max_body = 1000

    def __init__(self, *, capacity: int = 2) -> None:
        super().__init__(key="toy-key", capacity=capacity)

    def routes(self) -> Sequence[Route]:
        return (
            Route("POST", "/toy/jobs", self._submit),
            Route("GET", "/toy/jobs/([^/]+)", self._poll),
            Route("GET", "/toy/crash", self._crash),
            Route("GET HEAD", "/file", self._file, origin="files"),
        )

    def defaults(self, kind: str) -> dict[str, Any]:
        return {"prompt": "default"}

    def refuse(self, request: Request) -> Reply | None:
        right = request.origin == "files" or request.headers.get("authorization") == f"Bearer {self.key}"
        return None if right else text_reply(401, "no")

    def _submit(self, request: Request) -> Reply:
        return json_reply(202, {"id": self.submit("clip", request, request.json()).id})

    def _poll(self, request: Request, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return self.not_found(request)
        wait = self.too_soon(job, request.at)
        if wait:
            return text_reply(429, "too soon", (("Retry-After", str(wait)),))
        moment = job.moment(request.at)
        return json_reply(200, {"state": moment.state, "stage": moment.stage, "data": job.data})

    def _crash(self, request: Request) -> Reply:
        raise KeyError("a bug in the face")

    def _file(self, request: Request) -> Reply:
        return serve(request, video("toy", 1_800_000_000.0))


@pytest.fixture
def toy() -> Iterator[Simulator]:
    with Simulator({"toy": ToyFace()}, seed=7) as simulator:
        yield simulator


def call(
    simulator: Simulator, method: str, path: str, *, body: bytes | None = None, key: str = "toy-key"
) -> tuple[int, dict[str, str], bytes]:
    """One request to the toy's API; status, headers, body."""
    host = simulator.base_urls["toy"].removeprefix("http://").removesuffix("/toy")
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request(method, f"/toy{path}", body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def new_jobs(*, capacity: int = 1, seed: str = "s") -> Jobs:
    return Jobs(seed=seed, capacity=capacity, new_id=lambda dice: f"{dice.getrandbits(32):08x}")


def get_file(headers: dict[str, str], method: str = "GET") -> Reply:
    """What serve() answers about the toy's file."""
    return serve(Request("files", method, "/file", "", headers, b"", 0.0), video("toy", 1_800_000_000.0))


# Jobs


def test_a_job_goes_through_its_stages_in_order() -> None:
    """Queued first, then each stage for its length with progress between its bounds, then completed for good."""
    job = new_jobs().submit("clip", LIFE, at=100.0)
    seen = [(m.state, m.stage, m.progress) for m in map(job.moment, (100, 101.9, 102, 107, 112, 117, 121.9, 122, 1e9))]
    assert seen == [
        ("queued", None, 0.0),
        ("queued", None, 0.0),
        ("running", "draw", 0.0),
        ("running", "draw", 25.0),
        ("running", "save", 50.0),
        ("running", "save", 75.0),
        ("running", "save", pytest.approx(99.5)),
        ("completed", "save", 100.0),
        ("completed", "save", 100.0),
    ]


def test_a_failing_job_stops_halfway() -> None:
    """A job with a failure ends in half its running time and keeps the stage and the progress that it had."""
    job = new_jobs().submit("clip", LIFE, at=0.0, fate=Fate("boom"))
    assert job.moment(11.9).state == "running"
    assert (job.moment(12.0), job.moment(1e9)) == (job.moment(12.0), job.moment(12.0))
    assert (job.moment(12.0).state, job.moment(12.0).stage, job.moment(12.0).progress) == ("failed", "save", 50.0)


def test_the_seed_fixes_ids_and_lengths() -> None:
    """The n-th job of a seed is always the same job; another seed gives another."""
    loose = Timeline((1.0, 9.0), (Stage("draw", (6.0, 60.0), (0, 100)),))

    def third(seed: str) -> tuple[str, float]:
        jobs = new_jobs(seed=seed)
        job = [jobs.submit("clip", loose, at=0.0) for _ in range(3)][-1]
        return job.id, job.ends_at

    assert third("a") == third("a")
    assert third("a") != third("b")


def test_lengths_keep_to_their_range() -> None:
    """No stage is shorter or longer than its timeline says: a poll at the floor sees each."""
    loose = Timeline((1.0, 9.0), (Stage("draw", (6.0, 7.0), (0, 100)),))
    jobs = new_jobs(capacity=200)
    submitted = [jobs.submit("clip", loose, at=0.0) for _ in range(200)]
    lengths = [(job.queued_for, job.stages[0].seconds[0]) for job in submitted]
    assert all(1.0 <= wait <= 9.0 and 6.0 <= length <= 7.0 for wait, length in lengths)


def test_jobs_beyond_the_capacity_wait_in_line() -> None:
    """With one slot the second job starts when the first ends, and the third when the second ends."""
    jobs = new_jobs()
    starts = [jobs.submit("clip", LIFE, at=0.0).starts_at for _ in range(3)]
    assert starts == [2.0, 22.0, 42.0]
    assert (jobs.waiting(1.0), jobs.waiting(5.0), jobs.waiting(50.0), jobs.submitted) == (3, 2, 0, 3)


def test_removing_a_running_job_lets_the_next_one_start() -> None:
    """A removed job is unknown, its slot is free from then on, and nothing that had started moves."""
    jobs = new_jobs(capacity=2)
    first, second, third, fourth = (jobs.submit("clip", LIFE, at=0.0) for _ in range(4))
    jobs.remove(first.id, at=10.0)
    assert jobs.get(first.id) is None
    assert (second.starts_at, third.starts_at, fourth.starts_at) == (2.0, 10.0, 22.0)
    assert [job.number for job in jobs] == [2, 3, 4]
    assert len(jobs) == 3


def test_a_thousand_random_queues_never_exceed_the_capacity() -> None:
    """Whatever is submitted and removed, no more than `capacity` jobs run at one time."""
    for seed in range(100):
        dice = random.Random(seed)
        jobs, now = new_jobs(capacity=3, seed=str(seed)), 0.0
        for _ in range(30):
            now += dice.uniform(0.0, 8.0)
            if len(jobs) and dice.random() < 0.3:
                jobs.remove(dice.choice([job.id for job in jobs]), at=now)
            else:
                jobs.submit("clip", LIFE, at=now)
            assert sum(job.moment(now).state == "running" for job in jobs) <= 3


# Limits


def test_a_window_counts_each_key_and_opens_again() -> None:
    """The limit holds per key and window; a refused request is not counted; the reset is the window's end."""
    window = Window(2, 60.0)
    assert [window.take("a", at).remaining for at in (10.0, 20.0)] == [1, 0]
    refused = window.take("a", 30.0)
    assert (refused.allowed, refused.remaining, refused.limit, refused.resets_at) == (False, 0, 2, 70.0)
    assert window.take("b", 30.0).allowed
    assert window.take("a", 70.0).remaining == 1


def test_the_floor_measures_from_the_last_answer() -> None:
    """A question too soon is refused with the time that is missing, and does not push the next one away."""
    floor = Floor(3.0, tolerance=0.05)
    assert [floor.wait("j", at) for at in (0.0, 1.0, 2.9)] == [0.0, 2.0, pytest.approx(0.1)]
    assert (floor.wait("j", 2.96), floor.wait("other", 0.0)) == (0.0, 0.0)


# Files


def test_media_are_what_they_claim() -> None:
    """The MP4 is H.264 in ISO boxes that end with the file, the JPEG begins and ends as one, the MP3 has a frame."""
    clip = video("mark", 0.0).data
    boxes, offset = [], 0
    while offset < len(clip):
        size = int.from_bytes(clip[offset : offset + 4], "big")
        boxes.append(clip[offset + 4 : offset + 8])
        offset += size
    assert offset == len(clip)
    assert boxes[:2] == [b"ftyp", b"moov"]
    assert boxes[-1] == b"free"
    assert b"avc1" in clip
    picture = image("mark", 0.0).data
    assert picture.startswith(b"\xff\xd8\xff\xfe")
    assert picture.endswith(b"\xff\xd9")
    assert audio(0.0).data[0] == 0xFF
    assert b"-->" in subtitles(0.0).data


def test_files_of_two_jobs_differ() -> None:
    """Each job's file has its own bytes and its own strong ETag; the same job's file has the same."""
    assert video("a", 0.0).etag != video("b", 0.0).etag
    assert image("a", 0.0).etag != image("b", 0.0).etag
    assert video("a", 0.0).etag == video("a", 9.0).etag
    assert not video("a", 0.0).etag.startswith("W/")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-99", (0, 99)),
        ("bytes=5-", (5, 99)),
        ("bytes=-5", (95, 99)),
        ("bytes=-500", (0, 99)),
        ("bytes=90-500", (90, 99)),
    ],
)
def test_one_range_is_understood(header: str, span: tuple[int, int]) -> None:
    """All three forms of a single range, an end beyond the file cut to its last byte."""
    assert parse_range(header, 100) == span


@pytest.mark.parametrize(
    "header",
    ["bytes=abc", "bytes=-", "bytes=0-1,3-4", "items=0-1", "bytes=9-5", "bytes=٣-", "bytes=" + "9" * 5000 + "-"],
)
def test_anything_else_is_no_range(header: str) -> None:
    """Several ranges, other units, reversed ends and digits of other scripts are malformed."""
    with pytest.raises(RangeMalformed):
        parse_range(header, 100)


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_a_range_without_a_byte_is_not_satisfiable(header: str, size: int) -> None:
    """A range that begins at or beyond the end has nothing to send."""
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, size)


def test_a_file_is_served_whole_in_part_and_not_beyond() -> None:
    """200, 206 with Content-Range, 416 with the size, and a malformed Range ignored."""
    whole = get_file({})
    size = len(whole.body)
    part = get_file({"range": "bytes=4-7"})
    beyond = get_file({"range": f"bytes={size}-"})
    assert (whole.status, part.status, beyond.status) == (200, 206, 416)
    assert part.body == whole.body[4:8] == b"ftyp"
    assert dict(part.headers)["Content-Range"] == f"bytes 4-7/{size}"
    assert dict(beyond.headers)["Content-Range"] == f"bytes */{size}"
    assert get_file({"range": "bytes=x"}).status == 200


def test_if_range_guards_a_resume() -> None:
    """A part is sent only if the ETag or the date still holds; else the whole file comes."""
    head = dict(get_file({}).headers)
    conditions = (head["ETag"], head["Last-Modified"], '"another"', "Mon, 01 Jan 2001 00:00:00 GMT")
    statuses = [get_file({"range": "bytes=0-3", "if-range": condition}).status for condition in conditions]
    assert statuses == [206, 206, 200, 200]


# The simulator


def test_a_job_end_to_end(toy: Simulator) -> None:
    """Submit, advance, poll: the served job follows simulated time, and every request is on record."""
    _, _, body = call(toy, "POST", "/jobs", body=b'{"prompt": "p"}')
    job_id = json.loads(body)["id"]
    states = []
    for _ in range(3):
        states.append(json.loads(call(toy, "GET", f"/jobs/{job_id}")[2])["state"])
        toy.advance(11.0)
    assert states == ["queued", "running", "completed"]
    assert toy.submissions("toy") == 1
    record = toy.requests("toy")
    assert [(each.method, each.status) for each in record] == [("POST", 202), *[("GET", 200)] * 3]
    assert record[0].path == "/toy/jobs"
    assert record[0].body == b'{"prompt": "p"}'
    assert record[0].headers["authorization"] == "Bearer toy-key"
    assert [each.at for each in record] == sorted(each.at for each in record)
    assert record[3].at >= 22.0


def test_base_urls_and_keys(toy: Simulator) -> None:
    """A base URL is loopback, the port, the face's path; each origin of a face has a port of its own."""
    assert toy.base_urls["toy"].startswith("http://127.0.0.1:")
    assert toy.base_urls["toy"].endswith("/toy")
    assert toy.keys == {"toy": "toy-key"}
    assert call(toy, "GET", "/jobs/x", key="wrong")[0] == 401


def test_asking_sooner_than_the_floor_is_refused(toy: Simulator) -> None:
    """A second question at once is 429 with Retry-After; after that time it is answered."""
    path = f"/jobs/{toy.seed_job('toy', 'clip')}"
    assert call(toy, "GET", path)[0] == 200
    status, headers, _ = call(toy, "GET", path)
    assert (status, headers["Retry-After"]) == (429, "3")
    toy.advance(float(headers["Retry-After"]))
    assert call(toy, "GET", path)[0] == 200


def test_speed_scales_time_and_retry_after() -> None:
    """Simulated time runs `speed` times as fast, and Retry-After is said in the client's real seconds."""
    with Simulator({"toy": ToyFace()}, speed=2.0) as simulator:
        path = f"/jobs/{simulator.seed_job('toy', 'clip')}"
        before = simulator.now
        threading.Event().wait(0.02)
        assert simulator.now - before >= 0.04
        call(simulator, "GET", path)
        assert call(simulator, "GET", path)[1]["Retry-After"] == "2"


def test_fail_next_hits_the_next_submits_only(toy: Simulator) -> None:
    """Called twice, the next two fail, the third does not; a seeded job is not a submit."""
    toy.fail_next("toy")
    toy.fail_next("toy", message="boom")
    seeded = toy.seed_job("toy", "clip")
    ids = [json.loads(call(toy, "POST", "/jobs", body=b"{}")[2])["id"] for _ in range(3)]
    toy.advance(100.0)
    states = [json.loads(call(toy, "GET", f"/jobs/{each}")[2])["state"] for each in (seeded, *ids)]
    assert states == ["completed", "failed", "failed", "completed"]


def test_seed_job_starts_where_the_test_needs_it(toy: Simulator) -> None:
    """`age` puts a job anywhere in its life; fields go over the defaults; an unknown kind is refused."""
    old = toy.seed_job("toy", "clip", age=1000.0, prompt="mine")
    young = toy.seed_job("toy", "clip", age=3.0)
    bad = toy.seed_job("toy", "clip", age=1000.0, failure="boom")
    answers = [json.loads(call(toy, "GET", f"/jobs/{each}")[2]) for each in (old, young, bad)]
    assert [(each["state"], each["stage"]) for each in answers] == [
        ("completed", "save"),
        ("running", "draw"),
        ("failed", "save"),
    ]
    assert [each["data"]["prompt"] for each in answers] == ["mine", "default", "default"]
    with pytest.raises(ValueError, match="kind must be one of clip, got 'song'"):
        toy.seed_job("toy", "song")


def test_starting_again_is_a_new_life() -> None:
    """After close() and start() jobs, time and record begin anew, with the same ids for the same seed."""
    simulator = Simulator({"toy": ToyFace()}, seed=7)
    with simulator:
        first = simulator.seed_job("toy", "clip")
        call(simulator, "GET", "/jobs/x")
    assert len(simulator.requests("toy")) == 1
    assert simulator.base_urls == {}
    with simulator:
        assert simulator.requests("toy") == ()
        assert simulator.seed_job("toy", "clip") == first


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"speed": 0.0}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"host": "0.0.0.0"}, "loopback"),
        ({"ports": {"other": 1}}, "other"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], complaint: str) -> None:
    """A speed that is no speed, a host that others can reach, a port for nobody."""
    with pytest.raises(ValueError, match=complaint):
        Simulator({"toy": ToyFace()}, **arguments)


def test_misuse_says_so(toy: Simulator) -> None:
    """Unknown faces are named beside the known ones; what needs servers says that they are not running."""
    with pytest.raises(ValueError, match="'nope' is not simulated; simulated are toy"):
        toy.requests("nope")
    with pytest.raises(RuntimeError, match="is already running"):
        toy.start()
    with pytest.raises(ValueError, match="backwards"):
        toy.advance(-1.0)
    with pytest.raises(RuntimeError, match="not been started"):
        Simulator({"toy": ToyFace()}).seed_job("toy", "clip")
    with pytest.raises(ValueError, match="capacity"):
        ToyFace(capacity=0)


def test_a_port_can_be_chosen_and_a_taken_one_leaves_nothing_behind(toy: Simulator) -> None:
    """`ports` fixes the API's port; if it is taken, start() raises and no server stays open."""
    port = int(toy.base_urls["toy"].split(":")[2].split("/")[0])
    other = Simulator({"toy": ToyFace()}, ports={"toy": port})
    said = rf"Address .*in use \(give 'toy' another port in ports, or leave it out.*\): '127.0.0.1:{port}'$"
    with pytest.raises(OSError, match=said):
        other.start()
    assert other.base_urls == {}
    toy.close()
    with other:
        assert other.base_urls["toy"] == f"http://127.0.0.1:{port}/toy"


# HTTP


def connect(simulator: Simulator) -> socket.socket:
    port = int(simulator.base_urls["toy"].split(":")[2].split("/")[0])
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_connection_is_kept_alive(toy: Simulator) -> None:
    """Several requests go over one connection, errors among them."""
    connection = http.client.HTTPConnection("127.0.0.1", int(toy.base_urls["toy"].split(":")[2][:-4]), timeout=5)
    sockets = set()
    for path in ("/nowhere", "/toy/jobs/x", "/nowhere"):
        connection.request("GET", path, headers={"Authorization": "Bearer toy-key"})
        sockets.add(connection.sock)
        assert connection.getresponse().read() == b"Not Found"
    assert len(sockets) == 1
    connection.close()


def test_routes_tell_path_from_method(toy: Simulator) -> None:
    """An unknown path is 404, a known one with another method 405, a body beyond the bound 413."""
    assert call(toy, "GET", "/nowhere")[0] == 404
    assert call(toy, "DELETE", "/jobs")[0] == 405
    assert call(toy, "POST", "/jobs", body=b"x" * 1001)[0] == 413


def test_head_has_the_headers_and_no_body() -> None:
    """HEAD says what GET would, without the body, and the connection stays usable."""
    face = ToyFace()
    with Simulator({"toy": face}):
        connection = http.client.HTTPConnection(face.urls["files"].removeprefix("http://"), timeout=5)
        sizes = []
        for method in ("HEAD", "GET"):
            connection.request(method, "/file")
            answer = connection.getresponse()
            sizes.append((answer.headers["Content-Length"], len(answer.read())))
        connection.close()
    assert sizes[0] == (sizes[1][0], 0)
    assert str(sizes[1][1]) == sizes[1][0]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: x", b"400"),
        (b"Content-Length: -1", b"400"),
        (b"Content-Length: " + b"9" * 5000, b"400"),
        (b"Transfer-Encoding: chunked", b"411"),
    ],
)
def test_a_body_of_unknown_length_is_refused(toy: Simulator, head: bytes, status: bytes) -> None:
    """A length that is none, and chunks, end the connection instead of confusing it."""
    with connect(toy) as client:
        client.sendall(b"POST /toy/jobs HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.split()[1] == status


def test_clients_that_go_away_print_nothing(toy: Simulator, capfd: pytest.CaptureFixture[str]) -> None:
    """A reset, a half request and a cut body are no events: nothing on stderr, nothing submitted."""
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    for sent in (b"", b"GET /toy/jobs", b"POST /toy/jobs HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}", b"\x00\xff\r\n\r\n"):
        client = connect(toy)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.sendall(sent)
        client.close()
    assert call(toy, "GET", "/nowhere")[0] == 404
    toy.close()
    assert toy.submissions("toy") == 0
    assert capfd.readouterr() == ("", "")


def test_a_bug_in_a_face_is_a_500_and_is_logged(toy: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that raises neither kills the server nor goes unseen."""
    assert call(toy, "GET", "/crash")[0] == 500
    assert "the face failed on GET /toy/crash" in caplog.text
    assert toy.requests("toy")[-1].status == 500
    assert call(toy, "GET", "/nowhere")[0] == 404


def test_closing_leaves_no_thread_and_no_connection() -> None:
    """close() ends idle keep-alive connections too; afterwards no thread of ours lives and nobody listens."""
    before = set(threading.enumerate())
    simulator = Simulator({"a": ToyFace(), "b": ToyFace()}).start()
    ports = [int(url.split(":")[2].split("/")[0]) for url in simulator.base_urls.values()]
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for port in ports]
    for client in clients:
        client.sendall(b"GET /nowhere HTTP/1.1\r\n\r\n")
        assert client.recv(4096)
    simulator.close()
    assert set(threading.enumerate()) == before
    for client in clients:
        assert client.recv(4096) == b""
        client.close()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    simulator.close()


def test_many_clients_at_once_lose_nothing(toy: Simulator) -> None:
    """Fifty submits from ten threads are fifty jobs with fifty ids, all on record."""
    ids: list[str] = []

    def submit_five() -> None:
        ids.extend(json.loads(call(toy, "POST", "/jobs", body=b"{}")[2])["id"] for _ in range(5))

    threads = [threading.Thread(target=submit_five) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == len(toy.requests("toy")) == toy.submissions("toy") == 50
