"""The job as users hold it: a reference, what is known of it, and what follows for them.

What an answer does to a job is the work of `job_state`; a `Job` holds the value that comes of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from . import redact
from .errors import (
    ForeignAnswer,
    JobCancelled,
    JobError,
    JobExpired,
    JobFailed,
    OutcomeUnknown,
    ResultMissing,
    TransitionRefused,
    UsageError,
    VidpollError,
)
from .events import Event, money, percent
from .job_state import Change, JobState, Moment, Phase
from .model import NO_REASON, Asset, Cost, Exchange, Problem, Snapshot, State, is_number, parse_reference, same_id

MAX_THUMBNAIL = 5_000_000
"""Bytes; a larger picture is not fetched."""

OF_BATCHES = "batch:"
"""What the key of a batch's row begins with, and no other key."""

Fetch = Callable[[str, int, str], bytes | None]
"""Brings the bytes of a URL: at most so many, of such a type."""

_NOTHING: Mapping[str, object] = {}  # shared by all jobs
_IMAGE = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|....ftyp(?:avi[fs]|heic|mif1)", re.DOTALL)


class Job:
    """A job at a provider, known by its reference `account:id`. Made by `Client.submit`, or from a reference.

    `known` is all that is known of it, as one frozen value; `receive` and its siblings replace it, anyone may read it.
    Raises BadReference for a text that is no reference.
    """

    __slots__ = (
        "_download_error", "_fetch", "_paths", "_recall", "_unknown", "account", "id", "key", "known", "more", "ref",
        "told",
    )  # fmt: skip

    def __init__(self, ref: str, *, submitted_at: float | None = None, key: str = "") -> None:
        self.account, self.id = parse_reference(ref)
        self.ref = ref
        self.key = key
        """The key with which it was submitted once (`Client.submit_once`); empty without one."""
        self.known = JobState(ref, submitted_at=submitted_at, created_at=submitted_at)
        self.told = False
        """Whether the hooks of this program have heard its verdict."""
        self.more: Mapping[str, object] = _NOTHING
        """The fields of its dump that this vidpoll does not know (`vidpoll.load`)."""
        self._paths: tuple[Path, ...] = ()
        self._download_error: VidpollError | None = None
        self._unknown: OutcomeUnknown | None = None
        self._recall: Callable[[str], tuple[Exchange, ...]] | tuple[Exchange, ...] = ()
        self._fetch: Fetch | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**{name: getattr(self, name) for name in self.__slots__}, "_recall": self.transcript, "_fetch": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        stage = f" {self.stage}" if self.stage and self.stage != self.state else ""
        return f"<Job {self.ref} {self.state or 'not asked yet'}{stage}{percent(self.progress)}>"

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def row(self) -> str:
        """The key of the row of a batch that it was made for; empty where there is none."""
        row = self.key.split("/")[1] if self.key.startswith(OF_BATCHES) else ""
        return row.replace("%2F", "/").replace("%25", "%")

    @property
    def state(self) -> State | None:
        """The state; None until the first answer."""
        return self.known.state

    @property
    def stage(self) -> str | None:
        """The provider's own word for where the job is."""
        return self.known.stage

    @property
    def progress(self) -> float | None:
        """0 to 100 within the stage; None where the provider tells none."""
        return self.known.progress

    @property
    def assets(self) -> tuple[Asset, ...]:
        """The files, as far as they are known."""
        return self.known.assets

    @property
    def problem(self) -> Problem | None:
        """Why the job failed, in the provider's words."""
        return self.known.problem

    @property
    def cost(self) -> Cost | None:
        """What the job cost, where the provider tells."""
        return self.known.cost

    @property
    def snapshot(self) -> Snapshot | None:
        """What the last answer said."""
        return self.known.snapshot

    @property
    def history(self) -> tuple[Moment, ...]:
        """Each change of state, stage and progress, oldest first."""
        return self.known.history

    @property
    def submitted_at(self) -> float | None:
        """The Unix second at which the job was submitted here; None for a job from a reference."""
        return self.known.submitted_at

    @property
    def created_at(self) -> float | None:
        """The Unix second at which the job was made: submitted here, else as the provider says, else None."""
        return self.known.created_at

    @property
    def give_up_at(self) -> float | None:
        """The Unix second at which `Client.step` and `Client.serve` give up with WaitTimeout; None, as at first: never.

        It may be set, and is kept with the job; `serve` sets it where it is None. A wait has its own `timeout`, and is
        not ended by it: what nobody serves any more may still be waited for. Raises UsageError for what is no finite
        number.
        """
        return self.known.give_up_at

    @give_up_at.setter
    def give_up_at(self, at: float | None) -> None:
        if not (at is None or is_number(at)):
            raise UsageError(f"give_up_at={at!r}: must be Unix seconds, or None for no deadline")
        self.known = self.known._replace(give_up_at=at)

    @property
    def answers(self) -> int:
        """How many status answers about the job were understood."""
        return self.known.answers

    @property
    def stale(self) -> bool:
        """Whether the URLs of its assets were cut by a store: the next answer brings fresh ones."""
        return self.known.stale

    @property
    def final(self) -> bool:
        """True when the provider has given its verdict (a list row's verdict counts once it is confirmed)."""
        return self.known.phase is Phase.ENDED

    @property
    def ok(self) -> bool:
        """True when the job is completed."""
        return self.final and self.state is State.COMPLETED

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where its files are, as far as a wait or a download of this program has saved them."""
        return self._paths

    @property
    def download_error(self) -> VidpollError | None:
        """Why a wait has not saved all files that it was to save; the verdict is not touched by that."""
        return self._download_error

    @property
    def transcript(self) -> tuple[Exchange, ...]:
        """The last answers about this job, oldest first, safe to show; empty before it was waited for."""
        return self._recall(self.ref) if callable(self._recall) else self._recall

    def recorded(self, recall: Callable[[str], tuple[Exchange, ...]], fetch: Fetch) -> None:
        """Say where the transcript of this job is kept, and what fetches a small file of it."""
        self._recall, self._fetch = recall, fetch

    def thumbnail(self) -> bytes | None:
        """The picture that the provider names for it, of at most 5 MB; None where there is none, or it is no image.

        It is fetched as everything of this job is: with its account's own transport, the key to its own origin alone.
        It takes 15 s at most, so that a notifier calls it where it sends. None as well for a job that no client of
        this process has asked about.
        """
        url = next((asset.url for asset in self.assets if asset.kind == "thumbnail"), None)
        body = None if url is None or self._fetch is None else self._fetch(url, MAX_THUMBNAIL, "image/*")
        return body if body is not None and _IMAGE.match(body) else None

    def resume(self, where: str = "vidpoll") -> str:
        """The line of Python that goes on waiting for this job; `where` is what has the `wait`."""
        return f"{where}.wait({json.dumps(self.ref, ensure_ascii=False)})"

    @property
    def error(self) -> VidpollError | None:
        """What `check` raises: the provider's verdict, or why the outcome is unknown; else None."""
        if not self.final:
            return self._unknown
        assert self.state is not None
        kind = _ERRORS.get(self.state)
        return None if kind is None else kind(self._verdict(), job=self)

    def check(self) -> Job:
        """Return the job if it is completed, else raise what `wait` would have raised.

        Raises JobFailed, JobCancelled, JobExpired, an OutcomeUnknown, or UsageError for a job nobody waited for.
        """
        if self.error is not None:
            raise self.error
        if not self.ok:
            raise UsageError(f"{self.ref} has no verdict yet; wait for it: vidpoll.wait({self.ref!r})", job=self)
        return self

    @property
    def video(self) -> Asset:
        """The first video asset. Raises the job's own error, or ResultMissing where there is no video."""
        for asset in self.assets:
            if asset.kind == "video":
                return asset
        if self.error is not None:
            raise self.error
        kinds = ", ".join(sorted({asset.kind for asset in self.assets})) or "no files at all"
        why = f"it is completed, with {kinds}" if self.ok else "it is not completed yet; wait for it first"
        raise ResultMissing(f"{self.ref} has no video: {why}", job=self)

    @property
    def took(self) -> float | None:
        """Seconds that a completed job took: as its provider says, or else as it was seen. None where neither tells."""
        said = self.snapshot
        if self.state is not State.COMPLETED or said is None:
            return None
        if said.created_at is not None and said.finished_at is not None:
            took = said.finished_at - said.created_at
        elif self.answers > 1:
            took = self.history[-1].at - (self.history[0].at if self.created_at is None else self.created_at)
        else:  # it was done when it was first looked at
            return None
        return took if took > 0 else None

    # -- what changes it ----------------------------------------------------------------------------------------------

    def receive(self, snapshot: Snapshot, at: float) -> tuple[Event, ...]:
        """Take in one answer of the provider and say what changed.

        Raises ForeignAnswer and TransitionRefused; the job is then unchanged.
        """
        self._own(snapshot)
        events = self._become(JobState.receive, snapshot, at)
        self._unknown = None
        return events

    def receive_unknown(self, word: str, at: float) -> tuple[Event, ...]:
        """Take in a status word that is not listed: it becomes the stage, the state stays; told once per word."""
        events = self._become(JobState.receive_unknown, word, at)
        self._unknown = None
        return events

    def receive_no_news(self) -> None:
        """Take in a good answer about this job that has no status word: the provider knows it, and says no more."""
        self.known = self.known._replace(answers=self.answers + 1)

    def submitted(self, snapshot: Snapshot, at: float) -> tuple[Event, ...]:
        """Take in what the answer to the submit says: it counts like any other, but is no status answer.

        Until there is one, a 404 may mean "not visible yet". Raises ForeignAnswer and TransitionRefused.
        """
        events = self.receive(snapshot, at)
        self.known = self.known._replace(answers=0)
        return events

    def listed(self, snapshot: Snapshot, at: float) -> None:
        """Take in a row of a list. A verdict in it is shown, and counts only after a status answer confirms it.

        Raises ForeignAnswer and TransitionRefused; the job is then unchanged.
        """
        self._own(snapshot)
        self._become(JobState.listed, snapshot, at)

    def settle(self, at: float) -> tuple[Event, ...]:
        """At the end of a wait: a completed answer in hand counts, even without its files."""
        return self._become(JobState.settle, at)

    def restore(self, known: JobState) -> None:
        """Take over what a store has kept of this job; nothing is told, and what was told before is not told again."""
        self.stepped(known)
        self.known = known._replace(
            steps=self.known.steps,
            give_up_at=self.give_up_at,
            submitted_at=self.submitted_at or known.submitted_at,
            created_at=known.created_at or self.created_at,
            answers=max(self.answers, known.answers),
        )
        self._unknown = None

    def stepped(self, known: JobState) -> None:
        """Take over how steps stand, where those of another process came later, and when they give up."""
        steps = max(self.known.steps, known.steps, key=lambda steps: steps.asked_at)
        until = known.give_up_at if self.give_up_at is None else self.give_up_at
        self.known = self.known._replace(steps=steps, give_up_at=until)

    def give_up(self, error: OutcomeUnknown) -> None:
        """Note why the outcome is unknown. The state is not touched: only the provider ends a job."""
        self._unknown = error

    def saved(self, paths: Iterable[Path], error: VidpollError | None = None) -> None:
        """Note where its files are, and why others are not there."""
        self._paths, self._download_error = tuple(paths), error

    def verdict(self, at: float) -> Event | None:
        """The event of the verdict, None while there is none."""
        return self.known.verdict(at)

    def _own(self, snapshot: Snapshot) -> None:
        named = snapshot.job_id
        if named is not None and not same_id(named, self.id):
            said = f"the answer is about another job: it names {redact.text(named, limit=80)!r}, and not {self.id!r}"
            raise ForeignAnswer(said, job=self, named=named)

    def _become(self, step: Callable[..., Change], *answer: object) -> tuple[Event, ...]:
        try:
            self.known, events = step(self.known, *answer)
        except TransitionRefused as error:
            error.job = self
            raise
        return events

    def _verdict(self) -> str:
        said = f"{self.ref} {self.state}: {self.problem or NO_REASON}{money(self.cost, self.problem)}"
        return f"{said.rstrip('.')}. Submitting it again is a new job."


_ERRORS: Mapping[State, type[JobError]] = {
    State.FAILED: JobFailed,
    State.CANCELLED: JobCancelled,
    State.EXPIRED: JobExpired,
}
