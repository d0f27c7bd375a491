"""What is odd about the servers that speak OpenAI's /v1/videos: their forms, ids, errors and files."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from vidpoll_providers import litellm, newapi, openai, sglang, vllm

import vidpoll
from vidpoll import Asset, Problem, Request, Response, Snapshot, State
from vidpoll.testing import FakeClock, FakeTransport


def provider(module: ModuleType) -> vidpoll.Provider:
    (found,) = module.vidpoll_providers()
    assert isinstance(found, vidpoll.Provider)
    return found


def answer(body: object, status: int = 200, **headers: str) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"content-type": "application/json", **headers}, data)


def read(module: ModuleType, body: object, job_id: str = "v1", status: int = 200) -> Any:
    return provider(module).status.parse(answer(body, status), job_id)


def client_of(module: ModuleType, script: list[Response]) -> tuple[vidpoll.Client, FakeTransport]:
    name, wire = provider(module).name, FakeTransport(script)
    accounts = {name: vidpoll.Account(name, base_url="http://127.0.0.1:9/v1", key="k-0123456789")}
    options: dict[str, Any] = {"plugins": [module], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts=accounts, **options), wire


# -- OpenAI itself ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "headers", "told"),
    [
        ("Invalid URL (POST /v1/videos)", {}, True),
        (
            "Incorrect API key provided: sk-a. You can find it at https://platform.openai.com/account/api-keys.",
            {},
            True,
        ),
        ("Not found", {"openai-version": "2020-10-01"}, True),
        ("Video with id 'v1' not found.", {}, False),
    ],
)
def test_openai_s_own_answers_say_that_it_ended(message: str, headers: dict[str, str], told: bool) -> None:
    """A refusal by api.openai.com names OPENAI_BASE_URL; a refusal by another server is left alone."""
    problem = provider(openai).error(answer({"error": {"message": message}}, 404, **headers))
    assert ("ended on 2026-09-24" in problem.message, "set OPENAI_BASE_URL" in problem.message) == (told, told)


def test_no_key_is_needed() -> None:
    """Servers of one's own ask for none; a gateway does."""
    required = {name: provider(each).auth.required for name, each in globals().items() if isinstance(each, ModuleType)
                and hasattr(each, "vidpoll_providers")}  # fmt: skip
    assert required == {"litellm": False, "newapi": True, "openai": False, "sglang": False, "vllm": False}


