"""`vidpoll wait`: what is shown, what it exits with, what becomes of its lines."""

from __future__ import annotations

import errno
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from acme_provider import (
    BROKEN,
    DONE,
    DRAWING,
    HTML,
    MP4,
    QUEUED,
    REF,
    SAVING,
    UNAVAILABLE,
)
from shell import MEDIA, Interrupting, Pipe, Shell

import vidpoll
from vidpoll.cli import main
from vidpoll.cli.output import first_that_applies


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
    sentence = {**BROKEN, "error": "out of paint."}
    for script in ([BROKEN], [sentence]):
        code, out, err = shell("wait", REF, script=script)
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
    assert "refused the status request" in err[0]


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
    assert failed["problem"] == {"message": "out of paint", "code": None, "category": None, "charged": None}
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
    """No traceback for a disk that says no, also where it said yes when the wait began."""

    class Takes:
        @vidpoll.hookimpl
        def vidpoll_completed(self) -> None:
            (tmp_path / "file").touch()

    code, _, err = shell(command[0], REF, *command[1:], script={**MEDIA, "": [DONE]}, plugins=(Takes(),))
    assert code == 1
    assert len(err) == 1
    assert "cannot write" in err[0]


def test_files_of_several_jobs_at_once(shell: Shell, tmp_path: Path) -> None:
    """`--parallel` says of how many; it wants a number from 1, and `--download`."""
    refs = ("acme:a", "acme:b", "acme:c")
    code, out, err = shell("wait", *refs, "--download", "d", "--parallel", "2", script={**MEDIA, "": [DONE]})
    assert (code, err, len(list((tmp_path / "d").iterdir()))) == (0, [], 3)
    assert "3 jobs: 3 completed" in out[-1]
    code, _, err = shell("wait", *refs, "--parallel", "2", script=[DONE])
    assert (code, "add --download DIR" in err[0]) == (2, True)
    assert shell("wait", *refs, "--download", "d", "--parallel", "0", script=[DONE])[0] == 2


def test_files_come_while_others_are_drawn(shell: Shell) -> None:
    """A verdict is told when it comes, before its file."""
    script: Any = {"/jobs/a": [DONE], "/jobs/b": [DRAWING, BROKEN], "/files/": [(503, {}, b""), MP4]}
    _, out, _ = shell("wait", "acme:a", "acme:b", "--download", "d", script=script)
    said = [line.partition(" s  ")[2].partition(" (")[0] for line in out]
    assert said[0] == "acme:b running drawing 10 %"  # verdicts are gathered for a moment
    assert said[1] == "acme:a completed: video"
    assert said[2].startswith("acme:a video: 0 bytes, no news: HTTP 503")
    assert said[3].startswith("d/acme-a-")


def test_wait_interrupted(shell: Shell) -> None:
    """Ctrl-C prints the references left and the line that resumes them, as a shell takes it."""
    script = {"/jobs/a": [BROKEN], "/jobs/b": [QUEUED, DONE], "/jobs/c": [DRAWING]}
    code, _, err = shell(
        "wait", "acme:a", "acme:b", "acme:c d", "--download", "my clips", script=script, plugins=(Interrupting(),)
    )
    assert code == 130
    assert err[-2:] == [
        "vidpoll: interrupted; continuing at the provider: acme:c d; completed but not saved yet: acme:b",
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
    warnings.showwarning("chat: 1 event has not been delivered", RuntimeWarning, "notify.py", 242)
    assert capsys.readouterr().err == "vidpoll: warning: chat: 1 event has not been delivered\n"


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


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("taken", "Not a directory"),
        ("taken/clips", "Not a directory"),
        ("nowhere/clips", "No such file or directory"),
        ("x" * 999, "File name too long"),
        ("a\0b", "embedded null"),
        ("~nobody-of-that-name/clips", "home directory"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="other systems say it in other words")
def test_a_folder_that_nothing_can_be_saved_in(shell: Shell, tmp_path: Path, folder: str, why: str) -> None:
    """Is told before anything is asked, or bought."""
    (tmp_path / "taken").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "no such folder")
    for words in (["wait", REF], ["submit", "acme", "clip", "prompt=x"], ["resume", "--store", "s.sqlite3"]):
        code, out, err = shell(*words, "--download", folder, script=[DONE])
        assert (code, out, len(err)) == (2, [], 1)
        assert err[0].startswith(f"vidpoll: --download: cannot save files in {folder!r}: ")
        assert why in err[0]
        assert shell.wire.sent == []  # type: ignore[attr-defined]


def test_a_folder_that_has_to_be_made_is_made_for_a_file(shell: Shell, tmp_path: Path) -> None:
    """Not for a job that fails."""
    assert shell("wait", REF, "--download", "new/clips", script=[BROKEN])[0] == 1
    assert not (tmp_path / "new").exists()
    assert shell("wait", REF, "--download", "new/clips", script={"/jobs": [DONE], **MEDIA})[0] == 0
    assert len(list((tmp_path / "new" / "clips").iterdir())) == 1
