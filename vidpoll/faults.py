"""What a bad response means: tolerate it, believe it, or stop. Pure functions and one counter.

A *transient error* says nothing about the job, and the wait continues. A *refusal* is raised if one more poll gives it
again. *Missing* (404) is believed after some confirmations. *Gone* (410) means that the job has expired.
"""

from __future__ import annotations

import re
from datetime import timezone
from email.utils import parsedate_to_datetime
from random import Random
from typing import NamedTuple

from .blame import Meaning as Meaning  # noqa: PLC0414 - modules that use a Fault also use its meaning
from .blame import of_status
from .errors import CATEGORIES, KINDS, Malformed, PermissionDenied, ProviderError
from .model import Response, is_number
from .parsing import timestamp

CAP = 60.0
"""Seconds: the longest pause between two requests to an account with faults."""

JOB_CAP = 15.0
"""Seconds: faults alone never make the pause between two polls of a job longer than this, or than two floors."""

LONGEST_HINT = 3600.0
"""Seconds: a hint is never followed for longer."""

PAGE_PATIENCE = 300.0
"""Seconds for which a wait tolerates a page as the body of a 401, 403 or 451."""

GOOD_HINT = 60.0
"""Seconds: a hint on a good response is not followed for longer."""

CONFIRMATIONS = 3
"""How many more 404 responses are needed before a job counts as not found."""

UNSEEN = 30.0
"""Seconds after a submit in which 404 only means "not visible yet"."""

_FROM_KIND = {
    "auth": 401,
    "money": 402,
    "permission": 403,
    "not found": 404,
    "conflict": 409,
    "expired": 410,
    **dict.fromkeys(("input", "moderated_input", "moderated_output"), 400),
    **dict.fromkeys(("rate", "capacity", "quota"), 429),
    **dict.fromkeys(("internal", "unknown"), 500),
}
_TO_KIND = {
    **{_FROM_KIND[kind]: kind for kind in ("auth", "money", "not found", "conflict", "expired", "rate")},
    403: "auth",
    **dict.fromkeys((400, 405, 406, 411, 413, 414, 415, 421, 422, 426, 428, 431), "input"),
}


class NoAnswer(Exception):
    """No complete response came. `sent` is False only if certainly no byte of the request was sent."""

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


class Misconfigured(NoAnswer):
    """Something is wrong on this machine, and nothing was sent. Sending the request again would not help."""

    def __init__(self, reason: str, *, sent: bool = False) -> None:
        super().__init__(reason, sent=sent)


class Fault(NamedTuple):
    """A response without usable content, or no response. `hint`: seconds to wait as the provider asked, or None."""

    reason: str
    status: int | None = None
    code: str | None = None
    hint: float | None = None
    sent: bool = True
    details: object = None
    request_id: str | None = None
    page: bool = False
    """Whether it is not from the API, but a page of a server in between or of another server."""
    target: str = ""
    """The target of a redirect that was not followed, without its query."""
    local: bool = False
    """Whether the fault is on this machine."""
    declared: str | None = None
    """The key of `errors.KINDS` that the plugin declares for the fault, or None."""
    charged: bool | None = None
    """Whether the provider keeps money for it; None if unknown."""

    @property
    def meaning(self) -> Meaning:
        """A transient error, a refusal, missing or gone, by HTTP status; or a fault of this machine."""
        if self.local:
            return Meaning.LOCAL
        return Meaning.TRANSIENT if self._is_bot_check else of_status(self.status).wait

    @property
    def _is_bot_check(self) -> bool:
        return self.page and self.status in (401, 403, 451)

    @property
    def kind(self) -> str:
        """The declared key of `errors.KINDS`, else that of the HTTP status."""
        status = self.status or 0
        return self.declared or _TO_KIND.get(status, "internal" if 500 <= status < 600 else "unknown")

    @property
    def error(self) -> type[ProviderError]:
        """The error class for this fault. A key without permission differs from a wrong key."""
        return PermissionDenied if self.kind == "auth" and self.status == 403 else KINDS[self.kind]

    @property
    def category(self) -> str | None:
        """The class of failure; None if neither the plugin nor the HTTP status shows it."""
        return self.kind if self.kind in CATEGORIES and not self._is_bot_check else None


def status_of(kind: str, status: int = 200) -> int:
    """The HTTP status for a key of `errors.KINDS`; the status of the response if it means the same."""
    meant = _FROM_KIND[kind]
    return status if status >= 300 and _FROM_KIND[Fault("", status).kind] == meant else meant


_PASSED_ON = "llm_provider-"
"""The prefix that LiteLLM puts before the headers of the provider behind it."""

_MILLISECONDS = ("retry-after-ms", "openai-poll-after-ms")
_HINTS = ("retry-after", *_MILLISECONDS)
_RATES = ("x-ratelimit-", "ratelimit-")
_TELLING = frozenset(
    (
        *_HINTS,
        *(_PASSED_ON + name for name in _HINTS),
        *(prefix + name for prefix in _RATES for name in ("remaining", "reset")),
    )
)


def tells_when(response: Response) -> bool:
    """Whether a response has anything that `hint`, `exhausted` or `allowance` reads; most have nothing."""
    return response.status == 429 or not _TELLING.isdisjoint(response.headers)


