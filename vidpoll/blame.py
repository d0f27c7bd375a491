"""Whose fault it is: one table with a row for each exception of the HTTP libraries and for each HTTP status.

A row says who must act, what the fault means for a submit, a wait and a file, and what to do next. Exceptions are
listed by name, so that no library is imported: `requests.ProxyError` is the class of that name in any module of
requests. Everything here is pure.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class Who(Enum):
    """Who must act."""

    MACHINE = "this machine"
    WAY = "the network"
    BETWEEN = "a server in between"
    PROVIDER = "the provider"
    JOB = "the job"


class Submit(Enum):
    """What a fault means for a submit."""

    NOT_SENT = "nothing was sent"
    AS_SENT = "nothing was sent if there was no connection; otherwise it may have been received"
    NOT_BOUGHT = "nothing was bought"
    UNKNOWN = "it may have been received"


class Meaning(Enum):
    """What a fault means for a wait."""

    LOCAL = "this machine: the wait ends at once"
    TRANSIENT = "a transient error: the wait continues"
    REFUSAL = "a refusal: polled once more, then raised"
    MISSING = "missing: believed after some confirmations"
    GONE = "gone: the job has expired"


class File(Enum):
    """What a fault means for a download."""

    ENDS = "the download ends"
    AGAIN = "the request is sent again"
    FRESH = "vidpoll polls for a fresh URL"


class Row(NamedTuple):
    """Who must act, and what the fault means. `reason` and `step` may hold {connect} {read} {proxy} {bundle} {name}."""

    who: Who
    submit: Submit
    wait: Meaning
    file: File
    reason: str = ""
    step: str = ""

    def words(self, **known: object) -> str:
        """The reason and the next step in one line."""
        return (f"{self.reason}: {self.step}" if self.step else self.reason).format(**known)


def _local(reason: str, step: str) -> Row:
    return Row(Who.MACHINE, Submit.NOT_SENT, Meaning.LOCAL, File.ENDS, reason, step)


def _short(reason: str, step: str) -> Row:
    """A resource that this machine lacks at the moment."""
    return Row(Who.MACHINE, Submit.AS_SENT, Meaning.TRANSIENT, File.AGAIN, reason, step)


def _lost(reason: str, step: str = "", who: Who = Who.WAY) -> Row:
    return Row(who, Submit.AS_SENT, Meaning.TRANSIENT, File.AGAIN, reason, step)


RESET = _lost("the connection was reset")
SILENT = _lost("nothing came for {read:g} s")
LATE = _lost("no connection within {connect:g} s")
FAILED = _lost("the connection failed ({name})")
STRANGE = _lost("the response is not HTTP ({name})", who=Who.BETWEEN)
TLS = _lost("the TLS connection failed", who=Who.BETWEEN)
CUT = _lost("the connection broke in the middle of the response")
ODD = _lost("the request failed ({name})", who=Who.PROVIDER)
BAD_PROXY = _local("the proxy that {proxy} names cannot be used", "write it like http://USER:PASSWORD@HOST:PORT")
PROXY = _lost("the proxy did not let the request through", "{proxy} names the proxy", Who.BETWEEN)
NO_URL = _local("the address cannot be used ({name})", "check the base URL")
FULL = _short("this machine has too many open files", "raise the limit (ulimit -n), or wait for fewer jobs at once")

EXCEPTIONS: dict[str, Row] = {
    "requests.ConnectTimeout": LATE,
    "requests.ReadTimeout": SILENT,
    "requests.Timeout": SILENT,
    "requests.ProxyError": PROXY,
    "requests.SSLError": TLS,
    "requests.ConnectionError": RESET,
    "requests.ChunkedEncodingError": CUT,
    "requests.ContentDecodingError": ODD,
    "requests.HTTPError": ODD,
    "requests.InvalidHeader": NO_URL._replace(reason="a header cannot be sent", step="check the key for line ends"),
    "requests.InvalidJSONError": ODD,
    "requests.InvalidProxyURL": BAD_PROXY,
    "requests.InvalidSchema": BAD_PROXY,  # the URL's own scheme was checked: it is the proxy's
    "requests.InvalidURL": NO_URL,
    "requests.JSONDecodeError": ODD,
    "requests.MissingSchema": NO_URL,
    "requests.RequestException": ODD,
    "requests.RetryError": ODD,
    "requests.StreamConsumedError": ODD,
    "requests.TooManyRedirects": ODD,
    "requests.URLRequired": NO_URL,
    "requests.UnrewindableBodyError": ODD,
    "urllib3.BodyNotHttplibCompatible": ODD,
    "urllib3.ClosedPoolError": _lost("the connection was closed"),
    "urllib3.ConnectTimeoutError": LATE,
    "urllib3.DecodeError": ODD,
    "urllib3.EmptyPoolError": _short("no connection is free", "vidpoll tries again"),
    "urllib3.FullPoolError": ODD,
    "urllib3.HTTPError": ODD,
    "urllib3.HeaderParsingError": STRANGE,
    "urllib3.HostChangedError": ODD,
    "urllib3.IncompleteRead": CUT,
    "urllib3.InvalidChunkLength": CUT,
    "urllib3.InvalidHeader": STRANGE,
    "urllib3.LocationParseError": NO_URL,
    "urllib3.LocationValueError": NO_URL,
    "urllib3.MaxRetryError": RESET,
    "urllib3.NameResolutionError": _lost("the host name could not be looked up"),
    "urllib3.NewConnectionError": FAILED,
    "urllib3.PoolError": ODD,
    "urllib3.ProtocolError": RESET,
    "urllib3.ProxyError": PROXY,
    "urllib3.ProxySchemeUnknown": BAD_PROXY,
    "urllib3.ProxySchemeUnsupported": BAD_PROXY,
    "urllib3.ReadTimeoutError": SILENT,
    "urllib3.RequestError": ODD,
    "urllib3.ResponseError": ODD,
    "urllib3.ResponseNotChunked": STRANGE,
    "urllib3.SSLError": TLS,
    "urllib3.TimeoutError": SILENT,
    "urllib3.TimeoutStateError": ODD,
    "urllib3.URLSchemeUnknown": NO_URL,
    "urllib3.UnrewindableBodyError": ODD,
    "http.BadStatusLine": STRANGE,
    "http.CannotSendHeader": ODD,
    "http.CannotSendRequest": ODD,
    "http.HTTPException": STRANGE,
    "http.ImproperConnectionState": ODD,
    "http.IncompleteRead": CUT,
    "http.InvalidURL": NO_URL,
    "http.LineTooLong": STRANGE,
    "http.NotConnected": ODD,
    "http.RemoteDisconnected": RESET,
    "http.ResponseNotReady": ODD,
    "http.UnimplementedFileMode": ODD,
    "http.UnknownProtocol": STRANGE,
    "http.UnknownTransferEncoding": STRANGE,
    "ssl.SSLError": TLS,
    "ssl.SSLCertVerificationError": TLS,
    "ssl.SSLEOFError": _lost("the TLS connection was closed", who=Who.BETWEEN),
    "ssl.SSLSyscallError": RESET,
    "ssl.SSLWantReadError": ODD,
    "ssl.SSLWantWriteError": ODD,
    "ssl.SSLZeroReturnError": _lost("the TLS connection was closed", who=Who.BETWEEN),
    "socket.gaierror": _lost("the host name could not be looked up"),
    "socket.herror": _lost("the host name could not be looked up"),
    "socks.ProxyError": PROXY,
    "zlib.error": ODD._replace(reason="the compressed body cannot be read"),
    "builtins.BrokenPipeError": RESET,
    "builtins.ConnectionAbortedError": RESET,
    "builtins.ConnectionError": RESET,
    "builtins.ConnectionRefusedError": _lost("the connection was refused", who=Who.PROVIDER),
    "builtins.ConnectionResetError": RESET,
    "builtins.TimeoutError": SILENT,
    "builtins.OSError": FAILED,
    "builtins.MemoryError": _short("this machine has too little memory", "end other programs"),
    "builtins.RuntimeError": ODD,
    "builtins.ValueError": ODD,
    "builtins.Exception": ODD,
}
"""Keyed by the top-level module and the class name."""

ERRNOS: dict[int, Row] = {
    errno.EMFILE: FULL,
    errno.ENFILE: FULL,
    errno.ENOBUFS: _short("this machine has no room for another connection", "end other programs"),
    errno.ENOMEM: _short("this machine has too little memory", "end other programs"),
    errno.EADDRNOTAVAIL: _short("this machine has no free port, or no such address", "end other programs"),
    errno.EACCES: _short("this machine does not allow the connection", "check its firewall"),
    errno.EPERM: _short("this machine does not allow the connection", "check its firewall"),
    errno.ENETUNREACH: _lost("the network is unreachable", "check the network (a VPN, IPv6)"),
    errno.ENETDOWN: _lost("the network is down", "check the connection of this machine"),
    errno.EHOSTUNREACH: _lost("the host is unreachable", "check the network (a VPN, IPv6)"),
    errno.EHOSTDOWN: _lost("the host is down", who=Who.PROVIDER),
}
"""System errors whose number says more than their class."""

WRAPPERS = frozenset(
    (
        "requests.ConnectionError", "requests.SSLError", "urllib3.MaxRetryError", "urllib3.NewConnectionError",
        "urllib3.ProtocolError", "urllib3.SSLError",
    )
)  # fmt: skip
"""Exceptions that usually wrap another one. Their own rows count when they wrap nothing."""

CERTIFICATES: dict[int, tuple[str, str]] = {
    9: ("the certificate is not valid yet", "check the clock of this machine"),
    10: ("the certificate has expired", "check the clock of this machine; otherwise the owner must renew it"),
    **dict.fromkeys((18, 19, 20, 21), ("the certificate is not signed by a trusted authority", "{bundle}")),
    **dict.fromkeys((62, 64), ("the certificate is for another host", "check the address")),
}
"""Why a certificate is refused and what helps, by OpenSSL's verify code."""


