"""Single operations: calls that are repeated until they have a response, and the submit, which is sent once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from .. import answers, redact
from ..blame import NOT_BOUGHT
from ..errors import AnswerError, BadReference, PluginError, SubmitUnknown, Unsupported, VidpollError
from ..events import Event
from ..faults import Fault, Meaning
from ..field_names import FieldNames
from ..job import Job
from ..model import Exchange, Page, Quota, Request, Response, Snapshot, Submitted
from ..net.accounts import OpenAccount
from ..provider import Operation
from .account_state import AccountState
from .call import Call, build, optional, provider_error
from .loop import Loop
from .next_step import advice, asked_at, jobs_line, resume_line, resume_submit_line
from .task import OneShot
from .transcript import exchange

log = logging.getLogger("vidpoll")

T = TypeVar("T")


KEY_SHOWN = 200
"""Characters of a key in a message."""

UNSENT = "nothing was sent and nothing was bought"
"""What a KeyboardInterrupt says that ended a submit before a byte of it was sent."""

QUOTED = 300
"""Characters of a response that the message of a `SubmitUnknown` quotes; its `answer` has more."""


class Record(NamedTuple):
    """A submit of unknown outcome that is in a store: its key, its number, and the store's file; each may be ""."""

    key: str
    number: str
    store: str

    def adopting(self, ref: str) -> str:
        """The command that says which job the submit has become; it polls the job first."""
        return resume_submit_line(self.store, adopt=ref, key=self.key, number="" if self.key else self.number)


class Intent(Protocol):
    """The stored record of a submit while the submit is under way."""

    @property
    def key(self) -> str:
        """The submit's key; "" if it has none."""
        ...

    @property
    def record(self) -> Record:
        """What names the submit in the store, for a message."""
        ...

    @property
    def again(self) -> bool:
        """Whether an earlier try may have been received: then a refusal does not prove that nothing was bought."""
        ...

    def begin(self) -> None:
        """Record that the submit is about to be sent. Raises StoreError if that fails: then nothing is sent."""
        ...

    def unsent(self) -> None:
        """Record that no byte of the last try was sent: nothing stays on record, and the key is free."""
        ...

    def received(self, job: Job) -> None:
        """Store the job that the submit has become."""
        ...


class SubmitTask(OneShot[Submitted]):
    """A submit. While it is certain that no byte of it was sent, nothing of it is on record."""

    def __init__(
        self, account: AccountState, kind: str, fields: Mapping[str, object], intent: Intent | None, **options: Any
    ) -> None:
        operation, make = account.provider.submit[kind], making(account, kind, fields, intent)
        super().__init__(account, lambda: Call(account.opened, operation, make()), **options)
        self.submits = True
        self._intent = intent
        self._again = self.lost = intent is not None and intent.again

    @property
    def nothing_sent(self) -> bool:
        """Whether it is certain that the provider has not received it, by any try."""
        return not (self.begun or self.lost)

    def unsent(self) -> None:
        if (self.call is not None and self.call.depth) or (self.lost and not self._again):
            return  # an earlier request of it may have been received
        self.begun = False
        if self._intent is not None:
            self._intent.unsent()


def run_once(
    loop: Loop,
    account: AccountState,
    operation: Operation[T],
    make: Callable[[], Request],
    about: str = "",
    *,
    repeat: bool,
) -> OneShot[T]:
    """Send one operation and wait for its response.

    `repeat`: it may be sent again even if an earlier try may have been received. `about` is what the parser gets
    besides the response.
    """

    def call() -> Call[T]:
        return Call(account.opened, operation, make(), about)

    task = OneShot(account, call, repeat=repeat, now=loop.now(), patience=loop.context.patience)
    _run(loop, task)
    return task


def _run(loop: Loop, task: OneShot[Any]) -> None:
    for _ in loop.run([task]):
        pass


def value_of(result: T | Fault | AnswerError, account: AccountState, who: str, job: Job | None = None) -> T:
    """The value of a one-shot operation. Raises ProviderError for a Fault, and an AnswerError as it is."""
    if isinstance(result, Fault):
        raise provider_error(who, result, job=job, advice=advice(result, account.opened, job=job))
    if isinstance(result, AnswerError):
        result.job = job
        raise result
    return result