def hint(response: Response, now: float) -> float | None:
    """How many seconds the provider wants vidpoll to wait: the longest of its hints; None without a usable hint.

    Reads `Retry-After` (RFC 9110, 10.2.3), `retry-after-ms` and `openai-poll-after-ms`, also as LiteLLM passes them on
    (`llm_provider-retry-after`), and `retry_after` in the JSON object of a 429 (Replicate). `_span` lists the formats.
    `now` is Unix seconds. An unreadable hint is dropped; a hint is at most an hour.
    """
    found = [
        _longest(response.header(prefix + name), now, unit=0.001 if name in _MILLISECONDS else 1.0)
        for prefix in ("", _PASSED_ON)
        for name in _HINTS
    ]
    if response.status == 429:
        found.append(_longest(_in_body(response), now))
    return max((seconds for seconds in found if seconds is not None), default=None)


def _in_body(response: Response) -> str | None:
    """`retry_after` of a JSON object, as text."""
    try:
        body = response.json()
    except Malformed:
        return None
    told = body.get("retry_after") if isinstance(body, dict) else None
    return str(told) if isinstance(told, str) or is_number(told) else None


_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_COUNTED = re.compile(rf"({_NUMBER.pattern})[ \t]?(ms|s|m|h)", re.IGNORECASE | re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BETWEEN = re.compile("".join(f"(?<!{day})" for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "day")) + ",")
"""A comma between the values of several header lines, but not the comma after the day of a date."""

_LONGEST_TEXT = 200  # characters: a longer header is ignored


def _longest(value: str | None, now: float, *, unit: float = 1.0) -> float | None:
    """The longest time in a header, in seconds. Several lines of the header arrive joined by commas."""
    if value is None or len(value) > _LONGEST_TEXT:
        return None
    found = (_span(each, now, unit) for each in (value, *_BETWEEN.split(value)))
    return max((min(seconds, LONGEST_HINT) for seconds in found if seconds is not None), default=None)


def _span(value: str, now: float, unit: float) -> float | None:
    """Seconds from `now`: read from a number of units, a number with its own units ("1m30s"), or a moment.

    A moment is an HTTP date, an ISO date, or a number too large to be a duration: Unix seconds (from 1e9) or
    milliseconds (from 1e12). A moment in the past is 0. None for an unreadable value.
    """
    value = value.strip()
    if _NUMBER.fullmatch(value):
        number = float(value)
        moment = number / 1000.0 if number >= 1e12 else number if number >= 1e9 else None
        return number * unit if moment is None else max(0.0, moment - now)
    counted = _COUNTED.findall(value)
    if counted and not _COUNTED.sub("", value).strip():
        return sum(float(number) * _UNITS[name.lower()] for number, name in counted)
    moment = timestamp(value) if value[:1].isdecimal() else None
    moment = date(value) if moment is None else moment
    return None if moment is None or not is_number(moment) else max(0.0, moment - now)


def date(value: str) -> float | None:
    """The Unix second of an HTTP date; None for anything else."""
    try:
        parsed = parsedate_to_datetime(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()
    except Exception:  # noqa: BLE001 - the parser is not ours, and no header may end a wait
        return None


def exhausted(response: Response, now: float) -> float | None:
    """For how many seconds the account has no requests left: `X-RateLimit-Remaining: 0` until `X-RateLimit-Reset`.

    Both headers may lack the `X-`. The reset is read like `Retry-After`.
    """
    reset = _rate(response, "reset")
    return None if reset is None or _remaining(response) != 0.0 else _longest(reset, now)


def allowance(response: Response, now: float) -> tuple[float, float] | None:
    """How many requests the account has left, and for how many seconds: `X-RateLimit-Remaining` and `-Reset`.

    None if one of the two is missing, or if no request is left (see `exhausted`).
    """
    reset = _rate(response, "reset")
    if reset is None:
        return None
    remaining, seconds = _remaining(response), _longest(reset, now)
    return None if not remaining or not seconds else (remaining, seconds)


def _remaining(response: Response) -> float | None:
    """How many requests are left; the smallest number if there are several limits."""
    found = [each.strip() for each in (_rate(response, "remaining") or "")[:_LONGEST_TEXT].split(",")]
    return min((float(each) for each in found if _NUMBER.fullmatch(each)), default=None)


def _rate(response: Response, name: str) -> str | None:
    """The header of a rate limit, with or without `X-`."""
    return next(filter(None, (response.header(prefix + name) for prefix in _RATES)), None)


class FailureStreak:
    """Counts the faults of a job in a row. Times are seconds on the monotonic clock, passed in."""

    __slots__ = ("first_at", "in_a_row", "missing", "refusals")

    def __init__(self) -> None:
        self.good()

    def good(self) -> None:
        """A good response came: reset all counts."""
        self.in_a_row = 0
        self.first_at = 0.0
        self.refusals = 0
        self.missing = 0

    def bear(self, fault: Fault, at: float) -> None:
        """Count one more fault."""
        if self.in_a_row == 0:
            self.first_at = at
        self.in_a_row += 1
        self.refusals = self.refusals + 1 if fault.meaning is Meaning.REFUSAL else 0
        self.missing = self.missing + 1 if fault.meaning is Meaning.MISSING else 0

    def over(self, at: float, patience: float) -> bool:
        """Whether at least three faults in a row have lasted for `patience` seconds."""
        return self.in_a_row >= 3 and at - self.first_at >= patience

    def gap(self, floor: float, random: Random, longest: float = CAP) -> float:
        """Seconds until the next try: full jitter up to `floor` doubled with each fault, at most `longest` seconds."""
        ceiling = min(floor * 2.0 ** min(self.in_a_row - 1, 16), max(longest, floor))
        return max(floor, random.uniform(0.0, ceiling))
