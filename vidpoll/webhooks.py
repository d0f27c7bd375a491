"""`vidpoll.webhook`: what a provider pushed, its signature checked, as `client.feed` takes it. Nothing is sent here."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from . import redact
from .clock import SystemClock
from .errors import BadSignature, Malformed, Unsupported, UsageError
from .model import Response
from .plugins import Plugins, switched_off
from .provider import Provider, Webhook


def webhook(
    provider: Provider | str, headers: Mapping[str, str], body: bytes, secret: str | None, *, now: float | None = None
) -> bytes:
    """Check the signature of a pushed body, and return it as `client.feed` takes it.

        client.feed("kling:893605946402811985", vidpoll.webhook("kling", request.headers, request.data, secret))

    `provider` is a Provider, or the name of an installed one. `body` is the body byte for byte as it came. `secret` is
    what the vendor signs with, or its public keys (its page says where to get them); None only where the vendor signs
    nothing: then the body is taken, and `feed` asks before it believes a verdict. `now` is Unix seconds.

    Raises BadSignature for a push that is not the vendor's, Malformed for one that is no JSON object, Unsupported for a
    provider without webhooks, UsageError where the secret is missing or is none.
    """
    found = provider
    if not isinstance(found, Provider):
        found = Plugins(disabled=switched_off(os.environ)).provider(found)
    if found.webhook is None:
        raise Unsupported(f"{found.name}: no webhooks are known of it; wait for its jobs instead")
    if not isinstance(body, (bytes, bytearray)):
        raise UsageError(
            f"the body is {type(body).__name__}; its bytes are due, as they came: the signature counts them"
        )
    verify = found.webhook.verify
    if verify is not None:
        if not secret:
            raise UsageError(f"{found.name}: give the secret of the webhook: {found.name} signs what it pushes")
        plain = {str(name).lower(): str(value) for name, value in headers.items()}
        wrong = verify(plain, bytes(body), secret, SystemClock.time() if now is None else now)
        if wrong:
            raise BadSignature(f"{found.name}: a pushed body that is not taken: {wrong}")
    return _read(found.webhook, bytes(body))


def _read(hook: Webhook, body: bytes) -> bytes:
    """The body as the status operation has it. Raises Malformed."""
    if hook.read is None:
        return body
    data = Response(200, {}, body).json()
    if not isinstance(data, dict):
        raise Malformed("a pushed body that is not a JSON object")
    try:
        return json.dumps(hook.read(data)).encode()
    except Exception as error:  # noqa: BLE001 - a plugin's, and anybody can push
        raise Malformed(f"a pushed body without what is due in it ({redact.text(repr(error), limit=80)})") from None
