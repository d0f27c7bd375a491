"""The command line, run in process: scripted answers in, lines and exit codes out. No network and no sleep."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from acme_provider import (
    ACME,
    BROKEN,
    DONE,
    DRAWING,
    HTML,
    KEY,
    MP4,
    QUEUED,
    REF,
    SAVING,
    SLOW_DOWN,
    UNAVAILABLE,
    Ears,
    Plugin,
)

import vidpoll
from vidpoll import Request, parsing
from vidpoll.cli import COMMANDS, main
from vidpoll.cli.context import read_fields, with_fields
from vidpoll.cli.output import first_that_applies, iso
from vidpoll.testing import FakeClock, FakeTransport

Shell = Callable[..., tuple[int, list[str], list[str]]]

MEDIA = {"/files/": [MP4]}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Runs a command line against a script; gives the exit code and the lines of stdout and stderr."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.delenv("VIDPOLL_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    numbers = count()

    def run(*argv: str, script: Any = (), plugins: tuple[object, ...] = ()) -> tuple[int, list[str], list[str]]:
        run.wire = FakeTransport(script)  # type: ignore[attr-defined]
        monkeypatch.setenv("VIDPOLL_STORE", str(tmp_path / "kept" / f"{next(numbers)}.sqlite3"))  # nothing is known

        def factory(**options: Any) -> vidpoll.Client:
            all_plugins = [Plugin(ACME), *plugins, *options.pop("plugins", ())]
            options.setdefault("transport", run.wire)  # type: ignore[attr-defined]
            return vidpoll.Client(plugins=all_plugins, discover=False, **options)

        code = main(argv, client_factory=factory, clock=FakeClock())
        said = capsys.readouterr()
        assert KEY not in said.out + said.err
        return code, said.out.splitlines(), said.err.splitlines()

    return run


# wait


def test_wait_shows_each_stage_once_with_its_first_progress(shell: Shell) -> None:
    """One line an event, stamped; a progress that comes with a stage is no line of its own."""
    code, out, err = shell("wait", REF, script=[QUEUED, DRAWING, {**DRAWING, "progress": 40}, SAVING, DONE])
    assert (code, err) == (0, [])
    assert out == [
        "    0.0 s  acme:j1 queued",
        "    5.0 s  acme:j1 running drawing 10 %",
        "   10.0 s  acme:j1 drawing 40 %",
        "   15.0 s  acme:j1 running saving 90 %",
        "   20.0 s  acme:j1 completed: video",
    ]


def test_wait_tells_of_faults_and_goes_on(shell: Shell) -> None:
    """A blip is a line, never an end."""
    code, out, err = shell("wait", REF, script=[UNAVAILABLE, HTML, DONE])
    assert (code, err) == (0, [])
    assert ["no news: HTTP 503" in line for line in out] == [True, False, False]
    assert "not JSON" in out[1]
    assert out[2].endswith("acme:j1 completed: video")


def test_wait_failed(shell: Shell) -> None:
    """The provider's verdict is one line on stderr and exit code 1."""
    code, out, err = shell("wait", REF, script=[BROKEN])
    assert (code, out) == (1, [])
    assert err == ["vidpoll: acme:j1 failed: out of paint. Submitting it again is a new job."]


def test_wait_timeout(shell: Shell) -> None:
    """A deadline is no verdict: exit code 3 and the line that resumes."""
    code, out, err = shell("wait", REF, "--timeout", "12", "--quiet", script=[DRAWING])
    assert (code, out) == (3, [])
    assert len(err) == 1
    assert err[0].startswith("vidpoll: acme:j1: no verdict after 12 s")
    assert err[0].endswith("Resume: vidpoll wait acme:j1")


def test_wait_refused_is_unknown(shell: Shell) -> None:
    """A wrong key says nothing about the job."""
    code, _, err = shell("wait", REF, "--quiet", script=[(401, {}, b"")])
    assert code == 3
    assert len(err) == 1
    assert "refuses to tell" in err[0]


def test_wait_for_several(shell: Shell) -> None:
    """One loop, each job's line as it ends, and the exit code of the worst: unknown before failed before completed."""
    script = {"/jobs/a": [DONE], "/jobs/b": [BROKEN], "/jobs/c": [DRAWING]}
    code, out, err = shell("wait", "acme:a", "acme:b", "acme:c", "acme:a", "--timeout", "10", script=script)
    assert code == 3
    assert out[-1] == "   10.0 s  3 jobs: 1 completed, 1 not completed, 1 unknown"
    assert [line.split()[1].rstrip(":") for line in err] == ["acme:b", "acme:c"]
    assert shell("wait", "acme:a", "acme:b", script=script)[0] == 1


@pytest.mark.parametrize(("codes", "expected"), [([0, 0], 0), ([0, 1], 1), ([1, 3, 0], 3), ([3, 130, 1], 130), ([], 0)])
def test_first_that_applies(codes: list[int], expected: int) -> None:
    """Several jobs exit as the one with the highest code would."""
    assert first_that_applies(codes) == expected


def test_wait_json(shell: Shell) -> None:
    """One object a job, the same keys always, a signed URL without its query."""
    signed = {**DONE, "video": "https://cdn.example/j1.mp4?X-Amz-Signature=0123456789abcdef"}
    code, out, err = shell("wait", REF, "acme:j2", "--json", script={"j1": [QUEUED, signed], "j2": [BROKEN]})
    assert code == 1
    failed, done, total = map(json.loads, out)
    assert total == {"jobs": 2, "completed": 1, "not_completed": 1, "unknown": 0, "costs": []}
    assert done["assets"] == [
        {
            "kind": "video",
            "url": "https://cdn.example/j1.mp4",
            "signed": True,
            "media_type": None,
            "size": None,
            "expires_at": None,
        }
    ]
    assert (done["ref"], done["ok"], done["state"], done["error"]) == (REF, True, "completed", None)
    assert (failed["ok"], failed["error"]["type"]) == (False, "JobFailed")
    assert failed["problem"] == {"message": "out of paint", "code": None}
    assert list(done) == list(failed)
    assert len(err) == 1


