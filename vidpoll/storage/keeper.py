"""When something is kept: the bridge between the loop, which knows no store, and the store, which knows no loop.

A `Keeper` belongs to a client with a store. It takes a lease before a job is polled, keeps what changed once a second
and at the end of a wait, and tells a verdict to the hooks only when it is on disk. A wait outlives its store: what
cannot be kept is warned of, once a minute, and the wait goes on; a submit that cannot be kept is not sent. The id of a
submit, and a verdict, that were not kept are `Owed`: they are written before the next thing that the store is asked.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..clock import Clock
from ..errors import JobNotFound, StoreError, SubmitUnknown, VidpollError
from ..events import Completed, Event, Failed, GaveUp, Polled, PollFailed, ProgressChanged, StageChanged
from ..fork_lock import ForkLock
from ..job import Job
from ..job_state import JobState, Phase
from ..model import State
from ..net.accounts import OpenAccount
from ..polling.watch import Watch
from ..pricing import Charge, settings
from . import records
from .intent import Intent
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
"""For each reference: whether telling the verdict is up to us; None where the job is not kept."""

LEARNT = 32
"""Former jobs from which it is learnt how long the jobs of an account take."""

PRICED = 200
"""Former jobs among which those of one kind are looked for that tell its price."""

SPARE = 30.0
"""Seconds that a lease is to last beyond the next question and its answer."""

RENEWED = 120.0
"""Seconds by which a lease is longer than it needs to be, so that it is seldom renewed."""

EVERY = 1.0
"""Seconds between two transactions with the facts of jobs that have changed."""

TROUBLE = 60.0
"""Seconds for which a store that does not work is left alone, but for submits and verdicts."""


class Keeper:
    """The store of one client. `tell` calls the hooks; `bound` is how long one request may take, in seconds."""

    gather = 0.1

    def __init__(self, store: Store, clock: Clock, tell: Callable[[Job, Event], bool], bound: float) -> None:
        self.store = store
        self.bound = bound
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._waits: Counter[str] = Counter()
        self._held: dict[str, float] = {}  # until when, in Unix seconds, we are the one who asks
        self._counts: dict[str, list[int]] = {}  # requests and transient errors that are not kept yet
        self._changed: dict[str, Job] = {}  # jobs whose facts are not kept yet
        self._saved_at = -math.inf  # the monotonic second at which facts were kept last
        self._last: JobState | None = None  # what was kept last
        self._asked: dict[str, OpenAccount] = {}  # jobs that are asked about once, and need not be kept
        self._telling: set[str] = set()
        self._spared = 0.0  # until which monotonic second a store that does not work is left alone
        self._owed = Owed()
        self.heard: set[str] = set()  # verdicts that were told, which may not be kept yet
        self._reopening = ForkLock()

    def close(self) -> None:
        """Keep what is not kept yet, and close the store."""
        self._spared = 0.0  # there is no later moment
        if self._try(lambda: True):
            self._save(list(self._changed.values()))
        self.store.close()

    def job_store(self, opened: Callable[[str], OpenAccount]) -> JobStore:
        """What a user asks of the store."""
        return JobStore(self, opened)

    def ready(self) -> Store:
        """The store, once it has what it did not take before. Raises StoreError where it still does not take that."""
        self._owed.pay()
        return self.store

    # -- waiting ------------------------------------------------------------------------------------------------------

    def durations(self, account: str) -> Sequence[float]:
        """How long the latest completed jobs of an account took, in seconds, the latest last."""
        latest = self._try(lambda: self.store.latest(account, LEARNT), spare=True) or []
        return [took for kept in reversed(latest) if (took := kept.job.took) is not None]

    def charges(self, account: str) -> Sequence[Charge]:
        """What the latest completed jobs of an account were charged, the latest first."""
        latest = self._try(lambda: self.store.latest(account, PRICED), spare=True) or []
        known = [(kept, kept.known) for kept in latest if kept.operation is not None]
        return [
            Charge(kept.operation or "", settings(kept.sent), said.cost.charged, said.cost.unit)
            for kept, said in known
            if said.cost is not None and said.state is State.COMPLETED
        ]

    def enter(self, jobs: Sequence[Job], accounts: Sequence[OpenAccount]) -> None:
        """Keep jobs that are to be waited for, and bring them to where the store has them.

        Raises StoreError for a job that a newer vidpoll keeps.
        """
        rows = [(job.ref, records.origin(end), records.facts(job)) for job, end in zip(jobs, accounts, strict=True)]
        found = self._try(lambda: self.store.enter(rows), owed=True) or {}
        for job in jobs:
            if job.ref in found:
                _check(found[job.ref])
                job.key = job.key or found[job.ref].key
        known = []
        for job in jobs:
            kept_job = found.get(job.ref)
            if kept_job is not None and kept_job.ended_at is None and job.final:
                known.append(job)
            elif kept_job is not None:
                _catch_up(job, kept_job)
        if known:
            self._known(known)

    @contextmanager
    def asking(self, job: Job, account: OpenAccount) -> Iterator[None]:
        """Bring a job that is asked about once to where the store has it; where it is not kept, its verdict is."""
        kept = self._try(lambda: self.store.get(job.ref), spare=True)
        if kept is not None:
            _check(kept)
            job.key = job.key or kept.key
            _catch_up(job, kept)
        self._asked[job.ref] = account
        try:
            yield
        finally:
            self._asked.pop(job.ref, None)
            if kept is None and job.ref not in self._waits:
                self._counts.pop(job.ref, None)

    def _known(self, jobs: Sequence[Job]) -> None:
        """Verdicts that this program has known for longer than its store; those that no hook has heard are told."""
        rows = [Saved(job.ref, records.facts(job)) for job in jobs if job.told]

        def end() -> None:
            self.store.told([ref for ref, mine in self.store.end(rows).items() if mine])

        self._try(end, owed=True)
        events = [(job, job.verdict(job.history[-1].at)) for job in jobs if not job.told]
        self._told([(job, event) for job, event in events if event is not None], self._end)

    @contextmanager
    def waiting(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Hold the leases of jobs while they are waited for; what was not kept yet is kept at the end."""
        refs = [job.ref for job in jobs]
        with self._lock:
            self._waits.update(refs)
        try:
            yield
        finally:
            with self._lock:
                self._waits.subtract(refs)
                done = [job for job in jobs if self._waits[job.ref] <= 0]
                for job in done:
                    del self._waits[job.ref]
            news = {*self._counts, *self._changed}
            self._save([job for job in done if job.ref in news and self.holds(job.ref)])
            for job in done:
                self._counts.pop(job.ref, None)
                self._changed.pop(job.ref, None)
            mine = [job.ref for job in done if self._held.pop(job.ref, None) is not None]
            if mine:
                self._try(lambda: self.store.release(mine))

    def watch(self, *args: Any, **options: Any) -> Watch:
        """A `Watch` that asks only while the lease is ours."""
        return KeptWatch(self, *args, **options)

    def follow(self, job: Job, *args: Any, **options: Any) -> Watch | None:
        """A `Watch` of a job that is entered; None for one with a verdict, which is told where nobody heard it."""
        self.deliver(job)
        return None if job.final else self.watch(job, *args, **options)

    def settle(self, call: Callable[[], object]) -> None:
        """Keep how a batch's row has ended; where the store does not work now, before anything else is written."""
        self._try(call, owed=True)

    def holds(self, ref: str) -> bool:
        """Whether we are the one who asks."""
        return self._held.get(ref, 0.0) > self._clock.time()

    def lease(self, job: Job, seconds: float) -> tuple[bool, bool]:
        """Be the one who asks for so many seconds more: whether we are, and whether another was until just now."""
        now = self._clock.time()
        needed = now + seconds + self.bound + SPARE
        if self._held.get(job.ref, 0.0) >= needed:
            return True, False
        until = needed + RENEWED
        leases = self._try(lambda: self.store.lease([job.ref], until - now), spare=True)
        mine = leases is None or job.ref in leases.mine
        with self._lock:
            if mine:
                self._held[job.ref] = until
            else:
                self._held.pop(job.ref, None)
        return mine, leases is not None and job.ref in leases.taken

    def catch_up(self, job: Job, seen: int) -> tuple[list[Event], int]:
        """Bring a job to where another process has it: what changed since version `seen`, and the version now."""
        kept = self._try(lambda: self.store.get(job.ref), spare=True)
        if kept is None or kept.version == seen or job.final:
            return [], seen
        before, progress, at = (job.state, job.stage), job.progress, self._clock.time()
        _catch_up(job, kept)
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
        """Tell the hooks, a verdict once and when it is on disk; what another process tells is not told."""
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
            self._change(job)
        elif isinstance(event, GaveUp) and self.holds(job.ref):
            if isinstance(event.error, JobNotFound) and not job.answers:  # a mistyped reference is not worth keeping
                self._try(lambda: self.store.drop(job.ref, strange=True))
            self._change(job)
        self.save_due(self._clock.monotonic())
        self._tell(job, event)

    def verdicts(self, told: Sequence[tuple[Job, Event]]) -> None:
        """Keep verdicts in one transaction, then tell the hooks of those that are ours to tell, then keep that."""
        self._told(told, self._end)

    def deliver(self, job: Job) -> None:
        """Tell a verdict that is kept and that no hook has heard yet."""
        event = job.verdict(job.history[-1].at if job.history else self._clock.time())
        if event is not None:
            self._told([(job, event)], self._claim)

    def save_due(self, now: float) -> float:
        """Keep the facts of the jobs that have changed, once a second at most, all in one transaction.

        `now` is a monotonic second. Returns the one at which it is to be called again, infinity where nothing waits.
        """
        if self._changed and now >= max(self._saved_at + EVERY, self._spared):
            self._saved_at = now
            self._save(list(self._changed.values()))
        return max(self._saved_at + EVERY, self._spared) if self._changed else math.inf

    def _ours(self, ref: str) -> bool:
        return self.holds(ref) or not self._try(lambda: self.store.leased(ref), spare=True)

    def _change(self, job: Job) -> None:
        """A job's facts are to be kept; at once where nobody waits for it, since no later moment may come."""
        if job.known is not self._last:  # one answer may change stage and progress
            self._changed[job.ref] = job
            if job.ref not in self._waits:
                self._saved_at = -math.inf

    def _save(self, jobs: Sequence[Job]) -> None:
        """Keep the facts of jobs; a verdict has its own way to the disk, and another owner's job is left to it."""
        mine = [job for job in jobs if not job.final and (job.ref not in self._waits or self.holds(job.ref))]
        for job in jobs:
            self._changed.pop(job.ref, None)
        rows = [self._row(job) for job in mine]
        kept = None

        def keep() -> JobState:
            self.store.save(rows)
            return mine[-1].known

        try:
            kept = self._try(keep, spare=True) if mine else None
        finally:  # Ctrl-C may come between
            self._last = kept or self._last
            if kept is None:  # they are tried again
                self._changed.update((job.ref, job) for job in mine)
                self._counts.update((row.ref, [row.requests, row.transient_errors]) for row in rows)

    def _row(self, job: Job) -> Saved:
        return Saved(job.ref, records.facts(job), *self._counts.pop(job.ref, (0, 0)))

    def _end(self, jobs: Sequence[Job]) -> Claim:
        """Keep verdicts; of each, whether telling it is up to us. None says that the store does not know the job."""
        asked = [(job, account) for job in jobs if (account := self._asked.get(job.ref)) is not None]
        new = [(job.ref, records.origin(account), records.facts(Job(job.ref))) for job, account in asked]
        rows = [self._row(job) for job in jobs]

        def end() -> Mapping[str, bool | None]:
            if new:
                self.store.enter(new)
            return self.store.end(rows)

        return end

    def _claim(self, jobs: Sequence[Job]) -> Claim:
        """Of each verdict that is kept, whether telling it is up to us."""
        refs = [job.ref for job in jobs]

        def claim() -> Mapping[str, bool | None]:
            claimed = self.store.claim(refs)
            return {ref: ref in claimed for ref in refs}

        return claim

    def _told(self, told: Sequence[tuple[Job, Event]], claim: Callable[[Sequence[Job]], Claim]) -> None:
        """Tell the verdicts that are ours by `claim`, and keep that they were told."""
        mine = self._begin_telling(told)
        if not mine:
            return
        heard: list[str] = []
        later: list[str] = []
        ours: Mapping[str, bool | None] | None = {}
        try:
            ours = self._try(claim([job for job, _ in mine.values()]), owed=True)
            for ref, (job, event) in mine.items():
                if ours is None or ours.get(ref) is not False:
                    (later if self._tell(job, event) else heard).append(ref)
            self._keep_heard([ref for ref in heard if ours is None or ours.get(ref)], later=ours is None)
        except BaseException:  # Ctrl-C, wherever it came
            self._keep_heard(heard)
            left = [ref for ref in mine if ref not in heard and ref not in later]
            self._try(lambda: self.store.untold(left), owed=True)
            raise
        finally:
            if later:
                self._try(lambda: self.store.later(later), owed=True)
            self._telling.difference_update(mine)

    def _begin_telling(self, told: Sequence[tuple[Job, Event]]) -> dict[str, tuple[Job, Event]]:
        """The verdicts that no other thread is telling, and that were not told while the store did not work."""
        with self._lock:
            beyond = self._telling | self.heard
            mine = {job.ref: (job, event) for job, event in told if job.ref not in beyond}
            self._telling.update(mine)
        return mine

    def hear(self, ref: str) -> None:
        """A verdict was heard that a hook wanted to hear LATER. Raises StoreError where that cannot be kept."""
        self.ready().told([ref])

    def _keep_heard(self, refs: Sequence[str], *, later: bool = False) -> None:
        """Keep that the hooks have heard verdicts; `later`: the store has just refused these."""

        def told() -> bool:
            self.store.told(refs)
            return True

        if not refs:
            return
        if later:
            self._owed.add(told)
        if later or not self._try(told, owed=True):
            self.heard.update(refs)

    def want(self, files: Sequence[WantedFiles]) -> None:
        """Files are asked for."""

        def want() -> None:
            for each in files:
                self.store.want(records.wanted(each.ref, each.target, each.kinds))

        self._try(want)

    def unwant(self, files: WantedFiles) -> None:
        """They are there, or will never be."""
        self._try(lambda: self.store.unwant(records.wanted(files.ref, files.target, files.kinds)))

    # -- submitting ---------------------------------------------------------------------------------------------------

    @contextmanager
    def submitting(
        self,
        account: OpenAccount,
        operation: str,
        fields: Mapping[str, object],
        key: str = "",
        order: Order | None = None,
        *,
        earlier: Submission | None = None,
    ) -> Iterator[Intent]:
        """A submit from its beginning to its id. Whatever ends it is kept. With an `order` its key is that one's.

        `earlier` is the same submit, whose outcome is unknown and which is sent again.
        """
        intent = Intent(self, account, operation, fields, key=key, order=order, earlier=earlier)
        try:
            yield intent
        except SubmitUnknown as error:
            intent.lost(error.reason)
            raise
        except VidpollError:
            intent.refused()
            raise
        except BaseException as error:
            intent.lost(f"interrupted ({type(error).__name__})")
            raise

    # -- a store that does not work -----------------------------------------------------------------------------------

    def _try(self, call: Callable[[], T], *, spare: bool = False, owed: bool = False) -> T | None:
        """What the store says; None and a warning where it does not work.

        `spare`: not asked again for a minute. `owed`: what fails is done before anything else is written.
        """
        if spare and self._clock.monotonic() < self._spared:
            return None
        try:
            return self.ask(call, reopens=bool(self._waits or self._asked or self._owed))
        except StoreError as error:
            if not self.store.closed:  # else a wait was left behind, and its client is gone
                if owed:
                    self._owed.add(call)
                self.failed(error.message)
            return None

    def ask(self, call: Callable[[], T], *, reopens: bool) -> T:
        """What the store says, which has what is owed to it first. `reopens`: one that was moved away is opened anew.

        That is where a job is known: whoever only submits has to hear of it before anything is sent.
        """
        try:
            self._owed.pay()
            return call()
        except StoreMoved as error:
            if not reopens:
                raise
            with self._reopening:
                if self.store.moved:
                    self._reopen()
                    self.warn(f"{error.message.partition(':')[0]}: from now on this is kept in the file at its path")
            self._owed.pay()
            return call()

    def _reopen(self) -> None:
        """Open what is at the store's path now; what this process waits for, or asks about, is kept there."""
        with self._lock:  # other threads begin and end waits
            refs = {*self._waits, *self._changed, *self._asked}
        self.store.reopen(refs)
        self._held.clear()

    def owe(self, call: Callable[[], object], message: str) -> None:
        """Do what the store refused before anything else is written, and say what could not be kept."""
        self._owed.add(call)
        self.failed(message)

    def failed(self, message: str) -> None:
        """Say what could not be kept, and leave the store alone for a while."""
        self._spared = self._clock.monotonic() + TROUBLE
        self.warn(message)

    @staticmethod
    def warn(message: str) -> None:
        """In the log, and as a RuntimeWarning."""
        log.error("%s", message)
        try:
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        except Warning:  # warnings are errors here; it is in the log, and the job counts more
            return


def _check(kept: KeptJob) -> None:
    """Raise StoreError for a job that a newer vidpoll keeps: what it knows cannot be read here, nor written over."""
    if kept.newer:
        raise StoreError(
            f"{kept.ref} is kept by a newer vidpoll (record {kept.facts.get('v')}, known: {records.FORMAT}) and is "
            "left to it; update vidpoll, or name another store"
        )


def _catch_up(job: Job, kept: KeptJob) -> None:
    """Bring a job to where the store has it, where the store knows more of it than the program does."""
    known = kept.known
    if not job.final:
        job.stepped(known)
    if job.final or known.phase is Phase.NEW:
        return
    if kept.ended_at is not None or not job.history or job.history[-1].at < known.history[-1].at:
        job.restore(known)
