"""The rules about the plugin as a whole: how it is found, what it imports, what its samples cover, and a whole run."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ... import redact
from ...errors import JobFailed, PluginError, VidpollError
from ...model import State
from ...plugins import GROUP
from .subject import Subject, broken, skip

if TYPE_CHECKING:
    from ..simulated import Simulation

MARK = "DECIDE"
"""What the template puts where its author has to decide."""

_FORBIDDEN = {
    "asyncio", "concurrent", "ftplib", "http", "multiprocessing", "sched", "select", "selectors", "signal", "socket",
    "ssl", "subprocess", "threading", "time",
}  # fmt: skip
"""Standard modules with which a provider could wait or reach the network; `urllib.parse` may be used."""


def sound(subject: Subject) -> None:
    subject.check_found()
    provider = subject.provider
    if subject.warnings:
        broken(
            "nothing in a plugin is misspelt or left out",
            seen="; ".join(subject.warnings),
            why="a hook that is not called does nothing, and nobody notices",
            do="spell hooks as in docs/hooks.md, and mark them with @vidpoll.hookimpl",
        )
    declared = [(stage.word, stage.state) for stage in provider.stages]
    wrong = [(word, state) for word, state in declared if subject.index.means(word) not in (None, state)]
    if wrong:
        broken(
            "the declared stages agree with the vendor's words",
            seen=f"Stage{wrong[0]!r}, and index.json says {subject.index.means(wrong[0][0])}",
            why="`vidpoll` shows the stages to users as the provider's own",
            do="correct one of the two",
        )


def entry_point(subject: Subject) -> None:
    if subject.plugin is not None:
        skip("the plugin is passed, and not installed")
    report = subject.report
    names = [entry.name for entry in metadata.entry_points(group=GROUP) if entry.name == report.name]
    alike = len(report.providers) == 1 and report.name.replace("_", "-") != subject.name.replace("_", "-")
    if alike or not names:
        broken(
            "the entry point bears the provider's name",
            seen=f"the entry point {report.name!r} of {report.distribution} brings the provider {subject.name!r}",
            why="users switch a plugin off, and look for it, by the name of its provider",
            do="write in setup.cfg, below [options.entry_points]: "
            f"vidpoll = {subject.name} = vidpoll_{subject.name}:vidpoll_providers",
        )


def described(subject: Subject) -> None:
    if subject.index.wrong:
        broken(
            "every sample says what it answers, where it comes from and what it means",
            seen="".join(f"\n        {line}" for line in subject.index.wrong),
            why="without samples nobody knows whether the plugin reads the provider's answers as they are meant",
            do="write it into index.json (docs/writing-a-provider.md shows one)",
        )


def every_end(subject: Subject) -> None:
    states = {sample.state for sample in subject.statuses}
    running = states & {State.QUEUED, State.RUNNING}
    missing = [] if running else ["a job under way"]
    missing += [f"a {state} job" for state in (State.COMPLETED, State.FAILED) if state not in states]
    if missing:
        broken(
            "there is a sample of a job under way, of a completed one and of a failed one",
            seen=f"there is no status sample of {' nor of '.join(missing)}",
            why="what is in no sample is not tested, and most bugs are in the answer about a failed job",
            do='take it from the vendor\'s page or record one; write it yourself and call it "inferred" where there '
            "is none",
        )


def decided(subject: Subject) -> None:
    marks = []
    for path in sorted({*_sources(subject), *subject.index.folder.rglob("*.json")}):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = re.search(rf"{MARK}: *(.+)", line)
            if found:
                asked = found[1].strip(' ",')
                marks.append(f"\n        {path.name}:{number}: {asked}")
    if marks:
        broken(
            f"nothing is left to decide: {len(marks)} places",
            seen="".join(marks),
            why="these are guesses of the template; a wrong one costs users money",
            do=f"look at each, correct it by the vendor's page, and take the mark ({MARK}: …) away",
        )


def imports(subject: Subject) -> None:
    rule = "a plugin imports vidpoll and the standard library, and neither waits nor reaches the network"
    why = "vidpoll asks, waits and bears faults for all providers; a plugin that does so itself hangs the user's wait"
    sources = _sources(subject)
    if not sources:
        skip("the plugin's source is not in a file")
    own = _package(_module(subject)).split(".")[0]
    for path in sources:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for module in _imported(tree):
            top = module.split(".")[0]
            ours = top in ("vidpoll", own, "") and not module.startswith("vidpoll.testing")
            public = top != "vidpoll" or module in ("vidpoll", "vidpoll.parsing")
            standard = top in sys.stdlib_module_names and top not in _FORBIDDEN
            if top == "urllib":
                standard = module == "urllib.parse"
            if not (ours and public) and not standard:
                broken(
                    rule,
                    seen=f"{path.name} imports {module}",
                    why=why,
                    do="build requests and read answers, no more; of vidpoll use what `import vidpoll` gives; a "
                    "simulator's face lives in a module of its own",
                )
        for node in ast.walk(tree):
            if isinstance(node, ast.While):
                broken(rule, seen=f"{path.name}:{node.lineno}: a while loop", why=why, do="leave asking to vidpoll")


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "" if node.level else node.module or ""


def _module(subject: Subject) -> ModuleType | None:
    parse: Any = subject.provider.status.parse
    while isinstance(parse, partial):
        parse = parse.func
    return sys.modules.get(getattr(parse, "__module__", "") or type(parse).__module__)


def _package(module: ModuleType | None) -> str:
    return "" if module is None else module.__package__ or module.__name__


def _sources(subject: Subject) -> list[Path]:
    """The plugin's files, without its faces for the simulator."""
    module = _module(subject)
    if module is None or not getattr(module, "__file__", None):
        return []
    faces = set()
    for where in subject.plugins.simulators().values():
        name, _, attribute = where.partition(":")
        if attribute.endswith(".json"):  # samples, and no code
            continue
        spec = importlib.util.find_spec(name) if name.split(".")[0] == _package(module).split(".")[0] else None
        faces |= {Path(str(spec.origin))} if spec is not None else set()
    path = Path(str(module.__file__))
    found = sorted(path.parent.rglob("*.py")) if module.__package__ == module.__name__ else [path]
    return [each for each in found if each not in faces]


