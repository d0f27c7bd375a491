"""`Client.serve`: whole accounts, whoever submits to them. Shards are taken from the store, their jobs waited for.

A `Serving` is the feed of one run of the loop. Once a second it looks: which shards are ours still, which are free,
which jobs are new. A shard that was lost is let go without a word: its new owner tells.
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
from .storage.served import GAVE_UP, ServedJobs, ServedWatch

log = logging.getLogger("vidpoll")

SOME = 1000
"""Jobs of a shard that are begun at a time: what the store had of them is dropped before the next."""

LOOK = 1.0
"""Seconds between two looks into the store."""

MOST = 40
"""Shards that are taken in one look at most, so that processes which start together share them."""

MINUTE = 60.0
"""Seconds between two lines of metrics, two warnings, and two tries to take what there was no room for."""

TRY = 5.0
"""Seconds after which a verdict that is kept and was not told is claimed again: its teller may be gone by now."""

LATEST = 4096
"""Questions of which it is known how late they were asked, the latest."""


class Served(NamedTuple):
    """What came of serving: verdicts that hooks were told of, and the most shards that were ours at a time."""

    told: int
    shards: int


class Metrics(NamedTuple):
    """How the serving is, since it began: our shards, jobs and questions; `store` is about all processes.

    `late`: by how many seconds 99 of 100 of the latest questions were asked late at most.
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
    """What `Client.serve` was asked for. `accounts`: None for all that the store has unfinished jobs of."""

    accounts: tuple[str, ...] | None
    capacity: int
    seconds: float | None
    stop: threading.Event | None
    on_event: Callable[[Event], object] | None
    on_metrics: Callable[[Metrics], object] | None
    timeout: float


class Host(NamedTuple):
    """What serving needs of its client: `parts` tells in how many an account is divided."""

    loop: Loop
    keeper: Keeper
    state: Callable[[str], AccountState]
    parts: Callable[[str], int]
    schedule: Schedule
    said: set[str]
    """What is not served, as it was said: a client that serves again and again says it once."""