def _refusal(submit: Submit, step: str, file: File = File.ENDS, who: Who = Who.PROVIDER) -> Row:
    return Row(who, submit, Meaning.REFUSAL, file, step=step)


def _status(submit: Submit, step: str = "", file: File = File.ENDS) -> Row:
    return Row(Who.PROVIDER, submit, Meaning.TRANSIENT, file, step=step)


_NOTHING, _PERHAPS = Submit.NOT_BOUGHT, Submit.UNKNOWN

STATUSES: dict[int, Row] = {
    **dict.fromkeys((301, 302, 303, 307, 308), _status(_NOTHING, "check the base URL", File.AGAIN)),
    400: _refusal(_NOTHING, "check the id", File.FRESH),
    401: _refusal(_NOTHING, "check the key", File.FRESH),
    402: _refusal(_NOTHING, "check the balance"),
    403: _refusal(_NOTHING, "check what the key may do", File.FRESH),
    404: Row(Who.JOB, _NOTHING, Meaning.MISSING, File.FRESH, step="check the id and the base URL"),
    405: _status(_NOTHING, "check the base URL"),
    407: _refusal(_NOTHING, "give the proxy's user and password", File.AGAIN, Who.BETWEEN),
    408: _status(_PERHAPS, file=File.AGAIN),
    409: _status(_PERHAPS, file=File.AGAIN),
    410: Row(Who.JOB, _PERHAPS, Meaning.GONE, File.FRESH),
    425: _status(_PERHAPS, file=File.FRESH),
    429: _status(_NOTHING, file=File.AGAIN),
    451: _refusal(_NOTHING, "ask the provider for its reason"),
    **dict.fromkeys((406, 411, 413, 414, 415, 421, 422, 426, 428, 431, 501, 505), _status(_NOTHING)),
}
"""By HTTP status. Any other status that is not a success has the row `OTHER`."""

