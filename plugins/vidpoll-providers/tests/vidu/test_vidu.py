"""What is odd about Vidu: refusals in a 400, a cancelled job that is called failed, images, its list by ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import vidu

import vidpoll
from vidpoll import Asset, Cost, Problem, Request, Response, State
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = vidu.vidpoll_providers()
ID = "876543210987654321"
PNG = b"\x89PNG\r\n\x1a\n"


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def refusal(reason: str, message: str, status: int = 400) -> Response:
    return answer({"code": status, "reason": reason, "message": message, "metadata": {"trace_id": "t"}}, status)


def client_of(script: list[Response]) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    accounts = {"vidu": vidpoll.Account("vidu", key="k-0123456789")}
    options: dict[str, Any] = {"plugins": [vidu], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire


@pytest.mark.parametrize(
    ("reason", "message", "error"),
    [
        ("CreditInsufficient", "insufficient credits", vidpoll.PaymentRequired),
        ("OperationInProcess", "operation in process, please retry later", vidpoll.RateLimited),
        ("AuditSubmitIllegal", "submit is illegal", vidpoll.InvalidRequest),
        ("FieldInvalid", "invalid field: duration", vidpoll.InvalidRequest),
    ],
)
def test_a_400_is_what_its_reason_says(reason: str, message: str, error: type[vidpoll.ProviderError]) -> None:
    client, _ = client_of([refusal(reason, message)])
    with client, pytest.raises(error, match=reason):
        client.submit("vidu", "text2video", model="viduq3-turbo", prompt="a sea")


@pytest.mark.parametrize(
    ("code", "state", "cost", "kind", "charged"),
    [
        ("UserCancelled", State.CANCELLED, Cost(4), None, None),
        ("CreationPolicyViolation", State.FAILED, Cost(4, 4), "moderated_output", False),
        ("TaskPromptPolicyViolation", State.FAILED, Cost(4, 4), "moderated_input", False),
    ],
)
def test_a_cancelled_job_is_called_failed(
    code: str, state: State, cost: Cost, kind: str | None, charged: bool | None
) -> None:
    """Its code decides; while a job is running, the code has no meaning."""
    parse = PROVIDER.status.parse
    said = parse(answer({"id": ID, "state": "failed", "err_code": code, "credits": 4, "creations": []}), ID)
    assert (said.state, said.problem, said.cost) == (state, Problem("", code, kind=kind, charged=charged), cost)
    early = parse(answer({"id": ID, "state": "processing", "err_code": code}), ID)
    assert (early.state, early.problem) == (State.RUNNING, None)


def test_a_cancel_that_comes_too_late() -> None:
    """Good is {} or null; a job that was begun is a conflict."""
    script = [answer({}), answer(None), refusal("BadRequest", "task state is scheduled, can not cancel")]
    client, wire = client_of(script)
    with client:
        client.cancel(f"vidu:{ID}")
        client.cancel(f"vidu:{ID}")
        with pytest.raises(vidpoll.Conflict, match="can not cancel"):
            client.cancel(f"vidu:{ID}")
    assert json.loads(wire.sent[0].body or b"") == {"id": ID}


def test_films_with_their_ends() -> None:
    """Several films are videos; a URL tells its end, the first of the two pages' or the other."""
    signed = "?X-Amz-Date=20260908T095522Z&X-Amz-Expires="
    films = [
        {"id": "1", "url": f"https://a.example/1.mp4{signed}86400"},
        {"id": "2", "url": f"https://a.example/2.mp4{signed}3600"},
    ]
    said = PROVIDER.status.parse(answer({"id": ID, "state": "success", "creations": films}), ID)
    assert said.assets == (
        Asset(films[0]["url"], expires_at=1788947722.0),
        Asset(films[1]["url"], expires_at=1788864922.0),
    )


def test_images_of_each_form(tmp_path: Path) -> None:
    """A URL of any scheme goes as it is, a file as a data URI, one alone too; more than the kind takes are refused."""
    (tmp_path / "a.png").write_bytes(PNG)
    build = PROVIDER.submit["start-end2video"].request
    given: dict[str, Any] = {"model": "viduq3-turbo", "off_peak": True}
    data = "data:image/png;base64,iVBORw0KGgo="
    images = ["ssupload:?id=1", tmp_path / "a.png"]
    sent = {**given, "images": ["ssupload:?id=1", data]}
    assert build({**given, "images": images}) == Request("POST", "/start-end2video", json=sent)
    assert build({**given, "images": tmp_path / "a.png"}).json == {**given, "images": [data]}
    for wrong in ([], ["a", "b", "c"], [7], 7, [b"GIF89a"]):
        with pytest.raises(vidpoll.InvalidField):
            build({**given, "images": wrong})


def test_a_reference_needs_images_or_subjects() -> None:
    build = PROVIDER.submit["reference2video"].request
    assert build({"model": "m", "subjects": [{"id": "1"}]}).path == "/reference2video"
    with pytest.raises(vidpoll.InvalidField, match="subjects"):
        build({"model": "m", "prompt": "a sea"})


def test_many_jobs_in_one_question() -> None:
    """Each id has a name of its own; an id that is no number would spoil it for all."""
    polling = PROVIDER.list_polling
    assert polling is not None
    assert polling.batch is not None
    assert polling.takes is not None
    asked = polling.batch.request(("1", "2"))
    assert asked == Request("GET", "/tasks", (("task_ids", "1"), ("task_ids", "2")))
    assert [polling.takes(each) for each in (ID, "abc", "1/2")] == [True, False, False]


def test_packages_are_not_counted_twice() -> None:
    """The sums of the types are the account's credits; the largest number of jobs at once counts."""
    remains = [{"type": "metered", "credit_remain": 1200}, {"type": "test", "credit_remain": 30}]
    body = {"remains": remains, "packages": [{"credit_remain": 1200}]}
    assert PROVIDER.quota is not None
    assert PROVIDER.quota.parse(answer(body), "") == vidpoll.Quota(balance=1230)
    for each, limit in zip(remains, (7, 1), strict=True):
        each["concurrency_limit"] = limit
    assert PROVIDER.quota.parse(answer(body), "") == vidpoll.Quota(balance=1230, concurrency=7)
    with pytest.raises(vidpoll.Malformed):
        PROVIDER.quota.parse(answer({"remains": []}), "")


def test_a_push_is_confirmed() -> None:
    """Its signature does not cover its body, so a final state in it is confirmed by a poll."""
    body = json.dumps({"id": ID, "state": "success", "creations": []}).encode()
    client, wire = client_of([answer({"id": ID, "state": "processing", "creations": []})])
    with client:
        job = client.feed(f"vidu:{ID}", vidpoll.webhook(PROVIDER, {"X-HMAC-SIGNATURE": "x"}, body, None))
    assert (job.state, len(wire.sent)) == (State.RUNNING, 1)
