"""Fetches the bytes of one asset: retries after faults, with pauses, and by other ways, until it succeeds or must fail.

A `Fetcher` sends one request at a time and reports its result; the caller decides where the bytes go. HTTP runs in a
worker thread; the calling thread keeps the deadline. Nothing here changes a job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue
from typing import Any

from .. import caller_warnings, parsing, redact
from ..errors import (
    AnswerError,
    ConfigurationError,
    DownloadChanged,
    DownloadError,
    DownloadTruncated,
    NotAVideo,
    ProviderError,
    Refused,
    ResultMissing,
    UnsafeURL,
    UsageError,
    VidpollError,
)
from ..events import DownloadProgress, Event
from ..faults import FailureStreak, Fault, Meaning, Misconfigured, NoAnswer, hint
from ..job import Job
from ..job_state import GRACE
from ..model import Asset, Response, Snapshot
from ..net.accounts import OpenAccount, WireRequest, scrub
from ..net.explain import BodyCut, BodyTooLarge, Hopeless, UnsafeHop
from ..polling.call import build, cleared, optional
from ..polling.loop import Loop
from ..polling.next_step import download_line
from ..provider import Operation
from . import ranges
from .body_reader import Begin, BodyReader, RangeMismatch
from .ranges import Body, Validator

log = logging.getLogger("vidpoll")

RETRY = 0.5
"""Seconds of the pause after a first fault; further pauses grow as in a wait."""

YOUNG = 300.0
"""Seconds after a verdict in which a file may not be ready yet."""

LONGEST_LOOK = 30.0
"""Seconds: the longest pause between two requests for a file that is not ready yet."""

OLD = 24 * 3600.0
"""Seconds: a job that was created longer ago, and whose end time is unknown, does not count as young."""

STALE = (202, 400, 401, 403, 404, 410, 425)
"""Statuses of an asset's URL that mean: no longer there, or not yet there."""

NOT_READY = (202, 400, 404, 425)
"""Those of STALE that may mean that the file is not ready yet."""

PAGE = 64 * 1024
"""Bytes of a page that are read to report its reason."""

_TRY_LATER = (408, 429)

NOWHERE = 1 << 30
"""The number of a file that the provider does not list."""

FRESH, BELOW, CONTENT = "a fresh URL", "the same path below the base URL", "the content operation"
"""The other ways to a file whose URL does not work."""


