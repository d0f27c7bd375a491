"""The commands about single jobs and accounts: status, submit, jobs, quota, delete, download."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import (
    ACME,
    BROKEN,
    DONE,
    DRAWING,
    HTML,
    MP4,
    REF,
    SLOW_DOWN,
    UNAVAILABLE,
    Plugin,
)
from shell import MEDIA, Interrupting, Shell, Terminal

import vidpoll
from vidpoll import Request, Snapshot, State, parsing
from vidpoll.cli.fields import read_fields, with_fields
from vidpoll.cli.output import iso
from vidpoll.testing import FakeClock


def test_status(shell: Shell) -> None:
    """One answer each; 0 completed, 1 not, 3 no verdict yet."""
    script = {"/jobs/a": [DONE], "/jobs/b": [BROKEN], "/jobs/c": [DRAWING]}
    code, out, err = shell("status", "acme:a", "acme:b", "acme:c", script=script)
    assert (code, err) == (3, [])
    assert out == ["acme:a completed: video", "acme:b failed: out of paint", "acme:c running drawing 10 %"]
    assert shell("status", "acme:a", "acme:b", script=script)[0] == 1
    assert shell("status", "acme:a", script=script)[0] == 0
    assert len(shell.wire.sent) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("answer", [UNAVAILABLE, HTML, (401, {}, b"")])
def test_status_without_news_is_unknown(shell: Shell, answer: Any) -> None:
    """An answer that says nothing about the job: a line at once, one at the end, and code 3; the others are asked."""
    code, out, err = shell("status", "acme:a", "acme:b", script={"/jobs/a": [answer], "/jobs/b": [DONE]})
    assert (code, out) == (3, ["acme:b completed: video"])
    assert len(err) == 2
    assert err[0].startswith("vidpoll: acme:a no news: HTTP ")
    assert err[1].startswith("vidpoll: acme:a: ")


def test_status_json(shell: Shell) -> None:
    """Machines get an object for each reference, with the error where there is no news."""
    code, out, _ = shell("status", REF, "--json", script=[UNAVAILABLE])
    assert code == 3
    assert json.loads(out[0])["error"]["type"] == "WaitTimeout"


def test_status_says_an_unknown_word_at_once(shell: Shell) -> None:
    """It is the provider's answer: one request, the word as it came, no verdict; the others are still asked."""
    script = {"/jobs/a": [{"status": "melting"}], "/jobs/b": [DONE]}
    code, out, err = shell("status", "acme:a", "acme:b", script=script)
    said = "acme:a melting (the plugin does not know this status)"
    assert (code, out, err) == (3, [said, "acme:b completed: video"], [])
    assert len(shell.wire.sent) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("first", [SLOW_DOWN, UNAVAILABLE, HTML])
def test_status_asks_until_an_answer_says_something(shell: Shell, first: Any) -> None:
    """`vidpoll wait R; vidpoll status R`: that the provider wants a pause says nothing about a completed job."""
    code, out, [said] = shell("status", REF, script=[first, DONE])
    assert (code, out) == (0, ["acme:j1 completed: video"])
    assert re.match(r"vidpoll: acme:j1 no news: HTTP .*; polling again in \d+ s$", said)
    assert len(shell.wire.sent) == 2  # type: ignore[attr-defined]


def test_status_of_many_ends_within_one_bound(shell: Shell) -> None:
    """A provider that is away is not waited for once for each job; every job is asked about, at least once."""
    script = {f"/jobs/{name}": [UNAVAILABLE] for name in "abc"}
    code, out, err = shell("status", "acme:a", "acme:b", "acme:c", script=script)
    assert (code, out, [" no news: " in line for line in err]) == (3, [], [True, False] * 3)
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
    assert "run `vidpoll resume`: it shows which jobs this may have become" in err[0]
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


