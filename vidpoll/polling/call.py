"""One call to a provider: the request that a plugin builds, and what its parser reads from the response.

Whatever a plugin or a server does, the result is a value, a Fault or an AnswerError. This module sends nothing and
never waits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urljoin

from .. import answers, redact
from .. import drops as drops_of
from ..errors import (
    AnswerError,
    ConfigurationError,
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
from ..faults import Fault, Misconfigured, NoAnswer, allowance, exhausted, hint, status_of, tells_when
from ..job import Job
from ..model import Request, Response, Snapshot, Submitted, same_id
from ..net.accounts import OpenAccount, WireRequest, scrub
from ..provider import Follow, Operation

log = logging.getLogger("vidpoll")

T = TypeVar("T")
V = TypeVar("V")


def optional(read: Callable[[], V], otherwise: V) -> V:
    """Return what `read` returns; if it raises, log the exception and return `otherwise`.

    Use it for everything that must not end a wait or lose a job that is paid for.
    """
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - the rest of the response counts
        log.error("ignored, because it cannot be read: %s", redact.trace(error))
        return otherwise


_WITH_BODY = {*range(200, 300)} - {202, 204}
"""Statuses whose meaning is in the body; 202 (accepted) and 204 (no content) need no body."""

LARGE = 64 * 1024
"""A request body of at least this many bytes gets extra time."""

SLOWEST = 50_000.0
"""Bytes a second: a large body gets, on top of the usual timeout, the time that it takes at this rate."""

MAX_FOLLOWS = 2
"""How many further requests (`Follow`) a parser may make."""


class Call(Generic[T]):
    """One call to a provider: a request, and up to two further requests that its parser may make."""

    def __init__(self, account: OpenAccount, operation: Operation[T], request: Request, about: str = "") -> None:
        self.account = account
        self.about = about or request.about
        """What the parser gets besides the response: the job's id, a page's token, or the submit's part of an id."""
        self.request = request
        self.hint: float | None = None
        """Seconds before this job may be polled again, by the last response."""
        self.retry_after: float | None = None
        """Seconds before anything may be sent for the account, by the last response."""
        self.left: tuple[float, float] | None = None
        """How many requests the account has left, and for how many seconds, by the last response."""
        self.refused = False
        """Whether the parser raised Refused: the provider itself refused, whatever the HTTP status was."""
        self._max_body = operation.max_body
        self._parse: Callable[[Response, str], T | Follow[T]] = operation.parse
        self._verdicts = operation.verdicts
        self._empty_ok = operation.empty_ok
        self._fallback: T | None = None
        self.depth = 0
        """How many further requests were made."""
        self.pending = False
        self.came: Response | BaseException | None = None
        """The last response as it was received, or the exception of its request."""
        self.responses: list[Response] = []
        """All responses, in order: a submit may be named by the first one only."""
        self.secrets = account.known
        """What must stay hidden in responses: the account's secrets, and those minted for the last request."""
        self._echoed = False  # whether a response contained one of the secrets

    def wire(self, timeout: tuple[float, float]) -> WireRequest:
        """The request to send now. A request with a large body gets a longer read timeout."""
        wire = self.account.wire(self.request, timeout=timeout, max_body=self._max_body)
        self.secrets = wire.secrets
        size = len(wire.body or b"")
        connect, read = timeout
        return wire if size < LARGE else wire._replace(timeout=(connect, read + size / SLOWEST))

    def take(self, outcome: Response | BaseException, now: float) -> T | Fault | None:
        """Parse a response. If `pending` is set afterwards, `self.request` must be sent first: a further request.

        The caller has already removed the fields that the provider drops: see `cleared`. `now` is Unix seconds.
        Raises AnswerError for a response that cannot be read, and nothing else.
        """
        self.pending = False
        try:
            return self._taken(outcome, now)
        except Exception as error:
            if self._fallback is not None:
                return self._fallback
            if isinstance(error, AnswerError):
                raise
            return self._broke(error)

    def _taken(self, outcome: Response | BaseException, now: float) -> T | Fault | None:
        value = self._read(outcome, now)
        if isinstance(value, Fault) and self._fallback is not None:
            return self._fallback
        if not isinstance(value, Follow):
            return value
        self._fallback = self._discreet(value.fallback) if value.fallback is not None else self._fallback
        if self.depth == MAX_FOLLOWS:
            fault = Fault(f"the plugin made more than {MAX_FOLLOWS} further requests")
            return fault if self._fallback is None else self._fallback
        self.depth += 1
        self.pending = True
        self.request, self._parse, self._verdicts = value.request, value.parse, value.verdicts
        return None

    def _read(self, outcome: Response | BaseException, now: float) -> T | Follow[T] | Fault:
        self.came = outcome
        if isinstance(outcome, BaseException):
            lost = outcome if isinstance(outcome, NoAnswer) else NoAnswer(f"{type(outcome).__name__} in a worker")
            local, sent = isinstance(lost, Misconfigured), lost.sent or self.depth > 0  # the first one got a response
            return Fault(lost.reason, sent=sent, local=local)
        self.responses.append(outcome)
        self.hint = self.retry_after = self.left = None
        self._echoed = self._echoed or optional(lambda: scrub(outcome, self.secrets) is not outcome, True)
        try:
            value = self._read_echo(outcome) if self._echoed else self._parsed(outcome)
        finally:  # the headers count whatever the body says
            optional(lambda: self._heed(outcome, now), None)
        return value._replace(hint=self._leave_alone(value.status)) if isinstance(value, Fault) else value

    def _heed(self, response: Response, now: float) -> None:
        """Read from the headers when the next request may be sent."""
        if tells_when(response):
            self.hint, self.retry_after = hint(response, now), exhausted(response, now)
            self.left = allowance(response, now)

    def _read_echo(self, response: Response) -> T | Follow[T] | Fault:
        """Parse a response that contains a secret, unchanged; hide the secret in the result."""
        with redact.hiding(self.secrets):
            try:
                value = self._parsed(response)
                return value if isinstance(value, Follow) else self._discreet(value)
            except RecursionError:
                unread: AnswerError = Malformed(f"HTTP {response.status} with a body that is nested too deeply")
            except AnswerError as error:
                unread = error
            except Exception as error:  # noqa: BLE001 - its text is redacted here, where the secrets are known
                return self._broke(error)
        unread.args = tuple(redact.within(list(unread.args), self._hide_all))
        unread.__cause__ = unread.__context__ = None  # they may contain the body
        for name in ("word", "named"):
            if hasattr(unread, name):
                setattr(unread, name, self._hide(getattr(unread, name)))
        raise unread

    def _discreet(self, value: V) -> V:
        """The value with the account's secrets hidden, if a response contained one.

        In ids, words and URLs only those secrets are hidden that cannot occur in them by coincidence.
        """
        if not self._echoed:
            return value
        try:
            discreet: V = redact.within(value, self._hide_all if isinstance(value, Fault) else self._hide)
        except Exception:
            if not isinstance(value, Submitted):
                raise
            discreet = cast(V, Submitted(self._hide(value.job_id)))  # the job is paid for: its id counts
        return discreet

    def _hide(self, text: str) -> str:
        return redact.hide(text, filter(redact.is_telling, self.secrets))

    def _hide_all(self, text: str) -> str:
        return redact.hide(text, self.secrets)

    def _parsed(self, response: Response) -> T | Follow[T] | Fault:
        if not (200 <= response.status < 300 or response.status in self._verdicts):
            return self._fault(response)
        if not response.body and response.status in _WITH_BODY and not self._empty_ok:
            raise Malformed(f"HTTP {response.status}: an empty body")
        try:
            return self._parse(response, self.about)
        except Refused as refused:
            self.refused = True
            reason = redact.text(refused.message) or refused.kind
            return Fault(reason, status_of(refused.kind), refused.code, declared=refused.kind)
        except Exception as error:  # noqa: BLE001 - `_broke` says what it was
            if response.status in self._verdicts:  # the body is not a verdict, so the HTTP status counts
                return self._fault(response)
            if not isinstance(error, AnswerError):
                return self._broke(error)
            unread = error
        optional(lambda: self._tell(unread, response), None)
        raise unread

    def _broke(self, error: Exception) -> Fault:
        """The fault of a parser that raised what it may not; for an OSError or MemoryError this machine is named."""
        if isinstance(error, (OSError, MemoryError)):
            return Fault(f"this machine could not read the response ({redact.text(error, limit=80) or 'no memory'})")
        if not isinstance(error, VidpollError):
            log.error("%s: the parser raised %s", self.account.provider.name, redact.trace(error))
        return Fault(f"the plugin's parser raised {redact.text(repr(error), limit=120)}")

    def _tell(self, error: AnswerError, response: Response) -> None:
        """Add to the error what the response was, as well as what was expected."""
        if not isinstance(error, Malformed):
            return
        error.wordless = error.wordless and self._about_the_job(response)
        said = answers.what_came(response)
        if said and said.partition(": ")[2] not in str(error):
            error.args = (f"{error}; {said}",)

    def _about_the_job(self, response: Response) -> bool:
        """Whether the response is not a refusal and names the job that was polled, whatever else it lacks."""
        return answers.refusal(response) is None and answers.names(response, self.about)

    def _fault(self, response: Response) -> Fault:
        # A 404 or 410 for a further request says nothing about the job: the first response knew the job.
        status = 502 if self.depth and response.status in (404, 410) else response.status
        sent = status != 407 or self.depth > 0  # a request that a proxy refuses does not reach the provider
        bare = Fault(f"HTTP {response.status}", status, sent=sent)
        return optional(lambda: self._described(bare, response), bare)

    def _described(self, fault: Fault, response: Response) -> Fault:
        """The fault, with the details that its response gives."""
        try:
            problem = self.account.provider.error(response)
            reason, code, details, kind, charged = (
                str(problem), problem.code, problem.details, problem.kind, problem.charged
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - reading an error must not cause a worse one
            reason, code, details, kind, charged = f"unreadable error ({type(error).__name__})", None, {}, None, None
        page, target = answers.page(response), self._target(response)
        reason = page or (f"it redirects to {redact.url(target)}" if target else reason)
        if response.status == 407:
            reason = f"the proxy requires a user and a password ({reason})"
        spoken = kind if page is None else None  # a page may not come from the provider
        status = status_of(spoken, response.status) if spoken else fault.status
        if self.depth and status in (404, 410):
            status, spoken = 502, None
        shown = reason if f"HTTP {response.status}" in reason else f"HTTP {response.status}: {reason}"
        request_id = next(filter(None, (response.header(h) for h in ("x-request-id", "request-id", "trace-id"))), None)
        shown_id = request_id and redact.text(request_id, limit=80)
        strange = page is not None or (status == 404 and answers.is_bare_404(response))
        return fault._replace(
            reason=shown, status=status, code=code, details=details, request_id=shown_id, page=strange, target=target,
            declared=spoken, charged=charged if spoken else None,
        )  # fmt: skip

    def _target(self, response: Response) -> str:
        """The target of a redirect that is not followed, without its query; empty for any other response."""
        location = response.header("location") if response.status in (301, 302, 303, 307, 308) else None
        try:
            asked = self.request.place if self.request.host else self.account.base_url + self.request.path
            return redact.bare(urljoin(asked, location.strip())) if location else ""
        except ValueError:
            return ""

    def _leave_alone(self, status: int | None) -> float | None:
        """The hint of a fault. For a 429, the time until the account has requests left counts like `Retry-After`."""
        hints = [seconds for seconds in (self.hint, self.retry_after if status == 429 else None) if seconds is not None]
        return max(hints, default=None)


def cleared(account: OpenAccount, outcome: V) -> V | Response:
    """A response without the fields that the provider drops, to read, keep and show; anything else unchanged.

    A body that is not JSON, or is nested too deeply, is dropped whole if the name of such a field occurs in it.
    """
    drops = account.provider.drops
    if not isinstance(outcome, Response) or not drops_of.may_stand_in(outcome.text(), drops):
        return outcome
    try:
        body = json.dumps(drops_of.without(outcome.json(), drops)).encode()
    except (Malformed, RecursionError):
        body = b""
    return Response(outcome.status, outcome.headers, body)


def build(account: OpenAccount, operation: Operation[Any], *args: object) -> Request:
    """The request that the plugin's builder makes. Raises its UsageError, and PluginError if it fails otherwise."""
    try:
        request = operation.request(*args)
    except VidpollError:
        raise
    except Exception as error:
        said = redact.text(f"{type(error).__name__}: {error}", limit=120)
        raise PluginError(f"{account.provider.name}: the plugin cannot build the request ({said})") from error
    if not isinstance(request, Request):
        raise PluginError(f"{account.provider.name}: the plugin made {type(request).__name__}, not a vidpoll.Request")
    return request


def pushed(
    account: OpenAccount, job: Job, body: bytes | str | Mapping[str, Any], now: float
) -> Snapshot | UnknownStatus | None:
    """What a webhook's body says about a job; None if the job must be polled instead. Raises AnswerError."""
    operation = account.provider.status
    if not isinstance(body, (bytes, bytearray, str, Mapping)):
        raise UsageError(f"{job.ref}: the pushed body must be bytes, str or a dict, got {type(body).__name__}", job=job)
    raw = _pushed_bytes(job, body)
    call = Call(account, operation, build(account, operation, job.id), job.id)
    pushed_body = Response(200, {"content-type": "application/json"}, raw)
    reason = f"it has more than {operation.max_body:,} bytes"
    value: Snapshot | Fault | None = None
    if len(raw) <= operation.max_body:
        try:
            value = call.take(cleared(account, pushed_body), now)
        except UnknownStatus as word:
            return word
        except AnswerError as error:
            if getattr(error, "wordless", False):  # the body names the job, and nothing else
                return None
            error.job = job
            raise
        if call.pending:
            return None
        reason = value.reason if isinstance(value, Fault) else f"the plugin's parser gave {type(value).__name__}"
    if not isinstance(value, Snapshot):
        raise Malformed(f"{job.ref}: the pushed body gives no status of this job: {reason}", job=job)
    if value.job_id is not None and not same_id(value.job_id, job.id):
        named = redact.text(value.job_id, limit=80)
        raise ForeignAnswer(f"{job.ref}: the pushed body is about another job, {named!r}", job=job, named=value.job_id)
    return value


def _pushed_bytes(job: Job, body: bytes | bytearray | str | Mapping[str, Any]) -> bytes:
    if isinstance(body, Mapping):
        try:
            body = json.dumps(body)
        except (TypeError, ValueError, RecursionError) as error:
            said = (
                f"{job.ref}: the pushed dict cannot be written as JSON ({type(error).__name__}): pass the body's bytes"
            )
            raise Malformed(said, job=job) from None
    return body.encode("utf-8", "replace") if isinstance(body, str) else bytes(body)


def receive_pushed(job: Job, said: Snapshot | UnknownStatus, at: float) -> tuple[Event, ...]:
    """Apply a pushed body that is not a verdict to a job, unless the job already has a later response."""
    if isinstance(said, UnknownStatus):
        return job.receive_unknown(said.word, at)
    known = None if job.snapshot is None else job.snapshot.updated_at
    overtaken = said.updated_at is not None and known is not None and said.updated_at < known
    return () if overtaken else job.receive(said, at)


def provider_error(
    who: str, fault: Fault, *, job: Job | None = None, advice: str = ""
) -> ProviderError | ConfigurationError:
    """The typed error of a refusal, or of a request that this machine cannot send."""
    if fault.local:
        return ConfigurationError(f"{who}: {fault.reason}{advice}", job=job)
    details = fault.details if isinstance(fault.details, dict) else None
    request_id = f" [request {fault.request_id}]" if fault.request_id else ""
    said = f"{who}: {fault.reason}{request_id}"
    return fault.error(
        f"{said.rstrip('.')}{advice}" if advice.startswith(".") else f"{said}{advice}",
        job=job,
        status=fault.status,
        code=fault.code,
        details=details,
        request_id=fault.request_id,
        category=fault.category,
        charged=fault.charged,
    )
