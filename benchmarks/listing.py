"""List polling beside single polls: 1,000 tasks, once with the list and once without, in one run.

    python benchmarks/listing.py [TASKS] [--seconds 120] [--providers moneyprinterturbo,ark]

The server is another process with MoneyPrinterTurbo's list and records, or with Ark's, which answers for many tasks by
their ids, a hundred in one question. Tasks take from a fifth of the seconds to all of them, and an answer takes 2 ms.
*Delay* is from a task's end to the second in which the client tells of it. Goals: MoneyPrinterTurbo at most 0.1 of the
requests and 0.15 of the CPU of single polls, Ark 0.05 of the requests, at the same delay.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs

GOALS = {
    "moneyprinterturbo": {"requests": 0.1, "cpu": 0.15, "delay": 1.0},
    "ark": {"requests": 0.05, "cpu": 1.0, "delay": 1.0},
}
PREFIX = {"moneyprinterturbo": "", "ark": "cgt-20261129000000-"}
"""What stands before a task's number in its id."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
ROW = {"videos": None, "combined_videos": None, "failed_stage": None, "error": None, "cross_post_state": None}


class Server(asyncio.Protocol):
    """Tasks by number; `ends` holds the second at which each is done, by the clock that both processes share."""

    ends: list[float] = []  # noqa: RUF012 - one server, one process
    begun = 0.0
    requests = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1].decode()
        if path == "/stats":
            self.answer({"requests": Server.requests})
            return
        Server.requests += 1
        asyncio.get_running_loop().call_later(0.002, self.answer, (ark if "/contents/" in path else turbo)(path))

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        if not self.transport.is_closing():
            self.transport.write(HEAD % len(body) + body)


def turbo(path: str) -> dict[str, object]:
    """What MoneyPrinterTurbo answers: a page of its list, or one record."""
    if "?" not in path:
        told: Any = task(int(path.rpartition("/")[2]))
    else:
        given = dict(pair.split("=") for pair in path.partition("?")[2].split("&"))
        page, size = int(given["page"]), int(given["page_size"])
        rows = [task(number) for number in range((page - 1) * size, min(page * size, len(Server.ends)))]
        told = {"tasks": rows, "total": len(Server.ends), "page": page, "page_size": size}
    return {"status": 200, "message": "success", "data": told}


def ark(path: str) -> dict[str, object]:
    """What Ark answers: the records of some ids, or one."""
    if "?" not in path:
        return record(path.rpartition("/")[2])
    asked = parse_qs(path.partition("?")[2])["filter.task_ids"]
    return {"items": [record(name) for name in asked], "total": len(asked)}


def record(name: str) -> dict[str, object]:
    """A task's record, as Ark gives it."""
    number = int(name.rpartition("-")[2])
    told = {"id": name, "model": "seedance", "created_at": int(Server.begun), "updated_at": int(time.time())}
    if time.time() < Server.ends[number]:
        return {**told, "status": "running"}
    return {
        **told,
        "status": "succeeded",
        "content": {"video_url": f"https://tos.example/{name}.mp4?X-Tos-Expires=86400"},
    }


def task(number: int) -> dict[str, object]:
    """A task's record, as version 1.3 gives it."""
    share = (time.time() - Server.begun) / (Server.ends[number] - Server.begun)
    if share >= 1:
        return {**ROW, "task_id": str(number), "state": 1, "progress": 100, "videos": [f"/tasks/{number}/final-1.mp4"]}
    return {
        **ROW,
        "task_id": str(number),
        "state": 4,
        "progress": max(p for p in (5, 10, 20, 30, 40, 50) if p <= 5 + share * 50),
    }


def ends(tasks: int, seconds: float, begun: float) -> list[float]:
    random = Random(7)
    return [begun + random.uniform(0.2, 1.0) * seconds for _ in range(tasks)]


async def serve(tasks: int, seconds: float, begun: float) -> None:
    Server.begun, Server.ends = begun, ends(tasks, seconds, begun)
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def run(name: str, kind: str, tasks: int, seconds: float) -> None:
    """All tasks in this process, with the list or without; prints what it cost."""
    import vidpoll

    begun = time.time() + 1.0
    arguments = [sys.executable, __file__, "serve", str(tasks), str(seconds), str(begun)]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    (provider,) = import_module(f"vidpoll_providers.{name}").vidpoll_providers()
    if kind == "single":
        provider = replace(provider, list_polling=None)

    class Plugin:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> list[vidpoll.Provider]:
            return [replace(provider, base_url=url)]

    over = dict(enumerate(ends(tasks, seconds, begun)))
    delays: list[float] = []
    try:
        accounts = {name: vidpoll.Account(name, key="a-key-of-nobody")}
        with vidpoll.Client(plugins=[Plugin()], discover=False, accounts=accounts) as client:
            time.sleep(max(0.0, begun - time.time()))
            before = time.process_time()
            for job in client.as_completed([f"{name}:{PREFIX[name]}{number}" for number in range(tasks)]):
                assert job.ok, job
                delays.append(time.time() - over[int(job.id.removeprefix(PREFIX[name]))])
            cpu = time.process_time() - before
        print(json.dumps({"requests": _requests(url), "cpu": cpu, "delay": sum(delays) / len(delays)}))
    finally:
        server.kill()
        server.communicate()


def _requests(url: str) -> int:
    from http.client import HTTPConnection

    connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("GET", "/stats")
    return int(json.loads(connection.getresponse().read())["requests"])


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
        return
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", type=int, nargs="?", default=1000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--providers", default=",".join(GOALS))
    args = parser.parse_args()
    for name in args.providers.split(","):
        compare(name, args.tasks, args.seconds)


def compare(name: str, tasks: int, seconds: float) -> None:
    """One provider with the list and without, each in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    found: dict[str, dict[str, float]] = {}
    for kind in ("single", "list"):
        command = [sys.executable, __file__, "run", name, kind, str(tasks), str(seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
        told = found[kind] = json.loads(done.stdout)
        print(
            f"{name} {kind:7} {told['requests']:.0f} requests, {told['cpu']:.1f} s of CPU, {told['delay']:.2f} s late"
        )
    ratios = {each: (found["list"][each] / found["single"][each], goal) for each, goal in GOALS[name].items()}
    print(
        f"{name} list / single: " + ", ".join(f"{each} {ratio:.3f} ({goal})" for each, (ratio, goal) in ratios.items())
    )


if __name__ == "__main__":
    main()
