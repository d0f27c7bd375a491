"""Which price counts for a job: a pure choice among known prices. This module sends nothing.

The first known price wins: the user's, the provider's estimate for this job, the account's quota, the vendor's page as
the plugin has it, earlier jobs of the store. `AccountPrices` is fetched once for an account; `price_of` then serves any
number of jobs without a request.
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
"""A price is taken from at most this many of the latest jobs."""

FEWEST = 3
"""With fewer earlier jobs there is no price."""

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
    """The known prices of an account: its quota, if the provider has one, and charges of earlier jobs, latest first.

    `listed`: whether the vendor's page is valid for it. A gateway, or a site for another country, has its own prices.
    """

    quota: Quota | None = None
    charges: Sequence[Charge] = ()
    listed: bool = True


def settings(fields: Mapping[str, Any]) -> Settings:
    """The fields on which a price may depend: numbers, flags and single words (model, size), not texts, files, seeds.

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
    """What one job of the submit `operation`, named `kind`, will cost; None if unknown, which never means zero.

    `given` is the user's price, `estimate` the provider's for these fields; each may be None.
    """
    told = given or estimate or _of_quota(kind, known.quota)
    told = told or (documented(operation, fields) if known.listed else None)
    return told or of_charges(kind, fields, known.charges)


def _of_quota(kind: str, quota: Quota | None) -> Price | None:
    if quota is None or kind not in quota.prices:
        return None
    return Price(quota.prices[kind], quota.prices[kind], quota.unit, "quota")


def documented(operation: Operation[Submitted], fields: Mapping[str, Any]) -> Price | None:
    """The price by the plugin's list; None if it has none, or if its function raises (that is logged)."""
    if operation.price is None:
        return None
    try:
        return operation.price({name: value for name, value in fields.items() if value is not None})
    except Exception as error:  # noqa: BLE001 - a plugin's bug: without a price a budget refuses the job
        log.error("no price, because the plugin's price list raised: %s", redact.trace(error))
        return None


def of_charges(kind: str, fields: Mapping[str, Any], charges: Iterable[Charge]) -> Price | None:
    """The lowest to the highest charge of the latest jobs of a kind; None if there are fewer than three.

    If at least three jobs have the same settings, only they count. All charges are in the unit of the latest.
    """
    mine = [each for each in charges if each.kind == kind]
    same = settings(fields)
    for rows in ([each for each in mine if each.settings == same], mine):
        amounts = [each.charged for each in rows if each.unit == rows[0].unit][:LATEST]
        if len(amounts) >= FEWEST:
            return Price(min(amounts), max(amounts), rows[0].unit, "history")
    return None
