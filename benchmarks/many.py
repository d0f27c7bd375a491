"""Many jobs in one process: how late they are asked, and what a question costs, beside other ways to write the loop.

    python benchmarks/many.py [JOBS ...] [--seconds 20] [--peers NAME,NAME] [--svg FILE]

Each job is due 5 s after it was asked last; an answer takes 100 ms. The server is another process that keeps the time:
*late* is how much more than 5 s have passed when the same job is asked again, and jobs that are not asked any more
count with what they have waited. Each loop runs in a process of its own, one after the other; the CPU of a poll and the
memory are those of that process. `pool` is the yardstick: a bare dispatcher with threads that do a prepared
`adapter.send` and `json.loads`. `--ceiling` asks the server alone, as fast as it can answer.

Goals at 10,000 jobs: late by at most 0.05 s (99 %), at most 256 threads and 70 MiB, CPU at most 1.25 of the pool's.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

GAP, TAKES = 5.0, 0.1
BODY = b'{"id": "%s", "status": "running", "stage": "rendering", "progress": null, "video_url": null}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


# -- the server -------------------------------------------------------------------------------------------------------


class Server(asyncio.Protocol):
    """Answers `GET /jobs/ID` after TAKES seconds (at once where the id begins with 0), and counts how late each is."""

    last: dict[bytes, float] = {}  # noqa: RUF012 - one server, one process
    late: list[float] = []  # noqa: RUF012
    requests = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        loop, now = asyncio.get_running_loop(), time.monotonic()
        path = data.split(b" ", 2)[1]
        if path == b"/stats":
            self.answer(json.dumps(self.stats(now)).encode())
            return
        Server.requests += 1
        job = path.rpartition(b"/")[2]
        if job in self.last:
            self.late.append(now - self.last[job] - GAP)
        self.last[job] = now
        body = BODY % job
        if job.startswith(b"0"):
            self.answer(body)
        else:
            loop.call_later(TAKES, self.answer, body)

    def answer(self, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(HEAD % len(body) + body)

    def stats(self, now: float) -> dict[str, float]:
        """How late they were so far, those that are overdue included; begins anew."""
        late = sorted([*self.late, *(now - at - GAP for at in self.last.values() if now - at > GAP)])
        told = {"polls": Server.requests, "p50": _share(late, 0.5), "p99": _share(late, 0.99), "jobs": len(self.last)}
        self.late.clear()
        Server.requests = 0
        return told


def _share(values: list[float], share: float) -> float:
    return max(values[int(share * (len(values) - 1))], 0.0) if values else 0.0


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


# -- the loops --------------------------------------------------------------------------------------------------------


def with_vidpoll(url: str, jobs: int) -> None:
    import vidpoll
    from vidpoll import parsing

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        body = parsing.json_object(response)
        state = parsing.lookup({"running": vidpoll.State.RUNNING}, body.get("status"))
        return vidpoll.Snapshot(state, stage=parsing.text(body.get("stage")), job_id=parsing.text(body.get("id")))

    class Acme:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
            status = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}"), parse)
            yield vidpoll.Provider("acme", url, vidpoll.NoAuth(), vidpoll.Pacing(floor=GAP), status)

    with vidpoll.Client(plugins=[Acme()], discover=False, pacing=vidpoll.Fixed(GAP)) as client:
        for _ in client.as_completed([f"acme:{number}" for number in range(1, jobs + 1)]):
            pass


def with_pool(url: str, jobs: int) -> None:
    """A heap of due times, 256 threads, prepared requests: as little as a threaded loop can be."""
    import requests
    from requests.adapters import HTTPAdapter

    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.Queue[tuple[str, float]] = queue.Queue()

    def work() -> None:
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
        while True:
            job = todo.get()
            asked = time.monotonic()
            request = requests.Request("GET", f"{url}/jobs/{job}").prepare()
            json.loads(adapter.send(request).content)
            done.put((job, asked))

    heap = [(time.monotonic() + GAP * number / jobs, str(number + 1)) for number in range(jobs)]
    for _ in range(min(jobs, 256)):
        threading.Thread(target=work, daemon=True).start()
    while True:
        while heap and heap[0][0] <= time.monotonic():
            todo.put(heapq.heappop(heap)[1])
        try:
            job, asked = done.get(timeout=max(heap[0][0] - time.monotonic(), 0.0) if heap else None)
        except queue.Empty:
            continue
        heapq.heappush(heap, (asked + GAP, job))


def with_loop(url: str, jobs: int) -> None:
    """What scripts do: one after the other."""
    import requests

    while True:
        begun = time.monotonic()
        for number in range(jobs):
            requests.get(f"{url}/jobs/{number + 1}", timeout=30).json()
        time.sleep(max(0.0, begun + GAP - time.monotonic()))


def with_threads(url: str, jobs: int) -> None:
    """A thread and a Session a job."""
    import requests

    def follow(job: int) -> None:
        time.sleep(GAP * job / jobs)
        with requests.Session() as session:
            while True:
                asked = time.monotonic()
                session.get(f"{url}/jobs/{job}", timeout=30).json()
                time.sleep(max(0.0, asked + GAP - time.monotonic()))

    threading.stack_size(256 * 1024)
    for number in range(jobs):
        threading.Thread(target=follow, args=(number + 1,), daemon=True).start()
    time.sleep(3600)


def with_aiohttp(url: str, jobs: int) -> None:
    """A task a job."""
    import aiohttp

    async def follow(session: Any, job: int) -> None:
        await asyncio.sleep(GAP * job / jobs)
        while True:
            asked = time.monotonic()
            async with session.get(f"{url}/jobs/{job}") as answer:
                await answer.json()
            await asyncio.sleep(max(0.0, asked + GAP - time.monotonic()))

    async def run() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256)) as session:
            await asyncio.gather(*(follow(session, number + 1) for number in range(jobs)))

    asyncio.run(run())


LOOPS: dict[str, Callable[[str, int], None]] = {
    "pool": with_pool, "vidpoll": with_vidpoll, "aiohttp": with_aiohttp, "threads": with_threads, "loop": with_loop,
}  # fmt: skip


def run(name: str, url: str, jobs: int, seconds: float) -> None:
    """Run one loop in this process for so long, and print what it cost."""
    threading.Thread(target=_measure, args=(url, seconds), daemon=True).start()
    LOOPS[name](url, jobs)


def _measure(url: str, seconds: float) -> None:
    time.sleep(1.5 * GAP)  # the first questions, and the threads that they need, do not count
    _stats(url)
    before, most = time.process_time(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.25)
        most = max(most, threading.active_count() - 1)
    cpu = time.process_time() - before
    told = _stats(url)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**told, "cpu": cpu, "threads": most, "peak": peak, "seconds": seconds}), flush=True)
    os._exit(0)


def _stats(url: str) -> dict[str, float]:
    from http.client import HTTPConnection

    connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("GET", "/stats")
    told: dict[str, float] = json.loads(connection.getresponse().read())
    return told


# -- the comparison ---------------------------------------------------------------------------------------------------


def measure(name: str, jobs: int, seconds: float) -> dict[str, float]:
    """One loop in a fresh process, with a fresh server."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        command = [sys.executable, __file__, "run", name, url, str(jobs), str(seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
        found: dict[str, float] = json.loads(done.stdout or "{}")
    finally:
        server.kill()
        server.communicate()
    return found


