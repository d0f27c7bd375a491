"""The values that cross a boundary: requests, responses, and what a response said. Frozen, and checked when built.

They have no other behaviour: no network, no clock, no state machine. Times are Unix seconds (UTC) as floats, sizes are
bytes, lengths of videos are seconds.
"""

from __future__ import annotations

import encodings.latin_1
import encodings.utf_8_sig
import encodings.utf_16
import encodings.utf_32  # noqa: F401 - codecs of responses: import now, later no file may be free
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from . import redact
from .errors import CATEGORIES, KINDS, BadReference, Malformed, PluginError, UsageError

_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PORTS = {"http": 80, "https": 443}
_CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}|md5:[0-9a-fA-F]{32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # a lone surrogate is valid JSON, but cannot be encoded
_NO_URL = re.compile(rf"{_CONTROL.pattern}|\ufffd")
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_NO_CHARSET = re.compile(
    r"(?i)idna|punycode|(?:raw.)?unicode.escape"
)  # Python has them; on a long body they take hours
_CHARSET = re.compile(r"(?i);\s*charset\s*=\s*[\"']?([\w.:-]{1,40})")


class State(str, Enum):
    """The state of a job: one of these six words. The provider's own word is the stage."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    def __str__(self) -> str:
        return self.value

    @property
    def final(self) -> bool:
        """True for the four states that a job never leaves."""
        return self not in (State.QUEUED, State.RUNNING)


def parse_reference(reference: str) -> tuple[str, str]:
    """Split `account:id` at its first colon. The id is opaque: it may hold colons and slashes.

    Raises BadReference, whose message shows how to write it.
    """
    if not isinstance(reference, str):
        raise BadReference(f"a reference must be text like 'magicoal:3f8a2d1b', got {type(reference).__name__}")
    account, colon, job_id = reference.partition(":")
    if not colon:
        shown = redact.text(reference, limit=80)
        like = f"magicoal:{shown if _ACCOUNT.fullmatch(shown) else '3f8a2d1b'}"
        like += f", or {shown}:ID if that is the account" * shown.isalpha()
        raise BadReference(f"{redact.quoted(reference)} is not a reference: write ACCOUNT:ID, like {like}")
    check_account_name(account)
    check_job_id(job_id, reference)
    return sys.intern(account), job_id  # ten thousand jobs of an account share its name


def check_account_name(name: str) -> None:
    """Raise BadReference unless `name` can be the name of an account: letters, digits, `_`, `-` and `.`."""
    if not isinstance(name, str) or not _ACCOUNT.fullmatch(name):
        said = "an account name: use letters, digits, '_', '-' and '.', like 'magicoal'"
        raise BadReference(f"{redact.quoted(name)} is not {said}")


def check_job_id(job_id: str, reference: str | None = None) -> None:
    """Raise BadReference unless `job_id`, alone or in a reference, can be the id of a job."""
    shown = reference or job_id
    if not isinstance(job_id, str) or not job_id.strip():
        raise BadReference(f"{redact.quoted(shown)} has no id: write ACCOUNT:ID with the id from the submit response")
    if not job_id.isprintable() or job_id != job_id.strip() or any(part in (".", "..") for part in job_id.split("/")):
        raise BadReference(
            f"{redact.quoted(shown)} is not a job id: remove invisible characters, outer spaces, '.' and '..'"
        )
    if LOST in job_id:
        raise BadReference(f"{redact.quoted(shown)} is not a job id: one of its characters could not be read")
    if job_id.startswith("//"):
        raise BadReference(f"{redact.quoted(shown)} is a URL: write ACCOUNT:ID with the id from the submit response")
    if len(job_id) > 2048:
        raise BadReference(f"{redact.quoted(shown, 40)} is not a job id: it has more than 2048 characters")


def same_id(one: str, other: str) -> bool:
    """Whether two texts are the same id. A UUID in them may be in upper or lower case."""
    return one == other or _UUID.sub(_lowered, one) == _UUID.sub(_lowered, other)


def _lowered(found: re.Match[str]) -> str:
    return found.group().lower()


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send, below the account's base URL.

    `path` starts with "/" and is already percent-encoded; a segment made from an id is never empty, "." or "..". A path
    that ends in "/" needs `slash=True`; otherwise an empty id would request the whole list. `query` is a tuple of
    (name, value) pairs. vidpoll serialises `json` and sends `body` unchanged; give only one. `host` is another https
    host of the vendor, one that the Provider names in `hosts`; `path` is then the whole path. The parser of a submit
    gets `about` as its second argument: the part of the call that the job's id needs. Raises PluginError, or
    BadReference for a bad `host` or an empty, "." or ".." segment.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    body: bytes | None = field(default=None, repr=False)
    slash: bool = field(default=False, repr=False)
    host: str = field(default="", repr=False)
    about: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.host and not _HOST.fullmatch(self.host):
            raise BadReference(f"Request host {redact.text(self.host, limit=80)!r}: must be a lower-case host name")
        if self.method not in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"):
            raise PluginError(f"Request method {self.method!r}: write GET, POST, PUT, PATCH, DELETE or HEAD")
        if not self.path.startswith("/") or "?" in self.path or "#" in self.path:
            raise PluginError(f"Request path {redact.text(self.path)!r}: must start with '/' and hold no '?' or '#'")
        if _CONTROL.search(self.path) or " " in self.path:
            raise PluginError(f"Request path {redact.text(self.path)!r}: percent-encode it (parsing.segment does)")
        path = self.path.removesuffix("/") if self.slash else self.path
        if self.path != "/" and any(unquote(part) in ("", ".", "..") for part in path.split("/")[1:]):
            raise BadReference(f"{redact.text(self.path)!r}: an id, or a part of it, must not be empty, '.' or '..'")
        if self.json is not None and self.body is not None:
            raise PluginError("Request has both json and body: give only one")

    @property
    def place(self) -> str:
        """The path, with the host before it if `host` is set."""
        return f"https://{self.host}{self.path}" if self.host else self.path


@dataclass(frozen=True, slots=True)
class Response:
    """A response: the status, the headers (names in lower case) and the whole body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", {str(k).lower(): str(v) for k, v in self.headers.items()})

    def header(self, name: str) -> str | None:
        """The value of a header (any case); None if it is missing."""
        return self.headers.get(name.lower())

    def text(self) -> str:
        """The body as text; never raises. A byte that cannot be decoded becomes U+FFFD (`model.LOST`).

        The encoding is that of a byte order mark or of the zeros of UTF-16 and UTF-32; else UTF-8 if the bytes are
        valid; else the charset of the Content-Type if Python knows it.
        """
        encoding = json.detect_encoding(self.body)
        try:
            return self.body.decode(encoding)
        except UnicodeDecodeError:
            named = _CHARSET.search(self.header("content-type") or "") if encoding == "utf-8" else None
        charset = named[1] if named else encoding
        try:
            return self.body.decode("utf-8" if _NO_CHARSET.fullmatch(charset) else charset, "replace")
        except (LookupError, UnicodeError):  # a charset that Python does not know, or not one of text
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises Malformed, never anything else.

        Control characters in a text (a raw line end) and bytes that cannot be decoded are accepted. A number with more
        digits than Python reads becomes None; so do NaN and Infinity, which are not JSON (RFC 8259, 6).
        """
        text = self.text().strip("\ufeff\0")  # a second byte order mark, and padding
        found, fault = _decoded(_JSON, text)
        if fault == "ValueError":  # perhaps a number with more digits than Python reads
            found, fault = _decoded(_JSON_OF_LONG_NUMBERS, text)
        if fault:  # raised here, so that no library exception that holds the body is chained to it
            raise Malformed(self._not_json(fault))
        return found

    def _not_json(self, fault: str) -> str:
        if not self.body.strip():
            return f"HTTP {self.status} with an empty body instead of JSON"
        coding = self.header("content-encoding")
        packed = coding and coding.strip().lower() not in ("identity", "gzip", "x-gzip", "deflate")  # inflated
        labelled = f" (content coding {redact.text(coding, limit=40)})" if packed else ""
        start = redact.text(self.text()[:4000], limit=60)
        return f"HTTP {self.status} with a body that is not JSON ({fault}){labelled}: {start!r}"


LOST = "\ufffd"
"""The replacement for a byte that could not be decoded. An id or URL that holds it is invalid."""


def _decoded(decoder: json.JSONDecoder, text: str) -> tuple[Any, str]:
    """The decoded text, and the name of the exception, or ""."""
    try:
        return decoder.decode(text), ""
    except (ValueError, RecursionError) as error:
        return None, type(error).__name__


def _no_constant(name: str) -> None:
    """Read NaN and Infinity as None."""


def _whole(digits: str) -> int | None:
    try:
        return int(digits)
    except ValueError:
        return None


_JSON = json.JSONDecoder(parse_constant=_no_constant, strict=False)
_JSON_OF_LONG_NUMBERS = json.JSONDecoder(parse_constant=_no_constant, parse_int=_whole, strict=False)


@dataclass(frozen=True, slots=True, repr=False)
class Asset:
    """One file of a job, with either a `url` or its `data`. A URL may be signed, so its query is never shown.

    A relative `url` is resolved at the account's origin; if it begins with "./", below the account's base URL. `kind`
    is "video", "thumbnail", "last_frame", "combined", "audio", "subtitle" or a word of the provider. `expires_at` is
    Unix seconds, `size` bytes. `data` holds the bytes if the response itself contained them. `checksum` is "sha256:hex"
    or "md5:hex". Raises PluginError.
    """

    url: str | None = None
    kind: str = "video"
    media_type: str | None = None
    expires_at: float | None = None
    size: int | None = None
    checksum: str | None = None
    data: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.url is None) == (self.data is None):
            raise PluginError("Asset: give either url or data")
        if isinstance(self.url, str):
            object.__setattr__(self, "url", self.url.strip())  # a trailing line end is not part of it
        if self.url is not None and (not isinstance(self.url, str) or not self.url or _NO_URL.search(self.url)):
            raise PluginError(f"Asset url {redact.text(self.url, limit=80)!r} is not a URL")
        if self.checksum is not None and not _CHECKSUM.fullmatch(str(self.checksum)):
            raise PluginError(f"Asset checksum {redact.text(self.checksum, limit=80)!r}: write sha256:hex or md5:hex")

    def __repr__(self) -> str:
        where = "data" if self.url is None else redact.url(self.url)
        return f"Asset({self.kind} {where})"


NO_REASON = "the provider gives no reason"
"""The message for a failed job whose response holds no reason."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a job or a request failed, in the provider's words, made safe to show (500 characters, one line, no keys).

    An empty `message` becomes "the provider gives no reason". `kind` is the key of `errors.KINDS` that the plugin
    declares ("money", say), or None. `charged`: whether the provider keeps money for it; None if unknown. Raises
    PluginError.
    """

    message: str = ""
    code: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kind: str | None = None
    charged: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", redact.text(self.message) or NO_REASON)
        if self.code is not None:
            object.__setattr__(self, "code", redact.text(self.code, limit=100))
        if self.kind is not None and self.kind not in KINDS:
            raise PluginError(f"Problem kind {self.kind!r}: must be one of {', '.join(KINDS)}")
        if not (self.charged is None or isinstance(self.charged, bool)):
            raise PluginError(f"Problem charged {self.charged!r}: must be True, False, or None if unknown")

    @property
    def category(self) -> str | None:
        """The class of failure that the plugin declares: one of `errors.CATEGORIES`, or None."""
        return self.kind if self.kind in CATEGORIES else None

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" if self.code and self.code not in self.message else self.message


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job cost: `charged` and `refunded` in `unit` ("credits", "USD" …). Raises PluginError.

    `how` is "reported" for each cost that a provider reports, and "estimated" if a batch takes the price of a row for
    its cost, because the provider reports none.
    """

    charged: float
    refunded: float = 0.0
    unit: str = "credits"
    how: Literal["reported", "estimated"] = "reported"

    def __post_init__(self) -> None:
        if not (is_number(self.charged) and is_number(self.refunded)):
            raise PluginError(f"Cost {redact.text((self.charged, self.refunded), limit=80)}: must be finite numbers")

    @property
    def net(self) -> float:
        """`charged` minus `refunded`, 0 or more."""
        return max(0.0, self.charged - self.refunded)

    def __str__(self) -> str:
        back = f", {amount(self.refunded)} refunded" if self.refunded else ""
        return f"{amount(self.charged)} {self.unit} charged{back}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one response said about a job.

    `stage` is the provider's own word (one line, at most 100 characters). `progress` is a percentage as it came; the
    job clamps it to 0 to 100. `created_at`, `updated_at`, `finished_at` are Unix seconds, `duration` is the video's
    length in seconds, `queue_position` counts from the front. `assets_due=False` says that this task makes no video.
    `job_id` is the id in the response, or None: a response about another job is refused. `raw` is the parsed body.
    Raises PluginError for a wrong type.
    """

    state: State
    stage: str | None = None
    progress: float | None = None
    assets: tuple[Asset, ...] = ()
    problem: Problem | None = None
    job_id: str | None = None
    created_at: float | None = None
    updated_at: float | None = None
    finished_at: float | None = None
    duration: float | None = None
    queue_position: int | None = None
    cost: Cost | None = None
    assets_due: bool = True
    raw: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        try:
            put(self, "state", State(self.state))
        except ValueError:
            raise PluginError(f"Snapshot state {self.state!r}: must be one of {', '.join(State)}") from None
        if self.stage is not None:
            put(self, "stage", as_stage(self.stage))
        for name in ("progress", "created_at", "updated_at", "finished_at", "duration", "queue_position"):
            value = getattr(self, name)
            if value is not None and not is_number(value):
                shown = redact.text(value, limit=60)
                raise PluginError(f"Snapshot {name} {shown!r}: must be a finite number or None (parsing has helpers)")
        if isinstance(self.job_id, str) and LOST in self.job_id:
            put(self, "job_id", None)
        put(self, "assets", tuple(self.assets))
        optional = [("problem", self.problem, Problem), ("cost", self.cost, Cost), ("job_id", self.job_id, str)]
        typed: list[tuple[str, object, type]] = [each for each in optional if each[1] is not None]
        for name, value, kind in typed + [("assets", asset, Asset) for asset in self.assets]:
            if not isinstance(value, kind):
                raise PluginError(f"Snapshot {name}: must be a {kind.__name__}, got {type(value).__name__}")

    @property
    def files_late(self) -> bool:
        """Whether the job is completed but its expected video is missing."""
        due = self.assets_due and not any(asset.kind == "video" for asset in self.assets)
        return self.state is State.COMPLETED and due


def as_stage(word: object) -> str:
    """A provider's word as a stage: one line, safe to show, at most 100 characters."""
    if isinstance(word, str) and len(word) <= 100 and not redact.is_hiding():
        return _short(word)
    return redact.text(word, limit=100, word=True)


@lru_cache(maxsize=256)
def _short(word: str) -> str:
    """`as_stage` of a short word; cached, because words repeat with each poll."""
    return redact.text(word, limit=100)


def amount(value: float) -> str:
    """An amount of money or videos as people write it: 5,200,000, not 5.2e+06."""
    return f"{value:,.12g}"


def span(seconds: float) -> str:
    """Seconds for people: "4 s", "3 min 20 s", "2 h 5 min"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def is_number(value: object) -> bool:
    """True for a finite int or float; False for a boolean, which Python counts as an int."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int of 400 digits is valid JSON, but not a float
        return False


@dataclass(frozen=True, slots=True)
class Submitted:
    """The response to a submit: the new job's id, unchanged, and what it says about the job. Raises Malformed."""

    job_id: str
    snapshot: Snapshot | None = None

    def __post_init__(self) -> None:
        try:
            check_job_id(self.job_id)
        except BadReference as error:
            raise Malformed(f"the submit response has no usable id: {error}") from None
        if not isinstance(self.snapshot, Snapshot):  # the job is paid for: its id counts, whatever else is wrong
            object.__setattr__(self, "snapshot", None)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: snapshots that name their `job_id`, and the token of the next page (None: the last page).

    `further` holds the tokens of the pages after the next one, in order, if the response gives them (pages by number):
    list polling then requests several pages at once. The first hundred of a long list are enough. Raises PluginError.
    """

    items: tuple[Snapshot, ...]
    next: str | None = None
    further: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        if not isinstance(self.further, (tuple, list)):
            raise PluginError(f"Page further {redact.text(self.further, limit=60)!r}: must be a tuple of tokens")
        object.__setattr__(self, "further", tuple(self.further))
        for token in (self.next, *self.further):
            if not (token is None or isinstance(token, str)):
                raise PluginError(f"Page: the token of a page must be text, got {type(token).__name__}")
        if any(item.job_id is None for item in self.items):
            raise PluginError("Page: every item must name its job_id")


@dataclass(frozen=True, slots=True)
class Quota:
    """What an account may still spend or make. None: the provider does not say.

    `limit`, `used` and `remaining` count videos. `reset_at` is Unix seconds. `balance` is money or credits, and
    `prices` maps a submit operation to the price of one job; both are in `unit` ("credits", "USD" …). `concurrency` is
    how many jobs may run at once.
    """

    plan: str | None = None
    limit: int | None = None
    used: int | None = None
    remaining: int | None = None
    reset_at: float | None = None
    balance: float | None = None
    unlimited: bool = False
    prices: Mapping[str, float] = field(default_factory=dict)
    unit: str = "credits"
    concurrency: int | None = None

    def affords(self, **jobs: int) -> bool:
        """Whether the account can pay for these jobs now: `quota.affords(i2v=2, t2v=1)`.

        The balance must suffice, and the videos left, unless the plan is unlimited. A number that the provider does not
        give is no obstacle. Raises UsageError for an operation without a known price, or for a bad count.
        """
        for kind, count in jobs.items():
            if kind not in self.prices:
                raise UsageError(f"no price is known for {kind!r}; known: {', '.join(self.prices) or 'none'}")
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise UsageError(f"affords({kind}={count!r}): must be a whole number, 0 or more")
        price = sum(self.prices[kind] * count for kind, count in jobs.items())
        paid = self.balance is None or price <= self.balance
        room = self.unlimited or self.remaining is None or sum(jobs.values()) <= self.remaining
        return paid and room


_PLAIN_ROOT = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?=[/?#]|\Z)")


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an http or https URL; the port is that of the scheme if the URL names none.

    Raises ValueError for any other URL, and for a URL with user data or a backslash.
    """
    root = _PLAIN_ROOT.match(url)  # the rest does not matter, and ten thousand jobs share the root
    return _origin(url if root is None else root[0])


@lru_cache(256)
def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or "\\" in parts.netloc:
        raise ValueError("not a plain http or https URL")  # a backslash: libraries disagree on where the host ends
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    return parts.scheme, parts.hostname.lower(), port


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response. `at` is Unix seconds; `status` is None if no response came, and `reason` says why.

    `body` is at most 2,048 characters, without keys and without the queries of URLs; `cut` is True if it was longer.
    """

    at: float
    method: str
    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = field(default="", repr=False)
    cut: bool = False
    reason: str | None = None
