"""Edge cases of `Client.serve`: shards that are lost, in doubt or too large, and messages that are not repeated."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, DRAWING, HTML, KEY, REF, SLOW_DOWN, Talk, brief, talk
from kept_jobs import NOW, kept, saved
from served_jobs import at, enter

import vidpoll
from vidpoll.serving import LOOK, MINUTE, Served, Serving
from vidpoll.storage.heartbeat import Heartbeat
from vidpoll.storage.protocol import TTL
from vidpoll.storage.sqlite import SqliteStore

UNAVAILABLE = (503, {}, b"")


def test_a_job_that_is_skipped_or_has_ended_is_let_go_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a later wait of this client would believe that it holds the lease."""
    t = talk([DRAWING], store=path)
    enter(t, REF)
    enter(t, "acme:j2", facts=dict(saved("acme:j2", done=True).facts))
    usual = Serving._watch

    def spoilt(self: Serving, each: Any, *args: Any, **options: Any) -> Any:
        if each.ref == REF:
            raise ValueError("spoilt")
        return usual(self, each, *args, **options)

    monkeypatch.setattr(Serving, "_watch", spoilt)
    t.client.serve(["acme"], seconds=3 * LOOK)
    keeper = t.client._keeper
    assert (dict(keeper._waits), keeper._held, t.ears.told) == ({}, {}, ["completed"])


# -- what is let go of ------------------------------------------------------------------------------------------------


def two_accounts(path: Path, script: Any = (DRAWING,), **options: Any) -> tuple[Talk, SqliteStore]:
    """A client that knows the accounts a and b, and another process that has kept a job of each."""
    accounts = {name: vidpoll.Account("acme", key=KEY) for name in ("a", "b")}
    t = talk(list(script), store=path, accounts=accounts, **options)
    return t, enter(t, "a:j1", "b:j1")


def test_what_is_lost_is_not_followed_nor_written(path: Path) -> None:
    """Its new owner has it; the other account goes on."""
    t, store = two_accounts(path)

    def lose() -> None:
        t.client._keeper._changed["a:j1"] = next(job for _, job, _ in t.ears.heard if job.ref == "a:j1")
        t.clock.now += 3 * TTL
        assert len(store.take({"a": 1}, 1)) == 1
        store.save([saved("a:j1", "drawing", "drawn", "saving")])
        versions.append(kept(t, "a:j1").version)

    versions: list[int] = []
    at(t, 1.0, lose)
    events: list[vidpoll.Event] = []
    t.client.serve(["a", "b"], seconds=3.9 * TTL, on_event=events.append)
    late = [event.ref for event in events if event.at > NOW + 3 * TTL]
    heard = {*late, *(job.ref for _, job, event in t.ears.heard if event.at > NOW + 3 * TTL)}
    assert (heard, [kept(t, "a:j1").version], kept(t, "a:j1").job.stage) == ({"b:j1"}, versions, "saving")


def test_what_may_be_lost_is_not_written_at_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has slept, and ends before it has looked."""
    t, versions = talk([DRAWING], store=path), []
    store = enter(t, REF)

    def lose(self: Heartbeat, *error: object) -> None:
        t.client._keeper._changed[REF] = t.ears.heard[0][1]
        t.clock.now += 3 * TTL
        assert len(store.take({"acme": 1}, 1)) == 1
        versions.append(kept(t).version)

    monkeypatch.setattr(Heartbeat, "_run", lambda self: None)
    monkeypatch.setattr(Heartbeat, "__exit__", lose)
    t.client.serve(["acme"], seconds=2.0)
    assert ([kept(t).version], len(store.held())) == (versions, 1)


def test_what_is_lost_while_it_is_looked_is_not_asked_about(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat comes late, and between: the look is an old one."""
    t = talk([DRAWING], store=path)
    store, hearts, held = enter(t, REF), [], SqliteStore.held
    monkeypatch.setattr(Heartbeat, "_run", lambda heart: hearts.append(heart))  # noqa: PLW0108 - it has to be bound

    def sleeps(self: SqliteStore) -> Any:
        found = held(self)
        if self is not store and t.clock.now >= NOW + 2.0 and not store.held():
            t.clock.now += 3 * TTL
            assert len(store.take({"acme": 1}, 1)) == 1
            hearts[0].beat()
        return found

    monkeypatch.setattr(SqliteStore, "held", sleeps)
    monkeypatch.setattr(store, "held", lambda: held(store))
    t.client.serve(["acme"], seconds=100.0)
    assert len(t.requests) == 1


def test_a_wait_after_serving_asks_for_its_lease(path: Path) -> None:
    """What was served is anybody's by then."""
    t = talk([DRAWING], store=path)
    store = enter(t, REF)
    t.client.serve(seconds=3.0)
    assert store.lease([REF], 600.0).mine == {REF}
    t.client.wait_all([REF], timeout=20.0)
    assert len(t.requests) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, vidpoll.StoreError("gone for a moment")])
