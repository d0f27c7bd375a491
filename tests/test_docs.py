"""The docs are true: hooks.md, the api pages and the table of decisions.md are what the code says; the examples run.

`python tests/test_docs.py` writes these anew from the docstrings and the source.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

import vidpoll
import vidpoll.testing
from vidpoll import declare, errors, hookspecs
from vidpoll.batch.retries import Retries, after_failure
from vidpoll.cli import main
from vidpoll.job_state import TABLE, Kind, Phase
from vidpoll.plugins import Plugins

if __name__ == "__main__":  # pytest has it from pyproject.toml
    sys.path.insert(0, str(Path(__file__).parent / "support"))
import api_pages
import said
import web

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
HOOKS = [(name, value) for name, value in vars(hookspecs).items() if name.startswith("vidpoll_")]
WRITE = "run: python tests/test_docs.py"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


# -- hooks.md ---------------------------------------------------------------------------------------------------------


def signature(name: str, function: Any) -> str:
    return f"{name}({', '.join(inspect.signature(function).parameters)})"


def told(thing: object) -> tuple[str, str]:
    """The text and the example of a docstring."""
    text, _, example = (inspect.getdoc(thing) or "").partition("Example::")
    return text.strip(), inspect.cleandoc(example)


def hooks_page() -> str:
    intro = (inspect.getdoc(hookspecs) or "").partition("\n\n")[2]
    parts = [
        "# Hooks",
        "<!-- Written from the docstrings of vidpoll/hookspecs.py by `python tests/test_docs.py`. -->",
        intro,
        "| hook | tells |\n| --- | --- |\n"
        + "\n".join(f"| [`{name}`](#{anchor(name, spec)}) | {told(spec)[0].splitlines()[0]} |" for name, spec in HOOKS),
    ]
    for name, spec in HOOKS:
        text, example = told(spec)
        parts += [f"## {signature(name, spec)}", text, f"```python\n{example}\n```"]
    return "\n\n".join(parts) + "\n"


def anchor(name: str, spec: Any) -> str:
    return re.sub(r"[^\w -]", "", signature(name, spec)).replace(" ", "-")


def test_hooks_page() -> None:
    """Every hook has a heading with its exact signature, its whole protocol, and an example."""
    assert page("hooks.md") == hooks_page(), WRITE


def test_the_hook_of_the_page_can_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its two files belong together: the entry point names the module, which is packaged and has a marked hook."""
    files = files_of(page("hooks.md"))
    (tmp_path / "night_hook.py").write_text(files["night_hook.py"], encoding="utf-8")
    (entry,) = re.findall(r'\[project.entry-points.vidpoll\]\n(\w+) = "(\w+)"', files["pyproject.toml"])
    (module,) = re.findall(r'\[tool.setuptools\]\npy-modules = \["(\w+)"\]', files["pyproject.toml"])
    assert (entry, module) == (("night", "night_hook"), "night_hook")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [metadata.EntryPoint(*entry, group)])
    (report,) = Plugins().reports
    assert (report.name, report.hooks, report.problem) == ("night", ("vidpoll_completed",), None)
    sys.modules.pop("night_hook").vidpoll_completed(vidpoll.Job("acme:j1"), None)
    assert capsys.readouterr().err == "done: acme:j1\n"


@pytest.mark.parametrize(("name", "spec"), HOOKS)
def test_the_example_of_a_hook_is_one(name: str, spec: Any) -> None:
    """It can be registered as it stands: the name is spelt right, and it asks for parameters that the hook has."""
    _, example = told(spec)
    stubs = {"status_request": lambda job_id: None, "parse_status": lambda response, job_id: None}
    space: dict[str, Any] = {"vidpoll": vidpoll, **stubs}
    exec(compile(example, f"the example of {name}", "exec"), space)
    plugin = SimpleNamespace(**{name: space[name]})
    (report,) = Plugins([plugin], discover=False).reports
    assert report.hooks == (name,)
    asked = {*inspect.signature(space[name]).parameters}
    assert asked <= {*inspect.signature(spec).parameters}
    if asked:  # what it does with the event is something that events do
        for free in space[name].__code__.co_names:
            space.setdefault(free, MagicMock())
        space[name](**{each: MagicMock(seconds=600.0) for each in asked})


