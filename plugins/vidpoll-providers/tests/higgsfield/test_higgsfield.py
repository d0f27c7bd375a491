"""What is odd about Higgsfield: its keys, its refusals, its cancel, its models without a video."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from vidpoll_providers import higgsfield

import vidpoll
from vidpoll import Request, Response
from vidpoll.testing import FakeClock, FakeTransport

ID = "00000000-1111-4222-8333-444444444444"
VARIABLES = ("HIGGSFIELD_API_KEY", "HF_KEY", "HF_CREDENTIALS", "HF_API_KEY", "HF_API_SECRET")
(PROVIDER,) = higgsfield.vidpoll_providers()


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {}, b"" if body is None else json.dumps(body).encode())


def client_of(script: list[Response], **account: Any) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    accounts = {"higgsfield": vidpoll.Account("higgsfield", **account)}
    options: dict[str, Any] = {"plugins": [higgsfield], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire


@pytest.mark.parametrize(
    ("environment", "sent"),
    [
        ({"HF_KEY": "id:secret-1"}, "Key id:secret-1"),
        ({"HF_CREDENTIALS": "id:secret-2"}, "Key id:secret-2"),
        ({"HF_API_KEY": "id", "HF_API_SECRET": "secret-3"}, "Key id:secret-3"),
        ({"HF_KEY": "hf_abcdefgh", "HIGGSFIELD_API_KEY": "id:secret-4"}, "Key id:secret-4"),
        ({"HF_API_KEY": "hf_abcdefgh", "HF_CREDENTIALS": "id:secret-5"}, "Key id:secret-5"),
    ],
)
def test_the_names_of_the_key(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sent: str) -> None:
    """Its own name wins, then those of the SDKs; one half of a pair is none."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client, wire = client_of([answer({"status": "canceled", "request_id": ID})])
    with client:
        client.poll(f"higgsfield:{ID}")
    assert wire.sent[0].secret["Authorization"] == sent


def test_a_token_of_hugging_face_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names clash: a token of another vendor must not go to this one."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_KEY", "hf_abcdefgh")
    client, wire = client_of([])
    with (
        client,
        pytest.raises(vidpoll.ConfigurationError, match="HF_KEY is a Hugging Face token, so it was not sent"),
    ):
        client.wait(f"higgsfield:{ID}")
    assert wire.sent == []


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (403, "Forbidden", vidpoll.PaymentRequired),
        (423, "Model is blocked", vidpoll.PermissionDenied),
        (400, "Too many concurrent requests", vidpoll.RateLimited),
        (400, "duration: not allowed", vidpoll.InvalidRequest),
        (400, "Too many images", vidpoll.InvalidRequest),
        (500, "Too many concurrent requests", vidpoll.SubmitUnknown),
    ],
)
def test_what_a_submit_is_refused_for(status: int, text: str, error: type[vidpoll.VidpollError]) -> None:
    client, _ = client_of([answer({"detail": text}, status)], key="id:secret")
    with client, pytest.raises(error, match=text):
        client.submit("higgsfield", "video", model="higgsfield-ai/dop/standard", prompt="a sea")


def test_fields_that_are_headers_or_a_query() -> None:
    """All that is not vidpoll's or the gateway's is the model's."""
    fields = {"model": "a/b/c", "hf_expires_after": 3600, "idempotency_key": "k1", "hf_webhook": "https://me.example/h"}
    assert PROVIDER.submit["video"].request({**fields, "duration": 5}) == Request(
        "POST",
        "/a/b/c",
        (("hf_webhook", "https://me.example/h"),),
        {"Hf-Expires-After": "3600", "Idempotency-Key": "k1"},
        {"duration": 5},
    )


def test_a_cancel_that_comes_too_late() -> None:
    """202 is empty; 400 is no wrong request, but a job that has begun."""
    client, _ = client_of([answer(None, 202), answer({"detail": "in progress"}, 400)], key="id:secret")
    with client:
        client.cancel(f"higgsfield:{ID}")
        with pytest.raises(vidpoll.Conflict, match="in progress"):
            client.cancel(f"higgsfield:{ID}")


def test_a_bot_check_is_no_lack_of_money() -> None:
    """HTTP 403 is money if the API itself says it; a page of a proxy is tolerated."""
    page = Response(
        403, {"content-type": "text/html", "server": "cloudflare"}, b"<html><title>Just a moment...</title>"
    )
    client, wire = client_of([page, page, page, answer({"status": "canceled", "request_id": ID})], key="id:secret")
    with client:
        job = client.wait(f"higgsfield:{ID}", check=False)
    assert (job.state, len(wire.sent)) == (vidpoll.State.CANCELLED, 4)


def test_a_model_of_images_is_done_at_once() -> None:
    """No video is expected, so nothing waits for one."""
    done = {"status": "completed", "request_id": ID, "images": [{"url": "https://a.example/1.png"}]}
    client, wire = client_of([answer(done)], key="id:secret")
    with client:
        job = client.wait(f"higgsfield:{ID}")
    assert ([each.kind for each in job.assets], len(wire.sent)) == (["image"], 1)


def test_a_signed_push_is_read() -> None:
    """Standard Webhooks; another body is refused."""
    secret, body = b"secret", json.dumps({"status": "nsfw", "request_id": ID}).encode()
    mac = base64.b64encode(hmac.digest(secret, b"m1.1000." + body, hashlib.sha256)).decode()
    headers = {"webhook-id": "m1", "webhook-timestamp": "1000", "webhook-signature": f"v1,{mac}"}
    told = f"whsec_{base64.b64encode(secret).decode()}"
    assert vidpoll.webhook(PROVIDER, headers, body, told, now=1000.0) == body
    with pytest.raises(vidpoll.BadSignature):
        vidpoll.webhook(PROVIDER, headers, body + b" ", told, now=1000.0)
