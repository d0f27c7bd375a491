"""Shared by the tests of `Client.serve`: a second process at the store, and calls at set times while it serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acme_provider import Talk
from kept_jobs import NOW

import vidpoll
from vidpoll.storage.sqlite import SqliteStore


def store_of(t: Talk) -> SqliteStore:
    """Another process at the store of a client, with its clock."""
    store = t.client._keeper.store  # type: ignore[union-attr]
    assert isinstance(store, SqliteStore)
    return SqliteStore(store.path, t.clock.time, t.clock.monotonic)


def enter(t: Talk, *refs: str, facts: dict[str, Any] | None = None) -> SqliteStore:
    """Another process keeps jobs."""
    store = store_of(t)
    for ref in refs:
        store.enter([(ref, vidpoll.Origin(ref.partition(":")[0]), facts or {})])
    return store


def at(t: Talk, second: float, do: Callable[[], object]) -> None:
    """Do something once that many seconds have passed."""
    get, todo = t.clock.get, [do]

    def then(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if todo and t.clock.now >= NOW + second:
            todo.pop()()
        return get(inbox, timeout, busy=busy)

    t.clock.get = then  # type: ignore[method-assign]
