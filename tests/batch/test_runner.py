"""Rows are bought once, as slots, budget and clock allow, and each failure has its own way on. Nothing sleeps."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from acme_provider import FLOOR
from batch_runs import SHOP, Night, Server, found_by, lost, night, read_status, shop

import vidpoll
from vidpoll.batch.retries import PAUSE
from vidpoll.faults import NoAnswer
from vidpoll.testing import FakeClock

HALF = {"shop/clip": "0.5USD"}


def server(**options: Any) -> Server:
    return Server(FakeClock(), **options)


def states(batch: Any) -> dict[str, str]:
    """Each row's state once the batch has run; those that wait say why."""
    for _ in batch:
        pass
    return {key: f"{each.state}{f': {each.why}' if each.why else ''}" for key, each in batch.rows.items()}


def test_rows_are_bought_once_and_their_files_fetched(tmp_path: Path) -> None:
    """As many at once as the account takes; one refusal teaches how many that is. Run again, nothing is bought."""
    n = night(tmp_path, server=server(slots=3))
    batch = n.batch(5, price=HALF, budget="10 USD")
    ended = list(batch)
    assert sorted(each.key for each in ended) == ["r1", "r2", "r3", "r4", "r5"]
    assert {each.state for each in ended} == {"completed"}
    assert (batch.exit_code, n.server.bought, n.server.refused, n.server.most) == (
        0,
        ["p1", "p2", "p3", "p4", "p5"],
        1,
        3,
    )
    assert sorted(path.name for path in (tmp_path / "clips").glob("*.mp4")) == [f"r{k}.mp4" for k in range(1, 6)]
    assert batch.ledger["USD"] == (2.5, 0.0, 0.0)
    again = night(tmp_path, server=n.server).batch(5)
    assert list(again) == []
    assert (again.exit_code, again.status().done, len(n.server.bought)) == (0, 5, 5)
    assert [row.paths for row in again.rows.values()] == [(tmp_path / "clips" / f"r{k}.mp4",) for k in range(1, 6)]


def test_a_row_goes_with_its_job_and_the_hooks_hear_of_it(tmp_path: Path) -> None:
    n = night(tmp_path)
    (row,) = n.batch(1)
    assert (row.job.ref, row.job.ok, row.attempts, row.cost) == ("shop:n1", True, 1, None)
    assert Counter(n.ears.hooks)["completed"] == Counter(n.ears.hooks)["downloaded"] == 1


# -- money ------------------------------------------------------------------------------------------------------------


def test_the_budget_is_never_exceeded_and_the_rest_waits(tmp_path: Path) -> None:
    """What was reserved counts; once it is raised, the same line goes on."""
    n = night(tmp_path, server=server(slots=2))
    batch = n.batch(5, price=HALF, budget="1.5 USD")
    assert Counter(states(batch).values()) == {"completed": 3, "waiting: budget": 2}
    assert (batch.exit_code, batch.stopped[0].reason, str(batch.status())) == (
        4,
        "budget",
        "3 of 5 done, 1.5 of 1.5 USD",
    )
    more = night(tmp_path, server=n.server).batch(5, price=HALF, budget="2 USD")
    assert Counter(states(more).values()) == {"completed": 4, "waiting: budget": 1}
    assert len(n.server.bought) == 4


def test_what_a_job_really_cost_makes_room(tmp_path: Path) -> None:
    """The reservation is the upper price; a job that failed free of charge gives it back."""
    n = night(tmp_path, server=server(slots=1, fail=lambda prompt, time: {"error": "bad"} if prompt == "p1" else None))
    batch = n.batch(3, price=HALF, budget="1 USD")
    assert Counter(states(batch).values()) == {"failed": 1, "completed": 1, "waiting: budget": 1}
    free = server(slots=1, fail=lambda prompt, time: {"error": "bad", "paid": False} if prompt == "p1" else None)
    (tmp_path / "b").mkdir()
    assert Counter(states(night(tmp_path / "b", server=free).batch(3, price=HALF, budget="1 USD")).values()) == {
        "failed": 1,
        "completed": 2,
    }


