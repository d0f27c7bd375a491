"""A job as plain data, for whoever carries it from one process to another, and back. The facts are those of a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .. import errors, redact
from ..errors import OutcomeUnknown, UsageError
from ..job import Job
from . import records, table_rows

_OF_ERROR = ("resume", "status", "code", "request_id", "category")


def dump(job: Job) -> dict[str, Any]:
    """All that is known of a job, as JSON can say it, for `vidpoll.load` in any process: what a store keeps of it.

    Reference, key, state, stage, history (the last 200 moments), cost, problem, how its steps stand (`Client.step`),
    and why its outcome is unknown. It holds no key of an account, and URLs without their queries: `Client.download`
    asks for fresh ones.
    """
    facts = {**job.more, **records.facts(job), "ref": job.ref, "key": job.key, "unknown": _said(job)}
    plain: dict[str, Any] = json.loads(table_rows.to_json(facts), parse_constant=lambda number: None)
    return plain


def load(data: Mapping[str, Any]) -> Job:
    """The job of a `vidpoll.dump`. Fields that this vidpoll does not know are kept, and dumped again.

    Raises UsageError for anything else, and for what a newer vidpoll has dumped in another format.
    """
    if not isinstance(data, Mapping) or not {"v", "ref", "phase"} <= {*data}:
        raise UsageError(f"load({redact.text(repr(data), limit=60)}): must be what vidpoll.dump(job) gave")
    ref, key, v = data["ref"], data.get("key", ""), data["v"]
    if not isinstance(ref, str) or not isinstance(key, str):
        raise UsageError(
            f"load: ref {redact.text(repr(ref), limit=60)}: must be the reference of a job, and key a text"
        )
    if records.newer(data):
        raise UsageError(
            f"load({ref!r}): a newer vidpoll dumped it (format {v!r:.20}, known: {records.FORMAT}); update"
        )
    job = Job(ref, key=key)
    try:
        job.known = records.parse(job.ref, data)
        unknown = _restored(job, data.get("unknown"))
    except ValueError as error:
        said = redact.text(error, limit=120)
        raise UsageError(f"load({ref!r}): not what vidpoll.dump(job) gave ({said})") from None
    if unknown is not None:
        job.give_up(unknown)
    job.more = {name: value for name, value in data.items() if name not in _KNOWN}
    return job


def _said(job: Job) -> dict[str, Any] | None:
    """Why the outcome is unknown."""
    error = None if job.final else job.error
    if error is None:
        return None
    told = {name: getattr(error, name) for name in _OF_ERROR if getattr(error, name, None) is not None}
    return {"error": type(error).__name__, "message": error.message, **told}


def _restored(job: Job, said: Any) -> OutcomeUnknown | None:
    if said is None:
        return None
    if not isinstance(said, Mapping) or not all(isinstance(value, (str, int)) for value in said.values()):
        raise ValueError("the error is none")
    kind = getattr(errors, str(said.get("error")), None)
    if not (isinstance(kind, type) and issubclass(kind, OutcomeUnknown)):
        kind = OutcomeUnknown
    names = _OF_ERROR if issubclass(kind, errors.ProviderError) else _OF_ERROR[:1]
    return kind(str(said.get("message", "")), job=job, **{name: said[name] for name in names if name in said})


_KNOWN = frozenset(dump(Job("account:id")))
