"""What every command gets, and what a command is. How arguments are read; nothing is asked of a provider here."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO, TypeVar

import vidpoll
from vidpoll import redact
from vidpoll.arguments import store_url
from vidpoll.clock import Clock

from .heartbeat import Heart
from .output import Output

Arguments = argparse.Namespace
T = TypeVar("T")

PATIENCE = 600.0
"""Seconds of nothing but faults that are borne, without `--patience`."""

CONNECT = 10.0
"""Seconds to connect, where `--http-timeout` names those for an answer alone."""


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
        within: float | None = None,
        keep: bool = True,
        must_keep: bool = False,
    ) -> vidpoll.Client:
        """A client for these accounts, as the options of `args` say: where, how patiently, and with which store.

        `given` are accounts beside those of the options. `within`: what may be tried again is, for so many seconds at
        most. `keep=False`: without the store. If the default store cannot be used, a warning is printed, and the client
        has no store. A store that the user named raises UsageError instead; with `must_keep` both raise StoreError.
        Raises UsageError where `--base-url` or a `--header` would be for several.
        """
        options: dict[str, Any] = {"clock": self.clock} if heart is None else {"clock": heart, "plugins": [heart]}
        options["accounts"] = accounts_of(sorted(set(accounts)), args, given or {})
        patience = getattr(args, "patience", None)
        if patience is not None or within is not None:
            options["patience"] = max(0.001, min(each for each in (patience or PATIENCE, within) if each is not None))
        if getattr(args, "transport", None) is not None:
            assert args is not None
            options["transport"] = args.transport
        if getattr(args, "http_timeout", None) is not None:
            assert args is not None
            options["http_timeout"] = args.http_timeout
        store = store_of(args) if keep else None
        if store is not None:
            assert args is not None  # it names the store
            try:
                client = self.client_factory(store=store, **options)
                args.opened = True
                return self._displayed(client, heart)
            except vidpoll.StoreError as error:
                if must_keep:
                    raise
                if store_named(args) and not hasattr(args, "opened"):
                    raise unusable(error, args) from None
                self.out.error(f"warning: {error.message}. Going on, and nothing is kept (--store FILE, --no-store)")
                args.no_store = True
        return self._displayed(self.client_factory(**options), heart)

    def _displayed(self, client: vidpoll.Client, heart: Heart | None) -> vidpoll.Client:
        """Where a heartbeat is due on a terminal, a plugin's display is better."""
        if heart is not None and self.out.terminal:
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
    lines = [] if sys.stdin is None else _decoded(_bytes(sys.stdin)).splitlines()
    refs = [ref for line in lines for ref in line.partition("#")[0].split()]
    if not refs:
        raise vidpoll.UsageError("- reads references from standard input, and none came")
    return refs


def _bytes(stream: TextIO) -> bytes:
    """What comes, as it comes; a stream of text alone (in tests, in a notebook) has no bytes beneath it."""
    beneath = getattr(stream, "buffer", None)
    data = stream.read().encode(errors="surrogateescape") if beneath is None else beneath.read()
    return bytes(data)


def _decoded(data: bytes) -> str:
    """Text by its byte order mark (PowerShell writes UTF-16, and UTF-8 with one); without one it is UTF-8."""
    for mark, coding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(coding, "replace")
    return data.decode(errors="replace")


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: it begins as that does
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def accounts_of(
    names: Sequence[str], args: Arguments | None, given: Mapping[str, vidpoll.Account]
) -> dict[str, vidpoll.Account]:
    """The accounts of a call, by name, as its options have them."""
    found = {**given, **dict(getattr(args, "account", None) or ())}
    names = names or sorted(given)
    base_url = getattr(args, "base_url", None)
    headers: Sequence[Header] = getattr(args, "header", None) or ()
    free = [f"--header {header}" for header in headers if header.account is None]
    for option in [*(["--base-url"] if base_url is not None else []), *free]:
        if len(names) > 1:
            other = " (or ACCOUNT:NAME=VARIABLE)" if option in free else ""
            raise vidpoll.UsageError(
                f"{option} is for one provider, and these are several: {', '.join(names)}; "
                f"call vidpoll once for each{other}"
            )
    flags = {name: True for name in ("insecure", "private_media") if getattr(args, name, False)}
    if base_url is None and not headers and not flags:
        return found
    for name in names:
        own = found.get(name, vidpoll.Account(name))
        found[name] = replace(
            own,
            base_url=base_url or own.base_url,
            headers={**own.headers, **{each.name: each.value for each in headers if each.account in (None, name)}},
            **flags,
        )
    return found