def submit(
    loop: Loop, account: AccountState, kind: str, fields: Mapping[str, object], intent: Intent | None
) -> tuple[Job, tuple[Event, ...]]:
    """Start a job; return it with the events of its first snapshot.

    Raises ProviderError if the provider refuses (nothing was bought), SubmitUnknown if the submit may have been
    received, and UsageError or StoreError before anything is sent. If the provider honours the submit's key, a submit
    without a response is sent again: the key makes it the same job.
    """
    operation, key = account.provider.submit[kind], "" if intent is None else intent.key
    known = bool(key) and operation.honours_key and fields.get(operation.key) is not None
    task = SubmitTask(account, kind, fields, intent, repeat=known, now=loop.now(), patience=loop.context.patience)
    try:
        _run(loop, task)
    except VidpollError as error:
        task.result = error
    except BaseException as error:
        if not task.begun:
            task.unsent()
        if task.nothing_sent and isinstance(error, KeyboardInterrupt):
            error.args = (UNSENT,)
        raise
    return outcome(account, kind, fields, task, intent=intent, at=loop.clock.time())


def making(
    account: AccountState, kind: str, fields: Mapping[str, object], intent: Intent | None
) -> Callable[[], Request]:
    """A function that builds the request of a submit and stores its intent. The loop calls it right before sending."""

    def make() -> Request:
        request = build(account.opened, account.provider.submit[kind], fields)
        if intent is not None:
            intent.begin()
        return request

    return make


def outcome(
    account: AccountState,
    kind: str,
    fields: Mapping[str, object],
    task: OneShot[Submitted],
    *,
    intent: Intent | None,
    at: float,
) -> tuple[Job, tuple[Event, ...]]:
    """The result of a submit: see `submit`."""
    if isinstance(task.result, Submitted):
        return _submitted(account.name, task.result, intent, at)
    if isinstance(task.result, VidpollError) and not isinstance(task.result, AnswerError) and not task.begun:
        raise task.result  # nothing was sent
    record = None if intent is None else intent.record
    error = _not_submitted(account, kind, fields, task, at=at, record=record)
    raise _of_key(error, record) if record and record.key and isinstance(error, SubmitUnknown) else error


def operation_of(account: AccountState, role: str) -> Operation[Any]:
    """The operation of the account's provider. Raises Unsupported if there is none."""
    operation: Operation[Any] | None = getattr(account.provider, role)
    if operation is None:
        has = ", ".join(account.provider.operations())
        who = "" if account.name == account.provider.name else f"{account.name}: "
        raise Unsupported(f"{who}{account.provider.name} has no {role} operation; it has: {has}")
    return operation


def check_kind(account: AccountState, kind: str) -> None:
    """Raise Unsupported unless the account's provider has a submit operation of that name."""
    if not isinstance(kind, str) or kind not in account.provider.submit:
        known = ", ".join(account.provider.submit) or "nothing: this plugin only waits"
        raise Unsupported(f"{account.name}: no submit operation {redact.quoted(kind, 60)}; it has: {known}")


def checked_fields(account: AccountState, kind: str, fields: Mapping[str, object]) -> dict[str, object]:
    """The fields of a call under the provider's names: `fields.NAME` is the provider's field NAME.

    Raises Unsupported for an unknown kind, and InvalidField for a name that is probably a mistake for a listed one.
    """
    check_kind(account, kind)
    return FieldNames(f"{account.name}/{kind}", account.provider.submit[kind].fields).checked(fields)


def ask_quota(loop: Loop, account: AccountState) -> Quota:
    """What the account may still do. Raises Unsupported, ProviderError, AnswerError."""
    operation = operation_of(account, "quota")
    quota: Quota = value_of(
        run_once(loop, account, operation, lambda: build(account.opened, operation), repeat=True).result,
        account,
        f"{account.name} quota",
    )
    return quota


