"""Why the provider was not found: each cause has its own message, because each has its own way out."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import metadata
from typing import NoReturn

from ... import hookspecs
from ...plugins import GROUP, PluginReport
from ...similar import similar
from .subject import Subject, broken

_RULE = "a plugin must provide {!r}"
_HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("vidpoll_"))


def found(subject: Subject) -> None:
    """Fail the test if no plugin has the provider."""
    if subject.found is None:
        seen, do = _passed(subject) if subject.plugin is not None else _installed(subject)
        _fail(subject, seen, do)


def _fail(subject: Subject, seen: str, do: str) -> NoReturn:
    why = "`vidpoll wait` would say that there is no such provider"
    broken(_RULE.format(subject.name), seen=seen, why=why, do=do)


def _passed(subject: Subject) -> tuple[str, str]:
    """What is wrong with the plugin that the contract class passes, and what to do."""
    if subject.problem:
        do = f"correct what the message names; then {_yield(subject)}"
        return f"{subject.problem}{_unmarked(subject.plugin)}", do
    told = "; ".join(subject.warnings)
    brings = ", ".join(subject.plugins.providers)
    return (
        told or f"the plugin provides {brings or 'no provider'}{_unmarked(subject.plugin)}",
        f"write provider = {brings!r} in the contract class, or " + _yield(subject) if brings else _yield(subject),
    )


def _yield(subject: Subject) -> str:
    return (
        f"yield vidpoll.Provider({subject.name!r}, …) from a function vidpoll_providers that is marked with "
        "@vidpoll.hookimpl"
    )


def _installed(subject: Subject) -> tuple[str, str]:
    """Why the installed plugins do not have the provider, and what to do."""
    if subject.problem:
        return subject.problem, "uninstall one of the two, or give your provider another name"
    names = sorted(entry.name for entry in metadata.entry_points(group=GROUP))
    report = _report(subject)
    if report is None:
        there = ", ".join(names) or "nothing"
        module = f"vidpoll_{subject.name.replace('-', '_')}"
        seen = f"no installed distribution has an entry point {subject.name!r} in the group {GROUP!r}, only {there}"
        return seen, (
            f"write {subject.name} = {module} below [options.entry_points] vidpoll in setup.cfg and run "
            "`pip install -e .` in that folder, with the Python that runs pytest; for a plugin without a distribution "
            "set `plugin = …` in the class"
        )
    where = f"the plugin {report.name} ({report.distribution})"
    if report.problem and report.problem.startswith("does not import"):
        return f"{where} {report.problem}", "correct the import; `python -c 'import …'` shows the whole traceback"
    if report.problem:
        return f"{where} is refused: {report.problem}", "correct what the message names"
    told = "; ".join(subject.warnings) or _unmarked(_loaded(report)).removeprefix("; ")
    brings = ", ".join(report.providers)
    told = told or f"it provides {brings or 'no provider'}"
    return f"{where} is installed and can be imported; {told}", _yield(subject)


def _report(subject: Subject) -> PluginReport | None:
    """The plugin that should have the provider: by its name or a similar one, else by its distribution's name."""
    reports = {report.name: report for report in subject.plugins.reports}
    close = get_close_matches(subject.name, list(reports), 1, 0.85)
    named = [each for each in reports.values() if each.distribution == f"vidpoll-{subject.name}"]
    return reports.get(subject.name) or (reports[close[0]] if close else None) or (named[0] if named else None)


def _loaded(report: PluginReport) -> object:
    entries = [entry for entry in metadata.entry_points(group=GROUP) if entry.name == report.name]
    return entries[0].load() if entries else None


def _unmarked(plugin: object) -> str:
    """The functions of a plugin that look like hooks and are not marked as hooks."""
    named = [name for name in dir(plugin) if name.startswith("vidpoll_") and callable(getattr(plugin, name, None))]
    plain = [name for name in named if not hasattr(getattr(plugin, name), "vidpoll_impl")]
    lines = []
    for name in plain:
        close = similar(name, _HOOKS)
        meant = f", and its name is misspelt: it should be {close[0]}" if close and name not in _HOOKS else ""
        lines.append(f"its function {name} is not marked with @vidpoll.hookimpl{meant}")
    return f"; {'; '.join(lines)}" if lines else ""
