"""A verdict is told once, whatever comes between an answer and its hooks: another wait, Ctrl-C, a caller who leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from acme_provider import DONE, DRAWING, REF, talk
from kept_jobs import SUBMITTED

import vidpoll
from vidpoll.storage.sqlite import SqliteStore


class Once:
    """A hook that does something at the first event that it is meant for."""

    def __init__(self, act: Any) -> None:
        self.act, self.done = act, False

    def once(self, job: vidpoll.Job) -> None:
        if not self.done and self.act is not None:
            self.done = bool(self.act(job))


class WhilePolled(Once):
    @vidpoll.hookimpl
    def vidpoll_polled(self, job: vidpoll.Job) -> None:
        self.once(job)


class WhileMoving(Once):
    @vidpoll.hookimpl
    def vidpoll_stage_changed(self, job: vidpoll.Job) -> None:
        self.once(job)


def test_a_wait_for_a_job_whose_verdict_is_gathered_tells_it(path: Path) -> None:
    """Within the 50 ms another hook waits for the same Job: its verdict is told, and once."""
    a, b = vidpoll.Job("acme:a"), vidpoll.Job("acme:b")
    plugin = WhileMoving(None)
    t = talk({"/jobs/a": [DONE], "/jobs/b": [DRAWING, DONE]}, plugins=(plugin,), store=path)
    plugin.act = lambda job: a.final and t.client.wait(a)
    t.client.wait_all([a, b])
    assert plugin.done
    assert sorted(job.ref for hook, job, _ in t.ears.heard if hook == "completed") == ["acme:a", "acme:b"]
    assert [row.told_at is not None for row in t.client.store.jobs()] == [True, True]


@pytest.mark.parametrize("kept", [True, False])
def test_ctrl_c_before_the_verdict_of_the_same_answer(kept: bool, path: Path) -> None:
    """It comes in the hook of the answer that has the verdict: an answer in hand counts, and is told once."""

    def interrupt(job: vidpoll.Job) -> bool:
        if job.final:
            plugin.done = True
            raise KeyboardInterrupt
        return False

    plugin = WhilePolled(interrupt)
    t = talk([DONE], plugins=(plugin,), store=path if kept else None)
    job = vidpoll.Job(REF)
    with pytest.raises(KeyboardInterrupt):
        t.client.wait(job)
    assert t.client.wait(job).ok
    assert [hook for hook, _, _ in t.ears.heard if hook == "completed"] == ["completed"]


def test_a_transaction_that_does_not_begin_leaves_nothing_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes while the store is locked by another process, and SQLite has the lock a moment later."""
    store = SqliteStore(path, lambda: 0.0)
    store.enter([("acme:a", vidpoll.Origin("acme"), {})])
    real = store._link.connection

    class Interrupted:
        def execute(self, sql: str, *values: Any) -> Any:
            done = real.execute(sql, *values)
            if sql == "BEGIN IMMEDIATE":
                raise KeyboardInterrupt
            return done

    with monkeypatch.context() as patch:
        patch.setattr(store._link, "_connection", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            store.told(["acme:a"])
    assert not real.in_transaction
    store.told(["acme:a"])
    store.close()


def test_an_id_given_anew_inherits_no_files_and_no_prompt(path: Path) -> None:
    """What was wanted of the other job of that id, ended or not, is not this one's."""
    t = talk([SUBMITTED, SUBMITTED], store=path)
    first = t.client.submit("acme", "clip", prompt="old")
    t.client.store.want(first, "old/")
    t.client.submit("acme", "clip", prompt="new")
    assert t.client.store.wanted() == []
    assert [row.sent for row in t.client.store.jobs()] == [{"prompt": "new"}]


@pytest.mark.parametrize("key", ["", "order-42"])
def test_a_webhook_that_is_faster_than_the_response_to_the_submit(path: Path, key: str) -> None:
    """Its process reports the verdict, and no other does; the job gets its key and its fields from the submit."""
    hook, t = talk([DONE], store=path), talk([SUBMITTED, DONE], store=path)
    send = t.wire.send

    def feed(wire: Any, ticket: Any) -> Any:
        hook.client.store.want(REF, "clips")
        hook.client.feed(REF, DONE)
        return send(wire, ticket)

    t.client._loop.transport.send = feed
    fields = {"prompt": "a lighthouse"}
    job = t.client.submit_once("acme", "clip", key, **fields) if key else t.client.submit("acme", "clip", **fields)
    assert t.client.wait(job).ok
    assert (hook.ears.told[-1], "completed" in t.ears.told, len(t.requests)) == ("completed", False, 1)
    kept = t.client.store.get(REF)
    assert kept is not None
    assert (kept.key, kept.sent, kept.submitted_at, kept.job.ok) == (key, fields, job.submitted_at, True)
    assert [each.ref for each in t.client.store.wanted()] == [REF]
