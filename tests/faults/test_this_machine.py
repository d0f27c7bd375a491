"""What is wrong on this machine is told at once, by the variable that sets it; nothing was sent, and no job is touched.

A submit that did not leave leaves no row behind, a wait does not take ten minutes, and the named next step helps.
"""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from acme_provider import ACME, REF, Plugin, parse_status, talk
from provider_cases import CASES, quick, real_client
from raw_server import answers, chaos, free_port

import vidpoll
from vidpoll.faults import Misconfigured
from vidpoll.net import environment
from vidpoll.net.workers import Workers

both = pytest.mark.usefixtures("transport")

CASE = CASES[0]
KIND, FIELDS = CASE.submit
FAR = "https://api.acme.example"


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy in the environment, and no PySocks."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://127.0.0.1:9")
    monkeypatch.setattr(environment, "find_spec", lambda name: None)


@both
@pytest.mark.usefixtures("proxied")
def test_a_submit_that_cannot_be_sent_is_no_unknown_one(tmp_path: Path) -> None:
    """ConfigurationError with the way out, and no submission on record."""
    with real_client(CASE, FAR, store=tmp_path / "jobs.sqlite3") as client:
        with pytest.raises(
            vidpoll.ConfigurationError, match=r"HTTPS_PROXY .*pip install 'requests\[socks\]'"
        ) as caught:
            client.submit(CASE.name, KIND, **FIELDS)
        assert "Nothing was sent and nothing was bought" in str(caught.value)
        assert list(client.store.unknown_submits()) == []


@both
@pytest.mark.usefixtures("proxied")
def test_a_wait_that_cannot_ask_ends_at_once_and_carries_the_job() -> None:
    """It is unknown how the job ends, and the line that goes on is told. So for one question."""
    events: list[vidpoll.Event] = []
    with real_client(CASE, FAR) as client:
        with pytest.raises(vidpoll.WaitNotSent, match="pip install") as caught:
            client.wait(CASE.ref, timeout=600, on_event=events.append)
        with pytest.raises(vidpoll.ConfigurationError, match="pip install"):
            client.poll(CASE.ref)
    assert isinstance(caught.value, (vidpoll.OutcomeUnknown, vidpoll.ConfigurationError))
    assert caught.value.job.ref == CASE.ref
    assert caught.value.resume is not None
    assert CASE.ref in caught.value.resume
    assert [type(event) for event in events] == [vidpoll.PollFailed, vidpoll.GaveUp]


@both
@pytest.mark.usefixtures("proxied")
def test_a_file_that_cannot_be_asked_for_ends_at_once(tmp_path: Path) -> None:
    """It is this machine that has to be mended, whatever host the file is on."""
    completed = {"status": "done", "video": f"{FAR}/v.mp4"}
    provider = replace(ACME, auth=vidpoll.NoAuth(), pacing=vidpoll.Pacing(floor=0.05))
    with chaos(answers(completed)) as server:
        account = {"acme": vidpoll.Account("acme", base_url=server.url, key=None)}
        with vidpoll.Client(accounts=account, plugins=[Plugin(provider)], discover=False) as client:
            with pytest.raises(vidpoll.ConfigurationError, match="pip install"):
                client.download(REF, tmp_path, timeout=20)
    assert list(tmp_path.glob("*.mp4")) == []


@both
def test_a_ca_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable is named; once the file is there the same client goes on."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "corporate.pem"))
    with real_client(CASE, f"https://127.0.0.1:{free_port()}") as client:
        with pytest.raises(vidpoll.ConfigurationError, match="REQUESTS_CA_BUNDLE"):
            client.submit(CASE.name, KIND, **FIELDS)


