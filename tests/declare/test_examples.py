"""What the docstrings show is what happens, and importing the tables costs no network code."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import vidpoll
from vidpoll import declare, parsing

MODULES = [
    parsing,
    *(importlib.import_module(f"vidpoll.declare.{each.name}") for each in pkgutil.iter_modules(declare.__path__)),
]
NAMES = {name: getattr(home, name) for home in (vidpoll, declare) for name in home.__all__}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_example_runs(module: ModuleType) -> None:
    """An example is read more often than the words around it."""
    names = {name: value for name, value in NAMES.items() if name not in vars(module)}
    assert doctest.testmod(module, extraglobs=names).failed == 0


@pytest.mark.parametrize("name", declare.__all__)
def test_every_helper_shows_an_example(name: str) -> None:
    """Each public name of the tables has words of its own, and an example that runs."""
    assert ">>>" in (inspect.getdoc(getattr(declare, name)) or "")


def test_importing_the_tables_imports_no_network_code() -> None:
    """A provider that is only listed does not pay for requests."""
    code = "import vidpoll.declare, sys; print([m for m in ('requests', 'urllib3', 'socket') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