def test_money_counts_in_whatever_spelling_its_unit_comes(tmp_path: Path) -> None:
    """A price in usd was paid out of a budget in USD, in this run and before it, and so was a cost."""

    def price(row: object) -> vidpoll.Price:
        return vidpoll.Price(0.5, 0.5, "usd", "given")

    def read(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        found = read_status(response, job_id)
        return replace(found, cost=vidpoll.Cost(0.75, unit="usd")) if found.state.final else found

    dear = shop("shop", status=replace(SHOP.status, parse=read))
    first = night(tmp_path, dear)
    assert set(states(first.batch(2, price=price)).values()) == {"completed"}
    batch = night(tmp_path, dear, server=first.server).batch(4, price=price, budget="2 USD")
    assert Counter(states(batch).values()) == {"completed": 3, "waiting: budget": 1}
    assert batch.ledger == {"USD": (2.25, 0.0, 0.0)}


@pytest.mark.parametrize("said", ["0.5 USD", vidpoll.Price(0.5, 0.5, "usd", "given")])
def test_a_function_gives_a_price_as_a_text_or_a_price(tmp_path: Path, said: object) -> None:
    """None lets the other sources price the row: no source knows this one."""
    plan = night(tmp_path).batch(3, price=lambda row: None if row.key == "r2" else said).plan
    assert [(each.rows, each.low, each.unit) for each in plan.shares] == [(1, 0, ""), (2, 1.0, "USD")]


def test_a_function_that_gives_no_price_is_refused(tmp_path: Path) -> None:
    with pytest.raises(vidpoll.UsageError) as caught:
        night(tmp_path).batch(1, price=lambda row: 0.5)
    assert caught.value.message == (
        "price of row 'r1' must be an amount with its unit, like '0.35USD', a vidpoll.Price, "
        "or None (ask the other sources), got 0.5"
    )


def test_a_row_that_was_begun_without_a_price_is_not_retried_out_of_a_budget(tmp_path: Path) -> None:
    """The next run asks for its price, and the budget allows it or not."""
    stop = threading.Event()
    first = night(tmp_path, server=server(fail=lambda prompt, time: {"error": "down"} if time == 1 else None))
    assert states(first.batch(1, stop=stop, on_event=lambda event: stop.set())) == {"r1": "running"}
    first.client.close()
    given = {"price": HALF, "budget": "0.4 USD"}
    for why in ("no price", "budget"):
        batch = night(tmp_path, server=first.server).batch(1, **given)
        assert states(batch) == {"r1": f"waiting: {why}"}
    assert (batch.exit_code, first.server.bought) == (4, ["p1"])


@pytest.mark.parametrize("terms", [{"limit": 1}, {"budget": "0.5 USD", "price": HALF}])
def test_what_a_refused_row_has_held_is_for_the_next_one(tmp_path: Path, terms: dict[str, Any]) -> None:
    """Both were sent at once, and the second found no room beside the first."""
    n = night(tmp_path, server=server(refuse=lambda prompt, time: (400, "bad") if prompt == "p1" else None))
    assert states(n.batch(2, **terms)) == {"r1": "failed", "r2": "completed"}


def test_without_a_price_a_budget_is_refused(tmp_path: Path) -> None:
    """Never zero: nothing is sent."""
    n = night(tmp_path)
    batch = n.batch(2, budget="1 USD")
    with pytest.raises(vidpoll.BatchInvalid, match="no price is known"):
        list(batch)
    assert n.server.sent == []


@pytest.mark.parametrize(("place", "source"), [("gateway", None), ("shop", "documented")])
def test_a_vendors_page_is_no_price_of_a_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, source: str | None
) -> None:
    """Nor where the gateway's own quota, which might tell, cannot be asked: a budget is not kept by a guess."""

    def quota() -> vidpoll.Request:
        return vidpoll.Request("GET", "/quota")

    def unreachable(wire: object) -> vidpoll.Response:
        raise NoAnswer("nobody there", sent=False)

    page = vidpoll.PriceList("USD", "2026-11", "https://shop.example/prices", lambda fields: 0.01)
    clip = replace(SHOP.submit["clip"], price=page)
    monkeypatch.setenv("SHOP_BASE_URL", f"https://{place}.example")
    asked = vidpoll.Operation(quota, lambda response: vidpoll.Quota())
    n = night(tmp_path, shop("shop", submit={"clip": clip}, quota=asked))
    n.server._answer = unreachable  # type: ignore[method-assign]
    plan = n.batch(1, budget="1 USD").plan
    assert [share.sources for share in plan.shares] == [(source,) if source else ()]
    assert len(plan.problems) == (source is None)


def test_a_limit_counts_jobs(tmp_path: Path) -> None:
    n = night(tmp_path)
    batch = n.batch(4, limit=1)
    assert Counter(states(batch).values()) == {"completed": 1, "waiting: limit": 3}
    assert batch.exit_code == 4


