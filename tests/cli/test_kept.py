"""What is kept is told as kept; what was refused before it was sent is not kept; what a job makes is saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, BROKEN, DONE, DRAWING, KEY, QUEUED, REF, UNAVAILABLE, Plugin, parse_status
from shell import MEDIA, Shell

import vidpoll
from vidpoll import parsing
from vidpoll.cli import main
from vidpoll.testing import FakeClock, FakeTransport

STORE = ("--store", "s.sqlite3")
DAY = "2027-01-15T08:00:00Z"


def local(shell: Shell) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shell("jobs", "--local", "--json", *STORE)[1]]


# -- status asks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (DONE, 0, "acme:j1 completed: video"),
        ((404, {}, b""), 1, f"acme:j1 completed: video (deleted at the provider; as kept on {DAY})"),
        (DRAWING, 0, f"acme:j1 completed: video (as kept on {DAY}; the provider reports that the job runs again)"),
        (UNAVAILABLE, 0, f"acme:j1 completed: video (as kept on {DAY}; polling the provider failed: "),
    ],
)
def test_status_asks_about_what_has_ended(shell: Shell, answer: Any, code: int, said: str) -> None:
    """A kept verdict is told with its day where the provider says nothing else; one that is deleted is told so."""
    shell("wait", REF, *STORE, "--quiet", script=[DONE])
    found = shell("status", REF, *STORE, script=[answer])
    assert (found[0], found[1][0][: len(said)]) == (code, said)
    no_news = f"vidpoll: {REF} no news: HTTP {answer[0]}" if isinstance(answer, tuple) else "no line"
    assert [line.startswith(no_news) for line in found[2]] == [True] * isinstance(answer, tuple)
    assert shell.wire.sent  # type: ignore[attr-defined]
    assert [job["state"] for job in local(shell)] == ["completed"]


def test_status_kept_asks_nobody(shell: Shell) -> None:
    """For scripts that want what is known here."""
    shell("wait", REF, *STORE, "--quiet", script=[BROKEN])
    code, out, err = shell("status", REF, *STORE, "--kept")
    assert (code, out) == (1, [f"acme:j1 failed: out of paint (as kept on {DAY}; not polled)"])
    assert (err, shell.wire.sent) == ([], [])  # type: ignore[attr-defined]
    code, out, err = shell("status", REF, *STORE, "--kept", "--json")
    assert (code, json.loads(out[0])["state"], err) == (
        1,
        "failed",
        [f"vidpoll: acme:j1: as kept on {DAY}; not polled"],
    )


def test_status_of_what_goes_on_is_kept_as_ever(shell: Shell) -> None:
    """A job without a verdict in the store is asked about, and what came is kept."""
    shell("wait", REF, *STORE, "--quiet", "--timeout", "0", script=[DRAWING])
    assert shell("status", REF, *STORE, "--kept", script=[DONE])[:2] == (0, ["acme:j1 completed: video"])
    assert [job["state"] for job in local(shell)] == ["completed"]


@pytest.mark.parametrize("script", [[DRAWING], [UNAVAILABLE, DRAWING]])
def test_status_ends_with_the_first_answer(shell: Shell, script: Any) -> None:
    """Also where it says what is kept already; a fault is no answer."""
    shell("wait", REF, *STORE, "--quiet", "--timeout", "0", script=[DRAWING])
    code, out, err = shell("status", REF, *STORE, script=script)
    assert (code, out) == (3, ["acme:j1 running drawing 10 %"])
    assert [line.startswith("vidpoll: acme:j1 no news: HTTP 503") for line in err] == [True] * (len(script) - 1)
    assert len(shell.wire.sent) == len(script)  # type: ignore[attr-defined]
    assert shell("download", REF, *STORE, script=script)[0] == 3
    assert len(shell.wire.sent) == len(script)  # type: ignore[attr-defined]


# -- lists ------------------------------------------------------------------------------------------------------------


def parse_rows(response: vidpoll.Response, job_id: str) -> vidpoll.Page:
    rows = parsing.json_object(response)["rows"]
    return vidpoll.Page(tuple(
        replace(parse_status(vidpoll.Response(200, {}, json.dumps(row).encode()), ""), job_id=row["id"]) for row in rows
    ))  # fmt: skip


def test_a_row_says_whether_it_is_confirmed_and_why_it_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list's verdict is its word alone; the reason that the row has is shown."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    provider = replace(ACME, list=replace(ACME.list, parse=parse_rows))  # type: ignore[arg-type, type-var]
    rows = [{**QUEUED, "id": "a"}, {**DONE, "id": "b"}, {**BROKEN, "id": "c"}]

    def run(*words: str) -> list[str]:
        def factory(**options: Any) -> vidpoll.Client:
            wire = FakeTransport([{"rows": rows}])
            return vidpoll.Client(plugins=[Plugin(provider)], discover=False, transport=wire, **options)

        assert main(words, client_factory=factory, clock=FakeClock()) == 0
        return capsys.readouterr().out.splitlines()

    assert run("jobs", "acme") == ["acme:a queued", "acme:b completed done", "acme:c failed broken: out of paint"]
    found = [json.loads(line) for line in run("jobs", "acme", "--json")]
    assert [(job["state"], job["ok"], job["confirmed"]) for job in found] == [
        ("queued", False, True), ("completed", False, False), ("failed", False, False),
    ]  # fmt: skip


def test_a_job_that_is_deleted_is_waited_for_no_longer(shell: Shell) -> None:
    """No verdict of it will come. One that is kept stays: what was bought, and what it cost."""
    for answer, left in ((QUEUED, []), (DONE, ["completed"])):
        shell("wait", REF, *STORE, "--timeout", "0", script=[answer])
        refused = shell("delete", REF, "--yes", *STORE, script=[(409, {}, b"")])
        assert (refused[0], len(local(shell))) == (1, 1)
        assert shell("delete", REF, "--yes", *STORE, script=[(204, {}, b"")]) == (0, ["acme:j1 deleted"], [])
        assert [job["state"] for job in local(shell)] == left


def test_an_empty_store_says_so(shell: Shell) -> None:
    """Which one, and of which account nothing is there."""
    assert shell("jobs", "--local", *STORE) == (0, [], ["vidpoll: no job is kept in s.sqlite3: there is no such file"])
    shell("wait", REF, *STORE, "--quiet", script=[DONE])
    assert shell("jobs", "other", "--local", *STORE)[2] == ["vidpoll: no job of other is kept in s.sqlite3"]


@pytest.mark.parametrize("words", [["resume"], ["jobs", "--local"], ["status", REF], ["download", REF]])
def test_a_command_that_reads_makes_no_store(shell: Shell, tmp_path: Path, words: list[str]) -> None:
    """Its name may be misspelt."""
    shell(*words, "--store", str(tmp_path / "typo" / "s.sqlite3"), script={**MEDIA, "": [DONE]})
    assert not (tmp_path / "typo").exists()


# -- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["--download", "d"]])
def test_a_wait_that_was_refused_is_not_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    """Without a key nothing was sent, so nothing is to be resumed; what was known before stays."""
    shell("wait", "acme:j0", *STORE, "--quiet", "--timeout", "0", script=[DRAWING])
    monkeypatch.delenv("ACME_API_KEY")
    assert shell("wait", REF, *STORE, *more)[0] == 2
    assert shell("wait", "acme:j0", *STORE, *more)[0] == 2
    assert [job["ref"] for job in local(shell)] == ["acme:j0"]


def test_a_verdict_that_is_kept_needs_no_key(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked for it."""
    shell("wait", REF, *STORE, "--quiet", script=[DONE])
    monkeypatch.delenv("ACME_API_KEY")
    assert shell("wait", REF, *STORE)[0] == 0


