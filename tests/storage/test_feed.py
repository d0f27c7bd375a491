"""What a provider pushes: `Client.feed` moves a job like an answer, and believes no verdict unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, REF, SAVING, UNAVAILABLE, brief, talk

import vidpoll

DEEP: list[Any] = []
DEEP.append(DEEP)


@pytest.mark.parametrize("body", [DRAWING, json.dumps(DRAWING), json.dumps(DRAWING).encode()])
def test_a_pushed_body_moves_the_job_like_an_answer(body: Any) -> None:
    """Bytes, text or a dict; the same hooks; nothing is sent."""
    t = talk([DONE])
    job = t.client.feed(REF, body)
    assert (job.stage, job.progress) == ("drawing", 10)
    assert (t.ears.told, t.requests) == (["stage drawing", "progress 10"], [])


def test_the_same_body_twice_changes_nothing() -> None:
    """A provider may deliver it three times."""
    t = talk([DONE])
    job = t.client.feed(REF, SAVING)
    for _ in range(3):
        t.client.feed(job, SAVING)
    assert t.ears.told == ["stage saving", "progress 90"]


def test_a_pushed_verdict_counts_once_a_status_request_has_confirmed_it() -> None:
    """Anybody can push; the hook is told once, and a verdict in hand costs no more requests."""
    t = talk([DONE])
    job = t.client.feed(REF, BROKEN)
    assert job.ok
    for body in (BROKEN, DONE, DRAWING):
        t.client.feed(job, body)
    assert (t.ears.told, t.requests) == (["completed"], ["GET /v1/jobs/j1"])


def test_a_verdict_that_is_not_confirmed_moves_nothing() -> None:
    """Where the provider cannot be asked, the caller hears of it, and the job is as it was."""
    t = talk([UNAVAILABLE])
    job = vidpoll.Job(REF)
    with pytest.raises(vidpoll.ServerError, match="The job itself is not affected"):
        t.client.feed(job, DONE)
    assert (job.state, job.final) == (None, False)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>", vidpoll.Malformed),
        (b"", vidpoll.Malformed),
        (b"\xff", vidpoll.Malformed),
        ("[1]", vidpoll.Malformed),
        ({"status": ["drawing"]}, vidpoll.AnswerError),
        ({**DRAWING, "id": "j2"}, vidpoll.ForeignAnswer),
        ({**DONE, "id": "j2"}, vidpoll.ForeignAnswer),
        ({**DRAWING, "note": "x" * 5_000_000}, vidpoll.Malformed),
        ({**DRAWING, "cost": Decimal(3)}, vidpoll.Malformed),
        ({**DRAWING, "deep": DEEP}, vidpoll.Malformed),
        ('{"x": "\ud800"', vidpoll.Malformed),
        (7, vidpoll.UsageError),
    ],
)
def test_a_pushed_body_that_is_not_about_the_job_is_refused(body: Any, error: type[Exception], path: Path) -> None:
    """A typed error for the caller's answer to the provider; nothing moves, nothing is sent, nothing is kept."""
    t = talk([DONE], store=path)
    job = vidpoll.Job(REF)
    with pytest.raises(error):
        t.client.feed(job, body)
    assert (job.state, t.requests, t.client.store.jobs()) == (None, [], [])


def test_an_unknown_word_in_a_pushed_body_becomes_the_stage() -> None:
    """As in a wait; told once per word."""
    t = talk([DONE])
    job = t.client.feed(t.client.feed(REF, {"status": "polishing"}), {"status": "polishing"})
    assert (job.state, job.stage, t.ears.told) == (None, "polishing", ["stage polishing"])


def test_a_body_that_was_overtaken_is_ignored() -> None:
    """Pushed bodies may arrive late: what is about a time before what is known moves nothing."""

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        return vidpoll.Snapshot(vidpoll.State.RUNNING, response.json()["stage"], updated_at=response.json()["at"])

    t = talk([DONE], provider=replace(ACME, status=vidpoll.Operation(ACME.status.request, parse)))
    job = t.client.feed(REF, {"stage": "saving", "at": 20})
    for stage, at in (("drawing", 10), ("drawing", 11), ("done soon", 21)):
        t.client.feed(job, {"stage": stage, "at": at})
    assert t.ears.told == ["stage saving", "stage done soon"]


def test_a_parser_that_asks_for_more_gets_a_status_request() -> None:
    """A Follow in a pushed body cannot be sent as it is: a poll of the job tells all."""

    def parse(response: vidpoll.Response, job_id: str) -> Any:
        done = ACME.status.parse(response, job_id)
        return vidpoll.Follow(vidpoll.Request("GET", "/more"), lambda *_: done) if done.state.final else done

    t = talk([DONE], provider=replace(ACME, status=vidpoll.Operation(ACME.status.request, parse)))
    assert t.client.feed(REF, DONE).ok
    assert t.requests == ["GET /v1/jobs/j1", "GET /v1/more"]


def test_what_is_pushed_is_kept_and_told_once_across_processes(path: Path) -> None:
    """The web process and the one that waits: whoever hears the verdict first tells it, and the other one knows."""
    t = talk([DRAWING, DONE], store=path)
    waiting = t.client.watch(REF)
    next(waiting), next(waiting)
    web = talk([DONE], store=path)
    assert web.client.feed(REF, DONE).ok
    assert web.client.feed(REF, DONE).ok
    assert [brief(event) for event in waiting] == ["completed"]
    assert (web.ears.told, t.ears.told) == (["completed"], ["stage drawing", "progress 10"])
    assert len(web.requests) == 1
