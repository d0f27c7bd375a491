"""What every command gets, and what a command is. How arguments are read; nothing is asked of a provider here."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import vidpoll
from vidpoll.clock import Clock

from .heartbeat import Heart
from .output import Output

Arguments = argparse.Namespace
T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """Where to say things, what time it is, and how to make a client."""

    out: Output
    clock: Clock
    client_factory: Callable[..., vidpoll.Client]

    def client(
        self,
        accounts: Iterable[str] = (),
        args: Arguments | None = None,
        heart: Heart | None = None,
        *,
        given: Mapping[str, vidpoll.Account] | None = None,
    ) -> vidpoll.Client:
        """A client for these accounts, as the options of `args` say: `--base-url`, `--account`, `--store`.

        `given` are accounts beside those of the options. A store that cannot be used costs a warning: what is asked of
        vidpoll is done without it. Raises UsageError where `--base-url` would be for several.
        """
        options: dict[str, Any] = {"clock": self.clock} if heart is None else {"clock": heart, "plugins": [heart]}
        options["accounts"] = {**(given or {}), **_accounts(sorted(set(accounts)), args)}
        store = store_of(args)
        if store is not None:
            try:
                return self._displayed(self.client_factory(store=store, **options), heart)
            except vidpoll.StoreError as error:
                self.out.error(f"warning: {error.message}. Going on, and nothing is kept (--store FILE, --no-store)")
                assert args is not None  # there was a store
                args.no_store = True
        return self._displayed(self.client_factory(**options), heart)

    @staticmethod
    def _displayed(client: vidpoll.Client, heart: Heart | None) -> vidpoll.Client:
        """Where a heartbeat is due, a plugin's display is better."""
        if heart is not None:
            heart.displayed = client.add_display()
        return client

    def jobs(self, refs: Sequence[str]) -> list[vidpoll.Job]:
        """A job for each reference, once; `-` stands for those on standard input.

        Raises BadReference, which asks for the id where only a provider is named.
        """
        refs = [ref for given in refs for ref in (_read() if given == "-" else [given])]
        for ref in refs:
            if ":" in ref:
                continue
            with self.client() as client:
                if any(ref in report.providers for report in client.plugins):
                    raise vidpoll.BadReference(f"{ref} is a provider: write {ref}:ID, with the id of the job")
        return [vidpoll.Job(ref) for ref in dict.fromkeys(refs)]


def _read() -> list[str]:
    """The references on standard input, one a line or several; what follows a # is a comment."""
    lines = [] if sys.stdin is None else sys.stdin.read().splitlines()
    refs = [ref for line in lines for ref in line.partition("#")[0].split()]
    if not refs:
        raise vidpoll.UsageError("- reads references from standard input, and none came")
    return refs


def _accounts(names: Sequence[str], args: Arguments | None) -> dict[str, vidpoll.Account]:
    found = dict(getattr(args, "account", None) or ())
    base_url = getattr(args, "base_url", None)
    if base_url is None:
        return found
    if len(names) > 1:
        raise vidpoll.UsageError(
            f"--base-url is for one provider, and these are several: {', '.join(names)}; call vidpoll once for each"
        )
    at = {name: replace(found.get(name, vidpoll.Account(name)), base_url=base_url) for name in names}
    return {**found, **at}


def account(text: str) -> tuple[str, vidpoll.Account]:
    """For --account: NAME=PROVIDER or NAME=PROVIDER@URL."""
    name, _, rest = text.partition("=")
    provider, _, url = rest.partition("@")
    if not name or not provider:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PROVIDER or NAME=PROVIDER@URL")
    return name, own_account(name, provider, url or None)


def own_account(name: str, provider: str, base_url: str | None) -> vidpoll.Account:
    """An account of the command line: its key is in <NAME>_API_KEY where that is set, else where the provider's is."""
    variable = f"{re.sub('[^A-Za-z0-9]', '_', name).upper()}_API_KEY"
    key = os.environ.get(variable)
    if name == provider or not key:
        return vidpoll.Account(provider, base_url=base_url)
    return vidpoll.Account(provider, base_url=base_url, key=key)


def store_of(args: Arguments | None) -> Path | None:
    """The store that a command uses: `--store`, `VIDPOLL_STORE`, or this user's own; None with `--no-store`."""
    if args is None or not hasattr(args, "store") or args.no_store:
        return None
    if args.store or os.environ.get("VIDPOLL_STORE"):
        return Path(args.store or os.environ["VIDPOLL_STORE"])
    with contextlib.suppress(RuntimeError):  # a user without a home
        return _data_home() / "vidpoll" / "jobs.sqlite3"
    return None


