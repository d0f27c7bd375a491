"""List polling: one page of a provider's list answers for many jobs.

A `ListPolling` holds the jobs of one account in one use of the loop. A `PageWalk` goes through the pages; each of them
is a `PageTask`. Where the provider answers for many jobs by their ids, a page is one question about some of them. This
module decides when a page is cheaper than single polls, which pages are requested at the same
time, and which jobs their rows are about. Nothing is sent here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..errors import AnswerError
from ..events import Event
from ..faults import Fault
from ..job import Job
from ..model import Page, Snapshot
from .account_state import AccountState
from .call import Call, build
from .task import Context, Step, Task
from .watch import Watch

if TYPE_CHECKING:
    from .loop import Run

Token = str | tuple[str, ...] | None
"""What names a page: its token, None for the first page, or the ids that it is asked about."""

WORTH = 10
"""So many jobs must wait for each page: a page is some times as long as one answer."""

AGAIN = 60.0
"""Seconds of single polls after a list that failed, or that had too many pages."""


class PageTask(Task):
    """The request for one page of a list. `token` is that of the page, None for the first; or it is a tuple of ids."""

    __slots__ = ("number", "token", "walk")

    queues = True
    counts = False

    def __init__(self, walk: PageWalk, number: int, token: Token) -> None:
        super().__init__(walk.account, None)
        self.begun = True  # whatever goes wrong with it is a fault, and the jobs are polled one by one
        self.walk = walk
        self.number = number
        self.token = token

    def ask(self) -> Call[Page]:
        opened, spec = self.account.opened, self.account.provider.list_polling
        assert spec is not None
        if isinstance(self.token, tuple):
            assert spec.batch is not None
            return Call(opened, spec.batch, build(opened, spec.batch, self.token))
        listed = self.account.provider.list
        assert listed is not None
        return Call(opened, listed, build(opened, listed, dict(spec.fields), self.token), self.token or "")

    def digest(self, value: object, context: Context) -> Step:
        now, limiter = context.now(), self.account.limiter
        if isinstance(value, Page):
            limiter.good()
            self.walk.take(value, self.number, self.asked_at)
            return Step([])
        fault = value if isinstance(value, Fault) else Fault(f"no list: {_shown(value)}")
        self.streak.bear(fault, now)
        limiter.bear("", fault, self.asked_at, now, context.random)
        self._again_at(fault, context)
        self.walk.fail()
        return Step([])

    def after(self, run: Run) -> Iterator[tuple[Job, Event]]:
        polling = run.lists[self.account]
        polling.go_on(run)
        if self.walk.over:
            yield from polling.finish(run)


class PageWalk:
    """One walk through the pages of an account's list, until all jobs in `wanted` were seen.

    At most `most` pages are asked for, the first `at_once` of them at the same time, as far as their tokens are known:
    at first those in `todo`.
    """

    def __init__(
        self, account: AccountState, wanted: set[str], most: int, at_once: int, todo: Sequence[Token] = (None,)
    ) -> None:
        self.account = account
        self.wanted = wanted
        self.rows: dict[str, tuple[Snapshot, float]] = {}
        """What each row said about a job, and when it was asked for."""
        self.whole = True
        """Whether it came to its end; not where a page failed, or there were too many of them."""
        self._most, self._at_once = most, at_once
        self.pages: list[PageTask] = []
        """Those that were asked for."""
        self.done = False
        """Whether no further page is asked for: all jobs were seen, a page has not come, or there were too many."""
        self._known: set[str] = set()
        self._todo: deque[Token] = deque(todo)
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
        self.pages += found
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

    def stop(self) -> None:
        """No further page is asked for."""
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

    def park(self, watch: Watch, run: Run) -> bool:
        """Have a job whose time has come wait for the walk through the list, where there is one or it is cheaper."""
        now = run.loop.now()
        if watch.job.id in self.ended:
            self.ended.discard(watch.job.id)
            return False
        if self.walk is None and not self.worth(now):
            return False
        self.parked[watch.job.id] = watch
        if watch.deadline is not None:  # a walk may take longer than one request
            run.plan_end(watch, max(watch.deadline, now) + run.bound)
        if self.walk is None:
            self.begin()
            self.go_on(run)
        return True

    def worth(self, now: float) -> bool:
        """Whether a walk through the list is cheaper than a poll of each job."""
        if now < self._not_before or not self.account.limiter.well(now):
            return False
        return len(self.watches) >= (2 if self._by_ids else WORTH) * self._due

    @property
    def _by_ids(self) -> bool:
        return self.account.provider.list_polling.batch is not None  # type: ignore[union-attr]  # it is why we are here

    @property
    def _rows(self) -> int:
        return self.account.provider.list_polling.rows  # type: ignore[union-attr]

    @property
    def _due(self) -> int:
        """How many pages a walk is likely to need."""
        pages = math.ceil(len(self.watches) / self._rows)
        return pages if self._by_ids else max(self._pages, pages)

    def forget(self, job_id: str) -> None:
        """A job is no longer waited for."""
        self.watches.pop(job_id, None)
        self.parked.pop(job_id, None)
        self.ended.discard(job_id)

    def begin(self) -> None:
        """A new walk: by ids, those whose time has come and all others fill the questions."""
        wanted, due = set(self.watches), self._due
        if self._by_ids:
            ids = [*self.parked, *(job_id for job_id in self.watches if job_id not in self.parked)]
            todo = [tuple(ids[at : at + self._rows]) for at in range(0, len(ids), self._rows)]
            self.walk = PageWalk(self.account, wanted, len(todo), due, todo)
        else:
            self.walk = PageWalk(self.account, wanted, max(1, len(wanted) // WORTH), due)

    def go_on(self, run: Run) -> None:
        """Have the pages that are to be asked for queue, and those that need not be asked for any more leave."""
        walk = self.walk
        assert walk is not None
        for page in walk.further():
            run.enqueue(page)
        if walk.done:
            for _ in run.queue_of(self.account).withdraw(lambda task: task in walk.pages):
                walk.withdraw()

    def stop(self, run: Run) -> None:
        """Ask for no further page of the walk that is under way."""
        if self.walk is not None:
            self.walk.stop()
            self.go_on(run)
            if self.walk.over:  # no answer of it will come, and end it
                parked, self.walk, self.parked = self.parked, None, {}
                for watch in parked.values():
                    run.enqueue(watch)

    def finish(self, run: Run) -> Iterator[tuple[Job, Event]]:
        """The walk is over: its rows move their jobs, and the parked jobs that no row names are polled one by one."""
        now, walk, parked = run.loop.now(), self.walk, self.parked
        assert walk is not None
        self.walk, self.parked, self._pages = None, {}, walk.needed
        if not walk.whole:
            self._not_before = now + AGAIN
        for job_id, watch in parked.items():
            if job_id not in walk.rows or self._unconfirmed(walk.rows[job_id][0]) or not watch.ours:
                run.enqueue(watch)
        for job_id, (row, asked_at) in walk.rows.items():
            found = self.watches.get(job_id)
            if found is None or (found.planned is None and job_id not in parked):  # ended, or being polled
                continue
            if self._unconfirmed(row):
                if job_id not in parked:
                    self.ended.add(job_id)
                    run.plan(found, now)
            elif found.ours:
                found.planned = None
                listed = partial(found.listed, row, asked_at, run.loop.context)
                yield from run.settle(found, run.guarded(found, listed))

    def _unconfirmed(self, row: Snapshot) -> bool:
        """Whether a row has a verdict that a poll is to confirm. A whole record's counts, unless files are late."""
        whole = self.account.provider.list_polling.whole  # type: ignore[union-attr]
        return row.state.final and (row.files_late or not whole)


def _shown(value: object) -> str:
    return str(value) if isinstance(value, AnswerError) else f"the plugin's parser gave {type(value).__name__}"
