"""Opens a batch from the caller's arguments: its rows are read, priced and planned. No job is bought here."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import redact
from ..errors import UsageError, VidpollError
from ..events import Event
from ..field_names import nearest
from ..folder_check import check_folder
from ..model import Quota
from ..number_check import check_number, is_whole
from ..pacing.schedules import Schedule
from ..polling.account_state import AccountState
from ..polling.call import build
from ..polling.loop import Loop
from ..polling.prices import Prices
from ..polling.submit import check_kind
from ..price import Price
from ..pricing import AccountPrices, price_of
from ..provider import Operation
from ..storage.keeper import Keeper
from ..storage.no_keeper import NoKeeper
from ..storage.records import KeptRow
from . import names, source
from .batch import Batch, Opened
from .making import Builder, Defaults, make_rows
from .options import Money, parse_budget, parse_price, parse_prices, parse_until, unit_of
from .plan import Lane, Plan, make_plan
from .report import Report
from .retries import Retries
from .rows import Row
from .settling import Hooks, Host
from .slots import slot_limit

Pricing = Callable[[Row], "Price | str | None"]

_Z95 = 1.645


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `Client.batch` except the source; see there. Raises UsageError for a value out of range."""

    account: str | None = None
    kind: str | None = None
    fields: Mapping[str, Any] | None = None
    name: str | None = None
    into: str | Path | None = None
    file: str = names.DEFAULT
    budget: str | None = None
    limit: int | None = None
    price: Mapping[str, str] | Pricing | None = None
    slots: Mapping[str, int] | int | None = None
    until: Any = None
    retries: int = 1
    retries_paid: int = 0
    only: str | Iterable[str] | None = None
    retry_failed: bool = False
    changed: str | None = None
    report: str | Path | None = None
    picture: str = ""
    stop: threading.Event | None = None
    on_event: Callable[[Event], object] | None = None

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            if each.name in _TYPES and getattr(self, each.name) is not each.default:
                _check_type(each.name, getattr(self, each.name))
        for name in ("retries", "retries_paid"):
            _check_whole(name, getattr(self, name), 0)
        if self.limit is not None:
            _check_whole("limit", self.limit, 1)
        for number in self.slots.values() if isinstance(self.slots, Mapping) else [self.slots]:
            if number is not None:
                _check_whole("slots", number, 1)


_PATH = (str, os.PathLike)
_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "account": (str, "the name of an account, like 'kling'"),
    "kind": (str, "the name of a kind of job, like 'text2video'"),
    "fields": (Mapping, "a dict from names of fields to values, like {'seed': 7}"),
    "name": (str, "text, like 'night'"),
    "into": (_PATH, "the path of a folder, like 'clips/'"),
    "file": (str, "a template of file names, like '{key}'"),
    "only": (Iterable, "a key or a list of keys, like ['dusk', 'dawn']"),
    "retry_failed": (bool, "True or False"),
    "report": (_PATH, "the path of a file, like 'done.csv'"),
    "picture": (str, "the name of a field, like 'image'"),
}
"""The type of an argument, and what it must be. Its default is valid; other arguments have checks of their own."""


def _check_type(name: str, value: object) -> None:
    kinds, must = _TYPES[name]
    names = value if isinstance(value, Mapping) else ()
    if not isinstance(value, kinds) or isinstance(value, bytes) or not all(isinstance(each, str) for each in names):
        raise UsageError(f"{name} must be {must}, got {redact.text(repr(value), limit=80)}")


def _check_whole(name: str, value: object, least: int) -> None:
    check_number(name, f"a whole number, {least} or more", value, lambda each: is_whole(each, least))


def host(
    loop: Loop, keeper: Keeper | NoKeeper, hooks: Hooks, schedule: Schedule, state: Callable[[str], AccountState]
) -> Host:
    """What a batch uses of its client. Raises UsageError if the client has no store."""
    if isinstance(keeper, NoKeeper):
        raise UsageError("a batch needs a store, or rows could be paid twice: make the client with Client(store=…)")
    return Host(loop, keeper, hooks, schedule, state)


def open_batch(host: Host, prices: Prices, given: object, options: Options) -> Batch:
    """Read, price and plan a batch. Raises UsageError and BatchInvalid; the only requests are those for prices."""
    return _Opening(host, prices, options).open(given)


