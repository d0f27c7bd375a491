"""The command line with a store: what is kept without being asked for, and what goes on after an interruption."""

from __future__ import annotations

import io
import json
import shlex
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, KEY, MP4, REF, UNAVAILABLE, Plugin

import vidpoll
from vidpoll import parsing
from vidpoll.cli import COMMANDS, main
from vidpoll.cli.context import account, store_of
from vidpoll.cli.costs import costs, money
from vidpoll.cli.store_commands import moment
from vidpoll.testing import FakeClock, FakeTransport

Shell = Callable[..., tuple[int, list[str], list[str]]]

RESET = ConnectionResetError()
SUBMITTED = {"id": "j1", "status": "queued"}
START = 1_800_000_000.0
NONE_OF_THESE = "If it is none of these, and it never arrived (the provider's list may leave out jobs that still run)"


def parse_status(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    """Acme's, which here tells what a job costs."""
    price = parsing.json_object(response).get("price")
    said = ACME.status.parse(response, job_id)
    assert isinstance(said, vidpoll.Snapshot)
    return said if price is None else replace(said, cost=vidpoll.Cost(*price))


PRICED = replace(ACME, status=vidpoll.Operation(ACME.status.request, parse_status))


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Runs one command line after the other, on one clock and one store; gives the exit code and what was said."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.setenv("VIDPOLL_STORE", str(tmp_path / "home" / "jobs.sqlite3"))
    monkeypatch.chdir(tmp_path)
    clock = FakeClock(START)

    def run(*argv: str, script: Any = (), stdin: str = "") -> tuple[int, list[str], list[str]]:
        run.wire = wire = FakeTransport(script)  # type: ignore[attr-defined]
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))

        def factory(**options: Any) -> vidpoll.Client:
            plugins = [Plugin(PRICED), *options.pop("plugins", ())]
            return vidpoll.Client(plugins=plugins, **{"discover": False, "transport": wire, **options})

        code = main(argv, client_factory=factory, clock=clock)
        said = capsys.readouterr()
        assert KEY not in said.out + said.err
        return code, said.out.splitlines(), said.err.splitlines()

    run.clock = clock  # type: ignore[attr-defined]
    return run


def later(shell: Any, seconds: float) -> None:
    """Let time pass between two commands."""
    shell.clock.now += seconds


def urls(shell: Any) -> list[str]:
    return [wire.url for wire in shell.wire.sent]


def local(shell: Shell, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shell("jobs", "--local", "--json", *options)[1]]


# -- what is kept without being asked for -----------------------------------------------------------------------------


def test_submit_and_wait_keep_their_jobs(shell: Shell) -> None:
    """Nobody has to ask for it; `resume` goes on, and has nothing left to do after that."""
    assert shell("submit", "acme", "clip", "prompt=a sea", script=[SUBMITTED]) == (0, [REF], [])
    assert shell("wait", "acme:j2", "--timeout", "0", "--quiet", script=[DRAWING])[0] == 3
    code, out, err = shell("resume", "--quiet", script=[DONE])
    assert (code, sorted(out), err) == (0, ["acme:j1 completed: video", "acme:j2 completed: video"], [])
    assert shell("resume") == (0, ["nothing is left to wait for"], [])


def test_no_store_keeps_nothing(shell: Shell, tmp_path: Path) -> None:
    """And leaves no file behind."""
    assert shell("wait", REF, "--no-store", "--quiet", script=[DONE])[0] == 0
    assert not (tmp_path / "home").exists()


def test_store_names_another_file(shell: Shell, tmp_path: Path) -> None:
    """For one command."""
    assert shell("wait", REF, "--store", "other.sqlite3", "--quiet", script=[DONE])[0] == 0
    assert [job["ref"] for job in local(shell, "--store", "other.sqlite3")] == [REF]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("platform", "variable", "folder", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "/data", "/data/vidpoll/jobs.sqlite3"),
        ("linux", "XDG_DATA_HOME", "relative", "/home/me/.local/share/vidpoll/jobs.sqlite3"),
        ("linux", "XDG_DATA_HOME", None, "/home/me/.local/share/vidpoll/jobs.sqlite3"),
        ("darwin", "XDG_DATA_HOME", "/data", "/home/me/Library/Application Support/vidpoll/jobs.sqlite3"),
        ("win32", "LOCALAPPDATA", "/local", "/local/vidpoll/jobs.sqlite3"),
        ("win32", "LOCALAPPDATA", None, "/home/me/AppData/Local/vidpoll/jobs.sqlite3"),
    ],
)
def test_each_platform_has_its_place(
    monkeypatch: pytest.MonkeyPatch, platform: str, variable: str, folder: str | None, expected: str
) -> None:
    """Where programs of a user keep their data there."""
    monkeypatch.delenv("VIDPOLL_STORE")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    monkeypatch.delenv(variable, raising=False)
    if folder is not None:
        monkeypatch.setenv(variable, folder)
    args = type("Args", (), {"store": None, "no_store": False})
    assert store_of(args) == Path(expected)  # type: ignore[arg-type]


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have none; that is no reason not to wait."""

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("VIDPOLL_STORE")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert store_of(type("Args", (), {"store": None, "no_store": False})) is None  # type: ignore[arg-type]


def test_what_is_known_is_not_asked_again(shell: Shell) -> None:
    """A verdict that is kept costs no request, and is told as kept; its file is fetched with a fresh URL."""
    signed = {**DONE, "video": DONE["video"] + "?sig=0123456789"}
    shell("wait", REF, "--quiet", script=[signed])
    again = "acme:j1 completed: video (as kept on 2027-01-15T08:00:00Z; to poll again: vidpoll status acme:j1)"
    assert shell("wait", REF, "--quiet") == (0, [again], [])
    kept = "acme:j1 completed: video (as kept on 2027-01-15T08:00:00Z; not polled)"
    assert shell("status", REF, "--kept") == (0, [kept], [])
    code, out, _ = shell("download", REF, "--to", "a.mp4", script={"/files/": [MP4], "": [signed]})
    assert (code, out) == (0, [f"a.mp4 ({len(MP4)} bytes)"])
    assert urls(shell)[0].endswith("/jobs/j1")


# -- a store that cannot be used --------------------------------------------------------------------------------------


@pytest.fixture
def unnamed(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store is the default one, which nobody has named."""
    monkeypatch.delenv("VIDPOLL_STORE")
    monkeypatch.setattr("vidpoll.cli.context._data_home", lambda: tmp_path / "data")
    (tmp_path / "data" / "vidpoll").mkdir(parents=True)
    return tmp_path / "data" / "vidpoll" / "jobs.sqlite3"