# -- slots ------------------------------------------------------------------------------------------------------------


def test_a_full_lane_holds_no_other(tmp_path: Path) -> None:
    """Two accounts of one server, of which one has one slot for its own five rows."""
    one, two = shop("one", slots=vidpoll.Slots(limit=1)), shop("two", slots=vidpoll.Slots(limit=4))
    n = night(tmp_path, one, two)
    rows = [{"key": f"{name}{k}", "prompt": f"{name}{k}", "account": name} for name in ("one", "two") for k in range(4)]
    ended = [row.key for row in n.batch(rows, account=None)]
    assert set(ended[:5]) == {"one0", "two0", "two1", "two2", "two3"}
    assert (len(ended), n.server.most) == (8, 5)


def test_given_slots_are_kept_to(tmp_path: Path) -> None:
    n = night(tmp_path)
    assert set(states(n.batch(5, slots={"shop": 2})).values()) == {"completed"}
    assert n.server.most == 2


def test_the_jobs_at_once_of_the_quota_are_kept_to(tmp_path: Path) -> None:
    """The plan says how many that is, and the batch sends no more; a number that is declared does not count then."""
    told = vidpoll.Quota(concurrency=2)
    asked = vidpoll.Operation(lambda: vidpoll.Request("GET", "/quota"), lambda response, job_id: told)
    n = night(tmp_path, shop("shop", quota=asked, slots=vidpoll.Slots(limit=4)))
    batch = n.batch(5)
    assert batch.plan.lanes["shop"].slots == 2
    assert set(states(batch).values()) == {"completed"}
    assert (n.server.most, n.server.refused) == (2, 0)


def test_models_have_slots_of_their_own(tmp_path: Path) -> None:
    """Where the provider counts by model; a row that names none is one of its kind."""
    slots = vidpoll.Slots("queues", limit=1, by="model")
    n = night(tmp_path, shop("shop", slots=slots, submit={"clip": SHOP.submit["clip"], "long": SHOP.submit["clip"]}))
    rows = [{"key": f"{kind}{k}", "prompt": "p", "kind": kind} for kind in ("clip", "long") for k in range(3)]
    assert set(states(n.batch(rows)).values()) == {"completed"}
    assert n.server.most == 2


def test_jobs_that_never_end_stop_the_account_whose_slots_they_hold(tmp_path: Path) -> None:
    """The provider has deleted them: nobody will ever free their slots, and the batch does not wait for it."""
    n = night(tmp_path)
    refs = [n.client.submit("shop", "clip", prompt="x").ref for _ in range(2)]
    n.server._status = lambda number, base: n.server._refusal(404, "none")  # type: ignore[method-assign]
    batch = n.batch(2, slots={"shop": 2})
    assert set(states(batch).values()) == {"waiting: unknown"}
    assert (batch.exit_code, len(n.server.bought)) == (4, 2)
    way = f"forget those that have ended (`vidpoll jobs --local --forget {refs[0]}`)"
    assert batch.stopped[0].said == f"2 jobs of unknown outcome hold slots of shop: {way}"
    del n.server._status
    n.client.store.drop(refs[0])
    assert set(states(night(tmp_path, server=n.server).batch(2, slots={"shop": 2})).values()) == {"completed"}


def test_jobs_of_others_in_the_store_take_slots(tmp_path: Path) -> None:
    """Until the provider ends them: the batch asks, where nobody else does."""
    n = night(tmp_path, server=server(seconds=600.0))
    job = n.client.submit("shop", "clip", prompt="mine")
    assert states(n.batch(2, slots=1)) == {"r1": "completed", "r2": "completed"}
    assert (n.server.bought, n.server.most) == (["mine", "p1", "p2"], 1)
    assert n.client.store.get(job).job.ok


