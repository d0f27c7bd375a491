"""A provider that notes who asks what and when, its plugin, and the processes of a fleet that shares a store.

    python fleet.py server|worker|submitter|waiter SETTINGS      (a JSON object)

The server is the judge: what was bought, and how often each job was asked about, is counted there. Its log, and those
of the workers, have seconds of the machine's monotonic clock, which all processes share. A worker is what a supervisor
starts again: it serves what is free until SIGTERM. Its name is its key, so that the server knows who asks.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple
from urllib.request import urlopen

import vidpoll
from vidpoll import State, declare
from vidpoll.clock import SystemClock
from vidpoll.storage import owners, records

FLOOR = 2.0
"""The provider's: no job is asked about sooner, whoever asks."""

ROWS = 100
"""Of a page of the list."""

STAGES = ("waiting", "drawing", "saving")
BROKEN = 0.1
"""So many jobs fail."""

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_WHO = re.compile(rb"(?i)authorization: Bearer ([^\r]*)")


# -- the server -------------------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A request: when, by which worker, "ask", "list" or "buy", the account, and the job's id or the order's key."""

    at: float
    who: str
    what: str
    account: str
    name: str


@dataclass(slots=True)
class Made:
    """A job at the server, and its seconds of the monotonic clock."""

    key: str
    begun: float
    end: float
    breaks: bool


class House:
    """All accounts. `jobs` are there from the beginning, each lasts `seconds`; the answer to a submit `takes` some."""

    def __init__(
        self,
        *,
        accounts: int = 1,
        jobs: int = 0,
        seconds: Sequence[float] = (4.0, 24.0),
        takes: float = 0.05,
        noted: bool = True,
    ) -> None:
        self.dice, self.seconds, self.takes, self.noted = Random(7), tuple(seconds), takes, noted
        self.log: list[Asked] = []
        self.asked = self.listed = 0
        self.last = ""
        self.jobs: dict[str, dict[str, Made]] = {f"a{number}": {} for number in range(accounts)}
        for number in range(jobs):
            self.make(f"a{number % accounts}", "")

    def make(self, account: str, key: str) -> str:
        """A new job; its id."""
        house, now = self.jobs[account], time.monotonic()
        job_id = f"{account}-{len(house)}"
        house[job_id] = Made(key, now, now + self.dice.uniform(*self.seconds), self.dice.random() < BROKEN)
        return job_id

    def answer(self, method: str, target: str, who: str, body: bytes) -> tuple[object, float]:
        """What is answered, and after how many seconds."""
        _, account, *rest = target.partition("?")[0].split("/")
        if account == "stats":
            return {"asked": self.asked, "listed": self.listed, "last": self.last}, 0.0
        if account == "log":
            jobs = {f"{name}:{job_id}": job for name, made in self.jobs.items() for job_id, job in made.items()}
            return {"log": self.log, "jobs": {ref: [job.key, job.end] for ref, job in jobs.items()}}, 0.0
        if method == "POST":
            key = json.loads(body)["prompt"]
            self.note(who, "buy", account, key)
            job_id = self.make(account, key)
            return self.shown(account, job_id), self.takes
        if len(rest) == 1:
            self.listed += 1
            self.note(who, "list", account, "")
            return self.page(account, int(target.rpartition("page=")[2])), 0.002
        self.asked, self.last = self.asked + 1, who
        self.note(who, "ask", account, rest[1])
        return self.shown(account, rest[1]), 0.002

    def note(self, who: str, what: str, account: str, name: str) -> None:
        if self.noted:
            self.log.append(Asked(time.monotonic(), who, what, account, name))

    def page(self, account: str, number: int) -> dict[str, Any]:
        """The latest first."""
        ids = list(self.jobs[account])
        stop = len(ids) - (number - 1) * ROWS
        rows = [self.shown(account, job_id) for job_id in ids[max(0, stop - ROWS) : stop]]
        return {"data": rows, "page": number, "total": len(ids), "per_page": ROWS}

    def shown(self, account: str, job_id: str) -> dict[str, Any]:
        job, now = self.jobs[account][job_id], time.monotonic()
        if now < job.end:
            share = (now - job.begun) / (job.end - job.begun)
            return {"id": job_id, "status": STAGES[0 if share < 0.2 else 1 if share < 0.8 else 2]}
        if job.breaks:
            return {"id": job_id, "status": "broken", "error": {"message": "a lamp went out"}}
        return {"id": job_id, "status": "done", "url": f"/files/{job_id}.mp4"}


