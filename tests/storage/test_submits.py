"""A submit and the store: the intent before the POST, the id first, and what becomes of one without an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, HTML, REF, UNAVAILABLE, parse_submit, talk
from kept_jobs import NOW, RESET, SUBMITTED, dead, kept, sql

import vidpoll
from vidpoll.storage.sqlite import SqliteStore


def test_the_intent_is_on_disk_before_the_post_and_the_id_before_anything_else(path: Path) -> None:
    """What the disk holds is looked at when the request goes out, and when the first hook hears of the job."""
    seen: list[tuple[int, int]] = []

    def look(*_: Any) -> None:
        seen.append((sql(path, "SELECT count(*) FROM submits")[0][0], sql(path, "SELECT count(*) FROM jobs")[0][0]))

    class Early:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> None:
            look()

    t = talk([SUBMITTED], store=path, plugins=(Early(),))
    send = t.wire.send
    t.client._loop.transport.send = lambda wire, ticket: (look(), send(wire, ticket))[1]
    t.client.submit("acme", "clip", prompt="x")
    assert seen == [(1, 0), (0, 1)]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 422, 429])
def test_a_refusal_leaves_nothing_behind(path: Path, status: int) -> None:
    """Nothing was bought, so there is nothing to look for."""
    t = talk([(status, {"error": "no"})], store=path)
    with pytest.raises(vidpoll.ProviderError):
        t.client.submit("acme", "clip", prompt="x")
    assert (t.client.store.unknown_submits(), t.client.store.jobs()) == ([], [])


@pytest.mark.parametrize("call", [{"kind": "opera"}, {"kind": "clip", "colour": 1}])
def test_a_wrong_call_leaves_nothing_behind(path: Path, call: dict[str, Any]) -> None:
    """Nothing was sent."""
    t = talk([SUBMITTED], store=path)
    with pytest.raises(vidpoll.UsageError):
        t.client.submit("acme", call.pop("kind"), **call)
    assert (t.client.store.unknown_submits(), t.requests) == ([], [])


@pytest.mark.parametrize("answer", [RESET, UNAVAILABLE, HTML, {"no": "id"}])
def test_a_submit_whose_outcome_is_unknown_stays_on_record(path: Path, answer: Any) -> None:
    """With what was sent, when, and why nothing is known; no second POST."""
    t = talk([answer], store=path)
    with pytest.raises(vidpoll.SubmitUnknown) as caught:
        t.client.submit("acme", "clip", prompt="a lighthouse")
    [submission] = t.client.store.unknown_submits()
    assert (submission.account, submission.operation, submission.at) == ("acme", "clip", NOW)
    assert submission.sent == {"prompt": "a lighthouse"}
    assert submission.reason == caught.value.reason != ""
    assert t.requests == ["POST /v1/jobs"]


def test_a_submit_that_was_sent_again_safely_is_one_intent(path: Path) -> None:
    """A connection that was refused sent nothing: its intent is dropped, and the next try has its own."""
    t = talk([ConnectionRefusedError(), SUBMITTED], store=path)
    assert t.client.submit("acme", "clip", prompt="x").ref == REF
    assert (t.client.store.unknown_submits(), len(t.client.store.jobs())) == ([], 1)


def test_a_submit_that_was_interrupted_is_unknown(path: Path) -> None:
    """Ctrl-C while the answer is due."""
    t = talk([SUBMITTED], store=path)

    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    t.clock.get = interrupt  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        t.client.submit("acme", "clip", prompt="x")
    assert [submission.reason for submission in t.client.store.unknown_submits()] == ["interrupted (KeyboardInterrupt)"]


def test_a_submit_of_a_process_that_died_is_unknown(path: Path) -> None:
    """One that is under way somewhere is not."""
    t = talk([], store=path)
    store = t.client._keeper.store
    origin = vidpoll.Origin("acme")
    store.begin(origin, "clip", {"prompt": "ours"})
    other = SqliteStore(path, t.clock.time)
    other.begin(origin, "clip", {"prompt": "theirs"})
    assert t.client.store.unknown_submits() == []
    sql(path, "UPDATE submits SET owner = ? WHERE sent LIKE '%theirs%'", dead(store))
    assert [submission.sent for submission in t.client.store.unknown_submits()] == [{"prompt": "theirs"}]


def test_an_unknown_submit_is_adopted_once(path: Path) -> None:
    """It becomes a job that is waited for like any other, and is no longer unknown."""
    t = talk([RESET, DONE], store=path)
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="a lighthouse")
    [submission] = t.client.store.unknown_submits()
    with pytest.raises(vidpoll.UsageError, match="job must be of the submission's account, 'acme'"):
        t.client.store.adopt("magicoal:j1", submission)
    t.client.store.adopt(REF, submission)
    assert t.client.store.unknown_submits() == []
    assert kept(t).sent == {"prompt": "a lighthouse"}
    assert [job.ref for job in t.client.store.unfinished()] == [REF]


def test_what_is_no_longer_on_record_is_not_adopted(path: Path) -> None:
    """Else it would be said to be kept, and would not."""
    t = talk([RESET], store=path)
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="x")
    [submission] = t.client.store.unknown_submits()
    t.client.store.dismiss(submission)
    with pytest.raises(vidpoll.UsageError, match="acme:j1: that submit is no longer on record"):
        t.client.store.adopt(REF, submission)
    assert t.client.store.jobs() == []


@pytest.mark.parametrize("statement", ["SELECT 1", "DELETE FROM submits"])
def test_forgetting_in_the_middle_of_a_submit_loses_no_job(
    path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """A submit that is under way is not forgotten; and where its record is gone all the same, its job is kept."""

    def forgotten(store: SqliteStore, *args: Any, **options: Any) -> None:
        with vidpoll.Client(store=path, discover=False) as other:
            assert other.store.prune(NOW + 1e6) == 0
        sql(path, statement)
        submitted(store, *args, **options)

    submitted = SqliteStore.submitted
    monkeypatch.setattr(SqliteStore, "submitted", forgotten)
    t = talk([SUBMITTED], store=path)
    assert t.client.submit("acme", "clip", prompt="x").ref == REF
    assert [job.ref for job in t.client.store.unfinished()] == [REF]


def test_adopting_a_job_that_is_kept_already_adds_what_was_sent(path: Path) -> None:
    """Somebody may have waited for it before he knew where it came from."""
    t = talk([RESET, DONE], store=path)
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="a lighthouse")
    t.client.wait(REF)
    t.client.store.adopt(REF, t.client.store.unknown_submits()[0])
    assert (kept(t).sent, kept(t).job.ok) == ({"prompt": "a lighthouse"}, True)


def test_an_id_that_is_given_anew_is_another_job(path: Path) -> None:
    """A server that restarts counts from 1 again: the verdict of last week's job is not this one's."""
    t = talk([SUBMITTED, DONE, SUBMITTED, DRAWING, BROKEN], store=path)
    first = t.client.wait(t.client.submit("acme", "clip", prompt="a sea"))
    second = t.client.submit("acme", "clip", prompt="a lake")
    assert first.ref == second.ref
    with pytest.raises(vidpoll.JobFailed):
        t.client.wait(second)
    assert [(row.sent["prompt"], row.job.state) for row in t.client.store.jobs()] == [("a lake", vidpoll.State.FAILED)]


@pytest.mark.parametrize("second", [RESET, (500, {"error": "later"}), (200, {"odd": 1})])
def test_an_id_in_the_first_response_to_a_submit_of_two_requests_is_not_lost(second: Any) -> None:
    """Whatever becomes of the second request."""

    def first(response: vidpoll.Response, about: str) -> Any:
        return vidpoll.Follow(vidpoll.Request("GET", "/tickets/1"), parse_submit)

    operation = replace(ACME.submit["clip"], parse=first)
    t = talk([SUBMITTED, second], provider=replace(ACME, submit={"clip": operation}))
    with pytest.raises(vidpoll.SubmitUnknown, match="possible ids in the response: j1") as caught:
        t.client.submit("acme", "clip", prompt="x")
    assert caught.value.ids == ("j1",)
