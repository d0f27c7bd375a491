"""Files that a job needs: which operation takes one, what is sent, and what comes back. `vidpoll upload` says it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acme_provider import ACME, KEY, UNAVAILABLE, Plugin, talk
from processes import shop

import vidpoll
from vidpoll import declare
from vidpoll.cli import main
from vidpoll.testing import FakeClock, FakeTransport

both = pytest.mark.usefixtures("transport")

SHOP = replace(
    ACME,
    upload={
        "clip": declare.upload("POST /clips", (".mp4",), value="file", convert=lambda file: {"url": file}),
        "song": declare.upload("POST /songs", (".mp3", ".mp4"), value="file"),
    },
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"1234")
    return path


@pytest.mark.parametrize(
    ("name", "kind", "sent", "value"),
    [
        ("a.mp4", None, "POST /v1/clips", {"url": "x"}),
        ("a.MP3", None, "POST /v1/songs", "x"),
        ("a.mp4", "song", "POST /v1/songs", "x"),
    ],
)
def test_the_first_operation_that_takes_the_file_gets_it(
    tmp_path: Path, name: str, kind: str | None, sent: str, value: object
) -> None:
    """By its ending, or the one that is named; what comes back is what the submit's field takes."""
    (tmp_path / name).write_bytes(b"1234")
    t = talk([{"file": "x"}], provider=SHOP)
    assert t.client.upload("acme", tmp_path / name, kind=kind) == value
    assert t.requests == [sent]
    assert b"\r\n\r\n1234\r\n" in (t.wire.sent[0].body or b"")


@pytest.mark.parametrize(
    ("provider", "call", "error", "says"),
    [
        (ACME, {"path": "a.mp4"}, vidpoll.Unsupported, "acme takes no uploads"),
        (SHOP, {"path": "a.mp4", "kind": "film"}, vidpoll.Unsupported, "it has: clip, song"),
        (
            SHOP,
            {"path": "a.txt"},
            vidpoll.InvalidField,
            (
                r"^a.txt: no upload operation of acme accepts it "
                r"\(clip: the file name must end in \.mp4; song: the file name must end in \.mp3, \.mp4\)$"
            ),
        ),
        (SHOP, {"path": "gone.mp4"}, vidpoll.InvalidField, "No such file"),
        (SHOP, {"path": ""}, vidpoll.UsageError, "must be the path of a file"),
    ],
)
def test_what_cannot_be_uploaded_is_told_before_anything_is_sent(
    provider: vidpoll.Provider, call: dict[str, Any], error: type[Exception], says: str
) -> None:
    """In words that name what can."""
    t = talk([], provider=provider)
    with pytest.raises(error, match=says):
        t.client.upload("acme", call.pop("path"), **call)
    assert t.requests == []


def test_an_upload_that_was_lost_is_sent_again(clip: Path) -> None:
    """Nothing is bought by it."""
    t = talk([UNAVAILABLE, {"file": "x"}], provider=SHOP)
    assert t.client.upload("acme", clip) == {"url": "x"}
    assert t.requests == ["POST /v1/clips"] * 2


def test_a_large_file_has_the_time_that_it_takes(clip: Path) -> None:
    """The bound of a request grows with what is sent."""
    clip.write_bytes(bytes(5_000_000))
    t = talk([{"file": "x"}], provider=SHOP)
    t.client.upload("acme", clip)
    connect, read = t.wire.sent[0].timeout
    assert (connect, 130 < read < 131) == (10.0, True)


@both
def test_a_large_file_arrives_whole(clip: Path) -> None:
    """Through the real transport, in blocks."""
    data = bytes(range(256)) * 12_000
    clip.write_bytes(data)
    with shop(lambda method, path: (200, {"file": "x"})) as server:
        account = vidpoll.Account("acme", base_url=server.url, key=KEY)
        with vidpoll.Client(plugins=[Plugin(SHOP)], discover=False, accounts={"acme": account}) as client:
            assert client.upload("acme", clip) == {"url": "x"}
        [(method, path, headers, body)] = server.seen
        assert (method, path, data in body) == ("POST", "/clips", True)
        assert headers["Authorization"] == f"Bearer {KEY}"


def test_the_command_prints_what_the_submit_takes(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text as it is, anything else as JSON, so that it can be pasted into a field."""
    monkeypatch.setenv("ACME_API_KEY", KEY)

    def run(*words: str) -> str:
        def factory(**options: Any) -> vidpoll.Client:
            wire = FakeTransport([{"file": "x"}])
            return vidpoll.Client(plugins=[Plugin(SHOP)], discover=False, transport=wire, **options)

        assert main(["upload", "acme", str(clip), *words], client_factory=factory, clock=FakeClock()) == 0
        return capsys.readouterr().out.strip()

    assert run() == '{"url": "x"}'
    assert run("--kind", "song") == "x"
    assert json.loads(run("--json")) == {"account": "acme", "file": str(clip), "value": {"url": "x"}}
