"""The limiter of an account, where a loop is not needed to see it; tests/faults/test_many.py has it in a loop."""

from __future__ import annotations

from vidpoll.pacing.limiter import AccountLimiter


def test_polls_older_than_the_floor_are_forgotten() -> None:
    """An account that asks about ten thousand jobs remembers those of the last floor, not all."""
    limiter = AccountLimiter(5.0)
    for second in range(1000):
        assert limiter.reserve_slot(f"job-{second}", float(second)) == second
    assert len(limiter._asked) <= 7
    assert limiter.reserve_slot("job-999", 1000.0) == 999.0 + limiter.floor
