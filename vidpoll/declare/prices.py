"""What a submit costs: from the table on the vendor's page, or from the vendor's response to a request."""

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
    """The price list of a submit, from the tables on the page `source`, as they were on the day `dated`.

    `by` are the fields (dotted paths) that select a row, in the order of the keys. A shorter key matches any values of
    the other fields, and a price may be a pair (low, high). Rows of `per_second` are multiplied by the field `seconds`,
    rows of `per_job` are not; both are multiplied by the field `jobs`, the number of videos of one submit. `defaults`
    has the vendor's values of fields that are not given; for `seconds` and `jobs` a pair means any value between. Any
    other missing field gives a price range over the rows that match. Without a matching row, or without the seconds,
    there is no price. Raises PluginError for an invalid table.

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
            raise PluginError(
                f"prices: a key of at most {len(by)} values needs a number or (low, high), got {key!r}: {value!r}"
            )
        rows.append(_Row(parts, float(low), float(high), timed))
    return rows


def _fits(key: Sequence[object], given: Sequence[object]) -> bool:
    """Whether a row may be the right one for these values; "720P" equals "720p"."""
    return all(value is None or _plain(value) == _plain(part) for part, value in zip(key, given, strict=False))


def _plain(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


def _span(value: object) -> tuple[float, float] | None:
    """The least and the most that a field may mean. A field is a number above 0, also as text ("8", "8s"), or a pair.

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
    """Request the price of a job. `body` makes the JSON from the submit's fields, without those in the line's holes.

    `amount` is the path of the price of one job, `currency` the path of its unit; without a unit there, it is `unit`.
    Equal requests are sent only once, so `body` should leave out, or replace, fields that do not change the price
    (prompts, seeds). A response without an amount is Refused ("not found"): the next price source then counts.

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
            raise Refused("not found", "the provider's response has no price for this job")
        return Price(cost, cost, find(data, currency, parsing.text) or unit, "estimate")

    return Operation(build, parse)
