"""What the tasks do: the store, the hooks and the queue are real, the provider plays a script."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import vidpoll_celery
from acme_provider import DONE, Talk, talk
from celery import Celery
from celery.exceptions import Retry
from forking import in_a_child
from kept_jobs import NOW, RESET, SUBMITTED
from vidpoll_celery import video as module

import vidpoll
from vidpoll.storage.protocol import AGAIN

Make = Callable[..., tuple[vidpoll_celery.Video, Talk]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """An app whose client plays a script; its broker is in memory."""
    made: list[vidpoll_celery.Video] = []
    monkeypatch.setattr("kombu.transport.memory.Channel.queues", {})  # they are one for all apps

    def install(*script: Any) -> tuple[vidpoll_celery.Video, Talk]:
        app = Celery("shop", broker="memory://", set_as_current=False)
        video = vidpoll_celery.install(app, store=tmp_path / "jobs.sqlite3", accounts=["acme"], seconds=60.0)
        talks: list[Talk] = []

        def client(options: Any, hooks: object) -> vidpoll.Client:
            talks.append(talk([*script], store=options.store, plugins=(hooks,)))
            talks[-1].clock.now = NOW
            return talks[-1].client

        monkeypatch.setattr("vidpoll_celery.options.Options.client", client)
        assert video.client is talks[0].client
        made.append(video)
        return video, talks[0]

    yield install
    for each in made:
        each.close()


def sent(video: vidpoll_celery.Video, queue: str = "celery") -> list[tuple[str, Any, Any]]:
    """The messages of a queue: task, arguments, fields."""
    video._process.carrier.flush(5.0)
    messages = []
    with video.app.connection_for_read() as connection, connection.channel() as channel:
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            decoded = channel.message_to_python(message) if isinstance(message, dict) else message
            args, fields, _ = decoded.decode()
            messages.append((decoded.headers["task"], args, fields))
    return messages


def test_a_submit_is_once(make: Make) -> None:
    """What is delivered twice is the same job; its reference is the result."""
    video, t = make(SUBMITTED)
    done = [video.submit.apply(("acme", "clip", "order-42"), {"prompt": "x"}) for _ in range(2)]
    assert [each.get() for each in done] == ["acme:j1", "acme:j1"]
    assert t.requests == ["POST /v1/jobs"]


@pytest.mark.parametrize(
    ("answer", "error", "again"),
    [
        (vidpoll.RateLimited("slow down"), vidpoll.RateLimited, True),
        (vidpoll.ServerError("nobody there"), vidpoll.ServerError, True),
        (vidpoll.StoreError("locked"), vidpoll.StoreError, True),
        (vidpoll.SubmitUnknown("no answer", key="order-42"), vidpoll.SubmitUnknown, False),
        (vidpoll.PaymentRequired("no credits"), vidpoll.PaymentRequired, False),
        (vidpoll.UsageError("no such field"), vidpoll.UsageError, False),
    ],
)
def test_what_is_tried_again(
    make: Make, answer: Exception, error: type[Exception], again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not sent, or bought nothing and may be taken later: nothing else, never what may have been bought."""
    video, t = make()
    tries: list[str] = []

    def submit_once(*order: str, **fields: object) -> vidpoll.Job:
        tries.append(order[2])
        raise answer

    monkeypatch.setattr(t.client, "submit_once", submit_once)
    video.submit.push_request(args=("acme", "clip", "order-42"), kwargs={}, retries=3, called_directly=False)
    try:
        with pytest.raises(Retry if again else error) as raised:
            video.submit.run("acme", "clip", "order-42", prompt="x")
    finally:
        video.submit.pop_request()
    assert tries == ["order-42"]
    if again:
        assert (raised.value.when, raised.value.exc) == (8.0, answer)


def test_an_unknown_submit_is_reported(make: Make) -> None:
    """It failed, with its key in the message, and is not sent again by another delivery."""
    video, t = make(RESET)
    done = [video.submit.apply(("acme", "clip", "order-42"), {"prompt": "x"}) for _ in range(2)]
    assert [type(each.result) for each in done] == [vidpoll.SubmitUnknown] * 2
    assert "order-42" in done[1].result.message
    assert len(t.requests) == 1


