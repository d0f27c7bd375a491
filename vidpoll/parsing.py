"""Helpers for authors of parsers, so that a parser is ten lines: strict about status words, forgiving about the rest.

All are functions on plain data. A missing or unknown status raises; an invalid time, progress or URL becomes None,
because none of those decides anything.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from . import markup, redact
from .errors import AnswerError, BadReference, InvalidField, Malformed, PluginError, UnknownStatus
from .model import LOST, Asset, Problem, Response, Snapshot, Submitted, is_number

T = TypeVar("T")
_MESSAGES = (
    "error.message", "message", "detail", "error", "error_msg", "msg", "title", "errors", "errorMessage",
    "error_message", "Message", "err_msg", "status_msg", "reason",
)  # fmt: skip
Rules = Mapping[str, tuple[str, Callable[[Any], object]]]
"""Maps the name of a field to what it must be, in words, and a test for it."""

_MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138
_LATEST = 253402300800.0  # the year 10000: datetime goes no further
# Texts are stripped before the match, and only the matched part is converted: float and int accept other characters as
# spaces than str.strip and \s do.
_WHOLE = re.compile(r"-?[0-9]{1,15}(\.0{1,9})?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_COUNT = re.compile(r"([+-]?[0-9]{1,19})(\.0{1,9})?")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%?")
_SECONDS = re.compile(r"([0-9]{10}|[0-9]{13})(\.[0-9]{1,9})?")
_PLAIN = re.IGNORECASE | re.ASCII
_SIGNED = r"[?&]X-(?:Amz|Goog|Oss|Tos)-{}(?=&|$)"  # the four kinds of presigned URL have the same two parameters
_MOMENT, _SIGNATURE = r"[?&]Expires=([0-9]{10})(?=&|$)", r"[?&]Signature=[^&]"


def json_object(response: Response, *path: str) -> dict[str, Any]:
    """The JSON object of the body, or the object under `path` in it. Raises Malformed for anything else."""
    value = response.json()
    for depth in range(len(path) + 1):
        if not isinstance(value, dict):
            where = ".".join(path[:depth]) or "the body"
            raise Malformed(f"HTTP {response.status}: {where} is not a JSON object but {type(value).__name__}")
        if depth < len(path):
            value = value.get(path[depth])
    return value  # type: ignore[no-any-return]  # the loop has checked it


def lookup(table: Mapping[Any, T], word: object) -> T:
    """The meaning of `word` in `table`. Text matches in any case; "1" and 1.0 match 1.

    Booleans never match a number (`True == 1`). Raises Malformed if there is no word, or if it cannot be read;
    UnknownStatus, which quotes the word, if the table does not list it.
    """
    if isinstance(word, float) and word.is_integer() and int(word) in table:
        word = int(word)
    if isinstance(word, bool) or not isinstance(word, (str, int)) or (word not in table and not str(word).strip()):
        raise Malformed(f"no status word: {redact.text(word, limit=60)!r}", wordless=True)
    if word in table:
        return table[word]
    if isinstance(word, str) and LOST in word:
        raise Malformed(f"a status word that cannot be read: {redact.text(word, limit=60)!r}", wordless=True)
    if isinstance(word, str) and (whole := _WHOLE.fullmatch(word.strip())) and int(float(whole[0])) in table:
        return table[int(float(whole[0]))]
    if isinstance(word, str):
        for known, meaning in table.items():
            if isinstance(known, str) and known.casefold() == word.strip().casefold():
                return meaning
    shown = redact.text(word, limit=60, word=True)
    raise UnknownStatus(f"unknown status {shown!r}; known: {', '.join(str(known) for known in table)}", word=shown)


def progress(value: object, *, full: float = 100.0) -> float | None:
    """A percentage from a number or a text like "54%"; use `full=1.0` for a provider that counts from 0 to 1.

    None for anything else (booleans, NaN, text without a number): progress may be absent and never decides anything.
    """
    if isinstance(value, str) and (told := _PERCENT.fullmatch(value.strip())):
        value = float(told[1])
    if not is_number(value):
        return None
    percent = float(value) * (100.0 / full)  # type: ignore[arg-type]  # is_number has checked it
    return percent if is_number(percent) else None


def number(value: object) -> float | None:
    """A finite number, or a number as text ("5.1": many providers quote them); None for all else, also for booleans."""
    if isinstance(value, str) and (told := _NUMBER.fullmatch(value.strip())):
        value = float(told[0])
    return float(value) if is_number(value) else None  # type: ignore[arg-type]  # is_number has checked it


def count(value: object) -> int | None:
    """A whole number of at most 63 bits (5.0 is one), also as text; None for all else, also for booleans."""
    if isinstance(value, str) and (told := _COUNT.fullmatch(value.strip())):
        value = int(told[1])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def timestamp(value: object) -> float | None:
    """Unix seconds from ISO 8601 text with a zone, Unix seconds or Unix milliseconds; None for anything else.

    The number may be text. Text without a zone gives None: no time is better than a time that may be eight hours off.
    """
    if isinstance(value, str) and (told := _SECONDS.fullmatch(value.strip())):
        value = float(told[0])
    if is_number(value):
        seconds = float(value)  # type: ignore[arg-type]  # is_number has checked it
        return _sensible(seconds / 1000.0 if seconds >= _MILLISECONDS_FROM else seconds)
    if not isinstance(value, str) or len(value) > 64:
        return None
    text = re.sub(r"[zZ]$", "+00:00", value.strip())
    text = re.sub(r"\.([0-9]{1,6})[0-9]*", lambda m: "." + m[1].ljust(6, "0"), text)  # Python 3.10 wants 3 or 6 digits
    try:
        moment = datetime.fromisoformat(text)
        return _sensible(moment.timestamp()) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _sensible(seconds: float) -> float | None:
    """None for values that mean "no time": 0, and the year 1, which some languages write instead."""
    return seconds if 0 < seconds < _LATEST else None


def first_of(data: Mapping[str, Any], *paths: str) -> Any:
    """The first value that exists and is not empty, by dotted paths: `first_of(body, "error.message", "message")`."""
    for path in paths:
        value: Any = data
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and value not in ("", [], {}):
            return value
    return None


def at(data: object, path: str) -> Any:
    """The value at a dotted path, unchanged; None if there is none. The path "" is `data` itself.

    A step may choose from a list: `videos[].url` is the list of all `url`, `videos[0].url` that of the first item,
    `outputs[type=video].url` the list of those whose `type` is "video". A value that is not a list counts as an empty
    list. Choices from several lists are joined into one list: `steps[].content[].url`.

    >>> at({"task": {"videos": [{"url": "/a.mp4"}, {"url": "/b.mp4"}]}}, "task.videos[].url")
    ['/a.mp4', '/b.mp4']
    """
    for place, (name, choice) in enumerate(_steps(path)):
        if name:
            data = data.get(name) if isinstance(data, dict) else None
        if choice is None:
            continue
        items = data if isinstance(data, list) else []
        if not choice.isdecimal():
            return _column(items, choice, ".".join(path.split(".")[place + 1 :]))
        data = items[int(choice)] if int(choice) < len(items) else None
    return data


def _column(items: list[Any], choice: str, rest: str) -> list[Any]:
    """The values at `rest` in each chosen item."""
    key, _, wanted = choice.partition("=")
    values = [at(item, rest) for item in items if not key or at(item, key) == wanted]
    if any(choice is not None and not choice.isdigit() for _, choice in _steps(rest)):
        values = [value for column in values for value in column]
    return [value for value in values if value is not None]


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[tuple[str, str | None], ...]:
    """The steps of a path: the name of a key, and the choice from the list there (None: not a list)."""
    steps = (step.rstrip("]").partition("[") for step in path.split(".") if step)
    return tuple((name, choice if bracket else None) for name, bracket, choice in steps)


def text(value: object) -> str | None:
    """Non-empty text, or a whole number as text (some providers number their jobs); None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**40 else None
    return value if isinstance(value, str) and value else None


