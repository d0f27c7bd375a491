"""A batch whose process is killed again and again: the sheet, the process, and what must be there at the end."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crash_runs import CRASH, is_whole
from studio import MP4, NAMES, PRICE, Studio, Studios

import vidpoll

SPEED = 40.0
"""Seconds of the client's clock a second."""

SECONDS = (0.25, 0.75)
"""Real seconds, from to, that a job takes at the server: 10 to 30 of the clients'."""

LONG = 90.0
"""Real seconds after which a process that was left alone should have ended."""

TRIES = 40
"""Runs after the kills until everything must be there: each one ends once submits of unknown outcome hold all slots."""


class BatchNight:
    """A sheet of so many rows, the store, the folder of the files, the report; and the processes that run the batch."""

    def __init__(self, server: Studio, folder: Path, rows: int, **options: Any) -> None:
        self.server, self.folder = server, folder
        self.keys = [f"r{number}" for number in range(rows)]
        self.store, self.sheet = folder / "jobs.sqlite3", folder / "shots.csv"
        self.clips, self.report = folder / "clips", folder / "report.csv"
        self.zero = time.time()
        self.options = {"into": str(self.clips), "report": str(self.report), "retries": 9, **options}
        self.write(self.keys)

    def write(self, keys: list[str]) -> None:
        """The sheet, with its rows in this order."""
        with self.sheet.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("key", "prompt"), *((key, f"a lighthouse, {key}") for key in keys)])

    def sort(self, dice: random.Random) -> None:
        """Someone sorts the sheet anew."""
        self.write(dice.sample(self.keys, len(self.keys)))

    def start(self, **options: Any) -> subprocess.Popen[str]:
        """A process that runs the batch, once it says that it is ready."""
        settings = {
            "origin": self.server.origin,
            "store": str(self.store),
            "sheet": str(self.sheet),
            "zero": self.zero,
            "speed": SPEED,
            "floor": 4.0,
            "typical": (10.0, 30.0),
            "options": {**self.options, **options},
        }
        child = subprocess.Popen(
            [sys.executable, str(CRASH / "batch_worker.py"), json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise AssertionError(child.communicate()[1])
        return child

    def client(self) -> vidpoll.Client:
        return vidpoll.Client(accounts=self.server.accounts, plugins=[Studios()], discover=False, store=self.store)

    def resolve(self) -> int:
        """Say of each submit of unknown outcome what has become of it, as the server's list tells; how many."""
        have = self.server.have()
        with self.client() as client:
            known = {kept.ref for kept in client.store.jobs()}
            lost = client.store.unknown_submits()
            for submission in lost:
                ref = f"{submission.account}:{have.get(submission.sent['prompt'], '')}"
                if ref.endswith(":") or ref in known:  # an earlier job of the row, that broke
                    client.store.dismiss(submission)
                else:
                    client.store.adopt(ref, submission)
        return len(lost)

    def finish(self) -> int:
        """Runs that nobody kills, until all is there; how many submits of unknown outcome there were."""
        lost = self.resolve()
        for _ in range(TRIES):
            child = self.start()
            try:
                _, said = child.communicate(timeout=LONG)
            finally:
                child.kill()
            assert said == "", said
            lost += self.resolve()
            if child.returncode == 0:
                return lost
            assert child.returncode in (3, 4), f"exit code {child.returncode}"
        raise AssertionError(f"not all was there after {TRIES} runs; the last one ended with {child.returncode}")


def kill(night: BatchNight, dice: random.Random, kills: int, *, resolves: bool) -> tuple[int, int]:
    """Run the batch and kill it so many times at random moments; kills, and submits that were resolved.

    `resolves`: before each run, else only where a run has ended by itself.
    """
    done = lost = 0
    while done < kills and not complete(night):
        night.sort(dice)
        child = night.start()
        time.sleep(dice.uniform(0.0, 1.2))
        killed = child.poll() is None
        child.kill()
        _, said = child.communicate()
        assert said == "", said
        done += killed
        assert is_whole(night.store), "the store is damaged"
        if resolves or not killed:
            lost += night.resolve()
    return done, lost


def complete(night: BatchNight) -> bool:
    """Whether the report says that every row is there."""
    rows = _report(night.report)
    return len(rows) == len(night.keys) and all(row["state"] == "completed" for row in rows.values())


def all_is_well(night: BatchNight) -> None:
    """Nothing was bought twice, nothing is lost, each file is whole with its sidecar, the report tells of every row."""
    stats = night.server.stats()
    assert not any(stats[name]["twice"] for name in NAMES), stats
    keys, report = set(night.keys), _report(night.report)
    assert set(report) == keys, "rows are missing in the report"
    wrong = {key: row for key, row in report.items() if (row["state"], row["unit"]) != ("completed", "credits")}
    assert not wrong, wrong
    for key in keys:
        _check_file(night.clips / f"{key}.mp4", key, report[key])
    files = {path.name for path in night.clips.iterdir() if not path.name.startswith(".")}  # a kill may leave a part
    assert files == {f"{key}.mp4{end}" for key in keys for end in ("", ".json")}
    assert is_whole(night.store), "the store is damaged"
    _check_store(night, stats["studio"])


def _check_file(path: Path, key: str, row: Mapping[str, str]) -> None:
    data = path.read_bytes()
    assert data == MP4, f"{path.name}: {len(data)} bytes"
    told = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
    assert (told["key"], told["sha256"]) == (key, hashlib.sha256(data).hexdigest()), told
    assert (told["ref"], told["file"]) == (row["ref"], path.name), told
    assert row["file"] == str(path), row


def _check_store(night: BatchNight, seen: Mapping[str, Any]) -> None:
    """The store knows each job that was made, and the ledger what they have cost."""
    with night.client() as client:
        assert client.store.unknown_submits() == []
        assert client.store.unfinished() == []
        assert len(client.store.jobs()) == seen["made"]
        ledger = client.batch(night.sheet, account="studio", kind="t2v").ledger["credits"]
    assert ledger == (len(night.keys) * PRICE, 0.0, 0.0), ledger
    assert seen["spent"] == ledger.settled, seen


def _report(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a report by key; none where there is no report yet."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        return {row["key"]: row for row in csv.DictReader(file)}
