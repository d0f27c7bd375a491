"""Builds every command that vidpoll prints as the next step, so that it works when pasted.

The printed command uses the same base URL, account, store and other options as the current one. Messages of the library
name bare commands or a line of Python; `advised` adds the options of this call to them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import vidpoll
from vidpoll import shell

from .context import Arguments, key_variable

_REACH = ("header", "insecure", "private_media", "patience", "http_timeout", "transport")
_WHERE = ("base_url", "account", *_REACH)
_STORE = ("store", "no_store")

TAKES: dict[str, Sequence[str]] = {
    "wait": (*_WHERE, *_STORE),
    "status": (*_WHERE, *_STORE),
    "download": (*_WHERE, *_STORE),
    "submit": (*_WHERE, *_STORE),
    "batch": (*_WHERE, "store"),
    "price": (*_WHERE, *_STORE),
    "upload": _WHERE,
    "quota": _WHERE,
    "jobs": _WHERE,
    "jobs --local": ("store",),
    "doctor": (*_WHERE, *_STORE),
    "resume": ("addresses", *_REACH, "store"),
}
"""By command: the options that a printed command inherits from the command that prints it."""


def again(args: Arguments, command: str, *words: str, **options: str | bool | list[str] | None) -> str:
    """The shell command for the next step: `options` are set for it, the others are inherited from this call."""
    line = ["vidpoll", *command.split(), *words]
    for name, value in options.items():
        line += _option(name, value)
    kept = not getattr(args, "no_store", False)
    for name in TAKES[command] if kept else filter("store".__ne__, TAKES[command]):
        if name not in options:
            line += _option(name, _addresses(args) if name == "addresses" else getattr(args, name, None))
    return shell.join(line)


def _addresses(args: Arguments) -> list[str]:
    """The base URLs that this call names: `resume` uses no other base URL that only a store names."""
    accounts: Sequence[tuple[str, vidpoll.Account]] = getattr(args, "account", None) or ()
    named = [*getattr(args, "addresses", ()), getattr(args, "base_url", None), *(own.base_url for _, own in accounts)]
    return list(dict.fromkeys(url for url in named if url))


def _option(name: str, value: object) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if name == "account":
        accounts: Sequence[tuple[str, vidpoll.Account]] = value  # type: ignore[assignment]  # what --account parses to
        return [word for account, own in accounts for word in (flag, _account(account, own))]
    if isinstance(value, list):  # of headers, or addresses
        return [word for each in value for word in _with("--base-url" if name == "addresses" else flag, str(each))]
    if isinstance(value, tuple):
        return _with(flag, ",".join(f"{each:g}" if isinstance(each, float) else str(each) for each in value))
    return _with(flag, f"{value:g}" if isinstance(value, float) else str(value))


def _with(flag: str, value: str) -> list[str]:
    """An option and its value: in one word if the value would be read as an option itself."""
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def _account(name: str, own: vidpoll.Account) -> str:
    return f"{name}={own.provider}{f'@{own.base_url}' if own.base_url else ''}"


_LINE = re.compile(
    r"vidpoll (wait|status|jobs|quota|download) ((?:'[^']*'|[^\s'`;,)])+?)( --base-url [^\s`;,)]+?)?"
    r"(?=\.?(?:[\s`;,)]|$))(?! --)"
)
_STORED = re.compile(r"(?:client\.store or )?`vidpoll (resume|jobs --local)(?: --forget ('[^']*'|[^\s`]+))?`")
_SUBMIT = re.compile(r"(?:client\.store or )?`vidpoll resume( '?--(?:adopt|store)=[^`]+)`")
_KEY = re.compile(r"(?:\w+ of )?accounts=\{'([^']+)': vidpoll\.Account\('[^']*', key=…\)\}")
"""What gives an account its key in Python, as `net.keys` writes it."""

_PYTHON = re.compile(r"""(?:vidpoll|client)\.(wait|jobs|quota)\((["'])(.+?)\2\)""")
_RESUME = re.compile(r"(?:Then r|R)esume: (?!.*esume: )")
_SLOW = re.compile(r"no connection within|no complete response within|nothing came for")


def advised(error: vidpoll.VidpollError, args: Arguments, line: str | None = None) -> str:
    """The message of an error with next steps that work in this shell; `line` is the command that waits for its job."""
    said = error.message
    if isinstance(error, vidpoll.MissingKey):  # the command line reads keys from the environment only
        said = said.partition(", or pass Client(")[0]
        said = said.replace("pass it there, or omit key= to use the environment variable", "unset it, or set those")
    resume = getattr(error, "resume", None)
    if resume and error.job is not None:
        bare = f"vidpoll wait {shell.quote(error.job.ref)}"
        said = said.replace(resume, bare)
        if line is not None:
            said = re.sub(rf"{re.escape(bare)}(?: --base-url \S+)?", lambda _: line, said)
    said = pasted(said, args)
    ways = ["--patience S tolerates faults for longer"] if isinstance(error, vidpoll.ProviderUnreachable) else []
    ways += ["--http-timeout S waits longer for a response"] if _SLOW.search(said) else []
    if getattr(error, "status", None) in (401, 403):
        ways += ["--header NAME=VARIABLE sends a header that a proxy in front of the server requires"]
    if not ways or not hasattr(args, "patience"):
        return said
    told = "; ".join(ways)
    found = _RESUME.search(said)
    return f"{said[: found.start()]}{told}. {said[found.start() :]}" if found else f"{said.rstrip('.')}. {told}"


def pasted(said: str, args: Arguments) -> str:
    """A message of the library with the commands of this call, in place of bare ones and of lines of Python."""
    said = _PYTHON.sub(lambda found: f"vidpoll {found[1]} {shell.quote(found[3])}", said)
    said = _LINE.sub(lambda found: _with_options(args, *found.groups()), said)
    said = _STORED.sub(lambda found: f"`{_of_store(args, found[1], found[2])}`", said)
    said = _SUBMIT.sub(lambda found: f"`{_of_submit(args, shlex.split(found[1]))}`", said)
    said = _KEY.sub(lambda found: key_variable(found[1]), said)
    return said.replace("et its base_url to", f"et {_sets_base_url(args)} to")


def _sets_base_url(args: Arguments) -> str:
    """What sets the base URL of an account that has one of its own."""
    if getattr(args, "base_url", None):
        return "--base-url"
    if hasattr(args, "addresses"):  # `resume` polls each job where the store says
        return "--base-url of `vidpoll wait REF`"
    return "the URL in --account" if getattr(args, "account", None) else "its base_url"


def _of_store(args: Arguments, command: str, forget: str | None) -> str:
    return again(args, command, forget=None if forget is None else shlex.split(forget)[0])


def _of_submit(args: Arguments, words: list[str]) -> str:
    """`resume` about a submit of unknown outcome, in the store of this call."""
    given = {name: value for name, _, value in (word.partition("=") for word in words)}
    return again(args, "resume", adopt=given.get("--adopt"), key=given.get("--key"), number=given.get("--number"))


def _with_options(args: Arguments, command: str, words: str, base_url: str | None) -> str:
    line = again(args, command, *shlex.split(words))
    return line if getattr(args, "base_url", None) else f"{line}{base_url or ''}"


def fetching(error: vidpoll.VidpollError, args: Arguments, line: str) -> str:
    """`advised` for the error of a download: `line` is the command that downloads the file."""
    said = advised(error, args)
    if isinstance(error, vidpoll.ResultMissing):
        return f"{said}. To save these: {line}" if "it has: no files" not in said else said
    said = said.replace("the same call goes on where it stopped", f"continue with {line}")
    return re.sub(r"download it again(?:: .*)?$", lambda _: f"download it again with {line}", said)
