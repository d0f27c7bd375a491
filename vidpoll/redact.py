"""What may not be shown, and how the rest is shown. Pure text functions; imports nothing of vidpoll.

Provider text is untrusted: it may hold escape sequences, a config dump with keys, or three kilobytes of HTML
(MoneyPrinterTurbo 1.3.3 has been seen to send its whole configuration as an error message).
"""

from __future__ import annotations

import dataclasses
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit, urlunsplit

MAX_TEXT = 500
"""Characters of provider text that are ever shown."""

HIDDEN = "[redacted]"

_MIN_SECRET = 6  # a shorter "secret" would eat ordinary text

# CSI, OSC and two-character escape sequences (ECMA-48), then every other control character.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_KEYS = re.compile(
    r"(?i)\b(?:sk|rk|pk|key|fal|hf|r8|xai|gsk|ghp)[-_][A-Za-z0-9_\-]{12,}|\bAIza[\w-]{20,}|\bAKIA[A-Z0-9]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w.-]{8,}|\bbearer\s+[A-Za-z0-9._~+/=\-]{8,}|\bbasic\s+(?=\S*[\d=])[A-Za-z0-9+/=]{8,}"
    r"|(?<![\w-])([\w-]*(?:(?:[-_]|api|access|secret|private)keys?(?:[-_]?id)?|secret|token|passw(?:or)?d|signature"
    r"|authorization|credentials?)\\*[\"']?\s*[=:]\s*)(?:(?:bearer|basic|token|digest)\s+)?"
    r"(?:\\*\"[^\"]*\"?|\\*'[^']*'?|\[[^\]]*\]?|\{[^}]*\}?|[^\s,;&\"']+)"
)
_URLS = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]+")


_hidden: ContextVar[tuple[str, ...]] = ContextVar("the secrets that nothing may show just now", default=())


@contextmanager
def hiding(secrets: Iterable[str]) -> Iterator[None]:
    """Within it no text that is made safe to show holds one of these secrets: an answer that does is being read."""
    token = _hidden.set(tuple(sorted(secrets, key=len, reverse=True)))  # one may be the start of another
    try:
        yield
    finally:
        _hidden.reset(token)


def is_hiding() -> bool:
    """Whether an answer is being read that holds a secret."""
    return bool(_hidden.get())


def is_telling(secret: str) -> bool:
    """Whether a secret stands nowhere by coincidence: it is long, and no plain word and no plain number.

    Any other one ("videos", "123456") may be part of an id, a status word or a URL, and hides nothing there.
    """
    return len(secret) >= 16 and any(map(str.isdigit, secret)) and any(map(str.isalpha, secret))


def text(value: object, *, secrets: Iterable[str] = (), limit: int = MAX_TEXT, word: bool = False) -> str:
    """One line of untrusted text, safe to print: no control characters, keys or URL queries, at most `limit` long.

    `word`: it is a word that counts (a status), so that only a secret which stands nowhere by coincidence is hidden.
    """
    told = [*secrets, *_hidden.get()]
    known = list(filter(is_telling, told)) if word else told
    shown = hide(_as_text(value), known)[: 20 * limit]
    shown = _CONTROLS.sub(" ", _ESCAPES.sub("", shown))
    shown = hide(shown, known)
    shown = _URLS.sub(lambda match: url(match.group()), shown)
    shown = _KEYS.sub(lambda match: (match.group(1) or "") + HIDDEN, shown)
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a plugin's exception may fail even at this
        return type(value).__name__


def bare(value: str) -> str:
    """A URL without user data, query and fragment. Raises ValueError for what is no URL."""
    parts = urlsplit(value)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def url(value: str) -> str:
    """A URL without what signs it: no user data, no query, no fragment."""
    try:
        return bare(value) + ("?…" if urlsplit(value).query else "")
    except ValueError:
        return HIDDEN


def trace(error: BaseException) -> str:
    """An exception and where it was raised, for a log: the lines of code, and the message made safe to show."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}: {text(error)}\n{frames}"


def hide(value: str, secrets: Iterable[str]) -> str:
    """A text in which no secret stands, be it plain, JSON-escaped or percent-encoded."""
    for secret in secrets:
        if len(secret) >= _MIN_SECRET:
            value = value.replace(secret, HIDDEN)
            if "\\" in value or "%" in value:
                value = re.sub(_spelt(secret), HIDDEN, value)
    return value


def within(value: Any, hidden: Callable[[str], str]) -> Any:
    """A value with all texts in it passed through `hidden`: JSON, tuples, and frozen dataclasses of these."""
    if isinstance(value, str):
        return hidden(value) if type(value) is str else value  # the members of an Enum are texts too
    if isinstance(value, dict):
        return {within(name, hidden): within(item, hidden) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [within(item, hidden) for item in value]
        return items if isinstance(value, list) else type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: within(item, hidden) for name, item in told.items()})
    return value


def _spelt(secret: str) -> str:
    """A pattern of every way to spell a secret: each character plain, as JSON escapes it, or percent-encoded."""
    return "".join(map(_character, secret))


def _character(char: str) -> str:
    escaped = r"\\?" if char in '/"\\' else ""
    return rf"(?:{escaped}{re.escape(char)}|(?i:\\u{ord(char):04x}|%{ord(char):02x}))"
