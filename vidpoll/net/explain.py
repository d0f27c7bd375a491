"""Explains an exception of the HTTP libraries in our own words, because theirs hold URLs. `blame` has the table."""

from __future__ import annotations

import re
import ssl

from .. import blame, redact
from ..faults import Misconfigured, NoAnswer
from .environment import bundle_step, proxy_variable

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3}\b[^\r\n]*)")


class BodyTooLarge(NoAnswer):
    """More bytes than `max_body`."""


class BodyCut(NoAnswer):
    """The body broke off before its end."""


class Hopeless(NoAnswer):
    """Sending the request again would not help."""


class UnsafeHop(Hopeless):
    """A redirect that is not followed."""


def lost(error: Exception, url: str, timeout: tuple[float, float], *, sent: bool, in_body: bool = False) -> NoAnswer:
    """The NoAnswer of an exception. `sent`: whether any byte may have left; `in_body`: whether the head had come."""
    row, cause = blame.of(error)
    if in_body and row not in (blame.SILENT, blame.FULL):
        return BodyCut(blame.CUT.reason) if row.who in _NETWORKS else NoAnswer(_words(row, cause, url, timeout))
    words = _words(row, cause, url, timeout)
    if row.wait is blame.Meaning.LOCAL and not sent:
        return Misconfigured(words)
    return NoAnswer(words, sent=sent)


_NETWORKS = (blame.Who.WAY, blame.Who.BETWEEN)


def _words(row: blame.Row, cause: BaseException, url: str, timeout: tuple[float, float]) -> str:
    if isinstance(cause, ssl.SSLError):
        return _tls(row, cause)
    variable = proxy_variable(url)
    if row is blame.PROXY:
        return _proxy(cause, variable, timeout)
    name = type(cause).__name__
    return row.words(connect=timeout[0], read=timeout[1], proxy=variable, name=name)


def _tls(row: blame.Row, error: ssl.SSLError) -> str:
    """Explain a TLS error; OpenSSL's own words hold no secret."""
    code, reason = getattr(error, "verify_code", None), getattr(error, "reason", None) or ""
    said = getattr(error, "verify_message", None) or reason.replace("_", " ").lower()
    why, step = blame.CERTIFICATES.get(code or 0, ("the certificate is not accepted" if code else "", ""))
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        why, step = "the server does not speak TLS", "check the port, or write http:// in the address"
    words = f"{row.reason}: {why}" if why else row.reason
    words = f"{words} ({redact.text(said, limit=120)})" if said else words
    return f"{words}: {step.format(bundle=bundle_step())}" if step else words


def _proxy(error: BaseException, variable: str, timeout: tuple[float, float]) -> str:
    """What a proxy has said, and which variable names the proxy."""
    inner = list(blame.chain(error))[-1]
    said = _TUNNEL.search(str(inner))
    if said is not None and said[1].startswith("407"):
        return (
            "the proxy did not let the request through (it requires a user and a password): write them in "
            f"{variable}, like http://USER:PASSWORD@HOST:PORT"
        )
    why = redact.text(said[1], limit=60) if said is not None else _reason(inner, timeout)
    return f"the proxy did not let the request through ({why}): {variable} names the proxy"


def _reason(inner: BaseException, timeout: tuple[float, float]) -> str:
    """Why a proxy cannot be reached."""
    if isinstance(inner, ssl.SSLError):
        wrong = getattr(inner, "reason", None) == "WRONG_VERSION_NUMBER"
        return "it does not speak TLS: write http:// before its host" if wrong else "the TLS connection to it failed"
    row, cause = blame.of(inner)
    return row.reason.format(connect=timeout[0], read=timeout[1], name=type(cause).__name__)
