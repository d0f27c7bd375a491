"""The rules about the plugin as a whole: how it is found, its values, what its samples cover, and a whole run."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from ... import redact
from ...errors import JobFailed, PluginError, VidpollError
from ...model import State
from ...plugins import GROUP
from . import auth, finding, source
from .subject import Subject, broken, said, skip

if TYPE_CHECKING:
    from ...client import Client
    from ..simulated import Simulation

MARK = "DECIDE"
"""What the template puts where its author has to decide."""


def sound(subject: Subject) -> None:
    finding.found(subject)
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
    entries = [entry for entry in metadata.entry_points(group=GROUP) if entry.name == report.name]
    alike = len(report.providers) == 1 and report.name.replace("_", "-") != subject.name.replace("_", "-")
    if alike or not entries:
        module = entries[0].value if entries else f"vidpoll_{subject.name}:vidpoll_providers"
        broken(
            "the entry point bears the provider's name",
            seen=f"the entry point {report.name!r} of {report.distribution} brings the provider {subject.name!r}",
            why="users switch a plugin off, and look for it, by the name of its provider",
            do=f"write in setup.cfg, below [options.entry_points]: vidpoll = {subject.name} = {module}",
        )


def values(subject: Subject) -> None:
    """What the index and the provider both say agrees, and what is declared can be used."""
    provider, index = subject.provider, subject.index
    for name, mine, due in (
        ("base_url", provider.base_url.rstrip("/"), index.base_url and index.base_url.rstrip("/")),
        ("floor", provider.pacing.floor, index.floor),
    ):
        if due is not None and mine != due:
            broken(
                "what is declared is what the vendor's page says",
                seen=f"{name} is {mine!r}, and index.json says {due!r}",
                why="nothing would be reached, or the account would be asked more often than the provider allows",
                do=f'correct the plugin; or, where the page bears it out, write "{name}": {json.dumps(mine)}',
            )
    wide = [host for host in provider.media_hosts if "." not in host or host.startswith(".")]
    if wide:
        broken(
            "the hosts that may get the key are named whole",
            seen=f"media_hosts={provider.media_hosts}",
            why="the key would go to hosts that are not the provider's",
            do='name each host: media_hosts=("files.acme.example",)',
        )
    for name, value in provider.headers.items():
        text = isinstance(name, str) and isinstance(value, str) and value.isprintable() and value.isascii()
        if not text or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            broken(
                "fixed headers are text",
                seen=f"headers={dict(provider.headers)!r}",
                why="no request can be sent",
                do="give names and values of printable ASCII text",
            )
    _typed(subject)


def _typed(subject: Subject) -> None:
    """A package says that it is typed."""
    folder = source.package(subject)
    if folder is not None and not (folder / "py.typed").exists():
        broken(
            "a package says that it is typed",
            seen=f"there is no {folder.name}/py.typed",
            why="type checkers of the plugin's users ignore its types",
            do="add the empty file, and name it in setup.cfg below [options.package_data]",
        )


def described(subject: Subject) -> None:
    if subject.index.wrong:
        broken(
            "every sample says what it answers, where it comes from and what it means",
            seen="".join(f"\n        {line}" for line in [*subject.index.wrong, *_lines(subject)]),
            why="without samples nobody knows whether the plugin reads the provider's answers as they are meant",
            do="write it into index.json (docs/writing-a-provider.md shows one)",
        )


def _lines(subject: Subject) -> Iterator[str]:
    """What the plugin says where the index says nothing, as the index would write it."""
    provider, index = subject.found, subject.index
    if provider is None:
        return
    missing = [f'"base_url": {json.dumps(provider.base_url)}'] if index.base_url is None else []
    missing += [auth.suggestion(subject)] if index.auth is None else []
    missing += [f'"floor": {json.dumps(provider.pacing.floor)}'] if index.floor is None else []
    if missing:
        yield f"the plugin says: {', '.join(missing)}; compare it with the vendor's page, and paste it"


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
    for path in sorted({*source.sources(subject), *subject.index.folder.rglob("*.json")}):
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


# -- a whole run ------------------------------------------------------------------------------------------------------

_RUN = "a simulated job goes from submit to file"
_WHOLE = "this is the whole way that a user's job goes"


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
    try:
        face = subject.plugins.simulators().get(subject.name, "the samples")
    except VidpollError as error:
        broken(_RUN, seen=str(error), why=_WHOLE, do='return {"acme": "vidpoll_acme:samples/index.json"} from the hook')
    try:
        _run(subject)
    except Exception as error:  # noqa: BLE001 - whatever a face raises is told
        broken(
            _RUN,
            seen=f"{redact.text(face, limit=120)}: {said(error)}",
            why=_WHOLE,
            do="correct the face; its line is named",
        )


def _run(subject: Subject) -> None:
    plugins = () if subject.plugin is None else (subject.plugin,)
    kinds = [name.removeprefix("submit ") for name in subject.operations if name.startswith("submit ")]
    with _simulation(subject, plugins) as simulation:
        client = simulation.client()
        for kind in kinds:
            if kind in subject.submits and kind in simulation.faces[subject.name].timelines:
                _play(subject, simulation, client, kind)


def _play(subject: Subject, simulation: Simulation, client: Client, kind: str) -> None:
    """A job of one kind that is completed, its files, and one that fails."""
    try:
        job = client.wait(client.submit(subject.name, kind, **subject.submits[kind]), timeout=7200.0)
        due = [asset for asset in job.assets if asset.kind == "video"]
        with tempfile.TemporaryDirectory() as folder:
            files = client.download(job, Path(folder) / "clips") if due else []
            empty = [path for path in files if path.stat().st_size == 0]
    except VidpollError as error:
        _fail(subject, f"submit {kind}: {redact.text(error)}")
    if bool(due) != bool(files) or empty:
        broken(_RUN, seen=f"submit {kind}: no file, or an empty one", why=_WHOLE, do="look at the face's files")
    simulation.fail_next(subject.name, message="the kit lets it fail")
    try:
        client.wait(client.submit(subject.name, kind, **subject.submits[kind]), timeout=7200.0)
    except JobFailed:
        return
    except VidpollError as error:
        _fail(subject, f"a failing {kind}: {redact.text(error)}")
    broken(_RUN, seen=f"a failing {kind} is completed", why=_WHOLE, do="let the face play the job's failure")


def _fail(subject: Subject, seen: str) -> None:
    face = subject.plugins.simulators().get(subject.name, "the samples")
    broken(_RUN, seen=seen, why=_WHOLE, do=f"compare what {face} answers with what the parser reads, and run it again")
