"""Parses the options of a batch that are text: a budget, prices, and `until`. Pure; the time is passed in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from statistics import median
from typing import NamedTuple

from .. import redact
from ..errors import UsageError
from ..model import Cost, amount
from ..number_check import comma_hint, without_comma
from ..price import Price
from .rows import Row

_MONEY = re.compile(r"([$€£])?\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z][A-Za-z _-]{0,30})?", re.ASCII)
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP"}
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?", re.ASCII)


class Money(NamedTuple):
    """An amount in one unit ("USD", "credits"). Amounts of two units are never added."""

    amount: float
    unit: str

    def __str__(self) -> str:
        return f"{amount(round(self.amount, 6))} {self.unit}"


def unit_of(text: str) -> str:
    """A unit in one spelling: "usd" is USD, "credit" credits."""
    word = " ".join(text.split())
    if re.fullmatch(r"[A-Za-z]{3}", word, re.ASCII):
        return word.upper()
    return "credits" if word.casefold() in ("credit", "credits") else word


def _money(text: object) -> Money | None:
    found = _MONEY.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or bool(found[1]) == bool(found[3]):
        return None
    return Money(float(found[2]), _SIGNS[found[1]] if found[1] else unit_of(found[3]))


def _comma(text: object) -> str:
    """A hint for an amount with a comma in its number."""
    number = re.search(r"[0-9][0-9.,]*", text) if isinstance(text, str) else None
    if number is None:
        return ""
    ways = [number.string.replace(number[0], way, 1) for way in without_comma(number[0])]
    return comma_hint([repr(way) for way in ways if (found := _money(way)) and found.amount > 0])


def parse_budget(text: object) -> Money:
    """`"40 USD"` or `"4000 credits"`. Raises UsageError."""
    found = _money(text)
    if found is None or not found.amount > 0:
        raise UsageError(
            "budget must be an amount above 0 with its unit, like '40 USD' or '4000 credits', "
            f"got {_shown(text)}{_comma(text)}"
        )
    return found


def parse_prices(prices: object) -> dict[tuple[str, str], Price]:
    """`{"kling/text2video": "0.35USD"}` as prices by account and kind. Raises UsageError."""
    if not isinstance(prices, Mapping):
        raise UsageError(f"price must be a dict like {{'kling/text2video': '0.35USD'}}, got {_shown(prices)}")
    return {_place(place): parse_price(_shown(place), said) for place, said in prices.items()}


def _place(place: object) -> tuple[str, str]:
    account, _, kind = place.partition("/") if isinstance(place, str) else ("", "", "")
    if not (account.strip() and kind.strip()):
        raise UsageError(f"price {_shown(place)} must name ACCOUNT/KIND, like 'kling/text2video'")
    return account.strip(), kind.strip()


def parse_price(what: str, said: object, instead: str = "") -> Price:
    """`"0.35USD"` as the price of `what`. `instead`: the other values that the caller takes. Raises UsageError."""
    found = _money(said)
    if found is None:
        must = f"must be an amount with its unit, like '0.35USD'{instead}"
        raise UsageError(f"price of {what} {must}, got {_shown(said)}{_comma(said)}")
    return Price(found.amount, found.amount, found.unit, "given")


def _shown(value: object) -> str:
    return redact.text(repr(value), limit=60)


# -- the ladder of prices ---------------------------------------------------------------------------------------------

Rung = Callable[[Row], "Price | None"]
"""A source that may know the price of a row."""


def price_of(row: Row, ladder: Iterable[Rung]) -> Price | None:
    """The price from the first source that has one; None if it is unknown, which is never a price of 0."""
    return next((price for rung in ladder if (price := rung(row)) is not None), None)


def listed(prices: Mapping[tuple[str, str], Price]) -> Rung:
    """A source of prices by account and kind: given prices, those of a quota, those of earlier jobs."""
    return lambda row: prices.get((row.account, row.kind))


def learnt(costs: Sequence[Cost]) -> Price | None:
    """The price from the costs of earlier jobs, the latest last: their median to their maximum; None without costs."""
    if not costs:
        return None
    nets = [cost.net for cost in costs if unit_of(cost.unit) == unit_of(costs[-1].unit)]
    return Price(median(nets), max(nets), unit_of(costs[-1].unit), "history")


# -- until when -------------------------------------------------------------------------------------------------------


def parse_until(until: object, now: float, tz: tzinfo | None = None) -> float:
    """Unix seconds of `"07:00"` (the next time that clocks show it) or of a date and time in ISO 8601.

    `now` is in Unix seconds; `tz` is the zone of the clock, None for this machine's. Raises UsageError.
    """
    clock = _CLOCK.fullmatch(until.strip()) if isinstance(until, str) else None
    if clock:
        return _next(int(clock[1]), int(clock[2]), int(clock[3] or 0), now, tz)
    try:
        found = until if isinstance(until, datetime) else datetime.fromisoformat(_iso(until))
    except ValueError:
        raise UsageError(
            f"until must be a time of day like '07:00', or a date and time like '2027-03-01T07:00', got {_shown(until)}"
        ) from None
    at = _seconds(found, tz)
    if at <= now:
        raise UsageError(f"until must be in the future, got {_shown(until)}")
    return at


def _iso(until: object) -> str:
    if not isinstance(until, str) or not re.search(r"[T ][0-9]{2}:[0-9]{2}", until):  # a date alone says no time
        raise ValueError("no text with a time in it")
    return re.sub(r"[Zz]$", "+00:00", until.strip())  # which Python 3.10 does not read


def _next(hour: int, minute: int, second: int, now: float, tz: tzinfo | None) -> float:
    """The first moment after `now` at which clocks show this time; when clocks are put back, both moments count."""
    today = datetime.fromtimestamp(now, tz).replace(tzinfo=None, microsecond=0)
    days = (today.replace(hour=hour, minute=minute, second=second, fold=0) + timedelta(days=day) for day in range(3))
    moments = (_seconds(day.replace(fold=fold), tz) for day in days for fold in (0, 1))
    return next(each for each in moments if each > now)


def _seconds(moment: datetime, tz: tzinfo | None) -> float:
    """Unix seconds of a moment; without a zone, it is in `tz`."""
    aware = moment.replace(tzinfo=tz) if moment.tzinfo is None and tz is not None else moment
    return aware.astimezone(timezone.utc).timestamp()
