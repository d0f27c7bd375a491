"""Uploads of files that a job needs, sent as a form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import parsing
from ..errors import InvalidField, Malformed
from ..model import Request, Response
from ..provider import Operation
from .envelope import Envelope
from .forms import form
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
    """Upload a file as the part `field` of a form. `suffixes` are the accepted file endings, in lower case.

    `value` is the path of the file's name in the response; `convert` turns the name into the value of a submit's field.

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
            raise InvalidField(f"{path.name}: the file name must end in {', '.join(suffixes)}")
        kind, body = form({field: path})
        bare = made.request({})
        return replace(bare, headers={**bare.headers, "Content-Type": kind}, body=body)

    def parse(response: Response, job_id: str) -> Any:
        gate.check(response)
        found = find(parsing.json_object(response), value, parsing.text)
        try:
            taken = None if found is None else convert(found)
        except ValueError:  # int("abc")
            taken = None
        if taken is None:
            raise Malformed(f"the response does not name the file: {parsing.problem(response)}")
        return taken

    return Operation(build, parse)
