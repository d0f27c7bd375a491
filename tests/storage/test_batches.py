"""Many rows in one transaction of the store, and what a newer version keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acme_provider import DONE, DRAWING, REF, talk
from kept_jobs import NOW, kept, saved, sql

import vidpoll
from vidpoll.storage.records import Saved
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


def test_all_rows_or_none(store: SqliteStore) -> None:
    """A row that cannot be written leaves the others as they were."""
    with pytest.raises(
        vidpoll.StoreError, match=r"^acme:j1 and 1 more: the store .* cannot keep text that is not Unicode"
    ):
        store.save([saved(ONE, "a"), Saved("acme:\udcff", {})])
    assert [each.job.stage for each in store.jobs()] == [None, None, None]


# -- a newer version --------------------------------------------------------------------------------------------------


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