@pytest.mark.parametrize("more", [["--no-store"], ["--once", "night-1"]])
def test_submit_interrupted_in_the_pause(shell: Shell, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    """The connection was refused: nothing was sent, the line says so, and the key is free."""
    get = FakeClock.get

    def interrupted(self: FakeClock, inbox: Any, timeout: float, *, busy: bool) -> Any:
        if not busy:
            raise KeyboardInterrupt
        return get(self, inbox, timeout, busy=busy)

    with monkeypatch.context() as paused:
        paused.setattr(FakeClock, "get", interrupted)
        code, _, err = shell("submit", "acme", "clip", "prompt=x", *more, script=[ConnectionRefusedError()])
    assert (code, err[-1]) == (130, "vidpoll: interrupted; nothing was sent and nothing was bought")
    assert shell("submit", "acme", "clip", "prompt=x", *more, script=[{"id": "j1"}])[:2] == (0, [REF])


def test_read_fields(tmp_path: Path) -> None:
    """JSON where a value is some, else text; @file is a text, or the file itself; @@ is an @."""
    (tmp_path / "prompt.txt").write_text("a sea\nat dusk\n", encoding="utf-8")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    texts = ["a=7", "b=true", "c=[1, 2]", 'd="7"', "e=NaN", "f=", "g=x=y", "h=@@home", "i={", "j=1.5", "k=null"]
    found, unsure = read_fields([*texts, "l=True", "m=False", "n=TRUE"])
    assert found == {
        "a": 7, "b": True, "c": [1, 2], "d": "7", "e": "NaN", "f": "", "g": "x=y", "h": "@home", "i": "{", "j": 1.5,
        "k": None, "l": True, "m": False, "n": "TRUE",
    }  # fmt: skip
    assert unsure == {"a": "7", "b": "true", "c": "[1, 2]", "j": "1.5", "k": "null", "l": "True", "m": "False"}
    assert read_fields([f"a=@{tmp_path / 'prompt.txt'}"]) == ({"a": "a sea\nat dusk"}, {})
    assert read_fields([f"a=@{tmp_path / 'photo.jpg'}"]) == ({"a": tmp_path / "photo.jpg"}, {})
    assert read_fields(["a=" + "[" * 100_000])[0]["a"].startswith("[[")


@pytest.mark.parametrize("value", ["@image1 walks through a garden", "@@home", "1e5", "true", "null", '"a"', "[1]", ""])
def test_text_is_text_where_the_field_is(value: str) -> None:
    """Whatever else it looks like: a prompt may begin with @, and read like a number."""
    assert read_fields([f"prompt={value}"], frozenset({"prompt"})) == ({"prompt": value}, {})


def test_how_a_value_is_meant_can_be_said(tmp_path: Path) -> None:
    """By what stands behind the name; a name with another colon in it is that name."""
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("@sea\n", encoding="utf-8")
    texts = [f"prompt:file={prompt}", "seed:json=null", "note:text=7", "a:b=7"]
    assert read_fields(texts, frozenset({"prompt"})) == (
        {"prompt": "@sea", "seed": None, "note": "7", "a:b": 7},
        {"a:b": "7"},
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "image=@no.jpg",
            "image: cannot read 'no.jpg': No such file or directory; if it is text, write image:text=@no.jpg",
        ),
        ("image:file=no.jpg", "image: cannot read 'no.jpg': No such file or directory"),
        ("image:file=a\0b", "image: cannot read 'a\\x00b': ValueError"),
        ("seed:json=[1", "seed:json='[1' is not JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        (":file=x", ""),
    ],
)
def test_what_is_not_as_it_was_said_to_be(text: str, said: str) -> None:
    if not said:
        assert read_fields([text]) == ({":file": "x"}, {})
        return
    with pytest.raises(vidpoll.UsageError) as caught:
        read_fields([text])
    assert caught.value.message == said


def checking(**fields: object) -> dict[str, object]:
    """A call as plugins check theirs."""
    rules: parsing.Rules = {
        "prompt": ("text", lambda value: isinstance(value, str)),
        "title": ("text", lambda value: isinstance(value, str)),
        "6.text": ("text", lambda value: isinstance(value, str)),
        "frames": ("an odd number", lambda value: isinstance(value, int) and value % 2),
    }
    return parsing.checked("submit clip", fields, rules)


