"""One question to a provider: the request that a plugin builds, and what its parser reads out of the answer.

Whatever a plugin or a server does here ends as a value, a Fault or an AnswerError. Nothing is sent and nobody waits.
"""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from .. import redact
from ..errors import (
    KINDS,
    AnswerError,
    ForeignAnswer,
    Malformed,
    PluginError,
    ProviderError,
    Refused,
    UnknownStatus,
    UsageError,
    VidpollError,
)
from ..events import Event
from ..faults import Fault, Meaning, NoAnswer, allowance, exhausted, hint, status_of, tells_when
from ..job import Job
from ..model import Request, Response, Snapshot
from ..net.accounts import OpenAccount, WireRequest
from ..provider import Follow, Operation

log = logging.getLogger("vidpoll")

T = TypeVar("T")

_WITH_BODY = {*range(200, 300)} - {202, 204}
"""Statuses whose meaning is in the body; 202 (accepted) and 204 (no content) say by themselves what happened."""

MAX_FOLLOWS = 2
"""How many further answers a parser may ask for."""


class Call(Generic[T]):
    """One question to a provider: a request, and the second and third one that its parser may ask for."""

    def __init__(self, account: OpenAccount, operation: Operation[T], request: Request, about: str = "") -> None:
        self.account = account
        self.about = about
        """What the parser is told beside the answer: the job's id, the token of a page."""
        self.request = request
        self.hint: float | None = None
        """Seconds for which the last answer asks to leave this job alone."""
        self.retry_after: float | None = None
        """Seconds for which it asks to leave the whole account alone."""
        self.left: tuple[float, float] | None = None
        """How many requests the account has left by the last answer, and for how many seconds."""
        self.refused = False
        """Whether the parser raised Refused: the provider's own word, whatever the HTTP status was."""
        self._max_body = operation.max_body
        self._parse: Callable[[Response, str], T | Follow[T]] = operation.parse
        self._verdicts = operation.verdicts
        self._empty_ok = operation.empty_ok
        self._fallback: T | None = None
        self.depth = 0
        """How many further answers were asked for."""
        self.pending = False

    def wire(self, timeout: tuple[float, float]) -> WireRequest:
        """The request that is to be sent now."""
        return self.account.wire(self.request, timeout=timeout, max_body=self._max_body)

    def take(self, outcome: Response | BaseException, now: float) -> T | Fault | None:
        """What the answer says; with `pending` set, a further request (`self.request`) has to be sent first.

        Raises AnswerError for an answer that cannot be read. `now` is Unix seconds.
        """
        self.pending = False
        try:
            value = self._read(outcome, now)
        except AnswerError:
            if self._fallback is None:
                raise
            return self._fallback
        if isinstance(value, Fault) and self._fallback is not None:
            return self._fallback
        if not isinstance(value, Follow):
            return value
        self._fallback = value.fallback if value.fallback is not None else self._fallback
        if self.depth == MAX_FOLLOWS:
            fault = Fault(f"the plugin asks for more than {MAX_FOLLOWS} further answers")
            return fault if self._fallback is None else self._fallback
        self.depth += 1
        self.pending = True
        self.request, self._parse, self._verdicts = value.request, value.parse, value.verdicts
        return None

    def _read(self, outcome: Response | BaseException, now: float) -> T | Follow[T] | Fault:
        if isinstance(outcome, BaseException):
            lost = outcome if isinstance(outcome, NoAnswer) else NoAnswer(f"{type(outcome).__name__} in a worker")
            return Fault(lost.reason, sent=lost.sent or self.depth > 0)  # the first request was sent, and answered
        response = self.account.scrub(outcome)
        self.hint = self.retry_after = self.left = None
        if tells_when(response):
            self.hint, self.left = hint(response, now), allowance(response, now)
            self.retry_after = exhausted(response, now)
        if not (200 <= response.status < 300 or response.status in self._verdicts):
            return self._fault(response)
        if not response.body and response.status in _WITH_BODY and not self._empty_ok:
            raise Malformed(f"HTTP {response.status}: an empty body")
        try:
            return self._parse(response, self.about)
        except Refused as refused:
            self.refused = True
            reason = redact.text(refused.message) or refused.kind
            status = status_of(refused)
            return Fault(reason, status, refused.code, self._leave_alone(status))
        except Exception as error:
            if response.status in self._verdicts:  # the body was no verdict, so the status is what it says
                return self._fault(response)
            if isinstance(error, AnswerError):
                raise
            if not isinstance(error, VidpollError):
                log.error("%s: the parser raised %s", self.account.provider.name, redact.trace(error))
            return Fault(f"the plugin's parser raised {redact.text(repr(error), limit=120)}")

    def _fault(self, response: Response) -> Fault:
        try:
            problem = self.account.provider.error(response)
            reason, code, details = str(problem), problem.code, problem.details
        except Exception as error:  # noqa: BLE001 - reading an error must not make a worse one
            reason, code, details = f"unreadable error ({type(error).__name__})", None, {}
        # A 404 or 410 for a further request says nothing about the job: the first answer knew it.
        status = 502 if self.depth and response.status in (404, 410) else response.status
        shown = reason if f"HTTP {response.status}" in reason else f"HTTP {response.status}: {reason}"
        request_id = next(filter(None, (response.header(h) for h in ("x-request-id", "request-id", "trace-id"))), None)
        shown_id = request_id and redact.text(request_id, limit=80)
        return Fault(shown, status, code, self._leave_alone(status), True, details, shown_id)

    def _leave_alone(self, status: int) -> float | None:
        """The hint of a fault; a 429 says "no requests left until" as well as any `Retry-After`."""
        hints = [seconds for seconds in (self.hint, self.retry_after if status == 429 else None) if seconds is not None]
        return max(hints, default=None)


