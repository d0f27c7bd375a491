"""One harmless request to the host of an account, without its key: whether the way there is free, and the clocks agree.

It goes out as every other request does, through the client's transport. Nothing is tried again here.
"""

from __future__ import annotations

from dataclasses import dataclass
from queue import Queue
from typing import Any

from ..faults import Fault, Misconfigured, NoAnswer, date
from ..model import Response
from ..net.accounts import OpenAccount, WireRequest
from ..net.workers import Ticket
from .call import provider_error
from .loop import Loop
from .next_step import advice


@dataclass(frozen=True, slots=True)
class Reach:
    """What a request to the base URL of an account has shown.

    `url` is where it went (without a login), `status` the HTTP status, `seconds` how long the answer took. `skew` is by
    how many seconds the server's clock is ahead of this machine's; None where the answer had no Date.
    """

    url: str
    status: int
    seconds: float
    skew: float | None


def reach(loop: Loop, opened: OpenAccount) -> Reach:
    """Ask once. Raises ConfigurationError for what this machine cannot send, ProviderError where no answer came."""
    url = opened.base_url
    wire = WireRequest(
        "GET",
        url,
        opened.may_hold_key,
        timeout=loop.http_timeout,
        own=opened.own_headers,
        may_name=opened.may_name,
        secrets=opened.known,
        strays=opened.strays,
        exposes=opened.exposes,
    )
    sent_at, start = loop.clock.time(), loop.now()
    try:
        answer = _answer(loop, wire)
    except NoAnswer as error:
        fault = Fault(error.reason, sent=error.sent, local=isinstance(error, Misconfigured))
        raise provider_error(opened.name, fault, advice=advice(fault, opened)) from None
    seconds = loop.now() - start
    return Reach(url, answer.status, seconds, _skew(answer, sent_at + seconds / 2.0))


def _answer(loop: Loop, wire: WireRequest) -> Response:
    """The answer, or NoAnswer when the time of one request is over."""
    inbox: Queue[Any] = Queue()
    ticket: Ticket = loop.transport.begin(wire, inbox)
    end = loop.now() + sum(wire.timeout)
    try:
        while (came := loop.clock.get(inbox, end - loop.now(), busy=True)) is None:
            if loop.now() >= end:
                raise NoAnswer(f"no whole answer within {sum(wire.timeout):g} s")
    except BaseException:
        loop.transport.abort(ticket)
        raise
    outcome = came.outcome
    if isinstance(outcome, Response):
        return outcome
    raise outcome if isinstance(outcome, NoAnswer) else NoAnswer(f"the request failed ({type(outcome).__name__})")


def _skew(answer: Response, ours: float) -> float | None:
    """The server's Date, with the Age that a cache adds to it (RFC 9111, 5.1), against our time."""
    theirs, age = date(answer.header("date") or ""), answer.header("age") or "0"
    return None if theirs is None else theirs + (int(age) if age.isdecimal() and len(age) < 10 else 0) - ours
