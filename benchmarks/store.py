"""What a store costs: the start of a command with 1,000 kept jobs, and what is written for each answer.

    python benchmarks/store.py [ROUNDS]

The start of `vidpoll jobs --local --limit 1`, with 1,000 jobs in its store, beside `python -c "import requests"`: both
as new processes, in turns; the median of the differences is the figure. Goal: under 0.3 s. Then the seconds that a
submit, a change of stage and a verdict take in a store of that size.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import vidpoll
from vidpoll.storage import records
from vidpoll.storage.records import Saved
from vidpoll.storage.sqlite import SqliteStore

JOBS = 1000
ORIGIN = vidpoll.Origin("magicoal", "magicoal", "https://example.com", ("MAGICOAL_API_KEY",))


def filled(path: Path) -> SqliteStore:
    """A store with so many jobs, half of them completed, each with a history of twelve moments."""
    store = SqliteStore(path, time.time)
    for number in range(JOBS):
        job = vidpoll.Job(f"magicoal:{number:08x}-4c9e-4b7f-8d2a-1f3c5e7a9b0d", submitted_at=time.time())
        for step in range(12):
            job.receive(vidpoll.Snapshot(vidpoll.State.RUNNING, "generating_video", 8.0 * step), time.time())
        sent = {"prompt": "a lighthouse at dusk, slow cinematic pan " * 5}
        intent = store.begin(ORIGIN, "t2v", sent)
        store.submitted(intent, vidpoll.KeptJob(job.ref, ORIGIN, "t2v", sent, records.facts(job)))
        if number % 2:
            asset = vidpoll.Asset("https://example.com/video.mp4")
            job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, "completed", 100.0, (asset,)), time.time())
            store.end([Saved(job.ref, records.facts(job))])
            store.told([job.ref])
    return store


def seconds(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """By the clock, and of the processor."""
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, used


def each(times: int, call: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.sqlite3"
        store = filled(path)
        environment = {**os.environ, "VIDPOLL_STORE": str(path)}
        bare = [sys.executable, "-c", "import requests"]
        vidpoll_jobs = [sys.executable, "-m", "vidpoll", "jobs", "--local", "--limit", "1"]
        pairs = [(seconds(vidpoll_jobs, environment), seconds(bare, environment)) for _ in range(rounds)]
        for number, what in enumerate(("by the clock", "of the processor")):
            more = statistics.median(ours[number] - theirs[number] for ours, theirs in pairs)
            print(f"start with {JOBS:,} kept jobs, more than python with requests: {more:.3f} s {what}")

        job = store.jobs(unfinished=True)[0].job
        facts = records.facts(job)
        print(f"bytes a job in the file:  {path.stat().st_size / JOBS:,.0f}")
        print(f"bytes of facts a job:     {len(json.dumps(facts)):,}")
        print(f"a change of stage:        {each(500, lambda: store.save([Saved(job.ref, facts, 1)])) * 1e3:.2f} ms")
        intent: Callable[[], None] = lambda: store.refused(store.begin(ORIGIN, "t2v", {"prompt": "x"}))  # noqa: E731
        print(f"a submit that is refused: {each(100, intent) * 1e3:.2f} ms")
        verdict: Callable[[], object] = lambda: (store.claim([job.ref]), store.told([job.ref]))  # noqa: E731
        print(f"a verdict and its telling: {each(100, verdict) * 1e3:.2f} ms")
        store.close()


if __name__ == "__main__":
    main()
