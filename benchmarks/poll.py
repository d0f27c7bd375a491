"""What one poll of one job costs, as a ratio to a bare `requests.Session.get(url).json()` in the same run.

    python benchmarks/poll.py [ROUNDS]

CPU time of the whole process (both its threads), keep-alive, loopback, the server in another process. The two loops
take turns, and the median of the ratios is the figure. Then the parts of a poll, timed alone, as shares of the bare
loop. Goal: at most 0.70.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import threading
import time
from queue import Queue
from typing import Any

import requests

import vidpoll
from vidpoll import parsing
from vidpoll.events import Polled
from vidpoll.polling.loop import Loop
from vidpoll.polling.watch import Watch

POLLS = 1000
BODY = (
    b'{"id": "77", "status": "running", "stage": "rendering", "progress": 54, "video_url": null,'
    b' "created_at": "2026-11-21T20:27:48Z", "prompt": "a lighthouse at dusk, slow cinematic pan"}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-RateLimit-Remaining: 993\r\nContent-Length: %d\r\n\r\n"


def serve() -> None:
    """Answer every request with BODY, until the parent goes away."""
    answer = HEAD % len(BODY) + BODY
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=answer_all, args=(server.accept()[0], answer), daemon=True).start()


def answer_all(peer: socket.socket, answer: bytes) -> None:
    buffer = b""
    while data := peer.recv(65536):
        buffer += data
        while b"\r\n\r\n" in buffer:
            buffer = buffer.partition(b"\r\n\r\n")[2]
            peer.sendall(answer)


def status_request(job_id: str) -> vidpoll.Request:
    return vidpoll.Request("GET", f"/jobs/{parsing.segment(job_id)}")


def parse_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    return vidpoll.Snapshot(
        parsing.lookup({"running": vidpoll.State.RUNNING, "done": vidpoll.State.COMPLETED}, body.get("status")),
        stage=parsing.text(body.get("stage")),
        progress=parsing.progress(body.get("progress")),
        assets=parsing.assets(body.get("video_url")),
        job_id=parsing.text(body.get("id")),
        created_at=parsing.timestamp(body.get("created_at")),
        raw=body,
    )


class Acme:
    """The provider, and a listener on every hook that a poll fires."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Any:
        yield vidpoll.Provider(
            "acme",
            base_url=self.base_url,
            auth=vidpoll.Bearer("ACME_API_KEY"),
            pacing=vidpoll.Pacing(floor=1.0),
            status=vidpoll.Operation(status_request, parse_status),
        )

    @vidpoll.hookimpl
    def vidpoll_polled(self, job: vidpoll.Job, event: Polled) -> None:
        """Listens."""


class Jumping:
    """A clock that jumps over the gaps, so that only the polls take time."""

    jumped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.jumped

    def time(self) -> float:
        return time.time() + self.jumped

    def get(self, inbox: Queue[Any], timeout: float, *, busy: bool) -> Any:
        if busy:
            return inbox.get()
        self.jumped += max(timeout, 0.0)
        return None


def cpu(work: Any) -> float:
    """Microseconds of CPU for one of POLLS."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / POLLS * 1e6


def main(rounds: int) -> None:
    serving = [sys.executable, __file__, "serve"]
    servers = [subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        compare(*map(address, servers), rounds)
    finally:
        for server in servers:
            server.kill()
            server.communicate()


def address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return f"http://127.0.0.1:{server.stdout.readline().strip()}"


def compare(bare_url: str, our_url: str, rounds: int) -> None:
    session = requests.Session()
    session.headers["Authorization"] = "Bearer acme-0123456789"

    def bare() -> None:
        for _ in range(POLLS):
            session.get(f"{bare_url}/jobs/77").json()

    accounts = {"acme": vidpoll.Account("acme", key="acme-0123456789")}
    client = vidpoll.Client(accounts=accounts, plugins=[Acme(our_url)], discover=False, clock=Jumping())
    loop: Loop = client._loop
    account = client._state("acme")

    def ours() -> None:
        polls = 0
        watch = Watch(vidpoll.Job("acme:77"), account, vidpoll.Fixed(5), now=loop.now())
        for _, event in loop.run([watch]):
            polls += isinstance(event, Polled)
            if polls == POLLS:
                return

    bare()
    ours()
    figures = [(cpu(bare), cpu(ours)) for _ in range(rounds)]
    ratios = sorted(mine / theirs for theirs, mine in figures)
    base = statistics.median(theirs for theirs, _ in figures)
    mine = statistics.median(mine for _, mine in figures)
    print(f"CPU of a poll: {base:.0f} us bare, {mine:.0f} us with vidpoll ({rounds} rounds of {POLLS})")
    print(f"ratio: median {statistics.median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}")
    print("parts of it, as shares of the bare loop:")
    for name, part in parts(client, account).items():
        print(f"  {name}: {statistics.median(cpu(part) for _ in range(5)) / base:.3f}")
    client.close()


def parts(client: vidpoll.Client, account: Any) -> dict[str, Any]:
    """The parts of a poll, each alone, POLLS times."""
    response = vidpoll.Response(200, {"content-type": "application/json"}, BODY)
    snapshot = parse_status(response, "77")
    job = vidpoll.Job("acme:77")
    polled = Polled("acme:77", 0.0, snapshot, 5.0)
    wire = account.opened.wire(status_request("77"), timeout=(10.0, 30.0))
    ticket = type("Ticket", (), {"aborted": False, "shut": None})()
    schedule = vidpoll.Fixed(5)

    def times(work: Any) -> Any:
        return lambda: [work() for _ in range(POLLS)]

    return {
        "transport (in the worker)": times(lambda: client._transport.send(wire, ticket)),
        "request and key": times(lambda: account.opened.wire(status_request("77"), timeout=(10.0, 30.0))),
        "parse": times(lambda: parse_status(response, "77")),
        "machine": times(lambda: job.receive(snapshot, 0.0)),
        "pacing": times(lambda: schedule.next_gap(job.history, 0.0, client._loop.context.random)),
        "hooks": times(lambda: client._plugins.tell(job, polled)),
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
