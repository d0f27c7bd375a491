"""A fleet on one store: kills, pauses, wrong clocks, outages, killed submits, and what serving costs.

    python benchmarks/scale.py [kills] [stop] [submits] [verdicts] [lists] [cpu] [--store sqlite|postgresql]

PostgreSQL stands on loopback in a temporary folder, syncs to the disk, and goes at the end; each worker is then a host
of its own, so that nobody can look whether its process is there. The provider (`tests/support/fleet.py`) is another
process, and counts. Each row stands beside its bound; ends with 1 where a promise is broken, whatever the speed.

`kills`: orders with keys, each submitted by two processes, three workers; the one at work is killed every 8 s, and a
new one is started. `stop`: the one at work is paused for 3 TTL, and the others are killed when it goes on; then two
hosts whose clocks are an hour off, one of which is killed; then a store that is stopped, or locked, for 5 s. `submits`:
a process that submits is killed 20 times. `verdicts`: what a store costs 3,000 jobs with 75 verdicts a second. `lists`:
50,000 jobs of ten accounts with list polling, in two processes, asked about every 15 s; jobs take 30 to 900 s, and each
changes its stage twice. `cpu`: a poll in `serve` beside one of `as_completed` without a store.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import fleet
import pytest
import store_delay
from servers import Postgres

from vidpoll.storage.protocol import TTL

LATEST = 10.0 + 3 * TTL
"""Seconds from a job's end to its verdict, at most, whatever is killed."""

EARLY = 0.1
"""Seconds by which two questions may come nearer than the floor: they are a floor apart where they are sent."""


class Row(NamedTuple):
    """What was measured, the figure, its bound, whether it holds, and whether that is a promise."""

    what: str
    figure: str
    bound: str
    holds: bool
    promised: bool = True


