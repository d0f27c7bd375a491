"""What tells one request from another: how a face finds out what it is asked. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import unquote

from ... import model

Asked = tuple[str, str, tuple[tuple[str, str], ...], str]
"""Method, decoded path, sorted query and body: what tells one request from another."""


def asked(request: model.Request) -> Asked:
    """What a builder asks."""
    body = (request.body or b"").decode("latin-1") if request.json is None else written(request.json)
    return request.method, unquote(request.path), tuple(sorted(request.query)), body


def written(value: object) -> str:
    """A JSON body as text that is the same for the same value."""
    return "" if value == {} else json.dumps(value, sort_keys=True)  # some SDKs send {} where nothing is to be said


def fits(seen: Asked, request: model.Request, fields: Mapping[str, object]) -> bool:
    """Whether a request is this submit: the same path, but for what comes out of a field (a model's name)."""
    pattern = re.escape(unquote(request.path))
    for value in fields.values():
        if isinstance(value, str) and value:
            pattern = re.sub(rf"(?<=/){re.escape(re.escape(value))}(?=/|$)", ".+", pattern)
    return seen[0] == request.method and re.fullmatch(pattern, seen[1]) is not None


def likeness(fields: Mapping[str, object], sent: object) -> int:
    """How many fields a body shares with the one that a submit sends, less those that it lacks."""
    known = set(sent) if isinstance(sent, dict) else set()
    return len(known & fields.keys()) - len(known - fields.keys())
