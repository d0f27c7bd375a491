"""What an answer that is no good answer means, how long it asks us to wait, and how much of it is borne."""

from __future__ import annotations

import pickle
from email.utils import formatdate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpoll.errors import CATEGORIES, KINDS
from vidpoll.faults import CAP, LONGEST_HINT, FailureStreak, Fault, Meaning, NoAnswer, exhausted, hint, status_of
from vidpoll.model import Response

few = settings(max_examples=20, deadline=None)  # enough to find what is wrong, few enough to run always

NOW = 1_795_262_400.0  # 2026-11-21 12:00:00 UTC
HUGE = "9" * 400


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"Retry-After": formatdate(NOW - 30, usegmt=True)}, 0.0),
        ({"Retry-After": "21 Nov 2026 12:00:30"}, 30.0),
        ({"Retry-After": "2026-11-21T12:00:30Z"}, 30.0),
        ({"Retry-After": "2026-11-21T20:00:30+08:00"}, 30.0),
        ({"Retry-After": "100000000"}, LONGEST_HINT),
        ({"Retry-After": "2090-01-01T00:00:00Z"}, LONGEST_HINT),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "1e400"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": HUGE}, None),
        ({"Retry-After": "2026-11-21"}, None),
        ({"Retry-After": "Fri, 99 Foo 9999 99:99:99 GMT"}, None),
        ({"Retry-After": f"{NOW + 30:.0f}"}, 30.0),
        ({"Retry-After": f"{NOW + 30:.0f}.5"}, 30.5),
        ({"Retry-After": f"{(NOW + 30) * 1000:.0f}"}, 30.0),
        ({"Retry-After": f"{NOW - 30:.0f}"}, 0.0),
        ({"Retry-After": "9999999999"}, LONGEST_HINT),
        ({"retry-after-ms": f"{(NOW + 30) * 1000:.0f}"}, 30.0),
        ({"retry-after-ms": f"{NOW + 30:.0f}"}, 30.0),
        ({"Retry-After": "7, 30"}, 30.0),
        ({"Retry-After": "30, soon, 7"}, 30.0),
        ({"Retry-After": f"5, {formatdate(NOW + 30, usegmt=True)}, 7"}, 30.0),
        ({"Retry-After": f"{formatdate(NOW + 30, usegmt=True)}, {formatdate(NOW + 40, usegmt=True)}"}, 40.0),
        ({"Retry-After": "Saturday, 21-Nov-26 12:00:30 GMT, 7"}, 30.0),
        ({"Retry-After": "30s"}, 30.0),
        ({"Retry-After": "1m30s"}, 90.0),
        ({"Retry-After": "500 ms"}, 0.5),
        ({"Retry-After": "\x1f7\x1c"}, 7.0),
        ({"retry-after-ms": "\x1d1500"}, 1.5),
        ({"Retry-After": "\x1c2026-11-21T12:00:30Z\x1f"}, 30.0),
        ({"Retry-After": "\u0667"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"openai-poll-after-ms": "5000"}, 5.0),
        ({"retry-after-ms": HUGE}, None),
        ({"retry-after-ms": "-1"}, None),
        ({"retry-after-ms": "1500", "Retry-After": "1"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "1"}, 1.0),
    ],
    ids=lambda value: str(value)[:60],
)
def test_hint(headers: dict[str, str], seconds: float | None) -> None:
    """Every form in which providers ask for patience is read; what cannot be read is dropped; an hour is the most."""
    assert hint(Response(429, headers), NOW) == seconds


@pytest.mark.parametrize(
    ("status", "body", "seconds"),
    [
        (429, b'{"detail": "slow", "retry_after": 10}', 10.0),
        (429, b'{"retry_after": "2.5"}', 2.5),
        (429, b'{"retry_after": -1}', None),
        (429, b'{"retry_after": true}', None),
        (429, b'{"retry_after": NaN}', None),
        (429, b'{"retry_after": 1e300}', None),
        (429, b'["retry_after"]', None),
        (429, b"slow down", None),
        (503, b'{"retry_after": 10}', None),
    ],
)
def test_hint_of_a_body(status: int, body: bytes, seconds: float | None) -> None:
    """A 429 may say in its body how long to wait; what is no span there is dropped, too."""
    assert hint(Response(status, {}, body), NOW) == seconds


