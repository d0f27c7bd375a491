"""The rules about keys: they are sent as the index says, in headers of the auth, and nowhere else.

Each function is one rule; it returns, or fails the test through `broken`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from ...errors import MissingKey
from ...model import Request, origin
from ...net.accounts import WireRequest
from ...net.hosts import is_private
from ...provider import KeyHeader, NoAuth
from .subject import Subject, broken, said

_KEY = "kit0secret0marker"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_HOLE = re.compile(r"(\{[^{}]*\})")
_TOLD = ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "apikey", "x-key", "x-auth-token")
_SECRET = re.compile(
    r"(?i)\b(?:sk|rk|pk|fal|hf|r8|xai|gsk|ghp)[-_](?=\S*\d)[A-Za-z0-9_\-]{12,}|\bAIza[\w-]{20,}|\bAKIA[A-Z0-9]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w.-]{8,}|\b(?:bearer|key|token)\s+(?=\S*\d)[A-Za-z0-9._~+/=\-]{8,}"
)


def documented(subject: Subject) -> None:
    """Each header line of the index's "auth" is what the auth sends, and another key gives other headers."""
    ways = subject.index.auth
    if ways is None:
        return  # `described` reports it
    builders = list(subject.requests())
    request = subject.build(*builders[0]) if builders else Request("GET", "/")
    for way in ways:
        variables = _variables(subject, way)
        first, second = (_headers(subject, request, variables, value, way) for value in ("kit-key-1", "kit-key-2"))
        wrong = _unlike(way, first, {name: f"kit-key-1-{name}" for name in variables})
        if wrong:
            broken(
                "the key must be sent as the vendor's page says",
                seen=f"with {' and '.join(variables) or 'no key'} set, the headers of the auth are {_shown(first)}; "
                f"index.json says {way!r}{wrong}",
                why="the provider would answer every user with 401",
                do=f'correct Provider(auth=…), or "auth" in index.json: {suggestion(subject)}; a list names several '
                'ways, "" is the way without a key, and {anything} stands for a minted value',
            )
        if variables and first == second:
            broken(
                "another key must give other headers",
                seen=f"two values of {', '.join(variables)} give the same headers {sorted(first)}",
                why="all requests would use the first user's key, or none",
                do="make the header from the secrets passed to the auth, and keep nothing between two calls",
            )
    if "" not in ways and not isinstance(subject.provider.auth, NoAuth) and _headers_without(subject, request):
        broken(
            "without a key nothing may be sent",
            seen="the auth does not require its key, and index.json lists no way without one",
            why="the user would get a 401 from the provider, instead of the name of the variable to set",
            do='set required=True (the default) in the auth; or add the way without a key: "auth": […, ""]',
        )


def suggestion(subject: Subject) -> str:
    """The line for the index that fits the plugin's auth."""
    auth: Any = subject.provider.auth
    ways = []
    for each in getattr(auth, "alternatives", (auth,)):
        if isinstance(each, KeyHeader):
            ways.append(f"{each.name}: {each.prefix}{{{each.variable}}}")
        elif each.variables:
            ways.append(f"Authorization: {{made of {' and '.join(each.variables)}}}")
    ways += [] if auth.required else [""]
    return f'"auth": {json.dumps(ways[0] if len(ways) == 1 else ways)}'


def _variables(subject: Subject, way: str) -> tuple[str, ...]:
    """The variables that a way needs. Fails the test for one that the plugin does not read."""
    known = subject.provider.auth.variables
    holes = _HOLE.findall(way)
    plain = [hole[1:-1] for hole in holes if _VARIABLE.fullmatch(hole[1:-1])]
    strange = [name for name in plain if name not in known]
    if strange:
        broken(
            "the key must be read from the variable of the index",
            seen=f"index.json names {strange[0]}, the plugin reads {', '.join(known) or 'no variable'}",
            why="a user who sets the documented variable would read that the key is missing",
            do='correct Provider(auth=…), or "auth" in index.json',
        )
    named = [name for name in known if any(re.search(rf"\b{name}\b", hole) for hole in holes)]
    return tuple(named) or (known if holes else ())


def _headers(subject: Subject, request: Request, variables: tuple[str, ...], value: str, way: str) -> Mapping[str, str]:
    with _only({name: f"{value}-{name}" for name in variables}, subject.provider.auth.variables):
        return wire(subject, "auth", request, f" (the way {way!r})" if way else " (the way without a key)").secret