# -- refusals and failures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "word", "expected", "sent"),
    [
        (429, "slow", {"completed": 2}, 3),
        (429, "full", {"completed": 2}, 3),
        (429, "broke", {"waiting: money": 1, "completed": 1}, 2),
        (401, "key", {"waiting: auth": 1, "completed": 1}, 2),
        (429, "day", {"waiting: quota": 1, "completed": 1}, 2),
        (400, "bad", {"failed": 1, "completed": 1}, 2),
        (400, "blocked", {"failed": 1, "completed": 1}, 2),
        (400, "down", {"unknown": 1, "completed": 1}, 2),  # it may have been received
    ],
)
def test_what_follows_from_a_refusal(
    tmp_path: Path, status: int, word: str, expected: dict[str, int], sent: int
) -> None:
    """The second of two rows is refused once: it waits, is tried again, or never again; the first is not touched."""
    said = lambda prompt, time: (status, word) if prompt == "p2" and time == 1 else None  # noqa: E731
    n = night(tmp_path, server=server(refuse=said))
    assert Counter(states(n.batch(2)).values()) == expected
    assert len(n.server.sent) == sent
    n.server.refuse = lambda prompt, time: None
    states(night(tmp_path, server=n.server).batch(2))  # only what waited is sent
    assert len(n.server.sent) == sent + sum(key.startswith("waiting") for key in expected)


@pytest.mark.parametrize(
    ("body", "options", "expected", "bought"),
    [
        ({"error": "down"}, {}, "completed", 2),
        ({"error": "down"}, {"retries": 0}, "failed", 1),
        ({"error": "down", "paid": True}, {}, "failed", 1),
        ({"error": "down", "paid": True}, {"retries_paid": 1}, "completed", 2),
        ({"error": "full"}, {"retries": 0}, "completed", 2),
        ({"error": "bad"}, {}, "failed", 1),
        ({"error": "blocked"}, {}, "failed", 1),
        ({"error": "hidden", "paid": False}, {}, "completed", 2),
        ({"error": "hidden", "paid": True}, {}, "failed", 1),
        ({"error": "hidden", "paid": True}, {"retries_paid": 1}, "completed", 2),
        ({"error": "nobody knows"}, {}, "failed", 1),
        ({"error": "nobody knows", "paid": False}, {}, "completed", 2),
    ],
)
def test_what_follows_from_a_failed_job(
    tmp_path: Path, body: dict[str, Any], options: dict[str, Any], expected: str, bought: int
) -> None:
    """The first job of the row fails: it is bought again where its class allows that, and who pays."""
    n = night(tmp_path, server=server(fail=lambda prompt, time: body if time == 1 else None))
    batch = n.batch(1, **options)
    assert states(batch) == {"r1": expected}
    assert (len(n.server.bought), batch.exit_code) == (bought, 0 if expected == "completed" else 1)


def test_retries_are_bounded(tmp_path: Path) -> None:
    """Also where the provider breaks every job, and over runs."""
    n = night(tmp_path, server=server(fail=lambda prompt, time: {"error": "full"}))
    assert states(n.batch(1)) == {"r1": "failed"}
    assert len(n.server.bought) == 6
    assert states(night(tmp_path, server=n.server).batch(1)) == {"r1": "failed"}
    assert len(n.server.bought) == 6
    n.server.fail = lambda prompt, time: None
    assert states(night(tmp_path, server=n.server).batch(1, retry_failed=True)) == {"r1": "completed"}


def test_the_first_rows_refused_alike_stop_the_account(tmp_path: Path) -> None:
    """A mistake in all rows costs three refusals, and is said once."""
    heard: list[str] = []

    class Ear:
        name = "ear"

        @vidpoll.hookimpl
        def vidpoll_batch_stopped(self, text: str) -> None:
            heard.append(text)

    n = night(tmp_path, server=server(refuse=lambda prompt, time: (400, "bad")), plugins=[Ear()])
    batch = n.batch(10)
    batch.go_on = "vidpoll batch night.csv"
    assert Counter(states(batch).values()) == {"failed": 3, "waiting: refused alike": 7}
    assert heard == ["stopped: refused alike at shop; 0 of 10 done; continue with: vidpoll batch night.csv"]
    assert len(n.server.sent) == 3


# -- unknown ----------------------------------------------------------------------------------------------------------


def test_an_unknown_submit_is_never_sent_again(tmp_path: Path) -> None:
    """It keeps its slot and its reservation, in later runs too, until a human says what it was."""
    n = night(tmp_path, server=server(refuse=lambda prompt, time: lost() if prompt == "p2" else None))
    batch = n.batch(3, price=HALF, budget="1.5 USD")
    assert states(batch) == {"r1": "completed", "r2": "unknown", "r3": "completed"}
    assert (batch.exit_code, batch.ledger["USD"]) == (3, (1.0, 0.0, 0.5))
    again = night(tmp_path, server=n.server)
    batch = again.batch(3, price=HALF, budget="1.5 USD")
    assert states(batch) == {"r1": "completed", "r2": "unknown", "r3": "completed"}
    assert batch.rows["r2"].problem.startswith("its submit may have been received (the line is dead). Its key 'batch:")
    assert n.server.sent == ["p1", "p2", "p3"]
    (unknown,) = again.client.store.unknown_submits()
    again.client.store.adopt("shop:n2", unknown)
    assert states(again.batch(3)) == {"r1": "completed", "r2": "completed", "r3": "completed"}
    assert n.server.sent == ["p1", "p2", "p3"]


