"""What the command line promises to pipes, to signals and to scripts, tried in processes of its own.

Each printed next step is pasted and run: a line that does not work is worse than none.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from acme_provider import MP4
from processes import LONG, Machine, shop
from raw_server import free_port

pytestmark = pytest.mark.usefixtures("transport")

posix = pytest.mark.skipif(os.name != "posix", reason="signals reach a process like this on POSIX only")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A user's machine."""
    return Machine(tmp_path)


def drawing(method: str, path: str) -> tuple[int, Any]:
    return 200, {"status": "drawing", "progress": 10}


def done(method: str, path: str) -> tuple[int, Any]:
    return (200, MP4) if path.startswith("/files/") else (200, {"status": "done", "video": "/files/v.mp4"})


def line_in(said: str, begins: str) -> list[str]:
    """The words of the command in what was printed, without `vidpoll`."""
    return shlex.split(begins + said.partition(begins)[2].splitlines()[0])[1:]


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_a_wait_with_the_line_that_goes_on(machine: Machine, number: signal.Signals, code: int) -> None:
    """`docker stop`, systemd, `timeout` and a terminal that closes are told what Ctrl-C is told; the line works."""
    with shop(drawing) as server:
        process = machine.start("wait", "acme:j1", "--base-url", server.url, "--no-store")
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        said = process.communicate(timeout=LONG)[0].decode()
        assert (process.returncode, "Traceback" in said) == (code, False)
        words = line_in(said, "vidpoll wait")
        assert words == ["wait", "acme:j1", "--base-url", server.url, "--no-store"]
        assert machine.run(*words, "--timeout", "0", "--quiet")[0] == 3


@posix
def test_a_signal_that_is_ignored_stays_ignored(machine: Machine) -> None:
    """As `nohup` has it."""
    with shop(drawing) as server:
        process = machine.start(
            "wait",
            "acme:j1",
            "--base-url",
            server.url,
            "--no-store",
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONG)
        assert process.returncode == 143


_WHILE_LOADING = """
import os, signal, sys

class Signal:
    def find_spec(name, path=None, target=None):
        if name == "{}":
            os.kill(os.getpid(), signal.{})

sys.meta_path.insert(0, Signal)
sys.argv = ["vidpoll", "wait", "acme:j1"]
from vidpoll.__main__ import run
sys.exit(run())
"""


@posix
@pytest.mark.parametrize("module", ["vidpoll.cli", "vidpoll.cli.waiting", "vidpoll.client", "the transport"])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_it_is_being_loaded_is_quiet(
    machine: Machine, module: str, name: str, code: int, transport: str
) -> None:
    """Nobody wants to read of imports."""
    last = {"requests": "vidpoll.net.transport", "curl": "vidpoll_curl.transport"}[transport]
    source = _WHILE_LOADING.format(last if module == "the transport" else module, name)
    done = subprocess.run(
        [sys.executable, "-c", source], env=machine.environ, capture_output=True, timeout=LONG, check=False
    )
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr in (b"", b"vidpoll: interrupted\n")


@pytest.mark.parametrize(
    "coding",
    ["utf-8-sig", "utf-16", *(pytest.param(each, marks=pytest.mark.slow) for each in ("utf-8", "utf-16-le", "utf-32"))],
)
def test_references_come_in_any_coding_of_windows(machine: Machine, coding: str) -> None:
    """By the byte order mark; without one it is UTF-8, and bad bytes are no reason to stop."""
    text = ("\ufeff" if coding == "utf-16-le" else "") + "acme:j1 # é\r\nacme:j2\r\n"
    with shop(done) as server:
        code, said = machine.run("wait", "-", "--base-url", server.url, "--no-store", feed=text.encode(coding))
        assert (code, sorted({path for _, path, *_ in server.seen})) == (0, ["/jobs/j1", "/jobs/j2"]), said
        assert machine.run("wait", "-", "--base-url", server.url, "--no-store", feed=b"acme:j1 # \xe9\n")[0] == 0


