"""What may not be shown, and how the rest is shown. Pure text functions; imports nothing of vidpoll.

Provider text is untrusted: it may hold escape sequences, a config dump with keys, or three kilobytes of HTML
(MoneyPrinterTurbo 1.3.3 has been seen to send its whole configuration as an error message).
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
"""Characters of provider text that are ever shown."""

HIDDEN = "[redacted]"

_MIN_SECRET = 6  # a shorter "secret" would eat ordinary text
_MIN_READING = 4  # of one that itself looks escaped
_JOINER = "\u200d"

# CSI, OSC and two-character escape sequences (ECMA-48).
_CONTROLS = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])"
# A character as JSON, Python, URLs and HTML write it, escaped once or many times over.
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
# Words of everyday speech too, so that they count as names where "=" follows, or a quotation mark and a colon.
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
    """A text that is sent and not shown: its repr, which debuggers and crash reports show of locals, is hidden."""

    __slots__ = ()

    @classmethod
    def of(cls, value: object) -> Secret:
        """What somebody gave as a secret; what is no text becomes one that cannot be sent."""
        return cls(value if isinstance(value, str) else "\0")

    def __repr__(self) -> str:
        return repr(HIDDEN)

    def __getitem__(self, index: Any) -> Secret:  # a long value is cut before it is shown
        return Secret(super().__getitem__(index))


_hidden: ContextVar[tuple[str, ...]] = ContextVar("the secrets that nothing may show just now", default=())


@contextmanager
def hiding(secrets: Iterable[str]) -> Iterator[None]:
    """Within it no text that is made safe to show holds one of these secrets: an answer that does is being read."""
    token = _hidden.set(tuple(secrets))
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
    """One line of untrusted text, safe to print: printable characters, no keys or URL queries, at most `limit` long.

    `word`: it is a word that counts (a status), so that only a secret which stands nowhere by coincidence is hidden.
    """
    told = [*secrets, *_hidden.get()]
    shown = hide(_as_text(value), filter(is_telling, told) if word else told)[: 20 * limit]
    shown = _unsigned(printable(shown))
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def printable(value: str) -> str:
    """A text on one line, without what moves a cursor, hides, or turns the direction: a space stands in its place.

    U+200D stays between two characters that it may join (emoji).
    """
    if value.isprintable():
        return value
    shown = _BROKEN_JOINER.sub(" ", _ESCAPES.sub("", value))
    return "".join(char if char.isprintable() or char == _JOINER else " " for char in shown)


def _unsigned(shown: str) -> str:
    """A text without keys and what signs a URL, as it stands and as it reads once its escapes are undone."""
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
    """Whether the name alone says that what stands under it is a secret: "api_key", "X-Signature", "session"."""
    return _NAME.fullmatch(_HUMP.sub("_", name.strip())) is not None


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a plugin's exception may fail even at this
        return type(value).__name__


def bare(value: str) -> str:
    """A URL without user data, query, fragment, and tokens in its path. Raises ValueError for what is no URL."""
    parts = urlsplit(value)
    path = _PATH_TOKENS.sub(r"\1…", parts.path) if "=" in parts.path else parts.path
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def url(value: str) -> str:
    """A URL without what signs it: no user data, no query, no fragment. On one line, and printable."""
    try:
        return printable(bare(value)) + ("?…" if urlsplit(value).query else "")
    except ValueError:
        return HIDDEN


def store(value: str) -> str:
    """The URL of a store without user, password and query; whatever stands in a password that was not encoded.

    >>> store("postgresql://me:se/c#r?e@t@db/shop?sslmode=require")
    'postgresql://db/shop?…'
    """
    scheme, _, rest = value.partition("://")
    return url(f"{scheme}://{rest.rpartition('@')[2]}")


def trace(error: BaseException) -> str:
    """An exception and where it was raised, for a log: the lines of code, and the message made safe to show."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}: {text(error)}\n{frames}"


def hide(value: str, secrets: Iterable[str]) -> str:
    """A text in which no secret stands, be it plain, escaped for JSON, a URL or HTML, or with what is unseen inside.

    The text is read twice whatever the secrets are, as it stands and without its escapes; no pattern is made of one.
    """
    known = [secret for secret in secrets if len(secret) >= _MIN_SECRET]
    for pattern in (None, _ODD) if known else ():
        if pattern is None or pattern.search(value):
            reading = _Reading(value, pattern)
            spans = [span for secret in known for span in reading.spans(secret)]
            value = reading.replaced([(span, HIDDEN) for span in spans])
    return value


def holds(value: str, secrets: Iterable[str]) -> bool:
    """Whether one of these secrets stands in a text, in any way that `hide` finds."""
    return hide(value, secrets) != value


class _Reading:
    """A text as it reads with the escapes of `pattern` undone, and the way back to where its characters stand."""

    def __init__(self, raw: str, pattern: re.Pattern[str] | None) -> None:
        self.raw = raw
        self._pattern = pattern
        self.text = raw if pattern is None else pattern.sub(_undone, raw)

    def spans(self, secret: str) -> Iterator[tuple[int, int]]:
        """Where a secret stands in the text, which is spelt like the text itself."""
        plain = secret if self._pattern is None else self._pattern.sub(_undone, secret)
        if len(plain) < _MIN_READING:
            return
        start = self.text.find(plain)
        while start >= 0:
            yield start, start + len(plain)
            start = self.text.find(plain, start + len(plain))

    def replaced(self, spans: list[tuple[tuple[int, int], str]]) -> str:
        """The raw text with something else in place of spans of the reading; of those that overlap, the first one's."""
        if not spans:
            return self.raw
        starts, places = self._places()
        pieces, done, last = [], 0, 0
        for (start, end), safe in sorted(spans):
            if start >= last:
                number = bisect_right(starts, start) - 1  # behind what reads as nothing
                pieces += [self.raw[done : places[number] + start - starts[number]], safe]
            last = max(last, end)
            number = bisect_left(starts, last)  # before what reads as nothing
            number -= number == len(starts) or starts[number] != last
            done = places[number] + last - starts[number]
        return "".join([*pieces, self.raw[done:]])

    def _places(self) -> tuple[list[int], list[int]]:
        """Where each stretch between two escapes begins, in the reading and in the raw text."""
        starts, places = [0], [0]
        for match in self._pattern.finditer(self.raw) if self._pattern is not None else ():
            length = starts[-1] + match.start() - places[-1]
            starts += [length, length + len(_undone(match))]
            places += [match.start(), match.end()]
        return starts, places


def _undone(match: re.Match[str]) -> str:
    """What an escape stands for; nothing where it is a lone backslash or a character that is no ASCII."""
    return _read(match[0]) if len(match[0]) <= 6 else _of(match)


@lru_cache(maxsize=1024)
def _read(escape: str) -> str:
    """Short escapes repeat, all through a text."""
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
