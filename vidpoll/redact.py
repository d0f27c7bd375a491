"""Hides secrets in text and makes the rest safe to show. Pure text functions; imports nothing of vidpoll.

Provider text is untrusted: it may hold escape sequences, a config dump with keys, or three kilobytes of HTML
(MoneyPrinterTurbo 1.3.3 has sent its whole configuration as an error message).
"""

from __future__ import annotations

import dataclasses
import re
import traceback
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

MAX_TEXT = 500
"""Characters: provider text is cut to this length when it is shown."""

HIDDEN = "[redacted]"

_MIN_SECRET = 6  # a shorter "secret" would hide ordinary text
_MIN_READING = 4  # for a secret that itself looks escaped
_JOINER = "\u200d"

# CSI, OSC and two-character escape sequences (ECMA-48).
_CONTROLS = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])"
# A character as JSON, Python, URLs and HTML escape it, once or several times over.
_SPELT = (
    r"\\+(?:(?:u00|x)(?P<json>[0-9a-fA-F]{2}))?|%(?:25)*(?P<percent>[0-9a-fA-F]{2})"
    r"|&(?:amp;)*(?:#(?P<number>[0-9]{2,3})|#[xX](?P<html>[0-9a-fA-F]{2})|(?P<name>amp|quot|apos|lt|gt));"
)
_ENTITIES = {"amp": "&", "quot": '"', "apos": "'", "lt": "<", "gt": ">"}
_ESCAPES = re.compile(_CONTROLS)
_WRITTEN = re.compile(_SPELT)
_ODD = re.compile(rf"{_CONTROLS}|{_SPELT}|[^ -~]+")
_BROKEN_JOINER = re.compile(r"(?<![^\x00-\x7f\u200d])\u200d|\u200d(?![^\x00-\x7f\u200d])")

_SECRET_NAMES = (
    r"(?:(?:[-_]|api|access|secret|private)keys?(?:[-_]?(?:pair[-_]?)?id)?|secret|token|passw(?:or)?d|pass(?:phrase|code)"
    r"|signature|authorization|credentials?|hmac|jwt|otp|session[-_]?(?:id|key))"
)
# These are also everyday words, so they count as names only before "=", or before a quotation mark and a colon.
_ALSO_NAMES = r"(?:sig|sign|sas|policy|session|sid|pin|pwd|key|auth|cookie|hdn(?:ts|tl|ea))"
_VALUE = r"(?:(?:bearer|basic|token|digest)\s+)?(?:\\*\"[^\"]*\"?|\\*'[^']*'?|\[[^\]]*\]?|\{[^}]*\}?|[^\s,;&\"']+)"
_KEYS = re.compile(
    r"(?i)\b(?:sk|rk|pk|key|fal|hf|r8|xai|gsk|ghp)[-_][A-Za-z0-9_\-]{12,}|\bAIza[\w-]{20,}|\bAKIA[A-Z0-9]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w.-]{8,}|\bbearer\s+[A-Za-z0-9._~+/=\-]{8,}|\bbasic\s+(?=\S*[\d=])[A-Za-z0-9+/=]{8,}"
    rf"|(?<![\w-])((?:[\w-]*{_SECRET_NAMES}\\*[\"']?\s*[=:]|(?:[\w-]*[-_])?{_ALSO_NAMES}(?:=|\\*[\"']\s*[=:]))\s*)"
    rf"{_VALUE}"
)
_NAME = re.compile(rf"(?i)[\w-]*{_SECRET_NAMES}(?:(?<!token)s)?|(?:[\w-]*[-_])?{_ALSO_NAMES}|cookies")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_URLS = re.compile(r"(?i)(?:\b[a-z][a-z0-9+.-]{1,20}:)?//[^\s\"'<>]+")
_QUERIES = re.compile(r"(?<=[\w/.~%\])-])[?#](?=[^\s\"'<>?#]*=)[^\s\"'<>]*")
_PATH_TOKENS = re.compile(r"(?i)((?:token|signature|hmac|sig|policy|md5|hdn(?:ts|tl|ea))=)[^/~;,]+")


class Secret(str):
    """A text that is sent but never shown: its repr is hidden, because debuggers and crash reports show it."""

    __slots__ = ()

    @classmethod
    def of(cls, value: object) -> Secret:
        """A given value as a secret. A value that is not text becomes a secret that cannot be sent."""
        return cls(value if isinstance(value, str) else "\0")

    def __repr__(self) -> str:
        return repr(HIDDEN)

    def __getitem__(self, index: Any) -> Secret:  # debuggers cut a long value before they show it
        return Secret(super().__getitem__(index))


