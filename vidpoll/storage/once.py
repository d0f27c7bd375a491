"""Submits: each one is stored, and a key gives one job, in every process that shares the store."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from functools import partial
from queue import Queue
from typing import Any, NamedTuple

from .. import redact
from ..drops import without
from ..errors import SubmitUnknown, UsageError, VidpollError
from ..job import Job
from ..model import Snapshot, Submitted
from ..polling.account_state import AccountState
from ..polling.call import build, optional
from ..polling.loop import Loop
from ..polling.submit import KEY_SHOWN, Record, key_line, run_once, submit, where_to_look
from ..provider import Operation
from . import records, table_rows
from .intent import place
from .keeper import Keeper
from .no_keeper import NoKeeper
from .records import KeptJob, Submission, Taken

LOOK = 1.0
"""Seconds between two reads of a submit that another process or thread has under way."""

HONOURED = 43200.0
"""Seconds for which a provider that honours keys is trusted to know one; the shortest documented time is a day."""

OWN_IDS = uuid.UUID("6c6f7265-6d00-5e8a-9d1b-76696470016b")
"""The namespace of the ids that vidpoll makes for providers that accept the caller's own ids."""


class Submit(NamedTuple):
    """A submit to send: the account, the operation, its fields, and the key ("" for none)."""

    account: AccountState
    kind: str
    fields: Mapping[str, object]
    key: str = ""

    @property
    def operation(self) -> Operation[Submitted]:
        """The operation of the account's provider."""
        return self.account.provider.submit[self.kind]

    @property
    def sent(self) -> dict[str, Any]:
        """The fields as a store keeps and returns them."""
        own = without(self.fields, self.account.provider.drops)
        sent: dict[str, Any] = json.loads(table_rows.to_json(records.sent(own, self.account.opened.known)))
        return sent

    @property
    def takes_own_id(self) -> bool:
        """Whether the provider accepts the caller's own id of the job, and the fields have none."""
        return bool(self.operation.key) and self.fields.get(self.operation.key) is None

    def may_be_sent_after(self, earlier: Submission, now: float) -> bool:
        """Whether it may be sent after a try of unknown outcome: the try had a key that the provider still honours.

        If the try lies in the future, a clock was set back, and its age is unknown.
        """
        own = self.operation.key
        honoured = self.operation.honours_key and earlier.sent.get(own) is not None
        return bool(earlier.reason) and honoured and 0.0 <= now - earlier.at <= HONOURED

    @property
    def with_own_id(self) -> Submit:
        """The submit with an own id, if the provider accepts one. Equal submits with equal keys get equal ids."""
        if not self.takes_own_id:
            return self
        made_of = json.dumps([self.account.name, self.key, self.kind, self.sent], sort_keys=True)
        return self._replace(fields={**self.fields, self.operation.key: str(uuid.uuid5(OWN_IDS, made_of))})


def send(keeper: Keeper | NoKeeper, loop: Loop, wanted: Submit, *, earlier: Submission | None = None) -> Job:
    """Start a job, and report the events of its first response. Raises what `polling.submit` raises, and Taken.

    `earlier` is an earlier try of unknown outcome; it may be repeated because the provider knows its key.
    """
    account, kind, fields, key = wanted
    with keeper.submitting(account.opened, kind, fields, key, earlier=earlier) as intent:
        job, events = submit(loop, account, kind, fields, intent)
        for event in events:
            optional(partial(keeper.tell, job, event), None)
    return job


def send_once(keeper: Keeper | NoKeeper, loop: Loop, wanted: Submit) -> Job:
    """The job of this key: the existing one, or a new one. See `Client.submit_once`."""
    if isinstance(keeper, NoKeeper):
        raise UsageError("submit_once needs a store that remembers keys: make the client with Client(store=…)")
    waits_until = loop.now() + keeper.bound
    while True:
        found = keeper.ready().keyed(wanted.account.name, wanted.key)
        if found is not None:
            _check_same(wanted, found)
        if isinstance(found, KeptJob):
            if found.replaced:
                raise _replaced(wanted, found)
            return found.job
        if found is None or wanted.may_be_sent_after(found, keeper.store.now()):
            job = _sent(keeper, loop, wanted, found)
            if job is not None:
                return job
        elif found.reason:
            return _found(keeper, loop, wanted, found, _unknown(wanted, found, place(keeper.store)))
        elif loop.now() >= waits_until:
            raise _unknown(wanted, found, place(keeper.store))
        else:
            loop.clock.get(Queue[None](), LOOK, busy=False)