def end_job(loop: Loop, account: AccountState, job: Job, role: str) -> Snapshot | None:
    """Cancel or delete a job; return the status in the response, if any.

    Raises Unsupported, ProviderError, AnswerError.
    """
    operation = operation_of(account, role)
    task = run_once(loop, account, operation, partial(build, account.opened, operation, job.id), job.id, repeat=True)
    fault = task.result
    gone = isinstance(fault, Fault) and fault.meaning in (Meaning.MISSING, Meaning.GONE)
    if gone and task.lost:  # a 404 after a lost response: the earlier request has succeeded
        return None
    value = value_of(fault, account, f"{job.ref} {role}", job)
    return value if isinstance(value, Snapshot) else None


def list_jobs(loop: Loop, account: AccountState, fields: Mapping[str, object]) -> Iterator[Job]:
    """The provider's own list. Pages are requested as the iterator needs them; errors of the call are raised now."""
    return _pages(loop, account, _list_of(account, fields), fields)


def _list_of(account: AccountState, fields: Mapping[str, object]) -> Operation[Page]:
    """The provider's list operation. Raises errors of the call, and Unsupported if this account cannot request it."""
    operation = operation_of(account, "list")
    account.opened.wire(build(account.opened, operation, fields, None), timeout=(1.0, 1.0))
    return operation


def _has_list(account: AccountState) -> bool:
    """Whether this account can request the provider's list."""
    try:
        _list_of(account, {})
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not where to look for a job
        return False
    return True


def _pages(
    loop: Loop, account: AccountState, operation: Operation[Page], fields: Mapping[str, object]
) -> Iterator[Job]:
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
                log.warning("%s: a row is skipped: %s", who, error)
                continue
            job.listed(row, loop.clock.time())
            yield job
        token = page.next
        if token is None:
            return


def _submitted(account: str, result: Submitted, intent: Intent | None, at: float) -> tuple[Job, tuple[Event, ...]]:
    job = Job(f"{account}:{result.job_id}", submitted_at=at)
    if intent is not None:
        optional(partial(intent.received, job), None)
    if result.snapshot is None:
        return job, ()
    try:
        events = job.submitted(result.snapshot, at)
    except Exception as error:  # noqa: BLE001 - the id counts, whatever else the response says
        log.warning("%s: the rest of the response to its submit is ignored: %s", job.ref, redact.trace(error))
        return job, ()
    return job, events


def _not_submitted(
    account: AccountState,
    kind: str,
    fields: Mapping[str, object],
    task: OneShot[Submitted],
    *,
    at: float,
    record: Record | None,
) -> Exception:
    """The error of a submit without a job: it was refused, not sent, or its outcome is unknown."""
    result, opened, call = task.result, account.opened, task.call
    path = "" if call is None else call.request.path
    reason = f"the plugin's parser gave {type(result).__name__}, not a Submitted"
    if isinstance(result, VidpollError):
        reason = str(result)
    elif isinstance(result, Fault):
        reason = result.reason
        nothing = "Nothing was bought" if result.sent else "Nothing was sent and nothing was bought"
        if not task.lost and (not result.sent or task.refused or _bought_nothing(result, path)):
            said = f". {nothing}{advice(result, opened, path)}"
            return provider_error(f"{account.name} {kind}", result, advice=said)
    below = isinstance(result, Fault) and _names_below(result, path)
    ids: tuple[str, ...] = optional(lambda: _ids(call, below), ())
    lost = isinstance(result, Fault) and result.status is None and not (call is not None and call.responses)
    asked = f" {asked_at(opened)}." if lost or optional(lambda: _is_page(call), False) else ""
    answer = optional(lambda: _exchange(call, at), None)
    if ids:
        reason = f"{reason}; possible ids in the response: {', '.join(ids)}"
    elif answer is not None and answer.body and answer.body[:40] not in reason:
        reason = f"{reason}; the response is {answer.body[:QUOTED]}"
    return SubmitUnknown(
        f"{account.name} {kind}: the submit may have been received ({reason}), so it is not sent again.{asked} "
        f"{where_to_look(account, ids, record)}",
        account=account.name,
        operation=kind,
        sent={field: _shown(value) for field, value in fields.items()},
        reason=reason,
        answer=answer,
        ids=ids,
    )


