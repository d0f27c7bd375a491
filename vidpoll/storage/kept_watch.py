"""A wait that polls only while it holds its job's lease; while another process holds the lease, it reads the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..model import Snapshot
from ..polling.task import Context, Step
from ..polling.watch import Watch

if TYPE_CHECKING:
    from .keeper import Keeper

LOOK = 2.0
"""Seconds between two reads of the store while another process polls the job."""

_SOON = 0.001


class KeptWatch(Watch):
    """A `Watch` that polls only while it holds its job's lease; while another process holds it, it reads the store."""

    __slots__ = ("_keeper", "_version")

    def __init__(self, keeper: Keeper, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._keeper = keeper
        self._version = -1

    def leased_by_other(self, context: Context) -> Step | None:
        held = self._keeper.holds(self.job.ref)
        mine, taken = self._keeper.lease(self.job, 0.0)
        if mine and held and not self.job.final:
            return None
        events, self._version = self._keeper.catch_up(self.job, self._version)
        if self.job.final:
            return Step(events)
        now = context.now()
        if not mine:
            return Step(events, now + LOOK)
        if taken:  # the former owner may just have polled
            return Step(events, now + self.account.provider.pacing.floor)
        return Step(events, now) if events else None

    def _set_back(self, at: float) -> bool:
        moved = super()._set_back(at)
        if moved and self._keeper.lease(self.job, 0.0)[0]:  # this step may send nothing, and the next one must know
            self._keeper.change(self.job)
        return moved

    def reserve_slot(self, now: float) -> float:
        return super().reserve_slot(now) if self._keeper.holds(self.job.ref) else now + _SOON

    @property
    def ours(self) -> bool:
        return self._keeper.holds(self.job.ref)

    def listed(self, row: Snapshot, asked_at: float, context: Context) -> Step:
        return self._leased(super().listed(row, asked_at, context), context)

    def digest(self, value: object, context: Context) -> Step:
        return self._leased(super().digest(value, context), context)

    def _leased(self, step: Step, context: Context) -> Step:
        if step.again_at is not None:  # the lease lasts until the next request, however long that is
            self._keeper.lease(self.job, max(0.0, step.again_at - context.now()))
        return step
