"""What a job will cost, from the provider's estimate and the account's quota. Requests are sent only if needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import AnswerError, MissingKey, PluginError, ProviderError, Unsupported
from ..model import Quota, Request, origin
from ..net.hosts import LOOPBACK, nearness
from ..price import Price
from ..pricing import AccountPrices, Charge, price_of
from .account_state import AccountState
from .call import build
from .loop import Loop
from .submit import ask_quota, run_once, value_of

FRESH = 60.0
"""Seconds for which a response about prices is reused."""


class Prices:
    """The prices of a client's accounts. `charges` returns what an account's former jobs were charged."""

    def __init__(self, loop: Loop, charges: Callable[[str], Sequence[Charge]]) -> None:
        self._loop = loop
        self._charges = charges
        self._fresh: dict[Hashable, tuple[float, Any]] = {}

    def quota(self, account: AccountState) -> Quota:
        """What the account may still do, by a request sent now. Raises Unsupported, ProviderError, AnswerError."""
        quota = ask_quota(self._loop, account)
        self._fresh["quota", account.name] = self._loop.now(), quota
        return quota

    def known(self, account: AccountState) -> AccountPrices:
        """What is known of the account: its quota, by at most one request, and what former jobs were charged.

        A quota that is refused or cannot be read counts as one without prices. Raises ConfigurationError, and
        ProviderError if no response arrives.
        """
        quota: Quota | None = None
        if account.provider.quota is not None:
            quota = self._once(("quota", account.name), partial(self.quota, account))
        return replace(self.unasked(account), quota=quota)

    def unasked(self, account: AccountState) -> AccountPrices:
        """What is known of the account without a request."""
        return AccountPrices(None, self._charges(account.name), _is_listed(account))

    def estimate(self, account: AccountState, kind: str, fields: Mapping[str, object]) -> Price | None:
        """The provider's own estimate for these fields; None if it offers none or gives none.

        An equal request is not sent again within `FRESH` seconds. Raises what `known` raises.
        """
        operation = account.provider.estimate.get(kind)
        if operation is None:
            return None
        try:
            request = build(account.opened, operation, fields)
        except Unsupported:  # there is no estimate for this model
            return None
        who = f"{account.name} {kind} estimate"

        def ask() -> Price:
            task = run_once(self._loop, account, operation, lambda: request, request.about, repeat=True)
            price = value_of(task.result, account, who)
            if not isinstance(price, Price):
                raise PluginError(f"{who}: the plugin's parser gave {type(price).__name__}, not a Price")
            return price

        found: Price | None = self._once(("estimate", account.name, *_question(request)), ask)
        return found

    def price(self, account: AccountState, kind: str, fields: Mapping[str, object]) -> Price | None:
        """What one job will cost; None if the price is unknown. Sends only the requests that it needs.

        Raises MissingKey if the price is unknown and the provider would give an estimate with a key.
        """
        operation = account.provider.submit[kind]
        build(account.opened, operation, fields)  # errors of the call are raised now
        estimate = self.estimate(account, kind, fields)
        known = AccountPrices() if estimate else self.known(account)
        price = price_of(kind, operation, fields, known, estimate=estimate)
        if price is None and kind in account.provider.estimate:
            account.opened.check()
        return price

    def _once(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        """The result of `ask`, called at most once in `FRESH` seconds; None if the provider gives no usable one."""
        at, value = self._fresh.get(key, (0.0, None))
        now = self._loop.now()
        if key not in self._fresh or now - at >= FRESH:
            value = _answered(ask)
            self._fresh[key] = now, value
        return value


def _is_listed(account: AccountState) -> bool:
    """Whether the account is at the vendor's own address. A loopback address is a simulator, and counts too."""
    mine, provider = account.opened.origin, account.provider
    return mine == origin(provider.base_url) or provider.is_vendors(mine[1]) or nearness(mine[1]) == LOOPBACK


def _answered(ask: Callable[[], Any]) -> Any:
    """The result of `ask`; None for a refusal, a response that cannot be read, or a missing key."""
    try:
        return ask()
    except (AnswerError, MissingKey, Unsupported):
        return None
    except ProviderError as error:
        if error.status is None:
            raise
        return None


def _question(request: Request) -> tuple[Hashable, ...]:
    """What makes two requests equal."""
    body = json.dumps(request.json, sort_keys=True, default=repr)
    return request.method, request.place, request.query, body, request.body, request.about
