"""The command line as a whole: help, plugins, wrong use, streams."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from acme_provider import (
    ACME,
    BROKEN,
    DONE,
    DRAWING,
    KEY,
    REF,
    UNAVAILABLE,
    Ears,
    Plugin,
)
from shell import Shell, Terminal

import vidpoll
from vidpoll import declare
from vidpoll.cli import COMMANDS, main
from vidpoll.cli.context import accounts_of, header
from vidpoll.cli.versions import versions


def test_providers(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, and where each comes from; of one that is named also whether its key is set, never the key."""
    code, out, err = shell("providers")
    assert (code, out[1].split(), err) == (0, ["acme", "-", "acme-plugin"], [])
    assert json.loads(shell("providers", "--json")[1][0]) == {
        "name": "acme", "version": None, "distribution": "acme-plugin",
    }  # fmt: skip
    code, out, err = shell("providers", "acme")
    assert (code, err) == (0, [])
    operations = "status, list, quota, cancel, delete, submit clip"
    assert out[1].split("  ") == ["acme", "https://api.acme.example/v1", "ACME_API_KEY (set)", operations]
    monkeypatch.delenv("ACME_API_KEY")
    monkeypatch.setenv("ACME_BASE_URL", "https://user:pass@acme.test/v2")
    code, out, _ = shell("providers", "acme", "--json")
    assert json.loads(out[0]) == {
        "name": "acme", "base_url": "https://acme.test/v2", "keys": {"ACME_API_KEY": False}, "key_required": True,
        "floor": 5.0, "typical": None, "operations": operations.split(", "), "fields": {},
    }  # fmt: skip
    assert "ACME_API_KEY (not set)" in shell("providers", "acme")[1][1]
    monkeypatch.setenv("ACME_BASE_URL", KEY)  # a key in the wrong variable is not shown
    assert shell("providers", "acme")[1][1].split("  ")[1] == "[redacted]"


@pytest.mark.parametrize(
    ("given", "shown", "there"),
    [
        ((), "DUO_KEY (not set), or DUO_ID (not set) and DUO_SECRET (not set)", "not set"),
        (("DUO_ID",), "DUO_KEY (not set), or DUO_ID (set) and DUO_SECRET (not set)", "not set"),
        (("DUO_ID", "DUO_SECRET"), "DUO_KEY (not set), or DUO_ID (set) and DUO_SECRET (set)", "set"),
        (("DUO_KEY",), "DUO_KEY (set), or DUO_ID (not set) and DUO_SECRET (not set)", "set"),
    ],
)
def test_alternative_keys(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], shown: str, there: str
) -> None:
    """One of them is enough, and it is told which of their variables belong together."""
    for name in given:
        monkeypatch.setenv(name, KEY)
    auth = vidpoll.AnyOf(vidpoll.Bearer("DUO_KEY"), vidpoll.Basic("DUO_ID", "DUO_SECRET"))
    plugins = (Plugin(replace(ACME, name="duo", auth=auth), name="duo"),)
    assert shown in shell("providers", "duo", plugins=plugins)[1][1]
    (row,) = (line for line in shell("plugins", plugins=plugins)[1] if line.startswith("duo"))
    assert re.split("  +", row)[3] == there


def install(folder: Path, name: str, source: str, function: str = "") -> None:
    """What pip leaves behind of a plugin: a module, and a distribution that names it."""
    (folder / f"vidpoll_{name}.py").write_text(source, encoding="utf-8")
    about = folder / f"vidpoll_{name}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vidpoll-{name}\nVersion: 1.2\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[vidpoll]\n{name} = vidpoll_{name}{function}\n", encoding="utf-8")


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