class Scene:
    """A store, a server, and the processes that use them."""

    def __init__(self, folder: Path, origin: str, accounts: int, database: Postgres | None) -> None:
        self.folder, self.origin, self.accounts, self.database = folder, origin, accounts, database
        self.store = str(folder / "jobs.sqlite3") if database is None else database.url()
        self.log, self.looks = folder / "told", folder / "looks"
        self.workers: dict[str, subprocess.Popen[str]] = {}
        self.submitters: list[subprocess.Popen[str]] = []
        self.log.touch()
        self._number = 0

    def settings(self, name: str, **more: Any) -> dict[str, Any]:
        host = "" if self.database is None else f"host-{name}"
        given = {"origin": self.origin, "store": self.store, "accounts": self.accounts}
        return {**given, "name": name, "host": host, **more}

    def start(self, **more: Any) -> str:
        """A worker that is ready; its name."""
        name, self._number = f"w{self._number}", self._number + 1
        given = self.settings(name, **{"log": str(self.log), "looks": str(self.looks), **more})
        # What a store that was stopped makes them say is not of interest here.
        process = self.workers[name] = fleet.child("worker", given, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return name

    def submit(self, orders: int, rate: float = 0.0, copies: int = 1) -> None:
        """Processes that submit the same orders."""
        for number in range(copies):
            given = self.settings(f"web-{number}", orders=[0, orders], rate=rate, seed=number)
            self.submitters.append(fleet.child("submitter", given))

    def at_work(self) -> str:
        """The worker that asked last."""
        last = str(fleet.asked(self.origin)["last"])
        return last if last in self.workers else random.choice(sorted(self.workers))

    def kill(self, name: str) -> None:
        process = self.workers.pop(name)
        process.kill()
        process.communicate()

    def told(self) -> list[tuple[float, str, str]]:
        """When, by whom, and of which job the hooks were told."""
        lines = [line.split() for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [(float(at), who, ref) for at, who, ref, _ in lines]

    def until_told(self, orders: int, every: float = 0.0, then: Callable[[], None] | None = None) -> None:
        """Until all orders were told, or it is too late; `then` is done about every so many seconds meanwhile."""
        end = next_ = time.monotonic() + every
        while len({ref for *_, ref in self.told()}) < orders and time.monotonic() < end + 3 * LATEST:
            if any(process.poll() is None for process in self.submitters):
                end = time.monotonic()
            if then is not None and time.monotonic() >= next_:
                then()
                next_ = time.monotonic() + random.uniform(0.8, 1.2) * every
            time.sleep(0.2)

    def close(self) -> None:
        for process in [*self.workers.values(), *self.submitters]:
            process.kill()
            process.communicate()


@contextmanager
def scene(args: argparse.Namespace, accounts: int = 6, **settings: Any) -> Iterator[Scene]:
    """A new store, and a server with these settings."""
    database = Postgres(durable=True) if args.store == "postgresql" else None
    try:
        if database is not None:
            database.start()
        with tempfile.TemporaryDirectory() as made, fleet.server(accounts=accounts, **settings) as origin:
            running = Scene(Path(made), origin, accounts, database)
            try:
                yield running
            finally:
                running.close()
    finally:
        if database is not None:
            database.remove()


# -- promises ---------------------------------------------------------------------------------------------------------


def judged(running: Scene, name: str, orders: int, kills: int) -> Iterator[Row]:
    """What the server has noted, and what the hooks were told."""
    noted = fleet.asked(running.origin, "log")
    bought = Counter(order for _, _, what, _, order in noted["log"] if what == "buy")
    twice = sorted(order for order, times in bought.items() if times > 1)
    yield Row(f"{name}: bought twice", f"{len(twice)} of {len(bought)} {' '.join(twice[:5])}", "0", not twice)
    yield Row(f"{name}: orders bought", str(len(bought)), str(orders), len(bought) == orders)
    told = running.told()
    times = Counter(ref for *_, ref in told)
    untold = sorted(set(noted["jobs"]) - set(times))
    yield Row(f"{name}: untold", f"{len(untold)} {' '.join(untold[:5])}", "0", not untold)
    early = list(too_early(noted["log"]))
    yield Row(f"{name}: floor broken", f"{len(early)} {early[:3] or ''}", "0", not early)
    again = sum(times.values()) - len(times)
    yield Row(f"{name}: told twice", f"{again}, {kills} kills", "2 a kill", again <= 2 * kills)
    first: dict[str, float] = {}
    for at, _, ref in told:
        first.setdefault(ref, at)
    late = sorted(first[ref] - end for ref, (_, end) in noted["jobs"].items() if ref in first)
    middle, latest = (late[len(late) // 2], late[-1]) if late else (0.0, 0.0)
    yield Row(f"{name}: latest verdict", f"{latest:.1f} s (median {middle:.1f})", f"{LATEST:g} s", latest <= LATEST)


def too_early(log: list[Any]) -> Iterator[str]:
    """The jobs that were asked about twice within their provider's floor, and by whom."""
    last: dict[str, tuple[float, str]] = {}
    for at, who, what, account, name in log:
        if what == "ask":
            before, by = last.get(f"{account}:{name}", (0.0, ""))
            if at - before < fleet.FLOOR - EARLY:
                yield f"{name} {by} {who} {at - before:.2f}"
            last[f"{account}:{name}"] = at, who


def kills(args: argparse.Namespace) -> Iterator[Row]:
    """The worker at work is killed every 8 s."""
    done = 0
    with scene(args) as running:
        for _ in range(3):
            running.start(capacity=args.orders // 3)

        def kill() -> None:
            nonlocal done
            running.kill(running.at_work())
            running.start(capacity=args.orders // 3)
            done += 1

        running.submit(args.orders, rate=args.orders / args.seconds, copies=2)
        running.until_told(args.orders, 8.0, kill)
        yield from judged(running, "kills", args.orders, done)


def stop(args: argparse.Namespace) -> Iterator[Row]:
    """A pause, wrong clocks, and an outage, each in a scene of its own."""
    orders = args.orders // 4
    with scene(args) as running:
        yield from _pause(running, orders)
    with scene(args) as running:
        slow = running.start(skew=-3600.0)
        running.submit(orders, rate=orders / 20, copies=2)
        time.sleep(5.0)
        running.start(skew=3600.0)
        running.start()
        time.sleep(8.0)
        running.kill(slow)
        running.until_told(orders)
        yield from judged(running, "clocks an hour off", orders, 1)
    with scene(args) as running:
        for _ in range(3):
            running.start()
        running.submit(orders, rate=orders / 20, copies=2)
        time.sleep(8.0)
        _outage(running, 5.0)
        running.until_told(orders)
        yield from judged(running, "store away for 5 s", orders, 0)


def _pause(running: Scene, orders: int) -> Iterator[Row]:
    for _ in range(3):
        running.start()
    running.submit(orders, rate=orders / 50, copies=2)
    time.sleep(8.0)
    paused = running.at_work()
    running.workers[paused].send_signal(signal.SIGSTOP)
    time.sleep(3 * TTL)
    resumed = time.monotonic()
    running.workers[paused].send_signal(signal.SIGCONT)
    time.sleep(5.0)
    for name in set(running.workers) - {paused}:
        running.kill(name)
    running.until_told(orders)
    early, later = _without_lease(running, paused, resumed)
    yield Row("pause: questions before a lease", str(early), "0", early == 0)
    yield Row("pause: questions with one", str(later), "1 or more", later > 0)
    yield from judged(running, "pause", orders, 3)


def _without_lease(running: Scene, paused: str, resumed: float) -> tuple[int, int]:
    """How often a worker has asked since it goes on without having looked that the account is its own, and with."""
    lines = [line.split() for line in running.looks.read_text(encoding="utf-8").splitlines()]
    looks = [(float(at), accounts) for at, who, *accounts in lines if who == paused and float(at) > resumed]
    early = later = 0
    for at, who, what, account, _ in fleet.asked(running.origin, "log")["log"]:
        if who == paused and what == "ask" and at > resumed:
            before = [accounts for looked, accounts in looks if looked <= at]
            if before and account in before[-1]:
                later += 1
            else:
                early += 1
    return early, later


def _outage(running: Scene, seconds: float) -> None:
    """PostgreSQL stops at once; the file of SQLite is locked."""
    if running.database is not None:
        running.database.stop(signal.SIGQUIT)
        time.sleep(seconds)
        running.database.start()
        return
    db = sqlite3.connect(running.store, isolation_level=None, timeout=10.0)
    db.execute("BEGIN EXCLUSIVE")
    time.sleep(seconds)
    db.execute("ROLLBACK")
    db.close()


def submits(args: argparse.Namespace) -> Iterator[Row]:
    """The process that submits is killed at random moments, and a new one submits all orders from the first on."""
    said: dict[str, set[str]] = {"job": set(), "unknown": set()}
    done = 0
    with scene(args, takes=0.1) as running:
        while done < 20:
            done += _submitted(running, args.orders, said, random.uniform(0.4, 1.4))
        _submitted(running, args.orders, said)
        bought = Counter(key for _, _, what, _, key in fleet.asked(running.origin, "log")["log"] if what == "buy")
        with fleet.client(running.settings("web-0")) as reading:  # on their host, which knows that they are gone
            unknown = {each.key for each in reading.store.unknown_submits()}
            known = {each.key for each in reading.store.jobs()}
        twice = sum(times > 1 for times in bought.values())
        yield Row(f"submits: bought twice, {done} kills", f"{twice} of {len(bought)}", "0", not twice)
        shown = f"{len(said['unknown'])} of {len(unknown)}: {' '.join(sorted(unknown))}"
        yield Row("submits: unknown ones printed with their key", shown, "all", unknown == said["unknown"])
        lost = set(bought) - known - unknown
        yield Row("submits: bought, and neither kept nor unknown", str(len(lost)), "0", not lost)
        wrong = {key for key in said["job"] if not bought[key]}
        yield Row("submits: jobs that were not bought", str(len(wrong)), "0", not wrong)


def _submitted(running: Scene, orders: int, said: dict[str, set[str]], seconds: float | None = None) -> bool:
    """Submit all orders, and hear what became of them; whether it was killed after so many seconds."""
    running.submit(orders)
    process = running.submitters.pop()
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
    for line in text.splitlines():
        word, key, *_ = line.split(" ")
        said[word].add(key)
    return process.returncode != 0


# -- what it costs ----------------------------------------------------------------------------------------------------


def verdicts(args: argparse.Namespace) -> Iterator[Row]:
    """3,000 jobs without a store, then with one: waited for, and served."""
    none = store_delay.measure("none", "wait")
    for how in ("wait", "serve"):
        seen = store_delay.measure(args.store, how)
        commits, ratio = seen["commits"], seen["mean"] / none["mean"]
        yield Row(f"verdicts, {how}: commits a job", f"{commits:.2f}", "0.3", commits <= 0.3, promised=False)
        told = f"{ratio:.2f} ({seen['mean']:.2f} / {none['mean']:.2f} s; 99 % {seen['p99']:.1f} / {none['p99']:.1f} s)"
        yield Row(f"verdicts, {how}: delay beside no store", told, "1.15", ratio <= 1.15, promised=False)


def lists(args: argparse.Namespace) -> Iterator[Row]:
    """50,000 jobs that two processes share."""
    jobs, gap, window = 50_000, 15.0, 120.0
    options = {"lists": True, "gap": gap, "floor": 5.0, "capacity": jobs // 2, "looks": ""}
    with scene(args, accounts=10, jobs=jobs, seconds=(30.0, 900.0), noted=False) as running:
        with fleet.client(running.settings("web")) as client:
            fleet.keep(client, fleet.references(10, jobs))
        names = [running.start(**options) for _ in range(2)]
        time.sleep(3 * gap)  # the first questions do not count
        before, begun = fleet.asked(running.origin), time.monotonic()
        used = [cpu(running.workers[name].pid) for name in names]
        time.sleep(window)
        seconds = time.monotonic() - begun
        cores = sum(cpu(running.workers[name].pid) for name in names) - sum(used)
        after = fleet.asked(running.origin)
        peaks = [memory(running.workers[name].pid) for name in names]
        noted, told = fleet.asked(running.origin, "log")["jobs"], {ref: at for at, _, ref in running.told()}
    now = begun + seconds
    late = sorted(told.get(ref, now) - end for ref, (_, end) in noted.items() if begun <= end <= now - 2 * gap)
    mean, p99 = sum(late) / len(late) / gap, late[int(0.99 * (len(late) - 1))] / gap
    cores /= seconds
    pages, polls = ((after[name] - before[name]) / seconds for name in ("listed", "asked"))
    asked = f"{cores:.2f} ({pages:.0f} pages/s, {polls:.0f} single questions/s)"
    yield Row("lists: cores", asked, "0.6", cores <= 0.6, promised=False)
    shown = " and ".join(f"{peak:.0f}, {now:.0f} MiB" for peak, now in peaks)
    yield Row("lists: memory at its peak, and then", shown, "120 MiB", max(peaks)[0] <= 120, promised=False)
    yield Row("lists: delay in gaps, mean", f"{mean:.2f} ({len(late)} verdicts)", "0.8", mean <= 0.8, promised=False)
    yield Row("lists: delay in gaps, 99 %", f"{p99:.2f}", "1.7", p99 <= 1.7, promised=False)


def polls(args: argparse.Namespace) -> Iterator[Row]:
    """2,000 jobs that do not end, in turns without a store and served; 400 questions a second."""
    costs: dict[str, list[float]] = {"waiter": [], "worker": []}
    jobs, gap = 2000, 5.0
    with scene(args, accounts=1, jobs=jobs, seconds=(1e5, 2e5), noted=False) as running:
        with fleet.client(running.settings("web")) as client:
            fleet.keep(client, fleet.references(1, jobs))
        for kind in ("waiter", "worker") * 3:
            process = fleet.child(kind, running.settings(kind, gap=gap, floor=gap, jobs=jobs))
            try:
                time.sleep(3 * gap)
                before, used = fleet.asked(running.origin)["asked"], cpu(process.pid)
                time.sleep(4 * gap)
                used = cpu(process.pid) - used
                costs[kind].append(used / (fleet.asked(running.origin)["asked"] - before))
            finally:
                process.kill()
                process.communicate()
    ours, other = (statistics.median(costs[kind]) * 1e6 for kind in ("worker", "waiter"))
    told = f"{ours / other:.2f} ({ours:.0f} / {other:.0f} us, medians of 3)"
    yield Row("cpu: a poll in serve, beside one without a store", told, "1.15", ours / other <= 1.15, promised=False)


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> tuple[float, float]:
    """MiB that a process had at its peak, and has."""
    rows = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    named = dict(line.split(":", 1) for line in rows)
    peak, now = (int(named[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
    return peak, now


# -- the table --------------------------------------------------------------------------------------------------------

SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "kills": kills, "stop": stop, "submits": submits, "verdicts": verdicts, "lists": lists, "cpu": polls,
}  # fmt: skip


def main() -> int:
    """The table; whether every promise was kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), metavar="SECTION", help=" ".join(SECTIONS))
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="in which the orders of `kills` are submitted")
    args = parser.parse_args()
    kept = True
    print(f"| on {args.store} | figure | bound | |\n| --- | --- | --- | --- |", flush=True)
    try:
        for name in args.sections:
            for row in SECTIONS[name](args):
                print(f"| {row.what} | {row.figure} | {row.bound} | {'' if row.holds else 'MISSED'} |", flush=True)
                kept = kept and (row.holds or not row.promised)
    except pytest.skip.Exception as missing:
        print(f"| {' '.join(args.sections)} | skipped: {missing} | | |")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
