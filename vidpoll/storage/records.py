"""What a store keeps of a job, and what it never does. Pure: values to plain data and back; no file is touched here.

It keeps the facts that a later process needs, and what people want to look up. It never keeps a key (only the names of
the variables that hold it), the query of a URL (it may be a signature), the bytes of a picture (only their hash).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import redact
from ..errors import PluginError
from ..job import Job, Moment
from ..model import Asset, Cost, Problem, Snapshot, State

if TYPE_CHECKING:
    from ..net.accounts import OpenAccount

MOMENTS = 200
"""Moments of a job's history that are kept, the latest."""

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
    """A submit that was begun and of which no id is known: it may have been received. Times are Unix seconds.

    `sent` are its fields, made safe: long texts are cut, files are a hash. `reason` says why nothing is known.
    """

    number: int
    account: str
    operation: str
    sent: Mapping[str, Any]
    at: float
    reason: str
    base_url: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class WantedFiles:
    """Files that were asked for and are not all there yet: the job's reference, the target, the kinds."""

    ref: str
    target: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptJob:
    """A job as the store has it. `ended_at` is when its verdict was kept, `told_at` when the hooks had heard it."""

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

    @property
    def job(self) -> Job:
        """The job as it was kept; its assets without the queries of their URLs."""
        job = Job(self.ref)
        restore(job, self.facts)
        return job


def origin(account: OpenAccount) -> Origin:
    """Where the jobs of an account live; of its key only the names of the variables."""
    provider = account.provider
    return Origin(account.name, provider.name, bare(account.base_url) or "", provider.auth.variables)


def wanted(ref: str, target: str | Path, kinds: Iterable[str]) -> WantedFiles:
    """The files of a job, their target as it is from any folder."""
    folder = os.sep if str(target).endswith(("/", os.sep)) else ""
    return WantedFiles(ref, f"{Path(target).expanduser().absolute()}{folder}", tuple(kinds))


def sent(fields: Mapping[str, object], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """The fields of a submit, safe to keep: texts of at most 500 characters, files and bytes as a hash, no secrets."""
    known = tuple(secrets)
    return {redact.text(name, limit=100): _plain(name, value, known) for name, value in fields.items()}


def _plain(name: str, value: object, secrets: tuple[str, ...], deep: int = 0) -> Any:
    if isinstance(value, (list, tuple)) and deep < _DEEP:
        return [_plain(name, item, secrets, deep + 1) for item in value[:_WIDE]]
    if isinstance(value, Mapping) and deep < _DEEP:
        pairs = list(value.items())[:_WIDE]
        return {redact.text(key, limit=100): _plain(str(key), item, secrets, deep + 1) for key, item in pairs}
    if isinstance(value, (str, bytes)) and redact.text(f"{name}=x").endswith(redact.HIDDEN):
        return redact.HIDDEN
    return value if value is None or isinstance(value, (bool, int, float)) else _text(value, secrets)


def _text(value: object, secrets: tuple[str, ...]) -> str:
    if isinstance(value, (bytes, bytearray)):
        return _hashed(bytes(value))
    if isinstance(value, Path):
        return _file(value)
    if isinstance(value, str) and value.startswith("data:"):
        return _hashed(value.encode("utf-8", "replace"))
    return redact.text(value, secrets=secrets)


def _hashed(data: bytes) -> str:
    import hashlib  # takes longer to import than the rest of this module, and few fields are files

    return f"sha256:{hashlib.sha256(data).hexdigest()} ({len(data)} bytes)"


def _file(path: Path) -> str:
    try:
        return f"{redact.text(path.name, limit=100)} {_hashed(path.read_bytes())}"
    except OSError:
        return redact.text(path.name, limit=100)


def facts(job: Job) -> dict[str, Any]:
    """What is known of a job, as JSON can say it; `restore` is the way back."""
    said = job.snapshot
    return {
        "state": job.state,
        "stage": job.stage,
        "progress": job.progress,
        "confirmed": job.confirmed,
        "answers": job.answers,
        "submitted_at": job.submitted_at,
        "history": [list(moment) for moment in job.history[-MOMENTS:]],
        "assets": [_asset(asset) for asset in job.assets],
        "problem": None if job.problem is None else [job.problem.message, job.problem.code],
        "cost": None if job.cost is None else [job.cost.charged, job.cost.refunded, job.cost.unit],
        "said": None if said is None else {name: getattr(said, name) for name in _SAID},
    }


_SAID = ("created_at", "updated_at", "finished_at", "duration", "queue_position", "assets_due")


def _asset(asset: Asset) -> dict[str, Any]:
    cut = None if asset.url is None else bare(asset.url)
    told = {name: getattr(asset, name) for name in ("kind", "media_type", "expires_at", "size", "checksum")}
    return {"url": cut, "whole": cut == asset.url and cut is not None, **told}


def bare(url: str) -> str | None:
    """A URL without user data, query and fragment; None for one that holds its bytes itself, or is no URL."""
    try:
        kept = redact.bare(url)
    except ValueError:
        return None
    return None if kept.startswith("data:") or not kept else kept


def restore(job: Job, kept: Mapping[str, Any]) -> None:
    """Bring a job to where it was kept. What cannot be read (an odd file, another version) is left out.

    Where the URL of an asset was cut, the job is `stale`: it is asked again before its files are fetched.
    """
    try:
        _restore(job, kept)
    except (TypeError, ValueError, AttributeError, PluginError):
        return


def _restore(job: Job, kept: Mapping[str, Any]) -> None:
    state = _state(kept.get("state"))
    rows = kept.get("assets") or ()
    problem, cost, said = kept.get("problem"), kept.get("cost"), kept.get("said")
    known = Job(job.ref, submitted_at=kept.get("submitted_at"))
    known.state, known.stage, known.progress = state, kept.get("stage"), kept.get("progress")
    known.confirmed = kept.get("confirmed") is not False
    known.answers = int(kept.get("answers") or 0)
    known.assets = tuple(asset for row in rows if (asset := _restored(row)) is not None)
    known.stale = not all(row.get("whole") for row in rows)
    known.problem = Problem(str(problem[0]), problem[1]) if problem else None
    known.cost = Cost(cost[0], cost[1], str(cost[2])) if cost else None
    if state is not None and said is not None:
        told = {name: said.get(name) for name in _SAID}
        known.created_at = known.created_at or said.get("created_at")
        known.snapshot = Snapshot(
            state, known.stage, known.progress, known.assets, known.problem, cost=known.cost, **told
        )
    job.restore(known, [_moment(row) for row in kept.get("history") or ()])


def _state(word: object) -> State | None:
    return State(word) if word in set(map(str, State)) else None


def _moment(row: list[Any]) -> Moment:
    at, state, stage, progress = row
    return Moment(float(at), _state(state), stage, progress)


def _restored(row: Mapping[str, Any]) -> Asset | None:
    if not row.get("url"):
        return None
    told = {name: row.get(name) for name in ("media_type", "expires_at", "size", "checksum")}
    try:
        return Asset(str(row["url"]), str(row.get("kind")), **told)
    except PluginError:
        return None
