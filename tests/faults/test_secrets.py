"""Secrets: whatever fails and whatever the server echoes, no key is shown, logged, raised, pickled or handed to a hook.

What is looked through: every event, every error with all that hangs on it, the job, the log at every level with what
requests and urllib3 write there, and the pickles of all of these.
"""

from __future__ import annotations

import json
import logging
import pickle
import traceback
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from acme_provider import Plugin
from leaks import everything, leaks, shown
from provider_cases import CASES, KEY, Case, chain, client_of, each_provider, raw, real_client, waiting
from raw_server import answers, chaos, hangs, resets, says

import vidpoll
from vidpoll.net.accounts import OpenAccount, scrub

both = pytest.mark.usefixtures("transport")

SIGNATURE = "5ignatur3"
ESCAPED = json.dumps(KEY)[1:-1].replace("/", "\\/")
UNICODE = "".join(f"\\u{ord(char):04x}" for char in KEY)
NASTY = "\x1b[31mred\x1b[0m\x1b]0;title\x07\r\nline two\x00\u202etxt\x9b2J\u2028"


# -- a server that echoes the key -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Echo:
    """A way to echo the key back: its name, and the answer to a status question."""

    name: str
    answer: Callable[[Case], vidpoll.Response]

    def __str__(self) -> str:
        return self.name


def written(case: Case, field: str, text: str) -> bytes:
    """The failed answer with `text` as it stands in a field."""
    return json.dumps(case.saying(case.failed, **{field: "@@"})).replace("@@", text).encode()


ECHOES = [
    Echo("an error text", lambda case: raw({"error": {"message": f"bad key {KEY}", "code": KEY}}, status=401)),
    Echo("an error text, JSON-escaped", lambda case: raw(f'{{"message": "bad {ESCAPED}!"}}'.encode(), status=500)),
    Echo("an error text in \\u escapes", lambda case: raw(f'{{"message": "bad {UNICODE}!"}}'.encode(), status=403)),
    Echo("the details of an error", lambda case: raw({"error": {"message": "no", "details": {"k": KEY}}}, status=402)),
    Echo("plain text", lambda case: raw(f"bad key {KEY}".encode(), status=500, headers={"content-type": "text/plain"})),
    Echo("a page", lambda case: raw(f"<html>{KEY}</html>".encode(), headers={"content-type": "text/html"})),
    Echo(
        "a percent-encoded URL",
        lambda case: raw({"message": f"GET /?k={urllib.parse.quote(KEY, safe='')}"}, status=500),
    ),
    Echo("the request id", lambda case: raw(b"", status=401, headers={"x-request-id": KEY})),
    Echo("the content type", lambda case: raw(b"", status=500, headers={"content-type": KEY})),
    Echo(
        "every header", lambda case: raw(b"", status=403, headers=dict.fromkeys(("trace-id", "retry-after", "x"), KEY))
    ),
    Echo("the status word", lambda case: raw(case.saying(case.running, **{case.word: KEY}))),
    Echo("the status word, JSON-escaped", lambda case: raw(written(case, case.word, ESCAPED))),
    Echo("the stage", lambda case: raw(case.saying(case.running, stage=KEY))),
    Echo("the job's id", lambda case: raw(case.saying(case.running, **{case.id_field: KEY}))),
    Echo("the reason of a failure", lambda case: raw(written(case, "error", f"bad key {ESCAPED}"))),
    Echo(
        "the video's URL", lambda case: raw(case.saying(case.completed, **{case.video: f"https://x.example/?k={KEY}"}))
    ),
    Echo("a field that nobody reads", lambda case: raw(case.saying(case.failed, debug={"headers": [f"Bearer {KEY}"]}))),
    Echo("a field that nobody reads, in \\u", lambda case: raw(written(case, "debug", UNICODE))),
]


