"""Is a poll late because somebody is told? 100 jobs give 1,000 events to a notifier that takes 2 s for each.

    python benchmarks/notify.py [JOBS] [SECONDS]

A job changes its stage with every answer, one question a second, and ends after 6 to 15 of them. How late a question
is: from the moment for which it was planned (the answer before, plus `next_in`) to the moment at which a worker sends
it. First nobody is told, then an outbox whose delivery takes 2 s, then a command and an Apprise service that take as
long; the service with a spool, so that each of the 100 verdicts is synced to disk in the thread that waits. The goal is
0.1 s for the latest of all. Needs the plugins vidpoll-command, vidpoll-apprise and vidpoll-log installed.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import vidpoll_apprise
import vidpoll_command
import vidpoll_log

import vidpoll
from vidpoll import notify, parsing
from vidpoll.testing import FakeTransport

FLOOR = 1.0
ANSWER = 0.02
"""Seconds that an answer takes."""


def status_request(job_id: str) -> vidpoll.Request:
    return vidpoll.Request("GET", f"/jobs/{job_id}")


def parse_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    stage = parsing.json_object(response)["stage"]
    state = vidpoll.State.COMPLETED if stage == "done" else vidpoll.State.RUNNING
    return vidpoll.Snapshot(state, stage=stage, assets_due=False)


class Plugin:
    """The provider, and a note of when each job is to be asked next."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.events = 0

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> list[vidpoll.Provider]:
        status = vidpoll.Operation(status_request, parse_status)
        pacing = vidpoll.Pacing(floor=FLOOR)
        return [
            vidpoll.Provider("bench", base_url="https://x.example", auth=vidpoll.NoAuth(), pacing=pacing, status=status)
        ]

    @vidpoll.hookimpl(tryfirst=True)
    def vidpoll_polled(self, job: vidpoll.Job, event: vidpoll.Polled) -> None:
        self.events += 1  # a change of stage, or the verdict
        if event.next_in is not None:
            self.due[job.id] = time.monotonic() + event.next_in


class WireRequest(FakeTransport):
    """Answers each job's questions with one stage after the other, and notes how late they were."""

    def __init__(self, plugin: Plugin, jobs: int) -> None:
        stages = [{"stage": f"stage {number}"} for number in range(14)]
        super().__init__(
            {f"/jobs/{number:05}": [*stages[: 5 + number % 10], {"stage": "done"}] for number in range(jobs)}
        )
        self.plugin = plugin
        self.late: list[float] = []

    def send(self, wire: object, ticket: object) -> vidpoll.Response:
        now = time.monotonic()
        due = self.plugin.due.get(wire.url.rpartition("/")[2])  # type: ignore[attr-defined]
        if due is not None:
            self.late.append(now - due)
        time.sleep(ANSWER)
        return super().send(wire, ticket)  # type: ignore[arg-type]


class Teller(notify.Listener):
    """An outbox whose delivery takes its time."""

    def __init__(self, seconds: float) -> None:
        self.told = 0
        self._seconds = seconds
        self._outbox: notify.Outbox[vidpoll.Event] = notify.Outbox(self._say, name="slow", at_exit=0.0)

    def hear(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
        self._outbox.put(event, keep=notify.is_kept(event))

    def _say(self, events: list[vidpoll.Event]) -> None:
        time.sleep(self._seconds)
        self.told += len(events)


def apprise(seconds: float, spool: Path) -> vidpoll_apprise.AppriseNotifier:
    """A service on loopback that takes its time; every event is a message of its own."""

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"json://127.0.0.1:{server.server_port}/"
    return vidpoll_apprise.AppriseNotifier(url, on=notify.NAMES, every=0.0, spool=spool, at_exit=0.0)


def run(name: str, jobs: int, make: Callable[[], list[object]]) -> float:
    """Wait for all jobs with these notifiers; print and return the latest question's lateness in seconds."""
    plugin = Plugin()
    wire = WireRequest(plugin, jobs)
    notifiers = make()
    began = time.monotonic()
    with vidpoll.Client(
        plugins=[plugin, *notifiers], discover=False, transport=wire, pacing=vidpoll.Fixed(FLOOR)
    ) as client:
        done = sum(job.ok for job in client.as_completed([f"bench:{number:05}" for number in range(jobs)], timeout=600))
    took = time.monotonic() - began
    assert done == jobs, f"{done} of {jobs} completed"
    late = sorted(wire.late)
    print(
        f"{name:34} {plugin.events:5} events in {took:5.1f} s   late: median {late[len(late) // 2]:.4f} s, "
        f"p99 {late[len(late) * 99 // 100]:.4f} s, latest {late[-1]:.4f} s",
        flush=True,
    )
    return late[-1]


def main() -> int:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    warnings.simplefilter("ignore", RuntimeWarning)  # most of the events are never told: it would take half an hour
    slow = [sys.executable, "-S", "-E", "-c", f"import time; time.sleep({seconds})"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        latest = [
            run("nobody is told", jobs, list),
            run("vidpoll-log", jobs, lambda: [vidpoll_log.LogFile(folder / "night.log")]),
            run(f"an outbox, {seconds:g} s an event", jobs, lambda: [Teller(seconds)]),
            run(
                f"vidpoll-command, {seconds:g} s an event",
                jobs,
                lambda: [vidpoll_command.Command(dict.fromkeys(notify.NAMES[:4], slow), at_exit=0.0)],
            ),
            run(
                f"vidpoll-apprise, {seconds:g} s an event",
                jobs,
                lambda: [apprise(seconds, folder / "spool")],
            ),
        ]
    print(f"latest of all {max(latest):.4f} s (goal 0.1 s)")
    return 0 if max(latest) <= 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
