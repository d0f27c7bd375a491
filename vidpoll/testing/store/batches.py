"""What a store promises about batches: each row once, never over a budget, a limit or an account's slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...model import Cost
from ...storage.protocol import KeptJob, KeptRow, Ledger, NoRoom, Order, Origin, Store
from .base import NOW, ONE, ORIGIN, Base, raised, saved

FIRST = Order("night", "a", 1, "d", 2.0, "USD")


def begin(store: Store, order: Order = FIRST, account: str = "acme") -> Any:
    """Begin the submit of a row."""
    return store.begin(Origin(account), "clip", {"prompt": order.row}, order=order)


def bought(store: Store, number: int, ref: str = ONE, key: str = FIRST.key) -> None:
    """The submit has become a job."""
    store.submitted(number, KeptJob(ref, Origin(ref.partition(":")[0]), "clip", key=key))


def end(store: Store, ref: str = ONE, cost: Cost | None = None) -> None:
    """The job has its verdict."""
    store.end([saved(ref, done=True, cost=cost)])


def settle(store: Store, order: Order = FIRST, state: str = "completed", charged: float = 2.0, **said: Any) -> bool:
    """Settle an attempt."""
    return store.settle(order.batch, order.row, order.attempt, state=state, charged=charged, **said)


def why(store: Store, order: Order, account: str = "acme") -> str:
    """Why an order is refused. Also asserts that nothing was written."""
    before = store.in_flight(account), store.batch_rows(order.batch)
    error: NoRoom = raised(NoRoom, lambda: begin(store, order, account))
    assert (store.in_flight(account), store.batch_rows(order.batch)) == before
    return error.why


def state(store: Store, row: str = "a") -> str:
    """The state of a row."""
    return store.batch_rows("night")[row].state


class Batches(Base):
    """Rows of batches."""

    def test_a_row_from_its_submit_to_its_end(self) -> None:
        """Its price is reserved until the row is settled."""
        one, two = self.owner(), self.owner()
        seen = []
        number = begin(one)
        steps: list[Callable[[], object]] = [
            lambda: None,
            lambda: bought(one, number),
            lambda: end(one),
            lambda: settle(two, charged=1.5, paths=("a.mp4",)),
        ]
        for step in steps:
            step()
            seen.append((state(two), two.ledger("night")["USD"]))
        assert seen == [
            ("submitting", Ledger(0.0, 2.0, 0.0)),
            ("running", Ledger(0.0, 2.0, 0.0)),
            ("ended", Ledger(0.0, 2.0, 0.0)),
            ("completed", Ledger(1.5, 0.0, 0.0)),
        ]
        assert one.batch_rows("night") == {
            "a": KeptRow(
                "a", 1, "d", "acme", "clip", 2.0, "USD", "completed", ONE, 1.5,
                paths=("a.mp4",), ended_at=NOW,
            )
        }  # fmt: skip

    def test_a_refused_row_holds_nothing_and_may_be_begun_again(self) -> None:
        """Nothing was bought: the same attempt may begin again, and so may the next one."""
        one = self.owner()
        one.refused(begin(one))
        assert (state(one), one.ledger("night"), one.in_flight("acme")) == ("waiting", {}, 0)
        one.refused(begin(one))
        one.refused(begin(one, replace(FIRST, attempt=2)))
        assert (state(one), one.batch_rows("night")["a"].attempt) == ("waiting", 2)

    def test_an_unknown_row_keeps_its_price_and_its_slot(self) -> None:
        """It may have been bought: it does not begin again until it is dismissed or adopted."""
        one = self.owner()
        number = begin(one)
        one.lost(number, "reset")
        assert (state(one), one.ledger("night")["USD"], one.in_flight("acme")) == ("unknown", Ledger(0, 0, 2.0), 1)
        assert why(one, replace(FIRST, row="b", slots=1)) == "slots"
        assert why(one, replace(FIRST, attempt=2)) == "elsewhere"
        assert begin(one).reason == "reset"
        assert not settle(one, state="failed")
        one.refused(number)  # dismissed
        assert (state(one), one.ledger("night"), one.in_flight("acme")) == ("waiting", {}, 0)

    def test_an_adopted_row_runs(self) -> None:
        """The adopted job has the row's key."""
        one = self.owner()
        number = begin(one)
        one.lost(number, "reset")
        one.adopt(number, ONE, {})
        row = one.batch_rows("night")["a"]
        assert (row.state, row.ref, begin(one).ref) == ("running", ONE, ONE)

    def test_a_row_of_another_owner(self) -> None:
        """A living owner keeps the row; an owner that is gone leaves an unknown submit."""
        one, two = self.owner(), self.owner()
        begin(two)
        assert (state(one), why(one, FIRST)) == ("submitting", "elsewhere")
        self.killed(two)
        assert (state(one), bool(begin(one).reason)) == ("unknown", True)

    def test_the_same_attempt_again_is_the_same_job(self) -> None:
        """A second run of the file continues with the bought job, and buys nothing."""
        one = self.owner()
        number = begin(one)
        assert begin(one).reason == ""
        bought(one, number)
        assert begin(one).ref == ONE
        end(one)
        settle(one)
        assert begin(one).ref == ONE

    def test_a_next_attempt(self) -> None:
        """It needs a settled previous attempt that did not complete, or changed fields of the row."""
        goes: dict[tuple[str, int, str], bool] = {
            ("waiting", 2, "d"): True,
            ("waiting", 3, "d"): False,
            ("failed", 2, "d"): True,
            ("completed", 2, "d"): False,
            ("completed", 2, "changed"): True,
            ("", 2, "d"): False,
        }
        one = self.owner()
        for number, ((settled, attempt, digest), may) in enumerate(goes.items()):
            first, ref = replace(FIRST, row=str(number)), f"acme:{number}"
            bought(one, begin(one, first), ref, first.key)
            end(one, ref)
            if settled:
                settle(one, first, settled)
            wanted = replace(first, attempt=attempt, digest=digest)
            if may:
                assert isinstance(begin(one, wanted), int)
                assert why(one, first) == "elsewhere"
            else:
                assert why(one, wanted) == "elsewhere"

    def test_another_account_is_another_attempt(self) -> None:
        """A key belongs to its account: the same attempt at another account must not buy a second time."""
        one = self.owner()
        bought(one, begin(one))
        assert why(one, FIRST, "token") == "elsewhere"

    def test_room(self) -> None:
        """A budget counts what may be spent, a limit bought jobs, and slots all jobs that run at the account."""
        one, two = self.owner(), self.owner()
        for number, name in enumerate("abc"):
            order = replace(FIRST, row=name)
            bought(one, begin(one, order), f"acme:{name}", order.key)
            if number == 0:
                end(one, "acme:a")
                settle(one, order, charged=1.0)
        row = replace(FIRST, row="d")
        assert why(two, replace(row, budget=6.99)) == "budget"
        assert why(two, replace(row, limit=3)) == "limit"
        assert why(two, replace(row, slots=2)) == "slots"
        assert isinstance(begin(two, replace(row, budget=7.0, limit=4, slots=3)), int)
        assert isinstance(begin(two, replace(row, row="e", slots=1), "token"), int)

    def test_sums_of_floats_fit_their_budget(self) -> None:
        """Ten times 0.1 is 1, despite binary rounding."""
        one = self.owner()
        for number in range(10):
            begin(one, Order("night", str(number), 1, "d", 0.1, "USD", budget=1.0))
        assert len(one.batch_rows("night")) == 10

    def test_what_failed_free_of_charge_counts_for_no_limit(self) -> None:
        """A job that a full queue rejected was not bought."""
        one = self.owner()
        bought(one, begin(one))
        end(one)
        settle(one, state="waiting", charged=0.0)
        assert isinstance(begin(one, replace(FIRST, attempt=2, limit=1)), int)

    def test_what_a_verdict_tells_counts_before_the_row_is_settled(self) -> None:
        """Other rows cannot spend what the job cost beyond its price."""
        for number, (cost, held) in enumerate(
            [(Cost(3.5, 0.25, "USD"), 3.25), (Cost(1.0, unit="USD"), 2.0), (Cost(350.0, unit="credits"), 2.0)]
        ):
            one, first, ref = self.owner(), replace(FIRST, batch=f"night {number}"), f"acme:{number}"
            bought(one, begin(one, first), ref, first.key)
            end(one, ref, cost)
            assert one.ledger(first.batch)["USD"] == Ledger(0.0, held, 0.0)
            assert why(one, replace(first, row="b", budget=held + 1.9)) == "budget"

    def test_a_limit_counts_what_may_have_been_charged(self) -> None:
        """If a job without a price failed, it is unknown whether it was free."""
        one, order = self.owner(), replace(FIRST, price=0.0, unit="")
        bought(one, begin(one, order))
        end(one)
        settle(one, order, state="waiting", charged=0.0)
        assert why(one, replace(order, attempt=2, limit=1)) == "limit"
        assert isinstance(begin(one, replace(order, attempt=2, limit=2)), int)

    def test_settled_twice_is_as_once_and_not_before_the_verdict(self) -> None:
        """Any owner may settle a row, once the job has its verdict."""
        one, two = self.owner(), self.owner()
        number = begin(one)
        assert not settle(two)
        bought(one, number)
        assert not settle(two)
        end(one)
        assert settle(two, category="internal", problem="broke", paths=("a",))
        once = one.batch_rows("night")
        assert settle(one, category="internal", problem="broke", paths=("a",))
        assert two.batch_rows("night") == once

    def test_pruning_leaves_what_a_batch_has_not_settled(self) -> None:
        """Else the row would look as if nothing had been bought; a settled row outlives its job."""
        one = self.owner()
        bought(one, begin(one))
        end(one)
        one.told([ONE])
        assert one.prune(NOW + 1) == 0
        settle(one)
        assert one.prune(NOW + 1) == 1
        assert (state(one), why(one, FIRST)) == ("completed", "elsewhere")

    def test_pruning_dismisses_no_row_of_a_batch(self) -> None:
        """A row's submit that may have been received is only dismissed explicitly."""
        one = self.owner()
        one.lost(begin(one), "reset")
        assert one.prune(NOW + 1) == 0
        assert ([each.key for each in one.submits()], state(one)) == ([FIRST.key], "unknown")

    def test_two_rows_whose_submits_the_provider_has_merged(self) -> None:
        """Both have the job, hold one slot, and are settled; none is bought again."""
        one = self.owner()
        second = replace(FIRST, row="b")
        bought(one, begin(one))
        bought(one, begin(one, second), ONE, second.key)
        rows = one.batch_rows("night")
        assert [(row.state, row.ref) for row in rows.values()] == [("running", ONE), ("running", ONE)]
        assert (one.in_flight("acme"), one.ledger("night")["USD"]) == (1, Ledger(0.0, 4.0, 0.0))
        assert (begin(one, second).key, settle(one, second)) == (second.key, False)
        end(one, cost=Cost(3.0, unit="USD"))
        one.told([ONE])
        assert (state(one, "b"), one.ledger("night")["USD"]) == ("ended", Ledger(0.0, 6.0, 0.0))
        assert (settle(one), one.prune(NOW + 1), settle(one, second)) == (True, 0, True)
        rows = one.batch_rows("night")
        assert [(row.state, row.ref) for row in rows.values()] == [("completed", ONE), ("completed", ONE)]
        assert one.prune(NOW + 1) == 1

    def test_a_row_that_has_ended_is_settled_although_its_id_was_given_anew(self) -> None:
        """Its verdict is its own; the limit counts it, and pruning waits for it."""
        one = self.owner()
        bought(one, begin(one))
        end(one)
        number = one.begin(ORIGIN, "clip", {})
        assert isinstance(number, int)
        bought(one, number, ONE, "")
        assert (state(one), why(one, replace(FIRST, row="b", limit=1)), one.prune(NOW + 1)) == ("ended", "limit", 0)
        one.drop(ONE)
        assert (begin(one).ref, state(one), settle(one)) == (ONE, "ended", True)
        assert (state(one), one.batch_rows("night")["a"].ref) == ("completed", ONE)
        one.prune(NOW + 1)
        assert one.keyed("acme", FIRST.key) is None

    def test_a_dropped_job_is_not_bought_again_by_itself(self) -> None:
        """Its row counts as failed, at its price: only an explicit new attempt buys it again."""
        one = self.owner()
        second = replace(FIRST, row="b")
        bought(one, begin(one))
        bought(one, begin(one, second), "acme:j2", second.key)
        one.drop(ONE)
        number = one.begin(ORIGIN, "clip", {})
        assert isinstance(number, int)
        bought(one, number, "acme:j2", "")  # the provider gives the same id again
        rows = one.batch_rows("night")
        assert [(row.state, row.charged, row.ref) for row in rows.values()] == [
            ("failed", 2.0, ONE),
            ("failed", 2.0, "acme:j2"),
        ]
        assert [bool(row.problem) for row in rows.values()] == [True, True]
        assert why(one, FIRST) == "elsewhere"
