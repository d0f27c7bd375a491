"""Soak: 300 jobs at a time for as long as you like, at a server that spoils a tenth of its answers: none is lost.

    python benchmarks/soak.py MINUTES [--chaos 0.10] [--throttled 0.0075] [--seed 1]

Six threads share one client with a store. Each submits 50 jobs of 20 to 60 s, waits for all of them and downloads every
third, until the minutes are over; the odd ones at an account whose jobs are polled one by one, the others at Token360,
whose list is polled. The server is another process on loopback: a share of its answers (`--chaos`) is reset, cut,
garbled, slow, late or about another job, and a further share (`--throttled`) is a 429 with a Retry-After of 2 s.

*Late* is a verdict from the second in which its job ended to the second in which the hooks hear of it. Ends with status
1 where a job was told twice or never, was bought twice, a file is not whole, or 5 % of the verdicts are more than
10 s late. Needs Linux (/proc) and vidpoll-providers.
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
import warnings
from array import array
from collections import Counter, deque
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from loopback import Headers, Loopback, reply, reset

import vidpoll
from vidpoll import parsing

THREADS, JOBS = 6, 50
SHORTEST, LONGEST = 20.0, 60.0
"""Seconds that a job takes."""
APART = 3.0
"""Seconds between the starts of the threads, so that not all jobs end together."""
PATIENCE = 900.0
"""Seconds after which a job is called lost."""
LATE = 10.0
"""Seconds: 95 % of the verdicts must be told sooner."""
SAMPLE = 5.0
"""Seconds between two looks at memory, descriptors and threads."""
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(200_000)


# -- the server -------------------------------------------------------------------------------------------------------


class Server(Loopback):
    """Jobs in memory; `number-end` is the id of one, so that the client needs no other word about when it ended."""

    def __init__(self, chaos: float, throttled: float, seed: int) -> None:
        self.chaos, self.throttled = chaos, throttled
        self.dice = Random(seed)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.listed: deque[dict[str, Any]] = deque(maxlen=600)
        self.prompts: set[str] = set()
        self.stats: Counter[str] = Counter()

    async def answer(
        self, writer: asyncio.StreamWriter, method: str, target: str, headers: Headers, body: bytes
    ) -> None:
        path, _, query = target.partition("?")
        if path == "/stats":
            writer.write(reply(200, self.stats))
            return
        self.stats["requests"] += 1
        odds = self.dice.random()
        if path.startswith("/files/"):
            await self.file(writer, headers.get("range", ""), cut=odds < 2 * self.chaos)
        elif odds < self.throttled:
            self.stats["429"] += 1
            writer.write(reply(429, {}, "Retry-After: 2\r\n"))
        elif method == "POST":
            await self.submit(writer, path, json.loads(body)["prompt"], odds - self.throttled)
        else:
            found = self.page(query) if path.endswith("/videos") else self.record(path.rpartition("/")[2])
            spoilt = odds < self.throttled + self.chaos
            self.stats["spoilt"] += spoilt
            await (self.spoil(writer, found) if spoilt else send(writer, found))

    async def submit(self, writer: asyncio.StreamWriter, path: str, prompt: str, odds: float) -> None:
        """Half of the chaos strikes before the job is made, and half of it cuts the answer that has its id."""
        if odds < self.chaos / 2:
            self.stats["spoilt"] += 1
            if odds < self.chaos / 4:
                reset(writer)
            else:
                writer.write(reply(503, {}))
            return
        self.stats["bought twice"] += prompt in self.prompts
        self.prompts.add(prompt)
        now = time.time()
        end = now + self.dice.uniform(SHORTEST, LONGEST)
        job = {"id": f"{len(self.jobs)}-{end:.3f}", "at": now, "end": end, "fails": self.dice.random() < 0.05}
        self.jobs[str(job["id"])] = job
        if path.endswith("/videos"):
            self.listed.appendleft(job)
        found = reply(200, self.shown(job))
        if odds < self.chaos:
            self.stats["spoilt"] += 1
            await shorten(writer, found, len(found) // 2)
        else:
            writer.write(found)

    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        share = (time.time() - job["at"]) / (job["end"] - job["at"])
        told = {"id": job["id"], "progress": int(100 * min(share, 1.0)), "created_at": int(job["at"])}
        if share < 1.0:
            return {**told, "status": "queued" if share < 0.2 else "in_progress"}
        if job["fails"]:
            return {**told, "status": "failed", "error": {"message": "policy", "code": "c1"}}
        return {**told, "status": "completed", "url": f"{self.origin}/files/{job['id']}.mp4"}

    def record(self, job_id: str) -> bytes:
        job = self.jobs.get(job_id)
        return reply(404, {"message": "no such video"}) if job is None else reply(200, self.shown(job))

    def page(self, query: str) -> bytes:
        """A hundred of the account's last jobs, the newest first."""
        rows = list(self.listed)
        after = parse_qs(query).get("after", [""])[0]
        first = next((index + 1 for index, job in enumerate(rows) if job["id"] == after), 0)
        shown = [self.shown(job) for job in rows[first : first + 100]]
        ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {}
        return reply(200, {"data": shown, "has_more": first + 100 < len(rows), **ends})

    async def file(self, writer: asyncio.StreamWriter, wanted: str, *, cut: bool) -> None:
        start = int(wanted[6:].partition("-")[0]) if wanted else 0
        range_ = f"Content-Range: bytes {start}-{len(MP4) - 1}/{len(MP4)}\r\n" if wanted else ""
        head = f'HTTP/1.1 {206 if wanted else 200} X\r\nContent-Type: video/mp4\r\nETag: "a"\r\n{range_}'
        whole = f"{head}Content-Length: {len(MP4) - start}\r\n\r\n".encode() + MP4[start:]
        await (shorten(writer, whole, self.dice.randrange(len(whole))) if cut else send(writer, whole))

    async def spoil(self, writer: asyncio.StreamWriter, found: bytes) -> None:
        """One of ten ways in which an answer does not come as it should."""
        body = found.partition(b"\r\n\r\n")[2]
        other = {"id": "another", "status": "completed", "url": f"{self.origin}/files/x.mp4"}
        kind = self.dice.randrange(10)
        if kind == 0:
            reset(writer)
        elif kind == 1:
            await shorten(writer, found, self.dice.randrange(len(found)))
        elif kind == 2:
            await asyncio.sleep(6.0)  # longer than the client reads
            reset(writer)
        elif kind == 3:
            for byte in found[:40]:
                await send(writer, bytes([byte]))
                await asyncio.sleep(0.05)
            writer.write(found[40:])
        elif kind == 4:
            writer.write(self.dice.randbytes(500))
            writer.close()
        elif kind == 5:
            parts = [body[at : at + 9] for at in range(0, len(body), 9)]
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
            writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        else:
            bodies = (b"<html>hi</html>", body[:-7], json.dumps(other).encode())
            writer.write(reply(503, {}) if kind == 6 else reply(200, bodies[kind - 7]))


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def shorten(writer: asyncio.StreamWriter, data: bytes, at: int) -> None:
    await send(writer, data[:at])
    reset(writer)


