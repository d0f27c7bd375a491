"""The threads that do HTTP: bounded, replaceable, and gone when nobody needs them. Nothing here sleeps."""

from __future__ import annotations

import gc
import os
import threading
import warnings
import weakref
from collections.abc import Iterator
from queue import Empty, Queue
from typing import Any

import pytest

from vidpoll.net.workers import Ticket, Workers

SOON = 10.0
"""Real seconds after which something that should happen at once has failed."""


class Gate:
    """An errand that stands still until it is opened, and tells when it has begun."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self, ticket: Ticket) -> str:
        self.thread = threading.current_thread()
        ticket.shut = self.open.set
        self.begun.set()
        assert self.open.wait(SOON)
        return "through"


@pytest.fixture
def pool() -> Iterator[Workers]:
    """Two threads at most; those that are left end with the test."""
    before = set(threading.enumerate())
    workers = Workers(2)
    yield workers
    workers.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(SOON)
        assert not thread.is_alive()


def inbox() -> Queue[Any]:
    return Queue()


def test_an_errand_and_its_ticket(pool: Workers) -> None:
    """The ticket comes back through the inbox of its sender, with what the errand returned."""
    mine, other = inbox(), inbox()
    ticket = pool.send(lambda ticket: "done", mine)
    assert mine.get(timeout=SOON) is ticket
    assert (ticket.outcome, ticket.done, other.empty()) == ("done", True, True)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1), RecursionError()], ids=repr)
def test_an_exception_is_an_outcome(pool: Workers, error: BaseException) -> None:
    """Whatever an errand raises is the caller's to judge, and the thread lives on."""

    def fail(ticket: Ticket) -> None:
        raise error

    mine = inbox()
    pool.send(fail, mine)
    assert mine.get(timeout=SOON).outcome is error
    pool.send(lambda ticket: "next", mine)
    assert mine.get(timeout=SOON).outcome == "next"


def test_threads_are_bounded_and_started_as_needed(pool: Workers) -> None:
    """One errand, one thread; a hundred errands, two: the rest waits in the queue, and these two threads do it all.

    Threads of other tests may end meanwhile: who was there before is not counted.
    """
    before = set(threading.enumerate())
    mine, gates, ran = inbox(), [Gate(), Gate()], set[threading.Thread]()
    counts = []
    for gate in gates:
        pool.send(gate, mine)
        counts.append(len(set(threading.enumerate()) - before))
    for gate in gates:
        assert gate.begun.wait(SOON)
    for _ in range(98):
        pool.send(lambda ticket: ran.add(threading.current_thread()) or "fast", mine)
    started = set(threading.enumerate()) - before
    assert (counts, {gate.thread for gate in gates}, mine.empty(), ran) == ([1, 2], started, True, set())
    for gate in gates:
        gate.open.set()
    assert sorted(mine.get(timeout=SOON).outcome for _ in range(100)) == ["fast"] * 98 + ["through"] * 2
    assert ran <= started


def test_an_idle_thread_is_used_again(pool: Workers) -> None:
    """Errands one after the other need one thread, which keeps its connections."""
    mine = inbox()
    names = set()
    for _ in range(20):
        pool.send(lambda ticket: threading.get_ident(), mine)
        names.add(mine.get(timeout=SOON).outcome)
    assert len(names) == 1


def test_threads_are_daemons(pool: Workers) -> None:
    """A black hole in a worker never keeps the interpreter from its end."""
    mine = inbox()
    pool.send(lambda ticket: threading.current_thread().daemon, mine)
    assert mine.get(timeout=SOON).outcome is True


def test_abort_shuts_and_frees_the_place(pool: Workers) -> None:
    """An aborted errand is shut, brings nothing back, and its thread makes room and ends."""
    mine, stuck = inbox(), Gate()
    stuck.open.set = lambda: None  # type: ignore[method-assign]  # a socket that does not mind being shut
    shut: list[str] = []
    ticket = pool.send(stuck, mine)
    assert stuck.begun.wait(SOON)
    ticket.shut = lambda: shut.append("shut")
    pool.abort(ticket)
    pool.abort(ticket)
    for _ in range(2):
        pool.send(lambda ticket: "free", mine)
    assert [mine.get(timeout=SOON).outcome for _ in range(2)] == ["free", "free"]
    threading.Event.set(stuck.open)
    assert stuck.thread is not None
    stuck.thread.join(SOON)
    assert (stuck.thread.is_alive(), shut, mine.empty()) == (False, ["shut"], True)