@pytest.mark.parametrize("name", ["Retry-After", "retry-after-ms", "X-RateLimit-Reset"])
@few
@given(
    value=st.text()
    | st.text(st.sampled_from("0123456789 .,:-+TZmsGMTFri\x00\x1c\x1d\x1e\x1f\x85\xa0\u2007\xb2\u0667"))
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,4} [A-Z][a-z]{2} -?\d{1,6} \d{1,3}:\d{1,3}:\d{1,3} [+-]?\w{1,6}")
)
def test_no_header_can_break_the_loop(name: str, value: str) -> None:
    """Rule 7: any header is a number of seconds between 0 and an hour, or nothing."""
    response = Response(429, {"X-RateLimit-Remaining": "0", name: value})
    for seconds in (hint(response, NOW), exhausted(response, NOW)):
        assert seconds is None or 0 <= seconds <= LONGEST_HINT


@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", f"{NOW + 20:.0f}", 20.0),
        ("0", f"{(NOW + 20) * 1000:.0f}", 20.0),
        ("0", "20", 20.0),
        ("0", f"{NOW - 20:.0f}", 0.0),
        ("0", "9" * 15, LONGEST_HINT),
        ("0", None, None),
        ("0", "soon", None),
        ("0", HUGE, None),
        ("1", "20", None),
        ("-1", "20", None),
        (None, "20", None),
        ("none", "20", None),
    ],
)
def test_exhausted(remaining: str | None, reset: str | None, seconds: float | None) -> None:
    """Only `Remaining: 0` with a reset that can be read stops the account, for an hour at most; `X-` may be missing."""
    for prefix in ("X-RateLimit", "RateLimit"):
        named = {f"{prefix}-Remaining": remaining, f"{prefix}-Reset": reset}
        assert exhausted(Response(200, {k: v for k, v in named.items() if v is not None}), NOW) == seconds


@pytest.mark.parametrize(
    ("statuses", "meaning"),
    [
        ((None, 405, 408, 409, 413, 418, 422, 425, 429, 500, 501, 502, 503, 504, 520, 599), Meaning.TRANSIENT),
        ((400, 401, 402, 403, 451), Meaning.REFUSAL),
        ((404,), Meaning.MISSING),
        ((410,), Meaning.GONE),
    ],
)
def test_what_a_status_means(statuses: tuple[int | None, ...], meaning: Meaning) -> None:
    """Borne, told after one more request, confirmed, or the provider's word that the job has expired."""
    assert {Fault("x", status).meaning for status in statuses} == {meaning}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "input"), (401, "auth"), (402, "money"), (403, "auth"), (404, "not found"),
        (405, "input"), (409, "conflict"), (413, "input"), (422, "input"),
        (410, "expired"), (429, "rate"), (500, "internal"), (503, "internal"), (418, "unknown"), (None, "unknown"),
    ],
)  # fmt: skip
def test_the_kind_of_a_refusal(status: int | None, kind: str) -> None:
    """Every status has a kind, and every kind an error class."""
    assert Fault("x", status).kind == kind
    assert kind in KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_200_that_is_a_refusal_counts_as_its_status(kind: str) -> None:
    """Refused(kind) and the status that it stands for are the same error."""
    assert Fault("x", status_of(kind)).error is KINDS[kind]


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (401, "auth"), (403, "auth"), (402, "money"), (400, "input"), (413, "input"), (422, "input"), (429, "rate"),
        (500, "internal"), (503, "internal"), (410, "expired"), (404, None), (409, None), (451, None), (302, None),
        (None, None),
    ],
)  # fmt: skip
def test_the_class_of_failure_of_a_status(status: int | None, category: str | None) -> None:
    """Where no plugin declares anything, the HTTP status tells it, or nothing does."""
    assert Fault("x", status).category == category


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_plugin_declares_wins(kind: str) -> None:
    """A 403 that is money is money, and one that is "permission" is no class of failure: it may be about a model."""
    fault = Fault("x", status_of(kind), declared=kind)
    assert (fault.kind, fault.category) == (kind, kind if kind in CATEGORIES else None)


