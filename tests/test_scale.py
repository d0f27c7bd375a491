"""docs/scale.md: its blocks run as they stand, its units start what there is, and each promise names its tests.

A package that is not a need of the tests is a fake of the names that a block uses. The tests of stores are named by
their file and name, and exist.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, SLOW_DOWN, Talk, talk
from kept_jobs import RESET, SUBMITTED
from pages import DOCS, anchors, blocks, fake, page

import vidpoll
from vidpoll import cli, serving
from vidpoll.cli.context import Arguments, Parser
from vidpoll.cli.serving import exposition
from vidpoll.storage import owners
from vidpoll.storage.heartbeat import EVERY
from vidpoll.storage.protocol import AGAIN, TRUSTED, TTL

PAGE = page("scale.md")
BLOCKS = blocks(PAGE, "python")
SCRIPT = {"/jobs/j1": [DRAWING, DONE], "/jobs/j2": [BROKEN], "/jobs": [SUBMITTED, {"id": "j2"}]}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of all clients of a test, as `VIDPOLL_STORE` names it."""
    monkeypatch.setenv("VIDPOLL_STORE", str(tmp_path / "jobs.sqlite3"))
    return tmp_path / "jobs.sqlite3"


@pytest.fixture
def made(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Talk]]:
    """Clients that a block makes are scripted ones; all of them, as they come."""

    def make(script: Any = SCRIPT, *, ready: Callable[[Talk], object] = id) -> list[Talk]:
        talks: list[Talk] = []
        real = vidpoll.Client

        def client(*, store: str, plugins: Any = (), **options: Any) -> vidpoll.Client:
            if options:  # that of a talk
                return real(store=store, plugins=plugins, **options)
            assert store == str(path)
            talks.append(talk(script, store=store, plugins=tuple(plugins)))
            ready(talks[-1])
            return talks[-1].client

        monkeypatch.setattr(vidpoll, "Client", client)
        return talks

    return make


def run(title: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": title}
    exec(compile(BLOCKS[title], f"scale.md: {title}", "exec"), space)
    return space


@pytest.fixture
def videos(made: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, list[Talk]]]:
    """The module of a web app, and its clients."""

    def load(script: Any = SCRIPT) -> tuple[Any, list[Talk]]:
        talks = made(script)
        module = SimpleNamespace(**run("In a web app"))
        fake(monkeypatch, "shop", videos=module)
        return module, talks

    return load


def then(t: Talk, second: float, do: Callable[[], object]) -> None:
    """Do something once that many seconds have passed."""
    get, todo, end = t.clock.get, [do], t.clock.now + second

    def get_then(inbox: Any, timeout: float, *, busy: bool) -> Any:
        if todo and t.clock.now >= end:
            todo.pop()()
        return get(inbox, timeout, busy=busy)

    t.clock.get = get_then  # type: ignore[method-assign]


def test_every_block_has_a_test() -> None:
    """A recipe that nobody runs rots."""
    tested = ["One host", "Celery", "In a web app", "Django", "Flask", "Procrastinate", "Another store"]
    assert [*BLOCKS] == tested
    assert PAGE.count("```python") == len(tested)


# -- blocks -----------------------------------------------------------------------------------------------------------


