"""What a store keeps of a job, and what it never keeps. Pure: values to plain data and back; no file is touched here.

A store keeps the facts that a later process needs, and what people want to look up. It never keeps a key (only the
names of the variables that hold it), the query of a URL (it may be a signature), or the bytes of an image (only their
hash).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import redact
from ..errors import KINDS, PluginError, StoreError, VidpollError
from ..job import OF_BATCHES, Job
from ..job_state import NO_STEPS, TABLE, WORDLESS, JobState, Kind, Moment, Phase, Place, Steps
from ..model import Asset, Cost, Problem, Snapshot, State, as_stage, is_number

if TYPE_CHECKING:
    from ..net.accounts import OpenAccount

FORMAT = 1
"""The version of the facts. A later vidpoll may add fields without a new number; an older one keeps them."""

PARTS = 1024
"""The largest number of parts of an account."""

MOMENTS = 200
"""How many moments of a job's history are kept; the latest ones."""

_DEEP, _WIDE = 4, 50  # how deep, and how many items of, a nested field is kept


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a job lives: the account's name, its provider and base URL, and the variables that hold its key."""

    account: str
    provider: str = ""
    base_url: str = ""
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Submission:
    """A submit that was begun and has no known id: it may have been received. Times are Unix seconds.

    `sent` has its fields, safe to show: long texts are cut, files are a hash. `reason` says why the outcome is unknown;
    it is empty while the submit is under way. `key` is the key of `Client.submit_once`, or empty.
    """

    number: int
    account: str
    operation: str
    sent: Mapping[str, Any]
    at: float
    reason: str
    base_url: str = ""
    provider: str = ""
    key: str = ""


VIDEO = ("video",)
"""The kinds of wanted files, by default."""


@dataclass(frozen=True, slots=True)
class WantedFiles:
    """Wanted files that are not all saved yet: the job's reference, the target, the kinds."""

    ref: str
    target: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptJob:
    """A job as the store has it.

    `added_at` is when the store got it, `ended_at` when its verdict was stored, and `told_at` when the hooks had heard
    the verdict: Unix seconds; the last two are None before that. `operation` and `sent` (the fields) are those of its
    submit, None and empty if unknown. `facts` is what is known of the job, as JSON data: read it with `job`. `version`
    counts how often the facts were stored. `requests` counts status requests, `transient_errors` those that failed.
    `key` is that of `Client.submit_once`, empty without one. `replaced` is only True in a result of `Store.keyed`:
    before the job of this key had a verdict, the server gave its id to the job of another submit.
    """

    ref: str
    origin: Origin
    operation: str | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    submitted_at: float | None = None
    added_at: float = 0.0
    ended_at: float | None = None
    told_at: float | None = None
    requests: int = 0
    transient_errors: int = 0
    version: int = 0
    key: str = ""
    replaced: bool = False

    @property
    def job(self) -> Job:
        """The kept job; the URLs of its assets have no queries."""
        job = Job(self.ref, key=self.key)
        job.restore(self.known)
        return job

    @property
    def known(self) -> JobState:
        """The known state of the job; the initial state if the facts cannot be read."""
        return read(self.ref, self.facts)

    @property
    def newer(self) -> bool:
        """Whether a newer vidpoll wrote it: its facts cannot be read here, and are left alone."""
        return newer(self.facts)


class Saved(NamedTuple):
    """One job to store: its facts, and the requests and transient errors since it was stored last."""

    ref: str
    facts: Mapping[str, Any]
    requests: int = 0
    transient_errors: int = 0


class Leases(NamedTuple):
    """Who polls: jobs that are ours, jobs of other owners, and those of ours that another owner had until just now."""

    mine: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()


class Shard(NamedTuple):
    """The jobs of an account that one owner polls: part `part` (from 0) of `parts`; with one part, all jobs.

    `fence` counts how often the shard was taken: a shard that was lost and taken again is another shard.
    """

    account: str
    part: int = 0
    parts: int = 1
    fence: int = 0

    def has(self, ref: str) -> bool:
        """Whether a job is in the shard."""
        return ref.partition(":")[0] == self.account and bucket(ref) % self.parts == self.part


