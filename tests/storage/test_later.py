"""A verdict that a hook only handed over is not told before somebody says that it was heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, REF, Talk, talk
from kept_jobs import NOW, kept

import vidpoll
from vidpoll.storage.protocol import AGAIN


class Hands:
    """Hands verdicts over."""

    def __init__(self, *answers: Any) -> None:
        self.answers = [*answers]
        self.got: list[str] = []

    def hand_over(self, job: vidpoll.Job) -> Any:
        self.got.append(job.ref)
        return self.answers.pop(0) if self.answers else vidpoll.LATER

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job) -> Any:
        return self.hand_over(job)

    @vidpoll.hookimpl
    def vidpoll_failed(self, job: vidpoll.Job) -> Any:
        return self.hand_over(job)


def handing(path: Path | None, *script: Any, at: float = NOW, hands: Hands | None = None) -> tuple[Talk, Hands]:
    """A client with one such hook, in a process of its own."""
    hands = hands or Hands()
    t = talk(list(script), store=path, plugins=(hands,))
    t.clock.now = at
    return t, hands


@pytest.mark.parametrize("end", [DONE, BROKEN])
def test_a_verdict_that_is_heard_later_is_not_told(end: Any, path: Path) -> None:
    """Its verdict is kept, and the job is among the unfinished ones, until `heard`; twice is as once."""
    t, hands = handing(path, end)
    t.client.wait(REF, check=False)
    assert (hands.got, kept(t).ended_at, kept(t).told_at) == ([REF], NOW, None)
    assert [job.ref for job in t.client.store.unfinished()] == [REF]
    t.clock.now += 7.0
    t.client.heard(REF)
    assert (kept(t).told_at, t.client.store.unfinished()) == (NOW + 7, [])
    t.clock.now += AGAIN
    t.client.heard(kept(t).job)
    t.client.wait(REF, check=False)
    assert hands.got == [REF]


def test_a_verdict_that_is_being_heard_is_not_told_again(path: Path) -> None:
    """For a minute from each time that it is said; once it was heard, it need not be."""
    t, hands = handing(path, DONE)
    assert not t.client.store.hearing(REF)
    t.client.wait(REF)
    t.clock.now += AGAIN - 1.0
    assert t.client.store.hearing(REF)
    t.clock.now += AGAIN - 1.0
    t.client.wait(REF)
    assert hands.got == [REF]
    t.clock.now += 1.0
    t.client.wait(REF)
    assert hands.got == [REF, REF]
    t.client.heard(REF)
    assert not t.client.store.hearing(REF)


def test_it_is_told_again_after_a_minute(path: Path) -> None:
    """By whoever waits for the job, in any process; no sooner, and not in two."""
    t, _ = handing(path, DONE)
    t.client.wait(REF)
    u, hands = handing(path)
    for seconds, told in [(1.0, []), (AGAIN - 1.0, []), (AGAIN, [REF]), (AGAIN + 1.0, [REF]), (2 * AGAIN, [REF] * 2)]:
        u.clock.now = t.clock.now = NOW + seconds
        assert u.client.wait(REF).ok
        assert hands.got == told
    t.client.wait(REF)
    assert (t.wire.sent[1:], u.wire.sent) == ([], [])
    u.client.heard(REF)
    assert kept(t).told_at == NOW + 2 * AGAIN


def test_every_hook_hears_again(path: Path) -> None:
    """What one hands over counts for all: the verdict is at least once, to each."""
    t, hands = handing(path, DONE, hands=Hands(vidpoll.LATER, None))
    t.client.wait(REF)
    t.clock.now += AGAIN
    t.client.wait(REF)
    assert (hands.got, t.ears.told.count("completed")) == ([REF] * 2, 2)
    assert kept(t).told_at == NOW + AGAIN


def test_a_worker_may_be_faster_than_the_hook(path: Path) -> None:
    """It says that it has heard before the hook returns LATER, from another process."""
    other = talk([], store=path).client

    class Fast(Hands):
        def hand_over(self, job: vidpoll.Job) -> Any:
            other.heard(job)
            return super().hand_over(job)

    t, hands = handing(path, DONE, hands=Fast())
    t.client.wait(REF)
    assert (hands.got, kept(t).told_at) == ([REF], NOW)


def test_each_verdict_of_a_moment_has_an_answer_of_its_own(path: Path) -> None:
    """Those that were told at once are told, the others are not."""
    t, _ = handing(path, DONE, hands=Hands(None, vidpoll.LATER, 7))
    t.client.wait_all(["acme:j1", "acme:j2", "acme:j3"])
    assert [row.told_at for row in t.client.store.jobs()].count(None) == 1


def test_ctrl_c_leaves_what_was_handed_over(path: Path) -> None:
    """It comes in the hook of the next verdict of the same moment; it is told at once, the other a minute later."""

    class Dies(Hands):
        def hand_over(self, job: vidpoll.Job) -> Any:
            if self.got and not dead:
                dead.append(job.ref)
                raise KeyboardInterrupt
            return super().hand_over(job)

    dead: list[str] = []
    t, hands = handing(path, DONE, hands=Dies())
    with pytest.raises(KeyboardInterrupt):
        t.client.wait_all(["acme:j1", "acme:j2"])
    first = list(hands.got)
    t.client.wait_all(["acme:j1", "acme:j2"])
    assert hands.got == [*first, *dead]
    t.clock.now += AGAIN
    t.client.wait_all(["acme:j1", "acme:j2"])
    assert sorted(hands.got[2:]) == ["acme:j1", "acme:j2"]


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_store_that_does_not_work_while_it_is_handed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be kept is kept before the next thing, and is not taken for heard."""
    t, hands = handing(path, DONE)
    store = t.client._keeper.store

    def refuse(refs: Any) -> None:
        raise vidpoll.StoreError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(store, "later", refuse)
        t.client.wait(REF)
    t.client.close()
    u, hands = handing(path, at=NOW + 1.0)
    u.client.wait(REF)
    assert hands.got == []
    assert kept(u).told_at is None


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_heard_says_where_that_cannot_be_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that says it is run again then."""
    t, _ = handing(path, DONE)
    t.client.wait(REF)

    def refuse(refs: Any) -> None:
        raise vidpoll.StoreError("locked")

    monkeypatch.setattr(t.client._keeper.store, "told", refuse)
    with pytest.raises(vidpoll.StoreError):
        t.client.heard(REF)


def test_without_a_store_later_is_at_once() -> None:
    """Nobody keeps the verdict, so that nobody tells it again; `heard` does nothing."""
    t, hands = handing(None, DONE)
    job = t.client.wait(REF)
    t.clock.now += AGAIN
    t.client.wait(job)
    t.client.heard(job)
    assert (hands.got, job.told) == ([REF], True)


def test_later_of_what_is_no_verdict_means_nothing(path: Path) -> None:
    """Stages are told once, and never kept for somebody."""

    class Stages:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> Any:
            return vidpoll.LATER

    t = talk([DRAWING, DONE], store=path, plugins=(Stages(),))
    t.client.wait(REF)
    assert kept(t).told_at is not None
    u = talk([DRAWING], plugins=(Stages(),))
    job = vidpoll.Job(REF)
    u.client.poll(job)
    assert job.told is False


def test_a_job_that_nobody_keeps_may_be_heard(path: Path) -> None:
    """It was pruned while its task waited in a queue: nothing to say. What is no reference is told."""
    t = talk([], store=path)
    t.client.heard(REF)
    assert t.client.store.jobs() == []
    with pytest.raises(vidpoll.BadReference):
        t.client.heard("j1")


def test_a_step_tells_it_again(path: Path) -> None:
    """As a wait does."""
    t, hands = handing(path, DONE)
    t.client.step(REF)
    t.client.step(REF)
    t.clock.now += AGAIN
    t.client.step(REF)
    assert hands.got == [REF] * 2
