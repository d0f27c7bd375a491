"""Fetches the files of completed jobs beside a run of the loop, so that the other jobs are still polled on time.

    background = Background(loop, account, tell, parallel=4, deadline=None)
    background.fetch(job, "clips/")        # returns at once; at any time, in the run's thread
    background.take(run)                   # from the run's feed, at every turn: makes the calls that the threads left
    background.done()                      # [(Files, paths or the error)] of the downloads that have ended since
    background.close()                     # ends what is under way within a second; parts stay

At most `parallel` threads fetch, with the same code as every download (`save`). They change no job and call no hook:
events, and polls for a fresh URL, are calls that `take` makes in the run's thread. A feed with a `Background` includes
it in its own `open`, `busy` and `wake`.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any, TypeVar

from .. import redact
from ..errors import AnswerError, ConfigurationError, DownloadError, UsageError, VidpollError
from ..events import Event
from ..faults import Misconfigured
from ..job import Job
from ..net.workers import Workers
from ..pacing.schedules import Adaptive
from ..polling.account_state import AccountState
from ..polling.feed import NUDGE
from ..polling.loop import Loop, Run
from ..polling.retry import retried
from ..polling.task import Context, Step, Task
from ..polling.watch import Watch
from . import save
from .fetcher import DownloadContext

log = logging.getLogger("vidpoll")

T = TypeVar("T")

LEAVING = 0.5
"""Seconds for which `close` waits for a thread that does not end: its disk may hang."""

OVERDUE = 30.0
"""Seconds after the deadline within which a thread must end; it may have to sync a large file."""


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """Files of a completed job to save; `target` and `kinds` as in `Client.download`."""

    job: Job
    target: str | Path | save.Stem
    kinds: Sequence[str] | None


Outcome = tuple[Path, ...] | VidpollError
"""The paths, or the error of the download."""


class Background:
    """Fetches files in at most `parallel` threads. All methods must be called in the run's thread.

    `account` returns an account by its name, `tell` is called with each event. `deadline`: monotonic seconds, None for
    none; a download that is not done by then is a DownloadError.
    """

    def __init__(
        self,
        loop: Loop,
        account: Callable[[str], AccountState],
        tell: Callable[[Job, Event], None],
        *,
        parallel: int,
        deadline: float | None,
    ) -> None:
        self.loop = loop
        self.parallel = parallel
        self.closed = False
        self._account, self._tell, self._deadline = account, tell, deadline
        self._workers = Workers(parallel)
        self._inbox: Queue[Any] | None = None  # the run's
        self._calls: deque[Callable[[], object]] = deque()  # calls from the threads, to make in the run's thread
        self._left: set[Files] = set()
        self._sent = 0
        self._gone: Queue[bool] = Queue()  # one item for each Files that a thread has finished
        self._idle: dict[Files, float] = {}  # whose thread pauses until then, or waits for the run (infinity)
        self._inboxes: dict[Files, Queue[Any]] = {}  # where each thread waits
        self._names: dict[Path, str] = {}
        self._questions: list[Task] = []
        self._done: list[tuple[Files, Outcome]] = []

    @property
    def open(self) -> bool:
        """Whether downloads are left, or `done` has results."""
        return bool(self._left or self._done)

    @property
    def busy(self) -> bool:
        """Whether a thread is working, so that a call may arrive at any time."""
        return min(self.parallel, len(self._left)) > len(self._idle)

    def wake(self) -> float:
        """The monotonic second at which the first pause ends, or the threads' time is over."""
        return min([*self._idle.values(), self._over])

    @property
    def _over(self) -> float:
        """The monotonic second after which no thread is waited for."""
        return math.inf if self._deadline is None or not self._left else self._deadline + OVERDUE

    def fetch(self, job: Job, target: str | Path | save.Stem, kinds: Sequence[str] | None = None) -> None:
        """Queue files of a completed job to be saved, first in first out; see `Client.download`."""
        files = Files(job, target, kinds)
        self._left.add(files)
        try:
            self._workers.send(lambda ticket: self._work(files), Queue())
            self._sent += 1
        except Misconfigured as error:  # no thread
            self._end(files, ConfigurationError(f"{job.ref}: {error.reason}", job=job))

    def take(self, run: Run) -> list[Task]:
        """Make the calls that the threads left; return their status requests as tasks for the run."""
        self._inbox = run.inbox
        self._tell_all()
        now = self.loop.now()
        for files in [files for files, until in self._idle.items() if until <= now]:
            self._resume(files)
        for files in list(self._left) if now >= self._over else ():
            told = f"{files.job.ref}: not done in time, and the disk does not respond; the job is unchanged"
            self._end(files, DownloadError(told, job=files.job))
        questions, self._questions = self._questions, []
        return questions

    def done(self) -> list[tuple[Files, Outcome]]:
        """The downloads that have ended since the last call."""
        done, self._done = self._done, []
        return done

    def close(self) -> list[Files]:
        """End all downloads under way, and return them. Parts that can be resumed stay.

        Events that arrived before are reported, and `done` has the downloads that ended before.
        """
        self.closed = True
        self._workers.close()
        for inbox in list(self._inboxes.values()):
            inbox.put(None)
        for _ in range(self._sent):
            if self.loop.clock.get(self._gone, LEAVING, busy=True) is None:
                break
        self._tell_all()
        left, self._left, self._sent = list(self._left), set(), 0
        return left

    def _tell_all(self) -> None:
        while self._calls:
            self._calls.popleft()()

    def _end(self, files: Files, outcome: Outcome) -> None:
        if files not in self._left:  # it was given up before
            return
        self._left.discard(files)
        self._idle.pop(files, None)
        self._inboxes.pop(files, None)
        self._done.append((files, outcome))

    def _resume(self, files: Files) -> None:
        """Let a waiting thread continue."""
        self._idle.pop(files, None)
        if files in self._inboxes:
            self._inboxes[files].put(None)

    # -- in the threads -----------------------------------------------------------------------------------------------

    def _later(self, call: Callable[[], object]) -> None:
        """Let the run's thread make a call."""
        self._calls.append(call)
        if self._inbox is not None:  # else the first `take` makes the call
            self._inbox.put(NUDGE)

    def _work(self, files: Files) -> None:
        job = files.job
        outcome: Outcome | None = None
        try:
            outcome = self._fetched(files)
        except _Left:
            pass
        except VidpollError as error:
            outcome = error
        except BaseException as error:  # noqa: BLE001 - the other jobs must not be affected
            log.error("%s: its files cannot be saved: %s", job.ref, redact.trace(error))
            outcome = DownloadError(f"{job.ref}: not saved ({type(error).__name__}); the job is unchanged", job=job)
        finally:
            self._gone.put(True)
            if outcome is not None:
                self._later(partial(self._end, files, outcome))

    def _fetched(self, files: Files) -> tuple[Path, ...]:
        self.check()
        job, account = files.job, self._account(files.job.account)
        loop = self.loop.beside(_PartTime(self, files))
        ask = partial(self._ask, files, account)
        if not job.assets or job.stale:
            left = None if self._deadline is None else max(0.0, self._deadline - loop.now())
            retried(loop, ask, timeout=left).said()
        context = DownloadContext(
            loop,
            account.opened,
            job,
            lambda timeout: ask(timeout).said(),
            partial(self._told, job),
            self._deadline,
            self._names,
        )
        return tuple(save.fetch(context, files.target, files.kinds, overwrite=False, max_bytes=None))

    def _told(self, job: Job, event: Event) -> None:
        self._later(partial(self._tell, job, event))

    def _ask(self, files: Files, account: AccountState, timeout: float | None) -> Watch:
        """Let the run poll the job, and wait for the result."""
        back: Queue[Any] = Queue()
        self._inboxes[files] = back
        question = _Question(files.job, account, Adaptive(), now=self.loop.now(), timeout=timeout, once=True)
        question.then = partial(self._resume, files)
        self._later(partial(self._asked, files, question))
        while not question.over:
            self.check()
            self.loop.clock.get(back, 60.0, busy=True)
        if question.error is not None:
            raise question.error
        return question

    def _asked(self, files: Files, question: Task) -> None:
        self._idle[files] = math.inf
        self._questions.append(question)

    def check(self) -> None:
        """End the thread, by an exception, if this object or the client was closed."""
        if self.closed:
            raise _Left
        if self.loop.closed:
            raise UsageError("this client is closed; make a new one")

    def wait(self, files: Files, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        """The implementation of `_PartTime.get`."""
        self._inboxes[files] = inbox
        if not busy:
            self._later(partial(self._idle.__setitem__, files, self.loop.now() + timeout))
        self.check()
        came = self.loop.clock.get(inbox, timeout, busy=True)
        self.check()
        return came


class _Left(Exception):
    """These files are no longer waited for."""


class _PartTime:
    """The clock of a thread that fetches. In a pause nothing is under way, so the run's own clock ends the pause."""

    def __init__(self, background: Background, files: Files) -> None:
        self._background, self._files = background, files
        self.monotonic = background.loop.clock.monotonic
        self.time = background.loop.clock.time

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        return self._background.wait(self._files, inbox, timeout, busy=busy)


class _Question(Watch):
    """One status request in the run, for a thread that waits for its result."""

    __slots__ = ("error", "over", "then")

    alone = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.error: VidpollError | None = None
        """Why the request could not be sent."""
        self.over = False
        self.then: Callable[[], None]

    def digest(self, value: object, context: Context) -> Step:
        if isinstance(value, VidpollError) and not isinstance(value, AnswerError):
            self.error = value
            return Step([])
        return super().digest(value, context)

    def ended(self, run: Run) -> None:
        super().ended(run)
        self.over = True
        self.then()
