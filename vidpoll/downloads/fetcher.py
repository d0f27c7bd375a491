"""The bytes of one asset, asked for until they come or it makes no sense to ask: faults, pauses, fresh URLs.

A `Fetcher` asks one question at a time and says what came of it; to whom the bytes go is its caller's. HTTP runs in a
worker thread, the calling thread keeps the deadline. A job is never changed by what happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from queue import Queue
from typing import Any

from .. import redact
from ..errors import (
    AnswerError,
    DownloadChanged,
    DownloadError,
    DownloadTruncated,
    ProviderError,
    Refused,
    ResultMissing,
    UnsafeURL,
    UsageError,
    VidpollError,
)
from ..events import DownloadProgress, Event
from ..faults import FailureStreak, Fault, Meaning, NoAnswer, hint
from ..job import Job
from ..job_state import GRACE
from ..model import Asset, Response, Snapshot
from ..net.accounts import OpenAccount, WireRequest
from ..net.explain import BodyCut, Hopeless, UnsafeHop
from ..net.transport import Sink, Transport
from ..polling.call import build
from ..polling.loop import Loop
from ..provider import Operation
from . import ranges
from .ranges import Body, Validator

Begin = Callable[[Body, str], Sink]
"""Takes what is about to come, and from where; gives the sink. Both run in a worker thread."""

RETRY = 0.5
"""Seconds after a first fault; then as in a wait."""

TOLD = 0.1
"""Seconds between two reports of progress."""

STALE = (202, 400, 403, 404, 410, 425)
"""Answers to an asset's URL that mean: not any more, or not yet."""

_TRY_LATER = (408, 429)
_DOCUMENTS = ("json", "html", "xml", "text/")


@dataclass(frozen=True, slots=True)
class DownloadContext:
    """What all downloads of a job share. `deadline`: monotonic seconds, None for none. `poll` asks about the job."""

    loop: Loop
    transport: Transport
    account: OpenAccount
    job: Job
    poll: Callable[[], Snapshot]
    tell: Callable[[Event], None]
    deadline: float | None


NOWHERE = 1 << 30
"""The number of a file that the provider does not name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The `number`-th file of a `kind`, counted from 1; `asset` is None for what the content operation has to bring."""

    kind: str
    number: int
    asset: Asset | None


class RangeMismatch(Exception):
    """An answer in ranges that were not asked for, or of another file than before."""


