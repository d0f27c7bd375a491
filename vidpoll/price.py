"""What a job will cost, before it is submitted: a price, and the price list that a plugin copies from its vendor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import redact
from .errors import PluginError, UsageError
from .model import amount, is_number

SOURCES = ("estimate", "quota", "documented", "history", "given")
"""Where a price comes from: the provider's estimate, the account's quota, the vendor's page, earlier jobs, the user."""

_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?")
_NUMBER = r"((?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+))"
_GIVEN = re.compile(rf"\s*{_NUMBER}(?:\s*(?:to|-)\s*{_NUMBER})?\s*([^\W\d_]+(?: [^\W\d_]+)*)\s*")


@dataclass(frozen=True, slots=True)
class Price:
    """What one job will cost: from `low` to `high` in `unit` ("USD", "credits" …). A budget reserves `high`.

    `source`: "estimate" (the provider's estimate for this job), "quota" (the account's quota), "documented" (the
    vendor's page, in the plugin), "history" (earlier jobs in the store), "given" (by the user). Raises PluginError.

    >>> str(Price(0.3, 0.45, "USD", "documented")), str(Price(50, 50, "credits", "quota"))
    ('0.30 to 0.45 USD', '50 credits')
    """

    low: float
    high: float
    unit: str
    source: str

    def __post_init__(self) -> None:
        if not (is_number(self.low) and is_number(self.high) and 0 <= self.low <= self.high):
            shown = redact.text((self.low, self.high), limit=80)
            raise PluginError(f"Price {shown}: must be two finite numbers from 0, the lower one first")
        if not isinstance(self.unit, str) or not self.unit.strip():
            raise PluginError(f"Price unit {redact.text(self.unit, limit=80)!r}: must be text like 'USD' or 'credits'")
        if self.source not in SOURCES:
            shown = redact.text(self.source, limit=80)
            raise PluginError(f"Price source {shown!r}: must be one of {', '.join(SOURCES)}")

    def __str__(self) -> str:
        low, high = (_money(each, self.unit) for each in (self.low, self.high))
        return f"{low} {self.unit}" if low == high else f"{low} to {high} {self.unit}"

    @classmethod
    def given(cls, text: str) -> Price:
        """Read a price that a user writes: "0.35 USD", "0.35USD", "0.30 to 0.45 USD". Raises UsageError.

        >>> Price.given("0.35USD")
        Price(low=0.35, high=0.35, unit='USD', source='given')
        """
        found = _GIVEN.fullmatch(text)
        if found is None or float(found[2] or found[1]) < float(found[1]):
            raise UsageError(f"{redact.text(text, limit=60)!r} is not a price: write '0.35 USD', or '0.30 to 0.45 USD'")
        return cls(float(found[1]), float(found[2] or found[1]), found[3], "given")


def _money(value: float, unit: str) -> str:
    """An amount as people write it; a currency has at least two decimals."""
    cents = re.fullmatch("[A-Z]{3}", unit) and round(value, 2) == round(value, 9)
    return f"{value:,.2f}" if cents else amount(round(value, 9))


@dataclass(frozen=True, slots=True)
class PriceList:
    """What a submit costs by the vendor's page. `of` is a pure function of the call's fields.

    `of` returns a number, a pair (low, high) if the price depends on more than the fields, or None if the page does not
    say. `unit` must be the unit of the jobs' cost. `dated` is when the page was read ("2026-11" or "2026-11-20"), and
    `source` is the page's address. `declare.prices` makes a PriceList from a table. Raises PluginError.
    """

    unit: str
    dated: str
    source: str
    of: Callable[[Mapping[str, Any]], float | tuple[float, float] | None]

    def __post_init__(self) -> None:
        if not isinstance(self.dated, str) or not _DATE.fullmatch(self.dated):
            raise PluginError(f"PriceList dated {self.dated!r}: must be when the page was read, like '2026-11-20'")
        if not isinstance(self.source, str) or not self.source.strip():
            raise PluginError(f"PriceList source {self.source!r}: must be the address of the vendor's page")
        if not callable(self.of):
            raise PluginError(f"PriceList of must be a function of the call's fields, got {type(self.of).__name__}")
        Price(0, 0, self.unit, "documented")

    def __call__(self, fields: Mapping[str, Any]) -> Price | None:
        """The price for these fields; None if the page does not say. Raises PluginError if `of` gives a bad price."""
        found = self.of(fields)
        if found is None:
            return None
        low, high = found if isinstance(found, tuple) else (found, found)
        return Price(low, high, self.unit, "documented")