def test_a_bot_check_is_no_class_of_failure() -> None:
    """A page in the place of a 403 is not the provider's word about the key."""
    assert [Fault("x", status, page=True).category for status in (401, 403, 503)] == [None, None, "internal"]


def test_no_answer_says_whether_anything_was_sent() -> None:
    """Money: only what was certainly not sent may be sent again."""
    lost = [NoAnswer("reset"), NoAnswer("refused", sent=False)]
    assert [(str(each), each.sent) for each in lost] == [("reset", True), ("refused", False)]
    assert pickle.loads(pickle.dumps(lost[1])).sent is False


# -- patience ---------------------------------------------------------------------------------------------------------

BLIP, REFUSAL, MISSING = Fault("x", 503), Fault("x", 401), Fault("x", 404)


def borne(*faults: Fault, every: float = 10.0, since: float = 100.0) -> FailureStreak:
    patience = FailureStreak()
    for turn, fault in enumerate(faults):
        patience.bear(fault, since + turn * every)
    return patience


@pytest.mark.parametrize(
    ("faults", "in_a_row", "refusals", "missing"),
    [
        ([], 0, 0, 0),
        ([BLIP, BLIP], 2, 0, 0),
        ([REFUSAL, REFUSAL], 2, 2, 0),
        ([REFUSAL, BLIP, REFUSAL], 3, 1, 0),
        ([MISSING, MISSING, BLIP], 3, 0, 0),
        ([MISSING, MISSING, MISSING], 3, 0, 3),
        ([MISSING, REFUSAL], 2, 1, 0),
    ],
)
def test_counting(faults: list[Fault], in_a_row: int, refusals: int, missing: int) -> None:
    """Refusals and 404 count only while nothing else comes between; faults of all kinds count together."""
    patience = borne(*faults)
    assert (patience.in_a_row, patience.refusals, patience.missing) == (in_a_row, refusals, missing)


def test_a_good_answer_resets() -> None:
    """After a good answer the next fault is the first."""
    patience = borne(MISSING, REFUSAL, BLIP)
    patience.good()
    patience.bear(BLIP, 500.0)
    assert (patience.in_a_row, patience.first_at, patience.refusals, patience.missing) == (1, 500.0, 0, 0)


@pytest.mark.parametrize(
    ("count", "at", "over"),
    [(0, 1e9, False), (1, 1e9, False), (2, 1e9, False), (3, 699.9, False), (3, 700.0, True), (9, 700.0, True)],
)
def test_patience_is_time_not_count(count: int, at: float, over: bool) -> None:
    """At least three faults in a row, and `patience` seconds since the first of them: one late one is no outage."""
    assert borne(*[BLIP] * count).over(at, 600.0) is over


@few
@given(st.floats(0.001, 3600), st.integers(1, 5000), st.integers())
def test_the_gap_is_full_jitter_within_its_bounds(floor: float, in_a_row: int, seed: int) -> None:
    """Never under the provider's floor; up to floor times 2^k, at most a minute; no exponent overflows."""
    patience = FailureStreak()
    patience.in_a_row = in_a_row
    gap = patience.gap(floor, Random(seed))
    assert floor <= gap <= max(floor, min(floor * 2.0 ** min(in_a_row - 1, 60), CAP))


def test_the_jitter_is_spread() -> None:
    """Ten thousand clients that lost one server do not come back together."""
    patience = borne(*[BLIP] * 8)
    gaps = [patience.gap(1.0, Random(seed)) for seed in range(200)]
    assert min(gaps) < 5
    assert max(gaps) > 55
    assert len(set(gaps)) > 150
