"""vidpoll.notify: events as plain values, one method for all of them, and an outbox that never holds up who puts in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, MP4, REF, talk

import vidpoll
from vidpoll import notify
from vidpoll.batch.options import Money
from vidpoll.plugins import HOOKS, Plugins

BOUND = 30.0
"""Seconds that a test waits for a thread; it needs some milliseconds."""

PAGE = (Path(__file__).parents[1] / "docs" / "notifications.md").read_text(encoding="utf-8")

AT = 1_800_000_000.25
ASSET = vidpoll.Asset("https://me:pw@cdn.example/v.mp4?sig=0123456789abcdef", "video", "video/mp4", size=7)
DATA = vidpoll.Asset(kind="audio", data=b"12")
SNAPSHOT = vidpoll.Snapshot(vidpoll.State.RUNNING, "drawing", 7)
LOST = vidpoll.WaitTimeout("acme:1: no verdict; see https://x.example/y?token=0123456789abcdef")
EXPIRED = {"message": "out of paint", "code": "E1", "category": "expired", "charged": None}
EVENTS: dict[type[vidpoll.Event], tuple[dict[str, Any], dict[str, Any]]] = {
    vidpoll.StageChanged: ({"state": vidpoll.State.RUNNING, "stage": "drawing"}, {"state": "running", "known": True}),
    vidpoll.ProgressChanged: ({"progress": 7.5}, {"progress": 7.5, "stage": None}),
    vidpoll.Completed: (
        {"assets": (ASSET, DATA), "cost": vidpoll.Cost(5.0)},
        {
            "assets": [
                {"kind": "video", "url": "https://cdn.example/v.mp4", "media_type": "video/mp4", "size": 7},
                {"kind": "audio", "url": None, "media_type": None, "size": None},
            ],
            "cost": {"charged": 5.0, "refunded": 0.0, "unit": "credits"},
        },
    ),
    vidpoll.Failed: (
        {"state": vidpoll.State.EXPIRED, "problem": vidpoll.Problem("out of paint", "E1", kind="expired")},
        {"state": "expired", "problem": EXPIRED},
    ),
    vidpoll.PollFailed: ({"reason": "HTTP 503", "status": 503}, {"reason": "HTTP 503", "status": 503, "in_a_row": 1}),
    vidpoll.Stalled: ({"seconds": 600.0}, {"seconds": 600.0, "progress": None}),
    vidpoll.GaveUp: (
        {"error": LOST},
        {"error": {"type": "WaitTimeout", "message": "acme:1: no verdict; see https://x.example/y?…"}},
    ),
    vidpoll.Polled: ({"snapshot": SNAPSHOT}, {"snapshot": {"state": "running", "stage": "drawing", "progress": 7}}),
    vidpoll.DownloadProgress: ({"kind": "video", "received": 3}, {"received": 3, "total": None}),
    vidpoll.Downloaded: ({"kind": "video", "path": Path("a b.mp4"), "size": 7}, {"path": "a b.mp4", "size": 7}),
}


def test_every_event_is_here() -> None:
    """A new event has to say how it looks as plain values."""
    assert set(EVENTS) == set(HOOKS)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_as_plain_values(kind: type[vidpoll.Event]) -> None:
    """All its fields, its name, its time and its line; JSON takes it, and no secret is in it."""
    given, expected = EVENTS[kind]
    said = notify.plain(kind("acme:1", AT, **given))
    assert {name: said[name] for name in expected} == expected
    assert set(said) == {field.name for field in fields(kind)} | {"event", "text"}
    assert (said["event"], said["ref"], said["at"]) == (
        HOOKS[kind].removeprefix("vidpoll_"),
        "acme:1",
        "2027-01-15T08:00:00.250Z",
    )
    assert said["text"].startswith("acme:1")
    assert "0123456789" not in json.dumps(said)
    assert "pw" not in json.dumps(said)


def test_what_a_provider_writes_is_one_line() -> None:
    """Also where the model does not see to it: a kind, a unit, a media type."""
    asset = vidpoll.Asset("https://x.example/\u202ev", "vid\x1b[2Jeo\n", "a\rb")
    said = notify.plain(vidpoll.Completed("acme:1", float("inf"), (asset,), vidpoll.Cost(1, 0, "cre\ndits")))
    text = json.dumps(said, ensure_ascii=False)
    assert all(char.isprintable() for each in (text, said["assets"][0]["kind"], said["cost"]["unit"]) for char in each)
    assert said["at"] is None


def test_a_listener_hears_what_is_no_heartbeat(tmp_path: Path) -> None:
    """One method for all events but `polled` and `download_progress`, in the order of the hooks."""
    heard: list[tuple[vidpoll.Job, str]] = []

    class Ear(notify.Listener):
        def hear(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
            heard.append((job, notify.name_of(event)))

    t = talk({"/jobs": [DRAWING, DONE], "/files": [(200, {"content-length": str(len(MP4))}, MP4)]}, plugins=(Ear(),))
    job = t.client.wait(REF)
    t.client.download(job, tmp_path)
    assert heard == [(job, name) for name in ("stage_changed", "progress", "completed", "downloaded")]
    of_jobs = {name.removeprefix("vidpoll_") for name in HOOKS.values()} - {"polled", "download_progress"}
    assert set(notify.NAMES) == of_jobs | {"batch_stopped", "batch_ended"}


def test_a_listener_hears_of_a_batch() -> None:
    """Its stops and its end as plain values, on one line, with the whole line that goes on."""
    heard: list[Any] = []

    class Ear(notify.Listener):
        def hear_batch(self, said: Any) -> None:
            heard.append(said)

    states, spent = {"completed": 1, "failed": 0, "waiting": 1}, {"USD": 0.5, "": 0.0}
    status = vidpoll.BatchStatus("ni\nght", 2, states, {"money": 1}, (), spent, {}, Money(2.0, "USD"), None, AT)
    go_on = "vidpoll batch " + "long/" * 200 + "night.csv"
    stop = vidpoll.Stopped("acme", "money", "top\x1b[2J up", go_on)
    plugins = Plugins([Ear()], discover=False)
    plugins.batch_stopped(status, stop, f"stopped: money at acme; go on with: {go_on}")
    plugins.batch_ended(status, "night: 1 of 2 done")
    whole = {
        "ref": "batch:ni ght", "at": notify.plain(vidpoll.Completed("acme:1", AT, ()))["at"], "rows": 2, "done": 1,
        "states": {"completed": 1, "waiting": 1}, "waiting": {"money": 1}, "spent": {"USD": 0.5}, "reserved": {},
        "budget": {"amount": 2.0, "unit": "USD"},
    }  # fmt: skip
    told = {"account": "acme", "reason": "money", "said": "top up", "go_on": go_on}
    assert heard == [
        {**whole, **told, "event": "batch_stopped", "text": f"stopped: money at acme; go on with: {go_on}"},
        {**whole, "event": "batch_ended", "text": "batch night: 1 of 2 done"},
    ]
    assert json.loads(json.dumps(heard)) == heard


def test_what_is_kept() -> None:
    """What comes once a job or a file."""
    kept = {kind for kind, (given, _) in EVENTS.items() if notify.is_kept(kind("acme:1", AT, **given))}
    assert kept == {vidpoll.Completed, vidpoll.Failed, vidpoll.GaveUp, vidpoll.Downloaded}


class Slow:
    """A delivery that waits until it is let go; `got` are the lists that it was given."""

    def __init__(self, **options: Any) -> None:
        self.got: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.outbox: notify.Outbox[int] = notify.Outbox(self.deliver, name="slow", **options)

    def deliver(self, items: list[int]) -> None:
        self.got.append(items)
        self.begun.set()
        assert self.go.wait(BOUND)

    def held(self) -> None:
        """One item, 0, is under way."""
        self.outbox.put(0)
        assert self.begun.wait(BOUND)


@pytest.fixture
def slow() -> Iterator[Callable[..., Slow]]:
    made: list[Slow] = []

    def make(**options: Any) -> Slow:
        made.append(Slow(**options))
        return made[-1]

    yield make
    for each in made:
        each.go.set()
        assert each.outbox.flush(BOUND)


def test_one_by_one_and_in_order(slow: Callable[..., Slow]) -> None:
    """A put never waits; a flush waits for what was put, and says when that is not enough."""
    s = slow()
    s.held()
    for number in range(1, 100):
        s.outbox.put(number)
    assert not s.outbox.flush(0.0)
    s.go.set()
    assert s.outbox.flush(BOUND)
    assert s.got == [[number] for number in range(100)]


def test_a_full_outbox_drops_the_oldest_that_need_not_be_kept(slow: Callable[..., Slow]) -> None:
    """And says how many, once it has caught up."""
    s = slow(size=4)
    s.held()
    for number in range(1, 10):
        s.outbox.put(number, keep=number in (2, 3))
    s.go.set()
    with pytest.warns(RuntimeWarning, match="slow: 5 events were dropped: more than 4 were waiting"):
        assert s.outbox.flush(BOUND)
    assert s.got == [[0], [2], [3], [8], [9]]


def test_what_is_kept_is_never_dropped(slow: Callable[..., Slow]) -> None:
    """It may exceed the bound: there are as many verdicts as there are jobs."""
    s = slow(size=4)
    s.held()
    for number in range(1, 10):
        s.outbox.put(number, keep=True)
    s.outbox.put(10)
    s.go.set()
    with pytest.warns(RuntimeWarning, match="slow: 1 event was dropped"):
        assert s.outbox.flush(BOUND)
    assert s.got == [[number] for number in range(10)]


def test_gathered(slow: Callable[..., Slow], monkeypatch: pytest.MonkeyPatch) -> None:
    """With `every`, all that came goes at once, and the next lot not before its time; a flush waits for no time."""
    monkeypatch.setattr(notify, "GATHER", 0.05)
    s = slow(every=600.0)
    s.go.set()
    for number in (1, 2, 3):
        s.outbox.put(number)
    assert s.begun.wait(BOUND)
    s.outbox.put(4)
    s.outbox.put(5)
    time.sleep(0.2)
    assert s.got == [[1, 2, 3]]
    assert s.outbox.flush(BOUND)
    assert s.got == [[1, 2, 3], [4, 5]]


def test_a_pause_ends_where_somebody_waits() -> None:
    """True when it lasted; False at once, and until the outbox is empty, when it was flushed."""
    lasted: list[bool] = []

    def deliver(items: list[float]) -> None:
        lasted.extend(outbox.pause(seconds) for seconds in items)

    outbox = notify.Outbox(deliver, name="pauses")
    assert outbox.flush(0.0)  # an empty one: nobody waits after that
    outbox.put(0.01)
    while not lasted:
        time.sleep(0.001)
    assert lasted == [True]
    begun = time.monotonic()
    for _ in range(3):
        outbox.put(600.0)
    assert outbox.flush(BOUND)
    assert lasted == [True, False, False, False]
    assert time.monotonic() - begun < 10


def test_without_a_thread_it_waits_for_the_next_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised into a hook, and nothing is lost; a flush says that it is not delivered."""
    got: list[int] = []
    outbox = notify.Outbox(got.extend, name="no thread")
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Thread", lambda **_: (_ for _ in ()).throw(RuntimeError("can't start new thread")))
        outbox.put(1, keep=True)
        assert outbox.flush(0.0) is False
    outbox.put(2)
    assert outbox.flush(BOUND)
    assert got == [1, 2]


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), KeyboardInterrupt()])
def test_a_delivery_that_raises_ends_nothing(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged and warned of under the outbox's name, and the next item is delivered."""
    got: list[int] = []

    def deliver(items: list[int]) -> None:
        got.extend(items)
        if items == [1]:
            raise error

    outbox = notify.Outbox(deliver, name="grumpy")

    def put_and_flush() -> bool:
        outbox.put(1)
        outbox.put(2)
        return outbox.flush(BOUND)

    with pytest.warns(RuntimeWarning, match=f"grumpy raised .*{type(error).__name__}"):
        assert put_and_flush()
    assert got == [1, 2]
    assert "grumpy raised" in caplog.text


def test_a_thread_only_while_there_is_work(slow: Callable[..., Slow]) -> None:
    """So an outbox that nobody holds any more leaves nothing behind."""
    s = slow()
    assert not [thread for thread in threading.enumerate() if thread.name == "slow"]
    s.held()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "slow"]
    assert thread.daemon
    s.go.set()
    thread.join(BOUND)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_begins_anew(slow: Callable[..., Slow]) -> None:
    """It delivers what it puts in itself; what its parent had queued is the parent's."""
    s = slow()
    s.held()
    s.outbox.put(1)
    child = os.fork()
    if child == 0:
        s.got.clear()
        s.go.set()
        good = s.outbox.flush(0.0)
        s.outbox.put(7)
        os._exit(0 if good and s.outbox.flush(BOUND) and s.got == [[7]] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


LEAVING = """
import atexit, os, sys, time
from vidpoll import notify
seconds, at_exit = map(float, sys.argv[1:])
notify.GATHER = 600.0
bounds, flush = [], notify.Outbox.flush
notify.Outbox.flush = lambda self, timeout: (bounds.append(timeout), flush(self, timeout))[1]
def outbox(name, every):
    def deliver(items):
        while made.pause(600.0): pass
        time.sleep(seconds)
        os.write(1, (" ".join(map(str, items)) + chr(10)).encode())
    made = notify.Outbox(deliver, name=name, every=every, at_exit=at_exit)
    return made
outboxes = [outbox("a", None), outbox("b", 600.0)]
atexit.register(lambda: os.write(1, f"{bounds[:2]} {sum(bounds) < 1.1 * at_exit}".encode()))
for each in outboxes:
    each.put(1)
    each.put(2)
"""


@pytest.mark.parametrize(
    ("seconds", "at_exit", "out", "said"),
    [
        ("0", "300", ["1", "1 2", "2"], []),
        (
            "600",
            "0.5",
            [],
            ["a: the process ends, and 2 events have not been", "b: the process ends, and 2 events have not been"],
        ),
    ],
)
def test_the_end_of_the_process(seconds: str, at_exit: str, out: list[str], said: list[str]) -> None:
    """What waits goes out, without a pause; the bound is for all outboxes together, and what is left is said.

    Nothing here depends on how busy the machine is: a pause, or a delivery that is waited for, would take minutes.
    """
    done = subprocess.run(
        [sys.executable, "-c", LEAVING, seconds, at_exit], capture_output=True, text=True, check=False, timeout=60
    )
    *lines, bound = done.stdout.splitlines()
    assert (done.returncode, sorted(lines)) == (0, out)
    assert [line in done.stderr for line in said] == [True] * len(said)
    assert bool(done.stderr) == bool(said)
    assert bound.startswith("[0.0, 0.0] ")  # all of them at once, before one is waited for
    assert bound.endswith("True") or not said


def test_a_slow_notifier_holds_no_wait(slow: Callable[..., Slow]) -> None:
    """The contract of the hooks: a hundred jobs end while the first event is still being told."""
    s = slow()

    class Teller(notify.Listener):
        def hear(self, job: vidpoll.Job, event: vidpoll.Event) -> None:
            s.outbox.put(int(job.id), keep=notify.is_kept(event))

    t = talk([BROKEN], plugins=(Teller(),))
    jobs = list(t.client.as_completed([f"acme:{number}" for number in range(100)]))
    assert [job.state for job in jobs] == [vidpoll.State.FAILED] * 100
    assert len(s.got) == 1


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_scripts_of_the_page(
    block: str, vidpoll_simulator: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What docs/notifications.md shows runs, against the simulator, and somebody is told."""
    job_id = vidpoll_simulator.seed_job("magicoal", "i2v", age=3600.0)
    monkeypatch.setattr(vidpoll, "Client", vidpoll_simulator.client)
    space: dict[str, Any] = {}
    exec(compile(block.replace("3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d", job_id), "notifications.md", "exec"), space)
    if "vidpoll_notifiers" in space:
        (notifier,) = space["vidpoll_notifiers"]({"CHAT_URL": "https://chat.example"})
        assert (notifier,) == tuple(space["vidpoll_notifiers"]({"CHAT_URL": "https://chat.example"}))
        vidpoll.Client(plugins=[notifier]).wait(f"magicoal:{job_id}")
    assert all([outbox.flush(BOUND) for outbox in list(notify._alive())])  # noqa: C419 - all are waited for
    assert f"magicoal:{job_id} completed" in capsys.readouterr().out


def test_the_page_names_what_there_is() -> None:
    """Its table is the public part of the module, and its links lead somewhere."""
    public = {name for name, value in vars(notify).items() if getattr(value, "__module__", "") == notify.__name__}
    public = {name for name in public | {"NAMES"} if not name.startswith("_")} - {"T"}
    listed = {
        name for row in re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE) for name in re.findall(r"(\w+)[(`,]", row)
    }
    assert public <= listed
    root = Path(__file__).parents[1]
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", PAGE) if (root / "vidpoll").exists()]
    assert [link for link in links if not (root / "docs" / link).exists()] == []
