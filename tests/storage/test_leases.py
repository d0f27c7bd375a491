"""Several processes, or threads, at one store: who asks, who follows, who takes over."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, KEY, REF, SAVING, brief, talk
from forking import in_a_child
from kept_jobs import ELSEWHERE, GONE, MINE, NOW, broken, sql

import vidpoll
from vidpoll.storage.kept_watch import LOOK
from vidpoll.storage.records import Saved
from vidpoll.storage.sqlite import SqliteStore


def test_a_second_wait_follows_the_store_and_sends_nothing(path: Path) -> None:
    """It hears what the first one learns, and its verdict, whose hook the first one has told."""
    t = talk([DRAWING, SAVING, DONE], store=path)
    u = talk([BROKEN], store=path)
    first, second = t.client.watch(REF), u.client.watch(REF)
    told = [brief(next(first)), brief(next(second)), brief(next(second))]
    assert told == ["stage drawing", "stage drawing", "progress 10"]
    for _ in first:
        pass
    assert [brief(event) for event in second] == ["completed"]
    assert (u.requests, u.ears.told) == ([], [])
    assert u.clock.waits[0] == LOOK
    assert t.ears.told == ["stage drawing", "progress 10", "stage saving", "progress 90", "completed"]


def test_a_follower_keeps_its_own_deadline(path: Path) -> None:
    """Its time is over when it is over; the job stays with the one who asks."""
    t = talk([DRAWING], store=path)
    first = t.client.watch(REF)
    next(first)
    u = talk([DONE], store=path)
    with pytest.raises(vidpoll.WaitTimeout, match="the job is drawing at 10 %"):
        u.client.wait(REF, timeout=7)
    assert (u.requests, u.clock.now) == ([], NOW + 7)
    first.close()
    u.client.wait(REF)
    assert u.requests == ["GET /v1/jobs/j1"]


def test_a_lease_that_ran_out_is_taken_over(path: Path) -> None:
    """A process that hangs, or a host that is gone, holds a job for some minutes and no longer."""
    t = talk([DRAWING], store=path)
    first = t.client.watch(REF)
    next(first)
    sql(path, "UPDATE jobs SET owner = ?", GONE)
    u = talk([DONE], store=path)
    assert u.client.wait(REF).ok
    waited = u.clock.now - NOW
    assert 60 < waited < 300
    first.close()


@pytest.mark.parametrize("floor", [5.0, 900.0])
def test_a_lease_lasts_until_after_the_next_question(path: Path, floor: float) -> None:
    """Whatever the gap: at no moment of a wait may another process take the job over."""
    slow = replace(ACME, pacing=vidpoll.Pacing(floor=floor))
    other = SqliteStore(path, lambda: NOW)
    taken = []

    t = talk([DRAWING] * 30 + [DONE], store=path, provider=slow, accounts={"acme": vidpoll.Account("acme", key=KEY)})
    get = t.clock.get

    def look(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if not busy:
            other.now = lambda: t.clock.now + timeout + 40  # a request may take that long
            taken.append(other.lease([REF], 0.0))
        return get(inbox, timeout, busy=busy)

    t.clock.get = look  # type: ignore[assignment]
    t.client.wait(REF, timeout=None)
    assert len(taken) == 30
    assert set(taken) == {ELSEWHERE}


def test_one_who_lost_the_lease_stops_asking(path: Path) -> None:
    """A laptop that slept for an hour does not ask about what another process asks about by now."""
    t = talk([DRAWING, SAVING], store=path)
    first = t.client.watch(REF, timeout=None)
    next(first), next(first)
    assert len(t.wire.sent) == 1
    t.clock.now += 3600
    other = SqliteStore(path, t.clock.time)
    assert other.lease([REF], 60.0) == MINE
    assert other.end([Saved(REF, broken(NOW + 3000))]) == {REF: True}
    assert [brief(event) for event in first] == ["failed"]
    assert len(t.wire.sent) == 1
    assert "failed" not in t.ears.told


def test_one_who_stood_in_line_for_longer_than_its_lease_looks_again(path: Path) -> None:
    """A 429 holds the account for an hour: by then another process may have asked, and may have the verdict."""
    held = (429, {"retry-after": "3000"}, b"")
    t = talk({"/jobs/a": [DRAWING, held, DONE], "/jobs/b": [DRAWING]}, store=path)
    other = SqliteStore(path, t.clock.time)
    get = t.clock.get

    def end(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if t.clock.now > NOW + 1000 and not busy:
            assert other.lease(["acme:b"], 60.0).mine
            other.end([Saved("acme:b", broken(NOW + 900))])
        return get(inbox, timeout, busy=busy)

    t.clock.get = end  # type: ignore[assignment]
    ended = {job.ref: job.state for job in t.client.as_completed(["acme:a", "acme:b"], timeout=None)}
    assert ended == {"acme:a": vidpoll.State.COMPLETED, "acme:b": vidpoll.State.FAILED}
    assert t.requests.count("GET /v1/jobs/b") == 2
    assert "failed" not in t.ears.told


def test_two_waits_of_one_client_share_a_lease(path: Path) -> None:
    """The end of one does not open the job to other processes while the other goes on."""
    t = talk([DRAWING], store=path)
    one, two = t.client.watch(REF), t.client.watch(REF)
    next(one), next(two)
    one.close()
    other = SqliteStore(path, t.clock.time)
    assert other.lease([REF], 60.0) == ELSEWHERE
    two.close()
    assert other.lease([REF], 60.0) == MINE


def test_a_fork_has_a_connection_of_its_own(path: Path) -> None:
    """SQLite allows no connection to cross a fork; the child is another owner."""
    store = SqliteStore(path, lambda: NOW)
    store.enter([(REF, vidpoll.Origin("acme"), {})])
    assert store.lease([REF], 60.0) == MINE
    assert in_a_child(lambda: store.lease([REF], 60.0) == ELSEWHERE and store.get(REF) is not None)
    assert store.get(REF) is not None


def test_threads_share_a_store(path: Path) -> None:
    """One connection, one at a time."""
    store = SqliteStore(path, lambda: NOW)
    refs = [f"acme:j{number}" for number in range(200)]
    store.enter([(ref, vidpoll.Origin("acme"), {}) for ref in refs])

    def work(part: list[str]) -> None:
        for ref in part:
            store.lease([ref], 60.0)
            store.save([Saved(ref, {"state": "running"}, 1)])

    threads = [threading.Thread(target=work, args=(refs[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.requests for job in store.jobs()] == [1] * 200