def test_wait_and_download(shell: Shell, tmp_path: Path) -> None:
    """The video is saved as soon as its job is completed; the folder is made, whatever its name."""
    code, out, err = shell("wait", REF, "--download", "my.clips", "--quiet", script={**MEDIA, "": [DONE]})
    assert (code, err) == (0, [])
    assert out[0] == "acme:j1 completed: video"
    (path,) = (tmp_path / "my.clips").iterdir()
    assert out[1] == f"my.clips/{path.name} (112 bytes)"
    assert path.read_bytes() == MP4


def test_a_download_that_fails_is_code_1(shell: Shell, tmp_path: Path) -> None:
    """The job is completed and the file is not there: not completed, in one line."""
    code, _, err = shell("wait", REF, "--download", "d", script={"/files/": [(500, {}, b"")], "": [DONE]})
    assert code == 1
    assert len(err) == 1
    assert "HTTP 500" in err[0]
    assert list((tmp_path / "d").iterdir()) == []


@pytest.mark.parametrize("command", [("wait", "--download", "file/below"), ("download", "--to", "file/below")])
def test_a_folder_that_cannot_be_made(shell: Shell, tmp_path: Path, command: tuple[str, ...]) -> None:
    """No traceback for a disk that says no."""
    (tmp_path / "file").touch()
    code, _, err = shell(command[0], REF, *command[1:], script={**MEDIA, "": [DONE]})
    assert code == 1
    assert len(err) == 1
    assert "cannot write" in err[0]


class Interrupting:
    """Ctrl-C, as it comes in the middle of a wait."""

    @vidpoll.hookimpl
    def vidpoll_completed(self) -> None:
        raise KeyboardInterrupt


def test_wait_interrupted(shell: Shell) -> None:
    """Ctrl-C prints the references left and the line that resumes them, as a shell takes it."""
    script = {"/jobs/a": [BROKEN], "/jobs/b": [QUEUED, DONE], "/jobs/c": [DRAWING]}
    code, _, err = shell(
        "wait", "acme:a", "acme:b", "acme:c d", "--download", "my clips", script=script, plugins=(Interrupting(),)
    )
    assert code == 130
    assert err[-2:] == [
        "vidpoll: interrupted; left, and going on at the provider: acme:b, acme:c d",
        "vidpoll: resume: vidpoll wait acme:b 'acme:c d' --download 'my clips'",
    ]


class Raising:
    """A notifier with a bug."""

    name = "chat"

    @vidpoll.hookimpl
    def vidpoll_stage_changed(self) -> None:
        raise RuntimeError("no network")


def test_a_hook_that_raises_is_one_line(shell: Shell) -> None:
    """A plugin's bug is named once, without Python's warning noise, and harms nothing."""
    code, out, err = shell("wait", REF, script=[QUEUED, DRAWING, DONE], plugins=(Raising(),))
    assert (code, len(out)) == (0, 3)
    assert err == ["vidpoll: warning: plugin chat, vidpoll_stage_changed raised RuntimeError: no network"]


def test_warnings_are_restored(shell: Shell) -> None:
    """`main` leaves the process as it found it."""
    before = warnings.showwarning
    shell("wait", REF, script=[DONE])
    assert warnings.showwarning is before


def test_what_is_said_as_the_process_ends_is_a_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A notifier that cannot deliver what waits is heard of after the command, and looks as during it."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(sys, "argv", ["vidpoll", "--version"])
    assert main() == 0
    warnings.showwarning("chat: 1 events have not been delivered", RuntimeWarning, "notify.py", 242)
    assert capsys.readouterr().err == "vidpoll: warning: chat: 1 events have not been delivered\n"


class Pipe(io.StringIO):
    """Standard output whose reader is gone, or whose disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_a_reader_that_goes_away_ends_the_wait(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vidpoll wait … | head -1`: no traceback, the outcome is unknown."""
    monkeypatch.setattr(sys, "stdout", Pipe(BrokenPipeError()))
    code, _, err = shell("wait", REF, script=[DRAWING])
    assert code == 3
    assert len(err) == 1
    assert "the wait was stopped" in err[0]


