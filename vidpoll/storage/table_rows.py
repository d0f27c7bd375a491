"""Rows of a store to values, and back. A file may contain anything: content that cannot be read is a ValueError."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from .records import KeptJob, Origin, Submission

COLUMNS = (
    "ref, account, provider, base_url, variables, operation, sent, facts, submitted_at, added_at, ended_at, told_at, "
    "requests, transient_errors, version, key"
)
"""The columns of a `KeptJob`, which the tables `jobs` and `keys` have."""

JOB = COLUMNS.removesuffix("key") + "coalesce(key, '') AS key"
"""The columns of `jobs` that make a `KeptJob`."""

_LAST = ("submitted_at", "added_at", "ended_at", "told_at", "requests", "transient_errors", "version", "key")


CLOSED = "the client was closed before a response came"
"""Why the outcome of a submit is unknown that was under way when its store was closed."""


class Row(Protocol):
    """A row, by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any: ...


R = TypeVar("R", bound=Row)


def where(origin: Origin) -> tuple[str, str, str, str]:
    """The columns of an origin."""
    return origin.account, origin.provider, origin.base_url, to_json(origin.variables)


def origin_of(row: Row) -> Origin:
    """The origin in a row."""
    return Origin(row["account"], row["provider"], row["base_url"], tuple(_parsed(row["variables"], list)))


def who(refs: Iterable[str]) -> str:
    """The jobs of a transaction, for an error message."""
    first, *others = [*refs] or [""]
    return f"{first} and {len(others)} more" if others else first


def facts_of(text: str) -> dict[str, Any]:
    """The stored facts; empty if they are damaged: fresh facts will replace them."""
    try:
        return dict(_parsed(text, dict))
    except ValueError:
        return {}


def to_json(value: object) -> str:
    """JSON. A plugin's value that JSON cannot express becomes its text."""
    return json.dumps(value, default=str)


def kept(row: Row) -> KeptJob:
    """A row of `jobs`."""
    return KeptJob(
        row["ref"],
        origin_of(row),
        row["operation"],
        sent_of(row),
        _parsed(row["facts"], dict),
        *(row[name] for name in _LAST),
    )


def shared(own: Row, job: Row | None) -> KeptJob:
    """The job of a further key: the kept job, with this key. It is `replaced` if the kept job is of another submit."""
    mine = kept(own)
    if job is None:
        return mine
    if job["operation"] is not None and not equal(job, own):
        return replace(mine, replaced=True)
    return replace(kept(job), operation=mine.operation, sent=mine.sent, key=mine.key)


def same_submit(row: Row, job: KeptJob) -> bool:
    """Whether a row of `jobs` is this job although it has another key: the provider has merged two equal submits."""
    mine = {"operation": job.operation, "sent": to_json(job.sent)}
    return row["ended_at"] is None and bool(row["key"] and job.key) and equal(row, mine)


def equal(one: Row, other: Row) -> bool:
    """Whether two rows of submits have the same operation and equal fields."""
    with contextlib.suppress(ValueError):
        return bool(one["operation"] == other["operation"] and sent_of(one) == sent_of(other))
    return False


def readable(rows: list[R]) -> list[KeptJob]:
    """Rows of `jobs`; one that is damaged costs no other one. The list is emptied: a row is as large as its job."""
    found = []
    rows.reverse()
    while rows:
        with contextlib.suppress(ValueError):
            found.append(kept(rows.pop()))
    return found


def sent_of(row: Row) -> Mapping[str, Any]:
    """The fields that were sent with a submit."""
    sent: Mapping[str, Any] = _parsed(row["sent"], dict)
    return sent


def submission(row: Row, *, under_way: bool = False) -> Submission:
    """A row of `submits`; a submit under way has an empty `reason`."""
    return Submission(
        row["number"],
        row["account"],
        row["operation"],
        sent_of(row),
        row["at"],
        "" if under_way else row["reason"] or "the process ended before a response came",
        row["base_url"],
        row["provider"],
        row["key"] or "",
    )


def _parsed(text: object, kind: type) -> Any:
    try:
        value = json.loads(str(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, kind):
        raise ValueError(f"it is {type(value).__name__}, not {kind.__name__}")
    return value


def cost(facts: str | None, unit: str) -> float:
    """What a job has cost in a unit, by its facts; 0 if they have no cost in that unit, or there are no facts."""
    told = facts_of(facts).get("cost") if facts else None
    return max(0.0, told[0] - told[1]) if told and told[2] == unit else 0.0
