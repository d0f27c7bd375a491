"""What is odd about fal: a result that is the verdict, apps in ids, logs as stages, files anywhere, keys in halves."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import fal

import vidpoll
from vidpoll import Asset, Cost, Follow, Problem, Response, Snapshot, State
from vidpoll.testing import FakeClock, FakeTransport, simulate

(PROVIDER,) = fal.vidpoll_providers()
OPERATIONS: dict[str, Any] = {**PROVIDER.operations()}
OWN = "764cabcf-b745-4b3e-ae38-1200304cf45b"
ID = f"fal-ai/veo3.1/{OWN}"
URL = "https://v3.fal.media/files/a/1.mp4"
OVER = {"status": "COMPLETED", "request_id": OWN, "logs": []}
FLAGGED = {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation", "input": "x"}]}


def answer(body: object, status: int = 200, **headers: str) -> Response:
    plain = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"content-type": "application/json", **plain}, json.dumps(body).encode())


def result(body: object, status: int = 200, said: object = OVER, **headers: str) -> Snapshot:
    """What a completed request with this result is."""
    told = OPERATIONS["status"].parse(answer(said), ID)
    assert isinstance(told, Follow)
    found = told.parse(answer(body, status, **headers), ID)
    assert isinstance(found, Snapshot)
    return found


def client_of(script: list[Response], key: Any = "id:secret") -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    options: dict[str, Any] = {"plugins": [fal], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts={"fal": vidpoll.Account("fal", key=key)}, **options), wire


def test_a_wait_asks_for_the_result_until_it_is_there() -> None:
    """COMPLETED, the result not yet, an outage, the result: one wait."""
    script = [answer({**OVER, "status": "IN_QUEUE", "queue_position": 1}, 202), answer(OVER)]
    script += [answer({"detail": "Request is still in progress"}, 400), answer(OVER), answer({"message": "busy"}, 504)]
    script += [answer(OVER), answer({"video": {"url": URL}, "seed": 7}, x_fal_billable_units="8")]
    client, wire = client_of(script)
    job = client.wait(f"fal:{ID}", timeout=900)
    assert (job.ok, job.assets, job.cost) == (True, (Asset(URL),), Cost(8, unit="units"))
    assert job.snapshot is not None
    assert job.snapshot.raw["payload"]["seed"] == 7
    base = f"https://queue.fal.run/fal-ai/veo3.1/requests/{OWN}"
    assert list(dict.fromkeys(each.url for each in wire.sent)) == [f"{base}/status?logs=1", base]


@pytest.mark.parametrize(
    ("body", "status", "state", "problem"),
    [
        (FLAGGED, 422, State.FAILED, "prompt: flagged (content_policy_violation)"),
        ({"detail": [{"msg": "slow", "type": "generation_timeout"}]}, 504, State.FAILED, "slow (generation_timeout)"),
        ({"detail": "gone", "error_type": "runner_disconnected"}, 503, State.FAILED, "gone (runner_disconnected)"),
        ({"detail": "Request is still in progress"}, 500, State.RUNNING, "None"),
        ({"detail": "x", "error_type": "client_cancelled"}, 400, State.CANCELLED, "x (client_cancelled)"),
    ],
)
def test_the_result_is_the_verdict(body: object, status: int, state: State, problem: str) -> None:
    """By its status and its own word for an error."""
    said = result(body, status)
    assert (said.state, said.assets, str(said.problem)) == (state, (), problem)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "about:blank", "title": "Bad gateway"}, 503),
        ({"detail": "Gateway timeout"}, 504),
        ({"error": "bad"}, 400),
        ({}, 200),
        ({"detail": "Not authenticated"}, 200),
        ({"status": "NOT_FOUND"}, 200),
    ],
)
def test_an_outage_is_no_verdict(body: object, status: int) -> None:
    """vidpoll tolerates it and polls again: it does not end a paid job."""
    with pytest.raises(vidpoll.Malformed):
        result(body, status)


def test_an_error_beside_completed_is_certain() -> None:
    """Its result may be gone: then the job failed with the reason in the status, otherwise with the result's reason."""
    said = {**OVER, "error": "Invalid status code: 422", "error_type": "content_policy_violation"}
    client, _ = client_of([answer(said), *[answer({"detail": "Request not found"}, 404)] * 9])
    job = client.wait(f"fal:{ID}", timeout=900, check=False)
    problem = Problem("Invalid status code: 422", "content_policy_violation", kind="moderated_input")
    assert (job.state, job.problem) == (State.FAILED, problem)
    assert str(result(FLAGGED, 422, said).problem) == "prompt: flagged (content_policy_violation)"