def test_a_reader_that_goes_away_is_no_error_of_a_list(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vidpoll jobs … | head`: the reader has what it wanted."""
    monkeypatch.setattr(sys, "stdout", Pipe(BrokenPipeError()))
    assert shell("jobs", "acme", script=[{"rows": [{"id": "a", "status": "done"}] * 9}]) == (0, [], [])


def test_a_full_disk_is_told(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that cannot be written is an error; a paid job's reference is then told on stderr."""
    monkeypatch.setattr(sys, "stdout", Pipe(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    code, _, err = shell("submit", "acme", "clip", "prompt=sea", script=[{"id": "j9", "status": "queued"}])
    assert code == 1
    assert err == [
        "vidpoll: cannot write to standard output: No space left on device",
        "vidpoll: submitted: acme:j9",
    ]


# status


def test_status(shell: Shell) -> None:
    """One answer each; 0 completed, 1 not, 3 no verdict yet."""
    script = {"/jobs/a": [DONE], "/jobs/b": [BROKEN], "/jobs/c": [DRAWING]}
    code, out, err = shell("status", "acme:a", "acme:b", "acme:c", script=script)
    assert (code, err) == (3, [])
    assert out == ["acme:a completed: video", "acme:b failed: out of paint", "acme:c running drawing 10 %"]
    assert shell("status", "acme:a", "acme:b", script=script)[0] == 1
    assert shell("status", "acme:a", script=script)[0] == 0
    assert len(shell.wire.sent) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("answer", [UNAVAILABLE, HTML, (401, {}, b""), {"status": "melting"}])
def test_status_without_news_is_unknown(shell: Shell, answer: Any) -> None:
    """An answer that says nothing about the job: one line that names it, and code 3; the others are still asked."""
    code, out, err = shell("status", "acme:a", "acme:b", script={"/jobs/a": [answer], "/jobs/b": [DONE]})
    assert (code, out) == (3, ["acme:b completed: video"])
    assert len(err) == 1
    assert err[0].startswith("vidpoll: acme:a")


def test_status_json(shell: Shell) -> None:
    """Machines get an object for each reference, with the error where there is no news."""
    code, out, _ = shell("status", REF, "--json", script=[UNAVAILABLE])
    assert code == 3
    assert json.loads(out[0])["error"]["type"] == "WaitTimeout"


@pytest.mark.parametrize("first", [SLOW_DOWN, UNAVAILABLE, HTML, {"status": "melting"}])
def test_status_asks_until_an_answer_says_something(shell: Shell, first: Any) -> None:
    """`vidpoll wait R; vidpoll status R`: that the provider wants a pause says nothing about a completed job."""
    assert shell("status", REF, script=[first, DONE]) == (0, ["acme:j1 completed: video"], [])
    assert len(shell.wire.sent) == 2  # type: ignore[attr-defined]


def test_status_of_many_ends_within_one_bound(shell: Shell) -> None:
    """A provider that is away is not waited for once for each job; every job is asked about, at least once."""
    script = {f"/jobs/{name}": [UNAVAILABLE] for name in "abc"}
    code, out, err = shell("status", "acme:a", "acme:b", "acme:c", script=script)
    assert (code, out, len(err)) == (3, [], 3)
    asked = [wire.url[-1] for wire in shell.wire.sent]  # type: ignore[attr-defined]
    assert asked.count("a") > 3
    assert asked[-2:] == ["b", "c"]


# submit


def test_submit_prints_the_reference_first(shell: Shell) -> None:
    """`ref=$(vidpoll submit …)`: the reference and nothing else; options may stand between the fields."""
    code, out, err = shell(
        "submit", "acme", "clip", "--wait", "--timeout", "60", "prompt=a sea", script=[{"id": "j1"}, DRAWING, DONE]
    )
    assert (code, err) == (0, [])
    assert out[0] == REF
    assert out[-1].endswith("completed: video")
    assert json.loads(shell.wire.sent[0].body) == {"prompt": "a sea"}  # type: ignore[attr-defined]
    assert shell("submit", "acme", "clip", "prompt=x", script=[{"id": "j1"}]) == (0, [REF], [])


def test_submit_and_download(shell: Shell, tmp_path: Path) -> None:
    """--download waits, too; with --json the job comes twice: as submitted, and as it ended."""
    script = {**MEDIA, "/jobs/j1": [DONE], "/jobs": [{"id": "j1"}]}
    code, out, _ = shell("submit", "acme", "clip", "prompt=x", "--download", ".", "--json", script=script)
    assert code == 0
    first, last = map(json.loads, out)
    assert (first["ref"], first["state"]) == (REF, None)
    assert [Path(name).read_bytes() for name in last["files"]] == [MP4]


@pytest.mark.parametrize("answer", [UNAVAILABLE, HTML, {"no": "id"}])
def test_submit_unknown(shell: Shell, answer: Any) -> None:
    """It may have been received: code 3, sent once, and where to look."""
    code, out, err = shell("submit", "acme", "clip", "prompt=x", script=[answer])
    assert (code, out, len(err)) == (3, [], 1)
    assert "vidpoll jobs acme" in err[0]
    assert len(shell.wire.sent) == 1  # type: ignore[attr-defined]


def test_submit_refused(shell: Shell) -> None:
    """A provider's refusal is code 1."""
    code, out, err = shell("submit", "acme", "clip", "prompt=x", script=[(402, {}, b"")])
    assert (code, out, len(err)) == (1, [], 1)
    assert "Nothing was bought" in err[0]


def test_submit_interrupted(shell: Shell) -> None:
    """Ctrl-C while a submit is under way: it may have been received, and the line says so."""
    code, _, err = shell("submit", "acme", "clip", "prompt=x", script=[{"id": "j1", "status": "done", **DONE}],
                         plugins=(Interrupting(),))  # fmt: skip
    assert code == 130
    assert len(err) == 1
    assert "may have been received" in err[0]


def test_read_fields(tmp_path: Path) -> None:
    """JSON where a value is some, else text; @file is a text, or the file itself; @@ is an @."""
    (tmp_path / "prompt.txt").write_text("a sea\nat dusk\n", encoding="utf-8")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    texts = ["a=7", "b=true", "c=[1, 2]", 'd="7"', "e=NaN", "f=", "g=x=y", "h=@@home", "i={", "j=1.5", "k=null"]
    found, unsure = read_fields(texts)
    assert found == {
        "a": 7, "b": True, "c": [1, 2], "d": "7", "e": "NaN", "f": "", "g": "x=y", "h": "@home", "i": "{", "j": 1.5,
        "k": None,
    }  # fmt: skip
    assert unsure == {"a": "7", "b": "true", "c": "[1, 2]", "j": "1.5", "k": "null"}
    assert read_fields([f"a=@{tmp_path / 'prompt.txt'}"]) == ({"a": "a sea\nat dusk"}, {})
    assert read_fields([f"a=@{tmp_path / 'photo.jpg'}"]) == ({"a": tmp_path / "photo.jpg"}, {})
    assert read_fields(["a=" + "[" * 100_000])[0]["a"].startswith("[[")


def checking(**fields: object) -> dict[str, object]:
    """A call as plugins check theirs."""
    rules: parsing.Rules = {
        "prompt": ("text", lambda value: isinstance(value, str)),
        "title": ("text", lambda value: isinstance(value, str)),
        "frames": ("an odd number", lambda value: isinstance(value, int) and value % 2),
    }
    return parsing.checked("submit clip", fields, rules)


@pytest.mark.parametrize(
    ("texts", "meant"),
    [
        (["prompt=2024", "frames=81"], {"prompt": "2024", "frames": 81}),
        (["prompt=1e3", "title=true"], {"prompt": "1e3", "title": "true"}),
        (["prompt=[1, 2]"], {"prompt": "[1, 2]"}),
        (['prompt="2024"', "title=null"], {"prompt": "2024"}),
    ],
)
def test_a_value_is_what_the_plugin_takes(texts: list[str], meant: dict[str, object]) -> None:
    """`prompt=2024` is a text and `frames=81` a number, without a word about either on the command line."""
    assert with_fields(checking, texts) == meant


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["frames=80"], "frames=80: it must be an odd number"),
        (["prompt=7", "frames=80"], "frames=80: it must be an odd number"),
        (['frames="81"'], "frames='81': it must be an odd number"),
        (["colour=7"], "submit clip takes no field 'colour'; it takes prompt, title, frames"),
    ],
)
def test_a_value_that_is_wrong_either_way(texts: list[str], said: str) -> None:
    """What is told is what is wrong with the value as it was read first."""
    with pytest.raises(vidpoll.InvalidField) as caught:
        with_fields(checking, texts)
    assert caught.value.message == said


@pytest.mark.parametrize("command", [("submit", "acme", "clip"), ("jobs", "acme")])
def test_fields_are_tried_before_anything_is_sent(shell: Shell, command: tuple[str, ...]) -> None:
    """Both commands that take fields try them in the plugin, and ask the provider once."""
    provider = replace(
        ACME,
        name="strict",
        submit={
            "clip": replace(ACME.submit["clip"], request=lambda given: Request("POST", "/jobs", json=checking(**given)))
        },
        list=replace(ACME.list, request=lambda given, token: Request("GET", "/jobs", tuple(checking(**given).items()))),
    )
    argv = [word.replace("acme", "strict") for word in command]
    answer = {"id": "j1", "rows": []}
    code, _, err = shell(*argv, "prompt=2024", script=[answer], plugins=(Plugin(provider, name="strict-plugin"),))
    assert (code, err) == (0, [])
    (wire,) = shell.wire.sent  # type: ignore[attr-defined]
    assert "2024" in (wire.url if wire.body is None else json.loads(wire.body)["prompt"])


# jobs, quota, delete, download


def test_jobs(shell: Shell) -> None:
    """The provider's list, at most --limit of it, and a hint where there is more."""
    first = {"rows": [{"id": "a", "status": "drawing"}, {"id": "b", "status": "done"}], "next": "2"}
    script = {"page=2": [{"rows": [{"id": "c", "status": "done"}]}], "": [first]}
    lines = ["acme:a running drawing", "acme:b completed done", "acme:c completed done"]
    assert shell("jobs", "acme", script=script) == (0, lines, [])
    code, out, err = shell("jobs", "acme", "--limit", "2", "--json", script=script)
    assert code == 0
    assert [json.loads(line)["ref"] for line in out] == ["acme:a", "acme:b"]
    assert err == ["vidpoll: there are more than 2; --limit 8 shows more"]


def test_quota(shell: Shell) -> None:
    """For people and for machines."""
    assert shell("quota", "acme", script=[{"credits": 120}]) == (0, ["balance  120", "prices   clip 50"], [])
    code, out, _ = shell("quota", "acme", "--json", script=[{"credits": 120}])
    assert code == 0
    assert json.loads(out[0]) == {
        "account": "acme", "plan": None, "limit": None, "used": None, "remaining": None, "unlimited": False,
        "balance": 120, "prices": {"clip": 50.0}, "reset_at": None,
    }  # fmt: skip
    code, out, err = shell("quota", "acme", script=[(403, {}, b"")])
    assert (code, out, len(err)) == (1, [], 1)


def test_iso() -> None:
    """Times are ISO 8601 in UTC; what is no time is none."""
    assert iso(1_800_000_000.9) == "2027-01-15T08:00:00Z"
    assert [iso(at) for at in (None, 1e30, float("inf"), float("nan"))] == [None] * 4


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        return True


def test_delete_asks(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is destroyed without a yes; where nobody can say it, --yes is due."""
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    code, out, err = shell("delete", REF, script=[(204, {}, b"")])
    assert (code, out) == (0, ["acme:j1 deleted"])
    assert err == ["Delete at the provider, with all files, for good: acme:j1? [y/N] "]
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    code, out, err = shell("delete", REF)
    assert (code, out) == (1, [])
    assert err[0].endswith("vidpoll: nothing was deleted")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert shell("delete", REF) == (2, [], ["vidpoll: delete: there is nobody to ask; --yes deletes without asking"])


def test_delete_yes(shell: Shell) -> None:
    """One that the provider will not delete does not keep the others."""
    script = {"/jobs/a": [(409, {}, b"")], "/jobs/b": [(204, {}, b"")]}
    code, out, err = shell("delete", "acme:a", "acme:b", "--yes", script=script)
    assert (code, out, len(err)) == (1, ["acme:b deleted"], 1)
    assert "409" in err[0]


def test_delete_json(shell: Shell) -> None:
    """One object a job, the same keys always."""
    script = {"/jobs/a": [(409, {}, b"")], "/jobs/b": [(204, {}, b"")]}
    code, out, err = shell("delete", "acme:a", "acme:b", "--yes", "--json", script=script)
    assert (code, len(err)) == (1, 1)
    kept, deleted = map(json.loads, out)
    assert (kept["ref"], kept["deleted"], kept["error"]["type"]) == ("acme:a", False, "Conflict")
    assert deleted == {"ref": "acme:b", "deleted": True, "error": None}


def test_download(shell: Shell, tmp_path: Path) -> None:
    """Files of the kinds asked for, under names made from the reference, or under the one that was given."""
    script = {**MEDIA, "": [UNAVAILABLE, {**DONE, "cover": "/files/cover.jpg"}]}
    code, out, err = shell("download", REF, "--to", "d", "--kinds", "video,thumbnail", script=script)
    assert (code, err, len(out)) == (0, [], 2)
    assert sorted(path.suffix for path in (tmp_path / "d").iterdir()) == [".mp4", ".mp4"]  # by their bytes
    code, out, _ = shell("download", REF, "--to", "a.mp4", "--json", script=script)
    assert (code, json.loads(out[0])["files"]) == (0, ["a.mp4"])


def test_download_of_what_is_not_there(shell: Shell) -> None:
    """Running: 3 and the line that waits. Failed, or without such a file: 1."""
    code, out, err = shell("download", REF, "--to", "my clips", script=[DRAWING])
    assert (code, out) == (3, [])
    resume = "vidpoll wait acme:j1 --download 'my clips'"
    assert err == [f"vidpoll: acme:j1 running drawing 10 %: not completed yet; wait for it: {resume}"]
    assert shell("download", REF, script=[BROKEN])[0] == 1
    code, _, err = shell("download", REF, "--kinds", "thumbnail", script=[DONE])
    assert (code, err) == (1, ["vidpoll: acme:j1 has no thumbnail; it has: video"])
    assert shell("download", REF, script=[UNAVAILABLE])[0] == 3


# providers, plugins, and the rest


def test_providers(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a key is set, never the key; a base URL from the environment counts."""
    code, out, err = shell("providers")
    assert (code, err) == (0, [])
    operations = "status, list, quota, cancel, delete, submit clip"
    assert out[1].split("  ") == ["acme", "https://api.acme.example/v1", "ACME_API_KEY (set)", operations]
    monkeypatch.delenv("ACME_API_KEY")
    monkeypatch.setenv("ACME_BASE_URL", "https://user:pass@acme.test/v2")
    code, out, _ = shell("providers", "--json")
    assert json.loads(out[0]) == {
        "name": "acme", "base_url": "https://acme.test/v2", "keys": {"ACME_API_KEY": False}, "key_required": True,
        "operations": operations.split(", "),
    }  # fmt: skip
    assert "ACME_API_KEY (not set)" in shell("providers")[1][1]


def install(folder: Path, name: str, source: str) -> None:
    """What pip leaves behind of a plugin: a module, and a distribution that names it."""
    (folder / f"vidpoll_{name}.py").write_text(source, encoding="utf-8")
    about = folder / f"vidpoll_{name}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vidpoll-{name}\nVersion: 1.2\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[vidpoll]\n{name} = vidpoll_{name}\n", encoding="utf-8")


def test_plugins(shell: Shell) -> None:
    """What each brings, and whether its key is there; the key itself is never shown."""
    code, out, err = shell("plugins")
    assert (code, err, out[1].split()[:4]) == (0, [], ["acme-plugin", "-", "acme-plugin", "set"])
    assert out[1].endswith("provider acme")
    assert KEY not in "".join(out)


@pytest.mark.parametrize(("required", "key"), [(True, "not set"), (False, "not needed")])
def test_plugins_without_a_key(shell: Shell, monkeypatch: pytest.MonkeyPatch, required: bool, key: str) -> None:
    """What is missing, and whether that matters."""
    monkeypatch.delenv("ACME_API_KEY")
    provider = replace(ACME, name="free", auth=vidpoll.Bearer("FREE_API_KEY", required=required))
    row = shell("plugins", plugins=(Plugin(provider, name="free"),))[1][-1]
    assert key in row


def test_a_plugin_that_is_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed as such, is not loaded, is no problem; and who asks for it is told where it went."""
    install(tmp_path, "rusty", "raise SystemError('loaded')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("VIDPOLL_DISABLE", " rusty ,other")
    assert main(["plugins"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("rusty")]
    assert row.endswith("switched off by VIDPOLL_DISABLE")
    assert main(["status", "rusty:j1"]) == 2
    assert capsys.readouterr().err == "vidpoll: the plugin rusty is switched off: take it out of VIDPOLL_DISABLE\n"


def test_hook_calls_are_traced(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """VIDPOLL_TRACE=1: each call on a line of standard error, with the plugin and the event, without a secret."""
    signed = {"status": "done", "video": "https://media.example/j1.mp4?X-Signature=abc"}
    monkeypatch.setenv("VIDPOLL_TRACE", "1")
    code, _, err = shell("wait", REF, script=[DRAWING, signed], plugins=(Ears(),))
    traced = [line for line in err if line.startswith("vidpoll: hook ")]
    assert code == 0
    assert "vidpoll: hook vidpoll_providers -> plugin acme-plugin" in traced
    assert any(line.startswith("vidpoll: hook vidpoll_completed -> plugin ") and REF in line for line in traced)
    assert not any("abc" in line or KEY in line for line in err)
    monkeypatch.setenv("VIDPOLL_TRACE", "0")
    assert not any("vidpoll: hook" in line for line in shell("wait", REF, script=[signed], plugins=(Ears(),))[2])


@pytest.mark.parametrize("source", ["import rust_that_is_not_there", "1 // 0", "raise SystemError('a\\nb')"])
def test_a_broken_plugin(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    """It is named with its problem on one line and costs the others nothing; asking for it says what is wrong."""
    install(tmp_path, "rusty", source)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["plugins"]) == 1
    said = capsys.readouterr()
    (row,) = [line for line in said.out.splitlines() if line.startswith("rusty")]
    assert row.split()[1:5] == ["1.2", "vidpoll-rusty", "-", "SKIPPED:"]
    assert said.err == ""
    assert main(["plugins", "--json"]) == 1
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert "does not import" in next(row["problem"] for row in rows if row["name"] == "rusty")
    assert main(["wait", "rusty:j1"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("vidpoll: the plugin rusty (vidpoll-rusty) is broken")
    assert err.count("\n") == 1


class Commands:
    """A plugin that brings a command."""

    name = "reports"

    def __init__(self, name: str = "report", run: Callable[[Any], Any] = lambda args: args.number) -> None:
        self.command, self.run = name, run

    @vidpoll.hookimpl
    def vidpoll_commands(self, register: Callable[..., None]) -> None:
        register(self.command, "write a report", lambda parser: parser.add_argument("number", type=int), self.run)


def test_commands_of_plugins(shell: Shell) -> None:
    """A plugin's command has a help and an exit code like ours; a bug in it is one line; ours are not replaced."""
    assert shell("report", "4", plugins=(Commands(),))[0] == 4
    assert shell("report", "4", plugins=(Commands(run=lambda args: None),))[0] == 0
    assert "  report      write a report" in shell("--help", plugins=(Commands(),))[1]
    assert "usage: vidpoll report [-h] number" in shell("report", "--help", plugins=(Commands(),))[1]
    assert shell("report", "x", plugins=(Commands(),)) == (
        2, [], ["vidpoll: report: argument number: invalid int value: 'x'; see vidpoll report --help"],
    )  # fmt: skip
    code, out, err = shell("report", "4", plugins=(Commands(run=lambda args: {}["sk-0123456789abcdef"]),))
    assert (code, out) == (1, [])
    assert err == ["vidpoll: a bug in vidpoll or in a plugin: KeyError: '[redacted]'; VIDPOLL_DEBUG=1 shows where"]
    code, out, err = shell("--help", plugins=(Commands("wait"),))
    assert code == 0
    assert len(err) == 1
    assert "there is a command 'wait' already" in err[0]


def test_debug_shows_the_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that says it is a bug also says how to see more."""
    monkeypatch.setenv("VIDPOLL_DEBUG", "1")
    _, _, err = shell("report", "4", plugins=(Commands(run=lambda args: 1 // 0),))
    assert err[0] == "Traceback (most recent call last):"
    assert err[-1].startswith("vidpoll: a bug")


def test_text_from_outside_never_reaches_the_terminal_raw(shell: Shell) -> None:
    """No escape sequence and no second line, whatever the provider or the user says."""
    for argv, script in ((("wait", REF), [{"status": "broken", "error": "a\x1b[31mb\nc"}]), (("wait\x1b[2J\n",), [])):
        _, out, err = shell(*argv, script=script)
        assert len(err) == 1
        assert all(line.isprintable() for line in out + err)


def test_an_encoding_that_cannot_say_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ASCII terminal gets an escape, not a traceback."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    code, _, err = shell("wait", REF, "--quiet", script=[{**DONE, "status": "gone", "error": "海"}])
    assert (code, len(err)) == (1, 1)
    code, _, _ = shell("status", REF, script=[{"status": "海"}, {"status": "broken", "error": "海"}])
    assert code in (1, 3)
    stream.seek(0)
    assert shell("status", REF, script=[{"status": "broken", "error": "海"}])[0] == 1
    stream.flush()
    assert rb"failed: \u6d77" in stream.buffer.getvalue()  # type: ignore[attr-defined]


# wrong use: one line, code 2, nothing sent

WRONG = {
    "": "",
    "wiat acme:j1": "no command 'wiat': did you mean 'wait'? See vidpoll --help",
    "--nonsense": "no command '--nonsense': See vidpoll --help",
    "wait": "wait: the following arguments are required: REF; see vidpoll wait --help",
    "wait j1": "'j1' is no reference: write ACCOUNT:ID, for example magicoal:j1",
    "wait acme:": "'acme:' has no id: write ACCOUNT:ID with the id that the submit answer gave",
    "wait acme:..": "'acme:..' is no job's id",
    "wait acme:j1 acmee:j2": "no provider 'acmee': did you mean 'acme'?",
    "wait acme:j1 --timeout -1": "wait: argument --timeout: '-1' is not a number of seconds from 0, or none",
    "wait acme:j1 --timeout nan": "wait: argument --timeout: 'nan' is not a number of seconds from 0, or none",
    "wait acme:j1 --key=x": "wait: unrecognized arguments: --key=x; see vidpoll wait --help",
    "wait acme:j1 --time 3": "wait: unrecognized arguments: --time",
    "wait acme:j1 other:j2 --base-url http://x": "--base-url is for one provider, and these are several: acme, other",
    "wait acme:j1 --base-url ftp://x": "acme: 'ftp://x' is no base URL",
    "wait acme:j1 --base-url http://x.example": "acme: the key would travel unencrypted to x.example",
    "wait acme": "acme is a provider: write acme:ID, with the id of the job",
    "download acme:j1 acme": "acme is a provider: write acme:ID",
    "status": "status: the following arguments are required: REF",
    "status ?:j1": "'?' is no account name",
    "submit": "submit: the following arguments are required: ACCOUNT, KIND; see vidpoll submit --help",
    "submit acme": "submit: the following arguments are required: KIND; see vidpoll submit --help",
    "submit acme film prompt=x": "acme: no submit operation 'film'; it has: clip",
    "submit acme clip prompt": "'prompt' is no field: write NAME=VALUE, like prompt='a lighthouse at dusk'",
    "submit acme clip =x": "'=x' is no field",
    "submit acme clip prompt=x prompt=y": "the field 'prompt' is given twice",
    "submit acme clip colour=red": "acme takes prompt and image",
    "submit acme clip image=@nowhere.jpg": "image: cannot read 'nowhere.jpg': No such file or directory",
    "submit nobody clip prompt=x": "no provider 'nobody'",
    "jobs": "jobs: name an ACCOUNT, or add --local",
    "jobs acme --limit 0": "jobs: argument --limit: '0' is not a whole number from 1",
    "jobs acme page": "'page' is no field",
    "quota nobody": "no provider 'nobody'",
    "delete nobody:j1 --yes": "no provider 'nobody'",
    "download acme:j1 --kinds ,": "--kinds: name at least one",
    "download acme:j1 acme:j2 --to a.mp4": "--to 'a.mp4' names one file, and there are 2 jobs; name a folder",
    "providers acme": "providers: unrecognized arguments: acme",
    "simulate nobody": "no simulator",
    "simulate --speed 0": "simulate: argument --speed: '0' is not a number above 0",
    "simulate --port-base 1.5": "simulate: argument --port-base: '1.5' is not a whole number from 1",
    "demo --speed inf": "demo: argument --speed: 'inf' is not a number above 0",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use(shell: Shell, line: str) -> None:
    """Wrong use is one line that names the way out, and code 2; nothing is sent."""
    code, out, err = shell(*line.split(), script=[])
    assert code == 2
    assert shell.wire.sent == []  # type: ignore[attr-defined]
    if line:
        assert (out, len(err)) == ([], 1)
        assert err[0].startswith(f"vidpoll: {WRONG[line]}")
    else:
        assert (err, out[0]) == ([], "usage: vidpoll COMMAND [options]")


def test_a_missing_key_names_its_variable(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any request."""
    monkeypatch.delenv("ACME_API_KEY")
    for line in ("wait acme:j1", "status acme:j1", "quota acme", "download acme:j1", "delete acme:j1 --yes"):
        code, out, err = shell(*line.split())
        assert (code, out, len(err)) == (2, [], 1)
        assert err[0].endswith("no key. Set the environment variable ACME_API_KEY")  # and nothing for scripts
        assert shell.wire.sent == []  # type: ignore[attr-defined]


def test_two_plugins_of_one_provider(shell: Shell) -> None:
    """Nobody could tell where a key would go: one line that names both."""
    code, out, err = shell("wait", REF, plugins=(Plugin(ACME, name="other"),))
    assert (code, out, len(err)) == (2, [], 1)
    assert "two plugins bring a provider 'acme'" in err[0]


def test_base_url(shell: Shell) -> None:
    """--base-url asks there."""
    assert shell("status", REF, "--base-url", "https://acme.test/v9/", script=[DONE])[0] == 0
    assert shell.wire.sent[0].url == "https://acme.test/v9/jobs/j1"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_with_an_example(shell: Shell, name: str) -> None:
    """`vidpoll COMMAND --help` says what it does, and shows how, in lines that fit."""
    code, out, err = shell(name, "--help")
    assert (code, err) == (0, [])
    assert out[0].startswith(f"usage: vidpoll {name}")
    assert "example:" in out
    assert out[out.index("example:") + 1].startswith(f"  vidpoll {name}")
    assert max(map(len, out)) <= 120


def test_help_and_version(shell: Shell) -> None:
    """The help names every command, the exit codes, and where keys come from."""
    code, out, err = shell("--help")
    assert (code, err) == (0, [])
    text = "\n".join(out)
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "exit codes: 0 completed" in text
    assert "keys:       from the environment alone" in text
    assert shell("--version") == (0, [f"vidpoll {vidpoll.__version__}"], [])


def test_python_m_vidpoll() -> None:
    """`python -m vidpoll` is the same command line, and a real pipe that closes leaves no noise behind."""
    done = subprocess.run([sys.executable, "-m", "vidpoll", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"vidpoll {vidpoll.__version__}\n", "")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "vidpoll", "--help"], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_standard_output(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vidpoll … >&-`: the exit code is the answer; a paid job's reference is told on stderr; a wait goes on."""
    monkeypatch.setattr(sys, "stdout", None)
    assert shell("status", REF, script=[DONE]) == (0, [], [])
    assert shell("wait", REF, script=[DRAWING, DONE]) == (0, [], [])
    code, _, err = shell("submit", "acme", "clip", "prompt=sea", script=[{"id": "j9", "status": "queued"}])
    assert (code, err) == (0, ["vidpoll: submitted: acme:j9"])
    monkeypatch.setattr(sys, "stderr", None)
    assert shell("status", REF, script=[BROKEN])[0] == 1
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert shell("delete", REF)[0] == 2  # nobody sees the question


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes the stream")
def test_a_closed_standard_output() -> None:
    """As a shell closes it."""
    command = ["sh", "-c", '"$0" -m vidpoll --version >&-', sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# transcripts and the heartbeat


def test_a_transcript_is_written_and_replayed(shell: Shell, tmp_path: Path) -> None:
    """What a wait has seen can be run through the parser again, by someone who has neither key nor network."""
    script = [QUEUED, UNAVAILABLE, {**DRAWING, "status": "odd"}, BROKEN]
    assert shell("wait", REF, "--quiet", "--transcript", "night.jsonl", script=script)[0] == 1
    lines = [json.loads(line) for line in (tmp_path / "night.jsonl").read_text().splitlines()]
    assert [(line["ref"], line["status"]) for line in lines] == [(REF, 200), (REF, 503), (REF, 200), (REF, 200)]
    code, out, err = shell("replay", "night.jsonl")
    assert (code, err) == (1, [])
    assert out[0] == "acme:j1 queued"
    assert out[1].startswith("acme:j1 no news: HTTP 503")
    assert out[2:] == [
        "acme:j1 queued unknown status 'odd'",
        "acme:j1 failed: out of paint",
        "4 answers; at the end: acme:j1 failed: out of paint",
    ]


def test_replay_of_an_unfinished_wait(shell: Shell) -> None:
    """It says what was known at the end, and exits as the wait did."""
    assert shell("wait", REF, "--quiet", "--timeout", "9", "--transcript", "t", script=[DRAWING])[0] == 3
    assert shell("replay", "t")[:2] == (
        3,
        ["acme:j1 running drawing", "acme:j1 drawing 10 %", "2 answers; at the end: acme:j1 running drawing 10 %"],
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read t: No such file or directory"),
        ("", "t holds no answers"),
        ("{}", "t, line 1: no answer of a transcript (`vidpoll wait --transcript`)"),
        ("[" * 9, "t, line 1: no answer of a transcript (`vidpoll wait --transcript`)"),
    ],
)
def test_what_is_no_transcript(shell: Shell, tmp_path: Path, text: str | None, said: str) -> None:
    """Wrong usage, in one line."""
    if text is not None:
        (tmp_path / "t").write_text(text)
    assert shell("replay", "t") == (2, [], [f"vidpoll: {said}"])


def test_a_transcript_that_cannot_be_written(shell: Shell) -> None:
    """Is told before anything is asked, or bought."""
    for words in (["wait", REF], ["submit", "acme", "clip", "prompt=x", "--wait"]):
        code, out, err = shell(*words, "--transcript", "no/such/folder/t", script=[DONE])
        assert (code, out) == (2, [])
        assert err == ["vidpoll: --transcript: cannot write no/such/folder/t: No such file or directory"]


def test_a_transcript_that_cannot_be_written_any_more(shell: Shell, tmp_path: Path) -> None:
    """The disk may fill during the wait: that is a line, and the exit code is still that of the job."""

    class Removes:
        @vidpoll.hookimpl
        def vidpoll_completed(self) -> None:
            (tmp_path / "night" / "t").unlink()
            (tmp_path / "night").rmdir()

    (tmp_path / "night").mkdir()
    code, _, err = shell("wait", REF, "--transcript", "night/t", script=[DONE], plugins=(Removes(),))
    assert (code, err) == (0, ["vidpoll: cannot write night/t: No such file or directory"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": None}, {"at": []}, {"at": "soon"}, {"at": float("nan")}, {"at": 10**400}, {"at": float("inf")},
        {"status": 99999}, {"status": -5}, {"status": True}, {"status": 1.5}, {"status": "200"},
        {"body": None}, {"headers": [["a", "b"]]}, {"headers": {"a": 7}}, {"ref": None}, {"ref": "acme"},
    ],
    ids=str,
)  # fmt: skip
def test_a_hostile_transcript(shell: Shell, tmp_path: Path, wrong: dict[str, object]) -> None:
    """Somebody sent the file: one line, exit code 2, and no hang."""
    good = {"ref": REF, "at": 1.0, "status": 200, "headers": {}, "body": "{}", "reason": None}
    (tmp_path / "t").write_text(json.dumps({**good, **wrong}))
    code, out, err = shell("replay", "t")
    assert (code, out, len(err)) == (2, [], 1)


def test_a_replay_says_where_the_wait_ended(shell: Shell, tmp_path: Path) -> None:
    """A file that covers two waits is not said to be read whole when the first one ended it."""
    entry = {"ref": REF, "at": 1.0, "status": 401, "headers": {}, "body": "{}", "reason": None}
    (tmp_path / "t").write_text("\n".join([json.dumps(entry)] * 3) + "\n\n")
    code, out, _ = shell("replay", "t")
    assert code == 3
    assert out[-2:] == ["the wait ends after 2 of them", "3 answers; at the end: acme:j1 not asked yet"]


class Display:
    """What a plugin shows instead of passing lines: it hears, and says nothing."""

    def __init__(self) -> None:
        self.began: list[str] = []

    @vidpoll.hookimpl
    def vidpoll_began(self, action: str) -> None:
        self.began.append(action)


class Displays:
    """An installed plugin that has a display."""

    def __init__(self) -> None:
        self.display = Display()

    @vidpoll.hookimpl
    def vidpoll_display(self, now: Callable[[], float]) -> Display:
        return self.display


def test_a_display_takes_the_place_of_what_passes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, verdicts and files stay lines; no stage, fault, heartbeat or bar is printed beside the display."""
    script = {"/jobs": [DRAWING, UNAVAILABLE, *[DRAWING] * 12, DONE], **MEDIA}
    plugin = Displays()
    assert any("drawing" in line for line in shell("wait", REF, script=script, plugins=(plugin,))[1])
    assert plugin.display.began == []
    monkeypatch.setattr("vidpoll.cli.output.Output.terminal", True)
    code, out, err = shell("wait", REF, "--download", "clips", script=script, plugins=(plugin,))
    assert (code, err, len(out)) == (0, [], 2)
    assert out[0].endswith("acme:j1 completed: video")
    assert plugin.display.began == ["wait", "download"]
    code, out, err = shell("download", REF, "--to", "clips", "--overwrite", script=script, plugins=(plugin,))
    assert (code, err) == (3, [line for line in err if "not completed yet" in line])
    code, out, err = shell("download", REF, "--overwrite", script={"/jobs": [DONE], **MEDIA}, plugins=(plugin,))
    assert (code, err, len(out), "\r" in "".join(out)) == (0, [], 1, False)
    assert plugin.display.began[2:] == ["wait", "wait", "download"]
    for option in ("--quiet", "--json"):
        shell("wait", REF, option, script=script, plugins=(plugin,))
        shell("download", REF, option, script={"/jobs": [DONE], **MEDIA}, plugins=(plugin,))
    assert len(plugin.display.began) == 5


def test_a_heartbeat_on_a_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing was said for half a minute, a line says what is going on; never into a pipe."""
    script = [DRAWING] * 12 + [DONE]  # it is called stalled at 20 s, so something was said then
    assert not any("still" in line for line in shell("wait", REF, script=script)[1])
    monkeypatch.setattr("vidpoll.cli.output.Output.terminal", True)
    _, out, _ = shell("wait", REF, script=script)
    (still,) = [line for line in out if "still" in line]
    assert still in [f"still drawing 10 %, 50 s, last answer {ago} s ago" for ago in (0, 5)]  # one is due right then
    two = {"/jobs/a": [DRAWING] * 12 + [DONE], "/jobs/b": [DRAWING] * 12 + [DONE]}
    _, out, _ = shell("wait", "acme:a", "acme:b", script=two)
    assert [line for line in out if "still" in line] == ["still 2 jobs, 50 s, last answer 5 s ago"]


def test_many_jobs_are_summed_up(shell: Shell) -> None:
    """Of nine jobs there is a line for each stage and each end, and one for all now and then, not one for each step."""
    steps = [{"status": "drawing", "progress": shown} for shown in range(10, 100, 10)]
    script = {f"/jobs/j{number}": [*steps, DONE] for number in range(9)}
    code, out, _ = shell("wait", *(f"acme:j{number}" for number in range(9)), script=script)
    assert code == 0
    assert len([line for line in out if " drawing 10 %" in line]) == 9
    assert not [line for line in out if "drawing 20 %" in line]
    summed = [line for line in out if "9 jobs: " in line]
    assert [line[11:] for line in summed[:2]] == ["9 jobs: 9 drawing 30 to 40 %", "9 jobs: 9 drawing 60 to 70 %"]
    assert summed[-1].endswith("9 jobs: 9 completed")