def test_what_a_broken_look_has_taken_is_let_go_of(path: Path, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    """Ctrl-C comes at any line; this client lives on, and serves nothing."""
    t, stop, news = talk([DRAWING], store=path), threading.Event(), SqliteStore.news
    store = enter(t, REF)

    def fail(*args: Any) -> Any:
        stop.set()
        monkeypatch.setattr(SqliteStore, "news", news)
        raise error

    monkeypatch.setattr(SqliteStore, "news", fail)
    with warnings.catch_warnings(), contextlib.suppress(KeyboardInterrupt):
        warnings.simplefilter("ignore")
        t.client.serve(stop=stop)
    assert len(store.take({"acme": 1}, 1)) == 1


def test_a_look_that_breaks_off_keeps_the_shards_that_it_has_loaded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is loaded alone; the next look goes on with the others."""
    t, _ = two_accounts(path, [DONE])
    news, asked = SqliteStore.news, []

    def fail_once(store: SqliteStore, shards: Any, mark: float) -> Any:
        asked.append(("".join(shard.account for shard in shards), mark > 0.0, len(t.requests)))
        if len(asked) == 2:
            raise vidpoll.StoreError("gone for a moment")
        return news(store, shards, mark)

    monkeypatch.setattr(SqliteStore, "news", fail_once)
    with pytest.warns(RuntimeWarning, match="gone for a moment"):
        assert t.client.serve(["a", "b"], seconds=1.5 * LOOK) == Served(2, 2)
    assert asked[:4] == [("a", False, 0), ("b", False, 0), ("a", True, 1), ("b", False, 1)]


@pytest.mark.parametrize("meanwhile", ["nothing", "another process takes it"])
def test_a_shard_that_was_loaded_in_part_is_not_served_until_it_is_loaded_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Its first jobs take no room from it, so it is not given away; and none is polled if it is lost before."""
    t = talk({"/j1": [DRAWING, DONE], "/j2": [DONE]}, store=path)
    store, lease, loaded = enter(t, REF, "acme:j2"), SqliteStore.lease, []

    def fail_once(self: SqliteStore, refs: Any, seconds: float) -> Any:
        loaded.append(list(refs))
        if len(loaded) == 2:
            if meanwhile != "nothing":
                at(t, 0.0, lose)
            raise vidpoll.StoreError("gone for a moment")
        return lease(self, refs, seconds)

    def lose() -> None:
        t.clock.now += 3 * TTL
        assert len(store.take({"acme": 1}, 1)) == 1

    monkeypatch.setattr("vidpoll.serving.SOME", 1)
    monkeypatch.setattr(SqliteStore, "lease", fail_once)
    with pytest.warns(RuntimeWarning, match="gone for a moment"):
        served = t.client.serve(["acme"], seconds=4 * TTL, capacity=1)
    polled = ["GET /v1/jobs/j1", "GET /v1/jobs/j1", "GET /v1/jobs/j2"]
    assert (served, sorted(t.requests)) == ((Served(2, 1), polled) if meanwhile == "nothing" else (Served(0, 0), []))
    assert loaded[:2] == [[REF], ["acme:j2"]]


def test_a_store_that_is_moved_while_its_shards_are_loaded_is_loaded_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was loaded is of a shard that is not ours there: its job is asked about once it is taken again."""
    t, store = two_accounts(path, [DONE])
    store.give(store.take({"a": 1}, 1))
    news, loaded = SqliteStore.news, []

    def move_once(store: SqliteStore, shards: Any, mark: float) -> Any:
        loaded.extend(f"{shard.account}{shard.fence}" for shard in shards)
        if len(loaded) == 2:
            path.rename(path.with_name("away"))
        return news(store, shards, mark)

    monkeypatch.setattr(SqliteStore, "news", move_once)
    with pytest.warns(RuntimeWarning, match="was moved away"):
        assert t.client.serve(["a", "b"], seconds=2.5 * LOOK) == Served(1, 2)
    assert loaded[:5] == ["a2", "b1", "b1", "b1", "a1"]
    assert kept(t, "a:j1").told_at == pytest.approx(NOW + LOOK, abs=0.2)


def test_verdicts_that_wait_are_kept_at_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store answers again by then."""
    t, stop = talk([DRAWING, DONE], store=path), threading.Event()
    enter(t, REF)

    def back() -> None:
        monkeypatch.undo()
        stop.set()

    at(t, 2.0, lambda: away(monkeypatch))
    at(t, 9.0, back)
    with pytest.warns(RuntimeWarning, match="the store is away"):
        assert t.client.serve(["acme"], stop=stop).told == 1
    assert kept(t).told_at == pytest.approx(NOW + 9.0, abs=2 * LOOK)


def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store does not answer, until that is undone."""

    def fail(*args: Any, **options: Any) -> Any:
        raise vidpoll.StoreError("the store is away")

    for word in ("_transaction", "_asked"):
        monkeypatch.setattr(SqliteStore, word, fail)


# -- what is not asked ------------------------------------------------------------------------------------------------


def test_who_waits_for_its_turn_asks_nothing_in_doubt(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its account was told to slow down; meanwhile the store goes away, and its shard may."""
    t = talk({"/j1": [DRAWING, SLOW_DOWN, DRAWING], "/j2": [DRAWING]}, store=path)
    enter(t, REF, "acme:j2")
    at(t, 6.0, lambda: away(monkeypatch))
    asked: list[int] = []
    at(t, 6.0 + TTL, lambda: asked.append(len(t.requests)))
    with pytest.warns(RuntimeWarning, match="the store is away"):
        t.client.serve(["acme"], seconds=49.0)
    assert asked == [len(t.requests)]


def test_a_list_is_not_walked_in_doubt(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page asks for no single job."""
    provider = replace(ACME, list_polling=vidpoll.ListPollingSpec(rows=20))
    ids = [f"j{number}" for number in range(20)]
    rows = [{"id": each, "status": "drawing"} for each in ids]
    accounts = {"acme": vidpoll.Account("acme", key=KEY)}
    script = {"/jobs/": [DRAWING], "/jobs": [{"rows": rows}]}
    t = talk(script, store=path, provider=provider, accounts=accounts)
    enter(t, *(f"acme:{each}" for each in ids))
    asked: list[int] = []
    at(t, 20.0, lambda: asked.append(len(t.requests)))
    at(t, 20.0, lambda: away(monkeypatch))
    at(t, 20.0 + TTL, lambda: asked.append(len(t.requests)))
    with pytest.warns(RuntimeWarning, match="the store is away"):
        t.client.serve(["acme"], seconds=60.0)
    assert 0 < asked[0] < asked[1] == t.requests.count("GET /v1/jobs") == len(t.requests)


@pytest.mark.parametrize("answer", [HTML, UNAVAILABLE, (403, {"error": "not yours"})])
def test_nothing_but_its_deadline_gives_a_job_up(path: Path, answer: Any) -> None:
    """Whatever is said of this one job; it was seen, and others of its account are well."""
    t = talk({"/j1": [DRAWING, *[answer] * 400], "/j2": [DRAWING]}, store=path)
    enter(t, REF, "acme:j2")
    t.client.serve(["acme"], seconds=1500.0)
    assert [brief(event) for hook, _, event in t.ears.heard if hook == "gave_up"] == []


def test_a_job_whose_id_is_given_again_is_served(path: Path) -> None:
    """Some servers count anew: the former job of that name has ended here."""
    t = talk([DONE], store=path)
    store = enter(t, REF)

    def again() -> None:
        store.drop(REF)
        enter(t, REF)

    at(t, 10.0, again)
    assert t.client.serve(["acme"], seconds=20.0) == Served(2, 1)


# -- room -------------------------------------------------------------------------------------------------------------


def test_a_shard_that_nobody_wanted_is_taken_after_all(path: Path) -> None:
    """There is little room for it; another process had a minute, and an account without jobs fills none."""
    t, store = two_accounts(path)
    store.enter([(f"b:{number}", vidpoll.Origin("b"), {}) for number in range(9)])
    fences: list[int] = []
    at(t, MINUTE - 2.0, lambda: fences.extend(s.fence for s in store.take({"b": 1}, 1)))
    at(t, MINUTE - 1.9, lambda: store.give(store.held()))
    t.client.serve(["a", "b"], seconds=MINUTE - 3.0, capacity=5)
    assert {job.account for _, job, _ in t.ears.heard} == {"a"}
    t.client.serve(["a", "b"], seconds=2 * MINUTE, capacity=5)
    assert {job.account for _, job, _ in t.ears.heard} == {"a", "b"}


def test_an_account_without_jobs_takes_no_room(path: Path) -> None:
    """The large one beside it is served at once."""
    accounts = {name: vidpoll.Account("acme", key=KEY) for name in ("a", "b")}
    t = talk([DRAWING], store=path, accounts=accounts)
    enter(t, "b:j1", "b:j2", "b:j3")
    assert t.client.serve(["a", "b"], seconds=3.0, capacity=2) == Served(0, 2)
    assert len(t.requests) == 3


def test_who_has_all_takes_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking is a transaction that writes."""
    t = talk([DRAWING], store=path)
    enter(t, REF)
    calls, take = [], SqliteStore.take
    monkeypatch.setattr(SqliteStore, "take", lambda self, *given: (calls.append(given), take(self, *given))[1])
    t.client.serve(seconds=30.0)
    assert len(calls) == 1


# -- what is said -----------------------------------------------------------------------------------------------------


def test_what_is_not_served_is_said_once_a_client(path: Path) -> None:
    """`vidpoll serve` serves again each second where nothing is free."""
    t = talk([DONE], store=path)
    enter(t, "nobody:j1")
    with pytest.warns(RuntimeWarning, match="nobody is not served") as said:
        served = [t.client.serve() for _ in range(3)]
    assert (served, len(said)) == ([Served(0, 0)] * 3, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_may_serve_beside(path: Path) -> None:
    """It is another owner; it finds nothing free."""
    t = talk([DRAWING], store=path)
    enter(t, REF)
    codes: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException):
                code = 0 if t.client.serve() == Served(0, 0) else 2
            os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    at(t, 1.0, fork)
    t.client.serve(seconds=3.0)
    assert codes == [0]
