"""What `install` takes, and what the app and its workers are set to."""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest
import vidpoll_celery
from celery import Celery
from celery.exceptions import ImproperlyConfigured
from vidpoll_celery import settings

import vidpoll


def app(**conf: Any) -> Celery:
    """An app that is not the current one."""
    made = Celery("shop", broker="memory://", set_as_current=False)
    made.conf.update(conf)
    return made


def install(on: Celery, **options: Any) -> vidpoll_celery.Video:
    return vidpoll_celery.install(on, **{"store": "jobs.sqlite3", "accounts": ["acme"], **options})


def publish(job: vidpoll.Job) -> None:
    """Nothing."""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"accounts": []}, "names no account, so nothing would be served"),
        ({"accounts": "acme"}, r"must be a list of names, like \['magicoal'\]"),
        ({"accounts": None}, "must be a list of names"),
        ({"accounts": ["acme", 7]}, "mapping of names to Account, got the item 7: None"),
        ({"accounts": {"acme": "kling"}}, "mapping of names to Account, got the item 'acme': 'kling'"),
        ({"store": None}, "store must be the URL or the path of a store, which each process opens itself, got None"),
        ({"store": ""}, "must be the URL or the path of a store"),
        ({"queue": ""}, "must be the name of a queue"),
        ({"every": 0}, "every must be 1 to 600 seconds, got 0"),
        ({"seconds": True}, "seconds must be 10 to 86400 seconds, got True"),
    ],
)
def test_wrong_arguments(options: Any, said: str) -> None:
    """Each says what it must be."""
    with pytest.raises(vidpoll.UsageError, match=said):
        install(app(), **options)


def test_what_is_no_app() -> None:
    with pytest.raises(vidpoll.UsageError, match="must be a Celery app"):
        install("shop")  # type: ignore[arg-type]


def test_installed_twice() -> None:
    """An app has one vidpoll."""
    shop = app()
    install(shop)
    with pytest.raises(vidpoll.UsageError, match="shop already has vidpoll: call install once"):
        install(shop)


def test_on_verdict_twice() -> None:
    """A verdict is heard once."""
    video = install(app())
    task = video.on_verdict(publish)
    assert task.name == f"{__name__}.publish"
    with pytest.raises(
        vidpoll.UsageError, match=r"publish already receives the verdicts.*call the other function from it"
    ):
        video.on_verdict(publish)
    with pytest.raises(vidpoll.UsageError, match="must be a function of one job"):
        video.on_verdict("publish")  # type: ignore[arg-type]


def test_on_verdict_with_options() -> None:
    """They are those of a task."""
    video = install(app())
    video.on_verdict(name="shop.heard", rate_limit="5/s", acks_late=True)(publish)
    assert (video.verdict.name, video.verdict.rate_limit, video.verdict.acks_late) == ("shop.heard", "5/s", True)


def test_how_the_tasks_are_declared() -> None:
    """JSON alone; an app's own limits and acknowledgements do not reach them."""
    video = install(app(task_serializer="pickle", task_acks_late=True, task_time_limit=5), seconds=100.0)
    video.on_verdict(publish)
    tasks = (video.submit, video.serve, video.verdict)
    assert [task.serializer for task in tasks] == ["json"] * 3
    assert [(task.acks_late, bool(task.reject_on_worker_lost)) for task in tasks] == [
        (True, True), (False, False), (False, False),
    ]  # fmt: skip
    assert video.serve.expires == settings.SKEW
    assert (video.serve.soft_time_limit, video.serve.time_limit) == (160.0, 220.0)
    assert (video.submit.soft_time_limit, video.submit.time_limit) == (300.0, 330.0)


def test_the_tasks_are_of_this_app_alone() -> None:
    """Another app of the process does not get them."""
    install(app())
    assert not any(name.startswith("vidpoll") for name in app().tasks)


def test_what_is_missing_in_a_submit_is_said_in_the_view() -> None:
    """Before it is on a queue."""
    with pytest.raises(TypeError, match="key"):
        install(app()).submit.delay("acme", "clip")


def entry(shop: Celery) -> Any:
    shop.finalize()
    return shop.conf.beat_schedule


OWN = {"own": {"task": "own", "schedule": 1.0}}
PLACED = {"vidpoll-serve": {"task": "vidpoll.serve", "schedule": 10.0, "options": {"queue": "vidpoll"}}}


