"""What is said about a batch in words: money, prices, until when."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo

import pytest

import vidpoll
from vidpoll import Cost, Price
from vidpoll.batch.options import Money, learnt, listed, parse_budget, parse_prices, parse_until, price_of, unit_of
from vidpoll.batch.rows import Row


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("40 USD", Money(40, "USD")),
        ("40usd", Money(40, "USD")),
        ("$0.5", Money(0.5, "USD")),
        ("€ 12", Money(12, "EUR")),
        ("4000 credits", Money(4000, "credits")),
        ("1 Credit", Money(1, "credits")),
        (" 7 GPU seconds ", Money(7, "GPU seconds")),
    ],
)
def test_budget(text: str, money: Money) -> None:
    """An amount with its unit, in the spellings that people use."""
    assert parse_budget(text) == money


@pytest.mark.parametrize(
    "text", ["40", "USD", "0 USD", "-4 USD", "1,5 USD", "1,500 USD", "4e3 USD", "nan USD", "$4 USD", "", 40, None, True]
)
def test_no_budget(text: object) -> None:
    """An amount without its unit might be any; 1,5 might be 15."""
    with pytest.raises(vidpoll.UsageError) as caught:
        parse_budget(text)
    said = f"budget must be an amount above 0 with its unit, like '40 USD' or '4000 credits', got {text!r}"
    assert caught.value.message == said + HINTS.get(str(text), "")


HINTS = {
    "1,5 USD": "; write a decimal point: '1.5 USD'",
    "1,500 USD": "; a comma may mean two numbers: write '1500 USD' or '1.5 USD'",
}


def test_prices() -> None:
    """By account and kind; a price of 0 is one that somebody said."""
    assert parse_prices({"kling/text2video": "0.35USD", "comfy/a/b": "0 USD"}) == {
        ("kling", "text2video"): Price(0.35, 0.35, "USD", "given"),
        ("comfy", "a/b"): Price(0, 0, "USD", "given"),
    }


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ({"kling": "1 USD"}, "price 'kling' must name ACCOUNT/KIND, like 'kling/text2video'"),
        ({7: "1 USD"}, "price 7 must name ACCOUNT/KIND, like 'kling/text2video'"),
        (
            {"kling/text2video": 0.35},
            "price of 'kling/text2video' must be an amount with its unit, like '0.35USD', got 0.35",
        ),
        (
            {"kling/text2video": "0,35USD"},
            (
                "price of 'kling/text2video' must be an amount with its unit, like '0.35USD', got '0,35USD'"
                "; write a decimal point: '0.35USD'"
            ),
        ),
        ("0.35USD", "price must be a dict like {'kling/text2video': '0.35USD'}, got '0.35USD'"),
    ],
)
def test_no_prices(prices: object, said: str) -> None:
    """The error says how it is written."""
    with pytest.raises(vidpoll.UsageError) as caught:
        parse_prices(prices)
    assert caught.value.message == said


def test_the_ladder() -> None:
    """The first who knows a price tells it; where nobody does there is none, and never one of 0."""
    row = Row("k", "kling", "text2video", {}, "", "row 2")
    documented = Price(0.3, 0.4, "USD", "documented")
    given = listed(parse_prices({"kling/text2video": "1 USD", "vidu/t2v": "2 USD"}))
    assert price_of(row, [lambda row: None, lambda row: documented, given]) == documented
    assert price_of(row, [given, lambda row: documented]) == Price(1, 1, "USD", "given")
    assert price_of(row, [lambda row: None]) is None
    free = Price(0.0, 0.0, "USD", "documented")
    assert price_of(row, [lambda row: free, given]) == free


def test_learnt() -> None:
    """What jobs really cost, refunds taken off; of the unit that counts now."""
    costs = [Cost(9, unit="USD"), Cost(10), Cost(20), Cost(50, refunded=20)]
    assert learnt(costs) == Price(20, 30, "credits", "history")
    assert learnt([]) is None
    assert (unit_of("usd"), unit_of("CREDIT"), unit_of(" GPU  seconds")) == ("USD", "credits", "GPU seconds")


class Rome(tzinfo):
    """A zone with the rules of 2027 in Italy: one hour more from 28 March 02:00 to 31 October 03:00."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        assert moment is not None
        return timedelta(hours=1) + self.dst(moment)

    def dst(self, moment: datetime | None) -> timedelta:
        assert moment is not None
        naive = moment.replace(tzinfo=None, fold=0)
        late = datetime(2027, 10, 31, 2)
        if late <= naive < late + timedelta(hours=1):
            return timedelta(hours=1 - moment.fold)
        begins = datetime(2027, 3, 28, 3 if moment.fold == 0 else 2)  # in the gap fold 0 has the offset before it
        return timedelta(hours=1 if begins <= naive < late else 0)

    def fromutc(self, moment: datetime) -> datetime:
        summer = datetime(2027, 3, 28, 1) <= moment.replace(tzinfo=None) < datetime(2027, 10, 31, 1)
        local = moment + timedelta(hours=2 if summer else 1)
        back = datetime(2027, 10, 31, 1) <= moment.replace(tzinfo=None) < datetime(2027, 10, 31, 2)
        return local.replace(fold=int(back))

    def tzname(self, moment: datetime | None) -> str:
        return "Rome"


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("until", "now", "then"),
    [
        ("07:00", "2027-02-01T22:00", "2027-02-02T06:00"),
        ("7:00", "2027-02-01T05:59", "2027-02-01T06:00"),
        ("07:00", "2027-02-01T06:00", "2027-02-02T06:00"),
        ("07:00:30", "2027-02-01T06:00", "2027-02-01T06:00:30"),
        ("07:00", "2027-03-27T22:00", "2027-03-28T05:00"),  # the night is an hour shorter
        ("07:00", "2027-10-30T22:00", "2027-10-31T06:00"),  # and an hour longer
        ("02:30", "2027-03-27T22:00", "2027-03-28T01:30"),  # clocks never show it: as long after midnight
        ("02:30", "2027-10-30T22:00", "2027-10-31T00:30"),  # they show it twice
        ("02:30", "2027-10-31T00:40", "2027-10-31T01:30"),
        ("02:30", "2027-10-31T01:40", "2027-11-01T01:30"),
        ("2027-03-01T07:00", "2027-02-01T22:00", "2027-03-01T06:00"),
        ("2027-07-01 07:00", "2027-02-01T22:00", "2027-07-01T05:00"),
        ("2027-03-01T07:00Z", "2027-02-01T22:00", "2027-03-01T07:00"),
        ("2027-03-01T07:00-05:00", "2027-02-01T22:00", "2027-03-01T12:00"),
    ],
)
def test_until(until: str, now: str, then: str) -> None:
    """The next time that the clocks show it, also in a night in which they are put."""
    assert parse_until(until, utc(now), Rome()) == utc(then)


