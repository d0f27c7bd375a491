"""vidpoll-log: every event one line, in two spellings; rotation; what a provider writes stays one value of one line."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import vidpoll_log
from acme_provider import BROKEN, DRAWING, MP4, REF, UNAVAILABLE, talk
from vidpoll_log import LogFile

import vidpoll

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SIGNED = {"status": "done", "video": "https://user:pw@cdn.example/j1.mp4?X-Signature=0123456789abcdef"}
SECRETS = ("0123456789abcdef", "pw@")
EVIL = 'x"} a=b\r\n{"event": "completed"}\x1b[2J\u202e=\\'

LINES = r"""
at=2027-01-15T08:00:00.000Z event=stage_changed ref=acme:j1
state=running stage=drawing progress=10.0 known=true text="acme:j1 running drawing"

at=2027-01-15T08:00:00.000Z event=progress ref=acme:j1
progress=10.0 stage=drawing text="acme:j1 drawing 10 %"

at=2027-01-15T08:00:05.000Z event=poll_failed ref=acme:j1
reason="HTTP 503 without JSON (no content type)" status=503 retry_in=5.0 in_a_row=1
text="acme:j1 no news: HTTP 503 without JSON (no content type); polling again in 5 s"

at=2027-01-15T08:00:10.000Z event=completed ref=acme:j1
assets="[{\"kind\": \"video\", \"url\": \"https://cdn.example/j1.mp4\", \"media_type\": null, \"size\": null}]"
text="acme:j1 completed: video"
"""
"""Four lines, broken to fit here."""


@pytest.fixture(autouse=True)
def forget():
    vidpoll_log._shared.cache_clear()
    yield
    vidpoll_log._shared.cache_clear()


def pairs(line: str) -> dict[str, str]:
    """A line of key=value parsed by independent rules: those of a shell."""
    return dict(part.split("=", 1) for part in shlex.split(line))


def test_a_batch(tmp_path):
    """Its stops and its end are also lines."""
    log = LogFile(tmp_path / "night.log")
    status = vidpoll.BatchStatus("night", 2, {"completed": 1}, {}, (), {"USD": 0.5}, {}, at=1_800_000_000.0)
    log.vidpoll_batch_stopped(status, vidpoll.Stopped("acme", "money", "", "again"), "stopped: money at acme")
    log.vidpoll_batch_ended(status, "night: 1 of 2 done")
    counts = "at=2027-01-15T08:00:00.000Z event={} ref=batch:night rows=2 done=1 states.completed=1 spent.USD=0.5"
    assert (tmp_path / "night.log").read_text(encoding="utf-8").splitlines() == [
        f'{counts.format("batch_stopped")} account=acme reason=money go_on=again text="stopped: money at acme"',
        f'{counts.format("batch_ended")} text="batch night: 1 of 2 done"',
    ]


def test_a_line_an_event(tmp_path):
    """Time, name and reference first; None is left out, the words of the event come last."""
    t = talk([DRAWING, UNAVAILABLE, SIGNED], plugins=(LogFile(tmp_path / "night.log"),))
    t.client.wait(REF)
    lines = (tmp_path / "night.log").read_text(encoding="utf-8").splitlines()
    assert lines == [line.replace("\n", " ") for line in LINES.strip().split("\n\n")]


def test_json_lines(tmp_path):
    """The name of the file asks for them; every line is an object, with the same values."""
    t = talk([DRAWING, {**BROKEN, "error": "out of paint"}], plugins=(LogFile(tmp_path / "night.jsonl"),))
    t.client.wait(REF, check=False)
    said = [json.loads(line) for line in (tmp_path / "night.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [each["event"] for each in said] == ["stage_changed", "progress", "failed"]
    assert list(said[0])[:3] == ["at", "event", "ref"]
    assert said[2] == {
        "at": "2027-01-15T08:00:05.000Z",
        "event": "failed",
        "ref": REF,
        "state": "failed",
        "problem": {"message": "out of paint", "code": None, "category": None, "charged": None},
        "cost": None,
        "text": "acme:j1 failed: out of paint",
    }


@pytest.mark.parametrize("name", ["night.log", "night.jsonl"])
def test_what_a_provider_writes_stays_one_value(name, tmp_path):
    """No line break, escape sequence, quote or `=` of a provider makes a line or a key of its own."""
    t = talk([{"status": EVIL}, {"status": "broken", "error": EVIL}], plugins=(LogFile(tmp_path / name),))
    t.client.wait(REF, check=False)
    text = (tmp_path / name).read_text(encoding="utf-8")
    lines = text.splitlines()
    events = [(json.loads(line) if name.endswith("l") else pairs(line))["event"] for line in lines]
    assert events == ["stage_changed", "failed"]
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("value", "written"),
    [("drawing", "drawing"), (7.5, "7.5"), (True, "true"), ("a=b", '"a=b"'), ("a b", '"a b"'), ('a"', r'"a\""')],
)
def test_a_value(value, written):
    """Bare where no reader can take it for something else, else quoted."""
    assert vidpoll_log._value(value) == written


@pytest.mark.parametrize("name", ["night.log", "night.jsonl"])
def test_no_secret(name, tmp_path):
    """A URL with a signature or a user name is written without it, and the key appears nowhere."""
    t = talk([SIGNED, (401, {}, b"")], plugins=(LogFile(tmp_path / name),))
    t.client.wait(REF)
    t.client.wait("acme:j2", check=False)
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert "https://cdn.example/j1.mp4" in text
    assert "gave_up" in text
    assert [secret for secret in (*SECRETS, "acme-secret") if secret in text] == []


def test_a_saved_file(tmp_path):
    """`downloaded` has the path and the size."""
    done = {"status": "done", "video": "https://api.acme.example/files/j1.mp4"}
    script = {"/jobs": [done], "/files": [(200, {"content-length": str(len(MP4))}, MP4)]}
    t = talk(script, plugins=(LogFile(tmp_path / "night.jsonl"),))
    (path,) = t.client.download(t.client.wait(REF), tmp_path)
    last = json.loads((tmp_path / "night.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (last["event"], last["path"], last["size"], last["kind"]) == ("downloaded", str(path), len(MP4), "video")


def test_rotation(tmp_path):
    """A file that would grow too large is renamed, `keep` of them stay, and no line is cut."""
    log = LogFile(tmp_path / "night.log", max_bytes=400, keep=2)
    t = talk([{"status": "drawing", "progress": number} for number in range(30)], plugins=(log,))
    t.client.wait(REF, timeout=140, check=False)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["night.log", "night.log.1", "night.log.2"]
    assert all(file.stat().st_size <= 400 for file in files)
    assert all(line.startswith("at=") for file in files for line in file.read_text(encoding="utf-8").splitlines())


def test_standard_error(capsys):
    """`-` is standard error as it is at that moment."""
    t = talk([BROKEN], plugins=(LogFile("-", json=True),))
    t.client.wait(REF, check=False)
    assert json.loads(capsys.readouterr().err)["event"] == "failed"


def test_the_environment(tmp_path, monkeypatch):
    """Installed, it is silent until `VIDPOLL_LOG` is set; then two clients write to one file, one line an event."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDPOLL_DISABLE", "apprise,command")

    def run() -> None:
        client = vidpoll.Client()
        report = next(report for report in client.plugins if report.name == "log")
        assert ("vidpoll_completed" in report.hooks, report.problem) == (bool(list(tmp_path.iterdir())), None)
        t = talk([BROKEN], plugins=(vidpoll_log,))
        t.client.wait(REF, check=False)

    run()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("VIDPOLL_LOG", "night.log")
    Path("night.log").touch()
    run()
    run()
    assert Path("night.log").read_text(encoding="utf-8").count("event=failed") == 2


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"VIDPOLL_LOG": "missing/night.log"},
            "the log .*night.log cannot be written to: check that its folder exists",
        ),
        ({"VIDPOLL_LOG": "."}, "cannot be written to: it is a folder"),
        (
            {"VIDPOLL_LOG": "a.log", "VIDPOLL_LOG_MAX_BYTES": "1e6"},
            "VIDPOLL_LOG_MAX_BYTES must be a whole number of bytes, .*got '1e6'",
        ),
    ],
)
def test_a_wrong_setting_is_heard_of_at_once(variables, said, tmp_path, monkeypatch):
    """When the client is made, not when the night is over; and the client works without it."""
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.warns(RuntimeWarning, match=f"plugin log sends no notifications: UsageError: .*{said}"):
        client = vidpoll.Client()
    assert re.search(said, next(report.problem for report in client.plugins if report.name == "log") or "")


