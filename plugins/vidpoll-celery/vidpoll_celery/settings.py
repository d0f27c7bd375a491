"""The settings that the app and its tasks need, and why: missing ones are set, given ones are checked."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from celery import Celery, bootsteps, signals
from celery.exceptions import ImproperlyConfigured

from .options import Options

if TYPE_CHECKING:
    from .video import Video

log = logging.getLogger("vidpoll")

SKEW = 7200.0
"""Seconds after which a message for `serve` expires: far more than needed, because hosts' clocks may be an hour off."""

PUBLISHED = {"max_retries": 1, "interval_start": 0.0, "interval_step": 0.0, "interval_max": 0.0}
"""A dead connection is made again once; if that fails, the store reports the verdict again later."""

OURS = {
    "serializer": "json",  # never pickle
    "shared": False,  # for this app only
}

SUBMIT = {
    **OURS,
    "acks_late": True,  # an order of a killed worker is delivered again: its key makes it the same order
    "reject_on_worker_lost": True,  # the same if a child of the pool was killed
    "max_retries": None,  # an order that was not sent is not forgotten
    "soft_time_limit": 300.0,  # an app's shorter limit would cut a submit off, with an unknown outcome
    "time_limit": 330.0,
}

VERDICT = {
    **OURS,
    "acks_late": False,  # the store repeats it until it was heard; one that kills its worker does so once a minute
    "ignore_result": True,
}

REDIS = ("redis", "rediss", "sentinel")
UNACKED = {**dict.fromkeys(REDIS, 3600.0), "sqs": 1800.0, "amqp": 1800.0}
"""A broker's default for the seconds that it waits for the acknowledgement of a message."""


def serve(options: Options) -> dict[str, Any]:
    """The task options of `serve`."""
    return {
        **OURS,
        "acks_late": False,  # beat sends another one; a broker that waits for the end would deliver it twice
        "ignore_result": True,
        "expires": SKEW,
        "soft_time_limit": options.seconds + 60.0,  # an app's shorter limit would end it
        "time_limit": options.seconds + 120.0,
    }


def connect(video: Video) -> None:
    """Set the settings when the app is complete, and check them when a worker starts."""
    app = video.app
    app.steps["worker"].add(type("VidpollStep", (_Step,), {"video": video}))
    signals.worker_shutting_down.connect(lambda **_: video.stopping.set(), weak=False)
    if app.finalized:
        fill(video)
    else:
        app.on_after_finalize.connect(lambda **_: fill(video), weak=False)


def fill(video: Video) -> None:
    """Set the missing settings, and add the entry of beat."""
    conf, options = video.app.conf, video.options
    entry = {"task": "vidpoll.serve", "schedule": options.every, "options": {"queue": options.queue}}
    conf.beat_schedule = {**(conf.beat_schedule or {}), "vidpoll-serve": entry}
    if conf.broker_connection_retry_on_startup is None:
        conf.broker_connection_retry_on_startup = True
    if conf.broker_connection_max_retries == 100:  # the default: a worker would end after an hour without a broker
        conf.broker_connection_max_retries = None


def check(video: Video, queues: set[str]) -> None:
    """Raise ImproperlyConfigured if a worker of these queues would lose an order or a verdict."""
    app = video.app
    if not app.conf.broker_url and not app.conf.broker_read_url:
        raise ImproperlyConfigured("vidpoll: the app has no broker: give one, Celery('shop', broker='redis://…')")
    if app.conf.task_always_eager:
        raise ImproperlyConfigured(
            "vidpoll: task_always_eager is set: orders would be bought in the web process, and verdicts handled inside "
            "the loop that waits: unset it for workers"
        )
    if not {"json", "application/json"} & {*app.conf.accept_content}:
        raise ImproperlyConfigured("vidpoll: accept_content lacks 'json', the format of vidpoll's tasks: add it")
    if video.options.queue in queues:
        _check_serving(video, queues)
    if _scheme(app) in REDIS and find_spec("redis") is None:  # kombu would say that None has no attribute
        raise ImproperlyConfigured(
            "vidpoll: the broker is Redis, but its Python library is missing: pip install 'celery[redis]'"
        )


def _check_serving(video: Video, queues: set[str]) -> None:
    app, options = video.app, video.options
    if video.verdict is None:
        raise ImproperlyConfigured(
            "vidpoll: nothing that this worker imports is decorated with @video.on_verdict, so no task would receive "
            "the verdicts: import the module that has it, or decorate a function that does nothing"
        )
    limit = _unacked(app)
    if options.seconds >= limit:
        raise ImproperlyConfigured(
            f"vidpoll: install(seconds={options.seconds:g}) must be below {limit:g} s: after that time the broker "
            "delivers the messages of a busy worker again (visibility_timeout of broker_transport_options; RabbitMQ's "
            "consumer_timeout)"
        )
    if others := queues - {options.queue}:
        log.warning(
            "this worker serves and also takes tasks of %s, which wait while all its slots serve: give %s a worker of "
            "its own, celery -A … worker -Q %s",
            ", ".join(sorted(others)), options.queue, options.queue,
        )  # fmt: skip


def _unacked(app: Celery) -> float:
    set_to = (app.conf.broker_transport_options or {}).get("visibility_timeout")
    return float(set_to or UNACKED.get(_scheme(app), float("inf")))


def _scheme(app: Celery) -> str:
    """The scheme of the broker's URL; this neither connects nor imports a broker's library."""
    urls = app.conf.broker_read_url or app.conf.broker_url or ""
    first = urls if isinstance(urls, str) else next(iter(urls), "")
    return str(first).partition("://")[0].partition("+")[0]


class _Step(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Checks a worker that starts, and signals its end to its children."""

    video: Video

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        queues = {*worker.app.amqp.queues.consume_from}
        check(self.video, queues)
        self.video.stopping.begin()
        if self.video.options.queue in queues:
            self._prefetch(worker)

    @staticmethod
    def _prefetch(worker: Any) -> None:
        """Limit the messages that a serving worker fetches: they would wait until a slot is free."""
        if worker.prefetch_multiplier == 4:  # Celery's own
            worker.prefetch_multiplier = 1
        elif worker.prefetch_multiplier != 1:
            log.warning(
                "worker_prefetch_multiplier is %d: messages wait in this worker while its slots serve; set it to 1",
                worker.prefetch_multiplier,
            )

    def close(self, worker: Any) -> None:
        """The worker ends, for any reason."""
        self.video.stopping.set()