@dataclass(frozen=True, slots=True)
class DownloadContext:
    """What all downloads of a job share. `deadline`: monotonic seconds, None for none. `poll` polls the job.

    `poll` gets the seconds within which it must end, None for no bound.
    `names`: by file name, the job that uses it; of the jobs fetched at the same time no two use the same name.
    """

    loop: Loop
    account: OpenAccount
    job: Job
    poll: Callable[[float | None], Snapshot]
    tell: Callable[[Event], None]
    deadline: float | None
    names: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The `number`-th file of a `kind`, counted from 1. `asset` is None if only the content operation can fetch it."""

    kind: str
    number: int
    asset: Asset | None


@dataclass(frozen=True, slots=True)
class _Question:
    """One request: the bytes from `offset` to before `end` of the file `known`; `ranged`: it has a Range header."""

    wire: WireRequest
    offset: int
    end: int | None
    known: Validator | None
    ranged: bool


class Fetcher:
    """Fetches the bytes of one file of a job, by its URL and by every other available way."""

    def __init__(self, context: DownloadContext, wanted: Wanted, to: Path | None = None) -> None:
        self.context = context
        self.wanted = wanted
        self._to = to  # the folder, or the file, that an error names
        self.asset = wanted.asset
        self.deadline = context.deadline
        """Monotonic seconds, None for none."""
        self.head: Response | None = None
        """The head of the last response with bytes of the file."""
        self._below = False
        """Whether the URL's path is requested below the base URL."""
        self._ways = self._found_ways()
        self._turns = 0
        """How many times the way changed since bytes arrived."""
        self._patience = FailureStreak()
        self._rounds = 0
        """How many of these changes were because a response said that there is no file."""
        self._named = True
        """Whether the provider still listed the file in its last response."""
        self._last = ""
        """The reason of the last failure."""
        self._said: dict[str, str] = {}
        """The last failure of each way."""
        self._ranges = True
        """Whether Range is sent; False for a server that has refused it."""
        self._refused_range = False
        self._total: int | None = None
        self._best = self._marked = 0
        """The furthest offset that was reached, in all and at the last fault."""

    @property
    def source(self) -> str:
        """The URL that is requested, without its query. Raises UnsafeURL."""
        return redact.bare(self._wire({}).url)

    def ask(self, offset: int, end: int | None, known: Validator | None, begin: Begin) -> Body | None:
        """Request the bytes from `offset` to before `end` (None: to the last) of the file `known`.

        Returns the body if it was received whole. Returns None if the caller must call again: a pause is over, or
        another way was found; fewer bytes may be missing than before. A server that refuses ranges sends the whole
        file. Raises RangeMismatch, DownloadError, ResultMissing, and what `begin` and its sink raise.
        """
        if self.asset is not None and self.asset.data is not None:
            size = len(self.asset.data)
            body = Body(0, size, size, True, Validator(length=size))
            begin(body, "")(memoryview(self.asset.data))
            return body
        ranged = self._ranges and (offset > 0 or end is not None)
        headers = {"Range": f"bytes={offset}-{'' if end is None else end - 1}"} if ranged else {}
        if headers and known is not None and known.condition is not None:
            headers["If-Range"] = known.condition
        question = _Question(self._wire(headers), offset, end, known, ranged)
        reader = self._reader(question, begin)
        try:
            outcome = self._run(question.wire, reader)
            if isinstance(outcome, (Response, NoAnswer)):
                reader.finish()
            self._tell(reader)
        except Hopeless as lost:
            outcome = lost
        return self._outcome(outcome, reader, question)

    def _outcome(self, outcome: Response | BaseException, reader: BodyReader, question: _Question) -> Body | None:
        """Evaluate the result of a request."""
        further = reader.position > self._best
        body = reader.body
        self._total = body.total if body else self._total
        self._best = max(self._best, reader.position)
        document = reader.document
        if document is not None and (isinstance(outcome, Response) or self.asset is not None):
            outcome = document  # if the page is too long, its beginning
        if isinstance(outcome, NoAnswer):
            self._lost(outcome)
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        if body is None:
            return self._no_bytes(outcome, question)
        if body.end is not None and reader.position < body.end:
            self._lost(BodyCut("fewer bytes than announced"))
            return None
        if reader.empty:
            self._stale(f"the {self.wanted.kind} is empty", NotAVideo, early=True)
            return None
        self.head = reader.head
        if further or question.end is not None:  # the same start of a file again is no progress
            self._good()
        return body

    def misfit(self) -> None:
        """Tolerate a RangeMismatch: the download begins anew. Raises DownloadChanged if that repeats for too long."""
        self._bear(Fault("the file changed, or the server sent another range than requested"), DownloadChanged)

    def error(self, kind: type[DownloadError], reason: str, advice: str = "") -> DownloadError:
        """An error about this file; `advice` is the end of the sentence: a way out, or empty."""
        said = {self._where: reason} if reason not in self._said.values() else self._said
        told = "; ".join(f"{where}: {why}" for where, why in said.items())
        ending = f", {advice}" if advice else ""
        return kind(f"{self.context.job.ref}: {told}; the job is unchanged{ending}", job=self.context.job)

    @property
    def again(self) -> str:
        """The advice to download it again, with the call that does it."""
        line = self._to and download_line(self.context.account, self.context.job.ref, str(self._to))
        return f"download it again{f': {line}' if line else ''}"

    @property
    def _where(self) -> str:
        """The URL that is requested, safe to show."""
        if self.asset is None:
            return "its content"
        place = self.context.account.place(self.asset.url or "", below=True) if self._below else self.asset.url
        return redact.url(place or "")

    # -- one request --------------------------------------------------------------------------------------------------

    def _wire(self, headers: Mapping[str, str]) -> WireRequest:
        account, timeout = self.context.account, self.context.loop.http_timeout
        if self.asset is None:
            operation = account.provider.content
            assert operation is not None
            request = build(account, operation, self.context.job.id)
            request = replace(request, headers={**request.headers, **headers})
            return account.wire(request, timeout=timeout, max_body=operation.max_body)
        try:
            wire = account.media(self.asset.url or "", headers, timeout=timeout, below=self._below)
        except UnsafeURL as error:
            raise UnsafeURL(f"{self.context.job.ref}: {error}", job=self.context.job) from None
        if said := account.first_in_the_clear(wire.url):
            log.warning("%s", said)
            caller_warnings.warn(said, RuntimeWarning)
        return wire

    def _reader(self, question: _Question, begin: Begin) -> BodyReader:
        lenient, wire = self.asset is not None, question.wire
        most, clock = PAGE if lenient else wire.max_body, self.context.loop.clock
        return BodyReader(
            clock, question.offset, question.known, begin, redact.bare(wire.url), most=most, lenient=lenient
        )

    def _run(self, wire: WireRequest, reader: BodyReader) -> Response | BaseException:
        """Let the transport send the request; this thread keeps the deadline and reports progress."""
        loop, transport, inbox = self.context.loop, self.context.loop.transport, reader.inbox
        self._in_time()
        try:
            ticket = transport.begin(wire, inbox, reader.start)
        except Misconfigured as error:  # no thread
            return error
        try:
            while True:
                item = loop.clock.get(inbox, self._in_time(), busy=True)
                if item is ticket:
                    outcome: Response | BaseException = ticket.outcome
                    return outcome
                if item is not None:
                    self._tell(reader)
        finally:
            transport.abort(ticket)

    def _tell(self, reader: BodyReader) -> None:
        """Report the position, if it has changed."""
        position, body, context = reader.position, reader.body, self.context
        if body is not None and position != reader.told:
            reader.told = position
            at = context.loop.clock.time()
            context.tell(DownloadProgress(context.job.ref, at, self.wanted.kind, position, body.total))

    def _in_time(self) -> float:
        """Seconds until the deadline, at most a minute. Raises as `_left` does."""
        left = self._left()
        return 60.0 if left is None else min(left, 60.0)

    def _left(self) -> float | None:
        """Seconds until the deadline, None for none. Raises DownloadError, and UsageError for a closed client."""
        if self.context.loop.closed:
            raise UsageError("this client is closed; make a new one")
        if self.deadline is None:
            return None
        left = self.deadline - self.context.loop.now()
        if left <= 0:
            last = self._last and f" (last: {self._last})"
            raise self.error(DownloadError, f"not done in time{last}", "the same call goes on where it stopped")
        return left

    # -- what went wrong ----------------------------------------------------------------------------------------------

    def _good(self) -> None:
        """Bytes arrived: every way may be tried again."""
        self._patience.good()
        self._rounds = self._turns = 0
        self._said.clear()
        self._refused_range = False

    def _lost(self, lost: NoAnswer) -> None:
        """Retry after a lost request, take another way, or raise the error."""
        if isinstance(lost, Misconfigured):
            raise ConfigurationError(f"{self.context.job.ref}: {lost.reason}", job=self.context.job)
        if isinstance(lost, (Hopeless, BodyTooLarge)):
            kind = UnsafeURL if isinstance(lost, UnsafeHop) else DownloadError
            if self.asset is None or self._ways[-1] != CONTENT or self._rounds == GRACE:
                raise self.error(kind, lost.reason)
            self._rounds += 1
            self._last = self._said[self._where] = lost.reason
            self.asset = None  # the provider's own route may lead elsewhere
            return
        self._fault(Fault(lost.reason), DownloadTruncated if isinstance(lost, BodyCut) else DownloadError)

    def _fault(self, fault: Fault, kind: type[DownloadError] = DownloadError, *, ranged: bool = False) -> None:
        """Retry after a fault. If no byte and no response arrived yet, every third one in a row changes the way."""
        self._bear(fault, kind, ranged=ranged)
        if fault.status is None and self._best == 0 and len(self._ways) > 1 and self._patience.in_a_row % GRACE == 0:
            self._turn(fault.reason)

    def _bear(self, fault: Fault, kind: type[DownloadError] = DownloadError, *, ranged: bool = False) -> None:
        loop, self._last = self.context.loop, fault.reason
        if self._best > self._marked:
            self._good()
        self._marked = self._best
        now = loop.now()
        self._patience.bear(fault, now)
        if self._patience.over(now, loop.context.patience):
            if not ranged:
                told = f"{fault.reason}, again and again for {now - self._patience.first_at:.0f} s"
                raise self.error(kind, told, self.again)
            self._ranges = False  # perhaps the server fails because of Range
            return
        self._pause(max(self._patience.gap(RETRY, loop.context.random), fault.hint or 0.0))

    def _pause(self, seconds: float) -> None:
        context, loop, nothing = self.context, self.context.loop, Queue[Any]()
        at, kind = loop.clock.time(), self.wanted.kind
        context.tell(DownloadProgress(context.job.ref, at, kind, self._best, self._total, self._last, seconds))
        until = loop.now() + seconds
        while (left := until - loop.now()) > 0:
            loop.clock.get(nothing, min(left, self._in_time()), busy=False)

    def _no_bytes(self, response: Response, question: _Question) -> Body | None:
        """Handle a response that is not a file."""
        status = response.status
        if status == 416:
            length = ranges.unsatisfied(response, question.known)
            if length is None or length != question.offset:
                raise RangeMismatch
            return Body(length, length, length, True, Validator(length=length))
        account, known = self.context.account, scrub(response, question.wire.secrets)
        told = optional(lambda: cleared(account, known), known)
        operation = account.provider.content if self.asset is None else None
        if operation is not None and (200 <= status < 300 or status in operation.verdicts):
            self._content(operation, told)
        else:
            self._refusal(told, question)
        return None

    def _refusal(self, response: Response, question: _Question) -> None:
        """Retry after a refusal, take another way, or raise the error."""
        status, ranged = response.status, question.ranged
        reason = self._reason(response, question.wire)
        if 200 <= status < 300 and status not in STALE:
            self._stale(f"the {self.wanted.kind} is a page or an error message, not a file ({reason})", NotAVideo)
        elif status in _TRY_LATER or (status >= 500 and not (ranged and status == 501)):
            now = self.context.loop.clock.time()
            fault = Fault(reason, status, hint=optional(lambda: hint(response, now), None))
            self._fault(fault, ranged=ranged)
        elif ranged and self._refused_range:
            self._ranges = False
        elif status in STALE or ranged or len(self._ways) > 1:
            self._refused_range = ranged
            advice = (
                self.context.account.key_advice.replace("C", "c", 1) if status == 401 and question.wire.secret else ""
            )
            self._stale(reason, early=status in NOT_READY, advice=advice)
        else:
            raise self.error(DownloadError, reason)

    def _reason(self, response: Response, wire: WireRequest) -> str:
        """The reason in a response. Only the account's own origin uses the provider's error format."""
        read = self.context.account.provider.error if wire.trusted(wire.url) else parsing.problem
        try:
            told = str(read(response))
        except Exception as error:  # noqa: BLE001 - reading an error must not cause a worse one
            told = f"unreadable error ({type(error).__name__})"
        return told if f"HTTP {response.status}" in told else f"HTTP {response.status}: {told}"

    def _content(self, operation: Operation[Any], response: Response) -> None:
        """Read the asset from the response of the content operation."""
        try:
            asset = operation.parse(response, self.context.job.id)
        except Exception as error:  # noqa: BLE001 - a plugin's
            word = isinstance(error, (AnswerError, Refused))
            told = error if word else repr(error)
            self._stale(f"no video in the content: {redact.text(told, limit=200)}", early=word)
            return
        if not isinstance(asset, Asset):
            raise self.error(DownloadError, f"no video in the content: the parser gave {type(asset).__name__}")
        self.asset, self._below = asset, False

    # -- other ways ---------------------------------------------------------------------------------------------------

    def _found_ways(self) -> list[str]:
        """The other ways to the file, in the order in which they are tried."""
        wanted, account = self.wanted, self.context.account
        if wanted.asset is None:
            return [CONTENT]
        ways = [FRESH]
        try:
            if wanted.asset.url and account.has_below(wanted.asset.url):
                ways.append(BELOW)
        except UnsafeURL:  # is raised when the URL is requested
            pass
        if account.provider.content is not None and (wanted.kind, wanted.number) == ("video", 1):
            ways.append(CONTENT)
        return ways

    def _stale(
        self,
        reason: str,
        kind: type[DownloadError] = DownloadError,
        *,
        early: bool = False,
        advice: str = "",
    ) -> None:
        """Take the next way, at most `GRACE` times, as often as a completed job without its files is polled again.

        `early`: the file may not be ready yet, so for a young job this continues until the job is no longer young.
        """
        self._last = self._said[self._where] = reason
        advice = "and nothing of it was kept" if kind is NotAVideo else advice or (self.again if early else "")
        while self._rounds < GRACE or (early and self._young()):
            if self._rounds >= GRACE:
                floor = self.context.account.provider.pacing.floor
                self._pause(min(floor * 2.0 ** min(self._rounds - GRACE, 8), max(LONGEST_LOOK, floor)))
            self._rounds += 1
            if self._turn(reason):
                return
        if self._named:
            raise self.error(kind, reason, advice)
        job, what = self.context.job, self.wanted.kind
        raise ResultMissing(f"{job.ref}: the {what} is gone ({reason}), and the provider no longer lists it", job=job)

    def _young(self) -> bool:
        """Whether the verdict is at most `YOUNG` seconds old, as far as is known."""
        job, now = self.context.job, self.context.loop.clock.time()
        seen = job.history[-1].at if job.history else now
        told = None if job.snapshot is None else job.snapshot.finished_at
        if told is not None and (job.submitted_at or 0.0) <= told <= seen:
            return now - told < YOUNG
        return now - seen < YOUNG and not (job.created_at is not None and now - job.created_at > OLD)

    def _turn(self, reason: str) -> bool:
        """Take the next way; False if it leads nowhere."""
        way = self._ways[self._turns % len(self._ways)]
        self._turns += 1
        if way == CONTENT:
            if self.wanted.asset is None:
                self._pause(self.context.account.provider.pacing.floor)
            self.asset = None
            return True
        self._below = way == BELOW
        if way == BELOW and self.asset is not None:
            return True
        fresh = self._fresh(reason)
        self._named = fresh is not None
        if fresh is not None:
            self.asset = fresh
        return self._named

    def _fresh(self, reason: str) -> Asset | None:
        """The asset as the provider lists it now; None if it lists none. Transient errors are retried."""
        while True:
            try:
                snapshot = self.context.poll(self._left())
            except AnswerError:
                return None
            except VidpollError as error:
                status = error.status if isinstance(error, ProviderError) else 400
                fault = Fault(f"{reason}; no fresh URL could be fetched: {error}", status)
                if fault.meaning is Meaning.MISSING:
                    return None
                if fault.meaning is Meaning.REFUSAL:
                    raise self.error(DownloadError, fault.reason) from None
                self._bear(fault)
                continue
            same = [asset for asset in snapshot.assets if asset.kind == self.wanted.kind]
            return same[self.wanted.number - 1] if len(same) >= self.wanted.number else None
