"""What happens to the process while it waits: signals, threads, forks, clocks that jump, hooks that raise, its end.

Signals, forks and the end of the interpreter are tried in processes of their own, against a server on loopback that
says that a job is drawing, or says nothing at all. All are bounded: what hangs is ended and fails the test.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, DRAWING, KEY, QUEUED, REF, UNAVAILABLE, Plugin, talk

import vidpoll
from vidpoll.testing import FakeTransport

both = pytest.mark.usefixtures("transport")

LONG = 15.0
"""Seconds after which a process that should have ended long ago is killed, and its test fails."""

AT_ONCE = 2.0
"""Seconds: the second that is promised, and one for the end of a process on a busy machine."""

posix = pytest.mark.skipif(os.name != "posix", reason="signals reach a process like this on POSIX only")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


class Server:
    """Job `hang…` is never answered, `done…` is done, any other is drawing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []  # the job, and the port from which it was asked
        self.hanging = threading.Event()
        self.release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                job = self.path.rpartition("/")[2]
                server.asked.append((job, self.client_address[1]))
                if job.startswith("hang"):
                    server.hanging.set()
                    server.release.wait(LONG)
                    self.close_connection = True
                    return
                body = b'{"status": "done", "video": "/v.mp4"}' if job.startswith("done") else b'{"status": "drawing"}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Quiet."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args: object) -> None:
                """A client that went away is what is tested here."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.release.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(LONG)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


SCRIPT = """
import gc, os, signal, sys, threading, time
import vidpoll
from acme_provider import ACME, Plugin

signal.signal(signal.SIGINT, signal.default_int_handler)
account = vidpoll.Account("acme", base_url=sys.argv[1], key="key-0123456789")

def make(*hooks, **options):
    return vidpoll.Client(plugins=[Plugin(ACME), *hooks], discover=False, accounts={"acme": account}, **options)

def tell(*words):
    print(*words, flush=True)

def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("vidpoll-")]

class Hook:
    @vidpoll.hookimpl
    def vidpoll_stage_changed(self):
        tell("in hook")
        if "sleepy" in sys.argv:
            time.sleep(60)

client = make(Hook())
spare = client._transport.spare
"""


class Script:
    """A process that runs SCRIPT and some more lines."""

    def __init__(self, server: Server, lines: str, *words: str) -> None:
        here = Path(__file__).resolve().parents[1] / "support"
        path = [str(here), str(Path(vidpoll.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT + lines, server.url, *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def read(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, *, within: float = LONG) -> tuple[int, list[str], str]:
        """Exit code, the lines that are left, and what it wrote to stderr; fails if that takes too long."""
        begun = time.monotonic()
        out, err = self.process.communicate(timeout=LONG)
        assert time.monotonic() - begun < within
        return self.process.returncode, out.splitlines(), err


WAITS = {
    "wait": "client.wait({first}, timeout=None)",
    "as_completed": "list(client.as_completed([{first}, 'acme:other', 'acme:third']))",
    "watch": "list(client.watch({first}))",
}
INTERRUPTED = """
try:
    {wait}
except KeyboardInterrupt:
    tell("interrupted, under way:", spare - client._transport.spare)
client.close()
for thread in workers():
    thread.join(1)
