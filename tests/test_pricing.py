"""What a job will cost: the value, the price list, the ladder, and what is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, talk

import vidpoll
from vidpoll import Price, PriceList, declare, parsing
from vidpoll.pricing import AccountPrices, Charge, price_of, settings

PAGE = "https://acme.example/pricing"
CLIP = ACME.submit["clip"]


# -- the value --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        (Price(0.35, 0.35, "USD", "documented"), "0.35 USD"),
        (Price(0.3, 0.45, "USD", "documented"), "0.30 to 0.45 USD"),
        (Price(0.052, 0.052, "USD", "estimate"), "0.052 USD"),
        (Price(50, 50.0, "credits", "quota"), "50 credits"),
        (Price(0.1 * 3, 1234.5, "CNY", "history"), "0.30 to 1,234.50 CNY"),
        (Price(3.5, 5_200_000, "units", "given"), "3.5 to 5,200,000 units"),
    ],
)
def test_a_price_is_written_as_people_write_it(price: Price, shown: str) -> None:
    """Of a currency two decimals at least; no error of a float."""
    assert str(price) == shown


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"low": -1}, "two finite numbers"),
        ({"low": 2}, "the lower one first"),
        ({"high": float("nan")}, "two finite numbers"),
        ({"high": "1"}, "two finite numbers"),
        ({"unit": " "}, "text like 'USD'"),
        ({"unit": None}, "text like 'USD'"),
        ({"source": "rumour"}, "one of estimate, quota, documented, history, given"),
    ],
)
def test_a_price_that_is_none_is_refused(change: Mapping[str, Any], says: str) -> None:
    """Checked when it is built."""
    with pytest.raises(vidpoll.PluginError, match=says):
        Price(**{"low": 1.0, "high": 1.0, "unit": "USD", "source": "given", **change})


@pytest.mark.parametrize(
    ("text", "low", "high", "unit"),
    [
        ("0.35USD", 0.35, 0.35, "USD"),
        (" 50 credits ", 50, 50, "credits"),
        ("0.30 to 0.45 USD", 0.3, 0.45, "USD"),
        ("3-5 units", 3, 5, "units"),
        (".5 EUR", 0.5, 0.5, "EUR"),
    ],
)
def test_a_price_as_a_user_writes_it(text: str, low: float, high: float, unit: str) -> None:
    """A number, or two, and a unit."""
    assert Price.given(text) == Price(low, high, unit, "given")


@pytest.mark.parametrize(
    "text", ["", "0.35", "USD", "$0.35", "-1 USD", "0.5 to 0.3 USD", "1,5 USD", "1e9 USD", "nan USD"]
)
def test_what_is_no_price_is_told(text: str) -> None:
    """With the way to write it."""
    with pytest.raises(vidpoll.UsageError, match=r"is not a price: write '0\.35 USD'"):
        Price.given(text)


# -- the list ---------------------------------------------------------------------------------------------------------

RATES = {("fast",): 0.1, ("fine", "720p"): 0.3, ("fine", "1080p"): (0.4, 0.5)}
LISTED = declare.prices(
    "USD", "2026-11", PAGE, by=("model", "size"), per_second=RATES, per_job={"still": 0.02}, jobs="output.n",
    defaults={"output.n": 1, "model": "fast"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "low", "high"),
    [
        ({"duration": 5}, 0.5, 0.5),
        ({"model": "fast", "size": "9000p", "duration": "5s"}, 0.5, 0.5),
        ({"model": "fine", "size": "720p", "duration": "10"}, 3, 3),
        ({"model": "fine", "size": "1080p", "duration": 10, "output": {"n": 2}}, 8, 10),
        ({"model": "fine", "duration": 10}, 3, 5),
        ({"model": "still"}, 0.02, 0.02),
        ({"model": "still", "output": {"n": 4}}, 0.08, 0.08),
    ],
)
def test_a_table_tells_the_price(fields: Mapping[str, Any], low: float, high: float) -> None:
    """By the fields that a row depends on; what is not known makes a range."""
    price = LISTED(fields)
    assert price is not None
    assert (price.low, price.high, price.unit, price.source) == (
        pytest.approx(low),
        pytest.approx(high),
        "USD",
        "documented",
    )


def test_a_default_may_be_a_range() -> None:
    """What the vendor takes where a field is not given may be anything between two numbers."""
    span = {"duration": (4, 8), "n": (1, 2)}
    listed = declare.prices("USD", "2026-11", PAGE, per_second={"fast": 0.5}, jobs="n", defaults=span)
    found = [listed({"model": "fast", **given}) for given in ({}, {"duration": 5}, {"duration": 5, "n": 1})]
    assert list(map(str, found)) == ["2.00 to 8.00 USD", "2.50 to 5.00 USD", "2.50 USD"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"duration": "auto"},
        {"duration": -1},
        {"duration": 10**400},
        {"model": "new", "duration": 5},
        {"model": "fine", "size": "4k", "duration": 5},
        {"model": ["fine"], "duration": 5},
        {"model": "still", "output": {"n": "many"}},
    ],
)
def test_what_the_table_does_not_have_costs_nobody_knows_what(fields: Mapping[str, Any]) -> None:
    """None, and never zero."""
    assert LISTED(fields) is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: PriceList("USD", "November", PAGE, len), "dated 'November'"),
        (lambda: PriceList("USD", "2026-11", "", len), "the address of the vendor's page"),
        (lambda: PriceList("", "2026-11", PAGE, len), "text like 'USD'"),
        (lambda: PriceList("USD", "2026-11", PAGE, 0.3), "must be a function"),  # type: ignore[arg-type]
        (lambda: declare.prices("USD", "2026-11", PAGE, per_job={"a": -1}), "a number or"),
        (lambda: declare.prices("USD", "2026-11", PAGE, per_job={("a", "b"): 1}), "at most 1 values"),
        (lambda: replace(CLIP, price=0.3), "must be a vidpoll.PriceList"),  # type: ignore[arg-type]
        (lambda: replace(ACME, estimate={"opera": CLIP}), "estimate 'opera': there is no submit of that kind"),
    ],
)
def test_a_list_that_cannot_be_right_is_told(make: Any, says: str) -> None:
    """When it is made."""
    with pytest.raises(vidpoll.PluginError, match=says):
        make()


# -- the ladder -------------------------------------------------------------------------------------------------------

FIELDS = {"prompt": "a lighthouse at dusk", "model": "fine", "seconds": 8, "seed": 7, "image": Path("a.png")}
SAME = settings(FIELDS)
OTHER = settings({"model": "fine", "seconds": 4})


def charge(charged: float, like: Any = SAME, kind: str = "clip", unit: str = "USD") -> Charge:
    return Charge(kind, like, charged, unit)


KNOWN = AccountPrices(vidpoll.Quota(prices={"clip": 50}, unit="credits"), [charge(3), charge(1), charge(2)])
LISTING = replace(CLIP, price=PriceList("USD", "2026-11", PAGE, lambda fields: (0.3, 0.4)))
GUESS, WORD = Price(5, 5, "USD", "estimate"), Price(9, 9, "USD", "given")


def test_the_first_that_knows_wins() -> None:
    """The user's word, the estimate, the quota, the page, former jobs; then nobody."""
    past = AccountPrices(charges=KNOWN.charges)
    found = [
        price_of("clip", LISTING, FIELDS, KNOWN, estimate=GUESS, given=WORD),
        price_of("clip", LISTING, FIELDS, KNOWN, estimate=GUESS),
        price_of("clip", LISTING, FIELDS, KNOWN),
        price_of("clip", LISTING, FIELDS, past),
        price_of("clip", CLIP, FIELDS, past),
        price_of("clip", CLIP, FIELDS, AccountPrices()),
    ]
    assert list(map(str, found)) == [
        "9.00 USD",
        "5.00 USD",
        "50 credits",
        "0.30 to 0.40 USD",
        "1.00 to 3.00 USD",
        "None",
    ]
    assert [each and each.source for each in found] == ["given", "estimate", "quota", "documented", "history", None]