class _Opening:
    """One batch while it is opened."""

    def __init__(self, host: Host, prices: Prices, options: Options) -> None:
        self.host, self.prices, self.options = host, prices, options
        self._known: dict[str, AccountPrices] = {}
        self._silent: set[str] = set()
        """Accounts whose requests for prices failed."""

    def open(self, given: object) -> Batch:
        options, clock = self.options, self.host.loop.clock
        for account in options.slots if isinstance(options.slots, Mapping) else ():
            self.host.state(account)  # raises if there is no such account
        budget = None if options.budget is None else parse_budget(options.budget)
        until = None if options.until is None else parse_until(options.until, clock.time())
        read = source.read(given, sys.stdin.buffer.read() if given == "-" else "")
        report = None if options.report is None else Report(options.report, given, read.delimiter)
        rows = make_rows(read, Builder(self._operation, self._build), self._defaults())
        name = _name(options.name, read.name)
        folder = Path(os.path.expanduser(options.into or name))  # noqa: PTH111 - it never raises
        check_folder(str(folder), "into")
        chosen, kept = self._chosen(rows, self.host.keeper.store.batch_rows(name))
        plan, prices = self._planned(name, chosen, kept, budget, until)
        quotas = {account: known.quota for account, known in self._known.items() if known.quota is not None}
        opened = Opened(
            name,
            chosen,
            kept,
            prices,
            plan,
            folder,
            options.file,
            Retries(options.retries, options.retries_paid),
            budget,
            options.limit,
            until,
            {account: each for account in self._accounts(chosen) if (each := self._slots(account)) is not None},
            {account: quota.concurrency for account, quota in quotas.items() if quota.concurrency},
            {account: quota.reset_at for account, quota in quotas.items() if quota.reset_at},
            report,
            frozenset(column.strip().partition(":")[0] for row in rows for column in row.cells),
        )
        return Batch(self.host, opened, options.stop, options.on_event)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _operation(self, account: str, kind: str) -> Operation[Any]:
        state = self.host.state(account)
        check_kind(state, kind)
        return state.provider.submit[kind]

    def _build(self, account: str, kind: str, fields: Mapping[str, Any]) -> object:
        state = self.host.state(account)
        return build(state.opened, state.provider.submit[kind], fields)

    def _defaults(self) -> Defaults:
        options = self.options
        day = datetime.fromtimestamp(self.host.loop.clock.time()).date().isoformat()
        return Defaults(
            options.account or "", options.kind or "", options.fields or {}, options.picture, options.file, day
        )

    def _chosen(
        self, rows: Sequence[Row], kept: Mapping[str, KeptRow]
    ) -> tuple[tuple[Row, ...], Mapping[str, KeptRow]]:
        """The rows that `only` selects. Raises UsageError for a key that no row has."""
        only = self.options.only
        if only is None:
            return tuple(rows), kept
        keys = [only] if isinstance(only, str) else list(only)
        if wrong := [key for key in keys if not isinstance(key, str)]:
            raise UsageError(f"only must be {_TYPES['only'][1]}, got {redact.text(repr(wrong[0]), limit=80)} in it")
        wanted = set(keys)
        there = {row.key for row in rows}
        missing = sorted(wanted - there)
        if missing:
            raise UsageError(f"only={missing[0]!r}: no row has this key{_near(missing[0], there)}")
        return tuple(row for row in rows if row.key in wanted), {key: kept[key] for key in wanted & kept.keys()}

    # -- prices -------------------------------------------------------------------------------------------------------

    def _accounts(self, rows: Iterable[Row]) -> list[str]:
        return list(dict.fromkeys(row.account for row in rows))

    def _slots(self, account: str) -> int | None:
        slots = self.options.slots
        return slots.get(account) if isinstance(slots, Mapping) else slots

    def _planned(
        self, name: str, rows: Sequence[Row], kept: Mapping[str, KeptRow], budget: Money | None, until: float | None
    ) -> tuple[Plan, dict[str, Price | None]]:
        """The plan, and the price of each row to buy; other rows need no price."""
        options = self.options
        given = self._given_prices()

        def plan(prices: Mapping[str, Price | None], lanes: Mapping[str, Lane], spent: float) -> Plan:
            return make_plan(
                name,
                rows,
                kept,
                prices=prices,
                lanes=lanes,
                now=self.host.loop.clock.time(),
                budget=budget,
                spent=spent,
                limit=options.limit,
                until=until,
                changed=options.changed,
                retry_failed=options.retry_failed,
            )

        buy = plan({}, {}, 0.0).buy
        prices = {row.key: self._price(row, given) for row in buy}
        ledger = self.host.keeper.store.ledger(name)
        spent = sum(sum(each) for unit, each in ledger.items() if budget and unit_of(unit) == budget.unit)
        begun = {key: Price(each.price, each.price, each.unit, "given") for key, each in kept.items() if each.unit}
        lanes = {account: self._lane(account) for account in self._accounts(rows)}
        return plan(prices, lanes, spent), {**begun, **prices}

    def _given_prices(self) -> Mapping[tuple[str, str], Price]:
        """The prices that the caller gave. Raises UsageError for an unknown account or kind."""
        price = self.options.price
        given = {} if price is None or callable(price) else parse_prices(price)
        for account, kind in given:
            check_kind(self.host.state(account), kind)
        return given

    def _price(self, row: Row, given: Mapping[tuple[str, str], Price]) -> Price | None:
        state, said = self.host.state(row.account), self.options.price
        price = _priced(row, said(row)) if callable(said) else given.get((row.account, row.kind))
        if price is None:
            known = self._account(row.account)
            operation = state.provider.submit[row.kind]
            ask = lambda: self.prices.estimate(state, row.kind, row.fields)  # noqa: E731
            price = price_of(row.kind, operation, row.fields, known, estimate=self._told(row.account, ask))
        return None if price is None else replace(price, unit=unit_of(price.unit))

    def _account(self, account: str) -> AccountPrices:
        """An account's known prices, with at most one request; if that fails, without it."""
        if account not in self._known:
            state = self.host.state(account)
            known = self._told(account, lambda: self.prices.known(state))
            self._known[account] = known or self.prices.unasked(state)
        return self._known[account]

    def _told(self, account: str, ask: Callable[[], Any]) -> Any:
        """The result of a request for prices; None if it fails, and then no other is sent to that account."""
        if account in self._silent:
            return None
        try:
            return ask()
        except VidpollError:
            self._silent.add(account)
            return None

    def _lane(self, account: str) -> Lane:
        state = self.host.state(account)
        quota = self._known[account].quota if account in self._known else None
        limit = slot_limit(state.provider, self._slots(account), None if quota is None else quota.concurrency)
        return Lane(limit.good, self._typical(account), _balance(quota), _wrong(state))

    def _typical(self, account: str) -> tuple[float, float] | None:
        law = self.host.state(account).law
        if law is None:
            return None
        return law.median * math.exp(-_Z95 * law.sigma), law.median * math.exp(_Z95 * law.sigma)


