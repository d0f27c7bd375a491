"""Many rows in one transaction of the store, and what a newer version keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acme_provider import DONE, DRAWING, REF, talk
from kept_jobs import NOW, dead, kept, saved, sql

import vidpoll
from vidpoll.storage import records
from vidpoll.storage.records import Leases, Saved
from vidpoll.storage.sqlite import SqliteStore

REFS = [f"acme:j{number}" for number in range(1, 4)]
ONE, TWO, THREE = REFS


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """A store with three jobs of which nothing is known."""
    opened = SqliteStore(path, lambda: NOW)
    opened.enter([(ref, vidpoll.Origin("acme"), {}) for ref in REFS])
    yield opened
    opened.close()


# -- the store --------------------------------------------------------------------------------------------------------


def test_rows_are_saved_together(store: SqliteStore) -> None:
    """Counts add up; what the store does not know, and what has its verdict, is passed over."""
    store.end([saved(THREE, done=True)])
    rows = [saved(ONE, "a", requests=2), saved(TWO, "b", requests=1), saved(THREE, "late"), saved("acme:j9", "x")]
    store.save(rows)
    store.save([saved(ONE, "a", "c", requests=3)])
    found = [(each.job.stage, each.requests) for each in store.jobs()]
    assert found == [("c", 5), ("b", 1), ("done", 0)]


def test_all_rows_or_none(store: SqliteStore) -> None:
    """A row that cannot be written leaves the others as they were."""
    with pytest.raises(vidpoll.StoreError, match=r"^acme:j1 and 1 more: the store .* no text that is not Unicode"):
        store.save([saved(ONE, "a"), Saved("acme:\udcff", {})])
    assert [each.job.stage for each in store.jobs()] == [None, None, None]


def test_verdicts_end_together(store: SqliteStore, path: Path) -> None:
    """Each is ours to tell, is another's, or is of a job that is not kept."""
    other = SqliteStore(path, lambda: NOW)
    assert other.end([saved(TWO, done=True)]) == {TWO: True}
    rows = [saved(ref, done=True) for ref in (ONE, TWO, "acme:j9")]
    assert store.end(rows) == {ONE: True, TWO: False, "acme:j9": None}
    store.told([ONE])
    other.told([TWO])
    assert sql(path, "SELECT ref FROM jobs WHERE told_at IS NOT NULL ORDER BY ref") == [(ONE,), (TWO,)]


def test_verdicts_are_claimed_together(store: SqliteStore, path: Path) -> None:
    """Those that nobody has told and nobody who lives is telling."""
    store.end([saved(ref, done=True) for ref in REFS])
    store.told([THREE])
    other = SqliteStore(path, lambda: NOW)
    assert other.claim(REFS) == set()
    sql(path, "UPDATE jobs SET teller = ? WHERE ref = ?", dead(store), ONE)
    assert other.claim([*REFS, "acme:j9"]) == {ONE}
    store.untold([TWO])
    assert other.claim(REFS) == {ONE, TWO}


def test_leases_are_taken_together(store: SqliteStore, path: Path) -> None:
    """Ours, another's, and those that a dead one has left."""
    other = SqliteStore(path, lambda: NOW)
    assert other.lease([TWO, THREE], 60.0) == Leases(mine=frozenset({TWO, THREE}))
    sql(path, "UPDATE jobs SET owner = ? WHERE ref = ?", dead(store), THREE)
    held = store.lease([*REFS, "acme:j9"], 60.0)
    assert held.mine == {ONE, THREE, "acme:j9"}
    assert (held.elsewhere, held.taken) == ({TWO}, {THREE})
    assert sql(path, "SELECT owned_until FROM jobs") == [(NOW + 60,)] * 3


# -- a newer version --------------------------------------------------------------------------------------------------


def test_what_a_newer_version_keeps_is_left_alone(store: SqliteStore, path: Path) -> None:
    """Neither facts nor a verdict are written over it; it is not ours to tell."""
    newer = json.dumps({"v": records.FORMAT + 1, "colour": "blue"})
    sql(path, "UPDATE jobs SET facts = ? WHERE ref = ?", newer, ONE)
    store.save([saved(ONE, "a", requests=1), saved(TWO, "b")])
    assert store.end([saved(ONE, done=True), saved(THREE, done=True)]) == {ONE: False, THREE: True}
    assert sql(path, "SELECT facts, requests, ended_at FROM jobs WHERE ref = ?", ONE) == [(newer, 0, None)]
    assert [each.newer for each in store.jobs()] == [True, False, False]
    assert [each.job.stage for each in store.jobs()] == [None, "b", "done"]


@pytest.mark.parametrize("ask", [vidpoll.Client.wait, vidpoll.Client.poll, vidpoll.Client.watch])
def test_a_job_of_a_newer_version_is_not_waited_for(path: Path, ask: Any) -> None:
    """It says why, before anything is sent; the others go on."""
    t = talk([DRAWING, DONE], store=path)
    t.client.store.want(ONE, "clips")
    t.client.store.want(TWO, "clips")
    sql(path, "UPDATE jobs SET facts = json_set(facts, '$.v', 2) WHERE ref = ?", ONE)
    with pytest.raises(vidpoll.StoreError, match=r"^acme:j1 is kept by a newer vidpoll .* update vidpoll"):
        ask(t.client, ONE)
    assert t.requests == []
    assert [each.ref for each in t.client.store.unfinished()] == [TWO]
    assert [each.ref for each in t.client.as_completed(t.client.store.unfinished())] == [TWO]


def test_fields_that_are_unknown_are_kept(path: Path) -> None:
    """A later version of the same format may have added some."""
    t = talk([DRAWING, DONE], store=path)
    t.client.store.want(REF, "clips")
    sql(path, "UPDATE jobs SET facts = json_set(facts, '$.colour', 'blue')")
    t.client.wait(REF)
    assert (kept(t).job.ok, kept(t).facts["colour"]) == (True, "blue")


def test_damaged_facts_are_mended_by_fresh_ones(store: SqliteStore, path: Path) -> None:
    """One damaged row does not keep the others from being saved."""
    sql(path, "UPDATE jobs SET facts = 'not JSON' WHERE ref = ?", ONE)
    store.save([saved(ONE, "a"), saved(TWO, "b"), saved(THREE, "c")])
    assert [each.job.stage for each in store.jobs()] == ["a", "b", "c"]
