"""The plan of a batch: what is bought, for how much, within which bounds, and until when."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import vidpoll
from vidpoll import Price
from vidpoll.batch import keys
from vidpoll.batch.files import Files
from vidpoll.batch.options import Money, parse_prices
from vidpoll.batch.plan import WIDTH, Changed, Lane, Plan, Share, make_plan
from vidpoll.batch.rows import Row, RowProblem

NOW = datetime(2027, 2, 1, 22, tzinfo=timezone.utc).timestamp()
HOUR = 3600.0
USD = Price(0.3, 0.4, "USD", "documented")
CREDITS = Price(10, 10, "credits", "quota")
KLING = Lane(3, (60.0, 180.0))


class Kept(NamedTuple):
    digest: str
    state: str


def row(key: str, account: str = "kling", kind: str = "t2v", **fields: Any) -> Row:
    digest, _ = keys.digest(account, kind, fields, Files(Path()))
    return Row(key, account, kind, fields, digest, f"row {key}")


def kept(row: Row, state: str) -> dict[str, Kept]:
    return {row.key: Kept(row.digest, state)}


def plan(rows: list[Row], known: Mapping[str, Kept] | None = None, price: Price | None = USD, **options: Any) -> Plan:
    prices = options.pop("prices", {row.key: price for row in rows})
    lanes = options.pop("lanes", {"kling": KLING})
    return make_plan("night", rows, known or {}, prices=prices, lanes=lanes, now=NOW, tz=timezone.utc, **options)


def test_how_rows_stand() -> None:
    """Each row in one state; what is being sent or not settled runs; what is bought is not bought again."""
    states = ["submitting", "running", "ended", "unknown", "completed", "failed", "waiting"]
    rows = [row(str(number)) for number in range(8)]
    known = {key: each for one, state in zip(rows, states, strict=False) for key, each in kept(one, state).items()}
    made = plan(rows, known)
    assert made.counts == {"new": 1, "waiting": 1, "running": 3, "unknown": 1, "completed": 1, "failed": 1}
    assert [each.key for each in made.buy] == ["6", "7"]
    assert [each.key for each in plan(rows, known, retry_failed=True).buy] == ["5", "6", "7"]
    assert made.problems == ()


def test_money_of_two_units_is_never_added() -> None:
    """Each account and unit by itself, with who told the price; what has none is said."""
    rows = [row("1"), row("2"), row("3", "vidu"), row("4", "vidu")]
    given = Price(1, 1, "usd", "given")
    made = plan(rows, prices={"1": USD, "2": given, "3": CREDITS, "4": None})
    assert made.shares == (
        Share("kling", "USD", 2, 1.3, 1.4, ("documented", "given")),
        Share("vidu", "", 1, 0, 0, ()),
        Share("vidu", "credits", 1, 10, 10, ("quota",)),
    )
    assert made.one_line() == "night: 4 rows (4 new); to buy 4 for 1.3 to 1.4 USD and 10 credits and 1 without a price"
    assert made.problems == ()


def test_a_budget_needs_a_price_for_each_row() -> None:
    """Nothing is taken for free: no price, or one in another unit, is a problem, said once for each kind."""
    rows = [row("1"), row("2", "vidu"), row("3", "vidu"), row("4", "comfy", "workflow")]
    prices = {"1": USD, "2": CREDITS, "3": CREDITS}
    made = plan(rows, prices=prices, budget=Money(40, "USD"))
    assert made.problems == (
        RowProblem("row 2", "", "vidu/t2v, 2 rows: the price is in credits, the budget in USD; give one with "
                   "price={'vidu/t2v': '0.35USD'} (--price vidu/t2v=0.35USD)"),
        RowProblem("row 4", "", "comfy/workflow, 1 row: no price is known; give one with "
                   "price={'comfy/workflow': '0.35USD'} (--price comfy/workflow=0.35USD)"),
    )  # fmt: skip
    assert made.allowed == {"1"}
    free = Price(0, 0, "USD", "given")
    assert plan([row("1")], price=free, budget=Money(40, "USD")).problems == ()


@pytest.mark.parametrize(
    ("unit", "option"),
    [("EUR", "--price kling/t2v=0.35EUR"), ("GPU seconds", "--price 'kling/t2v=0.35GPU seconds'")],
)
def test_the_suggested_price_is_in_the_budgets_unit_and_on_one_line(unit: str, option: str) -> None:
    """So that it can be pasted, and helps: the plan with that price has no problem."""
    made = plan([row("1")], budget=Money(40, unit))
    assert f"({option})" in str(made).splitlines()[-1]
    given = parse_prices(dict([shlex.split(option)[1].split("=")]))
    assert plan([row("1")], price=given["kling", "t2v"], budget=Money(40, unit)).problems == ()


@pytest.mark.parametrize(
    ("budget", "spent", "allowed"), [(1.2, 0, 3), (1.19, 0, 2), (1.2, 0.4, 2), (0.3, 0, 0), (1.0, 2.0, 0), (9, 0, 4)]
)
def test_what_a_budget_allows(budget: float, spent: float, allowed: int) -> None:
    """Rows one after the other, each by its upper price, of what is left; three times 0.4 is 1.2."""
    rows = [row(str(number)) for number in range(4)]
    made = plan(rows, budget=Money(budget, "USD"), spent=spent)
    assert made.allowed == {str(number) for number in range(allowed)}
    assert made.problems == ()


def test_a_cheaper_row_still_fits() -> None:
    """One row that is too dear holds up no other."""
    dear = Price(5, 5, "USD", "given")
    made = plan([row("1"), row("2"), row("3")], prices={"1": USD, "2": dear, "3": USD}, budget=Money(1, "USD"))
    assert made.allowed == {"1", "3"}


def test_a_limit() -> None:
    """Counts what was ever bought, unknown submits too."""
    rows = [row(str(number)) for number in range(6)]
    known = {**kept(rows[0], "completed"), **kept(rows[1], "unknown"), **kept(rows[2], "failed")}
    assert plan(rows, known, limit=4).allowed == {"3", "4"}
    assert plan(rows, known, limit=1).allowed == frozenset()
    assert plan(rows, known).allowed == {"3", "4", "5"}


def test_when_it_is_done() -> None:
    """As many rounds as slots need, of what is allowed and what runs; the slowest account counts."""
    rows = [row(str(number)) for number in range(7)]
    assert plan(rows).finish == (NOW + 180, NOW + 540)
    assert plan(rows, limit=3).finish == (NOW + 60, NOW + 180)
    assert plan(rows, kept(rows[0], "running"), limit=1).finish == (NOW + 60, NOW + 180)
    assert plan(rows, kept(rows[0], "completed"), limit=1).finish is None
    two = [*rows, row("x", "vidu")]
    assert plan(two, lanes={"kling": KLING, "vidu": Lane(1, (30.0, HOUR))}).finish == (NOW + 180, NOW + HOUR)
    assert plan(two).finish is None
    assert "unknown, because" in str(plan(two))


@pytest.mark.parametrize(
    ("until", "in_time", "said"),
    [(None, None, "22:03 to 22:09"), (540, True, "before 22:09"), (180, None, "perhaps not before 22:03"),
     (539, None, "perhaps not before 22:08"), (179, False, "not before 22:02"),
     (10 * HOUR, True, "before 2027-02-02 08:00")],
)  # fmt: skip
def test_whether_it_is_done_in_time(until: float | None, in_time: bool | None, said: str) -> None:
    """Yes, no, or perhaps."""
    made = plan([row(str(number)) for number in range(7)], until=None if until is None else NOW + until)
    assert made.in_time is in_time
    assert made.one_line().endswith(f" {said}")


def test_a_row_that_was_changed() -> None:
    """The same key with other fields: refused where it is bought, with the names of what differs."""
    old, new = row("1", prompt="a", seed=1, size=2), row("1", prompt="b", seed=1, mode="x")
    fields = ("mode", "prompt", "size")
    for state in ("completed", "running", "unknown"):
        made = plan([new], kept(old, state))
        assert made.changed == (Changed("1", "row 1", fields, state),)
        assert made.problems == (
            RowProblem("row 1", "key", f"'1' is {state} with other fields (changed: mode, prompt, size); "
                       "changed='keep' (--changed keep) leaves it so; "
                       "'again' buys a completed one again, and pays for it"),
        )  # fmt: skip
        assert (made.buy, plan([new], kept(old, state), changed="keep").problems) == ((), ())
    assert plan([new], kept(old, "completed"), changed="again").buy == (new,)
    for state in ("running", "unknown"):  # it may yet come, and would be paid twice
        assert plan([new], kept(old, state), changed="again").buy == ()


@pytest.mark.parametrize("state", ["failed", "waiting"])
def test_a_row_that_was_mended(state: str) -> None:
    """One that failed or waits, with other fields, is bought with these: that is how a refused prompt is mended."""
    made = plan([row("1", prompt="b")], kept(row("1", prompt="a"), state))
    assert ([each.key for each in made.buy], made.problems) == (["1"], ())
    assert [each.fields for each in made.changed] == [("prompt",)]


def test_another_account_is_a_change_too() -> None:
    """It is told without the name of a field."""
    made = plan([row("1", "vidu")], kept(row("1"), "completed"))
    assert "account or kind changed" in made.problems[0].message


def test_a_word_that_is_none() -> None:
    """changed is keep or again."""
    with pytest.raises(vidpoll.UsageError, match="changed must be 'keep' or 'again', got 'anew'"):
        plan([], changed="anew")


def test_rows_that_are_gone() -> None:
    """What is no longer in the input is told; it is not cancelled."""
    rows = [row(str(number)) for number in range(9)]
    known = {key: each for one in rows for key, each in kept(one, "running").items()}
    made = plan(rows[:1], known)
    assert made.gone == ("1", "2", "3", "4", "5", "6", "7", "8")
    assert "gone    no longer in the input, not cancelled: 1, 2, 3, 4, 5 and 3 more" in str(made)


def test_the_text() -> None:
    """All of it, in 80 columns."""
    rows = [row(str(number)) for number in range(20)] + [row("x", "vidu")]
    known = {**kept(rows[0], "completed"), **kept(rows[1], "running"), "y": Kept("", "running")}
    lanes = {"kling": Lane(3, (60.0, 180.0), Money(5, "USD")), "vidu": Lane(1, (40.0, 7000.0))}
    made = plan(rows, known, lanes=lanes, budget=Money(6, "USD"), spent=0.8, limit=99, until=NOW + HOUR)
    assert str(made) == (
        "night: 21 rows\n"
        "  rows    19 new, 1 running, 1 completed\n"
        "  to buy  19\n"
        "          kling: 18 for 5.4 to 7.2 USD (documented), 3 at once, 60 s to 3 min\n"
        "          each, balance 5 USD, which may not pay for all\n"
        "          vidu: 1 for 0.3 to 0.4 USD (documented), 1 at once, 40 s to 1 h 57 min\n"
        "          each\n"
        "  budget  6 USD: 0.8 USD spent or reserved, 5.2 USD left\n"
        "          counted at upper prices: only a job that costs more than its upper\n"
        "          price can exceed it\n"
        "  limit   99 jobs, 2 bought\n"
        "          that allows 13 of 19; the others wait\n"
        "  done    22:05 to 22:15, before 23:00\n"
        "  gone    no longer in the input, not cancelled: y"
    )
    assert max(map(len, str(made).splitlines())) <= WIDTH
    assert made.one_line() == (
        "night: 21 rows (19 new, 1 running, 1 completed); to buy 19 for 5.7 to 7.6 USD, 13 of them allowed; "
        "done 22:05 to 22:15, before 23:00"
    )


def test_a_batch_that_is_done() -> None:
    """Run again there is nothing to do, and the plan says so."""
    rows = [row("1"), row("2")]
    made = plan(rows, {**kept(rows[0], "completed"), **kept(rows[1], "failed")})
    assert str(made) == "night: 2 rows\n  rows    1 completed, 1 failed\n  to buy  0"
    assert made.one_line() == "night: 2 rows (1 completed, 1 failed)"