@both
def test_a_submit_that_is_given_up_while_it_connects_was_not_sent(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses that swallow the connection: no second of the whole bound was spent with a server.

    libcurl has one bound for all addresses of a host, so that one will do.
    """
    monkeypatch.setattr("vidpoll.polling.task.ONE_SHOT_PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as hole:
        address, full = hole.getsockname(), []
        for _ in range(4):
            full.append(socket.socket())
            full[-1].setblocking(False)
            full[-1].connect_ex(address)
        many = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 5
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: many)
        url, bound = {
            "requests": ("http://api.acme.internal", r"no complete response within 0\.2 s"),
            "curl": (f"http://127.0.0.1:{address[1]}", r"no connection within 0\.1 s"),
        }[transport]
        with real_client(CASE, url, bound=0.2) as client:
            with pytest.raises(vidpoll.ServerError, match=f"{bound}.*Nothing was sent"):
                client.submit(CASE.name, KIND, **FIELDS)
        for each in full:
            each.close()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """So many workers can be started, and no more."""
    allowed, real = [0], threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("vidpoll"):
            if not allowed[0]:
                raise RuntimeError("can't start new thread")
            allowed[0] -= 1
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return allowed


@both
def test_without_a_thread_nothing_is_sent(threads: list[int]) -> None:
    """A typed error for a submit and a wait; the limit is named."""
    with chaos(answers(CASE.completed)) as server, real_client(CASE, server.url) as client:
        with pytest.raises(vidpoll.ConfigurationError, match="cannot start more threads: raise the limit"):
            client.submit(CASE.name, KIND, **FIELDS)
        with pytest.raises(vidpoll.WaitNotSent, match="cannot start more threads"):
            client.wait(CASE.ref, timeout=60)
        assert server.heads == []
        threads[0] = 1
        assert client.wait(CASE.ref, timeout=60).ok


@both
def test_without_a_thread_no_file_is_fetched(threads: list[int], tmp_path: Path) -> None:
    """The same typed error."""
    with chaos(answers(CASE.completed)) as server, real_client(CASE, server.url) as client:
        threads[0] = 1
        job = client.wait(CASE.ref, timeout=60)
    with (
        real_client(CASE, server.url) as client,
        pytest.raises(vidpoll.ConfigurationError, match="cannot start more threads"),
    ):
        client.download(job, tmp_path)


@both
def test_those_threads_that_there_are_go_on(threads: list[int]) -> None:
    """Twenty jobs by two threads, and by more once they can be started."""
    threads[0] = 2
    with chaos(answers(CASE.completed, keep=True)) as server:
        provider = quick(CASE.provider)
        with real_client(CASE, server.url, plugins=[Plugin(provider)]) as client:
            ended = client.wait_all(
                [f"{CASE.name}:{CASE.job_id}"] * 2 + [f"{CASE.name}:x{n}" for n in range(20)], timeout=0.4
            )
    assert ended[0].ok
    workers = Workers(8)
    inbox: Queue[Any] = Queue()
    threads[0] = 1
    workers.send(lambda ticket: None, inbox)
    gate = threading.Event()
    stuck = workers.send(lambda ticket: gate.wait(5), inbox)
    assert inbox.get(timeout=5).outcome is None
    workers.send(lambda ticket: None, inbox)
    assert workers.spare == 0  # one thread, one more that would try for another
    threads[0] = 5
    workers.send(lambda ticket: None, inbox)
    gate.set()
    assert {inbox.get(timeout=5).done for _ in range(3)} == {True}
    assert stuck.done
    workers.close()
    threads[0] = 0
    with pytest.raises(Misconfigured):
        Workers(1).send(lambda ticket: None, inbox)


FEW_FILES = """
import resource, sys, vidpoll
sys.path[:0] = sys.argv[2:]
from acme_provider import Plugin, ACME
from dataclasses import replace
provider = replace(ACME, base_url=sys.argv[1], pacing=vidpoll.Pacing(floor=0.05), auth=vidpoll.NoAuth())
accounts = {name: vidpoll.Account("acme", base_url=sys.argv[1], key=None) for name in "abc"}
with vidpoll.Client(accounts=accounts, plugins=[Plugin(provider)], discover=False) as client:
    resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
    jobs = client.wait_all([f"{name}:{n}" for name in "abc" for n in range(15)], timeout=60, pacing=vidpoll.Fixed(0.05))
    print([job.ok for job in jobs].count(True), {str(job.error) for job in jobs if not job.ok})
"""


@both
@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_few_open_files_slow_a_wait_down_and_cost_no_answer() -> None:
    """The connections of other threads that are idle make room, and nothing is loaded from disk by an answer."""
    with chaos(answers({"status": "done", "video": "https://cdn.example/v.mp4"}, keep=True)) as server:
        folder = str(Path(__file__).parents[1] / "support")
        command = [sys.executable, "-c", FEW_FILES, server.url, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("45 set()\n", "")


NOTHING_NEW = """
import sys, tempfile, vidpoll
sys.path[:0] = sys.argv[2:]
from acme_provider import Plugin, ACME
from dataclasses import replace
provider = replace(ACME, base_url=sys.argv[1], auth=vidpoll.NoAuth())
with vidpoll.Client(plugins=[Plugin(provider)], discover=False, store=tempfile.mkdtemp() + "/jobs") as client:
    events = client.watch("acme:j1", timeout=20)
    next(events)
    known = set(sys.modules)
    list(events)
    try:
        client.download("acme:j1", tempfile.mkdtemp(), timeout=1)
    except vidpoll.DownloadError:
        pass
tops = ("vidpoll", "encodings", "requests", "urllib3", "email", "http")
print(sorted(name for name in set(sys.modules) - known if name.partition(".")[0] in tops))
"""


@both
@pytest.mark.slow
def test_what_the_end_of_a_wait_needs_is_loaded_at_its_beginning() -> None:
    """So `pip install -U vidpoll` in the middle of an hour's wait cannot break it, nor a lack of open files."""
    with chaos(answers({"status": "drawing"}), answers({"status": "done", "video": "/v.mp4"})) as server:
        folder = str(Path(__file__).parents[1] / "support")
        command = [sys.executable, "-c", NOTHING_NEW, server.url, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), MemoryError()])
def test_a_parser_that_could_not_read_is_not_the_plugins_fault(error: Exception) -> None:
    """It is borne, and no plugin is named."""
    heard: list[str] = []

    def parse(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
        if not heard:
            heard.append("once")
            raise error
        return parse_status(response, job_id)

    t = talk(
        [{"status": "done", "video": "https://x/v.mp4"}],
        provider=replace(ACME, status=replace(ACME.status, parse=parse)),
    )
    events: list[vidpoll.Event] = []
    assert t.client.wait(REF, on_event=events.append).ok
    (failed,) = [event.reason for event in events if isinstance(event, vidpoll.PollFailed)]
    assert failed.startswith("this machine could not read the response")
