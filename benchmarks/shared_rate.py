"""Does a rate hold over processes? `python benchmarks/shared_rate.py [--store URL]`

A server on loopback refuses whatever goes beyond 50 requests in any second. Three processes serve one account in three
parts, whose jobs want about twice that. Then one of them is killed: the others go on, and may use what it leaves.
Fails (exit status 1) where more than 3 requests were refused. In the store's place a SQLite file, unless named.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import vidpoll
from vidpoll import parsing

RATE, JOBS, PARTS, MOST = 50, 300, 3, 3


class Server(ThreadingHTTPServer):
    """Counts what comes in any second."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock, self.latest = threading.Lock(), deque[float]()
        self.good = self.refused = self.most = 0

    def lets(self) -> bool:
        with self.lock:
            now = time.monotonic()
            while self.latest and self.latest[0] <= now - 1.0:
                self.latest.popleft()
            if len(self.latest) >= RATE:
                self.refused += 1
                return False
            self.latest.append(now)
            self.good, self.most = self.good + 1, max(self.most, len(self.latest))
            return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        lets = self.server.lets()
        body = b'{"status": "running"}' if lets else b'{"error": "slow down"}'
        self.send_response(200 if lets else 429)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing."""


class Plugin:
    """A provider with a declared rate."""

    name = "rated-plugin"

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> tuple[vidpoll.Provider, ...]:
        status = vidpoll.Operation(
            lambda job_id: vidpoll.Request("GET", f"/jobs/{job_id}"),
            lambda response, job_id: vidpoll.Snapshot(vidpoll.State(parsing.json_object(response)["status"])),
        )
        pacing = vidpoll.Pacing(floor=1.0, rate=(RATE, 1.0))
        url = "https://rated.example"
        return (
            vidpoll.Provider(
                "rated",
                base_url=url,
                auth=vidpoll.Bearer("RATED_API_KEY", required=False),
                pacing=pacing,
                status=status,
            ),
        )


def client(store: str, port: int) -> vidpoll.Client:
    """One of the three."""
    account = vidpoll.Account("rated", base_url=f"http://127.0.0.1:{port}", key=None, parts=PARTS)
    pacing = vidpoll.Fixed(3.0)
    return vidpoll.Client(plugins=[Plugin()], store=store, accounts={"rated": account}, pacing=pacing)


def work(store: str, port: int, capacity: int) -> None:
    """Serve a part."""
    with client(store, port) as each:
        each.serve(["rated"], capacity=capacity)


def run(store: str, seconds: float) -> int:
    """All of it; how many were refused."""
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    with client(store, port) as first:
        rows = [(f"rated:j{number}", vidpoll.Origin("rated"), {}) for number in range(JOBS)]
        first._keeper.store.enter(rows)  # type: ignore[union-attr]
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=work, args=(store, port, JOBS // PARTS)) for _ in range(PARTS)]
    for worker in workers:
        worker.start()
    time.sleep(seconds / 6)
    said = []
    for what in ("three processes", "one killed"):
        good, refused, begun = server.good, server.refused, time.monotonic()
        time.sleep(seconds / 2)
        took = time.monotonic() - begun
        said.append(f"{what}: {(server.good - good) / took:.1f}/s, {server.refused - refused} refused")
        workers[0].kill()
    for worker in workers:
        worker.kill()
        worker.join()
    server.shutdown()
    print(f"{RATE}/s, {PARTS} processes, {JOBS} jobs, {seconds:g} s: {'; '.join(said)}; "
          f"in all {server.refused} refused, at most {server.most} in a second")  # fmt: skip
    return server.refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", help="URL of a database; a new SQLite file by default")
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return int(run(given.store or str(Path(folder) / "jobs.sqlite3"), given.seconds) > MOST)


if __name__ == "__main__":
    sys.exit(main())
