"""The fixture of the tests of the command line."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from acme_provider import (
    ACME,
    KEY,
    Plugin,
)
from shell import Shell

import vidpoll
from vidpoll.cli import main
from vidpoll.testing import FakeClock, FakeTransport


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Runs a command line against a script, or a server with a clock; gives exit code, lines of stdout and stderr."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.delenv("VIDPOLL_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    numbers = count()

    def run(*argv: str, script: Any = (), plugins: tuple[object, ...] = ()) -> tuple[int, list[str], list[str]]:
        run.wire = script if hasattr(script, "send") else FakeTransport(script)  # type: ignore[attr-defined]
        monkeypatch.setenv("VIDPOLL_STORE", str(tmp_path / "kept" / f"{next(numbers)}.sqlite3"))  # nothing is known

        def factory(**options: Any) -> vidpoll.Client:
            all_plugins = [Plugin(ACME), *plugins, *options.pop("plugins", ())]
            options |= {"transport": options.get("transport", run.wire), "discover": False}  # type: ignore[attr-defined]
            return vidpoll.Client(plugins=all_plugins, **options)

        code = main(argv, client_factory=factory, clock=getattr(script, "clock", None) or FakeClock())
        said = capsys.readouterr()
        assert KEY not in said.out + said.err
        return code, said.out.splitlines(), said.err.splitlines()

    return run