# -- the client -------------------------------------------------------------------------------------------------------

WORDS = {
    "queued": vidpoll.State.QUEUED,
    "in_progress": vidpoll.State.RUNNING,
    "completed": vidpoll.State.COMPLETED,
    "failed": vidpoll.State.FAILED,
}


def snapshot(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    return vidpoll.Snapshot(
        parsing.lookup(WORDS, body.get("status")),
        stage=parsing.text(body.get("status")),
        progress=parsing.progress(body.get("progress")),
        assets=parsing.assets(body.get("url")),
        problem=vidpoll.Problem("no") if body.get("status") == "failed" else None,
        job_id=parsing.text(body.get("id")),
    )


def submitted(response: vidpoll.Response, job_id: str) -> vidpoll.Submitted:
    return parsing.submitted(parsing.json_object(response).get("id"))


class Plugin:
    """Brings the plain provider, and notes the verdicts as the hooks hear of them."""

    name = "soak"

    def __init__(self) -> None:
        self.late = array("d")
        self.told = bytearray(1_000_000)
        """How often each job was told, by its number."""

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> list[vidpoll.Provider]:
        provider = vidpoll.Provider(
            "plain",
            base_url="http://127.0.0.1",
            auth=vidpoll.NoAuth(),
            pacing=vidpoll.Pacing(floor=4.0, typical=(SHORTEST, LONGEST)),
            status=vidpoll.Operation(lambda job: vidpoll.Request("GET", f"/jobs/{parsing.segment(job)}"), snapshot),
            submit={
                "video": vidpoll.Operation(
                    lambda fields: vidpoll.Request("POST", "/jobs", json=dict(fields)), submitted
                )
            },
        )
        return [provider]

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job) -> None:
        number, _, end = job.id.partition("-")
        self.told[int(number)] += 1
        self.late.append(time.time() - float(end))

    @vidpoll.hookimpl
    def vidpoll_failed(self, job: vidpoll.Job) -> None:
        self.vidpoll_completed(job)


