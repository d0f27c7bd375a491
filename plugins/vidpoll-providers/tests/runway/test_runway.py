"""What is odd about Runway: one DELETE for two things, workflows beside tasks, URLs that tell their end."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import runway

import vidpoll
from vidpoll import Problem, Request, Response, State
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = runway.vidpoll_providers()
TASK = "17f20503-6c24-4c16-946b-35dbbce2af2f"
RUN = f"workflow_invocations/{TASK}"
GONE = Response(404, {"content-type": "application/json"}, b'{"error": "Task not found"}')


def answer(body: object, status: int = 200, **headers: str) -> Response:
    return Response(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())


def task(status: str, **more: Any) -> Response:
    return answer({"id": TASK, "createdAt": "2026-11-28T10:00:00.000Z", "status": status, **more})


def read(status: str, job_id: str = TASK, **more: Any) -> vidpoll.Snapshot:
    said = PROVIDER.status.parse(task(status, **more), job_id)
    assert isinstance(said, vidpoll.Snapshot)
    return said


def client_of(script: list[Response]) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    accounts = {"runway": vidpoll.Account("runway", key="key_0123456789")}
    options: dict[str, Any] = {"plugins": [runway], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire


def url(claims: object) -> str:
    token = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"https://d.cloudfront.example/{TASK}.mp4?_jwt=e30.{token}.sig"


def test_every_request_names_the_version() -> None:
    client, wire = client_of([task("SUCCEEDED", output=[url({})])])
    with client:
        assert client.wait(f"runway:{TASK}").ok
    assert wire.sent[0].headers["X-Runway-Version"] == "2024-11-06"


# -- cancel and delete are one request ---------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["PENDING", "THROTTLED", "RUNNING"])
def test_a_404_after_a_cancel_of_ours_is_cancelled(word: str) -> None:
    """Looked at, then deleted; the job is over, and a wait asks nothing."""
    client, wire = client_of([task(word), Response(204)])
    with client:
        job = vidpoll.Job(f"runway:{TASK}")
        client.cancel(job)
        assert client.wait(job, check=False).state is State.CANCELLED
    assert [sent.method for sent in wire.sent] == ["GET", "DELETE"]


@pytest.mark.parametrize("word", ["SUCCEEDED", "FAILED", "CANCELLED"])
def test_a_cancel_deletes_no_output(word: str) -> None:
    """Of a task that is over the same request would take the files away."""
    client, wire = client_of([task(word)])
    with client, pytest.raises(vidpoll.Conflict, match="the job has ended"):
        client.cancel(f"runway:{TASK}")
    assert [sent.method for sent in wire.sent] == ["GET"]


def test_a_404_of_another_is_no_verdict() -> None:
    """Unknown, deleted or cancelled elsewhere: the response does not say which."""
    client, _ = client_of([GONE] * 9)
    with client, pytest.raises(vidpoll.JobNotFound):
        client.wait(f"runway:{TASK}")


def test_delete_is_the_bare_request() -> None:
    client, wire = client_of([Response(204)])
    with client:
        client.delete(f"runway:{TASK}")
    assert [(sent.method, sent.url.rpartition("/v1/")[2]) for sent in wire.sent] == [("DELETE", f"tasks/{TASK}")]


@pytest.mark.parametrize("end", [vidpoll.Client.cancel, vidpoll.Client.delete])
def test_an_invocation_cannot_be_ended(end: Callable[[vidpoll.Client, str], None]) -> None:
    """Runway has no request for it, and a DELETE of a task by that id is none."""
    client, wire = client_of([])
    with client, pytest.raises(vidpoll.Unsupported, match="an invocation of a workflow cannot be"):
        end(client, f"runway:{RUN}")
    assert wire.sent == []


# -- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "end"),
    [
        ({"bucket": "b", "exp": 1795940000}, 1795940000.0),
        ({"exp": "soon"}, None),
        ({}, None),
        (["exp"], None),
    ],
)
def test_a_url_tells_its_end(claims: object, end: float | None) -> None:
    assert [asset.expires_at for asset in read("SUCCEEDED", output=[url(claims)]).assets] == [end]


@pytest.mark.parametrize("query", ["_jwt=x", "_jwt=e30.A.sig", "_jwt=e30.____.sig", "_jwt=..", ""])
def test_a_token_that_is_none_tells_nothing(query: str) -> None:
    """The URL is usable, whatever its query contains."""
    assert [asset.expires_at for asset in read("SUCCEEDED", output=[f"https://a.example/1.mp4?{query}"]).assets] == [
        None
    ]


def test_each_question_gives_a_fresh_url(tmp_path: Path) -> None:
    """After its end (403) a new URL is requested, and that file is fetched."""
    old, new = "https://a.example/old.mp4?_jwt=a", "https://a.example/new.mp4?_jwt=b"
    video = b"\x00\x00\x00\x18ftypisom" + bytes(100)
    file = Response(200, {"content-type": "video/mp4", "content-length": str(len(video))}, video)
    client, wire = client_of([task("SUCCEEDED", output=[old]), Response(403), task("SUCCEEDED", output=[new]), file])
    with client:
        (path,) = client.download(f"runway:{TASK}", tmp_path)
    assert path.read_bytes() == video
    assert [sent.url for sent in wire.sent][1::2] == [old, new]


def test_an_invocation_s_output_is_that_of_all_nodes() -> None:
    output = {"n1": ["https://a.example/1.png"], "n2": ["https://a.example/2.mp4", "https://a.example/3.zip"]}
    said = read("SUCCEEDED", RUN, output=output)
    assert [asset.kind for asset in said.assets] == ["image", "video", "file"]
    assert said.job_id == RUN


def test_an_invocation_fails_with_the_code_of_its_node() -> None:
    """A node that failed before it began has none."""
    errors = {"n1": {"message": "no input"}, "n2": {"message": "flagged", "failureCode": "SAFETY.INPUT.TEXT"}}
    assert read("FAILED", RUN, failure="a node failed", nodeErrors=errors).problem == Problem(
        "a node failed", "SAFETY.INPUT.TEXT", kind="moderated_input", charged=True
    )
    assert read("FAILED", RUN, failure="it failed", nodeErrors=[1]).problem == Problem("it failed")


def test_a_task_that_makes_images_is_whole() -> None:
    """Nobody waits for a video."""
    said = read("SUCCEEDED", output=["https://a.example/1.png"])
    assert (said.assets_due, [asset.kind for asset in said.assets]) == (False, ["image"])


@pytest.mark.parametrize(
    ("body", "message", "kind"),
    [
        ({"error": "You do not have enough credits to run this task."}, None, "money"),
        (
            {
                "error": "Validation of body failed",
                "issues": [{"path": ["promptImage", 0, "uri"], "message": "bad"}, {}, 7],
            },
            "Validation of body failed; promptImage.0.uri: bad",
            None,
        ),
        ({"error": "Validation of body failed", "issues": "x"}, "Validation of body failed", None),
    ],
)
def test_a_refusal_names_what_is_wrong(body: dict[str, Any], message: str | None, kind: str | None) -> None:
    """Out of credits is a 400; of one that is about fields each is named."""
    said = PROVIDER.error(answer(body, 400))
    assert (said.message, said.kind) == (message or body["error"], kind)


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_a_file_is_sent_as_a_data_uri(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    sent = PROVIDER.submit["image_to_video"].request({"model": "gen4_turbo", "promptImage": picture, "n": 2})
    body = {"model": "gen4_turbo", "promptImage": "data:image/png;base64,iVBORw==", "n": 2}
    assert sent == Request("POST", "/v1/image_to_video", json=body)


@pytest.mark.parametrize(
    "value",
    [
        "runway://abc",
        "https://a.example/a.png",
        "data:image/png;base64,AAAA",
        [{"uri": "runway://abc", "position": "last"}],
    ],
)
def test_what_a_picture_may_be(value: object) -> None:
    sent = PROVIDER.submit["image_to_video"].request({"model": "veo3.1", "promptImage": value})
    assert sent.json == {"model": "veo3.1", "promptImage": value}


@pytest.mark.parametrize("value", ["a.png", "http://a.example/a.png", [], ["a"], Path("missing.png"), Path("a.txt"), 7])
def test_what_a_picture_may_not_be(value: object, tmp_path: Path) -> None:
    """The message says what it may be."""
    (tmp_path / "a.txt").write_text("x")
    given = tmp_path / value if isinstance(value, Path) else value
    with pytest.raises(vidpoll.InvalidField, match=r"runway:// URL|cannot be read"):
        PROVIDER.submit["image_to_video"].request({"model": "veo3.1", "promptImage": given})


def test_what_stands_in_the_path_leaves_the_body() -> None:
    """Recipes and workflows have a path of their own."""
    recipe = PROVIDER.submit["recipe"].request({"recipe": "product_ad", "version": "2026-07", "productImages": []})
    assert recipe == Request("POST", "/v1/recipes/product_ad", json={"version": "2026-07", "productImages": []})
    workflow = PROVIDER.submit["workflow"]
    assert workflow.request({"workflow": "w/1"}) == Request("POST", "/v1/workflows/w%2F1", json={})
    assert workflow.parse(answer({"id": TASK}), "").job_id == RUN  # type: ignore[union-attr]
