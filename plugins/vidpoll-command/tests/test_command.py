"""vidpoll-command: real commands, the event on standard input and in the environment; no shell, no loss, no waiting."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import vidpoll_command
from acme_provider import BROKEN, DRAWING, MP4, REF, talk
from vidpoll_command import Command

import vidpoll
from vidpoll import notify

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs /bin/sh")
EVIL = "$(touch owned) `touch owned` ; touch owned && x | \"'\n& touch owned -rf"
DONE = {"status": "done", "video": "https://cdn.example/j1.mp4?X-Signature=0123456789abcdef"}
BOUND = 30.0
"""Seconds that a test waits for commands; they need some tens of milliseconds."""


def fail(command: Command) -> None:
    """A job fails, and what is run for it has ended."""
    talk([BROKEN], plugins=(command,)).client.wait(REF, check=False)
    assert command.flush(BOUND)


@pytest.fixture
def note(tmp_path):
    """The arguments of a command that writes down what it got: one JSON line each in `said`."""
    script = tmp_path / "note.py"
    script.write_text(
        textwrap.dedent(f"""
        import json, os, sys
        said = {{"argv": sys.argv[1:], "stdin": json.load(sys.stdin),
                "env": {{k: v for k, v in os.environ.items() if k.startswith("VIDPOLL_")}}}}
        with open({str(tmp_path / "said")!r}, "a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\\n")
        """),
        encoding="utf-8",
    )
    return [sys.executable, "-S", "-E", str(script)]


@pytest.fixture
def said(tmp_path):
    return lambda: [json.loads(line) for line in (tmp_path / "said").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(autouse=True)
def forget():
    vidpoll_command._shared.cache_clear()
    yield
    vidpoll_command._shared.cache_clear()


def test_what_a_command_gets(note, said):
    """The event on standard input, its plain fields in the environment, and arguments if the command has them."""
    command = Command({"failed": [*note, "{event}", "{ref}", "{text}", "--"]})
    t = talk([DRAWING, {"status": "broken", "error": "out of paint"}], plugins=(command,))
    t.client.wait(REF, check=False)
    assert command.flush(BOUND)
    (heard,) = said()
    assert heard["argv"] == ["failed", REF, "acme:j1 failed: out of paint", "--"]
    assert heard["stdin"] == {
        "ref": REF,
        "at": "2027-01-15T08:00:05.000Z",
        "state": "failed",
        "problem": {"message": "out of paint", "code": None, "category": None, "charged": None},
        "cost": None,
        "event": "failed",
        "text": "acme:j1 failed: out of paint",
    }
    assert {name: heard["env"][name] for name in heard["env"] if name != "VIDPOLL_AT"} == {
        "VIDPOLL_EVENT": "failed",
        "VIDPOLL_REF": REF,
        "VIDPOLL_STATE": "failed",
        "VIDPOLL_PROBLEM_MESSAGE": "out of paint",
        "VIDPOLL_TEXT": "acme:j1 failed: out of paint",
    }


def test_a_batch_that_stops_and_ends(note, said):
    """Whatever a word or a unit is, the name of a variable is one."""
    command = Command({name: [*note, "{ref}", "{text}"] for name in ("batch_stopped", "batch_ended")})
    states = {"completed": 61, "failed": 2, "waiting": 37}
    spent = {"US D=": 24.1}
    status = vidpoll.BatchStatus("night", 100, states, {"not admitted": 37}, (), spent, {}, at=1_800_000_000.0)
    stop = vidpoll.Stopped("kling", "money", "balance not enough", "vidpoll batch night.csv")
    command.vidpoll_batch_stopped(status, stop, "stopped: money at kling")
    command.vidpoll_batch_ended(status, "night: 61 of 100 done")
    assert command.flush(BOUND)
    stopped, ended = said()
    assert (stopped["argv"], stopped["stdin"]["reason"]) == (["batch:night", "stopped: money at kling"], "money")
    assert ended["argv"] == ["batch:night", "batch night: 61 of 100 done"]
    names = ("DONE", "ROWS", "STATES_FAILED", "WAITING_NOT_ADMITTED", "SPENT_US_D", "REASON", "GO_ON")
    found = [stopped["env"][f"VIDPOLL_{name}"] for name in names]
    assert found == ["61", "100", "2", "37", "24.1", "money", "vidpoll batch night.csv"]


def test_each_event_has_its_command_and_order_is_kept(note, said, tmp_path):
    """One after the other, in the order of the events; an event without a command runs none."""
    script = {
        "/jobs": [DRAWING, {"status": "saving"}, {"status": "done", "video": "https://api.acme.example/j1.mp4"}],
        "j1.mp4": [(200, {"content-length": str(len(MP4))}, MP4)],
    }
    commands = {name: [*note, name] for name in ("stage_changed", "completed")}
    command = Command({**commands, "downloaded": [*note, "downloaded", "{path}"]})
    t = talk(script, plugins=(command,))
    (path,) = t.client.download(t.client.wait(REF), tmp_path / "clips")
    assert command.flush(BOUND)
    assert [each["argv"] for each in said()] == [
        ["stage_changed"],
        ["stage_changed"],
        ["completed"],
        ["downloaded", str(path)],
    ]
    assert said()[3]["env"]["VIDPOLL_SIZE"] == str(len(MP4))


@pytest.mark.parametrize("shell", [False, pytest.param(True, marks=POSIX)])
def test_what_a_provider_writes_is_no_command(shell, note, said, tmp_path, monkeypatch):
    """Any text in a problem, a stage or an id is only a value, with a shell and without."""
    monkeypatch.chdir(tmp_path)
    line = f'{shlex.join(note)} "$VIDPOLL_TEXT" $VIDPOLL_PROBLEM_MESSAGE' if shell else [*note, "{text}"]
    command = Command({"stage_changed": line, "failed": line}, shell=shell)
    t = talk([{"status": EVIL}, {"status": "broken", "error": EVIL}], plugins=(command,))
    t.client.wait("acme:j;touch owned", check=False)
    assert command.flush(BOUND)
    assert not Path("owned").exists()
    assert all(each["argv"][0] == each["stdin"]["text"] for each in said())
    assert "touch owned" in said()[1]["stdin"]["problem"]["message"]


@pytest.mark.parametrize("keys", [False, True])
def test_the_keys_are_not_handed_on(keys, tmp_path, monkeypatch):
    """The variables that providers name, in all their ways; a command that asks a provider has them by a switch."""
    code = "import os, sys; open(sys.argv[1], 'a').write('\\n'.join(sorted(os.environ)) + '\\n')"
    names = {"MAGICOAL_API_KEY", "TOKEN360_API_KEY", "VIDPOLL_APPRISE_URLS"}
    for name in {*names, "ELSE"}:
        monkeypatch.setenv(name, "secret-0123456789")
    monkeypatch.setenv("VIDPOLL_ON_COMPLETED", shlex.join([sys.executable, "-c", code, str(tmp_path / "seen")]))
    monkeypatch.setenv("VIDPOLL_COMMAND_KEYS", "1" if keys else "")
    (command,) = vidpoll_command.vidpoll_notifiers(os.environ)
    talk([DONE], plugins=(command,)).client.wait(REF)
    assert command.flush(BOUND)
    seen = (tmp_path / "seen").read_text().split()
    assert "ELSE" in seen
    assert names & {*seen} == (names if keys else set())


def test_no_secret(note, said, monkeypatch):
    """A signed URL comes without its query, and the key of the account is no part of an event."""
    command = Command({"completed": note, "gave_up": note})
    t = talk([DONE, (401, {}, b"acme-secret-0123456789")], plugins=(command,))
    t.client.wait(REF)
    t.client.wait("acme:j2", check=False)
    assert command.flush(BOUND)
    assert [each["stdin"]["event"] for each in said()] == ["completed", "gave_up"]
    assert said()[0]["stdin"]["assets"][0]["url"] == "https://cdn.example/j1.mp4"
    assert not re.search("0123456789", json.dumps(said()))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.stderr.write('one\\nno display\\n'); sys.exit(7)", "ended with exit code 7: no display"),
        ("import os; os.abort()", "ended with exit code"),
    ],
)
def test_a_command_that_fails_is_heard_of(code, words, caplog):
    """A warning and a line in the log, with the code and what it said last; the wait knows nothing of it."""
    command = Command({"failed": [sys.executable, "-c", code]})
    with pytest.warns(RuntimeWarning, match=f"vidpoll-command raised CommandFailed: failed of acme:j1.*{words}"):
        fail(command)
    assert words in caplog.text


def test_a_good_command_is_in_the_log(note, caplog):
    """With its exit code."""
    caplog.set_level("INFO", "vidpoll.command")
    command = Command({"failed": note})
    fail(command)
    assert "failed of acme:j1: the command ended with exit code 0" in caplog.text


@pytest.mark.slow
def test_a_command_that_takes_too_long_is_killed_with_what_it_started(tmp_path):
    """At its bound, even where its child holds on."""
    child = "import time, pathlib; time.sleep(1.5); pathlib.Path('late').touch()"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    command = Command(
        {"failed": [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {code}"]}, timeout=0.7
    )
    begun = time.monotonic()
    with pytest.warns(RuntimeWarning, match="took more than 0.7 s and was killed"):
        fail(command)
    assert time.monotonic() - begun < 10
    if os.name != "nt":
        time.sleep(1.5)  # the child would have written by now
        assert not (tmp_path / "late").exists()


@pytest.mark.slow
def test_a_slow_command_never_holds_the_wait():
    """Two hundred events, each with a command of two seconds: the wait is over at once, the flush in time."""
    slow = [sys.executable, "-c", "import time; time.sleep(2)"]
    command = Command({"poll_failed": slow, "failed": slow})
    t = talk([(503, {}, b"")] * 200 + [BROKEN], plugins=(command,), patience=1e6)
    begun = time.monotonic()
    t.client.wait(REF, timeout=1e6, check=False)
    assert t.ears.hooks.count("poll_failed") == 200
    assert not command.flush(0.05)
    assert time.monotonic() - begun < 5
    assert [said["event"] for said, keep in command._outbox._queue if keep] == ["failed"]
    command._outbox._queue.clear()  # the 200 would take 400 s
    assert command.flush(BOUND)


def test_a_command_that_starts_vidpoll_does_not_start_itself(note, said, monkeypatch):
    """The `VIDPOLL_ON_…` variables are ours and not handed on."""
    monkeypatch.setenv("VIDPOLL_ON_FAILED", shlex.join(note))
    monkeypatch.setenv("VIDPOLL_OTHER", "kept")
    (command,) = vidpoll_command.vidpoll_notifiers(os.environ)
    t = talk([BROKEN], plugins=(vidpoll_command,))
    t.client.wait(REF, check=False)
    assert command.flush(BOUND)
    assert [name for name in said()[0]["env"] if name.startswith("VIDPOLL_ON")] == []
    assert said()[0]["env"]["VIDPOLL_OTHER"] == "kept"


def test_installed_and_not_configured_it_does_nothing(monkeypatch):
    """No thread, no hook; an empty variable is none."""
    for name in [name for name in os.environ if name.startswith("VIDPOLL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VIDPOLL_ON_COMPLETED", " ")
    report = next(report for report in vidpoll.Client().plugins if report.name == "command")
    assert (report.hooks, report.problem) == (("vidpoll_notifiers",), None)
    assert [thread.name for thread in threading.enumerate() if thread.name == "vidpoll-command"] == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"VIDPOLL_ON_COMPLETE": "true"}, "the command on complete: no such event; the events are stage_changed, "),
        ({"VIDPOLL_ON_POLLED": "true"}, "the command on polled: no such event"),
        ({"VIDPOLL_ON_FAILED": "no-such-program-here {ref}"}, "the program 'no-such-program-here' was not found"),
        ({"VIDPOLL_ON_FAILED": "python3 'x"}, "the command on failed cannot be split"),
        (
            {"VIDPOLL_ON_FAILED": f"{sys.executable} --title={{ref}}"},
            r"{ref} must be an argument of its own; inside a text use \$VID",
        ),
        ({"VIDPOLL_ON_FAILED": f"{sys.executable} {{state}}"}, "{state} cannot be an argument: use {event}, {ref}, "),
        ({"VIDPOLL_ON_FAILED": f"{sys.executable} {{path}}"}, "only the event downloaded has {path}"),
        (
            {"VIDPOLL_ON_FAILED": sys.executable, "VIDPOLL_COMMAND_TIMEOUT": "1m"},
            "VIDPOLL_COMMAND_TIMEOUT must be seconds, like 60, got '1m'",
        ),
        pytest.param(
            {"VIDPOLL_ON_FAILED": "echo {ref}", "VIDPOLL_COMMAND_SHELL": "1"},
            r'with a shell it must be one text, with "\$VIDPOLL_REF" instead of {ref}',
            marks=POSIX,
        ),
    ],
)
def test_a_wrong_setting_is_heard_of_at_once(variables, said, monkeypatch):
    """When the client is made, with the way to write it; the client works without it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.warns(RuntimeWarning, match=f"plugin command sends no notifications: UsageError: .*{said}"):
        client = vidpoll.Client()
    assert "magicoal" in client.providers


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (r"C:\bin\tell.exe {text}", [r"C:\bin\tell.exe", "{text}"]),
        (r'"C:\Program Files\tell.exe" "two words" \\host\x', [r"C:\Program Files\tell.exe", "two words", r"\\host\x"]),
    ],
)
def test_a_line_of_windows(line, parts, monkeypatch):
    """Backslashes are kept, quotes around an argument are not."""
    monkeypatch.setattr(vidpoll_command.os, "name", "nt")
    split = vidpoll_command._split(line)
    monkeypatch.undo()
    assert split == parts


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("tell.exe x", {"shell": True}, "a shell cannot be used on Windows"),
        (["tell.cmd", "{ref}"], {}, "cmd.exe would run {ref} as a command"),
    ],
)
def test_cmd_exe_reads_no_event(command, options, said, monkeypatch):
    """On Windows neither a shell nor a batch file gets an event as a part of its command line."""
    monkeypatch.setattr(vidpoll_command.shutil, "which", lambda name: rf"C:\{name.upper()}")
    monkeypatch.setattr(vidpoll_command.os, "name", "nt")
    with pytest.raises(vidpoll.UsageError) as refused:
        Command({"failed": command}, **options)
    monkeypatch.undo()
    assert said in str(refused.value)


