"""What is odd about HeyGen: many jobs in one question, sessions that lead to a video, its balance and its pushes."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import heygen

import vidpoll
from vidpoll import Request, Response, State
from vidpoll.testing import FakeClock, FakeTransport, simulate

(PROVIDER,) = heygen.vidpoll_providers()
SESSION = "video-agents/sess_1"
URL = "https://files2.heygen.ai/1.mp4"


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def video(own: str, status: str, **more: object) -> Response:
    return answer({"data": {"id": own, "status": status, **more}})


def session(status: str, **more: object) -> Response:
    return answer({"data": {"session_id": "sess_1", "status": status, "created_at": 1795860000, **more}})


def client_of(script: list[Response]) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    accounts = {"heygen": vidpoll.Account("heygen", key="k-0123456789")}
    options: dict[str, Any] = {"plugins": [heygen], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire


def test_a_hundred_jobs_in_one_question() -> None:
    """One query has all ids; a row without files, a job or a known word is polled alone."""
    polling = PROVIDER.list_polling
    assert polling is not None
    assert polling.batch is not None
    ids = tuple(f"v{number}" for number in range(100))
    assert polling.rows == 100
    assert polling.batch.request(ids) == Request("GET", "/v3/videos/statuses", (("video_ids", ",".join(ids)),))
    rows = [{"video_id": "v1", "status": "queued"}, {"video_id": "v2", "status": "not_found"}, {"status": "processing"}]
    page = polling.batch.parse(answer({"data": rows}), "")
    assert [(each.job_id, each.state) for each in page.items] == [("v1", State.QUEUED)]
    assert polling.takes is not None
    assert [polling.takes(each) for each in ("v1", SESSION, "a,b")] == [True, False, False]


def test_a_session_leads_to_its_video() -> None:
    """The session is completed; its video still renders, and then is there. The job keeps its own id."""
    done = session("completed", progress=100, video_id="v1")
    script = [
        session("thinking", progress=5),
        done,
        video("v1", "processing"),
        done,
        video("v1", "completed", video_url=URL),
    ]
    client, wire = client_of(script)
    with client:
        job = client.wait(f"heygen:{SESSION}")
    assert (job.id, [each.url for each in job.assets]) == (SESSION, [URL])
    assert [each.url.removeprefix("https://api.heygen.com/v3/") for each in wire.sent] == [
        SESSION,
        SESSION,
        "videos/v1",
        SESSION,
        "videos/v1",
    ]


def test_a_session_s_video_that_failed() -> None:
    """The session is completed, and the job has failed, with the reason of the video."""
    failed = video("v1", "failed", failure_code="moderation", failure_message="refused")
    client, _ = client_of([session("completed", video_id="v1"), failed])
    with client:
        job = client.wait(f"heygen:{SESSION}", check=False)
    assert (job.state, job.problem) == (State.FAILED, vidpoll.Problem("refused", "moderation"))


def test_another_video_than_the_session_s_is_not_taken() -> None:
    follow = PROVIDER.status.parse(session("completed", video_id="v1"), SESSION)
    assert isinstance(follow, vidpoll.Follow)
    with pytest.raises(vidpoll.AnswerError, match="another video"):
        follow.parse(video("v2", "completed", video_url=URL), SESSION)


def test_a_video_cannot_be_cancelled_and_a_session_not_deleted() -> None:
    """Each says so, before anything is sent."""
    client, wire = client_of([answer({"data": {"session_id": "sess_1"}}), answer({"data": {"id": "v1"}})])
    with client:
        with pytest.raises(vidpoll.Unsupported, match="a video cannot be cancelled"):
            client.cancel("heygen:v1")
        with pytest.raises(vidpoll.Unsupported, match="a session cannot be deleted"):
            client.delete(f"heygen:{SESSION}")
        client.cancel(f"heygen:{SESSION}")
        client.delete("heygen:v1")
    assert [(each.method, each.url.rpartition("/v3/")[2]) for each in wire.sent] == [
        ("POST", f"{SESSION}/stop"),
        ("DELETE", "videos/v1"),
    ]


def test_an_idempotency_key_is_a_header() -> None:
    sent = PROVIDER.submit["agent"].request({"prompt": "a sea", "idempotency_key": "k:1"})
    assert sent == Request("POST", "/v3/video-agents", (), {"Idempotency-Key": "k:1"}, {"prompt": "a sea"})


def test_both_pools_of_a_subscription_count() -> None:
    """Credits that were bought are spent like those of the plan; a pool that is null has none."""
    credit = {"premium_credits": {"remaining": 180, "resets_at": None}, "add_on_credits": {"remaining": 20}}
    parse = PROVIDER.quota.parse
    block = {"plan": "pro", "credits": credit}
    assert parse(answer({"data": {"billing_type": "subscription", "subscription": block}}), "") == vidpoll.Quota(
        plan="subscription, pro", balance=200
    )
    with pytest.raises(vidpoll.Malformed):
        parse(answer({"data": {"billing_type": "wallet", "wallet": None}}), "")


def test_an_upload_gives_the_id_of_the_asset(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"ID3")
    client, wire = client_of(
        [answer({"data": {"asset_id": "ast_1", "url": "https://files.heygen.com/asset/ast_1.mp3"}})]
    )
    with client:
        assert client.upload("heygen", tmp_path / "a.mp3") == "ast_1"
    assert wire.sent[0].url == "https://api.heygen.com/v3/assets"


@pytest.mark.parametrize("name", ["Heygen-Signature", "X-Heygen-Signature", "Signature"])
def test_a_push_is_signed_under_one_of_three_names(name: str) -> None:
    """Over the body; what it says is confirmed by a question."""
    event = {"event_type": "avatar_video.success", "event_data": {"video_id": "v1", "url": URL}}
    body = json.dumps(event).encode()
    headers = {name: hmac.new(b"whsec_1", body, hashlib.sha256).hexdigest()}
    client, wire = client_of([video("v1", "completed", video_url=URL)])
    with client:
        job = client.feed("heygen:v1", vidpoll.webhook(PROVIDER, headers, body, "whsec_1"))
    assert (job.state, len(wire.sent)) == (State.COMPLETED, 1)
    with pytest.raises(vidpoll.BadSignature):
        vidpoll.webhook(PROVIDER, headers, body + b" ", "whsec_1")


@pytest.mark.parametrize(
    ("about", "word", "status"),
    [
        ("avatar_video", "success", "completed"),
        ("avatar_video", "fail", "failed"),
        ("video_agent", "success", "completed"),
        ("avatar_video_gif", "success", None),
        ("video_translate", "fail", None),
    ],
)
def test_what_an_event_says(about: str, word: str, status: str | None) -> None:
    """A picture or a translation that is done says nothing of the video."""
    event = {"event_type": f"{about}.{word}", "event_data": {"video_id": "v1"}}
    assert heygen.pushed(event) == {"data": {"video_id": "v1", "status": status}}


def test_an_event_of_a_session() -> None:
    """It names the session and its video: the session is meant."""
    event = {"event_type": "video_agent.success", "event_data": {"session_id": "sess_1", "video_id": "v1"}}
    client, wire = client_of([session("completed", video_id="v1"), video("v1", "completed", video_url=URL)])
    with client:
        job = client.feed(f"heygen:{SESSION}", heygen.pushed(event))
    assert (job.state, len(wire.sent)) == (State.COMPLETED, 2)


def test_a_simulated_session_speaks_its_own_words() -> None:
    """Sessions have no word for waiting; that of a video would be unknown."""
    with simulate("heygen") as simulation, simulation.client() as client:
        job = client.submit("heygen", "agent", prompt="A presenter explains our launch in 30 seconds", mode="generate")
        assert client.poll(job).stage in ("thinking", "processing")
