"""`vidpoll doctor`: checks the setup of this machine, prints one line a check, and says how to fix each trouble.

It sends requests only to the accounts that are named. A check that fails affects its own line, never the others.
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
from vidpoll.installing import PACK, from_clone

from .again import advised, again
from .context import (
    Arguments,
    Command,
    Context,
    accounts_of,
    as_json,
    is_there,
    key_variable,
    shown,
    store,
    store_of,
    where,
)
from .output import COMPLETED, NOT_COMPLETED, counted
from .versions import version_of, versions

SKEW = 60.0
"""Seconds by which this machine's clock may differ from a provider's."""

ROOM = 100_000_000
"""Free bytes below which a disk counts as full."""


class Check(NamedTuple):
    """What was checked, and the result; the text of a trouble says how to fix it."""

    name: str
    text: str
    trouble: bool = False


Checks = Iterator[Check]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "accounts", nargs="*", metavar="ACCOUNT", help="also send one request to its host, without the key"
    )
    where(parser)
    store(parser)
    as_json(parser)


def _doctor(args: Arguments, context: Context) -> int:
    troubles = 0
    accounts_of(args.accounts, args, {})  # a wrong call raises, and is not a trouble of the machine
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
    """Run a check; an exception in it becomes a trouble."""
    try:
        yield from check()
    except vidpoll.VidpollError as error:
        yield Check(name, advised(error, args).removeprefix(f"{name}: "), trouble=True)
    except Exception as error:  # noqa: BLE001 - the other checks must still run
        said = redact.text(f"{type(error).__name__}: {error}")
        yield Check(name, f"the check failed ({said}): this is a bug, report it with these lines", trouble=True)


# -- the machine ------------------------------------------------------------------------------------------------------


def _proxies() -> Checks:
    """The proxies for requests to providers. A server on this machine is reached without one."""
    from vidpoll.faults import Misconfigured
    from vidpoll.net import environment  # it imports requests

    told, wrong = [], False
    for scheme in ("https", "http"):
        url = f"{scheme}://provider.example"
        try:
            proxy = environment.proxy(url)
        except Misconfigured as error:
            wrong = True
            yield Check("proxies", error.reason, trouble=True)
            continue
        told += [f"{scheme} through {proxy} ({environment.proxy_variable(url)})"] if proxy else []
    around = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    told += [f"except for {redact.text(around, limit=200)} (NO_PROXY)"] if told and around else []
    if told or not wrong:
        yield Check("proxies", ", ".join(told) or "none")


def _certificates() -> Checks:
    """The trusted certificates, and a variable that names a missing file."""
    from vidpoll.faults import Misconfigured
    from vidpoll.net import environment

    given = os.environ.get("SSL_CERT_FILE")
    if given and not Path(given).is_file():
        text = f"SSL_CERT_FILE is ignored, because there is no file {redact.text(given)}: correct it, or unset it"
        yield Check("certificates", text, trouble=True)
    try:
        name, path = environment.bundle()
    except Misconfigured as error:
        yield Check("certificates", error.reason, trouble=True)
        return
    of = f"certifi {version_of('certifi')}" if name == "certifi" else f"{path} ({name})"
    yield Check("certificates", f"{of}, {ssl.OPENSSL_VERSION}")


def _store(args: Arguments, context: Context) -> Checks:
    """Whether jobs can be kept, how many are kept, and the free space."""
    place = store_of(args)
    if place is None and args.no_store:
        yield Check("store", "none (--no-store)")
    elif place is None:
        text = "this user has no home folder, so no job is kept: name a file with --store FILE or VIDPOLL_STORE"
        yield Check("store", text, trouble=True)
    else:
        new = isinstance(place, Path) and not is_there(place)
        yield _new(Path(place)) if new else _kept(place, args, context)
        if isinstance(place, Path):
            yield from _room(_nearest(place))


def _kept(place: Path | str, args: Arguments, context: Context) -> Check:
    by_plugin = not isinstance(place, Path)
    with context.client_factory(store=place, clock=context.clock, discover=by_plugin) as client:
        kept, left = len(client.store.jobs()), len(client.store.jobs(unfinished=True))
        lost = len(client.store.unknown_submits())
        client.store.prune(0.0)  # deletes nothing, but shows that the store can be written
    submits = f", {counted(lost, 'submit')} of unknown outcome" if lost else ""
    more = f"; `{again(args, 'resume')}` continues them" if left or lost else ""
    return Check("store", f"{shown(place)}: {counted(kept, 'job')}, {left} unfinished{submits}{more}")


def _new(path: Path) -> Check:
    """A store that the first job will create."""
    folder = _nearest(path)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return Check("store", f"{path} does not exist yet; the first job creates it")
    why = "is not writable" if folder.is_dir() else "is not a folder"
    text = (
        f"{path} cannot be created, because {folder} {why}: fix that, or name another file with --store or "
        "VIDPOLL_STORE"
    )
    return Check("store", text, trouble=True)


def _nearest(path: Path) -> Path:
    """The nearest parent of a file that exists, normally a folder."""
    return next((each for each in path.absolute().parents if each.exists()), Path())


def _room(folder: Path) -> Checks:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # the check before this one has reported it
        return
    text = f"{free / 1e9:,.1f} GB free at the store"
    if free < ROOM:
        yield Check("disk", f"{text}: free some space, or jobs cannot be kept there", trouble=True)
    else:
        yield Check("disk", text)


# -- plugins and accounts ---------------------------------------------------------------------------------------------


def _with_plugins(args: Arguments, context: Context) -> Checks:
    """The checks that need a client; if none can be made, that is the only trouble reported."""
    plain = Arguments(**{**vars(args), "transport": "requests"})  # a broken transport must not hide the plugins
    with context.client(args.accounts, plain, keep=False) as client:
        yield from _guarded("plugins", args, lambda: _plugins(client))
        yield from _guarded("keys", args, lambda: _keys(client, args))
    yield from _guarded("transport", args, lambda: _transport(args, context))


def _plugins(client: vidpoll.Client) -> Checks:
    """The installed plugins, with all providers loaded."""
    found = len(client.providers)
    reports = client.plugins
    for report in reports:
        if report.problem:
            step = f"update or uninstall {report.distribution}, or switch it off with VIDPOLL_DISABLE={report.name}"
            yield Check("plugins", f"{report.name} ({report.distribution}) is skipped: {report.problem}; {step}", True)
        for line in report.never_called:
            yield Check("plugins", line.removeprefix("plugin "), True)
    yield Check("plugins", f"{_listed([each for each in reports if not each.problem])}; {counted(found, 'provider')}")


def _listed(reports: list[vidpoll.PluginReport]) -> str:
    found = sorted({(each.distribution, each.version or "") for each in reports if not each.disabled})
    told = [f"{name}{f' {version}' if version else ''}" for name, version in found]
    off = ", ".join(each.name for each in reports if each.disabled)
    installed = ", ".join(told) or f"none; install the providers of this project with {from_clone(PACK)}"
    return f"{installed}{f'; switched off by VIDPOLL_DISABLE: {off}' if off else ''}"


def _keys(client: vidpoll.Client, args: Arguments) -> Checks:
    """The accounts that have a key or a base URL in the environment, by the names of their variables."""
    others = [each for each in client.providers.values() if each.name not in args.accounts]
    used = [each for each in others if _variables(each)]
    for provider in used:
        yield from _guarded(provider.name, args, lambda each=provider: _account_here(client, each.name, each))  # type: ignore[misc]
    if others and not used and not args.accounts:
        yield Check("keys", "none is set; `vidpoll providers NAME` lists the variables of a provider")


def _variables(provider: vidpoll.Provider, account: str = "") -> list[str]:
    """The variables that are set for a provider, and for an account of another name."""
    names = [*provider.auth.variables, f"{re.sub('[^A-Za-z0-9]', '_', provider.name).upper()}_BASE_URL"]
    return [name for name in dict.fromkeys([key_variable(account), *names]) if os.environ.get(name)]


def _account_here(client: vidpoll.Client, name: str, provider: vidpoll.Provider) -> Checks:
    """The variables set for an account, and whether a wait could begin; nothing is sent. Values are not shown."""
    given = _variables(provider, name)
    blemishes = {each: _blemish(os.environ[each]) for each in given if not each.endswith("_BASE_URL")}
    for variable, why in blemishes.items():
        if why:
            yield Check(name, f"{variable} {why}", trouble=True)
    if any(blemishes.values()):
        return
    url = redact.url(client.ready(name))
    names = " and ".join(given)
    yield Check(name, f"{f'{names} set' if names else 'none of its variables is set'}; base URL {url}")


def _blemish(key: str) -> str:
    """What is wrong with the text of a key; the key is not shown."""
    if "\n" in key or "\r" in key:
        return "contains a line break: set it to the key alone"
    if key != key.strip():
        return "has spaces around it: set it to the key alone"
    if key[:1] == key[-1:] and key[:1] in "\"'`":
        return (
            "has quotation marks around it, which are not part of a key (Docker keeps those in env files): remove them"
        )
    if not key.isascii() or not key.isprintable():
        return "contains a character that no key can contain: copy the key again"
    return ""


def _transport(args: Arguments, context: Context) -> Checks:
    """The HTTP library; then one request with it to each account that is named."""
    named = args.transport or os.environ.get("VIDPOLL_TRANSPORT")
    with context.client(args.accounts, args, keep=False) as client:
        by = "--transport" if args.transport else "VIDPOLL_TRANSPORT"
        yield Check("transport", f"{redact.text(named, limit=60)} ({by})" if named else "requests")
        for name in dict.fromkeys(args.accounts):
            yield from _guarded(name, args, lambda name=name: _account(name, client, args))  # type: ignore[misc]


def _account(name: str, client: vidpoll.Client, args: Arguments) -> Checks:
    """A named account: the variables set for it, and one request to its host."""
    own = accounts_of(args.accounts, args, {}).get(name) or vidpoll.Account(name)
    provider = client.provider(own.provider)
    yield from _guarded(name, args, lambda: _account_here(client, name, provider))
    yield from _reached(name, client.reach(name))


def _reached(name: str, reached: vidpoll.Reach) -> Checks:
    """What the response says about the connection, the server and the clocks."""
    took = f"{reached.seconds * 1000:.0f} ms"
    text = f"{redact.url(reached.url)} responds in {took} (HTTP {reached.status}, sent without the key)"
    if reached.status == 407:
        yield Check(name, f"{text}: a proxy requires a user and a password; put them into its variable", trouble=True)
    elif reached.status >= 500:
        yield Check(name, f"{text}: the server fails; a wait tolerates that for --patience seconds", trouble=True)
    else:
        yield Check(name, text)
    if reached.skew is None:
        yield Check("clock", f"{name} does not send its time")
    elif abs(reached.skew) <= SKEW:
        yield Check("clock", f"agrees with that of {name} within {SKEW:g} s")
    else:
        way = "behind" if reached.skew > 0 else "ahead of"
        yield Check(
            "clock",
            f"{abs(reached.skew):,.0f} s {way} that of {name}: signed keys and requests are refused, certificates may "
            "appear expired or not yet valid, and dates in responses mislead; set this machine's clock (NTP)",
            trouble=True,
        )


COMMAND = Command(
    "doctor",
    "check the setup of this machine, and say how to fix each problem",
    _arguments,
    _doctor,
    "vidpoll doctor magicoal",
    "Checks versions, proxies, certificates, the store, plugins, keys (variable names, never a value) and the\n"
    "transport. The only requests are one to each ACCOUNT that you name, without its key. Exits with 1 if a line\n"
    "begins with TROUBLE, else with 0.",
)
