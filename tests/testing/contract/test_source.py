"""The source of a plugin is read: all of a package, and of a pack what a provider imports."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from contract_cases import caught, contract, lines, write

RULE = "the_plugin_does_nothing_else"
SOURCE = """
import {module}
import vidpoll
from vidpoll import parsing

def parse(response, job_id):
    {line}
    return vidpoll.Snapshot(parsing.lookup({{"run": "running"}}, parsing.json_object(response).get("s")))

def sign(request, secrets):
    return headers(secrets)

def headers(secrets):
    {minted}
    return {{"Authorization": "made"}}

@vidpoll.hookimpl
def vidpoll_providers():
    yield vidpoll.Provider("sourced", "https://api.odd.example", {auth}, vidpoll.Pacing(),
        vidpoll.Operation(lambda job_id: vidpoll.Request("GET", f"/{{parsing.segment(job_id)}}"), parse))
"""
MINTED = 'vidpoll.Minted(("A", "B"), sign)'

Told = Callable[..., dict[str, str]]


def source(module: str = "json", line: str = "pass", minted: str = "pass", auth: str = "vidpoll.NoAuth()") -> str:
    return SOURCE.format(module=module, line=line, minted=minted, auth=auth)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the kit says of a plugin that is made of these files."""

    def tell(files: Mapping[str, str], module: str = "sourced") -> dict[str, str]:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        try:
            cls = contract(importlib.import_module(module), write(tmp_path / "samples", [], "odd"), "sourced")
            return {**caught(cls, "the_plugin"), **caught(cls, "nothing"), **caught(cls, "values_are")}
        finally:
            for name in [name for name in sys.modules if name.split(".")[0] == module.split(".", maxsplit=1)[0]]:
                del sys.modules[name]

    return tell


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("json", "pass", None),
        ("urllib.parse", "pass", None),
        ("vidpoll.parsing", "pass", None),
        ("requests", "pass", "imports requests"),
        ("time", "pass", "imports time"),
        ("urllib.request", "pass", "imports urllib.request"),
        ("vidpoll.client", "pass", "imports vidpoll.client"),
        ("vidpoll.testing", "pass", "imports vidpoll.testing"),
        ("json", "pass; while False: pass", "a while loop"),
        ("json", "pass  # DE" + "CIDE: which words?", "which words?"),
        ("json", "from vidpoll import client", "imports vidpoll.client"),
        ("json", "vidpoll.net.accounts", "uses vidpoll.net.accounts"),
        ("json", "import datetime as d; d.datetime.now()", "uses the clock: datetime.datetime.now"),
        ("json", "from datetime import date as d; d.today()", "uses the clock: datetime.date.today"),
        ("json", "from datetime import datetime as d; d.fromtimestamp(0)", None),
        ("json", "from random import random as r; r()", "uses random values: random.random"),
        ("uuid", "uuid.uuid4()", "uses random values: uuid.uuid4"),
        ("os", "os.environ.get('KEY')", "uses the environment: os.environ"),
        ("os", "from os import getenv as g; g('KEY')", "uses the environment: os.getenv"),
        ("json", "print(job_id)", "uses the terminal: print"),
        ("json", "print = str; print(job_id)", None),
        ("json", "open('/tmp/x')", "uses a file: open"),
        ("pathlib", "pathlib.Path('x').write_text('')", "writes a file: .write_text"),
        ("pathlib", "pathlib.Path('x').read_bytes()", None),
        ("json", "__import__('time').sleep(1)", "uses hidden code: __import__"),
        ("json", "global seen; seen = job_id", "global seen"),
        ("json", "key = 'sk-live-0123456789abcdef'", "a text that looks like a key"),
        ("json", "'Bearer authentication'", None),
    ],
)
def test_the_source_is_read(module: str, line: str, said: str | None, told: Told) -> None:
    """No network, no waiting, no inner rooms of vidpoll; no clock, chance, environment, print or file."""
    found = told(
        {"sourced.py": source(module, f"if False: {line}" if ";" not in line else line.replace("; ", "\n    "))}
    )
    texts = " ".join(found.get(name, "") for name in (RULE, "nothing_is_left_to_decide"))
    assert texts == " " if said is None else said in texts


@pytest.mark.parametrize("minted", ["time.time()", "time.monotonic_ns()"])
def test_a_clock_is_for_minting(minted: str, told: Told) -> None:
    """A signature may hold the time: in what is given to Minted, and in what that calls; and nowhere else."""
    assert told({"sourced.py": source("time", minted=minted, auth=MINTED)}) == {}
    found = told({"sourced.py": source("time", minted, minted, MINTED)})
    assert "uses the clock: time." in found[RULE]
    assert "move it into the function passed to vidpoll.Minted" in found[RULE]
    assert lines(found[RULE]) == ["seen", "why", "do"]


def test_nobody_may_sleep(told: Told) -> None:
    """Not even where a clock is allowed."""
    assert "uses a pause: time.sleep" in told({"sourced.py": source("time", "pass", "time.sleep(1)", MINTED)})[RULE]


def test_a_package_is_read_whole(told: Told) -> None:
    """Files that no provider imports are read too, but for the face of the simulator and what only it imports."""
    hook = """
@vidpoll.hookimpl
def vidpoll_simulators():
    return {"sourced": "sourced.simulator:Face"}
"""
    files = {
        "sourced/__init__.py": f"{source()}{hook}",
        "sourced/py.typed": "",
        "sourced/simulator.py": "import threading\nfrom . import clips\n",
        "sourced/clips.py": "import random\nrandom.random()\n",
    }
    assert told(files) == {}
    assert "helper.py:1 imports socket" in told({**files, "sourced/helper.py": "import socket\n"})[RULE]
    used = {**files, "sourced/__init__.py": f"from . import clips\n{source()}{hook}"}
    assert "clips.py:2 uses random values" in told(used)[RULE]


def test_of_a_pack_the_provider_is_read(told: Told) -> None:
    """Its own module, and its siblings that it imports; not the other providers, nor the faces."""
    files = {
        "pack/__init__.py": "",
        "pack/py.typed": "",
        "pack/sourced.py": f"from .shared import words\n{source()}",
        "pack/shared.py": "words = {}\n",
        "pack/other.py": "import socket\n",
        "pack/simulators/sourced.py": "import threading\n",
    }
    assert told(files, "pack.sourced") == {}
    assert (
        "shared.py:1 uses the terminal"
        in told({**files, "pack/shared.py": "print()\nwords = 1\n"}, "pack.sourced")[RULE]
    )
    through = {**files, "pack/shared.py": "from pack import other\nwords = other\n"}
    assert "other.py:1 imports socket" in told(through, "pack.sourced")[RULE]


def test_a_package_is_typed(told: Told) -> None:
    """Without py.typed its types are ignored."""
    found = told({"sourced/__init__.py": source()})
    assert "there is no file sourced/py.typed" in found["values_are_the_documented_ones"]
