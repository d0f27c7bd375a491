"""Crashes by the hundred: kills, power losses, errors of the disk. Prints a table; exits with 1 where one is wrong.

    python tests/crash/run.py --kills 300 --shared 300 --power 100 --errors 200 --full 200 --batch 100

Wrong is a job that was paid twice, a verdict that is lost or told twice, a file that is not whole, a store that SQLite
finds damaged, an error that is not vidpoll's; of a batch also a row that is not completed, a sidecar or a report that
does not fit. `--power`, `--errors` and `--full` need Linux and a C compiler.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import batch_nights
from crash_runs import JOBS, Night, all_is_well, is_whole, lose_power, preload, simulated
from studio import PRICE, studio

FEW = 4
"""Jobs of a run in which the disk fails once: it has some two hundred writes."""

A_ROUND = {"kills": 25, "shared": 24, "power": 10, "batch": 50}
"""What one round does, at most: a process may have ended before it was to be killed."""

STUCK = 12.0
"""Real seconds after which a process whose disk is full is killed; it may wait on for as long as it likes."""

LATE = 90.0
"""Real seconds within which a process whose disk failed once must have ended."""


class Outcome(NamedTuple):
    """What a round did, in the words of the table, and what was wrong in it."""

    done: int
    note: str = ""
    wrong: str = ""


class Settings(NamedTuple):
    """What every round gets."""

    folder: Path
    fail: Path | None
    power: Path | None
    batch: int
    """Kills of a batch's night."""


@contextmanager
def night(settings: Settings, jobs: int = JOBS) -> Iterator[tuple[Night, Path]]:
    """A new store, in a folder of its own, which is gone when all is well; and the folder."""
    with simulated(jobs) as simulator, tempfile.TemporaryDirectory(dir=settings.folder) as made:
        folder = Path(made)
        running = Night(simulator, folder)
        running.log = settings.folder / f"{folder.name}.log"  # no disk fails for it
        yield running, folder


def home(running: Night, folder: Path, jobs: int = JOBS) -> None:
    """One process that nobody ends brings everything home. Raises AssertionError where something is wrong."""
    running.finish(running.start(submits=jobs, timeout=3600.0, jobs=jobs))
    all_is_well(running, jobs, folder)


# -- the rounds -------------------------------------------------------------------------------------------------------


def kills(settings: Settings, dice: random.Random) -> Outcome:
    """One process after the other, each killed at a random moment."""
    done = 0
    with night(settings) as (running, folder):
        for _ in range(A_ROUND["kills"]):
            child = running.start()
            time.sleep(dice.uniform(0.0, 0.7))
            done += child.poll() is None
            running.kill(child)
        home(running, folder)
    return Outcome(done)


