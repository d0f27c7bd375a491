"""`Client.serve`: all jobs of whole accounts, each asked about by one process, whatever becomes of the others."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, FLOOR, KEY, REF, SAVING, brief, talk
from kept_jobs import NOW, dead, kept, saved, sql
from served_jobs import at, enter, store_of

import vidpoll
from vidpoll.serving import LOOK, MINUTE, TRY, Metrics, Served
from vidpoll.storage.heartbeat import Heartbeat
from vidpoll.storage.protocol import AGAIN, FORMAT, TTL
from vidpoll.storage.sqlite import SqliteStore

UNAVAILABLE = (503, {}, b"")


# -- what is served ---------------------------------------------------------------------------------------------------


def test_all_jobs_are_waited_for_and_those_that_come(path: Path) -> None:
    """Hooks are told as in a wait; a job that comes is asked about within a look."""
    t = talk({"/j1": [DRAWING, SAVING, DONE], "/j2": [BROKEN]}, store=path)
    store, heard = enter(t, REF), []
    at(t, 2.0, lambda: enter(t, "acme:j2"))
    assert t.client.serve(seconds=20.0, on_event=heard.append) == Served(told=2, shards=1)
    assert t.ears.told == ["stage drawing", "progress 10", "failed", "stage saving", "progress 90", "completed"]
    assert sorted(map(brief, heard)) == sorted(t.ears.told)
    assert [(each.requests, each.job.state) for each in store.jobs()] == [(3, "completed"), (1, "failed")]
    assert store.jobs()[1].told_at == pytest.approx(NOW + 2.0, abs=LOOK + 0.1)
    assert store.jobs(unfinished=True) == []


def test_it_ends_when_it_is_told_to(path: Path) -> None:
    """What is known is kept, nobody is told that a wait was stopped, and the shards are free."""
    t = talk([DRAWING], store=path)
    store, stop = enter(t, REF), threading.Event()
    at(t, 3.0, stop.set)
    assert t.client.serve(["acme"], stop=stop) == Served(told=0, shards=1)
    assert t.ears.told == ["stage drawing", "progress 10"]
    [left] = store.jobs()
    assert (left.job.stage, left.requests) == ("drawing", 1)
    assert len(store.take({"acme": 1}, 1)) == 1


@pytest.mark.parametrize("where", ["in a hook", "in another thread"])
def test_closing_the_client_ends_it(path: Path, where: str, caplog: pytest.LogCaptureFixture) -> None:
    """As `stop` does, in either case: what is known is kept, nothing is logged or raised, and the shards are free."""
    t = talk([DRAWING], store=path)
    enter(t, REF)
    other = threading.Thread(target=t.client.close)

    def close() -> None:
        if where == "in a hook":
            return t.client.close()
        other.start()
        assert t.client._ending.wait(10)
        return None

    at(t, 3.0, close)
    assert t.client.serve(["acme"]) == Served(told=0, shards=1)
    if where == "in another thread":
        other.join(10)
    assert (other.is_alive(), caplog.messages, t.client._closed) == (False, [], True)
    store = SqliteStore(path, lambda: NOW)
    [left] = store.jobs()
    assert (left.job.stage, len(store.take({"acme": 1}, 1))) == ("drawing", 1)
    store.close()
    with pytest.raises(vidpoll.UsageError, match="this client is closed"):
        t.client.serve()


def test_a_close_waits_for_a_serve_that_just_begins(path: Path) -> None:
    """Also for a second one: that the first has ended says nothing of it."""
    t = talk([DRAWING], store=path)
    enter(t, REF)
    closed: list[bool] = []
    other = threading.Thread(target=lambda: (t.client.close(), closed.append(t.client._closed)))

    class Gate(threading.Event):
        def clear(self) -> None:
            other.start()
            other.join(0.05)  # it cannot end yet
            super().clear()

    t.client.serve(["acme"], seconds=1.0)
    t.client._served = Gate()
    t.client._served.set()
    t.client.serve(["acme"])
    other.join(10)
    assert closed == [True]


def test_a_client_that_is_being_closed_serves_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would wait for that serve: its store would be closed beneath it."""
    t = talk([DRAWING], store=path)
    close, said = t.client._close, []

    def serve_and_close() -> None:
        with pytest.raises(vidpoll.UsageError, match="this client is closed"):
            t.client.serve()
        said.append("refused")
        close()

    monkeypatch.setattr(t.client, "_close", serve_and_close)
    t.client.close()
    assert said == ["refused"]