def test_a_provider_that_is_loaded_by_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed without a look into it; whoever names it is told whether it is broken, and the exit code too."""
    install(tmp_path, "rusty", "raise SystemError('loaded')", ":vidpoll_providers")
    monkeypatch.syspath_prepend(tmp_path)
    assert (main(["plugins"]), main(["providers"])) == (0, 0)
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("rusty")]
    assert rows == [["rusty", "1.2", "vidpoll-rusty", "-", "provider", "rusty"], ["rusty", "1.2", "vidpoll-rusty"]]
    assert main(["plugins", "rusty", "--json"]) == 1
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["problem"], row["loaded"]) == ("does not import: SystemError: loaded", True)
    assert main(["providers", "rusty"]) == main(["wait", "rusty:j1"]) == 2
    broken = "vidpoll: the plugin rusty (vidpoll-rusty) is broken: does not import: SystemError: loaded"
    assert capsys.readouterr().err.splitlines() == [broken] * 2


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
    assert "a command 'wait' already exists" in err[0]


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


WRONG = {
    "": "",
    "wiat acme:j1": "no command 'wiat': did you mean 'wait'? see vidpoll --help",
    "--nonsense": "no command '--nonsense': see vidpoll --help",
    "wait": "wait: the following arguments are required: REF; see vidpoll wait --help",
    "wait j1": "'j1' is not a reference: write ACCOUNT:ID, like magicoal:j1",
    "wait xyz": "'xyz' is not a reference: write ACCOUNT:ID, like magicoal:xyz, or xyz:ID if that is the account",
    "wait acme:": "'acme:' has no id: write ACCOUNT:ID with the id from the submit response",
    "wait acme:..": "'acme:..' is not a job id",
    "wait acme:j1 acmee:j2": "no provider 'acmee': did you mean 'acme'?",
    "wait acme:j1 --timeout -1": "wait: argument --timeout: '-1' is not a number of seconds, 0 or more, or none",
    "wait acme:j1 --timeout nan": "wait: argument --timeout: 'nan' is not a number of seconds, 0 or more, or none",
    "wait acme:j1 --key=x": "wait: unrecognized arguments: --key=x; see vidpoll wait --help",
    "wait acme:j1 --time 3": "wait: unrecognized arguments: --time 3; did you mean --timeout? see vidpoll wait --help",
    "wait acme:j1 --tiemout=3 --dwnload x": (
        "wait: unrecognized arguments: --tiemout=3 --dwnload x; did you mean --timeout or --download? see vidpoll"
    ),
    "batch shots.csv --kinds nope": (
        "batch: unrecognized arguments: --kinds nope; write a field as NAME=VALUE: kinds=nope; see vidpoll batch --help"
    ),
    "wait acme:j1 other:j2 --base-url http://x": (
        "--base-url applies to one account, but this call uses several: acme, other"
    ),
    "wait acme:j1 --base-url ftp://x": "acme: 'ftp://x' is not a base URL",
    "wait acme:j1 --base-url http://x.example": "acme: the key would travel unencrypted to x.example",
    "wait acme": "acme is a provider: write acme:ID, with the id of the job",
    "download acme:j1 acme": "acme is a provider: write acme:ID",
    "status": "status: the following arguments are required: REF",
    "status ?:j1": "'?' is not an account name",
    "submit": "submit: the following arguments are required: ACCOUNT; see vidpoll submit --help",
    "submit acme": "submit acme: name a KIND; acme has: clip; vidpoll submit acme KIND --help lists its fields",
    "submit acme prompt=x": "submit acme: name a KIND; acme has: clip",
    "submit acme film prompt=x": "acme: no submit operation 'film'; it has: clip",
    "submit acme clip prompt": "'prompt' is not a field: write NAME=VALUE, like prompt='a lighthouse at dusk'",
    "submit acme clip --prompt sea": (
        "submit: unrecognized arguments: --prompt sea; write a field as NAME=VALUE: prompt=sea; see"
    ),
    "submit acme clip --prompt=sea --aspect-ratio 16:9 --mute": (
        "submit: unrecognized arguments: --prompt=sea --aspect-ratio 16:9 --mute; "
        "write a field as NAME=VALUE: prompt=sea aspect_ratio=16:9 mute=…; see vidpoll submit --help"
    ),
    "wait acme:j1 --stroe x": "wait: unrecognized arguments: --stroe x; did you mean --store? see vidpoll wait --help",
    "submit acme clip --counts 3": "submit: unrecognized arguments: --counts 3; did you mean --count? see",
    "submit acme clip =x": "'=x' is not a field",
    "submit acme clip prompt=x prompt=y": "the field 'prompt' is given twice",
    "submit acme clip colour=red": "acme takes prompt and image",
    "submit acme clip image=@nowhere.jpg": (
        "image: cannot read 'nowhere.jpg': No such file or directory; if it is text, write"
    ),
    "submit nobody clip prompt=x": "no provider 'nobody'",
    "jobs": "jobs: name an ACCOUNT, or add --local",
    "jobs acme --limit 0": "jobs: argument --limit: '0' is not a whole number, 1 or more",
    "jobs acme page": "'page' is not a field",
    "quota nobody": "no provider 'nobody'",
    "delete nobody:j1 --yes": "no provider 'nobody'",
    "download acme:j1 --kinds ,": "download: argument --kinds: name at least one",
    "wait acme:j1 --kinds audio": "--kinds says what --download saves: add --download DIR",
    "wait acme:j1 --store :memory:": "--store must be a file or a URL, got ':memory:'; to keep nothing use --no-store",
    "wait acme:j1 --header X=NOT_SET": "--header X=…: the environment variable NOT_SET must be set",
    "wait acme:j1 --header X=Secret1": "--header X=…: the text after = must be the name of a",
    "wait acme:j1 --header acne:X=HOME": "--header acne:X=HOME: there is no account 'acne'; did you mean 'acme'?",
    "wait acme:j1 --header mine:X=HOME": (
        "--header mine:X=HOME: there is no account 'mine'; write the name of a provider or of an --account"
    ),
    "wait acme:j1 --account mine=acne": "no provider 'acne': did you mean 'acme'?",
    "wait acme:j1 --header X": "wait: argument --header: 'X' is not NAME=VARIABLE",
    "wait acme:j1 other:j2 --header X=HOME": (
        "--header X=HOME applies to one account, but this call uses several: acme, other"
    ),
    "wait acme:j1 --patience 0": "wait: argument --patience: '0' is not a number of seconds above 0",
    "wait acme:j1 --http-timeout 5,x": "wait: argument --http-timeout: 'x' is not a number of seconds above 0",
    "wait acme:j1 --base-url http://me:pw@x": "wait: argument --base-url: the URL must not hold a user or password",
    "wait g:j1 --account g=acme@http://me:pw@x": "wait: argument --account: the URL must not hold a user or password",
    "upload acme a.mp4": "acme takes no uploads",
    "download acme:j1 acme:j2 --to a.mp4": "--to 'a.mp4' names one file, but there are 2 jobs: name a folder",
    "wait acme/j1": "'acme/j1' is not a reference: write acme:j1",
    "wait acme:j1 --store s.sqlite3 --no-store": "wait: argument --no-store: not allowed with argument --store; see",
    "submit acme clip prompt=x --transcript t.jsonl": "--transcript writes the responses of a wait: add --wait",
    "wait acme:j1 --base-url x": (
        "acme: '[redacted]' is not a base URL: it must begin with https:// (or http://); set --base-url to one like"
    ),
    "providers acne": "no provider 'acne': did you mean 'acme'?",
    "plugins acme": "plugins: no plugin 'acme' is installed; `vidpoll plugins` lists them",
    "simulate nobody": "no simulator",
    "simulate --speed 0": "simulate: argument --speed: '0' is not a number above 0",
    "simulate --port-base 1.5": "simulate: argument --port-base: '1.5' is not a whole number, 1 or more",
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


@pytest.mark.parametrize(
    ("ref", "said"), [(" acme:j1", "' acme' is not an acc"), ("acme:j1 ", "'acme:j1 ' is not a job")]
)
def test_outer_spaces_of_a_reference_are_shown(shell: Shell, ref: str, said: str) -> None:
    """Without them, the message would name what is right."""
    code, _, [err] = shell("wait", ref)
    assert (code, err.startswith(f"vidpoll: {said}")) == (2, True)


@pytest.mark.parametrize("command", ["status", "download"])
def test_a_poll_without_news_is_told_at_once(shell: Shell, command: str) -> None:
    """Each reason once, because many seconds may follow; not in what a program reads."""
    script = [UNAVAILABLE, UNAVAILABLE, (404, {}, b""), {**DONE, "video": "https://api.acme.example/v1/nope"}]
    _, _, err = shell(command, REF, "--no-store", "--timeout", "30", script=script)
    told = [line for line in err if "no news" in line]
    assert [re.findall(r"HTTP (\d+)", line) for line in told] == [["503"], ["404"]]
    assert all(line.startswith(f"vidpoll: {REF} no news: HTTP ") for line in told)
    quiet = [] if command == "status" else ["--quiet"]
    for option in ["--json", *quiet]:
        assert "no news" not in "".join(shell(command, REF, "--no-store", "--timeout", "30", option, script=script)[2])


def test_the_key_of_an_own_account_is_named_by_its_variable(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of the shell, and not the provider's."""
    monkeypatch.setenv("STUDIO_API_KEY", KEY)
    own = ("--account", "studio=acme", "--no-store")
    assert "Check the key (STUDIO_API_KEY)." in shell("wait", "studio:j1", *own, script=[(401, {}, b"")])[2][-1]
    monkeypatch.setenv("STUDIO_API_KEY", f"{KEY} ")
    assert shell("wait", "studio:j1", *own)[2] == [
        "vidpoll: studio: STUDIO_API_KEY is not a key: it has spaces, line ends or non-ASCII characters"
    ]


