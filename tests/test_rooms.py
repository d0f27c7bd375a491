"""Who imports whom: the rooms of docs/design.md, read off the source. Values know nothing, the loop knows all."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import vidpoll

CORE = Path(vidpoll.__file__).resolve().parent
ROOT = CORE.parent
PLUGINS = Path(__file__).resolve().parents[1] / "plugins"

ROOMS = {
    "errors": set(),
    "redact": set(),
    "clock": set(),
    "workers": set(),
    "hookspecs": set(),
    "model": {"errors", "redact"},
    "parsing": {"errors", "model", "redact"},
    "provider": {"errors", "model", "parsing"},
    "declare": {"errors", "model", "parsing", "provider", "redact"},
    "machine": {"errors", "model"},
    "forecast": {"errors", "machine", "model"},
    "pacing": {"errors", "forecast", "machine", "model"},
    "faults": {"errors", "model", "parsing"},
    "rate": set(),
    "gate": {"faults", "rate"},
    "accounts": {"errors", "forecast", "gate", "model", "provider", "redact"},
    "transport": {"accounts", "errors", "faults", "model", "workers"},
    "plugins": {"errors", "hookspecs", "machine", "provider", "redact"},
    "notify": {"clock", "errors", "hookspecs", "machine", "model", "plugins", "redact"},
    "record": {"errors", "machine", "model", "redact"},
    "store": {"errors", "record"},
    "keeping": {"accounts", "clock", "errors", "machine", "model", "record", "tasks"},
    "question": {"accounts", "errors", "faults", "machine", "model", "provider", "redact"},
    "tasks": {"accounts", "clock", "errors", "faults", "forecast", "machine", "model", "pacing", "question"},
    "transcript": {"faults", "model", "redact"},
    "line": {"errors", "gate", "tasks"},
    "listing": {"accounts", "errors", "faults", "machine", "model", "question", "tasks"},
    "loop": {
        "accounts", "clock", "errors", "faults", "gate", "line", "listing", "machine", "model", "tasks", "transcript",
        "workers",
    },
    "ranges": {"model"},
    "files": {"errors", "ranges"},
    "pull": {
        "accounts", "errors", "faults", "loop", "machine", "model", "provider", "question", "ranges", "redact",
        "transport",
    },
    "remote": {"errors", "files", "pull", "ranges", "transport"},
    "saving": {"errors", "files", "machine", "model", "pull", "ranges", "remote", "transport"},
    "client": {
        "accounts", "clock", "errors", "faults", "keeping", "loop", "machine", "model", "pacing", "plugins",
        "provider", "question", "record", "redact", "tasks", "workers",
    },
}  # fmt: skip
"""What a module of the core may import of vidpoll when it is imported itself."""

LATER = {"transport": {"vidpoll"}, "client": {"pull", "saving", "store", "transport"}}
"""What it may import inside a function: the transport asks for the version that it names in its User-Agent; the client
imports what brings requests or SQLite along when it is first used."""

FOR_TYPES = {
    "hookspecs": {"machine", "provider"},
    "machine": {"transcript"},
    "client": {"pull", "transport"},
    "keeping": {"store"},
    "record": {"accounts"},
}
"""What it may import for the type checker only."""

FREE = {"__init__", "__main__", "cli", "testing"}
"""The face re-exports, the command line and the test tools are users; nobody of the core may import the last two."""

DOORS = {
    "time": {"clock", "testing"},
    "requests": {"transport"},
    "urllib3": {"transport"},
    "pluggy": {"hookspecs", "plugins"},
    "sqlite3": {"store"},
    "pytest": {"testing"},
}
"""Each outside thing has one door: nothing but these rooms imports it."""

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
            if module == "vidpoll":  # `from . import redact` names a module, `from . import __version__` does not
                yield from (Import(_named(alias.name), when) for alias in child.names)
            else:
                yield Import(module, when)
        else:
            yield from _imports(child, package, inside)


def _named(name: str) -> str:
    return f"vidpoll.{name}" if (CORE / f"{name}.py").exists() or (CORE / name).is_dir() else "vidpoll"


def room(path: Path) -> str:
    """The first name below vidpoll: `loop` for vidpoll/loop.py, `testing` for everything in vidpoll/testing."""
    return path.relative_to(CORE).with_suffix("").parts[0]


def inner(path: Path, when: str) -> set[str]:
    """The rooms that a module of the core imports."""
    found = {each.module for each in imports(path) if each.when == when}
    return {name.split(".")[1] if "." in name else name for name in found if name.split(".")[0] == "vidpoll"}


SOURCES = sorted(CORE.rglob("*.py"))
MODULES = {room(path): [each for each in SOURCES if room(each) == room(path)] for path in SOURCES}
MODULES = {name: paths for name, paths in MODULES.items() if name not in FREE}
"""The sources of each room: one file, or those of a package."""

OURS = sorted(PLUGINS.glob("vidpoll-*/vidpoll_*/*.py"))
PROVIDERS = [path for path in OURS if "def vidpoll_providers(" in path.read_text(encoding="utf-8")]
NOTIFIERS = [
    path
    for path in OURS
    if path.name == "__init__.py" and path.parent not in {provider.parent for provider in PROVIDERS}
]


def test_every_module_has_a_row() -> None:
    """A new module enters the table, and a row without a module leaves it."""
    assert set(MODULES) == set(ROOMS)


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_a_module_imports_what_its_row_says(name: str) -> None:
    """Imports point inward: the table is the structure, not a wish."""
    found = tuple(
        {each for path in MODULES[name] for each in inner(path, when)} - {name}
        for when in ("at once", "later", "for types")
    )
    assert found == (ROOMS[name], LATER.get(name, set()), FOR_TYPES.get(name, set()))


def test_the_table_has_no_circle() -> None:
    """Some order of the rooms exists in which each imports only what came before."""
    done: set[str] = set()
    while ready := {name for name, needs in ROOMS.items() if name not in done and needs <= done}:
        done |= ready
    assert done == set(ROOMS)


def test_the_command_line_and_the_test_tools_are_users() -> None:
    """Nothing of the core imports cli or testing, and the face imports neither."""
    users = {path for path in SOURCES if room(path) in {*ROOMS, "__init__"}}
    found = {
        path: inner(path, when) & {"cli", "testing"} for path in users for when in ("at once", "later", "for types")
    }
    assert {path.name: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("package", sorted(DOORS))
def test_each_outside_thing_has_one_door(package: str) -> None:
    """Only clock.py knows the time, only transport.py the network, only two modules pluggy."""
    found = {room(path) for path in SOURCES for each in imports(path) if each.module.split(".")[0] == package}
    assert found <= DOORS[package]


def test_two_run_time_dependencies() -> None:
    """requests (with its urllib3) and pluggy are all that vidpoll needs beyond the standard library."""
    names = {each.module.split(".")[0] for path in SOURCES for each in imports(path) if room(path) != "testing"}
    assert names - sys.stdlib_module_names - {"vidpoll", "__future__"} == {"requests", "urllib3", "pluggy"}


def test_there_are_plugins_to_look_at() -> None:
    """The rules below are about files that exist."""
    assert len(PROVIDERS) >= 3
    assert len(NOTIFIERS) >= 5


@pytest.mark.parametrize("path", PROVIDERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_provider_module_imports_vidpoll_and_the_standard_library(path: Path) -> None:
    """Rule 8: plugins hold no sleeps and no network code; what they need of vidpoll is public, never a test tool."""
    modules = {each.module for each in imports(path)}
    tops = {module.split(".")[0] for module in modules}
    assert tops - sys.stdlib_module_names - {"vidpoll"} == set()
    assert tops & FORBIDDEN_IN_PROVIDERS == set()
    assert {module for module in modules if module.startswith("urllib")} <= {"urllib.parse"}
    assert {module for module in modules if module.startswith("vidpoll")} <= {
        "vidpoll", "vidpoll.declare", "vidpoll.parsing"}  # fmt: skip


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
    assert (done.stdout.splitlines(), done.stderr) == (["[] True", "[]", "['vidpoll']"], "")


def test_importing_vidpoll_does_not_import_requests() -> None:
    """requests costs more than all of vidpoll; who only reads a job or a verdict does not pay for it."""
    code = "from vidpoll import *; import sys; print([m for m in ('requests', 'urllib3') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
