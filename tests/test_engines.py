"""docs/engines.md: each block runs as it stands, its engine being a fake of the names that it uses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, UNAVAILABLE, Talk, talk
from kept_jobs import SUBMITTED
from pages import blocks, fake, page

import vidpoll
from vidpoll.storage.protocol import AGAIN

PAGE = page("engines.md")
BLOCKS = blocks(PAGE, "python")
SCRIPT = {"/jobs/j1": [DRAWING, UNAVAILABLE, DONE], "/jobs": [SUBMITTED]}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Talk]:
    """A scripted client, which is the one that a block makes; whoever sleeps moves its clock."""

    def make(script: Any = SCRIPT, *, store: str | None = None, **options: Any) -> Talk:
        t = talk(script, store=store and tmp_path / store, **options)
        t.clock.get = nobody_sleeps(t.clock.get)  # type: ignore[method-assign]

        def client(store: str | None = None) -> vidpoll.Client:
            return t.client

        async def rest(seconds: float) -> None:
            t.clock.now += seconds

        monkeypatch.setattr(vidpoll, "Client", client)
        monkeypatch.setattr(time, "sleep", lambda seconds: asyncio.run(rest(seconds)))
        monkeypatch.setattr(time, "time", t.clock.time)
        monkeypatch.setattr(asyncio, "sleep", rest)
        return t

    return make


def nobody_sleeps(get: Callable[..., Any]) -> Callable[..., Any]:
    def inner(inbox: Any, timeout: float, *, busy: bool) -> Any:
        assert busy
        return get(inbox, timeout, busy=busy)

    return inner


def run(title: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "engines"}
    exec(compile(BLOCKS[title], f"engines.md: {title}", "exec"), space)
    return space


def done(asked: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, which never waits for anything but a step."""
    return asyncio.run(asked)


ASKED = ["POST /v1/jobs"] + ["GET /v1/jobs/j1"] * 3


def test_every_block_has_a_test() -> None:
    """A recipe that nobody runs rots."""
    assert [*BLOCKS] == ["Airflow, Temporal and queues", "Airflow", "Temporal", "Procrastinate", "Hand a verdict over"]
    assert PAGE.count("```python") == len(BLOCKS)