def serve(host: Host, options: Options) -> Served:
    """Serve until the seconds are over, `stop` is set, or nothing is free. Raises StoreError where it cannot begin."""
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
    """The feed of a run that serves, and its desk."""

    def __init__(self, host: Host, options: Options) -> None:
        self.host, self.keeper, self.options = host, host.keeper, options
        self.jobs = ServedJobs(host.keeper, self._heard)
        self.loop = host.loop.told_by(self.jobs)
        self.most = 0
        """The most shards that were ours at a time."""
        self._heart = Heartbeat(host.keeper.store)
        self._shards: set[Shard] = set()
        self._mark = 0.0
        self._watches: dict[str, ServedWatch] = {}
        self._begun: list[ServedWatch] = []  # those of them that the run does not have yet
        self._ended: list[Job] = []
        self._recent: dict[str, tuple[float, float]] = {}  # jobs that ended here: when they were added, and ended
        self._left: dict[str, str] = {}  # what is not served, and why
        self._later: dict[str, float] = {}  # accounts for whose jobs there was no room, until when
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
        """Keep what is not kept yet, and let go of all shards: others have them within a look."""
        self._heart.__exit__()
        trusted = self._heart.trusted(self.loop.now())
        held: Collection[Shard] = self._shards
        with contextlib.suppress(StoreError):
            held = self.keeper.store.held()  # also what was taken in a look that did not come to its end
            self.jobs.answers()
        self.jobs.leave([*self._ended, *(watch.job for watch in self._watches.values())], lost=not trusted)
        try:
            self.keeper.store.give(held)
        except StoreError as failed:
            log.warning("shards are not let go of, they are free in a while: %s", failed.message)

    # -- the feed -----------------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether the run goes on."""
        return not self.over

    @property
    def busy(self) -> bool:
        """No thread has anything for the run."""
        return False

    def wake(self) -> float:
        """When to look again; at once where it is over."""
        return self.loop.now() if self.over else min(self._look_at, self._end_at)

    def news(self) -> Iterable[tuple[Job, Event]]:
        """Nothing but what the run itself tells."""
        return ()

    def take(self, run: Run) -> Sequence[ServedWatch]:
        """The jobs that are new. Once a second it is looked what is ours, what is free, and what has come."""
        now, stop = self.loop.now(), self.options.stop
        if now >= self._end_at or (stop is not None and stop.is_set()):
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
        """The store does not answer: verdicts wait, and nothing is asked once our shards are in doubt."""
        self.jobs.reachable = False
        if self.keeper.store.closed:
            raise error
        if not self._heart.trusted(now):
            for polling in run.lists.values():
                polling.stop(run)
        if now >= self._warn_at:
            self._warn_at = now + MINUTE
            self.keeper.warn(f"serving goes on, the store is looked for again: {error.message}")

    # -- a look -------------------------------------------------------------------------------------------------------

    def _look(self, run: Run, now: float) -> None:
        store = self.keeper.store
        if self._heart.late(now):  # its thread was stopped, with us; or time goes faster than it
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
        for shard in fresh:  # one by one: what the store has of a job takes more memory than its watch
            self._load(shard, now)
        self.most = max(self.most, len(self._shards))
        self.over = self.over or not self._shards
        if self._shards:
            self._measure(now)

    def _go_on(self, now: float) -> None:
        """Begin what is new in the shards that were ours before."""
        kept, mark = self.keeper.store.news(sorted(self._shards), self._mark) if self._shards else ([], math.inf)
        self._begin(kept, now)
        self._mark = mark

    def _load(self, shard: Shard, now: float) -> None:
        """Begin all jobs of a shard that was taken, or give it back where there is no room for them."""
        kept, mark = self.keeper.store.news([shard], 0.0)
        if self._is_beyond(shard, len(kept)):
            self.keeper.store.give([shard])
            self._later[shard.account] = now + MINUTE
            return
        while kept:
            self._begin(kept[:SOME], now, had_an_owner=shard.fence > 1)
            kept = kept[SOME:]
        self._shards.add(shard)
        self._mark = min(self._mark, mark)

    def _lose(self, run: Run, lost: Collection[Shard]) -> None:
        """Let go of the jobs of shards that are another's by now."""
        if not lost:
            return
        log.warning("%d shards are another process's by now", len(lost))
        self._shards.difference_update(lost)
        watches = [watch for ref, watch in self._watches.items() if any(shard.has(ref) for shard in lost)]
        for watch in watches:
            del self._watches[watch.job.ref]
        self.jobs.leave([watch.job for watch in watches], lost=True)
        run.let_go(watches)

    def _take(self) -> None:
        """Take shards that are free, where there is room for their jobs."""
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
        """Whether its jobs are too many. Others may have them; nobody wanted what is free after a minute.

        One that is too large for any process stays where it is alone.
        """
        room = self.options.capacity - len(self._watches)
        return jobs > room and bool(self._watches) and (room <= 0 or shard.account not in self._later)

    def _serves(self, name: str) -> bool:
        """Whether an account of the store is one that can be asked here; else that is said once."""
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
        """Tell verdicts that nobody has heard; watches of the jobs that are new."""
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
                    self.jobs.verdicts([(watch.job, verdict)])  # not kept: the process that had it is gone
                    continue
            except Exception as error:  # noqa: BLE001 - one job ends no shard
                log.error("%s is left: %s", each.ref, redact.trace(error))
                continue
            self._watches[each.ref] = watch
            self._begun.append(watch)

    def _untold(self, kept: KeptJob, now: float) -> list[tuple[Job, Event]]:
        """The verdict of a job, where nobody was told of it and nobody here has just done so."""
        if kept.ref in self._watches:  # another process was told by the provider
            self.jobs.follow(kept.ref)
            return []
        if kept.told_at is not None or now < self._recent.get(kept.ref, (0.0, -math.inf))[1] + TRY:
            return []
        self._recent[kept.ref] = (kept.added_at, now)
        job = kept.job
        event = job.verdict(job.history[-1].at if job.history else self.loop.clock.time())
        return [] if event is None else [(job, event)]

    def _is_new(self, kept: KeptJob) -> bool:
        ended_here = self._recent.get(kept.ref, (None, 0.0))[0] == kept.added_at
        if kept.ref in self._watches or ended_here or kept.facts.get(GAVE_UP):
            return False
        ours, theirs = records.origin(self.host.state(kept.origin.account).opened).base_url, kept.origin.base_url
        if theirs and theirs != ours:
            key = f"{kept.origin.account} {theirs}"
            if key not in self._left:
                self._left[key] = "another address"
                self._say(f"{kept.ref} is not served, nor others like it: it is a job of {theirs}, not of {ours}")
            return False
        return True

    def _watch(self, kept: KeptJob, end: float, now: float, *, had_an_owner: bool) -> ServedWatch:
        account = self.host.state(kept.origin.account)
        earliest = now + account.provider.pacing.floor if had_an_owner else now  # who had it may just have asked
        deadline = now + max(0.0, end - self.keeper.store.now())
        options = {"now": now, "timeout": self.options.timeout}
        job = kept.job
        job.give_up_at = end
        return ServedWatch(self, kept, earliest, deadline, self.keeper, job, account, self.host.schedule, **options)

    def _forget(self) -> None:
        """Leave what has ended before the last look: its verdict was told meanwhile."""
        before, self._ended = self._ended, []
        self.jobs.leave(before)
        if len(self._recent) > self.options.capacity:
            oldest = sorted(self._recent, key=lambda ref: self._recent[ref][1])
            self._recent = {ref: self._recent[ref] for ref in oldest[len(oldest) // 2 :]}

    # -- the desk -----------------------------------------------------------------------------------------------------

    def trusted(self) -> bool:
        """Whether our shards are ours without a doubt."""
        return self._heart.trusted(self.loop.now())

    def has(self, watch: ServedWatch) -> bool:
        """Whether a job is still ours to ask about."""
        return self._watches.get(watch.job.ref) is watch

    def ended(self, watch: ServedWatch) -> None:
        """A watch is over."""
        if self.has(watch):
            del self._watches[watch.job.ref]
            self._recent[watch.job.ref] = (watch.added_at, self.loop.now())
            self._ended.append(watch.job)

    def asks(self, late: float) -> None:
        """A question is sent."""
        self._late.append(max(0.0, late))

    # -- what is told -------------------------------------------------------------------------------------------------

    def hear(self, job: Job, event: Event) -> None:
        """The run has told an event."""
        if isinstance(event, Polled):
            self._polls += 1
        elif not isinstance(event, (Completed, Failed)):  # those come when they are kept
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