# -- the pages of the public names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", api_pages.PAGES)
def test_api_pages(name: str) -> None:
    """Every public name of `vidpoll`, `parsing`, `declare` and `testing` is there with its whole docstring."""
    assert page(f"api/{name}.md") == api_pages.page(name), WRITE


def test_the_index_of_the_public_names() -> None:
    """It leads to every one of them, and no page is left from another day."""
    assert page("api.md") == api_pages.index(), WRITE
    assert {path.stem for path in (DOCS / "api").glob("*.md")} == {*api_pages.PAGES}


def test_the_docstring_of_a_job_names_what_is_not_public() -> None:
    """A member that no page has is there, and `help(vidpoll.Job)` says that it is vidpoll's own."""
    told = re.search(r"Not public, (.*?)\.\n", inspect.getdoc(vidpoll.Job) or "", re.DOTALL)
    assert told is not None
    assert {*re.findall(r"`(\w+)`", told[1])} == {"known", *api_pages.NOT_PUBLIC["Job"]}
    assert [name for name in api_pages.NOT_PUBLIC["Job"] if not inspect.isfunction(getattr(vidpoll.Job, name))] == []


@pytest.mark.parametrize("name", [*vidpoll.__all__, *vidpoll.testing.__all__])
def test_every_name_has_its_place(name: str) -> None:
    """A public name that is not documented does not exist."""
    assert re.search(rf"^\| \[`{name}`\]\(api/\w+\.md#{name.lower()}\) \|", page("api.md"), re.M) or name in (
        "errors",
        "parsing",
    )


# -- decisions.md: the phases of a job ---------------------------------------------------------------------------------

PHASES = re.compile(r"(<!-- phases: [^\n]*-->\n).*?(?=<!-- end of phases -->)", re.DOTALL)


def phases() -> str:
    """The table of a job's phases, with what its words mean."""
    lines = ["| phase | meaning | a response leads to |", "| --- | --- | --- |"]
    for phase in Phase:
        ways = {after: [kind.value for kind in Kind if TABLE[phase].get(kind) is after] for after in Phase}
        leads = "; ".join(f"`{after.name}`: {', '.join(kinds)}" for after, kinds in ways.items() if kinds)
        lines.append(f"| `{phase.name}` | {meaning(Phase, phase.name)} | {leads} |")
    lines += ["", "| a response | means |", "| --- | --- |"]
    lines += [f"| {kind.value} | {meaning(Kind, kind.name)} |" for kind in Kind]
    return "\n".join(lines) + "\n\n"


def meaning(of: type, name: str) -> str:
    """The text that stands below a member of an enumeration."""
    return re.search(rf'    {name} = "[^"]*"\n    """(.*?)"""', inspect.getsource(of), re.DOTALL)[1]  # type: ignore[index]


def decisions_page() -> str:
    return PHASES.sub(lambda found: found[1] + phases(), page("decisions.md"))


def test_the_phases_of_the_decisions_page() -> None:
    """The table of the page is that of the source."""
    assert PHASES.search(page("decisions.md"))
    assert page("decisions.md") == decisions_page(), WRITE


# -- writing-a-provider.md --------------------------------------------------------------------------------------------

WRITING = page("writing-a-provider.md")
FACES = page("simulator-faces.md")
SAMPLES = {
    Path(path).name: json.loads(body)
    for path, body in re.findall(r"<!-- file: (\S+/samples/\S+) -->\n```json\n(.*?)```", WRITING, re.DOTALL)
}
INDEX = SAMPLES.pop("index.json")


