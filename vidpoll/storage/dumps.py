"""A job as plain data, to carry it from one process to another, and back. The data has the facts that a store keeps."""

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
    """All that is known of a job, as JSON data, for `vidpoll.load` in any process: the same as a store keeps.

    It contains reference, key, state, stage, history (the last 200 moments), cost, problem, the progress of its steps
    (`Client.step`), and why its outcome is unknown. It contains no key of an account, and only URLs without queries:
    `Client.download` requests fresh ones. Raises UsageError for anything but a Job.
    """
    if not isinstance(job, Job):
        shown = redact.text(repr(job), limit=60)
        raise UsageError(f"dump: job must be a vidpoll.Job, as submit and wait return it, got {shown}")
    facts = {**job.more, **records.facts(job), "ref": job.ref, "key": job.key, "unknown": _said(job)}
    plain: dict[str, Any] = json.loads(table_rows.to_json(facts), parse_constant=lambda number: None)
    return plain


def load(data: Mapping[str, Any]) -> Job:
    """The job of a `vidpoll.dump`. Fields that this vidpoll does not know are kept and dumped again.

    Raises UsageError for anything else, and for a dump of a newer vidpoll in another format.
    """
    if not isinstance(data, Mapping) or not {"v", "ref", "phase"} <= {*data}:
        raise UsageError(f"load: data must be the result of vidpoll.dump(job), got another {type(data).__name__}")
    ref, key, v = data["ref"], data.get("key", ""), data["v"]
    if not isinstance(ref, str) or not isinstance(key, str):
        raise UsageError(
            f"load: ref must be the reference of a job and key must be text, got ref {redact.text(repr(ref), limit=60)}"
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
        raise UsageError(f"load({ref!r}): data must be the result of vidpoll.dump(job) ({said})") from None
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
        raise ValueError("'unknown' is not an error")
    kind = getattr(errors, str(said.get("error")), None)
    if not (isinstance(kind, type) and issubclass(kind, OutcomeUnknown)):
        kind = OutcomeUnknown
    names = _OF_ERROR if issubclass(kind, errors.ProviderError) else _OF_ERROR[:1]
    return kind(str(said.get("message", "")), job=job, **{name: said[name] for name in names if name in said})


_KNOWN = frozenset(dump(Job("account:id")))