def _simulation(subject: Subject, plugins: tuple[object, ...]) -> Simulation:
    """The provider as its own face plays it; where it names none, as its samples do."""
    from ..simulated import Simulation, simulate
    from ..simulator import SampleFace

    if subject.name in subject.plugins.simulators():
        try:
            return simulate(subject.name, speed=300.0, plugins=plugins)
        except VidpollError as error:
            broken(
                "what vidpoll_simulators names can be played",
                seen=redact.text(error),
                why="`vidpoll demo` and `vidpoll simulate` fail for everyone who has the plugin",
                do="add what is missing, or leave the provider out of vidpoll_simulators",
            )
    try:
        face = SampleFace(subject.index, subject.provider, fields=subject.submits)
    except PluginError as error:
        skip(redact.text(error))
    return Simulation({subject.name: face}, speed=300.0, plugins=plugins)


def simulated(subject: Subject) -> None:
    rule = "a simulated job goes from submit to file"
    why = "this is the whole way that a user's job goes"
    plugins = () if subject.plugin is None else (subject.plugin,)
    kinds = [name.removeprefix("submit ") for name in subject.operations if name.startswith("submit ")]
    for kind in [kind for kind in kinds if kind in subject.submits]:
        with _simulation(subject, plugins) as simulation, tempfile.TemporaryDirectory() as folder:
            if kind not in simulation.faces[subject.name].timelines:
                continue
            client = simulation.client()
            try:
                job = client.wait(client.submit(subject.name, kind, **subject.submits[kind]), timeout=7200.0)
                due = [asset for asset in job.assets if asset.kind == "video"]
                files = client.download(job, Path(folder) / "clips") if due else []
                empty = [path for path in files if path.stat().st_size == 0]
            except VidpollError as error:
                broken(rule, seen=f"submit {kind}: {redact.text(error)}", why=why, do="read it, and ask the face")
            if bool(due) != bool(files) or empty:
                broken(rule, seen=f"submit {kind}: no file, or an empty one", why=why, do="look at the face's files")
            simulation.fail_next(subject.name, message="the kit lets it fail")
            try:
                client.wait(client.submit(subject.name, kind, **subject.submits[kind]), timeout=7200.0)
            except JobFailed:
                continue
            except VidpollError as error:
                broken(rule, seen=f"a failing {kind}: {redact.text(error)}", why=why, do="read it, and ask the face")
            broken(rule, seen=f"a failing {kind} is completed", why=why, do="let the face play the job's failure")
