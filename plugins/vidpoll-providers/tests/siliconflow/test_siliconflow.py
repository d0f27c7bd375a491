"""What is odd about SiliconFlow: refusals that are a bare text, money by a code, whose account it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vidpoll_providers.siliconflow import vidpoll_providers as siliconflow

import vidpoll
from vidpoll.testing import FakeClock, FakeTransport

(PROVIDER,) = siliconflow()


class Plugin:
    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Any:
        yield PROVIDER


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (401, "Invalid token", vidpoll.AuthenticationError, "Invalid token"),
        (403, {"code": 30001, "message": "balance"}, vidpoll.PaymentRequired, "balance"),
        (400, {"code": 30001, "message": "balance"}, vidpoll.PaymentRequired, "balance"),
        (403, {"code": 20015, "message": "no"}, vidpoll.InvalidRequest, "no"),
        (403, {"code": 20099, "message": "no"}, vidpoll.PermissionDenied, "no"),
    ],
)
def test_refusals(status: int, body: object, error: type[Exception], said: str) -> None:
    """A text by itself is the reason; a code is more than its HTTP status."""
    wire = FakeTransport([vidpoll.Response(status, {}, json.dumps(body).encode())])
    accounts = {"siliconflow": vidpoll.Account("siliconflow", key="sk-0123456789abcdef")}
    client = vidpoll.Client(plugins=[Plugin()], discover=False, clock=FakeClock(), transport=wire, accounts=accounts)
    with pytest.raises(error, match=said):
        client.submit("siliconflow", "video", model="Wan-AI/Wan2.2-T2V-A14B", prompt="a sea")


def test_an_overload_ends_no_wait() -> None:
    """Its code is documented with HTTP 400 as well as 503: the job continues."""
    busy = vidpoll.Response(400, {}, json.dumps({"code": 50505, "message": "Model service overloaded."}).encode())
    done = {"status": "Failed", "reason": "no"}
    wire = FakeTransport([*[busy] * 4, done])
    accounts = {"siliconflow": vidpoll.Account("siliconflow", key="sk-0123456789abcdef")}
    client = vidpoll.Client(plugins=[Plugin()], discover=False, clock=FakeClock(), transport=wire, accounts=accounts)
    with client, pytest.raises(vidpoll.JobFailed, match="no"):
        client.wait("siliconflow:r1")
    assert len(wire.sent) == 5
