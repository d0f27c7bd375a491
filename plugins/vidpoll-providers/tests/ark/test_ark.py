"""What is odd about Ark: money behind a 403, models behind a 404, a gateway's own envelope, callbacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import vidpoll_providers
from vidpoll_providers.ark import vidpoll_providers as ark

import vidpoll

(PROVIDER,) = ark()
SAMPLES = Path(vidpoll_providers.__file__).parent / "samples/ark"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccountOverdueError", "money"),
        (403, "OperationDenied.ServiceOverdue", "money"),
        (403, "AccessDenied", None),
        (404, "ModelNotOpen", "permission"),
        (404, "InvalidEndpointOrModel.NotFound", "input"),
        (400, "InvalidAction.RunningTaskDeletion", "conflict"),
        (400, "task_not_found", "not found"),
        (404, "ResourceNotFound", None),
        (429, "QuotaExceeded", "capacity"),
        (429, "ServerOverloaded", "capacity"),
        (429, "RateLimitExceeded.EndpointRPMExceeded", "rate"),
        (400, "InputImageSensitiveContentDetected.PrivacyInformation", "moderated_input"),
    ],
)
def test_what_a_refusal_is_about(status: int, code: str, kind: str | None) -> None:
    """By its code, with or without what follows the dot; None is what the HTTP status says."""
    body = json.dumps({"error": {"code": code, "message": "no"}}).encode()
    assert PROVIDER.error(vidpoll.Response(status, {}, body)) == vidpoll.Problem("no", code, kind=kind)


def test_a_callback_is_a_status_answer() -> None:
    """Nothing signs it, so a wait asks before it believes a verdict."""
    pushed = (SAMPLES / "succeeded.json").read_bytes()
    assert vidpoll.webhook(PROVIDER, {}, pushed, None) == pushed
