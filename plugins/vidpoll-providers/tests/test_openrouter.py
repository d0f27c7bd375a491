"""What is odd about OpenRouter: URLs that want the key, ids that are told once, money behind HTTP 403."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import openrouter

import vidpoll
from vidpoll import Response, State
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = openrouter.vidpoll_providers()
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
OWN = "https://openrouter.ai/api/v1/videos/v1/content?index=0"


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def client_of(script: Any) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    accounts = {"openrouter": vidpoll.Account("openrouter", key="sk-or-v1-0123456789")}
    options: dict[str, Any] = {"plugins": [openrouter], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire


@pytest.mark.parametrize(
    ("urls", "asked", "with_key"),
    [
        ({"unsigned_urls": [OWN]}, OWN, True),
        ({"unsigned_urls": ["/api/v1/videos/v1/content?index=0"]}, OWN, True),
        ({}, OWN, True),
        ({"unsigned_urls": ["https://storage.example/video.mp4"]}, "https://storage.example/video.mp4", False),
        ({"unsigned_urls": ["https://cdn.openrouter.ai/v.mp4"]}, "https://cdn.openrouter.ai/v.mp4", False),
        ({"urls": ["https://files.example/v.mp4?sig=a"]}, "https://files.example/v.mp4?sig=a", False),
        ({"unsigned_urls": [OWN], "urls": ["https://files.example/v.mp4?sig=a"]}, OWN, True),
    ],
)
def test_the_key_goes_to_its_own_origin_only(
    urls: dict[str, object], asked: str, with_key: bool, tmp_path: Path
) -> None:
    """A URL that is called unsigned wants it, where it is OpenRouter's own."""
    video = Response(200, {"content-type": "video/mp4", "content-length": str(len(MP4))}, MP4)
    done = answer({"id": "v1", "status": "completed", **urls})
    client, wire = client_of({"content": [video], ".mp4": [video], "/videos/v1": [done]})
    with client:
        (path,) = client.download("openrouter:v1", tmp_path)
    assert path.read_bytes() == MP4
    last = wire.sent[-1]
    assert (last.url.replace(":443", ""), bool(last.secret) and last.trusted(last.url)) == (asked, with_key)


def test_a_gateway_serves_the_content_itself(tmp_path: Path) -> None:
    """At a base URL of the user's the key never goes to OpenRouter: what that refuses, the own content brings."""
    wire = FakeTransport(
        {
            "gate.example/api/v1/videos/v1/content": [MP4],
            "openrouter.ai": [answer({"error": {"code": 401, "message": "Missing Authentication header"}}, 401)],
            "gate.example": [answer({"id": "v1", "status": "completed", "unsigned_urls": [OWN]})],
        }
    )
    account = vidpoll.Account("openrouter", base_url="https://gate.example/api/v1", key="sk-or-v1-0123456789")
    options: dict[str, Any] = {"plugins": [openrouter], "discover": False, "clock": FakeClock(), "transport": wire}
    with vidpoll.Client(accounts={"openrouter": account}, **options) as client:
        (path,) = client.download("openrouter:v1", tmp_path)
    assert path.read_bytes() == MP4
    assert [each.trusted(each.url) for each in wire.sent if "openrouter.ai" in each.url] == [False, False]


