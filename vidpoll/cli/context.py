"""`Context`, which every command gets, `Command`, and the arguments that commands share. No request is sent here."""

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
from vidpoll import redact, shell
from vidpoll.arguments import store_url
from vidpoll.clock import Clock
from vidpoll.similar import similar

from .heartbeat import Heart
from .named_accounts import check_named
from .output import Output

Arguments = argparse.Namespace
T = TypeVar("T")

PATIENCE = 600.0
"""Seconds of nothing but faults after which a command gives up, without `--patience`."""

CONNECT = 10.0
"""Seconds to connect, if `--http-timeout` gives only the read timeout."""


@dataclass(frozen=True)
class Context:
    """The output, the clock, and the way to make a client."""

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
        """A client for these accounts, with the base URL, patience, store and other options of `args`.

        `given` are accounts in addition to those of the options. `within` limits the patience to that many seconds.
        `keep=False` leaves the store out. If the default store cannot be used, the command prints a warning and works
        without it. A store that the user named raises UsageError instead; with `must_keep` both raise StoreError.
        Raises UsageError if `--base-url` or a `--header` would apply to several accounts, and what `check_named` raises
        (with `given`, the caller checks the names of its options).
        """
        options: dict[str, Any] = {"clock": self.clock} if heart is None else {"clock": heart, "plugins": [heart]}
        accounts = sorted(set(accounts))
        options["accounts"] = accounts_of(accounts, args, given or {})
        named = accounts if given is None else None
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
                return self._ready(client, args, named, heart)
            except vidpoll.StoreError as error:
                if must_keep:
                    raise
                if store_named(args) and not hasattr(args, "opened"):
                    raise unusable(error, args) from None
                self.out.error(
                    f"warning: {error.message}. Continuing without a store: nothing is kept (--store FILE names "
                    "another store, --no-store avoids this warning)"
                )
                args.no_store = True
        return self._ready(self.client_factory(**options), args, named, heart)

    def _ready(
        self, client: vidpoll.Client, args: Arguments | None, named: Sequence[str] | None, heart: Heart | None
    ) -> vidpoll.Client:
        """Check the names in the options, and add a plugin's display, which replaces the heartbeat on a terminal."""
        try:
            if named is not None:
                check_named(client, args, named)
        except vidpoll.VidpollError:
            client.close()
            raise
        if heart is not None and self.out.terminal:
            heart.displayed = client.add_display()
        return client

    def jobs(self, refs: Sequence[str]) -> list[vidpoll.Job]:
        """A job for each reference, once; `-` stands for those on standard input.

        Raises BadReference; if only a provider is named, its message asks for the id.
        """
        refs = [ref for given in refs for ref in (_read() if given == "-" else [given])]
        for ref in refs:
            if ":" in ref:
                continue
            name, _, rest = ref.partition("/")
            with self.client() as client:
                if any(name in report.providers for report in client.plugins):
                    way = f"write {name}:{rest}" if rest else f"write {ref}:ID, with the id of the job"
                    said = f"{redact.quoted(ref)} is not a reference" if rest else f"{ref} is a provider"
                    raise vidpoll.BadReference(f"{said}: {way}")
        return [vidpoll.Job(ref) for ref in dict.fromkeys(refs)]


def _read() -> list[str]:
    """The references on standard input, one or several a line; text after a # is a comment."""
    lines = [] if sys.stdin is None else _decoded(_bytes(sys.stdin)).splitlines()
    refs = [ref for line in lines for ref in line.partition("#")[0].split()]
    if not refs:
        raise vidpoll.UsageError("- reads references from standard input, but it holds none")
    return refs


def _bytes(stream: TextIO) -> bytes:
    """The bytes of a stream; a stream of text only (in tests, in a notebook) has no underlying bytes."""
    beneath = getattr(stream, "buffer", None)
    data = stream.read().encode(errors="surrogateescape") if beneath is None else beneath.read()
    return bytes(data)


def _decoded(data: bytes) -> str:
    """Decode by the byte order mark (PowerShell writes UTF-16, and UTF-8 with a mark); without one, as UTF-8."""
    for mark, coding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(coding, "replace")
    return data.decode(errors="replace")


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def accounts_of(
    names: Sequence[str], args: Arguments | None, given: Mapping[str, vidpoll.Account]
) -> dict[str, vidpoll.Account]:
    """The accounts of a call by name, with its options applied."""
    found = {**given, **dict(getattr(args, "account", None) or ())}
    names = names or sorted(given)
    base_url = getattr(args, "base_url", None)
    headers: Sequence[Header] = getattr(args, "header", None) or ()
    free = [f"--header {header}" for header in headers if header.account is None]
    for option in [*(["--base-url"] if base_url is not None else []), *free]:
        if len(names) > 1:
            other = " (or ACCOUNT:NAME=VARIABLE)" if option in free else ""
            raise vidpoll.UsageError(
                f"{option} applies to one account, but this call uses several: {', '.join(names)}; "
                f"run vidpoll once for each{other}"
            )
    flags = {name: True for name in ("insecure", "private_media") if getattr(args, name, False)}
    if base_url is None and not headers and not flags:
        return found
    for name in names:
        own = found.get(name, vidpoll.Account(name))
        found[name] = replace(own, base_url=base_url or own.base_url, **flags)
    for header in headers:
        for name in names if header.account is None else [header.account]:  # rows of a sheet may name more accounts
            own = found.get(name, vidpoll.Account(name))
            found[name] = replace(own, headers={**own.headers, header.name: header.value})
    return found