@each_provider
@pytest.mark.parametrize("echo", ECHOES, ids=str)
def test_a_key_that_is_echoed_is_nowhere_to_be_seen(echo: Echo, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """Not in an event, a hook, a log, the job, the error, its chain, or a pickle of any of these."""
    caplog.set_level(logging.DEBUG, logger="")
    for script in ([case.running, echo.answer(case)], [echo.answer(case)]):
        told = waiting(case, script, timeout=60)
        assert told.error is not None or told.job.ok
        assert leaks(everything(told, caplog)) == []


@each_provider
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_key_that_is_echoed_to_other_operations(status: int, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """Submit, list, quota and delete."""
    caplog.set_level(logging.DEBUG, logger="")
    kind, fields = case.submit
    said = raw(
        {"message": f"bad {KEY}", "error": {"message": KEY, "code": KEY, "details": {"k": KEY}}},
        status=status,
        headers={"x-request-id": KEY},
    )
    told = client_of(case, [said])
    calls: list[Callable[[], Any]] = [
        lambda: told.client.submit(case.name, kind, **fields),
        lambda: list(told.client.jobs(case.name)),
        lambda: told.client.poll(told.job),
    ]
    calls += [lambda: told.client.quota(case.name)] if case.provider.quota else []
    for call in calls:
        with pytest.raises(vidpoll.VidpollError) as caught:
            call()
        told.error = caught.value
        assert leaks(everything(told, caplog)) == []


def test_a_secret_that_is_minted_does_not_oust_the_lasting_one() -> None:
    """A thousand tokens later the key is still known, and the last tokens are too."""
    case, counter = CASES[0], iter(range(10_000))
    auth = vidpoll.Minted(
        ("ACME_KEY",), lambda request, secrets: {"Authorization": f"Bearer token-number-{next(counter)}"}
    )
    provider = vidpoll.Provider("magicoal", case.provider.base_url, auth, case.provider.pacing, case.provider.status)
    account = OpenAccount("magicoal", vidpoll.Account("magicoal", key=KEY), provider, {})
    for asked in range(1000):
        secrets = account.wire(vidpoll.Request("GET", "/x"), timeout=(1, 1)).secrets
        clean = scrub(vidpoll.Response(200, {"x": KEY}, f"{KEY} token-number-{asked}".encode()), secrets)
        assert (clean.body, clean.header("x")) == (b"[redacted] [redacted]", "[redacted]")


# -- what a wait shows of its own -------------------------------------------------------------------------------------

ENDINGS: dict[str, Callable[[Case], Any]] = {
    "completed": lambda case: [case.completed],
    "failed": lambda case: [case.failed],
    "expired": lambda case: [raw(b"", status=410)],
    "WaitTimeout": lambda case: [case.running],
    "ProviderUnreachable": lambda case: [raw(b"", status=503)],
    "JobNotFound": lambda case: [raw(b"", status=404)],
    "WaitRefused": lambda case: [raw(b"", status=401)],
    "a transport that raises": lambda case: [RuntimeError(f"Authorization: Bearer {KEY}")],
    "a connection that is refused": lambda case: [ConnectionRefusedError(KEY)],
}


@each_provider
@pytest.mark.parametrize("ending", ENDINGS)
def test_no_ending_shows_the_key(ending: str, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """Nor a signed query, but in the URL that one has to ask for."""
    caplog.set_level(logging.DEBUG, logger="")
    told = waiting(case, ENDINGS[ending](case), timeout=1200)
    assert leaks(everything(told, caplog)) == []
    visible = [str(event) + repr(event) for event in told.events] + [
        str(told.error),
        repr(told.error),
        repr(told.job),
        caplog.text,
    ]
    assert SIGNATURE not in "".join(visible)
    assert SIGNATURE not in repr(told.job.assets) + repr(told.job.snapshot)


@each_provider
def test_what_holds_a_key_does_not_show_it(case: Case) -> None:
    """Account, Client, OpenAccount, WireRequest; and an Account with a key is not pickled."""
    account = vidpoll.Account(case.name, base_url=f"https://user:{SIGNATURE}@x.example/?k={SIGNATURE}", key=KEY)
    told = waiting(case, [case.completed])
    state = next(iter(told.client._states.values()))
    wire = told.wire.sent[0]
    text = "".join(map(repr, (account, told.client, state, state.opened, wire, wire.secret and [wire])))
    assert leaks(text) == []
    assert SIGNATURE not in text
    with pytest.raises(TypeError):
        pickle.dumps(account)
    with pytest.raises(vidpoll.UsageError) as caught:
        vidpoll.Client(accounts={case.name: account}, plugins=[Plugin(case.provider)], discover=False).wait(case.ref)
    assert SIGNATURE not in shown(caught.value)


FAULTS = {
    "a good answer": lambda case: [answers(case.completed)],
    "a 401": lambda case: [answers({"message": "no"}, status=401)],
    "a reset": lambda case: [resets()],
    "a hang": lambda case: [hangs()],
    "garbage that echoes": lambda case: [says(f"{KEY}\r\n\r\n".encode())],
    "a status line that echoes": lambda case: [says(f"HTTP/1.1 500 {KEY}\r\nContent-Length: 0\r\n\r\n".encode())],
    "a header line that is none and echoes": lambda case: [says(f"HTTP/1.1 500 X\r\nX: y\r\n{KEY}\r\n\r\n".encode())],
    "a lone CR that begins a line and echoes": lambda case: [says(f"HTTP/1.1 500 X\r\nX: y\r{KEY}\r\n\r\n".encode())],
    "a name with a space that echoes": lambda case: [says(f"HTTP/1.1 500 X\r\n{KEY} x: y\r\nX: y\r\n\r\n".encode())],
    "a first line that goes on with none and echoes": lambda case: [
        says(f"HTTP/1.1 500 X\r\n {KEY}\r\nX: y\r\n\r\n".encode())
    ],
    "a head that is cut and echoes": lambda case: [says(f"HTTP/1.1 500 X\r\nX: y\r\n{KEY}".encode())],
    "a head of a multipart that echoes": lambda case: [
        says(f"HTTP/1.1 500 X\r\nContent-Type: multipart/mixed; boundary={KEY}\r\n--{KEY}\r\n\r\n".encode())
    ],
    "a chunk size that echoes": lambda case: [
        says(f"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode())
    ],
    "lengths that echo": lambda case: [
        says(f"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: {KEY}\r\n\r\nx".encode())
    ],
    "a redirect that echoes": lambda case: [
        says(f"HTTP/1.1 302 X\r\nLocation: ftp://{KEY}/\r\nContent-Length: 0\r\n\r\n".encode())
    ],
}


@both
@each_provider
@pytest.mark.parametrize("fault", FAULTS)
def test_the_libraries_below_log_no_key(
    fault: str, case: Case, caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """Real sockets, the root logger at DEBUG: neither requests nor urllib3 nor vidpoll writes the key."""
    caplog.set_level(logging.DEBUG, logger="")
    with chaos(*FAULTS[fault](case)) as server, real_client(case, server.url, bound=0.2) as client:
        error = client.wait(case.ref, timeout=0.02, check=False).error or vidpoll.VidpollError()
        with pytest.raises(vidpoll.VidpollError) as caught:
            raise error
    for each in chain(caught.value):
        assert leaks(shown(each) + "".join(traceback.format_exception(each))) == []
    assert any(KEY in head for head in server.heads)
    below = any(record.name.startswith("urllib3") for record in caplog.records)
    assert below is (transport == "requests")  # libcurl logs nothing
    assert leaks(caplog.text + "".join(str(record.exc_info) for record in caplog.records)) == []


@both
@each_provider
@pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without a key"])
def test_netrc_is_never_read(key: str | None, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password for the host in ~/.netrc is not vidpoll's to send."""
    netrc = tmp_path / "netrc"
    netrc.write_text(
        "machine 127.0.0.1 login somebody password hunter2hunter2\ndefault login a password hunter2hunter2\n"
    )
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with chaos(answers(case.completed)) as server:
        assert requests.utils.get_netrc_auth(server.url) == ("somebody", "hunter2hunter2")
        with real_client(case, server.url, bound=2.0, key=key) as client:
            assert client.wait(case.ref, timeout=5).ok
    assert "Basic" not in server.heads[0]
    assert (key is not None) == (KEY in server.heads[0])


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
def test_a_key_does_not_travel_over_plain_http(case: Case) -> None:
    """To a host that is neither loopback nor private: an error before anything is sent."""
    told = waiting(case, [case.completed], base_url="http://api.example.com")
    assert type(told.error) is vidpoll.UsageError
    assert told.wire.sent == []
    assert leaks(shown(told.error)) == []


# -- text of the provider ---------------------------------------------------------------------------------------------


@each_provider
@pytest.mark.parametrize("body", ["failed", "running", "refusal", "plain text", "headers", "unknown word"])
def test_escape_sequences_and_newlines_never_reach_a_terminal(
    body: str, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is shown is one line of printable characters."""
    caplog.set_level(logging.DEBUG, logger="")
    odd = NASTY if case.name != "moneyprinterturbo" else -7
    said = {
        "failed": raw(
            case.saying(case.failed, error={"message": NASTY, "code": NASTY}, stage=NASTY, failed_stage=NASTY)
        ),
        "running": raw(case.saying(case.running, stage=NASTY)),
        "refusal": raw({"error": {"message": NASTY, "code": NASTY, "details": NASTY}}, status=403),
        "plain text": raw(NASTY.encode(), status=402, headers={"content-type": "text/plain"}),
        "headers": raw(b"", status=401, headers={"x-request-id": NASTY, "content-type": NASTY, "retry-after": NASTY}),
        "unknown word": raw(case.saying(case.running, **{case.word: odd})),
    }[body]
    told = waiting(case, [said], timeout=30)
    for text in [
        *map(str, told.events),
        str(told.error),
        repr(told.job),
        repr(told.error),
        *(r.getMessage() for r in caplog.records),
    ]:
        assert text.isprintable()
        assert "\x1b" not in text
        assert len(text) < 1500


@each_provider
def test_an_id_of_a_list_row_is_printable(case: Case) -> None:
    """A row whose id could not be typed is left out; the others are not."""
    rows = [case.saying(case.running, **{case.id_field: name}) for name in (NASTY, "a\nb", "..", "good-1")]
    objects = [case.of(row) for row in rows]
    body = {"moneyprinterturbo": {"data": {"tasks": objects, "page": 1, "page_size": 9, "total": 4}}}.get(
        case.name, {"data": objects}
    )
    told = client_of(case, [body])
    assert [job.id for job in told.client.jobs(case.name)] == ["good-1"]