class Fetcher:
    """Asks for the bytes of one file of a job."""

    def __init__(self, context: DownloadContext, wanted: Wanted) -> None:
        self.context = context
        self.wanted = wanted
        self.asset = wanted.asset
        self.deadline = context.deadline
        """Monotonic seconds, None for none."""
        self._patience = FailureStreak()
        self._rounds = 0
        """How often a fresh URL was asked for since bytes came."""
        self._last = ""
        """Why it was not had so far."""
        self._total: int | None = None
        self._best = self._marked = 0
        """The furthest offset that was reached, and the one at the last fault."""

    @property
    def source(self) -> str:
        """The URL that is asked, without its query. Raises UnsafeURL."""
        return redact.bare(self._wire({}).url)

    def ask(self, offset: int, end: int | None, known: Validator | None, begin: Begin) -> Body | None:
        """Ask for the bytes from `offset` to before `end` (None: to the last) of the file `known`.

        Returns the body that was taken in whole; None where it has to be asked again: a pause is over, or a fresh URL
        was found, and fewer bytes may be due than before. Raises RangeMismatch, DownloadError, ResultMissing, and what
        `begin` and its sink raise.
        """
        if self.asset is not None and self.asset.data is not None:
            size = len(self.asset.data)
            body = Body(0, size, size, True, Validator(length=size))
            begin(body, "")(memoryview(self.asset.data))
            return body
        headers = {} if offset == 0 and end is None else {"Range": f"bytes={offset}-{'' if end is None else end - 1}"}
        if headers and known is not None and known.condition is not None:
            headers["If-Range"] = known.condition
        wire = self._wire(headers)
        flow = _BodyReader(self, offset, known, begin, redact.bare(wire.url))
        outcome = self._run(wire, flow)
        further = flow.position > self._best
        self._total = flow.body.total if flow.body else self._total
        self._best = max(self._best, flow.position)
        if isinstance(outcome, NoAnswer):
            self._lost(outcome)
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        if flow.body is None:
            return self._no_bytes(outcome, offset, known)
        if flow.body.end is not None and flow.position < flow.body.end:
            self._lost(BodyCut("fewer bytes than announced"))
            return None
        if further or end is not None:  # the start of a file, again and again, is nothing new
            self._patience.good()
            self._rounds = 0
        return flow.body

    def misfit(self) -> None:
        """Bear a RangeMismatch: the file is begun anew. Raises DownloadChanged when that goes on for too long."""
        self._bear(Fault("the file changed, or other ranges came than were asked for"), DownloadChanged)

    def document(self, head: Response) -> bool:
        """Whether an answer is no file: not ready, or the content operation's word on where the file is."""
        media_type = (head.header("content-type") or "").lower()
        return head.status in STALE or (self.asset is None and any(word in media_type for word in _DOCUMENTS))

    def error(self, kind: type[DownloadError], reason: str, advice: str = "download it again") -> DownloadError:
        """An error about this file."""
        where = "its content" if self.asset is None else redact.url(self.asset.url or "")
        return kind(f"{self.context.job.ref}: {where}: {reason}; the job is unchanged, {advice}", job=self.context.job)

    def _wire(self, headers: Mapping[str, str]) -> WireRequest:
        account, timeout = self.context.account, self.context.loop.http_timeout
        if self.asset is None:
            operation = account.provider.content
            assert operation is not None
            request = build(account, operation, self.context.job.id)
            request = replace(request, headers={**request.headers, **headers})
            return account.wire(request, timeout=timeout, max_body=operation.max_body)
        try:
            return account.media(self.asset.url or "", headers, timeout=timeout)
        except UnsafeURL as error:
            raise UnsafeURL(f"{self.context.job.ref}: {error}", job=self.context.job) from None

    def _run(self, wire: WireRequest, flow: _BodyReader) -> Response | BaseException:
        """Have a worker ask; the calling thread keeps the deadline and tells the progress."""
        loop, inbox = self.context.loop, flow.inbox
        self._in_time()
        ticket = loop.workers.send(lambda ticket: self.context.transport.fetch(wire, ticket, flow.start), inbox)
        try:
            while True:
                item = loop.clock.get(inbox, self._in_time(), busy=True)
                if item is ticket:
                    flow.tell()
                    outcome: Response | BaseException = ticket.outcome
                    return outcome
                if item is not None:
                    flow.tell()
        finally:
            loop.workers.abort(ticket)

    def _in_time(self) -> float:
        """Seconds until the deadline, at most a minute. Raises DownloadError, and UsageError for a closed client."""
        if self.context.loop.closed:
            raise UsageError("this client is closed; make a new one")
        if self.deadline is None:
            return 60.0
        left = self.deadline - self.context.loop.now()
        if left <= 0:
            last = self._last and f" (last: {self._last})"
            raise self.error(DownloadError, f"not done in time{last}", "the same call goes on where it stopped")
        return min(left, 60.0)

    def _lost(self, lost: NoAnswer) -> None:
        """Bear it, or raise what it comes to."""
        if isinstance(lost, Hopeless):
            raise self.error(UnsafeURL if isinstance(lost, UnsafeHop) else DownloadError, lost.reason)
        self._bear(Fault(lost.reason), DownloadTruncated if isinstance(lost, BodyCut) else DownloadError)

    def _bear(self, fault: Fault, kind: type[DownloadError] = DownloadError) -> None:
        loop, self._last = self.context.loop, fault.reason
        if self._best > self._marked:
            self._patience.good()
            self._rounds = 0
        self._marked = self._best
        now = loop.now()
        self._patience.bear(fault, now)
        if self._patience.over(now, loop.context.patience):
            raise self.error(kind, f"{fault.reason}, again and again for {now - self._patience.first_at:.0f} s")
        self._pause(max(self._patience.gap(RETRY, loop.context.random), fault.hint or 0.0))

    def _pause(self, seconds: float) -> None:
        context, loop, nothing = self.context, self.context.loop, Queue[Any]()
        at, kind = loop.clock.time(), self.wanted.kind
        context.tell(DownloadProgress(context.job.ref, at, kind, self._best, self._total, self._last))
        until = loop.now() + seconds
        while (left := until - loop.now()) > 0:
            loop.clock.get(nothing, min(left, self._in_time()), busy=False)

    def _no_bytes(self, response: Response, offset: int, known: Validator | None) -> Body | None:
        """What is to be done about an answer that is no file."""
        provider = self.context.account.provider
        status = response.status
        if status == 416:
            length = ranges.unsatisfied(response, known)
            if length is None or length != offset:
                raise RangeMismatch
            return Body(offset, offset, length, True, Validator(length=length))
        operation = provider.content if self.asset is None else None
        if operation is not None and (200 <= status < 300 or status in operation.verdicts):
            self._content(operation, response)
            return None
        scrubbed = self.context.account.scrub(response)
        reason = self._reason(scrubbed)
        if status in STALE:
            self._stale(reason)
        elif status in _TRY_LATER or status >= 500:
            self._bear(Fault(reason, status, hint=hint(scrubbed, self.context.loop.clock.time())))
        else:
            raise self.error(DownloadError, reason, "check the key" if status == 401 else "download it again")
        return None

    def _reason(self, response: Response) -> str:
        try:
            told = str(self.context.account.provider.error(response))
        except Exception as error:  # noqa: BLE001 - reading an error must not make a worse one
            told = f"unreadable error ({type(error).__name__})"
        return told if f"HTTP {response.status}" in told else f"HTTP {response.status}: {told}"

    def _content(self, operation: Operation[Any], response: Response) -> None:
        """Take the asset out of the answer of the content operation."""
        try:
            asset = operation.parse(self.context.account.scrub(response), self.context.job.id)
        except Exception as error:  # noqa: BLE001 - a plugin's
            told = error if isinstance(error, (AnswerError, Refused)) else repr(error)
            self._stale(f"no video in the content: {redact.text(told, limit=200)}")
            return
        if not isinstance(asset, Asset):
            raise self.error(DownloadError, f"no video in the content: the parser gave {type(asset).__name__}")
        self.asset = asset

    def _stale(self, reason: str) -> None:
        """Look for a fresh URL, as often as a completed answer without its files is asked again."""
        self._last = reason
        if self.wanted.asset is None:  # the content operation brings it, and is asked itself
            if self._rounds == GRACE:
                raise self.error(DownloadError, reason)
            self._rounds += 1
            self.asset = None
            self._pause(self.context.account.provider.pacing.floor)
            return
        named = True
        while self._rounds < GRACE:
            self._rounds += 1
            fresh = self._fresh(reason)
            named = fresh is not None
            if fresh is not None:
                self.asset = fresh
                return
        if named:
            raise self.error(DownloadError, reason)
        job, kind = self.context.job, self.wanted.kind
        raise ResultMissing(f"{job.ref}: the {kind} is gone ({reason}), and the provider names it no more", job=job)

    def _fresh(self, reason: str) -> Asset | None:
        """The asset as the provider names it now; None where it names none. A transient error is borne."""
        while True:
            try:
                snapshot = self.context.poll()
            except AnswerError:
                return None
            except VidpollError as error:
                status = error.status if isinstance(error, ProviderError) else 400
                fault = Fault(f"{reason}; a fresh URL cannot be had: {error}", status)
                if fault.meaning is Meaning.MISSING:
                    return None
                if fault.meaning is Meaning.REFUSAL:
                    raise self.error(DownloadError, fault.reason) from None
                self._bear(fault)
                continue
            same = [asset for asset in snapshot.assets if asset.kind == self.wanted.kind]
            return same[self.wanted.number - 1] if len(same) >= self.wanted.number else None


