"""A lock that a forked child gets anew."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from forking import in_a_child

from vidpoll.fork_lock import ForkLock


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_it_is_held_within_the_block(make: Any) -> None:
    """And by nobody after it."""
    lock = ForkLock(make)
    held: list[bool] = []

    def try_it() -> None:
        if held_now := lock.current.acquire(blocking=False):
            lock.current.release()
        held.append(not held_now)

    with lock.current:
        other = threading.Thread(target=try_it)
        other.start()
        other.join()
    other = threading.Thread(target=try_it)
    other.start()
    other.join()
    assert held == [True, False]
    assert not lock.forked


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_with_is_on_the_native_lock(make: Any) -> None:
    """Ctrl-C may interrupt an `__enter__` in Python after it has taken the lock, which then stays held for ever."""
    lock = ForkLock(make)
    assert lock.current is lock.current
    assert not hasattr(lock, "__enter__")
    assert not hasattr(type(lock.current).__enter__, "__code__")


def test_a_child_gets_a_free_lock() -> None:
    """Also where a thread of the parent held it: that thread is not in the child. In the parent it is held on."""
    lock = ForkLock()
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.current:
            taken.set()
            done.wait(60.0)

    def check() -> bool:
        before = lock.forked
        with lock.current:
            return before and not lock.forked and lock.current.locked()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(60.0)
    try:
        assert in_a_child(check)
        assert not lock.forked
        assert lock.current.locked()
    finally:
        done.set()
        holder.join()


def test_who_holds_it_lets_it_go_in_the_child() -> None:
    """A fork within the block: each process leaves its own."""
    lock = ForkLock()

    def leave() -> bool:
        held.release()
        return not lock.current.locked()

    with lock.current:
        held = lock.current
        assert in_a_child(leave)
        assert held.locked()
    assert not held.locked()