def test_a_lost_job_is_found_by_the_id_that_was_sent_with_it(tmp_path: Path) -> None:
    """Where the provider takes one: in the same run, or by the next one; an equal prompt proves nothing."""
    clip = replace(SHOP.submit["clip"], key="image", find=replace(SHOP.submit["clip"], request=found_by))
    finding = shop("shop", submit={"clip": clip})
    for number, finds in enumerate((True, False)):
        n = night(tmp_path / str(number), finding, server=server(refuse=lambda prompt, time: lost()))
        n.server.finds = finds
        assert states(n.batch(1)) == {"r1": "completed" if finds else "unknown"}
        n.server.finds = True
        again = night(tmp_path / str(number), finding, server=n.server).batch(1)
        assert states(again) == {"r1": "completed"}
        assert (n.server.sent, again.rows["r1"].job.ref) == (["p1"], "shop:n1")


def test_an_outage_costs_three_questions(tmp_path: Path) -> None:
    """One unknown pauses the account, three in a row stop it."""
    n = night(tmp_path, server=server(refuse=lambda prompt, time: lost()))
    batch = n.batch(20, slots=1)
    assert Counter(states(batch).values()) == {"unknown": 1, "waiting: slots": 19}
    n = night(tmp_path / "b", server=server(refuse=lambda prompt, time: lost()))
    batch = n.batch(20)
    assert Counter(states(batch).values()) == {"unknown": 3, "waiting: unknown": 17}
    assert len(n.server.sent) == 3
    assert batch.exit_code == 3


def test_a_single_lost_answer_pauses_the_account(tmp_path: Path) -> None:
    n = night(tmp_path, server=server(refuse=lambda prompt, time: lost() if prompt == "p1" else None, seconds=1.0))
    n.batch(4, slots=2)
    begun = n.clock.now
    assert Counter(states(n.batch(4, slots=2)).values()) == {"unknown": 1, "completed": 3}
    assert n.clock.now - begun >= PAUSE


def test_a_paused_account_says_until_when(tmp_path: Path) -> None:
    """A Unix second while it sends nothing, and None before and after."""
    n = night(tmp_path, server=server(refuse=lambda prompt, time: lost() if prompt == "p1" else None, seconds=1.0))
    batch = n.batch(3, slots=2)
    told = [batch.status().accounts[0].paused_until]
    for row in batch:
        told.append(batch.status().accounts[0].paused_until)
        if row.state == "unknown":
            paused = n.clock.now
    assert told == [None, paused + PAUSE, None, None]


# -- over runs --------------------------------------------------------------------------------------------------------


def test_what_runs_is_taken_up_by_the_next_run(tmp_path: Path) -> None:
    """Leaving the iteration leaves the jobs running; nothing is bought again."""
    n = night(tmp_path, server=server(seconds=60.0))
    rows = iter(n.batch([{"key": "a", "prompt": "a"}, {"key": "b", "prompt": "b"}], slots=2))
    next(rows)
    n.server.seconds = 500.0
    rows.close()
    n.client.close()
    again = night(tmp_path, server=n.server)
    assert states(again.batch([{"key": "b", "prompt": "b"}, {"key": "a", "prompt": "a"}])) == {
        "b": "completed",
        "a": "completed",
    }
    assert sorted(n.server.bought) == ["a", "b"]


def test_stop_sends_nothing_more_and_the_jobs_run_on(tmp_path: Path) -> None:
    stop = threading.Event()
    n = night(tmp_path, server=server(slots=2))
    batch = n.batch(5, slots=2, stop=stop)
    for _ in batch:
        stop.set()
    assert batch.exit_code == 130
    assert len(n.server.bought) <= 4
    assert states(night(tmp_path, server=n.server).batch(5)) == {f"r{k}": "completed" for k in range(1, 6)}
    assert sorted(n.server.bought) == ["p1", "p2", "p3", "p4", "p5"]


