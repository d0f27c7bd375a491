"""How much later a verdict is heard because a store keeps it: the same jobs without a store and with one, in one run.

    python benchmarks/store_delay.py [JOBS] [--seconds 50] [--gap 7.5]

3,000 jobs are polled every 7.5 s, 400 polls a second; they end within 40 s, 75 verdicts a second. Each answer brings
another progress. The server is another process, and an answer takes 2 ms. *Delay* is from a job's end to the second in
which the client tells of it. Goal: the mean delay with a store is at most 1.15 of that without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

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


def run(kind: str, jobs: int, seconds: float, gap: float) -> None:
    """All jobs in this process, with a store or without; prints how late their verdicts were heard."""
    import vidpoll
    from vidpoll import State, parsing

    begun = time.time() + 1.0
    arguments = [sys.executable, __file__, "serve", str(jobs), str(seconds), str(begun)]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        body = parsing.json_object(response)
        state = parsing.lookup({"running": State.RUNNING, "done": State.COMPLETED}, body["status"])
        return vidpoll.Snapshot(state, progress=body["progress"], assets=parsing.assets(body["url"]))

    class Plugin:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> list[vidpoll.Provider]:
            status = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}"), parse)
            pacing = vidpoll.Pacing(floor=5.0)
            return [vidpoll.Provider("acme", base_url=url, auth=vidpoll.NoAuth(), pacing=pacing, status=status)]

    over = ends(jobs, seconds, begun)
    delays: list[float] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            store = None if kind == "none" else Path(folder) / "jobs.sqlite3"
            with vidpoll.Client(plugins=[Plugin()], discover=False, store=store, pacing=vidpoll.Fixed(gap)) as client:
                time.sleep(max(0.0, begun - time.time()))
                before = time.process_time()
                for job in client.as_completed([f"acme:{number}" for number in range(jobs)]):
                    assert job.ok, job
                    delays.append(time.time() - over[int(job.id)])
                cpu = time.process_time() - before
        delays.sort()
        late = {"mean": sum(delays) / len(delays), "p99": delays[int(0.99 * len(delays))], "cpu": cpu}
        print(json.dumps(late))
    finally:
        server.kill()
        server.communicate()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
        return
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int, nargs="?", default=3000)
    parser.add_argument("--seconds", type=float, default=50.0)
    parser.add_argument("--gap", type=float, default=7.5)
    args = parser.parse_args()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    found: dict[str, dict[str, float]] = {}
    for kind in ("none", "sqlite"):
        command = [sys.executable, __file__, "run", kind, str(args.jobs), str(args.seconds), str(args.gap)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
        found[kind] = told = json.loads(done.stdout)
        late = f"heard {told['mean']:.2f} s late in the mean, {told['p99']:.2f} s (99 %)"
        print(f"{kind:7} {late}; {told['cpu']:.1f} s of CPU")
    ratios = {name: found["sqlite"][name] / found["none"][name] for name in ("mean", "p99", "cpu")}
    print("ratio   " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))


if __name__ == "__main__":
    main()
