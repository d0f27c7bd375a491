"""The rate of an account that has parts: blocks of it are drawn from the store, for questions and for submits.

Where the store does not answer, each process keeps to its fair share, so that the rate holds all the same.
"""

from __future__ import annotations

from collections.abc import Callable

from ..fork_lock import ForkLock
from ..pacing.limiter import AccountLimiter
from .keeper import Keeper


class SharedRate:
    """Has the limiter of an account do what all processes together may do. `now` gives monotonic seconds."""

    def __init__(self, keeper: Keeper, account: str, limiter: AccountLimiter, now: Callable[[], float]) -> None:
        self._keeper, self._account, self._limiter, self._now = keeper, account, limiter, now
        self._lock = ForkLock()

    def __call__(self, wants: bool) -> None:
        """Ask for a block where one is needed, and tell what the others do not know; `wants`: a request is there."""
        if not self._limiter.draws(self._now(), wants=wants):
            return
        with self._lock:
            now = self._now()  # before it is sent: a block is over here before it is over there
            if not self._limiter.draws(now, wants=wants):  # another thread was faster
                return
            wants = wants and self._limiter.rate.blocked(now)
            wanted, rate, told = self._limiter.asks(now, wants=wants)
            store, account = self._keeper.store, self._account
            block = self._keeper._try(lambda: store.spend(account, wanted, rate, told), spare=True)
            self._limiter.drawn(block, told, now, wants=wants)
