"""What is odd about Luma: two APIs with two keys, outputs that say what they are, a list that goes on by offset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vidpoll_providers import dreammachine, luma

import vidpoll
from vidpoll import Request, Response
from vidpoll.testing import FakeClock, FakeTransport

(AGENTS,) = luma.vidpoll_providers()
DREAMS = next(iter(dreammachine.vidpoll_providers()))
KEYS = {"LUMA_AGENTS_API_KEY": "luma-api-0123456789", "LUMAAI_API_KEY": "luma-9876543210"}

HOSTS = ("https://agents.lumalabs.ai/v1/", "https://api.lumalabs.ai/dream-machine/v1/")


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("ref", "host", "variable"),
    [
        ("luma:7", HOSTS[0], "LUMA_AGENTS_API_KEY"),
        ("dreammachine:7", HOSTS[1], "LUMAAI_API_KEY"),
    ],
)
def test_each_api_gets_its_own_key(ref: str, host: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both keys in the environment neither goes to the other API."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    wire = FakeTransport([answer({"id": "7", "state": "failed", "failure_reason": "no"})])
    options: dict[str, Any] = {"plugins": [luma, dreammachine], "discover": False, "clock": FakeClock()}
    with vidpoll.Client(**options, transport=wire) as client, pytest.raises(vidpoll.JobFailed, match="no"):
        client.wait(ref)
    (sent,) = wire.sent
    assert (sent.url, sent.secret) == (f"{host}generations/7", {"Authorization": f"Bearer {KEYS[variable]}"})
    assert [sent.trusted(url) for url in HOSTS] == [url == host for url in HOSTS]


@pytest.mark.parametrize(("provider", "other"), [(AGENTS, "dreammachine:ID"), (DREAMS, "luma:ID")])
@pytest.mark.parametrize("status", [401, 404])
def test_a_key_of_the_other_api_is_told_of(provider: vidpoll.Provider, other: str, status: int) -> None:
    """The message names the provider that it may belong to."""
    assert other in provider.error(answer({"detail": "no"}, status)).message


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ([{"type": "video", "url": "https://m.example/a"}], [("video", "https://m.example/a")]),
        ([{"type": "image", "url": "https://m.example/a"}], [("image", "https://m.example/a")]),
        ([{"type": "video/mp4", "url": "https://m.example/a.mp4"}], [("video", "https://m.example/a.mp4")]),
        ([{"url": "https://m.example/a.exr"}, 7, {"type": "video"}], [("image", "https://m.example/a.exr")]),
        ({"type": "video", "url": "https://m.example/a"}, []),
        (None, []),
    ],
)
def test_an_output_is_what_its_type_says(output: object, found: list[tuple[str, str]]) -> None:
    """Else what the end of its URL says; whatever is no output is none."""
    assert [(each.kind, each.url) for each in luma.files(output)] == found


def test_an_uploaded_file_is_what_a_source_takes(tmp_path: Path) -> None:
    """The id, as the fields of a submit name it."""
    (tmp_path / "a.mp4").write_bytes(b"0000ftyp")
    upload = AGENTS.upload["file"]
    sent = upload.request(tmp_path / "a.mp4")
    assert (sent.method, sent.path, b'name="file"; filename="a.mp4"' in (sent.body or b"")) == ("POST", "/files", True)
    file = upload.parse(answer({"id": "f7", "state": "pending"}), "")
    edit = AGENTS.submit["video_edit"].request({"prompt": "at night", "source": file})
    assert edit.json == {"type": "video_edit", "prompt": "at night", "source": {"file_id": "f7"}}


@pytest.mark.parametrize(
    ("body", "token", "next"),
    [
        ({"generations": [{"id": "1", "state": "queued"}] * 3, "has_more": True}, "", "3"),
        ({"generations": [{"id": "1", "state": "queued"}] * 3}, "100", "103"),
        ({"generations": [{"id": "1", "state": "queued"}], "has_more": False}, "100", None),
        ({"generations": []}, "100", None),
    ],
)
def test_the_list_goes_on_behind_what_came(body: dict[str, object], token: str, next: str | None) -> None:
    """However many rows the server gives at once; `has_more` may be missing."""
    assert DREAMS.list is not None
    assert DREAMS.list.parse(answer(body), token).next == next
    asked = Request("GET", "/generations", (("limit", "100"), ("offset", token or "0")))
    assert DREAMS.list.request({}, token or None) == asked