@pytest.mark.parametrize(
    ("charges", "shown"),
    [
        ([charge(1), charge(2)], "None"),
        ([charge(1), charge(2), charge(9, kind="film")], "None"),
        ([charge(1), charge(2), charge(9, OTHER)], "1.00 to 9.00 USD"),
        ([charge(1), charge(2), charge(2), charge(9, OTHER)], "1.00 to 2.00 USD"),
        ([charge(2), charge(2), charge(2), charge(50, unit="credits")], "2.00 USD"),
        ([charge(1), charge(2), charge(50, unit="credits"), charge(60, unit="credits")], "None"),
        ([charge(2)] * 20 + [charge(100)], "2.00 USD"),
        ([charge(0), charge(0), charge(0)], "0.00 USD"),
    ],
)
def test_former_jobs_tell_a_price(charges: list[Charge], shown: str) -> None:
    """Three of the kind, those with the same settings first, in one unit, the last twenty."""
    assert str(price_of("clip", CLIP, FIELDS, AccountPrices(charges=charges))) == shown


def test_a_price_function_that_fails_tells_no_price(caplog: pytest.LogCaptureFixture) -> None:
    """The next one that knows is asked; the log has the bug."""
    broken = replace(CLIP, price=PriceList("USD", "2026-11", PAGE, lambda fields: fields["size"]))
    assert price_of("clip", broken, FIELDS, AccountPrices()) is None
    assert "KeyError" in caplog.text


# -- what is asked ----------------------------------------------------------------------------------------------------


def parse_estimate(response: vidpoll.Response, about: str) -> Price:
    cost = parsing.number(parsing.json_object(response).get("cost"))
    if cost is None:
        raise vidpoll.Malformed("no cost")
    return Price(cost, cost, "USD", "estimate")


