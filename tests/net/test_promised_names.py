"""vidpoll and its plugins stand on names that somebody has promised: none that begins with `_` of another library.

The network is searched word by word; everything else for attributes and imports that its own package does not make.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import requests
import urllib3

import vidpoll.net
from vidpoll.net.transport import RequestsTransport

FOLDER = Path(vidpoll.net.__file__).parent
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.py"))}
PLUGINS = sorted(Path(__file__).parents[2].glob("plugins/vidpoll-*"))
SPECS = [find_spec(folder.name.replace("-", "_")) for folder in PLUGINS]
PACKAGES = [FOLDER.parent, *(Path(str(each.origin)).parent for each in SPECS if each)]
USED = re.compile(r"\.(_[A-Za-z0-9]\w*)|^ *from [a-z].* import .*\b(_[A-Za-z0-9]\w*)", re.MULTILINE)
MADE = re.compile(
    r"(?:def|class) (_[A-Za-z0-9]\w*)|^ *(_[A-Za-z0-9]\w*)(?=(?:, \w+)* = |: )"
    r"|self\.(_[A-Za-z0-9]\w*)(?=[^()\n]* = |: )",
    re.MULTILINE,
)
OF_TUPLES = {"_asdict", "_fields", "_replace"}
"""Promised, although they begin with `_`: a field of a named tuple may not."""
LIBRARIES = ("requests", "urllib3", "http.client", "socket", "ssl", "io", "_pyio", "logging")


def private(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"_[A-Za-z0-9]\w*", name) is not None


def defined(tree: ast.AST) -> set[str]:
    """The private names that a source makes: functions, classes, variables, and attributes of `self`."""
    found = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    found |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    found |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and named(node.value, "self")
    }
    return {name for name in found if private(name)}


def named(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


@cache
def theirs(module: ModuleType | None = None) -> frozenset[str]:
    """The private words in the source of a module, or of all the libraries."""
    if module is not None:
        return frozenset(re.findall(r"\b_[A-Za-z0-9]\w*", inspect.getsource(module)))
    roots = [Path(str(importlib.import_module(name).__file__)) for name in LIBRARIES]
    files = [file for root in roots for file in (root.parent.rglob("*.py") if root.stem == "__init__" else [root])]
    words = (re.findall(r"\b_[A-Za-z0-9]\w*", file.read_text(encoding="utf-8")) for file in files)
    return frozenset(word for found in words for word in found)


def foreign(source: str) -> Iterator[str]:
    """Each private name of another library in a source: imported, looked up, named in a text or in a call."""
    tree = ast.parse(source)
    own = defined(tree)
    slots = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and named(node.targets[0], "__slots__")]
    ours = {id(node) for each in slots for node in ast.walk(each)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (part for each in node.names for part in each.name.split(".") if private(part))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (part for part in str(node.module).split(".") if private(part))
            yield from (each.name for each in node.names if private(each.name))
        elif isinstance(node, ast.Attribute) and private(node.attr):
            mine = node.attr in own and (named(node.value, "self", "cls") or node.attr not in theirs())
            yield from [] if mine else [node.attr]
        elif isinstance(node, ast.keyword) and private(node.arg) and node.arg not in own:
            yield str(node.arg)
        elif isinstance(node, ast.Constant) and private(node.value) and not str(node.value).isupper():
            yield from [] if id(node) in ours else [str(node.value)]


def overridden(kind: type) -> set[str]:
    """The private names that a class of ours shares with a class of another library that it inherits from."""
    own = [each for each in kind.__mro__ if each.__module__.startswith("vidpoll") or each.__module__ == __name__]
    names = {name for each in own for name in vars(each) if private(name)}
    for each in own:
        names |= defined(ast.parse(code(each)))
    others = {each for each in kind.__mro__ if each not in own and each is not object}
    words = {name for each in others for name in dir(each)}
    words |= {word for each in others if each.__module__ != "_io" for word in theirs(inspect.getmodule(each))}
    return names & words


def code(kind: type) -> str:
    try:
        return textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):  # made while the program runs
        return ""


def classes() -> dict[str, type]:
    """The classes of net/ that inherit from another library, those that are made while the program runs too."""
    modules = [importlib.import_module(f"vidpoll.net.{name}") for name in SOURCES if name != "__init__"]
    found = {name: each for module in modules for name, each in vars(module).items() if inspect.isclass(each)}
    for scheme, pool in RequestsTransport()._adapter().poolmanager.pool_classes_by_scheme.items():
        found |= {f"a pool for {scheme}": pool, f"a connection for {scheme}": pool.ConnectionCls}
    ours = {name: each for name, each in found.items() if each.__module__.startswith("vidpoll.net")}
    return {name: each for name, each in ours.items() if any(base.__module__ in ALL for base in each.__mro__)}


ALL = {"_io", "requests.adapters", "urllib3.connection", "urllib3.connectionpool"}


def strange(package: Path) -> dict[str, set[str]]:
    """The private names that the modules of a package use and that no module of it makes."""
    sources = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    made = {name for source in sources.values() for names in MADE.findall(source) for name in names}
    used = {path: {name for names in USED.findall(source) for name in names} for path, source in sources.items()}
    return {path: names - made - OF_TUPLES for path, names in used.items() if names - made - OF_TUPLES}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_no_package_uses_a_private_name_that_it_does_not_make(package: Path) -> None:
    """Nor does a plugin use one of vidpoll's."""
    assert strange(package) == {}