def _data_home() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    given = Path(os.environ.get("XDG_DATA_HOME") or "")
    return given if given.is_absolute() else Path.home() / ".local" / "share"


@dataclass(frozen=True)
class Command:
    """A command: `arguments` fills its parser, `run` returns its exit code."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], object]
    run: Callable[[Arguments, Context], int]
    example: str = ""
    more: str = ""

    @property
    def about(self) -> str:
        """The text above the options."""
        return "\n".join(filter(None, (f"{self.help[:1].upper()}{self.help[1:]}.", self.more)))


class Parser(argparse.ArgumentParser):
    """argparse, with one line for what is wrong instead of a page."""

    def error(self, message: str) -> NoReturn:
        raise vidpoll.UsageError(f"{self.prog.removeprefix('vidpoll ')}: {message}; see {self.prog} --help")

    def parse(self, arguments: Sequence[str]) -> Arguments:
        """Options may stand anywhere; where the parser is too special for that (a plugin's), before or after."""
        try:
            return self.parse_intermixed_args(arguments)
        except TypeError:
            return self.parse_args(arguments)


def references(parser: argparse.ArgumentParser) -> None:
    """One or more references, and what goes with them."""
    parser.add_argument("refs", nargs="+", metavar="REF", help="a job's reference, ACCOUNT:ID; - reads standard input")
    where(parser)


def where(parser: argparse.ArgumentParser) -> None:
    """Where to ask."""
    parser.add_argument(
        "--base-url", metavar="URL", help="ask there and not at the provider's own address (or set <NAME>_BASE_URL)"
    )
    parser.add_argument(
        "--account",
        type=account,
        action="append",
        metavar="NAME=PROVIDER[@URL]",
        help="another account of a provider, for references NAME:ID; its key: <NAME>_API_KEY, or the provider's own",
    )


def store(parser: argparse.ArgumentParser) -> None:
    """Where jobs are kept."""
    parser.add_argument(
        "--store", metavar="FILE", help="keep jobs there (default: VIDPOLL_STORE, or a file of this user's)"
    )
    parser.add_argument("--no-store", action="store_true", help="keep nothing")


def same_options(args: Arguments, *names: str) -> list[str]:
    """The options that a line which goes on with the same jobs needs, too."""
    words: list[str] = []
    for name in names:
        value = getattr(args, name, None)
        if name == "account":
            for account, given in value or ():
                words += ["--account", f"{account}={given.provider}{f'@{given.base_url}' if given.base_url else ''}"]
        elif value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    return words


def as_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help="for machines: one object a line; signed URLs are cut before their query (`vidpoll download` fetches)",
    )


def fields(parser: argparse.ArgumentParser, help: str) -> None:
    """The fields of a call, for `with_fields`."""
    parser.add_argument("fields", nargs="*", default=(), metavar="NAME=VALUE", help=help)  # without a default, required


def seconds(text: str) -> float | None:
    """For --timeout: seconds from 0, or `none`."""
    return None if text == "none" else _number(text, "a number of seconds from 0, or none", lambda value: value >= 0)


def speed(text: str) -> float:
    """For --speed: a number above 0."""
    return _number(text, "a number above 0", lambda value: value > 0)


def count(text: str) -> int:
    """A whole number from 1."""
    return int(_number(text, "a whole number from 1", lambda value: value >= 1 and value == int(value)))


def _number(text: str, due: str, holds: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and holds(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not {due}")
    return value


def with_fields(call: Callable[..., T], texts: Sequence[str]) -> T:
    """Call with the fields that `name=value` texts name; a JSON value that is refused is tried as the text that it is.

    So `prompt=2024` is a text and `num_frames=81` a number, and nobody but the plugin knows which. An InvalidField is
    raised before anything is sent, and begins with the name of its field; where the text is refused, too, the first
    refusal counts.
    """
    given, texts_of = read_fields(texts)
    first: dict[str, vidpoll.InvalidField] = {}
    while True:
        try:
            return call(**given)
        except vidpoll.InvalidField as refused:
            name = next(iter(re.findall(r"^\w+", refused.message)), "")
            if name in first:
                raise first[name] from None
            if name not in texts_of:
                raise
            given[name], first[name] = texts_of[name], refused


def read_fields(texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """`name=value` to the fields of a call, and the texts of those that may be meant as text all the same.

    A value is JSON where it is some (42, true, null, [..], {..}, "text"), else text; `@file` is the file's text, or,
    where it is no text, the file itself (an image); `@@` stands for a first `@`. Raises UsageError.
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
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return text


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is text")


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
