"""The sidecar of a file, `NAME.mp4.json`: what the file was made from and what it cost.

The sidecar is written after its file, whole or not at all. It holds no key and no query of a URL; `records.sent` cleans
the fields of the submit.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import redact
from ..job import Job
from ..storage import records
from .rows import Row

SUFFIX = ".json"

_CHUNK = 1 << 20

_SAID = {"seed": ("seed",), "revised_prompt": ("revised_prompt", "actual_prompt")}
"""Values that a provider may report about its use of the prompt, with the names it may use for them."""

_DEEP = 6


def contents(
    row: Row, job: Job, *, attempt: int, path: Path, cost: Mapping[str, Any], secrets: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The content of the sidecar of `path`; times are Unix seconds. Raises OSError if the file cannot be read."""
    known = job.known
    said = {} if job.snapshot is None else job.snapshot.raw
    return {
        "key": row.key,
        "ref": job.ref,
        "account": row.account,
        "kind": row.kind,
        "fields": _whole(_hashed("", row.fields, row.inputs), secrets),
        "inputs": dict(row.inputs),
        **{name: found for name, names in _SAID.items() if (found := _found(said, names)) is not None},
        "cost": dict(cost),
        "attempts": attempt,
        "submitted_at": known.submitted_at,
        "ended_at": known.history[-1].at if known.history else None,
        "file": path.name,
        "sha256": sha256(path),
    }


def write(path: Path, values: Mapping[str, Any]) -> Path:
    """Write the sidecar of the file `path`. Raises OSError."""
    place = path.with_name(path.name + SUFFIX)
    replace_with(place, (json.dumps(values, ensure_ascii=False, indent=2, default=str) + "\n").encode())
    return place


def replace_with(place: Path, data: bytes) -> None:
    """Write these bytes to `place`, whole or not at all. Raises OSError."""
    part = place.with_name(f".{place.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")  # unique across threads and hosts
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _whole(fields: Mapping[str, Any], secrets: tuple[str, ...]) -> dict[str, Any]:
    """The fields that were sent: files and bytes as a hash, prompts in full."""
    kept = records.sent(fields, secrets)
    texts = {name: value for name, value in fields.items() if isinstance(value, str) and len(value) > len(kept[name])}
    return {name: _text(texts.get(name), value, secrets) for name, value in kept.items()}


def _hashed(name: str, value: Any, inputs: Mapping[str, str]) -> Any:
    """A value with each file replaced by its name and the hash that was sent; the file may have changed since."""
    if isinstance(value, Path) and name in inputs:
        return f"{value.name} sha256:{inputs[name]}"
    if isinstance(value, Mapping):
        return {key: _hashed(f"{name}.{key}" if name else key, each, inputs) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hashed(f"{name}.{number}", each, inputs) for number, each in enumerate(value)]
    return value


def _text(long: str | None, kept: Any, secrets: tuple[str, ...]) -> Any:
    if long is None or kept == redact.HIDDEN or long.startswith("data:") or "://" in long:
        return kept
    return redact.text(long, limit=len(long), secrets=secrets)


def _found(value: object, names: tuple[str, ...], deep: int = 0) -> Any:
    """The first scalar with one of these names, anywhere in a response."""
    if deep > _DEEP or not isinstance(value, (Mapping, list)):
        return None
    if isinstance(value, Mapping):
        for name in names:
            if isinstance(value.get(name), (str, int, float)) and not isinstance(value.get(name), bool):
                return redact.text(value[name], limit=4000) if isinstance(value[name], str) else value[name]
    inside = value.values() if isinstance(value, Mapping) else value[:50]
    return next((found for each in inside if (found := _found(each, names, deep + 1)) is not None), None)
