"""The command `demo`: one simulated job at each installed provider at once, every hook shown as it fires, files saved.

At the end it compares what it saw with what the simulator played: every job, stage, hook and file. It knows no
provider: each simulated one (a face) supplies the fields to submit and the timeline that must be seen.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import vidpoll

from .context import Arguments, Command, Context, speed, transport
from .output import COMPLETED, NOT_COMPLETED, Output, counted, size

if TYPE_CHECKING:
    from vidpoll.testing import ScaledClock, Simulation

SPEED = 2.5
TIMEOUT = 300.0
"""Simulated seconds after which the demo gives up on a job (jobs take 40, and longer if the floor is long)."""

LENGTH = 40.0
"""Real seconds that the longest job may take; to keep to that, time runs faster than SPEED."""

KINDS = ("video", "thumbnail", "last_frame")
HOOKS = (
    "vidpoll_polled",
    "vidpoll_stage_changed",
    "vidpoll_progress",
    "vidpoll_completed",
    "vidpoll_download_progress",
    "vidpoll_downloaded",
)
"""Hooks that must fire for each job."""


class Notifier:
    """Prints every hook as it fires, and remembers its values."""

    name = "demo"

    def __init__(self, out: Output, start: float) -> None:
        self.out = out
        self.start = start
        self.fired: dict[str, Counter[str]] = defaultdict(Counter)
        self.told: dict[str, set[object]] = defaultdict(set)
        """By reference: the stages, states and progress values that hooks received."""

    def _note(self, hook: str, event: vidpoll.Event, *told: object) -> None:
        self.fired[event.ref][hook] += 1
        self.told[event.ref].update(told)

    def _show(self, hook: str, event: vidpoll.Event, *told: object) -> None:
        self._note(hook, event, *told)
        self.out.line(f"{event.at - self.start:6.1f} s  {hook:<21}  {event}")

    @vidpoll.hookimpl
    def vidpoll_stage_changed(self, event: vidpoll.StageChanged) -> None:
        self._show("vidpoll_stage_changed", event, event.stage, event.state)

    @vidpoll.hookimpl
    def vidpoll_progress(self, event: vidpoll.ProgressChanged) -> None:
        self._show("vidpoll_progress", event, event.progress)

    @vidpoll.hookimpl
    def vidpoll_completed(self, event: vidpoll.Completed) -> None:
        self._show("vidpoll_completed", event)

    @vidpoll.hookimpl
    def vidpoll_failed(self, event: vidpoll.Failed) -> None:
        self._show("vidpoll_failed", event)

    @vidpoll.hookimpl
    def vidpoll_poll_failed(self, event: vidpoll.PollFailed) -> None:
        self._show("vidpoll_poll_failed", event)

    @vidpoll.hookimpl
    def vidpoll_gave_up(self, event: vidpoll.GaveUp) -> None:
        self._show("vidpoll_gave_up", event)

    @vidpoll.hookimpl
    def vidpoll_polled(self, event: vidpoll.Polled) -> None:
        self._note("vidpoll_polled", event)

    @vidpoll.hookimpl
    def vidpoll_download_progress(self, event: vidpoll.DownloadProgress) -> None:
        self._note("vidpoll_download_progress", event)

    @vidpoll.hookimpl
    def vidpoll_downloaded(self, event: vidpoll.Downloaded) -> None:
        self._note("vidpoll_downloaded", event)


class _Demo:
    """One run of the demo against a simulation that serves."""

    def __init__(
        self, simulation: Simulation, folder: Path, out: Output, clock: ScaledClock, transport: str | None
    ) -> None:
        self.simulation = simulation
        self.folder = folder
        self.out = out
        self.notifier = Notifier(out, clock.time())
        options = {"pacing": vidpoll.Fixed(3.0), "clock": clock, "transport": transport}
        self.client = simulation.client(plugins=[self.notifier], **options)
        if out.terminal:
            self.client.add_display()
        self.kinds: dict[str, str] = {}
        self.wrong: list[str] = []
        self.completed = 0
        self.saved = 0

    def run(self) -> None:
        """Submit, wait, save, check."""
        jobs = [job for name in self.simulation.faces for job in self._submit(name)]
        for job in self.client.as_completed(jobs, timeout=TIMEOUT):
            self.completed += job.ok
            if job.ok:
                self._save(job)
                self.wrong += [f"{job.ref}: {what}" for what in self._unseen(job)]
            else:
                self.wrong.append(str(job.error))

    def _submit(self, name: str) -> Iterator[vidpoll.Job]:
        face = self.simulation.faces[name]
        try:
            kind = next((kind for kind in self.client.providers[name].submit if kind in face.timelines), None)
            if kind is None:
                self.wrong.append(f"{name}: the simulator plays none of its submit operations")
                return
            self.out.line(f"   submit  {name} {kind}")
            job = self.client.submit(name, kind, **face.defaults(kind))
        except (vidpoll.VidpollError, KeyError) as error:
            self.wrong.append(f"{name}: not submitted: {error}")
            return
        self.kinds[job.ref] = kind
        yield job

    def _save(self, job: vidpoll.Job) -> None:
        for kind in KINDS:
            assets = [asset for asset in job.assets if asset.kind == kind]
            if not assets:
                continue
            try:
                paths = self.client.download(job, os.path.join(self.folder, ""), kinds=(kind,), overwrite=True)  # noqa: PTH118
            except vidpoll.VidpollError as error:
                self.wrong.append(str(error))
                continue
            for asset, path in zip(assets, paths, strict=True):
                if path.is_file() and path.read_bytes() == self._original(job, asset):
                    self.saved += 1
                    self.out.line(f"    saved  {size(path)}")
                else:
                    self.wrong.append(f"{path} is missing, or is not the file that the simulator serves")

    def _original(self, job: vidpoll.Job, asset: vidpoll.Asset) -> bytes | None:
        """The bytes of an asset straight from its face, without vidpoll and the network."""
        from vidpoll.testing.simulator import Request

        if asset.data is not None:
            return asset.data
        face = self.simulation.faces[job.account]
        url = urljoin(self.simulation.base_urls[job.account], asset.url or "")
        for origin, base in face.urls.items():
            if url.startswith(f"{base}/"):
                path, _, query = url.removeprefix(base).partition("?")
                reply = face.answer(Request(origin, "GET", path, query, {}, b"", self.simulation.now))
                return reply.body if reply.status == 200 else None
        return None

    def _unseen(self, job: vidpoll.Job) -> Iterator[str]:
        """What the simulator played for this job and no hook reported."""
        fired, told = self.notifier.fired[job.ref], self.notifier.told[job.ref]
        kind, face = self.kinds[job.ref], self.simulation.faces[job.account]
        told_of = {
            "vidpoll_progress": face.tells_progress(kind),
            "vidpoll_download_progress": any(asset.url for asset in job.assets),  # else the response itself held them
        }
        for hook in HOOKS:
            if not fired[hook] and told_of.get(hook, True):
                yield f"the hook {hook} did not fire"
        timeline = face.timeline(kind, face.defaults(kind))
        if timeline.queued[0] > 0 and vidpoll.State.QUEUED not in told:
            yield "it was not seen in the queue"
        words = {stage.word for stage in self.client.providers[job.account].stages}
        shown = [value for value in told if isinstance(value, float)]
        for stage in timeline.stages:
            first, last = stage.progress
            # a stage for which the provider has no word is recognised by its progress
            by_progress = stage.name not in words and any(first <= value <= last for value in shown)
            if stage.name not in told and not by_progress:
                yield f"the stage {stage.name} was not seen"

    def fired(self) -> str:
        """How often each hook fired, for all jobs."""
        total = sum(self.notifier.fired.values(), Counter[str]())
        return ", ".join(f"{hook.removeprefix('vidpoll_')} {count}" for hook, count in sorted(total.items()))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "providers", nargs="*", metavar="PROVIDER", help="run only these (default: every installed one)"
    )
    parser.add_argument("--to", default="vidpoll-demo", metavar="DIR", help="the folder for the files (vidpoll-demo)")
    parser.add_argument(
        "--speed", type=speed, metavar="N", help=f"run time N times as fast (default: {SPEED}, or faster to end within "
        "a minute); above about 20, short stages may pass between two polls"
    )  # fmt: skip
    transport(parser)


def _speed(simulation: Simulation) -> float:
    """Fast enough for the longest job to end within LENGTH."""
    lives = [life for face in simulation.faces.values() for life in face.timelines.values()]
    longest = max((life.queued[1] + sum(stage.seconds[1] for stage in life.stages) for life in lives), default=0.0)
    return max(SPEED, longest / LENGTH)


def _demo(args: Arguments, context: Context) -> int:
    out, folder = context.out, Path(args.to)
    from vidpoll.testing import ScaledClock, Simulation, simulate  # no other command needs the simulator

    simulation = simulate(*args.providers, speed=args.speed or SPEED)
    if args.speed is None:
        simulation = Simulation(simulation.faces, speed=_speed(simulation))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise vidpoll.DownloadError(f"demo: cannot make the folder {folder}: {error.strerror}") from None
    start = context.clock.monotonic()
    out.line(
        f"A job at each of {', '.join(simulation.faces)}, simulated on loopback at {simulation.speed:g} times real "
        "time; the times below are simulated seconds."
    )
    with simulation:
        demo = _Demo(simulation, folder, out, ScaledClock(simulation.speed), args.transport)
        demo.run()
        asked = {name: len(simulation.requests(name)) for name in simulation.faces}
        jobs = sum(simulation.submissions(name) for name in simulation.faces)
    took = context.clock.monotonic() - start
    out.line(f"hooks fired: {demo.fired()}")
    each = ", ".join(f"{name} {number}" for name, number in asked.items())
    out.line(f"{demo.completed} of {counted(jobs, 'job')} completed, {counted(demo.saved, 'file')} saved")
    out.line(f"{took:.1f} s of real time, {sum(asked.values())} requests: {each}")
    for what in demo.wrong:
        out.error(f"demo: {what}")
    if demo.wrong or not demo.completed:
        return NOT_COMPLETED
    out.line("Every job, stage, hook and file is as it should be.")
    return COMPLETED


COMMAND = Command(
    "demo",
    "run a simulated job at every installed provider, and check every step; needs no key",
    _arguments,
    _demo,
    "vidpoll demo magicoal token360 --to /tmp/clips",
    "Needs no account and no internet access. Prints each hook as it fires, and exits with 1 if anything is wrong.",
)
