"""Whatever one question raises is a fault of that question: the other jobs do not notice, and an id in hand counts."""

from __future__ import annotations

import string
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from acme_provider import ACME, DONE, QUEUED, REF, SLOW_DOWN, talk
from hypothesis import given, settings
from hypothesis import strategies as st

import vidpoll
from vidpoll.job import Job
from vidpoll.pacing.forecast import Law
from vidpoll.polling import call, submit, watch
from vidpoll.polling.transcript import Recorder

REFS = [REF, "acme:j2", "acme:j3"]

HEADERS = (
    "retry-after", "retry-after-ms", "openai-poll-after-ms", "x-ratelimit-remaining", "x-ratelimit-reset", "location",
    "content-type", "content-encoding", "server", "via", "x-request-id", "cf-mitigated",
)  # fmt: skip

ODD = "\x00\x09\x0b\x0c\x1c\x1d\x1e\x1f \x85\xa0\u2007\u2028\xb2\u0663.,:;-+%_TZmshx\ud800"
VALUES = st.text(max_size=40) | st.text(st.sampled_from(string.digits + ODD), max_size=20)


class Odd(Exception):
    """What nobody expects."""


def breaks(*_: Any, **__: Any) -> Any:
    raise Odd("\x1f5")


READERS = [
    (call, "hint"),
    (call, "allowance"),
    (call, "exhausted"),
    (call, "tells_when"),
    (call.answers, "page"),
    (call.answers, "what_came"),
    (call, "scrub"),
    (Recorder, "note"),
    (watch, "forecast"),
    (watch.Watch, "_next"),
    (Law, "learnt"),
    (submit, "exchange"),
]
"""What reads, or keeps, something that a wait can do without."""


@pytest.fixture(params=READERS, ids=lambda each: each[1])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*request.param, breaks)


@pytest.mark.usefixtures("broken")
def test_what_is_optional_ends_no_wait() -> None:
    """Hints, transcripts, forecasts, the words of an error: without them the wait goes on to its verdict."""
    t = talk([QUEUED, SLOW_DOWN, (404, {}, b"gone"), (200, {}, b"<html>"), (307, {"location": "/x"}, b""), DONE])
    assert [job.ok for job in t.client.wait_all(REFS)] == [True] * 3


@pytest.mark.usefixtures("broken")
def test_what_is_optional_costs_no_id() -> None:
    """An answer to a submit that holds an id returns it; one that holds none is SubmitUnknown, or a refusal."""
    t = talk({"/jobs": [(200, {"retry-after": "5"}, b'{"id": "j1", "status": "queued"}'), (200, {}, b"{}"), SLOW_DOWN]})
    assert t.client.submit("acme", "clip", prompt="x").ref == REF
    with pytest.raises(vidpoll.SubmitUnknown):
        t.client.submit("acme", "clip", prompt="x")
    with pytest.raises(vidpoll.RateLimited):
        t.client.submit("acme", "clip", prompt="x")


@pytest.mark.parametrize("where", [Job, watch.Watch, call.Call], ids=lambda each: str(each.__name__))
def test_one_answer_that_cannot_be_taken_in_is_a_fault(monkeypatch: pytest.MonkeyPatch, where: type) -> None:
    """Once, of the second job alone: it is told, and borne; nobody else hears of it."""
    name = {"Job": "receive", "Watch": "_good", "Call": "_taken"}[where.__name__]
    whole, left = getattr(where, name), ["j2"]

    def once(self: Any, *args: Any) -> Any:
        about = {"Job": lambda: self.id, "Watch": lambda: self.job.id, "Call": lambda: self.about}[where.__name__]()
        if about in left:
            left.remove(about)
            breaks()
        return whole(self, *args)

    monkeypatch.setattr(where, name, once)
    t = talk([QUEUED, QUEUED, QUEUED, DONE])
    assert [job.ok for job in t.client.wait_all(REFS)] == [True] * 3
    faults = [(job.id, event) for hook, job, event in t.ears.heard if hook == "poll_failed"]
    assert [job_id for job_id, _ in faults] == ["j2"]
    assert "Odd" in faults[0][1].reason
    assert not left


def test_patience_decides_about_a_job_whose_answers_cannot_be_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is a fault, as any other: after ten minutes of nothing else the wait ends, typed, for that job."""
    whole = Job.receive
    monkeypatch.setattr(Job, "receive", lambda self, *args: breaks() if self.id == "j2" else whole(self, *args))
    t = talk([QUEUED, DONE])
    jobs = t.client.wait_all(REFS)
    assert [(job.ok, type(job.error)) for job in jobs if job.id != "j2"] == [(True, type(None))] * 2
    assert isinstance(jobs[1].error, vidpoll.ProviderUnreachable)


def test_a_first_snapshot_that_cannot_be_taken_in_costs_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is paid for: its id counts, whatever else the answer says."""
    monkeypatch.setattr(Job, "receive", breaks)
    assert talk([{"id": "j1", **DONE}]).client.submit("acme", "clip", prompt="x").ref == REF


def test_who_keeps_and_tells_a_submit_costs_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the answer is in hand: a store or a hook that breaks in a way that nobody knows."""

    class Intent:
        key, again = "", False
        begin = staticmethod(lambda: None)
        received = staticmethod(breaks)

    t = talk([{"id": "j1", **DONE}])
    monkeypatch.setattr(t.client._keeper, "submitting", lambda *_, **__: nullcontext(Intent()))
    monkeypatch.setattr(t.client._keeper, "tell", breaks, raising=False)
    assert t.client.submit("acme", "clip", prompt="x").ref == REF


def test_an_echo_that_cannot_be_cleaned_costs_no_id() -> None:
    """A checksum with a key in it is none once the key is out; a body may be nested deeper than Python goes."""
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    key = "0123456789abcdef" * 2
    for rest in ({"checksum": f"md5:{key}"}, {"raw": deep}):
        asset = vidpoll.Asset("https://a.example/1.mp4", checksum=rest.get("checksum"))
        said = vidpoll.Snapshot(vidpoll.State.QUEUED, assets=(asset,), raw=rest.get("raw"))
        parse = lambda response, job_id, said=said: vidpoll.Submitted("j1", said)  # noqa: E731
        provider = replace(ACME, submit={"clip": replace(ACME.submit["clip"], parse=parse)})
        account = vidpoll.Account("acme", key=key)
        t = talk([(200, {"x-echo": key}, b"{}")], provider=provider, accounts={"acme": account})
        assert t.client.submit("acme", "clip", prompt="x").ref == REF


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(HEADERS), value=VALUES, status=st.sampled_from([200, 202, 302, 404, 429, 500]))
def test_no_header_ends_a_wait_or_costs_an_id(name: str, value: str, status: int) -> None:
    """Rule 7: any value of any header that is read, with every sort of answer."""
    odd = (status, {name: value}, b'{"id": "j1", "status": "queued"}')
    script = {"/jobs/": [odd, DONE], "/jobs": [(200, {name: value}, b'{"id": "j1", "status": "queued"}')]}
    t = talk(script)
    assert t.client.submit("acme", "clip", prompt="x").ref == REF
    assert [job.ok for job in t.client.wait_all(REFS[:2], timeout=9000)] == [True, True]
