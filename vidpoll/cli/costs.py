"""The cost of jobs, and whether a balance pays for several. Nothing is printed here, and units are never mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import vidpoll
from vidpoll.model import amount

from .output import counted


def costs(jobs: Iterable[vidpoll.Job]) -> list[dict[str, Any]]:
    """Amounts charged and refunded, one entry for each unit."""
    spent: dict[str, vidpoll.Cost] = {}
    for cost in (job.cost for job in jobs if job.cost is not None):
        so_far = spent.get(cost.unit, vidpoll.Cost(0.0, 0.0, cost.unit))
        charged, refunded = so_far.charged + cost.charged, so_far.refunded + cost.refunded
        spent[cost.unit] = vidpoll.Cost(charged, refunded, cost.unit)
    return [{"charged": cost.charged, "refunded": cost.refunded, "unit": cost.unit} for cost in spent.values()]


def money(spent: Iterable[dict[str, Any]]) -> str:
    """The costs as text for a line."""
    return "".join(f"; {vidpoll.Cost(**cost)}" for cost in spent)


def check_balance(
    client: vidpoll.Client, account: str, kind: str, count: int, price: Callable[[], vidpoll.Price | None]
) -> None:
    """Raise PaymentRequired if the account cannot pay for `count` jobs; unknown prices and balances pass."""
    try:
        quota = client.quota(account)
    except vidpoll.Unsupported:
        return
    except (vidpoll.ProviderError, vidpoll.AnswerError) as error:
        raise vidpoll.ProviderError(
            f"{error.message}. Nothing was submitted; --force submits without this check"
        ) from None
    short = _missing(quota, kind, count, price())
    if short:
        raise vidpoll.PaymentRequired(f"{account}: {short}. Nothing was submitted; --force submits anyway")


def _missing(quota: vidpoll.Quota, kind: str, count: int, price: vidpoll.Price | None) -> str:
    """What the account lacks for `count` jobs at their upper price, in words; empty if nothing is known to lack."""
    if quota.balance is not None and price is not None and price.unit == quota.unit:
        whole = replace(price, low=price.low * count, high=price.high * count)
        if whole.high > quota.balance:
            lacks = amount(round(whole.high - quota.balance, 9))
            return f"{count} {kind} cost {whole}, but the balance is {amount(quota.balance)}: {lacks} are missing"
    if not quota.unlimited and quota.remaining is not None and count > quota.remaining:
        return f"the plan has {counted(quota.remaining, 'video')} left, but {count} were requested"
    return ""
