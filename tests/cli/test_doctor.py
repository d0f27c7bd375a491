"""`vidpoll doctor`: each trouble has its line with what to do, costs no other line, and nothing secret is shown."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Callable, Mapping
from email.utils import formatdate
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import responses
from acme_provider import ACME, KEY, Plugin
from shell import Shell

import vidpoll
from vidpoll.cli import context, doctor, main
from vidpoll.cli.versions import version_of, versions
from vidpoll.polling.reach import Reach
from vidpoll.testing import FakeClock, FakeTransport

START = 1_800_000_000.0
PEM = "-----BEGIN CERTIFICATE-----\n"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"

Doctor = Callable[..., tuple[int, list[tuple[str, bool, str]]]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "VIDPOLL_TRANSPORT", "VIDPOLL_DISABLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(shell: Shell) -> Doctor:
    """Runs doctor; gives the exit code, and of each check its name, whether it is well, and its text."""

    def doctored(*argv: str, **options: Any) -> tuple[int, list[tuple[str, bool, str]]]:
        code, out, err = shell("doctor", "--json", *argv, **options)
        assert err == []
        return code, [tuple(json.loads(line).values()) for line in out]

    return doctored


def troubles(answer: tuple[int, list[tuple[str, bool, str]]]) -> list[tuple[str, str]]:
    """The troubles alone; the exit code is about them."""
    code, checks = answer
    wrong = [(name, text) for name, ok, text in checks if not ok]
    assert code == bool(wrong)
    assert {name for name, _, _ in checks} >= {"versions", "store"}
    return wrong


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bug report needs, a line each; what is not installed is said."""
    asked = []

    def version(name: str) -> str:
        asked.append(name)
        if name == "vidpoll-providers":
            raise metadata.PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(metadata, "version", version)
    said = versions()
    assert said[:5] == [
        f"vidpoll {vidpoll.__version__}", "vidpoll-providers not installed", "requests 1.2", "urllib3 1.2", "pluggy 1.2"
    ]  # fmt: skip
    assert [line.split()[0] for line in said[5:]] == ["Python", "platform"]
    assert version_of("vidpoll-providers") == "not installed"