def ended(make: Make, function: Callable[[vidpoll.Job], object]) -> tuple[vidpoll_celery.Video, Talk, Any]:
    """A job that is completed, and the message with its verdict."""
    video, t = make(SUBMITTED, DONE)
    video.on_verdict(name="shop.publish")(function)
    video.submit.run("acme", "clip", "order-42", prompt="x")
    t.client.wait("acme:j1")
    [(name, (data,), _)] = sent(video)
    assert name == "shop.publish"
    return video, t, data


def test_a_verdict_is_heard_once(make: Make) -> None:
    """The function gets the job with its key; a message that comes again is dropped."""
    heard: list[Any] = []
    video, t, data = ended(make, lambda job: heard.append((job.ref, job.key, job.ok, job.error)))
    for _ in range(2):
        video.verdict.apply((data,), throw=True)
    assert heard == [("acme:j1", "order-42", True, None)]
    kept = t.client.store.get("acme:j1")
    assert kept is not None
    assert kept.told_at == t.clock.now


def test_a_function_that_raises_hears_it_again(make: Make) -> None:
    """A minute later, by the worker that serves."""
    video, t, data = ended(make, lambda job: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        video.verdict.apply((data,), throw=True)
    t.clock.now += AGAIN
    t.client.wait("acme:j1")
    assert [each for each, _, _ in sent(video)] == ["shop.publish"]


def test_a_function_that_takes_long(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict is not sent again meanwhile, because the task reports regularly that it is working on it."""
    said = threading.Event()
    monkeypatch.setattr(module, "HEARING", 0.001)
    video, t, data = ended(make, lambda job: said.wait(5.0))
    hearing = t.client.store.hearing("acme:j1")
    real, calls = type(t.client.store).hearing, []

    def count(store: Any, job: Any) -> bool:
        calls.append(job.ref)
        if len(calls) == 3:
            said.set()
        return real(store, job)

    monkeypatch.setattr(type(t.client.store), "hearing", count)
    video.verdict.apply((data,), throw=True)
    assert (hearing, len(calls) >= 3) == (True, True)


def test_called_with_a_job_it_is_the_function(make: Make) -> None:
    """For a test of the user's."""
    heard: list[str] = []
    video, _ = make()
    video.on_verdict(name="shop.publish")(lambda job: heard.append(job.ref))
    video.verdict(vidpoll.Job("acme:j1"))
    assert heard == ["acme:j1"]


def test_how_many_wait(make: Make) -> None:
    """In the queue of verdicts, which need not be there yet."""
    video, _ = make()
    video.on_verdict(name="shop.publish")(lambda job: None)
    assert video._waiting() == 0
    for _ in range(3):
        video._send({})
    assert video._waiting() == 3
    assert len(sent(video)) == 3


def test_serving(make: Make) -> None:
    """Until its seconds have passed; then the next task is sent at once. The verdict is then in the queue."""
    video, t = make(SUBMITTED, DONE)
    video.on_verdict(name="shop.publish")(lambda job: None)
    video.submit.run("acme", "clip", "order-42", prompt="x")
    video.serve.run()
    assert t.clock.now == NOW + 60.0
    assert [each for each, _, _ in sent(video)] == ["shop.publish"]
    assert sent(video, "vidpoll") == [("vidpoll.serve", [], {})]


def test_nothing_to_serve(make: Make) -> None:
    """If another thread of the process serves, or the worker ends, the task ends at once and sends no other."""
    video, t = make()
    with video._serving:
        video.serve.run()
    video.stopping.set()
    video.serve.run()
    assert (t.clock.now, sent(video, "vidpoll")) == (NOW, [])


@pytest.mark.parametrize("error", [vidpoll.StoreError("no server"), vidpoll.MissingKey("ACME_API_KEY is not set")])
def test_a_store_that_cannot_be_opened(
    make: Make, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Is said, and tried again by beat: nothing crashes."""
    video, _ = make()
    video.close()
    monkeypatch.setattr("vidpoll_celery.options.Options.client", lambda *args: (_ for _ in ()).throw(error))
    with caplog.at_level(logging.ERROR, "vidpoll"):
        video.serve.run()
    assert caplog.messages == [f"serving failed; beat tries again: {error}"]


def test_each_process_has_a_client(make: Make) -> None:
    """A forked child's is its own, made there; the parent's is not closed."""
    video, _ = make()
    ours = video.client

    def work() -> bool:
        with video.client as theirs:
            return theirs is not ours and len(video._processes) == 2

    assert in_a_child(work)
    assert video.client is ours
    assert ours.store.jobs() == []
