"""A crowd of jobs by the transport on libcurl, beside aiohttp, a bare pool of threads and the default transport.

    python benchmarks/crowd.py [ten] [fifty] [tls] [--seconds 20] [--busy]

`ten`: 10,000 jobs that are due every 5 s, answers take 100 ms. `fifty`: 50,000 jobs every 15 s. `tls`: 1,000 jobs of
one account every 5 s over TLS, at a server that speaks HTTP/2 (hypercorn); there each loop's connections count too.
`--busy` keeps half of the machine's cores busy with something else. *Late*, the server in another process and the CPU
of a poll are as in `many.py`. Needs vidpoll-curl, aiohttp and hypercorn.

Goals: `ten` late (99 %) by at most 0.02 s, CPU at most 0.9 of aiohttp's, 75 MiB, 4 threads; `fifty` 0.1 s and 260 MiB;
`tls` at most 4 connections and half the CPU of the requests transport.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import many

CERTIFICATE = Path(__file__).resolve().parents[1] / "tests" / "support" / "self-signed.pem"


def with_transport(name: str) -> Any:
    """vidpoll's own wait, by that transport."""

    def loop(url: str, jobs: int) -> None:
        os.environ["VIDPOLL_TRANSPORT"] = name
        many.with_vidpoll(url, jobs)

    return loop


LOOPS = {
    "curl": with_transport("curl"),
    "requests": with_transport("requests"),
    "aiohttp": many.with_aiohttp,
    "pool": many.with_pool,
}

MEASURES: dict[str, tuple[int, float, tuple[str, ...]]] = {
    "ten": (10_000, 5.0, ("curl", "aiohttp", "pool")),
    "fifty": (50_000, 15.0, ("curl", "aiohttp", "pool")),
    "tls": (1_000, 5.0, ("curl", "requests")),
}
"""Jobs, the seconds between two questions about each, and who asks."""


# -- the server that speaks HTTP/2 ------------------------------------------------------------------------------------


class App:
    """The server of `many` as an ASGI application; it counts connections as well."""

    def __init__(self) -> None:
        self.server = many.Server()
        self.peers: set[tuple[str, int]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        now, job = time.monotonic(), scope["path"].rpartition("/")[2].encode()
        if job == b"stats":
            body = json.dumps({**self.server.stats(now), "connections": len(self.peers)}).encode()
            self.peers.clear()
        else:
            self.peers.add(tuple(scope["client"]))
            many.Server.requests += 1
            if job in many.Server.last:
                many.Server.late.append(now - many.Server.last[job] - many.GAP)
            many.Server.last[job] = now
            await asyncio.sleep(many.TAKES)
            body = many.BODY % job
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def serve_tls() -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile = config.keyfile = str(CERTIFICATE)
    config.errorlog = None
    config.keep_alive_max_requests = 1_000_000
    await serve(App(), config)  # type: ignore[arg-type]


def stats(url: str) -> dict[str, float]:
    from urllib.request import urlopen

    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    with urlopen(f"{url}/stats", timeout=30, context=context if url.startswith("https") else None) as answer:
        told: dict[str, float] = json.load(answer)
    return told


# -- the comparison ---------------------------------------------------------------------------------------------------


def measure(what: str, name: str, seconds: float) -> dict[str, float]:
    """One loop in a fresh process, with a fresh server in another."""
    place = {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "REQUESTS_CA_BUNDLE": str(CERTIFICATE)}
    server = subprocess.Popen([sys.executable, __file__, "serve", what], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        url = f"{'https' if what == 'tls' else 'http'}://127.0.0.1:{port}"
        command = [sys.executable, __file__, "run", what, name, url, str(seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **place}, check=False)
        found: dict[str, float] = json.loads(done.stdout or "{}")
    finally:
        server.kill()
        server.communicate()
    return found


def busy() -> None:
    """Keep half of the cores busy, for as long as this process lives."""
    for _ in range(max(1, (os.cpu_count() or 1) // 2)):
        spins = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))"
        subprocess.Popen([sys.executable, "-c", spins])


def main() -> None:
    if sys.argv[1:2] in (["serve"], ["run"]):
        many.GAP = MEASURES[sys.argv[2]][1]
        many._stats = stats
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve_tls() if sys.argv[2] == "tls" else many.serve())
        return
    if sys.argv[1:2] == ["run"]:
        threading.Thread(target=many._measure, args=(sys.argv[4], float(sys.argv[5])), daemon=True).start()
        LOOPS[sys.argv[3]](sys.argv[4], MEASURES[sys.argv[2]][0])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, []], metavar="ten|fifty|tls")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--peers", help="only these: curl,aiohttp,pool,requests")
    parser.add_argument("--busy", action="store_true")
    args = parser.parse_args()
    if args.busy:
        busy()
    for what in args.measures or MEASURES:
        jobs, gap, names = MEASURES[what]
        found = {}
        for name in [each for each in names if each in (args.peers or each).split(",")]:
            told = found[name] = measure(what, name, args.seconds)
            yardstick = found.get("pool")
            line = many._line(told, yardstick)
            more = f"; {told['connections']:.0f} connections" if "connections" in told else ""
            print(f"{jobs:6} jobs at {gap:g} s  {what:5} {name:8} {line}{more}", flush=True)
        others = [name for name in ("aiohttp", "requests") if found.get(name) and found.get("curl")]
        for other in others:
            print(f"{'':24}a poll of curl costs {found['curl']['cost'] / found[other]['cost']:.2f} of {other}'s")


if __name__ == "__main__":
    main()
