"""Translates a code of libcurl into the exception that means the same: the words are vidpoll's own (`net.explain`).

libcurl's messages contain URLs and hosts. Only OpenSSL's reason is read from them, which contains neither.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pycurl
import requests

_REASON = re.compile(r"error:[0-9A-Fa-f]+:[^:]*:[^:]*:([A-Za-z0-9 ]+)")
_EOF = re.compile(r"unexpected eof|SSL_ERROR_ZERO_RETURN")

_VERIFY = {
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
}
"""OpenSSL's words for its numbers."""


class Failure(NamedTuple):
    """How a transfer failed: libcurl's code and message, and how far the transfer got."""

    code: int
    said: str
    url: str
    connected: bool
    proxy: str
    """The URL of the proxy; empty without one."""


def exception(failure: Failure, curl: Any) -> Exception:
    """The exception that describes the failure."""
    error = _plain(failure, curl)
    if failure.proxy and _is_the_proxys(failure, curl, error):
        return requests.exceptions.ProxyError(error)
    return error


def _is_the_proxys(failure: Failure, curl: Any, error: Exception) -> bool:
    """Whether the failure was between this machine and the proxy, and not beyond an established tunnel."""
    tunnel = int(curl.getinfo(pycurl.HTTP_CONNECTCODE))
    if failure.connected:  # over plain http the proxy itself responds, or does not
        return tunnel == 0 and failure.url[:5].lower() == "http:" and isinstance(error, ConnectionResetError)
    if failure.code in _BREAKS:
        return tunnel not in (0, 200)
    return tunnel != 200 or failure.code in _AT_PROXY


def _plain(failure: Failure, curl: Any) -> Exception:
    code = failure.code
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return requests.exceptions.ReadTimeout() if failure.connected else requests.exceptions.ConnectTimeout()
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return _untrusted(failure, curl)
    tunnel = int(curl.getinfo(pycurl.HTTP_CONNECTCODE))
    if failure.proxy and tunnel not in (0, 200):
        return OSError(f"Tunnel connection failed: {tunnel} {http.client.responses.get(tunnel, '')}".strip())
    if code in _SYSTEM:
        return _system(curl, code)
    if code == pycurl.E_SSL_CONNECT_ERROR:
        return _handshake(failure.said, curl)
    contradict = code == pycurl.E_FTP_WEIRD_SERVER_REPLY and "Content-Length" in failure.said
    return ValueError() if contradict else _EXCEPTIONS.get(code, lambda: Exception(f"curl {code}"))()


def _system(curl: Any, code: int) -> Exception:
    number = int(curl.getinfo(pycurl.OS_ERRNO))
    if number:
        return OSError(number, "curl")
    return OSError("curl") if code == pycurl.E_COULDNT_CONNECT else ConnectionResetError()


def _handshake(said: str, curl: Any) -> Exception:
    found = _REASON.search(said)
    number = int(curl.getinfo(pycurl.OS_ERRNO))
    if _EOF.search(said) or (found is None and not number):
        return ssl.SSLEOFError()
    if found is None:
        return OSError(number, "curl")
    error = ssl.SSLError()
    error.reason = found[1].strip().upper().replace(" ", "_")
    return error


def _untrusted(failure: Failure, curl: Any) -> Exception:
    error = ssl.SSLCertVerificationError()
    code = int(curl.getinfo(pycurl.SSL_VERIFYRESULT))
    host = urlsplit(failure.url).hostname or ""
    error.verify_code, error.verify_message = code, _VERIFY.get(code, "")
    if code in (0, 1):  # none, or X509_V_ERR_UNSPECIFIED: libcurl has compared the names by itself
        number = ":" in host or host.replace(".", "").isdigit()
        error.verify_code, what = (64, "IP address") if number else (62, "Hostname")
        error.verify_message = f"{what} mismatch, certificate is not valid for '{host}'."
    return error


_SYSTEM = (pycurl.E_COULDNT_CONNECT, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR)
_BREAKS = (pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR, pycurl.E_FTP_WEIRD_SERVER_REPLY)
_AT_PROXY = (pycurl.E_COULDNT_RESOLVE_PROXY,)
_EXCEPTIONS: dict[int, Any] = {
    pycurl.E_COULDNT_RESOLVE_HOST: socket.gaierror,
    pycurl.E_COULDNT_RESOLVE_PROXY: socket.gaierror,
    pycurl.E_GOT_NOTHING: http.client.RemoteDisconnected,
    pycurl.E_PARTIAL_FILE: lambda: http.client.IncompleteRead(b""),
    pycurl.E_UNSUPPORTED_PROTOCOL: lambda: http.client.BadStatusLine(""),  # a response without a head: HTTP/0.9
    pycurl.E_FTP_WEIRD_SERVER_REPLY: lambda: http.client.BadStatusLine(""),
    pycurl.E_TOO_MANY_REDIRECTS: lambda: http.client.BadStatusLine(""),
    pycurl.E_URL_MALFORMAT: requests.exceptions.InvalidURL,
    pycurl.E_OUT_OF_MEMORY: MemoryError,
    pycurl.E_HTTP2: ConnectionResetError,
    92: ConnectionResetError,  # HTTP2_STREAM
    95: ConnectionResetError,  # HTTP3
    97: lambda: OSError("proxy"),  # PROXY: a SOCKS proxy has refused
    100: http.client.RemoteDisconnected,  # TOO_LARGE: a head without end
}
