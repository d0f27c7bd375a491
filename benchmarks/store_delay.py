"""How much later a verdict is heard because a store keeps it: the same jobs without a store and with one, in one run.

    python benchmarks/store_delay.py [JOBS] [--seconds 50] [--gap 7.5] [--stores sqlite,postgresql]

3,000 jobs are polled every 7.5 s, 400 polls a second; they end within 40 s, 75 verdicts a second. Each answer brings
another progress. The server is another process, and an answer takes 2 ms. *Delay* is from a job's end to the second in
which the client tells of it; *commits* are those of the store. PostgreSQL stands on loopback and syncs to the disk.
With a store the jobs are waited for as without one, and served, too. Goals: the mean delay with a store is at most 1.15
of that without, and a job costs at most 0.3 commits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Server(asyncio.Protocol):
    """Jobs by number; `ends` holds the second at which each is done, by the clock that both processes share."""

    ends: list[float] = []  # noqa: RUF012 - one server, one process
    begun = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        number = int(data.split(b" ", 2)[1].rpartition(b"/")[2])
        asyncio.get_running_loop().call_later(0.002, self.answer, number)

    def answer(self, number: int) -> None:
        share = (time.time() - Server.begun) / (Server.ends[number] - Server.begun)
        told = {"id": str(number), "status": "done" if share >= 1 else "running", "progress": min(share, 1) * 100}
        body = json.dumps({**told, "url": "/video.mp4" if share >= 1 else None}).encode()
        if not self.transport.is_closing():
            self.transport.write(HEAD % len(body) + body)


def ends(jobs: int, seconds: float, begun: float) -> list[float]:
    random = Random(7)
    return [begun + random.uniform(0.2, 1.0) * seconds for _ in range(jobs)]


async def serve(jobs: int, seconds: float, begun: float) -> None:
    Server.begun, Server.ends = begun, ends(jobs, seconds, begun)
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def store(kind: str, folder: str) -> Iterator[tuple[str | None, Callable[[Any], Callable[[], int]]]]:
    """A store, and what begins to count the commits of a client's: called in the end, that gives their number."""
    if kind != "postgresql":
        yield None if kind == "none" else str(Path(folder) / "jobs.sqlite3"), _traced
        return
    import psycopg
    from servers import Postgres

    database = Postgres(durable=True)
    try:
        database.start()

        def commits() -> int:
            time.sleep(1.5)  # a server process tells its numbers once a second
            with psycopg.connect(database.url(), autocommit=True) as db:
                row = db.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'").fetchone()
                assert row is not None
                return int(row[0])

        def counted(client: Any) -> Callable[[], int]:
            before = commits()
            return lambda: commits() - before

        yield database.url(), counted
    finally:
        database.remove()


def _traced(client: Any) -> Callable[[], int]:
    count = 0

    def heard(sql: str) -> None:
        nonlocal count
        count += sql == "COMMIT"

    kept = getattr(client._keeper, "store", None)
    if kept is not None:
        kept._connection.set_trace_callback(heard)
    return lambda: count


def wait(client: Any, refs: list[str], heard: Callable[[str], None]) -> None:
    for job in client.as_completed(refs):
        assert job.ok, job
        heard(job.ref)


def serve_all(client: Any, refs: list[str], heard: Callable[[str], None]) -> None:
    import vidpoll

    left, stop = set(refs), threading.Event()

    def told(event: vidpoll.Event) -> None:
        if isinstance(event, vidpoll.Completed):
            heard(event.ref)
            left.discard(event.ref)
            if not left:
                stop.set()

    client.serve(stop=stop, on_event=told)


def run(kind: str, how: str, jobs: int, seconds: float, gap: float) -> None:
    """All jobs in this process, with a store or without; prints how late their verdicts were heard."""
    from fleet import keep

    import vidpoll
    from vidpoll import State, parsing

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        body = parsing.json_object(response)
        state = parsing.lookup({"running": State.RUNNING, "done": State.COMPLETED}, body["status"])
        return vidpoll.Snapshot(state, progress=body["progress"], assets=parsing.assets(body["url"]))

    class Plugin:
        def __init__(self, url: str) -> None:
            self.url = url

        @vidpoll.hookimpl
        def vidpoll_providers(self) -> list[vidpoll.Provider]:
            status = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}"), parse)
            pacing = vidpoll.Pacing(floor=5.0)
            return [vidpoll.Provider("acme", base_url=self.url, auth=vidpoll.NoAuth(), pacing=pacing, status=status)]

    refs = [f"acme:{number}" for number in range(jobs)]
    delays: list[float] = []
    with tempfile.TemporaryDirectory() as folder, store(kind, folder) as (url, counted):
        begun = time.time() + 4.0
        over = ends(jobs, seconds, begun)
        arguments = [sys.executable, __file__, "serve", str(jobs), str(seconds), str(begun)]
        server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            plugin = Plugin(f"http://127.0.0.1:{server.stdout.readline().strip()}")
            with vidpoll.Client(plugins=[plugin], discover=False, store=url, pacing=vidpoll.Fixed(gap)) as client:
                if how == "serve":
                    keep(client, refs)
                commits = counted(client)
                time.sleep(max(0.0, begun - time.time()))
                before = time.process_time()
                waits = serve_all if how == "serve" else wait
                waits(client, refs, lambda ref: delays.append(time.time() - over[int(ref.partition(":")[2])]))
                cpu = time.process_time() - before
            delays.sort()
            late = {"mean": sum(delays) / len(delays), "p99": delays[int(0.99 * len(delays))], "cpu": cpu}
            print(json.dumps({**late, "commits": commits() / jobs}))
        finally:
            server.kill()
            server.communicate()


def measure(kind: str, how: str, jobs: int = 3000, seconds: float = 50.0, gap: float = 7.5) -> dict[str, float]:
    """What all jobs came to in a process of their own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, __file__, "run", kind, how, str(jobs), str(seconds), str(gap)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
        return
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), float(sys.argv[6]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int, nargs="?", default=3000)
    parser.add_argument("--seconds", type=float, default=50.0)
    parser.add_argument("--gap", type=float, default=7.5)
    parser.add_argument("--stores", default="sqlite")
    args = parser.parse_args()
    none: dict[str, float] = {}
    for kind in ("none", *args.stores.split(",")):
        for how in ("wait",) if kind == "none" else ("wait", "serve"):
            told = measure(kind, how, args.jobs, args.seconds, args.gap)
            none = none or told
            late = f"heard {told['mean']:.2f} s late in the mean, {told['p99']:.2f} s (99 %)"
            print(f"{kind:10} {how:5} {late}; {told['cpu']:.1f} s of CPU, {told['commits']:.2f} commits a job")
            if kind != "none":
                ratios = [f"{name} {told[name] / none[name]:.2f}" for name in ("mean", "p99", "cpu")]
                print(f"{'':16} ratio: {', '.join(ratios)}", flush=True)


if __name__ == "__main__":
    main()
