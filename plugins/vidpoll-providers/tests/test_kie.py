"""What is odd about kie: JSON inside JSON, five APIs, a code that is no verdict, pushes without a word."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
import vidpoll_providers
from vidpoll_providers import kie

import vidpoll
from vidpoll import Asset, Response, State
from vidpoll.testing import FakeClock, FakeTransport

SAMPLES = Path(vidpoll_providers.__file__).parent / "samples/kie"
(PROVIDER,) = kie.vidpoll_providers()
UUID = "ee603959-debb-48d1-98c4-a6d1c717eba6"
URL = "https://a.example/v.mp4"
NOW = 1_790_000_000


def done(result: object, job_id: str = "task_1") -> Any:
    """A completed market job with this result."""
    data = {"taskId": job_id, "state": "success", "resultJson": result}
    return PROVIDER.status.parse(Response(200, {}, json.dumps({"code": 200, "data": data}).encode()), job_id)


@pytest.mark.parametrize(
    ("result", "assets", "due"),
    [
        (f'{{"resultUrls": ["{URL}"]}}', (Asset(URL),), True),
        ({"resultUrls": [URL]}, (Asset(URL),), True),
        (f'{{"resultUrls": "{URL}"}}', (Asset(URL),), True),
        ('{"resultUrls": ["https://a.example/i.png"]}', (Asset("https://a.example/i.png", "image"),), False),
        ('{"resultUrls": [7, null, "no URL"]}', (), True),
        ('{"resultObject": {"text": "a"}}', (), False),
        (f'{{"resultUrls": ["{URL}"], "lastFrameUrl": [""]}}', (Asset(URL),), True),
        ('{"resultUrls": [', (), True),
        ("[" * 100_000, (), True),
        ("7", (), True),
        ("", (), True),
        (None, (), True),
        (7, (), True),
    ],
)
def test_json_inside_json_is_borne(result: object, assets: tuple[Asset, ...], due: bool) -> None:
    """Whatever stands there, the word decides; a job of images or text yields no video."""
    said = done(result)
    assert (said.state, said.assets, said.assets_due) == (State.COMPLETED, assets, due)


@pytest.mark.parametrize(
    ("job_id", "line"),
    [
        ("task_1", "/api/v1/jobs/recordInfo"),
        ("veo/1", "/api/v1/veo/record-info"),
        ("aleph/1", "/api/v1/aleph/record-info"),
        ("modify/1", "/api/v1/modify/record-info"),
        ("runway/1", "/api/v1/runway/record-detail"),
    ],
)
def test_the_first_part_of_an_id_names_its_api(job_id: str, line: str) -> None:
    """The market's ids are bare."""
    sent = PROVIDER.status.request(job_id)
    assert (sent.path, sent.query) == (line, (("taskId", job_id.rpartition("/")[2]),))


@pytest.mark.parametrize("job_id", ["luma/1", "kling/1", "a/b/c"])
def test_an_api_that_there_is_not_is_told(job_id: str) -> None:
    """No request goes to the market for it."""
    with pytest.raises(vidpoll.BadReference, match="API is veo, aleph, modify or runway"):
        PROVIDER.status.request(job_id)


def test_422_is_about_what_was_asked() -> None:
    """Of a question there is no such job; of a submit the fields are wrong."""
    body = Response(200, {}, b'{"code": 422, "msg": "recordInfo is null", "data": null}')
    kinds = []
    for parse, about in ((PROVIDER.status.parse, "veo/1"), (PROVIDER.submit["veo"].parse, "")):
        with pytest.raises(vidpoll.Refused) as told:
            parse(body, about)
        kinds.append(told.value.kind)
    assert kinds == ["not found", "input"]


def test_the_fields_of_a_market_model_may_stand_in_input() -> None:
    """Or beside it: `input` is what is sent."""
    start = PROVIDER.submit["market"].request
    both = [start({"model": "a/b", "prompt": "x"}), start({"model": "a/b", "input": {"prompt": "x"}})]
    assert [each.json for each in both] == [{"model": "a/b", "input": {"prompt": "x"}}] * 2


def push(body: dict[str, Any], signed: str, **change: str) -> bytes:
    """The body as `client.feed` takes it."""
    mac = base64.b64encode(hmac.new(b"secret", f"{signed}.{NOW}".encode(), hashlib.sha256).digest()).decode()
    headers = {"X-Webhook-Timestamp": str(NOW), "X-Webhook-Signature": mac, **change}
    return vidpoll.webhook(PROVIDER, headers, json.dumps(body).encode(), "secret", now=NOW + 9.0)


FLAT = {"task_id": UUID, "video_id": "1", "video_url": URL, "image_url": "https://a.example/i.png"}
PUSHES = [
    ("task_12345678", json.loads((SAMPLES / "webhook.json").read_text()), State.COMPLETED),
    (f"runway/{UUID}", {"code": 200, "msg": "All generated successfully.", "data": FLAT}, State.COMPLETED),
    (f"runway/{UUID}", {"code": 400, "msg": "refused", "data": {"task_id": UUID}}, State.FAILED),
    (f"aleph/{UUID}", {"code": 200, "data": {"task_id": UUID, "result_video_url": URL}}, State.COMPLETED),
    ("veo/v1", {"code": 200, "data": {"taskId": "v1", "info": {"resultUrls": f'["{URL}"]'}}}, State.COMPLETED),
    ("veo/v1", {"code": 501, "msg": "refused", "data": {"taskId": "v1"}}, State.FAILED),
]


@pytest.mark.parametrize(("job_id", "body", "state"), PUSHES)
def test_what_is_pushed_is_read_as_a_status_answer(job_id: str, body: dict[str, Any], state: State) -> None:
    """With its verdict, the video's URL, and the reason."""
    said: Any = PROVIDER.status.parse(Response(200, {}, push(body, job_id.rpartition("/")[2])), job_id)
    assert (said.state, said.job_id) == (state, job_id)
    if state is State.COMPLETED:
        assert [each.kind for each in said.assets][:1] == ["video"]
    else:
        assert said.problem.message == "refused"


@pytest.mark.parametrize(
    ("body", "change", "why"),
    [
        ({"data": {"taskId": "other"}}, {}, "the signature does not match the secret"),
        ({"data": {"task_id": "other"}}, {}, "the signature does not match the secret"),
        ({"data": 7}, {}, "is missing"),
        ({"data": {"taskId": "v1"}}, {"X-Webhook-Signature": ""}, "x-webhook-signature is missing"),
        ({"data": {"taskId": "v1"}}, {"X-Webhook-Timestamp": "1780000000"}, "its time differs"),
    ],
)
def test_another_push_is_not_taken(body: dict[str, Any], change: dict[str, str], why: str) -> None:
    with pytest.raises(vidpoll.BadSignature, match=why):
        push(body, "v1", **change)


def test_a_verdict_that_is_pushed_is_asked_for() -> None:
    """Its signature does not cover the body, so one question decides."""
    name = "runway-generating.json"
    wire = FakeTransport([Response(200, {}, (SAMPLES / name).read_bytes())])
    accounts = {"kie": vidpoll.Account("kie", key="key-0123456789")}
    with vidpoll.Client(accounts=accounts, plugins=[kie], discover=False, clock=FakeClock(), transport=wire) as it:
        body = push(PUSHES[1][1], UUID)
        job = it.feed(f"kie:runway/{UUID}", body)
    assert (job.state, len(wire.sent)) == (State.RUNNING, 1)
