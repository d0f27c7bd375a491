"""The docs are true: hooks.md and api.md are what the code says, the diagram of design.md is the table, examples run.

`python tests/test_docs.py` writes the two pages anew from the docstrings, and the diagram from the table.
"""

from __future__ import annotations

import enum
import importlib.util
import inspect
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

import vidpoll
import vidpoll.testing
from vidpoll import declare, errors, hookspecs, parsing
from vidpoll.cli import main
from vidpoll.job_state import TABLE, Kind, Phase
from vidpoll.plugins import Plugins

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


# -- api.md -----------------------------------------------------------------------------------------------------------

TITLES = {
    "client": "Waiting",
    "stepping": "Waiting",
    "dumps": "Waiting",
    "accounts": "Accounts",
    "reach": "Accounts",
    "job": "Jobs and events",
    "job_state": "Jobs and events",
    "events": "Jobs and events",
    "model": "What an answer said",
    "pacing": "Pacing",
    "transcript": "Transcripts",
    "store": "Store",
    "download": "Downloads",
    "stream": "Downloads",
    "provider": "Writing a provider",
    "plugins": "Plugins",
    "hookspecs": "Plugins",
    "errors": "Errors",
}


def call(thing: Any) -> str:
    """The parameters of a call, with those defaults that a person can read."""
    if (isinstance(thing, type) and issubclass(thing, enum.Enum)) or not callable(thing):
        return ""
    shown, keyword = [], False
    for each in inspect.signature(thing).parameters.values():
        if each.name in ("self", "cls"):
            continue
        if each.kind is each.KEYWORD_ONLY and not keyword:
            shown.append("*")
            keyword = True
        keyword = keyword or each.kind is each.VAR_POSITIONAL
        name = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "") + each.name
        plain = each.default is None or isinstance(each.default, (bool, int, float, str, tuple))
        shown.append(name if each.default is each.empty else f"{name}={each.default!r}" if plain else f"{name}=…")
        if each.kind is each.POSITIONAL_ONLY and not any(
            later.kind is later.POSITIONAL_ONLY for later in _after(thing, each.name)
        ):
            shown.append("/")
    return f"({', '.join(shown)})"


def _after(thing: Any, name: str) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(thing).parameters.values())
    return parameters[[each.name for each in parameters].index(name) + 1 :]


def lines(thing: object) -> str:
    """The whole docstring, without examples that stand apart; those at a prompt as code."""
    said = (inspect.getdoc(thing) or "").partition("\n\nExample::")[0].strip().split("\n\n")
    return "\n\n".join(f"```pycon\n{part}\n```" if part.startswith(">>>") else part for part in said)


def entry(name: str, thing: Any, prefix: str = "vidpoll.") -> Iterator[str]:
    if inspect.ismodule(thing):
        return
    yield f"### `{prefix}{name}{call(thing)}`"
    if isinstance(thing, type) and issubclass(thing, enum.Enum):
        yield f"{lines(thing)}\n\n" + " ".join(f"`{each.name}`" for each in thing)
        return
    yield lines(thing)
    if not isinstance(thing, type) or issubclass(thing, BaseException):
        return
    rows = []
    members = {name: value for room in reversed(thing.__mro__) for name, value in vars(room).items()}
    for member, value in sorted(members.items()):
        inner = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        text = inspect.getdoc(inner) or ""
        public = not member.startswith(("_", "test_")) and (inspect.isfunction(inner) or isinstance(value, property))
        if public and text:
            shown = member if isinstance(value, property) else f"{member}{call(inner)}"
            rows.append(f"- `{shown}`: {' '.join(text.partition(chr(10) * 2)[0].split())}")
    if rows:
        yield "\n".join(rows)


def module_of(module: Any, about: str, names: Iterable[str]) -> Iterator[str]:
    yield f"## `{module.__name__}`"
    yield about
    for name in sorted(names):
        yield from entry(name, getattr(module, name), f"{module.__name__.removeprefix('vidpoll.')}.")