def test_beat_places_serve() -> None:
    """Beside what the user has, whenever that is set, and where the app is complete already."""
    early, late, complete = app(beat_schedule=OWN), app(), app(beat_schedule=OWN)
    complete.finalize()
    for shop in (early, late, complete):
        install(shop)
    late.conf.beat_schedule = OWN
    assert [entry(shop) for shop in (early, late, complete)] == [{**OWN, **PLACED}] * 3


def test_what_is_set_where_nobody_has() -> None:
    """A worker waits for its broker for as long as it takes."""
    plain, own = app(), app(broker_connection_retry_on_startup=False, broker_connection_max_retries=7)
    names = ("broker_connection_retry_on_startup", "broker_connection_max_retries")
    for shop in (plain, own):
        install(shop)
        shop.finalize()
    assert [plain.conf[name] for name in names] == [True, None]
    assert [own.conf[name] for name in names] == [False, 7]


@pytest.mark.parametrize(
    ("conf", "options", "said"),
    [
        ({"task_always_eager": True}, {}, "task_always_eager is set"),
        ({"accept_content": ["pickle"]}, {}, "accept_content lacks 'json'"),
        ({"broker_url": None}, {}, "the app has no broker"),
        (
            {"broker_transport_options": {"visibility_timeout": 600}},
            {},
            r"seconds=900\) must be below 600 s",
        ),
        ({"broker_url": "redis://127.0.0.1:1/0"}, {"seconds": 3600}, "below 3600 s"),
        ({"broker_url": "amqp://127.0.0.1:1//"}, {"seconds": 1800}, "RabbitMQ's consumer_timeout"),
    ],
)
def test_settings_with_which_something_would_be_lost(
    conf: Any, options: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that serves does not start with them."""
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    video = install(app(**conf), **options)
    video.on_verdict(publish)
    with pytest.raises(ImproperlyConfigured, match=said):
        settings.check(video, {"vidpoll"})


def test_a_broker_whose_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said in words, and not by what kombu stumbles over."""
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    video = install(app(broker_url="rediss://127.0.0.1:1/0"))
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'celery\[redis\]'"):
        settings.check(video, {"celery"})


def test_nobody_hears() -> None:
    """Only a worker that serves needs an `on_verdict`."""
    video = install(app())
    settings.check(video, {"celery"})
    with pytest.raises(ImproperlyConfigured, match="nothing that this worker imports is decorated"):
        settings.check(video, {"vidpoll"})


class Worker:
    """What a step sees of a worker."""

    def __init__(self, shop: Celery, queues: str, prefetch: int) -> None:
        self.app, self.prefetch_multiplier = shop, prefetch
        shop.amqp.queues.select(queues.split(","))


@pytest.mark.parametrize(
    ("queues", "before", "after", "said"),
    [
        ("vidpoll", 4, 1, ""),
        ("vidpoll", 1, 1, ""),
        ("vidpoll", 8, 8, "worker_prefetch_multiplier is 8"),
        ("celery", 4, 4, ""),
        ("celery,vidpoll", 4, 1, "give vidpoll a worker of its own"),
    ],
)
def test_a_worker_that_starts(
    queues: str, before: int, after: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who serves fetches no more than it runs; what is better left is warned of. When it ends, it says so."""
    shop = app()
    video = install(shop)
    video.on_verdict(publish)
    [step] = [step for step in shop.steps["worker"] if step.video is video]
    worker = Worker(shop, queues, before)
    video.stopping.set()
    with caplog.at_level(logging.WARNING, "vidpoll"):
        begun = step(worker)
    assert (worker.prefetch_multiplier, said in caplog.text, bool(caplog.text)) == (after, True, bool(said))
    assert not video.stopping.is_set()
    begun.close(worker)
    assert video.stopping.is_set()


def test_children_see_that_their_worker_ends() -> None:
    """Those that were forked before, and those whose worker is gone."""
    stopping = install(app()).stopping
    stopping.begin()
    asked, told = os.pipe()
    back, answered = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(answered, b"%d" % stopping.is_set())
        os.read(asked, 1)
        os.write(answered, b"%d" % stopping.is_set())
        stopping._page[0] = 0
        stopping._main = 4194305  # a worker that is gone
        os.write(answered, b"%d" % stopping.is_set())
        os._exit(0)
    before = os.read(back, 1)
    stopping.set()
    os.write(told, b"x")
    os.waitpid(child, 0)
    assert (before, os.read(back, 9)) == (b"0", b"11")
    for end in (asked, told, back, answered):
        os.close(end)
