"""The table of blame, walked: every exception of the libraries below and every status is in it, and it is kept to."""

from __future__ import annotations

import errno
import http.client
import inspect
import socket
import ssl
import zlib
from types import ModuleType

import pytest
import requests.exceptions
import urllib3.exceptions

from vidpoll import blame
from vidpoll.blame import File, Meaning, Submit, Who
from vidpoll.faults import Fault, Misconfigured, NoAnswer
from vidpoll.net.explain import BodyCut, lost
from vidpoll.polling import submit

MODULES: list[ModuleType] = [requests.exceptions, urllib3.exceptions, http.client, ssl]
OURS = (Warning, urllib3.exceptions.HTTPWarning, requests.exceptions.RequestsWarning)


def exceptions() -> dict[str, type[Exception]]:
    """Every exception that the libraries below define."""
    found = {"zlib.error": zlib.error, "socket.gaierror": socket.gaierror, "socket.herror": socket.herror}
    for module in MODULES:
        for kind in vars(module).values():
            if inspect.isclass(kind) and issubclass(kind, Exception) and not issubclass(kind, OURS):
                found[blame.name_of(kind)] = kind
    top = {module.__name__.partition(".")[0] for module in MODULES} | {"zlib", "socket"}
    return {name: kind for name, kind in found.items() if name.partition(".")[0] in top}


@pytest.mark.parametrize("name", sorted(exceptions()))
def test_every_exception_of_the_libraries_below_has_a_row(name: str) -> None:
    """By its own name: one that a new release brings is not judged by chance."""
    assert name in blame.EXCEPTIONS


def test_no_row_is_about_nothing() -> None:
    """Each names an exception that is there; PySocks may not be."""
    named = {name for name in blame.EXCEPTIONS if name.partition(".")[0] not in ("builtins", "socks")}
    assert named <= set(exceptions())


URL = "https://api.acme.example/v1/jobs?signature=s3cr3t"
ROWS = {**blame.EXCEPTIONS, **{f"errno {errno.errorcode[number]}": row for number, row in blame.ERRNOS.items()}}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_complete_and_consistent(name: str) -> None:
    """Who has to act decides what is owed; what this machine has to mend says how."""
    row = ROWS[name]
    words = row.words(connect=1.0, read=2.0, proxy="HTTPS_PROXY", bundle="", name="X")
    assert words
    assert "{" not in words
    if row.wait is Meaning.LOCAL:
        assert (row.who, row.submit, row.file, bool(row.step)) == (Who.MACHINE, Submit.NOT_SENT, File.ENDS, True)
    else:
        assert (row.wait, row.submit, row.file) == (Meaning.TRANSIENT, Submit.AS_SENT, File.AGAIN)
        assert row.who is not Who.MACHINE or row.step


@pytest.mark.parametrize("name", sorted(exceptions()))
@pytest.mark.parametrize("sent", [True, False])
def test_what_a_row_says_is_done(name: str, sent: bool) -> None:
    """What was not sent is told so, what is this machine's ends at once, and no URL is shown."""
    kind = exceptions()[name]
    error = kind.__new__(kind)
    Exception.__init__(error, URL)
    row, said = blame.EXCEPTIONS[name], lost(error, URL, (1.0, 2.0), sent=sent)
    assert said.sent is sent
    assert isinstance(said, Misconfigured) is (row.wait is Meaning.LOCAL and not sent)
    assert "acme" not in said.reason
    assert "s3cr3t" not in said.reason


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EMFILE, "too many open files"),
        (errno.ENFILE, "too many open files"),
        (errno.ENETUNREACH, "the network is unreachable"),
        (errno.EACCES, "does not allow"),
        (errno.EADDRNOTAVAIL, "no free port"),
    ],
)
def test_what_the_system_says_is_found_below_what_the_libraries_make_of_it(number: int, says: str) -> None:
    """requests wraps it three times."""
    inner = OSError(number, "x")
    try:
        raise urllib3.exceptions.NewConnectionError(None, "x") from inner  # type: ignore[arg-type]
    except urllib3.exceptions.NewConnectionError as error:
        outer = urllib3.exceptions.MaxRetryError(None, "/", error)  # type: ignore[arg-type]
    said = lost(requests.exceptions.ConnectionError(outer), URL, (1.0, 2.0), sent=False)
    assert says in said.reason
    assert not isinstance(said, Misconfigured)


def test_after_the_head_it_is_the_body_that_was_cut() -> None:
    """Whatever the libraries call it; silence is silence."""
    for error in (ConnectionResetError(), http.client.IncompleteRead(b""), ssl.SSLError(1, "x")):
        assert isinstance(lost(error, URL, (1.0, 2.0), sent=True, in_body=True), BodyCut)
    silent = lost(urllib3.exceptions.ReadTimeoutError(None, "", ""), URL, (1.0, 2.0), sent=True, in_body=True)  # type: ignore[arg-type]
    assert (type(silent), silent.reason) == (NoAnswer, "nothing came for 2 s")


@pytest.mark.parametrize("status", [None, *range(300, 600)])
def test_a_status_means_what_its_row_says(status: int | None) -> None:
    """In a wait, and for a submit."""
    row = blame.of_status(status)
    assert Fault("x", status).meaning is row.wait
    assert (status in blame.NOT_BOUGHT) is (row.submit is Submit.NOT_BOUGHT)
    assert row.wait is not Meaning.REFUSAL or row.step


def test_a_submit_goes_by_the_table() -> None:
    """There is no second list of the statuses that buy nothing."""
    assert submit.NOT_BOUGHT is blame.NOT_BOUGHT


@pytest.mark.parametrize(
    ("code", "says"), [(18, "set REQUESTS_CA_BUNDLE"), (10, "check the clock"), (62, "check the address"), (99, "")]
)
def test_a_certificate_that_is_refused_is_told_with_what_helps(
    code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle does not help where the certificate has expired, nor where it is that of another host."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, "OpenSSL's word"
    said = lost(requests.exceptions.SSLError(error), URL, (1.0, 2.0), sent=False).reason
    assert said.startswith("the TLS connection failed: ")
    assert "OpenSSL's word" in said
    assert says in said
    assert ("REQUESTS_CA_BUNDLE" in said) is (code == 18)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/x.pem")
    again = lost(requests.exceptions.SSLError(error), URL, (1.0, 2.0), sent=False).reason
    assert ("the file that REQUESTS_CA_BUNDLE names" in again) is (code == 18)