def ceiling() -> float:
    """Requests a second that the server answers at once, asked in turns over raw sockets by another process."""
    import socket

    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = ("127.0.0.1", int(server.stdout.readline()))
        peers = [socket.create_connection(address) for _ in range(8)]
        begun, asked = time.monotonic(), 0
        while time.monotonic() - begun < 3.0:
            for peer in peers:
                peer.sendall(b"GET /jobs/0%d HTTP/1.1\r\nHost: x\r\n\r\n" % asked)
            for peer in peers:
                peer.recv(4096)
            asked += len(peers)
        return asked / 3.0
    finally:
        server.kill()
        server.communicate()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve())
        return
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int, nargs="*")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--peers", default=",".join(LOOPS))
    parser.add_argument("--ceiling", action="store_true")
    parser.add_argument("--svg", metavar="FILE")
    args = parser.parse_args()
    if args.ceiling:
        print(f"the server answers {ceiling():.0f} requests/s to eight connections of raw sockets")
        return
    names = [name for name in args.peers.split(",") if name != "aiohttp" or find_spec("aiohttp")]
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name in names}
    for jobs in args.jobs or (1, 100, 1000, 10000):
        for name in names:
            if name == "threads" and jobs > 1000:
                print(f"{jobs:6} jobs  {name:8} (a thread a job: not tried)")
                continue
            told = found[name][jobs] = measure(name, jobs, args.seconds)
            yardstick = found.get("pool", {}).get(jobs)
            print(f"{jobs:6} jobs  {name:8} {_line(told, yardstick)}", flush=True)
    if args.svg:
        Path(args.svg).write_text(svg(found), encoding="utf-8")