class Gauges(NamedTuple):
    """A store's figures for an operator: `open` jobs without a verdict, `untold` verdicts, and living owners.

    `unclaimed`: the accounts with unfinished jobs of which a part has no living owner. `owners`: the number of owners
    with a heartbeat within TTL; `silent`: the longest time since the last heartbeat of one of them, in seconds, 0.0
    without owners.
    """

    open: int = 0
    untold: int = 0
    unclaimed: tuple[str, ...] = ()
    owners: int = 0
    silent: float = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """What the submit of a batch's row needs from the store; checked and written in the transaction of the intent.

    `price` is the amount to reserve, in `unit`: the most that the job may cost; 0.0 and "" if the price is unknown.
    `budget` limits all rows of the batch with this unit, `limit` all its jobs that are or were bought, `slots` the
    account's unfinished jobs and open submits in the store, of all processes. `digest` shows whether the row of that
    name is still the same video.
    """

    batch: str
    row: str
    attempt: int
    digest: str
    price: float = 0.0
    unit: str = ""
    budget: float | None = None
    limit: int | None = None
    slots: int | None = None

    @property
    def key(self) -> str:
        """The key of its submit. Keys of users never begin like this, and no two rows have the same key.

        >>> Order("night", "shot 1/2", 1, "").key
        'batch:night/shot 1%2F2/1'
        """
        batch, row = (name.replace("%", "%25").replace("/", "%2F") for name in (self.batch, self.row))
        return f"{OF_BATCHES}{batch}/{row}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class KeptRow:
    """An attempt of a batch's row that was begun.

    `state`: "submitting", "unknown" (the outcome of its submit), "running", "ended" (its verdict is stored, but the
    attempt is not settled), or as it was settled: "completed", "failed", "waiting" (to be tried again). An attempt that
    was refused or dismissed is "waiting" without being settled. `charged` is None until the attempt is settled.
    """

    row: str
    attempt: int
    digest: str
    account: str
    operation: str
    price: float
    unit: str
    state: str
    ref: str | None = None
    charged: float | None = None
    category: str = ""
    problem: str = ""
    paths: tuple[str, ...] = ()
    ended_at: float | None = None


class Ledger(NamedTuple):
    """Amounts of a batch in one unit.

    `settled` is what its ended rows have cost; `reserved` is held for its running jobs, and `unknown` for its submits
    of unknown outcome.
    """

    settled: float = 0.0
    reserved: float = 0.0
    unknown: float = 0.0


