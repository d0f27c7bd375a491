"""`vidpoll serve`: what it says, what it writes, and how it ends."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, DONE, DRAWING, KEY, REF, Plugin

import vidpoll
from vidpoll.cli import main
from vidpoll.cli.serving import exposition, line
from vidpoll.serving import Metrics
from vidpoll.storage.sqlite import SqliteStore
from vidpoll.testing import FakeClock, FakeTransport

NOW = 1_800_000_000.0

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Runs a command line at one store; gives the exit code and what was said."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.setenv("VIDPOLL_STORE", str(tmp_path / "jobs.sqlite3"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(*argv: str, script: Any = (), plugins: tuple[object, ...] = ()) -> tuple[int, str, str]:
        def factory(**options: Any) -> vidpoll.Client:
            given = [Plugin(ACME), *plugins, *options.pop("plugins", ())]
            return vidpoll.Client(plugins=given, discover=False, transport=FakeTransport(script), **options)

        code = main(argv, client_factory=factory, clock=FakeClock())
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """Another process at the store, with one job."""
    store = SqliteStore(tmp_path / "jobs.sqlite3", lambda: NOW)
    store.enter([(REF, vidpoll.Origin("acme"), {})])
    return store


def test_it_serves_until_its_time_is_over(shell: Shell, store: SqliteStore, tmp_path: Path) -> None:
    """A line for each verdict, a line of metrics a minute, and a file for who collects them."""
    metrics = tmp_path / "vidpoll.prom"
    code, out, err = shell("serve", "--seconds", "70", "--metrics", str(metrics), script=[DRAWING, DONE])
    assert (code, out) == (0, "acme:j1 completed: video\n")
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[1] == (
        "vidpoll: 1 shard, 0 jobs; 2 polls (0 faults), 1 verdict delivered, p99 0.0 s late; "
        "store: 0 open jobs, 0 undelivered, 1 process"
    )
    assert "vidpoll_verdicts_told_total 1" in metrics.read_text(encoding="utf-8").splitlines()
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["vidpoll.prom"]


def test_it_stands_by_where_nothing_is_free(shell: Shell, store: SqliteStore) -> None:
    """And says so once."""
    store.take({"acme": 1}, 1)
    code, out, err = shell("serve", "--seconds", "5", "--quiet")
    assert (code, out) == (0, "")
    assert [each.partition(":")[2].partition(",")[0] for each in err.splitlines()] == [
        " 0 shards",
        " standing by: no account has unfinished jobs",
    ]


def test_sigterm_hands_over(shell: Shell, store: SqliteStore) -> None:
    """At once, and with exit code 0: a supervisor has asked for it."""
    if os.name != "posix":
        pytest.skip("needs signals as POSIX has them")

    class Ending:
        @vidpoll.hookimpl
        def vidpoll_stage_changed(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    code, _, err = shell("serve", "acme", script=[DRAWING], plugins=(Ending(),))
    assert (code, "ending: saving what is not kept yet" in err) == (0, True)
    assert len(store.take({"acme": 1}, 1)) == 1
    assert [job.job.stage for job in store.jobs()] == ["drawing"]


def test_it_needs_a_store_that_works(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to serve without."""
    assert shell("serve", "--no-store")[0] == 2
    monkeypatch.setenv("VIDPOLL_STORE", str(tmp_path))
    code, _, err = shell("serve")
    assert (code, f"{tmp_path} is a folder" in err, "Going on" in err) == (2, True, False)
    monkeypatch.delenv("VIDPOLL_STORE")
    monkeypatch.setattr("vidpoll.cli.context._data_home", lambda: tmp_path)
    (tmp_path / "vidpoll" / "jobs.sqlite3").mkdir(parents=True)
    code, _, err = shell("serve")
    assert (code, "jobs.sqlite3 is a folder" in err, "Going on" in err) == (1, True, False)


def test_a_metrics_file_that_cannot_be_written_ends_nothing(shell: Shell, store: SqliteStore, tmp_path: Path) -> None:
    """It is said."""
    code, out, err = shell("serve", "--seconds", "9", "--metrics", str(tmp_path / "no" / "m"), script=[DONE])
    assert (code, "completed" in out) == (0, True)
    assert "cannot be written: No such file or directory" in err


def test_metrics_name_what_nobody_serves() -> None:
    """As a line, and as Prometheus reads it."""
    metrics = Metrics(2, 30, 400, 3, 12, 0.75, vidpoll.Gauges(50, 1, ("kling", "veo"), 2, 0.5))
    assert line(metrics).endswith("no process serves kling, veo")
    lines = exposition(metrics).splitlines()
    assert len(lines) == 33
    assert lines[:3] == [
        "# HELP vidpoll_shards Shards that this process serves.",
        "# TYPE vidpoll_shards gauge",
        "vidpoll_shards 2",
    ]
    assert {"vidpoll_late_p99_seconds 0.75", "vidpoll_store_unclaimed_accounts 2"} < set(lines)


def test_a_counter_is_written_whole() -> None:
    """Rates are made of its differences: at a million questions one more must be seen."""
    assert "vidpoll_polls_total 1234567" in exposition(Metrics(polls=1_234_567)).splitlines()


def test_what_is_not_served_is_said_once(
    shell: Shell, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not each second while it stands by."""
    monkeypatch.delenv("ACME_API_KEY")
    assert shell("serve", "--seconds", "9")[0] == 0
    assert [each.partition(". ")[0] for each in caplog.messages] == ["acme is not served: acme: no key"]