def test_one_host(made: Any, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It serves until SIGTERM, and its hooks hear both kinds of verdicts."""
    web = talk(SCRIPT, store=path)
    for key in ("order-1", "order-2"):
        web.client.submit_once("acme", "clip", key, prompt="a sea")
    handlers: dict[int, Any] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    made(ready=lambda t: then(t, 30.0, lambda: handlers[signal.SIGTERM](signal.SIGTERM, None)))
    run("One host")
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"publish order-1 {DONE['video']}"
    assert said[0].startswith("no video for order-2 acme:j2")
    assert handlers.keys() == {signal.SIGTERM, signal.SIGINT}


class Orders:
    """What an ORM is to a block: rows by number."""

    def __init__(self) -> None:
        self.rows: dict[int, Any] = {}
        self.objects = self

    def create(self, **fields: Any) -> Any:
        self.rows[len(self.rows) + 1] = row = SimpleNamespace(pk=len(self.rows) + 1, **fields)
        return row

    def get(self, *, pk: int) -> Any:
        return self.rows[pk]

    def filter(self, *, pk: str = "", key: str = "") -> Any:
        row = self.rows[int(pk or key.removeprefix("order-"))]
        return SimpleNamespace(update=vars(row).update)


def test_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten lines: the verdict is written to the order, the submit is a task with a key."""
    sent: list[Any] = []
    video = SimpleNamespace(on_verdict=lambda function: function)
    video.submit = SimpleNamespace(delay=lambda *args, **fields: sent.append((args, fields)))
    fake(monkeypatch, "celery", Celery=SimpleNamespace)
    monkeypatch.setattr("celery.Celery", lambda name, broker: name)
    fake(monkeypatch, "vidpoll_celery", install=lambda app, *, store, accounts: video)
    space = run("Celery")
    assert sent == [(("acme", "clip", "order-42"), {"prompt": "a lighthouse at dusk"})]
    space["Order"] = orders = Orders()
    done, broken = (orders.create() for _ in range(2))
    t = talk({"/jobs/j1": [DONE], "/jobs/j2": [BROKEN]})
    for number in (1, 2):
        job = t.client.wait(f"acme:j{number}", check=False)
        job.key = f"order-{number}"
        space["publish"](job)
    assert (done.url, done.problem, broken.url) == (DONE["video"], "", "")
    assert "out of paint" in broken.problem


ACCEPTED = {"order": 7, "job": "acme:j1", "state": "queued"}


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (SUBMITTED, 202, ACCEPTED),
        (RESET, 202, {"order": 7, "state": "being looked into"}),
        (SLOW_DOWN, 503, {"order": 7, "problem": "try again later"}),
        ((402, {}, b""), 503, {"order": 7, "problem": "try again later"}),
        ((422, {}, b"no such size"), 400, {"order": 7, "problem": None}),
    ],
    ids=["accepted", "unknown", "busy", "no money", "wrong"],
)
def test_what_a_view_answers(answer: Any, status: int, body: dict[str, Any], videos: Any) -> None:
    """A key is a job, or nothing was bought, or somebody looks; asked again it is the same, and is not sent again."""
    module, talks = videos([answer, answer])
    said = module.order(7, "a sea")
    assert said[0] == status
    assert said[1] == {**body, **({"problem": said[1]["problem"]} if body.get("problem", "") is None else {})}
    if status == 202:
        assert module.order(7, "a sea") == said
        assert talks[0].requests == ["POST /v1/jobs"]
    assert len(talks) == 1


def test_a_field_that_cannot_be_sent(videos: Any) -> None:
    """Is the customer's to mend: nothing is sent, and the answer says what."""
    module, talks = videos()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.client(), "submit_once", lambda *args, **fields: _refuse())
        assert module.order(7, "") == (400, {"order": 7, "problem": "acme takes prompt and image"})
    assert talks[0].requests == []


def _refuse() -> None:
    raise vidpoll.InvalidField("acme takes prompt and image")


def test_the_state_comes_from_the_store(videos: Any, path: Path) -> None:
    """What another process has learnt; nobody is asked."""
    module, talks = videos()
    assert module.state("acme:j1") == (404, {"job": "acme:j1"})
    module.order(7, "a sea")
    worker = talk(SCRIPT, store=path)
    then(worker, 1.0, worker.client._keeper.store.now)  # type: ignore[union-attr]
    worker.client.serve(seconds=2.0)
    running = {"job": "acme:j1", "state": "running", "stage": "drawing", "progress": 10.0}
    assert module.state("acme:j1") == (200, running)
    worker.client.serve(seconds=30.0)
    assert module.state("acme:j1")[1]["state"] == "completed"
    assert talks[0].requests == ["POST /v1/jobs"]


