"""One operation at a time: a call that is sent until it has an answer, and the submit, which is sent once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from .. import redact
from ..errors import AnswerError, BadReference, PluginError, SubmitUnknown, Unsupported
from ..events import Event
from ..faults import Fault
from ..job import Job
from ..model import Page, Request, Submitted
from ..provider import Operation
from .account_state import AccountState
from .call import Call, advice, build, provider_error
from .loop import Loop
from .task import OneShot

log = logging.getLogger("vidpoll")

T = TypeVar("T")

NOT_BOUGHT = (307, 308, 400, 401, 402, 403, 404, 405, 413, 422, 429, 451)
"""Statuses of answers to a submit that say for certain that nothing was bought."""


class Intent(Protocol):
    """Where a submit is kept while it is under way."""

    def begin(self) -> None:
        """It is about to be sent. Raises StoreError where that cannot be kept: then nothing is sent."""
        ...

    def received(self, job: Job) -> None:
        """It has become a job."""
        ...


def run_once(
    loop: Loop,
    account: AccountState,
    operation: Operation[T],
    make: Callable[[], Request],
    about: str = "",
    *,
    repeat: bool,
) -> OneShot[T]:
    """Send one operation and wait for its answer. `repeat`: it may be sent again although it may have been received.

    `about` is what the parser is told beside the answer.
    """
    task = OneShot(account, lambda: Call(account.opened, operation, make(), about), repeat=repeat, now=loop.now())
    for _ in loop.run([task]):
        pass
    return task


def value_of(result: T | Fault | AnswerError, account: AccountState, who: str, job: Job | None = None) -> T:
    """The value of a one-shot operation. Raises ProviderError for a Fault, and an AnswerError as it is."""
    if isinstance(result, Fault):
        raise provider_error(who, result, job=job, advice=advice(result, account.opened, job))
    if isinstance(result, AnswerError):
        result.job = job
        raise result
    return result


def submit(
    loop: Loop, account: AccountState, kind: str, fields: Mapping[str, object], intent: Intent | None
) -> tuple[Job, tuple[Event, ...]]:
    """Start a job; return it with the events of its first snapshot.

    Raises ProviderError where the provider refuses (nothing was bought), SubmitUnknown where it may have been received,
    UsageError and StoreError before anything is sent.
    """
    operation = account.provider.submit[kind]

    def make() -> Request:
        request = build(account.opened, operation, fields)
        if intent is not None:
            intent.begin()
        return request

    task = run_once(loop, account, operation, make, repeat=False)
    if isinstance(task.result, Submitted):
        return _submitted(account.name, task.result, intent, loop.clock.time())
    raise _not_submitted(account, kind, fields, task)


def operation_of(account: AccountState, role: str) -> Operation[Any]:
    """The operation of the account's provider. Raises Unsupported where it has none."""
    operation: Operation[Any] | None = getattr(account.provider, role)
    if operation is None:
        has = ", ".join(account.provider.operations())
        raise Unsupported(f"{account.name}: no {role} at {account.provider.name}; it has: {has}")
    return operation


def check_kind(account: AccountState, kind: str) -> None:
    """Raise Unsupported unless the account's provider has a submit operation of that name."""
    if kind not in account.provider.submit:
        known = ", ".join(account.provider.submit) or "nothing: this plugin only waits"
        raise Unsupported(f"{account.name}: no submit operation {redact.text(kind, limit=60)!r}; it has: {known}")


def list_jobs(
    loop: Loop, account: AccountState, operation: Operation[Page], fields: Mapping[str, object]
) -> Iterator[Job]:
    """The provider's own list, page by page as the rows are asked for."""
    who = f"{account.name} list"
    seen: set[str | None] = set()
    token: str | None = None
    while token not in seen:
        seen.add(token)
        make = partial(build, account.opened, operation, fields, token)
        task = run_once(loop, account, operation, make, token or "", repeat=True)
        page = value_of(task.result, account, who)
        if not isinstance(page, Page):
            raise PluginError(f"{who}: the plugin's parser gave {type(page).__name__}, not a Page")
        for row in page.items:
            try:
                job = Job(f"{account.name}:{row.job_id}")
            except BadReference as error:  # one odd row must not hide the others
                log.warning("%s: a row is left out: %s", who, error)
                continue
            job.listed(row, loop.clock.time())
            yield job
        token = page.next
        if token is None:
            return


def _submitted(account: str, result: Submitted, intent: Intent | None, at: float) -> tuple[Job, tuple[Event, ...]]:
    job = Job(f"{account}:{result.job_id}", submitted_at=at)
    if intent is not None:
        intent.received(job)
    if result.snapshot is None:
        return job, ()
    try:
        events = job.submitted(result.snapshot, at)
    except AnswerError:  # the id counts, whatever else the answer says
        return job, ()
    return job, events


def _not_submitted(
    account: AccountState, kind: str, fields: Mapping[str, object], task: OneShot[Submitted]
) -> Exception:
    """The error of a submit that brought no job: refused, not sent, or of unknown outcome."""
    result, name = task.result, account.name
    reason = f"the plugin's parser gave {type(result).__name__}, not a Submitted"
    if isinstance(result, AnswerError):
        reason = str(result)
    elif isinstance(result, Fault):
        reason = result.reason
        nothing = "Nothing was bought" if result.sent else "Nothing was sent and nothing was bought"
        if not result.sent or task.refused or result.status in NOT_BOUGHT:
            return provider_error(f"{name} {kind}", result, advice=f". {nothing}{advice(result, account.opened)}")
    look = f"`vidpoll jobs {name}`" if account.provider.list else f"the dashboard of {account.provider.name}"
    return SubmitUnknown(
        f"{name} {kind}: the submit may have been received ({reason}), so it is not sent again. Look for it "
        f"in {look} before you submit again; with its id, go on with `vidpoll wait {name}:ID`",
        account=name,
        operation=kind,
        sent={field: _shown(value) for field, value in fields.items()},
        reason=reason,
    )


def _shown(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, (bytes, bytearray)) else redact.text(value)