@pytest.fixture
def damaged(unnamed: Path) -> None:
    unnamed.write_text("not a database, but a text of some length\n" * 50)


@pytest.mark.usefixtures("damaged")
def test_a_damaged_store_stops_no_submit_and_no_wait(shell: Shell) -> None:
    """One warning with the way out, and the reference is printed."""
    code, out, [warning] = shell("submit", "acme", "clip", "prompt=x", script=[SUBMITTED])
    assert (code, out) == (0, [REF])
    assert warning.startswith("vidpoll: warning: the store ")
    assert "is not an SQLite file" in warning
    assert "nothing is kept" in warning
    code, out, err = shell("wait", REF, "--quiet", "--download", "clips", script={"/files/": [MP4], "": [DONE]})
    assert (code, out[0], len(err)) == (0, "acme:j1 completed: video", 1)


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("command", [["resume"], ["jobs", "--local"]])
def test_a_damaged_store_is_an_error_where_it_is_what_was_asked_for(shell: Shell, command: list[str]) -> None:
    """One line, exit code 1."""
    code, out, [said] = shell(*command)
    assert (code, out) == (1, [])
    assert "is not an SQLite file: name another one" in said


@pytest.mark.parametrize("by", ["--store", "VIDPOLL_STORE"])
@pytest.mark.parametrize(
    "command",
    [
        ("submit", "acme", "clip", "prompt=x"),
        ("submit", "acme", "clip", "prompt=x", "--wait"),
        ("wait", REF),
        ("status", REF),
        ("price", "acme", "clip"),
        ("resume",),
        ("jobs", "--local"),
    ],
)
def test_a_store_that_was_named_and_is_none_ends_the_command_before_anything_is_sent(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, command: tuple[str, ...]
) -> None:
    """A job is not bought unkept because of a misspelt name."""
    clips = tmp_path / "clips"
    clips.mkdir()
    if by == "VIDPOLL_STORE":
        monkeypatch.setenv(by, "clips")
    code, out, err = shell(*command, *(["--store", "clips"] if by == "--store" else []), script=[SUBMITTED, DONE])
    assert (code, out, urls(shell)) == (2, [], [])
    what = f"the store {clips} is a folder: name a file in it, like {clips / 'jobs.sqlite3'}"
    assert err == [f"vidpoll: {what}. The store comes from {by}. Nothing was sent"]


def test_a_store_in_memory_is_refused_by_the_name_of_what_named_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable is not an option."""
    monkeypatch.setenv("VIDPOLL_STORE", ":memory:")
    assert shell("wait", REF)[2] == [
        "vidpoll: VIDPOLL_STORE must be a file or a URL, got ':memory:'; to keep nothing use --no-store"
    ]


def test_once_names_the_option_where_its_store_cannot_be_used(shell: Shell, tmp_path: Path) -> None:
    """And no line of Python."""
    (tmp_path / "clips").mkdir()
    code, out, [said] = shell(*ONCE, "--store", "clips", script=[SUBMITTED])
    assert (code, out, urls(shell)) == (2, [], [])
    assert said.endswith(
        "jobs.sqlite3. --once KEY needs a store to keep KEY in: name one with --store FILE. Nothing was sent"
    )


def test_a_named_store_that_is_gone_after_the_submit_stops_no_wait(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is bought: it is waited for, with a warning."""
    submit = vidpoll.Client.submit

    def then_broken(self: vidpoll.Client, *args: Any, **fields: Any) -> vidpoll.Job:
        job = submit(self, *args, **fields)
        self.close()
        (tmp_path / "s.sqlite3").unlink()
        (tmp_path / "s.sqlite3").mkdir()
        return job

    monkeypatch.setattr(vidpoll.Client, "submit", then_broken)
    command = ("submit", "acme", "clip", "prompt=x", "--wait", "--quiet", "--store", "s.sqlite3")
    code, out, [warning] = shell(*command, script={"/jobs/": [DONE], "/jobs": [SUBMITTED]})
    assert (code, out) == (0, [REF, "acme:j1 completed: video"])
    assert warning.startswith("vidpoll: warning: the store ")
    assert "Continuing without a store: nothing is kept" in warning


