"""Signatures of pushed bodies: each helper makes the `verify` of a `Webhook`. All are pure and fetch nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .. import parsing
from ..errors import ConfigurationError, PluginError, UsageError
from ..provider import Verify
from ..provider import Webhook as Webhook  # noqa: PLC0414 - re-exported next to its helpers

_HOLE = re.compile(r"\{([\w-]+)(?::([\w.]+))?\}")
_ENCODINGS: Mapping[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda mac: base64.b64encode(mac).decode(),
}
_KEYS: Mapping[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "whsec text": lambda secret: secret.removeprefix("whsec_").encode(),
    "whsec base64": lambda secret: base64.b64decode(secret.removeprefix("whsec_"), validate=True),
}


def hmac_sha256(
    message: str,
    *,
    signature: str,
    timestamp: str = "",
    tolerance: float = 300.0,
    prefix: str = "",
    encoding: str = "hex",
    key: str = "text",
) -> Verify:
    """HMAC-SHA256 over `message`, in which `{body}` is the unchanged body and `{some-header}` the value of a header.

    `{body:data.taskId}` is the value at a path of the body, `{t}` the part "t=" of the header `signature`. `prefix`
    precedes each signature in that header: signatures with "v1," are separated by spaces, those with "v1=" by commas;
    one valid signature is enough. `timestamp` names the hole with the Unix second of the push, which may differ from
    the clock by at most `tolerance` seconds. `encoding` is "hex" or "base64". `key` says how the secret is read:
    "text", "whsec text" (without its prefix "whsec_") or "whsec base64" (without the prefix, and decoded). Raises
    PluginError for any other value.

    >>> verify = hmac_sha256("{body}", signature="x-signature")
    >>> verify({"x-signature": "0" * 64}, b"{}", "secret", 0.0)
    'the signature does not match the secret'
    """
    _check(message, timestamp, encoding, key)

    def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
        given = headers.get(signature, "")
        if not given:
            return f"the header {signature} is missing"
        values = {**headers, **_pairs(given)}
        late = _late(values.get(timestamp, ""), tolerance, now) if timestamp else ""
        if late:
            return late
        try:
            mac = hmac.new(_KEYS[key](secret), _message(message, values, body), hashlib.sha256).digest()
        except (binascii.Error, UnicodeError):
            raise UsageError("the webhook's secret must be the vendor's: whsec_ followed by base64") from None
        except LookupError as error:
            return f"{error.args[0]} is missing"
        due = _ENCODINGS[encoding](mac).encode()
        good = [hmac.compare_digest(each.encode(errors="replace"), due) for each in _signatures(given, prefix)]
        return "" if any(good) else "the signature does not match the secret"

    return verify


def standard_webhooks(version: str = "v1", *, encoding: str = "base64", key: str = "whsec base64") -> Verify:
    """Standard Webhooks: the headers webhook-id, webhook-timestamp and webhook-signature, 5 minutes.

    >>> standard_webhooks()({}, b"{}", "whsec_c2VjcmV0", 0.0)
    'the header webhook-signature is missing'
    """
    return hmac_sha256(
        "{webhook-id}.{webhook-timestamp}.{body}",
        signature="webhook-signature",
        timestamp="webhook-timestamp",
        prefix=f"{version},",
        encoding=encoding,
        key=key,
    )


def ed25519(message: str, *, signature: str, timestamp: str, tolerance: float = 300.0) -> Verify:
    """Ed25519, with the signature in hex. `message` is as in `hmac_sha256`; `{sha256}` is the body's SHA-256 in hex.

    The secret is the vendor's set of public keys (a JWKS, as text), which the caller fetches and stores. The check
    needs the package cryptography, and raises ConfigurationError without it.

    >>> ed25519("{x-time}{body}", signature="x-signature", timestamp="x-time")({}, b"{}", "{}", 0.0)
    'the header x-signature is missing'
    """
    _check(message, timestamp)

    def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
        if not headers.get(signature):
            return f"the header {signature} is missing"
        late = _late(headers.get(timestamp, ""), tolerance, now)
        if late:
            return late
        values = {**headers, "sha256": hashlib.sha256(body).hexdigest()}
        try:
            told, mac = _message(message, values, body), bytes.fromhex(headers[signature])
        except LookupError as error:
            return f"{error.args[0]} is missing"
        except ValueError:
            return "the signature is not in hex"
        good = any(_is_signed(key, mac, told) for key in _public_keys(secret))
        return "" if good else "the signature matches none of the vendor's keys"

    return verify


def _check(message: str, timestamp: str, encoding: str = "hex", key: str = "text") -> None:
    if re.search(r"[{}]", _HOLE.sub("", message)) or not _HOLE.search(message):
        raise PluginError(
            f"webhook message must have holes like {{body}}, {{some-header}} or {{body:path}}, got {message!r}"
        )
    if timestamp and f"{{{timestamp}}}" not in message:
        raise PluginError(f"webhook message {message!r}: add {{{timestamp}}}, else a recorded push could be replayed")
    if encoding not in _ENCODINGS or key not in _KEYS:
        raise PluginError(
            f"webhook encoding must be {' or '.join(_ENCODINGS)}, key {' or '.join(_KEYS)}, got {encoding!r}, {key!r}"
        )


def _message(message: str, values: Mapping[str, str], body: bytes) -> bytes:
    """The signed bytes. Raises LookupError for a missing header or path."""
    made = b""
    at = 0
    for hole in _HOLE.finditer(message):
        made += message[at : hole.start()].encode() + _value(hole[1], hole[2], values, body)
        at = hole.end()
    return made + message[at:].encode()


def _value(name: str, path: str | None, values: Mapping[str, str], body: bytes) -> bytes:
    if name != "body":
        if name not in values:
            raise LookupError(f"the header {name}")
        return values[name].encode("latin-1", "replace")
    if path is None:
        return body
    try:
        found = parsing.text(parsing.at(json.loads(body), path))
    except (ValueError, RecursionError):
        found = None
    if found is None:
        raise LookupError(f"{path} of the body")
    return found.encode(errors="surrogatepass")


def _pairs(header: str) -> dict[str, str]:
    """The parts of a header like `t=1700000000,v1=ab12`."""
    pairs = (each.strip().partition("=") for each in header.split(","))
    return {name: value for name, sign, value in pairs if sign and re.fullmatch(r"[a-z]\w?", name)}


def _signatures(header: str, prefix: str) -> list[str]:
    if not prefix:
        return [header.strip()]
    parts = [each.strip() for each in header.split(" " if prefix.endswith(",") else ",")]
    return [each.removeprefix(prefix) for each in parts if each.startswith(prefix)]


def _late(told: str, tolerance: float, now: float) -> str:
    at = parsing.number(told)
    if at is None:
        return "the time of sending is missing"
    at = at / 1000.0 if at >= 1e11 else at
    off = abs(now - at)
    return (
        ""
        if off <= tolerance
        else f"its time differs from this machine's clock by {off:.0f} s, the limit is {tolerance:g} s"
    )


def _public_keys(secret: str) -> list[bytes]:
    """The keys of a JWKS. Raises UsageError for anything else."""
    try:
        keys = parsing.at(json.loads(secret), "keys[].x")
        found = [base64.urlsafe_b64decode(f"{key}{'=' * (-len(key) % 4)}") for key in keys]
    except (ValueError, TypeError, RecursionError):
        found = []
    if not found:
        raise UsageError("the secret must be the vendor's set of public keys, the text of its jwks.json")
    return found


def _is_signed(key: bytes, mac: bytes, message: bytes) -> bool:
    try:
        ed: Any = __import__("cryptography.hazmat.primitives.asymmetric.ed25519", fromlist=["Ed25519PublicKey"])
        wrong: Any = __import__("cryptography.exceptions", fromlist=["InvalidSignature"])
    except ImportError:
        raise ConfigurationError(
            "this webhook is signed with Ed25519, which needs the package cryptography: pip install cryptography"
        ) from None
    try:
        ed.Ed25519PublicKey.from_public_bytes(key).verify(mac, message)
    except (wrong.InvalidSignature, ValueError):
        return False
    return True
