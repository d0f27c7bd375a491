"""What `tests/crash` runs: a night of processes on one store, what takes them down, what must be there at the end."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vidpoll
from vidpoll.testing import Simulation, simulate

JOBS = 20
SPEED = 25.0
"""Simulated seconds a second: a job of half a minute takes two."""

LONG = 15.0
"""Real seconds after which a worker that was left alone should have been done long ago."""

CRASH = Path(__file__).parents[1] / "crash"
WORKER = CRASH / "worker.py"


def simulated(jobs: int = JOBS) -> Simulation:
    room = {"capacity": jobs}
    return simulate("token360", "moneyprinterturbo", speed=SPEED, token360=room, moneyprinterturbo=room)


def preload(name: str, folder: Path) -> Path | None:
    """`tests/crash/NAME.c` as a library that takes calls of the C library's place; None where there is no compiler."""
    compiler = shutil.which("cc") if sys.platform.startswith("linux") else None
    if compiler is None:
        return None
    made = folder / f"{name}.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(made), str(CRASH / f"{name}.c"), "-ldl"]
    subprocess.run(command, check=True)
    return made


class Night:
    """One store, one log, one folder, and the processes that use them."""

    def __init__(self, simulator: Simulation, folder: Path) -> None:
        self.simulator = simulator
        self.store, self.log, self.clips = folder / "jobs.sqlite3", folder / "log", folder / "clips"
        self.zero = time.time()
        self.killed: set[int] = set()
        self.full: set[int] = set()
        """Processes that had no disk to keep on what they told."""

    def start(self, environ: dict[str, str] | None = None, **others: Any) -> subprocess.Popen[str]:
        """A process that says that it is ready; `others` are settings of `worker.py`."""
        child = self.spawn(environ, **others)
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise AssertionError(child.communicate()[1])
        return child

    def spawn(self, environ: dict[str, str] | None = None, **others: Any) -> subprocess.Popen[str]:
        """A process, ready or not."""
        settings = {
            "store": str(self.store),
            "log": str(self.log),
            "folder": str(self.clips) + os.sep,
            "urls": self.simulator.base_urls,
            "keys": self.simulator.keys,
            "zero": self.zero,
            "speed": SPEED,
            "jobs": JOBS,
            "submits": 3,
            "timeout": 20.0,
            "die": "",
            "stays": False,
            **others,
        }
        return subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environ or {})},
        )

    def kill(self, child: subprocess.Popen[str]) -> None:
        child.kill()
        _, said = child.communicate(timeout=LONG)
        assert said == "", said
        self.killed.add(child.pid)

    def dies(self, child: subprocess.Popen[str]) -> bool:
        """Wait for its end; whether it killed itself."""
        _, said = child.communicate(timeout=LONG)
        assert said == "", said
        self.killed.add(child.pid)
        return child.returncode != 0

    def finish(self, child: subprocess.Popen[str]) -> None:
        try:
            _, said = child.communicate(timeout=LONG)
        finally:
            child.kill()
        assert (child.returncode, said) == (0, "")

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that the processes do."""
        end = time.monotonic() + LONG
        while not holds():
            assert time.monotonic() < end, self.lines
            time.sleep(0.01)

    @property
    def lines(self) -> list[list[str]]:
        """What happened: process, word, and what it was about."""
        return [line.split() for line in self.log.read_text(encoding="utf-8").splitlines()]

    def kept(self) -> list[vidpoll.KeptJob]:
        with vidpoll.Client(store=self.store) as client:
            assert client.store.unknown_submits() == []
            assert client.store.unfinished() == []
            assert client.store.wanted() == []
            return client.store.jobs()


def told(night: Night) -> dict[str, list[int]]:
    """Who began to tell which verdict; and nobody told one twice, but where a kill came before its end was on disk.

    Verdicts of one moment are told together: what the program was handed has been kept as told.
    """
    tellers = defaultdict(list)
    handed: set[tuple[int, str]] = set()
    for pid, word, *about in night.lines:
        if word == "verdict" and vidpoll.State(about[1]).final:  # it is no verdict that the patience was over
            handed.add((int(pid), about[0]))
        if word == "begin":
            tellers[about[0]].append(int(pid))
    for ref, pids in tellers.items():
        for pid in pids[:-1]:
            assert pid in night.killed, f"{ref} was told twice"
            assert (pid, ref) not in handed or pid in night.full, f"{ref} was told twice"
    return tellers


def all_is_well(night: Night, jobs: int, folder: Path) -> None:
    """Every job has its verdict, its hook fired, its file is whole, and it was submitted once."""
    kept = night.kept()
    assert len(kept) == jobs
    assert all(each.job.ok for each in kept)
    assert sum(map(night.simulator.submissions, night.simulator.base_urls)) == jobs
    prompts = [each.sent.get("prompt") or each.sent["video_subject"] for each in kept]
    assert sorted(prompts) == sorted(f"job {number}" for number in range(jobs))
    assert set(told(night)) == {each.ref for each in kept}

    files = {path.name: path.read_bytes() for path in night.clips.iterdir() if path.suffix == ".mp4"}
    with night.simulator.client() as fresh:
        whole = {path.name: path.read_bytes() for each in kept for path in fresh.download(each.ref, folder / "again")}
    assert files == whole
    assert len(files) == jobs


# -- a power loss -----------------------------------------------------------------------------------------------------

Written = tuple[int, int, bytes]
"""Where it was written, how much, and what stood there before."""


def unsynced(journal: Path) -> dict[Path, list[Written]]:
    """What was written since the last sync of each file, in order, as `power.c` has noted it."""
    data, at = journal.read_bytes() if journal.exists() else b"", 0
    found: dict[Path, list[Written]] = defaultdict(list)
    while at + 5 <= len(data):
        kind, length = data[at : at + 1], struct.unpack_from("<I", data, at + 1)[0]
        path = Path(data[at + 5 : at + 5 + length].decode())
        at += 5 + length
        if kind == b"S":
            found.pop(path, None)
            continue
        offset, size, got = struct.unpack_from("<QQQ", data, at)
        found[path].append((offset, size, data[at + 24 : at + 24 + got]))
        at += 24 + got
    return found


def lose_power(journal: Path, dice: random.Random) -> int:
    """Undo a random part of what no sync has brought to the disk; how many writes were undone."""
    undone = 0
    for path, writes in unsynced(journal).items():
        if path.exists():
            lost = _lost(len(writes), dice)
            undone += len(lost)
            with path.open("r+b") as file:
                for number in lost:
                    _undo(file, writes[number])
    journal.unlink(missing_ok=True)
    return undone


def _lost(writes: int, dice: random.Random) -> list[int]:
    """Which writes are lost, the last one first: all, those after one of them, or any."""
    if dice.random() < 1 / 3:
        return [number for number in reversed(range(writes)) if dice.random() < 0.5]
    return list(reversed(range(dice.choice([0, dice.randrange(writes + 1)]), writes)))


def _undo(file: Any, written: Written) -> None:
    offset, size, old = written
    grown = file.seek(0, os.SEEK_END) == offset + size
    file.seek(offset)
    file.write(old)
    if len(old) < size:
        if grown:
            file.truncate(offset + len(old))
        else:  # a hole: the file system had made room, and not written to it
            file.write(bytes(size - len(old)))


def is_whole(store: Path) -> bool:
    """Whether SQLite finds nothing wrong with a store's file."""
    with sqlite3.connect(store) as db:
        found = db.execute("PRAGMA integrity_check").fetchone()
    db.close()
    return bool(found == ("ok",))
