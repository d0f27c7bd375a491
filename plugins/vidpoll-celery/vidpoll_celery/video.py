"""The public face: `install` makes the tasks of an app. What they do stands here, how they are set in `settings`.

One client a process, made where it is needed first: in a child of a prefork pool, never before the fork.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from celery import Celery, signals

import vidpoll

from . import settings
from .carrier import Carrier, Hooks
from .options import Options, checked
from .stopping import Stopping

log = logging.getLogger("vidpoll")

Verdict = Callable[[vidpoll.Job], object]

FLUSH = 5.0
"""Seconds in which the verdicts of a task that served must be at the broker; else they are told again."""

HEARING = 20.0
"""Seconds between two times that a function that takes long says so."""

TRY_AGAIN = 300.0
"""The most seconds until a submit is tried again that was not sent."""


class _Process(NamedTuple):
    """What a process has: its client, and the carrier of the verdicts that its hooks are told of."""

    client: vidpoll.Client
    carrier: Carrier


class Video:
    """The tasks of an app: see `install`.

    `submit.delay(account, kind, key, **fields)` buys once; its result is the reference of the job. `serve` is for beat.
    """

    submit: Any
    serve: Any

    def __init__(self, app: Celery, options: Options) -> None:
        self.app, self.options = app, options
        self.verdict: Any = None
        """The task that `on_verdict` has made."""
        self.stopping = Stopping()
        self._processes: dict[int, _Process] = {}
        self._serving = threading.Lock()
        self.submit = _submit(self)
        self.serve = _serve(self)

    @property
    def client(self) -> vidpoll.Client:
        """The client of this process, also for your tasks: `video.client.download(job, "clips/")`.

        Raises StoreError where its store cannot be opened.
        """
        return self._process.client

    @property
    def _process(self) -> _Process:
        pid = os.getpid()
        if pid not in self._processes:
            carrier = Carrier(self._send, self._waiting)
            made = _Process(self.options.client(Hooks(carrier)), carrier)
            if self._processes.setdefault(pid, made) is not made:  # another thread was faster
                made.client.close()
        return self._processes[pid]

    def close(self) -> None:
        """End the client of this process."""
        process = self._processes.pop(os.getpid(), None)
        if process is not None:
            process.carrier.flush(FLUSH)
            process.client.close()

    # -- verdicts -----------------------------------------------------------------------------------------------------

    def on_verdict(self, function: Verdict | None = None, /, **options: Any) -> Any:
        """Make a function of one `vidpoll.Job` the task that hears every verdict; options are those of `app.task`.

        At least once: what it does for a job has to be harmless twice. A verdict is heard when it returns, and comes
        again, a minute later, while it does not. Called with a Job it is the function. Raises UsageError for a second.
        """
        if function is None:
            return partial(self.on_verdict, **options)
        if not callable(function):
            raise vidpoll.UsageError(f"on_verdict({function!r:.80}): must be a function of one job")
        if self.verdict is not None:
            raise vidpoll.UsageError(
                f"on_verdict: {self.verdict.name} hears the verdicts already; a verdict is heard once, so call the "
                "other function from it"
            )
        self.verdict = _verdict(self, function, options)
        return self.verdict

    def _send(self, data: dict[str, Any]) -> None:
        self.verdict.apply_async((data,), retry=True, retry_policy=settings.PUBLISHED)

    def _waiting(self) -> int:
        """How many verdicts are in their queue."""
        queue = self.app.amqp.router.route({}, self.verdict.name)["queue"]
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            try:
                return int(channel.queue_declare(queue=queue.name, passive=True).message_count)
            except connection.channel_errors:  # it is not there yet
                return 0

    # -- serving ------------------------------------------------------------------------------------------------------

    def serve_here(self) -> None:
        """Serve what is free, or end at once: what the task `serve` does. What fails is logged: beat asks again."""
        if self.stopping.is_set() or not self._serving.acquire(blocking=False):
            return  # the worker ends; or a thread of this process serves
        try:
            served = self._served()
        except vidpoll.VidpollError as error:
            log.error("nothing is served here for now: %s", error.message)
            return
        finally:
            self._serving.release()
        if served.shards and not self.stopping.is_set():
            try:
                self.serve.apply_async(
                    queue=self.options.queue, retry=False
                )  # who goes on, so that nothing waits for beat
            except Exception as error:  # noqa: BLE001 - whatever a broker's library raises
                log.warning("beat has to find who serves next: %s", type(error).__name__)

    def _served(self) -> vidpoll.serving.Served:
        client, carrier = self._process
        try:
            return client.serve(
                list(self.options.accounts),
                capacity=self.options.capacity,
                seconds=self.options.seconds,
                timeout=self.options.timeout,
                stop=self.stopping,
                on_metrics=lambda metrics: log.info("serving: %s", metrics),
            )
        finally:
            carrier.flush(FLUSH)


def _serve(video: Video) -> Any:
    """The task that beat asks for."""

    def serve() -> None:
        video.serve_here()

    return video.app.task(name="vidpoll.serve", **settings.serve(video.options))(serve)


def _submit(video: Video) -> Any:
    """The task that buys once, whatever is delivered twice; tried again is only what bought nothing."""

    def submit(task: Any, account: str, kind: str, key: str, /, **fields: Any) -> str:
        try:
            return video.client.submit_once(account, kind, key, **fields).ref
        except (vidpoll.StoreError, vidpoll.RateLimited, vidpoll.ServerError) as error:
            countdown = min(TRY_AGAIN, 2.0 ** min(task.request.retries, 16))
            log.warning("%s %s %r is tried again in %g s: %s", account, kind, key, countdown, error.message)
            raise task.retry(exc=error, countdown=countdown) from None

    return video.app.task(name="vidpoll.submit", bind=True, **settings.SUBMIT)(submit)


def _verdict(video: Video, function: Verdict, options: Mapping[str, Any]) -> Any:
    """The task that hears a verdict: it calls the function, unless the store knows that it was heard, and says so."""

    def verdict(told: Any, /) -> None:
        if isinstance(told, vidpoll.Job):
            function(told)
            return
        job, client = vidpoll.load(told), video.client
        if client.store.hearing(job):
            with _saying(client, job):
                function(job)
            client.heard(job)

    name = video.app.gen_task_name(function.__name__, function.__module__)
    return video.app.task(**{"name": name, **settings.VERDICT, **options})(verdict)


@contextmanager
def _saying(client: vidpoll.Client, job: vidpoll.Job) -> Iterator[None]:
    """Say all the time that the verdict is being heard, so that it is not told again meanwhile."""
    over = threading.Event()

    def say() -> None:
        while not over.wait(HEARING):
            try:
                client.store.hearing(job)
            except vidpoll.StoreError as error:
                log.warning("%s may be told twice: %s", job.ref, error.message)

    thread = threading.Thread(target=say, name="vidpoll-hearing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def install(
    app: Celery,
    *,
    store: str | Path,
    accounts: Iterable[str] | Mapping[str, vidpoll.Account],
    queue: str = "vidpoll",
    every: float = 10.0,
    seconds: float = 900.0,
    capacity: int = 20_000,
    timeout: float = 86_400.0,
) -> Video:
    """Make the tasks of an app, and have beat place `serve`; before the app's workers start, once.

    `store`: the URL or the path of a store that all hosts share. `accounts`: the names of those that are served, or a
    mapping of names to `vidpoll.Account`; keys come from the environment of the workers. `queue` is that of `serve`,
    which beat asks for `every` so many seconds; one task of it serves for `seconds`, then another one goes on.
    `capacity` and `timeout` are those of `Client.serve`.

    Raises UsageError for a wrong argument and for an app that has it already. Workers raise ImproperlyConfigured when
    they start with settings with which verdicts or orders would be lost.
    """
    if not isinstance(app, Celery):
        raise vidpoll.UsageError(f"install({app!r:.80}): must be a Celery app")
    if getattr(app, "vidpoll", None) is not None:
        raise vidpoll.UsageError(f"install: {app.main or 'this app'} has vidpoll already; install once")
    video = Video(
        app,
        checked(
            store=store,
            accounts=accounts,
            queue=queue,
            every=every,
            seconds=seconds,
            capacity=capacity,
            timeout=timeout,
        ),
    )
    app.vidpoll = video
    settings.connect(video)
    for signal in (signals.worker_process_shutdown, signals.worker_shutdown):
        signal.connect(lambda **_: video.close(), weak=False)
    return video
