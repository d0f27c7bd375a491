"""A night's batch: kills, two processes, polls beside refused submits, slots that are learnt, ten thousand rows.

    python benchmarks/batch.py [kills] [two] [polls] [slots] [rows] [--rows 10000] [--seed 1]

The server (`tests/support/studio.py`) is another process with slots, prices and a bad line; it says what was bought
twice, how many jobs there were at once, and what was spent. Ends with status 1 where a bound is broken.

`kills`: 100 rows, 3 slots, a tenth of the answers spoilt, 50 kills at random moments, the sheet sorted anew in between.
`two`: two processes on one batch, at a server that would take more jobs than they may send, and with a budget that is
too small; once each job costs more than was told. `polls`: how late questions about jobs come while submits of their
account are refused with `Retry-After: 20`, beside an account without refusals in the same batch. `slots`: the time for
which slots were in use while their number is learnt, beside a run that is told it, at the same time; the clients' clock
is 50 times as fast, jobs take 1 to 3 of its minutes. `rows`: 10,000 rows whose jobs end at once: the plan, the memory,
the run, and the commits of the store beside those of `submit`, `wait` and `download` of the same jobs.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import batch_nights
from fast_clock import Clock
from studio import PRICE, Studio, Studios, accounts, studio

import vidpoll

Row = tuple[str, str, str, bool]
"""What was measured, the figure, its bound, and whether it holds."""

Section = Callable[[argparse.Namespace], Iterator[Row]]


def client(origin: str, folder: Path, plugin: Studios | None = None, **options: Any) -> vidpoll.Client:
    plugins = [plugin or Studios()]
    options = {"accounts": accounts(origin), "plugins": plugins, "store": folder / "jobs.sqlite3", **options}
    return vidpoll.Client(discover=False, **options)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def rows(number: int, **others: str) -> list[dict[str, str]]:
    return [{"key": f"r{each}", "prompt": f"a lighthouse, {each}", **others} for each in range(number)]


def child(name: str, **settings: Any) -> subprocess.Popen[str]:
    """One of the functions below in a process of its own; it prints what it has found."""
    command = [sys.executable, __file__, "--child", name, json.dumps(settings)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def found(process: subprocess.Popen[str]) -> Any:
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a child ended with {process.returncode}")
    return json.loads(said)


# -- kills, and two processes -----------------------------------------------------------------------------------------


def kills(args: argparse.Namespace) -> Iterator[Row]:
    for resolves in (True, False):
        dice, seconds = random.Random(args.seed), batch_nights.SECONDS
        with studio(chaos=0.1, breaks=0.05, seconds=seconds, seed=args.seed) as server, folder() as made:
            night = batch_nights.BatchNight(server, made, 100, budget=f"{100 * PRICE} credits")
            done, lost = batch_nights.kill(night, dice, 50, resolves=resolves)
            lost += night.finish()
            try:
                batch_nights.all_is_well(night)
                wrong = ""
            except AssertionError as error:
                wrong = str(error) or "a bare assertion"
            made_ = server.stats()["studio"]["made"]
        when = "before each run" if resolves else "where a run ended by itself"
        what = f"100 rows, {done} kills, {made_} jobs, {lost} unknown submits resolved {when}"
        yield f"kills: {what}", wrong or "all well", "bought twice 0, lost 0, files and report whole", not wrong


def two(args: argparse.Namespace) -> Iterator[Row]:
    for chaos, cost in ((0.0, PRICE), (0.1, PRICE), (0.0, PRICE + 1)):
        budget = 30 * PRICE
        settings = {"chaos": chaos, "cost": cost, "seconds": batch_nights.SECONDS, "seed": args.seed}
        with studio(slots=50, **settings) as server, folder() as made:
            options = {"slots": {"studio": 3}, "budget": f"{budget} credits"}
            night = batch_nights.BatchNight(server, made, 60, **options)
            for _ in range(1 if chaos == 0 else 8):
                for process in [night.start(), night.start()]:
                    process.communicate()
                night.resolve()
            seen = server.stats()["studio"]
        more = 4 * (cost - PRICE)
        name = f"two processes, {chaos:.0%} chaos, a job costs {cost} of {PRICE} told"
        yield f"{name}: in flight", f"{seen['most']}", "3 slots + 1", seen["most"] <= 4
        spent = seen["spent"] <= budget + more and not seen["twice"]
        yield f"{name}: spent", f"{seen['spent']}", f"{budget} + {more}, bought twice 0", spent


# -- polls ------------------------------------------------------------------------------------------------------------

GAP, JOBS = 0.5, 20


def polls(args: argparse.Namespace) -> Iterator[Row]:
    with studio(slots=JOBS, gap=GAP, seconds=(28.0, 30.0), seed=args.seed) as server, folder() as made:
        found(child("polling", origin=server.origin, folder=str(made)))
        seen = server.stats()
    (late, other), refused = map(_late, (seen["studio"], seen["atelier"])), seen["studio"]["refused"]
    told = f"{late[0]:.3f} s, {late[1]:.3f} s; beside none {other[0]:.3f} s, {other[1]:.3f} s"
    yield f"polls beside {refused} refused submits: late (99 %, worst)", told, "0.1 s more", late[0] - other[0] <= 0.1


def _late(seen: dict[str, Any]) -> tuple[float, float]:
    late = seen["late"]
    return late[int(0.99 * (len(late) - 1))], late[-1]


def polling(origin: str, folder: str) -> None:
    """Twice as many rows as there are slots at `studio`, and as many as there are at `atelier`."""
    stop = threading.Event()
    with client(origin, Path(folder), Studios(GAP), pacing=vidpoll.Fixed(GAP)) as running:
        given = [*rows(2 * JOBS, account="studio")]
        given += [{**row, "key": f"{row['key']}a"} for row in rows(JOBS, account="atelier")]
        threading.Timer(27.0, stop.set).start()
        options: dict[str, Any] = {"slots": {"studio": 2 * JOBS, "atelier": JOBS}, "stop": stop}
        for _ in running.batch(given, kind="t2v", name="polls", into=folder, **options):
            pass
    print("null")


# -- slots ------------------------------------------------------------------------------------------------------------

SPEED, WINDOW, TAKES = 60.0, 80.0, (60.0, 180.0)
"""Seconds of the clients' clock a second; real seconds that are measured; the clients' seconds that a job takes."""


def slots(args: argparse.Namespace) -> Iterator[Row]:
    for first, then in ((3, 3), (20, 20), (20, 3), (3, 20)):
        seconds = TAKES[0] / SPEED, TAKES[1] / SPEED
        servers = [studio(slots=first, seconds=seconds, seed=args.seed) for _ in range(2)]
        with servers[0] as learning, servers[1] as told, folder() as one, folder() as other:
            limits = (first, then)
            children = [
                child("filling", origin=learning.origin, folder=str(one), limits=limits, told=False),
                child("filling", origin=told.origin, folder=str(other), limits=limits, told=True),
            ]
            learnt, known = map(found, children)
        name = f"slots, {first}" if first == then else f"slots, {first} and then {then}"
        share, refused = learnt["busy"] / known["busy"], learnt["refused"] / learnt["sent"]
        busy = f"{share:.2f} ({learnt['busy']:.0f} / {known['busy']:.0f} slot seconds)"
        yield f"{name}: use of slots beside knowing", busy, "0.90", share >= 0.9
        submits = f"{refused:.3f} ({learnt['refused']} of {learnt['sent']} submits)"
        yield f"{name}: refusals", submits, "0.05", refused <= 0.05


def filling(origin: str, folder: str, limits: list[int], *, told: bool) -> None:
    """One batch in which the limit changes; who is told it makes a batch of each half."""
    server = Studio(origin)
    server.limit(limits[0])
    halves = [WINDOW / 2, WINDOW / 2] if told else [WINDOW]
    change = threading.Timer(WINDOW / 2, server.limit, [limits[1]])
    with client(origin, Path(folder), Studios(4.0, TAKES), clock=Clock(time.time(), SPEED)) as running:
        change.start()
        for limit, seconds in zip(limits, halves, strict=False):
            stop = threading.Event()
            threading.Timer(seconds, stop.set).start()
            options: dict[str, Any] = {"slots": limit if told else None, "stop": stop, "into": folder}
            for _ in running.batch(rows(1500), account="studio", kind="t2v", name="slots", **options):
                pass
        print(json.dumps(server.stats()["studio"]))


# -- ten thousand rows ------------------------------------------------------------------------------------------------

PLAIN = 300
"""Jobs that are submitted and waited for one by one."""


def many(args: argparse.Namespace) -> Iterator[Row]:
    with studio(slots=10**6, seconds=(0.0, 0.0)) as server, folder() as made:
        seen = found(child("night", origin=server.origin, folder=str(made), number=args.rows))
    with studio(slots=10**6, seconds=(0.0, 0.0)) as server, folder() as made:
        plain = found(child("plain", origin=server.origin, folder=str(made), number=PLAIN))
    number, name = args.rows, f"{args.rows:,} rows"
    yield f"{name}: plan", f"{seen['plan']:.1f} s", "10 s", seen["plan"] <= 10
    yield f"{name}: memory after the plan", f"{seen['planned']:.0f} MiB", "120 MiB", seen["planned"] <= 120
    yield f"{name}: memory after the run", f"{seen['peak']:.0f} MiB", "120 MiB", seen["peak"] <= 120
    each, other = 1000 * seen["run"] / number, 1000 * plain["run"] / PLAIN
    told = f"{seen['run']:.0f} s, {each:.1f} ms a row; submit, wait and download one by one {other:.1f} ms"
    yield f"{name}: run", told, "all completed", seen["done"] == number
    each, other = seen["commits"] / number, plain["commits"] / PLAIN
    told = f"{each:.2f} a row, {other:.2f} a job of submit, wait and download"
    yield f"{name}: commits", told, "2 a row more", each - other <= 2


def counted(running: vidpoll.Client) -> list[int]:
    """A list of one number that grows with each commit of the client's store."""
    count = [0]

    def heard(sql: str) -> None:
        count[0] += sql == "COMMIT"

    running._keeper.store._connection.set_trace_callback(heard)  # type: ignore[union-attr]
    return count


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def night(origin: str, folder: str, number: int) -> None:
    sheet = Path(folder) / "shots.csv"
    with sheet.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("key", "prompt"), *(row.values() for row in rows(number))])
    with client(origin, Path(folder)) as running:
        count, start = counted(running), time.monotonic()
        batch = running.batch(
            sheet,
            account="studio",
            kind="t2v",
            into=Path(folder) / "clips",
            budget=f"{number * PRICE} credits",
            report=Path(folder) / "report.csv",
            slots=50,
        )
        plan, planned = time.monotonic() - start, _peak()
        looked = start = time.monotonic()
        for _ in batch:
            if time.monotonic() - looked > 1:  # as the command line does
                looked = time.monotonic()
                batch.status()
        took = time.monotonic() - start
        done = batch.status().done
    print(
        json.dumps({"plan": plan, "planned": planned, "peak": _peak(), "run": took, "done": done, "commits": count[0]})
    )


def plain(origin: str, folder: str, number: int) -> None:
    with client(origin, Path(folder)) as running:
        count, start = counted(running), time.monotonic()
        for row in rows(number):
            running.wait(running.submit("studio", "t2v", prompt=row["prompt"]), download=folder)
    print(json.dumps({"commits": count[0], "run": time.monotonic() - start}))


# -- the table --------------------------------------------------------------------------------------------------------

SECTIONS: dict[str, Section] = {"kills": kills, "two": two, "polls": polls, "slots": slots, "rows": many}
CHILDREN: dict[str, Callable[..., None]] = {"polling": polling, "filling": filling, "night": night, "plain": plain}


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        CHILDREN[sys.argv[2]](**json.loads(sys.argv[3]))
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), metavar="SECTION", help=" ".join(SECTIONS))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    well = True
    print("| measure | figure | bound | |\n| --- | --- | --- | --- |", flush=True)
    for name in args.sections:
        for what, figure, bound, holds in SECTIONS[name](args):
            print(f"| {what} | {figure} | {bound} | {'' if holds else 'MISSED'} |", flush=True)
            well = well and holds
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
