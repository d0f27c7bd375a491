"""A small file that a provider names, for whoever is told of a job: a picture beside a message. No job is touched.

It goes the way of every other request: the account's own transport, its key to its own origin alone, the same rules
for where an answer and its redirects may lead.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, Queue

from ..errors import VidpollError
from ..faults import Misconfigured
from ..model import Response
from ..net.accounts import OpenAccount, WireRequest
from ..net.workers import Ticket, Workers

TIMEOUT = (5.0, 10.0)
"""Seconds to connect and seconds without a byte; together they bound the whole."""


def fetch(
    account: OpenAccount, send: Callable[[WireRequest, Ticket], Response], url: str, most: int, accept: str
) -> bytes | None:
    """The file at a URL, of at most `most` bytes; None where it cannot be had in some seconds. Asked once.

    It may be called in any thread, and after the client was closed.
    """
    try:
        wire = account.media(url, {"Accept": accept}, timeout=TIMEOUT)._replace(max_body=most)
    except VidpollError:
        return None
    workers = Workers(1)
    inbox: Queue[Ticket] = Queue()
    try:
        ticket = workers.send(lambda ticket: send(wire, ticket), inbox)
    except Misconfigured:  # no thread
        return None
    try:
        outcome = inbox.get(timeout=sum(TIMEOUT)).outcome
    except Empty:
        return None
    finally:
        workers.abort(ticket)
        workers.close()
    return outcome.body if isinstance(outcome, Response) and 200 <= outcome.status < 300 else None
