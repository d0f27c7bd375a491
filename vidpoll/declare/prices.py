"""What a submit costs, as the table on the vendor's page has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import parsing
from ..errors import PluginError
from ..model import is_number
from ..price import PriceList

Amount = float | tuple[float, float]
Key = str | tuple[object, ...]


def prices(
    unit: str,
    dated: str,
    source: str,
    *,
    by: Sequence[str] = ("model",),
    per_second: Mapping[Key, Amount] | None = None,
    per_job: Mapping[Key, Amount] | None = None,
    seconds: str = "duration",
    jobs: str = "",
    defaults: Mapping[str, object] | None = None,
) -> PriceList:
    """The price list of a submit, of the tables on the page `source`, as they were on the day `dated`.

    `by` are the fields (dotted paths) on whose values a row depends, in the order of the keys; a key that is shorter
    fits whatever the rest are, and a number may be a pair (low, high). Rows of `per_second` are multiplied by the
    field `seconds`, those of `per_job` are not; either by the field `jobs`, how many videos one submit makes.
    `defaults` has what the vendor takes where a field is not given. A field that is not known makes a range of the
    rows that fit; without a row, or without the seconds, there is no price. Raises PluginError for what cannot be
    right.

    >>> rates = {("sora-2",): 0.1, ("sora-2-pro", "1280x720"): 0.3, ("sora-2-pro", "1792x1024"): 0.5}
    >>> listed = prices("USD", "2026-11", "https://acme.example/pricing", by=("model", "size"), per_second=rates)
    >>> str(listed({"model": "sora-2", "duration": 8})), str(listed({"model": "sora-2-pro", "duration": "8"}))
    ('0.80 USD', '2.40 to 4.00 USD')
    """
    rows = [*_rows(per_second, by, timed=True), *_rows(per_job, by, timed=False)]
    preset = dict(defaults or {})

    def told(fields: Mapping[str, Any], name: str) -> Any:
        value = parsing.at(fields, name)
        return preset.get(name) if value is None else value

    def of(fields: Mapping[str, Any]) -> tuple[float, float] | None:
        given = [told(fields, name) for name in by]
        meant = [row for row in rows if _fits(row.key, given)]
        count = as_number(told(fields, jobs)) if jobs else 1.0
        lasts = as_number(told(fields, seconds)) if any(row.timed for row in meant) else 1.0
        if not meant or count is None or lasts is None:
            return None
        ends = [(row, lasts * count if row.timed else count) for row in meant]
        return min(row.low * times for row, times in ends), max(row.high * times for row, times in ends)

    return PriceList(unit, dated, source, of)


class _Row(NamedTuple):
    key: tuple[object, ...]
    low: float
    high: float
    timed: bool


def _rows(table: Mapping[Key, Amount] | None, by: Sequence[str], *, timed: bool) -> list[_Row]:
    rows = []
    for key, value in (table or {}).items():
        parts = key if isinstance(key, tuple) else (key,)
        low, high = value if isinstance(value, tuple) else (value, value)
        if len(parts) > len(by) or not (is_number(low) and is_number(high) and 0 <= low <= high):
            raise PluginError(f"prices {key!r}: {value!r}: a key of at most {len(by)} values, a number or (low, high)")
        rows.append(_Row(parts, float(low), float(high), timed))
    return rows


def _fits(key: Sequence[object], given: Sequence[object]) -> bool:
    """Whether a row is one of those that may be meant."""
    return all(value is None or value == part for part, value in zip(key, given, strict=False))


def as_number(value: object) -> float | None:
    """A number above 0, also as text ("8", "8s"); None for anything else ("auto", -1).

    >>> as_number("8s"), as_number("auto"), as_number(-1)
    (8.0, None, None)
    """
    try:
        found = float(value.strip().removesuffix("s")) if isinstance(value, str) else value
    except ValueError:
        return None
    return float(found) if is_number(found) and found > 0 and math.isfinite(found) else None  # type: ignore[operator,arg-type]  # a number
