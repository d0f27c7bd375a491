"""A provider with slots, prices and a bad line, for batches: the server of `python studio.py SETTINGS`, and its plugin.

The server keeps count of what a client must not do: a prompt that is bought twice, more jobs at once than there are
slots, more money than a budget, a job that is asked about too late. `/stats` tells it, `/have` the job of each prompt,
`/limit?slots=N` changes the slots. A share of its answers is spoilt (`chaos`): reset or a 503 before anything was done,
or cut after that. A share of its jobs breaks, free of charge (`breaks`).
"""

from __future__ import annotations

import asyncio
import heapq
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qs
from urllib.request import urlopen

from loopback import Headers, Loopback, reply, reset

import vidpoll
from vidpoll import declare

PRICE = 2.5
"""What each job costs, in credits, as the quota tells."""

SETTINGS = [{"name": f"setting {number}", "value": number} for number in range(20)]
"""What answers tell beside what is asked for, as real ones do."""

MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(50_000)

STATES = {"running": vidpoll.State.RUNNING, "done": vidpoll.State.COMPLETED, "broken": vidpoll.State.FAILED}
JOB = declare.Reader(
    STATES,
    files={"video": "url"},
    cost="cost",
    problem=declare.problems({"broken": "internal"}, charged={"": False}),
)
NAMES = ("studio", "atelier")


class Studios:
    """The plugin: `studio`, and `atelier`, the same at another path. Times are seconds of the client's clock."""

    def __init__(self, floor: float = 0.2, typical: tuple[float, float] = (0.5, 2.0)) -> None:
        self.pacing = vidpoll.Pacing(floor=floor, typical=typical)

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Iterator[vidpoll.Provider]:
        for name in NAMES:
            yield vidpoll.Provider(
                name,
                base_url=f"http://127.0.0.1/{name}",
                auth=vidpoll.NoAuth(),
                pacing=self.pacing,
                error=declare.refusals({"full": "capacity", "broke": "money"}),
                status=declare.status("GET /jobs/{id}", JOB),
                submit={"t2v": declare.submit("POST /jobs", JOB, {"prompt": declare.text()}, needed=("prompt",))},
                quota=declare.quota("GET /quota", balance="balance", prices={"t2v": PRICE}),
            )


@dataclass
class Made:
    """A job at the server, from when to when it takes a slot."""

    prompt: str
    start: float
    end: float
    breaks: bool
    asked: float | None = None

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end


@dataclass
class House:
    """One account at the server: its jobs, its slots, and what was seen."""

    slots: int
    jobs: dict[str, Made] = field(default_factory=dict)
    latest: dict[str, Made] = field(default_factory=dict)
    """By prompt."""
    ends: list[float] = field(default_factory=list)
    """When the jobs end that have not ended: a heap."""
    twice: list[str] = field(default_factory=list)
    """Prompts that were bought while an earlier job of theirs ran, or had not broken."""
    refused: int = 0
    most: int = 0
    """Unfinished jobs at once, at most."""
    sent: int = 0
    """Submits that were answered, refused ones too."""
    late: list[float] = field(default_factory=list)
    """How much more than `gap` seconds passed between two questions about a job."""


