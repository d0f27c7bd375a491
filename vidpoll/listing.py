"""List polling: one page of a provider's list answers for many jobs.

A `Sweep` holds the jobs of one account in one use of the loop; a `Listing` is one walk through the pages. Here it is
decided when a page is cheaper than single questions, and which jobs its rows are about. Nothing is sent here.
"""

from __future__ import annotations

import math

from .accounts import Endpoint
from .errors import AnswerError
from .faults import Fault
from .machine import Event
from .model import Page, Snapshot
from .question import Question, build
from .tasks import Setting, Task, Watch

WORTH = 10
"""So many jobs must wait for each page: a page is some times as long as one answer."""

AGAIN = 60.0
"""Seconds of single questions after a list that failed, or that had too many pages."""


class Listing(Task):
    """One walk through the pages of an account's list, until all jobs in `wanted` were seen."""

    __slots__ = ("_most", "_next", "pages", "rows", "wanted", "whole")

    def __init__(self, endpoint: Endpoint, wanted: set[str], most: int) -> None:
        super().__init__(endpoint, None)
        self.single = False
        self.begun = True  # whatever goes wrong with it is a fault, and the jobs are asked about one by one
        self.wanted = wanted
        self.pages = 0
        self.rows: dict[str, tuple[Snapshot, float]] = {}
        """What each row said about a job, and when it was asked for."""
        self.whole = True
        """Whether it came to its end; not where a page failed, or there were too many of them."""
        self._most = most
        self._next: str | None = None

    def ask(self) -> Question[Page]:
        provider = self.endpoint.provider
        assert provider.list is not None
        assert provider.list_polling is not None
        request = build(self.endpoint, provider.list, dict(provider.list_polling.fields), self._next)
        return Question(self.endpoint, provider.list, request)

    def digest(self, value: object, setting: Setting) -> tuple[list[Event], float | None]:
        now, gate = setting.now(), self.endpoint.gate
        if not isinstance(value, Page):
            fault = value if isinstance(value, Fault) else Fault(f"no list: {_shown(value)}")
            self.patience.bear(fault, now)
            gate.bear("", fault, self.asked_at, now, setting.random)
            self._after(fault, setting)
            self.whole = False
            return [], None
        gate.good()
        self.pages += 1
        self.rows.update((row.job_id, (row, self.asked_at)) for row in value.items if row.job_id in self.wanted)
        following, self._next = self._next, value.next
        if value.next is None or value.next == following or len(self.rows) == len(self.wanted):
            return [], None
        self.whole = self.pages < self._most
        return [], now if self.whole else None

    def expire(self, setting: Setting, error: object = None) -> list[Event]:
        return []


class Sweep:
    """The jobs of one account that may be asked about by its list."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.watches: dict[str, Watch] = {}
        self.parked: dict[str, Watch] = {}
        """Those whose time has come, and who wait for the walk that is under way."""
        self.ended: set[str] = set()
        """Those whose row has a verdict, which a status request is to confirm."""
        self.listing: Listing | None = None
        self._pages = 0
        self._not_before = -math.inf

    def serves(self, job_id: str, now: float) -> bool:
        """Whether a job whose time has come is to wait for the list."""
        if job_id in self.ended:
            self.ended.discard(job_id)
            return False
        return self.listing is not None or self.worth(now)

    def worth(self, now: float) -> bool:
        """Whether a walk through the list is cheaper than a question for each job."""
        polling, jobs = self.endpoint.provider.list_polling, len(self.watches)
        if polling is None or now < self._not_before or not self.endpoint.gate.well(now):
            return False
        return jobs >= WORTH * max(self._pages, math.ceil(jobs / polling.rows))

    def forget(self, job_id: str) -> None:
        """A job is no longer waited for."""
        self.watches.pop(job_id, None)
        self.parked.pop(job_id, None)
        self.ended.discard(job_id)

    def begin(self) -> Listing:
        """A new walk."""
        self.listing = Listing(self.endpoint, set(self.watches), max(1, len(self.watches) // WORTH))
        return self.listing

    def end(self, now: float) -> list[Watch]:
        """The walk is over; those who waited for it and are in no row, to be asked about one by one."""
        listing, parked = self.listing, self.parked
        assert listing is not None
        self.listing, self.parked = None, {}
        self._pages = listing.pages
        if not listing.whole:
            self._not_before = now + AGAIN
        return [watch for job_id, watch in parked.items() if job_id not in listing.rows]


def _shown(value: object) -> str:
    return str(value) if isinstance(value, AnswerError) else f"the plugin's parser gave {type(value).__name__}"
