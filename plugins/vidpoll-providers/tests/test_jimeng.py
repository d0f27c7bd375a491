"""What is odd about Jimeng: its signature, moderation in place of a status, a task that is not found under HTTP 200."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vidpoll_providers import jimeng

import vidpoll
from vidpoll import PreparedRequest, Response, State

(PROVIDER,) = jimeng.vidpoll_providers()
ID = "jimeng_t2v_v30/7392616336519610409"
SECRETS = {"VOLC_ACCESSKEY": "vidpoll-test-ak", "VOLC_SECRETKEY": "vidpoll-test-sk"}
# What volcengine 1.0.229 signs: URL, Unix seconds, body, time, hash of the body, signature.
VECTORS = [
    (
        "https://visual.volcengineapi.com/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31",
        1795017400.7,
        '{"req_key": "jimeng_t2v_v30", "prompt": "晨雾里的船"}',
        "20261118T155640Z",
        "76366ca2a542e1e870e350acd70f5de982fa22886da9f83bebdbbc39abd8fbf4",
        "57a564013aa8e4af692a10ea4a26e79dc7cf437b801df7508616cd57a8f13456",
    ),
    (
        "http://127.0.0.1:8700/?Version=2022-08-31&Action=CVSync2AsyncGetResult",  # signed in the order of the names
        1795046400.0,
        '{"req_key": "jimeng_t2v_v30", "task_id": "7392616336519610409"}',
        "20261119T000000Z",
        "03e4e92d70578cea775cca38bd89ee2f69abba19882b4905d79fb4486f90eb0e",
        "cadcfdc49367d6dc6948c7d5a157b9c3e2db132e60a9606b816693c67914a2b4",
    ),
]


@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("names", [each.variables for each in PROVIDER.auth.alternatives])  # type: ignore[attr-defined]
def test_the_signature_is_that_of_the_sdk(
    vector: tuple[str, float, str, str, str, str], names: tuple[str, ...]
) -> None:
    """Over query, host, content type, time and body; whatever the variables are called."""
    url, at, body, date, content, signature = vector
    request = PreparedRequest("POST", url, {"Content-Type": "application/json"}, body.encode(), at)
    header = (
        f"HMAC-SHA256 Credential=vidpoll-test-ak/{date[:8]}/cn-north-1/cv/request, "
        f"SignedHeaders=content-type;host;x-content-sha256;x-date, Signature={signature}"
    )
    made = PROVIDER.auth(request, dict(zip(names, SECRETS.values(), strict=True)))
    assert made == {"Authorization": header, "X-Date": date, "X-Content-Sha256": content}


@pytest.mark.parametrize("host", ["visual.volcengineapi.com:443", "Visual.volcengineapi.com"])
def test_the_host_is_signed_as_it_is_sent(host: str) -> None:
    """In small letters, and without the port that the scheme has anyway."""
    url, at, body, _, _, signature = VECTORS[0]
    told = url.replace("visual.volcengineapi.com", host)
    request = PreparedRequest("POST", told, {"Content-Type": "application/json"}, body.encode(), at)
    assert PROVIDER.auth(request, SECRETS)["Authorization"].endswith(signature)


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def told(code: Any, **data: Any) -> dict[str, Any]:
    return {"code": code, "message": "why", "data": data or None}


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("code", [50411, 50412, 50413, 50511, 50512])
def test_moderation_is_a_failed_task(code: int, status: int) -> None:
    """In response to a status request it is final, whatever the HTTP status."""
    assert PROVIDER.status.parse(answer(told(code), status), ID).state is State.FAILED  # type: ignore[union-attr]
    assert 400 in PROVIDER.status.verdicts


@pytest.mark.parametrize(
    ("code", "word", "state"),
    [
        (10000, "done", State.COMPLETED),
        ("10000", "done", State.COMPLETED),
        (None, "done", State.COMPLETED),
        (50500, "done", State.FAILED),
        (50500, "generating", State.RUNNING),
    ],
)
def test_a_code_decides_beside_done_alone(code: Any, word: str, state: State) -> None:
    said = PROVIDER.status.parse(answer(told(code, status=word)), ID)
    assert isinstance(said, vidpoll.Snapshot)
    assert said.state is state


@pytest.mark.parametrize(("code", "kind"), [(50430, "capacity"), (50429, "rate"), (50500, "internal"), (1, "unknown")])
def test_other_codes_are_no_verdict(code: int, kind: str) -> None:
    """The task continues: only the request was refused."""
    with pytest.raises(vidpoll.Refused) as caught:
        PROVIDER.status.parse(answer(told(code)), ID)
    assert caught.value.kind == kind


def test_no_such_task() -> None:
    with pytest.raises(vidpoll.Refused, match="12 hours") as caught:
        PROVIDER.status.parse(answer(told(10000, status="not_found")), ID)
    assert caught.value.kind == "not found"


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"ResponseMetadata": {"Error": "x"}}', b'{"ResponseMetadata": []}', b"[]"]
)
def test_a_refusal_that_says_nothing(body: bytes) -> None:
    """Any body is tolerated."""
    assert PROVIDER.error(Response(403, {"content-type": "application/json"}, body)).kind is None


@pytest.mark.parametrize("req_key", ["a/b", "", "a b"])
def test_a_req_key_that_no_id_could_carry(req_key: str) -> None:
    with pytest.raises(vidpoll.InvalidField, match="req_key"):
        PROVIDER.submit["video"].request({"req_key": req_key, "prompt": "a boat"})
