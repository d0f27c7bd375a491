"""When something is stored: the bridge between the loop, which knows no store, and the store, which knows no loop.

A `Keeper` belongs to a client with a store. It takes a lease before a job is polled, stores changes once a second and
at the end of a wait, and calls the hooks for a verdict only when the verdict is on disk. A wait survives a failing
store: the keeper warns once a minute, and the wait continues; but a submit that cannot be stored is not sent. Ids of
submits, and verdicts, that could not be stored are `Owed`: they are written before the next operation of the store.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from .. import caller_warnings
from ..clock import Clock
from ..errors import JobNotFound, StoreError
from ..events import Completed, Event, Failed, GaveUp, Polled, PollFailed, ProgressChanged, StageChanged
from ..fork_lock import ForkLock
from ..job import Job
from ..job_state import JobState
from ..model import State
from ..net.accounts import OpenAccount
from ..polling.watch import Watch
from ..pricing import Charge, settings
from . import records
from .intent import Intent, Submits
from .job_store import JobStore
from .kept_watch import KeptWatch
from .owed import Owed
from .records import KeptJob, Order, Saved, Submission, WantedFiles
from .store_file import StoreMoved

if TYPE_CHECKING:
    from .protocol import Store

log = logging.getLogger("vidpoll")

T = TypeVar("T")

Claim = Callable[[], Mapping[str, "bool | None"]]
"""For each reference: whether this process must report the verdict; None if the job is not kept."""

LEARNT = 32
"""The number of former jobs from which an account's durations are learnt."""

PRICED = 200
"""The number of former jobs that are searched for the price of a kind of job."""

SPARE = 30.0
"""Seconds that a lease must last beyond the next poll and its response."""

RENEWED = 120.0
"""Seconds by which a lease is longer than needed, so that it is seldom renewed."""

EVERY = 1.0
"""Seconds between two transactions with the facts of changed jobs."""

TROUBLE = 60.0
"""Seconds for which a failing store is not used, except for submits and verdicts."""


