"""The command line as a process of its own, with the provider acme at a server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LONG = 30.0
"""Seconds after which a process that should have ended long ago is killed, and its test fails."""

Answer = Callable[[str, str], tuple[int, Any]]

_PLUGIN = """
from dataclasses import replace
import vidpoll
from acme_provider import ACME

@vidpoll.hookimpl
def vidpoll_providers():
    yield replace(ACME, pacing=vidpoll.Pacing(floor=0.5))
"""


class Shop:
    """A server: `answer(method, path)` gives a status and JSON, or bytes. It notes what came."""

    def __init__(self, answer: Answer) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.asked = threading.Event()
        shop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer_all(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                shop.seen.append((self.command, self.path, dict(self.headers), body))
                status, said = answer(self.command, self.path)
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "video/mp4" if isinstance(said, bytes) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                shop.asked.set()

            do_GET = do_POST = do_DELETE = answer_all  # noqa: N815 - as the standard library wants it

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@contextmanager
def shop(answer: Answer) -> Iterator[Shop]:
    """A server while it is needed."""
    server = Shop(answer)
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


class Machine:
    """A user's machine: a home, and acme installed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        site = home / "site"
        about = site / "vidpoll_acme-1.dist-info"
        about.mkdir(parents=True)
        (site / "vidpoll_acme.py").write_text(_PLUGIN, encoding="utf-8")
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vidpoll-acme\nVersion: 1\n", encoding="utf-8")
        (about / "entry_points.txt").write_text("[vidpoll]\nacme = vidpoll_acme\n", encoding="utf-8")
        ours = ("VIDPOLL", "XDG", "ACME")
        known = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        known |= {name: os.environ[name] for name in ("VIDPOLL_TRANSPORT",) if name in os.environ}
        path = os.pathsep.join((str(site), str(Path(__file__).parent)))
        self.environ = {
            **known,
            "HOME": str(home),
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "ACME_API_KEY": "k-12345",
        }

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """A command that goes on by itself; what it says on both streams is on `stdout`."""
        return subprocess.Popen(
            [sys.executable, "-m", "vidpoll", *words],
            env=self.environ,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )

    def run(self, *words: str, feed: bytes = b"") -> tuple[int, str]:
        """A command from its beginning to its end: the exit code, and what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "vidpoll", *words],
            env=self.environ,
            cwd=self.home,
            input=feed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONG,
            check=False,
        )
        return done.returncode, done.stdout.decode()
