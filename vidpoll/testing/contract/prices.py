"""The rule about prices: a plugin's price list gives the vendor's prices for a submit's fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...model import Cost, Submitted
from ...price import Price
from ...provider import Operation
from .samples import Sample
from .subject import Subject, broken, said

_RULE = "a price must be the documented one, in the unit in which jobs are charged"


def documented(subject: Subject) -> None:
    """Each submit with a price list has a sample with a price, and the list gives the price of each sample."""
    units = {cost.unit for cost in _costs(subject)}
    for name, operation in subject.operations.items():
        samples = [sample for sample in subject.index.samples if sample.operation == name and sample.price]
        for sample in samples:
            _compare(sample, operation)
        if operation.price is None:
            continue
        if not samples:
            broken(
                _RULE,
                seen=f'{name}: no sample has a "price"',
                why="with a wrongly copied number, batches would exceed their budget unnoticed",
                do='add to a sample with "fields" its "price": {"low": 0.8, "high": 0.8, "unit": "USD"}',
            )
        if units and operation.price.unit not in units:
            broken(
                _RULE,
                seen=f"{name}: the price list is in {operation.price.unit}, and jobs are charged in "
                f"{' or '.join(sorted(units))}",
                why="amounts of two units are never added: a job's cost could not replace the amount reserved for it",
                do="write the price list in the unit of the job's cost",
            )
        _bears(subject, name, operation)


def _compare(sample: Sample, operation: Operation[Submitted]) -> None:
    found = None if operation.price is None else operation.price(sample.fields)
    shown = None if found is None else {"low": found.low, "high": found.high, "unit": found.unit}
    due = dict(sample.price)
    if found is None or not _same(found, due):
        broken(
            _RULE,
            seen=f"{sample.file}: {sample.operation} costs {shown} in the plugin's list, and {due} in index.json",
            why="a budget would reserve too little, or refuse a job that it could pay",
            do="compare both with the vendor's page, and correct the list or index.json",
        )


def _same(found: Price, due: Mapping[str, Any]) -> bool:
    ends = (found.low, due["low"]), (found.high, due["high"])
    return found.unit == due["unit"] and all(math.isclose(one, other, abs_tol=1e-9) for one, other in ends)


def _bears(subject: Subject, name: str, operation: Operation[Submitted]) -> None:
    """The price list must not raise, because its fields are whatever a user types."""
    good = dict(subject.submits.get(name.removeprefix("submit "), {}))
    strange = [{}, *({**good, field: value} for field in good for value in ("", "x", [], {"a": 1}, object(), 10**400))]
    for fields in strange:
        try:
            assert operation.price is not None
            operation.price(fields)
        except Exception as error:  # noqa: BLE001 - the message shows whatever is raised
            broken(
                _RULE,
                seen=f"{name} with {fields}: {said(error)}",
                why="with a budget a job without a price is refused, and the user would read of a bug instead",
                do="return None if the page has no price for these fields",
            )


def _costs(subject: Subject) -> list[Cost]:
    found = [snapshot.cost for _, snapshot in subject.snapshots()]
    return [cost for cost in found if cost is not None and cost.charged > 0]
