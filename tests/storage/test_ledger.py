"""Rows of batches in a store: once only, never over a budget, a limit or an account's slots, whoever begins them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from kept_jobs import NOW, dead, sql

import vidpoll
from vidpoll.storage import records
from vidpoll.storage.records import KeptJob, KeptRow, Ledger, NoRoom, Order, Saved
from vidpoll.storage.sqlite import SqliteStore

ACME = vidpoll.Origin("acme")
FIRST = Order("night", "a", 1, "d", 2.0, "USD")


@pytest.fixture
def store(path: Path) -> SqliteStore:
    return SqliteStore(path, lambda: NOW)


@pytest.fixture
def other(path: Path, store: SqliteStore) -> SqliteStore:
    """Another process at the same file: one of this host, as its owner says."""
    return SqliteStore(path, lambda: NOW)


def begin(store: SqliteStore, order: Order = FIRST, account: str = "acme") -> Any:
    return store.begin(vidpoll.Origin(account), "clip", {"prompt": order.row}, order=order)


def bought(store: SqliteStore, number: int, ref: str, key: str = FIRST.key) -> None:
    """The submit has become a job."""
    store.submitted(number, KeptJob(ref, vidpoll.Origin(ref.partition(":")[0]), "clip", key=key))


def end(store: SqliteStore, ref: str) -> None:
    """The job has its verdict."""
    job = vidpoll.Job(ref)
    job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets_due=False), NOW)
    store.end([Saved(ref, records.facts(job))])


def settle(
    store: SqliteStore, order: Order = FIRST, state: str = "completed", charged: float = 2.0, **said: Any
) -> bool:
    return store.settle(order.batch, order.row, order.attempt, state=state, charged=charged, **said)


def why(store: SqliteStore, order: Order, account: str = "acme") -> str:
    """Why there is no room for an order; then nothing is written."""
    before = sql(store.path, "SELECT count(*) FROM submits"), store.batch_rows(order.batch)
    with pytest.raises(NoRoom) as caught:
        begin(store, order, account)
    assert (sql(store.path, "SELECT count(*) FROM submits"), store.batch_rows(order.batch)) == before
    return caught.value.why


def state(store: SqliteStore, row: str = "a") -> str:
    return store.batch_rows("night")[row].state


def test_a_row_from_its_submit_to_its_end(store: SqliteStore) -> None:
    """What became of the submit is read off the submits and jobs; two commits are the row's own."""
    seen = []
    number = begin(store)
    seen.append((state(store), store.ledger("night")["USD"]))
    bought(store, number, "acme:j1")
    seen.append((state(store), store.ledger("night")["USD"]))
    end(store, "acme:j1")
    seen.append((state(store), store.ledger("night")["USD"]))
    settle(store, charged=1.5, paths=["a.mp4"])
    seen.append((state(store), store.ledger("night")["USD"]))
    assert seen == [
        ("submitting", Ledger(0.0, 2.0, 0.0)),
        ("running", Ledger(0.0, 2.0, 0.0)),
        ("ended", Ledger(0.0, 2.0, 0.0)),
        ("completed", Ledger(1.5, 0.0, 0.0)),
    ]
    assert store.batch_rows("night") == {
        "a": KeptRow(
            "a", 1, "d", "acme", "clip", 2.0, "USD", "completed", "acme:j1", 1.5,
            paths=("a.mp4",), begun_at=NOW, ended_at=NOW,
        )
    }  # fmt: skip


def test_the_reservation_is_on_the_disk_with_the_intent(store: SqliteStore) -> None:
    """One transaction: what the file holds has both or none."""
    begin(store)
    assert sql(store.path, "SELECT key FROM submits") == sql(store.path, "SELECT key FROM batch_rows")
    store.refused(sql(store.path, "SELECT number FROM submits")[0][0])
    assert why(store, replace(FIRST, row="b", budget=1.0)) == "budget"
    assert sql(store.path, "SELECT row FROM batch_rows") == [("a",)]