def test_a_private_name_that_a_package_does_not_make_is_found(tmp_path: Path) -> None:
    """An attribute and an import; a name of our own, in any of our modules, is none."""
    lines = (
        "from shutil import _samefile",
        "class A:\n    _mine: int",
        "    def f(self, a):\n        self._b = a._actions",
    )
    (tmp_path / "a.py").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "b.py").write_text("def f(a):\n    return a._mine, a._b, a._replace()", encoding="utf-8")
    assert strange(tmp_path) == {"a.py": {"_samefile", "_actions"}}


@pytest.mark.parametrize("name", SOURCES)
def test_no_private_name_of_another_library(name: str) -> None:
    """Such a name may be gone with any release of requests, urllib3 or CPython."""
    assert list(foreign(SOURCES[name])) == []


def test_no_private_name_of_another_library_is_overridden() -> None:
    """Nor by a class that inherits: the library would call ours in the place of its own."""
    found = classes()
    assert {"_Adapter", "Answer", "a pool for https", "a connection for https"} <= set(found)
    assert {name: overridden(each) for name, each in found.items() if overridden(each)} == {}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import urllib3\ndef f(raw):\n    return raw._connection", "_connection"),
        ("class A:\n    def f(self):\n        self.poolmanager._pool = 1", "_pool"),
        ("class A:\n    _pool = None\ndef f(raw):\n    return raw._pool", "_pool"),
        ("class A:\n    def f(self):\n        return self._fp", "_fp"),
        ("def f(raw):\n    return getattr(raw, '_original_response', None)", "_original_response"),
        ("from urllib3.util.retry import _Default", "_Default"),
        ("import urllib3._collections", "_collections"),
        ("from urllib3._collections import HTTPHeaderDict", "_collections"),
        ("import requests\nrequests.adapters._basic_auth_str('a', 'b')", "_basic_auth_str"),
        ("connection(_socks_options={})", "_socks_options"),
        ("kind = type('A', (), {'_new_conn': None})", "_new_conn"),
    ],
)
def test_a_private_name_is_found(source: str, name: str) -> None:
    """However it is written."""
    assert list(foreign(source)) == [name]


def test_names_that_are_promised_or_our_own_pass() -> None:
    """Public names, our own private ones, and those with two underscores."""
    source = (
        "class A:\n    _mine = 1\n    def __init__(self):\n        self._line = self._mine\n        super().__init__()"
    )
    assert list(foreign(source)) == []
    assert list(foreign("def _ours(a):\n    return a.raw.read1(9)\n_ours(getattr(1, '__doc__'))")) == []


class Planted(urllib3.HTTPConnectionPool):
    """Overrides a private method."""

    def _new_conn(self) -> None:  # type: ignore[override]
        """Not ours."""


class PlantedToo(requests.adapters.HTTPAdapter):
    """Sets a private attribute."""

    def close(self) -> None:
        self._pool_block = True


def test_a_private_name_that_is_overridden_is_found() -> None:
    """As a method, and as an attribute of the instance."""
    assert overridden(Planted) == {"_new_conn"}
    assert overridden(PlantedToo) == {"_pool_block"}
