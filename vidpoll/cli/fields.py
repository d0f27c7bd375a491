"""The fields of a call, `NAME=VALUE` on the command line: what is JSON, what is text, and what is a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import vidpoll

from .. import literals

T = TypeVar("T")


def fields(parser: argparse.ArgumentParser, help: str) -> None:
    """The fields of a call, for `with_fields`."""
    parser.add_argument("fields", nargs="*", default=(), metavar="NAME=VALUE", help=help)  # without a default, required


def with_fields(call: Callable[..., T], texts: Sequence[str]) -> T:
    """Call with the fields that `name=value` texts name; a JSON value that is refused is tried as the text that it is.

    Raises what `read_fields` and `literals.fitted` raise.
    """
    given, texts_of = read_fields(texts)
    return literals.fitted(lambda fields: call(**fields), given, texts_of)


def read_fields(texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """`name=value` to the fields of a call, and the texts of those that may be meant as text all the same.

    A value is JSON where it is some (42, true, null, [..], {..}, "text") or Python's True or False, else text; `@file`
    is the file's text, or, where it is no text, the file itself (an image); `@@` stands for a first `@`. Raises
    UsageError.
    """
    found: dict[str, Any] = {}
    unsure: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise vidpoll.UsageError(f"{text[:60]!r} is no field: write NAME=VALUE, like prompt='a lighthouse at dusk'")
        if name in found:
            raise vidpoll.UsageError(f"the field {name!r} is given twice")
        found[name] = _value(name, value)
        if not isinstance(found[name], (str, Path)):
            unsure[name] = value
    return found, unsure


def _value(name: str, text: str) -> object:
    if text.startswith("@@"):
        return text[1:]
    if text.startswith("@"):
        return _file(name, Path(text[1:]))
    return literals.literal(text)


def _file(name: str, path: Path) -> object:
    try:
        data = path.read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise vidpoll.UsageError(f"{name}: cannot read {str(path)!r}: {why} (a text that begins with @: @@…)") from None
    try:
        return path if b"\0" in data else data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return path