def assets(value: object, kind: str = "video", **fields: Any) -> tuple[Asset, ...]:
    """Assets from a URL or a list of URLs. Anything else is left out, so that a strange field costs nothing."""
    urls = value if isinstance(value, list) else [value]
    found = []
    for url in urls:
        try:
            found.append(Asset(url if isinstance(url, str) else None, kind, **fields))
        except PluginError:
            continue
    return tuple(found)


_ENDINGS = {
    "video": "mp4 mov m4v webm mkv avi mpg mpeg ts gif",
    "image": "png jpg jpeg webp avif bmp tif tiff heic exr",
    "audio": "mp3 wav m4a aac flac ogg oga opus",
    "subtitle": "srt vtt ass",
}
_KINDS = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
_PICTURES = ("thumbnail", "last_frame")
_INLINE = re.compile(r"data:(\w+)/([\w.+-]+)(?:;[\w=.-]+)*;base64,")


def media(found: object, *, expires_at: float | None = None) -> tuple[Asset, ...]:
    """The files in a value: a URL, or a list or object of any depth that contains URLs.

    The kind of a file comes from the ending of its URL's path, else from the name of its field. If neither shows it,
    the file is a "video"; if its ending is an unknown one, a "file". An http or https URL counts, and so does a data:
    URL in base64, which is the file itself; other text is ignored. `expires_at` (Unix seconds) is for files whose URL
    names no end.

    >>> media({"clip": "https://a.example/1.mp4", "images": ["https://a.example/1.png"], "seed": 7})
    (Asset(video https://a.example/1.mp4), Asset(image https://a.example/1.png))
    """
    left: list[tuple[str, object]] = [("", found)]
    assets: list[Asset] = []
    while left:
        name, value = left.pop()
        if isinstance(value, Mapping):
            left += reversed([(str(key), each) for key, each in value.items()])
        elif isinstance(value, list):
            left += reversed([(name, each) for each in value])
        elif isinstance(value, str):
            assets += _medium(name, value.strip(), expires_at)
    return tuple(assets)


