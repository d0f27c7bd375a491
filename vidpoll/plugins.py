"""Finds plugins, checks them, and calls their hooks one by one. Only this module and `hookspecs` use pluggy.

An entry point that names a module is loaded at once. An entry point that names a function, like
`acme = vidpoll_acme:vidpoll_providers`, provides the provider of its own name and is loaded only when that provider is
used: with thirty providers installed, a program loads one. Transports, like
`curl = vidpoll_curl:vidpoll_transports`, and stores, which have the name of their URL scheme, are loaded the same way.

An installed plugin that does not import or validate is reported in `problems` and skipped, whatever it raises except
KeyboardInterrupt: a module that calls sys.exit must not end every program. A passed plugin that does not validate
raises an error for the caller. Two plugins with the same provider name stop everything, because it would
be unclear where a key goes.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from . import hookspecs, redact
from .caller_warnings import warn
from .errors import PluginError, UnknownProvider, UsageError
from .events import (
    Completed,
    Downloaded,
    DownloadProgress,
    Event,
    Failed,
    GaveUp,
    Polled,
    PollFailed,
    ProgressChanged,
    StageChanged,
    Stalled,
)
from .fork_lock import ForkLock
from .hook_check import check_implementation, has_marked, in_module, is_marked, nothing_marked
from .installing import NEW_PLUGIN, PACK, from_clone
from .job import Job
from .provider import Provider
from .similar import similar

log = logging.getLogger("vidpoll")

_NAMED = ("vidpoll_transports", "vidpoll_stores")
"""Hooks whose entry points are loaded by need: such an entry point has the name of its transport or URL scheme."""

log.addHandler(logging.NullHandler())  # silent by default: the application configures logging

GROUP = "vidpoll"
"""The entry-point group of plugins."""

HOOKS: Mapping[type[Event], str] = {
    StageChanged: "vidpoll_stage_changed",
    ProgressChanged: "vidpoll_progress",
    Completed: "vidpoll_completed",
    Failed: "vidpoll_failed",
    PollFailed: "vidpoll_poll_failed",
    Stalled: "vidpoll_stalled",
    GaveUp: "vidpoll_gave_up",
    Polled: "vidpoll_polled",
    DownloadProgress: "vidpoll_download_progress",
    Downloaded: "vidpoll_downloaded",
}
"""The hook for each event."""

_SPECS = tuple(name for name in vars(hookspecs) if name.startswith("vidpoll_"))


@dataclass(frozen=True, slots=True)
class PluginReport:
    """The report on one plugin: its name, where it comes from, its hooks and providers, and its problem, if any.

    `never_called`: what is wrong with functions of the plugin that look like hooks but are never called, one line each.
    `disabled`: the plugin is installed but switched off (`VIDPOLL_DISABLE`), so it was not loaded. `loaded` is False,
    and `hooks` is empty, for a plugin that is imported by need and has not been needed yet.
    """

    name: str
    distribution: str
    version: str | None = None
    hooks: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    problem: str | None = None
    disabled: bool = False
    loaded: bool = True
    never_called: tuple[str, ...] = ()


class Plugins:
    """The plugins of one client. `passed` are modules or objects. `discover` adds the installed plugins, except those
    whose entry points are named in `disabled`. `trace` logs each call of a hook. Notifiers read their settings from
    `environ`. Threads may share it.

    Raises UsageError for a passed object without a hook, PluginError for a passed plugin that does not validate and for
    two providers with the same name.
    """

    def __init__(
        self,
        passed: Iterable[object] = (),
        *,
        discover: bool = True,
        disabled: Iterable[str] = (),
        trace: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.manager = pluggy.PluginManager("vidpoll")
        self.manager.add_hookspecs(hookspecs)
        self._reports: list[PluginReport] = []
        self._providers: dict[str, Provider] = {}
        self._origins: dict[str, str] = {}
        self._by_need: dict[str, metadata.EntryPoint] = {}
        self.disabled = frozenset(disabled)
        self._discover = discover
        self._loading = ForkLock(threading.RLock)
        self._trace = trace
        self._environ = environ or {}
        if discover:
            for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
                source, version = _source(entry)
                if entry.name in self.disabled:
                    self._reports.append(PluginReport(entry.name, source, version, disabled=True))
                elif entry.attr == "vidpoll_providers":
                    self._claim(entry.name, source)
                    self._by_need[entry.name] = entry
                    waits = PluginReport(entry.name, source, version, providers=(entry.name,), loaded=False)
                    self._reports.append(waits)
                elif entry.attr in _NAMED:
                    self._reports.append(PluginReport(entry.name, source, version, loaded=False))
                else:
                    self._discovered(entry)
        for plugin in passed:
            self._passed(plugin)

    @property
    def reports(self) -> list[PluginReport]:
        """The report on each plugin so far."""
        with self._loading.current:
            return list(self._reports)

    @property
    def problems(self) -> list[PluginReport]:
        """The reports of the plugins that were skipped."""
        return [report for report in self.reports if report.problem]

    @property
    def names(self) -> list[str]:
        """The names of all providers. This loads none of them."""
        with self._loading.current:
            return sorted({*self._providers, *self._by_need})

    @property
    def providers(self) -> dict[str, Provider]:
        """All providers by name, except the broken ones. This loads every one of them."""
        with self._loading.current:
            for name in tuple(self._by_need):
                self._load(name)
            return dict(sorted(self._providers.items()))

    def _load(self, name: str) -> None:
        """Load the provider of this name if it is not loaded yet: its module becomes a plugin, or a problem."""
        with self._loading.current:
            if name not in self._by_need:
                return
            waits = PluginReport(name, *_source(self._by_need[name]), providers=(name,), loaded=False)
            place = self._reports.index(waits)
            self._origins.pop(name, None)
            self._discovered(self._by_need[name], only=name)
            self._reports[place] = self._reports.pop()
            del self._by_need[name]

    def _discovered(self, entry: metadata.EntryPoint, only: str | None = None) -> None:
        """Load, register and report the plugin of an entry point. `only`: the one provider that it must provide."""
        source, version = _source(entry)
        try:
            plugin = entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - also sys.exit: a plugin's import concerns only that plugin
            self._report(PluginReport(entry.name, source, version, problem=f"does not import: {redact.error(error)}"))
            return
        if entry.attr in _NAMED or only is not None:
            plugin = sys.modules[entry.module]
        if only is not None or not self.manager.is_registered(plugin):  # one module may have several names
            self._register(plugin, self._free(entry.name), source, version, only)

    def _passed(self, plugin: object, name: str | None = None) -> None:
        name = name or _name(plugin)
        if inspect.isclass(plugin):
            raise UsageError(f"plugins=[{name}]: pass an instance, {name}(), not the class")
        if isinstance(plugin, Provider):
            raise UsageError(f"plugins=[{name}]: pass the module or object whose vidpoll_providers hook yields it")
        if not has_marked(plugin):
            objects, classes = in_module(plugin)
            meant = f"; pass {name}.{objects[0]}" if objects else f"; pass {name}.{classes[0]}()" if classes else ""
            raise UsageError(f"plugins=[{name}]: no function in it is marked with @vidpoll.hookimpl{meant}")
        for installed in [each for each, entry in self._by_need.items() if sys.modules.get(entry.module) is plugin]:
            self._load(installed)
        if not self.manager.is_registered(plugin):  # it may be installed, or passed twice
            name = self._free(name)
            problem = self._register(plugin, name, name, None)
            if problem is not None:
                said = problem.message if isinstance(problem, PluginError) else redact.error(problem)
                raise PluginError(f"plugins=[{name}]: {said}") from problem

    def _free(self, name: str) -> str:
        """The name, with a "+" if another plugin already has it: two distributions may choose the same name."""
        while self.manager.has_plugin(name):
            name += "+"
        return name

    def _register(
        self, plugin: object, name: str, source: str, version: str | None, only: str | None = None
    ) -> BaseException | None:
        """Register and check a plugin. An error in it is reported and returned."""
        never_called: list[str] = []
        try:
            _check_marked(plugin, name)
            self._enter(plugin, name)
            hooks = self._validate(plugin, never_called)
            providers = self._provided(plugin)
            _one_name(only, providers)
            hooks += self._notify(plugin, name, never_called)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a plugin that does not validate must not stop the others
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self._report(PluginReport(name, source, version, problem=redact.error(error)))
            return error
        for provider in providers:
            self._claim(provider.name, source)
            self._providers[provider.name] = provider
        names = tuple(provider.name for provider in providers)
        self._reports.append(PluginReport(name, source, version, hooks, names, never_called=tuple(never_called)))
        return None

    def _claim(self, provider: str, source: str) -> None:
        """Record which plugin provides a provider. Raises PluginError if another plugin already does."""
        if provider in self._origins:
            raise PluginError(
                f"two plugins have a provider {provider!r}: {self._origins[provider]} and {source}; "
                "uninstall one of them"
            )
        self._origins[provider] = source

    def _enter(self, plugin: object, name: str) -> None:
        """Give a plugin to pluggy. Raises PluginError for a wrapper, and for what cannot be called as its hook."""
        for attribute in dir(plugin):
            options = self.manager.parse_hookimpl_opts(plugin, attribute)
            hook = attribute if options is None else options["specname"] or attribute
            if options is None or hook not in _SPECS:
                continue
            if options["wrapper"] or options["hookwrapper"]:
                raise PluginError(f"{hook} is a wrapper; vidpoll calls hooks one by one, without wrappers")
            check_implementation(f"{name}.{attribute}", getattr(plugin, attribute), getattr(hookspecs, hook))
        self.manager.register(plugin, name=name)

    def _validate(self, plugin: object, never_called: list[str]) -> tuple[str, ...]:
        """The hooks of a plugin. It warns of functions that are never called, and adds them to `never_called`."""
        found, wrong = [], []
        unmarked = [hook for hook in _SPECS if callable(getattr(plugin, hook, None)) and not is_marked(plugin, hook)]
        if unmarked:
            wrong.append(f"plugin {_name(plugin)}: {', '.join(unmarked)} is not called: mark it with @vidpoll.hookimpl")
        for caller in self.manager.get_hookcallers(plugin) or ():
            impl = next(impl for impl in caller.get_hookimpls() if impl.plugin is plugin)
            if caller.spec is None:
                close = similar(caller.name, _SPECS)
                meant = f"; did you mean {close[0]}?" if close else ""
                wrong.append(f"plugin {impl.plugin_name}: there is no hook {caller.name}{meant}")
            else:
                found.append(caller.name)
        for line in wrong:
            warn(line)
        never_called += wrong
        return tuple(sorted(found))

    def _provided(self, plugin: object) -> list[Provider]:
        providers: list[Provider] = []
        for impl in self.calls("vidpoll_providers", of=plugin):
            for provider in impl.function() or ():
                if not isinstance(provider, Provider):
                    raise PluginError(f"vidpoll_providers must give Providers, got {type(provider).__name__}")
                providers.append(provider)
        return providers

    def _notify(self, plugin: object, name: str, never_called: list[str]) -> tuple[str, ...]:
        """Register the notifiers that a plugin makes from the environment, as NAME-notifier. Returns their hooks."""
        hooks: tuple[str, ...] = ()
        for impl in self.calls("vidpoll_notifiers", of=plugin):
            try:
                notifiers = list(impl.function(*([self._environ] if impl.argnames else [])) or ())
                if not all(map(has_marked, notifiers)):
                    raise PluginError("vidpoll_notifiers gave something without a marked hook")
            except Exception as error:
                warn(f"plugin {name} sends no notifications: {redact.error(error)}", RuntimeWarning)
                raise
            for notifier in notifiers:
                if not self.manager.is_registered(notifier):
                    self._enter(notifier, self._free(f"{name}-notifier"))
                    hooks += self._validate(notifier, never_called)
        return hooks

    def _report(self, report: PluginReport) -> None:
        self._reports.append(report)
        log.warning("plugin %s (%s) is skipped: %s", report.name, report.distribution, report.problem)

    def calls(self, hook: str, event: Event | None = None, *, of: object = None) -> Iterator[Any]:
        """The implementations of a hook, to be called one by one, in pluggy's order: last registered first, `tryfirst`
        before, `trylast` after. `of`: only those of this plugin.

        With `trace`, each is logged when it is next, with the event, whose text holds no secret.
        """
        caller: pluggy.HookCaller = getattr(self.manager.hook, hook)
        for impl in reversed(list(caller.get_hookimpls())):
            if of is None or impl.plugin is of:
                if self._trace:
                    log.info("hook %s -> plugin %s%s", hook, impl.plugin_name, "" if event is None else f": {event}")
                yield impl

    def provider(self, name: str) -> Provider:
        """Load and return the provider of that name. Raises UnknownProvider, with known names and what to install."""
        self._load(name)
        if name in self._providers:
            return self._providers[name]
        if any(report.name == name for report in self.reports if report.disabled):
            raise UnknownProvider(f"the plugin {name} is switched off: take it out of VIDPOLL_DISABLE")
        broken = [report for report in self.problems if report.name == name]
        if broken:
            report = broken[0]
            raise UnknownProvider(f"the plugin {name} ({report.distribution}) is broken: {report.problem}")
        shown = redact.quoted(name, 60)
        close = similar(name, self.names, 3)
        meant = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        skipped = "".join(f"; the plugin {report.name} is broken: {report.problem}" for report in self.problems)
        names = ", ".join(self.names)
        if not self._discover:
            known = f"with discover=False {f'only these are known: {names}' if names else 'none is known'}{skipped}"
            raise UnknownProvider(f"no provider {shown}: {meant}{known}")
        installed = f"installed: {names}" if names else "none is installed"
        pack = any(report.distribution == PACK for report in self.reports)
        more = [] if pack else [f"install {'more with' if names else 'some with'} {from_clone(PACK)}"]
        more += [] if close else [NEW_PLUGIN]
        raise UnknownProvider("; ".join([f"no provider {shown}: {meant}{installed}{skipped}", *more]))

    def named(self, hook: str, name: str) -> list[str]:
        """Load the entry point of that hook and name, discovered or not. Returns the names of all that hook's ones."""
        entries = [entry for entry in metadata.entry_points(group=GROUP) if entry.attr == hook]
        with self._loading.current:
            for entry in entries:
                if entry.name == name and name not in self.disabled:
                    waits = PluginReport(name, *_source(entry), loaded=False)
                    self._reports = [report for report in self._reports if report != waits]
                    self._discovered(entry)
        return [entry.name for entry in entries]

    def tell(self, job: Job, event: Event) -> bool:
        """Call every implementation of the event's hook. Returns whether one of them returned LATER."""
        later = self._call(HOOKS[type(event)], {"job": job, "event": event})
        job.told = job.told or (isinstance(event, (Completed, Failed)) and not later)
        return later

    @contextmanager
    def during(self, jobs: Sequence[Job], action: str) -> Iterator[None]:
        """Call the hooks for the begin and the end of a wait or download of these jobs."""
        given = {"jobs": tuple(jobs), "action": action}
        try:
            self._call("vidpoll_began", given)
            yield
        finally:
            self._call("vidpoll_ended", given)

    def _call(self, hook: str, given: Mapping[str, Any]) -> bool:
        """Call the implementations of a hook one by one, even if one raises. Returns whether one returned LATER."""
        later = False
        for impl in self.calls(hook, given.get("event")):
            back = guard(f"plugin {impl.plugin_name}, {hook}", impl.function, *map(given.get, impl.argnames))
            later = later or back is hookspecs.LATER
        return later

    def admit(self, row: object) -> str:
        """The first reason of a plugin why a batch may not buy a row, or "". A plugin that raises is a reason."""
        return self._asked("vidpoll_admit", {"row": row}, raised=True)

    def accept(self, row: object, paths: Sequence[Path]) -> str:
        """The first reason of a plugin why the files of a row are refused, or "". A plugin that raises is no reason."""
        return self._asked("vidpoll_accept", {"row": row, "paths": tuple(paths)}, raised=False)

    def batch_changed(self, batch: object, rows: object) -> None:
        """Call the hook for a change of a batch's counts."""
        self._call("vidpoll_batch_changed", {"batch": batch, "rows": rows})

    def batch_stopped(self, batch: object, stop: object, text: str) -> None:
        """Call the hook for a stopped account of a batch."""
        self._call("vidpoll_batch_stopped", {"batch": batch, "stop": stop, "text": text})

    def batch_ended(self, batch: object, text: str) -> None:
        """Call the hook for the end of a batch."""
        self._call("vidpoll_batch_ended", {"batch": batch, "text": text})

    def _asked(self, hook: str, given: Mapping[str, Any], *, raised: bool) -> str:
        """The first reason that an implementation returns, or "". `raised`: an exception also counts as a reason."""
        for impl in self.calls(hook):
            asked = partial(impl.function, *(given[name] for name in impl.argnames))
            said = guard(f"plugin {impl.plugin_name}, {hook}", lambda asked=asked: redact.text(asked() or ""))
            if said or (said is None and raised):
                return str(said or f"{impl.plugin_name} raised")
        return ""

    def display(self, now: Callable[[], float]) -> bool:
        """Register the first display that a plugin has for this terminal. Returns whether there is one."""
        for impl in self.calls("vidpoll_display"):
            who = f"plugin {impl.plugin_name}, vidpoll_display"
            shown = guard(who, impl.function, *([now] if impl.argnames else []))
            if shown is not None:
                try:
                    self._passed(shown, f"{impl.plugin_name}-display")
                except (UsageError, PluginError) as error:
                    warn(f"{who}: {error}", RuntimeWarning)
                    continue
                return True
        return False

    def simulators(self) -> dict[str, str]:
        """The plugins' faces for the simulator, by provider name: "module:Class" or "package:samples/index.json".

        This loads all providers. Raises PluginError.
        """
        faces: dict[str, str] = {}
        for name in self.names:
            self._load(name)
        for impl in self.calls("vidpoll_simulators"):
            try:
                faces.update(impl.function())
            except Exception as error:
                raise PluginError(f"plugin {impl.plugin_name}, vidpoll_simulators: {redact.error(error)}") from error
        return dict(sorted(faces.items()))

    def commands(self, register: Callable[..., None]) -> list[str]:
        """Let every plugin add its commands. Returns the problems, one line each."""
        wrong = []
        for impl in self.calls("vidpoll_commands"):
            try:
                impl.function(register)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - one plugin's command must not break the command line
                wrong.append(f"plugin {impl.plugin_name}, vidpoll_commands: {redact.error(error)}")
        return wrong