class Header(NamedTuple):
    """An extra header of an account, and the environment variable that holds its value."""

    account: str | None
    name: str
    variable: str

    def __str__(self) -> str:
        return f"{self.account + ':' if self.account else ''}{self.name}={self.variable}"

    @property
    def value(self) -> str:
        """Raises UsageError if the variable is not set."""
        value = os.environ.get(self.variable)
        if not value:
            named = re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.variable)  # else it may be the secret itself
            which = f"the environment variable {self.variable}" if named else "the text after ="
            raise vidpoll.UsageError(
                f"--header {self.name}=…: {which} must be {'set' if named else 'the name of an environment variable'}; "
                "that variable holds the header's value (on a command line, it would stay in the shell's history)"
            )
        return value


def header(text: str) -> Header:
    """For --header: NAME=VARIABLE, or ACCOUNT:NAME=VARIABLE."""
    left, _, variable = text.partition("=")
    account, colon, name = left.rpartition(":")
    if not name or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", variable):
        raise argparse.ArgumentTypeError(
            f"{left!r} is not NAME=VARIABLE, where VARIABLE is the environment variable that holds the header's value"
        )
    return Header(account if colon else None, name, variable)


def base_url(text: str) -> str:
    """For --base-url: a URL without a password, which would stay in the shell's history."""
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise argparse.ArgumentTypeError(
            "the URL must not hold a user or password, which would stay in the shell's history: set <NAME>_BASE_URL "
            "to it, or put 'Basic …' into an environment variable and add --header Authorization=VARIABLE"
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
    """An account of the command line: its key is in <NAME>_API_KEY if that is set, else in the provider's variable."""
    key = os.environ.get(key_variable(name))
    if name == provider or not key:
        return vidpoll.Account(provider, base_url=base_url)
    return vidpoll.Account(provider, base_url=base_url, key=key)


def key_variable(account: str) -> str:
    """The environment variable for the key of an account of the command line."""
    return f"{re.sub('[^A-Za-z0-9]', '_', account).upper()}_API_KEY"


def store_of(args: Arguments | None) -> Path | str | None:
    """The store that a command uses: `--store`, `VIDPOLL_STORE`, or this user's own; None with `--no-store`.

    A path, or a URL.
    """
    if args is None or not hasattr(args, "store") or args.no_store:
        return None
    if args.store or os.environ.get("VIDPOLL_STORE"):
        given = args.store or os.environ["VIDPOLL_STORE"]
        if given == ":memory:":
            named = store_named(args)
            raise vidpoll.UsageError(f"{named} must be a file or a URL, got ':memory:'; to keep nothing use --no-store")
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
    return vidpoll.UsageError(f"{error.message}. The store comes from {named}. Nothing was sent") if named else error


def is_there(path: Path | str) -> bool:
    """Whether the store exists, for commands that only read. A URL counts as existing; opening it raises if not."""
    if isinstance(path, str):
        return True
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # opening the store reports the error
        return True
    return True


def shown(store: Path | str) -> str:
    """A store for a message."""
    return redact.store(store) if isinstance(store, str) else str(store)


def store_name(text: str) -> str:
    """For --store: a file, or a URL without a password, which would stay in the shell's history."""
    if store_url(text) and re.search(r"//[^/]*:.*@|[?&](ssl)?password=", text):
        raise argparse.ArgumentTypeError(
            "the URL must not hold a password, which would stay in the shell's history: set VIDPOLL_STORE to it, or "
            "put the password where the database's own tools read it (~/.pgpass)"
        )
    return text


def reads(args: Arguments) -> bool:
    """Whether there is a store to read; the command does not create one."""
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
    """More text for `--help`, about the other arguments on the command line."""

    @property
    def about(self) -> str:
        """The text above the options."""
        return "\n".join(filter(None, (f"{self.help[:1].upper()}{self.help[1:]}.", self.more)))


_FLAGS = re.compile(r"(?<!\S)--([\w-]+)(?:[= ](?!--)(.+?))?(?=\s--|\s*$)")
"""The unknown options of a message, each with its value."""


class Parser(argparse.ArgumentParser):
    """argparse, with one error line instead of the whole usage text."""

    def __init__(self, **options: Any) -> None:
        self.added: list[argparse.Action] = []
        """The options and arguments so far; the options are proposed for misspelt ones."""
        super().__init__(**options)

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        self.added.append(super().add_argument(*names, **options))
        return self.added[-1]

    def error(self, message: str) -> NoReturn:
        said = f"{self.prog.removeprefix('vidpoll ')}: {message};{self._meant(message)}"
        raise vidpoll.UsageError(f"{said} see {self.prog} --help")

    def _meant(self, message: str) -> str:
        """The options that may have been meant by unknown ones, or how a field is written."""
        unknown = _FLAGS.findall(message.partition("unrecognized arguments: ")[2])
        fields = any("NAME=VALUE" in str(each.metavar) for each in self.added)
        said = ""
        options = [option for each in self.added for option in each.option_strings]
        close = [similar(f"--{name}", options) for name, _ in unknown]
        if any(close):
            said = f" did you mean {' or '.join(dict.fromkeys(option for found in close for option in found))}?"
        meant = [each for each, found in zip(unknown, close, strict=True) if fields and not found]
        written = [f"{name.replace('-', '_')}={shell.quote(value) if value else '…'}" for name, value in meant]
        return f"{said} write a field as NAME=VALUE: {' '.join(written)};" if written else said

    def parse(self, arguments: Sequence[str]) -> Arguments:
        """Parse options anywhere in the line; if a plugin's parser cannot, only before or after the arguments."""
        try:
            return self.parse_intermixed_args(arguments)
        except TypeError:
            return self.parse_args(arguments)


def references(parser: argparse.ArgumentParser) -> None:
    """One or more references, and the options of `where`."""
    parser.add_argument(
        "refs", nargs="+", metavar="REF", help="a job's reference, ACCOUNT:ID; - reads them from standard input"
    )
    where(parser)


def where(parser: argparse.ArgumentParser) -> None:
    """The options for where and how requests are sent."""
    parser.add_argument(
        "--base-url",
        type=base_url,
        metavar="URL",
        help="send requests to URL instead of the provider's own address (or set <NAME>_BASE_URL)",
    )
    parser.add_argument(
        "--account",
        type=account,
        action="append",
        metavar="NAME=PROVIDER[@URL]",
        help="define another account of a provider, for references NAME:ID; its key is read from <NAME>_API_KEY, "
        "else from the provider's variable",
    )
    reaching(parser)


def reaching(parser: argparse.ArgumentParser) -> None:
    """The options for how requests are sent."""
    parser.add_argument(
        "--header",
        type=header,
        action="append",
        metavar="[ACCOUNT:]NAME=VARIABLE",
        help="also send the header NAME, with the value of the environment variable VARIABLE (for example a proxy's "
        "'Basic …' login)",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="allow the key over plain http to a host that is not private"
    )
    parser.add_argument(
        "--private-media",
        action="store_true",
        help="allow a public provider to name files on hosts of your private network",
    )
    parser.add_argument(
        "--patience", type=positive, metavar="S", help="give up after S seconds of nothing but faults (600)"
    )
    parser.add_argument(
        "--http-timeout",
        type=http_timeout,
        metavar="[S,]S",
        help="timeouts of one request: seconds to connect (10), and seconds without data in a response (30)",
    )
    transport(parser)


def transport(parser: argparse.ArgumentParser) -> None:
    """The option for the HTTP library."""
    parser.add_argument(
        "--transport",
        metavar="NAME",
        help="the HTTP library: requests, curl (from vidpoll-curl) or a plugin's (or set VIDPOLL_TRANSPORT)",
    )


def bounded(parser: argparse.ArgumentParser, default: float = 60.0) -> None:
    """The time limit of a command that does not wait for jobs."""
    parser.add_argument(
        "--timeout", type=positive, default=default, metavar="S", help=f"stop trying after S seconds ({default:g})"
    )


def store(parser: argparse.ArgumentParser) -> None:
    """The options for where jobs are kept."""
    one = parser.add_mutually_exclusive_group()
    named = one.add_argument(
        "--store",
        type=store_name,
        metavar="FILE",
        help="where jobs are kept: a file, or a database's URL (default: VIDPOLL_STORE, else a file in this user's "
        "data folder)",
    )
    nowhere = one.add_argument("--no-store", action="store_true", help="keep nothing on disk")
    if isinstance(parser, Parser):  # options of a group are not noted by themselves
        parser.added += [named, nowhere]


def as_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a line; signed URLs are cut before their query (`vidpoll download` fetches them)",
    )


def seconds(text: str) -> float | None:
    """For --timeout: seconds, 0 or more, or `none`."""
    return (
        None if text == "none" else _number(text, "a number of seconds, 0 or more, or none", lambda value: value >= 0)
    )


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
    """A whole number, 1 or more."""
    return int(_number(text, "a whole number, 1 or more", lambda value: value >= 1 and value == int(value)))


def _number(text: str, due: str, holds: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and holds(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not {due}")
    return value
