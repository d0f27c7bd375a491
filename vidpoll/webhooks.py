"""`vidpoll.webhook`: checks the signature of a pushed body and prepares it for `client.feed`. It sends nothing."""

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
    """Check the signature of a pushed body, and return the body for `client.feed`.

        client.feed("kling:893605946402811985", vidpoll.webhook("kling", request.headers, request.data, secret))

    `provider` is a Provider, or the name of an installed one. `headers` maps names to values (any case). `body` holds
    the bytes exactly as received. `secret` is the vendor's signing secret, or its public keys (the provider's page says
    where to get them). None is allowed only if the vendor does not sign: then any body is accepted, and `feed` polls
    before it believes a verdict. `now` is Unix seconds, by default the current time.

    Raises BadSignature for a body with a wrong or old signature, Malformed for a body that is not a JSON object,
    Unsupported for a provider without webhooks, UsageError for a missing or invalid secret, ConfigurationError if the
    vendor signs with Ed25519 (fal does) and the package `cryptography` is not installed.
    """
    found = provider
    if not isinstance(found, Provider):
        found = Plugins(disabled=switched_off(os.environ)).provider(found)
    if found.webhook is None:
        raise Unsupported(f"{found.name}: this provider has no webhooks in vidpoll; wait for its jobs instead")
    if not isinstance(body, (bytes, bytearray)):
        raise UsageError(
            f"body must be bytes, exactly as received (the signature covers them), got {type(body).__name__}"
        )
    verify = found.webhook.verify
    if verify is not None:
        if not secret:
            raise UsageError(f"{found.name}: give the secret of the webhook, because {found.name} signs its bodies")
        plain = {str(name).lower(): str(value) for name, value in headers.items()}
        wrong = verify(plain, bytes(body), secret, SystemClock.time() if now is None else now)
        if wrong:
            raise BadSignature(f"{found.name}: the pushed body is refused: {wrong}")
    return _read(found.webhook, bytes(body))


def _read(hook: Webhook, body: bytes) -> bytes:
    """The body in the form of a status response. Raises Malformed."""
    if hook.read is None:
        return body
    data = Response(200, {}, body).json()
    if not isinstance(data, dict):
        raise Malformed("the pushed body is not a JSON object")
    try:
        return json.dumps(hook.read(data)).encode()
    except Exception as error:  # noqa: BLE001 - a plugin's function, and anyone can push
        raise Malformed(f"the pushed body lacks an expected field ({redact.text(repr(error), limit=80)})") from None
