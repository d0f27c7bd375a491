"""Materials and musics: what is sent, and what the fields of a submit take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vidpoll_providers import moneyprinterturbo

import vidpoll

[PROVIDER] = moneyprinterturbo.vidpoll_providers()

PATHS = {"material": "video_materials", "music": "musics"}


def answer(file: str) -> vidpoll.Response:
    body = {"status": 200, "message": "success", "data": {"file": file}}
    return vidpoll.Response(200, {"content-type": "application/json"}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("name", "kind", "field", "value"),
    [
        ("clip.mp4", "material", "video_materials",
         [{"provider": "local", "url": "/srv/a", "duration": 0}]),
        ("still.PNG", "material", "video_materials",
         [{"provider": "local", "url": "/srv/a", "duration": 0}]),
        ("song.mp3", "music", "bgm_file", "/srv/a"),
    ],
)  # fmt: skip
def test_what_comes_back_goes_into_the_submit(tmp_path: Path, name: str, kind: str, field: str, value: object) -> None:
    """As the server names the file; the submit takes it as it is."""
    (tmp_path / name).write_bytes(b"1234")
    operation = PROVIDER.upload[kind]
    request = operation.request(tmp_path / name)
    assert (request.method, request.path) == ("POST", f"/api/v1/{PATHS[kind]}")
    uploaded = operation.parse(answer("/srv/a"), "")
    given = [uploaded] if kind == "material" else uploaded
    assert given == value
    fields = {"video_subject": "the sea", "video_source": "local", field: given}
    assert PROVIDER.submit["video"].request(fields).json[field] == value


@pytest.mark.parametrize("name", ["notes.txt", "clip.webm", "none"])
def test_what_the_server_does_not_take_is_not_sent(tmp_path: Path, name: str) -> None:
    """Each operation says which endings it takes."""
    (tmp_path / name).write_bytes(b"1234")
    for operation in PROVIDER.upload.values():
        with pytest.raises(vidpoll.InvalidField, match="the file name must end in"):
            operation.request(tmp_path / name)
