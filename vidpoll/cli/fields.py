"""The fields of a call, `NAME=VALUE` on the command line: how a value is read as JSON, text or a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import vidpoll

from .. import literals, redact
from .context import Arguments

T = TypeVar("T")


def fields(parser: argparse.ArgumentParser, help: str) -> None:
    """Add the fields of a call, which `with_fields` reads."""
    parser.add_argument(
        "fields", nargs="*", default=(), metavar="NAME=VALUE", help=help
    )  # without the default argparse requires one


def provider_of(client: vidpoll.Client, args: Arguments) -> vidpoll.Provider:
    """The provider of the account that a command names."""
    own = dict(args.account or ()).get(args.name)
    return client.provider(args.name if own is None else own.provider)


def with_fields(call: Callable[..., T], texts: Sequence[str], operation: vidpoll.Operation[Any] | None) -> T:
    """Call with the fields of the `name=value` texts; if a JSON value is refused, try its text instead.

    Raises what `read_fields` and `literals.fitted` raise.
    """
    given, texts_of = read_fields(texts, frozenset() if operation is None else operation.texts)
    return literals.fitted(lambda fields: call(**fields), given, texts_of)


def read_fields(texts: Sequence[str], literal: frozenset[str] = frozenset()) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields of a call from `name=value` texts, and the original texts of values that may be meant as text.

    The value of a field in `literal` is plain text. Any other value is JSON if it parses as JSON (42, true, null, [..],
    {..}, "text") or is Python's True or False; `@file` is the file's text, or the file itself if it is not text (an
    image); `@@` stands for a first `@`; everything else is text. `name:text=`, `name:json=` and `name:file=` say
    explicitly how to read the value. Raises UsageError.
    """
    found: dict[str, Any] = {}
    unsure: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise vidpoll.UsageError(
                f"{text[:60]!r} is not a field: write NAME=VALUE, like prompt='a lighthouse at dusk'"
            )
        name, how = _how(name)
        if name in found:
            raise vidpoll.UsageError(f"the field {name!r} is given twice")
        found[name] = _READ[how or ("text" if name.removeprefix("fields.") in literal else "")](name, value)
        if not how and not isinstance(found[name], (str, Path)):
            unsure[name] = value
    return found, unsure


def _how(name: str) -> tuple[str, str]:
    """Split `prompt:file` into the field and how to read its value; "" if the name does not say."""
    field, colon, how = name.rpartition(":")
    return (field, how) if colon and field and how in _READ else (name, "")


def _value(name: str, text: str) -> object:
    if text.startswith("@@"):
        return text[1:]
    if text.startswith("@"):
        return _file(name, text[1:], f"; if it is text, write {name}:text={text}")
    return literals.literal(text)


def _json(name: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise vidpoll.UsageError(f"{name}:json={text[:60]!r} is not JSON: {redact.text(error, limit=100)}") from None


def _file(name: str, where: str, otherwise: str = "") -> object:
    path = Path(where)
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in it
        why = getattr(error, "strerror", None) or type(error).__name__
        raise vidpoll.UsageError(f"{name}: cannot read {where!r}: {why}{otherwise}") from None
    try:
        return path if b"\0" in data else data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return path


_READ: dict[str, Callable[[str, str], object]] = {
    "": _value,
    "text": lambda name, text: text,
    "json": _json,
    "file": _file,
}
"""How a value is read, by the suffix of the field's name."""