def test_until_ends_submits_and_not_waits(tmp_path: Path) -> None:
    n = night(tmp_path, server=server(slots=2, seconds=60.0))
    until = n.clock.now + 90.0
    batch = n.batch(6, slots=2, until=datetime.fromtimestamp(until, timezone.utc))
    assert Counter(states(batch).values()) == {"completed": 4, "waiting: until": 2}
    assert (batch.exit_code, n.clock.now > until) == (4, True)


def test_a_changed_row_is_kept_or_bought_anew(tmp_path: Path) -> None:
    n = night(tmp_path)
    assert states(n.batch([{"key": "a", "prompt": "old"}])) == {"a": "completed"}
    new = [{"key": "a", "prompt": "new"}]
    with pytest.raises(vidpoll.BatchInvalid, match="changed: prompt"):
        list(n.batch(new))
    assert states(n.batch(new, changed="keep")) == {"a": "completed"}
    assert n.server.bought == ["old"]
    assert states(n.batch(new, changed="again")) == {"a": "completed"}
    assert n.server.bought == ["old", "new"]
    assert states(n.batch(new)) == {"a": "completed"}


@pytest.mark.parametrize("fails", [False, True])
def test_a_row_that_is_changed_while_its_job_runs_stays_what_was_bought(tmp_path: Path, fails: bool) -> None:
    """Its job is asked about at its own account, and its sidecar tells what was sent; the next run buys what it is."""
    stop, own = threading.Event(), {"account": None, "changed": "keep"}
    broken = server(fail=lambda prompt, time: {"error": "down"} if fails and prompt == "one" else None)
    first = night(tmp_path, shop("one"), shop("two"), server=broken)
    old, new = ([{"key": "a", "prompt": name, "account": name}] for name in ("one", "two"))
    assert states(first.batch(old, account=None, stop=stop, on_event=lambda event: stop.set())) == {"a": "running"}
    first.client.close()
    asked: list[str] = []
    send = broken._answer
    broken._answer = lambda wire: asked.append(wire.url) or send(wire)  # type: ignore[method-assign, func-returns-value]
    batch = night(tmp_path, shop("one"), shop("two"), server=broken).batch(new, **own)
    assert states(batch) == {"a": "waiting: changed" if fails else "completed"}
    assert {url.partition(".example")[0] for url in asked} == {"https://one"}
    if fails:
        again = night(tmp_path, shop("one"), shop("two"), server=broken).batch(new, **own)
        assert (states(again), broken.bought) == ({"a": "completed"}, ["one", "two"])
    else:
        told = json.loads((tmp_path / "clips" / "a.mp4.json").read_text())
        assert (told["ref"], told["account"], told["fields"]) == ("one:n1", "one", {"prompt": "one"})


def test_only_some_rows_run(tmp_path: Path) -> None:
    n = night(tmp_path)
    assert states(n.batch(3, only=["r2"])) == {"r2": "completed"}
    with pytest.raises(vidpoll.UsageError, match="no row has this key"):
        n.batch(3, only="r9")
    assert set(states(n.batch(3)).values()) == {"completed"}
    assert n.server.bought == ["p2", "p1", "p3"]


def test_a_batch_needs_a_store_and_runs_once(tmp_path: Path) -> None:
    with pytest.raises(vidpoll.UsageError, match="needs a store"):
        vidpoll.Client(plugins=[], discover=False).batch([])
    batch = night(tmp_path).batch(1)
    list(batch)
    with pytest.raises(vidpoll.UsageError, match="has already been run"):
        list(batch)


def test_two_clients_share_a_batch(tmp_path: Path) -> None:
    """Each row is bought by one of them; both see all end, and their files are there once."""
    n = night(tmp_path, server=server(slots=3))
    other = night(tmp_path, server=n.server)
    batches = [each.batch(9, slots=3, price=HALF, budget="4 USD") for each in (n, other)]
    open_ones = [iter(batch) for batch in batches]
    while open_ones:
        for each in list(open_ones):
            try:
                next(each)
            except StopIteration:
                open_ones.remove(each)
    for batch in batches:
        seen = Counter(f"{row.state}: {row.why}" for row in batch.rows.values())
        assert seen == {"completed: ": 8, "waiting: budget": 1}
    assert sorted(Counter(n.server.bought).values()) == [1] * 8
    assert n.server.most <= 4
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == 8


# -- plugins ----------------------------------------------------------------------------------------------------------