def test_all_is_well_and_nothing_is_sent(shell: Shell, run: Doctor) -> None:
    """A line a check, in this order; no store is made; exit code 0."""
    code, checks = run()
    assert (code, [name for name, _, _ in checks]) == (
        0, ["versions", "proxies", "certificates", "store", "disk", "plugins", "acme", "transport"]
    )  # fmt: skip
    assert checks[6][2] == "ACME_API_KEY set; base URL https://api.acme.example/v1"
    assert shell.wire.sent == []  # type: ignore[attr-defined]
    assert list(Path().iterdir()) == []
    _, out, _ = shell("doctor")
    assert out[1:2] + out[-1:] == ["ok       proxies            none", "no trouble found"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"HTTPS_PROXY": "http://bob:pa#ss@h:1"}, [("proxies", "HTTPS_PROXY names is not a URL")]),
        ({"ALL_PROXY": "gopher://h"}, [("proxies", "ALL_PROXY names has an unknown scheme")] * 2),
        ({"REQUESTS_CA_BUNDLE": "/nowhere.pem"}, [("certificates", "REQUESTS_CA_BUNDLE names cannot be used")]),
        ({"CURL_CA_BUNDLE": "empty.pem"}, [("certificates", "there is no certificate in it")]),
        ({"SSL_CERT_FILE": "/nowhere.pem"}, [("certificates", "SSL_CERT_FILE is ignored, because there is no file")]),
        ({"VIDPOLL_STORE": "empty.pem/s.sqlite3"}, [("store", "empty.pem is not a folder")]),
        ({"ACME_API_KEY": f"{KEY}\n"}, [("acme", "ACME_API_KEY contains a line break")]),
        ({"ACME_API_KEY": f" {KEY}"}, [("acme", "ACME_API_KEY has spaces around it")]),
        ({"ACME_API_KEY": f"'{KEY}'"}, [("acme", "ACME_API_KEY has quotation marks around it")]),
        ({"ACME_API_KEY": f"{KEY}\u200b"}, [("acme", "contains a character that no key can contain")]),
        (
            {"ACME_BASE_URL": "acme"},
            [("acme", "'[redacted]' is not a base URL: it must begin with https:// (or http://); set ACME_BASE_URL")],
        ),
        ({"ACME_BASE_URL": "http://acme.example"}, [("acme", "the key would travel unencrypted")]),
    ],
)
def test_what_the_environment_has_wrong(
    given: Mapping[str, str], said: list[tuple[str, str]], run: Doctor, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One trouble, with its variable; the other checks are made all the same."""
    Path("empty.pem").write_text("", encoding="utf-8")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    options = ["--store", given["VIDPOLL_STORE"]] if "VIDPOLL_STORE" in given else []  # the shell sets its own
    found = troubles(run(*options))
    assert [name for name, _ in found] == [name for name, _ in said]
    assert all(part in text for (_, text), (_, part) in zip(found, said, strict=True))


def test_what_the_environment_says(run: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy without its login, and which file of certificates counts."""
    Path("own.pem").write_text(PEM, encoding="utf-8")
    monkeypatch.setenv("HTTPS_PROXY", "http://bob:hunter2@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "a.example")
    monkeypatch.setenv("CURL_CA_BUNDLE", "own.pem")
    code, checks = run()
    said = {name: text for name, _, text in checks}
    assert code == 0
    assert said["proxies"] == "https through http://proxy.example:3128 (HTTPS_PROXY), except for a.example (NO_PROXY)"
    assert said["certificates"].startswith("own.pem (CURL_CA_BUNDLE), OpenSSL ")


def test_a_store(run: Doctor, shell: Shell) -> None:
    """What is kept; a file that is none; a place that others may write to; --no-store."""
    shell("submit", "acme", "clip", "prompt=x", "--store", "s.sqlite3", script=[{"id": "j1"}])
    said = {name: text for name, _, text in run("--store", "s.sqlite3")[1]}
    assert said["store"] == "s.sqlite3: 1 job, 1 unfinished; `vidpoll resume --store s.sqlite3` continues them"
    assert run("--no-store")[1][3] == ("store", True, "none (--no-store)")
    Path("s.sqlite3").chmod(0o666)
    assert "can be written by others" in troubles(run("--store", "s.sqlite3"))[0][1]
    Path("s.sqlite3").write_text("no store at all, however long it may be", encoding="utf-8")
    Path("s.sqlite3").chmod(0o600)
    assert "is not an SQLite file" in troubles(run("--store", "s.sqlite3"))[0][1]


def test_a_store_that_is_locked_cannot_be_written(run: Doctor, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be read, and that is not enough: a transaction that writes nothing shows it."""
    shell("submit", "acme", "clip", "prompt=x", "--store", "s.sqlite3", script=[{"id": "j1"}])
    monkeypatch.setattr("vidpoll.storage.database.BUSY", 0.0)
    other = sqlite3.connect("s.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert [name for name, _ in troubles(run("--store", "s.sqlite3"))] == ["store"]
    other.close()


def test_nowhere_to_keep_anything(run: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is read-only, and a full disk."""
    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda path, mode: False)
        assert "is not writable: fix that" in troubles(run("--store", "s.sqlite3"))[0][1]
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    assert troubles(run()) == [("disk", "0.0 GB free at the store: free some space, or jobs cannot be kept there")]


def test_no_home(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Then no job is kept, which nobody notices before it is missed."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(context, "_data_home", homeless)
    monkeypatch.delenv("VIDPOLL_STORE", raising=False)
    assert main(["doctor"], client_factory=installed(monkeypatch), clock=FakeClock()) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("TROUBLE")]
    assert "this user has no home folder, so no job is kept: name a file with --store FILE or VIDPOLL_STORE" in line


def installed(monkeypatch: pytest.MonkeyPatch, *entries: str) -> Callable[..., vidpoll.Client]:
    """A client that finds these entry points, NAME=MODULE, and nothing else."""
    found = [metadata.EntryPoint(name, value, "vidpoll") for name, value in (each.split("=") for each in entries)]
    monkeypatch.setattr(metadata, "entry_points", lambda group: found)
    return lambda **options: vidpoll.Client(**{**options, "transport": options.get("transport", FakeTransport([]))})


def test_plugins_that_do_not_load(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken one has a line; two of one name leave no client, and that is the one line."""
    factory = installed(monkeypatch, "bad=no_such_module_of_ours")
    assert main(["doctor", "--no-store"], client_factory=factory, clock=FakeClock()) == 1
    out = capsys.readouterr().out.splitlines()
    (line,) = [line for line in out if line.startswith("TROUBLE")]
    assert "bad (no_such_module_of_ours) is skipped: does not import: ModuleNotFoundError" in line
    assert "VIDPOLL_DISABLE=bad" in line
    assert any("0 providers" in line for line in out)  # and it needs none
    factory = installed(monkeypatch, "acme=one:vidpoll_providers", "acme=two:vidpoll_providers")
    assert main(["doctor", "--no-store", "acme"], client_factory=factory, clock=FakeClock()) == 1
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in out if line.startswith("TROUBLE")] == ["plugins"]
    assert "uninstall one of them" in out[-2]


def test_a_hook_that_is_never_called_is_a_trouble(shell: Shell) -> None:
    """Nothing else would say why no hook fires."""

    class Unmarked:
        name = "night"

        @vidpoll.hookimpl
        def vidpoll_compleated(self) -> None:
            """No hook has this name."""

        def vidpoll_failed(self) -> None:
            """It is not marked."""

    code, out, _ = shell("doctor", plugins=(Unmarked(),))
    assert code == 1
    assert [line for line in out if line.startswith("TROUBLE")] == [
        "TROUBLE  plugins            night: vidpoll_failed is not called: mark it with @vidpoll.hookimpl",
        "TROUBLE  plugins            night: there is no hook vidpoll_compleated; did you mean vidpoll_completed?",
    ]
    assert out[-1] == "2 troubles found"


def test_a_transport_that_is_not_there(run: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one line, and the account is not asked by another one."""
    monkeypatch.setenv("VIDPOLL_TRANSPORT", "curl")
    assert ("transport", True, "curl (VIDPOLL_TRANSPORT)") in run()[1]  # that of the test, whatever it is called
    found = troubles(run("acme", "--transport", "pigeon"))
    assert [name for name, _ in found] == ["transport"]
    assert found[0][1].startswith("no transport 'pigeon'")


def dated(seconds: float, status: int = 404, **headers: str) -> Any:
    return (status, {"date": formatdate(START + seconds, usegmt=True), **headers}, b"")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (dated(59.0), []),
        (dated(-300.0, age="290"), []),
        ((200, {}, b""), []),
        ((200, {"date": "yesterday"}, b""), []),
        (dated(300.0), [("clock", "300 s behind that of acme: signed keys")]),
        (dated(-7200.0), [("clock", "7,200 s ahead of that of acme")]),
        (dated(0.0, 503), [("acme", "(HTTP 503, sent without the key): the server fails")]),
        (dated(0.0, 407), [("acme", "a proxy requires a user and a password")]),
        (
            ConnectionRefusedError(),
            [("acme", "The base URL was https://api.acme.example/v1 (set ACME_BASE_URL to change it)")],
        ),
        (RuntimeError("what?"), [("acme", "the request failed (RuntimeError)")]),
    ],
)
def test_an_account_that_is_named(answer: Any, said: list[tuple[str, str]], run: Doctor, shell: Shell) -> None:
    """One GET of its base URL, without the key: the way, the server, and the clocks."""
    found = troubles(run("acme", "acme", script=[answer]))
    assert [name for name, _ in found] == [name for name, _ in said]
    assert all(part in text for (_, text), (_, part) in zip(found, said, strict=True))
    (wire,) = shell.wire.sent  # type: ignore[attr-defined]
    assert (wire.method, wire.url, dict(wire.secret)) == ("GET", "https://api.acme.example/v1", {})


def test_what_is_wrong_with_an_account(run: Doctor, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody knows, and one without a key, whose host is asked all the same; what a call has wrong is 2."""
    assert [name for name, _ in troubles(run("nosuch", "acme", script=[dated(0.0)]))] == ["nosuch"]
    monkeypatch.delenv("ACME_API_KEY")
    assert troubles(run("acme", script=[dated(0.0)]))[0][1].startswith("no key. Set the environment variable ACME_")
    assert ("keys", True, "none is set; `vidpoll providers NAME` lists the variables of a provider") in run()[1]
    code, out, err = shell("doctor", "acme", "nosuch", "--base-url", "https://a.example")
    assert (code, out, len(err)) == (2, [], 1)


def test_a_check_that_breaks_costs_its_own_line(run: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised in it."""

    def broken() -> list[str]:
        raise ValueError("odd")

    monkeypatch.setattr(doctor, "versions", broken)
    assert troubles(run()) == [
        ("versions", "the check failed (ValueError: odd): this is a bug, report it with these lines")
    ]


@responses.activate
def test_reach_goes_through_the_transport() -> None:
    """That of requests here; the answer's time and clock are in it, and the key is not sent."""
    responses.get("https://api.acme.example/v1", status=401, headers={"Date": formatdate(START - 90, usegmt=True)})
    with vidpoll.Client(plugins=[Plugin(ACME)], discover=False, clock=FakeClock(START)) as client:
        assert client.reach("acme") == Reach("https://api.acme.example/v1", 401, 0.0, -90.0)
    assert "Authorization" not in responses.calls[0].request.headers


class Silent:
    """A transport whose answers never come."""

    spare = 1

    def __init__(self) -> None:
        self.aborted: list[object] = []

    def begin(self, wire: object, inbox: object, start: object = None) -> object:
        return wire

    def abort(self, ticket: object) -> None:
        self.aborted.append(ticket)

    def send(self, wire: object, ticket: object) -> Any:
        raise AssertionError

    def close(self) -> None:
        """Nothing is open."""


class Impatient(FakeClock):
    """Nothing comes, however busy it is."""

    def get(self, inbox: Any, timeout: float, *, busy: bool) -> Any:
        return super().get(inbox, timeout, busy=False)


def test_reach_is_bounded() -> None:
    """A server that says nothing is let go of when the time of one request is over."""
    silent, clock = Silent(), Impatient(START)
    with vidpoll.Client(plugins=[Plugin(ACME)], discover=False, clock=clock, transport=silent) as client:  # type: ignore[arg-type]
        with pytest.raises(vidpoll.ProviderError, match="no complete response within 40 s"):
            client.reach("acme")
    assert (clock.now - START, len(silent.aborted)) == (40.0, 1)


def test_the_page(shell: Shell) -> None:
    """Its command lines run, and its table has every check."""
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    calls = [shlex.split(line, comments=True)[1:] for line in block.splitlines()]
    assert [shell(*call, script=[dated(0.0)])[0] for call in calls] == [0, 0, 0]
    table = set(re.findall(r"^\| `(\w+)`", text, re.M))
    _, out, _ = shell("doctor", "acme", "--json", script=[dated(0.0)])
    assert {json.loads(line)["check"] for line in out} - {"acme"} <= table