def test_it_returns_where_nothing_is_free(path: Path) -> None:
    """Another process serves; nothing is asked. Without any job there is no account either."""
    t = talk([DRAWING], store=path)
    assert t.client.serve() == Served(0, 0)
    enter(t, REF).take({"acme": 1}, 1)
    assert t.client.serve(["acme"]) == t.client.serve() == Served(0, 0)
    assert t.requests == []


def test_a_named_account_is_served_before_it_has_a_job(path: Path) -> None:
    """Whoever submits finds it served."""
    t = talk([DONE], store=path)
    at(t, 5.0, lambda: enter(t, REF))
    assert t.client.serve(["acme"], seconds=10.0) == Served(1, 1)


def test_no_more_is_taken_than_there_is_room_for(path: Path) -> None:
    """The other account is left to another process, until there is room."""
    accounts = {name: vidpoll.Account("acme", key=KEY) for name in ("a", "b")}
    t = talk([DRAWING], store=path, accounts=accounts)
    store = enter(t, "a:j1", "b:j1")
    taken: list[vidpoll.Shard] = []
    at(t, 3.0, lambda: taken.extend(store.take({"a": 1, "b": 1}, 9)))
    assert t.client.serve(["a", "b"], seconds=5.0, capacity=1) == Served(0, 1)
    assert [shard.account for shard in taken] == ["b"]


def test_an_account_that_cannot_be_asked_is_left_and_told_once(path: Path) -> None:
    """Its jobs wait for a process that can; a named one is an error at once."""
    t = talk([DONE], store=path)
    enter(t, REF, "nobody:j1")
    with pytest.warns(RuntimeWarning, match="nobody is not served: no provider 'nobody'") as said:
        assert t.client.serve(seconds=8.0) == Served(1, 1)
    assert len(said) == 1
    with pytest.raises(vidpoll.UnknownProvider):
        t.client.serve(["nobody"])


def test_a_job_of_another_address_is_left(path: Path) -> None:
    """The key goes where this client sends it, and a server that does not know the job would deny it."""
    t = talk([DONE], store=path)
    store = store_of(t)
    store.enter([(REF, vidpoll.Origin("acme", "acme", "https://else.example"), {})])
    with pytest.warns(
        RuntimeWarning, match="acme:j1 and others like it are not served: their base URL is https://else.example"
    ):
        assert t.client.serve(["acme"], seconds=5.0) == Served(0, 1)
    assert t.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"accounts": "acme"}, {"accounts": ["a b"]}, {"capacity": 0}, {"seconds": -1.0}, {"timeout": 0.0},
        {"stop": "now"},
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_once(path: Path, wrong: dict[str, Any]) -> None:
    """Before anything is taken."""
    with pytest.raises(vidpoll.UsageError):
        talk([], store=path).client.serve(**wrong)


def test_it_needs_a_store() -> None:
    """And parts that are a number."""
    with pytest.raises(vidpoll.UsageError, match=r"Client\(store=…\)"):
        talk([]).client.serve()
    with pytest.raises(vidpoll.UsageError, match="parts must be a whole number from 1 to 1024, got 0"):
        talk([], accounts={"acme": vidpoll.Account("acme", key=KEY, parts=0)})


def test_a_client_serves_once_at_a_time(path: Path) -> None:
    """Its shards are those of one run."""
    t = talk([DRAWING], store=path)
    enter(t, REF)
    refused = []

    def again() -> None:
        with pytest.raises(vidpoll.UsageError, match="already serving"):
            t.client.serve()
        refused.append(True)

    at(t, 1.0, again)
    t.client.serve(seconds=3.0)
    assert refused == [True]


def test_parts_of_an_account_are_served_by_several(path: Path) -> None:
    """Each job by one of them."""
    accounts = {"acme": vidpoll.Account("acme", key=KEY, parts=2)}
    t = talk([DONE], store=path, accounts=accounts)
    refs = [f"acme:j{number}" for number in range(8)]
    store = enter(t, *refs)
    [theirs] = store.take({"acme": 2}, 1)
    assert t.client.serve(seconds=1.5) == Served(sum(not theirs.has(ref) for ref in refs), 1)
    assert {job.ref for job in store.jobs(unfinished=True)} == {ref for ref in refs if theirs.has(ref)}


# -- other processes --------------------------------------------------------------------------------------------------


def test_a_wait_elsewhere_follows(path: Path) -> None:
    """It asks nothing, and hears the verdict."""
    t = talk([DRAWING, DONE], store=path)
    u = talk([BROKEN], store=path)
    enter(t, REF)
    ended: list[vidpoll.Job] = []
    at(t, 1.0, lambda: ended.extend(u.client.wait_all([REF], timeout=0)))
    t.client.serve(seconds=10.0)
    assert (u.requests, ended[0].stage, t.ears.told[-1]) == ([], "drawing", "completed")
    assert u.client.wait(REF).ok
    assert (u.requests, u.ears.told) == ([], ["WaitTimeout"])  # of the wait that looked once