class Judge:
    """Lets no row pass that is called r2, and accepts no first take."""

    name = "judge"

    def __init__(self) -> None:
        self.takes: list[str] = []
        self.ended: list[str] = []

    @vidpoll.hookimpl
    def vidpoll_admit(self, row: Any) -> str | None:
        return "not approved" if row.key == "r2" else None

    @vidpoll.hookimpl
    def vidpoll_accept(self, row: Any, paths: Any) -> str | None:
        self.takes.append(row.key)
        return "black" if self.takes.count(row.key) == 1 else None

    @vidpoll.hookimpl
    def vidpoll_batch_ended(self, batch: Any, text: str) -> None:
        self.ended.append(text)


def test_another_watch_of_a_rows_job_says_nothing_of_the_row(tmp_path: Path) -> None:
    """The job was waited for, because of its slot, before the row was taken over: one watch may know it first."""
    n = night(tmp_path)

    def hear(event: vidpoll.Event) -> None:
        batch._runner.heard(vidpoll.Job(event.ref), vidpoll.Completed(event.ref, event.at))

    batch = n.batch(1, on_event=hear)
    assert states(batch) == {"r1": "completed"}


def test_plugins_may_veto_a_row_and_refuse_a_take(tmp_path: Path) -> None:
    """A refused take is a paid retry; a row that is not admitted waits."""
    judge = Judge()
    n = night(tmp_path, plugins=[judge])
    batch = n.batch(2, retries_paid=1)
    assert states(batch) == {"r1": "completed", "r2": "waiting: not admitted"}
    assert (n.server.bought, judge.takes) == (["p1", "p1"], ["r1", "r1"])
    assert batch.rows["r2"].problem == "not approved"
    assert judge.ended == [
        "night: 1 of 2 done; 1 waiting; stopped: not admitted at shop; continue with: run the same batch again"
    ]
    assert [path.name for path in batch.rows["r1"].paths] == ["r1~2.mp4"]


# -- outputs ----------------------------------------------------------------------------------------------------------


def test_the_sidecar_tells_what_a_file_was_made_of(tmp_path: Path) -> None:
    n = night(tmp_path)
    (row,) = n.batch([{"key": "a", "prompt": "long " * 300, "file": "{key}-x"}], price=HALF)
    (path,) = row.paths
    told = json.loads(path.with_name(path.name + ".json").read_text("utf-8"))
    assert (path.name, told["key"], told["ref"], told["attempts"]) == ("a-x.mp4", "a", "shop:n1", 1)
    assert told["fields"] == {"prompt": ("long " * 300).strip()}
    assert told["cost"] == {"charged": 0.5, "refunded": 0.0, "unit": "USD", "how": "estimated"}


@pytest.mark.parametrize("swap", ["other bytes", "a link", "gone"])
def test_a_file_that_is_another_one_by_now_is_not_sent(tmp_path: Path, swap: str) -> None:
    """Hours lie between the plan and a row: what leads out of the folder by then is not read."""
    sheet, picture = tmp_path / "s.csv", tmp_path / "pic.png"
    sheet.write_text("key,prompt,image:file\na,A,pic.png\nb,B,\n")
    picture.write_bytes(b"one")
    (tmp_path.parent / "secret").write_bytes(b"key")
    n = night(tmp_path)
    batch = n.batch(sheet)
    picture.unlink()
    if swap == "a link":
        picture.symlink_to(tmp_path.parent / "secret")
    elif swap == "other bytes":
        picture.write_bytes(b"two")
    assert states(batch) == {"a": "waiting: changed", "b": "completed"}
    assert (n.server.sent, batch.exit_code, bool(batch.rows["a"].problem)) == (["B"], 4, True)
    picture.unlink(missing_ok=True)
    picture.write_bytes(b"three")
    batch = n.batch(sheet, on_event=lambda event: picture.write_bytes(b"four"))
    assert states(batch) == {"a": "completed", "b": "completed"}
    told = json.loads((tmp_path / "clips" / "a.mp4.json").read_text())
    whole = hashlib.sha256(b"three").hexdigest()
    assert (told["inputs"], told["fields"]["image"]) == ({"image": whole}, f"pic.png sha256:{whole}")


