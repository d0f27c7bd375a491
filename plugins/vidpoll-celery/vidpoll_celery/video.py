"""The public API: `install` makes the tasks of an app. This module has their code, `settings` their settings.

Each process has one client, made at its first use: in a child of a prefork pool, never before the fork.
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
"""Seconds in which the verdicts of a task that served must reach the broker; otherwise they are sent again."""

HEARING = 20.0
"""Seconds between two signs of life of a verdict function that takes long."""

TRY_AGAIN = 300.0
"""The most seconds until a submit that was not sent is tried again."""


class _Process(NamedTuple):
    """The client of a process, and the carrier of the verdicts that the client's hooks receive."""

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
        """The task that `on_verdict` made."""
        self.stopping = Stopping()
        self._processes: dict[int, _Process] = {}
        self._serving = threading.Lock()
        self.submit = _submit(self)
        self.serve = _serve(self)

    @property
    def client(self) -> vidpoll.Client:
        """The client of this process, also for your tasks: `video.client.download(job, "clips/")`.

        Raises StoreError if its store cannot be opened.
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
        """Make a function of one `vidpoll.Job` the task that receives every verdict; options are those of `app.task`.

        The task receives a verdict at least once: its effect for a job must be harmless twice. A verdict counts as
        heard when the function returns; otherwise it is sent again a minute later. Called with a Job, the task is the
        plain function. Raises UsageError for a second function.
        """
        if function is None:
            return partial(self.on_verdict, **options)
        if not callable(function):
            raise vidpoll.UsageError(f"on_verdict: the argument must be a function of one job, got {function!r:.80}")
        if self.verdict is not None:
            raise vidpoll.UsageError(
                f"on_verdict: {self.verdict.name} already receives the verdicts, and there can be only one: call the "
                "other function from it"
            )
        self.verdict = _verdict(self, function, options)
        return self.verdict

    def _send(self, data: dict[str, Any]) -> None:
        self.verdict.apply_async((data,), retry=True, retry_policy=settings.PUBLISHED)

    def _waiting(self) -> int:
        """The number of verdicts in their queue."""
        queue = self.app.amqp.router.route({}, self.verdict.name)["queue"]
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            try:
                return int(channel.queue_declare(queue=queue.name, passive=True).message_count)
            except connection.channel_errors:  # the queue does not exist yet
                return 0

    # -- serving ------------------------------------------------------------------------------------------------------

    def serve_here(self) -> None:
        """Serve the free shards, or end at once: the code of the task `serve`. Errors are logged: beat tries again."""
        if self.stopping.is_set() or not self._serving.acquire(blocking=False):
            return  # the worker ends, or another thread of this process serves
        try:
            served = self._served()
        except vidpoll.VidpollError as error:
            log.error("serving failed; beat tries again: %s", error.message)
            return
        finally:
            self._serving.release()
        if served.shards and not self.stopping.is_set():
            try:
                self.serve.apply_async(
                    queue=self.options.queue, retry=False
                )  # the next task continues at once, without waiting for beat
            except Exception as error:  # noqa: BLE001 - whatever a broker's library raises
                log.warning("the next serve task could not be sent (%s); beat sends one later", type(error).__name__)

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
    """The task that beat sends."""

    def serve() -> None:
        video.serve_here()

    return video.app.task(name="vidpoll.serve", **settings.serve(video.options))(serve)


def _submit(video: Video) -> Any:
    """The task that buys once, even if it is delivered twice; it tries again only if nothing was bought."""

    def submit(task: Any, account: str, kind: str, key: str, /, **fields: Any) -> str:
        try:
            return video.client.submit_once(account, kind, key, **fields).ref
        except (vidpoll.StoreError, vidpoll.RateLimited, vidpoll.ServerError) as error:
            countdown = min(TRY_AGAIN, 2.0 ** min(task.request.retries, 16))
            log.warning("submit %s %s %r: next attempt in %g s: %s", account, kind, key, countdown, error.message)
            raise task.retry(exc=error, countdown=countdown) from None

    return video.app.task(name="vidpoll.submit", bind=True, **settings.SUBMIT)(submit)


def _verdict(video: Video, function: Verdict, options: Mapping[str, Any]) -> Any:
    """The task that receives a verdict. Unless the store says that it was heard, it calls the function."""

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
    """Report regularly that the verdict is being handled, so that it is not sent again meanwhile."""
    over = threading.Event()

    def say() -> None:
        while not over.wait(HEARING):
            try:
                client.store.hearing(job)
            except vidpoll.StoreError as error:
                log.warning("%s: the verdict may be sent twice: %s", job.ref, error.message)

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
    """Make the tasks of an app, and let beat send `serve`. Call it once, before the app's workers start.

    `store`: the URL or the path of a store that all hosts share. `accounts`: the names of the accounts to serve, or a
    mapping of names to `vidpoll.Account`; keys come from the environment of the workers. `queue` is the queue of
    `serve`. Beat sends `serve` every `every` seconds; one task serves for `seconds`, then another one continues.
    `capacity` and `timeout` are those of `Client.serve`.

    Raises UsageError for a wrong argument, and for a second call on the same app. Workers raise ImproperlyConfigured
    when they start with settings that would lose verdicts or orders.
    """
    if not isinstance(app, Celery):
        raise vidpoll.UsageError(f"install: app must be a Celery app, got {app!r:.80}")
    if getattr(app, "vidpoll", None) is not None:
        raise vidpoll.UsageError(f"install: {app.main or 'this app'} already has vidpoll: call install once")
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
