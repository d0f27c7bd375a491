"""The process that is killed: it submits jobs until there are enough, waits for all of them, and saves their files.

    python worker.py SETTINGS       (a JSON object, see `test_crash.py`)

A user's script would look the same: whatever is unfinished in the store is taken up, and nothing is started twice. What
happens is written to a log, a line at a time, so that it is there after a kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from fast_clock import Clock

import vidpoll
from vidpoll.net.transport import RequestsTransport


class Log:
    """One line at a time, whole or not there; at the words `die` the process is killed."""

    def __init__(self, path: str, die: str) -> None:
        self.file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self.die = die

    def __call__(self, *words: object) -> None:
        os.write(self.file, (" ".join(map(str, (os.getpid(), *words))) + "\n").encode())
        if self.die and " ".join(map(str, words)).startswith(self.die):
            os.kill(os.getpid(), signal.SIGKILL)


class Hooks:
    """Notes when a verdict's hook begins and when it has ended; it takes some milliseconds, as a real one would."""

    def __init__(self, log: Log) -> None:
        self.log = log

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job) -> None:
        self.log("begin", job.ref)
        time.sleep(0.005)
        self.log("end", job.ref)


class Transport(RequestsTransport):
    """Notes who asks about what."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log
        self.asking = threading.local()

    def send(self, wire: Any, ticket: Any) -> Any:
        self.log("ask", wire.method, wire.url.partition("?")[0])
        self.asking.now = True
        answer = super().send(wire, ticket)
        self.asking.now = False
        self.log("answered", wire.method)
        return answer

    def fetch(self, wire: Any, ticket: Any, start: Any) -> Any:
        if not getattr(self.asking, "now", False):  # a question is fetched, too
            self.log("file")
        return super().fetch(wire, ticket, start)


FIELDS = {
    "token360": ("video", "prompt", {"model": "seedance-2.0"}),
    "moneyprinterturbo": ("video", "video_subject", {}),
}
"""Operation, the field that holds the job's number, and what else is needed."""


def missing(client: vidpoll.Client, jobs: int, folder: str) -> list[int]:
    """The numbers of the jobs that were not submitted; a submit without an answer is looked up before."""
    for submission in client.store.unknown_submits():
        ours = {kept.ref for kept in client.store.jobs()}
        found = [job for job in client.jobs(submission.account) if job.ref not in ours]
        if found:
            client.store.adopt(found[0], submission)
        else:
            client.store.dismiss(submission)
    for kept in client.store.jobs(unfinished=True):  # the kill may have come between the submit and this
        client.store.want(kept.ref, folder)
    names = [FIELDS[kept.origin.account][1] for kept in client.store.jobs()]
    done = {int(kept.sent[name].split()[1]) for name, kept in zip(names, client.store.jobs(), strict=True)}
    return [number for number in range(jobs) if number not in done]


def submit(client: vidpoll.Client, number: int, folder: str) -> None:
    account = sorted(FIELDS)[number % 2]
    kind, name, others = FIELDS[account]
    client.store.want(client.submit(account, kind, **{name: f"job {number}", **others}), folder)


def save(client: vidpoll.Client, job: vidpoll.Job, wanted: vidpoll.WantedFiles) -> None:
    try:
        client.download(job, Path(wanted.target), kinds=wanted.kinds)
    except vidpoll.DownloadError as error:
        if "by another process" not in error.message:
            raise
        time.sleep(0.05)


def main(settings: dict[str, Any]) -> None:
    log = Log(settings["log"], settings["die"])
    accounts = {
        name: vidpoll.Account(name, base_url=url, key=settings["keys"][name]) for name, url in settings["urls"].items()
    }
    speed, folder = settings["speed"], settings["folder"]
    with vidpoll.Client(
        accounts=accounts,
        store=settings["store"],
        plugins=[Hooks(log)],
        clock=Clock(settings["zero"], speed),
        transport=Transport(log),
        http_timeout=(10.0 * speed, 30.0 * speed),
    ) as client:
        print("ready", flush=True)
        while True:
            left = missing(client, settings["jobs"], folder) if settings["submits"] else []
            for number in left[: settings["submits"]]:
                submit(client, number, folder)
            for job in client.as_completed(client.store.unfinished(), timeout=settings["timeout"]):
                log("verdict", job.ref, job.state)
            for wanted in client.store.wanted():
                kept = {each.ref: each.job for each in client.store.jobs()}[wanted.ref]
                if kept.ok:
                    save(client, kept, wanted)
            if not left and not client.store.unfinished() and not client.store.wanted():
                if not settings["stays"]:
                    return
                time.sleep(0.05)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