class Server(Loopback):
    """The accounts, and the line to them."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.houses = {name: House(settings["slots"]) for name in NAMES}
        self.chaos, self.breaks, self.gap = settings["chaos"], settings["breaks"], settings["gap"]
        self.dice, self.balance = Random(settings["seed"]), settings["balance"]

    async def answer(
        self, writer: asyncio.StreamWriter, method: str, target: str, headers: Headers, body: bytes
    ) -> None:
        path, _, query = target.partition("?")
        odds = self.dice.random()
        if path == "/stats":
            writer.write(reply(200, self.stats()))
        elif path == "/limit":
            for house in self.houses.values():
                house.slots = int(parse_qs(query)["slots"][0])
            writer.write(reply(200, {}))
        elif path == "/have":
            have = [(job.prompt, name) for house in self.houses.values() for name, job in house.jobs.items()]
            writer.write(reply(200, dict(have)))
        elif odds < self.chaos / 3:
            reset(writer)
        elif odds < self.chaos * 2 / 3:
            writer.write(reply(503, {}))
        else:
            found = self.made(method, path, headers, body)
            if odds < self.chaos:
                found = found[: self.dice.randrange(len(found))]
                writer.write(found)
                writer.close()
            else:
                writer.write(found)

    def made(self, method: str, path: str, headers: Headers, body: bytes) -> bytes:
        """The answer, and what it does."""
        _, account, what, *rest = path.split("/")
        if account == "files":
            return file(headers.get("range", ""))
        house = self.houses[account]
        if what == "quota":
            return reply(200, {"balance": self.balance})
        if method == "POST":
            return self.submit(house, account, json.loads(body)["prompt"])
        job = house.jobs.get(rest[0])
        if job is None:
            return reply(404, {"error": "no such job"})
        now = time.monotonic()
        if job.asked is not None and self.gap:
            house.late.append(now - job.asked - self.gap)
        job.asked = now
        return reply(200, self.shown(rest[0], job))

    def submit(self, house: House, account: str, prompt: str) -> bytes:
        now = time.monotonic()
        while house.ends and house.ends[0] <= now:
            heapq.heappop(house.ends)
        house.sent += 1
        if len(house.ends) >= house.slots:
            house.refused += 1
            return reply(429, {"error": {"code": "full", "message": "too many jobs"}}, "Retry-After: 20\r\n")
        if self.balance < PRICE:
            return reply(429, {"error": {"code": "broke", "message": "no credits are left"}})
        earlier = house.latest.get(prompt)
        if earlier is not None and not (earlier.breaks and earlier.over):
            house.twice.append(prompt)
        job = Made(prompt, now, now + self.dice.uniform(*self.settings["seconds"]), self.dice.random() < self.breaks)
        self.balance -= 0.0 if job.breaks else self.settings["cost"]
        job_id = f"{account}-{len(house.jobs)}"
        house.jobs[job_id] = house.latest[prompt] = job
        heapq.heappush(house.ends, job.end)
        house.most = max(house.most, len(house.ends))
        return reply(200, self.shown(job_id, job))

    def shown(self, job_id: str, job: Made) -> dict[str, Any]:
        about = {"id": job_id, "input": {"prompt": job.prompt, "settings": SETTINGS}}
        if not job.over:
            return {**about, "status": "running"}
        if job.breaks:
            return {**about, "status": "broken", "error": {"code": "broken", "message": "a lamp went out"}}
        url = f"{self.origin}/files/{job_id}/video.mp4"
        return {**about, "status": "done", "url": url, "cost": self.settings["cost"]}

    def stats(self) -> dict[str, Any]:
        now, cost = time.monotonic(), self.settings["cost"]
        return {
            name: {
                "made": len(house.jobs),
                "spent": cost * sum(not job.breaks for job in house.jobs.values()),
                "twice": house.twice,
                "most": house.most,
                "sent": house.sent,
                "refused": house.refused,
                "busy": sum(min(job.end, now) - job.start for job in house.jobs.values()),
                "late": sorted(house.late),
            }
            for name, house in self.houses.items()
        }


def file(wanted: str) -> bytes:
    start = int(wanted[6:].partition("-")[0]) if wanted else 0
    range_ = f"Content-Range: bytes {start}-{len(MP4) - 1}/{len(MP4)}\r\n" if wanted else ""
    head = f'HTTP/1.1 {206 if wanted else 200} X\r\nContent-Type: video/mp4\r\nETag: "a"\r\n{range_}'
    return f"{head}Content-Length: {len(MP4) - start}\r\n\r\n".encode() + MP4[start:]


def accounts(origin: str) -> dict[str, vidpoll.Account]:
    """For a client of the server at `origin`."""
    return {name: vidpoll.Account(name, base_url=f"{origin}/{name}") for name in NAMES}


class Studio:
    """A server that runs, as its clients and judges see it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    @property
    def accounts(self) -> dict[str, vidpoll.Account]:
        return accounts(self.origin)

    def stats(self) -> dict[str, Any]:
        """What the server has seen, by account."""
        return dict(self._ask("/stats"))

    def have(self) -> dict[str, str]:
        """The id of the job that was made of each prompt."""
        return dict(self._ask("/have"))

    def limit(self, slots: int) -> None:
        """So many slots an account from now on."""
        self._ask(f"/limit?slots={slots}")

    def _ask(self, path: str) -> Any:
        with urlopen(f"{self.origin}{path}", timeout=10) as answer:
            return json.load(answer)


@contextmanager
def studio(
    *,
    slots: int = 3,
    chaos: float = 0.0,
    breaks: float = 0.0,
    seed: int = 1,
    seconds: tuple[float, float] = (0.5, 2.0),
    gap: float = 0.0,
    cost: float = PRICE,
    balance: float = 1e9,
) -> Iterator[Studio]:
    """A server in another process, with so many `slots` for each account; `seconds` is from to how long a job takes.

    `cost` is what a job costs in the end. `gap`: the seconds between two questions about a job, as the client was told,
    to see which one comes late.
    """
    settings = {"slots": slots, "chaos": chaos, "breaks": breaks, "seed": seed, "seconds": seconds}
    settings |= {"gap": gap, "cost": cost, "balance": balance}
    process = subprocess.Popen([sys.executable, __file__, json.dumps(settings)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Studio(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    asyncio.run(Server(**json.loads(sys.argv[1])).serve())
