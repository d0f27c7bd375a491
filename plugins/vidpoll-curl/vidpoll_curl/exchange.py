"""One request with its redirects, until there is a Response or the reason for having none."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Mapping
from time import monotonic

from vidpoll import Response
from vidpoll.faults import NoAnswer
from vidpoll.net.accounts import WireRequest
from vidpoll.net.codings import decoded
from vidpoll.net.explain import BodyTooLarge, Hopeless, lost
from vidpoll.net.hops import MAX_REDIRECTS, Admit, following, gate, redirects, sent
from vidpoll.net.protocol import Sink, Start
from vidpoll.net.sockets import MAX_FIELDS, MAX_LINE
from vidpoll.net.urls import root
from vidpoll.net.workers import Ticket

from .easy import Easy, Way, is_question
from .failures import Failure, exception

_STATUS = re.compile(rb"HTTP/[0-9.]+[ \t]+([0-9]{3})(?![^ \t\r\n])")
_SPACE = " \t\r\n"
_STOP = -1
"""The value that a callback returns to end a transfer."""


class Exchange:
    """A request in progress. Its engine calls `begin` and `over`, its handle the other methods."""

    __slots__ = (
        "_admit", "_body", "_done_with", "_fields", "_hops", "_lines", "_proxy", "_sink", "_start", "_status", "_way",
        "connected", "done", "failed", "head", "heard_at", "outcome", "ticket", "url", "wire",
    )  # fmt: skip

    def __init__(
        self,
        wire: WireRequest,
        ticket: Ticket,
        start: Start | None,
        way: Callable[[str], Way],
        done: Callable[[Exchange], object],
    ) -> None:
        self.wire = wire
        self.ticket = ticket
        self.done = done
        """Called when `outcome` is set."""
        self.outcome: Response | BaseException | None = None
        self.url = wire.url
        self._start = start
        self._way = way
        self._hops = 0
        self._proxy = ""
        self._clear()

    def _clear(self) -> None:
        self.connected = self._done_with = False  # `_done_with`: the body is not read
        self.failed: BaseException | None = None
        """The reason for which a callback ended the transfer."""
        self.head: tuple[int, dict[str, str]] | None = None
        """Status and headers, once the head is complete."""
        self.heard_at = monotonic()
        """The monotonic second of the last activity."""
        self._status = self._lines = 0
        self._fields: list[tuple[str, str]] = []
        self._body = bytearray()
        self._sink: Sink | None = None

    @property
    def silent_at(self) -> float:
        """The monotonic second at which the exchange is given up, unless something arrives."""
        connect, read = self.wire.timeout
        return self.heard_at + (read if self.connected else connect + read)

    @property
    def looked_at(self) -> float:
        """The monotonic second before which the exchange is not given up."""
        return self.heard_at + self.wire.timeout[1]

    @property
    def can_be_again(self) -> bool:
        """Whether the handle may serve another request."""
        return is_question(self.wire.method, self.wire.body)

    # -- hops ---------------------------------------------------------------------------------------------------------

    def begin(self, easy: Easy) -> bool:
        """Prepare a handle for the next hop; False if there is already an outcome."""
        self._clear()
        wire = self.wire
        try:
            sends = sent(wire, self.url, file=self._start is not None)
            way = self._way(root(self.url))
            self._proxy = way.proxy
            self._admit: Admit = gate(wire, self.url, way.host, secret=sends.secret)
            easy.point(self.url, way, wire.timeout[0])
            easy.carry(wire.method, sends)
        except NoAnswer as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - the table knows them all
            self._end(lost(error, self.url, wire.timeout, sent=self.ticket.sent))
        easy.exchange = self
        return self.outcome is None

    def over(self, easy: Easy, code: int, said: str) -> bool:
        """Handle the end of a transfer; True if another hop follows."""
        try:
            if self.failed is not None:
                raise self.failed
            if code and not self._done_with:
                raise exception(Failure(code, said, self.url, self.connected, self._proxy), easy.curl)
            if self.head is None:  # libcurl accepts a head that was cut off
                raise http.client.RemoteDisconnected("cut")
            status, headers = self.head
            if redirects(self.wire, status):
                self._follow(headers.get("location", ""))
                return True
            self._end(Response(status, headers, self._whole(headers)))
        except _OwnError as error:
            self._end(error.error)
        except NoAnswer as error:
            error.sent = self.ticket.sent
            self._end(error)
        except Exception as error:  # noqa: BLE001 - the table knows them all
            in_body, timeout = self.head is not None, self.wire.timeout
            self._end(lost(error, self.url, timeout, sent=self.ticket.sent, in_body=in_body))
        except BaseException as error:  # noqa: BLE001 - Ctrl-C in a sink
            self._end(error)
        return False

    def _end(self, outcome: Response | BaseException) -> None:
        self.outcome = outcome

    def _follow(self, target: str) -> None:
        if self._hops == MAX_REDIRECTS:
            raise Hopeless(f"more than {MAX_REDIRECTS} redirects")
        self._hops += 1
        self.url = following(self.wire, self.url, target)

    def _whole(self, headers: Mapping[str, str]) -> bytes:
        """The body; empty if it went to a sink."""
        coding, body = headers.get("content-encoding", "").lower(), bytes(self._body)
        return decoded(body, coding, self.wire.max_body) if coding and body else body

    # -- callbacks of the handle --------------------------------------------------------------------------------------

    def may_open(self, address: str, own: str) -> bool:
        """Whether a connection to a peer may be made."""
        return self._allowed(address, own)

    def may_go(self, address: str, own: str) -> bool:
        """Whether the request may be sent to a peer; if so, it counts as sent from now on."""
        if self.ticket.aborted or not self._allowed(address, own):
            return False
        self.failed = None  # an earlier address of the host may have been refused
        self.ticket.sent = self.connected = True
        self.heard_at = monotonic()
        return True

    def _allowed(self, address: str, own: str) -> bool:
        try:
            self._admit(address, own)
        except Exception as error:  # noqa: BLE001 - NoAnswer, or a bug: nothing is sent
            self.failed = error
            return False
        return True

    def take_line(self, line: bytes) -> int | None:
        """Handle a line of the head."""
        self.heard_at = monotonic()
        if self.head is not None:  # a trailer
            return None
        self._lines += 1
        if len(line) > MAX_LINE or self._lines > MAX_FIELDS + 2:
            self.failed = http.client.RemoteDisconnected("the head has no end")
            return _STOP
        if not self._status:
            return self._begun(line)
        if line in (b"\r\n", b"\n"):
            return self._headed()
        if line[:1] in b" \t":
            if self._fields:
                name, value = self._fields[-1]
                self._fields[-1] = name, f"{value} {line.decode('latin-1').strip(_SPACE)}"
        else:
            name, _, value = line.decode("latin-1").partition(":")
            self._fields.append((name.strip(_SPACE).lower(), value.strip(_SPACE)))
        return None

    def _begun(self, line: bytes) -> int | None:
        """Handle a status line."""
        found = _STATUS.match(line)
        if found is None or (line.startswith(b"HTTP/2") and self.url[:5].lower() == "http:"):
            self.failed = http.client.BadStatusLine("no status line")
            return _STOP
        self._status = int(found[1])
        return None

    def _headed(self) -> int | None:
        """Handle the end of the head."""
        status, fields = self._status, self._fields
        self._status, self._lines, self._fields = 0, 0, []
        if 100 <= status < 200 and status != 101:  # interim: the final head follows (RFC 9110, 15.2)
            return None
        headers = dict(fields)
        if "," in (told := headers.get("content-length", "")):  # "n, n" (RFC 9110, 8.6): libcurl refuses "n, m"
            headers["content-length"] = told.partition(",")[0].strip()
        self.head = status, headers
        if status == 101 or redirects(self.wire, status):
            self._done_with = True
            return None if headers.get("content-length") == "0" else _STOP  # the body of a redirect is not read
        if self._start is not None and 200 <= status < 300:
            return self._guarded(self._begin_sink)
        return None

    def _begin_sink(self) -> None:
        assert self._start is not None
        assert self.head is not None
        self._sink = self._start(Response(*self.head))

    def take(self, piece: bytes) -> int | None:
        """Handle a piece of the body."""
        if self._sink is not None:
            stop = self._guarded(lambda: self._sink(memoryview(piece)))  # type: ignore[misc]
            self.heard_at = monotonic()
            return _STOP if self.ticket.aborted else stop
        self.heard_at = monotonic()
        self._body += piece
        if len(self._body) > self.wire.max_body:
            self.failed = BodyTooLarge(f"a body of more than {self.wire.max_body:,} bytes")
            return _STOP
        return None

    def _guarded(self, call: Callable[[], object]) -> int | None:
        """Call a function of the caller. Its errors (a full disk) must not look like errors of the network."""
        try:
            call()
        except Exception as error:  # noqa: BLE001
            self.failed = _OwnError(error)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C
            self.failed = error
        else:
            return None
        return _STOP


class _OwnError(Exception):
    """Carries an error of `start` or of a sink past the translation of network errors."""

    def __init__(self, error: Exception) -> None:
        self.error = error