@pytest.mark.parametrize(
    ("texts", "meant"),
    [
        (["prompt=2024", "frames=81"], {"prompt": "2024", "frames": 81}),
        (["prompt=1e3", "title=true"], {"prompt": "1e3", "title": "true"}),
        (["prompt=True"], {"prompt": "True"}),
        (["prompt=[1, 2]"], {"prompt": "[1, 2]"}),
        (["6.text=2024"], {"6.text": "2024"}),
        (['prompt="2024"', "title=null"], {"prompt": "2024"}),
    ],
)
def test_a_value_is_what_the_plugin_takes(texts: list[str], meant: dict[str, object]) -> None:
    """`prompt=2024` is a text and `frames=81` a number, without a word about either on the command line."""
    assert with_fields(checking, texts, None) == meant


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["frames=80"], "frames=80: it must be an odd number"),
        (["prompt=7", "frames=80"], "frames=80: it must be an odd number"),
        (['frames="81"'], "frames='81': it must be an odd number"),
        (["colour=7"], "submit clip takes no field 'colour'; it takes prompt, title, 6.text, frames"),
    ],
)
def test_a_value_that_is_wrong_either_way(texts: list[str], said: str) -> None:
    """What is told is what is wrong with the value as it was read first."""
    with pytest.raises(vidpoll.InvalidField) as caught:
        with_fields(checking, texts, None)
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
    answer = {"id": "j1", "rows": [{"id": "j1", "status": "queued"}]}
    code, _, err = shell(*argv, "prompt=2024", script=[answer], plugins=(Plugin(provider, name="strict-plugin"),))
    assert (code, err) == (0, [])
    (wire,) = shell.wire.sent  # type: ignore[attr-defined]
    assert "2024" in (wire.url if wire.body is None else json.loads(wire.body)["prompt"])


def test_price_does_not_speak_of_a_submit(shell: Shell) -> None:
    """What is wrong with a field is told of the command that was given."""
    clip = replace(ACME.submit["clip"], request=lambda given: Request("POST", "/jobs", json=checking(**given)))
    provider = Plugin(replace(ACME, name="strict", submit={"clip": clip}), name="strict-plugin")
    said = "strict clip takes no field 'colour'; it takes prompt, title, 6.text, frames"
    assert shell("price", "strict", "clip", "colour=red", plugins=(provider,))[2] == [f"vidpoll: price {said}"]


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
    assert shell("quota", "acme", script=[{"credits": 120}]) == (
        0,
        ["balance  120 credits", "prices   clip 50 credits"],
        [],
    )
    code, out, _ = shell("quota", "acme", "--json", script=[{"credits": 120}])
    assert code == 0
    assert json.loads(out[0]) == {
        "account": "acme", "plan": None, "limit": None, "used": None, "remaining": None, "unlimited": False,
        "balance": 120, "prices": {"clip": 50.0}, "unit": "credits", "reset_at": None,
    }  # fmt: skip
    code, out, err = shell("quota", "acme", script=[(403, {}, b"")])
    assert (code, out, len(err)) == (1, [], 1)


def test_iso() -> None:
    """Times are ISO 8601 in UTC; what is no time is none."""
    assert iso(1_800_000_000.9) == "2027-01-15T08:00:00Z"
    assert [iso(at) for at in (None, 1e30, float("inf"), float("nan"))] == [None] * 4


