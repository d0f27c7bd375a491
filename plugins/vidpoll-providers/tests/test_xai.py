"""What is odd about xAI: moderation is an HTTP 400 of the status, a job that runs an empty 202, no money a 429."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import xai

import vidpoll
from vidpoll import Cost, InvalidField, Problem, Response, State
from vidpoll.testing import FakeClock, FakeTransport

VIDEO = "https://vidgen.x.ai/clip.mp4"
RUNNING = (202, {}, b"")
DONE = {"video": {"url": VIDEO, "duration": 8, "respect_moderation": True}}


def provider() -> vidpoll.Provider:
    (found,) = xai.vidpoll_providers()
    assert isinstance(found, vidpoll.Provider)
    return found


def client_of(script: list[Any]) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport(script)
    options: dict[str, Any] = {"plugins": [xai], "discover": False, "clock": FakeClock(), "transport": wire}
    return vidpoll.Client(accounts={"xai": vidpoll.Account("xai", key="xai-0123456789")}, **options), wire


def test_from_an_empty_202_to_a_body_without_a_word() -> None:
    """The job runs while there is nothing to read, and a video without a word is the end."""
    client, wire = client_of(
        [{"request_id": "r1"}, RUNNING, RUNNING, (202, {"status": "pending", "progress": 42}), DONE]
    )
    with client:
        job = client.wait(client.submit("xai", "generations", model="grok-imagine-video", prompt="a sea"))
    assert (job.video.url, [each.method for each in wire.sent]) == (VIDEO, ["POST", *["GET"] * 4])
    assert not wire.sent[-1].trusted(VIDEO)


@pytest.mark.parametrize("code", ["imagine:content-moderated", "Client specified an invalid argument"])
def test_moderation_is_a_verdict_and_may_cost(code: str) -> None:
    """HTTP 400 of the status, by its text or its code; ticks are dollars."""
    refused = {"code": code, "error": "Generated video rejected by content moderation."}
    client, _ = client_of([RUNNING, (400, {**refused, "usage": {"cost_in_usd_ticks": 2500000000}})])
    with client:
        job = client.wait("xai:r1", check=False)
    problem = Problem(refused["error"], code, kind="moderated_output", charged=True)
    assert (job.state, job.problem) == (State.FAILED, problem)
    assert job.cost == Cost(0.25, unit="USD")


def test_another_400_ends_no_job() -> None:
    """It passes, by what one user saw of the first half minute: the job is unknown, never failed."""
    early = (400, {"code": "invalid-argument", "error": "Video is not ready."})
    client, _ = client_of([early, DONE])
    with client:
        assert client.wait("xai:r1").ok
    client, _ = client_of([early])
    with client, pytest.raises(vidpoll.ProviderError) as caught:
        client.wait("xai:r1")
    assert not isinstance(caught.value, vidpoll.JobFailed)


@pytest.mark.parametrize("status", [429, 403])
def test_no_credit_is_money_and_not_a_rate(status: int) -> None:
    """Waiting would not help: it is reported at once."""
    text = "Your team has either used all available credits or reached its monthly spending limit."
    client, wire = client_of([(status, {"code": "Some resource has been exhausted", "error": text})])
    with client, pytest.raises(vidpoll.PaymentRequired):
        client.submit("xai", "generations", model="grok-imagine-video", prompt="a sea")
    assert len(wire.sent) == 1


def test_the_ways_to_give_a_file(tmp_path: Path) -> None:
    """xAI wants an object with the URL; what it would ignore is refused before it is paid for."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    submit = provider().submit
    given = {"model": "m", "prompt": "a sea"}
    data = "data:image/png;base64,iVBORw0KGgo="
    ways: list[tuple[object, str]] = [(VIDEO, VIDEO), ({"url": VIDEO}, VIDEO), (tmp_path / "a.png", data), (data, data)]
    for value, url in ways:
        assert submit["generations"].request({**given, "image": value}).json == {**given, "image": {"url": url}}
    assert submit["edits"].request({**given, "video": VIDEO, "seed": 7}).json == {
        **given,
        "video": {"url": VIDEO},
        "seed": 7,
    }
    alone = submit["generations"].request({"model": "m", "image": VIDEO})
    assert alone.json == {"model": "m", "image": {"url": VIDEO}}
    wrong: list[dict[str, object]] = [
        {"image_url": VIDEO},
        {"image": "a.png"},
        {"video": tmp_path / "a.png"},
        {"duration": 0},
    ]
    for field in wrong:
        with pytest.raises(InvalidField):
            submit["generations"].request({**given, **field})
    with pytest.raises(InvalidField, match="needs 'video'"):
        submit["extensions"].request(given)


def test_what_moderation_holds_back_has_no_file() -> None:
    """Done, even with a URL, and without respect: failed. Another type of value is not a usable response."""
    held = {"status": "done", "video": {"url": VIDEO, "respect_moderation": False}}
    said = provider().status.parse(Response(200, {}, json.dumps(held).encode()), "r1")
    assert isinstance(said, vidpoll.Snapshot)
    assert (said.state, said.assets) == (State.FAILED, ())
    odd = {"status": "done", "video": {"url": VIDEO, "respect_moderation": "yes"}}
    with pytest.raises(vidpoll.Malformed):
        provider().status.parse(Response(200, {}, json.dumps(odd).encode()), "r1")


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"resolution": "720p"}, "0.70 USD"),
        ({"model": "grok-imagine-video-1.5", "resolution": "1080p"}, "2.50 USD"),
        ({"resolution": "480p", "image": VIDEO}, "0.50 to 0.51 USD"),
        ({"resolution": "480p", "reference_images": [VIDEO, VIDEO]}, "0.50 to 0.52 USD"),
        ({"model": "grok-new"}, "None"),
        ({"duration": None}, "None"),
        ({"video": VIDEO}, "None"),
    ],
)
def test_a_price_by_the_second_and_for_images(more: dict[str, object], shown: str) -> None:
    """What images cost is not on the page of prices: it is a range."""
    client, wire = client_of([])
    with client:
        given: dict[str, object] = {"model": "grok-imagine-video", "prompt": "a sea", "duration": 10, **more}
        assert str(client.price("xai", "generations", **given)) == shown
    assert wire.sent == []
