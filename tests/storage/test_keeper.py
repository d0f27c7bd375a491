"""When a job is kept: verdicts before their hooks and together, facts once a second and at the end of a wait."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from acme_provider import DONE, DRAWING, REF, SAVING, Talk, talk
from kept_jobs import NOW, kept, saved, seen, sql

import vidpoll
from vidpoll.storage.keeper import EVERY, TROUBLE, Keeper
from vidpoll.storage.records import Saved
from vidpoll.storage.sqlite import SqliteStore

REFS = [f"acme:j{number}" for number in range(1, 4)]
ONE, TWO, THREE = REFS


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Each call that writes rows, with their references."""
    calls: list[tuple[str, list[str]]] = []

    def watch(word: str) -> None:
        genuine = getattr(SqliteStore, word)

        def noted(self: SqliteStore, rows: Any) -> Any:
            rows = list(rows)
            calls.append((word, [row.ref if isinstance(row, Saved) else row for row in rows]))
            return genuine(self, rows)

        monkeypatch.setattr(SqliteStore, word, noted)

    for word in ("save", "end", "told"):
        watch(word)
    return calls


# -- verdicts together ------------------------------------------------------------------------------------------------


def verdicts(t: Talk, refs: list[str] = REFS) -> list[tuple[vidpoll.Job, vidpoll.Event]]:
    """Jobs of the store that have just ended, each with its event."""
    t.client._keeper.enter([vidpoll.Job(ref) for ref in refs], [t.client._state("acme").opened for _ in refs])
    ended = [seen(ref, done=True) for ref in refs]
    return [(each, event) for each in ended if (event := each.verdict(NOW))]


def test_verdicts_cost_two_transactions(path: Path, commits: list[Any]) -> None:
    """All of them are on disk before the first hook; that they were told follows in one."""
    seen: list[Any] = []

    class Look:
        @vidpoll.hookimpl
        def vidpoll_completed(self) -> None:
            seen.append(sql(path, "SELECT count(ended_at), count(told_at) FROM jobs"))

    t = talk([], store=path, plugins=(Look(),))
    t.client._keeper.verdicts(verdicts(t))
    assert commits == [("end", REFS), ("told", REFS)]
    assert seen == [[(3, 0)]] * 3
    assert t.ears.told == ["completed"] * 3


def test_without_a_store_verdicts_are_told_at_once() -> None:
    """There is nothing to keep, now or later."""
    t = talk([])
    t.client._keeper.verdicts([(seen(ref, done=True), vidpoll.Completed(ref, NOW)) for ref in REFS])
    assert (t.ears.told, t.client._keeper.save_due(t.clock.now)) == (["completed"] * 3, float("inf"))


def test_verdicts_of_another_process_are_not_told(path: Path) -> None:
    """Each job's hook is called by whoever has its verdict on disk first."""
    t, u = talk([], store=path), talk([], store=path)
    t.client._keeper.verdicts(verdicts(t, [TWO]))
    u.client._keeper.verdicts(verdicts(u))
    assert [event.ref for _, _, event in t.ears.heard] == [TWO]
    assert [event.ref for _, _, event in u.ears.heard] == [ONE, THREE]


def test_ctrl_c_between_two_hooks_leaves_the_rest_to_be_told(path: Path) -> None:
    """Those that were heard are not told again, and the others are, by the next wait."""

    class Dies:
        @vidpoll.hookimpl(tryfirst=True)
        def vidpoll_completed(self, job: vidpoll.Job) -> None:
            if job.ref == TWO:
                raise KeyboardInterrupt

    t = talk([], store=path, plugins=(Dies(),))
    with pytest.raises(KeyboardInterrupt):
        t.client._keeper.verdicts(verdicts(t))
    u = talk([], store=path)
    assert [each.ok for each in u.client.wait_all(REFS)] == [True] * 3
    assert [event.ref for _, _, event in t.ears.heard] == [ONE]
    assert [event.ref for _, _, event in u.ears.heard] == [TWO, THREE]


# -- facts once a second ----------------------------------------------------------------------------------------------


def keeping(t: Talk, refs: list[str]) -> tuple[Keeper, list[vidpoll.Job]]:
    """The keeper of a client that waits for jobs."""
    jobs = [seen(ref, "a") for ref in refs]
    keeper = t.client._keeper
    assert isinstance(keeper, Keeper)
    keeper.enter([vidpoll.Job(ref) for ref in refs], [t.client._state("acme").opened for _ in refs])
    return keeper, jobs


def change(keeper: Keeper, changed: vidpoll.Job, stage: str) -> None:
    for event in changed.receive(vidpoll.Snapshot(vidpoll.State.RUNNING, stage), NOW + 5):
        keeper.tell(changed, event)


def stages(t: Talk) -> list[str | None]:
    return [each.job.stage for each in t.client.store.jobs()]


