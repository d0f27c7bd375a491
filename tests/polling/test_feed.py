"""A run that goes on while a feed adds tasks to it. Time is fake, nothing sleeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from acme_provider import DONE, DRAWING, FLOOR, REF, Talk, talk

import vidpoll
from vidpoll.faults import Fault
from vidpoll.pacing.schedules import Fixed
from vidpoll.polling.call import Call
from vidpoll.polling.feed import NUDGE
from vidpoll.polling.loop import Run
from vidpoll.polling.task import OneShot, Task
from vidpoll.polling.watch import Watch

Make = Callable[[Run], Sequence[Task]]


class Feed:
    """Gives what `turns` make, one after another: each at its second after the one before it."""

    def __init__(self, talk: Talk, turns: Sequence[tuple[float, Make]]) -> None:
        self.clock = talk.clock
        self.turns = list(turns)
        self.at = self.clock.now + (self.turns[0][0] if self.turns else 0.0)
        self.looks = 0

    @property
    def open(self) -> bool:
        return bool(self.turns)

    @property
    def busy(self) -> bool:
        return False

    def news(self) -> Sequence[tuple[vidpoll.Job, vidpoll.Event]]:
        return ()

    def wake(self) -> float:
        return self.at if self.turns else math.inf

    def take(self, run: Run) -> Sequence[Task]:
        self.looks += 1
        if not self.turns or self.clock.now < self.at:
            return ()
        _, make = self.turns.pop(0)
        if self.turns:
            self.at = self.clock.now + self.turns[0][0]
        return make(run)


def watch(t: Talk, job_id: str) -> Make:
    def make(run: Run) -> Sequence[Task]:
        return [Watch(vidpoll.Job(f"acme:{job_id}"), t.client._state("acme"), Fixed(5.0), now=run.loop.now())]

    return make


def test_tasks_come_while_the_run_goes_on() -> None:
    """Also where none is left for a while, and before the first one: each is asked for at its own time."""
    t = talk({"/j1": [DRAWING, {**DONE, "id": "j1"}], "/j2": [{**DONE, "id": "j2"}]})
    feed = Feed(t, [(7.0, watch(t, "j1")), (100.0, watch(t, "j2"))])
    start = t.clock.now
    told = [(job.id, type(event).__name__) for job, event in t.client._loop.run([], feed=feed)]
    assert [word for word in told if word[1] == "Completed"] == [("j1", "Completed"), ("j2", "Completed")]
    assert t.clock.now - start == 107.0
    assert t.requests == ["GET /v1/jobs/j1", "GET /v1/jobs/j1", "GET /v1/jobs/j2"]


def test_a_nudge_wakes_the_run() -> None:
    """What another thread has for the feed is taken at once, and no answer is taken for it."""
    t = talk([DRAWING, DONE])
    seen: list[int] = []

    class Nudged(Feed):
        def take(self, run: Run) -> Sequence[Task]:
            seen.append(run.inbox.qsize())
            if self.looks == 0:
                run.inbox.put(NUDGE)
            return super().take(run)

    feed = Nudged(t, [(0.0, watch(t, REF.partition(":")[2]))])
    assert [type(event).__name__ for _, event in t.client._loop.run([], feed=feed)][-1] == "Completed"
    assert seen[:2] == [0, 0]
    assert t.clock.waits == [5.0]


def test_an_open_feed_that_has_nothing_is_looked_at_when_it_wakes() -> None:
    t = talk([DONE])
    feed = Feed(t, [(30.0, lambda run: ())])
    assert list(t.client._loop.run([], feed=feed)) == []
    assert (t.clock.waits, t.requests) == ([30.0], [])


class Broken(OneShot[vidpoll.Quota]):
    """Its request cannot be made."""

    def __init__(self, t: Talk, error: Exception) -> None:
        super().__init__(t.client._state("acme"), self._raise, repeat=True, now=t.clock.now)
        self.error = error

    def _raise(self) -> Call[vidpoll.Quota]:
        raise self.error


class Alone(Broken):
    alone = True


def test_what_cannot_be_asked_ends_its_task_alone() -> None:
    """The task has the error, the others go on."""
    t = talk([DRAWING, DONE])
    error = vidpoll.StoreError("the disk is full")
    broken = Alone(t, error)
    feed = Feed(t, [(0.0, watch(t, REF.partition(":")[2])), (1.0, lambda run: [broken])])
    assert [type(event).__name__ for _, event in t.client._loop.run([], feed=feed)][-1] == "Completed"
    assert broken.result is error
    assert FLOOR <= sum(t.clock.waits) <= 6.0


def test_else_it_ends_the_run() -> None:
    t = talk([DONE])
    broken = Broken(t, vidpoll.StoreError("the disk is full"))
    with pytest.raises(vidpoll.StoreError, match="the disk is full"):
        list(t.client._loop.run([broken]))
    assert isinstance(broken.result, Fault)
