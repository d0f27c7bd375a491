"""Recorded traffic as a server: what was asked is answered as it was, in its order; waits take no time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from acme_provider import ACME, Plugin

import vidpoll
from vidpoll.testing import Simulation, replay
from vidpoll.testing.simulator import RecordedFace

CLIP = "\x00\x00\x00 ftypisom"


def asked(line: str, answer: object, status: int = 200, *, body: object = None, **more: Any) -> dict[str, Any]:
    request = {"line": f"{line} HTTP/1.1", "headers": more.pop("sent", {}), "body": body and json.dumps(body)}
    response = {"status": status, "headers": [["Content-Type", "application/json"]], "body": json.dumps(answer)}
    return {"request": request, "response": {**response, **more}}


def job(status: str) -> dict[str, str]:
    return {"status": status, "video": "http://rec.example:9/files/a.mp4"}


FILE = {
    "body": None,
    "body_len": 5000,
    "first64": CLIP,
    "headers": {"Accept-Ranges": "bytes", "Content-Type": "video/mp4"},
}
EXCHANGES = [
    asked("POST /v1/jobs", {"id": "j1"}, body={"prompt": "a sea"}),
    asked("POST /v1/jobs", {"id": "j2"}, body={"prompt": "a lake"}),
    asked("GET /v1/jobs/j1", job("queued")),
    asked("GET /v1/jobs/j1/file", {"detail": "too early"}, 404),
    asked("GET /v1/jobs/j1?full=1", job("drawing")),
    asked("GET /v1/jobs/j1", job("done")),
    {"request": {"line": "GET /v1/jobs/j1 HTTP/1.1"}, "response": None, "error": "the connection was dropped"},
    asked("GET /files/a.mp4", None, 206, sent={"Range": "bytes=0-9"}),
    asked("GET /files/a.mp4", None, **FILE),
    asked("GET /v1/jobs/j1/file", None, **FILE),
    {
        **asked("POST /v1/files", {"id": "f1"}),
        "request": {"line": "POST /v1/files", "body": {"len": 187, "sha256": "af"}},
    },
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps({"exchanges": EXCHANGES}), encoding="utf-8")
    return path


def ask(simulation: Simulation, path: str, data: object = None, **headers: str) -> tuple[int, bytes]:
    body = None if data is None else json.dumps(data).encode()
    url = simulation.base_urls["acme"].removesuffix("/v1") + path
    try:
        with urlopen(Request(url, data=body, headers=headers)) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def served(recording: Path, **options: Any) -> Simulation:
    return Simulation({"acme": RecordedFace(recording, base_path="/v1", **options)}, plugins=[Plugin(ACME)])


def words(simulation: Simulation, *paths: str) -> list[str]:
    return [json.loads(ask(simulation, path)[1])["status"] for path in paths]


def test_answers_come_in_the_order_of_the_recording(recording: Path) -> None:
    """The next one to the same request; at the end the last one stays. A new life begins at the first."""
    simulation = served(recording)
    for _ in range(2):
        with simulation:
            assert words(simulation, *["/v1/jobs/j1"] * 4) == ["queued", "done", "done", "done"]


def test_the_same_query_is_preferred_and_another_will_do(recording: Path) -> None:
    with served(recording) as simulation:
        assert words(simulation, "/v1/jobs/j1?full=1", "/v1/jobs/j1?other=2") == ["drawing", "done"]


def test_a_submit_is_known_by_its_body(recording: Path) -> None:
    """A body that was not recorded gets the next answer to the path."""
    with served(recording) as simulation:
        ids = [json.loads(ask(simulation, "/v1/jobs", {"prompt": each})[1])["id"] for each in ("a lake", "a sea", "x")]
    assert ids == ["j2", "j1", "j2"]


def test_a_form_stands_by_its_length(recording: Path) -> None:
    """Its body is in no recording."""
    with served(recording) as simulation:
        assert json.loads(ask(simulation, "/v1/files", "a form")[1]) == {"id": "f1"}


def test_what_came_too_early_is_not_repeated_later(recording: Path) -> None:
    """The answer depends on where the conversation stands: a file is there after the job is done."""
    with served(recording) as simulation:
        early = ask(simulation, "/v1/jobs/j1/file")
        words(simulation, "/v1/jobs/j1")
        late = ask(simulation, "/v1/jobs/j1/file")
    assert (early, late[0], len(late[1]), late[1][: len(CLIP)]) == (
        (404, b'{"detail": "too early"}'), 200, 5000, CLIP.encode("latin-1"),
    )  # fmt: skip


def test_a_file_is_served_by_range(recording: Path) -> None:
    """Out of the whole file: the ranges that were recorded are those of another client."""
    with served(recording) as simulation:
        assert ask(simulation, "/files/a.mp4", Range="bytes=4-7") == (206, b"ftyp")
        assert len(ask(simulation, "/files/a.mp4")[1]) == 5000


def test_what_was_never_asked_is_not_found(recording: Path) -> None:
    with served(recording) as simulation:
        status, body = ask(simulation, "/v1/jobs/j9")
    assert (status, json.loads(body)["error"]["message"]) == (404, "not in the recording: GET /v1/jobs/j9")


def test_a_whole_wait_and_download(recording: Path, tmp_path: Path) -> None:
    """`replay` is a provider whose server is the recording; the server's own address is known in bodies."""
    with replay("acme", recording, origin="http://rec.example:9", plugins=[Plugin(ACME)]) as simulation:
        client = simulation.client()
        job = client.wait(client.submit("acme", "clip", prompt="a sea"))
        (path,) = client.download(job, tmp_path / "clips")
        asked = [(each.method, each.path) for each in simulation.requests("acme")]
    assert (job.ref, job.ok, path.stat().st_size) == ("acme:j1", True, 5000)
    assert asked == [("POST", "/v1/jobs"), *[("GET", "/v1/jobs/j1")] * 2, ("GET", "/files/a.mp4")]


def test_an_unknown_provider_is_told(recording: Path) -> None:
    with pytest.raises(vidpoll.UnknownProvider, match="no provider 'acne'"):
        replay("acne", recording, plugins=[Plugin(ACME)])