def test_a_job_that_is_waited_for_elsewhere_is_followed(path: Path) -> None:
    """Until that process is gone."""
    t = talk([DONE], store=path)
    store = enter(t, REF)
    store.lease([REF], 600.0)
    at(t, 7.0, lambda: sql(path, "UPDATE jobs SET owner = ?", dead(store)))
    assert t.client.serve(seconds=20.0) == Served(1, 1)
    assert kept(t).told_at == pytest.approx(NOW + 7.0 + FLOOR, abs=3.0)


def test_what_a_process_leaves_that_is_killed_is_taken_over(path: Path) -> None:
    """Within a look, and asked about one floor later: it may just have asked."""
    t = talk([DONE], store=path)
    store = enter(t, REF)
    store.take({"acme": 1}, 1)
    for table in ("owners", "shards"):
        sql(path, f"UPDATE {table} SET owner = ?", dead(store))
    assert t.client.serve(["acme"], seconds=10.0) == Served(1, 1)
    assert kept(t).told_at == pytest.approx(NOW + FLOOR, abs=0.1)


def test_a_verdict_that_nobody_told_is_told_without_a_request(path: Path) -> None:
    """Its teller is gone; one that lives is left at it, and asked for again in a while."""
    t = talk([DRAWING], store=path)
    store = enter(t, REF, "acme:j2")
    store.end([saved(REF, done=True), saved("acme:j2", done=True)])
    sql(path, "UPDATE jobs SET teller = ? WHERE ref = ?", dead(store), REF)
    at(t, 5.0, lambda: sql(path, "UPDATE jobs SET teller = ?", dead(store)))
    assert t.client.serve(["acme"], seconds=5.0 + 2 * TRY) == Served(2, 1)
    assert (t.requests, t.ears.told) == ([], ["completed", "completed"])
    assert [each.told_at for each in store.jobs()] == [NOW, pytest.approx(NOW + 5.0, abs=TRY + LOOK)]


def test_a_verdict_that_was_not_kept_is_kept_and_told(path: Path) -> None:
    """The process that had it was killed before."""
    t = talk([DRAWING], store=path)
    store = enter(t, REF, facts=dict(saved(REF, done=True).facts))
    assert t.client.serve(["acme"], seconds=2.0) == Served(1, 1)
    assert (t.requests, t.ears.told, store.jobs(unfinished=True)) == ([], ["completed"], [])


def test_a_verdict_that_another_process_kept_ends_the_questions(path: Path) -> None:
    """A webhook brought it there; the hooks were told there."""
    t = talk([DRAWING], store=path)
    store = enter(t, REF)

    def end() -> None:
        store.end([saved(REF, done=True)])
        store.told([REF])

    at(t, 1.0, end)
    assert t.client.serve(["acme"], seconds=30.0) == Served(0, 1)
    assert (len(t.requests), t.ears.told) == (1, ["stage drawing", "progress 10"])


def test_one_who_slept_asks_nothing_that_is_anothers_by_now(path: Path) -> None:
    """It lets go of its jobs without a word."""
    t = talk([DRAWING], store=path)
    store = enter(t, REF)

    def sleep() -> None:
        t.clock.now += 3 * TTL
        assert len(store.take({"acme": 1}, 1)) == 1

    at(t, 1.0, sleep)
    assert t.client.serve(["acme"], seconds=100.0) == Served(0, 1)
    assert (len(t.requests), t.clock.now < NOW + 40.0) == (1, True)
    assert t.ears.told == ["stage drawing", "progress 10"]
    assert len(store.held()) == 1


def test_one_who_slept_goes_on_where_nobody_wanted_its_jobs(path: Path) -> None:
    """It asks the store first."""
    t = talk([DRAWING, DONE], store=path)
    enter(t, REF)
    at(t, 1.0, lambda: setattr(t.clock, "now", t.clock.now + 3 * TTL))
    assert t.client.serve(["acme"], seconds=100.0).told == 1


# -- trouble ----------------------------------------------------------------------------------------------------------


