"""A process with 20 jobs is killed at random moments, and what was paid for is there in the end. `run.py` does more.

`VIDPOLL_CRASHES=200 pytest tests/crash` kills it 200 times instead of 20; `VIDPOLL_SEED=7` chooses other moments.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from crash_runs import JOBS, SPEED, Night, all_is_well, lose_power, preload, simulated, told, unsynced

from vidpoll.testing import Simulation, simulate
from vidpoll.testing.simulator import Stage, Timeline

CRASHES = int(os.environ.get("VIDPOLL_CRASHES", "20"))
SEED = int(os.environ.get("VIDPOLL_SEED", "5"))


@pytest.fixture
def simulator() -> Iterator[Simulation]:
    with simulated() as running:
        yield running


@pytest.mark.slow
def test_every_job_survives_every_kill(simulator: Simulation, tmp_path: Path) -> None:
    """Every job has its verdict, its hook fired, its file is whole, and it was submitted once."""
    dice, night = random.Random(SEED), Night(simulator, tmp_path)
    for _ in range(CRASHES):
        child = night.start()
        time.sleep(dice.uniform(0.0, 0.7))
        night.kill(child)
    night.finish(night.start(submits=JOBS, timeout=3600.0))
    all_is_well(night, JOBS, tmp_path)
    assert sum(map(len, told(night).values())) <= JOBS + CRASHES


PLACES = {
    "ask POST": "the intent is on disk, nothing was sent",
    "answered POST": "the provider has the job, its id is not on disk",
    "ask GET": "a question is about to go out",
    "answered GET": "its answer is there, and not on disk",
    "begin": "the verdict is on disk, and its hook has begun",
    "end": "the hook has ended, and that is not on disk",
    "verdict": "everything is on disk, and the program does not know",
    "file": "a file is about to be fetched",
}


@pytest.mark.slow
def test_every_job_survives_a_kill_at_the_worst_moment(tmp_path: Path) -> None:
    """Two lives in a row end at the same place; the third brings everything home. Four places at a time."""
    with ThreadPoolExecutor(4) as pool:
        fates = {place: pool.submit(dies_twice, tmp_path / place, place) for place in PLACES}
    for fate in fates.values():
        fate.result()


def dies_twice(folder: Path, place: str) -> None:
    folder.mkdir()
    with simulated() as simulator:
        night = Night(simulator, folder)
        deaths = sum(night.dies(night.start(jobs=4, submits=2, die=place)) for _ in range(2))
        assert deaths == 2, place
        night.finish(night.start(jobs=4, submits=2))
        all_is_well(night, 4, folder)
        inside = place in ("begin", "end")
        assert any(len(pids) > 1 for pids in told(night).values()) == inside, place


AN_HOUR = Timeline(queued=(3600.0, 3600.0), stages=(Stage("script", (5.0, 5.0), (5.0, 5.0)),))
"""A job that ends when the test says so, however slow the machine is."""


def test_what_no_sync_has_brought_to_the_disk_is_undone(tmp_path: Path) -> None:
    """A power loss, as `power.c` notes what it needs: a write after the last sync of its file; others are there."""
    file, journal = tmp_path / "a.part", tmp_path / "journal"
    file.write_bytes(b"AAbbCCdd")
    name = str(file).encode()

    def note(kind: bytes, *numbers: int, before: bytes = b"") -> bytes:
        return kind + struct.pack("<I", len(name)) + name + struct.pack(f"<{len(numbers)}Q", *numbers) + before

    writes = [note(b"W", 0, 2, 2, before=b"aa"), note(b"S"), note(b"W", 4, 2, 2, before=b"cc"), note(b"W", 6, 2, 0)]
    seen = set()
    for seed in range(30):
        file.write_bytes(b"AAbbCCdd")
        journal.write_bytes(b"".join(writes))
        assert unsynced(journal) == {file: [(4, 2, b"cc"), (6, 2, b"")]}
        lose_power(journal, random.Random(seed))
        seen.add(file.read_bytes())
    assert seen == {b"AAbbcc", b"AAbbCC", b"AAbbccdd", b"AAbbCCdd"}


WRITES = """
import sys, vidpoll
from vidpoll.storage.sqlite import SqliteStore
store, origin, failed = SqliteStore(sys.argv[1], lambda: 0.0), vidpoll.Origin("acme"), 0
for number in range(20):
    try:
        store.enter([(f"acme:{number}", origin, {})])
    except vidpoll.StoreError as error:
        failed += "the disk reports an error" in str(error)
print(failed, len(store.jobs()))
"""


def test_a_disk_that_fails_once_is_one_store_error(tmp_path: Path) -> None:
    """What `run.py` does at each of the first writes of a whole night."""
    library = preload("fail", tmp_path)
    if library is None:
        pytest.skip("needs Linux and a C compiler")
    environ = {**os.environ, "LD_PRELOAD": str(library), "FAIL_NTH": "60", "FAIL_ERRNO": "5", "FAIL_ONCE": "1"}
    store = tmp_path / "night" / "jobs.sqlite3"
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(store)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**environ, "FAIL_PATH": str(store), "FAIL_COUNT": str(tmp_path / "count")},
    )
    assert (done.stdout, int((tmp_path / "count").read_text()) > 60) == ("1 19\n", True)


def test_two_processes_never_ask_about_the_same_job(tmp_path: Path) -> None:
    """Both wait for all jobs; each is asked about by one of them, and by the other only once that one is gone."""
    room = {"capacity": JOBS, "timelines": {"video": AN_HOUR}}
    with simulate("moneyprinterturbo", speed=SPEED, moneyprinterturbo=room) as simulator, ExitStack() as ends:
        night = Night(simulator, tmp_path)
        with simulator.client(store=night.store) as client:
            refs = [
                client.submit("moneyprinterturbo", "video", video_subject=f"job {number}").ref
                for number in range(9)  # too few for a list to be cheaper
            ]
        one = night.start(submits=0, timeout=36000.0)
        ends.callback(one.kill)
        night.until(lambda: set(asked(night)) == set(refs))
        two = night.start(submits=0, timeout=36000.0)
        ends.callback(two.kill)
        asks = sum(map(len, asked(night).values()))
        night.until(lambda: sum(map(len, asked(night).values())) >= asks + 3 * len(refs))
        assert {pid for pids in asked(night).values() for pid in pids} == {one.pid}
        night.kill(one)
        night.until(lambda: all(pids[-1] == two.pid for pids in asked(night).values()))
        simulator.advance(3600.0)
        night.finish(two)

    for pids in asked(night).values():
        assert sum(a != b for a, b in pairwise(pids)) == 1, pids
    verdicts = Counter(about[0] for pid, word, *about in night.lines if word == "verdict" and int(pid) == two.pid)
    assert verdicts == Counter(refs)
    assert told(night) == {ref: [two.pid] for ref in refs}


def asked(night: Night) -> dict[str, list[int]]:
    """Who asked about which job, in order."""
    found: dict[str, list[int]] = defaultdict(list)
    for pid, word, *about in night.lines:
        if word == "ask" and about[0] == "GET" and "/tasks/" in about[1]:
            found["moneyprinterturbo:" + about[1].rpartition("/")[2]].append(int(pid))
    return found