def test_those_that_wait_get_the_place_of_the_aborted() -> None:
    """When every thread hangs and is aborted, what waits in the queue is served without a further `send`."""
    workers, mine, stuck = Workers(1), inbox(), Gate()
    ticket = workers.send(stuck, mine)
    assert stuck.begun.wait(SOON)
    workers.send(lambda ticket: "served", mine)
    ticket.shut = None
    workers.abort(ticket)
    assert mine.get(timeout=SOON).outcome == "served"
    stuck.open.set()
    workers.close()


def test_what_is_aborted_in_the_queue_costs_no_thread() -> None:
    """After an outage in which everything was aborted, unsent or not, the next errand is served at once."""
    workers, mine, gates = Workers(2), inbox(), [Gate() for _ in range(2)]
    tickets = [workers.send(gate, mine) for gate in gates]
    for gate in gates:
        assert gate.begun.wait(SOON)
    never: list[str] = []
    tickets += [workers.send(lambda ticket: never.append("sent"), mine) for _ in range(50)]
    for ticket in reversed(tickets):
        ticket.shut = None
        workers.abort(ticket)
    workers.send(lambda ticket: "served", mine)
    assert mine.get(timeout=SOON).outcome == "served"
    for gate in gates:
        gate.open.set()
    workers.send(lambda ticket: "again", mine)
    assert (mine.get(timeout=SOON).outcome, never) == ("again", [])
    workers.close()


@pytest.mark.parametrize("outcome", ["done", None])
def test_abort_after_the_end_changes_nothing(pool: Workers, outcome: object) -> None:
    """A ticket that is done stays done, also where its errand returned None; the places are counted right."""
    mine = inbox()
    for _ in range(5):
        ticket = pool.send(lambda ticket: outcome, mine)
        mine.get(timeout=SOON)
        ticket.shut = lambda: pytest.fail("shut after the end")
        pool.abort(ticket)
    gates = [Gate(), Gate(), Gate()]
    for gate in gates:
        pool.send(gate, mine)
    assert gates[0].begun.wait(SOON)
    assert gates[1].begun.wait(SOON)
    assert not gates[2].begun.is_set()
    for gate in gates:
        gate.open.set()
    assert [mine.get(timeout=SOON).outcome for _ in gates] == ["through"] * 3


def test_close_ends_the_threads() -> None:
    """What is under way is finished, then every thread ends; nothing new is taken."""
    workers, mine, gate = Workers(2), inbox(), Gate()
    workers.send(gate, mine)
    assert gate.begun.wait(SOON)
    workers.close()
    workers.close()
    with pytest.raises(RuntimeError, match="closed"):
        workers.send(gate, mine)
    gate.open.set()
    assert mine.get(timeout=SOON).outcome == "through"
    assert gate.thread is not None
    gate.thread.join(SOON)
    assert not gate.thread.is_alive()


def test_a_forgotten_pool_leaves_no_thread() -> None:
    """Whoever forgets to close a client leaks no thread: idle ones end with their pool."""
    mine = inbox()
    workers = Workers(2)
    workers.send(lambda ticket: threading.current_thread(), mine)
    thread = mine.get(timeout=SOON).outcome
    gone = weakref.ref(workers)
    del workers
    gc.collect()
    thread.join(SOON)
    assert (gone(), thread.is_alive()) == (None, False)


def test_a_pool_that_is_forgotten_at_work() -> None:
    """A thread at work does not keep its pool alive, and ends when its errand does."""
    workers, mine, gate = Workers(2), inbox(), Gate()
    workers.send(gate, mine)
    assert gate.begun.wait(SOON)
    gone = weakref.ref(workers)
    del workers
    gc.collect()
    assert gone() is None
    gate.open.set()
    assert gate.thread is not None
    gate.thread.join(SOON)
    assert not gate.thread.is_alive()
    with pytest.raises(Empty):
        mine.get_nowait()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_starts_anew() -> None:
    """A child has none of its parent's threads: it starts its own, and leaves its parent's connections alone."""
    workers, mine, gate = Workers(1), inbox(), Gate()
    ticket = workers.send(gate, mine)
    assert gate.begun.wait(SOON)
    shut: list[str] = []
    ticket.shut = lambda: shut.append("shut")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks in threaded processes
        child = os.fork()
    if child == 0:
        good = False
        try:
            workers.abort(ticket)
            fresh = inbox()
            workers.send(lambda ticket: "child", fresh)
            good = fresh.get(timeout=SOON).outcome == "child" and shut == []
        finally:
            os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    gate.open.set()
    assert mine.get(timeout=SOON).outcome == "through"
    workers.close()