def test_a_job_that_spoils_its_parser_ends_no_shard(path: Path) -> None:
    """Nor one whose request cannot be made, nor a record that cannot be read."""

    def request(job_id: str) -> vidpoll.Request:
        if job_id == "j2":
            raise ValueError("no such request")
        return ACME.status.request(job_id)

    def parse(response: vidpoll.Response, job_id: str) -> Any:
        return 1 / 0 if job_id == "j3" else ACME.status.parse(response, job_id)

    provider = replace(ACME, status=vidpoll.Operation(request, parse))
    accounts = {"acme": vidpoll.Account("acme", key=KEY)}
    t = talk([DRAWING, DRAWING, DRAWING, DONE], store=path, provider=provider, accounts=accounts)
    enter(t, "acme:j2", "acme:j3", "acme:j4", REF)
    sql(path, "UPDATE jobs SET facts = 'not JSON' WHERE ref = 'acme:j4'")
    assert t.client.serve(seconds=60.0) == Served(1, 1)
    assert [word for word in t.ears.told if not word.startswith("fault")][-1:] == ["completed"]


def test_an_outage_gives_no_job_up(path: Path) -> None:
    """However long: a wait would."""
    t = talk([*[UNAVAILABLE] * 30, DONE], store=path)
    enter(t, REF)
    assert t.client.serve(["acme"], seconds=1800.0).told == 1
    assert t.clock.now > NOW + 600
    assert {word for word in t.ears.told if not word.startswith("fault")} == {"completed"}


def test_a_job_that_never_ends_is_given_up_once(path: Path) -> None:
    """At the time that is kept, whoever serves it; no later process asks again."""
    t = talk([DRAWING], store=path)
    enter(t, REF)
    t.client.serve(seconds=5.0, timeout=60.0)
    assert kept(t).facts["give_up_at"] == NOW + 60.0
    t.client.serve(["acme"], seconds=100.0, timeout=900.0)
    assert t.ears.told[-1] == "WaitTimeout"
    asked = len(t.requests)
    t.client.close()
    u = talk([DONE], store=path)
    u.clock.now = t.clock.now
    assert u.client.serve(["acme"], seconds=100.0) == Served(0, 1)
    assert (u.requests, asked > 5) == ([], True)
    assert u.client.wait(REF).ok


def test_a_job_that_is_not_there_is_given_up(path: Path) -> None:
    """The provider says so several times."""
    t = talk([DRAWING, (404, {"error": "no such job"})], store=path)
    enter(t, REF)
    t.client.serve(["acme"], seconds=600.0)
    assert t.ears.told[-1] == "JobNotFound"
    assert "gave_up_at" in kept(t).facts


