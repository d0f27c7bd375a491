"""The command line with a store that a URL names."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, KEY, REF, Plugin

import vidpoll
from vidpoll.cli import main
from vidpoll.storage.sqlite import SqliteStore
from vidpoll.testing import FakeClock, FakeTransport

Shell = Callable[..., tuple[int, str, str]]


class Carrier:
    """Knows carrier://; the file is where the path says."""

    name = "carrier"

    @vidpoll.hookimpl
    def vidpoll_stores(self, url: str) -> object:
        scheme, _, rest = url.partition("://")
        return SqliteStore(rest.partition("/")[2], lambda: 0.0) if scheme == "carrier" else None


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Runs command lines in one folder; gives the exit code and what was said."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.delenv("VIDPOLL_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    clock = FakeClock()

    def run(*argv: str, script: Any = ()) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO())

        def factory(**options: Any) -> vidpoll.Client:
            plugins = [Plugin(ACME), Carrier(), *options.pop("plugins", ())]
            return vidpoll.Client(plugins=plugins, **{**options, "discover": False, "transport": FakeTransport(script)})

        code = main(argv, client_factory=factory, clock=clock)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_all_commands_keep_their_jobs_there(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the environment and by the option; no file of that name is made."""
    monkeypatch.setenv("VIDPOLL_STORE", "carrier://me:hunter2secret@db/jobs.sqlite3")
    assert shell("submit", "acme", "clip", "prompt=x", script=[{"id": "j1"}])[0] == 0
    code, _, err = shell("resume", script=[DONE])
    assert (code, "hunter2" in err) == (0, False)
    monkeypatch.delenv("VIDPOLL_STORE")
    code, out, _ = shell("jobs", "--local", "--store", "carrier://db/jobs.sqlite3")
    assert (code, REF in out) == (0, True)
    assert shell("wait", REF, "--store", "carrier://db/jobs.sqlite3")[0] == 0
    assert {each.name for each in tmp_path.iterdir()} <= {
        f"jobs.sqlite3{end}" for end in ("", "-wal", "-shm", "-owners")
    }


@pytest.mark.parametrize("command", [("jobs", "--local"), ("resume",), ("wait", REF)])
def test_a_url_that_nobody_knows_names_what_to_install(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Nothing is sent, and no password is shown."""
    monkeypatch.setenv("VIDPOLL_STORE", "ledger://me:hunter2secret@db/shop")
    code, out, err = shell(*command)
    assert code == 2
    assert "no store at ledger://db/shop: " in err
    assert "hunter2" not in out + err


def test_an_empty_store_is_named_without_its_password(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a URL that has one."""
    monkeypatch.setenv("VIDPOLL_STORE", "carrier://me:hunter2secret@db/jobs.sqlite3")
    assert shell("jobs", "--local") == (0, "", "vidpoll: no job is kept in carrier://db/jobs.sqlite3\n")


@pytest.mark.parametrize("url", ["carrier://me:hunter2secret@db/x", "carrier://db/x?a=1&password=hunter2secret"])
def test_a_password_is_not_taken_on_the_command_line(shell: Shell, url: str) -> None:
    """It would stay in the shell's history."""
    code, out, err = shell("jobs", "--local", "--store", url)
    assert (code, "set VIDPOLL_STORE to it" in err, "hunter2" in out + err) == (2, True, False)


@pytest.mark.parametrize(
    "url",
    ["ledger://me:hunter2/secret@db/x", "ledger://me:hunter2#secret@db/x", "ledger://me:a@hunter2?secret@db/x"],
)
def test_a_password_that_was_not_encoded_is_not_shown(shell: Shell, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Whatever stands in it."""
    monkeypatch.setenv("VIDPOLL_STORE", url)
    code, out, err = shell("serve")
    assert (code, "no store at ledger://db/x: " in err, "hunter2" in out + err) == (2, True, False)
    code, out, err = shell("serve", "--store", url)
    assert (code, "set VIDPOLL_STORE to it" in err, "hunter2" in out + err) == (2, True, False)


@pytest.mark.parametrize(
    "address",
    [
        "postgres:hunter2@db/shop", "postgresql:/me:hunter2@db/shop", "me:hunter2@db/shop",
        "host=db dbname=shop password=hunter2", "dbname = shop password=hunter2",
    ],
)  # fmt: skip
def test_an_address_that_is_no_url_makes_no_file(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    """Its jobs would be looked for in a database, and its password would be the name of a file."""
    monkeypatch.setenv("VIDPOLL_STORE", address)
    for command in (("jobs", "--local"), ("serve", "--seconds", "1")):
        code, out, err = shell(*command)
        assert (code, "postgresql://user@host/database" in err, "hunter2" in out + err) == (2, True, False)
    with pytest.raises(vidpoll.UsageError, match="is not a URL"):
        vidpoll.Client(store=Path(address), discover=False)
    assert list(tmp_path.iterdir()) == []
    vidpoll.Client(store=f"./{address.replace('/', ' ')}", discover=False).close()
