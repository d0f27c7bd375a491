"""Produces each message that docs/troubleshooting.md quotes, by causing the error.

`python tests/test_docs.py` writes them into the page.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import vidpoll
from vidpoll.testing import FakeClock, FakeTransport

JOB = "magicoal:3f8a2d1b-4c9e-4b7f-8d2a-1f3c5e7a9b0d"
PAGE = (200, {"content-type": "text/html"}, b"<html>Sign in</html>")
AT_99 = {"success": True, "data": {"id": JOB.partition(":")[2], "status": "generating_video", "progress": 99}}
STOP = threading.Event()
STOP.set()


def _wait(client: vidpoll.Client) -> object:
    return client.wait(JOB, timeout=900)


def _stopped(client: vidpoll.Client) -> object:
    return client.wait(JOB, stop=STOP)


def _submit(client: vidpoll.Client) -> object:
    return client.submit("magicoal", "t2v", prompt="a sea")


def refused(status: int, message: str) -> tuple[int, dict[str, Any]]:
    """A refusal as magicoal words it."""
    return status, {"success": False, "message": message, "data": None}


Case = tuple[Callable[[vidpoll.Client], object], Any, dict[str, str]]
CASES: dict[str, Case] = {
    "submit-unknown": (_submit, TimeoutError(), {}),
    "timeout-99": (_wait, AT_99, {}),
    "unreachable-429": (_wait, refused(429, "Too many requests"), {}),
    "submit-429": (_submit, refused(429, "Too many requests"), {}),
    "submit-402": (_submit, refused(402, "Insufficient credits"), {}),
    "unreachable": (_wait, ConnectionRefusedError(), {}),
    "page": (_wait, PAGE, {}),
    "refused-401": (_wait, refused(401, "Invalid API key"), {}),
    "not-found": (_wait, refused(404, "Task not found"), {}),
    "stopped": (_stopped, refused(503, "busy"), {}),
    "no-key": (_wait, None, {"MAGICOAL_API_KEY": ""}),
    "proxy": (_wait, None, {"HTTPS_PROXY": "proxy.example:port"}),
    "certificates": (_wait, None, {"REQUESTS_CA_BUNDLE": "/etc/ssl/company.pem"}),
}
"""What is called, what every request is answered (None: nothing is sent), and the environment."""


def said(name: str) -> str:
    """The kind and the message of an error. Faults have jitter, so an outage is as long as `patience` here."""
    do, answer, environ = CASES[name]
    transport = None if answer is None else FakeTransport([answer])
    with mock.patch.dict(os.environ, {"MAGICOAL_API_KEY": "mk_0123456789abcdef", **environ}, clear=True):
        try:
            with vidpoll.Client(transport=transport, clock=FakeClock()) as client:
                do(client)
        except vidpoll.VidpollError as error:
            return f"{type(error).__name__}: {re.sub(r'for 6[0-9][0-9] s', 'for 600 s', error.message)}"
    raise AssertionError(f"{name}: nothing was wrong")