def api_page() -> str:
    parts = [
        "# The public names",
        "<!-- Written from the docstrings by `python tests/test_docs.py`. -->",
        """All of these are names of `vidpoll`; those of `parsing`, `declare` and `testing` come last. Times
are seconds, moments are Unix seconds. The hooks have a page of their own: [hooks.md](hooks.md).""",
    ]
    groups: dict[str, list[str]] = {}
    for name in vidpoll.__all__:
        thing = getattr(vidpoll, name)
        room = "provider" if name == "hookimpl" else getattr(thing, "__module__", "").rpartition(".")[2]
        groups.setdefault(TITLES.get(room, "More"), []).append(name)
    order = list(dict.fromkeys([*TITLES.values(), "More"]))
    for title in order:
        names = [name for name in groups.get(title, []) if not inspect.ismodule(getattr(vidpoll, name))]
        if not names:
            continue
        parts.append(f"## {title}")
        if title == "Errors":
            parts.append(f"```text\n{(inspect.getdoc(errors) or '').partition(chr(10) * 2)[2]}\n```")
            names.sort()
        for name in names:
            thing = getattr(vidpoll, name)
            if name == "hookimpl":
                parts += [
                    "### `vidpoll.hookimpl`",
                    "Marks a function as the implementation of a hook: `@vidpoll.hookimpl`.",
                ]
            else:
                parts += entry(name, thing)
    own = [each for each in vars(parsing).values() if getattr(each, "__module__", "") == parsing.__name__]
    public = [each.__name__ for each in own if inspect.isfunction(each) and not each.__name__.startswith("_")]
    parts += module_of(parsing, lines(parsing), public)
    parts += module_of(declare, lines(declare), declare.__all__)
    parts += module_of(vidpoll.testing, lines(vidpoll.testing).partition("\n\n")[0], vidpoll.testing.__all__)
    from vidpoll.testing import fixtures

    fixture = fixtures.vidpoll_simulator
    text = inspect.getdoc(getattr(fixture, "__wrapped__", None) or fixture._get_wrapped_function()) or ""
    parts += [
        "### the pytest fixture `vidpoll_simulator`",
        text.replace("Example::\n\n", "```python\n").replace("\n\nWhat may", "\n```\n\nWhat may"),
    ]
    return "\n\n".join(dedented(parts)) + "\n"


def dedented(parts: list[str]) -> list[str]:
    """The example of the fixture stands four spaces deep in its docstring."""
    return [
        re.sub(
            r"```python\n(.*?)```", lambda found: "```python\n" + inspect.cleandoc(found[1]) + "\n```", part, flags=re.S
        )
        for part in parts
    ]


def test_api_page() -> None:
    """Every public name of `vidpoll`, `parsing`, `declare` and `testing` is there with its whole docstring."""
    assert page("api.md") == api_page(), WRITE


@pytest.mark.parametrize("name", [*vidpoll.__all__, *vidpoll.testing.__all__])
def test_every_name_has_its_place(name: str) -> None:
    """A public name that is not documented does not exist."""
    assert re.search(rf"^##+ `(vidpoll|testing)\.{name}\b", page("api.md"), re.M) or name == "errors"


# -- design.md: the phases of a job -----------------------------------------------------------------------------------

PHASES = re.compile(r"(<!-- phases: [^\n]*-->\n).*?(?=<!-- end of phases -->)", re.DOTALL)


def phases() -> str:
    """The table of a job's phases as a diagram, with what its words mean."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> NEW"]
    for phase in Phase:
        for after in Phase:
            kinds = [kind.value for kind in Kind if TABLE[phase].get(kind) is after]
            if kinds:
                lines.append(f"    {phase.name} --> {after.name}: {' / '.join(kinds)}")
    lines += ["    ENDED --> [*]", "```", "", "| phase | the next answer |", "| --- | --- |"]
    lines += [f"| `{phase.name}` | {meaning(Phase, phase.name)} |" for phase in Phase]
    lines += ["", "| an answer | is |", "| --- | --- |"]
    lines += [f"| {kind.value} | {meaning(Kind, kind.name)} |" for kind in Kind]
    return "\n".join(lines) + "\n"


def meaning(of: type, name: str) -> str:
    """The text that stands below a member of an enumeration."""
    return re.search(rf'    {name} = "[^"]*"\n    """(.*?)"""', inspect.getsource(of), re.DOTALL)[1]  # type: ignore[index]


def design_page() -> str:
    return PHASES.sub(lambda found: found[1] + phases(), page("design.md"))


def test_the_phases_of_the_design_page() -> None:
    """The diagram is the table of the source."""
    assert PHASES.search(page("design.md"))
    assert page("design.md") == design_page(), WRITE


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
        "a new word of the provider's would be taken for a known one",
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
    space: dict[str, Any] = {"__name__": "cookbook"}
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
    _as_told(title, tmp_path)


def _as_told(title: str, folder: Path) -> None:
    """What a recipe has to leave behind."""
    clips = len(list(folder.glob("clips/*.mp4")))
    if "night" in title:  # also "overnight"
        assert clips == 2
    if "many" in title:
        assert clips == 2
    if "web app" in title:
        assert clips == 1


def test_the_recipes_are_there() -> None:
    """What people ask for."""
    titles = " ".join(title.lower() for title, _ in RECIPES)
    for word in ("chat", "many", "night", "web app", "test", "without packaging"):
        assert word in titles


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


def test_the_retries_of_the_page() -> None:
    """Each class that there is stands in the table."""
    table = BATCH.partition("## Retries")[2].partition("## ")[0]
    assert {word for row in re.findall(r"^\| (`.*?) \|", table, re.M) for word in re.findall("`(.*?)`", row)} == {
        *errors.CATEGORIES
    }


# -- all pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")]), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of a page names a file of the repository, where the repository is there."""
    links = (
        re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        if (ROOT / "vidpoll").exists()
        else []
    )
    assert [link for link in links if not (path.parent / link).exists()] == []


if __name__ == "__main__":
    for name, text in (("hooks.md", hooks_page()), ("api.md", api_page()), ("design.md", design_page())):
        (DOCS / name).write_text(text, encoding="utf-8", newline="\n")
        print("written:", DOCS / name)