def _priced(row: Row, said: object) -> Price | None:
    """The price that the caller's function gave for a row; None lets the other sources price it. Raises UsageError."""
    if said is None or isinstance(said, Price):
        return said
    return parse_price(f"row {row.key!r}", said, ", a vidpoll.Price, or None (ask the other sources)")


def _name(given: str | None, source: str) -> str:
    """The batch's name: its folder and its key in the store. Raises UsageError for one of several lines."""
    name = source if given is None else given
    if not name.strip() or any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in name):
        shown = redact.text(repr(name), limit=80)
        raise UsageError(f"name must be text on one line, got {shown}: pass name='night' (--name night)")
    return name


def _near(key: str, keys: Iterable[str]) -> str:
    """The key that was probably meant: a take of the row, or a similar key."""
    takes = sorted(each for each in keys if each.startswith(f"{key}#"))
    near = takes[0] if takes else nearest(key, keys)
    return f"; did you mean {near!r}?" if near else ""


def _wrong(state: AccountState) -> str:
    """Why nothing can be sent to an account; empty if requests can be sent."""
    try:
        state.opened.check()
    except VidpollError as error:
        return error.message.partition(", or pass Client(")[0]
    return ""


def _balance(quota: Quota | None) -> Money | None:
    return None if quota is None or quota.balance is None else Money(quota.balance, unit_of(quota.unit))
