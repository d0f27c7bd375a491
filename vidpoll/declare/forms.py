"""Forms (multipart/form-data, RFC 7578): for files that a job needs, and for submits that must be forms."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidField


def form(fields: Mapping[str, Any]) -> tuple[str, bytes]:
    """A form: its Content-Type and the body. A pathlib.Path is sent as a file, which is in memory once.

    A list becomes one part for each item, True becomes "true", and a mapping becomes JSON. The boundary is computed
    from the content, so that the same fields give the same form. Raises InvalidField for a file that is empty or cannot
    be read.

    >>> form({"prompt": "a lighthouse", "seed": 7})[1].decode().count("Content-Disposition")
    2
    """
    items = [(name, each) for name, value in fields.items() for each in (value if isinstance(value, list) else [value])]
    parts = [_part(name, value) for name, value in items]
    digest = hashlib.sha256()
    for head, data in parts:
        digest.update(head)
        digest.update(data)
    boundary = digest.hexdigest()[:32]
    line = f"--{boundary}\r\n".encode()
    pieces = [piece for head, data in parts for piece in (line, head, data, b"\r\n")]
    return f"multipart/form-data; boundary={boundary}", b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def read_form(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a form that `form` made, as text; a file is "@" and its name. For tests."""
    boundary = content_type.partition("boundary=")[2].encode()
    fields: dict[str, Any] = {}
    for name, value in _read(boundary, body):
        fields[name] = [*_listed(fields[name]), value] if name in fields else value
    return fields


def _part(name: str, value: Any) -> tuple[bytes, Any]:
    """The head of a part, and its bytes."""
    told = f'Content-Disposition: form-data; name="{_quoted(name)}"'
    if not isinstance(value, Path):
        return f"{told}\r\n\r\n".encode(), _text(value).encode(errors="surrogateescape")
    file = _quoted(f"{value.stem}{value.suffix.lower()}")
    head = f'{told}; filename="{file}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    return head.encode(errors="surrogateescape"), _mapped(value)


def _mapped(path: Path) -> Any:
    """The bytes of a file."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: the file is empty
        why = getattr(error, "strerror", None) or "it is empty"
        raise InvalidField(f"{path.name}: the file {str(path)!r} cannot be uploaded: {why}") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _quoted(name: str) -> str:
    """A name, quoted as HTML forms quote it."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _read(boundary: bytes, body: bytes) -> Iterator[tuple[str, str]]:
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, data = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        told = head.decode(errors="replace").partition("\r\n")[0]
        names = [each.partition("=")[2].strip('"') for each in told.split("; ")[1:]]
        yield names[0], f"@{names[1]}" if len(names) > 1 else data.decode(errors="replace")
