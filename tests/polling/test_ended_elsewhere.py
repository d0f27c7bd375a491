"""A job that ends during a wait for it, but not by that wait: each caller and each hook hears the verdict once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import (
    ACME,
    BROKEN,
    DONE,
    DRAWING,
    FLOOR,
    QUEUED,
    REF,
    SAVING,
    UNAVAILABLE,
    Talk,
    brief,
    job_request,
    parse_status,
)
from acme_provider import talk as plain_talk
from batch_runs import Night, night

import vidpoll
from vidpoll.testing import FakeTransport

STOPPED = {"id": "j1", "status": "stopped"}
CANCELS = replace(ACME, cancel=vidpoll.Operation(job_request("POST", "/cancel"), parse_status), list=None)

ENDS: dict[str, Any] = {
    "cancel": lambda client, job: client.cancel(job),
    "poll": lambda client, job: client.poll(job),
    "feed": lambda client, job: client.feed(job, STOPPED),
    "wait": lambda client, job: client.wait(job, check=False),
}


def talk(*statuses: Any, **options: Any) -> Talk:
    """A client whose provider reports these, and then that the job is cancelled."""
    script = {"/jobs/j1/cancel": [STOPPED], "/jobs/j1": [*statuses, STOPPED]}
    return plain_talk(script, provider=CANCELS, accounts={"acme": vidpoll.Account("acme", key="k")}, **options)


@pytest.fixture(params=["memory", "store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "jobs.sqlite3" if request.param == "store" else None


@pytest.mark.parametrize("how", ENDS)
def test_the_caller_ends_the_job_between_two_events(how: str, store: Path | None) -> None:
    """The progress of the same response is outdated then: neither a hook nor the caller hears it."""
    t, job, seen = talk(QUEUED, DRAWING, store=store), vidpoll.Job(REF), []
    for event in t.client.watch(job):
        seen.append(brief(event))
        if seen[-1] == "stage drawing":
            ENDS[how](t.client, job)
    assert seen == ["stage queued", "stage drawing", "cancelled"]
    assert t.ears.told == seen


class Ender:
    """Ends a job in the hook `name`, once."""

    def __init__(self, name: str, how: str) -> None:
        self.name, self.how = name, how
        self.client: Any = None

    def _hear(self, name: str, job: vidpoll.Job) -> None:
        if name == self.name:
            self.name = ""
            ENDS[self.how](self.client, job)

    @vidpoll.hookimpl
    def vidpoll_stalled(self, job: vidpoll.Job) -> None:
        self._hear("stalled", job)

    @vidpoll.hookimpl
    def vidpoll_stage_changed(self, job: vidpoll.Job) -> None:
        self._hear(f"stage {job.stage}", job)

    @vidpoll.hookimpl
    def vidpoll_gave_up(self, job: vidpoll.Job) -> None:
        self._hear("gave_up", job)


@pytest.mark.parametrize("how", ENDS)
def test_a_hook_ends_the_job(how: str, store: Path | None) -> None:
    heard, ender = [], Ender("stalled", how)
    t = talk(*[DRAWING] * 5, store=store, plugins=(ender,))
    ender.client = t.client
    job = t.client.wait(REF, on_event=lambda event: heard.append(brief(event)), check=False)
    assert job.state is vidpoll.State.CANCELLED
    assert heard == ["stage drawing", "progress 10", "stalled", "cancelled"]
    assert sorted(t.ears.told) == sorted(heard)  # the order of two plugins' hooks is pluggy's


def test_a_hook_ends_the_job_that_the_wait_gives_up(store: Path | None) -> None:
    """The hook's verdict is the last event, and nothing is raised."""
    ender = Ender("gave_up", "cancel")
    t = talk(*[DRAWING] * 5, store=store, plugins=(ender,))
    ender.client = t.client
    events = list(t.client.watch(REF, timeout=FLOOR))
    assert [brief(event) for event in events] == ["stage drawing", "progress 10", "cancelled"]