class NoRoom(VidpollError):
    """An order was refused; nothing was written. `why`: "budget", "limit", "slots" or "elsewhere".

    "elsewhere": the row is bought, or another process works on it; read the batch's rows again.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Taken(VidpollError):
    """The key of a submit is in use; nothing was written, and nothing must be sent. `found` has the key."""

    def __init__(self, found: KeptJob | Submission) -> None:
        super().__init__(f"{found.key!r} is in use")
        self.found = found


def origin(account: OpenAccount) -> Origin:
    """Where the jobs of an account live. Of its key, only the names of the variables are included."""
    provider = account.provider
    return Origin(account.name, provider.name, bare(account.base_url) or "", provider.auth.variables)


def wanted(ref: str, target: str | Path, kinds: Iterable[str]) -> WantedFiles:
    """The wanted files of a job, with an absolute target."""
    folder = os.sep if str(target).endswith(("/", os.sep)) else ""
    return WantedFiles(ref, f"{Path(os.path.expanduser(target)).absolute()}{folder}", tuple(kinds))  # noqa: PTH111 - it never raises


def sent(fields: Mapping[str, object], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """The fields of a submit, safe to keep: long texts are cut, with a hash; files and bytes are a hash; no secrets."""
    known = tuple(secrets)
    return {redact.text(name, limit=100): _plain(name, value, known) for name, value in fields.items()}


def _plain(name: str, value: object, secrets: tuple[str, ...], deep: int = 0) -> Any:
    if isinstance(value, (list, tuple)) and deep < _DEEP:
        return [_plain(name, item, secrets, deep + 1) for item in value[:_WIDE]]
    if isinstance(value, Mapping) and deep < _DEEP:
        pairs = list(value.items())[:_WIDE]
        return {redact.text(key, limit=100): _plain(str(key), item, secrets, deep + 1) for key, item in pairs}
    if value is not None and not isinstance(value, bool) and redact.is_secret_name(name):
        return redact.HIDDEN
    return value if value is None or isinstance(value, (bool, int, float)) else _text(value, secrets)


def _text(value: object, secrets: tuple[str, ...]) -> str:
    if isinstance(value, (bytes, bytearray)):
        return _hashed(bytes(value))
    if isinstance(value, Path):
        return _file(value)
    if isinstance(value, str) and value.startswith("data:"):
        return _hashed(value.encode("utf-8", "replace"))
    shown = redact.text(value, secrets=secrets)
    if len(shown) < redact.MAX_TEXT or not shown.endswith("…"):
        return shown
    return f"{shown} {_hashed(redact.hide(str(value), secrets).encode('utf-8', 'replace'))}"  # the hash makes it unique


def _hashed(data: bytes) -> str:
    import hashlib  # takes longer to import than the rest of this module, and few fields are files

    return f"sha256:{hashlib.sha256(data).hexdigest()} ({len(data)} bytes)"


def _file(path: Path) -> str:
    try:
        return f"{redact.text(path.name, limit=100)} {_hashed(path.read_bytes())}"
    except OSError:
        return redact.text(path.name, limit=100)


def facts(job: Job) -> dict[str, Any]:
    """All that is known of a job, as JSON data; `read` is the reverse."""
    known, said = job.known, job.snapshot
    return {
        "v": FORMAT,
        **{name: getattr(known, name) for name in _PLAIN},
        "phase": known.phase.value,
        "history": [list(moment) for moment in known.history[-MOMENTS:]],
        "assets": [_asset(asset, stale=known.stale) for asset in known.assets],
        "problem": None if known.problem is None else [getattr(known.problem, name) for name in _PROBLEM],
        "cost": None if known.cost is None else [known.cost.charged, known.cost.refunded, known.cost.unit],
        "said": None if said is None else {name: getattr(said, name) for name in _SAID},
        "left": [list(place) for place in known.left],
        "words": sorted(known.words),
        "steps": None if known.steps == NO_STEPS else known.steps._asdict(),
    }


_PLAIN = (
    "state", "stage", "progress", "submitted_at", "created_at", "answers", "grace", "late", "returning", "told",
    "give_up_at",
)  # fmt: skip
_SAID = (
    "state", "stage", "progress", "created_at", "updated_at", "finished_at", "duration", "queue_position", "assets_due",
)  # fmt: skip


_PROBLEM = ("message", "code", "kind", "charged")


def _asset(asset: Asset, *, stale: bool) -> dict[str, Any]:
    cut = None if asset.url is None else bare(asset.url)
    told = {name: getattr(asset, name) for name in ("kind", "media_type", "expires_at", "size", "checksum")}
    return {"url": cut, "whole": cut == asset.url and cut is not None and not stale, **told}


def bare(url: str) -> str | None:
    """A URL without user data, query and fragment; None for a data: URL, or a text that is not a URL."""
    try:
        kept = redact.bare(url)
    except ValueError:
        return None
    return None if kept.startswith("data:") or not kept else kept


def bucket(ref: str) -> int:
    """The bucket of a job, 0 to `PARTS` - 1. Part p of n has the buckets with the remainder p modulo n.

    >>> bucket("acme:j1")
    583
    """
    return zlib.crc32(ref.encode("utf-8", "surrogateescape")) % PARTS


def newer(kept: Mapping[str, Any]) -> bool:
    """Whether a newer vidpoll wrote these facts: only that one can read them, and they are never overwritten."""
    v = kept.get("v", FORMAT)
    return not is_number(v) or v > FORMAT


def check(kept: KeptJob) -> None:
    """Raise StoreError for a job that a newer vidpoll keeps: its facts cannot be read here, nor overwritten."""
    if kept.newer:
        raise StoreError(
            f"{kept.ref} is kept by a newer vidpoll (record {kept.facts.get('v')}, known: {FORMAT}), so "
            "this version leaves it alone; update vidpoll, or name another store"
        )


def catch_up(job: Job, kept: KeptJob) -> None:
    """Update a job from the store, if the store knows more of it than this process."""
    known = kept.known
    if not job.final:
        job.stepped(known)
    if job.final or known.phase is Phase.NEW:
        return
    if kept.ended_at is not None or not job.history or job.history[-1].at < known.history[-1].at:
        job.restore(known)


def merged(kept: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
    """The fresh facts, plus the kept fields that this version does not know: a newer vidpoll may have added them."""
    return {**kept, **fresh}


def read(ref: str, kept: Mapping[str, Any]) -> JobState:
    """The known state of the job `ref`; the initial state if the facts cannot be read (damaged, or of a newer vidpoll).

    If the URL of an asset was cut, the job is `stale`: it is polled again before its files are fetched.
    """
    try:
        return JobState(ref) if newer(kept) or not kept.get("phase") else parse(ref, kept)
    except ValueError:
        return JobState(ref)


def parse(ref: str, kept: Mapping[str, Any]) -> JobState:
    """The known state of the job `ref`, from facts of this version. Raises ValueError if they are invalid."""
    try:
        return _parsed(ref, kept)
    except (TypeError, ArithmeticError, LookupError, AttributeError, PluginError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _parsed(ref: str, kept: Mapping[str, Any]) -> JobState:
    rows = kept["assets"]
    problem, cost, said = kept["problem"], kept["cost"], kept["said"]
    known = JobState(
        ref,
        **{name: _number(kept[name]) for name in ("progress", "submitted_at", "created_at")},
        phase=Phase(kept["phase"]),
        state=_state(kept["state"]),
        stage=_stage(kept["stage"]),
        answers=int(kept["answers"]),
        grace=int(kept["grace"]),
        assets=tuple(asset for row in rows if (asset := _restored(row)) is not None),
        stale=not all(row["whole"] for row in rows),
        problem=_problem(*problem) if problem else None,
        cost=Cost(cost[0], cost[1], redact.text(cost[2], limit=40)) if cost else None,
        history=tuple(_moment(row) for row in kept["history"]),
        late=_late(*kept["late"]) if kept["late"] else None,
        returning=_place(kept["returning"]),
        left=tuple(filter(None, map(_place, kept["left"]))),
        told=_place(kept["told"]),
        words=frozenset(map(str, kept["words"])) or WORDLESS,
        steps=_steps(kept["steps"]) if kept.get("steps") else NO_STEPS,
        give_up_at=_number(kept.get("give_up_at")),
    )
    if known.phase in (Phase.ENDED, Phase.UNCONFIRMED) and not (known.state and known.state.final):
        raise ValueError("an ended phase without a final state")
    if known.late is not None and Kind.SETTLES not in TABLE[known.phase]:
        raise ValueError("a completed response without files, in a phase that cannot have one")
    if said is None:
        return known
    told = {name: said[name] for name in _SAID}
    if not isinstance(told["assets_due"], bool):
        raise ValueError("assets_due is not true or false")
    return known._replace(snapshot=Snapshot(**told, assets=known.assets, problem=known.problem, cost=known.cost))


def _problem(message: object, code: str | None, kind: object = None, charged: object = None, *_: object) -> Problem:
    """Why a job failed. An older record has no `kind`, and a newer vidpoll's may be unknown here."""
    known = kind if isinstance(kind, str) and kind in KINDS else None
    return Problem(str(message), code, kind=known, charged=charged if isinstance(charged, bool) else None)