def test_until_by_this_machines_clock() -> None:
    """Without a zone the machine's own counts; a datetime is one."""
    now = datetime(2027, 2, 1, 22).timestamp()
    assert parse_until("07:00", now) == datetime(2027, 2, 2, 7).timestamp()
    assert parse_until(datetime(2027, 2, 2, 7), now) == datetime(2027, 2, 2, 7).timestamp()
    assert parse_until(datetime(2027, 2, 3, 7, tzinfo=timezone.utc), now) == utc("2027-02-03T07:00")


@pytest.mark.parametrize(
    "until", ["24:00", "7", "7am", "07:60", "tomorrow", "2027-03-01", "", None, 7, "2027-02-30T07:00"]
)
def test_no_time(until: object) -> None:
    """The error says how a time is written."""
    with pytest.raises(vidpoll.UsageError) as caught:
        parse_until(until, 0.0)
    assert caught.value.message == (
        f"until must be a time of day like '07:00', or a date and time like '2027-03-01T07:00', got {until!r}"
    )


def test_a_time_that_is_over() -> None:
    """A date that has been would end the batch before it begins."""
    with pytest.raises(vidpoll.UsageError) as caught:
        parse_until("2027-03-01T07:00Z", utc("2027-03-01T07:00"))
    assert caught.value.message == "until must be in the future, got '2027-03-01T07:00Z'"
