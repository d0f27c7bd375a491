"""What follows from a refusal or a failure: the whole table."""

from __future__ import annotations

import math

import pytest

from vidpoll.batch.retries import (
    CAPACITY,
    PAUSE,
    REJECTED,
    Follows,
    Health,
    Retries,
    after_failure,
    after_refusal,
    after_take,
)
from vidpoll.errors import CATEGORIES

FREE, PAID = Retries(1, 0), Retries(1, 1)


def test_a_refusal_by_its_class() -> None:
    """What is free of charge and passes waits; money and key stop the account; a bad row is never sent again."""
    assert {category: after_refusal(category, 0, FREE).value for category in ["", *CATEGORIES]} == {
        "": "fail",
        "capacity": "full",
        "rate": "pause",
        "quota": "sleep",
        "money": "stop",
        "auth": "stop",
        "input": "fail",
        "moderated_input": "fail",
        "moderated_output": "fail",
        "internal": "again",
        "expired": "again",
    }
    assert [after_refusal("internal", before, FREE) for before in (0, 1)] == [Follows.AGAIN, Follows.FAIL]


def test_a_failed_job_by_its_class_and_who_pays() -> None:
    """What is not known to be free is not bought again for no known reason."""
    told = {
        category: [after_failure(category, charged, {}, FREE).value for charged in (True, False, None)]
        for category in ["", *CATEGORIES]
    }
    assert told == {
        "": ["fail", "again", "fail"],
        **dict.fromkeys(("capacity", "rate"), ["again"] * 3),
        "quota": ["sleep"] * 3,
        **dict.fromkeys(("money", "auth"), ["stop"] * 3),
        **dict.fromkeys(("input", "moderated_input"), ["fail"] * 3),
        "moderated_output": ["fail", "again", "fail"],
        **dict.fromkeys(("internal", "expired"), ["again"] * 3),
    }


@pytest.mark.parametrize(
    ("category", "charged", "retries", "times"),
    [
        ("capacity", None, FREE, CAPACITY),
        ("internal", None, FREE, 1),
        ("internal", None, Retries(3, 0), 3),
        ("internal", None, Retries(0, 9), 0),
        ("moderated_output", True, PAID, 1),
        ("moderated_output", False, FREE, 1),
    ],
)
def test_a_row_is_tried_again_so_often(category: str, charged: bool | None, retries: Retries, times: int) -> None:
    again = [after_failure(category, charged, {category: n}, retries) is Follows.AGAIN for n in range(times + 2)]
    assert again == [True] * times + [False, False]


def test_a_take_that_is_not_accepted_is_a_paid_retry() -> None:
    assert [after_take({REJECTED: n}, PAID) for n in (0, 1)] == [Follows.AGAIN, Follows.FAIL]
    assert after_take({}, FREE) is Follows.FAIL


def test_unknown_submits_pause_an_account_and_three_in_a_row_stop_it() -> None:
    """Any answer between them begins the count anew."""
    one = Health().lost(100.0)
    two = one.lost(200.0)
    assert (one.held_until, two.held_until) == (100.0 + PAUSE, 200.0 + 2 * PAUSE)
    assert [one.stopped, two.stopped, two.lost(400.0).stopped] == ["", "", "unknown"]
    assert two.answered().lost(400.0).stopped == two.accepted().lost(400.0).stopped == ""
    assert Health().held_until == -math.inf


def test_the_first_rows_that_are_refused_alike_stop_an_account() -> None:
    alike = Health().refused("input", "no such model").refused("input", "no such model")
    assert [alike.stopped, alike.refused("input", "no such model").stopped] == ["", "refused alike"]
    assert alike.refused("input", "too long").stopped == ""
    assert [Health().submits(3), alike.submits(3), alike.accepted().submits(3), Health().lost(0.0).submits(3)] == [
        3, 1, 3, 1,
    ]  # fmt: skip
    assert alike.accepted().refused("input", "no such model").refused("input", "no such model").stopped == ""
    lucky = Health().accepted()
    for _ in range(5):
        lucky = lucky.refused("input", "no such model")
    assert lucky.stopped == ""
