"""Finds a transport by name, and a store by the scheme of its URL, and loads the plugin that provides it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import redact
from .errors import PluginError, UsageError, VidpollError
from .installing import from_clone
from .plugins import Plugins
from .similar import similar

TRANSPORTS = {"curl": "vidpoll-curl"}
"""This project's transports other than "requests", and the distributions that provide them."""

STORES = {"postgresql": "vidpoll-postgres", "postgres": "vidpoll-postgres"}
"""The schemes of this project's stores other than the SQLite file, and the distributions that provide them."""


def transport(plugins: Plugins, name: str) -> Callable[[], Any]:
    """The function that makes the transport of that name. Raises UsageError with the known names and what to install.

    The caller named the transport, so installed plugins are searched even with `discover=False`.
    """
    entries = plugins.named("vidpoll_transports", name)
    makers: dict[str, Callable[[], Any]] = {}
    for impl in plugins.calls("vidpoll_transports"):
        try:
            makers.update(impl.function())
        except Exception as error:
            raise PluginError(f"plugin {impl.plugin_name}, vidpoll_transports: {redact.error(error)}") from error
    if name in makers:
        return makers[name]
    raise UsageError(_no_transport(plugins, name, {"requests", *makers, *entries}))


def store(plugins: Plugins, url: str) -> Any:
    """The store at a URL. Raises UsageError that names what to install, and any error of the plugin."""
    scheme = url.partition("://")[0]
    plugins.named("vidpoll_stores", scheme)
    for impl in plugins.calls("vidpoll_stores"):
        try:
            found = impl.function(*(url for _ in impl.argnames))
        except VidpollError:
            raise
        except Exception as error:  # noqa: BLE001 - the message may hold the URL with its password
            said = redact.hide(redact.error(error).replace(url, redact.store(url)), _secrets(url))
            raise PluginError(f"plugin {impl.plugin_name}, vidpoll_stores: {said}") from None
        if found is not None:
            return found
    raise UsageError(f"no store at {redact.store(url)}: {_no_store(plugins, scheme)}")


def _secrets(url: str) -> list[str]:
    """The parts of a URL that may be its password: a plugin's error may quote only these."""
    user_data = url.partition("://")[2].rpartition("@")[0]
    return [user_data, user_data.partition(":")[2]]


def _no_transport(plugins: Plugins, name: str, known: set[str]) -> str:
    if name in plugins.disabled and name in known:
        return f"the transport {name} is switched off: take it out of VIDPOLL_DISABLE"
    for report in plugins.problems:
        if report.name == name:
            return f"the transport {name} ({report.distribution}) is broken: {report.problem}"
    meant = similar(name, {*known, *TRANSPORTS})
    said = f"did you mean {meant[0]!r}? " if meant and meant[0] != name else ""
    wanted = TRANSPORTS.get(meant[0]) if meant and meant[0] not in known else None
    install = f"; install {from_clone(wanted)}" if wanted else ""
    return f"no transport {redact.quoted(name, 60)}: {said}known: {', '.join(sorted(known))}{install}"


def _no_store(plugins: Plugins, scheme: str) -> str:
    if scheme in plugins.disabled:
        return f"the plugin {scheme} is switched off: take it out of VIDPOLL_DISABLE"
    for report in plugins.problems:
        if report.name == scheme:
            return f"{report.distribution} is broken: {report.problem}"
    if scheme in ("file", "sqlite", "sqlite3"):
        return "name an SQLite file by its path, without a scheme"
    if scheme in STORES:
        return f"install {from_clone(STORES[scheme])}"
    known = ", ".join(f"{name}://" for name in STORES)
    shown = redact.text(scheme, limit=40)
    return f"no installed plugin supports {shown}://; install one that does, or use a file path or {known}"
