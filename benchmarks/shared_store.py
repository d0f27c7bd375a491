"""What the store on PostgreSQL costs with a million open jobs: each call that serving makes, on a server of its own.

    python benchmarks/shared_store.py [JOBS] [--url URL]

4,000 accounts share the jobs, 1 KiB a row. Needs PostgreSQL's programs and `vidpoll-postgres`; the server stands on
loopback in a temporary folder, syncs to the disk, and goes at the end. With `--url` a database that has no store is
used, and its schema `vidpoll` is dropped in the end. Each figure is the median of the rounds, the worst one beside it.
Goals: 40 shards claimed in 50 ms, news of 40 shards in 5 ms. Ends with 1 where one is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import psycopg
from servers import Postgres
from vidpoll_postgres.store import PostgresStore

import vidpoll
from vidpoll.storage import records
from vidpoll.storage.protocol import Saved, Shard, bucket

ACCOUNTS, SHARDS, BATCH, ROUNDS = 4000, 40, 500, 20
NOW = 1_800_000_000.0

FILL = """
    COPY vidpoll.jobs (ref, account, provider, base_url, variables, operation, sent, facts, submitted_at, added_at,
        bucket, change) FROM STDIN"""


def facts(ref: str, stage: str) -> dict[str, Any]:
    """What is kept of a job that runs."""
    job = vidpoll.Job(ref, submitted_at=NOW)
    job.receive(vidpoll.Snapshot(vidpoll.State.RUNNING, stage, 20.0), NOW)
    return records.facts(job)


def fill(url: str, jobs: int) -> None:
    """So many open jobs, in turns at the accounts."""
    kept = json.dumps(facts("a0:0", "drawing"))
    sent = json.dumps({"prompt": "a lighthouse at dusk, slow cinematic pan " * 3})
    with psycopg.connect(url, autocommit=True) as db:
        with db.cursor().copy(FILL) as copy:
            for number in range(jobs):
                account = f"a{number % ACCOUNTS}"
                ref = f"{account}:{number:08x}-4c9e-4b7f-8d2a-1f3c5e7a9b0d"
                where = (ref, account, "acme", "https://api.acme.example", '["ACME_API_KEY"]')
                copy.write_row((*where, "t2v", sent, kept, NOW, NOW, bucket(ref), 3))
        db.execute("VACUUM ANALYZE vidpoll.jobs")
        size = db.execute(
            "SELECT pg_table_size('vidpoll.jobs') / 1e6, pg_indexes_size('vidpoll.jobs') / 1e6"
        ).fetchone()
        assert size is not None
        print(f"{jobs:,} open jobs: {size[0]:.0f} MB, and {size[1]:.0f} MB of indexes")


def timed(what: str, calls: Sequence[Callable[[], object]], *, rows: int = 1, goal: float | None = None) -> bool:
    """Make calls, one after the other, and print how long one takes; whether the goal (seconds) is reached."""
    took = []
    for call in calls:
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    middle = statistics.median(took)
    a_row = f", {middle / rows * 1000:.2f} ms a row" if rows > 1 else ""
    limit = f"  (goal: {goal * 1000:.0f} ms)" if goal else ""
    print(f"{what:46} {middle * 1000:8.1f} ms, worst {max(took) * 1000:8.1f} ms{a_row}{limit}")
    return goal is None or middle <= goal


def measure(url: str) -> bool:
    """All figures; whether the goals are reached."""
    one, two = PostgresStore(url), PostgresStore(url)
    accounts = dict.fromkeys(sorted(one.accounts(), key=hash), 1)
    timed("divide all accounts, once", [lambda: two.give(two.take(accounts, SHARDS))])
    taken: list[Shard] = []
    good = timed(
        f"claim {SHARDS} of {ACCOUNTS:,} shards",
        [lambda: taken.extend(one.take(accounts, SHARDS)) for _ in range(ROUNDS)],
        goal=0.050,
    )
    timed(
        "claim where nothing is free", [lambda: two.take(dict.fromkeys({s.account for s in taken}, 1), SHARDS)] * ROUNDS
    )
    shards = taken[:SHARDS]
    timed("load a shard", [lambda shard=shard: one.news([shard], 0.0) for shard in taken[:ROUNDS]])
    timed(f"load {SHARDS} shards", [lambda: one.news(shards, 0.0)] * 3)
    jobs, mark = one.news(shards, 0.0)
    good &= timed(f"news of {SHARDS} shards, none", [lambda: one.news(shards, mark)] * ROUNDS, goal=0.005)
    timed("news of a shard, none", [lambda: one.news(shards[:1], mark)] * ROUNDS)
    refs = [kept.ref for kept in jobs]
    groups = [refs[at : at + BATCH] for at in range(0, len(refs), BATCH)][:ROUNDS]
    save = [[Saved(ref, facts(ref, "saving"), 3) for ref in group] for group in groups]
    timed(f"save {BATCH}", [lambda rows=rows: one.save(rows) for rows in save], rows=BATCH)
    verdicts = [[Saved(ref, facts(ref, "done"), 1) for ref in refs[at : at + 50]] for at in range(0, 50 * ROUNDS, 50)]
    timed("end 50, durable", [lambda rows=rows: two.end(rows) for rows in verdicts], rows=50)
    good &= timed(f"news of {SHARDS} shards, {50 * ROUNDS:,} verdicts", [lambda: one.news(shards, mark)], goal=None)
    timed("told 50, durable", [lambda rows=rows: two.told([row.ref for row in rows]) for rows in verdicts], rows=50)
    mark = one.news(shards, mark)[1]
    timed("end one, durable", [lambda ref=ref: one.end([Saved(ref, {})]) for ref in refs[1500:1520]])
    good &= timed(f"news of {SHARDS} shards, 20 verdicts", [lambda: one.news(shards, mark)] * ROUNDS, goal=0.005)
    timed("heartbeat", [one.beat] * ROUNDS)
    timed("held", [one.held] * ROUNDS)
    timed("accounts with unfinished jobs", [one.accounts] * 5)
    timed("gauges", [one.gauges] * 3)
    begin = [lambda n=n: one.begin(vidpoll.Origin("a1"), "t2v", {}, key=str(n)) for n in range(ROUNDS)]
    timed("begin a submit with a key, durable", begin)
    for store in (one, two):
        store.close()
    return good


def main() -> int:
    """The figures, and whether the goals were reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("jobs", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--url", default="")
    options = parser.parse_args()
    server = None
    try:
        if not options.url:
            server = Postgres(durable=True, max_wal_size="4GB", shared_buffers="256MB")
            server.start()
        url = options.url or server.url()
        PostgresStore(url).close()
        fill(url, options.jobs)
        return 0 if measure(url) else 1
    finally:
        if server is not None:
            server.remove()
        else:
            with psycopg.connect(options.url, autocommit=True) as db:
                db.execute("DROP SCHEMA IF EXISTS vidpoll CASCADE")


if __name__ == "__main__":
    sys.exit(main())