# -- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [openai, sglang, litellm, newapi])
def test_a_file_makes_it_a_form(module: ModuleType, tmp_path: Path) -> None:
    """JSON says all but a file; fields beyond the table go along."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    submit = provider(module).submit["video"]
    fields: dict[str, object] = {"model": "m", "prompt": "a sea", "n": 2}
    assert submit.request(fields) == Request("POST", "/videos", json=fields)
    sent = submit.request({**fields, "input_reference": tmp_path / "a.png"})
    assert (sent.json, sent.headers["Content-Type"].partition(";")[0]) == (None, "multipart/form-data")
    assert b'name="input_reference"; filename="a.png"' in (sent.body or b"")
    by_url = {**fields, "input_reference": {"image_url": "https://a.example/a.png"}}
    assert submit.request(by_url).json == by_url


@pytest.mark.parametrize("seconds", [5, "5", 5.0])
def test_newapi_s_seconds_are_text(seconds: object) -> None:
    """It reads them into a text and refuses a number, which a command line makes of `seconds=5`."""
    sent = provider(newapi).submit["video"].request({"model": "m", "prompt": "a sea", "seconds": seconds}).json
    assert sent == {"model": "m", "prompt": "a sea", "seconds": "5"}


def test_vllm_takes_forms_alone() -> None:
    """A form without a file; what is no text is JSON in it."""
    body = provider(vllm).submit["video"].request({"prompt": "a sea", "extra_params": {"a": 1}, "seed": 7}).body or b""
    parts = [part.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for part in body.split(b"--")[1:]]
    assert [part for part in parts if part] == [b"a sea", b'{"a": 1}', b"7"]


@pytest.mark.parametrize("module", [openai, litellm])
def test_a_remix_names_its_video_in_the_path(module: ModuleType) -> None:
    """The id, with any characters, is one segment."""
    sent = provider(module).submit["remix"].request({"video_id": "video_a/b=", "prompt": "in fog"})
    assert sent == Request("POST", "/videos/video_a%2Fb%3D/remix", json={"prompt": "in fog"})


@pytest.mark.parametrize("module", [openai, sglang, vllm, litellm, newapi])
def test_the_content_is_asked_without_a_variant(module: ModuleType) -> None:
    """SGLang reads `variant` as a number: `variant=video` is a 404 there."""
    operation = provider(module).content
    assert operation is not None
    assert operation.request("v1") == Request("GET", "/videos/v1/content")


# -- what comes back --------------------------------------------------------------------------------------------------


def test_sglang_s_several_videos() -> None:
    """Each is a variant of the content; with S3 they have URLs of their own."""
    done = {"id": "v1", "status": "completed", "num_outputs": 2}
    assert [each.url for each in read(sglang, {**done, "urls": [None, None]}).assets] == [
        "./videos/v1/content?variant=0",
        "./videos/v1/content?variant=1",
    ]
    urls = ["https://b.example/0.mp4", "https://b.example/1.mp4"]
    assert read(sglang, {**done, "url": None, "urls": urls}).assets == tuple(map(Asset, urls))
    assert read(sglang, {**done, "num_outputs": 1}).assets == (Asset("./videos/v1/content"),)
    for odd in (10**9, "x", None, -1):
        assert read(sglang, {**done, "num_outputs": odd}).assets == (Asset("./videos/v1/content"),)


def test_file_path_is_no_url() -> None:
    """SGLang's responses contain it from the submit on; it is a path on the server's disk."""
    said = read(sglang, {"id": "v1", "status": "in_progress", "file_path": "/srv/out/v1.mp4"})
    assert (said.state, said.assets) == (State.RUNNING, ())


@pytest.mark.parametrize("status", [400, 422, 500, 503])
@pytest.mark.parametrize("module", [openai, vllm])
def test_a_failed_job_in_the_body_of_an_error(module: ModuleType, status: int) -> None:
    """Such a response is final; the same status without the job is a fault, and the wait continues."""
    job = {"id": "v1", "status": "failed", "error": {"code": status, "message": "out of memory"}}
    outage = {"status": "failed", "error": {"message": "overloaded", "type": "x", "code": status}}
    done = {"id": "v1", "status": "completed"}
    script = [answer({"id": "v1", "status": "queued"}), answer(job, status)]
    client, wire = client_of(module, script)
    with client:
        problem = Problem("out of memory", str(status), kind="input" if status < 500 else "internal")
        assert client.wait(f"{provider(module).name}:v1", check=False).problem == problem
    if status >= 500:
        client, wire = client_of(module, [answer(outage, status), answer(done)])
        with client:
            assert client.wait(f"{provider(module).name}:v1").ok
        assert len(wire.sent) == 2


def packed(upstream: str, more: str = "") -> str:
    text = f"litellm:custom_llm_provider:openai;model_id:sora-2;video_id:{upstream}{more}"
    return f"video_{b64encode(text.encode()).decode()}"


def test_litellm_1_106_names_the_job_otherwise_in_a_poll() -> None:
    """Two ids with the same upstream id are one job, and the id of the request stays; others are foreign."""
    asked, told = packed("video_a1", ";deployment_id:d1"), packed("video_a1")
    for named in (asked, told, "video_a1"):
        assert read(litellm, {"id": named, "status": "in_progress"}, asked).job_id == asked
    assert read(litellm, {"id": packed("video_b2"), "status": "in_progress"}, asked).job_id == packed("video_b2")
    for plain in ("video_!", "v1", "é"):
        assert read(litellm, {"id": "other", "status": "in_progress"}, plain).job_id == "other"


def test_a_failed_job_of_vllm_behind_litellm() -> None:
    """HTTP 500 for ever, the job as text in the message: a verdict. Without a job in it, it is a fault."""
    asked = packed("video_gen_7")
    job = {"id": "video_gen_7", "status": "failed", "error": {"code": 500, "message": "out of memory"}}
    message = f"litellm.InternalServerError: OpenAIException - {json.dumps(job)}\n\nLiteLLM: model group failed."
    said = read(litellm, {"error": {"message": message, "code": "500"}}, asked, 500)
    problem = Problem("out of memory", "500", kind="internal")
    assert said == Snapshot(State.FAILED, "failed", problem=problem, job_id=asked)
    done = answer({"id": asked, "status": "completed"})
    unknown = answer({"error": {"message": "litellm.APIError: {not json", "code": "500"}}, 500)
    quoted = answer({"error": {"message": f"bad prompt: {json.dumps({'id': 'v', 'status': 'failed'})}"}}, 500)
    no_key = Response(500, {"content-type": "text/plain"}, b"Internal Server Error")
    client, wire = client_of(litellm, [unknown, no_key, quoted, done])
    with client:
        assert client.wait(f"litellm:{asked}").ok
    assert len(wire.sent) == 4


def test_a_400_of_litellm_is_a_verdict_where_it_holds_the_job() -> None:
    """A failed job is not reported as a bad request; a wrong key stays a wrong key."""
    asked = packed("video_gen_7")
    job = {"id": "video_gen_7", "status": "failed", "error": {"code": 400, "message": "no image"}}
    message = f"litellm.BadRequestError: OpenAIException - {json.dumps(job)}"
    client, _ = client_of(litellm, [answer({"error": {"message": message, "code": "400"}}, 400)])
    with client:
        assert client.wait(f"litellm:{asked}", check=False).problem == Problem("no image", "400", kind="input")
    client, _ = client_of(litellm, 3 * [answer({"error": {"message": "No connected db.", "code": "400"}}, 400)])
    with client, pytest.raises(vidpoll.WaitRefused, match="No connected db") as caught:
        client.wait(f"litellm:{asked}")
    assert caught.value.status == 401


def test_litellm_passes_the_upstream_s_hint_on() -> None:
    """`llm_provider-retry-after` is waited for, as `Retry-After` is."""
    clock = FakeClock()
    slow = answer({"error": {"message": "slow down", "code": "429"}}, 429, **{"llm_provider-retry-after": "77"})
    wire = FakeTransport([slow, answer({"id": "v1", "status": "completed"})])
    accounts = {"litellm": vidpoll.Account("litellm", key=None)}
    with vidpoll.Client(accounts=accounts, plugins=[litellm], discover=False, clock=clock, transport=wire) as client:
        begun = clock.monotonic()
        assert client.wait("litellm:v1").ok
    assert 77.0 <= clock.monotonic() - begun < 90.0


BUDGET = "Budget has been exceeded! Current cost: 2.1, Max budget: 2.0"


@pytest.mark.parametrize(
    ("module", "body", "status"),
    [
        (openai, {"error": {"message": "no quota", "code": "insufficient_quota"}}, 429),
        (litellm, {"error": {"message": BUDGET, "type": "budget_exceeded", "code": "429"}}, 429),
        (litellm, {"error": {"message": BUDGET, "type": "budget_exceeded", "code": "400"}}, 400),
        (newapi, {"code": "insufficient_user_quota", "message": "no quota", "data": None}, 403),
        (newapi, {"error": {"message": "no quota", "code": "insufficient_quota"}}, 429),
    ],
)
def test_money_is_no_rate(module: ModuleType, body: object, status: int) -> None:
    """Waiting does not help, and a program that waits for a rate would wait for ever."""
    client, wire = client_of(module, [answer(body, status)])
    with client, pytest.raises(vidpoll.PaymentRequired, match="Nothing was bought"):
        client.submit(provider(module).name, "video", model="m", prompt="a sea")
    assert len(wire.sent) == 1


def test_newapi_s_unknown_id() -> None:
    """HTTP 400 with a code is no such job, and not a bad request."""
    gone = answer({"code": "task_not_exist", "message": "task_not_exist", "data": None}, 400)
    client, _ = client_of(newapi, [gone] * 30)
    with client, pytest.raises(vidpoll.JobNotFound):
        client.wait("newapi:v1", timeout=3600.0)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("it violates the policy", "it violates the policy"),
        ("https://a.example/a.mp4", "task failed"),
        (None, "task failed"),
    ],
)
def test_newapi_s_reason_stands_where_the_url_would(url: object, reason: str) -> None:
    """Of a failed job `metadata.url` is a reason or nothing, and never a file."""
    body = {"id": "v1", "status": "failed", "error": {"message": "task failed"}, "metadata": {"url": url}}
    said = read(newapi, body)
    assert (said.problem, said.assets) == (Problem(reason), ())


def test_newapi_s_tokens_are_the_cost() -> None:
    said = read(newapi, {"id": "v1", "status": "completed", "usage": {"completion_tokens": 5, "total_tokens": 7}})
    assert said.cost == vidpoll.Cost(7, 0, "tokens")


@pytest.mark.parametrize("body", [{"id": "v1", "deleted": True}, {"id": "v1", "status": "deleted"}])
@pytest.mark.parametrize("module", [openai, sglang, vllm])
def test_the_ways_to_say_deleted(module: ModuleType, body: dict[str, object]) -> None:
    operation = provider(module).delete
    assert operation is not None
    assert operation.parse(answer(body), "v1") is None
    with pytest.raises(vidpoll.Malformed):
        operation.parse(answer({"id": "v1", "status": "in_progress"}), "v1")
