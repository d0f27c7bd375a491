"""The lines that go on: each printed next step asks where its command asked, and works when it is pasted."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from acme_provider import BROKEN, DONE, DRAWING, MP4, QUEUED, REF, UNAVAILABLE
from shell import MEDIA, Shell

import vidpoll
from vidpoll.cli import COMMANDS
from vidpoll.cli.again import TAKES, advised, again
from vidpoll.cli.context import Arguments, Parser

SUBMITTED = {"id": "j7", "status": "queued"}
ELSEWHERE = (
    "--base-url",
    "https://eu.acme.example/v2",
    "--insecure",
    "--private-media",
    "--patience",
    "30",
    "--http-timeout",
    "5,60",
)


def parsed(command: str, *words: str) -> Arguments:
    """What a command's own parser makes of these words."""
    parser = Parser(prog=f"vidpoll {command}", allow_abbrev=False)
    COMMANDS[command].arguments(parser)
    return parser.parse(words)


def steps(said: str, command: str = "") -> list[list[str]]:
    """The commands in what was printed, as a shell would take them, without `vidpoll`."""
    found = re.findall(rf"vidpoll ({command or '[a-z]+'} .+?)(?=, then |[`;()]|$)", said, re.MULTILINE)
    return [shlex.split(line) for line in found]


@pytest.mark.parametrize("command", sorted(TAKES))
def test_a_line_takes_what_its_command_takes(command: str) -> None:
    """No option is printed that the command does not know."""
    words = command.split()
    known = Parser(prog="vidpoll")
    COMMANDS[words[0]].arguments(known)
    options = {option for action in known._actions for option in action.option_strings}
    named = {"base_url" if name == "addresses" else name for name in TAKES[command]}
    assert {f"--{name.replace('_', '-')}" for name in named} <= options