def test_a_store_that_fails_in_the_middle_stops_no_submit(
    shell: Shell, unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the intent cannot be kept nothing was sent, so it is submitted without a store: once.

    Not so where the store was named.
    """
    monkeypatch.setattr("vidpoll.storage.database.BUSY", 0.05)
    shell("wait", "acme:j0", "--quiet", script=[DONE])
    holder: list[sqlite3.Connection] = []

    def lock(self: Any, *args: Any) -> Any:
        if not holder:
            holder.append(sqlite3.connect(unnamed, isolation_level=None))
            holder[0].execute("BEGIN IMMEDIATE")
        return begin(self, *args)

    begin = vidpoll.storage.keeper.Intent.begin
    monkeypatch.setattr(vidpoll.storage.keeper.Intent, "begin", lock)
    code, out, [warning] = shell("submit", "acme", "clip", "prompt=x", script=[SUBMITTED])
    assert (code, out, len(shell.wire.sent)) == (0, [REF], 1)  # type: ignore[attr-defined]
    assert "nothing was sent, because it could not be stored" in warning
    holder.pop().close()
    named = ("--store", str(unnamed))
    code, out, [said] = shell("submit", "acme", "clip", "prompt=x", *named, script=[SUBMITTED])
    assert (code, out, urls(shell), "because it could not be stored" in said) == (1, [], [], True)
    holder[0].close()


def test_without_a_store_there_is_nothing_to_resume(shell: Shell) -> None:
    """It says what to name."""
    code, _, [said] = shell("resume", "--no-store")
    assert (code, said) == (2, "vidpoll: this command needs a store: name one with --store FILE")


# -- resume -----------------------------------------------------------------------------------------------------------


def test_resume_saves_what_was_asked_for(shell: Shell, tmp_path: Path) -> None:
    """`wait --download` that ended early is finished by `resume`, into the folder that was named then."""
    shell("wait", REF, "--timeout", "0", "--download", "clips", "--quiet", script=[DRAWING])
    code, out, _ = shell("resume", "--quiet", script={"/files/": [MP4], "": [DONE]})
    [file] = (tmp_path / "clips").iterdir()
    assert (code, out) == (0, ["acme:j1 completed: video", f"{file} ({len(MP4)} bytes)"])
    assert file.read_bytes() == MP4
    assert shell("resume") == (0, ["nothing is left to wait for"], [])


def test_resume_fetches_the_files_of_jobs_that_have_ended(shell: Shell, tmp_path: Path) -> None:
    """The verdict was told, and the file was never whole."""
    script = {"/files/": [b"<html>not a video</html>"], "": [DONE]}
    assert shell("wait", REF, "--download", "clips", "--quiet", script=script)[0] == 1
    assert shell("resume", "--quiet", script={"/files/": [MP4], "": [DONE]})[0] == 0
    assert len(list((tmp_path / "clips").iterdir())) == 1


def test_files_that_will_never_be_there_are_not_asked_for_again(shell: Shell) -> None:
    """A job that failed, and one without a video."""
    shell("wait", REF, "--download", "clips", "--quiet", script=[BROKEN])
    assert shell("resume") == (0, ["nothing is left to wait for"], [])
    cover = {"status": "done", "cover": "https://api.acme.example/files/j2.jpg"}
    assert shell("wait", "acme:j2", "--download", "clips", "--quiet", script=[cover])[0] == 1
    assert shell("resume") == (0, ["nothing is left to wait for"], [])


def test_a_job_that_is_gone_at_its_provider_can_be_left_out(shell: Shell) -> None:
    """Its file is asked for by each `resume`, until the line that the message names is pasted."""
    signed = {"status": "done", "video": "https://api.acme.example/files/j1.mp4?sig=SIGNATURE"}
    script = {"/files/": [b"<html>not a video</html>"], "": [signed]}
    shell("wait", REF, "--download", "clips", "--quiet", script=script)
    for _ in range(2):
        code, _, [said] = shell("resume", "--quiet", script=[(404, {"error": "no such job"})])
        assert (code, said.endswith("To leave this job out from now on: vidpoll jobs --local --forget acme:j1")) == (
            1,
            True,
        )
    shell("jobs", "--local", "--forget", REF)
    assert shell("resume") == (0, ["nothing is left to wait for"], [])


def test_the_line_of_an_unknown_outcome_works_on_the_command_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the options that name the account, the address and the store; a line of Python is none here."""
    options = ["--account", "two=acme@https://eu.acme.example/v1", "--store", "s.sqlite3"]
    said = shell("wait", "two:j1", *options, "--timeout", "0", "--quiet", script=[DRAWING])[2][0]
    assert said.endswith(f"Resume: vidpoll wait two:j1 {' '.join(options)}")
    base = ["--base-url", "https://eu.acme.example/v1"]
    said = shell("wait", REF, *base, "--timeout", "0", "--quiet", script=[DRAWING])[2][0]
    assert said.endswith(f"Resume: vidpoll wait acme:j1 {' '.join(base)}")
    said = shell("resume", *base, "--timeout", "0", "--quiet", script=[DRAWING])[2][0]
    assert said.endswith(f"Resume: vidpoll resume {' '.join(base)}")


def test_a_url_that_was_cut_is_called_signed_from_the_store_too(shell: Shell) -> None:
    """A machine must not take it for one that can be fetched."""
    signed = {"status": "done", "video": "https://cdn.example/j1.mp4?sig=SIGNATURE"}
    for script in ([signed], []):
        [job] = map(json.loads, shell("wait", REF, "--json", script=script)[1])
        assert job["assets"][0] | {"url": "https://cdn.example/j1.mp4", "signed": True} == job["assets"][0]
    shell("wait", "acme:j2", "--quiet", script=[DONE])
    assert json.loads(shell("wait", "acme:j2", "--json")[1][0])["assets"][0]["signed"] is False


def test_resume_into_a_folder(shell: Shell, tmp_path: Path) -> None:
    """`--download` says so for all."""
    shell("submit", "acme", "clip", "prompt=x", script=[SUBMITTED])
    shell("resume", "--download", "night", "--quiet", script={"/files/": [MP4], "": [DONE]})
    assert len(list((tmp_path / "night").iterdir())) == 1


def test_one_account_without_a_key_does_not_hold_up_the_others(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its jobs are left, with a line each, and the exit code says that something is unknown."""
    two = ["--account", "two=acme", "--timeout", "0", "--quiet"]
    monkeypatch.setenv("TWO_API_KEY", KEY)
    shell("wait", REF, "two:j2", *two, script=[DRAWING])
    monkeypatch.delenv("ACME_API_KEY")
    code, out, [left] = shell("resume", "--quiet", script=[DONE])
    assert (code, out) == (3, ["two:j2 completed: video"])
    assert left == "vidpoll: acme:j1 is skipped: acme: no key. Set the environment variable ACME_API_KEY"


@pytest.mark.parametrize("threads", [True, False])
def test_resume_asks_where_the_job_is(shell: Shell, monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    """A base URL of `wait` is the one of `resume`; of jobs at two addresses each is asked about at its own.

    At the same time, or where this machine starts no thread more one after the other.
    """
    start = threading.Thread.start

    def only_workers(thread: threading.Thread) -> None:
        if thread.name != "vidpoll-worker" and not threads:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", only_workers)
    there = ["--base-url", "https://eu.acme.example", "--timeout", "0", "--quiet"]
    shell("wait", REF, *there, script=[DRAWING])
    shell("resume", *there, script=[DRAWING])
    assert urls(shell) == ["https://eu.acme.example/jobs/j1"]
    shell("wait", "acme:j2", "--timeout", "0", "--quiet", script=[DRAWING])
    code, out, err = shell("resume", *there[:2], "--quiet", script={"/jobs/j1": [DONE], "/jobs/j2": [BROKEN]})
    assert (code, out, len(err)) == (1, ["acme:j1 completed: video"], 1)
    assert sorted(urls(shell)) == ["https://api.acme.example/v1/jobs/j2", "https://eu.acme.example/jobs/j1"]


def test_resume_asks_at_no_address_that_stands_in_the_store_alone(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have come with a folder, and a key would go there: a job's, a lost submit's. One line allows it."""
    there = ("--base-url", "https://eu.acme.example")
    shell("wait", REF, *there, "--timeout", "0", "--quiet", script=[DRAWING])
    shell("submit", "acme", "clip", "prompt=x", *there, script=[RESET])
    code, _, [said, wrong, forget] = shell("resume", "--quiet", script=[DONE])
    assert (code, urls(shell)) == (3, [])
    assert wrong == (
        "vidpoll: If that base URL is wrong, and acme clip of 2027-01-15T08:00:00Z never arrived, it can be dismissed "
        "in a minute: vidpoll resume"
    )
    line = f"vidpoll jobs --local --forget {REF}"
    assert forget == f"vidpoll: to forget 1 skipped job (nothing changes at the provider): {line}"
    assert said == (
        "vidpoll: the submit acme clip of 2027-01-15T08:00:00Z is skipped: your key would go to "
        "https://eu.acme.example, which the store names. If that is right: vidpoll resume --base-url https://eu.acme.example"
    )
    later(shell, 1)
    shell("submit", "acme", "clip", "prompt=y", "--once", "k1", *there, script=[RESET])
    said = shell("resume", "--quiet")[2][0]
    both = "acme clip of 2027-01-15T08:00:00Z, acme clip of 2027-01-15T08:00:01Z (key k1)"
    assert said.startswith(
        f"vidpoll: each of 2 submits, {both}, is skipped: your key would go to https://eu.acme.example"
    )
    later(shell, 60)
    wrong = shell("resume", "--quiet")[2][1:3]
    assert wrong[0].partition(" --dismiss-number ")[2].isdecimal()
    assert wrong[1] == (
        "vidpoll: If that base URL is wrong, and acme clip of 2027-01-15T08:00:01Z (key k1) never arrived, dismiss it, "
        "and its key may buy again: vidpoll resume --dismiss k1"
    )
    monkeypatch.setenv("ACME_BASE_URL", "https://eu.acme.example/")
    shell("resume", "--quiet", script={"?": [{"rows": []}], "": [DONE]})
    assert {url.partition(".example")[0] for url in urls(shell)} == {"https://eu.acme"}


def test_resume_saves_under_this_folder_or_where_it_is_told(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a store that came with a folder says which file of this user's is written."""
    shell("wait", REF, "--timeout", "0", "--download", "clips", "--quiet", script=[DRAWING])
    monkeypatch.setenv("VIDPOLL_STORE", str(tmp_path / "home" / "jobs.sqlite3"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    script = {"/files/": [MP4], "": [DONE]}
    code, out, [said] = shell("resume", "--quiet", script=script)
    assert (code, out, list((tmp_path / "here").iterdir())) == (3, ["acme:j1 completed: video"], [])
    line = said.partition("If that is right: vidpoll ")[2]
    assert line == f"resume --download {tmp_path / 'clips'}/"
    assert shell(*line.split(), "--quiet", script=script)[0] == 0
    assert len(list((tmp_path / "clips").iterdir())) == 1


def test_a_mistyped_reference_is_not_kept(shell: Shell) -> None:
    """What no provider knows is not waited for again and again."""
    assert shell("wait", "acme:typo", "--quiet", script=[(404, {"error": "no such job"})])[0] == 3
    assert local(shell) == []


def test_ctrl_c_prints_what_is_left_and_the_line_that_goes_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the options that it needs; of `resume` it is `resume` again."""

    get = FakeClock.get

    def interrupted(self: FakeClock, inbox: Any, timeout: float, *, busy: bool) -> Any:
        if not busy:
            raise KeyboardInterrupt
        return get(self, inbox, timeout, busy=busy)

    monkeypatch.setattr(FakeClock, "get", interrupted)
    options = ["--store", "s.sqlite3", "--download", "my clips", "--base-url", "https://eu.acme.example"]
    code, _, [left, resume] = shell("wait", REF, "acme:j2", *options, "--quiet", script=[DRAWING])
    assert code == 130
    assert left == "vidpoll: interrupted; continuing at the provider: acme:j1, acme:j2"
    assert resume == (
        "vidpoll: resume: vidpoll wait acme:j1 acme:j2 --download 'my clips' --base-url https://eu.acme.example "
        "--store s.sqlite3"
    )
    kept = "--base-url https://eu.acme.example --store s.sqlite3"
    code, _, [_, resume] = shell("resume", *kept.split(), "--quiet", script=[DRAWING])
    assert (code, resume) == (130, f"vidpoll: resume: vidpoll resume {kept}")


# -- submits without an answer ----------------------------------------------------------------------------------------


def test_resume_shows_what_a_lost_submit_may_have_become_and_adopts_none(shell: Shell) -> None:
    """Jobs of the provider's list that nobody here knows; one that is named with --adopt is waited for."""
    shell("wait", "acme:known", "--quiet", script=[DONE])
    code, _, [unknown] = shell("submit", "acme", "clip", "prompt=a sea", script=[RESET])
    assert (code, "may have been received" in unknown) == (3, True)
    assert "run `vidpoll resume`: it shows which jobs this may have become. To adopt one: " in unknown
    why = "the connection failed (ConnectionResetError)"
    rows = {"rows": [{"id": "known", "status": "done"}, {"id": "lost", "status": "drawing"}]}
    later(shell, 70)
    code, out, err = shell("resume", script={"/jobs": [rows]})
    assert (code, out) == (3, [])
    number = err[0].partition(", number ")[2].split()[0]
    at = "2027-01-15T08:00:00Z"
    assert err == [
        f"vidpoll: a submit of unknown outcome, on {at}: acme clip prompt='a sea', number {number} ({why})",
        f"vidpoll:   it may be acme:lost running drawing: vidpoll resume --adopt acme:lost --number {number}",
        f"vidpoll:   {NONE_OF_THESE}, dismiss it: vidpoll resume --dismiss-number {number}",
    ]
    assert [wire.method for wire in shell.wire.sent] == ["GET"]  # type: ignore[attr-defined]
    code, out, err = shell("resume", "--adopt", "acme:lost", "--quiet", script=[DONE])
    assert (code, out) == (0, ["acme:lost completed: video"])
    assert err == [
        "vidpoll: the submit acme clip of 2027-01-15T08:00:00Z is now acme:lost",
        "vidpoll: no file of acme:lost was saved; to save it: vidpoll download acme:lost",
    ]
    assert [job["sent"] for job in local(shell)] == [{}, {"prompt": "a sea"}]


ONCE = ("submit", "acme", "clip", "prompt=a sea", "--once", "night 1")


def test_submit_once_prints_the_same_reference(shell: Shell) -> None:
    """The same line again, by cron or by hand, buys nothing; `--wait` goes on with the job that is there."""
    assert shell(*ONCE, script=[SUBMITTED]) == (0, [REF], [])
    assert shell(*ONCE) == (0, [REF], [])
    assert urls(shell) == []
    code, out, _ = shell(*ONCE, "--json", "--wait", "--quiet", script=[DONE])
    assert (code, [json.loads(line)["key"] for line in out]) == (0, ["night 1", "night 1"])
    assert [job["key"] for job in local(shell)] == ["night 1"]
    assert shell("jobs", "--local")[1] == ["2027-01-15T08:00:00Z  acme:j1 completed: video, key night 1"]
    code, _, [said] = shell(*ONCE[:3], "prompt=a lake", *ONCE[4:])
    assert (code, "prompt was 'a sea' and is now 'a lake'" in said) == (2, True)


def test_forgetting_says_which_keys_may_buy_again(shell: Shell) -> None:
    """Nobody is to buy twice because of a spring clean."""
    shell(*ONCE, "--wait", "--quiet", script={"/jobs/": [DONE], "/jobs": [SUBMITTED]})
    said = shell("jobs", "--local", "--forget-before", "2028-01-01")[2][0]
    assert said == "vidpoll: forgot 1 job that ended before; 1 key may buy again"
    shell(*ONCE, script=[SUBMITTED])
    assert shell("jobs", "--local", "--forget", REF)[2][0] == (
        "vidpoll: forgot acme:j1, and its key 'night 1' may buy again"
    )


def test_forgetting_by_date_dismisses_no_submit(shell: Shell) -> None:
    """With or without a key: it may have been received, and cron must not free its key."""
    shell(*ONCE, script=[RESET])
    shell(*ONCE[:4], script=[RESET])
    said = shell("jobs", "--local", "--forget-before", "2028-01-01")[2]
    assert said == [
        "vidpoll: forgot 0 jobs that ended before",
        "vidpoll: 2 submits have an unknown outcome: vidpoll resume",
    ]
    assert (shell(*ONCE)[0], urls(shell)) == (3, [])


def test_a_submit_without_a_key_is_dismissed_or_adopted_alone(shell: Shell) -> None:
    """The printed lines reach no older submit, with or without a key."""
    shell(*ONCE, script=[RESET])
    for _ in range(2):
        shell(*ONCE[:4], script=[RESET])
    later(shell, 70)
    err = shell("resume", script=[{"rows": [{"id": "lost", "status": "drawing"}]}])[2]
    adopt, dismiss = (
        [shlex.split(line.partition(": vidpoll ")[2]) for line in err if option in line]
        for option in ("--adopt acme:lost --number", "--dismiss-number")
    )
    assert (len(adopt), len(dismiss)) == (2, 2)
    code, _, [said] = shell("resume", "--adopt", "acme:lost")
    assert (code, "3 submits of acme have an unknown outcome: say which one" in said) == (2, True)
    code, _, [said] = shell("resume", "--dismiss-number", "7")
    assert (code, said.endswith("no submit of unknown outcome is on record with that number")) == (2, True)
    assert shell(*dismiss[1], script=[{"rows": []}])[2][0] == (
        "vidpoll: the submit acme clip of 2027-01-15T08:00:00Z is dismissed"
    )
    assert shell(*adopt[0], "--quiet", script={"/lost": [DONE], "": [{"rows": []}]})[1] == [
        "acme:lost completed: video"
    ]
    left = [json.loads(line)["submit"] for line in shell("resume", "--json", script=[{"rows": []}])[1]]
    assert [each["key"] for each in left] == ["night 1"]
    assert [job["key"] for job in local(shell)] == [None]


def test_a_key_of_two_accounts_dismisses_none(shell: Shell) -> None:
    """Each account has keys of its own; the printed lines name one submit each."""
    shell(*ONCE, script=[RESET])
    shell("submit", "two", *ONCE[2:], "--account", "two=acme", script=[RESET])
    later(shell, 70)
    said = shell("resume", "--quiet", script=[{"rows": []}])[2]
    lines = [line.partition(": vidpoll ")[2].split() for line in said if "--dismiss" in line]
    assert [line[:2] for line in lines] == [["resume", "--dismiss-number"]] * 2
    code, _, [said] = shell("resume", "--dismiss", "night 1")
    assert (code, [" ".join(line) in said for line in lines]) == (2, [True, True])
    assert shell(*lines[1], script=[{"rows": []}])[2][0].endswith("(key night 1) is dismissed: its key may buy again")
    assert shell(*ONCE)[0] == 3


def test_a_key_that_looks_like_an_option(shell: Shell) -> None:
    """The printed lines are understood."""
    shell("submit", "acme", "clip", "prompt=x", "--once=-k", script=[RESET])
    later(shell, 70)
    adopt, dismiss = (
        shlex.split(line.partition(": vidpoll ")[2]) for line in shell("resume", script=[{"rows": []}])[2][1:]
    )
    assert (adopt[-1], dismiss[-1]) == ("--key=-k", "--dismiss=-k")
    assert shell(*dismiss)[2] == [
        "vidpoll: the submit acme clip of 2027-01-15T08:00:00Z (key -k) is dismissed: its key may buy again"
    ]


def test_submit_once_needs_a_store(shell: Shell) -> None:
    """Without one, or with one that cannot be used, nothing is sent."""
    code, _, [said] = shell(*ONCE, "--no-store", script=[SUBMITTED])
    assert (code, "--once KEY needs a store" in said, urls(shell)) == (2, True, [])


@pytest.mark.usefixtures("damaged")
def test_submit_once_at_a_damaged_store_sends_nothing(shell: Shell) -> None:
    """Other submits go on without one."""
    code, out, [said] = shell(*ONCE, script=[SUBMITTED])
    assert (code, out, urls(shell)) == (2, [], [])
    assert "is not an SQLite file" in said
    assert said.endswith("--once KEY needs a store to keep KEY in: name one with --store FILE. Nothing was sent")


def test_submit_once_at_a_store_that_fails_in_the_middle_sends_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be kept would be bought again."""

    def full(*_: Any, **__: Any) -> Any:
        raise vidpoll.StoreError("no room")

    monkeypatch.setattr(vidpoll.storage.sqlite.SqliteStore, "begin", full)
    code, out, [said] = shell(*ONCE, script=[SUBMITTED])
    assert (code, out, urls(shell)) == (1, [], [])
    assert "nothing was sent, because it could not be stored: no room" in said


def test_a_count_of_submits_once_goes_on_where_it_stopped(shell: Shell) -> None:
    """Each has a key of its own, and the balance has to pay for those that are new."""
    count = (*ONCE, "--count", "3")
    script = {"/quota": [{"credits": 500}], "": [{"id": "j0"}, (429, {"error": "queue full"})]}
    assert shell(*count, script=script)[:2] == (1, ["acme:j0"])
    script = {"/quota": [{"credits": 100}], "": [{"id": "j1"}, {"id": "j2"}]}
    refs = ["acme:j0", "acme:j1", "acme:j2"]
    assert shell(*count, script=script) == (0, refs, [])
    assert shell(*count) == (0, refs, [])
    assert [job["key"] for job in local(shell)] == ["night 1#1", "night 1#2", "night 1#3"]


def test_a_lost_submit_of_a_key_is_adopted_or_dismissed_by_it(shell: Shell) -> None:
    """The lines that are shown do just that, and leave what else is kept."""
    for key in ("k1", "k2"):
        code, _, [said] = shell(*ONCE[:-1], key, script=[RESET])
        assert (code, f"Its key '{key}' stays in use" in said) == (3, True)
        later(shell, 70)
    code, _, err = shell("resume", script=[{"rows": [{"id": "lost", "status": "drawing"}]}])
    assert (code, len(urls(shell))) == (3, 1)
    at = {"k1": "2027-01-15T08:00:00Z", "k2": "2027-01-15T08:01:10Z"}
    lost = "vidpoll: a submit of unknown outcome, on"
    why = "the connection failed (ConnectionResetError)"
    assert err == [
        *(f"{lost} {at[key]}: acme clip prompt='a sea', key {key} ({why})" for key in at),
        *(
            line
            for key in at
            for line in (
                f"vidpoll: acme clip of {at[key]} (key {key}):",
                f"vidpoll:   it may be acme:lost running drawing: vidpoll resume --adopt acme:lost --key {key}",
                f"vidpoll:   {NONE_OF_THESE}, dismiss it, and its key may buy again: vidpoll resume --dismiss {key}",
            )
        ),
    ]
    code, out, _ = shell("resume", "--json", script=[{"rows": []}])
    assert sorted(json.loads(line)["submit"]["key"] for line in out) == ["k1", "k2"]
    code, _, [said] = shell("resume", "--adopt", "acme:lost", "--key", "k3")
    assert (code, "for acme with the key 'k3'" in said) == (2, True)
    code, _, [said] = shell("resume", "--dismiss", "k3")
    assert (code, said.endswith("no submit of unknown outcome is on record with that key")) == (2, True)
    dismissed = shell("resume", "--adopt", "acme:lost", "--key", "k2", "--dismiss", "k1", "--quiet", script=[DONE])
    assert dismissed[:2] == (0, ["acme:lost completed: video"])
    assert dismissed[2] == [
        f"vidpoll: the submit acme clip of {at['k2']} (key k2) is now acme:lost",
        f"vidpoll: the submit acme clip of {at['k1']} (key k1) is dismissed: its key may buy again",
        "vidpoll: no file of acme:lost was saved; to save it: vidpoll download acme:lost",
    ]
    assert shell(*ONCE[:-1], "k2") == (0, ["acme:lost"], [])
    assert shell(*ONCE[:-1], "k1", script=[SUBMITTED]) == (0, [REF], [])


def test_a_lost_submit_without_candidates_says_what_to_do(shell: Shell) -> None:
    """Where the list shows none, and where there is no list."""
    shell("submit", "acme", "clip", "prompt=x", script=[RESET])
    code, _, err = shell("resume", script=[{"rows": []}])
    assert code == 3
    assert "The provider's list shows no job that it may be" in err[1]
    assert "vidpoll resume --adopt acme:ID" in err[1]
    code, out, _ = shell("resume", "--json", script=[{"rows": []}])
    assert (code, json.loads(out[0])["submit"]["sent"]) == (3, {"prompt": "x"})
    assert "HTTP 400" in shell("resume", script=[(400, {})])[2][1]


def test_the_lines_about_a_lost_submit_work_when_they_are_pasted(shell: Shell) -> None:
    """They name the store that was named."""
    store = ["--store", "s.sqlite3"]
    said = shell("submit", "acme", "clip", "prompt=x", *store, script=[RESET])[2][0]
    assert "`vidpoll resume --store s.sqlite3`" in said
    assert shell("jobs", "--local", *store)[2] == [
        "vidpoll: 1 submit has an unknown outcome: vidpoll resume --store s.sqlite3"
    ]
    later(shell, 70)
    said = shell("resume", *store, script=[{"rows": []}])[2][2]
    dismiss = said.partition("dismiss it: vidpoll ")[2].split()
    assert (dismiss[:2], dismiss[3:]) == (["resume", "--dismiss-number"], store)
    assert shell(*dismiss)[:2] == (0, ["nothing is left to wait for"])
    assert shell("resume", *store) == (0, ["nothing is left to wait for"], [])


def test_a_lost_submit_is_on_record_only_where_there_is_a_store(shell: Shell, unnamed: Path) -> None:
    """A store that cannot be used keeps nothing, so nobody is sent to look there."""
    unnamed.mkdir()
    code, _, [warning, unknown] = shell("submit", "acme", "clip", "prompt=x", script=[RESET])
    assert (code, "nothing is kept" in warning) == (3, True)
    assert "may have been received" in unknown
    assert "on record" not in unknown


def test_ctrl_c_in_a_submit_says_where_it_is_found(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the store; and without one, at the provider."""

    def interrupt(self: Any, *args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeClock, "get", interrupt)
    code, _, [said] = shell("submit", "acme", "clip", "prompt=x", script=[SUBMITTED])
    assert (code, "`vidpoll resume` continues it or shows which job it may be" in said) == (130, True)
    code, _, [said] = shell("submit", "acme", "clip", "prompt=x", "--no-store", script=[SUBMITTED])
    assert (code, "look at `vidpoll jobs acme`" in said) == (130, True)
    monkeypatch.setattr(sys.modules[__name__], "PRICED", replace(PRICED, list=None))
    code, _, [said] = shell("submit", "acme", "clip", "prompt=x", "--no-store", script=[SUBMITTED])
    assert (code, "look into the provider's dashboard, or its log before" in said) == (130, True)


def test_adopting_what_nobody_lost(shell: Shell) -> None:
    """There is `wait` for that."""
    shell("wait", REF, "--quiet", script=[DONE])
    code, _, [said] = shell("resume", "--adopt", "acme:j9")
    assert code == 2
    assert said.endswith("`vidpoll wait acme:j9` waits for any job and keeps it")


# -- jobs --local -----------------------------------------------------------------------------------------------------


def test_jobs_local_shows_what_is_kept_and_asks_nothing(shell: Shell) -> None:
    """The latest last; for machines with fields, counts and history."""
    shell("submit", "acme", "clip", "prompt=a sea", script=[SUBMITTED])
    shell("wait", "acme:j2", "--quiet", script=[UNAVAILABLE, {**DONE, "price": [15, 5]}])
    code, out, err = shell("jobs", "--local")
    assert (code, err, urls(shell)) == (0, [], [])
    assert out == [
        "2027-01-15T08:00:00Z  acme:j1 queued",
        "2027-01-15T08:00:00Z  acme:j2 completed: video (15 credits charged, 5 refunded)",
    ]
    first, second = local(shell)
    assert (first["operation"], first["sent"], first["submitted_at"]) == (
        "clip",
        {"prompt": "a sea"},
        "2027-01-15T08:00:00Z",
    )
    assert (second["requests"], second["transient_errors"], second["ended_at"]) == (2, 1, "2027-01-15T08:00:05Z")
    assert [moment["stage"] for moment in second["history"]] == ["done"]
    assert [job["ref"] for job in local(shell, "--limit", "1")] == ["acme:j2"]
    assert shell("jobs", "two", "--local")[1] == []


def test_forget(shell: Shell) -> None:
    """By date only what ended; by reference whatever it is."""
    shell("wait", REF, "--quiet", script=[DONE])
    shell("wait", "acme:j2", "--timeout", "0", "--quiet", script=[DRAWING])
    assert [job["ref"] for job in local(shell, "--forget-before", "2027-01-14")] == [REF, "acme:j2"]
    assert [job["ref"] for job in local(shell, "--forget-before", "2028-01-01T00:00+00:00")] == ["acme:j2"]
    assert local(shell, "--forget", "acme:j2") == []
    assert moment("2027-01-15T08:00+00:00") == moment("2027-01-15T08:00:00Z") == START
    assert shell("jobs", "--local", "--forget-before", "yesterday")[0] == 2
    assert shell("jobs", "acme", "--forget", REF)[0] == 2


# -- references, accounts, money --------------------------------------------------------------------------------------


def test_references_from_standard_input(shell: Shell) -> None:
    """One a line or several, with comments; what `submit` prints goes into `wait`."""
    code, out, _ = shell("wait", "-", "acme:c", "--quiet", script=[DONE], stdin="acme:a # first\n\nacme:b acme:a\n")
    assert (code, sorted(line.split()[0] for line in out)) == (0, ["acme:a", "acme:b", "acme:c"])
    code, _, [said] = shell("wait", "-", stdin="\n")
    assert (code, said) == (2, "vidpoll: - reads references from standard input, but it holds none")


@pytest.mark.parametrize("command", ["wait", "status", "download"])
def test_an_own_account_is_named_by_the_store(shell: Shell, command: str) -> None:
    """Without its --account: the option, if its provider is installed; a base URL only with the store's word for it."""
    there = "https://eu.acme.example"
    shell("submit", "mine", "clip", "prompt=x", "--account", "mine=acme", script=[{"id": "j1"}])
    shell("submit", "ours", "clip", "prompt=x", "--account", f"ours=acme@{there}", script=[{"id": "j2"}])
    known = "no provider '{0}'; the store has jobs of {0}, an account at acme: add --account {0}=acme"
    code, _, err = shell(command, "mine:j1", script=[DONE])
    assert (code, err, urls(shell)) == (2, [f"vidpoll: {known.format('mine')}"], [])
    said = f". The store names {there} as its base URL; if that is right, add --base-url {there}"
    assert shell(command, "ours:j2")[2] == [f"vidpoll: {known.format('ours')}{said}"]
    for more in (["theirs:j1"], ["mine:j1", "--no-store"]):
        assert "the store has jobs" not in shell(command, *more)[2][0]


def test_another_account_of_a_provider(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is in a variable of its own where there is one; its address comes with it."""
    monkeypatch.setenv("GPU_2_API_KEY", f"other-{KEY}")
    command = ["wait", "gpu-2:j1", REF, "--account", "gpu-2=acme@https://gpu2.example/v2", "--quiet"]
    assert shell(*command, script=[DONE])[0] == 0
    assert {wire.url: wire.secret["Authorization"] for wire in shell.wire.sent} == {  # type: ignore[attr-defined]
        "https://gpu2.example/v2/jobs/j1": f"Bearer other-{KEY}",
        "https://api.acme.example/v1/jobs/j1": f"Bearer {KEY}",
    }
    there = ["--account", "gpu-2=acme", "--base-url", "https://elsewhere.example"]
    assert shell("wait", "gpu-2:j3", *there, "--quiet", script=[DONE])[0] == 0
    assert urls(shell) == ["https://elsewhere.example/jobs/j3"]
    assert shell("wait", "gpu-2:j1")[0] == 2
    for wrong in ("gpu2", "=acme", "gpu2="):
        assert shell("wait", REF, "--account", wrong)[0] == 2
    assert account("a=acme")[1].base_url is None


def test_the_last_line_sums_the_money(shell: Shell) -> None:
    """Charged and refunded, for people and for machines; units are never mixed."""
    script = {
        "/jobs/a": [{**DONE, "price": [15, 0]}],
        "/jobs/b": [{**BROKEN, "price": [15, 15]}],
        "/jobs/c": [{**DONE, "price": [0.4, 0, "USD"]}],
    }
    refs = ["acme:a", "acme:b", "acme:c"]
    code, out, _ = shell("wait", *refs, "--no-store", script=script)
    assert code == 1
    assert out[-1].endswith("3 jobs: 2 completed, 1 not completed; 30 credits charged, 15 refunded; 0.4 USD charged")
    _, out, _ = shell("wait", *refs, "--no-store", "--json", script=script)
    assert json.loads(out[-1])["costs"] == [
        {"charged": 30.0, "refunded": 15.0, "unit": "credits"},
        {"charged": 0.4, "refunded": 0.0, "unit": "USD"},
    ]
    assert (costs([vidpoll.Job(REF)]), money([])) == ([], "")


def test_a_batch_that_the_balance_cannot_pay_is_refused(shell: Shell) -> None:
    """Saying by how much; --force goes on; one that it can pay is submitted."""
    ids = [{"id": f"j{number}"} for number in range(3)]
    batch = ["submit", "acme", "clip", "prompt=x", "--count", "3"]
    code, out, [said] = shell(*batch, script={"/quota": [{"credits": 120}], "": list(ids)})
    assert (code, out) == (1, [])
    assert said == (
        "vidpoll: acme: 3 clip cost 150 credits, but the balance is 120: 30 are missing. Nothing was submitted; "
        "--force submits anyway"
    )
    refs = ["acme:j0", "acme:j1", "acme:j2"]
    assert shell(*batch, script={"/quota": [{"credits": 150}], "": list(ids)}) == (0, refs, [])
    assert shell(*batch, "--force", script={"/quota": [{"credits": 0}], "": list(ids)}) == (0, refs, [])
    assert len(shell.wire.sent) == 3  # type: ignore[attr-defined]


def test_a_batch_whose_price_cannot_be_asked_names_the_way_out(shell: Shell) -> None:
    """Nothing is submitted unasked, but by --force."""
    code, out, [said] = shell("submit", "acme", "clip", "prompt=x", "--count", "2", script=[(403, {"error": "no"})])
    assert (code, out) == (1, [])
    assert said.endswith("Nothing was submitted; --force submits without this check")


def test_a_batch_that_ends_half_way_keeps_what_was_submitted(shell: Shell) -> None:
    """Each reference is printed as it comes; what ended it is said, and the rest is not sent."""
    script = {"/quota": [{"credits": 500}], "": [{"id": "j0"}, (402, {"error": "no credits"}), {"id": "j2"}]}
    code, out, [said] = shell("submit", "acme", "clip", "prompt=x", "--count", "3", script=script)
    assert (code, out) == (1, ["acme:j0"])
    assert "Nothing was bought" in said
    assert said.endswith("(1 of 3 was submitted before that)")
    assert len(shell.wire.sent) == 3  # type: ignore[attr-defined]


def test_cancel_asks_before(shell: Shell) -> None:
    """As delete does; the job ends when its provider says so."""
    code, _, [said] = shell("cancel", REF)
    assert (code, said) == (2, "vidpoll: cancel: standard input is not a terminal, so you cannot be asked; add --yes")
    code, out, err = shell("cancel", REF, "--yes", script=[(200, {})])
    assert (code, out, err) == (0, ["acme:j1 was asked to end; to see the outcome: vidpoll wait acme:j1"], [])
    assert [wire.method for wire in shell.wire.sent] == ["POST"]  # type: ignore[attr-defined]
    assert shell("cancel", REF, "--yes", script=[(409, {"error": "too late"})])[0] == 1


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_an_example_that_it_understands(shell: Shell, name: str) -> None:
    """The help shows it, and its own parser takes it."""
    code, out, _ = shell(name, "--help")
    assert (code, COMMANDS[name].example.startswith(f"vidpoll {name}")) == (0, True)
    assert COMMANDS[name].example in "\n".join(out)


def test_one_transcript_of_all_servers(shell: Shell, tmp_path: Path) -> None:
    """The answers of two addresses stand in the file that was named."""
    for ref, url in ((REF, "https://eu.acme.example"), ("acme:j2", "https://us.acme.example")):
        shell("wait", ref, "--base-url", url, "--timeout", "0", "--quiet", script=[DRAWING])
    named = ("--base-url", "https://eu.acme.example", "--base-url", "https://us.acme.example")
    assert shell("resume", *named, "--quiet", "--transcript", "all.jsonl", script=[DONE])[0] == 0
    found = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert sorted({row["ref"] for row in found}) == [REF, "acme:j2"]