def _medium(name: str, text: str, expires_at: float | None) -> list[Asset]:
    """The file that a text names or holds, as a list of one; else an empty list."""
    inline = _INLINE.match(text)
    try:
        if inline:
            kind = inline[1] if inline[1] in _ENDINGS else "file"
            data = b64decode(text[inline.end() :], validate=True)
            return [Asset(data=data, kind=kind, media_type=f"{inline[1]}/{inline[2]}")]
        if re.fullmatch(r"(?i)https?://\S+", text):
            return [Asset(text, _kind(name, urlsplit(text).path), expires_at=expiry(text) or expires_at)]
    except (ValueError, PluginError):  # not base64, or not a URL
        pass
    return []


def _kind(name: str, path: str) -> str:
    ending = path.rpartition("/")[2].rpartition(".")[2].lower() if "." in path.rpartition("/")[2] else ""
    kind = _KINDS.get(ending, "file") if ending else name if name in _ENDINGS or name in _PICTURES else "video"
    return name if kind == "image" and name in _PICTURES else kind


def expiry(url: object) -> float | None:
    """When a presigned URL expires, in Unix seconds, by its query; None for any other URL.

    Reads AWS Signature 4 and its relatives, and the older signatures, which name the moment itself (OSS, CloudFront).

    >>> expiry("https://a.example/1.mp4?X-Amz-Date=20260101T000000Z&X-Amz-Expires=60") == 1767225660
    True
    >>> expiry("https://a.example/1.mp4?Expires=1767225660&OSSAccessKeyId=k&Signature=s") == 1767225660
    True
    """
    if not isinstance(url, str):
        return None
    moment = re.search(_MOMENT, url) if re.search(_SIGNATURE, url) else None
    if moment:
        return float(moment[1])
    date = re.search(_SIGNED.format(r"Date=(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z"), url, _PLAIN)
    seconds = re.search(_SIGNED.format(r"Expires=(\d{1,7})"), url, _PLAIN)
    signed = timestamp("{}-{}-{}T{}:{}:{}Z".format(*date.groups())) if date else None
    return signed + int(seconds[1]) if signed and seconds else None


def column(found: object, path: str) -> list[Any]:
    """The values at a dotted path in each object of a list: `assets(column(body.get("videos"), "url"))`.

    Missing values are left out; anything but a list gives an empty list.
    """
    items = found if isinstance(found, list) else []
    values = [first_of(item, path) for item in items if isinstance(item, Mapping)]
    return [value for value in values if value is not None]