def files_of(text: str) -> dict[str, str]:
    """The files that a page shows, by their paths."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL))


@pytest.fixture
def framewright(tmp_path: Path) -> Iterator[Path]:
    """The plugin of the page, rendered and filled in as it says."""
    from vidpoll.cli.new_plugin import render

    files = {**render("framewright", SAMPLES), **files_of(WRITING)}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("vidpoll_framewright")]:
        del sys.modules[name]


def load(folder: Path, more: str = "") -> ModuleType:
    path = folder / "vidpoll_framewright" / "__init__.py"
    if more:
        path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(
        "vidpoll_framewright", path, submodule_search_locations=[str(path.parent)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def verdict(folder: Path, module: ModuleType) -> dict[str, str]:
    from contract_cases import caught

    fields = {"provider": "framewright", "plugin": module, "samples": folder / "vidpoll_framewright/samples"}
    return caught(type("TestContract", (vidpoll.testing.ProviderContract,), fields))


def test_the_worked_example_keeps_the_contract(framewright: Path) -> None:
    """What the page shows, file by file, is a plugin that passes; nothing is left to decide."""
    assert verdict(framewright, load(framewright)) == {}


def test_the_worked_example_is_what_is_rendered_and_decided() -> None:
    """The samples of the page are read as it says: the command guesses its tables, and what it expects of them."""
    from vidpoll.cli.guessing import guess
    from vidpoll.cli.new_plugin import render

    shown = files_of(WRITING)["vidpoll_framewright/__init__.py"]
    found = guess(SAMPLES)
    for name, value in found.reader.items():
        assert f"{name}={json.dumps(value)}," in shown
    assert (found.envelope, found.pages) == ({"under": "data", "code": "code"}, {"rows": "data", "next": "next"})
    assert found.kinds == ["text"]
    rows = json.loads(render("framewright", SAMPLES)["vidpoll_framewright/samples/index.json"])["samples"]
    decided = {(row["file"], row["operation"]): row["expect"] for row in INDEX["samples"]}
    guessed = {(row["file"], row["operation"]): row["expect"] for row in rows if row["operation"] != "error"}
    assert guessed == {key: decided[key] for key in guessed}


@pytest.mark.parametrize("by", ["samples", "hand"])
def test_the_worked_example_is_played(by: str, framewright: Path) -> None:
    """By its samples and by the face: a job of each kind, from submit to file; the contract holds with both."""
    if by == "hand":
        for path, text in files_of(FACES).items():
            (framewright / path).write_text(text, encoding="utf-8")
        (hook,) = re.findall(r"```python\n(@vidpoll.hookimpl.*?)```", FACES, re.DOTALL)
        path = framewright / "vidpoll_framewright/__init__.py"
        source = path.read_text(encoding="utf-8").partition("@vidpoll.hookimpl\ndef vidpoll_simulators")[0]
        path.write_text(source + hook, encoding="utf-8")
    module = load(framewright)
    assert verdict(framewright, module) == {}
    with vidpoll.testing.simulate("framewright", plugins=[module], instant=True) as simulation:
        client = simulation.client()
        for kind, fields in (("text", {"prompt": "a sea"}), ("image", {"image": "https://a.example/sea.png"})):
            job = client.wait(client.submit("framewright", kind, **fields))
            assert (job.stage, len(client.download(job, framewright / "clips"))) == ("DONE", 1)


def test_the_functions_of_the_page(framewright: Path) -> None:
    """The second way runs, beside the tables and out of their parts."""
    (functions,) = re.findall(r"```python\n(from dataclasses .*?)```", WRITING, re.DOTALL)
    space = vars(load(framewright, f"\n\n{functions}"))
    read = space["ODD"].read
    assert [read({"state": word, "done": True}).state for word in ("RENDERING", "PENDING")] == ["completed", "queued"]
    assert read({"state": "DONE", "kind": "speech"}).assets_due is False
    walk = space["walk"]
    assert [walk.request({"limit": 9}, token).json for token in (None, "9")] == [
        {"limit": 9, "offset": 0},
        {"limit": 9, "offset": 9},
    ]
    full, empty = (vidpoll.Response(200, {}, json.dumps({"data": rows}).encode()) for rows in ([{}, {}], []))
    assert [walk.parse(full, "").next, walk.parse(full, "2").next, walk.parse(empty, "4").next] == ["2", "4", None]
    delete, status = space["delete"], space["status"]
    assert (delete.request("a/b").path, delete.empty_ok) == ("/jobs/a%2Fb", True)
    assert status.request("a/b") == space["declare"].status("GET /jobs/{id}", space["ODD"]).request("a/b")


def test_the_families_of_the_page(framewright: Path) -> None:
    """Each is one call, with what differs as options."""
    (calls,) = re.findall(r"```python\n(acme = .*?)```", WRITING, re.DOTALL)
    space = vars(load(framewright, f"\n\n{calls}"))
    assert sorted(space["acme"].operations()) == ["content", "delete", "status", "submit video"]
    assert space["acme"].submit["video"].request({"prompt": "a sea", "seed": 7}).json == {"prompt": "a sea", "seed": 7}
    assert space["ark"].status.request("7").path == "/tasks/7"


TABLES = re.findall(r"^\| ([^|]+) \| (.*) \|$", WRITING.partition("## 6.")[2].partition("## 7.")[0], re.M)[2:]


@pytest.mark.parametrize(("title", "told"), TABLES, ids=[title for title, _ in TABLES])
def test_what_tables_can_say(title: str, told: str) -> None:
    """Each call in the table is one, as it stands; a Reader has words, and a Provider what every provider has."""
    words = {"ok": vidpoll.State.COMPLETED}
    job = declare.Reader(words)
    status, pacing = declare.status("GET /{id}", job), vidpoll.Pacing()
    given = {"name": "acme", "base_url": "https://acme.example", "auth": vidpoll.NoAuth()}
    space = {
        **vars(declare),
        "declare": declare,
        "vidpoll": vidpoll,
        "Reader": partial(declare.Reader, words),
        "Provider": partial(vidpoll.Provider, status=status, pacing=pacing, **given),
        "JOB": job,
        "FIELDS": {"prompt": declare.text()},
        "mint": lambda request, secrets: {},
        "State": vidpoll.State,
        "ROW": job,
        "STATUS": status,
        "old": declare.status("GET /{kind}/{id}", declare.Reader(words, ids=declare.Ids("kind/id", ("v1",)))),
        "new": status,
    }
    for code in re.findall(r"`([\w.]+\(.*?\))`", told):
        eval(code, space)


def test_the_page_shows_a_real_failure() -> None:
    """The failure that the page quotes is one that the kit prints."""
    quoted = " ".join(re.search(r"```text\n(.*?)```", WRITING, re.DOTALL)[1].split())  # type: ignore[index]
    source = (Path(vidpoll.__file__).parent / "testing/contract/verdicts.py").read_text(encoding="utf-8")
    for part in (
        "a new word of the provider would be read as a known one",
        "look words up with parsing.lookup(WORDS, word)",
    ):
        assert part in quoted
        assert part in source


# -- cookbook.md ------------------------------------------------------------------------------------------------------

COOKBOOK = page("cookbook.md") if (DOCS / "cookbook.md").exists() else ""
RECIPES = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", COOKBOOK, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("title", "text"), RECIPES, ids=[title for title, _ in RECIPES])
def test_a_recipe_runs(
    title: str, text: str, vidpoll_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Python blocks run against the simulator as they stand, but for ids, which only exist there."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    space: dict[str, Any] = {"__name__": "__main__"}
    web.stand_in(monkeypatch)
    monkeypatch.setattr("multiprocessing.get_context", lambda how: SimpleNamespace(Pool=ThreadPool))
    for shown in blocks:
        block = shown
        for name, job_id in re.findall(r'"(magicoal|token360|moneyprinterturbo):([\w-]{8,})"', shown):
            kind = "t2v" if name == "magicoal" else "video"
            block = block.replace(job_id, vidpoll_simulator.seed_job(name, kind, age=3600.0))
        if "def test_" in block:
            (tmp_path / "test_recipe.py").write_text(block, encoding="utf-8")
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_recipe.py"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stdout
        else:
            exec(compile(block, f"cookbook.md: {title}", "exec"), space)
    if title in web.DRIVERS:
        web.DRIVERS[title](space, vidpoll_simulator)
        space["client"]().close()
    _as_told(title, tmp_path)
    if isinstance(space.get("client"), vidpoll.Client):
        space["client"].close()


def test_a_cancelled_recipe_loses_no_job(
    vidpoll_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In asyncio: what is cancelled while its jobs are submitted ends when all of them are stored."""
    monkeypatch.chdir(tmp_path)
    first, _ = re.findall(r"```python\n(.*?)asyncio.run", dict(RECIPES)["In asyncio"], re.DOTALL)
    space: dict[str, Any] = {}
    exec(compile(first, "cookbook.md: In asyncio", "exec"), space)
    begun, sent = threading.Barrier(3), {prompt: threading.Event() for prompt in ("a lighthouse", "a harbour")}
    submit = vidpoll.Client.submit

    def slow(client: vidpoll.Client, *what: str, prompt: str) -> vidpoll.Job:
        begun.wait(10.0)
        assert sent[prompt].wait(10.0)
        return submit(client, *what, prompt=prompt)

    async def cancel() -> None:
        task = asyncio.ensure_future(space["main"]())
        await asyncio.to_thread(begun.wait, 10.0)
        task.cancel()
        for number, event in enumerate(sent.values()):
            asyncio.get_running_loop().call_later(0.01 + 0.2 * number, event.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr(vidpoll.Client, "submit", slow)
    asyncio.run(cancel())
    with vidpoll.Client(store="jobs.sqlite3") as client:
        kept = client.store.jobs()
    assert ({each.sent["prompt"] for each in kept}, vidpoll_simulator.submissions("magicoal")) == ({*sent}, 2)


def _as_told(title: str, folder: Path) -> None:
    """What a recipe has to leave behind."""
    clips = len(list(folder.glob("clips/*.mp4")))
    if "night" in title:  # also "overnight"
        assert clips == 2
    if "many" in title:
        assert clips == 2
    if "processes" in title:
        assert clips == 2
    if "asyncio" in title:
        assert clips == 5
    if "web app" in title or "Jupyter" in title:
        assert clips == 1


def test_the_recipes_are_there() -> None:
    """What people ask for."""
    titles = " ".join(title.lower() for title, _ in RECIPES)
    for word in (
        "chat",
        "many",
        "night",
        "web app",
        "test",
        "without packaging",
        "asyncio",
        "jupyter",
        "flask",
        "django",
        "processes",
    ):
        assert word in titles


# -- keeping-jobs.md --------------------------------------------------------------------------------------------------


def test_a_submit_without_a_response_is_settled_as_the_page_says(
    vidpoll_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines give the key to the job; where the provider has no such job, they end before that."""
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"<!-- settle -->\n```python\n(.*?)```", page("keeping-jobs.md"), re.DOTALL)
    with vidpoll.Client(store="jobs.sqlite3") as client:
        origin = vidpoll.Origin("magicoal", "magicoal", client.ready("magicoal"))
        store = client._keeper.store  # type: ignore[union-attr]  # a client with a store has one
        store.lost(store.begin(origin, "t2v", {"prompt": "a lighthouse"}, key="order-42"), "no response")
        with pytest.raises(vidpoll.NotFound):
            exec(compile(block, "keeping-jobs.md", "exec"), {})
        assert [each.key for each in client.store.unknown_submits()] == ["order-42"]
        job_id = vidpoll_simulator.seed_job("magicoal", "t2v", age=3600.0)
        exec(compile(re.sub(r"(?<=magicoal:)[\w-]+", job_id, block), "keeping-jobs.md", "exec"), {})
        assert [(each.ref, each.key) for each in client.store.jobs()] == [(f"magicoal:{job_id}", "order-42")]


# -- batch.md ---------------------------------------------------------------------------------------------------------

BATCH = page("batch.md")
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")


@pytest.fixture
def film(vidpoll_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sheet of the page and its picture, where the page's blocks run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDPOLL_STORE", str(tmp_path / "kept.sqlite3"))
    (sheet,) = re.findall(r"<!-- file: shots.csv -->\n```csv\n(.*?)```", BATCH, re.DOTALL)
    (tmp_path / "shots.csv").write_text(sheet, encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/sea.png").write_bytes(PNG)
    return tmp_path


def test_the_first_night(film: Path, vidpoll_simulator: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The command lines of the page: a plan, a pilot, the rest, cron; then its Python. Nothing is bought twice."""
    lines = re.findall(r"^(?:0 \* .*?&& )?(vidpoll batch .*?)(?: >>.*)?$", BATCH, re.M)
    codes = [main(shlex.split(line)[1:], clock=vidpoll_simulator.clock) for line in lines]
    assert codes == [0, 4, 0, 0]
    assert "3 for 154 credits (quota)" in capsys.readouterr().out
    assert sorted(path.name for path in film.glob("clips/*.mp4")) == ["dawn.mp4", "dusk.mp4", "waves.mp4"]
    assert len((film / "done.csv").read_text(encoding="utf-8-sig").splitlines()) == 4
    for block in re.findall(r"```python\n(.*?)```", BATCH, re.DOTALL):
        exec(compile(block, "batch.md", "exec"), {"__name__": "batch"})  # it has another store
    said = capsys.readouterr().out
    assert "shots: 3 of 3 done, 154 of 400 credits\n" in said
    assert "[('draft-2', 'not admitted', 'not approved yet')]\n" in said
    assert json.loads((film / "clips/waves.mp4.json").read_text(encoding="utf-8"))["cost"]["charged"] == 50.0
    assert vidpoll_simulator.submissions("magicoal") == 3 + 3 + 1


AGAIN: dict[str, Any] = {
    "--retries": (3, 3),
    "--retries-paid": (2, 9),
    "the smaller of the two": (2, 3),
    "--retries-paid, at most 5": (2, 5),
    "5": (5, 5),
    "0": (0, 0),
    "the account sleeps": "sleep",
    "the account stops": "stop",
}
"""What a cell of the table means: the number of tries with `--retries 3` and `--retries-paid` 2 or 9."""


def bought_again(category: str, charged: bool | None) -> Any:
    """The same by the code."""
    ways = [
        [after_failure(category, charged, {category: n}, Retries(3, paid)).value for n in range(10)] for paid in (2, 9)
    ]
    return ways[0][0] if ways[0][0] in ("sleep", "stop") else tuple(way.count("again") for way in ways)


def test_the_retries_of_the_page() -> None:
    """Each class that there is stands in the table, and what follows is what the code decides."""
    table = BATCH.partition("## Retries")[2].partition("## ")[0]
    rows = [re.split(r" ?\| ?", row)[1:-1] for row in re.findall(r"^\| .*", table, re.M)[2:]]
    said = {word: row[1:] for row in rows for word in re.findall("`(.*?)`", row[0]) or [""]}
    assert {*said} == {"", *errors.CATEGORIES}
    assert {word: [AGAIN[cell.replace("`", "")] for cell in row] for word, row in said.items()} == {
        word: [bought_again(word, charged) for charged in (False, None, True)] for word in said
    }


def test_what_may_be_paid_twice_is_said_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure of unknown charge that the default buys again, and `--retries 0` does not."""
    twice = [
        word
        for word in errors.CATEGORIES
        if [after_failure(word, None, {}, Retries(free)).value for free in (0, 1)] == ["fail", "again"]
    ]
    assert twice == ["internal", "expired"]
    assert main(["batch", "--help"]) == 0
    for text in (capsys.readouterr().out, inspect.getdoc(vidpoll.Client.batch) or ""):
        assert "(internal, expired)" in (line := " ".join(text.split()))
        assert "may be paid twice" in line


# -- from-sdks.md -----------------------------------------------------------------------------------------------------

FROM_SDKS = page("from-sdks.md")
SDKS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", FROM_SDKS, re.DOTALL | re.MULTILINE)


def test_a_wait_for_a_job_of_an_sdk(vidpoll_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block above the SDKs: the SDK submits, vidpoll waits and saves the file."""
    monkeypatch.chdir(tmp_path)
    sdk = MagicMock()
    sdk.predictions.create.return_value.id = vidpoll_simulator.seed_job("replicate", "model", age=3600.0)
    monkeypatch.setitem(sys.modules, "replicate", sdk)
    (block,) = re.findall(r"```python\n(.*?)```", FROM_SDKS.partition("\n## ")[0], re.DOTALL)
    exec(compile(block, "from-sdks.md: only the wait", "exec"), {})
    assert len(list(tmp_path.glob("clips/*.mp4"))) == 1


def test_before_and_after_an_sdk(vidpoll_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines after run at the simulated provider, and save a file; those before run against stand-ins."""
    for name in ("openai", "replicate", "fal_client", "google", "google.genai"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, "runwayml", MagicMock(TaskFailedError=RuntimeError))
    for title, text in SDKS:
        (tmp_path / title).mkdir()
        monkeypatch.chdir(tmp_path / title)
        before, after = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        exec(compile(before, f"from-sdks.md: before {title}", "exec"), {})
        exec(compile(after, f"from-sdks.md: after {title}", "exec"), {})
        assert len(list(Path("clips").glob("*.mp4"))) == 1, title


# -- troubleshooting.md -----------------------------------------------------------------------------------------------

QUOTED = re.compile(r"(<!-- said: ([\w-]+) -->\n```output\n).*?```", re.DOTALL)


def troubleshooting_page() -> str:
    return QUOTED.sub(lambda found: f"{found[1]}{said.said(found[2])}\n```", page("troubleshooting.md"))


def test_messages_are_quoted_as_they_are_printed() -> None:
    """Each message on the page is made anew, and each that is made stands on it."""
    text = page("troubleshooting.md")
    assert {name for _, name in QUOTED.findall(text)} == {*said.CASES}
    assert text.count("```output\n") == len(said.CASES)
    assert text == troubleshooting_page(), WRITE


def test_every_end_of_a_wait_has_its_row() -> None:
    """The errors with which a wait ends stand in the first table."""
    table = page("troubleshooting.md").partition("\n## ")[0]
    ends = {*errors.JobError.__subclasses__(), *errors.OutcomeUnknown.__subclasses__()}
    assert {each.__name__ for each in ends} <= {*re.findall(r"`(\w+)`", table)}


def test_the_script_for_a_container_runs(vidpoll_simulator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one Python block of the page."""
    (block,) = re.findall(r"```python\n(.*?)```", page("troubleshooting.md"), re.DOTALL)
    handlers: list[Any] = []
    monkeypatch.setattr("signal.signal", lambda number, handler: handlers.append(handler))
    job_id = vidpoll_simulator.seed_job("magicoal", "t2v", age=3600.0)
    space: dict[str, Any] = {}
    exec(compile(block.replace("3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d", job_id), "troubleshooting.md", "exec"), space)
    handlers[0](15, None)
    assert space["stop"].is_set()


# -- all pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of a page names a file of the repository, where the repository is there."""
    links = (
        re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        if (ROOT / "vidpoll").exists()
        else []
    )
    assert [link for link in links if not (path.parent / link).exists()] == []


if __name__ == "__main__":
    pages = {f"api/{name}.md": api_pages.page(name) for name in api_pages.PAGES}
    pages |= {"hooks.md": hooks_page(), "api.md": api_pages.index(), "decisions.md": decisions_page()}
    pages["troubleshooting.md"] = troubleshooting_page()
    for name, text in pages.items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8", newline="\n")
        print("written:", DOCS / name)