def test_facts_are_kept_once_a_second(path: Path, commits: list[Any]) -> None:
    """The first change at once, what follows within a second in one transaction."""
    t = talk([], store=path)
    keeper, jobs = keeping(t, REFS)
    with keeper.waiting(jobs):
        for each in jobs:
            keeper.lease(each, 0.0)
            change(keeper, each, "b")
        assert (commits, stages(t)) == ([("save", [ONE])], ["b", None, None])
        assert keeper.save_due(t.clock.now + EVERY / 2) == t.clock.now + EVERY
        assert len(commits) == 1
        change(keeper, jobs[1], "c")
        assert keeper.save_due(t.clock.now + EVERY) == float("inf")
        assert (commits[1:], stages(t)) == ([("save", [TWO, THREE])], ["b", "c", "b"])
        assert keeper.save_due(t.clock.now + 9 * EVERY) == float("inf")
        assert len(commits) == 2


def test_one_answer_is_kept_once(path: Path, commits: list[Any]) -> None:
    """Stage and progress that change together are one transaction."""
    t = talk([DRAWING, SAVING, DONE], store=path)
    t.client.wait(REF)
    assert [word for word, _ in commits] == ["save", "save", "end", "told"]


@pytest.mark.parametrize("how", ["end", "ctrl-c", "close"])
def test_the_end_of_a_wait_keeps_what_was_not_kept(path: Path, how: str) -> None:
    """However it ends."""
    t = talk([], store=path)
    keeper, jobs = keeping(t, [ONE, TWO])
    waiting = keeper.waiting(jobs)
    waiting.__enter__()
    for each in jobs:
        keeper.lease(each, 0.0)
        change(keeper, each, "b")
    assert stages(t) == ["b", None]
    if how == "end":
        waiting.__exit__(None, None, None)
    elif how == "close":
        t.client.close()
    else:
        assert not waiting.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert stages(talk([], store=path)) == ["b", "b"]


def test_what_is_not_waited_for_is_kept_at_once(path: Path) -> None:
    """A process that is told by webhooks has no later moment."""
    t = talk([], store=path)
    t.client.feed(ONE, DRAWING)
    t.client.feed(TWO, DRAWING)
    t.client.feed(TWO, SAVING)
    assert stages(t) == ["drawing", "saving"]


@pytest.mark.parametrize("still", [True, False], ids=["in the wait", "at its end"])
def test_who_has_lost_the_lease_keeps_nothing(path: Path, still: bool) -> None:
    """Another process polls by now, and knows more."""
    t = talk([], store=path)
    keeper, jobs = keeping(t, [ONE, TWO])
    with keeper.waiting(jobs):
        for each in jobs:
            keeper.lease(each, 0.0)
            change(keeper, each, "b")
        t.clock.now += 3600.0
        SqliteStore(path, t.clock.time).save([saved(TWO, "c")])
        if still:
            keeper.save_due(t.clock.now)
    assert stages(t) == ["b", "c"]


def test_ctrl_c_while_facts_are_kept_loses_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the wait keeps them."""
    t = talk([], store=path)
    keeper, [one] = keeping(t, [ONE])
    genuine = SqliteStore.save

    def interrupted(self: SqliteStore, rows: Any) -> None:
        monkeypatch.setattr(SqliteStore, "save", genuine)
        raise KeyboardInterrupt

    monkeypatch.setattr(SqliteStore, "save", interrupted)
    with contextlib.suppress(KeyboardInterrupt), keeper.waiting([one]):
        keeper.lease(one, 0.0)
        keeper.tell(one, vidpoll.Polled(ONE, NOW, None))
        change(keeper, one, "b")
        pytest.fail("it was interrupted")
    assert (stages(t), kept(t, ONE).requests) == (["b"], 1)


def test_a_verdict_has_its_own_way_to_the_disk(path: Path, commits: list[Any]) -> None:
    """Facts with a verdict in them are not saved like others: nobody would know that it is to be told."""
    t = talk([], store=path)
    keeper, jobs = keeping(t, [ONE, TWO])
    with keeper.waiting(jobs):
        for each in jobs:
            keeper.lease(each, 0.0)
            change(keeper, each, "b")
        [event] = jobs[1].receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, "done", assets_due=False), NOW + 6)
        keeper.save_due(t.clock.now + EVERY)
        keeper.verdicts([(jobs[1], event)])
    assert commits == [("save", [ONE]), ("end", [TWO]), ("told", [TWO])]


def test_facts_that_could_not_be_kept_are_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the requests that were counted, once the store is no longer left alone."""
    t = talk([], store=path)
    keeper, [one] = keeping(t, [ONE])
    genuine = SqliteStore.save

    def broken(self: SqliteStore, rows: Any) -> None:
        raise vidpoll.StoreError("no room")

    with keeper.waiting([one]):
        keeper.lease(one, 0.0)
        keeper.tell(one, vidpoll.Polled(ONE, NOW, None))
        monkeypatch.setattr(SqliteStore, "save", broken)
        with pytest.warns(RuntimeWarning, match="no room"):
            change(keeper, one, "b")
        monkeypatch.setattr(SqliteStore, "save", genuine)
        assert keeper.save_due(t.clock.now + EVERY) == t.clock.now + TROUBLE
        assert stages(t) == [None]
        t.clock.now += TROUBLE
        assert keeper.save_due(t.clock.now) == float("inf")
        assert (stages(t), kept(t, ONE).requests) == (["b"], 1)