def test_all_of_a_call_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where, how, and what is kept; a header by its variable, and no value of it."""
    monkeypatch.setenv("FRONT", "Basic c2VjcmV0")
    words = ["wait", REF, *ELSEWHERE, "--header", "gpu:X-Front=FRONT", "--account", "gpu=acme@http://10.0.0.7:8080"]
    args = parsed(*words, "--store", "my jobs.sqlite3")
    assert shlex.split(again(args, "wait", REF)) == [
        "vidpoll", "wait", REF, "--base-url", "https://eu.acme.example/v2", "--account",
        "gpu=acme@http://10.0.0.7:8080", "--header", "gpu:X-Front=FRONT", "--insecure", "--private-media",
        "--patience", "30", "--http-timeout", "5,60", "--store", "my jobs.sqlite3",
    ]  # fmt: skip
    without = parsed("wait", REF, "--store", "s")
    without.no_store = True  # it could not be used
    assert again(without, "wait", REF) == "vidpoll wait acme:j1 --no-store"
    assert again(args, "resume") == (
        "vidpoll resume --base-url https://eu.acme.example/v2 --base-url http://10.0.0.7:8080 "
        "--header gpu:X-Front=FRONT --insecure --private-media --patience 30 --http-timeout 5,60 "
        "--store 'my jobs.sqlite3'"
    )


def test_a_line_of_the_library_gets_the_options_once() -> None:
    """Bare commands in a message, references that need quotes, and a line of Python."""
    args = parsed("status", REF, "--no-store")
    error = vidpoll.ProviderError("Wait: vidpoll wait 'acme:a b'. Look in `vidpoll jobs acme`, or vidpoll quota acme")
    said = "Wait: vidpoll wait 'acme:a b' --no-store. Look in `vidpoll jobs acme`, or vidpoll quota acme"
    assert advised(error, args) == said
    assert advised(vidpoll.ProviderError(said), args) == said
    python = vidpoll.WaitTimeout(
        'Resume: client.wait("gpu:1")', job=vidpoll.Job("gpu:1"), resume='client.wait("gpu:1")'
    )
    assert advised(python, args) == "Resume: vidpoll wait gpu:1 --no-store"
    stored = parsed("status", REF, "--store", "my s")
    said = "with `vidpoll resume`, or `vidpoll jobs --local --forget 'acme:a b'`"
    here = "with `vidpoll resume --store 'my s'`, or `vidpoll jobs --local --forget 'acme:a b' --store 'my s'`"
    assert [advised(vidpoll.ProviderError(each), stored) for each in (said, here)] == [here] * 2
    first = vidpoll.UsageError("acme:1 is not completed yet; wait for it first: vidpoll.wait('acme:1')")
    assert advised(first, args) == "acme:1 is not completed yet; wait for it first: vidpoll wait acme:1 --no-store"


@pytest.mark.parametrize(
    ("words", "script", "command"),
    [
        (["wait", REF, "--timeout", "1", "--quiet"], [DRAWING], "wait"),
        (["wait", REF, "--timeout", "1", "--quiet", "--download", "my clips"], [DRAWING], "wait"),
        (["wait", REF, "--quiet", "--patience", "20"], [UNAVAILABLE], "wait"),
        (["wait", REF, "--quiet"], [(401, {}, b"")], "wait"),
        (["wait", REF, "--quiet"], [(404, {}, b"")], "wait"),
        (["status", REF], [UNAVAILABLE], "wait"),
        (["download", REF, "--to", "my clips"], [DRAWING], "wait"),
        (["download", REF, "--kinds", "thumbnail"], [DONE], "download"),
        (["wait", REF, "--download", "d", "--kinds", "cover,video", "--quiet"], [DONE], "download"),
        (["cancel", REF, "--yes"], [(200, {})], "wait"),
        (["delete", REF, "--yes"], [(409, {"error": "it runs"})], "wait"),
        (["submit", "acme", "clip", "prompt=x"], [(402, {}, b"")], "quota"),
        (["submit", "acme", "clip", "prompt=x", "--no-store"], [(200, {})], "jobs"),
        (["submit", "acme", "clip", "prompt=x", "--wait", "--timeout", "1", "--quiet"], [SUBMITTED, DRAWING], "wait"),
    ],
)  # fmt: skip
def test_a_printed_step_works_when_it_is_pasted(shell: Shell, words: list[str], script: Any, command: str) -> None:
    """It is understood, and asks at the same address."""
    there = ["--base-url", "https://eu.acme.example/v2", "--http-timeout", "5,60"]
    storeless = words[0] in ("cancel", "delete") or "--no-store" in words
    options = there if storeless else [*there, "--store", "s.sqlite3"]
    _, out, err = shell(*words, *options, script=script)
    line = steps("\n".join([*out, *err]), command)[0]
    answers: Any = {"/files/": [MP4], "/credits": [{"credits": 5.0}], "?": [{"rows": []}], "": [DONE]}
    if command == "jobs":
        answers = [{"rows": [{"id": "j1", "status": "queued"}]}]
    if command == "quota":
        answers = [{"credits": 5.0}]
    code, _, err = shell(*line, script=answers)
    assert (code, err) == (0, []), line
    sent = shell.wire.sent  # type: ignore[attr-defined]
    assert [wire for wire in sent if not wire.url.startswith(("https://eu.acme.example/v2/", DONE["video"]))] == []
    assert {wire.timeout for wire in sent} == {(5.0, 60.0)}


@pytest.mark.parametrize(
    ("script", "way", "commands"),
    [
        ([ConnectionResetError()], "(set the URL in --account ", ["resume", "resume", "resume"]),
        ([(402, {}, b"")], "See what is left: ", ["quota gpu2"]),
        ([(404, {}, b"")], "(set the URL in --account ", []),
    ],
)
def test_an_account_of_the_command_line_is_told_no_python(
    shell: Shell, script: Any, way: str, commands: list[str]
) -> None:
    """The lines name it with its address, and the store that was named."""
    own, store = ["--account", "gpu2=acme@https://gpu2.example/v1"], ["--store", "s.sqlite3"]
    submit = ("submit", "gpu2", "clip", "prompt=x", "--once", "k")
    said = "\n".join(shell(*submit, *own, *store, script=script)[2])
    assert [word for word in ("client.", "its base_url") if word in said] == []
    assert way in said
    lines = steps(said)
    assert [" ".join(line).partition(" --")[0] for line in lines] == commands
    assert [line for line in lines if not {*own, *store} & {*line}] == []
    for line in lines:
        answers = {"/credits": [{"credits": 5.0}], "/quota": [{"credits": 5.0}], "/jobs/": [DONE], "": [{"rows": []}]}
        assert shell(*line, script=answers)[0] in (0, 3), line
        sent = shell.wire.sent  # type: ignore[attr-defined]
        assert [wire.url for wire in sent if not wire.url.startswith("https://gpu2.example/v1")] == []


def test_a_value_that_looks_like_an_option_is_one_word_with_it() -> None:
    """Else the parser takes it for an option."""
    args = parsed("resume", "--store=-s")
    assert again(args, "resume", dismiss="-k") == "vidpoll resume --dismiss=-k --store=-s"
    assert parsed("resume", *shlex.split(again(args, "resume", dismiss="-k"))[2:]).dismiss == ["-k"]


def test_a_download_line_goes_on_where_it_stopped(shell: Shell, tmp_path: Path) -> None:
    """What the library says to a script is said to a shell as a command."""
    files: Any = {"/files/": [UNAVAILABLE], "": [DONE]}
    code, out, [said] = shell("wait", REF, "--download", "d", "--timeout", "3", "--no-store", script=files)
    assert (code, "no news: HTTP 503" in out[1]) == (1, True)
    assert said.endswith("the job is unchanged, continue with vidpoll download acme:j1 --to d/ --no-store")
    assert shell(*steps(said, "download")[0], script={**MEDIA, "": [DONE]})[0] == 0
    assert len(list((tmp_path / "d").iterdir())) == 1


def test_a_fault_names_the_option_that_helps(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """More patience, more time for an answer, a key over plain http."""
    [said] = shell("wait", REF, "--quiet", "--patience", "20", script=[UNAVAILABLE])[2]
    assert "--patience S tolerates faults for longer. Resume: " in said
    silent = vidpoll.ProviderError("acme list: nothing came for 30 s")
    assert advised(silent, parsed("jobs", "acme")).endswith(". --http-timeout S waits longer for a response")
    [said] = shell("wait", REF, "--quiet", script=[(401, {}, b"")])[2]
    assert (
        ". --header NAME=VARIABLE sends a header that a proxy in front of the server requires. "
        "Then resume: vidpoll wait" in said
    )
    [said] = shell("wait", REF, "--base-url", "http://x.example", script=[DONE])[2]
    assert "or allow it: --insecure" in said
    assert shell("wait", REF, "--base-url", "http://x.example", "--insecure", "--quiet", script=[DONE])[0] == 0


def test_more_rows_are_shown_as_it_says(shell: Shell) -> None:
    """The limit that is named shows more."""
    rows = [{"id": f"j{n}", "status": "done"} for n in range(5)]
    _, out, [said] = shell("jobs", "acme", "--limit", "2", script=[{"rows": rows}])
    limit = re.findall(r"--limit \d+", said)[0].split()
    assert len(shell("jobs", "acme", *limit, script=[{"rows": rows}])[1]) == 5
    assert len(out) == 2


def test_what_cannot_be_had_again_can_be_left_out(shell: Shell) -> None:
    """`resume` names the line that forgets a job, and it does."""
    store = ("--store", "s.sqlite3")
    shell("submit", "acme", "clip", "prompt=x", *store, script=[SUBMITTED])
    [said] = shell("resume", *store, "--quiet", script=[(404, {}, b"")])[2]
    line = steps(said, "jobs")[0]
    assert line == ["jobs", "--local", "--forget", "acme:j7", *store]
    assert shell(*line)[2] == ["vidpoll: forgot acme:j7", "vidpoll: no job is kept in s.sqlite3"]
    assert shell(*line)[2][0] == "vidpoll: acme:j7 is not kept here: there was nothing to forget"
    assert shell("resume", *store)[1] == ["nothing is left to wait for"]


def test_resume_says_how_another_base_url_is_used(shell: Shell) -> None:
    """It polls each job where the store says, so there is nothing to set in this command."""
    own, store = ("--account", "own=acme@https://a.example"), ("--store", "s.sqlite3")
    shell("submit", "own", "clip", "prompt=x", *own, *store, script=[SUBMITTED])
    there = ("--base-url", "https://a.example", "--patience", "20", "--quiet")
    [said] = shell("resume", *store, *there, script=[ConnectionRefusedError()])[2]
    assert "was https://a.example (set --base-url of `vidpoll wait REF` to change it). --patience S" in said


def test_a_job_that_was_run_again(shell: Shell) -> None:
    """A kept failure, and a provider that says "done": both are told, and the two lines bring the new verdict."""
    store = ("--store", "s.sqlite3")
    shell("wait", REF, *store, "--quiet", script=[BROKEN])
    code, out, [said] = shell("status", REF, *store, script=[DONE])
    assert (code, out) == (0, ["acme:j1 completed: video"])
    assert "the store has it as failed, since 2027-01-15T08:00:00Z. To keep the new state instead: " in said
    forget, wait = steps(said)
    assert shell(*forget)[0] == 0
    assert shell(*wait, "--quiet", script=[QUEUED, DONE]) == (0, ["acme:j1 completed: video"], [])