def _of_key(error: SubmitUnknown, record: Record) -> SubmitUnknown:
    """Add the key, and the way out for it, to the error of a submit."""
    error.key = record.key
    error.args = (f"{error.message}. {key_line(record)}",)
    return error


def key_line(record: Record) -> str:
    """The way out for a key whose submit has an unknown outcome."""
    return (
        f"Its key {redact.text(record.key, limit=KEY_SHOWN)!r} stays in use until the submit is adopted (it became a "
        f"job) or dismissed (it never arrived), with client.store or `{resume_submit_line(record.store)}`"
    )


def where_to_look(account: AccountState, ids: tuple[str, ...], record: Record | None) -> str:
    """The next step after a submit of unknown outcome. With a `record`, its job must be adopted, not only waited for.

    A job that is only waited for leaves the submit open, and its key unused by the job.
    """
    opened, name = account.opened, account.name
    if record is not None:
        return _on_record(account, ids, record)
    look = f"`{jobs_line(opened)}`" if _has_list(account) else _elsewhere(opened)
    if ids:
        return (
            f"Check whether that is the job with `{resume_line(opened, f'{name}:{ids[0]}')}`, or look in {look}, "
            "before you submit again"
        )
    wait = resume_line(opened, f"{name}:ID")
    return f"Look for it in {look} before you submit again; if it is there, wait for it with `{wait}`"


def _on_record(account: AccountState, ids: tuple[str, ...], record: Record) -> str:
    """The next step after a submit of unknown outcome that is in a store."""
    name = account.name
    shows = f"`{resume_submit_line(record.store)}`"
    if ids:
        line = record.adopting(f"{name}:{ids[0]}")
        return (
            f"Before you submit again, check whether that is the job: `{line}` polls it and adopts it; {shows} shows "
            "which other jobs it may be"
        )
    line = record.adopting(f"{name}:ID")
    if _has_list(account):
        return f"Before you submit again, run {shows}: it shows which jobs this may have become. To adopt one: `{line}`"
    return f"Look for it in {_elsewhere(account.opened)} before you submit again; if it is there, adopt it: `{line}`"


def _elsewhere(account: OpenAccount) -> str:
    """Where a job is found that no list shows."""
    own = account.base_url != account.provider.base_url
    log = f", or in the log of the server at {redact.url(account.base_url)}" if own else ""
    return f"the dashboard of {account.provider.name}{log}"


def _bought_nothing(fault: Fault, path: str) -> bool:
    """Whether a fault proves that nothing was bought."""
    return fault.status in NOT_BOUGHT and not _names_below(fault, path)


def _names_below(fault: Fault, path: str) -> bool:
    """Whether a redirect leads below the submit's path: it may name the job that was made (RFC 9110, 15.4.4)."""
    return fault.status in (301, 302, 303) and f"{path.rstrip('/')}/" in fault.target.rstrip("/")


def _is_page(call: Call[Any] | None) -> bool:
    """Whether the response was a page, not one of the API."""
    return call is not None and isinstance(call.came, Response) and answers.page(call.came) is not None


def _exchange(call: Call[Any] | None, at: float) -> Exchange | None:
    """The request and its response, safe to show."""
    return None if call is None or call.came is None else exchange(at, call.request, call.came, call.secrets)


def _ids(call: Call[Any] | None, below: bool) -> tuple[str, ...]:
    """What may be the id of the new job in the responses to a submit; the first three."""
    if call is None or not call.responses:
        return ()
    place = (call.responses[-1].header("location") or "").partition("?")[0].rstrip("/").rpartition("/")[2]
    named = [each for came in call.responses for each in answers.ids(came)]
    found = dict.fromkeys([*([place] if below else []), *named])
    return tuple(each for each in found if not redact.holds(each, call.secrets))[:3]


def _shown(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, (bytes, bytearray)) else redact.text(value)