def _state(word: object) -> State | None:
    return None if word is None else State(word)


def _stage(word: object) -> str | None:
    if not (word is None or isinstance(word, str)):
        raise TypeError("a stage that is not text")
    return None if word is None else as_stage(word)


def _number(value: Any) -> Any:
    if not (value is None or is_number(value)):
        raise TypeError("a value that is not a number")
    return value


def _late(stage: object, progress: object) -> tuple[str | None, float | None]:
    return _stage(stage), _number(progress)


def _steps(row: Mapping[str, Any]) -> Steps:
    named, times = row["foreign"]
    return Steps(
        **{name: _number(float(row[name])) for name in ("since", "asked_at", "next_at", "first_at")},
        **{name: _count(row[name]) for name in ("in_a_row", "refusals", "missing")},
        foreign=(str(named), _count(times)),
        wordless=bool(row["wordless"]),
        still_since=_number(row["still_since"]),
    )


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a count that is not a whole number")
    return value


def _place(row: Sequence[Any] | None) -> Place | None:
    return None if row is None else (_state(row[0]), _stage(row[1]))


def _moment(row: Sequence[Any]) -> Moment:
    at, state, stage, progress = row
    return Moment(_number(float(at)), _state(state), _stage(stage), _number(progress))


def _restored(row: Mapping[str, Any]) -> Asset | None:
    if not row["url"]:
        return None
    told = {name: _number(row[name]) for name in ("expires_at", "size")}
    kind, checksum = redact.text(row["kind"], limit=100), row["checksum"]
    return Asset(str(row["url"]), kind, media_type=_stage(row["media_type"]), checksum=checksum, **told)