OTHER = _status(_PERHAPS, file=File.AGAIN)

NOT_BOUGHT = frozenset(status for status, row in STATUSES.items() if row.submit is Submit.NOT_BOUGHT)
"""Statuses of a response to a submit that prove that nothing was bought (RFC 9110, RFC 6585)."""


def of_status(status: int | None) -> Row:
    """The row of a response whose status is not a success."""
    return STATUSES.get(status or 0, OTHER)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and the exceptions inside it, the outermost first."""
    seen: set[int] = set()
    inner: object = error
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        named = (getattr(inner, "reason", None), getattr(inner, "original_error", None), *inner.args, inner.__cause__)
        inner = next((each for each in named if isinstance(each, BaseException)), None)


def name_of(kind: type) -> str:
    """The name of a class, as EXCEPTIONS spells it."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def of(error: BaseException) -> tuple[Row, BaseException]:
    """The row of an exception, and the exception that it is about: the first in the chain that is not a wrapper."""
    found = (EXCEPTIONS["builtins.Exception"], error)
    for each in chain(error):
        name = next((name for name in map(name_of, type(each).__mro__) if name in EXCEPTIONS), "builtins.Exception")
        number = (
            getattr(each, "errno", None) if name.startswith("builtins.") else None
        )  # TLS and lookups have their own
        found = (ERRNOS.get(number or 0, EXCEPTIONS[name]), each)
        if name not in WRAPPERS:
            break
    return found
