"""`vidpoll.webhook`: what the vendor signed is taken, and nothing else. The first vector is a vendor's own."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from acme_provider import ACME, DONE, DRAWING, talk

import vidpoll
from vidpoll import declare
from vidpoll.declare import Webhook

KLING = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
BODY = b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,"update_time":1781080794151}'
AT = 1781080794
HEADERS = {
    "Webhook-Id": "9876543210",
    "Webhook-Timestamp": str(AT),
    "Webhook-Signature": "v1,AAAA v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4=",
}
SIGNED = replace(ACME, webhook=Webhook(declare.standard_webhooks()))


def mac(secret: str, message: str) -> bytes:
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).digest()


def test_a_vendors_own_vector() -> None:
    """[Kling] Standard Webhooks; during a change of secrets there are two signatures, one of which is good."""
    assert vidpoll.webhook(SIGNED, HEADERS, BODY, KLING, now=AT + 299) == BODY


@pytest.mark.parametrize(
    ("changes", "body", "secret", "now", "said"),
    [
        ({}, BODY + b" ", KLING, AT, "not match the secret"),
        ({}, BODY, "whsec_c2VjcmV0", AT, "not match the secret"),
        ({"Webhook-Id": "1"}, BODY, KLING, AT, "not match the secret"),
        ({"Webhook-Id": None}, BODY, KLING, AT, "the header webhook-id is missing"),
        ({"Webhook-Signature": None}, BODY, KLING, AT, "the header webhook-signature is missing"),
        ({"Webhook-Signature": "v1,"}, BODY, KLING, AT, "not match the secret"),
        ({"Webhook-Signature": "v1,é"}, BODY, KLING, AT, "not match the secret"),
        ({"Webhook-Signature": "v1,\udcff"}, BODY, KLING, AT, "not match the secret"),  # as aiohttp has a bad byte
        ({"Webhook-Signature": "UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="}, BODY, KLING, AT, "not match the"),
        ({"Webhook-Timestamp": None}, BODY, KLING, AT, "the time of sending is missing"),
        ({"Webhook-Timestamp": "soon"}, BODY, KLING, AT, "the time of sending is missing"),
        ({}, BODY, KLING, AT + 301, "its time differs from this machine's clock by 301 s, the limit is 300 s"),
        ({}, BODY, KLING, AT - 301, "its time differs from this machine's clock by 301 s, the limit is 300 s"),
    ],
)
def test_what_is_not_the_vendors_is_not_taken(
    changes: dict[str, str | None], body: bytes, secret: str, now: float, said: str
) -> None:
    """Another body, secret, id or time; a header that is missing or says nothing."""
    headers = {name: value for name, value in {**HEADERS, **changes}.items() if value is not None}
    with pytest.raises(vidpoll.BadSignature, match=said):
        vidpoll.webhook(SIGNED, headers, body, secret, now=now)


OPENROUTER = declare.hmac_sha256("{t},{body}", signature="x-openrouter-signature", timestamp="t", prefix="v1=")
KIE = declare.hmac_sha256(
    "{body:data.taskId}.{x-webhook-timestamp}",
    signature="x-webhook-signature",
    timestamp="x-webhook-timestamp",
    encoding="base64",
)
WAVESPEED = declare.standard_webhooks("v3", encoding="hex", key="whsec text")
PUSHED = '{"data": {"taskId": "77"}}'
STANDARD = {"webhook-id": "m1", "webhook-timestamp": "1700000000"}


@pytest.mark.parametrize(
    ("verify", "headers"),
    [
        (OPENROUTER, {"X-OpenRouter-Signature": f"t=1700000000,v1={mac('s3', f'1700000000,{PUSHED}').hex()}"}),
        (
            KIE,
            {
                "X-Webhook-Timestamp": "1700000000",
                "X-Webhook-Signature": b64encode(mac("s3", "77.1700000000")).decode(),
            },
        ),
        (WAVESPEED, {**STANDARD, "webhook-signature": f"v3,{mac('s3', f'm1.1700000000.{PUSHED}').hex()}"}),
        (declare.hmac_sha256("{body}", signature="signature"), {"Signature": mac("s3", PUSHED).hex()}),
    ],
    ids=["OpenRouter", "kie", "WaveSpeed", "HeyGen"],
)
def test_other_ways_to_sign(verify: Any, headers: Mapping[str, str]) -> None:
    """Parts of one header, a part of the body, hex and base64; another secret is never right."""
    provider = replace(ACME, webhook=Webhook(verify))
    assert vidpoll.webhook(provider, headers, PUSHED.encode(), "s3", now=1700000000.0) == PUSHED.encode()
    with pytest.raises(vidpoll.BadSignature):
        vidpoll.webhook(provider, headers, PUSHED.encode(), "s4", now=1700000000.0)


def test_what_it_says_goes_to_feed() -> None:
    """`read` takes the event off; a verdict counts when a status request has confirmed it."""
    provider = replace(ACME, webhook=Webhook(None, lambda pushed: pushed["data"]))
    t = talk([DONE], provider=provider)
    body = vidpoll.webhook(provider, {}, json.dumps({"type": "job", "data": DRAWING}).encode(), None)
    assert t.client.feed("acme:j1", body).stage == "drawing"
    body = vidpoll.webhook(provider, {}, json.dumps({"type": "job", "data": DONE}).encode(), None)
    assert t.client.feed("acme:j1", body).ok
    assert t.requests == ["GET /v1/jobs/j1"]


DEEP = b"[" * 100_000
EVENT = replace(ACME, webhook=Webhook(None, lambda pushed: pushed["data"]))
SIGNED_PART = replace(ACME, webhook=Webhook(declare.hmac_sha256("{body:a}", signature="x-s")))


def test_a_plugin_that_is_switched_off_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere else."""
    asked: list[Any] = []

    def plugins(**options: Any) -> Any:
        asked.append(options)
        raise vidpoll.UnknownProvider("kling")

    monkeypatch.setattr("vidpoll.webhooks.Plugins", plugins)
    monkeypatch.setenv("VIDPOLL_DISABLE", "kling, replicate")
    with pytest.raises(vidpoll.UnknownProvider):
        vidpoll.webhook("kling", {}, b"{}", "x")
    assert asked == [{"disabled": {"kling", "replicate"}}]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: vidpoll.webhook(ACME, {}, b"{}", "x"), vidpoll.Unsupported, "has no webhooks"),
        (lambda: vidpoll.webhook(SIGNED, {}, b"{}", None), vidpoll.UsageError, "give the secret"),
        (
            lambda: vidpoll.webhook(SIGNED, HEADERS, BODY, "whsec_?", now=AT),
            vidpoll.UsageError,
            "whsec_ followed by base64",
        ),
        (lambda: vidpoll.webhook(SIGNED, {}, "{}", "x"), vidpoll.UsageError, "body must be bytes"),  # type: ignore[arg-type]
        (lambda: vidpoll.webhook("nobody", {}, b"{}", "x"), vidpoll.UnknownProvider, "nobody"),
        (
            lambda: vidpoll.webhook(replace(ACME, webhook=Webhook(None, dict)), {}, b"[]", None),
            vidpoll.Malformed,
            "is not a JSON object",
        ),
        (lambda: vidpoll.webhook(EVENT, {}, b'{"ping": 1}', None), vidpoll.Malformed, "lacks an expected field"),
        (lambda: vidpoll.webhook(EVENT, {}, DEEP, None), vidpoll.Malformed, "not JSON"),
        (lambda: vidpoll.webhook(SIGNED_PART, {"x-s": "0"}, DEEP, "s"), vidpoll.BadSignature, "a of the body"),
        (lambda: declare.hmac_sha256("body", signature="x"), vidpoll.PluginError, "must have holes like"),
        (
            lambda: declare.hmac_sha256("{body}", signature="x", timestamp="t"),
            vidpoll.PluginError,
            "else a recorded push could be replayed",
        ),
        (
            lambda: declare.hmac_sha256("{body}", signature="x", encoding="b64"),
            vidpoll.PluginError,
            "encoding must be hex or base64",
        ),
        (lambda: replace(ACME, webhook=print), vidpoll.PluginError, "webhook must be a Webhook"),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_with_the_call_or_the_table(call: Callable[[], object], error: Any, said: str) -> None:
    """Each says what is due."""
    with pytest.raises(error, match=said):
        call()