def test_what_waits_at_the_end_of_the_process_is_run(tmp_path, note, said):
    """The interpreter's end waits for it, within its bound."""
    script = f"""
import acme_provider as acme
from vidpoll_command import Command
command = Command({{"failed": {note!r}}})
acme.talk([acme.BROKEN], plugins=(command,)).client.wait(acme.REF, check=False)
"""
    tests = str(Path(sys.modules["acme_provider"].__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["stdin"]["event"] for each in said()] == ["failed"]


def test_readme(note, said, monkeypatch, vidpoll_simulator):
    """Its script runs against the simulator; its variables are those of the events, and it lists no other."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    job_id = vidpoll_simulator.seed_job("magicoal", "i2v", age=3600.0)
    block = block.replace("3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d", job_id)
    block = block.replace('["notify-send", "vidpoll", "{text}"]', repr([*note, "{text}"]))
    block = block.replace('"./failed.sh {ref}"', repr([*note, "{ref}"]))
    monkeypatch.setattr(vidpoll, "Client", vidpoll_simulator.client)
    space: dict[str, Command] = {}
    exec(compile(block, "README.md", "exec"), space)
    assert space["tell"].flush(BOUND)
    assert said()[0]["argv"] == [said()[0]["stdin"]["text"]]
    listed = set(re.findall(r"^\| `VIDPOLL_ON_(\w+)`", README, re.MULTILINE))
    assert listed == {name.upper() for name in notify.NAMES}
