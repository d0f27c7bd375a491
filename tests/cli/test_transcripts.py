"""Transcripts that are written and replayed, the heartbeat, and displays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from acme_provider import (
    BROKEN,
    DONE,
    DRAWING,
    QUEUED,
    REF,
    UNAVAILABLE,
)
from shell import MEDIA, Shell

import vidpoll


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
        "4 responses; final state: acme:j1 failed: out of paint",
    ]


def test_replay_of_an_unfinished_wait(shell: Shell) -> None:
    """It says what was known at the end, and exits as the wait did."""
    assert shell("wait", REF, "--quiet", "--timeout", "9", "--transcript", "t", script=[DRAWING])[0] == 3
    assert shell("replay", "t")[:2] == (
        3,
        ["acme:j1 running drawing", "acme:j1 drawing 10 %", "2 responses; final state: acme:j1 running drawing 10 %"],
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read t: No such file or directory"),
        ("", "t holds no responses; `vidpoll wait --transcript` writes a transcript"),
        ("{}", "t, line 1: not a line of a transcript; `vidpoll wait --transcript` writes one"),
        ("[" * 9, "t, line 1: not a line of a transcript; `vidpoll wait --transcript` writes one"),
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
    assert out[-2:] == ["the wait ends after 2 of the responses", "3 responses; final state: acme:j1 not polled yet"]


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
    assert still in [f"still drawing 10 %, 50 s, last response {ago} s ago" for ago in (0, 5)]  # one is due right then
    two = {"/jobs/a": [DRAWING] * 12 + [DONE], "/jobs/b": [DRAWING] * 12 + [DONE]}
    _, out, _ = shell("wait", "acme:a", "acme:b", script=two)
    assert [line for line in out if "still" in line] == ["still 2 jobs, 50 s, last response 5 s ago"]


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