def test_a_reason_says_whether_to_try_again_and_not_what_was_submitted() -> None:
    """The input may be an image as a data URI."""
    problem = result(FLAGGED, 422, x_fal_retryable="false").problem
    assert problem is not None
    assert problem.details == {"loc": ["body", "prompt"], "retryable": False}


def test_the_last_line_of_the_log_is_the_stage() -> None:
    """While the job runs; a bar in it is no progress."""
    logs = [{"message": "loading"}, {"message": "step 1\n 40%|####\n"}, {"message": None}, "x"]
    running, done = ({**OVER, "status": word, "logs": logs} for word in ("IN_PROGRESS", "COMPLETED"))
    said = OPERATIONS["status"].parse(answer(running, 202), ID)
    assert (said.state, said.stage, said.progress) == (State.RUNNING, "40%|####", None)
    assert result({"video": {"url": URL}}, said=done).stage == "COMPLETED"


@pytest.mark.parametrize(
    ("output", "files"),
    [
        ({"video_url": URL, "thumbnail_url": "https://a.example/t.jpg"}, [f"video {URL}", "image https://a.example/t.jpg"]),
        ({"9": {"gifs": [{"url": "https://a.example/x", "content_type": "video/mp4"}]}}, ["video https://a.example/x"]),
        ({"model_mesh": {"url": "https://a.example/m.glb"}}, ["file https://a.example/m.glb"]),
        ({"video": {"url": "data:video/mp4;base64,AAAA"}, "docs_url": "https://docs.fal.ai"}, []),
        ({"text": "no file"}, []),
    ],
)  # fmt: skip
def test_files_are_found_wherever_they_stand(output: object, files: list[str]) -> None:
    """Outputs are the models' own."""
    assert [f"{each.kind} {each.url}" for each in result(output).assets] == files


@pytest.mark.parametrize(
    ("url", "job_id"),
    [
        (f"https://queue.fal.run/other/app/requests/{OWN}/status", f"other/app/{OWN}"),
        (f"https://queue.fal.run/workflows/me/mine/requests/{OWN}/status", f"workflows/me/mine/{OWN}"),
        (f"https://queue.fal.run/a/b/c/d/requests/{OWN}/status", ID),
        (7, ID),
    ],
)
def test_the_urls_of_the_answer_name_the_app(url: object, job_id: str) -> None:
    """Where they name one; else it is that of the submit."""
    made = OPERATIONS["submit video"].parse(answer({"request_id": OWN, "status_url": url}), "fal-ai/veo3.1")
    assert made.job_id == job_id


def test_what_fal_takes_as_headers_leaves_the_body(tmp_path: Path) -> None:
    """A file goes as a data URI; all else is the app's own."""
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG")
    fal_own = {"fal_priority": "low", "fal_no_retry": True, "fal_store_io": False, "fal_expires_after": 60}
    fields = {"app": "fal-ai/veo3.1/fast", "image_url": file, "priority": 3, "fal_start_timeout": 2.5, **fal_own}
    request = OPERATIONS["submit video"].request(fields)
    assert (request.path, request.about) == ("/fal-ai/veo3.1/fast", "fal-ai/veo3.1")
    assert request.json == {"image_url": "data:image/png;base64,iVBORw==", "priority": 3}
    assert request.headers == {
        "X-Fal-Queue-Priority": "low",
        "X-Fal-Request-Timeout": "2.5",
        "x-fal-no-retry": "1",
        "X-Fal-Store-IO": "0",
        "X-Fal-Object-Lifecycle-Preference": '{"expiration_duration_seconds": 60}',
    }
    with pytest.raises(vidpoll.InvalidField, match="image_url cannot be read"):
        OPERATIONS["submit video"].request({**fields, "image_url": tmp_path / "none.png"})


