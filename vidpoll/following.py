"""A wait: one run of the loop for some jobs, which reports events and saves files at the same time.

`Client` builds its methods on it. A job whose files are to be saved is yielded once they are saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .clock import Clock
from .errors import DownloadError, ResultMissing, VidpollError
from .events import Completed, Event, Failed, Polled
from .job import Job
from .pacing.schedules import Schedule
from .plugins import Plugins, guard
from .polling.account_state import AccountState
from .polling.call import build
from .polling.feed import Stop
from .polling.loop import Loop, Run
from .polling.task import Task
from .polling.watch import Watch
from .storage.keeper import Keeper
from .storage.no_keeper import NoKeeper
from .storage.records import VIDEO, WantedFiles, wanted

if TYPE_CHECKING:
    from .downloads.background import Background, Files, Outcome

LOOK = 3600.0
"""Seconds for the files of a wait that polls only once (`timeout=0`): files of jobs found completed are saved."""

OnEvent = Callable[[Event], object]
Followed = Generator[tuple[Job, Event]]


@dataclass(frozen=True, slots=True)
class Saving:
    """The files that a wait saves, for `parallel` jobs at once. `kinds` are those that the caller passed, or None."""

    files: tuple[WantedFiles, ...]
    kinds: Sequence[str] | None
    parallel: int

    def kinds_of(self, files: WantedFiles) -> Sequence[str] | None:
        """The kinds to save. None if the caller chose none: the videos, or whatever the job makes instead."""
        return None if self.kinds is None and files.kinds == VIDEO else files.kinds


class Following:
    """The waits of one client."""

    def __init__(
        self,
        loop: Loop,
        keeper: Keeper | NoKeeper,
        plugins: Plugins,
        state: Callable[[str], AccountState],
    ) -> None:
        self._loop, self._keeper, self._plugins = loop, keeper, plugins
        self._state = state

    @property
    def _clock(self) -> Clock:
        return self._loop.clock

    def follow(
        self,
        jobs: Sequence[Job],
        schedule: Schedule,
        saving: Saving | None,
        *,
        timeout: float | None,
        stop: Stop | None,
        on_event: OnEvent | None,
    ) -> Followed:
        """Wait for all jobs in one loop. Errors of the accounts and jobs are raised at once, not at the first event.

        Yields each event except `Polled`. A completed job's verdict is yielded once its files are saved or have failed.
        """
        from .downloads import save  # noqa: F401 - import now: after an hour's wait no file descriptor may be free

        states = [self._state(job.account) for job in jobs]
        for job, state in zip(jobs, states, strict=True):
            check_question(self._keeper, job, state)
        self._keeper.enter(jobs, [state.opened for state in states])
        if saving is not None:
            self._keeper.want(saving.files)

        ends = _Ends(self._loop, stop)

        def told() -> Followed:
            desk = None if saving is None else self._desk(saving, timeout, on_event)
            with self._plugins.during(jobs, "wait"), self._keeper.waiting(jobs), desk or nullcontext():
                watches = []
                for job, watch in self._begun(jobs, states, schedule, timeout):
                    if isinstance(watch, Watch):
                        watches.append(watch)
                    elif desk is None or not desk.holds(job, watch):
                        yield job, watch
                yield from self._run(watches, ends, desk, on_event)
                if desk is not None:
                    desk.look_for(jobs, self._clock.time())
                    while desk.open and not ends.is_set():
                        yield from self._run([], ends, desk, on_event)
                    yield from desk.stopped()

        return told()

    def _begun(
        self, jobs: Sequence[Job], states: Sequence[AccountState], schedule: Schedule, timeout: float | None
    ) -> Iterator[tuple[Job, Watch | Event]]:
        """Each job with the task that waits for it, or with its verdict if that is known."""
        now = self._loop.now()
        for job, state in zip(jobs, states, strict=True):
            watch = self._keeper.follow(job, state, schedule, now=now, timeout=timeout)
            yield job, watch or job.verdict(self._clock.time())  # type: ignore[misc]  # it has one of the two

    def _run(self, watches: Sequence[Watch], stop: Stop, desk: Desk | None, on_event: OnEvent | None) -> Followed:
        with closing(self._loop.run(watches, stop, desk)) as run:
            for job, event in run:
                if isinstance(event, _HandedOut):
                    yield job, event.verdict
                elif not isinstance(event, Polled):
                    if on_event is not None:
                        guard("on_event", on_event, event)
                    if desk is None or not desk.holds(job, event):
                        yield job, event

    def _desk(self, saving: Saving, timeout: float | None, on_event: OnEvent | None) -> Desk:
        def tell(job: Job, event: Event) -> None:
            self._keeper.tell(job, event)
            if on_event is not None:
                guard("on_event", on_event, event)

        from .downloads.background import Background

        deadline = None if timeout is None else self._loop.now() + (timeout or LOOK)
        background = Background(self._loop, self._state, tell, parallel=saving.parallel, deadline=deadline)
        return Desk(background, saving, self._keeper, self._plugins)


class _Ends(NamedTuple):
    """Set when `stop` is set or the client is closed: then a wait ends, and its job continues at the provider."""

    loop: Loop
    stop: Stop | None

    def is_set(self) -> bool:
        return self.loop.closed or (self.stop is not None and self.stop.is_set())


def check_question(keeper: Keeper | NoKeeper, job: Job, state: AccountState) -> None:
    """Raise the error that polling a job would raise, before the job is stored. An ended job is not polled."""
    try:
        if not job.final:
            build(state.opened, state.provider.status, job.id)
            state.opened.check()
    except VidpollError:
        with keeper.asking(job, state.opened):  # updates the job from the store
            if not job.final:
                raise


def checked(job: Job) -> Job:
    """Return the job if it is completed and its wanted files are saved. Otherwise raise the reason."""
    job.check()
    if job.download_error is not None:
        raise job.download_error
    return job


def _stopped(job: Job) -> DownloadError:
    said = "the wait was stopped before the files were saved; the job is unchanged, and the same call resumes them"
    return DownloadError(f"{job.ref}: {said}", job=job)


@dataclass(frozen=True, slots=True)
class _HandedOut(Event):
    """The files of a completed job are saved or have failed. Only `Following` sees this event."""

    verdict: Event


class Desk:
    """Holds completed jobs back until their files are saved: the feed of a run. A context manager."""

    def __init__(self, background: Background, saving: Saving, keeper: Keeper | NoKeeper, plugins: Plugins) -> None:
        self._background, self._keeper, self._plugins, self._saving = background, keeper, plugins, saving
        self._files: dict[str, list[WantedFiles]] = {}
        for files in saving.files:
            self._files.setdefault(files.ref, []).append(files)
        self._held: dict[str, tuple[Event, ExitStack]] = {}
        self._coming: Counter[str] = Counter()  # how many of each job's wanted files are still missing
        self._known: set[str] = set()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *error: object) -> None:
        self._background.close()
        for files, outcome in self._background.done():  # saved files count, whatever ended the wait
            list(self._ended(files, outcome))
        for _, shown in self._held.values():
            shown.close()

    def look_for(self, jobs: Sequence[Job], at: float) -> None:
        """Hold the jobs that another wait for the same Job completed: this run saw no event for them."""
        for job in jobs:
            if job.ok and job.ref not in self._known:
                self.holds(job, Completed(job.ref, at, job.assets, job.cost))

    def holds(self, job: Job, event: Event) -> bool:
        """Whether a job is yielded later, because its files are downloaded now."""
        asked_for = self._files.get(job.ref, ())
        if isinstance(event, Failed):
            for files in asked_for:
                self._keeper.unwant(files)
        if not isinstance(event, Completed) or not asked_for:
            return False
        self._known.add(job.ref)
        job.saved(())
        shown = ExitStack()
        shown.enter_context(self._plugins.during([job], "download"))
        self._held[job.ref], self._coming[job.ref] = (event, shown), len(asked_for)
        for files in asked_for:
            self._background.fetch(job, files.target, self._saving.kinds_of(files))
        return True

    def stopped(self) -> Iterator[tuple[Job, Event]]:
        """Yield the jobs that are still held, because the wait was stopped."""
        left = self._background.close()
        for files, outcome in [*self._background.done(), *((files, _stopped(files.job)) for files in left)]:
            yield from self._ended(files, outcome)

    # -- as a feed ----------------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether files are still missing."""
        return self._background.open

    @property
    def busy(self) -> bool:
        """Whether a file is being downloaded."""
        return self._background.busy

    def take(self, run: Run) -> Sequence[Task]:
        """The polls that downloads need before they can continue."""
        return self._background.take(run)

    def wake(self) -> float:
        """When the next pause ends."""
        return self._background.wake()

    def news(self) -> Iterator[tuple[Job, Event]]:
        """The jobs whose files are saved or have failed."""
        for files, outcome in self._background.done():
            for job, verdict in self._ended(files, outcome):
                yield job, _HandedOut(job.ref, verdict.at, verdict)

    def _ended(self, files: Files, outcome: Outcome) -> Iterator[tuple[Job, Event]]:
        """Record the outcome of some files. Yields the job and its verdict if they were its last files."""
        job = files.job
        if isinstance(outcome, VidpollError):
            job.saved(job.paths, job.download_error or outcome)
        else:
            job.saved((*job.paths, *outcome), job.download_error)
        if not isinstance(outcome, VidpollError) or isinstance(outcome, ResultMissing):
            self._keeper.unwant(wanted(job.ref, str(files.target), files.kinds or VIDEO))
        self._coming[job.ref] -= 1
        if not self._coming[job.ref]:
            verdict, shown = self._held.pop(job.ref)
            shown.close()
            yield job, verdict