ESTIMATE = vidpoll.Operation(
    lambda fields: vidpoll.Request("POST", "/price", json={"words": len(str(fields["prompt"]).split())}), parse_estimate
)
ESTIMATING = replace(ACME, estimate={"clip": ESTIMATE})


def test_the_estimate_is_asked_and_nothing_else() -> None:
    """One request for all equal questions; no submit is sent."""
    t = talk([{"cost": 0.7}, {"cost": 0.9}], provider=ESTIMATING)
    prices = [t.client.price("acme", "clip", prompt=words) for words in ("a kite", "a ship", "a ship at sea")]
    assert list(map(str, prices)) == ["0.70 USD", "0.70 USD", "0.90 USD"]
    assert t.requests == ["POST /v1/price"] * 2


@pytest.mark.parametrize("answer", [(404, {}, b""), (401, {}, b""), {"cost": "?"}, (422, {"error": "no such model"})])
def test_where_the_estimate_does_not_answer_the_quota_does(answer: Any) -> None:
    """A refusal is no price, and no error."""
    t = talk({"/price": [answer], "/quota": [{"credits": 9}]}, provider=ESTIMATING)
    assert t.client.price("acme", "clip", prompt="a kite") == Price(50, 50, "credits", "quota")


def test_the_quota_is_asked_once_a_minute() -> None:
    """A quota that the user asked for counts, too."""
    t = talk([{"credits": 9}, {"credits": 8}])
    t.client.quota("acme")
    for _ in range(3):
        assert str(t.client.price("acme", "clip", prompt="a kite")) == "50 credits"
    assert len(t.requests) == 1
    t.clock.now += 61
    t.client.price("acme", "clip", prompt="a kite")
    assert len(t.requests) == 2


def test_a_price_without_a_key_is_the_documented_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be asked; the page is known all the same."""
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    listed = replace(ACME, submit={"clip": LISTING})
    t = talk([], provider=listed, accounts={})
    assert str(t.client.price("acme", "clip", prompt="a kite")) == "0.30 to 0.40 USD"
    assert t.requests == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.acme.example/v1", "0.30 to 0.40 USD"),
        ("https://eu.acme.example/v1", "0.30 to 0.40 USD"),
        ("http://127.0.0.1:8700", "0.30 to 0.40 USD"),
        ("https://gateway.example/acme", "None"),
    ],
)
def test_the_page_holds_at_the_vendors_own_address(url: str, shown: str) -> None:
    """A gateway has prices of its own; what is at loopback is a simulator."""
    listed = replace(ACME, submit={"clip": LISTING}, quota=None, hosts=("eu.acme.example",))
    t = talk([], provider=listed, accounts={"acme": vidpoll.Account("acme", base_url=url, key="k-0123456789")})
    assert str(t.client.price("acme", "clip", prompt="a kite")) == shown


def test_where_nobody_knows_and_the_key_is_missing_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With it the provider could have been asked."""
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    t = talk([], provider=ESTIMATING, accounts={})
    with pytest.raises(vidpoll.MissingKey, match="ACME_API_KEY"):
        t.client.price("acme", "clip", prompt="a kite")
    assert talk([], accounts={}).client.price("acme", "clip", prompt="a kite") is None


@pytest.mark.parametrize(
    ("kind", "fields", "error"), [("opera", {}, vidpoll.Unsupported), ("clip", {"colour": 1}, vidpoll.InvalidField)]
)
def test_a_wrong_call_is_told_before_anything_is_asked(kind: str, fields: Any, error: type[Exception]) -> None:
    """As a submit would tell it."""
    t = talk([])
    with pytest.raises(error):
        t.client.price("acme", kind, **fields)
    assert t.requests == []


def test_former_jobs_of_the_store_tell_the_price(tmp_path: Path) -> None:
    """What completed jobs of this operation were charged; one that failed says nothing."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        body = parsing.json_object(response)
        told = CHARGES[job_id]
        state = vidpoll.State.COMPLETED if told else vidpoll.State.FAILED
        return vidpoll.Snapshot(state, assets=parsing.assets(body["video"]), cost=vidpoll.Cost(told, unit="USD"))

    provider = replace(ACME, status=replace(ACME.status, parse=parse), quota=None)
    script = [answer for name in CHARGES for answer in ({"id": name}, {**DONE, "id": name})]
    t = talk(script, provider=provider, store=tmp_path / "s.sqlite3")
    assert t.client.price("acme", "clip", prompt="a kite") is None
    for _ in CHARGES:
        t.client.wait(t.client.submit("acme", "clip", prompt="a kite"), check=False)
    assert t.client.price("acme", "clip", prompt="a ship at sea") == Price(0.5, 0.75, "USD", "history")
    t.client.close()


CHARGES = {"j1": 0.5, "j2": 0.0, "j3": 0.75, "j4": 0.625}