def test_the_first_block(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Dump, load, step; as often as it takes."""
    t = made()
    run("Airflow, Temporal and queues")
    assert (t.requests, capsys.readouterr().out) == (ASKED, "acme:j1 completed \n")
    assert t.ears.told == ["stage queued", "stage drawing", "progress 10", "fault 503", "completed"]


# -- Airflow ----------------------------------------------------------------------------------------------------------


class Deferred(Exception):
    def __init__(self, trigger: Any, method_name: str) -> None:
        self.trigger, self.method_name = trigger, method_name


class BaseOperator:
    def __init__(self, *, task_id: str) -> None:
        self.task_id = task_id

    def defer(self, *, trigger: Any, method_name: str) -> None:
        raise Deferred(trigger, method_name)


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "airflow.sdk", BaseOperator=BaseOperator)
    fake(monkeypatch, "airflow.triggers.base", BaseTrigger=object, TriggerEvent=lambda payload: payload)


def deferred(space: dict[str, Any]) -> tuple[Any, Deferred]:
    """A task that is run until it defers itself."""
    operator = space["VideoOperator"](task_id="clip", prompt="a sea")
    ti = SimpleNamespace(dag_id="films", task_id="clip", run_id="monday", map_index=-1)
    with pytest.raises(Deferred) as caught:
        operator.execute({"ti": ti})
    return operator, caught.value


def fired(space: dict[str, Any], trigger: Any) -> Any:
    """The event of a trigger, as a triggerer has it: made anew of what it serializes."""
    path, kwargs = trigger.serialize()
    again = space[path.rpartition(".")[2]](**kwargs)
    return done(anext(again.run()))


@pytest.mark.usefixtures("airflow")
def test_airflow(made: Any) -> None:
    """It defers, the trigger steps, the task goes on; run again it is the same job, and nothing is asked."""
    t = made(store="jobs.sqlite3")
    space = run("Airflow")
    operator, asleep = deferred(space)
    event = fired(space, asleep.trigger)
    assert getattr(operator, asleep.method_name)({}, event) == "acme:j1"
    assert t.requests == ASKED
    operator, asleep = deferred(space)
    assert getattr(operator, asleep.method_name)({}, fired(space, asleep.trigger)) == "acme:j1"
    assert t.requests == ASKED


@pytest.mark.usefixtures("airflow")
@pytest.mark.parametrize(
    ("answer", "error"),
    [(BROKEN, vidpoll.JobFailed), ((404, {}), vidpoll.JobNotFound), ((402, {}), vidpoll.WaitRefused)],
)
def test_an_airflow_task_fails_with_the_job(answer: Any, error: type[Exception], made: Any) -> None:
    """As `wait` would have raised, in another process than the one that asked."""
    made({"/jobs/j1": [DRAWING, answer], "/jobs": [SUBMITTED]}, store="jobs.sqlite3")
    space = run("Airflow")
    operator, asleep = deferred(space)
    with pytest.raises(error):
        getattr(operator, asleep.method_name)({}, fired(space, asleep.trigger))


# -- Temporal ---------------------------------------------------------------------------------------------------------


class Continued(Exception):
    def __init__(self, args: list[Any]) -> None:
        self.args = tuple(args)


class Workflow:
    """What `temporalio.workflow` is to a workflow; an activity's arguments go through JSON, as they do there."""

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.unsafe = SimpleNamespace(imports_passed_through=nullcontext)
        self.tries: list[tuple[str, int | None]] = []

    def defn(self, cls: Any) -> Any:
        return cls

    run = defn

    def info(self) -> Any:
        return SimpleNamespace(is_continue_as_new_suggested=lambda: self.left <= 0)

    def continue_as_new(self, *, args: list[Any]) -> None:
        raise Continued(args)

    async def execute_activity_method(
        self, method: Any, arg: Any, *, start_to_close_timeout: Any, retry_policy: Any = None
    ) -> Any:
        self.left -= 1
        self.tries.append((method.__name__, retry_policy))
        assert start_to_close_timeout.total_seconds() > 3 * 40.0
        return plain(method(self.activities, plain(arg)))


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("limit", [99, 2])
def test_temporal(limit: int, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workflow sleeps, the activity asks; a long one continues as new with what is known."""
    t, workflow = made(), Workflow(limit)
    fake(monkeypatch, "temporalio", activity=SimpleNamespace(defn=lambda method: method), workflow=workflow)
    fake(monkeypatch, "temporalio.common", RetryPolicy=lambda maximum_attempts: maximum_attempts)
    space = run("Temporal")
    workflow.activities = space["Activities"](t.client)
    args, runs = ("a sea",), 0
    while True:
        runs += 1
        try:
            data = done(space["Video"]().run(*args))
            break
        except Continued as anew:
            args, workflow.left = anew.args, limit
    assert vidpoll.load(data).check().video.url == DONE["video"]
    assert (t.requests, t.ears.told.count("fault 503")) == (ASKED, 1)
    assert workflow.tries == [("submit", 1), *[("step", None)] * 3]
    assert runs == (1 if limit == 99 else 2)


# -- Procrastinate ----------------------------------------------------------------------------------------------------


class AlreadyEnqueued(Exception):
    pass


class App:
    """A queue: what is put off waits for its second; one task of each `queueing_lock` at most."""

    def __init__(self, connector: object) -> None:
        self.queue: list[tuple[float, str | None, Any, dict[str, Any]]] = []
        self.now: Callable[[], float] = float

    def task(self, *, queue: str) -> Any:
        def decorated(function: Any) -> Any:
            function.configure = lambda **options: SimpleNamespace(
                defer=lambda **kwargs: self.put(function, kwargs, **options)
            )
            return function

        return decorated

    def periodic(self, *, cron: str) -> Any:
        return lambda function: function

    def put(self, function: Any, kwargs: Any, *, queueing_lock: str, schedule_in: dict[str, int]) -> None:
        if any(lock == queueing_lock for _, lock, _, _ in self.queue):
            raise AlreadyEnqueued
        assert isinstance(schedule_in["seconds"], int)
        self.queue.append((self.now() + schedule_in["seconds"], queueing_lock, function, kwargs))

    def next(self) -> tuple[float, Any, dict[str, Any]]:
        at, _, function, kwargs = self.queue.pop(0)
        return at, function, kwargs


def test_procrastinate(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One chain a job; it is taken up again where a worker died with it, and ends with the verdict."""
    t = made(store="jobs.sqlite3")
    fake(monkeypatch, "procrastinate", App=App, PsycopgConnector=object)
    fake(monkeypatch, "procrastinate.exceptions", AlreadyEnqueued=AlreadyEnqueued)
    space = run("Procrastinate")
    app = space["app"]
    app.now = t.clock.time
    space["order"]("order-42", "a sea")
    space["order"]("order-42", "a sea")
    space["revive"](0)
    assert len(app.queue) == 1
    app.next()  # a worker dies with it
    space["revive"](0)
    while app.queue:
        t.clock.now, function, kwargs = app.next()
        function(**kwargs)
        space["revive"](0)
        assert len(app.queue) <= 1
    assert (t.requests, t.ears.told[-1]) == (ASKED, "completed")


# -- LATER ------------------------------------------------------------------------------------------------------------


def test_a_verdict_that_is_handed_over(made: Any) -> None:
    """A queue that was down, or lost it, gets it again; once the task has run, nobody does."""
    space = run("Hand a verdict over")
    hands = space["HandOver"](SimpleNamespace(put=lambda ref: 1 / 0))
    t = made({"/jobs/j1": [DONE], "/jobs/j2": [BROKEN]}, store="jobs.sqlite3", plugins=(hands,))
    refs, published, queue = ["acme:j1", "acme:j2"], [], SimpleQueue[str]()
    t.client.wait_all(refs)
    hands.queue = queue
    for _ in range(2):
        t.clock.now += AGAIN
        t.client.wait_all(t.client.store.unfinished())
        assert sorted(queue.get(timeout=10) for _ in refs) == refs  # and lost
    for ref in refs:
        space["task"](t.client, ref, lambda job: published.append((job.ref, job.ok)))
    assert published == [("acme:j1", True), ("acme:j2", False)]
    t.clock.now += AGAIN
    t.client.wait_all(refs)
    assert (queue.empty(), t.client.store.unfinished()) == (True, [])
