"""Files that a job needs, sent as a form: the operation, and the form itself (RFC 7578)."""

from __future__ import annotations

import mmap
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import parsing
from ..errors import InvalidField, Malformed
from ..model import Request, Response
from ..provider import Operation
from .envelope import Envelope
from .lines import Line
from .paths import Where, check_where, find


def upload(
    line: str,
    suffixes: tuple[str, ...],
    *,
    value: Where,
    field: str = "file",
    envelope: Envelope | None = None,
    convert: Callable[[str], Any] = str,
) -> Operation[Any]:
    """Send a file as the part `field` of a form. `suffixes` are the endings that the provider takes, in lower case.

    `value` is where the answer names the file; `convert` makes of it what the submit's field takes.

    >>> send = upload("POST /v1/files", (".mp3",), value="data.file")
    >>> send.parse(Response(200, {}, b'{"data": {"file": "song.mp3"}}'), "")
    'song.mp3'
    """
    made = Line(line)
    made.allow("upload", ())
    check_where(f"upload {line!r} value", value)
    gate = envelope or Envelope()

    def build(path: Path) -> Request:
        if path.suffix.lower() not in suffixes:
            raise InvalidField(f"{path.name}: {made.text} takes files that end in {', '.join(suffixes)}")
        kind, body = form(field, path)
        bare = made.request({})
        return Request(bare.method, bare.path, bare.query, {**bare.headers, "Content-Type": kind}, body=body)

    def parse(response: Response, job_id: str) -> Any:
        gate.check(response)
        found = find(parsing.json_object(response), value, parsing.text)
        try:
            taken = None if found is None else convert(found)
        except ValueError:  # int("abc")
            taken = None
        if taken is None:
            raise Malformed(f"the answer does not name the file: {parsing.problem(response)}")
        return taken

    return Operation(build, parse)


def form(field: str, path: Path) -> tuple[str, bytes]:
    """A form with one file in it: its Content-Type and the body. The file is in memory once.

    Raises InvalidField for a file that cannot be read, or is empty.
    """
    boundary = secrets.token_hex(16)
    name = (
        f"{path.stem}{path.suffix.lower()}".replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    )  # as HTML has it
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            parts: tuple[Any, ...] = (head.encode(errors="surrogateescape"), data, f"\r\n--{boundary}--\r\n".encode())
            body = b"".join(parts)
    except (OSError, ValueError) as error:  # ValueError: no bytes are in it
        why = getattr(error, "strerror", None) or "it is empty"
        raise InvalidField(f"{path.name}: the file {str(path)!r} cannot be uploaded: {why}") from None
    return f"multipart/form-data; boundary={boundary}", body