def rows(found: object, read: Callable[[dict[str, Any]], Snapshot]) -> tuple[Snapshot, ...]:
    """The rows of a list that can be read and that name their job. An unreadable row is left out.

    Raises Malformed if `found` is not a list.
    """
    if not isinstance(found, list):
        raise Malformed(f"expected a list of jobs, got {type(found).__name__}")
    snapshots = []
    for row in found:
        try:
            snapshots.append(read(row if isinstance(row, dict) else {}))
        except AnswerError:
            continue
    return tuple(snapshot for snapshot in snapshots if snapshot.job_id)


def checked(what: str, fields: Mapping[str, object], rules: Rules) -> dict[str, Any]:
    """The fields of a call, checked before anything is sent. A field that is None counts as not given and is left out.

    `rules` maps each known field to what it must be, in words that name the way out, and a test for it. Raises
    InvalidField for an unknown field, with the known ones, and for a value that fails its test.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in given.items():
        if name not in rules:
            raise InvalidField(f"{what} takes no field {name!r}; it takes {', '.join(rules)}")
        must, holds = rules[name]
        if not holds(value):
            raise InvalidField(f"{name}={_shown(value)}: it must be {must}")
    return given


def _shown(value: object) -> str:
    try:
        return redact.text(repr(value), limit=40)
    except RecursionError:  # lists in lists in lists
        return f"{type(value).__name__}, nested too deep to show"


def submitted(job_id: object, snapshot: Callable[[], Snapshot] | None = None) -> Submitted:
    """The response to a submit: the id is read first, and nothing else in the response can raise.

    `snapshot` is called to read the rest of the response; if it raises, the response counts without a snapshot. Raises
    Malformed if there is no id.
    """
    identity = Submitted(text(job_id) or "")
    if snapshot is None:
        return identity
    try:
        return Submitted(identity.job_id, snapshot())
    except Exception:  # noqa: BLE001 - the job is paid for, and its id is known
        return identity


def segment(job_id: str, *, safe: str = "") -> str:
    """An id as one segment of a path, percent-encoded; `safe="/:"` for an id that is itself a path.

    Raises BadReference for an id, or a part of one, that is empty, "." or "..".
    """
    if any(part in ("", ".", "..") for part in (job_id.split("/") if "/" in safe else [job_id])):
        raise BadReference(f"{redact.text(job_id, limit=80)!r}: an id, or a part of it, must not be empty, '.' or '..'")
    try:
        return quote(job_id, safe=safe)
    except UnicodeEncodeError:  # a lone surrogate
        raise BadReference(f"{redact.text(job_id, limit=80)!r}: an id must not hold half a character") from None


def problem(response: Response) -> Problem:
    """What an error response says, in the envelopes that most providers use; never raises.

    Understands `{"error": {"message", "code", "details"}}`, `{"error": "text"}`, `{"message", "code"}`,
    `{"detail": …}`, the XML of file stores (`<Code>`, `<Message>`), plain text, and the title of a page.
    """
    fallback = Problem(f"HTTP {response.status}")
    try:
        data = response.json()
    except Malformed:
        return _no_json(response)
    if isinstance(data, str) and data:
        return Problem(data)
    if not isinstance(data, dict):
        return fallback
    message = first_of(data, *_MESSAGES)
    if isinstance(message, list) and message:  # the first of several
        first = message[0]
        message = first_of(first, *_MESSAGES) or first if isinstance(first, dict) else first
    if isinstance(message, dict) and message.keys() <= {"code", "type"}:  # no message; `code` holds the code
        message = None
    code = first_of(data, "error.code", "error.type", "code", "type")
    details = first_of(data, "error.details", "details", "data", "detail")
    return Problem(
        fallback.message if message is None or not str(message).strip() else str(message),
        code=text(code),
        details=details if isinstance(details, dict) else {} if details is None else {"details": details},
    )


def _no_json(response: Response) -> Problem:
    said = markup.read(response.text())
    if said is not None and (said.code or said.message):
        return Problem(said.message or said.code, code=said.code or None)
    if said is not None:
        return Problem(f"HTTP {response.status}: a page{f' «{said.title}»' if said.title else ''}")
    kind = (response.header("content-type") or "").split(";")[0].strip()
    if kind == "text/plain" and response.body.strip():
        return Problem(response.text()[:2000])
    return Problem(f"HTTP {response.status} without JSON ({kind or 'no content type'})")
