"""What a batch will do, before anything is sent: the rows to buy, their cost, and when they will be done. Pure.

A plan is made from the rows, the store's records of them, and facts about the accounts; it sends no request.
"""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from math import ceil
from typing import NamedTuple, Protocol

from .. import shell
from ..errors import UsageError
from ..model import amount
from ..price import Price
from . import keys
from .options import Money, unit_of
from .rows import Row, RowProblem

WIDTH = 80
"""Columns of a plan's text."""

STATES = ("new", "waiting", "running", "unknown", "completed", "failed")
"""The states of rows, in the order in which they are printed."""

_STANDS = {"submitting": "running", "ended": "running"}
"""The store's words for rows that count as running here: being sent, or ended but not settled."""

_ROUNDING = 1e-9


class Begun(Protocol):
    """The store's record of a row that was begun (`storage.records.KeptRow`)."""

    @property
    def digest(self) -> str: ...
    @property
    def state(self) -> str: ...


class Lane(NamedTuple):
    """Facts about an account: most jobs at once, seconds that a job takes (fewest, most), and its balance.

    `wrong` is why nothing can be sent to it, like a missing key.
    """

    slots: int = 3
    typical: tuple[float, float] | None = None
    balance: Money | None = None
    wrong: str = ""


class Changed(NamedTuple):
    """A row whose key was begun with other fields; `fields` are those that differ, `state` is the row's state."""

    key: str
    place: str
    fields: tuple[str, ...]
    state: str