@pytest.mark.parametrize("status", [408, 500, 502])
def test_a_lost_submit_is_not_sent_again(status: int) -> None:
    """There is neither a list nor an idempotency key: the job could not be found."""
    client, wire = client_of([answer({"error": {"code": status, "message": "Provider returned error"}}, status)])
    with client, pytest.raises(vidpoll.SubmitUnknown):
        client.submit("openrouter", "video", model="google/veo-3.1", prompt="a sea")
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    ("status", "error", "raised", "said"),
    [
        (403, {"message": "Your input was flagged", "metadata": {"reasons": ["violence", 7]}}, vidpoll.InvalidRequest,
         "flagged: violence"),
        (403, {"message": "Key limit exceeded (total limit)"}, vidpoll.PaymentRequired, "Key limit"),
        (403, {"message": "Only management keys can perform this operation"}, vidpoll.PermissionDenied, "management"),
        (429, {"message": "Provider returned error", "metadata": {"raw": "busy upstream"}}, vidpoll.RateLimited,
         "error: busy upstream"),
        (429, {"message": "Provider returned error", "metadata": {"raw": "budget of requests spent"}},
         vidpoll.RateLimited, "budget of requests"),
        (429, {"message": "Rate limit exceeded", "metadata": None}, vidpoll.RateLimited, "Rate limit exceeded"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_it_is_about(
    status: int, error: dict[str, object], raised: type[Exception], said: str
) -> None:
    """HTTP 403 is money, content, or a permission."""
    client, _ = client_of([answer({"error": {"code": status, **error}}, status)])
    with client, pytest.raises(raised, match=said):
        client.submit("openrouter", "video", model="google/veo-3.1", prompt="a sea")


@pytest.mark.parametrize(
    ("urls", "end"), [({"urls": ["https://f.example/a?s"]}, 1795946400.0), ({"unsigned_urls": [OWN]}, None)]
)
def test_the_end_is_that_of_signed_urls(urls: dict[str, object], end: float | None) -> None:
    """The others hold for as long as the output does."""
    body = {"id": "v1", "status": "completed", "expires_at": 1795946400, **urls}
    said = PROVIDER.status.parse(answer(body), "v1")
    assert isinstance(said, vidpoll.Snapshot)
    assert [each.expires_at for each in said.assets] == [end]


def test_a_push_is_signed_over_time_comma_body() -> None:
    """And its content is read like a status response."""
    body = json.dumps(
        {"type": "video.generation.failed", "data": {"id": "v1", "status": "failed", "error": "no"}}
    ).encode()
    mac = hmac.new(b"secret", b"1795860100," + body, "sha256").hexdigest()
    headers = {"X-OpenRouter-Signature": f"t=1795860100,v1={mac}"}
    pushed = vidpoll.webhook(PROVIDER, headers, body, "secret", now=1795860200.0)
    said = PROVIDER.status.parse(Response(200, {}, pushed), "v1")
    assert isinstance(said, vidpoll.Snapshot)
    assert (said.state, said.problem) == (State.FAILED, vidpoll.Problem("no"))
    with pytest.raises(vidpoll.BadSignature):
        vidpoll.webhook(PROVIDER, headers, body + b" ", "secret", now=1795860200.0)


SKUS = {
    "duration_seconds_with_audio": "0.08",
    "duration_seconds_without_audio": "0.05",
    "duration_seconds_with_audio_720p": "0.05",
    "duration_seconds_without_audio_720p": "0.03",
}


@pytest.mark.parametrize(
    ("skus", "more", "shown"),
    [
        (SKUS, {"resolution": "720p", "generate_audio": True}, "0.40 USD"),
        (SKUS, {"resolution": "1080p", "generate_audio": True}, "0.64 USD"),
        (SKUS, {"resolution": "1080p"}, "0.40 to 0.64 USD"),
        (SKUS, {"generate_audio": False}, "0.24 to 0.40 USD"),
        (SKUS, {}, "0.24 to 0.64 USD"),
        ({"duration_seconds": "0.1"}, {"resolution": "4k"}, "0.80 USD"),
        ({**SKUS, "video_tokens": "0.1"}, {}, "None"),
        ({"duration_seconds_480p": "0.1"}, {"resolution": "4k"}, "None"),
        ({}, {}, "None"),
        ("free", {}, "None"),
    ],
)
def test_the_models_tell_the_price(skus: object, more: dict[str, Any], shown: str) -> None:
    """By the second; a rate for the resolution counts before that for all others, and what is not given is a range."""
    models = {"data": [{"id": "x", "pricing_skus": {"duration_seconds": "9"}}, {"id": "m", "pricing_skus": skus}]}
    client, wire = client_of(
        {"/videos/models": [answer(models)], "/key": [answer({"data": {"limit_remaining": None}})]}
    )
    with client:
        found = [str(client.price("openrouter", "video", model="m", prompt=a, duration=8, **more)) for a in "ab"]
    assert found == [shown, shown]
    assert sum(each.url.endswith("/videos/models") for each in wire.sent) == 1