def test_a_header_is_of_an_account_that_exists(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a sheet may name one that the command line does not; `resume` also knows those of the store."""
    monkeypatch.setenv("FRONT", "Basic eDp5")
    args = argparse.Namespace(header=[header("studio:X-Front=FRONT")])
    assert accounts_of(["acme"], args, {})["studio"].headers == {"X-Front": "Basic eDp5"}
    store = ("--store", "kept.sqlite3")
    shell("submit", "studio", "clip", "prompt=x", "--account", "studio=acme", *store, script=[{"id": "j1"}])
    assert shell("resume", *store, "--header", "studio:X-Front=FRONT", script=[DONE])[0] == 0
    code, _, err = shell("resume", *store, "--header", "studoi:X-Front=FRONT")
    assert (code, err) == (
        2,
        ["vidpoll: --header studoi:X-Front=FRONT: there is no account 'studoi'; did you mean 'studio'?"],
    )


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
    assert "two plugins have a provider 'acme'" in err[0]


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
    codes = re.search(r"exit codes: (.*?)\nkeys:", text, re.DOTALL)
    assert codes
    ends = set(re.findall(r"\d+(?=:)", vidpoll.Batch.exit_code.__doc__ or ""))
    assert ends == {"0", "1", "3", "4", "130"}
    assert ends < set(re.findall(r"\d+", codes[1]))
    assert ends < set(re.findall(r"\d+", " ".join(shell("batch", "--help")[1]).partition("Exit codes:")[2]))
    assert "keys:       read only from environment variables" in text
    assert shell("--version") == (0, versions(), [])
    assert versions()[0] == f"vidpoll {vidpoll.__version__}"


def test_python_m_vidpoll() -> None:
    """`python -m vidpoll` is the same command line, and a real pipe that closes leaves no noise behind."""
    done = subprocess.run([sys.executable, "-m", "vidpoll", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n".join([*versions(), ""]), "")
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


def test_the_help_of_a_submit_lists_fields(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the kind that is named, each with what it must be; of all kinds where none is; else the plain help."""
    monkeypatch.setenv("COLUMNS", "120")
    words = {"done": vidpoll.State.COMPLETED}
    text, image = {"prompt": declare.text(20)}, {"picture": declare.image(), "prompt": declare.text()}
    job = declare.Reader(words)
    submit = {
        "text": declare.submit("POST /jobs", job, text, ("prompt",), others=declare.anything()),
        "image": declare.submit("POST /pictures", job, image, (("picture", "prompt"),)),
        "odd": vidpoll.Operation(lambda fields: vidpoll.Request("POST", "/odd"), job.submitted),
    }
    plugin = Plugin(replace(ACME, name="tables", submit=submit))

    def told(*argv: str) -> str:
        assert main([*argv], client_factory=partial(vidpoll.Client, plugins=[plugin], discover=False)) == 0
        return capsys.readouterr().out

    of_text = """\
fields of text:
  prompt  text of at most 20 characters, not empty; required
  ...     any other field: text, a finite number, True or False, or a list or mapping of these

example:
"""
    of_image = """\
fields of image:
  picture  an image: an https URL, base64, bytes, or a file as pathlib.Path; required, or prompt
  prompt   text, not empty; required, or picture

"""
    assert f"{of_text}  vidpoll submit tables text NAME=VALUE\n" in told("submit", "tables", "text", "--help")
    assert f"{of_text}  vidpoll submit mine text NAME=VALUE\n" in told(
        "submit", "-h", "mine", "--account", "mine=tables", "text"
    )
    assert of_image in told("submit", "tables", "--help")
    assert "fields of odd:\n  (its plugin does not list them)\n" in told("submit", "tables", "--help")
    assert "fields of" not in told("submit", "--help")
