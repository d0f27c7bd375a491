"""The rules about the plugin as a whole: how it is found, its values, what its samples cover, and a whole run."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

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
"""The mark that the template puts where the author must decide."""


def sound(subject: Subject) -> None:
    finding.found(subject)
    provider = subject.provider
    if subject.warnings:
        broken(
            "no hook of a plugin may be misspelt or unmarked",
            seen="; ".join(subject.warnings),
            why="vidpoll does not call such a hook: it does nothing, without an error",
            do="spell hooks as in docs/hooks.md, and mark them with @vidpoll.hookimpl",
        )
    declared = [(stage.word, stage.state) for stage in provider.stages]
    wrong = [(word, state) for word, state in declared if subject.index.means(word) not in (None, state)]
    if wrong:
        broken(
            "the declared stages must agree with the vendor's words",
            seen=f"{wrong[0][0]!r} is {wrong[0][1]} in the plugin and {subject.index.means(wrong[0][0])} in index.json",
            why="vidpoll shows these stages to users as the provider's own",
            do='correct the words or Provider(stages=…) of the plugin, or "words" in index.json',
        )


def entry_point(subject: Subject) -> None:
    if subject.plugin is not None:
        skip("the contract class passes the plugin, so it has no entry point")
    report = subject.report
    entries = [entry for entry in metadata.entry_points(group=GROUP) if entry.name == report.name]
    alike = len(report.providers) == 1 and report.name.replace("_", "-") != subject.name.replace("_", "-")
    if alike or not entries:
        module = entries[0].value if entries else f"vidpoll_{subject.name}:vidpoll_providers"
        broken(
            "the entry point must have the provider's name",
            seen=f"the entry point {report.name!r} of {report.distribution} provides {subject.name!r}",
            why="users look for a plugin, and switch it off, by the name of its provider",
            do=f"write in setup.cfg, below [options.entry_points]: vidpoll = {subject.name} = {module}",
        )


def values(subject: Subject) -> None:
    """The values that the index and the provider share agree, and the declared values can be used."""
    provider, index = subject.provider, subject.index
    for name, mine, due in (
        ("base_url", provider.base_url.rstrip("/"), index.base_url and index.base_url.rstrip("/")),
        ("floor", provider.pacing.floor, index.floor),
    ):
        if due is not None and mine != due:
            broken(
                "the declared values must be those of the vendor's page",
                seen=f"{name} is {mine!r} in the plugin and {due!r} in index.json",
                why="no request would arrive, or vidpoll would poll more often than the provider allows",
                do="correct the plugin; or, if the vendor's page says so, write into index.json "
                f'"{name}": {json.dumps(mine)}',
            )
    wide = [host for host in provider.media_hosts if "." not in host or host.startswith(".")]
    if wide:
        broken(
            "media_hosts must have whole host names",
            seen=f"media_hosts={provider.media_hosts}",
            why="the user's key would be sent to hosts that are not the provider's",
            do='name each host: media_hosts=("files.acme.example",)',
        )
    for name, value in provider.headers.items():
        text = isinstance(name, str) and isinstance(value, str) and value.isprintable() and value.isascii()
        if not text or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            broken(
                "fixed headers must be text",
                seen=f"headers={dict(provider.headers)!r}",
                why="no request could be sent",
                do="write names and values as printable ASCII text",
            )
    _typed(subject)


def _typed(subject: Subject) -> None:
    """A package declares that it is typed."""
    folder = source.package(subject)
    if folder is not None and not (folder / "py.typed").exists():
        broken(
            "a package must declare that it is typed",
            seen=f"there is no file {folder.name}/py.typed",
            why="type checkers ignore the types of the plugin",
            do="add the empty file, and name it in setup.cfg below [options.package_data]",
        )


def described(subject: Subject) -> None:
    if subject.index.wrong:
        broken(
            "index.json must say what each sample answers, where it comes from and what it means",
            seen="".join(f"\n        {line}" for line in [*subject.index.wrong, *_lines(subject)]),
            why="only samples prove that the plugin reads the provider's responses correctly",
            do="correct these lines in index.json (docs/writing-a-provider.md shows an example)",
        )


def _lines(subject: Subject) -> Iterator[str]:
    """The values of the plugin that the index lacks, as the index would write them."""
    provider, index = subject.found, subject.index
    if provider is None:
        return
    missing = [f'"base_url": {json.dumps(provider.base_url)}'] if index.base_url is None else []
    missing += [auth.suggestion(subject)] if index.auth is None else []
    missing += [f'"floor": {json.dumps(provider.pacing.floor)}'] if index.floor is None else []
    if missing:
        yield f"the plugin says: {', '.join(missing)}; compare this with the vendor's page, and paste it"


def every_end(subject: Subject) -> None:
    states = {sample.state for sample in subject.statuses}
    running = states & {State.QUEUED, State.RUNNING}
    missing = [] if running else ["a job under way"]
    missing += [f"a {state} job" for state in (State.COMPLETED, State.FAILED) if state not in states]
    if missing:
        broken(
            "there must be a sample of a job under way, of a completed one and of a failed one",
            seen=f"there is no status sample of {' or of '.join(missing)}",
            why="a response without a sample is not tested, and most bugs are in responses about failed jobs",
            do="copy it from the vendor's page or record one; if there is none, write it yourself with "
            '"origin": "inferred"',
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
            f"no {MARK} mark may be left, found {len(marks)}",
            seen="".join(marks),
            why="each is a guess of the template; a wrong guess costs users money",
            do=f"compare each place with the vendor's page, correct it, and remove the mark ({MARK}: …)",
        )


# -- a whole run ------------------------------------------------------------------------------------------------------

_RUN = "a simulated job must run from submit to download"
_WHOLE = "a user's job takes the same steps"


def _simulation(subject: Subject, plugins: tuple[object, ...]) -> Simulation:
    """The provider as played by its own face; if it names none, by its samples."""
    from ..simulated import Simulation, simulate
    from ..simulator import SampleFace

    if subject.name in subject.plugins.simulators():
        try:
            return simulate(subject.name, speed=300.0, plugins=plugins)
        except VidpollError as error:
            broken(
                "the simulator named by vidpoll_simulators must run",
                seen=redact.text(error),
                why="`vidpoll demo` and `vidpoll simulate` would fail for every user of the plugin",
                do="correct what the message names, or remove the provider from vidpoll_simulators",
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
        broken(
            _RUN,
            seen=str(error),
            why=_WHOLE,
            do='return {"acme": "vidpoll_acme:samples/index.json"} from the hook vidpoll_simulators',
        )
    try:
        _run(subject)
    except Exception as error:  # noqa: BLE001 - the message shows whatever a face raises
        broken(
            _RUN,
            seen=f"{redact.text(face, limit=120)}: {said(error)}",
            why=_WHOLE,
            do="correct the simulator's face at the line that the message names",
        )


def _run(subject: Subject) -> None:
    plugins = () if subject.plugin is None else (subject.plugin,)
    kinds = [name.removeprefix("submit ") for name in subject.operations if name.startswith("submit ")]
    with _simulation(subject, plugins) as simulation, tempfile.TemporaryDirectory() as folder:
        client = simulation.client()
        for kind in kinds:
            if kind in subject.submits and kind in simulation.faces[subject.name].timelines:
                _play(subject, client, kind, Path(folder) / kind)
                simulation.fail_next(subject.name, message="the kit lets it fail")
                _play_failure(subject, client, kind)


def _play(subject: Subject, client: Client, kind: str, folder: Path) -> None:
    try:
        job = client.wait(client.submit(subject.name, kind, **subject.submits[kind]), timeout=7200.0)
        due = [asset for asset in job.assets if asset.kind == "video"]
        files = client.download(job, folder) if due else []
        empty = [path for path in files if path.stat().st_size == 0]
    except VidpollError as error:
        _fail(subject, f"submit {kind}: {redact.text(error)}")
    if bool(due) != bool(files) or empty:
        broken(
            _RUN,
            seen=f"submit {kind}: the job has no file, or an empty one",
            why=_WHOLE,
            do="correct the files of the face",
        )


def _play_failure(subject: Subject, client: Client, kind: str) -> None:
    try:
        client.wait(client.submit(subject.name, kind, **subject.submits[kind]), timeout=7200.0)
    except JobFailed:
        return
    except VidpollError as error:
        _fail(subject, f"submit {kind}, which should fail: {redact.text(error)}")
    broken(
        _RUN, seen=f"submit {kind}, which should fail, completed", why=_WHOLE, do="let the face play the job's failure"
    )


def _fail(subject: Subject, seen: str) -> NoReturn:
    face = subject.plugins.simulators().get(subject.name, "the samples")
    broken(
        _RUN, seen=seen, why=_WHOLE, do=f"compare the responses of {face} with what the parser reads, and run it again"
    )
