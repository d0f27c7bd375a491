"""A lock that a forked child gets anew."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from vidpoll.fork_lock import ForkLock


def in_a_child(check: Callable[[], bool]) -> bool:
    """What a forked child finds."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests
        child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, threading.Condition])
def test_with_gives_the_lock_itself(make: Any) -> None:
    """It is held within the block, and by nobody after it."""
    lock = ForkLock(make)
    held: list[bool] = []

    def try_it() -> None:
        if held_now := inner.acquire(blocking=False):
            inner.release()
        held.append(not held_now)

    with lock as inner:
        other = threading.Thread(target=try_it)
        other.start()
        other.join()
    other = threading.Thread(target=try_it)
    other.start()
    other.join()
    assert held == [True, False]
    assert not lock.forked


def test_a_child_gets_a_free_lock() -> None:
    """Also where a thread of the parent held it: that thread is not in the child. In the parent it is held on."""
    lock = ForkLock()
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait(60.0)

    def check() -> bool:
        before = lock.forked
        with lock as inner:
            return before and not lock.forked and inner.locked()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(60.0)
    try:
        assert in_a_child(check)
        assert not lock.forked
    finally:
        done.set()
        holder.join()


def test_who_holds_it_lets_it_go_in_the_child() -> None:
    """A fork within the block: each process leaves its own."""
    lock = ForkLock()
    with lock:
        assert in_a_child(lambda: lock.__exit__(None, None, None) is None and lock.__enter__().locked())
    with lock as inner:
        assert inner.locked()
