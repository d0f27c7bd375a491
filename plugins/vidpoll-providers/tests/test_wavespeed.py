"""What is odd about WaveSpeed: code 200 around a failed job, another around one that runs, bare pushes."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
import requests
from vidpoll_providers import wavespeed

import vidpoll
from vidpoll import Response, State
from vidpoll.testing import FakeClock, FakeTransport, simulate

(PROVIDER,) = wavespeed.vidpoll_providers()
BEGAN = 1795860000.0
JOB = {"id": "p1", "status": "completed", "created_at": "2026-11-28T10:00:00.123456789Z", "error": ""}
URL = "https://cdn.wavespeed.ai/o/1"


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def read(body: object) -> vidpoll.Snapshot:
    said = PROVIDER.status.parse(answer(body), "p1")
    assert isinstance(said, vidpoll.Snapshot)
    return said


def client_of(script: list[Response]) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    accounts = {"wavespeed": vidpoll.Account("wavespeed", key="wsk_0123456789")}
    options: dict[str, Any] = {"plugins": [wavespeed], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire


@pytest.mark.parametrize(
    ("code", "status", "state"),
    [
        (200, "failed", State.FAILED),
        (500, "failed", State.FAILED),
        (5004, "processing", State.RUNNING),
        (402, "created", State.QUEUED),
        (None, "completed", State.COMPLETED),
    ],
)
def test_the_word_decides_and_not_the_code(code: int | None, status: str, state: State) -> None:
    """Around a job, and in it."""
    assert read({"code": code, "data": {**JOB, "status": status, "code": code, "error": "why"}}).state is state


def test_a_failed_job_with_code_200_raises() -> None:
    """Through the whole wait, with the reason."""
    job = {**JOB, "status": "failed", "error": "Content flagged as potentially sensitive.", "code": 1200}
    client, wire = client_of([answer({"code": 200, "message": "success", "data": job})])
    with client, pytest.raises(vidpoll.JobFailed, match="flagged as potentially sensitive"):
        client.wait("wavespeed:p1")
    assert wire.sent[-1].url == "https://api.wavespeed.ai/api/v3/predictions/p1/result"


@pytest.mark.parametrize("status", [200, 400, 401, 402, 429])
def test_no_credit_is_money_whatever_its_status(status: int) -> None:
    """Nobody documents which it is; and nothing was bought."""
    client, wire = client_of([answer({"code": 402, "message": "Insufficient credits. Please top up"}, status)])
    with client, pytest.raises(vidpoll.PaymentRequired, match="top up"):
        client.submit("wavespeed", "prediction", model="a/b/c", prompt="a sea")
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (401, "Top up your account to use the API", "money"),
        (429, "Too many requests. Top up to raise the level of your account", None),
        (429, "Rate limit exceeded: insufficient balance", "money"),
    ],
)
def test_a_rate_that_money_would_raise_is_a_rate(status: int, text: str, kind: str | None) -> None:
    """The limits are those of the account's level, which a top-up raises: waiting also helps."""
    assert PROVIDER.error(answer({"code": status, "message": text}, status)).kind == kind


@pytest.mark.parametrize("field", ["enable_sync_mode", "enable_base64_output"])
def test_what_breaks_a_wait_is_refused(field: str) -> None:
    """The model's own fields go along; these two may be False."""
    build = PROVIDER.submit["prediction"].request
    given = {"model": "a/b/c", "webhook": "https://me.example/?a=b", "seed": 7}
    sent = build({**given, field: False})
    assert (sent.path, sent.query, sent.json) == (
        "/api/v3/a/b/c",
        (("webhook", "https://me.example/?a=b"),),
        {"seed": 7, field: False},
    )
    with pytest.raises(vidpoll.InvalidField, match="False, or left out"):
        build({**given, field: True})


@pytest.mark.parametrize(
    ("outputs", "found", "due"),
    [
        ([f"{URL}.mp4"], [("video", f"{URL}.mp4")], True),
        ([{"url": f"{URL}.mp4", "type": "video"}], [("video", f"{URL}.mp4")], True),
        ([f"{URL}.png"], [("image", f"{URL}.png")], False),
        (["iVBORw0KGgo="], [], True),
        (None, [], True),
    ],
)
def test_outputs_have_several_shapes(outputs: object, found: list[tuple[str, str]], due: bool) -> None:
    """Files end 7 days after the job's begin; what is no URL is none."""
    said = read({"code": 200, "data": {**JOB, "outputs": outputs}})
    assert [(each.kind, each.url) for each in said.assets] == found
    assert {each.expires_at for each in said.assets} <= {BEGAN + 0.123456 + 7 * 86400}
    assert said.assets_due is due


@pytest.mark.parametrize("place", ["download_url", "url"])
def test_an_upload_gives_a_url(place: str) -> None:
    """Two pages name it in two ways; a 200 may be a refusal."""
    parse = PROVIDER.upload["file"].parse
    assert parse(answer({"code": 200, "data": {place: f"{URL}.png"}}), "") == f"{URL}.png"
    with pytest.raises(vidpoll.Refused, match="invalid file type"):
        parse(answer({"code": 500, "message": "Upload failed: invalid file type"}), "")


def test_a_push_is_signed_and_comes_bare() -> None:
    """The secret is used as text, without `whsec_`, and the job has nothing around it."""
    body = json.dumps({**JOB, "outputs": [f"{URL}.mp4"]}).encode()
    mac = hmac.new(b"0123456789", b"wh_1.1795860100." + body, "sha256").hexdigest()
    headers = {"webhook-id": "wh_1", "webhook-timestamp": "1795860100", "webhook-signature": f"v3,{mac}"}
    pushed = vidpoll.webhook(PROVIDER, headers, body, "whsec_0123456789", now=1795860200.0)
    assert read(json.loads(pushed)).state is State.COMPLETED
    with pytest.raises(vidpoll.BadSignature):
        vidpoll.webhook(PROVIDER, headers, body, "whsec_other", now=1795860200.0)


def test_the_price_is_asked_once_for_all_prompts() -> None:
    """Prompt and seed do not change it; a discount of the account is included."""
    told = {"model_id": "a/b", "price": 0.05, "discounted_price": 0.045, "currency": "USD"}
    client, wire = client_of([answer({"code": 200, "message": "success", "data": told})])
    with client:
        prices = [
            client.price("wavespeed", "prediction", model="a/b", prompt=f"sea {seed}", seed=seed, duration=5)
            for seed in range(3)
        ]
    assert prices == [vidpoll.Price(0.045, 0.045, "USD", "estimate")] * 3
    assert [json.loads(each.body or b"") for each in wire.sent] == [
        {"model_id": "a/b", "inputs": {"prompt": "a prompt", "duration": 5}}
    ]


def test_the_simulated_face_tells_a_price_and_makes_no_job() -> None:
    """The question has the form of a submit, whose path is a model's."""
    with simulate("wavespeed", instant=True) as simulated, simulated.client() as client:
        assert str(client.price("wavespeed", "prediction", model="a/b", prompt="a sea")) == "0.045 USD"
        assert list(client.jobs("wavespeed")) == []


def test_the_simulated_face_refuses_a_wrong_key_by_its_status() -> None:
    """Only the question for the balance is refused inside a 200."""
    with simulate("wavespeed", instant=True) as simulated:
        url = f"{simulated.base_urls['wavespeed']}/api/v3/bytedance/seedance"
        found = requests.post(url, json={"prompt": "a sea"}, headers={"Authorization": "Bearer wrong"}, timeout=10)
    assert (found.status_code, found.json()["code"]) == (401, 401)