# -- what a job makes -------------------------------------------------------------------------------------------------


def parse_audio(response: vidpoll.Response, job_id: str) -> vidpoll.Snapshot:
    body = parsing.json_object(response)
    assets = parsing.assets(body.get("sound"), "audio") + parsing.assets(body.get("text"), "subtitle")
    return replace(parse_status(response, job_id), assets=assets, assets_due=False)


SPOKEN = {
    "status": "done",
    "sound": "https://api.acme.example/files/a.mp3",
    "text": "https://api.acme.example/files/a.srt",
}
MP3, SRT = b"ID3\x03" + bytes(200), b"1\n00:00:00,000 --> 00:00:01,000\nsea\n"


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Runs a command line at a provider whose jobs make speech and no video."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_API_KEY", KEY)
    provider = replace(ACME, status=replace(ACME.status, parse=parse_audio))

    def run(*words: str, script: Any) -> tuple[int, list[str], list[str]]:
        def factory(**options: Any) -> vidpoll.Client:
            wire = FakeTransport(script)
            return vidpoll.Client(plugins=[Plugin(provider)], **{**options, "discover": False}, transport=wire)

        code = main([*words, *STORE], client_factory=factory, clock=FakeClock())
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return run


FILES: dict[str, Any] = {"a.mp3": [MP3], "a.srt": [SRT], "": [SPOKEN]}


@pytest.mark.parametrize(
    ("words", "suffixes"),
    [
        (["wait", REF, "--download", "d"], [".mp3", ".srt"]),
        (["wait", REF, "--download", "d", "--kinds", "audio"], [".mp3"]),
        (["download", REF, "--to", "d/"], [".mp3", ".srt"]),
        (["download", REF, "--to", "d/", "--kinds", "subtitle"], [".srt"]),
    ],
)
def test_what_a_job_makes_is_saved(spoken: Any, tmp_path: Path, words: list[str], suffixes: list[str]) -> None:
    """The video where there is one; of a job that makes none, all that it has; `--kinds` chooses."""
    code, _, err = spoken(*words, script=FILES)
    assert (code, err) == (0, [])
    assert sorted(path.suffix for path in (tmp_path / "d").iterdir()) == suffixes


def test_resume_saves_what_was_asked_for(spoken: Any, tmp_path: Path) -> None:
    """With the kinds that were named then, or else what the job makes; and it is noted as done."""
    spoken("wait", REF, "--download", "d", "--timeout", "0", "--quiet", script=[QUEUED])
    spoken("wait", "acme:j2", "--download", "e", "--kinds", "audio", "--timeout", "0", "--quiet", script=[QUEUED])
    assert spoken("resume", "--quiet", script=FILES)[0] == 0
    assert sorted(path.suffix for path in (tmp_path / "d").iterdir()) == [".mp3", ".srt"]
    assert [path.suffix for path in (tmp_path / "e").iterdir()] == [".mp3"]
    assert spoken("resume", script=[])[1] == ["nothing is left to wait for"]


def test_a_kind_that_is_not_there_is_an_error(spoken: Any) -> None:
    """Named by hand, the video is not taken for something else."""
    code, _, [said] = spoken("wait", REF, "--download", "d", "--kinds", "video", "--quiet", script=FILES)
    assert (code, "has no video; it has: audio, subtitle" in said) == (1, True)


def test_the_home_of_a_user(spoken: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A quoted `~` is the home, for files and for stores."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert spoken("wait", REF, "--download", "~/clips", "--quiet", script=FILES)[0] == 0
    assert len(list((tmp_path / "home" / "clips").iterdir())) == 2