def test_a_refused_row_holds_nothing_and_may_be_begun_again(store: SqliteStore) -> None:
    """Nothing was bought: the same attempt goes, and so does the next one."""
    store.refused(begin(store))
    assert (state(store), store.ledger("night"), store.in_flight("acme")) == ("waiting", {}, 0)
    store.refused(begin(store))
    store.refused(begin(store, replace(FIRST, attempt=2)))
    assert (state(store), store.batch_rows("night")["a"].attempt) == ("waiting", 2)


def test_an_unknown_row_keeps_its_price_and_its_slot(store: SqliteStore) -> None:
    """It may have been bought: it is not begun again, until it is dismissed or adopted."""
    number = begin(store)
    store.lost(number, "reset")
    assert (state(store), store.ledger("night")["USD"], store.in_flight("acme")) == ("unknown", Ledger(0, 0, 2.0), 1)
    assert why(store, replace(FIRST, row="b", slots=1)) == "slots"
    assert why(store, replace(FIRST, attempt=2)) == "elsewhere"
    assert begin(store).reason == "reset"
    assert not settle(store, state="failed")
    store.refused(number)  # dismissed
    assert (state(store), store.ledger("night"), store.in_flight("acme")) == ("waiting", {}, 0)


def test_an_adopted_row_runs(store: SqliteStore) -> None:
    """It has become a job with the row's key."""
    number = begin(store)
    store.lost(number, "reset")
    store.adopt(number, "acme:j1", {})
    row = store.batch_rows("night")["a"]
    assert (row.state, row.ref, begin(store).ref) == ("running", "acme:j1", "acme:j1")


def test_a_row_of_another_process(store: SqliteStore, other: SqliteStore) -> None:
    """One that lives is at it; one that is gone leaves an unknown submit."""
    begin(other)
    assert (state(store), why(store, FIRST)) == ("submitting", "elsewhere")
    sql(store.path, "UPDATE submits SET owner = ?", dead(store))
    assert (state(store), begin(store).reason) == ("unknown", "the process ended before an answer came")


def test_the_same_attempt_again_is_the_same_job(store: SqliteStore) -> None:
    """Whoever runs the file again goes on with what was bought, and buys nothing."""
    number = begin(store)
    assert begin(store).reason == ""
    bought(store, number, "acme:j1")
    assert begin(store).ref == "acme:j1"
    end(store, "acme:j1")
    settle(store)
    assert begin(store).ref == "acme:j1"


@pytest.mark.parametrize(
    ("settled", "order", "goes"),
    [
        ("waiting", {"attempt": 2}, True),
        ("waiting", {"attempt": 3}, False),
        ("failed", {"attempt": 2}, True),
        ("completed", {"attempt": 2}, False),
        ("completed", {"attempt": 2, "digest": "changed"}, True),
        (None, {"attempt": 2}, False),
    ],
)
def test_a_next_attempt(store: SqliteStore, settled: str | None, order: dict[str, Any], goes: bool) -> None:
    """It needs a settled one before it that is not completed, or another video under the row's name."""
    bought(store, begin(store), "acme:j1")
    end(store, "acme:j1")
    if settled is not None:
        settle(store, state=settled)
    wanted = replace(FIRST, **order)
    if goes:
        assert isinstance(begin(store, wanted), int)
        assert why(store, FIRST) == "elsewhere"
    else:
        assert why(store, wanted) == "elsewhere"


def test_another_account_is_another_attempt(store: SqliteStore) -> None:
    """The key is the account's: the same attempt elsewhere must not pass it by."""
    bought(store, begin(store), "acme:j1")
    assert why(store, FIRST, "magicoal") == "elsewhere"


def test_room(store: SqliteStore) -> None:
    """A budget counts what may be spent, a limit what is bought, slots what runs at the account, from anywhere."""
    for number, name in enumerate("abc"):
        order = replace(FIRST, row=name)
        bought(store, begin(store, order), f"acme:{name}", order.key)
        if number == 0:
            end(store, "acme:a")
            settle(store, order, charged=1.0)
    row = replace(FIRST, row="d")
    assert why(store, replace(row, budget=6.99)) == "budget"
    assert why(store, replace(row, limit=3)) == "limit"
    assert why(store, replace(row, slots=2)) == "slots"
    assert isinstance(begin(store, replace(row, budget=7.0, limit=4, slots=3)), int)
    assert isinstance(begin(store, replace(row, row="e", slots=1), "magicoal"), int)


