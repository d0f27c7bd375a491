"""The files of completed jobs, fetched beside a run of the loop: the other jobs are asked about on time meanwhile.

    background = Background(loop, account, tell, parallel=4, deadline=None)
    background.fetch(job, "clips/")        # returns at once; any time, in the thread of the run
    background.take(run)                   # from the run's feed, at every turn: what the threads had for this thread
    background.done()                      # [(Files, paths or the error)] of those that have ended since
    background.close()                     # ends what is under way within a second; parts stay

At most `parallel` threads fetch, by the code of every download (`save`). They touch no job and tell nobody: an event,
and the question that brings a fresh URL, is a call that `take` makes in the thread of the run. A feed that has a
`Background` says so in its `open`, `busy` and `wake`.
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
"""Seconds for which `close` waits for a thread that does not leave: its disk may hang."""

OVERDUE = 30.0
"""Seconds after the deadline in which a thread must have said that it is over; a large file may have to be synced."""


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """Files of a completed job that are to be saved; `target` and `kinds` as in `Client.download`."""

    job: Job
    target: str | Path | save.Stem
    kinds: Sequence[str] | None


Outcome = tuple[Path, ...] | VidpollError
"""The paths, or why the files are not there."""


class Background:
    """Fetches files in at most `parallel` threads. All methods are for the thread of the run.

    `account` gives an account by its name, `tell` is called with each event. `deadline`: monotonic seconds, None for
    none; what is not there by then is a DownloadError.
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
        self._calls: deque[Callable[[], object]] = deque()  # what the threads have for the thread of the run
        self._left: set[Files] = set()
        self._sent = 0
        self._gone: Queue[bool] = Queue()  # a thread is through with some
        self._idle: dict[Files, float] = {}  # whose thread pauses until then, or waits for an answer of the run
        self._inboxes: dict[Files, Queue[Any]] = {}  # where each thread waits
        self._names: dict[Path, str] = {}
        self._questions: list[Task] = []
        self._done: list[tuple[Files, Outcome]] = []

    @property
    def open(self) -> bool:
        """Whether files are to come, or `done` has something."""
        return bool(self._left or self._done)

    @property
    def busy(self) -> bool:
        """Whether a thread is at work, so that something may come at any time."""
        return min(self.parallel, len(self._left)) > len(self._idle)

    def wake(self) -> float:
        """The monotonic second at which the first pause is over, or at which nobody waits for a thread any more."""
        return min([*self._idle.values(), self._over])

    @property
    def _over(self) -> float:
        """When nobody waits for a thread any more."""
        return math.inf if self._deadline is None or not self._left else self._deadline + OVERDUE

    def fetch(self, job: Job, target: str | Path | save.Stem, kinds: Sequence[str] | None = None) -> None:
        """Have files of a completed job be saved; see `Client.download`. Those that were asked for first come first."""
        files = Files(job, target, kinds)
        self._left.add(files)
        try:
            self._workers.send(lambda ticket: self._work(files), Queue())
            self._sent += 1
        except Misconfigured as error:  # no thread
            self._end(files, ConfigurationError(f"{job.ref}: {error.reason}", job=job))

    def take(self, run: Run) -> list[Task]:
        """Tell what has come, and return the questions that the threads have for the run."""
        self._inbox = run.inbox
        self._tell_all()
        now = self.loop.now()
        for files in [files for files, until in self._idle.items() if until <= now]:
            self._resume(files)
        for files in list(self._left) if now >= self._over else ():
            told = f"{files.job.ref}: not done in time, and the disk does not answer; the job is unchanged"
            self._end(files, DownloadError(told, job=files.job))
        questions, self._questions = self._questions, []
        return questions

    def done(self) -> list[tuple[Files, Outcome]]:
        """What has ended since this was asked last."""
        done, self._done = self._done, []
        return done

    def close(self) -> list[Files]:
        """End all that is under way, and return it. Its parts stay, where they can be gone on with.

        What has come until then is told, and `done` has it.
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
        if files not in self._left:  # nobody waited any more
            return
        self._left.discard(files)
        self._idle.pop(files, None)
        self._inboxes.pop(files, None)
        self._done.append((files, outcome))

    def _resume(self, files: Files) -> None:
        """Have a thread that waits go on."""
        self._idle.pop(files, None)
        if files in self._inboxes:
            self._inboxes[files].put(None)

    # -- in the threads -----------------------------------------------------------------------------------------------

    def _later(self, call: Callable[[], object]) -> None:
        """Have the thread of the run make a call."""
        self._calls.append(call)
        if self._inbox is not None:  # else `take` comes first
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
        except BaseException as error:  # noqa: BLE001 - the other jobs are not to hear of it
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
            lambda: ask(None).said(),
            partial(self._told, job),
            self._deadline,
            self._names,
        )
        return tuple(save.fetch(context, files.target, files.kinds, overwrite=False, max_bytes=None))

    def _told(self, job: Job, event: Event) -> None:
        self._later(partial(self._tell, job, event))

    def _ask(self, files: Files, account: AccountState, timeout: float | None) -> Watch:
        """Have the run ask about the job, and wait for the answer."""
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
        """Raise what ends a thread: nobody waits for it any more, or the client was closed."""
        if self.closed:
            raise _Left
        if self.loop.closed:
            raise UsageError("this client is closed; make a new one")

    def wait(self, files: Files, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        """What `_PartTime.get` gives."""
        self._inboxes[files] = inbox
        if not busy:
            self._later(partial(self._idle.__setitem__, files, self.loop.now() + timeout))
        self.check()
        came = self.loop.clock.get(inbox, timeout, busy=True)
        self.check()
        return came


class _Left(Exception):
    """Nobody waits for these files any more."""


class _PartTime:
    """The clock of a thread that fetches. In a pause nothing is under way: the run's own clock ends it."""

    def __init__(self, background: Background, files: Files) -> None:
        self._background, self._files = background, files
        self.monotonic = background.loop.clock.monotonic
        self.time = background.loop.clock.time

    def get(self, inbox: Queue[T], timeout: float, *, busy: bool) -> T | None:
        return self._background.wait(self._files, inbox, timeout, busy=busy)


class _Question(Watch):
    """One question about a job in the run, for a thread that waits for its answer."""

    __slots__ = ("error", "over", "then")

    alone = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.error: VidpollError | None = None
        """Why it could not be asked."""
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
