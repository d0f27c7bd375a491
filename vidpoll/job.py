"""The job as users hold it: a reference, the known facts, and what users derive from them.

`job_state` computes what a response changes; a `Job` holds the resulting value.
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
from .number_check import check_number

MAX_THUMBNAIL = 5_000_000
"""Bytes: a larger thumbnail is not fetched."""

OF_BATCHES = "batch:"
"""The prefix of the keys of a batch's rows. No other key begins with it."""

Fetch = Callable[[str, int, str], bytes | None]
"""(url, maximum bytes, Accept type) -> the bytes of the URL, or None."""

_NOTHING: Mapping[str, object] = {}  # shared by all jobs
_IMAGE = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|....ftyp(?:avi[fs]|heic|mif1)", re.DOTALL)


class Job:
    """A job at a provider, known by its reference `account:id`. Made by `Client.submit`, or from a reference.

    Programs and plugins read a job, and only vidpoll changes it. Not public, and called only by vidpoll itself: `known`
    (all facts as one frozen value), `give_up`, `listed`, `receive`, `receive_no_news`, `receive_unknown`, `recorded`,
    `restore`, `saved`, `settle`, `stepped`, `submitted`, `verdict`.

    Raises BadReference for a text that is not a reference.
    """

    __slots__ = (
        "_download_error", "_fetch", "_paths", "_recall", "_unknown", "account", "id", "key", "known", "more", "ref",
        "told",
    )  # fmt: skip

    def __init__(self, ref: str, *, submitted_at: float | None = None, key: str = "") -> None:
        self.account, self.id = parse_reference(ref)
        self.ref = ref
        self.key = key
        """The key of its submit (`Client.submit_once`); empty without one."""
        self.known = JobState(ref, submitted_at=submitted_at, created_at=submitted_at)
        self.told = False
        """Whether the hooks of this program were called for its verdict."""
        self.more: Mapping[str, object] = _NOTHING
        """Fields of its dump that this version of vidpoll does not know (`vidpoll.load`)."""
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
        return f"<Job {self.ref} {self.state or 'not polled yet'}{stage}{percent(self.progress)}>"

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def row(self) -> str:
        """The key of the batch row that the job was made for; empty if there is none."""
        row = self.key.split("/")[1] if self.key.startswith(OF_BATCHES) else ""
        return row.replace("%2F", "/").replace("%25", "%")

    @property
    def state(self) -> State | None:
        """The state; None until the first response."""
        return self.known.state

    @property
    def stage(self) -> str | None:
        """The provider's own word for where the job is, or None."""
        return self.known.stage

    @property
    def progress(self) -> float | None:
        """0 to 100 within the stage; None if the provider reports none."""
        return self.known.progress

    @property
    def assets(self) -> tuple[Asset, ...]:
        """The files known so far."""
        return self.known.assets

    @property
    def problem(self) -> Problem | None:
        """Why the job failed, in the provider's words; None if it has not failed."""
        return self.known.problem

    @property
    def cost(self) -> Cost | None:
        """What the job cost; None if the provider does not say."""
        return self.known.cost

    @property
    def snapshot(self) -> Snapshot | None:
        """What the last response said; None before the first."""
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
        """The Unix second at which the job was created: submitted here, else as the provider says, else None."""
        return self.known.created_at

    @property
    def give_up_at(self) -> float | None:
        """The Unix second at which `Client.step` and `Client.serve` give up with WaitTimeout; None (default): never.

        You may set it, and the store keeps it with the job; `serve` sets it if it is None. It does not end a wait,
        which has its own `timeout`: a job that `serve` gave up may still be waited for. Setting anything but a finite
        number or None raises UsageError.
        """
        return self.known.give_up_at

    @give_up_at.setter
    def give_up_at(self, at: float | None) -> None:
        if at is not None:
            check_number("give_up_at", "Unix seconds, or None (no deadline)", at, is_number)
        self.known = self.known._replace(give_up_at=at)

    @property
    def answers(self) -> int:
        """How many status responses about the job were understood."""
        return self.known.answers

    @property
    def stale(self) -> bool:
        """Whether a store removed the queries of the asset URLs: the next response brings fresh URLs."""
        return self.known.stale

    @property
    def final(self) -> bool:
        """True when the provider has given its verdict (one in a list row counts once it is confirmed)."""
        return self.known.phase is Phase.ENDED

    @property
    def ok(self) -> bool:
        """True when the job is completed."""
        return self.final and self.state is State.COMPLETED

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths of the files that a wait or download of this program has saved."""
        return self._paths

    @property
    def download_error(self) -> VidpollError | None:
        """Why a wait has not saved all the wanted files, or None. It does not affect the verdict."""
        return self._download_error

    @property
    def transcript(self) -> tuple[Exchange, ...]:
        """The last responses about this job, oldest first, safe to show; empty before the first poll."""
        return self._recall(self.ref) if callable(self._recall) else self._recall

    def recorded(self, recall: Callable[[str], tuple[Exchange, ...]], fetch: Fetch) -> None:
        """Set where the transcript of this job comes from, and the function that fetches its thumbnail."""
        self._recall, self._fetch = recall, fetch

    def thumbnail(self) -> bytes | None:
        """The bytes of the job's thumbnail, at most 5 MB; None if there is none, or if it is not an image.

        It is fetched with the account's own transport, and the key goes only to its own origin. It takes up to 15 s:
        a notifier should call it in the thread that sends. Also None for a job that no client of this process has
        polled.
        """
        url = next((asset.url for asset in self.assets if asset.kind == "thumbnail"), None)
        body = None if url is None or self._fetch is None else self._fetch(url, MAX_THUMBNAIL, "image/*")
        return body if body is not None and _IMAGE.match(body) else None

    def resume(self, where: str = "vidpoll") -> str:
        """The line of Python that resumes the wait for this job; `where` is the object with the `wait` method."""
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

        Raises JobFailed, JobCancelled, JobExpired, an OutcomeUnknown, or UsageError for a job without a verdict.
        """
        if self.error is not None:
            raise self.error
        if not self.ok:
            raise UsageError(f"{self.ref} has no verdict yet; wait for it: vidpoll.wait({self.ref!r})", job=self)
        return self

    @property
    def video(self) -> Asset:
        """The first video asset. Raises the job's own error, or ResultMissing if there is no video."""
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
        """Seconds that a completed job took, as the provider says or as vidpoll observed; None if unknown."""
        said = self.snapshot
        if self.state is not State.COMPLETED or said is None:
            return None
        if said.created_at is not None and said.finished_at is not None:
            took = said.finished_at - said.created_at
        elif self.answers > 1:
            took = self.history[-1].at - (self.history[0].at if self.created_at is None else self.created_at)
        else:  # it was already done at the first poll
            return None
        return took if took > 0 else None

    # -- what changes it ----------------------------------------------------------------------------------------------

    def receive(self, snapshot: Snapshot, at: float) -> tuple[Event, ...]:
        """Process one response of the provider and return the events of what changed.

        Raises ForeignAnswer and TransitionRefused; the job is then unchanged.
        """
        self._own(snapshot)
        events = self._become(JobState.receive, snapshot, at)
        self._unknown = None
        return events

    def receive_unknown(self, word: str, at: float) -> tuple[Event, ...]:
        """Process an unlisted status word: it becomes the stage, and the state stays. One event per word."""
        events = self._become(JobState.receive_unknown, word, at)
        self._unknown = None
        return events

    def receive_no_news(self) -> None:
        """Process a good response about this job without a status word: the provider knows the job, no more."""
        self.known = self.known._replace(answers=self.answers + 1)

    def submitted(self, snapshot: Snapshot, at: float) -> tuple[Event, ...]:
        """Process the response to the submit. It counts like any other, but it is not a status response.

        Until the first status response, a 404 may mean "not visible yet". Raises ForeignAnswer and TransitionRefused.
        """
        events = self.receive(snapshot, at)
        self.known = self.known._replace(answers=0)
        return events

    def listed(self, snapshot: Snapshot, at: float) -> None:
        """Process a row of a list. A verdict in it is shown, but counts only when a status response confirms it.

        Raises ForeignAnswer and TransitionRefused; the job is then unchanged.
        """
        self._own(snapshot)
        self._become(JobState.listed, snapshot, at)

    def settle(self, at: float) -> tuple[Event, ...]:
        """At the end of a wait: a received completed response counts, even without its files."""
        return self._become(JobState.settle, at)

    def restore(self, known: JobState) -> None:
        """Take over the stored state of this job. No event comes of it, and earlier events do not come again."""
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
        """Take over the counts of the steps if those of another process are newer, and their deadline."""
        steps = max(self.known.steps, known.steps, key=lambda steps: steps.asked_at)
        until = known.give_up_at if self.give_up_at is None else self.give_up_at
        self.known = self.known._replace(steps=steps, give_up_at=until)

    def give_up(self, error: OutcomeUnknown) -> None:
        """Record why the outcome is unknown. The state does not change: only the provider ends a job."""
        self._unknown = error

    def saved(self, paths: Iterable[Path], error: VidpollError | None = None) -> None:
        """Record where its files are, and the error of files that could not be saved."""
        self._paths, self._download_error = tuple(paths), error

    def verdict(self, at: float) -> Event | None:
        """The event of the verdict; None before the verdict."""
        return self.known.verdict(at)

    def _own(self, snapshot: Snapshot) -> None:
        named = snapshot.job_id
        if named is not None and not same_id(named, self.id):
            said = f"the response is about another job: it names {redact.text(named, limit=80)!r}, not {self.id!r}"
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