class _BodyReader:
    """One answer on its way: from its head to the sink, counted. `start` and `take` run in a worker thread."""

    def __init__(self, pull: Fetcher, offset: int, known: Validator | None, begin: Begin, source: str) -> None:
        self.pull = pull
        self.offset = offset
        self.known = known
        self.begin = begin
        self.source = source
        self.inbox: Queue[Any] = Queue()
        self.body: Body | None = None
        self.position = 0
        """The offset in the file up to which bytes have come."""
        self._sink: Sink
        self._told_at = 0.0
        self._told = -1

    def start(self, head: Response) -> Sink | None:
        if self.pull.document(head):
            return None
        body = ranges.read(head, self.offset, self.known)
        if body is None:
            raise RangeMismatch
        self._sink = self.begin(body, self.source)
        self.position = body.first
        self.body = body
        return self.take

    def take(self, piece: memoryview) -> None:
        assert self.body is not None
        if self.body.end is not None and self.position + len(piece) > self.body.end:
            raise BodyCut("more bytes than announced")
        self._sink(piece)
        self.position += len(piece)
        now = self.pull.context.loop.now()
        if now - self._told_at >= TOLD:
            self._told_at = now
            self.inbox.put(True)

    def tell(self) -> None:
        """Say how far it is, in the calling thread."""
        context, body, position = self.pull.context, self.body, self.position
        if body is not None and position != self._told:
            self._told = position
            context.tell(
                DownloadProgress(
                    context.job.ref, context.loop.clock.time(), self.pull.wanted.kind, position, body.total
                )
            )