FAL = declare.ed25519(
    "{x-fal-webhook-request-id}\n{x-fal-webhook-timestamp}\n{sha256}",
    signature="x-fal-webhook-signature",
    timestamp="x-fal-webhook-timestamp",
)


def test_ed25519_with_the_library() -> None:
    """[fal] The secret is the set of public keys; one of them has signed."""
    ed = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    key, other = ed.Ed25519PrivateKey.generate(), ed.Ed25519PrivateKey.generate()
    message = f"r1\n1700000000\n{hashlib.sha256(b'{}').hexdigest()}"
    keys = [
        {"x": urlsafe_b64encode(each.public_key().public_bytes_raw()).decode().rstrip("=")} for each in (other, key)
    ]
    headers = {
        "X-Fal-Webhook-Request-Id": "r1",
        "X-Fal-Webhook-Timestamp": "1700000000",
        "X-Fal-Webhook-Signature": key.sign(message.encode()).hex(),
    }
    provider = replace(ACME, webhook=Webhook(FAL))
    jwks = json.dumps({"keys": keys})
    assert vidpoll.webhook(provider, headers, b"{}", jwks, now=1700000000.0) == b"{}"
    for body, given in ((b"[]", jwks), (b"{}", json.dumps({"keys": keys[:1]}))):
        with pytest.raises(vidpoll.BadSignature, match="none of the vendor's keys"):
            vidpoll.webhook(provider, headers, body, given, now=1700000000.0)


@pytest.mark.parametrize("secret", ["", "x", "{}", '{"keys": []}', '{"keys": [{"x": 7}]}'])
def test_ed25519_needs_the_vendors_keys(secret: str) -> None:
    """Anything else is the caller's mistake, and no bad signature."""
    headers = {"x-fal-webhook-request-id": "r", "x-fal-webhook-timestamp": "0", "x-fal-webhook-signature": "00"}
    with pytest.raises(vidpoll.UsageError):
        vidpoll.webhook(replace(ACME, webhook=Webhook(FAL)), headers, b"{}", secret, now=0.0)


def test_ed25519_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package; nothing is taken unchecked."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    headers = {"x-fal-webhook-request-id": "r", "x-fal-webhook-timestamp": "9", "x-fal-webhook-signature": "00"}
    with pytest.raises(vidpoll.ConfigurationError, match="pip install cryptography"):
        vidpoll.webhook(replace(ACME, webhook=Webhook(FAL)), headers, b"{}", '{"keys": [{"x": "AAAA"}]}', now=9.0)