def build(account: OpenAccount, operation: Operation[Any], *args: object) -> Request:
    """What the plugin's builder makes. Raises its UsageError, and PluginError for whatever else goes wrong in it."""
    try:
        request = operation.request(*args)
    except VidpollError:
        raise
    except Exception as error:
        said = redact.text(f"{type(error).__name__}: {error}", limit=120)
        raise PluginError(f"{account.provider.name}: the plugin cannot make the request ({said})") from error
    if not isinstance(request, Request):
        raise PluginError(f"{account.provider.name}: the plugin made {type(request).__name__}, not a vidpoll.Request")
    return request


def pushed(
    account: OpenAccount, job: Job, body: bytes | str | Mapping[str, Any], now: float
) -> Snapshot | UnknownStatus | None:
    """What a body that the provider pushed says about a job; None where a request has to tell. Raises AnswerError."""
    operation = account.provider.status
    raw = json.dumps(body).encode() if isinstance(body, Mapping) else body.encode() if isinstance(body, str) else body
    if not isinstance(raw, (bytes, bytearray)):
        raise UsageError(f"{job.ref}: the pushed body is {type(body).__name__}; bytes, text or a dict is due", job=job)
    call = Call(account, operation, build(account, operation, job.id), job.id)
    reason = f"it has more than {operation.max_body:,} bytes"
    value: Snapshot | Fault | None = None
    if len(raw) <= operation.max_body:
        try:
            value = call.take(Response(200, {"content-type": "application/json"}, bytes(raw)), now)
        except UnknownStatus as word:
            return word
        except AnswerError as error:
            error.job = job
            raise
        if call.pending:
            return None
        reason = value.reason if isinstance(value, Fault) else f"the plugin's parser gave {type(value).__name__}"
    if not isinstance(value, Snapshot):
        raise Malformed(f"{job.ref}: the pushed body says nothing about it: {reason}", job=job)
    if value.job_id not in (None, job.id):
        raise ForeignAnswer(f"{job.ref}: the pushed body is about another job", job=job)
    return value


def receive_pushed(job: Job, said: Snapshot | UnknownStatus, at: float) -> tuple[Event, ...]:
    """Have a job take in a pushed body that is no verdict, unless a later answer is known."""
    if isinstance(said, UnknownStatus):
        return job.receive_unknown(said.word, at)
    known = None if job.snapshot is None else job.snapshot.updated_at
    overtaken = said.updated_at is not None and known is not None and said.updated_at < known
    return () if overtaken else job.receive(said, at)


def provider_error(who: str, fault: Fault, *, job: Job | None = None, advice: str = "") -> ProviderError:
    """The typed error of a refusal."""
    kind = KINDS[fault.kind]
    details = fault.details if isinstance(fault.details, dict) else None
    request_id = f" [request {fault.request_id}]" if fault.request_id else ""
    return kind(
        f"{who}: {fault.reason}{request_id}{advice}",
        job=job,
        status=fault.status,
        code=fault.code,
        details=details,
        request_id=fault.request_id,
    )


def advice(fault: Fault, account: OpenAccount, job: Job | None = None) -> str:
    """The next step after a refusal, as the end of a sentence; empty where there is none."""
    provider, name = account.provider, account.name
    if fault.status == 401 and provider.auth.variables:
        return f". Check the key ({', '.join(provider.auth.variables)})"
    if fault.status == 402 and provider.quota is not None:
        return f". What is left: vidpoll quota {name}"
    if fault.status == 409 and job is not None:
        return f". Wait for it first: vidpoll wait {shlex.quote(job.ref)}"
    if fault.status in (None, 404, 405) and fault.meaning is not Meaning.REFUSAL:
        return f". It was asked at {redact.url(account.base_url)}"
    return ""
