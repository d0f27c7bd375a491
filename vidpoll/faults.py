"""What a bad answer means: bear it, believe it, or stop. Pure functions and one counter.

A *transient error* says nothing about the job and is borne. A *refusal* is asked once more and then told. *Missing*
(404) is believed after some confirmations. *Gone* (410) is the provider's word that the job has expired.
"""

from __future__ import annotations

import re
from datetime import timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from random import Random
from typing import NamedTuple

from .errors import Refused
from .model import Response, is_number
from .parsing import timestamp

CAP = 60.0
"""Seconds: the longest pause between two questions that faults alone can cause."""

LONGEST_HINT = 3600.0
"""Seconds: a hint is never followed for longer."""

PAGE_PATIENCE = 300.0
"""Seconds for which a page in the place of a 401, 403 or 451 is borne."""

GOOD_HINT = 60.0
"""Seconds: a hint on a good answer is not followed for longer."""

CONFIRMATIONS = 3
"""How many more 404 are needed before a job counts as not found."""

UNSEEN = 30.0
"""Seconds after a submit in which 404 only means "not visible yet"."""

_FROM_KIND = {
    "authentication": 401,
    "payment": 402,
    "permission": 403,
    "not found": 404,
    "conflict": 409,
    "invalid request": 400,
    "rate limit": 429,
    "server": 500,
}
_TO_KIND = {
    **{status: kind for kind, status in _FROM_KIND.items()},
    **dict.fromkeys((406, 411, 413, 414, 415, 421, 422, 426, 428, 431), "invalid request"),
}


class NoAnswer(Exception):
    """No whole answer came. `sent` is False only where it is certain that no byte of the request was sent."""

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


class Meaning(Enum):
    """What to do about a fault."""

    TRANSIENT = "transient error"
    REFUSAL = "refusal"
    MISSING = "missing"
    GONE = "gone"


class Fault(NamedTuple):
    """One answer that says nothing good. `hint` is how long the provider wants to be left alone, in seconds."""

    reason: str
    status: int | None = None
    code: str | None = None
    hint: float | None = None
    sent: bool = True
    details: object = None
    request_id: str | None = None
    page: bool = False
    """Whether it is no word of the API's own, but a page of something in between, or of another server."""
    target: str = ""
    """Where a redirect points that was not followed, without its query."""

    @property
    def meaning(self) -> Meaning:
        """Blip, refusal, missing or gone, by the HTTP status."""
        if self.page and self.status in (401, 403, 451):  # a bot check, say
            return Meaning.TRANSIENT
        if self.status in (400, 401, 402, 403, 407, 451):
            return Meaning.REFUSAL
        if self.status == 404:
            return Meaning.MISSING
        return Meaning.GONE if self.status == 410 else Meaning.TRANSIENT

    @property
    def kind(self) -> str:
        """The word of `errors.KINDS` for the HTTP status."""
        return _TO_KIND.get(self.status or 0, "invalid request" if self.status == 405 else "server")


def status_of(refused: Refused) -> int:
    """The HTTP status that a `Refused` stands for."""
    return _FROM_KIND[refused.kind]


_TELLING = frozenset(
    ("retry-after", "retry-after-ms", "openai-poll-after-ms", "x-ratelimit-remaining", "x-ratelimit-reset")
)


def tells_when(response: Response) -> bool:
    """Whether any header is there that `hint`, `exhausted` or `allowance` reads; most answers have none."""
    return not _TELLING.isdisjoint(response.headers)


def hint(response: Response, now: float) -> float | None:
    """How many seconds the provider wants us to wait, by any header that says so; None without a usable one.

    Reads `Retry-After` (RFC 9110, 10.2.3: seconds or an HTTP date; some send an ISO date), `retry-after-ms` and
    `openai-poll-after-ms`. `now` is Unix seconds. What cannot be read is dropped; nothing is longer than an hour.
    """
    found = [
        _milliseconds(response.header("retry-after-ms")),
        _milliseconds(response.header("openai-poll-after-ms")),
        _moment(response.header("retry-after"), now),
    ]
    usable = [min(seconds, LONGEST_HINT) for seconds in found if seconds is not None and seconds >= 0]
    return max(usable, default=None)


def _plain(value: str | None) -> float | None:
    if value is None or not re.fullmatch(r"\s*\d{1,15}(\.\d{1,9})?\s*", value):
        return None
    return float(value)


def _milliseconds(value: str | None) -> float | None:
    number = _plain(value)
    return None if number is None else number / 1000.0


def _moment(value: str | None, now: float) -> float | None:
    number = _plain(value)
    if number is not None or value is None:
        return number
    moment = timestamp(value) if value[:1].isdigit() else None
    if moment is None:
        try:
            parsed = parsedate_to_datetime(value)
            moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return max(0.0, moment - now) if is_number(moment) else None


def exhausted(response: Response, now: float) -> float | None:
    """How many seconds the whole account has no requests left: `X-RateLimit-Remaining: 0` until `X-RateLimit-Reset`.

    The reset is read as Unix seconds or milliseconds, or as seconds from now where it is too small for that.
    """
    return _reset(response, now) if _plain(response.header("x-ratelimit-remaining")) == 0.0 else None


def _reset(response: Response, now: float) -> float | None:
    reset = _plain(response.header("x-ratelimit-reset"))
    if reset is None:
        return None
    if reset >= 1e11:  # some count milliseconds
        reset /= 1000.0
    return min(max(0.0, reset - now) if reset > 1e9 else reset, LONGEST_HINT)


def allowance(response: Response, now: float) -> tuple[float, float] | None:
    """How many requests the account has left, and for how many seconds: `X-RateLimit-Remaining` and `-Reset`.

    None where one of the two is not told, or nothing is left (that is `exhausted`).
    """
    remaining = _plain(response.header("x-ratelimit-remaining"))
    seconds = _reset(response, now)
    return None if not remaining or not seconds else (remaining, seconds)


class FailureStreak:
    """Counts what a job has borne in a row. Times are seconds on the monotonic clock, passed in."""

    __slots__ = ("first_at", "in_a_row", "missing", "refusals")

    def __init__(self) -> None:
        self.good()

    def good(self) -> None:
        """A good answer came: everything starts anew."""
        self.in_a_row = 0
        self.first_at = 0.0
        self.refusals = 0
        self.missing = 0

    def bear(self, fault: Fault, at: float) -> None:
        """One more fault."""
        if self.in_a_row == 0:
            self.first_at = at
        self.in_a_row += 1
        self.refusals = self.refusals + 1 if fault.meaning is Meaning.REFUSAL else 0
        self.missing = self.missing + 1 if fault.meaning is Meaning.MISSING else 0

    def over(self, at: float, patience: float) -> bool:
        """Whether at least three faults in a row have lasted for `patience` seconds."""
        return self.in_a_row >= 3 and at - self.first_at >= patience

    def gap(self, floor: float, random: Random) -> float:
        """Seconds until the next try: full jitter up to `floor` doubled with each fault, at most a minute."""
        ceiling = min(floor * 2.0 ** min(self.in_a_row - 1, 16), max(CAP, floor))
        return max(floor, random.uniform(0.0, ceiling))