class Keeper:
    """The store of one client. `tell` calls the hooks; `bound` is how long one request may take, in seconds."""

    gather = 0.1

    def __init__(self, store: Store, clock: Clock, tell: Callable[[Job, Event], bool], bound: float) -> None:
        self.store = store
        self.bound = bound
        self._clock = clock
        self._tell = tell
        self._reset()
        self._spared = 0.0  # the monotonic second until which a failing store is not used
        self._owed = Owed()
        self.heard: set[str] = set()  # verdicts that were reported; the store may not know that yet
        self._reopening = ForkLock()
        self._submits = Submits(self._close)

    def _reset(self) -> None:
        self._waits: Counter[str] = Counter()
        self._held: dict[str, float] = {}  # by reference: the Unix second at which our lease ends
        self._counts: dict[str, list[int]] = {}  # requests and transient errors that are not stored yet
        self._changed: dict[str, Job] = {}  # jobs whose facts are not stored yet
        self._saved_at = -math.inf  # the monotonic second at which facts were stored last
        self._last: JobState | None = None  # the state that was stored last
        self._asked: dict[str, OpenAccount] = {}  # jobs that are polled once, and need not be kept
        self._telling: set[str] = set()
        self._lock = ForkLock(threading.RLock)  # reentrant: a signal handler may close the client

    @property
    def _alone(self) -> Any:
        """The lock of the waits and leases."""
        if self._lock.forked:  # a forked child does not own its parent's waits, leases and unstored changes
            self._reset()
        return self._lock.current

    def close(self) -> None:
        """Store what is not stored yet, and close the store: now, or once the outcomes of all submits are stored."""
        self._submits.close()

    def _close(self) -> None:
        self._spared = 0.0  # there is no later chance
        if self.attempt(lambda: True):
            self._save(list(self._changed.values()))
        self.store.close()

    def job_store(self, opened: Callable[[str], OpenAccount]) -> JobStore:
        """The user's view of the store."""
        return JobStore(self, opened)

    def ready(self) -> Store:
        """The store, after it has got what is owed to it. Raises StoreError if it still does not accept that."""
        self._owed.pay()
        return self.store

    # -- waiting ------------------------------------------------------------------------------------------------------

    def durations(self, account: str) -> Sequence[float]:
        """The durations of the latest completed jobs of an account, in seconds, the latest last."""
        latest = self.attempt(lambda: self.store.latest(account, LEARNT), spare=True) or []
        return [took for kept in reversed(latest) if (took := kept.job.took) is not None]

    def charges(self, account: str) -> Sequence[Charge]:
        """The charges of the latest completed jobs of an account, the latest first."""
        latest = self.attempt(lambda: self.store.latest(account, PRICED), spare=True) or []
        known = [(kept, kept.known) for kept in latest if kept.operation is not None]
        return [
            Charge(kept.operation or "", settings(kept.sent), said.cost.charged, said.cost.unit)
            for kept, said in known
            if said.cost is not None and said.state is State.COMPLETED
        ]

    def enter(self, jobs: Sequence[Job], accounts: Sequence[OpenAccount]) -> None:
        """Keep jobs that will be waited for, and update them from the store.

        Raises StoreError for a job that a newer vidpoll keeps.
        """
        rows = [(job.ref, records.origin(end), records.facts(job)) for job, end in zip(jobs, accounts, strict=True)]
        found = self.attempt(lambda: self.store.enter(rows), owed=True) or {}
        for kept_job in found.values():
            records.check(kept_job)
        known = []
        for job in (job for job in jobs if job.ref in found):
            kept_job = found[job.ref]
            job.key = job.key or kept_job.key
            if kept_job.ended_at is not None or not job.final:
                records.catch_up(job, kept_job)
            elif job.key == kept_job.key or self._has_key(job):  # else the id was given to another job
                known.append(job)
        if known:
            self._known(known)

    def _has_key(self, job: Job) -> bool:
        """Whether the unfinished job with this id has the job's key as a further one."""
        found = self.attempt(lambda: self.store.keyed(job.account, job.key))
        return isinstance(found, KeptJob) and (found.ref, found.ended_at, found.replaced) == (job.ref, None, False)

    @contextmanager
    def asking(self, job: Job, account: OpenAccount) -> Iterator[None]:
        """Update a job that is polled once from the store. If the job is not kept, only its verdict will be kept."""
        kept = self.attempt(lambda: self.store.get(job.ref), spare=True)
        if kept is not None:
            records.check(kept)
            job.key = job.key or kept.key
            records.catch_up(job, kept)
        self._asked[job.ref] = account
        try:
            yield
        finally:
            self._asked.pop(job.ref, None)
            if kept is None and job.ref not in self._waits:
                self._counts.pop(job.ref, None)

    def _known(self, jobs: Sequence[Job]) -> None:
        """Store verdicts that this process knows and the store does not; report those not reported yet."""
        rows = [Saved(job.ref, records.facts(job)) for job in jobs if job.told]

        def end() -> None:
            self.store.told([ref for ref, mine in self.store.end(rows).items() if mine])

        self.attempt(end, owed=True)
        events = [(job, job.verdict(job.history[-1].at)) for job in jobs if not job.told]
        self.report([(job, event) for job, event in events if event is not None], self.end)

    @contextmanager
    def waiting(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Hold the leases of jobs during a wait; at the end, store what is not stored yet."""
        with self._alone:
            self._waits.update(job.ref for job in jobs)
        try:
            yield
        finally:
            mine = self.leave(jobs)
            if mine:
                self.attempt(lambda: self.store.release(mine))

    def serve(self, refs: Sequence[str]) -> None:
        """Hold the leases of jobs in shards of ours until `leave`. Raises StoreError."""
        leases = self.store.lease(refs, self.bound + SPARE + RENEWED) if refs else records.Leases()
        with self._alone:
            self._waits.update(refs)
            self._held.update(dict.fromkeys(leases.mine, math.inf))

    def leave(self, jobs: Collection[Job], *, lost: bool = False) -> list[str]:
        """End a wait for jobs: store what is not stored yet, unless they were lost. Returns the leases that were ours.

        A job for which another wait of this client goes on is left out.
        """
        with self._alone:
            self._waits.subtract(job.ref for job in jobs)
            done = [job for job in jobs if self._waits[job.ref] <= 0]
            for job in done:
                del self._waits[job.ref]
        if not lost:
            news = {*self._counts, *self._changed}
            self._save([job for job in done if job.ref in news and self.holds(job.ref)])
        for job in done:
            self._counts.pop(job.ref, None)
            self._changed.pop(job.ref, None)
        return [job.ref for job in done if self._held.pop(job.ref, None) is not None]

    def lose(self, ref: str) -> None:
        """Drop our lease, because another process has stored the verdict: the job is then updated from the store."""
        self._held.pop(ref, None)

    def watch(self, *args: Any, **options: Any) -> Watch:
        """A `Watch` that polls only while the lease is ours."""
        return KeptWatch(self, *args, **options)

    def follow(self, job: Job, *args: Any, **options: Any) -> Watch | None:
        """A `Watch` of an entered job; None if it has a verdict, which is reported if it was not yet."""
        self.deliver(job)
        return None if job.final else self.watch(job, *args, **options)

    def settle(self, call: Callable[[], object]) -> None:
        """Record how a batch's row has ended; if the store fails now, before anything else is written."""
        self.attempt(call, owed=True)

    def holds(self, ref: str) -> bool:
        """Whether this client holds the job's lease."""
        return self._held.get(ref, 0.0) > self._clock.time()

    def lease(self, job: Job, seconds: float) -> tuple[bool, bool]:
        """Take or renew the job's lease for `seconds`. Returns (lease is ours, another owner had it until just now)."""
        now = self._clock.time()
        needed = now + seconds + self.bound + SPARE
        with self._alone:
            if self._held.get(job.ref, 0.0) >= needed:
                return True, False
        until = needed + RENEWED
        leases = self.attempt(lambda: self.store.lease([job.ref], until - now), spare=True)
        mine = leases is None or job.ref in leases.mine
        with self._alone:
            if mine:
                self._held[job.ref] = until
            else:
                self._held.pop(job.ref, None)
        return mine, leases is not None and job.ref in leases.taken

    def catch_up(self, job: Job, seen: int) -> tuple[list[Event], int]:
        """Update a job from the store: the events since version `seen`, and the current version."""
        kept = self.attempt(lambda: self.store.get(job.ref), spare=True)
        if kept is None or kept.version == seen or job.final:
            return [], seen
        before, progress, at = (job.state, job.stage), job.progress, self._clock.time()
        records.catch_up(job, kept)
        verdict = job.verdict(at)
        if verdict is not None:
            return [verdict], kept.version
        events: list[Event] = []
        if (job.state, job.stage) != before:
            events.append(StageChanged(job.ref, at, job.state, job.stage, job.progress, before[1]))
        if job.progress is not None and job.progress != progress:
            events.append(ProgressChanged(job.ref, at, job.progress, job.stage))
        return events, kept.version

    # -- telling ------------------------------------------------------------------------------------------------------

    def tell(self, job: Job, event: Event) -> None:
        """Report an event to the hooks, unless another process does; a verdict once, when it is on disk."""
        if isinstance(event, (Completed, Failed)):
            self.verdicts([(job, event)])
            return
        if isinstance(event, (Polled, PollFailed)):
            counts = self._counts.setdefault(job.ref, [0, 0])
            counts[0] += 1
            counts[1] += isinstance(event, PollFailed)
        elif isinstance(event, (StageChanged, ProgressChanged)):
            if not self._ours(job.ref):
                return
            self.change(job)
        elif isinstance(event, GaveUp) and self.holds(job.ref):
            if isinstance(event.error, JobNotFound) and not job.answers:  # a mistyped reference is not worth keeping
                self.attempt(lambda: self.store.drop(job.ref, strange=True))
            self.change(job)
        self.save_due(self._clock.monotonic())
        self._tell(job, event)

    def verdicts(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Store verdicts in one transaction, call the hooks for those that are ours to report, then store that."""
        self.report(told, self.end)

    def deliver(self, job: Job) -> None:
        """Report a stored verdict that was not reported yet."""
        event = job.verdict(job.history[-1].at if job.history else self._clock.time())
        if event is not None:
            self.report([(job, event)], self.claim)

    def save_due(self, now: float) -> float:
        """Store the facts of the changed jobs, at most once a second, all in one transaction.

        `now` is a monotonic second. Returns the second of the next call; infinity if nothing waits.
        """
        if self._changed and now >= max(self._saved_at + EVERY, self._spared):
            self._saved_at = now
            self._save(list(self._changed.values()))
        return max(self._saved_at + EVERY, self._spared) if self._changed else math.inf

    def _ours(self, ref: str) -> bool:
        return self.holds(ref) or not self.attempt(lambda: self.store.leased(ref), spare=True)

    def change(self, job: Job) -> None:
        """Mark a job's facts for storing; at once if the job is not waited for: there may be no later chance."""
        if job.known is not self._last:  # one response may change stage and progress
            self._changed[job.ref] = job
            if job.ref not in self._waits:
                self._saved_at = -math.inf

    def _save(self, jobs: Sequence[Job]) -> None:
        """Store the facts of jobs, except verdicts (see `verdicts`) and jobs that another owner polls."""
        mine = [job for job in jobs if not job.final and (job.ref not in self._waits or self.holds(job.ref))]
        for job in jobs:
            self._changed.pop(job.ref, None)
        rows = [self._row(job) for job in mine]
        kept = None

        def keep() -> JobState:
            self.store.save(rows)
            return mine[-1].known

        try:
            kept = self.attempt(keep, spare=True) if mine else None
        finally:  # also after Ctrl-C
            self._last = kept or self._last
            if kept is None:  # try these again later
                self._changed.update((job.ref, job) for job in mine)
                self._counts.update((row.ref, [row.requests, row.transient_errors]) for row in rows)

    def _row(self, job: Job) -> Saved:
        return Saved(job.ref, records.facts(job), *self._counts.pop(job.ref, (0, 0)))

    def end(self, jobs: Sequence[Job]) -> Claim:
        """A call that stores verdicts and returns, for each, whether we must report it (None: job not kept)."""
        asked = [(job, account) for job in jobs if (account := self._asked.get(job.ref)) is not None]
        new = [(job.ref, records.origin(account), records.facts(Job(job.ref))) for job, account in asked]
        rows = [self._row(job) for job in jobs]

        def end() -> Mapping[str, bool | None]:
            if new:
                self.store.enter(new)
            return self.store.end(rows)

        return end

    def claim(self, jobs: Sequence[Job]) -> Claim:
        """A call that returns, for each stored verdict, whether we must report it."""
        refs = [job.ref for job in jobs]

        def claim() -> Mapping[str, bool | None]:
            claimed = self.store.claim(refs)
            return {ref: ref in claimed for ref in refs}

        return claim

    def report(self, told: Sequence[tuple[Job, Event]], claim: Callable[[Sequence[Job]], Claim]) -> None:
        """Report the verdicts that are ours by `claim`, and store that they were reported."""
        mine = self._begin_telling(told)
        if not mine:
            return
        heard: list[str] = []
        later: list[str] = []
        ours: Mapping[str, bool | None] | None = {}
        try:
            ours = self.attempt(claim([job for job, _ in mine.values()]), owed=True)
            for ref, (job, event) in mine.items():
                if ours is None or ours.get(ref) is not False:
                    (later if self._tell(job, event) else heard).append(ref)
            self._keep_heard([ref for ref in heard if ours is None or ours.get(ref)], later=ours is None)
        except BaseException:  # Ctrl-C, at any point
            self._keep_heard(heard)
            left = [ref for ref in mine if ref not in heard and ref not in later]
            self.attempt(lambda: self.store.untold(left), owed=True)
            raise
        finally:
            if later:
                self.attempt(lambda: self.store.later(later), owed=True)
            self._telling.difference_update(mine)

    def _begin_telling(self, told: Sequence[tuple[Job, Event]]) -> dict[str, tuple[Job, Event]]:
        """The verdicts that no other thread is reporting, and that were not reported while the store failed."""
        with self._alone:
            beyond = self._telling | self.heard
            mine = {job.ref: (job, event) for job, event in told if job.ref not in beyond}
            self._telling.update(mine)
        return mine

    def hear(self, ref: str) -> None:
        """Record that a verdict for which a hook returned LATER was heard. Raises StoreError if that fails."""
        self.ready().told([ref])

    def _keep_heard(self, refs: Sequence[str], *, later: bool = False) -> None:
        """Record that the hooks have heard verdicts. `later`: the store has just failed, so owe it."""

        def told() -> bool:
            self.store.told(refs)
            return True

        if not refs:
            return
        if later:
            self._owed.add(told)
        if later or not self.attempt(told, owed=True):
            self.heard.update(refs)

    def want(self, files: Sequence[WantedFiles]) -> None:
        """Record that files are wanted."""

        def want() -> None:
            for each in files:
                self.store.want(records.wanted(each.ref, each.target, each.kinds))

        self.attempt(want)

    def unwant(self, files: WantedFiles) -> None:
        """Record that files are no longer wanted: they are saved, or never will be."""
        self.attempt(lambda: self.store.unwant(records.wanted(files.ref, files.target, files.kinds)))

    # -- submitting ---------------------------------------------------------------------------------------------------

    def submitting(
        self,
        account: OpenAccount,
        operation: str,
        fields: Mapping[str, object],
        key: str = "",
        order: Order | None = None,
        *,
        earlier: Submission | None = None,
    ) -> AbstractContextManager[Intent]:
        """A submit from its beginning to its id; its outcome is stored, whatever it is. An `order` gives its own key.

        `earlier` is an earlier try of the same submit, of unknown outcome.
        """
        return self._submits.during(Intent(self, account, operation, fields, key=key, order=order, earlier=earlier))

    # -- a store that does not work -----------------------------------------------------------------------------------

    def attempt(self, call: Callable[[], T], *, spare: bool = False, owed: bool = False) -> T | None:
        """The result of a call of the store; None and a warning if the store fails.

        `spare`: skip the call in the minute after a failure. `owed`: repeat a failed call before anything else is
        written.
        """
        with self._alone:
            reopens = bool(self._waits or self._asked or self._owed)
        if spare and self._clock.monotonic() < self._spared:
            return None
        try:
            return self.ask(call, reopens=reopens)
        except StoreError as error:
            if not self.store.closed:  # else the client was closed, and the call belongs to an abandoned wait
                if owed:
                    self._owed.add(call)
                self.failed(error.message)
            return None

    def ask(self, call: Callable[[], T], *, reopens: bool) -> T:
        """The result of a call of the store, after everything owed was written. `reopens`: reopen a moved store.

        Reopening is for calls about known jobs. A submit must fail instead, before anything is sent.
        """
        try:
            self._owed.pay()
            return call()
        except StoreMoved as error:
            if not reopens:
                raise
            with self._reopening.current:
                if self.store.moved:
                    self._reopen()
                    self.warn(f"{error.message.partition(':')[0]}: jobs are now kept in the file at this path")
            self._owed.pay()
            return call()

    def _reopen(self) -> None:
        """Open the file that is at the store's path now, and keep the jobs of this process's waits and polls there."""
        with self._alone:  # other threads begin and end waits
            refs = {*self._waits, *self._changed, *self._asked}
        self.store.reopen(refs)
        self._held.clear()

    def owe(self, call: Callable[[], object], message: str) -> None:
        """Repeat a failed call before anything else is written, and report what could not be stored."""
        self._owed.add(call)
        self.failed(message)

    def failed(self, message: str) -> None:
        """Report what could not be stored, and do not use the store for a while."""
        self._spared = self._clock.monotonic() + TROUBLE
        self.warn(message)

    @staticmethod
    def warn(message: str) -> None:
        """Log a message, and raise it as a RuntimeWarning."""
        log.error("%s", message)
        caller_warnings.warn(message, RuntimeWarning)