def test_a_wait_within_a_wait(store: Path | None) -> None:
    """Both hear the verdict, and the hooks hear it once."""
    t, job, heard = plain_talk([QUEUED, DRAWING, SAVING, DONE], store=store), vidpoll.Job(REF), []

    def hear(event: vidpoll.Event) -> None:
        heard.append(brief(event))
        if len(heard) == 1:
            assert t.client.wait(job).ok

    assert t.client.wait(job, on_event=hear).ok
    assert heard == ["stage queued", "completed"]
    assert (t.ears.told.count("completed"), len(t.wire.sent)) == (1, 4)


def test_two_waits_for_one_job_in_turns(store: Path | None) -> None:
    t, job = plain_talk([QUEUED, DRAWING, BROKEN], store=store), vidpoll.Job(REF)
    first = t.client.watch(job)
    heard = [brief(next(first))]
    others = [brief(event) for event in t.client.watch(job)]
    heard += [brief(event) for event in first]
    assert (heard[-1], others[-1], t.ears.told.count("failed")) == ("failed", "failed", 1)
    assert heard.count("failed") == others.count("failed") == 1


@pytest.mark.parametrize("terms", [{}, {"timeout": FLOOR - 1.0}, {"stop": True}])
def test_another_thread_ends_the_job_while_the_wait_sleeps(
    terms: dict[str, Any], store: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is sent, and a wait that ends just then has the verdict, not a WaitTimeout or WaitStopped."""
    t, job = talk(QUEUED, DRAWING, store=store), vidpoll.Job(REF)
    stop, get = threading.Event(), t.clock.get

    def sleep(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if not busy and not job.final:
            cancelled(t, job)
            if "stop" in terms:
                stop.set()
        return get(inbox, timeout, busy=busy)

    monkeypatch.setattr(t.clock, "get", sleep)
    events = list(t.client.watch(job, **{**terms, "stop": stop}))
    assert [brief(event) for event in events] == ["stage queued", "cancelled"]
    assert (t.ears.told, len(t.wire.sent)) == (["stage queued", "cancelled"], 1)


class Meanwhile(FakeTransport):
    """Calls `meanwhile` before each response, in the thread of the request."""

    meanwhile: Any = None

    def send(self, wire: Any, ticket: Any) -> Any:
        self.meanwhile()
        return super().send(wire, ticket)


def cancelled(t: Talk, job: vidpoll.Job) -> None:
    """What another thread does whose response says that the job is cancelled."""
    for event in job.receive(vidpoll.Snapshot(vidpoll.State.CANCELLED), t.clock.now):
        t.client._keeper.tell(job, event)


@pytest.mark.parametrize("response", [DRAWING, STOPPED, UNAVAILABLE, {"status": "steeping"}])
def test_the_job_ends_while_a_response_is_under_way(response: Any, store: Path | None) -> None:
    """The response is older than the verdict, so it is neither news nor a fault."""
    wire, job = Meanwhile([QUEUED, response]), vidpoll.Job(REF)
    t = plain_talk([], transport=wire, store=store)
    wire.meanwhile = lambda: cancelled(t, job) if wire.sent else None
    assert [brief(event) for event in t.client.watch(job)] == ["stage queued", "cancelled"]
    assert t.ears.told == ["stage queued", "cancelled"]


def test_a_poll_whose_response_is_overtaken_returns_it(store: Path | None) -> None:
    wire, job = Meanwhile([DRAWING]), vidpoll.Job(REF)
    t = plain_talk([], transport=wire, store=store)
    wire.meanwhile = lambda: cancelled(t, job)
    assert (t.client.poll(job).stage, job.state) == ("drawing", vidpoll.State.CANCELLED)
    assert t.ears.told == ["cancelled"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_hook_ends_the_job_of_a_batchs_row(tmp_path: Path, fails: bool) -> None:
    """The row ends with the job: a batch never waits for a verdict that is known."""
    ender = Ender("stage drawing", "wait")
    n: Night = night(tmp_path, plugins=(ender,))
    ender.client = n.client
    n.server.fail = lambda prompt, time: {"error": "out of paint"} if fails else None
    batch = n.batch(1, retries=0)
    assert [(row.key, row.state) for row in batch] == [("r1", "failed" if fails else "completed")]
    assert (ender.name, n.ears.hooks.count("failed"), n.ears.hooks.count("completed")) == ("", fails, not fails)