def test_django(videos: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two views."""
    videos()
    fake(monkeypatch, "django.http", JsonResponse=lambda body, status: (json.dumps(body), status))
    fake(monkeypatch, "django.views.decorators.http", require_POST=lambda view: view)
    space = run("Django")
    assert space["order"](SimpleNamespace(POST={"prompt": "a sea"}), 7) == (json.dumps(ACCEPTED), 202)
    body, status = space["state"](SimpleNamespace(), "acme:j1")
    assert (json.loads(body)["state"], status) == ("queued", 200)


def test_flask(videos: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two views."""
    videos()
    app = SimpleNamespace(post=lambda rule: lambda view: view, get=lambda rule: lambda view: view)
    fake(monkeypatch, "flask", Flask=lambda name: app, request=SimpleNamespace(form={"prompt": "a sea"}))
    space = run("Flask")
    assert space["order"](7) == (ACCEPTED, 202)
    assert space["state"]("acme:j1")[0]["state"] == "queued"


class Queue:
    """Procrastinate to a block: tasks that are deferred, until `work` runs them."""

    def __init__(self) -> None:
        self.deferred: list[tuple[Any, dict[str, Any]]] = []
        self.down = False

    def task(self, *, queue: str, retry: Any) -> Any:
        assert {vidpoll.RateLimited, vidpoll.StoreError} < {*retry["retry_exceptions"]}

        def decorated(function: Any) -> Any:
            function.defer = lambda **kwargs: self.put(function, kwargs)
            return function

        return decorated

    def put(self, function: Any, kwargs: dict[str, Any]) -> None:
        if self.down:
            raise ConnectionError
        self.deferred.append((function, kwargs))

    def work(self) -> int:
        done, self.deferred = self.deferred, []
        for function, kwargs in done:
            function(**kwargs)
        return len(done)


def test_procrastinate(videos: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order becomes a job, its verdict a task; also where the queue was down in between, and where one was lost."""
    _, talks = videos()
    app, orders = Queue(), Orders()
    fake(monkeypatch, "procrastinate", RetryStrategy=dict)
    fake(monkeypatch, "procrastinate.contrib.django", app=app)
    atomic = SimpleNamespace(atomic=nullcontext)
    fake(monkeypatch, "django.db", transaction=atomic, close_old_connections=lambda: None)
    fake(monkeypatch, "shop.models", Order=orders)
    space = run("Procrastinate")
    for _ in range(2):
        space["place"]("a sea")
    assert app.work() == 2
    worker = talk(SCRIPT, store=path, plugins=(space["Verdicts"](),))
    app.down = True
    worker.client.serve(seconds=30.0)
    app.down = False
    for _ in range(2):
        worker.client.serve(seconds=AGAIN + serving.TRY + serving.LOOK)
        assert sorted(kwargs["ref"] for _, kwargs in app.deferred) == ["acme:j1", "acme:j2"]
        lost, app.deferred = app.deferred, []
    app.deferred = lost
    assert app.work() == 2
    assert {number: row.state for number, row in orders.rows.items()} == {1: "completed", 2: "failed"}
    worker.client.serve(seconds=2 * AGAIN)
    assert (app.deferred, talks[0].client.store.unfinished()) == ([], [])


def test_another_store() -> None:
    """It can be inherited as it stands."""
    made = run("Another store")["TestMine"]
    assert issubclass(made, vidpoll.testing.StoreContract)


# -- what is started --------------------------------------------------------------------------------------------------

UNIT = blocks(PAGE, "ini")["systemd"]
YAML = blocks(PAGE, "yaml")["Kubernetes"]


def serve(argv: list[str]) -> Arguments:
    """The arguments of a `vidpoll serve`, as the command reads them."""
    assert (Path(argv[0]).name, argv[1]) == ("vidpoll", "serve")
    parser = Parser()
    cli.COMMANDS["serve"].arguments(parser)
    return parser.parse(argv[2:])


def test_the_unit() -> None:
    """It can be read, starts a command that there is, and ends it by the signal that this one knows."""
    unit = configparser.RawConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(UNIT)
    service = unit["Service"]
    asked = serve(shlex.split(service["ExecStart"]))
    assert asked.metrics.startswith(f"/var/lib/{service['StateDirectory']}/")
    assert (service["Restart"], service["KillMode"], service.get("KillSignal")) == ("always", "mixed", None)
    (shell,) = re.findall(r"`ExecStart=(/bin/sh .*?)`", PAGE, re.DOTALL)
    assert shlex.split(shell)[2].endswith("exec /srv/shop/venv/bin/vidpoll serve --quiet")


def test_the_deployment() -> None:
    """It starts a command that there is, without a shell before it, and looks at the file which that one writes."""
    (command,) = re.findall(r"^ +command: (\[.*\])$", YAML, re.MULTILINE)
    (probe,) = re.findall(r"exec: \{command: (\[.*\])\}", YAML)
    asked = serve(json.loads(command))
    assert f"find {asked.metrics} -mmin -3" in json.loads(probe)[2]
    assert 2 * serving.MINUTE < 3 * 60
    (folder,) = re.findall(r"mountPath: ([\w/]+)", YAML)
    assert Path(asked.metrics).parent == Path(folder)
    assert "\t" not in YAML


def test_what_is_typed() -> None:
    """Each command of the page is one."""
    typed = re.findall(r"(?:^|`|bin/)vidpoll ([a-z]+)(?= |`|$)", PAGE, re.MULTILINE)
    assert len(typed) > 12
    assert {*typed} <= cli.COMMANDS.keys()


def test_the_metrics_of_the_page_are_written() -> None:
    """An alarm on a name that nobody writes never rings."""
    written = set(re.findall(r"^(vidpoll_\w+) ", exposition(serving.Metrics()), re.MULTILINE))
    named = set(re.findall(r"\bvidpoll_\w+", PAGE.partition("### Metrics and alarms")[2].partition("###")[0]))
    assert len(named) >= 6
    assert named <= written


# -- what is promised -------------------------------------------------------------------------------------------------

SERVING = "storage/test_serving.py"
POSTGRES = "vidpoll-postgres/tests"
PROMISED = {
    "a serving process is killed": f"{SERVING}::test_what_a_process_leaves_that_is_killed_is_taken_over",
    "a process gets SIGTERM": "cli/test_serving.py::test_sigterm_hands_over",
    "all serving processes are gone": f"{SERVING}::test_all_jobs_are_waited_for_and_those_that_come",
    "a process sleeps": f"{SERVING}::test_one_who_slept_asks_nothing_that_is_anothers_by_now",
    "the database is down": (
        f"{SERVING}::test_a_store_that_does_not_answer_holds_verdicts_back",
        f"{POSTGRES}/test_outages.py::test_a_short_outage_is_waited_for",
        f"{POSTGRES}/test_outages.py::test_a_long_outage_holds_nobody",
        "storage/test_once.py::test_a_store_that_does_not_work_sends_nothing",
    ),
    "the provider is down": f"{SERVING}::test_an_outage_gives_no_job_up",
    "a process is killed in a submit": "storage/test_once.py::test_a_process_that_died_in_the_middle_leaves_it_unknown",
    "an order arrives twice": (
        "storage/test_once.py::test_two_threads_buy_one",
        "storage/test_once.py::test_a_submit_of_another_process_is_waited_for_as_long_as_a_request_may_take",
        f"{POSTGRES}/test_races.py::test_a_key_is_begun_once",
    ),
    "a process is killed in a hook": f"{SERVING}::test_a_verdict_that_nobody_told_is_told_without_a_request",
    "a queue loses a verdict": "test_scale.py::test_procrastinate",
    "a hook is slow": "storage/test_heartbeat.py::test_a_slow_hook_keeps_its_shards",
    "the clock of a host is wrong": f"{POSTGRES}/test_troubles.py::test_a_host_whose_clock_is_wrong",
    "a job breaks its plugin's parser": f"{SERVING}::test_a_job_that_spoils_its_parser_ends_no_shard",
    "two versions of vidpoll": "testing/store/shards.py::test_a_job_of_a_newer_vidpoll_is_no_news",
    "an account has no key here": (
        f"{SERVING}::test_an_account_that_cannot_be_asked_is_left_and_told_once",
        f"{SERVING}::test_a_job_of_another_address_is_left",
    ),
}
ROWS = [row.strip("| ").split(" | ") for row in re.findall(r"^\| .*$", PAGE.partition("## What is promised")[2], re.M)]
FAILS = [row[0] for row in ROWS[2 : 2 + len(PROMISED)]]


def test_each_promise_has_its_tests() -> None:
    """A row of the table begins with the words by which its tests are found here; no row is without any."""
    assert [next((words for words in PROMISED if row.startswith(words)), row) for row in FAILS] == [*PROMISED]
    assert ROWS[2 + len(PROMISED)][0] == "alarm"


@pytest.mark.parametrize("words", PROMISED)
def test_the_tests_of_a_promise_exist(words: str) -> None:
    """A promise without its test is a wish."""
    named = PROMISED[words]
    for each in [named] if isinstance(named, str) else named:
        file, _, name = each.partition("::")
        found = [folder / file for folder in FOLDERS if (folder / file).exists()]
        assert len(found) == 1, each
        tree = ast.parse(found[0].read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, each


FOLDERS = (DOCS.parent / "tests", DOCS.parent / "plugins", Path(vidpoll.__file__).parent)


def test_the_seconds_of_the_page(path: Path) -> None:
    """They are those of the code."""
    with vidpoll.Client(store=path) as client:
        bound = client._keeper.bound  # type: ignore[union-attr]
    rows = {row[0]: " ".join(row[1:]) for row in ROWS}
    told = {
        "a serving process is killed": f"{TTL:g} s after its last heartbeat; then a check of {serving.LOOK:g} s",
        "the database is down": f"polling continues for {TRUSTED * TTL:g} s",
        "a process is killed in a submit": f"{owners.AWAY / 60:g} min for another",
        "an order arrives twice": f"{bound:g} s at most",
        "a queue loses a verdict": f"{AGAIN:g} s, and {serving.TRY:g} s at most",
    }
    for words, said in told.items():
        assert said in next(text for row, text in rows.items() if row.startswith(words))
    assert f"heartbeats, sent every {EVERY:g} s" in rows["`vidpoll_store_silent_seconds > 5` for 2 min"]
    assert f"latest {serving.LATEST:,} requests" in PAGE


@pytest.mark.parametrize(("file", "anchor"), sorted(set(re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", PAGE))))
def test_a_link_leads_to_a_heading(file: str, anchor: str) -> None:
    """Of this page, or of another one."""
    assert anchor in anchors(page(file) if file else PAGE)