def _headers_without(subject: Subject, request: Request) -> bool:
    """Whether a request is made without any key."""
    with _only({}, subject.provider.auth.variables):
        try:
            subject.endpoint().wire(request, timeout=(10.0, 30.0))
        except MissingKey:
            return False
    return True


@contextmanager
def _only(given: Mapping[str, str], names: tuple[str, ...]) -> Iterator[None]:
    """The environment with these keys, and without the others."""
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})


def wire(subject: Subject, name: str, request: Request, where: str = "") -> WireRequest:
    """A request with its auth. Fails the test if the auth raises."""
    try:
        return subject.endpoint().wire(request, timeout=(10.0, 30.0))
    except Exception as error:  # noqa: BLE001 - the message shows whatever the plugin's auth raises
        broken(
            "auth must give headers of text",
            seen=f"{name}{where}: {said(error)}",
            why="no request could be sent",
            do="return a mapping of header names to text from the auth function, for every request and all secrets; "
            "the secrets have the names of auth.variables",
        )


def _unlike(way: str, headers: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """What is wrong with the headers; "" if they are those of the way."""
    due = dict(line.partition(": ")[::2] for line in way.splitlines() if line)
    found = {str(name).lower(): value for name, value in headers.items()}
    if {name.lower() for name in due} != set(found):
        return f" (the headers are {', '.join(sorted(found)) or 'none'})"
    for name, value in due.items():
        parts = [secrets.get(part[1:-1], part) if part.startswith("{") else part for part in _HOLE.split(value)]
        pattern = "".join(".+" if _HOLE.fullmatch(part) else re.escape(part) for part in parts)
        if not re.fullmatch(pattern, found[name.lower()]):
            return f" ({name} differs)"
    return ""


def _shown(headers: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in headers.items()) or "none"


# -- where keys must not be -------------------------------------------------------------------------------------------


def hidden(subject: Subject) -> None:
    provider = subject.provider
    scheme, host, _ = origin(provider.base_url)
    if scheme == "http" and not isinstance(provider.auth, NoAuth) and not is_private(host):
        broken(
            "the key must be sent encrypted",
            seen=f"base_url is {provider.base_url}",
            why="everyone on the network path could read the user's key, so vidpoll refuses to send it",
            do="use https in base_url",
        )
    for variable in provider.auth.variables:
        if not _VARIABLE.fullmatch(variable):
            broken(
                "the key must be in an environment variable",
                seen=f"auth names {variable!r}",
                why="no shell can set a variable of that name",
                do=f"name it like {provider.name.upper().replace('-', '_')}_API_KEY",
            )
    with subject.keys(_KEY):
        for name, builder in subject.requests():
            _check_hidden(subject, name, subject.build(name, builder))


def _check_hidden(subject: Subject, name: str, request: Request) -> None:
    made = wire(subject, name, request)
    told = {
        "its URL": made.url,
        "its body": (made.body or b"").decode("utf-8", "replace"),
        "the builder's headers": json.dumps(dict(made.headers)),
        "its repr": f"{request!r}{made!r}",
    }
    where = [place for place, text in told.items() if _KEY in unquote(text)]
    if where:
        broken(
            "the key must be in a header of the auth, and nowhere else",
            seen=f"{name}: the value of {', '.join(subject.provider.auth.variables)} is in {' and '.join(where)}",
            why="URLs and bodies end up in logs, proxies and error messages, and the user's key with them",
            do="leave the key to Provider(auth=…): vidpoll.Bearer, KeyHeader, Basic or Minted; a builder must not read "
            "the environment",
        )
    headers = {**made.headers, **made.secret}
    strange = [each for each in headers.items() if not all(isinstance(part, str) for part in each)]
    if strange or not all(value.isprintable() and value.isascii() for value in headers.values()):
        broken(
            "auth must give headers of text",
            seen=f"{name}: the headers {sorted(map(str, headers))}",
            why="no request could be sent",
            do="use printable ASCII text for header names and values, in the auth, in Provider(headers=…) and in a "
            "builder's headers",
        )
    literal = [key for key in made.headers if key.lower() in _TOLD]
    if literal or any(_SECRET.search(value) for value in made.headers.values()):
        broken(
            "a plugin must not contain a secret",
            seen=f"{name}: {', '.join(literal) or 'a header that looks like a key'} is set outside the auth",
            why="everyone who has the plugin would have the key; logs would also show it, because only the auth's "
            "headers are hidden",
            do="remove it; Provider(auth=…) reads the key from the user's environment",
        )


def is_secret(text: str) -> bool:
    """Whether a text looks like a key."""
    return _SECRET.search(text) is not None