def test_wrong_arguments():
    """Are refused with the way to write them."""
    with pytest.raises(
        vidpoll.UsageError,
        match="max_bytes must be a whole number from 0 and keep one from 1, got max_bytes=-1, keep=5",
    ):
        LogFile("x.log", max_bytes=-1)
    with pytest.raises(vidpoll.UsageError, match="keep=True"):
        LogFile("x.log", keep=True)


def test_a_disk_that_is_full_touches_no_wait(tmp_path):
    """The error is reported under the plugin's name, and the job comes back."""
    log = LogFile(tmp_path / "night.log")
    t = talk([BROKEN], plugins=(log,))
    log._handler.stream = Full()
    with pytest.warns(RuntimeWarning, match="plugin LogFile, vidpoll_failed raised OSError.*No space left"):
        job = t.client.wait(REF, check=False)
    assert job.state is vidpoll.State.FAILED


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_disk_that_is_full_ends_in_no_traceback():
    """A fault reported when the line was written is not reported again by Python as the process ends."""
    script = """if True:
        import logging, vidpoll_log
        log = vidpoll_log.LogFile("/dev/full")
        try:
            log._handler.handle(logging.LogRecord("vidpoll", logging.INFO, "", 0, "a line", None, None))
        except OSError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[Errno 28] No space left on device\n"
    assert done.stderr == ""


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_readme(tmp_path, monkeypatch, vidpoll_simulator):
    """Its script runs, against the simulator, and its lines are lines of this version."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vidpoll, "Client", vidpoll_simulator.client)
    job_id = vidpoll_simulator.seed_job("magicoal", "i2v", age=3600.0)
    exec(compile(block.replace("3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d", job_id), "README.md", "exec"), {})
    assert f"event=completed ref=magicoal:{job_id}" in Path("night.log").read_text(encoding="utf-8")
    for name in ("VIDPOLL_LOG", "VIDPOLL_LOG_MAX_BYTES"):
        assert f"| `{name}` |" in README
