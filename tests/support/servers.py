"""Real servers for tests and benchmarks: PostgreSQL, pgbouncer, Redis. Each on loopback, at a free port, in a folder of
its own; nothing of the system's is used but the programs. `missing` says what becomes of a test without one.

PostgreSQL and pgbouncer refuse to run as root: then they run as the user `postgres`, who comes with their packages.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from raw_server import free_port

SECONDS = 20.0
"""For a server to start, or to stop."""


def missing(name: str) -> NoReturn:
    """A server is not installed: the test is skipped by its name, and fails where the environment has CI set."""
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    pytest.skip(f"{name} is not installed")


def program(name: str) -> str | None:
    """Where a program of a server is: the newest PostgreSQL that a distribution has, or on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


T = TypeVar("T", bound="Server")


class Server:
    """A process of ours, its port and its folder, which goes with it. Entered it runs, and left it is removed."""

    name = ""

    def __init__(self) -> None:
        path = program(self.name)
        if path is None:
            missing(self.name)
        self.path: str = path
        self.port = free_port()
        # Not in a folder of pytest's: others than root may not enter those.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/tmp" if os.geteuid() == 0 else None))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def _as(self) -> dict[str, Any]:
        return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}

    def command(self) -> Sequence[str]:
        """What starts it in the foreground."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it answers."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, at its old port and with its old data where it was stopped."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder, **self._as)
        end = time.monotonic() + SECONDS
        while not self.ready():
            assert self.process.poll() is None, f"it ended: {(self.folder / 'log').read_text()}"
            assert time.monotonic() < end, f"it does not answer: {(self.folder / 'log').read_text()}"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, and wait for that."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(SECONDS)
            self.process = None

    def __enter__(self: T) -> T:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def remove(self) -> None:
        """End it; nothing of it is left."""
        self.stop(signal.SIGQUIT if self.name == "postgres" else signal.SIGTERM)  # its data need not be whole
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Server):
    """A cluster without a password for `postgres`; everybody else needs one. `settings` are those of postgresql.conf.

    Nothing is synced to the disk, unless `durable`.
    """

    name = "postgres"

    def __init__(self, *, durable: bool = False, **settings: object) -> None:
        initdb = program("initdb")
        if initdb is None:
            missing("postgresql")
        super().__init__()
        fast = {} if durable else {"fsync": "off", "full_page_writes": "off"}
        self._settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder, **fast, **settings}
        made = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            [initdb, "--pgdata", str(self.folder / "data"), *made],
            **self._as, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rules = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (self.folder / "data" / "pg_hba.conf").write_text(rules, encoding="ascii")

    def command(self) -> Sequence[str]:
        settings = [f"--{name}={value}" for name, value in {**self._settings, "port": self.port}.items()]
        return [self.path, "-D", str(self.folder / "data"), *settings]

    def ready(self) -> bool:
        asked = [str(Path(self.path).with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Of a database; `user` may have a password behind a colon."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"


class PgBouncer(Server):
    """A pgbouncer in transaction mode before a cluster, with two connections to it."""

    name = "pgbouncer"

    def __init__(self, cluster: Postgres) -> None:
        super().__init__()
        (self.folder / "users").write_text('"postgres" ""\n', encoding="ascii")
        (self.folder / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={cluster.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {self.folder}/users\n"
            "pool_mode = transaction\ndefault_pool_size = 2\n",
            encoding="ascii",
        )
        for file in ("users", "ini"):
            (self.folder / file).chmod(0o644)

    def command(self) -> Sequence[str]:
        return [self.path, str(self.folder / "ini")]

    def ready(self) -> bool:
        return _answers(self.port)

    def url(self, database: str = "postgres") -> str:
        """Of a database behind it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


class Redis(Server):
    """A Redis that keeps nothing on the disk."""

    name = "redis-server"

    def command(self) -> Sequence[str]:
        return [self.path, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]

    def ready(self) -> bool:
        return _answers(self.port)

    @property
    def url(self) -> str:
        """Of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"


def _answers(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True