def test_delete_asks(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is destroyed without a yes; where nobody can say it, --yes is due."""
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    code, out, err = shell("delete", REF, script=[(204, {}, b"")])
    assert (code, out) == (0, ["acme:j1 deleted"])
    assert err == ["Delete at the provider, with all files and for good: acme:j1? [y/N] "]
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    code, out, err = shell("delete", REF)
    assert (code, out) == (1, [])
    assert err[0].endswith("vidpoll: nothing was deleted")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert shell("delete", REF) == (
        2,
        [],
        ["vidpoll: delete: standard input is not a terminal, so you cannot be asked; add --yes"],
    )


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
    assert (code, len(err), len(out)) == (0, 1, 2)
    assert err[0].startswith("vidpoll: acme:j1 no news: HTTP 503")
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
    line = "vidpoll download acme:j1 --to . --kinds video"
    assert (code, err) == (1, [f"vidpoll: acme:j1 has no thumbnail; it has: video. To save these: {line}"])
    assert shell("download", REF, script=[UNAVAILABLE])[0] == 3


def test_money_is_written_as_people_write_it(shell: Shell) -> None:
    """Not as 5.2e+06; cents are not lost."""
    code, _, [said] = shell("submit", "acme", "clip", "prompt=x", "--count", "104000", script=[{"credits": 0.5}])
    assert (code, shell.wire.sent[0].method) == (1, "GET")  # type: ignore[attr-defined]
    assert "104000 clip cost 5,200,000 credits, but the balance is 0.5: 5,199,999.5 are missing" in said
    assert str(vidpoll.Cost(5_200_000.25, 0.1)) == "5,200,000.25 credits charged, 0.1 refunded"


def test_jobs_that_are_completed_and_not_saved_are_counted_as_both(shell: Shell, tmp_path: Path) -> None:
    """They were paid for and are there: "not completed" would be wrong, and code 1 says that a file is missing."""

    class Takes:
        @vidpoll.hookimpl
        def vidpoll_completed(self) -> None:
            (tmp_path / "clips").write_text("mine", encoding="utf-8")

    script = {"/files/": [MP4], "": [DONE]}
    code, out, _ = shell("wait", "acme:a", "acme:b", "--download", "clips", script=script, plugins=(Takes(),))
    assert code == 1
    assert out[-1].endswith("2 jobs: 2 completed, files of 2 not saved")


@pytest.mark.parametrize(
    ("state", "done"), [(State.CANCELLED, True), (State.COMPLETED, False)], ids=["cancelled", "over"]
)
def test_a_cancel_whose_answer_is_the_verdict(shell: Shell, state: State, done: bool) -> None:
    """It is said and kept: a later wait asks nothing, at a provider that knows the job no more."""
    assert ACME.cancel is not None
    said = replace(ACME.cancel, parse=lambda response, job_id: Snapshot(state, job_id=job_id, assets_due=False))
    plugin = Plugin(replace(ACME, name="ender", cancel=said))
    kept = ("--store", "kept.sqlite3")
    code, out, _ = shell("cancel", "ender:j1", "--yes", *kept, script=[(200, {})], plugins=(plugin,))
    assert (code, out) == (0 if done else 1, [f"ender:j1 is {state}"])
    code, out, _ = shell("cancel", "ender:j2", "--yes", "--json", *kept, script=[(200, {})], plugins=(plugin,))
    assert json.loads(out[0]) == {"ref": "ender:j2", "cancelled": done, "error": None}
    code, out, err = shell("wait", "ender:j1", *kept, script=[], plugins=(plugin,))
    assert (code, f"ender:j1 {state}" in "".join(out + err), shell.wire.sent) == (1 if done else 0, True, [])  # type: ignore[attr-defined]


def test_price(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is and who says so; 1 where nobody knows, 2 for wrong fields; a page is named, with its date."""
    words = ["price", "acme", "clip", "prompt=x"]
    assert shell(*words, script=[{"credits": 120}]) == (0, ["50 credits, from the account's quota"], [])
    code, out, _ = shell(*words, "--json", script=[{"credits": 120}])
    assert (code, json.loads(out[0])) == (
        0,
        {
            "account": "acme",
            "operation": "clip",
            "price": {"low": 50.0, "high": 50.0, "unit": "credits"},
            "source": "quota",
        },
    )
    listed = vidpoll.PriceList("USD", "2026-11", "https://acme.example/pricing", lambda fields: (0.3, 0.45))
    paged = replace(ACME, name="paged", quota=None, submit={"clip": replace(ACME.submit["clip"], price=listed)})
    mute = replace(ACME, name="mute", quota=None)
    plugins = (Plugin(paged, name="p"), Plugin(mute, name="m"))
    line = "0.30 to 0.45 USD, from the vendor's page (https://acme.example/pricing, 2026-11)"
    assert shell("price", "paged", "clip", "prompt=x", plugins=plugins) == (0, [line], [])
    nobody = ["vidpoll: mute clip: the price of this job is unknown"]
    assert shell("price", "mute", "clip", "prompt=x", plugins=plugins) == (1, [], nobody)
    code, out, _ = shell("price", "mute", "clip", "prompt=x", "--json", plugins=plugins)
    assert (code, json.loads(out[0])["price"]) == (1, None)
    assert shell("price", "acme", "clip", "colour=1")[0] == 2
    code, _, [said] = shell("price", "acme")
    assert (code, said.startswith("vidpoll: price acme: name a KIND; acme has: clip")) == (2, True)
