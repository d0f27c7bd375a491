"""What is odd about Zhipu: a 429 that is money, and one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import vidpoll_providers
from vidpoll_providers import zhipu

import vidpoll
from vidpoll import Response
from vidpoll.testing import FakeClock, FakeTransport

SAMPLES = Path(vidpoll_providers.__file__).parent / "samples/zhipu"
ID = "8868902201637896192"


def client(*answers: tuple[int, str]) -> tuple[vidpoll.Client, FakeTransport]:
    wire = FakeTransport([Response(status, {}, (SAMPLES / name).read_bytes()) for status, name in answers])
    accounts = {"zhipu": vidpoll.Account("zhipu", key="key-0123456789")}
    made = vidpoll.Client(accounts=accounts, plugins=[zhipu], discover=False, clock=FakeClock(), transport=wire)
    return made, wire


@pytest.mark.parametrize("name", ["error-429-1113.json", "error-429-1113-cn.json"])
def test_no_balance_is_no_rate(name: str) -> None:
    """HTTP 429 with 1113 does not pass by waiting: the user is told, after one further poll at most."""
    it, wire = client((429, name), (429, name))
    with it:
        with pytest.raises(vidpoll.PaymentRequired) as refused:
            it.submit("zhipu", "video", model="cogvideox-3", prompt="a sea")
        with pytest.raises(vidpoll.WaitRefused, match="Check the balance"):
            it.wait(f"zhipu:{ID}", timeout=600)
    assert (refused.value.code, [each.method for each in wire.sent]) == ("1113", ["POST", "GET", "GET"])


def test_a_rate_limit_is_borne() -> None:
    """1302 passes: the job is polled again."""
    it, wire = client((429, "error-429-1302.json"), (200, "processing.json"), (200, "success.json"))
    with it:
        job = it.wait(f"zhipu:{ID}", timeout=600)
    assert (job.ok, [asset.kind for asset in job.assets], len(wire.sent)) == (True, ["video", "thumbnail"], 3)


@pytest.mark.parametrize("image", ["https://a.example/a.png", ["https://a.example/a.png", "iVBORw0KGgo="], {"a": "b"}])
def test_an_image_is_one_or_several(image: object) -> None:
    """What the model takes goes to it as it is."""
    (provider,) = zhipu.vidpoll_providers()
    sent = provider.submit["video"].request({"model": "viduq1-image", "image_url": image})
    assert (sent.json, provider.headers) == (
        {"model": "viduq1-image", "image_url": image},
        {"Accept-Language": "en-US,en"},
    )


def test_a_request_without_prompt_and_image_is_refused() -> None:
    """One of them must be there."""
    (provider,) = zhipu.vidpoll_providers()
    with pytest.raises(vidpoll.InvalidField, match=r"needs 'prompt': .*, or 'image_url'"):
        provider.submit["video"].request({"model": "cogvideox-3"})