def guard(who: str, function: Callable[..., object], *args: object) -> object:
    """Call a function of a user or plugin. If it raises, report `who` (log and RuntimeWarning) and return None."""
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001 - any error in it is reported, not raised
        log.error("%s raised %s", who, redact.trace(error))
        warn(f"{who} raised {redact.error(error)}", RuntimeWarning)
        return None


def _check_marked(plugin: object, entry: str) -> None:
    """Warn and raise PluginError if no function of an installed plugin is marked: none would ever be called."""
    wrong = nothing_marked(plugin, entry, _SPECS)
    if wrong:
        warn(f"plugin {entry}: {wrong}")
        raise PluginError(wrong)


def _one_name(only: str | None, providers: Sequence[Provider]) -> None:
    """Raise PluginError if a plugin that is loaded by need provides anything but the provider of its entry point."""
    brought = [provider.name for provider in providers]
    if only is not None and brought != [only]:
        raise PluginError(
            f"the entry point {only!r} promises the provider of that name, but vidpoll_providers gave "
            f"{', '.join(brought) or 'none'}; for others, the entry point must name the module without a function"
        )


def _source(entry: metadata.EntryPoint) -> tuple[str, str | None]:
    """Where an entry point comes from: the name and version of its distribution."""
    return (entry.value, None) if entry.dist is None else (entry.dist.name, entry.dist.version)


def switched_off(environ: Mapping[str, str]) -> set[str]:
    """The entry points that `VIDPOLL_DISABLE` names."""
    return {name.strip() for name in environ.get("VIDPOLL_DISABLE", "").split(",")}


def _name(plugin: object) -> str:
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    if inspect.isclass(plugin):
        return plugin.__name__
    name = getattr(plugin, "name", None)
    return name if isinstance(name, str) and name else type(plugin).__name__
