"""List polling: one page of a provider's list answers for many jobs.

A `ListPolling` holds the jobs of one account in one use of the loop. A `PageWalk` goes through the pages; each of them
is a `PageTask`. This module decides when a page is cheaper than single polls, which pages are requested at the same
time, and which jobs their rows are about. Nothing is sent here.
"""

from __future__ import annotations

import math
from collections import deque

from ..errors import AnswerError
from ..events import Event
from ..faults import Fault
from ..model import Page, Snapshot
from .account_state import AccountState
from .call import Call, build
from .task import Context, Task
from .watch import Watch

WORTH = 10
"""So many jobs must wait for each page: a page is some times as long as one answer."""

AGAIN = 60.0
"""Seconds of single questions after a list that failed, or that had too many pages."""


class PageTask(Task):
    """The question for one page of a list. `token` is that of the page; None for the first one."""

    __slots__ = ("number", "token", "walk")

    def __init__(self, walk: PageWalk, number: int, token: str | None) -> None:
        super().__init__(walk.account, None)
        self.single = False
        self.begun = True  # whatever goes wrong with it is a fault, and the jobs are asked about one by one
        self.walk = walk
        self.number = number
        self.token = token

    def ask(self) -> Call[Page]:
        provider = self.account.provider
        assert provider.list is not None
        assert provider.list_polling is not None
        request = build(self.account.opened, provider.list, dict(provider.list_polling.fields), self.token)
        return Call(self.account.opened, provider.list, request)

    def digest(self, value: object, context: Context) -> tuple[list[Event], float | None]:
        now, limiter = context.now(), self.account.limiter
        if isinstance(value, Page):
            limiter.good()
            self.walk.take(value, self.number, self.asked_at)
            return [], None
        fault = value if isinstance(value, Fault) else Fault(f"no list: {_shown(value)}")
        self.patience.bear(fault, now)
        limiter.bear("", fault, self.asked_at, now, context.random)
        self._after(fault, context)
        self.walk.fail()
        return [], None

    def expire(self, context: Context, error: object = None) -> list[Event]:
        return []


class PageWalk:
    """One walk through the pages of an account's list, until all jobs in `wanted` were seen.

    At most `most` pages are asked for, the first `at_once` of them at the same time, as far as their tokens are known.
    """

    def __init__(self, account: AccountState, wanted: set[str], most: int, at_once: int) -> None:
        self.account = account
        self.wanted = wanted
        self.rows: dict[str, tuple[Snapshot, float]] = {}
        """What each row said about a job, and when it was asked for."""
        self.whole = True
        """Whether it came to its end; not where a page failed, or there were too many of them."""
        self._most, self._at_once = most, at_once
        self.done = False
        """Whether no further page is asked for: all jobs were seen, a page has not come, or there were too many."""
        self._known: set[str] = set()
        self._todo: deque[str | None] = deque([None])
        self._asked = self._open = self._last = 0

    @property
    def over(self) -> bool:
        """Whether every page that was asked for has come, or has not."""
        return not self._open

    @property
    def needed(self) -> int:
        """How many pages it took to see all jobs; where some were not seen, all of them."""
        return self._last if len(self.rows) == len(self.wanted) else self._asked

    def further(self) -> list[PageTask]:
        """The pages that are to be asked for now."""
        found: list[PageTask] = []
        while self._todo and (not self._open or self._asked < self._at_once):
            if self._asked == self._most:
                self._end(whole=False)
                break
            self._asked += 1
            self._open += 1
            found.append(PageTask(self, self._asked, self._todo.popleft()))
        return found

    def take(self, page: Page, number: int, asked_at: float) -> None:
        """A page has come."""
        self._open -= 1
        rows = {row.job_id: (row, asked_at) for row in page.items if row.job_id in self.wanted}
        self.rows.update(rows)
        self._last = max(self._last, number if rows else 0)
        if len(self.rows) == len(self.wanted):
            self._end(whole=True)
        for token in (page.next, *page.further):
            if not (self.done or token is None or token in self._known):
                self._known.add(token)
                self._todo.append(token)

    def fail(self) -> None:
        """A page has not come."""
        self._open -= 1
        if not self.done:
            self._end(whole=False)

    def withdraw(self) -> None:
        """A page is not asked for after all."""
        self._open -= 1

    def _end(self, *, whole: bool) -> None:
        self.whole, self.done = whole, True
        self._todo.clear()


class ListPolling:
    """The jobs of one account that may be asked about by its list."""

    def __init__(self, account: AccountState) -> None:
        self.account = account
        self.watches: dict[str, Watch] = {}
        self.parked: dict[str, Watch] = {}
        """Those whose time has come, and who wait for the walk that is under way."""
        self.ended: set[str] = set()
        """Those whose row has a verdict, which a status request is to confirm."""
        self.walk: PageWalk | None = None
        self._pages = 0
        self._not_before = -math.inf

    def serves(self, job_id: str, now: float) -> bool:
        """Whether a job whose time has come is to wait for the list."""
        if job_id in self.ended:
            self.ended.discard(job_id)
            return False
        return self.walk is not None or self.worth(now)

    def worth(self, now: float) -> bool:
        """Whether a walk through the list is cheaper than a question for each job."""
        if now < self._not_before or not self.account.limiter.well(now):
            return False
        return len(self.watches) >= WORTH * self._due

    @property
    def _due(self) -> int:
        """How many pages a walk is likely to need."""
        polling = self.account.provider.list_polling
        assert polling is not None
        return max(self._pages, math.ceil(len(self.watches) / polling.rows))

    def forget(self, job_id: str) -> None:
        """A job is no longer waited for."""
        self.watches.pop(job_id, None)
        self.parked.pop(job_id, None)
        self.ended.discard(job_id)

    def begin(self) -> None:
        """A new walk."""
        self.walk = PageWalk(self.account, set(self.watches), max(1, len(self.watches) // WORTH), self._due)

    def end(self, now: float) -> list[Watch]:
        """The walk is over; those who waited for it and are in no row, to be asked about one by one."""
        walk, parked = self.walk, self.parked
        assert walk is not None
        self.walk, self.parked = None, {}
        self._pages = walk.needed
        if not walk.whole:
            self._not_before = now + AGAIN
        return [watch for job_id, watch in parked.items() if job_id not in walk.rows]


def _shown(value: object) -> str:
    return str(value) if isinstance(value, AnswerError) else f"the plugin's parser gave {type(value).__name__}"
