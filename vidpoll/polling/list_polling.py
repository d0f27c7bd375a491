"""List polling: one page of a provider's list gives the state of many jobs.

A `ListPolling` holds the jobs of one account in one use of the loop. A `PageWalk` goes through the pages; each page is
a `PageTask`. If the provider takes many ids in one request, a page is one request about some of the jobs. This module
decides when a page is cheaper than single polls, which pages are requested at the same time, and which jobs their rows
are about. Nothing is sent here.
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
"""Identifies a page: its token, None for the first page, or the ids that the request contains."""

WORTH = 10
"""A list is used only if at least this many jobs wait for each page, because a page is much longer than a status."""

AGAIN = 60.0
"""Seconds of single polls after a walk through the list that failed or had too many pages."""


class PageTask(Task):
    """The request for one page of a list. `token` is the page's token, None for the first page, or a tuple of ids."""

    __slots__ = ("number", "token", "walk")

    queues = True
    counts = False

    def __init__(self, walk: PageWalk, number: int, token: Token) -> None:
        super().__init__(walk.account, None)
        self.begun = True  # any failure is a fault, and the jobs are then polled one by one
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

    At most `most` pages are requested, the first `at_once` of them at the same time if their tokens are known. The
    walk begins with the tokens in `todo`.
    """

    def __init__(
        self, account: AccountState, wanted: set[str], most: int, at_once: int, todo: Sequence[Token] = (None,)
    ) -> None:
        self.account = account
        self.wanted = wanted
        self.rows: dict[str, tuple[Snapshot, float]] = {}
        """By job id: the job's row, and when its page was requested."""
        self.whole = True
        """Whether the walk ended normally: no page failed, and there were not too many."""
        self._most, self._at_once = most, at_once
        self.pages: list[PageTask] = []
        """The pages requested so far."""
        self.done = False
        """Whether no further page is requested: all jobs were seen, a page failed, or there were too many."""
        self._known: set[str] = set()
        self._todo: deque[Token] = deque(todo)
        self._asked = self._open = self._last = 0

    @property
    def over(self) -> bool:
        """Whether every requested page has arrived or failed."""
        return not self._open

    @property
    def needed(self) -> int:
        """How many pages it took to see all jobs; if some were not seen, the number of all pages."""
        return self._last if len(self.rows) == len(self.wanted) else self._asked

    def further(self) -> list[PageTask]:
        """The pages to request now."""
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
        """Take the rows of a page that arrived, and the tokens of further pages."""
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
        """Note that a page failed: the walk ends."""
        self._open -= 1
        if not self.done:
            self._end(whole=False)

    def stop(self) -> None:
        """Request no further page."""
        self._end(whole=False)

    def withdraw(self) -> None:
        """Note that a queued page will not be requested."""
        self._open -= 1

    def _end(self, *, whole: bool) -> None:
        self.whole, self.done = whole, True
        self._todo.clear()


class ListPolling:
    """The jobs of one account that may be polled through its list."""

    def __init__(self, account: AccountState) -> None:
        self.account = account
        self.watches: dict[str, Watch] = {}
        self.parked: dict[str, Watch] = {}
        """The jobs whose poll time has come and that wait for the current walk instead."""
        self.ended: set[str] = set()
        """The jobs whose row has a verdict that a status request must confirm."""
        self.walk: PageWalk | None = None
        self._pages = 0
        self._not_before = -math.inf

    def park(self, watch: Watch, run: Run) -> bool:
        """Whether a job whose poll time has come waits for a walk through the list: one is under way, or is cheaper."""
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
        """Stop following a job."""
        self.watches.pop(job_id, None)
        self.parked.pop(job_id, None)
        self.ended.discard(job_id)

    def begin(self) -> None:
        """Begin a walk. By ids, the jobs whose time has come go first, and all others fill the requests."""
        wanted, due = set(self.watches), self._due
        if self._by_ids:
            ids = [*self.parked, *(job_id for job_id in self.watches if job_id not in self.parked)]
            todo = [tuple(ids[at : at + self._rows]) for at in range(0, len(ids), self._rows)]
            self.walk = PageWalk(self.account, wanted, len(todo), due, todo)
        else:
            self.walk = PageWalk(self.account, wanted, max(1, len(wanted) // WORTH), due)

    def go_on(self, run: Run) -> None:
        """Queue the next pages; if the walk is done, withdraw the queued ones."""
        walk = self.walk
        assert walk is not None
        for page in walk.further():
            run.enqueue(page)
        if walk.done:
            for _ in run.queue_of(self.account).withdraw(lambda task: task in walk.pages):
                walk.withdraw()

    def stop(self, run: Run) -> None:
        """Request no further page of the current walk."""
        if self.walk is not None:
            self.walk.stop()
            self.go_on(run)
            if self.walk.over:  # no response will arrive that would end it
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
        """Whether a poll must confirm the row's verdict: not if rows are whole records and no files are late."""
        whole = self.account.provider.list_polling.whole  # type: ignore[union-attr]
        return row.state.final and (row.files_late or not whole)


def _shown(value: object) -> str:
    return str(value) if isinstance(value, AnswerError) else f"the plugin's parser gave {type(value).__name__}"
