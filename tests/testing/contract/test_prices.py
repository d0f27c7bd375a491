"""A price list that says something else than the page, or in another unit than the jobs' cost, is caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract_cases import SAMPLES, alarms, caught, contract, write
from good_plugin import Good

import vidpoll
from vidpoll import parsing

PAGE = "https://goodness.example/pricing"
PAID = {"charged": 0.25, "refunded": 0, "unit": "USD"}
CHECK = "prices_are_the_documented_ones"


class Priced(Good):
    """The good plugin with a price list, and an estimate."""

    unit = "USD"

    def price(self, fields: Any) -> Any:
        return 0.25 if isinstance(fields.get("prompt"), str) else None

    def parse_estimate(self, response: vidpoll.Response, about: str) -> vidpoll.Price:
        cost = parsing.number(parsing.json_object(response).get("cost"))
        if cost is None or cost < 0:
            raise vidpoll.Malformed("no cost")
        return vidpoll.Price(cost, cost, "USD", "estimate")

    def snapshot(self, job: Any) -> vidpoll.Snapshot:
        said = super().snapshot(job)
        paid = vidpoll.Cost(0.25, unit="USD") if said.state is vidpoll.State.COMPLETED else None
        return replace(said, cost=paid)

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
        (made,) = super().vidpoll_providers()
        listed = vidpoll.PriceList(self.unit, "2026-11", PAGE, self.price)
        ask = vidpoll.Operation(
            lambda fields: vidpoll.Request("POST", "/price", json={"prompt": fields["prompt"]}), self.parse_estimate
        )
        clip = replace(made.submit["clip"], price=listed)
        yield replace(made, submit={"clip": clip}, estimate={"clip": ask})


def rows(price: Any) -> list[Any]:
    """The good samples, with a price at the submit, the cost of the completed job, and an answer to the estimate."""
    found = deepcopy(SAMPLES)
    for file, _, row in found:
        if file == "taken.json" and price is not None:
            row["price"] = price
        if file == "done.json":
            row["expect"]["cost"] = PAID
        if file == "list.json":
            row["expect"]["rows"][0]["cost"] = PAID
    asked = {"operation": "estimate clip", "origin": "documented", "request": "POST /v1/price"}
    sent = {"sends": {"prompt": "{prompt}"}, "expect": {"low": 0.25, "high": 0.25, "unit": "USD"}}
    return [*found, ("price.json", {"cost": 0.25}, {**asked, **sent})]


DUE = {"low": 0.25, "high": 0.25, "unit": "USD"}


def found(plugin: Good, folder: Path, price: Any = DUE) -> dict[str, str]:
    return caught(contract(plugin, write(folder / "samples", rows(price))), CHECK)


def test_a_plugin_with_prices_passes(tmp_path: Path) -> None:
    """No false alarm, of the price list and of the estimate."""
    assert alarms(contract(Priced(), write(tmp_path / "samples", rows(DUE)))) == {}


class AnotherNumber(Priced):
    def price(self, fields: Any) -> Any:
        return 0.35


class AnotherUnit(Priced):
    unit = "credits"


class Raises(Priced):
    def price(self, fields: Any) -> Any:
        return 0.25 if fields["prompt"] else None


class NoList(Priced):
    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
        (made,) = super().vidpoll_providers()
        yield replace(made, submit={"clip": replace(made.submit["clip"], price=None)})


@pytest.mark.parametrize(
    ("plugin", "price", "seen"),
    [
        (AnotherNumber, DUE, "taken.json: submit clip costs {'low': 0.35"),
        (AnotherUnit, {**DUE, "unit": "credits"}, "the price list is in credits, and jobs are charged in USD"),
        (Raises, DUE, "KeyError"),
        (NoList, DUE, "submit clip costs None in the plugin's list"),
        (Priced, None, 'submit clip: no sample has a "price"'),
    ],
)
def test_a_wrong_price_is_caught(plugin: Callable[[], Good], price: Any, seen: str, tmp_path: Path) -> None:
    """By the check that is for it, and it says what was seen."""
    assert seen in found(plugin(), tmp_path, price)[CHECK]


@pytest.mark.parametrize("price", [0.25, {"low": 0.25}, {"low": "a", "high": 1, "unit": "USD"}])
def test_a_price_that_is_none_is_told(price: Any, tmp_path: Path) -> None:
    """As any mistake of an index."""
    wrong = caught(contract(Priced(), write(tmp_path / "samples", rows(price))), "the_samples_are")
    assert '"price" must be the price of a submit with these "fields"' in wrong["the_samples_are_described"]
