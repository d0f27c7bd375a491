"""What the tests of the contract share: owners of one database, a clock that stands still, stored jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...job import Job
from ...model import Cost, Snapshot, State
from ...storage import records
from ...storage.protocol import AWAY, Origin, Saved, Store

NOW = 1_800_000_000.0
"""The Unix second at which every test begins."""

ORIGIN = Origin("acme", "acme", "https://api.acme.example", ("ACME_API_KEY",))
REFS = ("acme:j1", "acme:j2", "acme:j3")
ONE, TWO, THREE = REFS


class Base:
    """Owners of one database."""

    gone_after = AWAY + 1.0
    """Seconds after which a killed owner is known to be gone."""

    at: float
    """The store's time."""

    _made: list[Store]

    def make_store(self, now: Callable[[], float]) -> Store:
        """Another owner of the database of this test."""
        raise NotImplementedError("write how a store is made: def make_store(self, now)")

    def kill(self, store: Store) -> None:
        """End an owner like `kill -9`: it releases nothing."""

    def setup_method(self) -> None:
        """Before each test."""
        self.at, self._made = NOW, []

    def teardown_method(self) -> None:
        """After each test."""
        for store in self._made:
            store.close()

    def owner(self) -> Store:
        """Another owner."""
        self._made.append(self.make_store(lambda: self.at))
        return self._made[-1]

    def owners(self) -> tuple[Store, Store]:
        """Two owners, and three jobs without facts."""
        one, two = self.owner(), self.owner()
        self.enter(one)
        return one, two

    def enter(self, store: Store, *refs: str) -> None:
        """Store jobs without facts."""
        for ref in refs or REFS:  # one by one, so that their order is certain
            store.enter([(ref, origin(ref), {})])

    def killed(self, store: Store) -> None:
        """Kill an owner, and wait until that is known."""
        self.kill(store)
        self.at += self.gone_after


def origin(ref: str) -> Origin:
    """The origin of a job."""
    return ORIGIN if ref.startswith("acme:") else Origin(ref.partition(":")[0])


def seen(ref: str, *stages: str, done: bool = False, cost: Cost | None = None) -> Job:
    """A job that was in these stages, one second each; if `done`, it is completed."""
    job = Job(ref)
    for turn, stage in enumerate(stages):
        job.receive(Snapshot(State.RUNNING, stage), NOW + turn)
    if done:
        job.receive(Snapshot(State.COMPLETED, "done", assets_due=False, cost=cost), NOW + 9)
    return job


def saved(
    ref: str, *stages: str, done: bool = False, requests: int = 0, transient_errors: int = 0, cost: Cost | None = None
) -> Saved:
    """The row of such a job."""
    return Saved(ref, records.facts(seen(ref, *stages, done=done, cost=cost)), requests, transient_errors)


def newer(**more: Any) -> dict[str, Any]:
    """Facts that a newer version of vidpoll wrote."""
    return {"v": records.FORMAT + 1, **more}


def raised(kind: type[Exception], call: Callable[[], object]) -> Any:
    """The error that a call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"the call raised no {kind.__name__}")
