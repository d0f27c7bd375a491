"""Who imports whom: the wings of docs/design.md, read off the source. Values know nothing, the client knows all."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

import vidpoll

CORE = Path(vidpoll.__file__).resolve().parent
ROOT = CORE.parent
PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
DESIGN = PLUGINS.parent / "docs" / "design.md"

WINGS: dict[str, set[str]] = {
    "core": set(),
    "pacing": {"core"},
    "net": {"core"},
    "polling": {"core", "pacing", "net"},
    "downloads": {"core", "pacing", "net", "polling"},
    "storage": {"core", "pacing", "net", "polling"},
    "batch": {"core", "pacing", "net", "polling", "downloads", "storage"},
    "client": {"core", "pacing", "net", "polling", "downloads", "storage", "batch"},
}
"""Which wings the modules of a wing may import, beside their own. Flat modules are the core, but for the client's."""

CLIENT = {"client", "client_base", "arguments", "following", "serving", "shortcuts", "stepping"}

USERS: dict[str, set[str]] = {
    "cli": {"core", "net", "client", "testing"},
    "testing": {"core", "net", "storage", "client"},
}
"""Which wings the command line and the test tools import, beside the public names; none of the wings imports them."""

FACE = {"__init__", "__main__", *USERS}
"""The modules outside the wings."""

DOORS = {
    "time": {"clock", "testing"},
    "requests": {"net.transport", "net.environment"},
    "urllib3": {"net.environment"},
    "pluggy": {"hookspecs", "plugins"},
    "sqlite3": {
        "storage.database",
        "storage.forks",
        "storage.schema",
        "storage.sqlite",
        "storage.keys",
        "storage.ledger",
        "storage.sharding",
        "storage.leasing",
    },
    "pytest": {"testing"},
}
"""Each outside thing has one door: nothing but these rooms imports it."""

PUBLIC = {"vidpoll", "vidpoll.declare", "vidpoll.parsing"}
"""What a provider module may import of vidpoll."""

FORBIDDEN_IN_PROVIDERS = {
    "asyncio", "concurrent", "ftplib", "http", "multiprocessing", "sched", "select", "selectors", "signal", "socket",
    "ssl", "subprocess", "threading", "time",
}  # fmt: skip
"""Standard modules with which a provider could wait or reach the network; `urllib.parse` is the part it may use."""


class Import(NamedTuple):
    """One imported module by its full name; `when` is "at once", "later" (in a function) or "for types"."""

    module: str
    when: str


@cache
def imports(path: Path) -> frozenset[Import]:
    """Every import of a source file, relative ones resolved."""
    package = [*path.relative_to(ROOT).parts][:-1] if path.is_relative_to(CORE) else [path.parent.name]
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8")), package, "at once"))


