"""One harmless request to an account's host, without its key: shows whether it can be reached, and the clock skew.

The request goes through the client's transport, like every other request. Nothing is tried again here.
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
    """The result of a request to the base URL of an account.

    `url` is the requested URL (without a login), `status` the HTTP status, `seconds` the time until the response.
    `skew` is the number of seconds by which the server's clock is ahead of this machine's; None without a Date header.
    """

    url: str
    status: int
    seconds: float
    skew: float | None


def reach(loop: Loop, opened: OpenAccount) -> Reach:
    """Send one request. Raises ConfigurationError if this machine cannot send it, ProviderError if no response came."""
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
    """The response. Raises NoAnswer when the time of one request is over."""
    inbox: Queue[Any] = Queue()
    ticket: Ticket = loop.transport.begin(wire, inbox)
    end = loop.now() + sum(wire.timeout)
    try:
        while (came := loop.clock.get(inbox, end - loop.now(), busy=True)) is None:
            if loop.now() >= end:
                raise NoAnswer(f"no complete response within {sum(wire.timeout):g} s")
    except BaseException:
        loop.transport.abort(ticket)
        raise
    outcome = came.outcome
    if isinstance(outcome, Response):
        return outcome
    raise outcome if isinstance(outcome, NoAnswer) else NoAnswer(f"the request failed ({type(outcome).__name__})")


def _skew(answer: Response, ours: float) -> float | None:
    """The server's Date, plus the Age that a cache added (RFC 9111, 5.1), less our time; in seconds."""
    theirs, age = date(answer.header("date") or ""), answer.header("age") or "0"
    return None if theirs is None else theirs + (int(age) if age.isdecimal() and len(age) < 10 else 0) - ours
