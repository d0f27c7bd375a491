"""The rate of an account that has parts: each process draws blocks of it from the store, for polls and for submits.

If the store fails, each process keeps to its fair share, so that the rate still holds.
"""

from __future__ import annotations

from collections.abc import Callable

from ..fork_lock import ForkLock
from ..pacing.limiter import AccountLimiter
from .keeper import Keeper


class SharedRate:
    """Limits an account to the rate that all its processes share. `now` returns monotonic seconds."""

    def __init__(self, keeper: Keeper, account: str, limiter: AccountLimiter, now: Callable[[], float]) -> None:
        self._keeper, self._account, self._limiter, self._now = keeper, account, limiter, now
        self._lock = ForkLock()

    def __call__(self, wants: bool) -> None:
        """Draw a block if one is needed, and share what this process has learnt. `wants`: a request is waiting."""
        if not self._limiter.draws(self._now(), wants=wants):
            return
        with self._lock.current:
            now = self._now()  # before the call: so a block ends here before it ends in the store
            if not self._limiter.draws(now, wants=wants):  # another thread was faster
                return
            wants = wants and self._limiter.rate.blocked(now)
            wanted, rate, told = self._limiter.asks(now, wants=wants)
            store, account = self._keeper.store, self._account
            block = self._keeper.attempt(lambda: store.spend(account, wanted, rate, told), spare=True)
            self._limiter.drawn(block, told, now, wants=wants)