class Share(NamedTuple):
    """The rows to buy at one account, priced in one unit of money; an empty `unit` means that they have no price."""

    account: str
    unit: str
    rows: int
    low: float
    high: float
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a batch will do. `str(plan)` describes it in lines of 80 columns, `one_line()` in one line.

    In `str(plan)` a problem is one line of any length, so that a command in it can be copied.

    `counts` gives the number of new, waiting, running, unknown, completed and failed rows. `buy` are the rows to buy;
    `allowed` are the keys of those that the budget and the limit allow at their upper prices. `spent` is the amount
    that the batch has spent and reserved, in the budget's unit. `finish` is the earliest and the latest Unix second at
    which all allowed and running rows will be done; None if unknown. `gone` are keys that were begun but are no longer
    in the input: their jobs continue. `problems` says why the batch may not begin; empty if it may.

    `shares` has an entry for each account and unit of the rows to buy: `account`, `unit` ("" without a price), `rows`,
    `low` and `high` (amounts for all of them) and `sources` of the prices. `lanes` maps each account to its `slots`
    (most jobs at once), `typical` (fewest and most seconds of a job, or None), `balance` (Money or None) and `wrong`
    (why nothing can be sent). `changed` are rows begun with other fields: `key`, `place`, `fields` (names of those that
    differ) and `state`. A problem has `place` ("row 7"), `column` ("" for the whole row) and `message`.
    """

    name: str
    counts: Mapping[str, int]
    buy: tuple[Row, ...] = field(repr=False)
    allowed: frozenset[str] = field(repr=False)
    shares: tuple[Share, ...]
    lanes: Mapping[str, Lane]
    changed: tuple[Changed, ...] = ()
    gone: tuple[str, ...] = ()
    budget: Money | None = None
    spent: float = 0.0
    limit: int | None = None
    now: float = 0.0
    until: float | None = None
    tz: tzinfo | None = None
    finish: tuple[float, float] | None = None
    problems: tuple[RowProblem, ...] = ()

    @property
    def in_time(self) -> bool | None:
        """Whether all will be done before `until`; None if that is uncertain, or if there is no `until`."""
        if self.until is None or self.finish is None or self.finish[0] <= self.until < self.finish[1]:
            return None
        return self.finish[1] <= self.until

    def one_line(self) -> str:
        """The plan on one line, as printed before a run."""
        states = [f"{number:,} {state}" for state, number in self.counts.items() if number]
        parts = [f"{self.name}: {_rows(sum(self.counts.values()))} ({', '.join(states) or 'none'})"]
        if self.buy:
            totals = self._totals()
            money = " and ".join(_cost(each) if each.unit else f"{each.rows:,} without a price" for each in totals)
            bound = f", {len(self.allowed):,} of them allowed" if len(self.allowed) < len(self.buy) else ""
            for_money = f"for {money}" if any(each.unit for each in totals) else "without a known price"
            parts.append(f"to buy {len(self.buy):,} {for_money}{bound}")
        return "; ".join([*parts, *([f"done {self._finish()}"] if self.finish else [])])

    def _totals(self) -> list[Share]:
        """The shares of all accounts by unit; the share without a price is last."""
        units = sorted({each.unit for each in self.shares}, key=lambda unit: (not unit, unit))
        parts = ([each for each in self.shares if each.unit == unit] for unit in units)
        return [
            Share("", part[0].unit, sum(p.rows for p in part), sum(p.low for p in part), sum(p.high for p in part), ())
            for part in parts
        ]

    def __str__(self) -> str:
        lines = (_wrapped(f"  {label:<8}{text}") for label, text in self._lines())
        wrong = (f"  {'wrong':<8}{problem}" for problem in self.problems)
        return "\n".join([f"{self.name}: {_rows(sum(self.counts.values()))}", *lines, *wrong])

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "rows", ", ".join(f"{number:,} {state}" for state, number in self.counts.items() if number) or "none"
        yield "to buy", f"{len(self.buy):,}"
        for share in self.shares:
            yield "", self._share(share)
        if self.budget:
            left = Money(max(self.budget.amount - self.spent, 0.0), self.budget.unit)
            spent = Money(self.spent, self.budget.unit)
            yield "budget", f"{self.budget}: {spent} spent or reserved, {left} left"
            yield "", "counted at upper prices: only a job that costs more than its upper price can exceed it"
        if self.limit is not None:
            yield "limit", f"{self.limit:,} jobs, {self._bought():,} bought"
        if len(self.allowed) < len(self.buy):
            yield "", f"that allows {len(self.allowed):,} of {len(self.buy):,}; the others wait"
        if self.finish:
            yield "done", self._finish()
        elif self.allowed:
            yield "done", "unknown, because no typical duration of these jobs is known"
        for changed in self.changed:
            yield "changed", f"{changed.key} ({changed.state}): {', '.join(changed.fields) or 'account or kind'}"
        if self.gone:
            more = f" and {len(self.gone) - 5:,} more" if len(self.gone) > 5 else ""
            yield "gone", f"no longer in the input, not cancelled: {', '.join(self.gone[:5])}{more}"

    def _share(self, share: Share) -> str:
        lane = self.lanes.get(share.account, Lane())
        price = f"for {_cost(share)} ({', '.join(share.sources)})" if share.unit else "without a known price"
        takes = f", {_span(lane.typical[0])} to {_span(lane.typical[1])} each" if lane.typical else ""
        short = lane.balance and unit_of(lane.balance.unit) == share.unit and lane.balance.amount < share.high
        balance = f", balance {lane.balance}{', which may not pay for all' if short else ''}" if lane.balance else ""
        wrong = f"; will not be sent: {lane.wrong}" if lane.wrong else ""
        return f"{share.account}: {share.rows:,} {price}, {lane.slots} at once{takes}{balance}{wrong}"

    def _bought(self) -> int:
        return sum(self.counts[state] for state in _BOUGHT)

    def _finish(self) -> str:
        first, last = self.finish or (0.0, 0.0)
        told = f"{self._clock(first)} to {self._clock(last)}"
        if self.until is None:
            return told
        word = {True: "before", False: "not before", None: "perhaps not before"}[self.in_time]
        return f"{told}, {word} {self._clock(self.until)}"

    def _clock(self, at: float) -> str:
        moment, today = datetime.fromtimestamp(at, self.tz), datetime.fromtimestamp(self.now, self.tz)
        return moment.strftime("%H:%M" if moment.date() == today.date() else "%Y-%m-%d %H:%M")


_BOUGHT = ("completed", "running", "unknown")


def make_plan(
    name: str,
    rows: Sequence[Row],
    kept: Mapping[str, Begun],
    *,
    prices: Mapping[str, Price | None],
    lanes: Mapping[str, Lane],
    now: float,
    tz: tzinfo | None = None,
    budget: Money | None = None,
    spent: float = 0.0,
    limit: int | None = None,
    until: float | None = None,
    changed: str | None = None,
    retry_failed: bool = False,
) -> Plan:
    """The plan of a batch. `kept` and `prices` are by the keys of rows, `lanes` by account; times are Unix seconds.

    A row that was begun with other fields is bought with the new ones if it waits or failed. If it is bought already,
    `changed="keep"` leaves it, `changed="again"` buys a completed one again, and None makes it a problem of the plan.
    """
    if changed not in (None, "keep", "again"):
        raise UsageError(f"changed must be 'keep' or 'again', got {changed!r}")
    others = tuple(_changed(row, kept[row.key]) for row in rows if row.key in kept and _differs(row, kept[row.key]))
    anew = {each.key for each in others if each.state == "failed" or (each.state == "completed" and changed == "again")}
    states = {row.key: "new" if row.key in anew else _stands(row.key, kept) for row in rows}
    wanted = {"new", "waiting", "failed"} if retry_failed else {"new", "waiting"}
    buy = tuple(row for row in rows if states[row.key] in wanted)
    counts = Counter(states.values())
    left = None if limit is None else max(limit - sum(counts[state] for state in _BOUGHT), 0)
    rest = None if budget is None else Money(budget.amount - spent, budget.unit)
    allowed = frozenset(_affordable(buy, prices, rest)[:left])
    busy = Counter(row.account for row in rows if row.key in allowed or states[row.key] == "running")
    return Plan(
        name,
        {state: counts[state] for state in STATES},
        buy,
        allowed,
        _shares(buy, prices),
        lanes,
        others,
        tuple(sorted(kept.keys() - states.keys())),
        budget,
        spent,
        limit,
        now,
        until,
        tz,
        _finish(busy, lanes, now),
        (*_unasked(others, changed), *_unpriced(buy, prices, budget)),
    )


def _stands(key: str, kept: Mapping[str, Begun]) -> str:
    return _STANDS.get(kept[key].state, kept[key].state) if key in kept else "new"


def _differs(row: Row, begun: Begun) -> bool:
    return bool(begun.digest) and begun.digest != row.digest


def _changed(row: Row, begun: Begun) -> Changed:
    state = _STANDS.get(begun.state, begun.state)
    return Changed(row.key, row.place, tuple(keys.differing(begun.digest, row.digest)), state)


def _unasked(others: Sequence[Changed], changed: str | None) -> Iterator[RowProblem]:
    for each in others if changed is None else ():
        if each.state in _BOUGHT:
            what = f"changed: {', '.join(each.fields)}" if each.fields else "account or kind changed"
            way = "changed='keep' (--changed keep) leaves it so; 'again' buys a completed one again, and pays for it"
            yield RowProblem(each.place, "key", f"{each.key!r} is {each.state} with other fields ({what}); {way}")


def _unpriced(buy: Sequence[Row], prices: Mapping[str, Price | None], budget: Money | None) -> Iterator[RowProblem]:
    """With a budget, each row needs a price in its unit; reported once for each kind, at its first row."""
    if budget is None:
        return
    told: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in buy:
        price = prices.get(row.key)
        if price is None or unit_of(price.unit) != unit_of(budget.unit):
            told[f"{row.account}/{row.kind}", price.unit if price else ""].append(row)
    for (place, unit), rows in told.items():
        known = f"the price is in {unit}, the budget in {budget.unit}" if unit else "no price is known"
        like = f"0.35{budget.unit}"
        way = f"price={{{place!r}: {like!r}}} (--price {shell.quote(f'{place}={like}')})"
        yield RowProblem(rows[0].place, "", f"{place}, {_rows(len(rows))}: {known}; give one with {way}")


def _affordable(buy: Sequence[Row], prices: Mapping[str, Price | None], left: Money | None) -> list[str]:
    """The keys of the rows that the rest of the budget pays for, in order, each at its upper price."""
    paid: list[str] = []
    rest = 0.0 if left is None else left.amount
    for row in buy:
        price = prices.get(row.key)
        if left is not None and (price is None or unit_of(price.unit) != unit_of(left.unit)):
            continue
        if left is not None and price is not None:
            if price.high > rest + _ROUNDING:
                continue
            rest -= price.high
        paid.append(row.key)
    return paid


def _shares(buy: Sequence[Row], prices: Mapping[str, Price | None]) -> tuple[Share, ...]:
    found: dict[tuple[str, str], list[Price | None]] = defaultdict(list)
    for row in buy:
        price = prices.get(row.key)
        found[row.account, unit_of(price.unit) if price else ""].append(price)
    return tuple(_share(*place, told) for place, told in sorted(found.items()))


def _share(account: str, unit: str, told: Sequence[Price | None]) -> Share:
    prices = [each for each in told if each is not None]
    sources = tuple(sorted({each.source for each in prices}))
    return Share(account, unit, len(told), sum(p.low for p in prices), sum(p.high for p in prices), sources)


def _finish(busy: Mapping[str, int], lanes: Mapping[str, Lane], now: float) -> tuple[float, float] | None:
    """The earliest and latest second at which all is done: rounds of as many jobs as slots; None if unknown."""
    ends = []
    for account, jobs in busy.items():
        lane = lanes.get(account, Lane())
        if lane.typical is None:
            return None
        rounds = ceil(jobs / max(lane.slots, 1))
        ends.append((now + rounds * lane.typical[0], now + rounds * lane.typical[1]))
    return (max(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def _wrapped(line: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent=" " * 10, break_on_hyphens=False)


def _rows(number: int) -> str:
    return f"{number:,} row" if number == 1 else f"{number:,} rows"


def _cost(share: Share) -> str:
    low, high = (amount(round(each, 4)) for each in (share.low, share.high))
    return f"{low} {share.unit}" if low == high else f"{low} to {high} {share.unit}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