class Header(NamedTuple):
    """A header of an account's own, and the environment variable that holds its value."""

    account: str | None
    name: str
    variable: str

    def __str__(self) -> str:
        return f"{self.account + ':' if self.account else ''}{self.name}={self.variable}"

    @property
    def value(self) -> str:
        """Raises UsageError where the variable is not set."""
        value = os.environ.get(self.variable)
        if not value:
            named = re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.variable)  # else it may be the secret itself
            which = f"the environment variable {self.variable}" if named else "what stands behind the ="
            raise vidpoll.UsageError(
                f"--header {self.name}=…: {which} must be {'set' if named else 'the name of an environment variable'}; "
                "it holds the header's value, which would stay in the shell's history on a command line"
            )
        return value


def header(text: str) -> Header:
    """For --header: NAME=VARIABLE, or ACCOUNT:NAME=VARIABLE."""
    left, _, variable = text.partition("=")
    account, colon, name = left.rpartition(":")
    if not name or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", variable):
        raise argparse.ArgumentTypeError(
            f"{left!r} is not NAME=VARIABLE, with the environment variable that holds the header's value"
        )
    return Header(account if colon else None, name, variable)


def base_url(text: str) -> str:
    """For --base-url: a URL without a password, which would stay in the shell's history."""
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise argparse.ArgumentTypeError(
            "this URL holds a user and a password, which stay in the shell's history: set <NAME>_BASE_URL to it, or "
            "put 'Basic …' into a variable and say --header Authorization=VARIABLE"
        )
    return text


def account(text: str) -> tuple[str, vidpoll.Account]:
    """For --account: NAME=PROVIDER or NAME=PROVIDER@URL."""
    name, _, rest = text.partition("=")
    provider, _, url = rest.partition("@")
    if not name or not provider:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PROVIDER or NAME=PROVIDER@URL")
    return name, own_account(name, provider, base_url(url) or None)


def own_account(name: str, provider: str, base_url: str | None) -> vidpoll.Account:
    """An account of the command line: its key is in <NAME>_API_KEY where that is set, else where the provider's is."""
    variable = f"{re.sub('[^A-Za-z0-9]', '_', name).upper()}_API_KEY"
    key = os.environ.get(variable)
    if name == provider or not key:
        return vidpoll.Account(provider, base_url=base_url)
    return vidpoll.Account(provider, base_url=base_url, key=key)


def store_of(args: Arguments | None) -> Path | str | None:
    """The store that a command uses: `--store`, `VIDPOLL_STORE`, or this user's own; None with `--no-store`.

    A path, or a URL.
    """
    if args is None or not hasattr(args, "store") or args.no_store:
        return None
    if args.store or os.environ.get("VIDPOLL_STORE"):
        given = args.store or os.environ["VIDPOLL_STORE"]
        if given == ":memory:":
            raise vidpoll.UsageError("--store :memory: a store is a file; --no-store keeps nothing")
        if store_url(given):
            return str(given)
        return Path(os.path.expanduser(given))  # noqa: PTH111 - it never raises
    with contextlib.suppress(RuntimeError):  # a user without a home
        return _data_home() / "vidpoll" / "jobs.sqlite3"
    return None


def store_named(args: Arguments) -> str:
    """What names the store: `--store` or `VIDPOLL_STORE`. Empty for the default store."""
    return "--store" if args.store else "VIDPOLL_STORE" if os.environ.get("VIDPOLL_STORE") else ""


def unusable(error: vidpoll.StoreError, args: Arguments) -> vidpoll.VidpollError:
    """The error for a store that cannot be opened: UsageError if the user named it."""
    named = store_named(args)
    return vidpoll.UsageError(f"{error.message}. {named} names it, and nothing was sent") if named else error