tell("threads:", len(workers()))
raise SystemExit(5)
"""


def after(server: Server, where: str, script: Script) -> None:
    """Return when the script is where the signal is to hit it."""
    if where == "request":
        assert server.hanging.wait(LONG)
    else:
        assert script.read() == "in hook"
    time.sleep(0.1)


# -- signals ----------------------------------------------------------------------------------------------------------


@both
@posix
@pytest.mark.parametrize("where", ["sleep", "request", "hook"])
@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_a_wait_at_once(server: Server, wait: str, where: str) -> None:
    """KeyboardInterrupt comes out within a second, nothing is left under way, and the process ends as it wants to."""
    line = WAITS[wait].format(first="'acme:hang'" if where == "request" else "'acme:drawing'")
    words = ["sleepy"] if where == "hook" else []
    with Script(server, INTERRUPTED.format(wait=line), *words) as script:
        after(server, where, script)
        script.process.send_signal(signal.SIGINT)
        code, out, err = script.end(within=AT_ONCE)
    assert [line for line in out if line != "in hook"] == ["interrupted, under way: 0", "threads: 0"]
    assert (code, err) == (5, "")


@both
@posix
@pytest.mark.parametrize("where", ["sleep", "request"])
def test_ctrl_c_that_nobody_catches_ends_the_process(server: Server, where: str) -> None:
    """One traceback, that of the KeyboardInterrupt, and no word of a thread."""
    job = "acme:hang" if where == "request" else "acme:drawing"
    with Script(server, f"client.wait({job!r})") as script:
        after(server, where, script)
        script.process.send_signal(signal.SIGINT)
        code, _, err = script.end(within=AT_ONCE)
    assert code == -signal.SIGINT
    assert err.strip().endswith("KeyboardInterrupt")
    assert (err.count("Traceback"), err.count("Exception ignored")) == (1, 0)


@both
@posix
@pytest.mark.parametrize("where", ["sleep", "request"])
def test_sigterm_ends_the_process_at_once(server: Server, where: str) -> None:
    """vidpoll takes no signal from a script: what the system does by default is what happens."""
    job = "acme:hang" if where == "request" else "acme:drawing"
    with Script(server, f"client.wait({job!r})") as script:
        after(server, where, script)
        script.process.send_signal(signal.SIGTERM)
        assert script.end(within=AT_ONCE)[::2] == (-signal.SIGTERM, "")


@both
@posix
@pytest.mark.parametrize("where", ["sleep", "request", "hook"])
def test_a_handler_of_sigterm_that_raises_systemexit_ends_the_wait(server: Server, where: str) -> None:
    """`finally` blocks run, the exit code is the handler's, and stderr stays empty."""
    job = "acme:hang" if where == "request" else "acme:drawing"
    lines = f"""
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
try:
    with client:
        client.wait({job!r})
finally:
    tell("under way:", spare - client._transport.spare)
"""
    with Script(server, lines, *(["sleepy"] if where == "hook" else [])) as script:
        after(server, where, script)
        script.process.send_signal(signal.SIGTERM)
        assert script.end(within=AT_ONCE) == (7, ["under way: 0"], "")


@both
@posix
def test_a_signal_that_a_script_handles_does_not_disturb_a_wait(server: Server) -> None:
    """A handler that returns: the wait goes on to its deadline."""
    lines = """
signal.signal(signal.SIGUSR1, lambda *_: tell("handled"))
try:
    client.wait("acme:drawing", timeout=0.5)
except vidpoll.WaitTimeout:
    tell("timeout")
"""
    with Script(server, lines) as script:
        assert script.read() == "in hook"
        script.process.send_signal(signal.SIGUSR1)
        assert script.end() == (0, ["handled", "timeout"], "")


# -- the end of the interpreter ---------------------------------------------------------------------------------------

ENDS = {
    "a generator is left half way": """
events = client.as_completed(["acme:done", "acme:hang"])
next(events)
""",
    "a watch is left half way": """
events = client.watch("acme:drawing")
next(events)
""",
    "a daemon thread waits": """
threading.Thread(target=client.wait, args=("acme:hang",), daemon=True).start()
while not workers():
    time.sleep(0.01)
time.sleep(0.2)
""",
    "a hook exits": """
class Leave:
    @vidpoll.hookimpl
    def vidpoll_completed(self):
        raise SystemExit(0)
list(make(Leave()).as_completed(["acme:hang", "acme:done"]))
""",
    "on_event exits": """
list(client.as_completed(["acme:hang", "acme:done"], on_event=lambda event: sys.exit()))
""",
    "nobody closes anything": """
client.wait("acme:done")
""",
    "the client is closed": """
events = client.as_completed(["acme:done", "acme:hang"])
next(events)
client.close()
""",
}