def _sent(keeper: Keeper, loop: Loop, wanted: Submit, earlier: Submission | None) -> Job | None:
    """The new job; None if another process was faster."""
    try:
        return send(keeper, loop, wanted.with_own_id, earlier=earlier)
    except Taken:
        return None
    except SubmitUnknown as error:
        lost = optional(partial(keeper.store.keyed, wanted.account.name, wanted.key), None)
        if not isinstance(lost, Submission):
            raise
        return _found(keeper, loop, wanted, lost, error)


def _found(keeper: Keeper, loop: Loop, wanted: Submit, lost: Submission, error: SubmitUnknown) -> Job:
    """The job that a submit of unknown outcome has become. Raises `error` if that cannot be found out."""
    job = look_up(keeper, loop, wanted, lost)
    if job is None:
        raise error
    return job


def look_up(keeper: Keeper, loop: Loop, wanted: Submit, lost: Submission) -> Job | None:
    """The job that a submit of unknown outcome has become, if the provider can find it by the key that was sent.

    None: the provider cannot, or does not yet.
    """
    asked = question(wanted, lost)
    if asked is None:
        return None
    find, value = asked
    make = partial(build, wanted.account.opened, find, value)
    try:
        return adopted(keeper, wanted, lost, run_once(loop, wanted.account, find, make, str(value), repeat=True).result)
    except VidpollError:
        return None


def question(wanted: Submit, lost: Submission) -> tuple[Operation[Any], Any] | None:
    """The operation that finds the job of a submit of unknown outcome, and its argument; None if there is none."""
    name, find = wanted.operation.key, wanted.operation.find
    value = wanted.with_own_id.fields.get(name)
    # A caller's key may also be an older job's. A name like "idempotency_key" looks secret, so its value is hidden.
    ours = wanted.takes_own_id and lost.sent.get(name) in (value, redact.HIDDEN)
    return None if find is None or not ours else (find, value)


def adopted(keeper: Keeper, wanted: Submit, lost: Submission, said: object) -> Job | None:
    """The job in the response to a `question`; it is stored as the outcome of the submit. None if there is no job."""
    value = wanted.with_own_id.fields.get(wanted.operation.key)
    job_id = said.job_id if isinstance(said, Submitted) else value if isinstance(said, Snapshot) else None
    if job_id is None:
        return None
    job = Job(f"{wanted.account.name}:{job_id}", submitted_at=lost.at, key=wanted.key)
    return job if keeper.ready().adopt(lost.number, job.ref, records.facts(job)) else None


def _check_same(wanted: Submit, found: KeptJob | Submission) -> None:
    """Raise UsageError if the key was used for another submit. Fields that are None count as not given."""
    who = f"{wanted.account.name} {wanted.kind}: the key {redact.text(wanted.key, limit=KEY_SHOWN)!r}"
    if found.operation != wanted.kind:
        raise UsageError(f"{who} was used for {found.operation}; use another key for another job")
    before, now = found.sent, wanted.sent
    made = wanted.operation.key if wanted.takes_own_id else ""
    differing = [
        f"{name} was {_shown(before, name)} and is now {_shown(now, name)}"
        for name in {**before, **now}
        if name != made and before.get(name) != now.get(name)
    ]
    if differing:
        raise UsageError(f"{who} was used with other fields: {'; '.join(differing)}. Use another key for another job")


def _shown(sent: Mapping[str, Any], name: str) -> str:
    return "not given" if sent.get(name) is None else repr(redact.text(sent[name], limit=60))


def _unknown(wanted: Submit, found: Submission, file: str) -> SubmitUnknown:
    """The error for a key whose earlier submit has no known outcome."""
    account, _, _, key = wanted
    if found.reason:
        record = Record(key, str(found.number), file)
        said = (
            f"an earlier submit may have been received ({found.reason}), so it is not sent again. "
            f"{where_to_look(account, (), record)}. {key_line(record)}"
        )
    else:
        said = (
            f"another process is still submitting the key {redact.text(key, limit=KEY_SHOWN)!r}, so it is not sent "
            "again. Call this again in a while: the same key gives the same job"
        )
    return _error(wanted, found, said, found.reason or "another process is still submitting it")


def _replaced(wanted: Submit, found: KeptJob) -> SubmitUnknown:
    """The error for a key whose job has lost its id to the job of another submit."""
    reason = f"the server has given its id, {found.ref}, to another job"
    key = redact.text(wanted.key, limit=KEY_SHOWN)
    said = (
        f"the outcome of the job with the key {key!r} is unknown, because {reason}. It is not sent again: look for its "
        "video at the provider, or buy it anew with another key"
    )
    return _error(wanted, found, said, reason)


def _error(wanted: Submit, found: KeptJob | Submission, said: str, reason: str) -> SubmitUnknown:
    account, kind, _, key = wanted
    return SubmitUnknown(
        f"{account.name} {kind}: {said}",
        account=account.name,
        operation=kind,
        sent=dict(found.sent),
        reason=reason,
        key=key,
    )
