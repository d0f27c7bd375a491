"""What a submit costs: as the table on the vendor's page has it, or as the vendor answers when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .. import parsing
from ..errors import PluginError, Refused
from ..model import Request, Response, is_number
from ..price import Price, PriceList
from ..provider import Operation
from .envelope import Envelope
from .lines import Line
from .paths import Where, check_where, find

_BARE = Envelope()

Amount = float | tuple[float, float]
Key = str | tuple[object, ...]

_ONE = (1.0, 1.0)


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
    `defaults` has what the vendor takes where a field is not given, for `seconds` and `jobs` a pair where it may be
    anything between. Another field that is not given makes a range of the rows that fit; without a row, or without the
    seconds, there is no price. Raises PluginError for what cannot be right.

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
        count = _span(told(fields, jobs)) if jobs else _ONE
        lasts = _span(told(fields, seconds)) if any(row.timed for row in meant) else _ONE
        if not meant or count is None or lasts is None:
            return None
        ends = [(row, lasts if row.timed else _ONE) for row in meant]
        low = min(row.low * times[0] for row, times in ends) * count[0]
        return low, max(row.high * times[1] for row, times in ends) * count[1]

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
    """Whether a row is one of those that may be meant; "720P" is "720p"."""
    return all(value is None or _plain(value) == _plain(part) for part, value in zip(key, given, strict=False))


def _plain(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


def _span(value: object) -> tuple[float, float] | None:
    """From the least to the most that a field may mean: a number above 0, also as text ("8", "8s"), or a pair.

    >>> _span("8s"), _span((4, 8)), _span("auto"), _span(-1)
    ((8.0, 8.0), (4.0, 8.0), None, None)
    """
    low, high = value if isinstance(value, tuple) and len(value) == 2 else (value, value)
    ends = _number(low), _number(high)
    return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


def _number(value: object) -> float | None:
    found = parsing.number(value.strip().removesuffix("s") if isinstance(value, str) else value)
    return found if found is not None and found > 0 else None


def estimate(
    line: str,
    body: Callable[[dict[str, Any]], Any],
    envelope: Envelope = _BARE,
    *,
    amount: Where,
    currency: Where = "",
    unit: str = "USD",
) -> Operation[Price]:
    """Ask what a job would cost: `body` makes the JSON of the fields of the submit, without those in the line's holes.

    `amount` is where the answer has the price of one job, `currency` where it names the unit, which else is `unit`.
    Equal questions are asked once, so `body` should leave out, or replace, what the price does not depend on (prompts,
    seeds). An answer without an amount is Refused ("not found"): the next source of a price counts then.

    >>> ask = estimate("POST /price/{model:path}", lambda fields: {"input": fields}, amount="usd")
    >>> ask.request({"model": "a/b", "duration": 5}).json, ask.parse(Response(200, {}, b'{"usd": "0.094"}'), "").high
    ({'input': {'duration': 5}}, 0.094)
    """
    made = Line(line)
    check_where(f"estimate {line!r} amount", amount)
    check_where(f"estimate {line!r} currency", currency)

    def build(fields: Mapping[str, Any]) -> Request:
        given = {name: value for name, value in fields.items() if value is not None}
        holes = {name: str(given.pop(name)) for name in made.names & given.keys()}
        return made.request(holes, json=body(given))

    def parse(response: Response, about: str) -> Price:
        data = envelope.open(response)
        cost = find(data, amount, parsing.number)
        if cost is None or cost < 0:
            raise Refused("not found", "the provider tells no price for such a job")
        return Price(cost, cost, find(data, currency, parsing.text) or unit, "estimate")

    return Operation(build, parse)