def is_there(path: Path | str) -> bool:
    """Whether there is a store: a command that only reads makes none. What a URL names is there, or says so itself."""
    if isinstance(path, str):
        return True
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # what is wrong is told where it is opened
        return True
    return True


def shown(store: Path | str) -> str:
    """A store for a message."""
    return redact.store(store) if isinstance(store, str) else str(store)


def store_name(text: str) -> str:
    """For --store: a file, or a URL without a password, which would stay in the shell's history."""
    if store_url(text) and re.search(r"//[^/]*:.*@|[?&](ssl)?password=", text):
        raise argparse.ArgumentTypeError(
            "this URL holds a password, which stays in the shell's history: set VIDPOLL_STORE to it, or put the "
            "password where the database's own tools look for it (~/.pgpass)"
        )
    return text


def reads(args: Arguments) -> bool:
    """Whether a command that makes no store has one."""
    path = store_of(args)
    return path is not None and is_there(path)


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
    details: Callable[[Arguments, Context], str] | None = None
    """What `--help` tells besides, of the arguments beside it."""

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
    """Where to ask, and how."""
    parser.add_argument(
        "--base-url",
        type=base_url,
        metavar="URL",
        help="ask there and not at the provider's own address (or set <NAME>_BASE_URL)",
    )
    parser.add_argument(
        "--account",
        type=account,
        action="append",
        metavar="NAME=PROVIDER[@URL]",
        help="another account of a provider, for references NAME:ID; its key: <NAME>_API_KEY, or the provider's own",
    )
    reaching(parser)


def reaching(parser: argparse.ArgumentParser) -> None:
    """How to ask."""
    parser.add_argument(
        "--header",
        type=header,
        action="append",
        metavar="[ACCOUNT:]NAME=VARIABLE",
        help="send this header, too; its value is in the environment variable, like PROXY_LOGIN='Basic …'",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="let the key travel over plain http to a host that is not private"
    )
    parser.add_argument(
        "--private-media", action="store_true", help="let a server on the public net name files in this network"
    )
    parser.add_argument(
        "--patience", type=positive, metavar="S", help="bear S seconds of nothing but faults (600), then give up"
    )
    parser.add_argument(
        "--http-timeout",
        type=http_timeout,
        metavar="[S,]S",
        help="seconds to connect (10), and for which an answer may say nothing (30)",
    )
    transport(parser)


def transport(parser: argparse.ArgumentParser) -> None:
    """By which library to ask."""
    parser.add_argument(
        "--transport",
        metavar="NAME",
        help="the library that asks: requests, curl (of vidpoll-curl) or a plugin's (or set VIDPOLL_TRANSPORT)",
    )


def bounded(parser: argparse.ArgumentParser, default: float = 60.0) -> None:
    """For how long a command that does not wait may try."""
    parser.add_argument(
        "--timeout", type=positive, default=default, metavar="S", help=f"stop trying after S seconds ({default:g})"
    )


def store(parser: argparse.ArgumentParser) -> None:
    """Where jobs are kept."""
    parser.add_argument(
        "--store",
        type=store_name,
        metavar="FILE",
        help="keep jobs there: a file, or a database's URL (default: VIDPOLL_STORE, or a file of this user's)",
    )
    parser.add_argument("--no-store", action="store_true", help="keep nothing")


def as_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help="for machines: one object a line; signed URLs are cut before their query (`vidpoll download` fetches)",
    )


def seconds(text: str) -> float | None:
    """For --timeout: seconds from 0, or `none`."""
    return None if text == "none" else _number(text, "a number of seconds from 0, or none", lambda value: value >= 0)


def http_timeout(text: str) -> tuple[float, float]:
    """For --http-timeout: READ, or CONNECT,READ."""
    connect, comma, read = text.rpartition(",")
    return positive(connect) if comma else CONNECT, positive(read)


def positive(text: str) -> float:
    """Seconds above 0."""
    return _number(text, "a number of seconds above 0", lambda value: value > 0)


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
