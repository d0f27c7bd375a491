"""HTTP/2 over TLS, at a real server of it: many questions on few connections. Needs hypercorn."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from raw_server import SELF_SIGNED
from vidpoll_curl.transport import CurlTransport

from vidpoll.net.accounts import WireRequest

if not os.environ.get("CI"):
    pytest.importorskip("hypercorn", reason="hypercorn is the server")

pytestmark = pytest.mark.slow


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(SELF_SIGNED))
    script = Path(__file__).with_name("h2_server.py")
    server = subprocess.Popen([sys.executable, str(script), str(SELF_SIGNED)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"https://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.kill()
        server.communicate()


def test_many_questions_share_few_connections(origin: str) -> None:
    """Two hundred at once, each with its own response."""
    transport, inbox = CurlTransport(), queue.Queue[Any]()
    try:
        sent = {
            transport.begin(
                WireRequest("GET", f"{origin}/{number}", lambda url: True, timeout=(5.0, 20.0)), inbox
            ): number
            for number in range(200)
        }
        came = [inbox.get(timeout=30) for _ in sent]
    finally:
        transport.close()
    told = {sent[ticket]: json.loads(ticket.outcome.body) for ticket in came}
    assert {number: each["path"] for number, each in told.items()} == {number: f"/{number}" for number in range(200)}
    assert {each["version"] for each in told.values()} == {"2"}
    assert max(each["connections"] for each in told.values()) <= 4