def test_sums_of_floats_fit_their_budget(store: SqliteStore) -> None:
    """Ten times 0.1 is 1, whatever binary says."""
    for number in range(10):
        begin(store, Order("night", str(number), 1, "d", 0.1, "USD", budget=1.0))
    assert len(store.batch_rows("night")) == 10


def test_what_failed_free_of_charge_counts_for_no_limit(store: SqliteStore) -> None:
    """A job that a full queue threw out was not bought."""
    bought(store, begin(store), "acme:j1")
    end(store, "acme:j1")
    settle(store, state="waiting", charged=0.0)
    assert isinstance(begin(store, replace(FIRST, attempt=2, limit=1)), int)


def test_settled_twice_is_as_once_and_not_before_the_verdict(store: SqliteStore) -> None:
    """Any process that saw it may."""
    number = begin(store)
    assert not settle(store)
    bought(store, number, "acme:j1")
    assert not settle(store)
    end(store, "acme:j1")
    assert settle(store, category="internal", problem="broke", paths=("a",))
    once = store.batch_rows("night")
    assert settle(store, category="internal", problem="broke", paths=("a",))
    assert store.batch_rows("night") == once


def test_pruning_leaves_what_a_batch_has_not_settled(store: SqliteStore) -> None:
    """Else the row would look as if nothing had been bought; a settled row outlives its job."""
    bought(store, begin(store), "acme:j1")
    end(store, "acme:j1")
    store.told(["acme:j1"])
    assert store.prune(NOW + 1) == 0
    settle(store)
    assert store.prune(NOW + 1) == 1
    assert (state(store), why(store, FIRST)) == ("completed", "elsewhere")


def test_pruning_dismisses_no_row_of_a_batch(store: SqliteStore) -> None:
    """A submit that may have been received is dismissed by name; other old ones were in vain."""
    for number in (begin(store), store.begin(ACME, "clip", {}, key="order-42"), store.begin(ACME, "clip", {})):
        store.lost(number, "reset")
    assert store.prune(NOW + 1) == 2
    assert ([each.key for each in store.submits()], state(store)) == ([FIRST.key], "unknown")


@pytest.mark.parametrize("forget", ["drop", "an id that is given anew"])
def test_a_dropped_job_is_not_bought_again_by_itself(store: SqliteStore, forget: str) -> None:
    """Its row has failed, at its price: only another attempt, which is asked for, buys it again."""
    bought(store, begin(store), "acme:j1")
    if forget == "drop":
        store.drop("acme:j1")
    else:
        bought(store, store.begin(ACME, "clip", {}), "acme:j1", "")
    row = store.batch_rows("night")["a"]
    assert (row.state, row.charged, row.ref, row.problem) == (
        *("failed", 2.0, "acme:j1", "its job was dropped from the store"),
    )
    assert why(store, FIRST) == "elsewhere"


def test_what_is_once_only_goes_along_into_another_file(store: SqliteStore, path: Path) -> None:
    """A store that was moved away takes no knowledge with it of what was bought."""
    for name in "abc":
        order = replace(FIRST, row=name)
        number = begin(store, order)
        if name == "a":
            bought(store, number, "acme:j1", order.key)
        elif name == "b":
            store.lost(number, "reset")
        else:
            store.refused(number)
    bought(store, store.begin(ACME, "clip", {}, key="order-42"), "acme:j2", "order-42")
    before = store.batch_rows("night")
    for end_ in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{end_}").rename(path.with_name(f"away{end_}"))
    store.reopen([])
    assert {name: row.state for name, row in store.batch_rows("night").items()} == {
        "a": "running",
        "b": "unknown",
        "c": "waiting",
    }
    assert store.batch_rows("night") == before
    assert [job.key for job in store.jobs() if job.ref == "acme:j2"] == ["order-42"]


