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
        (403, {"code": 20015, "message": "no"}, vidpoll.PermissionDenied, "no"),
    ],
)
def test_refusals(status: int, body: object, error: type[Exception], said: str) -> None:
    """A text by itself is the reason; a code is more than its HTTP status."""
    wire = FakeTransport([vidpoll.Response(status, {}, json.dumps(body).encode())])
    accounts = {"siliconflow": vidpoll.Account("siliconflow", key="sk-0123456789abcdef")}
    client = vidpoll.Client(plugins=[Plugin()], discover=False, clock=FakeClock(), transport=wire, accounts=accounts)
    with pytest.raises(error, match=said):
        client.submit("siliconflow", "video", model="Wan-AI/Wan2.2-T2V-A14B", prompt="a sea")
