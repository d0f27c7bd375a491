"""Files that come while the wait goes on: how late the questions are meanwhile, and how long the files take.

    python benchmarks/files.py [--jobs 200] [--takes 20] [--gap 5] [--parallel 4]

The server, another process, sends a file of 4 MiB in `--takes` seconds, whoever asks, and keeps the time: *late* is how
much more than `--gap` seconds have passed when a job without a verdict is asked about again. Some jobs have ended at
the beginning, the others end one by one in the first half of the time that all files take. One after the other, each in
a process of its own:

    wait      as_completed without files
    alone     `--parallel` threads that call `client.download` for completed jobs, as many at once
    together  as_completed with download=

Goals: no question of `together` late by more than 0.1 s; bytes and seconds as `alone`. `--takes 2 --gap 1` is a tenth
of it, in two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SIZE, PIECES = 4 * 1024 * 1024, 40
START = b"\0\0\0\x18ftypisom"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
FILE = b'HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % SIZE
RUNNING = b'{"status": "running"}'
DONE = b'{"status": "completed", "url": "/files/%s.mp4"}'


# -- the server -------------------------------------------------------------------------------------------------------


class Server(asyncio.Protocol):
    """`GET /jobs/N` says whether job N has ended, `GET /files/N.mp4` takes its time, `GET /begin` begins anew."""

    ends: dict[bytes, float] = {}  # noqa: RUF012 - one server, one process
    last: dict[bytes, float] = {}  # noqa: RUF012
    late: list[float] = []  # noqa: RUF012
    sent = 0
    options: argparse.Namespace

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        now, path = time.monotonic(), data.split(b" ", 2)[1]
        name = path.rpartition(b"/")[2]
        if path == b"/begin":
            self.begin(now)
            self.answer(b"{}")
        elif path == b"/stats":
            late = sorted(self.late)
            told = {"late": late[-1], "p99": late[int(0.99 * (len(late) - 1))], "polls": len(late)} if late else {}
            self.answer(json.dumps({**told, "sent": Server.sent}).encode())
        elif path.startswith(b"/files/"):
            self.task = asyncio.get_running_loop().create_task(self.send())
        else:
            if name in self.last:
                self.late.append(now - self.last[name] - self.options.gap)
            self.last[name] = now
            self.answer(DONE % name if now >= self.ends[name] else RUNNING)

    def begin(self, now: float) -> None:
        options = self.options
        step, ended = 0.5 * options.takes / options.parallel, 2 * options.parallel
        Server.ends = {b"%d" % number: now + step * max(0, number - ended) for number in range(options.jobs)}
        Server.sent = 0
        self.last.clear()
        self.late.clear()

    async def send(self) -> None:
        piece = SIZE // PIECES
        self.transport.write(FILE)
        for number in range(PIECES):
            await asyncio.sleep(self.options.takes / PIECES)
            rest = SIZE - piece * (PIECES - 1) if number == PIECES - 1 else piece
            self.transport.write((START if number == 0 else b"").ljust(rest, b"\0"))
            Server.sent += rest

    def answer(self, body: bytes) -> None:
        self.transport.write(JSON % len(body) + body)


async def serve(options: argparse.Namespace) -> None:
    Server.options = options
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


# -- the ways ---------------------------------------------------------------------------------------------------------


def client(url: str, gap: float) -> Any:
    import vidpoll
    from vidpoll import parsing

    words = {"running": vidpoll.State.RUNNING, "completed": vidpoll.State.COMPLETED}

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        body = parsing.json_object(response)
        return vidpoll.Snapshot(parsing.lookup(words, body.get("status")), assets=parsing.assets(body.get("url")))

    class Acme:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
            status = vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}"), parse)
            yield vidpoll.Provider("acme", url, vidpoll.NoAuth(), vidpoll.Pacing(floor=gap), status)

    return vidpoll.Client(plugins=[Acme()], discover=False, pacing=vidpoll.Fixed(gap))


def waits(url: str, folder: Path, options: argparse.Namespace, **words: Any) -> None:
    with client(url, options.gap) as ours:
        refs = [f"acme:{number}" for number in range(options.jobs)]
        for job in ours.as_completed(refs, timeout=None, **words):
            if job.download_error is not None:
                raise job.download_error


def together(url: str, folder: Path, options: argparse.Namespace) -> None:
    waits(url, folder, options, download=folder, parallel=options.parallel)


def alone(url: str, folder: Path, options: argparse.Namespace) -> None:
    import vidpoll

    def fetch(number: int) -> None:
        job = vidpoll.Job(f"acme:{number}")
        job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset(f"/files/{number}.mp4"),)), 0.0)
        ours.download(job, folder, timeout=None)

    with client(url, options.gap) as ours, ThreadPoolExecutor(options.parallel) as pool:
        list(pool.map(fetch, range(options.jobs)))


WAYS: dict[str, Callable[..., None]] = {"wait": waits, "alone": alone, "together": together}


def run(name: str, url: str, options: argparse.Namespace) -> None:
    """One way in this process; prints what it took."""
    most = [0]

    def watch() -> None:
        while True:
            most[0] = max(most[0], threading.active_count())
            time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.monotonic(), time.process_time()
        WAYS[name](url, Path(folder), options)
        took, used = time.monotonic() - start, time.process_time() - cpu
        sizes = [path.stat().st_size for path in Path(folder).iterdir()]
    print(json.dumps({"seconds": took, "cpu": used, "files": len(sizes), "bytes": sum(sizes), "threads": most[0]}))


def main(options: argparse.Namespace) -> None:
    words = [
        word for name in ("jobs", "takes", "gap", "parallel") for word in (f"--{name}", str(getattr(options, name)))
    ]
    server = subprocess.Popen([sys.executable, __file__, *words, "--mode", "serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    try:
        for name in WAYS:
            urllib.request.urlopen(f"{url}/begin").close()
            command = [sys.executable, __file__, *words, "--mode", name, "--url", url]
            said = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            with urllib.request.urlopen(f"{url}/stats") as answer:
                told = json.load(answer)
            print(
                f"{name:8}  {said['seconds']:7.1f} s  {said['files']} files, {said['bytes']:,} bytes (sent: "
                f"{told['sent']:,}), {said['cpu']:.1f} s CPU, {said['threads']} threads"
            )
            if told.get("polls"):
                late = f"{told['p99']:.3f} s (99 %), {told['late']:.3f} s at most"
                print(f"          late {late}, of {told['polls']} questions", flush=True)
    finally:
        server.kill()
        server.communicate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--takes", type=float, default=20.0)
    parser.add_argument("--gap", type=float, default=5.0)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--mode", default="")
    parser.add_argument("--url", default="")
    given = parser.parse_args()
    if given.mode == "serve":
        asyncio.run(serve(given))
    elif given.mode:
        run(given.mode, given.url, given)
    else:
        main(given)