_hidden: ContextVar[tuple[str, ...]] = ContextVar("the secrets that must not be shown now", default=())


@contextmanager
def hiding(secrets: Iterable[str]) -> Iterator[None]:
    """Inside this block `text` also hides these secrets, because a response that holds them is being read."""
    token = _hidden.set(tuple(secrets))
    try:
        yield
    finally:
        _hidden.reset(token)


def is_hiding() -> bool:
    """Whether a response that holds a secret is being read."""
    return bool(_hidden.get())


def is_telling(secret: str) -> bool:
    """Whether a secret cannot occur by coincidence: it is long, with both digits and letters.

    Any other secret ("videos", "123456") may be part of an id, a status word or a URL, and must hide nothing there.
    """
    return len(secret) >= 16 and any(map(str.isdigit, secret)) and any(map(str.isalpha, secret))


def text(value: object, *, secrets: Iterable[str] = (), limit: int = MAX_TEXT, word: bool = False) -> str:
    """Untrusted text as one line that is safe to print: no keys, no URL queries, at most `limit` characters.

    `word`: the text is a word with a meaning (a status), so only secrets that cannot occur by coincidence are hidden.
    """
    told = [*secrets, *_hidden.get()]
    shown = hide(_as_text(value), filter(is_telling, told) if word else told)[: 20 * limit]
    shown = _unsigned(printable(shown))
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def quoted(value: object, limit: int = 80) -> str:
    """`text` in quotation marks, with its outer white space: a message about a wrong name must show it.

    >>> quoted(" magicoal"), quoted("magicoal:x\\n")
    ("' magicoal'", "'magicoal:x\\\\n'")
    """
    raw = _as_text(value)
    start, end = len(raw) - len(raw.lstrip()), len(raw.rstrip())
    return repr(f"{raw[:start][-3:]}{text(raw, limit=limit)}{raw[max(start, end) :][:3]}")


def printable(value: str) -> str:
    """A text without escape sequences and invisible characters, which might move a cursor or change the direction.

    A space replaces each invisible character; U+200D stays between two characters that it may join (emoji).
    """
    if value.isprintable():
        return value
    shown = _BROKEN_JOINER.sub(" ", _ESCAPES.sub("", value))
    return "".join(char if char.isprintable() or char == _JOINER else " " for char in shown)


def _unsigned(shown: str) -> str:
    """A text without keys and without the signatures of URLs, both as written and with its escapes undone."""
    for pattern, safe in _UNSAFE:
        shown = pattern.sub(safe, shown)
    for pattern, safe in _UNSAFE if _WRITTEN.search(shown) else ():
        reading = _Reading(shown, _WRITTEN)
        found = [(match.span(), safe(match)) for match in pattern.finditer(reading.text) if safe(match) != match[0]]
        shown = reading.replaced(found)
    return shown


_UNSAFE: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (_URLS, lambda match: url(match[0])),
    (_QUERIES, lambda match: "?…"),
    (_KEYS, lambda match: (match[1] or "") + HIDDEN),
)


def is_secret_name(name: str) -> bool:
    """Whether a name alone says that its value is a secret: "api_key", "X-Signature", "session"."""
    return _NAME.fullmatch(_HUMP.sub("_", name.strip())) is not None


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - even str of a plugin's exception may fail
        return type(value).__name__


def bare(value: str) -> str:
    """A URL without user data, query, fragment, and tokens in its path. Raises ValueError for a text that is no URL."""
    parts = urlsplit(value)
    path = _PATH_TOKENS.sub(r"\1…", parts.path) if "=" in parts.path else parts.path
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def url(value: str) -> str:
    """A URL without its signature: no user data, no query, no fragment. On one line, and printable."""
    try:
        return printable(bare(value)) + ("?…" if urlsplit(value).query else "")
    except ValueError:
        return HIDDEN


def base_url(value: str) -> str:
    """A base URL as `url` shows it. Text without a scheme is hidden: it may be a key in the wrong place."""
    return url(value) if "://" in value else HIDDEN


