"""Files that a job needs: which are taken, the form that is sent, and what the answer names."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path

import pytest

import vidpoll
from vidpoll import Response, declare

SEND = declare.upload("POST /v1/files", (".mp4", ".png"), value="data.file")


def parts(request: vidpoll.Request) -> list[tuple[str | None, bytes]]:
    """The form as the standard library reads it: the file name and the bytes of each part."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    form = message_from_bytes(head + (request.body or b""), policy=HTTP)
    return [(part.get_filename(), part.get_payload(decode=True)) for part in form.iter_parts()]


@pytest.mark.parametrize("data", [b"x", b"\r\n--a\r\n", bytes(range(256)) * 300])
def test_a_form_that_others_can_read(tmp_path: Path, data: bytes) -> None:
    """One part, whatever is in the file; its ending is in lower case, as strict servers want it."""
    (tmp_path / "a clip.MP4").write_bytes(data)
    request = SEND.request(tmp_path / "a clip.MP4")
    assert (request.method, request.path) == ("POST", "/v1/files")
    assert parts(request) == [("a clip.mp4", data)]


def test_a_name_that_would_break_the_form(tmp_path: Path) -> None:
    """Quotes and line ends of a name stay inside it."""
    path = tmp_path / 'a"; x="b\r\nX: y.mp4'
    path.write_bytes(b"1")
    body = SEND.request(path).body
    assert body is not None
    assert b'filename="a%22; x=%22b%0D%0AX: y.mp4"\r\n' in body


@pytest.mark.parametrize("name", ["gone.mp4", "empty.mp4", "folder.mp4", "song.mp3", "none"])
def test_a_file_that_cannot_be_sent(tmp_path: Path, name: str) -> None:
    """It is refused by its name before anything is sent."""
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(vidpoll.InvalidField, match=f"^{name}: "):
        SEND.request(tmp_path / name)


def test_the_answer_names_the_file() -> None:
    """`convert` makes what the submit takes of it; an answer without it is Malformed."""
    made = declare.upload("POST /f", (".mp4",), value="data.file", convert=lambda file: {"url": file})
    assert made.parse(Response(200, {}, b'{"data": {"file": "a.mp4"}}'), "") == {"url": "a.mp4"}
    with pytest.raises(vidpoll.Malformed, match="does not name the file"):
        made.parse(Response(200, {}, b'{"data": {}}'), "")


def test_a_name_that_cannot_be_made_into_what_the_submit_takes_is_malformed() -> None:
    """`convert` may refuse it: no upload gives None, or a ValueError."""
    for convert in (int, lambda file: None):
        made = declare.upload("POST /f", (".mp4",), value="data.file", convert=convert)
        with pytest.raises(vidpoll.Malformed, match="does not name the file"):
            made.parse(Response(200, {}, b'{"data": {"file": "a.mp4"}}'), "")
