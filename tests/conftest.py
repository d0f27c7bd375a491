"""What holds for all tests: no command line of theirs touches the jobs that somebody keeps on this machine.

`transport` runs a test with each library that asks: `pytestmark = pytest.mark.usefixtures("transport")`.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`VIDPOLL_STORE` leads to a file of this run's."""
    folder: Path = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("VIDPOLL_STORE", str(folder / "jobs.sqlite3"))


@pytest.fixture(params=["requests", pytest.param("curl", marks=pytest.mark.slow)])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The transport of every client that is not told another, in processes of a test too: the same must come out."""
    name = str(request.param)
    lacking = [each for each in ("pycurl", "vidpoll_curl") if find_spec(each) is None] if name == "curl" else []
    if lacking:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{lacking[0]} is not installed")
    monkeypatch.setenv("VIDPOLL_TRANSPORT", name)
    return name