@pytest.mark.slow
def test_a_pipe_hears_why_no_bytes_come(machine: Machine) -> None:
    """The files are inside `--timeout`, the trouble is told as it comes, and the line that is given works."""
    dead = f"http://127.0.0.1:{free_port()}/v.mp4"
    where = {"url": dead}

    def answer(method: str, path: str) -> tuple[int, Any]:
        return (200, MP4) if path == "/v.mp4" else (200, {"status": "done", "video": where["url"]})

    with shop(answer) as server:
        start = time.monotonic()
        code, said = machine.run(
            "wait", "acme:j1", "--base-url", server.url, "--no-store", "--timeout", "2", "--download", "d"
        )
        assert (code, time.monotonic() - start < 15) == (1, True)
        assert "no news: the connection was refused; again in " in said
        where["url"] = f"{server.url}/v.mp4"
        code, said = machine.run(*line_in(said, "vidpoll download"))
        assert (code, len(list((machine.home / "d").iterdir()))) == (0, 1), said


@pytest.mark.slow
def test_nobody_there_is_told_at_once(machine: Machine) -> None:
    """What is no wait is tried again, too: it says so, and `--timeout` bounds it."""
    nobody = f"http://127.0.0.1:{free_port()}"
    for words in (["jobs", "acme"], ["quota", "acme"], ["submit", "acme", "clip", "prompt=x"]):
        start = time.monotonic()
        code, said = machine.run(*words, "--base-url", nobody, "--timeout", "2")
        assert (code, "no usable response: the connection was refused; trying again in " in said) == (1, True), said
        assert time.monotonic() - start < 15


def test_resume_waits_at_each_server_of_one_provider(machine: Machine) -> None:
    """Two addresses, one account's name: each job is asked about at its own."""
    going = [True]

    def answer(method: str, path: str) -> tuple[int, Any]:
        return drawing(method, path) if going[0] else done(method, path)

    with shop(answer) as one, shop(answer) as two:
        for server, ref in ((one, "acme:j1"), (two, "acme:j2")):
            assert machine.run("wait", ref, "--base-url", server.url, "--timeout", "0", "--quiet")[0] == 3
        going[0] = False
        code, said = machine.run("resume", "--quiet", "--base-url", one.url, "--base-url", two.url)
        assert code == 0, said
        assert {path for _, path, *_ in one.seen} == {"/jobs/j1"}
        assert {path for _, path, *_ in two.seen} == {"/jobs/j2"}


@posix
def test_ctrl_c_ends_the_waits_at_all_servers(machine: Machine) -> None:
    """One signal, one exit code, and the line that goes on with all."""
    with shop(drawing) as one, shop(drawing) as two:
        for server, ref in ((one, "acme:j1"), (two, "acme:j2")):
            machine.run("wait", ref, "--base-url", server.url, "--timeout", "0", "--quiet")
            server.asked.clear()
        process = machine.start("resume", "--base-url", one.url, "--base-url", two.url)
        assert one.asked.wait(LONG)
        assert two.asked.wait(LONG)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=LONG)[0].decode()
        assert (process.returncode, "vidpoll resume" in said) == (130, True), said


@posix
def test_a_store_that_others_can_write_says_not_where_a_key_goes(machine: Machine) -> None:
    """It is refused; and an address that stands in it alone gets no key before the line that is given is called."""
    with shop(drawing) as evil:
        store = machine.home / "given.sqlite3"
        options = ("--store", str(store), "--timeout", "0", "--quiet")
        assert machine.run("wait", "acme:j1", "--base-url", evil.url, *options)[0] == 3
        evil.seen.clear()
        store.chmod(0o666)
        code, said = machine.run("resume", *options)
        assert (code, evil.seen, f"chmod go-w {store}" in said) == (2, [], True)
        store.chmod(0o600)
        code, said = machine.run("resume", *options)
        assert (code, evil.seen, evil.url in said) == (3, [], True)
        assert machine.run(*line_in(said, "vidpoll resume"), "--timeout", "0", "--quiet")[0] == 3
        assert len(evil.seen) == 1


def test_headers_of_the_accounts_own(machine: Machine) -> None:
    """From a variable to its own origin, in the line that goes on, and never on the terminal."""
    machine.environ["FRONT"] = "Basic c2VjcmV0OndvcmQ="
    words = ("wait", "acme:j1", "--header", "X-Front=FRONT", "--no-store", "--timeout", "0")
    with shop(drawing) as server:
        code, said = machine.run(*words, "--base-url", server.url)
        assert (code, server.seen[0][2].get("X-Front")) == (3, "Basic c2VjcmV0OndvcmQ=")
        assert "c2VjcmV0" not in said
        again = line_in(said, "vidpoll wait")
        assert machine.run(*again, "--timeout", "0")[0] == 3
        assert server.seen[-1][2].get("X-Front") == "Basic c2VjcmV0OndvcmQ="