def test_a_store_that_does_not_answer_holds_verdicts_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told when they are kept; what is in doubt is not asked about."""
    t = talk([DRAWING, DONE], store=path)
    enter(t, REF)

    def fail(*args: Any, **options: Any) -> Any:
        raise vidpoll.StoreError("the store is away")

    def away(goes: bool) -> None:
        for word in ("_transaction", "_asked"):
            monkeypatch.setattr(SqliteStore, word, fail) if goes else monkeypatch.undo()

    at(t, 2.0, lambda: away(True))
    at(t, 30.0, lambda: away(False))
    with pytest.warns(RuntimeWarning, match="the store is away"):
        assert t.client.serve(["acme"], seconds=60.0) == Served(1, 1)
    assert kept(t).told_at == pytest.approx(NOW + 30.0, abs=2 * LOOK)
    assert len(t.requests) == 2


def test_metrics_come_once_a_minute(path: Path) -> None:
    """Of this process, and of the store."""
    t = talk({"/j1": [DRAWING], "/j2": [DONE]}, store=path)
    enter(t, REF, "acme:j2")
    said: list[Metrics] = []
    t.client.serve(seconds=2 * MINUTE + 5.0, on_metrics=said.append)
    first, second, _ = said
    assert first == Metrics(1, 2, 0, 0, 0, 0.0, first.store)
    assert (second.shards, second.jobs, second.faults, second.told) == (1, 1, 0, 1)
    assert second.polls > 10
    assert second.late < 0.1
    assert (second.store.open, second.store.untold, second.store.unclaimed, second.store.owners) == (1, 0, (), 1)


# -- what a deadline ends ---------------------------------------------------------------------------------------------


def given_up(path: Path) -> None:
    """A job that was served, and given up at NOW + 60."""
    t = talk([DRAWING], store=path)
    enter(t, REF)
    t.client.serve(["acme"], seconds=100.0, timeout=60.0)
    assert t.ears.told[-1] == "WaitTimeout"
    t.client.close()


@pytest.mark.parametrize("how", ["wait", "watch", "as_completed", "wait_all"])
def test_a_kept_deadline_ends_no_wait(path: Path, how: str) -> None:
    """A wait has its own timeout, whatever those who serve have agreed on."""
    given_up(path)
    u = talk([DRAWING, DRAWING, DONE], store=path)
    u.clock.now = NOW + 1000.0
    call = getattr(u.client, how)
    list(call([REF] if how in ("as_completed", "wait_all") else REF) if how != "wait" else [call(REF)])
    assert (len(u.requests), u.ears.told[-1]) == (3, "completed")


def test_a_kept_deadline_ends_a_step(path: Path) -> None:
    """And the error says how long that was."""
    given_up(path)
    u = talk([DRAWING], store=path)
    u.clock.now = NOW + 1000.0
    job = vidpoll.Job(REF)
    assert u.client.step(job).next_in is None
    assert (job.give_up_at, type(job.error)) == (NOW + 60.0, vidpoll.WaitTimeout)


def test_a_deadline_of_its_own_goes_before_that_of_serve(path: Path) -> None:
    """It was kept with the job."""
    t = talk([DRAWING], store=path)
    enter(t, REF, facts={"give_up_at": NOW + 30.0})
    t.client.serve(["acme"], seconds=100.0, timeout=900.0)
    assert (t.ears.told[-1], kept(t).facts["give_up_at"]) == ("WaitTimeout", NOW + 30.0)
    assert kept(t).facts["gave_up_at"] == pytest.approx(NOW + 30.0, abs=2.0)


def test_a_job_that_was_given_up_while_the_clock_was_ahead_is_served_again(path: Path) -> None:
    """It was given up at a moment that has not come yet. Once its own deadline has passed, it is given up for good."""
    t = talk([DRAWING], store=path)
    enter(t, REF, facts={"give_up_at": NOW + 60.0})
    t.clock.now = NOW + 172_800.0
    t.client.serve(["acme"], seconds=10.0)
    assert t.ears.told[-1] == "WaitTimeout"
    t.client.close()
    u = talk([DRAWING, DRAWING, DONE], store=path)
    assert u.client.serve(["acme"], seconds=50.0) == Served(1, 1)
    assert (u.ears.told[-1], kept(u).job.ok) == ("completed", True)


# -- other versions, slow hooks, verdicts for later -------------------------------------------------------------------


def test_a_job_of_a_newer_vidpoll_is_left_alone(path: Path) -> None:
    """Nothing is asked about it, nothing of it is written; the others of its account are served."""
    t = talk([DONE], store=path)
    newer = {"v": FORMAT + 1, "phase": "dreaming"}
    store = enter(t, "acme:j2", facts=newer)
    store.enter([(REF, vidpoll.Origin("acme"), {})])
    assert t.client.serve(["acme"], seconds=30.0) == Served(1, 1)
    assert t.requests == ["GET /v1/jobs/j1"]
    left = store.get("acme:j2")
    assert left is not None
    assert (left.facts, left.requests, left.version, left.ended_at) == (newer, 0, 0, None)


def test_a_slow_hook_loses_no_shard(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the heartbeat goes on while a hook takes 2 TTL: nobody else gets the shard, and all are told."""
    taken: list[object] = []

    class Slow:
        @vidpoll.hookimpl
        def vidpoll_completed(self, job: vidpoll.Job) -> None:
            for _ in range(20):  # as its thread would do it, in the time of this test
                t.clock.now += TTL / 10
                if beats:
                    beats[0].beat()
            taken.extend(store.take({"acme": 1}, 1))

    beats: list[Any] = []
    run = Heartbeat._run
    monkeypatch.setattr(Heartbeat, "_run", lambda self: (beats.append(self), run(self)))
    t = talk({"/j1": [DONE], "/j2": [DRAWING, DONE]}, store=path, plugins=(Slow(),))
    store = enter(t, REF, "acme:j2")
    assert t.client.serve(["acme"], seconds=100.0) == Served(2, 1)
    assert taken == []


def test_a_verdict_for_later_is_told_again_by_whoever_serves(path: Path) -> None:
    """A minute later, and not tried before; once it was heard no more."""
    got: list[float] = []

    class Hands:
        @vidpoll.hookimpl
        def vidpoll_completed(self, job: vidpoll.Job) -> object:
            got.append(t.clock.now - NOW)
            return vidpoll.LATER

    t = talk([DONE], store=path, plugins=(Hands(),))
    store = enter(t, REF)
    at(t, 90.0, lambda: store.told([REF]))
    assert t.client.serve(["acme"], seconds=200.0).shards == 1
    assert got == [pytest.approx(0.0, abs=LOOK), pytest.approx(AGAIN, abs=2 * LOOK)]
