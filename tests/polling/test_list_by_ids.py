"""List polling by ids: one question about many jobs, each of which is confirmed by itself."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from acme_provider import ACME, FLOOR, Calm, Plugin

import vidpoll
from vidpoll import State, declare
from vidpoll.polling.watch import Watch
from vidpoll.testing import FakeClock

JOB = declare.Reader(
    {"drawing": State.RUNNING, "done": State.COMPLETED, "broken": State.FAILED}, files={"video": "video"}
)
BATCH = declare.batch("GET /statuses", JOB, name="ids", rows="data")
BY_IDS = replace(ACME, list=None, list_polling=vidpoll.ListPollingSpec(rows=10, batch=BATCH))


class Vendor:
    """A server whose jobs take 30 s; it answers for at most ten at once, and not for those that are `hidden`."""

    def __init__(
        self,
        provider: vidpoll.Provider = BY_IDS,
        *,
        hidden: str = "",
        broken: bool = False,
        filmed: bool = False,
        word: str = "done",
    ) -> None:
        self.clock = FakeClock()
        self.start = self.clock.now
        self.hidden, self.broken = hidden, broken
        self.filmed, self.word = filmed, word
        self.asked: list[list[str]] = []
        self.singles: Counter[str] = Counter()
        self._lock = threading.Lock()
        accounts = {"acme": vidpoll.Account("acme", key="acme-0123456789")}
        self.client = vidpoll.Client(
            plugins=[Plugin(provider)], discover=False, clock=self.clock, transport=self, accounts=accounts
        )
        self.client._loop.context.random = Calm()

    def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
        url = urlsplit(wire.url)
        word = self.word if self.clock.now - self.start >= 30 else "drawing"
        film = {"video": "/a.mp4"} if word == "done" else {}
        with self._lock:
            if not url.query:
                name = url.path.rpartition("/")[2]
                self.singles[name] += 1
                return self.answer({"id": name, "status": word, **film})
            ids = parse_qs(url.query)["ids"][0].split(",")
            self.asked.append(ids)
        if self.broken:
            return vidpoll.Response(500, {}, b"")
        row = {"status": word, **(film if self.filmed else {})}
        return self.answer({"data": [{"id": each, **row} for each in ids if each != self.hidden]})

    def answer(self, body: object) -> vidpoll.Response:
        return vidpoll.Response(200, {}, json.dumps(body).encode())

    def fetch(self, wire: Any, ticket: Any, start: Any) -> vidpoll.Response:
        return self.send(wire, ticket)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("count", [2, 25])
def test_one_question_answers_for_many(count: int) -> None:
    """Each job is in one of the questions, at most ten in each; a verdict is confirmed by a question of its own."""
    vendor = Vendor()
    jobs = vendor.client.wait_all([f"acme:{number}" for number in range(count)])
    assert all(job.ok for job in jobs)
    assert max(map(len, vendor.asked)) == min(count, 10)
    assert {each for ids in vendor.asked for each in ids} == {job.id for job in jobs}
    assert sum(vendor.singles.values()) <= 2 * count
    assert len(vendor.asked) <= (count // 10 + 1) * (30 / FLOOR + 2)


def test_a_single_job_is_asked_about_by_itself() -> None:
    """Its answer names the files at once."""
    vendor = Vendor()
    assert vendor.client.wait("acme:7").ok
    assert vendor.asked == []


def test_a_job_without_a_row_is_asked_about_by_itself() -> None:
    """Nobody waits for ever because a vendor leaves one out."""
    vendor = Vendor(hidden="3")
    assert all(job.ok for job in vendor.client.wait_all([f"acme:{number}" for number in range(5)]))
    assert vendor.singles["3"] > 2


def test_a_question_that_fails_costs_no_job() -> None:
    """The jobs are polled one by one."""
    vendor = Vendor(broken=True)
    assert all(job.ok for job in vendor.client.wait_all([f"acme:{number}" for number in range(5)]))


def test_only_the_ids_that_it_takes() -> None:
    """[Kling] Of two interfaces one answers for many."""
    spec = vidpoll.ListPollingSpec(rows=10, batch=BATCH, takes=lambda job_id: "/" not in job_id)
    vendor = Vendor(
        replace(
            BY_IDS,
            list_polling=spec,
            status=declare.status(
                "GET /jobs/{id:path}",
                declare.Reader({"drawing": State.RUNNING, "done": State.COMPLETED}, id="", files={"video": "video"}),
            ),
        )
    )
    jobs = vendor.client.wait_all(["acme:1", "acme:2", "acme:old/3", "acme:old/4"])
    assert all(job.ok for job in jobs)
    assert {each for ids in vendor.asked for each in ids} == {"1", "2"}


WHOLE = replace(BY_IDS, list_polling=vidpoll.ListPollingSpec(rows=100, batch=BATCH, whole=True))


def test_one_question_about_a_hundred_jobs_is_all_there_is() -> None:
    """[Ark] Rows that are whole records end their jobs: nothing is asked twice."""
    vendor = Vendor(WHOLE, filmed=True)
    jobs = vendor.client.wait_all([f"acme:{number}" for number in range(100)])
    assert all(job.video.url.endswith("/a.mp4") for job in jobs)
    assert vendor.singles == {}
    assert {len(ids) for ids in vendor.asked} == {100}
    assert len(vendor.asked) <= 30 / FLOOR + 2


def test_a_whole_record_may_say_that_a_job_failed() -> None:
    """A verdict is one, whichever it is."""
    vendor = Vendor(WHOLE, word="broken")
    jobs = vendor.client.wait_all(["acme:1", "acme:2"], check=False)
    assert {job.state for job in jobs} == {State.FAILED}
    assert vendor.singles == {}


def test_a_whole_record_without_its_video_is_confirmed() -> None:
    """The files may stand in the status answer alone, or come late."""
    vendor = Vendor(WHOLE)
    assert all(job.video for job in vendor.client.wait_all(["acme:1", "acme:2"]))
    assert vendor.singles == {"1": 1, "2": 1}


def test_a_job_without_a_row_is_asked_alone_where_rows_are_whole() -> None:
    """The others end by their rows."""
    vendor = Vendor(WHOLE, filmed=True, hidden="3")
    assert all(job.ok for job in vendor.client.wait_all([f"acme:{number}" for number in range(5)]))
    assert set(vendor.singles) == {"3"}


@pytest.mark.parametrize("provider", [BY_IDS, WHOLE])
def test_a_row_about_a_job_that_another_process_asks_about(
    provider: vidpoll.Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is not taken in; the job follows whoever holds its lease, and does not wait for its deadline."""
    monkeypatch.setattr(Watch, "ours", property(lambda self: False))
    vendor = Vendor(provider, filmed=True)
    assert all(job.ok for job in vendor.client.wait_all(["acme:1", "acme:2"]))
    assert vendor.clock.now - vendor.start < 60


@pytest.mark.parametrize("changes", [{"batch": print}, {"takes": "all"}, {"whole": 1}, {"whole": True}])
def test_what_is_no_batch(changes: dict[str, Any]) -> None:
    """It is refused when it is made."""
    with pytest.raises(vidpoll.PluginError, match=f"ListPollingSpec {next(iter(changes))}"):
        vidpoll.ListPollingSpec(**changes)