@pytest.mark.parametrize(
    ("one", "two"), [(("a/b", "c"), ("a", "b/c")), (("a%2Fb", "c"), ("a/b", "c")), (("a", "b/1"), ("a/b", "1"))]
)
def test_no_two_rows_have_one_key(one: tuple[str, str], two: tuple[str, str]) -> None:
    """Whatever stands in their names."""
    assert Order(*one, 1, "").key != Order(*two, 1, "").key


SLOTS, BUDGET, PRICE = 2, 5.0, 2.0


class Night(RuleBasedStateMachine):
    """Two processes at one batch; what is bought, at what cost, by a model that counts what the provider got."""

    path: Path

    def __init__(self) -> None:
        super().__init__()
        self.path.unlink(missing_ok=True)
        self.stores = [SqliteStore(self.path, lambda: NOW) for _ in range(2)]
        self.open: dict[int, tuple[SqliteStore, Order]] = {}  # POSTs under way, by number
        self.running: dict[str, Order] = {}
        self.done: dict[str, set[int]] = {}  # completed attempts of each row
        self.spent = 0.0
        self.jobs = 0

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    @rule(which=st.integers(0, 1), row=st.sampled_from("abc"), more=st.integers(0, 1))
    def submit(self, which: int, row: str, more: int) -> None:
        store = self.stores[which]
        kept = store.batch_rows("night").get(row)
        attempt = 1 if kept is None else kept.attempt + more
        order = Order("night", row, attempt, "d", PRICE, "USD", BUDGET, None, SLOTS)
        try:
            begun = begin(store, order)
        except NoRoom:
            return
        if isinstance(begun, int):
            at_work = [each.row for _, each in self.open.values()] + [each.row for each in self.running.values()]
            assert row not in at_work  # else it would be bought twice
            assert row not in self.done
            self.open[begun] = (store, order)

    @rule(data=st.data(), outcome=st.sampled_from(["bought", "refused", "lost", "adopted"]))
    def answer(self, data: st.DataObject, outcome: str) -> None:
        if not self.open:
            return
        number = data.draw(st.sampled_from(sorted(self.open)))
        store, order = self.open[number]
        if outcome == "lost":
            store.lost(number, "reset")
            return
        del self.open[number]
        if outcome == "refused":
            store.refused(number)
            return
        self.jobs += 1
        ref = f"acme:j{self.jobs}"
        self.running[ref] = order
        if outcome == "bought":
            bought(store, number, ref, order.key)
        else:
            store.adopt(number, ref, {})

    @rule(data=st.data(), which=st.integers(0, 1), outcome=st.sampled_from(["completed", "waiting", "failed"]))
    def verdict(self, data: st.DataObject, which: int, outcome: str) -> None:
        if not self.running:
            return
        ref = data.draw(st.sampled_from(sorted(self.running)))
        order = self.running.pop(ref)
        end(self.stores[which], ref)
        charged = PRICE if outcome == "completed" else 0.0
        self.spent += charged
        if outcome == "completed":
            self.done.setdefault(order.row, set()).add(order.attempt)
        assert settle(self.stores[1 - which], order, outcome, charged)

    @invariant()
    def kept_to(self) -> None:
        held = len(self.open) + len(self.running)
        assert held <= SLOTS
        assert self.spent + held * PRICE <= BUDGET
        told = self.stores[0].ledger("night").get("USD", Ledger())
        assert (told.settled, told.reserved + told.unknown) == (self.spent, held * PRICE)
        assert self.stores[1].in_flight("acme") == held


def test_no_order_of_events_buys_twice_or_too_much(path: Path) -> None:
    """Two processes, answers that are lost, adopted and refused, verdicts that any of them settles."""
    machine = type("OfPath", (Night,), {"path": path})
    checks = settings(
        max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(machine, settings=checks)  # type: ignore[no-untyped-call]
