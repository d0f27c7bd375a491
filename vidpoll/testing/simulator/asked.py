"""What distinguishes one request from another: how a face recognises a request. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import unquote

from ... import model
from ...provider import Auth, PreparedRequest

Asked = tuple[str, str, tuple[tuple[str, str], ...], str]
"""Method, decoded path, sorted query and body: what distinguishes one request from another."""


def asked(request: model.Request) -> Asked:
    """The same values for a request that a builder made."""
    body = (request.body or b"").decode("latin-1") if request.json is None else written(request.json)
    return request.method, unquote(request.path), tuple(sorted(request.query)), body


def written(value: object) -> str:
    """A JSON body as text that is the same for the same value."""
    return "" if value == {} else json.dumps(value, sort_keys=True)  # some SDKs send {} instead of no body


def fits(seen: Asked, request: model.Request, fields: Mapping[str, object]) -> bool:
    """Whether a request is this submit: the same path, except for values of fields (a model's name)."""
    pattern = re.escape(unquote(request.path))
    for value in fields.values():
        if isinstance(value, str) and value:
            pattern = re.sub(rf"(?<=/){re.escape(re.escape(value))}(?=/|$)", ".+", pattern)
    return seen[0] == request.method and re.fullmatch(pattern, seen[1]) is not None


def same_question(seen: Asked, request: model.Request) -> bool:
    """Whether a request is the same one for another job: only values in its body differ."""
    return seen[:3] == asked(request)[:3] and names_in(seen[3]) == names_in(asked(request)[3]) != set()


def names_in(body: str) -> set[str]:
    """The names in a body that is a JSON object; none for any other body."""
    try:
        said = json.loads(body)
    except ValueError:
        return set()
    return set(said) if isinstance(said, dict) else set()


def opens(auth: Auth, path: str, headers: Mapping[str, str], key: str, *, first: bool) -> bool:
    """Whether headers authenticate in one of the ways; minted headers count only for the first way.

    A minted value need only contain the key, and only if our own contains it (a signature's key id).
    """
    ours, other = (
        auth(each, dict.fromkeys(auth.variables, key))
        for each in (PreparedRequest("GET", path), PreparedRequest("POST", f"{path}?other", {}, b"other", 1e9))
    )
    for name, value in ours.items():
        told = headers.get(name.lower())
        if told is None and auth.required:
            return False
        good = first and value != other.get(name) and (key not in value or key in str(told))
        if told is not None and told != value and not good:
            return False
    return True


def likeness(fields: Mapping[str, object], sent: object) -> int:
    """The number of fields that a body shares with a submit's body, minus the number that it lacks."""
    known = set(sent) if isinstance(sent, dict) else set()
    return len(known & fields.keys()) - len(known - fields.keys())
