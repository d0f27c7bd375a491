"""`Client.serve`: takes shards (parts of accounts) from the store and waits for all their jobs, whoever submits them.

A `Serving` is the feed of one run of the loop. Once a second it checks which shards it still holds, which are free, and
which jobs are new. A lost shard is dropped silently: its new owner calls the hooks.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from . import redact
from .errors import StoreError, VidpollError
from .events import Completed, Event, Failed, Polled, PollFailed
from .job import Job
from .pacing.schedules import Schedule
from .plugins import guard
from .polling.account_state import AccountState
from .polling.loop import Loop, Run
from .storage import records
from .storage.heartbeat import Heartbeat
from .storage.keeper import Keeper
from .storage.records import Gauges, KeptJob, Shard
from .storage.served import ServedJobs, ServedWatch, given_up

log = logging.getLogger("vidpoll")

SOME = 1000
"""The jobs of a shard that are begun at once: their records are dropped before the next jobs are begun."""

LOOK = 1.0
"""Seconds between two checks of the store."""

MOST = 40
"""The most shards that one check takes, so that processes which start together share the shards."""

MINUTE = 60.0
"""Seconds between two lines of metrics, two warnings, and two tries to take shards that did not fit."""

TRY = 5.0
"""Seconds after which an undelivered verdict is claimed again: the process that was to deliver it may be gone."""

LATEST = 4096
"""The number of latest polls whose delay is recorded."""


class Served(NamedTuple):
    """The result of `Client.serve`: `told`, the verdicts delivered to hooks; `shards`, the most shards held at once."""

    told: int
    shards: int


class Metrics(NamedTuple):
    """Counts of one serving process, and the Gauges of the store for all processes (`store`).

    `shards` and `jobs` are the numbers held now. `polls`, `faults` (polls without news) and `told` (verdicts delivered
    to hooks) count since the start. `late`: 99 % of the latest polls were at most this many seconds late.
    """

    shards: int = 0
    jobs: int = 0
    polls: int = 0
    faults: int = 0
    told: int = 0
    late: float = 0.0
    store: Gauges = Gauges()


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `Client.serve`. `accounts`: None for all accounts with unfinished jobs in the store."""

    accounts: tuple[str, ...] | None
    capacity: int
    seconds: float | None
    stop: threading.Event | None
    on_event: Callable[[Event], object] | None
    on_metrics: Callable[[Metrics], object] | None
    timeout: float


class Host(NamedTuple):
    """The parts of a client that serving needs. `parts` gives the number of parts of an account."""

    loop: Loop
    keeper: Keeper
    state: Callable[[str], AccountState]
    parts: Callable[[str], int]
    schedule: Schedule
    said: set[str]
    """The warnings about unserved accounts and jobs so far: a client that serves repeatedly warns once."""
    ending: threading.Event
    """Set when the client is to be closed."""


def serve(host: Host, options: Options) -> Served:
    """Serve until the seconds are over, `stop` is set, or nothing is free. Raises StoreError if it cannot begin."""
    for name in options.accounts or ():
        host.state(name).opened.check()
    host.keeper.ready().beat()
    serving = Serving(host, options)
    with serving:
        with closing(serving.loop.turns([], None, serving)) as turns:
            for told in turns:
                if told is not None:
                    serving.hear(*told)
                elif serving.over:
                    break
    return Served(serving.jobs.told, serving.most)