def _imports(node: ast.AST, package: list[str], when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = when
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inside = "later"
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            inside = "for types"
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else []
            module = ".".join([*base, *([child.module] if child.module else [])])
            if module.split(".")[0] == "vidpoll":  # `from . import redact` names a module
                yield from (Import(_named(module, alias.name), when) for alias in child.names)
            else:
                yield Import(module, when)
        else:
            yield from _imports(child, package, inside)


def _named(package: str, name: str) -> str:
    folder = CORE.joinpath(*package.split(".")[1:])
    return f"{package}.{name}" if (folder / f"{name}.py").exists() or (folder / name).is_dir() else package


def module(path: Path) -> str:
    """The name of a module below vidpoll: `polling.loop`; `testing` for everything in vidpoll/testing."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return parts[0] if parts[0] in FACE else ".".join(parts).removesuffix(".__init__")


def wing(name: str) -> str:
    """The wing of a module, named below vidpoll."""
    top = name.partition(".")[0]
    if top in FACE or top == "vidpoll":
        return top
    return "client" if top in CLIENT else top if top in WINGS else "core"


def inner(path: Path, *when: str) -> set[str]:
    """The modules of vidpoll that a module imports, named below vidpoll."""
    found = {each.module for each in imports(path) if not when or each.when in when}
    return {name.partition(".")[2] or name for name in found if name.split(".")[0] == "vidpoll"}


SOURCES = sorted(CORE.rglob("*.py"))
MODULES = {module(path): path for path in SOURCES if module(path) not in FACE}
PACKAGES = [find_spec(folder.name.replace("-", "_")) for folder in sorted(PLUGINS.glob("vidpoll-*"))]
OURS = [path for each in PACKAGES if each for path in sorted(Path(str(each.origin)).parent.glob("*.py"))]
PROVIDERS = [path for path in OURS if "def vidpoll_providers(" in path.read_text(encoding="utf-8")]
TRANSPORTS = [path for path in OURS if "def vidpoll_transports(" in path.read_text(encoding="utf-8")]
BELOW = [path for path in OURS if re.search(r"def vidpoll_(transports|stores)\(", path.read_text(encoding="utf-8"))]
ENGINES = [path for path in OURS if "\ndef install(" in path.read_text(encoding="utf-8")]
NOTIFIERS = [
    path
    for path in OURS
    if path.name == "__init__.py" and path.parent not in {other.parent for other in (*PROVIDERS, *BELOW, *ENGINES)}
]


def test_the_wings_are_the_folders() -> None:
    """A folder of vidpoll is a wing with a row, or a user; a row without a module leaves the table."""
    folders = {path.parent.name for path in CORE.glob("*/__init__.py")}
    assert folders - set(USERS) - {"declare"} == set(WINGS) - {"core", "client"}
    assert {wing(name) for name in MODULES} == set(WINGS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_inward(name: str) -> None:
    """A module imports its own wing and those of its row, also inside functions and for the type checker."""
    found = {wing(each) for each in inner(MODULES[name])}
    assert found <= {wing(name), *WINGS[wing(name)]}


@pytest.mark.parametrize("name", sorted(USERS))
def test_a_user_imports_the_wings_of_its_row(name: str) -> None:
    """Beside the public names: exactly those, so that the row says no more than is true."""
    found = {wing(each) for path in SOURCES if module(path) == name for each in inner(path)}
    assert found == {name, "vidpoll", *USERS[name]}


def test_the_design_page_has_the_same_rows() -> None:
    """What docs/design.md says of the wings is what is checked here."""
    rows = re.findall(r"^\| ([a-z, ]+) \|.*\| ([a-z, ]+) \|$", DESIGN.read_text(encoding="utf-8"), re.MULTILINE)
    said = {name: set(cell.split(", ")) for names, cell in rows for name in names.split(", ")}
    said = {**said, "core": said["core"] - {"only itself"}}
    assert said == {"wing": {"may import"}, **WINGS, **USERS}


LIMIT = 540
"""Lines; CONTRIBUTING.md says it."""


def test_a_module_is_short_and_says_what_it_holds() -> None:
    """The first lines of the modules are the map of vidpoll; a module that grows beyond the limit is split."""
    sources = {path.relative_to(CORE).as_posix(): path.read_text(encoding="utf-8") for path in SOURCES}
    assert [name for name, source in sources.items() if not source.startswith('"""')] == []
    assert [name for name, source in sources.items() if source.count("\n") > LIMIT] == []


def test_no_circle_of_imports() -> None:
    """Some order of the modules exists in which each imports at once only what came before."""
    needs = {name: inner(path, "at once") & set(MODULES) for name, path in MODULES.items()}
    done: set[str] = set()
    while ready := {name for name in needs if name not in done and needs[name] <= done}:
        done |= ready
    assert set(needs) - done == set()


def test_the_face_imports_no_user() -> None:
    """`import vidpoll` knows neither the command line nor the test tools."""
    assert inner(CORE / "__init__.py") & {"cli", "testing"} == set()


@pytest.mark.parametrize("package", sorted(DOORS))
def test_each_outside_thing_has_one_door(package: str) -> None:
    """Only clock.py knows the time, only net/ the network, only two modules pluggy."""
    found = {module(path) for path in SOURCES for each in imports(path) if each.module.split(".")[0] == package}
    assert found <= DOORS[package]


def test_two_run_time_dependencies() -> None:
    """requests (with its urllib3) and pluggy are all that vidpoll needs beyond the standard library."""
    names = {each.module.split(".")[0] for path in SOURCES for each in imports(path) if module(path) != "testing"}
    assert names - sys.stdlib_module_names - {"vidpoll", "__future__"} == {"requests", "urllib3", "pluggy"}


def test_there_are_plugins_to_look_at() -> None:
    """The rules below are about files that exist."""
    assert len(PROVIDERS) >= 3
    assert len(NOTIFIERS) >= 5
    assert len(TRANSPORTS) >= 1


@pytest.mark.parametrize("path", PROVIDERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_provider_module_imports_vidpoll_and_the_standard_library(path: Path) -> None:
    """Rule 8: plugins hold no sleeps and no network code; what they need of vidpoll is public, never a test tool.

    A provider may be made of another one of its pack (a router of the vendor behind it), which keeps to the same.
    """
    beside = {f"{each.parent.name}.{each.stem}" for each in PROVIDERS if each.parent == path.parent}
    modules = {each.module for each in imports(path)} - beside
    tops = {module.split(".")[0] for module in modules}
    assert tops - sys.stdlib_module_names - {"vidpoll"} == set()
    assert tops & FORBIDDEN_IN_PROVIDERS == set()
    assert {module for module in modules if module.startswith("urllib")} <= {"urllib.parse"}
    assert {module for module in modules if module.startswith("vidpoll")} <= PUBLIC


@pytest.mark.parametrize("path", PROVIDERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_provider_module_holds_no_polling_loop(path: Path) -> None:
    """Rule 8: one loop, and it is not in a plugin: no `while`, no call of anything named sleep."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}
    assert [node for node in nodes if isinstance(node, ast.While)] == []
    assert "sleep" not in names


@pytest.mark.parametrize("path", NOTIFIERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_notifier_is_written_with_the_public_names(path: Path) -> None:
    """The hooks suffice: of vidpoll it takes what any plugin may take; and nothing is imported with it but that."""
    own = path.parent.name
    found = {each for source in path.parent.rglob("*.py") for each in imports(source)}
    modules = {each.module for each in found if each.module.split(".")[0] == "vidpoll"}
    assert modules <= {"vidpoll", "vidpoll.parsing", "vidpoll.notify"}
    at_once = {module.split(".")[0] for module in with_it(path)}
    assert at_once - sys.stdlib_module_names - {"vidpoll", own} == set()


@pytest.mark.parametrize("path", ENGINES, ids=lambda path: path.parent.name)
def test_an_engine_is_served_with_the_public_names(path: Path) -> None:
    """Who places vidpoll's calls in another engine needs nothing but what any program may use."""
    found = {each.module for source in path.parent.rglob("*.py") for each in imports(source)}
    assert {module for module in found if module.split(".")[0] == "vidpoll"} == {"vidpoll"}


@pytest.mark.parametrize("path", TRANSPORTS, ids=lambda path: path.parent.name)
def test_a_transport_is_written_with_the_rules_of_the_network(path: Path) -> None:
    """It takes what net/ has for every transport; its library is imported only once somebody has named it."""
    found = {each for source in path.parent.rglob("*.py") for each in imports(source)}
    modules = {each.module for each in found if each.module.split(".")[0] == "vidpoll"}
    assert {module for module in modules if not module.startswith("vidpoll.net.")} <= {
        *("vidpoll", "vidpoll.faults", "vidpoll.fork_lock", "vidpoll.redact")
    }
    assert {module.split(".")[0] for module in with_it(path)} - sys.stdlib_module_names == {"vidpoll"}


def with_it(path: Path) -> set[str]:
    """What is imported when a plugin is: by its first module, and by those of its own that this one imports."""
    found = {each.module for each in imports(path) if each.when == "at once"}
    for module in found & {f"{path.parent.name}.{source.stem}" for source in path.parent.glob("*.py")}:
        found |= with_it(path.parent / f"{module.partition('.')[2]}.py")
    return found


WATCHED = """
import os, sys
read = []
class Environment(dict):
    def __getitem__(self, key): read.append(key); return super().__getitem__(key)
    def get(self, key, default=None): read.append(key); return super().get(key, default)
    def __contains__(self, key): read.append(key); return super().__contains__(key)
import requests, pluggy, zoneinfo, inspect, warnings, logging, importlib.metadata, email.utils  # theirs, not ours
before, threads = set(sys.modules), __import__("threading").active_count()
os.environ = Environment(os.environ)
importlib.metadata.entry_points = lambda **wanted: read.append(wanted)
def audit(event, details):
    if event.startswith(("socket.", "subprocess.", "os.system")):
        read.append(event)
sys.addaudithook(audit)
import vidpoll
at_once = set(sys.modules) - before
for name in vidpoll.__all__:  # each is imported when it is first used
    getattr(vidpoll, name)
print(read, threads == __import__("threading").active_count())
print(sorted(m for m in set(sys.modules) - before if m.startswith(("vidpoll_", "vidpoll.testing", "vidpoll.cli."))))
print(sorted(m for m in at_once if m.startswith("vidpoll")))
"""


def test_importing_vidpoll_does_nothing() -> None:
    """Rule 9: an import, of each name too, reads no environment, finds no plugin, starts no thread, opens nothing."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", WATCHED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.splitlines(), done.stderr) == (["[] True", "[]", "['vidpoll', 'vidpoll.__version__']"], "")


def test_importing_vidpoll_does_not_import_requests() -> None:
    """requests costs more than all of vidpoll; who only reads a job or a verdict does not pay for it."""
    code = "from vidpoll import *; import sys; print([m for m in ('requests', 'urllib3') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