class Line(asyncio.Protocol):
    """One connection to the house."""

    def __init__(self, house: House) -> None:
        self.house, self.data = house, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n") + 4) > 3:
            head = self.data[:end]
            length = _LENGTH.search(head)
            whole = end + (int(length.group(1)) if length else 0)
            if len(self.data) < whole:
                return
            body, self.data = self.data[end:whole], self.data[whole:]
            method, target, _ = head.split(b" ", 2)
            who = _WHO.search(head)
            said, after = self.house.answer(
                method.decode(), target.decode(), who.group(1).decode() if who else "", body
            )
            asyncio.get_running_loop().call_later(after, self.reply, said)

    def reply(self, said: object) -> None:
        body = json.dumps(said).encode()
        if not self.transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self.transport.write(head % len(body) + body)


async def _serve(settings: dict[str, Any]) -> None:
    house = House(**settings)
    server = await asyncio.get_running_loop().create_server(lambda: Line(house), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def server(**settings: Any) -> Iterator[str]:
    """A server in a process of its own; its origin."""
    process = child("server", settings)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def asked(origin: str, what: str = "stats") -> Any:
    """What the server has noted: its "stats" or its whole "log"."""
    with urlopen(f"{origin}/{what}", timeout=60) as answer:
        return json.load(answer)


def child(name: str, settings: dict[str, Any], **options: Any) -> subprocess.Popen[str]:
    """One of the functions below, in a process of its own."""
    command = [sys.executable, __file__, name, json.dumps(settings)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


# -- its plugin, and its clients --------------------------------------------------------------------------------------

WORDS = {
    "waiting": vidpoll.Stage("waiting", State.QUEUED),
    "drawing": vidpoll.Stage("drawing", State.RUNNING),
    "saving": vidpoll.Stage("saving", State.RUNNING),
    "done": vidpoll.Stage("done", State.COMPLETED),
    "broken": vidpoll.Stage("broken", State.FAILED),
}
JOB = declare.Reader(WORDS)
PAGES = declare.numbered_pages("GET /jobs", JOB, current="page", total="total", per_page="per_page", most=ROWS)


class Fleet:
    """The plugin: a provider `fleet`, with list polling where that is asked for, and hooks that write to a file."""

    def __init__(self, floor: float = FLOOR, *, lists: bool = False, log: str = "", name: str = "") -> None:
        self.pacing, self.lists, self.name = vidpoll.Pacing(floor=floor, typical=(4.0, 24.0)), lists, name
        self.file = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY) if log else -1

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
        yield vidpoll.Provider(
            "fleet",
            base_url="http://127.0.0.1",
            auth=vidpoll.Bearer("FLEET_KEY"),
            pacing=self.pacing,
            status=declare.status("GET /jobs/{id}", JOB),
            submit={"t2v": declare.submit("POST /jobs", JOB, {"prompt": declare.text()}, needed=("prompt",))},
            list=PAGES,
            list_polling=vidpoll.ListPollingSpec(rows=ROWS) if self.lists else None,
        )

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job) -> None:
        self.tell(job)

    @vidpoll.hookimpl
    def vidpoll_failed(self, job: vidpoll.Job) -> None:
        self.tell(job)

    def tell(self, job: vidpoll.Job) -> None:
        """A line at a time, so that it is there after a kill."""
        if self.file >= 0:
            os.write(self.file, f"{time.monotonic()} {self.name} {job.ref} {job.state}\n".encode())