class Serving:
    """The feed of a run that serves, and the owner of its watches."""

    def __init__(self, host: Host, options: Options) -> None:
        self.host, self.keeper, self.options = host, host.keeper, options
        self.jobs = ServedJobs(host.keeper, self._heard)
        self.loop = host.loop.told_by(self.jobs)
        self.most = 0
        """The most shards held at once."""
        self._heart = Heartbeat(host.keeper.store)
        self._shards: set[Shard] = set()
        self._mark = 0.0
        self._watches: dict[str, ServedWatch] = {}
        self._begun: list[ServedWatch] = []  # watches that the run does not have yet
        self._ended: list[Job] = []
        self._recent: dict[str, tuple[float, float]] = {}  # jobs that ended here: added at, ended at
        self._left: dict[str, str] = {}  # unserved accounts and addresses, and why
        self._later: dict[str, float] = {}  # accounts without room for their jobs, and when to try again
        self._look_at = -math.inf
        self._warn_at = -math.inf
        self._metrics_at = -math.inf
        self._end_at = math.inf if options.seconds is None else self.loop.now() + options.seconds
        self._polls = self._faults = 0
        self._late: deque[float] = deque(maxlen=LATEST)
        self.over = False

    def __enter__(self) -> Serving:
        self._heart.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Store unsaved verdicts, and release all shards: other processes take them at their next check."""
        self._heart.__exit__()
        trusted = self._heart.trusted(self.loop.now())
        held: Collection[Shard] = self._shards
        with contextlib.suppress(StoreError):
            held = self.keeper.store.held()  # includes shards of a check that did not finish
            self.jobs.answers()
        self.keeper.leave([*self._ended, *(watch.job for watch in self._watches.values())], lost=not trusted)
        try:
            self.keeper.store.give(held)
        except StoreError as failed:
            log.warning("the shards could not be released; they become free when their leases end: %s", failed.message)

    # -- the feed -----------------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether the run continues."""
        return not self.over

    @property
    def busy(self) -> bool:
        """Always False: no thread works for this feed."""
        return False

    def wake(self) -> float:
        """When to check again; now if serving is over."""
        return self.loop.now() if self.over else min(self._look_at, self._end_at)

    def news(self) -> Iterable[tuple[Job, Event]]:
        """Nothing: all events come from the run itself."""
        return ()

    def take(self, run: Run) -> Sequence[ServedWatch]:
        """The new jobs. Once a second this checks which shards are held, which are free, and which jobs are new."""
        now, stop = self.loop.now(), self.options.stop
        if now >= self._end_at or (stop is not None and stop.is_set()) or self.host.ending.is_set():
            self.over = True
        if self.over or now < self._look_at:
            return ()
        self._look_at = now + LOOK
        try:
            self.keeper.ask(lambda: self._look(run, now), reopens=True)
        except StoreError as error:
            self._failed(error, run, now)
        begun, self._begun = self._begun, []
        return [watch for watch in begun if self.has(watch)]

    def _failed(self, error: StoreError, run: Run, now: float) -> None:
        """The store does not respond: verdicts wait, and polling stops once our shards are in doubt."""
        self.jobs.reachable = False
        if self.keeper.store.closed:
            raise error
        if not self._heart.trusted(now):
            for polling in run.lists.values():
                polling.stop(run)
        if now >= self._warn_at:
            self._warn_at = now + MINUTE
            self.keeper.warn(f"serving continues and tries the store again: {error.message}")

    # -- a check of the store -----------------------------------------------------------------------------------------

    def _look(self, run: Run, now: float) -> None:
        store = self.keeper.store
        if self._heart.late(now):  # its thread was suspended with this process, or time runs too fast for it
            self._heart.beat()
        lapses = self._heart.lapses
        self._take()
        held = store.held()
        self._lose(run, self._shards - held)
        self._heart.sure(lapses)
        self.jobs.answers()
        self._forget()
        fresh = sorted(held - self._shards)
        self._go_on(now)
        for shard in fresh:  # one by one: the record of a job takes more memory than its watch
            self._load(shard, now)
        self.most = max(self.most, len(self._shards))
        self.over = self.over or not self._shards
        if self._shards:
            self._measure(now)

    def _go_on(self, now: float) -> None:
        """Begin the new jobs of the shards that this process already holds."""
        kept, mark = self.keeper.store.news(sorted(self._shards), self._mark) if self._shards else ([], math.inf)
        self._begin(kept, now)
        self._mark = mark

    def _load(self, shard: Shard, now: float) -> None:
        """Begin all jobs of a shard that was just taken, or give the shard back if they do not fit."""
        kept, mark = self.keeper.store.news([shard], 0.0)
        if self._is_beyond(shard, len(kept)):
            self.keeper.store.give([shard])
            self._later[shard.account] = now + MINUTE
            return
        try:
            while kept:
                self._begin(kept[:SOME], now, had_an_owner=shard.fence > 1)
                kept = kept[SOME:]
        except BaseException:  # the next check loads the shard anew, if it is still ours then
            self._drop([shard])
            raise
        self._shards.add(shard)
        self._mark = min(self._mark, mark)

    def _lose(self, run: Run, lost: Collection[Shard]) -> None:
        """Drop the jobs of shards that now belong to another process."""
        if not lost:
            return
        log.warning("%d shards now belong to another process", len(lost))
        self._shards.difference_update(lost)
        run.let_go(self._drop(lost))

    def _drop(self, shards: Collection[Shard]) -> list[ServedWatch]:
        """Stop serving the jobs of these shards, and write nothing about them. Returns their watches."""
        watches = [watch for ref, watch in self._watches.items() if any(shard.has(ref) for shard in shards)]
        for watch in watches:
            del self._watches[watch.job.ref]
        self.keeper.leave([watch.job for watch in watches], lost=True)
        return watches

    def _take(self) -> None:
        """Take free shards, if there is room for their jobs."""
        if len(self._watches) >= self.options.capacity:
            return
        names = self.keeper.store.accounts() if self.options.accounts is None else self.options.accounts
        ours = Counter(shard.account for shard in self._shards)
        wanted = {name: self.host.parts(name) for name in names if self._serves(name)}
        now = self.loop.now()
        free = {
            name: parts
            for name, parts in wanted.items()
            if ours[name] < parts and now >= self._later.get(name, -math.inf)
        }
        if free:
            self.keeper.store.take(free, MOST)

    def _is_beyond(self, shard: Shard, jobs: int) -> bool:
        """Whether a fresh shard does not fit. Another process may take it; after a minute this one takes it anyway.

        A shard that is too large for any process stays with a process that holds nothing else.
        """
        room = self.options.capacity - len(self._watches)
        return jobs > room and bool(self._watches) and (room <= 0 or shard.account not in self._later)

    def _serves(self, name: str) -> bool:
        """Whether this process can poll an account of the store. If not, it warns once."""
        if name not in self._left:
            self._left[name] = ""
            try:
                self.host.state(name).opened.check()
            except VidpollError as error:
                self._left[name] = error.message
                self._say(f"{redact.text(name, limit=60)} is not served: {error.message}")
        return not self._left[name]

    def _say(self, message: str) -> None:
        if message not in self.host.said:
            self.host.said.add(message)
            self.keeper.warn(message)

    def _begin(self, kept: Sequence[KeptJob], now: float, *, had_an_owner: bool = False) -> None:
        """Deliver verdicts that were not delivered yet, and make watches for the new jobs."""
        untold: list[tuple[Job, Event]] = []
        new: dict[str, KeptJob] = {}
        for each in kept:
            if each.ended_at is not None:
                untold += self._untold(each, now)
            elif self._is_new(each):
                new[each.ref] = each
        self.jobs.deliver(untold)
        ends = self.jobs.enter(list(new.values()), self.options.timeout)
        for each, end in zip(new.values(), ends, strict=True):
            try:
                watch = self._watch(each, end, now, had_an_owner=had_an_owner)
                if (verdict := watch.job.verdict(self.loop.clock.time())) is not None:
                    self.jobs.verdicts([(watch.job, verdict)])  # not stored: the process that held the job is gone
                    self._ended.append(watch.job)
                    continue
            except Exception as error:  # noqa: BLE001 - one bad job must not end its shard
                log.error("%s is skipped: %s", each.ref, redact.trace(error))
                self._ended.append(Job(each.ref))  # so that its lease is released
                continue
            self._watches[each.ref] = watch
            self._begun.append(watch)

    def _untold(self, kept: KeptJob, now: float) -> list[tuple[Job, Event]]:
        """The verdict of a job, unless it was delivered, or this process has just tried to deliver it."""
        if kept.ref in self._watches:  # another process got the verdict from the provider
            self.keeper.lose(kept.ref)
            return []
        if kept.told_at is not None or now < self._recent.get(kept.ref, (0.0, -math.inf))[1] + TRY:
            return []
        self._recent[kept.ref] = (kept.added_at, now)
        job = kept.job
        event = job.verdict(job.history[-1].at if job.history else self.loop.clock.time())
        return [] if event is None else [(job, event)]

    def _is_new(self, kept: KeptJob) -> bool:
        ended_here = self._recent.get(kept.ref, (None, 0.0))[0] == kept.added_at
        if kept.ref in self._watches or ended_here or given_up(kept, self.keeper.store.now()):
            return False
        ours, theirs = records.origin(self.host.state(kept.origin.account).opened).base_url, kept.origin.base_url
        if theirs and theirs != ours:
            key = f"{kept.origin.account} {theirs}"
            if key not in self._left:
                self._left[key] = "another address"
                self._say(f"{kept.ref} and others like it are not served: their base URL is {theirs}, not {ours}")
            return False
        return True

    def _watch(self, kept: KeptJob, end: float, now: float, *, had_an_owner: bool) -> ServedWatch:
        account = self.host.state(kept.origin.account)
        earliest = now + account.provider.pacing.floor if had_an_owner else now  # the old owner may just have polled
        deadline = now + max(0.0, end - self.keeper.store.now())
        options = {"now": now, "timeout": self.options.timeout}
        job = kept.job
        job.give_up_at = end
        return ServedWatch(self, kept, earliest, deadline, self.keeper, job, account, self.host.schedule, **options)

    def _forget(self) -> None:
        """Drop the jobs that ended before the last check: their verdicts were delivered since."""
        before, self._ended = self._ended, []
        self.keeper.leave(before)
        if len(self._recent) > self.options.capacity:
            oldest = sorted(self._recent, key=lambda ref: self._recent[ref][1])
            self._recent = {ref: self._recent[ref] for ref in oldest[len(oldest) // 2 :]}

    # -- the desk -----------------------------------------------------------------------------------------------------

    def trusted(self) -> bool:
        """Whether the shards are certainly still held."""
        return self._heart.trusted(self.loop.now())

    def has(self, watch: ServedWatch) -> bool:
        """Whether this process may still poll a job."""
        return self._watches.get(watch.job.ref) is watch

    def ended(self, watch: ServedWatch) -> None:
        """A watch has ended."""
        if self.has(watch):
            del self._watches[watch.job.ref]
            self._recent[watch.job.ref] = (watch.added_at, self.loop.now())
            self._ended.append(watch.job)

    def asks(self, late: float) -> None:
        """A poll is sent, `late` seconds after its time."""
        self._late.append(max(0.0, late))

    # -- events and metrics -------------------------------------------------------------------------------------------

    def hear(self, job: Job, event: Event) -> None:
        """Handle an event of the run."""
        if isinstance(event, Polled):
            self._polls += 1
        elif not isinstance(event, (Completed, Failed)):  # those are passed on once they are stored
            self._faults += isinstance(event, PollFailed)
            self._heard(event)

    def _heard(self, event: Event) -> None:
        if self.options.on_event is not None:
            guard("on_event", self.options.on_event, event)

    def _measure(self, now: float) -> None:
        if self.options.on_metrics is None or now < self._metrics_at:
            return
        self._metrics_at = now + MINUTE
        late = sorted(self._late)
        p99 = late[int(len(late) * 0.99)] if late else 0.0
        ours = (len(self._shards), len(self._watches))
        counts = (self._polls + self._faults, self._faults, self.jobs.told)
        with contextlib.suppress(StoreError):
            metrics = Metrics(*ours, *counts, p99, self.keeper.store.gauges())
            guard("on_metrics", self.options.on_metrics, metrics)
