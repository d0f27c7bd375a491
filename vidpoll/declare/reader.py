"""Where the facts about a job are in a response: one table for status, submit, list rows and webhooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any

from .. import parsing
from ..errors import Malformed, PluginError
from ..model import Asset, Cost, Problem, Response, Snapshot, State, Submitted, is_number
from ..provider import Follow, Stage
from .envelope import Envelope
from .files import Files, check_files, read_files
from .ids import Ids
from .paths import Where, check_where, find, standing
from .second import Second
from .verdicts import Verdict, verdict_of

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Reader:
    """What each status word means, and where the facts are in the object of a job. Paths are as in `parsing.at`.

    `words` maps each documented word or number to its state, or to a Stage with a word to show; a tuple of Stage also
    works. Files are read only from a completed job, reason and end only from one that has ended. A path in `files` that
    begins with "./" is a place below the base URL, `./videos/{id}/content`; one that begins with "base64:" leads to the
    file itself. `refunds`: the cost of a failed job is refunded. `pending` is an HTTP status (202) that means, without
    a word, that the job runs. `expires_at` is the time at which the job's files expire; `lasts` is for how many
    seconds after the job's end the files stay available, if only the vendor's page says so. `verdicts`: responses whose
    HTTP status and text give the job's state; they then reach the status parser. `problem`, a `declare.problems(…)`,
    gives the problem of a failed job its category.

    `decide(state, data)` returns the state, if the vendor's page says that a second field counts: `state` is None if
    the response has no word, and returning None keeps `state`. `refine(snapshot, data, job_id)` returns the snapshot
    with what no path can express. Raises PluginError for an invalid table.

    >>> reader = Reader({"run": State.RUNNING, "ok": State.COMPLETED}, files={"video": "out[].url"})
    >>> reader.read({"id": "7", "status": "ok", "out": [{"url": "/a.mp4"}]}).assets
    (Asset(video /a.mp4),)
    """

    words: Mapping[Any, State | Stage] | Sequence[Stage]
    _: KW_ONLY
    status: Where = "status"
    stage: Where = ""
    id: Where = "id"
    files: Files = field(default_factory=lambda: {"video": "url"})
    reason: Where = ("error.message", "error")
    code: Where = "error.code"
    progress: Where = "progress"
    full: float = 100.0
    created_at: Where = "created_at"
    updated_at: Where = "updated_at"
    finished_at: Where = "completed_at"
    duration: Where = "duration"
    queue_position: Where = ""
    cost: Where = ""
    unit: str = "credits"
    refunds: bool = False
    envelope: Envelope = field(default_factory=Envelope)
    ids: Ids = field(default_factory=Ids)
    second: Second | None = None
    pending: int | None = None
    expires_at: Where = ""
    lasts: float | None = None
    verdicts: tuple[Verdict, ...] = ()
    problem: Callable[[Problem], Problem] | None = None
    decide: Callable[[State | None, Data], State | None] | None = None
    refine: Callable[[Snapshot, Data, str], Snapshot] | None = None

    def __post_init__(self) -> None:
        if not self.table and self.decide is None:
            raise PluginError(
                "Reader words must not be empty: map each status word of the vendor's page to its vidpoll.State"
            )
        if not is_number(self.full) or self.full <= 0:
            raise PluginError(f"Reader full must be the number that means 100 %, above 0, got {self.full!r}")
        if self.lasts is not None and not (is_number(self.lasts) and self.lasts > 0):
            raise PluginError(f"Reader lasts must be seconds, above 0, got {self.lasts!r}")
        if not isinstance(self.verdicts, tuple) or not all(isinstance(each, Verdict) for each in self.verdicts):
            raise PluginError("Reader verdicts must be a tuple of declare.Verdict")
        for name in _PATHS:
            check_where(f"Reader {name}", getattr(self, name))
        check_files("Reader files", self.files, self.ids.names)
        for name in ("decide", "refine", "problem"):
            if not (getattr(self, name) is None or callable(getattr(self, name))):
                raise PluginError(f"Reader {name} must be a function, got {type(getattr(self, name)).__name__}")

    @cached_property
    def table(self) -> dict[Any, Stage]:
        """Each word with its stage."""
        words = self.words
        if not isinstance(words, Mapping):
            for stage in words:
                if not isinstance(stage, Stage):
                    raise PluginError(f"Reader words: {stage!r} has no state; write vidpoll.Stage({stage!r}, State.…)")
            words = {stage.word: stage for stage in words}
        return {word: _stage(word, means) for word, means in words.items()}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, for `Provider(stages=…)`."""
        return tuple(self.table.values())

    # -- one response --------------------------------------------------------------------------------------------------

    def parse(self, response: Response, job_id: str) -> Snapshot | Follow[Snapshot]:
        """The parser of a status request. Raises AnswerError, Refused."""
        if response.status == self.pending and self._says_nothing(response):
            return Snapshot(State.RUNNING)
        verdict = verdict_of(self.verdicts, response)
        if verdict is not None:
            return self._told(verdict, response)
        data = self.open(response)
        said = self.read(data, job_id)
        if (
            self.second is None
            or said.state is not State.COMPLETED
            or any(each.kind == "video" for each in said.assets)
        ):
            return said
        return self.second.follow(said, data, self.ids.split(job_id), self.envelope, self._classed)

    def submitted(self, response: Response, kind: str = "") -> Submitted:
        """The result of a submit: the id first, and whatever else the response has. Raises Malformed, Refused."""
        data = self._job(response)
        told = find(data, self.id, parsing.text)
        whole = self.envelope.whole
        return parsing.submitted(self.ids.join(kind, told), lambda: self.read(whole(response, data), kind=kind))

    def open(self, response: Response) -> dict[str, Any]:
        """The object of the job. Raises Malformed, and Refused if the body names no job and its code is a refusal."""
        return self.envelope.whole(response, self._job(response))

    def _job(self, response: Response) -> Any:
        """A body that names a job, by its word or its id, is about the job, whatever the envelope's code is."""
        found = self.envelope.candidates(response)
        for where in (self.status, self.id):
            for each in found:
                if find(each, where, parsing.text) is not None:
                    return each
        self.envelope.check(response)
        return next((each for each in found if isinstance(each, dict)), found[0])

    def _told(self, verdict: Verdict, response: Response) -> Snapshot:
        """The snapshot of a response without a status word: the state, the reason, and the cost if there is one."""
        try:
            data = response.json()
        except Malformed:
            data = None
        cost = self._cost(verdict.state, data)
        return self._classed(Snapshot(verdict.state, problem=verdict.problem(response), cost=cost, raw=data))

    def _classed(self, said: Snapshot) -> Snapshot:
        """The snapshot; for a failed job, with the category of its problem."""
        if said.problem is None or self.problem is None or said.state is not State.FAILED:
            return said
        return replace(said, problem=self.problem(said.problem))

    def _says_nothing(self, response: Response) -> bool:
        return not response.body.strip() or standing(parsing.json_object(response), self.status) is None

    # -- one job -------------------------------------------------------------------------------------------------------

    def read(self, data: Data, job_id: str = "", *, kind: str = "") -> Snapshot:
        """The snapshot of the object of one job. `job_id` is the polled id, if there is one. Raises AnswerError."""
        told = self.ids.join(kind or self._parts(job_id).get(self.ids.first, ""), find(data, self.id, parsing.text))
        job_id = job_id or told or ""
        word, state = self._state(data)
        ended = find(data, self.finished_at, parsing.timestamp) if state.final else None
        said = Snapshot(
            state,
            stage=find(data, self.stage, parsing.text) or word,
            progress=find(data, self.progress, lambda value: parsing.progress(value, full=self.full)),
            assets=self._assets(data, job_id, ended) if state is State.COMPLETED else (),
            problem=self._problem(state, data),
            job_id=told,
            created_at=find(data, self.created_at, parsing.timestamp),
            updated_at=find(data, self.updated_at, parsing.timestamp),
            finished_at=ended,
            duration=find(data, self.duration, parsing.number),
            queue_position=find(data, self.queue_position, parsing.count),
            cost=self._cost(state, data),
            raw=data,
        )
        return self._classed(said if self.refine is None else self.refine(said, data, job_id))

    def _assets(self, data: Data, job_id: str, ended: float | None) -> tuple[Asset, ...]:
        """The files, each with its expiry: that of its URL, else that of all files."""
        end = find(data, self.expires_at, parsing.timestamp)
        if end is None and self.lasts is not None and ended is not None:
            end = ended + self.lasts
        found = read_files(data, self.files, self._parts(job_id))
        return tuple(each if each.expires_at or end is None else replace(each, expires_at=end) for each in found)

    def _cost(self, state: State, data: Any) -> Cost | None:
        charged = find(data, self.cost, parsing.number)
        back = charged if self.refunds and state is State.FAILED else None
        return None if charged is None else Cost(charged, back or 0.0, self.unit)

    def _state(self, data: Data) -> tuple[str | None, State]:
        """The word to show, and the state."""
        word = standing(data, self.status)
        try:
            stage = parsing.lookup(self.table, word)
        except Malformed:
            state = self.decide(None, data) if self.decide is not None else None
            if state is None:
                raise
            return None, state
        state = self.decide(stage.state, data) if self.decide is not None else None
        return (word if isinstance(word, str) and parsing.number(word) is None else stage.word), state or stage.state

    def _parts(self, job_id: str) -> Mapping[str, str]:
        return self.ids.split(job_id) if job_id else {}

    def _problem(self, state: State, data: Data) -> Problem | None:
        reason, code = find(data, self.reason, parsing.text), find(data, self.code, parsing.text)
        told = state in (State.CANCELLED, State.EXPIRED) and (reason or code)
        return Problem(reason or "", code) if state is State.FAILED or told else None


def _stage(word: Any, means: Any) -> Stage:
    if isinstance(word, bool) or not isinstance(word, (str, int)) or not str(word).strip():
        raise PluginError(f"Reader words: a word must be text or a whole number, got {word!r}")
    if isinstance(means, Stage):
        return means
    if isinstance(means, State):
        return Stage(str(word), means)
    raise PluginError(f"Reader words: {word!r} must have a state like vidpoll.State.RUNNING, got {means!r}")


_PATHS = (
    "status", "stage", "id", "reason", "code", "progress", "created_at", "updated_at", "finished_at", "duration",
    "queue_position", "cost", "expires_at",
)  # fmt: skip
