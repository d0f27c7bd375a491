"""The identity of a row: the digest of what it sends, and its key. Pure, except that files are read."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .. import redact
from ..errors import UsageError
from .files import Files

LONGEST = 200
"""Most characters of a key."""


def digest(account: str, kind: str, fields: Mapping[str, Any], files: Files) -> tuple[str, dict[str, str]]:
    """The digest of a row, and the sha256 of each file in it by the file's path in the fields (`image`, `images.0`).

    The digest is the sha256 of the whole row, followed by `name:hash` of each field, so that two digests show which
    fields differ. Raises UsageError for a value that no request can carry, and for a file that cannot be read.
    """
    inputs: dict[str, str] = {}
    texts = {quote(name, safe=""): _text(name, fields[name], files, inputs) for name in sorted(fields)}
    whole = _sha256("\n".join([account, kind, *(f"{name}={text}" for name, text in texts.items())]))
    return " ".join([whole, *(f"{name}:{_sha256(text)[:8]}" for name, text in texts.items())]), inputs


def differing(one: str, other: str) -> list[str]:
    """The names of the fields in which two digests differ; empty if only the account or the kind does."""
    first, second = (dict(part.split(":") for part in each.split(" ")[1:] if ":" in part) for each in (one, other))
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


def _text(name: str, value: Any, files: Files, inputs: dict[str, str]) -> str:
    try:
        return json.dumps(_plain(name, value, files, inputs), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise UsageError(f"{name}: {type(value).__name__} holds a value that no request can carry") from None


def _plain(name: str, value: Any, files: Files, inputs: dict[str, str]) -> Any:
    """A value as JSON, with each file replaced by its hash."""
    if isinstance(value, Path):
        inputs[name] = files.sha256(value)
        return {"file": inputs[name]}
    if isinstance(value, (bytes, bytearray)):
        inputs[name] = hashlib.sha256(value).hexdigest()
        return {"file": inputs[name]}
    if isinstance(value, Mapping):
        return {key: _plain(f"{name}.{key}", each, files, inputs) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(f"{name}.{number}", each, files, inputs) for number, each in enumerate(value)]
    return value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_key(text: str) -> str:
    """A key in one spelling (NFC). Raises UsageError for a key that cannot be shown on one line."""
    key = unicodedata.normalize("NFC", text.strip())
    if not key or not key.isprintable() or len(key) > LONGEST:
        shown = redact.text(text, limit=40)
        raise UsageError(f"{shown!r} is not a key: it must be 1 to {LONGEST} printable characters on one line")
    return key


def made_keys(rows: Sequence[tuple[str, str]]) -> list[str]:
    """A key of 12 hexadecimal characters for each row (digest, file name), from what it sends, not from its position.

    Rows that send the same are several takes, each with its own key; takes are numbered in the order of file names.
    """
    equal: defaultdict[str, list[int]] = defaultdict(list)
    for number, (sent, _) in enumerate(rows):
        equal[sent].append(number)
    keys = [""] * len(rows)
    for sent, numbers in equal.items():
        for take, number in enumerate(sorted(numbers, key=lambda each: rows[each][1]), 1):
            keys[number] = _sha256(f"{sent.partition(' ')[0]} {take}")[:12]
    return keys