def store(value: str) -> str:
    """The URL of a store without user, password and query, even if the password is not percent-encoded.

    >>> store("postgresql://me:se/c#r?e@t@db/shop?sslmode=require")
    'postgresql://db/shop?…'
    """
    scheme, _, rest = value.partition("://")
    return url(f"{scheme}://{rest.rpartition('@')[2]}")


def error(raised: BaseException) -> str:
    """The kind and the text of an exception, on one line."""
    kind, said = type(raised).__name__, _as_text(raised)
    return text(f"{kind}: {said}" if said not in ("", kind) else kind)


def trace(error: BaseException) -> str:
    """An exception with its traceback, for a log: the lines of code, and the message made safe to show."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}: {text(error)}\n{frames}"


def hide(value: str, secrets: Iterable[str]) -> str:
    """A text without secrets: not plain, not escaped for JSON, a URL or HTML, and not with invisible characters inside.

    The text is searched twice, as written and with its escapes undone. No pattern is made of a secret.
    """
    known = [secret for secret in secrets if len(secret) >= _MIN_SECRET]
    for pattern in (None, _ODD) if known else ():
        if pattern is None or pattern.search(value):
            reading = _Reading(value, pattern)
            spans = [span for secret in known for span in reading.spans(secret)]
            value = reading.replaced([(span, HIDDEN) for span in spans])
    return value


def holds(value: str, secrets: Iterable[str]) -> bool:
    """Whether a text holds one of these secrets, in any form that `hide` finds."""
    return hide(value, secrets) != value


class _Reading:
    """A text with the escapes of `pattern` undone, which can map its positions back to the raw text."""

    def __init__(self, raw: str, pattern: re.Pattern[str] | None) -> None:
        self.raw = raw
        self._pattern = pattern
        self.text = raw if pattern is None else pattern.sub(_undone, raw)

    def spans(self, secret: str) -> Iterator[tuple[int, int]]:
        """The positions of a secret in the text; escapes in the secret are undone as well."""
        plain = secret if self._pattern is None else self._pattern.sub(_undone, secret)
        if len(plain) < _MIN_READING:
            return
        start = self.text.find(plain)
        while start >= 0:
            yield start, start + len(plain)
            start = self.text.find(plain, start + len(plain))

    def replaced(self, spans: list[tuple[tuple[int, int], str]]) -> str:
        """The raw text with spans of the reading replaced. Of overlapping spans, the first one's replacement counts."""
        if not spans:
            return self.raw
        starts, places = self._places()
        pieces, done, last = [], 0, 0
        for (start, end), safe in sorted(spans):
            if start >= last:
                number = bisect_right(starts, start) - 1  # after escapes that read as nothing
                pieces += [self.raw[done : places[number] + start - starts[number]], safe]
            last = max(last, end)
            number = bisect_left(starts, last)  # before escapes that read as nothing
            number -= number == len(starts) or starts[number] != last
            done = places[number] + last - starts[number]
        return "".join([*pieces, self.raw[done:]])

    def _places(self) -> tuple[list[int], list[int]]:
        """The begin of each stretch between two escapes, in the reading and in the raw text."""
        starts, places = [0], [0]
        for match in self._pattern.finditer(self.raw) if self._pattern is not None else ():
            length = starts[-1] + match.start() - places[-1]
            starts += [length, length + len(_undone(match))]
            places += [match.start(), match.end()]
        return starts, places


def _undone(match: re.Match[str]) -> str:
    """The character of an escape; "" for a lone backslash or a character that is not ASCII."""
    return _read(match[0]) if len(match[0]) <= 6 else _of(match)


@lru_cache(maxsize=1024)
def _read(escape: str) -> str:
    """`_of` for a short escape; cached, because escapes repeat in a text."""
    match = _ODD.match(escape)
    return "" if match is None else _of(match)


def _of(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind is None:
        return ""
    code = match[kind]
    char = _ENTITIES[code] if kind == "name" else chr(int(code, 10 if kind == "number" else 16))
    return char if " " <= char <= "~" and char != "\\" else ""


def within(value: Any, hidden: Callable[[str], str]) -> Any:
    """A value with `hidden` applied to every text in it: JSON, tuples, and frozen dataclasses of these."""
    if isinstance(value, str):
        return hidden(value) if type(value) is str else value  # members of an Enum are also texts
    if isinstance(value, dict):
        return {within(name, hidden): within(item, hidden) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [within(item, hidden) for item in value]
        return items if isinstance(value, list) else type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: within(item, hidden) for name, item in told.items()})
    return value
