"""`vidpoll doctor`: looks at what is set up on this machine, one line a check, and says of each trouble what to do.

Nothing is sent but to the accounts that are named. A check that goes wrong costs its own line, never the others.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import vidpoll
from vidpoll import redact

from .again import advised
from .context import Arguments, Command, Context, accounts_of, as_json, is_there, shown, store, store_of, where
from .output import COMPLETED, NOT_COMPLETED, counted
from .versions import version_of, versions

SKEW = 60.0
"""Seconds by which the clocks may differ."""

ROOM = 100_000_000
"""Bytes below which a disk counts as full."""


class Check(NamedTuple):
    """What was looked at, and what was found; the text of a trouble says what to do."""

    name: str
    text: str
    trouble: bool = False


Checks = Iterator[Check]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="ask its host once, too, without the key")
    where(parser)
    store(parser)
    as_json(parser)


def _doctor(args: Arguments, context: Context) -> int:
    troubles = 0
    accounts_of(args.accounts, args, {})  # what is wrong with the call itself is no trouble of the machine
    for check in _all(args, context):
        troubles += check.trouble
        if args.json:
            context.out.json({"check": check.name, "ok": not check.trouble, "text": check.text})
        else:
            context.out.line(f"{'TROUBLE' if check.trouble else 'ok':<7}  {check.name:<17}  {check.text}")
    if not args.json:
        context.out.line(f"{troubles or 'no'} trouble{'s' * (troubles > 1)} found")
    return NOT_COMPLETED if troubles else COMPLETED


def _all(args: Arguments, context: Context) -> Checks:
    yield from _guarded("versions", args, lambda: iter([Check("versions", ", ".join(versions()))]))
    yield from _guarded("proxies", args, _proxies)
    yield from _guarded("certificates", args, _certificates)
    yield from _guarded("store", args, lambda: _store(args, context))
    yield from _guarded("plugins", args, lambda: _with_plugins(args, context))


def _guarded(name: str, args: Arguments, check: Callable[[], Checks]) -> Checks:
    """A check; whatever is raised in it is a trouble."""
    try:
        yield from check()
    except vidpoll.VidpollError as error:
        yield Check(name, advised(error, args).removeprefix(f"{name}: "), trouble=True)
    except Exception as error:  # noqa: BLE001 - the other checks are still wanted
        said = redact.text(f"{type(error).__name__}: {error}")
        yield Check(name, f"cannot be looked at ({said}): report it with these lines", trouble=True)


# -- the machine ------------------------------------------------------------------------------------------------------


def _proxies() -> Checks:
    """Which proxy a provider is asked by. A server on this machine is asked by none."""
    from vidpoll.faults import Misconfigured
    from vidpoll.net import environment  # it brings requests

    told, wrong = [], False
    for scheme in ("https", "http"):
        url = f"{scheme}://provider.example"
        try:
            proxy = environment.proxy(url)
        except Misconfigured as error:
            wrong = True
            yield Check("proxies", error.reason, trouble=True)
            continue
        told += [f"{scheme} by {proxy} ({environment.proxy_variable(url)})"] if proxy else []
    around = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    told += [f"but not for {redact.text(around, limit=200)} (NO_PROXY)"] if told and around else []
    if told or not wrong:
        yield Check("proxies", ", ".join(told) or "none for a provider")


def _certificates() -> Checks:
    """Which certificates are trusted, and a variable that names none."""
    from vidpoll.faults import Misconfigured
    from vidpoll.net import environment

    given = os.environ.get("SSL_CERT_FILE")
    if given and not Path(given).is_file():
        text = f"SSL_CERT_FILE names no file ({redact.text(given)}), and is passed over: correct it, or unset it"
        yield Check("certificates", text, trouble=True)
    try:
        name, path = environment.bundle()
    except Misconfigured as error:
        yield Check("certificates", error.reason, trouble=True)
        return
    of = f"certifi {version_of('certifi')}" if name == "certifi" else f"{path} ({name})"
    yield Check("certificates", f"{of}, {ssl.OPENSSL_VERSION}")


def _store(args: Arguments, context: Context) -> Checks:
    """Whether jobs can be kept, how many are, and the room beside them."""
    place = store_of(args)
    if place is None and args.no_store:
        yield Check("store", "none, by --no-store")
    elif place is None:
        text = "this user has no home, so no job is kept: name a file with --store FILE or VIDPOLL_STORE"
        yield Check("store", text, trouble=True)
    else:
        new = isinstance(place, Path) and not is_there(place)
        yield _new(Path(place)) if new else _kept(place, context)
        if isinstance(place, Path):
            yield from _room(_nearest(place))


def _kept(place: Path | str, context: Context) -> Check:
    by_plugin = not isinstance(place, Path)
    with context.client_factory(store=place, clock=context.clock, discover=by_plugin) as client:
        kept, left = len(client.store.jobs()), len(client.store.jobs(unfinished=True))
        lost = len(client.store.unknown_submits())
        client.store.prune(0.0)  # nothing is as old as that: it shows that the store can be written
    submits = f", {counted(lost, 'submit')} without an answer" if lost else ""
    more = "; `vidpoll resume` goes on with them" if left or lost else ""
    return Check("store", f"{shown(place)}: {counted(kept, 'job')}, {left} unfinished{submits}{more}")


def _new(path: Path) -> Check:
    """A store that the first job makes."""
    folder = _nearest(path)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return Check("store", f"{path} is not there yet; the first job makes it")
    why = "cannot be written" if folder.is_dir() else "is no folder"
    text = (
        f"{path} cannot be made, because {folder} {why}: mend that, or name another file with --store or VIDPOLL_STORE"
    )
    return Check("store", text, trouble=True)


def _nearest(path: Path) -> Path:
    """The lowest folder above a file that is there, or what stands in the place of one."""
    return next((each for each in path.absolute().parents if each.exists()), Path())


def _room(folder: Path) -> Checks:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # what is wrong with it was told
        return
    text = f"{free / 1e9:,.1f} GB free at the store"
    if free < ROOM:
        yield Check("disk", f"{text}: make room, else jobs cannot be kept there", trouble=True)
    else:
        yield Check("disk", text)


# -- plugins and accounts ---------------------------------------------------------------------------------------------


def _with_plugins(args: Arguments, context: Context) -> Checks:
    """What needs a client; where none can be made, that is the one trouble that is told."""
    plain = Arguments(**{**vars(args), "transport": "requests"})  # the plugins are looked at whatever the transport is
    with context.client(args.accounts, plain, keep=False) as client:
        yield from _guarded("plugins", args, lambda: _plugins(client))
        yield from _guarded("keys", args, lambda: _keys(client, args))
    yield from _guarded("transport", args, lambda: _transport(args, context))


def _plugins(client: vidpoll.Client) -> Checks:
    """What is installed, with all providers loaded."""
    found = len(client.providers)
    reports = client.plugins
    for report in reports:
        if report.problem:
            step = f"update or uninstall {report.distribution}, or switch it off with VIDPOLL_DISABLE={report.name}"
            yield Check("plugins", f"{report.name} ({report.distribution}) is skipped: {report.problem}; {step}", True)
    yield Check("plugins", f"{_listed([each for each in reports if not each.problem])}; {counted(found, 'provider')}")


def _listed(reports: list[vidpoll.PluginReport]) -> str:
    found = sorted({(each.distribution, each.version or "") for each in reports if not each.disabled})
    told = [f"{name}{f' {version}' if version else ''}" for name, version in found]
    off = ", ".join(each.name for each in reports if each.disabled)
    installed = ", ".join(told) or "none; pip install vidpoll-providers brings those of this project"
    return f"{installed}{f'; switched off by VIDPOLL_DISABLE: {off}' if off else ''}"


def _keys(client: vidpoll.Client, args: Arguments) -> Checks:
    """The accounts that have a key or a base URL in the environment, by the names of their variables."""
    others = [each for each in client.providers.values() if each.name not in args.accounts]
    used = [each for each in others if _variables(each)]
    for provider in used:
        yield from _guarded(provider.name, args, lambda each=provider: _account_here(client, each.name, each))  # type: ignore[misc]
    if others and not used and not args.accounts:
        yield Check("keys", "none is set; `vidpoll providers NAME` names the variables of a provider")


def _variables(provider: vidpoll.Provider, account: str = "") -> list[str]:
    """What is set for a provider, and for an account of another name."""
    names = [*provider.auth.variables, f"{re.sub('[^A-Za-z0-9]', '_', provider.name).upper()}_BASE_URL"]
    own = f"{re.sub('[^A-Za-z0-9]', '_', account).upper()}_API_KEY"
    return [name for name in dict.fromkeys([own, *names]) if os.environ.get(name)]


def _account_here(client: vidpoll.Client, name: str, provider: vidpoll.Provider) -> Checks:
    """What is set for an account, and whether a wait could begin with it; nothing is sent. Values are not shown."""
    given = _variables(provider, name)
    blemishes = {each: _blemish(os.environ[each]) for each in given if not each.endswith("_BASE_URL")}
    for variable, why in blemishes.items():
        if why:
            yield Check(name, f"{variable} {why}", trouble=True)
    if any(blemishes.values()):
        return
    url = redact.url(client.ready(name))
    names = " and ".join(given)
    yield Check(name, f"{f'{names} set' if names else 'no variable of its provider is set'}; asked at {url}")


def _blemish(key: str) -> str:
    """What is wrong with the text of a key; it is not shown."""
    if "\n" in key or "\r" in key:
        return "holds a line end: set it to the key alone"
    if key != key.strip():
        return "has spaces around it: set it to the key alone"
    if key[:1] == key[-1:] and key[:1] in "\"'`":
        return (
            "has quotation marks around it, which are no part of the key (env files of Docker keep them): remove them"
        )
    if not key.isascii() or not key.isprintable():
        return "holds a character that no key has: copy it anew"
    return ""


def _transport(args: Arguments, context: Context) -> Checks:
    """Which library asks; then the accounts that were named, by it."""
    named = args.transport or os.environ.get("VIDPOLL_TRANSPORT")
    with context.client(args.accounts, args, keep=False) as client:
        by = "--transport" if args.transport else "VIDPOLL_TRANSPORT"
        yield Check("transport", f"{redact.text(named, limit=60)} ({by})" if named else "requests")
        for name in dict.fromkeys(args.accounts):
            yield from _guarded(name, args, lambda name=name: _account(name, client, args))  # type: ignore[misc]


def _account(name: str, client: vidpoll.Client, args: Arguments) -> Checks:
    """An account that was named: what is set for it, and one request to its host."""
    own = accounts_of(args.accounts, args, {}).get(name) or vidpoll.Account(name)
    provider = client.provider(own.provider)
    yield from _guarded(name, args, lambda: _account_here(client, name, provider))
    yield from _reached(name, client.reach(name))


def _reached(name: str, reached: vidpoll.Reach) -> Checks:
    """What the answer says of the way, of the server, and of the clocks."""
    took = f"{reached.seconds * 1000:.0f} ms"
    text = f"{redact.url(reached.url)} answers in {took} (HTTP {reached.status}, asked without the key)"
    if reached.status == 407:
        yield Check(name, f"{text}: a proxy wants a user and a password; write them in its variable", trouble=True)
    elif reached.status >= 500:
        yield Check(name, f"{text}: the server has trouble; a wait bears that for --patience seconds", trouble=True)
    else:
        yield Check(name, text)
    if reached.skew is None:
        yield Check("clock", f"{name} does not tell the time")
    elif abs(reached.skew) <= SKEW:
        yield Check("clock", f"as that of {name}, within {SKEW:g} s")
    else:
        way = "behind" if reached.skew > 0 else "ahead of"
        yield Check(
            "clock",
            f"{abs(reached.skew):,.0f} s {way} that of {name}: signed keys and requests are refused, certificates may "
            "seem not valid yet or no more, and dates in answers mislead; set this machine's clock (NTP)",
            trouble=True,
        )


COMMAND = Command(
    "doctor",
    "look at what is set up here, and say what to do about each trouble",
    _arguments,
    _doctor,
    "vidpoll doctor magicoal",
    "Versions, proxies, certificates, the store, plugins, keys (their variables, never a value) and the transport.\n"
    "Nothing is sent, but for one request without the key to each ACCOUNT that is named. Exits with 1 where there is\n"
    "a trouble, else with 0.",
)