def shared(settings: Settings, dice: random.Random) -> Outcome:
    """Three processes at a time; one may be stopped for a moment, then all are killed, one after the other."""
    done = 0
    with night(settings) as (running, folder):
        for _ in range(A_ROUND["shared"] // 3):
            children = [running.start(submits=0 if number else 3, stays=True) for number in range(3)]
            time.sleep(dice.uniform(0.0, 0.7))
            dice.shuffle(children)
            for child in children:
                if dice.random() < 0.15 and child.poll() is None:
                    child.send_signal(signal.SIGSTOP)
                    time.sleep(dice.uniform(0.1, 0.6))
                    child.send_signal(signal.SIGCONT)
                done += child.poll() is None
                running.kill(child)
                time.sleep(dice.uniform(0.0, 0.3))
        home(running, folder)
    return Outcome(done)


def power(settings: Settings, dice: random.Random) -> Outcome:
    """One process after the other is killed, and a random part of what no sync has brought to the disk is undone."""
    done = undone = 0
    with night(settings) as (running, folder):
        journal = settings.folder / f"{folder.name}.journal"
        environ = {"LD_PRELOAD": str(settings.power), "POWER_JOURNAL": str(journal)}
        for _ in range(A_ROUND["power"]):
            child = running.start(environ)
            time.sleep(dice.uniform(0.0, 1.0))
            done += child.poll() is None
            running.kill(child)
            undone += lose_power(journal, dice)
            assert is_whole(running.store), "the store is damaged"
        home(running, folder)
    return Outcome(done, f"{undone} writes undone")


def batch(settings: Settings, dice: random.Random) -> Outcome:
    """A batch of two rows a kill, 30 at least, at a line that spoils a tenth of the answers.

    Its sheet is sorted anew between runs. Submits of unknown outcome are resolved before each run, or where a run ends
    by itself, as it does once they hold all slots.
    """
    kills, resolves, seed = settings.batch, dice.random() < 0.5, dice.randrange(2**32)
    rows = max(30, 2 * kills)
    with (
        studio(chaos=0.1, breaks=0.05, seconds=batch_nights.SECONDS, seed=seed) as server,
        tempfile.TemporaryDirectory(dir=settings.folder) as made,
    ):
        night = batch_nights.BatchNight(server, Path(made), rows, budget=f"{rows * PRICE} credits")
        done, lost = batch_nights.kill(night, dice, kills, resolves=resolves)
        lost += night.finish()
        batch_nights.all_is_well(night)
    when = "before each run" if resolves else "late"
    return Outcome(done, f"{rows} rows, {lost} unknown submits, resolved {when}")


def failing(settings: Settings, number: int, code: int, *, once: bool) -> Outcome:
    """The `number`th write fails, without `once` each later one too; then a process has a disk that works."""
    with night(settings, FEW) as (running, folder):
        count = settings.folder / f"{folder.name}.count"
        environ = {"LD_PRELOAD": str(settings.fail), "FAIL_NTH": str(number), "FAIL_ERRNO": str(code)}
        environ |= {"FAIL_PATH": f"{folder}/", "FAIL_COUNT": str(count), **({"FAIL_ONCE": "1"} if once else {})}
        child = running.spawn(environ, jobs=FEW, submits=FEW)
        said = child.communicate(timeout=LATE)[1] if once else _end(child)
        running.killed.add(child.pid)
        if not once:
            running.full.add(child.pid)
        assert "Traceback" not in said or "\nvidpoll.errors." in said or "StoreMoved" in said, said
        home(running, folder, FEW)
        reached = count.exists() and int(count.read_text() or 0) >= number
    return Outcome(1 if reached else 0)


def _end(child: subprocess.Popen[str]) -> str:
    """What a process said until it ended, or was killed."""
    try:
        return str(child.communicate(timeout=STUCK)[1])
    except subprocess.TimeoutExpired:
        child.kill()
        return str(child.communicate()[1])


# -- the table --------------------------------------------------------------------------------------------------------


def guarded(name: str, run: Callable[[], Outcome]) -> Outcome:
    """What a round did; whatever it raises is something wrong."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - the table tells it, and the others go on
        said = f"{type(error).__name__}: {error}".strip()
        print(f"WRONG {name}: {said[-1500:]}", flush=True)
        return Outcome(0, wrong=said)


def many(name: str, least: int, round_: Callable[[random.Random], Outcome], seed: int, workers: int) -> list[Outcome]:
    """Rounds, until there are so many of what they do, or something is wrong thrice."""
    found: list[Outcome] = []
    with ThreadPoolExecutor(workers) as pool:
        while sum(each.done for each in found) < least and sum(bool(each.wrong) for each in found) < 3:
            missing = math.ceil((least - sum(each.done for each in found)) / A_ROUND[name])
            seeds = range(seed + len(found), seed + len(found) + min(missing, workers))
            rounds = [
                pool.submit(guarded, f"{name}, seed {each}", lambda each=each: round_(random.Random(each)))
                for each in seeds
            ]
            found += [each.result() for each in rounds]
    return found


def each_write(name: str, writes: range, settings: Settings, code: int, *, once: bool, workers: int) -> list[Outcome]:
    """A run for each of these writes."""
    with ThreadPoolExecutor(workers) as pool:
        runs = [
            pool.submit(
                guarded, f"{name}, write {number}", lambda number=number: failing(settings, number, code, once=once)
            )
            for number in writes
        ]
        return [each.result() for each in runs]


def row(name: str, found: list[Outcome], start: float) -> bool:
    """Print a line of the table; whether all was well."""
    wrong = sum(bool(each.wrong) for each in found)
    notes = ", ".join(each.note for each in found if each.note)
    done, seconds = sum(each.done for each in found), time.monotonic() - start
    print(f"| {name} | {done} | {len(found)} | {wrong} | {seconds:.0f} s | {notes} |", flush=True)
    return not wrong


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, what in {
        "kills": "kills of one process",
        "shared": "kills of three processes on one store",
        "power": "power losses",
        "batch": "kills of a batch, 50 in one of 100 rows",
        "errors": "an I/O error at each of the first N writes",
        "full": "a disk that is full from each of the first N writes on",
    }.items():
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N", help=what)
    parser.add_argument(
        "--first", type=int, default=1, metavar="N", help="for --errors, --full: begin at the Nth write"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1), help="rounds at a time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        settings = Settings(
            folder, preload("fail", folder), preload("power", folder), min(args.batch, A_ROUND["batch"])
        )
        print("| what | times | rounds | wrong | took | |\n| --- | --- | --- | --- | --- | --- |", flush=True)
        return 0 if all(list(_rows(args, settings))) else 1


def _rows(args: argparse.Namespace, settings: Settings) -> Iterator[bool]:
    for name, round_ in {"kills": kills, "shared": shared, "power": power, "batch": batch}.items():
        least: int = getattr(args, name)
        if not least:
            continue
        if name == "power" and settings.power is None:
            print("| power | skipped: no Linux, or no C compiler | | | | |")
            continue
        start = time.monotonic()
        found = many(name, least, lambda dice, round_=round_: round_(settings, dice), args.seed, args.workers)
        yield row(name, found, start)
    for name, code, once in (("errors", errno.EIO, True), ("full", errno.ENOSPC, False)):
        last: int = getattr(args, name)
        if not last:
            continue
        if settings.fail is None:
            print(f"| {name} | skipped: no Linux, or no C compiler | | | | |")
            continue
        start = time.monotonic()
        writes = range(args.first, args.first + last)
        found = each_write(name, writes, settings, code, once=once, workers=args.workers)
        yield row(name, found, start)


if __name__ == "__main__":
    sys.exit(main())
