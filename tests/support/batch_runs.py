"""A provider that takes and refuses jobs, and batches at it: time and network are fake, the store is a file."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from acme_provider import ACME, KEY, MP4, Calm, Ears, Plugin, parse_status

import vidpoll
from vidpoll.faults import NoAnswer
from vidpoll.model import Response
from vidpoll.net.accounts import WireRequest
from vidpoll.net.protocol import Start
from vidpoll.net.workers import Ticket
from vidpoll.testing import FakeClock

KINDS = {"full": "capacity", "slow": "rate", "day": "quota", "broke": "money", "key": "auth", "bad": "input",
         "blocked": "moderated_input", "hidden": "moderated_output", "down": "internal"}  # fmt: skip

Refusal = tuple[int, str]


def read_error(response: vidpoll.Response) -> vidpoll.Problem:
    code = response.json()["error"]
    return vidpoll.Problem(code, code, kind=KINDS.get(code), charged=False)


def read_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body, found = response.json(), parse_status(response, job_id)
    if found.problem is not None:
        problem = vidpoll.Problem(body["error"], body["error"], kind=KINDS.get(body["error"]), charged=body.get("paid"))
        found = replace(found, problem=problem)
    cost = None if "cost" not in body else vidpoll.Cost(body["cost"], unit="USD")
    return replace(found, cost=cost)


SHOP = replace(
    ACME,
    name="shop",
    base_url="https://shop.example",
    quota=None,
    list=None,
    status=replace(ACME.status, parse=read_status),
    error=read_error,
)


def found_by(key: str) -> vidpoll.Request:
    return vidpoll.Request("GET", f"/found/{key}")


def shop(name: str, **changes: Any) -> vidpoll.Provider:
    return replace(SHOP, name=name, base_url=f"https://{name}.example", **changes)


@dataclass
class Server:
    """What stands behind the wire: it takes `slots` jobs at once, each for `seconds`.

    `refuse` says how a submit is answered (status and word), by its prompt and how often it came; `fail` how a job
    ends, likewise. An exception from `refuse` is raised in the place of an answer, after the job was made.
    """

    clock: FakeClock
    slots: int = 100
    seconds: float = 12.0
    refuse: Callable[[str, int], Refusal | BaseException | None] = lambda prompt, time: None
    fail: Callable[[str, int], Mapping[str, Any] | None] = lambda prompt, time: None
    bought: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    jobs: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    most: int = 0
    refused: int = 0
    finds: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, wire: WireRequest, ticket: Ticket) -> Response:
        with self.lock:
            return self._answer(wire)

    def _answer(self, wire: WireRequest) -> Response:
        self.urls.append(wire.url)
        path = wire.url.partition(".example")[2]
        if wire.method == "POST":
            return self._submit(json.loads(wire.body or b"{}")["prompt"])
        if path.startswith("/found/"):
            return self._status("n1", "") if self.finds else self._refusal(404, "none")
        if path.startswith("/jobs/"):
            return self._status(path.removeprefix("/jobs/"), wire.url.partition("/jobs")[0])
        body = MP4 + path.encode()
        return Response(200, {"content-length": str(len(body))}, body)

    def fetch(self, wire: WireRequest, ticket: Ticket, start: Start) -> Response:
        response = self.send(wire, ticket)
        sink = start(response)
        if sink is not None:
            sink(memoryview(response.body))
        return Response(response.status, response.headers)

    def close(self) -> None:
        """Nothing is open."""

    def _running(self) -> int:
        return sum(end > self.clock.now for _, end, _ in self.jobs.values())

    def _submit(self, prompt: str) -> Response:
        self.sent.append(prompt)
        said = self.refuse(prompt, self.sent.count(prompt))
        if isinstance(said, tuple):
            return self._refusal(*said)
        if self._running() >= self.slots:
            return self._refusal(429, "full")
        self.bought.append(prompt)
        number = f"n{len(self.jobs) + 1}"
        self.jobs[number] = (prompt, self.clock.now + self.seconds, self.bought.count(prompt))
        self.most = max(self.most, self._running())
        if said is not None:
            raise said
        return Response(200, {}, json.dumps({"id": number, "status": "queued"}).encode())

    def _refusal(self, status: int, word: str) -> Response:
        self.refused += 1
        return Response(status, {}, json.dumps({"error": word}).encode())

    def _status(self, number: str, base: str) -> Response:
        prompt, end, time = self.jobs[number]
        body: dict[str, Any] = {"id": number, "status": "drawing"}
        if end <= self.clock.now:
            body = {"id": number, "status": "done", "video": f"{base}/files/{number}.mp4"}
            if (failed := self.fail(prompt, time)) is not None:
                body = {"id": number, "status": "broken", **failed}
        return Response(200, {}, json.dumps(body).encode())


@dataclass
class Night:
    """A client of one or more shops, and the server behind them."""

    client: vidpoll.Client
    server: Server
    clock: FakeClock
    folder: Path
    ears: Ears

    def batch(self, rows: int | Iterable[Mapping[str, Any]], **options: Any) -> Any:
        """A batch of so many rows, named night, into a folder of the test's."""
        given = [{"key": f"r{n}", "prompt": f"p{n}"} for n in range(1, rows + 1)] if isinstance(rows, int) else rows
        whole = {"account": "shop", "kind": "clip", "name": "night", "into": self.folder / "clips", **options}
        return self.client.batch(given, **whole)


def night(
    folder: Path, *providers: vidpoll.Provider, server: Server | None = None, plugins: Iterable[object] = ()
) -> Night:
    """A client with a store in `folder`. The same server again goes on where it is."""
    providers = providers or (SHOP,)
    server = server or Server(FakeClock())
    ears = Ears()
    client = vidpoll.Client(
        accounts={each.name: vidpoll.Account(each.name, key=KEY) for each in providers},
        plugins=[Plugin(*providers), ears, *plugins],
        discover=False,
        clock=server.clock,
        transport=server,
        store=folder / "jobs.sqlite3",
    )
    client._loop.context.random = Calm()
    return Night(client, server, server.clock, folder, ears)


def lost(reason: str = "the line is dead") -> NoAnswer:
    """What a server raises that took the job, and whose answer never came."""
    return NoAnswer(reason, sent=True)