def test_the_report_has_the_inputs_columns_and_what_became_of_each(tmp_path: Path) -> None:
    n = night(tmp_path, server=server(refuse=lambda prompt, time: (400, "=bad") if prompt == "p2" else None))
    report = tmp_path / "out.jsonl"
    states(n.batch(2, report=report))
    rows = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert [(row["key"], row["prompt"], row["state"]) for row in rows] == [
        ("r1", "p1", "completed"),
        ("r2", "p2", "failed"),
    ]
    sheet = tmp_path / "in.csv"
    sheet.write_text("key,prompt\na,b\n")
    with pytest.raises(vidpoll.UsageError, match="must not be the input"):
        n.client.batch(sheet, account="shop", kind="clip", report=tmp_path / "." / "in.csv")


def test_a_row_waits_for_the_provider_s_pace(tmp_path: Path) -> None:
    """A batch's jobs are asked about no sooner than the floor allows."""
    n = night(tmp_path)
    begun = n.clock.now
    states(n.batch(1))
    assert 12.0 <= n.clock.now - begun <= 12.0 + 2 * FLOOR
    assert isinstance(n, Night)
    assert SHOP.pacing.floor == FLOOR


def test_files_that_cannot_be_saved_stop_the_buying(tmp_path: Path) -> None:
    """The disk may be full: nothing more is bought; the next run saves what was bought."""
    n = night(tmp_path, server=server(slots=1))
    batch = n.batch(9, slots=1)
    (tmp_path / "clips").write_text("a file in the place of the folder")
    counts = Counter(states(batch).values())
    assert set(counts) == {"failed", "waiting: files"}
    assert counts["failed"] == len(n.server.bought) <= 4  # one may have been under way
    (tmp_path / "clips").unlink()
    assert set(states(night(tmp_path, server=n.server).batch(9)).values()) == {"completed"}
    assert len(n.server.bought) == 9


def test_a_store_that_is_moved_away_stops_the_buying(tmp_path: Path) -> None:
    """The jobs end. Once the file is put back, it would know nothing of a later row, which would be bought again."""
    away = tmp_path / "away"
    away.mkdir()

    def move(prompt: str, _: int) -> None:
        if prompt == "p2" and not list(away.iterdir()):
            for file in list(tmp_path.glob("jobs.sqlite3*")):
                file.replace(away / file.name)

    n = night(tmp_path, server=server(fail=move))
    with pytest.warns(RuntimeWarning, match="jobs are now kept in the file at this path"):
        went = states(n.batch(4, slots=1))
    assert went == {"r1": "completed", "r2": "completed", "r3": "waiting: store", "r4": "waiting: store"}
    assert n.server.bought == ["p1", "p2"]
    n.client.close()
    for file in list(tmp_path.glob("jobs.sqlite3*")):
        file.unlink()
    for file in list(away.iterdir()):
        file.replace(tmp_path / file.name)
    n.server.fail = lambda prompt, time: None
    assert set(states(night(tmp_path, server=n.server).batch(4)).values()) == {"completed"}
    assert n.server.bought == ["p1", "p2", "p3", "p4"]


def test_the_report_of_a_sheet_is_a_sheet_like_it(tmp_path: Path) -> None:
    sheet, report = tmp_path / "shots.csv", tmp_path / "done.csv"
    sheet.write_text("prompt;key\na lighthouse, at dusk;r1\n", encoding="utf-8")
    assert states(night(tmp_path).batch(sheet, report=report)) == {"r1": "completed"}
    header, row = report.read_text("utf-8-sig").splitlines()
    assert header == "prompt;key;state;why;ref;file;cost;unit;attempts;problem"
    assert row.startswith("a lighthouse, at dusk;r1;completed;")


def test_how_a_batch_stands_while_it_runs(tmp_path: Path) -> None:
    """Rows by state, by account, and why they wait; what was spent and is reserved; when it may be over."""
    n = night(tmp_path, shop("shop", pacing=vidpoll.Pacing(floor=FLOOR, typical=(10.0, 20.0))))
    batch = n.batch(6, slots=1, price=HALF, budget="2 USD")
    assert batch.status().states == {"waiting": 6}
    rows = iter(batch)
    next(rows)
    status = batch.status()
    assert (status.total, status.done, status.spent, status.reserved) == (6, 1, {"USD": 0.5}, {"USD": 0.5})
    (account,) = status.accounts
    assert (account.account, account.slots, account.in_flight, account.stopped) == ("shop", 1, 1, "")
    assert status.finish is not None
    assert n.clock.now + 50.0 < status.finish[0] < status.finish[1] < n.clock.now + 100.0
    assert str(status) == "1 of 6 done, 0.5 of 2 USD"