class Skewed(SystemClock):
    """The clock of a host that is wrong by so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def time(self) -> float:
        return time.time() + self.seconds


def client(settings: dict[str, Any], **options: Any) -> vidpoll.Client:
    """Settings: origin, store, name, accounts (how many); host, skew, floor, lists, log."""
    if settings.get("host"):  # a host of its own: nobody can look whether its process is there
        owners.here = lambda: settings["host"]
    plugin = Fleet(
        settings.get("floor", FLOOR),
        lists=settings.get("lists", False),
        log=settings.get("log", ""),
        name=settings["name"],
    )
    accounts = {
        f"a{number}": vidpoll.Account("fleet", base_url=f"{settings['origin']}/a{number}", key=settings["name"])
        for number in range(settings["accounts"])
    }
    given: dict[str, Any] = {"accounts": accounts, "plugins": [plugin], "store": settings["store"], **options}
    return vidpoll.Client(discover=False, clock=Skewed(settings.get("skew", 0.0)), **given)


def worker(settings: dict[str, Any]) -> None:
    """Serve what is free until SIGTERM; `looks` is a file for when it has looked what is its own, and what that was."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    fixed = {"pacing": vidpoll.Fixed(settings["gap"])} if settings.get("gap") else {}
    with client(settings, **fixed) as running:
        if settings.get("looks"):
            _note_looks(running, settings["looks"], settings["name"])
        print("ready", flush=True)
        while not stop.is_set():
            try:
                running.serve(capacity=settings.get("capacity", 20_000), stop=stop)
            except vidpoll.StoreError as error:  # as a supervisor starts it again
                print(error, file=sys.stderr, flush=True)
            stop.wait(0.5)


def waiter(settings: dict[str, Any]) -> None:
    """Wait for all jobs of the server, without a store."""
    refs = references(settings["accounts"], settings["jobs"])
    with client(settings, store=None, pacing=vidpoll.Fixed(settings["gap"])) as running:
        print("ready", flush=True)
        for _ in running.as_completed(refs, timeout=None):
            pass


def references(accounts: int, jobs: int) -> list[str]:
    """Of the jobs that are at the server from the beginning."""
    return [f"a{number % accounts}:a{number % accounts}-{number // accounts}" for number in range(jobs)]


def keep(running: vidpoll.Client, refs: Sequence[str]) -> None:
    """Have the store of a client keep jobs that nobody has asked about."""
    origins = {name: records.origin(running._state(name).opened) for name in {ref.partition(":")[0] for ref in refs}}
    rows = [(ref, origins[ref.partition(":")[0]], records.facts(vidpoll.Job(ref))) for ref in refs]
    running._keeper.ready().enter(rows)  # type: ignore[union-attr]


def _note_looks(running: vidpoll.Client, path: str, name: str) -> None:
    store: Any = running._keeper.store  # type: ignore[union-attr]
    held, file = store.held, os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def look() -> Any:
        ours = held()
        os.write(file, f"{time.monotonic()} {name} {' '.join(shard.account for shard in ours)}\n".encode())
        return ours

    store.held = look


def submitter(settings: dict[str, Any]) -> None:
    """Submit each order with its key, `rate` a second; twice is as once. Says of each key what it became."""
    dice = Random(settings.get("seed", 1))
    with client(settings) as running:
        for number in range(*settings["orders"]):
            key, account = f"order-{number}", f"a{number % settings['accounts']}"
            while True:
                try:
                    say(f"job {key} {running.submit_once(account, 't2v', key, prompt=key).ref}\n")
                except vidpoll.SubmitUnknown as error:
                    say(f"unknown {error.key}\n")
                except vidpoll.StoreError:  # nothing was sent; the same key may be used again
                    time.sleep(0.5)
                    continue
                break
            if settings.get("rate"):
                time.sleep(dice.expovariate(settings["rate"]))


def say(line: str) -> None:
    """Whole, or not at all: we may be killed at any moment."""
    os.write(1, line.encode())


CHILDREN = {"worker": worker, "submitter": submitter, "waiter": waiter}

if __name__ == "__main__":
    name, given = sys.argv[1], json.loads(sys.argv[2])
    if name == "server":
        asyncio.run(_serve(given))
    else:
        CHILDREN[name](given)
