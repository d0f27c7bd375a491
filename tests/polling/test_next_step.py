"""The lines with which errors end are taken as they are printed: in a shell, or in the program that printed them."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from provider_cases import CASES, KEY, quick
from raw_server import answers, chaos, says

import vidpoll
from vidpoll.cli import main
from vidpoll.faults import Fault
from vidpoll.net.accounts import OpenAccount
from vidpoll.polling import next_step

CASE = CASES[1]
GONE = answers({"message": "later"}, status=503)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The key is where a shell has it; no store of the user's is touched."""
    monkeypatch.setenv("TOKEN360_API_KEY", KEY)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


class Plugin:
    """The provider, asked often; its name is that of the installed one."""

    @vidpoll.hookimpl
    def vidpoll_providers(self) -> Any:
        yield quick(CASE.provider)


def client(name: str, url: str | None) -> vidpoll.Client:
    account = vidpoll.Account(CASE.name, base_url=url, key=KEY)
    return vidpoll.Client(accounts={name: account}, plugins=[Plugin()], discover=False)


def account(name: str = CASE.name, base_url: str | None = None, **environ: str) -> OpenAccount:
    return OpenAccount(name, vidpoll.Account(CASE.name, base_url=base_url, key=KEY), CASE.provider, environ)


@pytest.mark.parametrize("by", ["its variable", "its base_url"])
def test_the_resume_line_goes_on_where_the_account_was_asked(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shell that knows nothing of the program."""
    with chaos(GONE, answers(CASE.completed)) as server:
        if by == "its variable":
            monkeypatch.setenv("TOKEN360_BASE_URL", server.url)
        with client(CASE.name, server.url if by == "its base_url" else None) as asking:
            error = asking.wait(CASE.ref, timeout=0, check=False).error
        line = str(error).rpartition("Resume: ")[2]
        assert ("--base-url" in line) == (by == "its base_url")
        assert shlex.split(line)[:3] == ["vidpoll", "wait", CASE.ref]
        assert main([*shlex.split(line)[1:], "--quiet", "--no-store"]) == 0


@pytest.mark.parametrize(("name", "own"), [("gpu2", True), (CASE.name, True), (CASE.name, False)])
def test_the_resume_call_goes_on_in_the_program(name: str, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the client, where only that knows the account; else by the module alone."""
    with chaos(GONE, answers(CASE.completed)) as server:
        monkeypatch.setenv("TOKEN360_BASE_URL", server.url)
        with client(name, server.url if own else None) as asking:
            error = asking.wait(f"{name}:{CASE.job_id}", timeout=0, check=False).error
            assert isinstance(error, vidpoll.OutcomeUnknown)
            assert str(error.resume).startswith("client." if own else "vidpoll.")
            assert eval(str(error.resume), {"client": asking, "vidpoll": vidpoll}).ok


def test_the_lines_about_the_account_work_too() -> None:
    """`vidpoll jobs` after a submit of unknown outcome."""
    rows = answers({"object": "list", "data": [CASE.running], "has_more": False})
    with chaos(says(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"), rows) as server:
        with client(CASE.name, server.url) as asking, pytest.raises(vidpoll.SubmitUnknown) as caught:
            asking.submit(CASE.name, CASE.submit[0], **CASE.submit[1])
        line = re.search(r"Look for it in `(vidpoll jobs .+?)`", str(caught.value))
        assert line is not None
        assert main(shlex.split(line[1])[1:]) == 0


@pytest.mark.parametrize(
    ("opened", "line"),
    [
        (account(), "vidpoll quota token360"),
        (account(base_url="http://10.0.0.7:8080"), "vidpoll quota token360 --base-url http://10.0.0.7:8080"),
        (account("gpu2"), 'client.quota("gpu2")'),
    ],
)
def test_what_is_left_is_asked_of_the_same_account(opened: OpenAccount, line: str) -> None:
    """By name, at its address."""
    assert next_step.quota_line(opened) == line


BASE = "https://api.token360.ai/v1"


@pytest.mark.parametrize(
    ("target", "base"),
    [
        ("https://new.example/v1/videos", "https://new.example/v1"),
        ("https://new.example/v1/videos/", "https://new.example/v1"),
        ("http://api.token360.ai/v1/videos", "http://api.token360.ai/v1"),
        (f"{BASE}/videos/", ""),
        ("https://new.example/login", ""),
        ("https://new.example/", ""),
        ("ftp://new.example/v1/videos", ""),
    ],
)
def test_where_a_redirect_says_that_the_api_is(target: str, base: str) -> None:
    """Only where the same path is asked for at another base URL."""
    assert next_step.moved_to(target, account(), "/videos") == base


@pytest.mark.parametrize(
    ("base_url", "path", "told"),
    [
        ("http://h/api/v1", "/api/v1/tasks/7", "http://h/api/v1/api/v1/tasks/7 has /api/v1 twice. Set X to http://h"),
        (
            "http://h/mpt/api",
            "/api/v1/tasks/7",
            "http://h/mpt/api/api/v1/tasks/7 has /api twice. Set X to http://h/mpt",
        ),
        ("http://h/v2", "/videos/7", f"http://h/v2/videos/7. Set X to a base URL like {BASE}"),
    ],
)
def test_what_is_wrong_with_an_address(base_url: str, path: str, told: str) -> None:
    """A prefix that is given twice, or an address that is another."""
    opened = account(TOKEN360_BASE_URL=base_url)
    said = next_step.wrong_address(opened, path).replace("TOKEN360_BASE_URL", "X")
    assert said == f"That response is not from the API, so the base URL may be wrong: {told}"


def test_most_faults_have_no_next_step() -> None:
    """And no empty sentence."""
    assert next_step.advice(Fault("HTTP 500", 500), account()) == ""
    assert next_step.advice(Fault("HTTP 403", 403, page=True), account()) == ""
