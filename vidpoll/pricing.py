"""Which price counts for a job: a pure choice among what is known. Nothing is asked and nothing is sent here.

The first that knows wins: the user's word, the provider's estimate for this job, the account's quota, the vendor's
page as the plugin has it, former jobs of the store. `AccountPrices` is fetched once for an account; `price_of` then
serves any number of jobs without a request.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import redact
from .model import Quota, Submitted
from .price import Price
from .provider import Operation

log = logging.getLogger("vidpoll")

LATEST = 20
"""Former jobs that a price is taken from, the latest."""

FEWEST = 3
"""Former jobs without which there is no price."""

_WORD = re.compile(r"[\w.:/-]{1,80}")

Settings = frozenset[tuple[str, object]]


class Charge(NamedTuple):
    """What a completed job was charged: its submit operation and its settings."""

    kind: str
    settings: Settings
    charged: float
    unit: str


@dataclass(frozen=True, slots=True)
class AccountPrices:
    """What is known of an account's prices: its quota, if it tells one, and former jobs' charges, the latest first.

    `listed`: whether the vendor's page holds for it. A gateway, or a site for another country, has prices of its own.
    """

    quota: Quota | None = None
    charges: Sequence[Charge] = ()
    listed: bool = True


def settings(fields: Mapping[str, Any]) -> Settings:
    """The fields on which a price may depend: numbers, flags and single words (model, size); no texts, files, seeds.

    >>> sorted(settings({"prompt": "a lighthouse at dusk", "seconds": 8, "model": "sora-2", "seed": 7}))
    [('model', 'sora-2'), ('seconds', 8)]
    """
    return frozenset((name, value) for name, value in fields.items() if name != "seed" and _is_setting(value))


def _is_setting(value: object) -> bool:
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None and "://" not in value
    return isinstance(value, (bool, int, float))


def price_of(
    kind: str,
    operation: Operation[Submitted],
    fields: Mapping[str, Any],
    known: AccountPrices,
    *,
    estimate: Price | None = None,
    given: Price | None = None,
) -> Price | None:
    """What one job of the submit `operation`, named `kind`, will cost; None where nobody knows, which is never zero.

    `given` is the user's word, `estimate` the provider's answer for these fields, where there is one.
    """
    told = given or estimate or _of_quota(kind, known.quota)
    told = told or (documented(operation, fields) if known.listed else None)
    return told or of_charges(kind, fields, known.charges)


def _of_quota(kind: str, quota: Quota | None) -> Price | None:
    if quota is None or kind not in quota.prices:
        return None
    return Price(quota.prices[kind], quota.prices[kind], quota.unit, "quota")


def documented(operation: Operation[Submitted], fields: Mapping[str, Any]) -> Price | None:
    """The price by the plugin's list; None where it has none, or its function raises (that is logged)."""
    if operation.price is None:
        return None
    try:
        return operation.price({name: value for name, value in fields.items() if value is not None})
    except Exception as error:  # noqa: BLE001 - a plugin's bug: without a price a budget refuses the job
        log.error("no price, because the plugin's price list fails: %s", redact.trace(error))
        return None


def of_charges(kind: str, fields: Mapping[str, Any], charges: Iterable[Charge]) -> Price | None:
    """From the least to the most that the latest jobs of a kind were charged; None where there are fewer than three.

    Jobs with the same settings count alone where there are three of them. All are in the unit of the latest.
    """
    mine = [each for each in charges if each.kind == kind]
    same = settings(fields)
    for rows in ([each for each in mine if each.settings == same], mine):
        amounts = [each.charged for each in rows if each.unit == rows[0].unit][:LATEST]
        if len(amounts) >= FEWEST:
            return Price(min(amounts), max(amounts), rows[0].unit, "history")
    return None