@pytest.mark.parametrize("key", ["a:b", {"FAL_KEY": "a:b"}, {"FAL_KEY_ID": "a", "FAL_KEY_SECRET": "b"}])
def test_a_key_may_come_in_two_halves(key: Any) -> None:
    """Joined, they are the key."""
    client, wire = client_of([answer({"status": "OK"})], key)
    client.cancel(f"fal:{ID}")
    assert {**wire.sent[0].secret} == {"Authorization": "Key a:b"}


def test_the_simulator_takes_the_halves() -> None:
    """As it takes the key: who has set both of them gets in, and nobody else."""
    fields = {"app": "fal-ai/veo3.1/image-to-video", "prompt": "x", "fal_webhook": "https://me.example/hook"}
    with simulate("fal", instant=True) as simulation:
        base, key = simulation.base_urls["fal"], simulation.keys["fal"]
        for secret, good in ((key, True), ("wrong", False)):
            halves = {"FAL_KEY_ID": str(key), "FAL_KEY_SECRET": str(secret)}
            client = simulation.client(accounts={"fal": vidpoll.Account("fal", base_url=base, key=halves)})
            if good:
                assert client.wait(client.submit("fal", "video", **fields)).ok
            else:
                with pytest.raises(vidpoll.AuthenticationError):
                    client.submit("fal", "video", **fields)


@pytest.mark.parametrize(("word", "state"), [("OK", State.CANCELLED), ("CANCELLATION_REQUESTED", None)])
def test_a_cancel_out_of_the_queue_is_the_end(word: str, state: State | None) -> None:
    """The signal to a job that runs is none: it may still finish."""
    said = OPERATIONS["cancel"].parse(answer({"status": word}), ID)
    assert getattr(said, "state", None) is state


def test_fields_of_one_app_s_list_want_the_app() -> None:
    """The list of all requests has none of them."""
    with pytest.raises(vidpoll.InvalidField, match="status needs endpoint_id"):
        OPERATIONS["list"].request({"status": "error"}, None)


@pytest.mark.parametrize("odd", [{"status_code": "x"}, {"status_code": 302}, {"status_code": None, "ended_at": "y"}])
def test_a_row_without_an_outcome_is_left_out(odd: dict[str, object]) -> None:
    """Its state is unknown."""
    rows = [{"request_id": OWN, "endpoint_id": "fal-ai/veo3.1/fast", "status_code": 200, **more} for more in ({}, odd)]
    page = OPERATIONS["list"].parse(answer({"results": rows, "has_more": False, "next_cursor": "c"}), "")
    assert ([row.job_id for row in page.items], page.next) == ([ID], None)


def test_a_file_that_is_not_deleted_is_told() -> None:
    """The rest of the payloads is gone."""
    kept = {"cdn_delete_results": [{"link": URL, "exception": None}, {"link": URL, "exception": "403"}]}
    with pytest.raises(vidpoll.Refused, match="1 of the job's files was not deleted: 403"):
        OPERATIONS["delete"].parse(answer(kept), ID)


@pytest.mark.parametrize(("word", "ends"), [("OK", State.COMPLETED), ("ERROR", State.FAILED)])
def test_a_push_is_checked_and_then_asked_about(word: str, ends: State) -> None:
    """Ed25519 by the vendor's keys; the result has the verdict."""
    ed = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    key = ed.Ed25519PrivateKey.generate()
    body = json.dumps({"request_id": OWN, "gateway_request_id": OWN, "status": word, "payload": None}).encode()
    message = f"{OWN}\ngithub|1\n1700000000\n{hashlib.sha256(body).hexdigest()}"
    headers = {
        "X-Fal-Webhook-Request-Id": OWN,
        "X-Fal-Webhook-User-Id": "github|1",
        "X-Fal-Webhook-Timestamp": "1700000000",
        "X-Fal-Webhook-Signature": key.sign(message.encode()).hex(),
    }
    public = urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    told = vidpoll.webhook(PROVIDER, headers, body, json.dumps({"keys": [{"x": public}]}), now=1700000000.0)
    last = answer({"video": {"url": URL}}) if word == "OK" else answer(FLAGGED, 422)
    client, wire = client_of([answer(OVER), last])
    assert client.feed(f"fal:{ID}", told).state is ends
    assert len(wire.sent) == 2
    with pytest.raises(vidpoll.BadSignature):
        vidpoll.webhook(PROVIDER, headers, body + b" ", json.dumps({"keys": [{"x": public}]}), now=1700000000.0)
