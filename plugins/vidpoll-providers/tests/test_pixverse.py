"""What is odd about PixVerse: a trace id for each request, refusals in a 200, the signature of a push, two balances."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
import vidpoll_providers
from vidpoll_providers import pixverse

import vidpoll
from vidpoll import Response
from vidpoll.testing import FakeClock, FakeTransport

SAMPLES = Path(vidpoll_providers.__file__).parent / "samples/pixverse"
ID = "318633193768896"
(PROVIDER,) = pixverse.vidpoll_providers()
PUSHED = {"status": 1, "id": ID, "url": "https://a.example/a b.mp4", "size": 10.50, "has_audio": True, "credits": 100}


def client(*names: str) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport([Response(200, {}, (SAMPLES / name).read_bytes()) for name in names])
    accounts = {"pixverse": vidpoll.Account("pixverse", key="key-0123456789")}
    made = vidpoll.Client(accounts=accounts, plugins=[pixverse], discover=False, clock=FakeClock(), transport=wire)
    return made, wire


def test_each_request_has_a_trace_id_of_its_own() -> None:
    """For a submit and every later request; the key is sent with it."""
    it, wire = client("submit.json", "generating.json", "generating.json", "success.json")
    with it:
        job = it.wait(it.submit("pixverse", "text", model="v5", prompt="a sea"), timeout=600)
    traces = {str(UUID(each.secret["Ai-trace-id"])) for each in wire.sent}
    assert (job.ok, job.id, len(wire.sent), len(traces)) == (True, ID, 4, 4)
    assert {each.secret["API-KEY"] for each in wire.sent} == {"key-0123456789"}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("error-credits.json", vidpoll.PaymentRequired),
        ("error-balance.json", vidpoll.PaymentRequired),
        ("error-moderation-text.json", vidpoll.InvalidRequest),
        ("error-key.json", vidpoll.AuthenticationError),
    ],
)
def test_a_200_may_refuse(name: str, error: type[vidpoll.ProviderError]) -> None:
    """The code of the body says what for; the submit is sent once."""
    it, wire = client(name)
    with it, pytest.raises(error) as told:
        it.submit("pixverse", "text", model="v5", prompt="a sea")
    assert (told.value.code, len(wire.sent)) == (str(json.loads((SAMPLES / name).read_text())["ErrCode"]), 1)


def test_a_refusal_that_is_no_json() -> None:
    """A proxy's page is read as everywhere; so is an object without a code."""
    assert PROVIDER.error(Response(502, {}, b"<title>Bad gateway</title>")).message == "HTTP 502: a page «Bad gateway»"
    assert PROVIDER.error(Response(403, {}, b'{"message": "no"}')).message == "no"


def signed(body: bytes, pairs: list[tuple[str, str]], now: int = 1_790_000_000) -> dict[str, str]:
    text = f"{now}\nn0nce\n{urlencode(pairs)}"
    mac = base64.b64encode(hmac.new(b"secret", text.encode(), hashlib.sha256).digest()).decode()
    return {"Webhook-Timestamp": str(now), "Webhook-Nonce": "n0nce", "Webhook-Signature": mac}


PAIRS = [*{**PUSHED, "size": "10.5", "has_audio": "true"}.items()]


@pytest.mark.parametrize("pairs", [PAIRS, sorted(PAIRS)])
def test_a_push_is_signed_as_a_query(pairs: list[Any]) -> None:
    """Values as they stand in the body, in its order or sorted."""
    body = json.dumps(PUSHED).encode()
    assert vidpoll.webhook(PROVIDER, signed(body, pairs), body, "secret", now=1_790_000_100.0) == body


@pytest.mark.parametrize(
    ("change", "body", "why"),
    [
        ({}, b'{"id": "8"}', "the signature does not match the secret"),
        ({}, b"[]", "the signature does not match the secret"),
        ({}, b"7", "the body is not a JSON object"),
        ({}, b"{", "the body is not a JSON object"),
        (
            {"Webhook-Timestamp": "1789990000"},
            b"{}",
            "its time differs from this machine's clock by 10100 s; at most 300 s are allowed",
        ),
        ({"Webhook-Nonce": ""}, b"{}", "must be present"),
        ({"Webhook-Timestamp": "soon"}, b"{}", "must be present"),
    ],
)
def test_another_push_is_not_taken(change: dict[str, str], body: bytes, why: str) -> None:
    """Changed, late, or without what signs it."""
    headers = {**signed(body, PAIRS), **change}
    with pytest.raises(vidpoll.BadSignature, match=why):
        vidpoll.webhook(PROVIDER, headers, body, "secret", now=1_790_000_100.0)


def test_an_upload_gives_the_number_that_a_submit_takes(tmp_path: Path) -> None:
    """An image and a video go to two places."""
    files = {name: tmp_path / name for name in ("a.png", "b.mp4")}
    for path in files.values():
        path.write_bytes(b"x")
    image, media = PROVIDER.upload["image"], PROVIDER.upload["media"]
    assert [image.request(files["a.png"]).path, media.request(files["b.mp4"]).path] == [
        "/openapi/v2/image/upload",
        "/openapi/v2/media/upload",
    ]
    assert b'name="image"; filename="a.png"' in (image.request(files["a.png"]).body or b"")
    sent = media.request(files["b.mp4"]).body or b""
    assert (b'name="file"; filename="b.mp4"' in sent, b"\r\n\r\nvideo\r\n" in sent) == (True, True)
    answer = b'{"ErrCode": 0, "ErrMsg": "success", "Resp": {"img_id": 41, "media_id": 42, "media_type": "video"}}'
    assert [each.parse(Response(200, {}, answer), "") for each in (image, media)] == [41, 42]


def test_an_empty_balance_is_told_and_an_absent_one_is_not() -> None:
    """One of the two numbers is enough."""
    quota: Any = PROVIDER.quota
    assert quota.parse(Response(200, {}, b'{"ErrCode": 0, "Resp": {"credit_package": 0}}'), "").balance == 0
    with pytest.raises(vidpoll.Malformed, match="contains no credits"):
        quota.parse(Response(200, {}, b'{"ErrCode": 0, "Resp": {}}'), "")