@both
@pytest.mark.parametrize("lines", ENDS.values(), ids=ENDS)
def test_the_interpreter_ends_though_a_request_hangs(server: Server, lines: str) -> None:
    """The process is gone within a second, with code 0, and has nothing to say: no traceback, nothing ignored."""
    with Script(server, lines) as script:
        code, _, err = script.end()
    assert (code, err) == (0, "")
    hung = [job for job, _ in server.asked if job == "hang"]
    assert len(hung) <= 1


@both
def test_the_end_of_the_interpreter_is_quick(server: Server) -> None:
    """From the last line of the script to the end of the process: a second, though an answer never comes."""
    with Script(server, ENDS["a daemon thread waits"] + "tell('last line')") as script:
        while script.read() != "last line":
            pass
        assert script.end(within=AT_ONCE) == (0, [], "")


# -- fork -------------------------------------------------------------------------------------------------------------


@both
@forks
def test_a_forked_child_waits_with_connections_of_its_own(server: Server) -> None:
    """A child of a client that has waited can wait; the parent's connection is not used by it, and lives on."""
    lines = """
import warnings; warnings.simplefilter("ignore")
client.wait("acme:done-before")
child = os.fork()
if child == 0:
    with client:
        client.wait("acme:done-child")
    os._exit(0)
_, status = os.waitpid(child, 0)
client.wait("acme:done-after")
tell("child:", os.waitstatus_to_exitcode(status))
"""
    with Script(server, lines) as script:
        assert script.end() == (0, ["child: 0"], "")
    ports = dict(server.asked)
    assert ports["done-before"] == ports["done-after"]
    assert ports["done-child"] != ports["done-before"]


@both
@forks
def test_a_child_forked_in_the_middle_of_a_wait_is_not_stuck(server: Server) -> None:
    """What the parent has under way never comes to the child: it counts as lost, and the deadline holds in both."""
    lines = """
import warnings; warnings.simplefilter("ignore")
inside = []
class Fork:
    @vidpoll.hookimpl
    def vidpoll_stage_changed(self):
        inside.append(os.fork())
client = make(Fork(), http_timeout=(0.2, 0.3))
ends = {job.id: type(job.error).__name__ for job in client.as_completed(["acme:hang", "acme:drawing"], timeout=0.6)}
again = client.wait("acme:done").ok
if inside[0] == 0:
    os._exit(0 if (set(ends.values()), again) == ({"WaitTimeout"}, True) else 1)
_, status = os.waitpid(inside[0], 0)
tell(sorted(ends.items()), again, "child:", os.waitstatus_to_exitcode(status))
"""
    with Script(server, lines) as script:
        code, out, err = script.end()
    assert (code, out, err) == (0, ["[('drawing', 'WaitTimeout'), ('hang', 'WaitTimeout')] True child: 0"], "")


