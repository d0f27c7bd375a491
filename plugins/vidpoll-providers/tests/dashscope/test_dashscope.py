"""What is odd about DashScope: nested bodies, the async header, UNKNOWN with 200, a list of all sorts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vidpoll_providers.dashscope import vidpoll_providers as dashscope

import vidpoll
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = dashscope()
ID = "86ecf553-d340-4e21-af6e-a0c6a421c010"


def answer(body: object, status: int = 200) -> vidpoll.Response:
    return vidpoll.Response(status, {}, json.dumps(body).encode())


class Plugin:
    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Any:
        yield PROVIDER


def client_of(*answers: vidpoll.Response) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(list(answers))
    accounts = {"dashscope": vidpoll.Account("dashscope", key="sk-0123456789abcdef")}
    client = vidpoll.Client(plugins=[Plugin()], discover=False, clock=FakeClock(), transport=wire, accounts=accounts)
    return client, wire


@pytest.mark.parametrize("kind", ["video", "image2video"])
def test_every_submit_is_asynchronous(kind: str) -> None:
    """Without the header the vendor refuses."""
    sent = PROVIDER.submit[kind].request({"model": "m", "prompt": "a"})
    assert sent.headers == {"X-DashScope-Async": "enable"}
    assert sent.json == {"model": "m", "input": {"prompt": "a"}}


def test_fields_go_into_their_part_of_the_body() -> None:
    """What the table lacks stands beside what it knows, and wins over it."""
    call = {
        "model": "m", "img_url": b"\xff\xd8\xff", "size": "832*480", "seed": 0, "watermark": False,
        "input": {"new": 1}, "parameters": {"seed": 7, "fps": 24},
    }  # fmt: skip
    assert PROVIDER.submit["video"].request(call).json == {
        "model": "m",
        "input": {"img_url": "data:image/jpeg;base64,/9j/", "new": 1},
        "parameters": {"size": "832*480", "seed": 7, "watermark": False, "fps": 24},
    }
    with pytest.raises(vidpoll.InvalidField, match="a size like 1280"):
        PROVIDER.submit["video"].request({**call, "size": "1280x720"})
    with pytest.raises(vidpoll.InvalidField, match="needs"):
        PROVIDER.submit["video"].request({"model": "m", "size": "832*480"})


def test_unknown_with_200_is_not_found() -> None:
    """It ends no wait as a verdict would: it is what another vendor says with a 404."""
    client, _ = client_of(answer({"request_id": "r", "output": {"task_id": ID, "task_status": "UNKNOWN"}}))
    with pytest.raises(vidpoll.NotFound, match="ended more than 24 hours ago"):
        client.poll(f"dashscope:{ID}")


def test_the_list_shows_films_alone_and_no_account_number() -> None:
    """Rows without the key that tells the sort are kept."""
    rows = [
        {"task_id": "a", "status": "RUNNING", "user_api_unique_key": "apikey:v1:aigc:image2video:video-synthesis:m"},
        {"task_id": "b", "status": "RUNNING", "user_api_unique_key": "apikey:v1:embeddings:text-embedding:m"},
        {"task_id": "c", "status": "RUNNING", "caller_uid": "1000000000000001", "api_key_id": "42677"},
    ]
    page = {"total": 3, "data": rows, "total_page": 1, "page_no": 1, "page_size": 10}
    client, wire = client_of(answer(page))
    jobs = list(client.jobs("dashscope"))
    assert [job.id for job in jobs] == ["a", "c"]
    assert jobs[1].snapshot.raw == {"task_id": "c", "status": "RUNNING"}
    assert wire.sent[0].url.endswith("/api/v1/tasks?page_size=10&page_no=1")


def test_a_cancel_that_comes_too_late() -> None:
    """HTTP 400, and a conflict."""
    body = {"code": "UnsupportedOperation", "message": "Failed to cancel the task."}
    client, _ = client_of(answer(body, 400))
    with pytest.raises(vidpoll.Conflict, match="Failed to cancel"):
        client.cancel(f"dashscope:{ID}")
