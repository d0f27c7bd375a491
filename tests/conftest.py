"""What holds for all tests: no command line of theirs touches the jobs that somebody keeps on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`VIDPOLL_STORE` leads to a file of this run's."""
    folder: Path = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("VIDPOLL_STORE", str(folder / "jobs.sqlite3"))