@both
@forks
def test_a_child_does_not_count_what_its_parent_has_under_way(server: Server) -> None:
    """A full gate in the parent keeps no child from asking."""
    lines = """
import warnings; warnings.simplefilter("ignore")
threading.Thread(
    target=lambda: list(client.as_completed([f"acme:hang{n}" for n in range(40)])), daemon=True
).start()
while client._states.get("acme") is None or len(client._states["acme"].limiter._under_way) < 32:
    time.sleep(0.01)
child = os.fork()
if child == 0:
    os._exit(0 if client.wait("acme:done", timeout=5).ok else 1)
tell("child:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    with Script(server, lines) as script:
        assert script.end() == (0, ["child: 0"], "")


# -- clocks that jump -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0, 3.0e9, -1.0e9])
def test_a_wall_clock_that_jumps_moves_no_deadline_and_no_gap(jump: float) -> None:
    """Gaps, floors, deadlines and patience are monotonic; the wall clock is only shown, and read for dates."""

    def run(*, jumps: bool) -> tuple[list[float], list[str]]:
        t = talk([QUEUED, UNAVAILABLE, DRAWING, UNAVAILABLE, DRAWING])
        if jumps:
            wall = t.clock.time
            t.clock.time = lambda: wall() + (jump if len(t.requests) > 2 else 0.0)  # type: ignore[method-assign]
        with pytest.raises(vidpoll.WaitTimeout):
            t.client.wait(REF, timeout=62)
        with pytest.raises(vidpoll.WaitTimeout):  # the floor across calls
            t.client.wait(REF, timeout=12)
        return t.clock.waits, t.ears.told

    assert run(jumps=True) == run(jumps=False)


def test_a_wall_clock_that_jumps_moves_no_patience() -> None:
    """Ten minutes of an outage are ten minutes, whatever the wall clock says."""
    t = talk([DRAWING, UNAVAILABLE])
    wall = t.clock.time
    t.clock.time = lambda: wall() + 86_400.0 * len(t.requests)  # type: ignore[method-assign]
    with pytest.raises(vidpoll.ProviderUnreachable):
        t.client.wait(REF)
    assert sum(t.clock.waits) == 605.0


# -- threads ----------------------------------------------------------------------------------------------------------

BRISK = replace(ACME, pacing=vidpoll.Pacing(floor=0.1))


class Counting(FakeTransport):
    """Each job is drawing twice, and then done."""

    def __init__(self) -> None:
        super().__init__([])
        self.seen: Counter[str] = Counter()
        self.guard = threading.Lock()
        self.ids = iter(range(10_000))

    def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
        if wire.method == "POST":
            with self.guard:
                return vidpoll.Response(202, {}, b'{"id": "new%d"}' % next(self.ids))
        job = wire.url.rpartition("/")[2]
        with self.guard:
            self.seen[job] += 1
            number = self.seen[job]
        done = b'{"status": "done", "video": "https://cdn.example/v.mp4"}'
        return vidpoll.Response(200, {}, done if number > 2 else b'{"status": "drawing"}')


class Times:
    """When each job was asked: taken in the thread that sends, as it sends. A worker may take it up a little later."""

    def __init__(self, client: vidpoll.Client) -> None:
        self.at: defaultdict[str, list[float]] = defaultdict(list)
        account = client._state("acme").opened
        wire = account.wire

        def noted(request: vidpoll.Request, **options: Any) -> Any:
            self.at[request.path].append(time.monotonic())
            return wire(request, **options)

        account.wire = noted  # type: ignore[method-assign]

    def shortest(self) -> float:
        """The shortest gap between two questions about one job."""
        return min(b - a for path, at in self.at.items() if path != "/jobs" for a, b in pairwise(sorted(at)))


class Listening:
    """Notes in which thread each hook was called."""

    def __init__(self) -> None:
        self.threads: defaultdict[str, set[threading.Thread]] = defaultdict(set)

    @vidpoll.hookimpl
    def vidpoll_stage_changed(self, job: vidpoll.Job) -> None:
        self.threads[job.ref].add(threading.current_thread())

    @vidpoll.hookimpl
    def vidpoll_completed(self, job: vidpoll.Job) -> None:
        self.threads[job.ref].add(threading.current_thread())


def together(*works: Callable[[], None]) -> list[threading.Thread]:
    """Run all at once, each in its thread; raise what one of them raised."""
    wrong: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        barrier.wait(LONG)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's own thread
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    if wrong:
        raise wrong[0]
    return threads


def brisk(transport: Any, *plugins: object) -> vidpoll.Client:
    return vidpoll.Client(
        plugins=[Plugin(BRISK), *plugins],
        discover=False,
        transport=transport,
        pacing=vidpoll.Fixed(0.1),
        accounts={"acme": vidpoll.Account("acme", key=KEY)},
    )


def test_threads_share_a_client() -> None:
    """wait, as_completed, poll and submit at once: a verdict for every job, and hooks in the thread that waits."""
    wire, ears = Counting(), Listening()
    ends: dict[str, bool] = {}
    with brisk(wire, ears) as client:
        times = Times(client)

        def wait(name: str) -> None:
            ends[name] = client.wait(f"acme:{name}", timeout=LONG).ok

        def many(name: str) -> None:
            for job in client.as_completed([f"acme:{name}-{n}" for n in range(60)], timeout=LONG):
                ends[job.id] = job.ok

        def poll(name: str) -> None:
            for _ in range(3):
                client.poll(f"acme:{name}")

        def submit(name: str) -> None:
            for _ in range(3):
                job = client.submit("acme", "clip", prompt=name)
                ends[job.id] = client.wait(job, timeout=LONG).ok

        kinds: list[Callable[[str], None]] = [wait, many, poll, submit]
        works = [lambda kind=kind, n=n: kind(f"{kind.__name__}{n}") for kind in kinds for n in range(4)]
        threads = together(*works)
    assert len(ends) == 4 + 4 * 60 + 4 * 3
    assert all(ends.values())
    assert times.shortest() >= 0.1 - 0.02
    heard = {name: next(iter(where)) for name, where in ears.threads.items() if len(where) == 1}
    assert set(heard) == set(ears.threads)
    assert set(heard.values()) <= set(threads)
    for n in range(4):
        assert len({heard[f"acme:many{n}-{each}"] for each in range(60)}) == 1
    assert len(client._states) == 1


def test_the_floor_of_a_job_holds_over_the_threads_that_wait_for_it() -> None:
    """Six threads wait for one job: together they ask no faster than one would, and all hear the verdict."""
    ends = []
    with brisk(Counting()) as client:
        times = Times(client)
        together(*[lambda: ends.append(client.wait("acme:one", timeout=LONG).ok) for _ in range(6)])
    assert ends == [True] * 6
    assert times.shortest() >= 0.1 - 0.02


def test_threads_share_the_trouble_of_an_account() -> None:
    """Forty threads, one job each, at a dead account: they ask as one loop would, and all come through afterwards."""
    dead, at = threading.Event(), []
    dead.set()

    class Dying(Counting):
        def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
            at.append((time.monotonic(), dead.is_set()))
            return vidpoll.Response(503, {}, b"") if dead.is_set() else super().send(wire, ticket)

    ends = []
    with brisk(Dying()) as client:

        def revive() -> None:
            time.sleep(0.6)
            dead.clear()

        def wait(n: int) -> None:
            ends.append(client.wait(f"acme:{n}", timeout=LONG).ok)

        together(revive, *[lambda n=n: wait(n) for n in range(40)])
    assert ends == [True] * 40
    assert len([when for when, ill in at if ill]) <= 32 + 10 + 10


def test_no_thread_is_left_when_a_client_is_closed() -> None:
    """However many threads have used it."""
    before = set(threading.enumerate())
    with brisk(Counting()) as client:
        together(*[lambda n=n: client.wait(f"acme:{n}", timeout=LONG) for n in range(8)])
    for thread in set(threading.enumerate()) - before:
        thread.join(LONG)
        assert not thread.is_alive()


# -- hooks that raise -------------------------------------------------------------------------------------------------


class Mine(Exception):
    """Nobody knows it."""


def raising(error: BaseException) -> Any:
    class Raising:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> None:
            raise error

        @vidpoll.hookimpl
        def vidpoll_completed(self) -> None:
            raise error

    return Raising()


class Mute(Exception):
    """It cannot even be printed."""

    def __str__(self) -> str:
        raise IndexError


BORNE = [
    Mute(), Mine("x"), ValueError(), StopIteration(), StopAsyncIteration(), RecursionError(), MemoryError(),
    AssertionError(), ConnectionResetError(), TimeoutError(), vidpoll.JobFailed("not really"), vidpoll.UsageError("no"),
    UserWarning(),
]  # fmt: skip


@pytest.mark.parametrize("error", BORNE, ids=lambda error: type(error).__name__)
def test_a_hook_that_raises_costs_nothing(error: Exception) -> None:
    """Whatever kind of Exception it is, also one of our own: the job gets its verdict, and the others hear of it."""
    t = talk([DRAWING, DONE], plugins=(raising(error),))
    assert t.client.wait(REF).ok
    assert t.ears.told == ["stage drawing", "progress 10", "completed"]
    t = talk([DRAWING, DONE])

    def on_event(event: vidpoll.Event) -> None:
        raise error

    assert t.client.wait(REF, on_event=on_event).ok


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("where", ["hook", "on_event"])
def test_what_is_meant_to_end_the_process_passes(error: BaseException, where: str) -> None:
    """SystemExit and KeyboardInterrupt come out as they are, and nothing is left under way; the client is usable."""

    def on_event(event: vidpoll.Event) -> None:
        raise error

    t = talk({"/jobs/a": [DRAWING], "/jobs/ok": [DONE]}, plugins=(raising(error),) if where == "hook" else ())
    refs = [f"acme:a{n}" for n in range(50)]
    with pytest.raises(type(error)) as caught:
        list(t.client.as_completed(refs, on_event=on_event if where == "on_event" else None))
    assert caught.value is error
    limiter = t.client._states["acme"].limiter
    assert (t.client._transport.workers._open, limiter._under_way, limiter._waiting) == (set(), set(), set())
    if where == "on_event":
        assert t.client.wait("acme:ok").ok


# -- a watch that is abandoned ----------------------------------------------------------------------------------------


class Hanging(FakeTransport):
    """Job `hang` is never answered; its connection notes that it was shut."""

    def __init__(self) -> None:
        super().__init__({"/jobs/a": [DRAWING], "/jobs/ok": [DONE]})
        self.begun, self.shut = threading.Event(), threading.Event()

    def send(self, wire: Any, ticket: Any) -> vidpoll.Response:
        if wire.url.endswith("/hang"):
            ticket.shut = self.shut.set
            self.begun.set()
            self.shut.wait(LONG)
            raise ConnectionAbortedError
        return super().send(wire, ticket)


@pytest.mark.parametrize("how", ["closed", "garbage", "break"])
def test_a_watch_that_is_left_half_way_leaves_nothing(how: str) -> None:
    """Closed, collected or broken out of: the request that hangs is aborted, and the client can be used again."""
    wire = Hanging()
    with brisk(wire) as client:
        events: Any = client.as_completed(["acme:hang", "acme:ok"])
        if how == "break":
            for _ in events:
                break
        else:
            next(events)
        assert wire.begun.wait(LONG)
        if how == "closed":
            events.close()
        del events
        gc.collect()
        assert wire.shut.wait(LONG)
        assert not client._transport.workers._open
        assert not client._states["acme"].limiter._under_way
        assert client.wait("acme:ok").ok
        events = client.watch("acme:a")
        assert str(next(events).stage) == "drawing"
        events.close()
        assert not client._transport.workers._open


@pytest.mark.parametrize("how", ["closed", "garbage", "never begun"])
def test_the_watch_of_the_module_closes_its_client(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vidpoll.watch` makes a client of its own; whoever leaves half way leaves neither it nor a thread behind."""
    before = set(threading.enumerate())
    made: list[vidpoll.Client] = []

    def make() -> vidpoll.Client:
        made.append(brisk(Hanging()))
        return made[0]

    monkeypatch.setattr("vidpoll.shortcuts.Client", make)
    events: Any = vidpoll.watch("acme:a")
    if how != "never begun":
        assert str(next(events).stage) == "drawing"
    if how == "closed":
        events.close()
    del events
    gc.collect()
    (client,) = made
    assert client._closed or how == "never begun"
    for thread in set(threading.enumerate()) - before:
        thread.join(LONG)
        assert not thread.is_alive()


@both
def test_the_server_sees_that_an_abandoned_request_is_gone() -> None:
    """On a real connection: it is shut, not merely forgotten."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LONG)
        account = vidpoll.Account("acme", base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", key=None)
        client = vidpoll.Client(plugins=[Plugin(BRISK)], discover=False, accounts={"acme": account})

        def leave() -> Iterator[None]:
            def stop(event: vidpoll.Event) -> None:
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                list(client.as_completed(["acme:a", "acme:b"], on_event=stop))
            yield

        thread = threading.Thread(target=lambda: list(leave()), daemon=True)
        thread.start()
        peers = [listening.accept()[0] for _ in range(2)]
        for peer in peers:
            peer.settimeout(LONG)
            assert peer.recv(4096).startswith(b"GET ")
        body = b'{"status": "drawing"}'
        peers[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert peers[1].recv(4096) == b""
        thread.join(LONG)
        for peer in peers:
            peer.close()
        client.close()
