"""Fetches a small file of a job for a notification, like a thumbnail beside a message. No job changes.

It goes the way of every other request: through the account's own transport, the key to the account's own origin alone,
with the same rules for where responses and redirects may lead.
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
"""Seconds to connect, and seconds without a byte; their sum bounds the whole request."""


def fetch(
    account: OpenAccount, send: Callable[[WireRequest, Ticket], Response], url: str, most: int, accept: str
) -> bytes | None:
    """The file at a URL, of at most `most` bytes; None if it cannot be fetched within the sum of TIMEOUT, in one try.

    It may be called in any thread, also after the client was closed.
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