COLOURS = {"vidpoll": "#c2410c", "pool": "#475569", "aiohttp": "#0369a1", "threads": "#7e22ce", "loop": "#a3a3a3"}


def svg(found: dict[str, dict[int, dict[str, float]]]) -> str:
    """How late the loops are (99 %) as the jobs grow, and what a poll costs; both axes logarithmic."""
    late = {name: {jobs: max(told["p99"], 0.001) for jobs, told in by.items() if told} for name, by in found.items()}
    cost = {name: {jobs: told["cost"] * 1e6 for jobs, told in by.items() if told} for name, by in found.items()}
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 330" font-family="sans-serif" font-size="12">',
        '<rect width="760" height="330" fill="white"/>',
        *_panel(60, "late by (99 %), seconds", late, 0.001, 100.0),
        *_panel(430, "CPU of a poll, microseconds", cost, 100.0, 10_000.0),
    ]
    for number, name in enumerate(found):
        x = 60 + number * 90
        parts.append(f'<rect x="{x}" y="308" width="12" height="4" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{x + 18}" y="314">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(left: int, title: str, values: dict[str, dict[int, float]], low: float, high: float) -> Iterator[str]:
    def place(jobs: float, value: float) -> tuple[float, float]:
        up = math.log(min(max(value, low), high) / low) / math.log(high / low)
        return left + 270 * math.log10(max(jobs, 1)) / 4, 260 - 210 * up

    yield f'<text x="{left}" y="30" font-weight="bold">{title}</text>'
    mark = low
    while mark <= high * 1.01:
        _, y = place(1, mark)
        yield f'<line x1="{left}" x2="{left + 270}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e5e5"/>'
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#525252">{mark:g}</text>'
        mark *= 10
    for jobs in (1, 100, 1000, 10_000):
        x, _ = place(jobs, low)
        yield f'<text x="{x:.1f}" y="280" text-anchor="middle" fill="#525252">{jobs:,}</text>'
    for name, by in values.items():
        points = [place(jobs, value) for jobs, value in sorted(by.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[name]}"/>' for x, y in points)


def _line(told: dict[str, float], yardstick: dict[str, float] | None) -> str:
    if not told:
        return "(it failed)"
    cost = told["cpu"] / max(told["polls"], 1)
    told["cost"] = cost
    beside = f" {cost / yardstick['cost']:.2f} of the pool's" if yardstick and yardstick.get("cost") else ""
    return (
        f"late by {told['p50']:.3f} s (50 %), {told['p99']:.3f} s (99 %); "
        f"{told['polls'] / told['seconds']:.0f} polls/s; {told['threads']:.0f} threads, {told['peak']:.0f} MiB; "
        f"{cost * 1e6:.0f} us of CPU a poll{beside}"
    )


if __name__ == "__main__":
    main()