class Soak:
    """Six threads at one client; `counts` says what they did."""

    def __init__(self, origin: str, folder: Path) -> None:
        self.folder = folder
        self.plugin = Plugin()
        self.counts: Counter[str] = Counter()
        self.waited: list[int] = []
        """The numbers of the jobs that the client knows."""
        self.client = vidpoll.Client(
            accounts={
                "plain": vidpoll.Account("plain", base_url=f"{origin}/plain"),
                "token360": vidpoll.Account("token360", base_url=f"{origin}/t/v1", key="key-of-the-soak-0001"),
            },
            plugins=[self.plugin],
            store=folder / "jobs.sqlite3",
            http_timeout=(3.0, 5.0),
        )

    def submit(self, account: str, fields: dict[str, str]) -> vidpoll.Job | None:
        """One job; None where the submit may have been received. A submit that bought nothing is tried again."""
        while True:
            self.counts["submits"] += 1
            try:
                return self.client.submit(account, "video", **fields)
            except vidpoll.SubmitUnknown:
                self.counts["unknown"] += 1
                return None
            except vidpoll.ProviderError as error:
                self.counts[type(error).__name__] += 1

    def turn(self, number: int, round_: int) -> None:
        """Submit JOBS jobs, wait for all of them, download every third."""
        account, model = ("plain", {}) if number % 2 else ("token360", {"model": "m"})
        sent = [self.submit(account, {"prompt": f"{number} {round_} {n}", **model}) for n in range(JOBS)]
        jobs = [job for job in sent if job is not None]
        self.waited.extend(int(job.id.partition("-")[0]) for job in jobs)
        for job in self.client.as_completed(jobs, timeout=PATIENCE):
            self.counts["verdicts"] += job.final
            if not job.final:
                print(f"OPEN {job.ref}: {job.error}", flush=True)
        for job in [job for job in jobs if job.ok][::3]:
            for path in self.client.download(job, self.folder / str(number)):
                self.counts["files"] += 1
                self.counts["broken files"] += path.stat().st_size != len(MP4)
                path.unlink()

    def turns(self, number: int, end: float) -> None:
        round_ = 0
        while time.monotonic() < end:
            try:
                self.turn(number, round_)
            except Exception as error:  # noqa: BLE001 - it is counted, and the others go on
                self.counts[f"ERROR {error!r}"] += 1
            round_ += 1

    def run(self, minutes: float) -> list[Sample]:
        """Go on for so many minutes, and until the last job has ended. What was seen meanwhile."""
        begun = time.monotonic()
        end = begun + 60.0 * minutes
        threads = [threading.Thread(target=self.turns, args=(number, end), daemon=True) for number in range(THREADS)]
        for thread in threads:
            thread.start()
            time.sleep(APART)
        samples: list[Sample] = []
        while any(thread.is_alive() for thread in threads):
            time.sleep(SAMPLE)
            seen = Sample.now(begun)
            if int(seen.at / 60.0) > int((seen.at - SAMPLE) / 60.0):
                print(f"{seen.at:6.0f} s {seen.memory:6.1f} MB {dict(self.counts)}", flush=True)
            if begun + seen.at <= end:
                samples.append(seen)
        return samples


class Sample(NamedTuple):
    """One look at this process."""

    at: float
    """Seconds since the start."""
    memory: float
    """MB."""
    descriptors: int
    threads: int

    @classmethod
    def now(cls, begun: float) -> Sample:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        return cls(time.monotonic() - begun, memory, descriptors, threading.active_count())


def report(soak: Soak, samples: list[Sample], server: dict[str, int]) -> bool:
    """Print the figures. Whether nothing was wrong."""
    late = sorted(soak.plugin.late)
    share = {name: late[min(int(part * len(late)), len(late) - 1)] for name, part in PARTS.items()}
    print("late         " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in share.items()))
    halves = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    for name in Sample._fields[1:]:
        ranges = [
            f"{min(getattr(s, name) for s in half):.0f} to {max(getattr(s, name) for s in half):.0f}" for half in halves
        ]
        print(f"{name:12} first half {ranges[0]}, second half {ranges[1]}")
    store = soak.client.store
    print(f"client       {dict(soak.counts)}")
    print(f"store        {len(store.unknown_submits())} unknown submits, {len(store.unfinished())} unfinished jobs")
    print(f"server       {server}")
    told = soak.plugin.told
    never, twice = sum(not told[number] for number in soak.waited), sum(count > 1 for count in told)
    print(f"jobs         {len(soak.waited)} waited for, {twice} told twice, {never} told never")
    wrong = [name for name in soak.counts if name.startswith("ERROR")] + ["a broken file"] * soak.counts["broken files"]
    wrong += ["a job bought twice"] * server.get("bought twice", 0) + ["a job not told once"] * (never + twice)
    wrong += [f"late by {share['95 %']:.1f} s"] * (share["95 %"] > LATE)
    print("WRONG: " + ", ".join(dict.fromkeys(wrong)) if wrong else "right")
    return not wrong


PARTS = {"median": 0.5, "95 %": 0.95, "99 %": 0.99, "worst": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--chaos", type=float, default=0.10)
    parser.add_argument("--throttled", type=float, default=0.0075)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(Server(args.chaos, args.throttled, args.seed).serve())
        return
    warnings.simplefilter("ignore")  # of what is spoilt
    server = subprocess.Popen([sys.executable, *sys.argv, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        origin = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            soak = Soak(origin, Path(folder))
            with soak.client:
                samples = soak.run(args.minutes)
                right = report(soak, samples, json.loads(urlopen(f"{origin}/stats").read()))
    finally:
        server.kill()
        server.communicate()
    sys.exit(not right)


if __name__ == "__main__":
    main()
