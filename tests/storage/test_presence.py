"""Owners in other containers of this machine: gone is gone, at once, and who is there keeps what it has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from acme_provider import REF
from kept_jobs import ELSEWHERE, GONE, NOW, sql

import vidpoll
from vidpoll.storage import owners, presence
from vidpoll.storage.records import Leases
from vidpoll.storage.sqlite import SqliteStore

IN_A_CONTAINER = f"""
import sys
from vidpoll.storage import owners
here = owners.here().split("/")
owners.here = lambda: "/".join(["box", here[1], "pid:[1]"])
from vidpoll.storage.sqlite import SqliteStore
store = SqliteStore(sys.argv[1], lambda: {NOW})
print(len(store.lease(["{REF}"], 600.0).mine), len(store.take({{"acme": 1}}, 1)), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs containers as Linux has them")
def test_a_container_that_was_killed_holds_nothing(path: Path) -> None:
    """Neither a lease, nor a shard; the clock stands meanwhile."""
    store = SqliteStore(path, lambda: NOW)
    store.enter([(REF, vidpoll.Origin("acme"), {})])
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", IN_A_CONTAINER, str(path)], stdin=pipe, stdout=pipe, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1 1\n"
        SqliteStore(path, lambda: NOW).close()  # of this process: takes no lock of another owner along
        assert (store.lease([REF], 60.0), store.take({"acme": 1}, 1)) == (ELSEWHERE, [])
        child.kill()
    assert len(store.take({"acme": 1}, 1)) == 1
    assert store.lease([REF], 60.0) == Leases(frozenset({REF}), frozenset(), frozenset({REF}))


def test_the_file_is_let_go_of_with_the_last_owner(path: Path) -> None:
    """No descriptor is left open; what nobody has entered is not known to be gone."""
    if os.name != "posix":
        pytest.skip("needs locks as POSIX has them")
    one, two = SqliteStore(path, lambda: NOW), SqliteStore(path, lambda: NOW)
    assert one.owner.endswith(owners.PRESENT)
    assert presence.gone(path, "box|1|x")
    for store in (one, one, two):
        store.close()
    assert not presence.gone(path, "box|1|x")


def test_another_machine_is_not_beside(path: Path) -> None:
    """Nor is this very place, where a process can be looked up."""
    here = "node/boot/pid:[1]"
    assert owners.beside("box/boot/pid:[2]|1|x", here)
    assert not owners.beside("box/other/pid:[2]|1|x", here)
    assert not owners.beside(f"{here}|1|x", here)
    assert not owners.beside("nowhere|1|x", here)


def test_a_heartbeat_of_tomorrow_keeps_nothing(path: Path) -> None:
    """Of another machine, where the clock was set back: else its shards were nobody's for as long as that."""
    store = SqliteStore(path, lambda: NOW)
    sql(path, "INSERT INTO owners (owner, seen) VALUES (?, ?)", GONE, NOW + 3600)
    sql(path, "INSERT INTO shards (account, part, parts, owner, fence) VALUES ('acme', 0, 1, ?, 1)", GONE)
    assert len(store.take({"acme": 1}, 1)) == 1


def test_who_was_killed_is_forgotten_after_a_day(path: Path) -> None:
    """When anybody leaves."""
    store = SqliteStore(path, lambda: NOW)
    for seen, name in ((NOW - 86401, "old"), (NOW - 86399, "young")):
        sql(path, "INSERT INTO owners (owner, seen) VALUES (?, ?)", f"nowhere|1|{name}", seen)
    store.beat()
    store.close()
    assert sql(path, "SELECT owner FROM owners") == [("nowhere|1|young",)]
