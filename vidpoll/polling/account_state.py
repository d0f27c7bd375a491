"""What a client learns about an account while it polls: its limiter, and how long its jobs take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from ..model import Response
from ..net.accounts import OpenAccount, WireRequest
from ..net.workers import Ticket
from ..pacing.forecast import Law
from ..pacing.foresight import spans
from ..pacing.limiter import AccountLimiter
from .small_files import fetch

LEARNT = 64
"""Durations of finished jobs that are remembered; the latest count."""

FOR_EVER = 1e9
"""Seconds: a longer duration is an error in the times of a response or a store, and is ignored."""


def _alone(wants: bool) -> None:
    """Do nothing: only this process uses the account's rate."""


class AccountState:
    """An open account as one client uses it. All threads of the client share it."""

    def __init__(self, opened: OpenAccount, send: Callable[[WireRequest, Ticket], Response], sharers: int = 1) -> None:
        pacing = opened.provider.pacing
        self.opened = opened
        self.fetch = partial(fetch, opened, send)
        """Fetches a small file whose URL the provider gave."""
        self.name = opened.name
        self.provider = opened.provider
        self.limiter = AccountLimiter(pacing.floor, pacing.rate, sharers)
        self.share: Callable[[bool], None] = _alone
        """Exchanges what the processes that share the account's rate know about it."""
        self.law = None if pacing.typical is None else Law.of(pacing.typical)
        """How long jobs of this account take, as declared or learnt; None if neither."""
        self.ranges = spans(opened.provider.stages)
        """The range of progress that each stage covers, for the stages that declare one."""
        self._durations: deque[float] = deque(maxlen=LEARNT)

    def learn(self, durations: Iterable[float]) -> None:
        """Learn from the durations of finished jobs, in seconds, the latest last."""
        known = [seconds for seconds in durations if 0 < seconds < FOR_EVER]
        self._durations.extend(known)
        if known:
            self.law = Law.of(self.provider.pacing.typical).learnt(tuple(self._durations))
